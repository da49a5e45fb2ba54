"""Device cards for the terminal and as JSON: one line for each card, or every number of one card."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.core.protocols import Device
from neurosim.devices.card import Card
from neurosim.devices.contract import Clause
from neurosim.report.text import NOTHING


def states(device: Device) -> float | None:
    """Return how many nominal steps fit into the window; None for a device without steps."""
    window = device.g_max_uS - device.g_min_uS
    return window / device.nominal_step_uS if device.nominal_step_uS > 0 else None


def on_off(device: Device) -> float | None:
    """Return the ratio of the ends of the window; None if it starts at zero."""
    return device.g_max_uS / device.g_min_uS if device.g_min_uS > 0 else None


def window_words(device: Device) -> str:
    """Return the window as people write it."""
    return f"{device.g_min_uS:g} to {device.g_max_uS:g} µS"


def states_words(device: Device) -> str:
    """Return the number of nominal steps over the window."""
    count = states(device)
    return NOTHING if count is None else f"{count:,.0f}"


def on_off_words(device: Device) -> str:
    """Return the on/off ratio to three digits."""
    ratio = on_off(device)
    return NOTHING if ratio is None else f"{ratio:.3g}"


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
        "drifts": device.drifts,
        "has_read_noise": device.has_read_noise,
    }


def numbers(card: Card) -> dict[str, Any]:
    """Return a whole card for JSON: `facts`, notes, and every number with unit and source."""
    return {
        **facts(card),
        "notes": list(card.notes),
        "silent_on": card.silent_on,
        "parameters": {name: number.model_dump() for name, number in card.parameters.items()},
    }


def cards_table(known: Iterable[Card]) -> Table:
    """Return a table of cards, one row each."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in ("name", "technology", "law"):
        table.add_column(heading, overflow="fold")
    for heading in ("states", "on/off"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("window")
    table.add_column("source")
    for card in known:
        device = card.device()
        derived = (states_words(device), on_off_words(device), window_words(device))
        words = (card.name, card.technology, card.law, *derived, card.citation)
        table.add_row(*(Text(word) for word in words))
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
