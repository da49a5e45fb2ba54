"""Joules of counted events, made afterwards: a kept run is priced again without running, by any number of lists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from neurosim.core.config import Periphery
from neurosim.core.errors import InputError
from neurosim.core.protocols import PulseShape
from neurosim.crossbar.ledger import ADDED, Ledger
from neurosim.devices.parameters import not_given
from neurosim.energy.bill import Bill, Kind, Line, Phase
from neurosim.energy.marks import DOWN, UP, WINDOW, Sources, as_sources, device_mark, sources_of, worst
from neurosim.energy.price_list import COMPONENTS, PriceList, Pulse, price_list

Events = Mapping[str, Any]
"""What one layer's arrays counted (`neurosim.study.events.layer_events`)."""
_SHAPE = ("write_voltage_V", "write_time_s")
"""What a pulse that is priced at its gate may lack: lines and cells that it does not switch take V^2."""


def price(
    events: Iterable[Events],
    prices: str | Path | PriceList | Periphery = "zigzag-horowitz-45nm",
    *,
    sources: Mapping[str, Any] | None = None,
    strict: bool = False,
) -> Bill:
    """Return what events come to.

    Parameters
    ----------
    events : iterable of dict
        Of each layer, as results of runs keep them under ``events``.
    prices : str, Path, PriceList or Periphery
        As `price_list` takes it. Device joules come from the counts themselves, at the card's pulse and the settings' read
        voltage, unless the list has a pulse of its own.
    sources : mapping, optional
        Where each number of the device comes from: the ``numbers`` of the results' ``devices``, or a dict of texts; default
        those of the card that has the device's name.
    strict : bool
        Refuse a bill that rests on assumed, remembered or unstated numbers, or in which pulses have no price.

    Returns
    -------
    bill : Bill

    Raises
    ------
    InputError
        If events lack a count or hold one that is negative or no number.
    UnknownNameError, ConfigError
        Of a price list that is not there or wrong.
    AssumedError
        Of a strict bill.
    """
    known = price_list(prices)
    bill = Bill(prices=known.name)
    for layer in checked(events):
        own = as_sources(sources) if sources is not None else sources_of(layer["device"])
        bill = bill + _Layer(layer, known, own).bill()
    return bill.strictly() if strict else bill


def checked(events: Iterable[Events]) -> Iterator[Events]:
    """Yield each layer's events; raises `InputError` where a count is missing or no number of at least 0."""
    if isinstance(events, Mapping):
        raise InputError("events: expected a list of layers, the 'events' of a run")
    for layer in events:
        counts = {**dict.fromkeys(ADDED, 0), **layer.get("counts", {})}
        missing = [name for name in Ledger.names() if name not in counts]
        if missing:
            raise InputError(
                f"events of layer {layer.get('layer')}: no count of {', '.join(missing[:3])}"
                f"{' ...' if len(missing) > 3 else ''}; they were kept by another version: run it again"
            )
        wrong = [name for name in Ledger.names() if not (math.isfinite(counts[name]) and counts[name] >= 0)]
        if wrong:
            raise InputError(f"events of layer {layer.get('layer')}: {wrong[0]} = {counts[wrong[0]]}")
        yield {**layer, "counts": counts}


def integrates(layer: Events) -> bool:
    """Return whether a layer's neurons integrate currents, spike by spike, without converters between."""
    return bool(layer["counts"]["spikes"])


