"""What devices that identical pulses move up and down in small steps share; a law adds its own step.

`step_by_step` gives the pulses: each moves the persistent conductance to where the law says, within the device's own
bounds; of most laws by the device's step times the law's share of it at the present state (`kernels`).
"""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import model_validator

from neurosim.core.protocols import DeviceKernels, Floats, Polarity, PulseShape
from neurosim.devices.law import Law, read_sigma
from neurosim.devices.parameters import quantity
from neurosim.devices.passes import in_passes, seen_after, spent_J, within
from neurosim.kernels.cells import stored
from neurosim.kernels.jit import inlined, inlined_as, origin
from neurosim.kernels.random import normal, philox, uniform

_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)

PULSED = (
    "g_rest_uS", "span_uS", "step", "cycle_to_cycle", "write_noise", "program_sigma_uS", "program_energy_J",
    "write_energy_per_uS", "reset_energy_per_uS", "gate_energy_J", "read_noise_relative", "read_noise_floor_uS",
)  # fmt: skip
"""What the shared kernels read of any bipolar law."""
STEPPED = (
    *PULSED, "g_origin_uS", "state_max", "state_min", "step_spread", "step_spread_lognormal",
    "state_max_spread", "state_min_spread", "asymmetry", "asymmetry_spread", "corrupt_share", "corrupt_range",
)  # fmt: skip
"""What they read of a law on the normalised state."""


def numbers(name: str, module: str, *fields: str) -> Any:
    """Return the named tuple type of a law's parameters; `module` must hold it under that `name`."""
    return namedtuple(name, fields, module=module)


class BipolarState(NamedTuple):
    conductance: Floats
    persistent: Floats
    upper: Floats
    lower: Floats
    step_up: Floats
    step_down: Floats


class SlopedState(NamedTuple):
    """State of laws whose step shrinks by a slope of each device's own, per uS."""

    conductance: Floats
    persistent: Floats
    upper: Floats
    lower: Floats
    step_up: Floats
    step_down: Floats
    slope_up: Floats
    slope_down: Floats


@inlined
def gathered(size: int, group: Any, state: Any) -> Any:
    """Return the state of a group's ranked devices alone, side by side."""
    n = group.numbers
    near = BipolarState(n[0], n[1], n[2], n[3], n[4], n[5])
    for k in range(size):
        cell = group.ranked[k]
        near.conductance[k], near.persistent[k] = state.conductance[cell], state.persistent[cell]
        near.upper[k], near.lower[k] = state.upper[cell], state.lower[cell]
        near.step_up[k], near.step_down[k] = state.step_up[cell], state.step_down[cell]
    return near


@inlined
def settle(cell: int, reached_uS: Any, state: Any) -> None:
    """Put a cell where it is to stand, within its own bounds, without write noise."""
    reached = min(max(reached_uS, state.lower[cell]), state.upper[cell])
    state.persistent[cell] = reached
    state.conductance[cell] = reached


@inlined
def shift(cell: int, by_uS: Any, state: Any, low_uS: Any, high_uS: Any) -> Any:
    """Move the persistent conductance within the device's own bounds, the seen one with it; return it."""
    if by_uS != _ZERO:
        before = state.persistent[cell]
        after = min(max(before + by_uS, state.lower[cell]), state.upper[cell])
        state.persistent[cell] = after
        state.conductance[cell] = max(state.conductance[cell] + (after - before), _ZERO)
    return state.persistent[cell]


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
    state.step_up[cell] = abs(gain + min(params.asymmetry, _ZERO) + tilt) * step_uS
    state.step_down[cell] = abs(gain - max(params.asymmetry, _ZERO) - tilt) * step_uS
    state.upper[cell] = params.g_origin_uS + upper
    state.lower[cell] = max(params.g_origin_uS - lower, _ZERO)
    if uniform(e) < params.corrupt_share:
        offset = params.corrupt_range * (np.float32(2.0) * uniform(f) - _ONE)
        state.upper[cell] = max(params.g_origin_uS + offset * params.span_uS, _ZERO)
        state.lower[cell] = state.upper[cell]
    settle(cell, params.g_rest_uS, state)


