"""Rules beside SoftHebb: each against its equation, sample by sample; then what they learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import HFO2, PCM

from neurosim import Crossbar, Dense, IdealArray, LocalUpdate, rules
from neurosim.core import registry
from neurosim.core.errors import CapabilityError, ConfigError, InputError
from neurosim.core.protocols import LebesgueRule, Rule, needs_phase
from neurosim.reference.twin.softhebb import SoftHebbTwin

ROWS, COLS, BATCH = 20, 7, 9
F = np.float32
NAMES = registry.names("rule")
IDEAL_ONLY = [name for name in NAMES if registry.find("rule", name).ideal_only]
ON_DEVICES = [name for name in NAMES if name not in IDEAL_ONLY]


def start(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.1, 0.3, (ROWS, COLS)).astype(F)


def batch(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((BATCH, ROWS), F)


def phases(rule: Any) -> tuple[np.ndarray, ...]:
    """What a rule is given beside its inputs: the phases of a batch, if it needs them."""
    return (np.where(np.arange(BATCH) % 3, F(1), F(-1)),) if needs_phase(rule) else ()


def answers(rule: Any, u: np.ndarray) -> np.ndarray:
    """What the neurons make of one sample's currents: y = u, the winner, or the winner and -delta for the k-th."""
    if isinstance(rule, rules.HardWta | rules.KrotovHopfield):
        order = sorted(range(len(u)), key=lambda k: -u[k])
        y = np.zeros(len(u))
        y[order[0]] = 1
        if isinstance(rule, rules.KrotovHopfield):
            y[order[rule.rank - 1]] = -rule.delta
        return y
    return u


def forgotten(rule: Any, u: np.ndarray, w: np.ndarray, k: int) -> np.ndarray | float:
    """What y_k is multiplied by beside -x: nothing, w_k, u_k w_k, or sum_(j <= k) u_j w_j."""
    if isinstance(rule, rules.Sanger):
        return sum(u[j] * w[:, j] for j in range(k + 1))
    if isinstance(rule, rules.HebbDecay) or getattr(rule, "centres", False):
        return w[:, k]
    return 0.0 if type(rule) is rules.Hebb else u[k] * w[:, k]


def by_sample(rule: Any, weights: np.ndarray, x: np.ndarray, step: int = 0) -> np.ndarray:
    """dw_k = eta_k / B sum_b y_bk (x_b - what it forgets), in double precision; or divided by its largest magnitude."""
    w, change = weights.astype(np.float64), np.zeros(weights.shape)
    p = getattr(rule, "lebesgue_p", 2.0)
    for sample in x.astype(np.float64):
        u = sample @ (np.sign(w) * np.abs(w) ** (p - 1))
        y = answers(rule, u)
        for k in range(w.shape[1]):
            change[:, k] += y[k] * (sample - forgotten(rule, u, w, k))
    eta = rule.learning_rate * np.abs(np.linalg.norm(w, axis=0) - 1) ** rule.rate_power
    if rule.rate_updates:
        eta = eta * (1 - step / rule.rate_updates)
    return eta * change / (np.abs(change).max() if rule.normalised else len(x))


CASES = [
    rules.Hebb(),
    rules.HebbDecay(),
    rules.Oja(),
    rules.Oja(rate_power=0.5, rate_updates=20),
    rules.Sanger(),
    rules.Sanger(rate_power=0.5),
    rules.HardWta(),
    rules.HardWta(centres=True, rate_updates=8),
    rules.HardWta(rate_power=0.75),
    rules.KrotovHopfield(),
    rules.KrotovHopfield(rank=4, delta=0.1),
    rules.KrotovHopfieldPaper(),
    rules.KrotovHopfieldPaper(lebesgue_p=3.0, rank=3, rate_updates=10),
    rules.KrotovHopfieldPaper(lebesgue_p=1.5),
]


