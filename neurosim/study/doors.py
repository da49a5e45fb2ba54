"""What stands in the fields of an experiment for devices, rules and data: a name, a path, or what stands for an object."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from neurosim.core.frozen import Frozen
from neurosim.core.registry import Given
from neurosim.data.dataset import Dataset
from neurosim.data.source import Source
from neurosim.devices.card import Card
from neurosim.devices.law import Law
from neurosim.rules.loading import text_of


def _device(given: Any) -> Any:
    """Return the name of a card, the path of a file, or what stands for a device or a card that was given."""
    if isinstance(given, Law | Card):
        return Given(f"{given.name} ({given.law})", given)
    return _name_or_path("device", given, "a card name, a card file, a device or a card")


def _rule(given: Any) -> Any:
    """Return the name of a rule, or what stands for a rule or a class of rules that was given."""
    if isinstance(given, Frozen | type):
        return Given(text_of(given), given)
    return _name_or_path("rule", given, "the name of a rule, FILE.py:RULE, or a class of rules")


def _data(given: Any) -> Any:
    """Return the name or path of a data set, what is said of a path, or what stands for a data set that was given."""
    if isinstance(given, Dataset):
        return Given(f"{given.name} ({given.digest[:16]})", given)
    if isinstance(given, dict):
        return Source.parse(given, "dataset")
    if isinstance(given, Source):
        return given
    return _name_or_path("dataset", given, "a name, a path, { path = ... } or a neurosim.data.Dataset")


def _name_or_path(field: str, given: Any, wanted: str) -> str:
    if not isinstance(given, str | Path):
        raise ValueError(f"{field}: expected {wanted}, got {type(given).__name__}")  # noqa: TRY004 (pydantic's)
    if "\0" in str(given):
        raise ValueError("no name of a card or file has a NUL character")
    return given if isinstance(given, Given) else str(given)


CardName = Annotated[Any, AfterValidator(_device)]
"""Name of a card, path of its file, ``FILE.py:DEVICE``, or a device or card itself."""
RuleName = Annotated[Any, AfterValidator(_rule)]
"""Name of a rule, ``FILE.py:RULE``, or a rule or its class itself."""
DataName = Annotated[Any, AfterValidator(_data)]
"""Name of a data set, path of its files, a table that says how to take them, or a data set itself."""


def called(device: str) -> str:
    """Return what a device is called: as its card's file, as what it is in a file of Python, or by its own name."""
    if isinstance(device, Given):
        return str(device.thing.name)
    place, _, name = device.rpartition(":")
    return name if place and name.isidentifier() else Path(device).stem
