"""Forward-Forward, 784-2000-2000-2000-2000, mini-batches of 100 and 100: against plain torch in ideal arithmetic.

Without a filter the rate is 0.001: at 0.01 layers jump through zero and most devices are pulsed in some mini-batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.timing import PAUSE_S, Figure, figure, race
from neurosim import ForwardForwardArm, ForwardForwardExperiment
from neurosim.core.protocols import Floats
from neurosim.kernels.jit import threads
from neurosim.study.forward_forward_build import build_stack, start_weights

ROWS, WIDTHS, BATCH = 784, (2000, 2000, 2000, 2000), 100
ROUNDS, ROUNDS_ONLINE, EASY = 6, 2, 16
SLOW = 0.001
Step = Callable[[Floats, Floats], object]
SETTINGS: dict[str, Any] = {"peer": 0.0, "learning_rate": SLOW}
PLAIN: dict[str, Any] = {"momentum": 0.0, "settings": SETTINGS}
NO_NOISE: dict[str, Any] = {"read": {"read_noise": None}, "write": {"decay_mode": "gain"}}
ARMS = (
    (ForwardForwardArm(name="ideal", **PLAIN), 1.1),
    (ForwardForwardArm(name="ideal, filter and peer term"), None),
    (_pcm := ForwardForwardArm(name="PCM, no noise or converters", device="pcm-nandakumar-2018", **PLAIN, **NO_NOISE), 1.5),
    (_pcm.changed(name="PCM, no noise or converters, filter and peer term", momentum=0.9, settings={}), None),
    (_pcm.changed(name="PCM, DAC, ADC and read noise", read={"dac_bits": 8, "adc_bits": 8}), 2.2),
)  # fmt: skip


class TorchNet:
    """The rule of these races in plain torch: the update of a layer is one product in place. No peer term, no filter."""

    def __init__(self, rate: float = SLOW, decay: float = 1e-3):
        self.rate, self.decay = rate, decay
        rows = (ROWS, *WIDTHS)
        self.layers = [torch.from_numpy(start_weights(rows[k], cols, k, 0)) for k, cols in enumerate(WIDTHS)]

    def learn(self, positive: Floats, negative: Floats) -> None:
        """One mini-batch of as many positive as negative samples."""
        h = _directed(torch.cat([torch.from_numpy(positive), torch.from_numpy(negative)]))
        t = torch.cat([torch.ones(len(positive)), torch.zeros(len(negative))])
        for w in self.layers:
            y = torch.addmm(w[-1], h, w[:-1]).relu_()
            g = y.square().sum(dim=1)
            post = y * ((t - torch.sigmoid(g - y.shape[1])) * (self.rate / len(positive))).unsqueeze(1)
            keep = 1 - self.rate * self.decay
            w[:-1].addmm_(h.T, post, beta=keep)
            w[-1].mul_(keep).add_(post.sum(dim=0))
            h = y.div_((g / y.shape[1]).sqrt_().add_(1e-8).unsqueeze(1))

    def learn_online(self, positive: Floats, negative: Floats) -> None:
        """An update of rank one a sample, positive and negative in turn."""
        for pair in zip(positive, negative, strict=True):
            for t, x in zip((1.0, 0.0), pair, strict=True):
                h = _directed(torch.from_numpy(x)[None])[0]
                for w in self.layers:
                    y = torch.addmv(w[-1], w[:-1].T, h).relu_()
                    g = float(y.dot(y))
                    step = self.rate * (t - 1 / (1 + np.exp(min(700.0, len(y) - g))))
                    w[:-1].addr_(h, y, beta=1 - self.rate * self.decay, alpha=step)
                    w[-1].mul_(1 - self.rate * self.decay).add_(y, alpha=step)
                    h = y / ((g / len(y)) ** 0.5 + 1e-8)


def _directed(x: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(dim=1, keepdim=True).sqrt() + 1e-8)


def _in_turn(steps: dict[str, Step], batches: list[tuple[Floats, Floats]]) -> dict[str, float]:
    """Median seconds of a step of each, taking turns; the first turn warms up.

    Each starts once the other's threads are asleep: those of OpenMP look for work for some 20 ms after it is done.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for positive, negative in batches:
        for name, step in steps.items():
            time.sleep(PAUSE_S)
            started = time.perf_counter()
            step(positive, negative)
            times[name].append(time.perf_counter() - started)
    return {name: float(np.median(seconds[1:])) for name, seconds in times.items()}