@pytest.mark.parametrize("rule", CASES, ids=str)
def test_a_rule_equals_its_equation_sample_by_sample(rule):
    """Oja 1982; Sanger 1989; Gerstner and Kistler 2002; Krotov and Hopfield 2019, equation 3."""
    assert isinstance(rule, Rule)
    array = IdealArray((ROWS, COLS), "float64")
    array.program(start(), w_max=array.w_max)
    layer = Dense(array, rule, norm_every=1)
    for step in range(5):
        before = array.weights()
        expected = by_sample(rule, before, batch(step), step)
        layer.learn(batch(step))
        np.testing.assert_allclose(
            array.weights() - before, expected, rtol=0, atol=1e-9 * np.abs(expected).max()
        )


@pytest.mark.parametrize("rule", [case for case in CASES if not case.ideal_only], ids=str)
def test_tracked_norms_are_exact_in_ideal_arithmetic(rule):
    array = IdealArray((ROWS, COLS), "float64")
    array.program(start(), w_max=array.w_max)
    layer = Dense(array, rule, norm_every=1000)
    first = array.column_norms()
    for step in range(20):
        layer.learn(batch(step))
    assert np.abs(array.column_norms() / first - 1).max() > 0.005
    np.testing.assert_allclose(np.sqrt(layer.state["norm_squared"]), array.column_norms(), rtol=1e-9)


@pytest.mark.parametrize("name", IDEAL_ONLY)
@pytest.mark.parametrize("device", [PCM, "ideal"])
def test_rules_of_ideal_arithmetic_only_are_refused_on_devices(name, device):
    with pytest.raises(CapabilityError, match=rf"{name}.*ideal arithmetic only"):
        Dense(Crossbar((ROWS, COLS), device), registry.find("rule", name)())


def test_which_rules_need_more_than_a_wire_carries():
    assert IDEAL_ONLY == ["krotov-hopfield-paper", "sanger", "softhebb-paper"]
    for name in ON_DEVICES:
        assert not isinstance(registry.find("rule", name)(), LebesgueRule)


@pytest.mark.parametrize("name", ON_DEVICES)
@pytest.mark.parametrize("device", [PCM, HFO2])
def test_every_other_rule_moves_devices(name, device):
    array = Crossbar((ROWS, COLS), device, seed=1)
    array.program(start(), w_max=array.w_max)
    change = Dense(array, registry.find("rule", name)(learning_rate=0.5))
    before = array.conductance_uS()
    change.learn(batch(), *phases(change.rule))
    assert (array.conductance_uS() != before).any()
    assert array.ledger.pulses > 0


def test_a_decay_between_columns_is_refused_by_devices_and_done_in_ideal_arithmetic():
    x, post, decay = batch(), np.ones((BATCH, COLS), F), np.triu(np.ones((COLS, COLS), F))
    with pytest.raises(InputError, match="decay"):
        Crossbar((ROWS, COLS), "ideal").update(x, post, decay)
    array = IdealArray((ROWS, COLS), "float64")
    array.program(start(), w_max=array.w_max)
    before = array.weights()
    array.apply(LocalUpdate(x, post, decay))
    np.testing.assert_allclose(array.weights(), before + x.T.astype(float) @ post - before @ decay, rtol=1e-6)


def test_neurons_beyond_the_layer_cannot_be_pushed_away():
    with pytest.raises(ConfigError, match=r"rank = 9: must be from 2 to 7"):
        Dense(IdealArray((ROWS, COLS)), rules.KrotovHopfield(rank=9))


def test_equal_currents_go_to_the_first():
    rule = rules.KrotovHopfield(rank=3, rate_power=0)
    post = rule(batch()[:1], np.ones((1, COLS), F), rule.state(ROWS, COLS)).post
    assert np.flatnonzero(post[0] > 0).tolist() == [0]
    assert np.flatnonzero(post[0] < 0).tolist() == [2]


