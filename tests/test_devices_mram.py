"""Binary magnetic memory: its two resistances, their spread, and writes that fail."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import check_count, check_mean, check_std, fresh, give

from neurosim import devices

MRAM = "mram-stt-neurosim"


def test_resistances_are_those_of_the_table():
    """NeuroSim MLP V3.0 user manual, table II, STT-MRAM: 3.5 kOhm on, on/off ratio 2.3; half of the cells either way."""
    law = devices.load(MRAM).with_parameters(resistance_spread=None)
    state, _, _ = fresh(law, 100_000, seed=1)
    low, high = np.unique(state.conductance)
    assert 1e3 / high == pytest.approx(3.5, rel=1e-6)
    assert high / low == pytest.approx(2.3, rel=1e-6)
    check_count(int((state.conductance == high).sum()), 100_000, 0.5)


def test_resistances_spread_from_device_to_device():
    """7 % of either resistance, drawn apart (digital cell of NeuroSim)."""
    law = devices.load(MRAM)
    state, _, _ = fresh(law, 100_000, seed=2)
    shares = [law.g_max_uS / state.upper.astype(np.float64), law.g_min_uS / state.lower.astype(np.float64)]
    for resistance in shares:
        check_mean(resistance, 1, 0.07)
        check_std(resistance, 0.07)
    assert abs(np.corrcoef(*shares)[0, 1]) < 5 / np.sqrt(100_000)


@pytest.mark.parametrize(("chance", "cells"), [(None, 1_000_000), (0.2, 100_000)])
@pytest.mark.parametrize("sign", [1, -1])
def test_writes_fail_with_the_chance_of_the_card(chance, cells, sign):
    """A lumped chance, 1e-3 on the card (an assumption there), each pulse anew: p of one pulse, p^2 of two."""
    law = devices.load(MRAM)
    law = law if chance is None else law.with_parameters(write_failure=chance)
    p = 1e-3 if chance is None else chance
    state, params, pulse_key = fresh(law, cells, seed=3)
    wanted, other = (state.upper, state.lower) if sign > 0 else (state.lower, state.upper)
    state.conductance[:] = other
    give(law, state, params, sign, 1, pulse_key)
    check_count(int((state.conductance == other).sum()), cells, p)
    state.conductance[:] = other
    give(law, state, params, 2 * sign, 2, pulse_key)
    left = state.conductance == other
    assert (state.conductance[~left] == wanted[~left]).all()
    check_count(int(left.sum()), cells, p * p)


def test_energy_of_a_write_is_the_one_of_the_table():
    """V^2 G t: 1 V, 10 ns through 205 uS are 2.05 pJ (NeuroSim MLP V3.0 user manual, table II)."""
    law = devices.load(MRAM)
    assert law.write_energy_per_uS * 205 == pytest.approx(2.05e-12, rel=1e-9)
    assert law.g_rest_uS == pytest.approx(205, abs=0.1)
    state, params, pulse_key = fresh(law.with_parameters(resistance_spread=None), 1)
    before = float(state.conductance[0])
    assert give(law, state, params, 1, 1, pulse_key) == pytest.approx(1e-14 * before, rel=1e-6)
