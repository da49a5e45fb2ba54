"""A goodness for each block of a layer: Forward-Forward's updates against plain numpy, locations, machines, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from capability_helpers import RATE, states, together, weights
from scipy.special import expit
from test_torch_forward_forward import agree, begun, both

from neurosim import Crossbar, Dense, ForwardForwardExperiment, IdealArray, rules
from neurosim.core.errors import ConfigError
from neurosim.kernels import jit
from neurosim.network.local_fields import LocalFields
from neurosim.network.online import learn_each
from neurosim.study.run import study

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")

FF, FIELDS_KIND = "Forward-Forward", "local fields"
ROWS, COLS, BATCH = 20, 12, 9
PHASE = np.where(np.arange(BATCH) % 3, 1.0, -1.0)
GOODNESS = ["squares", "minus-squares", "sum", "minus-sum"]


def start(rows: int = ROWS, cols: int = COLS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.3, (rows, cols))


def batch(samples: int = BATCH, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(1).random((samples, rows))


def layer(rule: Any, given: np.ndarray | None = None) -> Dense:
    given = start() if given is None else given
    array = IdealArray(given.shape, "float64")
    array.program(given)
    return Dense(array, rule)


def signals(y: np.ndarray, phase: np.ndarray, goodness: str, threshold: float, blocks: int) -> np.ndarray:
    """t - p of each block of each sample (n, blocks)."""
    found = []
    for own in np.split(y, blocks, axis=1):
        total = (own**2 if goodness.endswith("squares") else own).sum(axis=1) - threshold * own.shape[1]
        found.append((phase > 0) - expit(-total if goodness.startswith("minus") else total))
    return np.transpose(found)


def learnt(
    w: np.ndarray, x: np.ndarray, phase: np.ndarray, blocks: int, goodness: str, least: float = 0.0
) -> np.ndarray:
    """One update of equation 1 in plain numpy, block by block, with the layer's own peer term and decay."""
    rate, peer, decay, threshold = 0.1, 0.2, 0.3, 0.7
    y = np.maximum(x @ w, 0)
    signal = signals(y, phase, goodness, threshold, blocks)
    mean = 0.45 + 0.1 * y[phase > 0].mean(axis=0)
    sign = -1.0 if goodness.startswith("minus") else 1.0
    change = -rate * decay * w
    for b, t in enumerate(phase):
        slope = y[b] if goodness.endswith("squares") else (y[b] > 0).astype(float)
        post = rate * sign * np.repeat(signal[b], w.shape[1] // blocks) * slope / (phase == t).sum()
        if t > 0:
            post = post + rate * peer * (mean.mean() - mean) / (phase == t).sum()
        post = np.where(np.repeat(np.abs(signal[b]) < least, w.shape[1] // blocks), 0, post)
        change = change + np.outer(x[b], post)
    return w + change


def rule_of(goodness: str, blocks: int, **more: Any) -> rules.ForwardForward:
    given: Any = {"goodness": goodness, "learning_rate": 0.1, "peer": 0.2, "decay": 0.3, "threshold": 0.7}
    return rules.ForwardForward(**given, blocks=blocks, **more)


@pytest.mark.parametrize("goodness", GOODNESS)
@pytest.mark.parametrize("blocks", [1, 3, 12])
def test_each_block_learns_by_its_own_goodness_as_plain_numpy_does(goodness: str, blocks: int) -> None:
    """Hinton, arXiv 2212.13345, section 6.3, with equation 1 for each block and footnote 9 for the layer: to 1e-9."""
    found = layer(rule_of(goodness, blocks))
    found.learn(batch(), PHASE)
    np.testing.assert_allclose(
        found.array.weights(), learnt(start(), batch(), PHASE, blocks, goodness), rtol=0, atol=1e-9
    )


def test_quiet_blocks_change_nothing_and_samples_are_skipped_where_all_are_quiet() -> None:
    x, least, blocks = batch(40), 0.25, 3
    phase = np.where(np.arange(40) % 3, 1.0, -1.0)
    quiet = np.abs(signals(np.maximum(x @ start(), 0), phase, "squares", 0.7, blocks)) < least
    assert 0 < quiet.all(axis=1).sum() < quiet.any(axis=1).sum() < 40
    found = layer(rule_of("squares", blocks, skip_quiet=least))
    change = found.rule(x, x @ start(), found.state, phase)
    assert len(change.pre) == len(change.post) == 40 - quiet.all(axis=1).sum()
    assert found.state["quiet"][0] == quiet.all(axis=1).sum()
    found = layer(rule_of("squares", blocks, skip_quiet=least))
    found.learn(x, phase)
    wanted = learnt(start(), x, phase, blocks, "squares", least)
    np.testing.assert_allclose(found.array.weights(), wanted, rtol=0, atol=1e-9)


def test_one_block_is_the_rule_as_it_was() -> None:
    default, stated = (layer(rules.ForwardForward(**more)) for more in ({}, {"blocks": 1}))
    for one in (default, stated):
        one.learn(batch(), PHASE)
    np.testing.assert_array_equal(default.array.weights(), stated.array.weights())


def test_labels_are_told_apart_by_the_sum_of_all_blocks() -> None:
    u = batch() @ start()
    one, several = rules.ForwardForward(), rules.ForwardForward(blocks=4)
    for a, b in zip(one.normalised(u), several.normalised(u), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(several.activity(u)[1], one.activity(u)[1], rtol=1e-12)


def test_a_block_a_location_is_a_goodness_for_each_location() -> None:
    """Columns of local receptive fields lie location by location: each learns as a layer of its own would."""
    seen = np.array([[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]])
    starts, x = [start(5, 4, seed) for seed in range(3)], batch(rows=9)
    x[:, -1] = 1
    each = [IdealArray((5, 4), "float64") for _ in starts]
    for array, given in zip(each, starts, strict=True):
        array.program(given)
    rule = rules.ForwardForward(learning_rate=0.1, peer=0.0)
    whole = Dense(LocalFields(seen, each, 9), rule.changed(blocks=3))
    whole.learn(x, PHASE)
    for given, array, places in zip(starts, each, seen, strict=True):
        alone = layer(rule, given)
        alone.learn(x[:, [*places, 8]], PHASE)
        np.testing.assert_allclose(array.weights(), alone.array.weights(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("more", [{}, {"skip_quiet": 0.3}])
def test_an_update_a_sample_is_that_of_reading_after_each(more: dict[str, Any]) -> None:
    rule = rules.ForwardForward(learning_rate=0.05, blocks=4, **more)
    fast, slow, x = layer(rule), layer(rule), batch(50)
    phase = np.tile([1.0, -1.0], 25)
    learn_each(fast, x, phase)
    for k in range(50):
        slow.learn(x[k : k + 1], phase[k : k + 1])
    np.testing.assert_allclose(fast.array.weights(), slow.array.weights(), rtol=0, atol=1e-10)


def test_what_has_no_meaning_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"blocks = 5: 12 neurons divide evenly by 1, 2, 3, 4, 6, 12 alone"):
        layer(rules.ForwardForward(blocks=5))
    with pytest.raises(ConfigError, match="leave out blocks, or jump"):
        rules.ForwardForward.parse({"blocks": 2, "jump": 0.3}, "rule")
    with pytest.raises(ConfigError, match="blocks"):
        rules.ForwardForward.parse({"blocks": 0}, "rule")
    with pytest.raises(ConfigError, match=r"arm a, layer 2: blocks = 4: 6 neurons divide"):
        begun(FF, {"settings": {"blocks": 4}}, widths=(8, 6))
    with pytest.raises(ConfigError, match=r"arm a, layer 1: blocks = 5: 36 neurons divide"):
        study(
            begun(FIELDS_KIND, {}).experiment.with_arms(
                [begun(FIELDS_KIND, {}).arm.changed(settings={"blocks": 5})]
            )
        )


def test_layers_may_have_blocks_of_their_own() -> None:
    layers = [{"neurons": 10, "settings": {"blocks": 5}}, {"neurons": 6, "settings": {"blocks": 2}}]
    settings = {"dataset": "digits", "train_images": 60, "batch": 10, "epochs": 1, "layer": layers}
    spec = ForwardForwardExperiment.parse({**settings, "arm": [{"name": "a"}]}, "test")
    assert [rule.blocks for rule in spec.rules_of(spec.arms()[0], 1)] == [5, 2]
    of_arm = {"name": "a", "layer": [{"settings": {"blocks": 10}}, {}]}
    spec = ForwardForwardExperiment.parse({**settings, "arm": [of_arm]}, "test")
    assert [rule.blocks for rule in spec.rules_of(spec.arms()[0], 1)] == [10, 2]


def test_what_is_not_used_is_in_no_name() -> None:
    plain, used = (
        json.loads(begun(FF, {"settings": {"learning_rate": RATE, **more}}).identity)
        for more in ({}, {"blocks": 2})
    )
    assert all("blocks" not in settings for _, settings in plain["rules"])
    assert all(settings["blocks"] == 2 for _, settings in used["rules"])


# Studies, machines


BLOCKED: dict[str, Any] = {"settings": {"learning_rate": RATE, "blocks": 2}}
QUIET: dict[str, Any] = {"settings": {**BLOCKED["settings"], "skip_quiet": 0.2}}
IDEAL: dict[str, Any] = {"device": None, "precision": "float64"}


@pytest.mark.parametrize(
    ("kind", "arm", "more"),
    [
        (FF, {**BLOCKED, **IDEAL}, {}),
        (FF, {**QUIET, "precision": "float64"}, {}),
        (FF, {**BLOCKED, **IDEAL, "momentum": 0.0}, {"online": True, "train_images": 40}),
        (FF, {**BLOCKED, **IDEAL}, {"recurrent": {"iterations": 2, "read_from": 1, "read_to": 2}}),
        (FIELDS_KIND, {"settings": {**BLOCKED["settings"], "blocks": 4}, "precision": "float64"}, {}),
    ],
    ids=["ideal", "PCM, quiet skipped", "sample by sample", "recurrent", "local fields"],
)
def test_torch_learns_the_same(kind: str, arm: dict[str, Any], more: dict[str, Any]) -> None:
    found = both(kind, arm, **more)
    agree(*found)
    plain = begun(kind, {**arm, "settings": {"learning_rate": RATE}}, **more)
    plain.run()
    assert states([plain]) != states([found[0]])


def test_a_batch_of_chips_learns_as_each_alone() -> None:
    arm = {**QUIET, "backend": "torch", "precision": "float64"}
    alone, beside = begun(FF, arm), begun(FF, {**arm, "together": 3}, seeds=3)
    for one in (alone, beside):
        one.run()
    for one, other in zip(weights([alone]), weights([beside]), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(alone.stack.quiet, beside.stack.quiet)


def test_the_bits_depend_on_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in (3, 1):
        monkeypatch.setattr(jit, "_threads", threads)
        one = begun(FF, QUIET, widths=(300, 200))
        one.run()
        found.append(states([one]))
    assert found[0] == found[1]


def test_it_goes_with_every_option_of_arrays_at_once() -> None:
    one = begun(FF, {**together(FF), **BLOCKED})
    one.run()
    assert 0 <= one.result()["accuracy"] <= 1


def test_devices_count_no_pulse_of_a_quiet_block() -> None:
    """Only the last block is awake: no device of another column is pulsed."""
    array = Crossbar((ROWS, COLS), "ecram-li-tang-2018", seed=1)
    given = np.zeros((ROWS, COLS))
    given[:, :-4] = -0.1  # off: a negative sample is quiet there
    given[:, -4:] = 0.1
    array.program(given)
    rule = rules.ForwardForward(learning_rate=0.5, blocks=3, skip_quiet=0.4, peer=0.0, decay=0.0)
    before = array.worn.copy()
    Dense(array, rule).learn(batch().astype(np.float32), -np.ones(BATCH))
    pulsed = (array.worn - before).reshape(ROWS, COLS, 2).any(axis=(0, 2))
    assert not pulsed[:-4].any()
    assert pulsed[-4:].any()
