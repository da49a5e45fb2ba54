"""The largest likelihood of a law of small steps: by which laws are ranked, and not by that of the numbers on the card.

A device's own numbers are fitted by squares of errors alone (`neurosim.devices.fitting.filtering`), and noise to what they
leave over, so that chance is not taken for a bound and devices' own numbers not for less noise. Both leave the likelihood below
its maximum, by hundreds where noise is as large as the window, and by more for one law than for another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurosim.devices.fitting.filtering import OWN, innovations, log_likelihood, slopes
from neurosim.devices.fitting.likelihood import bound_gains, without_own
from neurosim.devices.fitting.population import Values
from neurosim.devices.fitting.result import Largest
from neurosim.devices.fitting.tables import Trace
from neurosim.kernels.jit import jit, share

_LOOSE = 1e-2
"""Holds what a trace does not tell where it starts, as an inverse variance of logarithms."""
_ENOUGH = 0.02
"""Gain of the logarithm at which the search ends."""
_CYCLE, _WRITE = 0, 1
"""Places of the two noises among the shared numbers."""
_FIFTH = float(np.log(5.0))


@jit
def _scored(numbers: Any, shared: Any, origin: float, seen: Any, sign: Any, move: Any, last: int) -> Any:
    """Gradient and Fisher information of the likelihood in the first `last` of (own, shared)."""
    here = np.empty((2, seen.size))
    innovations(numbers, shared, origin, seen, sign, move, here)
    found = slopes(numbers, shared, origin, seen, sign, move, 0, last)
    gradient, matrix = np.zeros(last), np.zeros((last, last))
    for k in range(seen.size):
        total = here[1, k]
        if total > 0.0:
            for i in range(last):
                wider = found[i, 1, k] / total
                gradient[i] -= here[0, k] * found[i, 0, k] / total
                gradient[i] -= 0.5 * wider * (1.0 - here[0, k] ** 2 / total)
                for j in range(i + 1):
                    matrix[i, j] += found[i, 0, k] * found[j, 0, k] / total
                    matrix[i, j] += 0.5 * wider * found[j, 1, k] / total
    for i in range(last):
        for j in range(i):
            matrix[j, i] = matrix[i, j]
    return gradient, matrix


@jit
def _climbed(start: Any, shared: Any, origin: float, seen: Any, sign: Any, move: Any) -> Any:
    """Own numbers of one device where its likelihood is largest, and its logarithm."""
    own, damping, out = start.copy(), 1e-2, np.empty((2, seen.size))
    innovations(own, shared, origin, seen, sign, move, out)
    value = log_likelihood(out)
    for _ in range(40):
        gradient, matrix = _scored(own, shared, origin, seen, sign, move, own.size)
        matrix += _LOOSE * np.eye(own.size)
        gained = 0.0
        for _ in range(8):
            step = np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)), gradient)
            step *= min(1.0, 0.4 / max(np.max(np.abs(step)), 1e-12))
            innovations(own + step, shared, origin, seen, sign, move, out)
            reached = log_likelihood(out)
            if reached > value:
                own, gained, value = own + step, reached - value, reached
                damping = max(damping * 0.2, 1e-7)
                break
            damping *= 6.0
        if gained < _ENOUGH / 10:
            break
    return own, value


def largest_likelihood(
    traces: Sequence[Trace],
    move: Callable[..., Any],
    origin: float,
    own: Values,
    shared: Values,
    free: Sequence[int],
) -> Largest:
    """Return the largest likelihood near fitted numbers, whichever these are.

    Where noise is larger than a step, much of it can be taken for noise of the reads, and steps for larger: so it is looked for from
    less of either noise as well.

    Parameters
    ----------
    traces : sequence of Trace
    move : callable
        The law's pulse, as in `neurosim.devices.fitting.filtering`.
    origin : float
        Conductance in uS from which bounds are counted.
    own : (devices, 4) array
        Fitted numbers of each device.
    shared : (m,) array
        Fitted numbers of all.
    free : sequence of int
        Those of the shared numbers that are not held.
    """
    starts = [shared]
    if shared[_CYCLE] > 0:
        for place in {_CYCLE, _WRITE} & set(free):
            starts.append(shared.copy())
            starts[-1][place] -= _FIFTH
    climbed = [_climbed_together(traces, move, origin, own, start, list(free)) for start in starts]
    each, own, shared = max(climbed, key=lambda found: float(found[0].sum()))
    worth = 0.5 * np.log(max(2, sum(int(np.count_nonzero(t.sign)) for t in traces)))
    gains = bound_gains(traces, own, each, shared, origin, move)
    lost = gains[gains < worth]
    value = float(each.sum())
    return Largest(value, value - float(lost.sum()), own.size + len(free) - lost.size)


def _climbed_together(
    traces: Sequence[Trace],
    move: Callable[..., Any],
    origin: float,
    own: Values,
    shared: Values,
    at: list[int],
) -> tuple[Values, Values, Values]:
    """The largest logarithm of each device that is reached from here, and the numbers of devices and of all there."""
    shared, nearer = shared.copy(), own.copy()
    for k, trace in enumerate(traces):
        g = trace.conductance_uS
        least = 1e-3 * float(np.ptp(g))
        nearer[k, 2:] = np.log(np.maximum([g.max() - origin, origin - g.min()], least))

    def climbed(shared: Values, starts: Sequence[Values]) -> tuple[Values, Values]:
        def one(k: int) -> Any:
            t = traces[k]
            tried = [_climbed(s[k], shared, origin, t.conductance_uS, t.sign, move) for s in starts]
            return max(tried, key=lambda found: float(found[1]))

        found = list(share(one, range(len(traces))))
        return np.array([row for row, _ in found]), np.array([value for _, value in found])

    own, each = climbed(shared, (own, nearer))
    for _ in range(30 if at else 0):
        step = _common_step(traces, move, origin, own, shared, at)
        gained = 0.0
        for _ in range(6):
            moved = shared.copy()
            moved[at] += step
            again, reached = climbed(moved, (own,))
            if (by := float(reached.sum() - each.sum())) > 0:
                own, shared, gained, each = again, moved, by, reached
                break
            step = step / 4
        if gained < _ENOUGH:
            break
    return each, own, shared


def _common_step(
    traces: Sequence[Trace],
    move: Callable[..., Any],
    origin: float,
    own: Values,
    shared: Values,
    at: list[int],
) -> Values:
    """Newton's step of the free shared numbers, the devices' own following."""

    def one(k: int) -> Any:
        t = traces[k]
        return _scored(own[k], shared, origin, t.conductance_uS, t.sign, move, OWN + shared.size)

    gradient, matrix = (np.array(part) for part in zip(*share(one, range(len(own))), strict=True))
    left, _ = without_own(matrix, at, np.full(OWN, _LOOSE))
    step: Values = np.linalg.lstsq(
        left.sum(axis=0), gradient[:, [OWN + k for k in at]].sum(axis=0), rcond=1e-10
    )[0]
    return step * min(1.0, 0.7 / max(float(np.abs(step).max()), 1e-12))
