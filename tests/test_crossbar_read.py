"""Reads of the crossbar, effect by effect: the path, its noise, its calibration, and time."""

from __future__ import annotations

import warnings

import helpers
import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, F, close, inputs, made
from helpers import HFO2, IDEAL, PCM, check_mean, quiet_pcm, small_weights

from neurosim import Crossbar, ReadPath
from neurosim.core.cautions import ClippingWarning
from neurosim.core.errors import ConfigError
from neurosim.core.seeds import key
from neurosim.crossbar.converters import positive_codes
from neurosim.kernels.read import add_noise, convert, quantise_inputs

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
        out, scale = np.zeros((3, 9), F), np.array([1, 2, 0.5], F)
        steps, per_uS = np.full(7, lsb), np.full(9, 0.01, F)
        clipped = convert(current, steps, F(codes), scale, per_uS, 2, True, out)
        code = np.rint(current / lsb)
        assert clipped == (np.abs(code) > codes).sum()
        expected = np.clip(code, -codes, codes) * lsb * (scale * F(0.01))[:, None]
        np.testing.assert_allclose(out[:, 2:], expected, rtol=1e-6)
        assert not out[:, :2].any(), "other columns are left alone"
        convert(current, steps, F(codes), scale, per_uS, 2, False, out)
        np.testing.assert_allclose(out[:, 2:], 2 * expected, rtol=1e-6)


def test_adc_rounds_half_to_even():
    current, out = np.array([[0.5, 1.5, 2.5, -0.5, -2.5]], F), np.empty((1, 5), F)
    convert(current, np.ones(5, F), F(7), np.ones(1, F), np.ones(5, F), 0, True, out)
    np.testing.assert_array_equal(out, [[0, 2, 2, 0, -2]])


def test_read_noise_is_drawn_by_read_and_column():
    stream = key(0, "read")
    current, variance = np.zeros((4, 6), F), np.full((4, 6), 4.0, F)
    add_noise(current, variance, 100, 32 + np.arange(6), 0, stream)
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


def test_variance_of_read_noise_is_that_of_all_cells_within_two_percent():
    """PCM, 0.03 G + 0.13 uS a device (Nandakumar et al. 2018, srnn-pcm): 3e5 columns read, against cell by cell."""
    reads = 30_000
    array, x = made(PCM, seed=5), 3 * inputs(1)[0]
    found = array.forward(np.repeat(x[None], reads, axis=0)).astype(np.float64)
    oracle = per_cell_reads(array, x, reads, seed=7)
    assert (found.var(axis=0) / oracle.var(axis=0)).mean() == pytest.approx(1, abs=0.02)


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


# Products


@pytest.mark.parametrize("name", [IDEAL, PCM, HFO2, "pcm-joshi-2020"])
def test_noise_free_products_equal_torch_in_double_precision(name):
    """Sum over rows of x (G+ - G-) in float32 against torch's matrix product in float64: 1e-5, order of the sum."""
    torch = pytest.importorskip("torch")
    weights, x = small_weights(256, 64), inputs(40, 256)
    array = made(name, 256, 64, weights, read=ReadPath(read_noise=None))
    uS_per_weight = array.device.g_max_uS - array.device.g_min_uS
    for seconds in (0.0, 86_400.0):
        array.advance(seconds)
        g = torch.from_numpy(array.conductance_uS().astype(np.float64))
        exact = torch.from_numpy(x.astype(np.float64)) @ (g[:, ::2] - g[:, 1::2]) / uS_per_weight
        close(array.forward(x), exact.numpy())


# Calibration


def test_calibration_sets_the_range_from_typical_inputs_is_counted_and_leaves_no_other_trace():
    array, twin = made(PCM, seed=7), made(PCM, seed=7)
    x = inputs(200)
    before = helpers.bits(array)
    found = array.calibrate(x, percentile=90.0, margin=1.5)
    scaled = x / np.abs(x).max(axis=1, keepdims=True)
    currents = np.abs(scaled @ (array.weights() * F(12 - 0.1)))
    assert found == pytest.approx(1.5 * np.percentile(currents, 90), rel=1e-5)
    changed = {name for name, value in helpers.bits(array).items() if value != before[name]}
    assert changed == {"adc_range_uS", "ledger"}
    assert array.ledger.counts() == {**twin.ledger.counts(), "calibration_reads": 200}
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
