"""Forward-Forward: the rule against its equations and differences, both phases as one update, filter, labels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from helpers import FINE, HFO2, PCM
from scipy.special import expit

from neurosim import (
    Convolution,
    Crossbar,
    Dense,
    ForwardForwardStack,
    IdealArray,
    TorchDense,
    WritePath,
    rules,
)
from neurosim.core.errors import CapabilityError, CheckpointError, ConfigError, InputError
from neurosim.core.protocols import PhasedRule
from neurosim.network.forward_forward import SoftmaxHead
from neurosim.network.online import learn_each
from neurosim.reference.twin.arithmetic import TorchIdeal

ROWS, COLS, BATCH = 20, 7, 9
F = np.float32
GOODNESS = ["squares", "minus-squares", "sum", "minus-sum"]
PLAIN: dict[str, Any] = {"peer": 0.0, "decay": 0.0}
PHASE = np.where(np.arange(BATCH) % 3, 1.0, -1.0)


def start(seed: int = 0, rows: int = ROWS, cols: int = COLS) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.1, 0.3, (rows, cols))


def batch(seed: int = 1, samples: int = BATCH, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).random((samples, rows))


def layer(rule: Any, weights: np.ndarray | None = None, **settings: Any) -> Dense:
    weights = start() if weights is None else weights
    array = IdealArray(weights.shape, "float64", **settings)
    array.program(weights, w_max=array.w_max)
    return Dense(array, rule)


def change(rule: Any, x: np.ndarray, phase: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    one = layer(rule, weights)
    before = one.array.weights()
    one.learn(x, phase)
    return one.array.weights() - before


def likelihood(rule: rules.ForwardForward, weights: np.ndarray, x: np.ndarray, phase: np.ndarray) -> float:
    """Mean log-likelihood of positive samples, and that of negative ones."""
    y = np.maximum(x @ weights, 0)
    total = (y * y).sum(axis=1) if "squares" in rule.goodness else y.sum(axis=1)
    sign = -1 if "minus" in rule.goodness else 1
    z = sign * (total - rule.threshold * y.shape[1]) / rule.temperature
    each = -np.logaddexp(0, -phase * z)
    return each[phase > 0].mean() + each[phase < 0].mean()


# The rule


@pytest.mark.parametrize("goodness", GOODNESS)
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_change_climbs_the_likelihood(goodness, temperature):
    """Hinton, arXiv 2212.13345, equation 1: central differences; the gradient of squares has a factor 2 more."""
    rule = rules.ForwardForward(
        goodness=goodness, temperature=temperature, learning_rate=0.3, threshold=0.8, **PLAIN
    )
    found = change(rule, batch(), PHASE) / rule.learning_rate
    for place in [(0, 0), (4, 3), (11, 6), (19, 2)]:
        ends = []
        for step in (1e-6, -1e-6):
            moved = start()
            moved[place] += step
            ends.append(likelihood(rule, moved, batch(), PHASE))
        slope = (ends[0] - ends[1]) / 2e-6 / (2 if "squares" in goodness else 1)
        assert found[place] == pytest.approx(slope, rel=1e-5, abs=1e-7)
    assert np.abs(found).max() > 1e-3


@pytest.mark.parametrize("goodness", GOODNESS)
def test_the_change_is_that_of_autograd(goodness):
    rule = rules.ForwardForward(goodness=goodness, learning_rate=0.3, **PLAIN)
    w = torch.tensor(start(), requires_grad=True)
    y = torch.relu(torch.from_numpy(batch()) @ w)
    g = (y.square() if "squares" in goodness else y).sum(dim=1) - COLS
    z = -g if "minus" in goodness else g
    target = torch.from_numpy((PHASE > 0).astype(float))
    losses = torch.nn.functional.binary_cross_entropy_with_logits(z, target, reduction="none")
    (losses[PHASE > 0].mean() + losses[PHASE < 0].mean()).backward()
    factor = 2 if "squares" in goodness else 1
    wanted = -0.3 * w.grad.numpy() / factor
    np.testing.assert_allclose(change(rule, batch(), PHASE), wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())


def test_the_peer_term_pulls_means_together_and_revives_the_dead():
    """Footnote 9 and the published code: means 0.9 / 0.1 from 0.5, positive samples only, not gated by y > 0."""
    weights = start()
    weights[:, 5] = -1
    one = layer(rules.ForwardForward(learning_rate=0.2, peer=0.3, decay=0), weights)
    plain = layer(rules.ForwardForward(learning_rate=0.2, **PLAIN), weights)
    m = np.full(COLS, 0.5)
    for step in range(3):
        x, w = batch(step), one.array.weights()
        plain.array.program(w, w_max=plain.array.w_max)
        one.learn(x, PHASE)
        plain.learn(x, PHASE)
        m = 0.9 * m + 0.1 * np.maximum(x[PHASE > 0] @ w, 0).mean(axis=0)
        np.testing.assert_allclose(one.state["mean_activity"], m, rtol=1e-12)
        wanted = 0.2 * 0.3 * np.outer(x[PHASE > 0].mean(axis=0), m.mean() - m)
        np.testing.assert_allclose(one.array.weights() - plain.array.weights(), wanted, atol=1e-12)
    assert (one.array.weights()[:, 5] > weights[:, 5]).all()


def test_decay_is_within_the_rate_and_passes_the_filter_by():
    rule = rules.ForwardForward(learning_rate=0.2, decay=0.05, peer=0)
    one = layer(rule, momentum=0.9)
    velocity = np.zeros((ROWS, COLS))
    for step in range(4):
        before = one.array.weights()
        wanted = change(rule.changed(decay=0.0), batch(step), PHASE, before)
        velocity = 0.9 * velocity + 0.1 * wanted
        one.learn(batch(step), PHASE)
        np.testing.assert_allclose(one.array.weights(), before * (1 - 0.01) + velocity, rtol=1e-12)


@pytest.mark.parametrize("goodness", GOODNESS)
def test_each_phase_has_one_sign(goodness):
    """Inputs and activities are not negative: positive data only raise weights and negative only lower them."""
    rule = rules.ForwardForward(goodness=goodness, **PLAIN)
    sign = -1 if "minus" in goodness else 1
    for phase in (1.0, -1.0):
        found = phase * sign * change(rule, batch(), np.full(BATCH, phase))
        assert (found >= 0).all()
        assert (found > 0).any()


def test_phases_apart_pulse_one_device_of_a_pair_each():
    """Section 8 of arXiv 2212.13345 on SET-only devices: positive data SET the plus devices, negative ones the minus."""
    rule = rules.ForwardForward(learning_rate=500.0, temperature=1000.0, **PLAIN)
    array = Crossbar((ROWS + 1, COLS), PCM, write=WritePath(refresh=None))
    array.program(np.abs(start(rows=ROWS + 1)), w_max=array.w_max)
    stack = ForwardForwardStack([Dense(array, rule, "mixed")])
    seen = [array.conductance_uS().copy()]
    learn = stack.layers[0].learn

    def watched(x: np.ndarray, phase: np.ndarray) -> np.ndarray:
        found = learn(x, phase)
        seen.append(array.conductance_uS().copy())
        return found

    stack.layers[0].learn = watched  # type: ignore[method-assign, assignment]
    answers = stack.learn_apart(batch().astype(F), batch(2, 4).astype(F))
    assert array.ledger.updates == 2
    assert answers.goodness.shape == (BATCH + 4, 1)
    assert [len(states) for states in answers.states] == [BATCH + 4]
    for moved, arm in zip(np.diff(seen, axis=0), (0, 1), strict=True):
        assert moved[:, arm::2].any()
        assert not moved[:, 1 - arm :: 2].any()


def test_both_phases_are_one_update_and_the_sum_of_two():
    rule = rules.ForwardForward(learning_rate=0.2, decay=0)
    x, positive = batch(), PHASE > 0
    both = change(rule, x, PHASE)
    apart = [change(rule, x[some], PHASE[some]) for some in (positive, ~positive)]
    np.testing.assert_allclose(both, apart[0] + apart[1], atol=1e-14)
    one = Dense(Crossbar((ROWS, COLS), PCM), rule)
    one.learn(x, PHASE)
    assert one.array.ledger.updates == 1


def test_quiet_samples_change_nothing_and_the_rest_is_as_it_was():
    rule = rules.ForwardForward(skip_quiet=0.4, learning_rate=0.2, **PLAIN)
    x = batch() * np.linspace(0.2, 2, BATCH)[:, None]
    y = np.maximum(x @ start(), 0)
    signal = (PHASE > 0) - expit((y * y).sum(axis=1) - COLS)
    loud = np.abs(signal) >= 0.4
    assert 2 < loud.sum() < BATCH - 2
    state = rule.state(ROWS, COLS)
    given = rule(x, x @ start(), state, PHASE)
    everything = rule.changed(skip_quiet=0.0)(x, x @ start(), rule.state(ROWS, COLS), PHASE)
    np.testing.assert_array_equal(given.pre, x[loud])
    np.testing.assert_array_equal(given.post, everything.post[loud])
    assert (state["quiet"][0], state["samples"][0]) == (BATCH - loud.sum(), BATCH)
    np.testing.assert_allclose(
        change(rule, x, PHASE), 0.2 * sample_sum(x, y, signal, loud), rtol=1e-9, atol=1e-15
    )
    twin = TorchDense(TorchIdeal((ROWS, COLS), "float64"), rule)
    twin.array.program(start(), w_max=twin.array.w_max)
    twin.learn(x, PHASE)
    np.testing.assert_allclose(twin.array.weights().numpy() - start(), change(rule, x, PHASE), atol=1e-14)


def sample_sum(x: np.ndarray, y: np.ndarray, signal: np.ndarray, loud: np.ndarray) -> np.ndarray:
    """Hinton's change, sample by sample: each phase is divided by all its samples, quiet ones too."""
    total = np.zeros((ROWS, COLS))
    for b in np.flatnonzero(loud):
        total += signal[b] * np.outer(x[b], y[b]) / (PHASE[b] == PHASE).sum()
    return total


