"""Devices that are programmed closed loop and then left: what chips report of their written states."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import DeviceKernels, Floats, Polarity
from neurosim.devices.law import Law, quantity, read_sigma
from neurosim.kernels.jit import inlined
from neurosim.kernels.random import normal, philox

_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
_LEAST_SHARE = np.float32(1e-3)


class ProgrammedParams(NamedTuple):
    g_min_uS: np.floating[Any]
    g_max_uS: np.floating[Any]
    nominal_step_uS: np.floating[Any]
    error_scale: np.floating[Any]
    error_c0_uS: np.floating[Any]
    error_c1_uS: np.floating[Any]
    error_c2_uS: np.floating[Any]
    error_c3_uS: np.floating[Any]
    error_c4_uS: np.floating[Any]
    relaxed_c0_uS: np.floating[Any]
    relaxed_c1_uS: np.floating[Any]
    relaxed_c2_uS: np.floating[Any]
    relaxed_c3_uS: np.floating[Any]
    relaxed_c4_uS: np.floating[Any]
    error_at_s: np.floating[Any]
    relaxed_at_s: np.floating[Any]
    drift_log_slope: np.floating[Any]
    drift_offset: np.floating[Any]
    drift_least: np.floating[Any]
    drift_most: np.floating[Any]
    drift_sigma_log_slope: np.floating[Any]
    drift_sigma_offset: np.floating[Any]
    drift_sigma_least: np.floating[Any]
    drift_sigma_most: np.floating[Any]
    drift_reference_s: np.floating[Any]
    program_energy_J: np.floating[Any]
    read_noise_relative: np.floating[Any]
    read_noise_floor_uS: np.floating[Any]


class ProgrammedState(NamedTuple):
    conductance: Floats
    programmed_at_s: NDArray[np.float64]
    exponent: Floats
    settling: Floats


@inlined
def programming_error(g: Any, params: Any) -> Any:
    """Standard deviation in uS of a state just programmed, at a share g of g_max."""
    inner = params.error_c3_uS + g * params.error_c4_uS
    sigma = params.error_c0_uS + g * (params.error_c1_uS + g * (params.error_c2_uS + g * inner))
    return max(sigma * params.error_scale, _ZERO)


@inlined
def relaxed_error(g: Any, params: Any) -> Any:
    """The same at `relaxed_at_s`."""
    inner = params.relaxed_c3_uS + g * params.relaxed_c4_uS
    sigma = params.relaxed_c0_uS + g * (params.relaxed_c1_uS + g * (params.relaxed_c2_uS + g * inner))
    return max(sigma * params.error_scale, _ZERO)


@inlined
def program(cell: int, target_uS: Any, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    a, b, c, _ = philox(cell, event, 0, key)
    wanted = min(max(target_uS, params.g_min_uS), params.g_max_uS)
    reached = wanted + programming_error(wanted / params.g_max_uS, params) * normal(a)
    reached = max(reached, _ZERO)
    level = np.log(max(reached / params.g_max_uS, _LEAST_SHARE))
    mean = params.drift_log_slope * level + params.drift_offset
    sigma = params.drift_sigma_log_slope * level + params.drift_sigma_offset
    mean = min(max(mean, params.drift_least), params.drift_most)
    sigma = min(max(sigma, params.drift_sigma_least), params.drift_sigma_most)
    state.conductance[cell] = reached
    state.programmed_at_s[cell] = now_s
    state.exponent[cell] = abs(mean + sigma * normal(b))
    state.settling[cell] = normal(c)
    return params.program_energy_J


@inlined
def construct(cell: int, state: Any, params: Any, key: Any) -> None:
    program(cell, params.g_min_uS, state, params, 0.0, 0, key)


@inlined
def pulse(cell: int, count: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    target = state.conductance[cell] + np.float32(count) * params.nominal_step_uS
    return program(cell, target, state, params, now_s, event, key)


@inlined
def reset(cell: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    return program(cell, params.g_min_uS, state, params, now_s, event, key)


@inlined
def drifted(cell: int, state: Any, params: Any, now_s: float) -> Any:
    g = state.conductance[cell]
    elapsed = np.float32(now_s - state.programmed_at_s[cell])
    if params.relaxed_at_s > _ZERO and elapsed > params.error_at_s:
        passed = np.log(elapsed / params.error_at_s) / np.log(params.relaxed_at_s / params.error_at_s)
        share = min(g / params.g_max_uS, _ONE)
        first = programming_error(share, params)
        now = first + min(passed, _ONE) * (relaxed_error(share, params) - first)
        g = max(g + np.sqrt(max(now * now - first * first, _ZERO)) * state.settling[cell], _ZERO)
    if params.drift_most > _ZERO:
        since = max(elapsed, params.drift_reference_s) / params.drift_reference_s
        g = g * since ** -state.exponent[cell]
    return g


class Programmed(Law):
    """States written by program-and-verify: their error, their relaxation, their drift.

    With g = G / G_max, a written state has the standard deviation ``(c0 + c1 g + ... + c4 g^4) G_max / G_ref``
    at `error_at_s`; that of the relaxed polynomial at `relaxed_at_s`, in between along ln t, by one normal a
    write. Conductance falls as ``(t / t0)**-nu`` with ``nu = |N(m(g), s(g))|`` and m, s of the form
    ``clip(a ln g + b)`` (Joshi et al., Nat. Commun. 11, 2473, 2020). An update programs the device anew, to the
    conductance it has plus the pulses' nominal steps: closed loop, at the energy of a programming.
    """

    law: ClassVar[str] = "programmed"
    polarity: ClassVar[Polarity] = "set_only"
    own_kernels: ClassVar[DeviceKernels] = DeviceKernels(
        construct, program, pulse, reset, drifted, read_sigma
    )
    params_type: ClassVar[Any] = ProgrammedParams
    state_type: ClassVar[Any] = ProgrammedState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32, np.float64, np.float32, np.float32)

    error_c0_uS: float = quantity("uS", noise=True)
    error_c1_uS: float = quantity("uS", 0.0, noise=True)
    error_c2_uS: float = quantity("uS", 0.0, noise=True)
    error_c3_uS: float = quantity("uS", 0.0, noise=True)
    error_c4_uS: float = quantity("uS", 0.0, noise=True)
    error_reference_uS: float = quantity("uS", gt=0)
    """G_max for which the polynomials were fitted."""
    error_at_s: float = quantity("s", 1.0, gt=0)
    """Time after programming for which the first polynomial holds."""
    relaxed_c0_uS: float = quantity("uS", 0.0, noise=True)
    relaxed_c1_uS: float = quantity("uS", 0.0, noise=True)
    relaxed_c2_uS: float = quantity("uS", 0.0, noise=True)
    relaxed_c3_uS: float = quantity("uS", 0.0, noise=True)
    relaxed_c4_uS: float = quantity("uS", 0.0, noise=True)
    relaxed_at_s: float | None = quantity("s", None, gt=0)
    """Time for which the second polynomial holds; None: states do not relax."""
    drift_log_slope: float = quantity("1", 0.0)
    drift_offset: float = quantity("1", 0.0)
    drift_least: float = quantity("1", 0.0, ge=0)
    drift_most: float | None = quantity("1", None, ge=0)
    """Upper end of the mean exponent; None: no drift."""
    drift_sigma_log_slope: float = quantity("1", 0.0, noise=True)
    drift_sigma_offset: float = quantity("1", 0.0, noise=True)
    drift_sigma_least: float = quantity("1", 0.0, noise=True, ge=0)
    drift_sigma_most: float = quantity("1", 0.0, noise=True, ge=0)
    drift_reference_s: float = quantity("s", 20.0, gt=0)
    steps: float = quantity("1", 100.0, ge=1)
    """Nominal steps that a controller sees in the window."""
    program_pulses: float = quantity("1", 20.0, ge=0)
    """Mean number of pulses of one program-and-verify."""
    write_voltage_V: float = quantity("V", gt=0)
    write_current_A: float = quantity("A", gt=0)
    write_time_s: float = quantity("s", gt=0)

    @property
    def error_scale(self) -> float:
        """Polynomials are scaled with the window."""
        return self.g_max_uS / self.error_reference_uS

    @property
    def nominal_step_uS(self) -> float:
        """The window divided by `steps`."""
        return (self.g_max_uS - self.g_min_uS) / self.steps

    @property
    def pulse_voltage_V(self) -> float:
        """The write voltage."""
        return self.write_voltage_V

    @property
    def own_drift(self) -> bool:
        """Whether states drift or relax."""
        return bool(self.drift_most or self.relaxed_at_s)

    @property
    def program_energy_J(self) -> float:
        """Energy of one program-and-verify, pulses times I V t."""
        return self.program_pulses * self.write_current_A * self.write_voltage_V * self.write_time_s
