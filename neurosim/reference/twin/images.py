"""Images between layers on tensors: patches, normalisation of channels, activation and pooling, as `neurosim.network.images`."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurosim.core.errors import ConfigError
from neurosim.network.images import EPSILON, Activation, ChannelNorm, Doubles, Pool, Statistics


def cut(images: Tensor, kernel: int, pad: int, first: int, last: int) -> Tensor:
    """Return the patches of images (..., n, height, width, channels) at output rows [first, last), padded by reflection.

    Returns
    -------
    patches : (..., n * (last - first) * width of the output, kernel * kernel * channels) tensor
        Image by image, in the order (row, column, channel).
    """
    every = images.reshape(-1, *images.shape[-3:]).permute(0, 3, 1, 2)
    padded = functional.pad(every, (pad,) * 4, mode="reflect") if pad else every
    windows = padded[:, :, first : last + kernel - 1].unfold(2, kernel, 1).unfold(3, kernel, 1)
    of_a_patch = kernel * kernel * images.shape[-1]
    return windows.permute(0, 2, 3, 4, 5, 1).reshape(*images.shape[:-4], -1, of_a_patch)


def activate(currents: Tensor, power: float, pool: Pool, activation: Activation = "triangle") -> Tensor:
    """Return activation and pooling of currents (..., height, width, cols), as `neurosim.network.images.activate`."""
    if activation not in get_args(Activation):
        raise ConfigError(f"activation = '{activation}': must be one of {', '.join(get_args(Activation))}")
    if activation == "softmax":
        answers = torch.softmax(power * currents, dim=-1)
    elif activation == "tanh":
        answers = torch.tanh(currents)
    else:
        middle = currents.mean(dim=-1, keepdim=True) if activation == "triangle" else 0
        answers = torch.relu(currents - middle)
        answers = answers**power if activation != "relu" and power != 1 else answers
    return pooled(answers, pool)


def pooled(images: Tensor, pool: Pool) -> Tensor:
    """Return the largest of each window's own pixels, or their mean with zeros around; images themselves without a pool."""
    if pool.kind == "none":
        return images
    around = float("-inf") if pool.kind == "max" else 0.0
    every = images.reshape(-1, *images.shape[-3:]).permute(0, 3, 1, 2)
    padded = functional.pad(every, (pool.pad,) * 4, value=around)
    pooling = functional.max_pool2d if pool.kind == "max" else functional.avg_pool2d
    found: Tensor = pooling(padded, pool.kernel, pool.stride).permute(0, 2, 3, 1)
    return found.reshape(*images.shape[:-3], *found.shape[1:])


class TorchChannelNorm(ChannelNorm):
    """`ChannelNorm` on tensors, its statistics where the images are."""

    def __init__(
        self, channels: int, statistics: Statistics, on: torch.device, instances: tuple[int, ...] = ()
    ):
        self.on = on
        super().__init__(channels, statistics)
        start: tuple[Any, Any] = (self.mean, self.variance)
        self.mean, self.variance = (values.repeat(*instances, 1) if instances else values for values in start)

    def _measured(self, images: Any) -> Any:
        variance, mean = torch.var_mean(images.double(), dim=(-4, -3, -2), correction=0)
        return mean, variance, images.shape[-4:-1].numel()

    def _normalised(self, images: Any, mean: Any, variance: Any) -> Any:
        gain = torch.rsqrt(variance + EPSILON)
        offset, factor = (values.to(images.dtype)[..., None, None, None, :] for values in (mean, gain))
        return (images - offset) * factor

    def _put(self, values: Doubles) -> Any:
        return torch.from_numpy(np.array(values, np.float64)).to(self.on)

    def _kept(self, values: Any) -> Doubles:
        return np.array(values.cpu().numpy())
