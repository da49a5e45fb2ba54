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

import numpy as np
from pydantic import Field, field_validator, model_validator

from neurosim import rules
from neurosim.core.bits import BITS
from neurosim.core.config import Frozen
from neurosim.core.errors import ConfigError, NeurosimError, UnknownNameError
from neurosim.data.dataset import Dataset
from neurosim.study.arm import device_name
from neurosim.study.code import own_code
from neurosim.study.doors import called
from neurosim.study.experiment import Experiment
from neurosim.study.fields import AGE, READING, full_name, known_fields, with_setting
from neurosim.study.kinds import kind_of
from neurosim.study.store import text_digest
from neurosim.study.training import content

When = Literal["both", "learning", "reading"]


class Span(Frozen):
    """Levels at equal distances, or at equal ratios."""

    start: float
    stop: float
    count: int = Field(ge=2, le=1000)

    def levels(self, log: bool) -> tuple[float, ...]:
        """Return the levels, both ends among them."""
        if log and not (self.start > 0 and self.stop > 0):
            raise ValueError("log: start and stop must be above 0")
        make = np.geomspace if log else np.linspace
        return tuple(float(f"{value:.12g}") for value in make(self.start, self.stop, self.count))


class Axis(Frozen):
    """One setting at several levels."""

    field: str
    """Name of a setting: "read_noise", "wires.r_word_ohm", "epochs", "age_s" ..."""
    levels: tuple[Any, ...] = ()
    range: Span | None = None
    """Levels at equal distances, instead of `levels`."""
    log: Span | None = None
    """Levels at equal ratios."""
    when: When = "both"
    """Whether the level holds while it learns and when it is read, or at one of the two; the other then has what the
    experiment says. Only "reading" reuses a training."""

    @field_validator("levels", mode="before")
    @classmethod
    def _none_from_text(cls, value: Any) -> Any:
        return tuple(None if level == "none" else level for level in value)

    @model_validator(mode="after")
    def _levels_given_once(self) -> Self:
        given = [self.levels, self.range, self.log]
        if sum(map(bool, given)) != 1:
            raise ValueError(f"axis {self.field}: give either levels, range or log")
        if len(set(map(str, self.all_levels))) < len(self.all_levels):
            raise ValueError(f"axis {self.field}: give each level once")
        if self.field == AGE and self.when == "learning":
            raise ValueError(f"axis {AGE}: time after learning belongs to reading")
        return self

    @property
    def all_levels(self) -> tuple[Any, ...]:
        """The levels, however they were given."""
        if self.range is not None:
            return self.range.levels(log=False)
        return self.log.levels(log=True) if self.log is not None else self.levels

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read ``field=1,2,3``, ``field=0:0.1:5``, ``field=log:1e-3:1:4``, each with ``@learning`` or ``@reading`` behind it.

        Raises
        ------
        ConfigError
            If it is none of these.
        """
        body, _, when = text.partition("@")
        field, equal, levels = body.partition("=")
        given: dict[str, Any] = {"field": field.strip(), **({"when": when.strip()} if when else {})}
        parts = levels.split(":")
        if not equal or not levels:
            raise ConfigError(f"--axis {text}: expected FIELD=LEVEL,LEVEL,... or FIELD=START:STOP:COUNT")
        if len(parts) >= 3 and "," not in levels:
            log = parts[0].strip() == "log"
            try:
                start, stop, count = (float(part) for part in parts[log:])
            except ValueError:
                raise ConfigError(f"--axis {text}: expected START:STOP:COUNT with numbers") from None
            given["log" if log else "range"] = {"start": start, "stop": stop, "count": int(count)}
        else:
            given["levels"] = [_value(level.strip()) for level in levels.split(",")]
        return cls.parse(given, f"--axis {text}")


def _value(text: str) -> Any:
    """A level as TOML has it: a number, true, a quoted text; anything else is text as it stands."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


class Sweep(Frozen):
    """What is swept over which experiment."""

    experiment: str | dict[str, Any] = Field(default_factory=dict)
    """File of an experiment, or its settings."""
    kind: str | None = None
    """Kind of experiment; None: what the experiment itself says, or "dense"."""
    axis: tuple[Axis, ...] = Field(min_length=1)
    plan: Literal["grid", "one at a time"] = "grid"
    """Every level of an axis with every level of the others, or with what the experiment says of them."""

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