class _Layer:
    """The lines of one layer."""

    def __init__(self, events: Events, prices: PriceList, sources: Sources | None):
        self.events, self.prices, self.sources = events, prices, sources
        self.counts: Mapping[str, float] = events["counts"]
        self.lines: list[Line] = []
        self.not_priced: list[str] = []
        self.notes: list[str] = []
        self.up, self.down = tuple(events["pulse_up"]), tuple(events["pulse_down"])
        self.unknown = tuple(events.get("pulse_unknown", ()))
        self.absent: list[str] = []

    def bill(self) -> Bill:
        """Return the bill of this layer."""
        self._forward()
        self._calibration()
        self._updates()
        self._readback()
        self._refresh()
        self._programming()
        counts, events = self.counts, self.events
        integrated = integrates(events)
        if integrated:
            self.not_priced.append("neurons that integrate currents (leak, threshold, traces)")
        else:
            self._priced("neurons", "digital", "activations", "neuron", counts["reads"] * events["cols"])
        self._control()
        if not integrated and (events["adc_bits"] is None or events["dac_bits"] is None):
            self.notes.append(f"converters left perfect are priced at {self.prices.default_bits} bits")
        return Bill(
            tuple(line for line in self.lines if line.count or line.joules),
            self.prices.name,
            tuple(dict.fromkeys([*self.absent, *self.not_priced])),
            tuple(self.notes),
            ((events["layer"], events["arrays"] * events["rows"] * events["cols"]),),
            int(counts["pulses"] - counts["pulses_lost"]),
            tuple(dict.fromkeys(self.absent)),
        )

    def _forward(self) -> None:
        counts, events = self.counts, self.events
        self._cells("forward", "cells read", counts["read_uS"], self._read_shape)
        self._priced("forward", "periphery", "ADC", "adc", counts["conversions"], bits=events["adc_bits"])
        self._priced("forward", "periphery", "DAC", "dac", counts["dac_conversions"], bits=events["dac_bits"])
        self._lines_charged("forward", "word lines", counts["read_line_cells"], events["read_voltage_V"])
        self._priced(
            "forward",
            "digital",
            "sums of tiles and bits",
            "add",
            counts["read_sums"],
            bits=events["adc_bits"],
        )

    def _calibration(self) -> None:
        """Reads that set the converters: as they were counted; those that were for nothing as forward reads in the mean."""
        counts, events = self.counts, self.events
        given, reads = counts["calibration_reads"], counts["reads"]
        if given and not reads:
            self.not_priced.append("reads that set the converters, as nothing else was read")
        share = given / reads if reads else 0.0
        once = [line for line in self.lines if line.phase == "forward" and share]
        self.lines += [
            replace(
                line, phase="calibration", count=share * line.count, joules=share * line.joules,
                low=share * line.low, high=share * line.high,
            )
            for line in once
        ]  # fmt: skip
        self._cells("calibration", "cells read", counts["ranging_uS"], self._read_shape)
        for what, component, name, bits in (
            ("ADC", "adc", "ranging_conversions", "adc_bits"),
            ("DAC", "dac", "ranging_dac_conversions", "dac_bits"),
        ):
            self._priced("calibration", "periphery", what, component, counts[name], bits=events[bits])
        self._lines_charged(
            "calibration", "word lines", counts["ranging_line_cells"], events["read_voltage_V"]
        )

    def _updates(self) -> None:
        counts, events = self.counts, self.events
        ups = counts["pulses"] - counts["downs"]
        self._pulses("update", "pulses up", UP, ups, counts["up_J"], self.up, self.prices.pulse_up)
        self._pulses(
            "update",
            "pulses down",
            DOWN,
            counts["downs"],
            counts["down_J"],
            self.down,
            self.prices.pulse_down,
        )
        full = self._given(self.prices.pulse_up, self.up)
        other = self._given(self.prices.pulse_down, self.down)
        self._cells("update", "pulses without effect", counts["lost_uS"], full, other)
        self._cells("update", "half-selected cells", counts["half_uS"] / 4, full, other)
        self._lines_charged(
            "update", "pulsed lines", counts["pulse_line_cells"] - counts["downs"] * events["rows"], full[0]
        )
        self._lines_charged("update", "pulsed lines, down", counts["downs"] * events["rows"], other[0])
        slots = counts["trains"] * events["pulse_train_slots"] * (events["rows"] + events["cols"])
        self._priced("update", "periphery", "pulse trains", "train", slots)
        self._priced("update", "digital", "multiply and add", "mac", counts["macs"])
        self._priced("update", "digital", "following the norms", "mac", counts["norm_macs"])
        self._priced("update", "digital", "the rule's answers", "mac", counts["rule_macs"])
        self._priced(
            "update", "digital", "memory", "memory", counts["memory_accesses"],
            size_bytes=4.0 * events["rows"] * events["cols"],
        )  # fmt: skip

    def _readback(self) -> None:
        counts, events = self.counts, self.events
        self._cells("readback", "cells read", counts["readback_uS"], self._read_shape)
        self._priced(
            "readback", "periphery", "ADC", "adc", counts["readback_conversions"], bits=events["adc_bits"]
        )
        self._priced(
            "readback", "periphery", "row drivers", "row_dac", self.rows_read, bits=events["dac_bits"]
        )
        self._lines_charged("readback", "word lines", counts["readback_line_cells"], events["read_voltage_V"])

    @property
    def rows_read(self) -> float:
        """Word lines charged for reads that serve updates."""
        return rows_read(self.events)

    def _refresh(self) -> None:
        counts = self.counts
        events = counts["refresh_pulses"] + counts["refresh_resets"]
        mark, source = self._mark(UP, DOWN)
        self._spent("refresh", "RESET and SET", events, counts["refresh_J"], mark, source)
        if counts["refresh_J"] and (self.prices.pulse_up or self.prices.pulse_down):
            self.notes.append("refresh and programming are priced at the card's own pulses")

    def _programming(self) -> None:
        counts, events = self.counts, self.events
        mark, source = self._mark(UP, DOWN)
        pulses = counts["program_pulses"] + counts["program_resets"]
        given = pulses or counts["programmed_cells"]
        self._spent("programming", "pulses", given, counts["program_pulses_J"], mark, source)
        self._cells("programming", "verifying reads", counts["program_uS"], self._read_shape)
        self._priced(
            "programming", "periphery", "ADC", "adc", counts["program_reads"], bits=events["adc_bits"]
        )
        self._priced("programming", "periphery", "comparator", "comparator", counts["program_comparisons"])
        if counts["point_searches"] > 1:
            self.notes.append(
                "what searches of symmetric points programmed while it learnt stands under programming, and so in no sample"
            )

    def _control(self) -> None:
        """Clock, control and leakage of each phase, as a share of what stands beside the cells there."""
        unit = self.prices.cost_of("control")
        beside = [line for line in self.lines if line.kind != "device" and line.joules > 0]
        if unit is None:
            if beside:
                self.not_priced.append(COMPONENTS["control"].what)
            return
        for phase in dict.fromkeys(line.phase for line in beside):
            own = [line for line in beside if line.phase == phase]
            joules, low, high = (
                share * sum(getattr(line, end) for line in own)
                for share, end in ((unit.value, "joules"), (unit.low, "low"), (unit.high, "high"))
            )
            mark = worst([unit.mark, *(line.mark for line in own)])
            self._add(
                phase, "periphery", "clock, control, leakage", 0, joules, (low, high), mark, unit.source
            )

    @property
    def _read_shape(self) -> tuple[float, float]:
        return self.events["read_voltage_V"], self.events["integration_time_s"]

    def _given(self, pulse: Pulse | None, shape: PulseShape) -> PulseShape:
        """Return (V, s) of the list's own pulse where it has a shape, else of the card's."""
        if pulse is None or pulse.voltage_V is None or pulse.width_s is None:
            return shape
        return pulse.voltage_V, pulse.width_s

    def _mark(self, *whats: str) -> tuple[Any, str]:
        found = [device_mark(self.sources, what) for what in whats]
        mark = worst(each for each, _ in found)
        return next(pair for pair in found if pair[0] == mark)

    def _cells(
        self,
        phase: Phase,
        what: str,
        count_uS: float,
        shape: PulseShape,
        other: PulseShape | None = None,
    ) -> None:
        """Conductance read or struck, V^2 G t; a pulse's direction is not known, so the other's is in the range."""
        joules = []
        for voltage, time in (shape, other or shape):
            if voltage is None or time is None:
                self._without_price(count_uS)
                return
            joules.append(count_uS * voltage**2 * time * 1e-6)
        mark, source = self._mark(WINDOW if other is None else UP)
        between = None if other is None or joules[0] == joules[1] else (min(joules), max(joules))
        self._add(phase, "device", what, count_uS, joules[0], between, mark, source)

    def _pulses(
        self,
        phase: Phase,
        what: str,
        direction: str,
        count: float,
        joules: float,
        shape: PulseShape,
        own: Pulse | None,
    ) -> None:
        """Pulses at the card's joules, or at the list's own pulse: V^2 t as against the card's, or so much each."""
        mark, source = self._mark(direction)
        if own is None:
            self._spent(phase, what, count, joules, mark, source)
        elif own.joules is not None:
            ends = (own.joules if own.low is None else own.low, own.joules if own.high is None else own.high)
            between = None if own.low is None and own.high is None else (count * ends[0], count * ends[1])
            self._add(phase, "device", what, count, count * own.joules, between, own.mark, own.source)
        else:
            before, (voltage, time) = _squared(shape), self._given(own, shape)
            if not before:
                if count:
                    raise InputError(
                        f"layer {self.events['layer']}: {self.events['device']} states no voltage and time of a pulse "
                        f"{direction}, so its joules cannot be scaled to another; give the price list joules instead"
                    )
                return
            scaled = joules * (_squared((voltage, time)) / before)
            self._add(
                phase, "device", what, count, scaled, None, worst([mark, own.mark]), f"{own.source}; {source}"
            )

    def _spent(self, phase: Phase, what: str, count: float, joules: float, mark: Any, source: str) -> None:
        """Add what the law says that pulses took, or say that its card does not tell."""
        if self.unknown:
            self._without_price(count)
        else:
            self._add(phase, "device", what, count, joules, None, mark, source)

    def _without_price(self, count: float) -> None:
        """Say of pulses that happened that nobody knows their joules."""
        if count:
            self.absent.append(f"pulses of {self.events['device']}: {not_given(self.unknown or _SHAPE)}")

    def _lines_charged(self, phase: Phase, what: str, cells: float, voltage_V: float | None) -> None:
        unit = self.prices.cost_of("line")
        if unit is None or unit.unit != "F":
            self._priced(phase, "periphery", what, "line", cells)
        elif voltage_V is None:
            self._without_price(cells)
        else:
            self._priced(phase, "periphery", what, "line", cells, factor=voltage_V**2)

    def _priced(
        self, phase: Phase, kind: Kind, what: str, component: str, count: float,
        bits: int | None = None, size_bytes: float = 0.0, factor: float = 1.0,
    ) -> None:  # fmt: skip
        """Add events at the list's price, or say that it has none."""
        if not count:
            return
        unit = self.prices.cost_of(component, bits, size_bytes)
        if unit is None:
            width = f" of {bits or self.prices.default_bits} bits" if component in self.prices.prices else ""
            self.not_priced.append(f"{COMPONENTS[component].what}{width}")
            return
        each = count * factor
        self._add(
            phase,
            kind,
            what,
            count,
            each * unit.value,
            (each * unit.low, each * unit.high),
            unit.mark,
            unit.source,
        )

    def _add(
        self, phase: Phase, kind: Kind, what: str, count: float, joules: float,
        between: tuple[float, float] | None, mark: Any, source: str,
    ) -> None:  # fmt: skip
        low, high = between or (joules, joules)
        self.lines.append(
            Line(
                self.events["layer"],
                phase,
                kind,
                what,
                count,
                joules,
                low,
                high,
                mark,
                source,
                between is not None,
            )
        )


def _squared(shape: PulseShape) -> float:
    """V^2 t of a pulse; 0 where it is not known."""
    return (shape[0] or 0.0) ** 2 * (shape[1] or 0.0)


def rows_read(events: Events) -> float:
    """Return how many word lines were charged for reads that serve updates."""
    return float(events["counts"]["readback_line_cells"] / (2 * events["cols"]))
