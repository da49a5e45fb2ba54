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
    """Return the patches of images (n, height, width, channels) at output rows [first, last), padded by reflection.

    Returns
    -------
    patches : (n * (last - first) * width of the output, kernel * kernel * channels) tensor
        Image by image, in the order (row, column, channel).
    """
    padded = (
        functional.pad(images.permute(0, 3, 1, 2), (pad,) * 4, mode="reflect")
        if pad
        else images.permute(0, 3, 1, 2)
    )
    windows = padded[:, :, first : last + kernel - 1].unfold(2, kernel, 1).unfold(3, kernel, 1)
    return windows.permute(0, 2, 3, 4, 5, 1).reshape(-1, kernel * kernel * images.shape[3])


def activate(currents: Tensor, power: float, pool: Pool, activation: Activation = "triangle") -> Tensor:
    """Return activation and pooling of currents (n, height, width, cols), as `neurosim.network.images.activate`."""
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
    padded = functional.pad(images.permute(0, 3, 1, 2), (pool.pad,) * 4, value=around)
    pooling = functional.max_pool2d if pool.kind == "max" else functional.avg_pool2d
    found: Tensor = pooling(padded, pool.kernel, pool.stride)
    return found.permute(0, 2, 3, 1)


class TorchChannelNorm(ChannelNorm):
    """`ChannelNorm` on tensors, its statistics where the images are."""

    def __init__(self, channels: int, statistics: Statistics, on: torch.device):
        self.on = on
        super().__init__(channels, statistics)

    def _measured(self, images: Any) -> Any:
        variance, mean = torch.var_mean(images.double(), dim=(0, 1, 2), correction=0)
        return mean, variance, images.shape[0] * images.shape[1] * images.shape[2]

    def _normalised(self, images: Any, mean: Any, variance: Any) -> Any:
        gain = torch.rsqrt(variance + EPSILON)
        return (images - mean.to(images.dtype)) * gain.to(images.dtype)

    def _put(self, values: Doubles) -> Any:
        return torch.from_numpy(np.array(values, np.float64)).to(self.on)

    def _kept(self, values: Any) -> Doubles:
        return np.array(values.cpu().numpy())
