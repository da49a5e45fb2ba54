"""Every event that a ledger counts, against a count by hand; joules are those counts at the array's own rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import PCM, every_card

from neurosim import Crossbar, Faults, Periphery, ReadPath, Refresh, Tiles, TorchCrossbar, Wires, WritePath
from neurosim.crossbar.ledger import ADDED, Ledger, Rates
from neurosim.devices import load
from neurosim.energy import built_in, price, price_list
from neurosim.energy.seconds import seconds
from neurosim.study.events import layer_events

RRAM = "rram-hfo2-om-2022"
ROWS, COLS = 6, 4


def quiet_steps(array: Crossbar, pulses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A change (pre, post) of one input row at a time that is worth so many pulses (COLS,) on the second row."""
    pre = np.zeros((1, ROWS))
    pre[0, 1] = 1
    return pre, (pulses * array.weight_per_pulse)[None]


def test_a_read_counts_phases_conversions_lines_and_sums():
    """2 x 2 tiles, 4-bit inputs bit by bit: 3 phases; each of 2 rows of tiles converts 4 columns a phase."""
    read = ReadPath(dac_bits=4, adc_bits=6, encoding="bit-serial")
    array = Crossbar((ROWS, COLS), RRAM, read=read, tiles=Tiles(word_lines=3, bit_lines=4))
    array.program(np.full((ROWS, COLS), 0.1))
    array.forward(np.ones((5, ROWS)))
    counted = array.ledger
    assert (counted.reads, counted.phases) == (5, 15)
    assert counted.conversions == 5 * 3 * 2 * COLS
    assert counted.dac_conversions == 5 * ROWS * 2
    assert counted.read_line_cells == 5 * 3 * ROWS * 2 * COLS
    assert counted.read_sums == counted.conversions - 5 * COLS
    bits = 3 * array.conductance_uS().sum(dtype=np.float64)  # the largest input has all three bits set
    assert counted.read_uS == pytest.approx(5 * bits, rel=1e-6)


def test_an_update_counts_pulses_by_direction_lines_and_what_follows_one_another():
    """Row 1 alone; bipolar pairs are pushed and pulled: 3, 1, 0 and -2 steps asked, each a pulse on either device."""
    array = Crossbar((ROWS, COLS), RRAM, write=WritePath(w_max=1.0))
    array.program(np.zeros((ROWS, COLS)), w_max=1.0)
    array.ledger.take(Ledger())
    asked = np.array([3, 1, 0, -2]) * (1 + 1e-6)
    pre, post = quiet_steps(array, asked)
    array.update(pre, post, mode="mixed")
    counted = array.ledger
    up, down = 3 + 1 + 2, 3 + 1 + 2
    assert (counted.pulses, counted.downs) == (up + down, down)
    assert counted.pulsed_cells == 6
    assert (counted.pulsed_rows, counted.row_slots) == (1, 3)
    assert counted.pulse_line_cells == (up + down) * ROWS
    assert counted.macs == 3  # one input, three answers that are not zero
    assert counted.memory_accesses == 2 * 3  # of accumulators whose change is not zero
    law = load(RRAM)
    mean = counted.up_J / law.write_energy_per_uS / up, counted.down_J / law.reset_energy_per_uS / down
    assert all(law.g_min_uS < each < law.g_max_uS for each in mean)
    assert counted.write_J == counted.up_J + counted.down_J


def test_set_and_reset_of_phase_change_are_priced_apart():
    """Against a fixed reference a negative change is one RESET: 36 pJ, a SET 6.75 pJ (I V t of the card)."""
    array = Crossbar((ROWS, COLS), PCM, write=WritePath(mapping="reference", w_max=1.0))
    array.program(np.zeros((ROWS, COLS)), w_max=1.0)
    array.ledger.take(Ledger())
    array.update(*quiet_steps(array, np.array([2.0, 0, 0, 0]) * (1 + 1e-6)), mode="mixed")
    array.update(*quiet_steps(array, np.array([0, -1.0, 0, 0]) * (1 + 1e-6)), mode="mixed")
    assert array.ledger.up_J == pytest.approx(2 * 6.75e-12, rel=1e-6)
    assert array.ledger.down_J == pytest.approx(36e-12, rel=1e-6)


def test_trains_count_their_samples():
    array = Crossbar((ROWS, COLS), RRAM)
    array.program(np.zeros((ROWS, COLS)), w_max=1.0)
    array.update(np.ones((7, ROWS)), np.full((7, COLS), 1e-3), mode="online")
    assert array.ledger.trains == 7
    assert array.ledger.macs == 0


def test_reads_for_norms_are_lines_conversions_and_conductance():
    array = Crossbar((ROWS, COLS), RRAM, read=ReadPath(adc_bits=6))
    array.program(np.full((ROWS, COLS), 0.2))
    array.column_norms()
    counted = array.ledger
    assert counted.rows_read_back == ROWS
    assert counted.readback_conversions == ROWS * COLS
    assert counted.readback_line_cells == ROWS * 2 * COLS
    assert counted.readback_uS == pytest.approx(array.conductance_uS().sum(dtype=np.float64), rel=1e-6)


