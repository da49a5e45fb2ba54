"""Torch twin of `neurosim.devices.vteam`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurosim.reference.twin.bipolar import BipolarTwin
from neurosim.reference.twin.law import Draw, State, clamp


class VteamTwin(BipolarTwin):
    """Voltage-controlled memristor with thresholds (Kvatinsky et al. 2015)."""

    def construct(self, draw: Draw) -> State:
        """Draw switching times, thresholds and bounds of every device; all at rest."""
        p = self.params
        a, b, c, d = draw(0)
        rate = torch.exp(p.switching_spread * self.normal(a))
        upper = p.g_max_uS * torch.exp(p.g_max_spread * self.normal(d))
        lower = p.g_min_uS * torch.exp(p.g_min_spread * self.normal(draw(1)[0]))
        rest = clamp(p.g_rest_uS + 0 * rate, lower, upper)

        def drive(overdrive: Tensor, turns: Tensor, exponent: Tensor, word: Tensor) -> Tensor:
            over = overdrive * torch.exp(-p.threshold_spread * self.normal(word)) - 1
            return torch.where(over > 0, rate * turns * torch.clamp(over, min=0) ** exponent, 0 * rate)

        return {
            "conductance": rest,
            "persistent": rest.clone(),
            "upper": upper,
            "lower": lower,
            "step_up": drive(p.overdrive_up, p.turns_up, p.voltage_exponent_up, b),
            "step_down": drive(p.overdrive_down, p.turns_down, p.voltage_exponent_down, c),
        }

    def moved(self, g: Tensor, up: Tensor, sign: Tensor, step: Tensor, xi: Any, state: State) -> Tensor:
        """The equation of motion over one pulse, in the distance to the bound ahead."""
        device: Any = self.device
        p, m = self.params, device.conduction

        def stretched(conductance: Tensor) -> Tensor:
            return conductance if m > 0 else torch.log(conductance) if m == 0 else 1 / conductance

        high, low = stretched(state["upper"]), stretched(state["lower"])
        near, far = torch.where(up, high, low), torch.where(up, low, high)
        ahead = torch.clamp((near - stretched(g)) / (near - far), 0.0, 1.0)
        drive = step * (1 + p.cycle_to_cycle * xi)
        left = torch.where(
            up, _after(ahead, drive, device.window_up), _after(ahead, drive, device.window_down)
        )
        z = near - (near - far) * left
        return torch.where(step == 0, g, z if m > 0 else torch.exp(z) if m == 0 else 1 / z)


def _after(ahead: Tensor, drive: Tensor, window: float) -> Tensor:
    """Distance to the bound after a pulse."""
    if window == 1:
        return torch.clamp(ahead * torch.exp(-drive), max=1)
    power = 1 - window
    left = torch.clamp(ahead**power - power * drive, min=0.0 if power > 0 else 1.0)
    return torch.clamp(left ** (1 / power), max=1)
