"""Devices that are programmed closed loop and then left: what chips report of their written states."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from neurosim.core.protocols import DeviceKernels, Floats, Polarity, Precision
from neurosim.devices import law
from neurosim.devices.law import Law
from neurosim.devices.parameters import Table, quantity
from neurosim.kernels.jit import inlined
from neurosim.kernels.random import normal, philox

_ONE, _ZERO = np.float32(1.0), np.float32(0.0)


class ProgrammedParams(NamedTuple):
    g_min_uS: np.floating[Any]
    g_max_uS: np.floating[Any]
    nominal_step_uS: np.floating[Any]
    error_scale: np.floating[Any]
    bias_uS: Floats
    error_uS: Floats
    error_saturating_uS: Floats
    error_at_s: Floats
    delay_s: np.floating[Any]
    program_energy_J: np.floating[Any]
    read_noise_relative: np.floating[Any]
    read_noise_floor_uS: np.floating[Any]
    read_noise_most_uS: np.floating[Any]
    read_noise_scale_uS: np.floating[Any]


class ProgrammedState(NamedTuple):
    conductance: Floats
    programmed_at_s: NDArray[np.float64]
    settling: Floats
    """The normal by which a state relaxes until it is written again; empty, as the next two, where states do not."""
    target_uS: Floats
    """What was asked for, to which errors refer at all times."""
    below_uS: Floats
    """How far below zero (negative) the error would have taken the conductance; 0 for nearly all."""


@inlined
def error(conductance_uS: Any, row: int, params: Any) -> Any:
    """Standard deviation in uS of written states of that conductance at the time `row` of the tables."""
    sigma = _ZERO
    if params.error_uS.size > 0:
        share = conductance_uS / params.g_max_uS
        for k in range(params.error_uS.shape[1] - 1, -1, -1):
            sigma = sigma * share + params.error_uS[row, k]
    if params.error_saturating_uS.size > 0:
        most, scale = params.error_saturating_uS[row, 0], params.error_saturating_uS[row, 1]
        sigma += most * (_ONE - np.exp(-conductance_uS / scale))
    return max(sigma * params.error_scale, _ZERO)


@inlined
def bias(conductance_uS: Any, params: Any) -> Any:
    """What written states of that conductance are off by in the mean, uS."""
    off, share = _ZERO, conductance_uS / params.g_max_uS
    for k in range(params.bias_uS.size - 1, -1, -1):
        off = off * share + params.bias_uS[k]
    return off * params.error_scale


@inlined
def program(cell: int, target_uS: Any, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    a, _, c, _ = philox(cell, event, 0, key)
    wanted = min(max(target_uS, params.g_min_uS), params.g_max_uS)
    reached = wanted + bias(wanted, params) + error(wanted, 0, params) * normal(a)
    state.conductance[cell] = max(reached, _ZERO)
    if state.settling.size > 0:
        state.programmed_at_s[cell] = now_s
        state.settling[cell] = normal(c)
        state.target_uS[cell] = wanted
        state.below_uS[cell] = min(reached, _ZERO)
    return params.program_energy_J


@inlined
def construct(cell: int, state: Any, params: Any, key: Any) -> None:
    program(cell, params.g_min_uS, state, params, 0.0, 0, key)


@inlined
def reset(cell: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    return program(cell, params.g_min_uS, state, params, now_s, event, key)


@inlined
def drifted(cell: int, state: Any, params: Any, now_s: float) -> Any:
    g = state.conductance[cell]
    if state.settling.size > 0:
        age, at = max(np.float32(now_s - state.programmed_at_s[cell]), params.delay_s), params.error_at_s
        if age > at[0]:
            row = 1
            while row < at.size - 1 and age > at[row]:
                row += 1
            passed = min(np.log(age / at[row - 1]) / np.log(at[row] / at[row - 1]), _ONE)
            known = state.target_uS[cell]
            first, before = error(known, 0, params), error(known, row - 1, params)
            now = before + passed * (error(known, row, params) - before)
            spread = np.sqrt(max(now * now - first * first, _ZERO)) * state.settling[cell]
            g = max(g + state.below_uS[cell] + spread, _ZERO)
    return g


@inlined
def pulse(cell: int, count: int, state: Any, params: Any, now_s: float, event: int, key: Any) -> Any:
    target = drifted(cell, state, params, now_s) + np.float32(count) * params.nominal_step_uS
    return program(cell, target, state, params, now_s, event, key)


@inlined
def read_sigma(conductance_uS: Any, params: Any) -> Any:
    sigma = law.read_sigma(conductance_uS, params)
    if params.read_noise_most_uS > _ZERO:
        sigma += params.read_noise_most_uS * (_ONE - np.exp(-conductance_uS / params.read_noise_scale_uS))
    return sigma


class Programmed(Law):
    """States written by program-and-verify: their error just after, and how it grows while they relax.

    With g = G / G_max, written states have the standard deviation
    ``(c0 + c1 g + c2 g^2 + ... + A (1 - exp(-G / B))) G_max / G_ref`` around their target G at each of the times
    `error_at_s`, in between along ln t: what is added to the first is one more normal a write. The mean is the target
    unless there is a systematic error, ``(b0 + b1 g + ...) G_max / G_ref``, made at the write. An update programs the
    device anew, closed loop, at the energy of a programming: to the conductance that time has made of it until now (no
    younger than the reading delay; known without the noise of a read) and the pulses' steps from there, within the
    window.
    """

    law: ClassVar[str] = "programmed"
    polarity: ClassVar[Polarity] = "set_only"
    closed_loop: ClassVar[bool] = True
    own_kernels: ClassVar[DeviceKernels] = DeviceKernels(
        construct, program, pulse, reset, drifted, read_sigma
    )
    params_type: ClassVar[Any] = ProgrammedParams
    state_type: ClassVar[Any] = ProgrammedState
    state_dtypes: ClassVar[tuple[type, ...]] = (np.float32, np.float64, np.float32)

    error_uS: tuple[Table, ...] | None = quantity("uS", None, noise=True)
    """For each time, the coefficients c0, c1, ... of the polynomial."""
    error_saturating_uS: tuple[Table, ...] | None = quantity("uS", None, noise=True)
    """For each time, A and B."""
    error_at_s: Table = quantity("s", (1.0,))
    """Times after programming for which these hold, growing; states stay as they are after the last."""
    bias_uS: Table | None = quantity("uS", None)
    """Coefficients b0, b1, ... of a systematic error, positive where states lie above their targets."""
    error_reference_uS: float = quantity("uS", gt=0)
    """G_max for which the errors were fitted."""
    steps: float = quantity("1", 100.0, ge=1)
    """Nominal steps that a controller sees in the window."""
    program_pulses: float = quantity("1", 20.0, ge=0)
    """Mean number of pulses of one program-and-verify."""
    write_voltage_V: float | None = quantity("V", None, gt=0)
    """Of a pulse; None, as of its current and width: the card does not give it, and pulses have no joules."""
    write_current_A: float | None = quantity("A", None, gt=0)
    write_time_s: float | None = quantity("s", None, gt=0)
    read_noise_most_uS: float | None = quantity("uS", None, noise=True, ge=0)
    """A of a further part A (1 - exp(-G / B)) of read noise ..."""
    read_noise_scale_uS: float = quantity("uS", 1.0, gt=0)
    """... and its B."""

    @model_validator(mode="after")
    def _tables_fit(self) -> Self:
        times = self.error_at_s
        if not times or times[0] <= 0 or any(b <= a for a, b in pairwise(times)):
            raise ValueError("error_at_s: growing times above zero, at least one")
        for name in ("error_uS", "error_saturating_uS"):
            rows = getattr(self, name)
            if rows is not None and (len(rows) != len(times) or len({len(row) for row in rows}) != 1):
                raise ValueError(
                    f"{name}: one row for each of the {len(times)} times error_at_s, equally long"
                )
        if self.error_saturating_uS and any(len(row) != 2 or row[1] <= 0 for row in self.error_saturating_uS):
            raise ValueError("error_saturating_uS: each row holds A and B, B above zero")
        return self

    @property
    def when_off(self) -> dict[str, Any]:
        """Empty tables."""
        return {**super().when_off, "error_uS": ((),), "error_saturating_uS": ((),), "bias_uS": ()}

    @property
    def error_scale(self) -> float:
        """Errors are scaled with the window."""
        return self.g_max_uS / self.error_reference_uS

    @property
    def bounds_uS(self) -> tuple[float, float]:
        """Seven standard deviations beyond the window: programming errors are not cut."""
        shares = np.linspace(0, 1, 101)
        errors = np.zeros(101)
        if self.error_uS:
            errors += np.polynomial.polynomial.polyval(shares, self.error_uS[0])
        if self.error_saturating_uS:
            most, scale = self.error_saturating_uS[0]
            errors += most * (1 - np.exp(-shares * self.g_max_uS / scale))
        bias = np.polynomial.polynomial.polyval(shares, self.bias_uS or (0.0,))
        beyond = max(float(bias.max()), 0.0) + 7 * float(np.abs(errors).max())
        return 0.0, float(self.g_max_uS + beyond * self.error_scale)

    @property
    def nominal_step_uS(self) -> float:
        """The window divided by `steps`."""
        return (self.g_max_uS - self.g_min_uS) / self.steps

    @property
    def steps_down(self) -> bool:
        """A device written anew goes either way."""
        return True

    @property
    def pulse_voltage_V(self) -> float | None:
        """The write voltage."""
        return self.write_voltage_V

    @property
    def pulse_time_s(self) -> float | None:
        """Duration of one pulse of a program-and-verify."""
        return self.write_time_s

    @property
    def own_drift(self) -> bool:
        """Whether states relax."""
        return len(self.error_at_s) > 1 and bool(self.error_uS or self.error_saturating_uS)

    @property
    def law_delay_s(self) -> float:
        """The first time at which errors are stated; before it states are as then."""
        return self.error_at_s[0]

    @property
    def pulse_unknown(self) -> tuple[str, ...]:
        """Voltage, current and width."""
        return self.absent("write_voltage_V", "write_current_A", "write_time_s")

    @property
    def program_energy_J(self) -> float | None:
        """Energy of one program-and-verify, pulses times I V t; None: not known."""
        if self.write_current_A is None or self.write_voltage_V is None or self.write_time_s is None:
            return None
        return self.program_pulses * self.write_current_A * self.write_voltage_V * self.write_time_s

    def own_state(self, cells: int, precision: Precision = "float32") -> Any:
        """Return zeroed state; what relaxation needs only where states relax."""
        relaxing = cells if self.own_drift else 0
        return ProgrammedState(
            np.zeros(cells, precision), np.zeros(relaxing, np.float64),
            *(np.zeros(relaxing, precision) for _ in range(3)),
        )  # fmt: skip
