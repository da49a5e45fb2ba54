"""Updates of the crossbar: decay in each mode, refresh, and the way weights move."""

from __future__ import annotations

import warnings

import helpers
import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, F, close, made
from helpers import BUILT_IN, IDEAL, MODES, PCM, check_mean, quiet, quiet_pcm, small_weights

from neurosim import Crossbar, Dense, Faults, ReadPath, Refresh, TorchCrossbar, TorchDense, WritePath, devices
from neurosim.core.cautions import ClippingWarning
from neurosim.core.errors import CapabilityError, InputError
from neurosim.network.arrays import to_numpy
from neurosim.rules import SoftHebb

PJ = 1e-12


# Updates and decay


def test_readback_decay_equals_exact_decay_on_average():
    """Each weight loses decay (w + noise): zero mean error, spread decay sigma, five standard errors."""
    read, rows, cols = ReadPath(read_noise=0.02), 100, 40
    weights, decay = small_weights(rows, cols), np.full(cols, 0.25, F)
    array = made(IDEAL, rows, cols, weights, read=read, write=WritePath(decay_mode="readback"))
    before = array.weights()
    array.update(np.zeros((1, rows)), np.zeros((1, cols)), decay)
    error = array.weights().astype(np.float64) - before * 0.75
    sigma = 0.25 * np.sqrt(2) * 2.0 / 100
    check_mean(error, 0, sigma)
    helpers.check_std(error, sigma, extra=1e-6)
    assert array.ledger.rows_read_back == rows


def test_readback_waits_until_the_threshold_and_then_takes_all_that_has_gathered():
    array = made(quiet_pcm(), write=WritePath(decay_mode="readback", decay_threshold=0.05))
    fine = made(IDEAL, write=WritePath(decay_mode="readback", decay_threshold=0.05))
    before, still = fine.weights(), (np.zeros((1, ROWS)), np.zeros((1, COLS)))
    decay = np.full(COLS, 0.02, F)
    decay[0] = 0.0
    for looks in (0, 0, ROWS, ROWS, ROWS, 2 * ROWS):
        fine.update(*still, decay)
        array.update(*still, decay)
        assert fine.ledger.rows_read_back == array.ledger.rows_read_back == looks
    close(fine.weights()[:, 1:], before[:, 1:] * 0.94**2)
    np.testing.assert_array_equal(fine.weights()[:, 0], before[:, 0])


def test_readback_passes_through_the_adc_of_a_single_pair():
    array = made(IDEAL, read=ReadPath(adc_bits=4), write=WritePath(decay_mode="readback"))
    before = array.weights()
    array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), np.full(COLS, 0.5, F))
    seen = np.rint(before * 7) / 7
    close(array.weights(), before - 0.5 * seen)


def test_negative_decay_grows_weights_through_readback():
    array = made(IDEAL)
    before = array.weights()
    array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), np.full(COLS, -0.1, F))
    close(array.weights(), before * 1.1)


def test_device_decay_shrinks_soft_bounds_columns_in_proportion():
    """A depression pulse removes step / |s_min| of the distance to the lower bound on both devices."""
    law = quiet()
    array = made(law, write=WritePath(decay_mode="device"))
    before, share = array.weights(), law.depression_share
    decay = np.zeros(COLS, F)
    decay[1], decay[2], decay[3] = 1.01 * share, 3.01 * share, 0.5 * share
    decay[4] = -0.9
    pulses = array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), decay)
    assert pulses == 2 * ROWS * (1 + 3)
    expected = before.copy()
    expected[:, 1] *= 1 - share
    expected[:, 2] *= (1 - share) ** 3
    close(array.weights(), expected)
    assert array.ledger.rows_read_back == 0
    array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), decay)
    expected[:, 1] *= 1 - share
    expected[:, 2] *= (1 - share) ** 3
    expected[:, 3] *= 1 - share
    close(array.weights(), expected)


