"""The two energy ratios of Renaudineau et al. 2026 (arXiv 2601.09903), by the definitions of results/renaudineau.md.

python -m benchmarks.renaudineau [--json FILE] [--page FILE] [--again | --controls]

With --again kept events (FILE) are priced and written anew, and nothing is run; with --controls only the controls are run.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import neurosim as ns
from benchmarks.kept_page import written_behind
from benchmarks.small_nets import Backpropagation, Competitive, Net, OneUpdate, TwoPasses, arrays
from neurosim.energy import Bill, PriceList, Pulse, price, price_list
from neurosim.energy.digital import VERIFY_J
from neurosim.energy.published import Ratio, learning_over_inference, verify_over_pulse
from neurosim.report.text import made_with, markdown_table
from neurosim.study.events import layer_events
from neurosim.study.priced import mean_events
from neurosim.study.store import read_json, versions, write_json

DIGITS = (3, 5, 8, 9)
SHAPES = [(49, 44), (44, 40)]
DEVICE = "rram-hfo2-om-2022"
RULES: dict[str, type[Net]] = {
    "two passes": TwoPasses, "single pass": Competitive, "backpropagation": Backpropagation,
}  # fmt: skip
LOCAL = ("two passes", "single pass")
POLICIES: dict[str, dict[str, Any]] = {
    "filtered": {"batch": 100, "epochs": 10, "momentum": 0.9, "images": None},
    "an update an image": {"batch": 1, "epochs": 1, "momentum": None, "images": 6000},
}
CONTROLS: dict[str, dict[str, Any]] = {
    "as fixed": {},
    "no corrupt cells": {"parameters": {"corrupt_share": 0.0}},
    "pulses both ways": {"write": {"pulses": "card"}},
    "no restores": {"write": {"refresh": None}},
    "both passes in one update": {"rule": OneUpdate},
    "finer steps, rram-taox-hfox-wu-2018": {"device": "rram-taox-hfox-wu-2018"},
}
"""What may be why: asked after results were seen, told on validation images alone."""
CONTROL_SEEDS = (100, 101, 102)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
CHOSEN_WITH, SEEDS = 100, range(5)
READ = ns.ReadPath(adc_bits=8, dac_bits=8)
PRICES = ("neurram-130nm", "generic-28nm")
PULSE_V, PULSE_S, RANGE_V = 0.9, 50e-9, (0.7, 1.0)
PUBLISHED = {"learning / inference": 0.46, "verify / pulse": 460.0, "product": 0.46 * 460}
PLACE = "<!-- what follows is written by benchmarks/renaudineau.py -->"

Data = dict[str, tuple[Any, Any]]
Result = dict[str, Any]


def four_digits() -> Data:
    """Return images (n, 49) from 0 to 1 and labels of 0 to 3: fit, validation, test."""
    data = ns.data.load("mnist")

    def of(images: Any, labels: Any) -> tuple[Any, Any]:
        kept = np.isin(labels, DIGITS)
        small = images[kept].reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(-1, 49) / 255
        return small.astype(np.float32), np.searchsorted(DIGITS, labels[kept])

    return {
        "fit": of(data.x_train, data.y_train),
        "validation": of(data.x_validation, data.y_validation),
        "test": of(data.x_test, data.y_test),
    }


def written(policy: str) -> ns.WritePath:
    """Return how arrays are written by a policy."""
    momentum = POLICIES[policy]["momentum"]
    return ns.WritePath(pulses="reset", pulse_limit=1, decay_mode="gain", momentum=momentum)


def learnt(
    rule: str, policy: str, device: str | None, rate: float, seed: int, data: Data, control: str = "as fixed"
) -> Net:
    """Return a network that has learnt."""
    how, changed = POLICIES[policy], CONTROLS[control]
    images, labels = (each[: how["images"]] for each in data["fit"])
    steps = how["epochs"] * (len(images) // how["batch"])
    law = None
    if device is not None:
        law = ns.devices.load(changed.get("device", device)).with_parameters(**changed.get("parameters", {}))
    layers = arrays(SHAPES, law, seed, READ, written(policy).changed(**changed.get("write", {})))
    net: Net = changed.get("rule", RULES[rule])(layers, len(DIGITS), rate, steps, seed)
    net.train(images, labels, how["batch"])
    return net


def chosen_rate(rule: str, policy: str, device: str | None, data: Data) -> dict[str, Any]:
    """Return the rate with the best accuracy on validation images, and the accuracy of each."""
    found = {
        str(rate): learnt(rule, policy, device, rate, CHOSEN_WITH, data).accuracy(*data["validation"])
        for rate in RATES
    }
    return {"rate": max(RATES, key=lambda rate: found[str(rate)]), "validation": found}


def programmed_closed(seed: int) -> list[dict[str, Any]]:
    """Return the events of arrays of the same shapes that were programmed once, closed loop, with the start weights."""
    write = ns.WritePath(programming=ns.Programming(mode="closed"))
    return layer_events(arrays(SHAPES, DEVICE, seed, READ, write))


def measured(data: Data) -> Result:
    """Choose rates and run all arms."""
    arms = [(rule, "filtered", device) for rule in RULES for device in (None, DEVICE)]
    arms += [(rule, "an update an image", DEVICE) for rule in RULES]
    found: list[dict[str, Any]] = []
    for rule, policy, device in arms:
        chosen = chosen_rate(rule, policy, device, data)
        runs = []
        for seed in SEEDS:
            net = learnt(rule, policy, device, chosen["rate"], seed, data)
            runs.append({"seed": seed, "accuracy": net.accuracy(*data["test"]), "events": net.events()})
        arm = {"rule": rule, "policy": policy, "device": device, "chosen": chosen, "runs": runs}
        found.append(arm)
        print(said(arm), flush=True)
    closed = [{"seed": seed, "events": programmed_closed(seed)} for seed in SEEDS]
    images = {name: len(labels) for name, (_, labels) in data.items()}
    return {"arms": found, "programmed": closed, "images": images, "versions": versions()}


def controlled(result: Result, data: Data) -> list[dict[str, Any]]:
    """Run the controls of every rule with the filtered policy on devices, at the rate that was chosen."""
    found = []
    for arm in result["arms"]:
        if arm["policy"] != "filtered" or not arm["device"]:
            continue
        for control, changed in CONTROLS.items():
            if "rule" in changed and arm["rule"] != "two passes":
                continue
            rate = arm["chosen"]["rate"]
            runs: list[dict[str, Any]] = []
            for seed in CONTROL_SEEDS:
                net = learnt(arm["rule"], "filtered", DEVICE, rate, seed, data, control)
                runs.append(
                    {"seed": seed, "accuracy": net.accuracy(*data["validation"]), "events": net.events()}
                )
            found.append({"rule": arm["rule"], "control": control, "runs": runs})
            print(arm["rule"], control, *(f"{run['accuracy']:.3f}" for run in runs), flush=True)
    return found


def said(arm: dict[str, Any]) -> str:
    """One line of print."""
    accuracies = [run["accuracy"] for run in arm["runs"]]
    return (
        f"{arm['rule']}, {arm['policy']}, {arm['device'] or 'ideal'}: {100 * np.mean(accuracies):.1f} % "
        f"({100 * min(accuracies):.1f} to {100 * max(accuracies):.1f}), rate {arm['chosen']['rate']}"
    )


def prices(name: str, voltage_V: float = PULSE_V) -> PriceList:
    """Return a price list with the pulse of learning below 1 V; up as well as down, as pulses without effect have no way."""
    pulse = Pulse(
        voltage_V=voltage_V, width_s=PULSE_S, mark="assumed",
        source="below 1 V (Renaudineau et al. 2026, abstract); volts and width themselves are assumed",
    )  # fmt: skip
    return price_list(name).changed(name=f"{name}, {voltage_V} V", pulse_up=pulse, pulse_down=pulse)


def ratios(
    events: list[dict[str, Any]], closed: list[dict[str, Any]], name: str
) -> dict[str, dict[str, Ratio]]:
    """Return both ratios and their product, each by three definitions; their ends have those of the pulse's voltage as well."""
    cells = sum(2 * layer["rows"] * layer["cols"] for layer in closed)
    verified = price(closed, price_list(name))
    bills = [price(events, prices(name, volts)) for volts in (PULSE_V, *RANGE_V)]
    first = [learning_over_inference(bill) for bill in bills]
    second = [verify_over_pulse(bill, verified, cells) for bill in bills]
    return {
        "learning / inference": {key: _ends([each[key] for each in first]) for key in first[0]},
        "verify / pulse": {key: _ends([each[key] for each in second]) for key in second[0]},
        "product": {
            key: _ends([_product(one[key], other[key]) for one, other in zip(first, second, strict=True)])
            for key in first[0]
        },
    }


