"""Nothing is fitted on images that are reported on: answers do not depend on their labels, nor on one another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from neurosim import (
    Dataset,
    DeepArm,
    DeepExperiment,
    DenseExperiment,
    Experiment,
    ForwardForwardArm,
    ForwardForwardExperiment,
)
from neurosim.data import load
from neurosim.study.dense import DenseTraining
from neurosim.study.store import unpack_bits

PCM = "pcm-nandakumar-2018"
SMALL: dict[str, Any] = {"dataset": "digits", "train_images": 400, "test_images": 40}
DATA = load("digits").subset(400, 40)
DENSE = DenseExperiment(**SMALL, neurons=20, epochs=3, readout_epochs=20, curve_points=2, device=(PCM,))
NETWORKS: dict[str, Experiment] = {
    "deep": DeepExperiment(
        **SMALL, batch=20, width=1.0, depth=1, head_epochs=30, head_batch=20,
        arm=(DeepArm(name="a", device=PCM, rule="softhebb"),),
    ),
    "backpropagation": DeepExperiment(
        **SMALL, batch=20, width=1.0, depth=1, head_batch=20, arm=(DeepArm(name="a", backpropagation={"epochs": 2}),)
    ),
    "forward-forward": ForwardForwardExperiment(
        **SMALL, batch=20, widths=(60, 40), epochs=12, curve_images=10,
        arm=(ForwardForwardArm(name="a", settings={"learning_rate": 0.02}),),
    ),
    "forward-forward, unsupervised": ForwardForwardExperiment(
        **SMALL, batch=20, widths=(40, 20), epochs=3, supervised=False, blurs=2, readout_epochs=60, curve_images=10,
        arm=(ForwardForwardArm(name="a"),),
    ),
}  # fmt: skip


def labelled(data: Dataset, label: int) -> Dataset:
    """The same images, all those reported on with one label."""
    return replace(data, y_test=np.full_like(data.y_test, label))


def right(result: dict[str, Any]) -> list[NDArray[np.bool_]]:
    """Which images each readout of a run had right."""
    kept = (
        result["correct"].values() if "correct" in result else [head["correct"] for head in result["heads"]]
    )
    return [unpack_bits(bits, result["test_size"]) for bits in kept]


@pytest.mark.parametrize("kind", NETWORKS)
def test_answers_of_networks_do_not_depend_on_labels_reported_on(kind: str) -> None:
    """Whatever one label all images get, each is called by one class: over the ten labels it is right once."""
    spec = NETWORKS[kind]
    arm = spec.arms()[0]
    assert min(each.mean() for each in right(spec.run(arm, 0, DATA, None, None))) > 0.25, "readouts learn"
    found = [right(spec.run(arm, 0, labelled(DATA, label), None, None)) for label in range(10)]
    for readout in zip(*found, strict=True):
        np.testing.assert_array_equal(np.sum(readout, axis=0), 1)


def test_answers_of_a_layer_do_not_depend_on_labels_reported_on() -> None:
    answers, curves = [], []
    for label in (0, 7):
        training = DenseTraining(DENSE, DENSE.device_arms()[0], 0, labelled(DATA, label))
        training.run()
        training.result()
        answers.append(training.answers)
        curves.append(training.curve)
    for name in ("accuracy", "accuracy_triangle", "vote"):
        np.testing.assert_array_equal(answers[0][name], answers[1][name], err_msg=name)
    assert curves[0] == curves[1], "the curve is of training images"


def test_answers_do_not_depend_on_other_images_reported_on() -> None:
    """In ideal arithmetic, where reads of other images draw no noise."""
    found = []
    for test in (DATA.x_test, np.concatenate([DATA.x_test[:20], 255 - DATA.x_test[20:]])):
        training = DenseTraining(DENSE, None, 0, replace(DATA, x_test=test))
        training.run()
        training.result()
        found.append(training.answers)
    for name in ("accuracy", "accuracy_triangle", "vote"):
        np.testing.assert_array_equal(found[0][name][:20], found[1][name][:20], err_msg=name)
        assert (found[0][name][20:] != found[1][name][20:]).any()
