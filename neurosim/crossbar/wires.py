"""Word and bit lines with a resistance: the exact currents of an array of ohmic cells, and one solution whole.

The circuit. Word line i is driven at the left end by V_i through `r_driver_ohm` and one segment; bit line j is
held at 0 V at the bottom through one segment and `r_sense_ohm`; the far ends (right, top) are open; one segment
lies between neighbouring cells. Cells are ohmic, so the sensed currents are linear in the inputs: I = V M.

No equation here divides by a resistance, so a perfect line is r = 0, exactly. A line is followed from its far
end: what lies beyond a point is a current source beside a conductance (Norton), and a resistance r before a
conductance y turns that into y / (1 + r y). The same holds for a whole row of bit lines at once, with a matrix
of conductances Y, which makes the block elimination of `effective_conductance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.lapack import dpotrf, dpotri
from threadpoolctl import threadpool_limits

from neurosim.core.checks import matrix, vector
from neurosim.core.errors import InputError
from neurosim.crossbar.lines import estimated_error, followed, line_by_line
from neurosim.kernels.jit import share
from neurosim.kernels.read import blocks

Doubles = NDArray[np.float64]

__all__ = [
    "Solution", "effective_conductance", "estimated_error", "followed", "line_by_line", "netlist", "solve",
]  # fmt: skip

MEGOHM = 1e-6
"""Megohms in an ohm: with conductances in uS, products of the two are pure numbers, and V / megohm is uA."""
TOLERANCE = 1e-14
"""Where conjugate gradients stop: power of the residual, as a share of the first one's, is its square."""
BLOCK = 256
"""Rows of a product that a thread takes at a time; the numbers do not depend on the threads."""
MOST_ITERATIONS = 2000


def effective_conductance(
    g_uS: ArrayLike,
    r_word_ohm: float,
    r_bit_ohm: float,
    r_driver_ohm: float = 0.0,
    r_sense_ohm: float = 0.0,
) -> Doubles:
    """Return the matrix M of what each input drives into each sensed bit line, wires included: I = V @ M.

    Exact for ohmic cells; block elimination along the longer side with dense blocks of the shorter one, about
    (3 + rows/cols) rows cols^3 operations for rows >= cols.

    Parameters
    ----------
    g_uS : array_like
        Conductances of the cells, (rows, cols), in uS; zero is an open cell.
    r_word_ohm, r_bit_ohm : float
        Resistance of one segment of a word line and of a bit line; 0 is a perfect line.
    r_driver_ohm, r_sense_ohm : float
        Resistance of each driver and of each sense amplifier's input, in series with the first segment of a word
        line and the last of a bit line.

    Returns
    -------
    ndarray
        (rows, cols) float64 in uS: V in volts gives I in uA. Without wires it is `g_uS`.

    Raises
    ------
    InputError
        If the conductances are not a matrix of finite numbers >= 0, or a resistance is not such a number.
    """
    g, r_word, r_bit, r_driver, r_sense = _checked(g_uS, r_word_ohm, r_bit_ohm, r_driver_ohm, r_sense_ohm)
    if g.shape[0] >= g.shape[1]:
        return _eliminate(g, r_word, r_bit, r_driver, r_sense)
    # Reciprocity: driving the sensed ends and sensing the driven ones gives the transposed matrix.
    return np.ascontiguousarray(_mirrored(_eliminate(_mirrored(g), r_bit, r_word, r_sense, r_driver)))


