"""From measured data to a device card: every law that can be fitted, ranked, and the card of the best."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurosim.core import registry
from neurosim.core.errors import CapabilityError, DataError, NeurosimError, UnknownNameError
from neurosim.devices.card import Card, Quantity, cards, read
from neurosim.devices.fitting.aging import DriftFit, ProgrammingFit, fit_drift, fit_programming
from neurosim.devices.fitting.population import FEWEST_DEVICES, Estimate
from neurosim.devices.fitting.result import LawFit
from neurosim.devices.fitting.tables import Drift, Programming, Pulses, Table, read_tables
from neurosim.devices.law import Law

WRITTEN = "programmed"
"""Law of a card from programming and drift alone."""
_VOLTAGE, _TIME = ("write_voltage_V", "set_voltage_V"), ("write_time_s", "set_time_s")


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
) -> Fit:
    """Fit device laws to measured data.

    Parameters
    ----------
    files : sequence of path
        CSV files: pulses, programming errors, drift, at most one of each form (or ramps in several files).
    model : str, optional
        Law to fit to the pulses; None fits all that can be and takes the one with the smallest BIC.
    read_voltage_V : float, optional
        Read voltage of columns that hold currents.
    write_voltage_V, write_time_s : float, optional
        Of a write pulse, which the data do not contain; None takes those of a published card, marked so.
    name : str
        Name of the card.

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
    tables = tuple(read_tables([Path(file) for file in files], read_voltage_V))
    pulses = next((table for table in tables if isinstance(table, Pulses)), None)
    programming = next((table for table in tables if isinstance(table, Programming)), None)
    drift = next((table for table in tables if isinstance(table, Drift)), None)
    ranking, refused = _laws(pulses, model)
    law = ranking[0].law if ranking else WRITTEN
    given: dict[str, Quantity] = {}
    units = _law(law).units()
    intervals: dict[str, Estimate] = {}

    def put(parameter: str, value: float | Estimate, source: str) -> None:
        if isinstance(value, Estimate):
            intervals[parameter] = value
            source += f", 95 % interval {value.low:.4g} to {value.high:.4g}"
            value = value.value
        given[parameter] = Quantity(value=float(f"{value:.7g}"), unit=units[parameter], source=source)

    notes = []
    if pulses is not None:
        best = ranking[0]
        where = f"fitted to {pulses.source} ({len(pulses.traces)} devices, {pulses.count} pulses)"
        for parameter, estimate in best.numbers.items():
            put(parameter, estimate, where)
        for parameter, (value, why) in best.conventions.items():
            put(parameter, value, why if why.startswith("definition") else f"{pulses.source}: {why}")
        notes += best.notes
        if len(pulses.traces) < FEWEST_DEVICES:
            notes.append(
                f"No device-to-device spreads: {len(pulses.traces)} device(s), at least 3 are needed."
            )
    window = _window(given, tables)
    written = fit_programming(programming, *window) if programming else None
    aged = fit_drift(drift) if drift else None
    if law == WRITTEN:
        put("g_min_uS", window[0], "assumption: states reach down to zero")
        put("g_max_uS", window[1], "largest conductance asked for or seen")
    if written and programming:
        where = f"fitted to {programming.source} ({programming.target_uS.size} devices)"
        names = {"pcm-accumulative": "program_c{}", WRITTEN: "error_c{}_uS"}.get(law)
        if names:
            for k, estimate in enumerate(written.polynomial):
                put(names.format(k), estimate, where)
            put(names.split("_")[0] + "_reference_uS", window[1], "definition: g_max_uS of this card")
        elif "program_tolerance" in units:
            put("program_tolerance", written.tolerance, where)
    elif law == WRITTEN:
        put("error_c0_uS", 0.0, "not measured: no data of programming errors")
        put("error_reference_uS", window[1], "definition: g_max_uS of this card")
    if aged and drift:
        where = f"fitted to {drift.source} ({len(drift.devices)} devices)"
        notes += _put_drift(put, law, aged, where)
    if write_voltage_V is not None:
        put(next(p for p in _VOLTAGE if p in units), write_voltage_V, "given with --write-voltage")
    if write_time_s is not None:
        put(next(p for p in _TIME if p in units), write_time_s, "given with --write-time")
    given |= _assumed(law, set(given))
    card = Card(
        name=name,
        technology="measured",
        law=law,
        summary=f"Fitted to {', '.join(table.source for table in tables)}",
        citation=f"own measurement: {', '.join(table.source for table in tables)}",
        notes=tuple(notes),
        parameters={parameter: given[parameter] for parameter in units if parameter in given},
    )
    try:
        card.device()
    except NeurosimError as error:
        raise DataError(
            f"{', '.join(str(file) for file in files)}: the fit is no valid device: {error}"
        ) from None
    return Fit(card, intervals, ranking, refused, aged, written, tables)


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
            fitted.append(registry.find("law fitter", name)(pulses))
        except CapabilityError as error:
            if model is not None:
                raise
            refused[name] = str(error)
    if not fitted:
        raise DataError(f"{pulses.source}: no law can be fitted: {'; '.join(refused.values())}")
    return tuple(sorted(fitted, key=lambda one: one.bic)), refused


