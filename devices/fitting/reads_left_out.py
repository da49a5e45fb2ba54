"""Reads that say nothing of the device: glitches, and reads at the limit of the instrument.

A read is left out by what stands before it, never by its own value alone, wherever that would favour one outcome of
the noise: the reads that stay are those that the law would predict. What is left out is as a read that is missing:
the next one starts a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from neurosim.core.errors import DataError
from neurosim.devices.fitting.population import Values
from neurosim.devices.fitting.tables import FEWEST_PULSES, Pulses, Trace

Flags = NDArray[np.bool_]
_JUMP = 5.0
"""A glitch is so many robust standard deviations of a change away from the read before it and the one behind it ..."""
_BACK = 0.75
"""... which differ, beside what their pulses do, by less than this share of the way."""
_OUTSIDE = 2.0
"""Where the pulse back is a RESET after SETs, or none: it lies so many of these outside the device's range, at the start
of a run as many as it jumps."""
MOST_GLITCHES = 0.02
"""Share of reads; more are no glitches but noise."""
_FEWEST_CHANGES = 20
"""With fewer changes of a polarity a device's spread of changes is that of all devices."""
_NORMAL = 1.4826
"""Standard deviation of a normal over its median absolute deviation."""
_REPEATED, _OFTEN, _BEYOND = 5, 3, 0.01
"""A limit is one value read so often, and so many times as often as any other, with at most this share beyond."""
_STAYS, _BY_CHANCE = 0.1, 1e-3
"""Conductances lie beyond a limit if pulses that lead away from it leave more reads there than pulses of that polarity
turn the wrong way elsewhere: by this share at least, and where chance would make it in so few data sets."""
_CLEAR, _WIDEST = 0.99, 0.25
"""Margin to a limit: this quantile of the changes towards it, at most this share of the window."""
_NAMED = 6


@dataclass(frozen=True)
class _Limit:
    """One value at which the instrument stops."""

    value_uS: float
    side: int
    """+1 above, -1 below."""

    def reached(self, conductance_uS: Values) -> Flags:
        flags: Flags = conductance_uS == self.value_uS
        return flags

    def passed(self, conductance_uS: Values) -> Flags:
        flags: Flags = self.side * (conductance_uS - self.value_uS) > 0
        return flags


def without_doubtful_reads(pulses: Pulses) -> Pulses:
    """Leave out glitches and what stands at a limit of the instrument, each counted in a note.

    Parameters
    ----------
    pulses : Pulses

    Returns
    -------
    pulses : Pulses
        The same without these reads, with a note for each kind.

    Raises
    ------
    DataError
        If so many reads jump away and back that they are no glitches, or too few are left.
    """
    traces, source = pulses.traces, pulses.source
    told = _told(pulses)
    found, total = (
        [*told, *(one for one in limits(traces) if one not in told)],
        sum(trace.sign.size for trace in traces),
    )
    at = [
        np.logical_or.reduce([one.reached(t.conductance_uS) for one in found] or [_none(t)]) for t in traces
    ]
    differing = pulses.differing()
    glitches = [_none(t) for t in traces] if differing else _glitches(traces, at)
    for one in found:
        glitches = [bad | one.passed(t.conductance_uS) for t, bad in zip(traces, glitches, strict=True)]
    count = sum(int(flags.sum()) for flags in glitches)
    if count > MOST_GLITCHES * total:
        raise DataError(
            f"{source}: {count:,} of {total:,} reads ({100 * count / total:.2g} %) jump away and back within one pulse; "
            f"above {100 * MOST_GLITCHES:g} % they are no glitches but noise that no law here has: mend the contact or "
            "the range of the instrument, or average several reads of each pulse"
        )
    notes = [_glitch_note(traces, glitches, count, total, source)] if count else []
    if differing:
        notes.append(
            f"{source}: pulses of one polarity differ by {differing}, so reads that jump away and back were not looked for."
        )
    kept = [~flags for flags in glitches]
    for one in found:
        reached = sum(int(one.reached(t.conductance_uS).sum()) for t in traces)
        if one not in told and not _hides(one, traces):
            notes.append(
                f"{source}: {reached:,} of {total:,} reads are exactly {one.value_uS:g} uS, and the first pulse back leads "
                "away from it: taken for the devices' own bound. If it is a limit of the instrument, measure with another "
                "range."
            )
            continue
        margin = _margin(one, traces, at, glitches)
        beside = [_unclear(t, one, margin, bad) for t, bad in zip(traces, glitches, strict=True)]
        kept = [keep & ~flags for keep, flags in zip(kept, beside, strict=True)]
        near = sum(int(flags.sum()) for flags in beside) - reached
        word = "upper" if one.side > 0 else "lower"
        notes.append(
            f"{source}: {reached:,} of {total:,} reads are exactly {one.value_uS:g} uS, a limit of the instrument "
            f"(compliance, range): there the conductance is {'at least' if one.side > 0 else 'at most'} that. They and "
            f"{near:,} reads within {margin:.2g} uS of it, or just behind, are left out, so the {word} end of the window "
            "is where the law leads, or the outermost read that is left; measure with another range to see it."
        )
    kept = [keep | (np.ptp(t.conductance_uS) == 0) for t, keep in zip(traces, kept, strict=True)]
    left = tuple(without(trace, keep) for trace, keep in zip(traces, kept, strict=True))
    for trace in left:
        most = max(int(np.count_nonzero(trace.sign == sign)) for sign in (1, -1))
        if most < FEWEST_PULSES:
            raise DataError(
                f"{source}: device {trace.device} has {most} pulses of one polarity whose effect was seen, at least "
                f"{FEWEST_PULSES} are needed: {' '.join(notes)}"
            )
    return replace(pulses, traces=left, notes=(*pulses.notes, *notes))


