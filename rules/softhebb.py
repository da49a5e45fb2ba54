"""SoftHebb, fully connected (Moraitis et al. 2021; Journe et al., arXiv 2209.11883), as the code runs it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from neurosim.core.config import Frozen
from neurosim.core.protocols import Floats, LocalUpdate, State
from neurosim.kernels.read import small_product


def softmax(u: Floats, inverse_temperature: float) -> Floats:
    """Softmax over columns of ``inverse_temperature * u`` (batch, cols)."""
    z: Floats = u - u.max(axis=1, keepdims=True)
    z *= inverse_temperature
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z


def columnwise(a: Floats, b: Floats) -> Floats:
    """Sum over the batch of a * b, one value a column (cols,)."""
    total: Floats = np.einsum("bj,bj->j", a, b)
    return total


LARGEST_NORM_SQUARED = 1e4
"""No tracked norm grows beyond: where a device cannot follow, the measurement to come corrects it."""


class SoftHebb(Frozen):
    """Soft winner-take-all Hebbian learning with a rate that vanishes as a neuron's norm reaches one.

    With ``y = softmax(u / tau)`` and ``eta_k = learning_rate |r_k - 1|**rate_power``, a mini-batch changes
    ``w_ik`` by ``eta_k / batch * sum_b y_bk (x_bi - u_bk w_ik)``: pre = x, post = eta y / batch and
    decay = eta / batch * sum_b y u. The fixed gain replaces the paper's normalisation by the largest change
    of the whole layer, which no wire carries. The norm r is column state: it follows the update by its own
    arithmetic and is corrected whenever the array measures it.
    """

    name: ClassVar[str] = "softhebb"
    ideal_only: ClassVar[bool] = False

    inverse_temperature: float = Field(12.0, gt=0)
    learning_rate: float = Field(0.5, gt=0)
    rate_power: float = Field(0.2, ge=0)
    anti_hebbian: bool = False
    """Give all but the winning neuron of each sample the opposite sign (soft anti-Hebbian)."""

    def state(self, rows: int, cols: int) -> State:
        """Squared norms, and the relative error of the tracked norms found at the last measurement."""
        return {
            "norm_squared": np.ones(cols, np.float32),
            "tracking_error": np.zeros(cols, np.float32),
        }

    def observe_norms(self, norms: Floats, state: State) -> None:
        """Replace the tracked norms by measured ones, and note how far off they were."""
        tracked = np.sqrt(state["norm_squared"])
        state["tracking_error"][:] = tracked / np.maximum(norms, 1e-6) - 1
        state["norm_squared"][:] = np.square(norms)

    def _response(self, u: Floats) -> Floats:
        y = softmax(u, self.inverse_temperature)
        if self.anti_hebbian:
            winner = u.argmax(axis=1)
            won = np.take_along_axis(y, winner[:, None], axis=1)
            np.negative(y, out=y)
            np.put_along_axis(y, winner[:, None], won, axis=1)
        return y

    def _rate(self, state: State) -> Floats:
        distance = np.abs(np.sqrt(state["norm_squared"]) - 1) + 1e-10
        rate: Floats = self.learning_rate * distance**self.rate_power
        return rate

    def __call__(self, x: Floats, u: Floats, state: State) -> LocalUpdate:
        """Return the update for inputs (batch, rows) and column currents (batch, cols)."""
        rate = self._rate(state) / x.shape[0]
        post = self._response(u)
        post *= rate
        decay = columnwise(post, u)
        self._track_norms(x, post, u, decay, state)
        return LocalUpdate(x, post, decay)

    def _track_norms(self, x: Floats, post: Floats, u: Floats, decay: Floats, state: State) -> None:
        """Follow r^2 by the update's own arithmetic: 2 D (1 - r^2) + |step|^2, D the decay."""
        overlap = small_product(x, x.T)
        hebbian = columnwise(post, small_product(overlap, post))
        r2 = state["norm_squared"]
        step = hebbian - 2 * decay * decay + decay * decay * r2
        r2 += 2 * decay * (1 - r2) + step
        np.clip(r2, 0, LARGEST_NORM_SQUARED, out=r2)


class SoftHebbPaper(SoftHebb):
    """The paper's preset: the change divided by its largest magnitude over the layer. Ideal arithmetic only.

    Preset 2SoftMlpMNIST: start radius 35, learning rate 0.045, batch 32. The rate follows the measured norms,
    so measure them after every update (``norm_every = 1``), as the code does: in ideal arithmetic it is free.
    """

    name: ClassVar[str] = "softhebb-paper"
    ideal_only: ClassVar[bool] = True

    learning_rate: float = Field(0.045, gt=0)

    def __call__(self, x: Floats, u: Floats, state: State) -> LocalUpdate:
        """Return the update together with the rate inside it, for the normalisation."""
        rate = self._rate(state)
        post = self._response(u) * rate
        return LocalUpdate(x, post, columnwise(post, u), rate)
