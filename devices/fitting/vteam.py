"""Fitter of `vteam`: steps of pulses of several amplitudes, and widths, by one equation.

With conductance and window linear in the state, a pulse takes the share 1 - exp(-drive) of the distance to the bound
ahead, so that Kalman's filter follows a device exactly but for the size of the noise, which it takes where it believes the
device to be. Drives follow voltage and width by the law; each device has a factor of its own on both directions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize_scalar

from neurosim.core.errors import CapabilityError, NeurosimError
from neurosim.devices.fitting.maximum import Maximum, maximise
from neurosim.devices.fitting.population import COVERAGE, Estimate, Population, Values, population
from neurosim.devices.fitting.result import LawFit, Steps
from neurosim.devices.fitting.tables import FEWEST_PULSES, Pulses, levels
from neurosim.devices.vteam import Vteam
from neurosim.kernels.jit import jit

FEWEST_AMPLITUDES = 3
"""Of each polarity: threshold, exponent and switching time are three numbers."""
_HOLD, _OVER, _POWER = range(3)
"""Of each direction: logarithms of the drive and of the voltage over the threshold, less one, at the largest amplitude and
the median width, and of the exponent."""
_LOW, _HIGH, _CYCLE, _WRITE = range(6, 10)
"""Bounds, uS, and logarithms of cycle-to-cycle noise, a share of the drive, and of write noise, uS."""
_ROUNDS, _SETTLED = 6, 1e-3
_UNSETTLED = (
    "The devices' own factors had not settled after {} rounds of fits, the last moved one by {:.2g} %: what was fitted to them "
    "is uncertain by as much."
)
_FARTHEST = 3.0
"""A device's factor is looked for within so much of its logarithm."""
_TOLD = 1.0
"""A threshold is told by the data if the logarithm of what is over it has a smaller standard error."""
_TRIED = (0.2, 0.5, 0.8, 0.95)
"""Thresholds that a search starts from, as shares of the smallest amplitude."""
_SEEN = 0.5
"""Noise is seen if its logarithm has a smaller standard error."""
_LINEAR = 0.1
"""Powers of the width that differ from one by less, or not clearly, are not told."""


@jit
def follow(
    y: Any, sign: Any, drive: Any, low: float, high: float, cycle: float, write: float, out: Any
) -> None:
    """Fill out (2, rows) with what each read should be, given those before, and its variance; none at a start."""
    mean, variance = y[0], write * write
    for row in range(y.size):
        if sign[row] == 0:
            mean, variance = y[row], write * write
            out[0, row], out[1, row] = y[row], np.inf
            continue
        left = np.exp(-drive[row])
        bound = high if sign[row] > 0 else low
        noise = cycle * drive[row] * left * (bound - mean)
        mean = bound - (bound - mean) * left
        variance = variance * left * left + noise * noise
        total = variance + write * write
        out[0, row], out[1, row] = mean, total
        gain = variance / total
        mean += gain * (y[row] - mean)
        variance *= 1 - gain


@dataclass(frozen=True)
class _Data:
    """All pulses in one row, device after device."""

    y: Values
    sign: NDArray[np.int8]
    volts: Values
    seconds: Values
    device: NDArray[np.intp]
    row: NDArray[np.intp]
    names: tuple[str, ...]
    top_V: tuple[float, float]
    """Largest amplitude up and down."""
    middle_s: tuple[float, float]
    """Median width up and down."""

    def drives(self, numbers: Values, rates: Values, widths: float = 1.0) -> Values:
        """Return the drive of each pulse; it follows the width to the power of `widths`."""
        found = np.zeros(self.y.size)
        for k, sign in enumerate((1, -1)):
            at = self.sign == sign
            hold, over, power = numbers[3 * k : 3 * k + 3]
            threshold = self.top_V[k] / (1 + np.exp(over))
            above = np.maximum(self.volts[at] / threshold - 1, 0.0) / np.exp(over)
            width = (self.seconds[at] / self.middle_s[k]) ** widths
            found[at] = np.exp(np.clip(hold, -30, 5)) * width * above ** np.exp(np.clip(power, -5, 4))
        found *= np.exp(rates[self.device])
        return found

    def followed(self, numbers: Values, drives: Values) -> Values:
        """Return expected reads and variances (2, reads)."""
        out = np.empty((2, self.y.size))
        low, high, cycle, write = numbers[_LOW : _WRITE + 1]
        follow(
            self.y,
            self.sign,
            drives,
            low,
            high,
            np.exp(np.clip(cycle, -20, 3)),
            np.exp(np.clip(write, -20, 10)),
            out,
        )
        return out

    def terms(self, numbers: Values, rates: Values, widths: float = 1.0) -> Values:
        """Return the log density of each read that follows a pulse, of those before."""
        mean, variance = self.followed(numbers, self.drives(numbers, rates, widths))
        at = self.sign != 0
        off, variance = self.y[at] - mean[at], np.maximum(variance[at], 1e-18)
        found: Values = -0.5 * (off**2 / variance + np.log(2 * np.pi * variance))
        return np.where(np.isfinite(found), found, -1e6)


