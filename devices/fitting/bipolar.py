"""Fitters of laws whose pulses move a device up and down in small steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from neurosim.core.errors import CapabilityError
from neurosim.devices.fitting.curved import (
    BREAKING,
    FALLING,
    POWER,
    UP_FIRST,
    Curve,
    breaking_move,
    falling_move,
    power_move,
)
from neurosim.devices.fitting.likelihood import Devices, fit_devices
from neurosim.devices.fitting.most_likely import largest_likelihood
from neurosim.devices.fitting.population import Values
from neurosim.devices.fitting.result import Largest, LawFit
from neurosim.devices.fitting.stepped_card import (
    CYCLE,
    REACH_DOWN,
    REACH_UP,
    SLOPE_DOWN,
    SLOPE_UP,
    UP,
    WRITE,
    Stepping,
    balance,
    card_numbers,
)
from neurosim.devices.fitting.tables import FEWEST_PULSES, Pulses, Trace
from neurosim.kernels.jit import jit

_SEEN = 0.5
"""What has a larger standard error of its logarithm than this is not seen."""
UNSETTLED = "the fit does not settle"
"""How the reason begins why a law was refused whose numbers the search did not find."""
_WEAK = 0.1
"""Share of the step that is lost from the origin to a bound, as a first guess."""
_POWERS = (1.0, 2.0)
"""First guesses of the exponents of `power-step`."""
_BEND, _RISE = 4.0, 3.0
"""First guesses of exponential steps: rate along the window, and how far the largest lie above the floor."""


@dataclass(frozen=True)
class StepLaw:
    """What tells one law of small steps from another."""

    name: str
    move: Callable[..., Any]
    slopes: bool = False
    """Whether all devices share slopes of the step, `SLOPE_UP` and `SLOPE_DOWN`."""
    soft: bool = False
    """Whether steps vanish at the device's own bounds."""
    curve: Curve | None = None
    """How steps depend on the conductance, where that is no line."""

    @property
    def balanced(self) -> bool:
        """Whether the origin is where the mean steps up and down are equal."""
        return self.curve is None and (self.soft or self.slopes)


@jit
def soft_move(place: float, up: bool, own: Any, size: Any, curve: Any) -> Any:
    """Mean change of one pulse under soft bounds, and the noise of one unit of `cycle_to_cycle`."""
    if up:
        step = size[0]
        return step * (1.0 - place / size[2]), step
    step = size[1]
    return -step * (1.0 + place / size[3]), step


@jit
def constant_move(place: float, up: bool, own: Any, size: Any, curve: Any) -> Any:
    """Mean change of one pulse of constant steps, and the noise of one unit of `cycle_to_cycle`."""
    step = size[0] if up else size[1]
    return (step if up else -step), step


@jit
def linear_move(place: float, up: bool, own: Any, size: Any, curve: Any) -> Any:
    """Mean change of one pulse of linear steps, and the noise of one unit of `cycle_to_cycle`, which follows the step."""
    step = size[0] * (1.0 - curve[2] * place) if up else -size[1] * (1.0 + curve[3] * place)
    return step, abs(step)


def soft_bounds(pulses: Pulses) -> LawFit:
    """Fit `soft-bounds`; raises `CapabilityError` if the data cannot tell its parameters."""
    return _fit(pulses, StepLaw("soft-bounds", soft_move, soft=True))


def constant_step(pulses: Pulses) -> LawFit:
    """Fit `constant-step`; raises `CapabilityError` if the data cannot tell its parameters."""
    return _fit(pulses, StepLaw("constant-step", constant_move))


def linear_step(pulses: Pulses) -> LawFit:
    """Fit `linear-step`, its noise following the step; raises `CapabilityError` if the data cannot tell."""
    return _fit(pulses, StepLaw("linear-step", linear_move, slopes=True))


def power_step(pulses: Pulses) -> LawFit:
    """Fit `power-step`; raises `CapabilityError` if the data cannot tell its parameters."""
    law = StepLaw("power-step", power_move, soft=True, curve=POWER)
    traces = traces_of(pulses)
    origin, own, _ = _start(traces, StepLaw("soft-bounds", soft_move, soft=True))
    starts = [(origin, own, np.log([power, power])) for power in _POWERS]
    return _curved(pulses, [(law, start) for start in starts], (law, np.log([_WEAK, _WEAK])))


