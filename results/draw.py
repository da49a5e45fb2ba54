"""Draw the figures and tables of this folder from its JSON: python results/draw.py"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neurosim.report.budget import budget_bars
from neurosim.report.costs import Costs
from neurosim.report.deep import deep_markdown, depth_curves
from neurosim.report.earlier import from_earlier
from neurosim.report.energy import unpriced
from neurosim.report.forward_forward import forward_forward_markdown
from neurosim.report.forward_forward_figures import energy_and_accuracy, epoch_curves
from neurosim.report.mortal import figures as mortal_figures
from neurosim.report.mortal import mortal_markdown
from neurosim.report.page import KINDS, as_text
from neurosim.report.plots import accuracy_bars, energy_bars, learning_curves
from neurosim.report.results import Results
from neurosim.report.rewired import rewired_curves
from neurosim.report.robustness import robustness_curves
from neurosim.report.spikes import spikes_markdown
from neurosim.report.spikes_figures import learning_curves as spikes_curves
from neurosim.report.style import to_svg
from neurosim.report.sweep import sweep_curves
from neurosim.report.text import JOULES_OF_AN_UPDATE, around, percent, si, significant, spread
from neurosim.report.validation import validation_markdown
from neurosim.report.weights import aging_curves, weights_markdown
from neurosim.report.words import intervals, mcnemar, mcnemar_explained
from neurosim.study.priced import ON_A_PAGE, priced

FOLDER = Path(__file__).parent
MOST_BARS = 40
"""Bars of a figure of costs."""
HEADER = (
    "| arm | seeds | readout % | vote % | untrained readout / vote % | kept by readout / vote % "
    "| device energy per update and synapse | with periphery (lower bound) | pulses per pair and update |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
)


def rows(results: dict[str, Any]) -> Iterator[str]:
    """One row of the table an arm."""
    synapses = results["config"]["neurons"] * math.prod(results["data"]["image_shape"])
    for arm in results["summary"]:
        kept = f"{percent(arm['accuracy_learning_kept'])} / {percent(arm['vote_learning_kept'])}"
        untrained = f"{percent(arm['untrained_accuracy_mean'])} / {percent(arm['untrained_vote_mean'])}"
        cost = "– | – | –"
        if "energy" in arm:
            energy = arm["energy"]
            cost = (
                f"{si(energy['update_J_per_synapse'], 'J')} | "
                f"{si(energy['update_J_per_synapse_with_periphery'], 'J')} | "
                f"{energy['pulses'] / energy['updates'] / synapses:.2g}"
            )
        yield (
            f"| {arm['arm']} | {arm['seeds']} | {spread(arm['accuracy_mean'], around(arm, 'accuracy'))} "
            f"| {spread(arm['vote_mean'], around(arm, 'vote'))} | {untrained} | {kept} | {cost} |\n"
        )


def mcnemar_rows(results: Results) -> str:
    """Table of McNemar's tests; empty for results that did not keep which images were right."""
    if not results.tested_arms:
        return ""
    tests = "".join(
        f"| {arm.arm} | {mcnemar(arm, 'accuracy')} | {mcnemar(arm, 'vote')} |\n"
        for arm in results.tested_arms
    )
    return f"{mcnemar_explained(results)}\n\n| arm | readout | vote |\n| --- | --- | --- |\n{tests}\n"


def sheet_lines(table: Any) -> str:
    """A table of the terminal as Markdown."""
    sheet = as_text(table)
    head = f"| {' | '.join(sheet.headings)} |\n|{' --- |' * len(sheet.headings)}\n"
    rows_of = "".join(f"| {' | '.join(row)} |\n" for row in sheet.rows)
    return f"\n## {sheet.title}\n\n{head}{rows_of}\n{sheet.caption}\n"


def cost_lines(name: str, values: dict[str, Any]) -> str:
    """What learning cost: figures by the list of pages, tables by two; nothing of results without events."""
    if not any(run.get("events") for run in values.get("runs") or values.get("rows") or ()):
        return ""
    costs = Costs(priced(values, [ON_A_PAGE]))
    if len(costs) > MOST_BARS:
        return f"\nWhat they cost: `neurosim energy results/{name}.json`.\n"
    lines = []
    for kind, figure in costs.plot().items():
        if figure is not None:
            (FOLDER / f"{name}-costs-{kind}.svg").write_bytes(to_svg(figure))
            lines.append(f"\n![{kind}]({name}-costs-{kind}.svg)\n")
    tables = Costs(priced(values, [ON_A_PAGE, "hermes-14nm"])).table()
    return "".join([*lines, *map(sheet_lines, tables), *(f"\n{said}.\n" for said in unpriced(costs))])


