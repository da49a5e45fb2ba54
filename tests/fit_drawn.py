"""Data of known devices, drawn with numpy alone: curved steps, labelled curves, noise of reads, loss and drift over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fit_helpers import write
from numpy.typing import NDArray

from neurosim.devices.fitting import Pulses, Trace

Values = NDArray[np.float64]
LOW_uS, HIGH_uS = 20.0, 90.0
KT_EV = 8.617333e-05


def _train(ramp: int, cycles: int) -> NDArray[np.int8]:
    return np.array([0, *([1] * ramp + [-1] * ramp) * cycles], np.int8)


def _pulses(sign: NDArray[np.int8], seen: Values) -> Pulses:
    return Pulses(
        tuple(Trace(str(k), sign.copy(), np.maximum(seen[:, k], 1e-3)) for k in range(seen.shape[1])), "drawn"
    )


def power_share(exponents: tuple[float, float]) -> Any:
    """Share of a step by the distance ahead, of the device's range: from state, both bounds' distances, and way."""

    def share(state: Values, above: Values, below: Values, way: int) -> Values:
        left = (above - state if way > 0 else state + below) / (above + below)
        return np.maximum(left, 0) ** exponents[0 if way > 0 else 1]

    return share


def exponential_share(gains: tuple[float, float], rates: tuple[float, float], slope: float) -> Any:
    """The same by the law of `exp-step`."""

    def share(state: Values, above: Values, below: Values, way: int) -> Values:
        side, place = 0 if way > 0 else 1, state / (above + below)
        return np.maximum(1 - gains[side] * np.exp(way * rates[side] * 2 * slope * place), 0)

    return share


def curved(share: Any, step: float, noise: float, ramp: int, cycles: int, count: int, seed: int) -> Pulses:
    """Traces of devices whose steps are `share` of their own; `step` in half windows, write noise half of it."""
    draws = np.random.default_rng(seed)
    half, middle = (HIGH_uS - LOW_uS) / 2, (HIGH_uS + LOW_uS) / 2
    above, below = (abs(1 + 0.1 * draws.standard_normal(count)) for _ in range(2))
    gain, tilt = np.exp(0.3 * draws.standard_normal(count)), 0.1 * draws.standard_normal(count)
    sizes = {1: step * abs(gain + tilt), -1: step * abs(gain - tilt)}
    sign = _train(ramp, cycles)
    state, seen = np.zeros(count), np.empty((sign.size, count))
    for row, way in enumerate(sign):
        if way:
            moved = sizes[int(way)] * share(state, above, below, way)
            state = np.clip(state + way * moved * (1 + noise * draws.standard_normal(count)), -below, above)
        seen[row] = state + 0.5 * step * draws.standard_normal(count)
    return _pulses(sign, middle + half * seen)


def labelled(
    labels: tuple[float, float], counts: tuple[int, int], spread: float, noise: tuple[float, float],
    ramp: int, cycles: int, count: int, seed: int,
) -> Pulses:  # fmt: skip
    """Traces along labelled curves; noise of a pulse and of a write in windows, all devices between the same ends."""
    draws = np.random.default_rng(seed)
    window, bends = HIGH_uS - LOW_uS, np.linspace(-60, 60, 24_001)
    bends = bends[bends != 0]
    size = np.abs(bends)
    rise = -1 / np.expm1(-size)
    table = 10.1015 * np.sign(bends) * (rise - (1 + np.log(rise * size)) / size)
    own = [np.interp(sign * (label + spread * draws.standard_normal(count)), table, bends) for sign, label in ((1, labels[0]), (-1, labels[1]))]  # fmt: skip
    sign = _train(ramp, cycles)
    g, seen = np.full(count, LOW_uS), np.empty((sign.size, count))
    for row, way in enumerate(sign):
        if way:
            side = 0 if way > 0 else 1
            share, reach = -np.expm1(-own[side] / counts[side]), window / -np.expm1(-own[side])
            moved = share * (reach + LOW_uS - g if way > 0 else g + reach - HIGH_uS)
            g = np.clip(g + way * moved + window * noise[0] * draws.standard_normal(count), LOW_uS, HIGH_uS)
        seen[row] = g + window * noise[1] * draws.standard_normal(count)
    return _pulses(sign, seen)


def flickering(
    draws: np.random.Generator, count: int, size: float, interval_s: float, exponent: float = 1.0
) -> Values:
    """Noise of spectrum size^2 / f^exponent up to half the rate, a part of a record eight times as long."""
    whole = 8 * count
    f = np.fft.rfftfreq(whole, interval_s)
    power = np.zeros_like(f)
    power[1:] = size**2 / f[1:] ** exponent
    waves = draws.standard_normal(f.size) + 1j * draws.standard_normal(f.size)
    noise = np.fft.irfft(waves * np.sqrt(power * whole / (4 * interval_s)), whole)
    start = int(draws.integers(0, whole - count))
    found: Values = noise[start : start + count]
    return found


def repeated_reads(
    file: Path, levels: Sequence[float], count: int, interval_s: float, seed: int, *,
    relative: float = 0.0, floor: float = 0.0, flicker: float = 0.0, power: float = 0.0, exponent: float = 1.0,
) -> Path:  # fmt: skip
    """Write so many reads of each level, each of a device of its own; `flicker` is Q at 90 uS."""
    draws, rows = np.random.default_rng(seed), ["device,time_s,conductance_uS"]
    for k, level in enumerate(levels):
        slow = flickering(draws, count, flicker * (level / HIGH_uS) ** -power, interval_s, exponent)
        g = level * (1 + slow) + (relative * level + floor) * draws.standard_normal(count)
        rows += [f"{k},{interval_s * i:.8g},{value:.8g}" for i, value in enumerate(g)]
    return write(file, rows)


def aged(
    file: Path, records: Sequence[tuple[float, Values, Values]], noise: float, seed: int, heading: str = "Temperature (K)"
) -> Path:  # fmt: skip
    """Write records of (temperature in K, times, conductances), with relative noise; no heading, no temperature."""
    draws, rows = (
        np.random.default_rng(seed),
        ["device,time_s,conductance_uS" + (f",{heading}" if heading else "")],
    )
    for k, (kelvin, times, g) in enumerate(records):
        seen = g * (1 + noise * draws.standard_normal(times.size))
        told = kelvin - 273.15 if "°C" in heading else kelvin
        rows += [
            f"{k},{t:.8g},{value:.8g}" + (f",{told:.2f}" if heading else "")
            for t, value in zip(times, seen, strict=True)
        ]
    return write(file, rows)
