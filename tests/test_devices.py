"""Device laws against the published numbers and against plain numpy: pulses, RESET, drift, programming, energy."""

from __future__ import annotations

import helpers
import numpy as np
import pytest
from helpers import (
    BUILT_IN,
    FINE,
    HFO2,
    IDEAL,
    PCM,
    SPREADS,
    check_count,
    check_mean,
    check_std,
    fresh,
    quiet,
    quiet_pcm,
    std_error,
)
from scipy import stats

from neurosim import devices
from neurosim.core.errors import ConfigError, InputError, UnknownNameError
from neurosim.core.protocols import Device
from neurosim.core.seeds import key
from neurosim.devices import programmed, pulse_response
from neurosim.kernels.cells import drift_cells, program_cells, pulse_cells

TABLE = {1: (2.055, 1.520), 3: (4.467, 2.198), 5: (5.914, 2.379), 10: (7.827, 2.465), 20: (9.397, 2.661)}
"""Pulses: mean and standard deviation in uS (Nandakumar 2018 fit, clipped to [0.1, 20] uS; facts 1.1)."""
UNCLIPPED = {1: (1.925, 1.733), 3: (4.337, 2.329), 5: (5.805, 2.457), 10: (7.759, 2.492), 20: (9.38, 2.694)}


def give(law, state, params, count: int, event: int, pulse_key, now_s: float = 0.0) -> float:
    return pulse_cells(count, state, params, now_s, event, pulse_key, law.kernels.pulse)


def drifted(law, state, params, now_s: float) -> np.ndarray:
    out = np.empty(state.conductance.size, np.float32)
    drift_cells(out, state, params, now_s, law.kernels.drifted)
    return out


# Phase-change memory: SET, RESET


@pytest.fixture(scope="module")
def pcm_traces():
    """A million devices under 20 SET pulses, upper bound 20 uS, without read noise, at the reading time."""
    return pulse_response(devices.load(PCM).with_parameters(g_max_uS=20.0), [1] * 20, 1_000_000, seed=1)


@pytest.mark.parametrize("pulses", TABLE)
def test_pcm_mean_and_spread_after_set_pulses_are_the_published_ones(pcm_traces, pulses):
    """Nandakumar et al., JAP 124, 152135 (2018), coefficients as in srnn-pcm; acceptance facts 1 and 2.

    The reference values are a Monte Carlo of 2e6 devices rounded to 0.001 uS, hence the tolerance.
    """
    mean, sigma = TABLE[pulses]
    sample = pcm_traces[pulses].astype(np.float64)
    both = np.sqrt(1 / sample.size + 1 / 2e6)
    assert abs(sample.mean() - mean) <= 5 * sigma * both + 0.0005
    ours = std_error(sample)
    assert abs(sample.std() - sigma) <= 5 * ours * np.sqrt(sample.size) * both + 0.0005


def test_pcm_unclipped_follows_the_exact_recursion_of_its_moments():
    """E and Var of G <- G + m1 G + c1 + A1 e + (m2 G + c2 + A2 e) xi; bounds moved out of reach."""
    law = devices.load(PCM)
    state, params, pulse_key = fresh(law, 400_000, seed=2)
    params = params._replace(g_min_uS=np.float32(-1e9), g_max_uS=np.float32(1e9))
    mean, variance = law.reset_mean_uS, law.reset_sigma_uS**2
    for p in range(1, 21):
        give(law, state, params, 1, p, pulse_key)
        e = np.exp(-p / law.memory_pulses)
        b = law.sigma_offset_uS + law.sigma_first_uS * e
        step_variance = (law.sigma_slope * mean + b) ** 2 + law.sigma_slope**2 * variance
        variance = (1 + law.mean_slope) ** 2 * variance + step_variance
        mean += law.mean_slope * mean + law.mean_offset_uS + law.mean_first_uS * e
        if p in UNCLIPPED:
            assert mean == pytest.approx(UNCLIPPED[p][0], abs=0.0051)
            assert np.sqrt(variance) == pytest.approx(UNCLIPPED[p][1], abs=0.0051)
            check_mean(state.conductance, mean, np.sqrt(variance))
            check_std(state.conductance, np.sqrt(variance))


def test_pcm_without_spread_settles_where_the_mean_step_vanishes():
    """Fixed point c1 / |m1| = 10.48 uS (Nandakumar 2018 coefficients)."""
    last = pulse_response(quiet_pcm(), [1] * 200, 1)[-1, 0]
    assert last == pytest.approx(0.88 / 0.084, rel=1e-4)


