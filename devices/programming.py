"""Program-and-verify of single devices, pulse by pulse, as a tester does it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.config import Programming, ReadPath
from neurosim.core.errors import CapabilityError, InputError
from neurosim.core.seeds import generator, key
from neurosim.devices.card import load
from neurosim.devices.law import Law
from neurosim.devices.response import as_read, fresh
from neurosim.kernels.cells import ALL
from neurosim.kernels.programming import Target, Written
from neurosim.kernels.programming import write_verify as write_verify_cells


class Verified(NamedTuple):
    """What program-and-verify made of many devices; every array is (targets, n_devices)."""

    conductance_uS: NDArray[np.float32]
    """At the end, without read noise."""
    pulses: NDArray[np.int32]
    """SET pulses, or pulses of either direction where both are gradual."""
    resets: NDArray[np.int32]
    converged: NDArray[np.bool_]
    """Whether the last read lay within the tolerance or, compared only, beyond the target."""
    energy_J: NDArray[np.float64]
    """Of pulses and verifying reads; NaN, as their times, where the card does not give the pulse."""
    time_s: NDArray[np.float64]
    """Of pulses and verifying reads, each device on its own."""


def write_verify(
    device: str | Path | Law,
    targets_uS: ArrayLike,
    tolerance: float = 0.02,
    pulse_budget: int = 100,
    n_devices: int = 1000,
    seed: int = 0,
    read: ReadPath | dict[str, Any] | None = None,
    verify: Literal["value", "compare"] = "value",
    comparator_offset_uS: float = 0.0,
    comparator_noise_uS: float = 0.0,
) -> Verified:
    """Write many fresh devices to each target: read, pulse, read again, until a read is near enough.

    Each verification is one read with the law's white noise. A bipolar device that lies too high gets a pulse
    back; a SET-only one is RESET and starts again.

    Parameters
    ----------
    device : str, path or device
        Card name, card file or device.
    targets_uS : (targets,) array_like
        Conductances asked for.
    tolerance : float
        Largest distance of a read from the target, as a share of the window G_max - G_min.
    pulse_budget : int
        Most pulses of one device, RESETs included.
    n_devices : int
        Devices per target.
    seed : int
        Same seed, same bits.
    read : ReadPath or dict, optional
        Voltage and duration of the verifying reads.
    verify : {"value", "compare"}
        What a read tells: its value, or only whether it lies below the target; a device then ends with the first gradual
        pulse that crosses the target, whatever the tolerance.
    comparator_offset_uS, comparator_noise_uS : float
        Of ``verify="compare"``, as in `neurosim.Programming`: standard deviations of the offset of each device's comparator,
        and of what one comparison adds to its read.

    Returns
    -------
    result : Verified
        Conductances, pulses, RESETs, convergence, energy and time of every device.

    Raises
    ------
    InputError
        If a target is negative or not finite, or `n_devices` is below 1.
    ConfigError
        If a number is out of range, `verify` unknown, or a comparator's error given to a loop without one.
    CapabilityError
        If a pulse of the law is itself a program-and-verify.

    Examples
    --------
    >>> import neurosim as ns
    >>> found = ns.devices.write_verify("pcm-nandakumar-2018", [2.0, 8.0], tolerance=0.05, n_devices=500)
    >>> found.conductance_uS.shape, bool(found.converged.all())
    ((2, 500), True)
    """
    law = load(device)
    if law.closed_loop:
        raise CapabilityError(
            f"write_verify needs single pulses; a pulse of {law.name} (law '{law.law}') is itself a "
            "program-and-verify: use neurosim.devices.programmed"
        )
    given = {"tolerance": tolerance, "pulse_budget": pulse_budget, "verify": verify}
    compares = {"comparator_offset_uS": comparator_offset_uS, "comparator_noise_uS": comparator_noise_uS}
    loop = Programming.parse({"mode": "closed", **given, **compares}, "write_verify")
    path = ReadPath.of(read, "read") or ReadPath()
    targets = np.atleast_1d(np.asarray(targets_uS, np.float32))
    if targets.ndim != 1 or not (np.isfinite(targets).all() and (targets >= 0).all()):
        raise InputError("targets_uS: expected a list of finite numbers, zero or larger")
    state, params, _ = fresh(law, targets.size * n_devices, seed)
    wanted = np.repeat(targets, n_devices)
    if loop.comparator_offset_uS:
        drawn = generator(seed, "response", "comparators").standard_normal(wanted.size)
        wanted = (wanted - loop.comparator_offset_uS * drawn).astype(np.float32)
    written = Written.empty(targets.size * n_devices)
    kernels = law.kernels
    low_uS, high_uS = law.cell_window_uS
    target = Target(
        np.float32(loop.tolerance * (high_uS - low_uS)),
        loop.pulse_budget,
        law.steps_down,
        np.float32(1),
        loop.verify == "compare",
        np.float32(loop.comparator_noise_uS),
    )
    write_verify_cells(
        0, 1, wanted, target, state, params, 0.0, 0,
        (key(seed, "response", "pulse"), key(seed, "response", "verify")), written,
        kernels.reset, kernels.pulse, law.reading(), kernels.read_sigma, ALL,
    )  # fmt: skip
    pulses = written.pulses + written.resets
    width_s = math.nan if law.pulse_time_s is None else law.pulse_time_s
    time_s = pulses * width_s + (pulses + 1) * path.integration_time_s
    spent_J = np.full_like(written.energy_J, math.nan) if law.pulse_unknown else written.energy_J
    looks_J = path.read_voltage_V**2 * path.integration_time_s * 1e-6 * written.seen_uS
    shape = targets.size, n_devices
    return Verified(
        as_read(law, state, params).reshape(shape),
        written.pulses.reshape(shape),
        written.resets.reshape(shape),
        written.converged.reshape(shape),
        (spent_J + looks_J).reshape(shape),
        time_s.reshape(shape),
    )
