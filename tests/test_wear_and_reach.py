"""How pulses are spread over the devices and when these are worn; what is counted beside the array; joules to an accuracy."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers import PCM
from scipy.special import ndtr
from test_energy import SOURCES, layer, one

import neurosim as ns
from neurosim import Crossbar, Dense, Refresh, TorchCrossbar, WritePath
from neurosim.core.errors import CheckpointError, ConfigError, InputError
from neurosim.energy import PriceList
from neurosim.energy.lifetime import Wear, lifetime, refresh_J_per_year
from neurosim.rules import Oja, SoftHebb
from neurosim.rules.norms import OVERLAPS, following
from neurosim.study.events import layer_events
from neurosim.study.priced import priced, to_reach

RRAM = "rram-hfo2-om-2022"
ROWS, COLS = 6, 4
MACS = PriceList(name="macs", summary="multiply-adds alone", prices={"mac": (one("mac", 1.0),)})


def learnt(machine: Any = Crossbar, device: str = RRAM, mode: str = "mixed", **write: Any) -> Any:
    """An array after five updates, with some decay and, where it is asked for, refresh."""
    array = machine((ROWS, COLS), device, write=WritePath(w_max=1.0, **write))
    array.program(np.full((ROWS, COLS), 0.3), w_max=1.0)
    rng = np.random.default_rng(0)
    for _ in range(5):
        pre, post = rng.random((3, ROWS)), 0.3 * rng.standard_normal((3, COLS))
        array.update(pre, post, np.full(COLS, 0.02), mode)
    return array


@pytest.mark.parametrize("mode", ["accumulate", "mixed", "online"])
@pytest.mark.parametrize("device", [RRAM, PCM])
def test_pulses_of_devices_add_up_to_those_of_the_ledger_on_both_machines(device: str, mode: str):
    one, twin = learnt(Crossbar, device, mode), learnt(TorchCrossbar, device, mode)
    assert one.worn.sum() == one.ledger.pulses > 0
    np.testing.assert_array_equal(one.worn, twin.worn)
    assert one.ledger.column_slots == twin.ledger.column_slots > 0
    assert one.ledger.row_slots == twin.ledger.row_slots > 0


@pytest.mark.parametrize("rewrite", ["pulses", "verify"])
def test_refresh_wears_as_well(rewrite: str):
    refresh = Refresh(every=1, high=0.2, low=0.1, rewrite=rewrite)
    one, twin = (learnt(machine, PCM, refresh=refresh) for machine in (Crossbar, TorchCrossbar))
    np.testing.assert_array_equal(one.worn, twin.worn)
    given = one.worn.sum() - one.ledger.pulses
    resets = one.ledger.refresh_resets
    assert one.ledger.refreshed_pairs > 0
    if rewrite == "pulses":
        assert given == resets + one.ledger.refresh_pulses
    else:
        each = max(1, round(one.device.program_pulses))
        assert given == resets + each * one.ledger.refreshed_pairs


def test_columns_take_as_many_slots_as_their_busiest_device():
    array = Crossbar((ROWS, COLS), RRAM, write=WritePath(w_max=1.0))
    array.program(np.zeros((ROWS, COLS)), w_max=1.0)
    pre = np.zeros((2, ROWS))
    pre[0, 1] = pre[1, 4] = 1
    steps = np.array([[3.0, 1, 0, -2], [1, 2, 0, 1]]) * (1 + 1e-6) * array.weight_per_pulse
    array.update(pre, steps, mode="mixed")
    assert array.ledger.column_slots == 3 + 2 + 0 + 2
    assert array.ledger.row_slots == 3 + 2
    assert array.worn.reshape(ROWS, COLS, 2)[1].tolist() == [[3, 3], [1, 1], [0, 0], [2, 2]]


def test_half_voltages_and_start_programming_are_no_pulses_of_learning():
    array = learnt(pulse_sensitivity_V=0.4, half_select=True, mode="accumulate")
    assert array.ledger.disturbs > 0
    assert array.worn.sum() == array.ledger.pulses


def test_wear_survives_a_checkpoint_and_a_foreign_one_is_refused():
    array = learnt()
    other = Crossbar((ROWS, COLS), RRAM, write=WritePath(w_max=1.0))
    other.restore(array.snapshot())
    np.testing.assert_array_equal(other.worn, array.worn)
    with pytest.raises(CheckpointError, match="worn"):
        other.restore({name: values for name, values in array.snapshot().items() if name != "worn"})


def test_events_say_how_pulses_are_spread_over_the_devices_that_learn():
    pair, reference = learnt(), learnt(mapping="reference")
    (found,) = layer_events([pair])
    assert found["devices"] == 2 * ROWS * COLS
    assert found["wear"][0] == [0, float(pair.worn.min())]
    assert found["wear"][-1] == [1, float(pair.worn.max())]
    (found,) = layer_events([reference])
    assert found["devices"] == ROWS * COLS
    assert found["wear"][-1][1] == reference.worn[:, 0::2].max() > 0
    assert reference.worn[:, 1::2].sum() == 0


def test_devices_are_worn_by_how_often_each_was_pulsed():
    """Half of the devices had 0 to 4 pulses, the others 4 to 20, evenly; 100 pulses is the end."""
    (wear,) = lifetime([layer()], epochs=2, endurance=100)
    assert wear.mean == pytest.approx(0.5 * 2 + 0.5 * 12, rel=1e-3)
    assert wear.most == 20
    assert wear.epochs_until(0.5) == pytest.approx(2 * 100 / 4, rel=1e-2)
    assert wear.epochs_until(0.25) == pytest.approx(2 * 100 / 12, rel=1e-2)
    assert wear.worn_after(wear.epochs_until(0.25)) == pytest.approx(0.25, abs=1e-3)
    assert wear.worn_after(0.1) == 0
    assert lifetime([layer()], 1)[0].epochs_until(0.5) is None
    with pytest.raises(InputError, match="between 0 and 1"):
        wear.epochs_until(1.0)


def test_endurance_that_differs_between_devices_wears_some_earlier():
    numbers = {"endurance_pulses": {"value": 100.0}, "endurance_spread": {"value": 0.5}}
    (wear,) = lifetime([layer()], epochs=2, numbers=numbers)
    alike = Wear(1, 30, (0, 1), (10.0, 10.0), 1, 100.0, 0.5)
    assert alike.worn_after(4) == pytest.approx(ndtr(math.log(0.4) / 0.5))
    assert alike.epochs_until(0.5) == pytest.approx(10, rel=1e-6)
    certain = lifetime([layer()], epochs=2, endurance=100)[0]
    assert wear.epochs_until(0.01) < certain.epochs_until(0.01)
    assert wear.worn_after(wear.epochs_until(0.1)) == pytest.approx(0.1, abs=1e-6)


def test_devices_without_pulses_are_never_worn():
    idle = Wear(1, 30, (0, 0.9, 1), (0.0, 0.0, 10.0), 1, 100.0)
    assert idle.epochs_until(0.5) is None
    assert idle.epochs_until(0.05) == pytest.approx(20, rel=2e-2)


def test_refresh_in_a_year():
    assert refresh_J_per_year([layer(refresh_J=2.0)], 31557600.0) == pytest.approx(2.0)


@pytest.mark.parametrize(("rule", "batch"), [(SoftHebb(), 3), (Oja(), 3), (SoftHebb(), OVERLAPS + 8)])
def test_following_the_norms_is_counted(rule: Any, batch: int):
    array = Crossbar((ROWS, COLS), RRAM)
    array.program(np.full((ROWS, COLS), 0.2))
    Dense(array, rule).learn(np.random.default_rng(0).random((batch, ROWS)))
    overlaps = sum(1 for one in range(batch) for _ in range(one + 1)) * ROWS
    sums = batch * batch * COLS + batch * COLS
    probes = 16 * (batch * ROWS + batch * COLS + COLS)
    assert array.ledger.norm_macs == (overlaps + sums if batch <= OVERLAPS else probes)
    assert array.ledger.norm_macs == following(batch, ROWS, COLS)
    assert array.ledger.rule_macs == 2 * batch * COLS
    assert array.ledger.write_periphery_J >= 0.3e-12 * (array.ledger.norm_macs + array.ledger.rule_macs)


def test_a_rule_that_says_nothing_of_its_work_has_its_answers_counted():
    class Silent(Oja):
        work: ClassVar = None

    array = Crossbar((ROWS, COLS), RRAM)
    array.program(np.full((ROWS, COLS), 0.2))
    Dense(array, Silent()).learn(np.random.default_rng(0).random((3, ROWS)))
    assert (array.ledger.norm_macs, array.ledger.rule_macs) == (0, 2 * 3 * COLS)


@pytest.mark.parametrize("machine", [Crossbar, TorchCrossbar])
def test_reads_that_set_the_converters_are_counted(machine: Any):
    array = machine((ROWS, COLS), RRAM)
    array.program(np.full((ROWS, COLS), 0.2))
    array.calibrate(np.random.default_rng(0).random((7, ROWS)))
    assert array.ledger.calibration_reads == 7
    assert array.ledger.reads == 0


def run(seed: int, *accuracies: float) -> dict[str, Any]:
    """A run whose ledger has ten multiply-adds more at each look."""
    looks = [
        {"images": 100 * k, "accuracy": accuracy, "counts": [layer(macs=10 * k)["counts"]]}
        for k, accuracy in enumerate(accuracies)
    ]
    events = [layer(macs=10 * (len(accuracies) - 1))]
    return {"arm": "A", "seed": seed, "events": events, "along": looks}


def test_joules_to_an_accuracy_are_those_of_the_first_look_that_has_it():
    runs = [run(0, 0.1, 0.5, 0.9, 0.8, 1.0), run(1, 0.1, 0.99, 0.9, 0.9, 1.0)]
    found = to_reach(runs, MACS, share=0.9, sources=SOURCES)
    assert (found.seeds, found.of, found.images) == (2, 2, 150)
    assert found.joules == pytest.approx(15)
    assert (found.low, found.high) == pytest.approx((7.5, 45))
    some = to_reach(runs, MACS, accuracy=0.95, sources=SOURCES)
    assert (some.seeds, some.images) == (2, 250)
    assert to_reach([runs[0], run(1, 0.1, 0.2)], MACS, accuracy=0.95, sources=SOURCES).seeds == 1
    assert to_reach(runs, MACS, accuracy=1.1, sources=SOURCES) is None
    assert to_reach(runs, MACS, accuracy=0.05, sources=SOURCES) is None
    assert to_reach([{"events": [layer()]}], MACS, share=0.9, sources=SOURCES) is None
    with pytest.raises(ConfigError, match="a share"):
        to_reach(runs, MACS, share=0.9, accuracy=0.9, sources=SOURCES)


def test_a_study_says_what_its_arms_took_on_the_way(tmp_path):
    results = ns.compare(
        ns.DenseExperiment(
            dataset="digits", neurons=10, seeds=2, train_images=300, test_images=100, curve_points=4, mode="mixed",
            device=[RRAM], readout_epochs=1,
        ),
        tmp_path,
    )  # fmt: skip
    (arm,) = priced(dict(results), ["generic-28nm"])
    assert [goal.share for goal in arm.reached] == [0.95, 0.99]
    assert 0 < arm.reached[0].joules <= arm.bill.learnt().joules
    assert arm.wear[0].mean > 0
    assert arm.wear[0].epochs_until(0.01) is None
    (known,) = results.costs(endurance=1e6)
    assert 0 < known.wear[0].epochs_until(0.01) < known.wear[0].epochs_until(0.5)
    followed = next(run for run in results["runs"] if run["arm"] != "ideal")
    assert len(followed["along"]) == len(followed["curve"])


@pytest.mark.parametrize("machine", [Crossbar, TorchCrossbar])
def test_accumulators_are_reached_where_something_changes(machine: Any):
    array = machine((ROWS, COLS), RRAM, write=WritePath(w_max=1.0, decay_threshold=0.5))
    array.program(np.zeros((ROWS, COLS)), w_max=1.0)
    pre, post = np.zeros((2, ROWS)), np.zeros((2, COLS))
    pre[0, 1] = pre[1, 4] = post[0, 0] = post[1, 2] = 0.1
    array.update(pre, post, mode="mixed")
    assert array.ledger.memory_accesses == 2 * 2 * 2
    assert array.ledger.macs == 1 + 1
    array.update(pre, post, np.array([0.6, 0, 0, 0.1]), "mixed")  # the first column decays whole
    assert array.ledger.memory_accesses == 8 + 2 * (ROWS + 2 * 1)
    filtered = machine((ROWS, COLS), RRAM, write=WritePath(w_max=1.0, momentum=0.5))
    filtered.program(np.zeros((ROWS, COLS)), w_max=1.0)
    filtered.update(pre, post, mode="mixed")
    assert filtered.ledger.memory_accesses == 2 * 2 * ROWS * COLS
