"""What the tests of update kernels share: a small bench of pairs and the oracle of a row of pulses."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
from helpers import copied, fresh

from neurosim import devices
from neurosim.core.seeds import key
from neurosim.kernels.cells import stored
from neurosim.kernels.counts import (
    AGAINST_REFERENCE,
    ONE_SIDED,
    PUSH_PULL,
    RESET_AGAINST_REFERENCE,
    RESET_ONLY,
)
from neurosim.kernels.groups import group_pulses
from neurosim.kernels.update import Grid, refresh_grid

ROWS, COLS = 6, 5
DRIVES = (ONE_SIDED, PUSH_PULL, AGAINST_REFERENCE, RESET_AGAINST_REFERENCE, RESET_ONLY)
F = np.float32


def shared(first: np.ndarray, second: np.ndarray, drive: int) -> np.ndarray:
    """Oracle of the devices that signed pulses go to: (2, cols) counts of the plus and the minus devices."""
    none = np.zeros_like(first)
    return {
        ONE_SIDED: np.stack([np.maximum(first, 0), np.maximum(-first, 0)]),
        PUSH_PULL: np.stack([first, -second]),
        AGAINST_REFERENCE: np.stack([first, none]),
        RESET_ONLY: np.stack([np.minimum(first, 0), np.minimum(-second, 0)]),
        RESET_AGAINST_REFERENCE: np.stack([np.maximum(first, -1), none]),
    }[drive]


class Bench(NamedTuple):
    """A small array of pairs taken out of the crossbar, to be handed to kernels."""

    law: Any
    state: Any
    params: Any
    grid: Grid

    def kernels(self) -> tuple[Any, Any, Any]:
        return group_pulses(self.law.kernels), stored, self.law.kernels.read_sigma

    def twin(self) -> Bench:
        return Bench(self.law, copied(self.law, self.state), self.params, copy.deepcopy(self.grid))

    def rebuild(self) -> Grid:
        """The grid by plain numpy from the state."""
        rows, cols = self.grid.difference.shape
        pairs = self.state.conductance.reshape(rows, cols, 2)
        variance = self.grid.variance
        if variance.size:
            sigma = self.params.read_noise_relative * pairs + self.params.read_noise_floor_uS
            variance = np.square(sigma).sum(axis=2)
        return Grid((pairs[..., 0] - pairs[..., 1]).T, variance.T, pairs.sum(axis=(1, 2), dtype=np.float64))


def bench(law: Any, rows: int = ROWS, cols: int = COLS, seed: int = 0) -> Bench:
    law = devices.load(law)
    state, params, _ = fresh(law, 2 * rows * cols, seed)
    rng = np.random.default_rng(seed)
    for event in range(1, 4):
        for cell in range(2 * rows * cols):
            law.kernels.pulse(cell, int(rng.integers(0, 4)), state, params, 0.0, event, key(seed, "warm up"))
    noise = (cols, rows) if law.has_read_noise else (0, 0)
    grid = Grid(np.empty((cols, rows), F), np.empty(noise, F), np.empty(rows))
    refresh_grid(0, rows, grid, state, params, 0.0, stored, law.kernels.read_sigma)
    return Bench(law, state, params, grid)


def assert_consistent(one: Bench) -> None:
    """The grid kept up to date equals one rebuilt from the state; the row sums to rounding."""
    rebuilt = one.rebuild()
    np.testing.assert_array_equal(one.grid.difference, rebuilt.difference)
    np.testing.assert_array_equal(one.grid.variance, rebuilt.variance)
    np.testing.assert_allclose(one.grid.row_sum, rebuilt.row_sum, rtol=1e-9)


def assert_same_state(one: Bench, other: Bench) -> None:
    for name in one.state._fields:
        np.testing.assert_array_equal(getattr(one.state, name), getattr(other.state, name), err_msg=name)


def pulse_pairs(one: Bench, row: int, counts: np.ndarray, event: int, stream: Any) -> tuple[float, int, int]:
    """Oracle of a row of pulses: every device on its own, in plain Python."""
    energy, pulses, cells = 0.0, 0, 0
    for col in range(counts.shape[1]):
        for arm in range(2):
            count = int(counts[arm, col])
            if count:
                cell = 2 * (row * counts.shape[1] + col) + arm
                energy += one.law.kernels.pulse(cell, count, one.state, one.params, 0.0, event, stream)
                pulses, cells = pulses + abs(count), cells + 1
    return energy, pulses, cells
