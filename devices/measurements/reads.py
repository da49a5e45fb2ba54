"""Reads of a device as conductances in uS: given so, or as resistance, or as current at a read voltage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurosim.core.errors import DataError
from neurosim.devices.measurements.columns import LARGEST_READ_V, Column, split_header
from neurosim.devices.measurements.reading import Sheet, Values
from neurosim.devices.measurements.settings import Setting
from neurosim.devices.measurements.status import Status, at_limit, status_of

SMALLEST_S, LARGEST_S = 1e-10, 1e-1
"""Conductances outside are taken for a wrong unit."""
FEWEST_READS = 30
"""Of one state, from which their noise is known."""
_DRIFTING = 3.0
"""Times that grow by this factor or more from the first may be those of drift."""
_CODES = 6
"""So many codes of status that are not understood are named."""


class Reads:
    """Conductances of a sheet's columns."""

    def __init__(
        self,
        sheet: Sheet,
        of: Mapping[str, Sequence[Column]],
        read_voltage_V: float | None,
        used: dict[int, str],
        setting: Setting | None = None,
    ):
        self.sheet, self.of, self.read_voltage_V, self.used = sheet, of, read_voltage_V, used
        self.setting = setting
        """The read voltage that stands beside the data."""
        self.setting_used = False
        self.names: dict[str, list[str]] = {}
        self.limits_uS: tuple[float, ...] = ()
        """Where reads in compliance stand."""
        self.of_status = ""
        """What the instrument's status says of reads, in words."""

    def headers(self, key: str) -> str:
        """Return the headers from which a column of the tidy table comes."""
        return ", ".join(self.names.get(key, self.names.get("conductance_uS", [key])))

    def uS(self, column: Column, unit_assumed: bool = False) -> Values:
        """Return conductances in uS, NaN where missing.

        Parameters
        ----------
        column : Column
            Of conductance, resistance or current.
        unit_assumed : bool
            Take S or A where the column has no unit.
        """
        key = f"{column.quantity}_uS" if column.quantity in ("target", "achieved") else "conductance_uS"
        self.names.setdefault(key, []).append(column.header)
        numbers = self.sheet.numbers(column.place, gaps=True)
        if column.minus:
            numbers = -numbers
        words = f'{column.quantity} "{column.header}"'
        if unit_assumed:
            return numbers * (1e6 / (self.read_voltage_V or 1.0))
        factor = column.factor
        if column.unit is None:
            self._expect_ampere(column, numbers)
            words += " in A (assumed)"
        if column.quantity == "resistance":
            self._expect_not_zero(column, numbers)
            self.used[column.place] = words
            return 1e6 / (numbers * factor)
        if column.quantity == "current":
            volt, source = self._volt(column)
            self.used[column.place] = f"{words} over {source}"
            found: Values = 1e6 * (numbers * factor) / volt
            self._expect_sign(column, found, source)
            return found
        self.used[column.place] = words
        return numbers * factor

    def status(self, reads: int) -> Status | None:
        """Return what a column of status says of the reads, where there is one such column for one of reads."""
        found = [one for one in self.of.get("compliance", []) if split_header(one.header)[2] is None]
        if len(found) != 1 or reads > 1:
            return None
        said = status_of(self.sheet, found[0])
        codes = ", ".join(said.unknown[:_CODES]) + (", ..." if len(said.unknown) > _CODES else "")
        words = f"status codes {codes}, not understood and not used," if said.unknown else "status"
        self.used[found[0].place] = f'{words} "{found[0].header}"'
        return said

    def seen(self, column: Column, status: Status | None, kept: bool = True) -> Values:
        """Return conductances, missing where the instrument's status says that there is none.

        Reads in compliance stay, at one limit, where `kept`: then the fit knows that they are at least that.
        """
        values = self.uS(column)
        if status is None or not (status.limited | status.lost).any():
            return values
        values[status.lost] = np.nan
        here = status.limited & ~np.isnan(values)
        values, self.limits_uS = at_limit(values, here) if kept else (np.where(here, np.nan, values), ())
        count = f"{int(here.sum())} read{'s' if here.sum() > 1 else ''} in compliance"
        at = f", at {self.limits_uS[0]:.4g} uS" if self.limits_uS else ", left out"
        self.of_status = ", ".join(
            filter(
                None,
                [f"{count}{at}" if here.any() else "", f"of them {status.words}" if status.words else ""],
            )
        )
        return values

    def _expect_ampere(self, column: Column, numbers: Values) -> None:
        """Currents as instruments write them, with exponents, are in ampere; all else must have a unit."""
        cells = self.sheet.cells[column.place]
        exponents = np.mean([("e" in cell.lower()) for cell in cells if cell]) > 0.5
        if column.quantity == "current" and exponents and np.nanmax(np.abs(numbers)) <= LARGEST_S:
            return
        small = np.nanmax(np.abs(numbers)) <= LARGEST_S
        base = {"resistance": "ohm", "current": "A"}.get(column.quantity, "S")
        unit = base if small or base == "ohm" else f"u{base}"
        raise DataError(
            f"{self.sheet.file}: {column.header} has no unit of {column.quantity}; give it, for example "
            f'--column {column.quantity}_{unit}="{column.header}"'
        )

    def _expect_not_zero(self, column: Column, numbers: Values) -> None:
        if (numbers == 0).any():
            line = self.sheet.cells.index[int(np.argmax(numbers == 0))]
            raise DataError(f"{self.sheet.file} line {line}: {column.header} is zero; drop the row")

    def _volt(self, current: Column) -> tuple[Values | float, str]:
        """Return the read voltage of each row, or that of all, and where it comes from."""
        found = self.of.get("read_voltage", [])
        file = self.sheet.file
        if len(found) > 1:
            raise DataError(
                f"{file}: two columns are named read voltage: '{found[0].header}' and '{found[1].header}'; say which "
                'with --column read_voltage="HEADER"'
            )
        if not found:
            if self.read_voltage_V is None and self.setting is not None:
                self.setting_used = True
                return self.setting.value, f"{self.setting.value:g} V (read from line {self.setting.line})"
            if self.read_voltage_V is None:
                raise DataError(
                    f'{file}: {current.header} needs a read voltage: a column (--column read_voltage="HEADER"), or '
                    "--read-voltage VOLT, negative if it was"
                )
            return self.read_voltage_V, f"{self.read_voltage_V:g} V (given)"
        (column,) = found
        volts = self.sheet.numbers(column.place) * column.factor
        volts = -volts if column.minus else volts
        self.used[column.place] = f'read voltage "{column.header}"' + (
            "" if column.unit else " in V (assumed)"
        )
        for wrong, words in (
            (volts == 0, "is zero"),
            (np.abs(volts) > LARGEST_READ_V, "is beyond 20 V; is the unit right?"),
        ):
            if wrong.any():
                line = self.sheet.cells.index[int(np.argmax(wrong))]
                raise DataError(f"{file} line {line}: {column.header} {words}")
        return volts, f'"{column.header}"'

    def _expect_sign(self, column: Column, values: Values, source: str) -> None:
        """Raise `DataError` if current and read voltage have opposite signs throughout."""
        if not np.nanmedian(values) < 0:
            return
        line = self.sheet.cells.index[int(np.argmax(values < 0))]
        voltage = self.of.get("read_voltage", [])
        remedy = (
            f'turn it: --column read_voltage="-{voltage[0].header}"'
            if voltage
            else f"give --read-voltage {-(self.read_voltage_V or (self.setting.value if self.setting else 0.0)):g}"
        )
        raise DataError(
            f"{self.sheet.file} line {line}: {column.header} has the opposite sign of its read voltage, {source}; "
            f"if the current was counted the other way, {remedy}"
        )


