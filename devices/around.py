"""Effects around any law: stuck and worn-out cells, telegraph noise, 1/f noise, relaxation, temperature.

A law with any of them on gets its kernels wrapped; with all of them off nothing is added and nothing costs.
Order of a read: the law's drift, relaxation, 1/f noise, temperature, telegraph noise, then faults.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import DeviceKernels, Floats
from neurosim.kernels.jit import inlined
from neurosim.kernels.random import normal, philox, uniform

SOUND, STUCK_LOW, STUCK_HIGH, WORN_OUT = (np.uint8(k) for k in range(4))
BOLTZMANN_EV_PER_K = np.float32(8.617333e-05)
_AROUND = 1 << 20
"""Draw numbers from here on belong to the effects around a law; the law's own are below."""
_ONE, _HALF, _ZERO = np.float32(1.0), np.float32(0.5), np.float32(0.0)


class AroundParams(NamedTuple):
    law: Any
    """Parameters of the law itself."""
    g_min_uS: np.floating[Any]
    g_max_uS: np.floating[Any]
    p_stuck_gmin: np.floating[Any]
    p_stuck_gmax: np.floating[Any]
    endurance_pulses: np.floating[Any]
    endurance_spread: np.floating[Any]
    telegraph_share: np.floating[Any]
    telegraph_amplitude: np.floating[Any]
    telegraph_spread: np.floating[Any]
    telegraph_fastest_s: np.floating[Any]
    telegraph_slowest_s: np.floating[Any]
    flicker: np.floating[Any]
    flicker_power: np.floating[Any]
    flicker_most: np.floating[Any]
    flicker_read_s: np.floating[Any]
    relaxation_mean_uS: np.floating[Any]
    relaxation_sigma_uS: np.floating[Any]
    relaxation_sigma_slope_uS: np.floating[Any]
    relaxation_start_s: np.floating[Any]
    activation_low_eV: np.floating[Any]
    activation_high_eV: np.floating[Any]
    temperature_K: np.floating[Any]
    reference_K: np.floating[Any]
    read_noise_relative: np.floating[Any]
    read_noise_floor_uS: np.floating[Any]


class AroundState(NamedTuple):
    """State of a wrapped law; arrays of effects that are off have one element."""

    conductance: Floats
    law: Any
    fault: NDArray[np.uint8]
    pulses: NDArray[np.int32]
    """Pulses that a cell has been given so far."""
    lifetime: Floats
    """Pulses after which a cell answers no more."""
    written_at_s: NDArray[np.float64]
    relaxing: Floats
    flickering: Floats
    """Normals that last from one write to the next: of relaxation and of 1/f noise."""
    telegraph: Floats
    """Amplitude relative to the conductance; its sign is the state, negative is the lower one."""
    switching_s: Floats
    """Mean time between two switches of a cell's telegraph noise."""


@inlined
def written(cell: Any, state: Any, now_s: Any, event: Any, key: Any) -> None:
    """Note that a cell has been written: its lasting noise starts anew."""
    if state.written_at_s.size > 1:
        a, b, _, _ = philox(cell, event, _AROUND, key)
        state.relaxing[cell] = normal(a)
        state.flickering[cell] = normal(b)
        state.written_at_s[cell] = now_s


@inlined
def hold(cell: Any, state: Any, params: Any) -> None:
    """Put a stuck cell where it is stuck."""
    if state.fault[cell] == STUCK_LOW:
        state.conductance[cell] = params.g_min_uS
    elif state.fault[cell] == STUCK_HIGH:
        state.conductance[cell] = params.g_max_uS


@inlined
def wear(cell: Any, count: Any, state: Any) -> None:
    """Count pulses; a cell that has outlived its own lifetime answers no more."""
    if state.pulses.size > 1:
        state.pulses[cell] += np.int32(abs(count))
        if state.pulses[cell] > state.lifetime[cell]:
            state.fault[cell] = WORN_OUT


@inlined
def settled(cell: Any, conductance_uS: Any, state: Any, params: Any, now_s: Any) -> Any:
    """Relaxation and 1/f noise, which grow with the time since the last write."""
    g = conductance_uS
    if state.written_at_s.size > 1:
        since = np.float32(max(now_s - state.written_at_s[cell], 0.0))
        if since > params.relaxation_start_s:
            folds = np.log(since / params.relaxation_start_s)
            start = params.relaxation_sigma_uS
            now = start + params.relaxation_sigma_slope_uS * folds
            spread = np.sqrt(now * now - start * start) * state.relaxing[cell]
            g = max(g + params.relaxation_mean_uS * folds + spread, _ZERO)
        if params.flicker > _ZERO and g > _ZERO:
            level = min(params.flicker * (g / params.g_max_uS) ** -params.flicker_power, params.flicker_most)
            grown = np.log((since + params.flicker_read_s) / (np.float32(2.0) * params.flicker_read_s))
            noise = level * np.sqrt(max(grown, _ZERO)) * state.flickering[cell]
            g = max(g * (_ONE + noise), _ZERO)
    return g


