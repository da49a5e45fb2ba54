"""The crossbar as a whole: ideal devices equal ideal arithmetic; pairs, refusals and memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import helpers
import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, F, close, inputs, made
from helpers import (
    BUILT_IN,
    FINE,
    IDEAL,
    MODES,
    PCM,
    check_mean,
    local_update,
    quiet,
    quiet_pcm,
    small_weights,
)

from neurosim import Crossbar, IdealArray, WritePath, devices
from neurosim.core.errors import InputError
from neurosim.core.protocols import Array

# Ideal devices equal ideal arithmetic


def test_programming_and_reading_ideal_devices_is_a_matrix_product():
    weights, x = small_weights(ROWS, COLS, reach=1.0), inputs(50)
    array, exact = made(IDEAL, weights=weights), IdealArray((ROWS, COLS), np.float64)
    exact.program(weights, w_max=exact.w_max)
    close(array.weights(), weights)
    close(array.forward(x), exact.forward(x))
    close(array.column_norms(), exact.column_norms())


@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
@pytest.mark.parametrize("decayed", [True, False], ids=["decay", "no decay"])
def test_twenty_updates_of_ideal_devices_equal_ideal_arithmetic(mode, decayed):
    write = WritePath(decay_mode="exact")
    array, exact = made(IDEAL, write=write), IdealArray((ROWS, COLS), np.float64)
    exact.program(small_weights(ROWS, COLS), w_max=exact.w_max)
    for step in range(20):
        pre, post, decay = local_update(ROWS, COLS, 8, seed=step, scale=0.004)
        for one in (array, exact):
            one.update(pre, post, decay if decayed else None, mode)
        close(array.weights(), exact.weights())
        x = inputs(5, seed=step)
        close(array.forward(x), exact.forward(x))
    assert np.abs(exact.weights() - small_weights(ROWS, COLS)).max() > 0.05


def test_online_updates_of_ideal_devices_equal_ideal_arithmetic_on_average():
    """No bias, and no more spread than that of counting pulses, |dw| steps of weight each."""
    law = devices.load(IDEAL).with_parameters(step_share=1e-4)
    array, exact = made(law, 60, 50, np.zeros((60, 50))), IdealArray((60, 50))
    travelled = np.zeros((60, 50))
    for step in range(10):
        pre, post, _ = local_update(60, 50, 8, seed=step, scale=1e-3)
        for one in (array, exact):
            one.update(pre, post, None, "online")
        travelled += np.abs(pre).T @ np.abs(post)
    error = array.weights() - exact.weights()
    check_mean(error, 0)
    counting = np.sqrt(travelled.mean() * 2e-4)
    assert 0.5 * counting < error.std() <= counting * (1 + 5 * np.sqrt(1 / error.size))
    assert array.ledger.trains_clipped == 0


@pytest.mark.parametrize("name", BUILT_IN)
def test_crossbars_and_ideal_arithmetic_are_arrays(name):
    array, exact = Crossbar((3, 2), name), IdealArray((3, 2))
    assert isinstance(array, Array)
    assert isinstance(exact, Array)
    assert (array.ideal, exact.ideal) == (False, True)


# Pairs


def test_set_only_devices_store_a_weight_on_one_side():
    weights = np.array([[0.5, -0.25], [0.0, 1.0]])
    g = made(quiet_pcm(), 2, 2, weights, write=WritePath(w_max=1.0)).conductance_uS()
    span = 12 - 0.1
    expected = [[0.1 + 0.5 * span, 0.1, 0.1, 0.1 + 0.25 * span], [0.1, 0.1, 12.0, 0.1]]
    np.testing.assert_allclose(g, expected, rtol=1e-6)


def test_bipolar_devices_store_a_weight_on_both_sides_of_rest():
    weights = np.array([[0.5, -0.25], [0.0, 1.0]])
    for law in (quiet(), devices.load(IDEAL)):
        g = made(law, 2, 2, weights, write=WritePath(w_max=1.0)).conductance_uS()
        half, rest = (law.g_max_uS - law.g_min_uS) / 2, law.g_rest_uS
        expected = [[0.5, -0.5, -0.25, 0.25], [0, 0, 1, -1]]
        np.testing.assert_allclose(g, rest + half * np.array(expected), rtol=1e-6)


@pytest.mark.parametrize("law", [quiet(), quiet_pcm(), devices.load(IDEAL)], ids=["rram", "pcm", "ideal"])
def test_weights_beyond_the_window_are_clipped_to_it(law):
    array = made(law, 2, 2, [[5.0, -5.0], [2.0, -2.0]], write=WritePath(w_max=2.0))
    np.testing.assert_allclose(array.weights(), [[2, -2], [2, -2]], rtol=1e-5)
    assert array.conductance_uS().shape == (2, 4)


def test_w_max_is_the_weight_of_a_full_difference():
    for w_max in (0.5, 4.0):
        array = made(IDEAL, 2, 2, np.full((2, 2), w_max / 4), write=WritePath(w_max=w_max))
        difference = array.conductance_uS()[:, ::2] - array.conductance_uS()[:, 1::2]
        np.testing.assert_allclose(difference, 25.0, rtol=1e-6)


# Requests that make no sense


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda a: a.program(np.zeros((3, 2))), r"weights: expected shape"),
        (lambda a: a.program(np.full((ROWS, COLS), np.nan)), "weights: .* NaN or infinite"),
        (lambda a: a.forward(np.zeros(ROWS)), "x: expected shape"),
        (lambda a: a.forward(np.zeros((1, COLS))), "x: expected shape"),
        (lambda a: a.forward(np.full((1, ROWS), np.inf)), "x: .* NaN or infinite"),
        (lambda a: a.forward([["a"] * ROWS]), "x: expected numbers"),
        (lambda a: a.update(np.zeros((2, ROWS)), np.zeros((3, COLS))), "post: expected shape"),
        (
            lambda a: a.update(np.zeros((2, ROWS)), np.zeros((2, COLS)), np.zeros(ROWS)),
            "decay: expected shape",
        ),
        (lambda a: a.update(np.zeros((2, ROWS)), np.full((2, COLS), np.nan)), "post: .* NaN"),
        (lambda a: a.update(np.zeros((2, ROWS)), np.zeros((2, COLS)), mode="fast"), "mode = 'fast'"),
        (lambda a: a.advance(-1.0), "seconds = -1"),
        (lambda a: a.advance(float("nan")), "seconds = nan"),
        (lambda a: Crossbar((0, 3), PCM), "shape"),
        (lambda a: Crossbar((3, 2), 5), "device"),
    ],
)
def test_senseless_requests_are_refused_in_words_and_change_nothing(call, said):
    """Among them time that runs backwards."""
    array = made(PCM)
    before = helpers.bits(array)
    with pytest.raises(InputError, match=said):
        call(array)
    assert helpers.bits(array) == before


def test_an_empty_batch_is_read_and_learned_as_nothing():
    array = made(PCM)
    before = array.conductance_uS()
    assert array.forward(np.zeros((0, ROWS))).shape == (0, COLS)
    for mode in MODES:
        assert array.update(np.zeros((0, ROWS)), np.zeros((0, COLS)), mode=mode) == 0
    np.testing.assert_array_equal(array.conductance_uS(), before)


# Memory


def peak_of(action: Any) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", MODES)
def test_updates_need_little_memory_beyond_the_state(mode):
    """Scratch below half the state, and below one array of changes (rows x cols float32)."""
    array = made(FINE, 512, 512)
    pre, post, decay = local_update(512, 512, 8, seed=0, scale=0.001)
    array.update(pre, post, decay, mode)
    needed = peak_of(lambda: array.update(pre, post, decay, mode))
    given = pre.nbytes + post.nbytes + decay.nbytes
    assert needed <= 0.5 * array.state_bytes + given
    if mode != "online":
        assert needed <= 512 * 512 * 4 + given


def test_reads_need_no_second_array():
    array = made(FINE, 512, 512)
    x = np.zeros((1024, 512), F)
    array.forward(x)
    assert peak_of(lambda: array.forward(x)) <= 0.5 * array.state_bytes + 2 * x.nbytes
    assert array.state_bytes == 2 * 512 * 512 * (6 * 4 + 4)  # six numbers of the law and one counter
