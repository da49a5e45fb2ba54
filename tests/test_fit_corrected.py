"""Fits that can be trusted: corrected by fits to their own card, bounds that were reached, laws that contain others."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from fit_helpers import drawn_in_numpy, uncorrected, write, write_traces

import neurosim as ns
from benchmarks.fit_grid import COUNTS, DESIGNS, LAWS, drawn, informed, page, physical, tally, truth
from neurosim.core import registry
from neurosim.core.errors import CapabilityError, InputError
from neurosim.devices.fitting.fit import _corrected, _laws, _undecided
from neurosim.devices.fitting.resampled import corrected, simulated


@pytest.mark.slow
def test_what_short_traces_bend_is_straightened(tmp_path):
    """Thirty pulses take a device a share of 1/e back, ramps have fifty: bounds come out too near, steps too large."""
    before, after = [], []
    for seed in (100, 101, 102):
        pulses = drawn_in_numpy("soft-bounds", 0.03, 1.0, 50, 3, 8, seed)
        found = _laws(pulses, "soft-bounds")[0][0]
        better = _corrected(found, pulses, 6)
        assert better.numbers["g_max_uS"].low <= 90 <= better.numbers["g_max_uS"].high
        before.append(found.numbers["g_max_uS"].value - found.numbers["g_min_uS"].value - 70)
        after.append(better.numbers["g_max_uS"].value - better.numbers["g_min_uS"].value - 70)
        assert better.conventions["state_min"][0] == pytest.approx(better.numbers["state_max"].value - 2)
    assert np.mean(before) < -4
    assert abs(np.mean(after)) < abs(np.mean(before)) / 2
    assert any("simulated with this card" in note for note in better.notes)


def test_a_window_that_some_simulated_sets_do_not_reach_shifts_no_step():
    """Both bounds were met in the data, and one of them not in half of the simulated sets: steps are compared in uS then."""
    data = drawn("constant-step", DESIGNS[4], np.random.default_rng([2, LAWS.index("constant-step"), 4]))
    plain = _laws(data.pulses, "constant-step")[0][0]
    assert {"g_min_uS", "g_max_uS"} <= plain.numbers.keys()
    low, high, step = (plain.numbers[name] for name in ("g_min_uS", "g_max_uS", "step"))
    device, calls, draws = ns.devices.load("ecram-li-tang-2018"), [], np.random.default_rng(0)

    def fitted(_):
        calls.append(1)
        size = 1 + 0.02 * draws.standard_normal()
        if len(calls) % 2:
            return replace(plain, numbers=plain.numbers | {"step": step.times(size)})
        seen = (
            low.value + 20
        )  # what the traces spanned: a narrower window, of which the same step is a larger share
        wider = (high.value - low.value) / (high.value - seen)
        numbers = {name: one for name, one in plain.numbers.items() if name != "g_min_uS"}
        conventions = plain.conventions | {"g_min_uS": (seen, "what was seen")}
        return replace(plain, numbers=numbers | {"step": step.times(size * wider)}, conventions=conventions)

    better = corrected(plain, data.pulses, lambda _: device, fitted, 10)
    before, after = (physical(found)["step_uS"] for found in (plain, better))
    assert after.value == pytest.approx(before.value, rel=0.05)  # a sixth less where shares are compared


@pytest.mark.parametrize("law", ["constant-step", pytest.param("linear-step", marks=pytest.mark.slow)])
def test_a_window_of_what_was_seen_shifts_no_step(law: str):
    """Fifty pulses of a hundredth of the window, both ways: no bound is met, and each set of data spans another range."""
    pulses = drawn(law, DESIGNS[2], np.random.default_rng([0, LAWS.index(law), 2])).pulses
    plain = _laws(pulses, law)[0][0]
    assert not {"g_min_uS", "g_max_uS"} & plain.numbers.keys()
    better = _corrected(plain, pulses, 4)
    assert better.conventions["g_max_uS"] == plain.conventions["g_max_uS"]
    steps = [physical(found)["step_uS"].value for found in (plain, better)]
    assert steps[1] == pytest.approx(steps[0], rel=0.1)


def test_what_too_few_fits_have_keeps_its_size_where_rest_moves():
    """A slope is a share of the way from rest to a bound: where rest moves in the window, the share changes and the slope does not."""
    pulses = drawn("linear-step", DESIGNS[2], np.random.default_rng([0, 2, 2])).pulses
    plain = _laws(pulses, "linear-step")[0][0]
    assert "slope_down" in plain.numbers
    device = ns.devices.load("ecram-li-tang-2018")
    draws = np.random.default_rng(0)

    def without(_):
        numbers = {name: one for name, one in plain.numbers.items() if name != "slope_down"}
        rest = numbers["state_max"]
        moved = rest.value - 0.1 + 0.02 * draws.standard_normal()
        return replace(plain, numbers=numbers | {"state_max": replace(rest, value=moved)})

    better = corrected(plain, pulses, lambda _: device, without, 3)
    assert better.numbers["state_max"].value == pytest.approx(
        plain.numbers["state_max"].value + 0.2, abs=0.05
    )  # twice
    sizes = [physical(found)["slope_down_per_uS"] for found in (plain, better)]
    assert sizes[1].value == pytest.approx(sizes[0].value)
    assert sizes[1].low == pytest.approx(sizes[0].low)
    assert better.numbers["slope_down"].value != pytest.approx(plain.numbers["slope_down"].value, rel=0.1)


def test_simulated_traces_begin_where_the_measured_ones_did():
    pulses = drawn_in_numpy("soft-bounds", 0.06, 0.3, 20, 1, 5, 0)
    found = _laws(pulses, "soft-bounds")[0][0]
    device = ns.devices.load("rram-hfo2-om-2022").with_parameters(
        **{name: estimate.value for name, estimate in found.numbers.items()},
        corrupt_share=None,
        corrupt_range=None,
    )
    traces = simulated(device, pulses, 1).traces
    for measured, made in zip(pulses.traces, traces, strict=True):
        assert made.conductance_uS[0] == pytest.approx(measured.conductance_uS[0], rel=1e-6)
        assert (made.sign == measured.sign).all()
    again = simulated(device, pulses, 1).traces
    assert all(
        (one.conductance_uS == two.conductance_uS).all() for one, two in zip(traces, again, strict=True)
    )
    assert (simulated(device, pulses, 2).traces[0].conductance_uS != traces[0].conductance_uS).any()


def test_a_hard_bound_that_no_device_reached_has_no_interval():
    """Down to one step in the middle of the window: the lower bound is nowhere near."""
    pulses = drawn_in_numpy("constant-step", 0.01, 1.0, 100, 2, 8, 100)
    found = registry.find("law fitter", "constant-step")(pulses)
    assert "g_min_uS" not in found.numbers
    assert "no bound was reached" in found.conventions["g_min_uS"][1]
    assert any("Lower bound: not reached" in note for note in found.notes)


def test_devices_short_of_a_hard_bound_say_that_it_lies_beyond():
    """Slow devices stop short of the lower bound; the fast ones alone would put it at 24 uS and more."""
    seeds, lows = (100, 101, 102), []
    for seed in seeds:
        found = registry.find("law fitter", "constant-step")(
            drawn_in_numpy("constant-step", 0.03, 1.0, 100, 1, 30, seed)
        )
        lows.append(found.numbers["g_min_uS"])
        assert any("theirs lie beyond" in note for note in found.notes)
    assert all(low.low <= 20 <= low.high for low in lows)
    assert abs(np.mean([low.value for low in lows]) - 20) < 2


@pytest.mark.slow
@pytest.mark.parametrize("law", ["constant-step", "linear-step"])
def test_a_law_is_never_behind_one_that_it_contains(law):
    pulses = drawn_in_numpy(law, 0.03, 1.0, 50, 2, 6, 5)
    found, refused = _laws(pulses, None)
    by_name = {one.law: one for one in found}
    assert found[0].law == law
    if "linear-step" in by_name:
        assert by_name["linear-step"].log_likelihood >= by_name["constant-step"].log_likelihood
    else:
        assert "constant-step" in refused["linear-step"]


@pytest.mark.slow
def test_a_slope_that_does_not_show_is_zero_and_says_so():
    pulses = drawn_in_numpy("linear-step", 0.06, 0.3, 50, 3, 8, 1, slopes=(0.6, 0.0))
    found = registry.find("law fitter", "linear-step")(pulses)
    assert found.numbers["slope_up"].low <= 0.6 <= found.numbers["slope_up"].high
    down = found.numbers.get("slope_down")
    if down is None:
        assert found.conventions["slope_down"] == (
            0.0, "steps down do not show that they depend on the conductance"
        )  # fmt: skip
    else:
        assert down.value < 0.1


def test_laws_that_the_data_do_not_tell_are_named():
    pulses = drawn_in_numpy("soft-bounds", 0.06, 0.3, 20, 1, 4, 3)
    best = replace(registry.find("law fitter", "constant-step")(pulses), climb=None)
    level = replace(best, law="linear-step", log_likelihood=best.log_likelihood - 4)
    behind = replace(best, law="soft-bounds", log_likelihood=best.log_likelihood - 6)
    (note,) = _undecided([best, level, behind], {})
    assert note.startswith("The data do not tell constant-step from linear-step, whose BIC is 8.0 above")


def test_laws_that_cannot_be_fitted_are_named_on_the_card(tmp_path):
    """Slow devices under few pulses: whether their steps shrink is not seen, so soft bounds are not ruled out."""
    data = write_traces(tmp_path / "few.csv", drawn_in_numpy("soft-bounds", 0.03, 1.0, 15, 1, 3, 3))
    found = uncorrected([data])
    assert found.card.law == "constant-step"
    assert any(
        note.startswith("Not ruled out, for these data give no card of it: soft-bounds")
        for note in found.card.notes
    )


@pytest.mark.slow
def test_a_mean_curve_that_the_card_misses_is_told(tmp_path):
    """Potentiation in two stages: fast first pulses, then slow ones: exponential steps, but no constant ones."""
    draws = np.random.default_rng(1)
    up, down = np.arange(91.0), np.arange(78.0)
    rising = 3 + 10 * (1 - np.exp(-up / 2.5)) + 28 * up / 90 + draws.normal(0, 1.3, up.size)
    falling = 3 + 38 / (1 + np.exp((down - 17) / 6)) + draws.normal(0, 1.3, down.size)
    files = [
        write(tmp_path / f"{name}.csv", [f"{abs(g) * 1e-9:.4g}" for g in curve])
        for name, curve in (("set", rising), ("reset", falling))
    ]
    assert not any("mean curve" in note for note in uncorrected(files, "exp-step").card.notes)
    found = uncorrected(files, "constant-step")
    missed = [note for note in found.card.notes if "mean curve" in note]
    assert len(missed) == 1
    assert "SET pulse" in missed[0]
    assert "steps_of" in missed[0]
    honest = uncorrected(
        [write_traces(tmp_path / "honest.csv", drawn_in_numpy("soft-bounds", 0.06, 0.3, 50, 2, 8, 4))]
    )
    assert not any("mean curve" in note for note in honest.card.notes)


def test_cards_are_drawn_from_what_the_fit_leaves_open(tmp_path):
    data = write_traces(tmp_path / "wafer.csv", drawn_in_numpy("soft-bounds", 0.06, 0.3, 50, 2, 8, 4))
    found = uncorrected([data], "soft-bounds", name="wafer")
    cards = ns.fitting.drawn_cards(found, 30, seed=1)
    assert [card.name for card in cards[:2]] == ["wafer-draw-1", "wafer-draw-2"]
    steps = np.array([card.parameters["step"].value for card in cards])
    width = found.intervals["step"].high - found.intervals["step"].low
    assert np.std(steps) == pytest.approx(width / 4, rel=0.4)
    for card in cards:
        device = card.device()
        assert device.state_min == pytest.approx(device.state_max - 2)
        assert "drawn from the 95 % interval" in card.parameters["step"].source
    assert [card.parameters for card in ns.fitting.drawn_cards(found, 2, seed=1)] == [
        card.parameters for card in cards[:2]
    ]


def test_a_fit_that_cannot_be_repeated_stays_as_it_is_and_says_so():
    pulses = drawn_in_numpy("soft-bounds", 0.06, 0.3, 50, 2, 4, 4)
    found = _laws(pulses, "soft-bounds")[0][0]
    assert _corrected(found, pulses, 0).numbers == found.numbers
    device = ns.devices.load("rram-hfo2-om-2022").with_parameters(corrupt_share=None, corrupt_range=None)

    def refuses(given):
        raise CapabilityError("no")

    left = corrected(found, pulses, lambda fit: device, refuses, 3)
    assert left.numbers == found.numbers
    assert left.notes[-1].startswith("Not corrected by fits to data simulated with this card: 3 of 3")

    def only_of_the_fit(fit):
        if fit is found:
            return device
        raise InputError("bounds change places")

    left = corrected(found, pulses, only_of_the_fit, lambda given: found, 3)
    assert left.numbers == found.numbers
    assert "makes no device: bounds change places" in left.notes[-1]
    with pytest.raises(InputError, match="resamples = 1"):
        corrected(found, pulses, lambda fit: device, refuses, 1)


def test_intervals_of_a_single_device_are_no_narrower_than_the_fits_scatter():
    pulses = drawn_in_numpy("soft-bounds", 0.06, 0.3, 50, 2, 1, 4)
    found = _laws(pulses, "soft-bounds")[0][0]
    device = ns.devices.load("rram-hfo2-om-2022").with_parameters(corrupt_share=None, corrupt_range=None)
    factors = itertools.cycle([0.5, 1.0, 2.0])

    def scattered(given):
        by = next(factors)
        return replace(found, numbers={name: one.times(by) for name, one in found.numbers.items()})

    wide = corrected(found, pulses, lambda fit: device, scattered, 3)
    step = wide.numbers["step"]
    assert np.isfinite([step.low, step.high]).all()
    assert np.log(step.high / step.value) >= 1.96 * np.log(2)


# The grid of designs that covers are counted on (python -m benchmarks.fit_grid)


def test_information_says_before_any_fit_what_a_design_can_tell():
    short = informed(
        "constant-step", DESIGNS[1], 1
    )  # 100 steps of 0.003 up and down: no device meets a bound
    assert short["g_max_uS"] > COUNTS
    assert short["g_min_uS"] > COUNTS
    assert short["step_uS"] < COUNTS
    assert short["cycle_to_cycle"] < COUNTS
    one = informed("soft-bounds", DESIGNS[6], 1)  # a single device: no spreads
    assert one["step_spread_lognormal"] > COUNTS
    assert one["g_max_uS"] < COUNTS


def test_covers_are_counted_from_intervals():
    known = truth("constant-step", DESIGNS[4])
    holds = {"g_max_uS": [91.0, 88.0, 94.0]}
    misses = {"g_max_uS": [99.0, 96.0, 102.0]}
    truths = [{"g_max_uS": known["g_max_uS"]}] * 4
    found = tally([holds, misses, holds, "could not be fitted"], truths)["g_max_uS"]
    assert (found["fitted"], found["held"]) == (3, 2)
    assert found["bias"] == pytest.approx(np.mean([1 / 90, 0.1, 1 / 90]))
    assert found["below"] == pytest.approx(1 - 0.9**3)  # at most two of three
    point = {
        "law": "constant-step", "design": DESIGNS[4].words, "sets": 4, "information": {"g_max_uS": 0.1},
        "numbers": {"g_max_uS": found},
    }  # fmt: skip
    assert "| `g_max_uS` | 10 | yes | 3 of 4 | 67 | +4 |" in page({"designs": [point]})
