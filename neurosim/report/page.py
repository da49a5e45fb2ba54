"""One page for every kind of study: what was found, figures, tables, what was taken as ideal or assumed, settings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from rich.table import Table

from neurosim.core.errors import DataError
from neurosim.core.protocols import State
from neurosim.report import (
    aged,
    any_kind,
    budget,
    deep,
    distilled,
    embedded,
    forward_forward,
    forward_forward_figures,
    holding,
    mortal,
    preferred,
    requirements,
    rewired,
    robustness,
    spikes,
    spikes_figures,
    sweep,
    weights,
)
from neurosim.report.html import REPORT, Shown, address, pages
from neurosim.report.results import read_pictures
from neurosim.report.text import JOULES_OF_AN_UPDATE, around, duration, percent, which_intervals
from neurosim.report.verdict import ANSWERED, answer_of, verdict, with_ends
from neurosim.study.same import cautions_of
from neurosim.study.store import write_text

Results = dict[str, Any]


class Drawn(NamedTuple):
    """A figure with its heading and caption; None where the results have none."""

    heading: str
    caption: str
    figure: Figure | None


class Shows(NamedTuple):
    """What a kind of study adds to the page."""

    title: Callable[[Results], str]
    figures: Callable[[Results], dict[str, Drawn]]
    """By the name of their file."""
    tables: Callable[[Results], list[Table | None]]
    findings: Callable[[Results], list[tuple[str, str]]]
    command: str
    pictures: Callable[[Results, dict[str, State]], dict[str, Drawn]] = lambda results, held: {}
    """Further figures, of what lies beside the results of each arm."""


class Sheet(NamedTuple):
    """A table as text."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    caption: str
    classes: list[str]
    """Of each column: a name, words that may run over several lines, or numbers."""


NAMES = ("arm", "chips")
"""Headings of columns of names."""
LONG = 34
"""Characters from which a cell holds words."""


def as_text(table: Table) -> Sheet:
    """Return a table of the terminal as text: what is printed there stands on the page."""
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    headings = [str(column.header) for column in table.columns]
    return Sheet(
        str(table.title or ""),
        headings,
        [list(row) for row in zip(*columns, strict=True)],
        str(table.caption or ""),
        [
            "name" if heading in NAMES else "words" if any(len(cell) > LONG for cell in column) else "nb"
            for heading, column in zip(headings, columns, strict=True)
        ],
    )


