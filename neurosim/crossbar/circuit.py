"""One solution of an array with wires, whole, and its circuit as a netlist (`neurosim.crossbar.wires`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from neurosim.core.checks import vector
from neurosim.core.errors import InputError
from neurosim.crossbar.ladders import Doubles, Line, checked, ladder, mirrored
from neurosim.crossbar.lines import Ends

TOLERANCE = 1e-14
"""Where conjugate gradients stop: power of the residual, as a share of the first one's, is its square."""
MOST_ITERATIONS = 2000


@dataclass(frozen=True)
class Solution:
    """Everything in an array at one input vector.

    Where a line has terminals at both ends, its current is the sum of the two.

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
    drive: Ends = "single",
    sense: Ends = "single",
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
    r_word_ohm, r_bit_ohm, r_driver_ohm, r_sense_ohm, drive, sense
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
    resistances = (r_word_ohm, r_bit_ohm, r_driver_ohm, r_sense_ohm)
    g, word, bit = checked(g_uS, resistances, drive, sense)
    volts = np.asarray(vector("voltages_V", voltages_V, len(g), "float64"), np.float64)
    words, bits = _Lines(g, word), _Lines(mirrored(g), bit)
    still = np.zeros(len(g))
    grounded = np.zeros(g.shape[1])

    def from_words(bit_V: Doubles, driven: Doubles) -> Doubles:
        return words.voltages(driven, g * bit_V)

    def from_bits(current: Doubles) -> Doubles:
        return mirrored(bits.voltages(grounded, mirrored(current)))

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
    return Solution(
        word_V=word_V,
        bit_V=bit_V,
        cell_uA=cell_uA,
        input_uA=cell_uA.sum(axis=1),
        output_uA=cell_uA.sum(axis=0),
        cells_uW=float(np.vdot(cell_uA, word_V - bit_V)),
        wires_uW=_dissipated(cell_uA, word) + _dissipated(mirrored(cell_uA), bit),
        iterations=iterations,
    )


def _dissipated(cell_uA: Doubles, line: Line) -> float:
    """Power in lines, (lines, nodes), whose cells draw these currents."""
    beyond = np.cumsum(cell_uA[:, ::-1], axis=1)[:, ::-1]  # drawn at a node and behind it
    ohms = np.full(cell_uA.shape[1], line.segment)
    ohms[0] = line.first
    behind = np.zeros(len(cell_uA))
    if line.far_uS:  # both terminals are at one voltage, so the drops between them add up to none
        behind = beyond @ ohms / (ohms.sum() + line.first)
    along = beyond - behind[:, None]
    return float(np.sum(along**2 @ ohms) + line.first * np.sum(behind**2))


class _Lines:
    """Parallel lines, (lines, nodes), with a conductance to somewhere at each node; megohms and uS."""

    def __init__(self, g: Doubles, line: Line):
        self.line = line
        self.share = ladder(g, line)[0].T.copy()

    def voltages(self, terminal_V: Doubles, injected_uA: Doubles) -> Doubles:
        """Node voltages with `terminal_V` at each terminal and these currents into the nodes: two sweeps."""
        share, nodes = self.share, len(self.share)
        source = injected_uA.T.copy()
        source[-1] += self.line.far_uS * terminal_V
        for j in range(nodes - 2, -1, -1):
            source[j] += share[j + 1] * source[j + 1]
        voltage = terminal_V
        for j in range(nodes):
            voltage = (voltage + (self.line.segment if j else self.line.first) * source[j]) * share[j]
            source[j] = voltage
        return source.T


def netlist(
    g_uS: ArrayLike,
    voltages_V: ArrayLike,
    r_word_ohm: float,
    r_bit_ohm: float,
    r_driver_ohm: float = 0.0,
    r_sense_ohm: float = 0.0,
    drive: Ends = "single",
    sense: Ends = "single",
) -> str:
    """Return the circuit of `solve` as a SPICE netlist that prints the sensed currents, in A.

    `ngspice -b FILE` prints one line `i(vsense<j>) = ...` per bit line. Nodes are `w<row>_<col>` on word lines
    and `b<row>_<col>` on bit lines; a perfect line is one node, an open cell is left out.

    Parameters
    ----------
    g_uS, voltages_V, r_word_ohm, r_bit_ohm, r_driver_ohm, r_sense_ohm
        As in `solve`.
    drive, sense
        As in `solve`; both ends of a line go to one source, which carries the sum of their currents.

    Returns
    -------
    str

    Raises
    ------
    InputError
        As `solve`.
    """
    resistances = (r_word_ohm, r_bit_ohm, r_driver_ohm, r_sense_ohm)
    g, *_ = checked(g_uS, resistances, drive, sense)
    rows, cols = g.shape
    volts = vector("voltages_V", voltages_V, rows, "float64")
    lines = [f"* crossbar of {rows} word lines and {cols} bit lines"]

    def resistor(name: str, one: str, other: str, ohm: float) -> None:
        lines.append(f"R{name} {one} {other} {float(ohm)!r}")

    def line(
        kind: str, number: int, terminal: str, nodes: list[str], segment: float, first: float, both: bool
    ) -> list[str]:
        """Resistors from the terminal along the line, and back to it from `both` ends; the node at each cell."""
        reached = [terminal]
        for k, node in enumerate(nodes):
            ohm = segment if k else first
            if ohm > 0.0:
                resistor(f"{kind}{number}_{k}", reached[-1], node, ohm)
            reached.append(node if ohm > 0.0 else reached[-1])
        if both and first > 0.0:
            resistor(f"{kind}{number}_{len(nodes)}", reached[-1], terminal, first)
        return reached[1:]

    word, bit = [], []
    for i in range(rows):
        lines.append(f"Vdrive{i} in{i} 0 {float(volts[i])!r}")
        nodes = [f"w{i}_{j}" for j in range(cols)]
        word.append(line("w", i, f"in{i}", nodes, r_word_ohm, r_word_ohm + r_driver_ohm, drive == "double"))
    for j in range(cols):
        lines.append(f"Vsense{j} out{j} 0 0")
        nodes = [f"b{i}_{j}" for i in reversed(range(rows))]
        along = line("b", j, f"out{j}", nodes, r_bit_ohm, r_bit_ohm + r_sense_ohm, sense == "double")
        bit.append(along[::-1])
    for i, j in zip(*np.nonzero(g), strict=True):
        resistor(f"c{i}_{j}", word[i][j], bit[j][i], 1e6 / g[i, j])
    printed = [f"print i(vsense{j})" for j in range(cols)]
    return "\n".join([*lines, ".control", "set numdgt=15", "op", *printed, "quit", ".endc", ".end", ""])
