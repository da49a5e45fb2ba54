"""From measured data to a device card: every law that can be fitted, ranked, and the card of the best."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurosim.core import registry
from neurosim.core.errors import CapabilityError, DataError, InputError, NeurosimError, UnknownNameError
from neurosim.devices.card import Card, Quantity, cards, read
from neurosim.devices.fitting.aging import DriftFit, ProgrammingFit, fit_drift, fit_programming
from neurosim.devices.fitting.aging_notes import ageing, heated, systematic
from neurosim.devices.fitting.curves import gap_of_curves
from neurosim.devices.fitting.population import FEWEST_DEVICES, Estimate, proportion
from neurosim.devices.fitting.reads_left_out import without_doubtful_reads
from neurosim.devices.fitting.resampled import RESAMPLES, corrected
from neurosim.devices.fitting.reads import ReadsFit, fit_reads
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
from neurosim.devices.fitting.shared import apart, same_devices
from neurosim.devices.fitting.stuck import without_stuck
from neurosim.devices.fitting.tables import Drift, Programming, Pulses, Reads, Table, read_tables, repeated
from neurosim.devices.law import Law
from neurosim.devices.parameters import not_given

WRITTEN = "programmed"
"""Law of a card from programming and drift alone."""
_CONTAINS = dict.fromkeys(("linear-step", "power-step", "exp-step"), "constant-step")
"""Laws that another is a case of."""
_ALL_ANSWER = dict.fromkeys(("p_stuck_measured", "stuck_measured_uS"))
"""Numbers without which no device is stuck."""
_OF_SMALL_STEPS = ("soft-bounds", "constant-step", "linear-step")
_CURVED = ("power-step", "exp-step")
_REPEATED = (*_OF_SMALL_STEPS, "power-step")
"""Laws whose fit is repeated on data simulated with its card; the numbers of `exp-step` hang on each other."""
_BIPOLAR = (*_REPEATED, "exp-step", "nonlinearity-label")
"""Laws of identical pulses up and down."""
_VOLTAGE, _TIME = ("write_voltage_V", "set_voltage_V"), ("write_time_s", "set_time_s")
_OF_JOULES = ("_voltage_V", "_time_s", "_current_A", "_energy_J")
"""Ends of the names of numbers that joules of pulses follow from."""


@dataclass(frozen=True)
class Fit:
    """A fitted device: its card, and where it comes from."""

    card: Card
    intervals: dict[str, Estimate]
    """95 % intervals of those parameters of the card that were fitted."""
    ranking: tuple[LawFit, ...]
    """Laws fitted to the pulses, the best (smallest BIC) first."""
    refused: dict[str, str]
    """Laws that could not be fitted, and why."""
    drift: DriftFit | None
    programming: ProgrammingFit | None
    tables: tuple[Table, ...]
    reads: ReadsFit | None = None
    """Noise of repeated reads."""
    ageing: RetentionFit | RelaxationFit | None = None
    """What states age by where that is clearly no power of time."""

    @property
    def law(self) -> LawFit | None:
        """The law of the card as fitted to the pulses."""
        return next((fit for fit in self.ranking if fit.law == self.card.law), None)


def fit(
    files: Sequence[str | Path],
    model: str | None = None,
    read_voltage_V: float | None = None,
    write_voltage_V: float | None = None,
    write_time_s: float | None = None,
    name: str = "fitted",
    columns: Mapping[str, str | Sequence[str]] | None = None,
    told: Callable[[str], None] | None = None,
    resamples: int = RESAMPLES,
) -> Fit:
    """Fit device laws to measured data.

    Parameters
    ----------
    files : sequence of path
        Files of columns, as instruments and spreadsheets write them: pulses, programming errors, drift, at most one of
        each form (or ramps in several files).
    model : str, optional
        Law to fit to the pulses; None fits all that can be and takes the one with the smallest BIC.
    read_voltage_V : float, optional
        Read voltage of columns that hold currents, of either sign.
    write_voltage_V, write_time_s : float, optional
        Of a write pulse, which the data do not contain; without both, pulses of the card have no joules, and it says so.
    name : str
        Name of the card.
    columns : mapping, optional
        Headers of quantities whose names are not understood, as `read_tables` takes them.
    told : callable, optional
        Called before the fit with each of the three lines that say what was understood of a file.
    resamples : int
        Sets of data simulated with the card on which the fit of a law of small steps is repeated, twice, to correct it; 0: none.

    Returns
    -------
    Fit
        Its `card` runs wherever a card name or file is asked for, once written by `to_toml`.

    Raises
    ------
    DataError
        If the data cannot be read or cannot be fitted.
    CapabilityError
        If the law asked for cannot be fitted to these data.
    UnknownNameError
        If there is no fitter of that name.
    """
    if read_voltage_V is not None and not (np.isfinite(read_voltage_V) and read_voltage_V):
        raise InputError(f"read voltage = {read_voltage_V}: must be finite, and not 0")
    for option, volt in (
        ("write voltage", write_voltage_V),
        ("write time", write_time_s),
    ):
        if volt is not None and not 0 < volt < float("inf"):
            raise InputError(f"{option} = {volt}: must be greater than 0, and finite")
    tables = tuple(read_tables([Path(file) for file in files], read_voltage_V, columns))
    if told is not None:
        for line in (line for table in tables for line in table.said):
            told(line)
    tables = tuple(_trusted(table) if isinstance(table, Pulses) else table for table in tables)
    pulses = next((table for table in tables if isinstance(table, Pulses)), None)
    ranking, refused = _laws(pulses, model)
    if pulses is not None:
        ranking = (_corrected(ranking[0], pulses, resamples), *ranking[1:])
    maker = _CardMaker(ranking[0].law if ranking else WRITTEN)
    if pulses is not None:
        maker.put_pulses(ranking[0], pulses)
        if pulses.unit_assumed:
            maker.notes.append("Ramps name no unit: taken for siemens; for currents give --read-voltage.")
    maker.notes += _undecided(ranking, refused)
    maker.notes += [f"{table.source}: {table.left_out}." for table in tables if table.left_out]
    window = maker.put_window(ranking[0] if ranking else None, tables)
    written = aged = noise = other = None
    for table in tables:
        again = table if isinstance(table, Reads) else repeated(table) if isinstance(table, Drift) else None
        if again is not None:
            noise = fit_reads(again, window[1])
            maker.put_reads(noise, again)
        if isinstance(table, Programming):
            written = fit_programming(table, *window)
            maker.put_programming(written, table)
        elif isinstance(table, Drift):
            aged, other = maker.put_ageing(table, window[1])
    if pulses is not None and noise is not None:
        maker.put_apart(noise, pulses)
    maker.notes += same_devices(pulses, tables)
    maker.put_given(_VOLTAGE, write_voltage_V, "given with --write-voltage")
    maker.put_given(_TIME, write_time_s, "given with --write-time")
    card = maker.card(name, ", ".join(table.source for table in tables))
    return Fit(card, maker.intervals, ranking, refused, aged, written, tables, noise, other)


def _trusted(pulses: Pulses) -> Pulses:
    """What of the pulses is fitted: devices that answer, and reads that say something of them."""
    return without_stuck(without_doubtful_reads(pulses))


class _CardMaker:
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

    def put_given(self, names: Sequence[str], value: float | None, source: str) -> None:
        """Set what the user gave under the name that this law has for it."""
        if value is not None:
            self.put(next(name for name in names if name in self.units), value, source)

    def put_pulses(self, found: LawFit, pulses: Pulses) -> None:
        for name, estimate in found.numbers.items():
            self.put(
                name,
                estimate,
                f"fitted to {pulses.source} ({len(pulses.traces)} devices, {pulses.count} pulses)",
            )
        for name, (value, why) in found.conventions.items():
            self.put(name, value, why if why.startswith("definition") else f"{pulses.source}: {why}")
        if pulses.stuck_uS:
            found_stuck = proportion(len(pulses.stuck_uS), len(pulses.stuck_uS) + len(pulses.traces))
            where = f"devices of {pulses.source} that do not answer to pulses"
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
        high = self.put("g_max_uS", max(seen), "largest conductance asked for or seen")
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

    def put_ageing(self, data: Drift, g_max_uS: float) -> tuple[DriftFit, RetentionFit | RelaxationFit | None]:
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
            self.put("relaxation_start_s", best.start_s, f"{data.source}: first time")
            if best.spread_uS is not None and best.spread_uS.value > 0:
                self.put("relaxation_sigma_slope_uS", best.spread_uS, where)
        else:
            self.put_drift(drift, pooled, g_max_uS)
        self.notes += heated(data, best, by_K)
        return drift, best

    def put_drift(self, found: DriftFit, data: Drift, g_max_uS: float) -> None:
        """Set one exponent, or the table of several; the law's own where it has one, which cannot be negative."""
        where = f"fitted to {data.source} ({len(data.devices)} devices)"
        spread = None if found.spread is None or found.spread.value == 0 else found.spread
        start = found.reference_s, f"{data.source}: first time"
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
            self.put_table("drift_table_share", shares, f"{data.source}: where devices were first read")
            self.put_table("drift_table_exponent", [exponent for _, exponent in found.at], where)
        else:
            self.put_table("drift_table_share", (0.0, 1.0), "definition: the same at every conductance")
            self.put("drift_table_exponent", found.exponent, where, 2)
        if spread is not None:
            self.put("drift_table_sigma", spread, where, max(2, len(found.at)))

    def put_reads(self, found: ReadsFit, data: Reads) -> None:
        where = f"fitted to {data.source} ({len(data.states)} states, {sum(t.size for _, t, _ in data.states)} reads)"
        for name, estimate in (
            ("read_noise_relative", found.relative),
            ("read_noise_floor_uS", found.floor_uS),
            ("flicker", found.flicker),
            ("flicker_power", found.power),
        ):
            if estimate is not None:
                self.put(name, estimate, where)
        if found.flicker is not None:
            if found.power is None:
                self.put("flicker_power", 0.0, f"{data.source}: no dependence on the conductance beyond chance")
            self.put("flicker_most", found.most, f"{data.source}: largest of the states that were read")
            self.put("flicker_read_s", found.interval_s, f"{data.source}: interval of reads; what is faster is in read noise")
        self.notes += reading(found, data.source)

    def put_apart(self, noise: ReadsFit, pulses: Pulses) -> None:
        """Take read noise off the write noise, which was fitted to the same kind of reads and contains it."""
        written = self.intervals.get("write_noise")
        if written is None:
            return
        device = self.card("fitted", pulses.source).device()
        unit = float(getattr(device, "step")) * float(getattr(device, "span_uS"))  # noqa: B009
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


