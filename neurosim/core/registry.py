"""Names of laws, cards, rules, data sets and layers, over entry points, and the one lock behind the doors to them.

Whatever has a name may come by that name, from a file (``"my.py:Thing"``), from a package (``"package.module:Thing"``)
or as the thing itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from neurosim.core.errors import ConfigError, InputError, UnknownNameError
from neurosim.core.own_modules import own_module

KINDS = {
    "device law": "neurosim.laws",
    "rule": "neurosim.rules",
    "spike rule": "neurosim.spike_rules",
    "data set": "neurosim.datasets",
    "layer": "neurosim.layers",
    "kind of experiment": "neurosim.kinds",
    "card folder": "neurosim.cards",
    "loader": "neurosim.loaders",
    "law fitter": "neurosim.fitters",
    "law twin": "neurosim.law_twins",
    "rule twin": "neurosim.rule_twins",
}

Fault = Callable[[Any], str | None]
"""What keeps a thing from being of a kind, such as "it has no observe_norms"; None if it is one."""


@cache
def _entries(kind: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=KINDS[kind])}


def names(kind: str) -> list[str]:
    """Return the registered names of one of `KINDS`, sorted."""
    return sorted(_entries(kind))


def find(kind: str, name: str) -> Any:
    """Import and return what is registered under `name`.

    Raises
    ------
    UnknownNameError
        If the name is not registered; the message has the nearest match.
    ConfigError
        If the registered module cannot be imported.
    """
    entries = _entries(kind)
    if name not in entries:
        raise UnknownNameError(kind, name, entries)
    try:
        return entries[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{kind} '{name}' is registered but cannot be imported: {error}") from error


class Given(str):
    """Text that stands for a thing where a name may stand, and carries the thing.

    Names, tables, JSON and identities see the text; `resolve` takes the thing.
    """

    __slots__ = ("thing",)
    thing: Any

    def __new__(cls, text: str, thing: Any) -> Self:
        """Return `text`, with the thing that it stands for."""
        found = super().__new__(cls, text)
        found.thing = thing
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return Given, (str(self), self.thing)


def resolve(
    kind: str,
    given: Any,
    fault: Fault,
    named: Callable[[str], Any] | None = None,
    beside: Path | None = None,
) -> Any:
    """Return what is meant by a name, ``"my.py:Thing"``, ``"package.module:Thing"``, or the thing itself.

    Parameters
    ----------
    kind : str
        What it is called in messages; one of `KINDS`, unless `named` is given.
    given : str, Path or object
        A file is run, under a name made of its content.
    fault : callable
        What keeps a thing from being of this kind; None if nothing does.
    named : callable, optional
        What a name means; default `find`.
    beside : Path, optional
        Folder that relative files are in; default the working folder.

    Raises
    ------
    UnknownNameError
        If there is no such name, or nothing of that name in a file; the message has the nearest match.
    ConfigError
        If a file or package is missing or cannot be run, or what is in it is not of this kind.
    InputError
        If an object is not of this kind.
    """
    if isinstance(given, Given):
        given = given.thing
    if not isinstance(given, str | Path):
        wrong = fault(given)
        if wrong:
            raise InputError(f"{kind}: {_called(given)} is none: {wrong}")
        return given
    text = str(given)
    place, colon, name = text.rpartition(":")
    if text.endswith(".py"):
        place, name = text, ""
    elif not colon or not name.isidentifier():
        return find(kind, text) if named is None else named(text)
    module = (
        _of_file(kind, place, beside or Path()) if place.endswith(".py") else _of_package(kind, place, name)
    )
    return _within(module, place, name, kind, fault)


def _called(thing: Any) -> str:
    return f"class {thing.__qualname__}" if isinstance(thing, type) else f"{type(thing).__name__} object"


def _of_file(kind: str, file: str, beside: Path) -> ModuleType:
    """Run a file; a changed one is another module, so no stale kernel is ever used."""
    path = beside / Path(file).expanduser()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{kind} file {file}: {error.strerror} ({path.absolute()})") from None
    try:
        return importlib.import_module(own_module(source))
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{kind} file {file}: {error}; a file is run alone, what it imports must be installed"
        ) from None
    except Exception as error:  # noqa: BLE001 (whatever the user's file raises)
        raise ConfigError(f"{kind} file {file}: {type(error).__name__}: {error}") from None


def _of_package(kind: str, module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 (whatever the user's package raises)
        raise ConfigError(
            f"{kind} {module}:{name}: cannot import {module} ({type(error).__name__}: {error}); install its package, "
            f"or name a file, FILE.py:{name}"
        ) from None


def _within(module: ModuleType, place: str, name: str, kind: str, fault: Fault) -> Any:
    """Return what a module holds under a name."""
    if not name:
        ways = " or ".join(f"{place}:{each}" for each in _fitting(module, fault) or ["NAME"])
        raise ConfigError(f"{kind} file {place}: say which {kind} of it, {ways}")
    if not hasattr(module, name):
        raise UnknownNameError(kind, name, _fitting(module, fault), f" in {place}")
    found = getattr(module, name)
    wrong = fault(found)
    if wrong:
        raise ConfigError(f"{kind} {place}:{name}: this is none: {wrong}")
    return found


def _fitting(module: ModuleType, fault: Fault) -> list[str]:
    """Names of what a module has of the kind, but for classes and functions that it imported."""
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (not callable(thing) or getattr(thing, "__module__", "") == module.__name__)
        and not fault(thing)
    ]


def lacks(kind: type, members: Iterable[str]) -> list[str]:
    """Return which of these members a class has not."""
    return [member for member in members if not hasattr(kind, member)]


def refuse_shadow(kind: str, own: type, name: str) -> None:
    """Raise `ConfigError` for a class that has the name of another one, which is registered: reports and twins go by it."""
    if name in _entries(kind) and find(kind, name) is not own:
        raise ConfigError(
            f"{kind} {own.__qualname__}: '{name}' is the name of a registered one, and reports and torch twins go by "
            "it; give yours another name"
        )
