"""What rules have in common whose change is ``dw = rate / batch * sum_b y (x - forgotten)``."""

from __future__ import annotations

from typing import ClassVar

from neurosim.core.protocols import Floats, LocalUpdate, State, Work
from neurosim.rules.columns import columnwise
from neurosim.rules.norms import follow, following
from neurosim.rules.rates import Rated


class LocalRule(Rated):
    """A rule says what its neurons answer to their currents, and what its columns forget.

    ``pre = x``, ``post = rate y / batch``; by default ``decay = sum_b post u``, which brings a column to norm one.
    The norm r is column state: it follows the update by its own arithmetic and is corrected whenever the array
    measures it.
    """

    name: ClassVar[str]
    ideal_only: ClassVar[bool] = False
    normalised: ClassVar[bool] = False
    """Whether the change is divided by its largest magnitude over the layer: in ideal arithmetic only. The norms are
    then not followed: measure them after every update (``norm_every = 1``), if the rate depends on them."""

    def _response(self, u: Floats, rate: Floats) -> Floats:
        """Return what each neuron answers to its currents, times its rate (batch, cols)."""
        raise NotImplementedError

    def _decay(self, post: Floats, along: Floats) -> Floats | None:
        """Return the share of itself that each column forgets (cols,); `along` is sum_b post u."""
        return along

    def work(self, batch: int, rows: int, cols: int) -> Work:
        """Return the multiply-adds beside the array of one update; norms are followed unless the change is normalised."""
        return Work(
            0 if self.normalised else following(batch, rows, cols), super().work(batch, rows, cols).answers
        )

    def __call__(self, x: Floats, u: Floats, state: State) -> LocalUpdate:
        """Return the update for inputs (batch, rows) and column currents (batch, cols)."""
        rate = self._rate(state)
        if not self.normalised:
            rate /= x.shape[0]
        post = self._response(u, rate)
        along = columnwise(post, u)
        decay = self._decay(post, along)
        self._count(state)
        if self.normalised:
            return LocalUpdate(x, post, decay, rate)
        follow(state["norm_squared"], x, post, along, decay)
        return LocalUpdate(x, post, decay)
