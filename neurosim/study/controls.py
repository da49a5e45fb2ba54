"""Which arms a verdict on one on devices needs: the same in ideal arithmetic, and both without learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from neurosim.study.arm import IDEAL, Arm
from neurosim.study.experiment import Experiment
from neurosim.study.statistics import chips_of, decision

OF_THE_ARRAY = (
    "device",
    "parameters",
    "read",
    "wires",
    "tiles",
    "faults",
    "neurons",
    "precision",
    "black_box",
)
"""Settings in which a control without learning must not differ, where its kind has them; how devices are written it need not share."""


class Beside(NamedTuple):
    """Names of the arms that an arm is compared with; None where the experiment has none, and then what is missing."""

    ideal: str | None = None
    untrained: str | None = None
    untrained_ideal: str | None = None
    missing: str = ""

    @property
    def controls(self) -> tuple[str, str] | None:
        """Both arms without learning."""
        if self.untrained is None or self.untrained_ideal is None:
            return None
        return self.untrained, self.untrained_ideal


def beside(experiment: Experiment, name: str) -> Beside:
    """Return what an arm is compared with; all None for one in ideal arithmetic, or one that does not learn.

    Its partner in ideal arithmetic learns in the same way, or is called "ideal", or is the only one by its rule, or that learns.
    """
    arms = experiment.arms()
    arm = next(each for each in arms if each.name == name)
    if arm.device is None or not _learns(arm):
        return Beside()
    ideal = _partner(arm, [each for each in arms if each.device is None and _learns(each)])
    if ideal is None:
        return Beside(missing="no arm in ideal arithmetic learns beside it; call one 'ideal'")
    if not experiment.one_training or "learns" not in type(arm).model_fields:
        return Beside(ideal.name)
    still = [each for each in arms if not getattr(each, "learns", True)]
    own, exact = _control(arm, still), _control(ideal, still)
    without = [f"'{each.name}'" for each, control in ((arm, own), (ideal, exact)) if control is None]
    said = f"the control of {' and of '.join(without)} is missing: the same arm with learns = false"
    return Beside(ideal.name, own, exact, said if without else "")


def decided(
    experiment: Experiment, runs: Sequence[dict[str, Any]], name: str, score: str | int
) -> dict[str, Any]:
    """Return the entry of a summary for one arm and score: its mean, and all that `decision` says of it as "accuracy".

    ``missing`` says which arm is not there that a verdict needs; ``compared_with`` which ones were taken.
    """
    of: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        of.setdefault(run["arm"], []).append(run)
    near = beside(experiment, name)
    controls = None
    if near.controls is not None:
        controls = of.get(near.controls[0], []), of.get(near.controls[1], [])
    missing = near.missing
    if near.ideal is not None and near.ideal not in of:
        missing = f"'{near.ideal}' was not carried out"
    ideal = of.get(near.ideal, []) if near.ideal else []
    found = decision(score, of[name], ideal, controls, "accuracy")
    if not missing and ideal and found["verdict"] is None:
        missing = "no seed was carried out both there and without learning"
    return {
        "accuracy_mean": float(np.mean(chips_of(of[name], score).accuracies)),
        **found,
        "compared_with": [one for one in near[:3] if one is not None],
        "missing": missing,
    }


def headline_bits(result: Any) -> str | None:
    """Return which images the headline score of a finished run had right, packed, where the kind of study keeps it."""
    if "heads" in result:
        found = result["heads"][-1].get("correct")
    else:
        kept = result.get("correct") or {}
        found = kept.get("accuracy") or next(iter(kept.values()), None)
    return found if isinstance(found, str) else None


def as_run(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row in the form of a study's run, with its headline score and that before it learnt where it is known."""
    found = {name: row[name] for name in ("arm", "seed", "accuracy", "test_size")}
    found["correct"] = {"accuracy": row.get("correct")}
    if row.get("untrained") is not None:
        before = {"accuracy": row["untrained"], "correct": {"accuracy": row.get("untrained_correct")}}
        found["untrained"] = before
    return found


def _learns(arm: Arm) -> bool:
    return getattr(arm, "learns", True) and getattr(arm, "backpropagation", None) is None


def _partner(arm: Any, ideals: Sequence[Any]) -> Any:
    """The arm in ideal arithmetic that one on devices is compared with, if there is one."""
    learning = set(type(arm).model_fields) - set(Arm.model_fields)
    alike = [each for each in ideals if all(getattr(each, f) == getattr(arm, f) for f in learning)]
    named = [each for each in ideals if each.name == IDEAL]
    ruled = [each for each in ideals if getattr(each, "rule", None) == getattr(arm, "rule", None)]
    for some in (alike, named, ruled, ideals):
        if len(some) == 1:
            return some[0]
    return named[0] if named else None


def _control(arm: Any, still: Sequence[Any]) -> str | None:
    """The arm without learning whose array is that of an arm, and of several the one that shares most settings."""
    alike = [each for each in still if _arrays(each, arm) == _arrays(arm, each)]
    fields = type(arm).model_fields
    same = max(alike, key=lambda each: sum(getattr(each, f) == getattr(arm, f) for f in fields), default=None)
    return None if same is None else str(same.name)


def _arrays(arm: Any, other: Any) -> list[list[Any]]:
    """What is `OF_THE_ARRAY` of an arm, of each layer that it or another one has settings of its own for."""
    layers = range(max(1, *(len(getattr(each, "layer", ())) for each in (arm, other))))
    own = [arm.at(number) if getattr(arm, "layer", ()) else arm for number in layers]
    return [[getattr(each, field, None) for field in OF_THE_ARRAY] for each in own]
