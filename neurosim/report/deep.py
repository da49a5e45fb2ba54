"""Deep networks: accuracy against depth as a figure and a table, and what each layer's devices make of its weights."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.table import Table

from neurosim.report.holding import holding_markdown
from neurosim.report.robustness import robustness_markdown
from neurosim.report.style import MARKERS, colours, label, new_figure, styled, whiskers
from neurosim.report.taught import taught_lines
from neurosim.report.text import (
    JOULES_OF_AN_UPDATE,
    NOTHING,
    UPDATE_ENERGIES,
    around,
    markdown_table,
    significant,
    spread,
    under_one_head,
    update_energies,
    which_intervals,
)  # fmt: skip
from neurosim.study.fine_tuning import TUNED

Depth = int | str
"""How many layers are below a head, or what it is called that is of no one depth: all of them together, the fine-tuned net."""
MOVED = "; trained on images that are moved at random ({})"


def _cells(results: dict[str, Any]) -> dict[str, dict[Depth, dict[str, Any]]]:
    """Summary entries by arm and depth."""
    found: dict[str, dict[Depth, dict[str, Any]]] = {}
    for entry in results["summary"]:
        found.setdefault(entry["arm"], {})[entry["depth"]] = entry
    return found


def _depths(results: dict[str, Any]) -> list[Depth]:
    """All depths in the order of columns: numbers first."""
    known = dict.fromkeys(entry["depth"] for entry in results["summary"])
    numbers: list[Depth] = sorted(depth for depth in known if isinstance(depth, int))
    return [*numbers, *(depth for depth in known if isinstance(depth, str))]


def _column(depth: Depth) -> str:
    return f"depth {depth}" if isinstance(depth, int) else depth


def moved_in_words(config: dict[str, Any]) -> str:
    """Which images are moved, and how, of settings of a deep study; "" where none are."""
    augment = config.get("augment")
    if not augment or not (augment["flip"] or augment["crop"]):
        return ""
    ways = [
        f"crops of {augment['crop']} pixels" if augment["crop"] else "",
        "flips" if augment["flip"] else "",
        f"{augment['copies']} copies for heads",
        "layers too" if augment["layers"] else "layers not",
    ]
    return MOVED.format(", ".join(filter(None, ways)))


def tuned_in_words(results: dict[str, Any]) -> str:
    """What the column of fine-tuned nets is; "" where there is none."""
    settings = results["config"].get("fine_tuning")
    if not settings:
        return ""
    own = [
        (run["arm"], head)
        for run in results["runs"]
        for head in run.get("heads_beside", ())
        if head["depth"] == TUNED
    ]
    before: dict[str, list[float]] = {}
    for arm, head in own:
        before.setdefault(arm, []).append(head["copy_accuracy"])
    told = ", ".join(f"{arm} {100 * sum(found) / len(found):.1f}" for arm, found in before.items())
    return (
        f"Fine-tuned: a copy of the whole net in ideal arithmetic, layers and last head, trained end to end with labels for "
        f"{settings['epochs']} epochs (Adam, {settings['learning_rate']:g}). Of arms on devices it starts from the weights that these hold, "
        f"and all that follows is digital: no joules or pulses are of it. Before it was tuned the copy had, in %: {told}. What labels "
        "reach from random weights is the column of an arm that does not learn."
    )


def title(results: dict[str, Any]) -> str:
    """What was learnt and what the figures are, in one line."""
    data, config = results["data"], results["config"]
    built = f"width factor {config['width']:g}"
    if config.get("layer"):
        built = f"layers of {', '.join(str(layer['neurons']) for layer in results['runs'][0]['layers'])}"
    return (
        f"{data['note']}, {data['train_images']} training images, {data['reported_on']}, {built}, "
        f"linear head of {config['head_epochs']} epochs{moved_in_words(config)}"
    )


@styled
def depth_curves(results: dict[str, Any]) -> Figure:
    """Accuracy against depth, a line an arm, with 95 % intervals where there are several seeds."""
    arms, every = _cells(results), _depths(results)
    numbers = [depth for depth in every if isinstance(depth, int)]
    names = [depth for depth in every if isinstance(depth, str)]
    further = {max(numbers) + k: name for k, name in enumerate(names, 1)}
    figure = new_figure(4.6)
    axes = figure.subplots()
    colour = colours(list(arms))
    for place, (arm, depths) in enumerate(arms.items()):
        x = [depth for depth in every if depth in depths and isinstance(depth, int)]
        shares = [depths[depth]["accuracy_mean"] for depth in x]
        means, off = (
            [100 * mean for mean in shares],
            whiskers(shares, [around(depths[depth], "accuracy") for depth in x]),
        )
        shifted = [depth + 0.02 * (place - (len(arms) - 1) / 2) for depth in x]
        line: dict[str, Any] = {
            "marker": MARKERS[place % len(MARKERS)],
            "ms": 5,
            "lw": 1.5,
            "color": colour[arm],
        }
        axes.errorbar(shifted, means, yerr=off, capsize=3, elinewidth=1, label=label(arm, 44), **line)
        for where, name in further.items():
            if name in depths:
                share = depths[name]["accuracy_mean"]
                off = whiskers([share], [around(depths[name], "accuracy")])
                at = where + 0.02 * (place - (len(arms) - 1) / 2)
                axes.errorbar([at], [100 * share], yerr=off, capsize=3, elinewidth=1, **line)
    axes.set(xlabel="Layers below the linear head", ylabel="Accuracy (%)")
    figure.suptitle(label(title(results), 130), fontsize=8.5, fontweight="bold")
    if further:
        axes.set_xticks([*numbers, *further], [*map(str, numbers), *names])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.08)
    figure.legend(loc="outside right center")
    return figure


def deep_table(results: dict[str, Any]) -> Table:
    """Return a table with a row an arm and a column a depth."""
    depths, tuned = _depths(results), tuned_in_words(results)
    said = "\n".join([*([tuned] if tuned else []), *taught_lines(results["runs"])]) or None
    columns = [f"{_column(depth)}, %" for depth in depths]
    table = Table("arm", "seeds", *columns, title=title(results), caption=said)
    for row in _accuracy_rows(results, depths):
        table.add_row(*row)
    return table


def _accuracy_rows(results: dict[str, Any], depths: list[Depth]) -> list[list[str]]:
    rows = []
    for arm, own in _cells(results).items():
        found = [own.get(depth) for depth in depths]
        seeds = max(entry["seeds"] for entry in own.values())
        cells = [
            NOTHING if entry is None else spread(entry["accuracy_mean"], around(entry, "accuracy"))
            for entry in found
        ]
        rows.append([arm, str(seeds), *cells])
    return rows


def _learnt_rows(results: dict[str, Any]) -> list[list[str]]:
    """What each layer was after learning, first seed of each arm."""
    rows, seen = [], set()
    for run in results["runs"]:
        if run["arm"] in seen:
            continue
        seen.add(run["arm"])
        for number, layer in enumerate(run.get("layers", []), 1):
            energy = layer.get("energy")
            pulses = (
                NOTHING
                if energy is None
                else significant(energy["pulses"] / layer["rows"] / layer["neurons"])
            )
            rows.append(
                [
                    run["arm"], str(number), f"{layer['rows']} x {layer['neurons']}", f"{layer['norm_mean']:.2f}",
                    significant(layer["weight_rms"]), pulses, *update_energies(energy),
                ]
            )  # fmt: skip
    return under_one_head(rows)


LEARNT = (
    "arm",
    "layer",
    "shape",
    "mean norm",
    "rms of weights",
    "pulses a weight",
    *(f"an update and synapse, {name}" for name in UPDATE_ENERGIES),
)


def deep_markdown(name: str, results: dict[str, Any]) -> str:
    """Tables of one study of deep networks, for the documentation."""
    depths, tuned = _depths(results), tuned_in_words(results)
    parts = [f"# {name}\n\nAccuracy (%), mean and 95 % interval: {title(results)}.\n"]
    parts.append(f"![accuracy against depth]({name}-depth.svg)\n")
    parts.append(markdown_table(("arm", "seeds", *map(_column, depths)), _accuracy_rows(results, depths)))
    parts += [f"{tuned}\n"] if tuned else []
    parts.append(which_intervals(results["summary"]))
    parts += taught_lines(results["runs"])
    parts += holding_markdown(results)
    parts += robustness_markdown(name, results)
    parts.append("After learning (first seed):\n")
    if any("energy" in layer for run in results["runs"] for layer in run.get("layers", [])):
        parts.append(f"{JOULES_OF_AN_UPDATE}\n")
    parts.append(markdown_table(LEARNT, _learnt_rows(results)))
    return "\n".join(parts)
