"""Settings are chosen by kept runs on validation images, which an experiment names and its results record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import neurosim as ns
from neurosim.core.errors import ConfigError
from neurosim.report.page import write_page
from neurosim.study.run import study
from neurosim.study.store import read_json, write_json

TINY: dict[str, Any] = {
    "dataset": "digits", "train_images": 60, "test_images": 40, "neurons": 6, "readout_epochs": 1,
    "curve_points": 0, "device": ["rram-hfo2-om-2022"],
}  # fmt: skip


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a sweep of the rate, on validation images."""
    out = tmp_path_factory.mktemp("tried")
    ns.sweep(ns.DenseExperiment(**TINY, hold_out=True), out, ["rule_options.learning_rate=0.05,0.1"])
    return out


def test_the_runs_that_chose_are_recorded_and_change_no_identity(tried: Path, tmp_path: Path) -> None:
    file = tmp_path / "final.toml"
    words = "\n".join(
        f"{name} = {str(value).lower() if value is True else value!r}" for name, value in TINY.items()
    )
    file.write_text(f'{words}\nchosen_on = ["tried"]\n')
    (tmp_path / "tried").symlink_to(tried)
    spec = ns.load_experiment(file)
    results = study(spec)
    (one,) = results["chosen_on"]
    assert one["file"] == str(tmp_path / "tried")
    assert (one["kind"], one["tried"], one["images"]) == ("sweep", 4, "validation split")
    assert one["source"] == results["versions"]["source"]
    plain = ns.DenseExperiment(**TINY)
    assert plain.deciding() == spec.deciding()


def test_results_on_test_images_may_not_choose(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", {"data": {"reported_on": "test set"}, "runs": []})
    spec = ns.DenseExperiment(**TINY, chosen_on=(str(tmp_path),))
    with pytest.raises(ConfigError, match="reports on the test set"):
        spec.check()


@pytest.mark.parametrize("held", ["", "{}", '{"data": 3}'])
def test_what_holds_no_results_is_refused(held: str, tmp_path: Path) -> None:
    if held:
        (tmp_path / "sweep.json").write_text(held)
    with pytest.raises(ConfigError, match="chosen_on"):
        ns.DenseExperiment(**TINY, chosen_on=(str(tmp_path),)).check()


def test_the_page_says_what_chose_or_that_nobody_knows(tried: Path, tmp_path: Path) -> None:
    results = read_json(tried / "sweep.json")
    assert 'id="chosen"' not in write_page(tmp_path, results).read_text(), "it chooses; it is no final run"
    final = {**results, "data": {**results["data"], "reported_on": "test set"}}
    assert "Nothing is recorded" in write_page(tmp_path, final).read_text()
    final["chosen_on"] = [{"file": "tried", "kind": "sweep", "tried": 4, "sha256": "ab"}]
    said = write_page(tmp_path, final).read_text()
    assert "The test images were read by this run alone" in said
    assert "4 tried" in said
