"""Which devices of a pair a change pulses, and how often: rounded at random, or out of a digital accumulator."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.kernels.jit import Scalar, inlined, jit
from neurosim.kernels.random import fill_two_uniforms

_ZERO = np.float32(0.0)


class Drive(NamedTuple):
    """Most pulses that a change gives the devices of a pair: SET on a device that is to go up, RESET down."""

    plus_up: np.int32
    """On the plus device for a change up,"""
    plus_down: np.int32
    """and for a change down;"""
    minus_up: np.int32
    """on the minus device for a change up (which takes it down),"""
    minus_down: np.int32
    """and for a change down."""
    up: np.int32 = np.int32(1)
    """Whether changes up have their turn in this update (1), or are withheld (0);"""
    down: np.int32 = np.int32(1)
    """the same of changes down."""


_NONE, _ONE, _ALL = np.int32(0), np.int32(1), np.int32(2**31 - 1)
ONE_SIDED = Drive(_ALL, _NONE, _NONE, _ALL)
"""SET only: the plus device for a change up, the minus device for a change down."""
RESET_ONLY = Drive(_NONE, _ALL, _ALL, _NONE)
"""RESET only: the minus device for a change up, the plus device for a change down."""
PUSH_PULL = Drive(_ALL, _ALL, _ALL, _ALL)
"""Both, in opposite directions."""
AGAINST_REFERENCE = Drive(_ALL, _ALL, _NONE, _NONE)
"""The plus device either way."""
RESET_AGAINST_REFERENCE = Drive(_ALL, _ONE, _NONE, _NONE)
"""The plus device, with pulses up and a single RESET down."""


class Factor(NamedTuple):
    """Where one factor of a local change, samples times lines, is not zero."""

    of_sample: NDArray[np.int64]
    """(n,) lines of each sample,"""
    used: NDArray[np.bool_]
    """and (lines,) whether a line has any sample."""


@jit
def factor(values: Any) -> Factor:
    """Find where `values` (n, lines) are not zero, in one pass over them."""
    samples, lines = values.shape
    of_sample, used = np.zeros(samples, np.int64), np.zeros(lines, np.bool_)
    for sample in range(samples):
        count = 0
        for line in range(lines):
            there = values[sample, line] != 0
            used[line] |= there
            count += there
        of_sample[sample] = count
    return Factor(of_sample, used)


@inlined
def plus_count(x: Any, size: Any, drive: Any) -> Any:
    """Pulses on the plus device of a pair for a change x of so many (whole numbers in floating point)."""
    up = min(size, np.float32(drive.plus_up)) * np.float32(drive.up)
    down = min(size, np.float32(drive.plus_down)) * np.float32(drive.down)
    return np.int32(up if x > _ZERO else -down)


@inlined
def minus_count(x: Any, size: Any, drive: Any) -> Any:
    """Pulses on the minus device of a pair for a change x of so many."""
    up = min(size, np.float32(drive.minus_up)) * np.float32(drive.up)
    down = min(size, np.float32(drive.minus_down)) * np.float32(drive.down)
    return np.int32(-up if x > _ZERO else down)


@jit
def stochastic_counts(
    row: int, change: Any, counts: Any, flush: Scalar, most: Scalar, drive: Any, event: int, key: Any
) -> float:
    """Round a row's change (in pulses) to multiples of `flush` at random, so that the mean equals it, up to `most`.

    Returns how many pulses of change were beyond that.
    """
    one, other = np.empty(change.size, np.float32), np.empty(change.size, np.float32)
    fill_two_uniforms(one, other, row * change.size, event, key)
    if drive.minus_up == 0:
        other = one
    beyond = False
    for col in range(change.size):
        x = change[col]
        beyond |= abs(x) > most
        size = min(abs(x), most) / flush
        counts[0, col] = plus_count(x, np.trunc(size + one[col]) * flush, drive)
        counts[1, col] = minus_count(x, np.trunc(size + other[col]) * flush, drive)
    return excess(change, most) if beyond else 0.0


@inlined
def excess(change: Any, most: Any) -> Any:
    """Sum of what magnitudes exceed `most` by."""
    total = 0.0
    for x in change:
        total += max(np.float64(abs(x)) - np.float64(most), 0.0)
    return total


@jit
def accumulator_counts(
    row: int,
    change: Any,
    counts: Any,
    accumulator: Any,
    flush: Scalar,
    most: Scalar,
    drive: Any,
    prompt: bool,
    enough: Scalar,
    event: int,
    key: Any,
) -> float:
    """Add a row's change to its digital accumulator and take out whole pulses once there are `flush`, at most `most`
    (Nandakumar 2020); `change` is left with what was taken out.

    A prompt one gives the change at once, rounded at random to multiples of `flush`, and holds what that was off.
    An accumulator holds `enough` pulses at most; returns how many it had to let go.
    """
    beyond = False
    drawn = np.empty(change.size if prompt else 0, np.float32)
    fill_two_uniforms(drawn, np.empty_like(drawn), row * change.size, event, key)
    for col in range(change.size):
        total = accumulator[row, col] + change[col]
        held, now = total, _ZERO
        if prompt:
            held = accumulator[row, col]
            now = flush * np.trunc(abs(change[col]) / flush + drawn[col])
            now = now if change[col] > _ZERO else -now
        if abs(held) >= flush:
            now += np.trunc(held)
        whole = min(max(now, -most), most)
        whole *= np.float32(drive.up if whole > _ZERO else drive.down)
        accumulator[row, col] = total - whole
        beyond |= abs(total - whole) > enough
        change[col] = whole
        counts[0, col] = plus_count(whole, abs(whole), drive)
        counts[1, col] = minus_count(whole, abs(whole), drive)
    if not beyond:
        return 0.0
    cut: float = excess(accumulator[row], enough)
    for col in range(change.size):
        accumulator[row, col] = min(max(accumulator[row, col], -enough), enough)
    return cut
