"""Effective conductances of an array that learns: exact now and then, followed line by line in between."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.config import WritePath
from neurosim.core.errors import CheckpointError
from neurosim.core.hardware import Tiles, Wires
from neurosim.core.protocols import Floats, State
from neurosim.crossbar.lines import estimated_error, followed, line_by_line
from neurosim.crossbar.tiles import Tile, tile_list
from neurosim.crossbar.wires import effective_conductance


class Array(NamedTuple):
    """Rows and bit lines of one physical array in the layer's (rows, 2 cols) devices."""

    rows: slice
    lines: slice | NDArray[np.int64]


def physical_arrays(shape: tuple[int, int], tiles: Tiles | None, write: WritePath) -> list[Array]:
    """Return the arrays that a layer of (rows, signed columns) is built of."""
    return [
        Array(tile.rows, lines) for tile in tile_list(shape, tiles, write) for lines in _lines(tile, write)
    ]


def _lines(tile: Tile, write: WritePath) -> list[slice | NDArray[np.int64]]:
    """Bit lines of the physical arrays of a tile."""
    first, last = 2 * tile.cols.start, 2 * tile.cols.stop
    if write.mapping == "offset":
        return [np.append(np.arange(first, last, 2), first + 1)]
    if write.pair == "separate":
        return [slice(first, last, 2), slice(first + 1, last, 2)]
    return [slice(first, last)]


class Wired:
    """Wires of every tile of a layer.

    Parameters
    ----------
    wires : Wires
    arrays : list of Array
        What the layer is built of.

    Attributes
    ----------
    solutions : int
        Exact solutions so far, of the whole layer.
    followed_error : float
        Largest difference of a column's current, all rows driven, between what was followed and the exact
        solution that replaced it, as a share of the largest current.
    estimates : (tiles,) array
        Estimated error of the first order, the same share.
    """

    def __init__(self, wires: Wires, arrays: list[Array]):
        self.wires = wires
        self.tiles = arrays
        self.exact = np.zeros(len(self.tiles), bool)
        self.own = self.solved = self.lines = np.empty((0, 0), np.float32)
        self.looks = 0
        self.solutions = 0
        self.followed_error = 0.0
        self.estimates = np.zeros(len(self.tiles))
        self._due = True
        self._ohm = (wires.r_word_ohm, wires.r_bit_ohm, wires.r_driver_ohm, wires.r_sense_ohm)
        self._ends: Any = {"drive": wires.drive, "sense": wires.sense}

    @property
    def method(self) -> str:
        """What is in use: exact, first-order, or each in some tiles."""
        if self.exact.all():
            return "exact"
        return "mixed" if self.exact.any() else "first-order"

    def seen(self, own_uS: Floats) -> Floats:
        """Return the effective conductances (rows, 2 cols) of devices with the conductances `own_uS`."""
        due = self._due or self.looks >= self.wires.every or self._moved(own_uS)
        lines = np.empty_like(own_uS)
        for k, tile in enumerate(self.tiles):
            g = own_uS[tile]
            shares = line_by_line(g, *self._ohm, **self._ends)
            lines[tile] = g * shares[0] * shares[1]
            if due:
                self.estimates[k] = estimated_error(g, *shares)
        if due:
            self._solve(own_uS, lines)
        self.looks += 1
        return self._followed(lines)

    def solve_next(self) -> None:
        """Solve exactly at the next look."""
        self._due = True

    def _moved(self, own_uS: Floats) -> bool:
        moved, last = np.abs(own_uS - self.own), self.own
        return any(moved[tile].sum() > self.wires.moved * last[tile].sum() for tile in self.tiles)

    def _solve(self, own_uS: Floats, lines: Floats) -> None:
        before = self._followed(lines) if self.solved.size else None
        solved = lines.copy()
        self.exact = self._needs_exact()
        for k in np.flatnonzero(self.exact):
            tile = self.tiles[k]
            solved[tile] = effective_conductance(own_uS[tile], *self._ohm, **self._ends)
        if before is not None and self.exact.any():
            self.followed_error = max(self.followed_error, largest_error(before, solved, self.tiles))
        self.own, self.solved, self.lines = own_uS.copy(), solved, lines
        self.solutions += bool(self.exact.any())
        self.looks, self._due = 0, False

    def _needs_exact(self) -> NDArray[np.bool_]:
        """Which tiles are solved exactly."""
        if self.wires.method == "auto":
            return self.estimates > self.wires.most_error
        return np.full(len(self.tiles), self.wires.method == "exact")

    def _followed(self, lines: Floats) -> Floats:
        found = np.empty_like(lines)
        for tile in self.tiles:
            found[tile] = followed(self.solved[tile], self.lines[tile], lines[tile])
            if not isinstance(tile.lines, slice):
                reference = tile.lines[-1]
                copies = slice(reference, tile.lines[-2] + 2, 2)
                found[tile.rows, copies] = found[tile.rows, reference : reference + 1]
        return found

    def report(self) -> dict[str, float | int | str]:
        """Return what was done, for results: method, exact solutions, and errors as shares of the largest current."""
        return {
            "method": self.method,
            "solutions": self.solutions,
            "largest_followed_error": self.followed_error,
            "largest_estimated_error": float(self.estimates[~self.exact].max(initial=0.0)),
        }

    def snapshot(self) -> State:
        """Return what is needed to go on with the same bits."""
        return {
            "own": self.own.copy(),
            "solved": self.solved.copy(),
            "lines": self.lines.copy(),
            "exact": self.exact.copy(),
            "estimates": self.estimates.copy(),
            "totals": np.array([self.looks, self.solutions, self._due, self.followed_error], np.float64),
        }

    def restore(self, saved: State) -> None:
        """Take back a snapshot; raises `CheckpointError` if it is of other tiles."""
        if saved["exact"].shape != self.exact.shape:
            raise CheckpointError("checkpoint does not fit these tiles")
        self.own, self.solved, self.lines = (saved[name].copy() for name in ("own", "solved", "lines"))
        self.exact = saved["exact"].astype(bool)
        self.estimates = saved["estimates"].copy()
        looks, solutions, due, self.followed_error = map(float, saved["totals"])
        self.looks, self.solutions, self._due = int(looks), int(solutions), bool(due)


def largest_error(found: Floats, exact: Floats, tiles: list[Array]) -> float:
    """Return the largest difference of a line's current, all rows of its tile driven, over the largest current."""

    def currents(values: Floats, tile: Array) -> Floats:
        summed: Floats = values[tile].sum(axis=0, dtype=np.float64)
        return summed

    pairs = [(currents(found, tile), currents(exact, tile)) for tile in tiles]
    largest = max(float(right.max()) for _, right in pairs)
    return max(float(np.abs(left - right).max()) for left, right in pairs) / max(largest, 1e-30)
