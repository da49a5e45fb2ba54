"""A sweep read backwards: how much of each thing a device may have, one at a time, for a net to learn as well as it must."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any

from neurosim.core.errors import ConfigError, NeurosimError, UnknownNameError
from neurosim.devices.card import silences
from neurosim.energy.marks import intervals_of, mark_of
from neurosim.study.arm import IDEAL, Arm
from neurosim.study.axis import Axis
from neurosim.study.blocks import Store, Told, carry_out
from neurosim.study.controls import beside
from neurosim.study.experiment import Experiment
from neurosim.study.fields import AGE, UNITS, known_fields, with_setting
from neurosim.study.run import card_of
from neurosim.study.sizes import STEP, TIMES, sizes_of, slug, without_size
from neurosim.study.statistics import Chips, chips_of_rows, mean_accuracy, tolerance
from neurosim.study.sweep import Enough, Plan, Sweep

FACTORS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Levels of what a device has, times what it has."""
ABSENT: dict[str, tuple[str, tuple[float, ...]]] = {
    "asymmetry": ("parameters.asymmetry", (0.03, 0.1, 0.3)),
    "pulse-to-pulse noise": ("parameters.added_cycle_to_cycle", (0.3, 1.0, 3.0)),
    "write noise": ("parameters.added_write_noise", (0.3, 1.0, 3.0)),
    "device spread of steps": ("parameters.added_step_spread", (0.1, 0.3, 1.0)),
    "device spread of window": ("parameters.added_conductance_spread", (0.03, 0.1, 0.3)),
    "stuck cells": ("parameters.p_stuck_between", (0.01, 0.03, 0.1)),
    "read noise": ("read.read_noise", (0.01, 0.03, 0.1)),
}
"""Of what a device may have none, the setting that adds it, and its levels."""
WAITING = "time before it is read"
AGES_S = (3600.0, 86_400.0, 2_592_000.0, 31_536_000.0)
"""Of devices that drift: an hour, a day, 30 days, a year."""
KEEPS, LOSES, UNCLEAR = "keeps", "loses", "unclear"
"""What the chips show of one level: that it keeps the share, that it does not, or neither."""
ENOUGH, LACKING, OTHERS, UNDECIDED, NO_NUMBER = (
    "enough", "not enough", "not it alone", "undecided", "no number",
)  # fmt: skip
"""Verdicts: as given it is shown to be enough; it is shown not to be, and the mean of another level alone is; it is shown not to be at
any level, so that something else is in the way; the chips do not tell; the card has no number to judge."""


def axes_around(experiment: Experiment, factors: Sequence[float] = FACTORS) -> list[Axis]:
    """Return an axis for each thing that devices have, around what they have of it, without levels that a law refuses.

    Parameters
    ----------
    experiment : Experiment
    factors : sequence of float
        Levels of what is there; 1, the device as given, is always one. What a device does not have is added at `ABSENT`.

    Raises
    ------
    ConfigError
        If no device has anything that a factor makes larger or smaller.
    """
    arms = experiment.device_arms()
    had = dict.fromkeys(name for arm in arms for name in sizes_of(arm))
    known = known_fields(experiment)
    there = set.intersection(*({*sizes_of(arm), *without_size(arm)} for arm in arms)) if arms else set()
    if not had:
        raise ConfigError(
            "requirements: no device here has anything of a size; sweep its settings themselves"
        )
    wanted = {f"{TIMES}.{slug(name)}": tuple(sorted({*map(float, factors), 1.0})) for name in had}
    wanted |= {
        field: levels for name, (field, levels) in ABSENT.items() if name not in there and field in known
    }
    if experiment.one_training and any(arm.law().drifts for arm in arms):
        wanted[AGE] = AGES_S
    can = {
        field: tuple(level for level in levels if _can_be(experiment, field, level))
        for field, levels in wanted.items()
    }
    return [Axis(field=field, levels=levels) for field, levels in can.items() if levels]


def _can_be(experiment: Experiment, field: str, level: float) -> bool:
    try:
        for arm in with_setting(experiment, field, level).device_arms():
            arm.law()
    except NeurosimError:
        return False
    return True


