"""Parameter cards: one TOML file per published device, every number with its unit and its source."""

from __future__ import annotations

import os
import tomllib
import warnings
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from neurosim.core import registry
from neurosim.core.cautions import Caution
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.core.frozen import Frozen
from neurosim.devices.law import Law

CARDS = Path(__file__).with_name("cards")
GONE = {
    "drift_shortest_s": "drift now sees no cell younger than the reading delay (reading_delay_s, or "
    "ReadPath.reading_delay_s): delete the line"
}
"""Parameters that laws no longer have, and what to do."""
_shadows: set[Path] = set()
"""Files of cards with a built-in name that were spoken of."""


class ShadowedCardWarning(Caution):
    """A card of one's own has the name of a built-in card, and other content."""


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
    omits: dict[Literal["read noise", "retention", "pulse energy"], str] = Field(default_factory=dict)
    """What the card says nothing of, with the reason: so that silence is not taken for a device without it."""
    parameters: dict[str, Quantity]
    _folder: Path | None = PrivateAttr(None)

    def __repr__(self) -> str:
        return f"<Card {self.name!r} of law {self.law!r}, {len(self.parameters)} numbers: {self.summary}>"

    __str__ = __repr__

    def law_class(self) -> type[Law]:
        """Return the law's class: a registered one, of a file beside the card ("my_law.py:MyLaw") or of a package."""
        return law_of(self.law, self._folder)

    @property
    def silent_on(self) -> dict[str, str]:
        """What the device has no numbers for, with the card's reason, or that it gives none."""
        return _silent(self.device(), dict(self.omits), "the card does not say why")

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
        if "pulse energy" in self.omits and not device.pulse_unknown:
            raise ConfigError(f"card {self.name}: omits 'pulse energy', but its parameters tell it")
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


def law_of(given: str | type[Law], beside: Path | None = None) -> type[Law]:
    """Return the class of a law.

    Parameters
    ----------
    given : str or class
        A registered name, ``"my_law.py:MyLaw"``, ``"package.module:MyLaw"``, or the class.
    beside : Path, optional
        Folder that relative files are in; default the working folder.

    Raises
    ------
    UnknownNameError
        If there is no law of that name; the message has the nearest match.
    ConfigError
        If a file cannot be run, what it has is no law, or a law of one's own has the name of a registered one.
    """
    law: type[Law] = registry.resolve("device law", given, _no_law, beside=beside)
    registry.refuse_shadow("device law", law, law.law)
    return law


def _no_law(thing: Any) -> str | None:
    if not (isinstance(thing, type) and issubclass(thing, Law)):
        return "a law is a class derived from neurosim.devices.Law"
    missing = registry.lacks(thing, ("law", "own_kernels", "params_type", "state_type"))
    return f"it has no {', no '.join(missing)}" if missing else None


def _no_device(thing: Any) -> str | None:
    if isinstance(thing, Law | Card):
        return None
    if isinstance(thing, type) and issubclass(thing, Law):
        return 'it is a law, without numbers: name it in a card (law = "FILE.py:LAW"), or give a device made of it'
    return "expected a card name, a card file or a device (neurosim.devices.Law, or a Card)"


def cards() -> dict[str, Path]:
    """Return the file of every known card by name: built-in, of third parties, and in `NEUROSIM_CARDS`."""
    folders = [Path(registry.find("card folder", name)) for name in registry.names("card folder")]
    own = [Path(folder) for folder in os.environ.get("NEUROSIM_CARDS", "").split(os.pathsep) if folder]
    missing = [folder for folder in own if not folder.is_dir()]
    if missing:
        raise ConfigError(
            f"NEUROSIM_CARDS: no folder {missing[0]}; give folders of cards, separated by '{os.pathsep}'"
        )
    return {file.stem: file for folder in folders + own for file in sorted(folder.glob("*.toml"))}


def _said_if_shadow(file: Path) -> Card:
    """Read a card; warn once where it has the name of a built-in one and is another."""
    card, built_in = read(file), CARDS / file.name
    if file not in _shadows and built_in.is_file() and card.model_dump() != read(built_in).model_dump():
        _shadows.add(file)
        warnings.warn(
            f"device card {file}: '{file.stem}' is the name of a built-in card, and this is another; call the file "
            "something else to tell their results apart",
            ShadowedCardWarning,
            stacklevel=2,
        )
    return card


def find(given: str | Path | Card | Law) -> Card:
    """Return a card by its name or the path of its file, or as it is given; raises as `load`."""
    found = _found(given)
    if isinstance(found, Law):
        raise ConfigError(
            f"device {found.name}: it is a device without a card, so no source of its numbers can be shown"
        )
    return found


def card_or_none(given: str | Path | Card | Law) -> Card | None:
    """Return a card as `find` does, or None for a device that was given without one."""
    found = _found(given)
    return found if isinstance(found, Card) else None


def silences(given: str | Path | Card | Law) -> dict[str, str]:
    """Return what a device has no numbers for, with the reason of its card if it has one (`Card.silent_on`)."""
    found = _found(given)
    return (
        found.silent_on if isinstance(found, Card) else _silent(found, {}, "the device came without a card")
    )


def _silent(device: Law, reasons: dict[Any, str], otherwise: str) -> dict[str, str]:
    there = {
        "read noise": device.has_read_noise or device.flickers,
        "retention": device.drifts,
        "pulse energy": not device.pulse_unknown,
    }
    return {what: reasons.get(what, otherwise) for what, known in there.items() if not known}


def _found(given: Any) -> Card | Law:
    found: Card | Law = registry.resolve("device", given, _no_device, _named)
    return found


def _named(name: str) -> Card:
    known = cards()
    if name in known:
        return _said_if_shadow(known[name])
    path = Path(name)
    if path.suffix == ".toml":
        return _said_if_shadow(path)
    if path.exists():
        raise ConfigError(
            f"{name} is no card: neurosim fit {name} makes one of measured data, my-card.toml is one"
        )
    raise UnknownNameError("device card", name, known)


def load(device: str | Path | Card | Law) -> Law:
    """Return a device.

    Parameters
    ----------
    device : str, Path, Card or Law
        A card's name, the path of a card file, ``"my.py:device"`` or ``"package.module:device"`` (a device or a card
        that is there), a card, or a device itself.

    Raises
    ------
    UnknownNameError
        If there is no card of that name; the message has the nearest match.
    ConfigError
        If the card is wrong, or a file has no device of that name.
    InputError
        If it is none of these.
    """
    found = _found(device)
    return found.device() if isinstance(found, Card) else found
