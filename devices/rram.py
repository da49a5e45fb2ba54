"""Filamentary oxide RRAM under identical pulses: soft bounds (Gong & Rasch, IEDM 2022; Gong 2018)."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from neurosim.core.protocols import DeviceKernels, Floats, Polarity
from neurosim.devices.law import Law, quantity, read_sigma
from neurosim.kernels.cells import stored
from neurosim.kernels.jit import inlined
from neurosim.kernels.random import normal, philox, uniform

_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


class SoftBoundsParams(NamedTuple):
    g_rest_uS: np.floating[Any]
    span_uS: np.floating[Any]
    state_max: np.floating[Any]
    state_min: np.floating[Any]
    step: np.floating[Any]
    step_spread: np.floating[Any]
    step_spread_lognormal: np.floating[Any]
    state_max_spread: np.floating[Any]
    state_min_spread: np.floating[Any]
    asymmetry_spread: np.floating[Any]
    cycle_to_cycle: np.floating[Any]
    write_noise: np.floating[Any]
    corrupt_share: np.floating[Any]
    corrupt_range: np.floating[Any]
    program_sigma_uS: np.floating[Any]
    program_energy_J: np.floating[Any]
    write_energy_per_uS: np.floating[Any]
    read_noise_relative: np.floating[Any]
    read_noise_floor_uS: np.floating[Any]


class SoftBoundsState(NamedTuple):
    conductance: Floats
    persistent: Floats
    upper: Floats
    lower: Floats
    step_up: Floats
    step_down: Floats


@inlined
def construct(cell: int, state: Any, params: Any, key: Any) -> None:
    a, b, c, d = philox(cell, 0, 0, key)
    e, f, _, _ = philox(cell, 0, 1, key)
    spread = normal(a)
    gain = np.exp(params.step_spread_lognormal * spread) + params.step_spread * spread
    upper = params.span_uS * abs(params.state_max * (_ONE + params.state_max_spread * normal(b)))
    lower = params.span_uS * abs(params.state_min * (_ONE + params.state_min_spread * normal(c)))
    tilt = params.asymmetry_spread * normal(d)
    step_uS = params.step * params.span_uS
    state.step_up[cell] = abs(gain + tilt) * step_uS
    state.step_down[cell] = abs(gain - tilt) * step_uS
    state.upper[cell] = params.g_rest_uS + upper
    state.lower[cell] = max(params.g_rest_uS - lower, _ZERO)
    if uniform(e) < params.corrupt_share:
        offset = params.corrupt_range * (np.float32(2.0) * uniform(f) - _ONE)
        state.upper[cell] = params.g_rest_uS + offset * params.span_uS
        state.lower[cell] = state.upper[cell]
    rest = min(max(params.g_rest_uS, state.lower[cell]), state.upper[cell])
    state.persistent[cell] = rest
    state.conductance[cell] = rest


@inlined
def program(cell: int, target_uS: Any, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    reached = target_uS + params.program_sigma_uS * normal(philox(cell, event, 0, key)[0])
    reached = min(max(reached, state.lower[cell]), state.upper[cell])
    state.persistent[cell] = reached
    state.conductance[cell] = reached
    return params.program_energy_J


@inlined
def pulse(cell: int, count: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    upper, lower = state.upper[cell], state.lower[cell]
    g = state.persistent[cell]
    before = state.conductance[cell]
    if upper > lower:
        rest = params.g_rest_uS
        sign = _ONE if count > 0 else -_ONE
        step = state.step_up[cell] if count > 0 else state.step_down[cell]
        reach = upper - rest if count > 0 else rest - lower
        words = philox(cell, event, 0, key)
        last_word = words[3]
        for k in range(abs(count)):
            if k > 0 and k % 3 == 0:
                words = philox(cell, event, k // 3, key)
            noise = _ZERO
            if params.cycle_to_cycle > _ZERO:
                noise = params.cycle_to_cycle * normal(words[k % 3])
            g += sign * (step * (_ONE - sign * (g - rest) / reach + noise))
            g = min(max(g, lower), upper)
        state.persistent[cell] = g
        if params.write_noise > _ZERO:
            shift = params.write_noise * params.step * params.span_uS
            g = max(g + shift * normal(last_word), _ZERO)
        state.conductance[cell] = g
    mean_uS = np.float32(0.5) * (before + state.conductance[cell])
    return np.float64(params.write_energy_per_uS) * np.float64(mean_uS) * abs(count)


@inlined
def reset(cell: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    state.persistent[cell] = state.lower[cell]
    state.conductance[cell] = state.lower[cell]
    return params.program_energy_J


class SoftBounds(Law):
    """Bipolar pulses whose steps shrink linearly towards each bound.

    On the normalised state ``s = (G - G_rest) / span``, one pulse adds
    ``step (1 - s / s_max + cycle_to_cycle xi)`` upwards and takes ``step (1 - s / s_min + ...)``
    downwards; steps and bounds differ from device to device; the conductance seen is the persistent one
    plus write noise, drawn anew each time the cell is pulsed. Corrupt cells have both bounds at one value.
    """

    law: ClassVar[str] = "soft-bounds"
    polarity: ClassVar[Polarity] = "bipolar"
    own_kernels: ClassVar[DeviceKernels] = DeviceKernels(construct, program, pulse, reset, stored, read_sigma)
    params_type: ClassVar[Any] = SoftBoundsParams
    state_type: ClassVar[Any] = SoftBoundsState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32,) * 6

    state_max: float = quantity("1", 1.0, gt=0)
    state_min: float = quantity("1", -1.0, lt=0)
    step: float = quantity("1", gt=0)
    """Mean step at rest in units of the normalised state."""
    step_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of the step, relative (normal)."""
    step_spread_lognormal: float | None = quantity("1", None, noise=True, ge=0)
    """The same as the standard deviation of the step's logarithm."""
    state_max_spread: float | None = quantity("1", None, noise=True, ge=0)
    state_min_spread: float | None = quantity("1", None, noise=True, ge=0)
    asymmetry_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of (step up - step down) / 2, relative to the step."""
    cycle_to_cycle: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of one pulse, in steps."""
    write_noise: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of the seen around the persistent conductance, in steps."""
    corrupt_share: float | None = quantity("1", None, noise=True, ge=0, le=1)
    corrupt_range: float | None = quantity("1", None, noise=True, ge=0)
    program_tolerance: float | None = quantity("1", None, noise=True, ge=0)
    """Residual error of program-and-verify, as a share of the window."""
    program_pulses: float = quantity("1", 10.0, ge=0)
    """Mean number of pulses of one program-and-verify."""
    write_voltage_V: float = quantity("V", gt=0)
    write_time_s: float = quantity("s", gt=0)

    @property
    def span_uS(self) -> float:
        """Conductance of one unit of the normalised state."""
        return (self.g_max_uS - self.g_min_uS) / (self.state_max - self.state_min)

    @property
    def g_rest_uS(self) -> float:
        """The symmetry point: up and down steps are equal there."""
        return self.g_min_uS - self.state_min * self.span_uS

    @property
    def nominal_step_uS(self) -> float:
        """The mean step at the symmetry point."""
        return self.step * self.span_uS

    @property
    def depression_share(self) -> float:
        """One depression pulse removes step / abs(state_min) of the distance to the lower bound."""
        return self.step / -self.state_min

    @property
    def program_sigma_uS(self) -> float:
        """Residual programming error."""
        return (self.program_tolerance or 0.0) * (self.g_max_uS - self.g_min_uS)

    @property
    def pulse_voltage_V(self) -> float:
        """The write voltage."""
        return self.write_voltage_V

    @property
    def write_energy_per_uS(self) -> float:
        """Energy of one pulse in joule for each uS of cell conductance, V^2 G t."""
        return self.write_voltage_V**2 * self.write_time_s * 1e-6

    @property
    def program_energy_J(self) -> float:
        """Energy of one program-and-verify at the middle of the window."""
        return self.program_pulses * self.write_energy_per_uS * (self.g_min_uS + self.g_max_uS) / 2
