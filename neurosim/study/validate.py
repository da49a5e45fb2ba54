"""Cross-validation of the backends: every operation, every rule, then real trainings on both from one seed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.core import registry
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.core.protocols import Precision
from neurosim.core.seeds import generator
from neurosim.crossbar.array import Crossbar
from neurosim.devices.card import cards, load
from neurosim.kernels.jit import threads
from neurosim.reference.agreement import (
    BOUNDS,
    Line,
    compare_operations,
    compare_rule,
    divergence,
    variants,
)
from neurosim.reference.twin.crossbar import on_device
from neurosim.study.arm import Arm
from neurosim.study.dense_spec import DenseExperiment
from neurosim.study.evaluate import compared_scores
from neurosim.study.experiment import Experiment
from neurosim.study.forward_forward_spec import ForwardForwardArm, ForwardForwardExperiment
from neurosim.study.statistics import interval, wilson
from neurosim.study.store import open_folder, read_kept, text_digest, versions, write_kept
from neurosim.study.workers import came_to, workers_pool

Told = Callable[[str], None]
"""Called with a line of progress."""

BACKENDS = ("numba", "torch")
TWINS_DIFFER = 0.0005
"""Largest difference of accuracy in double precision: 0.05 points."""
MARKS = (1, 2, 5, 10, 20, 50)


def short_training() -> DenseExperiment:
    """Bundled digits on one card of each law: a few seconds for each backend."""
    one_a_law = {load(name).law: name for name in sorted(cards(), reverse=True)}
    arms = tuple(Arm(device=name, mode="mixed") for name in sorted(one_a_law.values()))
    return DenseExperiment(dataset="digits", neurons=100, epochs=2, curve_points=0, arm=arms)


def short_network() -> ForwardForwardExperiment:
    """Two layers of Forward-Forward on the same images and one card: as short."""
    arm = ForwardForwardArm(name="Forward-Forward, PCM", device="pcm-nandakumar-2018", mode="mixed")
    return ForwardForwardExperiment(dataset="digits", widths=(40, 30), epochs=3, batch=20, arm=(arm,))


def validate_everywhere(
    backend: str,
    precisions: tuple[str, ...],
    devices: tuple[str, ...],
    experiment: Experiment | None,
    seed: int | None,
    torch_devices: tuple[str, ...],
    out: Path | None,
    workers: int,
    told: Told | None,
) -> dict[str, Any]:
    """Check the options, then `validate` on every torch device asked for; default the CPU and any GPU.

    Returns
    -------
    results : dict
        ``machines``, a list of what `validate` returns, and ``holds``.
    """
    import torch

    if backend != "torch":
        raise UnknownNameError("backend", backend, ("torch",))
    chosen: list[Precision] = []
    for precision in precisions:
        if precision not in BOUNDS:
            raise UnknownNameError("dtype", precision, BOUNDS)
        chosen.append(precision)
    for name in devices:
        load(name)
    if not torch_devices:
        torch_devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    for name in torch_devices:
        on_device(name)
    trainings = _or_short(experiment)
    if seed is not None:
        trainings = [each.changed(first_seed=seed) for each in trainings]
    machines = [
        validate(tuple(chosen), devices, trainings, name, out, workers, told) for name in torch_devices
    ]
    return {"machines": machines, "holds": all(machine["holds"] for machine in machines)}


def _or_short(experiment: Experiment | Sequence[Experiment] | None) -> list[Experiment]:
    """The trainings asked for, or the short ones."""
    if experiment is None:
        return [short_training(), short_network()]
    return [experiment] if isinstance(experiment, Experiment) else list(experiment)


def validate(
    precisions: tuple[Precision, ...],
    devices: tuple[str, ...],
    experiment: Experiment | Sequence[Experiment] | None = None,
    torch_device: str = "cpu",
    out: Path | None = None,
    workers: int = 1,
    told: Told | None = None,
) -> dict[str, Any]:
    """Compare the numba and the torch backend.

    Parameters
    ----------
    precisions : tuple of {"float32", "float64"}
    devices : tuple of str
        Cards whose operations are compared; empty means every known card.
    experiment : Experiment or several, optional
        The trainings that both backends do, of one layer or by Forward-Forward; default are short ones on the bundled digits.
    torch_device : str
        "cpu" or "cuda".
    out : Path, optional
        Folder in which finished trainings are kept, so that a killed validation goes on.
    workers : int
        Processes for the trainings.
    told : callable, optional
        Progress.

    Returns
    -------
    results : dict
        ``operations``, ``rules``, ``closed_forms``, ``divergence``, ``training`` (a list of lines each), ``holds``
        (whether every bound does), ``config`` (of the first training; ``others``: of those beside it) and ``versions``.
    """
    told = told or (lambda text: None)
    trainings = _or_short(experiment)
    for each in trainings:
        _refuse(each, torch_device)
    if out is not None:
        open_folder(out / "runs")
    seed = trainings[0].first_seed
    operations, rules = [], []
    for name in devices or tuple(cards()):
        told(f"operations, {name}")
        for precision in precisions:
            for noise in (False, True):
                lines = compare_operations(load(name), precision, noise, seed, torch_device)
                operations += [line._asdict() for line in lines]
    told("closed forms")
    shared = [line._asdict() for line in _closed_forms(devices or tuple(cards()))]
    for name in registry.names("rule"):
        told(f"rule, {name}")
        for variant, rule in variants(registry.find("rule", name)).items():
            rules += [compare_rule(rule, precision, seed, variant)._asdict() for precision in precisions]
    growth: list[dict[str, Any]] = []
    learnt: list[dict[str, Any]] = []
    for each in trainings:
        if isinstance(each, DenseExperiment):
            growth += _growth(each, torch_device, told)
        learnt += _trainings(each, precisions, torch_device, out, workers, told)
    training = judged(learnt)
    return {
        "operations": operations,
        "rules": rules,
        "closed_forms": shared,
        "divergence": growth,
        "training": training,
        "holds": all(line["holds"] for line in (*operations, *rules, *shared, *training)),
        "torch_device": _device_name(torch_device),
        "config": trainings[0].model_dump(mode="json"),
        "others": [each.model_dump(mode="json") for each in trainings[1:]],
        "versions": versions(),
    }


def _refuse(experiment: Experiment, torch_device: str) -> None:
    """Refuse before any work what only one machine trains, or what keeps no answers to compare."""
    experiment.check()
    experiment.changed(backend="torch", torch_device=torch_device).check()
    if not experiment.device_arms():
        raise ConfigError("validate: the experiment needs at least one device, on which both backends train")
    if experiment.kind == "mortal":
        raise ConfigError(
            "validate: a study of kind 'mortal' trains several chips a seed; compare one of kind 'forward-forward', whose "
            "trainings they are"
        )
    training = experiment.training(experiment.device_arms()[0], experiment.first_seed, experiment.data())
    if training.answers is None:
        raise ConfigError(
            f"validate: studies of kind '{experiment.kind}' keep no answers to compare; take one of another kind"
        )


def _closed_forms(names: tuple[str, ...]) -> Iterator[Line]:
    """What both machines share, each held against the numbers of the cards (`neurosim.reference.closed_forms`)."""
    from neurosim.reference import closed_forms
    from neurosim.reference.twin.crossbar import TorchCrossbar

    yield from closed_forms.normals()
    for name in names:
        for machine, kind in (("numba", Crossbar), ("torch", TorchCrossbar)):
            for line in closed_forms.of_card(name, kind):
                yield line._replace(on=f"{name}, {machine}")


def _device_name(torch_device: str) -> str:
    if not torch_device.startswith("cuda"):
        return torch_device
    import torch

    return f"{torch_device} ({torch.cuda.get_device_name(torch_device)})"


def _growth(experiment: DenseExperiment, torch_device: str, told: Told) -> Iterator[dict[str, Any]]:
    """Let both machines run freely for 50 updates: how fast does the share of differing cells grow?"""
    data = experiment.data()
    images = data.training(hold_out=False).images
    order = generator(experiment.first_seed, "order", 0).permutation(len(images))
    size = experiment.batch
    steps = min(MARKS[-1], len(images) // size)
    batches = np.stack([data.inputs(images[order[k * size : (k + 1) * size]]) for k in range(steps)])
    for arm in experiment.device_arms():
        told(f"free running, {arm.name}")
        device = arm.law()
        rule = experiment.build_rule(arm)
        points = divergence(
            device, rule, arm.mode, batches, experiment.neurons, MARKS, experiment.first_seed, torch_device
        )
        yield {"arm": arm.name, "points": [{"updates": k, "differing": share} for k, share in points]}


def train_once(experiment: Experiment, arm: Any, seed: int, out: Path | None) -> dict[str, Any]:
    """Train and evaluate one arm; accuracies and answers by every score that is compared image by image, kept in `out`."""
    training = experiment.training(arm, seed, experiment.data())
    name = text_digest(json.dumps([training.identity, training.evaluation]))
    kept = None if out is None else out / "runs" / f"{name}.json"
    if kept is not None and kept.exists():
        return read_kept(kept, "answers", "test_size", "seconds", "pulses")
    training.run()
    result = training.result()
    scores, given = experiment.scores(result), training.answers or {}
    answers = {score: given[score].astype(np.uint8) for score in result["correct"]}
    found = {
        **{score: scores[score] for score in answers},
        "answers": {score: base64.b64encode(each.tobytes()).decode() for score, each in answers.items()},
        "test_size": result["test_size"],
        "seconds": result["seconds"],
        "pulses": training.counts()["pulses"],
    }
    if kept is not None:
        write_kept(kept, found)
    return found


def _in_worker(experiment: Experiment, arm: Any, seed: int, out: Path | None) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads())
    return train_once(experiment, arm, seed, out)


def _trainings(
    experiment: Experiment,
    precisions: tuple[Precision, ...],
    torch_device: str,
    out: Path | None,
    workers: int,
    told: Told,
) -> Iterator[dict[str, Any]]:
    if out is not None:
        open_folder(out / "runs")
    variants = {
        (precision, backend): experiment.changed(
            backend=backend, precision=precision, torch_device=torch_device if backend == "torch" else "cpu"
        )
        for precision in precisions
        for backend in BACKENDS
    }
    pairs = [
        (arm, seed, precision)
        for seed in experiment.seed_list
        for arm in experiment.listed
        if arm.device is not None
        for precision in precisions
    ]
    with workers_pool(workers) as pool:
        jobs = [
            [pool.submit(_in_worker, variants[precision, backend], arm, seed, out) for backend in BACKENDS]
            for arm, seed, precision in pairs
        ]
        for (arm, seed, precision), both in zip(pairs, jobs, strict=True):
            told(f"training, {arm.name}, seed {seed}, {precision}")
            numba, torch_run = map(came_to, both)
            yield _training_line(arm, seed, precision, numba, torch_run)


def _training_line(
    arm: Arm, seed: int, precision: Precision, numba: dict[str, Any], torch_run: dict[str, Any]
) -> dict[str, Any]:
    line: dict[str, Any] = {"arm": arm.name, "seed": seed, "precision": precision}
    line["scores"] = list(numba["answers"])
    for score in line["scores"]:
        a, b = (
            np.frombuffer(base64.b64decode(run["answers"][score]), np.uint8) for run in (numba, torch_run)
        )
        line[score] = {
            "numba": numba[score],
            "torch": torch_run[score],
            "classified_differently": int((a != b).sum()),
        }
    return {
        **line,
        "pulses": {"numba": numba["pulses"], "torch": torch_run["pulses"]},
        "seconds": {"numba": numba["seconds"], "torch": torch_run["seconds"]},
        "test_size": numba["test_size"],
    }


def judged(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say of every training whether its arm's bound holds, in that precision.

    Double precision: each seed's accuracies within 0.05 points. Single precision: the two trainings part at the
    first rounding that falls differently, as two seeds would; so the paired difference must be one that seeds
    explain (Student's 95 % interval holds zero), or, with one seed, torch within numba's Wilson interval.
    """
    arms: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        arms.setdefault((line["arm"], line["precision"]), []).append(line)
    return [
        {
            **line,
            "holds": all(
                _within(arms[line["arm"], line["precision"]], score) for score in compared_scores(line)
            ),
        }
        for line in lines
    ]


def _within(lines: list[dict[str, Any]], score: str) -> bool:
    gaps = [line[score]["torch"] - line[score]["numba"] for line in lines]
    if max(map(abs, gaps)) <= TWINS_DIFFER:
        return True
    if lines[0]["precision"] == "float64":
        return False
    if len(gaps) == 1:
        low, high = wilson(lines[0][score]["numba"], lines[0]["test_size"])
        return bool(low <= lines[0][score]["torch"] <= high)
    spread = interval(gaps)
    return spread is not None and bool(spread[0] <= 0 <= spread[1])
