"""Fine-tuning: a differentiable copy of learnt layers and their head, trained end to end with labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from neurosim.core.errors import Stopped
from neurosim.core.frozen import Frozen
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.network.readout import Labels, Readout, halvings
from neurosim.study import stopping
from neurosim.study.store import pack_bits

TUNED = "fine-tuned"
"""What its head is called among those of depths."""
CHUNK = 250
TRAIN_TESTED = 5000


class FineTuning(Frozen):
    """After layers and heads have learnt: the net of the last depth with a head, trained end to end with labels by Adam.

    It is a copy in ideal arithmetic of the weights that are stored, normalised by the statistics that were kept; mini-batch and
    dropout are those of the heads. Of an arm with ``learns = false`` the same from random weights.
    """

    epochs: int = Field(5, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    """Of Adam; halved at the same shares of the epochs as that of the heads."""

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, the first being 0."""
        halved = sum(epoch >= first for first in halvings(self.epochs))
        return self.learning_rate * 0.5**halved


def fine_tuned(training: Any, head: Readout, depth: int) -> dict[str, Any]:
    """Train a copy of a trained net end to end and return its entry beside those of the heads.

    Parameters
    ----------
    training : DeepTraining
        Whose layers have learnt; they and their arrays stay as they are.
    head : Readout
        That of the last depth.
    depth : int
        Layers below it.

    Returns
    -------
    entry : dict
        ``depth`` ("fine-tuned"), ``accuracy``, ``train_accuracy``, ``correct``, ``curve`` (mean loss and accuracy of each epoch, as
        it learnt) and ``copy_accuracy``, that of the copy before it was tuned.

    Raises
    ------
    Stopped
        If somebody asked for the end; what the layers learnt is kept, fine-tuning begins anew.
    """
    from neurosim.network.readout import single_threaded_torch
    from neurosim.reference.fine_tuning import TunedCopy

    spec, seed, settings = training.experiment, training.seed, training.experiment.fine_tuning
    fit, test, augment = training.fit, training.test, spec.moved
    shape = training.image_shape

    def inputs(images: Any) -> Floats:
        found: Floats = training.data.inputs(images).reshape(-1, *shape)
        return found

    def right(part: Any, most: int | None = None) -> Any:
        images, labels = part.images[:most], part.labels[:most]
        parts = range(0, len(labels), CHUNK)
        answers: list[Labels] = [net.predict(inputs(images[k : k + CHUNK])) for k in parts]
        return np.concatenate(answers) == labels

    with single_threaded_torch(), stopping.learning():
        net = TunedCopy(training.stack.layers[:depth], head, seed=seed, dropout=spec.dropout)
        before = right(test)
        batch = min(spec.head_batch, len(fit.labels))
        batches = len(fit.labels) // batch
        curve: dict[str, list[float]] = {"loss": [], "accuracy": []}
        for epoch in range(settings.epochs):
            order = generator(seed, "fine-tuning", "order", epoch).permutation(len(fit.labels))
            told = np.zeros(2)
            for chosen in order[: batches * batch].reshape(batches, batch):
                images = inputs(fit.images[chosen])
                if augment is not None:
                    images = augment.moves(batch, shape, seed, "fine-tuning", net.steps).of(images)
                told += net.learn(images, fit.labels[chosen], settings.rate(epoch))
                if stopping.asked():
                    raise Stopped(
                        f"stopped: what the layers of {training.name}, seed {seed}, learnt is kept; fine-tuning begins anew"
                    )
            curve["loss"].append(round(float(told[0]) / batches, 6))
            curve["accuracy"].append(round(float(told[1]) / (batches * batch), 6))
        after = right(test)
        return {
            "depth": TUNED,
            "accuracy": float(after.mean()),
            "train_accuracy": float(right(fit, TRAIN_TESTED).mean()),
            "correct": pack_bits(after),
            "curve": curve,
            "copy_accuracy": float(before.mean()),
        }
