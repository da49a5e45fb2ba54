"""Convolutions on the torch backend: each operation against numba's, no look at the host, and whole studies that agree."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from helpers import PCM

from neurosim import (
    Convolution,
    Crossbar,
    DeepArm,
    DeepExperiment,
    Dense,
    IdealArray,
    Layer,
    Neurons,
    Pool,
    ReadPath,
    Stack,
    TorchConvolution,
    TorchCrossbar,
    TorchDense,
    WritePath,
    data,
)
from neurosim.core.errors import CapabilityError, CheckpointError, ConfigError, InputError
from neurosim.core.protocols import Precision
from neurosim.network import convolution
from neurosim.network.images import Activation, ChannelNorm, Statistics, activate
from neurosim.reference.twin import images as twin
from neurosim.reference.twin.arithmetic import TorchIdeal
from neurosim.rules import ForwardForward, SoftHebb
from neurosim.study.deep import DeepTraining
from neurosim.study.validate import TWINS_DIFFER

CPU = torch.device("cpu")
TOLERANCE: dict[Precision, float] = {"float32": 2e-6, "float64": 1e-13}
LEARNS: dict[str, Any] = {"rule": "softhebb", "learning_rate": (0.1, 0.1), "start_radius": 2.5}
ARMS = (
    DeepArm(name="exact"),
    DeepArm(name="winner", rule="krotov-hopfield", settings={"learning_rate": 0.01}, start_radius=2.5),
    DeepArm(name="PCM", device=PCM, mode="mixed", **LEARNS),
    DeepArm(
        name="gains", device=PCM, mode="mixed", neurons=Neurons(power_spread=0.2, gain_spread=0.1, saturation=9.0),
        statistics="running", activation="repu", write={"decay_mode": "gain"}, **LEARNS,
    ),
)  # fmt: skip
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def some(*shape: int, precision: Precision = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(precision)


def layer(
    array: Any, kind: type[Convolution] = TorchConvolution, size: tuple[int, int] = (8, 7), **more: Any
) -> Any:
    """A layer of 3 x 3 kernels on images of two channels, its array programmed."""
    array.program(0.2 * some(18, 6, seed=3), w_max=array.w_max)
    settings: dict[str, Any] = {"kernel": 3, "pad": 1, "power": 0.7, "pool": Pool("max", 4, 2, 1), **more}
    return kind(array, SoftHebb(anti_hebbian=True, inverse_temperature=1.0), (*size, 2), **settings)


def noisy(kind: type[Any], **more: Any) -> Any:
    read = ReadPath(dac_bits=8, adc_bits=8, read_noise="card")
    return kind((18, 6), PCM, seed=4, read=read, write=WritePath(w_max=1.0, pulse_limit=4), **more)


@pytest.mark.parametrize("precision", get_args(Precision))
@pytest.mark.parametrize(("kernel", "pad"), [(1, 0), (3, 0), (3, 1), (5, 3), (4, 2)])
def test_patches_are_those_of_the_kernel(precision: Precision, kernel: int, pad: int):
    images, cols = some(3, 6, 5, 2, precision=precision), 4
    arrays = IdealArray((kernel**2 * 2, cols), precision), TorchIdeal((kernel**2 * 2, cols), precision)
    one, other = (
        kind(array, SoftHebb(), (6, 5, 2), kernel=kernel, pad=pad)
        for kind, array in zip((Convolution, TorchConvolution), arrays, strict=True)
    )
    for span in ((0, None), (0, 1), (1, one.size[0])):
        found = other.patches(torch.from_numpy(images), *span)
        np.testing.assert_array_equal(found, one.patches(images, *span))


@pytest.mark.parametrize("precision", get_args(Precision))
@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize(
    "pool", [Pool(), Pool("max", 4, 2, 1), Pool("max", 3, 2, 2), Pool("mean", 2, 2), Pool("mean", 3, 2, 2)]
)
def test_activation_and_pooling_are_those_of_numba(precision: Precision, activation: Activation, pool: Pool):
    u = some(2, 9, 7, 5, precision=precision)
    for power in (0.7, 1.0):
        found = twin.activate(torch.from_numpy(u), power, pool, activation)
        wanted = activate(u.copy(), power, pool, activation)
        tolerance = TOLERANCE[precision]
        np.testing.assert_allclose(found, wanted, rtol=10 * tolerance, atol=tolerance)
    with pytest.raises(ConfigError, match="must be one of"):
        twin.activate(torch.from_numpy(u), 1.0, pool, "sigmoid")  # type: ignore[arg-type]


@pytest.mark.parametrize("statistics", get_args(Statistics))
def test_statistics_of_channels_are_those_of_numba_and_go_from_either_to_the_other(statistics: Statistics):
    one, other = ChannelNorm(3, statistics), twin.TorchChannelNorm(3, statistics, CPU)
    for step in range(4):
        x = 3 + some(2, 5, 4, 3, seed=step)
        np.testing.assert_allclose(other.learn(torch.from_numpy(x)), one.learn(x), rtol=1e-5, atol=1e-6)
        here, there = one.snapshot(), other.snapshot()
        for name, values in here.items():
            np.testing.assert_allclose(there[name], values, rtol=1e-12, err_msg=name)
        one, other = ChannelNorm(3, statistics), twin.TorchChannelNorm(3, statistics, CPU)
        one.restore(there)
        other.restore(here)
    np.testing.assert_allclose(other.by_themselves(torch.from_numpy(x)), one.by_themselves(x), atol=1e-6)


def test_images_read_in_parts_draw_what_they_draw_together(monkeypatch: pytest.MonkeyPatch):
    """Reads are numbered image by image and position by position, whatever is read at a time: as on numba."""
    images, found = some(5, 8, 7, 2), []
    for room in (1 << 26, 2 * 56 * 18 * 4, 20 * 18 * 4):
        monkeypatch.setattr(convolution, "PATCH_BYTES", room)
        each = layer(noisy(TorchCrossbar)), layer(noisy(Crossbar), Convolution)
        found += [np.asarray(one.forward(images)) for one in each]
        assert [one.array.ledger.reads for one in each] == [5 * 56] * 2
    for other in found[1:]:
        assert (np.abs(found[0] - other) > 1e-4).mean() < 1e-3, "but for a code that falls to the other side"


def test_no_step_asks_the_device_for_a_number(monkeypatch: pytest.MonkeyPatch):
    """On the meta device there are no numbers: whatever would wait for one fails."""
    monkeypatch.setattr(convolution, "PATCH_BYTES", 20 * 18 * 4)
    first = layer(noisy(TorchCrossbar, torch_device="meta"), mode="mixed", norm_every=1)
    second = layer(TorchIdeal((18, 6), torch_device=torch.device("meta")), size=(4, 3), statistics="running")
    images = torch.rand(3, 8, 7, 2, device="meta")
    for _ in range(2):
        first.calibrate(images)
        through = first.learn(images)[..., :2]
        assert second.learn(through).shape == (3, 2, 1, 6)
    assert second.forward(first.forward(images)[..., :2]).device.type == "meta"


@needs_gpu
def test_a_gpu_agrees_with_the_cpu():
    stacks = [Stack([layer(noisy(TorchCrossbar, torch_device=on), mode="mixed")]) for on in ("cpu", "cuda")]
    for step in range(4):
        one, other = (stack.learn(some(4, 8, 7, 2, seed=step)) for stack in stacks)
        assert other.device.type == "cuda"
        assert ((one - other.cpu()).abs() > 1e-4).float().mean() < 1e-2
    a, b = (stack.layers[0].array.conductance_uS().cpu() for stack in stacks)
    assert ((a - b).abs() > 1e-5 * a.abs()).float().mean() < 1e-2


@pytest.mark.parametrize("rule", [SoftHebb(), SoftHebb(adaptive_gain=True)], ids=["fixed", "adaptive"])
def test_norms_are_followed_alike_with_many_samples(rule: SoftHebb):
    """Beyond 512 samples both machines see the change in the same random directions."""
    x = some(600, 18, precision="float64")
    layers: list[Any] = [Dense(IdealArray((18, 6), "float64"), rule), TorchDense(TorchIdeal((18, 6), "float64"), rule)]  # fmt: skip
    for each in layers:
        each.array.program(0.2 * some(18, 6, precision="float64", seed=3))
        for _ in range(3):
            each.learn(x)
    one, other = (each.state["norm_squared"] for each in layers)
    np.testing.assert_allclose(other, one, rtol=1e-11)
    exact = np.square(np.asarray(layers[0].array.weights())).sum(axis=0)
    assert not np.allclose(exact, one, rtol=1e-6), "an estimate, or nothing is tried here"


@pytest.mark.parametrize("saturation", [None, 2.0])
def test_neurons_pass_on_what_they_pass_on_in_numba(saturation: float | None):
    drawn = Neurons(power_spread=0.3, gain_spread=0.2, saturation=saturation).draw(6, 1, "layer 0")
    dense = TorchDense(TorchIdeal((18, 6), "float64"), SoftHebb(), neurons=drawn)
    u = some(5, 6, precision="float64")
    np.testing.assert_allclose(dense.passed(torch.from_numpy(u)), drawn(u.copy()), rtol=1e-13)


def experiment(*arms: DeepArm, **changes: Any) -> DeepExperiment:
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 50, "test_images": 40, "width": 0.1, "depth": 2, "head_epochs": 2,
        "arm": arms, **changes,
    }  # fmt: skip
    return DeepExperiment(**settings)


def trained(spec: DeepExperiment, arm: DeepArm, backend: str) -> DeepTraining:
    found = DeepTraining(spec, arm.changed(backend=backend), 0, data.load("digits").subset(50, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.run()
    return found


@pytest.mark.parametrize("schedule", ["all", pytest.param("greedy", marks=pytest.mark.slow)])
@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_a_training_agrees_with_numba(arm: DeepArm, schedule: Any):
    """As `neurosim validate` has it: in double precision accuracies differ by at most 0.05 points."""
    spec = experiment(arm, precision="float64", schedule=schedule)
    numba, other = (trained(spec, arm, backend) for backend in ("numba", "torch"))
    for one, two in zip(numba.stack.layers, other.stack.layers, strict=True):
        np.testing.assert_allclose(two.array.weights(), one.array.weights(), rtol=1e-9, atol=1e-9)
        assert two.dense.norm_errors == pytest.approx(one.dense.norm_errors)
    first, second = numba.result(), other.result()
    for depth, wanted in enumerate(first["heads"]):
        assert abs(second["heads"][depth]["accuracy"] - wanted["accuracy"]) <= TWINS_DIFFER
    if arm.device is not None:
        counts, theirs = numba.counts(), other.counts()
        assert counts["pulses"] > 0  # type: ignore[operator]
        for name, count in counts.items():
            assert theirs[name] == pytest.approx(count, rel=1e-9), name


@pytest.mark.slow
@pytest.mark.parametrize("arm", [ARMS[0], ARMS[3]], ids=lambda arm: arm.name)
def test_a_killed_training_ends_in_the_same_bits(arm: DeepArm, tmp_path: Path):
    spec = experiment(arm, backend="torch")
    whole, first = trained(spec, arm, "torch"), DeepTraining(spec, arm, 0, data.load("digits").subset(50, 40))
    first.run(save=lambda: first.save(tmp_path / f"{first.steps}.npz"))
    second = DeepTraining(spec, arm, 0, data.load("digits").subset(50, 40))
    second.resume(tmp_path / "3.npz")
    assert second.steps == 3 < whole.total
    second.run()
    for one, other in zip(whole.stack.layers, second.stack.layers, strict=True):
        assert torch.equal(one.array.weights(), other.array.weights())  # type: ignore[arg-type]
    images = whole.fit.images[:20]
    np.testing.assert_array_equal(whole.features(images, [2])[2], second.features(images, [1, 2])[2])
    with pytest.raises(CheckpointError, match="another experiment"):
        DeepTraining(spec.changed(backend="numba"), arm, 0, whole.data).resume(tmp_path / "3.npz")


class Loud(Layer):
    """A layer that passes on in a way of its own."""

    def pass_on(self, currents: Any) -> Any:
        return 2 * currents


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0.1, "tiles": {"word_lines": 16, "bit_lines": 8}}, "tiles: not in the torch backend; use numba"),
        ({"width": 0.1, "torch_device": "gpu"}, "expected 'cpu', 'cuda'"),
        ({"layer": (Loud(neurons=4, kernel=3, learning_rate=0.1, inverse_temperature=1.0),)}, "pass_on.*use numba"),
    ],
)  # fmt: skip
def test_what_torch_cannot_is_refused_before_any_work(changes: dict[str, Any], words: str):
    arm = DeepArm(name="PCM", device=PCM, rule="softhebb", backend="torch")
    spec = DeepExperiment(dataset="digits", depth=1, arm=(arm,), **changes)
    with pytest.raises((CapabilityError, InputError), match=words):
        spec.check()


def test_what_the_layer_cannot_is_refused_in_words():
    with pytest.raises(CapabilityError, match="needs the phase"):
        TorchConvolution(TorchIdeal((18, 6)), ForwardForward(), (8, 7, 2), kernel=3).learn(some(2, 8, 7, 2))
    with pytest.raises(InputError, match=r"images of shape \(2, 8, 8, 2\): expected \(n, 8, 7, 2\)"):
        layer(TorchIdeal((18, 6))).forward(torch.zeros(2, 8, 8, 2))
