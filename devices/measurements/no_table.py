"""Texts, binary files and folders that hold no table of numbers: what was looked for, and what to give instead."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from neurosim.core.errors import DataError

_LOOKED_FOR = (
    "looked for rows of equally many cells with numbers among them, apart by commas, semicolons, tabs or blanks, below a "
    "header such as pulse, polarity, conductance_uS"
)
_KINDS = (
    (b"\x1f\x8b", "a compressed file; unpack it"),
    (b"PK\x03\x04", "an archive; unpack it"),
    (b"%PDF", "a PDF; give the data behind it"),
    (b"\x93NUMPY", "an array of numpy; write it with numpy.savetxt"),
    (b"\x89HDF", "an HDF5 file, as MATLAB and instruments write; export its table as CSV"),
    (b"MATLAB 5.0", "a MAT-file of MATLAB; export its table with writetable"),
    (b"\x89PNG", "a picture; give the data behind it"),
    (b"\xff\xd8\xff", "a picture; give the data behind it"),
)
_PAGE = ("<!doctype", "<html", "<?xml", "<svg", "<head", "<body")
_TABLES = {".csv", ".txt", ".tsv", ".dat", ".tab", ".asc", ".prn", ".data", ".out", ""}
"""Ends of names of files in a folder that may be tables."""
_TRIED, _LARGEST, _NAMED = 40, 300_000, 6
"""Files of a folder that are opened, the size in bytes beyond which a file is believed to be one, and how many are named."""
_FEWEST = 3
"""So many rows of numbers one after the other are a table."""
_NO_TEXT, _ODD = 0.06, 3
"""Share of characters that no text holds, from which a file is none, and how many of them a text may have anyway."""
_START = 4096


def none_found(file: Path, what: str = "this text") -> DataError:
    """Return the refusal of a text without a table."""
    return DataError(
        f"{file}: no table of numbers was found in {what}: {_LOOKED_FOR}; give the file of the measurement itself, saved "
        "as CSV or as text with tabs"
    )


def expect_no_other_kind(file: Path, data: bytes) -> None:
    """Raise `DataError` if a file begins as those do that are no text."""
    for start, what in _KINDS:
        if data.startswith(start):
            raise DataError(f"{file}: no table of numbers was found, for this is {what}")


def expect_text(file: Path, text: str) -> None:
    """Raise `DataError` if what was decoded is no text, or is a page of HTML or XML."""
    head = text[:_START]
    strange = sum(map(_is_strange, head))
    if strange > max(_ODD, _NO_TEXT * len(head)):
        raise not_text(file)
    if head.lstrip().lower().startswith(_PAGE):
        raise DataError(
            f"{file}: no table of numbers was found, for this is a page of HTML or XML; if it shows a table, open it in a "
            "spreadsheet and save the sheet as CSV"
        )


def not_text(file: Path) -> DataError:
    """Return the refusal of a binary file."""
    return DataError(
        f"{file}: cannot read (not text), so no table of numbers was found; export the measurement as CSV in UTF-8"
    )


def _is_strange(character: str) -> bool:
    """Whether no text holds that character: controls, what could not be decoded, code points that mean nothing."""
    if character in "\t\n\r\f\v\x1a\x1b":
        return False
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs")


def is_header(known: Sequence[bool]) -> bool:
    """Whether a row is a header, by which of its cells name a quantity."""
    return sum(known) >= 2 and 2 * sum(known) > len(known)


def holds_table(fits: Sequence[bool]) -> bool:
    """Whether some rows of a text are a table, by which of all rows have the width and the numbers of one."""
    longest = max((sum(1 for _ in run) for fit, run in itertools.groupby(fits) if fit), default=0)
    return longest >= _FEWEST or 0 < 2 * sum(fits) >= len(fits)


def folder(file: Path, read: Callable[[Path], object]) -> DataError:
    """Return the refusal of a folder, with the files in it that look like tables."""
    try:
        inside = sorted(one for one in file.iterdir() if one.suffix.lower() in _TABLES and one.is_file())
    except OSError as error:
        return DataError(f"{file}: cannot read ({error.strerror})")
    inside = [one for one in inside if not one.name.startswith(".")]
    tables = [one.name for one in inside[:_TRIED] if _may_be_table(one, read)]
    if not tables:
        return DataError(
            f"{file}: is a folder, and no file in it looks like a table of numbers: give the file of a measurement, "
            "saved as CSV or as text with tabs"
        )
    more = ", ..." if len(tables) > _NAMED or len(inside) > _TRIED else ""
    return DataError(
        f"{file}: is a folder; give a file of it, or several that go together; like tables look "
        f"{', '.join(tables[:_NAMED])}{more}"
    )


def _may_be_table(file: Path, read: Callable[[Path], object]) -> bool:
    try:
        if file.stat().st_size <= _LARGEST:
            read(file)
    except (DataError, OSError):
        return False
    return True
