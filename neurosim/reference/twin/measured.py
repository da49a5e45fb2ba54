"""Torch twins of `neurosim.devices.measured`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurosim.reference.twin.bipolar import BipolarTwin, SteppedTwin
from neurosim.reference.twin.law import Draw, State


def _between(values: Tensor, place: Tensor) -> Tensor:
    """Interpolate equally spaced values at a place from 0 to 1."""
    x = torch.clamp(place, 0.0, 1.0) * (len(values) - 1)
    k = torch.clamp(x.long(), max=len(values) - 2)
    return values[k] + (values[k + 1] - values[k]) * (x - k)


class PiecewiseStepTwin(SteppedTwin):
    """Steps whose mean is linear between given conductances."""

    def share(self, g: Tensor, up: Tensor, sign: Tensor, xi: Any, state: State) -> Tensor:
        """From the table of the pulse's direction."""
        p = self.params
        place = (g - state["lower"]) / (state["upper"] - state["lower"])
        place = torch.nan_to_num(place, nan=0.0, posinf=1.0, neginf=0.0)
        share = torch.where(up, _between(p.shares_up, place), _between(p.shares_down, place))
        found: Tensor = share * (1 + p.cycle_to_cycle * xi)
        return found


class MeasuredStepsTwin(BipolarTwin):
    """Steps drawn from measured quantiles."""

    def construct(self, draw: Draw) -> State:
        """All devices alike, at rest."""
        p = self.params
        like = self.normal(draw(0)[0])
        one = torch.ones_like(like)
        rest = one * p.g_rest_uS
        return {
            "conductance": rest,
            "persistent": rest.clone(),
            "upper": one * p.g_max_uS,
            "lower": one * p.g_min_uS,
            "step_up": one,
            "step_down": one.clone(),
        }

    def share(self, g: Tensor, up: Tensor, sign: Tensor, xi: Any, state: State) -> Tensor:
        """The change along the pulse's direction, at the quantile of xi."""
        p = self.params
        rows, cols = p.scores_up_uS.shape[0], p.scores_up_uS.shape[1] - 1
        x = torch.clamp((g - p.g_min_uS) / (p.g_max_uS - p.g_min_uS), 0.0, 1.0) * (rows - 1)
        z = (torch.as_tensor(xi, dtype=torch.float32, device=g.device).expand(g.shape) + 3.0) / 6.0
        y = torch.clamp(z, 0.0, 1.0) * (cols - 1)
        k, m = torch.clamp(x.long(), max=rows - 2), torch.clamp(y.long(), max=cols - 2)
        u, v = x - k, (y - m).to(self.dtype)

        def at(scores: Tensor) -> Tensor:
            low = scores[k, m] + v * (scores[k, m + 1] - scores[k, m])
            high = scores[k + 1, m] + v * (scores[k + 1, m + 1] - scores[k + 1, m])
            mean = scores[k, cols] + u * (scores[k + 1, cols] - scores[k, cols])
            value: Tensor = mean + p.cycle_to_cycle * (low + u * (high - low) - mean)
            return value

        change: Tensor = sign * torch.where(up, at(p.scores_up_uS), at(p.scores_down_uS))
        return change
