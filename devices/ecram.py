"""Field-driven devices under identical pulses, ECRAM and CMOS capacitors: constant and linear steps."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from neurosim.core.protocols import DeviceKernels
from neurosim.devices import bipolar
from neurosim.devices.bipolar import SlopedState, Stepped
from neurosim.devices.parameters import quantity
from neurosim.kernels.jit import inlined
from neurosim.kernels.random import normal, philox

_ONE = np.float32(1.0)

ConstantStepParams = bipolar.numbers("ConstantStepParams", __name__, *bipolar.STEPPED)
LinearStepParams = bipolar.numbers(
    "LinearStepParams", __name__, *bipolar.STEPPED,
    "slope_up", "slope_down", "slope_up_spread", "slope_down_spread", "noise_follows_step",
)  # fmt: skip


@inlined
def constant_share(cell: int, g: Any, sign: Any, xi: Any, state: Any, params: Any) -> Any:
    return _ONE + params.cycle_to_cycle * xi


@inlined
def linear_construct(cell: int, state: Any, params: Any, key: Any) -> None:
    bipolar.construct(cell, state, params, key)
    a, b, _, _ = philox(cell, 0, 2, key)
    up = abs(params.slope_up + params.slope_up_spread * normal(a))
    down = abs(params.slope_down + params.slope_down_spread * normal(b))
    state.slope_up[cell] = up / (params.state_max * params.span_uS)
    state.slope_down[cell] = -down / (params.state_min * params.span_uS)


@inlined
def linear_share(cell: int, g: Any, sign: Any, xi: Any, state: Any, params: Any) -> Any:
    slope = state.slope_up[cell] if sign > np.float32(0.0) else state.slope_down[cell]
    share = _ONE - sign * slope * (g - params.g_origin_uS)
    return share + params.cycle_to_cycle * xi * (_ONE + params.noise_follows_step * (share - _ONE))


class ConstantStep(Stepped):
    """Equal steps between hard bounds (Gokmen & Vlasov 2016).

    One pulse makes ``s +- step (1 + cycle_to_cycle xi)``.
    """

    law: ClassVar[str] = "constant-step"
    own_kernels: ClassVar[DeviceKernels] = bipolar.kernels(constant_share)
    params_type: ClassVar[Any] = ConstantStepParams


class LinearStep(Stepped):
    """Steps that shrink linearly with the state, without vanishing at the bound (aihwkit's linear step).

    One pulse up makes ``s + step (1 - slope_up s / s_max)``, one down ``s - step (1 - slope_down s / s_min)``,
    within the device's own bounds; the slopes refer to the mean bounds. Cycle-to-cycle noise adds
    ``step cycle_to_cycle xi``, times the bracket where `noise_follows_step` is one.
    """

    law: ClassVar[str] = "linear-step"
    own_kernels: ClassVar[DeviceKernels] = bipolar.kernels(linear_share, linear_construct)
    params_type: ClassVar[Any] = LinearStepParams
    state_type: ClassVar[Any] = SlopedState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32,) * 8

    slope_up: float = quantity("1", ge=0)
    """Share of the step that is lost from the origin to state_max."""
    slope_down: float = quantity("1", ge=0)
    """Share of the step down that is lost from the origin to state_min."""
    slope_up_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of `slope_up`, absolute."""
    slope_down_spread: float | None = quantity("1", None, noise=True, ge=0)
    noise_follows_step: float = quantity("1", 1.0, ge=0, le=1)
    """1: noise is a share of the step at the present state; 0: of the step at the origin."""

    @property
    def state_rest(self) -> float:
        """The origin, unless one direction's steps are smaller."""
        return bipolar.linear_balance(
            self.gain_up, self.gain_down, self.slope_up / self.state_max, -self.slope_down / self.state_min
        )

    @property
    def rest_share(self) -> float:
        """The linear fall up to the symmetry point."""
        return self.gain_up * (1 - self.slope_up * self.state_rest / self.state_max)
