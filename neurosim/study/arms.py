"""What experiments with arms share: names that differ, seeds, a part of the arms, and their file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from neurosim.core.config import Frozen
from neurosim.core.errors import ConfigError, UnknownNameError


def one_reading_delay(reads: dict[str, dict[str, Any]]) -> None:
    """Raise `ValueError` where arms (their read paths by name) are read at different ages after a write."""
    delays = {name: read.get("reading_delay_s") for name, read in reads.items()}
    if len(set(delays.values())) > 1:
        listed = ", ".join(f"{name}: {delay or 'its own'}" for name, delay in delays.items())
        raise ValueError(
            f"read.reading_delay_s is one number of an experiment, but here {listed} (s); arms that are read at "
            "different ages cannot be compared"
        )


IDEAL = "ideal"
"""Name of an arm in ideal arithmetic, which no arm on devices may have."""
ON_DEVICE = "ideal device"
"""Name of an arm on devices that would be called as ideal arithmetic is, such as that of the card "ideal"."""
LONGEST_NAME = 180
"""Bytes of an arm's name, which is a part of the names of files."""


def fit_for_files(name: str) -> str:
    """Return the name of an arm; raises `ValueError` for one that no file or terminal takes as it is."""
    if not name.isprintable():
        raise ValueError(
            "the name of an arm may hold printable characters only: no control characters, no line ends"
        )
    if "/" in name or "\\" in name:
        raise ValueError("the name of an arm is a part of file names: leave out / and \\")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"the name of an arm is a part of file names: at most {LONGEST_NAME} bytes, this has {len(name.encode())}"
        )
    if name and not name.strip():
        raise ValueError("the name of an arm may not be blank")
    return name


ArmName = Annotated[str, AfterValidator(fit_for_files)]
"""Checked before any work: it becomes a part of file names, tables and figures."""


def _a_path(name: str) -> str:
    if "\0" in name:
        raise ValueError("no name of a card or file has a NUL character")
    return name


CardName = Annotated[str, AfterValidator(_a_path)]
"""Name of a card, or path of its file."""


class Arm(Frozen):
    """One of the ways that an experiment compares."""

    name: ArmName = Field(min_length=1)
    seeds: int | None = Field(None, ge=1)
    """Runs of this arm, where it has not as many as the experiment."""

    @property
    def own(self) -> dict[str, Any]:
        """What it sets, but for what leaves the bits of a run as they are."""
        return self.model_dump(mode="json", exclude={"name", "seeds"}, exclude_defaults=True)


class Arms(Frozen):
    """An experiment whose field `arm` lists ways to do the same, each with a name."""

    seeds: int = Field(1, ge=1)
    first_seed: int = 0

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if not self._arms:
            raise ValueError("arm: give at least one")
        names = [arm.name for arm in self._arms]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"two arms are called '{doubled.pop()}'; give each arm a name of its own")
        for arm in self._arms:
            if getattr(arm, "device", None) and arm.name.strip().casefold() == IDEAL:
                raise ValueError(
                    f"arm '{arm.name}' is on devices, and ideal arithmetic is called so; call it '{ON_DEVICE}', say"
                )
        one_reading_delay(
            {arm.name: getattr(arm, "read", {}) for arm in self._arms if getattr(arm, "device", None)}
        )
        return self

    @property
    def _arms(self) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self.arm  # type: ignore[attr-defined]
        return found

    @property
    def planned(self) -> list[tuple[int, Any]]:
        """Seed and arm of each run, the first seed of every arm first."""
        most = max(arm.seeds or self.seeds for arm in self._arms)
        return [
            (self.first_seed + k, arm)
            for k in range(most)
            for arm in self._arms
            if k < (arm.seeds or self.seeds)
        ]

    def only(self, names: list[str]) -> Self:
        """Return the same with these arms alone; raises `UnknownNameError` for one that is not there."""
        known = {arm.name: arm for arm in self._arms}
        for name in names:
            if name not in known:
                raise UnknownNameError("arm", name, known)
        return self.model_copy(update={"arm": tuple(known[name] for name in names)})

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read an experiment file; raises `ConfigError` naming the file, the key and what is wrong."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"experiment {path}: {error}") from None
        return cls.parse(values, f"experiment {path.name}")