# Rates


@pytest.mark.parametrize("name", NAMES)
def test_a_rate_falls_in_a_straight_line_and_goes_on_from_a_snapshot(name):
    """1 - t / rate_updates after t updates, never quite zero; the count is in the checkpoint."""
    constant = {"rate_power": 0} if "rate_power" in registry.find("rule", name).model_fields else {}
    rule = registry.find("rule", name)(rate_updates=4, learning_rate=0.2, **constant)
    layers = [Dense(IdealArray((ROWS, COLS)), rule) for _ in range(2)]
    for layer in layers:
        layer.array.program(start(), w_max=layer.array.w_max)
    rates = []
    for step in range(6):
        rates.append(rule._rate(layers[0].state)[0])
        layers[0].learn(batch(step), *phases(rule))
        if step == 2:
            layers[1].restore(layers[0].snapshot())
    np.testing.assert_allclose(rates, [0.2, 0.15, 0.1, 0.05, 0, 0], atol=1e-6)
    assert rates[-1] > 0
    assert rates[-1] < 1e-10
    for step in range(3, 6):
        layers[1].learn(batch(step), *phases(rule))
    np.testing.assert_array_equal(layers[0].array.weights(), layers[1].array.weights())


def test_a_rate_may_be_held_before_it_falls():
    rule = rules.Oja(rate_updates=8, rate_held=0.5, learning_rate=0.2)
    state, rates = rule.state(ROWS, COLS), []
    for _ in range(9):
        rates.append(rule._rate(state)[0])
        rule._count(state)
    np.testing.assert_allclose(rates, [0.2, 0.2, 0.2, 0.2, 0.2, 0.15, 0.1, 0.05, 0], atol=1e-6)


def test_a_constant_rate_needs_no_norm():
    rule, state = rules.Oja(learning_rate=0.3), rules.Oja().state(ROWS, COLS)
    assert "updates" not in state
    rule.observe_norms(np.linspace(0, 5, COLS, dtype=F), state)
    np.testing.assert_allclose(rule._rate(state), 0.3)
    with pytest.raises(ConfigError, match="rate_updates = 0"):
        rules.Oja.parse({"rate_updates": 0}, "rule")


# The bias of SoftHebb


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("anti_hebbian", [False, True])
def test_the_bias_follows_how_often_a_neuron_answers(anti_hebbian):
    """b starts at tau ln(1 / K); y = softmax((u + b) / tau); the prior exp(b / tau) goes to the mean of y."""
    rule = rules.SoftHebb(bias=True, bias_rate=0.5, anti_hebbian=anti_hebbian)
    t, eta = rule.inverse_temperature, rule.learning_rate
    w, state = start().astype(np.float64), rule.state(ROWS, COLS)
    state = {name: values.astype(np.float64) for name, values in state.items()}
    b = np.full(COLS, np.log(1 / COLS) / t)
    for step in range(4):
        rule.observe_norms(np.full(COLS, 2.0), state)
        x = batch(step).astype(np.float64)
        u = x @ w
        y = softmax(t * (u + b))
        signs = np.where(np.arange(COLS) == (u + b).argmax(axis=1)[:, None], 1, -1) if anti_hebbian else 1
        change = rule(x, u, state)
        np.testing.assert_allclose(change.post, eta * signs * y / BATCH, rtol=1e-7)
        np.testing.assert_allclose(change.decay, (eta * signs * y * u).sum(axis=0) / BATCH, rtol=1e-6)
        prior = np.exp(t * b)
        b = np.log(prior + 0.5 * eta * (y.mean(axis=0) - prior)) / t
        np.testing.assert_allclose(np.log(state["prior"] / COLS) / t, b, rtol=1e-7)


