"""`neurosim mortal`: what a network loses when it is copied to another chip, and what learning there recovers."""

from __future__ import annotations

from neurosim import cli_arms as arms
from neurosim.cli_devices import Json
from neurosim.cli_terminal import console, expect_json


def mortal_command(
    experiment: arms.ExperimentFile,
    out: arms.Folder = None,
    arm: arms.OnlyArms = None,
    seed: arms.FirstSeed = None,
    json_file: Json = None,
) -> None:
    """Learn on one chip, copy to others, learn on there; resumable at any time."""
    from neurosim.report.mortal import figures, mortal_table
    from neurosim.study.mortal import mortal
    from neurosim.study.mortal_spec import MortalExperiment

    spec = arms.chosen(MortalExperiment, experiment, seed, arm)
    out = arms.opened(out)
    expect_json(json_file)
    results = mortal(spec, out)
    arms.keep(results, out, "mortal", figures(results), json_file)
    console().print(mortal_table(results))
