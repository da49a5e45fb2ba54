"""What one chip hands on to another as answers: accuracy beside other ways, answers that are the same, joules."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from neurosim.report.style import IDEAL_COLOUR, PALETTE, label, new_figure, styled, tint, whiskers
from neurosim.report.text import NOTHING, around, joules, markdown_table, percent, spread
from neurosim.report.verdict import ANSWERED, answer_of, verdict, with_ends

WAYS = {
    "original": "on the chip that learnt",
    "copied": "copied",
    "relearnt": "copied, then learnt on",
    "distilled": "taught by the first chip",
    "few": "from the few labels alone",
    "scratch": "from all labels",
}
COLOURS = {
    "original": IDEAL_COLOUR,
    "copied": PALETTE[1],
    "relearnt": PALETTE[0],
    "distilled": PALETTE[2],
    "few": PALETTE[4],
    "scratch": "#999999",
}
NEW = ("distilled", "few", "scratch")
"""Ways of new chips that start from their own start weights."""
HEADS = ("chips", "readout", *WAYS.values(), "as good as the first")
SAME = (
    "chips",
    "readout",
    "new chip",
    "same answers",
    "by chance",
    "same wrong answers",
    "by chance",
    "beyond a chip from all labels",
)
COSTS = {
    "original": "first chip learns",
    "teacher": "first chip is asked",
    "relearnt": "copy learns on",
    "distilled": "taught chip learns",
    "few": "chip with few labels learns",
    "scratch": "chip with all labels learns",
}
SHARES = (
    "Same wrong answers: of the images that the first chip gets wrong, the share to which the new chip gives the same wrong "
    "answer. By chance: if it gave its answers each to another image of the same class. Hard images are so to all networks: the last "
    "column (points, 95 % over seeds) is what the chip shares beyond one that never heard the first."
)


def caption(results: dict[str, Any]) -> str:
    """What the new chips were given, in a sentence."""
    config = results["config"]
    how = config["distilled"]
    epochs = how["epochs"] or config["relearn_epochs"]
    hot = "" if how["temperature"] == 1 else f", at temperature {how['temperature']:g}"
    return (
        f"Taught: {epochs} epoch{'s' if epochs > 1 else ''} over the training images with what the first chip says of them{hot}, "
        f"and the true labels of {how['labels']}; few: as many updates from these {how['labels']} alone; all labels: "
        f"{config['relearn_epochs']} epoch{'s' if config['relearn_epochs'] > 1 else ''}."
    )


@styled
def distilled_bars(results: dict[str, Any]) -> Figure:
    """Accuracy of each way, and below the wrong answers that new chips share with the first, beside chance."""
    entries = results["distilled"]
    arms, readouts = (list(dict.fromkeys(entry[of] for entry in entries)) for of in ("arm", "readout"))
    figure = new_figure(6.6)
    axes = figure.subplots(2, len(readouts), squeeze=False, sharey="row")
    x = np.arange(len(arms))
    for column, readout in enumerate(readouts):
        own = [entry for entry in entries if entry["readout"] == readout]
        top, bottom = axes[:, column]
        for k, (way, words) in enumerate(WAYS.items()):
            at = x + (k - (len(WAYS) - 1) / 2) * 0.14
            shares = [entry[f"{way}_mean"] for entry in own]
            off = whiskers(shares, [around(entry, way) for entry in own])
            top.bar(at, [100 * share for share in shares], 0.125, color=tint(COLOURS[way], 0.75), label=words)
            top.errorbar(
                at,
                [100 * share for share in shares],
                yerr=off,
                fmt="none",
                ecolor="#555555",
                elinewidth=1,
                capsize=2,
            )
        for k, way in enumerate(NEW):
            at = x + (k - 1) * 0.24
            found = [entry["agreement"][way] for entry in own]
            height, chance = (
                [100 * (one[name] or 0) for one in found] for name in ("same_wrong", "same_wrong_by_chance")
            )
            bottom.bar(at, height, 0.21, color=tint(COLOURS[way], 0.75))
            bottom.hlines(
                chance, at - 0.105, at + 0.105, color="#222222", lw=1.5, label="by chance" if not k else None
            )
        top.set_title(readout)
        top.set_ylim(0, 100)
        for each in (top, bottom):
            each.set_xticks(x, [label(arm, 24) for arm in arms], fontsize=8)
            each.grid(False, axis="x")
    axes[0, 0].set_ylabel(f"Accuracy, {results['data']['reported_on']} (%)")
    axes[1, 0].set_ylabel("Same wrong answers (%)")
    axes[1, -1].legend(loc="upper right")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def tables(results: dict[str, Any]) -> list[Table]:
    """Return the tables of a study that has taught chips: accuracy, answers that are the same, joules."""
    if not results.get("distilled"):
        return []
    found = []
    for heads, rows, title in (
        (HEADS, _accuracies(results), caption(results)),
        (SAME, _same(results), SHARES),
        (("chips", *COSTS.values()), _costs(results), "Joules of each way, mean over chips; with the array's own periphery a lower bound."),
    ):  # fmt: skip
        table = Table(*heads, title=title)
        for row in rows:
            table.add_row(*row)
        found.append(table)
    return found


def _accuracies(results: dict[str, Any]) -> list[list[str]]:
    return [
        [
            entry["arm"],
            entry["readout"],
            *(spread(entry[f"{way}_mean"], around(entry, way)) for way in WAYS),
            ANSWERED[answer_of(entry)] if entry["verdict"] else NOTHING,
        ]
        for entry in results["distilled"]
    ]


def _same(results: dict[str, Any]) -> list[list[str]]:
    names = ("same", "same_by_chance", "same_wrong", "same_wrong_by_chance")
    return [
        [
            entry["arm"],
            entry["readout"],
            WAYS[way],
            *(percent(entry["agreement"][way][name]) for name in names),
            _beyond(entry["same_wrong_beyond_scratch"].get(way)),
        ]
        for entry in results["distilled"]
        for way in NEW
    ]


def _beyond(found: dict[str, Any] | None) -> str:
    return NOTHING if found is None else spread(found["mean"], found["interval"])


def _costs(results: dict[str, Any]) -> list[list[str]]:
    first = results["distilled"][0]["readout"]
    return [
        [entry["arm"], *(_price(entry["joules"][name]) for name in COSTS)]
        for entry in results["distilled"]
        if entry["readout"] == first
    ]


def _price(value: float | None) -> str:
    return NOTHING if value is None else joules(value)


def findings(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the verdict on chips that the first one taught, by the first readout; none where none was."""
    entries = results.get("distilled") or []
    found = []
    for entry in entries:
        if entry["readout"] != entries[0]["readout"]:
            continue
        same = entry["agreement"]["distilled"]
        shared = (
            ""
            if same["same_wrong"] is None
            else f" Where the first is wrong it gives the same wrong answer to {percent(same['same_wrong'], 0)} % of the images, "
            f"a chip that learnt from all labels to {percent(entry['agreement']['scratch']['same_wrong'], 0)} %; chance would be "
            f"{percent(same['same_wrong_by_chance'], 0)} %."
        )
        said = (
            f"{verdict(entry, 'the chip that learnt', 'distilled')}\nFrom the few labels alone another has "
            f"{with_ends(entry['few_mean'], around(entry, 'few'), '%')}, from all of them "
            f"{with_ends(entry['scratch_mean'], around(entry, 'scratch'), '%')}.{shared}"
        )
        found.append((f"{entry['arm']}, another chip taught by the first, by {entry['readout']}", said))
    return found


def section(name: str, results: dict[str, Any]) -> str:
    """Figure and tables of taught chips for a kept page; "" where there are none."""
    if not results.get("distilled"):
        return ""
    return "\n".join(
        [
            "## What is handed on as answers\n",
            f"{caption(results)}\n",
            f"![accuracy of each way, and wrong answers shared with the first chip]({name}-distilled.svg)\n",
            markdown_table(HEADS, _accuracies(results)),
            f"{SHARES}\n",
            markdown_table(SAME, _same(results)),
            f"The first chip's answers to the training images were right to {_right(results)}.\n",
            markdown_table(("chips", *COSTS.values()), _costs(results)),
        ]
    )


def _right(results: dict[str, Any]) -> str:
    shares = {entry["arm"]: entry["teacher_right"] for entry in results["distilled"]}
    return ", ".join(f"{percent(share)} % ({arm})" for arm, share in shares.items())