@inlined
def program(cell: int, target_uS: Any, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    settle(cell, target_uS + params.program_sigma_uS * normal(philox(cell, event, 0, key)[0]), state)
    return params.program_energy_J


@inlined
def reset(cell: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    settle(cell, state.lower[cell], state)
    return params.program_energy_J


@inlined
def step_by_step(cell: int, count: int, state: Any, params: Any, event: int, key: Any, moved: Any) -> Any:
    """Give pulses, each from g to moved(cell, g, sign, step, xi, state, params); step is the device's own of that sign.

    xi is the pulse's standard normal, zero where the law has no cycle-to-cycle noise.
    """
    upper, lower = state.upper[cell], state.lower[cell]
    g = state.persistent[cell]
    before = state.conductance[cell]
    sign = np.float32(2 * (count > 0) - 1)
    if upper > lower:
        up, down = state.step_up[cell], state.step_down[cell]
        step = up if sign > _ZERO else down  # compared as numbers: a branch would be taken at random
        words = philox(cell, event, 0, key)
        last_word = words[3]
        for k in range(abs(count)):
            if k > 0 and k % 3 == 0:
                words = philox(cell, event, k // 3, key)
            xi = _ZERO
            if params.cycle_to_cycle > _ZERO:
                xi = normal(words[k % 3])
            g = within(moved(cell, g, sign, step, xi, state, params), lower, upper)
        state.persistent[cell] = g
        if params.write_noise > _ZERO:
            g = seen_after(g, normal(last_word), params)
        state.conductance[cell] = g
    return spent_J(before, state.conductance[cell], sign, abs(count), params)


SHARES: dict[Any, Callable[..., Any]] = {}
"""The share that each pulse kernel was made of."""


def kernels(
    share: Callable[..., Any],
    construct: Callable[..., Any] = construct,
    gathered: Callable[..., Any] | None = None,
) -> DeviceKernels:
    """Return the kernels of a law by share(cell, g, sign, xi, state, params) of the device's step; for a subclass of `Stepped`.

    With `gathered`, see `in_passes`, devices are pulsed several at a time: worth it for a share of plain arithmetic.
    """

    def moved(cell: int, g: Any, sign: Any, step: Any, xi: Any, state: Any, params: Any) -> Any:
        return g + sign * (step * share(cell, g, sign, xi, state, params))

    found = moving(inlined_as(moved, f"{origin(share)}.moved"), construct, gathered)
    SHARES[found.pulse] = share
    return found


def moving(
    moved: Callable[..., Any], construct: Callable[..., Any], gathered: Callable[..., Any] | None = None
) -> DeviceKernels:
    """Return the kernels of a law by where a pulse takes the conductance, see `step_by_step`; for a subclass of `Bipolar`."""

    def pulse(cell: int, count: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
        return step_by_step(cell, count, state, params, event, key, moved)

    one = inlined_as(pulse, f"{origin(moved)}.pulse")
    several = inlined_as(in_passes(one, moved, gathered), f"{origin(moved)}.pulses") if gathered else None
    return DeviceKernels(construct, program, one, reset, stored, read_sigma, shift=shift, pulses=several)


class Bipolar(Law):
    """Base of bipolar laws: energy of a pulse, program-and-verify, write noise.

    A subclass has `step` and `span_uS`, in whose product write noise is measured, and names a pulse kernel.
    """

    polarity: ClassVar[Polarity] = "bipolar"

    cycle_to_cycle: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of one pulse, in steps."""
    write_noise: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of the seen around the persistent conductance, in steps."""
    program_tolerance: float | None = quantity("1", None, noise=True, ge=0)
    """Residual error of program-and-verify, as a share of the window."""
    program_pulses: float = quantity("1", 10.0, ge=0)
    """Mean number of pulses of one program-and-verify."""
    write_voltage_V: float | None = quantity("V", None, gt=0)
    """Of a pulse up; None, as of its width: the card does not give it, and pulses have no joules."""
    write_time_s: float | None = quantity("s", None, gt=0)
    reset_voltage_V: float | None = quantity("V", None, gt=0)
    """Magnitude of the voltage of a pulse down; None: as of a pulse up."""
    reset_time_s: float | None = quantity("s", None, gt=0)
    gate_energy_J: float | None = quantity("J", None, gt=0)
    """Energy of one pulse on a gate, charge times voltage; None: current flows through the cell, V^2 G t."""

    @property
    def program_sigma_uS(self) -> float:
        """Residual programming error."""
        return (self.program_tolerance or 0.0) * (self.g_max_uS - self.g_min_uS)

    @model_validator(mode="after")
    def _pulses_down_are_not_known_alone(self) -> Self:
        for end in ("voltage_V", "time_s"):
            if getattr(self, f"write_{end}") is None and getattr(self, f"reset_{end}") is not None:
                raise ValueError(f"reset_{end} is of a pulse down: give write_{end}, of a pulse up, as well")
        return self

    @property
    def pulse_voltage_V(self) -> float | None:
        """The larger of both write voltages."""
        return (
            None if self.write_voltage_V is None else max(self.write_voltage_V, self.reset_voltage_V or 0.0)
        )

    @property
    def pulse_time_s(self) -> float | None:
        """The longer of both pulses."""
        return None if self.write_time_s is None else max(self.write_time_s, self.reset_time_s or 0.0)

    @property
    def pulse_unknown(self) -> tuple[str, ...]:
        """Voltage and width, unless a pulse is priced at its gate."""
        return () if self.gate_energy_J else self.absent("write_voltage_V", "write_time_s")

    @property
    def pulse_shapes(self) -> tuple[PulseShape, PulseShape]:
        """Voltage (V) and width (s) of a pulse up, and of one down."""
        down = self.reset_voltage_V or self.write_voltage_V, self.reset_time_s or self.write_time_s
        return (self.write_voltage_V, self.write_time_s), down

    @property
    def write_energy_per_uS(self) -> float | None:
        """Energy of one pulse up in joule for each uS of cell conductance, V^2 G t; None: not known."""
        if self.write_voltage_V is None or self.write_time_s is None:
            return None
        return self.write_voltage_V**2 * self.write_time_s * 1e-6

    @property
    def reset_energy_per_uS(self) -> float | None:
        """Energy of one pulse down in joule for each uS of cell conductance, V^2 G t; None: not known."""
        voltage_V = self.reset_voltage_V or self.write_voltage_V
        if voltage_V is None or self.write_time_s is None:
            return None
        return voltage_V**2 * (self.reset_time_s or self.write_time_s) * 1e-6

    @property
    def program_energy_J(self) -> float | None:
        """Energy of one program-and-verify at the middle of the window; None: not known."""
        each_J = self.gate_energy_J
        if each_J is None and self.write_energy_per_uS is not None:
            each_J = self.write_energy_per_uS * (self.g_min_uS + self.g_max_uS) / 2
        return None if each_J is None else self.program_pulses * each_J


class Stepped(Bipolar):
    """Base of laws on the normalised state ``s = (G - G_origin) / span``, from state_min to state_max.

    Steps and bounds differ from device to device; corrupt cells have both bounds at one value.
    """

    state_type: ClassVar[Any] = BipolarState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32,) * 6

    state_max: float = quantity("1", 1.0, gt=0)
    state_min: float = quantity("1", -1.0, lt=0)
    step: float = quantity("1", gt=0)
    """Mean step of the law's share one, in units of the normalised state."""
    step_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of the step, relative (normal)."""
    step_spread_lognormal: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of the step's logarithm (lognormal), in place of `step_spread`."""
    state_max_spread: float | None = quantity("1", None, noise=True, ge=0)
    state_min_spread: float | None = quantity("1", None, noise=True, ge=0)
    asymmetry: float | None = quantity("1", None, gt=-1, lt=1)
    """Mean share by which the step down (positive) or up (negative) is smaller than the other."""
    asymmetry_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of (step up - step down) / 2, relative to the step."""
    corrupt_share: float | None = quantity("1", None, noise=True, ge=0, le=1)
    corrupt_range: float | None = quantity("1", None, noise=True, ge=0)

    @model_validator(mode="after")
    def _rests_within_bounds(self) -> Self:
        if not self.state_min < self.state_rest < self.state_max:
            raise ValueError(f"steps up and down balance at {self.state_rest:.3g}, outside the window")
        return self

    @model_validator(mode="after")
    def _corrupt_cells_conduct(self) -> Self:
        lowest_uS = self.g_origin_uS - (self.corrupt_range or 0.0) * self.span_uS
        if self.corrupt_share and lowest_uS < 0:
            raise ValueError(
                f"corrupt_range = {self.corrupt_range:g}: corrupt cells would stand as low as {lowest_uS:.3g} uS; "
                f"at most {self.g_origin_uS / self.span_uS:.4g} keeps them from negative conductance"
            )
        return self

    @property
    def span_uS(self) -> float:
        """Conductance of one unit of the normalised state."""
        return (self.g_max_uS - self.g_min_uS) / (self.state_max - self.state_min)

    @property
    def g_origin_uS(self) -> float:
        """Conductance of the normalised state zero."""
        return self.g_min_uS - self.state_min * self.span_uS

    @property
    def gain_up(self) -> float:
        """Mean step up, in units of `step`."""
        return 1 + min(self.asymmetry or 0.0, 0.0)

    @property
    def gain_down(self) -> float:
        """Mean step down, in units of `step`."""
        return 1 - max(self.asymmetry or 0.0, 0.0)

    @property
    def state_rest(self) -> float:
        """Normalised state at which the mean steps up and down are equal; the origin unless a law says else."""
        return 0.0

    @property
    def g_rest_uS(self) -> float:
        """The symmetry point: up and down steps are equal there."""
        return self.g_origin_uS + self.state_rest * self.span_uS

    @property
    def nominal_step_uS(self) -> float:
        """The mean step at the symmetry point."""
        return self.step * self.span_uS * self.rest_share

    @property
    def rest_share(self) -> float:
        """Share of `step` that a mean device takes there; the mean of both directions unless a law says else."""
        return (self.gain_up + self.gain_down) / 2


def linear_balance(up: float, down: float, slope_up: float, slope_down: float) -> float:
    """State at which the steps ``up (1 - slope_up s)`` and ``down (1 + slope_down s)`` are equal."""
    falling = up * slope_up + down * slope_down
    return (up - down) / falling if up != down else 0.0


class Curved(Stepped):
    """Base of stepped laws whose mean shares balance somewhere that only a search finds."""

    def shares(self, state: float) -> tuple[float, float]:
        """Mean steps up and down at a normalised state, in units of `step`."""
        raise TypeError(f"{type(self).__name__} must define shares")

    @property
    def state_rest(self) -> float:
        """Where both are equal; outside the window if they never are."""
        return balance(self)

    @property
    def rest_share(self) -> float:
        """Of either direction there."""
        return self.shares(self.state_rest)[0]


def balance(law: Curved) -> float:
    """State between the bounds at which both shares are equal; outside them where there is none."""
    from scipy.optimize import brentq

    def gap(state: float) -> float:
        up, down = law.shares(state)
        return float(up - down)

    if gap(law.state_min) * gap(law.state_max) >= 0:
        return math.inf
    return float(brentq(gap, law.state_min, law.state_max, xtol=1e-14))
