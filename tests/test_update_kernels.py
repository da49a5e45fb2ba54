"""Update kernels against plain Python: rounding, accumulating, pulsing, decaying, refreshing."""

from __future__ import annotations

import copy
from typing import Any

import helpers
import numpy as np
import pytest
from helpers import BUILT_IN, HFO2, IDEAL, MODES, PCM, check_mean, quiet_pcm
from update_helpers import (
    COLS,
    DRIVES,
    ROWS,
    Bench,
    F,
    assert_consistent,
    assert_same_state,
    bench,
    pulse_pairs,
    shared,
)

from neurosim import Crossbar, Refresh, WritePath, devices
from neurosim.core.seeds import key
from neurosim.kernels.cells import stored
from neurosim.kernels.counts import ONE_SIDED, PUSH_PULL, accumulator_counts, stochastic_counts
from neurosim.kernels.groups import new_group
from neurosim.kernels.programming import NO_CURVE
from neurosim.kernels.pulsed import NO_SUMS, give_rows, pulse_row
from neurosim.kernels.refresh import Look, Saturated, refresh_pairs
from neurosim.kernels.update import Verifier, read_pair, refresh_grid, squared_norms, sweep_rows

NO_ACCUMULATOR = np.empty((0, 0), np.float32)
NO_COLUMNS = np.empty(0, np.int64)
NO_LIMIT = F(2**30)
UNVERIFIED = Verifier(False, np.int32(0), key(0, "verify"), F(8), NO_LIMIT)


def rounded(change: np.ndarray, row: int, drive: int, event: int, stream: Any) -> np.ndarray:
    """Oracle of stochastic rounding of one row."""
    draws = helpers.words(row * change.size + np.arange(change.size), event, 0, stream)
    a, b = (np.trunc(np.abs(change) + helpers.uniforms(word)).astype(int) for word in draws[:2])
    return shared(np.sign(change).astype(int) * a, np.sign(change).astype(int) * b, drive)


def whole(change: np.ndarray, accumulator: np.ndarray, drive: int, flush: int = 1) -> np.ndarray:
    """Oracle of the digital accumulator of one row."""
    total = accumulator + change
    n = np.where(np.abs(total) >= flush, np.trunc(total), 0).astype(int)
    accumulator[:] = total - n
    return shared(n, n, drive)


# Rounding


@pytest.mark.parametrize("drive", DRIVES)
def test_stochastic_rounding_equals_the_oracle(drive):
    rng, stream = np.random.default_rng(0), key(0, "round")
    for event in range(50):
        change = (rng.standard_normal(COLS) * 10.0 ** rng.integers(-2, 4)).astype(F)
        change[event % COLS] = 0
        counts = np.empty((2, COLS), np.int32)
        stochastic_counts(event % ROWS, change, counts, F(1), NO_LIMIT, drive, event, stream)
        np.testing.assert_array_equal(counts, rounded(change, event % ROWS, drive, event, stream))


def test_stochastic_rounding_has_the_change_as_its_mean():
    change = np.array([0.3, -0.3, 2.75, -0.001, 0.999], F)
    for drive in (PUSH_PULL, ONE_SIDED):
        drawn = np.empty((4000, 2, 5), np.int32)
        for event in range(4000):
            stochastic_counts(0, change, drawn[event], F(1), NO_LIMIT, drive, event, key(1, "round"))
        net = drawn[:, 0] - drawn[:, 1]
        for col, wanted in enumerate(change):
            fraction = abs(wanted) % 1
            sigma = np.sqrt(fraction * (1 - fraction) * (2 if drive == PUSH_PULL else 1))
            check_mean(net[:, col], wanted * (2 if drive == PUSH_PULL else 1), sigma)
        if drive == PUSH_PULL:
            helpers.check_uncorrelated(drawn[:, 0, 0], drawn[:, 1, 0])


def test_rounding_to_several_pulses_at_once_keeps_the_mean():
    change, counts = np.array([0.3, -1.5, 7.25, -0.01, 3.0], F), np.empty((4000, 2, 5), np.int32)
    for event in range(4000):
        stochastic_counts(0, change, counts[event], F(3), NO_LIMIT, PUSH_PULL, event, key(2, "round"))
    assert not (counts % 3).any()
    for col, wanted in enumerate(change):
        fraction = abs(wanted) / 3 % 1
        check_mean(counts[:, 0, col], wanted, 3 * np.sqrt(fraction * (1 - fraction)))