def _eliminate(g: Doubles, r_word: float, r_bit: float, r_driver: float, r_sense: float) -> Doubles:
    """The same row by row from the top; resistances in megohms.

    Everything above a row, seen from its bit-line nodes, is a matrix of conductances Y and, per volt on each row
    so far, source currents P (one row of P each). A segment multiplies both by (1 + r Y)^-1; a row adds its own.
    """
    rows, cols = g.shape
    passed, fed, coupling, position = _word_lines(g, r_word, r_driver)
    carried: Doubles = np.zeros((cols + rows, cols))  # Y, then P
    spare = np.zeros_like(carried)
    diagonal = np.diag_indices(cols)
    with threadpool_limits(1, "blas"):  # scipy brings a BLAS of its own; this finds both
        for i in range(rows):
            if i and r_bit:
                _through(r_bit, carried[: cols + i], spare)
                carried, spare = spare, carried
            above = carried[:cols]
            if coupling[i].any():
                between = np.exp(-np.abs(np.subtract.outer(position[i], position[i])))
                between *= coupling[i]
                between *= coupling[i][:, None]
                between[diagonal] = 0.0
                above -= between
            above[diagonal] += passed[i]
            carried[cols + i] = fed[i]
        if r_bit + r_sense:
            _through(r_bit + r_sense, carried, spare)
            carried = spare
    return carried[cols:].copy()


def _through(resistance: float, carried: Doubles, out: Doubles) -> None:
    """Pass conductances and currents through a resistance in every bit line."""
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


def _word_lines(g: Doubles, r_word: float, r_driver: float) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """What word lines leave between bit-line nodes of a row once their own nodes are eliminated, each (rows, cols).

    `passed`: conductance of a node with all others at 0 V; `fed`: current into it per volt of the driver;
    between nodes j and k lies the conductance coupling_j coupling_k exp(-|position_j - position_k|), for the
    inverse of a tridiagonal matrix is that of such products.
    """
    share, total = _ladder(g, r_word, r_word + r_driver)
    before = np.empty_like(g)
    resistance = np.full(len(g), r_word + r_driver)
    for j in range(g.shape[1]):
        before[:, j] = resistance
        resistance = r_word + resistance / (1.0 + resistance * g[:, j])
    own = before / (1.0 + before * total)
    passed = g * (1.0 + before * (total - g)) / (1.0 + before * total)
    fed = g * np.cumprod(share, axis=1)
    position = np.zeros_like(g)
    if r_word > 0.0:
        steps = 0.5 * np.log(own[:, 1:] / own[:, :-1]) - np.log(share[:, 1:])
        position[:, 1:] = np.cumsum(steps, axis=1)
    return passed, fed, g * np.sqrt(own), position


def _ladder(g: Doubles, segment: float, first: float) -> tuple[Doubles, Doubles]:
    """Follow lines, (lines, nodes), from their open ends to the terminal before node 0.

    Returns the share of a voltage (or current) that passes the resistance before each node, and the conductance
    of the node with all beyond it.
    """
    share, total = np.empty_like(g), np.empty_like(g)
    beyond = np.zeros(len(g))
    for j in reversed(range(g.shape[1])):
        total[:, j] = g[:, j] + beyond
        share[:, j] = 1.0 / (1.0 + (segment if j else first) * total[:, j])
        beyond = total[:, j] * share[:, j]
    return share, total


def _mirrored(array: Doubles) -> Doubles:
    """Word lines for bit lines, and back: node 0 of each line is again the one beside its terminal."""
    return array[::-1, ::-1].T


@dataclass(frozen=True)
class Solution:
    """Everything in an array at one input vector.

    Attributes
    ----------
    word_V, bit_V : ndarray
        Voltages of the nodes on word lines and on bit lines, (rows, cols).
    cell_uA : ndarray
        Currents through the cells, from word line to bit line, (rows, cols).
    input_uA : ndarray
        Currents out of the drivers, (rows,).
    output_uA : ndarray
        Currents out of the bit lines into the sense amplifiers, (cols,).
    cells_uW, wires_uW : float
        Power in the cells, and in segments, drivers and sense inputs.
    iterations : int
        Steps of conjugate gradients that were needed.
    """

    word_V: Doubles
    bit_V: Doubles
    cell_uA: Doubles
    input_uA: Doubles
    output_uA: Doubles
    cells_uW: float
    wires_uW: float
    iterations: int

    @property
    def power_uW(self) -> float:
        """Dissipated power; what the drivers deliver, the sum of V I."""
        return self.cells_uW + self.wires_uW


