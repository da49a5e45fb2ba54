"""Weights that were trained elsewhere, on devices: tables, curve and findings against the time since programming."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.report.style import IDEAL_COLOUR, INK, colours, label, new_figure, styled
from neurosim.report.text import NOTHING, duration, joules, markdown_table, number, percent, spread
from neurosim.report.verdict import ANSWERED, answer_of
from neurosim.report.words import split
from neurosim.study.arm import IDEAL

Results = dict[str, Any]
Entry = dict[str, Any]
NO_DATA = "no retention data on this card"
COSTS = {
    "programming, once, devices": "program_J",
    "read, an image, devices": "read_J_per_image",
    "periphery, an image": "read_periphery_J_per_image",
}
"""Energies by the heading of their column."""
JOULES = (
    "Joules of programming all weights once, devices alone, and of reading an image: devices, and beside them converters "
    "and lines at the array's own periphery, a lower bound. About half of the cards assume their pulse: neurosim devices "
    "show says where each number is from."
)
"""What stands beside these columns."""
CLIPPED = 0.01
"""Share of conversions beyond the ADCs' ranges that is worth a word."""


def where(results: Results) -> str:
    """Words that go with every accuracy."""
    return f"{results['data']['reported_on']} of {results['data']['note']}"


def title(results: Results) -> str:
    """Return what was done with which images, in one line."""
    return f"{results['data']['note']}: trained weights on devices"


def ideal_accuracy(results: Results) -> float:
    """Return the accuracy of the weights as they were trained."""
    found = {entry["arm"]: entry["accuracy_mean"] for entry in results["summary"]}
    return float(found[IDEAL])


def on_devices(results: Results) -> list[Entry]:
    """Return the summary's entries of arms on devices."""
    return [entry for entry in results["summary"] if entry["arm"] != IDEAL]


def times_s(results: Results) -> list[float]:
    """Return all times but that of programming."""
    return sorted({p["time_s"] for entry in on_devices(results) for p in entry["points"] if p["time_s"] > 0})


def line_of(entry: Entry, compensated: bool) -> list[Entry]:
    """Return the points of one line of the figure; both start as programmed."""
    return [p for p in entry["points"] if p["compensated"] is compensated or p["time_s"] == 0]


def _accuracy(point: Entry) -> str:
    """Mean and half the interval in percent, to a hundredth: aging is a matter of tenths."""
    low, high = point["accuracy_interval"]
    return f"{percent(point['accuracy_mean'], 2)} ± {percent((high - low) / 2, 2)}"


def table_rows(results: Results) -> list[tuple[str, str, list[str]]]:
    """Return (arm, compensation, accuracy at each time) of each line of the table."""
    rows = []
    for entry in on_devices(results):
        for compensated in (False, True) if entry["drifts"] else (False,):
            held = {point["time_s"]: _accuracy(point) for point in line_of(entry, compensated)}
            cells = [held.get(time, NOTHING) for time in (0.0, *times_s(results))]
            if compensated:
                cells[0] = NOTHING
            kind = ("with" if compensated else "without") if entry["drifts"] else NO_DATA
            rows.append((entry["arm"], kind, cells))
    return rows


def _table(heading: str, caption: str) -> Table:
    return Table(title=Text(heading), caption=caption, box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)


def aged_table(results: Results) -> Table:
    """Return accuracy as programmed and at each time, without and with drift compensation."""
    count = max(entry["seeds"] for entry in on_devices(results))
    table = _table(
        f"Accuracy (%) on the {where(results)}",
        f"{count} chip{'' if count == 1 else 's'} of each device; ± half the 95 % interval for new "
        f"{'images' if count == 1 else 'chips and new images'}",
    )
    table.add_column("arm", overflow="fold", min_width=10)
    table.add_column("compensation")
    for heading in ("programmed", *map(duration, times_s(results))):
        table.add_column(heading, justify="right", no_wrap=True)
    empty = [""] * len(times_s(results))
    table.add_row(IDEAL, "", percent(ideal_accuracy(results), 2), *empty)
    for name, kind, cells in table_rows(results):
        table.add_row(Text(name), kind, *cells)
    return table


