"""From devices fitted one by one to the parameters of a card: means and spreads over devices."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from neurosim.core.errors import CapabilityError
from neurosim.devices.fitting.curved import Curve
from neurosim.devices.fitting.likelihood import Devices
from neurosim.devices.fitting.population import (
    COVERAGE,
    FEWEST_DEVICES,
    Estimate,
    Population,
    Values,
    censored,
    jackknife,
    population,
    student,
)
from neurosim.devices.fitting.result import LawFit

UP, DOWN, REACH_UP, REACH_DOWN = range(4)
"""A device's numbers: logarithms of its steps at the origin and of its bounds' distances from it."""
CYCLE, WRITE, SLOPE_UP, SLOPE_DOWN = range(4)
"""Shared numbers: logarithms of cycle-to-cycle noise in steps, write noise in uS, slopes of the step per uS."""
_VAGUE = 0.35
"""A bound is known if the logarithm of its distance has a smaller standard error than this."""
_REACHED = 3.0
"""A hard bound is known if it raises the logarithm of the device's likelihood by more than this."""
_NUDGE = 1e-5


@dataclass(frozen=True)
class Stepping:
    """Devices of one law of small steps, fitted."""

    law: str
    origin: float
    devices: Devices
    shared: dict[int, Estimate]
    """Exponentials of the shared numbers that were seen."""
    soft: bool
    """Steps vanish at the device's own bounds."""
    slopes: bool
    """Steps shrink by slopes that all devices share."""
    seen: tuple[Values, ...]
    """Conductances of each device, uS."""
    curve: Curve | None = None
    """Steps depend on the conductance along a curve."""

    @property
    def balanced(self) -> bool:
        """The origin is the symmetry point."""
        return self.curve is None and (self.soft or self.slopes)

    def of_law(self, own: Values, shared: Values) -> Values:
        """Own numbers with the steps that the law is written in."""
        if self.curve is None:
            return own
        raised = own.copy()
        raised[:, [UP, DOWN]] += self.curve.raised(own, shared)
        return raised

    @property
    def covariance(self) -> Values:
        """Of the errors of these."""
        own, shared, covariance = self.devices.own, self.devices.shared, self.devices.covariance
        if self.curve is None:
            return covariance
        turn = np.empty_like(covariance)
        for k in range(own.shape[1]):
            moved = own.copy()
            moved[:, k] += _NUDGE
            turn[:, :, k] = (self.of_law(moved, shared) - self.of_law(own, shared)) / _NUDGE
        found: Values = turn @ covariance @ np.swapaxes(turn, 1, 2)
        return found

    def rates(self, own: Values) -> tuple[Values, Values]:
        """Share of each device's steps up and down that is lost for each uS from the origin."""
        if self.soft:
            return np.exp(-own[:, REACH_UP]), np.exp(-own[:, REACH_DOWN])
        up, down = (self.shared[k].value if k in self.shared else 0.0 for k in (SLOPE_UP, SLOPE_DOWN))
        return np.full(len(own), up), np.full(len(own), down)


def balance(own: Values, rates: tuple[Values, Values], origin: float, weight: Values) -> float:
    """Conductance at which the mean steps up and down are equal."""
    up, down = np.exp(own[:, UP]), np.exp(own[:, DOWN])
    return origin + float(weight @ (up - down) / (weight @ (up * rates[0] + down * rates[1])))


