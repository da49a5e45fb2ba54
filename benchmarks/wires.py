"""Wires against sparse nodal analysis of the same array (SuperLU): effective matrix, a batch, one solution.

The reference has BLAS on one thread, which is its fastest: SuperLU's products are small, and threads that wait for
each other made it up to ten times slower.

python -m benchmarks.wires [--largest] --out results/wires.json
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

import neurosim as ns
from benchmarks.timing import Figure, Work, figure, line
from neurosim.core.seeds import generator
from neurosim.study.store import versions, write_json

OHM = 1.0
"""A segment of either line; drivers and sense inputs are perfect."""
INPUTS = 32
"""Right-hand sides that the reference solves at a time."""
BATCH = 128
"""Inputs of a batch."""
Doubles = NDArray[np.float64]


def cells(size: int) -> Doubles:
    """1-25 uS, evenly spread."""
    return generator(0, "bench wires").uniform(1, 25, (size, size))


def nodal(g: Doubles) -> tuple[Callable[[Doubles], Doubles], int]:
    """Factorise the nodal equations of a square array; a function from inputs to node voltages, and their number."""
    size = len(g)
    segment = 1e6 / OHM
    path = sparse.diags_array(
        [np.full(size - 1, -1.0), np.full(size, 2.0), np.full(size - 1, -1.0)], offsets=[-1, 0, 1]
    )
    line_uS = sparse.lil_array(path)
    line_uS[size - 1, size - 1] = 1.0
    driven = segment * line_uS.tocsr()  # terminal before node 0, far end open
    sensed = driven[::-1, ::-1]
    one, joined = sparse.eye_array(size), sparse.diags_array(g.ravel())
    words, bits = sparse.kron(one, driven) + joined, sparse.kron(sensed, one) + joined
    factors = splu(sparse.csc_matrix(sparse.block_array([[words, -joined], [-joined, bits]])))
    return factors.solve, 2 * size * size


def currents(g: Doubles, inputs: int) -> tuple[Doubles, float]:
    """Sensed currents at the first unit inputs, (inputs, cols), and the seconds that all of them would take."""
    size, segment = len(g), 1e6 / OHM
    start = time.perf_counter()
    solve, unknowns = nodal(g)
    factorised = time.perf_counter()
    found = []
    for first in range(0, inputs, INPUTS):
        rows = np.arange(first, min(first + INPUTS, inputs))
        right = np.zeros((unknowns, len(rows)))
        right[rows * size, np.arange(len(rows))] = segment
        found.append(segment * solve(right)[-size:].T)
    solved = time.perf_counter() - factorised
    return np.concatenate(found), factorised - start + solved * size / inputs


def best(work: Work, rounds: int) -> float:
    """Least seconds of a few calls: a neighbour's load only adds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def effective(size: int, inputs: int, at_most: float) -> Figure:
    """The whole effective matrix; the reference's time is scaled up from `inputs` of its rows."""
    g = cells(size)
    m = ns.wires.effective_conductance(g, OHM, OHM)
    seconds = best(lambda: ns.wires.effective_conductance(g, OHM, OHM), 3 if size < 512 else 1)
    expected, reference_s = currents(g, inputs)
    difference = float(np.abs(m[:inputs] - expected).max() / m.max())
    return figure(
        f"effective matrix, {size} x {size}",
        seconds / reference_s,
        "x sparse nodal analysis",
        at_most,
        contender_s=seconds,
        reference_s=reference_s,
        difference=difference,
        worst_loss=float((g - m).max() / g.max()),
    )


def one_input(size: int) -> Figure:
    """Voltages and currents at one input vector."""
    g, volts = cells(size), generator(0, "bench wires input").uniform(0, 0.2, size)
    found = ns.wires.solve(g, volts, OHM, OHM)
    expected = volts @ ns.wires.effective_conductance(g, OHM, OHM)

    def reference() -> None:
        solve, unknowns = nodal(g)
        right = np.zeros(unknowns)
        right[: size * size : size] = volts * 1e6 / OHM
        solve(right)

    seconds, reference_s = best(lambda: ns.wires.solve(g, volts, OHM, OHM), 5), best(reference, 1)
    return figure(
        f"one input vector, {size} x {size}, {found.iterations} iterations",
        seconds / reference_s,
        "x sparse nodal analysis",
        0.5,
        contender_s=seconds,
        reference_s=reference_s,
        difference=float(np.abs(found.output_uA - expected).max() / expected.max()),
    )


def a_batch(size: int) -> Figure:
    """Matrix and one batch through it; the reference solves for each input of the batch."""
    g, volts = cells(size), generator(0, "bench wires batch").uniform(0, 0.2, (BATCH, size))

    def ours() -> Doubles:
        found: Doubles = volts @ ns.wires.effective_conductance(g, OHM, OHM)
        return found

    def reference() -> Doubles:
        solve, unknowns = nodal(g)
        right = np.zeros((unknowns, BATCH))
        right[: size * size : size] = volts.T * 1e6 / OHM
        found: Doubles = 1e6 / OHM * solve(right)[-size:].T
        return found

    expected = reference()
    difference = float(np.abs(ours() - expected).max() / expected.max())
    seconds, reference_s = best(ours, 3), best(reference, 2 if size < 256 else 1)
    return figure(
        f"matrix and a batch of {BATCH}, {size} x {size}",
        seconds / reference_s,
        "x sparse nodal analysis",
        0.5,
        contender_s=seconds,
        reference_s=reference_s,
        difference=difference,
    )


def a_batch_once_solved(size: int) -> Figure:
    """A batch through a matrix that is there, against the same through perfect lines: both are one product."""
    g, volts = cells(size), generator(0, "bench wires batch").uniform(0, 0.2, (BATCH, size))
    m = ns.wires.effective_conductance(g, OHM, OHM)
    seconds, reference_s = best(lambda: volts @ m, 200), best(lambda: volts @ g, 200)
    return figure(
        f"batch of {BATCH} through a solved matrix, {size} x {size}",
        seconds / reference_s,
        "x through perfect lines",
        1.2,
        contender_s=seconds,
        reference_s=reference_s,
    )


def by_lines(size: int) -> Figure:
    """Line by line, in float32 as arrays hold their cells."""
    g = cells(size).astype(np.float32)
    seconds = best(lambda: ns.wires.line_by_line(g, OHM, OHM), 20)
    return figure(
        f"line by line, {size} x {size}", 1e9 * seconds / g.size, "ns a cell", 20.0, seconds=seconds
    )


def figures(largest: bool = False) -> list[Figure]:
    """Every figure of this module; 512 x 512 on demand, its reference from 32 of its 512 inputs."""
    with threadpool_limits(1, "blas"):
        found = [effective(128, 128, 0.5), effective(256, 256, 0.5), one_input(256)]
        found += [a_batch(size) for size in (64, 128, 256)]
        found += [a_batch_once_solved(256), by_lines(256), by_lines(512)]
        return [*found, effective(512, INPUTS, 0.5)] if largest else found


def main() -> None:
    """Print a line each and write them with versions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", action="store_true", help="512 x 512 too")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found = figures(options.largest)
    print(*map(line, found), sep="\n")
    results: dict[str, Any] = {"races": found, "segment_ohm": OHM, "versions": versions()}
    write_json(options.out, results)


if __name__ == "__main__":
    main()
