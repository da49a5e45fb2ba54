"""Kept results priced again without running: bills, seconds and wear of each arm, mean over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from neurosim.core.errors import ConfigError
from neurosim.energy.bill import Bill
from neurosim.energy.lifetime import Wear, lifetime, refresh_J_per_year
from neurosim.energy.price_list import PriceList, price_list
from neurosim.energy.pricing import price
from neurosim.energy.seconds import Times, seconds
from neurosim.study.store import FILES, read_json

ON_A_PAGE = "generic-28nm"
"""Price list of the sentences on a page and of the columns of a table; `neurosim energy` takes any."""

Cost = Literal["joules", "seconds"]
WAYS = {
    "copied": "copied and learnt on",
    "scratch": "from scratch elsewhere",
    "distilled": "taught by the first chip",
    "few": "from few labels elsewhere",
}
"""What the arms of runs at other chips are called beside their originals."""
REACHED = (0.95, 0.99)
"""Shares of the accuracy at the last look for which it is said what they took."""


@dataclass(frozen=True)
class Reached:
    """What learning had taken when an accuracy was first seen, start programming left out; means over seeds."""

    share: float | None
    """Of the accuracy at the last look; None where an accuracy was asked for."""
    accuracy: float
    """That was to be reached; mean over seeds."""
    seeds: int
    """That reached it,"""
    of: int
    """of so many that were followed."""
    images: float
    joules: float | None
    """None, as of low and high, where pulses have no price."""
    low: float | None
    high: float | None
    seconds: float


@dataclass(frozen=True)
class Priced:
    """What one arm comes to by one price list, at one point of a sweep."""

    arm: str
    levels: dict[str, Any]
    """Of the sweep's axes; empty without."""
    seeds: int
    device: str
    """Name of its card."""
    accuracy: float | None
    """Headline of its runs, mean over seeds; None of an estimate."""
    samples: int | None
    """Images shown while it learnt, each as often as it was; None where the kind of study does not say."""
    bill: Bill
    times: Times
    wear: list[Wear]
    reached: list[Reached]
    """What it took to reach shares of the final accuracy, where the curve was followed."""
    refresh_J_per_year: float | None
    """Device joules of refresh in a year of learning like this; None where pulses have no price."""

    @property
    def name(self) -> str:
        """The arm, with its levels."""
        return ", ".join([self.arm, *(f"{field} {level}" for field, level in self.levels.items())])

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        seconds, low, high = self.times.total()
        joules = self.bill.learnt().joules
        return {
            "arm": self.arm,
            "levels": self.levels,
            "seeds": self.seeds,
            "device": self.device,
            "accuracy": self.accuracy,
            "samples": self.samples,
            "energy": self.bill.as_dict(self.samples),
            "seconds": {
                "total": seconds,
                "low": low,
                "high": high,
                "not_timed": list(self.times.not_timed),
                **(self.times.per(self.samples, joules) if self.samples else {}),
                "spans": [asdict(span) for span in self.times.spans],
            },
            "lifetime": [wear.as_dict() for wear in self.wear],
            "refresh_J_per_year": self.refresh_J_per_year,
            "reached": [asdict(each) for each in self.reached],
        }


def kept_results(where: Path) -> dict[str, Any]:
    """Return the results of a file, or of a folder of a study or sweep.

    Raises
    ------
    ConfigError
        If there are none.
    CheckpointError
        If the file is damaged.
    """
    files = [where] if where.is_file() else [where / name for name in FILES if (where / name).exists()]
    if not files:
        raise ConfigError(
            f"{where}: no {' or '.join(FILES)} there; give the --out folder of a study or sweep"
        )
    found = read_json(files[0])
    if not isinstance(found, dict) or not isinstance(found.get("runs", found.get("rows")), list):
        raise ConfigError(f"{files[0]}: no runs in it; give the results of a study or sweep")
    return found


