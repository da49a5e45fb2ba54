"""How a law declares its parameters: with units, and which of them are random effects."""

from __future__ import annotations

from typing import Any

from pydantic import Field

Table = tuple[float, ...]


def quantity(unit: str, default: Any = ..., noise: bool = False, **bounds: Any) -> Any:
    """Declare a physical parameter of a law; a card must state the same unit ("1" for pure numbers).

    `noise` marks the size of a random effect: None, or zero where None is not allowed, switches it off.
    """
    return Field(default, json_schema_extra={"unit": unit, "noise": noise}, **bounds)
