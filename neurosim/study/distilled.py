"""Distillation between chips: a new one learns to answer as the first does, wrong answers included, from few true labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.crossbar.ledger import JOULES
from neurosim.data.dataset import Labelled
from neurosim.network.negatives import Labels
from neurosim.study.statistics import by_seed, interval, mean_accuracy
from neurosim.study.store import digest

if TYPE_CHECKING:
    from neurosim.study.mortal_spec import Distilled, MortalExperiment

Way = Literal["copied", "scratch", "distilled", "few"]
"""How another chip comes to what it knows: from copied weights, from all true labels, from the first chip's answers and few
true labels, from these few alone."""
TAUGHT: tuple[Way, ...] = ("distilled", "few", "scratch")
"""Ways of new chips, all draws their own, that start from their own start weights."""
Run = dict[str, Any]


class Said(NamedTuple):
    """What a chip answered when it was asked once for all images that are learnt."""

    scores: Floats
    """Of its digital head by one pass with a neutral label, (n, classes): probabilities before the softmax."""
    cost: dict[str, float | None]
    """What its arrays counted and the joules of that, by name, the setting of their converters included; empty in ideal
    arithmetic."""


class Lesson(NamedTuple):
    """What a chip learns from in place of the labels of all images."""

    fit: Labelled
    """Images, and the class that each of them carries as a positive sample."""
    told: Floats | None = None
    """(n, classes), scores of which negative labels are drawn as hard negatives are; None: by the chip's own head."""
    targets: Floats | None = None
    """(n, classes), probabilities that the head is to have; None: the labels."""

    @property
    def digest(self) -> str:
        """What decides bits beside the images and labels of `fit`."""
        parts = {"told": self.told, "targets": self.targets}
        return digest({name: values for name, values in parts.items() if values is not None})


def seen_labels(labels: Labels, count: int, seed: int) -> NDArray[np.int64]:
    """Return the places of `count` images whose label is seen: as many of each class as can be, more of them with the same first.

    Parameters
    ----------
    labels : (n,) array
    count : int
        At most n.
    seed : int
        Of the network that is handed on: all chips that learn from it see the same.
    """
    shuffled = generator(seed, "labels seen").permutation(len(labels))
    rank = np.empty(len(labels), np.int64)
    for each in np.unique(labels):
        queue = np.flatnonzero(labels[shuffled] == each)
        rank[queue] = np.arange(len(queue))
    found: NDArray[np.int64] = shuffled[np.argsort(rank, kind="stable")[:count]]
    return found


def probabilities(scores: Floats) -> Floats:
    """Return the softmax of scores (n, classes)."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found


def lessons(how: Distilled, fit: Labelled, said: Said, seed: int) -> dict[Way, Lesson]:
    """Return what chips learn from that are taught by another, and from few true labels alone.

    Parameters
    ----------
    how : Distilled
    fit : Labelled
        All images that are learnt; no label is used but those of `seen_labels`.
    said : Said
        What the first chip answered to these images.
    seed : int

    Returns
    -------
    found : dict
        ``distilled``: a positive sample carries the true label where it is seen and else the first chip's likeliest class,
        negative labels follow its other probabilities, and the head is to have all of them. ``few``: the images whose
        label is seen, again and again in turn, so that an epoch has as many images.
    """
    seen = seen_labels(fit.labels, how.labels, seed)
    told = (said.scores / np.float32(how.temperature)).astype(np.float32)
    targets = probabilities(told)
    labels = told.argmax(axis=1).astype(np.int64)
    labels[seen] = fit.labels[seen]
    targets[seen] = np.eye(told.shape[1], dtype=np.float32)[labels[seen]]
    again = seen[np.arange(len(fit.labels)) % len(seen)]
    return {
        "distilled": Lesson(Labelled(fit.images, labels), told, targets),
        "few": Lesson(Labelled(fit.images[again], fit.labels[again])),
    }


def teaching(said: Said, fit: Labelled) -> dict[str, Any]:
    """Return what the results say of the first chip as a teacher: images asked, answers that were right, what that cost."""
    right = said.scores.argmax(axis=1) == fit.labels
    return {"images": len(right), "right": float(right.mean()), "counts": said.cost}


def agreement(first: Labels, other: Labels, labels: Labels) -> dict[str, float | int | None]:
    """Return how far two networks give the same answers, right or wrong.

    Parameters
    ----------
    first, other, labels : (n,) array
        Answers of the first network and of another to the same images, and the true classes.

    Returns
    -------
    found : dict
        ``same``, the share of equal answers; ``wrong``, the images that the first gets wrong; ``same_wrong``, the share of
        these to which the other gives the same wrong answer. ``same_by_chance`` and ``same_wrong_by_chance``: what these
        would be if the other gave the answers that it gives, each to another image of the same true class. Shares of wrong
        answers are None where there are none.
    """
    same = other == first
    expected = np.empty(len(labels))
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        expected[own] = (first[own][:, None] == other[own]).mean(axis=1)
    wrong = first != labels
    some = bool(wrong.any())
    return {
        "same": float(same.mean()),
        "same_by_chance": float(expected.mean()),
        "wrong": int(np.count_nonzero(wrong)),
        "same_wrong": float(same[wrong].mean()) if some else None,
        "same_wrong_by_chance": float(expected[wrong].mean()) if some else None,
    }


def joules_of(counts: dict[str, float | None]) -> float | None:
    """Return the joules of counted events at the array's own prices; None in ideal arithmetic, or where nobody knows them."""
    each = [counts.get(name) for name in JOULES]
    known = [value for value in each if value is not None]
    return sum(known) if len(known) == len(each) else None


