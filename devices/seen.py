"""What a read sees of a cell within the effects around its law.

In this order: the law's own drift, the drift table, retention, relaxation, 1/f noise, write noise and scale,
short-term change, temperature, telegraph noise, then faults. Drift, relaxation and 1/f noise see a cell no younger
than the reading delay; retention, what fades and telegraph noise see its true age.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurosim.kernels.jit import inlined
from neurosim.kernels.random import normal, philox

SOUND, STUCK_LOW, STUCK_HIGH, WORN_OUT, STUCK_BETWEEN, STUCK_MEASURED = (np.uint8(k) for k in range(6))
BOLTZMANN_EV_PER_K = np.float32(8.617333e-05)
FOLDS_PER_NODE: Any = math.log(10.0) / 2
"""Along the logarithm of its age, 1/f noise of a cell has a normal of its own at every such step: half a decade."""
_QUARTER_TURN: Any = math.pi / 4
_SQRT_HALF: Any = math.sqrt(0.5)
PATHS = 1 << 21
"""Draw numbers from here on belong to the paths of 1/f noise."""
_PATH_KEY = (np.uint64(0x666C6963), np.uint64(0x6B65722F))
_ONE, _HALF, _ZERO = np.float32(1.0), np.float32(0.5), np.float32(0.0)


@inlined
def since_write(cell: Any, state: Any, now_s: Any) -> Any:
    return np.float32(max(now_s - state.written_at_s[cell], 0.0))


@inlined
def read_age(cell: Any, state: Any, params: Any, now_s: Any) -> Any:
    """Age at which power-law drift, relaxation and 1/f noise see a cell: its own, or the reading delay if it is younger."""
    return max(since_write(cell, state, now_s), params.delay_s)


@inlined
def path_normal(path: Any, folds: Any) -> Any:
    """Standard normal of 1/f noise so many e-folds of time from its start, on the path of that number.

    Normals at the nodes are independent. The four around a place are mixed by a cosine of their distance, whose
    squares add up to one: correlated by 0.25 to 0.35 at a decade, not at all from two decades on.
    """
    place = np.float64(folds) / FOLDS_PER_NODE
    node = int(place)
    turn = _QUARTER_TURN * (place - node)
    c, s = np.cos(turn), np.sin(turn)
    weights = (_SQRT_HALF * (c - s), c, _SQRT_HALF * (c + s), s)
    words = philox(0, path, PATHS + node // 4, _PATH_KEY)
    mixed = 0.0
    for k in range(4):
        at = node + k
        if k > 0 and at % 4 == 0:
            words = philox(0, path, PATHS + at // 4, _PATH_KEY)
        mixed += weights[k] * normal(words[at % 4])
    return _SQRT_HALF * mixed


@inlined
def relaxed(conductance_uS: Any, folds: Any, xi: Any, params: Any) -> Any:
    """What relaxation makes of a written conductance after so many e-folds of time from its start."""
    sigma = params.relaxation_sigma_uS + params.relaxation_sigma_slope_uS * folds
    return conductance_uS + params.relaxation_mean_uS * folds + max(sigma, _ZERO) * xi


@inlined
def left(cell: Any, state: Any, params: Any, now_s: Any) -> Any:
    """Share that is left of what fades."""
    share = _ONE
    if state.volatile_uS.size + state.gating.size > 0:
        share = np.exp(-since_write(cell, state, now_s) / params.fading_s)
    return share


@inlined
def retained(cell: Any, conductance_uS: Any, state: Any, params: Any, now_s: Any) -> Any:
    """What the loss towards the conductance of a pair at rest has left."""
    lasts = params.retention_s
    if params.retention_activation_eV > _ZERO:
        inverse = _ONE / params.temperature_K - _ONE / params.reference_K
        lasts *= np.exp(params.retention_activation_eV / BOLTZMANN_EV_PER_K * inverse)
    kept = np.exp(-since_write(cell, state, now_s) / lasts)
    return params.g_rest_uS + (conductance_uS - params.g_rest_uS) * kept


@inlined
def settled(cell: Any, conductance_uS: Any, state: Any, params: Any, now_s: Any) -> Any:
    """Drift, retention, relaxation and 1/f noise, which grow with the time since the last write."""
    g = conductance_uS
    if state.falling.size > 0:
        age = read_age(cell, state, params, now_s)
        if age != params.drift_table_start_s:
            g *= (age / params.drift_table_start_s) ** -state.falling[cell]
    if params.retention_s > _ZERO:
        g = retained(cell, g, state, params, now_s)
    if state.relaxing.size > 0:
        folds = np.log(read_age(cell, state, params, now_s) / params.relaxation_start_s)
        g = max(relaxed(g, folds, state.relaxing[cell], params), _ZERO)
    if state.flicker_level.size > 0:
        since = np.float64(read_age(cell, state, params, now_s))
        grown = np.log((since + params.flicker_read_s) / (2.0 * params.flicker_read_s))
        if grown > 0.0:
            noise = np.sqrt(grown) * path_normal(state.flicker_path[cell], grown)
            g = max(g * (_ONE + state.flicker_level[cell] * np.float32(noise)), _ZERO)
    return g


@inlined
def steady(cell: Any, conductance_uS: Any, state: Any, params: Any, left: Any) -> Any:
    """What a read sees whether or not time has passed; `left` is the share left of what fades."""
    g = conductance_uS
    if state.offset_uS.size > 0:
        g = max(g + state.offset_uS[cell], _ZERO)
    if state.scale.size > 0:
        g *= state.scale[cell]
    if state.volatile_uS.size > 0:
        g = max(g + left * state.volatile_uS[cell], _ZERO)
    if state.gating.size > 0:
        g *= _ONE + left * state.gating[cell]
    if params.temperature_K != params.reference_K:
        share = min(max(g / params.g_max_uS, _ZERO), _ONE)
        barrier = params.activation_low_eV * (_ONE - share) + params.activation_high_eV * share
        inverse = _ONE / params.temperature_K - _ONE / params.reference_K
        g = g * np.exp(-barrier / BOLTZMANN_EV_PER_K * inverse)
    if state.telegraph.size > 0:
        g = g * max(_ONE + _HALF * state.telegraph[cell], _ZERO)
    if state.fault[cell] != SOUND:
        g = state.conductance[cell]
    return g
