"""Word and bit lines with a resistance: the exact currents of an array of ohmic cells.

The circuit. Word line i is driven at the left end by V_i through `r_driver_ohm` and one segment; bit line j is
held at 0 V at the bottom through one segment and `r_sense_ohm`; the far ends (right, top) are open, or driven and
sensed in the same way; one segment lies between neighbouring cells. Cells are ohmic, so the sensed currents are
linear in the inputs: I = V M.

No equation here divides by the resistance of a segment, so a perfect line is r = 0, exactly. A line is followed
from its far end: what lies beyond a point is a current source beside a conductance (Norton), and a resistance r
before a conductance y turns that into y / (1 + r y). The same holds for a whole row of bit lines at once, with a
matrix of conductances Y, which makes the block elimination of `effective_conductance`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg.lapack import dpotrf, dpotri
from threadpoolctl import threadpool_limits

from neurosim.core.errors import InputError
from neurosim.crossbar.circuit import Solution, netlist, solve
from neurosim.crossbar.ladders import Doubles, Line, checked, ladder, mirrored
from neurosim.crossbar.lines import Ends, estimated_error, followed, line_by_line
from neurosim.kernels.jit import share
from neurosim.kernels.products import blocks

__all__ = [
    "Solution", "effective_conductance", "estimated_error", "followed", "line_by_line", "netlist", "solve",
]  # fmt: skip

BLOCK = 256
"""Rows of a product that a thread takes at a time; the numbers do not depend on the threads."""


def effective_conductance(
    g_uS: ArrayLike,
    r_word_ohm: float,
    r_bit_ohm: float,
    r_driver_ohm: float = 0.0,
    r_sense_ohm: float = 0.0,
    drive: Ends = "single",
    sense: Ends = "single",
) -> Doubles:
    """Return the matrix M of what each input drives into each sensed bit line, wires included: I = V @ M.

    Exact for ohmic cells; block elimination along the longer side with dense blocks of the shorter one, about
    (3 + rows/cols) rows cols^3 operations for rows >= cols; with both `drive` and `sense` double (5 + 2 rows/cols).

    Parameters
    ----------
    g_uS : array_like
        Conductances of the cells, (rows, cols), in uS; zero is an open cell.
    r_word_ohm, r_bit_ohm : float
        Resistance of one segment of a word line and of a bit line; 0 is a perfect line.
    r_driver_ohm, r_sense_ohm : float
        Resistance of each driver and of each sense amplifier's input, in series with the first segment of a word
        line and the last of a bit line.
    drive : {"single", "double"}
        Word lines driven at the left end, or at both, each end through its driver and one segment.
    sense : {"single", "double"}
        Bit lines held at 0 V and sensed at the bottom, or at both ends with the two currents added.

    Returns
    -------
    ndarray
        (rows, cols) float64 in uS: V in volts gives I in uA. Without wires it is `g_uS`.

    Raises
    ------
    InputError
        If the conductances are not a matrix of finite numbers >= 0, or a resistance is not such a number.
    """
    resistances = (r_word_ohm, r_bit_ohm, r_driver_ohm, r_sense_ohm)
    g, word, bit = checked(g_uS, resistances, drive, sense)
    if _work(g.shape, bit.both) <= _work(g.shape[::-1], word.both):
        return _eliminate(g, word, bit)
    # Reciprocity: driving the sensed ends and sensing the driven ones gives the transposed matrix.
    return np.ascontiguousarray(mirrored(_eliminate(mirrored(g), bit, word)))


def _work(shape: tuple[int, ...], top_sensed: bool) -> float:
    """Operations of `_eliminate`."""
    rows, cols = shape
    return rows * float(cols) ** 3 * (5 + 2 * rows / cols if top_sensed else 3 + rows / cols)


def _eliminate(g: Doubles, word: Line, bit: Line) -> Doubles:
    """Return the conductances that converters see, eliminating row by row from the top.

    Everything above a row, seen from its bit-line nodes, is a matrix of conductances Y and, per volt on each row
    so far, source currents P (one row of P each). A segment multiplies both by K = (1 + r Y)^-1; a row adds its own.
    Terminals at the top are sources too, with currents T per volt. By reciprocity T is also what a voltage of these
    nodes drives into them, so that they receive Q per volt on each row, and a segment adds r (P K) T^T to Q.
    """
    rows, cols = g.shape
    passed, fed, coupling, position = _word_lines(g, word)
    top = bit.far_uS > 0.0
    sources = 2 * cols if top else cols
    carried: Doubles = np.zeros((sources + rows, cols))  # Y, then T, then P
    received: Doubles = np.zeros((rows if top else 0, cols))  # Q
    spare = np.zeros_like(carried)
    diagonal = np.diag_indices(cols)
    for first in range(0, sources if top else 0, cols):
        carried[first : first + cols][diagonal] = bit.far_uS
    with threadpool_limits(1, "blas"):  # scipy brings a BLAS of its own; this finds both
        for i in range(rows):
            if i and bit.segment:
                _through(bit.segment, carried[: sources + i], spare, received)
                carried, spare = spare, carried
            above = carried[:cols]
            if coupling[i].any():
                between = np.exp(-np.abs(np.subtract.outer(position[i], position[i])))
                between *= coupling[i]
                between *= coupling[i][:, None]
                between[diagonal] = 0.0
                above -= between
            above[diagonal] += passed[i]
            carried[sources + i] = fed[i]
        if bit.first:
            _through(bit.first, carried, spare, received)
            carried = spare
    return carried[sources:] + received if top else carried[sources:].copy()


def _through(resistance: float, carried: Doubles, out: Doubles, received: Doubles) -> None:
    """Pass conductances and currents through a resistance in every bit line; add to what the top receives, if any."""
    cols = carried.shape[1]
    block = resistance * carried[:cols]
    block[np.diag_indices(cols)] += 1.0
    factor, failed = dpotrf(block.T, lower=1, overwrite_a=1)
    if failed:
        raise InputError("conductances and resistances lie too far apart for float64")
    lower, _ = dpotri(factor, lower=1, overwrite_c=1)
    inverse = np.where(np.tri(cols, dtype=bool), lower, lower.T)

    def multiply(block: tuple[int, int]) -> None:
        first, last = block
        np.matmul(carried[first:last], inverse, out=out[first:last])

    share(multiply, blocks(len(carried), BLOCK))
    if len(received) == 0:
        return
    back = resistance * carried[cols : 2 * cols].T

    def receive(block: tuple[int, int]) -> None:
        first, last = block
        received[first:last] += out[2 * cols + first : 2 * cols + last] @ back

    if len(carried) > 2 * cols:
        share(receive, blocks(len(carried) - 2 * cols, BLOCK))


def _word_lines(g: Doubles, line: Line) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """What word lines leave between bit-line nodes of a row once their own nodes are eliminated, each (rows, cols).

    `passed`: conductance of a node with all others at 0 V; `fed`: current into it per volt of the driver;
    between nodes j and k lies the conductance coupling_j coupling_k exp(-|position_j - position_k|), for the
    inverse of a tridiagonal matrix is that of such products.
    """
    share, total = ladder(g, line)
    before = np.empty_like(g)
    resistance = np.full(len(g), line.first)
    for j in range(g.shape[1]):
        before[:, j] = resistance
        resistance = line.segment + resistance / (1.0 + resistance * g[:, j])
    own = before / (1.0 + before * total)
    passed = g * (1.0 + before * (total - g)) / (1.0 + before * total)
    arrived = np.cumprod(share, axis=1)
    if line.far_uS:
        arrived += np.cumprod(ladder(g[:, ::-1], line)[0], axis=1)[:, ::-1]
    position = np.zeros_like(g)
    if line.segment > 0.0:
        steps = 0.5 * np.log(own[:, 1:] / own[:, :-1]) - np.log(share[:, 1:])
        position[:, 1:] = np.cumsum(steps, axis=1)
    return passed, g * arrived, g * np.sqrt(own), position
