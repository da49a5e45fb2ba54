"""What a comparison of deep networks is: layers by preset, a width factor, and arms that learn them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from neurosim import rules
from neurosim.core.config import Frozen
from neurosim.core.errors import ConfigError
from neurosim.core.protocols import Rule
from neurosim.data.dataset import Dataset
from neurosim.network.images import Activation, Statistics
from neurosim.study.arm import Arm, Positive
from neurosim.study.dense_spec import phaseless
from neurosim.study.doors import DataName, RuleName
from neurosim.study.experiment import Experiment

if TYPE_CHECKING:
    from neurosim.study.training import Report, Training

HARD = 1e6
"""Inverse temperature at which the winner takes all."""

Schedule = Literal["all", "greedy"]
"""All layers learn in one pass, or one after the other in a pass each."""


class Layer(Frozen):
    """One block: normalisation, padding, convolution, activation, pooling."""

    neurons: int = Field(ge=2)
    kernel: int = Field(ge=1)
    pad: int = Field(0, ge=0)
    learning_rate: float = Field(gt=0)
    rate_power: float = Field(0.5, ge=0)
    inverse_temperature: float = Field(gt=0)
    start_radius: float = Field(25.0, gt=0)
    """Norm of the start weights, which are normal."""
    power: float = Field(1.0, gt=0)
    activation: Activation = "triangle"
    """With `power` as its exponent, or as the gain of a softmax."""
    pool: Literal["max", "mean", "none"] = "none"
    pool_kernel: int = Field(1, ge=1)
    pool_stride: int = Field(1, ge=1)
    pool_pad: int = Field(0, ge=0)


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


class Backpropagation(Frozen):
    """Training end to end with labels: one net for each depth, by Adam; mini-batch and dropout are those of the heads."""

    epochs: int = Field(50, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    """Halved at the same shares of the epochs as that of the heads."""
    threads: int = Field(1, ge=1)
    """Threads of torch: the last bits of its sums depend on their number. One, where other trainings run beside it."""


class DeepArm(Arm):
    """One way to learn the layers, in ideal arithmetic or on devices."""

    learns: bool = True
    """False: random weights, with the normalisation calibrated."""
    rule: RuleName = "softhebb-paper"
    """A registered rule; "softhebb-paper" divides the change by its largest magnitude over the layer, "softhebb" has a
    fixed gain, which devices need."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of the rule; learning_rate, rate_power and inverse_temperature are the layer's unless given."""
    hard: bool = False
    """The winner takes all, without the anti-Hebbian sign."""
    anti_hebbian: bool = True
    learning_rate: tuple[float, ...] | None = None
    """Of each layer, instead of the preset's."""
    activation: Activation | None = None
    """Of every layer, instead of the preset's."""
    start_radius: Positive | tuple[Positive, ...] | None = None
    """Norm of the start weights, of all layers or of each; None: the preset's."""
    norm_every: int | None = Field(None, ge=1)
    statistics: Statistics = "batch"
    schedule: Schedule | None = None
    """None: the experiment's."""
    backpropagation: Backpropagation | None = None
    """What the same layers reach with labels, with ReLU, instead of a local rule."""

    @model_validator(mode="after")
    def _backpropagation_takes_no_rule(self) -> Self:
        others = self.model_dump(exclude={"name", "seeds", "backpropagation"}, exclude_defaults=True)
        if self.backpropagation is not None and others:
            raise ValueError(
                f"backpropagation trains whole nets with labels in ideal arithmetic: leave out {', '.join(others)}"
            )
        return self

    def settled(self, shared: Any) -> Any:
        """Return the same arm with every setting of its arrays filled in; backpropagation has none."""
        return self if self.backpropagation is not None else super().settled(shared)

    @model_validator(mode="after")
    def _devices_take_a_fixed_gain(self) -> Self:
        if self.device is not None and rules.load(self.rule).ideal_only:
            raise ValueError(
                f"rule '{self.rule}' exists in ideal arithmetic only: take 'softhebb' on devices, or another that can"
            )
        return self

    def build_rule(self, layer: Layer, number: int) -> Rule:
        """Return the rule of a layer, the first of them number 0.

        Raises
        ------
        UnknownNameError
            If no rule has that name.
        ConfigError
            If the rule has no such setting, one is given twice, or a value is out of range.
        """
        if self.hard and "inverse_temperature" not in rules.settings_of(self.rule):
            raise ConfigError(
                f"hard = true: rule '{self.rule}' has no temperature; leave it out, or take 'hard-wta'"
            )
        if self.learning_rate and "learning_rate" in self.settings:
            raise ConfigError("learning_rate is given twice: for each layer, and in settings; leave one out")
        given = {
            "inverse_temperature": HARD if self.hard else layer.inverse_temperature,
            "learning_rate": self.learning_rate[number] if self.learning_rate else layer.learning_rate,
            "rate_power": layer.rate_power,
            "anti_hebbian": self.anti_hebbian and not self.hard,
        }
        return phaseless(self.rule, self.settings, f"arm {self.name}, settings of {self.rule}", given)


