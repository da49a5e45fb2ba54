"""From what was fitted to a card: its numbers with their sources, and notes on what they do not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosim.core import registry
from neurosim.core.errors import DataError, NeurosimError
from neurosim.devices.card import Card, Quantity, cards, read
from neurosim.devices.fitting.aging import DriftFit, ProgrammingFit, fit_drift
from neurosim.devices.fitting.aging_notes import ageing, heated, systematic
from neurosim.devices.fitting.population import FEWEST_DEVICES, Estimate, proportion
from neurosim.devices.fitting.reads import ReadsFit
from neurosim.devices.fitting.reads_notes import reading
from neurosim.devices.fitting.result import LawFit
from neurosim.devices.fitting.retention import (
    CLEAR,
    REFERENCE_K,
    RelaxationFit,
    RetentionFit,
    by_temperature,
    fit_relaxation,
    fit_retention,
)
from neurosim.devices.fitting.shared import apart
from neurosim.devices.fitting.tables import Drift, Programming, Pulses, Reads, Table
from neurosim.devices.law import Law
from neurosim.devices.parameters import not_given

WRITTEN = "programmed"
"""Law of a card from programming and drift alone."""
_HINT = 2.0
"""Differences in BIC below this are nothing to speak of."""
_FLICKER_NODES = 5
"""Places, between the states that were read, at which 1/f noise that grows with the conductance is put down."""
_OF_JOULES = ("_voltage_V", "_time_s", "_current_A", "_energy_J")
"""Ends of the names of numbers that joules of pulses follow from."""


class CardMaker:
    """Gathers the parameters of a card with their sources."""

    def __init__(self, law: str):
        self.law = law
        kind: type[Law] = registry.find("device law", law)
        self.units = kind.units()
        self.required = {name for name, field in kind.model_fields.items() if field.is_required()} - {"name"}
        self.given: dict[str, Quantity] = {}
        self.intervals: dict[str, Estimate] = {}
        self.notes: list[str] = []

    def put(self, name: str, value: float | Estimate, source: str, nodes: int = 0) -> float:
        """Set a number, or a table that has it at so many nodes; returns it as the card has it."""
        if isinstance(value, Estimate):
            self.intervals[name] = value
            source += f", 95 % interval {value.low:.4g} to {value.high:.4g}"
            value = value.value
        kept = rounded(value)
        self.given[name] = Quantity(
            value=(kept,) * nodes if nodes else kept, unit=self.units[name], source=source
        )
        return kept

    def put_table(
        self, name: str, values: Sequence[float] | Sequence[Estimate], source: str, rows: bool = False
    ) -> None:
        """Set a table, or the one row of a table of rows; intervals are named after their places."""
        fitted = {f"{name}[{k}]": value for k, value in enumerate(values) if isinstance(value, Estimate)}
        self.intervals |= fitted
        if fitted:
            ends = ", ".join(f"{value.low:.4g} to {value.high:.4g}" for value in fitted.values())
            source += f", 95 % interval {ends}"
        row = tuple(rounded(v.value if isinstance(v, Estimate) else v) for v in values)
        self.given[name] = Quantity(value=(row,) if rows else row, unit=self.units[name], source=source)

    def put_pulses(self, found: LawFit, pulses: Pulses) -> None:
        for name, estimate in found.numbers.items():
            self.put(
                name,
                estimate,
                f"fitted to {pulses.source} ({len(pulses.traces)} devices, {pulses.count} pulses)",
            )
        for name, (value, why) in found.conventions.items():
            way = "measured in" if "seen" in why else "fitted to"
            self.put(name, value, why if why.startswith("definition") else f"{way} {pulses.source}: {why}")
        if pulses.stuck_uS:
            found_stuck = proportion(len(pulses.stuck_uS), len(pulses.stuck_uS) + len(pulses.traces))
            where = f"measured: devices of {pulses.source} that do not answer to pulses"
            self.put("p_stuck_measured", found_stuck, where)
            self.put_table("stuck_measured_uS", pulses.stuck_uS, f"{where}: the median of each")
        self.notes += [*pulses.notes, *found.notes, *found.doubts()]
        if len(pulses.traces) < FEWEST_DEVICES:
            self.notes.append(
                f"No device-to-device spreads: {len(pulses.traces)} device(s), at least {FEWEST_DEVICES} are needed"
                + (
                    "; name ramps by their device in a first row, if they are of several."
                    if pulses.ramps
                    else "."
                )
            )

    def put_window(self, law: LawFit | None, tables: Sequence[Table]) -> tuple[float, float]:
        """Return the conductance window: of the fitted law, or as far as targets and states reach."""
        if law is not None:
            ends = {name: number for name, (number, _) in law.conventions.items()}
            ends |= {name: estimate.value for name, estimate in law.numbers.items()}
            return ends["g_min_uS"], ends["g_max_uS"]
        seen = [float(table.target_uS.max()) for table in tables if isinstance(table, Programming)]
        seen += [float(g.max()) for table in tables if isinstance(table, Drift) for _, _, g in table.devices]
        seen += [float(g.max()) for table in tables if isinstance(table, Reads) for _, _, g in table.states]
        low = self.put("g_min_uS", 0.0, "assumption: states reach down to zero")
        high = self.put("g_max_uS", max(seen), "measured: largest conductance asked for or seen")
        self.put("error_reference_uS", high, "definition: g_max_uS of this card")
        if not any(isinstance(table, Programming) for table in tables):
            self.notes.append("Programming error was not measured: states are written exactly.")
        return low, high

    def put_programming(self, found: ProgrammingFit, data: Programming) -> None:
        where = f"fitted to {data.source} ({data.target_uS.size} devices)"
        if self.law == WRITTEN:
            self.put_table("error_uS", found.polynomial, where, rows=True)
            if found.bias:
                self.put_table("bias_uS", found.bias, where)
        elif self.law == "pcm-accumulative":
            for k, estimate in enumerate(found.polynomial):
                self.put(f"program_c{k}", estimate, where)
            self.put("program_reference_uS", found.g_max_uS, "definition: g_max_uS of this card")
        else:
            self.put("program_tolerance", found.tolerance, where)
        self.notes += systematic(found, data.source, self.law, "bias_uS" in self.given)

    def put_ageing(
        self, data: Drift, g_max_uS: float
    ) -> tuple[DriftFit, RetentionFit | RelaxationFit | None]:
        """Set drift or, where they are clearly better, loss towards rest or relaxation; return both."""
        rest = None if self.law == WRITTEN else self.card("fitted", data.source).device().g_rest_uS
        pooled, by_K = by_temperature(data)
        drift, lost = fit_drift(pooled), fit_retention(data, rest)
        relaxed = fit_relaxation(pooled, drift)
        better = [one for one in (lost, relaxed) if one is not None and one.better_by > CLEAR]
        best = max(better, key=lambda one: one.better_by, default=None)
        where = f"fitted to {data.source} ({len(data.devices)} records)"
        if isinstance(best, RetentionFit):
            self.put("retention_s", best.seconds, where)
            if best.activation_eV is not None:
                self.put("retention_activation_eV", best.activation_eV, where)
                self.put("reference_K", REFERENCE_K, "definition: temperature that retention_s refers to")
            if best.rest_uS is not None:
                self.put("g_min_uS", best.rest_uS, f"{where}: where states lead to")
        elif isinstance(best, RelaxationFit):
            self.put("relaxation_mean_uS", best.mean_uS, where)
            self.put("relaxation_start_s", best.start_s, f"measured in {data.source}: first time")
            if best.spread_uS is not None and best.spread_uS.value > 0:
                self.put("relaxation_sigma_slope_uS", best.spread_uS, where)
        else:
            self.put_drift(drift, pooled, g_max_uS)
        self.notes += heated(data, best, by_K)
        if best is None and relaxed.better_by > _HINT:
            self.notes.append(
                f"{data.source}: the data do not tell drift, on the card, from relaxation along the logarithm of time by as "
                f"much at every conductance, whose BIC is {relaxed.better_by:.1f} below; {CLEAR:g} would be clear."
            )
        return drift, best

    def put_drift(self, found: DriftFit, data: Drift, g_max_uS: float) -> None:
        """Set one exponent, or the table of several; the law's own where it has one, which cannot be negative."""
        where = f"fitted to {data.source} ({len(data.devices)} devices)"
        spread = None if found.spread is None or found.spread.value == 0 else found.spread
        start = found.reference_s, f"measured in {data.source}: first time"
        self.notes += ageing(found, data.source)
        if "drift_reference_s" in self.units:
            self.put("drift_reference_s", *start)
            if not found.at and found.exponent.value >= 0:
                self.put("drift_exponent", found.exponent, where)
                if spread is not None:
                    self.put("drift_exponent_sigma", spread, where)
                return
        self.put("drift_table_start_s", *start)
        if found.at:
            shares = [g / g_max_uS for g, _ in found.at]
            self.put_table(
                "drift_table_share", shares, f"measured in {data.source}: where devices were first read"
            )
            self.put_table("drift_table_exponent", [exponent for _, exponent in found.at], where)
        else:
            self.put_table("drift_table_share", (0.0, 1.0), "definition: the same at every conductance")
            self.put("drift_table_exponent", found.exponent, where, 2)
        if spread is not None:
            self.put("drift_table_sigma", spread, where, max(2, len(found.at)))

    def put_flicker(
        self, found: ReadsFit, flicker: Estimate, data: Reads, where: str, g_max_uS: float
    ) -> None:
        """Set 1/f noise as a power of the conductance, or as a table where it grows with it, as the law's power never does."""
        if found.power is not None and found.power.value < 0:
            nodes = np.geomspace(*found.conductances_uS, _FLICKER_NODES)
            self.put_table(
                "flicker_table_share",
                list(nodes / g_max_uS),
                f"measured in {data.source}: states that were read",
            )
            self.put_table(
                "flicker_table",
                [found.size(g, g_max_uS) for g in nodes],
                f"{where}: grows with the conductance to the power {-found.power.value:.3g}",
            )
            return
        self.put("flicker", flicker, where)
        if found.power is not None:
            self.put("flicker_power", found.power, where)
        else:
            self.put(
                "flicker_power",
                0.0,
                f"fitted to {data.source}: no dependence on the conductance beyond chance",
            )
        self.put(
            "flicker_most", found.most, f"measured in {data.source}: largest of the states that were read"
        )

    def put_reads(self, found: ReadsFit, data: Reads, g_max_uS: float) -> None:
        where = f"fitted to {data.source} ({len(data.states)} states, {sum(t.size for _, t, _ in data.states)} reads)"
        for name, estimate in (
            ("read_noise_relative", found.relative),
            ("read_noise_floor_uS", found.floor_uS),
        ):
            if estimate is not None:
                self.put(name, estimate, where)
        if found.flicker is not None:
            self.put_flicker(found, found.flicker, data, where, g_max_uS)
            self.put(
                "flicker_read_s",
                found.interval_s,
                f"measured in {data.source}: interval of reads; what is faster is in read noise",
            )
        self.notes += reading(found, data.source)

    def put_apart(self, noise: ReadsFit, pulses: Pulses) -> None:
        """Take read noise off the write noise, which was fitted to the same kind of reads and contains it."""
        written = self.intervals.get("write_noise")
        if written is None:
            return
        device: Any = self.card("fitted", pulses.source).device()
        unit = float(device.step * device.span_uS)
        middle = float(np.mean([trace.conductance_uS.mean() for trace in pulses.traces]))
        left = apart(written, noise.sigma_uS(middle) / unit)
        said = f"Write noise fitted to {pulses.source} contains read noise, {noise.sigma_uS(middle):.3g} uS at {middle:.3g} uS"
        if left is None:
            del self.given["write_noise"], self.intervals["write_noise"]
            self.notes.append(f"{said}, which explains all of it: the card has read noise alone.")
        else:
            source = self.given["write_noise"].source.split(", 95 %")[0]
            self.put("write_noise", left, f"{source}, read noise taken off")
            self.notes.append(f"{said}: taken off, from {written.value:.3g} to {left.value:.3g} steps.")

    def put_assumed(self) -> None:
        """Take what the law must have and data do not tell from the first published card of that law.

        But nothing that joules follow from: those are of the device that was measured, or there are none.
        """
        needed = self.required - set(self.given)
        electrical = sorted(name for name in needed if name.endswith(_OF_JOULES))
        if electrical:
            raise DataError(
                f"{self.law}: the data do not tell {', '.join(electrical)}, and no other device's hold here"
            )
        published = (read(file) for file in cards().values()) if needed else iter(())
        card = next(
            (card for card in published if card.law == self.law and needed <= set(card.parameters)), None
        )
        if needed and card is None:
            raise DataError(
                f"{self.law}: the data do not tell {', '.join(sorted(needed))}, nor does a published card"
            )
        for name in needed:
            assert card is not None
            number = card.parameters[name]
            source = f"assumed as on card {card.name}: {number.source}"
            self.given[name] = Quantity(value=number.value, unit=number.unit, source=source)

    def card(self, name: str, sources: str) -> Card:
        """Return the card; raises `DataError` if its numbers make no device."""
        self.put_assumed()
        card = Card(
            name=name,
            technology="measured",
            law=self.law,
            summary=f"Fitted to {sources}",
            citation=f"own measurement: {sources}",
            notes=tuple(self.notes),
            parameters={name: self.given[name] for name in self.units if name in self.given},
        )
        try:
            unmeasured = dict.fromkeys(card.silent_on, "was not measured")
            if unknown := card.device().pulse_unknown:
                unmeasured["pulse energy"] = not_given(unknown)
        except NeurosimError as error:
            raise DataError(f"{sources}: the fit is no valid device: {error}") from None
        return card.changed(omits=unmeasured)


def rounded(value: float) -> float:
    """Return a number as a card has it."""
    return float(f"{value:.7g}")
