"""Trained weights from a file and the layer map that says how they go together: a chain of torch layers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from neurosim.core.config import Frozen
from neurosim.core.errors import ConfigError, DataError, UnknownNameError

Pair = int | tuple[int, int]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file, or a state dict that `torch.save` wrote; nothing else in it is run or built.

    Raises
    ------
    DataError
        If the file is missing, damaged, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        held = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"weights {path}: no such file") from None
    except Exception as error:  # noqa: BLE001  damaged files make both libraries raise nearly anything
        reason = str(error).strip().split("\n")[0].partition(". ")[0]
        raise DataError(
            f"weights {path}: damaged, or more than tensors ({reason}); pickled objects are not opened, as they can "
            "run code: save a state dict, torch.save(model.state_dict(), FILE), or a .safetensors file"
        ) from None
    others = [name for name, value in held.items() if not isinstance(value, Tensor)] if _named(held) else None
    if others is None or others:
        found = f"'{others[0]}' is no tensor" if others else f"found {type(held).__name__}"
        raise DataError(f"weights {path}: expected names and tensors, {found}; save model.state_dict() alone")
    return dict(held)


def _named(held: Any) -> bool:
    return isinstance(held, dict) and all(isinstance(name, str) for name in held)


class Tensors:
    """The tensors of one file, handed out by name and checked."""

    def __init__(self, path: Path):
        self.file, self.held = path.name, read_weights(path)
        self.used: set[str] = set()

    def take(self, field: str, key: str, *shape: int | None) -> Tensor:
        """Return a tensor as float32; `field` and the `shape` it must have serve the error message."""
        if key not in self.held:
            raise ConfigError(f"{field}: {UnknownNameError(f'tensor of {self.file}', key, self.held)}")
        found = self.held[key]
        fits = found.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, found.shape, strict=True)
        )
        if not fits or not found.is_floating_point():
            wanted = " x ".join("any" if size is None else str(size) for size in shape)
            raise ConfigError(
                f"{field} = '{key}': expected ({wanted}) real numbers, {self.file} has "
                f"{tuple(found.shape)} of {found.dtype}"
            )
        if not torch.isfinite(found).all():
            raise ConfigError(f"{field} = '{key}': {self.file} holds NaN or infinity there")
        self.used.add(key)
        return found.float()


class Layer(Frozen):
    """One layer of a map; subclasses are its kinds."""

    dimensions: ClassVar[int | None] = None
    """Axes of what it takes, without the batch; None takes anything."""

    def build(self, tensors: Tensors) -> nn.Module:
        """Return torch's layer with its weights."""
        raise NotImplementedError


class Linear(Layer):
    """`torch.nn.Linear`."""

    dimensions: ClassVar[int | None] = 1
    weight: str
    bias: str | None = None

    def build(self, tensors: Tensors) -> nn.Module:
        """Weight (outputs, inputs)."""
        weight = tensors.take("weight", self.weight, None, None)
        return _filled(nn.Linear(weight.shape[1], weight.shape[0], self.bias is not None), self, tensors)


class Conv2d(Layer):
    """`torch.nn.Conv2d`, without groups."""

    dimensions: ClassVar[int | None] = 3
    weight: str
    bias: str | None = None
    stride: Pair = 1
    padding: Pair | str = 0
    dilation: Pair = 1

    def build(self, tensors: Tensors) -> nn.Module:
        """Weight (outputs, inputs, height, width)."""
        weight = tensors.take("weight", self.weight, None, None, None, None)
        out, channels, high, wide = weight.shape
        layer = nn.Conv2d(
            channels, out, (high, wide), self.stride, self.padding, self.dilation,
            bias=self.bias is not None,
        )  # fmt: skip
        return _filled(layer, self, tensors)


class BatchNorm(Layer):
    """Batch normalisation with its running statistics, in digital arithmetic."""

    weight: str
    bias: str
    running_mean: str
    running_var: str
    eps: float = 1e-5

    def build(self, tensors: Tensors) -> nn.Module:
        """Folded into one factor and one offset a channel."""
        factor = tensors.take("weight", self.weight, None)
        rest = [
            tensors.take(f, getattr(self, f), len(factor)) for f in ("bias", "running_mean", "running_var")
        ]
        factor = factor / torch.sqrt(rest[2] + self.eps)
        return Affine(factor, rest[0] - factor * rest[1])


