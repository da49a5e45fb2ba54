"""Fitter of curves with a non-linearity label: window, pulses from end to end, labels and their spread over devices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import minimize

from neurosim.core.errors import CapabilityError
from neurosim.devices.fitting.bipolar import first_noise, line, traces_of
from neurosim.devices.fitting.likelihood import Devices, fit_devices
from neurosim.devices.fitting.population import COVERAGE, Estimate, Values, population
from neurosim.devices.fitting.result import LawFit
from neurosim.devices.fitting.tables import Pulses, Trace
from neurosim.devices.label import LABEL_PER_DEVIATION, LARGEST_LABEL, LabelledCurve, deviation
from neurosim.kernels.jit import jit

BEND_UP, BEND_DOWN = 0, 1
CYCLE, WRITE, PULSES_UP, PULSES_DOWN = range(4)
_HELD = np.array([4.0, 4.0, 1e-4, 1e-4])
"""Standard deviations of the hold on each device's numbers: all devices have the same ends."""
_STEEPEST = 4.0
"""First guess of a bend where steps seem to vanish within the window."""
_PUSHED, _HALF = 3, 0.5
"""An end is known if so many pulses led beyond it, of that share of the devices."""
_SEEN = 0.5
"""Noise that has a larger standard error of its logarithm than this is not seen."""
_FAR, _NUDGE = 0.3, 0.02
Names = tuple[str, ...]
_NUMBERS: Names = (
    "pulses_up", "pulses_down", "nonlinearity_up", "nonlinearity_down", "cycle_to_cycle", "write_noise",
)  # fmt: skip


@jit
def label_move(place: float, up: bool, own: Any, size: Any, curve: Any) -> Any:
    """Mean change of one pulse along the curve, and the window, whose share the noise is."""
    above, below = size[2], size[3]
    window = above + below
    bend, pulses = (own[0], curve[2]) if up else (own[1], curve[3])
    gone = (place + below if up else above - place) / window
    if abs(bend) < 1e-6:
        step = window / pulses
    else:
        step = window * math.expm1(-bend / pulses) / math.expm1(-bend) * (1.0 + math.expm1(-bend) * gone)
    return (step if up else -step), window


def nonlinearity_label(pulses: Pulses) -> LawFit:
    """Fit `nonlinearity-label`; raises `CapabilityError` if the data cannot tell its parameters."""
    traces = traces_of(pulses)
    found = _Curves(traces)
    known = found.search()
    fitted, reach = found.fitted, found.reach
    values, errors, spread = found.numbers(fitted, reach)
    for side in np.flatnonzero(known):
        moved = reach.copy()
        moved[side] += _NUDGE
        change = (found.numbers(found.fit(moved), moved)[0] - values) / _NUDGE
        errors = np.hypot(errors, change * found.reach_error[side])
    low, high = found.ends(reach)
    if max(abs(values[2]), abs(values[3])) > LARGEST_LABEL:
        raise CapabilityError(f"steps fall more than a label of {LARGEST_LABEL:g} can say")
    if min(values[:2]) < 2:
        raise CapabilityError("fewer than two pulses lead from end to end")
    half = float(stats.norm.ppf((1 + COVERAGE) / 2)) * errors
    over: dict[str, Estimate] = {}
    unseen = [name for name, k in (("cycle_to_cycle", CYCLE), ("write_noise", WRITE)) if k not in found.free]
    for name, value, width in zip(_NUMBERS, values, half, strict=True):
        if name in unseen:
            continue
        if value > 0 and not name.startswith("nonlinearity"):
            over[name] = Estimate(*(float(value * np.exp(s * width / value)) for s in (0, -1, 1)))
        elif value != 0:
            over[name] = Estimate(float(value), float(value - width), float(value + width))
    fixed: dict[str, tuple[float, str]] = {}
    for side, (name, end, which) in enumerate((("g_max_uS", high, "largest"), ("g_min_uS", low, "smallest"))):
        if known[side]:
            width = float(stats.norm.ppf((1 + COVERAGE) / 2) * found.reach_error[side] * np.exp(reach[side]))
            over[name] = Estimate(end, end - width, end + width)
        else:
            fixed[name] = end, f"{which} conductance seen, no end was reached"
    if spread is not None and spread.value > 0:
        over["nonlinearity_spread"] = spread
    return LawFit(
        "nonlinearity-label", over, fixed, fitted.log_likelihood, 2 * len(traces) + len(found.free) + int(known.sum()),
        pulses.count, fitted.steps,
    )  # fmt: skip


