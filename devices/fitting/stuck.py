"""Devices that do not answer to pulses: where they stand, apart from those that do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neurosim.devices.fitting.tables import Pulses, Trace, moves

STILL = 0.02
"""A device whose conductance varies less than this share of the median device's does not answer ..."""
_WEAK, _SURE, _CLEAR = 0.1, 3.0, 4.0
"""... nor one whose trains of SET and RESET differ by less than this share of the median device's, and by less than so
many standard errors of read noise, if the median device's differ by so many of a walk with its noise of changes."""
_NAMED = 10


def without_stuck(pulses: Pulses) -> Pulses:
    """Take devices that do not answer to pulses out of the traces; their conductances and a note say where they stand.

    Parameters
    ----------
    pulses : Pulses

    Returns
    -------
    pulses : Pulses
        Its `traces` are the devices that answer, its `stuck_uS` the median conductances of the others.
    """
    still = _still(pulses.traces)
    if not still.any():
        return pulses
    answering = tuple(t for t, flag in zip(pulses.traces, still, strict=True) if not flag)
    stuck = [t for t, flag in zip(pulses.traces, still, strict=True) if flag]
    return replace(
        pulses,
        traces=answering,
        stuck_uS=tuple(sorted(float(np.median(t.conductance_uS)) for t in stuck)),
        notes=(*pulses.notes, _note(stuck, answering, pulses.source)),
    )


def _still(traces: Sequence[Trace]) -> NDArray[np.bool_]:
    """Whether each device stays where it is, beside the median of those that do not."""
    spread = np.array([trace.conductance_uS.std() for trace in traces])
    answer, error, walk = np.array([_answer(trace) for trace in traces]).T
    still = spread == 0
    for _ in traces:
        if still.all():
            break
        usual = float(np.median(answer[~still]))
        weak = (answer < _WEAK * usual) & (np.abs(answer) < _SURE * error)
        clear = usual > _CLEAR * float(np.median(walk[~still]))
        more = still | (weak & clear) | (spread < STILL * np.median(spread[~still]))
        if (more == still).all():
            break
        still = more
    found: NDArray[np.bool_] = spread == 0 if still.all() else still
    return found


def _answer(trace: Trace) -> tuple[float, float, float]:
    """By how much trains of SET and of RESET differ in their mean change; its errors, were all of it read noise, and
    were it a walk with noise in each step."""
    trains = [moves([trace], sign) for sign in (1, -1)]
    mean = [float(one.mean()) if one.size else 0.0 for one in trains]
    pulses = [int(np.count_nonzero(trace.sign == sign)) for sign in (1, -1)]
    change = np.diff(trace.conductance_uS)
    noise = [
        float(change[trace.sign[1:] == sign].var()) if count else 0.0
        for sign, count in zip((1, -1), pulses, strict=True)
    ]
    read = sum(2 / one.size for one in trains if one.size) * float(trace.conductance_uS.var())
    walk = sum(
        v * count / one.size**2 for v, count, one in zip(noise, pulses, trains, strict=True) if one.size
    )
    return mean[0] - mean[1], float(np.sqrt(read)), float(np.sqrt(walk))


def _note(stuck: Sequence[Trace], answering: Sequence[Trace], source: str) -> str:
    ordered = sorted(stuck, key=lambda trace: float(np.median(trace.conductance_uS)))
    places = [f"{np.median(trace.conductance_uS):.3g} (device {trace.device})" for trace in ordered]
    many = len(places) - _NAMED
    if many > 0:
        half = _NAMED // 2
        places = [*places[:half], f"{many} more between", *places[-half:]]
    listed = f"{', '.join(places[:-1])} and {places[-1]}" if len(places) > 1 else places[0]
    low = min(float(trace.conductance_uS.min()) for trace in answering)
    high = max(float(trace.conductance_uS.max()) for trace in answering)
    return (
        f"{source}: {len(stuck)} of {len(stuck) + len(answering)} devices not answering to pulses, standing at {listed} "
        f"uS; the others move between {low:.3g} and {high:.3g} uS. The card has the share and these conductances "
        "(p_stuck_measured, stuck_measured_uS); leave the devices out of the file if their contact was open or shorted."
    )