def against_table(results: Results) -> Table:
    """Return how far each device is from the weights as trained, as programmed and at the end."""
    table = _table(
        "Points below the weights as trained",
        "95 % intervals and p for new devices and new images; kept: share of what the model knows beyond the most "
        "frequent class; these chips: images that only ideal : only the device has right, McNemar's exact test",
    )
    table.add_column("arm", overflow="fold", min_width=10)
    for heading in ("when", "gap", "p", "kept %", "as good", "these chips"):
        table.add_column(heading, justify="right")
    for entry in on_devices(results):
        for place, point in enumerate(_ends(entry)):
            gap, p = point["gap_interval"], point["gap_p"]
            table.add_row(
                Text(entry["arm"] if place == 0 else ""), _when(point),
                NOTHING if gap is None else spread(point["gap_to_ideal_mean"], gap),
                NOTHING if p is None else "< 0.001" if p < 0.001 else number(p, 3),
                percent(point["accuracy_learning_kept"], 0),
                ANSWERED[answer_of(point)] if point["verdict"] else NOTHING,
                split(point.get("mcnemar", {}).get("accuracy", ())),
            )  # fmt: skip
    return table


def _ends(entry: Entry) -> list[Entry]:
    """The first point, and the last without and with compensation."""
    last = [line_of(entry, compensated)[-1] for compensated in (False, True)]
    return [entry["points"][0], *(point for point in last if point["time_s"] > entry["points"][0]["time_s"])]


def _when(point: Entry) -> str:
    if not point["time_s"]:
        return "programmed"
    return f"{duration(point['time_s'])}{', compensated' if point['compensated'] else ''}"


def cost_table(results: Results) -> Table:
    """Return what programming and reading cost and count, means of the chips."""
    table = _table(
        "What it costs",
        JOULES,
    )
    table.add_column("arm", overflow="fold", min_width=10)
    for heading in (*COSTS, "devices programmed", "weights clipped", "conversions clipped"):
        table.add_column(heading, justify="right")
    for entry in on_devices(results):
        counts = [run["counts"] for run in results["runs"] if run["arm"] == entry["arm"]]
        spent = [joules(entry["energy"][name]) for name in COSTS.values()]
        events = [
            f"{np.mean([each[name] for each in counts]):,.0f}"
            for name in ("programmed_cells", "weights_clipped")
        ]
        table.add_row(Text(entry["arm"]), *spent, *events, f"{percent(entry['adc_clipped_share'], 2)} %")
    return table


def model_table(results: Results) -> Table:
    """Return the layers of the model in words, and how it was read."""
    model = results["model"]
    said = (
        "no layer map was given: the file was read as a plain chain, with ReLU between"
        if model["assumed"]
        else "as the layer map says"
    )
    unused = model["unused_tensors"]
    left = f"; in the file and not used: {', '.join(unused)}" if unused else ""
    table = _table(
        "The model",
        f"{said}; linear and convolutional layers stand on the devices unless they say digital, all else, bias included, is "
        f"digital{left}; "
        f"SHA-256 of the weights: {model['sha256'][:16]}…",
    )
    table.add_column("layer", justify="right")
    table.add_column("what it is", overflow="fold")
    for place, layer in enumerate(model["layers"], 1):
        table.add_row(str(place), Text(layer))
    return table


@styled
def aging_curves(results: Results) -> Figure:
    """Accuracy against time on a logarithmic axis, dashed without and solid with drift compensation."""
    figure = new_figure(3.9)
    axes = figure.subplots()
    axes.set_title(f"Trained weights on devices: accuracy on the {label(where(results), 80)}")
    times = times_s(results) or [1.0]
    start = times[0] / (times[-1] / times[0]) ** 0.14 if len(times) > 1 else times[0] / 10
    axes.set(xscale="log", xlabel="Time since programming", ylabel="Accuracy (%)")
    axes.set_xticks([start, *times], ["as pro-\ngrammed", *map(duration, times)])
    axes.minorticks_off()
    arms = on_devices(results)
    colour = colours([entry["arm"] for entry in arms])
    for entry in arms:
        for compensated in (False, True) if entry["drifts"] else (True,):
            _line(axes, line_of(entry, compensated), colour[entry["arm"]], compensated, start)
    axes.axhline(100 * ideal_accuracy(results), color=IDEAL_COLOUR, lw=1.2, ls=":")
    drifts = any(entry["drifts"] for entry in arms)
    figure.legend(handles=_keys(colour, drifts), loc="outside lower center", ncols=4)
    return figure


