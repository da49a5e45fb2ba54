"""One setting at several levels: how it is written, and which levels that stands for."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from neurosim.core.errors import ConfigError
from neurosim.core.frozen import Frozen
from neurosim.study.effects import WAYS
from neurosim.study.experiment import Experiment
from neurosim.study.fields import AGE, EVERY_ARM, FREE, full_name, with_setting

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
    """Name of a setting: "read_noise", "wires.r_word_ohm", "epochs", "age_s" ...; "device"; or, with effects by name as
    levels, "only" and "without"."""
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
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError(f"give a list, such as levels = [{value!r}]")  # noqa: TRY004
        return tuple(None if level == "none" else level for level in value)

    @model_validator(mode="after")
    def _levels_given_once(self) -> Self:
        given = [self.levels, self.range, self.log]
        if sum(map(bool, given)) != 1:
            raise ValueError(f"axis {self.field}: give either levels, range or log")
        for level in self.all_levels:
            if isinstance(level, float) and not math.isfinite(level):
                raise ValueError(f"axis {self.field}: level {level} must be finite")
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
    def from_text(cls, text: str, option: str = "--axis") -> Self:
        """Read ``field=1,2,3``, ``field=0:0.1:5``, ``field=log:1e-3:1:4``, each with ``@learning`` or ``@reading`` behind it.

        Parameters
        ----------
        text : str
        option : str
            What an error calls it by.

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
            raise ConfigError(f"{option} {text}: expected FIELD=LEVEL,LEVEL,... or FIELD=START:STOP:COUNT")
        if len(parts) >= 3 and "," not in levels:
            log = parts[0].strip() == "log"
            try:
                start, stop, count = parts[log:]
                given["log" if log else "range"] = {
                    "start": float(start),
                    "stop": float(stop),
                    "count": int(count),
                }
            except ValueError:
                raise ConfigError(
                    f"{option} {text}: expected START:STOP:COUNT with numbers, the count a whole one"
                ) from None
        else:
            given["levels"] = [_value(level.strip()) for level in levels.split(",")]
        return cls.parse(given, f"{option} {text}")


def changed_by(experiment: Experiment, text: str, option: str = "--set") -> Experiment:
    """Return the experiment with one setting changed that is written ``field=value``, by the names of axes.

    Raises
    ------
    NeurosimError
        If it is not written so, there is no such setting, its value is out of range, or nothing here has it.
    """
    axis = Axis.from_text(text, option)
    name = full_name(experiment, axis.field)
    if len(axis.all_levels) > 1 or axis.when != "both" or name in (AGE, *WAYS):
        raise ConfigError(
            f"{option} {text}: expected SETTING=VALUE; several levels are a sweep, --vary or neurosim sweep"
        )
    found = with_setting(experiment, name, axis.all_levels[0])
    anywhere = name in EVERY_ARM or name.split(".")[0] in ("experiment", *FREE)
    if not anywhere and not experiment.device_arms():
        raise ConfigError(f"{option} {text}: no arm is on devices, which {name} is of; give --device as well")
    return found


def _value(text: str) -> Any:
    """A level as TOML or Python has it: a number, true, a quoted text; anything else is text as it stands."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
