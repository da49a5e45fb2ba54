"""What is broken in an array, drawn once; and which physical columns its logical columns are given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from neurosim.core.hardware import Faults
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.crossbar.cells import PairCells
from neurosim.crossbar.wired import Array


class Broken(NamedTuple):
    """Faults of the lines of a layer."""

    connected: NDArray[np.bool_]
    """(rows, 2 cols) devices that their word line and their bit line reach."""
    dead: NDArray[np.bool_]
    """(cols,) signed columns whose sense amplifier gives nothing."""


def draw_faults(faults: Faults, arrays: list[Array], shape: tuple[int, int], seed: int, name: str) -> Broken:
    """Draw the faults of an array.

    A line that is broken is so at one of its segments, each as likely: a word line loses the devices beyond it,
    seen from the driver at the left, a bit line those above it, seen from the sense amplifier at the bottom.

    Parameters
    ----------
    faults : Faults
    arrays : list of Array
        Physical arrays of the layer: each has lines of its own.
    shape : (int, int)
        Rows and signed columns that are built.
    seed, name
        Of the array.
    """
    draws = generator(seed, name, "faults")
    connected = np.ones((shape[0], 2 * shape[1]), bool)
    for rows, lines in arrays:
        part = np.arange(shape[0])[rows], np.arange(2 * shape[1])[lines]
        height, width = (len(places) for places in part)
        words = _reached(draws, height, width, faults.broken_word_lines)
        bits = _reached(draws, width, height, faults.broken_bit_lines)
        connected[np.ix_(*part)] = words & bits.T[::-1]
    return Broken(connected, draws.random(shape[1]) < (faults.dead_columns or 0.0))


def _reached(draws: np.random.Generator, lines: int, nodes: int, share: float | None) -> NDArray[np.bool_]:
    """Which nodes (lines, nodes) are reached from the terminal before node 0."""
    broken, segment = draws.random(lines) < (share or 0.0), draws.integers(0, nodes, lines)
    last = np.where(broken, segment, nodes)
    reached: NDArray[np.bool_] = np.arange(nodes) < last[:, None]
    return reached


class Placement:
    """Which physical column each logical column is given.

    Parameters
    ----------
    cells : PairCells
        Of all columns that are built, spare ones included.
    columns : int
        Logical columns.
    faults : Faults
    dead : (built,) array of bool

    Attributes
    ----------
    columns : (columns,) array of int
        Physical column of each logical one.
    """

    def __init__(self, cells: PairCells, columns: int, faults: Faults, dead: NDArray[np.bool_]):
        self.cells, self.dead = cells, dead
        self.aware = faults.placement == "aware"
        built = cells.shape[1]
        self.columns = np.arange(columns)
        if self.aware:
            bad = self._frozen().reshape(cells.shape[0], built, 2).sum(axis=(0, 2))
            order = np.argsort(bad + dead * 4 * cells.shape[0], kind="stable")
            self.place(np.sort(order[:columns]))

    def _frozen(self) -> NDArray[np.bool_]:
        """Devices (rows, 2 built) that no pulse moves: not reached, or stuck."""
        frozen = self.cells.stuck
        return frozen if self.cells.connected is None else frozen | ~self.cells.connected

    def assign(self, weights: Floats) -> None:
        """Give each logical column the physical column whose faults spoil its weights (rows, columns) least.

        What a column would be is known from the test of the array: devices that no pulse moves stay as they are,
        unreached ones count as zero. The sum of squared errors is made least by the Hungarian method.
        """
        if not self.aware:
            return
        rows, built = self.cells.shape
        spread = np.zeros((rows, built), self.cells.dtype)
        frozen = self._frozen().reshape(rows, built, 2)
        held = self.cells.connected_uS().reshape(rows, built, 2).astype(np.float64)
        cost = np.empty((weights.shape[1], built))
        scale, by_column = self.cells.uS_per_weight.copy(), self.cells.write.scale_by == "column"
        spread[:, self.columns] = weights
        self.cells.fit_scale(spread)
        for logical in range(weights.shape[1]):
            spread[:] = weights[:, logical : logical + 1]
            if by_column:
                self.cells.fit_scale(spread)
            wanted = self.cells.pair_targets(spread).astype(np.float64)
            error = np.where(frozen, held - wanted, 0.0)
            cost[logical] = np.square(self._weights(error)).sum(axis=0)
            full = np.square(self._weights(wanted)).sum(axis=0)
            cost[logical] = np.where(self.dead, full + cost[logical].max(), cost[logical])
        self.cells.uS_per_weight[:] = scale
        self.place(linear_sum_assignment(cost)[1])

    def place(self, columns: NDArray[np.int64]) -> None:
        """Give each logical column the physical column that is listed."""
        self.columns = self.cells.in_use = columns

    def _weights(self, conductance_uS: Floats) -> Floats:
        found: Floats = (conductance_uS[..., 0] - conductance_uS[..., 1]) / self.cells.uS_per_weight
        return found

    def gather(self, values: Floats) -> Floats:
        """Return the logical of the physical columns (..., built)."""
        found: Floats = np.where(self.dead, 0, values)[..., self.columns].astype(values.dtype)
        return found

    def scatter(self, values: Floats) -> Floats:
        """Return values (..., columns) on the physical columns, zero on the others."""
        spread = np.zeros((*values.shape[:-1], self.cells.shape[1]), values.dtype)
        spread[..., self.columns] = values
        return spread