def solve(
    g_uS: ArrayLike,
    voltages_V: ArrayLike,
    r_word_ohm: float,
    r_bit_ohm: float,
    r_driver_ohm: float = 0.0,
    r_sense_ohm: float = 0.0,
) -> Solution:
    """Return voltages, currents and power of an array with wires at one input vector.

    Conjugate gradients on the bit-line nodes, word lines eliminated, preconditioned by the bit lines with their
    word lines held; memory and a step's work grow as rows x cols.

    Parameters
    ----------
    g_uS : array_like
        Conductances of the cells, (rows, cols), in uS.
    voltages_V : array_like
        Voltages of the drivers, (rows,).
    r_word_ohm, r_bit_ohm, r_driver_ohm, r_sense_ohm : float
        As in `effective_conductance`.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        As `effective_conductance`, or if `voltages_V` is not one finite voltage per row, or if conductances and
        resistances lie so far apart that the iteration does not end.
    """
    g, r_word, r_bit, r_driver, r_sense = _checked(g_uS, r_word_ohm, r_bit_ohm, r_driver_ohm, r_sense_ohm)
    volts = np.asarray(vector("voltages_V", voltages_V, len(g), "float64"), np.float64)
    words = _Lines(g, r_word, r_word + r_driver)
    bits = _Lines(_mirrored(g), r_bit, r_bit + r_sense)
    still = np.zeros(len(g))
    grounded = np.zeros(g.shape[1])

    def from_words(bit_V: Doubles, driven: Doubles) -> Doubles:
        return words.voltages(driven, g * bit_V)

    def from_bits(current: Doubles) -> Doubles:
        return _mirrored(bits.voltages(grounded, _mirrored(current)))

    bit_V = np.zeros_like(g)
    residual = g * from_words(bit_V, volts)
    step = from_bits(residual)
    search, image = step, residual  # image: what bit lines with word lines held make of `search`
    power = first = float(np.vdot(residual, step))
    iterations = 0
    while power > TOLERANCE**2 * first:
        if iterations == MOST_ITERATIONS:
            raise InputError("conductances and resistances too far apart: no solution in 2000 iterations")
        iterations += 1
        applied = image - g * from_words(search, still)
        length = power / float(np.vdot(search, applied))
        bit_V += length * search
        residual = residual - length * applied
        step = from_bits(residual)
        power, last = float(np.vdot(residual, step)), power
        search = step + power / last * search
        image = residual + power / last * image

    word_V = from_words(bit_V, volts)
    cell_uA = g * (word_V - bit_V)
    along_words = np.cumsum(cell_uA[:, ::-1], axis=1)[:, ::-1]
    along_bits = np.cumsum(cell_uA, axis=0)
    return Solution(
        word_V=word_V,
        bit_V=bit_V,
        cell_uA=cell_uA,
        input_uA=along_words[:, 0].copy(),
        output_uA=along_bits[-1].copy(),
        cells_uW=float(np.vdot(cell_uA, word_V - bit_V)),
        wires_uW=float(
            r_word * np.sum(along_words**2)
            + r_bit * np.sum(along_bits**2)
            + r_driver * np.sum(along_words[:, 0] ** 2)
            + r_sense * np.sum(along_bits[-1] ** 2)
        ),
        iterations=iterations,
    )


class _Lines:
    """Parallel lines, (lines, nodes), with a conductance to somewhere at each node; megohms and uS."""

    def __init__(self, g: Doubles, segment: float, first: float):
        self.segment, self.first = segment, first
        self.share = _ladder(g, segment, first)[0].T.copy()

    def voltages(self, terminal_V: Doubles, injected_uA: Doubles) -> Doubles:
        """Node voltages with `terminal_V` before node 0 and these currents into the nodes: two sweeps."""
        share, nodes = self.share, len(self.share)
        source = injected_uA.T.copy()
        for j in range(nodes - 2, -1, -1):
            source[j] += share[j + 1] * source[j + 1]
        voltage = terminal_V
        for j in range(nodes):
            voltage = (voltage + (self.segment if j else self.first) * source[j]) * share[j]
            source[j] = voltage
        return source.T


