"""What would settle an undecided verdict: chips or test images until no interval reaches across a bar any more."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from neurosim.study.statistics.crossed import Contrast
from neurosim.study.statistics.learning import FAILS, KEEPS, MOST_CHIPS, WITHIN, Answer, Learning

MOST_IMAGES, MOST_TIMES = 1_000_000, 100
"""So many in all, as `MOST_CHIPS`, or so many times as many of both, are looked ahead."""
Name = Literal["gap", "keeps", "fails", "learns"]


@dataclass(frozen=True)
class Bar:
    """A bar that a verdict asks about, and how far from it what was seen lies.

    Parameters
    ----------
    name : {"gap", "keeps", "fails", "learns"}
        That of the gap to ideal, the share of the learning for a yes, that below which it is a no, or none of it.
    bar : float
        The gap, or the share.
    away : float
        How far the mean lies from it, in accuracy.
    reaches : float
        How far the 95 % interval of that mean reaches towards it.
    """

    name: Name
    bar: float
    away: float
    reaches: float

    @property
    def open(self) -> bool:
        """Whether the interval has the bar within it."""
        return self.reaches >= self.away


@dataclass(frozen=True)
class Settling:
    """What would settle a verdict, if means and variances stay as they are.

    Parameters
    ----------
    answer : {"yes", "less", "no"}
        What it would then be.
    bars : tuple of Bar
        Those that an interval still reaches across.
    chips, images : int or None
        How many in all, the other number as it is; None where that many alone would not do.
    both : (int, int) or None
        Chips and images, both by the same factor.
    had : (int, int)
        Chips and images that there are.
    """

    answer: Answer
    bars: tuple[Bar, ...]
    chips: int | None
    images: int | None
    both: tuple[int, int] | None
    had: tuple[int, int]


def settling(learning: Learning) -> Settling | None:
    """Return what would settle the verdict on a device (`neurosim.study.statistics.Learning.verdict`).

    Parameters
    ----------
    learning : Learning

    Returns
    -------
    found : Settling or None
        None where nothing is to be settled by numbers: ideal arithmetic itself is not seen to learn, so that the net or its
        training is to be changed; or one chip alone, of which nobody knows how others spread.

    Notes
    -----
    Intervals of more chips or images are those to be expected with the same value and variances. More images make what chance of
    images each chip has for itself smaller too, which is part of the spread from chip to chip.
    """
    gap, keeps, fails, learns = (
        learning.gap, learning.beyond(KEEPS), learning.beyond(FAILS), learning.beyond(0)
    )  # fmt: skip
    if gap.chips < 2 or learning.kept().interval is None:
        return None
    answer: Answer = "less"
    if keeps.value >= 0 and gap.value <= WITHIN:
        answer = "yes"
    elif fails.value < 0:
        answer = "no"

    def clear(chips: int, images: int) -> bool:
        low_of_gap, high_of_gap = _interval(gap, chips, images)
        low, high = _interval(keeps, chips, images)
        if answer == "yes":
            return low >= 0 and high_of_gap <= WITHIN
        if (
            answer == "no"
        ):  # on the way there "less" may be shown first, which the same numbers then go beyond
            return _interval(fails, chips, images)[1] < 0
        return (high < 0 or low_of_gap > WITHIN) and _interval(learns, chips, images)[0] > 0

    asked: dict[Answer, tuple[Name, ...]] = {
        "yes": ("keeps", "gap"), "no": ("fails",), "less": ("learns", "keeps", "gap"),
    }  # fmt: skip
    at: dict[Name, tuple[Contrast, float, float]] = {
        "gap": (gap, WITHIN, WITHIN),
        "keeps": (keeps, KEEPS, 0.0),
        "fails": (fails, FAILS, 0.0),
        "learns": (learns, 0.0, 0.0),
    }
    seen = [_bar(name, *at[name]) for name in asked[answer]]
    if (
        answer == "less"
    ):  # either of the two bars of a yes is enough: the one that is nearest to being cleared
        nearest = max((bar for bar in seen[1:] if _missed(bar, *at[bar.name])), key=_clearness)
        seen = [seen[0], nearest]
    n, images = gap.chips, gap.images
    times = _first(1, MOST_TIMES, lambda factor: clear(factor * n, factor * images))
    return Settling(
        answer,
        tuple(bar for bar in seen if bar.open),
        _first(n, MOST_CHIPS, lambda chips: clear(chips, images)),
        _first(images, MOST_IMAGES, lambda count: clear(n, count)),
        None if times is None else (times * n, times * images),
        (n, images),
    )


def _interval(contrast: Contrast, chips: int, images: int) -> tuple[float, float]:
    """The interval to be expected of so many chips and images."""
    own = (1 - contrast.shared) * contrast.total
    spread = max(0.0, contrast.spread - own / contrast.images) + own / images
    few = min(contrast.spread, spread) if images >= contrast.images else spread
    return replace(contrast, images=images, spread=few).interval(chips)


def _bar(name: Name, contrast: Contrast, bar: float, null: float) -> Bar:
    low, high = contrast.interval()
    reaches = contrast.value - low if contrast.value >= null else high - contrast.value
    return Bar(name, bar, abs(contrast.value - null), reaches)


def _missed(bar: Bar, contrast: Contrast, _: float, null: float) -> bool:
    """Whether the mean lies on the side of a bar that a yes may not."""
    return contrast.value > null if bar.name == "gap" else contrast.value < null


def _clearness(bar: Bar) -> float:
    return bar.away / bar.reaches if bar.reaches else float("inf")


def _first(least: int, most: int, clear: Callable[[int], bool]) -> int | None:
    """The smallest number from `least` on with which it is clear; None: not even with `most`."""
    found = least + bisect_left(range(least, most + 1), True, key=clear)
    return found if found <= most else None
