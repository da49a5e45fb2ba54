"""Effects of an arm on devices by name: which are on, and experiments with one of them alone, or without it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from neurosim.core.config import ReadPath, WritePath
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.core.frozen import merged
from neurosim.core.hardware import Faults, Wires
from neurosim.devices.law import Law
from neurosim.study.arm import Arm

if TYPE_CHECKING:
    from neurosim.study.experiment import Experiment

ONLY, WITHOUT = "only", "without"
WAYS = (ONLY, WITHOUT)
"""Names of axes whose levels are effects: each alone on top of the bare device, or each taken away from the arm as given."""
NOTHING, EVERYTHING, EACH = "nothing", "everything", "each"
"""Levels beside the effects themselves; "each" stands for nothing, every effect that is on, and everything."""
BARE = {ONLY: NOTHING, WITHOUT: EVERYTHING}
"""Level at which no effect is on: the window, step and non-linearity of the device's law are left."""
GIVEN = {ONLY: EVERYTHING, WITHOUT: NOTHING}
"""Level that is the arm as given."""


def _device(*names: str) -> dict[str, Any]:
    return {f"parameters.{name}": None for name in names}


CAUSES: dict[str, dict[str, Any]] = {
    "pulse-to-pulse noise": _device(
        "sigma_slope", "sigma_offset_uS", "sigma_first_uS", "sigma_low_uS",
        "cycle_to_cycle", "added_cycle_to_cycle",
    ),
    "write noise": _device("write_noise", "added_write_noise"),
    "failed writes": _device("write_failure"),
    "RESET noise": _device("reset_sigma_uS"),
    "programming error": _device(
        "program_c0", "program_c1", "program_c2", "program_tolerance", "error_uS", "error_saturating_uS", "bias_uS"
    ) | {"write.programming.mode": "statistics"},
    "device spread of steps": _device(
        "step_spread", "step_spread_lognormal", "added_step_spread",
        "slope_up_spread", "slope_down_spread", "nonlinearity_spread", "switching_spread", "threshold_spread",
    ),
    "device spread of asymmetry": _device("asymmetry_spread"),
    "device spread of window": _device(
        "state_max_spread", "state_min_spread", "added_conductance_spread", "resistance_spread", "g_max_spread",
        "g_min_spread",
    ),
    "stuck cells": _device(
        "p_stuck_gmin", "p_stuck_gmax", "p_stuck_between", "p_stuck_measured", "corrupt_share", "corrupt_range"
    ),
    "endurance": _device("endurance_pulses", "endurance_spread"),
    "telegraph noise": _device("telegraph_share"),
    "fading steps": _device("volatile_share"),
    "short-term gating": _device("gate_step", "gate_noise"),
    "optical gate": _device("optical_gate"),
    "temperature": _device("temperature_K"),
    "drift": _device(
        "drift_exponent", "drift_exponent_sigma", "drift_table_share", "drift_table_exponent", "drift_table_sigma",
        "retention_s", "retention_activation_eV",
    ),
    "flicker noise": _device("flicker", "flicker_table"),
    "relaxation": _device("relaxation_mean_uS", "relaxation_sigma_uS", "relaxation_sigma_slope_uS"),
    "read noise": _device("read_noise_relative", "read_noise_floor_uS", "read_noise_most_uS")
    | {"read.read_noise": None},
    "DAC": {"read.dac_bits": None, "read.encoding": "amplitude"},
    "ADC": {"read.adc_bits": None},
    "converter gain": {"read.adc_gain_spread": None},
    "converter offset": {"read.adc_offset_lsb": None},
    "amplifier offset": {"read.amplifier_offset_V": None},
    "thermal noise": {"read.thermal_noise_K": None},
    "shot noise": {"read.shot_noise": False},
    "saturation": {"read.saturation_uS": None},
    "settling": {"read.settling_time_s": None},
    "wires": dict.fromkeys(
        ("wires.r_word_ohm", "wires.r_bit_ohm", "wires.r_driver_ohm", "wires.r_sense_ohm"), 0.0
    ),
    "broken lines": {"faults.broken_word_lines": None, "faults.broken_bit_lines": None},
    "dead columns": {"faults.dead_columns": None},
    "pulses weakened by wires": {"write.pulse_sensitivity_V": None},
    "half-selected devices": {"write.half_select": False},
    "weight decay": {"write.decay_mode": "exact"},
    "pulse limit": {"write.pulse_limit": None},
    "refresh": {"write.refresh.look": "exact", "write.refresh.rewrite": "verify"},
}  # fmt: skip
"""Cause, the settings that belong to it, and what switches each off; a noise that is in none has its own name."""
_TIME = "seconds_per_update"
_NEEDS = {
    "parameters.endurance_spread": ("parameters.endurance_pulses",),
    "parameters.gate_noise": ("parameters.gate_step",),
    "parameters.corrupt_range": ("parameters.corrupt_share",),
    **dict.fromkeys(CAUSES["drift"], (_TIME,)),
    "parameters.retention_activation_eV": ("parameters.retention_s", _TIME),
}
"""Settings that mean nothing without others. Where the clock stands while it learns, reads have no delay, and no age is asked for, nothing drifts:
then drift is no effect and stays as it is."""


