"""Polarity of pulses, runs of pulses, and rows that were saved twice."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurosim.core.errors import DataError
from neurosim.devices.measurements.columns import DOWN_WORDS, UP_WORDS, Column
from neurosim.devices.measurements.reading import Sheet

UP = {"1", "+1", "set", "up", "p", "ltp", "potentiation", "+", "pot", "pos", "positive"}
DOWN = {"-1", "reset", "down", "d", "ltd", "depression", "-", "dep", "neg", "negative"}
START = {"", "0", "none", "start", "read", "nan", "initial"}
_ALIKE = 0.01
"""Pulse voltages of one sign that differ by less are one amplitude."""
_READ = 3.0
"""Where amplitudes of one sign differ by more, the smaller are reads."""
FEWEST_ROWS = 10
"""So many rows in a row are equal, or have a word in common, by intention."""


def direction(name: str) -> int | None:
    """Return +1 or -1 where a name says set or reset, None where it says neither."""
    lower = name.lower()
    if re.search(rf"(?<![a-z])({DOWN_WORDS})(?![a-z])", lower):
        return -1
    return 1 if re.search(rf"(?<![a-z])({UP_WORDS})(?![a-z])", lower) else None


def pattern(text: str) -> list[int]:
    """Return the polarities that words such as `10 RESET, 10 SET` mean, one a pulse; none if they mean no pattern."""
    found: list[int] = []
    for part in re.split(r"[,;+]", text):
        match = re.fullmatch(r"\s*(\d{1,6})\s*[x×*]?\s*([a-z]+)\s*", part.lower())
        if match is None or match[2] not in UP | DOWN or not int(match[1]):
            return []
        found += [1 if match[2] in UP else -1] * int(match[1])
    return found


def by_pattern(pattern: Sequence[int], number: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the polarity of pulses by their number: 1 is the first of the pattern, which goes on again; below is none."""
    counted = number.astype(np.intp)
    found: NDArray[np.int8] = np.where(
        counted > 0, np.array(pattern)[(counted - 1) % len(pattern)], 0
    ).astype(np.int8)
    return found


def signs(sheet: Sheet, of: Mapping[str, Sequence[Column]], used: dict[int, str]) -> NDArray[np.int8]:
    """Return the polarity of each row: of a column of words, or of a pulse voltage's sign.

    Raises
    ------
    DataError
        If a word is unknown, or all pulses have one sign and several amplitudes.
    """
    found = of.get("polarity") or of["pulse_voltage"]
    if len(found) > 1:
        raise DataError(
            f"{sheet.file}: two columns tell the polarity: '{found[0].header}' and '{found[1].header}'; say which "
            f'with --column {found[0].quantity}="HEADER"'
        )
    (column,) = found
    turn = -1 if column.minus else 1
    if column.quantity == "polarity":
        used[column.place] = f'polarity "{column.header}"'
        cells = sheet.cells[column.place].items()
        return np.array([turn * _sign(sheet, int(str(line)), column, cell) for line, cell in cells], np.int8)
    volts = np.nan_to_num(sheet.numbers(column.place, gaps=True)) * turn
    used[column.place] = f'polarity from the sign of "{"-" if column.minus else ""}{column.header}"'
    pulses = np.abs(volts[volts != 0])
    kinds = [kind for sign in (1, -1) if (kind := np.abs(volts[np.sign(volts) == sign])).size]
    several = any(np.ptp(kind) > _ALIKE * kind.max() for kind in kinds)
    if len(kinds) == 1 and several:
        raise DataError(
            f"{sheet.file}: {column.header} has one sign and several amplitudes ({pulses.min():g} to "
            f"{pulses.max():g}), so the sign does not tell SET from RESET; write a column of SET and RESET, "
            '--column polarity="HEADER"'
        )
    for kind in kinds:
        if kind.max() > _READ * kind.min():
            raise DataError(
                f"{sheet.file}: {column.header} holds amplitudes from {kind.min():g} to {kind.max():g} of one sign; are "
                "reads among the pulses? Keep one row for each pulse, with the read after it"
            )
    if several:
        used[column.place] += f" ({pulses.min():g} to {pulses.max():g})"
    return np.sign(volts).astype(np.int8)


