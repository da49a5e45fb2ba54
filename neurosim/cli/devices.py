"""The commands about devices: list, show, plot, check. Heavy modules are imported by the commands that use them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from neurosim.cli.options import Json
from neurosim.cli.terminal import console, expect_json, say

devices_app = typer.Typer(no_args_is_help=True, help="Published device cards.")

CardName = Annotated[str, typer.Argument(metavar="NAME|CARD.toml")]


@devices_app.command("list")
def list_devices(json_file: Json = None) -> None:
    """Print the known device cards."""
    from neurosim.devices.card import cards, read
    from neurosim.report.device_table import cards_table, facts
    from neurosim.study.store import write_json

    expect_json(json_file)
    known = [read(file) for file in cards().values()]
    if json_file is not None:
        write_json(json_file, [facts(card) for card in known])
    console().print(cards_table(known))


@devices_app.command("show")
def show_device(name: CardName, json_file: Json = None) -> None:
    """Print one card: every number with its unit and source."""
    from neurosim.devices.card import find
    from neurosim.report.device_table import card_heading, numbers, numbers_table
    from neurosim.study.store import write_json

    expect_json(json_file)
    card = find(name)
    heading = card_heading(card)
    if json_file is not None:
        write_json(json_file, numbers(card))
    console().print(heading, numbers_table(card), *(Text(f"- {note}") for note in card.remarks), sep="\n")


@devices_app.command("plot")
def plot_device(
    name: CardName,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help=".svg, .png or .pdf; default NAME.svg.")
    ] = None,
) -> None:
    """Draw one page: traces, steps, programming error, levels, drift and read noise."""
    from neurosim.devices.card import find
    from neurosim.report.device_sheet import write_sheet
    from neurosim.study.store import expect_file

    card = find(name)
    place = out or Path(f"{Path(card.name).name}.svg")
    expect_file(place, "--out")
    say(f"figure: {write_sheet(card, place)}")


@devices_app.command("check")
def check_device(name: CardName, json_file: Json = None) -> None:
    """Try the contract of a device under a million pulses: for a law or a card of your own. Exit code 1 if broken."""
    from neurosim.devices.contract import check
    from neurosim.report.device_table import clauses_table
    from neurosim.study.store import write_json

    expect_json(json_file)
    clauses = check(name)
    if json_file is not None:
        write_json(json_file, [clause._asdict() for clause in clauses])
    console().print(clauses_table(clauses))
    if not all(clause.holds for clause in clauses):
        raise typer.Exit(1)
