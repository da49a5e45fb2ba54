"""The kernels of the crossbar against numpy's matrix product of the same shape."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np

import neurosim as ns
from benchmarks.timing import Figure, figure, once, race
from neurosim import Dense
from neurosim.core.protocols import Floats, UpdateMode
from neurosim.core.seeds import generator, key
from neurosim.kernels.random import fill_normal
from neurosim.rules import SoftHebb

DEVICES = ("rram-hfo2-gong-2018", "rram-hfo2-om-2022", "pcm-nandakumar-2018")


def competition(u: Floats) -> Floats:
    """Post factors of a SoftHebb mini-batch for random currents: 0.5 softmax(4 u) / batch."""
    y: Floats = 0.5 / len(u) * np.exp(4 * (u - u.max(axis=1, keepdims=True)))
    y /= np.exp(4 * (u - u.max(axis=1, keepdims=True))).sum(axis=1, keepdims=True)
    return y


def forward() -> list[Figure]:
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
        race("forward, DAC + ADC + read noise", lambda: array.forward(x), "matmul", lambda: x @ weights, 3.0),
        race("rebuild drifted G and variance cache", rebuild, "matmul", lambda: x @ weights, None, 10),
    ]


def update() -> list[Figure]:
    """512 x 512, batch 128, accumulate, soft bounds; and the same on phase-change pairs."""
    rng = generator(0, "bench update")
    pre = (rng.random((128, 512), np.float32) * (rng.random((128, 512)) < 0.2)).astype(np.float32)
    post = competition(rng.standard_normal((128, 512), np.float32))
    x, square = rng.random((128, 512), np.float32), rng.random((512, 512), np.float32)
    races = []
    for device in DEVICES:
        for mode in ("accumulate", "mixed"):
            array = ns.Crossbar((512, 512), device, write=ns.WritePath(w_max=0.3, refresh=None))
            array.program(rng.random((512, 512), np.float32) * 0.15)
            pulses = array.update(pre, post, mode=mode)
            races.append(
                race(
                    f"update {mode}, {device}, {pulses / array.shape[0] / array.shape[1]:.2f} pulses a pair",
                    lambda array=array, mode=mode: array.update(pre, post, mode=mode),
                    "matmul",
                    lambda: x @ square,
                    8.0,
                )
            )
    return races


def accumulators() -> list[Figure]:
    """512 x 512, batch 128: what verifying flushes and answering at once add to an accumulator."""
    rng = generator(0, "bench accumulators")
    pre = (rng.random((128, 512), np.float32) * (rng.random((128, 512)) < 0.2)).astype(np.float32)
    post = competition(rng.standard_normal((128, 512), np.float32))
    start = rng.random((512, 512), np.float32) * 0.15

    def array(**write: Any) -> ns.Crossbar:
        made = ns.Crossbar((512, 512), "ecram-li-tang-2018", write=ns.WritePath(w_max=0.3, **write))
        made.program(start)
        return made

    plain = array(flush_pulses=12)
    kinds = {
        "verified": array(flush_pulses=12, verify_reads=1),
        "prompt and verified": array(prompt=True, verify_reads=1),
    }
    return [
        race(
            f"update mixed, ECRAM, {name}",
            lambda other=other: other.update(pre, post, mode="mixed"),
            "flushes of 12, plain",
            lambda: plain.update(pre, post, mode="mixed"),
            None,
        )
        for name, other in kinds.items()
    ]


def verify_in_numpy(targets: Floats, tolerance_uS: float, budget: int, rng: np.random.Generator) -> Floats:
    """Program-and-verify of fresh phase-change devices as one writes it in numpy: all devices that are not yet
    there, pulse by pulse."""
    p = ns.devices.load("pcm-nandakumar-2018").params()
    g = (p.reset_mean_uS + p.reset_sigma_uS * rng.standard_normal(targets.size)).astype(np.float32)
    given, left = np.zeros(targets.size, np.int32), np.arange(targets.size)
    for pulse in range(budget + 1):
        seen = g[left] + (p.read_noise_relative * g[left] + p.read_noise_floor_uS) * rng.standard_normal(
            left.size, np.float32
        )
        off = np.abs(seen - targets[left]) > tolerance_uS
        left, low = left[off], seen[off] < targets[left[off]]
        if pulse == budget or left.size == 0:
            break
        up, down = left[low], left[~low]
        given[up] += 1
        first = np.exp(-given[up] / p.memory_pulses)
        mean = p.mean_slope * g[up] + p.mean_offset_uS + p.mean_first_uS * first
        sigma = p.sigma_slope * g[up] + p.sigma_offset_uS + p.sigma_first_uS * first
        moved = g[up] + mean + sigma * rng.standard_normal(up.size, np.float32)
        g[up] = np.clip(moved, p.g_min_uS, p.g_max_uS)
        fresh = p.reset_mean_uS + p.reset_sigma_uS * rng.standard_normal(down.size, np.float32)
        g[down], given[down] = np.maximum(fresh, p.reset_floor_uS), 0
    return g


def programming() -> list[Figure]:
    """512 x 256 phase-change pairs, closed loop to 2 % of the window, against the same loop in numpy."""
    rng = generator(0, "bench programming")
    weights = rng.uniform(-1, 1, (512, 256))
    loop = ns.Programming(mode="closed")
    targets = np.maximum(np.stack([weights, -weights]), 0).ravel().astype(np.float32) * 11.9 + 0.1

    def program() -> ns.Crossbar:
        array = ns.Crossbar((512, 256), "pcm-nandakumar-2018", write=ns.WritePath(programming=loop))
        array.program(weights)
        return array

    ledger = program().ledger
    writes = (ledger.program_pulses + ledger.program_resets) / ledger.programmed_cells
    return [
        race(
            f"closed-loop programming, phase change, {writes:.1f} pulses a device",
            program,
            "numpy",
            lambda: verify_in_numpy(targets, 0.02 * 11.9, loop.pulse_budget, rng),
            1.0,
            10,
        )
    ]


def online() -> list[Figure]:
    """Sample by sample at the sparsity of MNIST and of a softmax; nanoseconds per cell and sample."""
    rng = generator(0, "bench online")
    figures = []
    pre = (rng.random((32, 784), np.float32) * (rng.random((32, 784)) < 0.2)).astype(np.float32)
    post = competition(rng.standard_normal((32, 2000), np.float32))
    for device in DEVICES:
        array = ns.Crossbar((784, 2000), device, write=ns.WritePath(w_max=0.2, refresh=None))
        array.program(rng.random((784, 2000), np.float32) * 0.15)
        seconds = once(lambda array=array: array.update(pre, post, mode="online"))
        per_cell = 1e9 * seconds / (32 * 784 * 2000)
        figures.append(figure(f"online, {device}", per_cell, "ns per cell and sample", 4.0))
    return figures


def normals() -> list[Figure]:
    """Counter-based normals against numpy's generator (one thread each)."""
    out, stream = np.empty(1 << 20, np.float32), key(0, "bench")
    rng = generator(0, "bench normals")
    return [
        race(
            "2^20 counter-based normals, one thread",
            lambda: fill_normal(out, 1, stream),
            "numpy PCG64 normals",
            lambda: rng.standard_normal(1 << 20, np.float32),
            None,
        )
    ]


