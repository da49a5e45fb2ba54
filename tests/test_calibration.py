"""Converters that find their ranges by reads of their own: in codes, with noise, counted, and never quite right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, inputs, made
from helpers import PCM, bits, quiet_pcm

import neurosim as ns
from neurosim.core.errors import CapabilityError, CheckpointError, ConfigError
from neurosim.energy.seconds import seconds
from neurosim.study.events import layer_events

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.ClippingWarning")

TILES = ns.Tiles(word_lines=12, bit_lines=8)
X = inputs(400)


def chip(device: Any = PCM, calibration: Any = None, seed: int = 3, **read: Any) -> ns.Crossbar:
    path = {"dac_bits": 8, "adc_bits": 8, **({"calibration": calibration} if calibration else {}), **read}
    return made(device, seed=seed, read=path, tiles=TILES)


def ranges(array: ns.Crossbar) -> np.ndarray:
    return array.snapshot()["adc_range_uS"]


def test_without_noise_and_with_all_inputs_it_ends_within_a_code_of_exact_currents():
    exact, found = chip(quiet_pcm()), chip(quiet_pcm(), {"samples": len(X)})
    before = ranges(found)
    exact.calibrate(X)
    found.calibrate(X)
    code = 1.25 * 0.5 * np.maximum(before, ranges(found)) / 127
    assert (np.abs(ranges(found) - ranges(exact)) <= code).all()
    assert not np.array_equal(ranges(found), ranges(exact))


@pytest.mark.parametrize("off", [100.0, 1 / 20])
def test_a_range_that_is_far_off_is_found_and_each_try_is_counted(off):
    near, far = chip(quiet_pcm(), {"samples": 50}), chip(quiet_pcm(), {"samples": 50, "tries": 10})
    state = far.snapshot()
    far.restore({**state, "adc_range_uS": off * state["adc_range_uS"]})
    near.calibrate(X[:50])
    far.calibrate(X[:50])
    np.testing.assert_allclose(ranges(far), ranges(near), rtol=0.05)
    assert far.ledger.ranging_reads > near.ledger.ranging_reads
    assert far.ledger.ranging_reads % 50 == 0


def test_too_few_tries_leave_a_range_in_which_codes_still_end():
    array = chip(quiet_pcm(), {"tries": 1})
    state = array.snapshot()
    array.restore({**state, "adc_range_uS": state["adc_range_uS"] / 20})
    array.calibrate(X)
    np.testing.assert_allclose(ranges(array), state["adc_range_uS"] / 10)


def test_a_trim_has_steps_and_takes_the_next_larger():
    free, trimmed = chip(calibration={"samples": 40}), chip(calibration={"samples": 40, "step": 0.25})
    free.calibrate(X)
    trimmed.calibrate(X)
    ratio = ranges(trimmed) / ranges(free)
    assert (ratio >= 1 - 1e-6).all()
    assert (ratio <= 1.25 + 1e-6).all()
    steps = np.log(ranges(trimmed) / ranges(trimmed).min()) / np.log(1.25)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)


def test_few_inputs_find_too_narrow_ranges_and_more_of_what_is_read_is_cut():
    """The largest of few currents is below that of many: that is the error that finite samples leave."""
    found = {}
    for samples in (2, 400):
        arrays = [chip(calibration={"samples": samples}, seed=seed, adc_margin=1.0) for seed in range(6)]
        for array in arrays:
            array.calibrate(X)
            array.forward(inputs(400, seed=9))
        found[samples] = (
            np.mean([ranges(array).mean() for array in arrays]),
            np.mean([array.ledger.clipped_share for array in arrays]),
        )
    assert found[2][0] < 0.8 * found[400][0]
    assert found[2][1] > 10 * max(found[400][1], 1e-4)


@pytest.mark.parametrize("noise_K", [None, 1e6])
def test_offsets_are_trimmed_to_what_codes_and_steps_leave(noise_K):
    """Without noise a code, half up or down, hides the rest; noise of some codes, averaged, shows it."""
    read = {"adc_offset_lsb": 5.0, "thermal_noise_K": noise_K}
    trimmed = chip(quiet_pcm(), {"samples": 200, "offset_step_lsb": 0.25}, **read)
    nothing = np.zeros((50, ROWS), np.float32)
    before = np.abs(trimmed._reader.converters.offset).max()
    trimmed.calibrate(X)
    converters = trimmed._reader.converters
    left = converters.offset - converters.trim_lsb
    assert before > 5
    np.testing.assert_allclose(converters.trim_lsb / 0.25, np.rint(converters.trim_lsb / 0.25))
    assert np.abs(left).max() <= (0.5 if noise_K is None else 4 * 2.5 / np.sqrt(200)) + 0.125
    assert left.std() < (0.4 if noise_K is None else 0.25), "of 5 codes, and half a code is 0.29"
    assert (trimmed.ledger.ranging_reads % 200, trimmed.ledger.ranging_reads >= 400) == (0, True)
    if noise_K is None:
        assert (
            np.abs(trimmed.forward(nothing)).max()
            < np.abs(chip(quiet_pcm(), **read).forward(nothing)).max() / 3
        )
    other = chip(quiet_pcm(), {"samples": 200, "offset_step_lsb": 0.25}, **read)
    other.restore(trimmed.snapshot())
    np.testing.assert_array_equal(other.forward(X), trimmed.forward(X))


@pytest.mark.parametrize("encoding", ["amplitude", "bit-serial"])
def test_reads_conversions_seconds_and_joules_are_counted(encoding):
    """One try of 20 inputs: two rows of three tiles, all of which convert."""
    array = chip(quiet_pcm(), {"samples": 20, "tries": 1}, dac_bits=4, encoding=encoding)
    before = array.ledger.counts()
    array.calibrate(X[:20])
    done = {
        name: value - before[name] for name, value in array.ledger.counts().items() if value != before[name]
    }
    phases = 3 if encoding == "bit-serial" else 1
    assert done["ranging_reads"] == 20
    assert done["ranging_conversions"] == 20 * 2 * COLS * phases
    assert done["ranging_dac_conversions"] == 20 * ROWS * 3
    assert done["ranging_line_cells"] == 20 * ROWS * 2 * COLS * phases
    assert set(done) == {
        f"ranging_{name}" for name in ("reads", "conversions", "dac_conversions", "line_cells", "uS")
    }
    codes = np.rint(X[:20] / np.abs(X[:20]).max(axis=1, keepdims=True) * 7)
    driven = codes**2 / 49 if phases == 1 else sum((np.abs(codes).astype(int) >> k) & 1 for k in range(3))
    conducted = float((driven @ array.conductance_uS().astype(np.float64)).sum())
    assert done["ranging_uS"] == pytest.approx(conducted, rel=1e-5)

    ledger, read = array.ledger, array.read
    assert ledger.calibration_J == pytest.approx(
        conducted * 1e-6 * read.read_voltage_V**2 * read.integration_time_s, rel=1e-5
    )
    bill = ns.price(layer_events([array])).where("phase", "kind")
    assert bill["calibration", "device"][0] == pytest.approx(ledger.calibration_J)
    assert bill["calibration", "periphery"][0] == pytest.approx(ledger.calibration_periphery_J)
    took = seconds(layer_events([array]), "zigzag-horowitz-45nm")
    assert took.total("calibration")[0] == pytest.approx(20 * phases * read.integration_time_s)
    assert ledger.reads == ledger.calibration_reads == 0


def test_it_draws_from_a_stream_of_its_own():
    """What is read afterwards has the noise that it would have had: only the ranges differ."""
    calibrated, given = chip(calibration={"samples": 9}), chip()
    calibrated.calibrate(X)
    given.restore({**given.snapshot(), "adc_range_uS": ranges(calibrated)})
    np.testing.assert_array_equal(calibrated.forward(X), given.forward(X))
    pulses = calibrated.update(X[:4], np.ones((4, COLS)) / 50), given.update(X[:4], np.ones((4, COLS)) / 50)
    assert pulses[0] == pulses[1]
    np.testing.assert_array_equal(calibrated.conductance_uS(), given.conductance_uS())


def test_looking_counts_none_of_it_and_a_checkpoint_goes_on_with_the_same_bits():
    array, twin = (chip(calibration={"samples": 9}) for _ in range(2))
    with array.looking():
        array.calibrate(X)
    assert array.ledger.counts() == twin.ledger.counts()
    for each in (array, twin):
        each.calibrate(X)
    np.testing.assert_array_equal(ranges(array), ranges(twin))
    other = chip(calibration={"samples": 9})
    other.restore(array.snapshot())
    for each in (array, other):
        each.calibrate(X)
    assert bits(array) == bits(other)
    assert not np.array_equal(ranges(other), ranges(twin)), "other inputs, other noise"
    with pytest.raises(CheckpointError):
        array.restore(chip().snapshot())


def test_tiles_that_show_nothing_keep_their_ranges():
    array = chip(quiet_pcm(), {"samples": 9})
    before = ranges(array).reshape(2, -1)
    x = X.copy()
    x[:, 12:] = 0
    array.calibrate(x)
    after = ranges(array).reshape(2, -1)
    np.testing.assert_array_equal(after[1], before[1])
    assert (after[0] != before[0]).all()


def test_a_perfect_converter_has_no_range_to_find():
    array = chip(calibration={"samples": 9}, adc_bits=None)
    before = array.snapshot()
    array.calibrate(X)
    assert all(np.array_equal(values, before[name]) for name, values in array.snapshot().items())


@pytest.mark.parametrize("given", [{"adc_range": "full-scale"}, {"adc_range_uS": 40.0}])
def test_a_range_is_given_or_found(given):
    with pytest.raises(ConfigError, match="calibration: adc_range"):
        ns.ReadPath(calibration=ns.Calibration(), **given)


def test_settings_that_do_not_use_it_are_what_they_were_and_torch_says_to_use_numba():
    assert "calibration" not in ns.ReadPath().model_dump()
    assert ns.ReadPath(calibration=ns.Calibration()).model_dump()["calibration"]["samples"] == 32
    with pytest.raises(CapabilityError, match=r"read\.calibration .* use numba"):
        ns.TorchCrossbar((4, 3), PCM, read={"calibration": {}})


def test_an_arm_chooses_it_and_its_error_is_felt_in_learning():
    """One input in 200 updates sets a range: most of what the layer learns from is cut. The arm beside it is exact for nothing."""
    few = {"read": {"calibration": {"samples": 1}, "adc_margin": 1.0}}
    spec = ns.DenseExperiment(
        dataset="digits", neurons=20, epochs=2, readout_epochs=2, curve_points=0, seeds=1, calibrate_every=20, read={"adc_bits": 6},
        arm=[{"name": "exact", "device": PCM}, {"name": "few", "device": PCM, **few}],
    )  # fmt: skip
    results = ns.compare(spec)
    runs = {run["arm"]: run for run in results["runs"]}
    assert runs["few"]["adc_clipped_share"] > 5 * runs["exact"]["adc_clipped_share"]
    assert runs["few"]["energy"]["calibration_J"] > 0 == runs["exact"]["energy"]["calibration_J"]
    assert runs["few"]["norm_mean"] != runs["exact"]["norm_mean"]
    counted = runs["few"]["events"][0]["counts"]
    assert counted["ranging_reads"] >= counted["updates"] // 20
    told = {one["ideal"]: one["arms"] for one in results["ideals"]}
    assert [arms for ideal, arms in told.items() if "calibrated for nothing" in ideal] == [["exact"]]
