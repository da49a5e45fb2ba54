"""The analog-digital converters of an array's tiles: their ranges, and errors of their own drawn once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from neurosim.core.config import ReadPath
from neurosim.core.errors import ConfigError
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.crossbar.cells import PairCells

SILENT = 1e-3
"""Narrowest range that `assume` sets, in windows of one pair."""
ALL_CODES = 8
"""Bits of the ADC whose code measures `adc_offset_lsb` where the ADC itself is perfect."""


def positive_codes(bits: int | None) -> int:
    """Number of positive codes of a signed converter, 2^(bits - 1) - 1; 0 for a perfect one."""
    return 2 ** (bits - 1) - 1 if bits else 0


class Converters:
    """Range, gain and offset of every converter of a layer.

    Parameters
    ----------
    cells : PairCells
    read : ReadPath
    down, across : list of slice
        Rows of each row of tiles, signed columns of each column of tiles.
    seed, name
        Of the array: gains and offsets are drawn from them.
    """

    def __init__(
        self,
        cells: PairCells,
        read: ReadPath,
        down: list[slice],
        across: list[slice],
        seed: int,
        name: str,
    ):
        self.cells, self.config = cells, read
        self.down, self.across = down, across
        self.planes = 2 if cells.shared or cells.write.pair == "separate" else 1
        """2 where plus and minus devices are converted apart."""
        self.number = self._numbers()
        planes = self.planes
        self.codes = positive_codes(read.adc_bits)
        shape = (planes, len(down), cells.shape[1])
        self.gain = self._drawn(shape, read.adc_gain_spread, seed, name, "adc gain")
        self.offset = self._drawn(shape, read.adc_offset_lsb, seed, name, "adc offset")
        self.trim_lsb = np.zeros(shape)
        """What a calibration takes off each converter's offset."""
        self.amplifier_V = self._drawn(
            (2, len(down), cells.shape[1]), read.amplifier_offset_V, seed, name, "sense"
        )
        widest = cells.span_uS if planes == 1 else cells.window_uS[1]
        self.range_uS = np.empty((planes, len(down), len(across)))
        if read.adc_range_uS is not None:
            self.range_uS[:] = read.adc_range_uS
        elif read.adc_range == "full-scale":
            self.range_uS[:] = [[widest * (rows.stop - rows.start)] for rows in down]
        elif read.adc_range == "granular":
            self.range_uS[:] = self._granular_uS()
        else:
            self.range_uS[:] = [[widest * np.sqrt(rows.stop - rows.start)] for rows in down]

    def _numbers(self) -> NDArray[np.int64]:
        """Which converter serves each column of each plane; columns that share a reference share its converter."""
        numbers = np.tile(np.arange(self.cells.shape[1]), (self.planes, 1))
        for columns in self.cells.shared or ():
            numbers[1, columns] = columns.start
        return numbers

    @cached_property
    def in_a_row(self) -> int:
        """Conversions of one row of tiles."""
        return sum(len(np.unique(row)) for row in self.number)

    def _drawn(
        self, shape: tuple[int, ...], spread: float | None, seed: int, name: str, purpose: str
    ) -> NDArray[np.float64]:
        if spread is None:
            return np.zeros(shape)
        drawn = spread * generator(seed, name, purpose).standard_normal(shape)
        if self.cells.shared:
            drawn[1] = drawn[1][:, self.number[1]]
        return drawn

    def _granular_uS(self) -> float:
        if not (self.config.adc_bits and self.config.dac_bits):
            raise ConfigError("read.adc_range = 'granular' needs adc_bits and dac_bits: codes of both")
        smallest = 1.0 if self.config.encoding == "bit-serial" else 1.0 / positive_codes(self.config.dac_bits)
        return self.codes * self.cells.device.read_step_uS * smallest

    @property
    def adapts(self) -> bool:
        """Whether ranges follow what is programmed and measured."""
        return self.config.adc_range == "calibrated" and self.config.adc_range_uS is None

    @property
    def apart(self) -> bool:
        """Whether tiles one above the other convert for themselves; with a perfect periphery they are one sum."""
        read = self.config
        return len(self.down) > 1 and bool(
            read.adc_bits
            or read.adc_gain_spread
            or read.adc_offset_lsb
            or read.amplifier_offset_V
            or read.saturation_uS
        )

    @property
    def distort(self) -> bool:
        """Whether anything lies between the noise and the codes."""
        read = self.config
        return bool(
            read.adc_gain_spread
            or read.adc_offset_lsb
            or read.amplifier_offset_V
            or read.saturation_uS
            or read.settling_time_s
        )

    @property
    def settled(self) -> float:
        """Share of a current that a read ends at."""
        if self.config.settling_time_s is None:
            return 1.0
        return float(-np.expm1(-self.config.integration_time_s / self.config.settling_time_s))

    def assume(self, matrices: list[Floats]) -> None:
        """Set the ranges for inputs spread evenly over the DAC's range, from one matrix of cells a plane."""
        if not self.adapts:
            return
        wider = (
            np.sqrt(1.5) if self.config.encoding == "bit-serial" else 1.0
        )  # bits are 0 or 1, nothing between
        for plane, cells_uS in enumerate(matrices):
            for k, rows in enumerate(self.down):
                part = cells_uS[rows]
                mean = 0.5 * np.abs(part.sum(axis=0))
                spread = wider * np.sqrt(np.square(part).sum(axis=0) / 3)
                widest = mean + 4 * spread
                for m, cols in enumerate(self.across):
                    self.range_uS[plane, k, m] = max(float(widest[cols].max()), SILENT * self.cells.span_uS)

    def calibrate(self, plane: int, k: int, currents_uS: Floats, percentile: float, margin: float) -> None:
        """Set the ranges of one row of tiles to `margin` times a percentile of |currents| (n, cols)."""
        for m, cols in enumerate(self.across):
            found = margin * float(np.percentile(np.abs(currents_uS[:, cols]), percentile))
            if found > 0:
                self.range_uS[plane, k, m] = found

    def settle(
        self, plane: int, k: int, m: int, seen_uS: float, wanted_uS: float, step: float | None
    ) -> bool:
        """Set the range of one tile by the largest current that its codes show; whether it can stay so.

        Parameters
        ----------
        plane, k, m : int
            The tile.
        seen_uS, wanted_uS : float
            What the codes show, and the range that this asks for. At the end of the present range the current may be any
            larger one: the range is doubled. One of which less than a quarter is used is narrowed, where no code is seen to one code.
        step : float, optional
            By which share neighbouring settings differ.
        """
        now = float(self.range_uS[plane, k, m])
        clipped = seen_uS >= now * (1 - 1e-6)
        wanted = 2 * now if clipped else wanted_uS or now / self.codes
        if step is not None:
            floor = self.cells.span_uS
            wanted = floor * (1 + step) ** np.ceil(np.log(wanted / floor) / np.log1p(step) - 1e-9)
        self.range_uS[plane, k, m] = wanted
        return not clipped and seen_uS > 0 and wanted >= now / 4

    def lsb_uS(self, plane: int, k: int) -> Floats:
        """Step of each column's ADC (cols,); of an 8-bit one where it is perfect."""
        step = self.range_uS[plane, k] / (self.codes or positive_codes(ALL_CODES))
        return np.repeat(step, [cols.stop - cols.start for cols in self.across]).astype(self.cells.dtype)

    def shift_uS(self, plane: int, k: int) -> Floats:
        """Offset of each column's converter (cols,)."""
        offset = self.offset[plane, k] - self.trim_lsb[plane, k]
        shift: Floats = (offset * self.lsb_uS(plane, k)).astype(self.cells.dtype)
        return shift

    def leak_uS(self, plane: int, k: int, line_sums_uS: Floats) -> Floats:
        """Currents (cols,) of the virtual grounds' offsets through the lines' conductances (2, cols)."""
        each = self.amplifier_V[:, k] / self.config.read_voltage_V * line_sums_uS
        leak = each[0] - each[1] if len(self.range_uS) == 1 else each[plane]
        found: Floats = leak.astype(self.cells.dtype)
        return found
