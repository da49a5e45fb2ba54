"""What the tests of wires share: cells, resistances, and a nodal analysis that knows nothing of neurosim."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

RESISTANCES = ("r_word_ohm", "r_bit_ohm", "r_driver_ohm", "r_sense_ohm")
SHAPES = ((1, 1), (1, 7), (7, 1), (2, 2), (12, 12), (20, 9), (9, 20), (33, 32))
WIRES = (
    (1.0, 1.0, 0.0, 0.0),
    (5.0, 2.0, 100.0, 30.0),
    (300.0, 700.0, 0.0, 50.0),
    (0.0, 3.0, 0.0, 0.0),
    (3.0, 0.0, 0.0, 0.0),
    (0.0, 3.0, 40.0, 0.0),
    (3.0, 0.0, 0.0, 40.0),
    (0.0, 0.0, 50.0, 20.0),
    (0.0, 0.0, 0.0, 0.0),
)

TOPOLOGIES = tuple(
    {"drive": drive, "sense": sense} for drive in ("single", "double") for sense in ("single", "double")
)


def cells(kind: str, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Conductances in uS: evenly spread, two levels with open cells among them, or over three decades."""
    rng = np.random.default_rng(seed)
    if kind == "random":
        return rng.uniform(1, 25, shape)
    if kind == "bimodal":
        return rng.choice([0.0, 1.0, 1000.0], shape, p=[0.1, 0.6, 0.3])
    return 10 ** rng.uniform(0, 3, shape)


class Nodal:
    """Modified nodal analysis of the netlist, in siemens and ohms, with a branch current for every resistor.

    Resistors are unknown currents, not conductances, so that 0 ohm needs no special case.
    """

    def __init__(self, g_uS, r_word, r_bit, r_driver=0.0, r_sense=0.0, drive="single", sense="single"):
        rows, cols = g_uS.shape
        word = np.arange(rows * cols).reshape(rows, cols)
        bit = word + rows * cols
        source = 2 * rows * cols + np.arange(rows)
        branches = []  # from node, to node (-1 is ground), ohm
        for i in range(rows):
            branches.append((source[i], word[i, 0], r_driver + r_word))
            branches += [(word[i, j], word[i, j + 1], r_word) for j in range(cols - 1)]
        for j in range(cols):
            branches += [(bit[i, j], bit[i + 1, j], r_bit) for i in range(rows - 1)]
        self.sensed = len(branches) + np.arange(cols)
        branches += [(bit[-1, j], -1, r_bit + r_sense) for j in range(cols)]
        # a second terminal of a perfect line would close a loop without resistance
        if drive == "double" and r_word + r_driver > 0:
            branches += [(source[i], word[i, -1], r_driver + r_word) for i in range(rows)]
        self.top = None
        if sense == "double" and r_bit + r_sense > 0:
            self.top = len(branches) + np.arange(cols)
            branches += [(bit[0, j], -1, r_bit + r_sense) for j in range(cols)]
        nodes, self.rows, self.cols = 2 * rows * cols + rows, rows, cols
        self.nodes, entries = nodes, []
        for k, (one, other, ohm) in enumerate(branches):
            current = nodes + k
            entries += [(one, current, 1.0), (current, one, 1.0), (current, current, -ohm)]
            if other >= 0:
                entries += [(other, current, -1.0), (current, other, -1.0)]
        for i in range(rows):
            for j in range(cols):
                g, w, b = 1e-6 * g_uS[i, j], word[i, j], bit[i, j]
                entries += [(w, w, g), (b, b, g), (w, b, -g), (b, w, -g)]
        self.drive = nodes + len(branches) + np.arange(rows)
        for i in range(rows):
            entries += [(source[i], self.drive[i], -1.0), (self.drive[i], source[i], -1.0)]
        at, to, value = zip(*entries, strict=True)
        size = nodes + len(branches) + rows
        self.factors = splu(sparse.csc_matrix((value, (at, to)), (size, size)))
        self.size, self.sense_nodes = size, nodes + self.sensed

    def solve(self, volts):
        """Word voltages, bit voltages (V), driver currents and sensed currents (A) at inputs (rows, n)."""
        right = np.zeros((self.size, volts.shape[1]))
        right[self.drive] = -volts
        x = self.factors.solve(right)
        half = self.rows * self.cols
        sensed = x[self.sense_nodes]
        if self.top is not None:
            sensed = sensed + x[self.top + self.nodes]
        return x[:half], x[half : 2 * half], x[self.drive], sensed

    def matrix_uS(self):
        return 1e6 * self.solve(np.eye(self.rows))[3].T


def agrees(found, expected, share=1e-9):
    """Two solutions of the same lines differ by no more than their rounding."""
    scale = np.abs(expected).max() or 1.0
    assert np.abs(found - expected).max() <= share * scale
