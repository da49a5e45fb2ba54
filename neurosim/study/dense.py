"""One layer, learnt without labels and asked through a linear readout and by the winner's vote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Dataset, Labelled
from neurosim.network.arrays import to_numpy
from neurosim.network.dense import Dense
from neurosim.network.readout import LinearReadout
from neurosim.network.starts import drawn, highest_uniform, start_norm
from neurosim.study.arm import IDEAL, Arm
from neurosim.study.code import own_code
from neurosim.study.dense_spec import DenseArm, DenseExperiment
from neurosim.study.evaluate import (
    FEATURES,
    PAIRED,
    Answers,
    Passed,
    currents,
    evaluate,
    linear_readout,
    on_devices,
    vote_accuracy,
)
from neurosim.study.holding import SAMPLE, held
from neurosim.study.identity import content
from neurosim.study.store import digest, pack_bits, write_arrays
from neurosim.study.training import Seed, Training

CURVE_IMAGES = 2000
CURVE_IMAGES_A_NEURON = 10
CALIBRATION_IMAGES = 1000
SHOWN_FIELDS = 100

_untrained: dict[str, dict[str, Any]] = {}


def highest_start_weight(experiment: DenseExperiment, rows: int) -> float:
    """How far uniform start weights go from zero, R sqrt(3 / rows); of normal ones the same multiple of their rms."""
    return highest_uniform(start_norm(experiment.start, experiment.start_radius), rows)


def start_weights(experiment: DenseExperiment, rows: int, seed: int | Sequence[int]) -> Floats:
    """Start weights (rows, neurons) of norm near `start_radius`, the same for every arm; of several seeds stacked."""
    if not isinstance(seed, int):
        return np.stack([start_weights(experiment, rows, each) for each in seed])
    norm = start_norm(experiment.start, experiment.start_radius)
    draws = generator(seed, "start weights")
    return drawn(experiment.start, norm, (rows, experiment.neurons), draws)


def build_layer(experiment: DenseExperiment, arm: Arm, rows: int, seed: int | Sequence[int]) -> Dense:
    """Return a settled arm's layer: its array with the start weights, the rule, and how updates become pulses.

    Several seeds are instances of a torch array.
    """
    name, cols = "layer 0", experiment.neurons
    window = arm.of_layer("window", 0) * highest_start_weight(experiment, rows)
    array = arm.array((rows, cols), name, seed, window)
    array.program(start_weights(experiment, rows, seed), w_max=array.w_max)
    neurons = None if arm.neurons is None else arm.neurons.draw(cols, seed, name)
    return arm.dense(array, experiment.build_rule(arm), experiment.norm_every, neurons)


def holding(experiment: DenseExperiment, arm: Arm, rows: int, seed: int = 0) -> dict[str, Any]:
    """Return what an arm's devices make of weights as large as those the layer starts with (`study.holding.held`)."""
    arm = arm.settled(experiment).changed(backend="numba")
    highest = highest_start_weight(experiment, rows)
    array = arm.array(SAMPLE, "layer 0", seed, arm.of_layer("window", 0) * highest, devices=True)
    return held(array, highest / float(np.sqrt(3)), arm.mode or "accumulate", 1, rows, seed)


