"""Broken lines, dead columns, spare columns and who is placed where."""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, F, close, inputs, made
from helpers import HFO2, IDEAL, MODES, PCM, local_update, quiet, small_weights

from neurosim import Crossbar, Faults, Programming, ReadPath, Refresh, Tiles, WritePath, devices, set_threads
from neurosim.core.errors import ConfigError
from neurosim.crossbar.faults import draw_faults
from neurosim.crossbar.wired import physical_arrays

QUIET = ReadPath(read_noise=None)


def arrays(rows, cols, tiles=None):
    return physical_arrays((rows, cols), tiles, WritePath())


def test_as_many_lines_break_as_asked_for_at_places_spread_evenly():
    found = draw_faults(Faults(broken_word_lines=0.3), arrays(2000, 20), (2000, 20), 0, "a").connected
    last = found.sum(axis=1)
    broken = last < 40
    assert abs(broken.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 2000)
    assert abs(last[broken].mean() - 19.5) < 5 * 40 / np.sqrt(12 * broken.sum())
    np.testing.assert_array_equal(found, np.arange(40) < last[:, None], "what the driver at the left reaches")
    dead = draw_faults(Faults(dead_columns=0.2), arrays(1, 5000), (1, 5000), 0, "a").dead
    assert abs(dead.mean() - 0.2) < 5 * np.sqrt(0.16 / 5000)


def test_a_broken_bit_line_keeps_what_lies_below_the_break():
    found = draw_faults(Faults(broken_bit_lines=1.0), arrays(50, 30), (50, 30), 0, "a").connected
    height = found.sum(axis=0)
    np.testing.assert_array_equal(found, np.arange(50)[::-1, None] < height)
    assert height.max() < 50


def test_each_tile_has_lines_of_its_own():
    tiles = Tiles(word_lines=25, bit_lines=20)
    found = draw_faults(Faults(broken_word_lines=1.0), arrays(50, 20, tiles), (50, 20), 0, "a").connected
    assert (found[:, :20].sum(axis=1) < 20).all()
    assert (found[:, 20:].sum(axis=1) < 20).all()


@pytest.mark.parametrize("device", [IDEAL, PCM])
def test_what_no_line_reaches_is_read_as_nothing(device):
    broken = Faults(broken_word_lines=0.5, broken_bit_lines=0.3)
    array = made(device, faults=broken, read=QUIET)
    reached = array._cells.connected
    g = array.conductance_uS() * reached
    expected = (g[:, ::2] - g[:, 1::2]) / array._cells.uS_per_weight
    close(array.weights(), expected)
    close(array.forward(inputs(9)), inputs(9) @ expected, 1e-4)
    close(array.column_norms(), np.linalg.norm(expected, axis=0), 1e-4)
    before = array.ledger.read_J
    array.forward(np.ones((1, ROWS), F))
    assert array.ledger.read_J - before == pytest.approx(0.2**2 * g.sum() * 1e-6 * 100e-9, rel=1e-4)


