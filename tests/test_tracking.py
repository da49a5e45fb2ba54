"""References that follow the symmetric points: a search before weights are programmed, others while they are learnt.

Weights are learnt from noisy targets: noise gives pulses up and down alike, which draw each device to its own point, and a
weight beside the one that was taught if that point is not its zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import HFO2, PCM, bits

import neurosim as ns
from neurosim.core.cautions import WindowWarning
from neurosim.core.errors import CapabilityError, ConfigError

ECRAM = "ecram-li-tang-2018"
ROWS, COLS = 24, 10
UNEQUAL = {"asymmetry_spread": 0.1, "slope_down": 0.6, "slope_up": 0.6}
"""Devices whose points differ by more than a tenth of the window."""
DRIFTING = {
    "drift_table_share": (0.0, 1.0), "drift_table_exponent": (0.1, 0.1), "drift_table_start_s": 1000.0,
}  # fmt: skip
"""Conductances fall with the time since the last write: those of references, which nobody pulses."""


def chip(tracking: dict[str, Any] | None, seed: int = 0, **law: Any) -> ns.Crossbar:
    """Ten times the steps of the card, so that a tenth of the pulses finds the points."""
    device = ns.devices.load(ECRAM).with_parameters(**{"step": 0.02, **law})
    return ns.Crossbar((ROWS, COLS), device, seed=seed, write={"mapping": "reference", "tracking": tracking})


def learnt(
    tracking: dict[str, Any] | None, seed: int, seconds: float = 0.0, **law: Any
) -> tuple[np.ndarray, ns.Crossbar]:
    """Return by how much the weights are beside those taught, in the mean over the second half of 800 updates."""
    rng = np.random.default_rng(seed)
    taught = 0.1 * rng.standard_normal((ROWS, COLS))
    array = chip(tracking, seed, **law)
    array.program(np.zeros((ROWS, COLS)), w_max=1.0)
    off = np.zeros((ROWS, COLS))
    for k in range(800):
        x = rng.standard_normal((4, ROWS))
        y = x @ taught + 3.0 * rng.standard_normal((4, COLS))
        array.update(x, 0.005 * (y - array.forward(x)))
        array.advance(seconds)
        if k >= 400:
            off += (array.weights() - taught) / 400
    return off, array


@pytest.fixture(scope="module")
def unequal() -> dict[Any, float]:
    """Rms of what weights are beside, by the pairs of a search; None: no search, which is the control."""
    return {
        pairs: float(np.sqrt(np.mean([learnt(given, seed, **UNEQUAL)[0] ** 2 for seed in range(2)])))
        for pairs, given in ((None, None), *((pairs, {"pairs": pairs}) for pairs in (2, 100)))
    }


def test_the_residual_error_of_a_search_is_felt_in_learning(unequal):
    """Two pairs bring devices a part of the way, a hundred all of it; what is left then is noise that learning follows."""
    assert unequal[100] < 0.75 * unequal[2] < 0.75 * 0.85 * unequal[None]


@pytest.mark.slow
def test_references_that_drift_are_followed():
    """The mean over all weights: noise averages out of it, what the references have lost does not."""
    found = {
        every: learnt({"pairs": 400, "every": every}, 0, seconds=10.0, **DRIFTING)[0].mean()
        for every in (None, 400, 100)
    }
    assert 0.04 < found[None] < 0.08
    assert abs(found[100]) < 0.5 * found[400] < 0.8 * 0.5 * found[None]


def test_a_search_keeps_the_weights_that_are_learnt_and_all_of_it_is_counted():
    """Read row by row, pulsed up and down, references and weights programmed: what it adds to one update."""
    law = {"cycle_to_cycle": None, "program_tolerance": 0.01}
    plain, array = (chip({"pairs": 50, "every": every}, **law) for every in (None, 3))
    weights = np.random.default_rng(1).uniform(-0.5, 0.5, (ROWS, COLS))
    x, y = np.ones((1, ROWS)), np.full((1, COLS), 0.01)
    for each in (plain, array):
        each.program(weights, w_max=1.0)
        for _ in range(3):
            each.update(x, y)
    done = {name: count - plain.ledger.counts()[name] for name, count in array.ledger.counts().items()}
    devices = ROWS * COLS
    assert (done["pulses"], done["downs"], done["updates"], done["point_searches"]) == (
        100 * devices,
        50 * devices,
        0,
        1,
    )
    assert (done["rows_read_back"], done["readback_conversions"]) == (4 * ROWS, 4 * devices)
    assert done["programmed_cells"] == 2 * devices
    assert done["weights_clipped"] == 0
    off = array.weights() - plain.weights()
    assert 0 < np.abs(off).max() < 0.2
    assert off.std() == pytest.approx(np.hypot(0.01, 0.01) * 2, rel=0.2), (
        "the errors of two programmings of half a window"
    )


def test_what_lies_beyond_the_window_beside_its_new_reference_is_clipped_and_counted():
    array = chip({"pairs": 100, "every": 1})
    array.program(np.full((ROWS, COLS), -0.99), w_max=1.0)
    counted = array.ledger.weights_clipped
    array.update(np.ones((1, ROWS)), np.full((1, COLS), -0.5))
    assert array.ledger.weights_clipped > counted
    assert array.conductance_uS()[:, 0::2].min() >= 2.0 - 1e-3


def test_searches_that_are_too_short_for_the_weights_are_said():
    """Two pairs leave devices at their weights: each reference goes there, and the weight as far beyond."""
    array = chip({"pairs": 2, "every": 1})
    array.program(np.random.default_rng(0).uniform(-0.9, 0.9, (ROWS, COLS)), w_max=1.0)
    with pytest.warns(WindowWarning, match=r"tracking\.pairs = 2 may be too few"):
        array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)))


def test_a_moving_average_leaves_a_part_of_what_reads_are_off():
    """Of reads with error s, share a of the way at each of many searches: s sqrt(a / (2 - a))."""
    law = {"step": 0.1, "cycle_to_cycle": None, "read_noise_share": 0.02}
    spreads = {}
    for share in (1.0, 0.25):
        array = chip({"pairs": 100, "every": 1, "share": share}, **law)
        array.program(np.zeros((ROWS, COLS)), w_max=1.0)
        set_uS = []
        for k in range(50):
            array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)))
            if k >= 20:
                set_uS.append(array.conductance_uS()[:, 1::2].copy())
        spreads[share] = np.std(set_uS, axis=0).mean()
    one = 0.02 * 22 / np.sqrt(2)
    assert spreads[1.0] == pytest.approx(one, rel=0.06)
    assert spreads[0.25] == pytest.approx(one * np.sqrt(0.25 / 1.75), rel=0.12)


def test_a_checkpoint_goes_on_with_the_same_bits():
    rng = np.random.default_rng(2)
    steps = [(rng.random((2, ROWS)), 0.02 * rng.standard_normal((2, COLS))) for _ in range(9)]
    whole, first, later = (chip({"pairs": 4, "every": 4, "share": 0.5}) for _ in range(3))
    for array in (whole, first, later):
        array.program(np.zeros((ROWS, COLS)), w_max=1.0)
    for k, step in enumerate(steps):
        whole.update(*step)
        (first if k < 5 else later).update(*step)
        if k == 4:
            later.restore(first.snapshot())
    assert bits(whole) == bits(later)


def test_an_arm_chooses_it_and_its_bill_says_where_its_programming_stands():
    tracked = {"mapping": "reference", "tracking": {"pairs": 3, "every": 10}}
    spec = ns.DenseExperiment(
        dataset="digits", neurons=10, epochs=1, readout_epochs=1, curve_points=0, seeds=1,
        arm=[
            {"name": "middle", "device": ECRAM, "write": {"mapping": "reference"}},
            {"name": "tracked", "device": ECRAM, "write": tracked},
        ],
    )  # fmt: skip
    results = ns.compare(spec)
    counts = {run["arm"]: run["events"][0]["counts"] for run in results["runs"] if run["energy"]}
    assert counts["middle"]["point_searches"] == 0
    assert counts["tracked"]["point_searches"] == 1 + counts["tracked"]["updates"] // 10
    bills = {run["arm"]: ns.price(run["events"]) for run in results["runs"] if run["energy"]}
    assert any("symmetric points" in note for note in bills["tracked"].notes)
    assert not any("symmetric points" in note for note in bills["middle"].notes)


def test_settings_that_do_not_use_it_are_what_they_were():
    assert "tracking" not in ns.WritePath().model_dump()
    assert ns.WritePath(mapping="reference", tracking=ns.Tracking()).model_dump()["tracking"]["pairs"] == 2000


def test_where_nothing_can_be_tracked_words_say_so():
    with pytest.raises(ConfigError, match="tracking: mapping 'pair'"):
        ns.WritePath(tracking=ns.Tracking())
    write = {"mapping": "reference", "tracking": {}}
    with pytest.raises(CapabilityError, match="do not balance"):
        ns.Crossbar((4, 3), PCM, write=write)
    with pytest.raises(CapabilityError, match="without wires or faults"):
        ns.Crossbar((4, 3), HFO2, write=write, wires={"r_word_ohm": 1.0})
    with (
        pytest.raises(CapabilityError, match="no pulse programme holds"),
        chip({"pairs": 2, "every": 3}).record(),
    ):
        pass
    with pytest.raises(CapabilityError, match=r"write\.tracking .* use numba"):
        ns.TorchCrossbar((4, 3), HFO2, write=write)
