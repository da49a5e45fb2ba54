"""What is shown of a kind of study that has no page of its own: its arms and their scores."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.report.text import spread

Results = dict[str, Any]


def title(results: Results) -> str:
    """Return the heading of the page."""
    return f"{str(results['kind']).capitalize()}: {', '.join(dict.fromkeys(e['arm'] for e in results['summary']))}"


def scores_table(results: Results) -> Table:
    """Return a table of every arm and score: mean over seeds with its interval."""
    table = Table(
        title=Text(f"Scores on the {results['data']['reported_on']} of {results['data']['note']}"),
        caption="means over seeds, 95 % intervals",
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    for heading in ("arm", "score"):
        table.add_column(heading, overflow="fold")
    for heading in ("seeds", "%"):
        table.add_column(heading, justify="right")
    for entry in results["summary"]:
        around = spread(entry["accuracy_mean"], entry["accuracy_interval"])
        table.add_row(Text(entry["arm"]), Text(entry["score"]), str(entry["seeds"]), around)
    return table
