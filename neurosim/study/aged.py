"""After a study: each chip is left alone, read, and learns on; of what was learnt before no bit changes by it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neurosim.core.errors import Stopped
from neurosim.data.dataset import Dataset
from neurosim.study import stopping
from neurosim.study.controls import headline_bits
from neurosim.study.experiment import Experiment
from neurosim.study.kept_runs import checkpoint_of, counted, finished, trained
from neurosim.study.locks import locked
from neurosim.study.statistics import Chips, chips_of, mean_accuracy, stays_within
from neurosim.study.store import read_kept, text_digest, write_kept
from neurosim.study.training import Report, Training

MOMENTS = ("learnt", "aged", "learnt_on")
"""At the end of learning, after it was left alone, and after it has learnt as many images again."""


def finished_and_aged(
    experiment: Experiment, arm: Any, seed: int, data: Dataset, out: Path | None, report: Report | None
) -> dict[str, Any]:
    """Return one entry of the results' ``runs`` (`kept_runs.finished`), with ``aged`` if the experiment asks for it.

    Parameters
    ----------
    experiment, arm, seed, data
        What learns.
    out : Path, optional
        Folder of checkpoints and finished runs; what came after a run has a file of its own there.
    report : callable, optional
        Progress, called with (arm, seed, done, total).
    """
    training = experiment.training(arm, seed, data)
    if experiment.then_aged_s is None:
        return finished(training, out, report)
    later = experiment.training(arm, seed, data)
    if out is None:
        trained(training, None, report)
        told = counted(training)
        later.restore(training.snapshot())
        later.take_notes(training.notes())
        result = {**training.result(), **told}
        return {**result, "aged": _left_alone(later, experiment.then_aged_s, result, report)}
    checkpoint = checkpoint_of(training, out)
    asked = json.dumps([training.evaluation, experiment.then_aged_s])
    kept = checkpoint.with_name(f"{checkpoint.stem}-{text_digest(asked)}.aged.json")
    goes = not training.keeps_learnt
    training.keeps_learnt = training.keeps_learnt or not kept.exists()
    result = finished(training, out, report)
    if not kept.exists():
        later.keeps_learnt = True
        trained(later, out, report)
        with locked(kept):
            write_kept(kept, _left_alone(later, experiment.then_aged_s, result, report))
        if goes:
            checkpoint.unlink(missing_ok=True)
    return {**result, "aged": read_kept(kept, "seconds", *MOMENTS)}


def _left_alone(
    training: Training, seconds: float, result: dict[str, Any], report: Report | None
) -> dict[str, Any]:
    """Leave what has learnt to the end alone, read it, let it learn on, read it; readouts are fitted anew each time.

    Returns
    -------
    found : dict
        ``seconds``; for each of `MOMENTS` the scores and which images the headline had right, packed; ``courses``, images
        and accuracy as it was followed, before and after.
    """
    course = training.course()
    for layer in training.layers:
        if training.arm.device is not None:
            layer.array.advance(seconds)
    as_it_is, notes = training.snapshot(), training.notes()
    aged = training.result()
    training.restore(as_it_is)
    training.take_notes(notes)
    training.go_on()
    with stopping.learning():
        training.run(
            lambda done, total: (
                report(f"{training.name}, on", training.seed, done, total) if report else None
            ),
            lambda: _stop_if_asked(training),
        )
    again = training.course()
    moments = dict(zip(MOMENTS, (result, aged, training.result()), strict=True))
    return {
        "seconds": seconds,
        **{
            name: {**training.experiment.scores(each), "correct": headline_bits(each)}
            for name, each in moments.items()
        },
        "courses": [course, again],
    }


def _stop_if_asked(training: Training) -> None:
    if stopping.asked():
        raise Stopped(
            f"stopped: {training.name}, seed {training.seed}, was learning on; all before that is kept, and the same "
            "command goes on there"
        )


def summarise(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry for each arm that was left alone: its accuracy at each moment, and how many chips stay good.

    Parameters
    ----------
    runs : sequence of dict
        Of any kind of study.

    Returns
    -------
    found : list of dict
        ``arm``, ``seconds``, ``learnt_mean``, ``learnt_interval`` and so on for each of `MOMENTS`; ``yield``, of how
        many chips the accuracy after that time is at most a point below the mean before.
    """
    arms: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if "aged" in run:
            arms.setdefault(run["arm"], []).append(run)
    found = []
    for arm, own in arms.items():
        entry: dict[str, Any] = {"arm": arm, "seeds": len(own), "seconds": own[0]["aged"]["seconds"]}
        chips = {moment: _chips(own, moment) for moment in MOMENTS}
        for moment, each in chips.items():
            mean = mean_accuracy(each)
            entry |= {f"{moment}_mean": mean.value, f"{moment}_interval": (mean.low, mean.high)}
        found.append(entry | {"yield": asdict(stays_within(chips["aged"], chips["learnt"]))})
    return found


def _chips(runs: Sequence[dict[str, Any]], moment: str) -> Chips:
    """The headline score of one arm at one moment."""
    return chips_of(
        [
            {
                "accuracy": run["aged"][moment]["accuracy"],
                "correct": {"accuracy": run["aged"][moment]["correct"]},
                "test_size": run["test_size"],
            }
            for run in runs
        ]
    )
