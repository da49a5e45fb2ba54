"""Convolutions and a linear head trained with labels, by backpropagation or fixed feedback, in torch: what the same nets reach.

Imports torch: import it where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurosim.core.errors import InputError
from neurosim.core.protocols import Floats
from neurosim.network import images as between
from neurosim.network.images import EPSILON, MOMENTUM
from neurosim.reference.feedback import Feedback, convolved, drawn
from neurosim.reference.taught import Taught


class Block(NamedTuple):
    """One layer: its kernels, in the order of our patches, and what stands around them."""

    weights: Floats
    """(kernel * kernel * channels, neurons), rows in the order (row, column, channel)."""
    kernel: int
    pad: int
    pool: between.Pool


class EndToEnd(Taught):
    """Normalise, pad by reflection, convolve, ReLU and pool, block by block; then dropout and a linear head.

    The blocks are those of `Convolution` with ReLU instead of Triangle: batch normalisation without scale and shift,
    no bias. The head's weights start at zero, as those of `LinearReadout`. Trained by Adam on the cross-entropy.

    Parameters
    ----------
    blocks : sequence of Block
        With the start weights.
    image_shape : (int, int, int)
        Height, width and channels of the images.
    classes : int
    seed : int
        Of the dropout, which depends on nothing but the seed and the number of the mini-batch.
    dropout : float
        Share of features left out of each sample while it learns.
    learning_rate : float
        Of Adam.
    feedback : {"transposed", "random", "direct", "targets"}
        How the error comes back: through the transposed weights (backpropagation), through fixed random ones (feedback
        alignment), from the scores to each block at once (direct feedback alignment), or the labels in its place (direct
        random target projection); see `neurosim.reference.feedback`.

    Raises
    ------
    InputError
        If a block does not fit the images that reach it.

    Attributes
    ----------
    steps : int
        Mini-batches learnt.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        seed: int = 0,
        dropout: float = 0.5,
        learning_rate: float = 1e-3,
        feedback: Feedback = "transposed",
    ):
        super().__init__(seed, dropout, feedback)
        self.blocks, self.image_shape = list(blocks), image_shape
        height, width, channels = image_shape
        for number, block in enumerate(self.blocks, 1):
            size = block.kernel
            if len(block.weights) != size * size * channels or block.pad >= min(height, width):
                raise InputError(
                    f"layer {number}: kernel {size} with {len(block.weights)} rows and pad {block.pad} do not fit "
                    f"images of {height} x {width} x {channels}"
                )
            weights = torch.from_numpy(np.array(block.weights, np.float32))
            kernels = weights.T.reshape(-1, size, size, channels).permute(0, 3, 1, 2)
            kernels = kernels.contiguous(memory_format=torch.channels_last)
            self.kernels.append(kernels.requires_grad_())
            self.statistics.append((torch.zeros(channels), torch.ones(channels)))
            height, width = (
                block.pool.size(side + 2 * block.pad - size + 1) if side + 2 * block.pad >= size else 0
                for side in (height, width)
            )
            channels = block.weights.shape[1]
            if feedback == "random":
                back = drawn(seed, number, tuple(kernels.shape), len(block.weights))
                self.fixed.append(back.contiguous(memory_format=torch.channels_last))
            elif feedback != "transposed":
                answers = max(1, height * width * channels)
                self.fixed.append(drawn(seed, number, (classes, answers), answers))
            if min(height, width) < 1:
                raise InputError(
                    f"layer {number}: nothing is left of images of {image_shape[0]} x {image_shape[1]} "
                    "after its kernel and pooling; take fewer layers or larger images"
                )
        self._headed(height * width * channels, classes, learning_rate)

    def _answers(self, images: Floats | Tensor, learns: bool, apart: list[Tensor] | None = None) -> Tensor:
        """Features of images, in the order (height, width, channels), which is that of the memory all the way.

        With a list, which takes the answers of each block, no error comes from a block to the one before.
        """
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            raise InputError(
                f"images of shape {images.shape}: expected (n, {', '.join(map(str, self.image_shape))})"
            )
        given = (
            images
            if isinstance(images, Tensor)
            else torch.from_numpy(np.ascontiguousarray(images, np.float32))
        )
        x = given.permute(0, 3, 1, 2)
        layers = zip(self.blocks, self.kernels, self.statistics, strict=True)
        for number, (block, kernels, (mean, variance)) in enumerate(layers):
            x = x if apart is None else x.detach()
            x = functional.batch_norm(x, mean, variance, training=learns, momentum=MOMENTUM, eps=EPSILON)
            if block.pad:
                x = functional.pad(x, [block.pad] * 4, mode="reflect")
            back = self.fixed[number] if learns and self.feedback == "random" else None
            x = _pooled(convolved(x, kernels, back), block.pool)
            if apart is not None:
                apart.append(x)
        return x.permute(0, 2, 3, 1).flatten(1)

    def kernel_weights(self) -> list[Floats]:
        """Return the kernels of every block as (rows, neurons), rows in the order (row, column, channel)."""
        found = (kernels.detach().permute(2, 3, 1, 0) for kernels in self.kernels)
        return [np.ascontiguousarray(each.reshape(-1, each.shape[3]).numpy()) for each in found]


def _pooled(currents: Tensor, pool: between.Pool) -> Tensor:
    """ReLU and pooling; the largest of what ReLU leaves is what ReLU leaves of the largest."""
    if pool.kind == "max":
        return functional.relu(functional.max_pool2d(currents, pool.kernel, pool.stride, pool.pad))
    rectified = functional.relu(currents)
    if pool.kind == "mean":
        return functional.avg_pool2d(rectified, pool.kernel, pool.stride, pool.pad)
    return rectified
