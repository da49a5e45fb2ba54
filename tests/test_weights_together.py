"""Chips with own weights as one batch: each answers as the chip alone, and with its bits whoever is asked beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from weights_helpers import MODELS, perceptron

from neurosim import Together, WeightsExperiment
from neurosim.study.run import study
from neurosim.study.swept import sweep
from neurosim.study.together import _waiting
from neurosim.study.weights import WeightsTraining, right_of

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")
PCM = "pcm-nandakumar-2018"
IMAGES = 297


@pytest.fixture(autouse=True)
def nothing_waits():
    _waiting.clear()
    yield
    assert not _waiting


def spec(files: dict[str, str], **changes: Any) -> WeightsExperiment:
    read = {"adc_bits": 6, "dac_bits": 8}
    given = {"device": (PCM,), "seeds": 4, "times_s": (3600.0,), "read": read, **changes}
    return WeightsExperiment.parse({**files, **given}, "test")


def bare(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs without what differs from one time to the next."""
    return [{name: value for name, value in run.items() if name != "seconds"} for run in found["runs"]]


@pytest.mark.parametrize("model", MODELS)
def test_a_chip_of_a_batch_answers_as_the_chip_alone(model: str, tmp_path: Path):
    files = MODELS[model](tmp_path)
    alone, beside = bare(study(spec(files))), bare(study(spec(files, together=4)))
    assert [(run["arm"], run["seed"]) for run in beside] == [(run["arm"], run["seed"]) for run in alone]
    assert len({run["correct"]["accuracy"] for run in beside}) == 5  # the weights as trained, and four chips
    for one, other in zip(alone, beside, strict=True):
        assert other["counts"] == pytest.approx(one["counts"])
        assert other["untrained"] == one["untrained"]
        assert other.get("energy", {}) == pytest.approx(one.get("energy", {}), rel=1e-6)
        for first, second in zip(one["points"], other["points"], strict=True):
            assert (second["time_s"], second["compensated"]) == (first["time_s"], first["compensated"])
            assert second["gain"] == pytest.approx(first["gain"], rel=1e-5)
            assert abs(second["accuracy"] - first["accuracy"]) <= 1 / IMAGES


def test_a_chip_has_its_bits_whoever_is_asked_beside_it(tmp_path: Path):
    files = perceptron(tmp_path)
    whole = bare(study(spec(files, together=3, seeds=3)))
    few = bare(study(spec(files, together=3, seeds=1, first_seed=1)))
    assert [run for run in whole if run["seed"] == 1] == few
    assert len(few) == 2


def test_all_chips_are_programmed_and_asked_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    batches, passes, ask = [], [], right_of

    def told(model: Any, data: Any, images: Any, labels: Any, chips: int = 1) -> Any:
        passes.append((chips, len(labels)))
        return ask(model, data, images, labels, chips)

    learn = Together.run
    monkeypatch.setattr("neurosim.study.weights.right_of", told)
    monkeypatch.setattr(Together, "run", lambda self, *rest: (batches.append(self.seeds), learn(self, *rest)))
    given = spec(perceptron(tmp_path), together=2, seeds=3, times_s=(), test_images=10)
    first = study(given, tmp_path / "out")
    assert batches == [[0, 1], [2]]
    assert (
        sorted(passes) == [(1, 10)] * 3 + [(2, 10)] * 2
    )  # as trained, once a seed; on devices, once a batch
    assert study(given, tmp_path / "out")["runs"] == first["runs"]
    assert len(passes) == 5


def test_a_checkpoint_of_a_batch_keeps_what_was_read_and_for_this_evaluation_alone(tmp_path: Path):
    given = spec(perceptron(tmp_path), together=2, seeds=2)
    (arm,) = given.device_arms()
    training = given.training(arm, 0, given.data())
    training.run()
    training.save(tmp_path / "kept.npz")
    again: WeightsTraining = given.training(arm, 0, given.data())
    again.resume(tmp_path / "kept.npz")
    assert again.result() == training.result()
    later: WeightsTraining = given.changed(times_s=(60.0,)).training(arm, 0, given.data())
    later.resume(tmp_path / "kept.npz")
    assert [point["time_s"] for point in later.result()["points"]] == [0.0, 60.0, 60.0]
    again.calibrate()
    assert again.answered is None
    _waiting.clear()


def test_a_sweep_of_batches_gives_the_rows_of_chips_alone(tmp_path: Path):
    """Levels that program anew, and levels that read what is programmed, at an age as well."""
    rows = []
    for together in (1, 2):
        given = spec(perceptron(tmp_path), seeds=2, together=together)
        found = sweep(
            given,
            tmp_path / f"sweep-{together}",
            ["times.programming_error=1,3", "read_noise=0,0.3", "age_s=0,1e6"],
        )
        rows.append(sorted(found["rows"], key=lambda row: str(list(row.items())[:5])))
    assert len(rows[0]) == len(rows[1]) > 4
    for one, other in zip(*rows, strict=True):
        assert abs(other["accuracy"] - one["accuracy"]) <= 1 / IMAGES
    assert len({row["accuracy"] for row in rows[0]}) > 2
    assert np.isfinite([row["accuracy"] for row in rows[1]]).all()
