"""What a comparison of Forward-Forward networks is: a preset, how negatives are made, and arms that learn it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from neurosim.core.config import WritePath
from neurosim.core.errors import ConfigError
from neurosim.core.frozen import Frozen
from neurosim.data.dataset import Dataset, Labelled
from neurosim.network.black_box import BlackBox
from neurosim.network.recurrent import Recurrent
from neurosim.rules.forward_forward import ForwardForward
from neurosim.study.arm import Arm, Positive
from neurosim.study.backpropagation import Backpropagation, refuse_others
from neurosim.study.doors import DataName
from neurosim.study.experiment import Experiment
from neurosim.study.layered_arm import LayeredArm

if TYPE_CHECKING:
    from neurosim.study.training import Training

PRESETS: dict[str, tuple[int, ...]] = {
    "hinton": (1000, 1000, 1000),
    "wide": (2000, 2000, 2000, 2000),
    "small": (500, 500),
    "local": (128, 220, 512),
}
"""Neurons of each layer: those of Hinton's code, those of the paper's section 3, and a small one; or of each location
of each layer, for the paper's local receptive fields."""
FIELDS: dict[str, tuple[tuple[int, int], ...]] = {"local": ((10, 6), (2, 1), (2, 1))}
"""Receptive fields of presets that have them."""
HELD = 0.5
"""Share of a training for which rates stay as they are; then they fall in a straight line to zero."""


class Samples(Frozen):
    """How positive and negative samples are made of images."""

    negatives: Literal["hard", "uniform"] = "hard"
    """Wrong labels as often as the head takes them for right, or all alike."""
    negatives_per_sample: int = Field(1, ge=1)
    """All together weigh as much as the positive samples."""
    jitter: int = Field(0, ge=0)
    """Images are shifted by up to so many pixels both ways, anew in every epoch."""
    contrast: Literal["hybrids", "mixtures"] = "hybrids"
    """How two images make a negative where there are no labels: part of one beside part of the other by a mask, or
    halfway between them (self-contrast, whose positives are pairs of one image)."""


class ForwardForwardLayer(Frozen):
    """One layer of a stack that is listed."""

    neurons: int = Field(ge=2)
    """Of the layer, or of each of its locations."""
    field: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    """Size of a local receptive field and the stride to the next; all layers have fields, or none."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of the rule in this layer, in every arm; those of an arm go before."""


