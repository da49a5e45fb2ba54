"""The fused competition of SoftHebb, and the exponential inside it, against plain formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from neurosim.kernels.compete import compete
from neurosim.kernels.jit import jit
from neurosim.kernels.rows import EXPONENTIAL, exponential, total

BATCH, COLS = 37, 21


@jit
def exponentials(x: Any, out: Any) -> None:
    """Of each number."""
    for k in range(x.size):
        out[k] = exponential(x[k])


@jit
def total_of(values: Any) -> Any:
    """Of a row."""
    return total(values)


def plain(u: Any, bias: Any, inverse_temperature: float, rate: Any, anti: bool) -> Any:
    """Signed softmax times rate, in double precision."""
    z = inverse_temperature * (u + bias).astype(np.float64)
    y = np.exp(z - z.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    if anti:
        y *= np.where(np.arange(COLS) == z.argmax(axis=1)[:, None], 1, -1)
    return y * rate


def test_the_exponential_is_right_to_the_last_bits_and_vanishes_below_the_faint() -> None:
    x = -np.concatenate([np.geomspace(1e-8, 63.99, 200_000), [0.0]]).astype(np.float32)
    found = np.empty_like(x)
    exponentials(x, found)
    assert np.abs(found / np.exp(x.astype(np.float64)) - 1).max() < 2.5e-7
    assert found[-1] == 1
    below = np.float32([-64.1, -1e4, -np.inf])
    exponentials(below, found[:3])
    assert not found[:3].any()


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
def test_eight_partial_sums_make_the_sum(size: int) -> None:
    values = np.random.default_rng(size).standard_normal(size)
    assert total_of(values) == pytest.approx(math.fsum(values), abs=1e-12)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("anti", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_competition_is_the_plain_formula(precision: str, anti: bool, biased: bool) -> None:
    rng = np.random.default_rng(0)
    real = np.dtype(precision).type
    u = rng.standard_normal((BATCH, COLS)).astype(precision)
    rate, bias = rng.random(COLS).astype(precision), rng.standard_normal(COLS).astype(precision)
    bias = bias if biased else bias[:0]
    post, along = np.empty_like(u), np.ones(COLS, precision)
    compete(u, bias, real(3), anti, rate, EXPONENTIAL[precision], post, along)
    wanted = plain(u, bias if biased else 0, 3, rate, anti)
    close = {"float32": 2e-6, "float64": 1e-13}[precision]
    np.testing.assert_allclose(post, wanted, rtol=close)
    np.testing.assert_allclose(along - 1, (wanted * u).sum(axis=0), atol=20 * close)


def test_of_equal_currents_the_first_wins_and_what_is_no_number_stays_none() -> None:
    u = np.float32([[1, 2, 2, 0], [np.nan, 1, 2, 3]])
    post, along = np.empty_like(u), np.zeros(4, np.float32)
    compete(u, u[0, :0], np.float32(1), True, np.ones(4, np.float32), exponential, post, along)
    assert (post[0] > 0).tolist() == [False, True, False, False]
    assert np.isnan(post[1]).all()
