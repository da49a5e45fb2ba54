"""From an arm of a comparison of deep networks to layers that learn: arrays, rules, start weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.core.config import ReadPath, WritePath
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.crossbar.array import Crossbar
from neurosim.devices.card import load
from neurosim.network.convolution import Convolution
from neurosim.network.images import Pool
from neurosim.network.stack import Stack
from neurosim.reference.ideal import IdealArray
from neurosim.study.deep_spec import DeepArm, DeepExperiment, Layer, of_layer
from neurosim.study.holding import SAMPLE, held


def start_weights(layer: Layer, radius: float, rows: int, number: int, seed: int) -> Floats:
    """Normal start weights (rows, neurons) of norm near `radius`; the same for every arm but for the radius."""
    draws = generator(seed, "start weights", f"layer {number}").standard_normal((rows, layer.neurons))
    weights: Floats = (draws * radius / np.sqrt(rows)).astype(np.float32)
    return weights


def device_array(
    arm: DeepArm, number: int, layer: Layer, rows: int, shape: tuple[int, int], seed: int
) -> Crossbar:
    """Return an array (rows, columns) as the arm has it for a layer whose kernels have `rows` weights."""
    radius = of_layer(arm.start_radius or layer.start_radius, number)
    write = {"w_max": of_layer(arm.window, number) * radius / float(np.sqrt(rows)), **arm.write}
    return Crossbar(
        shape,
        load(arm.device or "ideal").with_parameters(**arm.parameters),
        seed=seed,
        read=ReadPath.parse(arm.read, f"arm {arm.name}, read"),
        write=WritePath.parse(write, f"arm {arm.name}, write"),
        name=f"layer {number}",
    )


def build_stack(experiment: DeepExperiment, arm: DeepArm, shape: tuple[int, int, int], seed: int) -> Stack:
    """Return the arm's layers, programmed with the start weights."""
    stack: list[Convolution] = []
    for number, layer in enumerate(experiment.layers):
        rows = layer.kernel**2 * shape[2]
        radius = of_layer(arm.start_radius or layer.start_radius, number)
        array: Any
        if arm.device is None:
            array = IdealArray((rows, layer.neurons))
        else:
            array = device_array(arm, number, layer, rows, (rows, layer.neurons), seed)
        array.program(start_weights(layer, radius, rows, number, seed), w_max=array.w_max)
        rule = arm.build_rule(layer, number)
        stack.append(
            Convolution(
                array, rule, shape, kernel=layer.kernel, pad=layer.pad, power=layer.power,
                pool=Pool(layer.pool, layer.pool_kernel, layer.pool_stride, layer.pool_pad), mode=arm.mode,
                norm_every=arm.norm_every or (1 if rule.ideal_only else 100), statistics=arm.statistics,
                activation=arm.activation or layer.activation,
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
    found = []
    for number, layer in enumerate(experiment.layers):
        rows = layer.kernel**2 * channels
        channels = layer.neurons
        array = device_array(arm, number, layer, rows, SAMPLE, seed)
        rms = of_layer(arm.start_radius or layer.start_radius, number) / float(np.sqrt(rows))
        found.append(held(array, rms, arm.mode, number + 1, rows, seed))
    return found
