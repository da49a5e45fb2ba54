"""Noise budget: which effect of a device arm costs how much, each alone on top of the bare device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neurosim.core.config import ReadPath, WritePath, merged
from neurosim.core.errors import ConfigError
from neurosim.core.hardware import Faults, Wires
from neurosim.devices.law import Law
from neurosim.study.arm import IDEAL, Arm
from neurosim.study.compare import compare
from neurosim.study.dense_spec import DenseExperiment
from neurosim.study.evaluate import PAIRED
from neurosim.study.ideals import assumed, changed_settings, ideals
from neurosim.study.statistics import bootstrap, interval
from neurosim.study.training import Report

BARE = "bare"
"""Name of the device with every cause off: the window, step and non-linearity of its law are left."""


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
        "program_c0", "program_c1", "program_c2", "program_tolerance", "error_uS", "error_saturating_uS"
    ) | {"write.programming.mode": "statistics"},
    "device spread of steps": _device(
        "step_spread", "step_spread_lognormal", "added_step_spread",
        "slope_up_spread", "slope_down_spread", "nonlinearity_spread",
    ),
    "device spread of asymmetry": _device("asymmetry_spread"),
    "device spread of window": _device(
        "state_max_spread", "state_min_spread", "added_conductance_spread", "resistance_spread"
    ),
    "stuck cells": _device("p_stuck_gmin", "p_stuck_gmax", "p_stuck_between", "corrupt_share", "corrupt_range"),
    "endurance": _device("endurance_pulses", "endurance_spread"),
    "telegraph noise": _device("telegraph_share"),
    "fading steps": _device("volatile_share"),
    "short-term gating": _device("gate_step", "gate_noise"),
    "optical gate": _device("optical_gate"),
    "temperature": _device("temperature_K"),
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
WAITING = _device(
    "drift_exponent", "drift_exponent_sigma", "drift_table_share", "drift_table_exponent", "drift_table_sigma",
    "retention_s", "retention_activation_eV",
)  # fmt: skip
"""Effects of time alone: the clock stands while a layer learns, so they cost nothing and stay as they are."""
_NEEDS = {
    "parameters.endurance_spread": "parameters.endurance_pulses",
    "parameters.gate_noise": "parameters.gate_step",
    "parameters.corrupt_range": "parameters.corrupt_share",
}
"""Settings that mean nothing without another."""


def causes_on(arm: Arm) -> dict[str, dict[str, Any]]:
    """Return the causes that are on in an arm with every setting filled in, and what switches each off.

    Parameters
    ----------
    arm : Arm
        One of `Experiment.arms`.

    Returns
    -------
    causes : dict
        Name of the cause to ``{"read.adc_bits": None, ...}``: those of its settings that are on, by place and
        name, with the value that is off; in the order of `CAUSES`, noise of a user's own law at the end.
    """
    device = _law_of(arm)
    values = _settings(arm, device)
    off = _noise_off(device)
    found = {}
    for cause, settings in {**CAUSES, **_own_noise(off)}.items():
        known = {path: off.get(path, value) for path, value in settings.items() if path in values}
        on = {path: value for path, value in known.items() if _is_on(values, path, value)}
        if on:
            found[cause] = on
    return found


def _law_of(arm: Arm) -> Law:
    return arm.law()


def _settings(arm: Arm, device: Law) -> dict[str, Any]:
    """Every setting of an arm by place and name, defaults filled in; read noise in one place only."""
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
    return _flat(parts)


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
    listed = {*WAITING, *(path for settings in CAUSES.values() for path in settings)}
    own = [path for path in noise if path not in listed]
    return {path.removeprefix("parameters.").replace("_", " "): {path: noise[path]} for path in own}


def _is_on(values: dict[str, Any], path: str, off: Any) -> bool:
    needed = _NEEDS.get(path)
    return bool(values[path]) and values[path] != off and (needed is None or bool(values.get(needed)))


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


def parts_of(arm: Arm) -> dict[str, Arm]:
    """Return the arms of one device's budget by what is on in them: "bare", then each cause alone."""
    causes = causes_on(arm)
    parts = {BARE: without(arm, causes)}
    for cause in causes:
        parts[cause] = without(arm, {name: off for name, off in causes.items() if name != cause})
    return {what: part.changed(name=f"{arm.name} · {what}") for what, part in parts.items()}