@pytest.mark.parametrize("flush", [1, 3])
@pytest.mark.parametrize("drive", DRIVES[:3])
def test_the_accumulator_loses_nothing(drive, flush):
    """Pulses given so far and the remainder add up to the changes so far (Nandakumar 2020)."""
    rng = np.random.default_rng(1)
    accumulator, given, summed = np.zeros((ROWS, COLS), F), np.zeros(COLS), np.zeros(COLS)
    twin = np.zeros(COLS, F)
    counts = np.empty((2, COLS), np.int32)
    for _ in range(200):
        change = (0.7 * rng.standard_normal(COLS)).astype(F)
        accumulator_counts(
            2, change.copy(), counts, accumulator, F(flush), NO_LIMIT, drive, False, NO_LIMIT, 0, key(0, "round")
        )  # fmt: skip
        np.testing.assert_array_equal(counts, whole(change, twin, drive, flush))
        np.testing.assert_array_equal(accumulator[2], twin)
        assert (np.abs(accumulator) < flush).all()
        given += counts[0] - counts[1] if drive == ONE_SIDED else counts[0]
        summed += change
        np.testing.assert_allclose(given + accumulator[2], summed, atol=2e-5)
    assert not accumulator[[0, 1, 3, 4, 5]].any()


def test_a_prompt_accumulator_answers_at_once_and_loses_nothing():
    """Small changes arrive in the mean at the first update; what was given and what is held add up to the changes."""
    cols, change = 4000, np.full(4000, 0.1, F)
    for prompt, first in ((True, 0.1), (False, 0.0)):
        accumulator, given = np.zeros((1, cols), F), np.zeros(cols)
        counts = np.empty((2, cols), np.int32)
        for event in range(1, 31):
            accumulator_counts(
                0,
                change.copy(),
                counts,
                accumulator,
                F(1),
                NO_LIMIT,
                PUSH_PULL,
                prompt,
                NO_LIMIT,
                event,
                key(3, "round"),
            )
            given += counts[0]
            if event == 1:
                assert given.mean() == pytest.approx(first, abs=5 * np.sqrt(0.09 / cols))
            np.testing.assert_allclose(given + accumulator[0], 0.1 * event, atol=1e-4)
            assert np.abs(accumulator).max() < 2


# Pulses and the grid


@pytest.mark.parametrize("name", BUILT_IN)
def test_pulsing_a_row_equals_pulsing_each_device(name):
    one = bench(name)
    twin, rng, stream = one.twin(), np.random.default_rng(2), key(0, "pulse")
    group = new_group(one.state.conductance)
    for event in range(1, 9):
        counts = rng.integers(-2, 3, (2, COLS)).astype(np.int32)
        peaks, worn = np.array([0, 9, 0, 0, 1], np.int32), np.ones((2, ROWS, COLS), np.uint32)
        grid = one.grid._replace(worn=worn)
        sums = pulse_row(
            event % ROWS,
            counts,
            group,
            peaks,
            grid,
            one.state,
            one.params,
            0.0,
            event,
            stream,
            *one.kernels(),
        )
        energy, pulses, cells = pulse_pairs(twin, event % ROWS, counts, event, stream)
        assert sums.up_J + sums.down_J == pytest.approx(energy, rel=1e-12)
        assert (sums.pulses, sums.pulsed_cells) == (pulses, cells)
        assert sums.downs == -counts.clip(max=0).sum()
        np.testing.assert_array_equal(worn[:, event % ROWS], 1 + np.abs(counts))
        assert worn.sum() == worn.size + pulses
        np.testing.assert_array_equal(peaks, np.maximum(np.abs(counts).max(axis=0), [0, 9, 0, 0, 1]))
        assert (sums.rows, sums.slots) == (int(counts.any()), np.abs(counts).max())
        assert (sums.down_J > 0) == (sums.downs > 0 and sums.up_J + sums.down_J > 0)
        assert_same_state(one, twin)
        assert_consistent(one)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("clock", [0.0, 50.0], ids=["fresh", "drifted"])
