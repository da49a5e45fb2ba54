"""Laws of identical up and down pulses against closed forms, plain recursions and the published numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import check_count, check_mean, check_std, every_card, fresh, give

from neurosim import Crossbar, devices
from neurosim.core.errors import ConfigError
from neurosim.devices import programmed, pulse_response
from neurosim.devices.bipolar import Bipolar, Stepped
from neurosim.reference import agreement
from neurosim.reference.agreement import compare_operations

SPEC, EXP, BASELINE, POWER = (
    "spec-gokmen-vlasov-2016", "rram-hfo2-exp-gong-2018", "rram-hfo2-baseline-2022", "example-power-step",
)  # fmt: skip
ECRAM, CAPACITOR = "ecram-li-tang-2018", "cmos-capacitor-li-2018"
ONE_OF_EACH_LAW = (SPEC, ECRAM, BASELINE, EXP, POWER, "rram-ag-asi-jo-2010")
PULSED = [card for card in every_card() if isinstance(devices.load(str(card.values[0])), Bipolar)]
"""Every card of a bipolar law but the ideal one."""


def still(name: str, **changes: float | None) -> Any:
    """A device of the card without any random effect."""
    return devices.load(name).without_noise().with_parameters(**changes)


def states(law: Any, pulses: list[int]) -> Any:
    """Normalised state of one device after each pulse."""
    return (pulse_response(law, pulses, 1)[:, 0].astype(np.float64) - law.g_origin_uS) / law.span_uS


# What a mean pulse does


def test_constant_steps_are_equal_up_to_the_bounds():
    """Gokmen & Vlasov 2016 as in aihwkit: 0.0016 of +-1, 1,250 steps over the window."""
    law = still(SPEC, step=0.08)
    np.testing.assert_allclose(states(law, [1] * 15), np.minimum(0.08 * np.arange(16), 1), atol=1e-6)
    np.testing.assert_allclose(states(law, [-1] * 15), -np.minimum(0.08 * np.arange(16), 1), atol=1e-6)
    assert 2 / devices.load(SPEC).step == pytest.approx(1250)


@pytest.mark.parametrize(("name", "up", "down"), [(ECRAM, 0.1153, 0.5085), (CAPACITOR, 0.05, 0.05)])
def test_linear_steps_follow_their_closed_form(name, up, down):
    """s_n = b / gamma (1 - (1 - gamma step / b)^n) from the origin (aihwkit, presets EcRam and Capacitor)."""
    law = still(name, step=0.02)
    n = np.arange(41)
    for sign, slope, bound in ((1, up, law.state_max), (-1, down, -law.state_min)):
        expected = sign * bound / slope * (1 - (1 - slope * 0.02 / bound) ** n)
        np.testing.assert_allclose(states(law, [sign] * 40), expected, atol=1e-5)


def test_linear_steps_of_slope_one_are_soft_bounds():
    linear = still(ECRAM, step=0.1, slope_up=1.0, slope_down=1.0, state_max=1.0, state_min=-1.0)
    soft = still(BASELINE, step=0.1, g_min_uS=linear.g_min_uS, g_max_uS=linear.g_max_uS)
    pulses = [1] * 9 + [-1] * 25 + [1] * 7
    np.testing.assert_allclose(states(linear, pulses), states(soft, pulses), atol=1e-6)


def test_exponential_steps_follow_a_plain_recursion():
    """Preset ReRamES of aihwkit, a fit to Gong et al. 2018: its numbers written out, in Python's floats."""
    law = still(EXP, step=0.02)
    for sign, gain, scale in ((1, -1.18445, 0.02), (-1, -0.081404, 0.02 * (1 - 0.259359))):
        w, expected = law.state_rest, []
        for _ in range(150):
            z = -0.5 * w - 0.5
            step = scale * max(1 - gain * math.exp(sign * 5 * z), 0)
            w = min(max(w + sign * step, -1), 1)
            expected.append(w)
        np.testing.assert_allclose(states(law, [sign] * 150)[1:], expected, atol=1e-5)
        assert abs(expected[-1]) == 1
    assert 2 / devices.load(EXP).step == pytest.approx(1480, rel=0.01)


def test_exponential_steps_are_never_negative_in_the_mean():
    law = still(EXP, step=0.02, curve_gain_up=1.5, curve_offset=0.0, asymmetry=None, curve_gain_down=1.5)
    up = np.diff(states(law, [1] * 200))
    assert (up >= 0).all()


def test_power_steps_follow_a_plain_recursion_and_a_power_of_one_is_geometric():
    """Form of Fusi & Abbott 2007: what is left shrinks by (left / range)^exponent of the step."""
    law = still(POWER, step=0.1, exponent_up=2.0, exponent_down=0.5)
    for sign, exponent in ((1, 2.0), (-1, 0.5)):
        left, expected = 1 - sign * law.state_rest, []
        for _ in range(60):
            left = max(left - 0.1 * (left / 2) ** exponent, 0)
            expected.append(sign * (1 - left))
        np.testing.assert_allclose(states(law, [sign] * 60)[1:], expected, atol=1e-5)
    law = still(POWER, step=0.1, exponent_up=1.0, exponent_down=1.0)
    np.testing.assert_allclose(1 - states(law, [1] * 40), 0.95 ** np.arange(41), atol=1e-5)


