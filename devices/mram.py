"""Binary magnetic memory: two states, switched by a pulse unless the write fails."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from neurosim.core.protocols import DeviceKernels, Floats, Polarity
from neurosim.devices.law import Law, read_sigma
from neurosim.devices.parameters import quantity
from neurosim.kernels.cells import stored
from neurosim.kernels.jit import inlined
from neurosim.kernels.random import normal, philox, uniform

_ONE, _HALF = np.float32(1.0), np.float32(0.5)


class BinaryParams(NamedTuple):
    g_min_uS: np.floating[Any]
    g_max_uS: np.floating[Any]
    write_failure: np.floating[Any]
    resistance_spread: np.floating[Any]
    program_pulses_most: np.floating[Any]
    write_energy_per_uS: np.floating[Any]
    read_noise_relative: np.floating[Any]
    read_noise_floor_uS: np.floating[Any]


class BinaryState(NamedTuple):
    conductance: Floats
    upper: Floats
    lower: Floats


@inlined
def construct(cell: int, state: Any, params: Any, key: Any) -> None:
    a, b, c, _ = philox(cell, 0, 0, key)
    state.upper[cell] = params.g_max_uS / abs(_ONE + params.resistance_spread * normal(a))
    state.lower[cell] = params.g_min_uS / abs(_ONE + params.resistance_spread * normal(b))
    state.conductance[cell] = state.upper[cell] if uniform(c) < _HALF else state.lower[cell]


@inlined
def switch(cell: int, up: bool, most: int, state: Any, params: Any, event: int, key: Any) -> Any:
    """Give up to `most` pulses until one succeeds; return the energy."""
    wanted = state.upper[cell] if up else state.lower[cell]
    energy = 0.0
    words = philox(cell, event, 0, key)
    for k in range(most):
        if k > 0 and k % 4 == 0:
            words = philox(cell, event, k // 4, key)
        energy += np.float64(params.write_energy_per_uS) * np.float64(state.conductance[cell])
        if uniform(words[k % 4]) >= params.write_failure:
            state.conductance[cell] = wanted
    return energy


@inlined
def program(cell: int, target_uS: Any, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    up = target_uS > _HALF * (params.g_min_uS + params.g_max_uS)
    energy = 0.0
    wanted = state.upper[cell] if up else state.lower[cell]
    for k in range(int(params.program_pulses_most)):
        if state.conductance[cell] != wanted:
            energy += np.float64(params.write_energy_per_uS) * np.float64(state.conductance[cell])
            if uniform(philox(cell, event, k, key)[0]) >= params.write_failure:
                state.conductance[cell] = wanted
    return energy


@inlined
def pulse(cell: int, count: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    return switch(cell, count > 0, abs(count), state, params, event, key)


@inlined
def reset(cell: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    return switch(cell, False, 1, state, params, event, key)


@inlined
def shift(cell: int, by_uS: Any, state: Any, low_uS: Any, high_uS: Any) -> Any:
    """A state in between does not exist: nothing moves."""
    return state.conductance[cell]


class Binary(Law):
    """Two conductances, parallel (g_max) and antiparallel (g_min); a pulse switches unless the write fails.

    Every pulse fails with the chance `write_failure`, whatever the state; both resistances of a device vary by
    `resistance_spread`. A controller that wants less than the whole window gives a pulse with that chance: the
    stochastic binary synapse. Programming takes the nearer state and repeats failed writes.
    """

    law: ClassVar[str] = "binary"
    polarity: ClassVar[Polarity] = "bipolar"
    own_kernels: ClassVar[DeviceKernels] = DeviceKernels(
        construct, program, pulse, reset, stored, read_sigma, shift=shift
    )
    params_type: ClassVar[Any] = BinaryParams
    state_type: ClassVar[Any] = BinaryState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32,) * 3

    write_failure: float | None = quantity("1", None, noise=True, ge=0, lt=1)
    """Chance that one pulse does not switch."""
    resistance_spread: float | None = quantity("1", None, noise=True, ge=0, lt=0.25)
    """Device-to-device standard deviation of each resistance, relative."""
    program_pulses_most: float = quantity("1", 10.0, ge=1)
    """Most pulses of one program-and-verify; it stops at the first that succeeds."""
    write_voltage_V: float | None = quantity("V", None, gt=0)
    """None, as of the width: the card does not give it, and pulses have no joules."""
    write_time_s: float | None = quantity("s", None, gt=0)

    @property
    def g_rest_uS(self) -> float:
        """The middle: no device is there, half of them are at either end."""
        return (self.g_min_uS + self.g_max_uS) / 2

    @property
    def nominal_step_uS(self) -> float:
        """The window: there is no smaller step."""
        return self.g_max_uS - self.g_min_uS

    @property
    def pulse_voltage_V(self) -> float | None:
        """The write voltage."""
        return self.write_voltage_V

    @property
    def pulse_time_s(self) -> float | None:
        """Duration of a write pulse."""
        return self.write_time_s

    @property
    def pulse_unknown(self) -> tuple[str, ...]:
        """Voltage and width."""
        return self.absent("write_voltage_V", "write_time_s")

    @property
    def write_energy_per_uS(self) -> float | None:
        """Energy of one pulse in joule for each uS of cell conductance before it, V^2 G t; None: not known."""
        if self.write_voltage_V is None or self.write_time_s is None:
            return None
        return self.write_voltage_V**2 * self.write_time_s * 1e-6
