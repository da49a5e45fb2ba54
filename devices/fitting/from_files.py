"""From files of measurements to what the fitters take: traces, records and pairs, checked at the door."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from neurosim.core.errors import DataError
from neurosim.devices.fitting.tables import (
    FEWEST_PULSES,
    STEADY_K,
    Drift,
    Programming,
    Pulses,
    Reads,
    Table,
    Trace,
    Values,
    moves,
)
from neurosim.devices.measurements import FEWEST_READS, ONE_DEVICE, Measured, measured

_SURE = 2.0
"""Standard errors by which SET must move devices up."""
_CHANCE, _PART = 1e-4, 0.1
"""Pulses move a device the wrong way where chance would do it in so few files, and a train of them over that part of
the median device's range."""
_MINUS = 'if so, a minus turns them: --column polarity="-HEADER" or --column pulse_voltage="-HEADER"'
_TURN = "turn the ramp round if its x axis runs back, or give the file (the column) the name of the other polarity"


def read_tables(
    files: Sequence[Path],
    read_voltage_V: float | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    told: Callable[[str], None] | None = None,
) -> list[Table]:
    """Read measured data; ramps of several files are brought together.

    Parameters
    ----------
    files : sequence of path
        Text files of columns, as `neurosim.devices.measurements.measured` reads them; ramps in files of their own have
        names that say set or reset.
    read_voltage_V : float, optional
        Makes conductances of currents that have no read voltage beside them, and of ramps; of either sign.
    columns : mapping, optional
        Header (or number, from 1) of the column of a quantity where the name does not tell it: `{"conductance": "Leitwert
        (µS)"}`, `{"conductance_uS": "Leitwert"}`; or the order of pulses, `{"polarity": "50 SET, 50 RESET"}`.
    told : callable, optional
        Called with each line that says what was understood of a file, before anything of it is refused that can be.

    Raises
    ------
    DataError
        If a file cannot be read, lacks a column, or holds values that cannot be right.
    """
    tables: list[Table] = []
    ramps: list[Measured] = []
    names = ", ".join(file.name for file in files)
    found = [measured(file, read_voltage_V, columns, len(files) > 1, told) for file in files]
    wanted = {header for to in (columns or {}).values() for header in ([to] if isinstance(to, str) else to)}
    for header in sorted(wanted - {header for one in found for header in one.headers}):
        raise DataError(f"{names}: --column: no column '{header}' in any of the files")
    for one in found:
        if one.ramps:
            _check_directions(_traces(one), one.source.name, _TURN)
            ramps.append(one)
        else:
            tables.append(_table(one))
    if ramps:
        tables.append(
            replace(
                _checked_pulses(_joined([trace for one in ramps for trace in _traces(one)]), names),
                ramps=True,
                unit_assumed=any(one.unit_assumed for one in ramps),
                said=tuple(line for one in ramps for line in one.said),
                left_out="; ".join(one.left_out for one in ramps if one.left_out),
                settings=tuple((one.source.name, setting) for one in ramps for setting in one.settings),
            )
        )
    kinds = [type(table).__name__ for table in tables]
    for kind in set(kinds):
        if kinds.count(kind) > 1:
            raise DataError(f"{names}: two files of the form {kind.lower()}; put their rows into one")
    return tables


def _table(found: Measured) -> Table:
    if found.kind == "pulses":
        table: Table = replace(
            _checked_pulses(_traces(found), found.source.name),
            limits_uS=found.limits_uS,
            settings=tuple((found.source.name, one) for one in found.settings),
            headers_of_pulses=found.headers_of_pulses,
            volts_assumed=found.volts_assumed,
        )
    elif found.kind == "reads":
        table = _reads(found)
    else:
        table = _drift(found) if found.kind == "drift" else _programming(found)
    return replace(table, said=found.said, left_out=found.left_out)


def _groups(names: Iterable[str]) -> dict[str, NDArray[np.intp]]:
    order: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        order.setdefault(name, []).append(row)
    return {name: np.array(rows) for name, rows in order.items()}


def _traces(found: Measured) -> list[Trace]:
    """One trace a device; a run starts where pulse numbers do, and where a read or a pulse is missing."""
    return [_trace(str(name), own) for name, own in found.table.groupby("device", sort=False)]