def test_a_grid_updated_in_place_equals_a_rebuilt_one_bit_for_bit(name, clock):
    array = Crossbar((37, 11), name, seed=4, write=WritePath(refresh=Refresh(every=2)))
    array.program(helpers.small_weights(37, 11), w_max=array.w_max)
    array.advance(clock)
    for step, mode in enumerate(MODES * 3):
        array.update(*helpers.local_update(37, 11, 4, seed=step, scale=0.2), mode)
        cells = array._cells
        kept = copy.deepcopy(cells.grid)
        rebuilt = copy.deepcopy(kept)
        refresh_grid(
            0, 37, rebuilt, cells.state, cells.params, cells.now_s, cells.read, cells.kernels.read_sigma
        )
        np.testing.assert_array_equal(kept.difference, rebuilt.difference)
        np.testing.assert_array_equal(kept.variance, rebuilt.variance)
        np.testing.assert_allclose(kept.row_sum, rebuilt.row_sum, rtol=1e-9)


# Reading a pair


def test_reading_a_pair_adds_its_noise_and_then_quantises():
    one = bench(PCM)
    stream = key(0, "readback")
    for row in range(ROWS):
        z = helpers.normals(helpers.words(row * COLS + np.arange(COLS), 7, 0, stream)[0])
        noisy = one.grid.difference[row] + np.sqrt(one.grid.variance[row]) * z
        for lsb, most in ((0.0, 12.0), (0.5, 12.0), (0.5, 2.0)):
            seen = [read_pair(row, col, one.grid, F(lsb), F(most), 7, stream) for col in range(COLS)]
            expected = np.clip(np.rint(noisy / F(lsb)) * F(lsb), -most, most) if lsb else noisy
            np.testing.assert_allclose(seen, expected, rtol=1e-6, atol=1e-6)


def test_squared_norms_are_the_sums_of_one_read_of_each_pair():
    one = bench(PCM)
    out = np.ones(COLS)
    squared_norms(1, 5, out, one.grid, F(0.25), F(12), 3, key(0, "norms"))
    seen = [
        [float(read_pair(row, col, one.grid, F(0.25), F(12), 3, key(0, "norms"))) for col in range(COLS)]
        for row in range(1, 5)
    ]
    np.testing.assert_allclose(out, 1 + np.square(seen).sum(axis=0), rtol=1e-12)


# The sweep


@pytest.mark.parametrize("name", [IDEAL, PCM, HFO2])
@pytest.mark.parametrize("accumulate", [True, False], ids=["accumulator", "stochastic"])
@pytest.mark.parametrize("decay", ["none", "exact", "readback"])
def test_the_sweep_equals_the_oracle(name, accumulate, decay):
    one = bench(devices.load(name).with_parameters(step_share=0.01) if name == IDEAL else name)
    twin = one.twin()
    drive = PUSH_PULL if one.law.polarity == "bipolar" else ONE_SIDED
    rng, keys = np.random.default_rng(3), tuple(key(0, purpose) for purpose in ("round", "pulse", "readback"))
    first, height, per_uS, lsb, most = 2, 3, F(1 / 0.8), F(0.25), F(6.0)
    shares = np.array([0.2, 0, -0.1, 0.3, 0], F)
    due = NO_COLUMNS if decay == "none" else np.flatnonzero(shares)
    accumulator = np.zeros((ROWS, COLS), F) if accumulate else NO_ACCUMULATOR
    remainder = np.zeros((ROWS, COLS), F)
    for event in range(1, 5):
        change = rng.standard_normal((height, COLS)).astype(F)
        change[1] = 0
        wanted = change.copy()
        sums, _ = sweep_rows(
            first, change, shares, due, decay == "exact", per_uS, F(1), NO_LIMIT, UNVERIFIED, lsb, most, drive, accumulator, np.zeros(COLS, np.int32), one.grid, one.grid,
            one.state, one.params, 0.0, event, keys, *one.kernels(),
        )  # fmt: skip
        energy, pulses, cells = 0.0, 0, 0
        for k in range(height):
            row = first + k
            for col in due:
                seen = twin.grid.difference[row, col]
                if decay == "readback":
                    seen = read_pair(row, col, twin.grid, lsb, most, event, keys[2])
                wanted[k, col] -= shares[col] * seen * per_uS
            if accumulate:
                counts = whole(wanted[k], remainder[row], drive)
            else:
                counts = rounded(wanted[k], row, drive, event, keys[0])
            part = pulse_pairs(twin, row, counts, event, keys[1])
            energy, pulses, cells = energy + part[0], pulses + part[1], cells + part[2]
        twin = twin._replace(grid=twin.rebuild())
        assert_same_state(one, twin)
        assert_consistent(one)
        assert sums.up_J + sums.down_J == pytest.approx(energy, rel=1e-12)
        assert (sums.pulses, sums.pulsed_cells) == (pulses, cells)
    if accumulate:
        np.testing.assert_array_equal(accumulator, remainder)
        assert accumulator.any()


