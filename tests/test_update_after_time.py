"""Updates of devices that are written closed loop: they find what time has made of a conductance, and move that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import bits, check_mean, check_std
from numpy.typing import NDArray

import neurosim as ns
from neurosim.core.cautions import StillWarning
from neurosim.devices import cards, load
from neurosim.devices.response import fresh
from neurosim.kernels.cells import ALL, drift_cells, program_cells, pulse_cells

HERMES, NEURRAM, CMO = "pcm-hermes-2023-1-device", "rram-neurram-wan-2022", "rram-cmo-hfox-falcone-2025"
HOUR_S, DAY_S = 3600.0, 86_400.0
WRITTEN = [name for name in sorted(cards()) if load(name).closed_loop]
STILL = [name for name in WRITTEN if not load(name).drifts]
N = 40_000


class Written:
    """Devices programmed to targets at time zero."""

    def __init__(self, device: Any, targets_uS: Any, seed: int = 0):
        self.law = load(device)
        targets = np.repeat(np.asarray(targets_uS, np.float32), N)
        self.state, self.params, self.keys = fresh(self.law, targets.size, seed)
        program_cells(
            0,
            targets,
            self.state,
            self.params,
            0.0,
            1,
            self.keys["program"],
            self.law.kernels.program,
            1,
            ALL,
        )

    def seen(self, now_s: float) -> NDArray[np.float64]:
        """Conductances (targets, N), without read noise."""
        out = np.empty(self.state.conductance.size, np.float32)
        drift_cells(out, self.state, self.params, now_s, self.law.kernels.drifted)
        return out.reshape(-1, N).astype(np.float64)

    def pulse(self, count: int, now_s: float, event: int = 1) -> None:
        """Give every device so many pulses."""
        pulse_cells(count, self.state, self.params, now_s, event, self.keys["pulse"], self.law.kernels.pulse)


def sigma_of_neurram(conductance_uS: Any) -> Any:
    """Error of a state just written, uS (Wan et al. 2022 as fitted in aihwkit)."""
    share = np.asarray(conductance_uS) / 40
    return np.polynomial.polynomial.polyval(share, (0.348, 16.030, -43.853, 45.393, -16.815))


@pytest.mark.parametrize("count", [2, -2])
@pytest.mark.parametrize("seconds", [HOUR_S, DAY_S])
def test_an_update_of_neurram_moves_relaxed_states_by_what_was_asked(seconds: float, count: int) -> None:
    """Two steps of 0.4 uS from where a state has relaxed to, with the error of a state just written; and no more.

    Counted from what was written last, the change would hold the relaxation of hours, undone: 3 uS at 20 uS.
    """
    devices = Written(NEURRAM, [16.0, 20.0, 28.0])
    first, before = devices.seen(0.0), devices.seen(seconds)
    assert (np.std(before - first, axis=1) > 2.0).all()
    devices.pulse(count, seconds)
    after = devices.seen(seconds)
    aim = before + 0.4 * count
    inside = (aim > 8) & (aim < 38)  # no error reaches zero there
    assert inside.mean() > 0.97
    off = ((after - aim) / sigma_of_neurram(aim))[inside]
    check_mean(off, 0, 1)
    check_std(off, 1)
    assert np.corrcoef(after[1], before[1])[0, 1] > 0.8


@pytest.mark.parametrize("count", [3, -3])
@pytest.mark.parametrize("seconds", [HOUR_S, DAY_S])
def test_an_update_of_hermes_does_not_undo_the_drift(seconds: float, count: int) -> None:
    """The mean moves by three steps from the drifted conductance, not back to the programmed one.

    The change is normal: the error of programming the target, and the 1/f noise of the conductance reached at 200 s.
    """
    device = load(HERMES)
    devices = Written(HERMES, [4.0, 6.0])
    before = devices.seen(seconds)
    share = 1 - before.mean(axis=1) / (4.0, 6.0)
    assert (share > (0.1 if seconds == HOUR_S else 0.25)).all()
    devices.pulse(count, seconds)
    after = devices.seen(seconds)
    aim = before + count * device.nominal_step_uS
    error = np.polynomial.polynomial.polyval(aim / device.g_max_uS, device.error_uS[0]) * device.error_scale
    level = np.interp(aim / device.g_max_uS, device.flicker_table_share, device.flicker_table)
    grown = np.log((200.0 + device.flicker_read_s) / (2 * device.flicker_read_s))
    sigma = np.hypot(error, aim * level * np.sqrt(grown))
    off = (after - aim) / sigma
    check_mean(off, 0, extra=0.01)
    check_std(off, 1, extra=0.02)  # the level is that of the conductance reached, not of the target


@pytest.mark.parametrize("seconds", [HOUR_S, DAY_S])
def test_drift_starts_anew_from_the_target_of_the_update(seconds: float) -> None:
    """A decade after the update (from 200 s on) the conductance has fallen by the exponent of its new target."""
    quiet = load(HERMES).without_noise()
    devices = Written(quiet, [6.0])
    before = devices.seen(seconds)[0, 0]
    nu = np.interp(6.0 / quiet.g_max_uS, quiet.drift_table_share, quiet.drift_table_exponent)
    assert before == pytest.approx(6.0 * (seconds / 200.0) ** -nu, rel=1e-5)
    devices.pulse(5, seconds)
    target = before + 5 * quiet.nominal_step_uS
    now, later = (devices.seen(seconds + passed)[0, 0] for passed in (0.0, 2000.0))
    assert now == pytest.approx(target, rel=1e-5)
    nu = np.interp(target / quiet.g_max_uS, quiet.drift_table_share, quiet.drift_table_exponent)
    assert later == pytest.approx(target * 10**-nu, rel=1e-4)


@pytest.mark.parametrize("delay_s", [None, 10.0, 3000.0])
@pytest.mark.parametrize(
    "name",
    [
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (HERMES, CMO, "pcm-joshi-2020", "sonos-agrawal-2022")
        ),
        NEURRAM,
    ],
)
@pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")
def test_a_weight_moves_by_its_pulses_whatever_the_age_and_the_reading_delay(
    name: str, delay_s: float | None
) -> None:
    """Without noise: three pulses of the array's own step on every other column; the others go on drifting."""
    read = {"read_noise": None, "reading_delay_s": delay_s}
    array = ns.Crossbar((6, 8), load(name).without_noise(), read=read)
    array.program(np.random.default_rng(0).uniform(0.2, 0.5, (6, 8)), w_max=1.0)
    post = np.where(np.arange(8) % 2, 0.0, 3 * array.weight_per_pulse)[None]
    for seconds in (0.0, HOUR_S, DAY_S):
        array.advance(seconds)
        before = array.weights()
        assert array.update(np.ones((1, 6)), post, mode="mixed") == 72
        moved = array.weights() - before
        np.testing.assert_allclose(moved[:, ::2], 3 * array.weight_per_pulse, rtol=2e-3)
        assert not moved[:, 1::2].any()