def without(trace: Trace, kept: Flags) -> Trace:
    """Return a trace with some of its reads missing; what pulses were given in between is kept in `Trace.missed`."""
    if kept.all():
        return trace
    known = dict(trace.missed)
    sign, missed, last = [], [], -1
    for row in np.flatnonzero(kept):
        if row == last + 1:
            sign.append(int(trace.sign[row]))
            entry = known.get(int(row), 0)
        else:
            sign.append(0)
            entry = _sets(trace, known, last + 1, int(row))
        if entry:
            missed.append((len(sign) - 1, entry))
        last = int(row)
    volts, seconds = (None if of is None else of[kept] for of in (trace.volts, trace.seconds))
    return replace(
        trace, sign=np.array(sign, np.int8), conductance_uS=trace.conductance_uS[kept], missed=tuple(missed),
        volts=volts, seconds=seconds,
    )  # fmt: skip


def _sets(trace: Trace, known: dict[int, int], first: int, last: int) -> int:
    """SET pulses from `first` to `last`, negative those since a RESET or a start among them."""
    count, anew = 0, False
    for row in range(first, last + 1):
        sign, entry = int(trace.sign[row]), known.get(row, 0)
        if sign == 0 and entry > 0:
            count += entry
        elif sign <= 0:
            count, anew = -entry, True
        else:
            count += 1
    return -count if anew else count


def _none(trace: Trace) -> Flags:
    return np.zeros(trace.sign.size, np.bool_)


# Limits


def limits(traces: Sequence[Trace]) -> list[_Limit]:
    """Return the value near an end of all reads that is read so often that the instrument must have stopped there.

    Several devices must have it, where there are several; one that never moves is stuck, not limited.
    """
    moving = [trace.conductance_uS for trace in traces if np.ptp(trace.conductance_uS) > 0]
    if not moving:
        return []
    values, counts = np.unique(np.concatenate(moving), return_counts=True)
    up_to = np.cumsum(counts) / counts.sum()
    tails = {1: up_to >= 1 - _BEYOND, -1: up_to - counts / counts.sum() <= _BEYOND}
    ends = {side: int(np.argmax(np.where(tail, counts, 0))) for side, tail in tails.items()}
    usual = int(np.delete(counts, list(ends.values())).max(initial=0))
    found = []
    for side, place in ends.items():
        several = sum(np.count_nonzero(own == values[place]) > 1 for own in moving) >= min(2, len(moving))
        limit = _Limit(float(values[place]), side)
        often = counts[place] >= max(_REPEATED, _OFTEN * usual + 1)
        if ends[1] != ends[-1] and often and several and _stops_all(limit, traces):
            found.append(limit)
    return found


