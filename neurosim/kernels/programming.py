"""Writing given conductances: open loop by a nominal curve, closed loop by pulse and read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats
from neurosim.kernels.jit import Scalar, inlined, jit
from neurosim.kernels.random import normal, philox


class Curve(NamedTuple):
    """What a controller knows of every device of a kind: its mean conductance after pulses from RESET."""

    conductance_uS: NDArray[np.float64]
    """Growing; of no element where nothing is counted by it."""
    pulses: NDArray[np.float64]


class Target(NamedTuple):
    """When closed loop is content and when it gives up."""

    tolerance_uS: Scalar
    pulse_budget: int
    gradual_down: bool
    """Whether a pulse down is one step back; otherwise it is a full RESET."""
    noise_share: Scalar
    """Noise of one verification as a share of that of one read."""
    compare: bool
    """Whether a read only tells if it lies below the target: a gradual pulse that crosses it is the last."""
    added_uS: Scalar
    """Standard deviation of the noise that a comparator adds to a read."""


class Written(NamedTuple):
    """What each of some devices was given, filled by the kernels."""

    pulses: NDArray[np.int32]
    """SET pulses, or pulses of either direction where both are gradual."""
    resets: NDArray[np.int32]
    converged: NDArray[np.bool_]
    energy_J: NDArray[np.float64]
    """Of pulses and RESETs."""
    seen_uS: NDArray[np.float64]
    """Summed conductance at each verification."""

    @classmethod
    def empty(cls, devices: int) -> Written:
        """Return room for so many devices."""
        counts, totals = np.empty((2, devices), np.int32), np.zeros((2, devices))
        return cls(counts[0], counts[1], np.empty(devices, np.bool_), totals[0], totals[1])


NO_CURVE = Curve(np.empty(0), np.empty(0))


@jit
def follow(
    out: Floats,
    stride: int,
    least_uS: Scalar,
    state: Any,
    params: Any,
    key: Any,
    construct: Any,
    reset: Any,
    pulse: Any,
) -> int:
    """Fill `out` with the conductance of a fresh device 0 after RESET and each `stride` pulses; how many were filled.

    Ends where `stride` pulses move it by less than `least_uS`.
    """
    construct(0, state, params, key)
    reset(0, state, params, 0.0, 1, key)
    out[0] = state.conductance[0]
    for k in range(1, out.size):
        pulse(0, stride, state, params, 0.0, k + 1, key)
        out[k] = state.conductance[0]
        if out[k] - out[k - 1] < least_uS:
            return k
    return out.size


@inlined
def pulses_to(target_uS: Any, curve: Any) -> Any:
    """Pulses from RESET to a conductance by the nominal curve, between its points by line, to the nearest."""
    below, above = 0, curve.conductance_uS.size - 1
    if target_uS <= curve.conductance_uS[0]:
        return np.int64(0)
    if target_uS >= curve.conductance_uS[above]:
        return np.int64(curve.pulses[above])
    while above - below > 1:
        middle = (below + above) // 2
        if curve.conductance_uS[middle] > target_uS:
            above = middle
        else:
            below = middle
    low, high = curve.conductance_uS[below], curve.conductance_uS[above]
    share = (np.float64(target_uS) - low) / (high - low)
    return np.int64(np.rint(curve.pulses[below] + share * (curve.pulses[above] - curve.pulses[below])))


@inlined
def nothing_given(written: Any, k: Any) -> None:
    """Note that a device took no pulse and did not get where it should."""
    written.pulses[k] = 0
    written.resets[k] = 0
    written.converged[k] = False
    written.energy_J[k] = 0.0


@jit
def write_open(
    first: int,
    stride: int,
    targets_uS: Floats,
    curve: Any,
    state: Any,
    params: Any,
    now_s: float,
    event: int,
    key: Any,
    written: Any,
    reset: Any,
    pulse: Any,
    reached: Any,
) -> None:
    """RESET every `stride`-th cell from `first` on, if `reached`, and give it the pulses of the nominal curve, unseen."""
    for k in range(targets_uS.size):
        cell = first + stride * k
        if reached.size > 0 and not reached[cell]:
            nothing_given(written, k)
            continue
        count = pulses_to(targets_uS[k], curve)
        written.energy_J[k] = reset(cell, state, params, now_s, event, key)
        if count > 0:
            written.energy_J[k] += pulse(cell, count, state, params, now_s, event + 1, key)
        written.pulses[k] = count
        written.resets[k] = 1
        written.converged[k] = True


@jit
def write_verify(
    first: int,
    stride: int,
    targets_uS: Floats,
    target: Any,
    state: Any,
    params: Any,
    now_s: float,
    event: int,
    keys: Any,
    written: Any,
    reset: Any,
    pulse: Any,
    read: Any,
    sigma: Any,
    reached: Any,
) -> None:
    """Read every `stride`-th cell from `first` on and pulse it until a read lies within the tolerance, or beyond the target.

    A device that lies too high takes a step back, or is RESET and starts again. A read after a pulse sees the
    device at the reading delay. Pulse n has event `event` + n, as the read after it; `keys` are the streams of pulses and reads.
    One that is not `reached` is given up after its first read.
    """
    for k in range(targets_uS.size):
        cell = first + stride * k
        if reached.size > 0 and not reached[cell]:
            nothing_given(written, k)
            continue
        wanted = targets_uS[k]
        pulses, resets, energy_J, seen_uS, way = 0, 0, 0.0, 0.0, 0
        conductance = read(cell, state, params, now_s)
        while True:
            number = event + pulses + resets
            drawn = philox(cell, number, 0, keys[1])
            noise = sigma(conductance, params) * normal(drawn[0])
            seen = conductance + target.noise_share * noise
            if target.added_uS > 0:
                seen += target.added_uS * normal(drawn[1])
            seen_uS += np.float64(conductance)
            if target.compare:
                within = way != 0 and (seen < wanted) == (way < 0)
            else:
                within = abs(seen - wanted) <= target.tolerance_uS
            if within or pulses + resets == target.pulse_budget:
                break
            if seen < wanted:
                energy_J += pulse(cell, 1, state, params, now_s, number + 1, keys[0])
                pulses, way = pulses + 1, 1
            elif target.gradual_down:
                energy_J += pulse(cell, -1, state, params, now_s, number + 1, keys[0])
                pulses, way = pulses + 1, -1
            else:
                energy_J += reset(cell, state, params, now_s, number + 1, keys[0])
                resets, way = resets + 1, 0
            conductance = read(cell, state, params, now_s)
        written.pulses[k] = pulses
        written.resets[k] = resets
        written.converged[k] = within
        written.energy_J[k] = energy_J
        written.seen_uS[k] = seen_uS
