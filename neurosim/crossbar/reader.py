"""The read path, in its order: scale, DAC, drifted conductances, read noise, subtraction, ADC, digital scale."""

from __future__ import annotations

import warnings

import numpy as np

from neurosim.core.config import Periphery, ReadPath
from neurosim.core.protocols import Floats
from neurosim.core.seeds import key
from neurosim.crossbar.cells import PairCells
from neurosim.crossbar.ledger import Ledger
from neurosim.kernels.jit import scratch, share
from neurosim.kernels.read import (
    COLUMNS,
    SAMPLES,
    blocks,
    even_blocks,
    finish_read,
    placed,
    quantise_inputs,
    single_threaded_blas,
)
from neurosim.kernels.update import squared_norms

CLIPPED_SHARE = 0.01


class ClippingWarning(UserWarning):
    """More than one conversion in a hundred met the end of the ADC's range."""


def positive_codes(bits: int | None) -> int:
    """Number of positive codes of a signed converter, 2^(bits - 1) - 1; 0 for a perfect one."""
    return 2 ** (bits - 1) - 1 if bits else 0


class Reader:
    """Forward reads of one array, and the row reads that updates ask for."""

    def __init__(
        self, cells: PairCells, read: ReadPath, periphery: Periphery, ledger: Ledger, seed: int, name: str
    ):
        self.cells, self.config, self.periphery, self.ledger = cells, read, periphery, ledger
        self.no_noise = np.empty((0, 0), cells.dtype)
        self.reads = 0
        self.norm_reads = 0
        self.adc_range_uS = read.adc_range_uS or cells.span_uS * float(np.sqrt(cells.shape[0]))
        self.keys = {purpose: key(seed, name, purpose) for purpose in ("read", "norms")}
        self._warned = False

    def assume_inputs(self, differences: Floats) -> None:
        """Set the ADC's range for inputs spread evenly over the DAC's range, from programmed targets."""
        if self.config.adc_range_uS is None:
            mean = 0.5 * np.abs(differences.sum(axis=0))
            spread = np.sqrt(np.square(differences).sum(axis=0) / 3)
            widest = float((mean + 4 * spread).max())
            self.adc_range_uS = max(widest, 1e-3 * self.cells.span_uS)

    def calibrate(self, x: Floats, percentile: float, margin: float) -> float:
        """Set the ADC's range to `margin` times a percentile of the currents that `x` causes."""
        currents = self._currents(x, measure=False)
        range_uS = margin * float(np.percentile(np.abs(currents), percentile))
        if range_uS > 0:
            self.adc_range_uS = range_uS
        return self.adc_range_uS

    def converter(self) -> tuple[float, float]:
        """Return (step, range) of the ADC in uS; step 0 is a perfect ADC."""
        codes = positive_codes(self.config.adc_bits)
        return (self.adc_range_uS / codes if codes else 0.0), self.adc_range_uS

    def cell_converter(self) -> tuple[float, float]:
        """Return (step, range) of the ADC switched to the window of a single pair, for row reads."""
        codes = positive_codes(self.config.adc_bits)
        return (self.cells.span_uS / codes if codes else 0.0), self.cells.span_uS

    def device_converter(self) -> tuple[float, float]:
        """The same for the range of a single device."""
        codes = positive_codes(self.config.adc_bits)
        high_uS = self.cells.window_uS[1]
        return (high_uS / codes if codes else 0.0), high_uS

    def forward(self, x: Floats) -> Floats:
        """Multiply (n, rows) by the stored weights with every effect of the read path."""
        out = self._currents(x, measure=True)
        share_clipped = self.ledger.adc_clipped / max(1, self.ledger.reads * out.shape[1])
        if share_clipped > CLIPPED_SHARE and not self._warned:
            self._warned = True
            warnings.warn(
                f"{100 * share_clipped:.0f} % of ADC conversions were clipped at {self.adc_range_uS:.3g} uS; "
                "call calibrate(x) with typical inputs or set ReadPath.adc_range_uS",
                ClippingWarning,
                stacklevel=4,
            )
        return out

    def _currents(self, x: Floats, measure: bool) -> Floats:
        """Read (n, rows) block by block; without `measure` the bare currents in uS, at no cost."""
        out = np.empty((x.shape[0], self.cells.shape[1]), self.cells.dtype)
        for top, bottom in blocks(x.shape[0], SAMPLES):
            self._read_block(x[top:bottom], self.reads + top, out[top:bottom], measure)
        if measure:
            self.reads += x.shape[0]
            self.ledger.reads += x.shape[0]
            self.ledger.read_periphery_J += x.shape[0] * self._vector_J()
        return out

    def _read_block(self, x: Floats, first_read: int, out: Floats, measure: bool) -> None:
        grid = self.cells.grid
        codes = positive_codes(self.config.dac_bits)
        fixed = 0.0 if self.config.input_range == "vector" else self.config.input_range
        real = self.cells.real
        volts, scale = np.empty_like(x), np.empty(len(x), x.dtype)
        dac_clipped = quantise_inputs(x, scale, real(codes), real(fixed), volts)
        if not measure:
            scale[:] = 1.0
        step, adc_range = self.converter() if measure else (0.0, 0.0)
        per_weight = 1.0 / self.cells.uS_per_weight if measure else 1.0
        noisy = measure and grid.variance.size > 0
        columns = even_blocks(out.shape[1], COLUMNS)
        cells = x.shape[1] * min(right - left for left, right in columns)
        tall, inside = placed(volts, first_read, cells)
        power = tall * tall

        def convert(block: tuple[int, int]) -> int:
            left, right = block
            current = scratch("current", len(tall), right - left, x.dtype)
            np.matmul(tall, grid.difference[:, left:right], out=current)
            current, variance = current[inside], self.no_noise
            if noisy:
                variance = scratch("variance", len(tall), right - left, x.dtype)
                np.matmul(power, grid.variance[:, left:right], out=variance)
                variance = variance[inside]
            clipped: int = finish_read(
                current, variance, scale, real(step), real(adc_range), real(per_weight),
                first_read, left, self.keys["read"],
            )  # fmt: skip
            out[:, left:right] = current
            return clipped

        with single_threaded_blas():
            adc_clipped = sum(share(convert, columns))
        if measure:
            self.ledger.dac_clipped += dac_clipped
            self.ledger.adc_clipped += adc_clipped
            self.ledger.read_J += self._array_J(float(power.sum(axis=0, dtype=np.float64) @ grid.row_sum))

    def _vector_J(self) -> float:
        """Energy of the periphery for one input vector."""
        rows, cols = self.cells.shape
        return (
            rows * self.periphery.dac_J(self.config.dac_bits)
            + cols * self.periphery.adc_J(self.config.adc_bits)
            + rows * self.periphery.line_J(2 * cols, self.config.read_voltage_V)
        )

    def _array_J(self, power_uS: float) -> float:
        """Energy of cells at a summed squared input times conductance, V^2 G t."""
        return self.config.read_voltage_V**2 * power_uS * 1e-6 * self.config.integration_time_s

    def count_row_reads(self, columns: int) -> None:
        """Enter one read of every row, one at a time and converted in so many columns, into the ledger."""
        rows, cols = self.cells.shape
        self.ledger.rows_read_back += rows
        self.ledger.readback_J += self._array_J(float(self.cells.grid.row_sum.sum()))
        per_row = columns * self.periphery.adc_J(self.config.adc_bits) + self.periphery.line_J(
            2 * cols, self.config.read_voltage_V
        )
        self.ledger.write_periphery_J += rows * per_row

    def column_norms(self) -> Floats:
        """Read every row once and return the norm of each column in weight units."""
        grid = self.cells.grid
        step, cell_range = self.cell_converter()
        self.norm_reads += 1

        def measure(block: tuple[int, int]) -> np.ndarray:
            part = np.zeros(self.cells.shape[1])
            squared_norms(
                *block,
                part,
                grid,
                self.cells.real(step),
                self.cells.real(cell_range),
                self.norm_reads,
                self.keys["norms"],
            )
            return part

        squares = np.sum(share(measure, blocks(self.cells.shape[0], SAMPLES)), axis=0)
        self.count_row_reads(self.cells.shape[1])
        norms: Floats = (np.sqrt(squares) / self.cells.uS_per_weight).astype(self.cells.dtype)
        return norms
