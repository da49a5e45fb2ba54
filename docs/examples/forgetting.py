"""Forgetting: a layer learns some classes, then the others; how much is left of the first, on devices and without.

neurosim study forgetting.toml --out out/forgetting
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from neurosim.core.seeds import generator
from neurosim.data.dataset import Labelled
from neurosim.network.dense import Dense
from neurosim.network.readout import Vote
from neurosim.study.dense_spec import phaseless
from neurosim.study.doors import RuleName
from neurosim.study.evaluate import currents, looking, on_devices, vote_accuracy
from neurosim.study.experiment import Experiment
from neurosim.study.store import pack_bits
from neurosim.study.training import Training


class Forgetting(Experiment):
    """One layer, and two sets of classes that it learns one after the other."""

    kind: ClassVar[str] = "forgetting"

    rule: RuleName = "softhebb"
    rule_options: dict[str, Any] = Field(default_factory=dict)
    neurons: int = Field(100, ge=2)
    radius: float = Field(2.5, gt=0)
    """Norm of the start weights."""
    first: int = Field(5, ge=1)
    """Classes that are learnt first; the others follow."""
    epochs: int = Field(1, ge=1)
    """Passes over each of the two."""
    batch: int = Field(32, ge=1)

    def training(self, arm, seed, data):
        """Return what one arm learns with one seed, not yet begun."""
        return ForgettingTraining(self, arm, seed, data)

    def scores(self, result):
        """Return the accuracies of one finished run: of all classes, and of the first before and after the others."""
        return {name: result[name] for name in ("accuracy", "first classes", "first classes, before")}

    def check(self):
        """Refuse before any work what would fail later."""
        super().check()
        phaseless(self.rule, self.rule_options, f"rule {self.rule}")


class ForgettingTraining(Training):
    """A layer on its way through the first classes, then through the others."""

    def __init__(self, experiment, arm, seed, data):
        super().__init__(experiment, arm, seed, data)
        shape, spread = (data.rows, experiment.neurons), experiment.radius * np.sqrt(3 / data.rows)
        array = self.arm.array(shape, "layer 0", seed, self.arm.of_layer("window", 0) * spread)
        array.program(spread * generator(seed, "start weights").random(shape, np.float32), w_max=array.w_max)
        rule = phaseless(experiment.rule, experiment.rule_options, f"rule {experiment.rule}")
        self.layer = Dense(array, rule, self.arm.mode or "accumulate")
        self.layers = [self.layer]

    def of(self, some: Labelled, first: bool) -> Labelled:
        """Images of the first classes, or of the others."""
        chosen = (some.labels < self.experiment.first) == first
        return Labelled(some.images[chosen], some.labels[chosen])

    @property
    def total(self):
        """Mini-batches of both parts."""
        return 2 * self.experiment.epochs * self.batches

    def step(self, chosen):
        """Learn one mini-batch of the classes whose turn it is."""
        images = self.of(self.fit, first=2 * self.steps < self.total).images
        x = self.data.inputs(images[chosen % len(images)])
        if self.layer.steps % 100 == 0:
            self.calibrate(x)
        self.layer.learn(x)

    def calibrate(self, x=None):
        """Set the converters by what is learnt."""
        devices = on_devices(self.layer.array)
        if devices is not None:
            devices.calibrate(self.data.inputs(self.fit.images[:1000]) if x is None else x)

    @property
    def looks(self):
        """Whether it has just learnt the first classes."""
        return 2 * self.steps == self.total

    def look(self):
        """Return the accuracy on the first classes."""
        return self.of_first(self.test)

    def of_first(self, test: Labelled) -> float:
        """Accuracy of the winner's vote between the first classes alone."""
        return vote_accuracy(self.layer.array, self.data, self.of(self.fit, True), self.of(test, True))

    def evaluated(self):
        """Ask for the classes of the images reported on and return one entry of the results' `runs`."""
        array = self.layer.array
        with looking(array):
            winners, asked = (currents(array, self.data, some.images) for some in (self.fit, self.test))
        vote = Vote(winners.argmax(axis=1), self.fit.labels, array.shape[1], self.data.classes)
        right = vote.predict(asked.argmax(axis=1)) == self.test.labels
        of_first = len(self.of(self.test, True).labels)
        return {
            "arm": self.name, "seed": self.seed, "accuracy": float(right.mean()),
            "first classes": self.of_first(self.test), "first classes, before": self.curve[0],
            "test_size": len(right), "test_sizes": dict.fromkeys(("first classes", "first classes, before"), of_first),
            "correct": {"accuracy": pack_bits(right)}, "seconds": self.seconds,
        }  # fmt: skip

    def snapshot(self):
        """Return the layer, as named arrays."""
        return self.layer.snapshot()

    def restore(self, saved):
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        self.layer.restore(saved)
