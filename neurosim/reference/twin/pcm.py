"""Torch twin of `neurosim.devices.pcm`."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.reference.twin.law import Draw, State, TwinLaw, clamp, noted

_MOST_PULSES = 255


class PcmTwin(TwinLaw):
    """Accumulative SET, abrupt RESET, drift (Nandakumar et al., JAP 124, 2018)."""

    def _written(self, conductance: Tensor, given: Tensor, now_s: float, word: Tensor) -> State:
        """State of cells that have just been RESET or programmed: drift starts anew."""
        p = self.params
        state = {
            "conductance": conductance,
            "set_pulses": given,
            "programmed_at_s": noted(now_s, conductance),
        }
        if self.on["drift_exponent_sigma"]:
            state["exponent"] = torch.abs(p.drift_exponent + p.drift_exponent_sigma * self.normal(word))
        return state

    def construct(self, draw: Draw) -> State:
        """A device comes RESET."""
        return self._reset(0.0, draw)

    def _reset(self, now_s: float, draw: Draw) -> State:
        p = self.params
        a, b, _, _ = draw(0)
        g = torch.maximum(p.reset_mean_uS + p.reset_sigma_uS * self.normal(a), p.reset_floor_uS)
        return self._written(g, torch.zeros_like(g, dtype=torch.uint8), now_s, b)

    def reset(self, state: State, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """Abruptly, with its own spread."""
        fresh = self._reset(now_s, draw)
        return fresh, self.params.reset_energy_J.double().expand(fresh["conductance"].shape)

    def program(self, state: State, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """The polynomial of Joshi et al. 2020, scaled; the pulse counter is set by the mean curve."""
        p = self.params
        a, b, _, _ = draw(0)
        wanted = target_uS / p.mean_read_share
        g = wanted / p.g_max_uS
        sigma = p.program_c0 + g * (p.program_c1 + g * p.program_c2)
        sigma = sigma * (p.g_max_uS / p.program_reference_uS)
        reached = clamp(wanted + sigma * self.normal(a), p.reset_floor_uS, p.g_max_uS)
        cubic, square, line = (torch.tensor(c, dtype=torch.float32).item() for c in (0.027, 0.15, 0.81))
        given = torch.round(((cubic * reached - square) * reached + line) * reached)
        energy = p.program_energy_J.double().expand(reached.shape)
        counter = torch.clamp(given, max=_MOST_PULSES).to(torch.uint8)
        return self._written(reached, counter, now_s, b), energy

    def pulse(
        self, state: State, counts: Tensor, most: int, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """SET pulses accumulate; a pulse down (`most` = -1) is a RESET."""
        if most < 0:
            fresh, cost = self.reset(state, now_s, draw)
            struck = counts < 0
            kept = {name: torch.where(struck, values, state[name]) for name, values in fresh.items()}
            return kept, torch.where(struck, cost, 0.0)
        p = self.params
        g, given = state["conductance"], state["set_pulses"].to(torch.int32)
        for k in range(most):
            struck = k < counts
            given = torch.where(struck, torch.clamp(given + 1, max=_MOST_PULSES), given)
            first = torch.exp(-given.to(self.dtype) / p.memory_pulses)
            mean = p.mean_slope * g + p.mean_offset_uS + p.mean_first_uS * first
            sigma = p.sigma_slope * g + p.sigma_offset_uS + p.sigma_first_uS * first
            if self.on["low_scale_uS"]:
                low = torch.exp(-g / p.low_scale_uS)
                mean = mean + p.mean_low_uS * low
                sigma = sigma + p.sigma_low_uS * low
            moved = g + mean + sigma * self.normal(draw(k + 1)[0])
            g = torch.where(struck, clamp(moved, p.g_min_uS, p.g_max_uS), g)
        pulsed = counts > 0
        written = torch.where(pulsed, noted(now_s, g), state["programmed_at_s"])
        changed = {
            **state,
            "conductance": g,
            "set_pulses": given.to(torch.uint8),
            "programmed_at_s": written,
        }
        return changed, p.set_energy_J.double() * counts

    def drifted(self, state: State, now_s: float) -> Tensor:
        """Fall by the power law in the time since the last pulse."""
        p = self.params
        elapsed = (now_s - state["programmed_at_s"]).float().to(self.dtype)
        since = torch.maximum(elapsed, p.delay_s) / p.drift_reference_s
        exponent = state["exponent"] if self.on["drift_exponent_sigma"] else p.drift_exponent
        conductance: Tensor = state["conductance"] * since**-exponent
        return conductance
