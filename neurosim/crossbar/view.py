"""What converters see of the cells: conductances through the wires, subtracted or not, and their noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.config import ReadPath
from neurosim.core.protocols import Floats
from neurosim.crossbar.cells import PairCells
from neurosim.crossbar.wired import Wired
from neurosim.kernels.jit import share
from neurosim.kernels.update import Grid
from neurosim.kernels.view import seen_variance

BOLTZMANN_J_K = 1.380649e-23
ELEMENTARY_CHARGE_C = 1.602176634e-19


class Plane(NamedTuple):
    """A set of bit lines that are converted alike; a separate pair has one of plus and one of minus devices."""

    current: Floats
    """(rows, lines) uS: current of each converter for a unit input."""
    variance: Floats
    """(rows, lines) uS^2 of read noise for a unit input; (0, 0) where there is none."""
    total: Floats
    """(rows, lines) uS: summed conductance of the devices behind each converter; (0, 0) where nobody asks."""
    sign: int
    """Of its share in the result."""

    def on(self, rows: slice) -> Plane:
        """Return this plane on some rows only."""
        return Plane(self.current[rows], self.variance[rows], self.total[rows], self.sign)


class View:
    """The planes of one array, kept up to date: as soon as conductances have moved they are looked at again.

    Without wires and with interleaved pairs this is the grid that the update kernels keep, at no cost.
    """

    def __init__(self, cells: PairCells, read: ReadPath, wired: Wired | None):
        self.cells, self.wired = cells, wired
        self.apart = bool(cells.shared) or cells.write.pair == "separate"
        self.asked_total = read.shot_noise or bool(read.thermal_noise_K or read.amplifier_offset_V)
        self.none = np.empty((0, 0), cells.dtype)
        self.plain = not (self.wired or cells.shared or cells.connected is not None)
        self.direct = self.plain and not (self.apart or self.asked_total)
        self._planes: list[Plane] = []
        self._grid: Grid | None = None
        self._through = self.none
        self._seen: tuple[int, float] | None = None

    @property
    def planes(self) -> list[Plane]:
        """The planes at the present conductances."""
        if self.direct:
            grid = self.cells.grid
            return [Plane(grid.difference, grid.variance, self.none, 1)]
        self._look()
        return self._planes

    @property
    def grid(self) -> Grid:
        """What a read of single pairs sees: differences and variances through the wires, and the rows' sums."""
        if self.plain:
            return self.cells.grid
        self._look()
        assert self._grid is not None
        return self._grid

    def line_sums_uS(self, rows: slice) -> Floats:
        """Return the summed conductance of the plus and of the minus devices of each column on some rows, (2, cols)."""
        through = self.cells.connected_uS() if self.direct else self._through
        sums: Floats = through[rows].sum(axis=0, dtype=np.float64).reshape(-1, 2).T
        return sums

    def forget(self) -> None:
        """Look again before the next read."""
        self._seen = None

    def _look(self) -> None:
        now = (self.cells.changes, self.cells.now_s)
        if self._seen == now:
            return
        own = self.cells.connected_uS()
        through = own if self.wired is None else self.wired.seen(own)
        self._through = through
        variance = self._variance(own, through)
        whole = self._interleaved(through, variance)
        self._planes = [whole]
        if self.apart:
            self._planes = [self._apart(through, variance, arm) for arm in range(2)]
        if not self.plain:
            self._grid = Grid(whole.current.T, whole.variance.T, self._row_sum(through))
        self._seen = now

    def _row_sum(self, through: Floats) -> NDArray[np.float64]:
        """Summed conductance of the devices on each word line; a shared one counts once."""
        built = np.ones(through.shape[1], bool)
        for columns in self.cells.shared or ():
            built[2 * columns.start + 3 : 2 * columns.stop : 2] = False
        summed: NDArray[np.float64] = through[:, built].sum(axis=1, dtype=np.float64)
        return summed

    def _apart(self, through: Floats, variance: Floats, arm: int) -> Plane:
        current = self._columns(through, arm)
        total = current if self.asked_total else self.none
        return Plane(current, self._columns(variance, arm), total, -1 if arm else 1)

    def _columns(self, values: Floats, arm: int) -> Floats:
        return np.asfortranarray(values[:, arm::2]) if values.size else self.none

    def _interleaved(self, through: Floats, variance: Floats) -> Plane:
        plus, minus = through[:, 0::2], through[:, 1::2]
        both = variance[:, 0::2] + variance[:, 1::2] if variance.size else self.none
        total = np.asfortranarray(plus + minus) if self.asked_total else self.none
        return Plane(np.asfortranarray(plus - minus), np.asfortranarray(both), total, 1)

    def _variance(self, own: Floats, through: Floats) -> Floats:
        """Variance of each device's read noise as it arrives at its converter: sigma^2 (M / G)^2."""
        if not self.cells.device.has_read_noise:
            return self.none
        variance = np.empty_like(own)

        def fill(block: tuple[int, int]) -> None:
            seen_variance(*block, own, through, variance, self.cells.params, self.cells.kernels.read_sigma)

        share(fill, self.cells.row_blocks())
        if self.cells.connected is not None:
            variance *= self.cells.connected
        return variance


def thermal_variance(total_uS: Floats, read: ReadPath) -> Floats:
    """Return 4 k T G B of lines with so much conductance, in uS^2 of normalised input."""
    bandwidth = 0.5 / read.integration_time_s
    ampere_squared = 4 * BOLTZMANN_J_K * (read.thermal_noise_K or 0.0) * total_uS * 1e-6 * bandwidth
    found: Floats = ampere_squared * (1e6 / read.read_voltage_V) ** 2
    return found


def shot_variance_per_uS(read: ReadPath) -> float:
    """Return 2 q B times the current for each uS of summed |input| times conductance, in uS^2 of normalised input."""
    bandwidth = 0.5 / read.integration_time_s
    ampere_squared = 2 * ELEMENTARY_CHARGE_C * read.read_voltage_V * 1e-6 * bandwidth
    return ampere_squared * (1e6 / read.read_voltage_V) ** 2
