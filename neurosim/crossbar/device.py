"""The device of an array: found by its name, read as the read path says, and warned of where it knows no time."""

from __future__ import annotations

import warnings
from typing import Any

from neurosim.core import registry
from neurosim.core.cautions import ExtrapolationWarning, StillWarning
from neurosim.core.config import ReadPath
from neurosim.core.protocols import Device


def stands_still(device: Device) -> bool:
    """Return whether a card says nothing of time."""
    return not (device.drifts or device.kernels.age)


def warn_if_still(device: Device) -> None:
    """Warn that a card has no law of time, so that nobody takes its silence for stability."""
    if stands_still(device):
        warnings.warn(
            f"{device.name} has no retention data: its conductances stay as they are, however much time passes; "
            "give the card drift, relaxation or retention (neurosim devices show lists the parameters)",
            StillWarning,
            stacklevel=3,
        )


def device_of(device: Any) -> Device:
    """Return a device as `neurosim.devices.load` does; anything else that is a `Device` passes.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if isinstance(device, Device):
        return device
    loaded: Device = registry.find("loader", "device")(device)
    return loaded


def as_read(device: Device, read: ReadPath) -> Device:
    """Return the device with the read noise and the reading delay that a read path asks for."""
    changes: dict[str, float | None] = {}
    if read.read_noise != "card":
        changes["read_noise_share"] = float(read.read_noise or 0.0)
    if read.reading_delay_s is not None:
        changes["reading_delay_s"] = read.reading_delay_s
    changed = device.with_parameters(**changes) if changes else device
    if 0 < changed.own_delay_s != changed.delay_s:
        high_uS = changed.g_max_uS
        warnings.warn(
            f"{device.name} states its conductances {changed.own_delay_s:g} s after a write; read after "
            f"{changed.delay_s:g} s they are its laws of time carried there ({high_uS:.3g} uS become "
            f"{changed.mean_read_uS(high_uS):.3g} uS in the mean), which nobody measured",
            ExtrapolationWarning,
            stacklevel=3,
        )
    return changed
