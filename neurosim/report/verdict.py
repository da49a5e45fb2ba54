"""The verdict on an arm in a sentence: accuracy, gap and share of the learning kept, and what would decide it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from neurosim.report.text import MINUS, around, number, percent
from neurosim.study.statistics.learning import KEEPS, WITHIN

QUESTION = "As good as"
ANSWERED = {"yes": "yes", "less": "no, but it learns", "no": "no", "undecided": "undecided"}
"""Answers of a verdict in words: a "no" keeps less than half of the learning."""


def emphasised(said: str) -> Markup:
    """Return what is said of an arm for a page: a verdict at its beginning in bold, further lines small below it."""
    first, *more = said.split("\n")
    found = Markup()
    if first.startswith(QUESTION):
        answer, point, first = first.partition(". ")
        found = Markup("<b>") + escape(answer + point.strip()) + Markup("</b> ")
    found += escape(first)
    for line in more:
        found += Markup('<span class="more">') + escape(line.strip()) + Markup("</span>")
    return found


def with_ends(mean: float, ends: tuple[float, float] | None, unit: str, decimals: int = 1) -> str:
    """Return a mean with its unit and the ends of its interval: "88.1 % (86.0 to 90.0)"."""
    around_it = "" if ends is None else f" ({percent(ends[0], decimals)} to {percent(ends[1], decimals)})"
    return f"{percent(mean, decimals)} {unit}{around_it}"


def p_value(p: float) -> str:
    """Return a p value as it is written: "p = 0.012", "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {number(p, 3)}"


def answer_of(entry: Mapping[str, Any]) -> str:
    """Return the answer of an entry's verdict; that of an earlier version, which knew no "less", by its intervals."""
    decided = entry["verdict"]
    found: str = decided["answer"]
    kept, gap = entry.get("accuracy_learning_kept_interval"), entry.get("gap_interval")
    if found != "undecided" or not kept or not gap or decided.get("decides", "").startswith("One "):
        return found
    return "less" if kept[0] > 0 and (kept[1] < KEEPS or gap[0] > WITHIN) else found


def verdict(entry: Mapping[str, Any], against: str = "ideal arithmetic", name: str = "accuracy") -> str:
    """Return what a summary says of one arm, the verdict first; how many chips are as good on a line of its own.

    Parameters
    ----------
    entry : mapping
        With what `neurosim.study.statistics.compared` returns, and ``missing`` where a control is.
    against : str
        What the arm is compared with.
    name : str
        Of the mean.
    """
    parts = []
    decided = entry.get("verdict")
    if decided is not None:
        parts.append(f"{QUESTION} {against}: {ANSWERED[answer_of(entry)]}.")
    parts.append(f"{_seen(entry, against, name)}.")
    if decided is not None and entry.get("accuracy_learning_kept_interval") is None:
        seen = re.sub(r"-(?=\d)", MINUS, decided["seen"])
        parts.append(seen.replace("Ideal arithmetic", f"{against[:1].upper()}{against[1:]}"))
    if decided is not None and decided.get("decides") and answer_of(entry) == "undecided":
        parts.append(decided["decides"])
    if entry.get("missing"):
        parts.append(f"No verdict: {entry['missing']}.")
    if entry.get("yield") and entry["yield"]["chips"] > 1:
        return f"{' '.join(parts)}\n{entry['yield']['verdict'][:-1]}, a point below {against}."
    return " ".join(parts)


def _seen(entry: Mapping[str, Any], against: str, name: str) -> str:
    said = with_ends(entry[f"{name}_mean"], around(entry, name), "%")
    gap = entry.get("gap_to_ideal_mean")
    if gap is not None:
        p = entry.get("gap_p")
        told = "" if p is None else f", {p_value(p)}"
        said += f", a gap of {with_ends(gap, around(entry, 'gap'), 'points')} to {against}{told}"
    kept = entry.get("accuracy_learning_kept_interval")
    if kept is not None:
        said += f", {with_ends(entry['accuracy_learning_kept'], kept, '%', 0)} of the learning kept"
    return said
