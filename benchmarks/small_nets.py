"""Small networks of fully connected layers on arrays, taught by rules with labels: what published energies are counted on."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

import neurosim as ns
from neurosim import ForwardForwardStack
from neurosim.core.protocols import Device, Floats, UpdateMode
from neurosim.core.seeds import generator
from neurosim.network.negatives import Labels, with_labels, wrong_labels
from neurosim.rules import ForwardForward
from neurosim.study.evaluate import looking
from neurosim.study.events import layer_events
from neurosim.study.forward_forward_build import start_weights

WINDOW = 4.0
"""Largest storable weight, in standard deviations of the start weights."""
HELD = 0.5
"""Share of the training before the rate falls."""
DECAY = 1e-3
CALIBRATE_EVERY, CALIBRATED_ON = 100, 1000
LENGTHS = ForwardForward()
"""Takes the length out of activities."""


def arrays(
    shapes: list[tuple[int, int]],
    device: str | Device | None,
    seed: int,
    read: ns.ReadPath | None = None,
    write: ns.WritePath | None = None,
) -> list[Any]:
    """Return an array (inputs + 1, neurons) a layer, programmed with start weights; without a device in ideal arithmetic."""
    found = []
    for number, (rows, cols) in enumerate(shapes):
        weights, w_max = start_weights(rows, cols, number, seed), WINDOW / rows**0.5
        array: Any
        if device is None:
            array = ns.IdealArray((rows + 1, cols), momentum=(write or ns.WritePath()).momentum)
        else:
            array = ns.Crossbar(
                (rows + 1, cols), device, seed=seed, read=read, write=write, name=f"layer {number}"
            )
        array.program(weights, w_max=w_max)
        found.append(array)
    return found


def with_bias(x: Floats) -> Floats:
    """Return inputs (n, rows + 1) whose last is one."""
    found: Floats = np.concatenate([x, np.ones((len(x), 1), np.float32)], axis=1).astype(
        np.float32, copy=False
    )
    return found


def directions(x: Floats) -> Floats:
    """Return relu(x) of root mean square one, with the input of biases: (n, rows + 1)."""
    return with_bias(LENGTHS.normalised(np.ascontiguousarray(x, np.float32))[0])


class Net:
    """Arrays one behind the other, and how they are taught; a rule says how to learn and how to tell classes."""

    normalised = True
    """Whether only the direction of activity passes on."""
    passes = 1
    """Forward reads of an image while it is learnt."""

    def __init__(
        self,
        layers: list[Any],
        classes: int,
        rate: float,
        steps: int,
        seed: int,
        mode: UpdateMode = "accumulate",
    ):
        self.arrays, self.classes, self.rate, self.steps = layers, classes, rate, steps
        self.seed, self.mode, self.done = seed, mode, 0

    @property
    def gain(self) -> float:
        """Rate of this step."""
        return self.rate * min(1.0, (1 - self.done / self.steps) / (1 - HELD))

    def train(self, images: Floats, labels: Labels, batch: int) -> None:
        """Learn images (n, rows) again and again, in another order each time, until all steps are done."""
        batches = len(images) // batch
        while self.done < self.steps:
            epoch, part = divmod(self.done, batches)
            if part == 0:
                order = generator(self.seed, "order", epoch).permutation(len(images))
            if self.done % CALIBRATE_EVERY == 0:
                self.calibrate(images[:CALIBRATED_ON], labels[:CALIBRATED_ON])
            chosen = order[part * batch : (part + 1) * batch]
            self.learn(images[chosen], labels[chosen])
            self.done += 1

    def currents(self, images: Floats) -> list[tuple[Floats, Floats]]:
        """Return inputs and currents of each layer."""
        found, x = [], directions(images)
        for array in self.arrays:
            u = array.forward(x)
            found.append((x, u))
            x = directions(u) if self.normalised else with_bias(np.maximum(u, 0))
        return found

    def calibrate(self, images: Floats, labels: Labels) -> None:
        """Set converters by typical images; the reads leave no trace."""
        x = directions(self.prepared(images, labels))
        for array in self.arrays:
            if not array.ideal:
                array.calibrate(x)
            with looking(array):
                u = array.forward(x)
            x = directions(u) if self.normalised else with_bias(np.maximum(u, 0))

    def prepared(self, images: Floats, labels: Labels) -> Floats:
        """Return images as they are learnt."""
        return images

    def by_group(self, values: Floats) -> Floats:
        """Return the mean (n, classes) over the neurons of each class."""
        found: Floats = values.reshape(len(values), self.classes, -1).mean(axis=2)
        return found

    def spread(self, error: Floats, cols: int) -> Floats:
        """Return errors (n, classes) on the neurons of each class, shared by them: (n, cols)."""
        size = cols // self.classes
        return np.repeat(error, size, axis=1) / np.float32(size)

    def error(self, scores: Floats, labels: Labels) -> Floats:
        """Return one-hot labels less the softmax of scores (n, classes)."""
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        found: Floats = np.eye(self.classes, dtype=np.float32)[labels] - p / p.sum(axis=1, keepdims=True)
        return found

    def learn(self, images: Floats, labels: Labels) -> None:
        """Learn one mini-batch."""
        raise NotImplementedError

    def scores(self, images: Floats) -> Floats:
        """Return (n, classes)."""
        raise NotImplementedError

    def accuracy(self, images: Floats, labels: Labels) -> float:
        """Return the share of images told right, without a trace in the arrays."""
        with ExitStack() as open_eyes:
            for array in self.arrays:
                open_eyes.enter_context(looking(array))
            return float((self.scores(images).argmax(axis=1) == labels).mean())

    def events(self) -> list[dict[str, Any]]:
        """Return what the arrays counted."""
        return layer_events(self.arrays)


class TwoPasses(Net):
    """Supervised Forward-Forward: an image with its label, then with a wrong one, an update for each."""

    passes = 2
    apart = True

    def __init__(self, *given: Any, **more: Any):
        super().__init__(*given, **more)
        updates = self.steps * (2 if self.apart else 1)
        rule = ForwardForward(learning_rate=self.rate, rate_updates=updates, rate_held=HELD)
        self.stack = ForwardForwardStack([ns.Dense(array, rule, self.mode) for array in self.arrays])

    def prepared(self, images: Floats, labels: Labels) -> Floats:
        """Return images with their labels."""
        return with_labels(images, labels, self.classes)

    def learn(self, images: Floats, labels: Labels) -> None:
        """Learn one mini-batch and as many images with wrong labels, drawn evenly."""
        even = np.zeros((len(labels), self.classes), np.float32)
        wrong = wrong_labels(even, labels, 1, generator(self.seed, "negatives", self.done))[0]
        learn = self.stack.learn_apart if self.apart else self.stack.learn
        learn(self.prepared(images, labels), with_labels(images, wrong, self.classes))

    def scores(self, images: Floats) -> NDArray[Any]:
        """Return the goodness of each label."""
        return self.stack.goodness_of_labels(images, self.classes)


class OneUpdate(TwoPasses):
    """`TwoPasses` with one update for both."""

    apart = False


class Competitive(Net):
    """Neurons of a class compete as a group with those of the others: one pass, and the label says who should win.

    ``dw_ij = rate x_i (t_c - p_c) y_j / n_c``, p the softmax of the mean squares of groups (after Papachristodoulou et
    al., AAAI 2024, from memory).
    """

    def learn(self, images: Floats, labels: Labels) -> None:
        """Learn one mini-batch."""
        rate = self.gain
        for array, (x, u) in zip(self.arrays, self.currents(images), strict=True):
            y = np.maximum(u, 0)
            error = self.error(self.by_group(y * y), labels)
            post = np.float32(rate / len(x)) * self.spread(error, u.shape[1]) * y
            array.update(x, post, np.full(u.shape[1], rate * DECAY, np.float32), self.mode)

    def scores(self, images: Floats) -> Floats:
        """Return the mean squares of the groups of the last layer."""
        return self.by_group(np.square(np.maximum(self.currents(images)[-1][1], 0)))


class Backpropagation(Net):
    """Softmax over the means of groups, errors carried back through exact weights, an oracle that no array has."""

    normalised = False

    def learn(self, images: Floats, labels: Labels) -> None:
        """Learn one mini-batch."""
        reads, rate = self.currents(images), np.float32(self.gain / len(images))
        delta = self.spread(self.error(self.by_group(reads[-1][1]), labels), reads[-1][1].shape[1])
        deltas = [delta]
        for array, (_, below) in zip(self.arrays[:0:-1], reads[-2::-1], strict=True):
            delta = (delta @ array.weights()[:-1].T) * (below > 0)
            deltas.append(delta)
        for array, (x, _), each in zip(self.arrays, reads, deltas[::-1], strict=True):
            array.update(x, (rate * each).astype(np.float32), None, self.mode)

    def scores(self, images: Floats) -> Floats:
        """Return the means of the groups of the last layer."""
        return self.by_group(self.currents(images)[-1][1])
