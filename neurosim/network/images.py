"""Images between layers: normalisation of channels, activation and pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import ConfigError, InputError
from neurosim.core.protocols import Floats, State
from neurosim.kernels.images import (
    channel_sums,
    normalise,
    pool_max,
    pool_mean,
    rectify,
    saturate,
    soften,
    subtract_mean,
)
from neurosim.kernels.jit import share
from neurosim.kernels.rows import EXPONENTIAL
from neurosim.network.arrays import one_of

Statistics = Literal["batch", "running", "first"]
Activation = Literal["triangle", "repu", "relu", "tanh", "softmax"]
PassOn = Callable[[Floats], Floats]
"""What a layer makes of currents (n, height, width, cols): images (n, height, width, channels), each by itself."""
Doubles = NDArray[np.float64]
EPSILON = 1e-5
MOMENTUM = 0.1


class Pool(NamedTuple):
    """A pooling window: "max", "mean" or "none", its size, stride and padding."""

    kind: Literal["max", "mean", "none"] = "none"
    kernel: int = 1
    stride: int = 1
    pad: int = 0

    def size(self, size: int) -> int:
        """Return the height or width that is left of one."""
        return (size + 2 * self.pad - self.kernel) // self.stride + 1


class ChannelNorm:
    """Batch normalisation without scale and shift: an offset and a gain for each channel.

    Parameters
    ----------
    channels : int
    statistics : {"batch", "running", "first"}
        While it learns, use those of the mini-batch, as the published code does; the running ones, which hardware
        can hold as an offset and a gain of each word line; or those of the first mini-batch for ever (a fixed gain).
        Otherwise, always the running ones.

    Raises
    ------
    ConfigError
        If `statistics` is unknown.
    """

    def __init__(self, channels: int, statistics: Statistics = "batch"):
        if statistics not in ("batch", "running", "first"):
            raise ConfigError(f"statistics = '{statistics}': must be 'batch', 'running' or 'first'")
        self.statistics = statistics
        self.mean, self.variance = self._put(np.zeros(channels)), self._put(np.ones(channels))
        self.seen = 0

    def learn(self, images: Floats) -> Floats:
        """Take in the statistics of images (n, height, width, channels) and return these, normalised."""
        if self.statistics == "first" and self.seen:
            return self.forward(images)
        mean, variance, count = self._measured(images)
        weight = 1.0 if self._starts else MOMENTUM
        self.mean += weight * (mean - self.mean)
        self.variance += weight * (variance * count / max(count - 1, 1) - self.variance)
        self.seen += 1
        if self.statistics == "batch":
            return self._normalised(images, mean, variance)
        return self.forward(images)

    @property
    def _starts(self) -> bool:
        """Whether the first mini-batch sets the statistics alone, instead of moving those of no data by a tenth."""
        return self.statistics != "batch" and self.seen == 0

    def forward(self, images: Floats) -> Floats:
        """Return images normalised by the running statistics."""
        return self._normalised(images, self.mean, self.variance)

    def by_themselves(self, images: Floats) -> Floats:
        """Return images normalised by their own statistics, which are not kept."""
        mean, variance, _ = self._measured(images)
        return self._normalised(images, mean, variance)

    def snapshot(self, *instance: int) -> State:
        """Return the statistics as named arrays; of one instance, where there are several."""
        return {
            "mean": self._kept(one_of(self.mean, *instance)),
            "variance": self._kept(one_of(self.variance, *instance)),
            "seen": np.array([self.seen], np.int64),
        }

    def restore(self, saved: State) -> None:
        """Go back to a snapshot."""
        self.mean, self.variance = self._put(saved["mean"]), self._put(saved["variance"])
        self.seen = int(saved["seen"][0])

    def _measured(self, images: Floats) -> tuple[Doubles, Doubles, int]:
        """Mean and variance of each channel, and how many pixels they are of."""

        def add(image: Floats) -> Doubles:
            sums = np.zeros((2, images.shape[3]))
            channel_sums(image, sums[0], sums[1])
            return sums

        count = images.shape[0] * images.shape[1] * images.shape[2]
        sums, squares = np.sum(share(add, images), axis=0)
        mean = sums / count
        return mean, np.maximum(squares / count - mean * mean, 0), count

    def _normalised(self, images: Floats, mean: Doubles, variance: Doubles) -> Floats:
        offset = mean.astype(images.dtype)
        gain = (1 / np.sqrt(variance + EPSILON)).astype(images.dtype)
        out = np.empty_like(images)
        share(lambda n: normalise(images[n], offset, gain, out[n]), range(len(images)))
        return out

    def _put(self, values: Doubles) -> Doubles:
        return np.array(values, np.float64)

    def _kept(self, values: Doubles) -> Doubles:
        return np.array(values)


def activate(currents: Floats, power: float, pool: Pool, activation: Activation = "triangle") -> Floats:
    """Activation and pooling of currents (n, height, width, cols); overwrites them.

    Parameters
    ----------
    currents : (n, height, width, cols) array
    power : float
        Exponent p of Triangle and RePU, gain of softmax; ReLU and tanh have none.
    pool : Pool
    activation : {"triangle", "repu", "relu", "tanh", "softmax"}
        ``relu(u - mean over columns)**p`` (Coates et al. 2011; arXiv 2209.11883), ``relu(u)**p``, ``relu(u)``,
        ``tanh(u)``, or the softmax over columns of ``p u``.

    Returns
    -------
    images : (n, height, width, cols) array
        The largest of powers is the power of the largest, so that max pooling comes before the power.

    Raises
    ------
    ConfigError
        If `activation` is unknown.
    """
    if activation not in get_args(Activation):
        raise ConfigError(f"activation = '{activation}': must be one of {', '.join(get_args(Activation))}")
    n, height, width, cols = currents.shape
    out = np.empty((n, pool.size(height), pool.size(width), cols), currents.dtype)
    exponent = currents.dtype.type(power if activation in ("triangle", "repu") else 1)

    def one(k: int) -> None:
        rows = currents[k].reshape(-1, cols)
        if activation == "triangle":
            subtract_mean(rows)
        elif activation == "softmax":
            soften(rows, currents.dtype.type(power), EXPONENTIAL[currents.dtype.name])
        elif activation == "tanh":
            saturate(rows)
        else:
            rectify(rows)
        if pool.kind == "mean":
            pool_mean(currents[k], pool.kernel, pool.stride, pool.pad, exponent, out[k])
            return
        if pool.kind == "max":
            pool_max(currents[k], pool.kernel, pool.stride, pool.pad, out[k])
        else:
            out[k] = currents[k]
        if exponent != 1:
            np.power(out[k], exponent, out=out[k])

    share(one, range(n))
    return out


def passed(pass_on: PassOn, currents: Floats) -> Floats:
    """Return what a layer's own function makes of currents (n, height, width, cols).

    Raises
    ------
    InputError
        If that is no images (n, height, width, channels) of finite numbers.
    """
    images, kind = len(currents), currents.dtype
    out = np.asarray(pass_on(currents))
    if out.ndim != 4 or len(out) != images or out.dtype.kind != "f" or 0 in out.shape[1:]:
        raise InputError(
            f"pass_on: expected images ({images}, height, width, channels) of floats, got {out.dtype} of {out.shape}"
        )
    if not np.isfinite(out).all():
        raise InputError("pass_on: it returned NaN or infinity")
    return np.ascontiguousarray(out, kind)


def passed_shape(pass_on: PassOn, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the shape of images that a layer's own function makes of currents (height, width, cols), found by trying.

    Raises
    ------
    ConfigError
        If it fails, draws at random, or makes something else of an image where another lies beside it: images are
        read in parts, and no number may depend on their size.
    """
    u = np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)
    try:
        together = passed(pass_on, u.copy())
        alone = np.concatenate([passed(pass_on, u[k : k + 1].copy()) for k in range(2)])
    except InputError as error:
        raise ConfigError(str(error)) from None
    except Exception as error:  # noqa: BLE001 (whatever the user's function raises)
        raise ConfigError(f"pass_on failed on currents {u.shape}: {type(error).__name__}: {error}") from None
    if together.shape != alone.shape or not np.allclose(together, alone, rtol=1e-4, atol=1e-5):
        raise ConfigError(
            "pass_on: it makes something else of an image when another lies beside it, or each time; take each image by "
            "itself, and draw nothing at random"
        )
    height, width, channels = together.shape[1:]
    return height, width, channels
