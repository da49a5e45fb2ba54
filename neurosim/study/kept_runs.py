"""Trainings carried to their end in a folder: checkpoints on the way, and finished runs that are not computed again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurosim.core.errors import Stopped
from neurosim.study import stopping
from neurosim.study.locks import locked
from neurosim.study.store import read_kept, text_digest, versions, write_kept
from neurosim.study.training import Report, Training

SAVE_EVERY_S = 120.0


def checkpoint_of(training: Training, out: Path) -> Path:
    """Return where `finished` keeps what is learnt."""
    return out / "runs" / f"{text_digest(training.identity)}.npz"


def learn(training: Training, checkpoint: Path, every_s: float, report: Report | None = None) -> None:
    """Train to the end from the checkpoint, if there is one, and go on writing it.

    Parameters
    ----------
    training : Training
    checkpoint : Path
    every_s : float
        Seconds between checkpoints; there is one at the end where what was learnt is kept.
    report : callable, optional
        Progress, called with (arm, seed, done, total).

    Raises
    ------
    Stopped
        If somebody asked for the end: after the mini-batch under way, with its checkpoint written.
    CheckpointError
        If the checkpoint is damaged or belongs to another experiment.
    """
    if checkpoint.exists():
        training.resume(checkpoint)
    saved, last = training.steps, time.monotonic()

    def save() -> None:
        nonlocal saved, last
        stop = stopping.asked()
        if stop or time.monotonic() - last >= every_s:
            training.save(checkpoint)
            saved, last = training.steps, time.monotonic()
        if stop:
            raise Stopped(
                f"stopped: {training.name}, seed {training.seed}, is kept after {training.steps} of "
                f"{training.total} mini-batches in {checkpoint}; the same command goes on there"
            )

    with stopping.learning():
        training.run(_told(training, report), save)
    if training.keeps_learnt and saved < training.steps:
        training.save(checkpoint)


def _told(training: Training, report: Report | None) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if report:
            report(training.name, training.seed, done, total)

    return progress


def finished(training: Training, out: Path | None = None, report: Report | None = None) -> dict[str, Any]:
    """Train to the end and evaluate; what is finished in `out` is not computed again.

    Parameters
    ----------
    training : Training
    out : Path, optional
        Folder of checkpoints and finished runs; None keeps nothing.
    report : callable, optional
        Progress, called with (arm, seed, done, total).

    Returns
    -------
    result : dict
        One entry of the results' ``runs``.

    Raises
    ------
    CheckpointError
        If a file that is found is damaged.
    InUseError
        If another process is at the same training in the same folder.
    Stopped
        If somebody asked for the end; what was learnt is kept.
    """
    if out is None:
        trained(training, None, report)
        told = counted(training)
        return {**training.result(), **told}
    checkpoint, kept = checkpoint_of(training, out), _result_of(training, out)
    if not kept.exists():
        with locked(checkpoint):
            if not kept.exists():  # nor has it been finished elsewhere meanwhile
                learn(training, checkpoint, SAVE_EVERY_S, report)
                told = counted(training)
                result = {**training.result(), **told}
                training.keep_beside(out)
                write_kept(kept, {**result, "made_with": versions()})
                if not training.keeps_learnt:
                    checkpoint.unlink(missing_ok=True)
                return result
    found = read_kept(kept, "arm", "seed", "accuracy", "test_size")
    found.pop("made_with", None)
    return found


def is_finished(training: Training, out: Path) -> bool:
    """Whether `finished` has nothing left to compute in this folder."""
    return _result_of(training, out).exists()


def _result_of(training: Training, out: Path) -> Path:
    """Where the finished run is kept."""
    checkpoint = checkpoint_of(training, out)
    return checkpoint.with_name(f"{checkpoint.stem}-{text_digest(training.evaluation)}.json")


def counted(training: Training) -> dict[str, Any]:
    """Return what a training has counted so far: ``counts``, ``events`` of each layer, ``along`` the way, ``samples`` shown."""
    found = {"counts": training.counts(), "events": training.events(), "along": training.along()}
    return {**found, "samples": training.images_shown} if training.experiment.learns else found


def trained(
    training: Training, out: Path | None = None, report: Report | None = None
) -> dict[str, float | None]:
    """Train to the end, from a checkpoint in `out` where there is one; return the events counted until then.

    Raises as `finished`.
    """
    if out is None:
        training.run(_told(training, report))
        return training.counts()
    checkpoint = checkpoint_of(training, out)
    with locked(checkpoint):
        learn(training, checkpoint, SAVE_EVERY_S, report)
    return training.counts()
