"""Fully connected layers and local receptive fields trained with labels in torch: what the layers of Forward-Forward reach so.

Imports torch: import it where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neurosim.core.errors import InputError
from neurosim.core.protocols import Floats
from neurosim.network.local_fields import Indices
from neurosim.reference.feedback import Feedback, drawn, multiplied
from neurosim.reference.taught import Taught


class Fields(NamedTuple):
    """One layer: a matrix for each location, or one that sees all inputs."""

    weights: Floats
    """(rows + 1, locations * neurons), the columns of one location after those of another, biases in the last row."""
    seen: Indices | None = None
    """(locations, rows): the inputs that each location sees; None: all inputs, in one location."""


class LayersEndToEnd(Taught):
    """ReLU layers with biases, each location a matrix of its own on its field, and a linear head on the last of them.

    No weight is shared, and nothing is normalised between layers. Trained by Adam on the cross-entropy; the head's weights
    start at zero.

    Parameters
    ----------
    layers : sequence of Fields
        With the start weights.
    inputs : int
        Numbers of a sample.
    classes : int
    seed : int
        Of fixed feedback.
    learning_rate : float
        Of Adam.
    feedback : {"transposed", "random", "direct", "targets"}
        How the error comes back (`neurosim.reference.feedback`).

    Raises
    ------
    InputError
        If a layer does not fit the one before.
    """

    def __init__(
        self,
        layers: Sequence[Fields],
        inputs: int,
        classes: int,
        *,
        seed: int = 0,
        learning_rate: float = 1e-3,
        feedback: Feedback = "transposed",
    ):
        super().__init__(seed, 0.0, feedback)
        self.inputs, self.seen = inputs, list[Tensor]()
        for number, layer in enumerate(layers, 1):
            seen = np.arange(inputs)[None] if layer.seen is None else layer.seen
            rows, cols = layer.weights.shape
            if rows != seen.shape[1] + 1 or cols % len(seen) or seen.max() >= inputs:
                raise InputError(
                    f"layer {number}: {rows} x {cols} weights do not fit {len(seen)} locations that see {seen.shape[1]} of "
                    f"{inputs} inputs; expected a row for each and one of biases, and as many columns in each location"
                )
            each = layer.weights.reshape(rows, len(seen), -1).transpose(1, 0, 2)
            for part in (each[:, :-1], each[:, -1:]):
                values = torch.from_numpy(np.array(part, np.float32, order="C"))
                self.kernels.append(values.requires_grad_())
            self.seen.append(torch.from_numpy(np.ascontiguousarray(seen)))
            if feedback == "random":
                self.fixed.append(drawn(seed, number, tuple(self.kernels[-2].shape), rows - 1))
            elif feedback != "transposed":
                self.fixed.append(drawn(seed, number, (classes, cols), cols))
            inputs = cols
        self._headed(inputs, classes, learning_rate)

    def _answers(self, images: Floats | Tensor, learns: bool, apart: list[Tensor] | None = None) -> Tensor:
        if images.ndim != 2 or images.shape[1] != self.inputs:
            raise InputError(f"samples of shape {tuple(images.shape)}: expected (n, {self.inputs})")
        given = torch.from_numpy(images) if isinstance(images, np.ndarray) else images
        x = given.float()
        for number, seen in enumerate(self.seen):
            weights, biases = self.kernels[2 * number : 2 * number + 2]
            x = x if apart is None else x.detach()
            on_fields = x[None] if len(seen) == 1 else x.T[seen].mT
            back = self.fixed[number] if learns and self.feedback == "random" else None
            each = multiplied(on_fields, weights, back) + biases
            x = each.clamp_min(0).transpose(0, 1).flatten(1)
            if apart is not None:
                apart.append(x[:, :, None, None])
        return x

    def layer_weights(self) -> list[Floats]:
        """Return the weights of every layer (locations, rows + 1, neurons), biases in the last row."""
        pairs = zip(self.kernels[::2], self.kernels[1::2], strict=True)
        return [torch.cat([weights, biases], 1).detach().numpy() for weights, biases in pairs]
