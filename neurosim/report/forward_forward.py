"""Forward-Forward: accuracy by epoch as a figure, accuracy by readout and what each layer cost as tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter
from rich.table import Table

from neurosim.report.holding import holding_markdown
from neurosim.report.style import PALETTE, colours, label, new_figure, styled
from neurosim.report.text import NOTHING, markdown_table, percent, si, significant, spread, under_one_head

MARKS, LINES = "os^Dv", ("-", ":", "-.")
"""Of arms that have the same colour, in turn."""
CROWD = 6
"""More arms than these are followed by their first readout only."""
STYLES = {"goodness": "-", "linear": "-", "softmax": "--"}
LAYERS = (
    "arm",
    "layer",
    "shape",
    "rms of weights",
    "quiet samples, last epoch",
    "pulses a weight",
    "devices' energy, update and synapse",
)


def learnt(results: dict[str, Any]) -> str:
    """What was learnt, in one line."""
    data, config = results["data"], results["config"]
    kind = "labels on images" if config["supervised"] else "hybrids, no labels"
    return f"{data['note']}, {data['train_images']} training images, {config['epochs']} epochs, {kind}"


def title(results: dict[str, Any]) -> str:
    """What was learnt and what the figures are of, in one line."""
    return f"{learnt(results)}, {results['data']['reported_on']}"


def _arms(results: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Runs by arm, in the order of the arms."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in results["runs"]:
        found.setdefault(run["arm"], []).append(run)
    return found


@styled
def epoch_curves(results: dict[str, Any]) -> Figure:
    """Accuracy by epoch, a colour an arm: by goodness solid, by the head dashed; mean and range over seeds.

    Of many arms goodness (or the first readout) alone.
    """
    arms = _arms(results)
    figure = new_figure(4.6)
    axes = figure.subplots()
    colour = colours(list(arms))
    followed = [readout for readout in STYLES if readout in results["runs"][0]["curve"][0]]
    for number, (arm, runs) in enumerate(arms.items()):
        for readout in followed if len(arms) <= CROWD else followed[:1]:
            style = STYLES[readout] if len(arms) <= CROWD else LINES[number // len(PALETTE) % len(LINES)]
            curves = np.array([[100 * point[readout] for point in run["curve"]] for run in runs])
            epochs = [point["epoch"] for point in runs[0]["curve"]]
            mark = "o" if len(epochs) == 1 else ""
            name = f"{label(arm, 36)}, {readout}" if len(arms) <= CROWD else label(arm, 36)
            axes.plot(epochs, curves.mean(axis=0), style, marker=mark, color=colour[arm], lw=1.5, label=name)
            if len(runs) > 1:
                axes.fill_between(
                    epochs, curves.min(axis=0), curves.max(axis=0), color=colour[arm], alpha=0.15, lw=0
                )
    by = "" if len(arms) <= CROWD else f" by {followed[0]}"
    axes.set(xlabel="Epoch", ylabel=f"Accuracy{by}, {results['data']['followed_on']} (%)")
    figure.suptitle(label(learnt(results), 130), fontsize=8.5, fontweight="bold")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right center")
    return figure


ENERGIES = {
    "Devices alone": "update_J_per_synapse",
    "With converters, lines and digital sums (lower bound)": "update_J_per_synapse_with_periphery",
}


def _energy_of_update(run: dict[str, Any], name: str) -> float:
    """Energy of an update and synapse over all layers of a run, J."""
    synapses = np.array([layer["rows"] * layer["neurons"] for layer in run["layers"]])
    each = np.array([layer["energy"][name] for layer in run["layers"]])
    return float((each * synapses).sum() / synapses.sum())


@styled
def energy_and_accuracy(results: dict[str, Any]) -> Figure | None:
    """Error of each arm on devices over the energy of its updates, mean and range over seeds; None without any.

    Filled marks: the first readout; hollow ones: the other. Lines: ideal arithmetic.
    """
    arms = _arms(results)
    on_devices = {arm: runs for arm, runs in arms.items() if "energy" in runs[0]["layers"][0]}
    if not on_devices:
        return None
    readouts = _readouts(results)
    figure = new_figure(4.8)
    panels = figure.subplots(1, 2, sharey=True)
    colour = colours(list(arms))
    for axes, (heading, energy) in zip(panels, ENERGIES.items(), strict=True):
        for number, (arm, runs) in enumerate(on_devices.items()):
            joules = float(np.mean([_energy_of_update(run, energy) for run in runs]))
            for readout, filled in zip(readouts, (True, False), strict=True):
                scores = 100 * (1 - np.array([run["readouts"][readout] for run in runs]))
                mean = scores.mean()
                axes.errorbar(
                    joules, mean, [[mean - scores.min()], [scores.max() - mean]], fmt=MARKS[number // (len(PALETTE) - 1) % len(MARKS)], ms=7, lw=1,
                    color=colour[arm], mfc=colour[arm] if filled else "white",
                    label=label(arm, 40) if filled else None,
                )  # fmt: skip
        for arm in arms.keys() - on_devices.keys():
            for readout, style in zip(readouts, ("-", "--"), strict=True):
                mean = 100 * (1 - float(np.mean([run["readouts"][readout] for run in arms[arm]])))
                named = f"{label(arm, 40)}, {readout}"
                axes.axhline(mean, color=colour[arm], ls=style, lw=1, label=named)
        axes.set(title=heading, xlabel="Energy of an update and synapse", xscale="log")
        axes.xaxis.set_major_formatter(EngFormatter("J"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        low, high = axes.get_xlim()
        axes.set_xlim(
            min(low, 10 ** np.floor(np.log10(low * 1.01))), max(high, 10 ** np.ceil(np.log10(high)))
        )
    panels[0].set(ylabel=f"Error, {results['data']['reported_on']} (%)", yscale="log")
    panels[0].invert_yaxis()
    panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[0].yaxis.set_major_formatter(ScalarFormatter())
    panels[0].yaxis.set_minor_formatter(NullFormatter())
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=3,
        title=f"filled: {readouts[0]}, hollow: {readouts[1]}",
    )
    return figure


def forward_forward_table(results: dict[str, Any]) -> Table:
    """Return a table with a row an arm and a column a readout."""
    heads = _readouts(results)
    table = Table("arm", "seeds", *(f"{readout}, %" for readout in heads), title=title(results))
    for row in _accuracy_rows(results, heads):
        table.add_row(*row)
    return table


def layers_table(results: dict[str, Any]) -> Table:
    """Return a table with a row for each layer of each arm, first seed."""
    table = Table(*LAYERS, title="What each layer was and cost, first seed")
    for row in _layer_rows(results):
        table.add_row(*row)
    return table


def _readouts(results: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(entry["readout"] for entry in results["summary"]))


def _accuracy_rows(results: dict[str, Any], readouts: list[str]) -> list[list[str]]:
    found = {(entry["arm"], entry["readout"]): entry for entry in results["summary"]}
    return [
        [arm, str(found[arm, readouts[0]]["seeds"])]
        + [spread(found[arm, r]["accuracy_mean"], found[arm, r]["accuracy_ci95"]) for r in readouts]
        for arm in dict.fromkeys(entry["arm"] for entry in results["summary"])
    ]


def _layer_rows(results: dict[str, Any]) -> list[list[str]]:
    rows = []
    for arm, runs in _arms(results).items():
        for number, layer in enumerate(runs[0]["layers"], 1):
            energy = layer.get("energy")
            locations, shape = layer.get("locations", 1), f"{layer['rows']} x {layer['neurons']}"
            synapses = locations * layer["rows"] * layer["neurons"]
            rows.append(
                [
                    arm, str(number), shape if locations == 1 else f"{locations} of {shape}", significant(layer["weight_rms"]),
                    percent(runs[0]["curve"][-1]["quiet"][number - 1]),
                    NOTHING if energy is None else significant(energy["pulses"] / synapses),
                    NOTHING if energy is None else si(energy["update_J_per_synapse"], "J"),
                ]
            )  # fmt: skip
    return under_one_head(rows)


def forward_forward_markdown(name: str, results: dict[str, Any]) -> str:
    """Tables of one study of Forward-Forward, for the documentation."""
    readouts = _readouts(results)
    on_devices = any("energy" in run["layers"][0] for run in results["runs"])
    return "\n".join(
        [
            f"# {name}\n\nAccuracy (%), mean and 95 % interval: {title(results)}.\n",
            *([f"![energy and accuracy]({name}-energy.svg)\n"] if on_devices else []),
            f"![accuracy by epoch]({name}-epochs.svg)\n",
            markdown_table(("arm", "seeds", *readouts), _accuracy_rows(results, readouts)),
            *holding_markdown(results),
            "After learning (first seed):\n",
            markdown_table(LAYERS, _layer_rows(results)),
        ]
    )
