"""Learning from given spike trains, time step by time step."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.errors import InputError
from neurosim.spiking.synapses import DeviceSynapses


class TraceRule(NamedTuple):
    """When a neuron spikes, inputs with a high trace get a SET pulse, all others a RESET pulse.

    An input's trace grows by one at each of its spikes, one in the same time step included, and decays
    exponentially; with a threshold below one this is the rectangular window of Querlioz et al. (2013), but
    for inputs that spike several times within it.
    """

    tau_s: float = 20e-3
    threshold: float = 0.5


def spike_trains(
    synapses: DeviceSynapses, pre: ArrayLike, post: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return both trains as booleans; raises `InputError` if their shapes do not fit the synapses."""
    pre, post = np.asarray(pre, bool), np.asarray(post, bool)
    inputs, neurons = synapses.shape
    if pre.ndim != 2 or pre.shape[1] != inputs or post.shape != (len(pre), neurons):
        raise InputError(
            f"spike trains of shapes {pre.shape} and {post.shape}: "
            f"expected (steps, {inputs}) and (steps, {neurons})"
        )
    return pre, post


def learn(
    synapses: DeviceSynapses,
    pre: ArrayLike,
    post: ArrayLike,
    rule: TraceRule | None = None,
    dt_s: float = 0.5e-3,
) -> None:
    """Pulse the synapses in place as the rule asks; traces start at zero.

    Parameters
    ----------
    synapses : DeviceSynapses
        Its clock moves on by the length of the trains.
    pre, post : (steps, inputs) and (steps, neurons) array_like of bool
        Who spikes in which time step.
    rule : TraceRule, optional
        Which pulses a spike gives.
    dt_s : float
        Length of a time step.

    Raises
    ------
    InputError
        If a shape does not fit.
    """
    rule = rule or TraceRule()
    pre, post = spike_trains(synapses, pre, post)
    kept = math.exp(-dt_s / rule.tau_s)
    trace = np.zeros(synapses.shape[0])
    start_s = synapses.now_s
    for step in range(len(pre)):
        trace = kept * trace + pre[step]
        if post[step].any():
            synapses.now_s = start_s + step * dt_s
            synapses.pulse(np.outer(np.where(trace > rule.threshold, 1, -1), post[step]))
    synapses.now_s = start_s + len(pre) * dt_s