def priced(
    results: dict[str, Any],
    prices: Sequence[str | Path | PriceList],
    strict: bool = False,
    endurance: float | None = None,
) -> list[Priced]:
    """Return what each arm of kept results comes to by each price list; of mortal chips the originals, and then the copies.

    Parameters
    ----------
    results : dict
        Of a study or a sweep.
    prices : sequence of str, Path or PriceList
    strict : bool
        Refuse what rests on assumed, remembered or unstated numbers.
    endurance : float, optional
        Pulses that a device stands, instead of what the card says.

    Raises
    ------
    ConfigError
        If the results have no events, being of an earlier version or in ideal arithmetic alone.
    AssumedError, InputError, UnknownNameError
        As `neurosim.energy.price`.
    """
    known = [price_list(each) for each in prices]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    fields = [axis["field"] for axis in results.get("axes", [])]
    for run in [*results.get("originals", ()), *results.get("runs", results.get("rows", []))]:
        if run.get("events"):
            key = _name(run), repr([run.get(field) for field in fields])
            groups.setdefault(key, []).append(run)
    if not groups:
        raise ConfigError(
            "no events in these results: they are of an earlier version, or in ideal arithmetic alone; run the study again"
        )
    found = []
    for (name, _), runs in groups.items():
        levels = {field: runs[0][field] for field in fields if field in runs[0]}
        numbers = results.get("devices", {}).get(runs[0]["arm"], {}).get("numbers")
        events = mean_events([run["events"] for run in runs])
        samples, epochs = _samples(results, runs[0])
        wear = lifetime(events, epochs or 1, endurance, numbers)
        for prices_of in known:
            bill = price(events, prices_of, sources=numbers, strict=strict)
            times = seconds(events, prices_of)
            reached = [
                each for share in REACHED if (each := to_reach(runs, prices_of, share=share, sources=numbers))
            ]
            each_year = refresh_J_per_year(events, times.learning_s) if times.learning_s else 0.0
            found.append(
                Priced(
                    name, levels, len(runs), events[0]["device"], _accuracy(runs), samples, bill, times, wear, reached,
                    each_year,
                )
            )  # fmt: skip
    return found


def _name(run: dict[str, Any]) -> str:
    """What a run is priced as: its arm, and which way it learns at another chip."""
    return f"{run['arm']}, {WAYS[run['way']]}" if "way" in run else str(run["arm"])


def _accuracy(runs: Sequence[dict[str, Any]]) -> float | None:
    scores = [run["accuracy"] for run in runs if run.get("accuracy") is not None]
    return math.fsum(scores) / len(scores) if scores else None


def front(found: Sequence[Priced], by: Cost = "joules") -> list[Priced]:
    """Return those that nothing beats: none at the same prices costs less and is at least as accurate.

    Those whose pulses have no price (or no width, for seconds) are left out: what they cost is not known.

    Parameters
    ----------
    found : sequence of Priced
    by : {"joules", "seconds"}
        What it costs, of a sample, or of the training where samples are not known.
    """

    def cost(each: Priced) -> float:
        whole = each.bill.learnt().joules if by == "joules" else each.times.learning_s
        return whole / (each.samples or 1)

    kept = [
        each
        for each in found
        if each.accuracy is not None and not (each.bill if by == "joules" else each.times).absent
    ]
    return [
        each
        for each in kept
        if not any(
            other.bill.prices == each.bill.prices
            and cost(other) <= cost(each)
            and (other.accuracy or 0) >= (each.accuracy or 0)
            and (cost(other), -(other.accuracy or 0)) != (cost(each), -(each.accuracy or 0))
            for other in kept
        )
    ]


