"""`neurosim ff`: networks that learn by Forward-Forward, in ideal arithmetic and on devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurosim.cli_devices import Json, console


def ff_command(
    experiment: Annotated[Path, typer.Argument(metavar="EXPERIMENT.toml")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of checkpoints and results.")],
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Only this arm; several may share a folder, then all are collected."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="First seed; same seed, same bits.")] = None,
    json_file: Json = None,
) -> None:
    """Train networks by Forward-Forward, resumable at any time, and show the accuracy of each readout."""
    from neurosim.report.forward_forward import forward_forward_table, layers_table
    from neurosim.report.forward_forward_figures import energy_and_accuracy, epoch_curves
    from neurosim.report.holding import holding_table
    from neurosim.report.style import to_svg
    from neurosim.study.forward_forward import forward_forward
    from neurosim.study.forward_forward_spec import ForwardForwardExperiment
    from neurosim.study.store import open_folder, whole_file, write_json

    spec = ForwardForwardExperiment.from_toml(experiment)
    if seed is not None:
        spec = spec.changed(first_seed=seed)
    if arm:
        spec = spec.only(arm)
    open_folder(out)
    results = forward_forward(spec, out, lambda line: print(line, flush=True))
    write_json(out / "ff.json", results)
    for name, figure in {"epochs": epoch_curves(results), "energy": energy_and_accuracy(results)}.items():
        if figure is not None:
            with whole_file(out / f"{name}.svg") as stream:
                stream.write(to_svg(figure))
    if json_file is not None:
        write_json(json_file, results)
    console().print(forward_forward_table(results))
    held = holding_table(results)
    if held is not None:
        console().print(held)
    console().print(layers_table(results))