def test_the_bias_moves_as_published_while_the_rate_is_small():
    """Moraitis et al. 2021: delta b = eta tau (mean_b y / exp(b / tau) - 1)."""
    rule = rules.SoftHebb(bias=True, learning_rate=1e-4, rate_power=0, inverse_temperature=2.0)
    state = {name: values.astype(np.float64) for name, values in rule.state(ROWS, COLS).items()}
    u = batch().astype(np.float64) @ start()
    rule(batch(), u, state)
    published = 1e-4 / 2 * (softmax(2 * u).mean(axis=0) * COLS - 1)
    np.testing.assert_allclose(np.log(state["prior"]) / 2, published, rtol=1e-3)


def test_the_papers_bias_is_divided_by_its_largest_change():
    """facts: delta b = sum(y) / e^(t b) - batch, over its largest magnitude, times eta_k / t."""
    rule = rules.SoftHebbPaper(bias=True)
    t = rule.inverse_temperature
    state = {name: values.astype(np.float64) for name, values in rule.state(ROWS, COLS).items()}
    b, w = np.full(COLS, np.log(1 / COLS) / t), start().astype(np.float64)
    rule.observe_norms(np.linspace(2, 3, COLS), state)
    eta = 0.045 * np.linspace(1, 2, COLS) ** 0.2
    for step in range(3):
        u = batch(step) @ w
        rule(batch(step), u, state)
        change = softmax(t * (u + b)).sum(axis=0) / np.exp(t * b) - BATCH
        b += eta / t * change / np.abs(change).max()
        np.testing.assert_allclose(np.log(state["prior"] / COLS) / t, b, rtol=1e-7)


# What they learn


