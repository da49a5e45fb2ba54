"""Three convolutions that learn, CIFAR-10 shapes, batch 10: against plain torch training in ideal arithmetic."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.timing import Figure, figure, race
from neurosim import DeepArm, DeepExperiment, Layer, Pool
from neurosim.core.protocols import Floats
from neurosim.kernels.jit import threads
from neurosim.network.images import activate
from neurosim.rules import SoftHebbPaper
from neurosim.study.deep_build import build_stack

BATCH, STEPS = 10, 16
SHAPE = (32, 32, 3)
PLAIN: dict[str, Any] = {"read_noise": None}
CONVERTERS: dict[str, Any] = {"dac_bits": 8, "adc_bits": 8}


def _arm(name: str, device: str, read: dict[str, Any], flush_pulses: int) -> DeepArm:
    """An arm as the kept results have it."""
    return DeepArm(
        name=name, device=device, rule="softhebb", settings={"adaptive_gain": True}, mode="mixed", read=read,
        write={"decay_mode": "gain", "flush_pulses": flush_pulses},
    )  # fmt: skip


ARMS = (
    (DeepArm(name="ideal"), None),
    (_arm("PCM, no noise or converters", "pcm-nandakumar-2018", PLAIN, 1), 1.0),
    (_arm("fine RRAM, no noise or converters", "rram-hfo2-gong-2018", PLAIN, 12), 1.0),
    (_arm("PCM, DAC, ADC and read noise", "pcm-nandakumar-2018", CONVERTERS, 1), 1.5),
)


class TorchLayer:
    """The rule of the published code (facts: `tests/test_convolution.py` holds ours against it), in single precision."""

    def __init__(self, layer: Layer, channels: int):
        self.layer = layer
        rows = channels * layer.kernel**2
        self.w = torch.randn(layer.neurons, channels, layer.kernel, layer.kernel) * (25 / rows**0.5)
        self.mean, self.variance = torch.zeros(channels), torch.ones(channels)

    def learn(self, x: torch.Tensor) -> torch.Tensor:
        """One mini-batch (n, channels, height, width)."""
        spec = self.layer
        x = functional.batch_norm(x, self.mean, self.variance, training=True, momentum=0.1, eps=1e-5)
        x = functional.pad(x, (spec.pad,) * 4, mode="reflect")
        u = functional.conv2d(x, self.w)
        y = torch.softmax(spec.inverse_temperature * u, dim=1)
        y = y * torch.full_like(y, -1.0).scatter_(1, u.argmax(dim=1, keepdim=True), 1.0)
        change = functional.conv2d(x.transpose(0, 1), y.transpose(0, 1)).transpose(0, 1)
        change = change - (y * u).sum(dim=(0, 2, 3)).view(-1, 1, 1, 1) * self.w
        change = change / (change.abs().amax() + 1e-30)
        rate = spec.learning_rate * ((self.w.flatten(1).norm(dim=1) - 1).abs() + 1e-10) ** spec.rate_power
        self.w += rate.view(-1, 1, 1, 1) * change
        a = torch.relu(u - u.mean(dim=1, keepdim=True)) ** spec.power
        pool = functional.max_pool2d if spec.pool == "max" else functional.avg_pool2d
        return pool(a, spec.pool_kernel, spec.pool_stride, spec.pool_pad)


def passes() -> list[Figure]:
    """Between the products, a mini-batch of the first layer: competition with its sums, and activation with pooling."""
    cols, side = 384, 16
    u = np.random.default_rng(0).standard_normal((BATCH * side * side, cols)).astype(np.float32)
    rule, x = SoftHebbPaper(anti_hebbian=True, inverse_temperature=1), np.zeros((len(u), 1), np.float32)
    state, t = rule.state(1, cols), torch.from_numpy(u)
    images = t.reshape(BATCH, side, side, cols).permute(0, 3, 1, 2).contiguous()

    def compete() -> object:
        y = torch.softmax(t, dim=1)
        y *= torch.full_like(y, -1.0).scatter_(1, t.argmax(dim=1, keepdim=True), 1.0)
        y *= 0.01
        return y, (y * t).sum(dim=0)

    def pool() -> object:
        a = torch.relu(images - images.mean(dim=1, keepdim=True))
        return functional.max_pool2d(a, 4, 2, 1)

    return [
        race("competition of SoftHebb, 2,560 x 384", lambda: rule(x, u, state), "torch", compete, 1.0),
        race(
            "Triangle and largest of 4 x 4, ten images of 16 x 16 x 384",
            lambda: activate(u.copy().reshape(BATCH, side, side, cols), 1.0, Pool("max", 4, 2, 1)),
            "torch", pool, 1.0,
        ),
    ]  # fmt: skip


def _torch_net() -> list[TorchLayer]:
    channels, found = SHAPE[2], []
    for layer in DeepExperiment().layers:
        found.append(TorchLayer(layer, channels))
        channels = layer.neurons
    return found


def _seconds(learn: Any, batches: list[Any]) -> float:
    """Median seconds of a mini-batch after two to warm up."""
    times = []
    for x in batches:
        started = time.perf_counter()
        learn(x)
        times.append(time.perf_counter() - started)
    return float(np.median(times[2:]))


def figures() -> list[Figure]:
    """One line an arm; both learn in turn in this process."""
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads())
    images: list[Floats] = [
        np.random.default_rng(k).random((BATCH, *SHAPE), np.float32) for k in range(STEPS + 2)
    ]
    net = _torch_net()

    def reference(x: Floats) -> None:
        t = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
        for layer in net:
            t = layer.learn(t)

    with torch.inference_mode():
        found = passes()
        for arm, bar in ARMS:
            stack = build_stack(DeepExperiment(arm=(arm,)), arm, SHAPE, 0)
            mine = _seconds(stack.learn, images)
            other = _seconds(reference, images)
            found.append(
                figure(
                    f"deep SoftHebb learns, {arm.name}", mine / other, "x torch, ideal arithmetic", bar,
                    contender_s=mine / BATCH, reference_s=other / BATCH,
                )
            )  # fmt: skip
    torch.set_num_threads(before)
    return found
