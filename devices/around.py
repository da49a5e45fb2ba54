"""Effects around any law (their parameters: `neurosim.devices.effects`): the law's kernels, wrapped.

A law with any of them on gets its kernels wrapped; with all of them off nothing is added and nothing costs.
Order of a pulse: the optical gate, loss since the last write, the law's own pulse, the device's own gain and
added noise, the part that will fade, wear. A closed loop finds the device as it is instead, with all that time has
made of it, and programs that and the pulses' steps. Order of a read: see `neurosim.devices.seen`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import DeviceKernels, Floats, Polarity
from neurosim.devices import seen
from neurosim.devices.seen import SOUND, STUCK_BETWEEN, STUCK_HIGH, STUCK_LOW, STUCK_MEASURED, WORN_OUT
from neurosim.kernels.jit import inlined, inlined_as
from neurosim.kernels.random import normal, philox, uniform

_AROUND = 1 << 20
"""Draw numbers from here on belong to the effects around a law; the law's own are below."""
_ONE_BIT, _HALF_WORD = np.uint64(1), np.int64(32)
_INVERSIONS = 8
"""Steps in which the conductance is found whose drift leads to a target; each gains more than a digit."""
_ONE, _HALF, _ZERO = np.float32(1.0), np.float32(0.5), np.float32(0.0)


class AroundParams(NamedTuple):
    law: Any
    """Parameters of the law itself."""
    g_min_uS: np.floating[Any]
    g_max_uS: np.floating[Any]
    g_rest_uS: np.floating[Any]
    nominal_step_uS: np.floating[Any]
    read_step_uS: np.floating[Any]
    added_step_spread: np.floating[Any]
    added_conductance_spread: np.floating[Any]
    added_cycle_to_cycle: np.floating[Any]
    added_write_noise: np.floating[Any]
    p_stuck_gmin: np.floating[Any]
    p_stuck_gmax: np.floating[Any]
    p_stuck_between: np.floating[Any]
    p_stuck_measured: np.floating[Any]
    stuck_measured_uS: Floats
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
    flicker_table_share: Floats
    flicker_table: Floats
    flicker_read_s: np.floating[Any]
    drift_table_share: Floats
    drift_table_exponent: Floats
    drift_table_sigma: Floats
    drift_table_start_s: np.floating[Any]
    drift_one_way: np.floating[Any]
    relaxation_mean_uS: np.floating[Any]
    relaxation_sigma_uS: np.floating[Any]
    relaxation_sigma_slope_uS: np.floating[Any]
    relaxation_start_s: np.floating[Any]
    retention_s: np.floating[Any]
    retention_activation_eV: np.floating[Any]
    volatile_share: np.floating[Any]
    gate_step: np.floating[Any]
    gate_noise: np.floating[Any]
    gate_most: np.floating[Any]
    fading_s: np.floating[Any]
    optical_gate: np.floating[Any]
    temperature_K: np.floating[Any]
    reference_K: np.floating[Any]
    activation_low_eV: np.floating[Any]
    activation_high_eV: np.floating[Any]
    delay_s: np.floating[Any]
    """Age, at least, at which drift, relaxation and 1/f noise see a cell."""


class AroundState(NamedTuple):
    """State of a wrapped law; arrays of effects that are off are empty."""

    conductance: Floats
    law: Any
    fault: NDArray[np.uint8]
    pulses: NDArray[np.int32]
    """Pulses that a cell has been given so far."""
    lifetime: Floats
    """Pulses after which a cell answers no more."""
    written_at_s: NDArray[np.float64]
    relaxing: Floats
    """Normal of relaxation, which lasts from one write to the next."""
    flicker_level: Floats
    """Standard deviation of 1/f noise, relative, at one e-fold: that of the conductance just written."""
    flicker_path: NDArray[np.int64]
    """Names the path that 1/f noise takes until the next write."""
    telegraph: Floats
    """Amplitude relative to the conductance; its sign is the state, negative is the lower one."""
    switching_s: Floats
    """Mean time between two switches of a cell's telegraph noise."""
    gain: Floats
    """Factor on all steps of a device."""
    scale: Floats
    """Factor on its conductance."""
    offset_uS: Floats
    """Write noise: the seen above the persistent conductance, until the next write."""
    falling: Floats
    """Exponent of drift since the last write."""
    volatile_uS: Floats
    """Conductance that fades, as it was at the last write."""
    gating: Floats
    """Factor on the conductance that fades, above one, as it was at the last write."""


