"""What spikes read of an array is what a read of unit inputs gives, whatever stands around the devices."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import FINE, HFO2, PCM

import neurosim as ns
from neurosim import LIF, SpikingLayer, given_trains
from neurosim.core.errors import InputError
from neurosim.rules import PairStdp, WindowStdp

SHAPE = (24, 10)
AROUND = {
    "bare": {},
    "separate pair": {"write": {"pair": "separate"}},
    "fixed reference": {"write": {"mapping": "reference"}},
    "offset column": {"write": {"mapping": "offset"}},
    "tiles": {"tiles": {"word_lines": 8, "bit_lines": 8}},
    "separate pair in tiles": {"write": {"pair": "separate"}, "tiles": {"word_lines": 8, "bit_lines": 8}},
    "broken lines, spare columns": {
        "faults": {"broken_word_lines": 0.1, "broken_bit_lines": 0.1, "spare_columns": 3, "dead_columns": 0.1, "placement": "aware"}
    },
    "wires": {"wires": {"r_word_ohm": 20.0, "r_bit_ohm": 20.0}},
    "wires and breaks": {
        "wires": {"r_word_ohm": 20.0, "r_bit_ohm": 20.0}, "faults": {"broken_bit_lines": 0.2},
    },
    "gains": {"write": {"decay_mode": "gain"}},
}  # fmt: skip


def made(card, name):
    array = ns.Crossbar(SHAPE, card, seed=4, read={"read_noise": None}, **AROUND[name])
    array.program(np.random.default_rng(2).normal(0, 0.3, SHAPE).clip(-0.9, 0.9), 1.0)
    return array


def through(array):
    """What a spike on each row gives each column, in weights, and what a read of that row alone gives."""
    array.solve_wires()
    lines = array.spike_lines()
    with array.looking():
        seen = array.forward(np.eye(SHAPE[0], dtype=np.float32))
    return lines.current / lines.scale, seen


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("card", [PCM, HFO2])
def test_lines_are_what_a_read_of_one_row_gives_before_and_after_learning(card, name):
    array = made(card, name)
    before, seen = through(array)
    np.testing.assert_allclose(before, seen, rtol=1e-4, atol=1e-5)
    layer = SpikingLayer(
        array,
        WindowStdp(learning_rate=0.05, forgets=True),
        LIF(threshold_mV=-64.5, gain_mV=2.0),
        highest_Hz=200.0,
    )
    for _ in range(3):
        layer.present(layer.trains(np.full(SHAPE[0], 0.4), 0.1), pause_s=50.0)
    assert array.ledger.pulses > 0
    after, seen = through(array)
    np.testing.assert_allclose(after, seen, rtol=1e-4, atol=1e-5)
    assert np.abs(after - before).max() > 0.02


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["accumulate", "mixed", "online"])
def test_killed_and_resumed_in_every_mode_with_gathered_changes_and_a_clock_it_ends_in_the_same_bits(
    mode, precision
):
    def layer():
        array = ns.Crossbar(SHAPE, PCM, seed=4, precision=precision)
        array.program(np.random.default_rng(2).normal(0, 0.3, SHAPE).clip(-0.9, 0.9), 1.0)
        return SpikingLayer(
            array, PairStdp(learning_rate=0.05), LIF(threshold_mV=-64.5, gain_mV=2.0), highest_Hz=200.0, mode=mode,
            update_every_s=7e-3, device_clock_s=5e-3,
        )  # fmt: skip

    def shown(made, count):
        for _ in range(count):
            made.present(made.trains(np.full(SHAPE[0], 0.4), 0.05), pause_s=1.0)

    whole, first, second = layer(), layer(), layer()
    shown(whole, 4)
    shown(first, 2)
    second.restore(first.snapshot())
    shown(second, 2)
    assert whole.array.ledger.pulses > 100
    assert whole.array.now_s == pytest.approx(4 * 1.05)
    for name, values in whole.snapshot().items():
        np.testing.assert_array_equal(values, second.snapshot()[name], err_msg=name)


def test_a_dead_column_leaves_its_neuron_at_rest_and_the_others_their_softmax():
    from neurosim import Soft
    from neurosim.rules import SpikingSoftHebb

    array = made(PCM, "broken lines, spare columns")
    dead = np.flatnonzero(~array.spike_lines().current.any(axis=0))
    assert dead.size, "a column that no line reaches"
    layer = SpikingLayer(
        array, SpikingSoftHebb(), LIF(gain_mV=0.5), Soft(rate_Hz=500.0, temperature_mV=2.0), highest_Hz=200.0
    )
    shown = layer.present(layer.trains(np.full(SHAPE[0], 0.4), 0.4), record=True)
    assert np.isfinite(shown.potentials).all()
    np.testing.assert_array_equal(shown.potentials[:, dead], -65.0)
    assert np.count_nonzero(shown.counts) > 3


def test_several_devices_a_synapse_spread_the_same_pulses():
    """A step of the synapse is a third as large in shares of its window; each device has about a third of the pulses."""
    law = ns.devices.load(FINE).with_parameters(devices_per_cell=3)
    array = ns.Crossbar(SHAPE, law, seed=4)
    array.program(np.zeros(SHAPE), 1.0)
    single = ns.Crossbar(SHAPE, FINE, seed=4)
    single.program(np.zeros(SHAPE), 1.0)
    assert array.weight_per_pulse == pytest.approx(single.weight_per_pulse / 3, rel=1e-6)


def test_trains_of_other_inputs_and_gates_beyond_one_are_refused():
    layer = SpikingLayer(made(PCM, "bare"), WindowStdp(), LIF(threshold_mV=-64.9, gain_mV=5.0))
    for rows in (SHAPE[0] - 1, SHAPE[0] + 1):
        with pytest.raises(InputError, match="24 word lines"):
            layer.present(given_trains(np.ones((3, rows), bool)))
    for gate in (1.5, -0.1, float("nan"), lambda spiked: 2.0):
        with pytest.raises(InputError, match="between 0 and 1"):
            layer.present(given_trains(np.ones((3, SHAPE[0]), bool)), gate=gate)


def test_neurons_that_integrate_have_no_price_and_bills_say_so():
    from neurosim.energy.seconds import seconds
    from neurosim.study.events import layer_events

    layer = SpikingLayer(made(PCM, "bare"), WindowStdp(), LIF(threshold_mV=-64.9, gain_mV=5.0))
    layer.present(layer.trains(np.full(SHAPE[0], 0.4), 0.1))
    bill = ns.price(layer_events([layer.array]), "generic-28nm")
    said = str(bill) + repr(bill.not_priced)
    assert "integrate currents" in said
    assert not [line for line in bill.lines if line.phase == "neurons"]
    assert bill.joules > 0
    times = seconds(layer_events([layer.array]), "generic-28nm")
    assert "as long as it is shown" in str(times.not_timed)
    assert times.total("forward")[0] == 0