def findings(results: Results, of: str | None = None) -> list[tuple[str, str]]:
    """Return a sentence an arm: the verdict on those on devices first, then the accuracy of all others.

    Parameters
    ----------
    results : dict
        With a ``summary`` whose entries have ``arm`` and what `neurosim.study.controls.decided` says.
    of : str, optional
        Key that tells entries of one arm apart ("depth", "readout"): the last depth, the first readout counts.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for entry in results["summary"]:
        if (of == "depth" and not isinstance(entry[of], str)) or entry["arm"] not in chosen:
            chosen[entry["arm"]] = entry
    order = sorted(chosen.values(), key=lambda entry: not (entry.get("verdict") or entry.get("missing")))
    left = results.get("aged", ())
    return [(_named(entry, of), verdict(entry) + aged.aged_sentence(left, entry["arm"])) for entry in order]


def _named(entry: dict[str, Any], of: str | None) -> str:
    """An arm with what tells its entry apart."""
    which = {None: "", "depth": f", depth {entry.get('depth')}"}.get(of, f", {entry.get(of or '')}")
    return f"{entry['arm']}{which}"


def _sweep_title(results: Results) -> str:
    if results.get("measure") == "holding":
        return "What devices hold, against " + ", ".join(map(sweep.quantity, results["axes"]))
    if results.get("requirements"):
        return "What would be enough of each property"
    if results.get("budgets"):
        return "Noise budget"
    return "Accuracy against " + ", ".join(dict.fromkeys(map(sweep.quantity, results["axes"])))


def _sweep_figures(results: Results) -> dict[str, Drawn]:
    if results.get("measure") == "holding":
        said = "Known before training: " + holding.EXPLAINED
        return {"holding": Drawn("What devices hold", said, holding.held_curves(results))}
    if results.get("requirements"):
        said = requirements.CHART
        return {"requirements": Drawn("What was tried", said, requirements.requirement_chart(results))}
    found = {}
    if results.get("budgets"):
        found["budget"] = Drawn("Noise budget", budget.caption(results), budget.budget_bars(results))
    scores = [s for s in sweep.SCORES if any(f"{s}_mean" in point for point in results["points"])]
    for score in scores if sweep.drawn(results) else ():
        if rewired.is_rewired(results):
            found[f"wires-{score}"] = Drawn(
                f"{sweep.SCORES[score]} on other wires and tiles",
                "Bands are 95 % intervals; dotted: the resistance at which it learnt.",
                rewired.rewired_curves(results, score),
            )
            continue
        name = "sweep" if score == "accuracy" else f"sweep-{score}"
        found[name] = Drawn(
            f"{sweep.SCORES[score]} against each axis",
            "Means over seeds; bands are 95 % intervals; dotted: ideal arithmetic.",
            sweep.sweep_curves(results, score),
        )
    return found


def _sweep_tables(results: Results) -> list[Table | None]:
    if results.get("measure") == "holding":
        return [holding.held_table(results)]
    if results.get("requirements"):
        return [requirements.requirements_table(results)]
    points = sweep.sweep_table(results) if sweep.drawn(results) else None
    of = rewired.READ if rewired.is_rewired(results) else None
    beside = sweep.scores_table(results) if points is not None and of is None else None
    return [budget.budget_table(results), sweep.tolerance_table(results, of), points, beside]


def _sweep_findings(results: Results) -> list[tuple[str, str]]:
    """Of each arm the verdict at its first point, how many points have which, tolerances, and the best and worst point."""
    if results.get("requirements"):
        return requirements.findings(results)
    if results.get("budgets"):
        return budget.verdicts(results)
    found = []
    for arm in dict.fromkeys(point["arm"] for point in results["points"]):
        own = [point for point in results["points"] if point["arm"] == arm and "accuracy_mean" in point]
        if not own:
            continue
        said = [verdict(own[0])]
        if len(own) > 1:
            said.append(
                f"This is at {sweep.at_levels(results, own[0])}.{_answers(own)}{_range(results, own)}"
            )
        said += [
            f"Tolerates {quantity}: {reached['verdict']}"
            for quantity, reached in sweep.tolerated(results, arm)
        ]
        said += [
            f"After {duration(found['age_s'])}: {found['verdict'][:1].lower()}{found['verdict'][1:-1]}, 99 % of the mean "
            f"after {duration(found['first_age_s'])}."
            for found in results.get("yields", ())
            if found["arm"] == arm and found["chips"] > 1 and sweep.at_first(results, found["others"])
        ]
        last = not any(point.get("verdict") or point.get("missing") for point in own)
        found.append((last, arm, "\n".join(said)))
    return [(arm, said) for _, arm, said in sorted(found, key=lambda one: one[0])]


def _answers(own: list[dict[str, Any]]) -> str:
    """How many points have which verdict, with a space before it."""
    answers = Counter(answer_of(point) for point in own if point.get("verdict"))
    told = ", ".join(f"{words} at {answers[one]}" for one, words in ANSWERED.items() if answers[one])
    return f" Of {len(own)} points: {told}." if told else ""


def _range(results: Results, own: list[dict[str, Any]]) -> str:
    """The worst and the best point, with a space before them."""
    best, worst = (pick(own, key=lambda point: point["accuracy_mean"]) for pick in (max, min))
    if best["accuracy_mean"] == worst["accuracy_mean"]:
        return ""
    return f" {_point(results, worst)} at worst, {_point(results, best)} at best."


def _point(results: Results, point: dict[str, Any]) -> str:
    return f"{percent(point['accuracy_mean'], 2)} % ({sweep.at_levels(results, point)})"


def _mortal_findings(results: Results) -> list[tuple[str, str]]:
    """The verdict on chips that share nothing with the one that learnt, by the first readout; others are in the table."""
    first = results["summary"][0]["readout"]
    own = {entry["arm"]: entry for entry in results["summary"] if entry["readout"] == first}
    return [
        (
            f"{arm}, copied to {mortal.OTHERS[entry['kind']]} and learnt on there, by {first}",
            (
                f"{verdict(entry, 'the chip that learnt', 'relearnt')}\nAs copied it had "
                f"{with_ends(entry['copied_mean'], around(entry, 'copied'), '%')}, from scratch it reaches "
                f"{with_ends(entry['scratch_mean'], around(entry, 'scratch'), '%')}."
            ),
        )
        for arm, entry in own.items()
    ] + distilled.findings(results)


MORTAL = {
    "mortal": ("What a copy loses", "Against the chip that learnt."),
    "recovery": ("What learning there recovers", "Against images seen at the other chip."),
    "distilled": ("What is handed on as answers", distilled.SHARES),
}
"""Heading and caption of the figures of mortal chips."""
KINDS: dict[str, Shows] = {
    "deep": Shows(
        deep.title,
        lambda results: {
            "depth": Drawn("Accuracy against depth", "Bands are 95 % intervals.", deep.depth_curves(results)),
            "robustness": Drawn("Spoilt images", robustness.WHAT, robustness.robustness_curves(results)),
        },
        lambda results: [
            deep.deep_table(results),
            robustness.robustness_table(results),
            holding.holding_table(results),
        ],
        lambda results: findings(results, "depth"),
        "neurosim deep EXPERIMENT.toml --out {folder}",
        lambda results, held: {
            "preferred": Drawn(
                "What drives a neuron most", preferred.EXPLAINED, preferred.preferred_images(results, held)
            ),
            "embedded": Drawn(
                "Images as points", embedded.EXPLAINED, embedded.embedded_images(results, held)
            ),
        },
    ),
    "forward-forward": Shows(
        forward_forward.title,
        lambda results: {
            "epochs": Drawn(
                "Accuracy while it learns",
                f"Followed on the {results['data'].get('followed_on', 'training images')}.",
                forward_forward_figures.epoch_curves(results),
            ),
            "energy": Drawn(
                "Energy and accuracy",
                f"Left: the devices alone; right: with converters, lines and digital sums. {JOULES_OF_AN_UPDATE}",
                forward_forward_figures.energy_and_accuracy(results),
            ),
        },
        lambda results: [
            forward_forward.forward_forward_table(results),
            holding.holding_table(results),
            forward_forward.layers_table(results),
        ],
        lambda results: findings(results, "readout"),
        "neurosim ff EXPERIMENT.toml --out {folder}",
    ),
    "mortal": Shows(
        mortal.title,
        lambda results: {
            name: Drawn(*MORTAL[name], figure) for name, figure in mortal.figures(results).items()
        },
        lambda results: [mortal.mortal_table(results), *distilled.tables(results)],
        _mortal_findings,
        "neurosim mortal EXPERIMENT.toml --out {folder}",
    ),
    "spikes": Shows(
        spikes.title,
        lambda results: {
            "curves": Drawn("While it learns", spikes.CURVES, spikes_figures.learning_curves(results))
        },
        lambda results: [
            spikes.spikes_table(results),
            spikes.costs_table(results),
            holding.holding_table(results),
        ],
        lambda results: [
            (arm, said + spikes.linear_sentence(results, arm)) for arm, said in findings(results)
        ],
        "neurosim spikes EXPERIMENT.toml --out {folder}",
        lambda results, held: {
            "fields": Drawn(
                "Fields as they form", spikes_figures.FORMING, spikes_figures.forming_fields(results, held)
            ),
            "image": Drawn(
                "One image, as it is answered",
                spikes_figures.ANSWERED,
                spikes_figures.one_image(results, held),
            ),
            "neurons": Drawn(
                "Thresholds and spikes of all neurons",
                spikes_figures.STEADY,
                spikes_figures.steadiness(results, held),
            ),
            "winners": Drawn(
                "Who wins, and who should", spikes_figures.WON, spikes_figures.wins(results, held)
            ),
        },
    ),
    "weights": Shows(
        weights.title,
        lambda results: {
            "aging": Drawn("Accuracy against time", weights.AGING, weights.aging_curves(results))
        },
        lambda results: [
            weights.aged_table(results),
            weights.against_table(results),
            weights.cost_table(results),
            weights.model_table(results),
        ],
        weights.findings,
        "neurosim compare --weights FILE --out {folder} ...",
    ),
    "sweep": Shows(
        _sweep_title,
        _sweep_figures,
        _sweep_tables,
        _sweep_findings,
        "neurosim sweep EXPERIMENT.toml --out {folder} --axis ...",
    ),
}
"""Kinds of results with a page of this form; a new kind adds an entry."""


def shows_of(kind: str) -> Shows:
    """Return what a kind of study shows; one that is not in `KINDS` shows its arms and scores."""
    return KINDS.get(kind) or Shows(
        any_kind.title,
        lambda results: {},
        lambda results: [any_kind.scores_table(results), holding.holding_table(results)],
        lambda results: findings(results, "score"),
        "neurosim study EXPERIMENT.toml --out {folder}",
    )


def figures_of(results: Results, folder: Path | None = None) -> dict[str, Drawn]:
    """Return the figures of results of any of `KINDS` by the name of their file, those included that any kind may have.

    Parameters
    ----------
    results : dict
    folder : Path, optional
        Where they lie, with the pictures of their arms.
    """
    shows = shows_of(results["kind"])
    arms = list(dict.fromkeys(entry["arm"] for entry in results.get("summary", ())))
    held = {} if folder is None else read_pictures(folder, arms)
    return {**shows.figures(results), **shows.pictures(results, held), "aged": left_alone(results)}


def left_alone(results: Results) -> Drawn:
    """Return the figure of chips that were left alone, which results of any kind may have."""
    return Drawn("Learnt, left alone, learnt on", aged.CAPTION, aged.aged_curves(results))


def tables_of(results: Results) -> list[Table]:
    """Return the tables of results of any of `KINDS`."""
    found = [*shows_of(results["kind"]).tables(results), aged.aged_table(results)]
    return [table for table in found if table is not None]


def write_page(folder: Path, results: Results) -> Path:
    """Write `report.html` of results of any kind but "dense" into a folder and return its path.

    Raises
    ------
    DataError
        If the results are damaged.
    OutputError
        If the folder cannot be written.
    """
    shows = shows_of(results["kind"])
    try:
        figures = [
            Shown(drawn.heading, drawn.caption, [(address(drawn.figure), drawn.heading)])
            for drawn in figures_of(results, folder).values()
            if drawn.figure is not None
        ]
        html = pages().get_template("page.html.j2").render(
            title=shows.title(results),
            results=results,
            cautions=cautions_of(folder, results),
            findings=shows.findings(results),
            intervals=which_intervals(results.get("summary") or results["points"]),
            figures=figures,
            tables=[as_text(table) for table in tables_of(results)],
            command=shows.command.format(folder=folder.name or "DIR"),
            config=json.dumps(results["config"], indent=1, ensure_ascii=False),
            versions=", ".join(f"{package} {version}" for package, version in results["versions"].items()),
        )  # fmt: skip
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{folder}: the results there are damaged or of an earlier version ({type(error).__name__}: {error}); make "
            f"them again with: {shows.command.format(folder=folder)}"
        ) from None
    path = folder / REPORT
    write_text(path, html)
    return path
