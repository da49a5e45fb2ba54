"""`neurosim deep`: networks of several layers, learnt without labels, in ideal arithmetic and on devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurosim.cli_devices import Json, console


def deep_command(
    experiment: Annotated[Path, typer.Argument(metavar="EXPERIMENT.toml")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of checkpoints and results.")],
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Only this arm; several may share a folder, then all are collected."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="First seed; same seed, same bits.")] = None,
    json_file: Json = None,
) -> None:
    """Train deep networks layer by layer, resumable at any time, and show the accuracy at each depth."""
    from neurosim.report.deep import deep_table, depth_curves
    from neurosim.report.holding import holding_table
    from neurosim.report.style import to_svg
    from neurosim.study.deep import deep
    from neurosim.study.deep_spec import DeepExperiment
    from neurosim.study.store import open_folder, whole_file, write_json

    spec = DeepExperiment.from_toml(experiment)
    if seed is not None:
        spec = spec.changed(first_seed=seed)
    if arm:
        spec = spec.only(arm)
    open_folder(out)
    results = deep(spec, out, lambda line: print(line, flush=True))
    write_json(out / "deep.json", results)
    with whole_file(out / "depth.svg") as stream:
        stream.write(to_svg(depth_curves(results)))
    if json_file is not None:
        write_json(json_file, results)
    console().print(deep_table(results))
    held = holding_table(results)
    if held is not None:
        console().print(held)
