"""`neurosim wires`: how large an array may be, and how thin its wires."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from neurosim.cli.options import ExperimentFile, FirstSeed, Json
from neurosim.cli.progress import progress
from neurosim.cli.studies import opened
from neurosim.cli.terminal import console, say
from neurosim.core.errors import ConfigError


def numbers(text: str, option: str) -> list[float]:
    """Split ``1,2,3``; raises `ConfigError`."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} {text}: expected numbers with commas between") from None
    if not all(map(math.isfinite, values)):
        raise ConfigError(f"{option} {text}: expected finite numbers")
    if min(values) < 0:
        raise ConfigError(f"{option} {text}: none may be negative")
    if len(set(values)) < len(values):
        raise ConfigError(f"{option} {text}: give each once")
    return values


def whole_numbers(text: str, option: str) -> list[int]:
    """Split ``64,128``; raises `ConfigError`."""
    values = numbers(text, option)
    if any(value != int(value) or value < 2 for value in values):
        raise ConfigError(f"{option} {text}: expected whole numbers from 2 up")
    return [int(value) for value in values]


def wires_command(
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for results and figures.")],
    ohm: Annotated[
        str, typer.Option(metavar="R1,R2,...", help="Ohm from cell to cell to read at.")
    ] = "0,1,2,5",
    tile: Annotated[
        str, typer.Option(metavar="N1,N2,...", help="Lines of a tile to read at.")
    ] = "64,128,256,512",
    train_ohm: Annotated[str, typer.Option(metavar="R1,R2,...", help="Ohm to learn at.")] = "0,1,5",
    train_tile: Annotated[int, typer.Option(min=2, help="Lines of a tile while it learns.")] = 256,
    seed: FirstSeed = None,
    json_file: Json = None,
) -> None:
    """Show accuracy against wire resistance and tile size, learnt at some resistances and read at others."""
    from neurosim.report.rewired import rewired_curves, rewired_table
    from neurosim.report.style import to_svg
    from neurosim.study.dense_spec import DenseExperiment
    from neurosim.study.rewire import check_wires, rewire
    from neurosim.study.store import write_json

    spec = DenseExperiment.from_toml(experiment)
    if seed is not None:
        spec = spec.changed(first_seed=seed)
    ohms, sizes = numbers(ohm, "--ohm"), whole_numbers(tile, "--tile")
    trained = numbers(train_ohm, "--train-ohm")
    check_wires(spec, ohms, sizes, trained, train_tile)
    opened(out, json_file)
    with progress() as report:
        results = rewire(spec, ohms, sizes, trained, train_tile, out, report)
    write_json(out / "wires.json", results)
    if json_file is not None:
        write_json(json_file, results)
    for score in ("accuracy", "vote"):
        (out / f"wires-{score}.svg").write_bytes(to_svg(rewired_curves(results, score)))
    console().print(rewired_table(results))
    say(f"figures: {out / 'wires-accuracy.svg'}, {out / 'wires-vote.svg'}")
