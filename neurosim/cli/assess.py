"""`neurosim assess`: from measured pulses, or a card, to a verdict."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from neurosim.cli.fit import Columns, Draws, ReadVoltage, WriteTime, WriteVoltage, fitted
from neurosim.cli.options import Json, Overwrite, Workers
from neurosim.cli.progress import parts
from neurosim.cli.terminal import console, expect_json, say
from neurosim.core.errors import ConfigError


def assess_command(
    source: Annotated[
        str, typer.Argument(metavar="CARD|DATA.csv", help="A card by name or file, or measured pulses.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of everything.", show_default="out/assess-NAME"),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Budget. Whether rules learn is always asked; if that takes longer, it is said beforehand. Nothing else is begun "
            "that does not fit in.",
        ),
    ] = 10.0,
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Chips of each arm, paired between arms.")] = 5,
    dataset: Annotated[str, typer.Option(help="A name, or a folder, .npz or .csv of your own.")] = "digits",
    train_images: Annotated[
        int | None,
        typer.Option("--train-images", min=12, help="Use so many training images.", show_default="all"),
    ] = None,
    test_images: Annotated[
        int | None, typer.Option("--test-images", min=10, help="Use so many test images.", show_default="all")
    ] = None,
    draws: Draws = 2,
    read_voltage: ReadVoltage = None,
    write_voltage: WriteVoltage = None,
    write_time: WriteTime = None,
    column: Columns = None,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    json_file: Json = None,
) -> None:
    """Say of one device whether local rules learn on it, what it tolerates, costs and wears, and what it would need.

    Measured pulses are fitted first. Settings are chosen on validation images; each part lies in the folder with its experiment
    file, to go on with by the command that the report names.
    """
    from neurosim.report.assessment import headline, sentences, to_settle, write_assessment
    from neurosim.report.fit_sheet import fit_tables
    from neurosim.study.assess import assess
    from neurosim.study.store import open_folder, write_json

    expect_json(json_file)
    begun = time.monotonic()
    out = Path("out") / f"assess-{Path(source).stem}" if out is None else out
    open_folder(out)
    drawn: list[str] = []
    notes: tuple[str, ...] = ()
    more: list[Table] = []
    name: str | None
    if _is_measured(source):
        file, name = out / f"{Path(source).stem}.toml", Path(source).stem
        found, further = fitted(
            [Path(source)], file, None, read_voltage, write_voltage, write_time, column, None, draws, overwrite,
            again=True,
        )  # fmt: skip
        cards = f"; {len(further)} drawn from its intervals" if further else ""
        say(f"fitted: {file}, law {found.card.law}{cards}")
        card, drawn, figure = str(file), [str(each) for each in further], file.with_suffix(".svg")
        notes, more = found.card.remarks, [_named(table) for table in fit_tables(found)]
    else:
        card, figure, name = source, out / "device.svg", None
        _drawn(source, figure)
    images = {"dataset": dataset, "train_images": train_images, "test_images": test_images}
    _spare(out, card, images, overwrite)
    with parts() as tell:
        assessed = assess(card, out, drawn, seeds, minutes, workers, tell, name, images, begun, say)
    page = write_assessment(out, assessed, figure if figure.exists() else None, notes, more)
    settle = to_settle(assessed)
    if json_file is not None:
        write_json(
            json_file,
            {
                "verdict": ". ".join(headline(assessed)),
                "to_settle": settle,
                "said": sentences(assessed),
                **assessed.said(),
            },
        )
    console().print(Text(f"\n{headline(assessed)[0]}", "bold"))
    for name, said in (*settle, *sentences(assessed)):
        console().print(Text.assemble((name, "bold"), f": {said}".replace("\xa0", " ")))
    say(f"report: {page}")


def _named(table: Table) -> Table:
    """A table of the fit with what it is of above it."""
    first = str(table.columns[0].header)
    table.title = {"parameter": "The fitted card", "law": "Laws that were fitted"}.get(first, first)
    return table


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


def _spare(out: Path, card: str, images: dict[str, Any], overwrite: bool) -> None:
    """Refuse to write over the assessment of another card or on other images, or over edited files; raises `ConfigError`."""
    from neurosim.study.assess import SAID, edited
    from neurosim.study.store import read_json

    if overwrite:
        return
    file = out / SAID
    kept = read_json(file) if file.exists() else {}
    now = {name: value for name, value in images.items() if value is not None}
    before = {"dataset": kept.get("dataset", now["dataset"]), **kept.get("images", {})}
    if kept and (Path(kept["card"]).name, before) != (Path(card).name, now):
        of = ", ".join((kept["card"], *(f"{name} = {value}" for name, value in before.items())))
        raise ConfigError(
            f"--out {out}: {file} is of another card or other images ({of}); choose another folder, or --overwrite"
        )
    if mine := edited(out):
        raise ConfigError(
            f"--out {out}: {' and '.join(map(str, mine))} is not as it was written here; go on with it by its own command, "
            "choose another folder, or --overwrite"
        )


def _drawn(source: str, figure: Path) -> None:
    """Draw the device sheet of a card; of a device that is not one there is none."""
    from neurosim.devices.card import card_or_none, load
    from neurosim.report.device_sheet import write_sheet

    card = card_or_none(source)
    if card is None:
        load(source)
    else:
        write_sheet(card, figure)