@pytest.mark.parametrize("device", [PCM, HFO2])
def test_an_update_of_quiet_samples_alone_gives_no_pulse(device):
    rule = rules.ForwardForward(skip_quiet=0.5, threshold=100, **PLAIN)
    for mode in ("accumulate", "mixed", "online"):
        one = Dense(Crossbar((ROWS, COLS), device, seed=1), rule, mode)
        one.learn(batch(), -np.ones(BATCH))
        assert one.array.ledger.pulses == 0
        assert one.state["quiet"][0] == BATCH


def test_a_rule_with_phases_says_what_it_needs():
    one = Dense(IdealArray((ROWS, COLS)), rules.ForwardForward())
    assert isinstance(one.rule, PhasedRule)
    with pytest.raises(CapabilityError, match="needs the phase of each sample: give phase"):
        one.learn(batch())
    with pytest.raises(CapabilityError, match="'oja' takes no phase: leave out"):
        Dense(IdealArray((ROWS, COLS)), rules.Oja()).learn(batch(), PHASE)
    for wrong in (PHASE[:-1], PHASE * 2, np.zeros(BATCH)):
        with pytest.raises(InputError, match="expected 9 numbers that are 1"):
            one.learn(batch(), wrong)
    convolution = Convolution(IdealArray((9, 4)), rules.ForwardForward(), (5, 5, 1), kernel=3)
    with pytest.raises(CapabilityError, match="needs the phase"):
        convolution.learn(np.ones((2, 5, 5, 1), F))
    for settings, words in (
        ({"goodness": "cubes"}, "goodness"),
        ({"skip_quiet": 1.0}, "skip_quiet"),
        ({"thresold": 1}, "threshold"),
    ):
        with pytest.raises(ConfigError, match=words):
            rules.ForwardForward.parse(settings, "rule")


