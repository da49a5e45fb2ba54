"""One moment of reading: what is written means one age, and time goes on from there without a jump."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from helpers import PCM

import neurosim as ns
from neurosim import DeepExperiment, DenseExperiment
from neurosim.core.cautions import ExtrapolationWarning, StillWarning
from neurosim.core.errors import ConfigError
from neurosim.devices import cards, load, programmed

QUIET = ns.ReadPath(read_noise=None)
TIMES_S = (0.0, 1e-3, 3600.0, 86_400.0, 31_536_000.0)


def written(seconds: float, **read: float) -> ns.Crossbar:
    array = ns.Crossbar((64, 32), PCM, seed=0, read=ns.ReadPath(read_noise=None, **read))
    array.program(np.random.default_rng(0).uniform(0.1, 0.6, (64, 32)), w_max=1.0)
    array.advance(seconds)
    return array


def test_an_update_moves_old_cells_more_than_young_ones_and_never_jumps():
    """A delay of 38.6 s: +0.01 moves the pulsed cells by 0.077, 0.077, 0.137, 0.173, 0.229 at the five times.

    Drift starts anew at each pulse, as published: a pulsed device stands at its undrifted conductance again.
    """
    found = []
    for seconds in TIMES_S:
        array = written(seconds)
        before = array.weights()
        array.update(np.eye(64), np.full((64, 32), 0.01))
        moved = array.weights() - before
        found.append(moved[np.abs(moved) > 1e-6].mean())
    np.testing.assert_allclose(found, [0.077, 0.077, 0.137, 0.173, 0.229], atol=0.0006)


@pytest.mark.parametrize("name", sorted(cards()))
def test_the_first_advance_makes_no_jump(name):
    """A millisecond changes nothing but what fades or switches in milliseconds, on any card."""
    array = ns.Crossbar((16, 8), name, seed=1, read=QUIET)
    array.program(np.random.default_rng(1).uniform(-0.6, 0.6, (16, 8)))
    before = array.conductance_uS()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StillWarning)
        array.advance(1e-3)
    slack = 2e-3 if array.device.volatile_share or array.device.gate_step else 0.0
    np.testing.assert_allclose(array.conductance_uS(), before, rtol=slack + 1e-6)


def test_reading_twice_within_the_delay_is_reading_once():
    array = written(0.0)
    assert np.array_equal(written(10.0).conductance_uS(), array.conductance_uS())
    later = written(3600.0).conductance_uS()
    np.testing.assert_allclose(later, array.conductance_uS() * (3600 / 38.6) ** -0.04, rtol=1e-5)


@pytest.mark.parametrize(
    "name", [PCM, "pcm-joshi-2020", "pcm-hermes-2023-2-devices", "rram-cmo-hfox-falcone-2025"]
)
@pytest.mark.parametrize("delay_s", [1e-3, 100.0])
def test_targets_steps_and_windows_refer_to_the_delay(name, delay_s):
    """The law is carried to the age of reading: a programmed target is met there in the mean, and it is said."""
    own = load(name).without_noise()
    with pytest.warns(ExtrapolationWarning, match="which nobody measured"):
        array = ns.Crossbar((4, 3), own, read=ns.ReadPath(read_noise=None, reading_delay_s=delay_s))
    device = array.device
    assert (device.delay_s, own.delay_s) == (delay_s, own.own_delay_s)
    low, high = device.cell_window_uS
    targets = np.linspace(low + 0.3 * (high - low), high, 4)
    found = programmed(device, targets, [delay_s], 2)[0]
    np.testing.assert_allclose(found[:, 0], targets, rtol=2e-4)
    array.program(np.full((4, 3), 0.5), w_max=1.0)
    np.testing.assert_allclose(array.weights(), 0.5, rtol=3e-3)
    ratio = device.read_step_uS / own.nominal_step_uS
    assert ratio == pytest.approx((high - low) / (own.g_max_uS - own.g_min_uS), rel=1e-6)


def test_a_delay_of_the_cards_own_changes_no_bit_and_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = written(500.0, reading_delay_s=38.6)
    assert np.array_equal(same.conductance_uS(), written(500.0).conductance_uS())


def test_verifying_reads_refer_to_the_delay():
    device = load(PCM).with_parameters(reading_delay_s=1e-3)
    found = ns.devices.write_verify(device, [9.0], tolerance=0.03, pulse_budget=200, n_devices=300)
    low, high = device.cell_window_uS
    assert found.converged.mean() > 0.9
    assert np.abs(found.conductance_uS[found.converged] - 9.0).max() < 0.03 * (high - low) + 6.4 * (
        0.27 + 0.13
    )


def test_time_on_a_card_without_a_law_of_time_is_said_once():
    array = ns.Crossbar((6, 4), "rram-hfo2-om-2022")
    array.program(np.zeros((6, 4)))
    before = array.conductance_uS()
    with pytest.warns(StillWarning, match="no retention data"):
        array.advance(TIMES_S[-1])
    assert np.array_equal(array.conductance_uS(), before)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for _ in range(50):
            array.advance(1.0)
    assert len(seen) <= 1


def test_the_delay_is_one_number_of_an_experiment():
    arm = {"device": "ecram-li-tang-2018", "mode": "mixed", "rule": "softhebb"}
    arms = [{"name": "a", **arm, "read": {"reading_delay_s": 1.0}}, {"name": "b", **arm}]
    with pytest.raises(ConfigError, match="one number of an experiment"):
        DeepExperiment.parse({"dataset": "digits", "preset": "cifar", "arm": arms}, "here")
    with pytest.raises(ConfigError, match="one number of an experiment"):
        DenseExperiment.parse({"arm": [{"name": "a", "device": PCM, "read": {"reading_delay_s": 1.0}},
                                  {"name": "b", "device": PCM}]}, "here")  # fmt: skip
    DenseExperiment.parse({"read": {"reading_delay_s": 1.0}, "device": [PCM]}, "here")


def test_the_old_floor_of_the_power_law_is_refused_with_the_remedy(tmp_path):
    from neurosim.devices.card import CARDS

    text = (CARDS / f"{PCM}.toml").read_text(encoding="utf-8")
    card = tmp_path / "old.toml"
    card.write_text(
        text + '\ndrift_shortest_s = { value = 1e-6, unit = "s", source = "old" }\n', encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="reading delay"):
        load(card)


@pytest.mark.parametrize("machine", [ns.Crossbar, ns.TorchCrossbar])
def test_no_time_at_all_leaves_no_trace(machine):
    """Telegraph noise switches by draws of its own for each span of time: one of no length is none."""
    noisy = load(PCM).with_parameters(
        telegraph_share=0.5, telegraph_amplitude=0.2, telegraph_fastest_s=1e-3, telegraph_slowest_s=1e3
    )
    found = []
    for spans in ((10.0, 100.0), (0.0, 10.0, 0.0, 100.0, 0.0)):
        array = machine((12, 8), noisy, seed=1)
        array.program(np.full((12, 8), 0.4), w_max=1.0)
        for seconds in spans:
            array.advance(seconds)
        found.append(np.asarray(array.conductance_uS()))
    np.testing.assert_array_equal(*found)