class Normalise(Layer):
    """(x - mean) / std, one number a channel or one for all, as the inputs were while training."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def build(self, tensors: Tensors) -> nn.Module:
        """One factor and one offset a channel."""
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        if len(mean) != len(std) or not len(std) or not (std > 0).all():
            raise ConfigError(f"std = {self.std}: expected as many as mean, all above 0")
        return Affine(1 / std, -mean / std)


class Pool(Layer):
    """`torch.nn.MaxPool2d` or `AvgPool2d`."""

    dimensions: ClassVar[int | None] = 3
    pool: ClassVar[type[nn.Module]]
    size: Pair
    stride: Pair | None = None
    padding: Pair = 0

    def build(self, tensors: Tensors) -> nn.Module:
        """A stride left out equals the size."""
        return self.pool(self.size, self.stride, self.padding)


class MaxPool2d(Pool):
    """Largest of each window."""

    pool: ClassVar[type[nn.Module]] = nn.MaxPool2d


class AvgPool2d(Pool):
    """Mean of each window."""

    pool: ClassVar[type[nn.Module]] = nn.AvgPool2d


class Plain(Layer):
    """A layer without weights or settings."""

    module: ClassVar[type[nn.Module]]

    def build(self, tensors: Tensors) -> nn.Module:
        """Nothing to fill in."""
        return self.module()


class Flatten(Plain):
    """All axes but the batch become one, channels first."""

    module: ClassVar[type[nn.Module]] = nn.Flatten


class Relu(Plain):
    """max(x, 0)."""

    module: ClassVar[type[nn.Module]] = nn.ReLU


class Sigmoid(Plain):
    """1 / (1 + exp(-x))."""

    module: ClassVar[type[nn.Module]] = nn.Sigmoid


class Tanh(Plain):
    """tanh x."""

    module: ClassVar[type[nn.Module]] = nn.Tanh


class Gelu(Plain):
    """x times the normal distribution function of x."""

    module: ClassVar[type[nn.Module]] = nn.GELU


KINDS: dict[str, type[Layer]] = {
    kind.__name__.lower(): kind
    for kind in (
        Linear, Conv2d, BatchNorm, Normalise, MaxPool2d, AvgPool2d, Flatten, Relu, Sigmoid, Tanh, Gelu,
    )
}  # fmt: skip


class Affine(nn.Module):
    """factor x + offset, one of each a channel (first axis after the batch) or one for all."""

    factor: Tensor
    offset: Tensor

    def __init__(self, factor: Tensor, offset: Tensor):
        super().__init__()
        self.register_buffer("factor", factor)
        self.register_buffer("offset", offset)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (batch, channels, ...)."""
        if len(self.factor) not in (1, x.shape[1]):
            raise ValueError(f"{len(self.factor)} channels expected, got {x.shape[1]}")
        shape = (1, -1, *[1] * (x.ndim - 2))
        return x * self.factor.reshape(shape) + self.offset.reshape(shape)


class Chain:
    """A torch model built from a weights file and a layer map; in ideal arithmetic until it is converted.

    Parameters
    ----------
    weights : Path
        `.safetensors`, or a state dict of torch.
    layers : Path, optional
        The map. Without one the file must hold a plain chain of fully connected layers, between which ReLU
        is assumed.
    shape : tuple of int
        Channels, height and width of the images, or the numbers of a vector.
    classes : int
        Outputs that the last layer must have.

    Attributes
    ----------
    model : Sequential
    text : list of str
        The layers in words.
    unused : list of str
        Tensors of the file that no layer uses.

    Raises
    ------
    DataError, ConfigError
        If the file or the map is wrong, or the layers do not fit each other, the images or the classes.
    """

    def __init__(self, weights: Path, layers: Path | None, shape: tuple[int, ...], classes: int):
        tensors = Tensors(weights)
        where = f"layer map {layers.name}" if layers else f"weights {weights.name} read as a chain"
        entries = _mapped(layers) if layers else _inferred(tensors)
        self.text: list[str] = []
        built: list[nn.Module] = []
        sample = torch.zeros(1, *shape)
        before = f"the {'images' if len(shape) == 3 else 'vectors'}, {' x '.join(map(str, shape))}"
        for number, (kind, values) in enumerate(entries, 1):
            here = f"{where}, layer {number} ({kind})"
            layer = KINDS[kind].parse(values, here)
            if number == 1 and isinstance(layer, Linear):
                built.append(nn.Flatten())
                sample = sample.flatten(1)
            try:
                module = layer.build(tensors).eval().requires_grad_(False)
            except (ConfigError, ValueError, RuntimeError) as error:
                raise ConfigError(f"{here}: {error}") from None
            sample = _through(module, layer, sample, here, before)
            built.append(module)
            size = " x ".join(map(str, sample.shape[1:]))
            before = f"layer {number} ({kind}), {size}"
            self.text.append(
                " ".join([kind, *(f"{name} {value}" for name, value in values.items()), f"-> {size}"])
            )
        if tuple(sample.shape[1:]) != (classes,):
            raise ConfigError(
                f"{where}: {classes} classes need {classes} outputs, but what comes is {before}"
            )
        self.model = nn.Sequential(*built)
        self.unused = sorted(set(tensors.held) - tensors.used)


