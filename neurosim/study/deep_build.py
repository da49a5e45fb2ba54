"""From an arm of a comparison of deep networks to layers that learn: arrays, rules, start weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.network.convolution import Convolution
from neurosim.network.images import Pool
from neurosim.network.stack import Stack
from neurosim.study.deep_spec import DeepArm, DeepExperiment, Layer
from neurosim.study.holding import SAMPLE, held


def start_weights(layer: Layer, radius: float, rows: int, number: int, seed: int) -> Floats:
    """Normal start weights (rows, neurons) of norm near `radius`; the same for every arm but for the radius."""
    draws = generator(seed, "start weights", f"layer {number}").standard_normal((rows, layer.neurons))
    weights: Floats = (draws * radius / np.sqrt(rows)).astype(np.float32)
    return weights


def array_of(
    arm: DeepArm,
    number: int,
    layer: Layer,
    rows: int,
    shape: tuple[int, int],
    seed: int,
    devices: bool = False,
) -> Any:
    """Return an array (rows, columns) as a settled arm has it for a layer whose kernels have `rows` weights."""
    radius = radius_of(arm, layer, number)
    window = arm.of_layer("window", number) * radius / float(np.sqrt(rows))
    return arm.array(shape, f"layer {number}", seed, window, devices=devices)


def radius_of(arm: DeepArm, layer: Layer, number: int) -> float:
    """Norm of the start weights of a layer."""
    radius: float = arm.of_layer("start_radius", number) or layer.start_radius
    return radius


def build_stack(experiment: DeepExperiment, arm: DeepArm, shape: tuple[int, int, int], seed: int) -> Stack:
    """Return the arm's layers, programmed with the start weights."""
    arm = arm.settled(experiment)
    stack: list[Convolution] = []
    for number, layer in enumerate(experiment.layers):
        rows = layer.kernel**2 * shape[2]
        radius = radius_of(arm, layer, number)
        array = array_of(arm, number, layer, rows, (rows, layer.neurons), seed)
        array.program(start_weights(layer, radius, rows, number, seed), w_max=array.w_max)
        rule = arm.build_rule(layer, number)
        neurons = None if arm.neurons is None else arm.neurons.draw(layer.neurons, seed, f"layer {number}")
        stack.append(
            Convolution(
                array, rule, shape, kernel=layer.kernel, pad=layer.pad, power=layer.power,
                pool=Pool(layer.pool, layer.pool_kernel, layer.pool_stride, layer.pool_pad),
                mode=arm.mode or "accumulate",
                norm_every=arm.norm_every or (1 if rule.ideal_only else 100), statistics=arm.statistics,
                activation=arm.activation or layer.activation, neurons=neurons,
            )
        )  # fmt: skip
        shape = stack[-1].out_shape
    return Stack(stack)


def holding(experiment: DeepExperiment, arm: DeepArm, channels: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return what an arm's devices make of the start weights of each layer (`study.holding.held`).

    Parameters
    ----------
    experiment : DeepExperiment
    arm : DeepArm
        One with a device.
    channels : int
        Of the images.
    seed : int
    """
    arm, found = arm.settled(experiment), []
    for number, layer in enumerate(experiment.layers):
        rows = layer.kernel**2 * channels
        channels = layer.neurons
        array = array_of(arm, number, layer, rows, SAMPLE, seed, devices=True)
        rms = radius_of(arm, layer, number) / float(np.sqrt(rows))
        found.append(held(array, rms, arm.mode or "accumulate", number + 1, rows, seed))
    return found
