"""What `ns.compare` and `ns.sweep` return: a dictionary still, which shows itself; one way for every kind of study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import PCM, ROOT
from matplotlib.figure import Figure

import neurosim as ns
from neurosim.devices.card import find

KEPT = {
    "dense": ("digits-demo", ["accuracy", "gap", "curves", "energy"], "PCM"),
    "deep": ("cifar-deep-width-1", ["depth"], "random"),
    "forward-forward": ("ff-larger", ["epochs", "energy"], "ECRAM"),
    "mortal": ("mortal-chips", ["mortal", "recovery"], "ECRAM"),
}


def kept(name: str) -> Path:
    return ROOT / "results" / f"{name}.json"


@pytest.fixture(scope="module")
def compared() -> ns.Results:
    return ns.compare(ns.DenseExperiment(neurons=10, train_images=200, device=(PCM,), curve_points=0))


@pytest.mark.parametrize("kind", KEPT)
def test_results_of_every_kind_show_themselves(kind):
    name, figures, arm = KEPT[kind]
    found = ns.load_results(kept(name))
    assert found.kind == kind
    assert list(found.plot()) == figures
    assert isinstance(found.plot(figures[0]), Figure)
    assert arm in str(found.table())
    assert any(arm in said for said, _ in found.findings())
    page = found._repr_html_()
    assert page.count("<table>") == len(found.table())
    assert arm in page
    assert len(found.to_pandas()) == len(found["runs"])
    assert found.table().to_pandas()[0].shape[0] >= len(found.arms)
    assert arm in repr(found) or "more" in repr(found)
    assert "\n" not in repr(found)
    assert len(repr(found)) < 250
    with pytest.raises(ns.NeurosimError, match=f"unknown figure 'x'.*{figures[0]}"):
        found.plot("x")


def test_a_comparison_returns_the_dictionary_of_its_file_and_comes_back(compared, tmp_path):
    assert isinstance(compared, dict)
    filed = json.loads(json.dumps(compared))
    path = compared.save(tmp_path / "mine")
    assert path == tmp_path / "mine" / "results.json"
    assert json.loads(path.read_text()) == filed
    assert ns.load_results(tmp_path / "mine") == filed == ns.load_results(path)
    assert ns.load_results(compared.save(tmp_path / "other.json")) == filed


def test_a_sweep_shows_its_points_and_comes_back(tmp_path):
    spec = ns.DenseExperiment(neurons=10, train_images=200, device=(PCM,), curve_points=0)
    found = ns.sweep(spec, tmp_path, ["read_noise=0,0.1"])
    assert found.kind == "sweep"
    assert ns.load_results(tmp_path) == json.loads(json.dumps(found))
    assert len(found.to_pandas()) == 4
    assert "pulses" in found.to_pandas()
    assert PCM in str(found.table())
    assert "sweep" in found.plot()


def test_columns_of_runs_hold_counts_and_readouts(compared):
    frame = compared.to_pandas().set_index("arm")
    run = next(run for run in compared["runs"] if run["arm"] == PCM)
    assert frame.loc[PCM, "pulses"] == run["counts"]["pulses"]
    assert frame.loc[PCM, "untrained.accuracy"] == run["untrained"]["accuracy"]
    deep = ns.load_results(kept("cifar-deep-width-1"))
    assert deep.to_pandas()["depth_2.accuracy"].iloc[0] == deep["runs"][0]["heads"][1]["accuracy"]


def test_what_is_no_result_is_refused(compared, tmp_path):
    with pytest.raises(ns.NeurosimError, match=r"no results\.json or sweep\.json"):
        ns.load_results(tmp_path)
    (tmp_path / "results.json").write_text("{]")
    with pytest.raises(ns.NeurosimError, match="damaged"):
        ns.load_results(tmp_path)
    (tmp_path / "results.json").write_text("[1]")
    with pytest.raises(ns.NeurosimError, match="no results of a study"):
        ns.load_results(tmp_path)
    with pytest.raises(ns.NeurosimError, match="damaged, of an earlier version"):
        ns.Results({**compared, "summary": [{"arm": "x"}]}).table()
    with pytest.raises(ns.NeurosimError, match="kind 'walk' are damaged"):
        ns.Results({**compared, "kind": "walk"}).table()


def test_a_kind_of_ones_own_shows_its_arms_and_scores():
    entry = {
        "arm": "mine",
        "score": "accuracy",
        "seeds": 1,
        "accuracy_mean": 0.5,
        "accuracy_interval": [0.4, 0.6],
    }
    data = {"reported_on": "test set", "note": "digits"}
    found = ns.Results({"kind": "walk", "summary": [entry], "data": data, "runs": []})
    assert "50.0 ± 10.0" in str(found.table())
    assert found.findings() == [("mine, accuracy", "50.0 % (40.0 to 60.0).")]
    assert list(found.plot()) == []


def test_chips_that_were_left_alone_are_shown_in_python_as_well():
    spec = ns.DenseExperiment(
        neurons=10, train_images=60, test_images=40, device=(PCM,), curve_points=2, seeds=2
    )
    found = ns.compare(spec.changed(then_aged_s=3600.0))
    assert "Left alone for 1 h" in str(found.table())
    assert "aged" in found.plot()


def test_names_move_no_cursor_and_are_no_markup():
    bad = ns.load_results(kept("digits-demo"))
    text = json.dumps(bad).replace("RRAM fine, not verified", "<b>\\u001b[31m[red]")
    shown = ns.Results(json.loads(text))
    assert "\x1b" not in str(shown.table()) + repr(shown)
    assert "[red]" in str(shown.table())
    assert "<b>\x1b" not in shown._repr_html_()
    assert "&lt;b&gt;" in shown._repr_html_()


@pytest.mark.parametrize(
    "thing",
    [
        ns.devices.load("pcm-nandakumar-2018"), find("pcm-nandakumar-2018"), ns.WritePath(), ns.ReadPath(),
        ns.DenseExperiment(neurons=7), ns.energy.price_list("generic-28nm"), ns.Crossbar((4, 3), "ideal"),
    ],
    ids=lambda thing: type(thing).__name__,
)  # fmt: skip
def test_things_say_in_a_line_what_they_are(thing: Any) -> None:
    assert len(repr(thing)) < 300
    assert type(thing).__name__ in repr(thing)
    assert str(thing) == repr(thing)


def test_settings_say_what_is_not_as_it_is_by_default() -> None:
    assert (
        repr(ns.WritePath(decay_mode="gain", flush_pulses=2))
        == "WritePath(decay_mode='gain', flush_pulses=2)"
    )
    assert repr(ns.WritePath(flush_pulses=1)) == "WritePath()"


def test_own_weights_answer_in_the_words_of_all_studies_and_stand_on_chips():
    found = ns.load_results(kept("mnist-mlp"))
    for entry in found["summary"]:
        for point in entry.get("points", ()):
            point["verdict"] = {"answer": "less", "seen": "", "decides": ""}
    said = [*(words for _, words in found.findings()), str(found.table())]
    assert any(": no, but it learns." in words for words in said[:-1])
    assert not any(": less" in words for words in said)
    assert "no, but it" in said[-1]
    assert "instance" not in said[-1]
