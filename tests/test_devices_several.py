"""Several devices in one cell: which of them is pulsed, and how their spread averages out."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import PCM, check_mean, check_std, fresh, give, quiet, quiet_pcm

from neurosim import Crossbar, TorchCrossbar, WritePath, devices
from neurosim.core.errors import CapabilityError, ConfigError, InputError
from neurosim.devices import pulse_response


def cell_of(count: int) -> object:
    """PCM cells in the window that reproduces the single-device figures."""
    return devices.load(PCM).with_parameters(g_max_uS=20.0, devices_per_cell=float(count))


@pytest.mark.parametrize(("count", "spread"), [(1, 0.316), (3, 0.182), (5, 0.140), (7, 0.120)])
def test_spread_of_the_sum_falls_with_the_root_of_the_devices(count, spread):
    """Arbitration of Boybat et al., Nat. Commun. 9, 2514 (2018), devices of Nandakumar et al. 2018 (srnn-pcm).

    After 10 SET pulses a device the sum has mean 7.83 N uS and relative spread 0.316 / sqrt(N), to 0.0015.
    """
    cells = 100_000
    summed = pulse_response(cell_of(count), [1] * (10 * count), cells, seed=1)[-1].astype(np.float64)
    check_mean(summed, 7.827 * count, 2.465 * np.sqrt(count), extra=0.0005 * count)
    check_std(summed, 2.465 * np.sqrt(count), extra=0.0005 * count)
    both = np.sqrt(1 / cells + 1 / 2e6)
    assert summed.std() / summed.mean() == pytest.approx(spread, abs=0.0015 + 5 * spread * both / np.sqrt(2))
    assert 0.316 / np.sqrt(count) == pytest.approx(spread, abs=0.0015)


def test_one_counter_for_all_cells_gives_each_device_its_turn():
    """Global selection counter of Boybat et al. 2018: one device of every cell an update, at one pulse's energy."""
    law = cell_of(3).with_parameters(selection_step=2.0)
    state, params, pulse_key = fresh(law, 50)
    given = np.zeros((50, 3), int)
    for event in range(1, 7):
        assert give(law, state, params, 1, event, pulse_key) == pytest.approx(50 * 6.75e-12, rel=1e-6)
        given[:, 2 * event % 3] += 1
        np.testing.assert_array_equal(state.devices.set_pulses.reshape(50, 3), given)
    assert (given == 2).all()
    devices_uS = state.devices.conductance.reshape(50, 3)
    np.testing.assert_allclose(state.conductance, devices_uS.sum(axis=1), rtol=1e-6)


def test_read_noise_of_a_cell_is_that_of_all_its_devices():
    """0.03 G + 0.13 uS a device (srnn-pcm), variances added."""
    law = cell_of(4)
    sigma = law.kernels.read_sigma(np.float32(20.0), law.params())
    assert sigma == pytest.approx(2 * (0.03 * 5 + 0.13), rel=1e-6)


@pytest.mark.parametrize(("field", "change"), [("potentiate_every", 1), ("depress_every", -1)])
@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
def test_a_counter_gives_changes_in_its_direction_in_every_third_update(field, change, mode):
    array = Crossbar((6, 4), quiet_pcm(), write=WritePath(refresh=None, **{field: 3}))
    pre, post = np.ones((1, 6)), np.full((1, 4), change * 0.75 / 11.9 * 1.0001)
    given = [array.update(pre, post, mode=mode) for _ in range(6)]
    once = 24 if mode == "accumulate" else 72
    assert given == [0, 0, once, 0, 0, once]
    other = [array.update(pre, -post, mode="accumulate") for _ in range(3)]
    assert other == [24, 24, 24]


def test_counters_that_would_leave_a_device_out_are_refused():
    with pytest.raises(InputError, match="without common divisor"):
        Crossbar(
            (4, 3), devices.load(PCM).with_parameters(devices_per_cell=4.0), write=WritePath(depress_every=6)
        )
    with pytest.raises(ConfigError, match="without common divisor"):
        devices.load(PCM).with_parameters(devices_per_cell=4.0, selection_step=2.0)


