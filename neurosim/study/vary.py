"""Noise tolerance: accuracy of every arm against one numeric effect."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

from neurosim.core.config import Frozen, ReadPath, WritePath, merged
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.devices.card import load
from neurosim.study.arm import IDEAL
from neurosim.study.compare import compare
from neurosim.study.dense_spec import DenseExperiment
from neurosim.study.evaluate import PAIRED
from neurosim.study.training import Report

KEPT = 0.99
_READ_UNITS = {"read_noise": "share of G_max", "dac_bits": "bits", "adc_bits": "bits"}
_WHOLE = (
    "dac_bits", "adc_bits", "pulse_limit", "pulse_train_slots", "potentiate_every", "depress_every",
    "refresh.every", "programming.pulse_budget", "programming.verify_reads",
)  # fmt: skip
_ARM = ("window",)


def parse_vary(text: str) -> tuple[str, list[float]]:
    """Split ``effect=level,level,...``; raises `ConfigError`."""
    name, _, levels = text.partition("=")
    try:
        values = [float(level) for level in levels.split(",")]
    except ValueError:
        raise ConfigError(f"--vary {text}: expected EFFECT=LEVEL,LEVEL,... with numbers") from None
    return name.strip(), values


def effects(experiment: DenseExperiment) -> dict[str, str]:
    """Return the numeric effects that can be varied, with the unit of each."""
    found = {name: _READ_UNITS.get(name, "") for name in _numeric(ReadPath)}
    found |= dict.fromkeys(_numeric(WritePath), "")
    found["window"] = "largest start weights"
    for arm in experiment.device_arms():
        found |= type(load(arm.device)).units()
    return found


def _numeric(model: type[Frozen]) -> list[str]:
    """Names of the numbers of a model; those of a model within it as ``field.number``."""
    names = []
    for name, field in model.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)}
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Frozen)]
        names += [f"{name}.{number}" for kind in inner for number in _numeric(kind)]
        names += [name] if {int, float} & kinds else []
    return names


def with_level(experiment: DenseExperiment, effect: str, level: float) -> DenseExperiment:
    """Return the experiment with one effect at one level in every arm; level 0 of a noise switches it off.

    Raises
    ------
    UnknownNameError
        If no arm has an effect of that name.
    """
    known = effects(experiment)
    if effect not in known:
        raise UnknownNameError("effect", effect, known)
    if not math.isfinite(level) or (effect in _WHOLE and level != int(level)):
        kind = "a whole number" if effect in _WHOLE else "a finite number"
        raise ConfigError(f"--vary {effect}: level {level:g} must be {kind}")
    value: float | int | None = int(level) if effect in _WHOLE else level
    changed = []
    for arm in experiment.device_arms():
        if effect in ReadPath.model_fields:
            if effect == "read_noise" and level == 0:
                value = None
            arm = arm.changed(read={**arm.read, effect: value})
        elif effect in _numeric(WritePath):
            field, _, number = effect.partition(".")
            change = {field: {number: value}} if number else {field: value}
            arm = arm.changed(write=merged(arm.write, change))
        elif effect in _ARM:
            arm = arm.changed(window=level)
        elif effect in type(load(arm.device)).model_fields:
            arm = arm.changed(parameters={**arm.parameters, effect: value})
        else:
            continue
        changed.append(arm)
    return experiment.changed(parameters={}).with_arms(changed)


def check_levels(experiment: DenseExperiment, effect: str, levels: list[float]) -> None:
    """Refuse before any work a level that an arm cannot have; raises `NeurosimError`."""
    if not experiment.device_arms():
        raise ConfigError("--vary needs at least one --device")
    for level in levels:
        with_level(experiment, effect, level).check()


def vary(
    experiment: DenseExperiment,
    effect: str,
    levels: list[float],
    report: Report | None = None,
    workers: int = 1,
    out: Path | None = None,
) -> dict[str, Any]:
    """Compare at every level of one effect.

    Parameters
    ----------
    experiment : DenseExperiment
    effect : str
    levels : list of float
        The undisturbed one first.
    report, workers, out
        As of `neurosim.study.run.study`: with a folder, a study that was killed goes on where it was.

    Returns
    -------
    results : dict
        ``arms`` with one point a level and the largest level that keeps 99 % of the accuracy at the first
        level, ``baselines``, ``data``, ``config`` and ``versions``; ideal arithmetic has a single point.

    Raises
    ------
    ConfigError
        If there are no device arms.
    """
    check_levels(experiment, effect, levels)
    runs = [
        compare(with_level(experiment, effect, level), out, report, workers, ideal=k == 0)
        for k, level in enumerate(levels)
    ]
    curves: dict[str, list[dict[str, Any]]] = {}
    for level, run in zip(levels, runs, strict=True):
        for entry in run["summary"]:
            kept = [f"{score}_{part}" for score in PAIRED for part in ("mean", "interval")]
            point = {"level": level, **{name: entry[name] for name in kept}}
            curves.setdefault(entry["arm"], []).append(point)
    return {
        "parameter": effect,
        "unit": effects(experiment)[effect],
        "levels": levels,
        "arms": [_curve(arm, points) for arm, points in curves.items()],
        "baselines": runs[0]["baselines"],
        "data": runs[0]["data"],
        "config": runs[0]["config"],
        "versions": runs[0]["versions"],
    }


def _curve(arm: str, points: list[dict[str, Any]]) -> dict[str, Any]:
    undisturbed = points[0]["accuracy_mean"]
    found: dict[str, Any] = {"arm": arm, "points": points, "undisturbed_accuracy": undisturbed}
    if arm != IDEAL:
        found["tolerated_level"] = tolerated([(p["level"], p["accuracy_mean"]) for p in points])
    return found


def tolerated(points: list[tuple[float, float]]) -> float:
    """Return the last level before accuracy first falls below 99 % of the first level's."""
    enough = KEPT * points[0][1]
    last = points[0][0]
    for level, accuracy in points[1:]:
        if accuracy < enough:
            break
        last = level
    return last