@pytest.mark.parametrize("machine", [Crossbar, TorchCrossbar])
def test_joules_are_the_counts_at_the_rates(machine):
    """Ten updates and reads of phase change with refresh; every joule again from its count and its price."""
    periphery = Periphery(mac_pJ=0.7, memory_access_pJ=3.0, line_fF_per_cell=1.5)
    write = WritePath(refresh=Refresh(every=2), w_max=1.0)
    read = ReadPath(adc_bits=7, dac_bits=5, read_voltage_V=0.3)
    array = machine((ROWS, COLS), PCM, read=read, write=write, periphery=periphery)
    array.program(np.full((ROWS, COLS), 0.4), w_max=1.0)
    rng = np.random.default_rng(1)
    for _ in range(10):
        array.forward(rng.random((3, ROWS)))
        array.update(
            rng.random((3, ROWS)), 0.1 * rng.standard_normal((3, COLS)), np.full(COLS, 0.01), "mixed"
        )
    found, law = array.ledger, load(PCM)
    line = 1.5e-15
    assert found.read_periphery_J == pytest.approx(
        found.dac_conversions * periphery.dac_J(5)
        + found.conversions * periphery.adc_J(7)
        + found.read_line_cells * line * 0.09
        + found.read_sums * 0.7e-12
    )
    assert found.write_periphery_J == pytest.approx(
        found.readback_conversions * periphery.adc_J(7)
        + found.readback_line_cells * line * 0.09
        + found.pulse_line_cells * line * law.set_voltage_V**2
        + found.macs * 0.7e-12
        + found.memory_accesses * 3e-12
    )
    assert found.read_J == pytest.approx(found.read_uS * 0.09 * 1e-6 * read.integration_time_s)
    assert found.up_J == pytest.approx(found.pulses * law.set_energy_J)
    assert found.refresh_looks == 5
    assert min(found.read_uS, found.readback_uS, found.macs, found.pulse_line_cells) > 0


def test_weak_pulses_and_half_selected_devices_have_counts_of_their_own():
    """Through wires some pulses take no effect; half voltages cost a quarter of V^2 G t each."""
    write = WritePath(pulse_sensitivity_V=0.2, half_select=True, w_max=1.0)
    array = Crossbar((ROWS, COLS), RRAM, write=write, wires=Wires(r_word_ohm=200.0, r_bit_ohm=200.0))
    array.program(np.zeros((ROWS, COLS)), w_max=1.0)
    rng = np.random.default_rng(0)
    for _ in range(5):
        array.update(np.abs(rng.random((2, ROWS))), 0.05 * rng.standard_normal((2, COLS)))
    found, law = array.ledger, load(RRAM)
    assert found.pulses_lost > 0
    assert found.half_uS > 0
    full = law.pulse_voltage_V**2 * law.pulse_time_s * 1e-6
    assert found.write_J == pytest.approx(
        found.up_J + found.down_J + full * (found.lost_uS + found.half_uS / 4)
    )


def test_totals_add_over_any_split_and_over_a_checkpoint():
    """Four updates counted in one go, in two ledgers that are added, and on both sides of a snapshot."""
    rng = np.random.default_rng(5)
    steps = [(rng.random((2, ROWS)), 0.05 * rng.standard_normal((2, COLS))) for _ in range(4)]

    def fresh() -> Crossbar:
        array = Crossbar((ROWS, COLS), RRAM, faults=Faults(broken_word_lines=0.1), seed=3)
        array.program(np.zeros((ROWS, COLS)), w_max=1.0)
        return array

    def go_on(array: Crossbar, some: list[tuple[np.ndarray, np.ndarray]]) -> None:
        for pre, post in some:
            array.forward(pre)
            array.update(pre, post, mode="mixed")

    whole, split, resumed = fresh(), fresh(), fresh()
    go_on(whole, steps)
    go_on(split, steps[:2])
    first = Ledger(**split.ledger.counts())
    split.ledger.take(Ledger())
    go_on(split, steps[2:])
    go_on(resumed, steps[:2])
    other = fresh()
    other.restore(resumed.snapshot())
    go_on(other, steps[2:])
    assert other.ledger.counts() == whole.ledger.counts()
    assert (first + split.ledger).counts() == pytest.approx(whole.ledger.counts(), rel=1e-12)


def test_a_ledger_of_another_version_is_refused():
    with pytest.raises(ValueError, match="zip"):
        Ledger.from_array(np.zeros(3))


