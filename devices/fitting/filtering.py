"""Likelihood of a pulse trace: what is seen is the persistent conductance plus noise of its own at each pulse.

A Gaussian filter follows the persistent conductance of one device through its pulses. A pulse moves it by a
mean step that depends on it, with cycle-to-cycle noise, and clips it at the device's bounds (the moments of a
clipped normal); a read adds write noise, drawn anew at each pulse. Without clipping and for steps that are
linear in the conductance this is Kalman's filter, and exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurosim.kernels.jit import jit

OWN = 4
"""Numbers of each device: logarithms of step up, step down, and of the distance of both bounds from the origin."""
_STEP = 1e-4
"""Of a logarithm, for derivatives."""
_FAR = 7.0


@jit
def _phi(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


@jit
def _cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


@jit
def clipped(mean: float, variance: float, low: float, high: float) -> Any:
    """Mean and variance of a normal clipped to [low, high]."""
    sigma = math.sqrt(variance)
    if sigma <= 0.0:
        return min(max(mean, low), high), 0.0
    a, b = (low - mean) / sigma, (high - mean) / sigma
    if a < -_FAR and b > _FAR:
        return mean, variance
    below, above = _cdf(a), _cdf(-b)
    inside = max(1.0 - below - above, 0.0)
    fa, fb = _phi(a), _phi(b)
    first = low * below + high * above + mean * inside + sigma * (fa - fb)
    # central second moment, term by term, so that nothing large cancels
    second = (low - first) ** 2 * below + (high - first) ** 2 * above
    second += ((mean - first) ** 2 + variance) * inside
    second += sigma * fa * (mean + low - 2 * first) - sigma * fb * (mean + high - 2 * first)
    return first, max(second, 0.0)


@jit
def innovations(own: Any, shared: Any, origin: float, seen: Any, sign: Any, move: Any, out: Any) -> None:
    """Fill `out` (2, n) with what each read adds to what was expected, and its variance (0: nothing expected).

    `own` are the device's four numbers, `shared` (log cycle-to-cycle, log write noise in uS, curve ...);
    move(g, up, own, shared, origin) returns the mean change of a pulse and the noise of one unit.
    """
    cycle, write = math.exp(shared[0]), math.exp(2 * shared[1])
    high, low = origin + math.exp(own[2]), origin - math.exp(own[3])
    tiny = 1e-5 * (high - low)
    mean, variance = 0.0, 0.0
    for k in range(seen.size):
        if sign[k] == 0:
            mean, variance = min(max(seen[k], low), high), write
            out[0, k], out[1, k] = 0.0, 0.0
            continue
        up = sign[k] > 0
        change, noise = move(mean, up, own, shared, origin)
        ahead, _ = move(mean + tiny, up, own, shared, origin)
        slope = 1.0 + (ahead - change) / tiny
        noise *= cycle
        mean, variance = clipped(mean + change, slope * slope * variance + noise * noise, low, high)
        total = variance + write
        out[0, k], out[1, k] = seen[k] - mean, total
        gain = variance / total
        mean = min(max(mean + gain * out[0, k], low), high)
        variance *= 1.0 - gain


@jit
def log_likelihood(out: Any) -> float:
    """Sum of normal log densities of innovations."""
    total = 0.0
    for k in range(out.shape[1]):
        if out[1, k] > 0.0:
            total -= 0.5 * (math.log(2 * math.pi * out[1, k]) + out[0, k] * out[0, k] / out[1, k])
    return total


@jit
def scoring(own: Any, shared: Any, origin: float, seen: Any, sign: Any, move: Any) -> Any:
    """Log-likelihood of one device, its gradient and Fisher information in (own, shared)."""
    n, size = seen.size, own.size + shared.size
    here, ahead, behind = np.empty((2, n)), np.empty((2, n)), np.empty((2, n))
    slopes = np.empty((size, 2, n))
    innovations(own, shared, origin, seen, sign, move, here)
    for j in range(size):
        for side in range(2):
            moved, also = own.copy(), shared.copy()
            step = _STEP if side == 0 else -_STEP
            if j < own.size:
                moved[j] += step
            else:
                also[j - own.size] += step
            innovations(moved, also, origin, seen, sign, move, ahead if side == 0 else behind)
        for k in range(n):
            slopes[j, 0, k] = (ahead[0, k] - behind[0, k]) / (2 * _STEP)
            slopes[j, 1, k] = (ahead[1, k] - behind[1, k]) / (2 * _STEP)
    gradient, information = np.zeros(size), np.zeros((size, size))
    for k in range(n):
        total = here[1, k]
        if total <= 0.0:
            continue
        error = here[0, k]
        for i in range(size):
            ei, si = slopes[i, 0, k], slopes[i, 1, k]
            gradient[i] -= error * ei / total + 0.5 * si / total * (1.0 - error * error / total)
            for j in range(i + 1):
                both = ei * slopes[j, 0, k] / total + 0.5 * si * slopes[j, 1, k] / (total * total)
                information[i, j] += both
    for i in range(size):
        for j in range(i):
            information[j, i] = information[i, j]
    return log_likelihood(here), gradient, information


@jit
def fit_own(
    start: Any, shared: Any, origin: float, seen: Any, sign: Any, move: Any, centre: Any, stiffness: Any
) -> Any:
    """Most likely numbers of one device by damped scoring, given the shared ones.

    `stiffness` holds each number weakly at `centre`, for what the trace does not tell.
    """
    own, damping = start.copy(), 1e-3
    value, gradient, information = scoring(own, shared, origin, seen, sign, move)
    value -= 0.5 * np.sum(stiffness * (own - centre) ** 2)
    out = np.empty((2, seen.size))
    for _ in range(60):
        pull = gradient[: own.size] - stiffness * (own - centre)
        matrix = information[: own.size, : own.size] + np.diag(stiffness)
        step = np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)), pull)
        largest = np.max(np.abs(step))
        if largest > 0.5:
            step *= 0.5 / largest
        innovations(own + step, shared, origin, seen, sign, move, out)
        reached = log_likelihood(out) - 0.5 * np.sum(stiffness * (own + step - centre) ** 2)
        if reached >= value - 1e-10:
            small = reached - value < 1e-6 and largest < 1e-4
            own = own + step
            value, gradient, information = scoring(own, shared, origin, seen, sign, move)
            value -= 0.5 * np.sum(stiffness * (own - centre) ** 2)
            damping = max(damping * 0.2, 1e-9)
            if small:
                break
        else:
            damping *= 6.0
            if damping > 1e8:
                break
    value += 0.5 * np.sum(stiffness * (own - centre) ** 2)
    return own, value, gradient, information
