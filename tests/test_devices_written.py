"""Programmed states against what the chips' papers report (as fitted in public code)."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import check_mean, check_std

from neurosim import Crossbar, devices
from neurosim.devices import programmed

DAY_S = 86_400.0
N = 40_000


@pytest.mark.parametrize(
    ("share", "sigma_uS"), [(0.0, 0.263), (0.25, 0.681), (0.5, 0.953), (0.75, 1.077), (1.0, 1.055)]
)
def test_programming_error_of_pcm(share, sigma_uS):
    """Joshi et al. 2020, as fitted in aihwkit: 0.263 to 1.055 uS over a window of 25 uS."""
    law = devices.load("pcm-joshi-2020").with_parameters(flicker=None)
    found = programmed(law, [share * 25], [1.0], N)[0, 0]
    if share == 0:
        found = np.concatenate([found[found > 0], -found[found > 0]])
    check_std(found, sigma_uS, extra=0.0006)


@pytest.mark.parametrize(("share", "kept"), [(1.0, 0.664), (0.5, 0.664), (0.1, 0.605)])
def test_drift_of_pcm_over_a_day(share, kept):
    """Mean drift factor of the Joshi set at one day: 0.664 from g = 0.2 on, 0.605 at 0.1."""
    law = devices.load("pcm-joshi-2020").with_parameters(flicker=None, error_uS=None)
    found = programmed(law, [share * 25], [1.0, DAY_S], N)[:, 0]
    factor = found[1] / found[0]
    mean = min(max(-0.0155 * np.log(share) + 0.0244, 0.049), 0.1)
    assert (DAY_S / 20) ** -mean == pytest.approx(kept, abs=0.001)
    exponents = -np.log(factor) / np.log(DAY_S / 20)
    check_mean(exponents, mean, extra=1e-5)
    check_std(exponents, min(max(-0.0125 * np.log(share) - 0.0059, 0.008), 0.045), extra=1e-5)


@pytest.mark.parametrize(("share", "after_1_s"), [(0.1, 1.56), (0.25, 2.26), (0.5, 2.02), (1.0, 1.10)])
def test_states_of_neurram_relax(share, after_1_s):
    """Wan et al. 2022: sigma of 40 uS at one second (table of the fit), and the polynomial of two days."""
    law = devices.load("rram-neurram-wan-2022")
    found = programmed(law, [share * 40], [1.0, 2 * DAY_S, 10 * DAY_S], N)[:, 0]
    check_std(found[0], after_1_s, extra=0.005)
    later = np.polyval([-11.934, 37.062, -43.507, 20.274, 0.782], share)
    if share >= 0.25:
        check_std(found[1], later, extra=0.02)
    np.testing.assert_array_equal(found[1], found[2])
    assert found[1].std() > found[0].std()


def test_error_of_milo_falls_with_conductance():
    """Milo et al. 2021: sigma = 4.782321 uS - 0.009107 G."""
    for conductance in (100.0, 160.0, 225.0):
        found = programmed("rram-hfo2-milo-2021", [conductance], [1.0], N)[0, 0]
        check_std(found, 4.782321 - 0.009107 * conductance)


@pytest.mark.parametrize(("time_s", "mean", "sigma"), [(3600.0, -0.73, 0.76), (DAY_S, -1.01, 0.89)])
def test_states_of_cmo_hfox_relax(time_s, mean, sigma):
    """Falcone et al.: 0.576 uS at 50 uS after programming; -0.73 +- 0.76 uS at 1 h, -1.01 +- 0.89 at a day."""
    law = devices.load("rram-cmo-hfox-falcone-2025").with_parameters(flicker=None)
    found = programmed(law, [50.0], [0.5, time_s], N)[:, 0]
    check_std(found[0], 0.576, extra=0.0005)
    check_mean(found[1] - found[0], mean, extra=0.005)
    added = found[1] - found[0]
    assert np.sqrt(added.std() ** 2 + 0.4118**2) == pytest.approx(sigma, abs=0.02)


def test_an_update_programs_the_device_anew():
    law = devices.load("rram-neurram-wan-2022").without_noise()
    array = Crossbar((4, 3), law)
    array.program(np.full((4, 3), 0.2))
    before = array.conductance_uS()
    step = law.nominal_step_uS / (law.g_max_uS - law.g_min_uS)
    assert array.update(np.ones((1, 4)), np.full((1, 3), 3 * step), mode="mixed") == 3 * 12
    np.testing.assert_allclose((array.conductance_uS() - before)[:, ::2], 3 * law.nominal_step_uS, rtol=1e-4)
    assert array.ledger.write_J == pytest.approx(12 * law.program_energy_J)
