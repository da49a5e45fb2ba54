"""Curves given by a non-linearity label: from the label to the curve, its pulses, its noise, its energies."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import check_mean, check_std, fresh, give

from neurosim import devices
from neurosim.core.seeds import key
from neurosim.devices import pulse_response
from neurosim.devices.label import bend_of, deviation, own_bend
from neurosim.kernels.cells import construct_cells, pulse_cells

AG, TAOX, EPIRAM, GST, FEFET = (
    "rram-ag-asi-jo-2010", "rram-taox-hfox-wu-2018", "epiram-sige-choi-2018", "pcm-gst-kuzum-2011",
    "fefet-hzo-jerry-2017",
)  # fmt: skip
LABELS = {0.5: 2.5199, 1.0: 1.2517, 1.46: 0.8487, 1.75: 0.7021, 2.40: 0.4992, 4.88: 0.2003, 6.76: 0.1003}
"""Label: A / P_max that reproduces NeuroSim's published table to 5e-5."""


def trace(law, sign, pulses, start_uS):
    """Conductance of one device in double precision after each of the pulses."""
    state, params = law.allocate(1, "float64"), law.params("float64")
    construct_cells(0, 1, state, params, key(0, "construct"), law.kernels.construct)
    state.persistent[:] = state.conductance[:] = start_uS
    found = [start_uS]
    for event in range(1, pulses + 1):
        pulse_cells(sign, state, params, 0.0, event, key(0, "pulse"), law.kernels.pulse)
        found.append(float(state.conductance[0]))
    return np.array(found)


@pytest.mark.parametrize("label", LABELS)
def test_labels_give_the_curves_of_the_published_table(label):
    """A / P_max of each label as in NeuroSim's table, to its rounding."""
    assert 1 / bend_of(label) == pytest.approx(LABELS[label], abs=1.01e-4)
    assert bend_of(-label) == -bend_of(label)
    assert own_bend(np.float64(-label)) == pytest.approx(-bend_of(label), rel=1e-10)


def test_the_largest_deviation_of_a_curve_is_its_label():
    """Label = 10.1015 max |w(x) - x|; 2.40 and 4.88 deviate by 0.2376 and 0.483 (acceptance fact 9)."""
    x = np.linspace(0, 1, 200_001)
    for label in (0.02, 0.5, 2.4, 4.88, 9.0):
        bend = bend_of(label)
        curve = np.expm1(-bend * x) / np.expm1(-bend)
        assert 10.1015 * np.abs(curve - x).max() == pytest.approx(label, rel=1e-4)
    assert deviation(bend_of(2.4)) == pytest.approx(0.2376, abs=1e-4)
    assert deviation(bend_of(4.88)) == pytest.approx(0.483, abs=2e-4)


@pytest.mark.parametrize(
    "name", [AG, TAOX, EPIRAM, GST, FEFET, "rram-pcmo-park-2013", "rram-alox-hfo2-woo-2016"]
)
def test_pulses_lead_from_one_end_to_the_other_along_the_curve(name):
    """G(P) = B (1 - exp(-P / A)) + G_min up, with A of the label; down the same, backwards from G(P_max)."""
    law = devices.load(name).without_noise()
    low, window = law.g_min_uS, law.g_max_uS - law.g_min_uS
    for sign, label, pulses in (
        (1, law.nonlinearity_up, law.pulses_up),
        (-1, law.nonlinearity_down, law.pulses_down),
    ):
        n = int(pulses)
        place = np.arange(n + 1) / n
        curve = low + window * np.expm1(-bend_of(label) * place) / np.expm1(-bend_of(label))
        found = trace(law, sign, n, law.g_min_uS if sign > 0 else law.g_max_uS)
        np.testing.assert_allclose(found, curve if sign > 0 else curve[::-1], rtol=1e-6)
        end = law.g_max_uS if sign > 0 else law.g_min_uS
        assert found[-1] == pytest.approx(end, rel=1e-6)


def test_a_label_of_zero_is_a_straight_line():
    law = devices.load(EPIRAM).without_noise().with_parameters(nonlinearity_up=0.0, nonlinearity_down=0.0)
    steps = np.diff(trace(law, 1, 64, law.g_min_uS))
    np.testing.assert_allclose(steps, (law.g_max_uS - law.g_min_uS) / 64, rtol=1e-9)
    assert law.g_rest_uS == pytest.approx((law.g_min_uS + law.g_max_uS) / 2)


