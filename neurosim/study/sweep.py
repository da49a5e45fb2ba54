"""Sweeps: any experiment at any levels of any settings, as blocks that each keep their own file.

A block is what one arm learns with one seed at one point, read in all the ways that the sweep asks for. It is a pure
function of settings, images and code; which blocks are missing is seen in the folder, whatever carried them out.
"""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field

from neurosim.core.bits import BITS
from neurosim.core.errors import ConfigError, NeurosimError, UnknownNameError
from neurosim.core.frozen import Frozen
from neurosim.data.dataset import Dataset
from neurosim.study.arm import device_name
from neurosim.study.axis import Axis
from neurosim.study.code import own_code
from neurosim.study.doors import called
from neurosim.study.effects import EACH, WAYS, levels_of, named
from neurosim.study.experiment import Experiment
from neurosim.study.fields import AGE, READING, full_name, known_fields, with_setting
from neurosim.study.identity import content
from neurosim.study.kinds import kind_of
from neurosim.study.sizes import TIMES
from neurosim.study.store import text_digest

Measure = Literal["accuracy", "holding"]


class Enough(Frozen):
    """What a sweep that is read backwards calls enough (`neurosim.study.requirements`)."""

    share: float = Field(0.99, gt=0, le=1)
    """Share of an accuracy that is kept."""
    against: Literal["ideal", "device"] = "ideal"
    """Whose accuracy is meant: that of ideal arithmetic beside the arm, or of the arm's own device as given."""
    score: str = "accuracy"
    """Which of the accuracies: the headline, or another that each row has, as the vote of one layer."""


class Sweep(Frozen):
    """What is swept over which experiment."""

    experiment: str | dict[str, Any] = Field(default_factory=dict)
    """File of an experiment, or its settings."""
    kind: str | None = None
    """Kind of experiment; None: what the experiment itself says, or "dense"."""
    axis: tuple[Axis, ...] = Field(min_length=1)
    plan: Literal["grid", "one at a time"] = "grid"
    """Every level of an axis with every level of the others, or with what the experiment says of them."""
    measure: Measure = "accuracy"
    """What is learnt, or, before any training, what devices make of the weights of each layer (`neurosim.study.holding`)."""
    enough: Enough | None = None
    """Read the sweep backwards too: which level of each axis would be enough. An axis ``times.`` must have the level 1."""

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a sweep's file; the experiment's file is looked for beside it. Raises `ConfigError`."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"sweep {path}: {error}") from None
        if isinstance(values.get("experiment"), str):
            values["experiment"] = str(path.parent / values["experiment"])
        return cls.parse(values, f"sweep {path.name}")


class Point(NamedTuple):
    """A level of each axis that has one here, by the full name of its setting."""

    levels: dict[str, Any]
    learning: Experiment
    reading: Experiment
    age_s: float | None
    apart: bool = False
    """Whether an axis of the point is of learning alone, of reading alone, or the age: then all its levels are read anew."""


class Block(NamedTuple):
    """What one arm learns with one seed, and the points at which that is read; or what its devices hold, untrained."""

    arm: str
    seed: int
    points: tuple[Point, ...]
    measure: Measure = "accuracy"

    @property
    def learning(self) -> Experiment:
        """The experiment that is learnt."""
        return self.points[0].learning

    def learner(self) -> Any:
        """Return the arm that learns, its settings filled in."""
        return arm_of(self.learning, self.arm)

    def reads_again(self, point: Point) -> bool:
        """Whether what was learnt is calibrated anew and then read, and not as it learnt."""
        return self.learner().device is not None and (point.apart or not self._reads_alike(point))

    def _reads_alike(self, point: Point) -> bool:
        """Whether a point reads with the very settings that it learnt with."""
        learner = self.learner()
        return point.age_s is None and deciding(point.learning, learner) == deciding(
            point.reading, arm_of(point.reading, self.arm)
        )

    def key(self, images: str) -> str:
        """Return the name of the block's file: a digest of everything that decides its rows.

        Parameters
        ----------
        images : str
            Digest of the data set's content.
        """
        arm = self.learner()
        rows = [
            [deciding(point.reading, arm_of(point.reading, self.arm)), point.age_s, point.levels]
            + (["anew"] if self.reads_again(point) and self._reads_alike(point) else [])
            for point in self.points
        ]
        law = None if arm.device is None else arm.law()
        own = [BITS, self.learning.kind, self.arm, self.seed, images, own_code(law, self.learning)]
        own += [self.measure] if self.measure != "accuracy" else []
        return text_digest(json.dumps([own, deciding(self.learning, arm), rows], sort_keys=True))


