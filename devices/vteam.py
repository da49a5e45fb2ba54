"""Voltage-controlled memristors with a threshold, VTEAM (Kvatinsky et al. 2015): steps that follow a pulse's voltage and width."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import model_validator

from neurosim.core.protocols import DeviceKernels
from neurosim.devices import bipolar
from neurosim.devices.bipolar import Bipolar, BipolarState, settle
from neurosim.devices.parameters import quantity
from neurosim.kernels.jit import inlined
from neurosim.kernels.random import normal, philox

RESISTANCE, LOGARITHM, CONDUCTANCE = -1.0, 0.0, 1.0
"""What of the cell is linear in the state, by `conduction`."""
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)

VteamParams = bipolar.numbers(
    "VteamParams", __name__, *bipolar.PULSED, "g_min_uS", "g_max_uS", "conduction", "overdrive_up", "overdrive_down",
    "turns_up", "turns_down", "voltage_exponent_up", "voltage_exponent_down", "window_up", "window_down",
    "switching_spread", "threshold_spread", "g_max_spread", "g_min_spread",
)  # fmt: skip


@inlined
def stretched(conductance_uS: Any, conduction: Any) -> Any:
    """What of a conductance is linear in the state."""
    if conduction > _ZERO:
        return conductance_uS
    return np.log(conductance_uS) if conduction == _ZERO else _ONE / conductance_uS


@inlined
def own_drive(overdrive: Any, turns: Any, exponent: Any, rate: Any) -> Any:
    """How far one pulse would take the state without a window; nothing at or below the threshold."""
    return rate * turns * (overdrive - _ONE) ** exponent if overdrive > _ONE else _ZERO * rate


@inlined
def ahead_after(ahead: Any, drive: Any, window: Any) -> Any:
    """Solve d' = -d^window over a pulse of that drive, from the distance `ahead` to the bound, exactly."""
    if window == _ONE:
        return min(ahead * np.exp(-drive), _ONE)
    power = _ONE - window
    left = ahead**power - power * drive
    left = max(left, _ZERO if power > _ZERO else _ONE)
    return min(left ** (_ONE / power), _ONE)


@inlined
def construct(cell: int, state: Any, params: Any, key: Any) -> None:
    a, b, c, d = philox(cell, 0, 0, key)
    e, _, _, _ = philox(cell, 0, 1, key)
    rate = np.exp(params.switching_spread * normal(a))
    up = params.overdrive_up * np.exp(-params.threshold_spread * normal(b))
    down = params.overdrive_down * np.exp(-params.threshold_spread * normal(c))
    state.step_up[cell] = own_drive(up, params.turns_up, params.voltage_exponent_up, rate)
    state.step_down[cell] = own_drive(down, params.turns_down, params.voltage_exponent_down, rate)
    state.upper[cell] = params.g_max_uS * np.exp(params.g_max_spread * normal(d))
    state.lower[cell] = params.g_min_uS * np.exp(params.g_min_spread * normal(e))
    settle(cell, params.g_rest_uS, state)


@inlined
def moved(cell: int, g: Any, sign: Any, step: Any, xi: Any, state: Any, params: Any) -> Any:
    if step == _ZERO:
        return g
    up = sign > _ZERO
    near = stretched(state.upper[cell] if up else state.lower[cell], params.conduction)
    far = stretched(state.lower[cell] if up else state.upper[cell], params.conduction)
    ahead = min(max((near - stretched(g, params.conduction)) / (near - far), _ZERO), _ONE)
    drive = step * (_ONE + params.cycle_to_cycle * xi)
    z = near - (near - far) * ahead_after(ahead, drive, params.window_up if up else params.window_down)
    if params.conduction > _ZERO:
        return z
    return np.exp(z) if params.conduction == _ZERO else _ONE / z


def distance_after(ahead: ArrayLike, drive: ArrayLike, window: float) -> NDArray[np.float64]:
    """Return the distance to the bound ahead after a pulse, of the distance before: what kernels do, on arrays.

    Parameters
    ----------
    ahead : array_like
        Distance to the bound before the pulse, from 0 to 1 of the state.
    drive : array_like
        Way that the pulse would take without a window, not negative.
    window : float
        Power of the distance that the speed follows.

    Returns
    -------
    array
        From 0 to `ahead`.
    """
    distance, way = np.asarray(ahead, np.float64), np.asarray(drive, np.float64)
    if window == 1:
        return np.asarray(distance * np.exp(-way))
    power = 1 - window
    with np.errstate(divide="ignore"):
        left = distance**power - power * way
        return np.asarray(np.maximum(left, 0.0) ** (1 / power))


