"""Devices known by a table: mean steps at some conductances, or the measured spread of steps at each."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import model_validator

from neurosim.core.errors import InputError
from neurosim.core.protocols import DeviceKernels
from neurosim.devices import bipolar
from neurosim.devices.bipolar import Bipolar, BipolarState, Curved, settle
from neurosim.devices.parameters import Table, quantity
from neurosim.kernels.jit import inlined

NORMAL_SCORES = np.linspace(-3.0, 3.0, 25)
"""Standard normals at which the kernels hold the quantiles of a step."""
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)

PiecewiseParams = bipolar.numbers("PiecewiseParams", __name__, *bipolar.STEPPED, "shares_up", "shares_down")
MeasuredParams = bipolar.numbers(
    "MeasuredParams", __name__, *bipolar.PULSED, "g_min_uS", "g_max_uS", "scores_up_uS", "scores_down_uS"
)


@inlined
def between(values: Any, place: Any) -> Any:
    """Interpolate equally spaced values at a place from 0 to 1."""
    x = min(max(place, _ZERO), _ONE) * np.float32(values.size - 1)
    k = min(int(x), values.size - 2)
    return values[k] + (values[k + 1] - values[k]) * (x - np.float32(k))


@inlined
def piecewise_share(cell: int, g: Any, sign: Any, xi: Any, state: Any, params: Any) -> Any:
    place = (g - state.lower[cell]) / (state.upper[cell] - state.lower[cell])
    share = between(params.shares_up, place) if sign > _ZERO else between(params.shares_down, place)
    return share * (_ONE + params.cycle_to_cycle * xi)


@inlined
def measured_construct(cell: int, state: Any, params: Any, key: Any) -> None:
    state.step_up[cell], state.step_down[cell] = _ONE, _ONE
    state.upper[cell], state.lower[cell] = params.g_max_uS, params.g_min_uS
    settle(cell, params.g_rest_uS, state)


@inlined
def measured_share(cell: int, g: Any, sign: Any, xi: Any, state: Any, params: Any) -> Any:
    """The change in uS, along the pulse's own direction, at the quantile of xi."""
    scores = params.scores_up_uS if sign > _ZERO else params.scores_down_uS
    rows, cols = scores.shape[0], scores.shape[1] - 1
    x = min(max((g - params.g_min_uS) / (params.g_max_uS - params.g_min_uS), _ZERO), _ONE) * np.float32(
        rows - 1
    )
    z = (xi + np.float32(3.0)) / np.float32(6.0)
    y = min(max(z, _ZERO), _ONE) * np.float32(cols - 1)
    k, m = min(int(x), rows - 2), min(int(y), cols - 2)
    u, v = x - np.float32(k), y - np.float32(m)
    low = scores[k, m] + v * (scores[k, m + 1] - scores[k, m])
    high = scores[k + 1, m] + v * (scores[k + 1, m + 1] - scores[k + 1, m])
    mean = scores[k, cols] + u * (scores[k + 1, cols] - scores[k, cols])
    return sign * (mean + params.cycle_to_cycle * (low + u * (high - low) - mean))


class PiecewiseStep(Curved):
    """Steps whose mean is given at equally spaced conductances and linear in between (aihwkit's piecewise step).

    One pulse makes ``s +- step share(place) (1 + cycle_to_cycle xi)``; place runs from the device's own lower
    bound, 0, to its upper one, 1.
    """

    law: ClassVar[str] = "piecewise-step"
    own_kernels: ClassVar[DeviceKernels] = bipolar.kernels(piecewise_share)
    params_type: ClassVar[Any] = PiecewiseParams

    shares_up: Table = quantity("1")
    """Shares of `step` that a pulse up takes, from the lower to the upper bound, at least two."""
    shares_down: Table = quantity("1")

    @model_validator(mode="after")
    def _enough_shares(self) -> Self:
        for name in ("shares_up", "shares_down"):
            shares = getattr(self, name)
            if len(shares) < 2 or min(shares) < 0:
                raise ValueError(f"{name}: at least two, none negative")
        return self

    def shares(self, state: float) -> tuple[float, float]:
        place = (state - self.state_min) / (self.state_max - self.state_min)
        up, down = (
            float(np.interp(place, np.linspace(0, 1, len(shares)), shares))
            for shares in (self.shares_up, self.shares_down)
        )
        return self.gain_up * up, self.gain_down * down


