"""One question of one device: do local rules learn on it, what does it tolerate, what does it cost, what must be better.

Nothing here is of its own: settings are chosen by a study on validation images, learning is a study of one layer and one of
Forward-Forward, effects are a sweep over ``only``, requirements one that is read backwards. Each lies in a folder with its
experiment file, by which the commands of these studies go on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import neurosim.data
from neurosim.core.cautions import Gathered, during, gathered
from neurosim.core.errors import NeurosimError, Stopped
from neurosim.study.assess_budget import Budget, Late, of_blocks, said_beforehand
from neurosim.study.assess_rules import RULES, Rule
from neurosim.study.axis import Axis
from neurosim.study.blocks import Store, carry_out
from neurosim.study.experiment import Experiment
from neurosim.study.kinds import kind_of
from neurosim.study.requirements import backwards, requirements
from neurosim.study.run import study
from neurosim.study.run_times import RunTimes
from neurosim.study.store import open_folder, read_json, write_json, write_text
from neurosim.study.sweep import Enough, Plan, Sweep
from neurosim.study.swept import collect
from neurosim.study.training import Report

SAID = "assess.json"
"""What was asked and found, in the folder of an assessment."""
DEVICE = "device"
"""Name of the arm that has the card itself."""
FACTORS = (0.0, 0.25, 1.0, 4.0)
"""Levels of what a device has, times what it has, at which it is asked what would be enough."""
KEPT = 0.95
"""Share of the vote of ideal arithmetic that is to be kept: of 297 images of digits, a point is three of them."""
CHOOSING_SEEDS = 2
Tell = Callable[[str, int], Report]
"""From the title of a part and the number of its runs to its progress."""


@dataclass
class Part:
    """One study of an assessment."""

    name: str
    """Of its folder."""
    title: str
    command: str
    """Which goes on with it."""
    results: dict[str, Any] | None = None
    left_out: str = ""
    """Why there are no results."""
    takes_s: float | None = None
    """About how long it will take, where that is known and there are no results."""


@dataclass
class Assessment:
    """What was found of one device."""

    card: str
    """Name or file of the card."""
    name: str = ""
    """What the device is called in words."""
    parts: dict[str, Part] = field(default_factory=dict)
    ways: dict[str, str] = field(default_factory=dict)
    """The way to write that was chosen for each rule, and how much better it was than the others."""
    drawn: tuple[str, ...] = ()
    dataset: str = "digits"
    test_images: int | None = None
    """How many the data set has, whether all are used or not."""
    images: dict[str, Any] = field(default_factory=dict)
    """How many were asked for, ``train_images`` and ``test_images``; those left out are all of them."""
    cautions: Gathered = field(default_factory=Gathered)
    """What was warned of while it was asked, now and in this folder before."""

    def said(self) -> dict[str, Any]:
        """Return it for a file."""
        parts = {
            name: {"title": part.title, "command": part.command, "left_out": part.left_out,
                   "results": None if part.results is None else f"{name}/{_file_of(part.results)}"}
            for name, part in self.parts.items()
        }  # fmt: skip
        return {
            "card": self.card,
            "name": self.name,
            "drawn": list(self.drawn),
            "dataset": self.dataset,
            "images": self.images,
            "cautions": self.cautions.kept(),
            "ways": self.ways,
            "parts": parts,
        }


def assess(
    card: str,
    out: Path,
    drawn: Sequence[str] = (),
    seeds: int = 5,
    minutes: float = 10.0,
    workers: int = 1,
    report: Tell | None = None,
    name: str | None = None,
    images: dict[str, Any] | None = None,
    begun: float | None = None,
    say: Callable[[str], None] | None = None,
) -> Assessment:
    """Ask everything of one device, the most important first, as long as there is time.

    Parameters
    ----------
    card : str
        Name or file of a card.
    out : Path
        Folder; what is finished there stays finished.
    drawn : sequence of str
        Files of cards drawn from what a fit leaves open (`neurosim.devices.fitting.drawn_cards`): arms beside the card.
    seeds : int
        Chips of each arm.
    minutes : float
        A budget: whether rules learn is always asked, and if that alone takes longer, `say` is told so beforehand; nothing else is begun
        that does not fit in, or goes on when they are over.
    workers : int
        Processes; results do not depend on it.
    report : callable, optional
        From the title of a part and the number of its runs to its progress.
    name : str, optional
        What the device is called in words; default the card's name.
    images : dict, optional
        ``dataset``, ``train_images`` and ``test_images`` as an experiment file has them; default all digits.
    begun : float, optional
        When the budget began to run (`time.monotonic`); default now.
    say : callable, optional
        Told in whole sentences how long everything will take.

    Raises
    ------
    NeurosimError
        If the card is not there or wrong; nothing has been computed then.
    """
    called = name or (Path(card).stem if card.endswith(".toml") else card)
    rules = {which: rule.on(images or {}) for which, rule in RULES.items()}
    dataset = next(iter(rules.values())).settings["dataset"]
    found = Assessment(card, called, drawn=tuple(drawn), dataset=str(dataset))
    found.images = {
        name: count for name, count in (images or {}).items() if name != "dataset" and count is not None
    }
    found.test_images = len(neurosim.data.load(dataset).x_test)
    budget = Budget(minutes, time.monotonic() if begun is None else begun)
    tell = report or (lambda title, runs: lambda *progress: None)
    open_folder(out)
    with gathered() as found.cautions:
        _take_earlier(found, out)
        write_json(out / SAID, found.said())
        times = RunTimes(workers)
        first = _estimated(rules, card, drawn, seeds, out, times)
        if say:
            least = None
            if not budget.holds(first["learning"]):
                fewest = _estimated(rules, card, (), 2, out, times)["learning"] if seeds > 2 or drawn else 0.0
                least = fewest if fewest else None
            say(said_beforehand(budget, first, seeds, least, bool(drawn)))
        started = time.monotonic()
        for which, rule in rules.items():
            with during(rule.title):
                way, arm, choosing = _chosen(card, rule, out / f"choosing-{which}", tell, workers)
                found.ways[which] = way
                spec = _written(out / f"{which}.toml", rule, card, drawn, arm, seeds, choosing)
                write_text(_as_written(out, which), (out / f"{which}.toml").read_text(encoding="utf-8"))
                command = f"neurosim {rule.command} {out / which}.toml --out {out / which}"
                results = _studied(spec, out / which, tell(rule.title, _runs_of(spec)), workers)
                found.parts[which] = Part(which, rule.title, command, results)
        budget.learn(first["learning"], time.monotonic() - started)
        for part, carried_out in _sweeps(out, found, tell, workers, budget):
            if budget.fits(first[part.name]):
                try:
                    with during(part.title):
                        part.results = carried_out()
                except Stopped:
                    raise
                except Late:
                    part.left_out = f"begun, and stopped when --minutes {minutes:g} were over"
                except NeurosimError as error:
                    part.left_out = f"not carried out: {error}"
            else:
                part.left_out = f"left out, as it does not fit in --minutes {minutes:g}"
                part.takes_s = first[part.name] * budget.slower
            found.parts[part.name] = part
    write_json(out / SAID, found.said())
    return found


def _as_written(out: Path, which: str) -> Path:
    """Where the experiment file of a rule lies as it was written, beside what was chosen for it."""
    return out / f"choosing-{which}" / f"{which}.toml"


def edited(out: Path) -> list[Path]:
    """Return the experiment files in the folder of an assessment that are no longer as they were written."""
    found = []
    for which in RULES:
        file, written = out / f"{which}.toml", _as_written(out, which)
        if file.exists() and not (written.exists() and written.read_bytes() == file.read_bytes()):
            found.append(file)
    return found


def _take_earlier(found: Assessment, out: Path) -> None:
    """Take the cautions of the runs that are finished already, which will not be given again."""
    file = out / SAID
    earlier = read_json(file) if file.exists() else {}
    if (earlier.get("card"), earlier.get("dataset")) == (found.card, found.dataset):
        found.cautions.take(earlier.get("cautions", ()))


def _runs_of(spec: Experiment) -> int:
    return len(spec.planned()) * (1 if spec.then_aged_s is None else 2)


def _estimated(
    rules: dict[str, Rule], card: str, drawn: Sequence[str], seeds: int, out: Path, times: RunTimes
) -> dict[str, float]:
    """Return the seconds that learning and each sweep will take, of what is not finished; the way to write may be the slowest."""
    found = {"learning": 0.0, "effects": 0.0, "requirements": 0.0}
    for which, rule in rules.items():
        ways = possible(card, rule)
        choosing, where = _choosing(card, rule, ways), out / f"choosing-{which}"
        data = choosing.data()
        left = times.of_study(choosing, data, where)
        file = where / "results.json"
        arms = (
            [rule.ways[_ranked(ways, read_json(file))[0][0]]]
            if not left and file.exists()
            else list(ways.values())
        )
        specs = [_experiment(rule, card, drawn, arm, seeds) for arm in arms]
        reporting = [times.of_study(spec, data, out / which) for spec in specs]
        found["learning"] += left + max(reporting)
        if which == "softhebb":
            spec = specs[reporting.index(max(reporting))].only([DEVICE]).changed(then_aged_s=None)
            for name, plan in _plans(spec).items():
                found[name] = of_blocks(
                    plan, out / name, times, data, once_more=seeds if name == "requirements" else 0
                )
    return found


def _plans(spec: Experiment) -> dict[str, Plan]:
    """The sweeps over the layer that learns by SoftHebb, by their folders."""
    return {
        "effects": Plan(Sweep(axis=(Axis.from_text("only=each"),)), spec),
        "requirements": backwards(spec, Enough(share=KEPT, score="vote"), FACTORS),
    }


def _chosen(card: str, rule: Rule, out: Path, tell: Tell, workers: int) -> tuple[str, dict[str, Any], str]:
    """Return the way to write by which a rule learns best on validation images, in words and as an arm has it, and where these lie."""
    ways = possible(card, rule)
    spec = _choosing(card, rule, ways)
    with during("how to write"):
        results = _studied(spec, out, tell(f"{rule.title}: how to write", _runs_of(spec)), workers)
    ranked = _ranked(ways, results)
    (best, most), (worst, least) = ranked[0], ranked[-1]
    said = (
        f"{best}: {100 * most:.1f} % on validation images, of {len(ranked)} ways to write tried with "
        f"{CHOOSING_SEEDS} chips each ({worst}: {100 * least:.1f} %)"
    )
    return said, rule.ways[best], f"{out.name}/results.json"


def _ranked(ways: dict[str, Any], results: dict[str, Any]) -> list[tuple[str, float]]:
    """Ways to write with their mean accuracies, the best first."""
    means: dict[str, float] = {}
    for entry in results["summary"]:
        means.setdefault(entry["arm"], entry.get("vote_mean", entry["accuracy_mean"]))
    return sorted(((name, means[name]) for name in ways), key=lambda each: -each[1])


def possible(card: str, rule: Rule) -> dict[str, dict[str, Any]]:
    """Return the ways to write that a card's devices take; raises what keeps them from the first where there is none."""
    found, why = {}, []
    for name, arm in rule.ways.items():
        try:
            _choosing(card, rule, {name: arm}).check()
        except NeurosimError as error:
            why.append(error)
        else:
            found[name] = arm
    if not found:
        raise why[0]
    return found


