"""Trained torch layers on devices: `CrossbarLinear` and `CrossbarConv2d`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from neurosim.core.errors import CapabilityError, InputError
from neurosim.core.protocols import Device
from neurosim.reference.layer import CrossbarLayer


class CrossbarLinear(CrossbarLayer):
    """`torch.nn.Linear` on a crossbar: inputs are rows, outputs columns.

    Takes (instances * batch, ..., in_features); `weight` is (out_features, in_features), as torch keeps it.
    Further arguments: `CrossbarLayer`.

    Examples
    --------
    >>> import torch
    >>> from neurosim.reference.modules import CrossbarLinear
    >>> layer = CrossbarLinear.from_linear(torch.nn.Linear(16, 4), "pcm-nandakumar-2018", seed=0)
    >>> layer.advance(86400.0)
    >>> layer(torch.ones(2, 16)).shape
    torch.Size([2, 4])
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, device: str | Path | Device, **options: Any):
        if weight.ndim != 2:
            raise InputError(f"weight: expected (out_features, in_features), got {tuple(weight.shape)}")
        super().__init__(weight.T, bias, device, **options)
        self.in_features, self.out_features = self.array.shape

    @classmethod
    def from_linear(cls, layer: nn.Linear, device: str | Path | Device, **options: Any) -> CrossbarLinear:
        """Program the weights of a trained layer."""
        return cls(layer.weight, layer.bias, device, **options)

    def _places(self, shape: tuple[int, ...]) -> int:
        rows = self.array.shape[0]
        if len(shape) < 2 or shape[-1] != rows:
            raise self._wrong(shape, f"(batch, ..., {rows})")
        return math.prod(shape[1:-1])

    def _vectors(self, x: Tensor) -> Tensor:
        return x.reshape(self.instances, -1, self.array.shape[0])

    def _shaped(self, y: Tensor, x: Tensor) -> Tensor:
        return y.reshape(*x.shape[:-1], self.array.shape[1])


class CrossbarConv2d(CrossbarLayer):
    """`torch.nn.Conv2d` on a crossbar: rows are in_channels * kernel height * kernel width (im2col).

    Takes (instances * batch, channels, height, width); each place of the kernel is one read. `weight` is
    (out_channels, in_channels, kernel height, kernel width). Further arguments: `CrossbarLayer`.

    Parameters
    ----------
    stride, padding, dilation : int or (int, int)
        As torch's; `padding` also "same" or "valid".
    padding_mode : str
        "zeros", "reflect", "replicate" or "circular".
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        device: str | Path | Device,
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        padding_mode: str = "zeros",
        **options: Any,
    ):
        if weight.ndim != 4:
            shape = tuple(weight.shape)
            raise InputError(f"weight: expected (out_channels, in_channels, height, width), got {shape}")
        super().__init__(weight.flatten(1).T, bias, device, **options)
        self.in_channels, self.out_channels = weight.shape[1], weight.shape[0]
        self.kernel = (weight.shape[2], weight.shape[3])
        self.stride, self.dilation = _two(stride), _two(dilation)
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        if padding == "same":
            top, left = reach[0] // 2, reach[1] // 2
            self.edges = (left, reach[1] - left, top, reach[0] - top)
        else:
            down, across = _two(0 if isinstance(padding, str) else padding)
            self.edges = (across, across, down, down)
        self.padding_mode = "constant" if padding_mode == "zeros" else padding_mode

    @classmethod
    def from_conv(cls, layer: nn.Conv2d, device: str | Path | Device, **options: Any) -> CrossbarConv2d:
        """Program the weights of a trained layer; raises `CapabilityError` for grouped convolutions."""
        if layer.groups != 1:
            raise CapabilityError(
                f"Conv2d with groups = {layer.groups}: only groups = 1 goes onto one crossbar"
            )
        return cls(
            layer.weight, layer.bias, device, stride=_two(layer.stride), dilation=_two(layer.dilation),
            padding=layer.padding if isinstance(layer.padding, str) else _two(layer.padding),
            padding_mode=layer.padding_mode, **options,
        )  # fmt: skip

    def _options(self) -> dict[str, Any]:
        return {
            "kernel": list(self.kernel), "stride": list(self.stride), "dilation": list(self.dilation),
            "edges": list(self.edges), "padding_mode": self.padding_mode,
        }  # fmt: skip

    def _size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of the output."""
        left, right, top, bottom = self.edges
        padded = (shape[-2] + top + bottom, shape[-1] + left + right)
        high, wide = (
            (size - d * (k - 1) - 1) // s + 1
            for size, d, k, s in zip(padded, self.dilation, self.kernel, self.stride, strict=True)
        )
        return high, wide

    def _places(self, shape: tuple[int, ...]) -> int:
        if len(shape) != 4 or shape[1] != self.in_channels:
            raise self._wrong(shape, f"(batch, {self.in_channels}, height, width)")
        if min(self._size(shape)) < 1:
            raise self._wrong(shape, f"no smaller than the kernel {self.kernel}")
        return math.prod(self._size(shape))

    def _vectors(self, x: Tensor) -> Tensor:
        images = functional.pad(x.flatten(0, 1), self.edges, self.padding_mode)
        patches = functional.unfold(images, self.kernel, dilation=self.dilation, stride=self.stride)
        return patches.transpose(1, 2).reshape(self.instances, -1, self.array.shape[0])

    def _shaped(self, y: Tensor, x: Tensor) -> Tensor:
        high, wide = self._size(tuple(x.shape))
        images = y.reshape(x.shape[0] * x.shape[1], high * wide, -1).transpose(1, 2)
        return images.reshape(*x.shape[:2], -1, high, wide)


def _two(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