def backwards(
    experiment: Experiment, enough: Enough | None = None, factors: Sequence[float] = FACTORS
) -> Plan:
    """Return the sweep that the question for requirements is a name of: each thing that the devices have, one at a time.

    Parameters
    ----------
    experiment : Experiment
        With its devices: the table is beside them.
    enough : Enough, optional
        Default 99 % of the accuracy of ideal arithmetic.
    factors : sequence of float
        As of `axes_around`.

    Raises
    ------
    NeurosimError
        If there is no device, nothing to compare with, or a setting is wrong.
    """
    enough = enough or Enough()
    arms = experiment.device_arms()
    if not arms:
        raise ConfigError("requirements: needs at least one --device, or an arm with a device")
    near = [beside(experiment, arm.name) for arm in arms]
    if enough.against == "ideal" and not any(one.ideal for one in near):
        missing = next((one.missing for one in near if one.missing), "no arm on devices learns")
        raise ConfigError(
            f"requirements: nothing to compare with ({missing}); or ask for what the device has: --against device"
        )
    axes = tuple(axes_around(experiment, factors))
    return Plan(Sweep(axis=axes, plan="one at a time", enough=enough), experiment)


def requirements(
    plan: Plan,
    out: Path,
    told: Told | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    retry_failed: bool = False,
) -> Store:
    """Carry out what is missing of a sweep that is read backwards, then of all tolerated levels at once.

    Parameters
    ----------
    plan : Plan
        Of `backwards`.
    out, told, workers, executor, retry_failed
        As of `neurosim.study.swept.sweep`.

    Returns
    -------
    store : Store
        For `neurosim.study.swept.collect`.
    """
    store = Store(plan, out)
    carry_out(store, told, workers, executor, retry_failed=retry_failed)
    for found in read_backwards(list(store.rows()), plan):
        with suppress(NeurosimError):
            once = at_once(found, plan)
            if once is not None:
                carry_out(Store(once, out), told, workers, executor, retry_failed=retry_failed)
    return store


def read_backwards(rows: Sequence[dict[str, Any]], plan: Plan) -> list[dict[str, Any]]:
    """Return, for each arm on devices, what it keeps as given, and how much of each thing would be enough.

    Parameters
    ----------
    rows : sequence of dict
        As `neurosim.study.swept.collect` has them.
    plan : Plan
        Of a sweep that has `Sweep.enough`; without it nothing is returned.

    Returns
    -------
    found : list of dict
        ``arm``, ``chips``, ``share``, ``against``, ``score``, ``reference`` (the arm whose accuracy is to be kept), ``accuracy_mean``, ``kept`` (of the reference),
        ``answer`` (`KEEPS`, `LOSES`, `UNCLEAR`) of the device as given, ``left_out`` (what was not asked, and why) and ``lines``, one for each axis ``times.``, of `ABSENT` or of age: ``property``,
        ``field``, ``unit``, ``has`` (numbers of the device with value, unit, source, mark and 95 % intervals of a fit), ``states``, ``given`` (its own
        level), ``levels`` (each with ``level``, ``accuracy_mean``, ``kept``, ``answer``), ``around`` (the level from which the
        walks start: its own, else the nearest whose mean keeps the share; None: there is none), ``up`` and ``down``
        (``level``: the last whose mean keeps it, ``shown``: the last shown to keep it, ``lost``: the first from which all are
        shown to lose it), ``margin`` (factor up to that level) and ``verdict``.

    Notes
    -----
    The walks are `neurosim.study.statistics.tolerance` with the reference in place of the first level. Started from
    the device's own level, which is fixed before anything is seen, their order is fixed too, and their number needs no correction.
    Where the device as given does not keep the share, the start is chosen by looking (``looked``): its 95 % are then flattering.
    """
    if plan.sweep.enough is None:
        return []
    return [
        found
        for arm in plan.experiment.device_arms()
        for found in [_of_arm(arm, [row for row in rows if "error" not in row], plan, plan.sweep.enough)]
        if found is not None
    ]