def _laws(pulses: Pulses | None, model: str | None) -> tuple[tuple[LawFit, ...], dict[str, str]]:
    known = registry.names("law fitter")
    if model is not None and model not in known and not (pulses is None and model == WRITTEN):
        raise UnknownNameError("law fitter", model, known)
    if pulses is None:
        if model not in (None, WRITTEN):
            raise CapabilityError(
                f"--model {model} needs pulse data; programming and drift alone give '{WRITTEN}'"
            )
        return (), {}
    fitted, refused = [], {}
    for name in known if model is None else [model]:
        try:
            fitted.append(_fitted(name, pulses))
        except CapabilityError as error:
            if model is not None:
                raise CapabilityError(f"{pulses.source}: {name} cannot be fitted: {error}") from None
            refused[name] = str(error)
    for whole, part in _CONTAINS.items():
        _refuse_below(whole, part, fitted, refused)
    if not fitted:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise DataError(f"{pulses.source}: no law can be fitted ({reasons})")
    return tuple(sorted(fitted, key=lambda one: one.bic)), refused


def _undecided(ranking: Sequence[LawFit], refused: Mapping[str, str]) -> list[str]:
    """Say which laws describe the data about as well as the best, or could not be asked."""
    if not ranking:
        return []
    best = ranking[0]
    said = [
        f"The data do not tell {best.law} from {one.law}, whose BIC is {one.bic - best.bic:.1f} above; {CLEAR:g} would be clear."
        for one in ranking[1:]
        if one.bic - best.bic < CLEAR
    ]
    return said + [
        f"Not ruled out, for the data do not tell its numbers: {law} ({reason})."
        for law, reason in refused.items()
        if ({law, best.law} <= set(_OF_SMALL_STEPS) and law not in _CONTAINS) or {law, best.law} == set(_CURVED)
    ]


