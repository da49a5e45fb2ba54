"""SoftHebb, fully connected (Moraitis et al. 2021; Journe et al., arXiv 2209.11883), as the code runs it."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from neurosim.core.config import Frozen
from neurosim.core.protocols import Floats, LocalUpdate, State
from neurosim.core.seeds import generator
from neurosim.kernels.jit import share
from neurosim.kernels.read import SAMPLES, blocks, matmul, small_product

ELEMENTS = 1 << 17
"""Numbers in one block of samples."""


def parts(samples: int, cols: int) -> list[tuple[int, int]]:
    """Blocks of samples that threads share: of a size that fits their caches, and not too small to be worth it."""
    return blocks(samples, max(SAMPLES, ELEMENTS // cols))


def softmax(u: Floats, inverse_temperature: float) -> Floats:
    """Softmax over columns of ``inverse_temperature * u`` (batch, cols)."""
    out = np.empty_like(u)

    def fill(block: tuple[int, int]) -> None:
        some = slice(*block)
        z = out[some]
        np.subtract(u[some], u[some].max(axis=1, keepdims=True), out=z)
        z *= inverse_temperature
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)

    share(fill, parts(*u.shape))
    return out


def columnwise(a: Floats, b: Floats) -> Floats:
    """Sum over the batch of a * b, one value a column (cols,)."""

    def add(block: tuple[int, int]) -> Floats:
        some = slice(*block)
        total: Floats = np.einsum("bj,bj->j", a[some], b[some])
        return total

    totals = share(add, parts(*a.shape))
    if len(totals) == 1:
        return totals[0]
    summed: Floats = np.stack(totals).sum(axis=0, dtype=np.float64).astype(a.dtype)
    return summed


OVERLAPS = 512
"""Samples of a mini-batch up to which the norm of its change is followed exactly."""
PROBES = 16
PEAK = 3.4
"""A column's largest change is so many times the rms of its changes (inputs of images, measured: docs)."""
LARGEST_NORM_SQUARED = 1e4
"""No tracked norm grows beyond: where a device cannot follow, the measurement to come corrects it."""


@cache
def probes(rows: int) -> Floats:
    """Return fixed random directions (rows, `PROBES`) of plus and minus one."""
    signs = generator(0, "probes").integers(0, 2, (rows, PROBES))
    return (2 * signs - 1).astype(np.float32)


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
    adaptive_gain: bool = False
    """Divide each mini-batch's change by the largest that any neuron's would have, from what its column knows: the
    length of the change, by the arithmetic that follows the norm. Stands for the paper's normalisation."""

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

    def _response(self, u: Floats, rate: Floats) -> Floats:
        y = softmax(u, self.inverse_temperature)

        def weigh(block: tuple[int, int]) -> None:
            some = y[slice(*block)]
            if not self.anti_hebbian:
                some *= rate
                return
            lines, winner = np.arange(len(some)), u[slice(*block)].argmax(axis=1)
            won = some[lines, winner]
            some *= -rate
            some[lines, winner] = won * rate[winner]

        share(weigh, parts(*u.shape))
        return y

    def _rate(self, state: State) -> Floats:
        distance = np.abs(np.sqrt(state["norm_squared"]) - 1) + 1e-10
        rate: Floats = self.learning_rate * distance**self.rate_power
        return rate

    def __call__(self, x: Floats, u: Floats, state: State) -> LocalUpdate:
        """Return the update for inputs (batch, rows) and column currents (batch, cols)."""
        rate = self._rate(state)
        if not self.adaptive_gain:
            rate /= x.shape[0]
        post = self._response(u, rate)
        decay = columnwise(post, u)
        squared = self._squared_length(x, post, decay, state)
        if self.adaptive_gain:
            gain = self._gain(np.sqrt(squared) / rate, x.shape[1])
            post *= gain
            decay *= gain
            squared *= gain * gain
        r2 = state["norm_squared"]
        r2 += 2 * decay * (1 - r2) + squared
        np.clip(r2, 0, LARGEST_NORM_SQUARED, out=r2)
        return LocalUpdate(x, post, decay)

    def _squared_length(self, x: Floats, post: Floats, decay: Floats, state: State) -> Floats:
        """Squared length of each column's change S - D w: |S|^2 - 2 D^2 + D^2 r^2, since S w = D, the decay."""
        if len(x) <= OVERLAPS:
            hebbian = columnwise(post, small_product(small_product(x, x.T), post))
        else:
            hebbian = self._probed(x, post)
        found: Floats = np.maximum(hebbian + decay * decay * (state["norm_squared"] - 2), 0)
        return found

    def _gain(self, lengths: Floats, rows: int) -> Any:
        """What brings the largest change of a weight to one, if it is `PEAK` times the rms of its column's changes."""
        peak = lengths.max() * (PEAK / rows**0.5)
        return lengths.dtype.type(1 / (peak + 1e-30))

    def _probed(self, x: Floats, post: Floats) -> Floats:
        """Estimate |sum_b x_b post_b|^2 of each column by `PROBES` random directions of the inputs.

        Without bias, with a relative deviation of sqrt(2 / PROBES); the exact sum grows with the batch squared.
        """
        directions = matmul(x, probes(x.shape[1]).astype(x.dtype, copy=False))
        seen = matmul(np.ascontiguousarray(directions.T), post)
        found: Floats = np.square(seen).mean(axis=0)
        return found


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
        post = self._response(u, rate)
        return LocalUpdate(x, post, columnwise(post, u), rate)
