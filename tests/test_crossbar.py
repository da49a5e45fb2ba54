"""The crossbar: ideal devices equal ideal arithmetic; reads, updates, time, energy and checkpoints, effect by effect."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import helpers
import numpy as np
import pytest
from helpers import (
    BUILT_IN,
    FINE,
    HFO2,
    IDEAL,
    MODES,
    PCM,
    check_mean,
    local_update,
    quiet,
    quiet_pcm,
    small_weights,
)

from neurosim import Crossbar, Periphery, ReadPath, WritePath, devices
from neurosim.core.errors import CapabilityError, CheckpointError, ConfigError, InputError
from neurosim.core.protocols import Array
from neurosim.core.seeds import key
from neurosim.crossbar.reader import ClippingWarning, positive_codes
from neurosim.kernels.read import finish_read, quantise_inputs
from neurosim.reference.ideal import IdealArray

ROWS, COLS = 24, 10
F = np.float32
PJ = 1e-12


def made(device: Any, rows: int = ROWS, cols: int = COLS, weights: Any = None, **options: Any) -> Crossbar:
    array = Crossbar((rows, cols), device, seed=options.pop("seed", 0), **options)
    array.program(small_weights(rows, cols) if weights is None else weights)
    return array


def inputs(batch: int, rows: int = ROWS, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (batch, rows)).astype(F)


def close(found: Any, expected: Any, share: float = 1e-5) -> None:
    """Equal to `share` of the largest magnitude."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * np.abs(expected).max())


# Ideal devices equal ideal arithmetic


def test_programming_and_reading_ideal_devices_is_a_matrix_product():
    weights, x = small_weights(ROWS, COLS, reach=1.0), inputs(50)
    array, exact = made(IDEAL, weights=weights), IdealArray((ROWS, COLS), np.float64)
    exact.program(weights)
    close(array.weights(), weights)
    close(array.forward(x), exact.forward(x))
    close(array.column_norms(), exact.column_norms())


@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
@pytest.mark.parametrize("decayed", [True, False], ids=["decay", "no decay"])
def test_twenty_updates_of_ideal_devices_equal_ideal_arithmetic(mode, decayed):
    write = WritePath(decay_mode="exact")
    array, exact = made(IDEAL, write=write), IdealArray((ROWS, COLS), np.float64)
    exact.program(small_weights(ROWS, COLS))
    for step in range(20):
        pre, post, decay = local_update(ROWS, COLS, 8, seed=step, scale=0.004)
        for one in (array, exact):
            one.update(pre, post, decay if decayed else None, mode)
        close(array.weights(), exact.weights())
        x = inputs(5, seed=step)
        close(array.forward(x), exact.forward(x))
    assert np.abs(exact.weights() - small_weights(ROWS, COLS)).max() > 0.05


def test_online_updates_of_ideal_devices_equal_ideal_arithmetic_on_average():
    """No bias, and no more spread than that of counting pulses, |dw| steps of weight each."""
    law = devices.load(IDEAL).with_parameters(step_share=1e-4)
    array, exact = made(law, 60, 50, np.zeros((60, 50))), IdealArray((60, 50))
    travelled = np.zeros((60, 50))
    for step in range(10):
        pre, post, _ = local_update(60, 50, 8, seed=step, scale=1e-3)
        for one in (array, exact):
            one.update(pre, post, None, "online")
        travelled += np.abs(pre).T @ np.abs(post)
    error = array.weights() - exact.weights()
    check_mean(error, 0)
    counting = np.sqrt(travelled.mean() * 2e-4)
    assert 0.5 * counting < error.std() <= counting * (1 + 5 * np.sqrt(1 / error.size))
    assert array.ledger.trains_clipped == 0


@pytest.mark.parametrize("name", BUILT_IN)
def test_crossbars_and_ideal_arithmetic_are_arrays(name):
    array, exact = Crossbar((3, 2), name), IdealArray((3, 2))
    assert isinstance(array, Array)
    assert isinstance(exact, Array)
    assert (array.ideal, exact.ideal) == (False, True)


# Pairs


def test_set_only_devices_store_a_weight_on_one_side():
    weights = np.array([[0.5, -0.25], [0.0, 1.0]])
    g = made(quiet_pcm(), 2, 2, weights, write=WritePath(w_max=1.0)).conductance_uS()
    span = 12 - 0.1
    expected = [[0.1 + 0.5 * span, 0.1, 0.1, 0.1 + 0.25 * span], [0.1, 0.1, 12.0, 0.1]]
    np.testing.assert_allclose(g, expected, rtol=1e-6)


