"""The baseline with labels: the same layers as the local rules' in torch, the same bits, resumed at any mini-batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import neurosim.data
from neurosim import Convolution, DeepArm, DeepExperiment, IdealArray, Pool, Stack
from neurosim.core.errors import CheckpointError, ConfigError, InputError
from neurosim.reference.backprop import Block, EndToEnd
from neurosim.reference.taught import torch_threads
from neurosim.rules import SoftHebb
from neurosim.study.deep import DeepTraining, deep
from neurosim.study.end_to_end import EndToEndTraining
from neurosim.study.store import unpack_bits

F = np.float32
ARM = DeepArm(name="backpropagation", backpropagation={"epochs": 3})
SHAPES = ((8, 5, 2, Pool("max", 4, 2, 1)), (12, 3, 1, Pool("mean", 2, 2, 0)), (6, 3, 0, Pool()))


def experiment(**changes: Any) -> DeepExperiment:
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 240, "test_images": 60, "width": 0.25, "depth": 2, "head_epochs": 2,
        "head_batch": 20, "arm": (ARM,), **changes,
    }  # fmt: skip
    return DeepExperiment(**settings)


def training(spec: DeepExperiment, depth: int = 2, arm: DeepArm = ARM) -> EndToEndTraining:
    data = neurosim.data.load("digits").subset(spec.train_images, spec.test_images)
    return EndToEndTraining(spec, arm, 0, data, depth)


def blocks(channels: int = 3, seed: int = 0) -> list[Block]:
    rng, found = np.random.default_rng(seed), []
    for neurons, kernel, pad, pool in SHAPES:
        weights = rng.normal(0, 0.3, (kernel * kernel * channels, neurons)).astype(F)
        found.append(Block(weights, kernel, pad, pool))
        channels = neurons
    return found


def stack(found: list[Block], shape: tuple[int, int, int]) -> Stack:
    layers = []
    for block in found:
        array = IdealArray(block.weights.shape)
        array.program(block.weights)
        rule = SoftHebb(inverse_temperature=1.0, learning_rate=0.1)
        around: dict[str, Any] = {"kernel": block.kernel, "pad": block.pad, "pool": block.pool}
        layers.append(Convolution(array, rule, shape, activation="relu", **around))
        shape = layers[-1].out_shape
    return Stack(layers)


@pytest.mark.parametrize("shape", [(12, 12, 3), (13, 17, 1), (32, 32, 3)])
def test_the_net_is_the_stack_of_convolutions(shape: tuple[int, int, int]):
    """Normalisation while it learns and afterwards, padding, patches, pooling and the order of features."""
    found = blocks(shape[2])
    ours, net = stack(found, shape), EndToEnd(found, shape, classes=4, dropout=0.0)
    rng = np.random.default_rng(1)
    for _ in range(3):
        x = rng.random((6, *shape), F)
        net.learn(x, np.zeros(6, np.int64), rate=0.0)
        for layer in ours.layers:
            x = layer.observe(x)
    for layer, (mean, variance) in zip(ours.layers, net.statistics, strict=True):
        np.testing.assert_allclose(layer.norm.mean, mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(layer.norm.variance, variance, rtol=1e-4)
    for block, weights in zip(found, net.kernel_weights(), strict=True):
        np.testing.assert_array_equal(block.weights, weights)
    x = rng.random((5, *shape), F)
    wanted = ours.forward(x)
    np.testing.assert_allclose(net.features(x), wanted.reshape(5, -1), rtol=1e-4, atol=1e-5)
    assert np.ptp(wanted) > 0.1


def test_a_step_is_adam_on_the_gradient_of_the_written_out_net():
    """Against plain modules of torch in double precision, ReLU before pooling."""
    shape, found = (12, 12, 3), blocks()
    rng = np.random.default_rng(2)
    x, y = rng.random((10, *shape), F), rng.integers(0, 4, 10)
    net = EndToEnd(found, shape, 4, dropout=0.0)
    kernels = [torch.from_numpy(each.weights).double() for each in found]
    kernels = [
        w.T.reshape(-1, block.kernel, block.kernel, len(w) // block.kernel**2).permute(0, 3, 1, 2)
        for w, block in zip(kernels, found, strict=True)
    ]
    kernels = [w.clone().requires_grad_() for w in kernels]
    head = torch.nn.Linear(net.weight.shape[1], 4).double()
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    adam = torch.optim.Adam([*kernels, *head.parameters()], lr=1e-3)
    for _ in range(4):
        out = torch.from_numpy(x).double().permute(0, 3, 1, 2)
        for block, w in zip(found, kernels, strict=True):
            out = functional.batch_norm(out, None, None, training=True, eps=1e-5)
            out = functional.relu(functional.conv2d(functional.pad(out, [block.pad] * 4, "reflect"), w))
            if block.pool.kind != "none":
                pool = functional.max_pool2d if block.pool.kind == "max" else functional.avg_pool2d
                out = pool(out, *block.pool[1:])
        loss = functional.cross_entropy(head(out.permute(0, 2, 3, 1).flatten(1)), torch.from_numpy(y))
        adam.zero_grad()
        loss.backward()
        adam.step()
        assert net.learn(x, y)[0] == pytest.approx(float(loss.detach()), rel=1e-4)
    moved = net.kernels[0].detach().double() - kernels[0].detach()
    assert moved.abs().mean() < 2e-5, "4 steps of 1e-3 each"


def test_it_learns_and_tells_its_course(tmp_path: Path):
    results = deep(experiment(head_epochs=1, arm=(DeepArm(name="ideal"), ARM)), tmp_path)
    local, ours = results["runs"]
    assert set(local) - {"along"} <= set(ours)
    assert [head["depth"] for head in ours["heads"]] == [1, 2]
    for head in ours["heads"]:
        assert set(local["heads"][0]) <= set(head)
        assert len(head["curve"]["loss"]) == len(head["curve"]["accuracy"]) == 3
        assert head["curve"]["loss"][-1] < head["curve"]["loss"][0]
        assert head["accuracy"] > 0.5
        assert unpack_bits(head["correct"], 60).mean() == pytest.approx(head["accuracy"])
    assert ours["backpropagation"] == {
        "epochs": 3, "learning_rate": 1e-3, "threads": 1, "batch": 20, "dropout": 0.5,
    }  # fmt: skip
    assert [(entry["arm"], entry["depth"]) for entry in results["summary"]][2:] == [
        ("backpropagation", 1),
        ("backpropagation", 2),
    ]


def test_finished_nets_are_not_trained_again(tmp_path: Path):
    one = deep(experiment(heads=(2,)), tmp_path)
    said: list[tuple[Any, ...]] = []

    def report(*told: Any) -> None:
        said.append(told)

    both = deep(experiment(head_epochs=7, batch=20), tmp_path, report)
    assert len(said) == said[-1][-1], "the net of depth 1 alone was trained"
    assert both["runs"][0]["heads"][1] == one["runs"][0]["heads"][0]
    said.clear()
    again = deep(experiment(arm=(ARM.changed(name="labels"),)), tmp_path, report)
    assert not said, "neither another name nor settings of local rules matter"
    assert again["runs"][0]["heads"] == both["runs"][0]["heads"]


def test_a_killed_training_ends_in_the_same_bits(tmp_path: Path):
    whole, first, second = (training(experiment()) for _ in range(3))
    whole.run()

    class Killed(Exception):
        pass

    def kill() -> None:
        if first.steps == first.batches + 3:
            first.save(tmp_path / "c.npz")
            raise Killed

    with pytest.raises(Killed):
        first.run(save=kill)
    second.resume(tmp_path / "c.npz")
    assert (second.steps, len(second.losses["loss"])) == (first.batches + 3, 1)
    second.run()
    assert second.losses == whole.losses
    for name, values in whole.net.snapshot().items():
        np.testing.assert_array_equal(second.net.snapshot()[name], values, err_msg=name)
    with pytest.raises(CheckpointError, match="another experiment"):
        training(experiment(dropout=0.2)).resume(tmp_path / "c.npz")
    second.save(tmp_path / "done.npz")
    assert (tmp_path / "done.npz").stat().st_size < 0.5 * (tmp_path / "c.npz").stat().st_size
    done = training(experiment())
    done.resume(tmp_path / "done.npz")
    assert done.result()["head"] == whole.result()["head"]


def test_a_checkpoint_of_another_net_is_refused():
    net, other = EndToEnd(blocks(), (12, 12, 3), 4), EndToEnd(blocks()[:2], (12, 12, 3), 4)
    with pytest.raises(CheckpointError, match="does not fit"):
        net.restore(other.snapshot())
    with pytest.raises(CheckpointError, match="does not fit"):
        other.restore({**other.snapshot(), "mean.0": np.zeros(1, F)})


def test_start_weights_are_those_of_the_other_arms_but_for_their_norm():
    spec = experiment(arm=(DeepArm(name="ideal"), ARM))
    local = DeepTraining(spec, spec.arm[0], 0, neurosim.data.load("digits").subset(240, 60))
    for layer, weights in zip(local.stack.layers, training(spec).net.kernel_weights(), strict=True):
        np.testing.assert_allclose(layer.array.weights() * 2**0.5 / 25, weights, rtol=1e-5)


def test_the_rate_is_halved_as_that_of_the_heads():
    found = training(experiment(), arm=ARM.changed(backpropagation={"epochs": 20}))
    assert [found._rate(epoch) for epoch in (0, 9, 10, 14, 15)] == [1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4]


def test_the_threads_of_torch_are_set_for_the_time_and_their_bits_repeat():
    rng = np.random.default_rng(3)
    x, y = rng.random((4, 12, 12, 3), F), rng.integers(0, 4, 4)
    nets = [EndToEnd(blocks(), (12, 12, 3), 4) for _ in range(2)]
    with torch_threads(2):
        losses = [[net.learn(x, y)[0] for _ in range(2)] for net in nets]
    assert losses[0] == losses[1]
    for one, other in zip(*(net.snapshot().values() for net in nets), strict=True):
        np.testing.assert_array_equal(one, other)
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hard": True}, "leave out hard"),
        ({"activation": "relu"}, "leave out activation"),
        ({"device": "ideal", "rule": "softhebb"}, "leave out device, rule"),
        ({"backpropagation": {"epochs": 0}}, "epochs"),
        ({"backpropagation": {"epoch": 3}}, "epoch"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(changes: dict[str, Any], words: str):
    arm = {"name": "a", "backpropagation": {"epochs": 3}, **changes}
    with pytest.raises(ConfigError, match=words):
        DeepExperiment.parse({"arm": [arm]}, "experiment")


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="do not fit"):
        EndToEnd(blocks(channels=3), (12, 12, 1), 4)
    with pytest.raises(InputError, match="nothing is left"):
        EndToEnd(blocks(), (4, 4, 3), 4)
    with pytest.raises(InputError, match="expected"):
        EndToEnd(blocks(), (12, 12, 3), 4).features(np.zeros((2, 13, 12, 3), F))
