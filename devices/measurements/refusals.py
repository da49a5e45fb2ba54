"""What is refused of a file's columns as a whole, each with the option that says what the file does not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from neurosim.core.errors import DataError
from neurosim.devices.measurements import columns as col
from neurosim.devices.measurements.columns import Column
from neurosim.devices.measurements.pulses import FEWEST_ROWS
from neurosim.devices.measurements.reading import Sheet, is_number

_NAMED = 12
"""So many headers are named."""
_READS = 6
"""So many columns of reads are named."""


def headers(sheet: Sheet) -> str:
    """Return the headers of a file for a message."""
    names = [name for name in sheet.names if name] or [f"{sheet.cells.shape[1]} columns without names"]
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def unknown(sheet: Sheet, of: Mapping[str, Sequence[Column]], values: Sequence[Column]) -> DataError:
    """Return what is wrong with a file that is of no form."""
    found = headers(sheet)
    if values or {"pulse", "device", "cycle"} & set(of):
        return DataError(
            f"{sheet.file}: no column polarity, and no pulse voltage whose sign would tell it; found {found}; say "
            'which it is with --column polarity="HEADER" or --column pulse_voltage="HEADER", or which pulses were '
            'given in which order: --column polarity="50 SET, 50 RESET"; for drift, --column time_s="HEADER"'
        )
    what = f"columns {found} are"
    if not sheet.names:
        first, last = sheet.cells.index[0], sheet.cells.index[-1]
        what = f"the rows of lines {first} to {last}, {found}, are"
    return DataError(
        f"{sheet.file}: {what} of no known form; say which is which with --column "
        'conductance_uS="HEADER" --column polarity="HEADER" (or a column\'s number); needed are '
        "pulses: device, pulse, polarity, conductance; programming: target, achieved; drift: device, time, "
        "conductance; or ramps, one column each, in a file named set or reset"
    )


def one_row_a_cycle(sheet: Sheet, cycle: Column) -> DataError:
    """Return what is wrong with states after SET and after RESET beside each other, a row a cycle."""
    return DataError(
        f"{sheet.file}: one row a cycle: states after SET and after RESET tell nothing of single pulses; if "
        f"'{cycle.header}' counts the pulses of a ramp, --column pulse=\"{cycle.header}\""
    )


def cycle_of_every_row(sheet: Sheet, cycle: Column, why: str) -> DataError:
    """Return what is wrong with a cycle that is another in every row, where it is no count of pulses."""
    return DataError(
        f"{sheet.file}: column '{cycle.header}' was taken for the number of a repetition, {why}, and differs from "
        "row to row: so no row follows a pulse of its own repetition; if it counts the pulses, --column "
        f'pulse="{cycle.header}"'
    )


def expect_reads(
    sheet: Sheet, of: Mapping[str, Sequence[Column]], values: Sequence[Column]
) -> Sequence[Column]:
    """Return the columns of reads, one or one a device; raises `DataError` if there is none, or which counts is not clear."""
    if values:
        names = [column.header for column in values]
        doubtful = not all(col.may_be_device(col.split_header(name)[0]) for name in names)
        alike = len(set(map(col.device_of, names))) < len(names)
        if len(names) > 1 and ("device" in of or doubtful or alike):
            listed = ", ".join(f"'{name}'" for name in names[:_READS])
            raise DataError(
                f"{sheet.file}: several columns hold reads: {listed}; say which counts with --column "
                f'{values[0].quantity}="{names[0]}"'
            )
        return values
    logarithm = next((name for name in sheet.names if col.is_logarithm(name)), None)
    if logarithm is not None:
        raise DataError(
            f"{sheet.file}: {logarithm} is a logarithm; write the conductance itself, 10 to that power in S"
        )
    raise DataError(
        f"{sheet.file}: no column of conductance, resistance or current; found {headers(sheet)}; say which it is with "
        '--column conductance="HEADER", or with its unit: --column conductance_uS="HEADER"'
    )


def expect_one_device(sheet: Sheet, used: Collection[int], table: pd.DataFrame) -> None:
    """Raise `DataError` if a column that is not understood looks like the device: it changes where pulse numbers
    start again, or holds words in long blocks."""
    run = table.set_index("line")["ramp"]
    for place, header in enumerate(sheet.names):
        cells = sheet.cells[place].loc[run.index]
        if place in used or not header or col.is_known(header) or "." in "".join(cells):
            continue
        blocks = cells.groupby((cells != cells.shift()).cumsum()).size()
        words = not any(map(is_number, cells)) and blocks.min() >= FEWEST_ROWS
        restarts = run.nunique() > 1 and (cells.groupby(run.to_numpy()).nunique() == 1).all()
        if cells.nunique() > 1 and (restarts or (words and len(blocks) == cells.nunique())):
            raise DataError(
                f"{sheet.file}: '{header}' changes from block to block; say what it is: --column "
                f'device="{header}" or --column cycle="{header}"'
            )
