"""Published ratios of energies, each by several named definitions, from bills of counted events."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from neurosim.core.errors import InputError
from neurosim.energy.bill import Bill, Line

PULSES = ("pulses up", "pulses down", "pulses without effect")
"""What the cells take from pulses of learning."""
LEARNING = ("update", "readback", "refresh")
INFERENCE = ("forward", "neurons")
ACCUMULATORS = "memory"
"""Line of digital numbers a synapse that are read and written in updates."""

Chosen = Callable[[Line], bool]


class Ratio(NamedTuple):
    """A ratio of two joules, and its ends: low over high, high over low."""

    value: float
    low: float
    high: float


def ratio(above: tuple[float, float, float], below: tuple[float, float, float]) -> Ratio:
    """Return the ratio of two (joules, low, high); raises `InputError` where nothing is below."""
    if not all(below):
        raise InputError("ratio of energies: what it is to be divided by comes to no joules")
    return Ratio(above[0] / below[0], above[1] / below[2], above[2] / below[1])


def _pulses(line: Line) -> bool:
    return line.phase == "update" and line.what in PULSES


def _array(phase: str) -> Chosen:
    return lambda line: line.phase == phase and line.kind != "digital"


def _learning(line: Line) -> bool:
    return line.phase in LEARNING


def _known(bill: Bill) -> Bill:
    if bill.absent:
        raise InputError(f"ratio of energies: no joules are known of {'; '.join(bill.absent)}")
    return bill


def _each(joules: tuple[float, float, float], count: float, what: str) -> tuple[float, float, float]:
    if not count:
        raise InputError(f"ratio of energies: no {what}")
    return joules[0] / count, joules[1] / count, joules[2] / count


def learning_over_inference(bill: Bill) -> dict[str, Ratio]:
    """Return what learning adds to the forward reads of the same training, by three definitions.

    Parameters
    ----------
    bill : Bill
        Of a training; programming the start is left out.

    Returns
    -------
    found : dict of Ratio
        ``cells``: pulses / reads, in the cells alone; ``array``: with lines, half-selected cells and converters;
        ``everything``: with digital work, reads that serve updates, and restores of saturated cells.

    Raises
    ------
    InputError
        If nothing was read, or pulses have no price.
    """
    pairs: dict[str, tuple[Chosen, Chosen]] = {
        "cells": (_pulses, lambda line: line.phase == "forward" and line.kind == "device"),
        "array": (_array("update"), _array("forward")),
        "everything": (_learning, lambda line: line.phase in INFERENCE),
    }
    known = _known(bill)
    return {name: ratio(known.total(above), known.total(below)) for name, (above, below) in pairs.items()}


def verify_over_pulse(bill: Bill, programmed: Bill, cells: int) -> dict[str, Ratio]:
    """Return what program-and-verify of a cell takes as against a pulse of learning, by three definitions.

    Parameters
    ----------
    bill : Bill
        Of a training.
    programmed : Bill
        Of arrays that were programmed closed loop: its phase "programming".
    cells : int
        Devices programmed.

    Returns
    -------
    found : dict of Ratio
        ``cells``: pulses alone on both sides; ``array``: with verifying reads and their conversions, and with the lines
        of learning pulses; ``everything``: the same above, and below all that learning adds for each pulse that took effect.

    Raises
    ------
    InputError
        If there were no pulses, or no cells, or pulses have no price.
    """
    given = sum(
        line.count for line in _known(bill).lines if _pulses(line) and line.what != "pulses without effect"
    )
    alone = _known(programmed).total(
        lambda line: line.phase == "programming" and line.kind == "device" and line.what == "pulses"
    )
    verified = programmed.total(lambda line: line.phase == "programming")
    above = {"cells": alone, "array": verified, "everything": verified}
    below = {
        "cells": _each(bill.total(_pulses), given, "pulses"),
        "array": _each(bill.total(_array("update")), given, "pulses"),
        "everything": _each(bill.total(_learning), bill.pulses, "pulses that took effect"),
    }
    return {name: ratio(_each(above[name], cells, "cells"), below[name]) for name in above}


def digital_over_array(twin: Bill, step: Bill, samples: int) -> dict[str, Ratio]:
    """Return what a digital step takes as against an array's, by three definitions of the latter.

    Parameters
    ----------
    twin : Bill
        Of one sample of a digital step (`neurosim.energy.digital.digital`).
    step : Bill
        Of a training on arrays; programming the start is left out.
    samples : int
        That were learnt from.

    Returns
    -------
    found : dict of Ratio
        ``array``: cells, converters and lines; ``array and products``: with digital products and sums;
        ``everything``: with the memory of accumulators.

    Raises
    ------
    InputError
        If there are no samples, or the arrays took no joules, or pulses have no price.
    """
    learnt = _known(step).learnt()
    kept: dict[str, Chosen] = {
        "array": lambda line: line.kind != "digital",
        "array and products": lambda line: line.what != ACCUMULATORS,
        "everything": lambda line: True,
    }
    return {
        name: ratio(twin.total(), _each(learnt.total(chosen), samples, "samples"))
        for name, chosen in kept.items()
    }
