"""By how many images joules are divided: those that were shown while it learnt, whatever the kind of study calls them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_energy import BARE, layer, results
from test_mortal import CHIP, experiment

import neurosim as ns
import neurosim.data
from neurosim.data import Dataset, Labelled
from neurosim.study.kept_runs import counted
from neurosim.study.mortal import mortal
from neurosim.study.priced import columns, priced
from neurosim.study.swept import sweep

DIGITS: dict[str, Any] = {"dataset": "digits", "test_images": 20}


def swept(*fields: str, **row: Any) -> dict[str, Any]:
    """A sweep of one row, as files of earlier versions have it, without the images shown."""
    rows = [{"arm": "A", "seed": 0, "events": [layer(macs=10)], **row}]
    found = {**results(), "axes": [{"field": field} for field in fields], "rows": rows}
    del found["runs"]
    return found


def test_columns_of_axes_are_named_after_the_experiment_in_earlier_files() -> None:
    (one,) = priced(swept("experiment.epochs", **{"experiment.epochs": 7}), [BARE])
    assert one.samples == 10 * 7
    (one,) = priced(swept("experiment.train_images", **{"experiment.train_images": 40}), [BARE])
    assert one.samples == 40 * 3


def test_what_a_run_says_goes_before_what_the_settings_say() -> None:
    found = swept("experiment.hold_out", samples=24, **{"experiment.hold_out": True})
    assert [each.samples for each in priced(found, [BARE])] == [24]
    assert columns(found, found["rows"][0], BARE)["joules_per_sample"] == pytest.approx(
        columns(found, found["rows"][0], BARE)["joules"] / 24
    )


def test_a_last_mini_batch_that_is_smaller_counts_its_images_alone() -> None:
    spec = ns.DenseExperiment(**DIGITS, train_images=50, neurons=4, epochs=3, batch=20, readout_epochs=1)
    data = spec.data()
    training = spec.training(spec.arms()[0], 0, data)
    training.watched = False
    shown = []
    training.run(lambda done, total: shown.append(training.images_shown))
    assert shown == [20, 40, 50, 70, 90, 100, 120, 140, 150]
    assert counted(training)["samples"] == 150


def test_the_course_of_a_comparison_counts_the_images_that_it_learnt() -> None:
    spec = ns.DenseExperiment(
        **DIGITS, train_images=50, neurons=4, epochs=4, batch=40, readout_epochs=1, curve_points=4
    )
    training = spec.training(spec.arms()[0], 0, spec.data())
    training.run()
    assert [images for images, _ in training.course()] == [0, 50, 100, 150, 200]


@pytest.mark.parametrize(("schedule", "passes"), [("all", 1), ("greedy", 2)])
def test_deep_networks_count_unlabelled_images_once_for_each_layer_that_learns(
    schedule: Any, passes: int
) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (60, 8, 8, 1), np.uint8)
    labels = np.arange(60) % 3
    unlabelled = random.integers(0, 255, (90, 64), np.uint8)
    parts = [Labelled(images[some].reshape(30, 64), labels[some]) for some in (slice(30), slice(30, 60))]
    data = Dataset.from_arrays("own", "own", (8, 8, 1), 3, 255, *parts, unlabelled)
    rate = {"learning_rate": 0.01, "inverse_temperature": 1.0}
    layers = ({"neurons": 4, "kernel": 3, **rate}, {"neurons": 5, "kernel": 3, **rate})
    spec = ns.DeepExperiment(layer=layers, epochs=2, batch=10, schedule=schedule, arm=[{"name": "ideal"}])
    training = spec.training(spec.arms()[0], 0, data)
    training.watched = False
    training.run()
    assert counted(training)["samples"] == 90 * 2 * passes


def test_originals_of_mortal_chips_are_priced_by_what_they_learnt_and_copies_beside() -> None:
    spec = experiment(CHIP, epochs=3, relearn_epochs=1)
    found = mortal(spec)
    images = len(neurosim.data.load("digits").subset(120, 40).training().labels) // 20 * 20
    assert {each.arm: (each.seeds > 0, each.samples) for each in priced(found, ["generic-28nm"])} == {
        "chip": (True, 3 * images),
        "chip, copied and learnt on": (True, images),
        "chip, from scratch elsewhere": (True, images),
    }
    (original,) = found["originals"]
    first = priced(found, ["generic-28nm"])[0]
    assert first.accuracy == original["accuracy"]
    for run in [*found["originals"], *found["runs"]]:  # of files of earlier versions
        del run["samples"]
    rough = [each.samples for each in priced(found, ["generic-28nm"])]
    count = found["data"]["train_images"]
    assert rough == [3 * count, count, count]


def test_rows_of_a_sweep_have_what_their_training_saw(tmp_path: Any) -> None:
    spec = ns.DenseExperiment(
        **DIGITS, train_images=60, neurons=4, epochs=1, batch=20, readout_epochs=1, curve_points=0,
        arm=[{"name": "A", "device": "ideal"}],
    )  # fmt: skip
    found = sweep(spec, tmp_path, ["epochs=1,2", "hold_out=false,true"])
    held = len(spec.data().training(hold_out=True).labels)
    of = {
        (each.levels["experiment.epochs"], each.levels["experiment.hold_out"]): each.samples
        for each in priced(found, ["generic-28nm"])
    }
    assert of == {(1, False): 60, (2, False): 120, (1, True): held, (2, True): 2 * held}
    assert "samples_mean" not in found["points"][0]
