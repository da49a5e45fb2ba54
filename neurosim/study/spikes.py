"""One layer of spiking neurons, learnt without labels and asked by its assigned neurons and a linear readout of its spikes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Dataset
from neurosim.kernels.spikes import SOFT
from neurosim.network.arrays import to_numpy
from neurosim.spiking.assigned import AssignedNeurons
from neurosim.spiking.layer import SpikingLayer
from neurosim.study.controls import decided
from neurosim.study.evaluate import Answers, linear_readout, looking, on_devices, unmetered
from neurosim.study.holding import SAMPLE, held
from neurosim.study.spikes_spec import SpikesArm, SpikesExperiment
from neurosim.study.store import pack_bits, write_arrays
from neurosim.study.training import Training

REPORTING, LOOKING, DRAWING = 1 << 40, 1 << 41, 1 << 42
"""First presentations of each purpose, whose draws are no others': of readouts and answers, of looks, of pictures."""
SHOWN_FIELDS = 16
"""Neurons whose weights are drawn,"""
SHOWN_POTENTIALS = 3
"""and those of the busiest whose potentials are."""
SHOWN_IMAGES = 200
"""Test images over which winners of a softmax are counted for the report."""


def build_layer(experiment: SpikesExperiment, arm: SpikesArm, rows: int, seed: int) -> SpikingLayer:
    """Return a settled arm's layer: its array with the start weights, neurons, and the rule."""
    name, shape = "layer 0", (rows, experiment.neurons)
    array = arm.array(shape, name, seed, arm.of_layer("window", 0))
    low, high = experiment.of_arm(arm, "start")
    draws = generator(seed, "start weights").random(shape, np.float32)
    array.program(low + (high - low) * draws, w_max=array.w_max)
    layer = SpikingLayer(
        array, experiment.build_rule(arm), experiment.of_arm(arm, "neuron"), experiment.of_arm(arm, "inhibition"),
        dt_s=experiment.dt_s, highest_Hz=experiment.highest_Hz, seed=seed, name=name, mode=arm.mode or "accumulate",
        update_every_s=experiment.of_arm(arm, "update_every_s"), norm_every=experiment.norm_every,
    )  # fmt: skip
    return layer


def holding(experiment: SpikesExperiment, arm: SpikesArm, rows: int, seed: int = 0) -> dict[str, Any]:
    """Return what an arm's devices make of weights as large as those the layer starts with (`study.holding.held`)."""
    low, high = experiment.of_arm(arm, "start")
    rms = float(np.sqrt((low * low + low * high + high * high) / 3))
    array = arm.array(SAMPLE, "layer 0", seed, arm.of_layer("window", 0), devices=True)
    return held(array, rms, arm.mode or "accumulate", 1, rows, seed)