def exp_step(pulses: Pulses) -> LawFit:
    """Fit `exp-step`, which falls to a floor or breaks down; raises `CapabilityError` if the data cannot tell."""
    falling = StepLaw("exp-step", falling_move, curve=FALLING)
    breaking = StepLaw("exp-step", breaking_move, curve=BREAKING)
    origin, own, _ = _start(traces_of(pulses), falling)
    tried: list[tuple[StepLaw, Start]] = [
        (falling, (origin, own, np.log([_RISE, _RISE, _BEND, _BEND]))),
        (breaking, (origin, own, np.log([1 / _RISE, 1 / _RISE, _BEND / 2, _BEND / 2]))),
    ]
    return _curved(pulses, tried, (falling, np.log([_WEAK, _WEAK, _BEND / 2, _BEND / 2])))


Start = tuple[float, Values, Values]
"""First guesses: origin, own numbers, shared ones behind those of noise."""


def _fit(pulses: Pulses, law: StepLaw) -> LawFit:
    traces = traces_of(pulses)
    starts = [_start(traces, law)]
    if law.slopes:
        starts.append(_nearly_constant(traces))
    return _best(pulses, [(law, start) for start in starts])


def traces_of(pulses: Pulses) -> list[Trace]:
    if min(pulses.fewest(1), pulses.fewest(-1)) < FEWEST_PULSES:
        raise CapabilityError(f"needs {FEWEST_PULSES} pulses of each polarity of every device")
    return list(pulses.traces)


def _best(pulses: Pulses, tried: list[tuple[StepLaw, Start]]) -> LawFit:
    """Return the most likely of the solutions that are reached from some starts."""
    return _told(_most_likely(list(pulses.traces), tried), pulses)


def _told(found: Stepping, pulses: Pulses) -> LawFit:
    """Return the numbers of a card, and what looks for the largest likelihood of the law, by which laws are ranked."""
    return replace(card_numbers(found, pulses.count), climb=found.devices.largest)


def _curved(pulses: Pulses, tried: list[tuple[StepLaw, Start]], flat: tuple[StepLaw, Values]) -> LawFit:
    """Return the numbers of the card of a curve; looked for from constant steps as well, nearly flat, if the search would end
    behind these, which the curve contains."""
    traces, refused = list(pulses.traces), None
    try:
        found = _most_likely(traces, tried)
    except CapabilityError as error:
        found, refused = None, error
    try:
        constant = _constant(traces)
        if found is None or found.devices.log_likelihood < constant.devices.log_likelihood:
            law, shared = flat
            again = _search(traces, law, constant.origin, constant.devices.own, shared)
            found = again if found is None else max(found, again, key=_likelihood)
    except CapabilityError:
        pass
    if found is None:
        raise refused or CapabilityError("no start leads to a fit")
    return _told(found, pulses)


def _likelihood(found: Stepping) -> float:
    return found.devices.log_likelihood


def _most_likely(traces: list[Trace], tried: list[tuple[StepLaw, Start]]) -> Stepping:
    found, reasons = [], []
    for law, start in tried:
        try:
            found.append(_search(traces, law, *start))
        except (CapabilityError, np.linalg.LinAlgError, ArithmeticError) as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    best = max(found, key=_likelihood)
    looks = [one.devices.largest for one in found if one.devices.largest is not None]

    @cache
    def largest() -> Largest:
        return max(look() for look in looks)

    return replace(best, devices=replace(best.devices, largest=largest))


