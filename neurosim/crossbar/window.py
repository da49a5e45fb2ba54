"""How programmed weights fill the window of their pairs: what is beyond it, what of it stays unused."""

from __future__ import annotations

import warnings

import numpy as np

from neurosim.core.cautions import Once, WindowWarning
from neurosim.core.protocols import Floats
from neurosim.crossbar.ledger import Ledger

FEW, NEAR = 1e-3, 1.5
"""Share of weights that learn, and how large they are beside the window, which are counted in the ledger and not warned of when
they start beyond it: normal weights have tails."""
UNUSED = 0.1
"""Share of the window below which weights are lost among the errors of devices."""
ROUNDING = 1e-6


def warn_of_growth() -> None:
    """Warn that weights learn in a window that was fitted to where they started; called by `update`."""
    warnings.warn(
        WindowWarning(
            "the window was fitted to the programmed weights, the largest of which is a full difference: where "
            "learning lets them grow, they end there",
            "state the window as program(weights, w_max=...)",
        ),
        stacklevel=3,
    )


class Window:
    """Counts weights beyond the window of one array, and warns once."""

    def __init__(self, scale: str, ledger: Ledger, once: Once):
        self.scale, self.ledger, self.once = scale, ledger, once

    def look(self, used: Floats, learns: bool) -> None:
        """Look at weights as shares of the window; one that weights will grow into by learning may be wide."""
        clipped = int(np.count_nonzero(used > 1 + ROUNDING))
        self.ledger.weights_clipped += clipped
        for fault in (self._clipped, self._unused):
            words = fault(used, clipped, learns)
            if words:
                self.once.say(WindowWarning, *words, stacklevel=5, about="programmed weights")

    def _clipped(self, used: Floats, clipped: int, learns: bool) -> tuple[str, str] | None:
        if (
            not clipped
            or self.scale == "percentile"
            or (learns and clipped <= FEW * used.size and used.max() <= NEAR)
        ):
            return None
        room = "give them more room, by w_max or by the window of an arm"
        if not learns:
            room += ", or let WritePath(scale='auto') fit the window to them"
        facts = f"{clipped} of {used.size} weights lie beyond the window and were clipped, the largest {used.max():.2g} times as large"
        return facts, room

    def _unused(self, used: Floats, clipped: int, learns: bool) -> tuple[str, str] | None:
        held = used[used > 0]
        widest = float(np.percentile(held, 99)) if held.size else 1.0
        if widest >= UNUSED or learns:
            return None
        remedy = "let WritePath(scale='auto') fit the window to them"
        if self.scale != "fixed":
            remedy = "WritePath(scale='percentile') clips the few that hold it open, scale_by='column' fits each column"
        return (
            f"99 % of the weights lie within {100 * widest:.2g} % of the window, where the errors of devices drown them",
            remedy,
        )
