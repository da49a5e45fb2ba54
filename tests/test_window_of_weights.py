"""Programmed weights and the window: it fits, or what is clipped and unused is counted and said."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from helpers import IDEAL, PCM

import neurosim as ns
from neurosim import TorchCrossbar
from neurosim.core.cautions import GainWarning, WindowWarning
from neurosim.core.errors import CapabilityError, InputError
from neurosim.reference.twin.followed import FOLLOWED, FOLLOWED_AT

RNG = np.random.default_rng(0)
WIDE, NARROW = RNG.normal(0, 3, (784, 10)), RNG.normal(0, 0.02, (784, 10))
X = RNG.random((50, 784))


def error(array: ns.Crossbar, weights: np.ndarray) -> float:
    """Rms error of answers, relative to their spread."""
    right = X @ weights
    return float((array.forward(X) - right).std() / right.std())


@pytest.mark.parametrize("weights", [WIDE, NARROW])
def test_weights_of_any_size_fit_the_window(weights):
    """11 to 13 % where a window of 1 clips three times too large weights (75 %) and drowns small ones (104 %)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", WindowWarning)
        array = ns.Crossbar(weights.shape, PCM)
        array.program(weights)
    assert error(array, weights) < 0.14
    assert array.ledger.weights_clipped == 0


@pytest.mark.parametrize(
    ("weights", "match", "least"), [(WIDE, "lie beyond the window", 0.6), (NARROW, "% of the window", 0.8)]
)
def test_a_window_that_does_not_fit_is_said_once(weights, match, least):
    array = ns.Crossbar(weights.shape, PCM, write=ns.WritePath(w_max=1.0))
    with pytest.warns(WindowWarning, match=match):
        array.program(weights)
    assert array.ledger.weights_clipped == int((np.abs(weights) > 1).sum())
    assert error(array, weights) > least
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        array.program(weights)


def test_outliers_that_hold_the_window_open_are_said():
    weights = RNG.normal(0, 0.01, (300, 20))
    weights[0, 0] = 5.0
    array = ns.Crossbar(weights.shape, IDEAL)
    with pytest.warns(WindowWarning, match="percentile"):
        array.program(weights)


def test_learning_states_its_window_and_keeps_its_bits():
    """`program(weights, w_max)` is the window of old; learning on in a fitted window is said once."""
    start = np.abs(NARROW[:20])
    stated = ns.Crossbar(start.shape, PCM, seed=4)
    fixed = ns.Crossbar(start.shape, PCM, seed=4, write=ns.WritePath(scale="fixed"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stated.program(start, w_max=1.0)
    with pytest.warns(WindowWarning):
        fixed.program(start)
    assert np.array_equal(stated.conductance_uS(), fixed.conductance_uS())
    fitted = ns.Crossbar(start.shape, PCM, seed=4)
    fitted.program(start)
    with pytest.warns(WindowWarning, match="w_max"):
        fitted.update(np.ones((1, 20)), np.full((1, 10), 0.01))
    for bad in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="w_max"):
            fitted.program(start, w_max=bad)


@pytest.mark.parametrize("write", [
    {}, {"w_max": 0.5}, {"scale": "fixed"}, {"scale": "max", "scale_by": "column"},
    {"scale": "percentile", "scale_percentile": 90.0}, {"scale": "max", "w_max": 0.1},
])  # fmt: skip
def test_the_twin_chooses_the_same_window(write):
    weights = RNG.normal(0, 0.3, (24, 6))
    settings = {"seed": 2, "write": ns.WritePath(**write), "precision": "float64"}
    arrays = [kind((24, 6), PCM, **settings) for kind in (ns.Crossbar, TorchCrossbar)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WindowWarning)
        for array in arrays:
            array.program(weights)
    np.testing.assert_allclose(arrays[0].weights(), arrays[1].weights().numpy(), rtol=1e-9)
    assert arrays[0].ledger.weights_clipped == arrays[1].ledger.weights_clipped


def test_what_a_backend_follows_is_a_list_of_every_setting():
    """A setting that is in no list is refused at any value, so that a new one cannot be passed over in silence."""
    for path, kind in (("read", ns.ReadPath), ("write", ns.WritePath)):
        listed = FOLLOWED[path] | set(FOLLOWED_AT[path]) | ({"programming"} if path == "write" else set())
        assert listed == set(kind.model_fields)
        for name, values in FOLLOWED_AT[path].items():
            assert kind.model_fields[name].default in values
    with pytest.raises(CapabilityError, match="encoding"):
        TorchCrossbar((4, 2), PCM, read=ns.ReadPath(encoding="pulse-width"))


@pytest.mark.parametrize(("largest", "many", "said"), [(1.2, 1, False), (1.2, 20, True), (4.0, 1, True)])
def test_a_few_start_weights_just_beyond_the_window_are_counted_and_not_warned_of(largest, many, said):
    """Of weights that learn in a stated window; of those that do not, each is said."""
    weights = RNG.uniform(-0.9, 0.9, (100, 50))
    weights.ravel()[:many] = largest
    array = ns.Crossbar(weights.shape, IDEAL)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        array.program(weights, w_max=1.0)
    assert array.ledger.weights_clipped == many
    words = [str(one.message) for one in seen if one.category is WindowWarning]
    assert bool(words) == said
    assert all(f"the largest {largest:.2g} times as large; give them more room" in one for one in words)


def test_the_gain_of_a_column_that_shrinks_for_ever_ends():
    """It went on to infinity, which no file of results can hold; both machines stop at the same place."""
    arrays: list[Any] = [
        kind((4, 3), IDEAL, write=ns.WritePath(decay_mode="gain", w_max=1.0))
        for kind in (ns.Crossbar, TorchCrossbar)
    ]
    nothing, decay = np.zeros((1, 3)), np.array([500.0, 0.01, 0.0])
    for array in arrays:
        array.program(np.full((4, 3), 0.5), w_max=1.0)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for _ in range(150):
                array.update(np.zeros((1, 4)), nothing, decay)
        if isinstance(array, ns.Crossbar):
            (said,) = [str(one.message) for one in seen if one.category is GainWarning]
            assert said.startswith("the digital gain of 1 columns (the first is 0) has fallen below 2**-20")
    one, other = (np.asarray(array.weights()) for array in arrays)
    assert np.isfinite(one).all()
    np.testing.assert_allclose(one[:, 0], 0.5 * 2.0**-60)
    np.testing.assert_allclose(one[:, 1], 0.5 * 0.99**150, rtol=1e-3)
    np.testing.assert_allclose(other, one, rtol=1e-5)