def _search(traces: list[Trace], law: StepLaw, origin: float, own: Values, slopes: Values) -> Stepping:
    """Fit all numbers from one start; those that the data do not show are held where they matter least."""
    shared = np.array([*first_noise(traces), *slopes])
    free = list(range(len(shared)))
    for turn in range(8):
        before = origin
        limits = None if law.curve is None else law.curve.limits
        fitted = fit_devices(traces, law.move, origin, own, shared, free, limits)
        if turn and not fitted.converged:
            break
        origin, own, shared = _recentred(_stepping(law, before, fitted, free, traces))
        unseen = [k for k in free if fitted.shared_error[k] > _SEEN]
        ends = [] if limits is None else [k for k in free if shared[k] in (limits[0][k], limits[1][k])]
        if ends or unseen:
            worst = max(ends or unseen, key=lambda k: fitted.shared_error[k])
            free.remove(worst)
            if law.slopes and not {SLOPE_UP, SLOPE_DOWN} & set(free):
                raise CapabilityError("the steps do not depend on the conductance: they are constant-step")
            if law.curve is not None and not law.curve.tells(free):
                raise CapabilityError(law.curve.refusal)
            if not ends:
                shared[worst] = _nothing(worst, traces, law.curve)
        elif abs(origin - before) < 1e-3 * float(np.exp(own[:, UP]).mean()):
            break
    if not fitted.converged:
        raise CapabilityError(f"{UNSETTLED}: too few pulses, or of another kind")
    own, shared = fitted.own, fitted.shared

    @cache
    def largest() -> Largest:
        return largest_likelihood(traces, law.move, before, own, shared, free)

    return _stepping(law, before, replace(fitted, largest=largest), free, traces)


def _constant(traces: list[Trace]) -> Stepping:
    """Constant steps: what a law finds from there is no worse than the law that it contains."""
    law = StepLaw("constant-step", constant_move)
    return _search(traces, law, *_start(traces, law))


def _nearly_constant(traces: list[Trace]) -> Start:
    """First guesses of `linear-step` where constant steps would be right."""
    found = _constant(traces)
    own = found.devices.own
    return found.origin, own, np.log(_WEAK / np.exp(own[:, [REACH_UP, REACH_DOWN]]).mean(axis=0))


def _stepping(law: StepLaw, origin: float, fitted: Devices, free: list[int], traces: list[Trace]) -> Stepping:
    return Stepping(
        law.name,
        origin,
        fitted,
        {k: fitted.shared_estimate(k) for k in free},
        law.soft,
        law.slopes,
        tuple(trace.conductance_uS for trace in traces),
        law.curve,
    )


def _recentred(found: Stepping) -> tuple[float, Values, Values]:
    """Return the symmetry point and all numbers with it as origin; constant steps keep theirs."""
    own, shared = found.devices.own, found.devices.shared.copy()
    if not found.balanced:
        return found.origin, own, shared
    rates = found.rates(own)
    up, down, above, below = np.exp(own).T
    wanted = balance(own, rates, found.origin, np.ones(len(own))) - found.origin
    by = float(np.clip(wanted, -0.8 * below.mean(), 0.8 * above.mean()))
    smallest = 0.02 * float(np.mean(above + below))
    left = np.maximum(1 - rates[0] * by, 0.02), np.maximum(1 + rates[1] * by, 0.02)
    reach = np.maximum(above - by, smallest), np.maximum(below + by, smallest)
    if len(shared) > SLOPE_UP:
        shared[[SLOPE_UP, SLOPE_DOWN]] -= np.log([left[0][0], left[1][0]])
    return found.origin + by, np.log(np.stack([up * left[0], down * left[1], *reach], axis=1)), shared


def _start(traces: list[Trace], law: StepLaw) -> tuple[float, Values, Values]:
    """First guesses: origin, own numbers, slopes."""
    low, high = (np.array([np.quantile(t.conductance_uS, q) for t in traces]) for q in (0.02, 0.98))
    if not law.balanced:
        origin = float(low.mean() + high.mean()) / 2
        steps = np.array([[_middle_step(trace, sign) for sign in (1, -1)] for trace in traces])
        reach = np.stack([np.maximum(high - origin, 1e-6), np.maximum(origin - low, 1e-6)], axis=1)
        return origin, np.log(np.concatenate([steps, reach], axis=1)), np.zeros(0)
    lines = np.array([[*line(trace, 1, law.slopes), *line(trace, -1, law.slopes)] for trace in traces])
    up, soft_high, down, soft_low = lines.T
    origin = float((up @ soft_high + down @ soft_low) / (up.sum() + down.sum()))
    width = soft_high.mean() - soft_low.mean()
    above, below = np.maximum(soft_high - origin, 0.1 * width), np.maximum(origin - soft_low, 0.1 * width)
    steps = np.stack([up * above, down * below], axis=1)
    slopes = np.zeros(0)
    if law.slopes:
        slopes = np.log(np.array([up.sum(), down.sum()]) / steps.sum(axis=0))
        above, below = np.maximum(high - origin, 0.1 * width), np.maximum(origin - low, 0.1 * width)
    return origin, np.log(np.concatenate([steps, np.stack([above, below], axis=1)], axis=1)), slopes


