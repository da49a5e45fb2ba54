"""What would be enough of each thing that a device has: a table beside the device, a chart of what was tried, sentences."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.report.style import INK, PALETTE, label, new_figure, styled, tint
from neurosim.report.text import NOTHING, duration, percent, significant
from neurosim.study.fields import AGE
from neurosim.study.requirements import (
    ENOUGH,
    KEEPS,
    LACKING,
    LOSES,
    NO_NUMBER,
    OTHERS,
    UNCLEAR,
    UNDECIDED,
)
from neurosim.study.sizes import DIVIDED, NATURE, TIMES

Results = dict[str, Any]
Line = dict[str, Any]
COLOURS = {KEEPS: tint(PALETTE[0], 0.45), UNCLEAR: (0.93, 0.93, 0.93), LOSES: tint(PALETTE[1], 0.5)}
CHART = (
    "One property at a time; the small number is what the device then has. What is not there the law refuses, or there is none of "
    "it to take away."
)
"""What stands below the chart."""
SIGNS = {KEEPS: "✓", UNCLEAR: "?", LOSES: "✗"}
SHOWN = {KEEPS: "shown to keep it", UNCLEAR: "these chips cannot tell", LOSES: "shown to lose it"}
ANSWERS = {KEEPS: "enough", LOSES: "not enough", UNCLEAR: "undecided"}
"""Of the device as given."""
VERDICTS = {
    ENOUGH: "What it has is enough",
    LACKING: "Not enough as it is; changing this property alone would be enough, by the mean",
    OTHERS: "Changing this property alone does not help: no level tried is enough",
    UNDECIDED: "Undecided",
    NO_NUMBER: "Without a number on the card",
}
TIMES_SIGN = "×\N{NO-BREAK SPACE}"
ONE_CHIP = "one chip tells nothing of others"


def asked(found: dict[str, Any]) -> str:
    """Return what is asked of an arm: "99 % of the accuracy of ideal arithmetic"."""
    of = "ideal arithmetic" if found["against"] == "ideal" else "the device as given"
    return f"{significant(100 * found['share'], 4)} % of the {_score(found)} of {of}"


def _score(found: dict[str, Any]) -> str:
    return str(found.get("score", "accuracy")).replace("_", " ")


def level_words(line: Line, level: float) -> str:
    """Return a level in short: "× 2", "none", or in its unit where the device has none of it."""
    if line["field"] == AGE:
        return "at once" if not level else duration(level)
    if not level:
        return "none"
    return f"{TIMES_SIGN}{level:g}" if line["field"].startswith(TIMES) else f"{level:g}"


def amount_words(line: Line, level: float) -> str:
    """Return how much a level is, with its factor: "0.832 (× 2)"; of several numbers the factor alone."""
    if line["field"] == AGE or not level:
        return level_words(line, level)
    if not line["field"].startswith(TIMES):
        return f"{level:g} {_unit(line['unit'])}".rstrip()
    if line["states"] is not None:
        return f"{_states(line['states'] / level)} ({level_words(line, level)})"
    if len(line["has"]) > 1:
        return level_words(line, level)
    (number,) = line["has"]
    divided = f"parameters.{number['name']}" in DIVIDED
    value = number["value"] / level if divided else number["value"] * level
    return f"{significant(value, 3)} {_unit(number['unit'])}".rstrip() + f" ({level_words(line, level)})"


def _unit(unit: str) -> str:
    return "" if unit == "1" else unit


def _states(count: float) -> str:
    return f"{count:,.0f} states" if count >= 10 else f"{count:.2g} states"


def has_words(line: Line) -> str:
    """Return what the device has of a line, number by number."""
    if not line["has"]:
        return "a time of use" if line["field"] == AGE else "no number"
    told = ", ".join(
        f"{number['name']} {significant(number['value'], 4)} {_unit(number['unit'])}".rstrip()
        for number in line["has"]
    )
    return told if line["states"] is None else f"{_states(line['states'])}: {told}"


def marks(line: Line) -> str:
    """Return how far the device's numbers may be trusted, each mark once, with the 95 % intervals that a fit gave them."""
    found: dict[str, list[str]] = {}
    for number in line["has"]:
        ends = [
            f"{significant(low, 3)} to {significant(high, 3)}" for low, high in number.get("intervals", ())
        ]
        whose = f"{number['name']} " if len(line["has"]) > 1 else ""
        found.setdefault(number["mark"], []).extend([f"{whose}{', '.join(ends)}"] if ends else [])
    told = [f"{mark} (95 %: {'; '.join(ends)})" if ends else mark for mark, ends in found.items()]
    return ", ".join(told) or NOTHING


