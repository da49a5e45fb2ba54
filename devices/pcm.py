"""Mushroom phase-change memory: accumulative SET, abrupt RESET, drift (Nandakumar et al., JAP 124, 2018)."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import DeviceKernels, Floats, Polarity, Precision, PulseShape
from neurosim.devices.law import Law, read_sigma
from neurosim.devices.parameters import quantity
from neurosim.kernels.groups import FEW, draw, normals_of_word
from neurosim.kernels.jit import inlined
from neurosim.kernels.random import normal, philox

_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)
_MOST_PULSES: Any = 255
_PULSE = (
    "set_current_A",
    "set_voltage_V",
    "set_time_s",
    "reset_current_A",
    "reset_voltage_V",
    "reset_time_s",
)
"""What the joules of SET and RESET follow from."""


class PcmParams(NamedTuple):
    g_min_uS: np.floating[Any]
    g_max_uS: np.floating[Any]
    mean_slope: np.floating[Any]
    mean_offset_uS: np.floating[Any]
    mean_first_uS: np.floating[Any]
    sigma_slope: np.floating[Any]
    sigma_offset_uS: np.floating[Any]
    sigma_first_uS: np.floating[Any]
    memory_pulses: np.floating[Any]
    mean_low_uS: np.floating[Any]
    sigma_low_uS: np.floating[Any]
    low_scale_uS: np.floating[Any]
    reset_mean_uS: np.floating[Any]
    reset_sigma_uS: np.floating[Any]
    reset_floor_uS: np.floating[Any]
    program_c0: np.floating[Any]
    program_c1: np.floating[Any]
    program_c2: np.floating[Any]
    program_reference_uS: np.floating[Any]
    drift_exponent: np.floating[Any]
    drift_exponent_sigma: np.floating[Any]
    drift_reference_s: np.floating[Any]
    delay_s: np.floating[Any]
    mean_read_share: np.floating[Any]
    """What the mean drift leaves until a cell just written is read."""
    set_energy_J: np.floating[Any]
    reset_energy_J: np.floating[Any]
    program_energy_J: np.floating[Any]
    read_noise_relative: np.floating[Any]
    read_noise_floor_uS: np.floating[Any]


class PcmState(NamedTuple):
    conductance: Floats
    set_pulses: NDArray[np.uint8]
    programmed_at_s: NDArray[np.float64]
    exponent: Floats


@inlined
def _draw_exponent(cell: int, state: Any, params: Any, word: Any) -> None:
    if params.drift_exponent_sigma > _ZERO:
        state.exponent[cell] = abs(params.drift_exponent + params.drift_exponent_sigma * normal(word))


@inlined
def reset(cell: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    a, b, _, _ = philox(cell, event, 0, key)
    g = params.reset_mean_uS + params.reset_sigma_uS * normal(a)
    state.conductance[cell] = max(g, params.reset_floor_uS)
    state.set_pulses[cell] = 0
    state.programmed_at_s[cell] = now_s
    _draw_exponent(cell, state, params, b)
    return params.reset_energy_J


@inlined
def construct(cell: int, state: Any, params: Any, key: Any) -> None:
    reset(cell, state, params, 0.0, 0, key)


@inlined
def pulses_to_reach(conductance_uS: Any) -> Any:
    """Inverse of the mean curve: SET pulses from RESET to a conductance in uS."""
    g = conductance_uS
    return ((np.float32(0.027) * g - np.float32(0.15)) * g + np.float32(0.81)) * g


@inlined
def program(cell: int, target_uS: Any, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    a, b, _, _ = philox(cell, event, 0, key)
    wanted = target_uS / params.mean_read_share
    g = wanted / params.g_max_uS
    sigma = params.program_c0 + g * (params.program_c1 + g * params.program_c2)
    sigma *= params.g_max_uS / params.program_reference_uS
    reached = min(max(wanted + sigma * normal(a), params.reset_floor_uS), params.g_max_uS)
    state.conductance[cell] = reached
    state.set_pulses[cell] = min(int(np.rint(pulses_to_reach(reached))), _MOST_PULSES)
    state.programmed_at_s[cell] = now_s
    _draw_exponent(cell, state, params, b)
    return params.program_energy_J


@inlined
def pulse(cell: int, count: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    if count < 0:
        return reset(cell, state, params, now_s, event, key)
    first = normal(philox(cell, event, 1, key)[0])
    return accumulate(cell, count, state, params, now_s, event, key, first)


@inlined
def accumulate(
    cell: int, count: int, state: Any, params: Any, now_s: float, event: int, key: Any, xi: Any
) -> Any:
    """Give SET pulses, of which the first has the normal xi."""
    g = state.conductance[cell]
    given = np.int64(state.set_pulses[cell])
    for k in range(count):
        if k > 0:
            xi = normal(philox(cell, event, k + 1, key)[0])
        given = min(given + 1, _MOST_PULSES)
        first = np.exp(-np.float32(given) / params.memory_pulses)
        mean = params.mean_slope * g + params.mean_offset_uS + params.mean_first_uS * first
        sigma = params.sigma_slope * g + params.sigma_offset_uS + params.sigma_first_uS * first
        if params.low_scale_uS > _ZERO:
            low = np.exp(-g / params.low_scale_uS)
            mean += params.mean_low_uS * low
            sigma += params.sigma_low_uS * low
        g = g + mean + sigma * xi
        g = min(max(g, params.g_min_uS), params.g_max_uS)
    state.conductance[cell] = g
    state.set_pulses[cell] = given
    state.programmed_at_s[cell] = now_s
    return np.float64(params.set_energy_J) * count


@inlined
def pulses(size: int, group: Any, state: Any, params: Any, now_s: float, event: int, key: Any) -> None:
    together = size >= FEW
    if together:
        draw(size, group.cells, group, event, 1, key)
        normals_of_word(size, group, 0, 0)
    for k in range(size):
        cell, count = group.cells[k], group.counts[k]
        if together and count > 0:
            group.joules[k] = accumulate(cell, count, state, params, now_s, event, key, group.normals[0, k])
        else:
            group.joules[k] = pulse(cell, count, state, params, now_s, event, key)


@inlined
def drifted(cell: int, state: Any, params: Any, now_s: float) -> Any:
    age = max(np.float32(now_s - state.programmed_at_s[cell]), params.delay_s)
    exponent = params.drift_exponent
    if params.drift_exponent_sigma > _ZERO:
        exponent = state.exponent[cell]
    return state.conductance[cell] * (age / params.drift_reference_s) ** -exponent


class PcmAccumulative(Law):
    """SET pulses accumulate, RESET is abrupt; the state is the conductance `drift_reference_s` after a pulse.

    With p the number of SET pulses since RESET (this one included) and e = exp(-p / memory_pulses), a pulse
    adds ``m1 G + c1 + A1 e + L1 l + (m2 G + c2 + A2 e + L2 l) xi``, l = exp(-G / low_scale); conductance then falls
    as (t / t0)**-nu from the pulse on, and reads see it no younger than the reading delay. Closed-loop programming has no law of its own: the polynomial of Joshi et al., Nat. Commun. 11, 2020, scaled by
    G_max / 25 uS, stands in.
    """

    law: ClassVar[str] = "pcm-accumulative"
    polarity: ClassVar[Polarity] = "set_only"
    own_kernels: ClassVar[DeviceKernels] = DeviceKernels(
        construct, program, pulse, reset, drifted, read_sigma, pulses=pulses
    )
    params_type: ClassVar[Any] = PcmParams
    state_type: ClassVar[Any] = PcmState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32, np.uint8, np.float64, np.float32)

    mean_slope: float = quantity("1")
    mean_offset_uS: float = quantity("uS")
    mean_first_uS: float = quantity("uS")
    sigma_slope: float = quantity("1", noise=True)
    sigma_offset_uS: float = quantity("uS", noise=True)
    sigma_first_uS: float = quantity("uS", noise=True)
    memory_pulses: float = quantity("1", gt=0)
    mean_low_uS: float = quantity("uS", 0.0)
    """Part of the mean step that falls with the conductance, L1 ..."""
    sigma_low_uS: float = quantity("uS", 0.0, noise=True)
    """... the same of its standard deviation, L2 ..."""
    low_scale_uS: float | None = quantity("uS", None, gt=0)
    """... each times exp(-G / this); None: there is no such part."""
    nominal_set_step_uS: float = quantity("uS", gt=0)
    reset_mean_uS: float = quantity("uS", ge=0)
    reset_sigma_uS: float | None = quantity("uS", None, noise=True, ge=0)
    reset_floor_uS: float = quantity("uS", 0.01, ge=0)
    program_c0: float = quantity("uS", noise=True)
    program_c1: float = quantity("uS", noise=True)
    program_c2: float = quantity("uS", noise=True)
    program_reference_uS: float = quantity("uS", gt=0)
    """G_max for which the programming polynomial was fitted."""
    program_pulses: float = quantity("1", 20.0, ge=0)
    """Mean number of pulses of one program-and-verify."""
    drift_exponent: float | None = quantity("1", None, ge=0)
    drift_exponent_sigma: float | None = quantity("1", None, noise=True, ge=0)
    drift_reference_s: float = quantity("s", gt=0)
    set_current_A: float | None = quantity("A", None, gt=0)
    """Of a SET; None, as of the next five: the card does not give it, and pulses have no joules."""
    set_time_s: float | None = quantity("s", None, gt=0)
    set_voltage_V: float | None = quantity("V", None, gt=0)
    reset_current_A: float | None = quantity("A", None, gt=0)
    reset_time_s: float | None = quantity("s", None, gt=0)
    reset_voltage_V: float | None = quantity("V", None, gt=0)

    @property
    def bounds_uS(self) -> tuple[float, float]:
        """From the least that a RESET leaves."""
        return min(self.reset_floor_uS, self.g_min_uS), self.g_max_uS

    @property
    def nominal_step_uS(self) -> float:
        """The expected step that a controller assumes whatever the cell's state."""
        return self.nominal_set_step_uS

    @property
    def pulse_voltage_V(self) -> float | None:
        """The SET voltage."""
        return self.set_voltage_V

    @property
    def pulse_time_s(self) -> float | None:
        """Duration of a SET pulse."""
        return self.set_time_s

    @property
    def own_drift(self) -> bool:
        """Unless the exponent and its spread are off."""
        return bool(self.drift_exponent or self.drift_exponent_sigma)

    @property
    def law_delay_s(self) -> float:
        """The reading time of the fit."""
        return self.drift_reference_s

    @property
    def mean_read_share(self) -> float:
        """The power law from the reading time of the fit to the reading delay."""
        if not self.own_drift or self.delay_s == self.drift_reference_s:
            return 1.0
        return float((self.delay_s / self.drift_reference_s) ** -(self.drift_exponent or 0.0))

    def law_mean_read_uS(self, conductance_uS: float) -> float:
        """Scaled by the mean power law."""
        return conductance_uS * self.mean_read_share

    @property
    def pulse_unknown(self) -> tuple[str, ...]:
        """Current, voltage and width of SET and of RESET."""
        return self.absent(*_PULSE)

    @property
    def pulse_shapes(self) -> tuple[PulseShape, PulseShape]:
        """Voltage (V) and width (s) of a SET and of a RESET."""
        return (self.set_voltage_V, self.set_time_s), (self.reset_voltage_V, self.reset_time_s)

    @property
    def set_energy_J(self) -> float | None:
        """Energy of one SET pulse, I V t; None: not known."""
        if self.set_current_A is None or self.set_voltage_V is None or self.set_time_s is None:
            return None
        return self.set_current_A * self.set_voltage_V * self.set_time_s

    @property
    def reset_energy_J(self) -> float | None:
        """Energy of one RESET pulse, I V t; None: not known."""
        if self.reset_current_A is None or self.reset_voltage_V is None or self.reset_time_s is None:
            return None
        return self.reset_current_A * self.reset_voltage_V * self.reset_time_s

    @property
    def program_energy_J(self) -> float | None:
        """Energy of one program-and-verify; None: not known."""
        return None if self.set_energy_J is None else self.program_pulses * self.set_energy_J

    def own_state(self, cells: int, precision: Precision = "float32") -> Any:
        """Return zeroed state; exponents of their own only where the spread is on."""
        state = super().own_state(cells, precision)
        return state if self.drift_exponent_sigma else state._replace(exponent=np.zeros(1, precision))