def plausible(file: Path, name: str, lines: NDArray[np.intp], values_uS: Values) -> None:
    """Raise `DataError` for conductances that are negative or of a magnitude that no device has."""
    seen = values_uS[~np.isnan(values_uS)]
    if not seen.size:
        raise DataError(f"{file}: {name} holds no value; every read is missing")
    if seen.min() < 0:
        line = lines[int(np.nanargmin(values_uS))]
        raise DataError(
            f"{file} line {line}: {name} holds a negative conductance ({seen.min() * 1e-6:.3g} S); drop the row if "
            "nothing flowed"
        )
    for value in (float(seen.max()), float(np.median(seen))):
        if not SMALLEST_S <= value * 1e-6 <= LARGEST_S:
            line = lines[int(np.nanargmin(np.abs(values_uS - value)))]
            raise DataError(
                f"{file} line {line}: {name} means {value * 1e-6:.3g} S, outside {SMALLEST_S:g} to {LARGEST_S:g} S; is the "
                f'unit right? If not, give it: --column QUANTITY_UNIT="{name}", as in conductance_nS'
            )


def are_repeated(table: pd.DataFrame) -> bool:
    """Whether reads over time are no drift: many of each state, over times that begin at zero, begin anew, or hardly grow."""
    drifting, counts = True, []
    for _, own in table.groupby("device", sort=False):
        times = own["time_s"].to_numpy(np.float64)
        new = np.flatnonzero(np.diff(times) < 0) + 1
        counts += [part.size for part in np.split(times, new)]
        drifting &= not new.size and times[0] > 0 and times[-1] >= _DRIFTING * times[0]
    return not drifting and min(counts) >= FEWEST_READS
