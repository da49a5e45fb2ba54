"""Pulses whose voltage and width no card gives: counted like any others, and without joules wherever joules are shown."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fit_helpers import RAMPS, pcm_traces, soft, write_pulses
from report_helpers import energy
from rich.console import Console

import neurosim as ns
from neurosim import TorchCrossbar
from neurosim.core.errors import ConfigError, InputError
from neurosim.devices import Card, cards, contract, pulse_response
from neurosim.devices.card import read
from neurosim.devices.fitting import fit, to_toml
from neurosim.energy import AssumedError, PriceList, Pulse
from neurosim.energy.lifetime import refresh_J_per_year
from neurosim.energy.published import learning_over_inference
from neurosim.energy.seconds import seconds
from neurosim.report.energy import energy_table, unpriced
from neurosim.report.results import Energy
from neurosim.report.text import NO_PRICE, joules
from neurosim.spiking.synapses import DeviceSynapses
from neurosim.study.events import layer_events
from neurosim.study.priced import columns, front, priced
from neurosim.study.store import read_json, write_json

LAWS = {
    "soft-bounds": "the voltage and width of a pulse",
    "pcm-accumulative": "the voltage, current and width of a pulse",
    "programmed": "the voltage, current and width of a pulse",
    "binary": "the voltage and width of a pulse",
}
"""A law of each kind of pulse, and what its bill misses without."""
BARE = PriceList(name="bare", summary="no price at all", prices={})


def published(law: str) -> Card:
    """The first card of a law."""
    return next(card for card in map(read, cards().values()) if card.law == law)


def without_pulse(law: str) -> Card:
    """The same device as published, its pulse left out."""
    card = published(law)
    ends = ("_voltage_V", "_time_s", "_current_A", "gate_energy_J")
    kept = {name: number for name, number in card.parameters.items() if not name.endswith(ends)}
    return card.changed(name="mine", parameters=kept)


def pulsed(device: Any, **more: Any) -> ns.Crossbar:
    """A small array that has been programmed, read and pulsed."""
    array = ns.Crossbar((6, 4), device, seed=1, **more)
    array.program(np.linspace(-0.3, 0.3, 24, dtype=np.float32).reshape(6, 4), w_max=1.0)
    array.forward(np.ones((2, 6)))
    array.update(np.ones((1, 6)), np.linspace(0.1, 0.4, 4)[None])
    return array


@pytest.fixture(scope="module")
def mine() -> ns.Crossbar:
    return pulsed(without_pulse("soft-bounds").device())


@pytest.mark.parametrize("law", LAWS)
def test_pulses_are_counted_and_have_no_joules(law):
    array, known = pulsed(without_pulse(law).device()), pulsed(published(law).device())
    assert np.array_equal(array.conductance_uS(), known.conductance_uS())
    assert array.ledger.pulses == known.ledger.pulses > 0 < known.ledger.write_J
    assert array.ledger.read_J == known.ledger.read_J > 0
    assert math.isnan(array.ledger.write_J)
    assert math.isnan(array.ledger.program_J)
    bill = ns.price(layer_events([array]))
    assert bill.pulses == known.ledger.pulses - known.ledger.pulses_lost
    (said,) = bill.absent
    assert said.startswith(f"pulses of mine: the card does not give {LAWS[law]} (")
    assert said in bill.not_priced
    assert said in bill.sentence()
    assert "devices, without their pulses," in bill.sentence()
    assert "effective_pulse" not in bill.per(1)
    assert not any("pulses" in line.what for line in bill.lines if line.kind == "device")
    with pytest.raises(AssumedError, match="no joules are known of pulses of mine"):
        ns.price(layer_events([array]), BARE, sources={}, strict=True)


def test_no_zero_stands_for_joules_that_nobody_knows(mine, tmp_path):
    events = layer_events([mine])
    write_json(tmp_path / "kept.json", {"events": events, "energy": mine.ledger.energy(24)})
    kept = read_json(tmp_path / "kept.json")
    assert kept["events"] == json.loads(json.dumps(events))
    assert kept["events"][0]["pulse_up"] == [None, None]
    found = kept["energy"]
    for name in (
        "write_J",
        "program_J",
        "update_J",
        "update_J_per_synapse",
        "update_J_per_pulse",
        "periphery_J",
    ):
        assert found[name] is None, name
    assert found["pulses"] == mine.ledger.pulses == pytest.approx(24 * found["update_pulses_per_synapse"])
    assert "up_J=nan" in repr(mine.ledger)
    assert "refresh_J=0.0" in repr(mine.ledger)
    assert math.isnan((pulsed(published("soft-bounds").device()).ledger + mine.ledger).write_J)
    assert not Energy.model_validate(found).known
    assert joules(None) == joules(math.nan) == NO_PRICE


def test_an_array_that_gave_no_pulse_took_no_joules():
    array = ns.Crossbar((3, 2), without_pulse("soft-bounds").device(), seed=1)
    array.forward(np.ones((1, 3)))
    assert array.ledger.write_J == array.ledger.program_J == 0.0
    assert not ns.price(layer_events([array])).absent


def test_given_voltage_and_width_are_the_joules():
    device = without_pulse("soft-bounds").device().with_parameters(write_voltage_V=1.3, write_time_s=2e-7)
    array = ns.Crossbar((6, 4), device.without_noise(), seed=1)
    array.program(np.zeros((6, 4), np.float32))
    before = array.conductance_uS().astype(np.float64)
    with array.record() as programme:
        array.update(np.ones((1, 6)), np.full((1, 4), 0.1))
    given = sum(np.abs(programme.wanted(step)) for step in programme)
    mean_uS = (before + array.conductance_uS()) / 2
    assert given.max() == 1 < given.sum()
    assert array.ledger.write_J == pytest.approx(1.3**2 * 2e-7 * 1e-6 * (given * mean_uS).sum(), rel=1e-5)
    assert not ns.price(layer_events([array])).absent
    assert set(programme.to_pandas().voltage_V) == {1.3}


def test_a_pulse_priced_at_its_gate_needs_neither():
    array = pulsed(without_pulse("soft-bounds").device().with_parameters(gate_energy_J=2e-15))
    assert array.ledger.write_J == pytest.approx(2e-15 * array.ledger.pulses, rel=1e-6)
    bill = ns.price(layer_events([array]), BARE, sources={})
    assert not bill.absent
    assert bill.joules > 0
    assert "pulses of mine" in ns.price(layer_events([array])).absent[0], "lines are charged to a voltage"


def test_a_price_lists_own_joules_are_a_price(mine):
    own = Pulse(joules=1e-13, source="s", mark="measured")
    both = BARE.changed(pulse_up=own, pulse_down=own)
    lines = ns.price(layer_events([mine]), both, sources={}).lines
    spent = sum(line.joules for line in lines if line.what in ("pulses up", "pulses down"))
    assert spent == pytest.approx(1e-13 * mine.ledger.pulses)
    scaled = BARE.changed(pulse_up=Pulse(voltage_V=1.0, width_s=1e-8, source="s", mark="measured"))
    with pytest.raises(InputError, match="states no voltage and time of a pulse up"):
        ns.price(layer_events([mine]), scaled, sources={})


def test_a_twin_in_torch_knows_no_joules_either(mine):
    twin = TorchCrossbar((6, 4), mine.device, seed=1)
    twin.program(np.linspace(-0.3, 0.3, 24, dtype=np.float32).reshape(6, 4), w_max=1.0)
    twin.update(np.ones((1, 6)), np.linspace(0.1, 0.4, 4)[None])
    assert twin.ledger.pulses == mine.ledger.pulses
    assert math.isnan(twin.ledger.write_J)
    assert math.isnan(twin.ledger.program_J)


def test_what_needs_the_voltage_refuses(mine):
    for write, wires in (({"half_select": True}, None), ({}, {"r_word_ohm": 5.0, "r_bit_ohm": 5.0})):
        with pytest.raises(ConfigError, match=r"needs the voltage of a pulse.*write_voltage_V"):
            ns.Crossbar((6, 4), mine.device, write={**write, "pulse_sensitivity_V": 0.3}, wires=wires)
    with mine.record() as programme:
        mine.update(np.ones((1, 6)), np.full((1, 4), 0.1))
    table = programme.to_pandas()
    assert len(table)
    assert table["count"].min() >= 1
    assert table.voltage_V.isna().all()
    assert table.width_s.isna().all()


def test_seconds_of_pulses_are_left_out_and_named(mine):
    took = seconds(layer_events([mine]), "hermes-14nm")
    assert took.absent == ("pulses of mine, whose card does not give their width",) == took.not_timed[:1]
    assert not any(span.phase in ("update", "programming") and "row" in span.what for span in took.spans)


def test_single_devices_know_none(mine):
    found = ns.devices.write_verify(mine.device, [mine.device.g_rest_uS], n_devices=5)
    assert np.isnan(found.energy_J).all()
    assert np.isnan(found.time_s).all()
    synapses = DeviceSynapses((2, 1), mine.device)
    synapses.pulse([[1], [0]])
    assert math.isnan(synapses.energy_J)
    assert synapses.set_pulses.sum() == 1
    clauses = {clause.clause: clause for clause in contract.check(mine.device, 10_000)}
    assert "no price" in clauses["no energy is negative"].found


def test_arms_without_a_price_win_nothing(mine):
    known = pulsed(published("soft-bounds").device())
    runs = [
        {"arm": arm, "seed": 0, "accuracy": accuracy, "events": layer_events([array])}
        for arm, array, accuracy in (("mine", mine, 0.9), ("known", known, 0.8))
    ]
    results = {"runs": runs, "data": {"train_images": 10}, "config": {"epochs": 1}}
    found = priced(results, ["generic-28nm"])
    assert [each.arm for each in front(found)] == ["known"] == [each.arm for each in front(found, "seconds")]
    console = Console(width=400, file=io.StringIO(), record=True)
    console.print(energy_table(found))
    row = next(line for line in console.export_text().splitlines() if "mine" in line)
    assert "≥" in row
    assert "no price" in row
    assert "★" not in row
    assert "pulses of mine" in unpriced(found)[0]
    json.dumps([each.as_dict() for each in found], allow_nan=False)
    assert math.isnan(columns(results, runs[0])["joules"])
    assert columns(results, runs[1])["joules"] > 0
    with pytest.raises(InputError, match="no joules are known of pulses of mine"):
        learning_over_inference(found[0].bill)


def test_a_refresh_without_a_price_has_none_a_year(mine):
    (layer,) = layer_events([mine])
    refreshed = {**layer, "counts": {**layer["counts"], "refreshed_pairs": 3}}
    assert refresh_J_per_year([refreshed], 1.0) is None
    assert refresh_J_per_year([layer], 1.0) == 0.0


def test_entries_of_results_keep_joules_known_before():
    known = Energy.model_validate(energy(1.0))
    assert known.known
    assert known.pulses_per_synapse == pytest.approx(9000 / 360_000)


# Cards


def test_a_card_says_that_its_pulses_have_no_joules(tmp_path):
    card = without_pulse("soft-bounds")
    assert "pulse energy" in card.silent_on
    assert any(remark.startswith("No pulse energy on this card") for remark in card.remarks)
    with pytest.raises(ConfigError, match="omits 'pulse energy', but its parameters tell it"):
        published("soft-bounds").changed(omits={"pulse energy": "not said"}).device()
    with pytest.raises(ConfigError, match="give write_voltage_V"):
        card.device().with_parameters(reset_voltage_V=1.0)


def fitted(folder: Path, name: str, **more: Any) -> Card:
    """A card fitted to synthetic pulses."""
    file = folder / f"{name}.csv"
    if name == "pcm":
        write_pulses(file, *pcm_traces(8))
    else:
        write_pulses(file, pulse_response(soft(), RAMPS, 8, seed=1), RAMPS)
    return fit(
        [file], "pcm-accumulative" if name == "pcm" else "soft-bounds", name="mine", resamples=0, **more
    ).card


@pytest.mark.parametrize("name", ["rram", "pcm"])
def test_a_fit_takes_no_pulse_from_another_card(name, tmp_path):
    card = fitted(tmp_path, name)
    assert not any(n.endswith(("_voltage_V", "_time_s", "_current_A", "_energy_J")) for n in card.parameters)
    file = tmp_path / "mine.toml"
    file.write_text(to_toml(card), encoding="utf-8")
    assert "pulse energy" in read(file).omits
    with pytest.raises(AssumedError, match="no joules are known of pulses of mine"):
        ns.price(layer_events([pulsed(file)]), strict=True)


def test_a_fit_with_voltage_and_width_has_joules(tmp_path):
    card = fitted(tmp_path, "rram", write_voltage_V=1.3, write_time_s=2e-7)
    assert "pulse energy" not in card.omits
    assert card.device().write_energy_per_uS == pytest.approx(1.3**2 * 2e-7 * 1e-6)
    assert pulsed(card.device()).ledger.write_J > 0