def _middle_step(trace: Trace, sign: int) -> float:
    """Mean step of a polarity in the inner half of a device's range, away from its bounds."""
    g, change, _ = _changes(trace, sign)
    low, high = np.quantile(trace.conductance_uS, (0.25, 0.75))
    inside = (g > low) & (g < high)
    mean = sign * float(change[inside].mean() if inside.sum() > 4 else change.mean())
    return max(mean, 1e-3 * float(np.ptp(trace.conductance_uS)), 1e-9)


def _changes(trace: Trace, sign: int) -> tuple[Values, Values, Values]:
    """Conductance before pulses of a polarity, the change, and the conductance one pulse earlier."""
    at = np.flatnonzero(trace.sign == sign)
    at = at[at > 1]
    at = at[trace.sign[at - 1] != 0]
    g = trace.conductance_uS
    return g[at - 1], g[at] - g[at - 1], g[at - 2]


def line(trace: Trace, sign: int, inner: bool) -> tuple[float, float]:
    """Rate and bound of one direction: change = rate (bound - g).

    The conductance one pulse earlier serves as instrument: its write noise is not that of the change. `inner`
    leaves out what lies near hard bounds.
    """
    g, change, earlier = _changes(trace, sign)
    low, high = float(trace.conductance_uS.min()), float(trace.conductance_uS.max())
    width = max(high - low, 1e-9)
    if inner:
        kept = (earlier > low + 0.15 * width) & (earlier < high - 0.15 * width)
        g, change, earlier = (
            (part[kept] for part in (g, change, earlier)) if kept.sum() > 8 else (g, change, earlier)
        )
    centred = earlier - earlier.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        found = -np.mean(centred * change) / np.mean(centred * (g - g.mean()))
    rate = float(np.clip(found, 1e-4, 0.8)) if np.isfinite(found) else 0.05
    bound = float(g.mean() + change.mean() / rate)
    ends = (high - 0.1 * width, high + 2 * width) if sign > 0 else (low - 2 * width, low + 0.1 * width)
    return rate, float(np.clip(bound, *ends))


def first_noise(traces: list[Trace]) -> tuple[float, float]:
    """Cycle-to-cycle and write noise from the variance and the lag-1 covariance of changes."""
    total, together, step = [], [], []
    for trace in traces:
        change = np.diff(trace.conductance_uS)
        step.append(np.mean(np.abs(change)))
        for sign in (1, -1):
            change[trace.sign[1:] == sign] -= change[trace.sign[1:] == sign].mean()
        total.append(np.mean(change**2))
        together.append(np.mean(change[1:] * change[:-1]))
    variance = float(np.mean(total)) + 1e-18
    write = max(-float(np.mean(together)), 0.02 * variance)
    cycle = max(variance - 2 * write, 0.02 * variance)
    return float(0.5 * np.log(cycle) - np.log(np.mean(step))), float(0.5 * np.log(write))


def _nothing(kind: int, traces: list[Trace], curve: Curve | None) -> float:
    """Logarithm of a noise, or a slope, too small to matter, but not zero."""
    if curve is not None and kind >= UP_FIRST:
        return curve.nothing[kind - UP_FIRST]
    swing = float(np.mean([np.ptp(t.conductance_uS) for t in traces]))
    return math.log({CYCLE: 1e-3, WRITE: 1e-4 * swing}.get(kind, 1e-4 / swing))