def _product(one: Ratio, other: Ratio) -> Ratio:
    return Ratio(one.value * other.value, one.low * other.low, one.high * other.high)


def _ends(found: list[Ratio]) -> Ratio:
    return Ratio(found[0].value, min(each.low for each in found), max(each.high for each in found))


def told(value: float) -> str:
    """A figure with three digits."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _shown(found: Ratio) -> str:
    return f"{told(found.value)} ({told(found.low)} to {told(found.high)})"


def accuracy_table(result: Result) -> str:
    """Test accuracy of every arm."""
    rows = []
    for arm in result["arms"]:
        values = [100 * run["accuracy"] for run in arm["runs"]]
        rows.append([
            arm["rule"], arm["policy"], arm["device"] or "ideal arithmetic", f"{arm['chosen']['rate']:g}",
            f"{np.mean(values):.1f}", f"{min(values):.1f} to {max(values):.1f}",
        ])  # fmt: skip
    return markdown_table(("rule", "policy", "arrays", "rate", "accuracy, %", "its runs"), rows)


def _bill_rows(bill: Bill, samples: int) -> list[list[str]]:
    found = bill.learnt().where("phase", "what")
    return [
        [
            phase,
            what,
            f"{1e12 * value / samples:.3g}",
            f"{1e12 * low / samples:.3g} to {1e12 * high / samples:.3g}",
        ]
        for (phase, what), (value, low, high) in found.items()
    ]


def filtered(result: Result, rule: str) -> list[dict[str, Any]]:
    """Return the mean events of a rule on devices with the filtered policy."""
    runs = next(
        arm["runs"]
        for arm in result["arms"]
        if arm["device"] and (arm["rule"], arm["policy"]) == (rule, "filtered")
    )
    return mean_events([run["events"] for run in runs])


def page(result: Result) -> str:
    """The tables of the page."""
    closed = mean_events([each["events"] for each in result["programmed"]])
    parts = ["## What came of it", "", f"Test images: {result['images']['test']:,}, five runs.", ""]
    parts += [accuracy_table(result), ""]
    counted = []
    for policy in POLICIES:
        arms = {arm["rule"]: arm for arm in result["arms"] if arm["policy"] == policy and arm["device"]}
        for name in PRICES:
            rows = []
            found = {
                rule: ratios(mean_events([run["events"] for run in arms[rule]["runs"]]), closed, name)
                for rule in LOCAL
            }
            for which, published in PUBLISHED.items():
                for definition in found[LOCAL[0]][which]:
                    shown = [_shown(found[rule][which][definition]) for rule in LOCAL]
                    rows.append([which, definition, *shown, told(published)])
            parts += [
                f"### {policy}, prices {name}",
                "",
                markdown_table(("ratio", "definition", *LOCAL, "published"), rows),
                "",
            ]
        for rule in LOCAL:
            counted.append(_counted(arms[rule], result))
    heads = (
        "policy",
        "rule",
        "reads an image",
        "pulses an image and weight",
        "without effect",
        "cut",
        "looks",
        "pairs restored",
        "restores, devices of the net",
    )
    parts += ["### Counted", "", markdown_table(heads, counted), ""]
    parts += ["### Where the joules go", ""]
    for rule in LOCAL:
        events = filtered(result, rule)
        samples = POLICIES["filtered"]["epochs"] * result["images"]["fit"]
        bill = price(events, prices(PRICES[0]))
        parts += [
            f"{rule}, filtered: {bill.sentence(samples)}",
            "",
            markdown_table(("phase", "what", "pJ an image", "range"), _bill_rows(bill, samples)),
            "",
        ]
    parts += [closed_loop(result, closed), "", asked(result, closed), ""]
    parts += ["### Controls", "", control_table(result), ""]
    return "\n".join(parts)


def control_table(result: Result) -> str:
    """Validation accuracy of each control, its restores, and ratio 1."""
    rows = []
    for each in result["controls"]:
        events = mean_events([run["events"] for run in each["runs"]])
        found = learning_over_inference(price(events, prices(PRICES[0])))
        restored = sum(layer["counts"]["refreshed_pairs"] for layer in events)
        values = [100 * run["accuracy"] for run in each["runs"]]
        rows.append([
            each["rule"], each["control"], f"{np.mean(values):.1f}", f"{restored:,.0f}",
            *(told(found[name].value) for name in found),
        ])  # fmt: skip
    heads = ("rule", "control", "validation, %", "pairs restored", "ratio 1, cells", "array", "everything")
    return markdown_table(heads, rows)


def asked(result: Result, closed: list[dict[str, Any]]) -> str:
    """Say which pulse either published ratio would take in cells, and how many pulses their product."""
    volts, share = [], []
    cells = sum(2 * layer["rows"] * layer["cols"] for layer in closed)
    for rule in LOCAL:
        events = filtered(result, rule)
        found = {name: each["cells"].value for name, each in ratios(events, closed, PRICES[0]).items()}
        first = PULSE_V * (PUBLISHED["learning / inference"] / found["learning / inference"]) ** 0.5
        second = PULSE_V * (found["verify / pulse"] / PUBLISHED["verify / pulse"]) ** 0.5
        volts.append(f"{told(first)} V for ratio 1 and {told(second)} V for ratio 2 ({rule})")
        reads = events[0]["counts"]["reads"]
        given = sum(layer["counts"]["pulses"] for layer in events) / cells / reads
        wanted = given * PUBLISHED["product"] / found["product"]
        share.append(f"{100 * given:.2g} % were, {100 * wanted:.2g} % would be ({rule})")
    return (
        f"A pulse of {1e9 * PULSE_S:.0f} ns that made a ratio the published one, in cells and filtered: {'; '.join(volts)}. "
        f"Devices pulsed for each of their reads, whatever the pulse, for the published product: {'; '.join(share)}."
    )


def closed_loop(result: Result, closed: list[dict[str, Any]]) -> str:
    """Say what program-and-verify took, and what ratio 2 is with NeuRRAM's in its place."""
    verified = price(closed, PRICES[0])
    cells = sum(2 * layer["rows"] * layer["cols"] for layer in closed)
    total = {name: sum(layer["counts"][name] for layer in closed) for name in closed[0]["counts"]}
    pulses = total["program_pulses"] + total["program_resets"]
    joules = verified.total(lambda line: line.phase == "programming")[0]
    with_neurram = []
    for rule in LOCAL:
        own = verify_over_pulse(price(filtered(result, rule), prices(PRICES[0])), verified, cells)["cells"]
        scaled = (each * own.value * cells / total["program_pulses_J"] for each in VERIFY_J)
        with_neurram.append(f"{_shown(Ratio(*scaled))} ({rule})")
    return (
        f"Program-and-verify, closed loop: {pulses / cells:.1f} pulses a cell, "
        f"{1e12 * total['program_pulses_J'] / cells:.3g} pJ, with verifying reads and conversions "
        f"{1e12 * joules / cells:.3g} pJ (prices {PRICES[0]}); {100 * total['program_failed'] / cells:.1f} % of cells did not "
        f"converge. With NeuRRAM's {1e12 * VERIFY_J[0]:.0f} pJ a cell, without converters, instead, ratio 2 is in cells "
        f"{' and '.join(with_neurram)}."
    )


