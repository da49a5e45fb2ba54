"""A trained stack in ideal arithmetic whose answers torch can follow back to the images.

Imports torch: import it where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.core.protocols import Floats
from neurosim.network.arrays import to_numpy
from neurosim.network.images import EPSILON, Pool
from neurosim.network.readout import Labels, Readout
from neurosim.reference.twin.images import activate, cut, pooled

LEAST = 1e-6
"""Answers below count as this much under a power: the slope of a root at zero is infinite."""


class IdealCopy:
    """Layers of a stack and a head in ideal arithmetic, with the weights that are stored now.

    Parameters
    ----------
    layers : sequence of Convolution
        On any machine, in ideal arithmetic or on devices; none passes on in a way of its own or has neurons with a transfer.
    head : Readout, optional
        Of what the last one answers; without it there are no scores.
    """

    def __init__(self, layers: Sequence[Any], head: Readout | None = None):
        self.layers = list(layers)
        self.weights = [torch.as_tensor(to_numpy(layer.array.weights())).float() for layer in layers]
        self.means, self.gains = [], []
        for layer in layers:
            saved = layer.norm.snapshot()
            self.means.append(torch.from_numpy(np.asarray(saved["mean"])).float())
            self.gains.append(torch.from_numpy(np.asarray(saved["variance"]) + EPSILON).rsqrt().float())
        self.head = (
            [] if head is None else [torch.as_tensor(values).float() for values in (head.weight, head.bias)]
        )

    def currents(self, images: Tensor, depth: int) -> Tensor:
        """Return the currents (n, height, width, neurons) of a depth, the first being 1, before activation."""
        x = images
        for number in range(depth - 1):
            x = _answered(self._read(x, number), self.layers[number])
        return self._read(x, depth - 1)

    def _read(self, x: Tensor, number: int) -> Tensor:
        return self._products((x - self.means[number]) * self.gains[number], number)

    def _products(self, x: Tensor, number: int) -> Tensor:
        """Currents of normalised images."""
        layer = self.layers[number]
        whole = layer.kernel is None
        patches = x.flatten(1) if whole else cut(x, layer.kernel, layer.pad, 0, layer.size[0])
        return (patches @ self.weights[number]).reshape(len(x), *layer.size, -1)

    def features(self, images: Tensor) -> Tensor:
        """Return what the last layer answers, (n, features), to images (n, height, width, channels)."""
        return _answered(self.currents(images, len(self.layers)), self.layers[-1]).flatten(1)

    def scores(self, images: Tensor) -> Tensor:
        """Return the scores (n, classes) of images (n, height, width, channels)."""
        weight, bias = self.head
        return torch.addmm(bias, self.features(images), weight.T)

    def predict(self, images: Floats) -> Labels:
        """Return the class of each image."""
        with torch.no_grad():
            found: Labels = self.scores(torch.from_numpy(images)).argmax(dim=1).numpy()
        return found


def _answered(currents: Tensor, layer: Any) -> Tensor:
    """Activation and pooling, with a slope everywhere."""
    rooted = layer.activation in ("triangle", "repu") and layer.power != 1
    answers = activate(currents, 1.0 if rooted else layer.power, Pool(), layer.activation)
    if rooted:
        answers = answers.clamp(min=LEAST) ** layer.power
    return pooled(answers, layer.pool)
