"""Sweeps: what carrying out blocks costs beside the blocks themselves, memory, and what a second worker is worth."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from benchmarks.timing import Figure, figure
from neurosim import Dataset, Experiment
from neurosim.core.errors import DataError
from neurosim.study.blocks import Store, carry_out
from neurosim.study.workers import loky_pool

WORKERS = 2
BLOCKS, SECONDS = 200, 1.0
OVERHEAD, FLAT, SPEED_UP = 0.03, 1.02, 1.8
"""Bars: time beyond the ideal, memory at the end against that after some blocks, and two workers against one."""
SETTLED = 10
"""Blocks after which a worker has imported and compiled what it needs."""
REAL: dict[str, Any] = {"neurons": 200, "train_images": 50_000, "epochs": 2, "seeds": 8}
"""MNIST 784-200 in ideal arithmetic and on phase-change pairs: eight blocks of about 10 s of one thread each."""


class Sleeping(Experiment):
    """A kind of study whose blocks do nothing for a while."""

    kind: ClassVar[str] = "sleeping"

    sleep_s: float = Field(SECONDS, gt=0)

    def data(self) -> Dataset:
        """Return a few vectors."""
        return Dataset.of(np.eye(60), np.arange(60) % 2)

    def run(self, arm: Any, seed: int, data: Dataset, out: Path | None, report: Any) -> Any:
        """Sleep; the results say how much memory this process has."""
        time.sleep(self.sleep_s)
        counts = {"pid": os.getpid(), "rss_B": resident(), "at_s": time.time()}
        return {
            "arm": arm.name, "seed": seed, "accuracy": 0.5, "test_size": 10, "seconds": self.sleep_s, "counts": counts,
        }  # fmt: skip


def resident() -> int:
    """Bytes of memory that this process has, 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def _swept(spec: Experiment, axis: str, by: Callable[[Store], None]) -> tuple[float, list[dict[str, Any]]]:
    """Seconds that the blocks of a sweep take, and their rows."""
    from neurosim.study.swept import planned  # here, as in the command: its workers need no statistics

    with tempfile.TemporaryDirectory() as folder:
        store = Store(planned(spec, [axis]), Path(folder))
        started = time.perf_counter()
        by(store)
        return time.perf_counter() - started, list(store.rows())


def by_loky(store: Store, workers: int = WORKERS) -> None:
    """Carry out the blocks by processes of loky with one thread each, started for it and ended with it."""
    with loky_pool(workers, threads=1) as pool:
        carry_out(store, executor=pool)


def overhead() -> list[Figure]:
    """Blocks of a second: time beyond the ideal, the start of the workers included, and memory of workers and parent."""
    before = resident()
    took, rows = _swept(Sleeping(seeds=BLOCKS), f"sleep_s={SECONDS}", by_loky)
    after = resident()
    ideal = BLOCKS * SECONDS / WORKERS
    growth = 1.0
    for pid in {row["counts"]["pid"] for row in rows}:
        own = [row["counts"] for row in rows if row["counts"]["pid"] == pid]
        own.sort(key=lambda counts: counts["at_s"])
        growth = max(growth, own[-1]["rss_B"] / max(1, own[min(SETTLED, len(own) - 1)]["rss_B"]))
    return [
        figure(
            f"{BLOCKS} blocks of {SECONDS:g} s by loky on {WORKERS} workers, beyond the ideal", took / ideal - 1,
            f"of {ideal:g} s", OVERHEAD, contender_s=took, reference_s=ideal,
        ),
        figure("memory of a worker after the last block", growth, f"x that after {SETTLED} blocks", FLAT),
        figure("memory of the parent after the last block", after / max(1, before), "x that before", None),
    ]  # fmt: skip


def speed_up() -> list[Figure]:
    """Blocks of about 10 s: two workers against one, all with one thread."""
    from neurosim import DenseExperiment

    spec = DenseExperiment(
        dataset="mnist", test_images=1000, readout_epochs=1, curve_points=0, mode="mixed",
        device=("pcm-nandakumar-2018",), **REAL,
    )  # fmt: skip
    try:
        spec.data()
    except DataError as error:
        print(f"left out, two workers on MNIST: {error}")
        return []
    axis = "read_noise=0.02"
    # the first compiles what is not in the cache yet
    _swept(spec.changed(seeds=1, train_images=600), axis, by_loky)
    alone, rows = _swept(spec, axis, lambda store: by_loky(store, 1))
    both, _ = _swept(spec, axis, by_loky)
    return [
        figure(
            f"{len(rows)} blocks of {alone / len(rows):.0f} s by loky on {WORKERS} workers", both / alone,
            "x one worker, one thread each", 1 / SPEED_UP, contender_s=both, reference_s=alone,
        )
    ]  # fmt: skip


def figures() -> list[Figure]:
    """Overhead, memory and speed-up; on a machine that does nothing else."""
    return [*overhead(), *speed_up()]