@inlined
def steady(cell: Any, conductance_uS: Any, state: Any, params: Any) -> Any:
    """Temperature, telegraph noise and faults: what a read sees whether or not time has passed."""
    g = conductance_uS
    if params.temperature_K != params.reference_K:
        share = min(max(g / params.g_max_uS, _ZERO), _ONE)
        barrier = params.activation_low_eV * (_ONE - share) + params.activation_high_eV * share
        inverse = _ONE / params.temperature_K - _ONE / params.reference_K
        g = g * np.exp(-barrier / BOLTZMANN_EV_PER_K * inverse)
    if state.telegraph.size > 1:
        g = g * (_ONE + _HALF * state.telegraph[cell])
    if state.fault[cell] == STUCK_LOW or state.fault[cell] == STUCK_HIGH:
        g = state.conductance[cell]
    return g


@inlined
def telegraph(cell: Any, state: Any, params: Any, key: Any) -> None:
    """Draw which cells fluctuate, by how much (lognormal), how fast (log-uniform) and where they start."""
    if state.telegraph.size > 1:
        a, b, c, d = philox(cell, 0, _AROUND + 2, key)
        if uniform(a) < params.telegraph_share:
            amplitude = params.telegraph_amplitude * np.exp(params.telegraph_spread * normal(b))
            state.telegraph[cell] = amplitude if uniform(c) < _HALF else -amplitude
            ratio = params.telegraph_slowest_s / params.telegraph_fastest_s
            state.switching_s[cell] = params.telegraph_fastest_s * ratio ** uniform(d)


@inlined
def age(cell: Any, state: Any, seconds: Any, event: Any, key: Any) -> None:
    """Let a cell's telegraph noise switch: an odd number of switches has probability (1 - exp(-2 t/tau))/2."""
    if state.telegraph.size > 1 and state.telegraph[cell] != _ZERO:
        odd = _HALF * (_ONE - np.exp(np.float32(-2.0 * seconds) / state.switching_s[cell]))
        if uniform(philox(cell, event, 0, key)[0]) < odd:
            state.telegraph[cell] = -state.telegraph[cell]


@cache
def surrounded(law: DeviceKernels, name: str) -> DeviceKernels:
    """Return the kernels of a law with the effects around it; `name` tells compiled versions apart."""
    law_construct, law_program, law_pulse, law_reset, law_drifted, read_sigma = law[:6]

    def construct(cell: Any, state: Any, params: Any, key: Any) -> None:
        law_construct(cell, state.law, params.law, key)
        word, _, _, _ = philox(cell, 0, _AROUND + 3, key)
        chance = uniform(word)
        state.fault[cell] = SOUND
        if chance < params.p_stuck_gmin:
            state.fault[cell] = STUCK_LOW
        elif chance < params.p_stuck_gmin + params.p_stuck_gmax:
            state.fault[cell] = STUCK_HIGH
        if state.lifetime.size > 1:
            spread = params.endurance_spread * normal(philox(cell, 0, _AROUND + 1, key)[0])
            state.lifetime[cell] = params.endurance_pulses * np.exp(spread)
        telegraph(cell, state, params, key)
        written(cell, state, 0.0, 0, key)
        hold(cell, state, params)

    def program(cell: Any, target_uS: Any, state: Any, params: Any, now_s: Any, event: Any, key: Any) -> Any:
        before = state.conductance[cell]
        energy = law_program(cell, target_uS, state.law, params.law, now_s, event, key)
        if state.fault[cell] != SOUND:
            state.conductance[cell] = before
        else:
            written(cell, state, now_s, event, key)
        return energy

    def pulse(cell: Any, count: Any, state: Any, params: Any, now_s: Any, event: Any, key: Any) -> Any:
        before = state.conductance[cell]
        energy = law_pulse(cell, count, state.law, params.law, now_s, event, key)
        if state.fault[cell] != SOUND:
            state.conductance[cell] = before
        else:
            written(cell, state, now_s, event, key)
            wear(cell, count, state)
        return energy

    def reset(cell: Any, state: Any, params: Any, now_s: Any, event: Any, key: Any) -> Any:
        before = state.conductance[cell]
        energy = law_reset(cell, state.law, params.law, now_s, event, key)
        if state.fault[cell] != SOUND:
            state.conductance[cell] = before
        else:
            written(cell, state, now_s, event, key)
            wear(cell, 1, state)
        return energy

    def drifted(cell: Any, state: Any, params: Any, now_s: Any) -> Any:
        g = law_drifted(cell, state.law, params.law, now_s)
        return steady(cell, settled(cell, g, state, params, now_s), state, params)

    def stored(cell: Any, state: Any, params: Any, now_s: Any) -> Any:
        return steady(cell, state.conductance[cell], state, params)

    return DeviceKernels(
        construct=_named(construct, name),
        program=_named(program, name),
        pulse=_named(pulse, name),
        reset=_named(reset, name),
        drifted=_named(drifted, name),
        read_sigma=read_sigma,
        stored=_named(stored, name),
        age=age,
    )


def _named(kernel: Any, name: str) -> Any:
    """Compile under an identity of its own: kernels of different laws must not be taken for one another."""
    kernel.__qualname__ = f"surrounded.{name}.{kernel.__name__}"
    return inlined(kernel)
