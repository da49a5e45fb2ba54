"""Torch twins of `neurosim.devices.rram`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurosim.reference.twin.bipolar import SteppedTwin
from neurosim.reference.twin.law import State


class SoftBoundsTwin(SteppedTwin):
    """Steps that shrink linearly towards each bound (Gong & Rasch, IEDM 2022)."""

    def share(self, g: Tensor, up: Tensor, sign: Tensor, xi: Any, state: State) -> Tensor:
        """One at the origin, zero at the bound ahead."""
        p = self.params
        reach = torch.where(up, state["upper"] - p.g_origin_uS, p.g_origin_uS - state["lower"])
        share: Tensor = 1 - sign * (g - p.g_origin_uS) / reach + p.cycle_to_cycle * xi
        return share


class ExpStepTwin(SteppedTwin):
    """Steps that depend exponentially on the state (Gong et al. 2018)."""

    def share(self, g: Tensor, up: Tensor, sign: Tensor, xi: Any, state: State) -> Tensor:
        """A curve for each direction, never negative in the mean."""
        p = self.params
        gain = torch.where(up, p.curve_gain_up, p.curve_gain_down)
        rate = torch.where(up, p.curve_rate_up, p.curve_rate_down)
        z = 2 * p.curve_slope * (g - p.g_origin_uS) / (state["upper"] - state["lower"]) + p.curve_offset
        left = torch.clamp(1 - gain * torch.exp(sign * rate * z), min=0)
        share: Tensor = left * (1 + p.cycle_to_cycle * xi)
        return share


class PowerStepTwin(SteppedTwin):
    """Steps that shrink as a power of the distance to the bound ahead (Fusi & Abbott 2007)."""

    def share(self, g: Tensor, up: Tensor, sign: Tensor, xi: Any, state: State) -> Tensor:
        """One at the opposite bound, zero at the bound ahead."""
        p = self.params
        left = torch.where(up, state["upper"] - g, g - state["lower"])
        exponent = torch.where(up, p.exponent_up, p.exponent_down)
        share: Tensor = (left / (state["upper"] - state["lower"])) ** exponent * (1 + p.cycle_to_cycle * xi)
        return share
