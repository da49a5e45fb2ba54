"""Pulses that weaken along the wires, and what half a pulse does to its neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, made
from helpers import FINE, HFO2, MODES, PCM, local_update, quiet

from neurosim import Crossbar, Faults, ReadPath, Tiles, Wires, WritePath, devices, set_threads, wires
from neurosim.core.errors import CapabilityError, ConfigError

WEAK = WritePath(pulse_sensitivity_V=0.2)
LONG = Wires(r_word_ohm=20.0, r_bit_ohm=20.0)


def test_voltages_fall_along_both_lines():
    """Against the whole circuit: half the pulse on one word line, minus half on one bit line, all else at 0 V."""
    g = np.random.default_rng(0).uniform(1, 25, (12, 16))
    word, bit = wires.line_by_line(g, 2.0, 3.0)
    row, col = 2, 13
    by_word = wires.solve(g, np.eye(12)[row], 2.0, 3.0)
    seen = by_word.word_V[row, col] - by_word.bit_V[row, col]
    mirrored = wires.solve(g[::-1, ::-1].T, np.eye(16)[15 - col], 3.0, 2.0)
    seen += mirrored.word_V[15 - col, 11 - row] - mirrored.bit_V[15 - col, 11 - row]
    assert (word[row, col] + bit[row, col]) / 2 == pytest.approx(seen / 2, abs=2e-3)


def test_the_strength_of_pulses_follows_the_voltage_that_arrives():
    array = made(HFO2, write=WEAK, wires=LONG)
    array.update(*local_update(ROWS, COLS, 5, seed=0))
    g = made(HFO2).conductance_uS()
    word, bit = wires.line_by_line(g, 20.0, 20.0)
    lost = array.device.pulse_voltage_V * (1 - (word + bit) / 2)
    np.testing.assert_allclose(array._cells.strength, np.exp(-lost / 0.2), rtol=1e-4)
    assert array._cells.strength[-1, 0] > array._cells.strength[0, -1]


@pytest.mark.parametrize("mode", MODES)
def test_pulses_are_thinned_to_their_strength(mode):
    array = Crossbar((300, 40), HFO2, write=WEAK, wires=Wires(r_word_ohm=2.0, r_bit_ohm=2.0))
    array.program(np.zeros((300, 40)), w_max=array.w_max)
    rng = np.random.default_rng(0)
    array.update(rng.uniform(0, 1, (6, 300)), rng.normal(0, 0.1, (6, 40)), mode=mode)
    ledger, mean = array.ledger, float(array._cells.strength.mean())
    given = ledger.pulses
    assert given > 3000
    taken = (given - ledger.pulses_lost) / given
    assert abs(taken - mean) < 0.05
    assert 0.05 < mean < 0.95


def test_a_weak_pulse_moves_a_device_less_in_the_mean():
    law = quiet()
    start, step = {}, {}
    for write in (WritePath(), WEAK):
        array = Crossbar((400, 1), law, write=write, wires=Wires(r_word_ohm=0.0, r_bit_ohm=0.3))
        array.program(np.zeros((400, 1)), w_max=array.w_max)
        before = array.weights()[:, 0]
        array.update(np.ones((40, 400)), np.full((40, 1), 0.01))
        start[write], step[write] = before, array.weights()[:, 0] - before
    strength = array._cells.strength.mean(axis=1)
    assert strength[0] < 0.7 < strength[-1]
    share = step[WEAK] / step[WritePath()]
    for part in (slice(0, 100), slice(300, 400)):
        assert abs(share[part].mean() - strength[part].mean()) < 0.05


def test_perfect_wires_weaken_nothing():
    one, other = made(HFO2), made(HFO2, write=WEAK, wires=Wires())
    for array in (one, other):
        array.update(*local_update(ROWS, COLS, 5, seed=0))
    np.testing.assert_array_equal(one.conductance_uS(), other.conductance_uS())
    assert other.ledger.pulses_lost == 0


def test_a_lost_pulse_is_charged_for_its_voltage():
    array = Crossbar((50, 20), HFO2, write=WritePath(pulse_sensitivity_V=1e-4), wires=LONG)
    array.program(np.zeros((50, 20)), w_max=array.w_max)
    array.update(np.ones((1, 50)), np.full((1, 20), 0.2), mode="mixed")
    ledger, law = array.ledger, array.device
    assert ledger.pulses_lost == ledger.pulses > 100
    mean_uS = array.conductance_uS().mean()
    expected = ledger.pulses * law.pulse_voltage_V**2 * law.pulse_time_s * mean_uS * 1e-6
    assert ledger.write_J == pytest.approx(expected, rel=0.2)


def half(sensitivity_V: float, device=HFO2, **options) -> Crossbar:
    write = WritePath(pulse_sensitivity_V=sensitivity_V, half_select=True)
    array = Crossbar((60, 20), device, write=write, **options)
    array.program(np.zeros((60, 20)), w_max=array.w_max)
    return array


def test_half_voltages_disturb_the_lines_of_a_pulse_only():
    array = half(0.5)
    before = array.conductance_uS()
    pre = np.zeros((1, 60))
    pre[0, 7] = 1.0
    post = np.zeros((1, 20))
    post[0, 3] = 0.4
    array.update(pre, post)
    moved = array.conductance_uS() != before
    beside = np.zeros_like(moved)
    beside[7], beside[:, 6:8] = True, True
    assert not moved[~beside].any()
    assert moved[beside].sum() > 4
    assert array.ledger.disturbs > 0


def test_as_many_disturbs_as_half_the_voltage_makes():
    """Each pulse is half a pulse for the other devices of its word line and of its bit line."""
    array = half(0.3)
    rng = np.random.default_rng(1)
    pulses = array.update(rng.uniform(0, 1, (4, 60)), rng.normal(0, 0.1, (4, 20)), mode="mixed")
    neighbours = (40 - 1) + (60 - 1)
    expected = pulses * neighbours * np.exp(-array.device.pulse_voltage_V / 2 / 0.3)
    assert expected > 100
    assert abs(array.ledger.disturbs - expected) < 5 * np.sqrt(expected)


def test_tiles_keep_disturbs_to_themselves():
    one, many = half(0.3), half(0.3, tiles=Tiles(word_lines=20, bit_lines=10))
    for array in (one, many):
        array.update(np.ones((1, 60)), np.full((1, 20), 0.05))
    assert many.ledger.disturbs < 0.5 * one.ledger.disturbs


def test_what_can_only_be_set_is_disturbed_upwards():
    array = half(0.5, PCM)
    before = array.conductance_uS().astype(np.float64).mean()
    array.update(np.ones((1, 60)), np.linspace(-0.2, 0.2, 20)[None])
    assert array.ledger.disturbs > 0
    assert array.conductance_uS().astype(np.float64).mean() > before


def test_half_select_needs_to_know_what_half_a_volt_does():
    with pytest.raises(ConfigError, match="pulse_sensitivity_V"):
        Crossbar((2, 2), HFO2, write=WritePath(half_select=True))


def test_weakened_pulses_go_on_after_a_snapshot_with_the_same_bits():
    write = WritePath(pulse_sensitivity_V=0.2, half_select=True)

    def array() -> Crossbar:
        return made(HFO2, write=write, wires=LONG.changed(every=1))

    one, other = array(), array()
    one.update(*local_update(ROWS, COLS, 5, seed=0), "mixed")
    other.restore(one.snapshot())
    for step in range(2):
        for each in (one, other):
            each.update(*local_update(ROWS, COLS, 5, seed=step), "mixed")
    np.testing.assert_array_equal(one.conductance_uS(), other.conductance_uS())


def test_half_select_is_refused_where_it_is_not_followed():
    with pytest.raises(CapabilityError, match="online"):
        half(0.3).update(np.ones((1, 60)), np.zeros((1, 20)), mode="online")
    write = WritePath(pulse_sensitivity_V=0.3, half_select=True, decay_mode="device")
    with pytest.raises(CapabilityError, match="device"):
        Crossbar((4, 4), FINE, write=write)


def test_a_lost_pulse_is_charged_for_the_voltage_that_arrives():
    write = WritePath(pulse_sensitivity_V=0.02)
    array = Crossbar((50, 20), quiet(), write=write, wires=LONG)
    array.program(np.zeros((50, 20)), w_max=array.w_max)
    g, law = array.conductance_uS(), array.device
    array._cells.strength = np.full((50, 40), 1e-9, np.float32)
    array._writer.reach.refreshed_at = 0
    array.update(np.ones((1, 50)), np.full((1, 20), 0.2), mode="mixed")
    left_V = law.pulse_voltage_V + 0.02 * np.log(1e-9)
    assert array.ledger.pulses_lost == array.ledger.pulses > 100
    expected = array.ledger.pulses * left_V**2 * law.pulse_time_s * g.mean() * 1e-6
    assert array.ledger.write_J == pytest.approx(expected, rel=0.05)


def test_columns_with_one_reference_see_the_same_of_it():
    write = WritePath(mapping="offset", pulse_sensitivity_V=0.5, half_select=True)
    wires = Wires(r_word_ohm=1.0, r_bit_ohm=1.0)
    array = Crossbar((60, 20), HFO2, write=write, wires=wires, tiles=Tiles(word_lines=30, bit_lines=11))
    array.program(np.zeros((60, 20)), w_max=array.w_max)
    array.update(*local_update(60, 20, 5, seed=0, scale=0.2))
    assert array.ledger.disturbs > 0
    strength = array._cells.strength
    assert (strength > 0).all()
    assert (strength <= 1).all()
    for columns in array._cells.shared:
        for values in (array.conductance_uS(), strength):
            references = values[:, 2 * columns.start + 1 : 2 * columns.stop : 2]
            np.testing.assert_array_equal(references, np.broadcast_to(references[:, :1], references.shape))


def test_disturbs_are_the_same_on_one_thread():
    found = []
    for threads in (1, 2):
        set_threads(threads)
        array = half(0.3, wires=LONG)
        array.update(*local_update(60, 20, 5, seed=0), "mixed")
        found.append((array.conductance_uS(), array.ledger.disturbs))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize(
    "option", [{"pulse_sensitivity_V": 0.2}, {"pulse_sensitivity_V": 0.2, "half_select": True}]
)
def test_the_torch_backend_refuses(option):
    torch_backend = pytest.importorskip("neurosim.reference.twin.followed")
    refuse = torch_backend.refuse_what_is_not_followed
    with pytest.raises(CapabilityError, match="torch"):
        refuse(ReadPath(), WritePath(**option), {})
    with pytest.raises(CapabilityError, match="faults"):
        refuse(ReadPath(), WritePath(), {"faults": Faults()})


def test_a_pulse_of_a_gate_that_is_lost_or_half_takes_the_gates_energy():
    """No write current passes the channel of an ECRAM: lost pulses took V^2 t of its conductance, many times the gate's."""
    gate = devices.load("ecram-li-tang-2018").with_parameters(write_voltage_V=1.0, write_time_s=1e-6)
    each_J = gate.gate_energy_J
    lost = Crossbar((50, 20), gate, write=WritePath(pulse_sensitivity_V=1e-5), wires=LONG)
    lost.program(np.zeros((50, 20)), w_max=1.0)
    lost.update(np.ones((1, 50)), np.full((1, 20), 0.2), mode="mixed")
    assert lost.ledger.pulses_lost > 100
    taken_J = (lost.ledger.pulses - lost.ledger.pulses_lost) * each_J
    assert 0 < lost.ledger.write_J - taken_J <= lost.ledger.pulses_lost * each_J
    array = half(0.3, gate)
    pre, post = np.zeros((1, 60)), np.zeros((1, 20))
    pre[0, 7], post[0, 3] = 1.0, 5.0 * array.weight_per_pulse
    pulses = array.update(pre, post, mode="mixed")
    halves = pulses * ((40 - 1) + (60 - 1))
    assert array.ledger.write_J == pytest.approx((pulses + halves / 4) * each_J, rel=0.05)
