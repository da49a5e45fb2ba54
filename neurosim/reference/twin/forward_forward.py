"""Torch twin of `neurosim.rules.forward_forward`."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.core.errors import CapabilityError
from neurosim.core.protocols import LocalUpdate
from neurosim.reference.twin.local import LocalTwin, TensorState, update
from neurosim.rules.forward_forward import NEW, OLD, QUIET, START

SMALLEST_LENGTH = 1e-8


class ForwardForwardTwin(LocalTwin):
    """Forward-Forward on tensors; phases (batch,). Quiet samples stay in the update, as zeros."""

    needs_phase = True
    needs_norms = False

    def state(self, rows: int, cols: int) -> TensorState:
        """Mean activities, samples seen and quiet ones among them; updates, if counted."""
        self.options.block_size(cols)
        shape = (*self.instances, cols)
        counts = {"samples", "quiet"} | ({"updates"} if self.options.rate_updates is not None else set())
        zeros = {name: torch.zeros(shape, dtype=torch.int64, device=self.kind["device"]) for name in counts}
        return {"mean_activity": torch.full(shape, START, **self.kind), **zeros}

    def observe_norms(self, norms: Tensor, state: TensorState) -> None:
        """The rate does not depend on them."""

    def _rate(self, state: TensorState) -> Tensor:
        """Rate of each column (..., 1, cols)."""
        constant = torch.full_like(state["mean_activity"], self.options.learning_rate)
        return self._falling(constant, state).unsqueeze(-2)

    def _total(self, y: Tensor) -> Tensor:
        """Sum of each sample or block of it (...) that its goodness is, without the sign, in double precision."""
        total: Tensor = (torch.square(y) if self.options.squares else y).sum(dim=-1, dtype=torch.float64)
        return total

    def _parts(self, columns: Tensor) -> Tensor:
        """Columns (..., cols) block by block, (..., blocks, neurons of each)."""
        blocks = self.options.blocks
        return columns.reshape(*columns.shape[:-1], blocks, columns.shape[-1] // blocks)

    def _probability(self, y: Tensor) -> Tensor:
        """Of being positive, for each sample or block of it (...), by activities (..., cols), in double precision."""
        rule = self.options
        total = self._total(y)
        return torch.sigmoid(rule.sign * (total - rule.threshold * y.shape[-1]) / rule.temperature)

    def normalised(self, u: Tensor, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return relu(u) (..., batch, cols) of which only the direction is left, and the goodness (..., batch)."""
        y = torch.relu(u)
        total = self._total(y)
        mean = total / y.shape[-1]
        length = torch.sqrt(mean) if self.options.squares else mean
        y = y / (length + SMALLEST_LENGTH).to(y.dtype).unsqueeze(-1)
        return (y if out is None else out.copy_(y)), self.options.sign * total

    def _jumps(self, x: Tensor, y: Tensor, phase: Tensor, state: TensorState) -> Tensor:
        """Factor of y with which one sample lands on its goal (..., 1), in double precision; 0 where it is beyond it."""
        rule, total = self.options, self._total(y)
        if y.shape[-2] > 1:
            raise CapabilityError(
                f"jump is for updates of single samples, got {y.shape[-2]}: use learn_online, or online = true"
            )
        way = rule.sign * phase.double()
        goal = (rule.threshold + rule.jump * way) * y.shape[-1]
        needed = (total > 0) & (way * (goal - total) > 0)
        grown = torch.sqrt(goal / torch.where(needed, total, goal)) - 1
        left = self._falling(torch.ones_like(state["mean_activity"]), state)[..., :1]
        return grown * left / torch.square(x).sum(dim=-1, dtype=torch.float64)

    def __call__(self, x: Tensor, u: Tensor, state: TensorState, phase: Tensor) -> LocalUpdate:  # type: ignore[override]
        """Return the update for inputs (..., batch, rows), currents (..., batch, cols) and phases (batch,)."""
        rule, rate = self.options, self._rate(state)
        y = torch.relu(u)
        positive = (phase > 0).to(torch.float64)
        jumps = None if rule.jump is None else self._jumps(x, y, phase, state)
        self._count(state)
        signal = positive.unsqueeze(-1) - self._probability(self._parts(y))
        quiet = signal.abs() < (rule.skip_quiet or QUIET) if jumps is None else (jumps == 0).unsqueeze(-1)
        state["samples"] = state["samples"] + len(phase)
        state["quiet"] = state["quiet"] + quiet.all(dim=-1).sum(dim=-1, keepdim=True)
        ups, downs = positive.sum(), (1 - positive).sum()
        share = positive / ups.clamp(min=1) + (1 - positive) / downs.clamp(min=1)
        of_positive = (positive / ups.clamp(min=1)).to(y.dtype).unsqueeze(-1)
        mean, before = (of_positive * y).sum(dim=-2), state["mean_activity"]
        state["mean_activity"] = torch.where(ups > 0, OLD * before + NEW * mean, before)
        slope = y if rule.squares else torch.sign(y)
        if jumps is None:
            step = (rule.sign / rule.temperature * signal * share.unsqueeze(-1)).to(y.dtype).unsqueeze(-1)
            own = (self._parts(slope) * step).flatten(-2) * rate
        else:
            own = slope * jumps.to(y.dtype).unsqueeze(-1)
        means = state["mean_activity"]
        pull = rule.peer * (means.mean(dim=-1, keepdim=True) - means).unsqueeze(-2)
        post = own + of_positive * pull * rate
        if rule.skip_quiet or jumps is not None:
            post = torch.where(quiet.unsqueeze(-1), 0.0, self._parts(post)).flatten(-2)
        return update(x, post, rate.squeeze(-2) * rule.decay if rule.decay else None)
