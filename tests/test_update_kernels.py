"""Update kernels against plain Python: rounding, accumulating, pulsing, decaying, refreshing, coincidences."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import helpers
import numpy as np
import pytest
from helpers import BUILT_IN, HFO2, IDEAL, MODES, PCM, check_mean, fresh, quiet, quiet_pcm

from neurosim import Crossbar, WritePath, devices
from neurosim.core.seeds import key
from neurosim.kernels.trains import _ones, line_trains, train_rows
from neurosim.kernels.update import (
    Grid,
    accumulator_counts,
    depress_rows,
    pulse_row,
    read_pair,
    refresh_grid,
    refresh_pairs,
    squared_norms,
    stochastic_counts,
    stored,
    sweep_rows,
)

ROWS, COLS = 6, 5
F = np.float32
NO_ACCUMULATOR = np.empty((0, 0), np.float32)
NO_COLUMNS = np.empty(0, np.int64)


class Bench(NamedTuple):
    """A small array of pairs taken out of the crossbar, to be handed to kernels."""

    law: Any
    state: Any
    params: Any
    grid: Grid

    def kernels(self) -> tuple[Any, Any, Any]:
        return self.law.kernels.pulse, stored, self.law.kernels.read_sigma

    def twin(self) -> Bench:
        return Bench(self.law, copy.deepcopy(self.state), self.params, copy.deepcopy(self.grid))

    def rebuild(self) -> Grid:
        """The grid by plain numpy from the state."""
        rows, cols = self.grid.difference.shape
        pairs = self.state.conductance.reshape(rows, cols, 2)
        variance = self.grid.variance
        if variance.size:
            sigma = self.params.read_noise_relative * pairs + self.params.read_noise_floor_uS
            variance = np.square(sigma).sum(axis=2)
        return Grid(pairs[..., 0] - pairs[..., 1], variance, pairs.sum(axis=(1, 2), dtype=np.float64))


def bench(law: Any, rows: int = ROWS, cols: int = COLS, seed: int = 0) -> Bench:
    law = devices.load(law)
    state, params, _ = fresh(law, 2 * rows * cols, seed)
    rng = np.random.default_rng(seed)
    for event in range(1, 4):
        for cell in range(2 * rows * cols):
            law.kernels.pulse(cell, int(rng.integers(0, 4)), state, params, 0.0, event, key(seed, "warm up"))
    noise = (rows, cols) if law.has_read_noise else (0, 0)
    grid = Grid(np.empty((rows, cols), F), np.empty(noise, F), np.empty(rows))
    refresh_grid(0, rows, grid, state, params, 0.0, stored, law.kernels.read_sigma)
    return Bench(law, state, params, grid)


def assert_consistent(one: Bench) -> None:
    """The grid kept up to date equals one rebuilt from the state; the row sums to rounding."""
    rebuilt = one.rebuild()
    np.testing.assert_array_equal(one.grid.difference, rebuilt.difference)
    np.testing.assert_array_equal(one.grid.variance, rebuilt.variance)
    np.testing.assert_allclose(one.grid.row_sum, rebuilt.row_sum, rtol=1e-9)


def assert_same_state(one: Bench, other: Bench) -> None:
    for name in one.state._fields:
        np.testing.assert_array_equal(getattr(one.state, name), getattr(other.state, name), err_msg=name)


def pulse_pairs(one: Bench, row: int, counts: np.ndarray, event: int, stream: Any) -> tuple[float, int, int]:
    """Oracle of a row of pulses: every device on its own, in plain Python."""
    energy, pulses, cells = 0.0, 0, 0
    for col in range(counts.shape[1]):
        for arm in range(2):
            count = int(counts[arm, col])
            if count:
                cell = 2 * (row * counts.shape[1] + col) + arm
                energy += one.law.kernels.pulse(cell, count, one.state, one.params, 0.0, event, stream)
                pulses, cells = pulses + abs(count), cells + 1
    return energy, pulses, cells


def rounded(change: np.ndarray, row: int, push_pull: bool, event: int, stream: Any) -> np.ndarray:
    """Oracle of stochastic rounding of one row."""
    draws = helpers.words(row * change.size + np.arange(change.size), event, 0, stream)
    a, b = (np.trunc(np.abs(change) + helpers.uniforms(word)).astype(int) for word in draws[:2])
    up, down = change > 0, change < 0
    if push_pull:
        return np.stack([np.where(up, a, -a), np.where(up, -b, b)])
    return np.stack([np.where(up, a, 0), np.where(down, a, 0)])


def whole(change: np.ndarray, accumulator: np.ndarray, push_pull: bool) -> np.ndarray:
    """Oracle of the digital accumulator of one row."""
    total = accumulator + change
    n = np.trunc(total).astype(int)
    accumulator[:] = total - n
    return np.stack([n, -n]) if push_pull else np.stack([np.maximum(n, 0), np.maximum(-n, 0)])


# Rounding


@pytest.mark.parametrize("push_pull", [True, False])
def test_stochastic_rounding_equals_the_oracle(push_pull):
    rng, stream = np.random.default_rng(0), key(0, "round")
    for event in range(50):
        change = (rng.standard_normal(COLS) * 10.0 ** rng.integers(-2, 4)).astype(F)
        change[event % COLS] = 0
        counts = np.empty((2, COLS), np.int32)
        stochastic_counts(event % ROWS, change, counts, push_pull, event, stream)
        np.testing.assert_array_equal(counts, rounded(change, event % ROWS, push_pull, event, stream))


def test_stochastic_rounding_has_the_change_as_its_mean():
    change = np.array([0.3, -0.3, 2.75, -0.001, 0.999], F)
    for push_pull in (True, False):
        drawn = np.empty((4000, 2, 5), np.int32)
        for event in range(4000):
            stochastic_counts(0, change, drawn[event], push_pull, event, key(1, "round"))
        net = drawn[:, 0] - drawn[:, 1]
        for col, wanted in enumerate(change):
            fraction = abs(wanted) % 1
            sigma = np.sqrt(fraction * (1 - fraction) * (2 if push_pull else 1))
            check_mean(net[:, col], wanted * (2 if push_pull else 1), sigma)
        if push_pull:
            helpers.check_uncorrelated(drawn[:, 0, 0], drawn[:, 1, 0])


@pytest.mark.parametrize("push_pull", [True, False])
def test_the_accumulator_loses_nothing(push_pull):
    """Pulses given so far and the remainder add up to the changes so far (Nandakumar 2020)."""
    rng = np.random.default_rng(1)
    accumulator, given, summed = np.zeros((ROWS, COLS), F), np.zeros(COLS), np.zeros(COLS)
    twin = np.zeros(COLS, F)
    counts = np.empty((2, COLS), np.int32)
    for _ in range(200):
        change = (0.7 * rng.standard_normal(COLS)).astype(F)
        accumulator_counts(2, change, counts, accumulator, push_pull)
        np.testing.assert_array_equal(counts, whole(change, twin, push_pull))
        np.testing.assert_array_equal(accumulator[2], twin)
        assert (np.abs(accumulator) < 1).all()
        given += counts[0] if push_pull else counts[0] - counts[1]
        summed += change
        np.testing.assert_allclose(given + accumulator[2], summed, atol=2e-5)
    assert not accumulator[[0, 1, 3, 4, 5]].any()


# Pulses and the grid


@pytest.mark.parametrize("name", BUILT_IN)
def test_pulsing_a_row_equals_pulsing_each_device(name):
    one = bench(name)
    twin, rng, stream = one.twin(), np.random.default_rng(2), key(0, "pulse")
    for event in range(1, 9):
        counts = rng.integers(-2, 3, (2, COLS)).astype(np.int32)
        sums = pulse_row(
            event % ROWS, counts, one.grid, one.state, one.params, 0.0, event, stream, *one.kernels()
        )
        energy, pulses, cells = pulse_pairs(twin, event % ROWS, counts, event, stream)
        assert sums.energy_J == pytest.approx(energy, rel=1e-12)
        assert (sums.pulses, sums.pulsed_cells) == (pulses, cells)
        assert_same_state(one, twin)
        assert_consistent(one)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("clock", [0.0, 50.0], ids=["fresh", "drifted"])
def test_a_grid_updated_in_place_equals_a_rebuilt_one_bit_for_bit(name, clock):
    array = Crossbar((37, 11), name, seed=4, write=WritePath(refresh_every=2))
    array.program(helpers.small_weights(37, 11))
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
    push_pull = one.law.polarity == "bipolar"
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
        sums = sweep_rows(
            first, change, shares, due, decay == "exact", per_uS, lsb, most, push_pull, accumulator, one.grid,
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
                counts = whole(wanted[k], remainder[row], push_pull)
            else:
                counts = rounded(wanted[k], row, push_pull, event, keys[0])
            part = pulse_pairs(twin, row, counts, event, keys[1])
            energy, pulses, cells = energy + part[0], pulses + part[1], cells + part[2]
        twin = twin._replace(grid=twin.rebuild())
        assert_same_state(one, twin)
        assert_consistent(one)
        assert sums.energy_J == pytest.approx(energy, rel=1e-12)
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
        0, np.zeros((ROWS, COLS), F), shares, np.arange(COLS), True, F(0.5 / step), F(0), F(100), True,
        NO_ACCUMULATOR, one.grid, one.state, one.params, 0.0, 1, (key(0, "a"), key(0, "b"), key(0, "c")),
        *one.kernels(),
    )  # fmt: skip
    np.testing.assert_allclose(one.grid.difference, before * (1 - shares), atol=3 * step)


def test_a_row_without_change_or_decay_is_left_alone():
    one = bench(HFO2)
    twin = one.twin()
    sums = sweep_rows(
        0, np.zeros((ROWS, COLS), F), np.ones(COLS, F), NO_COLUMNS, False, F(1), F(0), F(80), True,
        NO_ACCUMULATOR, one.grid, one.state, one.params, 0.0, 1, (key(0, "a"), key(0, "b"), key(0, "c")),
        *one.kernels(),
    )  # fmt: skip
    assert tuple(sums) == (0.0, 0, 0)
    assert_same_state(one, twin)


def test_depression_pulses_go_to_both_devices_of_a_column():
    one = bench(HFO2)
    twin, stream = one.twin(), key(0, "depress")
    column_counts = np.array([0, 1, 0, 3, 2], np.int32)
    sums = depress_rows(1, 4, column_counts, one.grid, one.state, one.params, 0.0, 5, stream, *one.kernels())
    energy = 0.0
    for row in (1, 2, 3):
        energy += pulse_pairs(twin, row, -np.stack([column_counts, column_counts]), 5, stream)[0]
    assert_same_state(one, twin)
    assert_consistent(one)
    assert (sums.pulses, sums.pulsed_cells) == (3 * 2 * 6, 3 * 2 * 3)
    assert sums.energy_J == pytest.approx(energy, rel=1e-12)


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
        0, len(one.grid.row_sum), 9.0, 3.0, one.grid, one.state, one.params, now_s, 8, key(0, "refresh"),
        kernels.reset, kernels.program, stored, kernels.read_sigma,
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
    assert (sums.pulses, sums.pulsed_cells) == (saturated.sum(), 2 * saturated.sum())
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
    assert refresh(one).pulses > 10
    np.testing.assert_allclose(one.grid.difference, difference, atol=2e-6)
    assert one.state.conductance.reshape(-1, 2).min() == F(0.1)


# Stochastic pulse trains


def coincidences(row_trains: Any, col_trains: Any) -> np.ndarray:
    """Oracle: (samples, rows, cols) numbers of slots that are high on both lines."""
    both = row_trains[:, :, None] & col_trains[:, None, :]
    return np.vectorize(lambda bits: int(bits).bit_count())(both)


def test_ones_of_a_train_are_counted():
    rng = np.random.default_rng(6)
    for bits in [0, 1, 2**31 - 1, 2**32 - 1, 2**31, *rng.integers(0, 2**32, 500).tolist()]:
        assert _ones(np.uint32(bits)) == bits.bit_count()


@pytest.mark.parametrize("slots", [1, 4, 10, 31])
def test_trains_equal_the_oracle_and_count_drives_beyond_one(slots):
    rng, stream = np.random.default_rng(7), key(0, "rows")
    drive = rng.uniform(-1.2, 1.2, (7, 40)).astype(F)
    drive[0, :4] = 0, 1, -1, 2.0**-30
    out = np.empty((7, 40), np.uint32)
    clipped = line_trains(drive, slots, out, 100, stream)
    assert clipped == (np.abs(drive) > 1).sum()
    for sample in range(7):
        expected = np.zeros(40, np.uint32)
        for slot in range(slots):
            u = helpers.uniforms(helpers.words(np.arange(40), 100 + sample, slot // 4, stream)[slot % 4])
            expected |= np.where(u < np.abs(drive[sample]), np.uint32(1 << slot), np.uint32(0))
        np.testing.assert_array_equal(out[sample], expected)
    assert out[0, 0] == 0
    assert out[0, 1] == out[0, 2] == 2**slots - 1


def test_trains_are_high_as_often_as_their_drive_says():
    drive = np.tile(np.array([[0.03, 0.5, -0.9]], F), (3000, 1))
    out = np.empty(drive.shape, np.uint32)
    line_trains(drive, 31, out, 0, key(1, "rows"))
    for line, p in enumerate((0.03, 0.5, 0.9)):
        ones = sum(int(bits).bit_count() for bits in out[:, line])
        helpers.check_count(ones, 31 * 3000, p)


@pytest.mark.parametrize("name", [PCM, HFO2])
def test_coincident_trains_pulse_like_the_oracle(name):
    one = bench(name)
    twin, rng, stream = one.twin(), np.random.default_rng(8), key(0, "pulse")
    push_pull = one.law.polarity == "bipolar"
    row_drive = rng.uniform(-0.5, 0.5, (4, ROWS)).astype(F)
    col_drive = rng.uniform(-0.5, 0.5, (4, COLS)).astype(F)
    row_trains, col_trains = np.empty((4, ROWS), np.uint32), np.empty((4, COLS), np.uint32)
    line_trains(row_drive, 10, row_trains, 20, key(0, "rows"))
    line_trains(col_drive, 10, col_trains, 20, key(0, "cols"))
    col_trains[2] = 0
    sums = train_rows(
        1, 5, row_trains, row_drive, col_trains, col_drive, push_pull, one.grid, one.state, one.params, 0.0, 20,
        stream, *one.kernels(),
    )  # fmt: skip
    hits = coincidences(row_trains, col_trains)
    energy, pulses, cells = 0.0, 0, 0
    for row in range(1, 5):
        for sample in range(4):
            n = hits[sample, row] * np.sign(row_drive[sample, row] * col_drive[sample]).astype(int)
            counts = np.stack([n, -n]) if push_pull else np.stack([np.maximum(n, 0), np.maximum(-n, 0)])
            part = pulse_pairs(twin, row, counts, 20 + sample, stream)
            energy, pulses, cells = energy + part[0], pulses + part[1], cells + part[2]
    assert pulses > 20
    assert_same_state(one, twin)
    assert_consistent(one)
    assert sums.energy_J == pytest.approx(energy, rel=1e-12)
    assert (sums.pulses, sums.pulsed_cells) == (pulses, cells)


@pytest.mark.parametrize("scale", [1.0, 0.02], ids=["many pulses", "few pulses"])
def test_trains_give_on_average_the_pulses_wanted(scale):
    """Over 1,500 samples each cell's net change is sum pre post, within five standard errors."""
    law = devices.load(IDEAL).with_parameters(step_share=2.0**-14 / 100)
    rng = np.random.default_rng(9)
    array = Crossbar((12, 8), law, seed=3, write=WritePath(w_max=1.0))
    array.program(np.zeros((12, 8)))
    per_pulse = 2 * law.nominal_step_uS / 100
    pre = np.repeat(rng.uniform(-1, 1, (1, 12)), 1500, axis=0).astype(F)
    pre[:, 0], pre[:, 1] = 0, 1
    post = np.repeat(scale * rng.uniform(-8, 8, (1, 8)), 1500, axis=0).astype(F) * F(per_pulse)
    before = array._cells.state.conductance.astype(np.float64).reshape(12, 8, 2)
    pulses = array.update(pre, post, mode="online")
    after = array._cells.state.conductance.astype(np.float64).reshape(12, 8, 2)
    counts = np.rint((after - before)[..., 0] / law.nominal_step_uS)
    assert array.ledger.trains_clipped == 0
    wanted = 1500 * np.outer(pre[0], post[0]) / per_pulse
    assert (np.abs(counts - wanted) <= 5 * np.sqrt(np.abs(wanted))).all()
    assert (counts[0] == 0).all()
    assert pulses == 2 * np.abs(counts).sum()