def _of_arm(arm: Arm, rows: Sequence[dict[str, Any]], plan: Plan, enough: Enough) -> dict[str, Any] | None:
    """What is found of one arm; None without what it is compared with."""
    name = beside(plan.experiment, arm.name).ideal if enough.against == "ideal" else arm.name
    own, reference = _as_given(rows, plan, arm.name), _as_given(rows, plan, name)
    seeds = sorted(own.keys() & reference.keys())
    if not seeds:
        return None
    missing = {enough.score} - {*own[seeds[0]]}
    if missing:
        known = sorted(name for name, value in own[seeds[0]].items() if isinstance(value, float))
        raise UnknownNameError("score", enough.score, known, " to read a sweep backwards by")
    wanted = chips_of_rows([reference[seed] for seed in seeds], enough.score)
    if not wanted.accuracies.any():
        raise ConfigError(
            f"requirements of arm {arm.name}: the {enough.score} to be kept is 0 %, of which there is no share; let it learn "
            "longer, from more images or with more neurons"
        )
    given = _level(None, chips_of_rows([own[seed] for seed in seeds], enough.score), wanted, enough.share)
    lines = []
    for column in plan.columns:
        at: dict[float, dict[int, dict[str, Any]]] = {}
        for row in rows:
            if row["arm"] == arm.name and isinstance(row.get(column), int | float):
                at.setdefault(float(row[column]), {})[row["seed"]] = row
        about = _about(arm, column, plan)
        if about is not None:
            at[about["given"]] = own
            chips = {
                level: chips_of_rows([by_seed[seed] for seed in seeds], enough.score)
                for level, by_seed in sorted(at.items())
                if by_seed.keys() >= set(seeds)
            }
            lines.append({**about, **_judged(about, chips, wanted, enough.share)})
    return {
        "arm": arm.name, "chips": len(seeds), "share": enough.share, "against": enough.against, "score": enough.score,
        "reference": name,
        **{key: given[key] for key in ("accuracy_mean", "kept", "answer")},
        "lines": lines, "left_out": _left_out(arm),
    }  # fmt: skip


def _left_out(arm: Arm) -> list[str]:
    """What is not asked of an arm's device, and why."""
    retention = silences(arm.device or IDEAL).get("retention")
    said = [
        f"{name} (a table or a switch of the card, which no factor makes larger)"
        for name in without_size(arm)
    ]
    return said + ([] if retention is None else [f"retention ({retention})"])


def _as_given(rows: Sequence[dict[str, Any]], plan: Plan, name: str | None) -> dict[int, dict[str, Any]]:
    """The rows of an arm with its device as given, by seed."""
    ones = [column for column in plan.columns if column.startswith(TIMES)]
    return {row["seed"]: row for row in rows if row["arm"] == name and any(row.get(one) == 1 for one in ones)}


def _about(arm: Arm, column: str, plan: Plan) -> dict[str, Any] | None:
    """What an axis is of in one arm, and what its device has of it; None where it is nothing that is read backwards."""
    sizes, unit = sizes_of(arm), plan.units[column]
    added = {field: name for name, (field, _) in ABSENT.items()} | {AGE: WAITING}
    name = next((known for known in sizes if f"{TIMES}.{slug(known)}" == column), added.get(column))
    if name is None or (column in added and name in {*sizes, *without_size(arm)}):
        return None
    law, there = arm.law(), column.startswith(TIMES)
    states = (law.g_max_uS - law.g_min_uS) / law.nominal_step_uS if there and name == STEP else None
    return {
        "property": name, "field": column, "unit": unit, "given": 1.0 if there else 0.0, "states": states,
        "has": _numbers(arm, sizes[name]) if there else [],
    }  # fmt: skip


def _numbers(arm: Arm, own: dict[str, float]) -> list[dict[str, Any]]:
    """Numbers of a device with where they come from."""
    said = card_of(arm)["numbers"]
    found = []
    for path, value in own.items():
        place, _, name = path.partition(".")
        of_card = said.get(name) if place == "parameters" else None
        source = of_card["source"] if of_card else "set by the experiment"
        unit = of_card["unit"] if of_card else UNITS.get(path, "")
        found.append(
            {"name": name, "value": value, "unit": unit, "source": source, "mark": mark_of(source),
             "intervals": intervals_of(source)}
        )  # fmt: skip
    return found


def _level(level: float | None, chips: Chips, wanted: Chips, share: float) -> dict[str, Any]:
    """What the chips say of one level."""
    found = tolerance((0, 1), (wanted, chips), share)
    shown = KEEPS if found.low == 1 else LOSES if found.high == 1 else UNCLEAR
    own = mean_accuracy(chips)
    return {
        "level": level,
        "accuracy_mean": own.value,
        "accuracy_interval": (own.low, own.high),
        "kept": own.value / float(wanted.accuracies.mean()),
        "mean_keeps": found.level == 1,
        "answer": shown,
    }


