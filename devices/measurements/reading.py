"""From a file to its cells: header block, header, the marks between cells and before decimals."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurosim.core.errors import DataError
from neurosim.devices.measurements import no_table
from neurosim.devices.measurements.encoding import decoded

OVERFLOW = 1e30
"""Where they have no reading, instruments write 9.9e37 or 9.91e37 (SCPI), 2e100, or 8.8e30 to 1e36 (ADCMT 6241A)."""
_MISSING = {"", "nan", "n/a", "na", "#n/a", "null", "none", "-", "--", "---", "overflow", "overld", "ovrflw"}
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eEdD][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eEdD][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}([.,' ]\d{3})+([.,]\d+)?")
_RECORD = ("dataname", "datavalue")
"""First cells of names and of values where records of an analyser follow each other, each with its settings."""
_COMMENT = ("#", "%", "//")
_MARKS = {"\t": "tabs", ";": "semicolons", ",": "commas", "  ": "blanks", " ": "blanks"}
_ENOUGH = 0.5
"""Share of the best mark's rows with which an earlier mark is taken."""
_TRIED = 5000
"""Lines by which the mark between cells is told."""
_NUMBERS = 0.25
"""Share of numbers among the cells of a row of data, where blanks stand between cells as between words."""
Row = tuple[int, list[str]]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Sheet:
    """The cells of one file under their header."""

    file: Path
    names: tuple[str, ...]
    """Header of each column; empty if the file has none."""
    units: tuple[str, ...]
    """Cells of a row of units below the header, one a column; empty if there is none."""
    cells: pd.DataFrame
    """Text of the data, a column a place; its index is the line in the file, from 1."""
    block: NDArray[np.intp]
    """How often the header was repeated above each row."""
    decimal: str
    said: str
    """How the file was read, in words."""
    aside: tuple[tuple[int, str], ...] = ()
    """Lines with their numbers that hold no data: above the header, comments, below the data."""

    def header(self, place: int) -> str:
        """Return what a column is called: its header, or its number."""
        return self.names[place] if self.names else f"column {place + 1}"

    def numbers(self, place: int, gaps: bool = False) -> Values:
        """Return a column as numbers; NaN where a value is missing, if `gaps` are allowed.

        Raises
        ------
        DataError
            If a cell is no number, infinite, or missing without `gaps`.
        """
        values = np.empty(len(self.cells))
        for k, (line, cell) in enumerate(self.cells[place].items()):
            values[k] = self._number(int(str(line)), place, cell, gaps)
        return values

    def _number(self, line: int, place: int, cell: str, gaps: bool) -> float:
        where = f"{self.file} line {line}: {self.header(place)} = "
        if cell.lower() in _MISSING:
            if gaps:
                return float("nan")
            raise DataError(f"{where}'{cell}' is missing; drop the row or fill the cell in")
        text = cell.replace(",", ".") if self.decimal == "," else cell
        try:
            value = float(text)
        except ValueError:
            raise DataError(f"{where}'{cell}' is not a number; correct the cell or drop the row") from None
        if np.isinf(value):
            raise DataError(f"{where}{cell}; NaN and infinity cannot be fitted, drop the row")
        if abs(value) >= OVERFLOW:
            if gaps:
                return float("nan")
            raise DataError(f"{where}{cell} is an instrument's overflow; drop the row")
        return value