def test_pcm_pulse_equals_a_numpy_oracle():
    law = devices.load(PCM).with_parameters(g_max_uS=8.0)
    state, params, pulse_key = fresh(law, 500, seed=3)
    g, given = state.conductance.astype(np.float64), np.zeros(500)
    for event, count in enumerate([1, 3, 2, 7], start=1):
        give(law, state, params, count, event, pulse_key)
        for k in range(count):
            given += 1
            e = np.exp(-given / 2.6)
            xi = helpers.normals(helpers.words(np.arange(500), event, k + 1, pulse_key)[0])
            g = np.clip(g - 0.084 * g + 0.88 + 1.4 * e + (0.091 * g + 0.26 + 2.15 * e) * xi, 0.1, 8.0)
        np.testing.assert_allclose(state.conductance, g, rtol=2e-6)
        np.testing.assert_array_equal(state.set_pulses, given)


def test_pcm_steps_away_from_the_bounds_are_normal():
    law = devices.load(PCM)
    state, params, pulse_key = fresh(law, 100_000, seed=4)
    state.conductance[:] = 6.0
    state.set_pulses[:] = 7
    give(law, state, params, 1, 1, pulse_key)
    e = np.exp(-8 / 2.6)
    mean, sigma = -0.084 * 6 + 0.88 + 1.4 * e, 0.091 * 6 + 0.26 + 2.15 * e
    step = state.conductance.astype(np.float64) - 6
    assert step.min() < 0, "a SET pulse may lower the conductance: that is in the data"
    assert stats.kstest((step - mean) / sigma, "norm").pvalue > 1e-4


def test_pcm_reset_returns_to_the_published_distribution():
    """N(0.1, 0.01) uS with a floor of 0.01 uS, and the count of SET pulses starts again (srnn-pcm)."""
    law = devices.load(PCM)
    state, params, pulse_key = fresh(law, 200_000, seed=5)
    give(law, state, params, 5, 1, pulse_key)
    assert state.conductance.mean() > 5
    give(law, state, params, -1, 2, pulse_key, now_s=3.0)
    check_mean(state.conductance, 0.1, 0.01)
    check_std(state.conductance, 0.01)
    assert state.conductance.min() >= 0.01
    assert not state.set_pulses.any()
    assert (state.programmed_at_s == 3.0).all()


def test_pcm_reset_never_goes_below_its_floor():
    law = devices.load(PCM).with_parameters(reset_sigma_uS=0.2)
    state, _, _ = fresh(law, 10_000, seed=5)
    assert state.conductance.min() == np.float32(0.01)


def test_pcm_pulse_counter_saturates_without_wrapping():
    law = devices.load(PCM)
    state, params, pulse_key = fresh(law, 10)
    for event in range(1, 31):
        give(law, state, params, 10, event, pulse_key)
        assert (state.set_pulses == min(10 * event, 255)).all()
    give(law, state, params, 1000, 31, pulse_key)
    assert (state.set_pulses == 255).all()
    state.conductance[:] = 10.48
    moved = state.conductance.copy()
    give(quiet_pcm(), state, quiet_pcm().params(), 1, 32, pulse_key)
    assert np.abs(state.conductance - moved).max() < 0.01, "no first-pulse boost after saturation"


# Phase-change memory: time, programming, read noise


def test_pcm_state_is_the_conductance_at_the_reading_time():
    """The fit is for conductance 38.6 s after the pulse, so the law gives the stored value there."""
    law = devices.load(PCM)
    state, params, pulse_key = fresh(law, 1000, seed=6)
    give(law, state, params, 3, 1, pulse_key)
    np.testing.assert_allclose(drifted(law, state, params, 38.6), state.conductance, rtol=1e-6)


def test_pcm_drift_is_a_power_law_of_the_published_exponent():
    """Slope of ln G against ln t is -0.04 for every device (training set of srnn-pcm), to 1e-5."""
    times = np.logspace(0, 8, 17)
    traces = programmed(PCM, [2.0, 6.0, 10.0], times, 200, seed=7).reshape(17, -1)
    slopes = np.polyfit(np.log(times), np.log(traces.astype(np.float64)), 1)[0]
    np.testing.assert_allclose(slopes, -0.04, atol=1e-5)


