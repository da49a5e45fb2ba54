"""Pages in Markdown of what benchmarks keep: races, intervals of fits, and the backends against each other."""

from __future__ import annotations

from typing import Any

from neurosim.report.text import NOTHING, markdown_table, percent, significant
from neurosim.report.validation import validation_markdown


def validation_page(name: str, values: dict[str, Any]) -> str:
    """Return the page of one cross-validation of the backends."""
    parts = [f"# {name}\n\nnumba against torch {values['machines'][0]['versions']['torch']}.\n"]
    for machine in values["machines"]:
        config = machine["config"]
        parts.append(
            f"Torch on {machine['torch_device']}; trainings on {config['dataset']}, {config['neurons']} neurons, "
            f"first seed {config['first_seed']}. Every bound holds: {'yes' if machine['holds'] else 'NO'}.\n\n"
            f"{validation_markdown(machine)}"
        )
    return "\n".join(parts)


def coverage_markdown(name: str, values: dict[str, Any]) -> str:
    """Return the page on how often fitted intervals hold the known numbers (`benchmarks/coverage.py`)."""
    hundreds = [
        count
        for study in values["laws"]
        for found in study["parameters"].values()
        for count in found["covered_by_hundred"]
    ]
    below = sum(count < 90 for count in hundreds)
    first = (
        f"# {name}\n\nShare of synthetic data sets in which the 95 % interval holds the number that made the data. "
        f"Each hundred is also counted for itself: {len(hundreds) - below} of {len(hundreds)} (parameter, hundred) "
        f"reach 90, the lowest is {min(hundreds)}; of intervals that hold in exactly 95 %, one hundred in 90 does "
        "not. **Of fits as they are without their repetition on simulated data** (`--resamples 0`): of the laws of small "
        "steps the command `neurosim fit` corrects the best by that repetition, which these figures do not have and "
        "need not at designs as easy as these; at others uncorrected numbers are off (docs/fit.md). "
        "Phase-change memory, drift and programming are not repeated. Fitted: mean over the data sets; ±: mean half width of the interval. Made by "
        "`python -m benchmarks.coverage --out results/fit-coverage.json`.\n"
    )
    parts = [first]
    for study in values["laws"]:
        ranked = ""
        if "ranked_first" in study:
            first = ", ".join(f"{law} {count}" for law, count in study["ranked_first"].items())
            ranked = f" All laws fitted to {study['ranked']} of them; ranked first: {first}."
        rows = [
            [
                f"`{parameter}`",
                *(significant(found[key], 3) for key in ("known", "mean", "half_width")),
                percent(found["covered"] / study["datasets"]),
                ", ".join(map(str, found["covered_by_hundred"])),
            ]
            for parameter, found in study["parameters"].items()
        ]
        heads = ("parameter", "known", "fitted", "±", "covered %", "by hundred")
        parts.append(
            f"\n## {study['law']}\n\n{study['data']}, {study['datasets']} data sets.{ranked}\n\n"
            f"{markdown_table(heads, rows)}"
        )
    return "".join(parts)


def races_markdown(name: str, values: dict[str, Any]) -> str:
    """Return the page of races against references in one run (`python -m benchmarks`)."""
    rows = []
    for race in values["races"]:
        bar = (
            NOTHING
            if race["at_most"] is None
            else f"{race['at_most']:g}{'' if race['holds'] else ', missed'}"
        )
        times = [
            significant(1e3 * race[side], 3) if side in race else NOTHING
            for side in ("contender_s", "reference_s")
        ]
        rows.append([race["name"], f"{race['value']:.2f}", race["unit"], bar, *times])
    return (
        f"# {name}\n\nRatios of median times, both sides in turn in one process, {values['threads']} threads, "
        f"{values['machine']}: `python -m benchmarks {' '.join(values['modules'])}`. A bar is the most that was asked for. Times of "
        "what learns are of an image (deep SoftHebb) or a pair of samples (Forward-Forward), the others of a call.\n\n"
        f"{markdown_table(('race', 'ratio', 'to', 'bar', 'own, ms', 'other, ms'), rows)}"
    )
