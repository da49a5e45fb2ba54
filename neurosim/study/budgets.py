"""Noise budget: what each effect of a device costs, and which cost more than others, from the rows of a sweep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from neurosim.study.arm import IDEAL, Arm
from neurosim.study.effects import (
    BARE,
    EVERYTHING,
    GIVEN,
    NOTHING,
    ONLY,
    WAYS,
    WITHOUT,
    causes_on,
    settings_of,
)
from neurosim.study.fields import AGE
from neurosim.study.statistics import Crossed, chips_of_rows, ranking
from neurosim.study.sweep import Plan

Rows = Sequence[dict[str, Any]]


def budgets(rows: Rows, plan: Plan, scores: Sequence[str]) -> list[dict[str, Any]]:
    """Return where each arm on devices loses its accuracy, for every axis of effects.

    Parameters
    ----------
    rows : sequence of dict
        As `neurosim.study.swept.collect` has them.
    plan : Plan
    scores : sequence of str
        Names of the accuracies, the headline first.

    Returns
    -------
    found : list of dict
        ``way`` ("only", "without"), ``arm``, ``others`` (levels of the other axes), ``chips``, ``ideal`` (whether ideal
        arithmetic is there to compare with), ``verdict`` (the ranking in words, or that the chips are too few) and
        ``causes``, each with ``cause``, ``kind``, the ``settings`` it stands for, ``p`` (of an effect, by Holm among all
        effects) and of each score the share ``_lost_mean``, its ``_lost_interval`` for new chips and images (None of one
        chip) and ``_lost`` of each seed. Kinds: "bare" (bare device against ideal arithmetic), "alone" (one effect
        against the bare device, or, with "without", the arm without it against the arm as given), "interaction" (all
        minus the sum of bare and alone), "all" (the arm as given against ideal arithmetic, or without that against the
        bare device).
    """
    found = []
    for way in (column for column in plan.columns if column in WAYS):
        places: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if way in row and "error" not in row:
                beside = {name: row[name] for name in plan.columns if name in row and name != way}
                places.setdefault(json.dumps(beside), []).append(row)
        for place, own in places.items():
            others = json.loads(place)
            for arm in plan.point(others).learning.device_arms():
                budget = _budget(arm, way, own, scores, AGE in others)
                if budget is not None:
                    found.append({"way": way, "arm": arm.name, "others": others, **budget})
    return found


def _budget(arm: Arm, way: str, rows: Rows, scores: Sequence[str], aged: bool) -> dict[str, Any] | None:
    """What the effects of one arm cost; None where a level or a seed is missing that all others are compared with."""
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        if row["arm"] in (arm.name, IDEAL):
            runs.setdefault(IDEAL if row["arm"] == IDEAL else row[way], {})[row["seed"]] = row
    causes = causes_on(arm, aged)
    alone = [name for name in causes if name in runs]
    known = [name for name in (IDEAL, NOTHING, *alone, EVERYTHING) if name in runs]
    seeds = sorted(set.intersection(*(set(runs[name]) for name in known)) if known else ())
    if NOTHING not in known or len(known) - (IDEAL in known) < 2 or not seeds:
        return None
    paired = {name: [runs[name][seed] for seed in seeds] for name in known}
    values = settings_of(arm, arm.law())
    order: dict[str, float] = {}
    said = ""
    if alone:
        chips = {name: chips_of_rows(paired[name]) for name in (NOTHING, *alone)}
        ranked = ranking(chips.pop(NOTHING), chips, taken_away=way == WITHOUT)
        order = {cost.effect: cost.adjusted_p for cost in ranked.costs}
        said = ranked.verdict
    entries = [
        {"cause": cause, "kind": kind, "settings": {path: values[path] for path in causes.get(cause, {})},
         **({"p": order[cause]} if kind == "alone" else {})}
        for cause, kind, _ in _lines(way, alone, known)
    ]  # fmt: skip
    for score in scores:
        table = [chips_of_rows(paired[name], score) for name in known]
        crossed = Crossed(table)
        for entry, (_, _, weights) in zip(entries, _lines(way, alone, known), strict=True):
            each = [weights.get(name, 0.0) for name in known]
            lost = crossed.contrast(each).estimate()
            entry |= {
                f"{score}_lost_mean": lost.value,
                f"{score}_lost_interval": (lost.low, lost.high) if lost.chips_known else None,
                f"{score}_lost": [
                    float(sum(w * arm.accuracies[k] for w, arm in zip(each, table, strict=True)))
                    for k in range(len(seeds))
                ],
            }
    return {"chips": len(seeds), "ideal": IDEAL in known, "verdict": said, "causes": entries}


def _lines(way: str, alone: Sequence[str], known: Sequence[str]) -> list[tuple[str, str, dict[str, float]]]:
    """Cause, kind, and the weights of the mean accuracies of which the share lost is the sum."""
    bare, given = BARE[way], GIVEN[way]
    sign = 1.0 if way == ONLY else -1.0
    found = [("bare", "bare", {IDEAL: 1.0, bare: -1.0})] if {IDEAL, bare} <= set(known) else []
    found += [(name, "alone", {NOTHING: sign, name: -sign}) for name in alone]
    if EVERYTHING in known and alone:
        rest = {bare: 1.0, given: -1.0}
        for name in alone:
            for place, weight in ((NOTHING, -sign), (name, sign)):
                rest[place] = rest.get(place, 0.0) + weight
        found.append(("interaction", "interaction", rest))
    if given in known and {IDEAL, bare} & set(known):
        found.append(("all", "all", {(IDEAL if IDEAL in known else bare): 1.0, given: -1.0}))
    return found
