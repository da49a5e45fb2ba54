"""What learning costs: a table and a figure of bills, never devices without what stands around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from neurosim.energy.bill import Bill, joules_text
from neurosim.energy.lifetime import WORN, Wear
from neurosim.report.results import Results
from neurosim.report.text import duration
from neurosim.study.priced import ON_A_PAGE, Priced, front, priced


def took(results: dict[str, Any] | Results) -> list[tuple[str, str]]:
    """Return (arm, sentence) of what learning took in joules and seconds, in all; of a sweep at its first point.

    Parameters
    ----------
    results : dict or Results
        Of any kind of study; without events (ideal arithmetic, an earlier version) there are none.
    """
    known = results if isinstance(results, dict) else results.model_dump()
    return [(arm, f"{each.bill.sentence()} {_in_time(each)}") for arm, each in _first_of_arms(known).items()]


def _first_of_arms(results: dict[str, Any]) -> dict[str, Priced]:
    """The bill of each arm, of a sweep at its first point; none without events."""
    first: dict[str, Priced] = {}
    if any(run.get("events") for run in results.get("runs") or results.get("rows") or ()):
        for each in priced(results, [ON_A_PAGE]):
            first.setdefault(each.arm, each)
    return first


def _in_time(each: Priced) -> str:
    """How long it takes, and what a sample takes where the samples are known."""
    seconds, low, high = each.times.total()
    said = f"It takes {duration(seconds)} ({duration(low)} to {duration(high)}) of array and digital time"
    if each.times.not_timed:
        said += f", without {', '.join(each.times.not_timed)}, for which there is no time"
    if each.samples:
        of_a_sample, of_a_synapse = _of_a_sample(each)
        said += (
            f"; without programming the start {of_a_sample}, periphery included, for each of {each.samples:,} samples, "
            f"{of_a_synapse} for each of them and synapse"
        )
    return f"{said}."


def _of_a_sample(each: Priced) -> tuple[str, str]:
    """Joules of learning for a sample, and for a sample and synapse, as `neurosim energy` has them."""
    per = each.bill.per(each.samples)
    return joules_text(per["sample"]), joules_text(per.get("synapse_and_sample"))


def a_sample_costs(results: Results) -> dict[str, str]:
    """Return, for each arm whose events are known, what a sample of learning costs, in a sentence that may be quoted."""
    return {
        arm: (
            f"Learning costs {least}{_of_a_sample(each)[0]} a sample ({low} to {high}; prices {each.bill.prices}, periphery "
            f"included, {100 * learnt.assumed_share:.0f} % of it assumed), {_of_a_sample(each)[1]} for each synapse."
        )
        for arm, each in _first_of_arms(results.model_dump()).items()
        if each.samples
        for learnt in [each.bill.learnt()]
        for low, high in [[joules_text(end / each.samples) for end in learnt.total()[1:]]]
        for least in ["at least " if each.bill.absent else ""]
    }


def energy_table(found: Sequence[Priced]) -> Table:
    """A row for each arm and price list, a sample each where the samples are known, else the whole training."""
    table = Table(
        "arm", "accuracy %", "prices", "joules", "range", "devices", "periphery", "digital", "assumed %", "s a sample",
        "samples a second",
        title="What learning costs: joules a sample, or of the training where the samples are not known",
        caption=(
            "assumed: share of the joules whose price or pulse is assumed, from memory or unstated; a number without a "
            "known range counts with its value; ≥: without pulses, as the card does not give the pulse; seconds are blank where the list has no times; ★: none that costs less is more "
            "accurate, at these prices"
        ),
    )  # fmt: skip
    compared = {each.name for each in found if each.accuracy is not None}
    best = front(found) if len(compared) > 1 else []
    for each in found:
        bill, samples = (each.bill.learnt(), each.samples) if each.samples else (each.bill, 1)
        timed = bool(each.samples) and not each.times.not_timed
        rate = each.times.per(samples, bill.joules) if timed else {}
        table.add_row(
            each.name + (" ★" if each in best else ""),
            "" if each.accuracy is None else f"{100 * each.accuracy:.1f}",
            bill.prices,
            *joule_cells(bill, samples),
            f"{rate['sample_s']:.3g}" if rate else "",
            f"{rate['samples_per_s']:.3g}" if rate else "",
        )
    return table


def joule_cells(bill: Bill, count: float) -> list[str]:
    """Return cells of a bill shared out over so many: joules, range, of devices, periphery, digital sums, and % assumed."""
    total, low, high = (end / count for end in bill.total())
    least = "≥ " if bill.absent else ""
    return [
        least + joules_text(total),
        "no price" if bill.absent else f"{joules_text(low)} to {joules_text(high)}",
        least + joules_text(bill.device_J / count),
        *(joules_text(joules / count) for joules in (bill.periphery_J, bill.digital_J)),
        f"{100 * bill.assumed_share:.0f}",
    ]


def wear_table(found: Sequence[Priced]) -> Table:
    """How pulses are spread over the devices, when these are worn, and what refresh costs in a year."""
    table = Table(
        "arm", "layer", "pulses a device, mean", "busiest 1 % from", "busiest", "endurance",
        *(f"epochs until {100 * share:g} % are worn" for share in WORN), "refresh in a year",
        title="Wear: pulses of learning and refresh, and how long devices last",
        caption="refresh: joules of the devices' pulses; reads that it looks by and the periphery are in the bill",
    )  # fmt: skip
    lines: dict[tuple[str, int], tuple[Priced, Wear]] = {}
    for each in found:
        for wear in each.wear:
            lines.setdefault((each.name, wear.layer), (each, wear))
    for (name, layer), (each, wear) in lines.items():
        until = [wear.epochs_until(share) for share in WORN]
        table.add_row(
            name,
            str(layer),
            f"{wear.mean:.3g}",
            f"{float(np.quantile(wear.device_pulses(), 0.99)):.3g}",
            f"{wear.most:.3g}",
            "not known" if wear.endurance is None else f"{wear.endurance:.3g}",
            *("" if epochs is None else f"{epochs:.3g}" for epochs in until),
            "" if each.refresh_J_per_year == 0 else joules_text(each.refresh_J_per_year),
        )
    return table


def reached_table(found: Sequence[Priced]) -> Table:
    """What it took to come near the final accuracy, where curves were followed; empty where none was."""
    table = Table(
        "arm", "prices", "accuracy", "reached by", "images", "joules", "range", "array and digital time",
        title="What it took to reach an accuracy, at the looks of the curve",
        caption="joules of the whole training until then, periphery included, start programming left out",
    )  # fmt: skip
    for each in found:
        for goal in each.reached:
            table.add_row(
                each.name,
                each.bill.prices,
                f"{100 * goal.accuracy:.1f} %, {100 * (goal.share or 1):.0f} % of the last",
                f"{goal.seeds} of {goal.of}",
                f"{goal.images:,.0f}",
                joules_text(goal.joules),
                "" if goal.joules is None else f"{joules_text(goal.low)} to {joules_text(goal.high)}",
                duration(goal.seconds),
            )
    return table


def unpriced(found: Sequence[Priced]) -> list[str]:
    """Return a line for each price list: what happened and has no price, and what nobody counts."""
    lists = dict.fromkeys(each.bill.prices for each in found)
    said = []
    for prices in lists:
        missing = dict.fromkeys(
            what for each in found if each.bill.prices == prices for what in each.bill.not_priced
        )
        said.append(f"{prices}: not priced: {', '.join(missing) or 'nothing that was counted'}")
    counted = ", ".join(found[0].bill.not_counted)
    return [*said, f"not counted by any: {counted}"]
