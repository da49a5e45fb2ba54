"""Data that cannot be fitted are refused in one line that says why, with exit code 2 and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fit_helpers import RAMPS, soft, write, write_pulses
from fit_helpers import uncorrected as fit
from test_cli import neurosim, refused

from neurosim import devices
from neurosim.core.errors import CapabilityError, DataError, InputError
from neurosim.devices.fitting import Drift, Programming, Pulses, read_tables

HEAD = "device,pulse,polarity,conductance_uS"


def long_form(rows: int = 12, **change: str) -> list[str]:
    """One device, `rows` SET pulses; `change` puts another cell into the last row."""
    cells = [
        {"device": "a", "pulse": str(k), "polarity": "SET", "conductance_uS": f"{10 + k}"}
        for k in range(rows)
    ]
    cells[-1].update(change)
    return [HEAD, *(",".join(row.values()) for row in cells)]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (long_form(conductance_uS="inf"), "line 13: conductance_uS = inf; NaN and infinity cannot be fitted, drop"),
        (long_form(pulse=""), "line 13: pulse = '' is missing; drop the row"),
        (long_form(conductance_uS="-3"), "negative"),
        (long_form(conductance_uS="high"), "'high' is not a number"),
        (long_form(conductance_uS="2e5"), "outside 1e-10 to 0.1 S; is the unit right?"),
        (long_form(polarity="sideways"), "line 13: polarity = 'sideways'"),
        (long_form(pulse="3"), "line 13: pulse numbers of device a do not grow"),
        (long_form(rows=8), "device a has 7 pulses of one polarity; at least 10"),
        (["device,pulse,polarity,energy_J", "a,0,,5"],
         "no column of conductance, resistance or current; found device, pulse, polarity, energy_J; say which"),
        (["device,pulse,polarity,resistance_ohm", "a,0,,0"], "line 2: resistance_ohm is zero"),
        (["device,pulse,polarity,resistance_ohm", "a,0,,5"], "resistance_ohm means 0.2 S, outside"),
        (["device,pulse,conductance_uS", "a,0,5"], "no column polarity"),
        (["device,pulse,polarity,current_A", "a,0,,1e-6"], "--read-voltage"),
        (["foo,bar", "1,2"], "of no known form"),
        ([HEAD, "a,0,5"], "line 2: 3 cells, the header has 4"),
        ([HEAD], "no rows of data"),
        ([], "no rows of data"),
        ([HEAD.replace(",", ";"), "a;0;;5"], "device a has 0 pulses of one polarity"),
        (["device,device,polarity,conductance_uS", "a,a,,5"], "two columns are named device: 'device' and 'device'; keep one"),
        ([line.replace("_uS", "_S") for line in long_form()], "conductance_S means 21 S, outside"),
        ([line.replace("SET", "RESET") for line in long_form()], "are polarities swapped?"),
        (["target_uS,achieved_uS", *["2,2", "5,5"] * 15], "every target was reached exactly"),
        (["device,time_s,conductance_uS", "a,1,5", "a,10,4", "a,5,4"], "line 4: times of device a must"),
        (["device,time_s,conductance_uS", "a,1,5", "a,10,4"], "three times or more"),
        (["device,time_s,conductance_uS", "a,1,5", "a,2,0", "a,9,4"], "zero conductance"),
        (["target_uS,achieved_uS", *["1,1"] * 5], "5 programmed devices; at least 20"),
        (["target_uS,reached", *["1,1"] * 25], '--column achieved_uS="reached"'),
        (["target_uS,seen", *["1,1"] * 25], "no column achieved beside the target"),
        (["device,pulse,polarity,target_uS,conductance_uS", *["a,1,SET,1,1"] * 25], "holds targets and pulses"),
    ],
)  # fmt: skip
def test_each_fault_is_one_line(tmp_path, lines, words):
    with pytest.raises(DataError) as caught:
        fit([write(tmp_path / "data.csv", lines)])
    assert words in str(caught.value)
    assert "data.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_do_not_go_together(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        fit([tmp_path / "nothing.csv"])
    first = write(tmp_path / "a.csv", long_form())
    with pytest.raises(DataError, match="two files of the form pulses"):
        fit([first, first])
    with pytest.raises(InputError, match="read voltage = 0"):
        fit([first], read_voltage_V=0)
    with pytest.raises(InputError, match="write voltage = inf"):
        fit([first], write_voltage_V=np.inf)
    drift = write(tmp_path / "d.csv", ["device,time_s,conductance_uS", "a,1,5", "a,5,4.5", "a,9,4"])
    with pytest.raises(CapabilityError, match="needs pulse data"):
        fit([drift], "soft-bounds")


def test_data_of_devices_that_do_not_answer_are_refused(tmp_path):
    still = np.full((len(RAMPS) + 1, 3), 20.0)
    noisy = still + np.random.default_rng(0).normal(0, 1, still.shape)
    for traces in (still, noisy):
        with pytest.raises(DataError, match="no device answers to pulses"):
            fit([write_pulses(tmp_path / "d.csv", traces, RAMPS)])


def test_a_doubtful_read_is_named_on_the_card(tmp_path):
    traces = devices.pulse_response(soft(), RAMPS, 6, seed=2)
    traces[20, 3] += 60
    found = fit([write_pulses(tmp_path / "d.csv", traces, RAMPS)], "soft-bounds", resamples=0)
    assert any("1 of 966 reads left out as glitches" in note for note in found.card.notes)
    assert any("the worst on device 3, pulse 20" in note for note in found.card.notes)


def test_units_and_currents_become_microsiemens(tmp_path):
    nano = write(tmp_path / "n.csv", [line.replace("_uS", "_nS") for line in long_form()])
    current = [
        "device,pulse,polarity,current_A,read_voltage_V",
        *(f"a,{k},+1,{k + 1}e-6,0.2" for k in range(12)),
    ]
    for file, first, last in ((nano, 0.01, 0.021), (write(tmp_path / "i.csv", current), 5.0, 60.0)):
        (pulses,) = read_tables([file])
        assert isinstance(pulses, Pulses)
        assert pulses.traces[0].conductance_uS[0] == pytest.approx(first)
        assert pulses.traces[0].conductance_uS[-1] == pytest.approx(last)
        assert pulses.count == 11


def test_a_gap_in_the_pulses_starts_a_new_run(tmp_path):
    (pulses,) = read_tables([write(tmp_path / "g.csv", long_form(pulse="20"))])
    assert isinstance(pulses, Pulses)
    assert pulses.traces[0].sign.tolist() == [0, *[1] * 10, 0]


def test_other_forms_are_told_by_their_columns(tmp_path):
    drift = write(tmp_path / "d.csv", ["# read at 0.2 V", "Device,Time_s,Conductance_S", *(
        f"a,{t},{5e-6 / t**0.05}" for t in (1, 10, 100))])  # fmt: skip
    error = write(tmp_path / "e.csv", ["target_S,achieved_S", *["1e-6,1.1e-6"] * 20])
    found = read_tables([drift, error])
    assert isinstance(found[0], Drift)
    assert isinstance(found[1], Programming)
    assert found[1].achieved_uS[0] == pytest.approx(1.1)


# The command


def test_fit_writes_a_card_that_runs_at_once(tmp_path: Path) -> None:
    traces = devices.pulse_response(soft(), RAMPS, 6, seed=1)
    write_pulses(tmp_path / "mine.csv", traces, RAMPS)
    found = neurosim("fit", "mine.csv", "--model", "soft-bounds", "--out", "card.toml", "--json", "fit.json",
                     "--resamples", "2", "--draws", "1", cwd=tmp_path)  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "fits to simulated data: 100 %, after" in found.stderr
    assert "cycle_to_cycle" in found.stdout
    assert "give --write-voltage and --write-time" in found.stdout.replace("\n", " ")
    assert "card-draw-1.toml" in found.stdout
    assert (tmp_path / "card-draw-1.toml").exists()
    assert (tmp_path / "card.svg").read_text().startswith("<?xml")
    numbers = json.loads((tmp_path / "fit.json").read_text())
    assert numbers["ranking"][0]["law"] == "soft-bounds"
    assert set(numbers["interval95"]) <= set(numbers["card"]["parameters"])
    compared = neurosim(
        "compare", "--dataset", "digits", "--device", "card.toml", "--mode", "mixed", "--neurons", "20",
        "--train-images", "120", "--seeds", "1", "--out", "out", cwd=tmp_path,
    )  # fmt: skip
    assert compared.returncode == 0, compared.stderr
    assert "card" in compared.stdout


def test_a_refusal_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "bad.csv", long_form(conductance_uS="inf"))
    before = sorted(tmp_path.iterdir())
    refused(neurosim("fit", "bad.csv", cwd=tmp_path), "bad.csv", "NaN and infinity")
    refused(neurosim("fit", "bad.csv", "--out", "card.json", cwd=tmp_path), "card.json", ".toml")
    assert sorted(tmp_path.iterdir()) == before
