"""Forward-Forward as figures: error by epoch, and over the energy of updates; many arms are told by device."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from neurosim.report.forward_forward import arms_of, has_curves, learnt, readouts_of
from neurosim.report.style import IDEAL_COLOUR, PALETTE, colours, label, new_figure, styled
from neurosim.report.text import UPDATE_ENERGIES

CROWD = 6
"""More arms than these share the colour of their device, and their curves are followed by the first readout only."""
GREYS = ("#5f5f5f", "#949494", "#bcbcbc")
"""Of arms in ideal arithmetic after the first, which is black."""
DASHES = ("-", "--", ":", "-.")
"""Of their curves, so that no two are alike."""
MARKS: tuple[Any, ...] = (*"os^DvPX<>phd*", (4, 1, 45))
LINES = ("-", ":", "-.")
STYLES = {"goodness": "-", "linear": "-", "softmax": "--"}
Runs = list[dict[str, Any]]


class Look(NamedTuple):
    """How an arm is drawn."""

    colour: str
    mark: Any


def _by_device(results: dict[str, Any]) -> tuple[list[str], dict[str, list[str]]]:
    """Names of the arms in ideal arithmetic, and of those of each device; where there is none, "" stands for one."""
    config = results["config"]
    device = {arm["name"]: arm["device"] for arm in (*config["arm"], *config.get("arms", ()))}
    found: dict[str, list[str]] = {"": []}
    for name in arms_of(results):
        found.setdefault(PurePath(device.get(name) or "").name.removesuffix(".toml"), []).append(name)
    return ([], found) if len(found) == 1 else (found.pop(""), found)


def _looks(results: dict[str, Any]) -> dict[str, Look]:
    """A colour for every arm, or where they are many a colour for every device and a mark for each of its arms."""
    names = list(arms_of(results))
    if len(names) <= CROWD:
        return {arm: Look(colour, "o") for arm, colour in colours(names).items()}
    ideal, devices = _by_device(results)
    found = {arm: Look(_grey(k), "") for k, arm in enumerate(ideal)}
    for number, arms in enumerate(devices.values()):
        for k, arm in enumerate(arms):
            found[arm] = Look(PALETTE[number % len(PALETTE)], MARKS[k % len(MARKS)])
    return found


def _grey(k: int) -> str:
    """The colour of the k-th arm in ideal arithmetic."""
    return GREYS[(k - 1) % len(GREYS)] if k else IDEAL_COLOUR


@styled
def epoch_curves(results: dict[str, Any]) -> Figure | None:
    """Error by epoch, mean and range over seeds: a colour an arm, by goodness solid, by the head dashed.

    No error at all stands at half an image. Of many arms goodness (or the first readout) alone, with a panel for each device. None of a single epoch.
    """
    if not has_curves(results):
        return None
    arms = arms_of(results)
    known = {name for run in results["runs"] for name in run["curve"][0]}
    followed = [readout for readout in STYLES if readout in known]
    by = "" if len(arms) <= CROWD else f" by {followed[0]}"
    ylabel = f"Error{by}, {results['data']['followed_on']} (%)"
    if len(arms) <= CROWD:
        figure = new_figure(4.6)
        axes = figure.subplots()
        for arm, look in _looks(results).items():
            for readout in (one for one in followed if one in arms[arm][0]["curve"][0]):
                name = f"{label(arm, 36)}, {readout}"
                _curve(axes, _courses(results, arm, readout), look.colour, STYLES[readout], name)
        axes.set(xlabel="Epoch", ylabel=ylabel)
        _on_a_logarithmic_axis(axes)
        figure.legend(loc="outside right center")
    else:
        figure = _curves_by_device(results, followed[0])
        figure.supylabel(ylabel, fontsize=9)
    figure.suptitle(label(learnt(results), 130), fontsize=8.5, fontweight="bold")
    return figure


def _curves_by_device(results: dict[str, Any], readout: str) -> Figure:
    """A panel for each device with the curves of its arms, ideal arithmetic in all of them."""
    ideal, devices = _by_device(results)
    heights = [2.0 + 0.2 * len(names) for names in devices.values()]
    figure = new_figure(0.4 + sum(heights))
    panels = figure.subplots(len(devices), 1, sharex=True, squeeze=False, height_ratios=heights)
    for axes, (device, names) in zip(panels[:, 0], devices.items(), strict=True):
        for k, arm in enumerate(ideal):
            _curve(axes, *_course_of(results, arm, readout, _grey(k), DASHES[k % len(DASHES)]))
        for k, arm in enumerate(names):
            line = LINES[k // len(PALETTE) % len(LINES)]
            _curve(axes, *_course_of(results, arm, readout, PALETTE[k % len(PALETTE)], line))
        axes.set_title(label(device, 60))
        _on_a_logarithmic_axis(axes)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    panels[-1, 0].set_xlabel("Epoch")
    return figure


def _course_of(
    results: dict[str, Any], arm: str, readout: str, colour: str, line: str
) -> tuple[Any, str, str, str]:
    """What is drawn of an arm by a readout, or by the one that it has, which its name then says."""
    if readout in arms_of(results)[arm][0]["curve"][0]:
        return _courses(results, arm, readout), colour, line, label(arm, 60)
    (own,) = arms_of(results)[arm][0]["readouts"]
    return _courses(results, arm, own), colour, line, label(f"{arm}, {own}", 60)


def _courses(results: dict[str, Any], arm: str, readout: str) -> tuple[list[int], Any]:
    """Epochs, and the error of each run of an arm at each of them, per cent; as far as all runs learnt."""
    runs = arms_of(results)[arm]
    shared = min(len(run["curve"]) for run in runs)
    errors = 100 * (1 - np.array([[point[readout] for point in run["curve"][:shared]] for run in runs]))
    least = 50 / results["config"]["curve_images"]
    return [point["epoch"] for point in runs[0]["curve"][:shared]], np.maximum(errors, least)


def _curve(axes: Axes, courses: tuple[list[int], Any], colour: str, line: str, name: str) -> None:
    epochs, errors = courses
    axes.plot(epochs, errors.mean(axis=0), line, color=colour, lw=1.5, label=name)
    if len(errors) > 1:
        axes.fill_between(epochs, errors.min(axis=0), errors.max(axis=0), color=colour, alpha=0.15, lw=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


@styled
def energy_and_accuracy(results: dict[str, Any]) -> Figure | None:
    """Error of each arm on devices over the energy of its updates, mean and range over seeds; None without any.

    Filled marks: the first readout; hollow ones: the other. Lines: ideal arithmetic.
    """
    arms = arms_of(results)
    looks, readouts = _looks(results), readouts_of(results)
    on_devices = {
        arm: runs
        for arm, runs in arms.items()
        if (runs[0]["layers"][0].get("energy") or {}).get("update_J") is not None
    }
    if not on_devices:
        return None
    figure = new_figure(4.8 if len(arms) <= CROWD else 3.4 + 0.13 * len(arms))
    panels = figure.subplots(1, 2, sharey=True)
    layout: Any = figure.get_layout_engine()
    layout.set(wspace=0.06)  # the outermost labels of both do not touch
    for axes, (heading, energy) in zip(panels, UPDATE_ENERGIES.items(), strict=True):
        known = False
        for arm, runs in on_devices.items():
            joules = float(np.mean([_energy_of_update(run, energy) for run in runs]))
            if not joules > 0:  # nothing learns, or the card does not give the pulse
                continue
            known = True
            for readout, filled in zip(readouts, (True, False), strict=True):
                _error(axes, joules, runs, readout, looks[arm], filled)
        for arm in (arm for arm in arms if arm not in on_devices):
            for readout, style in zip(readouts, ("-", "--"), strict=True):
                if readout not in arms[arm][0]["readouts"]:
                    continue
                axes.axhline(_errors(arms[arm], readout).mean(), color=looks[arm].colour, ls=style, lw=1)
        axes.set(title=heading[0].upper() + heading[1:], xlabel="Energy of an update and synapse")
        if not known:
            axes.set(xticks=[])
            axes.text(0.5, 0.5, "no pulse energy on the card", transform=axes.transAxes, ha="center")
            continue
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(EngFormatter("J"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        low, high = axes.get_xlim()
        axes.set_xlim(
            min(low, 10 ** np.floor(np.log10(low * 1.01))), max(high, 10 ** np.ceil(np.log10(high)))
        )
    panels[0].set_ylabel(f"Error, {results['data']['reported_on']} (%)")
    _on_a_logarithmic_axis(panels[0])
    figure.legend(
        handles=_keys(results, looks), loc="outside lower center", ncols=2 if len(arms) > CROWD else 3
    )
    return figure


def _on_a_logarithmic_axis(axes: Axes) -> None:
    """Show errors on a logarithmic axis."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _energy_of_update(run: dict[str, Any], name: str) -> float:
    """Energy of an update and synapse over all layers of a run, J."""
    synapses = np.array(
        [
            layer.get("synapses", layer.get("locations", 1) * layer["rows"] * layer["neurons"])
            for layer in run["layers"]
        ]
    )
    each = np.array([layer["energy"][name] for layer in run["layers"]])
    return float((each * synapses).sum() / synapses.sum())


