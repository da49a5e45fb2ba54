"""What would settle an undecided verdict, in sentences with the options that ask for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from neurosim.core.errors import NeurosimError
from neurosim.report.text import percent
from neurosim.report.verdict import ANSWERED
from neurosim.study.statistics import Chips, chips_of, paired
from neurosim.study.statistics.learning import Learning
from neurosim.study.statistics.settling import MOST_TIMES, Bar, Settling, settling

ONE_CHIP = "One chip tells nothing of others: ask with three or more, --seeds 3."
_OPTION = re.compile(r"--[a-z][a-z-]*(?: \d+)?")
NO_LEARNING = (
    "Ideal arithmetic itself does not learn here, so there is nothing to keep: more images to learn from "
    "(--train-images), another data set (--dataset), or more epochs in the experiment file."
)


def with_options(said: str) -> Markup:
    """Return a sentence for a page whose options of a command stand as code, in one piece."""
    return Markup(_OPTION.sub(r'<code class="nb">\g<0></code>', str(escape(said))))


def learning_of(runs: Sequence[Mapping[str, Any]], device: str, score: str) -> Learning | None:
    """Return what an arm and ideal arithmetic learnt by one score; None without the runs before learning.

    Parameters
    ----------
    runs : sequence of mapping
        Of a study, those of all arms; before learning is what a run says as ``untrained``, or an arm called ", untrained".
    device : str
        Name of the arm.
    score : str
    """
    names = (device, f"{device}, untrained", "ideal", "ideal, untrained")
    by_arm = {name: [dict(run) for run in runs if run["arm"] == name] for name in names}
    apart = bool(by_arm[names[1]])
    arms = [by_arm[name if apart else name.removesuffix(", untrained")] for name in names]
    if not all(arms) or not (apart or all("untrained" in run for arm in arms for run in arm)):
        return None
    try:
        four: list[Chips] = [
            chips_of(own, score, not apart and name.endswith("untrained"))
            for name, own in zip(names, paired(*arms), strict=True)
        ]
        return Learning(*four)
    except (NeurosimError, KeyError):
        return None


FEW = 10
"""Below so many chips a forecast says how little it is worth."""


def settles(learning: Learning, available: int | None = None, dataset: str = "the data set") -> str:
    """Return what would settle an undecided verdict; "" where it is decided.

    Parameters
    ----------
    learning : Learning
    available : int, optional
        Test images that the data set has; None: nobody knows.
    dataset : str
        What it is called.
    """
    if learning.verdict().answer != "undecided":
        return ""
    found = settling(learning)
    if found is None:
        return ONE_CHIP if learning.gap.chips < 2 else _nothing_to_keep(learning)
    why = "; ".join(_why(bar) for bar in found.bars)
    ways = [_by_chips(found), _by_images(found, available, dataset)]
    known = [way for way in ways if way]
    lead = f"{why[:1].upper()}{why[1:]}. "
    if not known and found.both is None:
        return f"{lead}Not even {MOST_TIMES} times as many seeds and test images would settle it: the limit is too near."
    if found.both is not None and not known:
        chips, images = found.both
        chips = rounded(chips)
        known = [
            f"about {chips:,} seeds with {rounded(images):,} test images (--seeds {chips}, and --dataset, one that has as many)"
        ]
    few = (
        f" {found.had[0]} chips are few: their means may move, and the answer with them."
        if found.had[0] < FEW
        else ""
    )
    return f"{lead}If the means stay, {', or '.join(known)} would settle it, and it would be: {ANSWERED[found.answer]}.{few}"


def _nothing_to_keep(learning: Learning) -> str:
    """Where what ideal arithmetic gains is not told apart from nothing: it does not learn, or the seeds are few."""
    found = learning.verdict()
    if found.more_chips is None:
        return NO_LEARNING if learning.possible.value <= 0 else f"{found.seen} {found.decides}"
    chips = rounded(learning.possible.chips + found.more_chips)
    return f"{found.seen} If the means stay, about {chips:,} seeds (--seeds {chips}) would tell it apart."


def rounded(count: int) -> int:
    """Return a number that is an estimate with two digits, not below it."""
    unit = int(10 ** max(0, len(str(count)) - 2))
    return -(-count // unit) * unit


def _why(bar: Bar) -> str:
    away, reaches = percent(bar.away), percent(bar.reaches)
    of = {
        "gap": f"the gap is {away} points away from the limit of {percent(bar.bar, 0)} point",
        "keeps": f"what it gains is {away} points away from the limit of {percent(bar.bar, 0)} % of the learning",
        "fails": f"what it gains is {away} points away from the limit of {percent(bar.bar, 0)} % of the learning",
        "learns": f"what it gains is {away} points away from nothing",
    }[bar.name]
    return f"{of}, but its 95 % interval extends {reaches} points in that direction"


def _by_chips(found: Settling) -> str:
    if found.chips is None:
        return ""
    chips = rounded(found.chips)
    return f"about {chips} seeds in place of {found.had[0]} (--seeds {chips})"


def _by_images(found: Settling, available: int | None, dataset: str) -> str:
    if found.images is None:
        return ""
    images = rounded(found.images)
    said = f"about {images:,} test images in place of {found.had[1]:,}"
    if available is not None and images <= available:
        return f"{said} (--test-images {images})"
    has = "" if available is None else f"; {dataset} has {available:,}"
    return f"{said} (--dataset, one that has as many{has})"