def read_sheet(file: Path, known: Callable[[str], bool], is_unit: Callable[[str], bool]) -> Sheet:
    """Read a text file of columns.

    Parameters
    ----------
    file : path
        Comma-separated values, or what instruments and spreadsheets make of them.
    known : callable
        Whether a cell is the name of a quantity; finds the header.
    is_unit : callable
        Whether a cell is a unit; finds a row of units.

    Raises
    ------
    DataError
        If the file cannot be read or rows do not fit its header.
    """
    if file.is_dir():
        raise no_table.folder(file, lambda one: read_sheet(one, known, is_unit))
    text, encoding = decoded(file)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[0].lower().startswith("sep="):
        lines[0] = ""
    plain = ["" if line.lstrip().startswith(_COMMENT) else line for line in lines]
    mark = _mark(file, [line for line in plain if line.strip()][:_TRIED])
    rows = [(k, cells) for k, line in enumerate(plain, start=1) if any(cells := _split(file, line, mark))]
    if not rows:
        raise DataError(f"{file}: is empty, no rows of data; give the file of the measurement")
    width = _width(rows)
    headed = any(no_table.is_header([known(cell) for cell in cells]) for _, cells in rows)
    if not headed and not no_table.holds_table(_fits(rows, width, mark)):
        raise no_table.none_found(file)
    numeric = _numeric_places(rows, width)
    head = _header(rows, width, numeric, known)
    names, header_line = ([], 0) if head is None else (list(rows[head][1]), rows[head][0])
    first = _first_data(rows, width) if head is None else head + 1
    body = rows[first:]
    if head is None and body:
        names, header_line = _commented(lines, body[0][0], mark, width, known)
    above = sum(1 for line, _ in rows[:first] if not header_line or line < header_line)
    if names and len(names) == width + 1 and not names[-1]:
        names.pop()
    if names and len(names) == width - 1 and not any(row[-1] for _, row in body if len(row) == width):
        names.append("")
    units, body = _units(body, numeric, width, is_unit) if names else ((), body)
    body, below = _without_foot(body, width or len(names), numeric)
    if names and names[0].lower() == _RECORD[0]:
        body = [row for row in body if row[1] == names or row[1][0].lower() == _RECORD[1]]
    heads = np.cumsum([cells == names for _, cells in body], dtype=np.intp)
    block = heads[[cells != names for _, cells in body]]
    again = int(heads[-1]) if heads.size else 0
    body = [(line, _uncommented(cells, len(names) or width)) for line, cells in body if cells != names]
    if not body:
        raise DataError(f"{file}: no rows of data below the header; give the file of the measurement itself")
    _expect_width(file, body, len(names) or width, [known(name) for name in names], mark)
    frame = pd.DataFrame([cells for _, cells in body], index=[line for line, _ in body], dtype=object)
    frame, decimal = _decimals(file, frame, names, numeric, mark)
    left_out = [f"{count} lines {where}" for count, where in ((above, "above"), (below, "below")) if count]
    said = [encoding, f"cells apart by {_MARKS[mark]}", *(["decimal commas"] if decimal == "," else [])]
    said.append(f"header in line {header_line}" if names else "no header")
    said += [f"{' and '.join(left_out)} the data left out"] if left_out else []
    said += [f"header repeated {again} time{'s' if again > 1 else ''}"] if again else []
    used = {line for line, cells in rows if cells == names} | set(frame.index)
    used |= set(range(header_line, int(frame.index[0]))) if names else set()
    aside = tuple((k, line) for k, line in enumerate(lines, start=1) if k not in used and line.strip())
    return Sheet(file, tuple(names), units, frame, block, decimal, ", ".join(said), aside)


def _split(file: Path, line: str, mark: str) -> list[str]:
    if not mark.strip(" "):
        return re.split(r"\s{2,}", line.strip()) if len(mark) > 1 else line.split()
    try:
        return [
            cell.strip() for row in csv.reader([line], delimiter=mark, skipinitialspace=True) for cell in row
        ]
    except csv.Error:
        raise no_table.none_found(file) from None


