"""What a change passes digitally before it becomes pulses: the average of negative phases, and a filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.core.config import WritePath
from neurosim.core.errors import CheckpointError
from neurosim.core.protocols import Floats, Precision, State
from neurosim.kernels.change import filter_rows


def memory_work(write: WritePath, asleep: bool) -> tuple[int, int]:
    """Return multiply-adds and memory accesses of one synapse in one update: of the filter, and of the average of negative phases.

    Each is read, and written but for the average in a positive phase; its addition is counted as a multiply-add.
    """
    macs, accesses = (1, 2) if write.momentum else (0, 0)
    if write.baseline:
        macs, accesses = macs + 1, accesses + (2 if asleep else 1)
    return macs, accesses


def fills(write: WritePath, asleep: bool) -> bool:
    """Return whether every synapse may change in an update, whatever was on the wires."""
    return bool(write.momentum or (write.baseline and not asleep))


def stored_changes(write: WritePath) -> list[str]:
    """Return the names of what is stored beside an array, a number a synapse each."""
    wanted = {"velocity": write.momentum, "baseline": write.baseline}
    return [name for name, keep in wanted.items() if keep]


class StoredChanges:
    """Numbers beside an array, one a synapse and purpose, that changes are filtered by, in weights.

    Parameters
    ----------
    shape : (int, int)
        Word lines and columns.
    write : WritePath
        Its `momentum` and `baseline`.
    precision : {"float32", "float64"}
    """

    def __init__(self, shape: tuple[int, int], write: WritePath, precision: Precision):
        self.write, self.real = write, np.dtype(precision).type
        self.asleep = False
        """Whether the next change is that of a negative phase; said before it by who knows."""
        self.kept: dict[str, Floats] = {name: np.zeros(shape, precision) for name in stored_changes(write)}

    def __bool__(self) -> bool:
        return bool(self.kept)

    def take(self, first: int, change: Floats, scale: Any) -> None:
        """Replace a change of rows from `first` on, in weights, by what is to be given, times `scale` (cols,)."""
        if self.write.baseline:
            average, keep = self.kept["baseline"][first : first + len(change)], self.real(self.write.baseline)
            if self.asleep:
                average *= keep
                average += (self.real(1) - keep) * change
            else:
                change += average
        if self.write.momentum:
            filter_rows(first, change, self.kept["velocity"], self.real(self.write.momentum), scale)
        else:
            change *= scale

    def snapshot(self) -> State:
        """Return copies of what is stored, by name."""
        return {name: values.copy() for name, values in self.kept.items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot, in which there may be more; raises `CheckpointError` if something is missing or has another shape."""
        for name, own in self.kept.items():
            if name not in saved or saved[name].shape != own.shape:
                raise CheckpointError(f"checkpoint does not fit this array: {name}")
            own[...] = saved[name]
