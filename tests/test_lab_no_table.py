"""What holds no table of numbers is refused as such, with the remedy; a table with a mistake is refused by its line."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from lab_forms import CONDUCTANCES
from test_cli import neurosim, refused

from neurosim.core.errors import DataError
from neurosim.devices.measurements import measured

ROOT = Path(__file__).resolve().parents[1]
README = (
    "# Wafer 7\n\nThis folder holds pulses of 3 devices, measured in 2023.\n\n"
    "1. Device d1 was pulsed 24 times.\n2. The read voltage was 0.1 V, see the log.\n\n"
    "The files are named after the device, e.g. `d1.csv`; time is in s.\nAsk the lab, room 12, for more.\n"
)
PAGE = "<!DOCTYPE html>\n<html><head><style>p { margin: 0 4 }\na { margin: 0 4 }\n</style></head><body>\n<td>1</td>\n</body></html>\n"


def said(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        measured(file)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(file))
    return str(caught.value)


def array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(20.0))
    return stream.getvalue()


def archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as parts:
        for name in names:
            parts.writestr(name, "1,2\n")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (README.encode(), "found in this text: looked for rows of equally many cells"),
        (b"Word\nlist\nof\nnames\n", "found in this text: looked for rows"),
        (b"only one line of prose, with commas, and nothing more\n", "give the file of the measurement itself"),
        (b"authors:\n  - given-names: A, B\nversion: 0.1.0\ndate-released: 2025-01-01\n", "found in this text"),
        (PAGE.encode(), "page of HTML or XML; if it shows a table, open it in a spreadsheet"),
        (b"<?xml version='1.0'?>\n<Workbook><Cell>1</Cell></Workbook>\n", "page of HTML or XML"),
        (bytes(range(256)) * 20, "cannot read (not text), so no table of numbers was found"),
        (np.random.default_rng(0).bytes(5000).replace(b"\0", b"\1"), "export the measurement as CSV in UTF-8"),
        (np.random.default_rng(1).bytes(5000), "(not text)"),
        (gzip.compress(b"1,2\n" * 20), "a compressed file; unpack it"),
        (archive("d1.csv", "d2.csv"), "an archive; unpack it"),
        (b"%PDF-1.7\n1 0 obj\n", "a PDF; give the data behind it"),
        (array(), "an array of numpy; write it with numpy.savetxt"),
    ],
    ids=["readme", "words", "line", "yaml", "html", "xml", "bytes", "noise", "noise with zeros", "gzip", "zip", "pdf", "npy"],
)  # fmt: skip
def test_what_is_no_measurement_is_refused_as_such(tmp_path, content, words):
    file = tmp_path / "given.csv"
    file.write_bytes(content)
    message = said(file)
    assert "no table of numbers was found" in message
    assert words in message


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "pyproject.toml", "CITATION.cff", "docs/fit.md"])
def test_texts_of_this_repository_are_no_measurements(name):
    assert "no table of numbers was found in this text" in said(ROOT / name)


def test_a_workbook_is_still_said_to_be_one(tmp_path):
    for content in (archive("[Content_Types].xml", "xl/workbook.xml"), b"\xd0\xcf\x11\xe0" + bytes(600)):
        (tmp_path / "w.xlsx").write_bytes(content)
        assert "is a workbook; save the sheet as CSV" in said(tmp_path / "w.xlsx")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CONDUCTANCES.replace(",5,SET,", ",5,SET;", 1), "line 7: 3 cells, the header has 4; mend the row, or drop it"),
        ("Bauteil,Zahl,Richtung\na,1,2\nb,3,4\nc,5\n", "line 4: 2 cells, the header has 3; mend the row"),
        ("device,pulse,polarity,conductance_uS\na\n", "line 2: 1 cell, the header has 4"),
        ("device,pulse,polarity,conductance_uS\n", "no rows of data below the header; give the file"),
        ("", "is empty, no rows of data; give the file"),
        ("1 2 3\n" * 6, "the rows of lines 1 to 6, 3 columns without names, are of no known form"),
    ],
)  # fmt: skip
def test_a_table_with_a_mistake_is_refused_by_its_line(tmp_path, text, words):
    file = tmp_path / "given.csv"
    file.write_text(text, encoding="utf-8")
    message = said(file)
    assert words in message
    assert "no table" not in message


def test_a_long_block_above_few_rows_hides_no_table(tmp_path):
    block = "A setting of the instrument, see its manual\n" * 60
    file = tmp_path / "given.csv"
    file.write_text(block + "Dauer;Leitwert\n1;20,5\n10;19,5\n100;18,5\n", encoding="utf-8")
    found = measured(file, columns={"time_s": "Dauer", "conductance_uS": "Leitwert"})
    assert found.table["conductance_uS"].tolist() == [20.5, 19.5, 18.5]


def test_of_a_folder_the_files_that_look_like_tables_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "wafer7"
    folder.mkdir()
    assert "is a folder, and no file in it looks like a table of numbers" in said(folder)
    (folder / "README.txt").write_text(README)
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / "noise.dat").write_bytes(np.random.default_rng(1).bytes(5000))
    (folder / "inner.csv").mkdir()
    assert "no file in it looks like a table" in said(folder)
    for name in ("b.csv", "a.txt"):
        (folder / name).write_text(CONDUCTANCES)
    assert said(folder).endswith(
        "is a folder; give a file of it, or several that go together; like tables look a.txt, b.csv"
    )
    for k in range(6):
        (folder / f"c{k}.csv").write_text(CONDUCTANCES)
    assert said(folder).endswith("look a.txt, b.csv, c0.csv, c1.csv, c2.csv, c3.csv, ...")
    before = sorted(tmp_path.rglob("*"))
    refused(neurosim("fit", "wafer7", cwd=tmp_path), "wafer7: is a folder; give a file", "a.txt, b.csv")
    refused(neurosim("fit", ".", cwd=folder), "is a folder; give a file", "a.txt, b.csv")
    assert sorted(tmp_path.rglob("*")) == before
    refused(neurosim("assess", "wafer7", "--out", "out", cwd=tmp_path), "wafer7: is a folder", "a.txt")
