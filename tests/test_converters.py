"""Converters: encodings, ranges, gain and offset, saturation, settling, electronic noise; each against an oracle."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, F, close, inputs, made
from helpers import HFO2, IDEAL, PCM, quiet_pcm

from neurosim import Crossbar, ReadPath, Tiles, WritePath
from neurosim.core.cautions import ClippingWarning
from neurosim.core.errors import ConfigError
from neurosim.crossbar.converters import positive_codes

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.ClippingWarning")

SEPARATE = WritePath(pair="separate")


def read_of(**settings) -> ReadPath:
    return ReadPath(**{"read_noise": None, **settings})


def arms(array: Crossbar) -> tuple[np.ndarray, np.ndarray]:
    g = array.conductance_uS().astype(np.float64)
    return g[:, ::2], g[:, 1::2]


# Encodings


@pytest.mark.parametrize("encoding", ["amplitude", "pulse-width", "bit-serial"])
def test_every_encoding_multiplies_by_the_codes(encoding):
    """With a perfect ADC the three ways of applying one code give one result."""
    array = made(IDEAL, read=read_of(dac_bits=6, encoding=encoding))
    x = inputs(30)
    scale = np.abs(x).max(axis=1, keepdims=True)
    close(array.forward(x), scale * np.rint(x / scale * 31) / 31 @ array.weights(), 1e-5)


def test_bits_are_converted_one_by_one_and_added_by_their_worth():
    array = made(IDEAL, read=read_of(dac_bits=4, adc_bits=5, adc_range_uS=120.0, encoding="bit-serial"))
    x = inputs(20)
    scale = np.abs(x).max(axis=1, keepdims=True)
    codes = np.rint(x / scale * 7)
    plus, minus = arms(array)
    total, clear = np.zeros((20, COLS)), np.ones((20, COLS), bool)
    for place in range(3):
        bits = np.sign(codes) * ((np.abs(codes).astype(int) >> place) & 1)
        steps = bits @ (plus - minus) / (120.0 / 15)
        clear &= np.abs(steps - np.floor(steps) - 0.5) > 1e-4
        total += np.clip(np.rint(steps), -15, 15) * (120.0 / 15) * 2**place / 7
    assert clear.mean() > 0.9
    expected = total * scale / 100
    np.testing.assert_allclose(array.forward(x)[clear], expected[clear], rtol=1e-4, atol=1e-5)
    assert array.ledger.conversions == 20 * COLS * 3


def test_bit_serial_needs_a_number_of_bits():
    with pytest.raises(ConfigError, match="dac_bits"):
        Crossbar((2, 2), IDEAL, read=ReadPath(encoding="bit-serial"))


@pytest.mark.parametrize("encoding", ["amplitude", "pulse-width", "bit-serial"])
def test_read_noise_follows_the_encoding(encoding):
    """Variance: V^2 of a height; V times the time of a length; of each bit on its own, weighted by its worth."""
    array = made(PCM, read=ReadPath(dac_bits=5, encoding=encoding))
    x = np.tile(inputs(1), (4000, 1))
    v = np.rint(x[0] / np.abs(x[0]).max() * 15) / 15
    plus, minus = arms(array)
    cell = np.square(0.03 * plus + 0.13) + np.square(0.03 * minus + 0.13)
    codes = np.rint(np.abs(v) * 15).astype(int)
    bitwise = sum(((codes >> place) & 1) * (2.0**place / 15) ** 2 for place in range(4))
    share = {"amplitude": v * v, "pulse-width": np.abs(v), "bit-serial": bitwise}[encoding]
    expected = share @ cell * (np.abs(x[0]).max() / (12 - 0.1)) ** 2
    found = array.forward(x).astype(np.float64).var(axis=0)
    assert np.abs(found / expected - 1).max() < 5 * np.sqrt(2 / 4000)


# Ranges


def test_full_scale_is_every_input_on_every_cell_at_its_end():
    array = made(IDEAL, read=read_of(adc_bits=8, adc_range="full-scale"))
    assert array.calibrate(inputs(50)) == ROWS * 100, "calibration leaves it"


def test_a_granular_code_is_one_step_of_a_device_under_the_smallest_input():
    settings = {"adc_bits": 8, "dac_bits": 4, "adc_range": "granular"}
    step = made(HFO2).device.nominal_step_uS
    assert made(HFO2, read=read_of(**settings)).calibrate(inputs(5)) == pytest.approx(127 * step / 7)
    serial = made(HFO2, read=read_of(encoding="bit-serial", **settings))
    assert serial.calibrate(inputs(5)) == pytest.approx(127 * step)
    with pytest.raises(ConfigError, match="dac_bits"):
        Crossbar((2, 2), HFO2, read=ReadPath(adc_bits=8, adc_range="granular"))


def test_the_default_range_is_sensible_where_full_scale_is_not():
    """512 random rows, 8 bits: full scale loses tens of per cent (CrossSim's MAX, 42 %), the default a few."""
    rng = np.random.default_rng(0)
    weights, x = rng.uniform(-1, 1, (512, 32)), rng.uniform(-1, 1, (200, 512)).astype(F)

    def error(**settings) -> float:
        array = made(IDEAL, 512, 32, weights, read=read_of(dac_bits=8, adc_bits=8, **settings))
        exact = x @ array.weights()
        return float(np.sqrt(np.square(array.forward(x) - exact).mean() / np.square(exact).mean()))

    with warnings.catch_warnings():
        warnings.simplefilter("error", ClippingWarning)
        assert error() < 0.02
        assert error(adc_range="full-scale") > 0.10


def test_a_given_range_stays():
    array = made(IDEAL, read=read_of(adc_bits=8, adc_range_uS=33.0))
    assert array.calibrate(inputs(50)) == 33.0


# Errors of converters and amplifiers


def test_gain_and_offset_are_drawn_once_for_each_column():
    plain = made(IDEAL, read=read_of(adc_bits=None))
    spread = made(IDEAL, read=read_of(adc_gain_spread=0.02))
    x = inputs(40)
    gain = spread.forward(x) / plain.forward(x)
    np.testing.assert_allclose(gain, np.tile(gain[0], (40, 1)), rtol=1e-4)
    assert 0.005 < (gain[0] - 1).std() < 0.05
    np.testing.assert_array_equal(
        spread.forward(x), made(IDEAL, read=read_of(adc_gain_spread=0.02)).forward(x)
    )
    shifted = made(IDEAL, read=read_of(adc_offset_lsb=2.0, input_range=1.0))
    shift = shifted.forward(x) - made(IDEAL, read=read_of(input_range=1.0)).forward(x)
    np.testing.assert_allclose(shift, np.tile(shift[0], (40, 1)), atol=1e-5)
    assert shift[0].std() > 0


def test_an_amplifiers_offset_counts_with_the_conductance_of_its_line():
    """I = v_os sum G: of one bit line alone, doubled by twice the conductance."""
    settings = read_of(amplifier_offset_V=1e-3, input_range=1.0)
    silent = np.zeros((1, ROWS), F)
    found = {}
    for weight in (0.0, 0.5):
        array = made(IDEAL, weights=np.full((ROWS, COLS), weight), read=settings, write=SEPARATE)
        plus, minus = arms(array)
        found[weight] = array.forward(silent)[0], plus.sum(axis=0), minus.sum(axis=0)
    reader = array._reader.converters.amplifier_V[:, 0] / 0.2
    for leak, plus, minus in found.values():
        np.testing.assert_allclose(leak, (reader[0] * plus - reader[1] * minus) / 100, rtol=1e-4)


def test_integrators_saturate_and_say_so():
    array = made(IDEAL, read=read_of(saturation_uS=10.0, input_range=1.0))
    plus, minus = arms(array)
    x = inputs(60)
    with pytest.warns(ClippingWarning, match="integrators saturated at 10 uS; .*saturation_uS"):
        found = array.forward(x)
    exact = x @ (plus - minus)
    close(found, np.clip(exact, -10, 10) / 100, 1e-4)
    assert array.ledger.saturated == (np.abs(exact) > 10).sum() > 0
    assert array.ledger.adc_clipped == 0


def test_a_conversion_that_saturates_and_clips_is_not_counted_twice():
    array = made(IDEAL, read=read_of(saturation_uS=1e-3, input_range=1.0, adc_bits=4, adc_range_uS=1e-4))
    with pytest.warns(ClippingWarning):
        array.forward(inputs(60))
    ledger = array.ledger
    assert ledger.saturated > 0.9 * ledger.conversions
    assert ledger.clipped_share <= 1


def test_a_read_ends_before_the_line_has_settled():
    found = made(IDEAL, read=read_of(settling_time_s=50e-9)).forward(inputs(5))
    close(found, (1 - np.exp(-2)) * made(IDEAL, read=read_of()).forward(inputs(5)), 1e-5)


# Electronic noise


def test_thermal_noise_is_that_of_the_lines_conductance():
    """4 k T G B at 300 K; 25 uS, 10 MHz, 0.2 V: 2.04 nA, as in the facts."""
    read = read_of(thermal_noise_K=300.0, input_range=1.0, integration_time_s=50e-9)
    array = made(IDEAL, read=read)
    x = np.tile(inputs(1), (4000, 1))
    found = array.forward(x).astype(np.float64).std(axis=0) * 100 * 0.2e-6
    total_S = sum(arm.sum(axis=0) for arm in arms(array)) * 1e-6
    np.testing.assert_allclose(found, np.sqrt(4 * 1.380649e-23 * 300 * total_S * 1e7), rtol=5 / np.sqrt(8000))
    assert np.sqrt(4 * 1.380649e-23 * 300 * 25e-6 * 1e7) == pytest.approx(2.04e-9, rel=0.01)


def test_shot_noise_is_that_of_all_currents_of_a_pair():
    """2 q |I| B of what flows, not of the difference; 5 uA and 10 MHz: 4.0 nA."""
    array = made(IDEAL, read=read_of(shot_noise=True, input_range=1.0, integration_time_s=50e-9))
    x = np.tile(inputs(1), (4000, 1))
    found = array.forward(x).astype(np.float64).std(axis=0) * 100 * 0.2e-6
    current = 0.2 * np.abs(x[0]) @ sum(arms(array)) * 1e-6
    np.testing.assert_allclose(found, np.sqrt(2 * 1.602177e-19 * current * 1e7), rtol=5 / np.sqrt(8000))
    assert np.sqrt(2 * 1.602177e-19 * 5e-6 * 1e7) == pytest.approx(4.0e-9, rel=0.01)


# Separate pairs, tiles


def test_separate_pairs_are_converted_apart_and_subtracted_after():
    array = made(IDEAL, write=SEPARATE, read=read_of(adc_bits=6, adc_range_uS=900.0, input_range=1.0))
    x = inputs(50)
    step, codes = 900 / 31, 31
    whole = [np.rint(x @ arm / step) for arm in arms(array)]
    expected = (np.clip(whole[0], -codes, codes) - np.clip(whole[1], -codes, codes)) * step / 100
    found = array.forward(x)
    assert (np.abs(found - expected) < 1e-4).mean() > 0.999
    assert array.ledger.conversions == 2 * 50 * COLS


@pytest.mark.parametrize("device", [IDEAL, PCM])
@pytest.mark.parametrize("lines", [3, 8, 17])
def test_results_do_not_depend_on_tiles_while_the_periphery_is_ideal(device, lines):
    """The same bits: reads with their noise, norms, updates."""
    found = []
    for tiles in (None, Tiles(word_lines=lines, bit_lines=lines)):
        array = made(device, tiles=tiles)
        pulses = array.update(inputs(4), np.full((4, COLS), 0.01), mode="mixed")
        found.append((array.forward(inputs(50)), array.column_norms(), array.conductance_uS(), pulses))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_fine_converters_on_small_tiles_add_up_to_the_whole():
    array = made(IDEAL, tiles=Tiles(word_lines=5, bit_lines=4), read=read_of(adc_bits=16))
    array.calibrate(inputs(50))
    assert array._reader.converters.apart
    close(array.forward(inputs(50)), inputs(50) @ array.weights(), 2e-4)


def test_partial_sums_of_tiles_are_converted_and_added():
    """Rows 0-11 and 12-23 lie in two arrays with an ADC each."""
    read = read_of(adc_bits=6, adc_range_uS=150.0, input_range=1.0)
    array = made(IDEAL, read=read, tiles=Tiles(word_lines=12, bit_lines=6))
    plus, minus = arms(array)
    x, step = inputs(50), 150 / 31
    parts = [x[:, rows] @ (plus - minus)[rows] for rows in (slice(0, 12), slice(12, 24))]
    expected = sum(np.clip(np.rint(part / step), -31, 31) for part in parts) * step / 100
    assert (np.abs(array.forward(x) - expected) < 1e-4).mean() > 0.999
    assert array.ledger.conversions == 2 * 50 * COLS


def test_each_tile_calibrates_its_own_range():
    weights = np.zeros((ROWS, COLS))
    weights[:12, :5], weights[12:, 5:] = 0.9, 0.09
    array = made(IDEAL, weights=weights, read=read_of(adc_bits=8), tiles=Tiles(word_lines=12, bit_lines=10))
    array.calibrate(inputs(100))
    ranges = array._reader.converters.range_uS[0]
    assert ranges.shape == (2, 2)
    assert ranges[0, 0] == pytest.approx(10 * ranges[1, 1], rel=0.5)


def test_tiles_cost_converters_and_digital_sums():
    whole, tiled = made(IDEAL), made(IDEAL, tiles=Tiles(word_lines=12, bit_lines=10))
    for array in (whole, tiled):
        array.forward(inputs(1))
    periphery = whole.periphery
    more = ROWS * periphery.dac_J(None) + COLS * (periphery.adc_J(None) + periphery.mac_pJ * 1e-12)
    found = tiled.ledger.read_periphery_J - whole.ledger.read_periphery_J
    assert found == pytest.approx(more)


# Mapping


def test_an_offset_column_is_one_device_a_row_and_tile():
    array = made(PCM, write=WritePath(mapping="offset"), tiles=Tiles(bit_lines=6))
    g = array.conductance_uS()
    assert len(array._reader.converters.across) == 2
    for columns in (slice(0, 5), slice(5, 10)):
        shared = g[:, 1::2][:, columns]
        np.testing.assert_array_equal(shared, np.tile(shared[:, :1], (1, 5)))
    assert not np.array_equal(g[:, 1], g[:, 11])
    assert array.ledger.programmed_cells == ROWS * (COLS + 2)
    array.advance(1e4)
    late = array.conductance_uS()
    np.testing.assert_array_equal(late[:, 1], late[:, 9])
    assert (late[:, 1] < g[:, 1]).any()


def test_noise_of_an_offset_column_is_common_to_its_columns():
    """Two columns of equal weights differ by their own noise only."""
    array = made(quiet_pcm(), write=WritePath(mapping="offset"), read=ReadPath(read_noise=0.02))
    x = np.tile(inputs(1), (4000, 1))
    y = array.forward(x).astype(np.float64)
    v = np.square(x[0] / np.abs(x[0]).max()).sum() * (0.02 * 12) ** 2
    scale = np.abs(x[0]).max() / array._cells.uS_per_weight[0]
    covariance = np.cov(y[:, 0], y[:, 1]) / scale**2
    np.testing.assert_allclose(covariance, [[2 * v, v], [v, 2 * v]], rtol=0.15)


@pytest.mark.parametrize("sides", ["one", "two"])
def test_a_pair_is_one_or_two_sided(sides):
    array = made(IDEAL, 2, 1, [[0.5], [-1.0]], write=WritePath(sides=sides))
    expected = {"one": [[50, 0], [0, 100]], "two": [[75, 25], [0, 100]]}[sides]
    close(array.conductance_uS(), expected)
    close(array.weights(), [[0.5], [-1.0]])


def test_the_scale_follows_the_weights():
    weights = np.outer(np.linspace(-1, 1, ROWS), np.linspace(0.01, 0.4, COLS))
    fixed = made(IDEAL, weights=weights)
    largest = made(IDEAL, weights=weights, write=WritePath(scale="max"))
    each = made(IDEAL, weights=weights, write=WritePath(scale="max", scale_by="column"))
    for array in (fixed, largest, each):
        close(array.weights(), weights, 1e-5)
        close(array.forward(inputs(9)), inputs(9) @ weights, 1e-5)
    full = [np.abs(np.subtract(*arms(array))).max(axis=0) for array in (fixed, largest, each)]
    assert full[0].max() == pytest.approx(40, rel=1e-4)
    assert full[1].max() == pytest.approx(100, rel=1e-4)
    np.testing.assert_allclose(full[2], 100, rtol=1e-4)
    clipped = made(IDEAL, weights=weights, write=WritePath(scale="percentile", scale_percentile=90))
    assert np.abs(clipped.weights()).max() == pytest.approx(np.percentile(np.abs(weights), 90), rel=1e-4)


def test_a_column_scale_survives_a_snapshot_and_serves_updates():
    write = WritePath(scale="max", scale_by="column")
    weights = np.outer(np.ones(ROWS), np.linspace(0.01, 0.4, COLS))
    array = made(IDEAL, weights=weights, write=write)
    other = Crossbar((ROWS, COLS), IDEAL, write=write)
    other.restore(array.snapshot())
    close(other.weights(), weights, 1e-5)
    other.update(np.ones((1, ROWS)), np.full((1, COLS), -0.005), mode="accumulate")
    assert np.abs(other.weights() - (weights - 0.005)).max() < 0.001


def test_positive_codes():
    assert [positive_codes(bits) for bits in (None, 2, 8)] == [0, 1, 127]