def enough_words(line: Line, chips: int) -> str:
    """Return how much would be enough: the range whose means keep it, in brackets what is shown of each end."""
    if line["around"] is None:
        best = max(line["levels"], key=lambda one: one["accuracy_mean"])
        return (
            f"none of the levels tried; best: {percent(best['kept'])} % at {level_words(line, best['level'])}"
        )
    tried = [one["level"] for one in line["levels"]]
    low, high = line["down"]["level"], line["up"]["level"]
    if high == 0:
        said = "only without it"
    elif low == tried[0] and (not low or line["property"] not in NATURE):
        said = f"up to {amount_words(line, high)}"
    elif low == high:
        said = f"{amount_words(line, low)} alone of those tried"
    else:
        said = f"{amount_words(line, low)} to {amount_words(line, high)}"
    if high == tried[-1]:
        said += ", the last tried"
    return said + (f" [{_shown(line)}]" if chips > 1 else "")


def _shown(line: Line) -> str:
    """Between which levels each end of the range lies, for new chips and images."""
    if line["up"]["shown"] is None:
        found = "not shown"
    else:
        found = f"shown up to {level_words(line, line['up']['shown'])}"
        tried = line["levels"][0]["level"]
        if line["down"]["shown"] != tried or line["property"] in NATURE:
            found = f"shown from {level_words(line, line['down']['shown'])} to {level_words(line, line['up']['shown'])}"
    lost = {"up": "from", "down": "down from"}
    told = [
        f"lost {lost[way]} {level_words(line, line[way]['lost'])}"
        for way in lost
        if line[way]["lost"] is not None
    ]
    return "; ".join([found, *told])


def margin_words(line: Line) -> str:
    """Return the factor between what the device has and what would still be enough."""
    if line["margin"] is None:
        return NOTHING
    shown = line["up"]["shown"]
    sure = "" if shown is None or shown == line["margin"] else f" (at least {shown:g})"
    return f"{line['margin']:g}{sure}"


