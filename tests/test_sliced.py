"""Bit-sliced weights: digits over arrays, shifted and added."""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, close, inputs
from helpers import IDEAL, PCM

import neurosim as ns
from neurosim.core.errors import CapabilityError, InputError


def weights() -> np.ndarray:
    return np.random.default_rng(3).uniform(-1, 1, (ROWS, COLS))


@pytest.mark.parametrize(("bits", "slices"), [(1, 8), (2, 4), (4, 2), (8, 1)])
def test_slices_hold_the_rounded_weights(bits, slices):
    array = ns.SlicedCrossbar((ROWS, COLS), IDEAL, bits=bits, slices=slices, write=ns.WritePath(w_max=0.8))
    array.program(weights())
    expected = np.rint(np.clip(weights() / 0.8, -1, 1) * 255) / 255 * 0.8
    close(array.weights(), expected, 1e-5)
    close(array.forward(inputs(7)), inputs(7) @ expected, 1e-5)
    digits = np.unique(np.rint(array.slices[-1].weights() * (2**bits - 1)))
    assert len(digits) <= 2 ** (bits + 1) - 1


def test_more_slices_bring_a_noisy_device_nearer():
    """Programming noise of the leading digit stays; that of rounding to few levels goes."""

    def error(slices: int) -> float:
        read = ns.ReadPath(read_noise=None)
        array = ns.SlicedCrossbar((ROWS, COLS), IDEAL, bits=2, slices=slices, read=read)
        array.program(weights())
        return float(np.sqrt(np.square(array.weights() - weights()).mean()))

    found = [error(slices) for slices in (1, 2, 3)]
    assert found[0] > 3 * found[1] > 9 * found[2]


def test_slices_draw_their_own_noise_and_cost_their_own_energy():
    array = ns.SlicedCrossbar((ROWS, COLS), PCM, bits=2, slices=2, seed=5)
    array.program(np.full((ROWS, COLS), 1.0))
    one, other = (part.conductance_uS() for part in array.slices)
    assert not np.array_equal(one, other)
    assert np.corrcoef(one[:, ::2].ravel(), other[:, ::2].ravel())[0, 1] < 0.5
    array.advance(1e4)
    array.forward(inputs(3))
    assert all(part.ledger.reads == 3 and part.now_s == 1e4 for part in array.slices)
    assert len(array.calibrate(inputs(3))) == 2


def test_the_largest_weight_sets_the_scale_if_asked():
    array = ns.SlicedCrossbar((ROWS, COLS), IDEAL, bits=4, slices=2, write=ns.WritePath(scale="max"))
    array.program(0.01 * weights())
    close(array.weights(), 0.01 * weights(), 5e-3)


def test_slices_do_not_learn_and_say_why():
    array = ns.SlicedCrossbar((2, 2), IDEAL)
    with pytest.raises(CapabilityError, match="pairs"):
        array.update(np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(InputError, match="slices"):
        ns.SlicedCrossbar((2, 2), IDEAL, slices=0)
