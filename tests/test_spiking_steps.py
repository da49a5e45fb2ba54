"""What one neuron does in one step: who is held, who is reset, what reaches whom; and the closed forms of single neurons."""

from __future__ import annotations

import math

import numpy as np
import pytest

import neurosim as ns
from neurosim import LIF, Circuit, Hard, IdealArray, Izhikevich, Soft, SpikingLayer, given_trains
from neurosim.core.errors import CapabilityError
from neurosim.rules import PairStdp, SpikingSoftHebb, WindowStdp

MS = 1e-3
PUBLISHED = {
    "RS": Izhikevich(a=0.02, b=0.2, c_mV=-65, d=8),
    "IB": Izhikevich(a=0.02, b=0.2, c_mV=-55, d=4),
    "CH": Izhikevich(a=0.02, b=0.2, c_mV=-50, d=2),
    "FS": Izhikevich(a=0.1, b=0.2, c_mV=-65, d=2),
}
"""Izhikevich (2003), figure 2."""


def layer(weights, neuron, inhibition=None, rule=None, dt_s=MS):
    array = IdealArray(np.shape(weights), "float64")
    array.program(weights)
    return SpikingLayer(array, rule or WindowStdp(), neuron, inhibition, dt_s=dt_s)


def shown(made, spikes, **options):
    """Potentials (steps, cols) and spikes {(step, neuron)} of a look at given spikes {step: lines}."""
    given = np.zeros((options.pop("steps", 12), made.array.shape[0]), bool)
    for step, lines in spikes.items():
        given[step, lines] = True
    seen = made.present(given_trains(given), learn=False, record=True, **options)
    return seen.potentials, {(step, number) for step, kind, number in seen.raster.tolist() if kind == 1}


def test_inhibition_of_a_circuit_does_not_move_a_neuron_that_is_held():
    """Both spike in step 1, both inhibitory neurons in step 2; both neurons are refractory then, and stay where they are."""
    neuron = LIF(refractory_s=5 * MS, gain_mV=20.0)
    v, spikes = shown(layer(np.eye(2), neuron, Circuit(inhibit_mV=15)), {0: [0, 1]})
    assert spikes == {(1, 0), (1, 1)}
    np.testing.assert_array_equal(v[1:6], neuron.reset_mV)


def test_inhibition_of_a_circuit_reaches_the_neurons_that_are_free():
    v, spikes = shown(layer(np.eye(2), LIF(gain_mV=20.0), Circuit(inhibit_mV=15)), {0: [0]})
    assert spikes == {(1, 0)}
    np.testing.assert_allclose(v[:3, 1], [-65, -65, -80])


def test_an_inhibitory_neuron_hears_nothing_while_it_is_refractory():
    """Its refractory time is 4 steps, those of steps 2 to 5; spikes of its neuron in steps 1, 3 and 5 make it spike once."""
    neuron = LIF(refractory_s=0, gain_mV=30.0)
    circuit = Circuit(refractory_s=4 * MS, inhibit_mV=1.0, membrane_s=1.0, reset_mV=-60)
    v, spikes = shown(layer(np.eye(2), neuron, circuit), {0: [0], 2: [0], 4: [0]})
    assert spikes == {(1, 0), (3, 0), (5, 0)}
    assert (np.diff(v[:, 1]) < -0.5).sum() == 1


def test_a_winner_by_draw_keeps_what_arrives_as_it_spikes():
    """Nobody is reset: potentials are filtered input, whoever wins."""
    neuron = LIF(gain_mV=1.0, membrane_s=20 * MS)
    v, spikes = shown(layer(np.ones((1, 2)), neuron, Soft(rate_Hz=1000)), {step: [0] for step in range(12)})
    assert len(spikes) == 12
    kept = math.exp(-1 / 20)
    np.testing.assert_allclose(
        v + 65, np.tile((1 - kept ** np.arange(1, 13)) / (1 - kept), (2, 1)).T, rtol=1e-12
    )


