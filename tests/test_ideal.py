"""Ideal arithmetic against its formulas in numpy, with the same bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim.core.protocols import LocalUpdate, Precision
from neurosim.kernels.jit import set_threads, threads
from neurosim.kernels.read import UPDATED_ROWS
from neurosim.reference.ideal import IdealArray

ROWS, COLS = 2 * UPDATED_ROWS + 5, 37


def task(precision: Precision) -> tuple[IdealArray, np.ndarray, LocalUpdate]:
    draw = np.random.default_rng(0)
    array = IdealArray((ROWS, COLS), precision)
    weights, pre, post = (
        draw.normal(size=s).astype(precision) for s in ((ROWS, COLS), (20, ROWS), (20, COLS))
    )
    decay, rate = (draw.random(COLS).astype(precision) for _ in range(2))
    array.program(weights)
    return array, weights, LocalUpdate(pre, post, decay, rate + 0.1)


@pytest.mark.parametrize(("precision", "close"), [("float32", 2e-6), ("float64", 1e-13)])
def test_a_change_is_divided_by_its_largest_magnitude_before_the_rate(precision, close):
    array, weights, change = task(precision)
    array.apply(change)
    wanted = change.pre.T @ change.post - change.decay * weights
    wanted /= np.abs(wanted / change.rate).max()
    np.testing.assert_allclose(array.weights(), weights + wanted, atol=close)
    np.testing.assert_allclose(array.column_norms(), np.linalg.norm(array.weights(), axis=0), rtol=close)


def test_an_update_is_applied_as_it_is():
    array, weights, change = task("float64")
    array.update(change.pre, change.post, change.decay)
    np.testing.assert_allclose(
        array.weights(), weights + change.pre.T @ change.post - change.decay * weights, atol=1e-13
    )


def test_bits_do_not_depend_on_threads():
    before, found = threads(), []
    try:
        for count in (1, 2, 3):
            set_threads(count)
            array, _, change = task("float32")
            array.apply(change)
            found.append((array.weights(), array.column_norms()))
    finally:
        set_threads(before)
    for weights, norms in found[1:]:
        np.testing.assert_array_equal(weights, found[0][0])
        np.testing.assert_array_equal(norms, found[0][1])
