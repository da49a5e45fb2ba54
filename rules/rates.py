"""Learning rates that every rule has: constant, by the norm of the column, falling in a straight line, or both."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from neurosim.core.config import Frozen
from neurosim.core.protocols import Floats, State

SMALLEST = 1e-10
"""No share of a rate is smaller: a change can always be divided by the rate in it."""


class Rated(Frozen):
    """A rule with a learning rate for each column.

    ``eta_k = learning_rate * |r_k - 1|**rate_power * (1 - t / rate_updates)``, r the norm of the column and t the
    updates so far; both factors are one unless asked for. Norm and number of updates are column state, so a
    checkpoint carries them.
    """

    learning_rate: float = Field(0.01, gt=0)
    rate_power: float = Field(0.0, ge=0)
    """Makes the rate vanish as a column's norm reaches one; 0: it does not depend on the norm."""
    rate_updates: int | None = Field(None, ge=1)
    """Updates after which the rate, falling in a straight line, has ended; None: it does not fall."""

    def state(self, rows: int, cols: int) -> State:
        """Squared norms, the relative error of the tracked norms found at the last measurement; updates, if counted."""
        found: State = {
            "norm_squared": np.ones(cols, np.float32),
            "tracking_error": np.zeros(cols, np.float32),
        }
        if self.rate_updates is not None:
            found["updates"] = np.zeros(cols, np.int64)
        return found

    def observe_norms(self, norms: Floats, state: State) -> None:
        """Replace the tracked norms by measured ones, and note how far off they were."""
        tracked = np.sqrt(state["norm_squared"])
        state["tracking_error"][:] = tracked / np.maximum(norms, 1e-6) - 1
        state["norm_squared"][:] = np.square(norms)

    def _rate(self, state: State) -> Floats:
        """Return the rate of each column (cols,) at this update."""
        distance = np.abs(np.sqrt(state["norm_squared"]) - 1) + SMALLEST
        rate: Floats = self.learning_rate * distance**self.rate_power
        if self.rate_updates is not None:
            rate *= np.maximum(1 - state["updates"] / self.rate_updates, SMALLEST)
        return rate

    def _count(self, state: State) -> None:
        """Take note that an update has been made."""
        if self.rate_updates is not None:
            state["updates"] += 1