def _refuse_below(whole: str, part: str, fitted: list[LawFit], refused: dict[str, str]) -> None:
    """Refuse the fit of a law that describes the data worse than one that it contains: its search went astray."""
    found = {one.law: one for one in fitted}
    if whole in found and part in found and found[whole].log_likelihood < found[part].log_likelihood:
        fitted.remove(found[whole])
        refused[whole] = f"no slopes describe the data better than {part}, which it contains"


def _corrected(found: LawFit, pulses: Pulses, resamples: int) -> LawFit:
    """Correct the fit of a law of small steps by fits to data simulated with its card."""

    def device(of: LawFit) -> Law:
        maker = _CardMaker(of.law)
        maker.put_pulses(of, pulses)
        return maker.card("fitted", pulses.source).device().with_parameters(**_ALL_ANSWER)

    if found.law not in _BIPOLAR:
        return found
    fitted = found
    if found.law in _REPEATED:
        fitted = corrected(found, pulses, device, registry.find("law fitter", found.law), resamples)
    gap = gap_of_curves(device(fitted), pulses)
    return fitted if gap is None else replace(fitted, notes=(*fitted.notes, gap))


def _fitted(name: str, pulses: Pulses) -> LawFit:
    """Fit one law; numbers that are none, or no solution, are a law that cannot be fitted."""
    with np.errstate(all="ignore"):
        try:
            found: LawFit = registry.find("law fitter", name)(pulses)
        except (np.linalg.LinAlgError, ArithmeticError):
            raise CapabilityError("the data do not tell its numbers apart") from None
        numbers = [end for estimate in found.numbers.values() for end in (estimate.low, estimate.high)]
        if not np.isfinite([found.bic, *numbers]).all():
            raise CapabilityError("the data do not tell its numbers apart")
    return found


def to_toml(card: Card) -> str:
    """Return a card as the text of its file."""
    lines = [
        f"{key} = {_text(getattr(card, key))}" for key in ("name", "technology", "law", "summary", "citation")
    ]
    notes = ["notes = [", *(f"    {_text(note)}," for note in card.notes), "]"] if card.notes else []
    omits = [f"{_text(what)} = {_text(why)}" for what, why in card.omits.items()]
    lines += [*notes, "", *(["[omits]", *omits, ""] if omits else []), "[parameters]"]
    for name, number in card.parameters.items():
        lines.append(
            f"{name} = {{ value = {json.dumps(number.value)}, unit = {_text(number.unit)}, source = {_text(number.source)} }}"
        )
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
