"""Settings beside the data: read voltage, pulse voltage and width are used and said, or seen and said not to be used."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fit_helpers import RAMPS, soft
from fit_helpers import uncorrected as fit
from lab_forms import CONDUCTANCES, DEVICES, SEQUENCE, conductance, drifted, lines, volt, word
from test_cli import neurosim
from test_fit_vteam import drawn, write

from neurosim import devices
from neurosim.core.errors import CapabilityError, DataError
from neurosim.devices.fitting import Pulses, read_tables

CURRENTS = "Device,Pulse,Polarity,I (A)\n" + lines(
    lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s)},{g * 2e-7:.9E}"
)


def read(tmp_path: Path, text: str, name: str = "wafer.csv", **options: Any) -> Pulses:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    (table,) = read_tables([file], **options)
    assert isinstance(table, Pulses)
    return table


def pulses(table: Pulses) -> dict[tuple[str, int], float]:
    return {(one.quantity, one.sign): one.value for _, one in table.settings}


@pytest.mark.parametrize(
    "block",
    [
        "Read Voltage, 0.2\n",
        "Instrument,4200A\nRead Voltage (V),0.2\n\n",
        "V_read = 0.2 V\n",
        "# V_read = 0,2 V, stage at 300 K\n",
        "# wafer 7, read at 0.2 V\n",
        "TestParameter, Vread, 200 mV\n",
        "Keithley 2636B\nSource:\tA\nVread [mV]:\t200\n",
        "Name,Vread,Integration\nValue,0.2,1\n",
        "Read Voltage,0.2,0.2\n",
    ],
)
def test_a_read_voltage_beside_the_data_makes_conductances_of_currents(tmp_path, block):
    table = read(tmp_path, block + CURRENTS)
    for device, trace in enumerate(table.traces):
        assert trace.sign.tolist() == [0, *SEQUENCE]
        np.testing.assert_allclose(trace.conductance_uS, conductance(device), rtol=1e-6)
    assert "over 0.2 V (read from line " in table.said[1]
    assert "from lines beside the data: read voltage 0.2 V (line " in table.said[1]
    assert "seen beside" not in table.said[1]


def test_it_may_stand_below_the_data(tmp_path):
    table = read(tmp_path, CURRENTS + "\n====\nTest Name,train\nRead Voltage,0.2\n")
    np.testing.assert_allclose(table.traces[0].conductance_uS, conductance(0), rtol=1e-6)
    assert f"read voltage 0.2 V (line {len(CURRENTS.splitlines()) + 4})" in table.said[1]


def test_an_option_and_a_column_win(tmp_path):
    table = read(tmp_path, "Read Voltage,0.4\n" + CURRENTS, read_voltage_V=0.2)
    np.testing.assert_allclose(table.traces[0].conductance_uS, conductance(0), rtol=1e-6)
    assert "read voltage 0.4 V (line 1: --read-voltage was given)" in table.said[1]
    column = CURRENTS.replace("I (A)", "I (A),Vread (V)").replace("E-06\n", "E-06,0.2\n")
    column = column.replace("E-05\n", "E-05,0.2\n")
    table = read(tmp_path, "Read Voltage,0.4\n" + column)
    np.testing.assert_allclose(table.traces[0].conductance_uS, conductance(0), rtol=1e-6)
    assert (
        "seen beside the data and not used: read voltage 0.4 V (line 1: a column tells it)" in table.said[1]
    )
    table = read(tmp_path, "Read Voltage,0.4\n" + CONDUCTANCES)
    assert table.traces[0].conductance_uS.tolist() == conductance(0)
    assert "not used: read voltage 0.4 V (line 1: no column is a current)" in table.said[1]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("Read Voltage,0.1,0.2\n", "read voltage 0.1, 0.2 V (line 1: which counts is not clear, --read-voltage gives it)"),
        ("Vread = 0.1 V\nVread = 0.3 V\n", "read voltage 0.1, 0.3 V (line 1, 2: which counts is not clear"),
        ("Read Voltage,200\n", "read voltage 200 V (line 1: which counts is not clear"),
        ("Read Voltage,0.1 to 0.3\n", "Read Voltage (line 1: 0.1 to 0.3 is not understood, --read-voltage gives it)"),
    ],
)  # fmt: skip
def test_a_read_voltage_that_is_not_clear_is_said_and_not_used(tmp_path, block, words):
    told: list[str] = []
    with pytest.raises(DataError, match=r"I \(A\) needs a read voltage.*--read-voltage VOLT"):
        read(tmp_path, block + CURRENTS, told=told.append)
    assert f"seen beside the data and not used: {words}" in told[1]


def test_the_sign_of_a_read_voltage_beside_the_data_is_checked(tmp_path):
    with pytest.raises(DataError, match=r"opposite sign.*line 1\).*give --read-voltage 0\.2"):
        read(tmp_path, "Read Voltage,-0.2\n" + CURRENTS)


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ("Pulse Width,1e-6\n", {("pulse_width", 0): 1e-6}),
        ("Pulse Width (ns),500\n", {("pulse_width", 0): 5e-7}),
        ("# t_pulse = 1 us; V_pulse = 1.5 V\n", {("pulse_width", 0): 1e-6, ("pulse_voltage", 0): 1.5}),
        ("Pulse Width,1E-6\nPulse Voltage,+1.5,-1.8\n",
         {("pulse_width", 0): 1e-6, ("pulse_voltage", 1): 1.5, ("pulse_voltage", -1): 1.8}),
        ("V_SET = 1.5 V, V_RESET = -1.8 V\n", {("pulse_voltage", 1): 1.5, ("pulse_voltage", -1): 1.8}),
        ("SET pulse width: 1 us\nRESET pulse width: 2 us\n", {("pulse_width", 1): 1e-6, ("pulse_width", -1): 2e-6}),
        ("V_pulse = ±1.5 V\n", {("pulse_voltage", 1): 1.5, ("pulse_voltage", -1): 1.5}),
        ("ground,pulse,voltage,rise,pulseWidth\nSMU2,WGFMU1,1.5,2e-8,1e-6\n", {("pulse_width", 0): 1e-6}),
    ],
)  # fmt: skip
def test_pulses_beside_the_data(tmp_path, block, found):
    table = read(tmp_path, block + CONDUCTANCES)
    assert pulses(table) == pytest.approx(found)
    assert table.said[1].count("from lines beside the data") == 1
    assert "seen beside" not in table.said[1]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("Pulse Width,100\n", "Pulse Width (line 1: it has no unit, --write-time gives it)"),
        ("Width,10 us\n", "Width (line 1: it does not say of what, --write-time gives it)"),
        (
            "V_set = 1.5 V\n",
            "pulse voltage 1.5 V (line 1: which counts is not clear, --write-voltage gives it)",
        ),
        ("Pulse Voltage,1.5,1.8\n", "pulse voltage 1.5, 1.8 V (line 1: which counts is not clear"),
    ],
)
def test_pulses_that_are_not_clear_are_said_and_not_used(tmp_path, block, words):
    table = read(tmp_path, block + CONDUCTANCES)
    assert not table.settings
    assert f"seen beside the data and not used: {words}" in table.said[1]


def test_a_refusal_says_what_of_the_settings_would_have_been_used(tmp_path):
    told: list[str] = []
    wrong = "Read Voltage,0.4\nPulse Width,1e-6\n" + CURRENTS.replace("24,RESET", "24,sideways")
    for option in (None, 0.2):
        with pytest.raises(DataError, match="sideways"):
            read(tmp_path, wrong, read_voltage_V=option, told=told.append)
    assert len(told) == 4
    assert told[1].endswith(
        "from lines beside the data: read voltage 0.4 V (line 1), pulse width 1e-06 s (line 2)"
    )
    assert told[3].endswith("from lines beside the data: pulse width 1e-06 s (line 2)")


def test_long_lines_beside_the_data_take_no_time(tmp_path):
    block = "# a" + " " * 20000 + "b (" + " _" * 20000 + "\n" + "# Vread " + "x " * 20000 + "\n"
    begun = time.perf_counter()
    table = read(tmp_path, block + CONDUCTANCES)
    assert time.perf_counter() - begun < 5
    assert "beside the data" not in table.said[1]


def test_what_is_no_setting_is_let_alone(tmp_path):
    block = "Model,2450\nDate,12.05.2023\nTime,12:30:11\nChannel Width,10\nDuration,60 s\nCompliance,1e-3\n--,1 V,0.9 V\n"
    assert "beside the data" not in read(tmp_path, block + CONDUCTANCES).said[1]


def test_of_drift_pulses_are_said_not_to_be_used(tmp_path):
    file = tmp_path / "drift.csv"
    times = "".join(f"{t},{g}\n" for t, g in zip((1, 10, 100, 1000), drifted(0), strict=True))
    file.write_text("Pulse Width,1e-6\nTime (s),G (uS)\n" + times, encoding="utf-8")
    (table,) = read_tables([file])
    assert "not used: pulse width 1e-06 s (line 1: the file holds no pulses)" in table.said[1]


def test_a_setting_is_no_header_of_a_single_column(tmp_path):
    values = "".join(f"{g * 1e-6:.6e}\n" for g in conductance(0, [1] * 24))
    table = read(tmp_path, "Read Voltage,0.1\nPulse Voltage,1.5\n" + values, "set.csv")
    np.testing.assert_allclose(table.traces[0].conductance_uS, conductance(0, [1] * 24), rtol=1e-6)
    assert pulses(table) == {("pulse_voltage", 1): 1.5}


# On the card

TRACES = devices.pulse_response(soft(), RAMPS, 4, seed=3)


def wafer(
    tmp_path: Path,
    block: str = "",
    column: str = "Polarity",
    up: str = "SET",
    down: str = "RESET",
    name: str = "w.csv",
) -> Path:
    rows = [
        f"{d},{k},{word(s, up, down, '0')},{TRACES[k, d]:.6g}"
        for d in range(4)
        for k, s in enumerate([0, *RAMPS])
    ]
    file = tmp_path / name
    file.write_text(block + "\n".join([f"Device,Pulse,{column},G (uS)", *rows]) + "\n", encoding="utf-8")
    return file


def numbers(card: Any) -> dict[str, tuple[float, str]]:
    return {
        name: (number.value, number.source)
        for name, number in card.parameters.items()
        if name.startswith(("write_", "reset_")) and name != "write_noise"
    }


def test_the_card_has_what_columns_and_lines_tell_of_a_pulse(tmp_path):
    file = wafer(tmp_path, "Pulse Width,1e-6\n", "V_pulse (V)", "1.5", "-1.8")
    found = fit([file], "constant-step")
    column = 'column "V_pulse (V)" of w.csv'
    assert numbers(found.card) == {
        "write_voltage_V": (1.5, column),
        "reset_voltage_V": (1.8, column),
        "write_time_s": (1e-6, "read from line 1 of w.csv"),
    }
    assert "pulse energy" not in found.card.omits
    assert found.card.device().pulse_shapes == ((1.5, 1e-6), (1.8, 1e-6))
    given = fit([file], "constant-step", write_voltage_V=1.6, write_time_s=5e-8)
    assert numbers(given.card) == {
        "write_voltage_V": (1.6, "given with --write-voltage"),
        "write_time_s": (5e-8, "given with --write-time"),
    }
    (volts,) = (note for note in given.card.notes if note.startswith("--write-voltage"))
    assert (
        volts
        == f"--write-voltage 1.6 is on the card, and not 1.5 V of SET ({column}) and 1.8 V of RESET ({column})."
    )
    assert any(
        "--write-time 5e-08 is on the card, and not 1e-06 s of SET" in note for note in given.card.notes
    )


def test_equal_heights_are_one_voltage(tmp_path):
    found = fit([wafer(tmp_path, "", "V_pulse (mV)", "1500", "-1500")], "constant-step")
    assert {name: value for name, (value, _) in numbers(found.card).items()} == {"write_voltage_V": 1.5}
    assert "pulse energy" in found.card.omits


@pytest.mark.parametrize(
    ("up", "down", "words"),
    [
        ("1", "-1", 'column "Amplitude" of w.csv names no unit and holds 1'),
        ("1500", "-1800", "names no unit and holds 1500, 1800"),
    ],
)
def test_amplitudes_that_may_be_no_volts_are_not_taken_and_the_option_is_named(tmp_path, up, down, words):
    found = fit([wafer(tmp_path, "", "Amplitude", up, down)], "constant-step")
    assert not numbers(found.card)
    (note,) = (note for note in found.card.notes if note.startswith("Pulse amplitude"))
    assert words in note
    assert "none is on the card; --write-voltage gives that of a pulse up" in note


def test_several_heights_of_one_polarity_are_one_note(tmp_path):
    file = wafer(tmp_path, "", "V_pulse (V)", "1.5", "-1.8")
    text = file.read_text(encoding="utf-8").splitlines()
    for remedy, sign in (("--write-voltage gives", "1.5"), ("write reset_voltage_V on the card", "-1.8")):
        changed = [
            line.replace(f",{sign},", f",{float(sign) * 1.1:g},") if k % 2 else line
            for k, line in enumerate(text)
        ]
        file.write_text("\n".join(changed) + "\n", encoding="utf-8")
        found = fit([file], "constant-step")
        assert "reset_voltage_V" not in found.card.parameters
        assert ("write_voltage_V" in found.card.parameters) == (sign == "-1.8")
        (note,) = (note for note in found.card.notes if note.startswith("Pulse amplitude"))
        assert "pulses have several, " in note
        assert remedy in note


def test_pcm_has_set_and_reset_apart(tmp_path):
    block = "V_pulse = +0.8 / -2.5 V\n"
    found = fit([wafer(tmp_path, block)], "pcm-accumulative")
    parameters = found.card.parameters
    assert (parameters["set_voltage_V"].value, parameters["reset_voltage_V"].value) == (0.8, 2.5)
    assert parameters["set_voltage_V"].source == "read from line 1 of w.csv"
    assert "set_time_s" not in parameters


def test_the_law_of_amplitudes_takes_the_width_beside_the_data(tmp_path):
    plain = write(tmp_path / "a.csv", drawn(count=2, train=12)).read_text(encoding="utf-8").splitlines()
    rows = [",".join(line.split(",")[:3] + line.split(",")[4:]) for line in plain]
    file = tmp_path / "b.csv"
    file.write_text("Pulse Width,30 ns\n" + "\n".join(rows) + "\n", encoding="utf-8")
    card = fit([file], "vteam").card
    assert numbers(card)["write_time_s"] == (3e-8, "read from line 1 of b.csv")
    assert "sweep it" in card.parameters["write_voltage_V"].source
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    with pytest.raises(CapabilityError, match=r"needs the width of each pulse.*--write-time"):
        fit([file], "vteam")


def test_ramps_in_files_of_their_own_have_settings_of_their_own(tmp_path):
    files = []
    for name, sign, volts in (("set.csv", 1, "1.5"), ("reset.csv", -1, "-1.8")):
        noisy = 50 + sign * (np.cumsum(np.random.default_rng(1).normal(1, 0.3, 31)) - 15)
        files.append(tmp_path / name)
        files[-1].write_text(
            f"Pulse Voltage,{volts}\nPulse Width,1e-6\nG (uS)\n" + "".join(f"{g:.5g}\n" for g in noisy)
        )
    (table,) = read_tables(files)
    assert isinstance(table, Pulses)
    assert [
        (file, one.sign, one.value) for file, one in table.settings if one.quantity == "pulse_voltage"
    ] == [
        ("set.csv", 1, 1.5),
        ("reset.csv", -1, 1.8),
    ]
    card = fit(files, "constant-step", resamples=0).card
    assert numbers(card)["reset_voltage_V"] == (1.8, "read from line 1 of reset.csv")
    assert numbers(card)["write_time_s"] == (1e-6, "read from line 2 of set.csv")


def test_the_command_prints_what_it_read_from_the_header(tmp_path: Path) -> None:
    wafer(tmp_path, "Read Voltage,0.1\nPulse Width,1e-6\nPulse Voltage,1.5\n")
    done = neurosim("fit", "w.csv", "--model", "constant-step", "--resamples", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "from lines beside the data: pulse voltage 1.5 V (line 3), pulse width 1e-06 s (line 2)"
        in done.stdout
    )
    assert "not used: read voltage 0.1 V (line 1: no column is a current)" in done.stdout
    assert "read from line 2 of w.csv" in (tmp_path / "w.toml").read_text(encoding="utf-8")
    assert volt(1) in (tmp_path / "w.toml").read_text(encoding="utf-8")
