"""Devices known by tables: mean curves, measured quantiles, and the tables made from traces."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import HFO2, check_mean

from neurosim import devices
from neurosim.core.errors import ConfigError, InputError
from neurosim.devices import pulse_response, steps_of

PIECEWISE, MEASURED = "example-piecewise-step", "example-measured-steps"


def test_a_piecewise_step_is_the_share_at_its_place():
    law = devices.load(PIECEWISE).without_noise()
    traces = pulse_response(law, [1] * 150 + [-1] * 150, 1)[:, 0].astype(np.float64)
    for branch, shares, sign in ((traces[:151], law.shares_up, 1), (traces[150:], law.shares_down, -1)):
        place = (branch[:-1] - law.g_min_uS) / (law.g_max_uS - law.g_min_uS)
        expected = sign * law.step * law.span_uS * np.interp(place, np.linspace(0, 1, len(shares)), shares)
        inside = (branch[1:] > law.g_min_uS) & (branch[1:] < law.g_max_uS)
        np.testing.assert_allclose(np.diff(branch)[inside], expected[inside], rtol=2e-4, atol=1e-4)


def test_measured_steps_are_drawn_from_the_table():
    """Quantiles of the first pulse from rest: those of the table, interpolated between its rows."""
    law = devices.load(MEASURED)
    first = np.diff(pulse_response(law, [1], 100_000, seed=3), axis=0)[0]
    columns = len(law.changes_up_uS[0])
    at = (np.arange(columns) + 0.5) / columns
    place = (law.g_rest_uS - law.g_min_uS) / law.span_uS * (len(law.changes_up_uS) - 1)
    k = int(place)
    low, high = np.array(law.changes_up_uS[k]), np.array(law.changes_up_uS[k + 1])
    table = low + (place - k) * (high - low)
    middle = slice(1, -1)
    np.testing.assert_allclose(np.quantile(first, at)[middle], table[middle], atol=0.05 * np.ptp(table))
    check_mean(first, law.nominal_step_uS, extra=0.06 * law.nominal_step_uS)


def test_without_noise_every_step_is_the_mean():
    law = devices.load(MEASURED).without_noise()
    traces = pulse_response(law, [1, -1], 3)
    assert np.ptp(traces[1]) == 0
    assert traces[1, 0] - traces[0, 0] == pytest.approx(law.nominal_step_uS, rel=1e-5)


def test_tables_from_traces_lead_to_the_same_walk():
    """Devices drawn from tables that were made of another law's traces wander as that law does."""
    law = devices.load(HFO2).with_parameters(
        write_noise=None, corrupt_share=None, step_spread_lognormal=None, state_max_spread=None,
        state_min_spread=None,
    )  # fmt: skip
    pulses = ([1] * 50 + [-1] * 50) * 3
    traces = pulse_response(law, pulses, 1000, seed=1)
    tables = steps_of(traces, pulses, law.g_min_uS, law.g_max_uS)
    copy = devices.load(MEASURED).with_parameters(**tables)
    ramp = [1] * 25 + [-1] * 25
    one, other = (pulse_response(device, ramp, 5000, seed=2) for device in (law, copy))
    window = law.g_max_uS - law.g_min_uS
    assert np.abs(one.mean(axis=1) - other.mean(axis=1)).max() < 0.03 * window
    assert np.abs(one.std(axis=1) - other.std(axis=1)).max() < 0.02 * window


def test_traces_that_say_too_little_are_refused():
    traces = pulse_response(HFO2, [1] * 5, 20)
    with pytest.raises(InputError, match="at least 10 are needed"):
        steps_of(traces, [1] * 5, 10.0, 90.0)
    with pytest.raises(InputError, match="do not fit"):
        steps_of(traces, [1] * 4, 10.0, 90.0)
    traces[2, 3] = np.nan
    with pytest.raises(InputError, match="finite"):
        steps_of(traces, [1] * 5, 10.0, 90.0)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (PIECEWISE, {"shares_up": (1.0,)}, "at least two"),
        (PIECEWISE, {"shares_down": (0.2, -0.1, 1.5)}, "none negative"),
        (MEASURED, {"changes_up_uS": ((1.0, 2.0), (2.0, 1.0))}, "must not fall"),
        (MEASURED, {"changes_up_uS": ((1.0, 2.0), (1.0,))}, "equally many"),
        (MEASURED, {"changes_up_uS": ((-2.0, -1.0), (-2.0, -1.0))}, "balance"),
    ],
)
def test_tables_that_make_no_device_are_refused(name, change, said):
    with pytest.raises(ConfigError, match=said):
        devices.load(name).with_parameters(**change)