class _Curves:
    """All devices along curves between the same two ends."""

    def __init__(self, traces: Sequence[Trace]):
        self.traces = traces
        tops, bottoms = (
            np.array([np.quantile(t.conductance_uS, q) for t in traces]).mean() for q in (0.99, 0.01)
        )
        self.origin = float(tops + bottoms) / 2
        self.reach = np.log(np.full(2, (tops - bottoms) / 2))
        self.reach_error = np.zeros(2)
        largest, smallest = (f([f(t.conductance_uS) for t in traces]) for f in (np.max, np.min))
        self.seen = np.log([float(largest) - self.origin, self.origin - float(smallest)])
        """Logarithms of how far the outermost reads are."""
        self.free = list(range(4))
        self.own, self.shared = self._start(float(bottoms), float(tops))
        self.fitted = self.fit(self.reach)

    def _start(self, low: float, high: float) -> tuple[Values, Values]:
        lines = np.array([[*line(trace, 1, True), *line(trace, -1, True)] for trace in self.traces])
        window = high - low
        bends, counts = [], []
        for rate, beyond in ((lines[:, 0], lines[:, 1] - low), (lines[:, 2], high - lines[:, 3])):
            left = np.maximum(1 - window / np.maximum(beyond, 1e-9), np.exp(-_STEEPEST))
            bends.append(-np.log(left))
            counts.append(float(np.mean(bends[-1] / -np.log1p(-rate))))
        own = np.concatenate([np.stack(bends, axis=1), np.tile(self.reach, (len(self.traces), 1))], axis=1)
        cycle, write = first_noise(list(self.traces))
        size = np.mean([np.mean(np.abs(np.diff(t.conductance_uS))) for t in self.traces]) / window
        return own, np.array([cycle + np.log(size), write, *np.log(np.maximum(counts, 2.0))])

    def fit(self, reach: Values) -> Devices:
        """Fit everything else between given ends."""
        own = self.own.copy()
        own[:, 2:] = reach
        found = fit_devices(
            self.traces, label_move, self.origin, own, self.shared, self.free,
            (np.full(4, -np.inf), np.array([np.inf, np.inf, 12.0, 12.0])), _HELD,
        )  # fmt: skip
        return found

    def search(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Find both ends where the data show them; whether they do, upper and lower."""
        start, kept = self.reach.copy(), {}

        def minus(at: Values) -> float:
            if np.abs(at - start).max() > _FAR:
                return 1e9
            found = self.fit(at)
            kept[tuple(at)] = found
            if found.converged:
                self.own, self.shared = found.own, found.shared
            return -found.log_likelihood

        best = minimize(
            minus, start, method="Nelder-Mead",
            options={"xatol": 1e-3, "fatol": 0.05, "maxfev": 60,
                     "initial_simplex": start + np.array([[0, 0], [0.04, 0], [0, 0.04]])},
        )  # fmt: skip
        known = self._pushed(best.x)
        for side in (0, 1):
            near = best.x.copy()
            near[side] += _NUDGE
            bent = (self._value(near) + self._value(2 * best.x - near) - 2 * best.fun) / _NUDGE**2
            self.reach_error[side] = 1 / np.sqrt(bent) if bent > 0 else np.inf
        known &= self.reach_error < _FAR
        self.reach = np.where(known, best.x, self.seen)
        self.fitted = self.fit(self.reach)
        for k in (WRITE, CYCLE):
            if self.fitted.shared_error[k] > _SEEN and len(self.free) > PULSES_UP + 1:
                self.free.remove(k)
                self.own, self.shared = self.fitted.own, self.fitted.shared.copy()
                self.shared[k] = math.log(1e-4) + (math.log(np.exp(self.reach).sum()) if k == WRITE else 0.0)
                self.fitted = self.fit(self.reach)
        if not self.fitted.converged:
            raise CapabilityError("the fit does not settle: too few pulses, or of another kind")
        return known

    def _pushed(self, reach: Values) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether pulses led most devices beyond the ends."""
        low, high = self.ends(reach)
        fitted = self.fit(reach)
        counts = np.zeros((len(self.traces), 2), int)
        for k, (trace, own) in enumerate(zip(self.traces, fitted.own, strict=True)):
            size, curve = np.exp(own), np.exp(fitted.shared)
            for row in np.flatnonzero(trace.sign):
                g, up = float(trace.conductance_uS[row - 1]), bool(trace.sign[row] > 0)
                after = g + label_move(g - self.origin, up, own, size, curve)[0]
                counts[k] += after > high, after < low
        found: np.ndarray[Any, np.dtype[np.bool_]] = (counts >= _PUSHED).mean(axis=0) >= _HALF
        return found

    def _value(self, reach: Values) -> float:
        return -self.fit(reach).log_likelihood

    def ends(self, reach: Values) -> tuple[float, float]:
        """Lower and upper end, uS."""
        return float(self.origin - np.exp(reach[1])), float(self.origin + np.exp(reach[0]))

    def numbers(self, fitted: Devices, reach: Values) -> tuple[Values, Values, Estimate | None]:
        """Numbers of the law, their standard errors between these ends, and the spread of labels."""
        labels, errors = np.empty((len(self.traces), 2)), np.empty((len(self.traces), 2))
        for k, (own, covariance) in enumerate(zip(fitted.own, fitted.covariance, strict=True)):
            for side in (BEND_UP, BEND_DOWN):
                labels[k, side] = _label(own[side])
                slope = (_label(own[side] + 1e-3) - _label(own[side] - 1e-3)) / 2e-3
                errors[k, side] = abs(slope) * np.sqrt(covariance[side, side])
        over = [population(labels[:, side], errors[:, side]) for side in (0, 1)]
        n, both = len(labels), [o.mean.value for o in over]
        spread = None
        if over[0].spread is not None:
            centred = (labels - both) * np.sqrt((2 * n - 1) / (2 * n - 2))
            spread = population(centred.ravel(), errors.ravel()).spread
        shared = np.exp(fitted.shared)
        low, high = self.ends(reach)
        try:
            step = LabelledCurve(
                name="fit", g_min_uS=low, g_max_uS=high, pulses_up=max(shared[2], 2.0), pulses_down=max(shared[3], 2.0),
                nonlinearity_up=float(np.clip(both[0], -9, 9)), nonlinearity_down=float(np.clip(-both[1], -9, 9)),
            ).nominal_step_uS  # fmt: skip
        except ValueError as error:
            raise CapabilityError(f"no curve has these numbers: {error}") from None
        values = np.array([shared[2], shared[3], both[0], -both[1], shared[0], shared[1] / step])
        known = fitted.shared_error
        width = [(o.mean.high - o.mean.low) / 2 / float(stats.norm.ppf((1 + COVERAGE) / 2)) for o in over]
        follow = [
            abs(np.mean([_slope(own[side]) * lean[side, 2 + side] for own, lean in zip(fitted.own, fitted.lean, strict=True)]))
            * known[2 + side]
            for side in (0, 1)
        ]  # fmt: skip
        relative = np.array([known[2], known[3], 0, 0, known[0], known[1]])
        found = np.abs(values) * relative
        found[2:4] = np.hypot(width, follow)
        return values, found, spread


def _label(bend: float) -> float:
    """Label of a curve of that bend."""
    size = abs(bend) / 8 if abs(bend) < 1e-3 else deviation(abs(bend))
    return math.copysign(LABEL_PER_DEVIATION * size, bend)


def _slope(bend: float) -> float:
    return (_label(bend + 1e-3) - _label(bend - 1e-3)) / 2e-3