def test_read_noise_comes_from_what_is_reached():
    array = made(PCM, faults=Faults(broken_bit_lines=1.0), read=ReadPath(read_noise=0.05))
    y = array.forward(np.ones((4000, ROWS), F)).astype(np.float64) * array._cells.uS_per_weight
    cells = array._cells.connected.sum(axis=0).reshape(COLS, 2).sum(axis=1)
    expected = cells * (0.05 * 12) ** 2
    np.testing.assert_allclose(y.var(axis=0), expected, rtol=5 * np.sqrt(2 / 4000), atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_pulses_reach_no_further_and_cost_nothing_there(mode):
    array = made(HFO2, faults=Faults(broken_word_lines=0.5))
    before = array.conductance_uS()
    whole = made(HFO2)
    for step in range(3):
        update = local_update(ROWS, COLS, 5, seed=step, scale=0.2)
        array.update(*update, mode)
        whole.update(*update, mode)
    moved = array.conductance_uS() != before
    assert moved[array._cells.connected].any()
    assert not moved[~array._cells.connected].any()
    assert 0 < array.ledger.pulses < whole.ledger.pulses
    assert array.ledger.write_J < whole.ledger.write_J
    assert array.ledger.pulses_lost == 0


def test_a_dead_column_answers_nothing_and_still_takes_pulses():
    array = made(HFO2, faults=Faults(dead_columns=1.0))
    before = array.conductance_uS()
    assert not array.forward(inputs(3)).any()
    assert not array.column_norms().any()
    array.update(inputs(4), np.full((4, COLS), 0.1))
    assert (array.conductance_uS() != before).any()


def test_no_fault_no_difference():
    one, other = made(HFO2), made(HFO2, faults=Faults())
    for array in (one, other):
        array.update(inputs(4), np.full((4, COLS), 0.02), np.full(COLS, 0.1), "mixed")
    np.testing.assert_array_equal(one.conductance_uS(), other.conductance_uS())
    np.testing.assert_array_equal(one.forward(inputs(4)), other.forward(inputs(4)))


def error(device, faults: Faults, seed: int) -> float:
    """Root mean square of what programmed weights are off by."""
    weights = small_weights(ROWS, COLS)
    array = Crossbar((ROWS, COLS), device, seed=seed, faults=faults, read=QUIET)
    array.program(weights, w_max=array.w_max)
    return float(np.sqrt(np.square(array.weights() - weights).mean()))


def test_spare_columns_placed_with_care_win_back_what_broken_lines_cost():
    broken = {"broken_bit_lines": 0.2, "dead_columns": 0.05}
    plain = np.mean([error(IDEAL, Faults(**broken), seed) for seed in range(6)])
    aware = np.mean([error(IDEAL, Faults(**broken, placement="aware"), seed) for seed in range(6)])
    spare = np.mean(
        [error(IDEAL, Faults(**broken, placement="aware", spare_columns=4), seed) for seed in range(6)]
    )
    assert spare < 0.5 * plain
    assert aware < plain


def test_care_is_taken_of_stuck_devices():
    law = devices.load(HFO2).with_parameters(p_stuck_gmax=0.05)
    plain = np.mean([error(law, Faults(), seed) for seed in range(4)])
    aware = np.mean([error(law, Faults(placement="aware", spare_columns=6), seed) for seed in range(4)])
    assert aware < 0.9 * plain


def test_an_array_with_spare_columns_learns_and_is_restored():
    faults = Faults(broken_bit_lines=0.3, spare_columns=3, placement="aware")
    array = made(HFO2, faults=faults)
    assert array.conductance_uS().shape == (ROWS, 2 * (COLS + 3))
    assert array.forward(inputs(2)).shape == (2, COLS)
    spare = np.setdiff1d(np.arange(COLS + 3), array._placement.columns)
    before = array.conductance_uS().reshape(ROWS, -1, 2)
    array.update(*local_update(ROWS, COLS, 5, seed=0), "mixed")
    after = array.conductance_uS().reshape(ROWS, -1, 2)
    np.testing.assert_array_equal(before[:, spare], after[:, spare])
    other = Crossbar((ROWS, COLS), HFO2, faults=faults)
    other.restore(array.snapshot())
    np.testing.assert_array_equal(other.weights(), array.weights())
    np.testing.assert_array_equal(other.forward(inputs(3)), array.forward(inputs(3)))


def test_a_broken_array_is_the_same_on_one_thread():
    found = []
    for threads in (1, 2):
        set_threads(threads)
        array = made(HFO2, faults=Faults(broken_word_lines=0.3, broken_bit_lines=0.3, dead_columns=0.1))
        array.update(*local_update(ROWS, COLS, 5, seed=0), "mixed")
        found.append(array.forward(inputs(20)))
    np.testing.assert_array_equal(*found)


def test_spare_columns_without_placement_are_refused():
    with pytest.raises(ConfigError, match="aware"):
        Faults.parse({"spare_columns": 2}, "faults")


@pytest.mark.parametrize("way", ["statistics", "open", "closed"])
def test_programming_reaches_no_further(way):
    write = WritePath(programming=Programming(mode=way))
    array = Crossbar((ROWS, COLS), HFO2, faults=Faults(broken_bit_lines=0.7), write=write, read=QUIET)
    before, cells = array.conductance_uS(), array._cells
    array.program(small_weights(ROWS, COLS), w_max=array.w_max)
    moved = array.conductance_uS() != before
    assert moved[cells.connected].any()
    assert not moved[~cells.connected].any()
    assert array.ledger.programmed_cells == cells.connected.sum()
    whole = made(HFO2, write=write, read=QUIET)
    assert 0 < array.ledger.program_J < whole.ledger.program_J
    np.testing.assert_array_equal(
        array.conductance_uS()[cells.connected], whole.conductance_uS()[cells.connected], "draws are the same"
    )


@pytest.mark.parametrize("look", ["exact", "read"])
def test_refresh_leaves_pairs_that_are_not_reached(look):
    write = WritePath(refresh=Refresh(every=1, high=0.3, low=0.2, look=look))
    array = made(PCM, faults=Faults(broken_bit_lines=1.0), write=write, read=QUIET)
    cells = array._cells
    cells.state.conductance[:] = 20.0
    cells.forget_grid()
    array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)))
    whole = cells.connected.reshape(ROWS, COLS, 2).all(axis=2)
    moved = (array.conductance_uS() != 20.0).reshape(ROWS, COLS, 2).any(axis=2)
    np.testing.assert_array_equal(moved, whole)
    assert array.ledger.refreshed_pairs == whole.sum() > 0


