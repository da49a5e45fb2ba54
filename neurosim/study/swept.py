"""What a sweep came to: a row for each point, arm and seed, means of these, and what each axis may reach."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim.devices.card import silences
from neurosim.study.arm import IDEAL
from neurosim.study.axis import Axis
from neurosim.study.blocks import Store, Told, carry_out
from neurosim.study.budgets import budgets
from neurosim.study.controls import as_run, decided
from neurosim.study.events import averages
from neurosim.study.experiment import Experiment
from neurosim.study.fields import AGE
from neurosim.study.priced import ON_A_PAGE, columns
from neurosim.study.requirements import all_at_once, read_backwards
from neurosim.study.run import about
from neurosim.study.statistics import Chips, chip_yield, chips_of_rows, mean_accuracy, tolerance
from neurosim.study.store import SWEPT, open_folder, write_json
from neurosim.study.sweep import Measure, Plan, Sweep

if TYPE_CHECKING:
    from pandas import DataFrame

KEPT = 0.99
"""Share of the accuracy at the first level that a tolerable level keeps."""
PACKED = {"correct", "untrained_correct"}
"""Flags of each image, which rows keep in the blocks alone."""
UNTOUCHED = (
    "Does not apply: no level changed an answer or a count; this arm has nothing of it, or does not use it."
)
NOT_SCORES = {
    "arm", "seed", "untrained", "test_size", "seconds", "counts", "events", "along", "samples", "beside", "block", "error",
    *PACKED,
}  # fmt: skip


def sweep(
    what: Sweep | Experiment,
    out: Path | str,
    axes: Sequence[str | Axis] = (),
    told: Told | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    shard: tuple[int, int] | None = None,
    retry_failed: bool = False,
    measure: Measure | None = None,
    one_at_a_time: bool = False,
) -> dict[str, Any]:
    """Carry out what is missing of a sweep and return what is there.

    Parameters
    ----------
    what : Sweep or Experiment
    out : Path
        Folder of finished blocks: killed at any time, the same call goes on.
    axes : sequence of str or Axis
        Beside those of the sweep: ``"read_noise=0,0.01,0.05"``, ``"age_s=log:1:3e7:5"``, ``"wires.ohm=0,2@reading"``,
        ``"without=each"``.
    told, workers, executor, shard, retry_failed
        As of `neurosim.study.blocks.carry_out`.
    measure : {"accuracy", "holding"}, optional
        What the sweep says by itself; "holding": train nothing, and measure what devices make of each layer's weights.
    one_at_a_time : bool
        Each axis alone, the others as the experiment has them; default what the sweep says by itself: a grid, unless told otherwise.

    Returns
    -------
    results : dict
        ``axes``, ``rows`` (point, arm, seed: scores, seconds, counts), ``points`` (means over seeds, with intervals for
        new chips and images), ``tolerances``, ``yields``, ``budgets`` (of axes "only" and "without"), ``requirements`` (of a
        sweep that is read backwards, `neurosim.study.requirements`), ``blocks`` (done, failed, missing), and what `neurosim.study.run.about` says; also written to ``sweep.json``. Of "holding" rows and points
        are one for each point, arm and layer.

    Raises
    ------
    NeurosimError
        If a setting, a level or the experiment is wrong; nothing has been computed then.
    """
    plan = planned(what, axes, measure, one_at_a_time)
    store = Store(plan, Path(out))
    carry_out(store, told, workers, executor, shard, retry_failed)
    return collect(store)


def planned(
    what: Sweep | Experiment,
    axes: Sequence[str | Axis] = (),
    measure: Measure | None = None,
    one_at_a_time: bool = False,
) -> Plan:
    """Return the plan of a sweep or an experiment with further axes; raises `NeurosimError` for what cannot be."""
    added = [axis if isinstance(axis, Axis) else Axis.from_text(axis) for axis in axes]
    measured: dict[str, Any] = {} if measure is None else {"measure": measure}
    if one_at_a_time:
        measured["plan"] = "one at a time"
    if isinstance(what, Experiment):
        return Plan(Sweep.parse({"axis": added, **measured}, "sweep"), what)
    return Plan(what.changed(axis=(*what.axis, *added), **measured) if added or measured else what)


def collect(store: Store) -> dict[str, Any]:
    """Return what lies in the folder of a sweep, and write it to ``sweep.json`` there."""
    experiment, plan = store.plan.experiment, store.plan
    places = {json.dumps(point.levels): number for number, point in enumerate(plan.points)}
    fields = list(plan.columns)
    rows = sorted(
        store.rows(),
        key=lambda row: places[json.dumps({name: row[name] for name in fields if name in row})],
    )
    missing = store.missing(retry_failed=True)
    failed = [key for key in missing if store.failure(key).exists()]
    found = {
        "kind": "sweep",
        "of": experiment.kind,
        "measure": plan.sweep.measure,
        "axes": [
            {
                "field": column,
                "unit": plan.units[column],
                "levels": list(axis.all_levels),
                "when": axis.when,
            }
            for column, axis in plan.columns.items()
        ],
        "plan": plan.sweep.plan,
        **(_compared(rows, plan) if plan.sweep.measure == "accuracy" else _held(rows)),
        "requirements": [
            {**one, "together": all_at_once(one, rows, plan, store.out)} for one in read_backwards(rows, plan)
        ],
        "rows": [{name: value for name, value in row.items() if name not in PACKED} for row in rows],
        "blocks": {
            "all": len(store.blocks),
            "done": len(store.blocks) - len(missing),
            "failed": len(failed),
            "missing": len(missing) - len(failed),
        },
        **about(experiment, experiment.data()),
    }
    write_json(open_folder(store.out) / SWEPT, found)
    return found


def _compared(rows: Sequence[dict[str, Any]], plan: Plan) -> dict[str, Any]:
    """What rows of trainings come to."""
    fields = list(plan.columns)
    scores = next((scores_of(row, fields) for row in rows if "error" not in row), [])
    return {
        "points": means(rows, fields, plan.experiment),
        "tolerances": []
        if plan.sweep.enough
        else said_of_age(tolerances(rows, plan.columns), plan.experiment),
        "yields": [
            one for one in yields(rows, fields) if one["arm"] not in without_retention(plan.experiment)
        ],
        "budgets": budgets(rows, plan, scores),
    }


def _held(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What rows of what devices hold come to: each stands for itself."""
    points = [{name: value for name, value in row.items() if name != "block"} for row in rows]
    return {"points": points, "tolerances": [], "yields": [], "budgets": []}


