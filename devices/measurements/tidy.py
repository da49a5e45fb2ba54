"""From columns to tidy tables: one row a read, with device, ramp, pulse, polarity and conductance."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurosim.core.errors import DataError
from neurosim.devices.measurements import columns as col
from neurosim.devices.measurements import refusals
from neurosim.devices.measurements.columns import VALUES, Column, device_of
from neurosim.devices.measurements.pulses import (
    another_in_every_row,
    by_pattern,
    direction,
    number_runs,
    pattern,
    shapes,
    signs,
    without_repeats,
)
from neurosim.devices.measurements.reading import Sheet, Values, is_number, read_sheet
from neurosim.devices.measurements.reads import Reads, are_repeated, plausible
from neurosim.devices.measurements.result import ONE_DEVICE, Measured
from neurosim.devices.measurements.said import beside_the_data, held, left_out, meaning
from neurosim.devices.measurements.settings import COLUMNS, of_one_polarity, settings_of, sorted_out

_ORDER = ("line", "device", "ramp", "pulse", "polarity", "pulse_V", "pulse_s", "time_s", "temperature_K")
"""Columns of tables, before those of conductance."""


def measured(
    file: Path,
    read_voltage_V: float | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    elsewhere: bool = False,
    told: Callable[[str], None] | None = None,
) -> Measured:
    """Read one file of measurements.

    Parameters
    ----------
    file : path
        Text of columns, of pulses, drift or programming errors.
    read_voltage_V : float, optional
        Makes conductances of currents that have no read voltage beside them; of either sign.
    columns : mapping, optional
        Header (or number, from 1) of the column that holds a quantity, or several headers; `conductance_uS` gives the
        unit as well, a minus before the header turns its sign. Quantities are `QUANTITIES`; polarity may be the order of
        the pulses, `50 SET, 50 RESET`.
    elsewhere : bool
        These may be headers of another file.
    told : callable, optional
        Called with each line that says what was understood, also of a file that is refused thereafter.

    Raises
    ------
    DataError
        If the file cannot be read or lacks what is needed; the message names the option that gives it.
    InputError
        If `columns` names an unknown quantity.
    """
    named = {key: [to] if isinstance(to, str) else list(to) for key, to in (columns or {}).items()}
    for key in named:
        col.asked(key)
    headers = {header.strip().lstrip("-").lower() for to in named.values() for header in to}
    sheet = read_sheet(file, lambda cell: cell.lower() in headers or col.is_known(cell), col.is_unit)
    tell = told or (lambda line: None)
    tell(f"{file.name}: {sheet.said}")
    maker = _Maker(sheet, read_voltage_V, named, elsewhere)
    try:
        found = maker.made()
    except DataError:
        tell(maker.so_far())
        raise
    for line in found.said[1:]:
        tell(line)
    return found


class _Maker:
    """Makes the tidy table of one sheet."""

    def __init__(
        self, sheet: Sheet, read_voltage_V: float | None, told: Mapping[str, Sequence[str]], elsewhere: bool
    ):
        self.sheet, self.file = sheet, sheet.file
        self.pattern = [sign for text in told.get("polarity", ()) for sign in pattern(text)]
        patterns = told["polarity"] if self.pattern else ()
        told = {key: headers for key, headers in told.items() if headers is not patterns}
        named, self.unnamed = col.understand(sheet, told, elsewhere)
        self.of: dict[str, list[Column]] = {}
        for column in named:
            self.of.setdefault(column.quantity, []).append(column)
        self.used: dict[int, str] = {}
        self.settings, self.unclear = settings_of(sheet.aside)
        read = next((one for one in self.settings if one.quantity == "read_voltage"), None)
        self.reads = Reads(sheet, self.of, read_voltage_V, self.used, read)
        there = (h for to in told.values() for h in to if col.find(sheet, h)[0] is not None)
        self.headers = (*there, *patterns)
        self.file_sign = direction(self.file.stem)
        self.unit_assumed = False
        self.told = {col.asked(key)[0] for key in told}

    def made(self) -> Measured:
        """Return what the file holds, told by its columns."""
        values = self.value_columns()
        if "target" in self.of:
            both = {"pulse", "polarity", "pulse_voltage"} & set(self.of)
            if both and "achieved" not in self.of:
                raise DataError(
                    f"{self.file}: holds targets and pulses ({', '.join(sorted(both))}); write what was reached at last "
                    "beside its target in one file, pulses in another"
                )
            return self.programming()
        ramps = [column for column in values if direction(column.header)]
        if not self.pattern and not {"polarity", "pulse_voltage"} & set(self.of):
            if ramps and "cycle" in self.of and "pulse" not in self.of:
                raise refusals.one_row_a_cycle(self.sheet, self.of["cycle"][0])
            if ramps:
                return self.ramps([(c, direction(c.header), _rest(c.header)) for c in ramps])
            if self.file_sign and not {"pulse", "device"} & set(self.of) and not self.timed_set():
                return self.ramps(
                    [(c, self.file_sign, device_of(c.header)) for c in self.columns_of_file(values)]
                )
            if "time" in self.of:
                return self.drift(values)
            raise refusals.unknown(self.sheet, self.of, values)
        return self.pulses(values)

    def so_far(self) -> str:
        """Return what the columns of a file that is refused were taken for."""
        taken = {
            column.place: f'{quantity.replace("_", " ")} "{column.header}"'
            for quantity, found in self.of.items()
            for column in found
        }
        taken |= {column.place: f'{column.quantity} "{column.header}"' for column in self.unnamed}
        words = meaning(self.sheet, [], {**taken, **self.used}, False) or "columns without names"
        told = {*self.of, *(["read_voltage"] if self.reads.read_voltage_V is not None else [])}
        beside = beside_the_data([s.words for s in self.settings if s.quantity not in told], self.unclear)
        return "; ".join(filter(None, [f"{self.file.name}: {words}", beside]))

    def timed_set(self) -> bool:
        """Whether the file has times, and its name says set but not potentiation: data_set.csv may be drift."""
        return "time" in self.of and not re.search("ltp|ltd|potentiation|depression", self.file.stem.lower())

    def value_columns(self) -> list[Column]:
        """Return the columns of reads: those named so, or those with their unit."""
        for quantity in VALUES:
            if quantity in self.of:
                return self.of[quantity]
        for quantity in VALUES:
            found = [column for column in self.unnamed if column.quantity == quantity]
            if found:
                return found
        return []

    # The kinds

    def pulses(self, values: Sequence[Column]) -> Measured:
        values = refusals.expect_reads(self.sheet, self.of, values)
        lines = np.array([int(str(line)) for line in self.sheet.cells.index])
        names = self.device_names()
        pulse, cycle = self.pulse_and_cycle(names)
        if self.sheet.block[-1]:
            inner = np.zeros_like(lines) if cycle is None else cycle
            cycle = np.array([f"{b} {c}" for b, c in zip(self.sheet.block, inner, strict=True)])
        if self.pattern:
            rows = pd.Series(lines).groupby(names if isinstance(names, list) else [0] * len(lines)).cumcount()
            sign = by_pattern(self.pattern, rows.to_numpy() if pulse is None else pulse)
            self.used[-2] = "polarity by the number of the pulse"
        else:
            sign = signs(self.sheet, self.of, self.used)
        shape_of = shapes(self.sheet, self.of, self.used)
        status = self.reads.status(len(values))
        parts = []
        for column in values:
            part = pd.DataFrame(
                {
                    "line": lines,
                    "polarity": sign,
                    **shape_of,
                    "conductance_uS": self.reads.seen(column, status),
                }
            )
            part["device"] = names if len(values) == 1 else device_of(column.header)
            part["pulse"] = np.nan if pulse is None else pulse
            part["cycle"] = "" if cycle is None else cycle
            part["text"] = ["\0".join(row) for row in self.sheet.cells.to_numpy()]
            parts.append(part)
        table = pd.concat(parts, ignore_index=True)
        repeated = 0
        if pulse is not None:
            table, repeated = without_repeats(table)
        table = number_runs(
            self.file, table, pulse is not None, cycle is not None, self.hint(len(values) > 1)
        )
        if len(values) == 1 and names == ONE_DEVICE and cycle is None:
            refusals.expect_one_device(self.sheet, self.used, table)
        if pulse is None:
            self.used[-1] = "every row taken for one pulse"
        shape = [f"one column a device ({len(values)})"] if len(values) > 1 else []
        return self.finish("pulses", table, shape, repeated)

    def ramps(self, found: Sequence[tuple[Column, int | None, str]]) -> Measured:
        """One column a ramp, one row a pulse, the first row being read before any."""
        parts = []
        for ramp, (column, sign, name) in enumerate(found):
            values = self.reads.uS(column, self.unit_assumed)
            filled = np.flatnonzero(~np.isnan(values))
            if len(filled) < 2:
                raise DataError(f"{self.file}: {column.header} has fewer than two rows")
            rows = slice(filled[0], filled[-1] + 1)
            part = pd.DataFrame(
                {"conductance_uS": values[rows], "pulse": np.arange(rows.start, rows.stop, dtype=float)}
            )
            part["line"] = [int(str(line)) for line in self.sheet.cells.index[rows]]
            part["polarity"] = np.int8(sign or 1)
            part["device"], part["ramp"] = name if self.sheet.names and name else ONE_DEVICE, ramp
            parts.append(part)
            self.used[column.place] = f'ramp "{column.header}"'
        words = [f"one column a ramp ({len(found)}), SET and RESET told by the " + (
            "file's name" if found[0][1] == self.file_sign and not direction(found[0][0].header) else "headers"
        )]  # fmt: skip
        return self.finish("pulses", pd.concat(parts, ignore_index=True), words, 0, ramps=True)

    def columns_of_file(self, values: Sequence[Column]) -> Sequence[Column]:
        """Return the ramps of a file whose name tells their polarity: its reads, or every column.

        Without a unit they are in siemens, in ampere with a read voltage.
        """
        if values and not all(column.quantity == "conductance" and column.unit is None for column in values):
            return values
        self.unit_assumed = True
        kind = "conductance" if self.reads.read_voltage_V is None else "current"
        places = [column.place for column in values] or range(self.sheet.cells.shape[1])
        return [Column(place, self.sheet.header(place), kind, None) for place in places]

    def drift(self, values: Sequence[Column]) -> Measured:
        values = refusals.expect_reads(self.sheet, self.of, values)
        column = self.one("time")
        assert column is not None
        if column.unit is None:
            raise DataError(
                f'{self.file}: {column.header} has no unit of time; give it: --column time_s="{column.header}", or '
                "time_min, time_h"
            )
        times = self.numbers(column, "time") * column.factor
        self.used[column.place] = f'time "{column.header}"'
        lines = [int(str(line)) for line in self.sheet.cells.index]
        names = self.device_names()
        status = self.reads.status(len(values))
        parts = [
            pd.DataFrame({
                "line": lines, "device": names if len(values) == 1 else device_of(one.header), "time_s": times,
                "conductance_uS": self.reads.seen(one, status, kept=False),
            })
            for one in values
        ]  # fmt: skip
        kelvin = self.temperature()
        if kelvin is not None:
            parts = [part.assign(temperature_K=kelvin) for part in parts]
        table = pd.concat(parts, ignore_index=True)
        return self.finish("reads" if are_repeated(table) else "drift", table, [], 0)

    def temperature(self) -> Values | None:
        """Return the temperature of each row in K, where a column with a unit tells it."""
        column = self.one("temperature")
        if column is None:
            return None
        if column.unit is None:
            self.used[column.place] = (
                f'"{column.header}" not used, it has no unit (--column temperature_K="{column.header}" or temperature_C)'
            )
            return None
        kelvin = self.numbers(column, "temperature") + (col.ZERO_K if column.unit == "degC" else 0.0)
        if (kelvin <= 0).any():
            line = self.sheet.cells.index[int(np.argmax(kelvin <= 0))]
            raise DataError(
                f"{self.file} line {line}: {column.header} is not above absolute zero; is the unit right?"
            )
        return kelvin

    def programming(self) -> Measured:
        target = self.one("target")
        reached = self.one("achieved") or self.one("conductance")
        if target is None or reached is None:
            raise DataError(
                f"{self.file}: no column achieved beside the target; found {refusals.headers(self.sheet)}; say which it is with "
                '--column achieved="HEADER"'
            )
        table = pd.DataFrame({
            "line": [int(str(line)) for line in self.sheet.cells.index],
            "target_uS": self.reads.uS(target), "achieved_uS": self.reads.uS(reached),
        })  # fmt: skip
        return self.finish("programming", table, [], 0)

    # Parts of all kinds

    def pulse_and_cycle(self, names: list[str] | str) -> tuple[Values | None, Any]:
        """Return the number of each row's pulse, and its cycle; None where the file has no such column.

        A cycle that is another in every row of a device counts pulses, whatever it is called.
        """
        pulse, cycle = self.one("pulse"), self.one("cycle")
        number = None if pulse is None else self.numbers(pulse, "pulse number")
        if cycle is None:
            return number, None
        cells = self.sheet.cells[cycle.place]
        if number is None and another_in_every_row(self.sheet, cells, names):
            if "cycle" in self.told:
                raise refusals.cycle_of_every_row(self.sheet, cycle, "as --column cycle says")
            number = self.sheet.numbers(cycle.place) if all(map(is_number, cells)) else None
            if number is None or (number % 1).any():
                raise refusals.cycle_of_every_row(self.sheet, cycle, "as its name says")
            self.used[cycle.place] = (
                f'pulse number "{cycle.header}" (another in every row: it counts pulses, not repetitions)'
            )
            return number, None
        self.used[cycle.place] = f'cycle "{cycle.header}"'
        return number, cells.to_numpy()

    def hint(self, devices_known: bool = False) -> str:
        """Return how to say which column names the devices, where none was understood to."""
        known = devices_known or bool({"device", "word_line", "bit_line"} & set(self.of))
        return "" if known else '; if there are several devices, name their column: --column device="HEADER"'

    def one(self, quantity: str) -> Column | None:
        """Return the column of a quantity; raises `DataError` if there are several."""
        found = self.of.get(quantity, [])
        if len(found) > 1:
            names = " and ".join(f"'{column.header}'" for column in found)
            raise DataError(
                f"{self.file}: two columns are named {quantity}: {names}; keep one, or say which with "
                f'--column {quantity}="HEADER"'
            )
        return found[0] if found else None

    def numbers(self, column: Column, what: str) -> Values:
        self.used[column.place] = f'{what} "{column.header}"'
        return self.sheet.numbers(column.place)

    def device_names(self) -> list[str] | str:
        """Return the device of each row, or the name of the only one."""
        column, lines = self.one("device"), [self.one("word_line"), self.one("bit_line")]
        if column is not None:
            self.used[column.place] = f'device "{column.header}"'
            return [str(cell) for cell in self.sheet.cells[column.place]]
        places = [line.place for line in lines if line is not None]
        if not places:
            return ONE_DEVICE
        for line in lines:
            if line is not None:
                self.used[line.place] = f'device by "{line.header}"'
        return [",".join(row) for row in self.sheet.cells[places].to_numpy()]

    def finish(
        self, kind: str, table: pd.DataFrame, shape: Sequence[str], repeated: int, ramps: bool = False
    ) -> Measured:
        """Check values and put into words what was understood."""
        name = self.file.name
        values = [key for key in table.columns if key.endswith("_uS")]
        for key in values:
            plausible(self.file, self.reads.headers(key), table["line"].to_numpy(), table[key].to_numpy())
        assumed = self.unit_assumed and self.reads.read_voltage_V is None
        without = "; ".join(filter(None, [left_out(table, values, repeated), self.reads.of_status]))
        columns = {key: self.of[quantity][0] for quantity, key in COLUMNS.items() if key in table}
        read = (
            "" if self.reads.setting_used
            else "a column tells it" if "read_voltage" in self.of
            else "no column is a current" if self.reads.read_voltage_V is None
            else "--read-voltage was given"
        )  # fmt: skip
        settings, not_used = sorted_out(self.settings, read, table)
        beside = beside_the_data([one.words for one in settings], [*not_used, *self.unclear])
        meant = "; ".join(filter(None, [meaning(self.sheet, shape, self.used, assumed), beside]))
        said = (
            f"{name}: {self.sheet.said}",
            f"{name}: {meant}",
            f"{name}: {held(kind, table, values, without)}",
        )
        order = [key for key in (*_ORDER, *values) if key in table]
        return Measured(
            kind, table[order], self.file, said, ramps,
            assumed, without, self.headers, self.reads.limits_uS, of_one_polarity(settings, table),
            {key: column.header for key, column in columns.items()},
            "pulse_V" in columns and columns["pulse_V"].unit is None,
        )  # fmt: skip


def _rest(header: str) -> str:
    """Return what a ramp's header says of the device: nothing where only a number is left."""
    left = re.sub(rf"(?i)(?<![a-z])({col.UP_WORDS}|{col.DOWN_WORDS})(?![a-z])", " ", device_of(header))
    left = left.strip(" _-.:")
    return "" if re.fullmatch(r"\d*", left) or col.quantity_of(left) else left