@pytest.mark.parametrize("name", [PCM, IDEAL])
def test_device_decay_needs_proportional_depression(name):
    with pytest.raises(CapabilityError, match="readback"):
        Crossbar((3, 2), name, write=WritePath(decay_mode="device"))


def test_saturated_pcm_pairs_are_refreshed_and_counted_apart_from_pulses():
    array = made(PCM, write=WritePath(refresh=Refresh(every=3)), weights=np.zeros((ROWS, COLS)))
    rng = np.random.default_rng(0)
    given = 0
    for step in range(1, 61):
        post = np.where(rng.random((1, COLS)) < 0.5, -1, 1) * 0.13
        given += array.update(np.ones((1, ROWS)), post)
        assert array.ledger.refresh_looks == step // 3
    ledger = array.ledger
    assert ledger.refreshed_pairs > ROWS * COLS
    assert ledger.pulses == given
    each = 2 * 36 * PJ + 20 * 6.75 * PJ
    assert ledger.refresh_J == pytest.approx(ledger.refreshed_pairs * each, rel=1e-6)
    assert ledger.rows_read_back == 20 * ROWS
    g = array.conductance_uS().reshape(-1, 2)
    assert not ((g.max(axis=1) > 9) & (g.min(axis=1) > 3)).any(), "the last update ended in a look"
    never = made(PCM, write=WritePath(refresh=None))
    for _ in range(60):
        never.update(np.ones((1, ROWS)), np.full((1, COLS), 0.13))
    assert never.ledger.refresh_looks == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", BUILT_IN)
def test_updates_move_weights_the_way_that_is_asked(name, mode):
    """The mean change of many pairs follows +, - and 0 on every device in every mode."""
    coarse = devices.load(IDEAL).with_parameters(step_share=0.01)
    array = made(coarse if name == IDEAL else name, 60, 9, np.zeros((60, 9)), write=WritePath(refresh=None))
    before = array.weights()
    post = np.tile([0.2, -0.2, 0.0], (1, 3))
    returned = array.update(np.ones((1, 60)), post, mode=mode)
    moved = (array.weights() - before).mean(axis=0).reshape(3, 3).mean(axis=0)
    assert moved[0] > 0.01
    assert moved[1] < -0.01
    assert moved[2] == 0
    assert returned == array.ledger.pulses > 0


def test_the_gain_of_a_column_takes_its_decay_without_a_pulse():
    """w <- (1 - D) w + S, growth included, to rounding; a decay beyond a half waits for the next update."""
    weights = np.random.default_rng(0).normal(0, 0.2, (6, 4)).astype(np.float32)
    array = made(IDEAL, 6, 4, weights, write=WritePath(decay_mode="gain"))
    before, reads = array.weights(), array.ledger.rows_read_back
    decay = np.array([0.1, -0.2, 0.0, 0.8], np.float32)
    nothing = np.zeros((1, 6), np.float32), np.zeros((1, 4), np.float32)
    assert array.update(*nothing, decay) == 0
    np.testing.assert_allclose(array.weights(), before * (1 - np.minimum(decay, 0.5)), rtol=1e-5)
    array.update(*nothing, np.zeros(4, np.float32))
    np.testing.assert_allclose(array.weights()[:, 3], before[:, 3] * 0.5 * 0.7, rtol=1e-5)
    assert array.ledger.rows_read_back == reads
    np.testing.assert_allclose(array.column_norms(), np.linalg.norm(array.weights(), axis=0), rtol=1e-3)
    change = np.full((1, 6), 0.05, np.float32), np.ones((1, 4), np.float32)
    middle = array.weights()
    array.update(*change, np.full(4, 0.1, np.float32))
    np.testing.assert_allclose(array.weights() - 0.9 * middle, 0.05, atol=3 * array.weight_per_pulse)
    other = made(IDEAL, 6, 4, weights, write=WritePath(decay_mode="gain"))
    other.restore(array.snapshot())
    np.testing.assert_array_equal(other.weights(), array.weights())
    array.program(weights, w_max=array.w_max)
    np.testing.assert_allclose(
        array.weights(), weights, atol=array.weight_per_pulse, err_msg="gains start anew"
    )


