"""Which pulses learning may give: directions, limits, and what devices and modes refuse."""

from __future__ import annotations

import math

from neurosim.core.cautions import Once, PulsesCutWarning
from neurosim.core.config import WritePath
from neurosim.core.errors import CapabilityError, InputError
from neurosim.core.protocols import Device, UpdateMode
from neurosim.kernels.counts import (
    AGAINST_REFERENCE,
    ONE_SIDED,
    PUSH_PULL,
    RESET_AGAINST_REFERENCE,
    RESET_ONLY,
    Drive,
)

ENOUGH_WINDOWS = 4
"""No update pulses a device further than so many windows in nominal steps: it has been at its bound for long."""
LEAST_ENOUGH = 100
"""Pulses that any update may give."""
MOST_COUNTED = 1 << 30
"""Pulses that counters hold."""


def drive(device: Device, write: WritePath) -> Drive:
    """Return which devices of a pair a change pulses (see `kernels.counts`)."""
    if write.pulses != "card":
        _refuse_one_direction(device, write)
        return RESET_ONLY if write.pulses == "reset" else ONE_SIDED
    if write.mapping != "pair":
        return AGAINST_REFERENCE if device.steps_down else RESET_AGAINST_REFERENCE
    return PUSH_PULL if device.polarity == "bipolar" else ONE_SIDED


def enough_pulses(device: Device, write: WritePath) -> int:
    """Return the pulses of one update beyond which a device is at its bound, whatever its spread."""
    low_uS, high_uS = device.cell_window_uS
    across = ENOUGH_WINDOWS * (high_uS - low_uS) / device.read_step_uS
    return min(max(math.ceil(across), LEAST_ENOUGH, write.flush_pulses), MOST_COUNTED)


def warn_of_cut(once: Once, pulses: float, most: int, write: WritePath) -> None:
    """Warn of pulses that were asked for and not given, unless their limit was asked for too."""
    if write.pulse_limit is None or write.pulse_limit != most:
        once.say(
            PulsesCutWarning,
            f"an update asked for {pulses:.3g} pulses beyond the {most} that take any device across its window "
            "several times: they were cut (ledger.pulses_cut); the learning rate is too high, or the window too "
            "narrow for the weights",
            stacklevel=6,
        )


def refuse_in_mode(mode: UpdateMode, write: WritePath) -> None:
    """Raise `CapabilityError` where a mode does not do what a setting asks for."""
    for field in ("half_select", "momentum", "baseline"):
        if mode == "online" and getattr(write, field):
            raise CapabilityError(
                f"write.{field} follows the sweeps of 'accumulate' and 'mixed': not in mode 'online'"
            )
    if mode != "mixed" and write.prompt:
        raise CapabilityError(
            f"write.prompt is how an accumulator gives its changes: not in mode '{mode}', but in 'mixed'"
        )
    if mode == "accumulate" and write.pulse_limit and write.pulse_limit % write.flush_pulses:
        raise CapabilityError(
            f"write.pulse_limit = {write.pulse_limit}: mode 'accumulate' gives multiples of flush_pulses = "
            f"{write.flush_pulses}; choose a limit that is one, or flush_pulses = 1"
        )
    if mode == "online" and write.flush_pulses > 1:
        raise CapabilityError(
            f"write.flush_pulses = {write.flush_pulses}: mode 'online' gives single pulses by coincidence; use 'mixed' or "
            "'accumulate', or set it to 1"
        )
    if mode == "online" and (write.pulse_limit or write.pulse_train_slots) < write.pulse_train_slots:
        raise CapabilityError(
            f"write.pulse_limit = {write.pulse_limit}: in mode 'online' a sample gives a device up to write.pulse_train_slots = "
            f"{write.pulse_train_slots} pulses; lower that number to {write.pulse_limit}, or leave the limit out"
        )
    if mode != "mixed" and write.verify_reads:
        raise CapabilityError(
            f"write.verify_reads verifies accumulators: not in mode '{mode}', but in 'mixed'"
        )


def _refuse_one_direction(device: Device, write: WritePath) -> None:
    """Raise `CapabilityError` where pulses of one direction cannot carry changes up and down."""
    if write.mapping != "pair":
        raise CapabilityError(
            f"write.pulses = '{write.pulses}' moves a weight either way by one of two learning devices; mapping "
            f"'{write.mapping}' has one: use mapping 'pair'"
        )
    if write.pulses == "reset" and not device.steps_down:
        raise CapabilityError(
            f"write.pulses = 'reset' needs RESET pulses that lower a conductance step by step; {device.name} (law "
            f"'{device.law}') is RESET at once: use 'set'"
        )
    if write.pulses == "set" and write.decay_mode == "device":
        raise CapabilityError(
            "decay_mode 'device' gives RESET pulses, write.pulses = 'set' none: use 'readback'"
        )


def _every_device_has_its_turn(device: Device, field: str, every: int) -> None:
    several = int(getattr(device, "devices_per_cell", 1))
    if math.gcd(several, every) > 1:
        raise InputError(
            f"write.{field} = {every}: with {several} devices a cell some would never be pulsed, because both "
            "counters follow the number of the update; choose numbers without common divisor"
        )


def refuse_device(device: Device, write: WritePath, reference: bool, plain: bool) -> None:
    """Raise `CapabilityError`, of counters `InputError`, where a device cannot do what a setting asks for.

    `reference` says whether only one device of a pair learns, `plain` whether nothing stands between devices and reads.
    """
    if write.decay_mode == "device" and device.depression_share is None:
        raise CapabilityError(
            f"decay_mode 'device' needs depression pulses that shrink a cell in proportion; {device.name} "
            f"(law '{device.law}') has none: use 'readback'"
        )
    if write.decay_mode == "device" and reference:
        raise CapabilityError(
            "decay_mode 'device' shrinks a device towards its lower end, not a weight towards its "
            "reference: use 'readback', or mapping 'pair'"
        )
    if write.decay_mode == "device" and write.half_select:
        raise CapabilityError(
            "write.half_select does not follow the pulses of decay_mode 'device': use 'readback'"
        )
    if write.verify_reads and not plain:
        raise CapabilityError(
            "write.verify_reads reads pairs one by one, without wires or faults between: set it to 0"
        )
    for field in ("potentiate_every", "depress_every"):
        _every_device_has_its_turn(device, field, getattr(write, field))
