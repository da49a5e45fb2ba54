"""Fully connected layers that learn by Forward-Forward, all at once, and the two ways to ask them for a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import CapabilityError, CheckpointError, InputError
from neurosim.core.protocols import DeviceArray, Floats, State, Work
from neurosim.kernels.products import small_product
from neurosim.network.arrays import alike, beside, empty, library, one_of, to_numpy
from neurosim.network.black_box import Box
from neurosim.network.dense import Dense
from neurosim.network.local_fields import locations
from neurosim.network.negatives import Labels, with_labels, with_neutral_label
from neurosim.network.online import learn_each
from neurosim.rules.forward_forward import ForwardForward

HEAD_MOMENTUM = 0.9


class Answers(NamedTuple):
    """What layers make of samples."""

    states: list[Floats]
    """Of each layer (n, cols): the direction of its activity, which is all that the next one sees, through a black box or not."""
    goodness: NDArray[np.float64]
    """(n, layers), of the activity before its length is taken away."""


class ForwardForwardStack:
    """Layers one behind the other; only the direction of a layer's activity passes on, nothing comes back.

    Inputs are normalised as activities are: rms one, or mean one where the goodness is a sum. Layers may compute in torch:
    their answers are then tensors, which stay where they are.

    Parameters
    ----------
    layers : sequence of Dense
        With the rule `ForwardForward`; each array has one row more than there are inputs: the biases, driven by one.
    boxes : sequence of Box
        What stands between each layer and the next (`BlackBox.draw`), one fewer than there are layers; none: nothing does.

    Raises
    ------
    CapabilityError
        If a layer learns by another rule, or jumps although its neurons see fields of the inputs only: then the change
        would turn the direction of its activity.
    InputError
        If there is no layer, one layer's outputs do not fit the next, or boxes do not fit the layers.
    """

    def __init__(self, layers: Sequence[Dense], boxes: Sequence[Box] = ()):
        if not layers:
            raise InputError("layers: expected at least one")
        self.layers = list(layers)
        self.rules: list[Any] = []
        for number, layer in enumerate(self.layers, 1):
            if not isinstance(layer.stated, ForwardForward):
                raise CapabilityError(
                    f"layer {number} learns by '{layer.rule.name}': these layers need 'forward-forward'"
                )
            if layer.stated.jump is not None and len(locations(layer.array)) > 1:
                raise CapabilityError(
                    f"layer {number} has local receptive fields: jump needs full connectivity"
                )
            self.rules.append(layer.rule)
        for number, (before, after) in enumerate(pairwise(self.layers), 1):
            above = self._above(number)
            if before.array.shape[1] + above + 1 != after.array.shape[0]:
                told = f", {above} from above" if above else ""
                raise InputError(
                    f"layer {number} has {before.array.shape[1]} outputs, layer {number + 1} takes "
                    f"{after.array.shape[0] - 1 - above}{told}, and a bias"
                )
        self.passed = 0
        """Samples that have passed through black boxes: what these do by chance is drawn by it."""
        self._given = tuple(boxes)
        if boxes and len(boxes) != len(self.layers) - 1:
            raise InputError(
                f"{len(boxes)} black boxes and {len(self.layers)} layers: give one for each layer but the last"
            )
        for number, (layer, box) in enumerate(zip(self.layers, boxes, strict=False), 1):
            own = getattr(layer.array, "instances", None)
            if box.count != layer.array.shape[1] or box.instances != own:
                raise InputError(
                    f"the black box behind layer {number} is drawn for {box.count} neurons and {box.instances or 1} instances, "
                    f"the layer has {layer.array.shape[1]} and {own or 1}: draw it for these"
                )
        self._boxes = [layer.boxed(box) for layer, box in zip(self.layers, boxes, strict=False)]

    def _above(self, number: int) -> int:
        """Rows of a layer, the first of them number 0, that are driven from above: none."""
        return 0

    @property
    def inputs(self) -> int:
        """Numbers of a sample."""
        found: int = self.layers[0].array.shape[0] - 1
        return found

    def of_layers(self, layers: Sequence[Dense]) -> Self:
        """Return other layers that run as these do, behind the same black boxes."""
        found = type(self)(layers, self._given)
        found.passed = self.passed
        return found

    @property
    def read_layers(self) -> slice:
        """Layers that a classifier and the goodness of a label look at: all but the first, or the only one."""
        return slice(min(1, len(self.layers) - 1), None)

    def learn(self, positive: Floats, negative: Floats) -> Answers:
        """Learn from positive (n, rows) and negative (m, rows) samples, all layers at once, one update each.

        Returns
        -------
        answers : Answers
            Of positive samples first, then the negative ones, before this update.
        """
        x = self._with_bias(positive, negative)
        phase = np.repeat([1.0, -1.0], [positive.shape[-2], negative.shape[-2]])
        return self._pass(x, phase, lambda layer, inputs, phase: layer.learn(inputs, phase))

    def learn_apart(self, positive: Floats, negative: Floats) -> Answers:
        """Learn one mini-batch with an update for each phase, positive samples first: each pulses the devices of its own sign.

        Decay, a share an update, is then taken twice.
        """
        phases = [
            self._pass(
                self._with_bias(x),
                np.full(x.shape[-2], sign),
                lambda layer, inputs, phase: layer.learn(inputs, phase),
            )
            for x, sign in ((positive, 1.0), (negative, -1.0))
        ]
        join = library(phases[0].goodness).concatenate
        states = [join(both, -2) for both in zip(*(answers.states for answers in phases), strict=True)]
        return Answers(states, join([answers.goodness for answers in phases], -2))

    def learn_online(self, positive: Floats, negative: Floats) -> Answers:
        """Learn one mini-batch with an update a sample, a positive and a negative one in turn (n of each).

        Raises
        ------
        InputError
            If their numbers differ.
        """
        good, bad = positive.shape[-2], negative.shape[-2]
        if good != bad:
            raise InputError(f"{good} positive and {bad} negative samples: give as many of each")
        x = self._with_bias(positive, negative, in_turn=True)
        return self._pass(x, np.tile([1.0, -1.0], good), learn_each)

    def forward(self, x: Floats) -> Answers:
        """Return the answers to samples (n, rows), learning nothing."""
        return self._pass(self._with_bias(x), None, lambda layer, inputs, phase: layer.forward(inputs))

    def calibrate(self, x: Floats) -> None:
        """Set the converters of arrays of devices by typical samples (n, rows)."""

        def set_range(layer: Dense, inputs: Floats, phase: Any) -> Floats:
            devices: Any = layer.array
            if not devices.ideal:
                devices.calibrate(inputs)
            return layer.forward(inputs)

        self._pass(self._with_bias(x), None, set_range)

    def _pass(self, inputs: Floats, phase: Any, read: Callable[[Dense, Floats, Any], Floats]) -> Answers:
        """Pass samples (n, rows + 1) through all layers, each of which `read` asks for its currents."""
        states, goodness, samples = [], [], inputs.shape[-2]
        self.rules[0].normalised(inputs[..., :-1], out=inputs[..., :-1])
        for number, (layer, rule) in enumerate(zip(self.layers, self.rules, strict=True)):
            u = read(layer, inputs, phase)
            inputs = empty(u, *u.shape[:-1], u.shape[-1] + 1)
            inputs[..., -1] = 1
            goodness.append(rule.normalised(u, out=inputs[..., :-1])[1])
            states.append(inputs[..., :-1])
            if number < len(self._boxes):
                inputs = self._through(number, inputs, phase is not None)
        self.passed += samples if self._boxes else 0
        return Answers(states, library(goodness[0]).stack(goodness, -1))

    def _through(self, number: int, inputs: Floats, learning: bool) -> Floats:
        """Return what a layer's black box makes of inputs (n, cols + 1) of the next one, normalised as this one normalises."""
        after = self.layers[number + 1]
        told: Floats = empty(inputs, *inputs.shape)
        told[..., -1] = 1
        came = self._boxes[number](inputs[..., :-1], self.passed)
        self.rules[number + 1].normalised(came, out=told[..., :-1])
        if learning and not after.array.ideal:
            work = Work(answers=2 * came.shape[-2] * came.shape[-1])
            cast(DeviceArray, after.array).count_work(work)
        return told

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Context in which passes leave no trace in what black boxes draw later; arrays have their own."""
        passed = self.passed
        try:
            yield
        finally:
            self.passed = passed

    def _with_bias(self, *parts: Floats, in_turn: bool = False) -> Floats:
        """Parts (n, rows) of a mini-batch, one behind the other or their samples in turn, with the bias' input beside them, one."""
        layer, rows = self.layers[0], self.inputs + 1
        count, done = sum(x.shape[-2] for x in parts), 0
        lead = self._instances
        for x in parts:
            if x.ndim != 2 + len(lead) or x.shape[-1] + 1 != rows or x.shape[:-2] != lead:
                wanted = ", ".join(map(str, (*lead, "n", rows - 1)))
                raise InputError(f"samples of shape {tuple(x.shape)}: layer 1 takes ({wanted})")
        out = empty(layer._inputs(parts[0][..., :0, :]), *lead, count, rows)
        for number, x in enumerate(parts):
            some = slice(number, None, len(parts)) if in_turn else slice(done, done + x.shape[-2])
            out[..., some, :-1] = beside(out, x)
            done += x.shape[-2]
        out[..., -1] = 1
        samples: Floats = out
        return samples

    def goodness_of_labels(self, images: Floats, classes: int) -> NDArray[np.float64]:
        """Return the goodness (n, classes) of each image with each label, summed over all layers but the first.

        Images go in as they are but for the pixels that carry a label: one that they have already is overwritten.
        """
        images = self.layers[0].placed(images)
        found = [
            self.forward(self.labelled(images, np.full(len(images), label), classes))
            .goodness[:, self.read_layers]
            .sum(1)
            for label in range(classes)
        ]
        goodness: NDArray[np.float64] = library(found[0]).stack(found, 1)
        return goodness

    def neutral_states(self, images: Floats, classes: int) -> Floats:
        """Return the states (n, features) of all layers but the first, side by side, for images without a label."""
        return self.features(self._unlabelled(self.layers[0].placed(images), classes))

    def labelled(self, images: Floats, labels: Labels, classes: int) -> Floats:
        """Return samples (n, rows) of images (n, pixels) and labels (n,): these stand on the first pixels."""
        return with_labels(images, labels, classes)

    def _unlabelled(self, images: Floats, classes: int) -> Answers:
        """Return the answers to images (n, pixels) whose label is not known."""
        return self.forward(with_neutral_label(images, classes))

    def features(self, answers: Answers) -> Floats:
        """Return the states (n, features) of all layers but the first, side by side."""
        features: Floats = library(answers.goodness).concatenate(answers.states[self.read_layers], -1)
        return features

    @property
    def quiet(self) -> NDArray[np.int64]:
        """Quiet samples of each layer, and all that it has learnt from: (layers, 2)."""
        return np.array(
            [[int(layer.state[name][0]) for name in ("quiet", "samples")] for layer in self.layers]
        )

    @property
    def _instances(self) -> tuple[int, ...]:
        """How many arrays learn as one, where there is more than one: the first axis of samples and answers."""
        found = getattr(self.layers[0].array, "instances", None)
        return () if found is None else (found,)

    def snapshot(self, *instance: int) -> State:
        """Return everything needed to go on later with the same bits, as named arrays; of one instance, where there are several."""
        passed = {"passed": np.array([self.passed], np.int64)} if self._boxes else {}
        return passed | {
            f"{number}.{name}": values
            for number, layer in enumerate(self.layers)
            for name, values in layer.snapshot(*instance).items()
        }

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        if self._boxes:
            if "passed" not in saved:
                raise CheckpointError("checkpoint does not fit these layers: it was made without black boxes")
            self.passed = int(saved["passed"][0])
        for number, layer in enumerate(self.layers):
            prefix = f"{number}."
            layer.restore(
                {name.removeprefix(prefix): v for name, v in saved.items() if name.startswith(prefix)}
            )