def _missed(rows: pd.DataFrame) -> tuple[tuple[int, int], ...]:
    """Return where reads are missing within a run whose pulses are all known, see `Trace.missed`."""
    there = np.flatnonzero(rows["conductance_uS"].notna())
    ramp, pulse, sign = (rows[name].to_numpy() for name in ("ramp", "pulse", "polarity"))
    found = []
    for row, (before, at) in enumerate(itertools.pairwise(there), start=1):
        known = ramp[before] == ramp[at] and pulse[at] - pulse[before] == at - before
        if at - before > 1 and known:
            given = sign[before + 1 : at + 1]
            downs = np.flatnonzero(given < 0)
            ups = int(np.count_nonzero(given[downs[-1] :] > 0 if downs.size else given > 0))
            found.append((row, -ups if downs.size else ups))
    return tuple(found)


def _trace(name: str, rows: pd.DataFrame) -> Trace:
    missed = _missed(rows)
    rows = rows[rows["conductance_uS"].notna()]
    sign = rows["polarity"].to_numpy(np.int8, copy=True)
    starts = (np.diff(rows["ramp"].to_numpy()) != 0) | (np.diff(rows["pulse"].to_numpy(np.float64)) > 1)
    sign[:1] = 0
    sign[1:][starts] = 0
    volts, seconds = (rows[of].to_numpy(np.float64) if of in rows else None for of in ("pulse_V", "pulse_s"))
    return Trace(name, sign, rows["conductance_uS"].to_numpy(np.float64), missed, volts, seconds)


def _checked_pulses(traces: Sequence[Trace], source: str) -> Pulses:
    for trace in traces:
        most = max(int(np.count_nonzero(trace.sign == sign)) for sign in (1, -1))
        if most < FEWEST_PULSES:
            apart = (
                f"; each of its {trace.sign.size} rows begins a run, as pulse numbers have gaps or cycles end: number the "
                'pulses 1, 2, 3, or say which column does, --column pulse="HEADER"'
                if most == 0 and trace.sign.size > 1
                else ""
            )
            raise DataError(
                f"{source}: device {trace.device} has {most} pulses of one polarity; "
                f"at least {FEWEST_PULSES} whose effect was seen are needed{apart}"
            )
    if not any(np.ptp(trace.conductance_uS) > 0 for trace in traces):
        raise DataError(f"{source}: no device answers to pulses, every conductance stays the same")
    _check_answer([moves(traces, sign) for sign in (1, -1)], source)
    _check_directions(traces, source, f"are the polarities of this device swapped? I{_MINUS[1:]}")
    return Pulses(tuple(traces), source)


def _check_answer(moves: list[Values], source: str) -> None:
    """Raise `DataError` if SET does not raise the conductance by more than chance, against RESET or nothing."""
    kinds = [move for move in moves if move.size]
    up, down = moves[0], moves[1]
    gap = float((up.mean() if up.size else 0.0) - (down.mean() if down.size else 0.0))
    error = np.sqrt(sum(move.var(ddof=1) / move.size if move.size > 1 else 0.0 for move in kinds))
    if gap < 0 and -gap > _SURE * error:
        raise DataError(
            f"{source}: SET pulses lower the conductance, or RESET pulses raise it; are polarities swapped? I{_MINUS[1:]}"
        )
    if gap <= _SURE * error:
        raise DataError(
            f"{source}: no device answers to pulses: over a train of pulses SET and RESET differ by "
            f"{gap:.3g} uS, no more than chance (± {_SURE * error:.2g} uS)"
        )


def _check_directions(traces: Sequence[Trace], source: str, remedy: str) -> None:
    """Raise `DataError` if SET pulses lower the conductance of a device, or RESET pulses raise it.

    Single changes are tested against none (Student's t; of a walk with noise their spread is too large, if anything),
    and what they add up to over a train is weighed against the range of the median device.
    """
    reach = float(np.median([np.ptp(np.quantile(trace.conductance_uS, (0.02, 0.98))) for trace in traces]))
    for trace, (sign, does) in itertools.product(
        traces, ((1, "SET pulses lower"), (-1, "RESET pulses raise"))
    ):
        rows = np.flatnonzero(trace.sign == sign)
        wrong = -sign * (trace.conductance_uS[rows] - trace.conductance_uS[rows - 1])
        if rows.size < FEWEST_PULSES:
            continue
        train = -sign * float(moves([trace], sign).mean())
        error = float(wrong.std(ddof=1) / np.sqrt(rows.size)) + 1e-12 * reach
        chance = float(stats.t.sf(wrong.mean() / error, rows.size - 1))
        if chance < _CHANCE / len(traces) and train > _PART * reach:
            raise DataError(
                f"{source}: {does} the conductance of {_named(trace)}, by {train:.3g} uS over a train "
                f"({rows.size} pulses); {remedy}"
            )


