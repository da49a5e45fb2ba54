"""Stochastic pulse trains: an outer product by coincidence, one sample after another, nothing summed.

Each line gets a train of up to 31 slots whose bits are drawn with a probability that follows its input; a
cell is pulsed in the slots in which its word line and its bit line are both high (Gokmen & Vlasov 2016).
The probability is split evenly between the two lines, so that a column's pulses spread over its cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.counts import minus_count, plus_count
from neurosim.kernels.groups import new_group
from neurosim.kernels.jit import inlined, jit
from neurosim.kernels.pulsed import NO_SUMS, Sums, added, pulse_row
from neurosim.kernels.random import philox, uniform

_ZERO = np.float32(0.0)
_RAREST = np.float32(2.0**-24)


@jit
def line_trains(drive: Any, slots: int, out: Any, first_event: int, key: Any) -> int:
    """Draw the trains of one set of lines: out (samples, lines) uint32, bit k is slot k.

    `drive` (samples, lines) is the probability of a high slot; larger than one counts as one. Returns how
    many drives were larger than one.
    """
    clipped = 0
    for sample in range(drive.shape[0]):
        event = first_event + sample
        for line in range(drive.shape[1]):
            p = abs(drive[sample, line])
            bits = np.uint32(0)
            if p >= _RAREST:
                if p > np.float32(1.0):
                    clipped += 1
                for group in range((slots + 3) // 4):
                    words = philox(line, event, group, key)
                    for k in range(4):
                        slot = 4 * group + k
                        if slot < slots and uniform(words[k]) < p:
                            bits |= np.uint32(1) << np.uint32(slot)
            out[sample, line] = bits
    return clipped


@inlined
def _ones(bits: Any) -> Any:
    bits = bits - ((bits >> np.uint32(1)) & np.uint32(0x55555555))
    bits = (bits & np.uint32(0x33333333)) + ((bits >> np.uint32(2)) & np.uint32(0x33333333))
    bits = (bits + (bits >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
    return np.int32(((np.uint64(bits) * np.uint64(0x01010101)) >> np.uint64(24)) & np.uint64(0xFF))


@jit
def train_rows(
    first: int,
    last: int,
    row_trains: Any,
    row_drive: Any,
    col_trains: Any,
    col_drive: Any,
    drive: Any,
    grid: Any,
    state: Any,
    params: Any,
    now_s: float,
    first_event: int,
    key: Any,
    pulses: Any,
    read: Any,
    sigma: Any,
) -> Sums:
    """Pulse rows [first, last) wherever the trains of word and bit line coincide, sample by sample.

    The sign of row_drive x col_drive is the direction; `drive` says which devices of a pair answer a
    coincidence.
    """
    samples, cols = col_trains.shape
    counts, group = np.zeros((2, cols), np.int32), new_group(state.conductance)
    peaks = np.empty(0, np.int32)
    active = np.empty((samples, cols), np.int32)
    lengths = np.zeros(samples, np.int32)
    for sample in range(samples):
        for col in range(cols):
            if col_trains[sample, col] != 0:
                active[sample, lengths[sample]] = col
                lengths[sample] += 1
    total = NO_SUMS
    for row in range(first, last):
        for sample in range(samples):
            train = row_trains[sample, row]
            if train == 0 or lengths[sample] == 0:
                continue
            struck = 0
            for k in range(lengths[sample]):
                col = active[sample, k]
                n = _ones(train & col_trains[sample, col])
                if n == 0:
                    continue
                struck += 1
                up = (row_drive[sample, row] > _ZERO) == (col_drive[sample, col] > _ZERO)
                counts[0, col] = plus_count(up, n, drive)
                counts[1, col] = minus_count(up, n, drive)
            if struck == 0:
                continue
            sums = pulse_row(
                row,
                counts,
                group,
                peaks,
                grid,
                state,
                params,
                now_s,
                first_event + sample,
                key,
                pulses,
                read,
                sigma,
            )
            total = added(total, sums)
            for k in range(lengths[sample]):
                counts[0, active[sample, k]] = 0
                counts[1, active[sample, k]] = 0
    return total