@inlined
def piece(share: Any, at: Any) -> Any:
    """Return the piece of a table, and the place in it from 0 to 1, that a share of g_max falls into."""
    last = at.size - 1
    if share <= at[0]:
        return 1, _ZERO
    if share >= at[last]:
        return last, _ONE
    below, k = 0, last
    while k - below > 1:
        middle = (below + k) >> 1
        inside = at[middle] < share
        below, k = (middle if inside else below), (k if inside else middle)
    return k, (share - at[below]) / (at[k] - at[below])


@inlined
def looked_up(share: Any, at: Any, values: Any) -> Any:
    """Value of a table at a share of g_max: linear between its nodes, constant beyond its ends."""
    k, u = piece(share, at)
    return values[k - 1] + (values[k] - values[k - 1]) * u


@inlined
def flicker_level(conductance_uS: Any, params: Any) -> Any:
    """1/f noise of a conductance just written, relative, at one e-fold of time: by the table, or the power law."""
    share = max(conductance_uS, _ZERO) / params.g_max_uS
    if params.flicker_table.size > 0:
        return looked_up(share, params.flicker_table_share, params.flicker_table)
    if share > _ZERO:
        return min(params.flicker * share**-params.flicker_power, params.flicker_most)
    return params.flicker_most


@inlined
def written(cell: Any, reference_uS: Any, state: Any, params: Any, now_s: Any, event: Any, key: Any) -> None:
    """Note that a cell has been written: its lasting noise starts anew.

    Exponents of drift refer to `reference_uS`, the target of programming and of closed loop or, after any other pulse,
    the conductance; 1/f noise to the conductance that was reached.
    """
    if state.written_at_s.size > 0:
        state.written_at_s[cell] = now_s
    lasting = state.relaxing.size + state.falling.size + state.flicker_level.size + state.offset_uS.size
    if lasting > 0:
        a, b, c, d = philox(cell, event, _AROUND, key)
        if state.relaxing.size > 0:
            state.relaxing[cell] = normal(a)
        if state.flicker_level.size > 0:
            state.flicker_level[cell] = flicker_level(state.conductance[cell], params)
            state.flicker_path[cell] = (np.int64(a >> _ONE_BIT) << _HALF_WORD) | np.int64(b)
        if state.falling.size > 0:
            k, u = piece(reference_uS / params.g_max_uS, params.drift_table_share)
            mean, sigma = params.drift_table_exponent, params.drift_table_sigma
            exponent = mean[k - 1] + (mean[k] - mean[k - 1]) * u
            if sigma.size > 0:
                exponent += (sigma[k - 1] + (sigma[k] - sigma[k - 1]) * u) * normal(c)
                if params.drift_one_way > _ZERO:
                    exponent = abs(exponent)
            state.falling[cell] = exponent
        if state.offset_uS.size > 0:
            state.offset_uS[cell] = params.added_write_noise * params.nominal_step_uS * normal(d)


@inlined
def to_be_written(target_uS: Any, state: Any, params: Any) -> Any:
    """Conductance to write so that a read after the reading delay finds the target, by mean drift and relaxation."""
    wanted = target_uS
    if state.relaxing.size > 0 and params.delay_s != params.relaxation_start_s:
        wanted -= params.relaxation_mean_uS * np.log(params.delay_s / params.relaxation_start_s)
    if state.falling.size > 0 and params.delay_s != params.drift_table_start_s:
        folds, aim = params.delay_s / params.drift_table_start_s, wanted
        for _ in range(_INVERSIONS):
            share = wanted / params.g_max_uS
            wanted = aim * folds ** looked_up(share, params.drift_table_share, params.drift_table_exponent)
    return wanted


@inlined
def hold(cell: Any, state: Any, params: Any, place: Any) -> None:
    """Put a stuck cell where it is stuck; `place`, from 0 to 1, is where in the window, or which of those measured."""
    if state.fault[cell] == STUCK_LOW:
        state.conductance[cell] = params.g_min_uS
    elif state.fault[cell] == STUCK_HIGH:
        state.conductance[cell] = params.g_max_uS
    elif state.fault[cell] == STUCK_BETWEEN:
        state.conductance[cell] = params.g_min_uS + place * (params.g_max_uS - params.g_min_uS)
    elif state.fault[cell] == STUCK_MEASURED:
        measured = params.stuck_measured_uS
        state.conductance[cell] = measured[min(int(place * np.float32(measured.size)), measured.size - 1)]


@inlined
def outlived(cell: Any, count: Any, state: Any) -> Any:
    """Count pulses; whether the cell has outlived its own lifetime, and so answers no more."""
    if state.pulses.size > 0:
        state.pulses[cell] += np.int32(abs(count))
        return state.pulses[cell] > state.lifetime[cell]
    return False


