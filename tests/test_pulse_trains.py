"""Stochastic pulse trains against plain Python: their ones, their coincidences, and online updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import helpers
import numpy as np
import pytest
from helpers import HFO2, IDEAL, PCM, check_mean, quiet
from update_helpers import COLS, ROWS, F, assert_consistent, assert_same_state, bench, pulse_pairs, shared

from neurosim import Crossbar, WritePath, devices
from neurosim.core.seeds import key
from neurosim.kernels.counts import (
    AGAINST_REFERENCE,
    ONE_SIDED,
    PUSH_PULL,
    RESET_AGAINST_REFERENCE,
    RESET_ONLY,
)
from neurosim.kernels.trains import _ones, line_trains, train_rows

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


@pytest.mark.parametrize(
    ("name", "drive"),
    [
        (PCM, ONE_SIDED),
        (HFO2, PUSH_PULL),
        (PCM, RESET_AGAINST_REFERENCE),
        (HFO2, AGAINST_REFERENCE),
        (HFO2, RESET_ONLY),
    ],
)
def test_coincident_trains_pulse_like_the_oracle(name, drive):
    one = bench(name)
    twin, rng, stream = one.twin(), np.random.default_rng(8), key(0, "pulse")
    row_drive = rng.uniform(-0.5, 0.5, (4, ROWS)).astype(F)
    col_drive = rng.uniform(-0.5, 0.5, (4, COLS)).astype(F)
    row_trains, col_trains = np.empty((4, ROWS), np.uint32), np.empty((4, COLS), np.uint32)
    line_trains(row_drive, 10, row_trains, 20, key(0, "rows"))
    line_trains(col_drive, 10, col_trains, 20, key(0, "cols"))
    col_trains[2] = 0
    sums = train_rows(
        1, 5, row_trains, row_drive, col_trains, col_drive, drive, one.grid, one.state, one.params, 0.0, 20,
        stream, *one.kernels(),
    )  # fmt: skip
    hits = coincidences(row_trains, col_trains)
    energy, pulses, cells = 0.0, 0, 0
    for row in range(1, 5):
        for sample in range(4):
            n = hits[sample, row] * np.sign(row_drive[sample, row] * col_drive[sample]).astype(int)
            counts = shared(n, n, drive)
            part = pulse_pairs(twin, row, counts, 20 + sample, stream)
            energy, pulses, cells = energy + part[0], pulses + part[1], cells + part[2]
    assert pulses > 20
    assert_same_state(one, twin)
    assert_consistent(one)
    assert sums.up_J + sums.down_J == pytest.approx(energy, rel=1e-12)
    assert (sums.pulses, sums.pulsed_cells) == (pulses, cells)


@pytest.mark.parametrize("scale", [1.0, 0.02], ids=["many pulses", "few pulses"])
def test_trains_give_on_average_the_pulses_wanted(scale):
    """Over 1,500 samples each cell's net change is sum pre post, within five standard errors."""
    law = devices.load(IDEAL).with_parameters(step_share=2.0**-14 / 100)
    rng = np.random.default_rng(9)
    array = Crossbar((12, 8), law, seed=3, write=WritePath(w_max=1.0))
    array.program(np.zeros((12, 8)), w_max=array.w_max)
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
        array.program(np.full((40, 10), 0.5), w_max=array.w_max)
        per_pulse = 2 * law.nominal_step_uS / 80
        decay = np.full(10, -per_pulse / 0.5, F)
        post = np.full((1, 10), per_pulse, F)
        moved = per_update(array, lambda a=array, p=post, d=decay: a.update(np.ones((1, 40)), p, d, "online"))
        shift.append(moved.reshape(-1, 2) / law.nominal_step_uS * [1, -1])
    shift = np.concatenate(shift).ravel()
    check_mean(shift, 2 * 0.5, extra=0.01)
    helpers.check_std(shift, np.sqrt(2), extra=0.02)
