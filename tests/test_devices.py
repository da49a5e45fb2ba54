"""Every device law: effects switched off, energies, bounds, protocol, and requests refused."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import BUILT_IN, FINE, HFO2, IDEAL, PCM, drifted, fresh, give, quiet

from neurosim import devices
from neurosim.core.errors import ConfigError, InputError, UnknownNameError
from neurosim.core.protocols import Device
from neurosim.devices import programmed, pulse_response
from neurosim.kernels.cells import ALL, program_cells

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
    with 1.6 V, 50 ns (TaOx/HfOx row of the energy table, NeuroSim MLP V3.0 parameters)."""
    law = devices.load(PCM)
    state, params, pulse_key = fresh(law, 1)
    assert give(law, state, params, 1, 1, pulse_key) == pytest.approx(6.75e-12, rel=1e-6)
    assert give(law, state, params, 4, 2, pulse_key) == pytest.approx(4 * 6.75e-12, rel=1e-6)
    assert give(law, state, params, -1, 3, pulse_key) == pytest.approx(36e-12, rel=1e-6)
    target = np.full(1, 3.0, np.float32)
    energy = program_cells(0, target, state, params, 0.0, 4, pulse_key, law.kernels.program, 1, ALL)
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
    """The energy of an array is the sum over its cells, each pulsed alone, to 1e-12."""
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