def card_numbers(found: Stepping, observations: int) -> LawFit:
    """Return the parameters of the card with their intervals; raises `CapabilityError` without bounds."""
    devices = _Devices(found)
    values, errors = devices.numbers_with_errors()
    low, high, state_max, _share, above, below, step = values
    if not 0 < state_max < 2:
        raise CapabilityError("steps up and down are equal nowhere within the window")
    width = student(devices.n) if devices.n >= FEWEST_DEVICES else stats.norm.ppf((1 + COVERAGE) / 2)
    relative = width * errors / np.abs(values)
    over = {
        name: Estimate(float(v), float(v - width * e), float(v + width * e))
        for name, v, e in zip(("g_min_uS", "g_max_uS", "state_max", "step"), values, errors, strict=False)
    }
    fixed: dict[str, tuple[float, str]] = {"state_min": (float(state_max) - 2, "definition: state_max - 2")}
    for name, bound, extreme in zip(
        ("g_max_uS", "g_min_uS"), devices.bounds, ("largest", "smallest"), strict=True
    ):
        if bound is None:
            fixed[name] = (
                over.pop(name).value,
                f"mean of the {extreme} conductances seen, no bound was reached",
            )
    if not found.balanced:
        fixed["state_max"] = over.pop("state_max").value, "definition: the origin is in the middle"

    def put(name: str, estimate: Estimate | None, unit: float, half_width: float) -> None:
        if estimate is not None and estimate.value != 0:
            over[name] = estimate.times(1 / unit).widened(half_width)

    put("step_spread_lognormal" if devices.lognormal else "step_spread", devices.steps.spread,
        1.0 if devices.lognormal else step, 0.0 if devices.lognormal else relative[6])  # fmt: skip
    for name, bound, distance, half_width in zip(
        ("state_max_spread", "state_min_spread"), devices.bounds, (above, below), relative[4:], strict=False
    ):
        put(name, bound.spread if bound is not None else None, distance, half_width)
    put("asymmetry", devices.asymmetry, step, 0.0)
    put("asymmetry_spread", devices.tilts.spread, step, relative[6])
    put("cycle_to_cycle", found.shared.get(CYCLE), 1.0, 0.0)
    put("write_noise", found.shared.get(WRITE), step, relative[6])
    if found.slopes:
        for name, k, distance, half_width in (
            ("slope_up", SLOPE_UP, above, relative[4]),
            ("slope_down", SLOPE_DOWN, below, relative[5]),
        ):
            put(name, found.shared.get(k), 1 / distance, half_width)
            if k not in found.shared:
                fixed[name] = (
                    0.0,
                    f"steps {name.removeprefix('slope_')} do not show that they depend on the conductance",
                )
    if found.curve is not None:
        shift = ((low + high) / 2 - found.origin) / (high - low)
        curve, held = found.curve.numbers(found.shared, found.devices.shared, float(shift))
        over |= curve
        fixed |= held
    return LawFit(
        found.law, over, fixed, found.devices.log_likelihood, found.devices.parameters, observations,
        found.devices.steps, devices.shown(), devices.notes(),
    )  # fmt: skip


