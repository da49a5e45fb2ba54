"""Forward-Forward with top-down effects: every layer is driven by the one below and the one above, a label on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, cast

import numpy as np
from pydantic import Field, model_validator

from neurosim.core.errors import CapabilityError, InputError
from neurosim.core.frozen import Frozen
from neurosim.core.protocols import DeviceArray, Floats, Work
from neurosim.network.arrays import beside, empty, library
from neurosim.network.dense import Dense
from neurosim.network.forward_forward import Answers, ForwardForwardStack
from neurosim.network.negatives import Labels, with_labels, with_neutral_label
from neurosim.rules.forward_forward import ForwardForward


class Recurrent(Frozen):
    """How a network with top-down effects runs while it is shown a still image (Hinton, arXiv 2212.13345, section 3.4)."""

    iterations: int = Field(8, ge=1)
    """Synchronous steps after one bottom-up pass; in a training each of them is an update of every layer."""
    damping: float = Field(0.3, ge=0, lt=1)
    """Share of its activity that a neuron keeps in an iteration; the rest is computed anew."""
    read_from: int = Field(3, ge=1)
    read_to: int = Field(5, ge=1)
    """First and last of the iterations over which the goodness of a label is summed."""
    top_down: bool = True
    """False: each layer is driven by the one below alone and labels stand on the first pixels, as without iterations; the
    control that takes as many updates."""

    @model_validator(mode="after")
    def _reads_what_runs(self) -> Self:
        if not self.read_from <= self.read_to <= self.iterations:
            raise ValueError(
                f"read_from = {self.read_from}, read_to = {self.read_to}: must be in this order, and at most "
                f"iterations = {self.iterations}; give all three"
            )
        return self


class RecurrentStack(ForwardForwardStack):
    """Layers of which each is driven by the directions of the one below and the one above, a moment before.

    The image stands below the first layer and stays, the label (one-hot, brought to an rms or mean of one as activities
    are) above the last. One bottom-up pass, without a label and with what comes from above at zero, gives the first
    activities y; then, in all layers at once,

    ``y_k <- damping y_k + (1 - damping) relu(W_k^T [direction of y_(k-1), direction of y_(k+1), 1])``,

    and a layer that learns does so in every iteration, from what it was driven with and this y. Nothing runs through time
    or layers backwards: a top-down weight is a row of the array that it drives, and learns there.

    Parameters
    ----------
    layers : sequence of Dense
        With the rule `ForwardForward`. The rows of each array are those from below, those from above (as many as the next
        layer has neurons, or `classes` in the last one; none without `top_down`), and the biases.
    how : Recurrent
    classes : int
        Labels that can stand above the last layer.

    Raises
    ------
    CapabilityError
        If a layer learns by another rule, or jumps.
    InputError
        If there is no layer, or layers do not fit each other.

    References
    ----------
    Hinton, arXiv 2212.13345, section 3.4. What the paper leaves open: the rule sees the damped activity, a layer is updated in
    every iteration, and what comes after the last iteration that is read is not run where nothing learns.
    """

    def __init__(self, layers: Sequence[Dense], how: Recurrent, classes: int):
        self.how, self.classes = how, classes
        super().__init__(layers)
        if any(cast(ForwardForward, layer.stated).jump is not None for layer in self.layers):
            raise CapabilityError(
                "jump: an update puts the goodness of one pass in its place, and damped activities keep some of that before; "
                "leave out jump, or recurrent"
            )
        if self._pixels < 1:
            rows = self.layers[0].array.shape[0]
            raise InputError(
                f"layer 1 has {rows} rows: {self._above(0)} are driven from above and one is the bias; give it more"
            )

    def of_layers(self, layers: Sequence[Dense]) -> Self:
        """Return other layers that run as these do."""
        return type(self)(layers, self.how, self.classes)

    def _above(self, number: int) -> int:
        """Rows of a layer, the first of them number 0, that are driven from above."""
        if not self.how.top_down:
            return 0
        above = self.layers[number + 1 : number + 2]
        return above[0].array.shape[1] if above else self.classes

    @property
    def _pixels(self) -> int:
        found: int = self.layers[0].array.shape[0] - 1 - self._above(0)
        return found

    @property
    def inputs(self) -> int:
        """Numbers of a sample: pixels, and beside them the label that stands above the last layer."""
        return self._pixels + (self.classes if self.how.top_down else 0)

    def labelled(self, images: Floats, labels: Labels, classes: int) -> Floats:
        """Return samples (n, inputs) of images (n, pixels) and labels (n,); raises `InputError` for another number of classes."""
        if not self.how.top_down:
            return with_labels(images, labels, classes)
        if classes != self.classes:
            raise InputError(
                f"classes = {classes}: above the last layer there is room for {self.classes}, one each; give that number"
            )
        one_each = beside(images, np.eye(self.classes, dtype=np.float32))
        found: Floats = library(images).concatenate([images, one_each[beside(images, labels)]], -1)
        return found

    def _unlabelled(self, images: Floats, classes: int) -> Answers:
        """Return the answers of the bottom-up pass to images (n, pixels), which no label has a part in."""
        if self.how.top_down:
            samples = self.labelled(
                images, np.zeros(images.shape[:-1], np.int64), classes
            )  # any, none is seen
        else:
            samples = with_neutral_label(images, classes)
        return self._run(self._with_bias(samples), None, _read, 0)

    def learn_online(self, positive: Floats, negative: Floats) -> Answers:
        """Refuse: an update a sample would have to run all iterations of one sample before the next."""
        raise CapabilityError(
            "updates of single samples: activities of a recurrent network belong to their iteration; give `learn` mini-batches "
            "of one sample, or leave out recurrent"
        )

    def _pass(self, inputs: Floats, phase: Any, read: Callable[[Dense, Floats, Any], Floats]) -> Answers:
        return self._run(inputs, phase, read, self.how.read_to if phase is None else self.how.iterations)

    def _run(
        self, inputs: Floats, phase: Any, read: Callable[[Dense, Floats, Any], Floats], iterations: int
    ) -> Answers:
        """Run samples (n, inputs + 1) through a bottom-up pass and so many iterations, in which layers learn if there is a phase.

        The states are those of the last iteration, the goodness the sum over those that are read; of the bottom-up pass, if
        there are none.
        """
        how, drives = self.how, self._drives(inputs)
        states: list[Any] = [None] * len(self.layers)

        def told(number: int, y: Floats) -> Floats:
            """Tell the direction of a layer's activity to its neighbours; return the goodness (n,)."""
            cols, above = y.shape[-1], number + 1 < len(self.layers)
            out = drives[number + 1][..., :cols] if above else empty(y, *y.shape)
            states[number], goodness = self.rules[number].normalised(y, out=out)
            if how.top_down and number:
                drives[number - 1][..., -1 - cols : -1] = states[number]
            found: Floats = goodness
            return found

        def stacked(each: list[Floats]) -> Any:
            return library(each[0]).stack(each, -1)

        first = read if phase is None else _read
        activities, each = [], []
        for number, (layer, drive) in enumerate(zip(self.layers, drives, strict=True)):
            activities.append(first(layer, drive, None).clip(0))
            each.append(told(number, activities[-1]))
        goodness = stacked(each)
        if how.top_down:
            label = inputs[..., self._pixels : -1]
            self.rules[-1].normalised(label, out=drives[-1][..., -1 - self.classes : -1])
        for iteration in range(1, iterations + 1):
            activities = [
                self._settled(layer, drive, before, phase, read)
                for layer, drive, before in zip(self.layers, drives, activities, strict=True)
            ]
            now = stacked([told(number, y) for number, y in enumerate(activities)])
            if iteration == how.read_from:
                goodness = now
            elif how.read_from < iteration <= how.read_to:
                goodness = goodness + now
        return Answers(states, goodness)

    def _settled(self, layer: Dense, drive: Floats, before: Floats, phase: Any, read: Any) -> Floats:
        """Return the activity (n, cols) of a layer after one iteration, in which it learns if there is a phase."""

        def settle(u: Floats) -> Floats:
            y: Floats = u.clip(0)
            return y + (before - y) * self.how.damping  # exactly y where nothing has changed

        if phase is None:
            return settle(read(layer, drive, None))
        if not layer.array.ideal:
            cast(DeviceArray, layer.array).count_work(Work(answers=2 * before.shape[-2] * before.shape[-1]))
        return layer.learn(drive, phase, settle)

    def _drives(self, inputs: Floats) -> list[Floats]:
        """Inputs (n, rows) of each layer before the bottom-up pass: the direction of the image, and biases of one."""
        found = []
        for layer in self.layers:
            drive = empty(inputs, *inputs.shape[:-1], layer.array.shape[0])
            drive[...], drive[..., -1] = 0, 1
            found.append(drive)
        self.rules[0].normalised(inputs[..., : self._pixels], out=found[0][..., : self._pixels])
        return found


def _read(layer: Dense, inputs: Floats, phase: Any) -> Floats:
    return layer.forward(inputs)
