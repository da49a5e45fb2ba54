"""Accuracy against wire resistance and tile size: trained at some resistances, read again at others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neurosim.core.errors import ConfigError
from neurosim.core.hardware import Tiles, Wires
from neurosim.data.dataset import Dataset
from neurosim.network.dense import Dense
from neurosim.study.arm import Arm
from neurosim.study.dense import DenseTraining
from neurosim.study.dense_spec import DenseExperiment
from neurosim.study.evaluate import PAIRED, Passed, evaluate
from neurosim.study.locks import held
from neurosim.study.statistics import bootstrap, wilson
from neurosim.study.store import open_folder, read_kept, text_digest, versions, write_kept
from neurosim.study.training import SAVE_EVERY_S, Report, checkpoint_of, learn

CALIBRATION_IMAGES = 1000


def with_wires(experiment: DenseExperiment, arm: Arm, ohm: float, lines: int) -> Arm:
    """Return the arm with so many ohms a segment and arrays of at most `lines` word and bit lines."""
    resistance = {"r_word_ohm": ohm, "r_bit_ohm": ohm}
    shared = experiment.wires.model_dump(exclude_unset=True) if experiment.wires else {}
    return arm.changed(
        wires={**shared, **(arm.wires or {}), **resistance},
        tiles={"word_lines": lines, "bit_lines": lines},
    )


def check_wires(
    experiment: DenseExperiment,
    ohms: list[float],
    lines: list[int],
    trained_ohms: list[float],
    trained_lines: int,
) -> None:
    """Refuse before any work what `rewire` could not train or read; raises `NeurosimError`."""
    if not experiment.device_arms():
        raise ConfigError("wires: needs at least one --device")
    if not (ohms and lines and trained_ohms):
        raise ConfigError(
            "wires: give at least one resistance to read at, one to train at, and one tile size"
        )
    for name, values in (("ohms", ohms), ("lines", lines), ("trained_ohms", trained_ohms)):
        if len(set(values)) < len(values):
            raise ConfigError(f"wires: {name} = {values}: give each once")
    experiment.check()
    for ohm in ohms:
        Wires.parse({"r_word_ohm": ohm, "r_bit_ohm": ohm}, "wires, to read at")
    for size in lines:
        Tiles.parse({"word_lines": size, "bit_lines": size}, "wires, tile")
    for ohm in trained_ohms:
        arms = [with_wires(experiment, arm, ohm, trained_lines) for arm in experiment.device_arms()]
        experiment.changed(parameters={}).with_arms(arms).check()


def rewire(
    experiment: DenseExperiment,
    ohms: list[float],
    lines: list[int],
    trained_ohms: list[float],
    trained_lines: int,
    out: Path | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train every arm at each of `trained_ohms` and read what it has learnt at every resistance and tile size.

    The devices stay as they were trained; converters are calibrated and the readout is fitted anew at each point.

    Parameters
    ----------
    experiment : DenseExperiment
    ohms, lines : list
        Resistance of a segment of word and bit lines, and word and bit lines of a tile, at which it is read.
    trained_ohms : list of float
    trained_lines : int
        Lines of a tile while it learns.
    out : Path, optional
        Folder of finished trainings: a study that was killed goes on where it was.
    report : callable, optional
        As `compare`.

    Returns
    -------
    results : dict
        ``points``, one for each arm, trained and read resistance and tile size, with the mean over the seeds.

    Raises
    ------
    ConfigError
        If there is no device arm or a list is empty.
    """
    check_wires(experiment, ohms, lines, trained_ohms, trained_lines)
    data = experiment.data()
    if out is not None:
        open_folder(out / "runs")
    runs = [
        run
        for seed in experiment.seed_list
        for arm in experiment.device_arms()
        for ohm in trained_ohms
        for run in _trained(
            experiment,
            with_wires(experiment, arm, ohm, trained_lines),
            ohm,
            seed,
            data,
            ohms,
            lines,
            out,
            report,
        )
    ]
    return {
        "points": _means(runs),
        "runs": runs,
        "trained_lines": trained_lines,
        "data": {"note": data.note, "reported_on": experiment.reported_on},
        "config": experiment.model_dump(mode="json"),
        "versions": versions(),
    }


def _trained(
    experiment: DenseExperiment,
    arm: Arm,
    trained_ohm: float,
    seed: int,
    data: Dataset,
    ohms: list[float],
    lines: list[int],
    out: Path | None,
    report: Report | None,
) -> list[dict[str, Any]]:
    training = DenseTraining(experiment, arm, seed, data)
    name = text_digest(f"{training.identity} {ohms} {lines}")
    kept = None if out is None else out / "runs" / f"{name}.json"
    if kept is not None and kept.exists():
        found: list[dict[str, Any]] = read_kept(kept, "runs")["runs"]
        return found

    def told(name: str, seed: int, done: int, total: int) -> None:
        if report is not None:
            report(f"{name}, {trained_ohm:g} ohm", seed, done, total)

    if out is None or kept is None:
        training.run(lambda done, total: told(arm.name, seed, done, total))
        return _read(experiment, training, trained_ohm, data, ohms, lines)
    checkpoint = checkpoint_of(training, out)
    with held(checkpoint):
        learn(training, checkpoint, SAVE_EVERY_S, told)
        runs = _read(experiment, training, trained_ohm, data, ohms, lines)
        write_kept(kept, {"runs": runs})
        checkpoint.unlink(missing_ok=True)
    return runs


def _read(
    experiment: DenseExperiment,
    training: DenseTraining,
    trained_ohm: float,
    data: Dataset,
    ohms: list[float],
    lines: list[int],
) -> list[dict[str, Any]]:
    """What has been learnt, read at every resistance and tile size."""
    arm, seed = training.arm, training.seed
    layer = training.layer
    array: Any = layer.array
    learnt = {"seconds": training.seconds, "wires": array.wires_report}
    runs = []
    for size in lines:
        for ohm in ohms:
            read = array.rewired(Wires(r_word_ohm=ohm, r_bit_ohm=ohm), Tiles(word_lines=size, bit_lines=size))
            read.calibrate(data.inputs(training.fit.images[:CALIBRATION_IMAGES]))
            seen = read if layer.neurons is None else Passed(Dense(read, layer.rule, neurons=layer.neurons))
            scores, _ = evaluate(seen, data, training.fit, training.test, experiment.readout_epochs, seed)
            place = {"arm": arm.name, "seed": seed, "trained_ohm": trained_ohm, "ohm": ohm, "lines": size}
            runs.append({**place, **scores, "test_size": len(training.test.labels), "training": learnt})
    return runs


def _means(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    places: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in runs:
        places.setdefault((run["arm"], run["trained_ohm"], run["ohm"], run["lines"]), []).append(run)
    points = []
    for (arm, trained, ohm, lines), found in places.items():
        point: dict[str, Any] = {"arm": arm, "trained_ohm": trained, "ohm": ohm, "lines": lines}
        for score in PAIRED:
            values = [run[score] for run in found]
            point[f"{score}_mean"] = sum(values) / len(values)
            point[f"{score}_ci95"] = bootstrap(values) or wilson(values[0], found[0]["test_size"])
        points.append(point)
    return points
