"""Names of laws, cards and rules, over entry points: built-ins and third parties alike."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from neurosim.core.errors import ConfigError, UnknownNameError

KINDS = {
    "device law": "neurosim.laws",
    "rule": "neurosim.rules",
    "card folder": "neurosim.cards",
    "loader": "neurosim.loaders",
    "law fitter": "neurosim.fitters",
    "law twin": "neurosim.law_twins",
    "rule twin": "neurosim.rule_twins",
}


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