def draw_results(name: str, values: dict[str, Any]) -> None:
    """Table and figures of one comparison."""
    results = Results.model_validate(values)
    figures = {
        "accuracy": accuracy_bars(results),
        "curves": learning_curves(results),
        "energy": energy_bars(results),
    }
    drawn = [kind for kind, figure in figures.items() if figure is not None]
    for kind in drawn:
        (FOLDER / f"{name}-{kind}.svg").write_bytes(to_svg(figures[kind]))
    raw = values["baselines"][0]
    data = values["data"]
    text = (
        f"{data['note']}: {data['train_images']} training images, accuracy on the {data['reported_on']} "
        f"({data['test_images']} images), {values['config']['neurons']} neurons, mean and {intervals(results)}. "
        f"Linear classifier on {raw['name']}: {percent(raw['accuracy'])} %.\n\n"
    )
    if results.device_arms:
        text += f"{JOULES_OF_AN_UPDATE}\n\n"
    pictures = "\n".join(f"![{kind}]({name}-{kind}.svg)\n" for kind in drawn)
    table = f"# {name}\n\n{text}{HEADER}{''.join(rows(values))}\n{mcnemar_rows(results)}{pictures}{cost_lines(name, values)}"
    (FOLDER / f"{name}.md").write_text(table, encoding="utf-8")


def draw_vary(name: str, values: dict[str, Any]) -> None:
    """Figure and table of one noise-tolerance study."""
    found = from_earlier(values) or values
    for score, picture in (("accuracy", "tolerance"), ("vote", "vote")):
        (FOLDER / f"{name}-{picture}.svg").write_bytes(to_svg(sweep_curves(found, score)))
    levels = values["levels"]
    lines = [
        (
            f"# {name}\n\nAccuracy (linear readout, %) against {values['parameter']} ({values['unit']}), "
            f"{values['data']['note']}, {values['config']['neurons']} neurons.\n\n"
        ),
        "| arm | " + " | ".join(f"{level:g}" for level in levels) + " | tolerated |\n",
        "| --- |" + " --- |" * (len(levels) + 1) + "\n",
    ]
    for arm in values["arms"]:
        found = {
            point["level"]: spread(point["accuracy_mean"], around(point, "accuracy"))
            for point in arm["points"]
        }
        cells = " | ".join(found.get(level, "") for level in levels)
        lines.append(f"| {arm['arm']} | {cells} | {arm.get('tolerated_level', '–')} |\n")
    lines.append(f"\n![tolerance]({name}-tolerance.svg)\n![vote]({name}-vote.svg)\n")
    (FOLDER / f"{name}.md").write_text("".join(lines), encoding="utf-8")


def draw_sweep(name: str, values: dict[str, Any]) -> None:
    """What the page of a sweep says: sentences, figures and tables."""
    shows = KINDS["sweep"]
    lines = [
        f"# {name}\n\n{shows.title(values)}: {values['data']['note']}, {values['data']['reported_on']}, "
    ]
    seeds = max(point["seeds"] for point in values["points"])
    lines.append(f"{values['data']['train_images']} training images, {seeds} chips.\n\n")
    lines += [f"* **{arm}**: {said.replace(chr(10), ' ')}\n" for arm, said in shows.findings(values)]
    for kind, drawn in shows.figures(values).items():
        if drawn.figure is not None:
            (FOLDER / f"{name}-{kind}.svg").write_bytes(to_svg(drawn.figure))
            lines.append(f"\n![{drawn.heading}]({name}-{kind}.svg)\n\n{drawn.caption}\n")
    lines += [sheet_lines(table) for table in shows.tables(values) if table is not None]
    lines.append(cost_lines(name, values))
    (FOLDER / f"{name}.md").write_text("".join(lines), encoding="utf-8")


def draw_weights(name: str, values: dict[str, Any]) -> None:
    """Figure and tables of trained weights on devices."""
    (FOLDER / f"{name}-aging.svg").write_bytes(to_svg(aging_curves(values)))
    (FOLDER / f"{name}.md").write_text(weights_markdown(name, values), encoding="utf-8")


