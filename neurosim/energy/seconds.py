"""Seconds of counted events: reads, writes and digital work of each layer, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from neurosim.core.config import Periphery
from neurosim.core.errors import InputError
from neurosim.energy.bill import Phase
from neurosim.energy.marks import Mark, worst
from neurosim.energy.price_list import COMPONENTS, PriceList, price_list
from neurosim.energy.pricing import Events, checked, integrates, rows_read

_Timed = tuple[tuple[float, float, float], Mark, str]
"""Seconds with their low and high, mark and source."""


@dataclass(frozen=True)
class Span:
    """How long one kind of event of one layer takes, arrays side by side at once."""

    layer: int
    phase: Phase
    what: str
    count: float
    seconds: float
    low: float
    high: float
    mark: Mark
    source: str


@dataclass(frozen=True)
class Times:
    """Spans, which follow one another: layers and phases do not overlap."""

    spans: tuple[Span, ...] = ()
    not_timed: tuple[str, ...] = ()
    """What happened and has no time on the list."""
    absent: tuple[str, ...] = ()
    """Of these, pulses whose card does not give their width: with them seconds compare no two arms."""

    def total(self, phase: Phase | None = None) -> tuple[float, float, float]:
        """Return (seconds, low, high) of a phase, or of everything."""
        kept = [span for span in self.spans if phase in (None, span.phase)]
        seconds, low, high = (sum(getattr(span, end) for span in kept) for end in ("seconds", "low", "high"))
        return float(seconds), float(low), float(high)

    @property
    def seconds(self) -> float:
        """Of reads, writes and digital work; programming the start as well, where it was pulse by pulse."""
        return self.total()[0]

    @property
    def learning_s(self) -> float:
        """Without programming the start and setting the converters."""
        return self.seconds - self.total("programming")[0] - self.total("calibration")[0]

    def per(self, samples: int, joules: float) -> dict[str, float]:
        """Return seconds a sample, samples a second, and the energy-delay product of a sample (J s).

        Parameters
        ----------
        samples : int
            Samples that were learnt from.
        joules : float
            Of learning from them all.
        """
        each = self.learning_s / samples
        return {
            "sample_s": each,
            "samples_per_s": 1 / each if each else 0.0,
            "energy_delay_Js": each * joules / samples,
        }


def seconds(
    events: Iterable[Events],
    prices: str | Path | PriceList | Periphery,
    writes: Literal["rows", "columns"] = "rows",
) -> Times:
    """Return how long events take, from counts, the settings' integration time, pulse widths and the list's times.

    Reads: each phase takes the list's ``phase_time``, or the integration time and one conversion for each column that
    shares a converter. Writes: the slots of lines written one after the other (``row_slots`` or ``column_slots``) times
    the width of a pulse, and the slots of each sample's pulse trains, all cells at once. Digital work: the list's time of
    an operation.

    Parameters
    ----------
    events : iterable of dict
        Of each layer, as results of runs keep them under ``events``.
    prices : str, Path, PriceList or Periphery
    writes : {"rows", "columns"}
        Which lines are written one after the other, the cells of each at once.

    Returns
    -------
    times : Times

    Raises
    ------
    InputError, UnknownNameError, ConfigError
        As `price`.
    """
    if writes not in ("rows", "columns"):
        raise InputError(f"writes = '{writes}': must be rows or columns")
    known = price_list(prices)
    spans: list[Span] = []
    not_timed: list[str] = []
    absent: list[str] = []
    for layer in checked(events):
        _reads(layer, known, spans, not_timed)
        _writes(layer, writes, spans, absent)
        counts = layer["counts"]
        for what, component, count in (
            ("multiply and add", "mac_time", counts["macs"] + counts["norm_macs"] + counts["rule_macs"]),
            ("memory", "memory_time", counts["memory_accesses"]),
        ):
            unit = known.cost_of(component)
            if unit is None and count:
                not_timed.append(what)
            elif unit is not None:
                each = count / layer["arrays"]
                ends = (each * unit.value, each * unit.low, each * unit.high)
                spans.append(Span(layer["layer"], "update", what, count, *ends, unit.mark, unit.source))
    spans = [span for span in spans if span.count]
    return Times(tuple(spans), tuple(dict.fromkeys([*absent, *not_timed])), tuple(dict.fromkeys(absent)))


def _reads(layer: Events, prices: PriceList, spans: list[Span], not_timed: list[str]) -> None:
    time = float(layer["integration_time_s"])
    bare: _Timed = (
        (time, time, time),
        "published",
        "the settings' integration time; conversions are not timed",
    )
    timed = _phase(layer, prices)
    if timed is None:
        not_timed.append(COMPONENTS["adc_time"].what)
    ends, mark, source = timed or bare
    counts = layer["counts"]
    once = counts["calibration_reads"] * counts["phases"] / counts["reads"] if counts["reads"] else 0.0
    serial = layer["encoding"] == "bit-serial" and layer["dac_bits"]
    ranging = counts["ranging_reads"] * (layer["dac_bits"] - 1 if serial else 1)
    shown = integrates(layer)
    if shown:
        not_timed.append("spikes: a sample takes as long as it is shown")
    reads: tuple[tuple[Phase, str, float], ...] = (
        ("forward", "input vectors", 0 if shown else counts["phases"]),
        ("calibration", "input vectors", once),
        ("calibration", "counted input vectors", ranging),
        ("readback", "row by row", rows_read(layer)),
    )
    for phase, what, count in reads:
        value, low, high = (count / layer["arrays"] * end for end in ends)
        spans.append(Span(layer["layer"], phase, what, count, value, low, high, mark, source))


def _phase(layer: Events, prices: PriceList) -> _Timed | None:
    """Return (seconds, low, high) of one integration with its conversions."""
    whole = prices.cost_of("phase_time")
    if whole is not None:
        return (whole.value, whole.low, whole.high), whole.mark, whole.source
    each, shared = prices.cost_of("adc_time"), prices.cost_of("columns_per_adc")
    if each is None or shared is None:
        return None
    turns = [min(end, layer["cols"]) for end in (shared.value, shared.low, shared.high)]
    time = float(layer["integration_time_s"])
    ends = (time + turns[0] * each.value, time + turns[1] * each.low, time + turns[2] * each.high)
    return ends, worst((each.mark, shared.mark)), f"{each.source}; {shared.source}"


def _writes(layer: Events, writes: str, spans: list[Span], absent: list[str]) -> None:
    """Pulses of learning; which of the slots are up is not counted, so their widths are the range."""
    counts: Any = layer["counts"]
    given = layer["pulse_up"][1], layer["pulse_down"][1]
    refreshed = counts["refresh_resets"] + counts["refresh_pulses"]
    if None in given:
        if counts["pulses"] or counts["program_pulses"] or counts["program_resets"] or refreshed:
            absent.append(f"pulses of {layer['device']}, whose card does not give their width")
        return
    widths = sorted(map(float, given))
    slots = counts["trains"] * layer["pulse_train_slots"]
    source = "slots times the card's pulse width"
    one_by_one = ("row by row", counts["row_slots"])
    if writes == "columns":
        one_by_one = ("column by column", counts["column_slots"])
    for what, count in (("pulse trains, all cells at once", slots), one_by_one):
        each = count / layer["arrays"]
        ends = each * widths[1], each * widths[0], each * widths[1]
        spans.append(Span(layer["layer"], "update", what, count, *ends, "computed", source))
    up_s, down_s = map(float, given)
    each = (counts["refresh_resets"] * down_s + counts["refresh_pulses"] * up_s) / layer["arrays"]
    source = "the card's pulse widths, one pulse after the other; low: all columns of a row at once"
    spans.append(
        Span(
            layer["layer"],
            "refresh",
            "pulse by pulse",
            refreshed,
            each,
            each / layer["cols"],
            each,
            "computed",
            source,
        )
    )
    spans.append(
        Span(
            layer["layer"], "programming", "pulse by pulse", counts["program_pulses"], counts["program_time_s"] / layer["arrays"],
            counts["program_time_s"] / layer["arrays"], counts["program_time_s"] / layer["arrays"], "computed", "counted",
        )
    )  # fmt: skip
