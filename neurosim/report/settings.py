"""Which effects were on: the settings of every arm, those alike in all arms said once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurosim.core.frozen import merged
from neurosim.report.text import NOTHING

WHEN_NONE = {
    "read.adc_range_uS": "by calibration",
    "read.calibration.step": "any",
    "read.calibration.offset_step_lsb": "offsets stay",
    "write.tracking.every": "never",
    "write.refresh": "never",
    "seconds_per_update": "time stands still",
    "neurons": "their transfer is known",
}
"""What None means where it does not switch an effect off."""
TOLD = ("device", "mode", "window")
"""Settings that are no effects: nothing is said where they are None."""
AROUND = ("wires", "tiles", "faults", "neurons", "precision", "seconds_per_update")
"""What an arm says beside reading and writing; results of earlier versions have not all of it."""


@dataclass(frozen=True)
class Settings:
    """Settings alike in all arms, and a table (names of the columns, arms, values) of those that differ."""

    common: dict[str, str]
    columns: list[str]
    rows: list[tuple[str, list[str]]]


def settings_of(config: dict[str, Any]) -> Settings:
    """Return the read, write and device settings of the device arms as text."""
    arms = {str(arm.get("name") or arm.get("device")): _flat(config, arm) for arm in config.get("arms", [])}
    names = list(dict.fromkeys(name for values in arms.values() for name in values))
    common, columns = {}, []
    for name in names:
        texts = [values.get(name, NOTHING) for values in arms.values()]
        if name != "device" and len(arms) > 1 and len(set(texts)) == 1:
            common[name] = texts[0]
        else:
            columns.append(name)
    rows = [(arm, [values.get(name, NOTHING) for name in columns]) for arm, values in arms.items()]
    if len(rows) == 1:
        return Settings(dict(zip(columns, rows[0][1], strict=True)), [], [])
    return Settings(common, columns, rows)


def _flat(config: dict[str, Any], arm: dict[str, Any]) -> dict[str, str]:
    """Settings of one arm, those of tables by their path; `write.w_max` follows from the window unless the arm gives it."""
    found = {"device": arm.get("device"), "mode": arm.get("mode"), "window": arm.get("window")}
    found |= {f"parameters.{k}": v for k, v in (arm.get("parameters") or {}).items()}
    read = merged(config.get("read") or {}, arm.get("read") or {})
    write = {k: v for k, v in (config.get("write") or {}).items() if k != "w_max"}
    write = merged(write, arm.get("write") or {})
    for path, settings in (
        ("read", read),
        ("write", write),
        ("", {k: arm[k] or None for k in AROUND if k in arm}),
    ):
        for name, value in settings.items():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            found |= {f"{path}.{name}.{k}".strip("."): v for k, v in inner}
    return {
        name: _text(name, value) for name, value in found.items() if name not in TOLD or value is not None
    }


def _text(name: str, value: Any) -> str:
    if value is None:
        return WHEN_NONE.get(name, "off")
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def energy_model(config: dict[str, Any]) -> str:
    """Return the name of the energy model of the periphery."""
    return str((config.get("periphery") or {}).get("name") or "unnamed")
