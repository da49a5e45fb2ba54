"""Ideal against crossbar: every arm with every seed, paired, and the summary that the question asks for."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import neurosim.data
from neurosim.core.cautions import Caution
from neurosim.core.errors import ConfigError
from neurosim.core.protocols import State
from neurosim.data.dataset import Dataset
from neurosim.devices.card import load
from neurosim.kernels.jit import set_threads
from neurosim.study.arms import ON_DEVICE
from neurosim.study.build import build_layer, on_devices
from neurosim.study.code import own_code
from neurosim.study.evaluate import PAIRED, evaluate, raw_pixel_accuracy
from neurosim.study.spec import IDEAL, Arm, Experiment
from neurosim.study.statistics import bootstrap, interval, mcnemar, wilson
from neurosim.study.store import (
    digest,
    open_folder,
    read_kept,
    text_digest,
    unpack_bits,
    versions,
    write_arrays,
    write_kept,
)
from neurosim.study.train import Training, splits

Report = Callable[[str, int, int, int], None]
"""Called with (arm, seed, mini-batches done, mini-batches in all)."""
RAW = "raw pixels"


class ArmRenamedWarning(Caution):
    """An arm on devices was given the name of ideal arithmetic."""


SCORES = ("accuracy", "accuracy_triangle", "vote")

_untrained: dict[str, dict[str, float]] = {}


def load_data(experiment: Experiment) -> Dataset:
    """Return the experiment's data set, cut to the number of images asked for."""
    data = neurosim.data.load(experiment.dataset)
    return data.subset(experiment.train_images, experiment.test_images)


def check(experiment: Experiment) -> None:
    """Refuse before any work what would fail later: unknown devices, rules, parameters or settings."""
    rule = experiment.build_rule()
    arms = experiment.arms()
    for name in experiment.renamed:
        warnings.warn(
            f"arm '{name}': ideal arithmetic is called so; this arm, on devices, is called '{ON_DEVICE}' here",
            ArmRenamedWarning,
            stacklevel=1,  # from here, so that it is said once
        )
    if rule.ideal_only and arms:
        raise ConfigError(f"rule '{rule.name}' exists in ideal arithmetic only; leave the devices out")
    for arm in arms:
        build_layer(experiment, arm, 4, 0)
    for name in experiment.parameters:
        if arms and not any(name in arm.parameters for arm in arms):
            load(arms[0].device).with_parameters(**{name: None})


def untrained_scores(training: Training) -> dict[str, float]:
    """Scores of the arm's array before learning; computed once for arms that start as the same devices, read alike."""
    array = training.layer.array
    before = array.snapshot()
    key = _start(training, before)
    devices = on_devices(array)
    if key not in _untrained:
        if devices is not None:
            devices.calibrate(training.data.inputs(training.fit.images[:1000]))
        _untrained[key], _ = evaluate(
            array,
            training.data,
            training.fit,
            training.test,
            training.experiment.readout_epochs,
            training.seed,
        )
    array.restore(
        before
    )  # whether or not the scores were known, so that every arm goes on from the same place
    return _untrained[key]


def _start(training: Training, before: State) -> str:
    """Everything that decides the scores of an array before it learns: its state, how it is read, images and readout."""
    arm, experiment = training.arm, training.experiment
    devices: Any = on_devices(training.layer.array)
    settings: list[Any] = []
    if arm is not None and devices is not None:
        read = devices.read.model_dump(mode="json")
        device = devices.device.model_dump(mode="json")
        pairs = [devices.write.mapping, devices.write.pair]
        settings = [read, device, pairs, arm.wires, arm.tiles, arm.faults, own_code(devices.device)]
    fields = {
        "dataset", "train_images", "test_images", "hold_out", "neurons", "readout_epochs",
        "backend", "precision", "torch_device",
    }  # fmt: skip
    images = [training.data.note, len(training.fit.labels), len(training.test.labels)]
    rest = [experiment.model_dump(mode="json", include=fields), images, training.seed]
    return json.dumps([digest(before), settings, rest], sort_keys=True)


def run_arm(
    experiment: Experiment, arm: Arm | None, seed: int, data: Dataset, out: Path | None, report: Report | None
) -> dict[str, Any]:
    """Train and evaluate one arm with one seed.

    With a folder `out`, the result and the pictures for the report are kept there, and a result found there
    is not computed again: a comparison that was killed goes on where it was.
    """
    training = Training(experiment, arm, seed, data)
    kept = None if out is None else out / "runs" / f"{text_digest(training.identity)}.json"
    if kept is not None and kept.exists():
        return read_kept(kept, "arm", "seed", *PAIRED, "untrained", "test_size", "seconds")
    before = training.pictures()
    untrained = untrained_scores(training)
    training.run(None if report is None else lambda done, total: report(training.name, seed, done, total))
    result = training.result(untrained)
    if out is not None and kept is not None:
        if seed == experiment.first_seed:
            pictures = {f"before.{name}": values for name, values in before.items()}
            pictures |= {f"after.{name}": values for name, values in training.pictures().items()}
            write_arrays(out / f"pictures-{training.name}.npz", pictures)
        write_kept(kept, result)
    return result


