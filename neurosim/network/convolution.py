"""A convolution that learns in place: patches of images on the word lines of one array, one read a position."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from neurosim.core.errors import CheckpointError, InputError
from neurosim.core.protocols import Array, Floats, Rule, State, UpdateMode
from neurosim.kernels.images import take_patches
from neurosim.kernels.jit import share
from neurosim.network.dense import Dense
from neurosim.network.images import (
    Activation,
    ChannelNorm,
    PassOn,
    Pool,
    Statistics,
    activate,
    passed,
    passed_shape,
)
from neurosim.network.neurons import Transfer

PATCH_BYTES = 1 << 26
"""Most memory that patches take at a time where nothing learns."""


class Convolution:
    """Normalise, cut patches, read them, learn from them, then activation and pooling.

    The order is that of the published code of SoftHebb (arXiv 2209.11883): activation comes before pooling, and
    plasticity sees the normalised patches, padding included, and the currents before activation.

    Parameters
    ----------
    array : Array
        Of ``kernel * kernel * channels`` rows, patches in the order (row, column, channel).
    rule : Rule
    image_shape : (int, int, int)
        Height, width and channels of the images that come in.
    kernel, pad : int
        Width of a patch; pixels by which images are padded, by reflection. None: one patch, the whole image, which is
        a fully connected layer.
    power : float
        Of the activation, see `activate`.
    pool : Pool
    mode : {"accumulate", "mixed", "online"}
    norm_every : int
        Updates between measurements of the column norms.
    statistics : {"batch", "running", "first"}
        Of the normalisation while it learns, see `ChannelNorm`.
    activation : {"triangle", "repu", "relu", "tanh", "softmax"}
        What goes on to the next layer, see `activate`.
    pass_on : callable, optional
        The same as a function of currents (n, height, width, cols), instead of `power`, `pool` and `activation`.
    neurons : Transfer, optional
        What the neuron of each kernel makes of its current, at every position alike, before anyone sees it.

    Raises
    ------
    InputError
        If the array has other rows than a patch has pixels, an image is smaller than its padding allows, or a window
        of the pooling could lie in its padding.
    ConfigError
        If `pass_on` fails, or does not take each image by itself.
    """

    dense_kind: ClassVar[type[Dense]] = Dense
    """The layer that sees patches, on the machine that computes."""
    instances: tuple[int, ...] = ()
    """How many independent arrays learn as one, where there is more than one: the first axis of images and answers."""

    def __init__(
        self,
        array: Array,
        rule: Rule,
        image_shape: tuple[int, int, int],
        *,
        kernel: int | None,
        pad: int = 0,
        power: float = 1.0,
        pool: Pool | None = None,
        mode: UpdateMode = "accumulate",
        norm_every: int = 100,
        statistics: Statistics = "batch",
        activation: Activation = "triangle",
        pass_on: PassOn | None = None,
        neurons: Transfer | None = None,
    ):
        height, width, channels = image_shape
        high, wide = (height, width) if kernel is None else (kernel, kernel)
        if array.shape[0] != high * wide * channels:
            raise InputError(
                f"array of {array.shape[0]} rows: patches of {high} x {wide} pixels and {channels} channels "
                f"need {high * wide * channels}"
            )
        if kernel is None and pad:
            raise InputError(f"pad = {pad}: a kernel that sees the whole image has none")
        if kernel is not None and (pad >= min(height, width) or kernel > min(height, width) + 2 * pad):
            raise InputError(
                f"images of {height} x {width} pixels are too small for kernel {kernel}, pad {pad}"
            )
        self.image_shape, self.kernel, self.pad, self.power = image_shape, kernel, pad, power
        self.activation, self.pool, self.pass_on = activation, pool or Pool(), pass_on
        if self.pool.pad >= self.pool.kernel:
            raise InputError(
                f"pool pad = {self.pool.pad}: must be smaller than the pool's kernel, {self.pool.kernel}"
            )
        self.dense = self.dense_kind(array, rule, mode, norm_every, neurons)
        self.norm = self._norm(channels, statistics)
        self.size = height + 2 * pad - high + 1, width + 2 * pad - wide + 1
        """Positions of a patch: height and width of what the array answers."""
        self.out_shape = (self.pool.size(self.size[0]), self.pool.size(self.size[1]), array.shape[1])
        """Height, width and channels of the images that go out."""
        if pass_on is not None:
            self.out_shape = passed_shape(pass_on, (*self.size, array.shape[1]))

    @property
    def array(self) -> Array:
        """The array whose columns are the kernels."""
        return self.dense.array

    def learn(self, images: Floats) -> Floats:
        """Learn from one mini-batch (n, height, width, channels) in place; return what goes on to the next layer.

        The patches of the whole mini-batch are held at once. Where the array has instances, images of all of them stand behind
        a first axis, here and below.
        """
        patches = self.patches(self.norm.learn(self._images(images)))
        return self._activated(self.dense.learn(patches), images.shape[-4])

    def observe(self, images: Floats) -> Floats:
        """Take in the statistics of a mini-batch and return its answers; the array learns nothing."""
        return self._read(self.norm.learn(self._images(images)))

    def calibrate(self, images: Floats) -> Floats:
        """Set the range of the array's converters by a mini-batch, normalised by itself; return its answers."""
        x = self.norm.by_themselves(self._images(images))
        devices: Any = self.array
        devices.calibrate(self.patches(x))
        return self._read(x)

    def _read(self, normalised: Floats) -> Floats:
        return self._activated(self.dense.forward(self.patches(normalised)), normalised.shape[-4])

    def forward(self, images: Floats) -> Floats:
        """Return what goes on to the next layer for images (n, height, width, channels), learning nothing."""
        images = self._images(images)
        out = self._empty(*images.shape[:-3], *self.out_shape)
        for first, last in self._chunks(images.shape[-4]):
            u = self._currents(self.norm.forward(images[..., first:last, :, :, :]))
            out[..., first:last, :, :, :] = self._activated(u, last - first)
        return out

    def _currents(self, normalised: Floats) -> Floats:
        """Read images that are read together; one that alone exceeds `PATCH_BYTES` by spans of output rows."""
        spans = self._spans()
        if len(spans) == 1:
            return self.dense.forward(self.patches(normalised))
        across = self.size[1]
        u = self._empty(*self.instances, self.size[0] * across, self.array.shape[1])
        for first, last in spans:
            some = self.dense.forward(self.patches(normalised, first, last))
            u[..., first * across : last * across, :] = some
        return u

    def patches(self, normalised: Floats, first: int = 0, last: int | None = None) -> Floats:
        """Return the patches of images at output rows [first, last): (n * rows * width, rows of the array)."""
        if self.kernel is None:
            return normalised.reshape(*normalised.shape[:-3], -1)
        return self._cut(normalised, self.kernel, first, self.size[0] if last is None else last)

    def _activated(self, currents: Floats, images: int) -> Floats:
        u = currents.reshape(*self.instances, images, *self.size, -1)
        if self.pass_on is not None:
            return passed(self.pass_on, u)
        return self._activate(u)

    def _images(self, images: Floats) -> Floats:
        fits = images.ndim == 4 + len(self.instances) and images.shape[-3:] == self.image_shape
        if not fits or images.shape[:-4] != self.instances:
            wanted = ", ".join(map(str, (*self.instances, "n", *self.image_shape)))
            raise InputError(f"images of shape {tuple(images.shape)}: expected ({wanted})")
        return self._inputs(images)

    # What a machine does in its own way: another one has these of its own, and nothing else.

    def _norm(self, channels: int, statistics: Statistics) -> ChannelNorm:
        return ChannelNorm(channels, statistics)

    def _inputs(self, images: Floats) -> Floats:
        return np.ascontiguousarray(images, dtype=self.array.precision)

    def _empty(self, *shape: int) -> Floats:
        return np.empty(shape, self.array.precision)

    def _cut(self, normalised: Floats, kernel: int, first: int, last: int) -> Floats:
        out = np.empty(
            (len(normalised), (last - first) * self.size[1], self.array.shape[0]), normalised.dtype
        )
        share(
            lambda n: take_patches(normalised[n], kernel, self.pad, first, last, out[n]),
            range(len(normalised)),
        )
        return out.reshape(-1, self.array.shape[0])

    def _activate(self, currents: Floats) -> Floats:
        return activate(currents, self.power, self.pool, self.activation)

    @property
    def _row_bytes(self) -> int:
        return self.size[1] * self.array.shape[0] * np.dtype(self.array.precision).itemsize

    def _chunks(self, images: int) -> Iterator[tuple[int, int]]:
        """How many images are read together: as many as keep their patches within `PATCH_BYTES`, at least one."""
        most = max(1, PATCH_BYTES // (self.size[0] * self._row_bytes))
        for first in range(0, images, most):
            yield first, min(first + most, images)

    def _spans(self) -> list[tuple[int, int]]:
        """Output rows that are read together: all, unless one image alone exceeds `PATCH_BYTES`."""
        most = max(1, PATCH_BYTES // self._row_bytes)
        return [
            (first, min(first + most, self.size[0]))
            for first in range(0, self.size[0], min(most, self.size[0]))
        ]

    def snapshot(self, *instance: int) -> State:
        """Return everything needed to go on later with the same bits, as named arrays; of one instance, where there are several."""
        return {
            **self.dense.snapshot(*instance),
            **{f"norm.{name}": values for name, values in self.norm.snapshot(*instance).items()},
        }

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        norm = {name[5:]: values for name, values in saved.items() if name.startswith("norm.")}
        if set(norm) != {"mean", "variance", "seen"} or norm["mean"].shape != self.norm.mean.shape:
            raise CheckpointError("checkpoint does not fit this layer: norm")
        self.dense.restore(saved)
        self.norm.restore(norm)
