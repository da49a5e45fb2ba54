"""Forward-Forward as tables: accuracy by readout, and what each layer was and cost."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from neurosim.report.holding import holding_markdown
from neurosim.report.taught import taught_lines
from neurosim.report.text import (
    JOULES_OF_AN_UPDATE,
    NOTHING,
    UPDATE_ENERGIES,
    around,
    markdown_table,
    percent,
    significant,
    spread,
    under_one_head,
    update_energies,
    which_intervals,
)  # fmt: skip

LAYERS = (
    "arm",
    "layer",
    "shape",
    "rms of weights",
    "quiet samples, last epoch",
    "pulses a weight",
    *(f"an update and synapse, {name}" for name in UPDATE_ENERGIES),
)


def _contrasts(config: dict[str, Any]) -> list[str]:
    """How negatives are made without labels, by any of the arms."""
    shared = config.get("contrast", "hybrids")
    own = [(arm.get("samples") or {}).get("contrast", shared) for arm in config.get("arm") or [{}]]
    return list(dict.fromkeys(own))


def _labels(config: dict[str, Any]) -> list[str]:
    """Where labels stand while any of the arms learns."""
    shared, found = config.get("recurrent"), []
    arms = [arm for arm in config.get("arm") or [] if not arm.get("backpropagation")]
    for arm in [*arms, *({} for _ in config.get("device") or [])] or [{}]:
        own = arm.get("recurrent")
        how = shared if own is None else {**(shared or {}), **own}
        above = how is not None and how.get("top_down", True)
        found.append("labels above the last layer" if above else "labels on images")
    return list(dict.fromkeys(found))


def learnt(results: dict[str, Any]) -> str:
    """What was learnt, in one line."""
    data, config = results["data"], results["config"]
    epochs = f"{config['epochs']} epoch{'s' if config['epochs'] > 1 else ''}"
    without = f"{' and '.join(_contrasts(config))}, no labels"
    kind = " or ".join(_labels(config)) if config["supervised"] else without
    return f"{data['note']}, {data['train_images']} training images, {epochs}, {kind}"


def title(results: dict[str, Any]) -> str:
    """What was learnt and what the figures are of, in one line."""
    return f"{learnt(results)}, {results['data']['reported_on']}"


def readouts_of(results: dict[str, Any]) -> list[str]:
    """How the networks were asked for classes, in the order of the tables."""
    by_arm: dict[str, list[str]] = {}
    for entry in results["summary"]:
        by_arm.setdefault(entry["arm"], []).append(entry["readout"])
    return max(by_arm.values(), key=len)  # with backpropagation an arm has its own head alone


def has_curves(results: dict[str, Any]) -> bool:
    """Whether more than one epoch was followed."""
    return any(len(run["curve"]) > 1 for run in results["runs"])


def arms_of(results: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Runs by arm, in the order of the arms."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in results["runs"]:
        found.setdefault(run["arm"], []).append(run)
    return found


def forward_forward_table(results: dict[str, Any]) -> Table:
    """Return a table with a row an arm and a column a readout."""
    heads = readouts_of(results)
    said = "\n".join(taught_lines(results["runs"])) or None
    table = Table("arm", "seeds", *(f"{readout}, %" for readout in heads), title=title(results), caption=said)
    for row in _accuracy_rows(results, heads):
        table.add_row(*row)
    return table


def layers_table(results: dict[str, Any]) -> Table:
    """Return a table with a row for each layer of each arm, first seed."""
    caption = JOULES_OF_AN_UPDATE if _on_devices(results) else None
    table = Table(*LAYERS, title="What each layer was and cost, first seed", caption=caption)
    for row in _layer_rows(results):
        table.add_row(*row)
    return table


def _on_devices(results: dict[str, Any]) -> bool:
    return any("energy" in run["layers"][0] for run in results["runs"])


def _accuracy_rows(results: dict[str, Any], readouts: list[str]) -> list[list[str]]:
    found = {(entry["arm"], entry["readout"]): entry for entry in results["summary"]}
    rows = []
    for arm in dict.fromkeys(entry["arm"] for entry in results["summary"]):
        own = [found.get((arm, readout)) for readout in readouts]
        seeds = max(entry["seeds"] for entry in own if entry is not None)
        cells = [
            NOTHING if entry is None else spread(entry["accuracy_mean"], around(entry, "accuracy"))
            for entry in own
        ]
        rows.append([arm, str(seeds), *cells])
    return rows


def _layer_rows(results: dict[str, Any]) -> list[list[str]]:
    rows = []
    for arm, runs in arms_of(results).items():
        quiet = runs[0]["curve"][-1].get("quiet")
        for number, layer in enumerate(runs[0]["layers"], 1):
            energy = layer.get("energy")
            locations, rows_of = layer.get("locations", 1), str(layer["rows"])
            if "fewest_rows" in layer:
                rows_of = f"{layer['fewest_rows']} to {rows_of}"
            shape = f"{rows_of} x {layer['neurons']}"
            synapses = layer.get("synapses", locations * layer["rows"] * layer["neurons"])
            rows.append(
                [
                    arm, str(number), shape if locations == 1 else f"{locations} of {shape}", significant(layer["weight_rms"]),
                    percent(quiet[number - 1]) if quiet else NOTHING,
                    NOTHING if energy is None else significant(energy["pulses"] / synapses),
                    *update_energies(energy),
                ]
            )  # fmt: skip
    return under_one_head(rows)


def forward_forward_markdown(name: str, results: dict[str, Any]) -> str:
    """Tables of one study of Forward-Forward, for the documentation."""
    readouts = readouts_of(results)
    on_devices = _on_devices(results)
    followed = results["config"]["curve_images"]
    none_at_all = f"Followed on {followed} images; with no error at all the curve is drawn at half an image, as a logarithmic axis has no zero.\n"
    return "\n".join(
        [
            f"# {name}\n\nAccuracy (%), mean and 95 % interval: {title(results)}.\n",
            *([f"![energy and accuracy]({name}-energy.svg)\n"] if on_devices else []),
            *([f"![error by epoch]({name}-epochs.svg)\n", none_at_all] if has_curves(results) else []),
            markdown_table(("arm", "seeds", *readouts), _accuracy_rows(results, readouts)),
            which_intervals(results["summary"]),
            *taught_lines(results["runs"]),
            *holding_markdown(results),
            "After learning (first seed):\n",
            *([JOULES_OF_AN_UPDATE + "\n"] if on_devices else []),
            markdown_table(LAYERS, _layer_rows(results)),
        ]
    )
