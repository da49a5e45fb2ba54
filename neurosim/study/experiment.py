"""What every experiment has: data, seeds, arrays that its arms share, and the arms; unknown keys are errors."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

import neurosim.data
from neurosim import rules
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.crossbar.write_limits import refuse_in_mode
from neurosim.data.dataset import Dataset, Labelled
from neurosim.study.arm import IDEAL, ON_DEVICE, Arm, Arrays, device_name
from neurosim.study.doors import CardName, DataName, called
from neurosim.study.selection import chosen_on

if TYPE_CHECKING:
    from neurosim.study.training import Report, Training


class Experiment(Arrays):
    """Ways to do the same, each an arm with a name, all with the same images and seeds.

    A kind of study is a class below this one, with its settings and layers, and a `Training`.
    """

    kind: ClassVar[str]
    """Name of the kind of study."""
    arm_kind: ClassVar[type[Arm]] = Arm
    one_training: ClassVar[bool] = True
    """Whether what an arm learns with a seed is one training, which can be read again in other ways."""
    learns: ClassVar[bool] = True
    """Whether anything learns on the devices; or what was learnt elsewhere is programmed onto them."""
    learns_together: ClassVar[bool] = False
    """Whether seeds can learn as one batch of instances (`Arm.together`)."""
    spikes: ClassVar[bool] = False
    """Whether neurons spike: they integrate currents without converters, and time runs as samples are shown."""
    aside: ClassVar[frozenset[str]] = frozenset()
    """Settings of the evaluation: another value trains nothing anew."""

    dataset: DataName = "digits"
    train_images: int | None = Field(None, ge=12)
    """Images to train on (a fixed random subset); None is all."""
    test_images: int | None = Field(None, ge=10)
    hold_out: bool = False
    """Train without the validation split and report accuracy on it: for tuning, so the test set stays unseen."""
    seeds: int = Field(1, ge=1)
    """Runs of each arm, paired between arms."""
    first_seed: int = 0
    device: tuple[CardName, ...] = ()
    """Devices of arms that differ in nothing else."""
    chosen_on: tuple[str, ...] = ()
    """Kept results by which the settings were chosen, files or folders, all on validation images; in an experiment file
    they start at its folder."""
    then_aged_s: float | None = Field(None, gt=0)
    """After the results are made: leave each chip alone for so many seconds, read it, and let it learn as many images
    again."""
    arm: tuple[Arm, ...] = ()

    @model_validator(mode="after")
    def _can_be_left_alone(self) -> Self:
        if self.then_aged_s is not None and not (self.learns and self.one_training):
            raise ValueError(
                f"then_aged_s: nothing can learn on in a study of kind '{self.kind}'; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _arms_differ(self) -> Self:
        for arm in self.arm:
            if arm.device and arm.name.strip().casefold() == IDEAL:
                raise ValueError(
                    f"arm '{arm.name}' is on devices, and ideal arithmetic is called so; call it '{ON_DEVICE}', say"
                )
        names = [arm.name for arm in self.listed]
        if "" in names:
            raise ValueError("arm.name: give each arm in ideal arithmetic a name")
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"two arms are called '{doubled.pop()}'; give each arm a name of its own")
        self._one_reading_delay()
        return self

    def _one_reading_delay(self) -> None:
        """Refuse arms that are read at different ages after a write: they cannot be compared."""
        shared = self.read.reading_delay_s
        delays = {arm.name: arm.read.get("reading_delay_s", shared) for arm in self.listed if arm.device}
        if len(set(delays.values())) > 1:
            told = ", ".join(f"{name}: {delay or 'its own'}" for name, delay in delays.items())
            raise ValueError(
                f"read.reading_delay_s is one number of an experiment, but here {told} (s); arms that are read at "
                "different ages cannot be compared"
            )

    def __repr__(self) -> str:
        arms = [arm.name for arm in self.listed]
        named = ", ".join(arms[:4]) + (f" and {len(arms) - 4} more" if len(arms) > 4 else "")
        return f"<{type(self).__name__} on {self.dataset}, {self.seeds} seed{'s' if self.seeds > 1 else ''}: {named}>"

    __str__ = __repr__

    @property
    def implied(self) -> list[Any]:
        """Arms that are there without being listed: ideal arithmetic, where no arm is listed."""
        return [] if self.arm else [self.arm_kind(name=IDEAL)]

    @property
    def listed(self) -> list[Any]:
        """All arms with their names, as they were given."""
        devices = [self.arm_kind(device=name) for name in self.device]
        return [*self.implied, *map(_named, devices), *map(_named, self.arm)]

    def arms(self) -> list[Any]:
        """Return all arms with every setting of their arrays filled in; raises for unknown device cards."""
        return [arm.settled(self) for arm in self.listed]

    def device_arms(self) -> list[Any]:
        """Return those of `arms` that are on devices."""
        return [arm for arm in self.arms() if arm.device is not None]

    def device_parts(self) -> dict[str, Any]:
        """Return what there is of arrays of devices: `device_arms` by name, and layers of theirs that differ."""
        return {name: part for arm in self.device_arms() for name, part in arm.parts().items()}

    def planned(self, ideal: bool = True) -> list[tuple[int, Any]]:
        """Return seed and arm of each run, the first seed of every arm first."""
        arms = [arm for arm in self.arms() if ideal or arm.name != IDEAL]
        most = max((arm.seeds or self.seeds for arm in arms), default=0)
        return [
            (self.first_seed + k, arm) for k in range(most) for arm in arms if k < (arm.seeds or self.seeds)
        ]

    @property
    def seed_list(self) -> list[int]:
        """The seeds, one run of every arm each."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    def only(self, names: list[str]) -> Self:
        """Return the same with these arms alone; raises `UnknownNameError` for one that is not there."""
        known = {arm.name: arm for arm in self.listed}
        for name in names:
            if name not in known:
                raise UnknownNameError("arm", name, known)
        implied = {arm.name for arm in self.implied}
        return self.with_arms([known[name] for name in names if name not in implied])

    def with_arms(self, arms: Sequence[Any]) -> Self:
        """Return the same with other arms and no list of devices."""
        return self.model_copy(update={"arm": tuple(arms), "device": ()})

    def at_one_age(self) -> Self:
        """Return the same for devices that are read at the one age that a sweep says."""
        return self

    def deciding(self) -> dict[str, Any]:
        """Return the settings, beside those of an arm, that decide the bits of what is learnt."""
        elsewhere = {*Experiment.model_fields, *self.aside}
        return self.model_dump(mode="json", exclude=elsewhere)

    def evaluating(self) -> dict[str, Any]:
        """Return the settings of the evaluation, which decide results and nothing that is learnt."""
        return self.model_dump(mode="json", include=set(self.aside))

    def data(self) -> Dataset:
        """Load the data set, cut to the number of images asked for."""
        return neurosim.data.load(self.dataset).subset(self.train_images, self.test_images)

    def splits(self, data: Dataset) -> tuple[Labelled, Labelled]:
        """Return (training, reporting) images: without and on the validation split, or all and the test set."""
        training = data.training(hold_out=self.hold_out)
        if self.hold_out:
            return training, Labelled(data.x_validation, data.y_validation)
        return training, Labelled(data.x_test, data.y_test)

    @property
    def reported_on(self) -> str:
        """Which images the accuracies are of."""
        return "validation split" if self.hold_out else "test set"

    def load_rule(self, rule: Any) -> Any:
        """Return a rule that a setting names, as a class or an object; raises as `neurosim.rules.load`."""
        return rules.load(rule)

    def check(self) -> None:
        """Refuse before any work what would fail later: unknown devices, parameters or settings."""
        from neurosim.study.kinds import KINDS, kind_of

        chosen_on(self)
        on = list(self.device_parts().values())
        for arm in on:
            if (arm.together or 1) > 1 and not (self.learns_together and arm.backend == "torch"):
                *most, last = (f"'{name}'" for name in KINDS if kind_of(name).learns_together)
                raise ConfigError(
                    f"arm {arm.name}: together = {arm.together}, but seeds learn as one batch only in studies of kind "
                    f"{', '.join(most)} and {last} on the torch backend; leave it out, and use --workers"
                )
            array = arm.array((4, 2), "layer 0", 0, 1.0)
            refuse_in_mode(arm.mode or "accumulate", array.write)
        for name in self.parameters:
            if on and not any(name in arm.parameters for arm in on):
                on[0].changed(parameters={name: None}).law()

    def said(self) -> list[str]:
        """Return what commands say before any work: what was assumed that no setting says."""
        return []

    def training(self, arm: Any, seed: int, data: Dataset) -> Training:
        """Return what one arm learns with one seed, not yet begun."""
        raise NotImplementedError

    def run(self, arm: Any, seed: int, data: Dataset, out: Path | None, report: Report | None) -> Any:
        """Carry out one arm with one seed and return what the results keep of it."""
        from neurosim.study.aged import finished_and_aged

        return finished_and_aged(self, arm, seed, data, out, report)

    def holding(self, data: Dataset) -> dict[str, Any]:
        """Return what each arm's devices make of the weights of each layer, by arm (`study.holding.held`)."""
        raise ConfigError(f"--holding: studies of kind '{self.kind}' do not say what devices make of weights")

    def beforehand(self, data: Dataset) -> dict[str, Any]:
        """Return what the results say that is known before any training; refuses what an arm cannot have."""
        self.check()
        return {}

    def summarise(self, runs: list[Any]) -> dict[str, Any]:
        """Return what the results say of finished runs: these, and of each arm the means of its scores."""
        from neurosim.study.summary import summary_of

        return {"runs": runs, "summary": summary_of(self, runs)}

    def scores(self, result: Any) -> dict[str, float]:
        """Return the accuracies of one finished run by name; the first is the headline."""
        return {"accuracy": result["accuracy"]}

    def beside(self, result: Any) -> dict[str, float]:
        """Return other shares of one finished run by name, which are no accuracies: test images leave nothing of them to chance."""
        return {}

    def about_data(self, data: Dataset) -> dict[str, Any]:
        """Return what the results say of the images."""
        fit, test = self.splits(data)
        return {
            "note": data.note,
            "image_shape": list(data.shape),
            "reported_on": self.reported_on,
            "train_images": len(fit.labels),
            "test_images": len(test.labels),
        }

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read an experiment file; raises `ConfigError` naming the file, the key and what is wrong."""
        from neurosim.study.kinds import kind_of

        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"experiment {path}: {error}") from None
        kind = values.pop("kind", cls.kind)
        if kind != cls.kind and kind_of(kind, path) is not cls:
            raise ConfigError(
                f"experiment {path.name}: kind = '{kind}', but this command is for '{cls.kind}'"
            )
        spec = cls.parse(values, f"experiment {path.name}")
        return spec.changed(chosen_on=[str(path.parent / name) for name in spec.chosen_on])


def _named(arm: Any) -> Any:
    """The arm with the name of its card where it has none of its own."""
    return arm if arm.name or not arm.device else arm.changed(name=device_name(called(arm.device)))
