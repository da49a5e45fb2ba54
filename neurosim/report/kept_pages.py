"""The page of kept results: from `NAME.json` the tables as `NAME.md` and the figures as `NAME-*.svg` beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from pydantic import ValidationError
from rich.table import Table

from neurosim.core.errors import DataError
from neurosim.report.budget import budget_bars, lost_interval
from neurosim.report.costs import Costs
from neurosim.report.deep import deep_markdown
from neurosim.report.earlier import from_earlier
from neurosim.report.energy import unpriced
from neurosim.report.forward_forward import forward_forward_markdown
from neurosim.report.kept_benchmarks import coverage_markdown, races_markdown, validation_page
from neurosim.report.mortal import mortal_markdown
from neurosim.report.page import KINDS, as_text
from neurosim.report.plots import accuracy_bars, energy_bars, learning_curves
from neurosim.report.results import Results, read_pictures
from neurosim.report.rewired import rewired_curves
from neurosim.report.spikes import spikes_markdown
from neurosim.report.style import to_svg
from neurosim.report.sweep import sweep_curves
from neurosim.report.text import (
    JOULES_OF_AN_UPDATE,
    NOTHING,
    around,
    joules,
    made_with,
    markdown_table,
    percent,
    spread,
)
from neurosim.report.weights import weights_markdown
from neurosim.report.words import intervals, mcnemar, mcnemar_explained
from neurosim.study.priced import ON_A_PAGE, priced
from neurosim.study.store import whole_file, write_text

Values = dict[str, Any]
MOST_BARS = 40
"""Bars of a figure of costs."""
COMPARED = (
    "arm", "seeds", "readout %", "vote %", "untrained readout / vote %", "kept by readout / vote %",
    "device energy per update and synapse", "with periphery (lower bound)", "pulses per pair and update",
)  # fmt: skip
"""Heads of the table of a comparison."""


class Kept(NamedTuple):
    """A page in Markdown and its figures, by what follows the page's name in theirs."""

    text: str
    figures: Mapping[str, Figure | None] = {}


def write_kept_page(file: Path) -> Path | None:
    """Draw the page of kept results and its figures, and return its path.

    Parameters
    ----------
    file : Path
        What `--json` of a command wrote.

    Returns
    -------
    page : Path or None
        None where the file holds nothing that has a page of this form.

    Raises
    ------
    DataError
        If the results are damaged.
    OutputError
        If the folder cannot be written.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(file, error) from None
    drawn = next((draw for name, draw in DRAWN_BY.items() if name in _named(values)), None)
    if drawn is None:
        return None
    try:
        text, figures = drawn(file, values)
    except (KeyError, IndexError, TypeError, ValidationError) as error:
        raise _damaged(file, error) from None
    for kind, figure in figures.items():
        if figure is not None:
            with whole_file(file.with_name(f"{file.stem}-{kind}.svg")) as stream:
                stream.write(to_svg(figure))
    page = file.with_suffix(".md")
    line = made_with(values)
    write_text(page, f"{text.rstrip()}\n\n{line}" if line else text)
    return page


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(f"{file}: damaged results ({type(error).__name__}: {' '.join(str(error).split())})")


def _named(values: object) -> set[str]:
    """What results and their settings name."""
    return set(values) | set(values.get("config", ())) if isinstance(values, dict) else set()


def _compared(file: Path, values: Values) -> Kept:
    """One layer, compared on devices."""
    results, name = Results.model_validate(values), file.stem
    figures = {
        "accuracy": accuracy_bars(results),
        "curves": learning_curves(results),
        "energy": energy_bars(results),
    }
    raw, data = values["baselines"][0], values["data"]
    text = (
        f"{data['note']}: {data['train_images']} training images, accuracy on the {data['reported_on']} "
        f"({data['test_images']} images), {values['config']['neurons']} neurons, mean and {intervals(results)}. "
        f"Linear classifier on {raw['name']}: {percent(raw['accuracy'])} %.\n\n"
    )
    if results.device_arms:
        text += f"{JOULES_OF_AN_UPDATE}\n\n"
    pictures = "\n".join(f"![{kind}]({name}-{kind}.svg)\n" for kind, drawn in figures.items() if drawn)
    table = markdown_table(COMPARED, _compared_rows(results))
    costs = _costs(file, values)
    return Kept(
        f"# {name}\n\n{text}{table}\n{_mcnemar_lines(results)}{pictures}{costs.text}",
        {**figures, **costs.figures},
    )


def _compared_rows(results: Results) -> list[list[str]]:
    rows = []
    for arm in results.summary:
        cost = [NOTHING] * 3
        if (energy := arm.energy) is not None:
            cost = [
                joules(energy.update_J_per_synapse),
                joules(energy.update_J_per_synapse_with_periphery),
                f"{energy.pulses_per_synapse:.2g}",
            ]
        rows.append([
            arm.arm, str(arm.seeds),
            spread(arm.accuracy_mean, arm.accuracy_interval), spread(arm.vote_mean, arm.vote_interval),
            f"{percent(arm.untrained_accuracy_mean)} / {percent(arm.untrained_vote_mean)}",
            f"{percent(arm.accuracy_learning_kept)} / {percent(arm.vote_learning_kept)}", *cost,
        ])  # fmt: skip
    return rows


def _mcnemar_lines(results: Results) -> str:
    """Table of McNemar's tests; empty for results that did not keep which images were right."""
    if not results.tested_arms:
        return ""
    rows = [[arm.arm, mcnemar(arm, "accuracy"), mcnemar(arm, "vote")] for arm in results.tested_arms]
    return f"{mcnemar_explained(results)}\n\n{markdown_table(('arm', 'readout', 'vote'), rows)}\n"


