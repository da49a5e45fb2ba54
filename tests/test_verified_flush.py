"""Flushes that are verified: what pulses missed, as read, goes back to the accumulator, and the reads are paid for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import HFO2, PCM

from neurosim import Crossbar, ReadPath, Wires, WritePath, devices, set_threads
from neurosim.core.errors import CapabilityError

ROWS, COLS = 40, 12
F = np.float32
PERFECT = ReadPath(read_noise=None, drift=False)


def changes(count: int, size: float = 0.02, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(size * rng.standard_normal((ROWS, COLS))).astype(F) for _ in range(count)]


def made(device: Any, reads: int, flush: int = 2, read: ReadPath = PERFECT, **settings: Any) -> Crossbar:
    write = WritePath(verify_reads=reads, flush_pulses=flush, **settings)
    array = Crossbar((ROWS, COLS), device, seed=2, read=read, write=write)
    array.program(np.random.default_rng(1).normal(0, 0.15, (ROWS, COLS)), w_max=array.w_max)
    return array


def walked(array: Crossbar, count: int = 60) -> np.ndarray:
    """Weights' error after random changes: what was asked for and has neither arrived nor waits in the accumulator."""
    before, asked = array.weights().astype(np.float64), np.zeros((ROWS, COLS))
    for change in changes(count):
        array.update(np.eye(ROWS, dtype=F), change, mode="mixed")
        asked += change
    waiting = array.snapshot()["accumulator"] * array.weight_per_pulse
    error: np.ndarray = array.weights() - before + waiting - asked
    return error


@pytest.mark.parametrize("name", [PCM, HFO2])
def test_with_perfect_reads_a_verified_accumulator_loses_nothing(name):
    """Of noisy, nonlinear pulses not one goes astray: weight and accumulator add up to what was asked for."""
    verified = walked(made(name, 1, refresh=None))
    assert np.abs(verified).max() < 1e-5
    assert np.abs(walked(made(name, 0, refresh=None))).max() > 0.05


@pytest.mark.parametrize("name", [PCM, HFO2, "ecram-li-tang-2018"])
def test_noisy_reads_leave_their_noise(name):
    """With the card's noise and an ADC, weights end closer to what was asked for; and more reads bring them closer."""
    errors = [walked(made(name, reads, flush=4, read=ReadPath(adc_bits=8))).std() for reads in (0, 1, 8)]
    assert errors[0] > 1.5 * errors[1]
    assert errors[1] > 0.98 * errors[2]


def test_an_accumulator_holds_eight_flushes_of_a_stuck_device():
    card = devices.load(PCM)
    array = made(card, 1, flush=2, refresh=None)
    array.program(np.full((ROWS, COLS), 1.0), w_max=array.w_max)
    for _ in range(50):
        array.update(np.eye(ROWS, dtype=F), np.full((ROWS, COLS), 0.5, F), mode="mixed")
    held = array.snapshot()["accumulator"]
    assert held.max() == 16


def test_verifying_reads_are_counted_and_paid_for():
    ledgers = []
    for reads in (0, 1, 3):
        array = made(PCM, reads, refresh=None)
        array.update(np.eye(ROWS, dtype=F), changes(1, 1.0)[0], mode="mixed")
        ledgers.append(array.ledger)
    none, one, three = ledgers
    assert none.pairs_verified == 0
    assert one.pairs_verified == three.pairs_verified == one.pulsed_cells
    assert three.readback_J == pytest.approx(3 * one.readback_J)
    paid = one.write_periphery_J - none.write_periphery_J
    periphery = Crossbar((ROWS, COLS), PCM).periphery
    line_J = periphery.line_J(2 * COLS, PERFECT.read_voltage_V)
    assert paid == pytest.approx(2 * (one.pairs_verified * periphery.adc_J(None) + ROWS * line_J), rel=1e-6)


def test_bits_depend_neither_on_threads_nor_on_a_checkpoint():
    def after(array: Crossbar) -> Crossbar:
        for change in changes(6, 0.1):
            array.update(np.eye(ROWS, dtype=F), change, mode="mixed")
        return array

    noisy = ReadPath(adc_bits=8)
    arrays = []
    for threads in (1, 2):
        set_threads(threads)
        arrays.append(after(made(PCM, 2, read=noisy)))
    kept = made(PCM, 2, read=noisy)
    for change in changes(6, 0.1)[:3]:
        kept.update(np.eye(ROWS, dtype=F), change, mode="mixed")
    other = made(PCM, 2, read=noisy)
    other.restore(kept.snapshot())
    for change in changes(6, 0.1)[3:]:
        other.update(np.eye(ROWS, dtype=F), change, mode="mixed")
    for each in (arrays[1], other):
        np.testing.assert_array_equal(arrays[0].conductance_uS(), each.conductance_uS())
        np.testing.assert_array_equal(arrays[0].snapshot()["accumulator"], each.snapshot()["accumulator"])
        assert arrays[0].ledger == each.ledger


def test_what_cannot_be_verified_is_refused():
    array = made(PCM, 1)
    with pytest.raises(
        CapabilityError, match=r"write\.verify_reads verifies accumulators: not in mode 'accumulate'"
    ):
        array.update(np.eye(ROWS, dtype=F), changes(1)[0], mode="accumulate")
    with pytest.raises(CapabilityError, match=r"without wires or faults"):
        Crossbar((4, 4), PCM, write=WritePath(verify_reads=1), wires=Wires(r_word_ohm=1.0, r_bit_ohm=1.0))
