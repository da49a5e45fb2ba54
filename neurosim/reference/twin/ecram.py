"""Torch twins of `neurosim.devices.ecram`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurosim.reference.twin.bipolar import SteppedTwin
from neurosim.reference.twin.law import Draw, State


class ConstantStepTwin(SteppedTwin):
    """Equal steps (Gokmen & Vlasov 2016)."""

    def share(self, g: Tensor, up: Tensor, sign: Tensor, xi: Any, state: State) -> Tensor:
        """One, and its noise."""
        share: Tensor = torch.ones_like(g) + self.params.cycle_to_cycle * xi
        return share


class LinearStepTwin(SteppedTwin):
    """Steps that shrink linearly with the state."""

    def construct(self, draw: Draw) -> State:
        """Slopes of every device beside its bounds and steps."""
        p = self.params
        a, b, _, _ = draw(2)
        up = torch.abs(p.slope_up + p.slope_up_spread * self.normal(a))
        down = torch.abs(p.slope_down + p.slope_down_spread * self.normal(b))
        return {
            **super().construct(draw),
            "slope_up": up / (p.state_max * p.span_uS),
            "slope_down": -down / (p.state_min * p.span_uS),
        }

    def share(self, g: Tensor, up: Tensor, sign: Tensor, xi: Any, state: State) -> Tensor:
        """One at the origin; noise follows it or not."""
        p = self.params
        slope = torch.where(up, state["slope_up"], state["slope_down"])
        left = 1 - sign * slope * (g - p.g_origin_uS)
        share: Tensor = left + p.cycle_to_cycle * xi * (1 + p.noise_follows_step * (left - 1))
        return share