def _told(pulses: Pulses) -> list[_Limit]:
    """Limits that the instrument named itself: above or below most reads."""
    middle = float(np.median(np.concatenate([trace.conductance_uS for trace in pulses.traces])))
    return [_Limit(value, 1 if value > middle else -1) for value in pulses.limits_uS]


def _stops_all(limit: _Limit, traces: Sequence[Trace]) -> bool:
    """Whether reads of either polarity, and first ones, stop there but for few: a RESET may lead where no SET does."""
    sign = np.concatenate([trace.sign for trace in traces])
    beyond = np.concatenate([limit.passed(trace.conductance_uS) for trace in traces])
    kinds = [beyond[sign == kind] for kind in (1, -1, 0)]
    return all(np.count_nonzero(kind) <= max(1.0, _BEYOND * kind.size) for kind in kinds)


def _hides(limit: _Limit, traces: Sequence[Trace]) -> bool:
    """Whether devices go on beyond a limit: whether it takes more than one pulse back to see them again."""
    stayed, left, against, along = 0, 0, 0, 0
    for trace in traces:
        rows = np.flatnonzero(trace.sign == -limit.side)
        at = limit.reached(trace.conductance_uS)
        change = limit.side * (trace.conductance_uS[rows] - trace.conductance_uS[rows - 1])
        stayed += int(np.count_nonzero(at[rows - 1] & at[rows]))
        left += int(np.count_nonzero(at[rows - 1] & ~at[rows]))
        against += int(np.count_nonzero(~at[rows - 1] & (change >= 0)))
        along += int(np.count_nonzero(~at[rows - 1] & (change < 0)))
    if not stayed:
        return False
    usual = (against + 1) / (against + along + 2)
    chance = stats.binom.sf(stayed - 1, stayed + left, usual)
    return stayed / (stayed + left) > usual + _STAYS and bool(chance < _BY_CHANCE)


def _margin(limit: _Limit, traces: Sequence[Trace], at: Sequence[Flags], glitches: Sequence[Flags]) -> float:
    """How near to a limit a pulse may lead beyond it: by the changes towards it in the half of the window beside it."""
    reads = np.concatenate([t.conductance_uS[~(a | b)] for t, a, b in zip(traces, at, glitches, strict=True)])
    window = abs(limit.value_uS - float(np.quantile(reads, 0.005 if limit.side > 0 else 0.995)))
    towards = []
    for trace, a, b in zip(traces, at, glitches, strict=True):
        rows = np.flatnonzero(trace.sign != 0)
        rows = rows[~(a | b)[rows] & ~(a | b)[rows - 1]]
        change = limit.side * (trace.conductance_uS[rows] - trace.conductance_uS[rows - 1])
        near = limit.side * (limit.value_uS - trace.conductance_uS[rows - 1]) < window / 2
        towards.append(change[near & (change > 0)])
    together = np.concatenate(towards)
    return min(float(np.quantile(together, _CLEAR)) if together.size else 0.0, _WIDEST * window)


def _unclear(trace: Trace, limit: _Limit, margin: float, glitches: Flags) -> Flags:
    """Reads at a limit, and those whose read before is so near to it that only some of what may follow would be seen."""
    near = limit.side * (limit.value_uS - trace.conductance_uS) < margin
    alone = (trace.sign == 0) | np.append(False, glitches[:-1])
    flags: Flags = limit.reached(trace.conductance_uS) | np.where(alone, near, np.append(False, near[:-1]))
    return flags


# Glitches