def per_update(array: Crossbar, action: Callable[[], int]) -> np.ndarray:
    before = array._cells.state.persistent.astype(np.float64)
    action()
    return array._cells.state.persistent.astype(np.float64) - before


def test_online_pulses_of_a_sample_and_of_the_decay_have_noise_of_their_own():
    """One pulse from the trains and one from the decay sweep of the same update: their noise adds as
    independent draws (sqrt 2), not as the same draw twice (2)."""
    law = quiet(step=1e-4, cycle_to_cycle=1.0)
    shift = []
    for seed in range(40):
        array = Crossbar((40, 10), law, seed=seed, write=WritePath(decay_mode="exact", pulse_train_slots=1))
        array.program(np.full((40, 10), 0.5))
        per_pulse = 2 * law.nominal_step_uS / 80
        decay = np.full(10, -per_pulse / 0.5, F)
        post = np.full((1, 10), per_pulse, F)
        moved = per_update(array, lambda a=array, p=post, d=decay: a.update(np.ones((1, 40)), p, d, "online"))
        shift.append(moved.reshape(-1, 2) / law.nominal_step_uS * [1, -1])
    shift = np.concatenate(shift).ravel()
    check_mean(shift, 2 * 0.5, extra=0.01)
    helpers.check_std(shift, np.sqrt(2), extra=0.02)