def test_gains_hold_the_norms_that_columns_follow():
    """Soft bounds forget under pulses of both signs; every 20 updates the measured norms are given back."""
    write = WritePath(w_max=3.0, decay_mode="gain")
    array = Crossbar((60, 12), "rram-hfo2-om-2022", write=write, read=ReadPath(read_noise=None))
    draw = np.random.default_rng(0)
    array.program(0.3 * draw.normal(size=(60, 12)), w_max=array.w_max)
    rule = SoftHebb(inverse_temperature=1.0, rate_power=0.5, learning_rate=0.05, adaptive_gain=True)
    layer = Dense(array, rule, "mixed", norm_every=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippingWarning)
        for _ in range(100):
            layer.learn(draw.random((30, 60)).astype(np.float32))
    followed = np.sqrt(layer.state["norm_squared"])
    layer._measure_norms()
    assert max(layer.norm_errors) > 0.03, "what is given back"
    off = np.abs(np.linalg.norm(array.weights(), axis=0) / followed - 1)
    assert (off < 1e-3).mean() > 0.8, "but for columns that were halved on this occasion, by coarse steps"


@pytest.mark.parametrize("machine", [Crossbar, TorchCrossbar])
def test_a_column_that_is_followed_down_to_nothing_keeps_a_gain(machine):
    """At a rate far too high the norm that a rule follows can end at zero; the study went to pieces at the next measurement."""
    array = machine((20, 4), "ecram-li-tang-2018", write=WritePath(w_max=1.0, decay_mode="gain"))
    array.program(0.3 * np.random.default_rng(0).normal(size=(20, 4)), w_max=array.w_max)
    rule = SoftHebb(learning_rate=0.01, adaptive_gain=True)
    layer = (Dense if machine is Crossbar else TorchDense)(array, rule, "mixed", norm_every=2)
    x = np.random.default_rng(1).random((5, 20)).astype(np.float32)
    layer.learn(x)
    layer.state["norm_squared"][..., 1] = 0
    for _ in range(4):
        u = layer.learn(x)
    assert np.isfinite(to_numpy(u)).all()
    assert np.abs(to_numpy(array.weights())[..., 1]).max() < 0.05  # of 0.6: it begins anew


@pytest.mark.parametrize("faults", [None, Faults(spare_columns=3, placement="aware")])
def test_columns_are_scaled_by_their_gains(faults):
    weights = np.random.default_rng(0).normal(0, 0.2, (6, 4)).astype(np.float32)
    array = Crossbar((6, 4), IDEAL, faults=faults)
    array.program(weights, w_max=array.w_max)
    before, pulses = array.weights(), array.ledger.pulses
    factors = np.array([0.5, 1.0, 2.0, 1.5])
    array.scale_columns(factors)
    np.testing.assert_allclose(array.weights(), before * factors, rtol=1e-6)
    assert array.ledger.pulses == pulses
    with pytest.raises(InputError, match="stays positive"):
        array.scale_columns(np.zeros(4))


@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
def test_columns_that_outgrow_their_window_are_halved_and_keep_their_weights(mode):
    weights = np.random.default_rng(0).normal(0, 0.1, (50, 4)).astype(np.float32)
    weights[:, 2] *= 5
    law = devices.load(IDEAL).with_parameters(step_share=2.0**-20)
    array = Crossbar((50, 4), law, write=WritePath(w_max=1.2, decay_mode="gain"))
    array.program(weights, w_max=array.w_max)
    array.update(np.zeros((1, 50)), np.zeros((1, 4)), np.zeros(4), mode)
    before = array.weights()
    reads = array.ledger.rows_read_back
    array.column_norms()
    np.testing.assert_allclose(array.weights(), before, atol=1e-4)
    gains = array.snapshot()["uS_per_weight"]
    np.testing.assert_allclose(gains / gains[0], [1, 1, 0.5, 1])
    assert array.ledger.rows_read_back == reads + 2 * 50
    array.column_norms()
    np.testing.assert_array_equal(array.snapshot()["uS_per_weight"], gains, err_msg="once is enough")


