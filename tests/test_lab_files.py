"""Files of laboratories are read to the right numbers, or refused with what is missing and the option that gives it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import lab_forms_public  # noqa: F401  adds its forms
import lab_forms_shapes  # noqa: F401  adds its forms
import numpy as np
import pytest
from lab_forms import (
    DEVICES,
    DRIFT_TIMES,
    FORMS,
    SEQUENCE,
    Form,
    comma,
    conductance,
    drifted,
    lines,
    programmed,
    word,
)
from test_cli import neurosim, refused

from neurosim.core.errors import DataError, InputError
from neurosim.devices.fitting import Drift, Programming, Pulses, read_tables
from neurosim.devices.fitting.pcm import _steps
from neurosim.devices.measurements.columns import quantity_of, unit_of


def kept(form: Form, device: int) -> tuple[list[int], list[float]]:
    """Signs and conductances of one device that the file should give."""
    signs, values = [0, *SEQUENCE], conductance(device)
    first = device == 0
    for run in form.runs if first or not form.lost else ():
        signs[run] = 0
    reads = [k for k in range(len(values)) if not (first and k in form.lost)]
    return [signs[k] for k in reads], [values[k] for k in reads]


def check_pulses(form: Form, table: Pulses) -> None:
    names = form.devices
    assert len(table.traces) == (1 if names is None else len(names))
    if names is not None:
        assert tuple(trace.device for trace in table.traces) == names
    for device, trace in enumerate(table.traces):
        signs, values = kept(form, device)
        if 13 in form.runs and len(trace.sign) == len(signs) + 1:  # ramps repeat the read they begin with
            signs.insert(13, 0)
            signs[14] = -1
            values.insert(13, values[12])
        assert trace.sign.tolist() == signs
        np.testing.assert_allclose(trace.conductance_uS, values, rtol=form.close)


def check(form: Form, tables: Iterable[object]) -> None:
    (table,) = tables
    if form.kind == "potentiation":
        assert isinstance(table, Pulses)
        (trace,) = table.traces
        assert trace.sign.tolist() == [0, *[1] * 24]
        np.testing.assert_allclose(trace.conductance_uS, conductance(0, [1] * 24), rtol=form.close)
    elif form.kind == "pulses":
        assert isinstance(table, Pulses)
        check_pulses(form, table)
    elif form.kind == "drift":
        assert isinstance(table, Drift)
        names = form.devices or ("",)
        assert len(table.devices) == len(names)
        for device, (name, times, seen) in enumerate(table.devices):
            assert form.devices is None or name == DEVICES[device]
            np.testing.assert_allclose(times, DRIFT_TIMES, rtol=form.close)
            np.testing.assert_allclose(seen, drifted(device), rtol=form.close)
    else:
        assert isinstance(table, Programming)
        np.testing.assert_allclose(np.c_[table.target_uS, table.achieved_uS], programmed(), rtol=form.close)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_form_is_read_to_the_right_numbers_or_refused_with_the_remedy(tmp_path: Path, form: Form) -> None:
    file = tmp_path / form.file
    file.write_bytes(form.content)
    if not form.refused:
        check(form, read_tables([file], **form.options))
        return
    with pytest.raises(DataError) as caught:
        read_tables([file], **form.options)
    message = str(caught.value)
    assert form.file in message
    assert "\n" not in message
    for words in form.refused:
        assert words in message


def read(tmp_path: Path, text: str, name: str = "data.csv", **options: object) -> Pulses:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    (table,) = read_tables([file], **options)  # type: ignore[arg-type]
    assert isinstance(table, Pulses)
    return table


def test_what_was_understood_is_three_lines(tmp_path):
    form = next(form for form in FORMS if form.name.startswith("LabVIEW"))
    file = tmp_path / "wafer7.txt"
    file.write_bytes(form.content)
    (table,) = read_tables([file])
    first, second, third = table.said
    assert (
        first == "wafer7.txt: UTF-8, cells apart by tabs, header in line 6, 5 lines above the data left out"
    )
    assert second == (
        'wafer7.txt: device "Device", pulse number "Pulse No.", polarity "Polarity", conductance "Conductance (µS)"; '
        "not used: Comment"
    )
    assert third == (
        "wafer7.txt: pulses: 3 devices, 3 runs, 36 rows of SET and 36 of RESET, 20 to 46.3 uS; left out: 1 missing value"
    )
    assert table.left_out == "left out: 1 missing value"


def test_numbers_are_those_that_a_float_of_the_cell_gives(tmp_path):
    cells = [f"{1e-6 / 7 * (k + 1):.17g}" for k in range(14)]
    long = "device,pulse,polarity,current_A,read_voltage_V\n" + "".join(
        f"a,{k},{'SET' if k else ''},{cell},0.3\n" for k, cell in enumerate(cells)
    )
    seen = read(tmp_path, long).traces[0].conductance_uS
    assert seen.tolist() == [1e6 * float(cell) / 0.3 for cell in cells]
    ramp = read(tmp_path, "\n".join(cells) + "\n", "set.csv", read_voltage_V=0.3)
    assert ramp.traces[0].conductance_uS.tolist() == [float(cell) * (1e6 / 0.3) for cell in cells]
    assert not ramp.unit_assumed
    assert read(tmp_path, "\n".join(cells) + "\n", "set.csv").unit_assumed


BAUTEIL = "Bauteil,pulse,polarity,G (uS)\n" + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s)},{g}")


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (BAUTEIL, {}, '\'Bauteil\' changes from block to block; say what it is: --column device="Bauteil"'),
        (BAUTEIL, {"columns": {"device": "Bauteile"}}, "no column 'Bauteile'; found Bauteil, pulse"),
        (BAUTEIL.replace("pulse,", "G (uS),", 1), {"columns": {"conductance": "G (uS)"}}, "two columns are named 'G (uS)'"),
        ("Cycle,R_set (kΩ),R_reset (kΩ)\n" + "".join(f"{k},10,9{k}\n" for k in range(20)), {}, "one row a cycle"),
        ("pulse,polarity,G before (uS),G after (uS)\n1,SET,2,3\n", {}, "no column of conductance"),
        ("device;pulse;polarity;R (ohm)\n" + "a;1;SET;50.000\n" * 3, {}, "may have decimals or thousands"),
        ("pulse,V_pulse,I (A),Vread\n" + "1,1.5,1e-6,100\n" * 3, {}, "line 2: Vread is beyond 20 V"),
        ("pulse,V_pulse (V),G (uS)\n1,1.5,20\n2,0.1,21\n3,-1.5,20\n", {}, "are reads among the pulses?"),
        ("pulse,polarity,I,Vread\n1,SET,4.5,0.1\n", {}, '--column current_uA="I"'),
        ("pulse,polarity,G (uS),R (kΩ)\n1,SET,2.5,4,0\n", {}, "line 2: 5 cells, the header has 4; are commas decimal ones?"),
    ],
)  # fmt: skip
def test_what_could_be_read_wrongly_is_refused_with_the_remedy(tmp_path, text, options, words):
    with pytest.raises(DataError) as caught:
        read(tmp_path, text, **options)
    assert words in str(caught.value)


def test_columns_are_mapped_by_header_by_number_and_with_the_sign_turned(tmp_path):
    swapped = BAUTEIL.replace("RESET", "x").replace("SET", "RESET").replace("x", "SET")
    for text, columns in (
        (BAUTEIL, {"device": "bauteil"}),
        (BAUTEIL, {"device": "1", "conductance_uS": "4"}),
        (swapped, {"device": "Bauteil", "polarity": "-polarity"}),
    ):
        table = read(tmp_path, text, columns=columns)
        assert [trace.device for trace in table.traces] == list(DEVICES)
        for device, trace in enumerate(table.traces):
            assert trace.sign.tolist() == [0, *SEQUENCE]
            np.testing.assert_allclose(trace.conductance_uS, conductance(device), rtol=1e-12)
    with pytest.raises(InputError, match="--column conductanse: no such quantity"):
        read(tmp_path, BAUTEIL, columns={"conductanse": "G (uS)"})


def test_headers_may_be_those_of_one_of_several_files(tmp_path):
    pulses, error = tmp_path / "p.csv", tmp_path / "e.csv"
    pulses.write_text(BAUTEIL, encoding="utf-8")
    error.write_text("Soll,Ist\n" + "".join(f"{t},{g}\n" for t, g in programmed()), encoding="utf-8")
    columns = {"device": "Bauteil", "target_uS": "Soll", "achieved_uS": "Ist"}
    kinds = [type(table) for table in read_tables([pulses, error], columns=columns)]
    assert kinds == [Pulses, Programming]
    with pytest.raises(DataError, match="no column 'Kein' in any of the files"):
        read_tables([pulses, error], columns={**columns, "cycle": "Kein"})


@pytest.mark.parametrize(
    "cell", ["9.9e37", "+9.910000E+37", "1.99999E+100", "9.99999E+35", "OVERFLOW", "NaN", "--", ""]
)
def test_an_overflow_is_a_missing_value_of_any_read(tmp_path, cell):
    text = "pulse,polarity,R (ohm)\n" + lines(
        lambda d, k, s, g: f"{k},{word(s)},{1e6 / g if k != 4 else cell}", 1
    )
    (trace,) = read(tmp_path, text).traces
    assert trace.sign.tolist() == [0, 1, 1, 1, 0, *SEQUENCE[5:]]
    np.testing.assert_allclose(trace.conductance_uS, np.delete(conductance(0), 4), rtol=1e-12)


def test_a_file_pasted_twice_counts_once(tmp_path):
    head, rest = BAUTEIL.split("\n", 1)
    table = read(tmp_path, f"{head}\n{rest}{rest}", columns={"device": "Bauteil"})
    assert [trace.sign.size for trace in table.traces] == [25] * 3
    assert table.left_out == "left out: 75 repeated rows"


def test_a_lost_read_does_not_look_like_a_fresh_reset(tmp_path):
    """PCM counts SET pulses since RESET: those whose read is lost count, and no state in between is a RESET level."""
    values = [1, 3, 4.5, 5.5, 6.2, 6.7, 7.1, 7.4, 7.6, 7.8, 8, 8.1]
    rows = [(k, "SET" if k else "", str(v)) for k, v in enumerate(values)]
    rows += [(12, "RESET", "1.1"), *((13 + k, "SET", str(v)) for k, v in enumerate(values[1:]))]
    for lost in (4, 5, 12, 16):
        rows[lost] = (*rows[lost][:2], "nan")
    text = "pulse,polarity,G (uS)\n" + "".join(f"{k},{p},{g}\n" for k, p, g in rows)
    table = read(tmp_path, text)
    (trace,) = table.traces
    assert trace.missed == ((4, 3), (10, -1), (13, 2))
    seen = _steps(table)
    assert seen.number.tolist() == [1, 2, 3, 7, 8, 9, 10, 11, 2, 3, 6, 7, 8, 9, 10, 11]
    assert seen.before[3] == 7.1
    assert seen.resets.tolist() == [1]


def test_the_command_says_what_it_understood_before_it_fits(tmp_path):
    file = tmp_path / "german.csv"
    times = "".join(
        f"{d};{comma(t / 60, 8)};{comma(g)}\n"
        for d in range(3)
        for t, g in zip(DRIFT_TIMES, drifted(d), strict=True)
    )
    file.write_text("Bauteil;Dauer;Leitwert (µS)\n" + times, encoding="cp1252")
    told = (
        "--column",
        "device=Bauteil",
        "--column",
        'time_min="Dauer"',
        "--column",
        "conductance=Leitwert (µS)",
    )
    found = neurosim(
        "fit",
        "german.csv",
        *told,
        "--out",
        "card.toml",
        "--json",
        "fit.json",
        "--resamples",
        "0",
        cwd=tmp_path,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[:3] == [
        "german.csv: Latin-1 (Windows), cells apart by semicolons, decimal commas, header in line 1",
        'german.csv: device "Bauteil", time "Dauer", conductance "Leitwert (µS)"',
        "german.csv: drift: 3 devices, 12 reads, 5.664 to 10 uS",
    ]
    kept = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    assert kept["understood"] == found.stdout.splitlines()[:3]
    refused(
        neurosim("fit", "german.csv", "--column", "device", cwd=tmp_path), "--column device", "conductance="
    )
    refused(neurosim("fit", "german.csv", cwd=tmp_path), "Bauteil, Dauer, Leitwert", "--column")


def test_records_of_an_analyser_one_below_the_other_are_runs(tmp_path):
    """Without pulse numbers too: the first read of a record follows no pulse of the record above."""
    record = "SetupTitle, LTP\nMetaData, TestRecord.Remarks, \nDataName, Vpulse, Vread, Iread\n" + "".join(
        f"DataValue, {1.5 if k else 0}, 0.2, {g * 2e-7:.8E}\n" for k, g in enumerate(conductance(0)[:13])
    )
    other = record.replace("LTP", "again").replace("0, 0.2", "1.5, 0.2")
    table = read(tmp_path, record + "\n" + other)
    (trace,) = table.traces
    assert trace.sign.tolist() == [0, *[1] * 12] * 2
    np.testing.assert_allclose(trace.conductance_uS, conductance(0)[:13] * 2, rtol=1e-6)
    assert "header repeated 1 time" in table.said[0]


def test_a_comment_behind_a_value_is_cut_and_a_name_with_a_hash_is_not(tmp_path):
    head = "pulse,polarity,G (uS),device\n"
    text = head + lines(lambda d, k, s, g: f"{k},{word(s)},{g},chip #{d}")
    assert [trace.device for trace in read(tmp_path, text).traces] == ["chip #0", "chip #1", "chip #2"]
    text = head + lines(lambda d, k, s, g: f"{k},{word(s)},{g},#{d}")
    assert [trace.device for trace in read(tmp_path, text).traces] == ["#0", "#1", "#2"]
    text = head + lines(lambda d, k, s, g: f"{k},{word(s)},{g},{d}" + (", # seen, twice" if k == 3 else ""))
    assert [trace.device for trace in read(tmp_path, text).traces] == ["0", "1", "2"]


def test_the_names_of_the_glossary_are_understood():
    glossary = (Path(__file__).parents[1] / "docs" / "fit_columns.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in glossary.splitlines() if line.startswith("| `")]
    assert len(rows) == 14
    for quantities, names, units in rows:
        known = re.findall(r"`(\w+)`", quantities)
        spelt = re.split(r"[,;]", names.split("; words")[0].split("; or `")[0].split(", or a")[0])
        for name in map(str.strip, spelt):
            assert quantity_of(name.replace("...", "write")) in known, name
        for unit in (
            re.findall(r"[^\s,]+", units.split(";")[0]) if "any" not in units and "as" not in units else ()
        ):
            assert unit_of(unit), unit


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("conductance_µS", lambda s, g: f"{g}"),
        ("conductance_μS", lambda s, g: f"{g}"),
        ("conductance (uS)", lambda s, g: f"{g}"),
        ("Conductance / nS", lambda s, g: f"{g * 1e3}"),
        ('"G, mS"', lambda s, g: f"{g * 1e-3}"),
        ("G [1/kΩ]", lambda s, g: f"{g * 1e-3}"),
        ("resistance_ohm", lambda s, g: f"{1e6 / g}"),
        ("R [MΩ]", lambda s, g: f"{1 / g}"),
        ("Read Resistance (Ohms)", lambda s, g: f"{1e6 / g}"),
        ("current_uA,read_voltage_V", lambda s, g: f"{g * 0.2},0.2"),
        ("ReadI,Vread", lambda s, g: f"{g * -1e-7:.12E},-1.0E-1"),
        ("I_read [nA],V_read [mV]", lambda s, g: f"{g * 20},20"),
    ],
)
def test_units_and_spellings_of_a_read(tmp_path, header, cell):
    text = f"device,pulse,V_pulse,{header}\n" + lines(
        lambda d, k, s, g: f"{DEVICES[d]},{k},{1.5 * s},{cell(s, g)}"
    )
    for device, trace in enumerate(read(tmp_path, text).traces):
        assert trace.sign.tolist() == [0, *SEQUENCE]
        np.testing.assert_allclose(trace.conductance_uS, conductance(device), rtol=1e-9)


def test_the_order_of_pulses_tells_the_polarity_of_each_by_its_number(tmp_path):
    """After public pulse data: pulse number, resistance, current; the file's name says ten pulses each way."""
    text = "pulse number\tResistance\tAbsolute current \n" + "".join(
        f"{k % 20 + 1}\t{1e6 / g:.6E}\t{g * 1e-6:.6E}\n"
        for k, g in enumerate(conductance(0, ([1] * 10 + [-1] * 10) * 2)[1:])
    )
    columns = {"resistance_ohm": "Resistance", "polarity": "10 SET, 10 RESET"}
    table = read(tmp_path, text, "hold.txt", columns=columns)
    (trace,) = table.traces
    once = [0, *[1] * 9, *[-1] * 10]
    assert trace.sign.tolist() == once * 2
    assert "polarity by the number of the pulse" in table.said[1]
    with pytest.raises(DataError, match=r'--column polarity="50 SET, 50 RESET"'):
        read(tmp_path, text, "hold.txt", columns={"resistance_ohm": "Resistance"})
    with pytest.raises(DataError, match="no column '10 FORWARD'"):
        read(tmp_path, text, "hold.txt", columns={**columns, "polarity": "10 FORWARD"})
