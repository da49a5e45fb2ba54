"""The minutes that an assessment may take: what fits in, what does not, and what is said of it beforehand."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

from neurosim.core.errors import NeurosimError
from neurosim.data.dataset import Dataset
from neurosim.study.blocks import Store
from neurosim.study.run_times import RunTimes, listed, minutes_words
from neurosim.study.sweep import Plan

PAGE_S = 15.0
"""Seconds that are left for the pages in the end."""
NAMES = {
    "learning": "whether rules learn",
    "effects": "which effects cost most",
    "requirements": "what would be enough",
}
"""Parts of an assessment in the words of a forecast."""


class Late(NeurosimError):
    """The budget is over."""


class Budget:
    """Minutes from a moment on.

    Parameters
    ----------
    minutes : float
    begun : float
        When they began (`time.monotonic`).

    Attributes
    ----------
    slower : float
        How much longer things took than was estimated, by what has been carried out.
    """

    def __init__(self, minutes: float, begun: float):
        self.minutes, self.begun, self.slower = minutes, begun, 1.0

    @property
    def left_s(self) -> float:
        """Seconds that are left, but for those of the pages."""
        return self.begun + 60 * self.minutes - PAGE_S - time.monotonic()

    def holds(self, seconds: float) -> bool:
        """Whether so many seconds, as they were estimated, can be begun and ended before it is over."""
        return seconds * self.slower <= self.left_s

    def fits(self, seconds: float) -> bool:
        """Whether a part may be begun: it holds, or nothing of it is left to be computed."""
        return not seconds or self.holds(seconds)

    def learn(self, estimated: float, took: float) -> None:
        """Take from what was carried out how good estimates are on this machine now; of a second or less nothing."""
        if estimated > 1:
            self.slower = took / estimated

    def check(self) -> None:
        """Raise `Late` if nothing further may be computed."""
        if self.left_s < 0:
            raise Late(f"the {self.minutes:g} minutes of the budget are over")


def of_blocks(plan: Plan, out: Path, times: RunTimes, data: Dataset, once_more: int = 0) -> float:
    """Return the seconds of the blocks of a sweep that are not finished in its folder.

    Parameters
    ----------
    plan : Plan
    out : Path
    times : RunTimes
        Each block takes what its arm takes as given, whatever its level.
    data : Dataset
    once_more : int
        Blocks on devices that come after them, if any are left.
    """
    store = Store(plan, out)
    missing = store.missing()
    if not missing:
        return 0.0
    (arm, *_) = plan.experiment.device_arms()
    on_device = times.of_run(plan.experiment, arm, data)
    return times.shared(on_device * (len(missing) + once_more))


def said_beforehand(
    budget: Budget, seconds: Mapping[str, float], seeds: int, fewest_s: float | None, drawn: bool = False
) -> str:
    """Return the forecast in sentences, and if the budget cannot hold what would be the least.

    Parameters
    ----------
    budget : Budget
    seconds : mapping
        Of each of `NAMES`.
    seeds : int
    fewest_s : float, optional
        Seconds of learning with two seeds and no drawn cards.
    drawn : bool
        Whether there are any.
    """
    parts = [(NAMES[name], each) for name, each in seconds.items() if each]
    if not parts:
        return "Everything is finished in this folder already."
    spent = time.monotonic() - budget.begun
    said = f"Estimated from measured steps: {listed(parts)}, pages {minutes_words(PAGE_S)}"
    said += f"; {minutes_words(spent)} are spent, and --minutes is {budget.minutes:g}."
    if budget.holds(seconds["learning"]):
        return said
    least = math.ceil((spent + seconds["learning"] + PAGE_S) / 6) / 10
    said += (
        f" --minutes {budget.minutes:g} cannot hold: whether rules learn is always asked, and with {seeds} seeds "
        f"that takes --minutes {least:g} at least"
    )
    if fewest_s is not None:
        said += f"; with --seeds 2{' --draws 0' if drawn else ''} it takes {math.ceil((spent + fewest_s + PAGE_S) / 6) / 10:g}"
    return f"{said}."