def vteam(pulses: Pulses) -> LawFit:
    """Fit `vteam` with linear conductance and window; raises `CapabilityError` if the data cannot tell its numbers."""
    data = _data(pulses)
    groups = data.device[data.sign != 0]
    rates = np.zeros(len(data.names))
    start = _start(data)
    for _ in range(_ROUNDS):
        held = rates
        found = _most_likely(data, start, held, groups)
        rates, errors = _own_rates(data, found.numbers)
        moved = float(np.abs(rates - rates.mean() - held).max())
        start, rates = _with_mean(found.numbers, float(rates.mean())), rates - rates.mean()
        if moved < _SETTLED:
            break
    unsettled = () if moved < _SETTLED else (_UNSETTLED.format(_ROUNDS, 100 * np.expm1(moved)),)
    if any(found.covariance[k, k] > _TOLD**2 for k in (_OVER, 3 + _OVER)):
        raise CapabilityError(
            "the amplitudes do not tell its thresholds: add smaller ones, at which pulses hardly move"
        )
    fitted = _law_fit(data, pulses, found, rates, errors)
    return replace(fitted, notes=(*fitted.notes, *unsettled))


def _most_likely(data: _Data, start: Values, rates: Values, groups: NDArray[np.intp]) -> Maximum:
    """Return the most likely common numbers; noise of a kind that the data do not show is held where it does not matter."""
    numbers, free = start.copy(), list(range(len(start)))
    nothing = {_WRITE: np.log(1e-4 * np.ptp(data.y)), _CYCLE: np.log(1e-3)}

    def terms(some: Values) -> Values:
        numbers[free] = some
        return data.terms(numbers, rates)

    while True:
        try:
            found = maximise(terms, start[free], groups)
            errors = dict(zip(free, np.sqrt(np.diag(found.covariance)), strict=True))
            unseen = [k for k in nothing if errors.get(k, 0.0) > _SEEN]
            if not unseen:
                break
            hidden = max(unseen, key=lambda k: errors[k])
        except CapabilityError:
            left = [k for k in nothing if k in free]
            if not left:
                raise
            hidden = left[0]
        free.remove(hidden)
        numbers[hidden] = nothing[hidden]
    numbers[free] = found.numbers
    covariance = np.zeros((len(start), len(start)))
    covariance[np.ix_(free, free)] = found.covariance
    return Maximum(numbers.copy(), covariance, found.log_likelihood, found.groups)


def _data(pulses: Pulses) -> _Data:
    if min(pulses.fewest(1), pulses.fewest(-1)) < FEWEST_PULSES:
        raise CapabilityError(f"needs {FEWEST_PULSES} pulses of each polarity of every device")
    if any(trace.volts is None for trace in pulses.traces):
        raise CapabilityError('needs the amplitude of each pulse, --column pulse_voltage="HEADER"')
    width = pulses.given[1]
    if any(trace.seconds is None for trace in pulses.traces) and width is None:
        raise CapabilityError(
            'needs the width of each pulse, --column pulse_width_s="HEADER", or of all, --write-time'
        )
    sign = np.concatenate([trace.sign for trace in pulses.traces])
    volts = np.concatenate([trace.volts for trace in pulses.traces if trace.volts is not None])
    seconds = np.concatenate(
        [np.full(t.sign.size, width or np.nan) if t.seconds is None else t.seconds for t in pulses.traces]
    )
    at = sign != 0
    if not (np.isfinite(volts[at]) & np.isfinite(seconds[at]) & (volts[at] > 0) & (seconds[at] > 0)).all():
        raise CapabilityError("some pulses have no amplitude, or no width")
    for one, word in ((1, "SET"), (-1, "RESET")):
        if (count := len(levels(volts[sign == one]))) < FEWEST_AMPLITUDES:
            raise CapabilityError(
                f"needs {FEWEST_AMPLITUDES} amplitudes of {word} to tell threshold and exponent, {count} in the data"
            )
    sizes = [trace.sign.size for trace in pulses.traces]
    return _Data(
        np.concatenate([trace.conductance_uS for trace in pulses.traces]), sign, volts, seconds,
        np.repeat(np.arange(len(sizes)), sizes), np.concatenate([np.arange(size) for size in sizes]),
        tuple(trace.device for trace in pulses.traces),
        (float(volts[sign > 0].max()), float(volts[sign < 0].max())),
        (float(np.median(seconds[sign > 0])), float(np.median(seconds[sign < 0]))),
    )  # fmt: skip


