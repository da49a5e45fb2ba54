"""Curved laws recovered from data drawn with numpy alone: power and exponential steps, labels; told apart, or said."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from fit_drawn import curved, exponential_share, labelled, power_share
from fit_helpers import drawn_in_numpy, uncorrected, within, write_traces

import neurosim as ns
from neurosim.core import registry
from neurosim.core.errors import CapabilityError
from neurosim.devices.fitting import Estimate
from neurosim.devices.fitting.fit import _laws, _undecided

FALLING = exponential_share((-3.0, -2.0), (5.0, 4.0), -0.5)
BREAKING = exponential_share((0.3, 0.3), (2.0, 2.0), 0.5)


def steps_near(found, share, step, places=(-0.25, 0.0, 0.25)):
    """Mean steps of the card up and down against those of the known law, at some places of the window."""
    device = found.card.device()
    for place in places:
        g = 55 + 70 * place
        state = (g - device.g_origin_uS) / device.span_uS
        for way, mean in zip((1, -1), device.shares(state), strict=True):
            known = step * 35 * float(share(np.array(2 * place), 1.0, 1.0, way))
            assert mean * device.step * device.span_uS == pytest.approx(known, rel=0.3), (place, way)


@pytest.mark.parametrize("design", [(0.06, 0.3, 100, 2, 6, 1), (0.1, 0.3, 60, 3, 4, 3)])
def test_power_steps_are_recovered(tmp_path, design):
    share = power_share((1.5, 2.5))
    found = uncorrected([write_traces(tmp_path / "power.csv", curved(share, *design))], "power-step")
    step, noise = design[:2]
    for name, known in (
        ("exponent_up", 1.5), ("exponent_down", 2.5), ("cycle_to_cycle", noise), ("g_max_uS", 90.0), ("g_min_uS", 20.0)
    ):  # fmt: skip
        within(found.intervals[name], known)
    steps_near(found, share, step, (-0.15, 0.0, 0.15))


@pytest.mark.parametrize("design", [(0.02, 0.3, 60, 2, 8, 1), (0.02, 0.3, 60, 2, 10, 4)])
def test_steps_that_fall_exponentially_are_recovered(tmp_path, design):
    found = uncorrected([write_traces(tmp_path / "falling.csv", curved(FALLING, *design))], "exp-step")
    for name, known in (
        ("curve_gain_up", -3.0), ("curve_gain_down", -2.0), ("curve_rate_up", 5.0), ("curve_rate_down", 4.0),
        ("cycle_to_cycle", design[1]), ("g_min_uS", 20.0), ("g_max_uS", 90.0),
    ):  # fmt: skip
        within(found.intervals[name], known)
    assert found.card.device().curve_slope == -0.5
    steps_near(found, FALLING, design[0])


def test_steps_that_break_down_are_recovered(tmp_path):
    found = uncorrected(
        [write_traces(tmp_path / "b.csv", curved(BREAKING, 0.06, 0.3, 60, 2, 10, 0))], "exp-step"
    )
    assert found.card.device().curve_slope == 0.5
    for name, known in (
        ("curve_gain_up", 0.3),
        ("curve_gain_down", 0.3),
        ("curve_rate_up", 2.0),
        ("curve_rate_down", 2.0),
    ):
        within(found.intervals[name], known)
    steps_near(found, BREAKING, 0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "pulses"),
    [
        ("power-step", curved(power_share((1.5, 2.5)), 0.1, 0.3, 40, 2, 4, 3)),
        ("exp-step", curved(FALLING, 0.02, 0.3, 50, 1, 4, 2)),
        ("nonlinearity-label", labelled((2.4, -4.88), (60, 60), 0.2, (0.01, 0.003), 60, 1, 4, 2)),
    ],
)
def test_the_law_of_the_data_ranks_first_or_the_fit_cannot_tell(law, pulses):
    found, refused = _laws(pulses, None)
    assert found[0].law == law or any(law in note for note in _undecided(found, refused))
    by_name = {one.law: one for one in found}
    for curve in ("power-step", "exp-step"):
        if curve in by_name and "constant-step" in by_name:
            assert by_name[curve].log_likelihood >= by_name["constant-step"].log_likelihood


@pytest.mark.slow
def test_constant_steps_are_no_curve():
    pulses = drawn_in_numpy("constant-step", 0.06, 1.0, 40, 1, 4, 3)
    flat = registry.find("law fitter", "constant-step")(pulses)
    for law in ("power-step", "exp-step"):
        with suppress(CapabilityError):
            assert registry.find("law fitter", law)(pulses).bic > flat.bic


@pytest.mark.parametrize(
    ("labels", "counts", "spread", "noise", "ramp", "cycles", "count"),
    [
        pytest.param((2.4, -4.88), (97, 97), 0.3, (0.01, 0.003), 97, 2, 8, marks=pytest.mark.slow),
        ((1.75, 1.46), (32, 32), 0.0, (0.005, 0.002), 40, 3, 3),
    ],
)  # fmt: skip
def test_labels_are_recovered(tmp_path, labels, counts, spread, noise, ramp, cycles, count):
    data = labelled(labels, counts, spread, noise, ramp, cycles, count, 1)
    found = uncorrected([write_traces(tmp_path / "label.csv", data)], "nonlinearity-label")
    for name, known in (
        ("nonlinearity_up", labels[0]), ("nonlinearity_down", labels[1]), ("pulses_up", counts[0]),
        ("pulses_down", counts[1]), ("cycle_to_cycle", noise[0]), ("g_min_uS", 20.0), ("g_max_uS", 90.0),
    ):  # fmt: skip
        within(found.intervals[name], known)
    device = found.card.device()
    assert device.write_noise * device.nominal_step_uS == pytest.approx(70 * noise[1], rel=0.5)
    if spread:
        within(found.intervals["nonlinearity_spread"], spread)


def test_ends_that_no_pulse_pushes_against_are_the_outermost_reads(tmp_path):
    data = labelled((1.0, -1.0), (60, 60), 0.2, (0.01, 0.002), 30, 2, 5, 1)
    found = uncorrected([write_traces(tmp_path / "short.csv", data)], "nonlinearity-label")
    assert "g_max_uS" not in found.intervals
    assert "no end was reached" in found.card.parameters["g_max_uS"].source
    largest = max(float(trace.conductance_uS.max()) for trace in data.traces)
    assert found.card.device().g_max_uS == pytest.approx(largest, rel=1e-4)


def test_draws_of_a_negative_number_stay_negative():
    sure = Estimate(-2.7, -3.4, -2.2)
    drawn = [sure.drawn(z) for z in (-2.0, -1.0, 0.0, 1.0, 2.0)]
    assert max(drawn) < 0
    assert sure.drawn(0.0) == -2.7
    assert Estimate(-0.1, -0.3, 0.1).drawn(0.0) == -0.1


def test_cards_of_curves_can_be_drawn(tmp_path):
    found = uncorrected(
        [write_traces(tmp_path / "f.csv", curved(FALLING, 0.02, 0.3, 60, 2, 4, 5))], "exp-step"
    )
    gains = [card.parameters["curve_gain_up"].value for card in ns.fitting.drawn_cards(found, 8, seed=2)]
    assert len(gains) == 8
    assert max(gains) < 0