# The filter


@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
def test_the_filter_gives_what_it_says_and_goes_on_from_a_snapshot(mode):
    """V = 0.75 V + 0.25 change (the recipe of ffnew.m has 0.9 and 0.1), one number more a synapse."""
    write = WritePath(momentum=0.75, flush_pulses=1)
    array = Crossbar((ROWS, COLS), FINE, seed=3, write=write)
    array.program(start() / 3, w_max=array.w_max)
    pre, post = batch().astype(F), np.random.default_rng(3).normal(0, 2e-3, (BATCH, COLS)).astype(F)
    array.update(pre, post, mode=mode)
    np.testing.assert_allclose(array.snapshot()["velocity"], 0.25 * pre.T @ post, rtol=1e-4, atol=1e-8)
    array.update(pre, 0 * post, mode=mode)
    np.testing.assert_allclose(array.snapshot()["velocity"], 0.1875 * pre.T @ post, rtol=1e-4, atol=1e-8)
    other = Crossbar((ROWS, COLS), FINE, seed=3, write=write)
    other.restore(array.snapshot())
    for each in (array, other):
        each.update(pre, post, mode=mode)
    np.testing.assert_array_equal(array.conductance_uS(), other.conductance_uS())
    saved = array.snapshot()
    del saved["velocity"]
    with pytest.raises(CheckpointError, match="velocity"):
        other.restore(saved)


