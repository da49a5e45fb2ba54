"""Devices known by a non-linearity label: curves over the pulse number, as in NeuroSim's tables.

Potentiation follows ``G(P) = G_min + B (1 - exp(-bend P / P_max))``, which ends at G_max; depression follows
such a curve backwards. The label is the largest deviation from a straight line, times 10.1015.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, ClassVar

import numpy as np

from neurosim.core.protocols import DeviceKernels
from neurosim.devices import bipolar
from neurosim.devices.bipolar import Bipolar, SlopedState, settle
from neurosim.devices.parameters import quantity
from neurosim.kernels.jit import inlined
from neurosim.kernels.random import normal, philox

LABEL_PER_DEVIATION = 10.1015
"""Label of a curve for each unit of its largest deviation, both in shares of the window."""
LARGEST_LABEL = 9.0
STRAIGHT = 0.01
"""Labels below this are taken as proportional to the bend."""
NEWTON_STEPS = 12

_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)

LabelParams = bipolar.numbers(
    "LabelParams", __name__, *bipolar.PULSED,
    "g_min_uS", "g_max_uS", "pulses_up", "pulses_down", "bend_up", "bend_down",
    "nonlinearity_up", "nonlinearity_down", "nonlinearity_spread",
)  # fmt: skip


def deviation(bend: float) -> float:
    """Largest deviation of the curve of that bend, P_max / A, from a straight line, as a share of the window."""
    rise = -1 / math.expm1(-bend)
    return rise - (1 + math.log(rise * bend)) / bend


@cache
def bend_of(label: float) -> float:
    """Return P_max / A of the curve with that label; negative (convex) for a negative label.

    Solved by bracketing A / P_max between 1/500 and 500.
    """
    from scipy.optimize import brentq

    size = abs(label) / LABEL_PER_DEVIATION
    if abs(label) < STRAIGHT:
        return math.copysign(8 * size, label)
    bend = brentq(lambda bend: deviation(bend) - size, 1 / 500, 500, xtol=1e-15, rtol=1e-14)
    return math.copysign(float(bend), label)


def first_share(bend: float, pulses: float) -> float:
    """Share of the window that the curve's first pulse covers."""
    return math.expm1(-bend / pulses) / math.expm1(-bend) if bend else 1 / pulses


@inlined
def own_bend(label: Any) -> Any:
    """Solve for the bend of one device's label, as `bend_of` does, by Newton's method from the left."""
    size = min(abs(np.float64(label)), LARGEST_LABEL) / LABEL_PER_DEVIATION
    bend = 8 * size
    if size * LABEL_PER_DEVIATION >= STRAIGHT:
        for _ in range(NEWTON_STEPS):
            rise = -1 / np.expm1(-bend)
            fold = np.log(rise * bend)
            slope = fold / (bend * bend) + (rise - 1) / bend - rise * (rise - 1)
            bend += (size - (rise - (1 + fold) / bend)) / slope
    return bend if label > _ZERO else -bend


@inlined
def construct(cell: int, state: Any, params: Any, key: Any) -> None:
    window_uS = params.g_max_uS - params.g_min_uS
    up, down = np.float64(params.bend_up), np.float64(params.bend_down)
    if params.nonlinearity_spread > _ZERO:
        a, b, _, _ = philox(cell, 0, 0, key)
        up = own_bend(params.nonlinearity_up + params.nonlinearity_spread * normal(a))
        down = own_bend(-(params.nonlinearity_down + params.nonlinearity_spread * normal(b)))
    first_up, first_down = 1 / np.float64(params.pulses_up), 1 / np.float64(params.pulses_down)
    if up != 0.0:
        first_up = np.expm1(-up * first_up) / np.expm1(-up)
    if down != 0.0:
        first_down = np.expm1(-down * first_down) / np.expm1(-down)
    state.step_up[cell] = first_up * window_uS
    state.step_down[cell] = first_down * window_uS
    state.slope_up[cell] = -np.expm1(-up) / window_uS
    state.slope_down[cell] = -np.expm1(-down) / window_uS
    state.upper[cell] = params.g_max_uS
    state.lower[cell] = params.g_min_uS
    settle(cell, params.g_rest_uS, state)


@inlined
def share(cell: int, g: Any, sign: Any, xi: Any, state: Any, params: Any) -> Any:
    up = sign > _ZERO
    step = state.step_up[cell] if up else state.step_down[cell]
    slope = state.slope_up[cell] if up else state.slope_down[cell]
    gone_uS = g - params.g_min_uS if up else params.g_max_uS - g
    return _ONE - slope * gone_uS + params.cycle_to_cycle * xi * (params.span_uS / step)


class LabelledCurve(Bipolar):
    """Exponential curves over the pulse number, given by a non-linearity label (NeuroSim's device tables).

    With ``k = 1 - exp(-bend / pulses)`` and ``B = window / (1 - exp(-bend))``, one pulse up adds
    ``k (B + G_min - G)``, one down takes ``k (B - G_max + G)``, each with the bend and pulses of its
    direction, plus ``window cycle_to_cycle xi``. A positive label up and a negative one down start with
    large steps that shrink; the opposite signs start small.
    """

    law: ClassVar[str] = "nonlinearity-label"
    own_kernels: ClassVar[DeviceKernels] = bipolar.kernels(share, construct)
    params_type: ClassVar[Any] = LabelParams
    state_type: ClassVar[Any] = SlopedState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32,) * 8

    pulses_up: float = quantity("1", ge=2)
    """Identical pulses from the lower to the upper end."""
    pulses_down: float = quantity("1", ge=2)
    nonlinearity_up: float = quantity("1", ge=-LARGEST_LABEL, le=LARGEST_LABEL)
    nonlinearity_down: float = quantity("1", ge=-LARGEST_LABEL, le=LARGEST_LABEL)
    nonlinearity_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of each label."""
    cycle_to_cycle: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of one pulse, as a share of the window."""

    @property
    def span_uS(self) -> float:
        """The window."""
        return self.g_max_uS - self.g_min_uS

    @property
    def bend_up(self) -> float:
        """P_max / A of potentiation."""
        return bend_of(self.nonlinearity_up)

    @property
    def bend_down(self) -> float:
        """P_max / A of depression, counted from the upper end: the sign of the label turns."""
        return bend_of(-self.nonlinearity_down)

    def _shares(self, place: float) -> tuple[float, float]:
        up = first_share(self.bend_up, self.pulses_up) * (1 + math.expm1(-self.bend_up) * place)
        down = first_share(self.bend_down, self.pulses_down) * (1 + math.expm1(-self.bend_down) * (1 - place))
        return up, down

    @property
    def place_rest(self) -> float:
        """Share of the window below the symmetry point; one half where no point draws alternating pulses."""
        (up_low, down_low), (up_high, down_high) = self._shares(0.0), self._shares(1.0)
        low, high = up_low - down_low, up_high - down_high
        return low / (low - high) if low > 0 > high else 0.5

    @property
    def g_rest_uS(self) -> float:
        """The symmetry point: up and down steps are equal there."""
        return self.g_min_uS + self.place_rest * self.span_uS

    @property
    def step(self) -> float:
        """Mean step at the symmetry point, as a share of the window."""
        return sum(self._shares(self.place_rest)) / 2

    @property
    def nominal_step_uS(self) -> float:
        """The mean step at the symmetry point."""
        return self.step * self.span_uS