def handed_on(
    experiment: MortalExperiment, summary: Sequence[Run], originals: Sequence[Run], runs: Sequence[Run]
) -> list[Run]:
    """Return one entry for each arm and readout: all ways beside each other, agreement with the first chip, joules.

    Parameters
    ----------
    experiment : MortalExperiment
    summary : list of dict
        Of `neurosim.study.mortal.summarise`: what copies to chips that share least with the first are worth.
    originals, runs : list of dict
    """
    from neurosim.study.mortal import as_good_as_the_original

    found = []
    for arm in experiment.listed:
        first = [run for run in originals if run["arm"] == arm.name]
        own = [run for run in runs if run["arm"] == arm.name]
        ways = {way: [run for run in own if run["way"] == way] for way in TAUGHT}
        last = experiment.most_different(arm)
        copies = [run for run in own if run["way"] == "copied" and run["kind"] == last]
        for readout in experiment.readouts:
            copied = [
                entry
                for entry in summary
                if (entry["arm"], entry["kind"], entry["readout"]) == (arm.name, last, readout)
            ]
            entry: Run = {
                "arm": arm.name,
                "readout": readout,
                "kind": last,
                "seeds": len(first),
                "chips": len(ways["few"]),
            }
            for name in ("original", "copied", "relearnt"):
                for part in ("mean", "interval"):
                    entry[f"{name}_{part}"] = copied[0][f"{name}_{part}"]
            for way, some in ways.items():
                mean = mean_accuracy(by_seed(some, readout))
                entry |= {f"{way}_mean": mean.value, f"{way}_interval": (mean.low, mean.high)}
            entry |= as_good_as_the_original(first, ways["distilled"], ways["distilled"], readout)
            entry["agreement"] = {
                way: _mean_agreement([run["agreement"][readout] for run in some])
                for way, some in ways.items()
            }
            entry["same_wrong_beyond_scratch"] = {
                way: _beyond(ways[way], ways["scratch"], readout) for way in ("distilled", "few")
            }
            entry["teacher_right"] = float(np.mean([run["teacher"]["right"] for run in first]))
            entry["joules"] = {
                "original": _mean_joules([run["counts"] for run in first]),
                "teacher": _mean_joules([run["teacher"]["counts"] for run in first]),
                "relearnt": _mean_joules([run["counts"] for run in copies]),
                **{way: _mean_joules([run["counts"] for run in some]) for way, some in ways.items()},
            }
            found.append(entry)
    return found


def _mean_agreement(each: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Means over chips; of shares of wrong answers over those whose teacher gave any."""
    known = {name: [one[name] for one in each if one[name] is not None] for name in each[0]}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}


def _beyond(runs: Sequence[Run], others: Sequence[Run], readout: str) -> dict[str, Any] | None:
    """By how much more of the first chip's wrong answers runs give than others at the same chips; None where it gives none.

    Chips of one seed are taught by one first chip: their mean is one value, and the interval (Student) is over seeds.
    """
    by: dict[int, list[float]] = {}
    for one, other in zip(runs, others, strict=True):
        shares = [run["agreement"][readout]["same_wrong"] for run in (one, other)]
        if None not in shares:
            by.setdefault(one["seed"], []).append(shares[0] - shares[1])
    values = [float(np.mean(own)) for own in by.values()]
    return {"mean": float(np.mean(values)), "interval": interval(values)} if values else None


def _mean_joules(each: Sequence[dict[str, float | None]]) -> float | None:
    known = [found for found in map(joules_of, each) if found is not None]
    return float(np.mean(known)) if len(known) == len(each) else None