def test_pcm_exponents_spread_when_asked_and_each_device_keeps_one_power_law():
    law = devices.load(PCM).with_parameters(drift_exponent_sigma=0.01)
    times = np.logspace(0, 6, 25)
    logs = np.log(programmed(law, [6.0], times, 20_000, seed=8)[:, 0].astype(np.float64))
    slopes, levels = np.polyfit(np.log(times), logs, 1)
    check_mean(-slopes, 0.04, 0.01)
    check_std(-slopes, 0.01)
    assert np.abs(logs - np.log(times)[:, None] * slopes - levels).max() < 1e-5, "one continuous path"


def test_pcm_exponent_is_drawn_anew_by_programming_and_reset_only():
    law = devices.load(PCM).with_parameters(drift_exponent_sigma=0.01)
    state, params, pulse_key = fresh(law, 2000, seed=9)
    before = state.exponent.copy()
    give(law, state, params, 2, 1, pulse_key)
    np.testing.assert_array_equal(state.exponent, before)
    give(law, state, params, -1, 2, pulse_key)
    helpers.check_uncorrelated(state.exponent, before)
    after_reset = state.exponent.copy()
    targets = np.full(2000, 5.0, np.float32)
    program_cells(0, targets, state, params, 0.0, 3, key(1, "program"), law.kernels.program)
    helpers.check_uncorrelated(state.exponent, after_reset)


def test_pcm_drift_is_evaluated_not_applied():
    """Reading in any order changes nothing: drift is never multiplied into the state."""
    law = devices.load(PCM)
    state, params, pulse_key = fresh(law, 100)
    give(law, state, params, 4, 1, pulse_key)
    stored = state.conductance.copy()
    late = drifted(law, state, params, 1e6)
    early = drifted(law, state, params, 100.0)
    np.testing.assert_array_equal(drifted(law, state, params, 1e6), late)
    np.testing.assert_array_equal(state.conductance, stored)
    assert (late < early).all()


def test_pcm_drift_short_times_are_clamped():
    """Facts 1.4: (1 us / 38.6 s)^-0.04 = 2.01 and 1 s gives 1.157."""
    law = devices.load(PCM)
    state, params, _ = fresh(law, 4)
    for now, factor in ((0.0, 2.01), (1e-6, 2.01), (1.0, 1.157)):
        np.testing.assert_allclose(drifted(law, state, params, now), state.conductance * factor, rtol=2e-3)


def test_pcm_pulse_restarts_the_clock_of_drift():
    law = devices.load(PCM)
    state, params, pulse_key = fresh(law, 50)
    give(law, state, params, 2, 1, pulse_key, now_s=1000.0)
    np.testing.assert_allclose(drifted(law, state, params, 1038.6), state.conductance, rtol=1e-5)


def test_pcm_drift_does_not_depend_on_when_the_device_was_programmed():
    """One second after a pulse the conductance is 1.157 times the state, in the first year and in the next."""
    law = devices.load(PCM)
    for start in (0.0, 1e3, 1e7 + 0.3, 3.15e7 + 0.7):
        state, params, pulse_key = fresh(law, 10)
        give(law, state, params, 3, 1, pulse_key, now_s=start)
        factor = drifted(law, state, params, start + 1.0) / state.conductance
        np.testing.assert_allclose(factor, 38.6**0.04, rtol=1e-3, err_msg=f"pulsed at {start} s")


@pytest.mark.parametrize(("target", "sigma"), [(6.25, 0.681), (12.5, 0.953), (18.75, 1.077)])
def test_pcm_programming_error_is_the_published_polynomial(target, sigma):
    """Joshi et al., Nat. Commun. 11, 2473 (2020) as fitted in aihwkit, G_max = 25 uS; acceptance fact 6.

    CrossSim's own fit of Joshi's figure 3b agrees within 2 %.
    """
    law = devices.load(PCM).with_parameters(g_max_uS=25.0)
    sample = programmed(law, [target], [38.6], 200_000, seed=10)[0, 0]
    check_mean(sample, target, sigma)
    check_std(sample, sigma, extra=0.0005)
    refit = -0.00178767 * target**2 + 0.07585724 * target + 0.28638599
    assert sigma == pytest.approx(refit, rel=0.02)


def test_pcm_programming_error_scales_with_the_window():
    sample = programmed(PCM, [6.0], [38.6], 200_000, seed=11)[0, 0]
    check_std(sample, 0.953 * 12 / 25, extra=0.0005)


