"""Tables of `neurosim validate`: how far the two machines are from one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.study.evaluate import compared_scores

Row = list[str]


def operation_rows(results: dict[str, Any]) -> tuple[Row, list[Row]]:
    """Heading and rows: operation by device by precision, noise off and on."""
    heading = ["device or rule", "operation", "precision", "absolute", "relative", "absolute, noise",
               "relative, noise", "beyond bound", "holds"]  # fmt: skip
    paired: dict[tuple[str, str, str], dict[bool, dict[str, Any]]] = {}
    for line in (*results["operations"], *results["rules"]):
        paired.setdefault((line["on"], line["operation"], line["precision"]), {})[line["noise"]] = line
    rows = []
    for (on, operation, precision), lines in paired.items():
        quiet, noisy = lines[False], lines.get(True)
        differing = max(line["differing"] for line in lines.values())
        rows.append([
            on, operation, precision, _number(quiet["absolute"]), _number(quiet["relative"]),
            _number(noisy["absolute"]) if noisy else "–", _number(noisy["relative"]) if noisy else "–",
            _number(differing), _verdict(all(line["holds"] for line in lines.values())),
        ])  # fmt: skip
    return heading, rows


def closed_form_rows(results: dict[str, Any]) -> tuple[Row, list[Row]]:
    """Heading and rows: numbers that both machines share against those of the card, the worst of all cards each."""
    heading = ["form", "cards and machines", "largest difference, relative", "bound", "holds"]
    forms: dict[str, list[dict[str, Any]]] = {}
    for line in results.get("closed_forms", ()):
        forms.setdefault(line["operation"].removeprefix("closed form: "), []).append(line)
    rows = []
    for form, lines in forms.items():
        worst = max(lines, key=lambda line: line["relative"] / line["bound"])
        rows.append([
            form, str(len(lines)), f"{_number(worst['relative'])} ({worst['on']})", _number(worst["bound"]),
            _verdict(all(line["holds"] for line in lines)),
        ])  # fmt: skip
    return heading, rows


def divergence_rows(results: dict[str, Any]) -> tuple[Row, list[Row]]:
    """Heading and rows: share of conductances that differ after k updates of free running, float32."""
    marks = (
        [point["updates"] for point in results["divergence"][0]["points"]] if results["divergence"] else []
    )
    heading = ["arm", *(f"after {mark}" for mark in marks)]
    rows = [
        [line["arm"], *(_number(point["differing"]) for point in line["points"])]
        for line in results["divergence"]
    ]
    return heading, rows


def training_rows(results: dict[str, Any]) -> tuple[Row, list[Row]]:
    """Heading and rows: one training on both machines."""
    heading = ["arm", "seed", "precision", "score", "%, numba", "torch", "classified differently",
               "seconds, numba", "torch", "holds"]  # fmt: skip
    rows = []
    for line in results["training"]:
        seconds = [f"{line['seconds'][machine]:.1f}" for machine in ("numba", "torch")]
        for score in compared_scores(line):
            one = line[score]
            rows.append([
                line["arm"], str(line["seed"]), line["precision"], "readout" if score == "accuracy" else score,
                f"{100 * one['numba']:.2f}", f"{100 * one['torch']:.2f}",
                f"{one['classified_differently']} of {line['test_size']}", *seconds, _verdict(line["holds"]),
            ])  # fmt: skip
    return heading, rows


TITLES = {
    "Operations from a common state (bounds: 1e-5 relative in float32, 1e-12 in float64)": operation_rows,
    "What both machines share, against closed forms": closed_form_rows,
    "Free running from one state: share of conductances that differ": divergence_rows,
    "Trainings": training_rows,
}


def _filled(results: dict[str, Any]) -> Iterator[tuple[str, Row, list[Row]]]:
    """Yield title, heading and rows of every table that has any."""
    for title, rows_of in TITLES.items():
        heading, rows = rows_of(results)
        if rows:
            yield title, heading, rows


def validation_tables(results: dict[str, Any]) -> list[Table]:
    """Return the tables for a terminal."""
    tables = []
    for title, heading, rows in _filled(results):
        table = Table(
            title=Text(f"{title}; torch on {results['torch_device']}"), box=SIMPLE_HEAD, pad_edge=False
        )
        for k, name in enumerate(heading):
            table.add_column(name, justify="left" if k < 3 else "right", overflow="fold")
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    return tables


def validation_markdown(results: dict[str, Any]) -> str:
    """Return the tables for a page."""
    parts = []
    for title, heading, rows in _filled(results):
        lines = [heading, ["---"] * len(heading), *rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"## {title}\n\n{table}\n")
    return "\n".join(parts)


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def _verdict(holds: bool) -> str:
    return "yes" if holds else "NO"
