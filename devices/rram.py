"""Filamentary oxide RRAM under identical pulses: soft bounds, exponential and power steps."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from neurosim.core.protocols import DeviceKernels
from neurosim.devices import bipolar
from neurosim.devices.bipolar import Curved, Stepped
from neurosim.devices.parameters import quantity
from neurosim.kernels.jit import inlined

_ONE = np.float32(1.0)
_TWO = np.float32(2.0)
_ZERO = np.float32(0.0)

SoftBoundsParams = bipolar.numbers("SoftBoundsParams", __name__, *bipolar.STEPPED)
ExpStepParams = bipolar.numbers(
    "ExpStepParams", __name__, *bipolar.STEPPED,
    "curve_slope", "curve_offset", "curve_gain_up", "curve_gain_down", "curve_rate_up", "curve_rate_down",
)  # fmt: skip
PowerStepParams = bipolar.numbers(
    "PowerStepParams", __name__, *bipolar.STEPPED, "exponent_up", "exponent_down"
)


@inlined
def soft_share(cell: int, g: Any, sign: Any, xi: Any, state: Any, params: Any) -> Any:
    origin = params.g_origin_uS
    reach = state.upper[cell] - origin if sign > _ZERO else origin - state.lower[cell]
    return _ONE - sign * (g - origin) / reach + params.cycle_to_cycle * xi


@inlined
def exp_share(cell: int, g: Any, sign: Any, xi: Any, state: Any, params: Any) -> Any:
    gain = params.curve_gain_up if sign > _ZERO else params.curve_gain_down
    rate = params.curve_rate_up if sign > _ZERO else params.curve_rate_down
    place = (g - params.g_origin_uS) / (state.upper[cell] - state.lower[cell])
    z = _TWO * params.curve_slope * place + params.curve_offset
    share = max(_ONE - gain * np.exp(sign * rate * z), _ZERO)
    return share * (_ONE + params.cycle_to_cycle * xi)


@inlined
def power_share(cell: int, g: Any, sign: Any, xi: Any, state: Any, params: Any) -> Any:
    upper, lower = state.upper[cell], state.lower[cell]
    left = upper - g if sign > _ZERO else g - lower
    exponent = params.exponent_up if sign > _ZERO else params.exponent_down
    return (left / (upper - lower)) ** exponent * (_ONE + params.cycle_to_cycle * xi)


class SoftBounds(Stepped):
    """Steps that shrink linearly towards each bound of the device (Gong & Rasch, IEDM 2022).

    On the normalised state ``s = (G - G_origin) / span``, one pulse adds
    ``step (1 - s / s_max + cycle_to_cycle xi)`` upwards and takes ``step (1 - s / s_min + ...)``
    downwards; steps and bounds differ from device to device; the conductance seen is the persistent one
    plus write noise, drawn anew each time the cell is pulsed. Corrupt cells have both bounds at one value.
    """

    law: ClassVar[str] = "soft-bounds"
    own_kernels: ClassVar[DeviceKernels] = bipolar.kernels(soft_share, gathered=bipolar.gathered)
    params_type: ClassVar[Any] = SoftBoundsParams

    @property
    def state_rest(self) -> float:
        """The origin, unless one direction's steps are smaller."""
        return bipolar.linear_balance(self.gain_up, self.gain_down, 1 / self.state_max, -1 / self.state_min)

    @property
    def rest_share(self) -> float:
        """The linear fall up to the symmetry point."""
        return self.gain_up * (1 - self.state_rest / self.state_max)

    @property
    def depression_share(self) -> float:
        """One depression pulse removes step / abs(state_min) of the distance to the lower bound."""
        return self.step * self.gain_down / -self.state_min


class ExpStep(Curved):
    """Steps that depend exponentially on the state (Gong et al. 2018, the closer fit).

    With ``z = 2 curve_slope s / (s_max - s_min) + curve_offset``, one pulse makes
    ``s +- step max(1 - gain exp(+- rate z), 0) (1 + cycle_to_cycle xi)``, gain and rate of its direction.
    """

    law: ClassVar[str] = "exp-step"
    own_kernels: ClassVar[DeviceKernels] = bipolar.kernels(exp_share)
    params_type: ClassVar[Any] = ExpStepParams

    curve_slope: float = quantity("1")
    curve_offset: float = quantity("1", 0.0)
    curve_gain_up: float = quantity("1")
    curve_gain_down: float = quantity("1")
    curve_rate_up: float = quantity("1", ge=0)
    curve_rate_down: float = quantity("1", ge=0)

    def shares(self, state: float) -> tuple[float, float]:
        z = 2 * self.curve_slope * state / (self.state_max - self.state_min) + self.curve_offset
        up = max(1 - self.curve_gain_up * math.exp(self.curve_rate_up * z), 0.0)
        down = max(1 - self.curve_gain_down * math.exp(-self.curve_rate_down * z), 0.0)
        return self.gain_up * up, self.gain_down * down


class PowerStep(Curved):
    """Steps that shrink as a power of the distance to the bound ahead (Fusi & Abbott 2007).

    One pulse makes ``s +- step (distance / range)^exponent (1 + cycle_to_cycle xi)``; distance and range are
    those of the device's own bounds, so that `step` is the step at the opposite bound.
    """

    law: ClassVar[str] = "power-step"
    own_kernels: ClassVar[DeviceKernels] = bipolar.kernels(power_share)
    params_type: ClassVar[Any] = PowerStepParams

    exponent_up: float = quantity("1", gt=0)
    exponent_down: float = quantity("1", gt=0)

    def shares(self, state: float) -> tuple[float, float]:
        place = (state - self.state_min) / (self.state_max - self.state_min)
        return self.gain_up * (1 - place) ** self.exponent_up, self.gain_down * place**self.exponent_down
