"""Equations 3 and 4 of arXiv 2212.13345: one update puts goodness where it belongs, and the layers above see no change."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import killed_and_resumed

import neurosim.data
from neurosim import (
    Crossbar,
    Dense,
    ForwardForwardArm,
    ForwardForwardExperiment,
    ForwardForwardStack,
    IdealArray,
    TorchDense,
    rules,
)
from neurosim.core.errors import CapabilityError, ConfigError
from neurosim.network.local_fields import LocalFields
from neurosim.reference.twin.arithmetic import TorchIdeal
from neurosim.study.forward_forward import ForwardForwardTraining

ROWS, COLS = 20, 8
GOODNESS = ["squares", "minus-squares"]
ALONE: dict[str, Any] = {"peer": 0.0, "decay": 0.0}
JUMP = ForwardForwardArm(name="jump", momentum=0.0, settings={"jump": 0.3, **ALONE})


def jumping(goodness: str = "squares", **settings: Any) -> rules.ForwardForward:
    given: dict[str, Any] = {"goodness": goodness, "threshold": 0.8, "jump": 0.3, **ALONE, **settings}
    return rules.ForwardForward(**given)


def layer(rule: Any, weights: np.ndarray) -> Dense:
    array = IdealArray(weights.shape, "float64")
    array.program(weights, w_max=array.w_max)
    return Dense(array, rule)


def stack(rule: Any, widths: tuple[int, ...] = (30, 20, 15, 10), scale: float = 1.0) -> ForwardForwardStack:
    draws = [
        np.random.default_rng(k).normal(0, scale / rows**0.5, (rows + 1, cols))
        for k, (rows, cols) in enumerate(pairwise(widths))
    ]
    return ForwardForwardStack([layer(rule, each) for each in draws])


def sample_of(total: float, phase: float = 1.0, **settings: Any) -> tuple[Dense, np.ndarray, np.ndarray]:
    """A layer, an input whose sum of squares it makes so large, and its currents before one jump."""
    rng = np.random.default_rng(3)
    weights = rng.normal(0.05, 0.4, (ROWS, COLS))
    x = rng.random((1, ROWS))
    y = np.maximum(x @ weights, 0)
    x *= np.sqrt(total / (y * y).sum())
    one = layer(jumping(**settings), weights)
    u: np.ndarray = one.learn(x, np.array([phase]))
    return one, x, u


# The jump


@pytest.mark.parametrize("goodness", GOODNESS)
@pytest.mark.parametrize("phase", [1.0, -1.0])
@pytest.mark.parametrize("start", [0.02, 5.0, 6.3, 6.5, 9.0, 300.0])
def test_goodness_lands_and_the_direction_stays(goodness: str, phase: float, start: float):
    """Between 0.5 and 1.1 of 8 neurons: what should rise goes up to 8.8, what should fall down to 4."""
    rises = (phase > 0) == (goodness == "squares")
    goal = 8 * (0.8 + 0.3) if rises else 8 * (0.8 - 0.3)
    moves = start < goal if rises else start > goal
    one, x, before = sample_of(start, phase, goodness=goodness)
    after = x @ one.array.weights()
    y, moved = np.maximum(before, 0), np.maximum(after, 0)
    assert (y * y).sum() == pytest.approx(start, rel=1e-12)
    assert (moved * moved).sum() == pytest.approx(goal if moves else start, rel=1e-12)
    np.testing.assert_allclose(moved, y * np.sqrt((moved * moved).sum() / start), rtol=1e-12)
    np.testing.assert_allclose(after[before < 0], before[before < 0], rtol=1e-12)
    assert 0 < (before < 0).sum() < COLS
    assert one.state["quiet"][0] == (not moves)


@pytest.mark.parametrize("goodness", GOODNESS)
@pytest.mark.parametrize("phase", [1, -1])
def test_all_layers_land_at_once_and_see_what_they_saw(goodness: str, phase: int):
    """Equation 3: the change of one sample leaves the normalised output of its layer, so all may change at once."""
    net = stack(jumping(goodness), scale=0.7 if (phase > 0) == (goodness == "squares") else 3)
    x = np.random.default_rng(7).random((1, 30))
    before = net.learn(*((x, x[:0]) if phase > 0 else (x[:0], x)))
    after = net.forward(x)
    rises = (phase > 0) == (goodness == "squares")
    wanted = np.array([20.0, 15.0, 10.0]) * (1.1 if rises else 0.5)
    np.testing.assert_allclose(np.abs(after.goodness[0]), wanted, rtol=1e-6)  # 1e-8 within the normalisation
    assert (np.sign(after.goodness - before.goodness) == phase).all()
    for one, other in zip(before.states, after.states, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-7)


def test_where_no_neuron_is_on_nothing_moves():
    one = layer(jumping(), np.full((ROWS, COLS), -1.0))
    one.learn(np.ones((1, ROWS)), np.ones(1))
    np.testing.assert_array_equal(one.array.weights(), -1.0)


def test_the_jump_falls_short_as_the_rate_falls():
    rule = jumping(rate_updates=100, rate_held=0.5)
    x, u = np.ones((1, ROWS)), np.full((1, COLS), 0.5)
    state = rule.state(ROWS, COLS)
    posts = []
    for updates in (0, 50, 75):
        state["updates"][:] = updates
        posts.append(rule(x, u, state, np.ones(1)).post)
    np.testing.assert_array_equal(posts[0], posts[1])
    np.testing.assert_allclose(posts[2], 0.5 * posts[0], rtol=1e-12)


def test_peer_term_and_decay_are_added_with_the_rate():
    settings: dict[str, Any] = {"peer": 0.3, "decay": 0.1, "learning_rate": 0.02}
    one, x, _ = sample_of(1.0, **settings)
    alone, _, _ = sample_of(1.0)
    start = np.random.default_rng(3).normal(0.05, 0.4, (ROWS, COLS))
    means = one.state["mean_activity"]
    wanted = 0.02 * 0.3 * np.outer(x[0], means.mean() - means) - 0.02 * 0.1 * start
    np.testing.assert_allclose(one.array.weights() - alone.array.weights(), wanted, rtol=1e-9, atol=1e-12)


def test_blocks_of_samples_jump_as_single_ones():
    fast, slow = stack(jumping()), stack(jumping())
    rng = np.random.default_rng(0)
    positive, negative = rng.random((150, 30)), rng.random((150, 30))
    answers = fast.learn_online(positive, negative)
    for k in range(150):
        one = slow.learn(positive[k : k + 1], negative[:0])
        other = slow.learn(positive[:0], negative[k : k + 1])
        pair = answers.goodness[2 * k : 2 * k + 2]
        np.testing.assert_allclose(pair, [one.goodness[0], other.goodness[0]], rtol=1e-6)
    np.testing.assert_array_equal(fast.quiet, slow.quiet)
    assert (fast.quiet[:, 1] == 300).all()


def test_devices_come_close():
    """A linear device with a fine step lands within its steps; samples on their side give no pulse."""
    array = Crossbar((ROWS, COLS), "ideal", seed=1)
    array.program(np.random.default_rng(3).normal(0.0, 0.2, (ROWS, COLS)), w_max=array.w_max)
    one = Dense(array, jumping(), "mixed")
    x = np.random.default_rng(4).random((1, ROWS))
    array.calibrate(x)
    before = float(np.square(np.maximum(one.learn(x, np.ones(1)), 0)).sum())
    pulses = array.ledger.pulses
    after = float(np.square(np.maximum(array.forward(x), 0)).sum())
    assert before < 4
    assert abs(after - 8.8) < 0.5
    assert pulses > 0
    one.rule = jumping(jump=0.1)
    one.learn(x, np.ones(1))
    assert array.ledger.pulses == pulses


# What makes no sense


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"goodness": "sum"}, "needs goodness 'squares' or 'minus-squares'"),
        ({"goodness": "minus-sum"}, "would turn the direction"),
        ({"jump": 0.8}, r"jump = 0\.8: must be below threshold = 0\.8"),
        ({"jump": 0.0}, "jump"),
        ({"skip_quiet": 0.01}, "leave out skip_quiet"),
    ],
)
def test_rules_that_cannot_jump_are_refused(settings: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        rules.ForwardForward.parse({"threshold": 0.8, "jump": 0.3, **settings}, "rule")


def test_mini_batches_are_refused():
    x = np.ones((2, 30))
    with pytest.raises(CapabilityError, match=r"single samples, got 2: use learn_online"):
        stack(jumping()).learn(x[:1], x[1:])
    twin = TorchDense(TorchIdeal((ROWS, COLS)), jumping())
    with pytest.raises(CapabilityError, match=r"single samples, got 2: use learn_online"):
        twin.learn(np.ones((2, ROWS)), np.ones(2))


def test_local_fields_are_refused():
    array = LocalFields(np.arange(20).reshape(2, 10), [IdealArray((11, 3)), IdealArray((11, 3))], 21)
    with pytest.raises(
        CapabilityError, match="layer 1 has local receptive fields: jump needs full connectivity"
    ):
        ForwardForwardStack([Dense(array, jumping())])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"online": False}, "arm jump, jump: for updates of single samples; set online = true"),
        ({"negatives_per_sample": 2}, "leave out negatives_per_sample"),
        (
            {"arm": [{"name": "a", "settings": {"jump": 0.3}}]},
            r"momentum = 0\.9: a filtered jump does not land",
        ),
    ],
)
def test_experiments_that_cannot_jump_are_refused(changes: dict[str, Any], words: str):
    given = {"online": True, "arm": [JUMP.model_dump()], **changes}
    with pytest.raises(ConfigError, match=words):
        ForwardForwardExperiment.parse(given, "experiment")


# Studies with an update a sample


def training(arm: ForwardForwardArm = JUMP, **changes: Any) -> ForwardForwardTraining:
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 100, "test_images": 40, "widths": (24, 16), "epochs": 2, "batch": 20,
        "curve_images": 30, "readout_epochs": 2, "online": True, "arm": (arm,), **changes,
    }  # fmt: skip
    spec = ForwardForwardExperiment(**settings)
    data = neurosim.data.load("digits").subset(spec.train_images, spec.test_images)
    return ForwardForwardTraining(spec, arm, 0, data)


@pytest.mark.parametrize("supervised", [True, False])
def test_a_killed_training_ends_in_the_same_bits(supervised: bool, tmp_path: Path):
    killed_and_resumed(lambda: training(supervised=supervised), tmp_path)


def test_layers_take_an_update_a_sample_and_rates_fall_over_all_of_them():
    found = training()
    found.run()
    for one in found.stack.layers:
        assert one.steps == 2 * 2 * 100
        assert one.state["updates"][0] == one.rule.rate_updates == 400  # type: ignore[union-attr]


@pytest.mark.parametrize("learns", [True, False])
def test_the_head_learns_from_positive_samples_alone(learns: bool):
    """With layers that hardly move it ends as with mini-batches, to rounding."""
    still = JUMP.changed(settings={"learning_rate": 1e-12}, learns=learns)
    heads = []
    for online in (True, False):
        one = training(still, supervised=False, online=online)
        one.run()
        heads.append(one.head.snapshot()["weights"])
    np.testing.assert_allclose(heads[0], heads[1], atol=1e-5 * np.abs(heads[1]).max())


def test_one_pass_with_jumps_learns_digits():
    found = training(train_images=None, test_images=None, widths=(100, 100), epochs=1, hold_out=True)
    found.run()
    assert found.curve[-1]["goodness"] > 0.6
