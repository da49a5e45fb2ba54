"""Results of earlier versions in the form of today's sweeps: `vary.json`, `wires.json`, and comparisons with an ablation."""

from __future__ import annotations

from typing import Any

from neurosim.report.rewired import LEARNT, LINES, READ
from neurosim.study.arm import IDEAL

Results = dict[str, Any]


def from_earlier(found: Results) -> Results | None:
    """Return results of an earlier version as those of a sweep; None where they are none of these.

    Parameters
    ----------
    found : dict
        What the file has.
    """
    if "levels" in found and "parameter" in found:
        return _from_vary(found)
    if "ablation" in found:
        return _from_ablation(found)
    if "trained_lines" in found:
        return _from_wires(found)
    return None


def _swept(found: Results, axes: list[Results], **parts: Any) -> Results:
    kept = ("data", "config", "changed", "devices", "ideals", "assumed", "versions")
    return {
        "kind": "sweep",
        "of": "dense",
        "measure": "accuracy",
        "axes": axes,
        "plan": "grid",
        "points": [],
        "tolerances": [],
        "budgets": [],
        **parts,
        **{name: found[name] for name in kept if name in found},
    }


def _axis(field: str, levels: list[Any], unit: str = "", when: str = "both") -> Results:
    return {"field": field, "unit": unit, "levels": levels, "when": when}


def _from_vary(found: Results) -> Results:
    """Accuracy at levels of one effect; ideal arithmetic had a single point, which is that at every level."""
    field, seeds = found["parameter"], found["config"].get("seeds", 1)
    points = []
    for arm in found["arms"]:
        own = {point["level"]: point for point in arm["points"]}
        flat = arm["points"][0] if arm["arm"] == IDEAL else None
        for level in found["levels"]:
            point = flat or own.get(level)
            if point is not None:
                points.append({field: level, "arm": arm["arm"], "seeds": seeds, **point})
    tolerances = [
        {"field": field, "arm": arm["arm"], "others": {}, "level": arm["tolerated_level"],
         "verdict": f"{arm['tolerated_level']:g} (of the means; no interval)."}
        for arm in found["arms"] if arm.get("tolerated_level") is not None
    ]  # fmt: skip
    axes = [_axis(field, list(found["levels"]), found.get("unit", ""))]
    return _swept(found, axes, points=points, tolerances=tolerances)


def _from_ablation(found: Results) -> Results:
    """Points lost by each cause; of each seed, with Student's intervals."""
    seeds = found["config"].get("seeds", 1)
    budgets = [
        {"way": "only", "others": {}, "chips": seeds, "ideal": True,
         "verdict": "Which effects are told apart was not said yet.", **budget}
        for budget in found["ablation"]
    ]  # fmt: skip
    names = [cause["cause"] for budget in budgets for cause in budget["causes"] if cause["kind"] == "alone"]
    return _swept(found, [_axis("only", ["nothing", *dict.fromkeys(names), "everything"])], budgets=budgets)


def _from_wires(found: Results) -> Results:
    """Accuracy at resistances and tile sizes other than those of learning."""
    seeds = len({run["seed"] for run in found["runs"]})
    points = [
        {LEARNT: point["trained_ohm"], READ: point["ohm"], LINES: point["lines"], "seeds": seeds, **point}
        for point in found["points"]
    ]
    axes = [
        _axis(field, sorted({point[field] for point in points}), unit, when)
        for field, unit, when in (
            (LEARNT, "ohm", "learning"), (READ, "ohm", "reading"), (LINES, "lines", "reading"),
        )
    ]  # fmt: skip
    counted = {
        "train_images": found["config"].get("train_images") or "all",
        "test_images": found["runs"][0]["test_size"],
    }
    return _swept({**found, "data": {**counted, **found["data"]}}, axes, points=points)