def _law(name: str) -> type[Law]:
    law: type[Law] = registry.find("device law", name)
    return law


def _window(given: dict[str, Quantity], tables: Sequence[Table]) -> tuple[float, float]:
    """Conductance window: of the fitted law, or as far as targets and states reach."""
    if "g_max_uS" in given:
        return given["g_min_uS"].value, given["g_max_uS"].value
    seen = [float(table.target_uS.max()) for table in tables if isinstance(table, Programming)]
    seen += [max(float(g.max()) for _, _, g in table.devices) for table in tables if isinstance(table, Drift)]
    return 0.0, max(seen)


def _put_drift(put: object, law: str, aged: DriftFit, where: str) -> list[str]:
    assert callable(put)
    spread = aged.spread if aged.spread is not None and aged.spread.value > 0 else None
    if law == "pcm-accumulative":
        put("drift_exponent", aged.exponent, where)
        if spread:
            put("drift_exponent_sigma", spread, where)
    elif law == WRITTEN:
        put("drift_offset", aged.exponent, where)
        put("drift_most", max(aged.exponent.value, 0.0), "the same at every conductance")
        if spread:
            put("drift_sigma_offset", spread, where)
            put("drift_sigma_most", spread.value, "the same at every conductance")
    else:
        return [f"Drift was fitted (exponent {aged.exponent.value:.4g}), but {law} has no drift."]
    put("drift_reference_s", aged.reference_s, "first time in the drift data")
    return []


def _assumed(law: str, given: set[str]) -> dict[str, Quantity]:
    """Parameters that the law must have and the data do not tell, from the first published card of that law."""
    needed = (
        {name for name, field in _law(law).model_fields.items() if field.is_required()} - given - {"name"}
    )
    if not needed:
        return {}
    for file in cards().values():
        card = read(file)
        if card.law == law and needed <= set(card.parameters):
            return {
                name: number.model_copy(update={"source": f"assumed as on card {card.name}: {number.source}"})
                for name, number in card.parameters.items()
                if name in needed
            }
    raise DataError(
        f"{law}: the data do not tell {', '.join(sorted(needed))}, and no published card has them"
    )


def to_toml(card: Card) -> str:
    """Return a card as the text of its file."""
    lines = [
        f"{key} = {_text(getattr(card, key))}" for key in ("name", "technology", "law", "summary", "citation")
    ]
    lines += ["notes = [", *(f"    {_text(note)}," for note in card.notes), "]", "", "[parameters]"]
    for name, number in card.parameters.items():
        lines.append(
            f"{name} = {{ value = {number.value!r}, unit = {_text(number.unit)}, source = {_text(number.source)} }}"
        )
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