def deciding(experiment: Experiment, arm: Any) -> list[Any]:
    """Return all that decides the result of a settled arm: settings, those of its evaluation too, and a rule's own code."""
    images = experiment.model_dump(mode="json", include={"hold_out", "dataset", "test_images"})
    aside = {**experiment.evaluating(), **images}
    given = [rule for rule in (getattr(each, "rule", None) for each in (experiment, arm)) if rule]
    return [experiment.deciding(), aside, arm.deciding(), own_code(*map(experiment.load_rule, given))]


def arm_of(experiment: Experiment, name: str) -> Any:
    """Return the arm of that name, settled; raises `UnknownNameError`."""
    for arm in experiment.arms():
        if arm.name == name:
            return arm
    raise UnknownNameError("arm", name, [arm.name for arm in experiment.arms()])


class Plan:
    """A sweep with its experiment read and its names resolved: the points and blocks that it stands for.

    Parameters
    ----------
    sweep : Sweep
    experiment : Experiment, optional
        Instead of the one that the sweep names.

    Raises
    ------
    NeurosimError
        If a setting is unknown or a level out of range; nothing has been computed then.
    """

    def __init__(self, sweep: Sweep, experiment: Experiment | None = None):
        self.sweep = sweep
        self.experiment = with_devices(experiment or _read(sweep), sweep.axis)
        if self.experiment.then_aged_s is not None:
            raise ConfigError(
                "then_aged_s: a sweep has the axis age_s instead; leave it out of the experiment"
            )
        if sweep.measure == "holding" and not self.experiment.learns:
            raise ConfigError("holding: nothing learns from weights trained elsewhere; leave it out")
        self.axes = self._resolved([axis for axis in sweep.axis if axis.field != "device"])
        self.columns = _columns(self.axes)
        """The axes by the names of their columns."""
        for axis in self.axes:
            self._refuse_when(axis)
        self._refuse_backwards()
        self.points = [self.point(levels) for levels in self._levels(self.columns)]
        for point in self.points:
            point.learning.check()
            point.reading.check()

    def _resolved(self, axes: Sequence[Axis]) -> list[Axis]:
        """The axes with the full names of their settings, and with effects by their names."""
        full = [axis.changed(field=full_name(self.experiment, axis.field)) for axis in axes]
        if not any(axis.field in WAYS for axis in full):
            return full
        others = _columns([axis for axis in full if axis.field not in WAYS])
        crossed = [self.point(levels, others).learning for levels in self._levels(others)]
        aged = self.sweep.plan == "grid" and any(axis.field == AGE for axis in full)
        each = levels_of([self.experiment, *crossed], aged)
        return [
            axis.changed(levels=_effects(axis.all_levels, each)) if axis.field in WAYS else axis
            for axis in full
        ]

    def _refuse_when(self, axis: Axis) -> None:
        """Refuse a level at a time that has none; raises `ConfigError`."""
        if self.sweep.measure == "holding" and (axis.when == "reading" or axis.field == AGE):
            raise ConfigError(
                f"axis {axis.field}: what devices hold is measured before anything is learnt or read; use when = 'both' or "
                f"'learning', and no {AGE}"
            )
        if axis.when == "reading" and axis.field != AGE and axis.field.split(".")[0] not in READING:
            raise ConfigError(
                f"axis {axis.field}: when = 'reading' is for {', '.join(READING)} and {AGE}; what devices are and how "
                "they are written is decided while they learn: use 'both' or 'learning'"
            )
        if not self.experiment.one_training and (axis.when != "both" or axis.field == AGE):
            raise ConfigError(
                f"axis {axis.field}: a study of kind '{self.experiment.kind}' is many trainings, each read where and when "
                f"it learns: use when = 'both', and no {AGE}"
            )

    def _refuse_backwards(self) -> None:
        """Refuse to read a sweep backwards that does not have each axis alone around the device as given; raises `ConfigError`."""
        given = [axis for axis in self.axes if axis.field.startswith(TIMES) and 1 in axis.all_levels]
        if self.sweep.enough is None:
            return
        if self.sweep.measure != "accuracy" or self.sweep.plan != "one at a time" or not given:
            raise ConfigError(
                "enough: what is enough is read from axes one at a time around the device as given; use plan = 'one at a "
                f"time', an axis {TIMES}.… with the level 1, and measure = 'accuracy'"
            )

    @property
    def units(self) -> dict[str, str]:
        """Unit of each axis, by the name of its column."""
        known = known_fields(self.experiment)
        return {column: known.get(axis.field, "") for column, axis in self.columns.items()}

    def _levels(self, columns: dict[str, Axis]) -> Iterator[dict[str, Any]]:
        """The levels of each point."""
        if not columns:
            yield {}
        elif self.sweep.plan == "grid":
            for levels in itertools.product(*(axis.all_levels for axis in columns.values())):
                yield dict(zip(columns, levels, strict=True))
        else:
            for column, axis in columns.items():
                for level in axis.all_levels:
                    yield {column: level}

    def point(self, levels: dict[str, Any], columns: dict[str, Axis] | None = None) -> Point:
        """Return what is learnt and read at some levels; effects are taken away from what the other levels make."""
        columns = self.columns if columns is None else columns
        learning = reading = self.experiment
        for column, level in sorted(levels.items(), key=lambda item: columns[item[0]].field in WAYS):
            axis = columns[column]
            try:
                if axis.when != "reading":
                    learning = with_setting(learning, axis.field, level, AGE in levels)
                if axis.when != "learning":
                    reading = with_setting(reading, axis.field, level, AGE in levels)
            except NeurosimError as error:
                raise ConfigError(f"axis {column}, level {level}: {error}") from None
        age = levels.get(AGE)
        if age is not None and not (isinstance(age, int | float) and 0 <= age < float("inf")):
            raise ConfigError(f"axis {AGE}, level {age}: must be finite and at least 0")
        apart = any(columns[name].when != "both" or name == AGE for name in levels)
        return Point(levels, learning, reading, None if age is None else float(age), apart)

    def blocks(self) -> list[Block]:
        """Return the blocks, each with all points that read the same training; the first seed of every arm first.

        Seeds that learn together follow each other.
        """
        found: dict[str, Block] = {}
        holding = self.sweep.measure == "holding"
        for point in self.points:
            untrained = [(0, arm) for arm in point.learning.device_arms()]
            for seed, arm in untrained if holding else point.learning.planned():
                learnt = json.dumps([arm.name, seed, deciding(point.learning, arm)], sort_keys=True)
                block = found.get(learnt, Block(arm.name, seed, (), self.sweep.measure))
                found[learnt] = block._replace(points=(*block.points, point))
        return sorted(found.values(), key=_turn)

    def data(self) -> dict[str, Dataset]:
        """Return the data set of each point's images, by what it is named and cut to."""
        found: dict[str, Dataset] = {}
        for point in self.points:
            for experiment in (point.learning, point.reading):
                if data_key(experiment) not in found:
                    found[data_key(experiment)] = experiment.data()
        return found