def test_exact_decay_takes_its_share_of_every_difference():
    one = bench(devices.load(IDEAL).with_parameters(step_share=2.0**-20))
    step = one.law.nominal_step_uS
    before = one.grid.difference.astype(np.float64)
    one.state.conductance[::2] += 20
    refresh_grid(0, ROWS, one.grid, one.state, one.params, 0.0, *one.kernels()[1:])
    before = one.grid.difference.astype(np.float64)
    shares = np.array([0.5, 0.25, 0, -0.5, 1.0], F)
    sweep_rows(
        0, np.zeros((ROWS, COLS), F), shares, np.arange(COLS), True, F(0.5 / step), F(1), NO_LIMIT, UNVERIFIED, F(0), F(100), PUSH_PULL,
        NO_ACCUMULATOR, np.empty(0, np.int32), one.grid, one.grid, one.state, one.params, 0.0, 1, (key(0, "a"), key(0, "b"), key(0, "c")),
        *one.kernels(),
    )  # fmt: skip
    np.testing.assert_allclose(one.grid.difference, before * (1 - shares), atol=3 * step)


def test_a_row_without_change_or_decay_is_left_alone():
    one = bench(HFO2)
    twin = one.twin()
    sums, verified = sweep_rows(
        0, np.zeros((ROWS, COLS), F), np.ones(COLS, F), NO_COLUMNS, False, F(1), F(1), NO_LIMIT, UNVERIFIED, F(0), F(80), PUSH_PULL,
        NO_ACCUMULATOR, np.empty(0, np.int32), one.grid, one.grid, one.state, one.params, 0.0, 1, (key(0, "a"), key(0, "b"), key(0, "c")),
        *one.kernels(),
    )  # fmt: skip
    assert tuple(sums) == tuple(NO_SUMS)
    assert tuple(verified) == (0, 0, 0.0)
    assert_same_state(one, twin)


def test_depression_pulses_go_to_both_devices_of_a_column():
    one = bench(HFO2)
    twin, stream = one.twin(), key(0, "depress")
    column_counts = np.array([0, 1, 0, 3, 2], np.int32)
    sums = give_rows(
        1,
        4,
        np.tile(np.repeat(-column_counts, 2), (ROWS, 1)),
        one.grid,
        one.state,
        one.params,
        0.0,
        5,
        stream,
        *one.kernels(),
    )
    energy = 0.0
    for row in (1, 2, 3):
        energy += pulse_pairs(twin, row, -np.stack([column_counts, column_counts]), 5, stream)[0]
    assert_same_state(one, twin)
    assert_consistent(one)
    assert (sums.pulses, sums.pulsed_cells) == (3 * 2 * 6, 3 * 2 * 3)
    assert sums.up_J + sums.down_J == pytest.approx(energy, rel=1e-12)


# Refresh


def saturated_bench(law: Any, rows: int, cols: int) -> Bench:
    """Pairs of PCM in all regions: both high, one high, both low."""
    one = bench(law, rows, cols)
    rng = np.random.default_rng(5)
    one.state.conductance[:] = rng.uniform(0.1, 12, one.state.conductance.size)
    one.state.set_pulses[:] = 30
    refresh_grid(0, rows, one.grid, one.state, one.params, 0.0, *one.kernels()[1:])
    return one