def test_a_ledger_kept_before_its_last_totals_were_counted_has_none_of_them():
    whole = Ledger(reads=3, weights_clipped=2, program_comparisons=5)
    earlier = Ledger.from_array(whole.to_array()[: -len(ADDED)])
    assert earlier == Ledger(reads=3, weights_clipped=2)
    assert Ledger.names()[-len(ADDED) :] == list(ADDED)


def test_rates_follow_the_settings_of_the_array():
    read, device = ReadPath(adc_bits=5, read_voltage_V=0.1), load(RRAM)
    rates = Rates.of(Periphery(), read, device)
    assert rates.adc == Periphery().adc_J(5)
    assert rates.read_uS == pytest.approx(0.01 * read.integration_time_s * 1e-6)
    assert rates.half_uS * 4 == pytest.approx(device.pulse_voltage_V**2 * device.pulse_time_s * 1e-6)


def assert_priced(array: Crossbar, mode: str) -> None:
    """Finite, at least nothing, and no cheaper where any price is higher; pulses of devices add up to the ledger's."""
    array.program(np.full((ROWS, COLS), 0.2), w_max=1.0)
    rng = np.random.default_rng(1)
    for _ in range(3):
        array.forward(rng.random((2, ROWS)))
        array.update(rng.random((2, ROWS)), 0.2 * rng.standard_normal((2, COLS)), np.full(COLS, 0.05), mode)
    array.column_norms()
    array.calibrate(rng.random((2, ROWS)))
    events = layer_events([array])
    assert all(math.isfinite(count) and count >= 0 for count in events[0]["counts"].values())
    assert array.worn.sum() >= array.ledger.pulses  # refresh wears as well
    for name in built_in():
        known = price_list(name)
        bill = price(events, known)
        assert all(math.isfinite(end) and end >= 0 for end in bill.total())
        assert bill.total()[1] <= bill.joules <= bill.total()[2]
        dearer = {
            part: tuple(term.changed(value=3 * term.value, high=3 * term.high) for term in terms)
            for part, terms in known.prices.items()
        }
        for part, terms in dearer.items():
            assert price(events, known.changed(prices={**known.prices, part: terms})).joules >= bill.joules
        assert seconds(events, known).seconds >= 0
        assert seconds(events, known, writes="columns").seconds >= 0


@pytest.mark.parametrize("card", every_card())
def test_every_card_is_counted_and_priced_in_every_mode_by_every_list(card: str):
    for mode in ("accumulate", "mixed", "online"):
        read, write = ReadPath(adc_bits=6, dac_bits=6), WritePath(w_max=1.0)
        assert_priced(Crossbar((ROWS, COLS), card, read=read, write=write), mode)


OPTIONS: dict[str, dict] = {
    "bit by bit": {"read": {"encoding": "bit-serial", "dac_bits": 4}}, "pulse widths": {"read": {"encoding": "pulse-width"}},
    "perfect converters": {"read": {"adc_bits": None, "dac_bits": None}}, "tiles": {"tiles": Tiles(word_lines=2, bit_lines=4)},
    "wires": {"wires": Wires(r_word_ohm=5, r_bit_ohm=5)}, "faults": {"faults": Faults(broken_word_lines=0.2, dead_columns=0.2)},
    "reference": {"write": {"mapping": "reference"}}, "offset": {"write": {"mapping": "offset"}},
    "separate": {"write": {"pair": "separate"}}, "gain": {"write": {"decay_mode": "gain"}},
    "device decay": {"write": {"decay_mode": "device"}}, "exact decay": {"write": {"decay_mode": "exact"}},
    "verified": {"write": {"verify_reads": 2, "flush_pulses": 2}}, "prompt": {"write": {"prompt": True}},
    "filter": {"write": {"momentum": 0.9}}, "one way": {"write": {"pulses": "set", "refresh": {"every": 1, "high": 0.2, "low": 0.1}}},
    "RESET alone": {"write": {"pulses": "reset", "refresh": {"every": 1}}}, "limited": {"write": {"pulse_limit": 1}},
    "half-selected": {"write": {"pulse_sensitivity_V": 0.3, "half_select": True}}, "double": {"precision": "float64"},
    "closed loop": {"write": {"programming": {"mode": "closed"}}}, "open loop": {"write": {"programming": {"mode": "open"}}},
    "compared": {"write": {"programming": {"mode": "closed", "verify": "compare", "comparator_offset_uS": 1.0}}},
    "counted calibration": {"read": {"calibration": {"samples": 2}}},
    "tracked": {"write": {"mapping": "reference", "tracking": {"pairs": 2, "every": 2}}},
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_counted_and_priced(option: str):
    given = {
        name: dict(value) if isinstance(value, dict) else value for name, value in OPTIONS[option].items()
    }
    given["read"] = {"adc_bits": 6, "dac_bits": 6, **given.get("read", {})}
    given["write"] = {"w_max": 1.0, **given.get("write", {})}
    assert_priced(
        Crossbar((ROWS, COLS), RRAM, **given), "accumulate" if option == "half-selected" else "mixed"
    )