def test_pcm_programming_sets_the_pulse_count_by_the_inverse_mean_curve():
    """P(G) = 0.027 G^3 - 0.15 G^2 + 0.81 G (srnn-pcm); the mean curve itself must lie near it."""
    law = quiet_pcm()
    state, params, _ = fresh(law, 6)
    targets = np.array([0.1, 2.0, 4.0, 6.0, 8.0, 10.0], np.float32)
    program_cells(0, targets, state, params, 0.0, 1, key(0, "program"), law.kernels.program)
    np.testing.assert_allclose(state.conductance, targets)
    curve = 0.027 * targets**3 - 0.15 * targets**2 + 0.81 * targets
    np.testing.assert_array_equal(state.set_pulses, np.rint(curve))
    mean_curve = pulse_response(law, [1] * 20, 1)[:, 0]
    for pulses, target in zip(state.set_pulses[1:5], targets[1:5], strict=True):
        assert abs(mean_curve[pulses] - target) < 1.2


@pytest.mark.parametrize(("conductance", "share"), [(10.0, 0.043), (1.0, 0.16)])
def test_pcm_read_noise_is_the_published_share(conductance, share):
    """0.03 G + 0.13 uS: 4.3 % at 10 uS and 16 % at 1 uS (srnn-pcm; facts 1.3)."""
    law = devices.load(PCM)
    assert law.kernels.read_sigma(np.float32(conductance), law.params()) / conductance == pytest.approx(share)


# Soft bounds


def test_soft_bounds_mean_follows_the_closed_form():
    """G_n = b + (G_0 - b)(1 - step / bound)^n without noise (facts 2.1), up and down."""
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
    """w* = (s_up - s_dn) / (s_up / b_max - s_dn / b_min) for each device (facts 2.1), within 1 % of the span."""
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


# Every law


def test_effects_switched_off_are_none_and_gone():
    law = devices.load(PCM)
    off = law.with_parameters(drift_exponent=None, read_noise_relative=None, read_noise_floor_uS=None)
    assert (law.drifts, law.has_read_noise) == (True, True)
    assert (off.drifts, off.has_read_noise) == (False, False)
    state, params, _ = fresh(off, 5)
    np.testing.assert_array_equal(drifted(off, state, params, 1e9), state.conductance)
    assert off.kernels.read_sigma(np.float32(5), params) == 0
    still, _, _ = fresh(law.with_parameters(reset_sigma_uS=None), 100)
    assert (still.conductance == np.float32(0.1)).all()
    assert not any(devices.load(name).drifts for name in (IDEAL, HFO2, FINE))


def test_drift_exponents_take_memory_only_where_they_spread():
    law = devices.load(PCM)
    assert law.allocate(1000).exponent.size == 1
    assert law.with_parameters(drift_exponent_sigma=0.01).allocate(1000).exponent.size == 1000


def test_the_ideal_law_takes_exact_linear_steps_within_its_window():
    law = devices.load(IDEAL).with_parameters(step_share=2.0**-7)
    state, params, pulse_key = fresh(law, 3)
    assert give(law, state, params, 5, 1, pulse_key) == 0
    np.testing.assert_array_equal(state.conductance, np.float32(50 + 5 * 100 / 128))
    give(law, state, params, -11, 2, pulse_key)
    np.testing.assert_array_equal(state.conductance, np.float32(50 - 6 * 100 / 128))
    give(law, state, params, 10_000, 3, pulse_key)
    np.testing.assert_array_equal(state.conductance, np.float32(100))
    give(law, state, params, -10_000, 4, pulse_key)
    np.testing.assert_array_equal(state.conductance, np.float32(0))


