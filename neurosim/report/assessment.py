"""The page of an assessment: the verdict on one device first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from neurosim.devices.card import silences
from neurosim.report import budget, page, plots
from neurosim.report.aged import aged_sentence
from neurosim.report.energy import took, wear_table
from neurosim.report.html import REPORT, Shown, address, pages, write_report
from neurosim.report.results import read_results
from neurosim.report.settling import learning_of, settles
from neurosim.report.table import summary_table
from neurosim.report.text import percent, which_intervals
from neurosim.report.verdict import ANSWERED, answer_of, verdict, with_ends
from neurosim.study.assess import DEVICE, KEPT, Assessment, Part
from neurosim.study.assess_rules import RULES
from neurosim.study.priced import ON_A_PAGE, priced
from neurosim.study.run_times import minutes_words
from neurosim.study.store import versions, write_text

MOST_COSTLY = 3
Said = list[tuple[str, str]]
SCORES = {"softhebb": "vote", "forward-forward": "goodness"}
"""The score that the verdict of each rule is on."""


def headline(found: Assessment) -> tuple[str, str]:
    """Return the verdict, whether a rule learns as well on the device as in ideal arithmetic, and what it is by each rule."""
    answers, kept = [], []
    for name, rule in RULES.items():
        entry = _entries(found.parts[name])[DEVICE]
        decided = entry.get("verdict")
        answers.append("undecided" if decided is None else answer_of(entry))
        share = entry.get("accuracy_learning_kept")
        seen = "" if share is None else f", {percent(share, 0)} % of the learning kept"
        kept.append(f"{rule.title}: {'no verdict' if decided is None else ANSWERED[answers[-1]]}{seen}")
    whole = next(one for one in ("yes", "undecided", "less", "no") if one in answers)
    return f"Learns on {found.name} as in ideal arithmetic: {ANSWERED[whole]}", "; ".join(kept)


def to_settle(found: Assessment) -> Said:
    """Return what would settle an undecided verdict, by each rule that is undecided; nothing where it is decided.

    Computed from the widths of the intervals and their distances to the bars (`neurosim.study.statistics.settling`).
    """
    if not headline(found)[0].endswith("undecided"):
        return []
    said = []
    for name, rule in RULES.items():
        runs = (found.parts[name].results or {}).get("runs", ())
        learnt = learning_of(runs, DEVICE, SCORES[name])
        words = "" if learnt is None else settles(learnt, found.test_images, found.dataset)
        said += [(f"To settle it by {rule.title}", words)] if words else []
    return said


def sentences(found: Assessment) -> Said:
    """Return what was found, each with what it is of: learning, the fit, effects, needs, costs, wear, settings, what was left out."""
    said: Said = []
    settle = to_settle(found)
    for name in RULES:
        part = found.parts[name]
        said.append((part.title, _of_device(part, "retention" in silences(found.card), not settle)))
        if found.drawn:
            said.append((f"{part.title}, with what the fit leaves open", _drawn(part, len(found.drawn))))
    said += [("What costs most", line) for line in _effects(found.parts["effects"])]
    said += [("What it would need", line) for line in _needs(found.parts["requirements"])]
    for name in RULES:
        part = found.parts[name]
        costs = dict(took(part.results or {}))
        if DEVICE in costs:
            said.append((f"What learning takes, {part.title}", costs[DEVICE]))
    said += [("What it wears", line) for line in _wear(found.parts["softhebb"])]
    said += [(f"How it is written, {RULES[name].title}", f"{way}.") for name, way in found.ways.items()]
    left = [_left(part) for part in found.parts.values() if part.left_out]
    return said + [("Left out", line) for line in left]


def _left(part: Part) -> str:
    takes = "" if part.takes_s is None else f" It takes about {minutes_words(part.takes_s)}."
    return f"{part.title}: {part.left_out}.{takes} To go on: {part.command}"


def _entries(part: Part) -> dict[str, dict[str, Any]]:
    """What the summary says of each arm by its first readout; of one layer by the vote of winners, for which learning matters most."""
    entries: list[dict[str, Any]] = (part.results or {}).get("summary", [])
    return {entry["arm"]: _by_vote(entry) for entry in reversed(entries)}


def _by_vote(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with its vote as the accuracy, where it has one."""
    if "vote_mean" not in entry:
        return entry
    kept = {name: entry[name] for name in ("arm", "seeds")}
    for name, value in entry.items():
        if name.startswith("vote_"):
            own = name.removeprefix("vote_")
            kept[own if own.startswith(("gap", "verdict", "yield")) else f"accuracy_{own}"] = value
    return kept


def _of_device(part: Part, without_retention: bool, decides: bool) -> str:
    """What is found of the card itself; with what would decide the verdict, where that does not stand above already."""
    results, entry = part.results or {}, dict(_entries(part)[DEVICE])
    if entry.get("verdict") and not decides:
        entry["verdict"] = {**entry["verdict"], "decides": ""}
    said = verdict(entry)
    aged = aged_sentence(results.get("aged", ()), DEVICE)
    if aged and without_retention:
        aged = "\nWhat a year alone does is not known: the card has no retention data."
    said += aged.replace("\nLeft alone", "\nBy a linear readout: left alone")
    still = [
        f"{arm} {percent(entry['accuracy_mean'])} %"
        for arm, entry in {**_untrained(results), **_entries(part)}.items()
        if "untrained" in arm
    ]
    return f"{said}\nWithout learning: {', '.join(still)}." if still else said