def test_the_oracle_of_the_decay_sees_what_is_reached():
    """A weight that stands in an unreached device is none: nothing is left to decay."""
    array = made(quiet(), faults=Faults(broken_word_lines=1.0), write=WritePath(decay_mode="exact"))
    reached = array._cells.connected.reshape(ROWS, COLS, 2)
    array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), np.full(COLS, 0.5), "mixed")
    accumulated = array._writer.accumulator != 0
    assert not accumulated[~reached.any(axis=2)].any()


def test_columns_share_a_reference_that_is_broken_for_all_or_none():
    array = made(
        HFO2, faults=Faults(broken_bit_lines=1.0), write=WritePath(mapping="offset"), tiles=Tiles(bit_lines=6)
    )
    for columns in array._cells.shared:
        references = array._cells.connected[:, 2 * columns.start + 1 : 2 * columns.stop : 2]
        assert (references == references[:, :1]).all()
        assert not references.all()


@pytest.mark.parametrize("by", ["array", "column"])
def test_spare_columns_do_not_change_the_scale_of_weights(by):
    write = WritePath(scale="percentile", scale_percentile=50.0, scale_by=by)
    plain = made(IDEAL, write=write)
    spare = made(IDEAL, write=write, faults=Faults(spare_columns=20, placement="aware"))
    used = spare._placement.columns
    np.testing.assert_array_equal(spare._cells.uS_per_weight[used], plain._cells.uS_per_weight)
    np.testing.assert_array_equal(spare.weights(), plain.weights())


def test_a_broken_array_still_learns_what_it_is_pulled_towards():
    array = Crossbar((ROWS, COLS), IDEAL, faults=Faults(broken_word_lines=0.3, broken_bit_lines=0.3))
    wanted = np.random.default_rng(3).normal(0, 0.05, (ROWS, COLS)).astype(F)
    for step in range(60):
        x = inputs(20, seed=step)
        array.update(x, 0.05 * (x @ wanted - array.forward(x)), mode="mixed")
    x = inputs(200, seed=99)
    missed = np.square(x @ wanted - array.forward(x)).mean()
    assert missed < 0.6 * np.square(x @ wanted).mean()
    whole = array._cells.connected.reshape(ROWS, COLS, 2).all(axis=(0, 2))
    assert whole.sum() < COLS