def _start(data: _Data) -> Values:
    """First guesses: bounds beyond what was seen, drives of each kind of pulse by their mean change, noise of what is left."""
    low, high = float(data.y.min()), float(data.y.max())
    reach = high - low
    low, high = max(low - 0.1 * reach, 0.01 * low), high + 0.1 * reach
    numbers: list[float] = []
    left: list[Values] = []
    for k, sign in enumerate((1, -1)):
        rows = np.flatnonzero(data.sign == sign)
        bound = high if sign > 0 else low
        ahead, change = np.abs(bound - data.y[rows - 1]), sign * (data.y[rows] - data.y[rows - 1])
        volts = levels(data.volts[rows])
        kind = np.searchsorted(volts, data.volts[rows] * (1 + 1e-9), side="right") - 1
        scaled = change / ahead / (data.seconds[rows] / data.middle_s[k])
        drive = np.maximum([scaled[kind == one].mean() for one in range(len(volts))], 1e-6)
        best = min((_line(volts, drive, share * volts[0]) for share in _TRIED), key=lambda line: line[0])
        numbers += best[1:]
        left.append(change - drive[kind] * ahead * (data.seconds[rows] / data.middle_s[k]))
    noise = float(np.concatenate(left).std()) + 1e-9
    step = float(np.mean(np.abs(np.diff(data.y)))) + 1e-9
    return np.array([*numbers, low, high, np.log(0.5 * noise / step), np.log(0.5 * noise)])


def _line(volts: Values, drive: Values, threshold: float) -> tuple[float, float, float, float]:
    """Misfit of a power of the voltage over a threshold, and its numbers."""
    above = np.log(volts / threshold - 1)
    slope, level = np.polyfit(above, np.log(drive), 1)
    off = float(np.square(np.log(drive) - level - slope * above).sum())
    over = float(above[-1])
    return off, float(level + slope * over), over, float(np.log(np.clip(slope, 0.05, 20)))


def _own_rates(data: _Data, numbers: Values) -> tuple[Values, Values]:
    """Return the logarithm of each device's factor and its standard error, the common numbers being known."""
    found, errors = [], []
    still = data.drives(numbers, np.zeros(len(data.names)))
    low, high, cycle, write = numbers[_LOW : _WRITE + 1]
    for k in range(len(data.names)):
        at = np.flatnonzero(data.device == k)
        y, sign, drive, out = data.y[at], data.sign[at], still[at], np.empty((2, at.size))

        def minus(rate: float, y: Any = y, sign: Any = sign, drive: Any = drive, out: Any = out) -> float:
            follow(y, sign, drive * np.exp(rate), low, high, np.exp(cycle), np.exp(write), out)
            seen = sign != 0
            variance = np.maximum(out[1][seen], 1e-18)
            return 0.5 * float(np.sum((y[seen] - out[0][seen]) ** 2 / variance + np.log(variance)))

        best = float(minimize_scalar(minus, bounds=(-_FARTHEST, _FARTHEST), method="bounded").x)
        curve = (minus(best + 0.02) + minus(best - 0.02) - 2 * minus(best)) / 0.02**2
        found.append(best)
        errors.append(1 / np.sqrt(max(curve, 1e-6)))
    return np.array(found), np.array(errors)


def _with_mean(numbers: Values, rate: float) -> Values:
    """Put the mean of the devices' factors into the common drives."""
    moved = numbers.copy()
    moved[[_HOLD, 3 + _HOLD]] += rate
    return moved


