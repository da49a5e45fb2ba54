"""A spiking layer in brian2: its clock, spikes, neurons, synapses and traces, and our rule and array where devices learn.

The same spec as `SpikingLayer.present` follows, as equations that brian2 integrates (`brian_equations`). What is asked of
Python each step are network operations: who of several over their thresholds wins, and the rule with the array's update.
Runtime mode only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.errors import CapabilityError, InputError
from neurosim.kernels.spikes import HARD, IZHIKEVICH, SOFT, Lines, Seen, Trains
from neurosim.spiking.brian_bridge import brian2, operation_with_state, without_compiler
from neurosim.spiking.brian_equations import Equations, Group, Synapses, equations_of, noisy
from neurosim.spiking.layer import Shown, SpikingLayer
from neurosim.spiking.lesson import Lesson


class Built(NamedTuple):
    """A layer in brian2, ready to run; all but `learning` are brian2's objects."""

    network: Any
    inputs: Any
    neurons: Any
    synapses: Any
    """From inputs to neurons; `w` are the weights."""
    others: Any
    """Inhibitory neurons of a circuit, or None."""
    learning: Lesson | None
    """What the rule asked for; None: nothing learns, or equations do."""


def farthest(over: np.ndarray) -> np.ndarray:
    """Return flags of the one highest above zero, the first of equals; of nobody where none is."""
    wins = np.zeros(over.size, bool)
    best = int(np.argmax(over))
    wins[best] = over[best] > 0
    return wins


def steps_of(trains: Trains) -> NDArray[np.int64]:
    """Return the time step of each spike."""
    return np.repeat(np.arange(len(trains.first) - 1), np.diff(trains.first))


def present(
    layer: SpikingLayer,
    trains: Trains,
    learn: bool = True,
    *,
    plastic: bool = True,
    equations: bool = False,
    winners: ArrayLike | None = None,
    pause_s: float = 0.0,
    compiled: bool = False,
) -> Shown:
    """Do what `layer.present` does, recorded, in brian2.

    Parameters
    ----------
    layer : SpikingLayer
        Left as after a presentation of its own; equations count no updates.
    trains : Trains
        Spikes of the inputs.
    learn, plastic, pause_s
        As of `SpikingLayer.present`.
    equations : bool
        The rule, too, as equations of brian2, in ideal arithmetic; False: our rule and `update` from a network operation.
    winners : (n, 2) array_like of int, optional
        Step and neuron of each winner that soft inhibition drew, in rising order of steps.
    compiled : bool
        By the code generation that brian2's preferences say; False: by numpy, without a compiler.

    Raises
    ------
    CapabilityError
        If brian2 is missing or cannot say what the layer does.
    """
    b2 = brian2()
    with nullcontext() if compiled else without_compiler():
        built = build(layer, trains, learn, plastic=plastic, equations=equations, winners=winners)
        clock = built.neurons.clock
        spikes = [
            b2.SpikeMonitor(group)
            for group in (built.inputs, built.neurons, built.others)
            if group is not None
        ]
        potential = b2.StateMonitor(built.neurons, "v", record=True, when="end", clock=clock)
        built.network.add(*spikes, potential)
        steps = len(trains.first) - 1
        built.network.run(steps * layer.dt_s * b2.second)
    if equations and plastic and learn:
        layer.array.program(_matrix(built.synapses, "w", layer.array.shape))
    raster = np.concatenate(
        [
            np.stack([np.rint(found.t / clock.dt), np.full(found.num_spikes, kind), found.i[:]], axis=1)
            for kind, found in enumerate(spikes)
        ]
    ).astype(np.int32)
    order = np.lexsort((raster[:, 1], raster[:, 2], raster[:, 1] > 0, raster[:, 0]))
    counts = np.asarray(spikes[1].count[:], np.int64)
    if learn:
        learning = built.learning or Lesson(layer, trains)
        layer._end(learning, built.neurons.raised_[:] * _in_mV(layer), counts, pause_s)
    return Shown(counts, raster[order], potential.v_.T * _in_mV(layer))


