"""What a comparison of one layer is: its neurons, its rule, and the devices that it is compared on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from pydantic import Field, field_validator, model_validator

from neurosim import rules
from neurosim.core.errors import ConfigError
from neurosim.core.protocols import Rule, needs_phase
from neurosim.data.dataset import Dataset
from neurosim.network.starts import Start
from neurosim.study.arm import IDEAL, Arm, Positive
from neurosim.study.doors import RuleName
from neurosim.study.experiment import Experiment

if TYPE_CHECKING:
    from neurosim.study.dense import DenseTraining


class DenseArm(Arm):
    """One way to learn the layer, in ideal arithmetic or on devices."""

    window: Positive | None = None
    """One number: there is one layer."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of the rule, where they are not the experiment's `rule_options`."""

    def deciding(self) -> dict[str, Any]:
        """Return everything that decides the bits of a settled arm's runs; no settings of its own are none at all."""
        found = super().deciding()
        if not self.settings:
            del found["settings"]
        return found


class DenseExperiment(Experiment):
    """A comparison of one layer in ideal arithmetic with the same layer on devices."""

    kind: ClassVar[str] = "dense"
    learns_together: ClassVar[bool] = True
    arm_kind: ClassVar[type[Arm]] = DenseArm
    aside: ClassVar[frozenset[str]] = frozenset({"readout_epochs"})

    rule: RuleName = "softhebb"
    rule_options: dict[str, Any] = Field(default_factory=dict)
    neurons: int = Field(100, ge=2)
    epochs: int = Field(1, ge=1)
    batch: int = Field(32, ge=1)
    start_radius: float = Field(2.5, gt=0)
    """Norm of the start weights; of "normal-paper" 1.25 times as large."""
    start: Start = "positive"
    """How they are drawn: uniform from zero, as the authors' code has it for layers without normalisation, or "negative",
    "normal", "normal-paper" (`neurosim.study.layers.Layer`)."""
    norm_every: int = Field(100, ge=1)
    """Updates between measurements of the column norms."""
    calibrate_every: int | None = Field(100, ge=1)
    """Updates between calibrations of the ADC's range on the present mini-batch."""
    curve_points: int = Field(10, ge=0)
    """Looks at the accuracy of the vote while it learns, on training images."""
    readout_epochs: int = Field(10, ge=1)
    arm: tuple[DenseArm, ...] = ()
    window: Positive = 1.3
    """Largest storable weight, in multiples of the largest start weight of uniform ones, which is the root of three times their
    rms; of normal ones in as many times theirs (unless write.w_max is given)."""

    @field_validator("arm", mode="before")
    @classmethod
    def _any_arm(cls, given: Any) -> Any:
        """Take an arm of no kind of study as one of this."""
        if not isinstance(given, list | tuple):
            return given
        return [arm.model_dump(exclude_unset=True) if type(arm) is Arm else arm for arm in given]

    @model_validator(mode="after")
    def _arms_are_on_devices(self) -> Self:
        for arm in self.arm:
            if arm.device is None:
                raise ValueError(f"arm '{arm.name}': device is missing; ideal arithmetic is compared anyway")
        return self

    @property
    def implied(self) -> list[Any]:
        """Ideal arithmetic, which is always compared."""
        return [DenseArm(name=IDEAL)]

    def deciding(self) -> dict[str, Any]:
        """Return the settings, beside those of an arm, that decide the bits of what is learnt."""
        found = super().deciding()
        if self.start == "positive":
            del found["start"]
        return found

    def build_rule(self, arm: Any = None) -> Rule:
        """Return the learning rule, of an arm with its own settings; raises `UnknownNameError` or `ConfigError`."""
        own = getattr(arm, "settings", {})
        where = f"arm {arm.name}, settings" if own else f"rule {self.rule}"
        return phaseless(self.rule, {**self.rule_options, **own}, where)

    def check(self) -> None:
        """Refuse before any work what would fail later: unknown devices, rules, parameters or settings."""
        from neurosim.study.dense import build_layer

        rule = self.build_rule()
        devices = self.device_arms()
        if rule.ideal_only and devices:
            raise ConfigError(f"rule '{rule.name}' exists in ideal arithmetic only; leave the devices out")
        super().check()
        for arm in devices:
            build_layer(self, arm, 4, 0)
        for arm in self.arm:
            self.build_rule(arm)

    def training(self, arm: Any, seed: int, data: Dataset) -> DenseTraining:
        """Return what one arm learns with one seed, not yet begun."""
        from neurosim.study.dense import DenseTraining

        return DenseTraining(self, arm, seed, data)

    def scores(self, result: Any) -> dict[str, float]:
        """Return the accuracies of one finished run by name; the first is the headline."""
        return {name: result[name] for name in ("accuracy", "accuracy_triangle", "vote")}

    def summarise(self, runs: list[Any]) -> dict[str, Any]:
        """Return the runs, and for each arm means, intervals, gaps, tests and the share of the learning kept."""
        from neurosim.study.compare import summarise

        return {"runs": runs, "summary": summarise(runs)}

    def holding(self, data: Dataset) -> dict[str, Any]:
        """Return what each arm's devices make of weights as large as those the layer starts with."""
        from neurosim.study.dense import holding

        rows = data.x_train.shape[1]
        return {arm.name: [holding(self, arm, rows)] for arm in self.device_arms()}

    def beforehand(self, data: Dataset) -> dict[str, Any]:
        """Return the accuracy of the linear readout on raw pixels, which needs no layer; refuses what an arm cannot have."""
        from neurosim.study.compare import raw_pixels

        return {**super().beforehand(data), "baselines": [raw_pixels(self, data)]}


def phaseless(name: str, settings: dict[str, Any], where: str, fitting: dict[str, Any] | None = None) -> Rule:
    """Return a rule that learns without phases (`neurosim.rules.build`); raises `UnknownNameError` or `ConfigError`."""
    if needs_phase(rules.load(name)):
        raise ConfigError(
            f"rule '{name}' learns from positive and negative data: train it with `neurosim ff`"
        )
    rule: Any = rules.build(name, settings, where, fitting)
    return cast(Rule, rule)
