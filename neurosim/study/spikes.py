"""One layer of spiking neurons, learnt without labels and asked by its assigned neurons and a linear readout of its spikes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Dataset
from neurosim.network.arrays import to_numpy
from neurosim.network.readout import LinearReadout
from neurosim.spiking.assigned import AssignedNeurons
from neurosim.spiking.layer import SpikingLayer
from neurosim.study.evaluate import Answers, linear_readout, looking, on_devices, unmetered
from neurosim.study.spikes_spec import SpikesArm, SpikesExperiment
from neurosim.study.store import pack_bits, write_arrays
from neurosim.study.training import Training

LABELLING, REPORTING, LOOKING = 1 << 40, 1 << 41, 1 << 42
"""First presentations of each purpose, whose draws are no others'."""


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


class SpikesTraining(Training):
    """One layer of spiking neurons on its way through the training images."""

    experiment: SpikesExperiment
    arm: SpikesArm

    def __init__(self, experiment: SpikesExperiment, arm: SpikesArm, seed: int, data: Dataset):
        super().__init__(experiment, arm, seed, data)
        self.layer = build_layer(experiment, self.arm, data.rows, seed)
        self.layers = [self.layer]
        self.untrained: dict[str, Any] = {}

    def begin(self) -> None:
        """Ask the layer before it learns."""

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

    def readout(self, features: Floats, labels: Answers, classes: int) -> LinearReadout:
        """Return the linear readout of spike counts (n, neurons)."""
        return linear_readout(features, labels, classes, self.experiment.readout_epochs, self.seed)

    @cached_property
    def _marks(self) -> set[int]:
        points = self.experiment.curve_points
        return {round(self.total * k / points) for k in range(points + 1)} if points else set()

    @property
    def looks(self) -> bool:
        """Whether the accuracy is followed where it stands."""
        return self.steps in self._marks

    def look(self) -> list[float]:
        """Images shown, accuracy of neurons assigned on a part of the training images on another part, and spikes an image."""
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
            fit, test = self.counts_of(images, LABELLING), self.counts_of(self.test.images, REPORTING)
        neurons = AssignedNeurons(fit, labels, self.data.classes)
        classifier = self.readout(fit.astype(np.float32), labels, self.data.classes)
        answers = {
            "accuracy": neurons.predict(test),
            "accuracy_linear": classifier.predict(test.astype(np.float32)),
        }
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
            "neurons_used": neurons.used,
            "spikes_an_image": float(test.sum(axis=1).mean()),
            "input_spikes_an_image": float(self.layer.spikes[0] / shown),
            "learnt_spikes_an_image": float(self.layer.spikes[1] / shown),
            "raised_mV": [
                float(value) for value in np.quantile(self.layer.raised_mV, (0, 0.25, 0.5, 0.75, 1))
            ],
            "seconds": self.seconds,
            "curve": self.curve,
            "energy": None if devices is None else devices.ledger.energy(rows * cols),
        }

    def keep_beside(self, out: Any) -> None:
        """Write weights and classes of the neurons of the first seed, for the report."""
        if self.seed == self.experiment.first_seed:
            write_arrays(
                out / f"pictures-{self.name}.npz", {"after.weights": to_numpy(self.layer.array.weights())}
            )

    def snapshot(self) -> State:
        """Return the layer, as named arrays."""
        return {f"layer.{name}": values for name, values in self.layer.snapshot().items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        self.layer.restore({name.removeprefix("layer."): values for name, values in saved.items()})
