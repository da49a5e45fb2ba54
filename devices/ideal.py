"""A check, not a device: linear, symmetric, noise-free steps fine enough to pass for continuous."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from neurosim.core.protocols import DeviceKernels, Floats, Polarity
from neurosim.devices.law import Law, read_sigma
from neurosim.devices.parameters import quantity
from neurosim.kernels.cells import stored
from neurosim.kernels.jit import inlined


class IdealParams(NamedTuple):
    g_min_uS: np.floating[Any]
    g_max_uS: np.floating[Any]
    g_rest_uS: np.floating[Any]
    nominal_step_uS: np.floating[Any]
    read_noise_relative: np.floating[Any]
    read_noise_floor_uS: np.floating[Any]


class IdealState(NamedTuple):
    conductance: Floats


@inlined
def construct(cell: int, state: Any, params: Any, key: Any) -> None:
    state.conductance[cell] = params.g_rest_uS


@inlined
def program(cell: int, target_uS: Any, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    state.conductance[cell] = min(max(target_uS, params.g_min_uS), params.g_max_uS)
    return 0.0


@inlined
def pulse(cell: int, count: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    moved = state.conductance[cell] + np.float32(count) * params.nominal_step_uS
    state.conductance[cell] = min(max(moved, params.g_min_uS), params.g_max_uS)
    return 0.0


@inlined
def reset(cell: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    state.conductance[cell] = params.g_min_uS
    return 0.0


class Ideal(Law):
    """Linear steps of 2**-22 of the window, without noise, energy or drift."""

    law: ClassVar[str] = "ideal"
    polarity: ClassVar[Polarity] = "bipolar"
    own_kernels: ClassVar[DeviceKernels] = DeviceKernels(construct, program, pulse, reset, stored, read_sigma)
    params_type: ClassVar[Any] = IdealParams
    state_type: ClassVar[Any] = IdealState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32,)

    step_share: float = quantity("1", 2.0**-22, gt=0)

    @property
    def g_rest_uS(self) -> float:
        """The middle of the window."""
        return (self.g_min_uS + self.g_max_uS) / 2

    @property
    def nominal_step_uS(self) -> float:
        """One step."""
        return self.step_share * (self.g_max_uS - self.g_min_uS)

    @property
    def depression_share(self) -> float | None:
        """None: steps do not depend on the state, so depression pulses do not shrink in proportion."""
        return None