def build(
    layer: SpikingLayer,
    trains: Trains,
    learn: bool = True,
    *,
    plastic: bool = True,
    equations: bool = False,
    winners: ArrayLike | None = None,
) -> Built:
    """Return a layer, at rest and with spikes of its inputs, as a network of brian2; parameters as of `present`."""
    b2 = brian2()
    c, (rows, cols) = layer.constants, layer.array.shape
    if c.inhibition == SOFT and winners is None:
        raise CapabilityError(
            "soft inhibition draws its winners, and brian2 would draw others: give winners, as recorded by the layer"
        )
    text = equations_of(layer, learn, plastic and learn and equations)
    numbers = {name: _with_unit(*value) for name, value in text.numbers.items()}
    clock = b2.Clock(layer.dt_s * b2.second)
    inputs = b2.SpikeGeneratorGroup(rows, trains.line, steps_of(trains) * layer.dt_s * b2.second, clock=clock)
    neurons = _group(text.neurons, cols, numbers, clock)
    resting = layer.resting()
    for name, values in (("v", resting.v), ("raised", resting.raised), ("bias", resting.bias)):
        setattr(neurons, name + "_", values / _in_mV(layer))
    if c.form == IZHIKEVICH:
        neurons.u = resting.recovery
    objects, others = _between(text, neurons, numbers, clock)
    if c.inhibition == HARD:

        def decide() -> None:
            over = (neurons.v_[:] - neurons.raised_[:]) * _in_mV(layer) - c.threshold
            neurons.wins = farthest(np.where(neurons.not_refractory[:], over, -1.0))

        objects.append(b2.NetworkOperation(decide, when="before_thresholds", clock=clock))
    elif c.inhibition == SOFT:
        objects.append(_given(np.asarray(winners), neurons, clock))
    learning = Lesson(layer, trains) if plastic and learn and not equations else None
    synapses, more = _connect(layer, inputs, neurons, text.synapses, numbers, learning)
    if others is not None:
        objects.append(others)
    network = b2.Network(inputs, neurons, synapses, *objects, *more)
    return Built(network, inputs, neurons, synapses, others, learning)


def connect(
    layer: SpikingLayer,
    source: Any,
    target: Any,
    on_pre: str,
    namespace: dict[str, Any] | None = None,
) -> tuple[Any, list[Any]]:
    """Connect two groups of brian2, all to all, by the array of a layer, which learns by the layer's rule.

    Neurons, and what they do to each other, are the user's; array, rule, mode and gathering of updates the layer's. Spikes
    are entered into the array's ledger; its clock stands still: call `array.advance` between runs, which begin by reading it.

    Parameters
    ----------
    layer : SpikingLayer
        Of as many rows as `source` has neurons, as many columns as `target`, and the time step of both.
    source, target : brian2 groups
        On one clock; the target has a potential `v`.
    on_pre : str
        What a spike does, in brian2's words: ``arriving`` is what it gives, in weights, read noise included, as in
        ``"v_post += arriving * mV"``.
    namespace : dict, optional
        Of the names in it.

    Returns
    -------
    synapses : brian2.Synapses
        Its variable `w` holds the weights.
    others : list
        Traces and operations, to be put into the network beside it; brian2's `store` and `restore` cover array and layer.

    Raises
    ------
    InputError
        If groups and layer do not fit.
    CapabilityError
        If brian2 is missing.
    """
    brian2()
    if (len(source), len(target)) != layer.array.shape or source.clock is not target.clock:
        raise InputError(
            f"groups of {len(source)} and {len(target)} neurons: an array of {layer.array.shape} joins them on one clock"
        )
    if not np.isclose(float(source.clock.dt), layer.dt_s):
        raise InputError(f"groups step by {source.clock.dt}, the layer by dt_s = {layer.dt_s:g}")
    if "v" not in target.variables:
        raise InputError("the target has no potential v, by which rules ask what a neuron answers")
    text = Synapses(f"arriving = w\n{on_pre}", "w : 1")
    return _connect(layer, source, target, text, namespace or {}, Lesson(layer, None))


def _connect(
    layer: SpikingLayer,
    source: Any,
    target: Any,
    text: Synapses,
    numbers: dict[str, Any],
    learning: Lesson | None,
) -> tuple[Any, list[Any]]:
    """Return synapses that are read as the array is, and what makes them learn."""
    b2 = brian2()
    lines = layer.array.spike_lines()
    has_noise = lines.variance.size > 0
    text = noisy(text) if has_noise else text
    synapses = b2.Synapses(
        source, target, text.model, on_pre=text.on_pre, on_post=text.on_post or None, namespace=numbers,
        clock=source.clock,
    )  # fmt: skip
    synapses.connect()
    place = np.asarray(synapses.i[:]), np.asarray(synapses.j[:])

    def read(lines: Lines) -> None:
        synapses.w = (lines.current / lines.scale)[place]
        if has_noise:
            synapses.noise = (np.sqrt(lines.variance) / lines.scale)[place]

    read(lines)
    if learning is None:
        return synapses, []
    return synapses, _plasticity(layer, source, target, learning, read)


