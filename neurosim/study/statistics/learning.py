"""Share of the learning that a device keeps, with its interval, and the verdict that follows."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

from scipy.optimize import brentq

from neurosim.study.statistics.crossed import SURE, Chips, Contrast, Crossed

KEEPS, FAILS, WITHIN = 0.90, 0.50, 0.01
"""Shares of the learning from which the answer is yes and below which it is no; the gap that a yes allows."""
MOST_CHIPS = 1000
"""So many chips in all are looked ahead."""
Answer = Literal["yes", "less", "no", "undecided"]
_FAR = 1e6
_MORE = "take more test images."
_LEARN = "Take more chips and more test images, or let it learn for longer."


@dataclass(frozen=True)
class Kept:
    """Share of the learning kept, with its 95 % interval for new chips and new images.

    Parameters
    ----------
    share : float or None
        What the device gains over its untrained array, divided by what ideal arithmetic gains; None where ideal
        arithmetic gains nothing.
    interval : (low, high) or None
        None where what ideal arithmetic gains is not told apart from zero: then any share is possible.
    chips_known : bool
        False of a single chip: the interval is that of new images for this very chip.
    images_known : bool
        False where a table of right answers was not kept: the interval is wider than it need be.
    """

    share: float | None
    interval: tuple[float, float] | None
    chips_known: bool
    images_known: bool


@dataclass(frozen=True)
class Verdict:
    """Whether the device is as good as ideal arithmetic.

    Parameters
    ----------
    answer : {"yes", "less", "no", "undecided"}
        "less": it learns, and not as well.
    seen : str
        Share of the learning kept and gap, with their intervals, in a sentence.
    decides : str
        What would decide an undecided verdict, in a sentence; else empty.
    more_chips : int or None
        About how many more chips would decide it; None where it is decided or chips cannot.
    """

    answer: Answer
    seen: str
    decides: str = ""
    more_chips: int | None = None


class Learning:
    """Device and ideal arithmetic, before and after learning.

    Parameters
    ----------
    device, untrained_device, ideal, untrained_ideal : Chips
        Paired: the k-th chip of all four has the same seed.
    """

    def __init__(self, device: Chips, untrained_device: Chips, ideal: Chips, untrained_ideal: Chips):
        self._crossed = Crossed([device, untrained_device, ideal, untrained_ideal])
        self.gap = self._crossed.contrast([-1, 0, 1, 0])
        self.possible = self._crossed.contrast([0, 0, 1, -1])

    def beyond(self, share: float) -> Contrast:
        """Return what the device gains, minus a share of what ideal arithmetic gains."""
        return self._crossed.contrast([1, -1, -share, share])

    def kept(self) -> Kept:
        """Return the share of the learning kept.

        Notes
        -----
        The interval has every share that is not refuted, as Fieller's has: of which the device's gain minus that
        share of ideal's gain is not told apart from zero. Where ideal's gain itself is not, no share is refuted.

        References
        ----------
        E. C. Fieller, Some problems in interval estimation, J. R. Stat. Soc. B 16 (1954) 175-185.
        """
        possible = self.possible.value
        share = self.beyond(0).value / possible if possible > 0 else None
        found = None
        if share is not None and self.possible.p_value() < 1 - SURE:
            found = self._limit(share, -1), self._limit(share, 1)
        return Kept(share, found, self.gap.chips > 1, self.gap.images_known and self.possible.images_known)

    def _limit(self, share: float, side: int) -> float:
        def open_to(distance: float) -> float:
            low, high = self.beyond(share + side * distance).interval()
            return high if side > 0 else -low

        far = 1e-3
        while open_to(far) > 0 and far < _FAR:
            far *= 2
        return share + side * float(brentq(open_to, 0.0, far)) if far < _FAR else side * _FAR

    def verdict(self) -> Verdict:
        """Return whether the device does, and if that is open what would decide it (`settling`).

        Returns
        -------
        verdict : Verdict
            "yes" asks that the lower end of the interval of the learning kept is at least `KEEPS`, and the upper end of that
            of the gap to ideal at most `WITHIN`; "no" that the upper end of the learning kept is below `FAILS`; "less" that
            its lower end is above nothing, and its upper end below `KEEPS` or the lower end of the gap above `WITHIN`. A yes
            or a no is wrong of 2.5 % of all devices at the edge at most, a "less" of 5 % (two bars). One chip alone is
            undecided.
        """
        from neurosim.study.statistics.settling import settling

        kept = self.kept()
        if kept.interval is None or kept.share is None:
            return self._nothing_to_keep()
        seen = _seen(kept.share, kept.interval, self.gap)
        if self.gap.chips < 2:
            return Verdict("undecided", seen, "One chip tells nothing of others: take three or more.")
        if (found := self.answer()) != "undecided":
            return Verdict(found, seen)
        settled = settling(self)
        if settled is None or settled.chips is None:
            return Verdict("undecided", seen, f"Even {MOST_CHIPS} chips would not decide: {_MORE}")
        more = settled.chips - self.gap.chips
        return Verdict("undecided", seen, f"About {_chips(more)} would decide.", more)

    def answer(self, chips: int | None = None) -> Answer:
        """Return the answer alone, of so many chips with the same means and variances; None: of those there are."""
        gap, enough = self.gap.interval(chips), self.beyond(KEEPS).interval(chips)
        if enough[0] >= 0 and gap[1] <= WITHIN:
            return "yes"
        if self.beyond(FAILS).interval(chips)[1] < 0:
            return "no"
        worse = enough[1] < 0 or gap[0] > WITHIN
        return "less" if worse and self.beyond(0).interval(chips)[0] > 0 else "undecided"

    def _nothing_to_keep(self) -> Verdict:
        """What is said where what ideal arithmetic gains is not told apart from nothing."""
        gains = self.possible
        if gains.value <= 0:
            return Verdict("undecided", "Ideal arithmetic itself does not learn here.", _LEARN)
        low, high = (f"{100 * end:z.1f}" for end in gains.interval())
        seen = (
            f"Ideal arithmetic gains {100 * gains.value:z.1f} points by learning (95 %: {low} to {high}), which is not told "
            "apart from nothing."
        )
        if gains.chips < 2:
            return Verdict("undecided", seen, "One chip tells nothing of others: take three or more.")
        chips = range(gains.chips, MOST_CHIPS + 1)
        more = bisect_left(chips, True, key=lambda many: gains.interval(many)[0] > 0)
        if more == len(chips):
            return Verdict("undecided", seen, _LEARN)
        return Verdict("undecided", seen, f"About {_chips(more)} would tell it apart.", more)


def _chips(more: int) -> str:
    return f"{more} more {'chip' if more == 1 else 'chips'}"


def _seen(share: float, interval: tuple[float, float], gap: Contrast) -> str:
    """What is seen, in a sentence."""
    low, high = (100 * end for end in interval)
    ends = " to ".join(f"{100 * end:z.1f}" for end in gap.interval())
    return (
        f"It keeps {100 * share:.0f} % of the learning (95 %: {low:z.0f} to {high:z.0f}), with a gap to ideal of "
        f"{100 * gap.value:z.1f} points (95 %: {ends})."
    )


def learning_kept(device: Chips, untrained_device: Chips, ideal: Chips, untrained_ideal: Chips) -> Kept:
    """Share of the learning that the device keeps; see `Learning.kept`."""
    return Learning(device, untrained_device, ideal, untrained_ideal).kept()


def verdict(device: Chips, untrained_device: Chips, ideal: Chips, untrained_ideal: Chips) -> Verdict:
    """Whether the device does what ideal arithmetic does; see `Learning.verdict`."""
    return Learning(device, untrained_device, ideal, untrained_ideal).verdict()
