"""The energy ratio of Nandakumar et al. 2020 (Front. Neurosci. 14:406), by the definitions of results/nandakumar.md.

python -m benchmarks.nandakumar [--json FILE] [--page FILE] [--again]

With --again kept events (FILE) are priced and written anew, and nothing is run.
"""

from __future__ import annotations

from typing import Any, Literal

import neurosim as ns
from benchmarks.kept_page import main
from benchmarks.renaudineau import told
from benchmarks.small_nets import Backpropagation, arrays
from neurosim.energy import Bill, price
from neurosim.energy.bill import joules_text
from neurosim.energy.digital import digital, weight_transport
from neurosim.energy.published import Ratio, digital_over_array
from neurosim.report.text import markdown_table
from neurosim.study.store import versions

SHAPES = [(784, 250), (250, 10)]
DEVICE, PRICES = "pcm-nandakumar-2018", "hermes-14nm"
IMAGES, RATE, SEED = 2000, 5e-4, 0
TWINS: tuple[tuple[str, Literal["sram", "dram"]], ...] = (
    ("digital-7nm", "sram"), ("digital-45nm", "sram"), ("digital-7nm", "dram"), ("digital-45nm", "dram"),
)  # fmt: skip
PUBLISHED = 172
PLACE = "<!-- what follows is written by benchmarks/nandakumar.py -->"


def measured() -> dict[str, Any]:
    """Train once through the first images, and return the events and the accuracy on validation images."""
    data = ns.data.load("mnist")
    read = ns.ReadPath(adc_bits=8, dac_bits=8)
    net = Backpropagation(arrays(SHAPES, DEVICE, SEED, read), 10, RATE, IMAGES, SEED, "mixed")
    net.train(data.inputs(data.x_train[:IMAGES]), data.y_train[:IMAGES], 1)
    return {
        "events": net.events(),
        "validation": net.accuracy(data.inputs(data.x_validation), data.y_validation),
        "images": IMAGES,
        "versions": versions(),
    }


def stepped(events: list[dict[str, Any]]) -> Bill:
    """Return the bill of a training, errors carried back through all layers but the first included."""
    second = [layer for layer in events if layer["layer"] > 1]
    back = weight_transport(second, PRICES)
    read = Bill(tuple(line for line in back.lines if line.phase == "forward"), back.prices)
    return price(events, PRICES) + read


def shown(found: Ratio) -> str:
    """A ratio with its ends."""
    return f"{told(found.value)} ({told(found.low)} to {told(found.high)})"


def page(result: dict[str, Any]) -> str:
    """The tables of the page."""
    events, images = result["events"], result["images"]
    bill = stepped(events)
    twins = {
        f"{prices}, {place.upper()}": digital(SHAPES, "fp32", prices, step="backprop", weights_in=place)
        for prices, place in TWINS
    }
    found = {name: digital_over_array(own, bill, images) for name, own in twins.items()}
    rows = [
        [name, joules_text(twins[name].joules), *(shown(each) for each in of.values())]
        for name, of in found.items()
    ]
    lines = [
        [
            phase,
            what,
            f"{1e12 * value / images:.3g}",
            f"{1e12 * low / images:.3g} to {1e12 * high / images:.3g}",
        ]
        for (phase, what), (value, low, high) in bill.learnt().where("phase", "what").items()
    ]
    counts = [layer["counts"] for layer in events]
    synapses = [layer["rows"] * layer["cols"] for layer in events]
    touched = [c["macs"] / (c["updates"] * n) for c, n in zip(counts, synapses, strict=True)]
    pulses = sum(each["pulses"] for each in counts) / images
    parts = [
        "## What came of it",
        f"{images:,} images, {100 * result['validation']:.1f} % on validation images after them: a short run for its events, no claim.",
        markdown_table(("digital step", "its joules", *next(iter(found.values()))), rows),
        f"Published: {PUBLISHED}.",
        "### Where the joules of an image go",
        bill.sentence(images),
        markdown_table(("phase", "what", "pJ an image", "range"), lines),
        (
            f"Synapses whose change is not zero: {100 * touched[0]:.1f} % in layer 1, {100 * touched[1]:.1f} % in layer 2. "
            f"Pulses an image: {pulses:.3g}."
        ),
    ]
    return "\n\n".join([*parts, ""])


if __name__ == "__main__":
    main("nandakumar", __doc__, PLACE, measured, page)
