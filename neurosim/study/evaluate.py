"""How good a layer is: a linear readout on two kinds of features, and the winner's vote without any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Array, DeviceArray, Floats
from neurosim.data.dataset import Dataset, Labelled
from neurosim.kernels.jit import share
from neurosim.network.arrays import to_numpy
from neurosim.network.local_fields import locations
from neurosim.network.readout import LinearReadout, Vote, softmax_features, triangle_features

CHUNK = 2048
FEATURES = {"accuracy": softmax_features, "accuracy_triangle": triangle_features}
"""Readouts by their name in the results; the first is the headline."""
PAIRED = ("accuracy", "vote")
"""Scores that are compared with ideal arithmetic image by image."""
Answers = NDArray[np.int64]


def on_devices(array: Array) -> DeviceArray | None:
    """Return the array if it is one of devices, None for ideal arithmetic."""
    devices: Any = array
    return None if array.ideal else devices


def compared_scores(line: dict[str, Any]) -> list[str]:
    """Return the scores of which `neurosim validate` compared two trainings; earlier versions had `PAIRED` alone."""
    return list(line.get("scores", PAIRED))


class Passed:
    """An array as its neurons pass it on: reads go through their transfer, all else is the array's."""

    def __init__(self, layer: Any):
        self._layer = layer

    def forward(self, x: Floats) -> Floats:
        """Return what the neurons make of the currents (batch, cols) of inputs (batch, rows)."""
        found: Floats = self._layer.forward(x)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer.array, name)


def currents(array: Array, data: Dataset, images: NDArray[np.uint8]) -> Floats:
    """Read every image once: (n, cols) float32 column currents in weight units."""
    chunks = (images[k : k + CHUNK] for k in range(0, len(images), CHUNK))
    return np.concatenate(
        [to_numpy(array.forward(data.inputs(chunk))).astype(np.float32, copy=False) for chunk in chunks]
    )


class unmetered:
    """Context in which reads of a crossbar do not enter its ledger; for an array that has learnt to the end."""

    def __init__(self, array: Array):
        self.array = on_devices(array)

    def __enter__(self) -> None:
        self.before = None if self.array is None else replace(self.array.ledger)

    def __exit__(self, *_: object) -> None:
        if self.array is not None and self.before is not None:
            self.array.rewind(self.before)


@contextmanager
def looking(array: Array) -> Iterator[None]:
    """Context in which reads leave no trace at all: an array that was looked at learns on with the same bits."""
    with ExitStack() as open_eyes:
        for place in locations(array):
            devices: Any = on_devices(place)
            if devices is None:
                continue
            if hasattr(devices, "looking"):
                open_eyes.enter_context(devices.looking())
            else:
                open_eyes.callback(devices.restore, devices.snapshot())
        yield


def vote_accuracy(array: Array, data: Dataset, fit: Labelled, test: Labelled) -> float:
    """Accuracy of the winner's vote, its classes assigned on `fit`; leaves no trace in the array."""
    with looking(array):
        winners = currents(array, data, fit.images).argmax(axis=1)
        answers = currents(array, data, test.images).argmax(axis=1)
    vote = Vote(winners, fit.labels, array.shape[1], data.classes)
    return vote.accuracy(answers, test.labels)


def evaluate(
    array: Array, data: Dataset, fit: Labelled, test: Labelled, epochs: int, seed: int
) -> tuple[dict[str, float], dict[str, Answers]]:
    """Evaluate the vote and the linear readouts, all fitted on `fit`.

    Returns
    -------
    scores : dict
        Accuracies on `test`, and the number of neurons used.
    answers : dict
        The class that each of them gives to every image of `test`.
    """
    with unmetered(array):
        u_fit, u_test = currents(array, data, fit.images), currents(array, data, test.images)
    vote = Vote(u_fit.argmax(axis=1), fit.labels, array.shape[1], data.classes)

    def readout(name: str) -> Answers:
        features = FEATURES[name]
        classifier = linear_readout(features(u_fit), fit.labels, data.classes, epochs, seed)
        return classifier.predict(features(u_test))

    answers = dict(zip(FEATURES, share(readout, FEATURES), strict=True))
    answers["vote"] = vote.predict(u_test.argmax(axis=1))
    scores = {name: float((given == test.labels).mean()) for name, given in answers.items()}
    return {**scores, "neurons_used": vote.used}, answers


def linear_readout(
    features: Floats, labels: NDArray[np.int64], classes: int, epochs: int, seed: int
) -> LinearReadout:
    """Return a linear classifier trained on features (n, features)."""
    readout = LinearReadout(features.shape[1], classes, seed)
    readout.fit(features, labels, epochs)
    return readout


def raw_pixel_accuracy(data: Dataset, fit: Labelled, test: Labelled, epochs: int, seed: int) -> float:
    """Accuracy of the same linear classifier on raw pixels: what needs no layer at all."""
    readout = linear_readout(data.inputs(fit.images), fit.labels, data.classes, epochs, seed)
    return readout.accuracy(data.inputs(test.images), test.labels)