def test_the_recovery_of_a_silenced_neuron_follows_the_potential_at_which_it_is_held():
    """Held at c, u nears b c; a step further on than that, v would be read a step that was never taken."""
    neuron = Izhikevich(a=0.1, b=0.2, c_mV=-60.0, d=2.0)
    made = layer([[1.0, 1.0]], neuron, Hard(silence_s=2 * MS), dt_s=0.5 * MS)
    made.bias_mV[:] = 20.0, 0.0
    v, spikes = shown(made, {}, steps=60)
    first, second = sorted(step for step, _ in spikes)[:2]
    assert second > first + 4
    np.testing.assert_array_equal(v[first : first + 4, 1], -60.0)
    u = neuron.b * neuron.rest_mV
    for _ in range(3):
        u += 0.5 * neuron.a * (neuron.b * -60.0 - u)
    moved = -60.0
    for _ in range(2):
        moved += 0.25 * (0.04 * moved * moved + 5 * moved + 140 - u)
    assert v[first + 4, 1] == pytest.approx(moved, abs=1e-9)


def test_of_those_over_their_thresholds_the_farthest_spikes_and_all_others_are_silent():
    neuron = LIF(gain_mV=20.0, refractory_s=2 * MS)
    made = layer([[0.8, 1.0, 0.9]], neuron, Hard(silence_s=4 * MS))
    v, spikes = shown(made, {0: [0], 3: [0], 5: [0]})
    assert spikes == {(1, 1), (4, 1)}
    np.testing.assert_array_equal(v[1:5, [0, 2]], -65.0)
    assert v[5, 0] == -65.0, "silenced again in step 4, until step 8"


def test_an_izhikevich_neuron_whose_winner_is_drawn_is_refused():
    with pytest.raises(CapabilityError, match="has no bound"):
        layer(np.eye(2), Izhikevich(), Soft())


@pytest.mark.parametrize("rule", [WindowStdp, PairStdp, SpikingSoftHebb])
def test_the_rate_of_every_rule_falls_when_asked(rule):
    """A rule's state is that of its rates: updates so far, and norms where it follows them."""
    made = layer(np.full((3, 2), 0.5), LIF(gain_mV=30.0), Soft(rate_Hz=1000), rule(rate_updates=4))
    before = made.array.weights()
    trains = given_trains(np.ones((3, 3), bool))
    made.present(trains)
    assert made.state["updates"].tolist() == [3, 3]
    assert (made.array.weights() != before).any()
    last = made.array.weights()
    for _ in range(3):
        made.present(trains)
    assert np.abs(made.array.weights() - last).max() <= 0.25 * np.abs(last - before).max() * 1.01
    if rule is SpikingSoftHebb:
        assert (made.state["norm_squared"] != 1).all()


@pytest.mark.parametrize("back", [{"adaptation_s": 5 * MS}, {"target_Hz": 100.0}])
def test_a_look_sees_thresholds_as_they_stand(back):
    """While it learns a threshold of 5 mV more falls, and the potential comes over it; in a look it stays."""
    neuron = LIF(membrane_s=1.0, adaptation_mV=1.0, gain_mV=15.0, **back)
    made = layer(np.ones((1, 1)), neuron)
    made.raised_mV[:] = 5.0
    _, spikes = shown(made, {0: [0]}, steps=50)
    assert not spikes
    given = given_trains(np.arange(50)[:, None] == 0)
    assert made.present(given).counts.sum() == 1
    assert made.raised_mV[0] < 5.0