def test_pulse_energies_are_those_computed_by_hand():
    """PCM I V t: 90 uA 1.5 V 50 ns = 6.75 pJ, 400 uA 1.8 V 50 ns = 36 pJ; RRAM V^2 G t: 0.70 pJ at 5.5 uS
    with 1.6 V, 50 ns (TaOx/HfOx row of the energy table, NeuroSim MLP V3.0 parameters; facts 6)."""
    law = devices.load(PCM)
    state, params, pulse_key = fresh(law, 1)
    assert give(law, state, params, 1, 1, pulse_key) == pytest.approx(6.75e-12, rel=1e-6)
    assert give(law, state, params, 4, 2, pulse_key) == pytest.approx(4 * 6.75e-12, rel=1e-6)
    assert give(law, state, params, -1, 3, pulse_key) == pytest.approx(36e-12, rel=1e-6)
    target = np.full(1, 3.0, np.float32)
    energy = program_cells(0, target, state, params, 0.0, 4, pulse_key, law.kernels.program)
    assert energy == pytest.approx(20 * 6.75e-12, rel=1e-6)
    assert law.pulse_voltage_V == 1.5

    law = quiet()
    state, params, pulse_key = fresh(law, 1)
    energy = give(law, state, params, 1, 1, pulse_key)
    after = 50 + 0.0949 * 40
    assert energy == pytest.approx(1.6**2 * (50 + after) / 2 * 1e-6 * 50e-9, rel=1e-6)
    assert law.write_energy_per_uS * 5.5 == pytest.approx(0.70e-12, rel=0.01)
    assert law.program_energy_J == pytest.approx(10 * 1.6**2 * 50e-6 * 50e-9, rel=1e-6)


@pytest.mark.parametrize("name", BUILT_IN)
def test_energies_add_up_over_cells_and_are_never_negative(name):
    law = devices.load(name)
    state, params, pulse_key = fresh(law, 30, seed=18)
    alone, params, _ = fresh(law, 30, seed=18)
    for event, count in enumerate([1, 3, -2], start=1):
        total = give(law, state, params, count, event, pulse_key)
        each = [law.kernels.pulse(cell, count, alone, params, 0.0, event, pulse_key) for cell in range(30)]
        assert min(each) >= 0
        assert total == pytest.approx(sum(each), rel=1e-12)
    np.testing.assert_array_equal(state.conductance, alone.conductance)


@pytest.mark.parametrize("name", BUILT_IN)
def test_conductances_stay_finite_and_within_bounds_after_a_hundred_thousand_random_pulses(name):
    law = devices.load(name)
    state, params, pulse_key = fresh(law, 40, seed=19)
    rng, given = np.random.default_rng(0), 0
    event = 0
    while given < 100_000:
        event += 1
        count = int(rng.integers(-60, 61)) or 1
        given += abs(count)
        give(law, state, params, count, event, pulse_key)
        assert np.isfinite(state.conductance).all()
        assert state.conductance.min() >= 0
        if law.law == "soft-bounds":
            assert (state.persistent >= state.lower).all()
            assert (state.persistent <= state.upper).all()
        else:
            assert state.conductance.max() <= np.float32(law.g_max_uS)


@pytest.mark.parametrize("name", BUILT_IN)
def test_devices_meet_their_protocol_and_repeat_by_seed(name):
    law = devices.load(name)
    assert isinstance(law, Device)
    assert law.name == name
    assert law.g_min_uS <= law.g_rest_uS < law.g_max_uS
    assert law.nominal_step_uS > 0
    a, b, c = (pulse_response(law, [1, 1, -1], 64, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert a.shape == (4, 64)
    assert a.dtype == np.float32
    if name != IDEAL:
        assert not np.array_equal(a, c)


def test_depression_share_is_offered_only_where_depression_is_proportional():
    assert devices.load(PCM).depression_share is None
    assert devices.load(IDEAL).depression_share is None
    assert devices.load(FINE).depression_share == pytest.approx(0.002 / 0.75)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pulse_response(PCM, [1, 2]), "pulses"),
        (lambda: pulse_response(PCM, [[1]]), "pulses"),
        (lambda: pulse_response(PCM, [1], 0), "n_devices"),
        (lambda: programmed(PCM, [-1.0], [0.0]), "targets_uS"),
        (lambda: programmed(PCM, [1.0], [np.nan]), "times_s"),
    ],
)
def test_bad_requests_are_refused_in_words(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_parameters_are_checked_and_unknown_ones_get_the_nearest_name():
    law = devices.load(PCM)
    with pytest.raises(UnknownNameError, match="did you mean 'drift_exponent'"):
        law.with_parameters(drift_exponnt=0.1)
    with pytest.raises(ConfigError, match="drift_exponent = -1"):
        law.with_parameters(drift_exponent=-1.0)
    with pytest.raises(ConfigError, match=r"g_max_uS = 0\.05: must exceed g_min_uS = 0\.1"):
        law.with_parameters(g_max_uS=0.05)
    with pytest.raises(ConfigError, match="nan"):
        law.with_parameters(drift_exponent=float("nan"))
