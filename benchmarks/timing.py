"""Time two pieces of work in turn, so that a neighbour's load hits both alike, and give their ratio."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

Work = Callable[[], object]
TURN = 10
PAUSE_S = 0.1
Figure = dict[str, Any]


def figure(name: str, value: float, unit: str, at_most: float | None, **details: float) -> Figure:
    """One measured figure with its bar, ready for JSON."""
    holds = at_most is None or value <= at_most
    return {"name": name, "value": value, "unit": unit, "at_most": at_most, "holds": holds, **details}


def race(
    name: str, contender: Work, reference_name: str, reference: Work, at_most: float | None, rounds: int = 40
) -> Figure:
    """Run both in turn, `rounds` times each, after a warm-up; ratio of the medians.

    They take turns of ten calls with a pause between, because BLAS threads spin for a while after a product
    and would hold a core against the other.
    """
    times: dict[Work, list[float]] = {contender: [], reference: []}
    for _ in range(-(-rounds // TURN)):
        for work, seconds in times.items():
            time.sleep(PAUSE_S)
            work()
            for _ in range(TURN):
                start = time.perf_counter()
                work()
                seconds.append(time.perf_counter() - start)
    mine, other = (np.median(seconds) for seconds in times.values())
    return figure(
        name,
        float(mine / other),
        f"x {reference_name}",
        at_most,
        contender_s=float(mine),
        reference_s=float(other),
    )


def once(work: Work, rounds: int = 5) -> float:
    """Median seconds of a call."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def line(one: Figure) -> str:
    """One line of print."""
    bar = "" if one["at_most"] is None else f"  bar {one['at_most']}"
    times = ""
    if "contender_s" in one:
        times = f"  ({1e3 * one['contender_s']:.3f} ms against {1e3 * one['reference_s']:.3f} ms)"
    return f"{one['name']:<68} {one['value']:7.2f} {one['unit']}{times}{bar}"
