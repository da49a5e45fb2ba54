"""Intervals over seeds and McNemar's test, against textbook values and plain formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurosim.study.statistics import interval, mcnemar, wilson
from neurosim.study.store import pack_bits, unpack_bits


def test_student_and_wilson() -> None:
    """Student interval against the textbook t value 4.303 for 3 samples; Wilson against its formula."""
    low, high = interval([0.1, 0.2, 0.3]) or (0, 0)
    assert (low + high) / 2 == pytest.approx(0.2)
    assert high - 0.2 == pytest.approx(4.3027 * 0.1 / np.sqrt(3), rel=1e-4)
    assert interval([0.5]) is None
    low, high = wilson(1.0, 100)
    assert high == pytest.approx(1.0)
    assert low == pytest.approx(100 / (100 + 1.959964**2), rel=1e-5)


def binomial_two_sided(first: int, second: int) -> float:
    """Twice the smaller tail of a fair coin, at most one."""
    total = first + second
    tail = sum(math.comb(total, k) for k in range(min(first, second) + 1)) / 2**total
    return min(1.0, 2 * tail)


class TestMcNemar:
    @pytest.mark.parametrize(("ideal_only", "device_only"), [(0, 1), (1, 9), (5, 5), (31, 12), (400, 330)])
    def test_is_the_binomial_formula_and_symmetric(self, ideal_only: int, device_only: int) -> None:
        ideal = np.array([True] * ideal_only + [False] * device_only + [True] * 50 + [False] * 7)
        device = np.array([False] * ideal_only + [True] * device_only + [True] * 50 + [False] * 7)
        found = mcnemar(ideal, device)
        assert (found["ideal_only"], found["device_only"]) == (ideal_only, device_only)
        assert found["p_value"] == pytest.approx(binomial_two_sided(ideal_only, device_only), rel=1e-9)
        turned = mcnemar(device, ideal)
        assert (turned["ideal_only"], turned["device_only"]) == (device_only, ideal_only)
        assert turned["p_value"] == found["p_value"]

    def test_without_a_difference(self) -> None:
        same = np.array([True, False, True])
        assert mcnemar(same, same) == {"ideal_only": 0, "device_only": 0, "p_value": 1.0}


@pytest.mark.parametrize("count", [0, 1, 8, 297])
def test_bits_round_trip(count: int) -> None:
    bits = np.random.default_rng(count).random(count) < 0.5
    assert np.array_equal(unpack_bits(pack_bits(bits), count), bits)
