"""The kernels of the crossbar against numpy's matrix product of the same shape."""

from __future__ import annotations

import tracemalloc

import numpy as np

import neurosim as ns
from benchmarks.timing import Race, once, race
from neurosim.core.seeds import generator, key
from neurosim.core.protocols import UpdateMode
from neurosim.kernels.jit import threads
from neurosim.kernels.random import fill_normal
from neurosim.network.dense import Dense
from neurosim.rules import SoftHebb


def forward() -> list[Race]:
    """784 x 2000, batch 128, DAC + ADC + per-device read noise; G and its variance cached."""
    rng = generator(0, "bench forward")
    array = ns.Crossbar((784, 2000), "pcm-nandakumar-2018", read=ns.ReadPath(dac_bits=8, adc_bits=8))
    array.program(rng.random((784, 2000), np.float32) * 0.155)
    array.advance(3600.0)
    x = rng.random((128, 784), np.float32)
    weights = array.weights()
    array.calibrate(x)

    def rebuild() -> None:
        array._cells.forget_grid()
        _ = array._cells.grid

    return [
        race("forward, DAC + ADC + read noise", lambda: array.forward(x), "matmul", lambda: x @ weights, "3"),
        race("rebuild drifted G and variance cache", rebuild, "matmul", lambda: x @ weights, "-", 5),
    ]


def update() -> list[Race]:
    """512 x 512, batch 128, accumulate, soft bounds; and the same on phase-change pairs."""
    rng = generator(0, "bench update")
    pre = (rng.random((128, 512), np.float32) * (rng.random((128, 512)) < 0.2)).astype(np.float32)
    u = rng.standard_normal((128, 512), np.float32)
    y = np.exp(4 * u - (4 * u).max(axis=1, keepdims=True))
    post = (0.5 / 128 * y / y.sum(axis=1, keepdims=True)).astype(np.float32)
    x, square = rng.random((128, 512), np.float32), rng.random((512, 512), np.float32)
    races = []
    for device in ("rram-hfo2-gong-2018", "rram-hfo2-om-2022", "pcm-nandakumar-2018"):
        for mode in ("accumulate", "mixed"):
            array = ns.Crossbar((512, 512), device, write=ns.WritePath(w_max=0.3, refresh_every=None))
            array.program(rng.random((512, 512), np.float32) * 0.15)
            pulses = array.update(pre, post, mode=mode)
            races.append(
                race(
                    f"update {mode}, {device}, {pulses / array.shape[0] / array.shape[1]:.2f} pulses a pair",
                    lambda array=array, mode=mode: array.update(pre, post, mode=mode),
                    "matmul",
                    lambda: x @ square,
                    "8",
                )
            )
    return races


def online() -> list[str]:
    """Sample by sample on real-like sparsity; nanoseconds per cell and sample."""
    rng = generator(0, "bench online")
    lines = []
    pre = (rng.random((32, 784), np.float32) * (rng.random((32, 784)) < 0.2)).astype(np.float32)
    u = rng.standard_normal((32, 2000), np.float32)
    y = np.exp(4 * u - (4 * u).max(axis=1, keepdims=True))
    post = (0.5 / 32 * y / y.sum(axis=1, keepdims=True)).astype(np.float32)
    for device in ("rram-hfo2-gong-2018", "rram-hfo2-om-2022", "pcm-nandakumar-2018"):
        array = ns.Crossbar((784, 2000), device, write=ns.WritePath(w_max=0.2, refresh_every=None))
        array.program(rng.random((784, 2000), np.float32) * 0.15)
        seconds = once(lambda array=array: array.update(pre, post, mode="online"))
        per_cell = 1e9 * seconds / (32 * 784 * 2000)
        lines.append(f"online, {device:<22} {per_cell:6.3f} ns per cell and sample  (bar 4)")
    return lines


def normals() -> list[Race]:
    """Counter-based normals against numpy's generator (one thread each)."""
    out, stream = np.empty(1 << 20, np.float32), key(0, "bench")
    rng = generator(0, "bench normals")
    return [
        race(
            "2^20 counter-based normals, one thread",
            lambda: fill_normal(out, 1, stream),
            "numpy PCG64 normals",
            lambda: rng.standard_normal(1 << 20, np.float32),
            "-",
        )
    ]


def training_memory() -> list[str]:
    """Peak memory that training allocates beyond the data, against the device state."""
    rng = generator(0, "bench memory")
    images = rng.random((2000, 784), np.float32)

    def train(shape: tuple[int, int], device: str, mode: UpdateMode) -> tuple[ns.Crossbar, int]:
        read, write = ns.ReadPath(dac_bits=8, adc_bits=8), ns.WritePath(w_max=0.3)
        array = ns.Crossbar(shape, device, write=write, read=read)
        array.program(rng.random(shape, np.float32) * 0.15)
        built = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
        tracemalloc.reset_peak()
        layer = Dense(array, SoftHebb(), mode, norm_every=5)
        for k in range(0, 320, 32):
            layer.learn(images[k : k + 32])
        return array, built

    lines = []
    cases: tuple[tuple[str, UpdateMode], ...] = (
        ("pcm-nandakumar-2018", "accumulate"),
        ("rram-hfo2-gong-2018", "accumulate"),
        ("rram-hfo2-om-2022", "mixed"),
        ("pcm-nandakumar-2018", "mixed"),
    )
    for device, mode in cases:
        train((784, 1100), device, mode)
        tracemalloc.start()
        array, built = train((784, 2000), device, mode)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        lines.append(
            f"training memory, {device:<22} {mode:<11} peak {peak / 1e6:6.1f} MB = "
            f"{peak / array.state_bytes:.2f} x device state ({array.state_bytes / 1e6:.1f} MB; "
            f"{built / 1e6:.1f} MB after programming)  (bar 1.5)"
        )
    return lines


def main() -> None:
    """Print every line."""
    print(f"{threads()} threads")
    for found in (forward(), update(), normals()):
        for one in found:
            print(one.line())
    for line in (*online(), *training_memory()):
        print(line)