def test_soft_bounds_with_unequal_steps_keep_their_closed_form():
    """w_n = b + (w_0 - b)(1 - s / b)^n (aihwkit's soft bounds), steps down 30 % smaller (`up_down`)."""
    law = still(BASELINE, step=0.05, asymmetry=0.3)
    n = np.arange(61)
    for sign, step in ((1, 0.05), (-1, 0.05 * 0.7)):
        expected = sign + (law.state_rest - sign) * (1 - step) ** n
        np.testing.assert_allclose(states(law, [sign] * 60), expected, atol=1e-5)
    assert law.depression_share == pytest.approx(0.05 * 0.7)


# Where pulses up and down balance


@pytest.mark.parametrize(
    ("name", "changes", "rest"),
    [
        (BASELINE, {"step": 0.02, "asymmetry": 0.3}, 0.3 / 1.7),
        (ECRAM, {"step": 0.02, "asymmetry": -0.1}, -0.1 / (0.9 * 0.1153 / 1.1724 + 0.5085 / 0.8276)),
        (EXP, {"step": 0.02}, None),
        (POWER, {"step": 0.1, "exponent_down": 1.0}, None),
    ],
)
def test_alternating_pulses_converge_to_the_symmetry_point(name, changes, rest):
    """w* = (s_up - s_dn) / (s_up / b_max - s_dn / b_min) for linear laws, with the slopes for linear steps."""
    law = still(name, **changes)
    if rest is not None:
        assert law.state_rest == pytest.approx(rest)
    tolerance = 0.02 * (law.state_max - law.state_min)
    for start in (1, -1):
        trace = states(law, [start] * 40 + [1, -1] * 600)
        assert abs(trace[40] - law.state_rest) > 4 * tolerance
        assert (trace[-1] + trace[-2]) / 2 == pytest.approx(law.state_rest, abs=tolerance)


@pytest.mark.parametrize("name", PULSED)
def test_the_first_pulse_from_rest_is_the_nominal_step(name):
    law = still(name)
    up, down = (abs(float(np.diff(pulse_response(law, [sign], 1)[:, 0])[0])) for sign in (1, -1))
    size = abs(law.g_rest_uS) * 2e-7
    assert (up + down) / 2 == pytest.approx(law.nominal_step_uS, rel=1e-5, abs=size)
    if name != "pcm-gst-kuzum-2011":
        assert up == pytest.approx(down, rel=1e-4, abs=2 * size), "balanced"
    assert law.g_min_uS < law.g_rest_uS < law.g_max_uS


def test_curves_that_do_not_meet_within_the_bounds_are_refused():
    with pytest.raises(ConfigError, match="balance"):
        devices.load(EXP).with_parameters(curve_gain_up=-5e4)
    with pytest.raises(ConfigError, match="balance"):
        devices.load(ECRAM).with_parameters(asymmetry=0.9)


# What differs from pulse to pulse and from device to device


@pytest.mark.parametrize(("follows", "expected"), [(1.0, 1 - 0.9 * 0.5), (0.0, 1.0)])
def test_linear_noise_follows_the_step_or_stays(follows, expected):
    """aihwkit's multiplicative and additive noise: 0.3 of the step here, or of the step at the origin."""
    law = still(ECRAM, step=0.002, slope_up=0.9, state_max=1.0, state_min=-1.0,
                cycle_to_cycle=0.3, noise_follows_step=follows)  # fmt: skip
    state, params, pulse_key = fresh(law, 100_000, seed=21)
    state.persistent[:] = law.g_origin_uS + 0.5 * law.span_uS
    before = state.persistent.astype(np.float64)
    give(law, state, params, 1, 1, pulse_key)
    moved = (state.persistent - before) / (0.002 * law.span_uS)
    check_mean(moved, 1 - 0.9 * 0.5, 0.3 * expected, extra=1e-3)
    check_std(moved, 0.3 * expected, extra=1e-3)


@pytest.mark.parametrize("name", [SPEC, EXP, POWER])
def test_other_noise_is_a_share_of_the_present_step(name):
    law = still(name, cycle_to_cycle=0.3, step=0.01)
    moved = np.diff(pulse_response(law, [1], 100_000, seed=22), axis=0)[0].astype(np.float64)
    check_std(moved, 0.3 * law.nominal_step_uS, extra=1e-4 * law.nominal_step_uS)


