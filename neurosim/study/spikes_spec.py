"""What a comparison of spiking layers is: neurons, inhibition, a spike rule, and how long each image is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from neurosim.core.config import ReadPath
from neurosim.core.errors import ConfigError
from neurosim.data.dataset import Dataset
from neurosim.rules.spikes import SpikeRule
from neurosim.rules.spikes_loading import build, load
from neurosim.spiking.neurons import LIF, Circuit, Hard, Izhikevich, Soft
from neurosim.study.arm import Arm, Positive
from neurosim.study.experiment import Experiment

if TYPE_CHECKING:
    from neurosim.study.spikes import SpikesTraining


def _of_kind(*kinds: Any) -> BeforeValidator:
    """Makes of settings the model whose ``kind`` they say; the first where they say none."""
    known = {kind.model_fields["kind"].default: kind for kind in kinds}

    def made(given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        name = given.get("kind", next(iter(known)))
        if name not in known:
            raise ValueError(f"kind = {name!r}: must be one of {', '.join(known)}")
        return known[name].model_validate(given)

    return BeforeValidator(made)


AnyNeuron = Annotated[LIF | Izhikevich, _of_kind(LIF, Izhikevich)]
AnyInhibition = Annotated[Hard | Soft | Circuit, _of_kind(Hard, Soft, Circuit)]


class SpikesArm(Arm):
    """One way to learn the layer, in ideal arithmetic or on devices; what is left out is the experiment's."""

    window: Positive | None = None
    """One number: there is one layer."""
    learns: bool = True
    """False: the layer stays as it starts, thresholds adapt; the control of all that learns."""
    rule: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of the rule, where they are not the experiment's `rule_options`; with a rule of its own, all that is set of it."""
    neuron: AnyNeuron | None = None
    inhibition: AnyInhibition | None = None
    update_every_s: float | None = Field(None, gt=0)
    start: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _spikes_are_its_transfer(self) -> Self:
        if self.neurons is not None:
            raise ValueError(
                f"arm '{self.name}', neurons: a transfer of currents has no meaning where neurons spike; give the arm a "
                "neuron of its own"
            )
        return self


class SpikesExperiment(Experiment):
    """A comparison of one layer of spiking neurons in ideal arithmetic with the same layer on devices."""

    kind: ClassVar[str] = "spikes"
    arm_kind: ClassVar[type[Arm]] = SpikesArm
    spikes: ClassVar[bool] = True
    aside: ClassVar[frozenset[str]] = frozenset({"readout_epochs", "label_images"})

    rule: str = "window-stdp"
    rule_options: dict[str, Any] = Field(default_factory=dict)
    neurons: int = Field(100, ge=2)
    neuron: AnyNeuron = LIF(
        membrane_s=50e-3, threshold_mV=-64.0, gain_mV=0.1, adaptation_mV=0.1, target_Hz=0.4
    )
    inhibition: AnyInhibition | None = Hard()
    epochs: int = Field(1, ge=1)
    batch: int = Field(100, ge=1)
    """Images between two places where a training can be stopped."""
    dt_s: float = Field(1e-3, gt=0)
    """Length of a time step."""
    shown_s: float = Field(0.15, gt=0)
    """How long an image is shown."""
    pause_s: float = Field(0.0, ge=0)
    """Silence after it, in which potentials go back to rest; none, and they do so at once."""
    highest_Hz: float = Field(100.0, gt=0)
    """Spike rate of the brightest pixel."""
    update_every_s: float | None = Field(None, gt=0)
    """Changes are gathered for so long; None: each is given after the time step of its spikes."""
    start: tuple[float, float] = (0.1, 0.5)
    """Ends of the uniform start weights."""
    norm_every: int = Field(100, ge=1)
    """Updates between measurements of the column norms, for rules that need them."""
    curve_points: int = Field(5, ge=0)
    """Looks at the accuracy of the assigned neurons while it learns, on training images."""
    curve_images: int = Field(1000, ge=10)
    """Images to which each look assigns neurons, and as many on which it counts."""
    label_images: int | None = Field(10000, ge=10)
    """Training images that give neurons their classes and the linear readout its weights; None is all."""
    readout_epochs: int = Field(10, ge=1)
    read: ReadPath = ReadPath()
    window: Positive = 1.0
    """Largest storable weight (unless write.w_max is given)."""
    arm: tuple[SpikesArm, ...] = ()

    @field_validator("read", mode="before")
    @classmethod
    def _eight_bits_unless_said(cls, value: Any) -> Any:
        """Leave reads without converters: neurons integrate currents."""
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.highest_Hz * self.dt_s > 1:
            raise ValueError(
                f"highest_Hz = {self.highest_Hz:g} is more than one spike in each step of dt_s = {self.dt_s:g}; take shorter "
                "steps"
            )
        for low, high in [self.start, *(arm.start for arm in self.arm if arm.start)]:
            if low > high:
                raise ValueError(f"start: its ends are {low:g} and {high:g}; give the lower one first")
        if self.seconds_per_update or any(arm.seconds_per_update for arm in self.arm):
            raise ValueError(
                "seconds_per_update has no meaning here: time runs as images are shown; give shown_s and pause_s"
            )
        return self

    def build_rule(self, arm: Any = None) -> SpikeRule:
        """Return the spike rule of an arm; raises `UnknownNameError` or `ConfigError`."""
        own = getattr(arm, "rule", None)
        settings = getattr(arm, "settings", {})
        shared = {} if own else self.rule_options
        return build(
            own or self.rule,
            {**shared, **settings},
            f"arm {arm.name}, settings" if settings else "rule_options",
        )

    def load_rule(self, rule: Any) -> Any:
        """Return a spike rule that a setting names."""
        return load(rule)

    def of_arm(self, arm: Any, name: str) -> Any:
        """Return a setting of an arm, or the experiment's where the arm has none."""
        own = getattr(arm, name)
        return getattr(self, name) if own is None else own

    def check(self) -> None:
        """Refuse before any work what would fail later."""
        from neurosim.study.spikes import build_layer

        super().check()
        for arm in self.arms():
            if arm.backend == "torch":
                raise ConfigError(
                    f"arm {arm.name}, backend = torch: spikes are followed by numba alone; leave it out"
                )
            build_layer(self, arm, 4, 0).array.spike_lines()

    def training(self, arm: Any, seed: int, data: Dataset) -> SpikesTraining:
        """Return what one arm learns with one seed, not yet begun."""
        from neurosim.study.spikes import SpikesTraining

        return SpikesTraining(self, arm, seed, data)

    def holding(self, data: Dataset) -> dict[str, Any]:
        """Return what each arm's devices make of weights as large as those the layer starts with."""
        from neurosim.study.spikes import holding

        return {arm.name: [holding(self, arm, data.rows)] for arm in self.device_arms()}

    def beforehand(self, data: Dataset) -> dict[str, Any]:
        """Return what each arm's devices make of the start weights; refuses what an arm cannot have."""
        return {**super().beforehand(data), "holding": self.holding(data)}

    def summarise(self, runs: list[Any]) -> dict[str, Any]:
        """Return the runs, and the accuracy of each arm by each score."""
        from neurosim.study.spikes import summarise

        return {"runs": runs, "summary": summarise(self, runs)}

    def scores(self, result: Any) -> dict[str, float]:
        """Return the accuracies of one finished run: of the assigned neurons, and of a linear readout of spike counts."""
        return {name: result[name] for name in ("accuracy", "accuracy_linear")}
