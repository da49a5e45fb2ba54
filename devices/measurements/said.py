"""What was understood of a file, in three lines: how it was read, what its columns mean, what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from neurosim.devices.measurements.reading import Sheet

_MANY = 6
"""So many headers that are not used are named."""


def meaning(sheet: Sheet, shape: Sequence[str], used: Mapping[int, str], unit_assumed: bool) -> str:
    """Return the second line: the shape of a wide file, what each column is, and which are not used.

    Parameters
    ----------
    sheet : Sheet
        The file.
    shape : sequence of str
        In words, where columns are devices or ramps.
    used : mapping of int to str
        What the column of each place is; places below zero are no columns.
    unit_assumed : bool
        Columns without unit were taken for siemens.
    """
    columns = ", ".join(dict.fromkeys(used[place] for place in sorted(used)))
    rest = [header for place, header in enumerate(sheet.names) if place not in used and header]
    not_used = f"not used: {', '.join(rest[:_MANY])}{', ...' if len(rest) > _MANY else ''}" if rest else ""
    assumed = "columns without unit taken for siemens" if unit_assumed else ""
    return "; ".join(filter(None, [*shape, columns, assumed, not_used]))


def beside_the_data(used: Sequence[str], apart: Sequence[str]) -> str:
    """Return what was read from lines that are no data, and what was seen there and is not used."""
    return "; ".join(
        [f"from lines beside the data: {', '.join(used)}"] * bool(used)
        + [f"seen beside the data and not used: {', '.join(apart)}"] * bool(apart)
    )


def left_out(table: pd.DataFrame, values: Sequence[str], repeated: int) -> str:
    """Return missing values and repeated rows in words, empty without any."""
    lost = int(table[list(values)].isna().any(axis=1).sum())
    counts = [many(n, what) for n, what in ((lost, "missing value"), (repeated, "repeated row")) if n]
    return f"left out: {' and '.join(counts)}" if counts else ""


def held(kind: str, table: pd.DataFrame, values: Sequence[str], without: str) -> str:
    """Return the third line: devices, runs and pulses or reads, the range of conductance, and what was left out."""
    seen = table[values[-1]]
    words = f"{'repeated reads' if kind == 'reads' else kind}: {_count(table, kind)}, {seen.min():.4g} to {seen.max():.4g} uS"
    return "; ".join(filter(None, [words, without]))


def _count(table: pd.DataFrame, kind: str) -> str:
    if kind == "programming":
        return many(len(table), "programmed device")
    devices = many(table["device"].nunique(), "device")
    if kind in ("drift", "reads"):
        return f"{devices}, {many(len(table), 'read')}"
    runs = table.groupby(["device", "ramp"], sort=False).ngroups
    up, down = (int((table["polarity"] == sign).sum()) for sign in (1, -1))
    return f"{devices}, {many(runs, 'run')}, {many(up, 'row')} of SET and {down} of RESET"


def many(count: int, what: str) -> str:
    """Return a count with its noun."""
    return f"{count} {what}" + ("" if count == 1 else "s")
