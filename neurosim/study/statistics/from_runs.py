"""Tables of chips and images from the runs of any kind of study, and what a summary says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from neurosim.core.errors import InputError, UnknownNameError
from neurosim.study.statistics.crossed import Chips, mean_accuracy, mean_gap
from neurosim.study.statistics.learning import Learning
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
    if isinstance(score, int):
        heads = {head["depth"]: head for head in run.get("heads", ())}
        if score not in heads:
            raise UnknownNameError("depth", str(score), map(str, heads))
        return heads[score]["accuracy"], heads[score].get("correct")
    shares = {name: value for name, value in run.items() if isinstance(value, float)} | run.get(
        "readouts", {}
    )
    if score not in shares:
        raise UnknownNameError("score", score, shares)
    return shares[score], run.get("correct", {}).get(score)


def paired(*arms: Sequence[Run]) -> list[list[Run]]:
    """Return the runs of several arms with the seeds (and chips) that all of them have, in the same order."""
    by_chip = [{(run["seed"], run.get("chip")): run for run in runs} for runs in arms]
    shared = [chip for chip in by_chip[0] if all(chip in own for own in by_chip)]
    return [[own[chip] for chip in shared] for own in by_chip]


def decision(score: str, runs: Sequence[Run], ideal: Sequence[Run]) -> dict[str, Any]:
    """Return what the summary of `compare` says of one score for new chips and new images.

    Parameters
    ----------
    score : str
    runs, ideal : sequence of dict
        Runs of one arm, and those in ideal arithmetic; none for the ideal arm itself.

    Returns
    -------
    found : dict
        ``accuracy_interval``; with `ideal` also ``gap_interval``, ``gap_p``, ``accuracy_learning_kept_interval`` and
        ``verdict`` (`Verdict` as a dict), else None. Of another score they have its name in place of "accuracy", or
        before them. The intervals of a single chip are those of new images alone.
    """
    prefix = "" if score == "accuracy" else f"{score}_"
    device, exact = paired(runs, ideal)
    gap = learning = None
    if device:
        gap = mean_gap(chips_of(exact, score), chips_of(device, score))
        arms = (chips_of(some, score, before) for some in (device, exact) for before in (False, True))
        learning = Learning(*arms)
    own = mean_accuracy(chips_of(runs, score))
    return {
        f"{score}_interval": (own.low, own.high),
        f"{prefix}gap_interval": None if gap is None else (gap.low, gap.high),
        f"{prefix}gap_p": None if gap is None else gap.p_value,
        f"{score}_learning_kept_interval": None if learning is None else learning.kept().interval,
        f"{prefix}verdict": None if learning is None else asdict(learning.verdict()),
    }