class MeasuredSteps(Bipolar):
    """Steps drawn from measured quantiles at equally spaced conductances, without any assumed form.

    Row k of a table belongs to the conductance ``g_min + k (g_max - g_min) / (rows - 1)``, column m to the
    probability ``(m + 1/2) / columns``; in between both are interpolated. `steps_of` makes the tables from
    measured traces. All devices are alike; give them `added_step_spread` where they are not.
    """

    law: ClassVar[str] = "measured-steps"
    own_kernels: ClassVar[DeviceKernels] = bipolar.kernels(measured_share, measured_construct)
    params_type: ClassVar[Any] = MeasuredParams
    state_type: ClassVar[Any] = BipolarState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32,) * 6

    cycle_to_cycle: float | None = quantity("1", 1.0, noise=True, ge=0)
    """1: steps spread as measured; None: every step is the mean at its conductance."""
    changes_up_uS: tuple[Table, ...] = quantity("uS")
    changes_down_uS: tuple[Table, ...] = quantity("uS")
    """With their sign: mostly negative."""

    @model_validator(mode="after")
    def _tables_are_quantiles(self) -> Self:
        for name in ("changes_up_uS", "changes_down_uS"):
            rows = getattr(self, name)
            if len(rows) < 2 or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
                raise ValueError(f"{name}: at least two rows of equally many quantiles, at least two")
            if any(b < a for row in rows for a, b in pairwise(row)):
                raise ValueError(f"{name}: the quantiles of a row must not fall")
        up, down = self._means()
        if not (up[0] + down[0] > 0 > up[-1] + down[-1]):
            raise ValueError("steps up and down do not balance anywhere in the window")
        return self

    def _means(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.mean(self.changes_up_uS, axis=1), np.mean(self.changes_down_uS, axis=1)

    def _scores(self, rows: tuple[Table, ...]) -> tuple[Table, ...]:
        from scipy.stats import norm

        columns = len(rows[0])
        at = (np.arange(columns) + 0.5) / columns
        wanted = norm.cdf(NORMAL_SCORES)
        return tuple((*map(float, np.interp(wanted, at, row)), float(np.mean(row))) for row in rows)

    @property
    def scores_up_uS(self) -> tuple[Table, ...]:
        """Quantiles of changes up at equally spaced standard normals, then the mean."""
        return self._scores(self.changes_up_uS)

    @property
    def scores_down_uS(self) -> tuple[Table, ...]:
        """Quantiles of changes down at equally spaced standard normals, then the mean."""
        return self._scores(self.changes_down_uS)

    @property
    def g_rest_uS(self) -> float:
        """Where the mean steps up and down are equal."""
        up, down = self._means()
        sums = up + down
        k = int(np.flatnonzero((sums[:-1] > 0) & (sums[1:] <= 0))[0])
        place = (k + sums[k] / (sums[k] - sums[k + 1])) / (len(sums) - 1)
        return float(self.g_min_uS + place * self.span_uS)

    @property
    def span_uS(self) -> float:
        """The window."""
        return self.g_max_uS - self.g_min_uS

    @property
    def step(self) -> float:
        """The mean step up at the symmetry point, as a share of the window."""
        places = np.linspace(self.g_min_uS, self.g_max_uS, len(self.changes_up_uS))
        return float(np.interp(self.g_rest_uS, places, self._means()[0])) / self.span_uS

    @property
    def nominal_step_uS(self) -> float:
        """The mean step at the symmetry point."""
        return self.step * self.span_uS


def steps_of(
    conductance_uS: ArrayLike,
    pulses: ArrayLike,
    g_min_uS: float,
    g_max_uS: float,
    rows: int = 9,
    quantiles: int = 16,
) -> dict[str, tuple[Table, ...]]:
    """Make the tables of `MeasuredSteps` from measured traces.

    Parameters
    ----------
    conductance_uS : (pulses + 1, devices) array_like
        Conductance before the first and after each pulse.
    pulses : (pulses,) array_like of int
        +1 or -1.
    g_min_uS, g_max_uS : float
        Window of the device.
    rows, quantiles : int
        Conductances and quantiles of the tables.

    Returns
    -------
    tables : dict
        `changes_up_uS` and `changes_down_uS`.

    Raises
    ------
    InputError
        If a shape is wrong, or fewer than ten steps were measured near one of the conductances.
    """
    traces = np.atleast_2d(np.asarray(conductance_uS, np.float64))
    signs = np.asarray(pulses)
    if traces.ndim != 2 or signs.shape != (len(traces) - 1,) or not np.isin(signs, (-1, 1)).all():
        raise InputError("conductance_uS (pulses + 1, devices) and pulses (pulses,) of +1 and -1 do not fit")
    if not np.isfinite(traces).all():
        raise InputError("conductance_uS: every element must be finite")
    start, change = traces[:-1], np.diff(traces, axis=0)
    nodes = np.linspace(g_min_uS, g_max_uS, rows)
    nearest = np.clip(np.rint((start - g_min_uS) / (g_max_uS - g_min_uS) * (rows - 1)), 0, rows - 1)
    at = (np.arange(quantiles) + 0.5) / quantiles
    tables: dict[str, tuple[Table, ...]] = {}
    for name, sign in (("changes_up_uS", 1), ("changes_down_uS", -1)):
        table = []
        for k in range(rows):
            seen = change[(signs == sign)[:, None] & (nearest == k)]
            if seen.size < 10:
                raise InputError(
                    f"{name}: only {seen.size} steps were measured around {nodes[k]:.3g} uS; at least 10 are "
                    "needed: measure more pulses, narrow the window, or ask for fewer rows"
                )
            table.append(tuple(float(q) for q in np.quantile(seen, at)))
        tables[name] = tuple(table)
    return tables
