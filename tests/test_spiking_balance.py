"""Homeostasis ends at its target from any start; an event's joules by hand, and sums of them."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import PCM

import neurosim as ns
from neurosim import LIF, IdealArray, SpikingLayer, given_trains
from neurosim.core.errors import CapabilityError, InputError
from neurosim.rules import WindowStdp

TARGET_HZ = 8.0
STARTS_MV = (0.0, 6.0, 40.0)


def balanced(start_mV, shown):
    """Rates (cols,) over the last quarter of so many presentations of a second each, with very different drives."""
    array = IdealArray((30, 4))
    array.program(np.tile([0.5, 1.0, 1.5, 2.0], (30, 1)))
    neuron = LIF(gain_mV=1.0, threshold_mV=-60.0, adaptation_mV=0.3, target_Hz=TARGET_HZ)
    layer = SpikingLayer(array, WindowStdp(), neuron, highest_Hz=50.0, seed=2)
    layer.raised_mV[:] = start_mV
    counts = [layer.present(layer.trains(np.ones(30), 1.0), plastic=False).counts for _ in range(shown)]
    return np.mean(counts[-shown // 4 :], axis=0), layer.raised_mV.copy()


def test_homeostasis_ends_at_its_target_from_any_start():
    found = [balanced(start, 160) for start in STARTS_MV]
    for rates, _ in found:
        np.testing.assert_allclose(rates, TARGET_HZ, rtol=0.03)
    ends = np.array([raised for _, raised in found])
    assert np.ptp(ends, axis=0).max() < 0.15 * ends.mean(), "thresholds forget where they began"
    assert (np.diff(ends.mean(axis=0)) > 2).all(), "the harder a neuron is driven, the higher its threshold"


def test_a_look_moves_no_threshold():
    array = IdealArray((30, 4))
    array.program(np.ones((30, 4)))
    layer = SpikingLayer(array, WindowStdp(), LIF(threshold_mV=-60.0, target_Hz=5.0), highest_Hz=50.0)
    before = {name: values.tobytes() for name, values in layer.snapshot().items()}
    assert layer.counts(np.ones((5, 30)), 0.5).sum() > 100
    assert {name: values.tobytes() for name, values in layer.snapshot().items()} == before


def on_pcm(weights, **settings):
    array = ns.Crossbar(
        np.shape(weights), PCM, seed=1, read={"read_voltage_V": 0.3, "integration_time_s": 2e-7}, **settings
    )
    array.program(weights, 1.0)
    return array


QUIET = LIF(threshold_mV=1000.0)


def test_the_joules_of_a_spike_are_those_of_its_row():
    array = on_pcm(np.full((3, 5), 0.4))
    conductance_uS = array.conductance_uS()
    layer = SpikingLayer(array, WindowStdp(), QUIET)
    spikes = np.zeros((20, 3), bool)
    spikes[3, 1] = spikes[7, 1] = spikes[7, 2] = True
    layer.present(given_trains(spikes))
    by_hand = 0.3**2 * 2e-7 * 1e-6 * (2 * conductance_uS[1].sum() + conductance_uS[2].sum())
    assert array.ledger.read_J == pytest.approx(by_hand, rel=1e-6)
    assert array.ledger.reads == 2, "time steps with spikes"
    assert array.ledger.read_line_cells == 3 * 10, "each charges its own word line"
    assert array.ledger.conversions == array.ledger.dac_conversions == 0
    assert array.ledger.updates == array.ledger.pulses == 0


def test_joules_of_presentations_and_of_pulses_add_up():
    one_spike = np.zeros((10, 3), bool)
    one_spike[2, 0] = True
    single, double = on_pcm(np.full((3, 5), 0.4)), on_pcm(np.full((3, 5), 0.4))
    SpikingLayer(single, WindowStdp(), QUIET).present(given_trains(one_spike))
    twice = SpikingLayer(double, WindowStdp(), QUIET)
    twice.present(given_trains(one_spike), pause_s=0.0)
    half = double.ledger.read_J
    twice.present(given_trains(one_spike))
    assert half == pytest.approx(single.ledger.read_J, rel=1e-9)
    assert double.ledger.read_J == pytest.approx(2 * half, rel=1e-2), "but for drift between the two"
    array = on_pcm(np.full((3, 5), 0.4))
    learner = SpikingLayer(array, WindowStdp(one_pulse=True, down=0.0), LIF(threshold_mV=-64.9, gain_mV=5.0))
    shown = learner.present(given_trains(np.repeat(one_spike, 1, axis=0)))
    assert shown.counts.tolist() == [1] * 5
    law = array.device
    each_J = law.set_current_A * law.set_voltage_V * law.set_time_s
    assert array.ledger.pulses == 5, "the one active input of each of five neurons"
    assert array.ledger.write_J == pytest.approx(5 * each_J, rel=1e-6)


def test_what_spiking_columns_have_not_is_refused():
    array = ns.Crossbar((3, 2), PCM, read={"adc_bits": 8})
    with pytest.raises(CapabilityError, match="adc_bits"):
        array.spike_lines()
    with pytest.raises(InputError, match="shorter steps"):
        SpikingLayer(IdealArray((3, 2)), WindowStdp(), LIF(), dt_s=1e-2, highest_Hz=200.0)
    layer = SpikingLayer(IdealArray((3, 2)), WindowStdp(), LIF())
    with pytest.raises(InputError, match="from 0 to 1"):
        layer.trains([0.0, 2.0, 1.0], 0.1)
