"""What a controller knows of a device before it has seen one: the mean curve of its card."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.core.errors import CapabilityError
from neurosim.core.protocols import Device
from neurosim.core.seeds import key
from neurosim.kernels.programming import Curve, follow

_POINTS = 4096
"""Points of a window crossed in nominal steps; a finer device is followed several pulses at a time."""
_LEAST_SHARE = 0.01
"""The curve ends where a pulse moves a device by less than this share of the nominal step."""


def pulse_by_pulse(device: Device, what: str, instead: str) -> None:
    """Refuse what needs single pulses on a device whose pulse is itself a program-and-verify.

    Raises
    ------
    CapabilityError
        Naming `what` was asked for and what to use `instead`.
    """
    if device.closed_loop:
        raise CapabilityError(
            f"{what} needs single pulses; a pulse of {device.name} (law '{device.law}') is itself a "
            f"program-and-verify: use {instead}"
        )


def nominal_curve(device: Any) -> Curve:
    """Return the mean conductance, as read, after RESET and so many pulses, from the card and nothing else.

    The law is followed on one device with every random effect off, in double precision. Between points of
    devices with very small steps the curve is a line.

    Parameters
    ----------
    device : Law

    Returns
    -------
    curve : Curve
        From RESET to the end of the window, or to where pulses no longer move the device.

    Raises
    ------
    CapabilityError
        If the device cannot be had without its random effects, or several share a cell.
    """
    if not hasattr(device, "without_noise"):
        raise CapabilityError(
            f"{device.name} has no nominal curve: derive its class from neurosim.devices.Law"
        )
    if device.devices_per_cell > 1:
        raise CapabilityError(
            f"{device.name}: pulses counted by the nominal curve go to one device, and devices_per_cell = "
            f"{device.devices_per_cell:g} share a cell; use programming.mode 'closed' and refresh.rewrite 'verify'"
        )
    law = device.without_noise()
    stride = max(1, round((law.g_max_uS - law.g_min_uS) / law.nominal_step_uS / _POINTS))
    params = law.params("float64")
    points = np.empty(4 * _POINTS)
    kernels = law.own_kernels
    filled = follow(
        points, stride, _LEAST_SHARE * stride * law.nominal_step_uS, law.own_state(1, "float64"),
        getattr(params, "law", params), key(0, "nominal"), kernels.construct, kernels.reset,
        kernels.pulse,
    )  # fmt: skip
    filled = min(filled, int(np.searchsorted(points[:filled], law.g_max_uS)) + 1)
    as_read = np.array([device.mean_read_uS(g) for g in points[:filled]])
    return Curve(as_read, stride * np.arange(filled, dtype=np.float64))
