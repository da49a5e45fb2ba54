"""`neurosim deep`: networks of several layers, learnt without labels, in ideal arithmetic and on devices."""

from __future__ import annotations

from neurosim.cli_arms import (
    ExperimentFile,
    FirstSeed,
    Folder,
    InAdvance,
    OnlyArms,
    chosen,
    keep,
    opened,
    show_holding,
)
from neurosim.cli_devices import Json, console


def deep_command(
    experiment: ExperimentFile,
    out: Folder = None,
    arm: OnlyArms = None,
    seed: FirstSeed = None,
    holding: InAdvance = False,
    json_file: Json = None,
) -> None:
    """Train deep networks layer by layer, resumable at any time, and show the accuracy at each depth."""
    from neurosim.report.deep import deep_table, depth_curves
    from neurosim.study.deep import deep, in_advance
    from neurosim.study.deep_spec import DeepExperiment

    spec = chosen(DeepExperiment, experiment, seed, arm)
    if holding:
        show_holding(in_advance(spec), json_file)
        return
    out = opened(out)
    results = deep(spec, out, lambda line: print(line, flush=True))
    keep(results, out, "deep", {"depth": depth_curves(results)}, json_file)
    console().print(deep_table(results))
    if results["holding"]:
        show_holding(results)
