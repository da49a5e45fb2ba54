"""The layers of a comparison of Forward-Forward trained end to end with labels: the same fields, start weights, images and order."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.bits import BITS
from neurosim.core.protocols import Floats
from neurosim.data.dataset import Dataset
from neurosim.network.readout import Readout
from neurosim.study.backpropagation import RADIUS, TaughtTraining
from neurosim.study.forward_forward_build import inputs_of, start_weights
from neurosim.study.forward_forward_spec import ForwardForwardArm, ForwardForwardExperiment
from neurosim.study.identity import content
from neurosim.study.store import pack_bits

TINY = 1e-8
"""Beside the length of an image, which may be nothing."""


class TaughtLayers(TaughtTraining):
    """One net on its way through the images.

    Parameters
    ----------
    experiment : ForwardForwardExperiment
        Its layers and fields, its mini-batch; what it says of Forward-Forward is of no account.
    arm : ForwardForwardArm
        With `backpropagation`.
    seed : int
        Of the start weights (those of the other arms but for their norm), and the order of images.
    data : Dataset
    """

    experiment: ForwardForwardExperiment
    arm: ForwardForwardArm

    def __init__(
        self, experiment: ForwardForwardExperiment, arm: ForwardForwardArm, seed: int, data: Dataset
    ):
        from neurosim.reference.backprop_layers import Fields, LayersEndToEnd

        super().__init__(experiment, arm, seed, data)
        self.followed = experiment.followed(data, self.fit, experiment.hold_out)
        layers = []
        for number, (rows, seen) in enumerate(inputs_of(experiment, arm, data.image_shape, data.classes)):
            rows, places = (rows, 1) if seen is None else (len(seen[0]), len(seen))
            start = start_weights(rows, places * experiment.layers[number], number, seed)
            layers.append(Fields(RADIUS * start, None if seen is None else np.stack(seen)))
        self.net = LayersEndToEnd(
            layers, data.rows, data.classes, seed=seed,
            learning_rate=self.settings.learning_rate, feedback=self.settings.feedback,
        )  # fmt: skip

    @property
    def batch(self) -> int:
        """Images of a mini-batch."""
        return min(self.experiment.batch, len(self.fit.labels))

    @property
    def identity(self) -> str:
        """What a checkpoint must agree with: everything that decides the trained bits and what is followed."""
        spec = self.experiment
        built = [spec.layers, spec.receptive, self.data.image_shape]
        data = [self.digest_of_images, content(self.data, self.test), *self.kept_aside]
        rest = [BITS, "backpropagation of layers", self.seed, spec.batch, spec.hold_out, spec.curve_images]
        return json.dumps([built, self.settings.model_dump(mode="json"), data, rest], sort_keys=True)

    @property
    def evaluation(self) -> str:
        """What decides a result beyond the training: its name."""
        return json.dumps([self.name])

    def _images(self, flat: Any) -> Floats:
        """Images with a length of one (rms), as the layers of the other arms have them."""
        x = self.data.inputs(flat)
        found: Floats = x / (np.sqrt(np.square(x).mean(axis=1, keepdims=True)) + np.float32(TINY))
        return found

    @property
    def looks(self) -> bool:
        """Whether the accuracy is followed where it stands: at the end of each epoch."""
        return self.steps > 0 and self.steps % self.batches == 0

    def look(self) -> dict[str, Any]:
        """Return how far it has come after an epoch, on images that are followed, as they were learnt, and on those kept aside."""
        epoch = self.steps // self.batches
        course = {name: values[epoch - 1] for name, values in self.course_of_losses.items()}
        return {"epoch": epoch, "softmax": float(self.right(self.followed).mean()), **course}

    def course(self) -> list[tuple[float, float]]:
        """Return images learnt and the accuracy that is followed, at each look."""
        return [(point["epoch"] * self.batches * self.batch, point["softmax"]) for point in self.curve]

    @property
    def taught(self) -> bool:
        """Whether labels decide what is learnt: they do."""
        return True

    def represented(self, images: Any) -> Floats:
        """Return what the head sees of images (n, features): the answers of the last layer."""
        found: Floats = self.net.features(self._images(images))
        return found

    def readout(self, features: Floats, labels: NDArray[np.int64], classes: int) -> Readout | None:
        """Return none: the head of the net has learnt with it."""
        return None

    def classified(self, images: Any, readout: Readout | None) -> NDArray[np.int64]:
        """Return the class of each image by the net's own head."""
        return self._classes(images)

    def evaluated(self) -> dict[str, Any]:
        """Ask for the classes of the images reported on and return one entry of the results' `runs`."""
        found = self._classes(self.test.images)
        self.answers = {"softmax": found}
        right = found == self.test.labels
        accuracy = float(right.mean())
        return {
            "arm": self.name,
            "seed": self.seed,
            "accuracy": accuracy,
            "readouts": {"softmax": accuracy},
            "test_size": len(right),
            "correct": {"softmax": pack_bits(right)},
            "curve": self.curve,
            "layers": [_layer(weights) for weights in self.net.layer_weights()],
            "seconds": self.seconds,
            "backpropagation": {
                **self.settings.model_dump(mode="json"), "batch": self.batch, **self.stopped,
            },
        }  # fmt: skip


def _layer(weights: Floats) -> dict[str, Any]:
    """What results say of a layer with weights (locations, rows + 1, neurons)."""
    places, rows, neurons = weights.shape
    found: dict[str, Any] = {
        "rows": rows,
        "neurons": neurons,
        "weight_rms": float(np.sqrt(np.mean(np.square(weights[:, :-1])))),
        "bias_rms": float(np.sqrt(np.mean(np.square(weights[:, -1])))),
    }
    return {**found, "locations": places} if places > 1 else found
