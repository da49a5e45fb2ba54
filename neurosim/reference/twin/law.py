"""Base of the torch twins of device laws: pure functions on tensors of some cells' state."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.core.errors import CapabilityError, UnknownNameError
from neurosim.core.protocols import Device, Precision
from neurosim.reference.twin import draws

State = dict[str, Tensor]
Draw = Callable[[int], draws.Words]
"""Words of the selected cells at this event: draw number -> four words."""


class TwinLaw:
    """A device law in torch. Subclass it and register the class under `neurosim.law_twins`, by the law's name.

    Every method takes the state of some cells (named as the law's state, all of one shape) and returns new
    tensors; nothing is changed in place and nothing is fetched to the host. Energies are float64, in joule.
    """

    def __init__(self, device: Device, precision: Precision, on: torch.device):
        params = device.params(precision)
        own: Any = getattr(params, "law", params)
        self._set(device, precision, own._asdict(), on)

    def _set(self, device: Device, precision: Precision, given: dict[str, Any], on: torch.device) -> None:
        self.device, self.dtype = device, getattr(torch, precision)
        self.window = device.g_min_uS, device.g_max_uS
        self.on = {name: bool(np.any(value)) for name, value in given.items()}
        self.params = SimpleNamespace(
            **{name: torch.tensor(value, dtype=self.dtype, device=on) for name, value in given.items()}
        )

    def normal(self, word: Tensor) -> Tensor:
        """Standard normals in the precision of the state."""
        return draws.normal(word).to(self.dtype)

    def uniform(self, word: Tensor) -> Tensor:
        """Uniforms in the precision of the state."""
        return draws.uniform(word).to(self.dtype)

    def construct(self, draw: Draw) -> State:
        """Draw device-to-device parameters and the initial state."""
        raise NotImplementedError

    def program(self, state: State, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """Program closed loop; returns state and energy."""
        raise NotImplementedError

    def pulse(
        self, state: State, counts: Tensor, most: int, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """Give abs(counts) <= most SET (+) or RESET (-) pulses; cells with count 0 come out unchanged.

        Devices with an abrupt RESET get pulses up, or with `most` = -1 a single pulse down each.
        """
        raise NotImplementedError

    def reset(self, state: State, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """RESET fully; returns state and energy."""
        raise NotImplementedError

    def rewritten(
        self, state: State, target_uS: Tensor, counts: Tensor, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """Program the cells that have a count; the others come out unchanged."""
        touched = counts != 0
        written, energy = self.program(state, target_uS, now_s, draw)
        kept = {name: torch.where(touched, values, state[name]) for name, values in written.items()}
        return {**state, **kept}, torch.where(touched, energy, 0.0)

    def drifted(self, state: State, now_s: float) -> Tensor:
        """Conductance in uS at the time now_s."""
        return state["conductance"]

    def stored(self, state: State) -> Tensor:
        """Conductance in uS while the clock stands."""
        return state["conductance"]

    def persistent(self, state: State) -> Tensor:
        """Conductance that pulses build on, in uS."""
        return state["conductance"]

    def shift(self, state: State, by_uS: Tensor) -> State:
        """Move it within its bounds; by 0 it stays as it is."""
        low, high = (torch.tensor(g, dtype=self.dtype, device=by_uS.device) for g in self.window)
        moved = clamp(state["conductance"] + by_uS, low, high)
        return {**state, "conductance": torch.where(by_uS != 0, moved, state["conductance"])}

    def age(self, state: State, seconds: Tensor, draw: Draw) -> State:
        """Let time pass for noise that switches by itself."""
        return state

    def read_sigma(self, conductance_uS: Tensor) -> Tensor:
        """Standard deviation in uS of white noise of one read."""
        p = self.params
        sigma: Tensor = p.read_noise_relative * conductance_uS + p.read_noise_floor_uS
        return sigma


def law_twin(device: Device, precision: Precision, on: torch.device) -> TwinLaw:
    """Return the twin of a device's law: the one that it has, or one made of its own text.

    Raises
    ------
    CapabilityError
        If it has none, and its text cannot serve as one.
    """
    try:
        found: type[TwinLaw] = device.twin()
    except UnknownNameError:
        from neurosim.reference.twin.one_text import twin_of

        found = twin_of(device)
    if getattr(device, "devices_per_cell", 1) != 1:
        raise CapabilityError(
            f"{device.name}: the torch twin knows one device a cell; set devices_per_cell = 1"
        )
    twin = found(device, precision, on)
    share = getattr(device, "read_noise_share", None)
    if share is not None:
        floor = torch.tensor(share * device.g_max_uS, dtype=twin.dtype, device=on)
        twin.read_sigma = lambda conductance_uS: floor + 0 * conductance_uS  # type: ignore[method-assign]
    if device.kernels.age is None:
        return twin
    from neurosim.reference.twin.around import AroundTwin

    return AroundTwin(twin, device, precision, on)


def clamp(values: Tensor, low: Any, high: Any) -> Tensor:
    """Return min(max(values, low), high) for bounds that are tensors."""
    return torch.minimum(torch.maximum(values, low), high)


def noted(now_s: Any, like: Tensor) -> Tensor:
    """Return the time, a number or a tensor of one, as float64 for every cell of a tensor."""
    time_s: Tensor = torch.zeros_like(like, dtype=torch.float64) + now_s
    return time_s
