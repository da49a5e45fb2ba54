"""Learning rates that every rule has: constant, by the norm of the column, falling in a straight line, or both."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from neurosim.core.frozen import Frozen
from neurosim.core.protocols import Floats, State, Work

SMALLEST = 1e-10
"""No share of a rate is smaller: a change can always be divided by the rate in it."""


class Falling(Frozen):
    """A rule with a learning rate that may fall in a straight line: ``learning_rate * (1 - t / rate_updates)``.

    t are the updates so far. The line may begin late, at ``rate_held * rate_updates``. The number of updates is column
    state, so a checkpoint carries it.
    """

    learning_rate: float = Field(0.01, gt=0)
    rate_updates: int | None = Field(None, ge=1)
    """Updates after which the rate, falling in a straight line, has ended; None: it does not fall."""
    rate_held: float = Field(0.0, ge=0, lt=1)
    """Share of `rate_updates` for which the rate stays as it is before the line begins."""

    def state(self, rows: int, cols: int) -> State:
        """Return the updates so far, if they are counted."""
        return {} if self.rate_updates is None else {"updates": np.zeros(cols, np.int64)}

    def observe_norms(self, norms: Floats, state: State) -> None:
        """The rate does not depend on them."""

    def work(self, batch: int, rows: int, cols: int) -> Work:
        """Return the multiply-adds beside the array of one update by so many samples: here a post and a sum for each answer."""
        return Work(answers=2 * batch * cols)

    def _left(self, state: State) -> Any:
        """What is left of the rate: one, or a share for each column (cols,)."""
        if self.rate_updates is None:
            return 1.0
        line = (1 - state["updates"] / self.rate_updates) / (1 - self.rate_held)
        return np.minimum(np.maximum(line, SMALLEST), 1)

    def _count(self, state: State) -> None:
        """Take note that an update has been made."""
        if self.rate_updates is not None:
            state["updates"] += 1


class Rated(Falling):
    """A rule with a learning rate for each column.

    ``eta_k = learning_rate * |r_k - 1|**rate_power * (1 - t / rate_updates)``, r the norm of the column and t the
    updates so far; both factors are one unless asked for. Norm and number of updates are column state, so a
    checkpoint carries them.
    """

    rate_power: float = Field(0.0, ge=0)
    """Makes the rate vanish as a column's norm reaches one; 0: it does not depend on the norm."""

    def state(self, rows: int, cols: int) -> State:
        """Squared norms, the relative error of the tracked norms found at the last measurement; updates, if counted."""
        return {
            "norm_squared": np.ones(cols, np.float32),
            "tracking_error": np.zeros(cols, np.float32),
            **super().state(rows, cols),
        }

    def observe_norms(self, norms: Floats, state: State) -> None:
        """Replace the tracked norms by measured ones, and note how far off they were."""
        tracked = np.sqrt(state["norm_squared"])
        state["tracking_error"][:] = tracked / np.maximum(norms, 1e-6) - 1
        state["norm_squared"][:] = np.square(norms)

    def _rate(self, state: State) -> Floats:
        """Return the rate of each column (cols,) at this update."""
        distance = np.abs(np.sqrt(state["norm_squared"]) - 1) + SMALLEST
        rate: Floats = self.learning_rate * distance**self.rate_power
        rate *= self._left(state)
        return rate
