"""Pairs that learn by pulses of one direction only: SET or RESET, on the device that the sign of a change names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, F, made
from helpers import HFO2, IDEAL, MODES, PCM, bits, check_mean, check_std, copied, local_update, quiet
from update_helpers import Bench, assert_same_state, pulse_pairs

from neurosim import Crossbar, Refresh, TorchCrossbar, WritePath, devices, set_threads
from neurosim.core.errors import CapabilityError

EYE = np.eye(ROWS, dtype=F)
STILL = (np.zeros((1, ROWS)), np.zeros((1, COLS)))
DIRECTIONS = {"set": 1, "reset": -1}
ONE_WAY = pytest.mark.parametrize("pulses", DIRECTIONS)
LOW_uS, HIGH_uS = 10.0, 90.0
"""Window of the RRAM card."""
TIRED = Refresh(every=1)
"""A look after each update."""


def changes(count: int, size: float, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(size * rng.standard_normal((ROWS, COLS))).astype(F) for _ in range(count)]


def pairs(array: Crossbar) -> np.ndarray:
    return array.conductance_uS().reshape(-1, 2).copy()


def spread_out(pulses: Any, device: Any, **refresh: Any) -> tuple[Crossbar, np.ndarray]:
    """An array with pairs all over the window, and their conductances."""
    array = made(device, write=WritePath(pulses=pulses, refresh=Refresh(every=1, **refresh)))
    state = array._cells.state
    state.conductance[:] = np.random.default_rng(1).uniform(LOW_uS, HIGH_uS, state.conductance.size)
    state.persistent[:] = state.conductance
    array._cells.forget_grid()
    return array, pairs(array)


def way_gone(pulses: str, conductance_uS: np.ndarray) -> np.ndarray:
    """Oracle: how far devices stand from where their pulses start, as shares of the window."""
    start_uS = LOW_uS if pulses == "set" else HIGH_uS
    gone: np.ndarray = DIRECTIONS[pulses] * (conductance_uS - start_uS) / (HIGH_uS - LOW_uS)
    return gone


# Pulses


@pytest.mark.parametrize("name", [HFO2, IDEAL, "ecram-li-tang-2018"])
@ONE_WAY
def test_each_change_pulses_one_device_as_the_oracle_says(pulses, name):
    """Up: SET on plus, or RESET on minus; down: SET on minus, or RESET on plus."""
    array = made(name, write=WritePath(pulses=pulses))
    cells, writer = array._cells, array._writer
    twin = Bench(array.device, copied(array.device, cells.state), cells.params, cells.grid)
    change = changes(1, 0.1)[0]
    given = array.update(EYE, change, mode="mixed")
    wanted = np.trunc(change * (cells.uS_per_weight * writer.pulses_per_uS).astype(F)).astype(int)
    up, down = np.maximum(wanted, 0), np.maximum(-wanted, 0)
    energy = 0.0
    for row in range(ROWS):
        arms = (up[row], down[row]) if pulses == "set" else (-down[row], -up[row])
        energy += pulse_pairs(twin, row, np.stack(arms), 1, writer.keys["pulse"])[0]
    assert given == np.abs(wanted).sum() > 100
    assert_same_state(Bench(array.device, cells.state, cells.params, cells.grid), twin)
    assert array.ledger.write_J == pytest.approx(energy, rel=1e-9)


@pytest.mark.parametrize("mode", MODES)
@ONE_WAY
def test_devices_move_in_that_direction_only_until_they_are_refreshed(pulses, mode):
    """Steps and bounds differ between devices; noise of single pulses, which may point back, is off."""
    still = devices.load(HFO2).with_parameters(cycle_to_cycle=None, write_noise=None)
    array = made(still, write=WritePath(pulses=pulses, refresh=Refresh(every=4)))
    refreshed = 0
    for step in range(1, 25):
        before, known = pairs(array), array.ledger.refreshed_pairs
        array.update(*local_update(ROWS, COLS, 4, seed=step, scale=0.1), mode)
        back = (DIRECTIONS[pulses] * (pairs(array) - before) < 0).any(axis=1)
        refreshed += array.ledger.refreshed_pairs - known
        assert step % 4 == 0 or not back.any()
        assert back.sum() <= array.ledger.refreshed_pairs - known
    assert refreshed > 20


@ONE_WAY
def test_the_mean_of_pulses_rounded_at_random_is_the_change(pulses):
    law = devices.load(IDEAL).with_parameters(step_share=2.0**-8)
    array = Crossbar((100, 100), law, write=WritePath(pulses=pulses))
    array.program(np.zeros((100, 100)), w_max=array.w_max)
    for change in (0.3 / 256, -0.6 / 256):
        before = array.weights()
        array.update(np.ones((1, 100)), np.full((1, 100), change))
        share = abs(change) * 256
        check_mean(array.weights() - before, change, np.sqrt(share * (1 - share)) / 256, extra=1e-7)


@ONE_WAY
def test_linear_devices_follow_changes_exactly_past_many_refreshes(pulses):
    """What is stored and what waits in the accumulator add up to what was asked for."""
    law = devices.load(IDEAL).with_parameters(step_share=2.0**-8)
    write = WritePath(pulses=pulses, refresh=Refresh(every=4, high=0.6, low=0.1))
    array = made(law, weights=np.zeros((ROWS, COLS)), write=write)
    asked = np.zeros((ROWS, COLS))
    for change in changes(300, 0.01):
        array.update(EYE, change, mode="mixed")
        asked += change
    waiting = array.snapshot()["accumulator"] * array.weight_per_pulse
    np.testing.assert_allclose(array.weights() + waiting, asked, atol=1e-5)
    assert array.ledger.refreshed_pairs > ROWS * COLS


def test_set_only_is_what_a_set_only_card_does_anyway():
    found = []
    for pulses in ("card", "set"):
        array = made(PCM, write=WritePath(pulses=pulses, refresh=TIRED))
        for step, mode in enumerate(MODES * 2):
            array.update(*local_update(ROWS, COLS, 4, seed=step, scale=0.2), mode)
        found.append(bits(array))
    assert found[0] == found[1]


# Start


def test_pairs_start_where_their_pulses_have_room():
    weights = np.array([[0.5, -0.25]])
    targets = {
        ("set", "card"): [50, 10, 10, 30],
        ("reset", "card"): [90, 50, 70, 90],
        ("reset", "one"): [90, 50, 70, 90],
        ("reset", "two"): [70, 30, 40, 60],
    }
    for (pulses, sides), expected in targets.items():
        array = made(quiet(), 1, 2, weights, write=WritePath(pulses=pulses, sides=sides))
        np.testing.assert_allclose(array.conductance_uS()[0], expected, rtol=1e-6)
        np.testing.assert_allclose(array.weights(), weights, rtol=1e-5)


# Refresh


@pytest.mark.parametrize("look", ["exact", "read"])
@ONE_WAY
def test_refresh_brings_both_devices_back_and_keeps_their_difference(pulses, look):
    array, before = spread_out(pulses, quiet(), look=look)
    gone = way_gone(pulses, before)
    chosen = (gone.max(axis=1) > 0.75) & (gone.min(axis=1) > 0.25)
    array.update(*STILL)
    after = pairs(array)
    np.testing.assert_array_equal((after != before).any(axis=1), chosen)
    assert 20 < chosen.sum() < 200
    left = way_gone(pulses, after[chosen])
    np.testing.assert_allclose(left.min(axis=1), 0, atol=1e-6)
    difference = before[:, 0] - before[:, 1]
    np.testing.assert_allclose(after[:, 0] - after[:, 1], difference, atol=1e-4)


@ONE_WAY
def test_the_difference_is_kept_within_the_noise_of_programming(pulses):
    """One device is written to a distance from where the other stands: one programming error."""
    law = quiet(program_tolerance=0.02)
    errors = []
    for seed in range(8):
        array = made(law, write=WritePath(pulses=pulses, refresh=TIRED), seed=seed)
        array._cells.state.conductance[:] = np.tile(
            [85.0, 60.0] if pulses == "set" else [15.0, 40.0], ROWS * COLS
        )
        array._cells.forget_grid()
        before = pairs(array)
        array.update(*STILL)
        errors.append(np.diff(pairs(array) - before, axis=1))
    assert array.ledger.refreshed_pairs == ROWS * COLS
    check_mean(errors, 0.0)
    check_std(errors, 0.02 * (HIGH_uS - LOW_uS), extra=0.01)


def test_a_large_difference_is_left_alone_where_the_policy_says_so():
    array, before = spread_out("reset", quiet(), low=0.0, most_difference=0.2)
    gone = way_gone("reset", before)
    chosen = (gone.max(axis=1) > 0.75) & (np.ptp(gone, axis=1) < 0.2)
    array.update(*STILL)
    np.testing.assert_array_equal((pairs(array) != before).any(axis=1), chosen)


@ONE_WAY
def test_the_ledger_counts_what_a_refresh_costs(pulses):
    """SET only: two RESETs and one writing a pair; RESET only: two writings, of the card's mean ten pulses each."""
    array, _ = spread_out(pulses, quiet())
    array.update(*STILL)
    ledger, law = array.ledger, array.device
    assert ledger.refreshed_pairs > 20
    assert ledger.refresh_looks == 1
    assert ledger.refresh_reads == 2 * ROWS * COLS
    resets, writings = (2, 1) if pulses == "set" else (0, 2)
    assert ledger.refresh_resets == resets * ledger.refreshed_pairs
    assert ledger.refresh_pulses == 10 * writings * ledger.refreshed_pairs
    spent = (resets + writings) * ledger.refreshed_pairs * law.program_energy_J
    assert ledger.refresh_J == pytest.approx(spent, rel=1e-9)
    assert ledger.pulses == 0