def _turn(block: Block) -> int:
    together = 1 if block.measure == "holding" else block.learner().together or 1
    return block.seed // together


def data_key(experiment: Experiment) -> str:
    """Return what says which images an experiment has."""
    return experiment.model_dump_json(include={"dataset", "train_images", "test_images"})


def images_digest(experiment: Experiment, data: Dataset) -> str:
    """Return the digest of the images that are learnt and of those reported on."""
    fit, test = experiment.splits(data)
    return text_digest(content(data, fit, data.x_unlabelled) + content(data, test))


def _read(sweep: Sweep) -> Experiment:
    """The experiment that a sweep names."""
    if isinstance(sweep.experiment, str):
        path = Path(sweep.experiment)
        return kind_of(sweep.kind, path).from_toml(path)
    return kind_of(sweep.kind).parse(sweep.experiment, "sweep, experiment")


def _columns(axes: Sequence[Axis]) -> dict[str, Axis]:
    """The axes by the names of their columns: their settings, or `SETTING@WHEN` of the two of one that is given at each time.

    Raises
    ------
    ConfigError
        If one is given twice otherwise.
    """
    found: dict[str, Axis] = {}
    for axis in axes:
        times = sorted(other.when for other in axes if other.field == axis.field)
        if len(times) > 1 and times != ["learning", "reading"]:
            raise ConfigError(
                f"axis {axis.field} is given twice; two of one setting go together as @learning and @reading alone"
            )
        found[axis.field if len(times) == 1 else f"{axis.field}@{axis.when}"] = axis
    return found


def _effects(levels: Sequence[Any], each: Sequence[str]) -> tuple[str, ...]:
    """Effects as they are known, "each" written out, all of them once."""
    found = [name for level in levels for name in (each if level == EACH else [named(level, each)])]
    return tuple(dict.fromkeys(found))


def with_devices(experiment: Experiment, axes: Sequence[Axis]) -> Experiment:
    """Return the experiment with every arm on each device of an axis "device"."""
    devices = [level for axis in axes if axis.field == "device" for level in axis.all_levels]
    if not devices:
        return experiment
    if any(axis.field == "device" and axis.when != "both" for axis in axes):
        raise ConfigError("axis device: what learns is what is read; leave out when")
    arms = [arm for arm in experiment.listed if arm.device is not None]
    if not arms:
        return experiment.changed(device=tuple(devices))
    several = len(arms) > 1
    on = [
        changed.changed(name=f"{arm.name}, {stem}" if several else stem)
        for arm in arms
        for changed in (arm.changed(device=device) for device in devices)
        for stem in [device_name(called(changed.device))]
    ]
    listed = [arm for arm in experiment.arm if arm.device is None]
    return experiment.with_arms([*listed, *on])
