"""A trained stack and its head as a net that torch trains end to end.

Imports torch: import it where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.network.readout import Labels, Readout
from neurosim.reference.ideal_copy import IdealCopy


class TunedCopy(IdealCopy):
    """An `IdealCopy` whose weights and head learn from labels, by Adam on the cross-entropy; the layers stay as they are.

    Normalisation keeps the statistics that the layers have.

    Parameters
    ----------
    layers, head
        As of `IdealCopy`.
    seed : int
        Of the dropout, which depends on nothing but the seed and the number of the mini-batch.
    dropout : float
        Share of features left out of each sample while it learns.
    learning_rate : float
        Of Adam.

    Attributes
    ----------
    steps : int
        Mini-batches learnt.
    """

    def __init__(
        self,
        layers: Sequence[Any],
        head: Readout,
        *,
        seed: int = 0,
        dropout: float = 0.5,
        learning_rate: float = 1e-4,
    ):
        super().__init__(layers, head)
        self.seed, self.dropout, self.steps = seed, dropout, 0
        self.weights = [weights.clone().requires_grad_() for weights in self.weights]
        self.head = [values.clone().requires_grad_() for values in self.head]
        self.adam = torch.optim.Adam([*self.weights, *self.head], lr=learning_rate, fused=True)

    def learn(self, images: Floats, labels: Labels, rate: float | None = None) -> tuple[float, int]:
        """Learn from one mini-batch; return its mean cross-entropy and how many it classified right, dropout included.

        Parameters
        ----------
        images : (n, height, width, channels) array
        labels : (n,) array of int64
        rate : float, optional
            Learning rate of Adam from now on.
        """
        if rate is not None:
            self.adam.param_groups[0]["lr"] = rate
        wanted, (weight, bias) = torch.from_numpy(labels), self.head
        with torch.enable_grad():
            features = self.features(torch.from_numpy(np.ascontiguousarray(images, np.float32)))
            if self.dropout:
                draws = generator(self.seed, "fine-tuning", "dropout", self.steps)
                kept = draws.random(tuple(features.shape), np.float32) >= self.dropout
                features = features * torch.from_numpy(kept) / (1 - self.dropout)
            scores = torch.addmm(bias, features, weight.T)
            loss = functional.cross_entropy(scores, wanted)
            self.adam.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
        self.adam.step()
        self.steps += 1
        return float(loss.detach()), int((scores.detach().argmax(dim=1) == wanted).sum())

    def _products(self, x: Tensor, number: int) -> Tensor:
        """As a convolution, which is several times as fast where gradients are asked for."""
        layer, weights = self.layers[number], self.weights[number]
        if layer.kernel is None:
            return super()._products(x, number)
        size = layer.kernel
        kernels = weights.T.reshape(-1, size, size, x.shape[3]).permute(0, 3, 1, 2)
        images = x.permute(0, 3, 1, 2)
        padded = functional.pad(images, [layer.pad] * 4, mode="reflect") if layer.pad else images
        found: Tensor = functional.conv2d(
            padded, kernels.contiguous(memory_format=torch.channels_last)
        ).permute(0, 2, 3, 1)
        return found
