"""A third factor: light on the devices, or a gate; and short-term memory of devices under spikes."""

from __future__ import annotations

import numpy as np
import pytest

import neurosim as ns
from neurosim import LIF, Hard, IdealArray, SpikingLayer, given_trains
from neurosim.rules import WindowStdp

LIT, FADING = "optomemristor-gese3-sarwat-2022", "pcm-memtransistor-sarwat-2022"
PATTERNS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
WANTED = PATTERNS[:, 0] ^ PATTERNS[:, 1]
NEURONS, LINES = 8, 8
CLASSES = np.arange(NEURONS) % 2
"""What each neuron stands for, before it learns."""


def coded(pattern):
    """Inputs of a pattern: each bit and its complement, on several lines."""
    return np.repeat([pattern[0], 1 - pattern[0], pattern[1], 1 - pattern[1]], LINES).astype(np.float32)


def learnt_xor(array, one_pulse, rewarded, seed):
    """Share of answers that are right after 200 presentations; rewarded: the light is on where the winner's class is right."""
    array.program(0.1 + 0.3 * np.random.default_rng(seed).random((4 * LINES, NEURONS)), 1.0)
    layer = SpikingLayer(
        array, WindowStdp(learning_rate=0.1, down=0.5, one_pulse=one_pulse),
        LIF(membrane_s=50e-3, threshold_mV=-64.0, gain_mV=0.1, adaptation_mV=0.1, target_Hz=5.0), Hard(),
        highest_Hz=100.0, seed=seed,
    )  # fmt: skip
    draws = np.random.default_rng(seed + 100)
    for _ in range(200):
        k = int(draws.integers(4))
        light = (lambda spiked, k=k: float((CLASSES[spiked] == WANTED[k]).all())) if rewarded else 1.0
        layer.present(layer.trains(coded(PATTERNS[k]), 0.15), gate=light)
    asked = np.arange(40) % 4
    counts = layer.counts(np.stack([coded(PATTERNS[k]) for k in asked]), 0.15)
    votes = np.stack([counts[:, one == CLASSES].sum(axis=1) for one in (0, 1)], axis=1)
    return (votes.argmax(axis=1) == WANTED[asked]).mean()


@pytest.mark.parametrize("card", [LIT, None])
def test_xor_is_learnt_with_a_third_factor_and_not_without(card):
    """What neurons stand for is given beforehand: without reward they come to whatever input they like."""

    def array(seed):
        return (
            IdealArray((4 * LINES, NEURONS))
            if card is None
            else ns.Crossbar((4 * LINES, NEURONS), card, seed=seed)
        )

    rewarded = [learnt_xor(array(seed), card is not None, True, seed) for seed in range(2)]
    always = [learnt_xor(array(seed), card is not None, False, seed) for seed in range(2)]
    assert min(rewarded) >= 0.95
    assert np.mean(always) <= 0.75


def test_without_light_pulses_take_no_effect():
    array = ns.Crossbar((3, 2), LIT, seed=1)
    array.program(np.full((3, 2), 0.2), 1.0)
    layer = SpikingLayer(array, WindowStdp(one_pulse=True), LIF(threshold_mV=-64.9, gain_mV=5.0))
    before = array.conductance_uS()
    spikes = np.zeros((20, 3), bool)
    spikes[2] = True
    assert layer.present(given_trains(spikes), gate=0.0).counts.sum() > 0
    np.testing.assert_array_equal(array.conductance_uS(), before)
    assert array.ledger.pulses > 0, "they are given in the dark"
    assert layer.present(given_trains(spikes), gate=1.0).counts.sum() > 0
    assert (array.conductance_uS() != before).any()


def test_a_memtransistor_remembers_what_was_on_for_a_while():
    """The input changes from A to B; what answers to A is stronger for about the time in which gates fade, 100 ms."""
    law = ns.devices.load(FADING).with_parameters(drift_exponent=None)
    array = ns.Crossbar((40, 1), law, seed=4, read={"reading_delay_s": 1e-3, "read_noise": None})
    array.program(np.full((40, 1), 0.4), 1.0)
    layer = SpikingLayer(
        array, WindowStdp(one_pulse=True, down=0.0), LIF(threshold_mV=-60.0, gain_mV=0.5, adaptation_mV=0.0),
        device_clock_s=5e-3, highest_Hz=100.0, seed=4,
    )  # fmt: skip
    first = np.repeat([1.0, 0.0], 20)
    start = array.weights()[:20].sum()
    layer.present(layer.trains(first, 0.1))
    held = []
    for seconds in (0.0, 0.05, 0.1, 0.3, 2.0):
        array.advance(seconds)
        held.append(array.weights()[:20].sum())
    assert array.ledger.pulses > 40
    stays = held[-1] - start
    fading = np.array(held) - held[-1]
    assert stays > 0, "what the phase has learnt stays"
    assert fading[0] > 0.1 * stays
    assert (np.diff(fading) < 0).all()
    assert 0.2 < fading[2] / fading[0] < 0.35, "150 ms after: exp(-1.5) is 0.22"
