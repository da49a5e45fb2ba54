"""Conductances measured elsewhere come in as a state: exactly, within each device's bounds, uncounted, and as one just written."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from crossbar_helpers import made
from helpers import HFO2, IDEAL, PCM, quiet, quiet_pcm, small_weights

import neurosim as ns
from neurosim.core.cautions import WindowWarning
from neurosim.core.errors import DataError, InputError

ROWS, COLS = 12, 5
NEAR = 1e-5


def drawn(device: Any, share: tuple[float, float] = (0.1, 0.9), rows: int = ROWS, cols: int = COLS) -> Any:
    """Conductances (rows, 2 cols) within shares of the window of a card."""
    low, high = ns.devices.load(device).cell_window_uS if isinstance(device, str) else device.cell_window_uS
    places = np.random.default_rng(3).uniform(*share, (rows, 2 * cols))
    return low + places * (high - low)


def fresh(device: Any, **options: Any) -> ns.Crossbar:
    return ns.Crossbar((ROWS, COLS), device, seed=options.pop("seed", 7), **options)


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_what_an_array_holds_saved_and_taken_by_another_gives_the_same_weights(suffix, tmp_path):
    chip = made(PCM, ROWS, COLS)
    for _ in range(5):
        chip.update(np.ones((1, ROWS)), np.full((1, COLS), 0.1))
    path = tmp_path / f"chip.{suffix}"
    if suffix == "npy":
        np.save(path, chip.conductance_uS())
    else:
        np.savetxt(path, chip.conductance_uS(), delimiter=",")
    other = fresh(PCM)
    before, worn = other.ledger.counts(), other.worn
    assert other.take_conductances(path, w_max=chip.w_max) == 0
    np.testing.assert_allclose(other.weights(), chip.weights(), atol=NEAR)
    assert other.ledger.counts() == before
    np.testing.assert_array_equal(other.worn, worn)


def test_two_matrices_are_the_two_sides_of_the_pairs():
    both = drawn(PCM)
    one, two = fresh(PCM), fresh(PCM)
    one.take_conductances(both)
    two.take_conductances(both[:, 0::2], both[:, 1::2])
    np.testing.assert_array_equal(one.conductance_uS(), two.conductance_uS())
    np.testing.assert_allclose(one.weights(), (both[:, 0::2] - both[:, 1::2]) / (12 - 0.1), atol=NEAR)


def test_devices_are_as_old_as_just_measured():
    """Drift without spread from then on: (age / 38.6 s) ** -0.04, whatever the array's clock says."""
    law = quiet_pcm()
    array, measured = fresh(law), drawn(law)
    array.advance(1e6)
    array.take_conductances(measured)
    np.testing.assert_allclose(array.conductance_uS(), measured, rtol=NEAR)
    array.advance(86400)
    fallen = (86400 / law.drift_reference_s) ** -law.drift_exponent
    np.testing.assert_allclose(array.conductance_uS(), measured * fallen, rtol=1e-4)


def test_learning_goes_on_from_there_as_from_a_programmed_state():
    """A device without noise programmed to weights, and one that takes the conductances, learn the same."""
    law = quiet()
    programmed, taken = made(law, ROWS, COLS), fresh(law, seed=0)
    taken.take_conductances(programmed.conductance_uS(), w_max=programmed.w_max)
    rng = np.random.default_rng(0)
    for _ in range(4):
        pre, post = rng.random((3, ROWS)), 0.2 * rng.standard_normal((3, COLS))
        assert programmed.update(pre, post, mode="mixed") == taken.update(pre, post, mode="mixed") > 0
    np.testing.assert_allclose(taken.weights(), programmed.weights(), atol=1e-4)


def test_what_lies_beyond_a_device_is_cut_counted_and_said_once():
    measured = drawn(HFO2, (-0.2, 1.3))
    array = fresh(HFO2)
    state = array._cells.state
    expected = np.clip(measured.reshape(-1), state.lower, state.upper)
    outside = np.abs(expected - measured.reshape(-1)) > NEAR * 90
    furthest = np.abs(expected - measured.reshape(-1)).max()
    with pytest.warns(WindowWarning, match=f"{outside.sum()} of 120 .* furthest by {furthest:.3g} uS"):
        assert array.take_conductances(measured) == outside.sum() > 10
    np.testing.assert_allclose(array.conductance_uS().reshape(-1), expected, rtol=NEAR)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert array.take_conductances(measured) == outside.sum()