def shapes(
    sheet: Sheet, of: Mapping[str, Sequence[Column]], used: dict[int, str]
) -> dict[str, NDArray[np.float64]]:
    """Return amplitude (`pulse_V`, a magnitude) and width (`pulse_s`) of the pulse of each row, of columns that tell them.

    Raises
    ------
    DataError
        If a width has no unit, or two columns tell the same.
    """
    found = {}
    for quantity, name, word in (
        ("pulse_voltage", "pulse_V", "amplitude"),
        ("pulse_width", "pulse_s", "width"),
    ):
        columns = of.get(quantity, ())
        if len(columns) > 1:
            raise DataError(
                f"{sheet.file}: two columns tell the {word} of a pulse: '{columns[0].header}' and '{columns[1].header}'; "
                f'say which with --column {quantity}="HEADER"'
            )
        for column in columns:
            if column.unit is None and quantity == "pulse_width":
                raise DataError(
                    f'{sheet.file}: {column.header} has no unit; give it: --column pulse_width_s="{column.header}", or '
                    "pulse_width_us, pulse_width_ns"
                )
            found[name] = np.abs(sheet.numbers(column.place, gaps=True)) * column.factor
            used.setdefault(column.place, f'{word} of the pulse "{column.header}"')
    return found


def _sign(sheet: Sheet, line: int, column: Column, text: str) -> int:
    word = text.strip().lower().removesuffix(".0")
    for sign, words in ((1, UP), (-1, DOWN), (0, START)):
        if word in words:
            return sign
    raise DataError(
        f"{sheet.file} line {line}: {column.header} = '{text}'; use SET or RESET, +1 or -1, empty before the first; "
        'for pulse voltages, --column pulse_voltage="HEADER"'
    )


def another_in_every_row(sheet: Sheet, cells: pd.Series[str], devices: Sequence[str] | str) -> bool:
    """Whether no row of a device has in this column what the row before it has; rows saved twice do not count."""
    rows = pd.DataFrame({"cell": cells, "text": ["\0".join(row) for row in sheet.cells.to_numpy()]})
    rows["device"] = devices
    before = rows.groupby("device", sort=False)[["cell", "text"]].shift()
    rows = rows[(rows["text"] != before["text"]) & before["cell"].notna()]
    return len(rows) > 0 and bool((rows["cell"] != before["cell"].loc[rows.index]).all())


def without_repeats(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Leave out rows that repeat the row before them of the same device, or a whole run of it, cell by cell."""
    before = table.groupby("device", sort=False)["text"].shift()
    kept = table[table["text"] != before]
    copies: list[int] = []
    for _, own in kept.groupby("device", sort=False):
        starts = [0, *(np.flatnonzero(np.diff(own["pulse"].to_numpy()) <= 0) + 1), len(own)]
        known: set[tuple[str, ...]] = set()
        for first, last in itertools.pairwise(starts):
            run = tuple(own["text"].iloc[first:last])
            if run in known and len(run) >= FEWEST_ROWS:
                copies += list(own.index[first:last])
            known.add(run)
    kept = kept.drop(index=copies)
    return kept.reset_index(drop=True), table["line"].nunique() - kept["line"].nunique()


def number_runs(
    file: Path, table: pd.DataFrame, numbered: bool, cycled: bool, hint: str = ""
) -> pd.DataFrame:
    """Return the table with `ramp`, the run of each read in its device, and `pulse` where it was not given.

    A run ends where pulse numbers start again (from 0, from 1 or from the device's first number), and where a new
    cycle does not go on counting; `hint` goes behind what is refused.

    Raises
    ------
    DataError
        If pulse numbers of a device do not grow otherwise, or one pulse has two reads.
    """
    parts = []
    for name, own in table.groupby("device", sort=False):
        own = own.copy()
        if not numbered:
            own["pulse"] = np.arange(len(own), dtype=float)
        number, cycle, line = own["pulse"].to_numpy(), own["cycle"].to_numpy(), own["line"].to_numpy()
        new = np.zeros(len(own), bool)
        for k in range(1, len(own)):
            gap = number[k] - number[k - 1]
            turned = cycled and cycle[k] != cycle[k - 1]
            if turned and not numbered:
                new[k] = True
            elif gap == 0 and not turned:
                raise DataError(
                    f"{file} line {line[k]}: pulse {number[k]:g} of device {name} has another read in line "
                    f"{line[k - 1]}; keep one{hint}"
                )
            elif gap <= 0:
                if not turned and number[k] not in (0.0, 1.0, number[0]):
                    raise DataError(
                        f"{file} line {line[k]}: pulse numbers of device {name} do not grow{hint}"
                    )
                new[k] = True
        own["ramp"] = np.cumsum(new)
        parts.append(own)
    return pd.concat(parts, ignore_index=True)