def scores_of(row: dict[str, Any], fields: Sequence[str]) -> list[str]:
    """Names of the accuracies of a row, the headline first."""
    return [name for name in row if name not in NOT_SCORES and name not in fields]


def means(
    rows: Sequence[dict[str, Any]], fields: Sequence[str], experiment: Experiment
) -> list[dict[str, Any]]:
    """Return one entry for each point and arm: mean scores over seeds, and what `controls.decided` says of the accuracy.

    Parameters
    ----------
    rows : sequence of dict
        As `collect` has them.
    fields : sequence of str
        Names of the axes.
    experiment : Experiment
        Whose arms are compared at each point.
    """
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        groups.setdefault(_place(row, fields), {}).setdefault(row["arm"], []).append(row)
    found = [_mean(arm, arms, fields, experiment) for arms in groups.values() for arm in arms]
    return sorted(found, key=lambda point: bool(point["arm"] != IDEAL))


def _place(row: dict[str, Any], fields: Sequence[str]) -> str:
    return json.dumps([row.get(field, "as it is") for field in fields])


def _mean(
    arm: str, arms: dict[str, list[dict[str, Any]]], fields: Sequence[str], experiment: Experiment
) -> dict[str, Any]:
    """The entry of one arm at the point that all these rows are of."""
    rows = arms[arm]
    found: dict[str, Any] = {field: rows[0][field] for field in fields if field in rows[0]}
    found |= {"arm": arm, "seeds": len(rows)}
    good = [row for row in rows if "error" not in row]
    if len(good) < len(rows):
        found["errors"] = [row["error"] for row in rows if "error" in row]
    if not good:
        return found
    runs = [as_run(row) for some in arms.values() for row in some if "error" not in row]
    found |= decided(experiment, runs, arm, "accuracy")
    for score in (name for name in scores_of(good[0], fields) if name != "accuracy"):
        own = mean_accuracy(Chips(np.array([row[score] for row in good]), good[0]["test_size"]))
        found |= {f"{score}_mean": own.value, f"{score}_interval": (own.low, own.high)}
    for name in good[0].get("beside", ()):
        found[f"{name}_mean"] = float(np.mean([row["beside"][name] for row in good]))
    found["seconds_mean"] = float(np.mean([row["seconds"] for row in good]))
    counted = [row["counts"] for row in good if row["counts"]]
    if counted:
        found["counts"] = averages(counted)
    return found


def tolerances(rows: Sequence[dict[str, Any]], columns: dict[str, Axis]) -> list[dict[str, Any]]:
    """Return, for each arm on devices, how far each axis may go before the accuracy falls below 99 % of that at its first level.

    Axes of numbers alone, where all seeds have finished at every level; of several that are crossed, at each
    combination of the others.

    Returns
    -------
    found : list of dict
        ``field``, ``arm``, ``others`` (levels of the other axes), and what `neurosim.study.statistics.Tolerance` has;
        infinite: without (a level "none").
    """
    found = []
    for field, axis in columns.items():
        levels = axis.all_levels
        if len(levels) < 2 or not all(level is None or type(level) in (int, float) for level in levels):
            continue
        others = [other for other in columns if other != field]
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if field in row and row["arm"] != IDEAL and "error" not in row:
                key = json.dumps([row["arm"], {name: row[name] for name in others if name in row}])
                groups.setdefault(key, []).append(row)
        for place, own in groups.items():
            at = [sorted((r for r in own if r[field] == level), key=_seed) for level in levels]
            if not all(at) or len({tuple(map(_seed, some)) for some in at}) > 1:
                continue
            arm, beside = json.loads(place)
            numbers = [float("inf") if level is None else float(level) for level in levels]
            if field.endswith("bits"):  # the more the better: the undisturbed end comes first
                order = sorted(range(len(numbers)), key=lambda k: -numbers[k])
                numbers, at = [numbers[k] for k in order], [at[k] for k in order]
            known = [number for number in numbers if number != float("inf")]
            falls = field.endswith("bits") or known[0] > known[-1]
            reached = asdict(tolerance(numbers, [chips_of_rows(some) for some in at], KEPT, falls=falls))
            if _untouched(at):
                reached |= {"level": None, "low": None, "high": None, "verdict": UNTOUCHED}
            for name in ("level", "low", "high"):
                reached[name] = None if reached[name] == float("inf") else reached[name]
            reached["verdict"] = reached["verdict"].replace("inf", "none")
            found.append({"field": field, "arm": arm, "others": beside, **reached})
    return found