@inlined
def fade(cell: Any, state: Any, params: Any, now_s: Any) -> None:
    """Carry what fades to the present."""
    if state.volatile_uS.size + state.gating.size > 0:
        left = seen.left(cell, state, params, now_s)
        if state.volatile_uS.size > 0:
            state.volatile_uS[cell] *= left
        if state.gating.size > 0:
            state.gating[cell] *= left


@inlined
def forget(cell: Any, state: Any) -> None:
    """Drop what fades: a cell written anew to a target has none."""
    if state.volatile_uS.size > 0:
        state.volatile_uS[cell] = _ZERO
    if state.gating.size > 0:
        state.gating[cell] = _ZERO


@inlined
def open_gate(cell: Any, count: Any, state: Any, params: Any, event: Any, key: Any) -> None:
    """Step the factor on the conductance by a pulse's field effect."""
    if state.gating.size > 0:
        noise = _ONE
        if params.gate_noise > _ZERO:
            noise += params.gate_noise * normal(philox(cell, event, _AROUND + 4, key)[1])
        moved = state.gating[cell] + params.gate_step * np.float32(count) * noise
        state.gating[cell] = min(max(moved, -params.gate_most), params.gate_most)


@inlined
def telegraph(cell: Any, state: Any, params: Any, key: Any) -> None:
    """Draw which cells fluctuate, by how much (lognormal), how fast (log-uniform) and where they start."""
    if state.telegraph.size > 0:
        a, b, c, d = philox(cell, 0, _AROUND + 2, key)
        if uniform(a) < params.telegraph_share:
            amplitude = params.telegraph_amplitude * np.exp(params.telegraph_spread * normal(b))
            state.telegraph[cell] = amplitude if uniform(c) < _HALF else -amplitude
            ratio = params.telegraph_slowest_s / params.telegraph_fastest_s
            state.switching_s[cell] = params.telegraph_fastest_s * ratio ** uniform(d)


@inlined
def age(cell: Any, state: Any, seconds: Any, event: Any, key: Any) -> None:
    """Let a cell's telegraph noise switch: an odd number of switches has probability (1 - exp(-2 t/tau))/2."""
    if state.telegraph.size > 0 and state.telegraph[cell] != _ZERO:
        odd = _HALF * (_ONE - np.exp(np.float32(-2.0 * seconds) / state.switching_s[cell]))
        if uniform(philox(cell, event, 0, key)[0]) < odd:
            state.telegraph[cell] = -state.telegraph[cell]


@inlined
def shift(cell: Any, by_uS: Any, state: Any, low_uS: Any, high_uS: Any) -> Any:
    """Move the persistent conductance within the window and return it; a law that holds it elsewhere has its own."""
    if by_uS != _ZERO:
        state.conductance[cell] = min(max(state.conductance[cell] + by_uS, low_uS), high_uS)
    return state.conductance[cell]


