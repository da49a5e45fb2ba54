"""`neurosim mortal`: what a network loses when it is copied to another chip, and what learning there recovers."""

from __future__ import annotations

from neurosim.cli_arms import ExperimentFile, FirstSeed, Folder, OnlyArms, chosen, keep, opened
from neurosim.cli_devices import Json, console


def mortal_command(
    experiment: ExperimentFile,
    out: Folder = None,
    arm: OnlyArms = None,
    seed: FirstSeed = None,
    json_file: Json = None,
) -> None:
    """Learn on one chip, copy to others, learn on there; resumable at any time."""
    from neurosim.report.mortal import figures, mortal_table
    from neurosim.study.mortal import mortal
    from neurosim.study.mortal_spec import MortalExperiment

    spec = chosen(MortalExperiment, experiment, seed, arm)
    out = opened(out)
    results = mortal(spec, out, lambda line: print(line, flush=True))
    keep(results, out, "mortal", figures(results), json_file)
    console().print(mortal_table(results))
