"""Torch twin of `neurosim.devices.mram`."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.reference.twin.law import Draw, State, TwinLaw


class BinaryTwin(TwinLaw):
    """Two states, switched by a pulse unless the write fails."""

    def construct(self, draw: Draw) -> State:
        """Draw both resistances of every device and where it starts."""
        p = self.params
        a, b, c, _ = draw(0)
        upper = p.g_max_uS / torch.abs(1 + p.resistance_spread * self.normal(a))
        lower = p.g_min_uS / torch.abs(1 + p.resistance_spread * self.normal(b))
        start = torch.where(self.uniform(c) < 0.5, upper, lower)
        return {"conductance": start, "upper": upper, "lower": lower}

    def shift(self, state: State, by_uS: Tensor) -> State:
        """Nothing moves."""
        return state

    def _cost(self, g: Tensor) -> Tensor:
        cost: Tensor = self.params.write_energy_per_uS.double() * g.double()
        return cost

    def program(self, state: State, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """The nearer state; failed writes are repeated."""
        p = self.params
        wanted = torch.where(target_uS > 0.5 * (p.g_min_uS + p.g_max_uS), state["upper"], state["lower"])
        g = state["conductance"]
        energy = torch.zeros_like(g, dtype=torch.float64)
        for k in range(int(self.device.program_pulses_most)):  # type: ignore[attr-defined]
            needed = g != wanted
            energy = energy + torch.where(needed, self._cost(g), 0.0)
            works = self.uniform(draw(k)[0]) >= p.write_failure
            g = torch.where(needed & works, wanted, g)
        return {**state, "conductance": g}, energy

    def pulse(
        self, state: State, counts: Tensor, most: int, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """Each pulse switches unless it fails."""
        wanted = torch.where(counts > 0, state["upper"], state["lower"])
        g = state["conductance"]
        energy = torch.zeros_like(g, dtype=torch.float64)
        size = counts.abs()
        words = draw(0)
        for k in range(most):
            if k > 0 and k % 4 == 0:
                words = draw(k // 4)
            given = k < size
            energy = energy + torch.where(given, self._cost(g), 0.0)
            works = self.uniform(words[k % 4]) >= self.params.write_failure
            g = torch.where(given & works, wanted, g)
        return {**state, "conductance": g}, energy

    def reset(self, state: State, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """One pulse down."""
        return self.pulse(state, -torch.ones_like(state["conductance"], dtype=torch.int32), 1, now_s, draw)
