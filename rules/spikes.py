"""Rules of spiking neurons: from spikes and traces on a synapse's own wires to (pre, post, decay).

A spike rule is asked after a time step in which a neuron spiked, or an input if it learns at those too. It sees the traces
of the rows and columns, who spiked, and the potentials; never a weight.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from neurosim.core.frozen import Frozen
from neurosim.core.protocols import Floats, LocalUpdate, State
from neurosim.rules.norms import follow
from neurosim.rules.rates import Falling, Rated


class Spikes(NamedTuple):
    """What is on the wires after a time step."""

    trace: NDArray[np.float64]
    """(rows,) one more at each spike of an input, this step's with it, and decaying with `row_trace_s`;"""
    arrived: NDArray[np.bool_]
    """(rows,) whose spikes came in this step;"""
    post_trace: NDArray[np.float64]
    """(cols,) the same of the neurons, decaying with `col_trace_s`, without this step's;"""
    spiked: NDArray[np.bool_]
    """(cols,) who spiked in it;"""
    answer: NDArray[np.float64]
    """(cols,) potentials above rest, without what arrived in this step, in units of ``w x`` with x the trace over `full_trace`;"""
    full_trace: float
    """mean trace of an input at its highest rate;"""
    pulse: float
    """nominal change of a weight by one pulse, 0 in ideal arithmetic."""


class SpikeRule(Frozen):
    """Base of the spike rules."""

    name: ClassVar[str]
    at_inputs: ClassVar[bool] = False
    """Whether it also learns at the spikes of inputs."""
    needs_norms: ClassVar[bool] = False
    learns_from_draws: ClassVar[bool] = False
    """Whether its neurons have to be winners that a softmax draws."""

    row_trace_s: float = Field(20e-3, gt=0)
    """Time constant of the inputs' traces,"""
    col_trace_s: float = Field(20e-3, gt=0)
    """and of the neurons'."""

    def state(self, rows: int, cols: int) -> State:
        """Return fresh state: named arrays whose last axis has `rows` or `cols` elements."""
        return {}

    def observe_norms(self, norms: Floats, state: State) -> None:
        """Take in column norms (cols,) that the array has measured."""

    def __call__(self, seen: Spikes, state: State) -> LocalUpdate | None:
        """Return the change after this time step; None: there is none."""
        raise NotImplementedError


class WindowStdp(Falling, SpikeRule):
    """Rectangular window (Querlioz et al. 2013): a spiking neuron's inputs that were active lately go up, all others down.

    Lately is a trace above `threshold`: for one spike within ``row_trace_s ln(1 / threshold)``. The change is
    `learning_rate` up and `down` times that down, or one nominal pulse each way with `one_pulse`; how a step depends on the weight is the
    device's. With `forgets`, ``dw = learning_rate (s - w)`` with s = 1 and -down, the same in ideal arithmetic: a
    weight comes to the mean of s at the neuron's spikes, and what it forgets goes through the array's decay.
    """

    name: ClassVar[str] = "window-stdp"

    learning_rate: float = Field(0.02, gt=0)
    threshold: float = Field(0.5, gt=0)
    down: float = Field(1.0, ge=0)
    one_pulse: bool = False
    forgets: bool = False

    def __call__(self, seen: Spikes, state: State) -> LocalUpdate | None:
        """Return the change at the spikes of neurons."""
        if not seen.spiked.any():
            return None
        pre = np.where(seen.trace > self.threshold, 1.0, -self.down)[None]
        rate = seen.pulse if self.one_pulse and seen.pulse else self.learning_rate * self._left(state)
        self._count(state)
        post = rate * seen.spiked
        return LocalUpdate(pre, post[None], post if self.forgets else None)


class PairStdp(Falling, SpikeRule):
    """Exponential pair STDP: at a neuron's spike its inputs go up by their traces, at an input's spike down by the neurons' traces.

    ``dw = learning_rate exp(-t / row_trace_s)`` for an input t before a neuron, ``-depression learning_rate
    exp(-t / col_trace_s)`` for one t after; spikes of the same step count as the input's before. All pairs count
    (Song et al. 2000). How a step depends on the weight is the device's.
    """

    name: ClassVar[str] = "pair-stdp"
    at_inputs: ClassVar[bool] = True

    learning_rate: float = Field(0.01, gt=0)
    depression: float = Field(1.05, ge=0)

    def __call__(self, seen: Spikes, state: State) -> LocalUpdate | None:
        """Return the change after any spike."""
        rate = self.learning_rate * self._left(state)
        pre, post = [], []
        if seen.spiked.any():
            pre.append(seen.trace)
            post.append(rate * seen.spiked)
        if seen.arrived.any() and seen.post_trace.any():
            pre.append(seen.arrived.astype(np.float64))
            post.append(-self.depression * rate * seen.post_trace)
        if not pre:
            return None
        self._count(state)
        return LocalUpdate(np.stack(pre), np.stack(post))


class SpikingSoftHebb(Rated, SpikeRule):
    """SoftHebb by spikes: a neuron that the softmax has drawn learns ``dw_ik = eta_k (x_i - u_k w_ik)``, all others nothing.

    x is the trace of the inputs as a share of that at their highest rate, u the neuron's answer. In the mean over draws from
    ``y = softmax`` this is SoftHebb's ``eta_k y_k (x_i - u_k w_ik)`` (Moraitis et al. 2021), whose winners the same softmax
    weighs. Needs neurons with soft inhibition and a membrane as slow as the traces, so that ``u = w x`` holds of both.
    """

    name: ClassVar[str] = "spiking-softhebb"
    needs_norms: ClassVar[bool] = True
    learns_from_draws: ClassVar[bool] = True

    learning_rate: float = Field(0.02, gt=0)
    rate_power: float = Field(0.2, ge=0)

    def __call__(self, seen: Spikes, state: State) -> LocalUpdate | None:
        """Return the change at the spikes of neurons."""
        if not seen.spiked.any():
            return None
        real = state["norm_squared"].dtype
        x = ((seen.trace - seen.arrived) / seen.full_trace).astype(real)[None]
        post = (self._rate(state) * seen.spiked).astype(real)[None]
        along = (post[0] * seen.answer).astype(real)
        self._count(state)
        follow(state["norm_squared"], x, post, along, along)
        return LocalUpdate(x, post, along)


SPIKE_RULES: dict[str, Any] = {rule.name: rule for rule in (WindowStdp, PairStdp, SpikingSoftHebb)}