def _named(trace: Trace) -> str:
    return "the device" if trace.device == ONE_DEVICE else f"device {trace.device}"


def _joined(traces: Sequence[Trace]) -> list[Trace]:
    """One trace for each device, its ramps one after another."""
    return [
        Trace(
            name,
            np.concatenate([traces[k].sign for k in at]),
            np.concatenate([traces[k].conductance_uS for k in at]),
            tuple((row + start, ups) for k, start in _starts(traces, at) for row, ups in traces[k].missed),
        )
        for name, at in _groups([trace.device for trace in traces]).items()
    ]


def _starts(traces: Sequence[Trace], at: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return traces with their first rows in the trace that they are joined to."""
    lengths = [traces[k].sign.size for k in at]
    return list(zip(map(int, at), itertools.accumulate(lengths, initial=0), strict=False))


def _programming(found: Measured) -> Programming:
    table = found.table.dropna()
    if len(table) < 2 * FEWEST_PULSES:
        raise DataError(
            f"{found.source}: {len(table)} programmed devices; at least {2 * FEWEST_PULSES} are needed"
        )
    return Programming(
        table["target_uS"].to_numpy(np.float64),
        table["achieved_uS"].to_numpy(np.float64),
        found.source.name,
    )


def _reads(found: Measured) -> Reads:
    states = []
    for name, own in found.table.groupby("device", sort=False):
        gone = np.diff(own["time_s"].to_numpy(np.float64), prepend=-np.inf)
        for _, state in own.groupby(np.cumsum(gone < 0), sort=False):
            kept = state.dropna()
            times, g = kept["time_s"].to_numpy(np.float64), kept["conductance_uS"].to_numpy(np.float64)
            if len(kept) < FEWEST_READS:
                raise DataError(
                    f"{found.source}: a state of device {name} has {len(kept)} reads that are not missing; at least "
                    f"{FEWEST_READS} are needed"
                )
            if (np.diff(times) == 0).any():
                line = kept["line"].to_numpy()[1:][np.diff(times) == 0][0]
                raise DataError(f"{found.source} line {line}: device {name} is read twice at one time")
            if (g <= 0).any():
                raise DataError(f"{found.source}: device {name} reaches zero conductance")
            states.append((str(name), times, g))
    return Reads(tuple(states), found.source.name)


def _drift(found: Measured) -> Drift:
    file, devices, kelvin = found.source, [], []
    named = '; if there are several devices, name their column: --column device="HEADER"'
    table = found.table.dropna()
    for (name, level), own in table.groupby(["device", _levels(table)], sort=False):
        t, g = own["time_s"].to_numpy(np.float64), own["conductance_uS"].to_numpy(np.float64)
        if (np.diff(t) <= 0).any() or t[0] <= 0:
            line = own["line"].to_numpy()[np.argmax(np.diff(t, prepend=0.0) <= 0)]
            raise DataError(
                f"{file} line {line}: times of device {name} must be above zero and grow; they count from the write"
                + (named if name == ONE_DEVICE else "")
            )
        if len(t) < 3 or t[-1] < 3 * t[0]:
            raise DataError(
                f"{file}: device {name} needs three times or more, the last at least 3 times the first"
            )
        if (g <= 0).any():
            raise DataError(f"{file}: device {name} reaches zero conductance, which has no logarithm")
        devices.append((str(name), t, g))
        kelvin.append(level)
    return Drift(tuple(devices), file.name, temperature_K=tuple(kelvin) if "temperature_K" in table else ())


def _levels(table: pd.DataFrame) -> pd.Series[float]:
    """Temperature of the record that each read belongs to: its device's mean, where that hardly changes."""
    if "temperature_K" not in table:
        return pd.Series(0.0, table.index)
    kelvin = table["temperature_K"]
    by_device = kelvin.groupby(table["device"])
    wide = by_device.transform("max") - by_device.transform("min") > STEADY_K
    return by_device.transform("mean").where(~wide, kelvin.round())