class SoftmaxHead:
    """A digital softmax classifier that learns beside the layers, one step a mini-batch, from zero and without a bias.

    ``V = 0.9 V + 0.1 features' (onehot - p) / batch`` and ``w += gain rate (V - decay w)``, as Hinton's code has it.

    Parameters
    ----------
    features, classes : int
    rate, decay : float
    placed : callable, optional
        Brings arrays to where the head is to compute (`Dense.placed`), scores as well; default: they are as they come.
    instances : int, optional
        Heads that learn as one, each with features and labels of its own behind a first axis.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        rate: float = 0.1,
        decay: float = 0.003,
        placed: Callable[[Any], Any] = np.asarray,
        instances: int | None = None,
    ):
        self.rate, self.decay = rate, decay
        shape = (features, classes) if instances is None else (instances, features, classes)
        self._weights = placed(np.zeros(shape, np.float32))
        self._velocity = placed(np.zeros(shape, np.float32))

    def scores(self, features: Floats) -> Floats:
        """Return the scores (n, classes) of features (n, features)."""
        found: Floats = _product(alike(self._weights, features), self._weights)
        return found

    def predict(self, features: Floats) -> Labels:
        """Return the class of each row of features."""
        found: Labels = to_numpy(self.scores(features).argmax(-1))
        return found

    def learn(self, features: Floats, labels: Labels, gain: float = 1.0) -> Floats:
        """Learn from one mini-batch and return the scores (n, classes) that it had before."""
        features = alike(self._weights, features)
        scores, do = self.scores(features), library(self._weights)
        error = do.exp(scores - do.amax(scores, -1)[..., None])
        error /= -error.sum(-1)[..., None]
        of_right = error.reshape(-1, error.shape[-1])  # the same memory
        of_right[beside(error, np.arange(labels.size)), beside(error, labels.reshape(-1))] += 1
        change = _product(features.swapaxes(-1, -2), error) / labels.shape[-1]
        self._velocity += (1 - HEAD_MOMENTUM) * (change - self._velocity)
        self._weights += gain * self.rate * (self._velocity - self.decay * self._weights)
        return scores

    def snapshot(self, *instance: int) -> State:
        """Return everything needed to go on later with the same bits, as named arrays; of one instance, where there are several."""
        own = {"weights": self._weights, "velocity": self._velocity}
        return {name: to_numpy(one_of(values, *instance)).copy() for name, values in own.items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        for name, own in (("weights", self._weights), ("velocity", self._velocity)):
            if name not in saved or saved[name].shape != tuple(own.shape):
                raise CheckpointError(f"checkpoint does not fit this head: {name}")
            own[...] = alike(own, saved[name])


def _product(a: Any, b: Any) -> Any:
    """Return a @ b: of arrays with the same bits for any number of threads, of tensors as torch has it."""
    return small_product(np.ascontiguousarray(a), b) if isinstance(a, np.ndarray) else a @ b
