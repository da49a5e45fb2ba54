"""From measured data to a device card: every law that can be fitted, ranked, and the card of the best."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurosim.core import registry
from neurosim.core.errors import CapabilityError, DataError, InputError, NeurosimError, UnknownNameError
from neurosim.devices.card import Card, Quantity, cards, read
from neurosim.devices.fitting.aging import DriftFit, ProgrammingFit, fit_drift, fit_programming
from neurosim.devices.fitting.population import FEWEST_DEVICES, Estimate
from neurosim.devices.fitting.result import LawFit
from neurosim.devices.fitting.tables import Drift, Programming, Pulses, Table, read_tables
from neurosim.devices.law import Law
from neurosim.devices.parameters import not_given

WRITTEN = "programmed"
"""Law of a card from programming and drift alone."""
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
    pulses = next((table for table in tables if isinstance(table, Pulses)), None)
    ranking, refused = _laws(pulses, model)
    maker = _CardMaker(ranking[0].law if ranking else WRITTEN)
    if pulses is not None:
        maker.put_pulses(ranking[0], pulses)
        if pulses.unit_assumed:
            maker.notes.append("Ramps name no unit: taken for siemens; for currents give --read-voltage.")
    maker.notes += [f"{table.source}: {table.left_out}." for table in tables if table.left_out]
    window = maker.put_window(ranking[0] if ranking else None, tables)
    written = aged = None
    for table in tables:
        if isinstance(table, Programming):
            written = fit_programming(table, *window)
            maker.put_programming(written, table)
        elif isinstance(table, Drift):
            aged = fit_drift(table)
            maker.put_drift(aged, table)
    maker.put_given(_VOLTAGE, write_voltage_V, "given with --write-voltage")
    maker.put_given(_TIME, write_time_s, "given with --write-time")
    card = maker.card(name, ", ".join(table.source for table in tables))
    return Fit(card, maker.intervals, ranking, refused, aged, written, tables)


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

    def put(self, name: str, value: float | Estimate, source: str, everywhere: bool = False) -> float:
        """Set a number, `everywhere` as a table that has it at both ends; returns it as the card has it."""
        if isinstance(value, Estimate):
            self.intervals[name] = value
            source += f", 95 % interval {value.low:.4g} to {value.high:.4g}"
            value = value.value
        kept = _rounded(value)
        self.given[name] = Quantity(
            value=(kept, kept) if everywhere else kept, unit=self.units[name], source=source
        )
        return kept

    def put_row(self, name: str, values: Sequence[Estimate], source: str) -> None:
        """Set a table of one row, whose intervals are named after its places."""
        self.intervals |= {f"{name}[{k}]": value for k, value in enumerate(values)}
        ends = ", ".join(f"{value.low:.4g} to {value.high:.4g}" for value in values)
        row = tuple(_rounded(value.value) for value in values)
        self.given[name] = Quantity(
            value=(row,), unit=self.units[name], source=f"{source}, 95 % interval {ends}"
        )

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
        self.notes += [*found.notes, *found.doubts()]
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
        low = self.put("g_min_uS", 0.0, "assumption: states reach down to zero")
        high = self.put("g_max_uS", max(seen), "largest conductance asked for or seen")
        self.put("error_reference_uS", high, "definition: g_max_uS of this card")
        if not any(isinstance(table, Programming) for table in tables):
            self.notes.append("Programming error was not measured: states are written exactly.")
        return low, high

    def put_programming(self, found: ProgrammingFit, data: Programming) -> None:
        where = f"fitted to {data.source} ({data.target_uS.size} devices)"
        if self.law == WRITTEN:
            self.put_row("error_uS", found.polynomial, where)
        elif self.law == "pcm-accumulative":
            for k, estimate in enumerate(found.polynomial):
                self.put(f"program_c{k}", estimate, where)
            self.put("program_reference_uS", found.g_max_uS, "definition: g_max_uS of this card")
        else:
            self.put("program_tolerance", found.tolerance, where)

    def put_drift(self, found: DriftFit, data: Drift) -> None:
        where = f"fitted to {data.source} ({len(data.devices)} devices)"
        exponent, spread = found.exponent.at_least(0.0), found.spread
        if spread is not None and spread.value == 0:
            spread = None
        table = self.law != "pcm-accumulative"
        names = ("drift_exponent", "drift_exponent_sigma", "drift_reference_s")
        if table:
            names = ("drift_table_exponent", "drift_table_sigma", "drift_table_start_s")
            same = "definition: the same at every conductance"
            self.given["drift_table_share"] = Quantity(value=(0.0, 1.0), unit="1", source=same)
        self.put(names[0], exponent, where, table)
        if spread is not None:
            self.put(names[1], spread, where, table)
        self.put(names[2], found.reference_s, f"{data.source}: first time")

    def put_assumed(self) -> None:
        """Take what the law must have and data do not tell from the first published card of that law.

        But nothing that joules follow from: those are of the device that was measured, or there are none.
        """
        needed = self.required - set(self.given)
        electrical = sorted(name for name in needed if name.endswith(_OF_JOULES))
        if electrical:
            raise DataError(f"{self.law}: the data do not tell {', '.join(electrical)}, and no other device's hold here")
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


def _rounded(value: float) -> float:
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
    if not fitted:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise DataError(f"{pulses.source}: no law can be fitted ({reasons})")
    return tuple(sorted(fitted, key=lambda one: one.bic)), refused


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
