"""Measured data: the forms of CSV file that `neurosim fit` reads, checked at the door."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import DataError

Values = NDArray[np.float64]
SMALLEST_S, LARGEST_S = 1e-10, 1e-1
"""Conductances outside are taken for a wrong unit."""
FEWEST_PULSES = 10
"""For each device, of one polarity at least; of each polarity that a law needs."""
_SURE = 2.0
"""Standard errors by which SET must move devices up."""
_UP = {"1", "+1", "set", "up", "p", "ltp", "potentiation", "+"}
_DOWN = {"-1", "reset", "down", "d", "ltd", "depression", "-"}
_START = {"", "0", "none", "start", "read"}
_TO_US = {"S": 1e6, "mS": 1e3, "uS": 1.0, "nS": 1e-3}


@dataclass(frozen=True)
class Trace:
    """Conductance of one device after each pulse."""

    device: str
    sign: NDArray[np.int8]
    """+1 or -1, and 0 where a run starts: nothing is known of what came before."""
    conductance_uS: Values


@dataclass(frozen=True)
class Pulses:
    """Traces of pulsed devices."""

    traces: tuple[Trace, ...]
    source: str
    ramps: bool = False
    """Read from columns without names of quantities."""

    @property
    def count(self) -> int:
        """Number of pulses whose effect was seen."""
        return int(sum(np.count_nonzero(trace.sign) for trace in self.traces))

    def fewest(self, sign: int) -> int:
        """Pulses of that polarity that the device with the fewest was given."""
        return min(int(np.count_nonzero(trace.sign == sign)) for trace in self.traces)


@dataclass(frozen=True)
class Programming:
    """Conductances that were asked for and those that were reached."""

    target_uS: Values
    achieved_uS: Values
    source: str


@dataclass(frozen=True)
class Drift:
    """Conductance of each device at growing times since it was written."""

    devices: tuple[tuple[str, Values, Values], ...]
    """(name, times in s, conductances in uS) of each."""
    source: str


Table = Pulses | Programming | Drift
FORMS = {
    "pulses": ("device", "pulse", "polarity", "conductance_S | conductance_uS | current_A"),
    "programming": ("target_S | target_uS", "achieved_S | achieved_uS"),
    "drift": ("device", "time_s", "conductance_S | conductance_uS | current_A"),
}
"""Columns of each form; ramps (one column a ramp) have none."""


def read_tables(files: Sequence[Path], read_voltage_V: float | None = None) -> list[Table]:
    """Read measured data; ramps of several files are brought together.

    Parameters
    ----------
    files : sequence of path
        CSV files, each of one of `FORMS`, or ramps whose file names say set or reset.
    read_voltage_V : float, optional
        Makes conductances of a column `current_A` that has no `read_voltage_V` beside it, and of ramps.

    Raises
    ------
    DataError
        If a file cannot be read, has other columns, or holds values that cannot be right.
    """
    tables: list[Table] = []
    ramps: list[Trace] = []
    names = ", ".join(file.name for file in files)
    for file in files:
        rows = list(_rows(file))
        header = [cell.strip().lower() for cell in rows[0][1]]
        if "target" in "".join(header):
            tables.append(_programming(file, rows))
        elif any(cell.startswith("time") for cell in header):
            tables.append(_drift(file, rows, read_voltage_V))
        elif {"device", "pulse", "polarity"} & set(header):
            tables.append(_pulses(file, rows, read_voltage_V))
        else:
            ramps.extend(_ramps(file, rows, read_voltage_V))
    if ramps:
        tables.append(replace(_checked_pulses(_joined(ramps), names), ramps=True))
    kinds = [type(table).__name__ for table in tables]
    for kind in set(kinds):
        if kinds.count(kind) > 1:
            raise DataError(f"{names}: two files of the form {kind.lower()}; put their rows into one")
    return tables


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"{file}: cannot read ({reason})") from None
    lines = ["" if line.startswith("#") else line for line in text.splitlines()]
    try:
        numbered = [(k, row) for k, row in enumerate(csv.reader(lines), start=1) if any(map(str.strip, row))]
    except csv.Error as error:
        raise DataError(f"{file}: not a CSV file ({error})") from None
    if len(numbered) < 2:
        raise DataError(f"{file}: no rows of data below the header")
    header = ",".join(numbered[0][1])
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in header:
            raise DataError(f"{file}: cells are separated by {name}; use commas, and points in numbers")
    yield from numbered


class _Columns:
    """Columns of one file by name, with what is wrong said in one line."""

    def __init__(self, file: Path, rows: list[tuple[int, list[str]]], form: str):
        self.file, self.form = file, form
        self.names = [cell.strip() for cell in rows[0][1]]
        self.rows = rows[1:]
        for name in self.names:
            if self.names.count(name) > 1:
                raise DataError(f"{file}: two columns are named '{name}'; keep one")
        for line, row in self.rows:
            if len(row) != len(self.names):
                raise DataError(f"{file} line {line}: {len(row)} cells, the header has {len(self.names)}")

    def place(self, name: str) -> int | None:
        lower = [known.lower() for known in self.names]
        return lower.index(name.lower()) if name.lower() in lower else None

    def text(self, name: str) -> list[str]:
        place = self.place(name)
        if place is None:
            raise self.missing(name)
        return [row[place].strip() for _, row in self.rows]

    def missing(self, name: str) -> DataError:
        needed = ", ".join(FORMS[self.form])
        return DataError(
            f"{self.file}: no column {name}; found {', '.join(self.names)}; {self.form} data need {needed}"
        )

    def numbers(self, name: str) -> Values:
        values = []
        for (line, _), cell in zip(self.rows, self.text(name), strict=True):
            values.append(_number(self.file, line, name, cell))
        return np.array(values)

    def conductance(self, stem: str, read_voltage_V: float | None = None) -> Values:
        """Return a conductance column in uS, whatever its unit, or current over read voltage."""
        for unit, factor in _TO_US.items():
            place = f"{stem}_{unit}"
            if self.names.count(place) or (unit in ("S", "uS") and self.place(place) is not None):
                return _plausible(self.file, place, self.numbers(place) * factor)
        if stem == "conductance" and self.place("current_A") is not None:
            return _plausible(
                self.file, "current_A", 1e6 * self.numbers("current_A") / self._voltage(read_voltage_V)
            )
        raise self.missing(f"{stem}_S")

    def _voltage(self, given: float | None) -> Values | float:
        if self.place("read_voltage_V") is not None:
            voltages = self.numbers("read_voltage_V")
            if (voltages == 0).any():
                raise DataError(f"{self.file}: read_voltage_V is zero in some row")
            return voltages
        if given is None:
            raise DataError(f"{self.file}: current_A needs a column read_voltage_V, or --read-voltage VOLT")
        return given


def _number(file: Path, line: int, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise DataError(f"{file} line {line}: {name} = '{cell}' is not a number") from None
    if not np.isfinite(value):
        raise DataError(
            f"{file} line {line}: {name} = {cell}; NaN and infinity cannot be fitted, drop the row"
        )
    return value


def _plausible(file: Path, name: str, values_uS: Values) -> Values:
    largest, middle = float(values_uS.max()) * 1e-6, float(np.median(values_uS)) * 1e-6
    if values_uS.min() < 0:
        raise DataError(f"{file}: {name} holds a negative conductance ({values_uS.min() * 1e-6:.3g} S)")
    for value in (largest, middle):
        if not SMALLEST_S <= value <= LARGEST_S:
            raise DataError(
                f"{file}: {name} means {value:.3g} S, outside {SMALLEST_S:g} to {LARGEST_S:g} S; is the unit right?"
            )
    return values_uS


def _groups(names: list[str]) -> dict[str, NDArray[np.intp]]:
    order: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        order.setdefault(name, []).append(row)
    return {name: np.array(rows) for name, rows in order.items()}


def _pulses(file: Path, rows: list[tuple[int, list[str]]], read_voltage_V: float | None) -> Pulses:
    table = _Columns(file, rows, "pulses")
    devices, signs = table.text("device"), table.text("polarity")
    number = table.numbers("pulse")
    conductance = table.conductance("conductance", read_voltage_V)
    sign = np.array(
        [_sign(file, line, text) for (line, _), text in zip(table.rows, signs, strict=True)], np.int8
    )
    traces = []
    for name, at in _groups(devices).items():
        gaps = np.diff(number[at])
        if (gaps <= 0).any():
            line = table.rows[at[1:][gaps <= 0][0]][0]
            raise DataError(f"{file} line {line}: pulse numbers of device {name} do not grow")
        own = sign[at]
        own[0] = 0
        own[1:][gaps > 1] = 0
        traces.append(Trace(name, own, conductance[at]))
    return _checked_pulses(traces, file.name)


def _sign(file: Path, line: int, text: str) -> int:
    word = text.strip().lower().removesuffix(".0")
    for sign, words in ((1, _UP), (-1, _DOWN), (0, _START)):
        if word in words:
            return sign
    raise DataError(
        f"{file} line {line}: polarity = '{text}'; use SET or RESET, +1 or -1, empty before the first"
    )


def _checked_pulses(traces: Sequence[Trace], source: str) -> Pulses:
    for trace in traces:
        most = max(int(np.count_nonzero(trace.sign == sign)) for sign in (1, -1))
        if most < FEWEST_PULSES:
            raise DataError(
                f"{source}: device {trace.device} has {most} pulses of one polarity; "
                f"at least {FEWEST_PULSES} whose effect was seen are needed"
            )
    if not any(np.ptp(trace.conductance_uS) > 0 for trace in traces):
        raise DataError(f"{source}: no device answers to pulses, every conductance stays the same")
    _check_answer([_moves(traces, sign) for sign in (1, -1)], source)
    return Pulses(tuple(traces), source)


def _moves(traces: Sequence[Trace], sign: int) -> Values:
    """Net change of conductance over each train of pulses of one polarity."""
    found = []
    for trace in traces:
        ends = np.flatnonzero(np.diff(np.concatenate([[0], trace.sign == sign, [0]]).astype(np.int8)))
        found += [trace.conductance_uS[b - 1] - trace.conductance_uS[a - 1] for a, b in ends.reshape(-1, 2)]
    return np.array(found)


def _check_answer(moves: list[Values], source: str) -> None:
    """Raise `DataError` if SET does not raise the conductance by more than chance, against RESET or nothing."""
    kinds = [move for move in moves if move.size]
    up, down = moves[0], moves[1]
    gap = float((up.mean() if up.size else 0.0) - (down.mean() if down.size else 0.0))
    error = np.sqrt(sum(move.var(ddof=1) / move.size if move.size > 1 else 0.0 for move in kinds))
    if gap < 0 and -gap > _SURE * error:
        raise DataError(
            f"{source}: SET pulses lower the conductance, or RESET pulses raise it; are polarities swapped?"
        )
    if gap <= _SURE * error:
        raise DataError(
            f"{source}: no device answers to pulses: over a train of pulses SET and RESET differ by "
            f"{gap:.3g} uS, no more than chance (± {_SURE * error:.2g} uS)"
        )


def _ramps(file: Path, rows: list[tuple[int, list[str]]], read_voltage_V: float | None) -> list[Trace]:
    """One column a ramp, one row a pulse; a first row of names says which device a column belongs to."""
    name = file.stem.lower()
    down = re.search(r"(?<![a-z])(reset|down|depression|ltd)(?![a-z])", name) is not None
    if not down and not re.search(r"(?<![a-z])(set|up|potentiation|ltp)(?![a-z])", name):
        needed = "; ".join(f"{form}: {', '.join(columns)}" for form, columns in FORMS.items())
        raise DataError(
            f"{file}: columns {', '.join(rows[0][1][:6])} are of no known form ({needed}); "
            "or ramps, one column each, in a file named set or reset"
        )
    header = rows[0][1]
    named = not all(_is_number(cell) for cell in header)
    devices = [cell.strip() for cell in header] if named else ["device"] * len(header)
    traces = []
    for column, device in enumerate(devices):
        values = []
        for line, row in rows[1:] if named else rows:
            if len(row) != len(header):
                raise DataError(f"{file} line {line}: {len(row)} cells, the first row has {len(header)}")
            if row[column].strip():
                values.append(_number(file, line, f"column {column + 1}", row[column]))
        if len(values) < 2:
            raise DataError(f"{file}: column {column + 1} has fewer than two rows")
        scale = 1e6 / (read_voltage_V or 1.0)
        conductance = _plausible(file, f"column {column + 1}", np.array(values) * scale)
        sign = np.full(len(values), -1 if down else 1, np.int8)
        sign[0] = 0
        traces.append(Trace(device, sign, conductance))
    return traces


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()
    return True


def _joined(traces: Sequence[Trace]) -> list[Trace]:
    """One trace for each device, its ramps one after another."""
    return [
        Trace(
            name,
            np.concatenate([traces[k].sign for k in at]),
            np.concatenate([traces[k].conductance_uS for k in at]),
        )
        for name, at in _groups([trace.device for trace in traces]).items()
    ]


def _programming(file: Path, rows: list[tuple[int, list[str]]]) -> Programming:
    table = _Columns(file, rows, "programming")
    target, achieved = table.conductance("target"), table.conductance("achieved")
    if len(target) < 2 * FEWEST_PULSES:
        raise DataError(f"{file}: {len(target)} programmed devices; at least {2 * FEWEST_PULSES} are needed")
    return Programming(target, achieved, file.name)


def _drift(file: Path, rows: list[tuple[int, list[str]]], read_voltage_V: float | None) -> Drift:
    table = _Columns(file, rows, "drift")
    names, times = table.text("device"), table.numbers("time_s")
    conductance = table.conductance("conductance", read_voltage_V)
    devices = []
    for name, at in _groups(names).items():
        t, g = times[at], conductance[at]
        if (np.diff(t) <= 0).any() or t[0] <= 0:
            line = table.rows[at[np.argmax(np.diff(t, prepend=0.0) <= 0)]][0]
            raise DataError(f"{file} line {line}: times of device {name} must be above zero and grow")
        if len(t) < 3 or t[-1] < 3 * t[0]:
            raise DataError(
                f"{file}: device {name} needs three times or more, the last at least 3 times the first"
            )
        if (g <= 0).any():
            raise DataError(f"{file}: device {name} reaches zero conductance, which has no logarithm")
        devices.append((name, t, g))
    return Drift(tuple(devices), file.name)
