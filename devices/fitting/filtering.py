"""What each read of a pulse trace should be, given those before it, and how sure that is.

A filter follows the persistent conductance of one device through its pulses. A pulse moves it by a mean step
that depends on it, with cycle-to-cycle noise, and stops it at the device's bounds (mean and variance of a
normal stopped there); a read adds write noise, drawn anew at each pulse. Away from the bounds, with steps
linear in the conductance, this is Kalman's filter.

A device's own numbers are those that predict its reads best, squares of errors being divided by the variance
expected (weighted least squares). The variance itself is left out of this: near a bound a likelihood would take
a chance lack of scatter for a bound.
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
_LITTLE = 1e-6
"""Of half the weighted squares: what is left to gain where a search ends."""


@jit
def _phi(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


@jit
def _cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


@jit
def stopped(mean: float, variance: float, low: float, high: float) -> Any:
    """Mean and variance of a normal that is stopped at low and at high."""
    sigma = math.sqrt(variance)
    if sigma <= 0.0:
        return min(max(mean, low), high), 0.0
    a, b = (low - mean) / sigma, (high - mean) / sigma
    below, above, fa, fb = 0.0, 0.0, 0.0, 0.0
    if a >= -_FAR:
        below, fa = _cdf(a), _phi(a)
    if b <= _FAR:
        above, fb = _cdf(-b), _phi(b)
    elif a < -_FAR:
        return mean, variance
    inside = max(1.0 - below - above, 0.0)
    first = low * below + high * above + mean * inside + sigma * (fa - fb)
    second = (low - first) ** 2 * below + (high - first) ** 2 * above
    second += ((mean - first) ** 2 + variance) * inside
    second += sigma * fa * (mean + low - 2 * first) - sigma * fb * (mean + high - 2 * first)
    return first, max(second, 0.0)


@jit
def innovations(own: Any, shared: Any, origin: float, seen: Any, sign: Any, move: Any, out: Any) -> None:
    """Fill `out` (2, n) with how far each read is from what was expected, and the variance (0 at starts).

    `own` are the device's four numbers, `shared` (log cycle-to-cycle, log write noise in uS, curve ...);
    move(place, up, own, size, curve) returns the mean change of a pulse and the noise of one unit at a conductance
    of `place` from the origin; `size` and `curve` are the exponentials of `own` and `shared`, taken once.
    """
    side_by_side(
        own.reshape(1, own.size), shared.reshape(1, shared.size), origin, seen, sign, move,
        out.reshape(1, 2, seen.size),
    )  # fmt: skip


@jit
def side_by_side(own: Any, shared: Any, origin: float, seen: Any, sign: Any, move: Any, out: Any) -> None:
    """`innovations` for several guesses (m, 4) and (m, s) into `out` (m, 2, n).

    A pulse waits for the one before it; pulses of different guesses do not wait for each other.
    """
    size, curve, write = np.exp(own), np.exp(shared), np.exp(2 * shared[:, 1])
    many = own.shape[0]
    mean, variance = np.zeros(many), np.zeros(many)
    for k in range(seen.size):
        start, up = sign[k] == 0, sign[k] > 0
        for r in range(many):
            high, low = origin + size[r, 2], origin - size[r, 3]
            if start:
                mean[r], variance[r] = min(max(seen[k], low), high), write[r]
                out[r, 0, k], out[r, 1, k] = 0.0, 0.0
                continue
            tiny = 1e-5 * (high - low)
            change, noise = move(mean[r] - origin, up, own[r], size[r], curve[r])
            ahead, _ = move(mean[r] + tiny - origin, up, own[r], size[r], curve[r])
            slope = 1.0 + (ahead - change) / tiny
            noise *= curve[r, 0]
            first, spread = stopped(mean[r] + change, slope * slope * variance[r] + noise * noise, low, high)
            total = spread + write[r]
            error = seen[k] - first
            out[r, 0, k], out[r, 1, k] = error, total
            gain = spread / total
            mean[r] = min(max(first + gain * error, low), high)
            variance[r] = spread * (1.0 - gain)


@jit
def log_likelihood(out: Any) -> float:
    """Sum of normal log densities of innovations."""
    total = 0.0
    for k in range(out.shape[1]):
        if out[1, k] > 0.0:
            total -= 0.5 * (math.log(2 * math.pi * out[1, k]) + out[0, k] * out[0, k] / out[1, k])
    return total


@jit
def slopes(
    own: Any, shared: Any, origin: float, seen: Any, sign: Any, move: Any, first: int, last: int
) -> Any:
    """Derivatives (last - first, 2, n) of innovations and variances in some of (own, shared)."""
    many = last - first
    moved, also = np.empty((2 * many, own.size)), np.empty((2 * many, shared.size))
    for row in range(2 * many):
        moved[row], also[row] = own, shared
        j, step = first + row % many, _STEP if row < many else -_STEP
        if j < own.size:
            moved[row, j] += step
        else:
            also[row, j - own.size] += step
    out = np.empty((2 * many, 2, seen.size))
    side_by_side(moved, also, origin, seen, sign, move, out)
    return (out[:many] - out[many:]) / (2 * _STEP)


@jit
def _squares(found: Any, weights: Any) -> Any:
    """Weighted products (m, m) of slopes of innovations."""
    size, n = found.shape[0], weights.size
    matrix = np.zeros((size, size))
    for k in range(n):
        if weights[k] > 0.0:
            for i in range(size):
                for j in range(i + 1):
                    matrix[i, j] += found[i, 0, k] * found[j, 0, k] / weights[k]
    for i in range(size):
        for j in range(i):
            matrix[j, i] = matrix[i, j]
    return matrix


@jit
def fit_own(
    start: Any, shared: Any, origin: float, seen: Any, sign: Any, move: Any, centre: Any, stiffness: Any
) -> Any:
    """A device's own numbers by weighted least squares, given the shared ones; and their information.

    `stiffness` holds each number weakly at `centre`, for what the trace does not tell.
    """
    own, damping, n = start.copy(), 1e-3, seen.size
    here, there = np.empty((2, n)), np.empty((2, n))
    matrix = np.zeros((own.size, own.size))
    for _ in range(60):
        innovations(own, shared, origin, seen, sign, move, here)
        found = slopes(own, shared, origin, seen, sign, move, 0, own.size)
        pull = -stiffness * (own - centre)
        value = 0.5 * np.sum(stiffness * (own - centre) ** 2)
        for k in range(n):
            if here[1, k] > 0.0:
                value += 0.5 * here[0, k] ** 2 / here[1, k]
                for i in range(own.size):
                    pull[i] -= found[i, 0, k] * here[0, k] / here[1, k]
        matrix = _squares(found, here[1]) + np.diag(stiffness)
        moved = False
        for _ in range(12):
            step = np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)), pull)
            if 0.5 * np.sum(step * pull) < _LITTLE:
                break
            largest = np.max(np.abs(step))
            if largest > 0.4:
                step *= 0.4 / largest
            innovations(own + step, shared, origin, seen, sign, move, there)
            reached = 0.5 * np.sum(stiffness * (own + step - centre) ** 2)
            for k in range(n):
                if here[1, k] > 0.0:
                    reached += 0.5 * there[0, k] ** 2 / here[1, k]
            if reached <= value:
                own, moved = own + step, True
                damping = max(damping * 0.2, 1e-7)
                break
            damping *= 6.0
        if not moved:
            break
    return own, log_likelihood(here), matrix


@jit
def shared_score(own: Any, shared: Any, origin: float, seen: Any, sign: Any, move: Any) -> Any:
    """Gradient of one device's likelihood in the shared numbers, and the Fisher information (own, shared)."""
    n, size, first = seen.size, shared.size, own.size
    here = np.empty((2, n))
    innovations(own, shared, origin, seen, sign, move, here)
    found = slopes(own, shared, origin, seen, sign, move, 0, first + size)
    gradient, matrix = np.zeros(size), _squares(found, here[1])
    for k in range(n):
        total = here[1, k]
        if total > 0.0:
            for i in range(first, first + size):
                change = found[i, 1, k] / total
                gradient[i - first] -= here[0, k] * found[i, 0, k] / total
                gradient[i - first] -= 0.5 * change * (1.0 - here[0, k] ** 2 / total)
                for j in range(first, first + size):
                    matrix[i, j] += 0.5 * change * found[j, 1, k] / total
    return gradient, matrix
