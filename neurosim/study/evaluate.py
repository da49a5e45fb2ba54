"""How good a layer is: a linear readout on two kinds of features, and the winner's vote without any."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Array, Floats
from neurosim.data.dataset import Dataset, Labelled
from neurosim.kernels.jit import share
from neurosim.network.readout import LinearReadout, Vote, softmax_features, triangle_features
from neurosim.study.build import on_devices

CHUNK = 2048
FEATURES = {"accuracy": softmax_features, "accuracy_triangle": triangle_features}
"""Readouts by their name in the results; the first is the headline."""


def currents(array: Array, data: Dataset, images: NDArray[np.uint8]) -> Floats:
    """Read every image once: (n, cols) float32 column currents in weight units."""
    chunks = (images[k : k + CHUNK] for k in range(0, len(images), CHUNK))
    return np.concatenate(
        [to_numpy(array.forward(data.inputs(chunk))).astype(np.float32, copy=False) for chunk in chunks]
    )


def to_numpy(values: Any) -> Floats:
    """Return an array's result as numpy, wherever it was computed."""
    found: Floats = values if isinstance(values, np.ndarray) else values.cpu().numpy()
    return found


class unmetered:
    """Context in which reads of a crossbar do not enter its ledger: looking is not learning."""

    def __init__(self, array: Array):
        self.array = on_devices(array)

    def __enter__(self) -> None:
        self.before = None if self.array is None else replace(self.array.ledger)

    def __exit__(self, *_: object) -> None:
        if self.array is not None and self.before is not None:
            self.array.rewind(self.before)


def vote_accuracy(array: Array, data: Dataset, fit: Labelled, test: Labelled) -> float:
    """Accuracy of the winner's vote, its classes assigned on `fit`."""
    with unmetered(array):
        winners = currents(array, data, fit.images).argmax(axis=1)
        answers = currents(array, data, test.images).argmax(axis=1)
    vote = Vote(winners, fit.labels, array.shape[1], data.classes)
    return vote.accuracy(answers, test.labels)


def evaluate(
    array: Array, data: Dataset, fit: Labelled, test: Labelled, epochs: int, seed: int
) -> dict[str, float]:
    """Return the accuracies of the vote and of the linear readouts, all fitted on `fit`."""
    with unmetered(array):
        u_fit, u_test = currents(array, data, fit.images), currents(array, data, test.images)
    vote = Vote(u_fit.argmax(axis=1), fit.labels, array.shape[1], data.classes)

    def readout(name: str) -> float:
        features = FEATURES[name]
        return linear_accuracy(
            features(u_fit), fit.labels, features(u_test), test.labels, data.classes, epochs, seed
        )

    scores = dict(zip(FEATURES, share(readout, FEATURES), strict=True))
    return {**scores, "vote": vote.accuracy(u_test.argmax(axis=1), test.labels), "neurons_used": vote.used}


def linear_accuracy(
    fit: Floats,
    fit_labels: NDArray[np.int64],
    test: Floats,
    test_labels: NDArray[np.int64],
    classes: int,
    epochs: int,
    seed: int,
) -> float:
    """Accuracy on `test` of a linear classifier trained on `fit`."""
    readout = LinearReadout(fit.shape[1], classes, seed)
    readout.fit(fit, fit_labels, epochs)
    return readout.accuracy(test, test_labels)


def raw_pixel_accuracy(data: Dataset, fit: Labelled, test: Labelled, epochs: int, seed: int) -> float:
    """Accuracy of the same linear classifier on raw pixels: what needs no layer at all."""
    return linear_accuracy(
        data.inputs(fit.images), fit.labels, data.inputs(test.images), test.labels, data.classes, epochs, seed
    )
