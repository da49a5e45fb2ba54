"""Trained torch layers on devices: linear, convolutional in one and two dimensions, and convolutional in groups."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosim.core.errors import CapabilityError, InputError, UnknownNameError
from neurosim.core.protocols import Device
from neurosim.reference.doors import has_no_weight, real
from neurosim.reference.layer import CrossbarLayer

PADDING = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
"""What torch's convolutions call a way to pad, and what `torch.nn.functional.pad` does."""


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

    Raises
    ------
    InputError
        If `weight` has the wrong number of axes, or `padding` is "same" and a stride not 1.
    UnknownNameError
        If there is no padding, or way to pad, of that name.
    """

    axes: ClassVar[tuple[str, ...]] = ("height", "width")
    """What torch calls the axes that the kernel moves along."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        device: str | Path | Device,
        *,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str = "zeros",
        **options: Any,
    ):
        if weight.ndim != 2 + len(self.axes):
            wanted = ", ".join(("out_channels", "in_channels", *self.axes))
            raise InputError(f"weight: expected ({wanted}), got {tuple(weight.shape)}")
        if padding_mode not in PADDING:
            raise UnknownNameError("padding_mode", str(padding_mode), PADDING)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise UnknownNameError("padding", padding, ("same", "valid"))
        weight = weight.reshape(*weight.shape[:2], *_two(weight.shape[2:], 1))
        super().__init__(weight.flatten(1).T, bias, device, **options)
        self.in_channels, self.out_channels = weight.shape[1], weight.shape[0]
        self.kernel = (weight.shape[2], weight.shape[3])
        self.stride, self.dilation = _two(self._each(stride), 1), _two(self._each(dilation), 1)
        if padding == "same":
            if max(self.stride) > 1:
                raise InputError(f"padding = 'same': needs a stride of 1, got {stride}")
            reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
            top, left = reach[0] // 2, reach[1] // 2
            self.edges = (left, reach[1] - left, top, reach[0] - top)
        else:
            down, across = _two(self._each(0 if isinstance(padding, str) else padding), 0)
            self.edges = (across, across, down, down)
        self.padding_mode = PADDING[padding_mode]

    @classmethod
    def from_conv(
        cls, layer: nn.Conv1d | nn.Conv2d, device: str | Path | Device, **options: Any
    ) -> CrossbarConv2d:
        """Program the weights of a trained layer; raises `CapabilityError` for grouped convolutions."""
        if layer.groups != 1:
            raise CapabilityError(
                f"{type(layer).__name__} with groups = {layer.groups}: one crossbar holds one group; "
                "CrossbarGroups.from_conv makes an array for each, as convert does"
            )
        return cls.of_group(layer, layer.weight, layer.bias, device, **options)

    @classmethod
    def of_group(
        cls,
        layer: nn.Conv1d | nn.Conv2d,
        weight: Tensor,
        bias: Tensor | None,
        device: str | Path | Device,
        **options: Any,
    ) -> CrossbarConv2d:
        """Program some of the kernels of a trained layer; stride, padding and dilation are the layer's."""
        return cls(
            weight, bias, device, stride=layer.stride, dilation=layer.dilation, padding=layer.padding,
            padding_mode=layer.padding_mode, **options,
        )  # fmt: skip

    def _each(self, value: int | tuple[int, ...]) -> tuple[int, ...]:
        """A number for each axis."""
        return (value,) * len(self.axes) if isinstance(value, int) else tuple(value)

    def _options(self) -> dict[str, Any]:
        return {
            "kernel": list(self.kernel), "stride": list(self.stride), "dilation": list(self.dilation),
            "edges": list(self.edges), "padding_mode": self.padding_mode,
        }  # fmt: skip

    def _size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of the output."""
        left, right, top, bottom = self.edges
        high, wide = _two(shape[2:], 1)
        padded = (high + top + bottom, wide + left + right)
        high, wide = (
            (size - d * (k - 1) - 1) // s + 1
            for size, d, k, s in zip(padded, self.dilation, self.kernel, self.stride, strict=True)
        )
        return high, wide

    def _places(self, shape: tuple[int, ...]) -> int:
        if len(shape) != 2 + len(self.axes) or shape[1] != self.in_channels:
            raise self._wrong(shape, f"(batch, {self.in_channels}, {', '.join(self.axes)})")
        if min(self._size(shape)) < 1:
            raise self._wrong(shape, f"no smaller than the kernel {self.kernel}")
        return math.prod(self._size(shape))

    def _vectors(self, x: Tensor) -> Tensor:
        images = x.flatten(0, 1)
        images = images.reshape(*images.shape[:2], *_two(images.shape[2:], 1))
        images = functional.pad(images, self.edges, self.padding_mode)
        patches = functional.unfold(images, self.kernel, dilation=self.dilation, stride=self.stride)
        return patches.transpose(1, 2).reshape(self.instances, -1, self.array.shape[0])

    def _shaped(self, y: Tensor, x: Tensor) -> Tensor:
        size = self._size(tuple(x.shape[1:]))
        images = y.reshape(x.shape[0] * x.shape[1], math.prod(size), -1).transpose(1, 2)
        return images.reshape(*x.shape[:2], -1, *size[-len(self.axes) :])


class CrossbarConv1d(CrossbarConv2d):
    """`torch.nn.Conv1d` on a crossbar: a `CrossbarConv2d` over one axis, rows are in_channels * kernel length.

    Takes (instances * batch, channels, length); `weight` is (out_channels, in_channels, kernel length). Further
    arguments as of `CrossbarConv2d`, numbers instead of pairs.
    """

    axes = ("length",)


class CrossbarGroups(nn.ModuleList):
    """A grouped or depthwise `torch.nn.Conv1d` or `Conv2d`: a crossbar for each group of channels, and its bias.

    Takes (instances * batch, channels, ...). Member g holds the kernels of group g and is called NAME.g: devices, window,
    converters' range and gain are its own, as of any layer on devices.

    Parameters
    ----------
    name : str
    members : iterable of CrossbarConv2d
    """

    def __init__(self, name: str, members: Iterable[CrossbarConv2d]):
        own = list(members)
        super().__init__(own)
        self.name, self.in_channels = name, sum(member.in_channels for member in own)

    @classmethod
    def from_conv(
        cls,
        layer: nn.Conv1d | nn.Conv2d,
        device: str | Path | Device,
        *,
        name: str = "layer",
        **options: Any,
    ) -> CrossbarGroups:
        """Program the weights of a trained layer, an array a group; further arguments: `CrossbarLayer`."""
        kind = CrossbarConv1d if isinstance(layer, nn.Conv1d) else CrossbarConv2d
        biases = [None] * layer.groups if layer.bias is None else layer.bias.chunk(layer.groups)
        return cls(
            name,
            (
                kind.of_group(layer, weight, bias, device, name=f"{name}.{g}", **options)
                for g, (weight, bias) in enumerate(zip(layer.weight.chunk(layer.groups), biases, strict=True))
            ),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Read every group: what torch's layer returns, from the devices.

        Raises
        ------
        InputError
            If the number of channels is wrong; else as `CrossbarLayer.forward`.
        """
        if real(f"x of layer '{self.name}'", x).ndim < 2 or x.shape[1] != self.in_channels:
            raise InputError(
                f"layer '{self.name}': expected (batch, {self.in_channels}, ...), {len(self)} groups of channels, "
                f"got {tuple(x.shape)}"
            )
        parts = zip(self, x.chunk(len(self), dim=1), strict=True)
        return torch.cat([member(part) for member, part in parts], dim=1)

    def __getattr__(self, name: str) -> Any:
        if name == "weight":
            raise has_no_weight(self.name, "member.array.weights()")
        return super().__getattr__(name)


def on_devices(
    layer: nn.Module, device: str | Path | Device, **options: Any
) -> CrossbarLayer | CrossbarGroups:
    """Return a trained `nn.Linear`, `nn.Conv1d` or `nn.Conv2d` on devices; further arguments: `CrossbarLayer`."""
    if isinstance(layer, nn.Linear):
        return CrossbarLinear.from_linear(layer, device, **options)
    if not isinstance(layer, nn.Conv1d | nn.Conv2d):
        raise CapabilityError(f"{type(layer).__name__}: no nn.Linear, nn.Conv1d or nn.Conv2d")
    if layer.groups > 1:
        return CrossbarGroups.from_conv(layer, device, **options)
    kind = CrossbarConv1d if isinstance(layer, nn.Conv1d) else CrossbarConv2d
    return kind.from_conv(layer, device, **options)


def _two(values: tuple[int, ...], missing: int) -> tuple[int, int]:
    """Numbers of height and width; along one axis there is no height."""
    return (missing, values[0]) if len(values) == 1 else (values[0], values[1])