def ablation(experiment: DenseExperiment) -> DenseExperiment:
    """Return the experiment whose arms are, for each device arm, the bare device, each cause alone, and all.

    Raises
    ------
    ConfigError
        If there are no device arms.
    """
    arms = experiment.device_arms()
    if not arms:
        raise ConfigError("--ablate needs at least one --device")
    split = [part for arm in arms for part in (*parts_of(arm).values(), arm)]
    return experiment.changed(parameters={}).with_arms(split)


def ablate(
    experiment: DenseExperiment, out: Path | None = None, report: Report | None = None, workers: int = 1
) -> dict[str, Any]:
    """Compare the arms of an ablation and add the budgets.

    Returns
    -------
    results : dict
        What `compare` returns, of all arms, and ``ablation``: one budget for each device arm, see `budget`.

    Raises
    ------
    ConfigError
        If there are no device arms.
    """
    results = compare(ablation(experiment), out, report, workers)
    results |= {
        "changed": changed_settings(experiment),
        "ideals": ideals(experiment),
        "assumed": assumed(experiment),
    }  # of the arms as given, not of their parts
    results["ablation"] = [budget(arm, results["runs"]) for arm in experiment.device_arms()]
    return results


def budget(arm: Arm, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return where one device arm loses its accuracy.

    Returns
    -------
    budget : dict
        ``arm`` and ``causes``, each with its ``cause``, ``kind``, the ``arm`` that was run, the ``settings`` it
        stands for, and of each score the share lost with its intervals over seeds. Kinds: "bare" (bare device
        against ideal arithmetic), "alone" (one cause against the bare device), "interaction" (all minus the sum
        of bare and alone), "all" (the arm as given against ideal arithmetic).
    """
    of = {(run["arm"], run["seed"]): run for run in runs}
    seeds = sorted(seed for name, seed in of if name == arm.name)
    causes = causes_on(arm)
    parts = parts_of(arm)
    bare = parts.pop(BARE).name

    def lost(worse: str, better: str) -> dict[str, list[float]]:
        return {s: [of[better, seed][s] - of[worse, seed][s] for seed in seeds] for s in PAIRED}

    found = [(BARE, BARE, bare, lost(bare, IDEAL))]
    found += [(cause, "alone", part.name, lost(part.name, bare)) for cause, part in parts.items()]
    whole = lost(arm.name, IDEAL)
    summed = {s: np.sum([points[s] for *_, points in found], axis=0) for s in PAIRED}
    rest = {s: [float(value) for value in np.subtract(whole[s], summed[s])] for s in PAIRED}
    found += [("interaction", "interaction", "", rest), ("all", "all", arm.name, whole)]
    values = _settings(arm, _law_of(arm))
    return {
        "arm": arm.name,
        "causes": [
            {
                "cause": cause,
                "kind": kind,
                "arm": name or None,
                "settings": {path: values[path] for path in causes.get(cause, {})},
                **{key: value for score in PAIRED for key, value in _points(score, points[score]).items()},
            }
            for cause, kind, name, points in found
        ],
    }


def _points(score: str, lost: list[float]) -> dict[str, Any]:
    """Mean of the share lost, its intervals over seeds, and the seeds themselves."""
    return {
        f"{score}_lost_mean": float(np.mean(lost)),
        f"{score}_lost_ci95": bootstrap(lost),
        f"{score}_lost_student95": interval(lost),
        f"{score}_lost": lost,
    }
