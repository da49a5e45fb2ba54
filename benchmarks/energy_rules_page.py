"""What the events of `benchmarks.energy_rules` come to: joules and seconds of an image, and to 95 % of the final accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from neurosim.energy import Bill, PriceList, price
from neurosim.energy.bill import joules_text
from neurosim.energy.digital import Precision, digital, weight_transport
from neurosim.energy.seconds import Span, seconds
from neurosim.report.text import markdown_table
from neurosim.study.priced import mean_events

Result = dict[str, Any]
Events = list[dict[str, Any]]
Part = tuple[Any, float, float, float]
"""What a price is of (equal where it is one price), and what it comes to with its low and high."""
SHAPES = [(784, 200), (200, 10)]
SHARE = 0.95
"""Of the accuracy at the last look."""
PRICES = ("hermes-14nm", "generic-28nm")
DEVICES = ("PCM", "ECRAM")
EXACT, TRANSPORT = "backpropagation, exact weights free", "backpropagation with weight transport"
METHODS = {
    "SoftHebb": "softhebb",
    "SoftHebb, mini-batches of 100": "softhebb, mini-batches of 100",
    "Forward-Forward": "forward-forward",
    EXACT: "backpropagation",
    TRANSPORT: "backpropagation",
}
COMPARED = ("SoftHebb", "Forward-Forward", EXACT, TRANSPORT)
TWINS: tuple[tuple[Precision, str, Literal["sram", "dram"]], ...] = tuple(
    (precision, node, place)
    for precision in ("int8", "fp32")
    for node in ("digital-45nm", "digital-7nm")
    for place in ("sram", "dram")
)
PLACE = "<!-- what follows is written by benchmarks/energy_rules_page.py -->"


@dataclass(frozen=True)
class Cost:
    """What learning took, start programming left out."""

    bill: Bill
    spans: tuple[Span, ...]

    def joules(self) -> list[Part]:
        """Parts of the bill."""
        return [(line.source, line.joules, line.low, line.high) for line in self.bill.lines]

    def seconds(self) -> list[Part]:
        """Parts of the time."""
        return [(span.source, span.seconds, span.low, span.high) for span in self.spans]


def cost(events: Events, prices: str | PriceList, transport: bool = False) -> Cost:
    """Return what events come to, with what exact gradients add where `transport`."""
    bill, spans = price(events, prices).learnt(), seconds(events, prices).spans
    if transport:
        added = weight_transport(events, prices)
        needless = tuple(line for line in added.lines if (line.layer, line.phase) != (1, "forward"))
        bill, spans = bill + replace(added, lines=needless), spans + seconds(_carried(events), prices).spans
    return Cost(bill, tuple(span for span in spans if span.phase not in ("programming", "calibration")))


def _carried(events: Events) -> Events:
    """Events of the second read direction, which the first layer has no need of, and of the rest of the outer products."""
    found = []
    for layer in events:
        counts, rows, cols = layer["counts"], layer["rows"], layer["cols"]
        own = {
            **dict.fromkeys(counts, 0),
            "phases": counts["phases"] if layer["layer"] > 1 else 0,
            "macs": max(0, counts["reads"] * rows * cols - counts["macs"]),
        }
        found.append({**layer, "rows": cols, "cols": rows, "counts": own})
    return found


def total(parts: Sequence[Part]) -> tuple[float, float, float]:
    """Return (value, low, high), all lows and all highs together."""
    value, low, high = (sum(part[k] for part in parts) for k in (1, 2, 3))
    return value, low, high


def ratio(one: Sequence[Part], other: Sequence[Part]) -> tuple[float, float, float]:
    """Return one / other and its least and largest value, each price anywhere in its range and the same for both.

    Of such a quotient of sums the extremes have each price at an end, in the order of what the one has beside the other.
    """
    shared: dict[Any, list[float]] = {}
    for place, parts in ((0, one), (1, other)):
        for key, value, low, high in parts:
            if value:
                ends = low / value, high / value
                found = shared.setdefault((key, *(f"{end:.6g}" for end in ends)), [0.0, 0.0, *ends])
                found[place] += value
    ordered = sorted(shared.values(), key=lambda part: part[0] / part[1] if part[1] else np.inf)

    def at(split: int, before: int, after: int) -> float:
        ends = [part[before] if k < split else part[after] for k, part in enumerate(ordered)]
        above, below = (sum(e * part[of] for e, part in zip(ends, ordered, strict=True)) for of in (0, 1))
        return float(above / below)

    splits = range(len(ordered) + 1)
    value = total(one)[0] / total(other)[0]
    return value, min(at(k, 3, 2) for k in splits), max(at(k, 2, 3) for k in splits)


def runs_of(result: Result, method: str, arm: str) -> list[dict[str, Any]]:
    """Return the runs of a method on one kind of array."""
    return [run for run in result[METHODS.get(method, method)]["runs"] if run["arm"] == arm]


def samples(result: Result, method: str) -> int:
    """Return how many images a training of the method learns, each as often as it has epochs."""
    of = result[METHODS[method]]
    return int(of["config"]["epochs"] * of["data"]["train_images"])


def whole(result: Result, method: str, arm: str, prices: str | PriceList) -> Cost:
    """Return what a whole training took, mean over seeds."""
    events = mean_events([run["events"] for run in runs_of(result, method, arm)])
    return cost(events, prices, method == TRANSPORT)


def reached(result: Result, method: str, arm: str, prices: str | PriceList) -> Cost:
    """Return what had been taken at the first look with 95 % of the last look's accuracy, mean over seeds."""
    events = [
        [
            {**layer, "counts": {**dict.fromkeys(layer["counts"], 0), **counts}}
            for layer, counts in zip(run["events"], run["along"][0]["counts"], strict=True)
        ]
        for run in runs_of(result, method, arm)
    ]
    return cost(mean_events(events), prices, method == TRANSPORT)