def _in_worker(
    experiment: Experiment, arm: Arm | None, seed: int, out: Path | None, threads: int
) -> dict[str, Any]:
    set_threads(threads)
    return run_arm(experiment, arm, seed, load_data(experiment), out, None)


def _all_runs(
    experiment: Experiment,
    data: Dataset,
    out: Path | None,
    report: Report | None,
    workers: int,
    ideal: bool,
) -> Iterator[dict[str, Any]]:
    arms = [*([None] if ideal else []), *experiment.arms()]
    tasks = [(arm, seed) for seed in experiment.seed_list for arm in arms]
    if workers <= 1:
        for arm, seed in tasks:
            yield run_arm(experiment, arm, seed, data, out, report)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_in_worker, experiment, arm, seed, out, threads) for arm, seed in tasks]
        for (arm, seed), job in zip(tasks, jobs, strict=True):
            yield job.result()
            if report:
                report(IDEAL if arm is None else arm.name, seed, 1, 1)


def compare(
    experiment: Experiment,
    out: Path | None = None,
    report: Report | None = None,
    workers: int = 1,
    ideal: bool = True,
) -> dict[str, Any]:
    """Run every arm with every seed and return the results in the form of `compare`'s JSON.

    Parameters
    ----------
    experiment : Experiment
    out : Path, optional
        Folder for the arrays that the report draws.
    report : callable, optional
        Progress, called with (arm, seed, done, total).
    workers : int
        Processes; results do not depend on it.
    ideal : bool
        Run the arm in ideal arithmetic as well, without which no gap can be given.

    Raises
    ------
    NeurosimError
        If a device, rule, setting or data set is wrong; nothing has been computed then.
    """
    check(experiment)
    data = load_data(experiment)
    if out is not None:
        open_folder(out / "runs")
    runs = list(_all_runs(experiment, data, out, report, workers, ideal))
    fit, test = splits(experiment, data)
    raw = raw_pixel_accuracy(data, fit, test, experiment.readout_epochs, experiment.first_seed)
    return {
        "runs": runs,
        "summary": summarise(runs),
        "baselines": [{"name": RAW, "accuracy": raw, "accuracy_ci95": wilson(raw, len(test.labels))}],
        "data": {
            "note": data.note,
            "image_shape": data.image_shape,
            "train_images": len(fit.labels),
            "test_images": len(test.labels),
            "reported_on": "validation split" if experiment.hold_out else "test set",
        },
        "config": {
            **experiment.model_dump(mode="json"),
            "arms": [arm.model_dump(mode="json") for arm in experiment.arms()],
        },
        "versions": versions(),
    }


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry an arm: means, 95 % intervals, gaps to ideal, McNemar's test, share of learning kept.

    ``_ci95`` is the bootstrap over seeds, of one seed Wilson's interval; ``_student95`` is Student's over seeds.
    """
    arms = list(dict.fromkeys(run["arm"] for run in runs))
    ideal = {run["seed"]: run for run in runs if run["arm"] == IDEAL}
    return [_summary(arm, [run for run in runs if run["arm"] == arm], ideal) for arm in arms]


def _summary(arm: str, runs: list[dict[str, Any]], ideal: dict[int, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {"arm": arm, "seeds": len(runs)}
    for score in SCORES:
        values = [run[score] for run in runs]
        gaps = [ideal[run["seed"]][score] - run[score] for run in runs if run["seed"] in ideal]
        single = wilson(values[0], runs[0]["test_size"])
        found[f"{score}_mean"] = float(np.mean(values))
        found[f"{score}_ci95"] = bootstrap(values) or single
        found[f"{score}_student95"] = interval(values)
        found[f"untrained_{score}_mean"] = float(np.mean([run["untrained"][score] for run in runs]))
        prefix = "" if score == "accuracy" else f"{score}_"
        found[f"{prefix}gap_to_ideal_mean"] = float(np.mean(gaps)) if gaps else None
        found[f"{prefix}gap_ci95"] = bootstrap(gaps)
        found[f"{prefix}gap_student95"] = interval(gaps)
        found[f"{score}_learning_kept"] = _share_kept(score, runs, ideal)
    if arm != IDEAL and (tests := _mcnemar(runs, ideal)):
        found["mcnemar"] = tests
    energies = [run["energy"] for run in runs if run.get("energy")]
    if energies:
        found["energy"] = {name: float(np.mean([e[name] for e in energies])) for name in energies[0]}
    found["seconds_mean"] = float(np.mean([run["seconds"] for run in runs]))
    return found


def _mcnemar(runs: list[dict[str, Any]], ideal: dict[int, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
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

    return {score: [test(score, *pair) for pair in pairs] for score in PAIRED}


def _share_kept(score: str, runs: list[dict[str, Any]], ideal: dict[int, dict[str, Any]]) -> float | None:
    """(device - untrained device) / (ideal - untrained ideal), of the means over seeds."""
    if not ideal:
        return None
    gained = np.mean([run[score] - run["untrained"][score] for run in runs])
    possible = np.mean([ideal[run["seed"]][score] - ideal[run["seed"]]["untrained"][score] for run in runs])
    return float(gained / possible) if possible > 0 else None