def test_the_sign_of_a_label_says_where_the_large_steps_are():
    """Up a positive, down a negative label starts with the largest step; GST and FeFET go down the other way."""
    for name, sign, falls in ((AG, 1, True), (AG, -1, True), (GST, -1, False), (FEFET, -1, False)):
        law = devices.load(name).without_noise()
        steps = np.abs(np.diff(trace(law, sign, 25, law.g_min_uS if sign > 0 else law.g_max_uS)))
        assert (np.diff(steps) < 0).all() == falls


@pytest.mark.parametrize("name", [AG, TAOX, EPIRAM, "rram-pcmo-park-2013", "rram-alox-hfo2-woo-2016"])
def test_alternating_pulses_converge_to_the_symmetry_point(name):
    law = devices.load(name).without_noise()
    for start in (1, -1):
        found = pulse_response(law, [start] * 60 + [1, -1] * 1500, 1)[:, 0]
        window = law.g_max_uS - law.g_min_uS
        assert (found[-1] + found[-2]) / 2 == pytest.approx(law.g_rest_uS, abs=0.02 * window)


def test_devices_that_no_point_draws_rest_in_the_middle():
    """Both labels of GST have the sign of a curve run back and forth: every pulse pair moves outwards."""
    law = devices.load(GST).without_noise()
    assert law.g_rest_uS == pytest.approx((law.g_min_uS + law.g_max_uS) / 2)
    assert pulse_response(law, [1, -1] * 300, 1)[-1, 0] == pytest.approx(law.g_min_uS, rel=0.05)


@pytest.mark.parametrize(("labels", "pulses"), [(0.0, 1), (0.0, 4), (0.0, 9), (0.5, 4)])
def test_noise_of_n_pulses_at_mid_range_is_sigma_root_n(labels, pulses):
    """N(0, sigma (G_max - G_min) sqrt(n)) for n pulses (NeuroSim manual), here one normal a pulse."""
    law = devices.load(EPIRAM).with_parameters(nonlinearity_up=labels, nonlinearity_down=-labels)
    state, params, pulse_key = fresh(law, 100_000, seed=31)
    before = float(state.conductance[0])
    give(law, state, params, pulses, 1, pulse_key)
    window = law.g_max_uS - law.g_min_uS
    moved = (state.conductance.astype(np.float64) - before) / window
    assert moved.std() == pytest.approx(0.02 * np.sqrt(pulses), rel=0.02)
    if labels == 0:
        check_std(moved, 0.02 * np.sqrt(pulses))
        check_mean(moved, pulses / 64, 0.02 * np.sqrt(pulses), extra=1e-6)


def test_labels_differ_from_device_to_device_and_pulse_noise_does_not():
    """NL_i = NL + sigma xi for each device and direction (NeuroSim manual)."""
    law = devices.load(EPIRAM).with_parameters(nonlinearity_spread=0.1)
    state, _, _ = fresh(law, 20_000, seed=32)
    window = law.g_max_uS - law.g_min_uS
    bends = -np.log1p(-state.slope_up.astype(np.float64) * window)
    labels = np.sign(bends) * 10.1015 * np.array([deviation(abs(bend)) for bend in bends])
    check_mean(labels, 0.5, 0.1, extra=1e-5)
    check_std(labels, 0.1, extra=1e-5)
    assert abs(np.corrcoef(state.slope_up, state.slope_down)[0, 1]) < 5 / np.sqrt(labels.size)


@pytest.mark.parametrize(
    ("name", "up_J", "down_J"),
    [
        (TAOX, 0.70e-12, 0.70e-12),
        ("rram-alox-hfo2-woo-2016", 2.9e-9, None),
        (EPIRAM, 0.79e-9, 0.28e-9),
        (AG, 64e-12, None),
        ("rram-pcmo-park-2013", 100e-12, 100e-12),
        (GST, 330e-12, 125e-12),
    ],
)
def test_pulse_energies_are_those_of_the_table(name, up_J, down_J):
    """V^2 G t at the middle of the window, parameters of NeuroSim MLP V3.0, table II."""
    law = devices.load(name).without_noise()
    middle = (law.g_min_uS + law.g_max_uS) / 2
    assert law.write_energy_per_uS * middle == pytest.approx(up_J, rel=0.02)
    if down_J is not None:
        assert law.reset_energy_per_uS * middle == pytest.approx(down_J, rel=0.02)
    state, params, pulse_key = fresh(law, 1)
    for count, per_uS in ((1, law.write_energy_per_uS), (-2, law.reset_energy_per_uS)):
        before = float(state.conductance[0])
        energy = give(law, state, params, count, 2 + count, pulse_key)
        assert energy == pytest.approx(
            abs(count) * per_uS * (before + float(state.conductance[0])) / 2, rel=1e-5
        )
    assert law.pulse_voltage_V == max(law.write_voltage_V, law.reset_voltage_V)
