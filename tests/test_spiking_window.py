"""The STDP window recovered from pairs of spikes: exactly in ideal arithmetic, on PCM in the mean."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import PCM

import neurosim as ns
from neurosim import LIF, IdealArray, SpikingLayer, given_trains
from neurosim.rules import PairStdp

COLS, RATE, DEPRESSION, TAU_S, DT_S = 400, 0.02, 0.8, 20e-3, 1e-3
TESTED, TEACHER = 0, 1
"""Rows: the input whose synapses are looked at, and one that makes every neuron spike in the step after its own."""


def changed_by(make, lag_steps, rate=RATE):
    """Change of the weights (cols,) by one spike of the input and one of the neurons, so many steps after it."""
    array = make()
    before = np.array(array.weights()[TESTED])
    layer = SpikingLayer(
        array, PairStdp(learning_rate=rate, depression=DEPRESSION, row_trace_s=TAU_S, col_trace_s=TAU_S),
        LIF(gain_mV=100.0, adaptation_mV=0.0, refractory_s=0.0), dt_s=DT_S,
    )  # fmt: skip
    spikes = np.zeros((130, 2), bool)
    spikes[60, TESTED] = True
    spikes[60 + lag_steps - 1, TEACHER] = True
    shown = layer.present(given_trains(spikes), record=True)
    neurons = shown.raster[shown.raster[:, 1] == 1]
    assert len(neurons) == array.shape[1]
    assert (neurons[:, 0] == 60 + lag_steps).all()
    return np.array(array.weights()[TESTED]) - before


def window(lag_steps):
    """Song et al. (2000), as the rule states it."""
    t = lag_steps * DT_S
    return RATE * np.exp(-t / TAU_S) if t >= 0 else -DEPRESSION * RATE * np.exp(t / TAU_S)


def ideal():
    array = IdealArray((2, COLS), "float64")
    array.program(np.stack([np.zeros(COLS), np.ones(COLS)]))
    return array


@pytest.mark.parametrize("lag", [-40, -10, -1, 0, 1, 10, 40])
def test_in_ideal_arithmetic_the_window_is_the_rules(lag):
    np.testing.assert_allclose(changed_by(ideal, lag), window(lag), rtol=1e-9)


def test_on_pcm_its_mean_is_the_window_times_the_mean_of_one_pulse():
    """All changes ask for less than one pulse: a device gets one with the chance that the window says, and none else."""

    def pcm():
        array = ns.Crossbar((2, COLS), PCM, seed=3, write={"refresh": None}, read={"read_noise": None})
        array.program(np.stack([np.zeros(COLS), np.ones(COLS)]), 1.0)
        return array

    one = pcm().weight_per_pulse
    rate = 0.9 * one
    every = changed_by(pcm, 0, one * (1 + 1e-6))
    step, spread = every.mean(), every.std()
    for lag in (1, 5, 10, 20, 40):
        chance = 0.9 * np.exp(-lag * DT_S / TAU_S)
        found = changed_by(pcm, lag, rate)
        sigma = np.sqrt(chance * (spread**2 + (1 - chance) * step**2) / COLS + (chance * spread) ** 2 / COLS)
        assert abs(found.mean() - chance * step) < 5 * sigma, lag
        assert chance * step > 2 * sigma
    down = changed_by(pcm, -5, rate)
    assert down.mean() < -5 * down.std() / np.sqrt(COLS), "an input after its neuron goes down"
