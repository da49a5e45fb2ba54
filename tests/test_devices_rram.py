"""The soft-bounds law against its closed form, the published numbers and plain numpy, effect by effect."""

from __future__ import annotations

import helpers
import numpy as np
import pytest
from helpers import FINE, HFO2, SPREADS, check_count, check_mean, check_std, fresh, give, quiet
from scipy import stats

from neurosim import devices
from neurosim.devices import programmed, pulse_response

# Soft bounds


def test_soft_bounds_mean_follows_the_closed_form():
    """G_n = b + (G_0 - b)(1 - step / bound)^n without noise, up and down."""
    law = quiet()
    up = (pulse_response(law, [1] * 40, 1)[:, 0] - law.g_rest_uS) / law.span_uS
    down = (pulse_response(law, [-1] * 40, 1)[:, 0] - law.g_rest_uS) / law.span_uS
    shrink = (1 - law.step) ** np.arange(41)
    np.testing.assert_allclose(up, 1 - shrink, atol=1e-5)
    np.testing.assert_allclose(down, shrink - 1, atol=1e-5)
    fine = quiet(FINE, step=0.05)
    down = (pulse_response(fine, [-1] * 60, 1)[:, 0] - fine.g_rest_uS) / fine.span_uS
    np.testing.assert_allclose(down, -0.75 * (1 - (1 - 0.05 / 0.75) ** np.arange(61)), atol=1e-5)


