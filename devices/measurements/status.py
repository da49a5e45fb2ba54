"""Status that an instrument writes beside a read: in compliance, or no measurement at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurosim.devices.measurements.columns import Column
from neurosim.devices.measurements.reading import Sheet, Values

GOOD = {"", "n", "no", "f", "false", "0", "ok", "normal", "good", "none", "pass", "-", "t"}
"""T, another channel in compliance, says nothing of the channel that reads; beside F it means true."""
COMPLIANCE = {
    "c",
    "yes",
    "true",
    "1",
    "compliance",
    "in compliance",
    "comp",
    "cmpl",
    "compl",
    "limit",
    "limited",
}
"""C: this channel in compliance (Keithley 4200A-SCS reference manual, 4200A-901-01, KXCI output formats; the same letters
in the FMT responses of a Keysight B1500)."""
UNMEASURED = {
    "v": "overflow",
    "x": "oscillation",
    "l": "interval too short",
    "g": "target not found",
    "s": "search stopped",
}
"""Letters of the same manuals that leave no measurement, by what they mean."""
_ALIKE = 0.02
"""Reads in compliance that differ by less, of their median, stand at one limit."""
_FEWEST = 5
"""Fewer of them are missing: too few to bend what is read below."""


@dataclass(frozen=True)
class Status:
    """What a column of status says of each row."""

    limited: NDArray[np.bool_]
    """In compliance."""
    lost: NDArray[np.bool_]
    """Not measured."""
    words: str
    """How many rows were not measured, by reason; empty if all were."""
    unknown: tuple[str, ...] = ()
    """Codes that are not understood; then no row is taken for anything."""


def status_of(sheet: Sheet, column: Column) -> Status:
    """Return what a column of status says."""
    cells = [_plain(cell) for cell in sheet.cells[column.place]]
    if "f" in cells:
        cells = ["true" if cell == "t" else cell for cell in cells]
    unknown = tuple(sorted(set(cells) - GOOD - COMPLIANCE - set(UNMEASURED)))
    none = np.zeros(len(cells), np.bool_)
    if unknown:
        return Status(none, none, "", unknown)
    counts = Counter(UNMEASURED[cell] for cell in cells if cell in UNMEASURED)
    words = ", ".join(f"{count} of status {reason}" for reason, count in counts.items())
    limited = np.array([cell in COMPLIANCE for cell in cells], np.bool_)
    return Status(limited, np.array([cell in UNMEASURED for cell in cells], np.bool_), words)


def _plain(cell: str) -> str:
    """Return a cell without case and quotes; codes as whole numbers (0.0, 0x00000000 and 0 are one)."""
    text = cell.strip().lower().strip("\"'()[]").replace("_", " ")
    try:
        code = int(text, 16) if text.startswith("0x") else float(text)
    except ValueError:
        return text
    return f"{code:g}"


def at_limit(values_uS: Values, limited: NDArray[np.bool_]) -> tuple[Values, tuple[float, ...]]:
    """Return reads with those in compliance at one limit, and that limit; missing where they are few or stand at several.

    Nearest to the other reads is what each of them at least was seen beyond.
    """
    here = limited & ~np.isnan(values_uS)
    if not here.any():
        return values_uS, ()
    found, others = values_uS.copy(), values_uS[~limited & ~np.isnan(values_uS)]
    middle = float(np.median(values_uS[here]))
    if here.sum() < _FEWEST or np.ptp(values_uS[here]) > _ALIKE * abs(middle) or not others.size:
        found[here] = np.nan
        return found, ()
    above = middle > float(np.median(others))
    limit = float(values_uS[here].min() if above else values_uS[here].max())
    found[here] = limit
    return found, (limit,)
