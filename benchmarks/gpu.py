"""What the torch backend does on a GPU: races with their floors, a thousand chips, agreement with the kernels.

make gpu, or: python -m benchmarks.gpu --out results/gpu.json

Kept figures first, then tests; each figure is written as soon as it is there, so that a run that is cut off has told what it could.
It needs torch, numba, scipy and pydantic, MNIST and CIFAR-10 in the folder that NEUROSIM_DATA names, and neither typer nor
pandas. Compiling is told apart.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import neurosim as ns
from neurosim import TorchCrossbar
from neurosim.core.errors import NeurosimError

CARDS = ("pcm-nandakumar-2018", "rram-hfo2-gong-2018")
COMPILED = (*CARDS, "rram-hfo2-om-2022")
"""Cards whose operations are compared compiled; the others eagerly, while there is time."""
OPERATIONS_COMPILED = ("forward", "a day, update", "update, accumulate", "update, mixed", "decay, readback")
LIMIT, BATCH, ON = 4, 32, 0.2
"""Pulses a device an update, samples, and the share of inputs that are not zero."""
MOVED = {"pcm-nandakumar-2018": 24, "rram-hfo2-gong-2018": 30}
"""Bytes that a dense update must move a device: its state, read and written."""
GOALS_ns = {"forward": None, "accumulate": 0.08, "mixed": 0.08}


class Sizes(NamedTuple):
    """How large everything is; small ones try the script itself."""

    shapes: tuple[tuple[int, int, int], ...] = ((784, 500, 1), (2000, 2000, 16))
    chips: int = 1000
    block: int = 250
    neurons: int = 500
    images: int = 6000
    asked: int = 10_000
    runs: int = 30
    raced: tuple[str, ...] = CARDS
    compared: tuple[str, ...] = COMPILED
    digits: str = "mnist"
    pictures: str = "cifar10"
    width: float = 4.0
    depth: int = 3
    widths: tuple[int, ...] = (2000,) * 4
    warming: int = 12
    batches: int = 40
    """Of a network, after so many in which passes are compiled."""
    nets: int = 8
    """Chips of a network that learn as one batch."""
    others: bool = True
    """Compare the other cards eagerly, too."""


SMALL = Sizes(
    ((20, 10, 2),), 3, 2, 10, 128, 50, 1, CARDS[:1], CARDS[:1],
    digits="digits", pictures="digits", width=1.0, depth=1, widths=(8,), warming=1, batches=1, nets=2, others=False,
)  # fmt: skip


class Kept:
    """The file of results, written after every figure."""

    def __init__(self, path: Path, on: torch.device, limit_s: float):
        self.path, self.on, self.until = path, on, time.monotonic() + limit_s
        self.found: dict[str, Any] = {
            "device": torch.cuda.get_device_name(on) if on.type == "cuda" else platform.processor() or "cpu",
            "torch": torch.__version__, "python": platform.python_version(), "neurosim": ns.__version__,
            "complete": False, "figures": [],
        }  # fmt: skip

    def add(self, figure: dict[str, Any]) -> None:
        """Keep a figure."""
        self.found["figures"].append(figure)
        self._write()
        print(json.dumps(figure), flush=True)

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_name(f"{self.path.name}.half")
        half.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        half.replace(self.path)

    def finish(self) -> None:
        """Say that everything was asked."""
        self.found["complete"] = True
        self._write()

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.until


def seconds_of(work: Callable[[], Any], runs: int, on: torch.device) -> float:
    """Median seconds of a call, by events of the GPU where there is one."""
    for _ in range(min(runs, 4)):
        work()
    times = []
    for _ in range(runs):
        if on.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            torch.cuda.synchronize()
            times.append(begin.elapsed_time(end) / 1e3)
        else:
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
    return float(np.median(times))


def copied(kept: Kept, sizes: Sizes) -> float:
    """Bytes a second that a copy reads and writes."""
    size = 2**28 if kept.on.type == "cuda" else 2**22
    one, other = (torch.empty(size, device=kept.on) for _ in range(2))
    rate = 2 * one.nbytes / seconds_of(lambda: other.copy_(one), sizes.runs, kept.on)
    kept.add({"what": "copy", "GB_per_s": rate / 1e9})
    return rate


def races(kept: Kept, sizes: Sizes) -> Iterator[None]:
    """Forward reads and updates, compiled, eager and ideal."""
    rate = copied(kept, sizes)
    yield
    for rows, cols, instances in sizes.shapes:
        for card in sizes.raced:
            for figure in _raced(card, (rows, cols), instances, rate, kept, sizes):
                kept.add(figure)
                yield


def _arrays(
    card: str, shape: tuple[int, int], instances: int, on: torch.device, compiled: bool
) -> TorchCrossbar:
    torch.manual_seed(0)
    array = TorchCrossbar(
        shape, card, seed=range(instances), read={"dac_bits": 8, "adc_bits": 8},
        write={"w_max": 0.2, "refresh": None, "pulse_limit": LIMIT}, torch_device=on, compiled=compiled,
    )  # fmt: skip
    array.program(0.15 * torch.rand(shape, device=on))
    return array


def _raced(
    card: str, shape: tuple[int, int], instances: int, rate: float, kept: Kept, sizes: Sizes
) -> Iterator[dict[str, Any]]:
    on, (rows, cols) = kept.on, shape
    torch.manual_seed(1)
    pre = torch.rand(instances, BATCH, rows, device=on)
    pre = torch.where(torch.rand_like(pre) < ON, pre, 0.0)
    post = 1e-3 * torch.randn(instances, BATCH, cols, device=on)
    weights = torch.rand(instances, rows, cols, device=on)
    pairs = rows * cols * instances
    ideal = {
        "forward": lambda: torch.bmm(pre, weights),
        "accumulate": lambda: weights.baddbmm_(pre.mT, post),
        "mixed": lambda: weights.baddbmm_(pre.mT, post),
    }
    fast, plain = (_arrays(card, shape, instances, on, compiled) for compiled in (True, False))
    for work, reference in ideal.items():

        def do(array: TorchCrossbar, work: Any = work) -> Any:
            return array.forward(pre) if work == "forward" else array.update(pre, post, mode=work)

        if on.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        before = fast.seconds_compiling
        do(fast)
        do(plain)
        same = torch.isclose(fast.conductance_uS(), plain.conductance_uS(), rtol=1e-5, atol=0)
        differing = 1 - float(same.double().mean())
        seconds = seconds_of(lambda do=do: do(fast), sizes.runs, on)
        floor = MOVED[card] * 2 * pairs / rate if work != "forward" else 4 * pairs / rate
        yield {
            "what": work, "card": card, "shape": [rows, cols], "instances": instances,
            "ms": 1e3 * seconds, "ns_a_pair": 1e9 * seconds / pairs, "goal_ns_a_pair": GOALS_ns[work],
            "floor_ns_a_pair": 1e9 * floor / pairs, "times_floor": seconds / floor,
            "times_ideal": seconds / seconds_of(reference, sizes.runs, on),
            "eager_ms": 1e3 * seconds_of(lambda do=do: do(plain), min(sizes.runs, 3), on),
            "cells_beyond_1e-5": differing, "compiling_s": fast.seconds_compiling - before,
            "state_GB": fast.state_bytes / 1e9,
            "peak_GB": torch.cuda.max_memory_allocated() / 1e9 if on.type == "cuda" else None,
        }  # fmt: skip


def _experiment(kept: Kept, sizes: Sizes) -> ns.DenseExperiment:
    return ns.DenseExperiment(
        dataset=sizes.digits, train_images=sizes.images,
        test_images=sizes.asked, neurons=sizes.neurons, curve_points=0, backend="torch", torch_device=str(kept.on),
        together=sizes.block, seeds=sizes.chips,
        arm=(ns.Arm(name="PCM", device=CARDS[0], mode="mixed", write={"refresh": None, "pulse_limit": LIMIT}),),
    )  # fmt: skip


def thousand(kept: Kept, sizes: Sizes) -> Iterator[None]:
    """A thousand chips that learn and vote, in blocks; and how many of them stay above which accuracy."""
    experiment = _experiment(kept, sizes)
    data, arm = experiment.data(), experiment.arms()[1]
    votes: list[float] = []
    learnt = voted = compiling = 0.0

    def make(seed: int) -> Any:
        training = experiment.training(arm, seed, data)
        training.watched = False
        return training

    for first in range(0, sizes.chips, sizes.block):
        batch = ns.Together(make, list(range(first, min(first + sizes.block, sizes.chips))))
        started = time.perf_counter()
        batch.run()
        _wait(kept)
        compiling += batch.arrays[0].seconds_compiling
        learnt += time.perf_counter() - started - batch.arrays[0].seconds_compiling
        started = time.perf_counter()
        votes += batch.votes(make(0).fit, make(0).test).tolist()
        voted += time.perf_counter() - started
        yield
        if first == 0:  # the same chip beside another one has the same bits
            beside = ns.Together(make, [batch.seeds[-1]])
            beside.run()
            same = torch.equal(
                beside.arrays[0].conductance_uS()[beside.places[batch.seeds[-1]]],
                batch.arrays[0].conductance_uS()[batch.places[batch.seeds[-1]]],
            )
            kept.add({"what": "a chip beside others", "same_bits": bool(same)})
            yield
    levels = {f"{level:.2f}": float(np.mean(np.array(votes) >= level)) for level in np.arange(0.5, 1.0, 0.05)}
    kept.add(
        {
            "what": "chips", "chips": sizes.chips, "of_a_block": sizes.block, "card": CARDS[0], "mode": "mixed",
            "data": data.note, "images": sizes.images, "asked": len(make(0).test.labels), "neurons": sizes.neurons,
            "learning_s": learnt, "voting_s": voted, "compiling_s": compiling, "goal_s": 60.0,
            "vote_mean": float(np.mean(votes)), "vote_sd": float(np.std(votes)), "share_at_least": levels,
        }
    )  # fmt: skip
    yield


def networks(kept: Kept, sizes: Sizes) -> Iterator[None]:
    """Mini-batches of deep SoftHebb at full width, and of Forward-Forward, learning in place on phase change; several chips at once."""
    converters = {"dac_bits": 8, "adc_bits": 8, "adc_percentile": 99.9, "adc_margin": 1.0}
    write = {"decay_mode": "gain", "verify_reads": 1, "pulse_limit": LIMIT}
    on: dict[str, Any] = {"backend": "torch", "torch_device": str(kept.on)}
    deep = ns.DeepExperiment(
        dataset=sizes.pictures, preset="cifar", width=sizes.width, depth=sizes.depth, **on,
        arm=(ns.DeepArm(
            name="PCM", device=CARDS[0], rule="softhebb", settings={"adaptive_gain": True}, mode="mixed",
            read=converters, write=write,
        ),),
    )  # fmt: skip
    forward = ns.ForwardForwardExperiment(
        dataset=sizes.digits, widths=sizes.widths, batch=100, **on,
        arm=(ns.ForwardForwardArm(name="PCM", device=CARDS[0], mode="mixed", write={"pulse_limit": LIMIT, "refresh": None}),),
    )  # fmt: skip
    for what, experiment, goal in (
        ("deep SoftHebb", deep, {"goal_epoch_s": 60.0}),
        ("Forward-Forward", forward, {"goal_ms": 5.0}),
    ):
        for chips in (1, sizes.nets):
            yield from _network(
                kept, sizes, what, experiment.changed(together=chips), goal if chips == 1 else {}
            )


def _network(kept: Kept, sizes: Sizes, what: str, experiment: Any, goal: dict[str, float]) -> Iterator[None]:
    """Mini-batches of one network, or of several chips as one batch."""
    data, (arm,) = experiment.data(), experiment.device_arms()
    chips = arm.settled(experiment).together
    training = ns.Together(lambda seed: experiment.training(arm, seed, data), list(range(chips))).whole
    size, times = training.batch, list[float]()
    while len(times) < sizes.warming + sizes.batches:
        chosen = (np.arange(chips * size).reshape(chips, size) + len(times) * size) % len(training.images)
        started = time.perf_counter()
        training.step(chosen)
        training.steps += 1
        _wait(kept)
        times.append(time.perf_counter() - started)
        yield
    each = float(np.median(times[sizes.warming :])) / chips
    kept.add(
        {
            "what": what if chips == 1 else f"{what}, {chips} chips", "card": CARDS[0], "mode": "mixed", "data": data.note,
            "ms_a_chip": 1e3 * each, "arrays": [list(layer.array.shape) for layer in training.layers],
            "of_a_mini_batch": size, "measured": sizes.batches, "epoch_s_a_chip": each * training.batches, **goal,
            "warming_s": sum(times[: sizes.warming]),
        }
    )  # fmt: skip
    yield


def own_weights(kept: Kept, sizes: Sizes) -> Iterator[None]:
    """Images that chips with weights trained elsewhere answer, one chip and several in one pass; layers are read eagerly."""
    rows, cols, _ = sizes.shapes[0]
    model = torch.nn.Sequential(torch.nn.Linear(rows, cols), torch.nn.ReLU(), torch.nn.Linear(cols, 10))
    images = torch.rand(sizes.images, rows, device=kept.on)
    for chips in (1, sizes.nets):
        converted = ns.convert(
            model, CARDS[0], range(chips), {"dac_bits": 8, "adc_bits": 8}, torch_device=str(kept.on)
        )
        each = seconds_of(lambda converted=converted: converted(images), sizes.runs, kept.on) / chips
        what = "own weights" if chips == 1 else f"own weights, {chips} chips"
        kept.add(
            {
                "what": what,
                "card": CARDS[0],
                "layers": [rows, cols, 10],
                "images": sizes.images,
                "ms_a_chip": 1e3 * each,
            }
        )
        yield


def _wait(kept: Kept) -> None:
    if kept.on.type == "cuda":
        torch.cuda.synchronize()


def agreement(kept: Kept, sizes: Sizes) -> Iterator[None]:
    """Every operation against the kernels, compiled for some cards, then eagerly for the others."""
    from neurosim.devices import cards, load
    from neurosim.reference.agreement import OPERATIONS, compare_operations

    others = [name for name in cards() if name not in COMPILED] if sizes.others else []
    for name in [*sizes.compared, *others]:
        compiled = name in COMPILED
        chosen = OPERATIONS_COMPILED if compiled else OPERATIONS
        started = time.perf_counter()
        try:
            lines = list(compare_operations(load(name), "float32", True, 0, str(kept.on), chosen, compiled))
            broken = [line.operation for line in lines if not line.holds]
            figure: dict[str, Any] = {"operations": len(lines), "beyond_the_bound": broken}
        except NeurosimError as error:
            figure = {"error": str(error)}
        kept.add(
            {"what": "agreement", "card": name, "compiled": compiled, **figure, "s": time.perf_counter() - started}
        )  # fmt: skip
        yield


def tests(kept: Kept, sizes: Sizes) -> Iterator[None]:
    """The tests that need a GPU, where pytest is there."""
    if kept.on.type != "cuda":
        return
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/test_twin.py",
        "tests/test_compiled.py",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    kept.add({"what": "tests", "rc": done.returncode, "said": (done.stdout + done.stderr)[-2000:]})
    yield


def main(arguments: list[str] | None = None) -> None:
    """Ask everything, in this order, until it is done or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/gpu.json"))
    parser.add_argument("--torch-device", default="cuda")
    parser.add_argument("--seconds", type=float, default=480, help="after which nothing new is begun")
    parser.add_argument("--small", action="store_true", help="try the script itself, on any machine")
    given = parser.parse_args(arguments)
    on = torch.device(given.torch_device)
    if on.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here: --torch-device cpu --small tries the script itself")
    sizes = SMALL if given.small else Sizes()
    kept = Kept(given.out, on, given.seconds)
    for part in (races, thousand, networks, own_weights, agreement, tests):
        for _ in part(kept, sizes):
            if kept.late:
                print(f"the time is over within {part.__name__}; what was found is in {given.out}")
                return
    kept.finish()


if __name__ == "__main__":
    main()
