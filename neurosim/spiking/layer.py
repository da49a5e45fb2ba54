"""`SpikingLayer`: spiking neurons on the columns of an array, a rule that its spikes pulse the array by, and the clock of both."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.checks import vector
from neurosim.core.errors import CapabilityError, CheckpointError, InputError
from neurosim.core.protocols import LocalUpdate, State, UpdateMode
from neurosim.core.seeds import key
from neurosim.kernels.jit import share
from neurosim.kernels.spikes import (
    AT_ONCE,
    SOFT,
    Constants,
    Membranes,
    Seen,
    Trains,
    poisson_trains,
    run_steps,
)
from neurosim.rules.spikes import SpikeRule, Spikes
from neurosim.spiking.lesson import Gate, Lesson
from neurosim.spiking.neurons import Inhibition, Neuron, constants

MOST_RECORDED = 1 << 22
"""Spikes that a record holds."""


class Shown(NamedTuple):
    """What came of one presentation."""

    counts: NDArray[np.int64]
    """(cols,) spikes of each neuron."""
    raster: NDArray[np.int32] | None = None
    """(n, 3) of each spike its step, its kind (0 input, 1 neuron, 2 inhibitory neuron) and its number; None: not recorded."""
    potentials: NDArray[np.float64] | None = None
    """(steps, cols) at the end of each step, mV."""


class SpikingLayer:
    """Neurons on the columns of an array that spike, inhibit each other, and pulse its devices in place.

    Parameters
    ----------
    array : Crossbar or IdealArray
        Its `spike_lines` are what spikes read.
    rule : SpikeRule
        Asked after steps with spikes; never sees the array.
    neuron : LIF or Izhikevich
    inhibition : Hard, Soft, Circuit or None
        What those who spike do to the others.
    dt_s : float
        Length of a time step.
    highest_Hz : float
        Rate of an input of 1.
    seed, name : int, str
        Of input spikes (`seed` alone, so that arms with one seed see the same), winners and read noise.
    mode : {"accumulate", "mixed", "online"}
        Of the array's updates.
    update_every_s : float, optional
        Changes are gathered for so long and given together; None: each after the time step that caused it. What is
        gathered at the end of a presentation is given then.
    device_clock_s : float, optional
        The devices' clock goes on so often while a sample is shown, and before each update; None: at its end.
    norm_every : int
        Updates between measurements of the column norms, for rules that need them.
    """

    def __init__(
        self,
        array: Any,
        rule: SpikeRule,
        neuron: Neuron,
        inhibition: Inhibition | None = None,
        *,
        dt_s: float = 1e-3,
        highest_Hz: float = 63.75,
        seed: int = 0,
        name: str = "spikes",
        mode: UpdateMode = "accumulate",
        update_every_s: float | None = None,
        device_clock_s: float | None = None,
        norm_every: int = 100,
    ):
        if highest_Hz * dt_s > 1:
            raise InputError(
                f"highest_Hz = {highest_Hz:g} is more than one spike in each step of {dt_s:g} s: take shorter steps"
            )
        if getattr(array, "baseline", None):
            raise CapabilityError("write.baseline: spikes have no negative phases to average; leave it out")
        self.array, self.rule, self.neuron, self.inhibition = array, rule, neuron, inhibition
        self.dt_s, self.highest_Hz, self.mode, self.norm_every = dt_s, highest_Hz, mode, norm_every
        self.update_every = None if update_every_s is None else max(1, round(update_every_s / dt_s))
        self.clock_every = None if device_clock_s is None else max(1, round(device_clock_s / dt_s))
        rows, cols = array.shape
        self.constants: Constants = constants(neuron, inhibition, dt_s)
        if rule.learns_from_draws and self.constants.inhibition != SOFT:
            raise CapabilityError(
                f"rule '{rule.name}' learns from winners that a softmax draws: give inhibition 'soft'"
            )
        self.keep = np.exp(-dt_s / rule.row_trace_s), np.exp(-dt_s / rule.col_trace_s)
        self.bias_mV = np.zeros(cols)
        self.raised_mV = np.zeros(cols)
        """What thresholds have adapted by, kept from presentation to presentation."""
        self.state: State = rule.state(rows, cols)
        self.keys = {"inputs": key(seed, "spikes of inputs")}
        self.keys |= {purpose: key(seed, name, purpose) for purpose in ("spike noise", "winners")}
        self.presented = self.steps = 0
        """Presentations and updates so far."""
        self.spikes = np.zeros(2, np.int64)
        """Of inputs and of neurons, while it learnt."""

    @property
    def lit(self) -> bool:
        """Whether light on the devices is the third factor."""
        return not self.array.ideal and getattr(self.array.device, "optical_gate", None) is not None

    @property
    def stated(self) -> SpikeRule:
        """The rule, as every layer has it."""
        return self.rule

    @property
    def full_trace(self) -> float:
        """Mean trace of an input at its highest rate."""
        return float(self.highest_Hz * self.dt_s / (1 - self.keep[0]))

    def trains(self, x: ArrayLike, seconds: float, number: int | None = None) -> Trains:
        """Return Poisson spikes of inputs x (rows,) from 0 to 1, of the presentation of that number (None: the next)."""
        rates = vector("x", x, self.array.shape[0])
        if rates.min(initial=0) < 0 or rates.max(initial=0) > 1:
            raise InputError(
                f"x: rates are shares of highest_Hz, from 0 to 1, got {rates.min():g} to {rates.max():g}"
            )
        steps = round(seconds / self.dt_s)
        chances = rates * np.float32(self.highest_Hz * self.dt_s)
        event = self.presented + 1 if number is None else number
        first = np.empty(steps + 1, np.int64)
        room = int(chances.sum(dtype=np.float64) * steps * 1.2) + 200
        while True:
            line = np.empty(room, np.int32)
            total = int(poisson_trains(chances, steps, event, self.keys["inputs"], first, line))
            if total <= room:
                return Trains(first, line[:total], len(rates))
            room = total

    def resting(self) -> Membranes:
        """Return neurons at rest, thresholds as they have adapted."""
        c, cols = self.constants, self.array.shape[1]
        b = c.b * c.rest
        return Membranes(
            np.full(cols, c.rest), np.full(cols, b), np.zeros(cols), self.bias_mV, self.raised_mV.copy(),
            np.zeros(cols, np.int32), np.full(cols, c.other_rest), np.zeros(cols, np.int32),
        )  # fmt: skip

    def present(
        self,
        trains: Trains,
        learn: bool = True,
        record: bool = False,
        pause_s: float = 0.0,
        number: int | None = None,
        gate: Gate = 1.0,
        plastic: bool = True,
    ) -> Shown:
        """Let spikes of inputs arrive at neurons at rest, and learn from what comes of it.

        Parameters
        ----------
        trains : Trains
            As from `trains` or `given_trains`.
        learn : bool
            Change the array, move thresholds and let the devices' clock go on; False: a look that leaves no trace.
        record : bool
            Keep spikes and potentials of each step.
        pause_s : float
            Silence afterwards, in which potentials go back to rest.
        number : int, optional
            Of the presentation, for the draws of a look; None: the next.
        gate : float or callable
            Third factor, from 0 to 1; a function is given who spiked, (cols,) of bool, and returns it. Devices with an
            optical gate are lit by it: it is the chance that a pulse takes effect. Elsewhere changes are multiplied by it.
        plastic : bool
            False: the array stays as it is, thresholds and clock go on.

        Raises
        ------
        InputError
            If the trains are of another number of inputs, the gate does not lie between 0 and 1, or there are too many spikes to
            record.
        """
        rows, cols = self.array.shape
        if trains.rows != rows:
            raise InputError(f"trains: of {trains.rows} inputs, but the array has {rows} word lines")
        steps = len(trains.first) - 1
        m, counts = self.resting(), np.zeros(cols, np.int64)
        seen = Seen(
            np.zeros(rows), np.zeros(cols), np.zeros(cols, bool), np.zeros(rows, bool), np.zeros(cols)
        )
        raster = np.zeros(
            (min(MOST_RECORDED, len(trains.line) + 2 * steps * cols) + 1 if record else 0, 3), np.int32
        )
        raster[:1] = 1, 0, 0
        potentials = np.zeros((steps if record else 0, cols))
        event = self.presented + 1 if number is None else number
        keys = self.keys["spike noise"], self.keys["winners"]
        step, plastic, learning = 0, plastic and learn, Lesson(self, trains, gate)
        lines = self.array.spike_lines()
        while step < steps:
            step = run_steps(
                step, learning.until(steps) if learn else steps, trains, lines, m, self.constants, seen, *self.keep, learn,
                plastic and self.rule.at_inputs, plastic, event, keys, counts, raster, potentials,
            )  # fmt: skip
            if learn and learning.take(seen, step, plastic):
                lines = self.array.spike_lines()
        if learn:
            self._end(learning, m.raised, counts, pause_s)
        if not record:
            return Shown(counts)
        if raster[0, 0] == len(raster):
            raise InputError(f"record: more than {MOST_RECORDED:,} spikes; record a shorter time")
        return Shown(counts, raster[1 : raster[0, 0]], potentials)

    def drawn(self, x: ArrayLike, draws: int = 1, learn: bool = True) -> NDArray[np.int64]:
        """Hold neurons at the potentials that steady input x (rows,) from 0 to 1 brings them to, draw winners, learn from each.

        What a spiking soft winner-take-all computes, without the noise of spikes. Returns how often each neuron won (cols,).
        No time passes; it counts as a presentation, and its reads enter the ledger, whether it learns or not.

        Raises
        ------
        CapabilityError
            If inhibition is not soft: nobody is drawn.
        """
        if self.constants.inhibition != SOFT:
            raise CapabilityError("winners are drawn where inhibition is soft; give Soft(...)")
        rates = vector("x", x, self.array.shape[0])
        rows, cols = self.array.shape
        found = np.zeros(cols, np.int64)
        still = self.constants._replace(chance=1.0, leak=1.0)
        nothing = Trains(np.zeros(draws + 1, np.int64), np.empty(0, np.int32), rows)
        seen = Seen(
            np.zeros(rows), np.zeros(cols), np.zeros(cols, bool), np.zeros(rows, bool), np.zeros(cols)
        )
        seen.trace[:] = rates * self.full_trace
        m = self.resting()
        none = np.zeros((0, 3), np.int32), np.zeros((0, cols))
        keys = self.keys["spike noise"], self.keys["winners"]
        step = 0
        while step < draws:
            u = self.array.forward(rates[None])[0].astype(np.float64)
            m.v[:] = self.constants.rest + self.constants.gain * self.full_trace * u
            step = run_steps(
                step, draws, nothing, self.array.spike_lines(), m, still, seen, 1.0, self.keep[1], False, False, learn,
                self.presented + 1, keys, found, *none,
            )  # fmt: skip
            change = self.rule(self._seen(seen), self.state) if learn else None
            if change is not None:
                self._update([(change, 1.0)])
        self.presented += 1
        return found

    def expected_wins(self, potentials: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how often the softmax lets each neuron win (cols,) in the mean, at recorded potentials (steps, cols).

        Raises
        ------
        CapabilityError
            If inhibition is not soft.
        """
        c = self.constants
        if c.inhibition != SOFT:
            raise CapabilityError("winners are drawn where inhibition is soft; give Soft(...)")
        v = potentials
        if c.form == AT_ONCE:  # what arrived at the end of a step leaks before the next winner is drawn
            v = c.rest + (np.vstack([np.full((1, v.shape[1]), c.rest), v[:-1]]) - c.rest) * c.leak
        z = c.sharpness * (v - self.raised_mV)
        z -= z.max(axis=1, keepdims=True)
        shares = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        found: NDArray[np.float64] = c.chance * shares.sum(axis=0)
        return found

    def _seen(self, seen: Seen) -> Spikes:
        quantum = 0.0 if self.array.ideal else self.array.weight_per_pulse
        answer = seen.u / (self.constants.gain * self.full_trace)
        return Spikes(
            seen.trace, seen.arrived, seen.post_trace, seen.spiked, answer, self.full_trace, quantum
        )

    def _update(self, changes: list[tuple[LocalUpdate, float]]) -> None:
        """Give changes, each with its third factor, in one update; one by one where light decides."""
        if not self.lit:
            self._give([_scaled(change, gate) for change, gate in changes if gate])
            return
        for change, gate in changes:
            if gate != self.array.device.optical_gate:
                self.array.expose(optical_gate=gate)
            self._give([change])

    def _give(self, changes: list[LocalUpdate]) -> None:
        if not changes:
            return
        if self.rule.needs_norms and self.steps % self.norm_every == 0:
            self.rule.observe_norms(self.array.column_norms(), self.state)
        real = self.array.precision
        pre, post = (np.concatenate([one[k] for one in changes]).astype(real) for k in range(2))
        decays = [change.decay for change in changes if change.decay is not None]
        self.array.update(pre, post, np.sum(decays, axis=0).astype(real) if decays else None, self.mode)
        self.steps += 1

    def _count(self, trains: Trains, first: int, last: int) -> None:
        """Enter the spikes of some steps into the ledger."""
        start, end = trains.first[first], trains.first[last]
        spikes = np.bincount(trains.line[start:end], minlength=self.array.shape[0])
        self.array.count_spikes(spikes, int(np.count_nonzero(np.diff(trains.first[first : last + 1]))))

    def _end(
        self, learning: Lesson, raised_mV: NDArray[np.float64], counts: NDArray[np.int64], pause_s: float
    ) -> None:
        """Stand as after a presentation."""
        assert learning.trains is not None
        steps = len(learning.trains.first) - 1
        learning.pass_on(steps)
        self.raised_mV[:] = raised_mV
        self._pass(0.0 if self.clock_every else steps * self.dt_s, pause_s)
        self.presented += 1
        self.spikes += len(learning.trains.line), int(counts.sum())

    def _pass(self, shown_s: float, pause_s: float) -> None:
        """Let the devices' clock go on, and thresholds move in the pause."""
        c = self.constants
        if pause_s:
            steps = round(pause_s / self.dt_s)
            self.raised_mV[:] = np.maximum(self.raised_mV * c.keep**steps - c.lower_by * steps, 0)
        self.array.advance(shown_s + pause_s)

    def counts(self, x: ArrayLike, seconds: float, first: int = 1 << 32) -> NDArray[np.int64]:
        """Look at samples x (n, rows) from 0 to 1 for so many seconds each: spikes (n, cols) of each neuron.

        Leaves no trace, in the ledger neither. Sample k has the draws of presentation ``first + k``.
        """
        x = np.asarray(x, np.float32)
        found = np.empty((len(x), self.array.shape[1]), np.int64)
        self.array.spike_lines()

        def look(some: slice) -> None:
            for k in range(some.start, min(some.stop, len(x))):
                shown = self.present(self.trains(x[k], seconds, first + k), learn=False, number=first + k)
                found[k] = shown.counts

        share(look, [slice(k, k + 64) for k in range(0, len(x), 64)])
        return found

    def snapshot(self) -> State:
        """Return everything needed to go on later with the same bits, as named arrays."""
        saved = {f"array.{name}": values for name, values in self.array.snapshot().items()}
        saved |= {f"rule.{name}": np.array(values) for name, values in self.state.items()}
        saved["raised_mV"], saved["spikes"] = self.raised_mV.copy(), self.spikes.copy()
        saved["steps"] = np.array([self.presented, self.steps], np.int64)
        return saved

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        rule = {name: f"rule.{name}" for name in self.state}
        wanted = {"raised_mV": self.raised_mV, "spikes": self.spikes}
        wanted |= {place: self.state[name] for name, place in rule.items()}
        for name, own in wanted.items():
            if name not in saved or saved[name].shape != own.shape:
                raise CheckpointError(f"checkpoint does not fit this layer: {name}")
        self.array.restore(
            {
                name.removeprefix("array."): values
                for name, values in saved.items()
                if name.startswith("array.")
            }
        )
        for name, own in wanted.items():
            own[...] = saved[name]
        self.presented, self.steps = map(int, saved["steps"])


def _scaled(change: LocalUpdate, gate: float) -> LocalUpdate:
    """The change times its third factor."""
    if gate == 1.0:
        return change
    return LocalUpdate(change.pre, change.post * gate, None if change.decay is None else change.decay * gate)


def given_trains(spikes: ArrayLike) -> Trains:
    """Return trains of given spikes (steps, rows) of bool."""
    given = np.asarray(spikes, bool)
    if given.ndim != 2:
        raise InputError(f"spikes: expected (steps, rows), got shape {given.shape}")
    step, line = np.nonzero(given)
    first = np.zeros(len(given) + 1, np.int64)
    np.cumsum(np.bincount(step, minlength=len(given)), out=first[1:])
    return Trains(first, line.astype(np.int32), given.shape[1])
