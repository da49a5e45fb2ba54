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
from typing import Any, NamedTuple

from neurosim.core.errors import NeurosimError, Stopped
from neurosim.study.axis import Axis
from neurosim.study.blocks import Store, carry_out
from neurosim.study.experiment import Experiment
from neurosim.study.kinds import kind_of
from neurosim.study.requirements import backwards, requirements
from neurosim.study.run import study
from neurosim.study.store import open_folder, write_json, write_text
from neurosim.study.sweep import Enough, Plan, Sweep
from neurosim.study.swept import collect
from neurosim.study.training import Report

DEVICE = "device"
"""Name of the arm that has the card itself."""
FACTORS = (0.0, 0.25, 1.0, 4.0)
"""Levels of what a device has, times what it has, at which it is asked what would be enough."""
KEPT = 0.95
"""Share of the vote of ideal arithmetic that is to be kept: of 297 images of digits, a point is three of them."""
A_YEAR_S = 31_536_000.0
CHOOSING_SEEDS = 2
_VERIFIED = {"decay_mode": "gain", "verify_reads": 1}


class Rule(NamedTuple):
    """A local rule that is asked about, as an experiment file has it; and ways to write that are tried."""

    title: str
    command: str
    kind: str
    settings: dict[str, Any]
    ways: dict[str, dict[str, Any]]
    """What an arm has for each, by its words."""
    controls: tuple[dict[str, Any], ...] = ()
    """Arms beside the device."""
    at_last: dict[str, Any] | None = None
    """Further settings of the study that reports, not of the one that chooses."""


