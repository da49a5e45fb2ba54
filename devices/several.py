"""Several devices in one cell, their conductances summed (Boybat et al., Nat. Commun. 9, 2514, 2018).

An update pulses one of them, which a selection counter that all cells share points to; it follows the number
of the event, so that it needs no state (`neurosim.crossbar.writer` numbers events so that all have their turn). Programming gives each device its part of the target.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from neurosim.core.protocols import DeviceKernels, Floats
from neurosim.kernels.cells import stored as stored_one
from neurosim.kernels.jit import inlined_as

_ZERO = np.float32(0.0)


class SeveralParams(NamedTuple):
    device: Any
    """Parameters of each device."""
    devices_per_cell: np.floating[Any]
    selection_step: np.floating[Any]


class SeveralState(NamedTuple):
    conductance: Floats
    """Sum over the devices of a cell as their states mean it."""
    devices: Any
    """State of all devices; those of a cell lie together."""


@cache
def several(device: DeviceKernels, name: str) -> DeviceKernels:
    """Return the kernels of a cell of several devices; `name` tells compiled versions apart."""
    one_construct, one_program, one_pulse, one_reset, one_drifted, one_sigma = device[:6]
    one_stored: Any = device.stored or stored_one
    one_age: Any = device.age

    def total(cell: Any, state: Any, params: Any) -> None:
        count = int(params.devices_per_cell)
        summed = _ZERO * state.conductance[cell]
        for k in range(count * cell, count * (cell + 1)):
            summed += state.devices.conductance[k]
        state.conductance[cell] = summed

    total = named(total, name)

    def construct(cell: Any, state: Any, params: Any, key: Any) -> None:
        count = int(params.devices_per_cell)
        for k in range(count * cell, count * (cell + 1)):
            one_construct(k, state.devices, params.device, key)
        total(cell, state, params)

    def program(cell: Any, target_uS: Any, state: Any, params: Any, now_s: Any, event: Any, key: Any) -> Any:
        count = int(params.devices_per_cell)
        energy = 0.0
        for k in range(count * cell, count * (cell + 1)):
            part = target_uS / params.devices_per_cell
            energy += one_program(k, part, state.devices, params.device, now_s, event, key)
        total(cell, state, params)
        return energy

    def pulse(cell: Any, count: Any, state: Any, params: Any, now_s: Any, event: Any, key: Any) -> Any:
        devices = int(params.devices_per_cell)
        k = devices * cell + (event * int(params.selection_step)) % devices
        energy = one_pulse(k, count, state.devices, params.device, now_s, event, key)
        total(cell, state, params)
        return energy

    def reset(cell: Any, state: Any, params: Any, now_s: Any, event: Any, key: Any) -> Any:
        count = int(params.devices_per_cell)
        energy = 0.0
        for k in range(count * cell, count * (cell + 1)):
            energy += one_reset(k, state.devices, params.device, now_s, event, key)
        total(cell, state, params)
        return energy

    def summed_over(one: Any, what: str) -> Any:
        def summed(cell: Any, state: Any, params: Any, now_s: Any) -> Any:
            count = int(params.devices_per_cell)
            sum_uS = _ZERO * state.conductance[cell]
            for k in range(count * cell, count * (cell + 1)):
                sum_uS += one(k, state.devices, params.device, now_s)
            return sum_uS

        return inlined_as(summed, f"several.{name}.{what}")

    def read_sigma(conductance_uS: Any, params: Any) -> Any:
        share = conductance_uS / params.devices_per_cell
        return np.sqrt(params.devices_per_cell) * one_sigma(share, params.device)

    def age(cell: Any, state: Any, seconds: Any, event: Any, key: Any) -> None:
        count = state.devices.conductance.size // state.conductance.size
        for k in range(count * cell, count * (cell + 1)):
            one_age(k, state.devices, seconds, event, key)

    return DeviceKernels(
        construct=named(construct, name),
        program=named(program, name),
        pulse=named(pulse, name),
        reset=named(reset, name),
        drifted=summed_over(one_drifted, "drifted"),
        read_sigma=named(read_sigma, name),
        stored=summed_over(one_stored, "stored"),
        age=named(age, name) if one_age else None,
    )


def named(kernel: Any, name: str) -> Any:
    """Compile one function of such a cell."""
    return inlined_as(kernel, f"several.{name}.{kernel.__name__}")