class ForwardForwardArm(LayeredArm):
    """One way to learn the layers, in ideal arithmetic or on devices."""

    of_layers: ClassVar[frozenset[str]] = LayeredArm.of_layers | {"momentum", "baseline"}

    samples: dict[str, Any] = Field(default_factory=dict)
    """Settings of `Samples` that are not the experiment's."""
    recurrent: dict[str, Any] | None = None
    """Settings of `Recurrent` that are not the experiment's; None: as the experiment has it."""
    black_box: dict[str, Any] | None = None
    """Settings of `BlackBox` that are not the experiment's; None: as the experiment has it."""
    learns: bool = True
    """False: the layers stay as they start; the head learns."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of the rule `ForwardForward`; `rate_updates` and `rate_held` follow the training unless given."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Digital filter of the changes, one number a synapse; 0: none."""
    phases: Literal["together", "apart"] = "together"
    """Positive and negative samples in one update, so that devices see the difference of the two; or an update each."""
    apart: int = Field(1, ge=1)
    """Mini-batches whose positive samples are learnt, one after the other, before the negatives of the same images are; of
    phases "apart". The last stretch of a training is as long as what is left."""
    baseline: float = Field(0.0, ge=0, lt=1)
    """A stored average of the changes of negative phases, of which each of them keeps this share, is added to the change of
    every positive one; of phases "apart". One more number a synapse; 0: none."""
    backpropagation: Backpropagation | None = None
    """What the same layers and fields reach with labels, end to end with ReLU and a softmax head on the last, instead of by
    Forward-Forward."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        refuse_others(self)
        rule = self.build_rule(1)
        self.read_path()
        write = self.filtered()
        if self.phases == "together" and (self.apart > 1 or self.baseline or write.baseline):
            asked = (
                f"apart = {self.apart}" if self.apart > 1 else f"baseline = {self.baseline or write.baseline}"
            )
            raise ValueError(
                f"{asked}: positive and negative samples are one update; set phases = 'apart', or leave it out"
            )
        if rule.jump is not None and self.momentum:
            raise ValueError(f"momentum = {self.momentum}: a filtered jump does not land; set momentum = 0")
        if self.device is not None and self.mode == "online":
            for name, stored in (("momentum", write.momentum), ("baseline", write.baseline)):
                if stored:
                    why = "filtered" if name == "momentum" else "stored"
                    raise ValueError(
                        f"{name} = {stored}: mode 'online' sums nothing that could be {why}; set {name} = 0"
                    )
        return self

    def build_rule(self, updates: int, settings: dict[str, Any] | None = None) -> ForwardForward:
        """Return the rule for a training of so many mini-batches, with settings where the arm gives none.

        Raises
        ------
        ConfigError
            If there is no such setting, or a value is out of range.
        """
        given = {
            "rate_updates": updates * (2 if self.phases == "apart" else 1),
            "rate_held": HELD,
            **(settings or {}),
            **self.settings,
        }
        return ForwardForward.parse(given, f"arm {self.name}, settings")

    def deciding(self) -> dict[str, Any]:
        """Return everything that decides the bits of a settled arm's runs; what is the experiment's is none of it."""
        found = super().deciding()
        for name, unused in (
            ("recurrent", None), ("black_box", None), ("backpropagation", None), ("apart", 1), ("baseline", 0.0),
        ):  # fmt: skip
            if found[name] == unused:
                del found[name]
        return found

    @property
    def stored(self) -> dict[str, float]:
        """What is stored of changes beside each array: the settings of that name in `WritePath`."""
        given = {"momentum": self.momentum, "baseline": self.baseline}
        return {name: share for name, share in given.items() if share}

    def settled(self, shared: Any) -> Any:
        """Return the same arm with every setting of its arrays filled in; backpropagation has none."""
        return self if self.backpropagation is not None else super().settled(shared)

    def filtered(self) -> WritePath:
        """Return how arrays are written, with what is stored of changes beside them; raises `ConfigError`."""
        return self.write_path(**self.stored)


class ForwardForwardExperiment(Samples, Experiment):
    """Networks learnt by Forward-Forward, each arm with the same images, negatives and start weights."""

    kind: ClassVar[str] = "forward-forward"
    arm_kind: ClassVar[type[Arm]] = ForwardForwardArm
    learns_together: ClassVar[bool] = True
    aside: ClassVar[frozenset[str]] = frozenset({"readout_epochs"})

    dataset: DataName = "mnist"
    train_images: int | None = Field(None, ge=20)
    layer: tuple[ForwardForwardLayer, ...] = ()
    """Layers one by one, instead of `preset`, `widths` and `fields`."""
    preset: str = "hinton"
    widths: tuple[Annotated[int, Field(ge=2)], ...] | None = Field(None, min_length=1)
    """Neurons of each layer, or of each location where there are fields, instead of the preset's."""
    fields: tuple[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], ...] | None = None
    """Local receptive fields without shared weights, instead of the preset's: for each layer the size of a field and
    the stride to the next, in pixels or in locations of the layer before."""
    supervised: bool = True
    """Negatives are images with a wrong label; False: made of two images, and labels only reach the readouts."""
    blurs: int = Field(6, ge=0)
    """Of the masks of hybrids: how large their areas are."""
    epochs: int = Field(60, ge=1)
    batch: int = Field(100, ge=2)
    online: bool = False
    """Layers take an update a sample, a positive and a negative one in turn; the head learns by mini-batches."""
    recurrent: Recurrent | None = None
    """Top-down effects: layers are driven from below and above, over several iterations; None: one pass, bottom up."""
    black_box: BlackBox | None = None
    """What stands between each layer and the next; None: nothing does."""
    curve_images: int = Field(1000, ge=1)
    """Images on which the accuracy is followed: of the validation split with `hold_out`, else of those learnt."""
    calibrate_every: int = Field(100, ge=1)
    readout_epochs: int = Field(10, ge=1)
    """Of the linear readout of the unsupervised variant."""
    arm: tuple[ForwardForwardArm, ...] = ()
    window: Positive | tuple[Positive, ...] = 4.0
    """Largest storable weight, in standard deviations of the start weights (unless write.w_max is given); of all
    layers or of each."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.preset not in PRESETS:
            raise ValueError(f"preset = '{self.preset}': must be one of {', '.join(PRESETS)}")
        beside = sorted({"preset", "widths", "fields"} & self.model_fields_set)
        if self.layer and beside:
            raise ValueError(
                f"layer: layers are listed, each with its neurons; leave out {', '.join(beside)}"
            )
        if len({each.field is None for each in self.layer}) > 1:
            raise ValueError("layer: give each layer a field, or none of them")
        if self.receptive and len(self.receptive) != len(self.layers):
            raise ValueError(
                f"fields of {len(self.receptive)} layers, widths of {len(self.layers)}: give as many of each"
            )
        for arm in (own.settled(self) for own in self.listed):
            if self.samples_of(arm).negatives_per_sample != 1 and self.online:
                raise ValueError(
                    "online: a positive and a negative sample in turn; leave out negatives_per_sample"
                )
            if self.supervised and self.samples_of(arm).contrast != "hybrids":
                raise ValueError(
                    f"arm {arm.name}, contrast: of negatives without labels; set supervised = false, or leave it out"
                )
            if self.online and arm.phases == "apart":
                raise ValueError(
                    f"arm {arm.name}, phases: online, each sample is an update anyway; leave it out"
                )
            self._can_be_recurrent(arm)
            if self.box_of(arm) is not None and len(self.layers) == 1:
                raise ValueError(
                    f"arm {arm.name}, black_box: stands between layers, and there is one; give more, or leave it out"
                )
            arm.for_layers(len(self.layers))
            if isinstance(arm.window, tuple) and len(arm.window) != len(self.layers):
                raise ValueError(
                    f"arm '{arm.name}': {len(self.layers)} layers need {len(self.layers)} values of window"
                )
            for number, rule in enumerate(self.rules_of(arm, 1)):
                if rule.jump is not None and not self.online:
                    raise ValueError(
                        f"arm {arm.name}, jump: for updates of single samples; set online = true"
                    )
                if rule.jump is not None and arm.at(number).momentum:
                    raise ValueError(f"arm {arm.name}, jump: a filtered jump does not land; set momentum = 0")
            if self.receptive is None:
                self.blocks_fit(arm, self.layers)
        return self

    def blocks_fit(self, arm: ForwardForwardArm, neurons: Sequence[int]) -> None:
        """Refuse blocks that the neurons of each layer, all its locations together, do not divide into; raises `ConfigError`."""
        for number, (rule, count) in enumerate(zip(self.rules_of(arm, 1), neurons, strict=True), 1):
            try:
                rule.block_size(count)
            except ConfigError as error:
                raise ConfigError(f"arm {arm.name}, layer {number}: {error}") from None

    def _can_be_recurrent(self, arm: ForwardForwardArm) -> None:
        """Refuse what has no meaning, or is not there, where a network runs for several iterations."""
        if self.recurrent_of(arm) is None:
            return
        for not_so, why in (
            (
                arm.backpropagation is not None,
                "backpropagation passes through its layers once; give the other arms a recurrent of their own",
            ),
            (self.online, "online: an update belongs to an iteration of a mini-batch; leave out online"),
            (not self.supervised, "supervised = false: a label stands above the last layer; leave it out"),
            (
                self.box_of(arm) is not None,
                "black_box: what comes from above would pass one as well, backwards; leave out black_box",
            ),
        ):
            if not_so:
                raise ValueError(f"arm {arm.name}, recurrent: {why}, or recurrent")

    def recurrent_of(self, arm: ForwardForwardArm) -> Recurrent | None:
        """Return how an arm's network runs in iterations: as the experiment says, but for what the arm does; None: it does not.

        Raises
        ------
        ConfigError
            If there is no such setting, or a value is out of range.
        """
        if arm.recurrent is None:
            return self.recurrent
        shared = {} if self.recurrent is None else self.recurrent.model_dump()
        return Recurrent.parse({**shared, **arm.recurrent}, f"arm {arm.name}, recurrent")

    def box_of(self, arm: ForwardForwardArm) -> BlackBox | None:
        """Return what stands between an arm's layers: as the experiment says, but for what the arm does; None: nothing.

        Raises
        ------
        ConfigError
            If there is no such setting, or a value is out of range.
        """
        found = self.black_box or BlackBox()
        if arm.black_box is not None:
            found = BlackBox.parse({**found.model_dump(), **arm.black_box}, f"arm {arm.name}, black_box")
        return None if found.empty else found

    def samples_of(self, arm: ForwardForwardArm) -> Samples:
        """Return how an arm's samples are made: as the experiment says, but for what the arm does; raises `ConfigError`."""
        shared = {name: getattr(self, name) for name in Samples.model_fields}
        return Samples.parse({**shared, **arm.samples}, f"arm {arm.name}, samples")

    def rules_of(self, arm: ForwardForwardArm, updates: int) -> list[ForwardForward]:
        """Return the rule of each layer for a training of so many mini-batches; raises `ConfigError`."""
        settings = [each.settings for each in self.layer] or [{}] * len(self.layers)
        return [arm.at(number).build_rule(updates, own) for number, own in enumerate(settings)]

    @property
    def layers(self) -> tuple[int, ...]:
        """Neurons of each layer that is built, or of each of its locations."""
        if self.layer:
            return tuple(each.neurons for each in self.layer)
        return self.widths or PRESETS[self.preset]

    @property
    def receptive(self) -> tuple[tuple[int, int], ...] | None:
        """Size and stride of each layer's receptive fields; None: layers are fully connected."""
        if self.layer:
            return tuple(each.field for each in self.layer if each.field) or None
        return FIELDS.get(self.preset) if self.fields is None else self.fields

    @property
    def readouts(self) -> tuple[str, ...]:
        """How the network is asked for a class; the first gives the accuracy of a run."""
        return ("goodness", "softmax") if self.supervised else ("linear", "softmax")

    def readouts_of(self, arm: ForwardForwardArm) -> tuple[str, ...]:
        """Return those of `readouts` that an arm has: with backpropagation its own head alone."""
        return self.readouts if arm.backpropagation is None else ("softmax",)

    def deciding(self) -> dict[str, Any]:
        """Return the settings, beside those of an arm, that decide the bits of what is learnt."""
        built: dict[str, Any] = {"layers": self.layers, "fields": self.receptive}
        found = super().deciding()
        for name in ("layer", "preset", "widths"):
            found.pop(name)
        for name, unused in (("contrast", "hybrids"), ("recurrent", None), ("black_box", None)):
            if found[name] == unused:
                del found[name]
        if any(each.settings for each in self.layer):
            built["settings"] = [each.settings for each in self.layer]
        return {**found, **built}

    def training(self, arm: Any, seed: int, data: Dataset) -> Training:
        """Return what one arm learns with one seed, not yet begun."""
        if arm.backpropagation is not None:
            from neurosim.study.forward_forward_taught import TaughtLayers

            return TaughtLayers(self, arm, seed, data)
        from neurosim.study.forward_forward import ForwardForwardTraining

        return ForwardForwardTraining(self, arm, seed, data)

    def holding(self, data: Dataset) -> dict[str, Any]:
        """Return what each arm's devices make of the weights of each layer."""
        from neurosim.study.forward_forward_build import holding

        return {
            arm.name: holding(self, arm, data.image_shape, classes=data.classes) for arm in self.device_arms()
        }

    def beforehand(self, data: Dataset) -> dict[str, Any]:
        """Return what each arm's devices make of the weights of each layer; refuses what an arm cannot have."""
        from neurosim.study.forward_forward_build import neurons_of

        for arm in self.arms():
            self.blocks_fit(arm, neurons_of(self, data.image_shape))
        return {**super().beforehand(data), "holding": self.holding(data)}

    def scores(self, result: Any) -> dict[str, float]:
        """Return the accuracies of one finished run: of the first readout, and of each."""
        return {"accuracy": result["accuracy"], **result["readouts"]}

    def followed(self, data: Dataset, fit: Labelled, hold_out: bool) -> Labelled:
        """Return the images on which the accuracy is followed: some of the validation split, or of those learnt."""
        held = Labelled(data.x_validation, data.y_validation) if hold_out else fit
        return Labelled(held.images[: self.curve_images], held.labels[: self.curve_images])

    def summarise(self, runs: list[Any]) -> dict[str, Any]:
        """Return the runs, and the accuracy of each arm by each readout."""
        from neurosim.study.forward_forward import summarise

        return {"runs": runs, "summary": summarise(self, runs)}

    def about_data(self, data: Dataset) -> dict[str, Any]:
        """Return what the results say of the images, those included on which the accuracy was followed."""
        followed = "validation split" if self.hold_out else "training images"
        return {**super().about_data(data), "followed_on": followed}
