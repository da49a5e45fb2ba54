"""Numbers as people read them: unit prefixes, percent, points, means with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PREFIXES = {
    -8: "y", -7: "z", -6: "a", -5: "f", -4: "p", -3: "n", -2: "µ", -1: "m",
    0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P", 6: "E",
}  # fmt: skip
NOTHING = "–"
"""Stands where there is no number."""
NO_PRICE = "no price"
"""Stands where there are no joules, as the card does not give the pulse."""
PULSE_UNKNOWN = "the card does not give the voltage and width of a pulse: give --write-voltage and --write-time to neurosim fit"
"""Why."""
MINUS = "−"
INTERVALS = "Intervals: 95 % for new chips and new images; of one chip, for new images alone.\n"
"""What stands beside accuracies."""
EARLIER_INTERVALS = (
    "Intervals are those of the test images (Wilson), or of the seeds (bootstrap) where these are wider: over so few "
    "seeds a bootstrap alone is too narrow, with three it covers the mean in about 75 % of cases.\n"
)
"""What stands beside accuracies of networks in results of earlier versions."""
TIMES = {"year": 31_536_000.0, "day": 86_400.0, "h": 3600.0, "min": 60.0, "s": 1.0}
"""Names of times and their seconds, the longest first; a year has 365 days."""
UPDATE_ENERGIES = {
    "devices alone": "update_J_per_synapse",
    "with converters, lines and digital sums (lower bound)": "update_J_per_synapse_with_periphery",
}
"""Energies of an update and synapse, as tables and figures name them and as ledgers do."""
JOULES_OF_AN_UPDATE = (
    "Joules are those of an update (a mini-batch) and synapse; with the array's own periphery they are a lower bound. "
    "About half of the cards assume their pulse: neurosim energy says how much rests on that."
)
"""What stands beside them: unit, periphery, and what is assumed."""


def made_with(values: Mapping[str, Any]) -> str:
    """Return the line of a kept page that says by which code, libraries and seeds its numbers were made; "" where nothing is kept of it."""
    found = dict(values.get("versions") or {})
    if not found:
        return ""
    commit = f"commit `{found['commit']}`" if "commit" in found else "a commit that was not kept"
    own = {"commit", "source", "neurosim"}
    libraries = ", ".join(f"{name} {version}" for name, version in found.items() if name not in own)
    seeds = sorted({run["seed"] for run in values.get("runs") or values.get("rows") or () if "seed" in run})
    said = f"Made with neurosim {found.get('neurosim', '')} at {commit}; {libraries}"
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        said += f"; seeds {seeds[0]} to {seeds[-1]}"
    elif seeds:
        said += f"; seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return f"{said}.\n"


def joules(value: float | None) -> str:
    """Return joules with a unit prefix; None and NaN, which nobody knows, as `NO_PRICE`."""
    return NO_PRICE if value is None or math.isnan(value) else si(value, "J")


def si(value: float, unit: str, digits: int = 3) -> str:
    """Return a value with a unit prefix and so many significant digits: ``si(1.2e-12, "J")`` is "1.20 pJ"."""
    if value == 0:
        return f"0 {unit}"
    power = _power_of_thousand(value, digits)
    scaled = value / 1000.0**power
    before_point = len(f"{abs(scaled):.0f}") if abs(scaled) >= 1 else 1
    return f"{number(scaled, max(0, digits - before_point))} {PREFIXES[power]}{unit}"


def common_prefix(values: Iterable[float]) -> tuple[float, str]:
    """Return (scale, prefix) that suit an axis for all these values; a value is divided by the scale."""
    largest = max((abs(value) for value in values), default=0.0)
    power = _power_of_thousand(largest, 3) if largest else 0
    return 1000.0**power, PREFIXES[power]


def _power_of_thousand(value: float, digits: int) -> int:
    exponent = int(f"{abs(value):.{digits - 1}e}".split("e")[1])
    return min(max(exponent // 3, min(PREFIXES)), max(PREFIXES))


def number(value: float, decimals: int = 1) -> str:
    """Return a number with a true minus sign and without a negative zero."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def percent(share: float | None, decimals: int = 1) -> str:
    """Return a share as a number in percent, the sign left to the heading."""
    return NOTHING if share is None else number(100 * share, decimals)


def spread(mean: float, interval: tuple[float, float] | None) -> str:
    """Return mean and 95 % interval in percent: "88.9 ± 8.6", or with both ends if it is lopsided."""
    if interval is None:
        return percent(mean)
    low, high = interval
    if abs((low + high) / 2 - mean) < 1e-9:
        return f"{percent(mean)} ± {percent((high - low) / 2)}"
    return f"{percent(mean)} ({percent(low)}–{percent(high)})"


def around(entry: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Return the interval of a mean in a summary: for new chips and new images, or what an earlier version has."""
    found = entry.get(f"{name}_interval") or entry.get(f"{name}_ci95")
    return None if found is None else (float(found[0]), float(found[1]))


def which_intervals(summary: Sequence[Mapping[str, Any]]) -> str:
    """Say what the intervals of a summary are of; "" where nothing in it has one: a point that failed, what devices hold."""
    parts = [(entry, *entry.get("points", ())) for entry in summary]
    named = [{name.rpartition("_")[2] for part in own for name in part} for own in parts]
    having = [ends for ends in named if ends & {"interval", "ci95"}]
    if not having:
        return ""
    return INTERVALS if all("interval" in ends for ends in having) else EARLIER_INTERVALS


def update_energies(energy: dict[str, float | None] | None) -> list[str]:
    """Return a cell for each of `UPDATE_ENERGIES`, of what a ledger says of an array or None."""
    return [NOTHING if energy is None else joules(energy[name]) for name in UPDATE_ENERGIES.values()]


def significant(value: float, digits: int = 2) -> str:
    """Return a number with so many significant digits, without an exponent where that stays short."""
    if value == 0 or abs(value) >= 1e-5:
        rounded = float(f"{value:.{digits - 1}e}")
        return f"{rounded:.8f}".rstrip("0").rstrip(".").replace("-", MINUS)
    return f"{value:.{digits - 1}e}".replace("-", MINUS)


def duration(seconds: float) -> str:
    """Return a time in the longest unit that it fills: "1 s", "1 h", "30 days", "1 year"."""
    unit = next((name for name, size in TIMES.items() if seconds >= size), "s")
    count = significant(seconds / TIMES[unit], 3)
    return f"{count} {unit}s" if unit in ("day", "year") and count != "1" else f"{count} {unit}"


def amount(value: object) -> str:
    """Return a number of a card as it is written, a table by its extent."""
    if isinstance(value, list | tuple):
        return f"table of {len(value)}"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def setting(value: object) -> str:
    """Return a setting as text: nested ones as ``{name: value}``, None as "none"."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {setting(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value))
    return "none" if value is None else str(value)


def one_line(name: str, longest: int = 46) -> str:
    """Return a name on one line, cut in the middle where it is too long for a figure."""
    name = " ".join(name.split())
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


def under_one_head(rows: list[list[str]]) -> list[list[str]]:
    """Return the rows of a table with the first cell left empty where it is that of the row above."""
    heads = [row[0] for row in rows]
    return [
        ["" if k and head == heads[k - 1] else head, *row[1:]]
        for k, (head, row) in enumerate(zip(heads, rows, strict=True))
    ]


def markdown_table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