def draw_rewired(name: str, values: dict[str, Any]) -> None:
    """Figures and table of a study of wires."""
    found = from_earlier(values) or values
    for score in ("accuracy", "vote"):
        (FOLDER / f"{name}-{score}.svg").write_bytes(to_svg(rewired_curves(found, score)))
    ohms = sorted({point["ohm"] for point in values["points"]})
    seeds = len({run["seed"] for run in values["runs"]})
    lines = [
        (
            f"# {name}\n\nReadout / vote (%), {values['data']['note']}, {values['data']['reported_on']}, "
            f"{values['config']['neurons']} neurons, mean over {seeds} seeds; learnt in tiles of "
            f"{values['trained_lines']} lines, read at other tile sizes and resistances from cell to cell.\n\n"
        ),
        "| device | learnt at | tile |" + "".join(f" {ohm:g} Ω |" for ohm in ohms) + "\n",
        "| --- |" + " --- |" * (len(ohms) + 2) + "\n",
    ]
    places: dict[tuple[Any, ...], dict[float, str]] = {}
    for point in values["points"]:
        cell = f"{percent(point['accuracy_mean'])} / {percent(point['vote_mean'])}"
        places.setdefault((point["arm"], point["trained_ohm"], point["lines"]), {})[point["ohm"]] = cell
    for (arm, trained, size), cells in places.items():
        row = " | ".join(cells.get(ohm, "") for ohm in ohms)
        lines.append(f"| {arm} | {trained:g} Ω | {size} | {row} |\n")
    errors = [run["training"]["wires"].get("largest_followed_error", 0.0) for run in values["runs"]]
    lines.append(
        f"\nLargest error of what was followed between exact solutions while it learnt: {percent(max(errors), 2)} % "
        f"of the largest current.\n\n![readout]({name}-accuracy.svg)\n![vote]({name}-vote.svg)\n"
    )
    (FOLDER / f"{name}.md").write_text("".join(lines), encoding="utf-8")


def draw_budget(name: str, values: dict[str, Any]) -> None:
    """Figure and table of a noise budget."""
    figure = budget_bars(from_earlier(values) or values)
    if figure is not None:
        (FOLDER / f"{name}-budget.svg").write_bytes(to_svg(figure))
    lines = [
        (
            f"# {name}\n\nPoints of accuracy lost, readout and vote, mean and Student's 95 % interval over seeds: "
            f"{values['data']['note']}, {values['data']['train_images']} training images, "
            f"{values['data']['reported_on']}, {values['config']['neurons']} neurons.\n"
        )
    ]
    for budget in values["ablation"]:
        lines.append(f"\n## {budget['arm']}\n\n| cause | readout | vote |\n| --- | --- | --- |\n")
        for cause in budget["causes"]:
            cells = " | ".join(_points(cause, score) for score in ("accuracy", "vote"))
            lines.append(f"| {cause['cause']} | {cells} |\n")
    lines.append(f"\n![noise budget]({name}-budget.svg)\n")
    (FOLDER / f"{name}.md").write_text("".join(lines), encoding="utf-8")


def _points(cause: dict[str, Any], score: str) -> str:
    """Points lost with half the width of their interval."""
    mean, around = cause[f"{score}_lost_mean"], cause[f"{score}_lost_student95"]
    half = "" if around is None else f" ± {50 * (around[1] - around[0]):.1f}"
    return f"{100 * mean:.1f}{half}"


def draw_validation(name: str, values: dict[str, Any]) -> None:
    """Tables of one cross-validation of the backends."""
    parts = [f"# {name}\n\nnumba against torch {values['machines'][0]['versions']['torch']}.\n"]
    for machine in values["machines"]:
        config = machine["config"]
        parts.append(
            f"Torch on {machine['torch_device']}; trainings on {config['dataset']}, {config['neurons']} neurons, "
            f"first seed {config['first_seed']}. Every bound holds: {'yes' if machine['holds'] else 'NO'}.\n\n"
            f"{validation_markdown(machine)}"
        )
    (FOLDER / f"{name}.md").write_text("\n".join(parts), encoding="utf-8")


def draw_coverage(name: str, values: dict[str, Any]) -> None:
    """Table of how often fitted intervals hold the known numbers."""
    hundreds = [
        count
        for study in values["laws"]
        for found in study["parameters"].values()
        for count in found["covered_by_hundred"]
    ]
    below = sum(count < 90 for count in hundreds)
    lines = [
        (
            f"# {name}\n\nShare of synthetic data sets in which the 95 % interval holds the number that made the data. "
            f"Each hundred is also counted for itself: {len(hundreds) - below} of {len(hundreds)} (parameter, hundred) "
            f"reach 90, the lowest is {min(hundreds)}; of intervals that hold in exactly 95 %, one hundred in 90 does "
            "not. **Of fits as they are without their repetition on simulated data** (`--resamples 0`): of the laws of small "
            "steps the command `neurosim fit` corrects the best by that repetition, which these figures do not have and "
            "need not at designs as easy as these; at others uncorrected numbers are off (docs/fit.md). "
            "Phase-change memory, drift and programming are not repeated. Fitted: mean over the data sets; ±: mean half width of the interval. Made by "
            "`python -m benchmarks.coverage --out results/fit-coverage.json`.\n"
        )
    ]
    for study in values["laws"]:
        ranked = ""
        if "ranked_first" in study:
            first = ", ".join(f"{law} {count}" for law, count in study["ranked_first"].items())
            ranked = f" All laws fitted to {study['ranked']} of them; ranked first: {first}."
        lines.append(f"\n## {study['law']}\n\n{study['data']}, {study['datasets']} data sets.{ranked}\n\n")
        lines.append(
            "| parameter | known | fitted | ± | covered % | by hundred |\n| --- | --- | --- | --- | --- | --- |\n"
        )
        for parameter, found in study["parameters"].items():
            cells = " | ".join(significant(found[key], 3) for key in ("known", "mean", "half_width"))
            share = percent(found["covered"] / study["datasets"])
            each = ", ".join(map(str, found["covered_by_hundred"]))
            lines.append(f"| `{parameter}` | {cells} | {share} | {each} |\n")
    (FOLDER / f"{name}.md").write_text("".join(lines), encoding="utf-8")


