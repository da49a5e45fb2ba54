"""The mean curve of a card against that of the data: runs of equal pulses, averaged over devices."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from neurosim.devices.fitting.resampled import simulated
from neurosim.devices.fitting.tables import Pulses
from neurosim.devices.law import Law

Signs = tuple[int, ...]
Runs = NDArray[np.float64]
_SHORTEST = 5
"""Pulses of a run that has a curve."""
_SHARED = 0.5
"""So many runs for each device have the same pulses: one device alone may be far from the mean."""
_GAP = 0.04
"""Largest gap of the mean curve that is not told, as a share of the range of the data."""
_SURE = 4.0
"""A gap is told if it is more standard errors than this, or than what is as rare in as many runs as are compared."""
_SETS = 20
"""Simulated for the card's mean curve."""


def runs(pulses: Pulses) -> dict[Signs, Runs]:
    """Return the conductances (pulses + 1, runs) of all runs of the same pulses, where nothing is missing within."""
    found: dict[Signs, list[NDArray[np.float64]]] = {}
    for trace in pulses.traces:
        starts = [*np.flatnonzero(trace.sign == 0), len(trace.sign)]
        for first, last in itertools.pairwise(starts):
            if last - first > 1:
                signs = tuple(int(sign) for sign in trace.sign[first + 1 : last])
                found.setdefault(signs, []).append(trace.conductance_uS[first:last])
    return {signs: np.stack(each, axis=1) for signs, each in found.items()}


def gap_of_curves(device: Law, pulses: Pulses) -> str | None:
    """Say where the mean curve of a card misses the data; None where it does not, or nothing tells.

    A device of a law of small steps; its curves are those of fresh devices, each run begun where the measured one was.
    """
    shared = _SHARED * len(pulses.traces)
    measured = {
        s: each for s, each in runs(pulses).items() if len(s) >= _SHORTEST and each.shape[1] >= shared
    }
    if not measured:
        return None
    sets = [runs(simulated(device, pulses, seed)) for seed in range(_SETS)]
    range_uS = float(np.ptp(np.concatenate([each.ravel() for each in measured.values()])))
    least = float(stats.t.isf(stats.t.sf(_SURE, _SETS - 1) / len(measured), _SETS - 1))
    worst: tuple[float, Signs, int] | None = None
    for signs, each in measured.items():
        means = np.stack([one[signs].mean(axis=1) for one in sets], axis=1)
        gap = np.abs(each.mean(axis=1) - means.mean(axis=1))
        sure = gap > least * means.std(axis=1, ddof=1) * np.sqrt(1 + 1 / _SETS)
        share = np.where(sure, gap, 0.0) / range_uS
        at = int(share.argmax())
        if share[at] > _GAP and (worst is None or share[at] > worst[0]):
            worst = float(share[at]), signs, at
    if worst is None:
        return None
    share_of_range, signs, at = worst
    kind = "SET" if signs[at - 1] > 0 else "RESET"
    nth = Counter(signs[:at])[signs[at - 1]]
    return (
        f"The mean curve of the card misses the data by {100 * share_of_range:.0f} % of their range, most at {kind} pulse "
        f"{nth} of a run: the devices do something that {device.law} does not; a card of measured curves "
        "(neurosim.devices.steps_of) follows them."
    )
