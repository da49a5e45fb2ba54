"""What devices make of the start weights of each layer, as a table: known before training."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from neurosim.report.text import markdown_table, percent, significant, under_one_head

HELD = {
    "window": "window / rms",
    "step": "pulse / rms",
    "programmed": "written off by / rms",
    "followed": "changes followed, %",
    "spread": "accumulated spread / rms",
    "pulses": "pulses a weight",
}
"""What `study.holding` finds, with its heading."""


def holding_table(results: dict[str, Any]) -> Table | None:
    """Return a table with a row for each layer of each arm on devices; None without such arms."""
    if not results.get("holding"):
        return None
    table = Table(
        "arm", "layer", *HELD.values(), title="What devices make of the start weights of each layer"
    )
    for row in holding_rows(results):
        table.add_row(*row)
    return table


def holding_rows(results: dict[str, Any]) -> list[list[str]]:
    """Rows of that table."""
    rows = []
    for arm, layers in results["holding"].items():
        for layer in layers:
            found = (percent(layer[k]) if k == "followed" else significant(layer[k]) for k in HELD)
            rows.append([arm, str(layer["layer"]), *found])
    return under_one_head(rows)


def holding_markdown(results: dict[str, Any]) -> list[str]:
    """Return the table with its explanation, for the documentation; nothing without arms on devices."""
    if not results.get("holding"):
        return []
    explained = (
        "Known before training: start weights written to a sample of cells, and 200 random changes of a tenth of "
        "their rms asked for, 16 rms in all. Everything in units of the rms.\n"
    )
    return [explained, markdown_table(("arm", "layer", *HELD.values()), holding_rows(results))]