def summarise(experiment: SpikesExperiment, runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry for each arm and score: accuracy, and beside ideal arithmetic gap and verdict (`controls.decided`)."""
    found = []
    for arm in experiment.listed:
        own = [run for run in runs if run["arm"] == arm.name]
        for score in experiment.scores(own[0]) if own else ():
            said = decided(experiment, runs, arm.name, score)
            found.append({"arm": arm.name, "score": score, "seeds": len(own), **said})
    return found


class SpikesTraining(Training):
    """One layer of spiking neurons on its way through the training images."""

    experiment: SpikesExperiment
    arm: SpikesArm

    def __init__(self, experiment: SpikesExperiment, arm: SpikesArm, seed: int, data: Dataset):
        super().__init__(experiment, arm, seed, data)
        self.layer = build_layer(experiment, self.arm, data.rows, seed)
        self.layers = [self.layer]

    def begin(self) -> None:
        """Keep the fields before it learns."""
        self._keep_fields()

    def step(self, chosen: NDArray[np.int64]) -> None:
        """Show some images, one after the other."""
        spec = self.experiment
        for x in self.data.inputs(self.fit.images[chosen]):
            self.layer.present(
                self.layer.trains(x, spec.shown_s), pause_s=spec.pause_s, plastic=self.arm.learns
            )

    def counts_of(self, images: Any, first: int) -> NDArray[np.int64]:
        """Return the spikes (n, neurons) that images cause, thresholds and devices as they are."""
        return self.layer.counts(self.data.inputs(images), self.experiment.shown_s, first)

    def represented(self, images: Any) -> Floats:
        """Return the spikes of each neuron (n, neurons)."""
        return self.counts_of(images, REPORTING).astype(np.float32)

    def readout(self, features: Floats, labels: Answers, classes: int) -> AssignedNeurons:
        """Return the neurons with the classes that their spikes (n, neurons) assign to them."""
        return AssignedNeurons(features, labels, classes)

    def readout_of(self, weight: NDArray[Any], bias: NDArray[Any]) -> AssignedNeurons:
        """Return such neurons from what was kept of them."""
        return AssignedNeurons.of(weight, bias)

    @property
    def looks(self) -> bool:
        """Whether the accuracy is followed where it stands."""
        return self.steps in self.marks

    def look(self) -> list[float]:
        """Images shown, accuracy of neurons assigned on a part of the training images on another part, and spikes an image."""
        if self.steps:
            self._keep_fields()
        some = min(self.experiment.curve_images, len(self.fit.images) // 2)
        with looking(self.layer.array):
            counts = self.counts_of(self.fit.images[: 2 * some], LOOKING)
        labels = self.fit.labels[: 2 * some]
        neurons = AssignedNeurons(counts[:some], labels[:some], self.data.classes)
        right = float((neurons.predict(counts[some:]) == labels[some:]).mean())
        return [self.steps * self.batch, right, float(counts.sum(axis=1).mean())]

    def course(self) -> list[tuple[float, float]]:
        """Return images shown and accuracy at each look."""
        return [(float(images), float(right)) for images, right, _ in self.curve]

    def evaluated(self) -> dict[str, Any]:
        """Evaluate the layer and return one entry of the results' ``runs``."""
        spec, array = self.experiment, self.layer.array
        labelling = slice(None, spec.label_images)
        images, labels = self.fit.images[labelling], self.fit.labels[labelling]
        with unmetered(array):
            fit, test = self.represented(images), self.represented(self.test.images)
        self.neurons = self.readout(fit, labels, self.data.classes)
        linear = linear_readout(fit, labels, self.data.classes, spec.readout_epochs, self.seed)
        answers = {"accuracy": self.neurons.predict(test), "accuracy_linear": linear.predict(test)}
        self.test_spikes = test.sum(axis=0, dtype=np.float64)
        self.answers = answers
        rows, cols = array.shape
        devices = on_devices(array)
        shown = max(1, self.layer.presented)
        return {
            "arm": self.name,
            "seed": self.seed,
            **{name: float((given == self.test.labels).mean()) for name, given in answers.items()},
            "correct": {name: pack_bits(given == self.test.labels) for name, given in answers.items()},
            "test_size": len(self.test.labels),
            "neurons_used": self.neurons.used,
            "spikes_an_image": float(self.test_spikes.sum() / len(test)),
            "input_spikes_an_image": float(self.layer.spikes[0] / shown),
            "learnt_spikes_an_image": float(self.layer.spikes[1] / shown),
            "spikes": dict(zip(("inputs", "neurons"), map(int, self.layer.spikes), strict=True)),
            "raised_mV": [
                float(value) for value in np.quantile(self.layer.raised_mV, (0, 0.25, 0.5, 0.75, 1))
            ],
            "seconds": self.seconds,
            "curve": self.curve,
            "energy": None if devices is None else devices.ledger.energy(rows * cols),
        }

    def _keep_fields(self) -> None:
        """Keep the weights of the first neurons as they are now, of the first seed."""
        if self.seed == self.experiment.first_seed:
            weights = to_numpy(self.layer.array.weights())[:, :SHOWN_FIELDS]
            self.drawn[f"fields.{self.steps * self.batch}"] = weights.astype(np.float32)

    def keep_beside(self, out: Path) -> None:
        """Write what the report draws of the first seed: fields while it learnt, thresholds, spikes, one image as it is answered."""
        if self.seed == self.experiment.first_seed:
            self._keep_fields()
            with looking(self.layer.array):
                drawn = {**self.drawn, **self._one_image(), **self._winners()}
            drawn |= {
                "raised_mV": self.layer.raised_mV,
                "spikes_an_image": self.test_spikes / len(self.test.images),
                "classes": self.neurons.classes,
            }
            write_arrays(out / f"pictures-{self.name}.npz", drawn)

    def _recorded(self, image: Any, number: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Look at one image: spikes of each neuron, every spike, and every potential, as of `Shown`."""
        trains = self.layer.trains(image, self.experiment.shown_s, DRAWING + number)
        shown = self.layer.present(trains, learn=False, record=True, number=DRAWING + number)
        assert shown.raster is not None
        assert shown.potentials is not None
        return shown.counts, shown.raster, shown.potentials

    def _one_image(self) -> State:
        """Spikes of inputs and neurons, and potentials of the busiest, as the first test image is shown."""
        counts, raster, potentials = self._recorded(self.data.inputs(self.test.images[:1])[0], 0)
        nearest = potentials.max(axis=0) - self.layer.raised_mV
        busiest = np.lexsort((-nearest, -counts))[:SHOWN_POTENTIALS]
        return {
            "raster": raster,
            "busiest": busiest,
            "potentials": potentials[:, busiest].astype(np.float32),
            "threshold_mV": self.layer.constants.threshold + self.layer.raised_mV[busiest],
            "answered": np.array([self.test.labels[0], self.neurons.predict(counts[None])[0]]),
        }

    def _winners(self) -> State:
        """How often each neuron won, and was expected to by its softmax; nothing where no winners are drawn."""
        layer = self.layer
        if layer.constants.inhibition != SOFT:
            return {}
        images = self.data.inputs(self.test.images[:SHOWN_IMAGES])
        shown = [self._recorded(image, number) for number, image in enumerate(images)]
        return {
            "wins": np.sum([counts for counts, _, _ in shown], axis=0),
            "expected_wins": np.sum([layer.expected_wins(v) for _, _, v in shown], axis=0),
        }

    def snapshot(self) -> State:
        """Return the layer, as named arrays."""
        return {f"layer.{name}": values for name, values in self.layer.snapshot().items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        self.layer.restore({name.removeprefix("layer."): values for name, values in saved.items()})