def requirements_table(results: Results) -> Table | None:
    """Return a line a property: what the device has, where from, what would be enough, margin, verdict; None without any."""
    found = results.get("requirements")
    if not found:
        return None
    data = results["data"]
    several = len(found) > 1
    table = Table(
        title=Text(
            f"What would be enough to keep {asked(found[0])}, on the {data['reported_on']} of {data['note']}"
        ),
        caption=Text(_caption(found)),
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    for name in (*(["arm"] if several else []), "property", "the device has", "mark", "would be enough"):
        table.add_column(name, overflow="fold")
    table.add_column("margin", justify="right")
    table.add_column("verdict")
    for one in found:
        for line in one["lines"]:
            cells = (
                *([one["arm"]] if several else []), line["property"], has_words(line), marks(line),
                enough_words(line, one["chips"]), margin_words(line), line["verdict"],
            )  # fmt: skip
            table.add_row(*map(Text, cells))
        if one["together"] is not None:
            cells = (
                *([one["arm"]] if several else []),
                "all of them at once",
                "",
                "",
                together_words(one),
                "",
                "",
            )
            table.add_row(*map(Text, cells))
        table.add_section()
    return table


def _caption(found: list[dict[str, Any]]) -> str:
    chips = min(one["chips"] for one in found)
    sure = f"In brackets, for new chips and images (95 %, {chips} chips): which levels are shown to be enough, and from where on all are shown not to be."
    said = [
        "One property at a time, everything else as given: no promise for several together.",
        "× 2: twice what the device has; margin: the largest such factor whose mean keeps it.",
        sure if chips > 1 else f"One seed: {ONE_CHIP}, so nothing is decided.",
        "Noise of many laws is in steps, and then grows with the step.",
    ]
    if any(line["looked"] for one in found for line in one["lines"] if line["around"] is not None):
        said.append(
            "Where the device as given does not keep it, the level from which the range is measured was chosen by looking: "
            "its 95 % flatter, confirm it with new seeds."
        )
    left = dict.fromkeys(what for one in found for what in one["left_out"])
    return " ".join([*said, *([f"Not asked: {'; '.join(left)}."] if left else [])])


def findings(results: Results) -> list[tuple[str, str]]:
    """Return (arm, words): whether the device as given is enough, which properties are, and all tolerated levels at once."""
    return [(one["arm"], "\n".join(_said(one))) for one in results["requirements"]]


def _said(one: dict[str, Any]) -> list[str]:
    wanted = f"{percent(one['kept'])} % kept, to be kept: {asked(one)}"
    said = [f"As given: {ANSWERS[one['answer']]}. {wanted}. {_chips(one)}"]
    for verdict, words in VERDICTS.items():
        lines = [line for line in one["lines"] if line["verdict"] == verdict]
        none, some = ([line for line in lines if (line["around"] is None) == way] for way in (True, False))
        if some:
            said.append(f"{words}: {'; '.join(_line_words(line, one['chips']) for line in some)}.")
        if none:
            lead = words if verdict == OTHERS else f"{words}, and no level tried is enough"
            said.append(f"{lead}: {_best_of(none)}.")
    if one["together"] is not None:
        said.append(f"All at once: {together_words(one)}.")
    return said


def together_words(one: dict[str, Any]) -> str:
    """Return what is kept with every property at its tolerated level, those without one as given."""
    once = one["together"]
    if "error" in once:
        return f"each at the end of what is enough of it alone: cannot be ({once['error']})"
    return f"each at the end of what is enough of it alone: {percent(once['kept'])} % kept, {ANSWERS[once['answer']]}"


def _best_of(lines: list[Line]) -> str:
    """Names of lines without any level that is enough, the one that comes nearest with its best level first."""
    best = {line["property"]: max(line["levels"], key=lambda each: each["accuracy_mean"]) for line in lines}
    lines = sorted(lines, key=lambda line: -float(best[line["property"]]["accuracy_mean"]))
    nearest = lines[0]
    reached = best[nearest["property"]]
    first = f"{nearest['property']} (nearest: {percent(reached['kept'])} % at {level_words(nearest, reached['level'])})"
    return ", ".join([first, *(line["property"] for line in lines[1:])])


def _chips(one: dict[str, Any]) -> str:
    return f"{one['chips']} chips." if one["chips"] > 1 else f"{ONE_CHIP[:1].upper()}{ONE_CHIP[1:]}."


def _line_words(line: Line, chips: int) -> str:
    return f"{line['property']} {enough_words(line, chips)}"


@styled
def requirement_chart(results: Results) -> Figure:
    """Every level tried, a row a property: which share it keeps, and what the chips show of that."""
    found = results["requirements"]
    counts = [len(one["lines"]) for one in found]
    figure = new_figure(1.5 + sum(0.75 + 0.46 * count for count in counts))
    said = f"Kept of the {_score(found[0])} (%); enough: {asked(found[0])}"
    figure.suptitle(label(said, 100), fontsize=11)
    panels = figure.subplots(
        len(found), 1, squeeze=False, height_ratios=[0.75 + 0.46 * count for count in counts]
    )
    for axes, one in zip(panels.ravel(), found, strict=True):
        _ladder(axes, one)
    keys = [
        Patch(fc=COLOURS[answer], ec="#bbbbbb", label=f"{SIGNS[answer]} {SHOWN[answer]}")
        for answer in COLOURS
    ]
    keys.append(Patch(fc="none", ec=INK, lw=1.6, label="the device as given"))
    figure.legend(handles=keys, loc="outside lower center", ncols=4)
    return figure


def _ladder(axes: Axes, one: dict[str, Any]) -> None:
    factors = sorted(
        {each["level"] for line in one["lines"] for each in line["levels"] if line["given"]} | {1.0}
    )
    own = factors.index(1.0)
    for row, line in enumerate(one["lines"]):
        for k, each in enumerate(line["levels"]):
            place = factors.index(each["level"]) if line["given"] else own + k
            _cell(axes, place, row, line, each)
    axes.set_xticks(range(len(factors)), ["none" if not factor else f"× {factor:g}" for factor in factors])
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(one["lines"])), [label(line["property"], 30) for line in one["lines"]])
    widest = max([len(factors), *(own + len(line["levels"]) for line in one["lines"] if not line["given"])])
    axes.set(xlim=(-0.55, widest - 0.45), ylim=(len(one["lines"]) - 0.45, -0.55))
    axes.set_title(f"{label(one['arm'])}, times what it has", pad=20)
    axes.grid(False)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _cell(axes: Axes, place: int, row: int, line: Line, each: dict[str, Any]) -> None:
    axes.add_patch(Rectangle((place - 0.47, row - 0.43), 0.94, 0.86, fc=COLOURS[each["answer"]], ec="none"))
    if each["level"] == line["given"]:
        edge = Rectangle((place - 0.47, row - 0.43), 0.94, 0.86, fc="none", ec=INK, lw=1.6, zorder=3)
        axes.add_patch(edge)
    axes.text(
        place,
        row + 0.12,
        f"{SIGNS[each['answer']]} {percent(each['kept'])}",
        ha="center",
        va="center",
        fontsize=9,
    )
    told = level_words(line, each["level"]) if not line["given"] else _short(line, each["level"])
    axes.text(place, row - 0.29, told, ha="center", va="center", fontsize=6.5, color="#555555")


def _short(line: Line, level: float) -> str:
    """A level as the number that the device then has, where it is one number."""
    if not level or (len(line["has"]) > 1 and line["states"] is None):
        return ""
    return amount_words(line, level).partition(" (")[0]
