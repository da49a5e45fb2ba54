"""Published ratios of energies: each definition by hand, on events made by hand. What a run finds is not pinned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.nandakumar import stepped
from benchmarks.renaudineau import PULSE_S, PULSE_V, RULES, prices, ratios, written
from benchmarks.small_nets import Backpropagation, Competitive, arrays
from neurosim.core.errors import InputError
from neurosim.crossbar.ledger import Ledger
from neurosim.energy import Bill, Price, PriceList, price, price_list
from neurosim.energy.digital import digital
from neurosim.energy.published import digital_over_array, learning_over_inference, verify_over_pulse

SOURCES = dict.fromkeys(("g_min_uS", "g_max_uS", "write_voltage_V", "write_time_s"), "measured in the paper")


def layer(**counts: float) -> dict[str, Any]:
    """Events of one array of 3 x 5: pulses of 2 V, 10 ns up and 1 V, 30 ns down, reads of 0.5 V, 200 ns."""
    return {
        "layer": 1, "arrays": 1, "rows": 3, "cols": 5, "device": "own", "pulse_up": [2.0, 1e-8],
        "pulse_down": [1.0, 3e-8], "read_voltage_V": 0.5, "integration_time_s": 2e-7, "adc_bits": 6, "dac_bits": 4,
        "encoding": "amplitude", "pulse_train_slots": 31, "counts": {**dict.fromkeys(Ledger.names(), 0), **counts},
    }  # fmt: skip


def one(value: float, unit: str = "J") -> tuple[Price, ...]:
    return (Price(value=value, low=value / 2, high=value * 2, unit=unit, source="a test", mark="measured"),)


FLAT = PriceList(
    name="flat",
    summary="round figures",
    prices={
        "adc": one(1e-12), "dac": one(1e-13), "line": one(1e-15), "mac": one(2e-13), "memory": one(5e-12),
        "add": one(1e-13), "neuron": one(1e-14), "row_dac": one(1e-13),
    },
)  # fmt: skip
READ_J = 8.0 * 1e-6 * 0.25 * 2e-7
TRAINED: dict[str, float] = {
    "read_uS": 8.0, "conversions": 4, "dac_conversions": 10, "read_line_cells": 30, "read_sums": 6, "reads": 2,
    "pulses": 20, "downs": 20, "pulses_lost": 4, "down_J": 3e-12, "lost_uS": 2.0, "pulse_line_cells": 60, "macs": 50,
    "memory_accesses": 7, "refresh_J": 9e-12, "refreshed_pairs": 1, "readback_uS": 4.0, "readback_conversions": 3,
    "program_pulses": 5, "program_pulses_J": 1.0,
}  # fmt: skip
LOST_J = 2e-6 * 4 * 1e-8
PULSES_J = 3e-12 + LOST_J
LINES_J = 60e-15
FORWARD_J = READ_J + 4e-12 + 1e-12 + 30e-15
LEARNING_J = PULSES_J + LINES_J + 50 * 2e-13 + 7 * 5e-12 + 9e-12 + 4e-6 * 0.25 * 2e-7 + 3e-12


def billed(**more: float) -> Bill:
    return price([layer(**{**TRAINED, **more})], FLAT, sources=SOURCES)


def test_what_learning_adds_to_inference_by_hand():
    found = learning_over_inference(billed())
    assert found["cells"].value == pytest.approx(PULSES_J / READ_J)
    assert found["array"].value == pytest.approx((PULSES_J + LINES_J) / FORWARD_J)
    whole = FORWARD_J + 6 * 1e-13 + 2 * 5 * 1e-14
    assert found["everything"].value == pytest.approx(LEARNING_J / whole)


def test_restores_are_in_everything_and_programming_the_start_in_nothing():
    before, after = (learning_over_inference(billed(refresh_J=joules)) for joules in (0.0, 9e-12))
    assert after["everything"].value > before["everything"].value
    assert (after["cells"], after["array"]) == (before["cells"], before["array"])
    assert learning_over_inference(billed(program_pulses_J=0.0)) == after


def test_the_ends_of_a_ratio_are_low_over_high():
    found = learning_over_inference(billed())["array"]
    low = PULSES_J - LOST_J + 2e-6 * 1 * 3e-8 + LINES_J / 2
    assert found.low == pytest.approx(low / (READ_J + 2 * (FORWARD_J - READ_J)))
    assert found.low < found.value < found.high


def test_program_and_verify_of_a_cell_over_a_pulse_by_hand():
    closed = layer(
        program_pulses=90, program_resets=10, program_pulses_J=6e-11, program_uS=5.0, program_reads=12
    )
    programmed = price([closed], FLAT, sources=SOURCES)
    found = verify_over_pulse(billed(), programmed, cells=30)
    verified = 6e-11 + 5e-6 * 0.25 * 2e-7 + 12e-12
    assert found["cells"].value == pytest.approx((6e-11 / 30) / (PULSES_J / 20))
    assert found["array"].value == pytest.approx((verified / 30) / ((PULSES_J + LINES_J) / 20))
    assert found["everything"].value == pytest.approx((verified / 30) / (LEARNING_J / 16))


def test_a_digital_step_over_an_array_by_hand():
    twin = digital([(3, 5)], "fp32", "digital-45nm", step="backprop")
    found = digital_over_array(twin, billed(), samples=2)
    learnt = billed().learnt().joules
    assert found["everything"].value == pytest.approx(twin.joules / (learnt / 2))
    assert found["array and products"].value == pytest.approx(twin.joules / ((learnt - 7 * 5e-12) / 2))
    digits = 50 * 2e-13 + 7 * 5e-12 + 6 * 1e-13 + 2 * 5 * 1e-14
    assert found["array"].value == pytest.approx(twin.joules / ((learnt - digits) / 2))


def test_nothing_is_divided_by_nothing():
    idle = price([layer()], FLAT, sources=SOURCES)
    for wrong in (
        lambda: learning_over_inference(idle),
        lambda: verify_over_pulse(idle, idle, 30),
        lambda: verify_over_pulse(billed(), idle, 0),
        lambda: digital_over_array(billed(), idle, 1),
        lambda: digital_over_array(billed(), billed(), 0),
    ):
        with pytest.raises(InputError, match="ratio of energies"):
            wrong()


def test_the_unread_pulse_scales_both_ratios_and_cancels_in_their_product():
    events = [layer(**{**TRAINED, "pulses_lost": 0, "lost_uS": 0.0})]
    closed = [layer(program_pulses=90, program_pulses_J=6e-11)]
    found = ratios(events, closed, "generic-28nm")
    first, second, both = (
        found[name]["cells"] for name in ("learning / inference", "verify / pulse", "product")
    )
    scaled = 3e-12 * PULSE_V**2 * PULSE_S / (1.0 * 3e-8)
    assert first.value == pytest.approx(scaled / READ_J)
    assert (
        both.value == pytest.approx(first.value * second.value) == pytest.approx((6e-11 / 30) * 20 / READ_J)
    )
    assert (both.low, both.high) == pytest.approx((both.value, both.value))
    assert first.low == pytest.approx(first.value * (0.7 / PULSE_V) ** 2)
    assert first.high == pytest.approx(first.value * (1.0 / PULSE_V) ** 2)


def test_pulses_without_effect_are_priced_below_a_volt_too():
    bill = price(
        [layer(pulses=1, downs=1, pulses_lost=1, lost_uS=2.0)], prices("generic-28nm"), sources=SOURCES
    )
    lost = next(line for line in bill.lines if line.what == "pulses without effect")
    assert lost.joules == pytest.approx(2e-6 * PULSE_V**2 * PULSE_S)


def test_errors_go_back_through_every_layer_but_the_first():
    first, second = layer(**TRAINED), {**layer(**TRAINED), "layer": 2}
    known = price_list("hermes-14nm")
    whole, counted = stepped([first, second]), price([first, second], known)
    added = whole.lines[len(counted.lines) :]
    assert {(line.layer, line.phase) for line in added} == {(2, "forward")}
    more = whole.joules - counted.joules
    adc = known.cost_of("adc", 6)
    dac = known.cost_of("dac", 4)
    assert adc is not None
    assert dac is not None
    line_J = 0.2e-15 * 0.25 * 30
    assert more == pytest.approx(READ_J + 4 * 3 / 5 * adc.value + 10 * 5 / 3 * dac.value + line_J)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_learns_and_reads_as_often_as_it_says(rule):
    draws = np.random.default_rng(0)
    labels = np.arange(120) % 4
    centres = draws.random((4, 20))
    images = (centres[labels] + 0.2 * draws.random((120, 20))).astype(np.float32)
    kind = RULES[rule]
    net = kind(arrays([(20, 24), (24, 16)], None, 0, None, written("filtered")), 4, 0.3, 300, 0)
    net.train(images, labels, 20)
    assert net.accuracy(images, labels) > 0.9
    chip = kind(
        arrays([(20, 24), (24, 16)], "rram-hfo2-om-2022", 0, None, written("filtered")), 4, 0.3, 12, 0
    )
    chip.train(images, labels, 20)
    for counted in chip.events():
        assert counted["counts"]["reads"] == 12 * 20 * kind.passes
        assert counted["counts"]["updates"] == 12 * kind.passes
        assert counted["counts"]["downs"] == counted["counts"]["pulses"] > 0


def _loss(net: Any, images: Any, labels: Any, weights: Any) -> float:
    for array, each in zip(net.arrays, weights, strict=True):
        array.program(each)
    scores = net.scores(images)
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return float(-np.log((p / p.sum(axis=1, keepdims=True))[np.arange(len(labels)), labels]).mean())


def test_backpropagation_goes_down_its_gradient():
    draws = np.random.default_rng(1)
    images, labels = draws.random((16, 6)).astype(np.float32), np.arange(16) % 4
    net = Backpropagation(arrays([(6, 10), (10, 8)], None, 3), 4, 1.0, 10**9, 0)
    before = [array.weights().astype(np.float64) for array in net.arrays]
    for array, each in zip(net.arrays, before, strict=True):
        array.program(each)
    net.learn(images, labels)
    moved = [array.weights() - each for array, each in zip(net.arrays, before, strict=True)]
    for k, (row, col) in ((0, (2, 3)), (0, (6, 1)), (1, (4, 5)), (1, (10, 0))):
        ends = []
        for sign in (1, -1):
            other = [each.copy() for each in before]
            other[k][row, col] += sign * 1e-3
            ends.append(_loss(net, images, labels, other))
        assert -moved[k][row, col] == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=0.02, abs=3e-4)


def test_the_competing_group_of_the_label_rises_and_others_fall():
    draws = np.random.default_rng(2)
    images, labels = draws.random((8, 6)).astype(np.float32), np.zeros(8, np.int64)
    net = Competitive(arrays([(6, 8), (8, 8)], None, 0), 4, 0.1, 10**9, 0)
    before = net.scores(images)
    net.learn(images, labels)
    rise = (net.scores(images) - before).mean(axis=0)
    assert rise[0] > 0 > rise[1:].sum()
