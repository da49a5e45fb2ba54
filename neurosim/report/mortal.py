"""Mortal chips: what a copy to another chip loses, as bars, what learning there brings back, as curves, and a table."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from neurosim.report import distilled
from neurosim.report.style import IDEAL_COLOUR, PALETTE, label, new_figure, styled, tint, whiskers
from neurosim.report.text import NOTHING, around, markdown_table, spread

KINDS = {
    "none": "the same chip, programmed anew",
    "devices": "other devices",
    "faults": "other stuck cells",
    "converters": "other converter gains",
    "neurons": "other neurons",
    "all": "all of these",
}
SHORT = {
    "none": "nothing",
    "devices": "devices",
    "faults": "stuck cells",
    "converters": "converters",
    "neurons": "neurons",
    "all": "all",
}
"""What the other chip has of its own, in words."""
OTHERS = {
    "none": "the same chip, programmed anew,",
    "devices": "chips with other devices",
    "faults": "chips with other stuck cells",
    "converters": "chips with other converter gains",
    "neurons": "chips with other neurons",
    "all": "other chips",
}
"""The chips that a network is copied to."""
BARS = {
    "original": "on the chip that learnt",
    "copied": "copied",
    "relearnt": "copied, then learnt on",
    "scratch": "from scratch on the other chip",
}
HEADS = (
    "chips",
    "readout",
    "other draws",
    "runs",
    "original",
    "copied",
    "learnt on",
    "from scratch",
    "images to recover",
    "images from scratch",
)
COPIES = ("other draws", "runs", "copied", "learnt on", "images to recover")


def title(results: dict[str, Any]) -> str:
    """What was learnt and what the figures are, in one line."""
    data, config = results["data"], results["config"]
    learnt, again = config["epochs"], config["relearn_epochs"]
    return (
        f"{data['note']}, {data['train_images']} training images, {data['reported_on']}; "
        f"{_epochs(learnt)} on the first chip, {_epochs(again)} on the others"
    )


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


def _panels(results: dict[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Summary entries by arm and readout."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in results["summary"]:
        found.setdefault((entry["arm"], entry["readout"]), []).append(entry)
    return found


def _grid(results: dict[str, Any], height_in: float, of: str) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """A figure with a row of axes an arm and a column a readout."""
    panels = list(_panels(results))
    arms, readouts = (list(dict.fromkeys(names)) for names in zip(*panels, strict=True))
    figure = new_figure(0.9 + height_in * len(arms))
    axes = figure.subplots(len(arms), len(readouts), squeeze=False, sharey=True)
    placed = {
        (arm, readout): axes[row, col] for row, arm in enumerate(arms) for col, readout in enumerate(readouts)
    }
    for (arm, readout), each in placed.items():
        each.set_title(label(f"{arm}, {readout}", 50))
    for each in axes[:, 0]:
        each.set_ylabel(f"Accuracy, {of} (%)")
    figure.suptitle(label(title(results), 130), fontsize=8.5)
    return figure, placed


@styled
def loss_bars(results: dict[str, Any]) -> Figure:
    """Accuracy on the original, copied, learnt on and from scratch, by what the other chip has of its own."""
    figure, placed = _grid(results, 2.8, results["data"]["reported_on"])
    colour = {"original": IDEAL_COLOUR, "copied": PALETTE[1], "relearnt": PALETTE[0], "scratch": "#999999"}
    width = 0.8 / len(BARS)
    for place, entries in _panels(results).items():
        axes = placed[place]
        for k, (name, words) in enumerate(BARS.items()):
            x = np.arange(len(entries)) + (k - (len(BARS) - 1) / 2) * width
            shares = [entry[f"{name}_mean"] for entry in entries]
            means, off = (
                [100 * mean for mean in shares],
                whiskers(shares, [around(entry, name) for entry in entries]),
            )
            axes.bar(x, means, 0.9 * width, color=tint(colour[name], 0.75), label=words)
            axes.errorbar(x, means, yerr=off, fmt="none", ecolor="#555555", elinewidth=1, capsize=2)
        axes.set_xticks(np.arange(len(entries)), [SHORT[entry["kind"]] for entry in entries], fontsize=8)
        axes.grid(False, axis="x")
        axes.set(xlabel="What the other chip has of its own", ylim=(0, 100))
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(BARS))
    return figure


@styled
def recovery_curves(results: dict[str, Any]) -> Figure:
    """Accuracy against images learnt at the other chip, a colour a kind, mean and range; from scratch dashed."""
    figure, placed = _grid(results, 3.2, results["data"]["followed_on"])
    colour = dict(zip(KINDS, ("#777777", *PALETTE[:4], IDEAL_COLOUR), strict=True))
    for (arm, readout), axes in placed.items():
        aims = [run["curve"][-1][readout] for run in results["originals"] if run["arm"] == arm]
        axes.axhline(
            100 * float(np.mean(aims)), color="#555555", lw=1, ls=":", label="on the chip that learnt"
        )
        for kind, words in KINDS.items():
            for way, style in (("copied", "-"), ("scratch", "--")):
                runs = [
                    run
                    for run in results["runs"]
                    if (run["arm"], run["kind"], run["way"]) == (arm, kind, way)
                ]
                if not runs:
                    continue
                images = [point["images"] for point in runs[0]["curve"]]
                curves = np.array([[100 * point[readout] for point in run["curve"]] for run in runs])
                name = words if way == "copied" else "from scratch, all its own"
                axes.plot(images, curves.mean(axis=0), style, color=colour[kind], lw=1.4, label=name)
                axes.fill_between(
                    images, curves.min(axis=0), curves.max(axis=0), color=colour[kind], alpha=0.12, lw=0
                )
        first = results["config"]["batch"]
        axes.set_xscale("symlog", linthresh=first, linscale=0.4)
        axes.set_xticks([0, *(10**k for k in range(1, 8) if first <= 10**k <= images[-1])])
        axes.set_xlim(left=0)
        axes.set_xlabel("Images learnt at the other chip")
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4)
    return figure


def figures(results: dict[str, Any]) -> dict[str, Figure]:
    """All figures by the name of their file."""
    taught = {"distilled": distilled.distilled_bars(results)} if results.get("distilled") else {}
    return {"mortal": loss_bars(results), "recovery": recovery_curves(results), **taught}


def mortal_table(results: dict[str, Any]) -> Table:
    """Return a table with a row for each make of chips, readout and kind of difference."""
    table = Table(*HEADS, title=title(results))
    for row in _rows(results):
        table.add_row(*row)
    return table


def _rows(results: dict[str, Any]) -> list[list[str]]:
    found = []
    for (arm, readout), entries in _panels(results).items():
        for entry in entries:
            kind, chips, *copies = _copies(entry)
            original, scratch = (_accuracy(entry, name) for name in ("original", "scratch"))
            found.append(
                [
                    arm,
                    readout,
                    kind,
                    chips,
                    original,
                    *copies[:2],
                    scratch,
                    copies[2],
                    _images(entry["scratch_images"]),
                ]
            )
    return found


def _copies(entry: dict[str, Any]) -> list[str]:
    """What copies to chips that differ in one way are worth, in the order of `COPIES`."""
    return [
        KINDS[entry["kind"]],
        str(entry["chips"]),
        _accuracy(entry, "copied"),
        _accuracy(entry, "relearnt"),
        _images(entry["relearnt_images"]),
    ]


def _accuracy(entry: dict[str, Any], name: str) -> str:
    return spread(entry[f"{name}_mean"], around(entry, name))


def _images(found: list[int | None]) -> str:
    """Fewest and most images of several runs; not, if some did not recover, and a dash if none did."""
    counts = sorted(count for count in found if count is not None)
    if not counts:
        return NOTHING
    most = f"{counts[-1]:,}" if len(counts) == len(found) else "not"
    return most if most == f"{counts[0]:,}" else f"{counts[0]:,} to {most}"


def _section(arm: str, readout: str, entries: list[dict[str, Any]]) -> str:
    """What copies of one make of chips are worth to one readout: what all share in words, the rest as a table."""
    first = entries[0]
    text = (
        f"The chip that learnt has {_accuracy(first, 'original')}, its weights in ideal arithmetic without unknown "
        f"neurons {_accuracy(first, 'on_ideal')}; another chip that learns from scratch ends at "
        f"{_accuracy(first, 'scratch')}"
    )
    images = _images(first["scratch_images"])
    if images != NOTHING:
        text += f" and is as good as the original after {images} images"
    table = markdown_table(COPIES, [_copies(entry) for entry in entries])
    return f"## {arm}, {readout}\n\n{text}.\n\n{table}"


def mortal_markdown(name: str, results: dict[str, Any]) -> str:
    """Figures and tables of one study of mortal chips, for the documentation."""
    config = results["config"]
    recovery = (
        "Images to recover: fewest and most after which the network stayed at most "
        f"{100 * config['recovered_within']:g} % of the images behind the original, on {config['curve_images']} images "
        f"of the {results['data']['followed_on']}; {NOTHING}: at the end no run was; *to not*: some were not.\n"
    )
    return "\n".join(
        [
            f"# {name}\n\nAccuracy (%), mean and 95 % interval: {title(results)}.\n",
            f"![accuracy on the original, copied, relearnt, from scratch]({name}-mortal.svg)\n",
            f"![accuracy while learning at the other chip]({name}-recovery.svg)\n",
            recovery,
            *(_section(arm, readout, entries) for (arm, readout), entries in _panels(results).items()),
            *([distilled.section(name, results)] if results.get("distilled") else []),
        ]
    )
