"""What a read sees of a cell within the effects around its law.

In this order: the law's own drift, the drift table, retention, relaxation, 1/f noise, write noise and scale,
short-term change, temperature, telegraph noise, then faults.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import inlined

SOUND, STUCK_LOW, STUCK_HIGH, WORN_OUT, STUCK_BETWEEN = (np.uint8(k) for k in range(5))
BOLTZMANN_EV_PER_K = np.float32(8.617333e-05)
_ONE, _HALF, _ZERO = np.float32(1.0), np.float32(0.5), np.float32(0.0)


@inlined
def since_write(cell: Any, state: Any, now_s: Any) -> Any:
    return np.float32(max(now_s - state.written_at_s[cell], 0.0))


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
        folds = since_write(cell, state, now_s) / params.drift_table_start_s
        if folds > _ONE:
            g *= folds ** -state.falling[cell]
    if params.retention_s > _ZERO:
        g = retained(cell, g, state, params, now_s)
    if state.relaxing.size > 0:
        since = since_write(cell, state, now_s)
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
        g = g * (_ONE + _HALF * state.telegraph[cell])
    fault = state.fault[cell]
    if fault not in (SOUND, WORN_OUT):
        g = state.conductance[cell]
    return g