def test_bipolar_devices_store_a_weight_on_both_sides_of_rest():
    weights = np.array([[0.5, -0.25], [0.0, 1.0]])
    for law in (quiet(), devices.load(IDEAL)):
        g = made(law, 2, 2, weights, write=WritePath(w_max=1.0)).conductance_uS()
        half, rest = (law.g_max_uS - law.g_min_uS) / 2, law.g_rest_uS
        expected = [[0.5, -0.5, -0.25, 0.25], [0, 0, 1, -1]]
        np.testing.assert_allclose(g, rest + half * np.array(expected), rtol=1e-6)


@pytest.mark.parametrize("law", [quiet(), quiet_pcm(), devices.load(IDEAL)], ids=["rram", "pcm", "ideal"])
def test_weights_beyond_the_window_are_clipped_to_it(law):
    array = made(law, 2, 2, [[5.0, -5.0], [2.0, -2.0]], write=WritePath(w_max=2.0))
    np.testing.assert_allclose(array.weights(), [[2, -2], [2, -2]], rtol=1e-5)
    assert array.conductance_uS().shape == (2, 4)


def test_w_max_is_the_weight_of_a_full_difference():
    for w_max in (0.5, 4.0):
        array = made(IDEAL, 2, 2, np.full((2, 2), w_max / 4), write=WritePath(w_max=w_max))
        difference = array.conductance_uS()[:, ::2] - array.conductance_uS()[:, 1::2]
        np.testing.assert_allclose(difference, 25.0, rtol=1e-6)


# The read path, kernel by kernel


@pytest.mark.parametrize("bits", [None, 2, 4, 8, 16])
@pytest.mark.parametrize("fixed", [0.0, 0.5], ids=["vector", "fixed"])
def test_dac_codes_equal_the_oracle(bits, fixed):
    """Signed codes, 2^(b-1) - 1 positive ones, round half to even; clipped inputs are counted."""
    x = np.concatenate([inputs(20), np.zeros((1, ROWS), F)])
    codes = positive_codes(bits)
    out, scale = np.empty_like(x), np.empty(len(x), F)
    clipped = quantise_inputs(x, scale, F(codes), F(fixed), out)
    peak = np.abs(x).max(axis=1)
    full = np.full(len(x), fixed, F) if fixed else np.where(peak > 0, peak, 1).astype(F)
    normal = x / full[:, None]
    assert clipped == (np.abs(normal) > 1).sum()
    expected = np.clip(normal, -1, 1)
    if codes:
        expected = np.rint(expected * F(codes)) / F(codes)
        assert len(np.unique(np.rint(out * codes))) <= 2 * codes + 1
    np.testing.assert_array_equal(scale, full)
    np.testing.assert_array_equal(out, expected)


def test_dac_rounds_half_to_even():
    x = np.array([[0.5, 1.5, 2.5, -0.5, -2.5, 7.0]], F)
    out = np.empty_like(x)
    quantise_inputs(x, np.empty(1, F), F(7), F(7), out)
    np.testing.assert_allclose(out * 7, [[0, 2, 2, 0, -2, 7]], atol=1e-6)


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_adc_codes_equal_the_oracle_and_clips_are_counted_in_codes(bits):
    """A current that rounds to the highest code is converted, not clipped, whatever the range rounds to."""
    rng = np.random.default_rng(2)
    codes = positive_codes(bits)
    for range_uS in rng.uniform(0.1, 500, 200).astype(F):
        lsb = F(float(range_uS) / codes)
        current = (rng.uniform(-1.5, 1.5, (3, 7)) * range_uS).astype(F)
        current[0, :3] = 0.9999 * range_uS, -0.9999 * range_uS, (codes + 0.75) * lsb
        out, scale = current.copy(), np.array([1, 2, 0.5], F)
        none = np.empty((0, 0), F)
        clipped = finish_read(out, none, scale, lsb, range_uS, F(0.01), 0, 0, key(0, "read"))
        code = np.rint(current / lsb)
        assert clipped == (np.abs(code) > codes).sum()
        expected = np.clip(code, -codes, codes) * lsb * (scale * F(0.01))[:, None]
        np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_adc_rounds_half_to_even():
    current, none = np.array([[0.5, 1.5, 2.5, -0.5, -2.5]], F), np.empty((0, 0), F)
    finish_read(current, none, np.ones(1, F), F(1), F(7), F(1), 0, 0, key(0, "read"))
    np.testing.assert_array_equal(current, [[0, 2, 2, 0, -2]])


def test_read_noise_is_drawn_by_read_and_column():
    stream = key(0, "read")
    current, variance = np.zeros((4, 6), F), np.full((4, 6), 4.0, F)
    finish_read(current, variance, np.ones(4, F), F(0), F(1), F(1), 100, 32, stream)
    for n in range(4):
        z = helpers.normals(helpers.words(32 + np.arange(6), 100 + n, 0, stream)[0])
        np.testing.assert_allclose(current[n], 2 * z, rtol=1e-6)


