"""The digital twin of a learning step, and what exact gradients would cost an analog array."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from neurosim.core.errors import InputError
from neurosim.energy.bill import Bill, Line, Phase
from neurosim.energy.price_list import PriceList, price_list
from neurosim.energy.pricing import Events, checked, price

Precision = Literal["int8", "bf16", "fp32"]
BITS: dict[Precision, int] = {"int8": 8, "bf16": 16, "fp32": 32}
Step = Literal["inference", "local", "backprop", "backprop and Adam"]
PRODUCTS: dict[Step, int] = {"inference": 1, "local": 2, "backprop": 3, "backprop and Adam": 3}
"""Matrix products of a step, each as many multiply-adds as the layer has weights: forward; the outer product of the
update; for backprop also the errors carried back (in the first layer nobody needs them, and they are counted all the
same, as the usual factor of three does)."""
UPDATE_ACCESSES: dict[Step, int] = {"inference": 0, "local": 2, "backprop": 4, "backprop and Adam": 8}
"""Reads and writes a weight and mini-batch: the weight itself; for backprop its gradient as well; for Adam two moments
read and written too. Those of backprop and Adam beyond the weight are of 32 bits."""

VERIFY_J = (65e-12, 65e-12, 104e-12)
"""Program-and-verify of one cell, with its range."""
VERIFY_SOURCE = "NeuRRAM, 8.5 pulses of 1 us at 1.75 V: 65 pJ at the middle of the window, 104 pJ at 4 uS; converters not included"


def digital(
    layers: Iterable[tuple[int, int]],
    precision: Precision = "int8",
    prices: str | Path | PriceList = "digital-45nm",
    *,
    step: Step = "local",
    batch: int = 1,
    weights_in: Literal["sram", "dram"] = "sram",
) -> Bill:
    """Return what one sample of the same step costs on digital hardware.

    Parameters
    ----------
    layers : iterable of (int, int)
        Rows and columns of each layer.
    precision : str
        Of weights, inputs and products: "int8", "bf16" or "fp32".
    prices : str, Path or PriceList
        With ``mac`` at this width and ``memory``.
    step : str
        "inference", "local" (forward and one outer product), "backprop" (three products, gradients written and read) or
        "backprop and Adam".
    batch : int
        Samples that share one reading of the weights and one update.
    weights_in : str
        Where weights and optimiser lie: an SRAM as large as all layers' weights (the list decides where SRAM ends), or
        DRAM.

    Returns
    -------
    bill : Bill
        All of it digital; nothing of clocks, control and moving data unless the list has it.

    Raises
    ------
    InputError
        If a setting is none of these.
    """
    known = price_list(prices)
    for given, choices in (
        (precision, get_args(Precision)),
        (step, get_args(Step)),
        (weights_in, ("sram", "dram")),
    ):
        if given not in choices:
            raise InputError(f"digital: '{given}' is none of {', '.join(choices)}")
    shapes = [(int(rows), int(cols)) for rows, cols in layers]
    if batch < 1 or any(rows < 1 or cols < 1 for rows, cols in shapes):
        raise InputError("digital: batch, rows and columns must be at least 1")
    size = (
        math.inf if weights_in == "dram" else sum(rows * cols for rows, cols in shapes) * BITS[precision] / 8
    )
    lines: list[Line] = []
    missing: list[str] = []

    def add(layer: int, phase: Phase, what: str, component: str, count: float) -> None:
        held = size if component == "memory" else 0.0
        unit = known.cost_of(component, BITS[precision], held)
        if unit is None:
            missing.append(f"{what} of {precision}")
        elif count:
            ends = (count * unit.value, count * unit.low, count * unit.high)
            lines.append(Line(layer, phase, "digital", what, count, *ends, unit.mark, unit.source))

    word = BITS[precision] / 32
    for number, (rows, cols) in enumerate(shapes, 1):
        weights, products = rows * cols, PRODUCTS[step]
        add(number, "forward", "multiply and add", "mac", weights)
        add(number, "forward", "weights read", "memory", weights * word / batch)
        if products > 1:
            add(number, "update", "multiply and add", "mac", (products - 1) * weights)
            read_again = weights * word if products > 2 else 0.0
            own = 2 * weights * word
            wide = (UPDATE_ACCESSES[step] - 2) * weights
            add(number, "update", "weights and optimiser", "memory", (read_again + own + wide) / batch)
    sizes = tuple((number, rows * cols) for number, (rows, cols) in enumerate(shapes, 1))
    return Bill(
        tuple(lines),
        known.name,
        tuple(dict.fromkeys(missing)),
        layers=sizes,
        not_counted=("activations", "moving data"),
    )


def weight_transport(events: Iterable[Events], prices: str | Path | PriceList) -> Bill:
    """Return what exact gradients would add to the counted step of an analog array.

    A second read direction (each forward read once more, from the columns, with converters on the rows), the outer
    product of each sample formed digitally, and program-and-verify of each cell that was pulsed instead of its pulses,
    which stay on the bill that is counted.

    Parameters
    ----------
    events : iterable of dict
        Of each layer, as results of runs keep them.
    prices : str, Path or PriceList

    Raises
    ------
    InputError, UnknownNameError, ConfigError
        As `neurosim.energy.price`.
    """
    known = price_list(prices)
    extra = Bill(prices=known.name)
    for layer in checked(events):
        counts, rows, cols = layer["counts"], layer["rows"], layer["cols"]
        back = {
            **dict.fromkeys(counts, 0),
            "phases": counts["phases"],
            "conversions": counts["conversions"] * rows / cols,
            "dac_conversions": counts["dac_conversions"] * cols / rows,
            "read_line_cells": counts["read_line_cells"],
            "read_uS": counts["read_uS"],
            "macs": max(0, counts["reads"] * rows * cols - counts["macs"]),
        }
        read = price([{**layer, "counts": back}], known)
        value, low, high = (each * counts["pulsed_cells"] for each in VERIFY_J)
        verified = Line(
            layer["layer"], "update", "device", "program-and-verify", counts["pulsed_cells"], value, low, high,
            "computed", VERIFY_SOURCE,
        )  # fmt: skip
        extra = extra + read + Bill((verified,) if counts["pulsed_cells"] else (), known.name)
    return extra
