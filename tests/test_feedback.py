"""Errors that come back by fixed random weights: the gradients of backpropagation where these are the transposed ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_deep_backprop import ARM, blocks, experiment, training

from neurosim import DeepArm
from neurosim.core.errors import ConfigError
from neurosim.reference.backprop import Block, EndToEnd
from neurosim.study.deep import deep

F = np.float32
SHAPE = (12, 12, 3)
FEEDBACKS = ("random", "direct", "targets")


def batch(seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((10, *SHAPE), F), rng.integers(0, 4, 10)


def net(feedback: Any, found: list[Block] | None = None) -> EndToEnd:
    return EndToEnd(found or blocks(), SHAPE, 4, dropout=0.3, feedback=feedback)


def gradients(one: EndToEnd, x: np.ndarray, y: np.ndarray) -> list[torch.Tensor]:
    """Of one mini-batch, from which nothing is learnt."""
    one.learn(x, y, rate=0.0)
    return [each.grad.clone() for each in one._parameters if each.grad is not None]


def with_head(one: EndToEnd) -> EndToEnd:
    """A head that starts at zero sends no error back: give it weights."""
    with torch.no_grad():
        one.weight += torch.from_numpy(np.random.default_rng(7).normal(0, 0.3, one.weight.shape).astype(F))
    return one


def test_by_the_transposed_weights_it_is_backpropagation() -> None:
    aligned, plain = with_head(net("random")), with_head(net("transposed"))
    aligned.fixed = [each.detach().clone() for each in aligned.kernels]
    aligned.head_fixed = aligned.weight.detach().clone()
    for ours, theirs in zip(gradients(aligned, *batch()), gradients(plain, *batch()), strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def test_sent_directly_by_the_heads_weights_the_last_block_learns_as_by_backpropagation() -> None:
    direct, plain = with_head(net("direct")), with_head(net("transposed"))
    direct.dropout = plain.dropout = 0.0
    direct.fixed[-1] = direct.weight.detach().clone()
    ours, theirs = gradients(direct, *batch()), gradients(plain, *batch())
    for number in (2, 3, 4):  # the last block, the head and its offsets
        torch.testing.assert_close(ours[number], theirs[number], rtol=1e-4, atol=1e-7)
    assert (ours[0] - theirs[0]).abs().max() > 1e-3, "the first goes its own way"


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_layers_learn_behind_a_head_that_is_zero(feedback: str) -> None:
    """By its own weights it would send nothing back."""
    assert gradients(net("transposed"), *batch())[0].abs().max() == 0
    assert all(each.abs().max() > 0 for each in gradients(net(feedback), *batch()))


def test_targets_need_no_answer() -> None:
    """What a block learns depends on images, labels and fixed feedback alone, whatever stands behind it."""
    found = blocks()
    behind = [*found[:1], *(each._replace(weights=-each.weights[::-1].copy()) for each in found[1:])]
    one, other = (with_head(net("targets", some)) for some in (found, behind))
    torch.testing.assert_close(gradients(one, *batch())[0], gradients(other, *batch())[0], rtol=0, atol=0)
    x, y = batch()
    mine = net("targets")
    with torch.enable_grad():
        answers: list[torch.Tensor] = []
        mine._answers(x, learns=True, apart=answers)
        wanted = -torch.nn.functional.one_hot(torch.from_numpy(y), 4).float() / len(y) @ mine.fixed[0]
        sum_of_products = (answers[0].permute(0, 2, 3, 1).flatten(1) * wanted).sum()
        (by_hand,) = torch.autograd.grad(sum_of_products, mine.kernels[0])
    torch.testing.assert_close(gradients(net("targets"), x, y)[0], by_hand, rtol=1e-5, atol=1e-8)


def test_each_is_a_baseline_of_the_deep_study(tmp_path: Path) -> None:
    arms = tuple(
        DeepArm(name=name, backpropagation={"epochs": 2, **({"feedback": name} if name != "plain" else {})})
        for name in ("plain", *FEEDBACKS)
    )
    spec = experiment(head_epochs=1, arm=(*arms, DeepArm(name="fixed layers", learns=False)))
    runs = {run["arm"]: run for run in deep(spec, tmp_path)["runs"]}
    assert "feedback" not in runs["plain"]["backpropagation"], "as kept runs of before have it"
    for name in FEEDBACKS:
        assert runs[name]["backpropagation"]["feedback"] == name
        assert runs[name]["accuracy"] > 0.2, "a tenth by chance"
        assert runs[name]["heads"][-1]["curve"]["loss"][-1] < runs[name]["heads"][-1]["curve"]["loss"][0]
    assert len({str(runs[name]["heads"][-1]["correct"]) for name in ("plain", *FEEDBACKS)}) == 4


def test_it_has_a_name_of_its_own_and_goes_on_with_the_same_bits() -> None:
    spec = experiment()
    identities = {training(spec).identity}
    for name in FEEDBACKS:
        arm = ARM.changed(backpropagation={"epochs": 3, "feedback": name})
        whole, cut = training(spec, arm=arm), training(spec, arm=arm)
        identities.add(whole.identity)
        for one in (whole, cut):
            for _ in range(3):
                one.step(np.arange(20))
                one.steps += 1
        fresh = training(spec, arm=arm)
        fresh.restore(cut.snapshot())
        fresh.steps = 3
        for one in (whole, fresh):
            one.step(np.arange(20, 40))
        for name_of, values in whole.snapshot().items():
            np.testing.assert_array_equal(fresh.snapshot()[name_of], values, err_msg=name_of)
    assert len(identities) == 4
    with pytest.raises(ConfigError, match="feedback"):
        ARM.changed(backpropagation={"epochs": 3, "feedback": "symmetric"})