def test_an_update_ends_at_the_window() -> None:
    devices = Written(load(NEURRAM).with_parameters(error_uS=None), [39.5])
    devices.pulse(100, DAY_S)
    assert (devices.seen(DAY_S) == 40.0).all()
    devices.pulse(-1000, DAY_S, 2)
    assert (devices.seen(DAY_S) == 0.0).all()


@pytest.mark.parametrize("name", STILL)
def test_where_nothing_ages_an_update_counts_from_what_is_stored(name: str) -> None:
    """The clock moves no bit of a card without a law of time, nor what is around it."""
    device = load(name).with_parameters(added_step_spread=0.1, added_conductance_spread=0.1)
    arrays = [ns.Crossbar((8, 5), device, seed=3) for _ in range(2)]
    for array, seconds in zip(arrays, (0.0, DAY_S), strict=True):
        array.program(np.random.default_rng(0).uniform(-0.4, 0.4, (8, 5)), w_max=1.0)
        if seconds:
            with pytest.warns(StillWarning):
                array.advance(seconds)
        stored = array._cells.state.conductance.copy()
        array.update(np.ones((1, 8)), np.full((1, 5), 0.05))
        moved = array._cells.state.conductance - stored
        assert (moved != 0).any()
    one, other = (bits(array) for array in arrays)
    assert {field for field in one if one[field] != other[field]} == {"clock"}


def test_some_cards_age_and_some_do_not() -> None:
    assert len(STILL) >= 2
    assert {HERMES, NEURRAM, CMO} < set(WRITTEN) - set(STILL)
