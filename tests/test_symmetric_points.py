"""The search for symmetric points: against the closed form of each device's own drawn steps, counted, and felt in learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import HFO2, PCM, check_mean, check_std

import neurosim as ns
from neurosim.core.errors import CapabilityError, CheckpointError, InputError

ECRAM = "ecram-li-tang-2018"
REFERENCE = ns.WritePath(mapping="reference")
ROWS, COLS = 24, 10
PAIRS = 500


def coarse(**changes: Any) -> Any:
    """Ten times the steps of the card, so that a tenth of the pulses finds the points."""
    return ns.devices.load(ECRAM).with_parameters(step=0.02, **changes)


def made(law: Any, **options: Any) -> ns.Crossbar:
    return ns.Crossbar((ROWS, COLS), law, seed=4, write=REFERENCE, **options)


def own(array: ns.Crossbar, field: str) -> np.ndarray:
    """A number of each learning device, as it was drawn."""
    return getattr(array._cells.state, field).reshape(ROWS, COLS, 2)[..., 0].astype(np.float64)


def balance_uS(array: ns.Crossbar) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where ``up (1 - a s)`` and ``down (1 + b s)`` are equal, the step there, and by which share a pair comes nearer.

    And where the mean of the two ends of a cycle of one step d up and d down lies: the lower end is where
    ``up (1 - a s) = down (1 + b (s + d))``, so a share r = down b / (up a + down b) of d below that point.
    """
    up, down = own(array, "step_up"), own(array, "step_down")
    rising, falling = up * own(array, "slope_up"), down * own(array, "slope_down")
    nearer = rising + falling
    point = (up - down) / nearer
    r = falling / nearer
    d = (up - rising * point) / (1 - rising * r)
    origin = array.device.g_origin_uS
    return origin + point, up - rising * point, nearer, origin + point + (0.5 - r) * d


def test_without_noise_the_points_are_those_of_the_closed_form():
    array = made(coarse(cycle_to_cycle=None))
    points = array.find_symmetric_points(PAIRS)
    expected, step, _, between = balance_uS(array)
    assert expected.std() > step.mean(), "devices differ by more than they step"
    assert (np.abs(points.read_uS - expected) < step / 2).all()
    np.testing.assert_allclose(points.read_uS, between, atol=0.02 * step.mean())
    np.testing.assert_allclose(points.error_uS, 0, atol=1e-5 * 22)
    assert np.abs(array.weights()).max() < step.max() / 10, "half a step of a half-window of 10 uS"


def test_with_noise_they_scatter_as_a_walk_that_is_drawn_back():
    """Two steps with 0.3 of noise a pair, drawn back by a share k: variance 2 (0.3 step)^2 / (1 - (1 - k)^2)."""
    array = made(coarse())
    points = array.find_symmetric_points(PAIRS)
    _, step, nearer, between = balance_uS(array)
    sigma = 0.3 * step * np.sqrt(2 / (1 - (1 - nearer) ** 2))
    off = (points.read_uS - between) / sigma
    check_mean(off, 0)
    check_std(off, 1, extra=0.05)


def test_read_noise_and_programming_error_are_the_residual():
    """Two reads of 0.01 of the window's upper end, averaged, and a programming error of 0.02 of the window."""
    law = coarse(cycle_to_cycle=None, read_noise_share=0.01, program_tolerance=0.02)
    points = made(law).find_symmetric_points(20)
    check_std(points.error_uS, np.hypot(0.01 * 22 / np.sqrt(2), 0.02 * 20))
    check_mean(points.error_uS, 0)


