"""A spiking layer of 784-100 against brian2's runtime mode and BindsNET, what an image costs on devices, and its parts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import neurosim as ns
from benchmarks.timing import Figure, figure, once
from neurosim.core.errors import CapabilityError

ROWS, COLS, SHOWN_S, DT_S = 784, 100, 0.15, 1e-3
PCM = "pcm-nandakumar-2018"
CHUNKS = 5


def image() -> Any:
    """Return an input like a digit of MNIST: a fifth of the pixels are on."""
    draws = np.random.default_rng(0)
    return (draws.random(ROWS) * (draws.random(ROWS) < 0.2)).astype(np.float32)


def layer_on(array: Any, one_pulse: bool) -> ns.SpikingLayer:
    """Return the layer of the kept studies on an array."""
    array.program(0.1 + 0.4 * np.random.default_rng(1).random((ROWS, COLS)), 1.0)
    rule = ns.rules.WindowStdp(row_trace_s=40e-3, down=0.5, one_pulse=one_pulse, forgets=not one_pulse)
    neuron = ns.LIF(membrane_s=50e-3, threshold_mV=-64.0, gain_mV=0.1, adaptation_mV=0.1, target_Hz=0.4)
    return ns.SpikingLayer(array, rule, neuron, ns.Hard(), dt_s=DT_S, highest_Hz=100.0)


def of_brian2(equations: bool) -> float | None:
    """Seconds of brian2's runtime mode for one image, its network built before; None where it is missing."""
    try:
        from neurosim.spiking.brian_network import build

        layer = layer_on(ns.IdealArray((ROWS, COLS)), False)
        built = build(layer, layer.trains(image(), SHOWN_S * CHUNKS), equations=equations)
        import brian2 as b2
    except (CapabilityError, ImportError):
        return None
    seconds = []
    for _ in range(CHUNKS):
        start = time.perf_counter()
        built.network.run(SHOWN_S * b2.second)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def of_bindsnet() -> float | None:
    """Seconds of BindsNET's network of Diehl and Cook for an image of as many time steps, learning; None where it is missing."""
    try:
        import torch
        from bindsnet.models import DiehlAndCook2015
    except ImportError:
        return None
    net = DiehlAndCook2015(n_inpt=ROWS, n_neurons=COLS, dt=1e3 * DT_S, inpt_shape=(1, 28, 28))
    draws, seconds, steps = np.random.default_rng(2), [], round(SHOWN_S / DT_S)
    for _ in range(CHUNKS):
        spikes = draws.random((steps, 1, 1, 28, 28)) < image().reshape(28, 28) * 100.0 * DT_S
        start = time.perf_counter()
        net.run(inputs={"X": torch.from_numpy(spikes)}, time=steps)
        seconds.append(time.perf_counter() - start)
        net.reset_state_variables()
    return float(np.median(seconds[1:]))


def figures() -> Iterator[Figure]:
    """Yield the races."""
    ideal = layer_on(ns.IdealArray((ROWS, COLS)), False)
    trains = ideal.trains(image(), SHOWN_S)
    own = once(lambda: ideal.present(trains), 20)
    yield figure("spikes: an image of 150 ms, 784-100, learning, ideal arithmetic", 1e3 * own, "ms", None)
    for name, equations in (("all of it equations", True), ("our rule from a network operation", False)):
        other = of_brian2(equations)
        if other is not None:
            yield figure(
                f"spikes: the same against brian2's runtime mode, {name}", own / other, "x brian2", 1 / 15,
                contender_s=own, reference_s=other,
            )  # fmt: skip
    theirs = of_bindsnet()
    if theirs is not None:
        yield figure(
            "spikes: an image against BindsNET, its network of Diehl and Cook", own / theirs, "x BindsNET", None,
            contender_s=own, reference_s=theirs,
        )  # fmt: skip
    looked = once(lambda: ideal.present(trains, learn=False), 20)
    yield figure("spikes: the same, a look", 1e3 * looked, "ms", None)
    yield figure("spikes: a look, one time step", 1e6 * looked / round(SHOWN_S / DT_S), "us", None)
    drawn = once(lambda: ideal.trains(image(), SHOWN_S), 20)
    yield figure("spikes: drawing the input's spikes", 1e3 * drawn, "ms", None)
    for card in (PCM, "rram-hfo2-om-2022"):
        layer = layer_on(ns.Crossbar((ROWS, COLS), card), True)
        seconds = once(lambda layer=layer: layer.present(trains), 20)
        yield figure(f"spikes: an image on {card}, learning", 1e3 * seconds, "ms", 25.0)
