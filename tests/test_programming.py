"""Programming by statistics, open loop and closed loop: against plain Python, by hand, and by its promises."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import helpers
import numpy as np
import pytest
from crossbar_helpers import made
from helpers import FINE, HFO2, IDEAL, PCM, quiet, quiet_pcm, small_weights

from neurosim import Crossbar, Programming, ReadPath, TorchCrossbar, WritePath, devices, set_threads
from neurosim.core.errors import CapabilityError, ConfigError, InputError
from neurosim.core.seeds import key
from neurosim.crossbar import cells
from neurosim.crossbar.nominal import nominal_curve
from neurosim.kernels import jit
from neurosim.kernels.programming import pulses_to

F = np.float32
CLOSED = Programming(mode="closed", tolerance=0.03, pulse_budget=60)
VERIFIED_PROGRAM = "pcm-joshi-2020"
READ_J_PER_US = 0.2**2 * 100e-9 * 1e-6


def oracle(law: Any, targets: np.ndarray, tolerance: float, budget: int, seed: int) -> dict[str, np.ndarray]:
    """Program-and-verify of fresh devices in plain Python."""
    state, params, _ = helpers.fresh(law, targets.size)
    kernels, window = law.kernels, law.g_max_uS - law.g_min_uS
    kernels_key, look_key = key(seed, "response", "pulse"), key(seed, "response", "verify")
    for cell in range(targets.size):
        kernels.construct(cell, state, params, key(seed, "response", "construct"))
    found: dict[str, list[float]] = {"pulses": [], "resets": [], "converged": [], "energy_J": []}
    for cell, target in enumerate(targets):
        pulses = resets = 0
        energy = 0.0
        while True:
            event = pulses + resets
            g = state.conductance[cell]
            sigma = params.read_noise_relative * g + params.read_noise_floor_uS
            seen = g + sigma * helpers.normals(helpers.words(cell, event, 0, look_key)[0])[0]
            energy += READ_J_PER_US * float(g)
            converged = abs(seen - target) <= F(tolerance * window)
            if converged or event == budget:
                break
            if seen < target or law.polarity == "bipolar":
                energy += kernels.pulse(
                    cell, 1 if seen < target else -1, state, params, 0.0, event + 1, kernels_key
                )
                pulses += 1
            else:
                energy += kernels.reset(cell, state, params, 0.0, event + 1, kernels_key)
                resets += 1
        for name, value in zip(found, (pulses, resets, converged, energy), strict=True):
            found[name].append(value)
    return {"conductance_uS": state.conductance, **{name: np.array(v) for name, v in found.items()}}


# Closed loop, single devices


@pytest.mark.parametrize("name", [PCM, HFO2])
def test_write_verify_equals_the_oracle(name):
    law = devices.load(name)
    targets = np.linspace(law.g_min_uS, law.g_max_uS, 5)
    found = devices.write_verify(law, targets, 0.04, 25, n_devices=8, seed=3)
    expected = oracle(law, np.repeat(targets, 8).astype(F), 0.04, 25, 3)
    for field, values in expected.items():
        np.testing.assert_allclose(getattr(found, field).ravel(), values, rtol=1e-6, err_msg=field)
    assert found.resets.any() == (law.polarity == "set_only")


@pytest.mark.parametrize("name", [PCM, HFO2, FINE])
def test_the_budget_holds_and_converged_devices_lie_within_tolerance_and_read_noise(name):
    law = devices.load(name)
    targets = np.linspace(law.g_min_uS, law.g_max_uS, 6)
    found = devices.write_verify(law, targets, tolerance=0.03, pulse_budget=80, n_devices=400)
    assert (found.pulses + found.resets <= 80).all()
    assert 0.3 < found.converged.mean() <= 1
    assert ((found.pulses + found.resets)[~found.converged] == 80).all()
    sigma = law.kernels.read_sigma.py_func(found.conductance_uS, law.params())
    error = np.abs(found.conductance_uS - targets[:, None])
    allowed = 0.03 * (law.g_max_uS - law.g_min_uS) + 6.4 * sigma
    assert (error <= allowed * (1 + 1e-5))[found.converged].all()


@pytest.mark.parametrize("name", [PCM, HFO2])
def test_a_larger_budget_never_converges_fewer(name):
    law = devices.load(name)
    converged = [
        devices.write_verify(law, [law.g_min_uS + 0.7 * (law.g_max_uS - law.g_min_uS)], 0.01, budget, 500)
        for budget in (1, 5, 20, 21, 60)
    ]
    for fewer, more in pairwise(converged):
        assert (more.converged | ~fewer.converged).all()
        np.testing.assert_array_equal(
            more.conductance_uS[fewer.converged], fewer.conductance_uS[fewer.converged]
        )
    assert converged[-1].converged.mean() > converged[0].converged.mean() + 0.2


def test_energy_and_time_without_noise_are_those_counted_by_hand():
    """Four SET pulses of 6.75 pJ and 50 ns take a device to 5 uS; five reads of V^2 G t, 100 ns each."""
    law = quiet_pcm()
    curve = nominal_curve(law).conductance_uS
    found = devices.write_verify(law, [curve[4]], tolerance=0.001, pulse_budget=10, n_devices=3)
    reads = READ_J_PER_US * curve[:5].sum()
    assert (found.pulses == 4).all()
    assert not found.resets.any()
    assert found.converged.all()
    np.testing.assert_allclose(found.energy_J, 4 * 6.75e-12 + reads, rtol=1e-6)
    np.testing.assert_allclose(found.time_s, 4 * 50e-9 + 5 * 100e-9)


def test_a_device_that_lies_too_high_is_reset_or_stepped_back():
    """PCM at 5 uS with a target of 3: one RESET and two pulses; soft bounds: pulses down."""
    law, still = quiet_pcm(), quiet()
    array = Crossbar((1, 1), law, write=WritePath(programming=CLOSED))
    curve = nominal_curve(law).conductance_uS
    for place, expected in ((4, (4, 0)), (2, (2, 1))):
        before = array.ledger.program_pulses, array.ledger.program_resets
        array.program([[(curve[place] - 0.1) / (12 - 0.1)]], w_max=array.w_max)
        after = array.ledger.program_pulses, array.ledger.program_resets
        assert (after[0] - before[0], after[1] - before[1]) == expected
        np.testing.assert_allclose(array.conductance_uS()[0], [curve[place], 0.1], rtol=1e-5)
    two = devices.write_verify(still, [still.g_rest_uS - 2.2 * still.nominal_step_uS], 0.02, 10, 2)
    assert (two.pulses == 2).all()
    assert not two.resets.any()


def test_bad_arguments_of_write_verify_are_refused():
    with pytest.raises(InputError, match="targets_uS"):
        devices.write_verify(PCM, [-1.0])
    with pytest.raises(InputError, match="targets_uS"):
        devices.write_verify(PCM, [np.nan])
    with pytest.raises(InputError, match="n_devices = 0"):
        devices.write_verify(PCM, [1.0], n_devices=0)
    with pytest.raises(ConfigError, match="tolerance"):
        devices.write_verify(PCM, [1.0], tolerance=0)
    with pytest.raises(CapabilityError, match="programmed"):
        devices.write_verify(VERIFIED_PROGRAM, [1.0])


# The nominal curve and open loop


@pytest.mark.parametrize("name", [PCM, HFO2, FINE, "epiram-sige-choi-2018", "rram-hfo2-exp-gong-2018"])
def test_the_nominal_curve_is_the_mean_of_pulses_from_reset(name):
    curve = nominal_curve(devices.load(name))
    count = min(len(curve.pulses), 60)
    law = devices.load(name).without_noise()
    state, params, stream = helpers.fresh(law, 1)
    law.kernels.reset(0, state, params, 0.0, 1, stream)
    followed = [float(state.conductance[0])]
    for k in range(1, count):
        law.kernels.pulse(0, 1, state, params, 0.0, k + 1, stream)
        followed.append(float(state.conductance[0]))
    np.testing.assert_allclose(curve.conductance_uS[:count], followed, rtol=1e-4)
    assert (np.diff(curve.conductance_uS) > 0).all()


def test_pulses_are_counted_by_the_nearest_point_of_the_curve():
    for name in (PCM, FINE, IDEAL):
        curve = nominal_curve(devices.load(name))
        low, high = curve.conductance_uS[[0, -1]]
        targets = np.linspace(low - 1, high + 1, 300)
        counts = [pulses_to(target, curve) for target in targets]
        expected = np.rint(np.interp(targets, curve.conductance_uS, curve.pulses))
        np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("law", [quiet_pcm(), quiet()], ids=["pcm", "soft bounds"])
def test_open_loop_meets_a_device_without_noise_within_half_a_step(law):
    array = made(law, 12, 8, small_weights(12, 8), write=WritePath(programming=Programming(mode="open")))
    step = np.diff(nominal_curve(law).conductance_uS).max()
    targets = array._cells.targets(small_weights(12, 8)).reshape(12, 16)
    assert np.abs(array.conductance_uS() - targets).max() <= step / 2 * 1.001
    ledger = array.ledger
    assert (ledger.program_resets, ledger.program_reads, ledger.program_failed) == (192, 0, 0)
    assert ledger.program_pulses > 192


@pytest.mark.parametrize("name", [PCM, HFO2, FINE])
def test_open_loop_errs_more_than_closed_loop(name):
    error = {}
    for mode in ("open", "closed"):
        loop = Programming(mode=mode, pulse_budget=500)
        array = made(name, 30, 20, write=WritePath(programming=loop))
        error[mode] = (array.weights() - small_weights(30, 20)).std()
    assert error["open"] > 1.5 * error["closed"]


# The array


def test_the_ledger_of_closed_loop_is_the_one_computed_by_hand():
    """A row lasts as long as its slowest device: 4 pulses and 5 reads, then 2 pulses and 3 reads."""
    law = quiet_pcm()
    curve = nominal_curve(law).conductance_uS
    weights = (curve[[[4, 1], [0, 2]]] - 0.1) / (12 - 0.1)
    loop = Programming(mode="closed", tolerance=0.001, verify_reads=3)
    ledger = made(law, 2, 2, weights, write=WritePath(programming=loop)).ledger
    assert (ledger.program_pulses, ledger.program_resets) == (7, 0)
    assert ledger.program_reads == 3 * (7 + 8)
    assert (ledger.program_failed, ledger.programmed_cells) == (0, 8)
    seen_uS = curve[:5].sum() + curve[:2].sum() + curve[0] + curve[:3].sum() + 4 * curve[0]
    assert ledger.program_J == pytest.approx(7 * 6.75e-12 + 3 * READ_J_PER_US * seen_uS, rel=1e-6)
    assert ledger.program_time_s == pytest.approx(6 * 50e-9 + 3 * 8 * 100e-9)


def test_averaged_reads_let_fewer_devices_pass_by_chance():
    error = []
    for reads in (1, 16):
        loop = Programming(mode="closed", tolerance=0.02, pulse_budget=300, verify_reads=reads)
        array = made(PCM, 40, 20, write=WritePath(programming=loop))
        error.append((array.weights() - small_weights(40, 20)).std())
    assert error[1] < 0.6 * error[0]


def test_programming_by_statistics_counts_devices_and_joules_only():
    ledger = made(PCM).ledger
    assert ledger.program_J > 0
    assert ledger.program_pulses == ledger.program_resets == ledger.program_reads == 0
    assert ledger.program_time_s == 0


def test_closed_loop_after_a_year_sees_the_drift():
    """Conductances have fallen by (3e7 / 38.6)^-0.04 = 0.58; most devices need pulses again."""
    loop = Programming(mode="closed", tolerance=0.1)
    array = made(quiet_pcm(), write=WritePath(programming=loop))
    given = array.ledger.program_pulses
    array.program(small_weights(*array.shape), w_max=array.w_max)
    assert array.ledger.program_pulses == given, "nothing has changed: one read each"
    array.advance(3e7)
    array.program(small_weights(*array.shape), w_max=array.w_max)
    assert array.ledger.program_pulses > given + array.shape[0] * array.shape[1] / 4


@pytest.mark.parametrize("name", [PCM, HFO2])
@pytest.mark.parametrize("mode", ["open", "closed"])
def test_one_thread_and_two_program_the_same_bits(name, mode, monkeypatch):
    monkeypatch.setattr(cells, "BLOCK_PAIRS", 200)
    before, found = jit.threads(), []
    for threads in (1, 2):
        set_threads(threads)
        array = Crossbar((40, 20), name, seed=5, write=WritePath(programming=Programming(mode=mode)))
        assert len(array._cells.row_blocks()) == 4
        for seed in range(2):
            array.program(small_weights(40, 20, seed), w_max=array.w_max)
        found.append(helpers.bits(array))
    set_threads(before)
    assert found[0] == found[1]


def test_a_second_programming_draws_anew():
    array = Crossbar((30, 20), PCM, write=WritePath(programming=Programming(mode="open")))
    seen = []
    for _ in range(2):
        array.program(np.full((30, 20), 0.5), w_max=array.w_max)
        seen.append(array.conductance_uS()[:, ::2].copy())
    helpers.check_uncorrelated(*seen)


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_what_cannot_program_pulse_by_pulse_says_so(mode):
    write = WritePath(programming=Programming(mode=mode))
    with pytest.raises(CapabilityError, match="statistics"):
        Crossbar((3, 2), VERIFIED_PROGRAM, write=write)
    with pytest.raises(CapabilityError, match="numba"):
        TorchCrossbar((3, 2), PCM, write=write)


def test_closed_loop_writes_the_sum_of_several_devices_in_a_cell():
    """Three devices are pulsed in turn until their sum is within 2 % of three windows; open loop cannot."""
    law = devices.load(PCM).with_parameters(devices_per_cell=3)
    array = made(law, 12, 8, write=WritePath(programming=Programming(mode="closed", pulse_budget=300)))
    assert array.ledger.program_failed < 0.1 * 192
    assert np.abs(array.weights() - small_weights(12, 8)).mean() < 0.03
    low, high = law.cell_window_uS
    assert devices.write_verify(law, [0.5 * (low + high)], 0.03, 300, 50).converged.mean() > 0.9
    with pytest.raises(CapabilityError, match="devices_per_cell = 3"):
        Crossbar((3, 2), law, write=WritePath(programming=Programming(mode="open")))


def test_the_read_path_sets_the_cost_of_a_verification():
    costs = []
    for volts in (0.1, 0.2):
        read = ReadPath(read_voltage_V=volts, read_noise=None)
        loop = Programming(mode="closed", pulse_budget=300)
        array = made(quiet_pcm(), read=read, write=WritePath(programming=loop))
        ledger = array.ledger
        given_J = ledger.program_pulses * 6.75e-12 + ledger.program_resets * 36e-12
        costs.append(ledger.program_J - given_J)
    assert costs[1] == pytest.approx(4 * costs[0], rel=1e-6)


# Verified by comparisons


def compared(law: Any, targets: np.ndarray, budget: int, seed: int) -> dict[str, np.ndarray]:
    """Program-and-verify in plain Python where a read only tells whether it lies below the target."""
    state, params, _ = helpers.fresh(law, targets.size)
    kernels = law.kernels
    kernels_key, look_key = key(seed, "response", "pulse"), key(seed, "response", "verify")
    found: dict[str, list[float]] = {"pulses": [], "resets": [], "converged": []}
    for cell, target in enumerate(targets):
        kernels.construct(cell, state, params, key(seed, "response", "construct"))
        below: list[bool] = []
        gradual: list[bool] = []
        pulses = resets = 0
        for event in range(budget + 1):
            g = state.conductance[cell]
            sigma = params.read_noise_relative * g + params.read_noise_floor_uS
            noise = helpers.normals(helpers.words(cell, event, 0, look_key)[0])[0]
            below.append(bool(g + sigma * noise < target))
            crossed = len(below) > 1 and below[-1] != below[-2] and gradual[-1]
            if crossed or event == budget:
                break
            gradual.append(below[-1] or law.steps_down)
            if gradual[-1]:
                kernels.pulse(cell, 1 if below[-1] else -1, state, params, 0.0, event + 1, kernels_key)
                pulses += 1
            else:
                kernels.reset(cell, state, params, 0.0, event + 1, kernels_key)
                resets += 1
        for name, value in zip(found, (pulses, resets, crossed), strict=True):
            found[name].append(value)
    return {"conductance_uS": state.conductance, **{name: np.array(v) for name, v in found.items()}}


@pytest.mark.parametrize("name", [PCM, HFO2])
def test_comparisons_equal_a_loop_that_knows_no_values(name):
    law = devices.load(name).with_parameters(read_noise_share=0.01)
    targets = np.linspace(law.g_min_uS, law.g_max_uS, 5)
    found = devices.write_verify(law, targets, pulse_budget=25, n_devices=8, seed=3, verify="compare")
    expected = compared(law, np.repeat(targets, 8).astype(F), 25, 3)
    for field, values in expected.items():
        np.testing.assert_allclose(getattr(found, field).ravel(), values, rtol=1e-6, err_msg=field)
    assert 0 < found.converged.mean() < 1


def test_a_compared_device_ends_within_the_step_that_crossed_its_target():
    """Without noise a device just beyond its target was before it one pulse ago; its largest step is that from an end."""
    law = quiet()
    targets = np.linspace(law.g_min_uS + 5, law.g_max_uS - 5, 40)
    found = devices.write_verify(law, targets, pulse_budget=200, n_devices=1, verify="compare")
    error = found.conductance_uS[:, 0] - targets
    assert found.converged.all()
    assert np.abs(error).max() < 2 * law.nominal_step_uS
    assert (np.sign(error) == np.sign(targets - law.g_rest_uS)).all(), "all start from rest and cross"
    assert error.std() > law.nominal_step_uS / 5


def test_comparisons_are_counted_beside_conversions():
    """No tolerance stops them: a pulse for each device at least, and a look more; an ADC converts none of them."""
    loops = [Programming(mode="closed", verify=verify) for verify in ("value", "compare")]
    value, compare = (made(quiet(), 6, 4, write=WritePath(programming=loop)).ledger for loop in loops)
    assert (value.program_comparisons, compare.program_reads) == (0, 0)
    assert value.program_reads == value.program_pulses + 6 * 4 * 2
    assert compare.program_comparisons == compare.program_pulses + 6 * 4 * 2
    assert compare.program_uS > 0
    assert compare.program_pulses >= 6 * 4 * 2
    assert compare.program_time_s > 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"mode": "open"}, "mode = 'closed'"), ({"mode": "closed", "verify_reads": 2}, "averages")],
)
def test_comparisons_where_nothing_is_compared_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Programming(verify="compare", **settings)


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_shared_references_of_a_word_line_are_written_side_by_side(mode):
    """Two tiles have a reference each in every row; times were grouped along rows, or not at all where rows are odd."""
    array = Crossbar(
        (5, 6), PCM, tiles={"bit_lines": 4}, write={"mapping": "offset", "programming": {"mode": mode}}
    )
    ledger = array.ledger
    pulses, reads = ledger.program_pulses + ledger.program_resets, ledger.program_reads
    assert ledger.programmed_cells == 10
    each_s = pulses * array.device.pulse_time_s + reads * array.read.integration_time_s
    if mode == "open":
        assert ledger.program_time_s == pytest.approx(each_s / 2)
    assert each_s / 2 <= ledger.program_time_s < each_s
