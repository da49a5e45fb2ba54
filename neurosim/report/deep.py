"""Accuracy of deep networks at each depth, as a table."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from neurosim.report.text import percent, spread


def deep_table(results: dict[str, Any]) -> Table:
    """Return a table with a row an arm and a column a depth."""
    depths = sorted({entry["depth"] for entry in results["summary"]})
    data, config = results["data"], results["config"]
    table = Table(
        "arm",
        *(f"depth {depth}, %" for depth in depths),
        title=f"{data['note']}, {data['reported_on']}, linear head of {config['head_epochs']} epochs",
    )
    for arm in dict.fromkeys(entry["arm"] for entry in results["summary"]):
        own = {entry["depth"]: entry for entry in results["summary"] if entry["arm"] == arm}
        cells = [
            spread(own[depth]["accuracy_mean"], own[depth]["accuracy_ci95"])
            if own[depth]["accuracy_ci95"]
            else percent(own[depth]["accuracy_mean"])
            for depth in depths
        ]
        table.add_row(arm, *cells)
    return table