def _law_fit(data: _Data, pulses: Pulses, found: Maximum, rates: Values, errors: Values) -> LawFit:
    spread: Population = population(rates, errors)
    numbers, fixed = _card_numbers(data, found, (spread.mean.high - spread.mean.low) / 2)
    if spread.spread is not None and spread.spread.value > 0:
        numbers["switching_spread"] = spread.spread
    for word, way, sign in (("write", "up", 1), ("reset", "down", -1)):
        at = (data.sign == sign) & (data.volts > numbers[f"threshold_{way}_V"].value)
        for name, values in (("voltage_V", data.volts), ("time_s", data.seconds)):
            fixed[f"{word}_{name}"] = float(np.median(values[at])), "median of the pulses that move: sweep it"
    for name, value in zip(("write_voltage_V", "write_time_s"), pulses.given, strict=True):
        if value is not None:
            fixed[name] = value, "given with the fit"
    known = {name: estimate.value for name, estimate in numbers.items()}
    known |= {name: value for name, (value, _) in fixed.items()}
    try:
        device = Vteam.parse({"name": "fitted", **known}, "vteam")
    except NeurosimError as error:
        raise CapabilityError(f"its numbers make no device: {error}") from None
    if found.covariance[_WRITE, _WRITE] > 0:
        numbers["write_noise"] = _exponential(found.estimate(_WRITE)).times(1 / device.nominal_step_uS)
    drives = data.drives(found.numbers, rates)
    mean, variance = data.followed(found.numbers, drives)
    at = data.sign != 0
    before = np.append(0.0, data.y[:-1])[at]
    steps = Steps(
        np.array(data.names)[data.device[at]], data.row[at], data.sign[at], before, data.y[at] - before, mean[at] - before,
        np.sqrt(variance[at]),
    )  # fmt: skip
    return LawFit(
        "vteam", numbers, fixed, float(data.terms(found.numbers, rates).sum()),
        int((np.diag(found.covariance) > 0).sum()) + len(rates) - 1, int(at.sum()), steps,
        notes=_width_note(data, found, rates),
    )  # fmt: skip


def _card_numbers(
    data: _Data, found: Maximum, devices: float
) -> tuple[dict[str, Estimate], dict[str, tuple[float, str]]]:
    """Return the card's numbers with their intervals, and what holds by definition.

    `devices` is the half width with which the mean of the devices' factors is known.
    """
    numbers = {"g_min_uS": found.estimate(_LOW), "g_max_uS": found.estimate(_HIGH)}
    if numbers["g_min_uS"].value <= 0:
        raise CapabilityError("the lower bound comes out below zero: give more RESET pulses in a row")
    for k, word in enumerate(("up", "down")):
        at = 3 * k + np.arange(3)
        hold, over, power = found.numbers[at]
        ends = found.estimate(at[_OVER])
        numbers[f"threshold_{word}_V"] = Estimate(
            *(float(data.top_V[k] / (1 + np.exp(end))) for end in (over, ends.high, ends.low))
        )
        numbers[f"voltage_exponent_{word}"] = _exponential(found.estimate(at[_POWER]))
        slope = np.array([-1.0, np.exp(power), over * np.exp(power)])
        half = float(
            stats.norm.ppf((1 + COVERAGE) / 2) * np.sqrt(slope @ found.covariance[np.ix_(at, at)] @ slope)
        )
        half = float(np.hypot(half, devices if len(data.names) > 1 else 0.0))
        middle = float(np.log(data.middle_s[k]) + over * np.exp(power) - hold)
        numbers[f"switching_{word}_s"] = Estimate(*(float(np.exp(middle + by)) for by in (0.0, -half, half)))
    if found.covariance[_CYCLE, _CYCLE] > 0:
        numbers["cycle_to_cycle"] = _exponential(found.estimate(_CYCLE))
    return numbers, {
        "conduction": (1.0, "definition: the conductance is linear in the state"),
        "window_up": (1.0, "definition: the speed is linear in the distance to the bound"),
        "window_down": (1.0, "definition: the speed is linear in the distance to the bound"),
    }


def _exponential(of: Estimate) -> Estimate:
    return Estimate(*(float(np.exp(end)) for end in (of.value, of.low, of.high)))


def _width_note(data: _Data, found: Maximum, rates: Values) -> tuple[str, ...]:
    """Say where the drive does not grow with the width as the law has it."""
    if all(len(levels(data.seconds[data.sign == sign])) < 2 for sign in (1, -1)):
        return (
            "All pulses of a polarity have one width: that steps grow in proportion to it is the law's, not the data's.",
        )
    noise = found.numbers[_CYCLE:]

    def terms(some: Values) -> Values:
        return data.terms(np.concatenate([some[:-1], noise]), rates, float(some[-1]))

    power = maximise(terms, np.append(found.numbers[:_CYCLE], 1.0), data.device[data.sign != 0]).estimate(
        _CYCLE
    )
    if power.low <= 1 <= power.high or abs(power.value - 1) < _LINEAR:
        return ()
    said = (
        f"Drives follow the width to the power of {power.value:.2f} (95 % interval {power.low:.2f} to {power.high:.2f}), of "
        "this law in proportion: do not go beyond the widths that were measured."
    )
    return (said,)
