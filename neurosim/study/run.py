"""Carry out an experiment of any kind: all arms with all seeds, here or by workers, and one form of results."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from neurosim.core.cautions import during
from neurosim.core.errors import Stopped, UnknownNameError
from neurosim.data.dataset import Dataset
from neurosim.devices.card import card_or_none
from neurosim.study import aged
from neurosim.study.experiment import Experiment
from neurosim.study.ideals import assumed, changed_settings, ideals
from neurosim.study.kept_runs import learn
from neurosim.study.locks import locked
from neurosim.study.same import cautions_kept, config_of
from neurosim.study.selection import chosen_on
from neurosim.study.store import digest, open_folder, versions
from neurosim.study.training import Report
from neurosim.study.workers import in_order, lent, tell, workers_pool


def study(
    experiment: Experiment,
    out: Path | None = None,
    report: Report | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    ideal: bool = True,
) -> dict[str, Any]:
    """Carry out every arm with every seed.

    Parameters
    ----------
    experiment : Experiment
    out : Path, optional
        Folder of checkpoints and finished runs: a study that was killed goes on where it was. None keeps nothing.
    report : callable, optional
        Progress, called with (arm, seed, done, total).
    workers : int
        Processes; results do not depend on it.
    executor : concurrent.futures.Executor, optional
        Where runs are carried out instead, such as that of loky or dask; its workers must see `out`.
    ideal : bool
        Carry out the arm in ideal arithmetic as well, without which no gap can be given.

    Returns
    -------
    results : dict
        ``kind``, ``runs`` and ``summary`` as the kind of experiment has them, what the kind knows before any training,
        and what `about` says.

    Raises
    ------
    NeurosimError
        If a device, rule, setting or data set is wrong; nothing has been computed then.
    """
    experiment.check()
    data = experiment.data()
    if out is not None:
        open_folder(out / "runs")
    with cautions_kept(out, experiment):
        beforehand = experiment.beforehand(data)
        try:
            runs = list(all_runs(experiment, data, out, report, workers, executor, ideal))
        except Stopped as stop:
            raise _in_words(stop, out) from None
    return {
        "kind": experiment.kind,
        **experiment.summarise(runs),
        **({} if experiment.then_aged_s is None else {"aged": aged.summarise(runs)}),
        **beforehand,
        **about(experiment, data),
    }


def about(experiment: Experiment, data: Dataset) -> dict[str, Any]:
    """Return what every kind of results says of what was done: data, settings, devices, ideals, assumptions, versions."""
    return {
        "data": experiment.about_data(data),
        "config": config_of(experiment),
        "changed": changed_settings(experiment),
        "devices": {name: card_of(part) for name, part in experiment.device_parts().items()},
        "chosen_on": chosen_on(experiment),
        "ideals": ideals(experiment),
        "assumed": assumed(experiment),
        "versions": versions(),
    }


def _in_words(stop: Stopped, out: Path | None) -> Stopped:
    """The end that was asked for, with what is kept."""
    if stop.args:
        return stop
    if out is None:
        return Stopped("stopped; nothing of it is kept")
    return Stopped(
        f"stopped: what is learnt so far is kept in {out / 'runs'}; the same command goes on there"
    )


def card_of(arm: Any) -> dict[str, Any]:
    """Return the law of an arm's devices with every number, its unit, and where it comes from."""
    law, card = arm.law(), card_or_none(arm.device)
    sources, units = {} if card is None else card.parameters, type(law).units()
    unless_said = "default of the law" if card else "given with the device"
    numbers = {
        name: {
            "value": value,
            "unit": units[name],
            "source": "set by the experiment" if name in arm.parameters else sources[name].source
            if name in sources else unless_said,
        }
        for name, value in law.model_dump(mode="json").items()
        if name in units
    }  # fmt: skip
    return {"card": arm.device, "law": law.law, "numbers": numbers}


def all_runs(
    experiment: Experiment,
    data: Dataset,
    out: Path | None = None,
    report: Report | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    ideal: bool = True,
) -> Iterator[dict[str, Any]]:
    """Yield what each arm with each seed comes to, in the order of the experiment whoever computes it."""
    tasks = experiment.planned(ideal)
    if executor is None and workers <= 1:
        for seed, arm in tasks:
            with during(f"{arm.name}, seed {seed}"):
                found = experiment.run(arm, seed, data, out, report)
            yield found
        return
    with workers_pool(workers, report) if executor is None else lent(executor) as where:
        jobs = [where.submit(_block, experiment, arm, seed, out) for seed, arm in tasks]
        for (seed, arm), found in zip(tasks, in_order(jobs), strict=True):
            yield found
            if report and executor is not None:
                report(arm.name, seed, 1, 1)


_data: dict[str, Dataset] = {}
"""The data set that this process has read last."""


def data_of(experiment: Experiment) -> Dataset:
    """Return the data set of an experiment, which stays in memory until another one is asked for."""
    key = experiment.model_dump_json(include={"dataset", "train_images", "test_images"})
    if key not in _data:
        _data.clear()
        _data[key] = experiment.data()
    return _data[key]


def _block(experiment: Experiment, arm: Any, seed: int, out: Path | None) -> Any:
    with during(f"{arm.name}, seed {seed}"):
        return experiment.run(arm, seed, data_of(experiment), out, tell)


CHECKPOINT = "checkpoint.npz"


def pick_arm(experiment: Experiment, name: str | None) -> Any:
    """Return the arm of that name, or the first on devices, or the first at all.

    Raises
    ------
    UnknownNameError
        If the experiment has no arm of that name.
    """
    arms = {arm.name: arm for arm in experiment.arms()}
    if name is None:
        return next(iter([*experiment.device_arms(), *arms.values()]))
    if name not in arms:
        raise UnknownNameError("arm", name, arms)
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
        One entry of the study's runs, with the SHA-256 of what was learnt, config and versions.

    Raises
    ------
    CheckpointError
        If the checkpoint in `out` is damaged or belongs to another experiment.
    InUseError
        If another process is at the same training in the same folder.
    Stopped
        If somebody asked for the end; what was learnt is kept.
    """
    experiment.check()
    arm = pick_arm(experiment, arm_name)
    training = experiment.training(arm, experiment.first_seed, experiment.data())
    path = out / CHECKPOINT
    with locked(path):
        learn(training, path, checkpoint_s, report)
        training.save(path)
        learnt = {name: values for name, values in training.snapshot().items() if not name.endswith("ledger")}
        return {
            "kind": experiment.kind,
            **training.result(),
            "weights_sha256": digest(learnt),
            "config": experiment.model_dump(mode="json"),
            "versions": versions(),
        }
