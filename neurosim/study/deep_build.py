"""From an arm of a comparison of deep networks to layers that learn: arrays, rules, start weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.network.convolution import Convolution
from neurosim.network.stack import Stack
from neurosim.network.starts import Start, drawn, start_norm
from neurosim.study.deep_spec import DeepArm, DeepExperiment
from neurosim.study.holding import SAMPLE, held
from neurosim.study.layers import Layer, Shape, shapes


def start_weights(
    layer: Layer, norm: float, rows: int, number: int, seed: int | Sequence[int], start: Start = "normal"
) -> Floats:
    """Start weights (rows, neurons) of a norm near `norm`; the same for every arm but for that norm and how they start.

    Those of several seeds are stacked.
    """
    if not isinstance(seed, int):
        return np.stack([start_weights(layer, norm, rows, number, each, start) for each in seed])
    draws = generator(seed, "start weights", f"layer {number}")
    return drawn(start, norm, (rows, layer.neurons), draws)


def array_of(
    arm: DeepArm,
    number: int,
    layer: Layer,
    rows: int,
    shape: tuple[int, int],
    seed: int | Sequence[int],
    devices: bool = False,
) -> Any:
    """Return an array (rows, columns) as a settled arm has it for a layer whose kernels have `rows` weights."""
    radius = radius_of(arm, layer, number)
    window = arm.of_layer("window", number) * radius / float(np.sqrt(rows))
    return arm.array(shape, f"layer {number}", seed, window, devices=devices)


def radius_of(arm: DeepArm, layer: Layer, number: int) -> float:
    """Norm near which the start weights of a layer are."""
    return start_norm(
        start_of(arm, layer, number), arm.of_layer("start_radius", number) or layer.start_radius
    )


def start_of(arm: DeepArm, layer: Layer, number: int) -> Start:
    """How the start weights of a layer are drawn."""
    start: Start = arm.of_layer("start", number) or layer.start
    return start


def kind_of_convolution(arm: DeepArm) -> type[Convolution]:
    """Return the class of a settled arm's layers: that of the machine which computes them."""
    if arm.backend == "torch":
        from neurosim.reference.twin.convolution import TorchConvolution

        return TorchConvolution
    return Convolution


def refuse_beforehand(experiment: DeepExperiment, arm: DeepArm) -> None:
    """Build each layer of a settled arm once for an image of four numbers: what its machine cannot do is an error."""
    for number, layer in enumerate(experiment.layers):
        own = arm.at(number)
        array, rule = array_of(own, number, layer, 4, (4, layer.neurons), 0), own.build_rule(layer, number)
        pass_on = layer.pass_on if layer.own else None
        kind_of_convolution(arm)(array, rule, (1, 1, 4), kernel=None, pass_on=pass_on)


def build_stack(experiment: DeepExperiment, arm: DeepArm, shape: Shape, seed: int | Sequence[int]) -> Stack:
    """Return the arm's layers, programmed with the start weights; several seeds are instances of torch arrays."""
    arm = arm.settled(experiment)
    layers = experiment.layers
    stack: list[Convolution] = []
    for number, (layer, comes_in) in enumerate(zip(layers, shapes(layers, shape), strict=True)):
        own, rows = arm.at(number), layer.rows(comes_in)
        radius = radius_of(own, layer, number)
        array = array_of(own, number, layer, rows, (rows, layer.neurons), seed)
        start = start_weights(layer, radius, rows, number, seed, start_of(own, layer, number))
        array.program(start, w_max=array.w_max)
        rule = own.build_rule(layer, number)
        neurons = None if own.neurons is None else own.neurons.draw(layer.neurons, seed, f"layer {number}")
        stack.append(
            kind_of_convolution(arm)(
                array, rule, comes_in, kernel=None if layer.kernel == "all" else layer.kernel, pad=layer.pad,
                power=layer.power, pool=layer.pooling, pass_on=layer.pass_on if layer.own else None,
                mode=own.mode or "accumulate",
                norm_every=own.norm_every or (1 if rule.ideal_only else 100), statistics=own.statistics,
                activation=own.activation or layer.activation, neurons=neurons,
            )
        )  # fmt: skip
    return Stack(stack)


def holding(
    experiment: DeepExperiment, arm: DeepArm, image_shape: Shape, seed: int = 0
) -> list[dict[str, Any]]:
    """Return what an arm's devices make of the start weights of each layer (`study.holding.held`).

    Parameters
    ----------
    experiment : DeepExperiment
    arm : DeepArm
        One with a device.
    image_shape : (int, int, int)
        Height, width and channels of the images.
    seed : int
    """
    arm, found = arm.settled(experiment).changed(backend="numba"), []
    layers = experiment.layers
    for number, (layer, comes_in) in enumerate(zip(layers, shapes(layers, image_shape), strict=True)):
        own, rows = arm.at(number), layer.rows(comes_in)
        array = array_of(own, number, layer, rows, SAMPLE, seed, devices=True)
        rms = radius_of(own, layer, number) / float(np.sqrt(rows))
        found.append(held(array, rms, own.mode or "accumulate", number + 1, rows, seed))
    return found