class Block(NamedTuple):
    """What one arm learns with one seed, and the points at which that is read."""

    arm: str
    seed: int
    points: tuple[Point, ...]

    @property
    def learning(self) -> Experiment:
        """The experiment that is learnt."""
        return self.points[0].learning

    def learner(self) -> Any:
        """Return the arm that learns, its settings filled in."""
        return arm_of(self.learning, self.arm)

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
            for point in self.points
        ]
        law = None if arm.device is None else arm.law()
        own = [BITS, self.learning.kind, self.arm, self.seed, images, own_code(law, self.learning)]
        return text_digest(json.dumps([own, deciding(self.learning, arm), rows], sort_keys=True))


def deciding(experiment: Experiment, arm: Any) -> list[Any]:
    """Return all that decides the result of a settled arm: settings, those of its evaluation too, and a rule's own code."""
    aside = experiment.model_dump(
        mode="json", include=set(experiment.aside) | {"hold_out", "dataset", "test_images"}
    )
    given = [rule for rule in (getattr(each, "rule", None) for each in (experiment, arm)) if rule]
    return [experiment.deciding(), aside, arm.deciding(), own_code(*map(rules.load, given))]


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
        self.experiment = _with_devices(experiment or _read(sweep), sweep.axis)
        self.axes = [
            axis.changed(field=full_name(self.experiment, axis.field))
            for axis in sweep.axis
            if axis.field != "device"
        ]
        doubled = {axis.field for axis in self.axes if [a.field for a in self.axes].count(axis.field) > 1}
        if doubled:
            raise ConfigError(f"axis {doubled.pop()} is given twice")
        for axis in self.axes:
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
        self.points = [self._point(levels) for levels in self._levels()]
        for point in self.points:
            point.learning.check()
            point.reading.check()

    @property
    def units(self) -> dict[str, str]:
        """Unit of each axis."""
        known = known_fields(self.experiment)
        return {axis.field: known.get(axis.field, "") for axis in self.axes}

    def _levels(self) -> Iterator[dict[str, Any]]:
        """The levels of each point."""
        if not self.axes:
            yield {}
        elif self.sweep.plan == "grid":
            for levels in itertools.product(*(axis.all_levels for axis in self.axes)):
                yield dict(zip((axis.field for axis in self.axes), levels, strict=True))
        else:
            for axis in self.axes:
                for level in axis.all_levels:
                    yield {axis.field: level}

    def _point(self, levels: dict[str, Any]) -> Point:
        when = {axis.field: axis.when for axis in self.axes}
        learning = reading = self.experiment
        for name, level in levels.items():
            try:
                if when[name] != "reading":
                    learning = with_setting(learning, name, level)
                if when[name] != "learning":
                    reading = with_setting(reading, name, level)
            except NeurosimError as error:
                raise ConfigError(f"axis {name}, level {level}: {error}") from None
        age = levels.get(AGE)
        if age is not None and not (isinstance(age, int | float) and 0 <= age < float("inf")):
            raise ConfigError(f"axis {AGE}, level {age}: must be finite and at least 0")
        return Point(levels, learning, reading, None if age is None else float(age))

    def blocks(self) -> list[Block]:
        """Return the blocks, each with all points that read the same training; the first seed of every arm first."""
        found: dict[str, Block] = {}
        for point in self.points:
            for seed, arm in point.learning.planned():
                learnt = json.dumps([arm.name, seed, deciding(point.learning, arm)], sort_keys=True)
                block = found.get(learnt, Block(arm.name, seed, ()))
                found[learnt] = block._replace(points=(*block.points, point))
        return sorted(found.values(), key=lambda block: block.seed)

    def data(self) -> dict[str, Dataset]:
        """Return the data set of each point's images, by what it is named and cut to."""
        found: dict[str, Dataset] = {}
        for point in self.points:
            for experiment in (point.learning, point.reading):
                if data_key(experiment) not in found:
                    found[data_key(experiment)] = experiment.data()
        return found


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


def _with_devices(experiment: Experiment, axes: Sequence[Axis]) -> Experiment:
    """The experiment with every arm on each device of an axis "device"."""
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