def test_the_whole_read_chain_is_in_the_stated_order():
    """scale, DAC, drifted conductances, read noise, subtraction, ADC, digital scale: one oracle for all."""
    read = ReadPath(dac_bits=5, adc_bits=6, adc_range_uS=9.0)
    array = made(PCM, read=read, seed=3)
    array.advance(1e5)
    x = 40 * inputs(64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippingWarning)
        found = array.forward(x)
    g = array.conductance_uS().astype(np.float64).reshape(ROWS, COLS, 2)
    assert g.max() < 0.8 * 12, "drifted"
    scale = np.abs(x).max(axis=1, keepdims=True)
    volts = np.rint(x / scale * 15) / 15
    variance = np.square(volts) @ np.square(0.03 * g + 0.13).sum(axis=2)
    stream = key(3, "array", "read")
    z = np.stack([helpers.normals(helpers.words(np.arange(COLS), n, 0, stream)[0]) for n in range(64)])
    current = volts @ (g[..., 0] - g[..., 1]) + np.sqrt(variance) * z
    code = np.rint(current / (9 / 31))
    expected = np.clip(code, -31, 31) * (9 / 31) * scale / (12 - 0.1)
    clear = np.abs(current / (9 / 31) - np.floor(current / (9 / 31)) - 0.5) > 1e-4
    assert clear.mean() > 0.99
    np.testing.assert_allclose(found[clear], expected[clear], rtol=1e-5, atol=1e-5)
    assert array.ledger.adc_clipped == (np.abs(code) > 31).sum() > 10


def test_currents_of_a_pair_are_subtracted_before_the_adc():
    """Both single currents lie far beyond the range; their difference does not and is not clipped."""
    array = made(IDEAL, 20, 3, np.full((20, 3), 0.01), read=ReadPath(adc_bits=8, adc_range_uS=40.0))
    found = array.forward(np.ones((1, 20)))
    assert array.conductance_uS()[:, 0].sum() > 10 * 40
    np.testing.assert_allclose(found, 0.2, atol=40 / 127 / 2 / 100 + 1e-6)
    assert array.ledger.adc_clipped == 0


def test_clipped_conversions_are_counted_and_a_warning_names_the_remedy():
    array = made(IDEAL, read=ReadPath(adc_bits=8, adc_range_uS=1.0))
    with pytest.warns(ClippingWarning, match="calibrate"):
        found = array.forward(inputs(30))
    assert array.ledger.adc_clipped > 0.5 * found.size
    array = made(IDEAL, read=ReadPath(dac_bits=8, input_range=0.5))
    x = inputs(30)
    array.forward(x)
    assert array.ledger.dac_clipped == (np.abs(x) > 0.5).sum()


def test_a_fixed_input_range_clips_and_vector_range_follows_the_scale_of_inputs():
    weights, x = small_weights(ROWS, COLS), inputs(20)
    fixed = made(IDEAL, read=ReadPath(input_range=0.25))
    close(fixed.forward(x), np.clip(x, -0.25, 0.25) @ weights)
    close(fixed.forward(x / 8), x / 8 @ weights)
    by_vector = made(IDEAL, read=ReadPath(dac_bits=4))
    a, b = by_vector.forward(x), by_vector.forward(1024 * x)
    close(b, 1024 * a, 1e-6)
    np.testing.assert_array_equal(by_vector.forward(np.zeros((2, ROWS))), 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"input_range": 0.0},
        {"input_range": -1.0},
        {"input_range": "vectors"},
        {"read_noise": -0.1},
        {"read_noise": "cards"},
        {"dac_bits": 1},
        {"adc_bits": 17},
        {"adc_range_uS": 0.0},
        {"read_voltage_V": float("nan")},
        {"adc_bit": 8},
    ],
)
def test_impossible_read_paths_are_refused_in_one_line_naming_the_field(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))) as caught:
        ReadPath.parse(settings, "read")
    assert "\n" not in str(caught.value)


def test_every_read_effect_is_off_with_none_and_acts_alone():
    x, weights = inputs(40), small_weights(ROWS, COLS)
    off = {"dac_bits": None, "adc_bits": None, "read_noise": None}
    plain = made(quiet_pcm(), read=ReadPath(**off))
    base = plain.forward(x)
    close(base, x @ weights)
    np.testing.assert_array_equal(plain.forward(x), base)
    for field, value in (("dac_bits", 4), ("adc_bits", 6), ("read_noise", 0.02)):
        changed = made(quiet_pcm(), read=ReadPath(**{**off, field: value})).forward(x)
        assert not np.allclose(changed, base, atol=1e-4), field
        assert np.corrcoef(changed.ravel(), base.ravel())[0, 1] > 0.95, field


# Read noise