# Bits


@ONE_WAY
def test_bits_depend_neither_on_threads_nor_on_a_checkpoint(pulses):
    write = WritePath(pulses=pulses, refresh=Refresh(every=2, look="read"))

    def fresh() -> Crossbar:
        return made(HFO2, 600, 128, seed=2, write=write)

    def learnt(array: Crossbar, first: int, last: int) -> Crossbar:
        for step in range(first, last):
            array.update(*local_update(600, 128, 3, seed=step, scale=0.3), MODES[step % 3])
        return array

    found = []
    for threads in (1, 2):
        set_threads(threads)
        found.append(bits(learnt(fresh(), 0, 6)))
    other = fresh()
    other.restore(learnt(fresh(), 0, 3).snapshot())
    assert found[0] == found[1] == bits(learnt(other, 3, 6))


# Refusals


@pytest.mark.parametrize("mapping", ["reference", "offset"])
@ONE_WAY
def test_a_single_device_needs_both_directions(pulses, mapping):
    with pytest.raises(CapabilityError, match=f"mapping '{mapping}' has one: use mapping 'pair'"):
        Crossbar((4, 3), HFO2, write=WritePath(pulses=pulses, mapping=mapping))


def test_what_one_direction_cannot_do_is_refused():
    with pytest.raises(CapabilityError, match=r"pcm-nandakumar-2018 .* is RESET at once: use 'set'"):
        Crossbar((4, 3), PCM, write=WritePath(pulses="reset"))
    with pytest.raises(CapabilityError, match="gives RESET pulses"):
        Crossbar((4, 3), HFO2, write=WritePath(pulses="set", decay_mode="device"))
    with pytest.raises(CapabilityError, match="the top of their window: use 'verify'"):
        Crossbar((4, 3), HFO2, write=WritePath(pulses="reset", refresh=Refresh(rewrite="pulses")))
    with pytest.raises(CapabilityError, match="the top of their window: use 'verify'"):
        TorchCrossbar((4, 3), HFO2, write=WritePath(pulses="reset", refresh=Refresh(rewrite="pulses")))
    with pytest.raises(CapabilityError, match=r"pcm-nandakumar-2018 .* is RESET at once: use 'set'"):
        TorchCrossbar((4, 3), PCM, write=WritePath(pulses="reset"))


@pytest.mark.parametrize("look", ["exact", "read"])
@ONE_WAY
def test_the_torch_twin_programs_pulses_and_refreshes_in_the_same_direction(pulses, look):
    """Both start from their own programming and look after each of twenty updates."""
    write = WritePath(pulses=pulses, refresh=Refresh(every=1, high=0.3, low=0.1, look=look))
    weights = np.random.default_rng(3).uniform(-0.6, 0.6, (ROWS, COLS))
    arrays = [kind((ROWS, COLS), HFO2, write=write, seed=2) for kind in (Crossbar, TorchCrossbar)]
    for array in arrays:
        array.program(weights, w_max=array.w_max)
        for change in changes(20, 0.05):
            array.update(EYE, change)
    one, other = (array.snapshot() for array in arrays)
    np.testing.assert_allclose(other["state.conductance"], one["state.conductance"], rtol=1e-5)
    assert arrays[0].ledger.refreshed_pairs == arrays[1].ledger.refreshed_pairs > 20
    np.testing.assert_allclose(other["ledger"], one["ledger"], rtol=1e-6)