def _judged(about: dict[str, Any], chips: dict[float, Chips], wanted: Chips, share: float) -> dict[str, Any]:
    """Levels, walks, margin and verdict of one line."""
    seen = [_level(level, own, wanted, share) for level, own in chips.items()]
    order, given = list(chips), about["given"]
    place = order.index(given)
    keeping = [k for k, one in enumerate(seen) if one["mean_keeps"]]
    start = min(keeping, key=lambda k: abs(k - place), default=None)
    found: dict[str, Any] = {
        "levels": seen,
        "around": None,
        "looked": start != place,
        "up": None,
        "down": None,
        "margin": None,
    }
    if start is not None:
        up, down = order[start:], order[start::-1]
        found |= {
            "around": order[start],
            "up": _walk(up, [chips[level] for level in up], wanted, share),
            "down": _walk(down, [chips[level] for level in down], wanted, share),
        }
        found["margin"] = found["up"]["level"] if given else None
    own = seen[place]["answer"]
    if not given:
        verdict = NO_NUMBER
    elif own == KEEPS:
        verdict = ENOUGH
    elif own == LOSES and all(one["answer"] == LOSES for one in seen):
        verdict = OTHERS
    elif own == LOSES and start is not None:
        verdict = LACKING
    else:
        verdict = UNDECIDED
    return {**found, "verdict": verdict}


def _walk(
    levels: Sequence[float], chips: Sequence[Chips], wanted: Chips, share: float
) -> dict[str, float | None]:
    """How far a walk away from the first of these levels keeps the share; places by number, 0 is the reference."""
    found = tolerance(range(len(levels) + 1), [wanted, *chips], share)
    names = dict(enumerate((None, *levels)))
    return {
        "level": names[int(found.level)],
        "shown": None if found.low is None else names[int(found.low)],
        "lost": None if found.high is None else names[int(found.high)],
    }


def at_once(found: dict[str, Any], plan: Plan) -> Plan | None:
    """Return the sweep of one point that has every property of an arm at its tolerated level; None: that is the arm as given.

    Raises
    ------
    NeurosimError
        If the law refuses these levels together.
    """
    levels = _tolerated(found)
    if all(
        level == line["given"]
        for line in found["lines"]
        for level in [levels.get(line["field"], line["given"])]
    ):
        return None
    axes = tuple(Axis(field=field, levels=(level,)) for field, level in levels.items())
    return Plan(Sweep(axis=axes), plan.experiment.only([found["arm"]]))


def _tolerated(found: dict[str, Any]) -> dict[str, float]:
    return {line["field"]: line["up"]["level"] for line in found["lines"] if line["up"] is not None}


def all_at_once(
    found: dict[str, Any], rows: Sequence[dict[str, Any]], plan: Plan, out: Path
) -> dict[str, Any] | None:
    """Return what an arm keeps with every property at its tolerated level at once, as far as it was carried out.

    Parameters
    ----------
    found : dict
        Of `read_backwards`.
    rows : sequence of dict
        Those that it was found in.
    plan : Plan
    out : Path
        Folder of blocks.

    Returns
    -------
    together : dict or None
        ``levels`` by field; ``accuracy_mean``, ``kept`` and ``answer`` as of a level, or the ``error``; None where the levels are
        those of the device as given, or nothing is there.
    """
    try:
        once = at_once(found, plan)
        own = [] if once is None else [row for row in Store(once, out).rows() if row["arm"] == found["arm"]]
    except NeurosimError as error:
        return {"levels": _tolerated(found), "error": str(error)}
    if not own:
        return None
    errors = [row["error"] for row in own if "error" in row]
    if errors:
        return {"levels": _tolerated(found), "error": errors[0]}
    reference = _as_given(rows, plan, found["reference"])
    seeds = sorted(reference.keys() & {row["seed"] for row in own})
    by_seed = {row["seed"]: row for row in own}
    chips, wanted = (
        chips_of_rows([some[seed] for seed in seeds], found["score"]) for some in (by_seed, reference)
    )
    return {**_level(None, chips, wanted, found["share"]), "levels": _tolerated(found)}