class _Devices:
    """Steps and bounds over devices."""

    def __init__(self, found: Stepping):
        self.found, self.n = found, len(found.devices.own)
        self.own = found.of_law(found.devices.own, found.devices.shared)
        self.covariance = covariance = found.covariance
        up, down, above, below = np.exp(self.own).T
        error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))[:, REACH_UP:]
        self.known = error < _VAGUE
        if not found.soft:  # the steps say nothing of hard bounds
            self.known &= found.devices.evidence > _REACHED
        told = self.known.sum(axis=0) >= max(1, self.n / 2)
        if found.soft and not told.all():
            raise CapabilityError(
                "the steps of too few devices shrink towards a bound; give more pulses in a row"
            )
        self.reach_error = error * np.stack([above, below], axis=1)
        self.ends_seen = np.array([[g.max() - found.origin, found.origin - g.min()] for g in found.seen])
        self.bounds = [self._bound(k) if told[k] else None for k in (0, 1)]
        a, b = covariance[:, UP, UP] * up**2, covariance[:, DOWN, DOWN] * down**2
        both = 2 * covariance[:, UP, DOWN] * up * down
        e_mean, e_gap = np.sqrt(np.maximum(a + b + both, 0)) / 2, np.sqrt(np.maximum(a + b - both, 0))
        gap = population(up - down, e_gap).mean
        clear = not found.balanced and not gap.low <= 0 <= gap.high
        self.asymmetry = gap if clear else None
        self.tilts = population((up - down) / 2, e_gap / 2)
        steps = self._steps(self.own)
        self.lognormal = _is_lognormal(steps)
        self.steps = (
            population(np.log(steps), e_mean / steps) if self.lognormal else population(steps, e_mean)
        )

    def _bound(self, side: int) -> Population:
        at = self.known[:, side]
        found = population(np.exp(self.own[at, REACH_UP + side]), self.reach_error[at, side])
        if found.spread is None or not self._censored(side):
            return found
        spread, error = jackknife(lambda weight: self._beyond(self.own, weight, side)[1:], self.n)
        half = student(self.n) * float(error[0])
        return replace(
            found,
            spread=Estimate(float(spread[0]), max(float(spread[0]) - half, 0.0), float(spread[0]) + half),
        )

    def _censored(self, side: int) -> bool:
        """Whether some devices did not reach their hard bound: it lies beyond what was seen of them."""
        known = self.known[:, side]
        return not (self.found.soft or known.all()) and int(known.sum()) >= FEWEST_DEVICES

    def _beyond(self, own: Values, weight: Values, side: int) -> Values:
        """Mean and spread of the distance of a bound that some devices did not reach."""
        at = self.known[:, side]
        return np.array(
            censored(
                np.exp(own[at, REACH_UP + side]), self.reach_error[at, side] ** 2, self.ends_seen[~at, side],
                np.concatenate([weight[at], weight[~at]]),
            )
        )  # fmt: skip

    def _steps(self, own: Values) -> Values:
        """Each device's step; with unequal directions the larger one's."""
        mean: Values = (np.exp(own[:, UP]) + np.exp(own[:, DOWN])) / 2
        return mean if self.asymmetry is None else mean + abs(self.asymmetry.value) / 2

    def _reach(self, own: Values, weight: Values, side: int) -> float:
        """Mean distance of a bound from the origin."""
        bound, at = self.bounds[side], self.known[:, side]
        if bound is None:
            return float(weight @ self.ends_seen[:, side] / weight.sum())
        if self._censored(side):
            return float(self._beyond(own, weight, side)[0])
        share = bound.weights * weight[at]
        return float(share @ np.exp(own[at, REACH_UP + side]) / share.sum())

    def numbers(self, own: Values, weight: Values) -> Values:
        """Lower and upper bound, state_max, step, distances of both bounds from rest, step in uS."""
        found, share = self.found, self.steps.weights * weight
        high = found.origin + self._reach(own, weight, 0)
        low = found.origin - self._reach(own, weight, 1)
        rest = balance(own, found.rates(own), found.origin, weight) if found.balanced else (high + low) / 2
        steps = self._steps(own)
        mean = share @ (np.log(steps) if self.lognormal else steps) / share.sum()
        step = float(np.exp(mean)) if self.lognormal else float(mean)
        half = (high - low) / 2
        return np.array([low, high, (high - rest) / half, step / half, high - rest, rest - low, step])

    def numbers_with_errors(self) -> tuple[Values, Values]:
        """Return the numbers with standard errors: by the jackknife over devices, or of each device's own errors.

        Where steps follow a curve, the errors of its numbers are among them.
        """
        if self.n >= FEWEST_DEVICES:
            values, errors = jackknife(lambda weight: self.numbers(self.own, weight), self.n)
            return values, np.sqrt(errors**2 + self._of_curve(values))
        everyone = np.ones(self.n)
        values, variance = self.numbers(self.own, everyone), 0.0
        for k in range(self.n):
            slope = np.empty((len(values), self.own.shape[1]))
            for j in range(self.own.shape[1]):
                moved = self.own.copy()
                moved[k, j] += _NUDGE
                slope[:, j] = (self.numbers(moved, everyone) - values) / _NUDGE
            variance = variance + np.einsum("ij,jk,ik->i", slope, self.covariance[k], slope)
        return values, np.sqrt(variance + self._of_curve(values))

    def _of_curve(self, values: Values) -> Values:
        """Variance that the curve's numbers bring, which the devices' own numbers follow."""
        found, fitted = np.zeros(len(values)), self.found.devices
        for k in range(SLOPE_UP, len(fitted.shared)) if self.found.curve is not None else ():
            shared = fitted.shared.copy()
            shared[k] += _NUDGE
            own = self.found.of_law(fitted.own + _NUDGE * fitted.lean[:, :, k], shared)
            change = (self.numbers(own, np.ones(self.n)) - values) / _NUDGE
            found += (change * fitted.shared_error[k]) ** 2
        return found

    def notes(self) -> tuple[str, ...]:
        """Say where bounds of some devices are not known."""
        return tuple(
            f"{name}: not reached by any device."
            if told == 0
            else f"{name}: not reached by {self.n - told} of {self.n} devices; "
            + (
                "theirs lie beyond what was seen of them."
                if self._censored(side)
                else "those that were lie nearer."
            )
            for side, (name, told) in enumerate(
                zip(("Upper bound", "Lower bound"), self.known.sum(axis=0), strict=True)
            )
            if told < self.n
        )

    def shown(self) -> dict[str, tuple[Values, Values]]:
        """Bounds of single devices with their standard errors, for the figure."""
        pairs = {}
        for side, name in enumerate(("upper bound", "lower bound")):
            at, sign = self.known[:, side], 1 - 2 * side
            if at.any():
                reach = np.exp(self.own[at, REACH_UP + side])
                pairs[name] = self.found.origin + sign * reach, self.reach_error[at, side]
        return pairs


def _is_lognormal(steps: Values) -> bool:
    """Whether the steps of devices are more likely from a lognormal than from a normal distribution."""
    logs = np.log(steps)
    return float(np.log(steps.std() + 1e-300) - np.log(logs.std() + 1e-300) - logs.mean()) >= 0
