"""Sizes of what a device has, as multiples of what it has: axes that mean the same for every card and law."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from neurosim.core.errors import ConfigError
from neurosim.study.arm import Arm
from neurosim.study.effects import causes_on, settings_of, without

if TYPE_CHECKING:
    from neurosim.study.experiment import Experiment

TIMES = "times"
"""Place of these axes: the levels of ``times.step`` are 0.5, 1, 2 ... times the step of each arm's own device."""


def _device(*names: str) -> tuple[str, ...]:
    return tuple(f"parameters.{name}" for name in names)


STEP = "step"
NATURE = {
    STEP: _device(
        "step", "step_share", "changes_up_uS", "changes_down_uS", "pulses_up", "pulses_down", "steps",
        "mean_slope", "mean_offset_uS", "mean_first_uS", "mean_low_uS", "nominal_set_step_uS",
    ),
    "asymmetry": _device("asymmetry"),
    "non-linearity": _device("slope_up", "slope_down", "nonlinearity_up", "nonlinearity_down"),
}  # fmt: skip
"""What a law has beside effects, and the parameters that say how large it is."""
DIVIDED = {*_device("pulses_up", "pulses_down", "steps", "endurance_pulses", "retention_s")}
"""Parameters that are the smaller the more there is of it: twice the step is half as many states."""
KEPT = {*_device("corrupt_range", "endurance_spread", "drift_table_share", "retention_activation_eV")}
"""Settings of an effect that say what it is like and not how much there is of it."""
NO_SIZE = {*_device("optical_gate", "temperature_K")}
"""Settings that no factor makes larger, as none does a table; an effect with one of them has no size."""


def slug(name: str) -> str:
    """Return the name of a size as fields have it: "pulse-to-pulse noise" is "pulse_to_pulse_noise"."""
    return name.replace(" ", "_").replace("-", "_")


def sizes_of(arm: Arm) -> dict[str, dict[str, float]]:
    """Return what a settled arm's device has by name, and the settings that say how much.

    Parameters
    ----------
    arm : Arm
        One of `Experiment.device_arms`.

    Returns
    -------
    sizes : dict
        "step", "asymmetry", "non-linearity" where the law has them, then the effects of the device that are on
        (`neurosim.study.effects.CAUSES`, and noise of a user's own law): ``{"parameters.step": 0.095}``.
    """
    return {name: own for name, own in _had(arm).items() if not _has_no_size(own)}


def without_size(arm: Arm) -> list[str]:
    """Return what a settled arm's device has that no factor makes larger or smaller, such as tables."""
    return [name for name, own in _had(arm).items() if _has_no_size(own)]


def _had(arm: Arm) -> dict[str, dict[str, Any]]:
    """What a device has, with all its settings but those that say no amount."""
    values = settings_of(arm, arm.law())
    found = {name: [path for path in paths if values.get(path)] for name, paths in NATURE.items()}
    found |= {name: [path for path in on if _is_of_the_device(path)] for name, on in causes_on(arm).items()}
    return {
        name: {path: values[path] for path in paths if path not in KEPT}
        for name, paths in found.items()
        if paths
    }


def _has_no_size(own: dict[str, Any]) -> bool:
    return any(path in NO_SIZE or not isinstance(value, int | float) for path, value in own.items())


def _is_of_the_device(path: str) -> bool:
    return path.startswith("parameters.") or path == "read.read_noise"


def with_size(experiment: Experiment, name: str, factor: Any) -> Experiment:
    """Return the experiment with so many times as much of something in every device that has it.

    Parameters
    ----------
    experiment : Experiment
    name : str
        `slug` of one of `sizes_of`; arms that have no such thing stay as they are.
    factor : float
        0: without, 1: as given.

    Raises
    ------
    ConfigError
        If the factor is no number from 0 up, or takes a parameter out of its range.
    """
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor < math.inf:
        raise ConfigError(f"{TIMES}.{name} = {factor}: must be a number from 0 up; 1 is the device as given")
    if not factor and name == slug(STEP):
        raise ConfigError(f"{TIMES}.{name} = 0: devices without a step learn nothing; give more than 0")
    always = {arm.name for arm in experiment.with_arms(experiment.listed).implied}
    arms = [arm for arm in experiment.listed if arm.name not in always]
    return experiment.with_arms(
        [
            arm if arm.device is None or factor == 1 else _resized(arm.settled(experiment), name, factor)
            for arm in arms
        ]
    )


def _resized(arm: Any, slugged: str, factor: float) -> Any:
    name, own = next(
        ((known, own) for known, own in sizes_of(arm).items() if slug(known) == slugged), ("", {})
    )
    if not name:
        return arm
    off = None if factor else causes_on(arm).get(name)
    changed = without(arm, {name: scaled(own, factor) if off is None else off})
    changed.law()
    return changed


def scaled(own: dict[str, float], factor: float) -> dict[str, float]:
    """Return settings of `sizes_of` at a factor; what is divided is infinite at 0."""
    inverse = 1 / factor if factor else math.inf
    return {path: value * (inverse if path in DIVIDED else factor) for path, value in own.items()}