def test_the_filter_costs_memory_accesses_and_is_refused_where_nothing_is_summed():
    energies = []
    for momentum in (None, 0.9):
        array = Crossbar((ROWS, COLS), "ideal", write=WritePath(momentum=momentum))
        array.update(np.ones((1, ROWS)), np.full((1, COLS), 1e-9), mode="mixed")
        energies.append(array.ledger.write_periphery_J)
    synapses, chip = ROWS * COLS, array.periphery
    wanted = synapses * (2 * chip.memory_access_pJ + chip.mac_pJ) * 1e-12
    assert energies[1] - energies[0] == pytest.approx(wanted, rel=1e-9)
    with pytest.raises(CapabilityError, match=r"write\.momentum follows the sweeps"):
        array.update(np.ones((1, ROWS)), np.ones((1, COLS)), mode="online")
    with pytest.raises(InputError, match=r"momentum = 1\.5: must lie between 0 and 1"):
        IdealArray((2, 2), momentum=1.5)
    ideal = IdealArray((ROWS, COLS), momentum=0.9)
    with pytest.raises(CheckpointError, match="velocity"):
        ideal.restore(IdealArray((ROWS, COLS)).snapshot())


# Layers


def stack(rule: Any, widths: tuple[int, ...] = (30, 20, 15), scale: float = 1.0) -> ForwardForwardStack:
    layers = []
    for number, (rows, cols) in enumerate(pairwise(widths)):
        draws = np.random.default_rng(number).normal(0, scale / rows**0.5, (rows + 1, cols))
        layers.append(layer(rule, draws))
    return ForwardForwardStack(layers)


@pytest.mark.parametrize("goodness", GOODNESS)
def test_layers_learn_all_at_once_from_directions(goodness):
    """Against plain numpy: inputs of rms (mean) one, ReLU, a bias, the state of each layer before its update."""
    net = stack(rules.ForwardForward(goodness=goodness, learning_rate=0.02, **PLAIN))
    before = [each.array.weights() for each in net.layers]
    positive, negative = batch(1, 6, 30), batch(2, 6, 30)
    answers = net.learn(positive, negative)
    x = np.concatenate([positive, negative])
    t = np.repeat([1.0, 0.0], 6)
    sign = -1 if "minus" in goodness else 1
    squares = "squares" in goodness

    def directed(y: np.ndarray) -> np.ndarray:
        length = np.sqrt((y * y).mean(axis=1)) if squares else y.mean(axis=1)
        return y / (length[:, None] + 1e-8)

    h = directed(x)
    for number, w in enumerate(before):
        inputs = np.hstack([h, np.ones((12, 1))])
        y = np.maximum(inputs @ w, 0)
        g = sign * (y * y if squares else y).sum(axis=1)
        np.testing.assert_allclose(answers.goodness[:, number], g, rtol=1e-12)
        s = t - expit(g - sign * w.shape[1])
        post = sign * s[:, None] * (y if squares else (y > 0)) * 0.02 / 6
        np.testing.assert_allclose(
            net.layers[number].array.weights() - w, inputs.T @ post, rtol=1e-9, atol=1e-14
        )
        h = directed(y)
        np.testing.assert_allclose(answers.states[number], h, rtol=1e-12, atol=1e-14)


def test_one_sample_is_learnt_in_one_step_by_all_layers_at_once():
    """Hinton, equations 3 and 4: the change keeps the direction, and with |x| = 1 the rate sqrt(S / S_L) - 1 puts the
    goodness at S. Here |x|^2 is rows + 1, with the bias, and a rate is divided by that and by the signal."""
    net = stack(rules.ForwardForward(**PLAIN))
    x = batch(4, 1, 30)
    answers, wanted = net.forward(x), [30.0, 25.0]
    for number, (each, target) in enumerate(zip(net.layers, wanted, strict=True)):
        g, rule = answers.goodness[:, number], net.rules[number]
        length = each.array.shape[0] if number == 0 else (answers.states[number - 1] ** 2).sum() + 1
        jump = np.sqrt(target / g[0]) - 1
        signal = rule.signal(g, each.array.shape[1], np.ones(1))[0]
        each.rule = rule.changed(learning_rate=float(jump / length / signal))
    net.learn(x, x[:0])
    after = net.forward(x)
    np.testing.assert_allclose(after.goodness[0], wanted, rtol=1e-6)
    for one, other in zip(answers.states, after.states, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 1.0])
