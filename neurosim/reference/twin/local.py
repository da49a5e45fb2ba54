"""Torch twin of `neurosim.rules.local`, of its rates and of its norms."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from neurosim.core.protocols import LocalUpdate, Precision
from neurosim.rules.norms import LARGEST_NORM_SQUARED, OVERLAPS, probes
from neurosim.rules.rates import SMALLEST

TensorState = dict[str, Tensor]


class LocalTwin:
    """A rule on tensors (batch, cols) or (instances, batch, cols); state (cols,) or (instances, cols)."""

    def __init__(self, rule: Any, precision: Precision, on: torch.device, instances: int | None):
        self.name: str = rule.name
        self.ideal_only: bool = rule.ideal_only
        self.lebesgue_p: float = getattr(rule, "lebesgue_p", 2.0)
        self.options = rule
        self.kind: dict[str, Any] = {"dtype": getattr(torch, precision), "device": on}
        self.instances = () if instances is None else (instances,)

    def state(self, rows: int, cols: int) -> TensorState:
        """Squared norms, the relative error of the tracked norms found at the last measurement; updates, if counted."""
        shape = (*self.instances, cols)
        found = {
            "norm_squared": torch.ones(shape, **self.kind),
            "tracking_error": torch.zeros(shape, **self.kind),
        }
        if self.options.rate_updates is not None:
            found["updates"] = torch.zeros(shape, dtype=torch.int64, device=self.kind["device"])
        return found

    def observe_norms(self, norms: Tensor, state: TensorState) -> None:
        """Replace the tracked norms by measured ones, and note how far off they were."""
        tracked = torch.sqrt(state["norm_squared"])
        state["tracking_error"] = tracked / torch.clamp(norms, min=1e-6) - 1
        state["norm_squared"] = torch.square(norms)

    def _rate(self, state: TensorState) -> Tensor:
        """Rate of each column (..., 1, cols)."""
        distance = torch.abs(torch.sqrt(state["norm_squared"]) - 1) + SMALLEST
        rate: Tensor = self.options.learning_rate * distance**self.options.rate_power
        return self._falling(rate, state).unsqueeze(-2)

    def _falling(self, rate: Tensor, state: TensorState) -> Tensor:
        """A rate, or what the straight line has left of it."""
        if self.options.rate_updates is None:
            return rate
        line = 1 - state["updates"].to(rate.dtype) / self.options.rate_updates
        return rate * torch.clamp(line / (1 - self.options.rate_held), SMALLEST, 1)

    def _count(self, state: TensorState) -> None:
        if self.options.rate_updates is not None:
            state["updates"] = state["updates"] + 1

    def _response(self, u: Tensor) -> Tensor:
        """What each neuron answers to its currents, without its rate."""
        raise NotImplementedError

    def _decay(self, post: Tensor, u: Tensor) -> Tensor | None:
        return (post * u).sum(dim=-2)

    def __call__(self, x: Tensor, u: Tensor, state: TensorState) -> LocalUpdate:
        """Return the update for inputs (..., batch, rows) and column currents (..., batch, cols)."""
        rate = self._rate(state)
        self._count(state)
        if self.options.normalised:
            post = self._response(u) * rate
            return update(x, post, self._decay(post, u), rate.squeeze(-2))
        post = self._response(u) * (rate / x.shape[-2])
        decay = self._decay(post, u)
        self._follow(x, post, u, decay, state)
        return update(x, post, decay)

    def _follow(self, x: Tensor, post: Tensor, u: Tensor, decay: Tensor | None, state: TensorState) -> None:
        """r^2 becomes |w + S - D w|^2, with S w = sum_b post u."""
        r2 = state["norm_squared"]
        left = 1.0 if decay is None else 1 - decay
        grown = left * left * r2 + 2 * left * (post * u).sum(dim=-2) + squared_sums(x, post)
        state["norm_squared"] = torch.clamp(grown, 0, LARGEST_NORM_SQUARED)


def update(pre: Any, post: Any, decay: Any, rate: Any = None) -> LocalUpdate:
    """Return an update of tensors."""
    return LocalUpdate(pre, post, decay, rate)


def squared_sums(x: Tensor, post: Tensor) -> Tensor:
    """Squared length of sum_b x_b post_bj for each column (..., cols); beyond `OVERLAPS` samples as seen in random directions."""
    if x.shape[-2] <= OVERLAPS:
        return (post * ((x @ x.transpose(-1, -2)) @ post)).sum(dim=-2)
    seen = (x @ _directions(x.shape[-1], x.dtype, x.device)).transpose(-1, -2) @ post
    return seen.square().mean(dim=-2)


@cache
def _directions(rows: int, dtype: torch.dtype, on: torch.device) -> Tensor:
    return torch.from_numpy(probes(rows)).to(on, dtype)
