"""What a study of mortal chips is: chips as arms of Forward-Forward, and how the chips they are copied to differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from neurosim.core.errors import ConfigError
from neurosim.core.frozen import Frozen
from neurosim.core.hardware import Draws
from neurosim.core.seeds import key
from neurosim.data.dataset import Dataset
from neurosim.network.black_box import BlackBox
from neurosim.study.forward_forward_spec import ForwardForwardArm, ForwardForwardExperiment

if TYPE_CHECKING:
    from neurosim.study.training import Report, Training

Kind = Literal["none", "devices", "faults", "converters", "neurons", "all"]
"""What another chip has drawn anew: nothing, one kind of draw alone, or everything."""
KINDS: tuple[Kind, ...] = ("none", "devices", "faults", "converters", "neurons", "all")


def draws_of(kind: Kind, original: int, other: int) -> Draws:
    """Return the draws of a chip that has those of `original` but for one kind, of which it has those of `other`."""
    return Draws(**{name: other if kind in (name, "all") else original for name in Draws.model_fields})


def chip_seed(seed: int, number: int) -> int:
    """Return the seed of the chip of that number that the network with a seed is copied to."""
    return int(key(seed, "chip", number)[0])


def differences(arm: ForwardForwardArm, box: BlackBox | None = None) -> list[str]:
    """Return the kinds of draws in which two chips of a settled arm differ, with a black box between their layers or none."""
    found = [] if arm.device is None else ["devices"]
    if arm.device is not None:
        device, read = arm.law(), arm.read_path()
        if (
            device.p_stuck_gmin
            or device.p_stuck_gmax
            or device.p_stuck_between
            or device.p_stuck_measured
            or arm.hardware().get("faults")
        ):
            found.append("faults")
        if read.adc_gain_spread or read.adc_offset_lsb or read.amplifier_offset_V:
            found.append("converters")
    if (arm.neurons is not None and arm.neurons.differ) or (box is not None and box.mixing):
        found.append("neurons")
    return found


class Distilled(Frozen):
    """How a new chip learns from what the first says of images, and which true labels it may see (Hinton, section 9)."""

    labels: int = Field(100, ge=1)
    """Images whose true label the new chip may see, as many of each class as can be; drawn by the seed. The control learns
    from these alone."""
    epochs: int | None = Field(None, ge=1)
    """Over all training images, whose other labels it does not see; default: `relearn_epochs`. The control takes as many
    updates."""
    temperature: float = Field(1.0, gt=0)
    """By which the first chip's scores are divided before they become probabilities."""


