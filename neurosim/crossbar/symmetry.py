"""Where up and down pulses balance on each device, found as a laboratory does, and made the zero of its weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from neurosim.core.cautions import WindowWarning
from neurosim.core.errors import CapabilityError
from neurosim.core.protocols import Floats

if TYPE_CHECKING:
    from neurosim.core.config import Tracking
    from neurosim.crossbar.array import Crossbar

CLIPPED_SHARE = 0.01
"""Weights beyond the window after a search while learning, of which there is a warning."""


class SymmetricPoints(NamedTuple):
    """What the search found, (rows, cols)."""

    read_uS: Floats
    """Conductances as read, to which the references were programmed (at a `share` below 1 so far towards them)."""
    error_uS: Floats
    """What the references, as they stand, are off from where the devices stood at those reads: of reads and programming."""


def refuse(array: Crossbar) -> None:
    """Raise `CapabilityError` where there is no symmetric point, no reference to hold it, or lines between."""
    if array.write.mapping != "reference":
        raise CapabilityError(
            f"find_symmetric_points: mapping '{array.write.mapping}' has no reference of its own beside each learning "
            "device, which alone can hold its symmetric point: use mapping 'reference'"
        )
    if array.device.polarity != "bipolar" or array.device.closed_loop:
        raise CapabilityError(
            f"find_symmetric_points: pulses up and down of {array.device.name} (law '{array.device.law}') do not balance "
            "step by step; only bipolar devices have a symmetric point"
        )
    if not array._reader.view.plain:
        raise CapabilityError(
            "find_symmetric_points reads devices one by one, without wires or faults between: leave these out"
        )


def find(array: Crossbar, pairs: int, share: float = 1.0) -> SymmetricPoints:
    """Give alternate pulses, read, and program the references (`Crossbar.find_symmetric_points`).

    `share` is how far they go from where they were programmed to what was read.
    """
    refuse(array)
    cells, writer, reader = array._cells, array._writer, array._reader
    if writer.recorder is not None:
        raise CapabilityError(
            "find_symmetric_points programs references, which no pulse programme holds: do not record it"
        )
    one_up = np.zeros((cells.shape[0], 2 * cells.shape[1]), np.int32)
    one_up[:, 0::2] = 1
    for _ in range(pairs - 1):
        writer.strike_all(one_up)
        writer.strike_all(-one_up)
    read, stood = np.zeros(cells.shape, cells.dtype), np.zeros(cells.shape, cells.dtype)
    for pulse in (one_up, -one_up):
        writer.strike_all(pulse)
        read += reader.read_arm(0, writer.updates) / 2
        stood += cells.conductance_uS()[:, 0::2] / 2
    wanted = read if share == 1 else cells.zero_uS + cells.real(share) * (read - cells.zero_uS)
    array._programmer.set_references(wanted)
    array.ledger.point_searches += 1
    return SymmetricPoints(read, cells.conductance_uS()[:, 1::2] - stood)


def follow(array: Crossbar, tracking: Tracking) -> None:
    """Search again while weights are learnt: read them, search, and program them beside the new references."""
    cells = array._cells
    plus, minus = (array._reader.read_arm(arm, array._writer.updates) for arm in (0, 1))
    find(array, tracking.pairs, tracking.share)
    clipped = array._programmer.write_again(cells.zero_uS + plus - minus)
    if clipped > CLIPPED_SHARE * plus.size:
        array._once.say(
            WindowWarning,
            f"a search of symmetric points moved {clipped} of {plus.size} weights beyond the window, where they were clipped: "
            f"tracking.pairs = {tracking.pairs} may be too few to bring devices from their weights to their points, so that "
            "references follow the weights",
            stacklevel=4,
        )
