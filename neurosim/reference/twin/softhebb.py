"""Torch twin of `neurosim.rules.softhebb`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurosim.core.protocols import LocalUpdate, Precision
from neurosim.rules.softhebb import LARGEST_NORM_SQUARED

TensorState = dict[str, Tensor]


class SoftHebbTwin:
    """SoftHebb on tensors (batch, cols) or (instances, batch, cols); state (cols,) or (instances, cols)."""

    def __init__(self, rule: Any, precision: Precision, on: torch.device, instances: int | None):
        self.name: str = rule.name
        self.ideal_only: bool = rule.ideal_only
        self.options = rule
        self.kind: dict[str, Any] = {"dtype": getattr(torch, precision), "device": on}
        self.instances = () if instances is None else (instances,)

    def state(self, rows: int, cols: int) -> TensorState:
        """Squared norms, and the relative error of the tracked norms found at the last measurement."""
        shape = (*self.instances, cols)
        return {
            "norm_squared": torch.ones(shape, **self.kind),
            "tracking_error": torch.zeros(shape, **self.kind),
        }

    def observe_norms(self, norms: Tensor, state: TensorState) -> None:
        """Replace the tracked norms by measured ones, and note how far off they were."""
        tracked = torch.sqrt(state["norm_squared"])
        state["tracking_error"] = tracked / torch.clamp(norms, min=1e-6) - 1
        state["norm_squared"] = torch.square(norms)

    def _response(self, u: Tensor) -> Tensor:
        z = torch.exp((u - u.amax(dim=-1, keepdim=True)) * self.options.inverse_temperature)
        y = z / z.sum(dim=-1, keepdim=True)
        if self.options.anti_hebbian:
            won = torch.nn.functional.one_hot(u.argmax(dim=-1), u.shape[-1]).bool()
            y = torch.where(won, y, -y)
        return y

    def _rate(self, state: TensorState) -> Tensor:
        distance = torch.abs(torch.sqrt(state["norm_squared"]) - 1) + 1e-10
        rate: Tensor = self.options.learning_rate * distance**self.options.rate_power
        return rate.unsqueeze(-2)

    def __call__(self, x: Tensor, u: Tensor, state: TensorState) -> LocalUpdate:
        """Return the update for inputs (..., batch, rows) and column currents (..., batch, cols)."""
        post: Any = self._response(u) * (self._rate(state) / x.shape[-2])
        decay: Any = (post * u).sum(dim=-2)
        overlap = x @ x.transpose(-1, -2)
        hebbian = (post * (overlap @ post)).sum(dim=-2)
        r2 = state["norm_squared"]
        step = hebbian - 2 * decay * decay + decay * decay * r2
        state["norm_squared"] = torch.clamp(r2 + (2 * decay * (1 - r2) + step), 0, LARGEST_NORM_SQUARED)
        pre: Any = x
        return LocalUpdate(pre, post, decay)


class SoftHebbPaperTwin(SoftHebbTwin):
    """The paper's preset; ideal arithmetic only."""

    def __call__(self, x: Tensor, u: Tensor, state: TensorState) -> LocalUpdate:
        """Return the update together with the rate inside it, for the normalisation."""
        rate = self._rate(state)
        post: Any = self._response(u) * rate
        decay: Any = (post * u).sum(dim=-2)
        pre: Any = x
        return LocalUpdate(pre, post, decay, rate.squeeze(-2))  # type: ignore[arg-type]