def training_memory() -> list[Figure]:
    """Peak memory that training allocates beyond the data, against the device state (accumulator included)."""
    rng = generator(0, "bench memory")
    images = rng.random((2000, 784), np.float32)

    def train(shape: tuple[int, int], device: str, mode: UpdateMode) -> ns.Crossbar:
        read, write = ns.ReadPath(dac_bits=8, adc_bits=8), ns.WritePath(w_max=0.3)
        array = ns.Crossbar(shape, device, write=write, read=read)
        array.program(rng.random(shape, np.float32) * 0.15)
        tracemalloc.reset_peak()
        layer = Dense(array, SoftHebb(), mode, norm_every=5)
        for k in range(0, 320, 32):
            layer.learn(images[k : k + 32])
        return array

    figures = []
    cases: tuple[tuple[str, UpdateMode], ...] = (
        ("pcm-nandakumar-2018", "accumulate"),
        ("pcm-nandakumar-2018", "mixed"),
        ("rram-hfo2-gong-2018", "accumulate"),
        ("rram-hfo2-om-2022", "mixed"),
    )
    for device, mode in cases:
        train((784, 1100), device, mode)
        tracemalloc.start()
        array = train((784, 2000), device, mode)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        state = array.state_bytes + array.snapshot()["accumulator"].nbytes
        name = f"peak memory of training, {device}, {mode}"
        figures.append(figure(name, peak / state, "x device state", 1.5, peak_B=peak, state_B=state))
    return figures


def figures() -> list[Figure]:
    """Every figure of this module."""
    return [*forward(), *update(), *accumulators(), *programming(), *normals(), *online(), *training_memory()]