def _mapped(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """(kind, settings) of each layer of a map."""
    where = f"layer map {path.name}"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"layer map {path}: {error}") from None
    for key in values:
        if key != "layer":
            raise ConfigError(f"{where}: {UnknownNameError('key', key, ['layer'])}")
    listed = values.get("layer")
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed) or not listed:
        raise ConfigError(f"{where}: expected one [[layer]] for each layer")
    found = []
    for number, entry in enumerate(listed, 1):
        kind = entry.pop("kind", None)
        if kind not in KINDS:
            raise ConfigError(f"{where}, layer {number}: {UnknownNameError('kind', str(kind), KINDS)}")
        found.append((kind, entry))
    return found


def _inferred(tensors: Tensors) -> list[tuple[str, dict[str, Any]]]:
    """Fully connected layers with ReLU between, in the order of the file.

    A safetensors file keeps no order of its own; there names decide, numbers in them counted as numbers.
    """
    names = list(tensors.held)
    if tensors.file.endswith(".safetensors"):
        names.sort(key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)])
    matrices = [name for name in names if tensors.held[name].ndim == 2]
    biases = {name: f"{name.removesuffix('weight')}bias" for name in matrices if name.endswith("weight")}
    others = set(names) - set(matrices) - set(biases.values())
    if not matrices or others:
        odd = f"'{min(others)}' belongs to no fully connected layer" if others else "no matrix in it"
        raise ConfigError(
            f"weights {tensors.file}: not a plain chain ({odd}); say how it goes together: --layers"
        )
    found: list[tuple[str, dict[str, Any]]] = []
    for name in matrices:
        bias = biases.get(name)
        found.append(("linear", {"weight": name, **({"bias": bias} if bias in tensors.held else {})}))
        found.append(("relu", {}))
    return found[:-1]


def _filled(layer: nn.Linear | nn.Conv2d, given: Linear | Conv2d, tensors: Tensors) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(tensors.held[given.weight])
        if given.bias is not None and layer.bias is not None:
            layer.bias.copy_(tensors.take("bias", given.bias, len(layer.bias)))
    return layer


def _through(module: nn.Module, layer: Layer, sample: Tensor, here: str, before: str) -> Tensor:
    """Pass a sample on; an error says what the layer takes and what comes."""
    wanted = ""
    if isinstance(module, nn.Linear) and tuple(sample.shape[1:]) != (module.in_features,):
        wanted = f"weight '{getattr(layer, 'weight', '')}' takes {module.in_features} values"
    elif isinstance(module, nn.Conv2d) and (sample.ndim != 4 or sample.shape[1] != module.in_channels):
        wanted = f"weight '{getattr(layer, 'weight', '')}' takes {module.in_channels} channels of images"
    elif layer.dimensions not in (None, sample.ndim - 1):
        wanted = "takes images"
    if wanted:
        hint = "; a flatten between them?" if sample.ndim == 4 and layer.dimensions == 1 else ""
        raise ConfigError(f"{here}: {wanted}, but what comes is {before}{hint}")
    try:
        found: Tensor = module(sample)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"{here}: cannot take {before}: {str(error).splitlines()[0]}") from None
    return found