def draw_deep(name: str, values: dict[str, Any]) -> None:
    """Figure and tables of one study of deep networks."""
    for kind, figure in {"depth": depth_curves(values), "robustness": robustness_curves(values)}.items():
        if figure is not None:
            (FOLDER / f"{name}-{kind}.svg").write_bytes(to_svg(figure))
    (FOLDER / f"{name}.md").write_text(deep_markdown(name, values), encoding="utf-8")


def draw_forward_forward(name: str, values: dict[str, Any]) -> None:
    """Figures and tables of one study of Forward-Forward."""
    for kind, figure in {"epochs": epoch_curves(values), "energy": energy_and_accuracy(values)}.items():
        if figure is not None:
            (FOLDER / f"{name}-{kind}.svg").write_bytes(to_svg(figure))
    (FOLDER / f"{name}.md").write_text(forward_forward_markdown(name, values), encoding="utf-8")


def draw_mortal(name: str, values: dict[str, Any]) -> None:
    """Figures and table of one study of mortal chips."""
    for kind, figure in mortal_figures(values).items():
        (FOLDER / f"{name}-{kind}.svg").write_bytes(to_svg(figure))
    (FOLDER / f"{name}.md").write_text(mortal_markdown(name, values), encoding="utf-8")


def draw_spikes(name: str, values: dict[str, Any]) -> None:
    """Figure and tables of one study of spiking layers."""
    figure = spikes_curves(values)
    if figure is not None:
        (FOLDER / f"{name}-curves.svg").write_bytes(to_svg(figure))
    (FOLDER / f"{name}.md").write_text(spikes_markdown(name, values), encoding="utf-8")


def draw_races(name: str, values: dict[str, Any]) -> None:
    """Table of races against references in one run."""
    lines = [
        (
            f"# {name}\n\nRatios of median times, both sides in turn in one process, {values['threads']} threads, "
            f"{values['machine']}: `python -m benchmarks {' '.join(values['modules'])}`. A bar is the most that was asked for. Times of "
            "what learns are of an image (deep SoftHebb) or a pair of samples (Forward-Forward), the others of a call.\n\n"
            "| race | ratio | to | bar | own, ms | other, ms |\n| --- | --- | --- | --- | --- | --- |\n"
        )
    ]
    for race in values["races"]:
        bar = "–" if race["at_most"] is None else f"{race['at_most']:g}{'' if race['holds'] else ', missed'}"
        times = [
            significant(1e3 * race[side], 3) if side in race else "–"
            for side in ("contender_s", "reference_s")
        ]
        lines.append(
            f"| {race['name']} | {race['value']:.2f} | {race['unit']} | {bar} | {' | '.join(times)} |\n"
        )
    (FOLDER / f"{name}.md").write_text("".join(lines), encoding="utf-8")


DRAWN_BY = {
    "tolerances": draw_sweep,
    "parameter": draw_vary,
    "points": draw_rewired,
    "ablation": draw_budget,
    "calibration_images": draw_weights,
    "heads": draw_deep,
    "recovered_within": draw_mortal,
    "highest_Hz": draw_spikes,
    "negatives": draw_forward_forward,
    "modules": draw_races,
    "summary": draw_results,
    "machines": draw_validation,
    "bar": draw_coverage,
}
"""What draws a study, by something that only its results or settings name; the first that fits."""


def main() -> None:
    """Draw everything."""
    for file in sorted(FOLDER.glob("*.json")):
        values = json.loads(file.read_text(encoding="utf-8"))
        named = values.keys() | values.get("config", {}).keys()
        for name, draw in DRAWN_BY.items():
            if name in named:
                draw(file.stem, values)
                break


if __name__ == "__main__":
    main()