def refresh(one: Bench, now_s: float = 0.0) -> Any:
    kernels = one.law.kernels
    return refresh_pairs(
        0, len(one.grid.row_sum), Saturated(9.0, 3.0, np.inf), Look(False, F(0), F(0), F(0)), NO_CURVE, one.grid,
        one.state, one.params, now_s, 8, (key(0, "refresh"), key(0, "look")),
        kernels.reset, kernels.program, kernels.pulse, stored, kernels.read_sigma,
    )  # fmt: skip


def test_refresh_touches_saturated_pairs_only_and_counts_them():
    """A pair is saturated when its larger exceeds 9 uS and its smaller 3 uS of 12 (aihwkit's OneSided unit)."""
    one = saturated_bench(PCM, 30, 20)
    before = one.state.conductance.reshape(-1, 2).copy()
    sums = refresh(one)
    after = one.state.conductance.reshape(-1, 2)
    saturated = (before.max(axis=1) > 9) & (before.min(axis=1) > 3)
    assert 50 < saturated.sum() < 300
    np.testing.assert_array_equal(after[~saturated], before[~saturated])
    assert (after[saturated] != before[saturated]).all()
    assert (sums.pairs, sums.pulses) == (saturated.sum(), 0)
    assert_consistent(one)
    law = one.law
    each = 2 * law.reset_energy_J + law.program_energy_J
    assert sums.energy_J == pytest.approx(saturated.sum() * each, rel=1e-6)


def test_refresh_resets_both_devices_and_keeps_the_difference_within_the_programming_error():
    """Mean shift zero and spread that of the programming polynomial (Joshi 2020 scaled to 12 uS)."""
    one = saturated_bench(PCM, 200, 100)
    before = one.state.conductance.reshape(-1, 2).astype(np.float64)
    refresh(one)
    after = one.state.conductance.reshape(-1, 2).astype(np.float64)
    saturated = (before.max(axis=1) > 9) & (before.min(axis=1) > 3)
    wanted = (before[:, 0] - before[:, 1])[saturated]
    found = (after[:, 0] - after[:, 1])[saturated]
    g = (np.abs(wanted) + 0.1) / 12
    sigma = (0.26348 + 1.965 * g - 1.1731 * g**2) * 12 / 25
    clear = np.abs(wanted) > 2
    check_mean(((found - wanted) / sigma)[clear] * np.sign(wanted[clear]), 0, 1)
    helpers.check_std(((found - wanted) / sigma)[clear], 1, extra=0.002)
    np.testing.assert_array_equal(np.sign(found[clear]), np.sign(wanted[clear]))
    low = after[saturated].min(axis=1)[clear]
    check_mean(low, 0.1, 0.01)
    counts = one.state.set_pulses.reshape(-1, 2)[saturated][clear]
    assert (counts.min(axis=1) == 0).all()


def test_refresh_without_spread_keeps_the_difference_exactly():
    one = saturated_bench(quiet_pcm(), 20, 10)
    difference = one.grid.difference.copy()
    assert refresh(one).pairs > 10
    np.testing.assert_allclose(one.grid.difference, difference, atol=2e-6)
    assert one.state.conductance.reshape(-1, 2).min() == F(0.1)


def test_a_pulse_limit_drops_the_rest_in_accumulate_and_keeps_it_in_mixed():
    pulses = {}
    for mode in ("accumulate", "mixed"):
        array = Crossbar((4, 3), HFO2, write=WritePath(pulse_limit=2))
        step = array.device.nominal_step_uS * 2 / (array.device.g_max_uS - array.device.g_min_uS)
        pre, post = np.ones((1, 4)), np.full((1, 3), 5 * step)
        pulses[mode] = [array.update(pre, post, mode=mode), array.update(0 * pre, post, mode=mode)]
    a_pair = 2 * 4 * 3
    assert pulses["accumulate"] == [2 * a_pair, 0]
    assert pulses["mixed"][0] == 2 * a_pair
    array = Crossbar((4, 3), HFO2, write=WritePath(pulse_limit=2))
    given = [array.update(pre if k == 0 else pre * 1e-9, post, mode="mixed") for k in range(3)]
    assert given == [2 * a_pair, 2 * a_pair, a_pair]