def _counted(arm: dict[str, Any], result: Result) -> list[str]:
    events = mean_events([run["events"] for run in arm["runs"]])
    how = POLICIES[arm["policy"]]
    samples = how["epochs"] * min(how["images"] or result["images"]["fit"], result["images"]["fit"])
    weights = sum(layer["rows"] * layer["cols"] for layer in events)
    total = {name: sum(layer["counts"][name] for layer in events) for name in events[0]["counts"]}
    return [
        arm["policy"], arm["rule"], f"{events[0]['counts']['reads'] / samples:.2f}",
        f"{total['pulses'] / samples / weights:.2e}", f"{100 * total['pulses_lost'] / max(1, total['pulses']):.1f} %",
        f"{100 * total['pulses_cut'] / max(1, total['pulses'] + total['pulses_cut']):.1f} %",
        f"{total['refresh_looks']:,.0f}", f"{total['refreshed_pairs']:,.0f}", f"{2 * total['refreshed_pairs'] / (2 * weights):.2f}",
    ]  # fmt: skip


def main() -> None:
    """Run, or price again; keep the figures and write the tables into the page."""
    folder = Path(__file__).parents[1] / "results"
    parser = argparse.ArgumentParser(prog="python -m benchmarks.renaudineau", description=__doc__)
    parser.add_argument("--json", type=Path, default=folder / "renaudineau.json")
    parser.add_argument("--page", type=Path, default=folder / "renaudineau.md")
    parser.add_argument("--again", action="store_true", help="price kept events, run nothing")
    parser.add_argument("--controls", action="store_true", help="keep all but the controls, run these")
    given = parser.parse_args()
    result = read_json(given.json) if given.again or given.controls else measured(four_digits())
    if not given.again:
        result["controls"] = controlled(result, four_digits())
        write_json(given.json, result)
    written_behind(given.page, PLACE, f"{page(result).rstrip()}\n\n{made_with(result)}")


if __name__ == "__main__":
    main()
