"""`neurosim assess`: from measured pulses, or a card, to a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from neurosim.cli.fit import Columns, Draws, ReadVoltage, WriteTime, WriteVoltage, fitted
from neurosim.cli.options import Json, Workers
from neurosim.cli.progress import progress
from neurosim.cli.terminal import console, expect_json, say
from neurosim.core.errors import ConfigError


def assess_command(
    source: Annotated[
        str, typer.Argument(metavar="CARD|DATA.csv", help="A card by name or file, or measured pulses.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of everything.")] = Path(
        "out/assess"
    ),
    minutes: Annotated[
        float, typer.Option(min=0.1, help="After which nothing new is begun but whether rules learn.")
    ] = 10.0,
    seeds: Annotated[int, typer.Option(min=2, help="Chips of each arm.")] = 5,
    draws: Draws = 2,
    read_voltage: ReadVoltage = None,
    write_voltage: WriteVoltage = None,
    write_time: WriteTime = None,
    column: Columns = None,
    workers: Workers = 1,
    json_file: Json = None,
) -> None:
    """Say of one device whether local rules learn on it, what it tolerates, costs and wears, and what it would need.

    Measured pulses are fitted first. Settings are chosen on validation images; each part lies in the folder with its experiment
    file, to go on with by the command that the report names.
    """
    from neurosim.report.assessment import headline, sentences, write_assessment
    from neurosim.study.assess import assess
    from neurosim.study.store import open_folder, write_json

    expect_json(json_file)
    open_folder(out)
    drawn: list[str] = []
    notes: tuple[str, ...] = ()
    name: str | None
    if _is_measured(source):
        file, name = out / f"{Path(source).stem}.toml", Path(source).stem
        found, further = fitted(
            [Path(source)], file, None, read_voltage, write_voltage, write_time, column, None, draws
        )
        card, drawn, notes, figure = (
            str(file),
            [str(each) for each in further],
            found.card.remarks,
            file.with_suffix(".svg"),
        )
    else:
        card, figure, name = source, out / "device.svg", None
        _drawn(source, figure)
    with progress() as report:

        def tell(title: str) -> Any:
            return lambda arm, seed, done, total: report(f"{title}: {arm}", seed, done, total)

        assessed = assess(card, out, drawn, seeds, minutes, workers, tell, name)
    page = write_assessment(out, assessed, figure if figure.exists() else None, notes)
    if json_file is not None:
        write_json(
            json_file,
            {"verdict": ". ".join(headline(assessed)), "said": sentences(assessed), **assessed.said()},
        )
    console().print(Text(". ".join(headline(assessed)), "bold"))
    for name, said in sentences(assessed):
        console().print(Text.assemble((name, "bold"), f": {said}".replace("\xa0", " ")))
    say(f"report: {page}")


def _is_measured(source: str) -> bool:
    """Whether that is a file of measurements, and not a card or a device in Python."""
    path = Path(source.rpartition(":")[0] or source)
    if Path(source).suffix == ".toml" or path.suffix == ".py":
        return False
    if Path(source).suffix and not Path(source).exists():
        raise ConfigError(
            f"{source}: no such file; give measured pulses, a card's file, or a name of 'neurosim devices list'"
        )
    return Path(source).exists()


def _drawn(source: str, figure: Path) -> None:
    """Draw the device sheet of a card; of a device that is not one there is none."""
    from neurosim.devices.card import card_or_none, load
    from neurosim.report.device_sheet import write_sheet

    card = card_or_none(source)
    if card is None:
        load(source)
    else:
        write_sheet(card, figure)
