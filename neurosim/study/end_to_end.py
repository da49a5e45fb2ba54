"""The baseline with labels: the layers of a deep network trained end to end, a net for each depth, resumable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.bits import BITS
from neurosim.core.errors import ConfigError
from neurosim.core.protocols import Floats
from neurosim.data.dataset import Dataset, Labelled
from neurosim.study.backpropagation import RADIUS, Backpropagation, TaughtTraining
from neurosim.study.deep_build import start_weights
from neurosim.study.deep_spec import DeepArm, DeepExperiment
from neurosim.study.identity import content
from neurosim.study.kept_runs import finished
from neurosim.study.layers import Layer, Shape, shapes
from neurosim.study.robustness import spoilt_of
from neurosim.study.store import pack_bits
from neurosim.study.training import Report

SHAPE_FIELDS = {"neurons", "kernel", "pad", "pool", "pool_kernel", "pool_stride", "pool_pad"}
TRAIN_TESTED = 5000
"""Training images that tell the accuracy on these, as for the heads of the other arms."""


def _kernel(layer: Layer, image_shape: Shape) -> int:
    """Width of a layer's kernel in torch; raises `ConfigError` for one that is no square."""
    if layer.kernel != "all":
        return layer.kernel
    if image_shape[0] != image_shape[1]:
        raise ConfigError(
            f"backpropagation: kernel = 'all' on images of {image_shape[0]} x {image_shape[1]} pixels; it takes square "
            "images alone"
        )
    return image_shape[0]


class EndToEndTraining(TaughtTraining):
    """One net of the first `depth` layers on its way through the images.

    Parameters
    ----------
    experiment : DeepExperiment
        Its layers, its mini-batch and dropout of heads; what it says of local rules is of no account.
    arm : DeepArm
        With `backpropagation`.
    seed : int
        Of the start weights (those of the other arms but for their norm), the order of images, and the dropout.
    data : Dataset
    depth : int

    Attributes
    ----------
    losses : dict
        Mean loss and accuracy of each epoch, on the images as they were learnt, dropout included.
    """

    experiment: DeepExperiment
    arm: DeepArm

    def __init__(self, experiment: DeepExperiment, arm: DeepArm, seed: int, data: Dataset, depth: int):
        from neurosim.reference.backprop import Block, EndToEnd

        super().__init__(experiment, arm, seed, data)
        self.depth = depth
        blocks, layers = [], experiment.layers[:depth]
        self.image_shape = experiment.image_shape(data)
        for number, (layer, comes_in) in enumerate(
            zip(layers, shapes(layers, self.image_shape), strict=True)
        ):
            weights = start_weights(layer, RADIUS, layer.rows(comes_in), number, seed)
            blocks.append(Block(weights, _kernel(layer, comes_in), layer.pad, layer.pooling))
        self.net = EndToEnd(
            blocks, self.image_shape, data.classes, seed=seed, dropout=experiment.dropout,
            learning_rate=self.settings.learning_rate, feedback=self.settings.feedback,
        )  # fmt: skip

    @property
    def batch(self) -> int:
        """Images of a mini-batch: as many as heads learn from."""
        return min(self.experiment.head_batch, len(self.fit.labels))

    @property
    def identity(self) -> str:
        """What a checkpoint must agree with: everything that decides the trained bits and the accuracy."""
        spec = self.experiment
        shapes = [layer.model_dump(mode="json", include=SHAPE_FIELDS) for layer in spec.layers[: self.depth]]
        data = [content(self.data, self.fit), content(self.data, self.test), *self.kept_aside]
        rest = [BITS, "backpropagation", self.seed, spec.head_batch, spec.dropout, spec.hold_out]
        if spec.moved is not None:
            rest.append(spec.moved.drawn)
        return json.dumps([shapes, self.settings.model_dump(mode="json"), data, rest], sort_keys=True)

    @property
    def evaluation(self) -> str:
        """What decides a result beyond the training: its name."""
        settings = self.experiment.robustness if self.depth == self.experiment.depths[-1] else None
        return json.dumps([self.name, *([settings.model_dump(mode="json")] if settings else [])])

    def _shown(self, chosen: NDArray[np.int64]) -> Floats:
        images, augment = super()._shown(chosen), self.experiment.moved
        if augment is None:
            return images
        moves = augment.moves(len(images), self.image_shape, self.seed, "end to end", self.steps)
        moved: Floats = moves.of(images)
        return moved

    def _images(self, flat: Any) -> Floats:
        found: Floats = self.data.inputs(flat).reshape(-1, *self.image_shape)
        return found

    def evaluated(self) -> dict[str, Any]:
        """Return the head of this depth, which becomes an entry of a run's `heads`, and beside it the net's layers."""
        right = self.right(self.test)
        fit = self.right(Labelled(self.fit.images[:TRAIN_TESTED], self.fit.labels[:TRAIN_TESTED]))
        head = {
            "depth": self.depth,
            "accuracy": float(right.mean()),
            "train_accuracy": float(fit.mean()),
            "correct": pack_bits(right),
            "curve": self.course_of_losses,
            **self.stopped,
        }
        layers = [
            {
                "rows": len(weights),
                "neurons": weights.shape[1],
                "norm_mean": float(np.linalg.norm(weights, axis=0).mean()),
                "weight_rms": float(np.sqrt(np.mean(np.square(weights)))),
            }
            for weights in self.net.kernel_weights()
        ]
        return {
            **self._robust(),
            "arm": self.name,
            "seed": self.seed,
            "accuracy": head["accuracy"],
            "head": head,
            "layers": layers,
            "seconds": self.seconds,
            "test_size": len(right),
        }

    def _robust(self) -> dict[str, Any]:
        """Ask the deepest net for spoilt images, where the experiment says so."""
        if self.experiment.robustness is None or self.depth != self.experiment.depths[-1]:
            return {}
        from neurosim.reference.taught import torch_threads

        with torch_threads(self.settings.threads):
            return spoilt_of(self, self.net.predict, self.net)


def run_end_to_end(
    experiment: DeepExperiment,
    arm: DeepArm,
    seed: int,
    data: Dataset,
    out: Path | None,
    report: Report | None,
) -> dict[str, Any]:
    """Train a net for every depth that gets a head and return one entry of the results' `runs`.

    What is finished in `out` is not computed again, whatever other depths or arms are asked for.
    """
    nets = [
        finished(EndToEndTraining(experiment, arm, seed, data, depth), out, report)
        for depth in experiment.depths
    ]
    settings = arm.backpropagation or Backpropagation()
    return {
        "arm": arm.name,
        "seed": seed,
        "accuracy": nets[-1]["head"]["accuracy"],
        "test_size": nets[-1]["test_size"],
        "heads": [net["head"] for net in nets],
        "layers": nets[-1]["layers"],
        "seconds": sum(net["seconds"] for net in nets),
        **{
            name: nets[-1][name]
            for name in ("robustness", "robustness_images", "samples")
            if name in nets[-1]
        },
        "counts": {},
        "events": [],
        "backpropagation": settings.model_dump(mode="json")
        | {"batch": experiment.head_batch, "dropout": experiment.dropout},
    }
