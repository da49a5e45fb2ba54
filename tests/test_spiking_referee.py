"""Given spikes through brian2 and through our own loop: the same pulses, the same conductances, bit for bit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from helpers import FINE, HFO2, PCM

from neurosim import devices
from neurosim.core.errors import CapabilityError, InputError
from neurosim.spiking import brian_bridge, loop
from neurosim.spiking.loop import TraceRule
from neurosim.spiking.synapses import DeviceSynapses

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # pyparsing's, of brian2

SHAPE = (50, 10)
STEPS, DT_S = 200, 0.5e-3
RULE = TraceRule(tau_s=20e-3, threshold=0.5)


def referee():
    return pytest.importorskip("brian2", reason="brian2, of the extra 'spiking', is not installed")


def trains(seed=3):
    """100 ms of 40 Hz inputs and 60 Hz neurons."""
    rng = np.random.default_rng(seed)
    return rng.random((STEPS, SHAPE[0])) < 40 * DT_S, rng.random((STEPS, SHAPE[1])) < 60 * DT_S


def made(card, **changes):
    return DeviceSynapses(SHAPE, devices.load(card).with_parameters(**changes), seed=7)


def assert_same_bits(ours, theirs):
    for name, values in ours.state._asdict().items():
        assert values.tobytes() == getattr(theirs.state, name).tobytes(), name
    np.testing.assert_array_equal(ours.set_pulses, theirs.set_pulses)
    np.testing.assert_array_equal(ours.reset_pulses, theirs.reset_pulses)
    assert (ours.energy_J, ours.now_s) == (theirs.energy_J, theirs.now_s)
    assert ours.conductance_uS().tobytes() == theirs.conductance_uS().tobytes()


@pytest.mark.parametrize("card", [PCM, HFO2, FINE])
def test_brian2_and_our_loop_leave_the_same_conductances(card):
    referee()
    pre, post = trains()
    assert (pre.any(1) & post.any(1)).sum() > 20, "spikes of both sides in one step, where the order counts"
    ours, theirs = made(card), made(card)
    before = ours.state.conductance.copy()
    loop.learn(ours, pre, post, RULE, DT_S)
    brian_bridge.learn(theirs, pre, post, RULE, DT_S)
    assert_same_bits(ours, theirs)
    assert ours.set_pulses.sum() > 500
    assert ours.reset_pulses.sum() > 500
    assert (ours.state.conductance != before).mean() > 0.5


def test_a_second_presentation_goes_on_where_the_first_ended():
    """In time (what a PCM remembers of its last pulse), in random numbers and in conductance."""
    referee()
    ours, theirs = made(PCM), made(PCM)
    for seed in (3, 4):
        loop.learn(ours, *trains(seed), RULE, DT_S)
        brian_bridge.learn(theirs, *trains(seed), RULE, DT_S)
    assert_same_bits(ours, theirs)
    assert ours.now_s == pytest.approx(0.2)
    assert ours.state.programmed_at_s.max() > 0.1


@pytest.mark.parametrize("card", [PCM, HFO2])
def test_equations_of_brian2_see_each_pulse_at_once(card):
    """A monitor of brian2's own reads the conductances at the end of the step in which they were pulsed."""
    b2 = referee()
    synapses = made(card)
    first = synapses.state.conductance.copy()
    clock = b2.Clock(DT_S * b2.second)
    pre = b2.SpikeGeneratorGroup(SHAPE[0], [4], [1] * b2.ms, clock=clock)
    post = b2.SpikeGeneratorGroup(SHAPE[1], [2], [2] * b2.ms, clock=clock)
    with brian_bridge.without_compiler():
        lines, operation = brian_bridge.connect(synapses, pre, post, RULE)
        monitor = b2.StateMonitor(lines, "conductance_uS", record=True, clock=clock, when="end")
        b2.Network(pre, post, lines, operation, monitor).run(4 * b2.ms)
    seen = monitor.conductance_uS.T
    np.testing.assert_array_equal(seen[:4], np.tile(first, (4, 1)))
    np.testing.assert_array_equal(seen[4:], np.tile(synapses.state.conductance, (4, 1)))
    assert np.shares_memory(lines.variables["conductance_uS"].get_value(), synapses.state.conductance)
    assert synapses.set_pulses.sum() == synapses.set_pulses[4, 2] == 1
    assert synapses.reset_pulses[:, 2].sum() == synapses.reset_pulses.sum() == SHAPE[0] - 1


def test_groups_on_two_clocks_are_refused():
    b2 = referee()
    groups = [b2.SpikeGeneratorGroup(n, [], [] * b2.ms, dt=DT_S * b2.second) for n in SHAPE]
    with pytest.raises(InputError, match="clock="):
        brian_bridge.connect(made(PCM), *groups, RULE)


def test_the_compiler_preference_of_the_user_is_kept():
    b2 = referee()
    before = b2.prefs.codegen.target
    brian_bridge.learn(made(PCM), *(train[:4] for train in trains()), RULE, DT_S)
    assert b2.prefs.codegen.target == before


def test_our_loop_gives_the_pulses_that_the_rule_says():
    """Trace 1 at step 0 falls below 1/2 after ln 2 tau = 13.9 ms, 27.7 steps of half a millisecond."""
    pre, post = np.zeros((40, 3), bool), np.zeros((40, 2), bool)
    pre[0, 0] = pre[28, 1] = True
    post[[0, 27, 28], 0] = True
    synapses = DeviceSynapses((3, 2), devices.load(HFO2))
    loop.learn(synapses, pre, post, RULE, DT_S)
    np.testing.assert_array_equal(synapses.set_pulses, [[2, 0], [1, 0], [0, 0]])
    np.testing.assert_array_equal(synapses.reset_pulses, [[1, 0], [2, 0], [3, 0]])
    assert synapses.now_s == 40 * DT_S


def test_without_brian2_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "brian2", None)
    with pytest.raises(CapabilityError, match=r"pip install 'neurosim-crossbar\[spiking\]'"):
        brian_bridge.learn(made(PCM), *trains())


@pytest.mark.parametrize(("pre", "post"), [((4, 49), (4, 10)), ((4, 50), (5, 10)), ((50,), (4, 10))])
def test_spike_trains_of_another_shape_are_refused(pre, post):
    with pytest.raises(InputError, match="expected \\(steps, 50\\) and \\(steps, 10\\)"):
        loop.learn(made(PCM), np.zeros(pre), np.zeros(post))