def _choosing(card: str, rule: Rule, ways: dict[str, dict[str, Any]]) -> Experiment:
    """The study on validation images that chooses between ways to write."""
    others = [control for control in rule.controls if control.get("learns", True)]
    arms = [{"name": name, "device": card, **arm} for name, arm in ways.items()]
    settings = {**rule.settings, "hold_out": True, "seeds": CHOOSING_SEEDS, "arm": [*others, *arms]}
    found: Experiment = kind_of(rule.kind).parse(settings, f"assess, {rule.title}")
    return found


def _studied(spec: Experiment, out: Path, report: Report, workers: int) -> dict[str, Any]:
    results = study(spec, out, report, workers)
    write_json(out / "results.json", results)
    return results


def _settings(
    rule: Rule, card: str, drawn: Sequence[str], arm: dict[str, Any], seeds: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Settings and arms of the study of a rule that reports."""
    devices = {DEVICE: card, **{f"drawn {k}": name for k, name in enumerate(drawn, 1)}}
    arms: list[dict[str, Any]] = [dict(control) for control in rule.controls]
    arms += [{"name": name, "device": device, **arm} for name, device in devices.items()]
    if rule.controls:
        arms.append({"name": f"{DEVICE}, untrained", "device": card, **arm, "learns": False})
    return {**rule.settings, **(rule.at_last or {}), "seeds": seeds}, arms


def _experiment(rule: Rule, card: str, drawn: Sequence[str], arm: dict[str, Any], seeds: int) -> Experiment:
    """The study of a rule that reports, before anything was chosen."""
    settings, arms = _settings(rule, card, drawn, arm, seeds)
    found: Experiment = kind_of(rule.kind).parse({**settings, "arm": arms}, f"assess, {rule.title}")
    return found


def _written(
    file: Path, rule: Rule, card: str, drawn: Sequence[str], arm: dict[str, Any], seeds: int, choosing: str
) -> Experiment:
    """Write the experiment of a rule, and return it as it is read."""
    settings, arms = _settings(rule, card, drawn, arm, seeds)
    lines = [
        f"# {rule.title} on {card}: neurosim {rule.command} {file} --out {file.with_suffix('')}",
        "# How the device is written was chosen on validation images (chosen_on).",
    ]
    lines += [f"{name} = {toml(value)}" for name, value in {**settings, "chosen_on": [choosing]}.items()]
    for each in arms:
        lines += ["", "[[arm]]", *(f"{name} = {toml(value)}" for name, value in each.items())]
    write_text(file, "\n".join(lines) + "\n")
    found: Experiment = kind_of(rule.kind).from_toml(file)
    return found


def _sweeps(
    out: Path, found: Assessment, tell: Tell, workers: int, budget: Budget
) -> Iterator[tuple[Part, Callable[[], dict[str, Any]]]]:
    """Yield what is swept over the layer that learns by SoftHebb, and how; it ends by `Late` when the budget is over."""
    file = out / "softhebb.toml"
    plans = _plans(kind_of("dense").from_toml(file).only([DEVICE]).changed(then_aged_s=None))

    def told(title: str) -> Any:
        report = tell(title, 1)

        def progress(what: str, done: int, total: int) -> None:
            report("blocks", 0, done, total)
            if done < total:
                budget.check()

        return progress

    def effects() -> dict[str, Any]:
        store = Store(plans["effects"], out / "effects")
        carry_out(store, told("Which effect costs most"), workers)
        return collect(store)

    def needs() -> dict[str, Any]:
        return collect(
            requirements(plans["requirements"], out / "requirements", told("What would be enough"), workers)
        )

    command = f"neurosim sweep {file} --axis only=each --out {out / 'effects'}"
    yield Part("effects", "Which effect costs most", command), effects
    asked = f"--keep {KEPT} --score vote --factors {','.join(f'{factor:g}' for factor in FACTORS)}"
    command = f"neurosim requirements {file} --arm {DEVICE} {asked} --out {out / 'requirements'}"
    yield Part("requirements", "What a device would need", command), needs


def toml(value: Any) -> str:
    """Return a value as TOML has it: a number, a text, a list, an inline table."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _file_of(results: dict[str, Any]) -> str:
    return "sweep.json" if "points" in results else "results.json"
