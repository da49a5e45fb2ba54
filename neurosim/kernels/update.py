"""The in-place update: from a local change to pulses, and from pulses to conductances, block of rows by block.

A block of rows is the unit of work that threads share: every cell belongs to one block, and sums are added
in the order of the blocks, so the number of threads changes nothing. Change is measured in pulses of the
card's nominal step; the law at the cell's true state is never inverted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats
from neurosim.kernels.counts import accumulator_counts, stochastic_counts
from neurosim.kernels.groups import GROUP, new_group, read_listed
from neurosim.kernels.jit import ONE, ZERO, Scalar, inlined, jit
from neurosim.kernels.pulsed import NO_SUMS, Sums, added, pulse_row
from neurosim.kernels.random import normal, philox

_ZERO = np.float32(0.0)


class Grid(NamedTuple):
    """What a read needs of the conductances, kept up to date by every kernel that moves one.

    By column, as BLAS packs a product's factor in half the time then; an array of one line, or of none, is of the same type so,
    and no kernel is compiled again for it.
    """

    by_column: Floats
    """(cols, rows) conductance of the plus minus that of the minus device, uS."""
    variance_by_column: Floats
    """(cols, rows) summed variance of their read noise, uS^2; (0, 0) where there is none."""
    row_sum: NDArray[np.float64]
    """(rows,) summed conductance of the devices on each word line, uS."""
    strength: Floats = np.empty((0, 0), np.float32)
    """(rows, 2 cols) share of pulses that take effect, 0 where none arrives; (0, 0): all do."""
    given: NDArray[np.int32] = np.empty((0, 0), np.int32)
    """(rows, 2 cols) where pulses that arrive are counted, SET (+) or RESET (-); (0, 0): nobody asks."""
    fade: float = 0.0
    """A pulse of strength f has 1 + fade log(f) of its voltage left."""
    worn: NDArray[np.uint32] = np.empty((0, 0, 0), np.uint32)
    """(2, rows, cols) pulses that each plus and minus device was given; (0, 0, 0): half voltages, which count as none."""
    struck_uS: float = 0.0
    """What pulses without effect fall on; 0: the conductance of the device."""

    @property
    def difference(self) -> Floats:
        """(rows, cols) of `by_column`."""
        return self.by_column.T

    @property
    def variance(self) -> Floats:
        """(rows, cols) of `variance_by_column`."""
        return self.variance_by_column.T


class Verifier(NamedTuple):
    """How an accumulator gives its pulses, and how these are verified: by reads of the pair before and after."""

    prompt: bool
    """Whether each change is given at once, rounded at random, and only what that was off is held."""

    reads: np.int32
    """Averaged each time; 0: what was asked for counts as given."""
    key: NDArray[np.uint64]
    """Stream of their noise."""
    most: Any
    """Largest magnitude, in pulses, that an accumulator holds where it is verified: a stuck device would fill it
    without end."""
    enough: Any
    """Largest magnitude, in pulses, that is held where nothing is verified: so many take any device across its window several
    times."""


class Verified(NamedTuple):
    """Totals of the verified flushes of one kernel call."""

    pairs: int
    rows: int
    """Word lines with at least one of them."""
    uS: float
    """Summed conductance of their devices, before and after."""


@jit
def refresh_grid(
    first: int, last: int, grid: Any, state: Any, params: Any, now_s: float, read: Any, sigma: Any
) -> None:
    """Rebuild rows [first, last) of the grid from the device state."""
    cols = grid.by_column.shape[0]
    noisy = grid.variance_by_column.size > 0
    for row in range(first, last):
        total = 0.0
        for col in range(cols):
            cell = 2 * (row * cols + col)
            plus = read(cell, state, params, now_s)
            minus = read(cell + 1, state, params, now_s)
            grid.by_column[col, row] = plus - minus
            total += plus
            total += minus
            if noisy:
                s_plus, s_minus = sigma(plus, params), sigma(minus, params)
                grid.variance_by_column[col, row] = s_plus * s_plus + s_minus * s_minus
        grid.row_sum[row] = total


@inlined
def read_pair(
    row: int, col: int, grid: Any, lsb_uS: Scalar, range_uS: Scalar, event: int, key: Any, number: int = 0
) -> Any:
    """One noisy, quantised read of a pair's difference, uS: the one of that number in an event."""
    seen = grid.by_column[col, row]
    if grid.variance_by_column.size > 0:
        noise = normal(philox(row * grid.by_column.shape[0] + col, event, number, key)[0])
        seen += np.sqrt(grid.variance_by_column[col, row]) * noise
    if lsb_uS > _ZERO:
        seen = min(max(np.rint(seen / lsb_uS) * lsb_uS, -range_uS), range_uS)
    return seen


@jit
def read_flushed(
    row: int,
    counts: Any,
    seen: Any,
    grid: Any,
    lsb_uS: Scalar,
    range_uS: Scalar,
    event: int,
    verifier: Any,
    after: int,
) -> None:
    """Read each pair of a row that has pulses in `counts`, before (0) or after (1) them, into `seen` (cols,), uS."""
    for col in range(seen.size):
        if counts[0, col] == 0 and counts[1, col] == 0:
            continue
        total = _ZERO
        for k in range(verifier.reads):
            number = 2 * k + after
            total += read_pair(row, col, grid, lsb_uS, range_uS, event, verifier.key, number)
        seen[col] = total / np.float32(verifier.reads)


