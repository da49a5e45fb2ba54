"""From an arm of a comparison of Forward-Forward to layers that learn: arrays, rules, start weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neurosim.core.hardware import Draws
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.network.dense import Dense
from neurosim.network.forward_forward import ForwardForwardStack
from neurosim.network.local_fields import Indices, LocalFields, Shape, grid, receptive_fields
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
    return arm.array(shape, name, seed, window, arm.momentum or None, draws, devices)


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


def _inputs(
    experiment: ForwardForwardExperiment, arm: ForwardForwardArm, image_shape: Shape, classes: int
) -> Iterator[tuple[int, Indices | None]]:
    """Yield of each layer how many inputs there are, and which of them each location sees (None: all see all)."""
    recurrent = experiment.recurrent_of(arm)
    above = (*experiment.layers[1:], classes) if recurrent is not None and recurrent.top_down else ()
    for number, cols in enumerate(experiment.layers):
        rows, seen = math.prod(image_shape) + sum(above[number : number + 1]), None
        image_shape = image_shape if experiment.receptive else (1, 1, cols)
        if experiment.receptive is not None:
            size, stride = experiment.receptive[number]
            seen = receptive_fields(image_shape, size, stride)
            image_shape = (*grid(image_shape, size, stride), cols)
        yield rows, seen


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
    learns_by: list[Any] = list(experiment.rules_of(arm, updates))
    for number, (rows, seen) in enumerate(_inputs(experiment, arm, image_shape, classes)):
        array: Any
        own = arm.at(number)
        if seen is None:
            start = start_weights(rows, experiment.layers[number], number, seed)
            programmed = start if weights is None else weights[number]
            array = _programmed(own, number, programmed, f"layer {number}", seed, draws)
        else:
            start = start_weights(seen.shape[1], len(seen) * experiment.layers[number], number, seed)
            each = [
                _programmed(own, number, part, f"layer {number}, location {place}", seed, draws)
                for place, part in enumerate(np.split(start, len(seen), axis=-1))
            ]
            array = LocalFields(seen, each, rows + 1)
        neurons = None
        if own.neurons is not None:
            born = draws or Draws()
            of: int | list[int] = (
                born.seed_of("neurons", seed)
                if isinstance(seed, int)
                else [born.seed_of("neurons", one) for one in seed]
            )
            neurons = own.neurons.draw(array.shape[1], of, f"layer {number}")
        layers.append(own.dense(array, learns_by[number], neurons=neurons))
    recurrent = experiment.recurrent_of(arm)
    return ForwardForwardStack(layers) if recurrent is None else RecurrentStack(layers, recurrent, classes)


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
    for number, (rows, seen) in enumerate(_inputs(experiment, arm, image_shape, classes)):
        own, of_a_neuron = arm.at(number), rows if seen is None else seen.shape[1]
        array = array_of(own, number, of_a_neuron, SAMPLE, f"layer {number}", seed, devices=True)
        mode = own.mode or "accumulate"
        found.append(held(array, of_a_neuron**-0.5, mode, number + 1, of_a_neuron, seed))
    return found
