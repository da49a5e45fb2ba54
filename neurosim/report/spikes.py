"""Spiking layers as tables: accuracy of assigned neurons and of a linear readout, spikes, and joules of an image and a spike."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.table import Table

from neurosim.report.energy import joule_cells
from neurosim.report.forward_forward import arms_of
from neurosim.report.text import (
    NOTHING,
    around,
    markdown_table,
    number,
    spread,
    under_one_head,
    which_intervals,
)
from neurosim.report.verdict import with_ends
from neurosim.study.priced import ON_A_PAGE, priced

Results = dict[str, Any]
HEADS = (
    "arm", "seeds", "assigned neurons, %", "linear readout, %", "gap, points", "neurons used", "input spikes an image",
    "spikes an image, learning", "and answering",
)  # fmt: skip
COSTS = ("arm", "of each", "joules", "range", "devices", "periphery", "digital", "assumed %")
CURVES = (
    "Left: assigned neurons, on training images that did not assign the classes; far fewer images assign them here than for the "
    "table, so that a curve of many neurons lies below it. Right: spikes of all neurons an image. Thick: mean over seeds; "
    "thin: each seed."
)
CAPTION = (
    "assigned neurons: each stands for the class to which it spikes most, and the class answers whose neurons spike most in "
    "the mean; linear readout: of the spike counts; gap: of the assigned neurons, below ideal arithmetic"
)
COSTS_CAPTION = (
    "joules of learning, start programming left out, devices and periphery together, shared out over what was shown or "
    "spiked meanwhile; neurons that integrate currents have no price, so these are lower bounds; assumed: share of the joules whose price or pulse is assumed, from memory or unstated; ≥: without "
    "pulses, as the card does not give the pulse"
)


def title(results: Results) -> str:
    """What was learnt and what the figures are of, in one line."""
    data, config = results["data"], results["config"]
    epochs = f"{config['epochs']} epoch{'s' if config['epochs'] > 1 else ''}"
    return (
        f"{config['neurons']} spiking neurons, {data['note']}, {data['train_images']} training images, {epochs}, "
        f"{data['reported_on']}"
    )


def spikes_table(results: Results) -> Table:
    """Return a table with a row an arm: both accuracies, the gap, and how many neurons and spikes there were."""
    table = Table(*HEADS, title=title(results), caption=CAPTION)
    for row in _rows(results):
        table.add_row(*row)
    return table


def _rows(results: Results) -> list[list[str]]:
    found = {(entry["arm"], entry["score"]): entry for entry in results["summary"]}
    rows = []
    for arm, runs in arms_of(results).items():
        entry, linear = found[arm, "accuracy"], found[arm, "accuracy_linear"]
        gap = entry.get("gap_to_ideal_mean")
        counts = ("neurons_used", "input_spikes_an_image", "learnt_spikes_an_image", "spikes_an_image")
        rows.append(
            [
                arm, str(len(runs)), *(spread(each["accuracy_mean"], around(each, "accuracy")) for each in (entry, linear)),
                NOTHING if gap is None else spread(gap, around(entry, "gap")),
                *(number(float(np.mean([run[name] for run in runs]))) for name in counts),
            ]
        )  # fmt: skip
    return rows


def costs_table(results: Results) -> Table | None:
    """Return a table with the joules of each image shown, spike of an input and spike of a neuron; None without devices."""
    rows = _costs(results)
    if not rows:
        return None
    table = Table(
        *COSTS, title=f"What learning costs with periphery, prices {ON_A_PAGE}", caption=COSTS_CAPTION
    )
    for row in rows:
        table.add_row(*row)
    return table


def _costs(results: Results) -> list[list[str]]:
    if not any(run.get("events") for run in results["runs"]):
        return []
    rows = []
    for each in priced(results, [ON_A_PAGE]):
        runs = arms_of(results)[each.arm]
        spikes = {who: float(np.mean([run["spikes"][who] for run in runs])) for who in ("inputs", "neurons")}
        of = {
            "image shown": each.samples,
            "spike of an input": spikes["inputs"],
            "spike of a neuron": spikes["neurons"],
        }
        rows += [
            [each.arm, what, *joule_cells(each.bill.learnt(), count)] for what, count in of.items() if count
        ]
    return under_one_head(rows)


def linear_sentence(results: Results, arm: str) -> str:
    """Return what the linear readout says of an arm, as a line of its own."""
    entry = next(e for e in results["summary"] if (e["arm"], e["score"]) == (arm, "accuracy_linear"))
    said = with_ends(entry["accuracy_mean"], around(entry, "accuracy"), "%")
    return f"\nThat is of its assigned neurons; a linear readout of its spike counts has {said}."


def spikes_markdown(name: str, results: Results) -> str:
    """Tables and figures of one study of spiking layers, for the documentation."""
    costs = _costs(results)
    return "\n".join(
        [
            f"# {name}\n\nAccuracy (%), mean and 95 % interval: {title(results)}; {CAPTION}.\n",
            f"![accuracy and spikes against images seen]({name}-curves.svg)\n\n{CURVES}\n",
            markdown_table(HEADS, _rows(results)),
            which_intervals(results["summary"]),
            *([f"Prices {ON_A_PAGE}; {COSTS_CAPTION}.\n", markdown_table(COSTS, costs)] if costs else []),
        ]
    )
