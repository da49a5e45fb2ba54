"""How many of many chips stay above an accuracy."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats

from neurosim.study.statistics.crossed import SURE, Chips
from neurosim.study.statistics.seeds import wilson


@dataclass(frozen=True)
class Yield:
    """Share of chips that reach an accuracy, with an exact 95 % interval.

    Parameters
    ----------
    share, low, high : float
        Of all chips; the ends are Clopper's and Pearson's.
    chips : int
        How many were tried.
    unsure : int
        Chips whose own accuracy is so near the threshold that other test images could put them on its other side.
    verdict : str
        The same in words, of 1,000 chips.
    """

    share: float
    low: float
    high: float
    chips: int
    unsure: int
    verdict: str


def chip_yield(arm: Chips, threshold: float) -> Yield:
    """Share of all chips that reach an accuracy, from the few that were tried.

    Parameters
    ----------
    arm : Chips
        The chips, for example after some years.
    threshold : float
        Accuracy that a good chip has at least.

    Returns
    -------
    found : Yield

    Notes
    -----
    Each chip counts as the test images have it. On N images a chip's accuracy is known within about
    sqrt(p (1 - p) / N), and chips within this noise of the threshold are counted in `unsure` (95 %, Wilson). The
    interval is that of the chips alone and does not contain this noise.

    References
    ----------
    C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404-413.
    """
    good = int((arm.accuracies >= threshold).sum())
    ends = [wilson(float(accuracy), arm.images) for accuracy in arm.accuracies]
    unsure = sum(low < threshold <= high for low, high in ends)
    found = stats.binomtest(good, arm.count).proportion_ci(SURE, method="exact")
    words = (
        f"Of 1,000 chips about {1000 * good / arm.count:.0f} reach {round(100 * threshold, 2):g} % "
        f"(95 %: {1000 * found.low:.0f} to {1000 * found.high:.0f}; {good} of {arm.count} tried"
        f"{f', {unsure} of them too near to be sure with {arm.images} images' if unsure else ''})."
    )
    return Yield(good / arm.count, float(found.low), float(found.high), arm.count, unsure, words)