class DenseTraining(Training):
    """One layer on its way through the training images; arm None is ideal arithmetic."""

    experiment: DenseExperiment
    arm: Arm
    takes_tensors = True

    def __init__(self, experiment: DenseExperiment, arm: Arm | None, seed: Seed, data: Dataset):
        super().__init__(experiment, arm or DenseArm(name=IDEAL), seed, data)
        self.layer = build_layer(experiment, self.arm, data.rows, seed)
        self.layers = [self.layer]
        self.untrained: dict[str, Any] = {}
        """Scores before learning, and which images were right then, packed, as ``correct``."""
        self.answers = {}

    @property
    def batches(self) -> int:
        """Mini-batches of an epoch, the last of which may be smaller."""
        return -(-len(self.images) // self.batch)

    @property
    def images_shown(self) -> int:
        """Images shown while it learnt so far; the last mini-batch of an epoch may have fewer."""
        epochs, batches = divmod(self.steps, self.batches)
        count = len(self.images)
        return epochs * count + min(batches * self.batch, count)

    @property
    def read(self) -> Any:
        """What is read: the array, through its neurons where these have a transfer."""
        return self.layer.array if self.layer.neurons is None else Passed(self.layer)

    def begin(self) -> None:
        """Ask the array before it learns."""
        _ = self.before
        if not self.untrained:
            self.untrained = untrained_scores(self)

    @cached_property
    def before(self) -> dict[str, NDArray[Any]]:
        """Pictures of the array before it learns."""
        start = self if not self.steps else type(self)(self.experiment, self.arm, self.seed, self.data)
        return start.pictures()

    def step(self, chosen: NDArray[np.int64]) -> None:
        """Learn one mini-batch."""
        x = self.taken(chosen)
        every = self.experiment.calibrate_every
        devices = on_devices(self.layer.array)
        if every and self.layer.steps % every == 0 and devices is not None:
            devices.calibrate(x)
        self.layer.learn(x)

    def represented(self, images: Any) -> Floats:
        """Return what the linear readout sees of images: softmax of the currents, (n, neurons)."""
        return FEATURES["accuracy"](currents(self.read, self.data, images))

    def readout(self, features: Floats, labels: Answers, classes: int) -> LinearReadout:
        """Return the linear readout of features (n, neurons)."""
        return linear_readout(features, labels, classes, self.experiment.readout_epochs, self.seed)

    def calibrate(self) -> None:
        """Set the converters by training images."""
        devices = on_devices(self.layer.array)
        if devices is not None:
            devices.calibrate(self.data.inputs(self.fit.images[:CALIBRATION_IMAGES]))

    @property
    def looks(self) -> bool:
        """Whether the vote is followed where it stands."""
        return self.steps in self.marks

    def look(self) -> list[float]:
        """Images learnt, and the vote's accuracy on a part of the training images, classes assigned on another part."""
        count = len(self.fit.images)
        assigning = min(CURVE_IMAGES_A_NEURON * self.experiment.neurons, count // 2)
        counting = min(assigning + CURVE_IMAGES, count)
        fit = Labelled(self.fit.images[:assigning], self.fit.labels[:assigning])
        seen = Labelled(self.fit.images[assigning:counting], self.fit.labels[assigning:counting])
        return [self.images_shown, vote_accuracy(self.read, self.data, fit, seen)]

    def course(self) -> list[tuple[float, float]]:
        """Return images learnt and accuracy of the vote at each look."""
        return [(float(images), float(vote)) for images, vote in self.curve]

    def evaluated(self) -> dict[str, Any]:
        """Evaluate the trained layer and return one entry of the results' `runs`."""
        array = self.layer.array
        devices = on_devices(array)
        epochs = self.experiment.readout_epochs
        scores, self.answers = evaluate(self.read, self.data, self.fit, self.test, epochs, self.seed)
        rows, cols = array.shape
        found: dict[str, Any] = {
            "arm": self.name,
            "seed": self.seed,
            **scores,
            "correct": packed(self.answers, self.test),
            "test_size": len(self.test.labels),
            "untrained": self.untrained,
            "seconds": self.seconds,
            "curve": self.curve,
            "energy": None,
            "norm_mean": float(np.linalg.norm(to_numpy(array.weights()), axis=0).mean()),
            "norm_tracking_error": float(self.layer.norm_errors[-1]) if self.layer.norm_errors else None,
        }
        if devices is not None:
            ledger = devices.ledger
            found["energy"] = ledger.energy(rows * cols)
            found["adc_clipped_share"] = ledger.clipped_share
        return found

    def pictures(self) -> dict[str, NDArray[Any]]:
        """Return weights (rows, shown) of the first neurons and the conductances, for the report."""
        array = self.layer.array
        shown: dict[str, NDArray[Any]] = {"weights": to_numpy(array.weights())[:, :SHOWN_FIELDS]}
        devices = on_devices(array)
        if devices is not None:
            conductance = to_numpy(devices.conductance_uS())
            edges = np.linspace(0, max(float(conductance.max()), devices.device.g_max_uS), 81)
            shown["histogram"] = np.histogram(conductance, edges)[0]
            shown["edges_uS"] = edges
        return shown

    def keep_beside(self, out: Path) -> None:
        """Write the pictures before and after learning, of the first seed."""
        if self.seed == self.experiment.first_seed:
            pictures = {f"before.{name}": values for name, values in self.before.items()}
            pictures |= {f"after.{name}": values for name, values in self.pictures().items()}
            write_arrays(out / f"pictures-{self.name}.npz", pictures)

    def snapshot(self, *instance: int) -> State:
        """Return the layer, as named arrays; of one instance, where there are several."""
        return {f"layer.{name}": values for name, values in self.layer.snapshot(*instance).items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        self.layer.restore({name.removeprefix("layer."): values for name, values in saved.items()})

    def notes(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside arrays."""
        return {**super().notes(), "untrained": self.untrained}

    def take_notes(self, notes: dict[str, Any]) -> None:
        """Go back to notes of a checkpoint."""
        super().take_notes(notes)
        self.untrained = notes["untrained"]


def packed(answers: dict[str, Answers], test: Labelled) -> dict[str, str]:
    """Return which images were answered right by each score that is compared image by image."""
    return {score: pack_bits(answers[score] == test.labels) for score in PAIRED}


def untrained_scores(training: DenseTraining) -> dict[str, Any]:
    """Scores of the arm's array before learning; computed once for arms that start as the same devices, read alike."""
    array = training.layer.array
    before = array.snapshot()
    key = _start(training, before)
    if key not in _untrained:
        training.calibrate()
        scores, answers = evaluate(
            training.read,
            training.data,
            training.fit,
            training.test,
            training.experiment.readout_epochs,
            training.seed,
        )
        _untrained[key] = {**scores, "correct": packed(answers, training.test)}
    array.restore(
        before
    )  # whether or not the scores were known, so that every arm goes on from the same place
    return _untrained[key]


def _start(training: DenseTraining, before: State) -> str:
    """Everything that decides the scores of an array before it learns: its state, how it is read, images and readout."""
    arm = training.arm
    device = None if arm.device is None else arm.law()
    read = arm.deciding()
    for learning in ("mode", "window", "seconds_per_update", "periphery"):
        read.pop(learning, None)
    if device is not None:
        read["write"] = {name: read["write"][name] for name in ("mapping", "pair")}
    rest = [training.seed, training.experiment.readout_epochs, own_code(device)]
    images = [content(training.data, part) for part in (training.fit, training.test)]
    return json.dumps([digest(before), read, rest, images], sort_keys=True)
