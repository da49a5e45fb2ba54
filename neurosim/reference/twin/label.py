"""Torch twin of `neurosim.devices.label`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurosim.devices.label import LABEL_PER_DEVIATION, LARGEST_LABEL, NEWTON_STEPS, STRAIGHT
from neurosim.reference.twin.bipolar import BipolarTwin
from neurosim.reference.twin.law import Draw, State


class LabelledCurveTwin(BipolarTwin):
    """Exponential curves over the pulse number, given by a non-linearity label."""

    def _own_bend(self, label: Tensor) -> Tensor:
        size = torch.clamp(label.abs().double(), max=LARGEST_LABEL) / LABEL_PER_DEVIATION
        bend = 8 * size
        for _ in range(NEWTON_STEPS):
            rise = -1 / torch.expm1(-bend)
            fold = torch.log(rise * bend)
            slope = fold / (bend * bend) + (rise - 1) / bend - rise * (rise - 1)
            bend = bend + (size - (rise - (1 + fold) / bend)) / slope
        bend = torch.where(size * LABEL_PER_DEVIATION >= STRAIGHT, bend, 8 * size)
        return torch.where(label > 0, bend, -bend)

    def construct(self, draw: Draw) -> State:
        """Curves of every device; all start at rest."""
        p = self.params
        a, b, _, _ = draw(0)
        up, down = (bend.double().expand(a.shape) for bend in (p.bend_up, p.bend_down))
        if self.on["nonlinearity_spread"]:
            up = self._own_bend(p.nonlinearity_up + p.nonlinearity_spread * self.normal(a))
            down = self._own_bend(-(p.nonlinearity_down + p.nonlinearity_spread * self.normal(b)))
        window_uS = p.g_max_uS - p.g_min_uS
        state = {
            "upper": p.g_max_uS.expand(a.shape).clone(),
            "lower": p.g_min_uS.expand(a.shape).clone(),
        }
        for way, bend, pulses in (("up", up, p.pulses_up), ("down", down, p.pulses_down)):
            first = 1 / pulses.double()
            bent = torch.where(bend != 0, bend, 1.0)
            first = torch.where(bend != 0, torch.expm1(-bent * first) / torch.expm1(-bent), first)
            state[f"step_{way}"] = (first * window_uS.double()).to(self.dtype)
            state[f"slope_{way}"] = (-torch.expm1(-bend) / window_uS.double()).to(self.dtype)
        rest = p.g_rest_uS.expand(a.shape)
        return {**state, "conductance": rest.clone(), "persistent": rest.clone()}

    def share(self, g: Tensor, up: Tensor, sign: Tensor, xi: Any, state: State) -> Tensor:
        """What is left of the first step; noise is a share of the window."""
        p = self.params
        step = torch.where(up, state["step_up"], state["step_down"])
        slope = torch.where(up, state["slope_up"], state["slope_down"])
        gone_uS = torch.where(up, g - p.g_min_uS, p.g_max_uS - g)
        share: Tensor = 1 - slope * gone_uS + p.cycle_to_cycle * xi * (p.span_uS / step)
        return share