def test_written_states_stand_at_the_ends_of_their_window_too():
    """The law cuts its target there before it adds its error: half of all draws would miss."""
    array = fresh("pcm-joshi-2020")
    ends = np.resize(array.device.cell_window_uS, (ROWS, 2 * COLS))
    assert array.take_conductances(ends) == 0
    np.testing.assert_allclose(array.conductance_uS(), ends, atol=NEAR * ends.max())


@pytest.mark.parametrize(
    "changes",
    [
        {"devices_per_cell": 3},
        {"flicker": 0.05, "relaxation_sigma_uS": 0.3, "added_conductance_spread": 0.2, "retention_s": 1e5},
    ],
    ids=["several devices", "effects around the law"],
)
def test_effects_around_a_law_are_part_of_what_was_measured(changes):
    law = ns.devices.load(PCM).with_parameters(**changes)
    array, measured = fresh(law), drawn(law, (0.2, 0.6))
    assert array.take_conductances(measured) == 0
    np.testing.assert_allclose(array.conductance_uS(), measured, atol=NEAR * measured.max())
    array.advance(1e4)
    assert np.abs(array.conductance_uS() / measured - 1).max() > 0.01


def test_devices_that_are_not_measured_are_refused_or_stand_where_it_is_said():
    measured = drawn(IDEAL)
    measured[2, 3] = measured[5, 0] = np.nan
    array = fresh(IDEAL)
    with pytest.raises(InputError, match=r"2 of 120 devices are NaN.*missing_uS"):
        array.take_conductances(measured)
    assert array.take_conductances(measured, missing_uS=50.0) == 0
    np.testing.assert_allclose(array.conductance_uS(), np.nan_to_num(measured, nan=50.0), rtol=NEAR)


def test_devices_that_no_line_reaches_need_no_measurement_and_stay():
    array = fresh(IDEAL, faults={"broken_word_lines": 0.9})
    gone = ~array._cells.connected
    assert 0 < gone.sum() < gone.size
    before = array.conductance_uS()
    measured = np.where(gone, np.nan, drawn(IDEAL))
    assert array.take_conductances(measured) == 0
    np.testing.assert_allclose(array.conductance_uS(), np.where(gone, before, measured), rtol=NEAR)


def test_bad_files_and_shapes_are_refused_in_words(tmp_path):
    array = fresh(PCM)
    with pytest.raises(InputError, match=r"shape \(12, 10\) .* got \(12, 5\)"):
        array.take_conductances(np.ones((12, 5)))
    with pytest.raises(InputError, match=r"minus_uS: expected shape \(12, 5\) .* got \(12, 10\)"):
        array.take_conductances(np.ones((12, 5)), np.ones((12, 10)))
    with pytest.raises(InputError, match="infinite"):
        array.take_conductances(np.full((12, 10), np.inf))
    with pytest.raises(InputError, match="w_max = 0"):
        array.take_conductances(np.ones((12, 10)), w_max=0)
    (tmp_path / "named.csv").write_text("a,b\n1,2\n")
    for name in ("named.csv", "absent.npy", "array.mat"):
        with pytest.raises(DataError, match=name):
            array.take_conductances(tmp_path / name)


def test_a_second_array_with_the_same_seed_ends_in_the_same_bits_and_goes_on_alike():
    states = []
    for _ in range(2):
        array = fresh(HFO2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WindowWarning)
            array.take_conductances(drawn(HFO2))
        array.program(small_weights(ROWS, COLS), w_max=1.0)
        states.append(array.conductance_uS())
    np.testing.assert_array_equal(*states)


@pytest.mark.parametrize("mapping", ["reference", "offset"])
def test_weights_count_from_the_references_that_were_measured(mapping):
    """References that stood 0.2 of the window above its middle gave weights of -0.4 after zeros were programmed."""
    array = fresh(IDEAL, write={"mapping": mapping, "w_max": 1.0})
    low, high = array.device.cell_window_uS
    measured = drawn(IDEAL, (0.4, 0.6))
    measured[:, 1::2] = low + 0.7 * (high - low)
    assert array.take_conductances(measured) == 0
    array.program(np.zeros((ROWS, COLS)), w_max=1.0)
    np.testing.assert_allclose(array.weights(), 0, atol=NEAR)
    other = fresh(IDEAL, write={"mapping": mapping, "w_max": 1.0})
    other.restore(array.snapshot())
    other.program(np.full((ROWS, COLS), 0.1), w_max=1.0)
    np.testing.assert_allclose(other.weights(), 0.1, atol=NEAR)
