"""The VTEAM law against its own equation, integrated by scipy: steps, energies, spread, noise, thresholds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from helpers import check_mean, check_std, fresh, give
from scipy.integrate import solve_ivp

from neurosim import Crossbar, WritePath, devices
from neurosim.core.errors import ConfigError
from neurosim.devices import load, pulse_response
from neurosim.devices.card import read

CARD = "rram-vteam-kvatinsky-2015"
SPREADS = ("switching_spread", "threshold_spread", "g_max_spread", "g_min_spread", "cycle_to_cycle")


def law(**changes):
    return load(CARD).with_parameters(**changes)


def relation(p, place):
    """The conductance of a state, uS: resistance, its logarithm, or conductance linear in it."""
    low, high = p.g_min_uS, p.g_max_uS
    if p.conduction == -1:
        return 1 / (1 / low - (1 / low - 1 / high) * place)
    return low + (high - low) * place if p.conduction else low * np.exp(np.log(high / low) * place)


def integrated(p, start, sign, seconds, points=200):
    """State of one device over a pulse, by the equation of motion alone."""
    volts = p.write_voltage_V if sign > 0 else p.reset_voltage_V or p.write_voltage_V
    names = (f"{name}_{'up' if sign > 0 else 'down'}" for name in ("threshold", "switching"))
    threshold, switching = getattr(p, f"{next(names)}_V"), getattr(p, f"{next(names)}_s")
    exponent = p.voltage_exponent_up if sign > 0 else p.voltage_exponent_down
    window = p.window_up if sign > 0 else p.window_down

    def speed(_, place):
        ahead = np.clip(1 - place if sign > 0 else place, 0, 1)
        return sign * (volts / threshold - 1) ** exponent * ahead**window / switching

    times = np.linspace(0, seconds, points)
    found = solve_ivp(speed, (0, seconds), [start], t_eval=times, method="DOP853", rtol=1e-10, atol=1e-13)
    return times, found.y[0]


@pytest.mark.parametrize(
    ("conduction", "window"), [*product((-1.0, 0.0, 1.0), (1.0,)), (1.0, 0.5), (0.0, 2.0), (-1.0, 3.0)]
)
def test_a_train_of_pulses_follows_the_integrated_equation(conduction, window):
    """Kvatinsky et al. 2015, the equation of motion under a power of the distance, by scipy's DOP853."""
    p = law(conduction=conduction, window_up=window, window_down=window)
    for sign, count in ((1, 12), (-1, 12)):
        trace = pulse_response(p, [sign] * count, 1)[:, 0].astype(np.float64)
        place = p.place_rest
        for k in range(1, count + 1):
            place = integrated(p, place, sign, p.write_time_s)[1][-1]
            assert trace[k] == pytest.approx(relation(p, place), rel=2e-5), (sign, k)


def test_half_the_width_twice_is_one_pulse():
    """The step is that of the whole pulse, however strong: widths add up exactly."""
    for width, conduction in product((1e-9, 1e-8, 3e-7), (-1.0, 0.0, 1.0)):
        one = pulse_response(law(write_time_s=width, conduction=conduction), [1], 1)[-1, 0]
        two = law(write_time_s=width / 2, conduction=conduction)
        state, params, key = fresh(two, 1)
        start = law(write_time_s=width, conduction=conduction).g_rest_uS
        state.persistent[:] = state.conductance[:] = start
        give(two, state, params, 2, 1, key)
        assert state.conductance[0] == pytest.approx(one, rel=3e-6)


def test_the_step_follows_voltage_and_width():
    """Drive t / switching (V / threshold - 1)^4: double width doubles it, and voltage by the fourth power."""
    base = law()
    assert base.drive_up == pytest.approx(1e-8 / 1.3876e-11 * (1.62 / 1.5 - 1) ** 4)
    assert law(write_time_s=2e-8).drive_up == pytest.approx(2 * base.drive_up)
    higher = law(write_voltage_V=1.74)
    assert higher.drive_up == pytest.approx(16 * base.drive_up)
    assert higher.drive_down == base.drive_down, "pulses down have their own voltage"
    alike = base.with_parameters(reset_voltage_V=None, reset_time_s=None, threshold_down_V=1.5)
    assert alike.drive_down == pytest.approx(1e-8 / 3.2967e-8 * 0.08**4)


def test_with_linear_conductance_and_window_it_is_the_law_of_soft_bounds():
    p = law(conduction=1.0, switching_down_s=1.3876e-11, threshold_down_V=1.5, reset_voltage_V=None)
    soft = load("rram-hfo2-om-2022").without_noise()
    soft = soft.with_parameters(
        g_min_uS=p.g_min_uS, g_max_uS=p.g_max_uS, state_max=1.0, state_min=-1.0, step=-np.expm1(-p.drive_up)
    )
    pulses = [1] * 30 + [-1] * 50 + [1, -1] * 10
    np.testing.assert_allclose(
        pulse_response(p, pulses, 1), pulse_response(soft, pulses, 1), rtol=1e-5, atol=1e-3
    )
    assert p.depression_share == pytest.approx(soft.depression_share / 1, rel=1e-12)
    assert law().depression_share is None


