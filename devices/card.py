"""Parameter cards: one TOML file per published device, every number with its unit and its source."""

from __future__ import annotations

import importlib
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from neurosim.core import registry
from neurosim.core.config import Frozen
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.devices.law import Law
from neurosim.kernels.jit import own_module

CARDS = Path(__file__).with_name("cards")
GONE = {
    "drift_shortest_s": "drift now sees no cell younger than the reading delay (reading_delay_s, or "
    "ReadPath.reading_delay_s): delete the line"
}
"""Parameters that laws no longer have, and what to do."""


class Quantity(Frozen):
    """One number, or one table of numbers, of a card."""

    value: float | tuple[float, ...] | tuple[tuple[float, ...], ...]
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
    omits: dict[Literal["read noise", "retention"], str] = Field(default_factory=dict)
    """What the card says nothing of, with the reason: so that silence is not taken for a device without it."""
    parameters: dict[str, Quantity]
    _folder: Path | None = PrivateAttr(None)

    def law_class(self) -> type[Law]:
        """Return the law's class: a registered one, or that of a file beside the card ("my_law.py:MyLaw")."""
        file, colon, name = self.law.rpartition(":")
        if colon:
            return law_of_file((self._folder or Path()) / file, name)
        law: type[Law] = registry.find("device law", self.law)
        return law

    @property
    def silent_on(self) -> dict[str, str]:
        """What the device has no numbers for, with the card's reason, or that it gives none."""
        device = self.device()
        given = {"read noise": device.has_read_noise or device.flickers, "retention": device.drifts}
        return {
            what: self.omits.get(what, "the card does not say why")  # type: ignore[call-overload]
            for what, there in given.items()
            if not there
        }

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and what the card is silent on."""
        return (*self.notes, *(f"No {what} on this card: {why}." for what, why in self.silent_on.items()))

    def device(self) -> Law:
        """Build the device; raises `ConfigError` where a parameter is unknown, missing or out of range."""
        law = self.law_class()
        units = law.units()
        for name, number in self.parameters.items():
            if name in GONE:
                raise ConfigError(f"card {self.name}: parameters.{name}: {GONE[name]}")
            if name not in units:
                raise ConfigError(f"card {self.name}: {UnknownNameError('parameter', name, units)}")
            if number.unit != units[name]:
                raise ConfigError(
                    f"card {self.name}: parameters.{name}.unit = '{number.unit}', must be '{units[name]}'"
                )
        values = {name: number.value for name, number in self.parameters.items()}
        device = law.parse({"name": self.name, **values}, f"card {self.name}")
        if "retention" in self.omits and device.drifts:
            raise ConfigError(f"card {self.name}: omits.retention, but its parameters change it with time")
        if "read noise" in self.omits and (device.has_read_noise or device.flickers):
            raise ConfigError(f"card {self.name}: omits 'read noise', but its parameters have some")
        return device


def read(path: Path) -> Card:
    """Read one card file; raises `ConfigError` with the file's name and what is wrong."""
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"device card {path}: {error}") from None
    card = Card.parse(values, f"device card {path.name}")
    card._folder = path.parent
    return card


def law_of_file(path: Path, name: str) -> type[Law]:
    """Import a law from a Python file; a changed file is another module, so no stale kernel is ever used.

    Raises
    ------
    ConfigError
        If the file is missing, cannot be run, or has no law of that name.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"law file {path}: {error.strerror}") from None
    try:
        law = getattr(importlib.import_module(own_module(source)), name, None)
    except Exception as error:  # noqa: BLE001 (whatever the user's file raises)
        raise ConfigError(f"law file {path}: {type(error).__name__}: {error}") from None
    if not (isinstance(law, type) and issubclass(law, Law)):
        raise ConfigError(f"law file {path}: it has no class '{name}' derived from neurosim.devices.Law")
    return law


def cards() -> dict[str, Path]:
    """Return the file of every known card by name: built-in, of third parties, and in `NEUROSIM_CARDS`."""
    folders = [Path(registry.find("card folder", name)) for name in registry.names("card folder")]
    own = [Path(folder) for folder in os.environ.get("NEUROSIM_CARDS", "").split(os.pathsep) if folder]
    missing = [folder for folder in own if not folder.is_dir()]
    if missing:
        raise ConfigError(
            f"NEUROSIM_CARDS: no folder {missing[0]}; give folders of cards, separated by '{os.pathsep}'"
        )
    folders += own
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