def _batches(count: int, size: int) -> list[tuple[Floats, Floats]]:
    rng = np.random.default_rng(0)
    return [
        (rng.random((size, ROWS), np.float32), rng.random((size, ROWS), np.float32)) for _ in range(count)
    ]


def quiet_samples() -> list[Figure]:
    """What skipping them wins once an easy task is learnt: positive samples are bright above, negative ones below."""
    spec = ForwardForwardExperiment(widths=WIDTHS)
    stacks = {
        name: build_stack(spec, ARMS[0][0].changed(settings={**SETTINGS, **more}), (28, 28, 1), 1000, 0)
        for name, more in (("skipping", {"skip_quiet": 0.01}), ("all", {}))
    }
    batches = _batches(EASY + ROUNDS + 1, BATCH)
    for positive, negative in batches:
        positive[:, ROWS // 2 :] *= 0.2
        negative[:, : ROWS // 2] *= 0.2
    for both in batches[:EASY]:
        for stack in stacks.values():
            stack.learn(*both)
    before = stacks["skipping"].quiet
    took = _in_turn({name: stack.learn for name, stack in stacks.items()}, batches[EASY:])
    skipped, seen = (stacks["skipping"].quiet - before).sum(axis=0)
    return [
        figure(
            f"quiet samples skipped, {100 * skipped / seen:.0f} % of an easy task", took["skipping"] / took["all"],
            "x the same without", 0.75, contender_s=took["skipping"] / BATCH, reference_s=took["all"] / BATCH,
        )
    ]  # fmt: skip


def local_fields() -> list[Figure]:
    """The first layer of the preset `local`, 16 fields of 10 x 10 pixels with 128 neurons each, 200 samples."""
    spec = ForwardForwardExperiment(preset="local")
    layer = build_stack(spec, ForwardForwardArm(name="ideal", momentum=0.0), (28, 28, 1), 1000, 0).layers[0]
    rows, cols = layer.array.shape
    rng = np.random.default_rng(0)
    x, post = rng.random((200, rows), np.float32), rng.random((200, cols), np.float32) * np.float32(1e-6)
    images = torch.from_numpy(x[:, :-1]).reshape(-1, 1, 28, 28)
    w, errors = torch.zeros(16, 100, 128), torch.from_numpy(post).reshape(-1, 16, 128).transpose(0, 1)

    def own() -> object:
        layer.array.forward(x)
        return layer.array.update(x, post)

    def in_torch() -> object:
        seen = functional.unfold(images, 10, stride=6).permute(2, 0, 1)
        torch.bmm(seen, w)
        return w.baddbmm_(seen.transpose(1, 2), errors)

    return [race("local fields, a read and an update, ideal", own, "torch unfold and bmm", in_torch, None)]


def figures() -> list[Figure]:
    """One line an arm, each in turn with the reference in this process; then an update a sample, quiet samples, local fields."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads())
    spec = ForwardForwardExperiment(widths=WIDTHS)
    found = []
    with torch.inference_mode():
        for arm, bar in ARMS:
            stack = build_stack(spec, arm, (28, 28, 1), 1000, 0)
            if arm.device is not None:
                stack.calibrate(_batches(1, BATCH)[0][0])
            took = _in_turn({"own": stack.learn, "torch": TorchNet().learn}, _batches(ROUNDS + 1, BATCH))
            found.append(_line(f"Forward-Forward learns, {arm.name}", took, bar, BATCH))
        each = build_stack(
            spec, ARMS[0][0].changed(settings={**SETTINGS, "learning_rate": 1e-4}), (28, 28, 1), 1000, 0
        )
        steps: dict[str, Step] = {"own": each.learn_online, "torch": TorchNet(1e-4).learn_online}
        took = _in_turn(steps, _batches(ROUNDS_ONLINE + 1, BATCH))
        found.append(_line("Forward-Forward learns, an update a sample", took, 0.2, BATCH))
        found += quiet_samples() + local_fields()
    torch.set_num_threads(before)
    return found


def _line(name: str, took: dict[str, float], bar: float | None, size: int) -> Figure:
    """Seconds of a positive and a negative sample together."""
    return figure(
        name, took["own"] / took["torch"], "x torch, ideal arithmetic", bar,
        contender_s=took["own"] / size, reference_s=took["torch"] / size,
    )  # fmt: skip
