"""Weights against a fixed reference: where zero lies, who is pulsed, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, close, inputs, made
from helpers import HFO2, IDEAL, MODES, PCM, local_update, quiet, quiet_pcm, small_weights

from neurosim import Crossbar, Programming, ReadPath, WritePath, devices
from neurosim.core.errors import CapabilityError

REFERENCE = WritePath(mapping="reference")


def test_weights_lie_around_the_middle_of_the_window():
    """w = (G - G_ref) w_max / ((G_max - G_min) / 2)."""
    array = made(IDEAL, 3, 1, [[0.0], [1.0], [-0.5]], write=REFERENCE)
    close(array.conductance_uS(), [[50, 50], [100, 50], [25, 50]])
    close(array.weights(), [[0.0], [1.0], [-0.5]])
    twice = made(IDEAL, 3, 1, [[0.0], [4.0], [-1.0]], write=WritePath(mapping="reference", w_max=2.0))
    close(twice.weights(), [[0.0], [2.0], [-1.0]])


def test_reads_multiply_by_the_stored_weights():
    array = made(IDEAL, write=REFERENCE, read=ReadPath(read_noise=None))
    x = inputs(5)
    close(array.forward(x), x @ array.weights(), 1e-5)
    close(array.weights(), small_weights(ROWS, COLS), 1e-5)


@pytest.mark.parametrize("name", [IDEAL, PCM, HFO2])
@pytest.mark.parametrize("mode", MODES)
def test_the_reference_is_written_once_and_never_pulsed(name, mode):
    array = Crossbar((ROWS, COLS), name, write=REFERENCE)
    assert array.ledger.programmed_cells == ROWS * COLS
    reference = array.conductance_uS()[:, 1::2].copy()
    array.program(small_weights(ROWS, COLS), w_max=array.w_max)
    for step in range(4):
        array.update(*local_update(ROWS, COLS, 5, seed=step, scale=0.2), mode)
    array.program(small_weights(ROWS, COLS), w_max=array.w_max)
    np.testing.assert_array_equal(array.conductance_uS()[:, 1::2], reference)
    assert array.ledger.programmed_cells == 3 * ROWS * COLS
    middle = (array.device.g_min_uS + array.device.g_max_uS) / 2
    assert abs(reference.mean() - middle) < 0.05 * middle


def test_a_change_moves_the_one_device_by_its_nominal_step():
    law = quiet()
    array = made(law, 1, 1, [[0.0]], write=REFERENCE)
    step = law.nominal_step_uS
    assert array.update([[1.0]], [[2 * step / 40 + 1e-6]], mode="mixed") == 2
    assert array.ledger.pulsed_cells == 1
    up = array.conductance_uS()[0, 0]
    assert up > 50
    assert array.update([[1.0]], [[-3 * step / 40 - 2e-6]], mode="mixed") == 3
    assert array.conductance_uS()[0, 0] < up


@pytest.mark.parametrize("mode", MODES)
def test_a_negative_change_resets_a_set_only_device_once(mode):
    """36 pJ whatever the size of the change; the weight is then at its lower end."""
    array = made(quiet_pcm(), np.ones((4, 1)).size, 1, np.full((4, 1), 0.5), write=REFERENCE)
    pulses = array.update(np.ones((1, 4)), [[-6.0]], mode=mode)
    assert pulses == array.ledger.pulses == 4
    assert array.ledger.write_J == pytest.approx(4 * 36e-12, rel=1e-6)
    close(array.conductance_uS()[:, 0], np.full(4, 0.1))


def test_a_device_that_is_written_closed_loop_steps_down_gradually():
    law = devices.load("pcm-joshi-2020").without_noise()
    array = made(law, 4, 1, np.full((4, 1), 0.5), write=REFERENCE)
    before = array.conductance_uS()[:, 0]
    step = law.nominal_step_uS
    window = law.g_max_uS - law.g_min_uS
    assert array.update(np.ones((1, 4)), [[-2.001 * step / window * 2]], mode="mixed") == 8
    np.testing.assert_allclose(before - array.conductance_uS()[:, 0], 2 * step, rtol=1e-3)


def test_decay_by_readback_shrinks_weights_towards_zero():
    array = made(IDEAL, write=REFERENCE)
    before = array.weights()
    array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), np.full(COLS, 0.2))
    close(array.weights(), 0.8 * before, 1e-4)


def test_depression_pulses_cannot_serve_as_decay():
    with pytest.raises(CapabilityError, match="readback"):
        Crossbar((3, 2), HFO2, write=WritePath(mapping="reference", decay_mode="device"))


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_references_are_programmed_as_the_rest(mode):
    loop = Programming(mode=mode, pulse_budget=200)
    array = made(PCM, write=WritePath(mapping="reference", programming=loop))
    middle = (array.device.g_min_uS + array.device.g_max_uS) / 2
    spread = np.abs(array.conductance_uS()[:, 1::2] - middle).mean()
    assert (spread > 0.6) == (mode == "open")
    assert array.ledger.programmed_cells == 2 * ROWS * COLS
    assert array.ledger.program_pulses > 2 * ROWS * COLS
    array.restore(array.snapshot())


def test_an_array_with_other_wires_begins_with_an_empty_ledger():
    """Its references were entered as programmed once more, which nobody did."""
    array = made(PCM, write=REFERENCE)
    assert array.ledger.programmed_cells > 0
    other = array.rewired(None)
    assert not any(other.ledger.counts().values())
    np.testing.assert_array_equal(other.conductance_uS(), array.conductance_uS())
