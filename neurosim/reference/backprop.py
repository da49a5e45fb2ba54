"""Convolutions and a linear head trained with labels, by backpropagation or fixed feedback, in torch: what the same nets reach.

Imports torch: import it where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurosim.core.errors import CheckpointError, InputError
from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.network import images as between
from neurosim.network.images import EPSILON, MOMENTUM
from neurosim.network.readout import Labels
from neurosim.reference.feedback import Feedback, convolved, drawn, scored, sent


class Block(NamedTuple):
    """One layer: its kernels, in the order of our patches, and what stands around them."""

    weights: Floats
    """(kernel * kernel * channels, neurons), rows in the order (row, column, channel)."""
    kernel: int
    pad: int
    pool: between.Pool


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch work on so many threads: the last bits of its sums depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class EndToEnd:
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
        self.feedback, self.fixed = feedback, list[Tensor]()
        self.blocks, self.image_shape, self.seed, self.dropout = list(blocks), image_shape, seed, dropout
        self.kernels: list[Tensor] = []
        self.statistics: list[tuple[Tensor, Tensor]] = []
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
        features = height * width * channels
        self.head_fixed = drawn(seed, 0, (classes, features), features) if feedback == "random" else None
        self.weight = torch.zeros(classes, features).requires_grad_()
        self.bias = torch.zeros(classes).requires_grad_()
        self.adam = torch.optim.Adam(self._parameters, lr=learning_rate, fused=True)
        self.steps = 0

    @property
    def _parameters(self) -> list[Tensor]:
        return [*self.kernels, self.weight, self.bias]

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
        apart = self.feedback in ("direct", "targets")
        with torch.enable_grad():
            answers = list[Tensor]()
            features = self._answers(images, learns=True, apart=answers if apart else None)
            features = features.detach() if apart else features
            if self.dropout:
                draws = generator(self.seed, "dropout", self.steps).random(features.shape, np.float32)
                features = features * torch.from_numpy(draws >= self.dropout) / (1 - self.dropout)
            scores = scored(features, self.weight, self.bias, self.head_fixed)
            wanted = torch.from_numpy(labels)
            loss = functional.cross_entropy(scores, wanted)
            self.adam.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            if apart:
                asked = functional.one_hot(wanted, scores.shape[1]).float()
                error = -asked if self.feedback == "targets" else scores.detach().softmax(1) - asked
                sent(answers, self.fixed, error / len(labels))
        self.adam.step()
        self.steps += 1
        return float(loss.detach()), int((scores.detach().argmax(dim=1) == wanted).sum())

    def features(self, images: Floats) -> Floats:
        """Return what the last block answers, (n, height * width * channels), by the running statistics."""
        with torch.no_grad():
            found: Floats = self._answers(images, learns=False).numpy()
        return found

    def predict(self, images: Floats) -> Labels:
        """Return the class of each image."""
        with torch.no_grad():
            found: Labels = self.scores(images).argmax(dim=1).numpy()
        return found

    def scores(self, images: Floats | Tensor) -> Tensor:
        """Return the scores (n, classes) of images, by the running statistics."""
        return torch.addmm(self.bias, self._answers(images, learns=False), self.weight.T)

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

    def snapshot(self, adam: bool = True) -> State:
        """Return weights, statistics and Adam's moments as named arrays; a net that learns no more needs none of these."""
        found: State = {"steps": np.array([self.steps], np.int64)}
        for number, (mean, variance) in enumerate(self.statistics):
            found[f"mean.{number}"], found[f"variance.{number}"] = mean.numpy(), variance.numpy()
        for number, values in enumerate(self._parameters):
            found[f"weights.{number}"] = values.detach().numpy()
            for name, moment in self.adam.state.get(values, {}).items() if adam else ():
                found[f"adam.{number}.{name}"] = moment.numpy()
        return {name: values.copy() for name, values in found.items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        moments: dict[int, dict[str, Tensor]] = {}
        try:
            for number, (mean, variance) in enumerate(self.statistics):
                _fill(mean, saved[f"mean.{number}"])
                _fill(variance, saved[f"variance.{number}"])
            for number, values in enumerate(self._parameters):
                _fill(values, saved[f"weights.{number}"])
            for name in (name for name in saved if name.startswith("adam.")):
                _, place, moment = name.split(".")
                like = torch.empty(()) if moment == "step" else self._parameters[int(place)]
                state = moments.setdefault(int(place), {})
                state[moment] = _fill(torch.empty_like(like, requires_grad=False), saved[name])
            self.steps = int(saved["steps"][0])
        except (KeyError, IndexError, ValueError) as error:
            raise CheckpointError(f"checkpoint does not fit this net: {error}") from None
        self.adam.state.clear()
        for number, state in moments.items():
            self.adam.state[self._parameters[number]] = state


def _fill(tensor: Tensor, values: NDArray[Any]) -> Tensor:
    """Give a tensor saved values and return it; its layout in memory stays."""
    if tuple(tensor.shape) != values.shape:
        raise ValueError(f"values of shape {values.shape}, expected {tuple(tensor.shape)}")
    with torch.no_grad():
        return tensor.copy_(torch.from_numpy(values))


def _pooled(currents: Tensor, pool: between.Pool) -> Tensor:
    """ReLU and pooling; the largest of what ReLU leaves is what ReLU leaves of the largest."""
    if pool.kind == "max":
        return functional.relu(functional.max_pool2d(currents, pool.kernel, pool.stride, pool.pad))
    rectified = functional.relu(currents)
    if pool.kind == "mean":
        return functional.avg_pool2d(rectified, pool.kernel, pool.stride, pool.pad)
    return rectified
