"""What a file of a learner holds: the experiment, how samples are taken, and every array that learning or asking needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from neurosim.core.errors import CheckpointError, NeurosimError
from neurosim.core.protocols import State
from neurosim.data.dataset import Dataset
from neurosim.data.taken import Scale, Taken
from neurosim.network.arrays import to_numpy
from neurosim.study.experiment import Experiment
from neurosim.study.kinds import kind_of
from neurosim.study.run import pick_arm
from neurosim.study.store import text_array, versions
from neurosim.study.training import Training

if TYPE_CHECKING:
    from neurosim.study.learner import Learner

FORM = "a learner of neurosim, 1"
LEARNT, READOUT = "learnt.", "readout."

L = TypeVar("L", bound="Learner")


def in_state(learner: Learner) -> State:
    """Return a learner that has learnt as named arrays."""
    training: Training = learner.training_
    data, taken = training.data, training.data.taken
    readout = learner.__dict__.get("readout_")
    about = {
        "form": FORM,
        "kind": training.experiment.kind,
        "experiment": training.experiment.model_dump(mode="json", exclude_unset=True),
        "arm": training.name,
        "seed": learner.seed,
        "scale": learner.scale,
        "size": learner.size,
        "identity": _identity(training),
        "notes": training.notes(),
        "counts": learner.counts_,
        "data": {
            "name": data.name,
            "note": data.note,
            "shape": data.shape,
            "classes": data.classes,
            "full_scale": data.full_scale,
            "dtype": data.x_train.dtype.str,
            "samples": [len(data.y_train), len(data.y_validation)],
            "unlabelled": None if data.x_unlabelled is None else len(data.x_unlabelled),
        },
        "taken": None
        if taken is None
        else {
            "sample": taken.sample,
            "size": taken.size,
            "value": taken.scale.value,
            "whole": taken.scale.whole,
        },
        "versions": versions(),
    }
    found = {f"{LEARNT}{name}": values for name, values in training.snapshot().items()}
    if readout is not None:
        found |= {
            f"{READOUT}weight": to_numpy(readout.weight).copy(),
            f"{READOUT}bias": to_numpy(readout.bias).copy(),
        }
    if "classes_" in learner.__dict__:
        found["classes"] = learner.classes_
    if taken is not None and taken.scale.low is not None and taken.scale.high is not None:
        found |= {"taken.low": taken.scale.low, "taken.high": taken.scale.high}
    return {**found, "about": text_array(json.dumps(about))}


def from_state(kind: type[L], saved: State, path: Path, experiment: Experiment | None) -> L:
    """Return the learner of `in_state`; raises `CheckpointError` if the arrays are not all there or of other code."""
    try:
        about = json.loads(saved["about"].tobytes())
        if about["form"] != FORM:
            raise KeyError(about["form"])
    except (KeyError, ValueError, TypeError):
        raise CheckpointError(f"{path}: no file of Learner.save") from None
    experiment = experiment or _experiment(about, path)
    try:
        training = experiment.training(pick_arm(experiment, about["arm"]), about["seed"], _data(about, saved))
    except NeurosimError as error:
        raise CheckpointError(
            f"{path}: its experiment cannot be made here ({error}); where devices or rules were objects, give "
            "Learner.load(path, experiment=...)"
        ) from None
    here = _identity(training)
    if here != about["identity"]:
        odd = ", ".join(sorted(name for name in here if here[name] != about["identity"].get(name)))
        raise CheckpointError(
            f"{path}: it was learnt with other {odd} than here and would answer with other bits; made with "
            f"neurosim {about['versions']['neurosim']}"
        )
    training.restore(_below(saved, LEARNT))
    training.take_notes(about["notes"])
    training.watched = False
    learner = kind(experiment, about["arm"], about["seed"], scale=about["scale"], size=about["size"])
    learner.training_, learner.counts_ = training, about["counts"]
    learner.n_features_in_ = training.data.rows
    if "classes" in saved:
        learner.classes_ = saved["classes"]
        readout = _below(saved, READOUT)
        learner.readout_ = training.readout_of(readout["weight"], readout["bias"]) if readout else None
    return learner


def _identity(training: Training) -> dict[str, Any]:
    """What decides the bits of what was learnt and is read, but for the samples."""
    found: dict[str, Any] = json.loads(training.identity)
    found.pop("images")
    return found


def _experiment(about: dict[str, Any], path: Path) -> Experiment:
    values = {name: value for name, value in about["experiment"].items() if name != "dataset"}
    return kind_of(about["kind"]).parse(values, str(path))


def _data(about: dict[str, Any], saved: State) -> Dataset:
    """A data set that takes samples as those learnt were, and has as many, without any pixel of them."""
    said, how = about["data"], about["taken"]
    rows = int(np.prod(said["shape"]))
    taken = None
    if how is not None:
        scale = Scale(how["value"], how["whole"], saved.get("taken.low"), saved.get("taken.high"))
        size = None if how["size"] is None else (how["size"][0], how["size"][1])
        taken = Taken(tuple(how["sample"]), size, scale)

    def blank(samples: int) -> Any:
        return np.broadcast_to(np.zeros((), said["dtype"]), (samples, rows))

    learnt, held = said["samples"]
    return Dataset(
        said["name"], said["note"], tuple(said["shape"]), said["classes"], said["full_scale"],
        blank(learnt), np.zeros(learnt, np.int64), blank(held), np.zeros(held, np.int64),
        blank(0), np.zeros(0, np.int64),
        None if said["unlabelled"] is None else blank(said["unlabelled"]), taken=taken,
    )  # fmt: skip


def _below(saved: State, prefix: str) -> State:
    return {name.removeprefix(prefix): values for name, values in saved.items() if name.startswith(prefix)}
