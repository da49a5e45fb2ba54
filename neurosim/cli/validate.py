"""`neurosim validate`: both machines that compute, compared draw for draw."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from neurosim.cli.options import FirstSeed, Json
from neurosim.cli.terminal import PlainConsole, console, expect_json, say


def validate_command(
    training: Annotated[
        Path | None,
        typer.Option(
            metavar="EXPERIMENT.toml", help="Training for both backends, dense or ff; default digits."
        ),
    ] = None,
    backend: Annotated[str, typer.Option(help="Machine to compare numba with: torch.")] = "torch",
    dtype: Annotated[list[str] | None, typer.Option(help="float32 or float64; default both.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="Card name or file; default all cards.")] = None,
    torch_device: Annotated[
        list[str] | None, typer.Option(help="cpu or cuda; default cpu, and cuda where there is a GPU.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep finished trainings here.")] = None,
    seed: FirstSeed = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes for the trainings.")] = 1,
    json_file: Json = None,
) -> None:
    """Compare the numba and the torch backend: operations, rules, trainings. Exit code 1 if a bound fails."""
    from neurosim.report.validation import validation_tables
    from neurosim.study.kinds import load_experiment
    from neurosim.study.store import write_json
    from neurosim.study.validate import validate_everywhere

    expect_json(json_file)
    results = validate_everywhere(
        backend,
        tuple(dtype or ("float32", "float64")),
        tuple(device or ()),
        None if training is None else load_experiment(training),
        seed,
        tuple(torch_device or ()),
        out,
        workers,
        PlainConsole(stderr=True).print if sys.stderr.isatty() else None,
    )
    terminal = console()
    for machine in results["machines"]:
        terminal.print(*validation_tables(machine))
    if json_file is not None:
        write_json(json_file, results)
    say("the backends agree" if results["holds"] else "the backends DISAGREE")
    if not results["holds"]:
        raise typer.Exit(1)