def test_slopes_differ_from_device_to_device_by_the_published_spread():
    """0.05 around 0.1153 and 0.5085 in both directions (preset EcRam), folded at zero; drawn independently."""
    law = devices.load(ECRAM)
    state, _, _ = fresh(law, 100_000, seed=23)
    down = state.slope_down.astype(np.float64) * -law.state_min * law.span_uS
    check_mean(down, 0.5085, 0.05)
    check_std(down, 0.05)
    up = state.slope_up.astype(np.float64) * law.state_max * law.span_uS
    assert abs(np.corrcoef(up, down)[0, 1]) < 5 / np.sqrt(down.size)
    assert np.ptp(fresh(still(ECRAM), 100)[0].slope_down) == 0


def test_unequal_steps_keep_their_mean_asymmetry():
    """`up_down` = 0.259359 of preset ReRamES makes the mean step down smaller, spread 0.05 on either."""
    law = devices.load(EXP).with_parameters(step_spread=None)
    state, _, _ = fresh(law, 100_000, seed=24)
    scale = law.step * law.span_uS
    check_mean(state.step_up / scale, 1, 0.05)
    check_mean(state.step_down / scale, 1 - 0.259359, 0.05)
    check_std(state.step_down / scale, 0.05)
    other = still(EXP, asymmetry=-0.2)
    assert (other.gain_up, other.gain_down) == (0.8, 1)


@pytest.mark.parametrize(
    ("name", "steps", "corrupt"), [(BASELINE, 4.3, 0.0977), ("rram-hfo2-om-2022", 21, 0.1348)]
)
def test_arrays_have_the_published_granularity_and_corrupt_share(name, steps, corrupt):
    """About 4.3 against 21 steps over the range, 9.8 % against 13.5 % corrupt (Gong, Rasch, IEDM 2022)."""
    law = devices.load(name)
    assert (law.g_max_uS - law.g_min_uS) / law.nominal_step_uS == pytest.approx(steps, rel=0.01)
    state, _, _ = fresh(law, 100_000, seed=25)
    check_count(int((state.upper == state.lower).sum()), 100_000, corrupt)


@pytest.mark.parametrize(("name", "share"), [(EXP, 0.10), (BASELINE, 0.27)])
def test_write_noise_is_in_steps(name, share):
    """75 steps of 0.00135 are 0.10 of the half range, 0.5841 of 0.4622 are 0.27: not shares of the range."""
    law = still(name, write_noise=devices.load(name).write_noise)
    seen = pulse_response(law, [1], 50_000, seed=26)[1].astype(np.float64)
    assert seen.std() / law.span_uS == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize("name", ONE_OF_EACH_LAW)
def test_conductances_stay_within_each_devices_bounds_after_ten_thousand_random_pulses(name):
    law = devices.load(name)
    state, params, pulse_key = fresh(law, 200, seed=27)
    rng, given, event = np.random.default_rng(1), 0, 0
    while given < 10_000:
        event += 1
        count = int(rng.integers(-90, 91)) or 1
        given += abs(count)
        assert give(law, state, params, count, event, pulse_key) >= 0
    assert np.isfinite(state.conductance).all()
    assert (state.conductance >= 0).all()
    assert ((state.persistent >= state.lower) & (state.persistent <= state.upper)).all()


@pytest.mark.parametrize("name", PULSED)
def test_without_noise_all_devices_are_one(name):
    law = still(name)
    traces = pulse_response(law, [1, 1, -1], 20)
    assert (np.ptp(traces, axis=1) == 0).all()
    middle = (law.g_min_uS + law.g_max_uS) / 2
    np.testing.assert_array_equal(programmed(law, [middle], [0.0], 5), np.float32(middle))
    if isinstance(law, Stepped):
        assert law.corrupt_share is None


# Both machines


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("rram-ag-asi-jo-2010", {"nonlinearity_spread": 0.4}),
        ("epiram-sige-choi-2018", {"nonlinearity_up": 0.0, "nonlinearity_down": 1.0, "write_noise": 0.5}),
        (BASELINE, {"asymmetry": -0.3, "reset_voltage_V": 2.0}),
    ],
)
@pytest.mark.slow
def test_the_torch_twin_has_what_no_card_uses(name, changes, monkeypatch):
    monkeypatch.setattr(agreement, "SHAPE", (40, 24))
    for line in compare_operations(devices.load(name).with_parameters(**changes), "float64", True):
        assert line.holds, line
        assert line.differing == 0, line


def test_a_pulse_on_a_gate_costs_the_same_whatever_the_conductance():
    """FeFET: 2 P_r A V, 3.7 fJ for a 50 nm square cell (P_r of DNN+NeuroSim V2.1, 3.65 V)."""
    array = Crossbar((6, 4), "fefet-hzo-jerry-2017")
    pulses = array.update(np.ones((1, 6)), np.full((1, 4), 0.05))
    assert pulses > 0
    assert array.ledger.write_J == pytest.approx(3.7e-15 * pulses, rel=1e-6)
