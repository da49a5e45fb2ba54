"""Laws whose steps shrink along a curve towards the bounds: exponential and power steps.

The filter knows a step by its size at the origin, which the data tell best; `Curve.raised` makes of it the step that the
law is written in, `Curve.numbers` the numbers of the curve on the card.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.devices.fitting.population import Estimate, Values
from neurosim.kernels.jit import jit

UP_FIRST, UP_SECOND = 2, 3
"""Places of the curve's numbers among those that devices share, behind the two of noise."""
Conventions = dict[str, tuple[float, str]]


@dataclass(frozen=True)
class Curve:
    """What the shared numbers of a curve, logarithms all, mean for the law."""

    nothing: tuple[float, ...]
    """What each is held at where the data do not show it."""
    most: tuple[float, ...]
    """What none exceeds; one that would is held there."""
    telling: tuple[tuple[int, ...], ...]
    """Places among the shared numbers: of one of these groups, all must show."""
    refusal: str
    """What is said where none does."""
    raised: Callable[[Values, Values], Values]
    """From (devices, 4) own numbers and the shared ones: (devices, 2) logarithms of the law's step, up and down, over the
    step at the origin."""
    numbers: Callable[[dict[int, Estimate], Values, float], tuple[dict[str, Estimate], Conventions]]
    """From estimates of the shared numbers that were seen, all of them, and how far the middle of the card's window lies
    above the origin as a share of it: numbers of the card, and those held."""

    @property
    def limits(self) -> tuple[Values, Values]:
        """Of all shared numbers, those of noise without any."""
        noise = [np.inf] * UP_FIRST
        least = [min(_FLAT, one) for one in self.nothing]
        return np.array([*(-x for x in noise), *least]), np.array([*noise, *self.most])

    def tells(self, free: Iterable[int]) -> bool:
        """Whether enough of the shared numbers shows."""
        return any(set(group) <= set(free) for group in self.telling)


@jit
def power_move(place: float, up: bool, own: Any, size: Any, curve: Any) -> Any:
    """Mean change of one pulse by a power of the distance ahead, and the noise of one unit."""
    if up:
        left = max(1.0 - place / size[2], 0.0)
        step = size[0] * left ** curve[2]
        return step, step
    left = max(1.0 + place / size[3], 0.0)
    step = size[1] * left ** curve[3]
    return -step, step


@jit
def falling_move(place: float, up: bool, own: Any, size: Any, curve: Any) -> Any:
    """Mean change of one pulse whose steps fall exponentially to a floor, and the noise of one unit."""
    share = place / (size[2] + size[3])
    most = 50.0
    if up:
        rise = curve[2]
        step = size[0] * (1 + rise * math.exp(min(-curve[4] * share, most))) / (1 + rise)
        return step, step
    rise = curve[3]
    step = size[1] * (1 + rise * math.exp(min(curve[5] * share, most))) / (1 + rise)
    return -step, step


@jit
def breaking_move(place: float, up: bool, own: Any, size: Any, curve: Any) -> Any:
    """Mean change of one pulse whose steps break down exponentially, the sooner the nearer to the bound ahead, and the noise
    of one unit."""
    share = place / (size[2] + size[3])
    most = 50.0
    if up:
        lost = curve[2] * math.expm1(min(curve[4] * share, most))
        step = size[0] * max(1 - lost, 0.0)
        return step, step
    lost = curve[3] * math.expm1(min(-curve[5] * share, most))
    step = size[1] * max(1 - lost, 0.0)
    return -step, step


def _power_raised(own: Values, shared: Values) -> Values:
    """The law's step is that at the opposite bound."""
    width = np.log(np.exp(own[:, 2]) + np.exp(own[:, 3]))
    found: Values = np.exp(shared[2:4]) * (width[:, None] - own[:, 2:4])
    return found


def _power_numbers(
    seen: dict[int, Estimate], shared: Values, shift: float
) -> tuple[dict[str, Estimate], Conventions]:
    numbers, held = {}, {}
    for k, way in ((2, "up"), (3, "down")):
        if k in seen:
            numbers[f"exponent_{way}"] = seen[k]
        else:
            why = f"steps {way} do not show that they depend on the conductance"
            held[f"exponent_{way}"] = float(np.exp(shared[k])), why
    return numbers, held


def _falling_raised(own: Values, shared: Values) -> Values:
    """The law's step is the floor."""
    return np.tile(-np.log1p(np.exp(shared[2:4])), (len(own), 1))


def _breaking_raised(own: Values, shared: Values) -> Values:
    """The law's step is that far behind."""
    return np.tile(np.log1p(np.exp(shared[2:4])), (len(own), 1))


def _exponential_numbers(falling: bool) -> Callable[..., tuple[dict[str, Estimate], Conventions]]:
    """Gains and rates of the law, with one convention for what its numbers have in common.

    `curve_slope` is a half, so that the rate counts along the whole window, or minus a half where steps fall.
    """

    def gain(of: Estimate) -> Estimate:
        if falling:
            return Estimate(-of.value, -of.high, -of.low)
        return Estimate(*(end / (1 + end) for end in (of.value, of.low, of.high)))

    def numbers(
        seen: dict[int, Estimate], shared: Values, shift: float
    ) -> tuple[dict[str, Estimate], Conventions]:
        sign = -1.0 if falling else 1.0
        found: dict[str, Estimate] = {}
        held: Conventions = {
            "curve_slope": (sign / 2, "definition: rates count along the window"),
            "curve_offset": (sign * shift, "definition: gains hold where steps were fitted"),
        }
        for k, way in ((2, "up"), (3, "down")):
            for name, place in ((f"curve_gain_{way}", k), (f"curve_rate_{way}", k + 2)):
                value = float(np.exp(shared[place]))
                estimate = seen.get(place, Estimate(value, value, value))
                estimate = gain(estimate) if "gain" in name else estimate
                if place in seen:
                    found[name] = estimate
                else:
                    held[name] = (
                        estimate.value,
                        f"the curve of steps {way} does not show; held where it does not matter",
                    )
        return found, held

    return numbers


_FLAT, _STRAIGHT, _MOST = float(np.log(0.03)), float(np.log(0.05)), float(np.log(50.0))
POWER = Curve(
    (_FLAT, _FLAT), (_MOST, _MOST), ((2,), (3,)),
    "the steps do not depend on the conductance: they are constant-step", _power_raised, _power_numbers,
)  # fmt: skip
_UNCURVED = "the steps do not show a curve; linear-step and constant-step have none"
_PAIRS = ((2, 4), (3, 5))
FALLING = Curve(
    (_FLAT, _FLAT, 0.0, 0.0),
    (_MOST,) * 4,
    ((4,), (5,)),
    _UNCURVED,
    _falling_raised,
    _exponential_numbers(True),
)
BREAKING = Curve(
    (_FLAT, _FLAT, _STRAIGHT, _STRAIGHT), (_MOST,) * 4, _PAIRS, _UNCURVED,
    _breaking_raised, _exponential_numbers(False),
)  # fmt: skip
STRAIGHT = (POWER.refusal, _UNCURVED)
"""What is said of a curve where steps have none: another law is no doubt then."""
