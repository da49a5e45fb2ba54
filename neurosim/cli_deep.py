"""`neurosim deep`: networks of several layers, learnt without labels, in ideal arithmetic and on devices."""

from __future__ import annotations

from neurosim import cli_arms as arms
from neurosim.cli_devices import Json
from neurosim.cli_terminal import console, expect_json


def deep_command(
    experiment: arms.ExperimentFile,
    out: arms.Folder = None,
    arm: arms.OnlyArms = None,
    seed: arms.FirstSeed = None,
    holding: arms.InAdvance = False,
    json_file: Json = None,
) -> None:
    """Train deep networks layer by layer, resumable at any time, and show the accuracy at each depth."""
    from neurosim.report.deep import deep_table, depth_curves
    from neurosim.study.deep import deep
    from neurosim.study.deep_spec import DeepExperiment

    spec = arms.chosen(DeepExperiment, experiment, seed, arm)
    if holding:
        expect_json(json_file)
        arms.show_holding(spec.beforehand(spec.data()), json_file)
        return
    out = arms.opened(out)
    expect_json(json_file)
    results = deep(spec, out)
    arms.keep(results, out, "deep", {"depth": depth_curves(results)}, json_file)
    console().print(deep_table(results))
    if results["holding"]:
        arms.show_holding(results)