def causes_on(arm: Arm, aged: bool = False) -> dict[str, dict[str, Any]]:
    """Return the causes that are on in an arm with every setting filled in, and what switches each off.

    Parameters
    ----------
    arm : Arm
        One of `Experiment.arms`.
    aged : bool
        Whether time passes between learning and reading, so that drift is an effect.

    Returns
    -------
    causes : dict
        Name of the cause to ``{"read.adc_bits": None, ...}``: those of its settings that are on, by place and
        name, with the value that is off; in the order of `CAUSES`, noise of a user's own law at the end.
    """
    device = arm.law()
    values = settings_of(arm, device, aged)
    off = _noise_off(device)
    found = {}
    for cause, settings in {**CAUSES, **_own_noise(off)}.items():
        known = {path: off.get(path, value) for path, value in settings.items() if path in values}
        on = {path: value for path, value in known.items() if _is_on(values, path, value)}
        if on:
            found[cause] = on
    return found


def settings_of(arm: Arm, device: Law, aged: bool = False) -> dict[str, Any]:
    """Return every setting of a settled arm by place and name, defaults filled in; read noise in one place only.

    With them is the time that passes while it learns, before a read, or, if it is left alone (`aged`), after learning.
    """
    read = ReadPath.parse(arm.read, f"arm {arm.name}, read").model_dump()
    parts: dict[str, dict[str, Any]] = {
        "parameters": device.model_dump(),
        "read": read,
        "write": WritePath.parse(arm.write, f"arm {arm.name}, write").model_dump(),
        "wires": {} if arm.wires is None else Wires.parse(arm.wires, f"arm {arm.name}, wires").model_dump(),
        "faults": {} if arm.faults is None else Faults.parse(arm.faults, f"arm {arm.name}, faults").model_dump(),
    }  # fmt: skip
    if read["read_noise"] == "card":
        read["read_noise"] = None
    else:
        for name in ("read_noise_relative", "read_noise_floor_uS", "read_noise_most_uS"):
            parts["parameters"].pop(name, None)
    return {
        **_flat(parts),
        _TIME: read["drift"] and (aged or arm.seconds_per_update or read["reading_delay_s"]),
    }


def _flat(values: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Names of nested settings joined by dots."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{place}{name}"
        found |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return found


def _noise_off(device: Law) -> dict[str, Any]:
    """Noise parameters of the device's law and what switches each off."""
    found: dict[str, Any] = {}
    for name, field in type(device).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra["noise"]:
            found[f"parameters.{name}"] = None if field.default is None else 0.0
    return found


def _own_noise(noise: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Noise parameters that belong to no cause of the table, each a cause of its own name."""
    listed = {path for settings in CAUSES.values() for path in settings}
    own = [path for path in noise if path not in listed]
    return {path.removeprefix("parameters.").replace("_", " "): {path: noise[path]} for path in own}


def _is_on(values: dict[str, Any], path: str, off: Any) -> bool:
    needed = _NEEDS.get(path, ())
    return bool(values[path]) and values[path] != off and all(values.get(name) for name in needed)


def without(arm: Arm, causes: dict[str, dict[str, Any]]) -> Arm:
    """Return the arm with some causes switched off and everything else as it is."""
    parts: dict[str, Any] = {}
    for settings in causes.values():
        for path, off in settings.items():
            place, *names = path.split(".")
            change = off
            for name in reversed(names):
                change = {name: change}
            parts[place] = merged(parts.get(place, {}), change)
    return arm.changed(**{place: merged(getattr(arm, place), change) for place, change in parts.items()})


def levels_of(experiments: Iterable[Experiment], aged: bool = False) -> tuple[str, ...]:
    """Return what "each" stands for: "nothing", the effects that are on in any arm of the experiments, "everything"."""
    on = dict.fromkeys(
        name
        for experiment in experiments
        for arm in experiment.device_arms()
        for name in causes_on(arm, aged)
    )
    if not on:
        raise ConfigError(
            f"{EACH}: no arm has an effect to take away; give at least one --device, or an arm with a device"
        )
    return (NOTHING, *sorted(on, key=_place), EVERYTHING)


def _place(cause: str) -> int:
    names = list(CAUSES)
    return names.index(cause) if cause in names else len(names)


def named(effect: Any, known: Iterable[str]) -> str:
    """Return a level as it is known; it may be written with underscores. Raises `UnknownNameError`."""

    def plain(name: Any) -> str:
        return str(name).strip().replace("_", " ").casefold()

    known = list(known)
    for name in known:
        if plain(name) == plain(effect):
            return name
    raise UnknownNameError("effect", str(effect), known, ", or it is off in every arm")


def with_effects(experiment: Experiment, way: str, level: str, aged: bool = False) -> Experiment:
    """Return the experiment with some effects of its devices switched off, and everything else as it is.

    Parameters
    ----------
    experiment : Experiment
    way : {"only", "without"}
    level : str
        "nothing", "everything", or one of `CAUSES` or a noise of a user's own law. An arm that has no such effect is
        bare with "only", and as given with "without".
    aged : bool
        As of `causes_on`.
    """
    if not experiment.learns:
        raise ConfigError(
            f"{way}: effects are levels of what learns, not of weights trained elsewhere; sweep their settings themselves"
        )
    always = {arm.name for arm in experiment.with_arms(experiment.listed).implied}
    arms = [arm for arm in experiment.listed if arm.name not in always]
    return experiment.with_arms(
        [arm if arm.device is None else _reduced(arm.settled(experiment), way, level, aged) for arm in arms]
    )


def _reduced(arm: Arm, way: str, level: str, aged: bool) -> Arm:
    causes = causes_on(arm, aged)
    if level == GIVEN[way]:
        return arm
    if level == BARE[way]:
        return without(arm, causes)
    return without(arm, {name: off for name, off in causes.items() if (name == level) == (way == WITHOUT)})