def test_pulses_reads_and_references_are_counted():
    array = made(coarse())
    before = array.ledger.counts()
    array.find_symmetric_points(7)
    done = {name: value - before[name] for name, value in array.ledger.counts().items()}
    devices = ROWS * COLS
    assert (done["pulses"], done["downs"], done["updates"]) == (14 * devices, 7 * devices, 0)
    assert (done["row_slots"], done["column_slots"]) == (14 * ROWS, 14 * COLS)
    assert (done["rows_read_back"], done["readback_conversions"]) == (2 * ROWS, 2 * devices)
    assert done["programmed_cells"] == devices
    assert done["up_J"] == pytest.approx(7 * devices * 5e-15)
    assert (array.worn[:, 0::2] == 14).all()
    assert not array.worn[:, 1::2].any()


def test_zero_changes_in_the_mean_leave_zero_weights_where_the_references_were_set():
    """Changes up and down at random draw each weight to its symmetric point: to zero, or to what the middle is off."""
    rng = np.random.default_rng(0)
    changes = rng.choice([-0.02, 0.02], (300, ROWS, COLS))
    found = []
    for search in (False, True):
        array = made(coarse(cycle_to_cycle=None))
        array.program(np.zeros((ROWS, COLS)), w_max=1.0)
        if search:
            array.find_symmetric_points(PAIRS)
            array.program(np.full((ROWS, COLS), 0.1), w_max=1.0)
            np.testing.assert_allclose(array.weights(), 0.1, atol=1e-4)
        for change in changes:
            for row in range(0, ROWS, 8):
                array.update(np.eye(ROWS)[row : row + 8], change[row : row + 8], mode="mixed")
        found.append(array.weights())
    without, with_it = (abs(float(weights.mean())) for weights in found)
    assert without > 0.1
    assert with_it < 0.02


def test_a_snapshot_holds_the_references():
    array = made(coarse())
    array.find_symmetric_points(20)
    other = made(coarse())
    other.restore(array.snapshot())
    for each in (array, other):
        each.program(np.full((ROWS, COLS), 0.2), w_max=1.0)
    np.testing.assert_array_equal(array.conductance_uS(), other.conductance_uS())
    np.testing.assert_allclose(other.weights(), 0.2, atol=1e-4)
    with pytest.raises(CheckpointError, match="symmetric points"):
        ns.TorchCrossbar((ROWS, COLS), coarse(), write=REFERENCE).restore(array.snapshot())


@pytest.mark.parametrize(
    ("device", "options", "words"),
    [
        (HFO2, {}, "mapping 'reference'"),
        (PCM, {"write": REFERENCE}, "do not balance"),
        (HFO2, {"write": REFERENCE, "faults": {"broken_word_lines": 0.9}}, "without wires or faults"),
    ],
)
def test_where_there_is_no_point_or_nothing_to_hold_it_words_say_so(device, options, words):
    array = ns.Crossbar((ROWS, COLS), device, **options)
    with pytest.raises(CapabilityError, match=words):
        array.find_symmetric_points(5)


def test_a_search_is_not_recorded_and_needs_a_pulse():
    array = made(coarse())
    with pytest.raises(InputError, match="pairs = 0"):
        array.find_symmetric_points(0)
    with array.record(), pytest.raises(CapabilityError, match="do not record"):
        array.find_symmetric_points(5)


def test_each_of_several_devices_a_cell_is_drawn_to_its_own_point():
    """Pulses up had odd events and pulses down even ones: of two devices one went to its upper bound, one to its lower."""
    array = made(coarse(cycle_to_cycle=None, devices_per_cell=2.0))
    pulses = array.ledger.pulses
    points = array.find_symmetric_points(PAIRS)
    assert array.ledger.pulses - pulses == 2 * 2 * PAIRS * ROWS * COLS

    def each(field: str) -> np.ndarray:
        values = getattr(array._cells.state.devices, field).reshape(ROWS, COLS, 2, 2)
        return values[:, :, 0].astype(np.float64)

    up, down = each("step_up"), each("step_down")
    nearer = up * each("slope_up") + down * each("slope_down")
    expected = (array.device.g_origin_uS + (up - down) / nearer).sum(axis=2)
    assert (np.abs(points.read_uS - expected) < up.sum(axis=2)).all()