def _plasticity(
    layer: SpikingLayer, source: Any, target: Any, learning: Lesson, read: Callable[[Lines], None]
) -> list[Any]:
    """Return traces that brian2 integrates, and the operations that ask the rule and update the array."""
    b2, clock, rule = brian2(), source.clock, layer.rule
    (rows, cols), mV = layer.array.shape, 1.0 if b2.is_dimensionless(target.v[:]) else 1e3
    traces, into = _traces(source, rule.row_trace_s)
    post_traces, post_into = _traces(target, rule.col_trace_s)
    post_into.pre.when = "resets"  # this step's spikes are not in them yet when the rule is asked
    seen = Seen(np.zeros(rows), np.zeros(cols), np.zeros(cols, bool), np.zeros(rows, bool), np.zeros(cols))

    def remember() -> None:
        seen.u[:] = target.v_[:] * mV - layer.constants.rest

    def learn(t: Any) -> None:
        step = round(float(t / clock.dt)) + 1
        arrived = np.asarray(source.spikes)
        if learning.trains is None and arrived.size:
            layer.array.count_spikes(np.bincount(arrived, minlength=rows), 1)
        asked = len(target.spikes) or (rule.at_inputs and arrived.size) or step == learning.steps
        if not asked and layer.clock_every is None:
            return
        seen.spiked[:], seen.arrived[:] = False, False
        seen.spiked[target.spikes] = True
        seen.arrived[arrived] = True
        seen.trace[:], seen.post_trace[:] = traces.spike_trace[:], post_traces.spike_trace[:]
        if learning.take(seen, step):
            read(layer.array.spike_lines())

    def state() -> dict[str, Any]:
        return {
            "layer": layer.snapshot(), "changes": list(learning.changes), "begun": learning.begun, "given": learning.given,
        }  # fmt: skip

    def back(saved: dict[str, Any]) -> None:
        layer.restore(saved["layer"])
        learning.changes = list(saved["changes"])
        learning.begun, learning.given = saved["begun"], saved["given"]

    return [
        traces, into, post_traces, post_into,
        b2.NetworkOperation(remember, when="after_thresholds", clock=clock),
        operation_with_state(
            learn, state, back, lambda: read(layer.array.spike_lines()), when="after_synapses", clock=clock
        ),
    ]  # fmt: skip


def _traces(group: Any, tau_s: float) -> tuple[Any, Any]:
    """Return a trace for each neuron of a group, and the synapses that raise it."""
    b2 = brian2()
    traces = b2.NeuronGroup(
        len(group), "dspike_trace/dt = -spike_trace / tau : 1", method="exact", namespace={"tau": tau_s * b2.second},
        clock=group.clock,
    )  # fmt: skip
    into = b2.Synapses(group, traces, on_pre="spike_trace_post += 1", clock=group.clock)
    into.connect(j="i")
    return traces, into


def _between(text: Equations, neurons: Any, numbers: dict[str, Any], clock: Any) -> tuple[list[Any], Any]:
    """Return the synapses by which neurons inhibit each other, and the inhibitory neurons of a circuit."""
    others, objects = None, []
    if text.others is not None and text.excite is not None:
        others = _group(text.others, len(neurons), numbers, clock)
        others.v = numbers["other_rest"]
        objects.append(_joined(neurons, others, text.excite, numbers))
    if text.inhibit is not None:
        objects.append(_joined(others or neurons, neurons, text.inhibit, numbers))
        objects[-1].pre.order = 1  # after what inputs give
    return objects, others


def _joined(source: Any, target: Any, text: Synapses, numbers: dict[str, Any]) -> Any:
    synapses = brian2().Synapses(source, target, on_pre=text.on_pre, namespace=numbers, clock=source.clock)
    synapses.connect(condition=text.condition)
    return synapses


def _group(text: Group, size: int, numbers: dict[str, Any], clock: Any) -> Any:
    """Return a group of neurons as the text says."""
    group = brian2().NeuronGroup(
        size, text.model, threshold=text.threshold, reset=text.reset, refractory=text.refractory or False,
        method=text.method, namespace=numbers, clock=clock,
    )  # fmt: skip
    if text.at_start:
        group.run_regularly(text.at_start, when="start")
    return group


def _given(winners: NDArray[Any], neurons: Any, clock: Any) -> Any:
    """Return the operation that lets given winners spike."""
    if winners.ndim != 2 or winners.shape[1] != 2:
        raise InputError(f"winners: expected (n, 2) of step and neuron, got shape {winners.shape}")

    def decide(t: Any) -> None:
        step = round(float(t / clock.dt))
        wins = np.zeros(len(neurons), bool)
        wins[winners[winners[:, 0] == step, 1]] = True
        neurons.wins = wins

    return brian2().NetworkOperation(decide, when="before_thresholds", clock=clock)


def _matrix(synapses: Any, name: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return a synaptic variable as (rows, cols)."""
    found = np.empty(shape)
    found[np.asarray(synapses.i[:]), np.asarray(synapses.j[:])] = getattr(synapses, name)[:]
    return found


def _with_unit(value: float, unit: str) -> Any:
    return value if unit == "1" else value * getattr(brian2(), unit)


def _in_mV(layer: SpikingLayer) -> float:
    """What a potential of brian2 is to be multiplied by."""
    return 1.0 if layer.constants.form == IZHIKEVICH else 1e3