def _untrained(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The votes before learning, of a study that asks for them by itself."""
    return {
        f"{entry['arm']}, untrained": {"accuracy_mean": entry["untrained_vote_mean"]}
        for entry in results.get("summary", ())
        if "untrained_vote_mean" in entry and entry["arm"] in (DEVICE, "ideal")
    }


def _drawn(part: Part, count: int) -> str:
    means = {arm: entry["accuracy_mean"] for arm, entry in _entries(part).items()}
    reached = [means[f"drawn {k}"] for k in range(1, count + 1)]
    ends = " to ".join(dict.fromkeys(percent(end) for end in (min(reached), max(reached))))
    who = f"{count} cards drawn" if count > 1 else "A card drawn"
    reach = "reach" if count > 1 else "reaches"
    own = percent(means[DEVICE])
    return f"{who} from the intervals of the fit {reach} {ends} %, the card itself {own} %."


def _effects(part: Part) -> list[str]:
    """The dearest effects of one layer by its vote, each alone on the bare device."""
    said = []
    for found in [] if part.results is None else part.results["budgets"]:
        alone = [cause for cause in found["causes"] if cause["kind"] == "alone"]
        worst = sorted(alone, key=lambda cause: -cause["vote_lost_mean"])[:MOST_COSTLY]
        each = [
            f"{cause['cause']} {with_ends(cause['vote_lost_mean'], budget.lost_interval(cause, 'vote'), 'points')}"
            for cause in worst
        ]
        ends = [budget.lost_interval(cause, "vote") for cause in alone]
        if any(end is not None and end[0] > 0 for end in ends):
            said.append(f"Of the vote, each alone on the bare device: {', '.join(each)}.")
        else:
            said.append(
                f"None of {len(alone)} effects, each alone on the bare device, is told apart from zero by the vote."
            )
    return said


def _needs(part: Part) -> list[str]:
    if part.results is None:
        return []
    return [said for _, said in page.shows_of("sweep").findings(part.results)]


def _wear(part: Part) -> list[str]:
    said = []
    for each in priced(part.results or {}, [ON_A_PAGE]):
        for wear in each.wear if each.arm == DEVICE else ():
            most = f"The busiest device got {wear.most:.3g} pulses while it learnt, the mean one {wear.mean:.3g}; "
            epochs = None if wear.endurance is None else wear.epochs_until(0.01)
            if wear.endurance is None:
                said.append(f"{most}the card states no endurance.")
            elif epochs is None:
                said.append(f"{most}its endurance is {wear.endurance:.3g}.")
            else:
                said.append(
                    f"{most}at an endurance of {wear.endurance:.3g}, 1 % are worn after {epochs:.3g} epochs."
                )
    return said


def write_assessment(
    out: Path,
    found: Assessment,
    figure: Path | None = None,
    notes: tuple[str, ...] = (),
    more: Sequence[Table] = (),
) -> Path:
    """Write the page of an assessment and those of its parts, and return its path.

    Parameters
    ----------
    out : Path
    found : Assessment
    figure : Path, optional
        SVG of the device or of its fit, shown first.
    notes : tuple of str
        What the fit said.
    more : sequence of Table
        Of the fit, shown after all others.
    """
    for name, part in found.parts.items():
        if part.results is None:
            continue
        if part.results["kind"] == "dense":
            write_report(out / name)
        else:
            page.write_page(out / name, part.results)
    html = pages().get_template("assessment.html.j2").render(
        title=headline(found)[0],
        settle=to_settle(found),
        cautions=list(found.cautions.said.values()),
        data=(found.parts["softhebb"].results or {})["data"],
        findings=sentences(found),
        notes=notes,
        intervals=which_intervals((found.parts["softhebb"].results or {})["summary"]),
        sheet=None if figure is None else figure.name,
        figures=list(_figures(out, found)),
        tables=[page.as_text(table) for table in (*tables(found), *more)],
        parts=[part for part in found.parts.values() if part.results is not None],
        enough=percent(KEPT, 0),
        versions=", ".join(f"{package} {version}" for package, version in versions().items()),
    )  # fmt: skip
    path = out / REPORT
    write_text(path, html)
    return path


def tables(found: Assessment) -> list[Table]:
    """Return the tables of all parts, and how long devices last."""
    shown: list[Table] = []
    for part in found.parts.values():
        if part.results is None:
            continue
        dense = part.results["kind"] == "dense"
        shown += [summary_table(part.results)] if dense else page.tables_of(part.results)
    return [*shown, wear_table(priced(found.parts["softhebb"].results or {}, [ON_A_PAGE]))]


def _figures(out: Path, found: Assessment) -> Iterator[Shown]:
    for name, part in found.parts.items():
        if part.results is None:
            continue
        if part.results["kind"] == "dense":
            results = read_results(out / name)
            if results is not None:
                drawn = {"accuracy": page.Drawn(part.title, "95 % intervals.", plots.accuracy_bars(results))}
        else:
            drawn = page.figures_of(part.results)
        for each in drawn.values():
            if each.figure is not None:
                yield Shown(
                    f"{part.title}: {each.heading}", each.caption, [(address(each.figure), each.heading)]
                )