class MortalExperiment(ForwardForwardExperiment):
    """Networks that learn on one chip, are copied to others, and go on learning there; each arm is a make of chips."""

    kind: ClassVar[str] = "mortal"
    one_training: ClassVar[bool] = False

    kinds: tuple[Kind, ...] = KINDS
    """How the other chips differ from the first; kinds that chips of an arm do not have are left out."""
    chips: int = Field(2, ge=1)
    """Other chips of each kind and seed."""
    relearn_epochs: int = Field(1, ge=1)
    """Epochs of learning at another chip, from the copied weights and from scratch."""
    relearn_rate: float = Field(1.0, gt=0)
    """Share of the rule's rate with which copied weights learn on; from scratch layers have the whole."""
    recovered_within: float = Field(0.01, gt=0, lt=1)
    """Share of images that a recovered network may still be behind the original."""
    distilled: Distilled | None = None
    """What the first chip knows is handed on to new ones as answers instead of weights, beside the other ways; None: it is not."""

    @model_validator(mode="after")
    def _chips_differ(self) -> Self:
        if not self.supervised:
            raise ValueError(
                "supervised = false: copies are compared by goodness and head, which need labels"
            )
        if any(arm.backpropagation is not None for arm in self.arm):
            raise ValueError(
                "backpropagation: copies are made of layers that learn on chips; leave that arm out"
            )
        if self.receptive is not None:
            raise ValueError(
                "local receptive fields: copies are made of fully connected layers; choose another preset"
            )
        if any(arm.layer for arm in self.arm) or any("learning_rate" in each.settings for each in self.layer):
            raise ValueError(
                "layers of their own in an arm, or a learning_rate in one: chips of a mortal study differ as a whole, and "
                "learn on at one rate; give these to the arm"
            )
        if not self.kinds:
            raise ValueError(f"kinds: give at least one of {', '.join(KINDS)}")
        for arm in self.arms():
            if not arm.learns:
                raise ValueError(f"arm {arm.name}, learns = false: only what was learnt can be copied")
            if not self.kinds_of(arm):
                raise ValueError(
                    f"arm {arm.name}: no two of its chips differ in any of {', '.join(self.kinds)}; give it a device, "
                    "p_stuck_between, read.adc_gain_spread, neurons.power_spread or black_box.mixing, or the kind 'none'"
                )
        return self

    def kinds_of(self, arm: ForwardForwardArm) -> list[Kind]:
        """Return the kinds that the other chips of an arm are made of; where all is one of them, once."""
        own = differences(arm.settled(self), self.box_of(arm))
        alone = len(own) == 1 and own[0] in self.kinds
        known = {"none", *own, *(("all",) if own and not alone else ())}
        return [kind for kind in self.kinds if kind in known]

    def most_different(self, arm: ForwardForwardArm) -> Kind:
        """Return the kind of the other chips of an arm that share least with the first."""
        kinds = self.kinds_of(arm)
        return "all" if "all" in kinds else max(kinds, key=KINDS.index)

    def learning_on(self, arm: ForwardForwardArm) -> ForwardForwardArm:
        """Return the arm with the rate of copied weights that learn on."""
        rate = self.relearn_rate * arm.build_rule(1).learning_rate
        return (
            arm if self.relearn_rate == 1 else arm.changed(settings={**arm.settings, "learning_rate": rate})
        )

    def for_epochs(self, epochs: int) -> ForwardForwardExperiment:
        """Return the training of a single chip: what the study sets beyond it does not belong to its checkpoint."""
        shared = self.model_dump(exclude_unset=True, include=set(ForwardForwardExperiment.model_fields))
        return ForwardForwardExperiment.parse({**shared, "epochs": epochs}, "training at a chip")

    def deciding(self) -> dict[str, Any]:
        """Return the settings, beside those of an arm, that decide the bits of what is learnt."""
        found = super().deciding()
        if self.distilled is None:
            del found["distilled"]
        return found

    def beforehand(self, data: Dataset) -> dict[str, Any]:
        """Return what the results say that is known before any training; refuses more labels than there are images."""
        images = len(data.training().labels)
        if self.distilled is not None and self.distilled.labels > images:
            raise ConfigError(
                f"distilled.labels = {self.distilled.labels}: only {images} images are learnt; give at most as many, or "
                "more train_images"
            )
        return super().beforehand(data)

    def training(self, arm: Any, seed: int, data: Dataset) -> Training:
        """Return what learns on the first chip of an arm, not yet begun."""
        from neurosim.study.mortal import ChipTraining

        return ChipTraining(self.for_epochs(self.epochs), arm, seed, data)

    def run(self, arm: Any, seed: int, data: Dataset, out: Path | None, report: Report | None) -> Any:
        """Carry out one arm with one seed: the original, and all its copies."""
        from neurosim.study.mortal import original_and_copies

        return original_and_copies(self, arm, seed, data, out, report)

    def scores(self, result: Any) -> dict[str, float]:
        """Return the accuracy at the original chip, and the means over copies as they arrive and after learning on."""
        found = {"accuracy": result["original"]["accuracy"]}
        copies, readout = result["copies"], self.readouts[0]
        ways = {"relearnt": "copied", "scratch": "scratch"}
        if self.distilled is not None:
            ways |= {"distilled": "distilled", "few": "few"}
        arrived = [run["before"][readout] for run in copies if run["way"] == "copied"]
        found["copied"] = sum(arrived) / len(arrived)
        for name, way in ways.items():
            values = [run["readouts"][readout] for run in copies if run["way"] == way]
            found[name] = sum(values) / len(values)
        return found

    def summarise(self, runs: list[Any]) -> dict[str, Any]:
        """Return originals, runs at other chips, what copying lost and learning recovered, and what could be handed on."""
        from neurosim.study.distilled import handed_on
        from neurosim.study.mortal import summarise

        originals = [each["original"] for each in runs]
        copies = [run for each in runs for run in each["copies"]]
        found = {"originals": originals, "runs": copies, "summary": summarise(self, originals, copies)}
        if self.distilled is not None:
            found["distilled"] = handed_on(self, found["summary"], originals, copies)
        return found

    def about_data(self, data: Dataset) -> dict[str, Any]:
        """Return what the results say of the images; those of validation are always left out of what is learnt."""
        found = super().about_data(data)
        return {**found, "followed_on": "validation split", "train_images": len(data.training().labels)}
