"""The commands about devices: list, show, plot, check. Heavy modules are imported by the commands that use them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from neurosim.cli.options import Json
from neurosim.cli.terminal import console, expect_json, say, standard
from neurosim.core.plain import printable

devices_app = typer.Typer(no_args_is_help=True, help="Published device cards.")

CardName = Annotated[str, typer.Argument(metavar="NAME|CARD.toml")]


@devices_app.command("list")
def list_devices(
    technology: Annotated[
        str | None,
        typer.Option(
            "--technology", metavar="TEXT", help="Only cards whose technology has it: rram, pcm, ecram ..."
        ),
    ] = None,
    law: Annotated[str | None, typer.Option("--law", metavar="NAME", help="Only cards of this law.")] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            help="name; states or on-off, the most first; energy of a pulse, the least first; assumed, the smallest share first.",
        ),
    ] = "name",
    plain: Annotated[
        bool, typer.Option("--plain", help="A line a card, tabs between its columns, for other programs.")
    ] = False,
    json_file: Json = None,
) -> None:
    """Print the known device cards: where each is from, `neurosim devices show NAME`."""
    from neurosim.core.errors import ConfigError, UnknownNameError
    from neurosim.devices.card import cards, read
    from neurosim.report.device_table import HEADINGS, SORTED_BY, cards_table, facts, of_technology, row_of
    from neurosim.study.store import write_json

    expect_json(json_file)
    if sort not in SORTED_BY:
        raise UnknownNameError("order", sort, list(SORTED_BY))
    everything = [read(file) for file in cards().values()]
    laws = sorted({card.law for card in everything})
    if law is not None and law not in laws:
        raise UnknownNameError("law", law, laws)
    known = [card for card in everything if law is None or card.law == law]
    known = known if technology is None else of_technology(known, technology)
    if not known:
        kinds = "; ".join(sorted({card.technology for card in everything}))
        raise ConfigError(
            f"no card has technology '{technology}'{'' if law is None else f' and law {law}'}; there are: {kinds}"
        )
    known.sort(key=SORTED_BY[sort])
    if json_file is not None:
        write_json(json_file, [facts(card) for card in known])
    if plain:
        for row in (HEADINGS, *map(row_of, known)):
            print(*map(printable, row), sep="\t", file=standard())
    else:
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