class DeepExperiment(Experiment):
    """Deep networks learnt without labels, compared by a linear head on each depth."""

    kind: ClassVar[str] = "deep"
    arm_kind: ClassVar[type[Arm]] = DeepArm
    aside: ClassVar[frozenset[str]] = frozenset({"heads", "head_epochs", "head_batch", "dropout"})

    dataset: DataName = "cifar10"
    train_images: int | None = Field(None, ge=20)
    preset: str = "cifar"
    width: float = Field(4.0, gt=0)
    """Each layer has so many times the neurons of the one before, the first as the preset has it."""
    depth: int | None = Field(None, ge=1)
    schedule: Schedule = "all"
    epochs: int = Field(1, ge=1)
    batch: int = Field(10, ge=2)
    heads: tuple[int, ...] | None = None
    """Depths that get a head; None: all."""
    head_epochs: int = Field(50, ge=1)
    head_batch: int = Field(64, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    calibrate_every: int = Field(100, ge=1)
    arm: tuple[DeepArm, ...] = ()
    window: Positive | tuple[Positive, ...] = 4.0
    """Largest storable weight, in standard deviations of the start weights (unless write.w_max is given); of all
    layers or of each."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        preset_layers(self.preset, self.depth)
        most = len(self.layers)
        for arm in (own.settled(self) for own in self.listed):
            for field in ("learning_rate", "start_radius", "window"):
                given = getattr(arm, field)
                if isinstance(given, tuple) and len(given) != most:
                    raise ValueError(f"arm '{arm.name}': {most} layers need {most} values of {field}")
            for number, layer in enumerate(self.layers):
                arm.build_rule(layer, number).state(1, layer.neurons)
        if any(not 1 <= depth <= most for depth in self.heads or ()):
            raise ValueError(f"heads = {self.heads}: depths go from 1 to {most}")
        return self

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that are built."""
        layers = preset_layers(self.preset, self.depth)
        first = layers[0].neurons
        return tuple(
            layer.changed(neurons=max(2, round(first * self.width**k))) for k, layer in enumerate(layers)
        )

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths that get a head."""
        return self.heads or tuple(range(1, len(self.layers) + 1))

    def check(self) -> None:
        """Refuse before any work what would fail later: unknown devices, parameters or settings."""
        super().check()
        if any(arm.backend == "torch" for arm in self.arms()):
            raise ConfigError("backend = torch: deep networks are computed by numba so far; leave it out")

    def deciding(self) -> dict[str, Any]:
        """Return the settings, beside those of an arm, that decide the bits of what is learnt."""
        layers = [layer.model_dump(mode="json") for layer in self.layers]
        found = super().deciding()
        for name in ("preset", "width", "depth"):
            found.pop(name)
        return {**found, "layers": layers}

    def training(self, arm: Any, seed: int, data: Dataset) -> Training:
        """Return what one arm learns with one seed, not yet begun."""
        from neurosim.study.deep import DeepTraining

        if arm.backpropagation is not None:
            raise ConfigError(
                f"arm {arm.name}: backpropagation trains a net for each depth; `neurosim deep` with --arm does that"
            )
        return DeepTraining(self, arm, seed, data)

    def run(self, arm: Any, seed: int, data: Dataset, out: Path | None, report: Report | None) -> Any:
        """Carry out one arm with one seed: a training, or with backpropagation one for each depth."""
        if arm.backpropagation is None:
            return super().run(arm, seed, data, out, report)
        from neurosim.study.end_to_end import run_end_to_end

        return run_end_to_end(self, arm, seed, data, out, report)

    def holding(self, data: Dataset) -> dict[str, Any]:
        """Return what each arm's devices make of the weights of each layer."""
        from neurosim.study.deep_build import holding

        return {arm.name: holding(self, arm, data.image_shape[2]) for arm in self.device_arms()}

    def beforehand(self, data: Dataset) -> dict[str, Any]:
        """Return what each arm's devices make of the weights of each layer; refuses what an arm cannot have."""
        return {**super().beforehand(data), "holding": self.holding(data)}

    def scores(self, result: Any) -> dict[str, float]:
        """Return the accuracies of one finished run: of the last depth, and of each depth."""
        return {
            "accuracy": result["accuracy"],
            **{f"depth {head['depth']}": head["accuracy"] for head in result["heads"]},
        }

    def summarise(self, runs: list[Any]) -> dict[str, Any]:
        """Return the runs, and the accuracy of each arm at each depth."""
        from neurosim.study.deep import summarise

        return {"runs": runs, "summary": summarise(self, runs)}
