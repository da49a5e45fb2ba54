"""Three ways to learn, priced: each sum by hand, on events made by hand. What a run finds is not pinned."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from benchmarks.energy_rules import pruned
from benchmarks.energy_rules_page import (
    EXACT,
    TRANSPORT,
    cost,
    images_to,
    ratio,
    reached,
    samples,
    total,
    twin,
    whole,
)
from neurosim.crossbar.ledger import Ledger
from neurosim.energy import Price, PriceList, price_list
from neurosim.energy.digital import VERIFY_J
from neurosim.study.priced import to_reach


def one(value: float, unit: str = "J") -> tuple[Price, ...]:
    return (Price(value=value, low=value / 2, high=value * 2, unit=unit, source="a test", mark="measured"),)


FLAT = PriceList(
    name="flat",
    summary="round figures",
    prices={
        "adc": one(1e-12), "dac": one(1e-13), "line": one(1e-15), "mac": one(2e-13), "memory": one(5e-12),
        "add": one(1e-13), "neuron": one(1e-14), "row_dac": one(1e-13), "adc_time": one(1e-9, "s"),
        "columns_per_adc": one(2, "1"), "mac_time": one(1e-12, "s"), "memory_time": one(1e-12, "s"),
    },
)  # fmt: skip


def layer(number: int, rows: int, cols: int, **counts: float) -> dict[str, Any]:
    """Events of one array, whose reads are at 0.5 V and 200 ns."""
    return {
        "layer": number, "arrays": 1, "rows": rows, "cols": cols, "device": "own", "pulse_up": [2.0, 1e-8],
        "pulse_down": [1.0, 3e-8], "read_voltage_V": 0.5, "integration_time_s": 2e-7, "adc_bits": 6, "dac_bits": 4,
        "encoding": "amplitude", "pulse_train_slots": 31, "wear": [],
        "counts": {**dict.fromkeys(Ledger.names(), 0), **counts},
    }  # fmt: skip


COUNTS: dict[str, float] = {
    "reads": 10, "phases": 10, "read_uS": 8.0, "conversions": 40, "dac_conversions": 60, "read_line_cells": 30,
    "pulsed_cells": 3, "macs": 50,
}  # fmt: skip
NET = [layer(1, 6, 4, **COUNTS), layer(2, 4, 2, **{**COUNTS, "conversions": 20, "dac_conversions": 40})]


def test_exact_gradients_add_a_second_read_behind_the_first_layer_outer_products_and_verified_cells() -> None:
    plain, exact = (cost(NET, FLAT, transport).bill.joules for transport in (False, True))
    cells, lines = 8e-6 * 0.25 * 2e-7, 30 * 1e-15
    again = cells + lines + 20 * 2 * 1e-12 + 40 / 2 * 1e-13
    outer = (10 * 24 - 50 + 10 * 8 - 50) * 2e-13
    assert exact - plain == pytest.approx(again + outer + 6 * VERIFY_J[0], rel=1e-9)


def test_the_second_read_takes_its_time_and_verifying_is_not_timed() -> None:
    plain, exact = (total(cost(NET, FLAT, transport).seconds())[0] for transport in (False, True))
    assert exact - plain == pytest.approx(10 * (2e-7 + 2 * 1e-9) + (190 + 30) * 1e-12)


def test_programming_the_start_is_in_neither() -> None:
    start = {"program_pulses": 5, "program_pulses_J": 1.0, "program_time_s": 1.0, "calibration_reads": 1000}
    with_start = [{**NET[0], "counts": {**NET[0]["counts"], **start}}]
    found, bare = cost(with_start, FLAT), cost(NET[:1], FLAT)
    assert total(found.joules()) == pytest.approx(total(bare.joules()))
    assert total(found.seconds()) == pytest.approx(total(bare.seconds()))


def test_a_price_is_the_same_on_both_sides_of_a_ratio() -> None:
    one = [("adc", 2.0, 1.0, 4.0), ("mac", 3.0, 3.0, 3.0)]
    other = [("adc", 1.0, 0.5, 2.0), ("mac", 6.0, 6.0, 6.0)]
    assert ratio(one, other) == pytest.approx((5 / 7, 4 / 6.5, 7 / 8))
    assert ratio(one, one) == pytest.approx((1, 1, 1))
    own = [("dac", 1.0, 0.5, 2.0), ("mac", 6.0, 6.0, 6.0)]
    assert ratio(one, own) == pytest.approx((5 / 7, 4 / 8, 7 / 6.5))


def test_no_corner_of_the_prices_lies_beyond_the_ends_of_a_ratio() -> None:
    draws = np.random.default_rng(0)
    a, b = draws.random((2, 6))
    low, high = 1 - draws.random(6) / 2, 1 + 3 * draws.random(6)
    one, other = ([(k, v[k], v[k] * low[k], v[k] * high[k]) for k in range(6)] for v in (a, b))
    corners = [(f @ a) / (f @ b) for f in map(np.array, product(*zip(low, high, strict=True)))]
    assert ratio(one, other) == pytest.approx((a.sum() / b.sum(), min(corners), max(corners)))


def run(arm: str, scores: list[float], seed: int = 0) -> dict[str, Any]:
    """A run that was looked at every 100 images, and had counted so many reads of its one layer."""
    along = [
        {"images": 100 * k, "accuracy": score, "counts": [{**NET[0]["counts"], "macs": 100 * k}]}
        for k, score in enumerate(scores, 1)
    ]
    return {"arm": arm, "seed": seed, "accuracy": scores[-1], "events": NET[:1], "along": along}


def result(*runs: dict[str, Any]) -> dict[str, Any]:
    kept = [pruned(each) for each in runs]
    about = {"config": {"epochs": 2}, "data": {"train_images": 300}}
    return {"backpropagation": {**about, "runs": kept}}


def test_of_the_looks_the_first_that_came_far_enough_is_kept_and_priced_as_to_reach_does() -> None:
    runs = [run("PCM", [0.5, 0.76, 0.7, 0.8]), run("PCM", [0.5, 0.8, 0.7, 0.8], seed=1)]
    found = result(*runs)
    assert [look["images"] for look in found["backpropagation"]["runs"][0]["along"]] == [200, 400]
    assert images_to(found, EXACT, "PCM") == 200
    assert images_to(found, EXACT, "PCM", accuracy=0.79) == 300
    assert images_to(found, EXACT, "PCM", accuracy=0.9) is None
    there, told = reached(found, EXACT, "PCM", FLAT), to_reach(runs, FLAT, share=0.95)
    assert told is not None
    assert total(there.joules()) == pytest.approx((told.joules, told.low, told.high))
    assert total(there.seconds())[0] == pytest.approx(told.seconds)
    assert samples(found, EXACT) == 600


def test_the_transport_is_priced_on_the_same_events() -> None:
    found = result(run("PCM", [0.5, 0.8]))
    plain, exact = (whole(found, method, "PCM", FLAT).bill.joules for method in (EXACT, TRANSPORT))
    assert exact - plain == pytest.approx(190 * 2e-13 + 3 * VERIFY_J[0])


def test_the_digital_step_of_each_method() -> None:
    known = price_list("digital-45nm")
    mac = known.cost_of("mac", 8)
    dram = known.cost_of("memory", 8, float("inf"))
    assert mac is not None
    assert dram is not None
    weights = {"SoftHebb": 784 * 200, "Forward-Forward": 984 * 200, EXACT: 794 * 200}
    products = {"SoftHebb": 2, "Forward-Forward": 5, EXACT: 3}
    words = {
        "SoftHebb": 3 / 4 / 32,
        "Forward-Forward": 2 * 3 / 4 / 200 + 1 / 4 / 100,
        EXACT: (4 / 4 + 2) / 100,
    }
    for method, number in weights.items():
        expected = number * (products[method] * mac.value + words[method] * dram.value)
        assert total(twin(method, "int8", "digital-45nm", "dram"))[0] == pytest.approx(expected)
