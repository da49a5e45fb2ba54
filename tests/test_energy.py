"""Joules of events by hand, bills that add up and only grow, price lists that say where figures come from."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosim as ns
from neurosim.cli.energy import energy_command
from neurosim.core.errors import ConfigError, InputError, UnknownNameError
from neurosim.crossbar.ledger import Ledger
from neurosim.devices import cards
from neurosim.energy import AssumedError, Bill, Price, PriceList, Pulse, built_in, price, price_list
from neurosim.energy.digital import digital, weight_transport
from neurosim.energy.marks import device_mark, mark_of, sources_of
from neurosim.energy.price_list import COMPONENTS
from neurosim.energy.seconds import seconds
from neurosim.energy.stacks import stack
from neurosim.report.costs import Costs
from neurosim.report.energy import energy_table
from neurosim.report.energy_figures import energy_bars, tradeoff
from neurosim.study.estimate import estimated
from neurosim.study.kinds import kind_of
from neurosim.study.priced import front, priced

SOURCES = {
    "g_min_uS": "measured in the paper", "g_max_uS": "measured in the paper", "write_voltage_V": "Fig. 2",
    "write_time_s": "Fig. 2",
}  # fmt: skip
"""Of a card that assumes nothing."""


def layer(number: int = 1, **counts: float) -> dict[str, Any]:
    """Events of one array of 3 x 5."""
    return {
        "layer": number, "arrays": 1, "rows": 3, "cols": 5, "device": "own", "pulse_up": [2.0, 1e-8],
        "pulse_down": [1.0, 3e-8], "read_voltage_V": 0.5, "integration_time_s": 2e-7, "adc_bits": 6, "dac_bits": 4,
        "encoding": "amplitude", "pulse_train_slots": 31, "devices": 30, "wear": [[0, 0.0], [0.5, 4.0], [1, 20.0]],
        "counts": {**dict.fromkeys(Ledger.names(), 0), **counts},
    }  # fmt: skip


def one(component: str, value: float, unit: str = "J", **more: Any) -> Price:
    return Price(
        value=value, low=value / 2, high=value * 3, unit=unit, source="a test", mark="measured", **more
    )


ALL = PriceList(
    name="all",
    summary="a price for everything",
    prices={
        name: (one(name, 10.0 ** -(10 + k % 4), component.units[0]),)
        for k, (name, component) in enumerate(COMPONENTS.items())
        if name not in ("control", "columns_per_adc")
    }
    | {"control": (one("control", 0.25, "1"),), "columns_per_adc": (one("columns_per_adc", 4, "1"),)},
)
BARE = ALL.changed(prices={name: terms for name, terms in ALL.prices.items() if name != "control"})


def only(counts: dict[str, float], prices: PriceList = BARE) -> float:
    return price([layer(**counts)], prices, sources=SOURCES).joules


def unit(name: str) -> float:
    return ALL.prices[name][0].value


@pytest.mark.parametrize(
    ("counts", "joules"),
    [
        ({"read_uS": 7.0}, 7e-6 * 0.25 * 2e-7),
        ({"readback_uS": 7.0}, 7e-6 * 0.25 * 2e-7),
        ({"program_uS": 7.0}, 7e-6 * 0.25 * 2e-7),
        ({"conversions": 11}, 11 * unit("adc")),
        ({"readback_conversions": 11}, 11 * unit("adc")),
        ({"program_reads": 11}, 11 * unit("adc")),
        ({"program_comparisons": 11}, 11 * unit("comparator")),
        ({"dac_conversions": 11}, 11 * unit("dac")),
        ({"read_line_cells": 30}, 30 * unit("line") * 0.25),
        ({"readback_line_cells": 30}, 30 * unit("line") * 0.25 + 3 * unit("row_dac")),
        ({"pulse_line_cells": 9, "downs": 1, "pulses": 3}, unit("line") * (6 * 4 + 3 * 1)),
        ({"read_sums": 13}, 13 * unit("add")),
        ({"macs": 13}, 13 * unit("mac")),
        ({"memory_accesses": 13}, 13 * unit("memory")),
        ({"reads": 4}, 4 * 5 * unit("neuron")),
        ({"trains": 4}, 4 * 31 * (3 + 5) * unit("train")),
        ({"up_J": 3e-9, "pulses": 2}, 3e-9),
        ({"down_J": 3e-9}, 3e-9),
        ({"lost_uS": 6.0}, 6e-6 * 4 * 1e-8),
        ({"half_uS": 6.0}, 6e-6 * 4 * 1e-8 / 4),
        ({"refresh_J": 5e-9}, 5e-9),
        ({"program_pulses_J": 5e-9}, 5e-9),
    ],
)
def test_every_kind_of_event_by_hand(counts: dict[str, float], joules: float):
    assert only(counts) == pytest.approx(joules, rel=1e-9)


def test_control_is_a_share_of_what_stands_beside_the_cells():
    counts = {"conversions": 11, "macs": 13, "up_J": 1.0}
    beside = 11 * unit("adc") + 13 * unit("mac")
    assert only(counts, ALL) == pytest.approx(1.0 + beside * 1.25, rel=1e-12)
    assert "clock, control and leakage" in price([layer(**counts)], BARE, sources=SOURCES).not_priced


def test_the_default_list_comes_to_the_joules_of_a_ledger():
    array = ns.Crossbar((12, 7), "rram-hfo2-gong-2018", read=ns.ReadPath(adc_bits=7), seed=3)
    random = np.random.default_rng(0)
    array.program(random.normal(0, 0.3, (12, 7)).astype(np.float32))
    for mode in ("online", "accumulate", "mixed"):
        pre = random.normal(size=(5, 12)).astype(np.float32)
        post = random.normal(0, 0.05, (5, 7)).astype(np.float32)
        array.forward(pre)
        array.update(pre, post, decay=np.full(7, 0.02, np.float32), mode=mode)
    ledger = array.ledger
    up, down = array.device.pulse_shapes
    events = {
        **layer(), "rows": 12, "cols": 7, "device": array.device.name, "pulse_up": up, "pulse_down": down,
        "read_voltage_V": array.read.read_voltage_V, "integration_time_s": array.read.integration_time_s, "adc_bits": 7,
        "dac_bits": None, "counts": ledger.counts(),
    }  # fmt: skip
    for prices in ("zigzag-horowitz-45nm", ns.Periphery()):
        bill = price([events], prices)
        both = bill.where("phase", "kind")

        def of(phase: str, *kinds: str, both: Any = both) -> float:
            return sum(both.get((phase, kind), (0.0,))[0] for kind in kinds)

        assert of("update", "device") == pytest.approx(ledger.write_J, rel=1e-12)
        assert of("readback", "device") == pytest.approx(ledger.readback_J, rel=1e-12)
        assert of("forward", "device") == pytest.approx(ledger.read_J, rel=1e-12)
        assert of("programming", "device") == pytest.approx(ledger.program_J, rel=1e-12)
        assert of("forward", "periphery", "digital") == pytest.approx(ledger.read_periphery_J, rel=1e-12)
        written = of("update", "periphery", "digital") + of("readback", "periphery", "digital")
        assert written == pytest.approx(ledger.write_periphery_J, rel=1e-12)
        assert ledger.write_J > 0 < ledger.readback_J


def test_a_pulse_of_the_lists_own():
    counts = {"pulses": 10, "downs": 4, "up_J": 6e-12, "down_J": 8e-12}
    shape = Pulse(voltage_V=1.0, width_s=2e-8, source="s", mark="measured")
    fixed = Pulse(joules=1e-15, low=0.5e-15, high=2e-15, source="s", mark="measured")
    bill = price(
        [layer(**counts)],
        PriceList(name="p", summary="", prices={}, pulse_up=shape, pulse_down=fixed),
        sources=SOURCES,
    )
    up, down = (
        next(line for line in bill.lines if line.what == what) for what in ("pulses up", "pulses down")
    )
    assert up.joules == pytest.approx(6e-12 * (1.0 * 2e-8) / (4.0 * 1e-8))
    assert (down.joules, down.low, down.high) == pytest.approx((4e-15, 2e-15, 8e-15))
    silent = {**layer(**counts), "pulse_up": [0.0, 0.0]}
    with pytest.raises(InputError, match="states no voltage and time"):
        price([silent], PriceList(name="p", summary="", prices={}, pulse_up=shape), sources=SOURCES)


COUNT = st.integers(0, 10**9) | st.floats(0, 1e12)
NOT_APART = ("pulses", "downs", "pulse_line_cells", "calibration_reads")
"""Totals that belong to others: reads of a calibration cost what the mean read of their part does."""
SOME = st.dictionaries(st.sampled_from([name for name in Ledger.names() if name not in NOT_APART]), COUNT)
LISTS = st.sampled_from([*built_in(), ALL])


@settings(max_examples=40, deadline=None)
@given(SOME, SOME, LISTS)
def test_bills_are_finite_and_add_up_over_parts_and_layers(one_part, other_part, prices):
    both = {name: one_part.get(name, 0) + other_part.get(name, 0) for name in {*one_part, *other_part}}
    bills = [price([layer(**counts)], prices, sources=SOURCES) for counts in (one_part, other_part, both)]
    for bill in bills:
        joules, low, high = bill.total()
        assert np.isfinite([joules, low, high]).all()
        assert 0 <= low <= joules * (1 + 1e-9)
        assert joules <= high * (1 + 1e-9)
        assert 0 <= bill.assumed_share <= 1 + 1e-9
        assert bill.device_J + bill.periphery_J + bill.digital_J == pytest.approx(joules)
    parts, whole = bills[0] + bills[1], bills[2]
    assert parts.total() == pytest.approx(whole.total())
    assert parts.synapses == whole.synapses == 15
    layers = price([layer(1, **one_part), layer(2, **other_part)], prices, sources=SOURCES)
    assert layers.total() == pytest.approx(whole.total())
    assert layers.synapses == 30


@settings(max_examples=40, deadline=None)
@given(SOME, st.sampled_from([*COMPONENTS]), st.floats(1, 100))
def test_no_higher_price_makes_anything_cheaper(counts, component, factor):
    dearer = ALL.changed(
        prices={
            **ALL.prices,
            component: tuple(
                term.changed(value=term.value * factor, high=term.high * factor)
                for term in ALL.prices[component]
            ),
        }
    )
    cheap, dear = (price([layer(**counts)], prices, sources=SOURCES) for prices in (ALL, dearer))
    assert dear.joules >= cheap.joules * (1 - 1e-12)
    assert seconds([layer(**counts)], dearer).seconds >= seconds([layer(**counts)], ALL).seconds * (1 - 1e-12)


@pytest.mark.parametrize("name", built_in())
def test_built_in_lists_say_where_every_price_comes_from(name: str):
    found = price_list(name)
    assert found.name
    assert found.summary
    for terms in found.prices.values():
        assert all((term.source and term.node) or term.unit == "1" for term in terms)


def test_a_bill_says_what_is_assumed_and_a_strict_one_refuses_it():
    counts = {"up_J": 3e-12, "pulses": 5, "macs": 10}
    assumed = {**SOURCES, "write_voltage_V": "engineering assumption: 1 to 2 V"}
    bill = price([layer(**counts)], BARE, sources=assumed)
    assert bill.assumed_share == pytest.approx(3e-12 / bill.joules)
    with pytest.raises(AssumedError, match="engineering assumption: 1 to 2 V"):
        price([layer(**counts)], BARE, sources=assumed, strict=True)
    assert price([layer(**counts)], BARE, sources=SOURCES, strict=True).assumed_share == 0
    with pytest.raises(AssumedError, match="no card that is found"):
        price([layer(**counts)], BARE, strict=True)


def test_what_a_device_does_not_have_marks_no_joules():
    """Results list every number of the law; one without a value must not stand for the pulse."""
    named = {name: {"value": 1.0, "source": source} for name, source in SOURCES.items()}
    absent = {"value": None, "source": "default of the law"}
    numbers = {**named, "gate_energy_J": absent, "set_current_A": absent}
    lines = price([layer(pulses=3, up_J=1e-12)], BARE, sources=numbers).lines
    assert [line.mark for line in lines if line.what == "pulses up"] == ["published"]
    numbers["gate_energy_J"] = {"value": 5e-15, "source": "engineering assumption"}
    lines = price([layer(pulses=3, up_J=1e-12)], BARE, sources=numbers).lines
    assert [line.mark for line in lines if line.what == "pulses up"] == ["assumed"]


def test_marks_of_cards():
    assert mark_of("Nandakumar 2018 / Boybat 2018, from memory") == "from memory"
    assert mark_of("engineering assumption") == "assumed"
    assert mark_of("Wu 2018, table II") == "published"
    known = price([{**layer(up_J=1e-12), "device": "ecram-mo-kim-2019"}], BARE)
    assert [line.mark for line in known.lines if line.what == "pulses up"] == ["assumed"]
    assert (
        device_mark({"reset_voltage_V": "Fig. 3", "write_time_s": "from memory", "g_max_uS": "x"}, "down")[0]
        == "from memory"
    )


def test_what_has_no_price_is_named_and_what_is_wrong_is_refused():
    bill = price([{**layer(conversions=3), "adc_bits": 9}], "hermes-14nm", sources=SOURCES)
    assert bill.joules == 0
    assert bill.not_priced == ("a conversion of an ADC of 9 bits",)
    with pytest.raises(UnknownNameError, match="hermes-14nm"):
        price_list("hermes-14")
    with pytest.raises(ConfigError, match="component 'adcc'"):
        PriceList(name="x", summary="", prices={"adcc": (one("adc", 1.0),)})
    with pytest.raises(ConfigError, match="not between low"):
        Price(value=1, low=2, high=3, unit="J", source="s", mark="measured")
    with pytest.raises(ConfigError, match="must be J"):
        PriceList(name="x", summary="", prices={"adc": (one("adc", 1.0, "F"),)})
    lacking = layer()
    del lacking["counts"]["macs"]
    with pytest.raises(InputError, match="no count of macs"):
        price([lacking], BARE)
    with pytest.raises(InputError, match="macs = -1"):
        price([layer(macs=-1)], BARE)


def test_a_file_of_ones_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\nsummary = "s"\n[prices]\n'
        'mac = [{ value = 2.0, low = 1.0, high = 2.0, unit = "J", source = "me", mark = "measured" }]\n'
        'memory = [{ up_to_bytes = 59, value = 1.0, low = 1.0, high = 1.0, unit = "J", source = "me", mark = "measured" },'
        ' { value = 9.0, low = 9.0, high = 9.0, unit = "J", source = "me", mark = "measured" }]\n'
    )
    bill = price([layer(macs=3, memory_accesses=1)], file, sources=SOURCES)
    assert bill.total() == (15.0, 12.0, 15.0)
    small = price([{**layer(memory_accesses=1), "rows": 2}], str(file), sources=SOURCES)
    assert small.joules == 1.0


def test_units_that_can_be_compared():
    counts = {
        "pulses": 20,
        "pulses_lost": 10,
        "up_J": 4e-9,
        "conversions": 100,
        "program_pulses_J": 1e-3,
        "reads": 10,
    }
    bill = price([layer(**counts)], BARE, sources=SOURCES)
    forward = 100 * unit("adc") + 10 * 5 * unit("neuron")
    found = bill.per(samples=10)
    assert found["effective_pulse"] == pytest.approx(4e-9 / 10)
    assert found["inference"] == pytest.approx(forward / 10)
    assert found["sample"] == pytest.approx((forward + 4e-9) / 10)
    assert found["synapse_and_sample"] == pytest.approx((forward + 4e-9) / 150)
    assert found["training"] == pytest.approx(bill.joules)
    said = bill.sentence(10)
    assert "periphery" in said
    assert "assumed" in said
    assert "pJ" in said or "nJ" in said


def test_seconds_of_reads_writes_and_digital_work_by_hand():
    prices = ALL.changed(
        prices={
            "adc_time": (one("adc_time", 1e-8, "s"),),
            "columns_per_adc": (one("columns_per_adc", 4, "1"),),
            "mac_time": (one("mac_time", 1e-9, "s"),),
        }
    )
    counts = {
        "phases": 6,
        "readback_line_cells": 20,
        "row_slots": 7,
        "macs": 10,
        "program_time_s": 3.0,
        "program_pulses": 1,
    }
    times = seconds([layer(**counts)], prices)
    phase = 2e-7 + 4 * 1e-8
    assert times.total("forward")[0] == pytest.approx(6 * phase)
    assert times.total("readback")[0] == pytest.approx(2 * phase)
    assert times.total("update") == pytest.approx((7 * 3e-8 + 10e-9, 7 * 1e-8 + 5e-9, 7 * 3e-8 + 30e-9))
    assert times.learning_s == pytest.approx(times.seconds - 3.0)
    trains = seconds([layer(trains=2, row_slots=100)], prices)
    assert trains.seconds == pytest.approx((2 * 31 + 100) * 3e-8)
    columns = seconds(
        [layer(row_slots=100, column_slots=9, norm_macs=3, rule_macs=4)], prices, writes="columns"
    )
    assert columns.seconds == pytest.approx(9 * 3e-8 + 7e-9)
    once = seconds([layer(phases=6, reads=3, calibration_reads=2)], prices)
    assert once.total("calibration")[0] == pytest.approx(4 * phase)
    assert once.learning_s == pytest.approx(6 * phase)
    with pytest.raises(InputError, match="rows or columns"):
        seconds([layer()], prices, writes="cells")  # type: ignore[arg-type]
    beside = seconds([{**layer(phases=6), "arrays": 3}], prices)
    assert beside.seconds == pytest.approx(2 * phase)
    assert seconds([layer(memory_accesses=1)], prices).not_timed == ("memory",)
    plain, refreshed = (
        seconds([layer(**more)], prices) for more in ({}, {"refresh_resets": 2, "refresh_pulses": 5})
    )
    assert refreshed.not_timed == ()
    assert refreshed.seconds - plain.seconds == pytest.approx(2 * 3e-8 + 5 * 1e-8)
    (span,) = [span for span in refreshed.spans if span.phase == "refresh"]
    assert (span.low, span.high) == pytest.approx((1.1e-7 / 5, 1.1e-7))
    rate = times.per(samples=2, joules=4.0)
    assert rate["samples_per_s"] == pytest.approx(1 / rate["sample_s"])
    assert rate["energy_delay_Js"] == pytest.approx(2.0 * rate["sample_s"])


def test_the_measured_time_of_a_whole_phase_counts_instead_of_the_settings():
    assert seconds([layer(phases=10)], "hermes-14nm").total("forward")[0] == pytest.approx(1.33e-6)


def test_reads_that_set_the_converters_cost_what_forward_reads_do():
    forward = {"reads": 4, "phases": 4, "conversions": 20, "dac_conversions": 12, "read_uS": 8.0}
    bill = price([layer(calibration_reads=2, **forward)], BARE, sources=SOURCES)
    without = price([layer(**forward)], BARE, sources=SOURCES)
    of_reads = without.total(lambda line: line.phase == "forward")[0]
    assert bill.joules - without.joules == pytest.approx(of_reads / 2)
    assert bill.learnt().joules == pytest.approx(without.joules)
    nothing_else = price([layer(calibration_reads=2)], BARE, sources=SOURCES)
    assert nothing_else.not_priced == ("reads that set the converters, as nothing else was read",)


def test_an_empty_bill_is_nothing():
    assert Bill().joules == 0
    assert Bill().assumed_share == 0
    before = layer(macs=3)
    kept = copy.deepcopy(before)
    price([before], ALL, sources=SOURCES)
    assert before == kept


def test_a_digital_step_by_hand():
    prices = PriceList(
        name="d", summary="", prices={"mac": (one("mac", 2.0),), "memory": (one("memory", 3.0),)}
    )
    shapes = [(4, 5), (5, 2)]
    weights = 30

    def of(precision: str, step: str, batch: int = 1) -> float:
        return digital(shapes, precision, prices, step=step, batch=batch).joules

    assert of("fp32", "inference") == pytest.approx(weights * (2 + 3))
    assert of("int8", "inference", 2) == pytest.approx(weights * (2 + 3 / 4 / 2))
    assert of("fp32", "local") == pytest.approx(weights * (2 * 2 + 3 * 3))
    assert of("fp32", "backprop") == pytest.approx(weights * (3 * 2 + 6 * 3))
    assert of("fp32", "backprop and Adam") == pytest.approx(weights * (3 * 2 + 10 * 3))
    with pytest.raises(InputError, match="'int4' is none of int8"):
        digital(shapes, "int4", prices)  # type: ignore[arg-type]
    assert digital(shapes, "int8", "gpu-h100").not_priced == ("multiply and add of int8",)


def test_large_weights_lie_in_dram_and_small_ones_where_they_are_told():
    small, large = ([(64, 64)], [(2048, 2048)])
    near, far = (
        digital(small, "int8", weights_in=where, step="inference").joules for where in ("sram", "dram")
    )
    assert far - near == pytest.approx(4096 / 4 * (650e-12 - 5e-12))
    assert digital(large, "int8").joules == digital(large, "int8", weights_in="dram").joules


def test_a_floor_of_a_gpu_is_below_the_same_step_at_45_nm():
    floor = digital([(784, 250)], "bf16", "gpu-h100", step="backprop")
    assert floor.joules == pytest.approx(3 * 784 * 250 * 1.42e-12)
    assert floor.joules < digital([(784, 250)], "bf16", step="backprop").joules


def test_weight_transport_adds_a_second_direction_products_and_verification():
    counts = {"reads": 2, "phases": 2, "conversions": 10, "dac_conversions": 6, "pulsed_cells": 4, "macs": 5}
    extra = weight_transport([layer(**counts)], BARE)
    expected = 10 * 3 / 5 * unit("adc") + 6 * 5 / 3 * unit("dac") + (2 * 15 - 5) * unit("mac") + 4 * 65e-12
    assert extra.joules == pytest.approx(expected)


@pytest.mark.parametrize("bits", [1, 5, 6, 7, 8])
def test_neurram_comes_to_at_least_half_of_what_was_measured(bits: int):
    assert 0.5 < stack("neurram", bits).ratio < 1.5


@pytest.mark.parametrize("phases", [1, 4])
def test_what_no_component_of_hermes_explains_is_called_so(phases: int):
    found = stack("hermes", phases=phases)
    assert found.unexplained_J == pytest.approx(found.measured_J - found.total[0])
    assert found.unexplained_J > 0
    assert found.note
    assert found.total[1] < found.total[0] < found.measured_J < found.total[2] * 1.5
    with pytest.raises(UnknownNameError):
        stack("hermes", phases=2)


def results(**more: Any) -> dict[str, Any]:
    """Results of a study of one arm and two seeds."""
    return {
        "data": {"train_images": 10}, "config": {"epochs": 3},
        "devices": {"A": {"numbers": {name: {"source": source} for name, source in SOURCES.items()}}},
        "runs": [
            {"arm": "ideal", "seed": 0, "events": []},
            {"arm": "A", "seed": 0, "events": [layer(macs=10, pulses=4)]},
            {"arm": "A", "seed": 1, "events": [layer(macs=20, pulses=8)]},
        ],
        **more,
    }  # fmt: skip


def test_kept_runs_are_priced_again_side_by_side():
    found = priced(results(), [BARE, "generic-28nm"])
    assert [(each.arm, each.seeds, each.samples) for each in found] == [("A", 2, 30)] * 2
    assert found[0].bill.joules == pytest.approx(15 * unit("mac"))
    assert found[1].bill.joules == pytest.approx(15 * 0.23e-12)
    assert found[0].wear[0].most == 20
    assert json.loads(json.dumps(found[0].as_dict()))["energy"]["joules"] == found[0].bill.joules
    assert energy_table(found).row_count == 2
    assert energy_bars(found) is not None
    assert all(each.accuracy is None for each in found)
    assert tradeoff(found) is None


def test_nothing_beats_what_is_on_the_front():
    arms = {
        "cheap: a": (1, 0.5),
        "cheap: b": (2, 0.5),
        "good: a": (4, 0.9),
        "good: b": (9, 0.7),
        "best: a": (9, 0.95),
    }
    runs = [
        {"arm": arm, "seed": seed, "accuracy": accuracy, "events": [layer(macs=macs)]}
        for arm, (macs, accuracy) in arms.items() for seed in (0, 1)
    ]  # fmt: skip
    found = Costs(priced({**results(), "runs": runs}, [BARE]))
    assert [each.name for each in front(found)] == ["cheap: a", "good: a", "best: a"]
    assert list(found.plot()) == ["where", "tradeoff"]
    assert "cheap: a ★" in str(found.table())
    assert "cheap: b ★" not in str(found.table())
    assert found.sentences()[0].startswith("cheap: a: ")
    assert repr(found).startswith("<Costs of cheap: a, cheap: b")
    assert list(found.best()) == front(found)
    assert [each.name for each in found.only("good: b", "cheap: a").best()] == ["cheap: a", "good: b"]
    with pytest.raises(UnknownNameError, match="good: a"):
        found.only("god: a")


def test_a_sweep_is_priced_point_by_point():
    rows = [{"arm": "A", "seed": 0, "epochs": k, "events": [layer(macs=10 * k)]} for k in (1, 2)]
    swept = {**results(), "axes": [{"field": "epochs"}], "rows": rows}
    del swept["runs"]
    found = priced(swept, [BARE])
    assert [each.name for each in found] == ["A, epochs 1", "A, epochs 2"]
    assert [each.samples for each in found] == [10, 20]


def test_results_without_events_or_with_other_arrays_are_refused():
    with pytest.raises(ConfigError, match="no events in these results"):
        priced(results(runs=[{"arm": "ideal", "events": []}]), [BARE])
    other = [{"arm": "A", "events": [{**layer(), "rows": rows}]} for rows in (3, 4)]
    with pytest.raises(ConfigError, match="different arrays"):
        priced(results(runs=other), [BARE])


def test_the_command_prices_a_folder(tmp_path, capsys):
    (tmp_path / "results.json").write_text(json.dumps(results()))
    energy_command(
        tmp_path, ["hermes-14nm", "generic-28nm"], False, tmp_path / "bars.svg", tmp_path / "e.json"
    )
    said = capsys.readouterr().out
    assert "hermes-14nm" in said
    assert "assumed" in said
    assert "not counted by any" in said
    assert (tmp_path / "bars.svg").read_bytes().startswith(b"<?xml")
    assert len(json.loads((tmp_path / "e.json").read_text())["arms"]) == 2
    with pytest.raises(AssumedError):
        energy_command(tmp_path, ["hermes-14nm"], True)
    with pytest.raises(ConfigError, match=r"no results\.json or sweep\.json there"):
        energy_command(tmp_path / "nowhere")


def test_an_experiment_is_estimated_by_its_first_mini_batches():
    spec = ns.DenseExperiment.parse(
        {
            "dataset": "digits", "neurons": 8, "epochs": 2, "batch": 20, "train_images": 200, "test_images": 20,
            "mode": "mixed", "norm_every": 6, "calibrate_every": 6, "curve_points": 0, "readout_epochs": 1,
            "arm": [{"name": "A", "device": "rram-hfo2-om-2022"}],
        },
        "test",
    )  # fmt: skip
    (run,) = estimated(spec)["runs"]
    counts = run["events"][0]["counts"]
    assert counts["reads"] == pytest.approx(400)
    assert counts["conversions"] == pytest.approx(400 * 8)
    assert 0.5 * 20 * 2 * 64 * 8 < counts["memory_accesses"] <= 20 * 2 * 64 * 8
    assert counts["programmed_cells"] == 2 * 64 * 8
    assert counts["pulses"] > 0
    learnt = next(run for run in ns.compare(spec)["runs"] if run["events"])["events"][0]["counts"]
    for name in ("reads", "norm_macs", "rule_macs", "rows_read_back", "calibration_reads"):
        assert counts[name] == pytest.approx(learnt[name]), name
    for name in ("macs", "memory_accesses"):
        assert counts[name] == pytest.approx(learnt[name], rel=0.1), name
    found = priced(estimated(spec), ["generic-28nm"])[0]
    assert found.samples == 400
    assert found.bill.joules > 0


@pytest.mark.parametrize("kind", ["deep", "forward-forward"])
def test_what_comes_now_and_then_is_estimated_as_often_as_it_comes(kind: str):
    shared = {
        "dataset": "digits",
        "batch": 20,
        "train_images": 200,
        "test_images": 20,
        "epochs": 2,
        "calibrate_every": 6,
    }
    spec = {
        "deep": {"width": 1.0, "depth": 1, "head_epochs": 1, "arm": [{"name": "A", "device": "ideal", "rule": "softhebb", "norm_every": 4}]},
        "forward-forward": {"widths": [6, 5], "curve_images": 10, "arm": [{"name": "A", "device": "ideal", "phases": "apart"}]},
    }[kind]  # fmt: skip
    experiment = kind_of(kind).parse({**shared, **spec}, "test")
    (run,) = estimated(experiment)["runs"]
    training = experiment.training(experiment.device_arms()[0], 0, experiment.data())
    training.watched = False
    training.run()
    assert run["samples"] == training.images_shown == 400
    for found, learnt in zip(run["events"], training.events(), strict=True):
        for name in ("calibration_reads", "rows_read_back", "reads"):
            assert found["counts"][name] == pytest.approx(learnt["counts"][name]), name
        assert found["counts"]["calibration_reads"] > 0


def test_the_page_says_what_the_stacks_come_to():
    page = (ROOT / "docs" / "energy.md").read_text()
    ratios = [stack("neurram", bits).ratio for bits in (1, 5, 6, 7, 8)]
    assert f"{min(ratios):.2f} to {max(ratios):.2f}" in page
    assert {f"{stack('hermes', phases=phases).ratio:.2f}" for phases in (1, 4)} == {"0.10"}
    assert "one or four phases | 0.10 |" in page


def test_about_half_of_the_cards_assume_their_pulse():
    weak = [
        name
        for name in cards()
        if any(
            mark_of(source) in ("assumed", "from memory")
            for parameter, source in (sources_of(name) or {}).items()
            if parameter.endswith(("voltage_V", "time_s", "current_A", "gate_energy_J"))
            and parameter.startswith(("write_", "set_", "reset_", "gate_"))
        )
    ]
    assert 0.4 < len(weak) / len(cards()) < 0.65


def test_what_a_digital_bill_leaves_out_is_not_counted_and_has_joules_for_all_else():
    one = digital([(64, 64)], "fp32", "digital-45nm")
    assert one.absent == ()
    assert one.not_counted == ("activations", "moving data")
    assert (one + one).not_counted == one.not_counted
    assert "no joules are known" not in one.sentence()
