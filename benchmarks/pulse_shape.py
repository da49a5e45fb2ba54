"""Pulse width and height against epochs and joules on one physics law, VTEAM (results/pulse-shape.md).

python -m benchmarks.pulse_shape [--json FILE] [--page FILE] [--again]

With --again kept runs (FILE) are written anew, and nothing is run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import neurosim as ns
from benchmarks.kept_page import main
from neurosim.study.priced import to_reach
from neurosim.study.store import versions

Result = dict[str, Any]
CARD, PRICES = "rram-vteam-kvatinsky-2015", "generic-28nm"
HEIGHTS_V, WIDTHS_S = (1.57, 1.6, 1.65), (1e-9, 3e-9, 1e-8, 3e-8)
ASSUMED = {"conduction": 1.0, "cycle_to_cycle": 0.3, "switching_spread": 0.2}
"""Numbers that the card does not have: a conductance linear in the state, noise and spread."""
GOAL = 0.75
"""Accuracy of the vote that all are asked for."""
EPOCHS, SEEDS = 40, 3
WAYS: dict[str, dict[str, Any]] = {
    "one pulse": {"mode": "accumulate", "write": {"pulse_limit": 1}},
    "as many as asked": {"mode": "mixed"},
}
"""A device gets one pulse of an update at most; or a controller counts the pulses that the change asks for."""
PLACE = "<!-- from here on written by python -m benchmarks.pulse_shape -->"


def down_V(up_V: float) -> float:
    """Return the voltage of a pulse down that drives the state as one up does."""
    card = ns.devices.load(CARD).with_parameters(write_voltage_V=up_V)
    wanted = card.drive_up / card.turns_down
    return round(float(card.threshold_down_V * (1 + wanted ** (1 / card.voltage_exponent_down))), 4)


def name(way: str, volts: float, width: float) -> str:
    """Name of an arm."""
    return f"{way}, {volts:g} V, {width * 1e9:g} ns"


def experiment() -> ns.DenseExperiment:
    """Return the comparison: SoftHebb on the bundled digits, looked at once an epoch on training images."""
    arms = [
        {
            "name": name(way, volts, width), "device": CARD, **how,
            "parameters": {
                **ASSUMED, "write_voltage_V": volts, "reset_voltage_V": down_V(volts), "write_time_s": width,
            },
        }
        for way, how in WAYS.items()
        for volts in (HEIGHTS_V if way == "one pulse" else (HEIGHTS_V[1],))
        for width in WIDTHS_S
    ]  # fmt: skip
    return ns.DenseExperiment(
        dataset="digits", neurons=100, epochs=EPOCHS, seeds=SEEDS, curve_points=EPOCHS,
        readout_epochs=3, rule_options={"learning_rate": 0.2}, arm=arms,
    )  # fmt: skip


def measured() -> Result:
    """Run it, and keep of each run its curve, the joules of its pulses at each look, and what it came to."""
    found = ns.compare(experiment())
    runs = []
    for run in found["runs"]:
        along = run.get("along") or []
        first = next((k for k, look in enumerate(along) if k and look["accuracy"] >= GOAL), None)
        kept = sorted({0, len(along) - 1} | ({first} if first is not None else set())) if along else []
        runs.append({
            **{key: run[key] for key in ("arm", "seed", "accuracy", "vote", "curve")},
            "events": run.get("events"), "along": [along[k] for k in kept],
        })  # fmt: skip
        print(run["arm"], run["seed"], f"{run['accuracy']:.4f}", flush=True)
    about = {key: found["data"][key] for key in ("note", "train_images", "test_images", "reported_on")}
    return {
        "kind": "pulse-shape",
        "runs": runs,
        "data": about,
        "devices": found["devices"],
        "versions": versions(),
    }


def pulses_J(look: dict[str, Any]) -> float:
    """Joules of the pulses alone until a look, periphery not included."""
    return math.fsum(layer.get("up_J", 0.0) + layer.get("down_J", 0.0) for layer in look["counts"])


def reached(result: Result, arm: str) -> dict[str, float] | None:
    """Return epochs and joules until the goal, means over the seeds that came so far; None if not all of them did."""
    runs = [run for run in result["runs"] if run["arm"] == arm]
    looks = [next((k for k in run["along"][1:] if k["accuracy"] >= GOAL), None) for run in runs]
    there = [look for look in looks if look is not None]
    if len(there) < len(runs):
        return None
    took = to_reach(runs, PRICES, accuracy=GOAL, sources=result["devices"][arm]["numbers"])
    assert took is not None
    assert took.joules is not None
    images = result["data"]["train_images"]
    return {
        "epochs": _mean([look["images"] / images for look in there]),
        "pulses": _mean([math.fsum(layer["pulses"] for layer in look["counts"]) for look in there]),
        "pulses_J": _mean([pulses_J(look) for look in there]),
        "all_J": took.joules,
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def rows(result: Result) -> Iterator[str]:
    """Yield the table."""
    yield "| way | height, V | width, ns | nominal step, % of the window | epochs | pulses | joules of the pulses, without periphery | joules in all, with periphery | vote at the end, % | test accuracy, % |"
    yield "|" + " --- |" * 10
    for arm in experiment().arm:
        law = arm.law()
        runs = [run for run in result["runs"] if run["arm"] == arm.name]
        found = reached(result, arm.name)
        cells = (
            [f"{found['epochs']:.1f}", f"{found['pulses']:.3g}", f"{found['pulses_J']:.3g}", f"{found['all_J']:.3g}"]
            if found else ["not reached", "", "", ""]
        )  # fmt: skip
        yield "| " + " | ".join([
            arm.name.split(",")[0], f"{law.write_voltage_V:g}", f"{law.write_time_s * 1e9:g}", f"{100 * law.step:.3g}",
            *cells, f"{100 * _mean([run['curve'][-1][1] for run in runs]):.1f}",
            f"{100 * _mean([run['accuracy'] for run in runs]):.1f}",
        ]) + " |"  # fmt: skip


def page(result: Result) -> str:
    """Return the table with what its columns are."""
    ideal = [run for run in result["runs"] if run["arm"] == "ideal"]
    about = (
        f"Means over {SEEDS} seeds to a vote of {100 * GOAL:.0f} % on training images, looked at once an epoch; ideal arithmetic ends at a "
        f"vote of {100 * _mean([run['curve'][-1][1] for run in ideal]):.1f} % and a test accuracy of "
        f"{100 * _mean([run['accuracy'] for run in ideal]):.1f} %. Joules in all are device and periphery of learning by {PRICES}, start "
        "programming left out."
    )
    return "\n".join([about, "", *rows(result), ""])


if __name__ == "__main__":
    main("pulse-shape", __doc__, PLACE, measured, page)
