"""Every card, and arrays of some, against the plain numpy composition of the tests, with many devices.

python -m benchmarks.composition [CARD ...] [--devices 100000] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neurosim.report.text import made_with
from neurosim.study.store import versions, write_json, write_text

TESTS = Path(__file__).parents[1] / "tests"
DEVICES = 100_000
ARRAYS = 64
LIMIT = 4.0
"""Standard errors; of some thousand statistics none is further off by chance."""
Row = dict[str, Any]


def helpers() -> tuple[Any, Any, Any]:
    """The comparison of the tests, which is not installed: (reference, devices, arrays)."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    import composition_array_helpers
    import composition_helpers
    import composition_reference

    return composition_reference, composition_helpers, composition_array_helpers


def worst(rows: Iterable[Row]) -> list[Row]:
    """Of each card and age the statistic that is furthest off."""
    found: dict[tuple[str, float], Row] = {}
    for row in rows:
        key = row["card"], row["age_s"]
        if key not in found or abs(row["off"]) > abs(found[key]["off"]):
            found[key] = row
    return list(found.values())


def line(row: Row) -> str:
    """One line of print."""
    target = f"{row['target_uS']:8.4g} uS" if "target_uS" in row else " " * 11
    return f"{row['card']:<36}{row['age_s']:>10.4g} s  {row['off']:+7.1f}  {target}  {row['statistic']}"


def card_rows(name: str, n: int = DEVICES) -> list[Row]:
    """The worst statistic at each age of one card's devices, and of its arrays where the tests have them."""
    reference, single, array = helpers()
    if reference.parameters(name)["law"] not in reference.WRITE:
        return []
    rows = worst(single.compare(name, n=n, reference_n=10 * n))
    if name in array.ARRAYS:
        rows += worst(array.compare_array(name, seeds=ARRAYS))
        if name in array.READ_NOISY:
            rows += worst(array.compare_array(name, is_read_noisy=True, seeds=ARRAYS))
    return rows


def composition(names: Iterable[str] = (), n: int = DEVICES) -> dict[str, Any]:
    """Print a line for each card and age; the same as a dictionary for JSON, with the worst and whether all hold."""
    rows: list[Row] = []
    for name in names or helpers()[0].names():
        found = card_rows(name, n)
        print(*map(line, found), sep="\n", flush=True)
        rows += found
    furthest = max((abs(row["off"]) for row in rows), default=0.0)
    return {
        "devices": n,
        "limit_standard_errors": LIMIT,
        "worst_standard_errors": furthest,
        "holds": furthest <= LIMIT,
        "rows": rows,
    }


def page(found: dict[str, Any]) -> str:
    """Return the table as a page: for each card the worst of its statistics at each age, in standard errors."""
    ages: list[float] = []
    cards: dict[str, dict[float, float]] = {}
    for row in found["rows"]:
        ages += [row["age_s"]] if row["age_s"] not in ages else []
        worst_of = cards.setdefault(row["card"], {})
        worst_of[row["age_s"]] = max(worst_of.get(row["age_s"], 0.0), abs(row["off"]))
    heading = ["card", *(f"{age:.4g} s" for age in sorted(ages))]
    rows = [
        [name, *(f"{by_age[age]:.1f}" if age in by_age else "" for age in sorted(ages))]
        for name, by_age in cards.items()
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in [heading, ["---"] * len(heading), *rows])
    return (
        "# Devices against a plain numpy composition\n\n"
        f"The worst of mean, standard deviation and three quantiles at three targets, of {found['devices']:,} devices, in "
        f"standard errors of the difference; at most {found['limit_standard_errors']:g} are allowed. Made by `python -m "
        "benchmarks.composition --json results/composition.json --page results/composition.md`.\n\n"
        f"{table}\n"
    )


def main() -> int:
    """Print the table and keep it with `--json`; exit code 1 where something departs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.composition", description=__doc__)
    parser.add_argument("cards", nargs="*", metavar="CARD", help="all by default")
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    found = {**composition(given.cards, given.devices), "versions": versions()}
    print(f"worst {found['worst_standard_errors']:.1f} standard errors, limit {LIMIT}")
    if given.json:
        write_json(given.json, found)
    if given.page:
        write_text(given.page, f"{page(found).rstrip()}\n\n{made_with(found)}")
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
