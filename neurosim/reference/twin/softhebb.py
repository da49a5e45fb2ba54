"""Torch twin of `neurosim.rules.softhebb`."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.core.protocols import LocalUpdate
from neurosim.reference.twin.local import LocalTwin, TensorState, squared_sums, update
from neurosim.rules.norms import LARGEST_NORM_SQUARED
from neurosim.rules.softhebb import PEAK, SMALLEST_PRIOR

FAINT = -64.0
"""Exponent below which an answer is nothing in single precision: what is nothing is not counted as arithmetic."""


class SoftHebbTwin(LocalTwin):
    """SoftHebb on tensors (batch, cols) or (instances, batch, cols); state (cols,) or (instances, cols)."""

    def state(self, rows: int, cols: int) -> TensorState:
        """Return that of the rate, and the priors in multiples of one among all neurons."""
        found = super().state(rows, cols)
        if self.options.bias:
            found["prior"] = torch.ones((*self.instances, cols), **self.kind)
        return found

    def _answers(self, u: Tensor, state: TensorState) -> tuple[Tensor, Tensor]:
        """Softmax of the currents, and the same with the anti-Hebbian sign if the rule has it."""
        if self.options.bias:
            u = u + torch.log(state["prior"]).unsqueeze(-2) / self.options.inverse_temperature
        below = (u - u.amax(dim=-1, keepdim=True)) * self.options.inverse_temperature
        z = torch.exp(below)
        if z.dtype == torch.float32:
            z = torch.where(below <= FAINT, 0.0, z)
        y = z / z.sum(dim=-1, keepdim=True)
        if self.options.least_answer:
            y = torch.where(y < self.options.least_answer, 0.0, y)
        if not self.options.anti_hebbian:
            return y, y
        won = torch.nn.functional.one_hot(u.argmax(dim=-1), u.shape[-1]).bool()
        return y, torch.where(won, y, -y)

    def _learn_bias(self, y: Tensor, rate: Tensor, state: TensorState) -> None:
        """The prior goes to the mean answer by a share, the rate."""
        if self.options.bias:
            prior = state["prior"]
            share = torch.clamp(rate.squeeze(-2) * self.options.bias_rate, max=1)
            prior = prior + share * (y.mean(dim=-2) * y.shape[-1] - prior)
            state["prior"] = torch.clamp(prior, min=SMALLEST_PRIOR)

    def __call__(self, x: Tensor, u: Tensor, state: TensorState) -> LocalUpdate:
        """Return the update for inputs (..., batch, rows) and column currents (..., batch, cols)."""
        rate = self._rate(state)
        self._count(state)
        y, signed = self._answers(u, state)
        self._learn_bias(y, rate, state)
        if not self.options.adaptive_gain:
            rate = rate / x.shape[-2]
        post = signed * rate
        decay = (post * u).sum(dim=-2)
        r2 = state["norm_squared"]
        squared = torch.clamp(squared_sums(x, post) - 2 * decay * decay + decay * decay * r2, min=0)
        if self.options.adaptive_gain:
            lengths = torch.sqrt(squared) / rate.squeeze(-2)
            gain = 1 / (lengths.amax(dim=-1, keepdim=True) * (PEAK / x.shape[-1] ** 0.5) + 1e-30)
            post, decay, squared = post * gain.unsqueeze(-2), decay * gain, squared * gain * gain
        state["norm_squared"] = torch.clamp(r2 + (2 * decay * (1 - r2) + squared), 0, LARGEST_NORM_SQUARED)
        return update(x, post, decay)


class SoftHebbPaperTwin(SoftHebbTwin):
    """The paper's preset; ideal arithmetic only."""

    def _learn_bias(self, y: Tensor, rate: Tensor, state: TensorState) -> None:
        """ln q += rate change / largest change, with change = sum_b y / q - batch."""
        if self.options.bias:
            change = y.sum(dim=-2) * y.shape[-1] / state["prior"] - y.shape[-2]
            change = change / (change.abs().amax(dim=-1, keepdim=True) + 1e-30)
            state["prior"] = state["prior"] * torch.exp(rate.squeeze(-2) * self.options.bias_rate * change)

    def __call__(self, x: Tensor, u: Tensor, state: TensorState) -> LocalUpdate:
        """Return the update together with the rate inside it, for the normalisation."""
        rate = self._rate(state)
        self._count(state)
        y, signed = self._answers(u, state)
        self._learn_bias(y, rate, state)
        post = signed * rate
        return update(x, post, (post * u).sum(dim=-2), rate.squeeze(-2))
