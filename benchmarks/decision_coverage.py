"""How often the 95 % intervals for a decision hold the truth: few chips, many images, both drawn anew each time.

python -m benchmarks.decision_coverage --json results/decision-coverage.json --page results/decision-coverage.md
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from neurosim.report.text import made_with, markdown_table, percent
from neurosim.study.statistics import Chips, Crossed, interval, tolerance, wilson
from neurosim.study.statistics.crossed import SURE, Contrast
from neurosim.study.statistics.learning import Learning
from neurosim.study.store import versions, write_json, write_text

CHIPS, IMAGES = (1, 2, 3, 5, 10, 20), (100, 360, 10_000)
ACCURACIES, SPREADS = (0.5, 0.9, 0.99), (0.0, 0.01, 0.02, 0.05)
EASE, SEED = 0.7, 0.1
"""Shares of the chance of an answer that belong to the image, whatever the chip, and to image and seed together."""
LOSS = 0.02
"""The device's mean accuracy is so much below ideal arithmetic's, or half its errors if they are fewer."""
IDEAL_SPREAD = 0.005
RESAMPLES = 400
Bits = NDArray[np.bool_]
Table = tuple[float, float]


def rates(draws: np.random.Generator, mean: float, spread: float, chips: int) -> NDArray[np.float64]:
    """Accuracies of so many chips: a beta distribution, which has no other than shares."""
    if not spread:
        return np.full(chips, mean)
    size = mean * (1 - mean) / spread**2 - 1
    return draws.beta(mean * size, (1 - mean) * size, chips)


def tables(draws: np.random.Generator, arms: Sequence[NDArray[np.float64]], images: int) -> list[Bits]:
    """Tables (chips, images) of arms with these accuracies of each chip, tested on the same fresh images.

    An answer is right if a normal number is below the chip's threshold; `EASE` and `SEED` are the shares that all
    answers to an image have in common, and those of all arms of a seed.
    """
    chips = len(arms[0])
    ease = draws.standard_normal(images, np.float32) * np.float32(np.sqrt(EASE))
    ease = ease + draws.standard_normal((chips, images), np.float32) * np.float32(np.sqrt(SEED))
    own = np.float32(np.sqrt(1 - EASE - SEED))
    return [
        ease + own * draws.standard_normal((chips, images), np.float32)
        < special.ndtri(each).astype(np.float32)[:, None]
        for each in arms
    ]


def satterthwaite(found: Contrast) -> Table:
    """Return the interval with one quantile of Student's, of Satterthwaite's degrees of freedom, for the whole variance."""
    of_images, of_rest, of_chips = found.variances()
    of_chips = max(of_chips, of_rest)
    whole = of_images + of_chips
    freedom = (found.chips - 1) * (whole / of_chips) ** 2 if of_chips else 1e9
    return found.ends(special.stdtrit(freedom, (1 - SURE) / 2) ** 2 * whole)


def resampled(draws: np.random.Generator, difference: NDArray[np.int8]) -> Table:
    """Two-way bootstrap of the mean of a table: rows and columns drawn independently, percentiles.

    References
    ----------
    A. B. Owen, The pigeonhole bootstrap, Ann. Appl. Stat. 1 (2007) 386-411.
    """
    chips, images = difference.shape
    counts = draws.multinomial(chips, np.full(chips, 1 / chips), RESAMPLES)
    sums = (counts.astype(np.float32) @ difference.astype(np.float32)).astype(np.int64) + chips
    width = 2 * chips + 1
    places = sums + width * np.arange(RESAMPLES)[:, None]
    shares = np.bincount(places.ravel(), minlength=RESAMPLES * width).reshape(RESAMPLES, width) / images
    means = draws.multinomial(images, shares) @ np.arange(-chips, chips + 1) / (chips * images)
    low, high = np.quantile(means, [(1 - SURE) / 2, (1 + SURE) / 2])
    return float(low), float(high)


def of_seeds(chips: Chips) -> Table:
    """Student's interval over seeds, which takes the images as given; of one seed Wilson's."""
    return interval(list(chips.accuracies)) or wilson(float(chips.accuracies[0]), chips.images)


def accuracy_intervals(draws: np.random.Generator, table: Bits, slow: bool) -> dict[str, Table]:
    """Intervals of a mean accuracy by every candidate."""
    arm = Chips.of_table(table)
    found = Crossed([arm]).contrast([1])
    bare = Crossed([Chips(arm.accuracies, arm.images)]).contrast([1])
    candidates = {
        "crossed": found.interval(),
        "satterthwaite": satterthwaite(found),
        "means alone": bare.interval(),
        "student over seeds": of_seeds(arm),
    }
    return candidates | ({"bootstrap": resampled(draws, table.astype(np.int8))} if slow else {})


def gap_intervals(draws: np.random.Generator, ideal: Bits, device: Bits, slow: bool) -> dict[str, Table]:
    """Intervals of a mean gap by every candidate."""
    arms = Chips.of_table(ideal), Chips.of_table(device)
    found = Crossed(arms).contrast([1, -1])
    bare = Crossed([Chips(arm.accuracies, arm.images) for arm in arms]).contrast([1, -1])
    candidates = {
        "crossed": found.interval(),
        "satterthwaite": satterthwaite(found),
        "means alone": bare.interval(),
    }
    gaps = interval(list(arms[0].accuracies - arms[1].accuracies))
    if gaps:
        candidates["student over seeds"] = gaps
    difference = ideal.astype(np.int8) - device.astype(np.int8)
    return candidates | ({"bootstrap": resampled(draws, difference)} if slow else {})


def cell(chips: int, images: int, accuracy: float, spread: float, repeats: int, slow: int) -> dict[str, Any]:
    """Cover of accuracy and gap for one kind of device; the bootstrap in the first `slow` repeats."""
    draws = np.random.default_rng([chips, images, int(1000 * accuracy), int(1000 * spread)])
    loss = min(LOSS, (1 - accuracy) / 2)
    held: dict[str, dict[str, list[bool]]] = {"accuracy": {}, "gap": {}}
    width: dict[str, list[float]] = {"accuracy": [], "gap": []}
    for repeat in range(repeats):
        ideal, device = tables(
            draws,
            [
                rates(draws, accuracy + loss, min(IDEAL_SPREAD, spread), chips),
                rates(draws, accuracy, spread, chips),
            ],
            images,
        )
        also = repeat < slow and chips > 1
        for what, truth, found in (
            ("accuracy", accuracy, accuracy_intervals(draws, device, also)),
            ("gap", loss, gap_intervals(draws, ideal, device, also)),
        ):
            width[what].append(found["crossed"][1] - found["crossed"][0])
            for name, (low, high) in found.items():
                held[what].setdefault(name, []).append(low <= truth <= high)
    return {
        "chips": chips, "images": images, "mean": accuracy, "spread": spread, "repeats": repeats,
        **{
            what: {name: {"covered": sum(each), "of": len(each)} for name, each in held[what].items()}
            | {"half_width": float(np.mean(width[what])) / 2}
            for what in held
        },
    }  # fmt: skip


KEPT = tuple(product((2, 3, 5, 10), (360, 10_000), (0.45, 0.9), (0.005, 0.02)))
"""Chips, images, share of the learning kept, spread."""


def kept_cell(chips: int, images: int, share: float, spread: float, repeats: int) -> dict[str, Any]:
    """Cover of the share of the learning kept, and how often the verdict was wrong."""
    draws = np.random.default_rng([chips, images, int(1000 * share), int(1000 * spread), 1])
    before, after = 0.3, 0.9
    means = [before + share * (after - before), before, after, before]
    found: dict[str, list[bool]] = {"all tables": [], "untrained means alone": [], "yes": [], "no": []}
    for _ in range(repeats):
        tested = tables(draws, [rates(draws, mean, spread, chips) for mean in means], images)
        arms = [Chips.of_table(table) for table in tested]
        bare = [arm if k % 2 == 0 else Chips(arm.accuracies, images) for k, arm in enumerate(arms)]
        for name, some in (("all tables", arms), ("untrained means alone", bare)):
            low, high = Learning(*some).kept().interval or (-np.inf, np.inf)
            found[name].append(low <= share <= high)
        answer = Learning(*arms).verdict().answer
        found["yes"].append(answer == "yes")
        found["no"].append(answer == "no")
    counts = {name: sum(each) for name, each in found.items()}
    return {"chips": chips, "images": images, "share": share, "spread": spread, "repeats": repeats, **counts}


TOLERATED = tuple(product((2, 3, 5, 10), (360, 10_000), (0.005, 0.02)))
"""Chips, images, spread."""
LEVELS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
TRUE_LEVEL = 0.02


def level_cell(chips: int, images: int, spread: float, repeats: int) -> dict[str, Any]:
    """Cover of the tolerated level, of a device that keeps exactly 99 % at `TRUE_LEVEL`."""
    draws = np.random.default_rng([chips, images, int(1000 * spread), 2])
    means = [0.9 * (1 - 0.01 * level / TRUE_LEVEL) for level in LEVELS]
    low_wrong = high_wrong = enough = 0
    for _ in range(repeats):
        tested = tables(draws, [rates(draws, mean, spread, chips) for mean in means], images)
        found = tolerance(LEVELS, [Chips.of_table(table) for table in tested])
        low_wrong += found.low is not None and found.low > TRUE_LEVEL
        high_wrong += found.high is not None and found.high <= TRUE_LEVEL
        enough += found.enough
    return {
        "chips": chips, "images": images, "spread": spread, "repeats": repeats,
        "low_wrong": low_wrong, "high_wrong": high_wrong, "enough": enough,
    }  # fmt: skip


def _each(work: Callable[..., Any], settings: Sequence[tuple[Any, ...]], workers: int) -> list[Any]:
    with ProcessPoolExecutor(workers) as pool:
        return [job.result() for job in [pool.submit(work, *setting) for setting in settings]]


def page(found: dict[str, Any]) -> str:
    """Return the tables in Markdown."""
    command = (__doc__ or "").strip().splitlines()[-1]
    intro = (
        "Share of simulated studies, in percent, in which the 95 % interval holds the accuracy (or the gap) of all chips "
        "and all images. Chips' accuracies are beta distributed around the mean with the spread (points) given; "
        f"{percent(EASE, 0)} % of the chance of an answer belong to the image whatever the chip, {percent(SEED, 0)} % "
        f"to image and seed; ideal arithmetic is {percent(LOSS, 0)} points better, or by half the errors. *Crossed* is "
        "what `neurosim.study.statistics` gives; *means alone* the same without the tables of right answers; "
        "*Satterthwaite* the same with his degrees of freedom; *Student* over seeds takes the images as given; "
        f"*bootstrap* draws chips and images anew (two-way, {RESAMPLES} resamples, percentiles). Half: mean half width "
        f"of *crossed*, in points. Made by `{command}`: {{repeats}} studies a line, {{slow}} of them bootstrapped.\n"
    )
    first = found["cells"][0]
    parts = ["# decision-coverage\n", intro.format(repeats=first["repeats"], slow=found["bootstrapped"])]
    parts.append("## By chips: lowest, median, highest\n")
    parts.append(
        "Without the lines whose spread is larger than the errors (2 and 5 points around 99 %): there most chips are "
        "perfect and a few are bad, and a few chips do not show a bad one.\n"
    )
    for what in ("accuracy", "gap"):
        parts.append(_by_chips(found["cells"], what))
    for what in ("accuracy", "gap"):
        parts.append(f"## {what.capitalize()}\n")
        parts.append(_cells_table(found["cells"], what))
    parts.append("## Share of the learning kept, and verdicts\n")
    heads = ("chips", "images", "kept", "spread", "all tables", "untrained means alone", "yes", "no")
    parts.append(
        markdown_table(
            heads,
            [
                [
                    str(c["chips"]),
                    str(c["images"]),
                    f"{percent(c['share'], 0)} %",
                    percent(c["spread"]),
                    *(percent(c[name] / c["repeats"]) for name in heads[4:]),
                ]
                for c in found["kept"]
            ],
        )
    )
    parts.append(f"## Tolerated level: 99 % of the accuracy is kept up to {TRUE_LEVEL:g} exactly\n")
    heads = ("chips", "images", "spread", "low end above it", "high end at or below it", "not the whole axis")
    parts.append(
        markdown_table(
            heads,
            [
                [
                    str(c["chips"]),
                    str(c["images"]),
                    percent(c["spread"]),
                    *(percent(c[name] / c["repeats"]) for name in ("low_wrong", "high_wrong", "enough")),
                ]
                for c in found["tolerated"]
            ],
        )
    )
    return "\n".join(parts)


NAMES = {
    "crossed": "crossed",
    "means alone": "means alone",
    "satterthwaite": "Satterthwaite",
    "student over seeds": "Student",
    "bootstrap": "bootstrap",
}


def _by_chips(cells: Sequence[dict[str, Any]], what: str) -> str:
    rows = []
    for chips in CHIPS:
        some = [c[what] for c in cells if c["chips"] == chips and c["spread"] <= 1 - c["mean"] + 1e-9]
        row = []
        for name in NAMES:
            shares = [c[name]["covered"] / c[name]["of"] for c in some if name in c]
            three = (min(shares), float(np.median(shares)), max(shares)) if shares else ()
            row.append(", ".join(percent(share) for share in three) or "–")
        rows.append([str(chips), *row])
    return markdown_table((f"chips ({what})", *NAMES.values()), rows)


def _cells_table(cells: Sequence[dict[str, Any]], what: str) -> str:
    rows = []
    for c in cells:
        shares = [
            "–" if (one := c[what].get(name)) is None else percent(one["covered"] / one["of"])
            for name in NAMES
        ]
        size = [str(c["chips"]), str(c["images"]), percent(c["mean"], 0), percent(c["spread"])]
        rows.append([*size, *shares, percent(c[what]["half_width"])])
    return markdown_table(("chips", "images", "accuracy %", "spread", *NAMES.values(), "half"), rows)


def main() -> None:
    """Print, and keep where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=600)
    parser.add_argument("--bootstrapped", type=int, default=100, help="of them, also by the bootstrap")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    grid = list(product(CHIPS, IMAGES, ACCURACIES, SPREADS))
    run = partial(_each, workers=given.workers)
    found = {
        "nominal": SURE,
        "bootstrapped": given.bootstrapped,
        "cells": run(cell, [(*setting, given.repeats, given.bootstrapped) for setting in grid]),
        "kept": run(kept_cell, [(*setting, given.repeats) for setting in KEPT]),
        "tolerated": run(level_cell, [(*setting, given.repeats) for setting in TOLERATED]),
        "versions": versions(),
    }
    if given.json:
        write_json(given.json, found)
    if given.page:
        write_text(given.page, f"{page(found).rstrip()}\n\n{made_with(found)}")
    print(page(found))


if __name__ == "__main__":
    main()
