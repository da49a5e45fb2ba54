"""Everything that an array must keep to go on later with the same bits, as named arrays; and how it takes them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurosim.core.errors import CheckpointError
from neurosim.core.protocols import State
from neurosim.crossbar.ledger import Ledger

if TYPE_CHECKING:
    from neurosim.crossbar.array import Crossbar
    from neurosim.crossbar.reader import Reader


def saved(array: Crossbar) -> State:
    """Return copies of the state of an array: devices, wires, placement, ledger, counters, converters, update path."""
    reader, writer = array._reader, array._writer
    counters = [reader.reads, reader.norm_reads, writer.updates]
    wired = {} if array._wired is None else array._wired.snapshot()
    return {
        **array._cells.snapshot(),
        **{f"wires.{name}": values for name, values in wired.items()},
        **{f"reach.{name}": values for name, values in writer.reach.snapshot().items() if array._weakens},
        **({} if array._placement is None else {"placement": array._placement.columns.copy()}),
        "ledger": array.ledger.to_array(),
        "counters": np.array(counters, np.int64),
        "fitted": np.array([array._fitted]),
        "adc_range_uS": reader.converters.range_uS.reshape(-1).copy(),
        "pending_decay": writer.pending_decay.copy(),
        "accumulator": writer.accumulator.copy(),
        **writer.stored.snapshot(),
        **(_calibrated(reader) if array.read.calibration else {}),
    }


def _calibrated(reader: Reader) -> State:
    """What a counted calibration adds to the state: reads, which number its random numbers, and trims of offsets."""
    return {
        "ranging": np.array([reader.ranging_reads], np.int64),
        "adc_trim_lsb": reader.converters.trim_lsb.copy(),
    }


def take_back(array: Crossbar, snapshot: State) -> None:
    """Take back what `saved` gave; raises `CheckpointError` if an array is missing or has another shape."""
    reader, writer = array._reader, array._writer
    rows, cols = array._cells.shape
    shapes: dict[str, list[tuple[int, ...]]] = {
        "row_sum": [(rows,)],
        "pending_decay": [(cols,)],
        "accumulator": [(0, 0), (rows, cols)],
    }
    try:
        for name, fitting in shapes.items():
            if snapshot[name].shape not in fitting:
                raise CheckpointError(f"checkpoint does not fit this array: {name}")
        array._cells.restore(snapshot)
        if array._weakens:
            writer.reach.restore({name: snapshot[f"reach.{name}"] for name in ("strength", "refreshed_at")})
        if array._placement is not None:
            array._placement.place(snapshot["placement"].copy())
        if array._wired is not None:
            found = {name: values for name, values in snapshot.items() if name.startswith("wires.")}
            array._wired.restore({name.removeprefix("wires."): values for name, values in found.items()})
        reader.reads, reader.norm_reads, writer.updates = map(int, snapshot["counters"])
        array._fitted = bool(snapshot["fitted"][0])
        ranges = reader.converters.range_uS
        ranges[:] = snapshot["adc_range_uS"].reshape(ranges.shape)
        writer.pending_decay = snapshot["pending_decay"].astype(array.precision)
        writer.accumulator = snapshot["accumulator"].astype(array.precision)
        writer.stored.restore(snapshot)
        if array.read.calibration:
            reader.ranging_reads = int(snapshot["ranging"][0])
            reader.converters.trim_lsb[:] = snapshot["adc_trim_lsb"]
        array.rewind(Ledger.from_array(snapshot["ledger"]))
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"checkpoint does not fit this array: {error}") from None