def per_cell_reads(array: Crossbar, x: np.ndarray, reads: int, seed: int) -> np.ndarray:
    """Oracle: every device of every pair draws its own noise at every read."""
    rng = np.random.default_rng(seed)
    g = array.conductance_uS().reshape(*array.shape, 2)
    sigma = 0.03 * g + 0.13
    full = np.abs(x).max()
    out = np.empty((reads, array.shape[1]))
    for n in range(reads):
        seen = g + sigma * rng.standard_normal(g.shape, F)
        out[n] = (x / full) @ (seen[..., 0] - seen[..., 1])
    return out * full / (12 - 0.1)


def test_read_noise_by_one_product_equals_noise_of_every_cell_in_mean_and_variance():
    """PCM, 0.03 G + 0.13 uS a device (srnn-pcm): variances of the cells add on each column."""
    reads = 4000
    array, x = made(PCM, seed=5), 3 * inputs(1)[0]
    found = array.forward(np.repeat(x[None], reads, axis=0)).astype(np.float64)
    oracle = per_cell_reads(array, x, reads, seed=6)
    spread = oracle.std(axis=0)
    both = np.sqrt(2 / reads)
    assert (np.abs(found.mean(axis=0) - oracle.mean(axis=0)) <= 5 * spread * both).all()
    assert (np.abs(found.var(axis=0) / oracle.var(axis=0) - 1) <= 5 * np.sqrt(2 * 2 / reads)).all()
    g = array.conductance_uS().astype(np.float64).reshape(ROWS, COLS, 2)
    law = np.square(x) @ np.square(0.03 * g + 0.13).sum(axis=2) / (12 - 0.1) ** 2
    assert (np.abs(found.var(axis=0) / law - 1) <= 5 * np.sqrt(2 / reads)).all()
    check_mean(found - x @ array.weights(), 0)
    helpers.check_uncorrelated(found[:, 1:] - found[:, 1:].mean(0), found[:, :-1] - found[:, :-1].mean(0))
    helpers.check_uncorrelated(found[1:] - found.mean(0), found[:-1] - found.mean(0))


def test_successive_reads_draw_noise_of_their_own():
    array, x = made(PCM, 8, 200), inputs(20, 8)
    exact = x @ array.weights()
    first, second = array.forward(x) - exact, array.forward(x) - exact
    helpers.check_uncorrelated(first, second)
    norms = np.stack([array.column_norms() for _ in range(2)])
    assert (norms[0] != norms[1]).mean() > 0.99


def test_read_noise_follows_the_drifted_conductance():
    array = made(PCM, seed=5)
    array.advance(1e8)
    found = array.forward(np.ones((4000, ROWS))).astype(np.float64)
    g = array.conductance_uS().astype(np.float64).reshape(ROWS, COLS, 2)
    law = np.square(0.03 * g + 0.13).sum(axis=(0, 2)) / (12 - 0.1) ** 2
    assert (np.abs(found.var(axis=0) / law - 1) <= 5 * np.sqrt(2 / 4000)).all()


def test_read_noise_as_a_number_is_a_share_of_g_max():
    array = made(IDEAL, read=ReadPath(read_noise=0.02))
    found = array.forward(np.ones((4000, ROWS))).astype(np.float64)
    law = np.full(COLS, 2 * ROWS * 2.0**2 / 100**2)
    assert (np.abs(found.var(axis=0) / law - 1) <= 5 * np.sqrt(2 / 4000)).all()
    assert not made(PCM, read=ReadPath(read_noise=None)).device.has_read_noise


# Calibration


def test_calibration_sets_the_range_from_typical_inputs_and_leaves_no_trace():
    array, twin = made(PCM, seed=7), made(PCM, seed=7)
    x = inputs(200)
    before = helpers.bits(array)
    found = array.calibrate(x, percentile=90.0, margin=1.5)
    scaled = x / np.abs(x).max(axis=1, keepdims=True)
    currents = np.abs(scaled @ (array.weights() * F(12 - 0.1)))
    assert found == pytest.approx(1.5 * np.percentile(currents, 90), rel=1e-5)
    changed = {name for name, value in helpers.bits(array).items() if value != before[name]}
    assert changed == {"adc_range_uS"}
    np.testing.assert_array_equal(array.forward(x), twin.forward(x))


def test_a_calibrated_adc_does_not_clip_the_inputs_it_has_seen():
    array = made(quiet_pcm(), read=ReadPath(adc_bits=8))
    x = inputs(300)
    lsb = array.calibrate(x) / 127
    error = array.forward(x) - x @ array.weights()
    assert array.ledger.adc_clipped == 0
    worst = lsb / 2 / (12 - 0.1) * np.abs(x).max(axis=1, keepdims=True)
    assert (np.abs(error) <= worst * 1.001 + 1e-6).all()
    array.calibrate(np.zeros((3, ROWS)))
    assert array.forward(x).any(), "silent inputs leave the range alone"