RULES: dict[str, Rule] = {
    "softhebb": Rule(
        "SoftHebb, one layer, by vote",
        "compare",
        "dense",
        {"dataset": "digits", "neurons": 100, "epochs": 20, "rule": "softhebb", "rule_options": {"learning_rate": 0.2},
         "mode": "mixed", "read": {"dac_bits": 8, "adc_bits": 8}, "curve_points": 0},
        {
            "pulsed as soon as a whole pulse is due": {},
            "the same, decay as a digital gain": {"write": {"decay_mode": "gain"}},
            "verified, pulse by pulse": {"write": {**_VERIFIED, "flush_pulses": 1}},
            "verified, 12 pulses at a time": {"write": {**_VERIFIED, "flush_pulses": 12}},
            "verified, 64 pulses at a time": {"write": {**_VERIFIED, "flush_pulses": 64}},
        },
        at_last={"then_aged_s": A_YEAR_S},
    ),
    "forward-forward": Rule(
        "Forward-Forward, two layers, by goodness",
        "ff",
        "forward-forward",
        {"dataset": "digits", "widths": [100, 100], "epochs": 20, "batch": 50},
        {
            "filtered changes": {"mode": "accumulate", "write": {"decay_mode": "gain"}},
            "long filter, low goodness": {
                "mode": "accumulate", "momentum": 0.99, "window": 8.0,
                "settings": {"goodness": "minus-squares", "decay": 0.0},
            },
            "verified, pulse by pulse": {"mode": "mixed", "write": {**_VERIFIED, "prompt": True, "flush_pulses": 1}},
            "verified, 64 pulses at a time": {"mode": "mixed", "write": {**_VERIFIED, "prompt": True, "flush_pulses": 64}},
        },
        ({"name": "ideal"}, {"name": "ideal, untrained", "learns": False}),
    ),
}  # fmt: skip


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
    report: Callable[[str], Report] | None = None,
    name: str | None = None,
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
        After which nothing new is begun but whether rules learn; what was left out is said.
    workers : int
        Processes; results do not depend on it.
    report : callable, optional
        From the title of a part to its progress.
    name : str, optional
        What the device is called in words; default the card's name.

    Raises
    ------
    NeurosimError
        If the card is not there or wrong; nothing has been computed then.
    """
    called = name or (Path(card).stem if card.endswith(".toml") else card)
    started, found = time.monotonic(), Assessment(card, called, drawn=tuple(drawn))
    tell = report or (lambda title: lambda *progress: None)
    open_folder(out)
    for which, rule in RULES.items():
        way, arm, choosing = _chosen(card, rule, out / f"choosing-{which}", tell, workers)
        found.ways[which] = way
        spec = _written(out / f"{which}.toml", rule, card, drawn, arm, seeds, choosing)
        command = f"neurosim {rule.command} {out / which}.toml --out {out / which}"
        results = _studied(spec, out / which, tell(rule.title), workers)
        found.parts[which] = Part(which, rule.title, command, results)

    def late() -> str:
        over = time.monotonic() - started > 60 * minutes
        return f"left out, as {minutes:g} minutes were over; --minutes gives more" if over else ""

    for part, carried_out in _sweeps(out, found, tell, workers):
        part.left_out = late()
        if not part.left_out:
            try:
                part.results = carried_out()
            except Stopped:
                raise
            except NeurosimError as error:
                part.left_out = f"not carried out: {error}"
        found.parts[part.name] = part
    write_json(out / "assess.json", found.said())
    return found


def _chosen(
    card: str, rule: Rule, out: Path, tell: Callable[[str], Report], workers: int
) -> tuple[str, dict[str, Any], str]:
    """Return the way to write by which a rule learns best on validation images, in words and as an arm has it, and where these lie."""
    ways = possible(card, rule)
    spec = _choosing(card, rule, ways)
    results = _studied(spec, out, tell(f"{rule.title}: how to write"), workers)
    means: dict[str, float] = {}
    for entry in results["summary"]:
        means.setdefault(entry["arm"], entry.get("vote_mean", entry["accuracy_mean"]))
    ranked = sorted(ways, key=lambda name: -means[name])
    best, worst = ranked[0], ranked[-1]
    said = (
        f"{best}: {100 * means[best]:.1f} % on validation images, of {len(ranked)} ways to write tried with "
        f"{CHOOSING_SEEDS} chips each ({worst}: {100 * means[worst]:.1f} %)"
    )
    return said, rule.ways[best], f"{out.name}/results.json"


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


def _written(
    file: Path, rule: Rule, card: str, drawn: Sequence[str], arm: dict[str, Any], seeds: int, choosing: str
) -> Experiment:
    """Write the experiment of a rule, and return it as it is read."""
    devices = {DEVICE: card, **{f"drawn {k}": name for k, name in enumerate(drawn, 1)}}
    arms: list[dict[str, Any]] = [dict(control) for control in rule.controls]
    arms += [{"name": name, "device": device, **arm} for name, device in devices.items()]
    if rule.controls:
        arms.append({"name": f"{DEVICE}, untrained", "device": card, **arm, "learns": False})
    lines = [
        f"# {rule.title} on {card}: neurosim {rule.command} {file} --out {file.with_suffix('')}",
        "# How the device is written was chosen on validation images (chosen_on).",
    ]
    settings = {**rule.settings, **(rule.at_last or {}), "seeds": seeds, "chosen_on": [choosing]}
    lines += [f"{name} = {toml(value)}" for name, value in settings.items()]
    for each in arms:
        lines += ["", "[[arm]]", *(f"{name} = {toml(value)}" for name, value in each.items())]
    write_text(file, "\n".join(lines) + "\n")
    found: Experiment = kind_of(rule.kind).from_toml(file)
    return found


def _sweeps(
    out: Path, found: Assessment, tell: Callable[[str], Report], workers: int
) -> Iterator[tuple[Part, Callable[[], dict[str, Any]]]]:
    """Yield what is swept over the layer that learns by SoftHebb, and how."""
    file = out / "softhebb.toml"
    spec = kind_of("dense").from_toml(file).only([DEVICE]).changed(then_aged_s=None)

    def told(title: str) -> Any:
        report = tell(title)
        return lambda what, done, total: report("blocks", 0, done, total)

    def effects() -> dict[str, Any]:
        store = Store(Plan(Sweep(axis=(Axis.from_text("only=each"),)), spec), out / "effects")
        carry_out(store, told("Which effect costs most"), workers)
        return collect(store)

    def needs() -> dict[str, Any]:
        plan = backwards(spec, Enough(share=KEPT, score="vote"), FACTORS)
        return collect(requirements(plan, out / "requirements", told("What would be enough"), workers))

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
