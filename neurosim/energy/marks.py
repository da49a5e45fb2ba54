"""How far a number may be trusted, by what its source says; marks of a card's numbers are read from its sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from neurosim.core.errors import NeurosimError

Mark = Literal[
    "measured", "by definition", "given", "fitted", "published model", "published", "computed", "assumed", "from memory", "unstated",
]  # fmt: skip
MARKS: tuple[Mark, ...] = get_args(Mark)
"""From the best down. "given": said by whoever measured, by an option of `neurosim fit`; "fitted": to measurements of one's own, by
`neurosim fit`; "published": stated by the source of a card, which does not say whether it was measured; "unstated": nobody says where it
comes from."""
WEAK = ("assumed", "from memory", "unstated")
"""Marks of joules that a bill calls assumed, and that a strict bill refuses."""

Sources = Mapping[str, str]
"""Where each number of a device comes from, by its name."""


_OWN: dict[str, Mark] = {
    "measured": "measured", "definition": "by definition", "given with --": "given", "fitted to": "fitted",
    "drawn from the 95 % interval": "fitted",
}  # fmt: skip
"""How the source of a number begins that no publication states, with its mark."""
_NUMBER = r"[-+]?\d[\d.]*(?:e[-+]?\d+)?"
_ENDS_OF = re.compile(rf"({_NUMBER}) to ({_NUMBER})")


def worst(marks: Iterable[Mark]) -> Mark:
    """Return the weakest of some marks; "unstated" of none."""
    return max(marks, key=MARKS.index, default="unstated")


def mark_of(source: str) -> Mark:
    """Return the mark of a number from the words of its source."""
    said = source.lower()
    if "from memory" in said:
        return "from memory"
    if "assum" in said:
        return "assumed"
    if "default of the law" in said or "given with the device" in said or "set by the experiment" in said:
        return "unstated"
    for start, mark in _OWN.items():
        if said.startswith(start):
            return mark
    return "computed" if "2 p_r a v" in said else "published"


def intervals_of(source: str) -> list[tuple[float, float]]:
    """Return the 95 % intervals that a fit wrote into a source, one a number of a table; none where there is none."""
    _, there, ends = source.partition("95 % interval ")
    return [(float(low), float(high)) for low, high in _ENDS_OF.findall(ends)] if there else []


def sources_of(device: str) -> Sources | None:
    """Return the sources of a known card's numbers; None where no card has this name."""
    from neurosim.devices.card import card_or_none

    try:
        card = card_or_none(device)
    except NeurosimError:
        return None
    return None if card is None else {name: number.source for name, number in card.parameters.items()}


def as_sources(numbers: Mapping[str, Any] | None) -> Sources | None:
    """Return sources from the ``numbers`` of a result's ``devices``, or as they are given.

    Numbers that a device does not have, whose value is None, have no source: no joules rest on them.
    """
    if numbers is None:
        return None
    return {
        name: each["source"] if isinstance(each, Mapping) else each
        for name, each in numbers.items()
        if not (isinstance(each, Mapping) and each.get("value", each) is None)
    }


UP, DOWN, WINDOW = "up", "down", "window"
_PULSE = {UP: ("set_", "write_"), DOWN: ("reset_", "write_")}
_ENDS = ("voltage_V", "time_s", "current_A")


def device_mark(sources: Sources | None, what: str) -> tuple[Mark, str]:
    """Return the mark of a device's joules, with the weakest source.

    Parameters
    ----------
    sources : mapping or None
        Of the card; None where there is none.
    what : str
        "up" or "down", a pulse; "window", the conductances that a read or a pulse runs through.
    """
    if sources is None:
        return "unstated", "the device has no card that is found"
    named = _names(sources, what)
    if not named:
        return "unstated", "the card does not say what these joules rest on"
    weakest = max(named, key=lambda name: MARKS.index(mark_of(sources[name])))
    return mark_of(sources[weakest]), f"{weakest}: {sources[weakest]}"


def _names(sources: Sources, what: str) -> list[str]:
    """Numbers of a card that some joules rest on."""
    window = [name for name in ("g_min_uS", "g_max_uS") if name in sources]
    if what == WINDOW:
        return window
    if "gate_energy_J" in sources:
        return ["gate_energy_J"]
    for start in _PULSE[what]:
        own = [f"{start}{end}" for end in _ENDS if f"{start}{end}" in sources]
        if own:
            current = any(name.endswith("current_A") for name in own) and start in ("set_", "reset_")
            if (
                start == "reset_" and len(own) < 2
            ):  # the other half of such a pulse is that of the write pulse
                own += [name for name in ("write_voltage_V", "write_time_s") if name in sources]
            return own if current else own + window
    return []
