"""The device of an array: found by its name, read as the read path says, and warned of where it knows no time."""

from __future__ import annotations

from typing import Any

from neurosim.core import registry
from neurosim.core.cautions import ExtrapolationWarning, Once, StillWarning
from neurosim.core.config import ReadPath
from neurosim.core.protocols import Device


def stands_still(device: Device) -> bool:
    """Return whether a card says nothing of time."""
    return not (device.drifts or device.switches)


def warn_if_still(device: Device, once: Once) -> None:
    """Warn that a card has no law of time, so that nobody takes its silence for stability; called by `advance`."""
    if stands_still(device):
        once.say(
            StillWarning,
            f"{device.name} has no retention data: its conductances stay as they are, however much time passes; "
            "give the card drift, relaxation or retention (neurosim devices show lists the parameters)",
            stacklevel=3,
        )


def warn_if_carried(device: Device, once: Once) -> None:
    """Warn of what a reading delay that is not the card's own means; called by the constructor of an array."""
    if device.delay_s == device.own_delay_s:
        return
    words = []
    if device.own_delay_s > 0:
        high_uS = device.g_max_uS
        words.append(
            f"{device.name} states its conductances {device.own_delay_s:g} s after a write; read after "
            f"{device.delay_s:g} s they are its laws of time carried there ({high_uS:.3g} uS become "
            f"{device.mean_read_uS(high_uS):.3g} uS in the mean), which nobody measured"
        )
    if device.fades:
        words.append(
            f"a reading delay of {device.delay_s:g} s does not reach what fades on {device.name}: that part of a "
            "pulse's change is read whole until time passes (advance), and nominal steps hold it"
        )
    if words:
        once.say(ExtrapolationWarning, "; ".join(words), stacklevel=3)


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
    return device.with_parameters(**changes) if changes else device