def _sheet_lines(table: Table) -> str:
    """A table of the terminal as Markdown."""
    sheet = as_text(table)
    return f"\n## {sheet.title}\n\n{markdown_table(tuple(sheet.headings), sheet.rows)}\n{sheet.caption}\n"


def _costs(file: Path, values: Values) -> Kept:
    """What learning cost: figures by the list of pages, tables by two; nothing of results without events."""
    if not any(run.get("events") for run in values.get("runs") or values.get("rows") or ()):
        return Kept("")
    costs = Costs(priced(values, [ON_A_PAGE]))
    if len(costs) > MOST_BARS:
        where = f"{file.resolve().parent.name}/{file.name}"
        return Kept(f"\nWhat they cost: `neurosim energy {where}`.\n")
    figures = {f"costs-{kind}": figure for kind, figure in costs.plot().items()}
    lines = [f"\n![{kind.removeprefix('costs-')}]({file.stem}-{kind}.svg)\n" for kind in figures]
    lines += map(_sheet_lines, Costs(priced(values, [ON_A_PAGE, "hermes-14nm"])).table())
    return Kept("".join([*lines, *(f"\n{said}.\n" for said in unpriced(costs))]), figures)


def _swept(file: Path, values: Values) -> Kept:
    """A sweep: what its HTML page says."""
    shows, name = KINDS["sweep"], file.stem
    data, seeds = values["data"], max(point["seeds"] for point in values["points"])
    first = (
        f"# {name}\n\n{shows.title(values)}: {data['note']}, {data['reported_on']}, "
        f"{data['train_images']} training images, {seeds} chips.\n\n"
    )
    lines = [first]
    lines += [f"* **{arm}**: {said.replace(chr(10), ' ')}\n" for arm, said in shows.findings(values)]
    figures = {kind: drawn for kind, drawn in shows.figures(values).items() if drawn.figure is not None}
    lines += [f"\n![{one.heading}]({name}-{kind}.svg)\n\n{one.caption}\n" for kind, one in figures.items()]
    lines += [_sheet_lines(table) for table in shows.tables(values) if table is not None]
    costs = _costs(file, values)
    return Kept(
        "".join([*lines, costs.text]),
        {**{kind: drawn.figure for kind, drawn in figures.items()}, **costs.figures},
    )


def _varied(file: Path, values: Values) -> Kept:
    """A study of noise tolerance of an earlier version."""
    found, name, levels = from_earlier(values) or values, file.stem, values["levels"]
    rows = []
    for arm in values["arms"]:
        own = {
            point["level"]: spread(point["accuracy_mean"], around(point, "accuracy"))
            for point in arm["points"]
        }
        rows.append([
            arm["arm"], *(own.get(level, "") for level in levels), str(arm.get("tolerated_level", NOTHING)),
        ])  # fmt: skip
    text = (
        f"# {name}\n\nAccuracy (linear readout, %) against {values['parameter']} ({values['unit']}), "
        f"{values['data']['note']}, {values['config']['neurons']} neurons.\n\n"
        f"{markdown_table(('arm', *(f'{level:g}' for level in levels), 'tolerated'), rows)}"
        f"\n![tolerance]({name}-tolerance.svg)\n![vote]({name}-vote.svg)\n"
    )
    return Kept(text, {"tolerance": sweep_curves(found, "accuracy"), "vote": sweep_curves(found, "vote")})


