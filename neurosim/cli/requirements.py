"""`neurosim requirements`: how much of each thing a device may have; the name of a sweep that is read backwards."""

from __future__ import annotations

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
from neurosim.cli.studies import chosen, tell
from neurosim.cli.wires import numbers


def requirements_command(
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of finished blocks and results.")],
    kind: Kind = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="Card name or file, instead of the devices of all arms; repeat for more."),
    ] = None,
    arm: Annotated[list[str] | None, typer.Option("--arm", help="Only this arm; repeat for more.")] = None,
    keep: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the accuracy that is to be kept.")
    ] = 0.99,
    against: Annotated[
        str, typer.Option(metavar="ideal|device", help="That of ideal arithmetic, or of the device as given.")
    ] = "ideal",
    score: Annotated[
        str,
        typer.Option(help="Which accuracy: the headline, or another of the study, as the vote of one layer."),
    ] = "accuracy",
    factors: Annotated[
        str, typer.Option(metavar="F1,F2,...", help="Levels, times what the device has; 1 is always one.")
    ] = "0,0.125,0.25,0.5,1,2,4,8",
    seed: FirstSeed = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="Runs of each arm, paired.")] = None,
    hold_out: Annotated[
        bool, typer.Option("--hold-out", help="Report on the validation images instead of the test set.")
    ] = False,
    settings: Settings = None,
    workers: Workers = 1,
    retry_failed: RetryFailed = False,
    overwrite: Overwrite = False,
    json_file: Json = None,
) -> None:
    """Show, beside what a device has, which step, noise, asymmetry, spread ... would be enough for this net.

    The same as `neurosim sweep --one-at-a-time` with an axis times.step=..., times.write_noise=... for each thing that the
    device has, read backwards.
    """
    from neurosim.cli.progress import COUNTED, progress
    from neurosim.cli.sweep import opened_sweep, shown_sweep, spare_sweep
    from neurosim.study.axis import Axis
    from neurosim.study.blocks import Store
    from neurosim.study.requirements import backwards, requirements
    from neurosim.study.sweep import Enough, with_devices
    from neurosim.study.swept import collect

    spec = chosen(
        kind,
        Common(experiment=experiment, seed=seed, seeds=seeds, hold_out=hold_out, arm=arm, settings=settings),
    )
    if device:
        spec = with_devices(spec, [Axis(field="device", levels=tuple(device))])
    enough = Enough.parse({"share": keep, "against": against, "score": score}, "--keep, --against, --score")
    plan = backwards(spec, enough, numbers(factors, "--factors"))
    opened_sweep(out, json_file)
    spare_sweep(Store(plan, out), overwrite)
    tell([spec])
    with progress() as report:
        store = requirements(
            plan,
            out,
            lambda what, done, total: report("blocks", COUNTED, done, total),
            workers,
            retry_failed=retry_failed,
        )
    shown_sweep(collect(store), out, json_file)
