"""From measured data to a device card: every law that can be fitted, ranked, and the card of the best."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurosim.core import registry
from neurosim.core.errors import CapabilityError, DataError, InputError, UnknownNameError
from neurosim.devices.card import Card
from neurosim.devices.fitting.aging import DriftFit, ProgrammingFit, fit_programming
from neurosim.devices.fitting.card_maker import WRITTEN, CardMaker
from neurosim.devices.fitting.curved import STRAIGHT
from neurosim.devices.fitting.curves import gap_of_curves
from neurosim.devices.fitting.from_files import read_tables
from neurosim.devices.fitting.population import Estimate
from neurosim.devices.fitting.reads import ReadsFit, fit_reads
from neurosim.devices.fitting.reads_left_out import without_doubtful_reads
from neurosim.devices.fitting.resampled import RESAMPLES, Progress, corrected, silent
from neurosim.devices.fitting.result import LawFit
from neurosim.devices.fitting.retention import (
    CLEAR,
    RelaxationFit,
    RetentionFit,
)
from neurosim.devices.fitting.shared import same_devices
from neurosim.devices.fitting.stuck import without_stuck
from neurosim.devices.fitting.tables import Drift, Programming, Pulses, Reads, Table, repeated
from neurosim.devices.fitting.write_pulse import put_write_pulse, width_beside
from neurosim.devices.law import Law

_CONTAINS = dict.fromkeys(("linear-step", "power-step", "exp-step"), "constant-step")
"""Laws that another is a case of."""
_NOTHING_MORE = "nothing that it has more describes the data better than"
_BELOW_ZERO = 0.05
"""Share of the upper bound by which a fitted lower bound may lie below zero."""
_ALL_ANSWER = dict.fromkeys(("p_stuck_measured", "stuck_measured_uS"))
"""Numbers without which no device is stuck."""
_OF_SMALL_STEPS = ("soft-bounds", "constant-step", "linear-step")
_OF_AMPLITUDE = "vteam"
"""Law whose step follows amplitude and width of the pulse."""
_CURVED = ("power-step", "exp-step")
_REPEATED = (*_OF_SMALL_STEPS, "power-step")
"""Laws whose fit is repeated on data simulated with its card; the numbers of `exp-step` hang on each other."""
_CLEARLY = (*_CURVED, "nonlinearity-label")
_BIPOLAR = (*_REPEATED, "exp-step", "nonlinearity-label")
"""Laws of identical pulses up and down."""


@dataclass(frozen=True)
class Fit:
    """A fitted device: its card, and where it comes from."""

    card: Card
    intervals: dict[str, Estimate]
    """95 % intervals of those parameters of the card that were fitted."""
    ranking: tuple[LawFit, ...]
    """Laws fitted to the pulses, that of the card first, then the smallest BIC: a curve or a label is on the card where its
    BIC is clearly the smallest."""
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
    progress: Progress = silent,
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
        Read voltage of columns that hold currents, of either sign; before one in a line beside the data.
    write_voltage_V, write_time_s : float, optional
        Of a write pulse up, before what columns or lines beside the data tell; where nothing does, pulses of the card
        have no joules, and it says so.
    name : str
        Name of the card.
    columns : mapping, optional
        Headers of quantities whose names are not understood, as `read_tables` takes them.
    told : callable, optional
        Called before the fit with each of the three lines that say what was understood of a file; of a file that is
        refused, with those that could be said.
    resamples : int
        Sets of data simulated with the card on which the fit of a law of small steps is repeated, twice, to correct it; 0: none.
    progress : callable, optional
        Called with what is done, how many of them are, and of how many: laws, then fits to simulated data.

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
    tables = tuple(read_tables([Path(file) for file in files], read_voltage_V, columns, told))
    tables = tuple(
        _trusted(replace(table, given=(write_voltage_V, write_time_s or width_beside(table))))
        if isinstance(table, Pulses)
        else table
        for table in tables
    )
    pulses = next((table for table in tables if isinstance(table, Pulses)), None)
    ranking, refused = _laws(pulses, model, progress)
    if pulses is not None:
        ranking = (_corrected(ranking[0], pulses, resamples, progress), *ranking[1:])
    maker = CardMaker(ranking[0].law if ranking else WRITTEN)
    if pulses is not None:
        maker.put_pulses(ranking[0], pulses)
        maker.notes += _alike(ranking[0].law, pulses, refused)
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
            maker.put_reads(noise, again, window[1])
        if isinstance(table, Programming):
            written = fit_programming(table, *window)
            maker.put_programming(written, table)
        elif isinstance(table, Drift):
            aged, other = maker.put_ageing(table, window[1])
    if pulses is not None and noise is not None:
        maker.put_apart(noise, pulses)
    maker.notes += same_devices(pulses, tables)
    put_write_pulse(maker, pulses, write_voltage_V, write_time_s)
    card = maker.card(name, ", ".join(table.source for table in tables))
    return Fit(card, maker.intervals, ranking, refused, aged, written, tables, noise, other)


def _trusted(pulses: Pulses) -> Pulses:
    """What of the pulses is fitted: devices that answer, and reads that say something of them."""
    return without_stuck(without_doubtful_reads(pulses))


def _laws(
    pulses: Pulses | None, model: str | None, progress: Progress = silent
) -> tuple[tuple[LawFit, ...], dict[str, str]]:
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
    asked = known if model is None else [model]
    for done, name in enumerate(asked):
        progress("fits of laws", done, len(asked))
        try:
            fitted.append(_fitted(name, pulses))
        except CapabilityError as error:
            if model is not None:
                raise CapabilityError(f"{pulses.source}: {name} cannot be fitted: {error}") from None
            refused[name] = str(error)
    progress("fits of laws", len(asked), len(asked))
    for whole, part in _CONTAINS.items():
        _refuse_below(whole, part, fitted, refused)
    if not fitted:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise DataError(f"{pulses.source}: no law can be fitted ({reasons})")
    return _ranked(fitted), refused


def _ranked(fitted: Sequence[LawFit]) -> tuple[LawFit, ...]:
    """Order laws by their BIC, behind that of the card: a curve or a label must be clearly better than small steps are."""
    order = sorted(fitted, key=lambda one: one.bic)
    best = order[0]
    plain = next((one for one in order if one.law in _OF_SMALL_STEPS and not _clearly(best, one)), None)
    if plain is not None and best.law in _CLEARLY:
        order.remove(plain)
        order.insert(0, plain)
    return tuple(order)


def _clearly(best: LawFit, other: LawFit) -> bool:
    """Whether the first is told from the other, however numbers are counted that data do not tell.

    A curve follows each device's bounds where none was reached, and so has more freedom than a line, which does not.
    """
    return min(other.bic - best.bic, other.bic_of_told - best.bic_of_told) >= CLEAR


def _undecided(ranking: Sequence[LawFit], refused: Mapping[str, str]) -> list[str]:
    """Say which laws describe the data about as well as the best, or could not be asked."""
    if not ranking:
        return []
    best = ranking[0]
    said = []
    for one in ranking[1:]:
        if not _clearly(best, one):
            by, told = one.bic - best.bic, one.bic_of_told - best.bic_of_told
            also = (
                f" ({abs(told):.1f} {_side(told)} without numbers that no device told)" if by >= CLEAR else ""
            )
            said.append(
                f"The data do not tell {best.law} from {one.law}, whose BIC is {abs(by):.1f} {_side(by)}{also}; {CLEAR:g} "
                "above would be clear."
            )
    return said + [
        f"Not ruled out, for these data give no card of it: {law} ({reason})."
        for law, reason in refused.items()
        if {law, best.law} <= set(_BIPOLAR) and _not_asked(reason)
    ]


def _side(by: float) -> str:
    return "above" if by >= 0 else "below"


def _not_asked(reason: str) -> bool:
    """Whether a law was refused for anything but that it has nothing to say beyond a plainer one."""
    return reason not in STRAIGHT and _NOTHING_MORE not in reason


def _alike(law: str, pulses: Pulses, refused: Mapping[str, str]) -> list[str]:
    """Say that pulses which differ were taken for alike, where the law has neither amplitude nor width."""
    differing = pulses.differing()
    if not differing or law == _OF_AMPLITUDE:
        return []
    why = f"; {_OF_AMPLITUDE}, which has both, {refused[_OF_AMPLITUDE]}" if _OF_AMPLITUDE in refused else ""
    said = (
        f"Pulses of one polarity differ by {differing} and were taken for alike: steps and noise of this card are those of "
        f"their mixture, for {law} has neither{why}."
    )
    return [said]


def _refuse_below(whole: str, part: str, fitted: list[LawFit], refused: dict[str, str]) -> None:
    """Refuse the fit of a law that describes the data worse than one that it contains: its search went astray."""
    found = {one.law: one for one in fitted}
    if whole in found and part in found and found[whole].largest.value < found[part].largest.value:
        fitted.remove(found[whole])
        refused[whole] = f"{_NOTHING_MORE} {part}, which it contains"


def _corrected(found: LawFit, pulses: Pulses, resamples: int, progress: Progress = silent) -> LawFit:
    """Correct the fit of a law of small steps by fits to data simulated with its card."""

    def device(of: LawFit) -> Law:
        return _device(of, pulses).with_parameters(**_ALL_ANSWER)

    if found.law not in _BIPOLAR:
        return found
    fitted = found
    if found.law in _REPEATED:
        fitter = registry.find("law fitter", found.law)
        fitted = corrected(found, pulses, device, fitter, resamples, progress)
    gap = gap_of_curves(device(fitted), pulses)
    return fitted if gap is None else replace(fitted, notes=(*fitted.notes, gap))


def _device(found: LawFit, pulses: Pulses) -> Law:
    """Return the device of a fit; raises `DataError` if its numbers make none."""
    maker = CardMaker(found.law)
    maker.put_pulses(found, pulses)
    return maker.card("fitted", pulses.source).device()


def _fitted(name: str, pulses: Pulses) -> LawFit:
    """Fit one law; numbers that are none or make no device, or no solution, are a law that cannot be fitted."""
    with np.errstate(all="ignore"):
        try:
            found: LawFit = registry.find("law fitter", name)(pulses)
            bic = found.bic
        except (np.linalg.LinAlgError, ArithmeticError):
            raise CapabilityError("the data do not tell its numbers apart") from None
        numbers = [end for estimate in found.numbers.values() for end in (estimate.low, estimate.high)]
        if not np.isfinite([bic, *numbers]).all():
            raise CapabilityError("the data do not tell its numbers apart")
    found = _above_zero(found)
    if name in _CURVED:
        try:
            _device(found, pulses)
        except DataError as error:
            raise CapabilityError(str(error)) from None
    return found


def _above_zero(found: LawFit) -> LawFit:
    """Refuse a law whose lower bound lies clearly below zero; where it does by less, take zero and say so."""
    low = found.numbers.get("g_min_uS")
    if low is None or low.value >= 0:
        return found
    top = found.numbers["g_max_uS"].value if "g_max_uS" in found.numbers else found.conventions["g_max_uS"][0]
    if low.value < -_BELOW_ZERO * top:
        raise CapabilityError(f"its lower bound would lie at {low.value:.3g} uS")
    note = f"The lower bound was fitted at {low.value:.2g} uS: zero on the card."
    numbers = {**found.numbers, "g_min_uS": low.at_least(0.0)}
    return replace(found, numbers=numbers, notes=(*found.notes, note))


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