def test_the_range_assumed_at_programming_hardly_clips_evenly_spread_inputs():
    rng = np.random.default_rng(0)
    for low in (0.0, -1.0):
        array = made(IDEAL, 100, 20, small_weights(100, 20), read=ReadPath(adc_bits=8, input_range=1.0))
        array.forward(rng.uniform(low, 1, (1000, 100)))
        assert array.ledger.adc_clipped < 0.001 * 20_000


# Time


def test_forward_follows_the_drift_law_once_the_clock_moves():
    array, x = made(quiet_pcm(), read=ReadPath(read_noise=None)), inputs(5)
    start = array.forward(x)
    array.advance(1000.0)
    close(array.forward(x), start * (1000 / 38.6) ** -0.04)
    array.advance(1e6 - 1000.0)
    close(array.forward(x), start * (1e6 / 38.6) ** -0.04)
    assert array.now_s == 1e6
    close(array.weights(), small_weights(ROWS, COLS) * (1e6 / 38.6) ** -0.04)


def test_advancing_in_steps_ends_in_the_same_bits_as_at_once():
    once, steps = made(PCM), made(PCM)
    once.advance(96.0)
    for _ in range(3):
        steps.advance(32.0)
    np.testing.assert_array_equal(once.conductance_uS(), steps.conductance_uS())
    np.testing.assert_array_equal(once.forward(inputs(4)), steps.forward(inputs(4)))


def test_drift_can_be_switched_off_and_stands_still_until_time_moves():
    frozen, law = made(PCM, read=ReadPath(drift=False)), made(PCM)
    np.testing.assert_array_equal(frozen.conductance_uS(), law.conductance_uS())
    for array in (frozen, law):
        array.advance(1e7)
    assert (law.conductance_uS() < frozen.conductance_uS()).all()
    np.testing.assert_array_equal(frozen.conductance_uS(), made(PCM).conductance_uS())
    steady = made(HFO2)
    before = steady.conductance_uS()
    steady.advance(1e9)
    np.testing.assert_array_equal(steady.conductance_uS(), before)


# Updates and decay


def test_readback_decay_equals_exact_decay_on_average():
    """Each weight loses decay (w + noise): zero mean error, spread decay sigma, five standard errors."""
    read, rows, cols = ReadPath(read_noise=0.02), 100, 40
    weights, decay = small_weights(rows, cols), np.full(cols, 0.25, F)
    array = made(IDEAL, rows, cols, weights, read=read, write=WritePath(decay_mode="readback"))
    before = array.weights()
    array.update(np.zeros((1, rows)), np.zeros((1, cols)), decay)
    error = array.weights().astype(np.float64) - before * 0.75
    sigma = 0.25 * np.sqrt(2) * 2.0 / 100
    check_mean(error, 0, sigma)
    helpers.check_std(error, sigma, extra=1e-6)
    assert array.ledger.rows_read_back == rows


def test_readback_waits_until_the_threshold_and_then_takes_all_that_has_gathered():
    array = made(quiet_pcm(), write=WritePath(decay_mode="readback", decay_threshold=0.05))
    fine = made(IDEAL, write=WritePath(decay_mode="readback", decay_threshold=0.05))
    before, still = fine.weights(), (np.zeros((1, ROWS)), np.zeros((1, COLS)))
    decay = np.full(COLS, 0.02, F)
    decay[0] = 0.0
    for looks in (0, 0, ROWS, ROWS, ROWS, 2 * ROWS):
        fine.update(*still, decay)
        array.update(*still, decay)
        assert fine.ledger.rows_read_back == array.ledger.rows_read_back == looks
    close(fine.weights()[:, 1:], before[:, 1:] * 0.94**2)
    np.testing.assert_array_equal(fine.weights()[:, 0], before[:, 0])


def test_readback_passes_through_the_adc_of_a_single_pair():
    array = made(IDEAL, read=ReadPath(adc_bits=4), write=WritePath(decay_mode="readback"))
    before = array.weights()
    array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), np.full(COLS, 0.5, F))
    seen = np.rint(before * 7) / 7
    close(array.weights(), before - 0.5 * seen)


def test_negative_decay_grows_weights_through_readback():
    array = made(IDEAL)
    before = array.weights()
    array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), np.full(COLS, -0.1, F))
    close(array.weights(), before * 1.1)


def test_device_decay_shrinks_soft_bounds_columns_in_proportion():
    """A depression pulse removes step / |s_min| of the distance to the lower bound on both devices."""
    law = quiet()
    array = made(law, write=WritePath(decay_mode="device"))
    before, share = array.weights(), law.depression_share
    decay = np.zeros(COLS, F)
    decay[1], decay[2], decay[3] = 1.01 * share, 3.01 * share, 0.5 * share
    decay[4] = -0.9
    pulses = array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), decay)
    assert pulses == 2 * ROWS * (1 + 3)
    expected = before.copy()
    expected[:, 1] *= 1 - share
    expected[:, 2] *= (1 - share) ** 3
    close(array.weights(), expected)
    assert array.ledger.rows_read_back == 0
    array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), decay)
    expected[:, 1] *= 1 - share
    expected[:, 2] *= (1 - share) ** 3
    expected[:, 3] *= 1 - share
    close(array.weights(), expected)