def _rewired(file: Path, values: Values) -> Kept:
    """A study of wires of an earlier version."""
    found, name = from_earlier(values) or values, file.stem
    ohms = sorted({point["ohm"] for point in values["points"]})
    seeds = len({run["seed"] for run in values["runs"]})
    places: dict[tuple[Any, ...], dict[float, str]] = {}
    for point in values["points"]:
        cell = f"{percent(point['accuracy_mean'])} / {percent(point['vote_mean'])}"
        places.setdefault((point["arm"], point["trained_ohm"], point["lines"]), {})[point["ohm"]] = cell
    rows = [
        [arm, f"{trained:g} Ω", str(size), *(cells.get(ohm, "") for ohm in ohms)]
        for (arm, trained, size), cells in places.items()
    ]
    errors = [run["training"]["wires"].get("largest_followed_error", 0.0) for run in values["runs"]]
    text = (
        f"# {name}\n\nReadout / vote (%), {values['data']['note']}, {values['data']['reported_on']}, "
        f"{values['config']['neurons']} neurons, mean over {seeds} seeds; learnt in tiles of "
        f"{values['trained_lines']} lines, read at other tile sizes and resistances from cell to cell.\n\n"
        f"{markdown_table(('device', 'learnt at', 'tile', *(f'{ohm:g} Ω' for ohm in ohms)), rows)}"
        f"\nLargest error of what was followed between exact solutions while it learnt: {percent(max(errors), 2)} % "
        f"of the largest current.\n\n![readout]({name}-accuracy.svg)\n![vote]({name}-vote.svg)\n"
    )
    return Kept(text, {score: rewired_curves(found, score) for score in ("accuracy", "vote")})


def _budget(file: Path, values: Values) -> Kept:
    """A noise budget of an earlier version."""
    name, data = file.stem, values["data"]
    first = (
        f"# {name}\n\nPoints of accuracy lost, readout and vote, mean and Student's 95 % interval over seeds: "
        f"{data['note']}, {data['train_images']} training images, "
        f"{data['reported_on']}, {values['config']['neurons']} neurons.\n"
    )
    parts = [first]
    for budget in values["ablation"]:
        rows = [
            [cause["cause"], *(_points(cause, score) for score in ("accuracy", "vote"))]
            for cause in budget["causes"]
        ]
        parts.append(f"\n## {budget['arm']}\n\n{markdown_table(('cause', 'readout', 'vote'), rows)}")
    parts.append(f"\n![noise budget]({name}-budget.svg)\n")
    return Kept("".join(parts), {"budget": budget_bars(from_earlier(values) or values)})


def _points(cause: Values, score: str) -> str:
    """Points lost with half the width of their interval."""
    found = lost_interval(cause, score)
    half = "" if found is None else f" ± {50 * (found[1] - found[0]):.1f}"
    return f"{100 * cause[f'{score}_lost_mean']:.1f}{half}"


Draws = Callable[[Path, Values], Kept]


def _of_kind(kind: str, markdown: Callable[[str, Values], str]) -> Draws:
    """Of a kind with a Markdown page of its own: that, the figures of its HTML page, and those of pictures in the folder of its name."""

    def draw(file: Path, values: Values) -> Kept:
        arms = list(dict.fromkeys(entry["arm"] for entry in values.get("summary", ())))
        held = read_pictures(file.with_suffix(""), arms)
        seen = {
            name: one for name, one in KINDS[kind].pictures(values, held).items() if one.figure is not None
        }
        sections = [
            f"## {one.heading}\n\n{one.caption}\n\n![{one.heading}]({file.stem}-{name}.svg)\n"
            for name, one in seen.items()
        ]
        drawn = {**KINDS[kind].figures({"data": {}, **values}), **seen}
        text = "\n".join([markdown(file.stem, values), *sections])
        return Kept(text, {name: one.figure for name, one in drawn.items()})

    return draw


def _of_text(markdown: Callable[[str, Values], str]) -> Draws:
    """A page of tables alone."""
    return lambda file, values: Kept(markdown(file.stem, values))


DRAWN_BY: dict[str, Draws] = {
    "tolerances": _swept,
    "parameter": _varied,
    "points": _rewired,
    "ablation": _budget,
    "calibration_images": _of_kind("weights", weights_markdown),
    "heads": _of_kind("deep", deep_markdown),
    "recovered_within": _of_kind("mortal", mortal_markdown),
    "highest_Hz": _of_kind("spikes", spikes_markdown),
    "negatives": _of_kind("forward-forward", forward_forward_markdown),
    "modules": _of_text(races_markdown),
    "summary": _compared,
    "machines": _of_text(validation_page),
    "bar": _of_text(coverage_markdown),
}
"""What draws a page, by something that only its results or settings name; the first that fits."""
