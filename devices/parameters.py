"""How a law declares its parameters: with units, and which of them are random effects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

Table = tuple[float, ...]
_OPTIONS = {"write_voltage_V": "--write-voltage", "write_time_s": "--write-time"}
"""Of `neurosim fit`, for the numbers of a pulse that it takes."""


def quantity(unit: str, default: Any = ..., noise: bool = False, **bounds: Any) -> Any:
    """Declare a physical parameter of a law; a card must state the same unit ("1" for pure numbers).

    `noise` marks the size of a random effect: None, or zero where None is not allowed, switches it off.
    """
    return Field(default, json_schema_extra={"unit": unit, "noise": noise}, **bounds)


def not_given(unknown: Iterable[str]) -> str:
    """Say what of a pulse a card does not give (`Device.pulse_unknown`), so that pulses have no joules, and the remedy."""
    names = list(unknown)
    given = " and ".join(_OPTIONS[name] for name in names) if set(names) <= set(_OPTIONS) else "them"
    kinds = {"voltage_V": "voltage", "current_A": "current", "time_s": "width"}
    words = [word for end, word in kinds.items() if any(name.endswith(end) for name in names)]
    what = " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
    return f"the card does not give the {what} of a pulse ({', '.join(names)}): give {given}"
