"""Spiking neurons on the columns of an array, time step by time step: spikes in, currents, potentials, spikes out.

One step has the order of brian2's schedule: neurons move on (and look for their thresholds), input spikes arrive, those who
spiked act on the others, then they are reset. The loop stops after a step that the plasticity must see: what is pulsed then
is read from the next step on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats
from neurosim.kernels.jit import inlined, jit
from neurosim.kernels.random import normal, philox, uniform

Reals = NDArray[np.float64]

FREE, HARD, SOFT, CIRCUIT = 0, 1, 2, 3
"""What those who spike do to the others."""
AT_ONCE, CURRENT, CONDUCTANCE, IZHIKEVICH = 0, 1, 2, 3
"""How input becomes potential."""


class Trains(NamedTuple):
    """Spikes of the inputs: in step k those of ``line[first[k]:first[k + 1]]``, in rising order."""

    first: NDArray[np.int64]
    """(steps + 1,)"""
    line: NDArray[np.int32]
    rows: int
    """Inputs that could spike."""


class Lines(NamedTuple):
    """What a spike on each word line gives each column."""

    current: Floats
    """(rows, cols) in the unit of `scale`."""
    variance: Floats
    """(rows, cols) of its noise, in that unit squared; (0, 0) where there is none."""
    scale: Reals
    """(cols,) of that unit in a weight of one."""


class Membranes(NamedTuple):
    """State of the neurons, (cols,) each."""

    v: Reals
    """Potential, mV."""
    recovery: Reals
    """Izhikevich's u."""
    drive: Reals
    """What arrived and has not decayed: mV, or in multiples of the leak where it is a conductance."""
    bias: Reals
    """A current that never ceases, as the potential at which it would hold a neuron above rest, mV (Izhikevich: its I)."""
    raised: Reals
    """What the threshold has adapted by, mV."""
    wait: NDArray[np.int32]
    """Steps that it is still refractory, or silenced."""
    other_v: Reals
    """Potential of the inhibitory neuron of a circuit, mV."""
    other_wait: NDArray[np.int32]


class Constants(NamedTuple):
    """Numbers of one kind of neurons, for one time step."""

    form: int
    leak: float
    """exp(-dt / membrane)"""
    fade: float
    """exp(-dt / synapse)"""
    arrive: float
    """Of a drive, what reaches the potential within a step."""
    dt_ms: float
    leak_rate: float
    """dt / membrane"""
    rest: float
    reset: float
    threshold: float
    reversal: float
    """Potential that positive drives pull to,"""
    low_reversal: float
    """and negative ones."""
    gain: float
    """What a spike through a weight of one adds to the drive or the potential."""
    refractory: int
    raise_by: float
    keep: float
    """exp(-dt / adaptation), or 1,"""
    lower_by: float
    """and what the threshold falls by in a step."""
    a: float
    b: float
    d: float
    """Izhikevich's."""
    inhibition: int
    silence: int
    """Steps for which those who lost are held."""
    chance: float
    """That a winner is drawn in a step,"""
    sharpness: float
    """by the softmax of so much times the potential in mV."""
    excite: float
    inhibit: float
    other_leak: float
    other_rest: float
    other_reset: float
    other_threshold: float
    other_refractory: int


class Seen(NamedTuple):
    """What plasticity sees: state of rows and columns of their own."""

    trace: Reals
    """(rows,) one more at each spike of an input, and decaying;"""
    post_trace: Reals
    """(cols,) the same of the neurons, without the spikes of this step."""
    spiked: NDArray[np.bool_]
    """(cols,) who spiked in the last step;"""
    arrived: NDArray[np.bool_]
    """(rows,) whose spikes came in it."""
    u: Reals
    """(cols,) potentials above rest, mV, as they were when it was decided who spikes."""


