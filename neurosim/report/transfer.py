"""Table, figure and page of weights that were trained elsewhere, against time on the devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.report.html import address, pages, write_report
from neurosim.report.results import RESULTS, VARY, WEIGHTS, Interval, Part, nothing_in, read_study
from neurosim.report.style import IDEAL_COLOUR, INK, colours, label, new_figure, styled
from neurosim.report.text import NOTHING, duration, percent, si
from neurosim.study.arm import IDEAL
from neurosim.study.store import write_text

PAGE = "weights.html"
NO_DATA = "no retention data on this card"


class Point(Part):
    """Accuracy of one arm at one time."""

    time_s: float
    compensated: bool
    accuracy_mean: float
    accuracy_student95: Interval | None


class AgedArm(Part):
    """One device at every time."""

    arm: str
    instances: int
    drifts: bool
    points: tuple[Point, ...]
    energy: dict[str, float]
    adc_clipped_share: float

    def of(self, compensated: bool) -> list[Point]:
        """The points of one line of the figure; both start as programmed."""
        return [point for point in self.points if point.compensated is compensated or point.time_s == 0]


class Ideal(Part):
    """Ideal arithmetic."""

    accuracy: float
    accuracy_ci95: Interval


class Model(Part):
    """What was programmed."""

    layers: tuple[str, ...]
    assumed: bool
    unused_tensors: tuple[str, ...]
    sha256: str


class Where(Part):
    """What the accuracies are of."""

    note: str
    test_images: int
    reported_on: str

    @property
    def where(self) -> str:
        """Words that go with every accuracy."""
        return f"{self.reported_on} of {self.note}"


class Aged(Part):
    """What `neurosim.study.transfer.transfer` returns."""

    ideal: Ideal
    summary: tuple[AgedArm, ...]
    model: Model
    data: Where
    config: dict[str, Any]
    versions: dict[str, str]

    @property
    def times_s(self) -> list[float]:
        """All times but that of programming."""
        return sorted({point.time_s for arm in self.summary for point in arm.points if point.time_s > 0})


def _accuracy(point: Point) -> str:
    """Mean and half the interval in percent, to a hundredth: aging is a matter of tenths."""
    mean = percent(point.accuracy_mean, 2)
    if point.accuracy_student95 is None:
        return mean
    low, high = point.accuracy_student95
    return f"{mean} ± {percent((high - low) / 2, 2)}"


def table_rows(results: Aged) -> list[tuple[str, str, list[str], list[str]]]:
    """(arm, compensation, accuracy at each time, energies) of each line of the table."""
    rows = []
    for arm in results.summary:
        costs = (arm.energy[name] for name in ("program_J", "read_J_per_image", "read_periphery_J_per_image"))
        energies = [si(joules, "J") for joules in costs]
        for compensated in (False, True) if arm.drifts else (False,):
            held = {point.time_s: _accuracy(point) for point in arm.of(compensated)}
            cells = [held.get(time, NOTHING) for time in (0.0, *results.times_s)]
            kind = ("with" if compensated else "without") if arm.drifts else NO_DATA
            if compensated:
                cells[0], energies = NOTHING, [NOTHING] * 3
            rows.append((arm.arm, kind, cells, energies))
    return rows


def aged_table(results: Aged | dict[str, Any]) -> Table:
    """Return accuracy as programmed and at each time, without and with drift compensation.

    Parameters
    ----------
    results : Aged or dict
        What `neurosim.study.transfer.transfer` returns.
    """
    results = results if isinstance(results, Aged) else Aged.model_validate(results)
    count = max(arm.instances for arm in results.summary)
    table = Table(
        title=Text(f"Accuracy (%) on the {results.data.where}"),
        caption=f"{count} instance{'' if count == 1 else 's'} of each device; 95 % intervals of the mean (Student)",
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("device", overflow="fold", min_width=10)
    table.add_column("compensation")
    for heading in ("programmed", *map(duration, results.times_s)):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row(IDEAL, "", percent(results.ideal.accuracy, 2))
    for name, kind, cells, _ in table_rows(results):
        table.add_row(Text(name), kind, *cells)
    return table


@styled
def aging_curves(results: Aged | dict[str, Any]) -> Figure:
    """Accuracy against time on a logarithmic axis, dashed without and solid with drift compensation."""
    results = results if isinstance(results, Aged) else Aged.model_validate(results)
    figure = new_figure(3.9)
    axes = figure.subplots()
    axes.set_title(f"Trained weights on devices: accuracy on the {label(results.data.where, 80)}")
    times = results.times_s or [1.0]
    start = times[0] / (times[-1] / times[0]) ** 0.14 if len(times) > 1 else times[0] / 10
    axes.set(xscale="log", xlabel="Time since programming", ylabel="Accuracy (%)")
    axes.set_xticks([start, *times], ["as pro-\ngrammed", *map(duration, times)])
    axes.minorticks_off()
    colour = colours([arm.arm for arm in results.summary])
    for arm in results.summary:
        for compensated in (False, True) if arm.drifts else (True,):
            _line(axes, arm.of(compensated), colour[arm.arm], compensated, start)
    axes.axhline(100 * results.ideal.accuracy, color=IDEAL_COLOUR, lw=1.2, ls=":")
    figure.legend(handles=_keys(results, colour), loc="outside lower center", ncols=4)
    return figure


def _line(axes: Axes, points: list[Point], colour: str, compensated: bool, start: float) -> None:
    """One arm; a card without retention data has its accuracy as programmed alone."""
    x = np.array([point.time_s or start for point in points])
    axes.plot(
        x, [100 * point.accuracy_mean for point in points], color=colour, lw=1.8, marker="o", ms=4.5,
        ls="-" if compensated else "--", mfc=colour if compensated else "white",
    )  # fmt: skip
    known = [(place, point.accuracy_student95) for place, point in zip(x, points, strict=True)]
    band = np.array([(place, *interval) for place, interval in known if interval])
    if len(band):
        axes.fill_between(band[:, 0], *(100 * band[:, 1:]).T, color=colour, alpha=0.13, lw=0)


def _keys(results: Aged, colour: dict[str, str]) -> list[Line2D]:
    arms = [Line2D([], [], color=colour[arm.arm], lw=2, label=label(arm.arm)) for arm in results.summary]
    ideal = Line2D([], [], color=IDEAL_COLOUR, lw=1.2, ls=":", label="ideal arithmetic")
    if not any(arm.drifts for arm in results.summary):
        return [*arms, ideal]
    style: dict[str, Any] = {"color": INK, "lw": 1.6, "marker": "o", "ms": 4.5}
    return [
        *arms,
        ideal,
        Line2D([], [], ls="--", mfc="white", label="drift not compensated", **style),
        Line2D([], [], ls="-", label="compensated", **style),
    ]


def _findings(results: Aged) -> list[tuple[str, str]]:
    return [(arm.arm, _finding(results, arm)) for arm in results.summary]


def _finding(results: Aged, arm: AgedArm) -> str:
    first, ideal = arm.points[0].accuracy_mean, results.ideal.accuracy
    said = f"{percent(first, 2)} % as programmed ({percent(ideal - first, 2)} points below ideal)"
    if not arm.drifts:
        return f"{said}; {NO_DATA}."
    plain, compensated = (arm.of(which)[-1].accuracy_mean for which in (False, True))
    return (
        f"{said}; after {duration(arm.points[-1].time_s)} {percent(plain, 2)} % without and "
        f"{percent(compensated, 2)} % with drift compensation."
    )


def _cautions(results: Aged) -> list[str]:
    instances = max(arm.instances for arm in results.summary)
    programmed = (
        "As programmed: the conductance that the card's law defines (for PCM at its reading time, 38.6 s after "
        "the last pulse on the built-in card); sooner, a drifting device conducts more."
    )
    compensated = (
        "Compensation: one number a layer and instance, from the summed answers to fixed inputs after "
        "programming and now; it undoes what all devices have in common and not their differences."
    )
    intervals = (
        f"Intervals: 95 % Student intervals of the mean over {instances} instances."
        if instances > 1
        else "One instance: nothing is known about the spread between arrays."
    )
    found = [programmed, compensated, intervals]
    clipped = [arm for arm in results.summary if arm.adc_clipped_share > 0.01]
    found += [
        f"{arm.arm}: {percent(arm.adc_clipped_share)} % of ADC conversions were clipped." for arm in clipped
    ]
    return found


def write_aged_report(folder: Path) -> Path:
    """Write `weights.html` from the `weights.json` in a folder and return its path; raises as `write_reports`."""
    results = read_study(folder, WEIGHTS, Aged)
    if results is None:
        raise nothing_in(folder)
    caption = (
        f"Accuracy on the {results.data.where} against time since programming, mean of the instances; bands are "
        "95 % intervals. Dashed: outputs as they come. Solid: global drift compensation. A single "
        "point: no retention data on the card. Dotted: ideal arithmetic."
    )
    html = pages().get_template("weights.html.j2").render(
        title=f"{results.data.note}: trained weights on devices",
        study=results,
        lead=f"In ideal arithmetic the weights reach {percent(results.ideal.accuracy, 2)} % on the "
        f"{results.data.where}. Programmed onto devices:",
        findings=_findings(results),
        times=[duration(time) for time in results.times_s],
        rows=table_rows(results),
        cautions=_cautions(results),
        figure=address(aging_curves(results)),
        caption=caption,
        config=json.dumps(results.config, indent=1, ensure_ascii=False),
        versions=", ".join(f"{package} {version}" for package, version in results.versions.items()),
    )  # fmt: skip
    path = folder / PAGE
    write_text(path, html)
    return path


def write_reports(folder: Path) -> list[Path]:
    """Write the page of each study in a folder: `weights.html`, `report.html`; returns their paths.

    Raises
    ------
    DataError
        If no results are there or one is damaged; the message names the command that makes it.
    OutputError
        If the folder cannot be written.
    """
    found = [write_aged_report(folder)] if (folder / WEIGHTS).exists() else []
    if found and not any((folder / name).exists() for name in (RESULTS, VARY)):
        return found
    return [*found, write_report(folder)]