@pytest.mark.parametrize("mode", ["accumulate", "online"])
@pytest.mark.parametrize(("field", "sign"), [("potentiate_every", 1), ("depress_every", -1)])
def test_changes_have_their_turn_by_updates_whatever_the_events(mode, field, sign):
    """An online update of one sample takes two events, a measured norm one: changes up had no turn at all."""
    array = Crossbar((6, 4), IDEAL, write=WritePath(decay_mode="gain", **{field: 2}))
    given = []
    for _ in range(6):
        given.append(array.update(np.ones((1, 6)), np.full((1, 4), 0.1 * sign), mode=mode) > 0)
        if mode != "online":
            array.column_norms()
    assert given == [False, True] * 3


@pytest.mark.parametrize("write", [{"potentiate_every": 2}, {"depress_every": 3}, {"pulse_limit": 1}])
@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
def test_columns_are_halved_whatever_the_turn_of_changes_and_their_limit(mode, write):
    """The gain is doubled in any case: pulses that were withheld or cut left weights twice as large."""
    law = devices.load(IDEAL).with_parameters(step_share=2.0**-12)
    weights = np.random.default_rng(0).normal(0, 0.5, (50, 4)).astype(np.float32)
    array = Crossbar((50, 4), law, write=WritePath(w_max=1.0, decay_mode="gain", **write))
    array.program(weights, w_max=1.0)
    array.update(np.zeros((1, 50)), np.zeros((1, 4)), np.zeros(4), mode)
    before, gains = array.weights(), array.snapshot()["uS_per_weight"]
    resumed = Crossbar((50, 4), law, write=WritePath(w_max=1.0, decay_mode="gain", **write))
    resumed.restore(array.snapshot())
    for each in (array, resumed):
        each.column_norms()
        np.testing.assert_allclose(each.snapshot()["uS_per_weight"], gains / 2)
        np.testing.assert_allclose(each.weights(), before, atol=2e-3)
    np.testing.assert_array_equal(array.conductance_uS(), resumed.conductance_uS())


def test_growth_that_depression_pulses_cannot_give_takes_off_later_decay():
    law = quiet()
    array = made(law, write=WritePath(decay_mode="device"))
    before = array.weights()
    for k in range(20):
        array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), np.full(COLS, 0.1 * (-1) ** (k + 1), F))
    np.testing.assert_allclose(array.weights(), before, rtol=1e-5)


@pytest.mark.parametrize(
    ("mode", "write", "words"),
    [
        ("online", {"pulse_limit": 3}, "pulse_train_slots"),
        ("online", {"flush_pulses": 4}, "single pulses"),
        ("online", {"prompt": True}, "accumulator"),
        ("accumulate", {"prompt": True}, "accumulator"),
        ("accumulate", {"pulse_limit": 5, "flush_pulses": 3}, "multiples of flush_pulses"),
    ],
)
def test_settings_that_a_mode_does_not_follow_are_refused(mode, write, words):
    array = Crossbar((4, 3), IDEAL, write=write)
    with pytest.raises(CapabilityError, match=words):
        array.update(np.ones((1, 4)), np.ones((1, 3)), mode=mode)
    Crossbar((4, 3), IDEAL, write={"pulse_limit": 31}).update(np.ones((1, 4)), np.ones((1, 3)), mode="online")


def test_a_limit_that_is_a_multiple_of_a_flush_is_kept():
    array = Crossbar((4, 3), IDEAL, write={"pulse_limit": 6, "flush_pulses": 3})
    array.update(np.ones((1, 4)), np.ones((1, 3)))
    assert array.worn.max() == 6
