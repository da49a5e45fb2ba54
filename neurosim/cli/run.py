"""`neurosim run`: one arm of an experiment of any kind, with checkpoints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from neurosim.cli.options import Common, ExperimentFile, FirstSeed, Json, Kind, Settings
from neurosim.cli.progress import progress
from neurosim.cli.studies import chosen, opened, tell
from neurosim.cli.terminal import say
from neurosim.core.errors import ConfigError


def run_command(
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of checkpoint and result.")],
    kind: Kind = None,
    arm: Annotated[str | None, typer.Option(help="Arm to train; default the first device.")] = None,
    seed: FirstSeed = None,
    settings: Settings = None,
    checkpoint_s: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 30.0,
    json_file: Json = None,
) -> None:
    """Train one arm with checkpoints; killed and started again, it ends in the same bits."""
    from neurosim.study.run import pick_arm, run_with_checkpoints
    from neurosim.study.store import write_json

    spec = chosen(kind, Common(experiment=experiment, seed=seed, settings=settings))
    if not (math.isfinite(checkpoint_s) and checkpoint_s >= 0):
        raise ConfigError(f"--checkpoint-s {checkpoint_s}: must be finite and at least 0")
    spec.check()
    pick_arm(spec, arm)
    opened(out, json_file)
    tell([spec])
    with progress() as report:
        result = run_with_checkpoints(spec, arm, out, checkpoint_s, report)
    write_json(out / "result.json", result)
    if json_file is not None:
        write_json(json_file, result)
    vote = f", vote {100 * result['vote']:.2f} %" if "vote" in result else ""
    say(f"{result['arm']}, seed {result['seed']}: accuracy {100 * result['accuracy']:.2f} %{vote}, "
        f"weights {result['weights_sha256'][:12]}; {out / 'result.json'}")  # fmt: skip