@jit
def flushed_uS(row: int, counts: Any, group: Any, state: Any, params: Any, now_s: float, read: Any) -> float:
    """Summed conductance of the pairs of a row that have pulses in `counts`, uS."""
    total, cols = 0.0, counts.shape[1]
    for start in range(0, cols, GROUP // 2):
        size = ZERO
        for col in range(start, min(start + GROUP // 2, cols)):
            if counts[0, col] != 0 or counts[1, col] != 0:
                group.pairs[size] = 2 * (row * cols + col)
                group.pairs[size + 1] = group.pairs[size] + 1
                size += 2
        read_listed(size, group.pairs, group.after_uS, state, params, now_s, read)
        for k in range(size):
            total += np.float64(group.after_uS[k])
    return total


@jit
def return_shortfall(
    row: int, counts: Any, asked: Any, given: Any, accumulator: Any, pulses_per_uS: Scalar, most: Scalar
) -> int:
    """Put what a row's pulses missed, of what was `asked` (in pulses) as `given` (uS) was read, back; count the pairs."""
    pairs = 0
    for col in range(asked.size):
        if counts[0, col] == 0 and counts[1, col] == 0:
            continue
        held = accumulator[row, col] + asked[col] - given[col] * pulses_per_uS
        accumulator[row, col] = min(max(held, -most), most)
        pairs += 1
    return pairs


@jit
def sweep_rows(
    first: int,
    change: Any,
    decay: Any,
    due: Any,
    exact: bool,
    pulses_per_uS: Scalar,
    flush: Scalar,
    most: Scalar,
    verifier: Any,
    lsb_uS: Scalar,
    range_uS: Scalar,
    drive: Any,
    accumulator: Any,
    peaks: Any,
    seen_grid: Any,
    grid: Any,
    state: Any,
    params: Any,
    now_s: float,
    event: int,
    keys: Any,
    pulses: Any,
    read: Any,
    sigma: Any,
) -> tuple[Sums, Verified]:
    """Turn `change` (rows of the block, cols), in pulses, into pulses on the rows from `first` on.

    In the columns listed in `due`, `decay` (cols,) first takes its share of each pair difference, known
    exactly (the oracle) or by one noisy read.
    `seen_grid` is the grid as a read sees it, past breaks and through the wires (the oracle: past breaks); without
    them the grid itself.
    `keys` are the streams of rounding, pulses and read-back. `accumulator` (rows, cols) selects the digital
    accumulator, which gives pulses once it holds `flush` of them, and takes back what they missed if there is a `verifier`;
    (0, 0) stochastic rounding to multiples of `flush`. `peaks` (cols,) as `pulse_row` takes them.
    """
    cols = change.shape[1]
    counts, group = np.empty((2, cols), np.int32), new_group(state.conductance)
    verify = accumulator.size > 0 and verifier.reads > 0
    before, after = np.empty(cols, change.dtype), np.empty(cols, change.dtype)
    pairs, rows, verified_uS, cut = 0, 0, 0.0, 0.0
    total = NO_SUMS
    for k in range(change.shape[0]):
        row = first + k
        wanted = change[k]
        if due.size == 0 and not wanted.any():
            continue
        for col in due:
            seen = seen_grid.by_column[col, row]
            if not exact:
                seen = read_pair(row, col, seen_grid, lsb_uS, range_uS, event, keys[2])
            wanted[col] -= decay[col] * seen * pulses_per_uS
        if accumulator.size > 0:
            cut += accumulator_counts(
                row, wanted, counts, accumulator, flush, most, drive, verifier.prompt, verifier.enough, event,
                keys[0],
            )  # fmt: skip
        else:
            cut += stochastic_counts(row, wanted, counts, flush, most, drive, event, keys[0])
        if verify:
            read_flushed(row, counts, before, grid, lsb_uS, range_uS, event, verifier, ZERO)
            verified_uS += flushed_uS(row, counts, group, state, params, now_s, read)
        sums = pulse_row(
            row, counts, group, peaks, grid, state, params, now_s, event, keys[1], pulses, read, sigma
        )
        if verify:
            read_flushed(row, counts, after, grid, lsb_uS, range_uS, event, verifier, ONE)
            verified_uS += flushed_uS(row, counts, group, state, params, now_s, read)
            after -= before
            done = return_shortfall(row, counts, wanted, after, accumulator, pulses_per_uS, verifier.most)
            pairs += done
            rows += done > 0
        total = added(total, sums)
    return added(total, Sums(0.0, 0.0, 0, 0, 0, 0, 0, 0, 0.0, cut)), Verified(pairs, rows, verified_uS)


@jit
def squared_norms(
    first: int, last: int, out: Any, grid: Any, lsb_uS: Scalar, range_uS: Scalar, event: int, key: Any
) -> None:
    """Add to `out` (cols,) float64 the squares of one noisy read of rows [first, last), uS^2."""
    for row in range(first, last):
        for col in range(out.size):
            seen = np.float64(read_pair(row, col, grid, lsb_uS, range_uS, event, key))
            out[col] += seen * seen