@pytest.mark.parametrize("peer", [0.0, 0.03])
def test_an_update_a_sample_is_that_of_single_samples(decay, peer):
    rule = rules.ForwardForward(learning_rate=0.002, decay=decay, peer=peer)
    fast, slow = stack(rule), stack(rule)
    positive, negative = batch(1, 150, 30), batch(2, 150, 30)
    answers = fast.learn_online(positive, negative)
    for k in range(150):
        one = slow.learn(positive[k : k + 1], negative[:0])
        other = slow.learn(positive[:0], negative[k : k + 1])
        np.testing.assert_allclose(answers.goodness[2 * k], one.goodness[0], rtol=1e-7)
        np.testing.assert_allclose(answers.goodness[2 * k + 1], other.goodness[0], rtol=1e-7)
    for one, other in zip(fast.layers, slow.layers, strict=True):
        assert one.steps == other.steps == 300
        np.testing.assert_allclose(one.array.weights(), other.array.weights(), rtol=1e-6, atol=1e-10)
    with pytest.raises(InputError, match="as many of each"):
        fast.learn_online(positive, negative[:3])


@pytest.mark.parametrize(
    "rule", [rules.Oja(learning_rate=0.4), rules.SoftHebb(), rules.HardWta(learning_rate=0.9)], ids=str
)
def test_any_local_rule_learns_sample_by_sample_in_blocks(rule):
    """Also with decay so strong that blocks end, and norms that are measured in between."""
    fast, slow = (layer(rule, start() / 2) for _ in range(2))
    x = batch(5, 300) / 3
    u = learn_each(fast, x)
    each = np.concatenate([slow.learn(x[k : k + 1]) for k in range(300)])
    np.testing.assert_allclose(u, each, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(fast.array.weights(), slow.array.weights(), rtol=1e-7, atol=1e-9)


def test_devices_learn_sample_by_sample_too():
    arrays = [Crossbar((ROWS, COLS), HFO2, seed=2) for _ in range(2)]
    fast, slow = (Dense(array, rules.ForwardForward(learning_rate=0.1)) for array in arrays)
    learn_each(fast, batch(), PHASE)
    for k in range(BATCH):
        slow.learn(batch()[k : k + 1], PHASE[k : k + 1])
    np.testing.assert_array_equal(arrays[0].conductance_uS(), arrays[1].conductance_uS())


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="layer 1 has 20 outputs, layer 2 takes 15, and a bias"):
        ForwardForwardStack(
            [layer(rules.ForwardForward(), start(rows=r, cols=c)) for r, c in ((9, 20), (16, 4))]
        )
    with pytest.raises(CapabilityError, match="layer 1 learns by 'oja'"):
        ForwardForwardStack([layer(rules.Oja())])
    with pytest.raises(InputError, match="at least one"):
        ForwardForwardStack([])
    with pytest.raises(InputError, match=r"layer 1 takes \(n, 30\)"):
        stack(rules.ForwardForward()).forward(batch())


def test_the_head_learns_as_written():
    """V = 0.9 V + 0.1 h' (onehot - p) / B, w += gain 0.1 (V - 0.003 w): ffnew.m."""
    head, w, v = SoftmaxHead(8, 3), np.zeros((8, 3)), np.zeros((8, 3))
    rng = np.random.default_rng(0)
    for gain in (1.0, 1.0, 0.5):
        h, labels = rng.random((5, 8)), rng.integers(0, 3, 5)
        scores = h @ w
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        v = 0.9 * v + 0.1 * h.T @ (np.eye(3)[labels] - p) / 5
        w = w + gain * 0.1 * (v - 0.003 * w)
        np.testing.assert_allclose(head.learn(h, labels, gain), scores, atol=1e-6)
    np.testing.assert_allclose(head.snapshot()["weights"], w, atol=1e-6)
    with pytest.raises(CheckpointError, match="weights"):
        head.restore(SoftmaxHead(8, 4).snapshot())