def gaussian(count: int = 2000) -> np.ndarray:
    """Samples whose principal components have variances 9, 4, 1.5 and below."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(ROWS, ROWS)))[0]
    return rng.normal(size=(count, ROWS)) * np.array([3, 2, 1.2, *[0.3] * (ROWS - 3)]) @ axes.T


def learned(
    rule: Rule, x: np.ndarray, cols: int, weights: np.ndarray, epochs: int, norm_every: int = 1
) -> np.ndarray:
    array = IdealArray((x.shape[1], cols), "float64")
    array.program(weights, w_max=array.w_max)
    layer = Dense(array, rule, norm_every=norm_every)
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(x))
        for k in range(0, len(x), 50):
            layer.learn(x[order[k : k + 50]])
    return array.weights()


def components(x: np.ndarray, count: int) -> np.ndarray:
    return np.linalg.eigh(x.T @ x / len(x))[1][:, ::-1][:, :count]


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        (rules.Oja(learning_rate=0.02, rate_updates=800), 1),
        (rules.Sanger(learning_rate=0.03, rate_updates=800), 3),
        (rules.Hebb(learning_rate=0.005), 1),
    ],
    ids=["oja", "sanger", "hebb"],
)
def test_principal_components_are_found(rule, count):
    """Oja the first, with norm one; Sanger the first three in order; Hebb the direction, without a bound."""
    x = gaussian()
    weights = np.random.default_rng(1).normal(0, 0.1, (ROWS, count))
    found = learned(rule, x, count, weights, epochs=20)
    norms = np.linalg.norm(found, axis=0)
    alike = np.abs((found / norms * components(x, count)).sum(axis=0))
    np.testing.assert_allclose(alike, 1, atol=1e-2)
    if type(rule) is rules.Hebb:
        assert norms[0] > 1e3
    else:
        np.testing.assert_allclose(norms, 1, atol=1e-2)


def clusters(count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = np.abs(rng.normal(size=(4, ROWS))) * (rng.random((4, ROWS)) < 0.5)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    members = rng.integers(0, 4, count)
    x = centres[members] + rng.normal(0, 0.05, (count, ROWS))
    return x, np.stack([x[members == k].mean(axis=0) for k in range(4)])


def near_samples(x: np.ndarray, members: list[int]) -> np.ndarray:
    return x[members].T + np.random.default_rng(2).normal(0, 0.05, (ROWS, len(members)))


@pytest.mark.parametrize(
    "rule",
    [
        rules.HardWta(centres=True, rate_updates=400),
        rules.HardWta(rate_updates=400),
        rules.KrotovHopfield(delta=0.02, rate_updates=400),
        rules.KrotovHopfieldPaper(delta=0.02, rate_updates=400),
        rules.SoftHebb(inverse_temperature=50.0, rate_power=0, learning_rate=0.1, rate_updates=400),
        rules.SoftHebb(
            inverse_temperature=50.0, rate_power=0, learning_rate=0.1, rate_updates=400, bias=True
        ),
    ],
    ids=str,
)
def test_competing_neurons_find_cluster_centres(rule):
    x, means = clusters()
    firsts = [int(np.argmin(np.linalg.norm(x - mean, axis=1))) for mean in means]
    found = learned(rule, x, 4, near_samples(x, firsts), epochs=20)
    wanted = (
        means.T if getattr(rule, "centres", False) else (means / np.linalg.norm(means, axis=1)[:, None]).T
    )
    np.testing.assert_allclose(found, wanted, atol=0.05)


def test_a_decaying_column_comes_to_the_mean_of_its_inputs_weighted_by_current():
    """Fixed point of y (x - w): w = <y x> / <y>."""
    x = np.random.default_rng(0).random((1000, ROWS)) ** 3
    found = learned(
        rules.HebbDecay(learning_rate=0.2, rate_updates=400), x, 1, np.full((ROWS, 1), 0.2), epochs=20
    )
    y = x @ found[:, 0]
    np.testing.assert_allclose(found[:, 0], (y[:, None] * x).mean(axis=0) / y.mean(), atol=1e-2)


@pytest.mark.parametrize("p", [1.5, 3.0])
def test_columns_come_to_lebesgue_norm_one(p):
    """Krotov and Hopfield 2019: sum_i |w_ij|^p goes to one."""
    x, _ = clusters()
    rule = rules.KrotovHopfieldPaper(lebesgue_p=p, delta=0.0, rate_updates=400)
    found = learned(rule, x, 2, np.random.default_rng(1).random((ROWS, 2)) * 0.2, epochs=20)
    norms = (np.abs(found) ** p).sum(axis=0)
    assert np.abs(norms - 1).min() < 0.02


@pytest.mark.parametrize("anti_hebbian", [False, True])
def test_answers_below_the_least_change_nothing_and_form_no_product(anti_hebbian: bool):
    rng = np.random.default_rng(2)
    x, u = rng.random((6, 9)).astype(np.float32), rng.standard_normal((6, 5)).astype(np.float32)
    x[:, 2] = 0
    free = rules.SoftHebb(inverse_temperature=1.5, anti_hebbian=anti_hebbian)
    least = free.changed(least_answer=0.15)
    whole, some = free(x, u, free.state(9, 5)), least(x, u, least.state(9, 5))
    softmax = np.exp(1.5 * u) / np.exp(1.5 * u).sum(axis=1, keepdims=True)
    quiet = softmax < 0.15
    assert 0 < quiet.sum() < quiet.size
    np.testing.assert_array_equal(some.post, np.where(quiet, 0, whole.post))
    np.testing.assert_allclose(some.decay, (some.post * u).sum(axis=0), rtol=1e-5)
    array = Crossbar((9, 5), HFO2)
    array.program(np.zeros((9, 5)), w_max=1.0)
    array.update(some.pre, some.post)
    assert array.ledger.macs == sum(8 * int((~row).sum()) for row in quiet)
    twin = SoftHebbTwin(least, "float32", torch.device("cpu"), None)
    again = twin(torch.from_numpy(x), torch.from_numpy(u), twin.state(9, 5))
    np.testing.assert_allclose(again.post.numpy(), some.post, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(again.decay.numpy(), some.decay, rtol=1e-4, atol=1e-7)
