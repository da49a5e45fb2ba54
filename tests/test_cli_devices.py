"""The list of devices: what it says of a card, its order, filters and forms; and JSON on standard output."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from neurosim.cli.app import app
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.devices import cards
from neurosim.devices.card import read


def listed(*arguments: str) -> list[list[str]]:
    done = CliRunner().invoke(app, ["devices", "list", "--plain", *arguments])
    assert done.exit_code == 0, done.output
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_the_plain_list_has_a_line_a_card():
    head, *rows = listed()
    assert [row[0] for row in rows] == sorted(cards())
    assert {len(row) for row in rows} == {len(head)}


def test_names_are_never_broken():
    done = CliRunner().invoke(app, ["devices", "list"])
    for name in cards():
        assert name in done.stdout
    assert "without periphery" in done.stdout


def test_filters_take_words_of_a_technology_and_a_law():
    _, *pcm = listed("--technology", "pcm")
    assert pcm
    assert all("PCM" in row[1] and "PCMO" not in row[1] for row in pcm)
    _, *ferroelectric = listed("--technology", "fet")
    assert [row[0] for row in ferroelectric] == ["fefet-hzo-jerry-2017"]
    _, *steps = listed("--law", "linear-step", "--technology", "ECRAM")
    assert {row[2] for row in steps} == {"linear-step"}


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["--technology", "wire"], ConfigError, "there are: .*PCM"),
        (["--law", "linear"], UnknownNameError, "did you mean 'linear-step'"),
        (["--sort", "price"], UnknownNameError, "known: assumed, energy, name, on-off, states"),
    ],
)
def test_what_is_not_there_is_refused(arguments: list[str], error: type[Exception], words: str):
    done = CliRunner().invoke(app, ["devices", "list", *arguments])
    assert isinstance(done.exception, error)
    with pytest.raises(error, match=words):
        raise done.exception


def test_the_cheapest_pulse_comes_first_and_is_that_of_the_card():
    _, *rows = listed("--sort", "energy")
    done = CliRunner().invoke(app, ["devices", "list", "--sort", "energy", "--json", "-"])
    facts = json.loads(done.stdout)
    assert [one["name"] for one in facts] == [row[0] for row in rows]
    joules = [one["pulse_up_J"] for one in facts if one["pulse_up_J"] is not None]
    assert joules == sorted(joules)
    by_name = {one["name"]: one for one in facts}
    gong = read(cards()["rram-hfo2-gong-2018"]).device()
    middle_S = (gong.g_min_uS + gong.g_max_uS) / 2 * 1e-6
    assert by_name[gong.name]["pulse_up_J"] == pytest.approx(1.6**2 * 50e-9 * middle_S)
    assert by_name[gong.name]["pulse_up_mark"] == "assumed"
    assert by_name["fefet-hzo-jerry-2017"]["pulse_up_J"] == read(cards()["fefet-hzo-jerry-2017"]).parameters["gate_energy_J"].value  # fmt: skip


def test_json_on_standard_output_is_json_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["devices", "show", "pcm-nandakumar-2018", "--json", "-"])
    assert json.loads(done.stdout)["name"] == "pcm-nandakumar-2018"
    assert "pcm-accumulative" in done.stderr
    again = CliRunner().invoke(app, ["devices", "show", "pcm-nandakumar-2018"])
    assert "pcm-accumulative" in again.stdout
    assert list(tmp_path.iterdir()) == []


def test_measured_data_given_for_a_card_are_told_so(tmp_path):
    (tmp_path / "wafer.csv").write_text("pulse,conductance\n1,2\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["devices", "show", str(tmp_path / "wafer.csv")])
    with pytest.raises(ConfigError, match=r"wafer\.csv is no card: neurosim fit .*wafer\.csv makes one"):
        raise done.exception
