"""Effects around any law, each alone: what it does, how large it is, and that off costs nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import FINE, HFO2, PCM, check_count, check_mean, check_std, quiet, quiet_pcm
from scipy import stats

from neurosim import Crossbar, ReadPath, TorchCrossbar, WritePath, devices
from neurosim.core.errors import ConfigError, InputError
from neurosim.devices import programmed, pulse_response
from neurosim.reference.agreement import compare_operations

EFFECTS: dict[str, dict[str, Any]] = {
    "stuck": {
        "p_stuck_gmin": 0.05, "p_stuck_gmax": 0.1, "p_stuck_between": 0.05,
        "p_stuck_measured": 0.05, "stuck_measured_uS": (0.02, 1.5, 60.0),
    },
    "endurance": {"endurance_pulses": 3.0, "endurance_spread": 0.5},
    "telegraph": {"telegraph_share": 0.3},
    "flicker": {"flicker": 0.0088},
    "relaxation": {"relaxation_mean_uS": -0.089, "relaxation_sigma_uS": 0.4118, "relaxation_sigma_slope_uS": 0.042},
    "temperature": {"temperature_K": 350.0},
    "spread": {"added_step_spread": 0.3, "added_conductance_spread": 0.2},
    "pulse noise": {"added_cycle_to_cycle": 0.5, "added_write_noise": 1.0},
    "drift table": {
        "drift_table_share": (0.1, 0.5, 1.0), "drift_table_exponent": (0.1, 0.06, 0.05),
        "drift_table_sigma": (0.02, 0.01, 0.01),
    },
    "retention": {"retention_s": 1e4, "retention_activation_eV": 1.1},
    "fading": {"volatile_share": 0.3, "gate_step": 0.1, "gate_noise": 0.2, "fading_s": 2e3},
    "optical gate": {"optical_gate": 0.4},
}  # fmt: skip
ALL = {name: value for effect in EFFECTS.values() for name, value in effect.items()}


def around(name: str, effect: str) -> Any:
    return devices.load(name).with_parameters(**(ALL if effect == "all" else EFFECTS[effect]))


@pytest.mark.parametrize("name", [PCM, HFO2])
def test_an_effect_that_is_off_leaves_the_laws_own_kernels(name):
    law = devices.load(name)
    assert law.kernels is law.own_kernels
    off = law.with_parameters(**{**dict.fromkeys(ALL.keys() - {"fading_s"}, None), "p_stuck_gmin": 0.0})
    assert off.kernels is law.own_kernels
    for effect in EFFECTS:
        assert around(name, effect).kernels is not law.own_kernels
    assert around(PCM, "all").kernels.pulse is not around(HFO2, "all").kernels.pulse


TOUCHED = ("construct", "program", "drift, forward", "update, accumulate", "update, mixed")
"""What an effect reaches; the others call the same functions of a cell, from kernels that take a while to compile."""


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_torch_twin_has_each_effect(effect):
    for line in compare_operations(around(PCM, effect), "float32", True, operations=TOUCHED):
        assert line.holds, line


@pytest.mark.slow
@pytest.mark.parametrize("name", [PCM, HFO2])
def test_the_torch_twin_has_all_effects_together(name):
    for line in compare_operations(around(name, "all"), "float32", True):
        assert line.holds, line


@pytest.mark.parametrize("effect", [*EFFECTS, "all"])
def test_each_effect_changes_what_is_read_after_an_hour(effect):
    arrays = [Crossbar((30, 20), device, seed=4) for device in (PCM, around(PCM, effect))]
    for array in arrays:
        array.program(np.full((30, 20), 0.4), w_max=array.w_max)
        for _ in range(4):
            array.update(np.ones((1, 30)), np.full((1, 20), 0.1))
        array.advance(3600.0)
    one, other = (array.conductance_uS() for array in arrays)
    assert (one != other).mean() > 0.05
    again = Crossbar((30, 20), around(PCM, effect), seed=4)
    again.program(np.full((30, 20), 0.4), w_max=again.w_max)
    for _ in range(4):
        again.update(np.ones((1, 30)), np.full((1, 20), 0.1))
    again.advance(3600.0)
    np.testing.assert_array_equal(again.conductance_uS(), other)


def test_stuck_cells_are_as_many_as_asked_for_and_never_move():
    n, law = 40_000, around(HFO2, "stuck").with_parameters(corrupt_share=None)
    traces = pulse_response(law, [1, -1] * 5 + [1] * 5, n, seed=1)
    still = np.ptp(traces, axis=0) == 0
    low, high = still & (traces[0] == law.g_min_uS), still & (traces[0] == law.g_max_uS)
    check_count(int(low.sum()), n, 0.05)
    check_count(int(high.sum()), n, 0.1)
    later = programmed(law, [0.5 * law.g_max_uS], [1.0], n, seed=1)[0, 0]
    assert (later[low] == law.g_min_uS).all()
    assert (later[high] == law.g_max_uS).all()


@pytest.mark.parametrize(
    ("name", "low_share", "high_share"),
    [
        ("rram-hfo2-faults-chen-2014", 0.0175, 0.0904),
        ("rram-hfo2-faults-chen-2014-swapped", 0.0904, 0.0175),
    ],
)
def test_stuck_shares_of_chen(name, low_share, high_share):
    """Chen et al. (2014), as repeated in public code: 1.75 % SA0 and 9.04 % SA1, either of them stuck at G_min."""
    law, n = devices.load(name), 100_000
    traces = pulse_response(law, [1, -1, -1], n, seed=7)
    still = np.ptp(traces, axis=0) == 0
    check_count(int((still & (traces[0] == law.g_min_uS)).sum()), n, low_share)
    check_count(int((still & (traces[0] == law.g_max_uS)).sum()), n, high_share)
    check_count(int(still.sum()), n, 0.1079)


def test_pulses_on_stuck_cells_cost_their_energy():
    sound, stuck = (Crossbar((20, 10), quiet_pcm(p_stuck_gmax=share)) for share in (None, 1.0))
    spent = []
    for array in (sound, stuck):
        array.update(np.ones((1, 20)), np.full((1, 10), 0.2))
        spent.append(array.ledger.write_J)
    assert spent[0] == pytest.approx(spent[1])
    assert spent[0] > 0
    assert (stuck.conductance_uS() == stuck.device.g_max_uS).all()


def test_stuck_cells_do_not_drift():
    array = Crossbar((20, 10), devices.load(PCM).with_parameters(p_stuck_gmax=1.0))
    array.advance(1e6)
    assert (array.conductance_uS() == array.device.g_max_uS).all()


def test_cells_wear_out_after_their_lifetime():
    law = quiet(FINE, endurance_pulses=40.0, endurance_spread=0.4)
    traces = pulse_response(law, [1, -1] * 75, 5000, seed=2)
    moves = (np.diff(traces, axis=0) != 0).sum(axis=0)
    logs = np.log(moves[(moves > 0) & (moves < 150)])
    assert len(logs) > 4900
    # a cell answers the pulse that ends its life, and none after: whole numbers above the lognormal lifetime
    check_mean(logs, np.log(40.0), 0.4, extra=0.5 / 40 * 1.2)
    check_std(logs, 0.4, extra=0.01)


def test_telegraph_noise_switches_with_its_time_constant():
    """Random telegraph noise: half of the time in either state, dwell times exponential (KS)."""
    tau, step, steps = 1.0, 0.05, 400
    law = quiet(
        FINE, telegraph_share=1.0, telegraph_fastest_s=tau, telegraph_slowest_s=tau, telegraph_spread=0.0
    )
    array = Crossbar((20, 15), law)
    high = np.empty((steps, 600), bool)
    for k in range(steps):
        array.advance(step)
        conductance = array.conductance_uS().ravel()
        high[k] = conductance > law.g_rest_uS
    ratio = conductance.max() / conductance.min()
    assert ratio == pytest.approx(1.01 / 0.99, rel=1e-5)
    # neighbouring looks are correlated: (2 tau / 2) / step of them count as one
    check_count(int(high.sum() * step / tau), int(high.size * step / tau), 0.5)
    first = (high != high[0]).argmax(axis=0)
    switched = (high != high[0]).any(axis=0)
    assert switched.mean() > 0.999
    rng = np.random.default_rng(0)
    dwell = (first[switched] - rng.random(switched.sum())) * step
    seen = 0.5 * (1 - np.exp(-2 * step / tau)) / step
    assert stats.kstest(dwell, "expon", args=(0, 1 / seen)).pvalue > 1e-4


@pytest.mark.parametrize(("time_s", "share"), [(20.0, 0.037), (86_400.0, 0.045)])
def test_flicker_noise_has_the_published_size(time_s, share):
    """Joshi et al. 2020, in aihwkit: 3.7 % of G at G_max after 20 s, 4.5 % after a day."""
    law = quiet_pcm(flicker=0.0088, drift_exponent=None)
    found = programmed(law, [law.g_max_uS], [time_s], 40_000, seed=3)[0, 0] / law.g_max_uS
    level = 0.0088 * np.sqrt(np.log((time_s + 250e-9) / 500e-9))
    assert level == pytest.approx(share, abs=0.0005)
    check_mean(found, 1.0)
    check_std(found, level)


@pytest.mark.parametrize(("time_s", "mean", "sigma"), [(3600.0, -0.73, 0.76), (86_400.0, -1.01, 0.89)])
def test_relaxation_of_cmo_hfox(time_s, mean, sigma):
    """Falcone et al.: -0.73 +- 0.76 uS at one hour, -1.01 +- 0.89 at a day, whole at 1 s already: 0.41 uS."""
    law = quiet(FINE, **EFFECTS["relaxation"])
    change = programmed(law, [50.0], [0.5, time_s], 40_000, seed=3)[:, 0] - 50.0
    check_mean(change[0], 0.0)
    check_std(change[0], 0.4118)
    moved = change[1]
    total = 0.4118 + 0.042 * np.log(time_s)
    assert -0.089 * np.log(time_s) == pytest.approx(mean, abs=0.005)
    assert total == pytest.approx(sigma, abs=0.005)
    check_mean(moved, -0.089 * np.log(time_s))
    check_std(moved, total)


@pytest.mark.parametrize("effect", ["flicker", "relaxation"])
def test_a_cell_follows_one_path_however_often_it_is_asked(effect):
    law = around(PCM, effect)
    once = programmed(law, [5.0], [1e5], 200, seed=6)
    often = programmed(law, [5.0], [1.0, 10.0, 1e3, 1e5], 200, seed=6)
    np.testing.assert_array_equal(once[0], often[-1])
    with pytest.raises(InputError, match="growing"):
        programmed(law, [5.0], [10.0, 1.0], 10)


def test_temperature_follows_arrhenius_by_state():
    hot = quiet_pcm(temperature_K=350.0, drift_exponent=None)
    targets = np.array([0.1, 0.4, 1.0], np.float32) * np.float32(hot.g_max_uS)
    found = programmed(hot, targets, [1.0], 1, seed=0)[0, :, 0]
    share = targets / hot.g_max_uS
    barrier = 0.2 * (1 - share) + 0.02 * share
    factor = np.exp(-barrier / 8.617333e-5 * (1 / 350 - 1 / 300))
    np.testing.assert_allclose(found / targets, factor, rtol=1e-5)
    assert factor[0] > factor[-1] > 1


def test_a_warm_array_is_read_warm_before_time_has_passed():
    cold, warm = (
        Crossbar((5, 3), quiet_pcm(temperature_K=kelvin), read=ReadPath(read_noise=None))
        for kelvin in (300.0, 350.0)
    )
    for array in (cold, warm):
        array.program(np.full((5, 3), 0.5), w_max=array.w_max)
    assert (warm.conductance_uS() > cold.conductance_uS()).all()
    assert (np.abs(warm.forward(np.ones((1, 5)))) > np.abs(cold.forward(np.ones((1, 5))))).all()


def test_a_snapshot_carries_faults_and_counters():
    array, twin = (Crossbar((6, 4), around(HFO2, "all"), seed=1) for _ in "ab")
    array.update(np.ones((1, 6)), np.full((1, 4), 0.3))
    array.advance(10.0)
    twin.restore(array.snapshot())
    for one in (array, twin):
        one.update(np.ones((1, 6)), np.full((1, 4), -0.2))
        one.advance(5.0)
    np.testing.assert_array_equal(array.conductance_uS(), twin.conductance_uS())
    assert array.snapshot()["state.pulses"].sum() > 0


@pytest.mark.parametrize("machine", [Crossbar, TorchCrossbar])
def test_worn_out_cells_stay_where_they_are(machine):
    """Their law was pulsed on and what it remembers was read: a worn cell moved with updates, and drifted anew."""
    write = WritePath(refresh=None)
    read = ReadPath(reading_delay_s=1000.0)
    laws = [
        devices.load(PCM).with_parameters(endurance_pulses=pulses, added_conductance_spread=0.3)
        for pulses in (6.0, 1e6)
    ]
    mortal, sound = (machine((8, 5), law, seed=1, write=write, read=read) for law in laws)
    pre, post = np.ones((1, 8)), np.full((1, 5), 0.75 / 11.9 * 1.0001)
    worn, stood = np.zeros(80, bool), np.zeros(80)
    for k in range(30):
        for array in (mortal, sound):
            array.update(pre, post if k % 2 else -post)
        found, other = (np.asarray(array.conductance_uS()).reshape(-1) for array in (mortal, sound))
        np.testing.assert_array_equal(found[worn], stood[worn])
        new = (np.asarray(mortal.snapshot()["state.fault"]) == 3) & ~worn
        np.testing.assert_allclose(found[new], other[new], rtol=1e-6, err_msg="at the end of its life")
        worn, stood = worn | new, np.where(new, found, stood)
    assert worn.sum() > 40
    mortal.advance(1e6)
    np.testing.assert_array_equal(np.asarray(mortal.conductance_uS()).reshape(-1)[worn], stood[worn])


def test_a_table_of_shares_without_levels_leaves_the_power_law():
    """Levels were looked up in an empty table: whatever lies in memory there."""
    with pytest.raises(ConfigError, match="flicker_table_share"):
        devices.load(PCM).with_parameters(flicker=0.01, flicker_table_share=(0.1, 1.0))
    law = devices.load(PCM).with_parameters(
        flicker_table_share=(0.1, 1.0), flicker_table=(0.02, 0.01), relaxation_mean_uS=-0.1
    )
    for machine in (Crossbar, TorchCrossbar):
        array = machine((4, 3), law.with_parameters(flicker_table=None), seed=1)
        array.program(np.full((4, 3), 0.5), w_max=1.0)
        array.advance(1e4)
        assert np.isfinite(np.asarray(array.conductance_uS())).all()