@jit
def poisson_trains(rates: Any, steps: int, event: int, key: Any, first: Any, line: Any) -> int:
    """Draw independent spikes: `rates` (rows,) is the chance of a spike in a step. Fill `first` (steps + 1,) and `line`.

    Returns the number of spikes; where `line` is too small for them, it is left as it is.
    """
    counts = np.zeros(steps + 1, np.int64)
    drawn_row, drawn_step = np.empty(line.size, np.int32), np.empty(line.size, np.int32)
    total = 0
    for row in range(rates.size):
        chance = np.float32(rates[row])
        if chance <= np.float32(0.0):
            continue
        for group in range((steps + 3) // 4):
            words = philox(row, event, group, key)
            for k in range(4):
                step = 4 * group + k
                if step < steps and uniform(words[k]) < chance:
                    if total < line.size:
                        drawn_row[total], drawn_step[total] = row, step
                    counts[step + 1] += 1
                    total += 1
    first[0] = 0
    for step in range(steps):
        first[step + 1] = first[step] + counts[step + 1]
    if total > line.size:
        return total
    place = first[:steps].copy()
    for k in range(total):
        step = drawn_step[k]
        line[place[step]] = drawn_row[k]
        place[step] += 1
    return total


@inlined
def _move(j: Any, m: Any, c: Any, adapts: Any) -> Any:
    """Let one neuron's potential move on by a step, and its threshold if it adapts; return whether it was held."""
    held = m.wait[j] > 0
    if c.form == IZHIKEVICH:
        v, u = m.v[j], m.recovery[j]
        half, driven = 0.5 * c.dt_ms, m.drive[j] + m.bias[j]
        if not held:
            v += half * (0.04 * v * v + 5.0 * v + 140.0 - u + driven)
            v += half * (0.04 * v * v + 5.0 * v + 140.0 - u + driven)
        m.recovery[j] = u + c.dt_ms * c.a * (c.b * v - u)
        m.v[j] = v
    elif not held:
        rest = c.rest + m.bias[j]
        if c.form == CONDUCTANCE:
            opened = abs(m.drive[j])
            total = 1.0 + opened
            end = (rest + opened * (c.reversal if m.drive[j] > 0.0 else c.low_reversal)) / total
            m.v[j] = end + (m.v[j] - end) * np.exp(-c.leak_rate * total)
        else:
            m.v[j] = rest + (m.v[j] - rest) * c.leak + m.drive[j] * c.arrive
    m.drive[j] *= c.fade
    if adapts:
        m.raised[j] = max(m.raised[j] * c.keep - c.lower_by, 0.0)
    if held:
        m.wait[j] -= 1
    return held


@inlined
def _drawn(m: Any, c: Any, word: Any) -> Any:
    """Number of the neuron that the softmax of the potentials draws."""
    highest = -np.inf
    for j in range(m.v.size):
        highest = max(highest, c.sharpness * (m.v[j] - m.raised[j]))
    total = 0.0
    for j in range(m.v.size):
        total += np.exp(c.sharpness * (m.v[j] - m.raised[j]) - highest)
    left = np.float64(word) * 2.3283064365386963e-10 * total
    for j in range(m.v.size):
        left -= np.exp(c.sharpness * (m.v[j] - m.raised[j]) - highest)
        if left < 0.0:
            return j
    return m.v.size - 1


@inlined
def _decide(m: Any, c: Any, spiked: Any, held: Any, event: Any, step: Any, key: Any) -> Any:
    """Fill in who spikes in this step; return how many."""
    cols, count = m.v.size, 0
    if c.inhibition == SOFT:
        words = philox(step, event, 0, key)
        for j in range(cols):
            spiked[j] = False
        if np.float64(words[0]) * 2.3283064365386963e-10 < c.chance:
            spiked[_drawn(m, c, words[1])] = True
            return 1
        return 0
    best, margin = -1, 0.0
    for j in range(cols):
        over = m.v[j] - (c.threshold + m.raised[j])
        spiked[j] = over > 0.0 and not held[j]
        if spiked[j]:
            count += 1
            if best < 0 or over > margin:
                best, margin = j, over
    if c.inhibition == HARD and count > 1:
        for j in range(cols):
            spiked[j] = j == best
        return 1
    return count


@inlined
def _inhibit(m: Any, c: Any, others: Any, closed: Any) -> Any:
    """Let the inhibitory neurons of a circuit move on; fill in who of them spikes (`others`) and who is refractory (`closed`)."""
    cols = m.v.size
    fired = 0
    for j in range(cols):
        others[j] = False
        closed[j] = m.other_wait[j] > 0
        if closed[j]:
            m.other_wait[j] -= 1
            continue
        m.other_v[j] = c.other_rest + (m.other_v[j] - c.other_rest) * c.other_leak
        if m.other_v[j] > c.other_threshold:
            others[j] = True
            fired += 1
    return fired


@jit
def run_steps(
    step: int,
    last: int,
    trains: Any,
    lines: Any,
    m: Any,
    c: Any,
    seen: Any,
    keep_pre: float,
    keep_post: float,
    adapts: bool,
    stop_pre: bool,
    stop_post: bool,
    event: int,
    keys: Any,
    counts: Any,
    raster: Any,
    potentials: Any,
) -> int:
    """Let time go on from `step` to `last`, or to the end of a step that plasticity must see; return where it stands.

    Parameters
    ----------
    seen : Seen
        Changed in place, as are `m` and `counts`.
    keep_pre, keep_post : float
        What traces keep in a step.
    adapts : bool
        Whether thresholds move.
    stop_pre, stop_post : bool
        Stop after steps with spikes of inputs, of neurons.
    keys : (read noise, winners) streams
    counts : (cols,) int64
        Spikes of each neuron so far.
    raster : (n, 3) int32
        (step, kind, neuron) from row ``raster[0, 0]`` on, which counts them; kind 0 is an input, 1 a neuron, 2 an inhibitory
        one. (0, 3): not asked.
    potentials : (steps, cols) float64
        At the end of each step; (0, cols): not asked.
    """
    cols = m.v.size
    held, others, closed = np.zeros(cols, np.bool_), np.zeros(cols, np.bool_), np.zeros(cols, np.bool_)
    currents, variances = np.zeros(cols), np.zeros(cols)
    noisy = lines.variance.size > 0
    while step < last:
        for j in range(cols):
            seen.post_trace[j] = (seen.post_trace[j] + np.float64(seen.spiked[j])) * keep_post
            held[j] = _move(j, m, c, adapts)
        fired = _inhibit(m, c, others, closed) if c.inhibition == CIRCUIT else 0
        count = _decide(m, c, seen.spiked, held, event, step, keys[1])
        for j in range(cols):
            seen.u[j] = m.v[j] - c.rest
        start, end = trains.first[step], trains.first[step + 1]
        for row in range(seen.trace.size):
            seen.trace[row] *= keep_pre
            seen.arrived[row] = False
        if end > start:
            for j in range(cols):
                currents[j] = 0.0
            for k in range(start, end):
                row = trains.line[k]
                seen.trace[row] += 1.0
                seen.arrived[row] = True
                for j in range(cols):
                    currents[j] += lines.current[row, j]
            if noisy:
                for j in range(cols):
                    variances[j] = 0.0
                for k in range(start, end):
                    row = trains.line[k]
                    for j in range(cols):
                        variances[j] += lines.variance[row, j]
                for j in range(cols):
                    currents[j] += np.sqrt(variances[j]) * np.float64(
                        normal(philox(j, event, step, keys[0])[0])
                    )
            for j in range(cols):
                arriving = c.gain * currents[j] / lines.scale[j]
                if c.form == AT_ONCE:
                    if not held[j]:
                        m.v[j] += arriving
                else:
                    m.drive[j] += arriving
        if fired:
            for j in range(cols):
                if others[j]:
                    m.other_v[j] = c.other_reset
                    m.other_wait[j] = c.other_refractory
                    for k in range(cols):
                        if k != j and not held[k]:
                            m.v[k] -= c.inhibit
        if count:
            for j in range(cols):
                if not seen.spiked[j]:
                    if c.inhibition == HARD:
                        m.v[j] = c.reset
                        m.wait[j] = max(m.wait[j], c.silence)
                    continue
                counts[j] += 1
                if c.inhibition == CIRCUIT and not (closed[j] or others[j]):
                    m.other_v[j] += c.excite
                if c.inhibition != SOFT:
                    m.v[j] = c.reset
                    m.wait[j] = c.refractory
                m.recovery[j] += c.d
                if adapts:
                    m.raised[j] += c.raise_by
        if potentials.size > 0:
            for j in range(cols):
                potentials[step, j] = m.v[j]
        if raster.size > 0:
            raster_step(raster, step, trains, start, end, seen.spiked, others, fired)
        step += 1
        if (stop_post and count > 0) or (stop_pre and end > start):
            return step
    return step


@inlined
def raster_step(
    raster: Any, step: Any, trains: Any, start: Any, end: Any, spiked: Any, others: Any, fired: Any
) -> Any:
    """Write down the spikes of one step."""
    place = raster[0, 0]
    for k in range(start, end):
        if place < raster.shape[0]:
            raster[place, 0], raster[place, 1], raster[place, 2] = step, 0, trains.line[k]
            place += 1
    for j in range(spiked.size):
        if spiked[j] and place < raster.shape[0]:
            raster[place, 0], raster[place, 1], raster[place, 2] = step, 1, j
            place += 1
        if fired and others[j] and place < raster.shape[0]:
            raster[place, 0], raster[place, 1], raster[place, 2] = step, 2, j
            place += 1
    raster[0, 0] = place
