"""Layers of deep networks: what one is, the published ones by name, and the door by which one's own come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from neurosim.core import registry
from neurosim.core.errors import ConfigError, InputError, UnknownNameError
from neurosim.core.frozen import Frozen
from neurosim.core.protocols import Floats
from neurosim.core.registry import Given
from neurosim.network.images import Activation, Pool, activate, passed_shape
from neurosim.network.starts import Start
from neurosim.rules.loading import text_of

Shape = tuple[int, int, int]
"""Height, width and channels."""
OWN_FIELDS = ("learning_rate", "rate_power", "inverse_temperature")
"""Settings of a rule that are fields of a layer."""


class Layer(Frozen):
    """One block: normalisation, padding, convolution, activation, pooling.

    One of your own is a class below this one with a `pass_on` of its own.
    """

    neurons: int = Field(ge=2)
    kernel: Annotated[int, Field(ge=1)] | Literal["all"]
    """Width of a patch in pixels; "all": every neuron sees the whole image, which is a fully connected layer."""
    pad: int = Field(0, ge=0)
    learning_rate: float = Field(gt=0)
    rate_power: float = Field(0.5, ge=0)
    inverse_temperature: float = Field(gt=0)
    settings: dict[str, Any] = Field(default_factory=dict)
    """Further settings of the rule in this layer, in every arm whose rule has them; those of an arm go before."""
    start_radius: float = Field(25.0, gt=0)
    """Norm of the start weights; of "normal-paper" 1.25 times as large."""
    start: Start = "normal"
    """How they are drawn, N weights a neuron and R the radius: "normal" (standard deviation R / sqrt(N), the authors' code),
    "normal-paper" (R sqrt(pi / 2 N), as printed), "positive" (uniform from 0 to sqrt(3 R^2 / N)) or "negative" (its mirror)."""
    power: float = Field(1.0, gt=0)
    activation: Activation = "triangle"
    """With `power` as its exponent, or as the gain of a softmax."""
    pool: Literal["max", "mean", "none"] = "none"
    pool_kernel: int = Field(1, ge=1)
    pool_stride: int = Field(1, ge=1)
    pool_pad: int = Field(0, ge=0)

    @field_validator("settings")
    @classmethod
    def _given_once(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in OWN_FIELDS:
            if name in value:
                raise ValueError(f"{name} is a setting of the layer itself: write it beside neurons")
        return value

    @model_validator(mode="after")
    def _all_is_one_position(self) -> Self:
        if self.kernel == "all" and (self.pad or self.pool != "none"):
            raise ValueError(
                "kernel = 'all' sees the whole image once: there is nothing to pad or pool; set pad = 0 and pool = 'none'"
            )
        if self.pool == "none" and (self.pool_kernel, self.pool_stride, self.pool_pad) != (1, 1, 0):
            raise ValueError(
                "pool = 'none' has no pool_kernel, pool_stride or pool_pad; leave them out, or choose a pool"
            )
        return self

    @property
    def pooling(self) -> Pool:
        """What pools its answers."""
        return Pool(self.pool, self.pool_kernel, self.pool_stride, self.pool_pad)

    @property
    def own(self) -> bool:
        """Whether the layer passes on in a way of its own."""
        return type(self).pass_on is not Layer.pass_on

    def pass_on(self, currents: Floats) -> Floats:
        """Return what goes on to the next layer: activation, then pooling.

        A layer of your own has another one. It is digital and has no state, each image is taken by itself, and what it
        returns has any height, width and channels; it may write into `currents`, and call this one for what it leaves.

        Parameters
        ----------
        currents : (n, height, width, neurons) array

        Returns
        -------
        images : (n, height, width, channels) array
        """
        return activate(currents, self.power, self.pooling, self.activation)

    def rows(self, image_shape: Shape) -> int:
        """Return the weights of one neuron where images of that shape come in."""
        height, width, channels = image_shape
        return channels * (height * width if self.kernel == "all" else self.kernel**2)

    def out_shape(self, image_shape: Shape) -> Shape:
        """Return the shape of images that go out; raises `InputError` where nothing is left of them."""
        height, width = 1, 1
        if self.kernel != "all":
            height, width = (side + 2 * self.pad - self.kernel + 1 for side in image_shape[:2])
        if min(height, width) < 1:
            raise InputError(
                f"images of {image_shape[0]} x {image_shape[1]} pixels are too small for kernel {self.kernel}, "
                f"pad {self.pad}"
            )
        if self.own:
            return passed_shape(self.pass_on, (height, width, self.neurons))
        return self.pooling.size(height), self.pooling.size(width), self.neurons

    def deciding(self) -> dict[str, Any]:
        """Return what decides the bits of what it learns; the code of a class of one's own beside it."""
        found = self.model_dump(mode="json")
        if not found["settings"]:
            del found["settings"]
        if self.start == "normal":
            del found["start"]
        if type(self) is not Layer:
            found["class"] = f"{type(self).__module__}:{type(self).__qualname__}"
        return found


def shapes(layers: Sequence[Layer], image_shape: Shape) -> list[Shape]:
    """Return the shape of the images that come into each layer; raises `InputError` where nothing is left of them."""
    found = [image_shape]
    for number, layer in enumerate(layers, 1):
        found.append(layer.out_shape(found[-1]))
        if min(found[-1]) < 1:
            raise InputError(
                f"layer {number}: nothing is left of images of {image_shape[0]} x {image_shape[1]} after its kernel and "
                "pooling; take fewer layers or larger images"
            )
    return found[:-1]


def _layer(
    neurons: int, kernel: int, rate: float, inverse: float, power: float, pool: str, **more: Any
) -> Layer:
    halved = {"pool_kernel": 4, "pool_stride": 2, "pool_pad": 1} if pool == "max" else {}
    if pool == "mean":
        halved = {"pool_kernel": 2, "pool_stride": 2, "pool_pad": 0}
    settings: dict[str, Any] = {"pad": kernel // 2, "pool": pool, **halved, **more}
    return Layer(
        neurons=neurons,
        kernel=kernel,
        learning_rate=rate,
        inverse_temperature=inverse,
        power=power,
        **settings,
    )


PRESETS: dict[str, tuple[Layer, ...]] = {
    "cifar": (
        _layer(96, 5, 0.08, 1.0, 0.7, "max"),
        _layer(384, 3, 0.005, 0.65, 1.4, "max"),
        _layer(1536, 3, 0.01, 0.25, 1.0, "mean"),
    ),
    "stl": (
        _layer(96, 5, 0.08, 1.0, 0.7, "max"),
        _layer(384, 3, 0.005, 0.65, 0.7, "max"),
        _layer(1536, 3, 0.01, 0.45, 1.4, "max"),
        _layer(6144, 3, 0.01, 0.25, 1.0, "mean"),
    ),
    "imagenet": (
        _layer(48, 5, 0.08, 1.1, 0.7, "max", rate_power=0.75),
        _layer(192, 3, 0.01, 0.7, 0.7, "max", rate_power=0.75),
        _layer(768, 3, 0.01, 0.5, 0.7, "max", rate_power=0.75),
        _layer(3072, 3, 0.01, 0.4, 1.4, "max", rate_power=0.75),
        _layer(12288, 3, 0.01, 0.25, 1.0, "mean", rate_power=0.75),
    ),
}
"""Table 4 of arXiv 2209.11883, with the pools of its text; MNIST takes "cifar" with one channel."""
BY_DEPTH: dict[str, tuple[str, ...]] = {"imagenette": ("cifar", "cifar", "cifar", "stl", "imagenet")}
"""Presets that take another one's layers for each depth, from one layer on; images of 160 pixels."""


def preset_layers(preset: str, depth: int | None = None) -> tuple[Layer, ...]:
    """Return a preset's layers up to a depth, all if None; raises `ConfigError` if it has fewer or does not exist."""
    if preset not in PRESETS and preset not in BY_DEPTH:
        raise ConfigError(f"preset '{preset}': must be one of {', '.join([*PRESETS, *BY_DEPTH])}")
    most = len(BY_DEPTH[preset]) if preset in BY_DEPTH else len(PRESETS[preset])
    depth = depth or most
    if depth > most:
        raise ConfigError(f"depth = {depth}: preset '{preset}' has {most} layers")
    return PRESETS[BY_DEPTH[preset][depth - 1] if preset in BY_DEPTH else preset][:depth]


def fault(thing: Any) -> str | None:
    """Return what keeps a thing from being a layer, a class of layers or a list of layers; None if nothing does."""
    if isinstance(thing, list | tuple):
        fit = bool(thing) and all(isinstance(each, Layer) for each in thing)
        return (
            None if fit else "a list of layers holds objects of neurosim.Layer, or of classes derived from it"
        )
    kind = thing if isinstance(thing, type) else type(thing)
    return None if issubclass(kind, Layer) else "derive its class from neurosim.Layer"


def load(use: str | Path | type[Layer] | Layer) -> Any:
    """Return a layer, a class of layers or a list of layers.

    Parameters
    ----------
    use : str, Path, class or object
        ``"cifar.1"`` (a preset's first layer, with the neurons of its table), ``"cifar"`` (all of them),
        ``"my.py:Sparse"``, ``"package.module:Sparse"``, a name registered under ``neurosim.layers``, or the thing itself.

    Raises
    ------
    UnknownNameError
        If there is no such name; the message has the nearest match.
    ConfigError
        If a file cannot be run, or what it has is no layer.
    InputError
        If an object is no layer.
    """
    return registry.resolve("layer", use, fault, _named)


def _named(name: str) -> Any:
    known: dict[str, Any] = dict(PRESETS)
    for preset, layers in PRESETS.items():
        known |= {f"{preset}.{number}": layer for number, layer in enumerate(layers, 1)}
    if name in known:
        return known[name]
    registered = registry.names("layer")
    if name not in registered:
        raise UnknownNameError("layer", name, [*known, *registered])
    return registry.find("layer", name)


def listed(given: Any) -> tuple[Layer, ...]:
    """Return the layers that a field `layer` stands for: a name or file of a list, or an entry for each layer.

    Raises
    ------
    ConfigError
        If one is wrong; the message says which.
    """
    if isinstance(given, str):
        return _of(given, "layer")
    return tuple(layer for number, entry in enumerate(given, 1) for layer in _of(entry, f"layer {number}"))


def _of(entry: Any, where: str) -> tuple[Layer, ...]:
    changes = dict(entry) if isinstance(entry, dict) else {"use": entry}
    if "use" not in changes:
        return (Layer.parse(changes, where),)
    use = changes.pop("use")
    found = load(use)
    if isinstance(found, list | tuple):
        if changes:
            raise ConfigError(
                f"{where}: '{use}' is a list of {len(found)} layers, and {', '.join(changes)} cannot be of all; name one "
                "of them"
            )
        return tuple(found)
    kind: type[Layer] = found if isinstance(found, type) else type(found)
    own = {} if found is kind else found.model_dump(exclude_unset=True)
    return (kind.parse({**own, **changes}, where),)


def _entries(given: Any) -> Any:
    """Return what may stand in a field `layer`: text, or a tuple of tables and text that stands for objects."""
    if isinstance(given, str | Path):
        return given if isinstance(given, Given) else str(given)
    if not isinstance(given, list | tuple):
        raise ValueError(f"expected a list of layers, or the name or file of one, got {type(given).__name__}")  # noqa: TRY004 (pydantic's)
    return tuple(_entry(each, number) for number, each in enumerate(given, 1))


def _entry(given: Any, number: int) -> Any:
    if isinstance(given, dict):
        return {**given, "use": _text(given["use"], number)} if "use" in given else dict(given)
    return given.model_dump(exclude_unset=True) if type(given) is Layer else _text(given, number)


def _text(given: Any, number: int) -> str:
    if isinstance(given, str | Path):
        return given if isinstance(given, Given) else str(given)
    wrong = fault(given)
    if wrong or isinstance(given, list | tuple):
        raise ValueError(
            f"layer {number}: a {type(given).__name__} is none; give a table, a name, FILE.py:LAYER or a Layer"
        )
    return Given(text_of(given), given)


LayersGiven = Annotated[Any, AfterValidator(_entries)]
"""Layers as an experiment is given them (`listed` returns them): a list of tables, names, files and objects."""