def test_each_update_pulses_one_device_and_all_have_their_turn():
    law = quiet_pcm(devices_per_cell=3.0)
    array = Crossbar((5, 4), law)
    pre, post = np.ones((1, 5)), np.full((1, 4), 0.75 / (3 * 11.9) * 1.0001)
    moved = []
    for _ in range(6):
        before = array.snapshot()["state.each conductance"]
        array.update(pre, post)
        after = array.snapshot()["state.each conductance"]
        moved.append((after != before).reshape(-1, 2, 3)[:, 0].mean(axis=0))
    np.testing.assert_array_equal(np.array(moved[:3]), np.array(moved[3:]))
    np.testing.assert_array_equal(np.sum(moved[:3], axis=0), [1, 1, 1])
    np.testing.assert_array_equal(np.sum(moved[0]), 1)


def test_an_array_of_such_cells_reads_the_sum_and_resumes():
    law = devices.load(PCM).with_parameters(devices_per_cell=3.0)
    array, twin = (Crossbar((5, 4), law, seed=2) for _ in "ab")
    array.program(np.full((5, 4), 0.4), w_max=array.w_max)
    array.update(np.ones((1, 5)), np.full((1, 4), 0.1))
    each = array.snapshot()["state.each conductance"].reshape(5, 8, 3)
    np.testing.assert_allclose(array.conductance_uS(), each.sum(axis=2), rtol=1e-6)
    twin.restore(array.snapshot())
    for one in (array, twin):
        one.advance(100.0)
        one.update(np.ones((1, 5)), np.full((1, 4), 0.1))
    np.testing.assert_array_equal(array.conductance_uS(), twin.conductance_uS())
    with pytest.raises(CapabilityError, match="devices_per_cell"):
        TorchCrossbar((5, 4), law)


def pulses_of_each(array: Crossbar, count: int) -> np.ndarray:
    """SET pulses (2 pairs, count) that each device of each cell has had."""
    return array.snapshot()["state.each set_pulses"].reshape(-1, 2, count)[:, 0]


@pytest.mark.parametrize(
    ("count", "samples", "decay"), [(2, 1, 0.0), (2, 1, 1e-3), (3, 2, 0.0), (2, 2, 1e-3)]
)
def test_every_device_of_a_cell_learns_sample_by_sample(count, samples, decay):
    """An update of B samples and a sweep for decay took B + 1 events: of two devices one was never pulsed by B = 1."""
    array = Crossbar(
        (5, 4), quiet_pcm(devices_per_cell=float(count)), write=WritePath(refresh=None, decay_mode="exact")
    )
    for _ in range(12):
        array.update(np.ones((samples, 5)), np.full((samples, 4), 0.05), np.full(4, decay), mode="online")
    given = pulses_of_each(array, count).sum(axis=0)
    assert (given > 0.6 * given.mean()).all(), given


def test_every_device_of_a_cell_learns_where_norms_are_measured_after_each_update():
    array = Crossbar(
        (5, 4), quiet_pcm(devices_per_cell=2.0), write=WritePath(decay_mode="gain", refresh=None)
    )
    for _ in range(6):
        array.update(np.ones((1, 5)), np.full((1, 4), 0.75 / (2 * 11.9) * 1.0001))
        array.column_norms()
    np.testing.assert_array_equal(pulses_of_each(array, 2).sum(axis=0), [60, 60])


@pytest.mark.parametrize("mode", ["accumulate", "online"])
def test_depression_pulses_shrink_a_cell_of_several_devices_as_much_as_asked(mode):
    """A pulse that takes a share of one of three devices takes a third of it of the cell."""
    law = quiet(devices_per_cell=3.0)
    array = Crossbar((6, 4), law, write=WritePath(decay_mode="device"))
    array.program(np.full((6, 4), 0.5), w_max=1.0)
    before = array.weights()
    for _ in range(30):
        array.update(np.zeros((2, 6)), np.zeros((2, 4)), np.full(4, 0.02), mode=mode)
    np.testing.assert_allclose(array.weights() / before, np.exp(-30 * 0.02), rtol=0.05)
    lost = 1 - array.snapshot()["state.each conductance"].reshape(6, 4, 2, 3) / law.g_max_uS
    assert lost.std(axis=(0, 1)).max() < 1e-6
    assert np.ptp(lost[0, 0, 0]) < 0.1, "all three alike"
