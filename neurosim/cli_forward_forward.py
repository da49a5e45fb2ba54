"""`neurosim ff`: networks that learn by Forward-Forward, in ideal arithmetic and on devices."""

from __future__ import annotations

from neurosim import cli_arms as arms
from neurosim.cli_devices import Json
from neurosim.cli_terminal import console, expect_json


def ff_command(
    experiment: arms.ExperimentFile,
    out: arms.Folder = None,
    arm: arms.OnlyArms = None,
    seed: arms.FirstSeed = None,
    holding: arms.InAdvance = False,
    json_file: Json = None,
) -> None:
    """Train networks by Forward-Forward, resumable at any time, and show the accuracy of each readout."""
    from neurosim.report.forward_forward import forward_forward_table, layers_table
    from neurosim.report.forward_forward_figures import energy_and_accuracy, epoch_curves
    from neurosim.study.forward_forward import forward_forward
    from neurosim.study.forward_forward_spec import ForwardForwardExperiment

    spec = arms.chosen(ForwardForwardExperiment, experiment, seed, arm)
    if holding:
        expect_json(json_file)
        arms.show_holding(spec.beforehand(spec.data()), json_file)
        return
    out = arms.opened(out)
    expect_json(json_file)
    results = forward_forward(spec, out)
    figures = {"epochs": epoch_curves(results), "energy": energy_and_accuracy(results)}
    arms.keep(results, out, "ff", figures, json_file)
    console().print(forward_forward_table(results))
    if results["holding"]:
        arms.show_holding(results)
    console().print(layers_table(results))
