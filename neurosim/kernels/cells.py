"""Loops over single cells: construct, program, pulse, reset and drift, for any device law."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.kernels.jit import inlined, jit

ALL: NDArray[np.bool_] = np.empty(0, np.bool_)
"""Whether each cell is reached, where all are: an array as the others, so that kernels are compiled once for both."""


@inlined
def stored(cell: int, state: Any, params: Any, now_s: float) -> Any:
    """Read the conductance as the law's state means it, before any drift."""
    return state.conductance[cell]


def flat(state: Any) -> dict[str, Any]:
    """Return the arrays of a state by name; a state may hold that of its law, or of several devices, inside."""
    arrays: dict[str, Any] = {}
    for name, values in state._asdict().items():
        if not isinstance(values, tuple):
            arrays[name] = values
        elif name == "devices":
            arrays |= {f"each {inner}": array for inner, array in flat(values).items()}
        else:
            arrays |= flat(values)
    return arrays


@jit
def age_cells(first: int, last: int, state: Any, seconds: float, event: int, key: Any, age: Any) -> None:
    """Let time pass for the cells [first, last)."""
    for cell in range(first, last):
        age(cell, state, seconds, event, key)


@jit
def construct_cells(first: int, last: int, state: Any, params: Any, key: Any, construct: Any) -> None:
    """Draw the device-to-device parameters of cells [first, last)."""
    for cell in range(first, last):
        construct(cell, state, params, key)


@jit
def program_cells(
    first: int,
    targets_uS: Any,
    state: Any,
    params: Any,
    now_s: float,
    event: int,
    key: Any,
    program: Any,
    stride: int,
    reached: Any,
) -> Any:
    """Program every `stride`-th cell from `first` on, if `reached`, to its target; returns the energy in joule."""
    energy = 0.0
    for k in range(targets_uS.size):
        if reached.size > 0 and not reached[first + stride * k]:
            continue
        energy += program(first + stride * k, targets_uS[k], state, params, now_s, event, key)
    return energy


@jit
def pulse_cells(count: int, state: Any, params: Any, now_s: float, event: int, key: Any, pulse: Any) -> Any:
    """Give every cell the same pulses; returns the energy in joule."""
    energy = 0.0
    for cell in range(state.conductance.size):
        energy += pulse(cell, count, state, params, now_s, event, key)
    return energy


@jit
def pulse_counted(
    counts: Any, state: Any, params: Any, now_s: float, event: int, key: Any, pulse: Any
) -> Any:
    """Give each cell its own pulses, SET (+), RESET (-) or none; returns the energy in joule."""
    energy = 0.0
    for cell in range(counts.size):
        if counts[cell] != 0:
            energy += pulse(cell, counts[cell], state, params, now_s, event, key)
    return energy


@jit
def drift_cells(out: Any, state: Any, params: Any, now_s: float, drifted: Any) -> None:
    """Fill `out` with the conductance of every cell at the time now_s, in uS."""
    for cell in range(out.size):
        out[cell] = drifted(cell, state, params, now_s)
