"""The refresh policy: which pairs, what the controller sees, how they are rewritten, and what it costs."""

from __future__ import annotations

from typing import Any

import helpers
import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, F, made
from helpers import HFO2, PCM, quiet_pcm

from neurosim import Crossbar, Periphery, ReadPath, Refresh, WritePath
from neurosim.core.errors import CapabilityError, ConfigError
from neurosim.core.seeds import key
from neurosim.crossbar.nominal import nominal_curve

PJ = 1e-12
STILL = (np.zeros((1, ROWS)), np.zeros((1, COLS)))


def spread_out(refresh: Refresh, device: Any = PCM, **options: Any) -> tuple[Crossbar, np.ndarray]:
    """An array with pairs in all regions, and their conductances."""
    array = made(device, write=WritePath(refresh=refresh), **options)
    state = array._cells.state
    state.conductance[:] = np.random.default_rng(1).uniform(0.1, 12, state.conductance.size)
    state.set_pulses[:] = 30
    array._cells.forget_grid()
    return array, state.conductance.reshape(-1, 2).copy()


def chosen(array: Crossbar, before: np.ndarray) -> np.ndarray:
    """Refresh once; which pairs were written."""
    array.update(*STILL)
    return (array._cells.state.conductance.reshape(-1, 2) != before).any(axis=1)


def test_a_pair_with_a_large_difference_is_left_alone_where_the_policy_says_so():
    """The variant of Demirag's srnn-pcm: G > 9 uS of 12 and a difference below 2.25 uS."""
    array, before = spread_out(Refresh(every=1, low=0, most_difference=2.25 / 12))
    expected = (before.max(axis=1) > 9) & (np.abs(before[:, 0] - before[:, 1]) < 2.25)
    np.testing.assert_array_equal(chosen(array, before), expected)
    assert 5 < expected.sum() < 120


def test_a_look_by_reads_decides_by_noise_and_adc():
    array, before = spread_out(Refresh(every=1, look="read"), read=ReadPath(adc_bits=5))
    sigma = (F(0.03) * before + F(0.13)).ravel()
    cells = np.arange(before.size)
    draws = helpers.normals(helpers.words(cells, 2 * 1, 0, key(0, "array", "look"))[0])
    lsb = F(12 / 15)
    seen = np.clip(np.rint((before.ravel() + sigma * draws) / lsb) * lsb, 0, 12).reshape(-1, 2)
    expected = (seen.max(axis=1) > 9) & (seen.min(axis=1) > 3)
    np.testing.assert_array_equal(chosen(array, before), expected)
    known = (before.max(axis=1) > 9) & (before.min(axis=1) > 3)
    assert (expected != known).any()


def test_a_look_by_reads_converts_every_device():
    """Two conversions a pair where each device is read, one where the look is an assumption."""
    spent = {}
    for look in ("exact", "read"):
        array, _ = spread_out(Refresh(every=1, look=look, high=1.0), read=ReadPath(adc_bits=8))
        array.update(*STILL)
        assert array.ledger.refresh_reads == 2 * ROWS * COLS
        assert array.ledger.refresh_looks == 1
        spent[look] = array.ledger.write_periphery_J
    assert spent["read"] - spent["exact"] == pytest.approx(ROWS * COLS * Periphery().adc_J(8), rel=1e-9)


def test_without_noise_both_looks_write_the_same():
    found = []
    for look in ("exact", "read"):
        array, before = spread_out(Refresh(every=1, look=look), quiet_pcm())
        chosen(array, before)
        found.append(array.conductance_uS())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_rewriting_by_pulses_costs_two_resets_and_the_pulses_of_the_curve():
    law = quiet_pcm()
    array, before = spread_out(Refresh(every=1, rewrite="pulses"), law)
    written = chosen(array, before)
    curve = nominal_curve(law)
    difference = np.abs(before[written, 0] - before[written, 1]).astype(np.float64) + 0.1
    counts = np.rint(np.interp(difference, curve.conductance_uS, curve.pulses))
    ledger = array.ledger
    assert ledger.refreshed_pairs == written.sum() > 20
    assert ledger.refresh_resets == 2 * written.sum()
    assert ledger.refresh_pulses == counts.sum()
    assert ledger.refresh_J == pytest.approx((72 * written.sum() + 6.75 * counts.sum()) * PJ, rel=1e-6)
    after = array._cells.state.conductance.reshape(-1, 2)[written]
    np.testing.assert_allclose(
        after.max(axis=1), np.maximum(curve.conductance_uS[counts.astype(int)], 0.1), rtol=1e-5
    )
    np.testing.assert_allclose(after.min(axis=1), 0.1, rtol=1e-6)


def test_rewriting_by_the_law_counts_its_mean_pulses():
    array, before = spread_out(Refresh(every=1))
    written = chosen(array, before)
    assert array.ledger.refresh_pulses == 20 * written.sum()
    assert array.ledger.refresh_resets == 2 * written.sum()
    entry = array.ledger.energy(ROWS * COLS)
    assert entry["refresh_pulses"] == array.ledger.refresh_pulses
    assert entry["refresh_reads"] == 2 * ROWS * COLS


@pytest.mark.parametrize("write", [WritePath(refresh=None), WritePath(mapping="reference")])
def test_nothing_is_refreshed_where_there_is_no_policy_or_no_pair(write):
    array = made(PCM, write=write)
    for _ in range(60):
        array.update(*STILL)
    assert array.ledger.refresh_looks == 0


def test_bipolar_pairs_are_never_refreshed():
    array = made(HFO2, write=WritePath(refresh=Refresh(every=1)))
    array.update(*STILL)
    assert array.ledger.refresh_looks == 0


def test_wrong_policies_are_refused():
    with pytest.raises(ConfigError, match=r"low = 0\.8: must not exceed high"):
        WritePath.parse({"refresh": {"low": 0.8}}, "here")
    with pytest.raises(ConfigError, match="refresh_every"):
        WritePath.parse({"refresh_every": 5}, "here")
    with pytest.raises(CapabilityError, match="'verify'"):
        Crossbar((3, 2), "pcm-joshi-2020", write=WritePath(refresh=Refresh(rewrite="pulses")))
