"""Kept results priced again without running: bills, seconds and wear of each arm, mean over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurosim.core.errors import ConfigError
from neurosim.energy.bill import Bill
from neurosim.energy.lifetime import Wear, lifetime
from neurosim.energy.price_list import PriceList, price_list
from neurosim.energy.pricing import price
from neurosim.energy.seconds import Times, seconds

LISTS = ("results.json", "sweep.json")
"""Files of results that a folder may have."""


@dataclass(frozen=True)
class Priced:
    """What one arm comes to by one price list, at one point of a sweep."""

    arm: str
    levels: dict[str, Any]
    """Of the sweep's axes; empty without."""
    seeds: int
    samples: int | None
    """That were learnt from; None where the kind of study does not say."""
    bill: Bill
    times: Times
    wear: list[Wear]

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
            "lifetime": [asdict(wear) for wear in self.wear],
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
    from neurosim.study.store import read_json

    files = [where] if where.is_file() else [where / name for name in LISTS if (where / name).exists()]
    if not files:
        raise ConfigError(
            f"{where}: no {' or '.join(LISTS)} there; give the --out folder of a study or sweep"
        )
    found = read_json(files[0])
    if not isinstance(found, dict) or not isinstance(found.get("runs", found.get("rows")), list):
        raise ConfigError(f"{files[0]}: no runs in it; give the results of a study or sweep")
    return found


def priced(
    results: dict[str, Any], prices: Sequence[str | Path | PriceList], strict: bool = False
) -> list[Priced]:
    """Return what each arm of kept results comes to by each price list.

    Parameters
    ----------
    results : dict
        Of a study or a sweep.
    prices : sequence of str, Path or PriceList
    strict : bool
        Refuse what rests on assumed, remembered or unstated numbers.

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
    for run in results.get("runs", results.get("rows", [])):
        if run.get("events"):
            key = run["arm"], repr([run.get(field) for field in fields])
            groups.setdefault(key, []).append(run)
    if not groups:
        raise ConfigError(
            "no events in these results: they are of an earlier version, or in ideal arithmetic alone; run the study again"
        )
    found = []
    for runs in groups.values():
        arm, levels = runs[0]["arm"], {field: runs[0][field] for field in fields if field in runs[0]}
        numbers = results.get("devices", {}).get(arm, {}).get("numbers")
        events = mean_events([run["events"] for run in runs])
        samples, epochs = _samples(results, levels)
        wear = lifetime(events, epochs or 1, numbers=numbers)
        for prices_of in known:
            bill = price(events, prices_of, sources=numbers, strict=strict)
            found.append(Priced(arm, levels, len(runs), samples, bill, seconds(events, prices_of), wear))
    return found


def mean_events(runs: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the events of each layer with counts that are means over runs of one arm."""
    shapes = {repr([{**layer, "counts": None} for layer in events]) for events in runs}
    if len(shapes) > 1:
        raise ConfigError("runs of one arm have different arrays, so their events have no mean")
    return [
        {
            **layers[0],
            "counts": {
                name: math.fsum(layer["counts"][name] for layer in layers) / len(layers)
                for name in layers[0]["counts"]
            },
        }
        for layers in zip(*runs, strict=True)
    ]


def _samples(results: dict[str, Any], levels: dict[str, Any]) -> tuple[int | None, float | None]:
    """Return samples learnt from and epochs, where the settings say both."""
    config = {**results.get("config", {}), **levels}
    images, epochs = results.get("data", {}).get("train_images"), config.get("epochs")
    images = levels.get("train_images", images)
    if not isinstance(images, int) or not isinstance(epochs, int):
        return None, epochs if isinstance(epochs, int) else None
    return images * epochs, epochs