class Vteam(Bipolar):
    """Voltage-controlled memristor with thresholds (VTEAM; Kvatinsky et al., IEEE TCAS-II 62, 786, 2015).

    The state goes from 0 (`g_min_uS`) to 1 (`g_max_uS`); with the distance d to the bound ahead, a voltage V moves it by
    ``d' = -(V / threshold - 1)^voltage_exponent d^window / switching``, and not at all below the threshold. One pulse
    follows that equation exactly over its width, each direction with its own numbers and pulse. Noise from pulse to pulse
    multiplies the drive, which is the way that a pulse takes without a window.
    """

    law: ClassVar[str] = "vteam"
    own_kernels: ClassVar[DeviceKernels] = bipolar.moving(moved, construct)
    params_type: ClassVar[Any] = VteamParams
    state_type: ClassVar[Any] = BipolarState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32,) * 6

    g_min_uS: float = quantity("uS", gt=0)
    conduction: float = quantity("1", CONDUCTANCE)
    """What is linear in the state: -1 the resistance, 0 the logarithm of both, 1 the conductance."""
    threshold_up_V: float = quantity("V", gt=0)
    """Magnitude of the voltage above which the conductance grows."""
    threshold_down_V: float = quantity("V", gt=0)
    switching_up_s: float = quantity("s", gt=0)
    """Time in which the state crosses its whole range at twice the threshold, without a window: its length over k."""
    switching_down_s: float = quantity("s", gt=0)
    voltage_exponent_up: float = quantity("1", gt=0)
    """Power of the voltage above the threshold that the speed follows (alpha)."""
    voltage_exponent_down: float = quantity("1", gt=0)
    window_up: float = quantity("1", 1.0, ge=0)
    """Power of the distance to the bound ahead that the speed follows; 0: hard bounds, 1: soft ones."""
    window_down: float = quantity("1", 1.0, ge=0)
    switching_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of the logarithm of both switching times."""
    threshold_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of each threshold, relative to it."""
    g_max_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of the upper bound, relative to it."""
    g_min_spread: float | None = quantity("1", None, noise=True, ge=0)
    cycle_to_cycle: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of a pulse's drive, as a share of it."""

    @model_validator(mode="after")
    def _pulse_is_known(self) -> Self:
        if self.pulse_unknown:
            raise ValueError(
                f"{' and '.join(self.pulse_unknown)}: missing; the step of this law follows from voltage and width"
            )
        if self.gate_energy_J is not None:
            raise ValueError(
                "gate_energy_J: leave it out; the energy of a pulse follows from voltage and width"
            )
        if self.conduction not in (RESISTANCE, LOGARITHM, CONDUCTANCE):
            raise ValueError(f"conduction = {self.conduction:g}: must be -1, 0 or 1")
        return self

    @model_validator(mode="after")
    def _pulses_pass_their_thresholds(self) -> Self:
        for direction, over, pulse, name in (
            ("up", self.overdrive_up, self.pulse_shapes[0], "write_voltage_V"),
            ("down", self.overdrive_down, self.pulse_shapes[1], "reset_voltage_V"),
        ):
            if over <= 1:
                raise ValueError(
                    f"{name} = {pulse[0]:g}: a pulse {direction} must be above threshold_{direction}_V = "
                    f"{getattr(self, f'threshold_{direction}_V'):g}, or nothing moves"
                )
        return self

    def _turn(self, up: bool) -> tuple[float, float]:
        """Voltage over the threshold, and width over the switching time, of a pulse of one direction."""
        volts, seconds = self.pulse_shapes[0 if up else 1]
        threshold, switching = (
            (self.threshold_up_V, self.switching_up_s)
            if up
            else (self.threshold_down_V, self.switching_down_s)
        )
        return float(volts or 0.0) / threshold, float(seconds or 0.0) / switching

    @property
    def overdrive_up(self) -> float:
        """Voltage of a pulse up over its threshold."""
        return self._turn(True)[0]

    @property
    def overdrive_down(self) -> float:
        """Voltage of a pulse down over its threshold."""
        return self._turn(False)[0]

    @property
    def turns_up(self) -> float:
        """Width of a pulse up over the switching time."""
        return self._turn(True)[1]

    @property
    def turns_down(self) -> float:
        """Width of a pulse down over the switching time."""
        return self._turn(False)[1]

    @property
    def drive_up(self) -> float:
        """Way of the state that a pulse up takes without a window."""
        return self.turns_up * float((self.overdrive_up - 1) ** self.voltage_exponent_up)

    @property
    def drive_down(self) -> float:
        """Way of the state that a pulse down takes without a window."""
        return self.turns_down * float((self.overdrive_down - 1) ** self.voltage_exponent_down)

    def conductance_uS(self, place: float) -> float:
        """Return the conductance at a place of the state, from 0 to 1."""
        low, high = self.g_min_uS, self.g_max_uS
        if self.conduction == CONDUCTANCE:
            return low + (high - low) * place
        return (
            1 / (1 / low + (1 / high - 1 / low) * place) if self.conduction else low * (high / low) ** place
        )

    def _steps_uS(self, place: float) -> tuple[float, float]:
        """Mean steps up and down at a place of the state."""
        here = self.conductance_uS(place)
        up = 1 - float(distance_after(1 - place, self.drive_up, self.window_up))
        down = float(distance_after(place, self.drive_down, self.window_down))
        return self.conductance_uS(up) - here, here - self.conductance_uS(down)

    @property
    def place_rest(self) -> float:
        """State at which steps up and down are equal; one half where one direction is faster everywhere."""
        from scipy.optimize import brentq

        def gap(place: float) -> float:
            up, down = self._steps_uS(place)
            return up - down

        slowest_up, slowest_down = (
            self.drive_up * (self.window_up == 0),
            self.drive_down * (self.window_down == 0),
        )
        balanced = self.drive_up > slowest_down and self.drive_down > slowest_up
        return float(brentq(gap, 0.0, 1.0, xtol=1e-14)) if balanced else 0.5

    @property
    def g_rest_uS(self) -> float:
        """Conductance there."""
        return self.conductance_uS(self.place_rest)

    @property
    def nominal_step_uS(self) -> float:
        """The mean of a step up and a step down there."""
        return sum(self._steps_uS(self.place_rest)) / 2

    @property
    def span_uS(self) -> float:
        """The window."""
        return self.g_max_uS - self.g_min_uS

    @property
    def step(self) -> float:
        """The nominal step as a share of the window."""
        return self.nominal_step_uS / self.span_uS

    @property
    def depression_share(self) -> float | None:
        """Share of (G - G_min) that a pulse down removes, where conductance and window are both linear."""
        linear = self.conduction == CONDUCTANCE and self.window_down == 1
        return -float(np.expm1(-self.drive_down)) if linear else None
