"""Ideal arithmetic against its formulas in numpy, with the same bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim import IdealArray, LocalUpdate, set_threads
from neurosim.core.errors import CheckpointError, InputError
from neurosim.core.protocols import Precision
from neurosim.kernels.jit import threads
from neurosim.kernels.products import UPDATED_COLUMNS, add_product, single_threaded_blas, updated_columns
from neurosim.reference.twin.arithmetic import TorchIdeal

ROWS, COLS = 37, 2 * UPDATED_COLUMNS + 5


def task(precision: Precision) -> tuple[IdealArray, np.ndarray, LocalUpdate]:
    draw = np.random.default_rng(0)
    array = IdealArray((ROWS, COLS), precision)
    weights, pre, post = (
        draw.normal(size=s).astype(precision) for s in ((ROWS, COLS), (20, ROWS), (20, COLS))
    )
    decay, rate = (draw.random(COLS).astype(precision) for _ in range(2))
    array.program(weights, w_max=array.w_max)
    return array, weights, LocalUpdate(pre, post, decay, rate + 0.1)


@pytest.mark.parametrize(("precision", "close"), [("float32", 2e-6), ("float64", 1e-13)])
def test_a_change_is_divided_by_its_largest_magnitude_before_the_rate(precision, close):
    array, weights, change = task(precision)
    array.apply(change)
    wanted = change.pre.T @ change.post - change.decay * weights
    wanted /= np.abs(wanted / change.rate).max()
    np.testing.assert_allclose(array.weights(), weights + wanted, atol=close)
    np.testing.assert_allclose(array.column_norms(), np.linalg.norm(array.weights(), axis=0), rtol=close)


@pytest.mark.parametrize("decay", [None, np.full(COLS, 0.3), np.linspace(0, 0.5, COLS)])
def test_an_update_is_applied_as_it_is(decay):
    array, weights, change = task("float64")
    array.update(change.pre, change.post, decay)
    lost = 0 if decay is None else decay * weights
    np.testing.assert_allclose(array.weights(), weights + change.pre.T @ change.post - lost, atol=1e-13)


@pytest.mark.parametrize("momentum", [None, 0.5])
@pytest.mark.parametrize("lost", [0.3, -0.3, 1.0, 2.5])
def test_gains_that_take_the_decay_never_run_away(momentum, lost):
    """After 40 updates a gain would be 6e-7, 4e4, 0 or 1e7."""
    _, weights, change = task("float64")
    array, decay = IdealArray((ROWS, COLS), "float64", momentum), np.full(COLS, lost)
    array.program(weights, w_max=array.w_max)
    wanted, filtered = weights.copy(), np.zeros_like(weights)
    for _ in range(40):
        array.update(change.pre, change.post, decay)
        asked = change.pre.T @ change.post
        filtered = asked if momentum is None else momentum * filtered + (1 - momentum) * asked
        wanted += filtered - decay * wanted
    close = {"rtol": 1e-10, "atol": 1e-12 * np.abs(wanted).max()}
    np.testing.assert_allclose(array.weights(), wanted, **close)
    np.testing.assert_allclose(array.forward(change.pre), change.pre @ wanted, rtol=1e-9)
    np.testing.assert_allclose(array.column_norms(), np.linalg.norm(wanted, axis=0), rtol=1e-9)


@pytest.mark.parametrize("momentum", [None, 0.5])
def test_an_array_goes_on_from_a_snapshot_with_the_same_bits(momentum):
    _, weights, change = task("float32")
    array, decay = IdealArray((ROWS, COLS), momentum=momentum), np.linspace(0, 0.5, COLS)
    array.program(weights, w_max=array.w_max)
    array.update(change.pre, change.post, decay)
    other = IdealArray((ROWS, COLS), momentum=momentum)
    other.restore(array.snapshot())
    for each in (array, other):
        for _ in range(20):
            each.update(change.pre, change.post, decay)
    np.testing.assert_array_equal(array.weights(), other.weights())
    np.testing.assert_array_equal(array.forward(change.pre), other.forward(change.pre))
    in_torch = TorchIdeal((ROWS, COLS))
    in_torch.restore(array.snapshot())
    np.testing.assert_array_equal(np.asarray(in_torch.weights()), array.weights())
    with pytest.raises(CheckpointError, match="gains"):
        other.restore({**array.snapshot(), "gains": np.ones(3)})


@pytest.mark.parametrize("none", [slice(0), np.zeros(20, bool)], ids=["slice", "mask"])
def test_an_update_of_no_samples_only_forgets(none):
    """What a mask leaves of all samples has no strides."""
    array, weights, change = task("float64")
    array.update(change.pre[none], change.post[none], np.full(COLS, 0.3))
    np.testing.assert_allclose(array.weights(), 0.7 * weights, atol=1e-13)


@pytest.mark.parametrize(("precision", "close"), [("float32", 2e-5), ("float64", 1e-13)])
def test_a_product_is_added_to_a_part_of_an_array(precision, close):
    _, weights, change = task(precision)
    wanted = weights.copy()
    wanted[7:, 3:9] -= 2 * change.pre[:, 7:].T @ change.post[:, 1:7]
    with single_threaded_blas():
        add_product(change.pre[:, 7:], change.post[:, 1:7], weights[7:, 3:9], gain=-2)
    np.testing.assert_allclose(weights, wanted, atol=close)


@pytest.mark.parametrize("cols", [1, 255, 256, 257, 513, 1024, 1025, 2001])
def test_updated_columns_are_shared_evenly_by_two(cols):
    found = updated_columns(cols)
    sizes = [last - first for first, last in found]
    assert sum(sizes) == cols
    assert max(sizes) <= UPDATED_COLUMNS
    assert len(found) == 1 or (len(found) % 2 == 0 and min(sizes) > max(sizes) - len(found))


def test_bits_do_not_depend_on_threads():
    before, found = threads(), []
    try:
        for count in (1, 2, 3):
            set_threads(count)
            array, _, change = task("float32")
            array.apply(change)
            array.update(change.pre, change.post)
            found.append((array.weights(), array.column_norms()))
    finally:
        set_threads(before)
    for weights, norms in found[1:]:
        np.testing.assert_array_equal(weights, found[0][0])
        np.testing.assert_array_equal(norms, found[0][1])


@pytest.mark.filterwarnings("error")
def test_large_inputs_pass_the_door_and_infinite_ones_do_not_without_a_warning():
    array, weights, _ = task("float32")
    array.program(np.full_like(weights, 3e38), w_max=array.w_max)
    with pytest.raises(InputError, match="NaN or infinite"):
        array.program(np.where(weights > 0, np.inf, -np.inf), w_max=array.w_max)
