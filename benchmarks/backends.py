"""The torch crossbar against the numba crossbar, the same work; and many instances against one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import neurosim as ns
from benchmarks.kernels import competition
from benchmarks.timing import Figure, race
from neurosim import TorchCrossbar
from neurosim.core.protocols import UpdateMode
from neurosim.core.seeds import generator
from neurosim.kernels.jit import threads

SHAPE = (784, 500)
BATCH = 32
DEVICES = ("pcm-nandakumar-2018", "rram-hfo2-gong-2018")
INSTANCES = 8


def _arrays(device: str, **torch_settings: Any) -> tuple[ns.Crossbar, TorchCrossbar]:
    settings: Any = {
        "read": ns.ReadPath(dac_bits=8, adc_bits=8),
        "write": ns.WritePath(w_max=0.2, refresh=None),
    }
    arrays = (
        ns.Crossbar(SHAPE, device, **settings),
        TorchCrossbar(SHAPE, device, **settings, **torch_settings),
    )
    for array in arrays:
        array.program(generator(0, "bench weights").random(SHAPE) * 0.15)
    return arrays


def _work() -> tuple[np.ndarray, np.ndarray]:
    rng = generator(0, "bench backends")
    pre = rng.random((BATCH, SHAPE[0]), np.float32) * (rng.random((BATCH, SHAPE[0])) < 0.2)
    return pre.astype(np.float32), competition(rng.standard_normal((BATCH, SHAPE[1]), np.float32))


def cpu() -> list[Figure]:
    """One array on the CPU: torch's time over numba's."""
    torch.set_num_threads(threads())
    pre, post = _work()
    figures = []
    modes: tuple[UpdateMode, ...] = ("accumulate", "mixed", "online")
    for device in DEVICES:
        numba, twin = _arrays(device)
        calls: dict[str, Any] = {"forward": lambda array: array.forward(pre)}
        for mode in modes:
            calls[f"update {mode}"] = lambda array, mode=mode: array.update(pre, post, mode=mode)
        for name, call in calls.items():
            figures.append(
                race(
                    f"torch {name}, {device}, 784 x 500",
                    lambda call=call, twin=twin: call(twin),
                    "numba",
                    lambda call=call, numba=numba: call(numba),
                    None,
                    10,
                )
            )
    return figures


def gpu() -> list[Figure]:
    """Eight instances in one batch on a GPU, against numba doing them one after another."""
    if not torch.cuda.is_available():
        return []
    pre, post = _work()
    figures = []
    for device in DEVICES:
        numba, twin = _arrays(device, seed=range(INSTANCES), torch_device="cuda")
        on = [torch.from_numpy(values).cuda() for values in (pre, post)]

        def batch(twin: TorchCrossbar = twin, on: list[torch.Tensor] = on) -> None:
            twin.forward(on[0])
            twin.update(*on)
            torch.cuda.synchronize()

        def one_by_one(numba: ns.Crossbar = numba) -> None:
            for _ in range(INSTANCES):
                numba.forward(pre)
                numba.update(pre, post)

        name = f"torch on GPU, forward and update, {INSTANCES} instances, {device}"
        figures.append(race(name, batch, "numba", one_by_one, None, 10))
    return figures


def figures() -> list[Figure]:
    """Every figure of this module."""
    return [*cpu(), *gpu()]