def images_to(result: Result, method: str, arm: str, accuracy: float | None = None) -> float | None:
    """Return images learnt until a share of the final accuracy, or an accuracy, is first seen; None: not by every seed."""
    found = []
    for run in runs_of(result, method, arm):
        goal = SHARE * run["curve"][-1][1] if accuracy is None else accuracy
        found.append(next((images for images, seen in run["curve"] if seen >= goal), None))
    return None if None in found else float(np.mean([images for images in found if images is not None]))


def page(result: Result) -> str:
    """The tables of the page."""
    parts = ["## What came of it", "### Accuracy", accuracy_table(result), raw_pixels(result)]
    for prices in PRICES:
        parts += [f"### Joules and seconds, prices {prices}", cost_table(result, prices)]
    parts += ["### Who takes less, whatever the prices within their ranges", ratio_table(result)]
    parts += [f"### Where the joules of an image go, nJ, prices {PRICES[0]}", where_table(result)]
    parts += ["### What is read off digitally", readout_table(result)]
    parts += ["### The same steps on digital hardware", twin_table(result)]
    parts += ["### Rates, by accuracy on validation images", rate_table(result)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _percent(values: list[float]) -> str:
    return f"{100 * np.mean(values):.1f} ({', '.join(f'{100 * value:.1f}' for value in values)})"


def accuracy_table(result: Result) -> str:
    """Test accuracy, its second readout, and the same with layers that have not learnt."""
    rows = []
    for method in (*COMPARED[:3], "SoftHebb, mini-batches of 100"):
        for arm in dict.fromkeys(run["arm"] for run in result[METHODS[method]]["runs"]):
            runs = runs_of(result, method, arm)
            second, control = "", ""
            if method.startswith("SoftHebb"):
                second = f"vote {_percent([run['vote'] for run in runs])}"
                before = {of: _percent([run["untrained"][of] for run in runs]) for of in ("accuracy", "vote")}
                control = f"readout {before['accuracy']}, vote {before['vote']}"
            elif method == "Forward-Forward":
                second = f"head {_percent([run['readouts']['softmax'] for run in runs])}"
                random = runs_of(result, "forward-forward, layers as they start", arm)
                control = f"head {_percent([run['readouts']['softmax'] for run in random])}" if random else ""
            to = [images_to(result, method, arm, goal) for goal in (None, 0.85)]
            rows.append([
                method.split(",")[0] if method == EXACT else method, arm, _percent([run["accuracy"] for run in runs]),
                second, control, *("not by all" if each is None else f"{each:,.0f}" for each in to),
            ])  # fmt: skip
    heads = (
        "method", "arrays", "test, % (seeds)", "beside it", "layers as they start", "images to 95 % of the final",
        "to 85 % as followed",
    )  # fmt: skip
    return markdown_table(heads, rows)


def raw_pixels(result: Result) -> str:
    """Say what SoftHebb's readout makes of images without any layer."""
    alone = result["softhebb"]["baselines"][0]
    low, high = alone["accuracy_ci95"]
    return f"SoftHebb's readout on {alone['name']}, without any layer: {100 * alone['accuracy']:.1f} % ({100 * low:.1f} to {100 * high:.1f})."


def _joules(parts: Sequence[Part], each: float = 1) -> str:
    value, low, high = (joules_text(end / each) for end in total(parts))
    return f"{value} ({low} to {high})"


def _time(parts: Sequence[Part], each: float = 1) -> str:
    value, low, high = (end / each for end in total(parts))
    return f"{value:.2e} ({low:.1e} to {high:.1e})"


def _to_85(result: Result, method: str, arm: str, all_of_it: Cost) -> str:
    images = images_to(result, method, arm, 0.85)
    return "not by all" if images is None else _joules(all_of_it.joules(), samples(result, method) / images)


def cost_table(result: Result, prices: str) -> str:
    """Joules and seconds of an image, and until 95 % of the final accuracy."""
    rows = []
    for arm in DEVICES:
        for method in METHODS:
            all_of_it, part = (each(result, method, arm, prices) for each in (whole, reached))
            number = samples(result, method)
            rows.append([
                method, arm, _joules(all_of_it.joules(), number), f"{100 * all_of_it.bill.assumed_share:.0f} %",
                _time(all_of_it.seconds(), number), f"{images_to(result, method, arm):,.0f}",
                _joules(part.joules()), _time(part.seconds()), _to_85(result, method, arm, all_of_it),
            ])  # fmt: skip
    heads = (
        "method", "arrays", "joules an image, with periphery", "assumed", "seconds an image", "images to 95 %",
        "joules to 95 %", "seconds to 95 %", "joules to 85 % as followed, by the mean of an image",
    )  # fmt: skip
    return markdown_table(heads, rows)


def ratio_table(result: Result) -> str:
    """Every two methods beside each other, each price the same for both."""
    pairs = [(one, other) for k, one in enumerate(COMPARED) for other in COMPARED[k + 1 :]][:-1]
    rows = []
    for prices in PRICES:
        for arm in DEVICES:
            for one, other in pairs:
                found = []
                for of, each in ((whole, True), (reached, False)):
                    mine, theirs = (of(result, name, arm, prices) for name in (one, other))
                    share = samples(result, other) / samples(result, one) if each else 1.0
                    for parts in (
                        (mine.joules(), theirs.joules()),
                        (mine.seconds(), theirs.seconds()),
                    ):
                        value, low, high = (share * end for end in ratio(*parts))
                        sure = "" if low <= 1 <= high else " ★"
                        found.append(f"{value:.2g} ({low:.2g} to {high:.2g}){sure}")
                rows.append([prices, arm, f"{one} / {other}", *found])
    heads = (
        "prices",
        "arrays",
        "ratio",
        "joules an image",
        "seconds an image",
        "joules to 95 %",
        "seconds to 95 %",
    )
    return markdown_table(heads, rows)


def where_table(result: Result) -> str:
    """Joules of an image by phase and kind."""
    columns = {
        (method, arm): (whole(result, method, arm, PRICES[0]).bill.where("phase", "kind"), samples(result, method))
        for arm in DEVICES
        for method in COMPARED
    }  # fmt: skip
    keys = dict.fromkeys(key for found, _ in columns.values() for key in found)
    rows = [
        [" ".join(key), *(f"{1e9 * found.get(key, (0,))[0] / number:.3g}" for found, number in columns.values())]
        for key in sorted(keys)
    ]  # fmt: skip
    return markdown_table(("what", *(f"{method}, {arm}" for method, arm in columns)), rows)


def readout_table(result: Result) -> str:
    """SoftHebb's linear readout and Forward-Forward's head, which stand beside the arrays, for each image learnt."""
    how: dict[str, tuple[Any, int, int]] = {
        "SoftHebb": ("backprop and Adam", 64, 3),
        "Forward-Forward": ("backprop", 100, 1),
    }
    rows = []
    for method, (step, batch, times) in how.items():
        for node in ("digital-45nm", "digital-7nm"):
            bill = digital([(200, 10)], "fp32", node, step=step, batch=batch)
            found = [
                (line.source, times * line.joules, times * line.low, times * line.high) for line in bill.lines
            ]
            reads = []
            for arm in DEVICES:
                read = whole(result, method, arm, PRICES[0]).bill.per(samples(result, method))["inference"]
                reads.append(joules_text(read) if method == "SoftHebb" else "counted")
            rows.append([method, node, str(times), _joules(found), *reads])
    heads = (
        "readout 200-10 of",
        "prices",
        "epochs",
        "joules an image",
        *(f"reads, {arm}" for arm in DEVICES),
    )
    return markdown_table(heads, rows)


def twin(method: str, precision: Precision, node: str, place: Literal["sram", "dram"]) -> list[Part]:
    """Return what an image takes on digital hardware: Forward-Forward's are learnt twice and read once more for the head."""

    def of(shapes: list[tuple[int, int]], step: Any, batch: int, times: int = 1) -> list[Part]:
        lines = digital(shapes, precision, node, step=step, batch=batch, weights_in=place).lines
        return [(line.source, times * line.joules, times * line.low, times * line.high) for line in lines]

    if method == "SoftHebb":
        return of(SHAPES[:1], "local", 32)
    if method == "Forward-Forward":
        shapes = [SHAPES[0], (200, 200)]
        return of(shapes, "local", 200, 2) + of(shapes, "inference", 100)
    return of(SHAPES, "backprop", 100)


def twin_table(result: Result) -> str:
    """Joules of an image, and until 95 % of the final accuracy of ideal arithmetic."""
    rows = []
    for precision, node, place in TWINS:
        row = [precision, node, place.upper()]
        for method in COMPARED[:3]:
            parts = twin(method, precision, node, place)
            images = images_to(result, method, "ideal") or 0.0
            row += [_joules(parts), joules_text(images * total(parts)[0])]
        rows.append(row)
    names = ("SoftHebb", "Forward-Forward", "backpropagation")
    heads = [each for name in names for each in (f"{name}, an image", "to 95 %")]
    return markdown_table(("arithmetic", "prices", "weights in", *heads), rows)


def rate_table(result: Result) -> str:
    """Validation accuracy of each rate, and which was taken."""
    rows = [
        [method, arm, ", ".join(f"{rate}: {100 * accuracy:.1f}" for rate, accuracy in of["validation"].items()), f"{of['rate']:g}"]
        for method, arms in result["chosen"].items()
        for arm, of in arms.items()
    ]  # fmt: skip
    return markdown_table(("method", "arrays", "validation, % by rate", "taken"), rows)
