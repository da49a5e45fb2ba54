"""`neurosim mortal`: what a network loses when it is copied to another chip, and what learning there recovers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurosim.cli_devices import Json, console


def mortal_command(
    experiment: Annotated[Path, typer.Argument(metavar="EXPERIMENT.toml")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of checkpoints and results.")],
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Only this arm; several may share a folder, then all are collected."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="First seed; same seed, same bits.")] = None,
    json_file: Json = None,
) -> None:
    """Learn on one chip, copy to others, learn on there; resumable at any time."""
    from neurosim.report.mortal import figures, mortal_table
    from neurosim.report.style import to_svg
    from neurosim.study.mortal import mortal
    from neurosim.study.mortal_spec import MortalExperiment
    from neurosim.study.store import open_folder, whole_file, write_json

    spec = MortalExperiment.from_toml(experiment)
    if seed is not None:
        spec = spec.changed(first_seed=seed)
    if arm:
        spec = spec.only(arm)
    open_folder(out)
    results = mortal(spec, out, lambda line: print(line, flush=True))
    write_json(out / "mortal.json", results)
    for name, figure in figures(results).items():
        with whole_file(out / f"{name}.svg") as stream:
            stream.write(to_svg(figure))
    if json_file is not None:
        write_json(json_file, results)
    console().print(mortal_table(results))
