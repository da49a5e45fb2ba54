"""Torch twin of `neurosim.devices.written`."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.reference.twin.law import Draw, State, TwinLaw, clamp


class ProgrammedTwin(TwinLaw):
    """States written by program-and-verify: error and relaxation."""

    def _error(self, conductance: Tensor, row: int | Tensor) -> Tensor:
        p = self.params
        sigma = torch.zeros_like(conductance)
        if p.error_uS.numel():
            share = conductance / p.g_max_uS
            for k in range(p.error_uS.shape[1] - 1, -1, -1):
                sigma = sigma * share + p.error_uS[row, k]
        if p.error_saturating_uS.numel():
            most, scale = p.error_saturating_uS[row, 0], p.error_saturating_uS[row, 1]
            sigma = sigma + most * (1 - torch.exp(-conductance / scale))
        return torch.clamp(sigma * p.error_scale, min=0)

    def _bias(self, conductance: Tensor) -> Tensor:
        p = self.params
        off = torch.zeros_like(conductance)
        for k in range(p.bias_uS.numel() - 1, -1, -1):
            off = off * (conductance / p.g_max_uS) + p.bias_uS[k]
        scaled: Tensor = off * p.error_scale
        return scaled

    @property
    def _relaxes(self) -> bool:
        p = self.params
        return p.error_at_s.numel() > 1 and bool(p.error_uS.numel() or p.error_saturating_uS.numel())

    def _program(self, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        p = self.params
        a, _, c, _ = draw(0)
        wanted = clamp(target_uS, p.g_min_uS, p.g_max_uS)
        reached = wanted + self._bias(wanted) + self._error(wanted, 0) * self.normal(a)
        state = {"conductance": torch.clamp(reached, min=0)}
        if self._relaxes:
            state["programmed_at_s"] = torch.full_like(reached, now_s, dtype=torch.float64)
            state["settling"] = self.normal(c)
            state["target_uS"], state["below_uS"] = wanted.clone(), torch.clamp(reached, max=0)
        return state, p.program_energy_J.double().expand(reached.shape)

    def construct(self, draw: Draw) -> State:
        """Every device programmed to the lower end."""
        like = draw(0)[0]
        return self._program(self.params.g_min_uS.expand(like.shape), 0.0, draw)[0]

    def program(self, state: State, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """Closed loop: the target, its error, new relaxation."""
        return self._program(target_uS, now_s, draw)

    def reset(self, state: State, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """Program the lower end."""
        return self._program(torch.ones_like(state["conductance"]) * self.params.g_min_uS, now_s, draw)

    def pulse(
        self, state: State, counts: Tensor, most: int, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """Program what time has made of the device and the pulses' steps from there."""
        step = counts.float().to(self.dtype) * self.params.nominal_step_uS
        return self.rewritten(state, self.drifted(state, now_s) + step, counts, now_s, draw)

    def drifted(self, state: State, now_s: float) -> Tensor:
        """Relax along ln t."""
        g = state["conductance"]
        if not self._relaxes:
            return g
        p = self.params
        at = p.error_at_s
        age = torch.maximum((now_s - state["programmed_at_s"]).float().to(self.dtype), p.delay_s)
        row = torch.clamp(torch.searchsorted(at, age.contiguous()), 1, at.numel() - 1)
        passed = torch.clamp(torch.log(age / at[row - 1]) / torch.log(at[row] / at[row - 1]), max=1.0)
        known = state["target_uS"]
        first, before = self._error(known, 0), self._error(known, row - 1)
        now = before + passed * (self._error(known, row) - before)
        spread = torch.sqrt(torch.clamp(now * now - first * first, min=0)) * state["settling"]
        return torch.where(age > at[0], torch.clamp(g + state["below_uS"] + spread, min=0), g)

    def read_sigma(self, conductance_uS: Tensor) -> Tensor:
        """A share, a floor and a part that saturates."""
        p = self.params
        sigma = super().read_sigma(conductance_uS)
        if self.on["read_noise_most_uS"]:
            sigma = sigma + p.read_noise_most_uS * (1 - torch.exp(-conductance_uS / p.read_noise_scale_uS))
        return sigma
