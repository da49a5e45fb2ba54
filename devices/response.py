"""What many devices of one kind do under a sequence of pulses, or after being programmed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.errors import InputError
from neurosim.core.seeds import key
from neurosim.devices.card import load
from neurosim.devices.law import Law
from neurosim.kernels.cells import ALL, age_cells, construct_cells, drift_cells, program_cells, pulse_cells


def pulse_response(
    device: str | Path | Law, pulses: Sequence[int], n_devices: int = 1000, seed: int = 0
) -> NDArray[np.float32]:
    """Apply the same pulses to many fresh devices and record their conductance, without read noise.

    Parameters
    ----------
    device : str, path or device
        Card name, card file or device.
    pulses : sequence of int
        +1 for one SET, -1 for one RESET pulse (abrupt on phase-change devices).
    n_devices : int
        Number of devices, each with its own draws.
    seed : int
        Same seed, same bits.

    Returns
    -------
    conductance : (len(pulses) + 1, n_devices) float32 array, uS
        At the reading delay after each pulse; row 0 is the fresh device.

    Raises
    ------
    InputError
        If a pulse is not +1 or -1 or `n_devices` is below 1.
    """
    law = load(device)
    steps = np.asarray(pulses)
    if steps.ndim != 1 or not np.isin(steps, (-1, 1)).all():
        raise InputError("pulses: expected a sequence of +1 and -1")
    state, params, keys = fresh(law, n_devices, seed)
    traces = np.empty((len(steps) + 1, n_devices), np.float32)
    traces[0] = as_read(law, state, params)
    for event, step in enumerate(steps, start=1):
        pulse_cells(int(step), state, params, 0.0, event, keys["pulse"], law.kernels.pulse)
        traces[event] = as_read(law, state, params)
    return traces


def programmed(
    device: str | Path | Law,
    targets_uS: ArrayLike,
    times_s: ArrayLike,
    n_devices: int = 1000,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Program many devices to each target and follow their conductance over time, without read noise.

    Parameters
    ----------
    device : str, path or device
        Card name, card file or device.
    targets_uS : (targets,) array_like
        Conductances asked for.
    times_s : (times,) array_like
        Times since programming, growing; drift, relaxation and 1/f noise see none shorter than the reading delay.
    n_devices : int
        Devices per target.
    seed : int
        Same seed, same bits.

    Returns
    -------
    conductance : (times, targets, n_devices) float32 array, uS

    Raises
    ------
    InputError
        If a target or a time is negative or not finite, or times do not grow.
    """
    law = load(device)
    targets = np.atleast_1d(np.asarray(targets_uS, np.float32))
    times = np.atleast_1d(np.asarray(times_s, np.float64))
    if not all(np.isfinite(values).all() and (values >= 0).all() for values in (targets, times)):
        raise InputError("targets_uS and times_s: expected finite numbers, zero or larger")
    if (np.diff(times) < 0).any():
        raise InputError("times_s: expected growing times")
    state, params, keys = fresh(law, targets.size * n_devices, seed)
    wanted = np.repeat(targets, n_devices)
    program_cells(0, wanted, state, params, 0.0, 1, keys["program"], law.kernels.program, 1, ALL)
    result = np.empty((times.size, targets.size * n_devices), np.float32)
    now = 0.0
    for k, time in enumerate(times):
        if law.kernels.age is not None:
            age_cells(0, wanted.size, state, float(time) - now, k + 1, keys["age"], law.kernels.age)
        now = float(time)
        drift_cells(result[k], state, params, now, law.kernels.drifted)
    return result.reshape(times.size, targets.size, n_devices)


def as_read(law: Law, state: Any, params: Any) -> NDArray[np.float32]:
    """Return the conductances (cells,) of devices written at time zero and read after the reading delay, uS."""
    out = np.empty(state.conductance.size, np.float32)
    drift_cells(out, state, params, 0.0, law.reading())
    return out


def fresh(law: Law, cells: int, seed: int) -> tuple[Any, Any, dict[str, Any]]:
    """Return state, parameters and streams of so many devices that nothing has been done to."""
    if cells < 1:
        raise InputError(f"n_devices = {cells}: must be at least 1")
    keys = {purpose: key(seed, "response", purpose) for purpose in ("construct", "program", "pulse", "age")}
    state, params = law.allocate(cells), law.params()
    construct_cells(0, cells, state, params, keys["construct"], law.kernels.construct)
    return state, params, keys
