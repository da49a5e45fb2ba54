"""SoftHebb against the formula of the paper, sample by sample, and as a learner of digits."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import HFO2, IDEAL, PCM

from neurosim import Crossbar, Dense, IdealArray, Vote, WritePath, data
from neurosim.core.errors import CapabilityError, CheckpointError, ConfigError
from neurosim.core.protocols import Array, Rule
from neurosim.core.seeds import generator
from neurosim.rules import SoftHebb, SoftHebbPaper

ROWS, COLS, BATCH = 20, 7, 9
F = np.float32


def start(seed: int = 0, reach: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, reach, (ROWS, COLS)).astype(F)


def batch(seed: int = 1, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).random((BATCH, rows), F)


def by_sample(rule: SoftHebb, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Oracle in float64: dw_k = eta_k / B sum_b y_bk (x_b - u_bk w_k), eta_k = eta |r_k - 1|^q.

    y is the softmax of u / tau; with the anti-Hebbian sign all but the winner of a sample are negated
    (Moraitis et al. 2021; Journe et al. 2022, arXiv 2209.11883; facts/softhebb.md section 1).
    """
    w, change = weights.astype(np.float64), np.zeros(weights.shape)
    eta = rule.learning_rate * (np.abs(np.linalg.norm(w, axis=0) - 1) + 1e-10) ** rule.rate_power
    for sample in x.astype(np.float64):
        u = sample @ w
        y = np.exp(rule.inverse_temperature * (u - u.max()))
        y /= y.sum()
        if rule.anti_hebbian:
            winner = int(u.argmax())
            y = np.array([y[k] if k == winner else -y[k] for k in range(w.shape[1])])
        for k in range(w.shape[1]):
            change[:, k] += eta[k] / len(x) * y[k] * (sample - u[k] * w[:, k])
    return change


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"anti_hebbian": True},
        {"inverse_temperature": 1.0, "learning_rate": 0.1},
        {"rate_power": 0.0},
        {"rate_power": 0.5, "inverse_temperature": 0.65, "anti_hebbian": True},
    ],
)
def test_the_rule_equals_the_formula_sample_by_sample(options):
    rule, array = SoftHebb(**options), IdealArray((ROWS, COLS), np.float64)
    array.program(start(), w_max=array.w_max)
    layer = Dense(array, rule, norm_every=1)
    for step in range(5):
        before = array.weights()
        expected = by_sample(rule, before, batch(step))
        layer.learn(batch(step))
        change = array.weights() - before
        np.testing.assert_allclose(change, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_the_change_is_pre_post_and_decay_only():
    rule, state = SoftHebb(), SoftHebb().state(ROWS, COLS)
    x = batch()
    u = x @ start()
    change = rule(x, u, state)
    assert change.pre is x
    assert change.rate is None
    assert change.post.shape == (BATCH, COLS)
    np.testing.assert_allclose(change.decay, (change.post * u).sum(axis=0), rtol=1e-5)
    assert (change.decay > 0).all()


def test_the_anti_hebbian_sign_is_plus_for_the_winner_and_minus_for_all_others():
    rule, plain = SoftHebb(anti_hebbian=True), SoftHebb()
    x = batch()
    u = x @ start()
    u[3] = 1.0
    signed = rule(x, u, rule.state(ROWS, COLS)).post
    unsigned = plain(x, u, plain.state(ROWS, COLS)).post
    np.testing.assert_allclose(np.abs(signed), unsigned, rtol=1e-6)
    for sample in range(BATCH):
        assert np.flatnonzero(signed[sample] > 0).tolist() == [int(u[sample].argmax())]
    assert signed[3, 0] > 0, "the first of equals wins"


def test_the_rate_vanishes_as_a_norm_reaches_one():
    rule, state = SoftHebb(learning_rate=0.3, rate_power=0.5), SoftHebb().state(ROWS, COLS)
    rule.observe_norms(np.array([1.0, 1.0, 1.25, 0.75, 2.0, 1.0, 0.0], F), state)
    rates = rule._rate(state)
    np.testing.assert_allclose(rates[[2, 3, 4, 6]], 0.3 * np.sqrt([0.25, 0.25, 1, 1]), rtol=1e-5)
    assert (rates[[0, 1, 5]] < 1e-4).all()


def test_large_currents_do_not_overflow_the_softmax():
    rule = SoftHebb(inverse_temperature=100.0)
    u = np.array([[1e4, -1e4, 0, 1e4, 0, 0, 0]], F)
    change = rule(batch()[:1], u, rule.state(ROWS, COLS))
    assert np.isfinite(change.post).all()
    assert np.isfinite(change.decay).all()


@pytest.mark.parametrize("anti_hebbian", [False, True])
def test_tracked_norms_are_exact_in_ideal_arithmetic(anti_hebbian):
    """r^2 grows by 2 D (1 - r^2) + |step|^2: after 50 updates without a measurement, within 1e-4."""
    array = IdealArray((ROWS, COLS), np.float64)
    array.program(start(reach=0.8), w_max=array.w_max)
    layer = Dense(array, SoftHebb(anti_hebbian=anti_hebbian, learning_rate=0.2), norm_every=1000)
    first = array.column_norms()
    for step in range(50):
        layer.learn(batch(step))
    exact = array.column_norms()
    tracked = np.sqrt(layer.state["norm_squared"])
    assert np.abs(exact / first - 1).max() > 0.05
    np.testing.assert_allclose(tracked, exact, rtol=1e-4)


def test_a_measurement_replaces_the_tracked_norms_and_reports_their_error():
    rule, state = SoftHebb(), SoftHebb().state(ROWS, COLS)
    rule.observe_norms(np.full(COLS, 2.0, F), state)
    np.testing.assert_allclose(state["tracking_error"], -0.5)
    np.testing.assert_allclose(state["norm_squared"], 4.0)
    array = IdealArray((ROWS, COLS))
    array.program(start(), w_max=array.w_max)
    layer = Dense(array, rule, norm_every=4)
    for step in range(9):
        layer.learn(batch(step))
    assert len(layer.norm_errors) == 2
    assert max(layer.norm_errors) < 1e-4


def test_the_paper_preset_divides_by_the_largest_change_of_the_layer():
    """Largest |dw_k| / eta_k over the layer is 1; the direction is that of the plain sum (facts 1, delta)."""
    rule, array = SoftHebbPaper(), IdealArray((ROWS, COLS), np.float64)
    assert (rule.inverse_temperature, rule.learning_rate, rule.rate_power) == (12.0, 0.045, 0.2)
    array.program(start(reach=9.0), w_max=array.w_max)
    layer = Dense(array, rule, norm_every=1)
    for step in range(4):
        before = array.weights()
        layer.learn(batch(step))
        eta = 0.045 * np.abs(np.linalg.norm(before, axis=0) - 1) ** 0.2
        relative = (array.weights() - before) / eta
        assert np.abs(relative).max() == pytest.approx(1, rel=1e-5)
        plain = by_sample(SoftHebb(learning_rate=0.045), before, batch(step)) / eta
        np.testing.assert_allclose(relative, plain / np.abs(plain).max(), atol=1e-4)


@pytest.mark.parametrize("device", [PCM, IDEAL])
def test_a_rule_of_ideal_arithmetic_only_is_refused_on_a_crossbar(device):
    with pytest.raises(CapabilityError, match=r"softhebb-paper.*ideal arithmetic only"):
        Dense(Crossbar((ROWS, COLS), device), SoftHebbPaper())
    Dense(IdealArray((ROWS, COLS)), SoftHebbPaper())


def test_rules_meet_their_protocol_and_refuse_unknown_options():
    for rule in (SoftHebb(), SoftHebbPaper()):
        assert isinstance(rule, Rule)
        for values in rule.state(ROWS, COLS).values():
            assert values.shape[-1] in (ROWS, COLS)
    with pytest.raises(ConfigError, match="did you mean 'learning_rate'"):
        SoftHebb.parse({"learning_rat": 0.1}, "rule")
    with pytest.raises(ConfigError, match="learning_rate = -1"):
        SoftHebb.parse({"learning_rate": -1.0}, "rule")


def test_a_layer_goes_on_from_a_snapshot_with_the_same_bits():
    def layer() -> Dense:
        array = Crossbar((ROWS, COLS), PCM, seed=3)
        array.program(start(), w_max=array.w_max)
        return Dense(array, SoftHebb(), "mixed", norm_every=3)

    one, other = layer(), layer()
    for step in range(4):
        one.learn(batch(step))
    saved = one.snapshot()
    other.restore(saved)
    for step in range(4, 9):
        np.testing.assert_array_equal(one.learn(batch(step)), other.learn(batch(step)))
    assert {name: value.tobytes() for name, value in one.snapshot().items()} == {
        name: value.tobytes() for name, value in other.snapshot().items()
    }


@pytest.mark.parametrize("missing", ["steps", "norm_errors", "rule.norm_squared", "array.weights"])
def test_an_incomplete_snapshot_of_a_layer_is_refused(missing):
    layer = Dense(IdealArray((ROWS, COLS)), SoftHebb())
    saved = layer.snapshot()
    del saved[missing]
    with pytest.raises(CheckpointError, match=missing.removeprefix("rule.").removeprefix("array.")):
        layer.restore(saved)


# Learning


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def vote(array: Array, digits: data.Dataset) -> float:
    training = digits.training(hold_out=True)
    fit = array.forward(digits.inputs(training.images)).argmax(axis=1)
    seen = array.forward(digits.inputs(digits.x_validation)).argmax(axis=1)
    return Vote(fit, training.labels, array.shape[1], digits.classes).accuracy(seen, digits.y_validation)


def train(array: Array, rule: Rule, digits: data.Dataset, epochs: int, mode: str = "accumulate") -> None:
    images = digits.training(hold_out=True).images
    layer = Dense(array, rule, mode, norm_every=20)
    for epoch in range(epochs):
        order = generator(0, "order", epoch).permutation(len(images))
        for k in range(0, len(images), 32):
            layer.learn(digits.inputs(images[order[k : k + 32]]))


def first_weights(rows: int, cols: int, radius: float = 2.5) -> np.ndarray:
    return generator(0, "start").random((rows, cols), F) * F(radius * np.sqrt(3 / rows))


def test_the_rule_learns_digits_in_ideal_arithmetic(digits):
    """The winner's vote of a trained layer beats that of the same layer untrained by more than 0.2."""
    array = IdealArray((digits.rows, 100))
    array.program(first_weights(digits.rows, 100), w_max=array.w_max)
    untrained = vote(array, digits)
    train(array, SoftHebb(learning_rate=0.2), digits, epochs=5)
    trained = vote(array, digits)
    assert trained > untrained + 0.2, (untrained, trained)
    assert trained > 0.75
    assert np.abs(array.column_norms() - 1).mean() < 0.25, "neurons that learn end near norm one"


@pytest.mark.parametrize("device", [PCM, HFO2])
def test_the_rule_learns_digits_on_devices(digits, device):
    array = Crossbar((digits.rows, 100), device, seed=1, write=WritePath(w_max=0.7))
    array.program(first_weights(digits.rows, 100), w_max=array.w_max)
    untrained = vote(array, digits)
    train(array, SoftHebb(learning_rate=0.2), digits, epochs=5, mode="mixed")
    assert vote(array, digits) > untrained + 0.1


def test_the_papers_normalisation_takes_no_gain_and_follows_no_norm():
    with pytest.raises(ConfigError, match="adaptive_gain stands for the division"):
        SoftHebbPaper(adaptive_gain=True)
    assert SoftHebbPaper().work(32, 100, 10).norms == 0 < SoftHebb().work(32, 100, 10).norms
