"""What a comparison of deep networks is: layers, listed or by preset, and arms that learn them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from neurosim import rules
from neurosim.core.cautions import FlipWarning
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.core.protocols import Rule
from neurosim.data.dataset import Dataset
from neurosim.network.augment import Augment
from neurosim.network.images import Activation, Statistics
from neurosim.network.starts import Start
from neurosim.study.arm import Arm, Positive
from neurosim.study.backpropagation import Backpropagation, refuse_others
from neurosim.study.code import own_code
from neurosim.study.dense_spec import phaseless
from neurosim.study.doors import DataName, RuleName
from neurosim.study.embedded import refuse_without_umap
from neurosim.study.experiment import Experiment
from neurosim.study.fine_tuning import FineTuning
from neurosim.study.layered_arm import LayeredArm
from neurosim.study.layers import Layer, LayersGiven, Shape, listed, preset_layers
from neurosim.study.robustness import Robustness, refuse_other_scales, summarised

if TYPE_CHECKING:
    from neurosim.study.training import Report, Training

OF_DIGITS = ("digits", "mnist")
"""Data sets in which a mirror image is of another class, or of none."""
HARD = 1e6
"""Inverse temperature at which the winner takes all."""

NORM_ONE = "norm 1, layer"
"""What is said of each layer beside accuracies: the share of its neurons whose norm is one."""
SHOWN = ("robustness", "preferred", "embedded")
"""Settings of what is asked and drawn once a net has learnt."""
FURTHER = ("head_of_all", "augment", "fine_tuning")
"""Settings of what learns from labels once layers have learnt, which say nothing where they are not given."""
ALL_DEPTHS = "all depths"
"""What the head that sees all of them is called among those of depths."""
Schedule = Literal["all", "greedy"]
"""All layers learn in one pass, or one after the other in a pass each."""


class DeepArm(LayeredArm):
    """One way to learn the layers, in ideal arithmetic or on devices."""

    of_layers: ClassVar[frozenset[str]] = LayeredArm.of_layers | {
        "rule", "hard", "anti_hebbian", "activation", "start_radius", "start", "norm_every", "statistics",
    }  # fmt: skip

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
    start: Start | tuple[Start, ...] | None = None
    """How they are drawn ("normal", "normal-paper", "positive", "negative"), of all layers or of each; None: as each layer says."""
    norm_every: int | None = Field(None, ge=1)
    statistics: Statistics = "batch"
    schedule: Schedule | None = None
    """None: the experiment's."""
    backpropagation: Backpropagation | None = None
    """What the same layers reach with labels, with ReLU, instead of a local rule."""

    @model_validator(mode="after")
    def _backpropagation_takes_no_rule(self) -> Self:
        refuse_others(self)
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

    def deciding(self) -> dict[str, Any]:
        """Return everything that decides the bits of a settled arm's runs; weights that start as the layers say are no setting."""
        found = super().deciding()
        if self.start is None:
            del found["start"]
        return found

    def build_rule(self, layer: Layer, number: int) -> Rule:
        """Return the rule of a layer, the first of them number 0, of an arm as that layer has it (`at`).

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
            **layer.settings,
        }
        return phaseless(self.rule, self.settings, f"arm {self.name}, settings of {self.rule}", given)


class DeepExperiment(Experiment):
    """Deep networks learnt without labels, compared by a linear head on each depth."""

    kind: ClassVar[str] = "deep"
    arm_kind: ClassVar[type[Arm]] = DeepArm
    learns_together: ClassVar[bool] = True
    aside: ClassVar[frozenset[str]] = frozenset({"heads", "head_epochs", "head_batch", "dropout"})

    dataset: DataName = "cifar10"
    train_images: int | None = Field(None, ge=20)
    layer: LayersGiven = ()
    """Layers instead of a preset's: a table each, with the settings of `neurosim.study.layers.Layer`; `use` names what a
    table changes (a preset's layer, "cifar.1") or your own class (``"my.py:Sparse"``). Or the name or file of a list."""
    preset: str = "cifar"
    width: float = Field(4.0, gt=0)
    """Each layer of a preset has so many times the neurons of the one before, the first as the preset has it."""
    depth: int | None = Field(None, ge=1)
    """Only the first so many layers."""
    schedule: Schedule = "all"
    epochs: int = Field(1, ge=1)
    batch: int = Field(10, ge=2)
    heads: tuple[int, ...] | None = None
    """Depths that get a head; None: all."""
    head_epochs: int = Field(50, ge=1)
    head_batch: int = Field(64, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    head_of_all: bool = False
    """One more head, which sees the features of all depths that have one side by side: "all depths" in tables and scores."""
    augment: Augment | None = None
    """Crops and flips of the images that heads, nets that are trained end to end, and layers if asked, learn from."""
    fine_tuning: FineTuning | None = None
    """Train a copy of the whole net of each arm, layers and last head, end to end with labels: "fine-tuned" in tables and scores."""
    robustness: Robustness | None = None
    """Spoilt images that are asked as well, through the head of the last depth: noise, FGSM, PGD."""
    preferred: int = Field(0, ge=0)
    """So many neurons of each depth, of the first seed, for which the report shows the image, and the patches of reported-on
    images, that drive them most."""
    embedded: int = Field(0, ge=0)
    """So many reported-on images, of the first seed, that the report draws as points: a UMAP of what each depth answers."""
    calibrate_every: int = Field(100, ge=1)
    arm: tuple[DeepArm, ...] = ()
    window: Positive | tuple[Positive, ...] = 4.0
    """Largest storable weight, in root mean squares of the start weights (unless write.w_max is given); of all
    layers or of each."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        layers, most = self.layers, len(self.layers)
        for arm in (own.settled(self) for own in self.listed):
            for field in ("learning_rate", "start_radius", "start", "window"):
                given = getattr(arm, field)
                if isinstance(given, tuple) and len(given) != most:
                    raise ValueError(f"arm '{arm.name}': {most} layers need {most} values of {field}")
            arm.for_layers(most)
            for number, layer in enumerate(layers):
                own = arm.at(number)
                own.build_rule(layer, number).state(1, layer.neurons)
                sloped = self.preferred or self.fine_tuning or (self.robustness and self.robustness.attacks)
                if sloped and (layer.own or own.neurons is not None):
                    raise ValueError(
                        f"arm '{arm.name}', layer {number + 1}: attacks, preferred images and fine-tuning follow the slope of the layers, "
                        f"which is not known of {'a pass_on of its own' if layer.own else 'neurons with a transfer'}; leave "
                        "one of the two out (robustness to noise is possible)"
                    )
                if layer.own and (own.activation or arm.backpropagation):
                    raise ValueError(
                        f"arm '{arm.name}', {'activation' if own.activation else 'backpropagation'}: layer {number + 1} "
                        f"passes on in a way of its own ({type(layer).__qualname__}.pass_on); leave one of the two out"
                    )
        self._rules_have_the_settings_of_layers()
        if any(not 1 <= depth <= most for depth in self.heads or ()):
            raise ValueError(f"heads = {self.heads}: depths go from 1 to {most}")
        return self

    def _rules_have_the_settings_of_layers(self) -> None:
        """Refuse a setting of a layer that no arm's rule has."""
        for number, layer in enumerate(self.layers):
            known = [rules.settings_of(arm.at(number).rule) for arm in self.listed]
            for name in layer.settings:
                if not any(name in own for own in known):
                    where = f" of layer {number + 1}"
                    raise UnknownNameError("setting", name, sorted(set[str]().union(*known)), where)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that are built."""
        if self.layer:
            beside = sorted({"preset", "width"} & self.model_fields_set)
            if beside:
                raise ConfigError(
                    f"layer: layers are listed, each with its neurons; leave out {', '.join(beside)}"
                )
            found = listed(self.layer)
            if (self.depth or 1) > len(found):
                raise ConfigError(f"depth = {self.depth}: {len(found)} layers are listed")
            return found[: self.depth]
        layers = preset_layers(self.preset, self.depth)
        first = layers[0].neurons
        return tuple(
            layer.changed(neurons=max(2, round(first * self.width**k))) for k, layer in enumerate(layers)
        )

    def image_shape(self, data: Dataset) -> Shape:
        """Return the shape of the images that come in; vectors are one pixel where the first layer sees all of it.

        Raises
        ------
        InputError
            If these are vectors and the first layer takes patches of images.
        """
        if len(data.shape) == 1 and self.layers[0].kernel == "all":
            return 1, 1, data.rows
        return data.image_shape

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths that get a head, the deepest last: its accuracy is the headline."""
        return tuple(sorted({*(self.heads or range(1, len(self.layers) + 1))}))

    def check(self) -> None:
        """Refuse before any work what would fail later: unknown devices, parameters or settings."""
        from neurosim.study.deep_build import refuse_beforehand

        super().check()
        if self.embedded:
            refuse_without_umap()
        for arm in self.arms():
            if arm.backend == "torch":
                refuse_beforehand(self, arm)

    def deciding(self) -> dict[str, Any]:
        """Return the settings, beside those of an arm, that decide the bits of what is learnt."""
        layers = self.layers
        found = super().deciding()
        for name in ("layer", "preset", "width", "depth", *SHOWN, *FURTHER):
            found.pop(name)
        moved = {"augment": self.moved.drawn} if self.moved is not None and self.moved.layers else {}
        code = own_code(*layers)
        own = {"code of layers": code} if code else {}
        return {**found, "layers": [layer.deciding() for layer in layers], **moved, **own}

    def evaluating(self) -> dict[str, Any]:
        """Return the settings of the evaluation, which decide results and nothing that layers learn; those given of `FURTHER`."""
        asked = set(FURTHER) - (set() if self.moved else {"augment"})
        further = self.model_dump(mode="json", include=asked)
        return {**super().evaluating(), **{name: value for name, value in further.items() if value}}

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

        return {arm.name: holding(self, arm, self.image_shape(data)) for arm in self.device_arms()}

    def beforehand(self, data: Dataset) -> dict[str, Any]:
        """Return what each arm's devices make of the weights of each layer; refuses what an arm cannot have."""
        if self.robustness is not None:
            refuse_other_scales(data.inputs(self.splits(data)[1].images[: self.robustness.images]))
        if self.moved is not None:
            self._can_be_moved(self.moved, data)
        return {**super().beforehand(data), "holding": self.holding(data)}

    @property
    def moved(self) -> Augment | None:
        """How images that are learnt are moved; None where they stay as they are."""
        return self.augment if self.augment is not None and self.augment.moves_some else None

    def _can_be_moved(self, augment: Augment, data: Dataset) -> None:
        augment.refuse_shape(self.image_shape(data))
        if augment.flip and data.name in OF_DIGITS:
            warnings.warn(
                FlipWarning(
                    f"augment: a digit of {data.name} that is flipped is no digit, or another one, and keeps its label",
                    "leave flip out, and take crops alone",
                ),
                stacklevel=2,
            )

    def said(self) -> list[str]:
        """Return what commands say before any work: a control of fine-tuning that is missing, an `[augment]` that does nothing."""
        said = super().said()
        if self.fine_tuning and all(arm.learns for arm in self.listed):
            said.append(
                "fine_tuning: no arm has learns = false, so that nothing says what it reaches from random weights; add one"
            )
        if self.augment is not None and self.moved is None:
            said.append(
                "augment: images stay as they are; set flip = true, or crop to some pixels, or leave it out"
            )
        return said

    @property
    def shown(self) -> dict[str, Any]:
        """Return the settings of what is asked and drawn once a net has learnt, where there are any."""
        settings = self.model_dump(mode="json", include=set(SHOWN))
        return {name: value for name, value in settings.items() if value}

    def scores(self, result: Any) -> dict[str, float]:
        """Return the accuracies of one finished run: of the last depth, of each, and of what is asked beside them."""
        each = {f"depth {head['depth']}": head["accuracy"] for head in result["heads"]}
        further = {head["depth"]: head["accuracy"] for head in result.get("heads_beside", ())}
        return {"accuracy": result["accuracy"], **each, **further}

    def beside(self, result: Any) -> dict[str, float]:
        """Return of one finished run the share of neurons of each layer whose norm is one."""
        layers = enumerate(result["layers"], start=1)
        return {f"{NORM_ONE} {k}": own["norm_near_one"] for k, own in layers if "norm_near_one" in own}

    def summarise(self, runs: list[Any]) -> dict[str, Any]:
        """Return the runs, and the accuracy of each arm at each depth."""
        from neurosim.study.deep import summarise

        found = {"runs": runs, "summary": summarise(self, runs)}
        return found if self.robustness is None else {**found, "robustness": summarised(runs)}
