"""Competition with hard edges: one winner, or a winner and one that is pushed away (Krotov and Hopfield 2019)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from neurosim.core.errors import ConfigError
from neurosim.core.protocols import Floats, State
from neurosim.kernels.jit import share
from neurosim.rules.columns import column_sums, parts
from neurosim.rules.local import LocalRule

Places = NDArray[np.intp]


def ranked(u: Floats, rank: int) -> tuple[Places, Places]:
    """Columns of the largest and of the `rank`-th largest current of each sample (batch,); the first of equals leads."""
    left, lines = u.copy(), np.arange(len(u))
    first = now = left.argmax(axis=1)
    for _ in range(rank - 1):
        left[lines, now] = -np.inf
        now = left.argmax(axis=1)
    return first, now


class HardWta(LocalRule):
    """Hard winner-take-all: of each sample, the neuron with the largest current alone learns it.

    With y = 1 for the winner and 0 for all others, ``dw_ik = rate / batch * sum_b y_bk (x_bi - u_bk w_ik)``: pre = x,
    post = rate y / batch, decay = sum_b post u. It is SoftHebb in the limit of low temperature (Journe et al.,
    arXiv 2209.11883). A column comes to the direction of the inputs that it wins, with norm one.
    """

    name: ClassVar[str] = "hard-wta"

    learning_rate: float = Field(0.05, gt=0)
    centres: bool = False
    """Move the winner towards its inputs, ``y (x - w)``, decay = sum_b post (Rumelhart and Zipser 1985): a column
    comes to the mean of the inputs that it wins. The largest current wins, not the nearest centre."""

    def _response(self, u: Floats, rate: Floats) -> Floats:
        post = np.zeros_like(u)

        def fill(block: tuple[int, int]) -> None:
            some = slice(*block)
            winner = u[some].argmax(axis=1)
            post[some][np.arange(len(winner)), winner] = rate[winner]

        share(fill, parts(*u.shape))
        return post

    def _decay(self, post: Floats, along: Floats) -> Floats | None:
        return column_sums(post) if self.centres else along


class KrotovHopfield(LocalRule):
    """Competing neurons of Krotov and Hopfield (PNAS 2019, 116:7723), with p = 2: the winner learns, one is pushed away.

    With y = 1 for the neuron of the largest current, -delta for that of the `rank`-th largest and 0 for all others,
    ``dw_ik = rate / batch * sum_b y_bk (x_bi - u_bk w_ik)`` (their equation 3 with R = 1): pre = x,
    post = rate y / batch, decay = sum_b post u, which can be negative. The fixed gain replaces their division by
    the largest change of the whole layer, which no wire carries.
    """

    name: ClassVar[str] = "krotov-hopfield"

    learning_rate: float = Field(0.05, gt=0)
    delta: float = Field(0.4, ge=0)
    """Strength of the anti-Hebbian learning."""
    rank: int = Field(2, ge=2)
    """Place in the order of currents of the neuron that learns with the opposite sign (their k)."""

    def state(self, rows: int, cols: int) -> State:
        """Return that of the rate; raises `ConfigError` if there are fewer neurons than `rank`."""
        if self.rank > cols:
            raise ConfigError(f"rank = {self.rank}: must be from 2 to {cols} in a layer of {cols} neurons")
        return super().state(rows, cols)

    def _response(self, u: Floats, rate: Floats) -> Floats:
        post = np.zeros_like(u)

        def fill(block: tuple[int, int]) -> None:
            some = slice(*block)
            first, last = ranked(u[some], self.rank)
            lines = np.arange(len(first))
            post[some][lines, first] = rate[first]
            post[some][lines, last] = -self.delta * rate[last]

        share(fill, parts(*u.shape))
        return post


class KrotovHopfieldPaper(KrotovHopfield):
    """As their code runs it: any p, and the change divided by its largest magnitude. Ideal arithmetic only.

    The currents are ``u_k = sum_i x_i sign(w_ik) |w_ik|**(p - 1)``, so that a column comes to Lebesgue norm one; a
    read of the array gives p = 2 alone. Their preset for MNIST: p = 2, rank 2, delta 0.4, mini-batches of 100, a
    learning rate that falls in a straight line from 0.02 (``rate_updates``), start weights normal of deviation one.
    """

    name: ClassVar[str] = "krotov-hopfield-paper"
    ideal_only: ClassVar[bool] = True
    normalised: ClassVar[bool] = True

    learning_rate: float = Field(0.02, gt=0)
    lebesgue_p: float = Field(2.0, gt=1)
    """p of the norm."""
