"""`neurosim wires`: how large an array may be, and how thin its wires; the name of a sweep of four axes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from neurosim.cli.options import (
    Common,
    ExperimentFile,
    FirstSeed,
    Json,
    Kind,
    Overwrite,
    RetryFailed,
    Settings,
    Workers,
)
from neurosim.cli.studies import chosen
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
    kind: Kind = None,
    ohm: Annotated[
        str, typer.Option(metavar="R1,R2,...", help="Ohm from cell to cell to read at.")
    ] = "0,1,2,5",
    tile: Annotated[
        str, typer.Option(metavar="N1,N2,...", help="Lines of a tile to read at.")
    ] = "64,128,256,512",
    train_ohm: Annotated[str, typer.Option(metavar="R1,R2,...", help="Ohm to learn at.")] = "0,1,5",
    train_tile: Annotated[int, typer.Option(min=2, help="Lines of a tile while it learns.")] = 256,
    seed: FirstSeed = None,
    settings: Settings = None,
    workers: Workers = 1,
    retry_failed: RetryFailed = False,
    overwrite: Overwrite = False,
    json_file: Json = None,
) -> None:
    """Show accuracy against wire resistance and tile size, learnt at some resistances and read at others.

    The same as `neurosim sweep` with --axis wires.ohm=...@learning --axis tiles.lines=...@learning
    --axis wires.ohm=...@reading --axis tiles.lines=...@reading.
    """
    from neurosim.cli.sweep import carry_out_sweep
    from neurosim.study.axis import Axis
    from neurosim.study.blocks import Store
    from neurosim.study.sweep import Plan, Sweep

    spec = chosen(kind, Common(experiment=experiment, seed=seed, settings=settings))
    if not spec.device_arms():
        raise ConfigError("wires: needs at least one --device, or an arm with a device")
    axes = (
        Axis(field="wires.ohm", levels=tuple(numbers(train_ohm, "--train-ohm")), when="learning"),
        Axis(field="tiles.lines", levels=(train_tile,), when="learning"),
        Axis(field="wires.ohm", levels=tuple(numbers(ohm, "--ohm")), when="reading"),
        Axis(field="tiles.lines", levels=tuple(whole_numbers(tile, "--tile")), when="reading"),
    )
    store = Store(Plan(Sweep(axis=axes), spec), out)
    carry_out_sweep(store, json_file, workers, retry_failed=retry_failed, overwrite=overwrite)
