"""From an arm of a comparison of Forward-Forward to layers that learn: arrays, rules, start weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neurosim.core.hardware import Draws
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.network.black_box import Box
from neurosim.network.dense import Dense
from neurosim.network.forward_forward import ForwardForwardStack
from neurosim.network.local_fields import (
    Indices,
    LocalFields,
    Shape,
    driven_from_above,
    grid,
    receptive_fields,
)
from neurosim.network.recurrent import RecurrentStack
from neurosim.study.forward_forward_spec import ForwardForwardArm, ForwardForwardExperiment
from neurosim.study.holding import SAMPLE, held


def start_weights(rows: int, cols: int, number: int, seed: int | Sequence[int]) -> Floats:
    """Start weights (rows + 1, cols): normal with variance 1 / rows, and biases of zero, the same for every arm.

    Those of several seeds are stacked.
    """
    if not isinstance(seed, int):
        return np.stack([start_weights(rows, cols, number, each) for each in seed])
    draws = generator(seed, "start weights", f"layer {number}").standard_normal((rows, cols))
    weights: Floats = np.concatenate([draws / np.sqrt(rows), np.zeros((1, cols))]).astype(np.float32)
    return weights


def weights_of_locations(
    rows: Sequence[int], cols: int, number: int, seed: int | Sequence[int]
) -> list[Floats]:
    """Start weights (rows of it + 1, cols) of each location of a layer, with variance 1 / its rows; of equal rows one draw.

    Those of several seeds are stacked.
    """
    if not isinstance(seed, int):
        each = [weights_of_locations(rows, cols, number, one) for one in seed]
        return [np.stack(parts) for parts in zip(*each, strict=True)]
    draws = generator(seed, "start weights", f"layer {number}").standard_normal((max(rows), len(rows) * cols))
    biases = np.zeros((1, cols))
    return [
        np.concatenate([draws[:own, k * cols : (k + 1) * cols] / np.sqrt(own), biases]).astype(np.float32)
        for k, own in enumerate(rows)
    ]


def array_of(
    arm: ForwardForwardArm,
    number: int,
    rows: int,
    shape: tuple[int, int],
    name: str,
    seed: int | Sequence[int],
    draws: Draws | None = None,
    devices: bool = False,
) -> Any:
    """Return an array (rows, columns) as a settled arm has it for neurons of a layer with so many inputs, bias aside."""
    window = arm.of_layer("window", number) / rows**0.5
    return arm.array(shape, name, seed, window, arm.stored, draws, devices)


def _programmed(
    arm: ForwardForwardArm,
    number: int,
    weights: Floats,
    name: str,
    seed: int | Sequence[int],
    draws: Draws | None,
) -> Any:
    """Return an array of the arm, programmed with weights (..., rows, cols) whose last row are biases."""
    rows, cols = weights.shape[-2:]
    array = array_of(arm, number, rows - 1, (rows, cols), name, seed, draws)
    array.program(weights, w_max=array.w_max)
    return array


def inputs_of(
    experiment: ForwardForwardExperiment, arm: ForwardForwardArm, image_shape: Shape, classes: int
) -> Iterator[tuple[int, Sequence[Indices] | None]]:
    """Yield of each layer how many inputs there are, and which of them each location sees (None: all see all).

    Top-down effects are inputs as well, behind those from below: of a layer with fields each location is driven by those
    locations above whose field contains it, and all locations of the last layer by the label.
    """
    recurrent, fields = experiment.recurrent_of(arm), experiment.receptive
    told, seen = recurrent is not None and recurrent.top_down, list[Indices]()
    inputs, widths = [math.prod(image_shape)], list[int]()
    for number, neurons in enumerate(experiment.layers):
        if fields is not None:
            size, stride = fields[number]
            seen.append(receptive_fields(image_shape, size, stride))
            image_shape = (*grid(image_shape, size, stride), neurons)
        inputs.append(neurons if fields is None else math.prod(image_shape))
        widths.append(neurons)
    for number, below in enumerate(inputs[:-1]):
        above = (*inputs[number + 2 :], classes)[0] if told else 0
        if fields is None:
            yield below + above, None
            continue
        own: Sequence[Indices] = [*seen[number]]
        if told and number + 1 < len(seen):
            down = driven_from_above(seen[number + 1], widths[number], widths[number + 1])
            own = [np.append(field, below + more) for field, more in zip(own, down, strict=True)]
        elif told:
            own = [np.append(field, below + np.arange(classes)) for field in own]
        yield below + above, own


def neurons_of(experiment: ForwardForwardExperiment, image_shape: Shape) -> list[int]:
    """Return the neurons of each layer, all its locations together, for images (height, width, channels)."""
    if experiment.receptive is None:
        return list(experiment.layers)
    found = []
    for cols, (size, stride) in zip(experiment.layers, experiment.receptive, strict=True):
        image_shape = (*grid(image_shape, size, stride), cols)
        found.append(math.prod(image_shape))
    return found


def build_stack(
    experiment: ForwardForwardExperiment,
    arm: ForwardForwardArm,
    image_shape: Shape,
    updates: int,
    seed: int | Sequence[int],
    draws: Draws | None = None,
    weights: Sequence[Floats] | None = None,
    classes: int = 10,
) -> ForwardForwardStack:
    """Return the arm's layers for images (height, width, channels), programmed with `weights` or the start weights.

    `draws` are the seeds of what the chip is born with, where they are not its own. Several seeds are instances of torch arrays.
    `classes` are the labels that can stand above the last layer of a recurrent network.
    """
    arm = arm.settled(experiment)
    layers: list[Dense] = []
    boxes: list[Box] = []
    how = experiment.box_of(arm)
    born = draws or Draws()
    of: int | list[int] = (
        born.seed_of("neurons", seed)
        if isinstance(seed, int)
        else [born.seed_of("neurons", one) for one in seed]
    )
    learns_by: list[Any] = list(experiment.rules_of(arm, updates))
    for number, (rows, seen) in enumerate(inputs_of(experiment, arm, image_shape, classes)):
        array: Any
        own = arm.at(number)
        if seen is None:
            start = start_weights(rows, experiment.layers[number], number, seed)
            programmed = start if weights is None else weights[number]
            array = _programmed(own, number, programmed, f"layer {number}", seed, draws)
        else:
            parts = weights_of_locations([*map(len, seen)], experiment.layers[number], number, seed)
            each = [
                _programmed(own, number, part, f"layer {number}, location {place}", seed, draws)
                for place, part in enumerate(parts)
            ]
            array = LocalFields(seen, each, rows + 1)
        neurons = None
        if own.neurons is not None:
            neurons = own.neurons.draw(array.shape[1], of, f"layer {number}")
        if how is not None and number + 1 < len(experiment.layers):
            boxes.append(how.draw(array.shape[1], seed, f"layer {number}", of))
        layers.append(own.dense(array, learns_by[number], neurons=neurons))
    recurrent = experiment.recurrent_of(arm)
    return (
        ForwardForwardStack(layers, boxes)
        if recurrent is None
        else RecurrentStack(layers, recurrent, classes)
    )


def holding(
    experiment: ForwardForwardExperiment,
    arm: ForwardForwardArm,
    image_shape: Shape,
    seed: int = 0,
    classes: int = 10,
) -> list[dict[str, Any]]:
    """Return what an arm's devices make of the start weights of each layer (`study.holding.held`).

    Parameters
    ----------
    experiment : ForwardForwardExperiment
    arm : ForwardForwardArm
        One with a device.
    image_shape : (int, int, int)
        Height, width and channels.
    seed : int
    classes : int
        Of labels that stand above the last layer of a recurrent network.
    """
    arm, found = arm.settled(experiment).changed(backend="numba"), []
    for number, (rows, seen) in enumerate(inputs_of(experiment, arm, image_shape, classes)):
        own, of_a_neuron = arm.at(number), rows if seen is None else max(map(len, seen))
        array = array_of(own, number, of_a_neuron, SAMPLE, f"layer {number}", seed, devices=True)
        mode = own.mode or "accumulate"
        found.append(held(array, of_a_neuron**-0.5, mode, number + 1, of_a_neuron, seed))
    return found