def test_energy_of_a_pulse_is_the_integral_of_the_power():
    """V^2 G t with the mean of before and after: within the curvature of small steps, of the integral."""
    for conduction, sign in product((-1.0, 0.0, 1.0), (1, -1)):
        p = law(conduction=conduction)
        volts = p.write_voltage_V if sign > 0 else p.reset_voltage_V
        state, params, key = fresh(p, 1)
        joules = give(p, state, params, sign, 1, key)
        times, places = integrated(p, p.place_rest, sign, p.write_time_s)
        exact = np.trapezoid(volts**2 * relation(p, places) * 1e-6, times)
        assert joules == pytest.approx(exact, rel=5e-3)
    longer = law(write_time_s=2e-8).write_energy_per_uS
    assert longer == pytest.approx(2 * 1.62**2 * 1e-8 * 1e-6)


def test_joules_of_an_array_follow_width_and_height():
    """The same pulses at rest: V^2 t of the card, times the conductance that the step itself moves."""
    found = {}
    for volts, width in ((1.62, 1e-8), (1.62, 2e-8), (1.7, 1e-8)):
        device = law(write_voltage_V=volts, write_time_s=width)
        array = Crossbar((4, 4), device, write=WritePath(pair="separate"))
        array.program(np.zeros((4, 4)), w_max=1.0)
        before = array.ledger.write_J
        array.update(np.ones((1, 4)), np.full((1, 4), 2.02 * device.read_step_uS / device.span_uS))
        found[volts, width] = array.ledger.write_J - before
    assert found[1.62, 2e-8] > 1.9 * found[1.62, 1e-8]
    assert found[1.7, 1e-8] > found[1.62, 1e-8]


def test_noise_from_pulse_to_pulse_multiplies_the_drive():
    p = law(conduction=1.0, cycle_to_cycle=0.3)
    trace = pulse_response(p, [1], 20_000)
    ahead = (p.g_max_uS - trace.astype(np.float64)) / p.span_uS
    drives = -np.log(ahead[1] / ahead[0])
    check_mean(drives, p.drive_up)
    check_std(drives, 0.3 * p.drive_up)


def test_devices_differ_by_the_spreads_of_the_card():
    p = law(switching_spread=0.4, threshold_spread=0.01, g_max_spread=0.2, g_min_spread=0.1)
    state, _, _ = fresh(p, 20_000)
    check_std(np.log(state.upper / p.g_max_uS), 0.2)
    check_std(np.log(state.lower / p.g_min_uS), 0.1)
    only = law(switching_spread=0.4)
    state, _, _ = fresh(only, 20_000)
    for own, mean in ((state.step_up, only.drive_up), (state.step_down, only.drive_down)):
        check_mean(np.log(own / mean), 0.0)
        check_std(np.log(own / mean), 0.4)
    np.testing.assert_allclose(state.step_up / only.drive_up, state.step_down / only.drive_down, rtol=1e-5)
    threshold = law(threshold_spread=0.01)
    state, _, _ = fresh(threshold, 20_000)
    over = (state.step_down.astype(np.float64) / threshold.turns_down) ** 0.25 + 1
    check_std(np.log(over), 0.01)


def test_a_device_whose_threshold_no_pulse_passes_stands_still():
    p = law(threshold_spread=0.1)
    state, params, key = fresh(p, 500)
    still = state.step_up == 0
    assert 0.15 < still.mean() < 0.3  # ln(1.62 / 1.5) / 0.1 = 0.77 standard deviations: 22 %
    before = state.persistent.copy()
    for event in range(1, 50):
        give(p, state, params, 8, event, key)
    assert np.array_equal(before[still], state.persistent[still])
    assert (state.persistent[~still] >= before[~still]).all()
    assert (state.persistent[~still] > before[~still]).mean() > 0.95


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"write_voltage_V": 1.5}, "must be above threshold_up_V = 1.5, or nothing moves"),
        ({"reset_voltage_V": 0.2}, "a pulse down must be above threshold_down_V"),
        (
            {"write_time_s": None},
            "write_time_s: missing; the step of this law follows from voltage and width",
        ),
        ({"gate_energy_J": 1e-15}, "gate_energy_J: leave it out"),
        ({"conduction": 0.5}, "must be -1, 0 or 1"),
    ],
)
def test_what_makes_no_device_is_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        law(**changes)


def test_hard_bounds_without_balance_rest_in_the_middle():
    p = law(conduction=1.0, window_up=0.0, window_down=0.0)
    assert p.drive_up != p.drive_down
    assert p.place_rest == 0.5
    assert p.nominal_step_uS == pytest.approx(p.span_uS * (p.drive_up + p.drive_down) / 2)
    trace = pulse_response(p, [1] * 40, 1)[:, 0]
    assert trace[-1] == pytest.approx(p.g_max_uS, rel=1e-6)
    np.testing.assert_allclose(np.diff(trace[:10]), p.span_uS * p.drive_up, rtol=1e-4)


def test_the_card_says_what_is_assumed_and_keeps_the_contract():
    card = read(devices.cards()[CARD])
    assumed = {name for name, number in card.parameters.items() if "assum" in number.source}
    assert {"write_voltage_V", "write_time_s", "reset_voltage_V", "conduction", "window_up"} <= assumed
    noisy = law(**dict.fromkeys(SPREADS, 0.05), write_noise=0.3)
    broken = [clause for clause in devices.check(noisy, pulses=50_000) if not clause.holds]
    assert not broken