def to_reach(
    runs: Sequence[dict[str, Any]],
    prices: str | Path | PriceList,
    *,
    share: float | None = None,
    accuracy: float | None = None,
    sources: dict[str, Any] | None = None,
) -> Reached | None:
    """Return what runs of one arm had taken when they first reached an accuracy, at the looks of their curves.

    Parameters
    ----------
    runs : sequence of dict
        With ``events`` and ``along``.
    prices : str, Path or PriceList
    share : float, optional
        Of the accuracy at the last look of each run.
    accuracy : float, optional
        Itself, from 0 to 1; instead of a share.
    sources : dict, optional
        As of `neurosim.energy.price`.

    Returns
    -------
    found : Reached or None
        None where no curve was followed, or no run reached the accuracy by learning: it was not there at the first look.
    """
    if (share is None) == (accuracy is None):
        raise ConfigError("to_reach: give a share of the final accuracy, or an accuracy")
    took, wanted, followed, unknown = [], [], 0, False
    for run in runs:
        along = run.get("along") or []
        if len(along) < 2:
            continue
        followed += 1
        goal = float(accuracy if accuracy is not None else (share or 0) * along[-1]["accuracy"])
        wanted.append(goal)
        first = next((look for look in along if look["accuracy"] >= goal), None)
        if first is None or first is along[0]:  # what was there before it learnt took nothing
            continue
        events = [
            {**layer, "counts": {**dict.fromkeys(layer["counts"], 0), **counts}}
            for layer, counts in zip(run["events"], first["counts"], strict=True)
        ]
        bill = price(events, prices, sources=sources).learnt()
        unknown = unknown or bool(bill.absent)
        took.append((first["images"], *bill.total(), seconds(events, prices).learning_s))
    if not took:
        return None
    images, joules, low, high, span = (math.fsum(part) / len(took) for part in zip(*took, strict=True))
    found = Reached(
        share, math.fsum(wanted) / len(wanted), len(took), followed, images, joules, low, high, span
    )
    return replace(found, joules=None, low=None, high=None) if unknown else found


def columns(
    results: dict[str, Any], run: dict[str, Any], prices: str | Path | PriceList = ON_A_PAGE
) -> dict[str, Any]:
    """Return what one run or row came to as numbers by name, for a table; empty without events.

    Returns
    -------
    found : dict
        ``joules`` of learning, start programming left out, ``joules_low``, ``joules_high``, ``joules_assumed_share``,
        ``array_seconds``, and, where the samples are known, ``joules_per_sample``; ``prices``, the name of the list. NaN
        where pulses have no price, or no width.
    """
    if not run.get("events"):
        return {}
    numbers = results.get("devices", {}).get(run["arm"], {}).get("numbers")
    known = price_list(prices)
    bill = price(run["events"], known, sources=numbers).learnt()
    joules, low, high = (math.nan,) * 3 if bill.absent else bill.total()
    took = seconds(run["events"], known)
    samples, _ = _samples(results, run)
    return {
        "prices": known.name, "joules": joules, "joules_low": low, "joules_high": high,
        "joules_assumed_share": bill.assumed_share, "array_seconds": math.nan if took.absent else took.learning_s,
        **({"joules_per_sample": joules / samples} if samples else {}),
    }  # fmt: skip


def mean_events(runs: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the events of each layer with counts that are means over runs of one arm."""
    differ = {"counts": None, "wear": None}
    shapes = {repr([{**layer, **differ} for layer in events]) for events in runs}
    if len(shapes) > 1:
        raise ConfigError("runs of one arm have different arrays, so their events have no mean")
    return [
        {
            **layers[0],
            "counts": {
                name: math.fsum(layer["counts"][name] for layer in layers) / len(layers)
                for name in layers[0]["counts"]
            },
            "wear": [
                [points[0][0], math.fsum(pulses for _, pulses in points) / len(points)]
                for points in zip(*(layer["wear"] for layer in layers), strict=True)
            ],
        }
        for layers in zip(*runs, strict=True)
    ]


def _samples(results: dict[str, Any], run: dict[str, Any]) -> tuple[int | None, float | None]:
    """Return images shown to a run or row while it learnt, and epochs, where it or the settings say so.

    Runs of earlier versions do not say their images: then these are the training images, as often as there were epochs.
    """
    levels = {
        axis["field"].removeprefix("experiment."): run[axis["field"]]
        for axis in results.get("axes", [])
        if axis["field"] in run
    }
    config = {**results.get("config", {}), **levels}
    epochs = config.get("relearn_epochs" if "way" in run else "epochs")
    epochs = epochs if isinstance(epochs, int) else None
    images = levels.get("train_images", results.get("data", {}).get("train_images"))
    counted = run.get("samples")
    if counted is None and isinstance(images, int) and epochs is not None:
        counted = images * epochs
    return counted, epochs
