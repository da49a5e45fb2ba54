"""Tables of chips and images from the runs of any kind of study, and what a summary says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from neurosim.core.errors import InputError, UnknownNameError
from neurosim.study.statistics.crossed import Chips, mean_accuracy, mean_gap
from neurosim.study.statistics.learning import WITHIN, Learning
from neurosim.study.statistics.yields import Yield, chip_yield
from neurosim.study.store import unpack_bits

Run = dict[str, Any]


def chips_of(runs: Sequence[Run], score: str | int = "accuracy", untrained: bool = False) -> Chips:
    """Return the runs of one arm, one a chip, as a table.

    Parameters
    ----------
    runs : sequence of dict
        Entries of the `runs` of any study.
    score : str or int
        A score of `compare` ("accuracy", "vote"), a readout of Forward-Forward ("goodness"), or the depth of a head
        of a deep network.
    untrained : bool
        Take the arm before learning.

    Returns
    -------
    arm : Chips
        With its table where every run kept which images were right.

    Raises
    ------
    UnknownNameError
        If a run has no such score.
    InputError
        If the runs were tested on different numbers of images.
    """
    sizes = {run["test_size"] for run in runs}
    if len(sizes) != 1:
        raise InputError(f"runs: tested on {sorted(sizes)} images; only runs on the same images go together")
    images = sizes.pop()
    found = [_score(run["untrained"] if untrained else run, score) for run in runs]
    bits = [unpack_bits(kept, images) for _, kept in found if kept is not None]
    table = np.array(bits) if len(bits) == len(runs) else None
    return Chips(np.array([accuracy for accuracy, _ in found]), images, table)


def chips_of_rows(rows: Sequence[Run], score: str = "accuracy") -> Chips:
    """Return rows of a sweep, those of one arm at one point, one a chip; the table is that of the headline alone.

    Parameters
    ----------
    rows : sequence of dict
    score : str
    """
    images = rows[0]["test_size"]
    bits = [unpack_bits(row["correct"], images) for row in rows if score == "accuracy" and row.get("correct")]
    table = np.array(bits) if len(bits) == len(rows) else None
    return Chips(np.array([row[score] for row in rows]), images, table)


def _score(run: Run, score: str | int) -> tuple[float, str | None]:
    """Accuracy and, where they were kept, the packed bits of one score."""
    heads = {head["depth"]: head for name in ("heads", "heads_beside") for head in run.get(name, ())}
    if isinstance(score, int) and score not in heads:
        raise UnknownNameError("depth", str(score), map(str, heads))
    if score in heads:
        return heads[score]["accuracy"], heads[score].get("correct")
    shares = {name: value for name, value in run.items() if isinstance(value, float)} | run.get(
        "readouts", {}
    )
    if score not in shares:
        raise UnknownNameError("score", str(score), shares)
    return shares[score], run.get("correct", {}).get(score)


def paired(*arms: Sequence[Run]) -> list[list[Run]]:
    """Return the runs of several arms with the seeds (and chips) that all of them have, in the same order."""
    by_chip = [{(run["seed"], run.get("chip")): run for run in runs} for runs in arms]
    shared = [chip for chip in by_chip[0] if all(chip in own for own in by_chip)]
    return [[own[chip] for chip in shared] for own in by_chip]


def decision(
    score: str | int,
    runs: Sequence[Run],
    ideal: Sequence[Run],
    controls: tuple[Sequence[Run], Sequence[Run]] | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Return what a summary says of one score for new chips and new images (`compared`).

    Parameters
    ----------
    score : str or int
        As of `chips_of`.
    runs, ideal : sequence of dict
        Runs of one arm, and those in ideal arithmetic; none for the ideal arm itself.
    controls : (runs, runs), optional
        Runs of the same two without learning; None: what the runs themselves say as ``untrained``.
    name : str, optional
        What the score is called in the result.
    """
    device, exact = paired(runs, ideal)
    gap = (chips_of(device, score), chips_of(exact, score)) if device else None
    four = paired(runs, controls[0], ideal, controls[1]) if controls else [device, device, exact, exact]
    before = None
    if four[0] and (controls or all("untrained" in run for run in (*device, *exact))):
        own = (False, not controls, False, not controls)
        before = [chips_of(some, score, untrained) for some, untrained in zip(four, own, strict=True)]
    return compared(chips_of(runs, score), gap, before, name or str(score))


def compared(
    arm: Chips,
    gap: tuple[Chips, Chips] | None = None,
    learning: Sequence[Chips] | None = None,
    name: str = "accuracy",
) -> dict[str, Any]:
    """Return accuracy, gap, share of the learning kept and verdict, each with its interval.

    Parameters
    ----------
    arm : Chips
        All chips of the arm.
    gap : (Chips, Chips), optional
        Those of device and ideal arithmetic, paired.
    learning : four Chips, optional
        As of `Learning`, paired.
    name : str
        Of the score.

    Returns
    -------
    found : dict
        ``accuracy_interval``, ``gap_to_ideal_mean``, ``gap_interval``, ``gap_p``, ``accuracy_learning_kept``,
        ``accuracy_learning_kept_interval``, ``verdict`` (`Verdict` as a dict) and ``yield`` (`Yield` as a dict: of how
        many chips the accuracy is at most a point below the mean of ideal arithmetic), None where not asked for. Of another
        score they have its name in place of "accuracy", or before them. Intervals of a single chip are those of new
        images alone.
    """
    prefix = "" if name == "accuracy" else f"{name}_"
    own = mean_accuracy(arm)
    lost = None if gap is None else mean_gap(gap[1], gap[0])
    learnt = None if learning is None else Learning(*learning)
    kept = None if learnt is None else learnt.kept()
    return {
        f"{name}_interval": (own.low, own.high),
        f"{prefix}gap_to_ideal_mean": None if lost is None else lost.value,
        f"{prefix}gap_interval": None if lost is None else (lost.low, lost.high),
        f"{prefix}gap_p": None if lost is None else lost.p_value,
        f"{name}_learning_kept": None if kept is None else kept.share,
        f"{name}_learning_kept_interval": None if kept is None else kept.interval,
        f"{prefix}verdict": None if learnt is None else asdict(learnt.verdict()),
        f"{prefix}yield": None if gap is None else asdict(stays_within(*gap)),
    }


def stays_within(arm: Chips, reference: Chips) -> Yield:
    """Return of how many chips of an arm the accuracy is at most a point below the mean of a reference."""
    return chip_yield(arm, float(reference.accuracies.mean()) - WITHIN)


def by_seed(runs: Sequence[Run], score: str, place: str = "") -> Chips:
    """Return runs at several chips a seed as a table with a row a seed, for what chance draws once a seed.

    Parameters
    ----------
    runs : sequence of dict
    score : str
    place : str
        Where in a run its scores are ("untrained", "before"); "": what it ended with.

    Returns
    -------
    arm : Chips
        Its table has the share of the seed's chips that were right on each image.
    """
    rows: dict[int, list[Run]] = {}
    for run in runs:
        scores = run[place] if place else run
        rows.setdefault(run["seed"], []).append({**scores, "test_size": run["test_size"]})
    each = [chips_of(some, score) for some in rows.values()]
    tables = [chips.correct.mean(axis=0) for chips in each if chips.correct is not None]
    accuracies = np.array([chips.accuracies.mean() for chips in each])
    return Chips(accuracies, each[0].images, np.array(tables) if len(tables) == len(each) else None)