@cache
def surrounded(law: DeviceKernels, name: str, polarity: Polarity, closed_loop: bool) -> DeviceKernels:
    """Return the kernels of a law with the effects around it; `name` tells compiled versions apart."""
    law_construct, law_program, law_pulse, law_reset, law_drifted, law_sigma = law[:6]
    law_shift = law.shift or shift

    def named(kernel: Any) -> Any:
        return inlined_as(kernel, f"surrounded.{name}.{kernel.__name__}")

    gradual_both_ways = polarity == "bipolar"

    def settled(cell: Any, state: Any, params: Any, now_s: Any) -> Any:
        g = law_drifted(cell, state.law, params.law, now_s)
        return seen.settled(cell, g, state, params, now_s)

    settled = named(settled)

    def drifted(cell: Any, state: Any, params: Any, now_s: Any) -> Any:
        g = settled(cell, state, params, now_s)
        return seen.steady(cell, g, state, params, seen.left(cell, state, params, now_s))

    drifted = named(drifted)

    def wear(cell: Any, count: Any, state: Any, params: Any, now_s: Any) -> None:
        if outlived(cell, count, state):  # it stays where a read finds it
            state.conductance[cell] = drifted(cell, state, params, now_s)
            state.fault[cell] = WORN_OUT

    wear = named(wear)

    def construct(cell: Any, state: Any, params: Any, key: Any) -> None:
        law_construct(cell, state.law, params.law, key)
        a, b, c, d = philox(cell, 0, _AROUND + 3, key)
        chance = uniform(a)
        low, high = params.p_stuck_gmin, params.p_stuck_gmin + params.p_stuck_gmax
        state.fault[cell] = SOUND
        if chance < low:
            state.fault[cell] = STUCK_LOW
        elif chance < high:
            state.fault[cell] = STUCK_HIGH
        elif chance < high + params.p_stuck_between:
            state.fault[cell] = STUCK_BETWEEN
        elif chance < high + params.p_stuck_between + params.p_stuck_measured:
            state.fault[cell] = STUCK_MEASURED
        if state.lifetime.size > 0:
            spread = params.endurance_spread * normal(philox(cell, 0, _AROUND + 1, key)[0])
            state.lifetime[cell] = params.endurance_pulses * np.exp(spread)
        if state.gain.size > 0:
            state.gain[cell] = np.exp(params.added_step_spread * normal(b))
        if state.scale.size > 0:
            state.scale[cell] = np.exp(params.added_conductance_spread * normal(c))
        telegraph(cell, state, params, key)
        written(cell, state.conductance[cell], state, params, 0.0, 0, key)
        hold(cell, state, params, uniform(d))

    def program(cell: Any, target_uS: Any, state: Any, params: Any, now_s: Any, event: Any, key: Any) -> Any:
        before = state.conductance[cell]
        wanted = target_uS / state.scale[cell] if state.scale.size > 0 else target_uS
        wanted = to_be_written(wanted, state, params)
        energy = law_program(cell, wanted, state.law, params.law, now_s, event, key)
        if state.fault[cell] != SOUND:
            state.conductance[cell] = before
        else:
            forget(cell, state)
            written(cell, wanted, state, params, now_s, event, key)
        return energy

    def pulse(cell: Any, count: Any, state: Any, params: Any, now_s: Any, event: Any, key: Any) -> Any:
        gate = params.optical_gate
        if gate < _ONE and uniform(philox(cell, event, _AROUND + 4, key)[0]) >= gate:
            return 0.0
        before = state.conductance[cell]
        low_uS, high_uS = params.g_min_uS, params.g_max_uS
        aim = _ZERO
        if closed_loop:
            found = settled(cell, state, params, now_s)
            start = to_be_written(found, state, params)
            aim = to_be_written(found + np.float32(count) * params.read_step_uS, state, params)
            energy = law_program(cell, aim, state.law, params.law, now_s, event, key)
        else:
            if params.retention_s > _ZERO and state.fault[cell] == SOUND:
                held = law_shift(cell, _ZERO, state.law, low_uS, high_uS)
                lost = seen.retained(cell, held, state, params, now_s) - held
                law_shift(cell, lost, state.law, low_uS, high_uS)
            start = law_shift(cell, _ZERO, state.law, low_uS, high_uS)
            energy = law_pulse(cell, count, state.law, params.law, now_s, event, key)
        if state.fault[cell] != SOUND:
            state.conductance[cell] = before
            return energy
        gradual = gradual_both_ways or count > 0
        moved = law_shift(cell, _ZERO, state.law, low_uS, high_uS) - start
        extra = _ZERO
        if gradual and state.gain.size > 0:
            extra += (state.gain[cell] - _ONE) * moved
        if gradual and params.added_cycle_to_cycle > _ZERO:
            noise = normal(philox(cell, event, _AROUND + 4, key)[2])
            extra += (
                params.added_cycle_to_cycle * params.nominal_step_uS * np.sqrt(np.float32(abs(count))) * noise
            )
        fade(cell, state, params, now_s)
        if state.volatile_uS.size > 0:
            fading = params.volatile_share * (moved + extra)
            state.volatile_uS[cell] += fading
            extra -= fading
        if extra != _ZERO:
            law_shift(cell, extra, state.law, low_uS, high_uS)
        open_gate(cell, count, state, params, event, key)
        reference = aim if closed_loop else state.conductance[cell]
        written(cell, reference, state, params, now_s, event, key)
        wear(cell, count, state, params, now_s)
        return energy

    def reset(cell: Any, state: Any, params: Any, now_s: Any, event: Any, key: Any) -> Any:
        before = state.conductance[cell]
        energy = law_reset(cell, state.law, params.law, now_s, event, key)
        if state.fault[cell] != SOUND:
            state.conductance[cell] = before
        else:
            forget(cell, state)
            written(cell, state.conductance[cell], state, params, now_s, event, key)
            wear(cell, 1, state, params, now_s)
        return energy

    def stored(cell: Any, state: Any, params: Any, now_s: Any) -> Any:
        return seen.steady(cell, state.conductance[cell], state, params, _ONE)

    def read_sigma(conductance_uS: Any, params: Any) -> Any:
        return law_sigma(conductance_uS, params.law)

    return DeviceKernels(
        construct=named(construct),
        program=named(program),
        pulse=named(pulse),
        reset=named(reset),
        drifted=drifted,
        read_sigma=named(read_sigma),
        stored=named(stored),
        age=age,
    )