def _line(axes: Axes, points: list[Entry], colour: str, compensated: bool, start: float) -> None:
    """One arm; a card without retention data has its accuracy as programmed alone."""
    x = np.array([point["time_s"] or start for point in points])
    axes.plot(
        x, [100 * point["accuracy_mean"] for point in points], color=colour, lw=1.8, marker="o", ms=4.5,
        ls="-" if compensated else "--", mfc=colour if compensated else "white",
    )  # fmt: skip
    band = 100 * np.array([point["accuracy_interval"] for point in points]).T
    axes.fill_between(x, *band, color=colour, alpha=0.13, lw=0)


def _keys(colour: dict[str, str], drifts: bool) -> list[Line2D]:
    keys = [Line2D([], [], color=own, lw=2, label=label(arm)) for arm, own in colour.items()]
    keys.append(Line2D([], [], color=IDEAL_COLOUR, lw=1.2, ls=":", label="ideal arithmetic"))
    if not drifts:
        return keys
    style: dict[str, Any] = {"color": INK, "lw": 1.6, "marker": "o", "ms": 4.5}
    return [
        *keys,
        Line2D([], [], ls="--", mfc="white", label="drift not compensated", **style),
        Line2D([], [], ls="-", label="compensated", **style),
    ]


AGING = (
    "Mean of the chips; bands are 95 % intervals for new chips and new images. Dashed: outputs as they come. Solid: global drift compensation, one "
    "number a layer and chip, from the summed answers to fixed inputs after programming and now; it undoes what all "
    "devices have in common and not their differences. A single point: no retention data on the card. Dotted: ideal "
    "arithmetic. As programmed is the conductance that the card's law defines (for PCM at its reading time, 38.6 s after "
    "the last pulse on the built-in card); sooner, a drifting device conducts more."
)
"""Caption of the curves."""


def findings(results: Results) -> list[tuple[str, str]]:
    """Return (arm, what it reaches) of the weights as trained and of every arm on devices."""
    trained = f"{percent(ideal_accuracy(results), 2)} % as trained, in 32-bit floating point."
    return [(IDEAL, trained), *((entry["arm"], _finding(results, entry)) for entry in on_devices(results))]


def _finding(results: Results, entry: Entry) -> str:
    first, *later = _ends(entry)
    below = percent(ideal_accuracy(results) - first["accuracy_mean"], 2)
    said = f"{percent(first['accuracy_mean'], 2)} % as programmed ({below} points below ideal)"
    if later:
        plain, compensated = (percent(point["accuracy_mean"], 2) for point in later)
        after = duration(later[0]["time_s"])
        said += f"; after {after} {plain} % without and {compensated} % with drift compensation"
    elif not entry["drifts"]:
        said += f"; {NO_DATA}"
    last = (later or [first])[-1]
    if last["verdict"] is not None:
        answer = answer_of(last)
        decides = f" {last['verdict']['decides']}" if answer == "undecided" else ""
        said += f". As good as trained, {_when(last)}: {ANSWERED[answer]}.{decides}"
    else:
        said += "."
    if entry["adc_clipped_share"] > CLIPPED:
        said += f" {percent(entry['adc_clipped_share'])} % of ADC conversions were clipped."
    return said


def weights_markdown(name: str, results: Results) -> str:
    """Return figure and tables of one study of trained weights, for the documentation."""
    heads = ("arm", "drift compensation", "as programmed", *map(duration, times_s(results)))
    costs = [
        [entry["arm"], *(joules(entry["energy"][name]) for name in COSTS.values())]
        for entry in on_devices(results)
    ]
    said = (
        f"Accuracy (%) on the {where(results)} of weights trained by backpropagation, mean over "
        f"{on_devices(results)[0]['seeds']} chips, ± half the 95 % interval for new chips and new images. As "
        f"trained: {percent(ideal_accuracy(results), 2)} %."
    )
    return "\n".join(
        [
            f"# {name}\n\n{said}\n",
            markdown_table(heads, [[arm, kind, *cells] for arm, kind, cells in table_rows(results)]),
            f"{JOULES}\n",
            markdown_table(("arm", *COSTS), costs),
            f"![aging]({name}-aging.svg)\n",
        ]
    )
