"""`neurosim fit`: a device law from measured pulses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from neurosim.cli.options import Json, Overwrite
from neurosim.cli.progress import WHOLE, progress
from neurosim.cli.studies import spare_files
from neurosim.cli.terminal import console, expect_json, say
from neurosim.core.errors import ConfigError

if TYPE_CHECKING:
    from neurosim.devices.fitting import Fit


ReadVoltage = Annotated[
    float | None, typer.Option(help="Volt, of either sign; makes conductances of currents.")
]
WriteVoltage = Annotated[float | None, typer.Option(help="Volt, of a write pulse.")]
WriteTime = Annotated[float | None, typer.Option(help="Seconds, of a write pulse.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar='NAME="HEADER"', help="Header of a quantity, or its number; repeat for more."
    ),
]
Draws = Annotated[
    int,
    typer.Option(min=0, help="Cards drawn from the intervals, beside the card: CARD-draw-1.toml and so on."),
]


def fit_command(
    data: Annotated[list[Path], typer.Argument(metavar="DATA...")],
    model: Annotated[str | None, typer.Option(help="Law to fit; default all that can be, ranked.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="CARD.toml", help="Default: DATA.toml, here.")
    ] = None,
    read_voltage: ReadVoltage = None,
    write_voltage: WriteVoltage = None,
    write_time: WriteTime = None,
    column: Columns = None,
    resamples: Annotated[
        int | None,
        typer.Option(min=0, help="Sets of simulated data that correct a fit of small steps; 0: none."),
    ] = None,
    draws: Draws = 0,
    overwrite: Overwrite = False,
    json_file: Json = None,
) -> None:
    """Fit a device law to measured pulses, programming errors, drift or repeated reads; write a card and a figure."""
    from neurosim.report.fit_sheet import fit_numbers, fit_tables
    from neurosim.study.store import write_json

    card = out or Path(f"{data[0].absolute().stem}.toml")
    if card.suffix != ".toml":
        raise ConfigError(f"--out {card}: expected a name that ends in .toml")
    expect_json(json_file)
    found, drawn = fitted(
        data, card, model, read_voltage, write_voltage, write_time, column, resamples, draws, overwrite
    )
    console().print(*fit_tables(found), *(Text(f"- {note}") for note in found.card.remarks), sep="\n")
    say(f"card: {card}\nfigure: {card.with_suffix('.svg')}" + "".join(f"\ndraw: {file}" for file in drawn))
    if json_file is not None:
        write_json(json_file, fit_numbers(found))


def fitted(
    data: list[Path],
    card: Path,
    model: str | None,
    read_voltage: float | None,
    write_voltage: float | None,
    write_time: float | None,
    column: list[str] | None,
    resamples: int | None,
    draws: int,
    overwrite: bool,
    again: bool = False,
) -> tuple[Fit, list[Path]]:
    """Fit as the command does: write card, figure and drawn cards; return what was found and the drawn cards' files.

    Files that are there are not written over; `again`, they are where the fit ends in the same card.
    """
    from neurosim.devices.fitting import RESAMPLES, drawn_cards, fit, to_toml
    from neurosim.report.fit_sheet import write_fit_sheet
    from neurosim.study.store import expect_file, write_text

    expect_file(card, "--out")
    expect_file(card.with_suffix(".svg"), "figure")
    names = [
        card,
        card.with_suffix(".svg"),
        *(card.with_name(f"{card.stem}-draw-{k + 1}.toml") for k in range(draws)),
    ]
    spare_files(names, overwrite or again)
    with progress() as report:
        found = fit(
            data, model, read_voltage, write_voltage, write_time, card.stem, _columns(column or []), say,
            RESAMPLES if resamples is None else resamples,
            lambda what, done, total: report(what, WHOLE, done, total),
        )  # fmt: skip
    if again and card.exists() and card.read_text(encoding="utf-8") != to_toml(found.card):
        spare_files([card], overwrite)
    write_text(card, to_toml(found.card))
    drawn = {card.with_name(f"{one.name}.toml"): one for one in drawn_cards(found, draws)}
    for file, one in drawn.items():
        write_text(file, to_toml(one))
    write_fit_sheet(found, card.with_suffix(".svg"))
    return found, list(drawn)


def _columns(given: list[str]) -> dict[str, list[str]]:
    """Return the headers of each quantity; raises `ConfigError` where there is no equals sign."""
    columns: dict[str, list[str]] = {}
    for pair in given:
        name, equals, header = pair.partition("=")
        if not (equals and name.strip() and header.strip()):
            raise ConfigError(
                f'--column {pair}: expected a quantity and its header, as in conductance="G (S)"'
            )
        columns.setdefault(name.strip(), []).append(header.strip().strip("\"'"))
    return columns
