"""Trained weights from a file and the layer map that says how they go together: a chain of torch layers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.core.frozen import Frozen
from neurosim.reference.weights_file import Tensors

Pair = int | tuple[int, int]

BRANCHES = re.compile(
    r"(^|[._])(downsample|shortcut|skip|resid|res(?=[\d._])|(res_?|)blocks?(?=[\d._])|attn|in_proj_weight)",
    re.IGNORECASE,
)
"""In names of tensors: what a net has whose layers do not simply follow one another."""
NO_MAP = (
    "a net with skip connections or branches, which no layer map can express: convert it in Python, "
    "ns.convert(model, device), see docs/your_model.md"
)
"""What to do with weights that are no chain."""


class NoChainError(ConfigError):
    """Layers do not follow one another as they were said, or thought, to do."""


class Layer(Frozen):
    """One layer of a map; subclasses are its kinds."""

    dimensions: ClassVar[int | None] = None
    """Axes of what it takes, without the batch; None takes anything."""

    def build(self, tensors: Tensors) -> nn.Module:
        """Return torch's layer with its weights."""
        raise NotImplementedError


class Weighted(Layer):
    """A layer that goes onto devices, unless it says that it is digital."""

    weight: str
    bias: str | None = None
    digital: bool = False


class Linear(Weighted):
    """`torch.nn.Linear`."""

    dimensions: ClassVar[int | None] = 1

    def build(self, tensors: Tensors) -> nn.Module:
        """Weight (outputs, inputs)."""
        weight = tensors.take("weight", self.weight, None, None)
        return _filled(nn.Linear(weight.shape[1], weight.shape[0], self.bias is not None), self, tensors)


class Conv2d(Weighted):
    """`torch.nn.Conv2d`; of a grouped one every group stands on an array of its own."""

    dimensions: ClassVar[int | None] = 3
    stride: Pair = 1
    padding: Pair | str = 0
    dilation: Pair = 1
    groups: int = Field(1, ge=1)

    def build(self, tensors: Tensors) -> nn.Module:
        """Weight (outputs, inputs of a group, height, width)."""
        weight = tensors.take("weight", self.weight, None, None, None, None)
        out, channels, high, wide = weight.shape
        layer = nn.Conv2d(
            channels * self.groups, out, (high, wide), self.stride, self.padding, self.dilation, self.groups,
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
    digital : list of str
        Names in `model` of the layers that stay in digital arithmetic, as the map says.
    unused : list of str
        Tensors of the file that no layer uses.
    said : list of str
        What was assumed where no map says it, and which weights were left out, in sentences.

    Raises
    ------
    DataError, ConfigError
        If the file or the map is wrong, or the layers do not fit each other, the images or the classes.
    """

    def __init__(self, weights: Path, layers: Path | None, shape: tuple[int, ...], classes: int):
        tensors = Tensors(weights)
        branch = next(filter(BRANCHES.search, tensors.held), None)
        where = f"layer map {layers.name}" if layers else f"weights {weights.name} read as a chain"
        if branch and not layers:
            raise NoChainError(
                f"weights {weights.name}: '{branch}' sounds like {NO_MAP}; if it is a chain all the same, say how it goes "
                "together: --layers"
            )
        try:
            entries = _mapped(layers) if layers else _inferred(tensors)
            self._build(tensors, entries, where, shape, classes)
        except NoChainError as error:
            if layers and not branch:
                raise
            hint = f"'{branch}' sounds like" if branch else "if it is"
            raise NoChainError(f"{error}; {hint} {NO_MAP}") from None
        self.unused = sorted(set(tensors.held) - tensors.used)
        self.said = [] if layers else [_assumed(tensors, entries)]
        left = [name for name in self.unused if tensors.held[name].ndim > 1]
        if left:
            self.said.append(f"weights {weights.name}: no layer of the map uses {', '.join(left)}")

    def _build(
        self,
        tensors: Tensors,
        entries: list[tuple[str, dict[str, Any]]],
        where: str,
        shape: tuple[int, ...],
        classes: int,
    ) -> None:
        self.text: list[str] = []
        self.digital: list[str] = []
        built: list[nn.Module] = []
        weighted = 0
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
            weighted += isinstance(layer, Weighted)
            if isinstance(layer, Weighted) and layer.digital:
                self.digital.append(str(len(built)))
            built.append(module)
            size = " x ".join(map(str, sample.shape[1:]))
            before = f"layer {number} ({kind}), {size}"
            self.text.append(
                " ".join([kind, *(f"{name} {value}" for name, value in values.items()), f"-> {size}"])
            )
        if tuple(sample.shape[1:]) != (classes,):
            raise NoChainError(
                f"{where}: {classes} classes need {classes} outputs, but what comes is {before}"
            )
        if weighted == len(self.digital):
            raise ConfigError(f"{where}: no linear or convolutional layer is left for devices")
        self.model = nn.Sequential(*built)


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
    if tensors.by_name:
        names.sort(key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)])
    matrices = [name for name in names if tensors.held[name].ndim == 2]
    biases = {name: f"{name.removesuffix('weight')}bias" for name in matrices if name.endswith("weight")}
    others = set(names) - set(matrices) - set(biases.values())
    if not matrices or others:
        odd = f"'{min(others)}' belongs to no fully connected layer" if others else "no matrix in it"
        raise NoChainError(
            f"weights {tensors.file}: not a plain chain of fully connected layers ({odd}); if it is a chain, say how it goes "
            "together: --layers"
        )
    found: list[tuple[str, dict[str, Any]]] = []
    for name in matrices:
        bias = biases.get(name)
        found.append(("linear", {"weight": name, **({"bias": bias} if bias in tensors.held else {})}))
        found.append(("relu", {}))
    return found[:-1]


def _assumed(tensors: Tensors, entries: list[tuple[str, dict[str, Any]]]) -> str:
    """Order, activation and form of a chain that no map describes, in a sentence."""
    order = " - ".join(values["weight"].removesuffix(".weight") for _, values in entries if values)
    rule = "by the numbers in the names" if tensors.by_name else "as in the file"
    return (
        f"weights {tensors.file}: no layer map, so it is assumed: a plain chain {order} ({rule}), ReLU between, no skip "
        "connections; for another order or activation give a map (--layers)"
    )


def _filled(layer: nn.Linear | nn.Conv2d, given: Weighted, tensors: Tensors) -> nn.Module:
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
        raise NoChainError(f"{here}: {wanted}, but what comes is {before}{hint}")
    try:
        found: Tensor = module(sample)
    except (RuntimeError, ValueError) as error:
        raise NoChainError(f"{here}: cannot take {before}: {str(error).splitlines()[0]}") from None
    return found
