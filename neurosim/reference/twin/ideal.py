"""Torch twin of `neurosim.devices.ideal`."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.reference.twin.law import Draw, State, TwinLaw, clamp


class IdealTwin(TwinLaw):
    """Linear steps."""

    def _moved(self, conductance: Tensor) -> tuple[State, Tensor]:
        p = self.params
        return {"conductance": clamp(conductance, p.g_min_uS, p.g_max_uS)}, torch.zeros_like(
            conductance, dtype=torch.float64
        )

    def construct(self, draw: Draw) -> State:
        """Every device at rest."""
        like = draw(0)[0]
        return {"conductance": self.params.g_rest_uS.expand(like.shape).clone()}

    def program(self, state: State, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """Exactly the target."""
        return self._moved(target_uS)

    def pulse(
        self, state: State, counts: Tensor, most: int, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """Steps of equal size, all at once."""
        return self._moved(state["conductance"] + counts.float().to(self.dtype) * self.params.nominal_step_uS)

    def reset(self, state: State, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """To the lower end."""
        return self._moved(torch.full_like(state["conductance"], float("-inf")))
