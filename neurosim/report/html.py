"""One HTML file that holds everything: findings, tables, figures, settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from neurosim.core.protocols import State
from neurosim.report import aged, captions, pictures, plots, text, words
from neurosim.report.energy import took
from neurosim.report.glossary import WORDS
from neurosim.report.results import ArmSummary, Results, nothing_in, read_pictures, read_results
from neurosim.report.settings import energy_model, settings_of
from neurosim.report.settling import with_options
from neurosim.report.style import to_svg
from neurosim.report.verdict import emphasised
from neurosim.study.same import cautions_of
from neurosim.study.store import write_text

REPORT = "report.html"
HARMLESS = " /:;=,+?!*()[]@$-_.~'"
"""Characters that may stand as they are in an address between double quotes."""


@dataclass(frozen=True)
class Shown:
    """Figures under one heading with one caption."""

    heading: str
    caption: str
    images: list[tuple[str, str]]
    """(data address, description) of each."""


def write_report(folder: Path) -> Path:
    """Write `report.html` from the `results.json` in a folder and return its path.

    Raises
    ------
    DataError
        If it is not there or damaged; the message names the command that makes it.
    OutputError
        If the folder cannot be written.
    """
    results = read_results(folder)
    if results is None:
        raise nothing_in(folder)
    held = read_pictures(folder, [arm.arm for arm in results.summary])
    html = pages().get_template("report.html.j2").render(
        title=words.title(results),
        results=results,
        cautions=cautions_of(folder, {"config": results.config}),
        figures=list(_figures(results, held)),
        unseen=[arm.arm for arm in results.summary if arm.arm not in held],
        settings=settings_of(results.config),
        energy_model=energy_model(results.config),
        config=json.dumps(results.config, indent=1, ensure_ascii=False),
        versions=", ".join(f"{package} {version}" for package, version in results.versions.items()),
        more=[_more_of(results, arm) for arm in results.summary],
        folder=folder.name or "DIR",
    )  # fmt: skip
    path = folder / REPORT
    write_text(path, html)
    return path


def pages() -> Environment:
    """Return the templates with the filters that they use."""
    environment = Environment(
        loader=PackageLoader("neurosim.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, nothing=text.NOTHING, took=took, glossary=WORDS)
    environment.filters.update(
        amount=text.amount,
        setting=text.setting,
        tied=words.tied,
        plain=lambda said: re.sub("[*`]", "", said),
        emphasised=emphasised,
        with_options=with_options,
        percent=text.percent,
        spread=text.spread,
        joules=text.joules,
        significant=text.significant,
    )
    return environment


def _shown(heading: str, caption: str, figures: dict[str, Figure | None]) -> Shown | None:
    images = [(address(figure), name) for name, figure in figures.items() if figure is not None]
    return Shown(heading, caption, images) if images else None


def address(figure: Figure) -> str:
    """Return the figure as an address that holds it; percent signs cost less than base64 would."""
    svg = re.sub(r"<!--.*?-->", "", to_svg(figure).decode(), flags=re.DOTALL)
    svg = re.sub(r"> <", "><", re.sub(r"\s+", " ", svg))
    return "data:image/svg+xml," + quote(svg, safe=HARMLESS)


def _figures(results: Results, held: dict[str, State]) -> Iterator[Shown]:
    arms = [arm.arm for arm in results.summary]
    most = pictures.fields_that_fit(results.data.image_shape, len(held))
    fields = {
        f"Receptive fields of {arm}": pictures.receptive_fields(arm, found, results.data.image_shape, most)
        for arm, found in held.items()
    }
    total = results.config.get("neurons", "?")
    shown = min(most, total) if isinstance(total, int) else most
    candidates = [
        _shown("Accuracy", captions.accuracy(results), {"Accuracy per arm": plots.accuracy_bars(results)}),
        _shown("Gap to ideal", captions.gap(results), {"Gap to ideal per arm": plots.gap_points(results)}),
        _shown(
            "Learning curves",
            captions.curves(results),
            {"Vote against images seen": plots.learning_curves(results)},
        ),
        _shown(
            "Learnt, left alone, learnt on",
            aged.CAPTION,
            {"Accuracy before and after the time alone": aged.aged_curves(results.model_dump())},
        ),
        _shown("Energy", captions.energy(results), {"Energy per update": plots.energy_bars(results)}),
        _shown("Receptive fields", captions.fields(results, shown, total), fields),
        _shown(
            "Conductances",
            captions.histograms(results),
            {"Histograms of conductance": pictures.conductance_histograms(held, arms)},
        ),
    ]
    yield from (figure for figure in candidates if figure)


def _more_of(results: Results, arm: ArmSummary) -> dict[str, Any]:
    runs = [run for run in results.runs if run.arm == arm.arm]
    triangle = arm.accuracy_triangle_mean
    clipped = [None if run.adc_clipped_share is None else 1e6 * run.adc_clipped_share for run in runs]
    return {
        "arm": arm.arm,
        "triangle": text.NOTHING
        if triangle is None
        else text.spread(triangle, arm.accuracy_triangle_interval),
        "neurons": words.mean_of([run.neurons_used for run in runs], 0),
        "norm": words.mean_of([run.norm_mean for run in runs], 3),
        "norm_error": words.mean_of([run.norm_tracking_error for run in runs], 4),
        "clipped": words.mean_of(clipped, 1),
        "refreshed": text.number(arm.energy.refreshed_pairs, 0) if arm.energy else text.NOTHING,
        "rows_read": text.number(arm.energy.rows_read_back, 0) if arm.energy else text.NOTHING,
        "seconds": text.NOTHING if arm.seconds_mean is None else text.number(arm.seconds_mean, 1),
    }
