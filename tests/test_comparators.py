"""Comparators that verify writing: an offset for each bit line, noise in each comparison, and what one costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import FINE, check_mean, check_std

import neurosim as ns
from neurosim.core.errors import ConfigError
from neurosim.energy import built_in, price_list
from neurosim.study.events import layer_events

ROWS, COLS, OFFSET_uS = 60, 40, 2.0
STEP_uS = 0.08
WEIGHTS = np.random.default_rng(0).uniform(-0.4, 0.4, (ROWS, COLS)).astype(np.float32)


def exact() -> Any:
    """Bipolar devices that all take the same small steps, without any noise."""
    spreads = ("step_spread", "state_max_spread", "state_min_spread", "asymmetry_spread")
    noise = ("cycle_to_cycle", "write_noise", "program_tolerance")
    return ns.devices.load(FINE).with_parameters(**dict.fromkeys(spreads + noise))


def written(law: Any, seed: int = 0, **loop: Any) -> tuple[ns.Crossbar, np.ndarray]:
    """An array, and what each device (rows, 2 cols) ended off its target."""
    settings = {"mode": "closed", "verify": "compare", "pulse_budget": 5000, **loop}
    array = ns.Crossbar(
        (ROWS, COLS),
        law,
        seed=seed,
        write={"programming": settings, "sides": "two"},
        tiles={"word_lines": 30},
    )
    array.program(WEIGHTS, w_max=1.0)
    middle, span = sum(law.cell_window_uS) / 2, law.cell_window_uS[1] - law.cell_window_uS[0]
    wanted = np.stack([middle + WEIGHTS * span / 2, middle - WEIGHTS * span / 2], axis=2)
    return array, array.conductance_uS() - wanted.reshape(ROWS, 2 * COLS)


def test_devices_of_a_bit_line_of_a_tile_all_end_beside_their_targets_by_its_offset():
    _, plain = written(exact())
    array, off = written(exact(), comparator_offset_uS=OFFSET_uS)
    assert array.ledger.program_failed == 0
    lines = off.reshape(2, 30, 2 * COLS).mean(axis=1)
    within = off.reshape(2, 30, 2 * COLS) - lines[:, None]
    assert np.abs(within).max() < 3 * np.abs(plain).max() < OFFSET_uS / 2
    check_std(lines, OFFSET_uS, extra=0.05)
    assert abs(np.corrcoef(lines[0], lines[1])[0, 1]) < 0.5, "each tile has comparators of its own"


def test_offsets_are_drawn_with_the_chip_and_stay():
    """Programmed again, from where it stands, each line is off as before; another chip's lines are off otherwise."""
    array, first = written(exact(), seed=1, comparator_offset_uS=OFFSET_uS)
    _, other = written(exact(), seed=2, comparator_offset_uS=OFFSET_uS)
    assert abs(np.corrcoef(first[:30].mean(axis=0), other[:30].mean(axis=0))[0, 1]) < 0.5
    before = array.conductance_uS()
    array.program(-array.weights(), w_max=1.0)
    array.program(WEIGHTS, w_max=1.0)
    again = array.conductance_uS() - before
    assert np.abs(again).max() < 3 * STEP_uS


@pytest.mark.parametrize("mapping", ["reference", "offset"])
def test_references_are_compared_too(mapping):
    loop = {"mode": "closed", "verify": "compare", "pulse_budget": 5000, "comparator_offset_uS": OFFSET_uS}
    law = exact()
    array = ns.Crossbar(
        (ROWS, COLS), law, write={"mapping": mapping, "programming": loop}, tiles={"bit_lines": 9}
    )
    off = array.conductance_uS()[:, 1::2] - sum(law.cell_window_uS) / 2
    assert off.std(axis=0).max() < OFFSET_uS / 4, "one comparator for a bit line"
    lines = len(np.unique(off.mean(axis=0).round(2)))
    assert lines > COLS * 3 / 4 if mapping == "reference" else lines == 5, (
        "an offset column in each of five tiles"
    )


def test_noise_of_a_comparison_scatters_devices_and_is_drawn_anew_in_each():
    errors = {}
    for noise_uS in (0.0, 0.5, 2.0):
        found = ns.devices.write_verify(
            exact(), [40.0], pulse_budget=5000, n_devices=4000, verify="compare", comparator_noise_uS=noise_uS
        )
        errors[noise_uS] = (found.conductance_uS[0] - 40.0).std()
    assert errors[0.0] < 1e-3 < STEP_uS < errors[0.5] < errors[2.0]


def test_single_devices_have_comparators_of_their_own():
    found = ns.devices.write_verify(
        exact(),
        [40.0, 50.0],
        pulse_budget=5000,
        n_devices=4000,
        verify="compare",
        comparator_offset_uS=OFFSET_uS,
    )
    for k, target in enumerate((40.0, 50.0)):
        off = found.conductance_uS[k].astype(np.float64) - target
        check_std(off, OFFSET_uS, extra=0.05)
        check_mean(off, 0, extra=3 * STEP_uS)


def test_each_list_of_a_chip_prices_a_comparison_below_its_conversion_and_says_what_it_rests_on():
    array, _ = written(exact(), comparator_offset_uS=OFFSET_uS)
    events = layer_events([array])
    counted = array.ledger.program_comparisons
    assert counted > ROWS * COLS * 2
    for name in ("generic-28nm", "hermes-14nm", "neurram-130nm", "zigzag-horowitz-45nm"):
        unit, adc = price_list(name).cost_of("comparator"), price_list(name).cost_of("adc", 8)
        assert unit.mark == "assumed"
        assert 0 < unit.value < adc.value
        line = next(line for line in ns.price(events, name).lines if line.what == "comparator")
        assert (line.phase, line.kind) == ("programming", "periphery")
        assert line.joules == pytest.approx(counted * unit.value)
    assert {name for name in built_in() if "comparator" in price_list(name).prices} == {
        "generic-28nm", "hermes-14nm", "neurram-130nm", "zigzag-horowitz-45nm",
    }  # fmt: skip


def test_a_loop_without_a_comparator_has_none_of_its_errors():
    with pytest.raises(ConfigError, match="are of a comparator"):
        ns.Programming(mode="closed", comparator_offset_uS=1.0)
    assert "comparator_offset_uS" not in ns.Programming(mode="closed", verify="compare").model_dump()
