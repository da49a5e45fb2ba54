"""Effects beside a law's own, each against its own sampling law: spread, noise, drift table, short-term change."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import FINE, PCM, check_count, check_mean, check_std, quiet, quiet_pcm

from neurosim import Crossbar, devices
from neurosim.core.errors import CapabilityError, ConfigError, UnknownNameError
from neurosim.devices import programmed, pulse_response

N = 20_000


def constant(**parameters):
    """Equal steps of 1 uS between 0 and 100 uS, without noise."""
    return devices.load("spec-idealised-rasch-2019").without_noise().with_parameters(
        g_min_uS=0.0, g_max_uS=100.0, step=0.02, asymmetry=None, **parameters
    )  # fmt: skip


def test_step_spread_is_lognormal_and_each_devices_own():
    traces = pulse_response(constant(added_step_spread=0.3), [1] * 4 + [-1] * 2, N, seed=1)
    steps = np.diff(traces, axis=0)
    assert constant().nominal_step_uS == pytest.approx(1.0)
    np.testing.assert_allclose(steps[1], steps[0], rtol=1e-4)
    np.testing.assert_allclose(steps[5], -steps[0], rtol=1e-4)
    logs = np.log(steps[0])
    check_mean(logs, 0.0, 0.3)
    check_std(logs, 0.3)


def test_step_spread_of_a_set_only_device_leaves_its_reset_whole():
    traces = pulse_response(quiet_pcm(added_step_spread=0.5), [1, 1, 1, -1], 200, seed=1)
    assert traces[3].std() > 0.5
    assert np.ptp(traces[4]) == 0


def test_cycle_to_cycle_adds_up_over_pulses_and_write_noise_does_not():
    walk = pulse_response(constant(added_cycle_to_cycle=0.5), [1] * 9, N, seed=2)
    check_std(walk[1], 0.5)
    check_std(walk[9], 0.5 * 3)
    check_mean(walk[9], 59.0)
    seen = pulse_response(constant(added_write_noise=0.5), [1] * 9, N, seed=2)
    check_std(seen[1], 0.5)
    check_std(seen[9], 0.5)
    assert abs(np.corrcoef(seen[1], seen[9])[0, 1]) < 5 / np.sqrt(N)


def test_several_pulses_at_once_are_as_noisy_as_one_after_the_other():
    array = Crossbar((100, 100), constant(added_cycle_to_cycle=0.5))
    before = array.conductance_uS().copy()
    array.update(np.ones((1, 100)), np.full((1, 100), 8 * 2 / 100.0), mode="accumulate")
    check_std((array.conductance_uS() - before)[:, ::2].ravel(), 0.5 * np.sqrt(8))


def test_conductance_spread_is_corrected_by_programming_and_not_by_pulses():
    law = constant(added_conductance_spread=0.1)
    fresh = pulse_response(law, [1], N, seed=3)
    check_std(np.log(fresh[0] / 50.0), 0.1)
    np.testing.assert_allclose(fresh[1] / fresh[0], 51 / 50, rtol=1e-5)
    np.testing.assert_allclose(programmed(law, [40.0], [1.0], 500)[0, 0], 40.0, rtol=1e-5)


def test_corrupt_cells_are_spread_over_the_window():
    traces = pulse_response(constant(p_stuck_between=0.2), [1, 1], N, seed=4)
    still = traces[0] == traces[2]
    check_count(int(still.sum()), N, 0.2)
    check_mean(traces[0][still], 50.0, 100 / np.sqrt(12))
    check_std(traces[0][still], 100 / np.sqrt(12))


def test_the_drift_table_gives_each_conductance_its_exponent():
    law = constant(
        drift_table_share=(0.1, 0.5, 1.0), drift_table_exponent=(0.10, 0.06, 0.05),
        drift_table_sigma=(0.0, 0.008, 0.01), drift_table_start_s=20.0,
    )  # fmt: skip
    targets, times = [5.0, 30.0, 75.0, 100.0], [1.0, 20.0, 2e3, 2e6]
    found = programmed(law, targets, times, N, seed=5)
    np.testing.assert_array_equal(found[0], found[1])
    exponents = -np.log(found[3] / found[1]) / np.log(1e5)
    np.testing.assert_allclose(-np.log(found[2] / found[1]) / np.log(1e2), exponents, atol=2e-6)
    for k, (mean, sigma) in enumerate([(0.10, 0.0), (0.08, 0.004), (0.055, 0.009), (0.05, 0.01)]):
        if sigma:
            check_mean(exponents[k], mean, sigma)
            check_std(exponents[k], sigma)
        else:
            np.testing.assert_allclose(exponents[k], mean, atol=1e-6)


@pytest.mark.parametrize(
    "table",
    [
        {"drift_table_share": (0.1, 0.5)},
        {"drift_table_share": (0.5, 0.1), "drift_table_exponent": (0.1, 0.1)},
        {"drift_table_share": (0.1, 0.5), "drift_table_exponent": (0.1, 0.1), "drift_table_sigma": (0.1,)},
    ],
)
def test_a_drift_table_that_is_not_whole_is_refused(table):
    with pytest.raises(ConfigError, match="drift_table"):
        constant(**table)


def test_retention_falls_back_to_rest_along_one_path():
    tau = 1e4
    one, two = (Crossbar((4, 3), constant(retention_s=tau)) for _ in "ab")
    for array in (one, two):
        array.program(np.full((4, 3), 0.8), w_max=array.w_max)
        array.advance(1.0)
    start = one.conductance_uS()
    one.advance(5e3)
    two.advance(2.5e3)
    two.advance(2.5e3)
    np.testing.assert_array_equal(one.conductance_uS(), two.conductance_uS())
    np.testing.assert_allclose(one.conductance_uS() - 50, (start - 50) * np.exp(-0.5), rtol=1e-5)
    before = one.conductance_uS()
    one.update(np.ones((1, 4)), np.full((1, 3), 2 * 2 / 100.0))
    np.testing.assert_allclose(np.abs(one.conductance_uS() - before), 2.0, atol=1e-4)


def test_heat_shortens_retention_as_arrhenius_has_it():
    hot = constant(retention_s=1e6, retention_activation_eV=1.1, temperature_K=350.0, activation_low_eV=0.0,
                   activation_high_eV=0.0)  # fmt: skip
    found = programmed(hot, [90.0], [1e3], 1)[0, 0, 0]
    tau = 1e6 * np.exp(1.1 / 8.617333e-5 * (1 / 350 - 1 / 300))
    assert found == pytest.approx(50 + 40 * np.exp(-1e3 / tau), rel=1e-5)


def test_the_volatile_share_of_a_pulse_fades_and_the_rest_stays():
    """ECRAM: G = G_perm + G_vol exp(-t / tau)."""
    array = Crossbar((3, 2), constant(volatile_share=0.05, fading_s=1.0))
    start = array.conductance_uS().copy()
    array.update(np.ones((1, 3)), np.full((1, 2), 10 * 2 / 100.0))
    step = array.conductance_uS() - start
    np.testing.assert_allclose(np.abs(step), 10.0, rtol=1e-4)
    array.advance(2.0)
    np.testing.assert_allclose(array.conductance_uS() - start, step * (0.95 + 0.05 * np.exp(-2.0)), rtol=1e-4)
    array.advance(1e3)
    np.testing.assert_allclose(array.conductance_uS() - start, 0.95 * step, rtol=1e-4)


def test_a_gate_multiplies_the_conductance_for_a_while():
    """Mixed plasticity: G_eff = G (1 + m), m falls by exp(-t / tau) and rises with each pulse."""
    array = Crossbar((3, 2), quiet_pcm(gate_step=0.1, fading_s=0.5, drift_exponent=None))
    plain = Crossbar((3, 2), quiet_pcm(drift_exponent=None))
    for one in (array, plain):
        one.program(np.full((3, 2), 0.2), w_max=one.w_max)
        one.update(np.ones((1, 3)), np.full((1, 2), 2.0 * 0.75 / 11.9))
    pulsed = plain.conductance_uS()[:, ::2]
    for seconds, left in ((0.0, 1.0), (0.5, np.exp(-1)), (0.5, np.exp(-2)), (50.0, 0.0)):
        array.advance(seconds)
        factor = array.conductance_uS()[:, ::2] / pulsed
        np.testing.assert_allclose(
            (factor - 1) / left if left else factor - 1, 0.2 if left else 0.0, atol=2e-5
        )


def test_light_decides_which_pulses_take_effect_and_can_change():
    array = Crossbar((100, 100), constant(optical_gate=0.25))
    before = array.conductance_uS().copy()
    array.update(np.ones((1, 100)), np.full((1, 100), 2 / 100.0))
    moved = array.conductance_uS() != before
    given = array.ledger.pulsed_cells
    check_count(int(moved.sum()), given, 0.25)
    array.expose(optical_gate=0.0)
    before = array.conductance_uS().copy()
    assert array.update(np.ones((1, 100)), np.full((1, 100), 2 / 100.0)) > 0
    np.testing.assert_array_equal(array.conductance_uS(), before)
    with pytest.raises(UnknownNameError, match="optical_gate"):
        array.expose(optical_gat=1.0)


def test_an_array_is_heated_where_it_stands_and_only_if_it_can_be():
    array = Crossbar((3, 2), quiet_pcm(temperature_K=300.0))
    array.program(np.full((3, 2), 0.5), w_max=array.w_max)
    cold = array.conductance_uS()
    array.expose(temperature_K=350.0)
    assert (array.conductance_uS() > cold).all()
    array.expose(temperature_K=300.0)
    np.testing.assert_array_equal(array.conductance_uS(), cold)
    with pytest.raises(CapabilityError, match="build the array"):
        Crossbar((3, 2), PCM).expose(temperature_K=350.0)


def test_one_device_alone_has_its_effects():
    lone = pulse_response(quiet(FINE, added_write_noise=20.0), [1, 1, 1], 1, seed=7)
    plain = pulse_response(quiet(FINE), [1, 1, 1], 1, seed=7)
    assert (lone[1:] != plain[1:]).all()
