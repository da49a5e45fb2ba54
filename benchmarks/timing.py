"""Time two pieces of work in turn, so that a neighbour's load hits both alike, and give their ratio."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Work = Callable[[], object]


@dataclass(frozen=True)
class Race:
    """Medians of a contender and its reference, seconds per call."""

    name: str
    contender_s: float
    reference_s: float
    reference: str
    bar: str

    @property
    def ratio(self) -> float:
        """Contender over reference."""
        return self.contender_s / self.reference_s

    def line(self) -> str:
        """One line of print."""
        return (
            f"{self.name:<58} {1e3 * self.contender_s:9.3f} ms  {self.ratio:7.2f} x {self.reference} "
            f"({1e3 * self.reference_s:.3f} ms)  bar {self.bar}"
        )


def race(
    name: str, contender: Work, reference_name: str, reference: Work, bar: str, rounds: int = 30
) -> Race:
    """Run both in turn `rounds` times after a warm-up; medians."""
    contender(), reference()
    times = np.empty((2, rounds))
    for k in range(rounds):
        for row, work in enumerate((contender, reference)):
            start = time.perf_counter()
            work()
            times[row, k] = time.perf_counter() - start
    median = np.median(times, axis=1)
    return Race(name, float(median[0]), float(median[1]), reference_name, bar)


def once(work: Work, rounds: int = 5) -> float:
    """Median seconds of a call."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))
