"""Device cards for the terminal and as JSON: one line for each card, or every number of one card."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.core.protocols import Device
from neurosim.devices.card import Card
from neurosim.devices.contract import Clause
from neurosim.energy.marks import UP, WEAK, Mark, device_mark, mark_of
from neurosim.report.text import NOTHING, si


def states(device: Device) -> float | None:
    """Return how many nominal steps fit into the window; None for a device without steps."""
    window = device.g_max_uS - device.g_min_uS
    return window / device.nominal_step_uS if device.nominal_step_uS > 0 else None


def on_off(device: Device) -> float | None:
    """Return the ratio of the ends of the window; None if it starts at zero."""
    return device.g_max_uS / device.g_min_uS if device.g_min_uS > 0 else None


def window_words(device: Device) -> str:
    """Return the window as people write it, to four digits."""
    return f"{device.g_min_uS:.4g} to {device.g_max_uS:.4g} µS"


def states_words(device: Device) -> str:
    """Return the number of nominal steps over the window."""
    count = states(device)
    return NOTHING if count is None else f"{count:,.0f}"


def on_off_words(device: Device) -> str:
    """Return the on/off ratio to three digits."""
    ratio = on_off(device)
    return NOTHING if ratio is None else f"{ratio:.3g}"


def pulse_J(card: Card) -> tuple[float | None, Mark]:
    """Return the joules of one pulse up in the mid window, the device alone, and their mark; None where the card does not tell."""
    device = card.device()
    mark, _ = device_mark({name: number.source for name, number in card.parameters.items()}, UP)
    gate = card.parameters.get("gate_energy_J")
    volts, seconds = device.pulse_shapes[0]
    if gate is not None and isinstance(gate.value, float):
        return gate.value, mark
    if device.pulse_unknown or not volts or not seconds:
        return None, mark
    return volts**2 * seconds * 1e-6 * (device.g_min_uS + device.g_max_uS) / 2, mark


def pulse_words(card: Card) -> str:
    """Return the joules of one pulse up as people write them, with their mark where it is weak."""
    joules, mark = pulse_J(card)
    return NOTHING if joules is None else f"{si(joules, 'J')}{f' ({mark})' if mark in WEAK else ''}"


def assumed(card: Card) -> int:
    """Return how many numbers of a card are assumed or from memory."""
    return sum(mark_of(number.source) in WEAK for number in card.parameters.values())


SORTED_BY: dict[str, Callable[[Card], Any]] = {
    "name": lambda card: card.name,
    "states": lambda card: -(states(card.device()) or 0.0),
    "on-off": lambda card: -(on_off(card.device()) or 0.0),
    "energy": lambda card: pulse_J(card)[0] or float("inf"),
    "assumed": lambda card: assumed(card) / max(len(card.parameters), 1),
}
"""How a list of cards is ordered, the best first."""


def of_technology(known: Sequence[Card], text: str) -> list[Card]:
    """Return the cards in whose technology or name a word is `text`, or else begins so, or else has it somewhere."""
    word = re.escape(text)
    for pattern in (rf"\b{word}\b", rf"\b{word}", word):
        found = [c for c in known if re.search(pattern, f"{c.technology} {c.name}", re.IGNORECASE)]
        if found:
            return found
    return []


def facts(card: Card) -> dict[str, Any]:
    """Return what `devices list` says of a card, for JSON; raises `ConfigError` if the card is wrong."""
    device = card.device()
    return {
        **{key: getattr(card, key) for key in ("name", "technology", "law", "summary", "citation")},
        "polarity": device.polarity,
        "states": states(device),
        "on_off": on_off(device),
        "g_min_uS": device.g_min_uS,
        "g_max_uS": device.g_max_uS,
        "nominal_step_uS": device.nominal_step_uS,
        "steps_down": device.steps_down,
        "pulse_up_J": pulse_J(card)[0],
        "pulse_up_mark": pulse_J(card)[1],
        "numbers": len(card.parameters),
        "assumed": assumed(card),
        "silent_on": card.silent_on,
        "drifts": device.drifts,
        "has_read_noise": device.has_read_noise,
    }


def numbers(card: Card) -> dict[str, Any]:
    """Return a whole card for JSON: `facts`, notes, and every number with unit and source."""
    return {
        **facts(card),
        "notes": list(card.notes),
        "parameters": {name: number.model_dump() for name, number in card.parameters.items()},
    }


HEADINGS = (
    "name", "technology", "law", "states", "window", "down", "a pulse up", "assumed", "silent on",
)  # fmt: skip


def row_of(card: Card) -> tuple[str, ...]:
    """Return what the list of cards says of one, under `HEADINGS`."""
    device = card.device()
    derived = (states_words(device), window_words(device))
    down = "steps" if device.steps_down else "abrupt"
    share = f"{assumed(card)} of {len(card.parameters)}"
    return (
        card.name,
        card.technology,
        card.law,
        *derived,
        down,
        pulse_words(card),
        share,
        ", ".join(card.silent_on),
    )


def cards_table(known: Iterable[Card]) -> Table:
    """Return a table of cards, one row each; names are never broken."""
    caption = "A pulse up: joules in the mid window, of the device alone, without periphery. Assumed: numbers of the card; what it is silent on is none of them."
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, caption=caption, caption_justify="left")
    for heading in HEADINGS:
        numeric = heading in ("states", "assumed")
        whole = numeric or heading in ("name", "law", "window", "a pulse up")
        overflow: Literal["fold", "ellipsis"] = "ellipsis" if whole else "fold"
        table.add_column(
            heading,
            justify="right" if numeric else "left",
            no_wrap=whole,
            overflow=overflow,
            min_width=len(heading),
        )
    for card in known:
        table.add_row(*(Text(word) for word in row_of(card)))
    return table


def card_heading(card: Card) -> Text:
    """Return what a card is, what it is taken from, and its window, in a few lines."""
    device = card.device()
    return Text.assemble(
        (card.name, "bold"), f": {card.summary}\n{card.technology}; law {card.law}\n{card.citation}\n",
        f"window {window_words(device)}, {states_words(device)} states "
        f"(nominal steps of {device.nominal_step_uS:.3g} µS), on/off {on_off_words(device)}",
    )  # fmt: skip


def clauses_table(clauses: Iterable[Clause]) -> Table:
    """Return what a device was found to keep of the contract, one row a clause."""
    table = Table("clause", "", "found")
    for clause in clauses:
        verdict = Text("holds", "green") if clause.holds else Text("BROKEN", "bold red")
        table.add_row(clause.clause, verdict, clause.found)
    return table


def value_words(value: float | tuple[Any, ...]) -> str:
    """Return a number to six digits; a table as its numbers."""
    if isinstance(value, tuple):
        return f"[{', '.join(value_words(part) for part in value)}]"
    return f"{value:g}"


def numbers_table(card: Card) -> Table:
    """Return every number of a card with its unit and its source."""
    table = Table("parameter", "value", "unit", "source")
    for parameter, number in card.parameters.items():
        table.add_row(parameter, value_words(number.value), number.unit, Text(number.source))
    return table
