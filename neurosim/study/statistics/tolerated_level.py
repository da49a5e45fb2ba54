"""Up to which level of a disturbance a device keeps what it had, as far as the chips can tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from neurosim.core.errors import InputError
from neurosim.study.statistics.crossed import Chips, Contrast, Crossed


@dataclass(frozen=True)
class Tolerance:
    """The last level that keeps the share asked for, with a 95 % interval.

    Parameters
    ----------
    level : float
        Last level tried before the mean first falls below the share.
    low : float or None
        Last level that is shown to keep it, as all before it are; None of a single chip.
    high : float or None
        First level that is shown to lose it, as all after it are; None where even the last level is not: the
        tolerance may lie beyond it.
    enough : bool
        False where the interval spans the whole axis.
    verdict : str
        The same in words.
    """

    level: float
    low: float | None
    high: float | None
    enough: bool
    verdict: str


def tolerance(
    levels: Sequence[float],
    arms: Sequence[Chips],
    share: float = 0.99,
    untrained: Sequence[Chips] | None = None,
    falls: bool | None = None,
) -> Tolerance:
    """Find up to which level an arm keeps a share of what it has at the first level.

    Parameters
    ----------
    levels : sequence of float
        In the order of the axis, the undisturbed one first; they may fall, as bits of a converter do.
    arms : sequence of Chips
        The arm at each level, with the same seeds and images.
    share : float
        Share to keep, of the accuracy or of the learning.
    untrained : sequence of Chips, optional
        The arm before learning at each level. With it the share is that of the learning kept: (device - untrained
        device) / (ideal - untrained ideal), from which ideal arithmetic falls out, being the same at every level.
    falls : bool, optional
        Whether less is the harder, as of bits: then the words say how little is enough. Default: whether the last level
        is below the first.

    Returns
    -------
    found : Tolerance
        `low` and `high` are levels tried: between two levels nothing was seen, and nothing is interpolated.

    Raises
    ------
    InputError
        If there are fewer than two levels, or not one arm a level.

    Notes
    -----
    Each level is tested alone (`Crossed`), from the first one on until one is not shown to keep the share, and from
    the last one back until one is not shown to lose it. Tests in an order fixed beforehand, up to the first that
    fails, need no correction for their number: each end of the interval is wrong in 2.5 % of all cases at most,
    whether or not the curve falls all the way.

    References
    ----------
    W. Maurer, L. A. Hothorn and W. Lehmacher, Multiple comparisons in drug clinical trials and preclinical assays:
    a-priori ordered hypotheses, in Biometrie in der chemisch-pharmazeutischen Industrie 6, Fischer 1995.
    """
    if len(levels) < 2 or len(arms) != len(levels) or len(untrained or arms) != len(levels):
        raise InputError(f"levels: two or more are needed, and one arm for each of the {len(levels)}")
    falls = levels[0] > levels[-1] if falls is None else falls
    margins = _margins(arms, share, untrained)
    ends = [margin.interval() for margin in margins]
    last = len(levels) - 1
    level = max(0, _in_a_row(margin.value >= 0 for margin in margins) - 1)
    if margins[0].chips < 2:
        return Tolerance(
            levels[level], None, None, False, "Not enough chips to say: one tells nothing of others."
        )
    low = max(0, _in_a_row(end[0] >= 0 for end in ends) - 1)
    high = last + 1 - _in_a_row(end[1] < 0 for end in reversed(ends[1:]))
    return Tolerance(
        levels[level],
        levels[low],
        levels[high] if high <= last else None,
        low > 0 or high <= last,
        (_enough if falls else _words)(levels, level, low, high),
    )


def _margins(arms: Sequence[Chips], share: float, untrained: Sequence[Chips] | None) -> list[Contrast]:
    """What each level keeps beyond the share of the first; of the first level itself, what it has."""
    both = Crossed([*arms, *(untrained or ())])
    found = []
    for place in range(len(arms)):
        weights = [0.0] * len(both.mean)
        weights[place] = 1.0
        weights[0] -= share if place else 0.0
        if untrained:
            weights[len(arms) :] = [-weight for weight in weights[: len(arms)]]
        found.append(both.contrast(weights))
    return found


def _in_a_row(held: Iterable[bool]) -> int:
    """How many hold before the first that does not."""
    return sum(1 for _ in takewhile(bool, held))


def _words(levels: Sequence[float], level: int, low: int, high: int) -> str:
    last = len(levels) - 1
    first, end = f"{levels[0]:g}", f"{levels[-1]:g}"
    if low == last:
        return f"At least {end}, the last level tried."
    if low == 0 and high > last:
        return (
            f"Not enough chips to say: it may be anywhere from {first} to beyond {end}, the last level tried."
        )
    if high > last:
        return (
            f"{levels[level]:g} (95 %: at least {levels[low]:g}; "
            f"whether {end}, the last level tried, still does, these chips cannot tell)."
        )
    if high == 1:
        return f"None of the levels tried: below {levels[1]:g}."
    return f"{levels[level]:g} (95 %: at least {levels[low]:g}, below {levels[high]:g})."


def _enough(levels: Sequence[float], level: int, low: int, high: int) -> str:
    """The words where levels fall, as bits do: how little is enough."""
    last = len(levels) - 1
    first, end = f"{levels[0]:g}", f"{levels[-1]:g}"
    if low == last:
        return f"Even {end} is enough, the last level tried."
    if low == 0 and high > last:
        return (
            f"Not enough chips to say: {first} may be needed, and {end}, the last level tried, may be enough."
        )
    if high > last:
        return (
            f"{levels[level]:g} is enough (95 %: {levels[low]:g} is; "
            f"whether {end}, the last level tried, still is, these chips cannot tell)."
        )
    if high == 1:
        return f"{first} is needed, the most that was tried: {levels[1]:g} is not enough."
    return f"{levels[level]:g} is enough (95 %: {levels[low]:g} is, {levels[high]:g} is not)."
