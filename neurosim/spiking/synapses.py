"""`DeviceSynapses`: one memristive device for each synapse between two groups of spiking neurons."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.checks import extents
from neurosim.core.errors import CapabilityError, CheckpointError, InputError
from neurosim.core.protocols import Device, Floats, State
from neurosim.core.seeds import key
from neurosim.kernels.cells import construct_cells, drift_cells, flat, pulse_counted

MOST_AT_ONCE = 1_000_000
"""Pulses that one call gives a synapse: each is followed by itself."""


class DeviceSynapses:
    """Devices between `shape[0]` inputs and `shape[1]` neurons, cell ``input * neurons + neuron``.

    Parameters
    ----------
    shape : (int, int)
        Inputs and neurons.
    device : Device
        The law of every synapse.
    seed : int
        Same seed and same pulses, same bits.
    name : str
        Tells the random numbers of several groups of synapses with one seed apart.

    Attributes
    ----------
    state : named tuple of (cells,) arrays
        The device state; its `conductance` may lie in another simulator's memory.
    set_pulses, reset_pulses : (inputs, neurons) int64 arrays
        Pulses given so far.
    energy_J : float
        Energy of those pulses; NaN where the card does not give their voltage and width.
    now_s : float
        Simulated time.

    Examples
    --------
    >>> import neurosim as ns
    >>> from neurosim.spiking.synapses import DeviceSynapses
    >>> synapses = DeviceSynapses((2, 1), ns.devices.load("ideal"))
    >>> synapses.pulse([[1], [0]])
    >>> synapses.set_pulses.ravel()
    array([1, 0])
    """

    def __init__(self, shape: tuple[int, int], device: Device, *, seed: int = 0, name: str = "synapses"):
        self.shape = extents(shape)
        self.device = device
        cells = self.shape[0] * self.shape[1]
        self.state, self._params = device.allocate(cells), device.params()
        construct_cells(
            0, cells, self.state, self._params, key(seed, name, "construct"), device.kernels.construct
        )
        self._key = key(seed, name, "pulse")
        self._events = 0
        self.set_pulses = np.zeros(self.shape, np.int64)
        self.reset_pulses = np.zeros(self.shape, np.int64)
        self.energy_J = math.nan if device.pulse_unknown else 0.0
        self.now_s = 0.0

    def pulse(self, counts: ArrayLike) -> None:
        """Give every synapse its pulses, now.

        Parameters
        ----------
        counts : (inputs, neurons) array_like of int
            SET pulses (positive) or RESET pulses (negative) of each synapse.

        Raises
        ------
        InputError
            If the shape is wrong or a count is not an integer.
        """
        counts = np.asarray(counts)
        if counts.shape != self.shape or counts.dtype.kind not in "iu":
            raise InputError(f"counts: expected {self.shape} integers, got {counts.shape} {counts.dtype}")
        if np.abs(counts.astype(np.float64)).max(initial=0) > MOST_AT_ONCE:
            raise InputError(f"counts: at most {MOST_AT_ONCE} pulses of a synapse at once")
        self._events += 1
        self.energy_J += pulse_counted(
            np.ascontiguousarray(counts, np.int32).reshape(-1), self.state, self._params, self.now_s,
            self._events, self._key, self.device.kernels.pulse,
        )  # fmt: skip
        self.set_pulses += np.maximum(counts, 0)
        self.reset_pulses += np.maximum(-counts, 0)

    def move_conductance(self, memory: Floats) -> None:
        """Keep the conductances in `memory`, (cells,) of their type, from now on; it takes their values.

        Raises
        ------
        InputError
            If it has another shape or type.
        CapabilityError
            If the device has effects around its law, which hold the conductances too.
        """
        if self.device.kernels.stored is not None or not self.device.reads_as_stored:
            raise CapabilityError(
                f"{self.device.name}: shared memory does not reach into the effects around a law yet; switch off "
                "faults, wear, telegraph and 1/f noise, relaxation and temperature"
            )
        own = self.state.conductance
        if memory.shape != own.shape or memory.dtype != own.dtype:
            raise InputError(f"memory: expected {own.shape} {own.dtype}, got {memory.shape} {memory.dtype}")
        memory[:] = own
        self.state = self.state._replace(conductance=memory)

    def snapshot(self) -> State:
        """Return everything needed to go on later with the same bits, as named arrays."""
        return {
            **{f"state.{name}": values.copy() for name, values in flat(self.state).items()},
            "set_pulses": self.set_pulses.copy(),
            "reset_pulses": self.reset_pulses.copy(),
            "events": np.array([self._events], np.int64),
            "totals": np.array([self.energy_J, self.now_s]),
        }

    def restore(self, snapshot: State) -> None:
        """Go back to a snapshot, conductances where they lie; raises `CheckpointError` if it does not fit."""
        own = {f"state.{name}": values for name, values in flat(self.state).items()}
        own |= {"set_pulses": self.set_pulses, "reset_pulses": self.reset_pulses}
        for name in [*own, "events", "totals"]:
            if name not in snapshot or (name in own and snapshot[name].shape != own[name].shape):
                raise CheckpointError(f"checkpoint does not fit these devices: {name}")
        for name, values in own.items():
            values[...] = snapshot[name]
        self._events = int(snapshot["events"][0])
        self.energy_J, self.now_s = map(float, snapshot["totals"])

    def conductance_uS(self) -> NDArray[np.float32]:
        """Return the conductances (inputs, neurons) at their age, no younger than the reading delay."""
        out = np.empty(self.state.conductance.size, np.float32)
        drift_cells(out, self.state, self._params, self.now_s, self.device.reading(self.now_s))
        return out.reshape(self.shape)
