"""Torch twin of `neurosim.devices.written`."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.reference.twin.law import Draw, State, TwinLaw, clamp

_LEAST_SHARE = torch.tensor(1e-3, dtype=torch.float32).item()


class ProgrammedTwin(TwinLaw):
    """States written by program-and-verify: error, relaxation, drift."""

    def _polynomial(self, name: str, g: Tensor) -> Tensor:
        c0, c1, c2, c3, c4 = (getattr(self.params, f"{name}_c{k}_uS") for k in range(5))
        sigma = c0 + g * (c1 + g * (c2 + g * (c3 + g * c4)))
        return torch.clamp(sigma * self.params.error_scale, min=0)

    def _program(self, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        p = self.params
        a, b, c, _ = draw(0)
        wanted = clamp(target_uS, p.g_min_uS, p.g_max_uS)
        reached = torch.clamp(wanted + self._polynomial("error", wanted / p.g_max_uS) * self.normal(a), min=0)
        level = torch.log(torch.clamp(reached / p.g_max_uS, min=_LEAST_SHARE))
        mean = clamp(p.drift_log_slope * level + p.drift_offset, p.drift_least, p.drift_most)
        sigma = p.drift_sigma_log_slope * level + p.drift_sigma_offset
        sigma = clamp(sigma, p.drift_sigma_least, p.drift_sigma_most)
        state = {
            "conductance": reached,
            "programmed_at_s": torch.full_like(reached, now_s, dtype=torch.float64),
            "exponent": torch.abs(mean + sigma * self.normal(b)),
            "settling": self.normal(c),
        }
        return state, p.program_energy_J.double().expand(reached.shape)

    def construct(self, draw: Draw) -> State:
        """Every device programmed to the lower end."""
        like = draw(0)[0]
        return self._program(self.params.g_min_uS.expand(like.shape), 0.0, draw)[0]

    def program(self, state: State, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """Closed loop: the target, its error, new drift and relaxation."""
        return self._program(target_uS, now_s, draw)

    def reset(self, state: State, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """Program the lower end."""
        return self._program(torch.ones_like(state["conductance"]) * self.params.g_min_uS, now_s, draw)

    def pulse(
        self, state: State, counts: Tensor, most: int, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """Program the conductance that the pulses' nominal steps lead to."""
        moved = state["conductance"] + counts.float().to(self.dtype) * self.params.nominal_step_uS
        written, energy = self._program(moved, now_s, draw)
        touched = counts != 0
        kept = {name: torch.where(touched, values, state[name]) for name, values in written.items()}
        return kept, torch.where(touched, energy, 0.0)

    def drifted(self, state: State, now_s: float) -> Tensor:
        """Relax along ln t, then fall by the power law."""
        p = self.params
        g = state["conductance"]
        elapsed = (now_s - state["programmed_at_s"]).float().to(self.dtype)
        if self.on["relaxed_at_s"]:
            passed = torch.log(elapsed / p.error_at_s) / torch.log(p.relaxed_at_s / p.error_at_s)
            share = torch.clamp(g / p.g_max_uS, max=1.0)
            first = self._polynomial("error", share)
            now = first + torch.clamp(passed, max=1.0) * (self._polynomial("relaxed", share) - first)
            spread = torch.sqrt(torch.clamp(now * now - first * first, min=0)) * state["settling"]
            g = torch.where(elapsed > p.error_at_s, torch.clamp(g + spread, min=0), g)
        if self.on["drift_most"]:
            since = torch.maximum(elapsed, p.drift_reference_s) / p.drift_reference_s
            g = g * since ** -state["exponent"]
        return g