def netlist(
    g_uS: ArrayLike,
    voltages_V: ArrayLike,
    r_word_ohm: float,
    r_bit_ohm: float,
    r_driver_ohm: float = 0.0,
    r_sense_ohm: float = 0.0,
) -> str:
    """Return the circuit of `solve` as a SPICE netlist that prints the sensed currents, in A.

    `ngspice -b FILE` prints one line `i(vsense<j>) = ...` per bit line. Nodes are `w<row>_<col>` on word lines
    and `b<row>_<col>` on bit lines; a perfect line is one node, an open cell is left out.

    Parameters
    ----------
    g_uS, voltages_V, r_word_ohm, r_bit_ohm, r_driver_ohm, r_sense_ohm
        As in `solve`.

    Returns
    -------
    str

    Raises
    ------
    InputError
        As `solve`.
    """
    g, *_ = _checked(g_uS, r_word_ohm, r_bit_ohm, r_driver_ohm, r_sense_ohm)
    rows, cols = g.shape
    volts = vector("voltages_V", voltages_V, rows, "float64")
    lines = [f"* crossbar of {rows} word lines and {cols} bit lines"]

    def resistor(name: str, one: str, other: str, ohm: float) -> None:
        lines.append(f"R{name} {one} {other} {float(ohm)!r}")

    def line(
        kind: str, number: int, terminal: str, nodes: list[str], segment: float, first: float
    ) -> list[str]:
        """Resistors from the terminal along the line; the node at each cell."""
        reached = [terminal]
        for k, node in enumerate(nodes):
            ohm = segment if k else first
            if ohm > 0.0:
                resistor(f"{kind}{number}_{k}", reached[-1], node, ohm)
            reached.append(node if ohm > 0.0 else reached[-1])
        return reached[1:]

    word, bit = [], []
    for i in range(rows):
        lines.append(f"Vdrive{i} in{i} 0 {float(volts[i])!r}")
        nodes = [f"w{i}_{j}" for j in range(cols)]
        word.append(line("w", i, f"in{i}", nodes, r_word_ohm, r_word_ohm + r_driver_ohm))
    for j in range(cols):
        lines.append(f"Vsense{j} out{j} 0 0")
        nodes = [f"b{i}_{j}" for i in reversed(range(rows))]
        bit.append(line("b", j, f"out{j}", nodes, r_bit_ohm, r_bit_ohm + r_sense_ohm)[::-1])
    for i, j in zip(*np.nonzero(g), strict=True):
        resistor(f"c{i}_{j}", word[i][j], bit[j][i], 1e6 / g[i, j])
    printed = [f"print i(vsense{j})" for j in range(cols)]
    return "\n".join([*lines, ".control", "set numdgt=15", "op", *printed, "quit", ".endc", ".end", ""])


def _checked(g_uS: ArrayLike, *resistances_ohm: float) -> tuple[Doubles, float, float, float, float]:
    """Conductances as float64 and resistances in megohms, or `InputError`."""
    g = np.asarray(matrix("g_uS", g_uS, precision="float64"), np.float64)
    if g.size == 0:
        raise InputError(f"g_uS: expected at least one row and one column, got {g.shape}")
    if g.min() < 0:
        raise InputError(
            f"g_uS: {int((g < 0).sum())} of {g.size} conductances are negative; give each device its own"
        )
    names = ("r_word_ohm", "r_bit_ohm", "r_driver_ohm", "r_sense_ohm")
    for name, value in zip(names, resistances_ohm, strict=True):
        if not (isinstance(value, Real) and np.isfinite(float(value)) and value >= 0):
            raise InputError(
                f"{name}: expected a finite number >= 0 in ohms, got {value!r}; 0 is a perfect line"
            )
    r_word, r_bit, r_driver, r_sense = (MEGOHM * float(value) for value in resistances_ohm)
    return g, r_word, r_bit, r_driver, r_sense