def test_soft_bounds_pulse_equals_a_numpy_oracle():
    """Three pulses take the first three words of one draw; write noise takes the fourth of the first draw."""
    law = devices.load(HFO2)
    state, params, pulse_key = fresh(law, 400, seed=3)
    persistent = state.persistent.astype(np.float64)
    upper, lower = state.upper.astype(np.float64), state.lower.astype(np.float64)
    healthy, cells = upper > lower, np.arange(400)
    for event, count in enumerate([2, -3, 1, 8, -7], start=1):
        give(law, state, params, count, event, pulse_key)
        for k in range(abs(count)):
            xi = 0.4158 * helpers.normals(helpers.words(cells, event, k // 3, pulse_key)[k % 3])
            with np.errstate(divide="ignore", invalid="ignore"):
                if count > 0:
                    moved = persistent + state.step_up * (1 - (persistent - 50) / (upper - 50) + xi)
                else:
                    moved = persistent - state.step_down * (1 - (50 - persistent) / (50 - lower) + xi)
            persistent = np.where(healthy, np.clip(moved, lower, upper), persistent)
        noise = helpers.normals(helpers.words(cells, event, 0, pulse_key)[3])
        seen = np.maximum(persistent + 1.4113 * 0.0949 * 40 * noise, 0)
        np.testing.assert_allclose(state.persistent, persistent, rtol=2e-5, atol=1e-4)
        np.testing.assert_allclose(
            state.conductance, np.where(healthy, seen, persistent), rtol=2e-5, atol=2e-4
        )


def test_soft_bounds_alternating_pulses_converge_to_rest():
    """Without spread the symmetry point is the rest conductance; the two phases straddle it by half a step."""
    law = quiet()
    for start in (1, -1):
        trace = pulse_response(law, [start] * 30 + [1, -1] * 60, 1)[:, 0]
        assert abs(trace[30] - law.g_rest_uS) > 0.9 * law.span_uS
        assert (trace[-1] + trace[-2]) / 2 == pytest.approx(law.g_rest_uS, abs=1e-3)
        assert abs(trace[-1] - trace[-2]) == pytest.approx(law.nominal_step_uS, rel=0.06)


def test_soft_bounds_symmetry_point_of_each_device_follows_its_own_steps_and_bounds():
    """w* = (s_up - s_dn) / (s_up / b_max - s_dn / b_min) for each device, within 1 % of the span."""
    law = quiet(
        FINE, step_spread=0.1, asymmetry_spread=0.1, state_max_spread=0.1, state_min_spread=0.1, step=0.004
    )
    state, params, pulse_key = fresh(law, 300, seed=12)
    for event in range(1, 2401, 2):
        give(law, state, params, 1, event, pulse_key)
        high = state.conductance.copy()
        give(law, state, params, -1, event + 1, pulse_key)
    found = (high + state.conductance) / 2 - law.g_rest_uS
    b_max, b_min = state.upper - law.g_rest_uS, state.lower - law.g_rest_uS
    expected = (state.step_up - state.step_down) / (state.step_up / b_max - state.step_down / b_min)
    assert expected.std() > 1
    np.testing.assert_allclose(found, expected, atol=0.01 * law.span_uS)


@pytest.mark.parametrize(("name", "steps"), [(HFO2, 21), (FINE, 1000)])
def test_soft_bounds_granularity_is_the_published_one(name, steps):
    """About 21 steps (optimised array, IEDM 2022; acceptance fact 8) and about 1,000 (Gong 2018 loose fit)."""
    law = devices.load(name)
    assert round((law.g_max_uS - law.g_min_uS) / law.nominal_step_uS) == steps
    assert pulse_response(quiet(name), [1], 1)[1, 0] - law.g_rest_uS == pytest.approx(
        law.nominal_step_uS, abs=4e-6
    )


def test_soft_bounds_corrupt_share_is_the_published_one_and_corrupt_cells_never_move():
    """13.48 % of the optimised array (IEDM 2022, in aihwkit): bounds collapse to one value within 0.01."""
    law = devices.load(HFO2)
    state, params, pulse_key = fresh(law, 100_000, seed=13)
    corrupt = state.upper == state.lower
    check_count(int(corrupt.sum()), 100_000, 0.1348)
    offsets = (state.upper[corrupt] - law.g_rest_uS) / law.span_uS
    assert np.abs(offsets).max() <= 0.0100001
    assert stats.kstest(offsets / 0.01, "uniform", (-1, 2)).pvalue > 1e-4
    before = state.conductance.copy()
    for event, count in enumerate([5, -7, 30, -1], start=1):
        give(law, state, params, count, event, pulse_key)
    np.testing.assert_array_equal(state.conductance[corrupt], before[corrupt])
    assert (state.conductance[~corrupt] != before[~corrupt]).mean() > 0.99


def test_soft_bounds_write_noise_is_drawn_at_each_pulse_and_leaves_the_persistent_state():
    """Seen = persistent + 1.4113 steps of noise (OM array), anew each time the cell is pulsed."""
    noisy, still = quiet(write_noise=1.4113), quiet()
    traces = pulse_response(noisy, [1] * 6, 50_000, seed=14)
    shift = traces[1:] - pulse_response(still, [1] * 6, 1)[1:]
    for event in range(6):
        check_mean(shift[event], 0, 1.4113 * noisy.nominal_step_uS)
        check_std(shift[event], 1.4113 * noisy.nominal_step_uS)
    helpers.check_uncorrelated(shift[:-1], shift[1:])


def test_soft_bounds_cycle_to_cycle_spread_is_in_steps():
    law = quiet(cycle_to_cycle=0.4158)
    first = pulse_response(law, [1], 100_000, seed=15)[1] - law.g_rest_uS
    check_mean(first, law.nominal_step_uS, 0.4158 * law.nominal_step_uS)
    check_std(first, 0.4158 * law.nominal_step_uS)


def test_soft_bounds_device_to_device_spreads_are_those_of_the_card():
    """OM array: step lognormal 0.7829, bounds 0.3499 and 0.5695 (folded at zero); Gong 2018: step normal 0.3."""
    far = quiet(
        step_spread_lognormal=0.7829,
        state_max_spread=0.3499,
        state_min_spread=0.5695,
        g_min_uS=210,
        g_max_uS=290,
    )
    state, _, _ = fresh(far, 100_000, seed=16)
    logs = np.log(state.step_up / far.nominal_step_uS)
    check_mean(logs, 0, 0.7829)
    check_std(logs, 0.7829)
    for reach, spread in ((state.upper - 250, 0.3499), (250 - state.lower, 0.5695)):
        folded = stats.foldnorm(1 / spread, scale=spread * far.span_uS)
        check_mean(reach, folded.mean(), folded.std())
        check_std(reach, folded.std())
    state, _, _ = fresh(quiet(FINE, step_spread=0.3), 100_000, seed=16)
    folded = stats.foldnorm(1 / 0.3, scale=0.3 * devices.load(FINE).nominal_step_uS)
    check_mean(state.step_down, folded.mean(), folded.std())


EFFECTS = {
    "step_spread": {"step_up", "step_down"},
    "step_spread_lognormal": {"step_up", "step_down"},
    "state_max_spread": {"upper"},
    "state_min_spread": {"lower"},
    "asymmetry_spread": {"step_up", "step_down"},
    "corrupt_share": {"upper", "lower"},
}


def test_soft_bounds_with_every_effect_off_all_devices_are_one():
    law = quiet()
    a, b = (pulse_response(law, [1, 1, -1], 50, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(a, b)
    assert (np.ptp(a, axis=1) == 0).all()
    np.testing.assert_array_equal(programmed(law, [40.0], [0.0], 20), np.float32(40.0))
    assert set(SPREADS) <= set(type(law).model_fields)


@pytest.mark.parametrize("effect", EFFECTS)
def test_soft_bounds_each_device_effect_alone_touches_only_its_own_quantity(effect):
    state, _, _ = fresh(quiet(**{effect: 0.3}), 200)
    still, _, _ = fresh(quiet(), 200)
    for field in ("upper", "lower", "step_up", "step_down"):
        changed = bool((getattr(state, field) != getattr(still, field)).any())
        assert changed == (field in EFFECTS[effect]), field
    if effect == "asymmetry_spread":
        assert np.ptp(state.step_up + state.step_down) < 1e-4
    if effect.startswith("step_spread"):
        np.testing.assert_array_equal(state.step_up, state.step_down)


@pytest.mark.parametrize("effect", ["cycle_to_cycle", "write_noise", "program_tolerance"])
def test_soft_bounds_each_event_effect_alone_touches_only_its_own_events(effect):
    law = quiet(**{effect: 0.3})
    pulsed, still = (pulse_response(one, [1, 1], 200) for one in (law, quiet()))
    assert bool((pulsed != still).any()) == (effect != "program_tolerance")
    written = programmed(law, [40.0], [0.0], 200)
    assert bool((written != 40).any()) == (effect == "program_tolerance")


def test_soft_bounds_programming_error_is_the_tolerance_of_the_window():
    """Program-and-verify with 2 % acceptance (Falcone et al.): 1.6 uS of an 80 uS window."""
    sample = programmed(quiet(program_tolerance=0.02), [40.0], [0.0], 100_000, seed=17)[0, 0]
    check_mean(sample, 40.0, 1.6)
    check_std(sample, 1.6)
