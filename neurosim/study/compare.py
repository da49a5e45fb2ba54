"""Ideal against crossbar: every arm with every seed, paired, and the summary that the question asks for."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.data.dataset import Dataset
from neurosim.study.arm import IDEAL
from neurosim.study.dense_spec import DenseExperiment
from neurosim.study.evaluate import PAIRED, raw_pixel_accuracy
from neurosim.study.events import averages
from neurosim.study.experiment import Experiment
from neurosim.study.run import study
from neurosim.study.statistics import decision, mcnemar, wilson
from neurosim.study.store import unpack_bits
from neurosim.study.training import Report

RAW = "raw pixels"
SCORES = ("accuracy", "accuracy_triangle", "vote")


def compare(
    experiment: Experiment,
    out: Path | None = None,
    report: Report | None = None,
    workers: int = 1,
    ideal: bool = True,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Run every arm with every seed and return the results in the form of `compare`'s JSON.

    Parameters
    ----------
    experiment, out, report, workers, executor, ideal
        As of `neurosim.study.run.study`; in the folder `out` there are also the arrays that the report draws.

    Raises
    ------
    NeurosimError
        If a device, rule, setting or data set is wrong; nothing has been computed then.
    """
    return study(experiment, out, report, workers, executor, ideal)


def raw_pixels(experiment: DenseExperiment, data: Dataset) -> dict[str, Any]:
    """Return the baseline that needs no layer: the linear readout on raw pixels."""
    fit, test = experiment.splits(data)
    raw = raw_pixel_accuracy(data, fit, test, experiment.readout_epochs, experiment.first_seed)
    return {"name": RAW, "accuracy": raw, "accuracy_ci95": wilson(raw, len(test.labels))}


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry an arm: means, gaps to ideal, share of learning kept, verdict; McNemar's test of these very chips.

    Every ``_interval``, ``gap_p`` and ``verdict`` is for new chips and new images (`neurosim.study.statistics.decision`).
    """
    arms = list(dict.fromkeys(run["arm"] for run in runs))
    ideal = {run["seed"]: run for run in runs if run["arm"] == IDEAL}
    return [summary_of(arm, [run for run in runs if run["arm"] == arm], ideal) for arm in arms]


def summary_of(
    arm: str, runs: list[dict[str, Any]], ideal: dict[int, dict[str, Any]], scores: Sequence[str] = SCORES
) -> dict[str, Any]:
    """Return the entry of one arm, of its runs and those in ideal arithmetic by seed, with some of their scores."""
    found: dict[str, Any] = {"arm": arm, "seeds": len(runs)}
    for score in scores:
        found[f"{score}_mean"] = float(np.mean([run[score] for run in runs]))
        found[f"untrained_{score}_mean"] = float(np.mean([run["untrained"][score] for run in runs]))
        found |= decision(score, runs, [] if arm == IDEAL else list(ideal.values()))
        if arm == IDEAL:
            prefix = "" if score == "accuracy" else f"{score}_"
            found |= {f"{prefix}gap_to_ideal_mean": 0.0, f"{score}_learning_kept": 1.0}
    if arm != IDEAL and (tests := _mcnemar(runs, ideal, [score for score in PAIRED if score in scores])):
        found["mcnemar"] = tests
    energies = [run["energy"] for run in runs if run.get("energy")]
    if energies:
        found["energy"] = averages(energies)
    found["seconds_mean"] = float(np.mean([run["seconds"] for run in runs]))
    return found


def _mcnemar(
    runs: list[dict[str, Any]], ideal: dict[int, dict[str, Any]], scores: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """McNemar's test of each score for each seed; empty if the runs were kept without their images."""
    pairs = [
        (ideal[run["seed"]], run)
        for run in runs
        if "correct" in run and "correct" in ideal.get(run["seed"], {})
    ]
    if not pairs:
        return {}

    def test(score: str, exact: dict[str, Any], device: dict[str, Any]) -> dict[str, Any]:
        bits = [unpack_bits(run["correct"][score], run["test_size"]) for run in (exact, device)]
        return {"seed": device["seed"], **mcnemar(*bits)}

    return {score: [test(score, *pair) for pair in pairs] for score in scores}