@pytest.mark.parametrize("current_mV", [15.0, 30.0, 100.0])
def test_the_rate_under_a_constant_current_is_the_closed_one(current_mV):
    """1 / f = t_ref + tau ln(I / (I - I_th)); a spike comes at the end of a step, so a period is it, cut to whole steps.

    A neuron that is held until t_ref has passed moves by a whole step in the step that begins a step before: the period
    is the first number of steps that is no shorter than the closed one less a step.
    """
    dt_s = 5e-6
    neuron = LIF(membrane_s=20 * MS, refractory_s=5 * MS, adaptation_mV=0.0)
    made = layer(np.zeros((1, 1)), neuron, dt_s=dt_s)
    made.bias_mV[:] = current_mV
    closed = 5 * MS + 20 * MS * math.log(current_mV / (current_mV - 13.0))
    _, spikes = shown(made, {}, steps=round(8 * closed / dt_s))
    periods = np.diff([step for step, _ in sorted(spikes)])
    assert len(periods) >= 6
    assert set(periods) == {math.ceil(closed / dt_s - 1 - 1e-6)}
    assert dt_s * periods.mean() == pytest.approx(closed, rel=1e-3)


def test_a_current_below_the_threshold_brings_no_spike_and_a_potential_that_it_holds():
    made = layer(np.zeros((1, 1)), LIF())
    made.bias_mV[:] = 12.9
    v, spikes = shown(made, {}, steps=400)
    assert not spikes
    assert v[-1, 0] == pytest.approx(-65 + 12.9, abs=1e-6)


def intervals(neuron, current=10.0, dt_s=0.25 * MS, seconds=0.6):
    made = layer(np.zeros((1, 1)), neuron, dt_s=dt_s)
    made.bias_mV[:] = current
    _, spikes = shown(made, {}, steps=round(seconds / dt_s))
    return np.diff([step for step, _ in sorted(spikes)]) * 1e3 * dt_s


def test_izhikevich_neurons_answer_a_step_of_current_as_published():
    """2003, figure 2: regular spiking begins faster than it goes on, fast spiking is fast and even, intrinsic bursting bursts once, chattering always."""
    found = {name: intervals(neuron) for name, neuron in PUBLISHED.items()}
    regular, fast = found["RS"], found["FS"]
    assert regular[0] < 0.6 * regular[-1]
    assert np.ptp(regular[1:]) < 0.02 * regular[-1]
    assert fast[2:10].mean() == pytest.approx(fast[-8:].mean(), rel=0.05)
    assert fast.mean() < 0.5 * regular[-3:].mean(), "fast"
    bursting, chattering = found["IB"], found["CH"]
    short = bursting < 0.5 * np.median(bursting)
    assert short[0], "begins with a burst,"
    assert not short[4:].any(), "and goes on with single spikes"
    inside = chattering < 10
    bursts = np.count_nonzero(np.diff(np.r_[False, inside].astype(int)) == 1)
    assert bursts >= 4
    assert np.count_nonzero(~inside) >= 3
    assert chattering[~inside].min() > 3 * chattering[inside].max()


def test_read_noise_reaches_a_potential_with_the_variance_of_the_lines():
    """Every input spikes at once: mean and variance of the potential over 4,000 looks, column by column."""
    array = ns.Crossbar((8, 3), "pcm-nandakumar-2018", seed=4, precision="float64")
    array.program(np.random.default_rng(1).uniform(0.2, 0.8, (8, 3)), w_max=1.0)
    made = SpikingLayer(array, WindowStdp(), LIF(gain_mV=1.0, threshold_mV=1e3), dt_s=MS)
    lines = array.spike_lines()
    assert (lines.variance > 0).all()
    trains = given_trains(np.ones((1, 8), bool))
    v = np.array(
        [made.present(trains, learn=False, record=True, number=k).potentials[0] for k in range(4000)]
    )
    mean = (lines.current / lines.scale).sum(axis=0) - 65
    variance = (lines.variance / lines.scale**2).sum(axis=0)
    assert (np.abs(v.mean(axis=0) - mean) < 5 * np.sqrt(variance / len(v))).all()
    assert (np.abs(v.var(axis=0) / variance - 1) < 5 * np.sqrt(2 / len(v))).all()