@pytest.mark.parametrize("name", [PCM, IDEAL])
def test_device_decay_needs_proportional_depression(name):
    with pytest.raises(CapabilityError, match="readback"):
        Crossbar((3, 2), name, write=WritePath(decay_mode="device"))


def test_saturated_pcm_pairs_are_refreshed_and_counted_apart_from_pulses():
    array = made(PCM, write=WritePath(refresh_every=3), weights=np.zeros((ROWS, COLS)))
    rng = np.random.default_rng(0)
    given = 0
    for step in range(1, 61):
        post = np.where(rng.random((1, COLS)) < 0.5, -1, 1) * 0.13
        given += array.update(np.ones((1, ROWS)), post)
        assert array.ledger.refresh_looks == step // 3
    ledger = array.ledger
    assert ledger.refreshed_pairs > ROWS * COLS
    assert ledger.pulses == given
    each = 2 * 36 * PJ + 20 * 6.75 * PJ
    assert ledger.refresh_J == pytest.approx(ledger.refreshed_pairs * each, rel=1e-6)
    assert ledger.rows_read_back == 20 * ROWS
    g = array.conductance_uS().reshape(-1, 2)
    assert not ((g.max(axis=1) > 9) & (g.min(axis=1) > 3)).any(), "the last update ended in a look"
    never = made(PCM, write=WritePath(refresh_every=None))
    for _ in range(60):
        never.update(np.ones((1, ROWS)), np.full((1, COLS), 0.13))
    assert never.ledger.refresh_looks == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", BUILT_IN)
def test_updates_move_weights_the_way_that_is_asked(name, mode):
    """The mean change of many pairs follows +, - and 0 on every device in every mode."""
    coarse = devices.load(IDEAL).with_parameters(step_share=0.01)
    array = made(
        coarse if name == IDEAL else name, 60, 9, np.zeros((60, 9)), write=WritePath(refresh_every=None)
    )
    before = array.weights()
    post = np.tile([0.2, -0.2, 0.0], (1, 3))
    returned = array.update(np.ones((1, 60)), post, mode=mode)
    moved = (array.weights() - before).mean(axis=0).reshape(3, 3).mean(axis=0)
    assert moved[0] > 0.01
    assert moved[1] < -0.01
    assert moved[2] == 0
    assert returned == array.ledger.pulses > 0


# Energy


def test_the_energy_of_a_read_is_the_one_computed_by_hand():
    """Devices V^2 x^2 G t; periphery: 3 DACs, 2 ADCs, 3 word lines of 4 cells."""
    weights = [[0.5, -0.5], [0.0, 0.0], [1.0, 0.25]]
    array = made(IDEAL, 3, 2, weights, read=ReadPath(dac_bits=8, adc_bits=8))
    array.ledger.__dict__.update(type(array.ledger)().__dict__)
    array.forward([[2.0, 1.0, -2.0]])
    volts = np.array([1.0, 64 / 127, -1.0])
    devices_J = 0.2**2 * (np.square(volts) @ [200.0, 200.0, 200.0]) * 1e-6 * 100e-9
    assert array.ledger.read_J == pytest.approx(devices_J, rel=1e-6)
    dac, adc = 50e-15 * 8 * 0.81, (100e-15 * 8 + 0.001e-15 * 4**8) * 0.81
    line = 2.1e-15 * 4 * 0.2**2
    assert array.ledger.read_periphery_J == pytest.approx(3 * dac + 2 * adc + 3 * line, rel=1e-9)
    assert array.ledger.reads == 1
    assert array.ledger.update_J == 0


@pytest.mark.parametrize(("bits", "picojoule"), [(4, 0.324), (6, 0.489), (8, 0.701), (10, 1.66)])
def test_the_adc_costs_what_zigzag_says(bits, picojoule):
    """(100 b + 0.001 4^b) fJ V^2 at 0.9 V (ZigZag, facts 6); DAC 50 fF b V^2: 0.32 pJ at 8 bits."""
    assert Periphery().adc_J(bits) / PJ == pytest.approx(picojoule, rel=0.005)
    assert Periphery().dac_J(8) / PJ == pytest.approx(0.32, rel=0.02)
    assert Periphery().adc_J(None) == Periphery().adc_J(8)


