"""What comes of one presentation beside spikes: when the rule is asked, when the array changes, when time passes for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import InputError
from neurosim.core.protocols import LocalUpdate
from neurosim.kernels.spikes import Seen, Trains

if TYPE_CHECKING:
    from neurosim.spiking.layer import SpikingLayer

Gate = float | Callable[[NDArray[np.bool_]], float]
# a third factor, or what makes it of who spiked


class Lesson:
    """What comes of one presentation beside spikes: what the rule asks for, given to the array when due, and the devices' clock.

    Parameters
    ----------
    layer : SpikingLayer
    trains : Trains, optional
        Of the presentation, for the ledger; None: it has no end, and somebody else counts.
    gate : float or callable
        As `SpikingLayer.present` takes it.
    """

    def __init__(self, layer: SpikingLayer, trains: Trains | None, gate: Gate = 1.0):
        self.layer, self.trains, self.gate = layer, trains, gate
        self.steps = None if trains is None else len(trains.first) - 1
        self.changes: list[tuple[LocalUpdate, float]] = []
        self.begun = 0
        """Step from which spikes are not in the ledger yet, and time has not passed for the devices if it follows the steps;"""
        self.given = 0
        """that after which changes were given last."""

    def until(self, last: int) -> int:
        """Return the step at which it must be asked next, `last` at the latest."""
        clock = self.layer.clock_every
        return last if clock is None else min(last, self.begun + clock)

    def take(self, seen: Seen, step: int, plastic: bool = True) -> bool:
        """Ask the rule about the time step that has ended before `step`; return whether the array may have changed."""
        layer = self.layer
        if plastic and (seen.spiked.any() or (layer.rule.at_inputs and seen.arrived.any())):
            change = layer.rule(layer._seen(seen), layer.state)
            if change is not None:
                gate = float(self.gate(seen.spiked) if callable(self.gate) else self.gate)
                if not 0 <= gate <= 1:
                    raise InputError(f"gate = {gate:g}: must lie between 0 and 1")
                self.changes.append((change, gate))
        every = layer.update_every
        due = bool(self.changes) and (every is None or step - self.given >= every or step == self.steps)
        ticks = layer.clock_every is not None and step - self.begun >= layer.clock_every
        if not (due or ticks):
            return False
        self.pass_on(step)
        if due:
            layer._update(self.changes)
            self.changes, self.given = [], step
        return True

    def pass_on(self, step: int) -> None:
        """Enter the spikes before `step` into the ledger, and let the devices' clock go on if it follows the steps."""
        if self.trains is not None:
            self.layer._count(self.trains, self.begun, step)
        if self.layer.clock_every is not None:
            self.layer.array.advance((step - self.begun) * self.layer.dt_s)
        self.begun = step
