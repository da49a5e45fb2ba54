"""One training run that can be killed at any moment and goes on from its last checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from neurosim.core.errors import UnknownNameError
from neurosim.study.compare import Report, check, load_data, untrained_scores
from neurosim.study.spec import IDEAL, Arm, Experiment
from neurosim.study.store import digest, versions
from neurosim.study.train import Training

CHECKPOINT = "checkpoint.npz"


def pick_arm(experiment: Experiment, name: str | None) -> Arm | None:
    """Return the arm of that name, or the first; None is ideal arithmetic.

    Raises
    ------
    UnknownNameError
        If the experiment has no arm of that name.
    """
    arms = {arm.name: arm for arm in experiment.arms()}
    if name is None:
        return next(iter(arms.values()), None)
    if name == IDEAL and name not in arms:
        return None
    if name not in arms:
        raise UnknownNameError("arm", name, [*arms, IDEAL])
    return arms[name]


def run_with_checkpoints(
    experiment: Experiment,
    arm_name: str | None,
    out: Path,
    checkpoint_s: float = 30.0,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train one arm with the experiment's first seed, saving every `checkpoint_s` seconds.

    Returns
    -------
    result : dict
        One entry of `compare`'s runs, with the SHA-256 of the final weights, config and versions.

    Raises
    ------
    CheckpointError
        If the checkpoint in `out` is damaged or belongs to another experiment.
    """
    check(experiment)
    arm = pick_arm(experiment, arm_name)
    training = Training(experiment, arm, experiment.first_seed, load_data(experiment))
    path = out / CHECKPOINT
    untrained = training.resume(path) if path.exists() else untrained_scores(training)
    last = time.monotonic()

    def save_now_and_then() -> None:
        nonlocal last
        if time.monotonic() - last >= checkpoint_s:
            training.save(path, untrained)
            last = time.monotonic()

    def progress(done: int, total: int) -> None:
        if report:
            report(training.name, training.seed, done, total)

    training.run(progress, save_now_and_then)
    training.save(path, untrained)
    weights = training.layer.array.snapshot()
    weights.pop("ledger", None)
    return {
        **training.result(untrained),
        "weights_sha256": digest(weights),
        "config": experiment.model_dump(mode="json"),
        "versions": versions(),
    }