def test_the_energy_of_learning_pulses_is_the_one_computed_by_hand():
    """Two SET pulses of 6.75 pJ; a bit line of 3 cells charged to 1.5 V for each; one product of 0.3 pJ a cell."""
    array = made(PCM, 3, 2, np.zeros((3, 2)))
    step = 0.75 / (12 - 0.1)
    pre = np.array([[0, 1, 0]])
    assert array.update(pre, [[2 * step + 1e-6, 0]], mode="mixed") == 2
    ledger = array.ledger
    assert (ledger.pulses, ledger.pulsed_cells, ledger.updates) == (2, 1, 1)
    assert ledger.write_J == pytest.approx(2 * 6.75 * PJ, rel=1e-6)
    line = 2.1e-15 * 3 * 1.5**2
    products, memory = 2 * 0.3 * PJ, 2 * 6 * 5 * PJ
    assert ledger.write_periphery_J == pytest.approx(2 * line + products + memory, rel=1e-6)
    assert ledger.program_J == pytest.approx(12 * 20 * 6.75 * PJ, rel=1e-6)
    assert ledger.programmed_cells == 12


def test_the_energy_of_a_soft_bounds_update_is_the_one_computed_by_hand():
    """V^2 (G_before + G_after) / 2 t for each device of the pair, up and down."""
    law = quiet()
    array = made(law, 1, 1, [[0.0]])
    step = law.step * law.span_uS
    array.update([[1.0]], [[2 * step / 80 + 1e-7]], mode="mixed")
    np.testing.assert_allclose(array.conductance_uS(), [[50 + step, 50 - step]], rtol=1e-6)
    by_hand = 1.6**2 * 50e-9 * 1e-6 * ((50 + 50 + step) / 2 + (50 + 50 - step) / 2)
    assert array.ledger.write_J == pytest.approx(by_hand, rel=1e-6)


def test_row_reads_for_norms_are_counted_with_their_energy():
    array = made(IDEAL, 3, 2, np.zeros((3, 2)), read=ReadPath(adc_bits=6))
    array.column_norms()
    assert array.ledger.rows_read_back == 3
    assert array.ledger.readback_J == pytest.approx(0.2**2 * 3 * 200e-6 * 100e-9, rel=1e-6)
    per_row = 2 * Periphery().adc_J(6) + 2.1e-15 * 4 * 0.2**2
    assert array.ledger.write_periphery_J == pytest.approx(3 * per_row, rel=1e-9)


@pytest.mark.parametrize("name", BUILT_IN)
def test_energies_and_counts_add_up_over_operations(name):
    array, x = made(name, seed=8), inputs(150)
    start = array.ledger.to_array()
    array.forward(x)
    whole = array.ledger.to_array() - start
    parts = np.zeros_like(whole)
    for one in x:
        before = array.ledger.to_array()
        array.forward(one[None])
        parts += array.ledger.to_array() - before
    np.testing.assert_allclose(parts, whole, rtol=1e-6, atol=1e-20)
    total = array.ledger.update_J
    for step in range(4):
        before = array.ledger.update_J
        array.update(*local_update(ROWS, COLS, 4, seed=step, scale=0.1))
        total += array.ledger.update_J - before
    assert array.ledger.update_J == pytest.approx(total, rel=1e-12)
    assert (array.ledger.to_array() >= 0).all()


def test_the_energy_entry_of_results_agrees_with_the_ledger():
    array = made(PCM, write=WritePath(refresh_every=2))
    for step in range(6):
        array.update(*local_update(ROWS, COLS, 4, seed=step, scale=0.3))
    array.forward(inputs(3))
    entry, ledger = array.ledger.energy(ROWS * COLS), array.ledger
    assert entry["update_J"] == ledger.write_J + ledger.refresh_J + ledger.readback_J
    assert entry["update_J_per_synapse"] == pytest.approx(entry["update_J"] / (6 * ROWS * COLS))
    assert entry["periphery_J"] == ledger.write_periphery_J + ledger.read_periphery_J
    assert (entry["pulses"], entry["updates"]) == (ledger.pulses, 6)
    assert made(PCM).ledger.energy(10)["update_J_per_synapse"] == 0


# Checkpoints


def busy(array: Crossbar, start: int, steps: int) -> list[np.ndarray]:
    """Some of everything; returns what was read."""
    seen = []
    for step in range(start, start + steps):
        array.update(*local_update(*array.shape, 5, seed=step, scale=0.1), MODES[step % 3])
        seen.append(array.forward(inputs(7, array.shape[0], seed=step)))
        seen.append(array.column_norms())
        array.advance(float(step))
    return seen


@pytest.mark.filterwarnings("ignore::neurosim.crossbar.reader.ClippingWarning")
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_restored_array_goes_on_with_the_same_bits(name):
    read, write = ReadPath(dac_bits=6, adc_bits=8), WritePath(refresh_every=2)
    array = made(name, seed=9, read=read, write=write)
    busy(array, 0, 5)
    array.calibrate(inputs(9))
    saved = array.snapshot()
    frozen = {key: value.copy() for key, value in saved.items()}
    expected = busy(array, 5, 5)
    for name_, value in saved.items():
        np.testing.assert_array_equal(value, frozen[name_], err_msg="a snapshot is a copy")
    other = Crossbar((ROWS, COLS), name, seed=9, read=read, write=write)
    other.restore(saved)
    found = busy(other, 5, 5)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert helpers.bits(other) == helpers.bits(array)
    array.restore(saved)
    again = busy(array, 5, 5)
    np.testing.assert_array_equal(again[-1], expected[-1])
    assert helpers.bits(other) == helpers.bits(array)


