"""Whether results that lie in a folder are of the experiment at hand, so that its own may take their place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from neurosim.core.cautions import Gathered, Said, gathered
from neurosim.study.experiment import Experiment
from neurosim.study.store import open_folder, read_json, write_json

EXTENDED = {"seeds", "first_seed", "device", "arm", "arms", "chosen_on", "then_aged_s"}
"""What results may have more of and be of the same experiment; arms are compared one by one."""
CAUTIONS = "cautions"
"""Folder beside results of what was warned of: a file of each process, so that several may share it."""


def config_of(experiment: Experiment) -> dict[str, Any]:
    """Return the settings of an experiment as results have them, with every setting of each arm on devices."""
    return {
        **experiment.model_dump(mode="json"),
        "arms": [arm.model_dump(mode="json") for arm in experiment.device_arms()],
    }


def said_of(experiment: Experiment, axes: Sequence[str] = ()) -> dict[str, Any]:
    """Return what tells an experiment from others: of a sweep with the names of its axes."""
    swept = {"kind": "sweep", "of": experiment.kind, "axes": [{"field": name} for name in axes]}
    return {**(swept if axes else {"kind": experiment.kind}), "config": config_of(experiment)}


def difference(
    kept: Mapping[str, Any], now: Mapping[str, Any], some_arms: bool = True, besides: Collection[str] = ()
) -> str:
    """Return in words what tells two experiments apart, both as results say it; "" where they are the same.

    Parameters
    ----------
    kept, now : dict
        With what `said_of` returns. A setting that only one of them has, as it is of another version, tells nothing.
    some_arms : bool
        Whether those of now may lack arms that are kept.
    besides : collection of str
        Settings of the experiment that may differ.
    """
    kinds = [(of.get("kind") or "dense", of.get("of")) for of in (kept, now)]
    if kinds[0] != kinds[1]:
        return f"kind '{kinds[0][0]}'" if kinds[0][0] != kinds[1][0] else f"a sweep of kind '{kinds[0][1]}'"
    axes = [sorted(axis["field"] for axis in of.get("axes", ())) for of in (kept, now)]
    if axes[0] != axes[1]:
        return f"axes {', '.join(axes[0])}"
    before, after = (of.get("config") or {} for of in (kept, now))
    shared = (before.keys() & after.keys()) - EXTENDED - {*besides}
    for name in (name for name in before if name in shared):
        if before[name] != after[name]:
            return f"{name} = {_short(before[name], after[name])}"
    arms, own = _arms(before), _arms(after)
    for arm, settings in arms.items():
        if arm not in own and not some_arms:
            return f"arm {arm}"
        there = own.get(arm, settings)
        for name in (name for name in settings if name != "seeds" and name in there):
            if settings[name] != there[name]:
                return f"arm {arm}, {name} = {_short(settings[name], there[name])}"
    return ""


def _arms(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Arms by name, those on devices with all of their settings."""
    listed = [*(config.get("arm") or ()), *(config.get("arms") or ())]
    return {arm["name"]: arm for arm in listed if arm.get("name")}


def _short(before: Any, after: Any) -> str:
    """A setting as it was; of a table what differs in it."""
    if isinstance(before, dict) and isinstance(after, dict):
        return ", ".join(f"{name} {value}" for name, value in before.items() if value != after.get(name))
    return str(before)


@contextmanager
def cautions_kept(out: Path | None, experiment: Experiment, axes: Sequence[str] = ()) -> Iterator[None]:
    """Keep in a folder, as soon as it comes, what is warned of in the block; without a folder nothing is kept."""
    what = {"experiment": said_of(experiment, axes), "evaluation": sorted(experiment.aside)}
    name = f"{uuid4().hex[:16]}.json"

    def keep(found: Gathered) -> None:
        if out is not None and found.said:
            write_json(open_folder(out / CAUTIONS) / name, {**what, "cautions": found.kept()})

    with gathered(told=keep) as found:
        try:
            yield
        finally:
            keep(found)


def cautions_of(out: Path | None, results: Mapping[str, Any]) -> list[Said]:
    """Return what was warned of while the results in a folder were made, whenever that was; each once."""
    found = Gathered()
    for file in [] if out is None else sorted((out / CAUTIONS).glob("*.json")):
        kept = read_json(file)
        if not difference(kept["experiment"], results, besides=kept["evaluation"]):
            found.take(kept["cautions"])
    return list(found.said.values())