def _mark(file: Path, lines: Sequence[str]) -> str:
    """Return what stands between cells: the mark with which most rows of numbers have one width.

    Two blanks or more count where one does not tell more columns: then names may have blanks.
    """
    found: dict[str, int] = {}
    width: dict[str, int] = {}
    for mark in _MARKS:
        split = [cells for line in lines if len(cells := _split(file, line, mark)) > 1]
        counts = Counter(len(cells) for cells in split if any(map(is_number, cells)))
        width[mark], found[mark] = counts.most_common(1)[0] if counts else (0, 0)
    if width["  "] != width[" "]:
        found["  "] = 0
    best = max(found.values())
    if best == 0:
        return next((mark for mark in _MARKS if mark.strip(" ") and any(mark in line for line in lines)), ",")
    return next(mark for mark in _MARKS if found[mark] > _ENOUGH * best)


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with a decimal point or comma, or with thousands apart."""
    return _NUMBER.fullmatch(cell) is not None or _THOUSANDS.fullmatch(cell) is not None


def _width(rows: Sequence[Row]) -> int:
    with_numbers = [len(cells) for _, cells in rows if any(map(is_number, cells))]
    return Counter(with_numbers).most_common(1)[0][0] if with_numbers else 0


def _fits(rows: Sequence[Row], width: int, mark: str) -> list[bool]:
    """Return which rows have that many cells, with numbers among them."""
    least = _NUMBERS if not mark.strip(" ") else 0.0
    numbers = [sum(map(is_number, cells)) for _, cells in rows]
    return [
        len(cells) == width and 0 < n >= least * width for (_, cells), n in zip(rows, numbers, strict=True)
    ]


def _numeric_places(rows: Sequence[Row], width: int) -> list[int]:
    """Return columns that hold numbers in more than half of their filled cells."""
    data = [cells for _, cells in rows if len(cells) == width and any(map(is_number, cells))]
    places = []
    for place in range(width):
        filled = [cells[place] for cells in data if cells[place].lower() not in _MISSING]
        if 2 * sum(map(is_number, filled)) > len(filled):
            places.append(place)
    return places


def _words(cells: Sequence[str], numeric: Sequence[int]) -> int:
    """Count words in columns of numbers."""
    return sum(
        1
        for place in numeric
        if place < len(cells) and cells[place].lower() not in _MISSING and not is_number(cells[place])
    )


def _header(
    rows: Sequence[Row], width: int, numeric: Sequence[int], known: Callable[[str], bool]
) -> int | None:
    """Return which row is the header: the first of those with most known names, or what stands on the data."""
    best, most = None, 0
    for k, (_, cells) in enumerate(rows):
        if width and (abs(len(cells) - width) > 1 or 2 * _words(cells, numeric) <= len(numeric)):
            continue
        if width and len(cells) != width and any(map(is_number, cells)):
            continue
        names = sum(map(known, cells))
        if names > most:
            best, most = k, names
    if best is not None or not width:
        return best if best is not None else 0
    data = (k for k, (_, cells) in enumerate(rows) if len(cells) == width and _is_data(cells, numeric))
    above = first = next(data, 0)
    while above and len(rows[above - 1][1]) == width and _words(rows[above - 1][1], numeric):
        above -= 1
    return above if above < first else None


def _first_data(rows: Sequence[Row], width: int) -> int:
    """Return how many rows stand above data without a header: those of another width that hold words."""
    for k, (_, cells) in enumerate(rows):
        if len(cells) == width or not any(
            cell.lower() not in _MISSING and not is_number(cell) for cell in cells
        ):
            return k
    return 0


def _is_data(cells: Sequence[str], numeric: Sequence[int]) -> bool:
    return not _words(cells, numeric) and any(is_number(cells[place]) for place in numeric)


def _commented(
    lines: Sequence[str], first: int, mark: str, width: int, known: Callable[[str], bool]
) -> tuple[list[str], int]:
    """Return a header that stands behind a comment mark above the data, and its line."""
    for k in range(first - 1, 0, -1):
        line = lines[k - 1].strip()
        if line.startswith(_COMMENT):
            cells = _split(Path(), line.lstrip("#%/ "), mark)
            if len(cells) == width and any(map(known, cells)) and not any(map(is_number, cells)):
                return cells, k
    return [], 0


def _units(
    body: list[Row], numeric: Sequence[int], width: int, is_unit: Callable[[str], bool]
) -> tuple[tuple[str, ...], list[Row]]:
    """Take rows of units and of comments from below the header."""
    units: tuple[str, ...] = ()
    while len(body) > 1 and not any(map(is_number, body[0][1])) and _words(body[0][1], numeric):
        cells = body[0][1]
        if all(is_unit(cell.strip("()[]")) for cell in cells if cell) and len(cells) == width:
            units = tuple(cell.strip("()[]") for cell in cells)
        body = body[1:]
    return units, body


def _without_foot(body: list[Row], width: int, numeric: Sequence[int]) -> tuple[list[Row], int]:
    """Leave out what stands below the data: after an empty line, or without any digit."""
    data = [k for k, (_, cells) in enumerate(body) if len(cells) == width and _is_data(cells, numeric)]
    last = data[-1] if data else len(body) - 1
    for k in range(last + 1, len(body)):
        apart = body[k][0] - body[k - 1][0] > 1
        if apart or not any(character.isdigit() for cell in body[k][1] for character in cell):
            return body[:k], len(body) - k
    return body, 0


def _uncommented(cells: list[str], width: int) -> list[str]:
    """Cut a comment behind the last value, which is a number; names with a hash stay."""
    for k in range(max(width - 1, 0), len(cells)):
        found = re.search(r"(^|\s)(#|%|//)", cells[k])
        kept = cells[k][: found.start()].strip() if found else ""
        if found and (k >= width or is_number(kept)):
            return [*cells[:k], kept] if kept else cells[:k]
    return cells


def _expect_width(file: Path, body: Sequence[Row], width: int, known: Sequence[bool], mark: str) -> None:
    """Raise `DataError` for a row of another width; where most are, for a text that is no table."""
    wrong = next(((line, len(cells)) for line, cells in body if len(cells) != width), None)
    if wrong is None:
        return
    fits = _fits(body, width, mark)
    if 2 * sum(fits) < len(fits) and not no_table.is_header(known):
        raise no_table.none_found(file)
    line, count = wrong
    what = f"the header has {width}" if known else f"most rows have {width}"
    remedy = "mend the row, or drop it"
    if count > width and mark == ",":
        remedy = "are commas decimal ones? separate cells by semicolons"
    raise DataError(f"{file} line {line}: {count} cell{'' if count == 1 else 's'}, {what}; {remedy}")


def _decimals(
    file: Path, frame: pd.DataFrame, names: Sequence[str], numeric: Sequence[int], mark: str
) -> tuple[pd.DataFrame, str]:
    """Tell decimal commas from points; raises `DataError` where they cannot be told."""
    commas: list[tuple[int, int, str]] = []
    points: list[tuple[int, int, str]] = []
    for place in numeric:
        for line, cell in frame[place].items():
            if "," in cell and is_number(cell):
                commas.append((int(str(line)), place, cell))
            elif "." in cell and is_number(cell):
                points.append((int(str(line)), place, cell))

    def where(found: tuple[int, int, str]) -> str:
        line, place, cell = found
        return f"line {line}: {names[place] if names else f'column {place + 1}'} = '{cell}'"

    remedy = "write numbers with a decimal point and without marks of thousands"
    if not commas:
        if mark == ";" and points and all(_THOUSANDS.fullmatch(cell) for _, _, cell in points):
            raise DataError(
                f"{file} {where(points[0])} may have decimals or thousands; write thousands without a mark, or separate "
                "cells by commas"
            )
        return frame, "."
    both = next((one for one in commas if not _DECIMAL_COMMA.fullmatch(one[2])), None)
    if both is not None or (mark == "," and all(_THOUSANDS.fullmatch(cell) for _, _, cell in commas)):
        raise DataError(f"{file} {where(both or commas[0])} may have a decimal comma or thousands; {remedy}")
    if points:
        raise DataError(f"{file} {where(commas[0])} has a comma, {where(points[0])} a point; {remedy}")
    return frame, ","
