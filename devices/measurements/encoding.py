"""From the bytes of a file to its text, whatever its encoding; workbooks and other files that are no text are refused."""

from __future__ import annotations

import codecs
from pathlib import Path

from neurosim.core.errors import DataError
from neurosim.devices.measurements import no_table

_MARKS_OF_ORDER = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_WORKBOOKS = (b"\xd0\xcf\x11\xe0", b"xl/workbook", b"META-INF/manifest.xml")
"""How an old workbook begins, and what is among the entries of an archive that is one."""
_ENTRIES = 65536
"""Bytes at the end of an archive where they are looked for."""


def decoded(file: Path) -> tuple[str, str]:
    """Return the text of a file and its encoding; raises `DataError` if it is none."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot read ({error.strerror})") from None
    if data.startswith(_WORKBOOKS[0]) or any(part in data[-_ENTRIES:] for part in _WORKBOOKS[1:]):
        raise DataError(f"{file}: is a workbook; save the sheet as CSV or as text with tabs")
    no_table.expect_no_other_kind(file, data)
    text, encoding = _as_text(file, data)
    no_table.expect_text(file, text)
    return text, encoding


def _as_text(file: Path, data: bytes) -> tuple[str, str]:
    for start, encoding, name in _MARKS_OF_ORDER:
        if data.startswith(start):
            return _decode(file, data, encoding), f"{name} with a byte order mark"
    if b"\0" in data:
        odd, even = data[1::2].count(0), data[0::2].count(0)
        return _decode(file, data, "utf-16-le" if odd > even else "utf-16-be"), "UTF-16"
    try:
        return data.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), "Latin-1 (Windows)"


def _decode(file: Path, data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise no_table.not_text(file) from None
    if "\0" in text:
        raise no_table.not_text(file)
    return text