def test_a_snapshot_does_not_disturb_what_follows():
    watched, alone = made(PCM, seed=2), made(PCM, seed=2)
    for step in range(3):
        watched.snapshot()
        busy(watched, step, 1)
        busy(alone, step, 1)
    assert helpers.bits(watched) == helpers.bits(alone)


@pytest.mark.parametrize(
    ("shape", "device"),
    [
        ((COLS, ROWS), PCM),
        ((ROWS, COLS + 1), PCM),
        ((1, ROWS * COLS), PCM),
        ((ROWS * COLS, 1), PCM),
        ((ROWS, COLS), HFO2),
    ],
    ids=["transposed", "larger", "one row", "one column", "other device"],
)
def test_a_snapshot_of_another_array_is_refused_and_changes_nothing(shape, device):
    array, other = made(PCM), Crossbar(shape, device)
    before = helpers.bits(array)
    with pytest.raises(CheckpointError, match="does not fit"):
        array.restore(other.snapshot())
    assert helpers.bits(array) == before


@pytest.mark.parametrize("missing", sorted(Crossbar((2, 2), PCM).snapshot()))
def test_an_incomplete_snapshot_is_refused(missing):
    array = made(PCM)
    saved = array.snapshot()
    del saved[missing]
    with pytest.raises(CheckpointError, match=missing):
        array.restore(saved)


# Requests that make no sense


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda a: a.program(np.zeros((3, 2))), r"weights: expected shape"),
        (lambda a: a.program(np.full((ROWS, COLS), np.nan)), "weights: .* NaN or infinite"),
        (lambda a: a.forward(np.zeros(ROWS)), "x: expected shape"),
        (lambda a: a.forward(np.zeros((1, COLS))), "x: expected shape"),
        (lambda a: a.forward(np.full((1, ROWS), np.inf)), "x: .* NaN or infinite"),
        (lambda a: a.forward([["a"] * ROWS]), "x: expected numbers"),
        (lambda a: a.update(np.zeros((2, ROWS)), np.zeros((3, COLS))), "post: expected shape"),
        (
            lambda a: a.update(np.zeros((2, ROWS)), np.zeros((2, COLS)), np.zeros(ROWS)),
            "decay: expected shape",
        ),
        (lambda a: a.update(np.zeros((2, ROWS)), np.full((2, COLS), np.nan)), "post: .* NaN"),
        (lambda a: a.update(np.zeros((2, ROWS)), np.zeros((2, COLS)), mode="fast"), "mode = 'fast'"),
        (lambda a: a.advance(-1.0), "seconds = -1"),
        (lambda a: a.advance(float("nan")), "seconds = nan"),
        (lambda a: Crossbar((0, 3), PCM), "shape"),
        (lambda a: Crossbar((3, 2), 5), "device"),
    ],
)
def test_senseless_requests_are_refused_in_words_and_change_nothing(call, said):
    array = made(PCM)
    before = helpers.bits(array)
    with pytest.raises(InputError, match=said):
        call(array)
    assert helpers.bits(array) == before


def test_an_empty_batch_is_read_and_learned_as_nothing():
    array = made(PCM)
    before = array.conductance_uS()
    assert array.forward(np.zeros((0, ROWS))).shape == (0, COLS)
    for mode in MODES:
        assert array.update(np.zeros((0, ROWS)), np.zeros((0, COLS)), mode=mode) == 0
    np.testing.assert_array_equal(array.conductance_uS(), before)


# Memory


def peak_of(action: Any) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", MODES)
def test_updates_need_little_memory_beyond_the_state(mode):
    """Scratch below half the state, and below one array of changes (rows x cols float32)."""
    array = made(FINE, 512, 512)
    pre, post, decay = local_update(512, 512, 8, seed=0, scale=0.001)
    array.update(pre, post, decay, mode)
    needed = peak_of(lambda: array.update(pre, post, decay, mode))
    given = pre.nbytes + post.nbytes + decay.nbytes
    assert needed <= 0.5 * array.state_bytes + given
    if mode != "online":
        assert needed <= 512 * 512 * 4 + given


def test_reads_need_no_second_array():
    array = made(FINE, 512, 512)
    x = np.zeros((1024, 512), F)
    array.forward(x)
    assert peak_of(lambda: array.forward(x)) <= 0.5 * array.state_bytes + 2 * x.nbytes
    assert array.state_bytes == 2 * 512 * 512 * 6 * 4
