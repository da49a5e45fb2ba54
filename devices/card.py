"""Parameter cards: one TOML file per published device, every number with its unit and its source."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field

from neurosim.core import registry
from neurosim.core.config import Frozen
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.devices.law import Law

CARDS = Path(__file__).with_name("cards")


class Quantity(Frozen):
    """One number of a card."""

    value: float
    unit: str
    source: str = Field(min_length=1)


class Card(Frozen):
    """A published device: which law it follows, with which numbers, from where."""

    name: str
    technology: str
    law: str
    summary: str
    citation: str
    notes: tuple[str, ...] = ()
    parameters: dict[str, Quantity]

    def device(self) -> Law:
        """Build the device; raises `ConfigError` where a parameter is unknown, missing or out of range."""
        law: type[Law] = registry.find("device law", self.law)
        units = law.units()
        for name, number in self.parameters.items():
            if name not in units:
                raise ConfigError(f"card {self.name}: {UnknownNameError('parameter', name, units)}")
            if number.unit != units[name]:
                raise ConfigError(
                    f"card {self.name}: parameters.{name}.unit = '{number.unit}', must be '{units[name]}'"
                )
        values = {name: number.value for name, number in self.parameters.items()}
        return law.parse({"name": self.name, **values}, f"card {self.name}")


def read(path: Path) -> Card:
    """Read one card file; raises `ConfigError` with the file's name and what is wrong."""
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"device card {path}: {error}") from None
    return Card.parse(values, f"device card {path.name}")


def cards() -> dict[str, Path]:
    """Return the file of every known card by name, built-in and of installed third parties."""
    folders = [Path(registry.find("card folder", name)) for name in registry.names("card folder")]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.toml"))}


def find(name: str | Path) -> Card:
    """Return a card by its name or the path of its file; raises as `load`."""
    known = cards()
    if str(name) in known:
        return read(known[str(name)])
    path = Path(name)
    if path.suffix == ".toml":
        return read(path)
    raise UnknownNameError("device card", str(name), known)


def load(device: str | Path | Law) -> Law:
    """Return a device from a card's name, the path of a card file, or a device itself.

    Raises
    ------
    UnknownNameError
        If there is no card of that name; the message has the nearest match.
    ConfigError
        If the card is wrong.
    """
    return device if isinstance(device, Law) else find(device).device()