def _glitches(traces: Sequence[Trace], at: Sequence[Flags]) -> list[Flags]:
    """Reads that lie far off the one before and the one behind, which agree; at an end of a run, far off all others."""
    usual = {}
    for sign in (1, -1):
        own = [_changes(trace, sign, flags) for trace, flags in zip(traces, at, strict=True)]
        usual[sign] = _spread(*(np.concatenate(parts) for parts in zip(*own, strict=True)))
    return [_glitches_of(trace, flags, usual) for trace, flags in zip(traces, at, strict=True)]


def _changes(trace: Trace, sign: int, at: Flags) -> tuple[Values, Values]:
    """Changes by pulses of one polarity between reads that are not at a limit, and how they differ from one pulse to the
    next, over the square root of two: their noise alone."""
    change = np.diff(trace.conductance_uS, prepend=np.nan)
    change[at | np.append(True, at[:-1]) | (trace.sign != sign)] = np.nan
    noise = np.diff(change) / np.sqrt(2)
    return change[~np.isnan(change)], noise[~np.isnan(noise)]


def _spread(changes: Values, noise: Values) -> tuple[float, float]:
    """Median and robust standard deviation of changes: of their noise, but at least half of all that they differ by;
    infinite without any."""
    if not changes.size:
        return 0.0, np.inf
    middle = float(np.median(changes))
    off = np.abs(changes - middle)
    all_of_it = _NORMAL * float(np.median(off)) or float(off.mean())
    alone = _NORMAL * float(np.median(np.abs(noise))) if noise.size >= _FEWEST_CHANGES else all_of_it
    return middle, max(alone, all_of_it / 2) or np.inf


def _glitches_of(trace: Trace, at: Flags, usual: dict[int, tuple[float, float]]) -> Flags:
    """What jumps away and back; what lies outside the device's range, too, where the pulse back is another or none."""
    g, sign = trace.conductance_uS, trace.sign
    centre, scale = np.zeros(sign.size), np.full(sign.size, np.inf)
    for one in (1, -1):
        changes, noise = _changes(trace, one, at)
        spread = _spread(changes, noise) if changes.size >= _FEWEST_CHANGES else usual[one]
        centre[sign == one], scale[sign == one] = spread
    off = np.where(sign != 0, np.diff(g, prepend=g[:1]) - centre, 0.0)
    back, onward = np.append(off[1:], 0.0), np.append(scale[1:], np.inf)
    opposite, both = off * back < 0, np.minimum(np.abs(off), np.abs(back))
    returns = opposite & (np.abs(off + back) < _BACK * both)
    jumps = returns & (np.abs(off) > _JUMP * scale) & (np.abs(back) > _JUMP * onward)
    starts, ends = sign == 0, np.append(sign[1:] == 0, True)
    least = _JUMP * np.where(starts, onward, scale)
    low, high = np.quantile(g, (0.05, 0.95))
    away = np.where(starts, np.abs(back), np.where(ends, np.abs(off), both)) > least
    beyond = np.maximum(low - g, g - high) > np.where(starts, least, least * (_OUTSIDE / _JUMP))
    outside = beyond & away & (starts | ends | opposite)
    found: Flags = (jumps | outside) & ~at
    return found


def _glitch_note(
    traces: Sequence[Trace], glitches: Sequence[Flags], count: int, total: int, source: str
) -> str:
    """Name what was left out, the largest first."""
    named = []
    for trace, flags in zip(traces, glitches, strict=True):
        middle = float(np.median(trace.conductance_uS))
        named += [
            (abs(float(trace.conductance_uS[row]) - middle), trace.device, int(row))
            for row in np.flatnonzero(flags)
        ]
    named.sort(reverse=True)
    rows = "; ".join(f"device {device}, pulse {row}" for _, device, row in named[1:_NAMED])
    more = f"; {count - _NAMED:,} more" if count > _NAMED else ""
    others = f"; others: {rows}{more}" if rows else ""
    return (
        f"{source}: {count:,} of {total:,} reads left out as glitches, which jump away and back within one pulse (or lie "
        "where no other read does, beyond a value at which reads stop): the "
        f"worst on device {named[0][1]}, pulse {named[0][2]}{others}. Check the contact if they are more than a few."
    )