def _untouched(at: Sequence[Sequence[dict[str, Any]]]) -> bool:
    """Whether no level changed anything: the same answers and counts of each seed at all of them."""
    seen = [[(row["accuracy"], row.get("correct"), row.get("counts")) for row in some] for some in at]
    return all(some == seen[0] for some in seen[1:])


def without_retention(experiment: Experiment) -> set[str]:
    """Names of the arms on devices whose cards have no retention data."""
    return {arm.name for arm in experiment.device_arms() if "retention" in silences(arm.device)}


def said_of_age(found: list[dict[str, Any]], experiment: Experiment) -> list[dict[str, Any]]:
    """Return tolerances without those to age of devices whose cards have no retention data: they stand still, whatever the time."""
    still = without_retention(experiment)
    nothing = {
        "level": None, "low": None, "high": None, "enough": False,
        "verdict": "Nothing is said: no retention data on this card, whose conductances stand still.",
    }  # fmt: skip
    return [{**one, **nothing} if one["field"] == AGE and one["arm"] in still else one for one in found]


def yields(rows: Sequence[dict[str, Any]], fields: Sequence[str]) -> list[dict[str, Any]]:
    """Return, for each arm on devices, how many chips keep 99 % of the mean accuracy of the youngest age at the oldest.

    Returns
    -------
    found : list of dict
        ``arm``, ``others`` (levels of the other axes), ``first_age_s``, ``age_s``, ``threshold``, and what
        `neurosim.study.statistics.Yield` has; none without an axis `age_s` of two levels or more.
    """
    groups: dict[str, dict[float, list[dict[str, Any]]]] = {}
    for row in rows:
        if row.get(AGE) is not None and row["arm"] != IDEAL and "error" not in row:
            others = {name: row[name] for name in fields if name in row and name != AGE}
            groups.setdefault(json.dumps([row["arm"], others]), {}).setdefault(row[AGE], []).append(row)
    found = []
    for place, ages in groups.items():
        young, old = min(ages), max(ages)
        if young == old:
            continue
        arm, others = json.loads(place)
        threshold = KEPT * float(np.mean([row["accuracy"] for row in ages[young]]))
        said = asdict(chip_yield(chips_of_rows(ages[old]), threshold))
        found.append(
            {"arm": arm, "others": others, "first_age_s": young, AGE: old, "threshold": threshold, **said}
        )
    return found


def _seed(row: dict[str, Any]) -> int:
    seed: int = row["seed"]
    return seed


def to_pandas(results: dict[str, Any], prices: Any = ON_A_PAGE) -> DataFrame:
    """Return what a study of any kind came to in long form, what was counted as columns of their own.

    Of a sweep one row for each point, arm and seed; of other studies one a run, with its readouts and depths side by
    side (``readouts.softmax``, ``depth_2.accuracy``). Joules and seconds are those of a price list
    (`neurosim.study.priced.columns`), by name, file or object; None leaves them out.
    """
    import pandas

    rows = results.get("rows", results.get("runs", []))
    return pandas.DataFrame(
        [_flat(row) | ({} if prices is None else columns(results, row, prices)) for row in rows]
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """The numbers and texts of one row, those within its parts included."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in ("counts", "beside"):
            found |= value or {}
        elif name in ("heads", "heads_beside"):
            for head in value:
                which = head["depth"] if isinstance(head["depth"], str) else f"depth_{head['depth']}"
                found[f"{which.replace(' ', '_').replace('-', '_')}.accuracy"] = head["accuracy"]
        elif isinstance(value, dict):
            inner = {f"{name}.{key}": one for key, one in value.items()}
            found |= {key: one for key, one in inner.items() if isinstance(one, int | float)}
        elif not isinstance(value, list):
            found[name] = value
    return found


def estimate(store: Store) -> dict[str, Any]:
    """Return what is left to do: blocks, and, from those that are finished, seconds and bytes."""
    missing = store.missing(retry_failed=True)
    done = [store.path(key) for key in store.blocks if store.path(key).exists()]
    seconds = [row["seconds"] for row in store.rows() if row.get("seconds") is not None]
    size = float(np.mean([path.stat().st_size for path in done])) if done else None
    return {
        "blocks": len(store.blocks),
        "missing": len(missing),
        "seconds": float(np.mean(seconds)) * len(missing) if seconds else None,
        "bytes": None if size is None else size * len(missing),
    }
