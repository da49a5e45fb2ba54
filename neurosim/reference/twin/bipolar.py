"""Torch twins of `neurosim.devices.bipolar`: what bipolar laws share. A law adds its `share`, or `moved`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurosim.reference.twin.law import Draw, State, TwinLaw, clamp


class BipolarTwin(TwinLaw):
    """Pulses that move the conductance step by step, both ways; write noise on what is seen."""

    def share(self, g: Tensor, up: Tensor, sign: Tensor, xi: Any, state: State) -> Tensor:
        """Share of the device's step that a pulse takes at the conductance g; xi is its normal, or zero."""
        raise NotImplementedError

    def moved(self, g: Tensor, up: Tensor, sign: Tensor, step: Tensor, xi: Any, state: State) -> Tensor:
        """Where a pulse takes the conductance g, before the device's bounds; step is the device's own."""
        return g + sign * (step * self.share(g, up, sign, xi, state))

    def _at(self, state: State, conductance: Tensor) -> tuple[State, Tensor]:
        energy = self.params.program_energy_J.double().expand(conductance.shape)
        return {**state, "persistent": conductance, "conductance": conductance.clone()}, energy

    def persistent(self, state: State) -> Tensor:
        """Without write noise."""
        return state["persistent"]

    def shift(self, state: State, by_uS: Tensor) -> State:
        """Within the device's own bounds; the seen moves along."""
        before = state["persistent"]
        after = torch.where(by_uS != 0, clamp(before + by_uS, state["lower"], state["upper"]), before)
        seen = torch.where(
            by_uS != 0, torch.clamp(state["conductance"] + (after - before), min=0), state["conductance"]
        )
        return {**state, "persistent": after, "conductance": seen}

    def program(self, state: State, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """Target plus a residual error, within the device's own bounds."""
        reached = target_uS + self.params.program_sigma_uS * self.normal(draw(0)[0])
        return self._at(state, clamp(reached, state["lower"], state["upper"]))

    def reset(self, state: State, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """To the device's own lower bound."""
        return self._at(state, state["lower"].clone())

    def pulse(
        self, state: State, counts: Tensor, most: int, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """Step by step within the bounds; then write noise on what is seen."""
        p = self.params
        up, size = counts > 0, counts.abs()
        sign = torch.where(up, 1.0, -1.0).to(self.dtype)
        step = torch.where(up, state["step_up"], state["step_down"])
        answers = (state["upper"] > state["lower"]) & (size > 0)
        words = draw(0)
        last = words[3]
        g = state["persistent"]
        xi: Any = 0.0
        for k in range(most):
            if self.on["cycle_to_cycle"]:
                if k > 0 and k % 3 == 0:
                    words = draw(k // 3)
                xi = self.normal(words[k % 3])
            moved = self.moved(g, up, sign, step, xi, state)
            g = torch.where(answers & (k < size), clamp(moved, state["lower"], state["upper"]), g)
        seen = g
        if self.on["write_noise"]:
            shift = p.write_noise * p.step * p.span_uS
            seen = torch.clamp(g + shift * self.normal(last), min=0)
        before = state["conductance"]
        after = torch.where(answers, seen, before)
        mean_uS = 0.5 * (before + after)
        per_uS = torch.where(up, p.write_energy_per_uS, p.reset_energy_per_uS)
        each = p.gate_energy_J.double() if self.on["gate_energy_J"] else per_uS.double() * mean_uS.double()
        energy = each * size
        return {**state, "persistent": g, "conductance": after}, energy


class SteppedTwin(BipolarTwin):
    """Steps and bounds of each device on the normalised state."""

    def construct(self, draw: Draw) -> State:
        """Draw bounds and steps of every device."""
        p = self.params
        a, b, c, d = draw(0)
        spread = self.normal(a)
        gain = torch.exp(p.step_spread_lognormal * spread) + p.step_spread * spread
        above = p.span_uS * torch.abs(p.state_max * (1 + p.state_max_spread * self.normal(b)))
        below = p.span_uS * torch.abs(p.state_min * (1 + p.state_min_spread * self.normal(c)))
        tilt = p.asymmetry_spread * self.normal(d)
        step_uS = p.step * p.span_uS
        upper, lower = p.g_origin_uS + above, torch.clamp(p.g_origin_uS - below, min=0)
        e, f, _, _ = draw(1)
        stuck = torch.clamp(p.g_origin_uS + p.corrupt_range * (2 * self.uniform(f) - 1) * p.span_uS, min=0)
        corrupt = self.uniform(e) < p.corrupt_share
        upper, lower = torch.where(corrupt, stuck, upper), torch.where(corrupt, stuck, lower)
        rest = clamp(p.g_rest_uS, lower, upper)
        return {
            "conductance": rest,
            "persistent": rest.clone(),
            "upper": upper,
            "lower": lower,
            "step_up": torch.abs(gain + torch.clamp(p.asymmetry, max=0) + tilt) * step_uS,
            "step_down": torch.abs(gain - torch.clamp(p.asymmetry, min=0) - tilt) * step_uS,
        }
