"""One command from a card or measured pulses to a verdict; its parts are studies that their own commands go on with."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import numpy as np
import pytest
from assess_helpers import of_tiny_nets
from helpers import PCM, every_card
from typer.testing import CliRunner

import neurosim as ns
from neurosim.cli.app import app
from neurosim.core.errors import UnknownNameError
from neurosim.report import assessment
from neurosim.study import assess as module
from neurosim.study.assess import DEVICE, RULES, Assessment, assess, toml
from neurosim.study.training import Training

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL: dict[str, dict[str, Any]] = {
    "softhebb": {"train_images": 200, "neurons": 20, "epochs": 2},
    "forward-forward": {"train_images": 200, "widths": [12, 10], "epochs": 2},
}


@pytest.fixture(scope="module")
def small():
    """The same questions of tiny nets, with two ways to write each."""
    monkeypatch = pytest.MonkeyPatch()
    of_tiny_nets(monkeypatch, SMALL)
    yield
    monkeypatch.undo()


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """Everything asked of one card, and its folder."""
    out = tmp_path_factory.mktemp("assess") / "pcm"
    return assess(PCM, out, seeds=2), out


def test_everything_is_asked_of_a_card_and_lies_where_its_commands_go_on(whole):
    found, out = whole
    assert list(found.parts) == ["softhebb", "forward-forward", "effects", "requirements"]
    assert [part.left_out for part in found.parts.values()] == [""] * 4
    assert found.name == PCM
    page = assessment.write_assessment(out, found).read_text(encoding="utf-8")
    assert f"<h1>{assessment.headline(found)[0]}</h1>" in page
    for name in found.parts:
        assert (out / name / "report.html").exists()
        assert f'href="{name}/report.html"' in page
    said = dict(assessment.sentences(found))
    assert "each alone on the bare device" in said["What costs most"]
    assert "of the vote of ideal arithmetic" in said["What it would need"]
    assert "periphery" in said["What learning takes, SoftHebb, one layer, by vote"]
    assert "pulses" in said["What it wears"]
    assert "Without learning" in said["SoftHebb, one layer, by vote"]
    # the experiment that was written is the one that was carried out, chosen on validation images
    spec = ns.DenseExperiment.from_toml(out / "softhebb.toml")
    results = json.loads((out / "softhebb" / "results.json").read_text())
    assert results["config"]["arm"] == json.loads(spec.model_dump_json())["arm"]
    (chosen,) = results["chosen_on"]
    assert chosen["images"] == "validation split"
    assert chosen["tried"] == 3  # two ways and ideal arithmetic
    tried = json.loads((out / "choosing-softhebb" / "results.json").read_text())
    best = max(tried["summary"][1:], key=lambda entry: entry["vote_mean"])
    assert found.ways["softhebb"].startswith(best["arm"])
    assert spec.arm[0].write == RULES["softhebb"].ways[best["arm"]].get("write", {})


def test_finished_parts_are_not_carried_out_again(small, tmp_path, monkeypatch):
    first = assess(PCM, tmp_path, seeds=2, minutes=1e-9)
    assert "does not fit in --minutes" in first.parts["effects"].left_out
    assert "Left out" in dict(assessment.sentences(first))
    assert first.parts["requirements"].results is None
    trained: list[str] = []
    run = Training.run
    monkeypatch.setattr(Training, "run", lambda self, *rest: (trained.append(self.name), run(self, *rest)))
    again = assess(PCM, tmp_path, seeds=2, minutes=1e-9)
    assert trained == []
    assert again.said() == first.said()


def test_cards_that_a_fit_drew_are_arms_beside_it(small, tmp_path):
    found = assess(PCM, tmp_path, drawn=("pcm-joshi-2020", "rram-hfo2-om-2022"), seeds=2, minutes=1e-9)
    arms = [entry["arm"] for entry in (found.parts["softhebb"].results or {})["summary"]]
    assert arms == ["ideal", DEVICE, "drawn 1", "drawn 2"]
    said = dict(assessment.sentences(found))
    assert "2 cards drawn" in said["SoftHebb, one layer, by vote, with what the fit leaves open"]


@pytest.mark.parametrize(
    ("answers", "whole"),
    [
        (("yes", "no"), "yes"),
        (("no", "no"), "no"),
        (("no", "undecided"), "undecided"),
        (("less", "undecided"), "undecided"),
        (("less", "no"), "no, but it learns"),
        ((None, "no"), "undecided"),
    ],
)
def test_one_rule_that_learns_is_enough(answers, whole):
    parts = {}
    for (name, rule), answer in zip(RULES.items(), answers, strict=True):
        entry = {
            "arm": DEVICE,
            "verdict": None if answer is None else {"answer": answer},
            "accuracy_learning_kept": 0.5,
        }
        parts[name] = module.Part(name, rule.title, "", {"summary": [entry]})
    verdict, each = assessment.headline(Assessment("x.toml", "x", parts))
    assert verdict == f"Learns on x as in ideal arithmetic: {whole}"
    assert each.count("50 % of the learning kept") == 2


def test_by_the_command_from_measured_pulses(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("neurosim.devices.fitting.RESAMPLES", 0)
    draws = np.random.default_rng(0)
    up = np.cumsum(draws.normal(2.0, 0.4, (40, 4)), axis=0)
    down = up[-1] - np.cumsum(draws.normal(2.0, 0.4, (40, 4)), axis=0)
    rows = ["device,pulse,polarity,conductance_uS"]
    for k in range(4):
        values = [20.0, *(20 + up[:, k]), *(20 + down[:, k])]
        signs = ["", *["SET"] * 40, *["RESET"] * 40]
        rows += [f"d{k},{n},{sign},{g:.3f}" for n, (sign, g) in enumerate(zip(signs, values, strict=True))]
    (tmp_path / "wafer 7.csv").write_text("\n".join(rows))
    command = [
        "assess",
        "wafer 7.csv",
        "--out",
        "out",
        "--seeds",
        "2",
        "--draws",
        "1",
        "--json",
        "a.json",
        "--minutes",
        "0.1",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "Learns on wafer 7 as in ideal arithmetic:" in done.output
    assert (tmp_path / "out" / "wafer 7.svg").exists()
    assert (
        tomllib.loads((tmp_path / "out" / "softhebb.toml").read_text())["arm"][0]["device"]
        == "out/wafer 7.toml"
    )
    kept = json.loads((tmp_path / "a.json").read_text())
    assert kept["verdict"] in done.output.replace("\n", " ") or kept["verdict"][:40] in done.output
    assert "not known: the card has no retention data" in " ".join(done.output.split())
    assert 'src="wafer 7.svg"' in (tmp_path / "out" / "report.html").read_text()


def test_its_files_are_as_written_until_they_are_edited(whole):
    found, out = whole
    assert module.edited(out) == []
    assert json.loads((out / "assess.json").read_text())["images"] == found.images == {}
    file = out / "forward-forward.toml"
    before = file.read_text()
    file.write_text(f"{before}# mine\n")
    assert module.edited(out) == [file]
    file.write_text(before)


@pytest.mark.parametrize("card", every_card())
def test_each_card_can_be_written_in_some_way(card):
    for rule in RULES.values():
        assert module.possible(card, rule)


@pytest.mark.parametrize(("source", "words"), [("nothing.csv", "no such file"), ("pcm-nobody", "pcm-nobody")])
def test_what_is_neither_card_nor_file_is_refused(source, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["assess", source])
    assert done.exit_code != 0
    assert words in str(done.exception)


def test_values_are_written_as_toml_reads_them():
    values = {"a": True, "b": [1, 2.5], "c": {"d": 'mit "Namen"', "e": {"f": 1e-9}}}
    assert tomllib.loads(f"x = {toml(values)}")["x"] == values


def test_requirements_of_another_score_are_read_by_it(whole):
    found, out = whole
    (own,) = (found.parts["requirements"].results or {})["requirements"]
    assert own["score"] == "vote"
    learnt = (found.parts["softhebb"].results or {})["runs"]  # the same chips, as the device is given
    votes = [run["vote"] for run in learnt if run["arm"] == DEVICE]
    assert own["accuracy_mean"] == pytest.approx(np.mean(votes))
    spec = ns.DenseExperiment.from_toml(out / "softhebb.toml").only([DEVICE]).changed(then_aged_s=None)
    plan = module.backwards(spec, module.Enough(score="mood"), (0.0, 1.0))
    with pytest.raises(UnknownNameError, match=r"mood.*vote"):
        module.collect(module.requirements(plan, out / "requirements"))