def _errors(runs: Runs, readout: str) -> Any:
    """Error of each run, per cent."""
    return 100 * (1 - np.array([run["readouts"][readout] for run in runs]))


def _error(axes: Axes, joules: float, runs: Runs, readout: str, look: Look, filled: bool) -> None:
    errors = _errors(runs, readout)
    mean = errors.mean()
    axes.errorbar(
        joules, mean, [[mean - errors.min()], [errors.max() - mean]], marker=look.mark, ls="", ms=7, elinewidth=1,
        color=look.colour, mfc=look.colour if filled else "white",
    )  # fmt: skip


def _keys(results: dict[str, Any], looks: dict[str, Look]) -> list[Line2D]:
    """What the legend explains: the two readouts, then the arms, those of a device together."""
    first, second = readouts_of(results)
    keys = [
        Line2D([], [], color=IDEAL_COLOUR, marker="o", lw=1, label=f"filled, solid: {first}"),
        Line2D([], [], color=IDEAL_COLOUR, marker="o", mfc="white", ls="--", lw=1, label=f"hollow, dashed: {second}"),
    ]  # fmt: skip
    ideal, devices = _by_device(results)
    keys += [Line2D([], [], color=looks[arm].colour, lw=1, label=label(arm, 60)) for arm in ideal]
    for arms in devices.values():
        keys += [
            Line2D([], [], color=looks[arm].colour, marker=looks[arm].mark, ms=7, ls="", label=label(arm, 60))
            for arm in arms
        ]
    return keys
