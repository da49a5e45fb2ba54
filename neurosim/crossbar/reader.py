"""The read path, in its order: scale, DAC, encoding, drifted conductances, read noise, wires, electronic noise,
settling, saturation, gain and offset, ADC, digital scale, sum over phases and tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from neurosim.core.cautions import ClippingWarning, Once, SaturationWarning
from neurosim.core.config import ReadPath
from neurosim.core.errors import ConfigError
from neurosim.core.protocols import Floats
from neurosim.core.seeds import key
from neurosim.crossbar.calibration import calibrate
from neurosim.crossbar.cells import PairCells
from neurosim.crossbar.converters import Converters, positive_codes
from neurosim.crossbar.ledger import Ledger
from neurosim.crossbar.view import Plane, View, shot_variance_per_uS, thermal_variance
from neurosim.kernels.jit import scratch, share
from neurosim.kernels.products import COLUMNS, SAMPLES, blocks, even_blocks, placed, single_threaded_blas
from neurosim.kernels.read import add_noise, bits_of_inputs, convert, distort, quantise_inputs
from neurosim.kernels.refresh import Look, read_devices
from neurosim.kernels.update import Verified, squared_norms

CLIPPED_SHARE = 0.01
CONVERTED = 1 << 17
"""Inputs that one thread converts at a time."""


class Part(NamedTuple):
    """What is converted at once: one phase of the inputs, on one row of tiles, of one plane."""

    drive: Floats
    """(height, rows) inputs, placed for BLAS."""
    power: Floats
    """(height, rows) share of the noise and heat of full inputs."""
    inside: slice
    """Where the samples lie in them."""
    worth: float
    """Of a unit current in the sum over phases and planes."""
    cells: Plane
    """The plane, on these rows."""
    plane: int
    k: int
    """Number of the row of tiles."""
    rows: slice
    lane: int
    """Number of the conversion among those of one read."""


class Counts(NamedTuple):
    """What one block of reads enters into the ledger."""

    adc_clipped: int
    dac_clipped: int
    saturated: int
    read_uS: float


def _in_turn(work: Callable[[tuple[int, int]], Any], items: list[tuple[int, int]]) -> list[Any]:
    return [work(item) for item in items]


class Reader:
    """Forward reads of one array, and the row reads that updates ask for."""

    def __init__(
        self,
        cells: PairCells,
        view: View,
        converters: Converters,
        read: ReadPath,
        ledger: Ledger,
        seed: int,
        name: str,
        once: Once,
    ):
        if read.encoding == "bit-serial" and read.dac_bits is None:
            raise ConfigError("read.encoding = 'bit-serial' needs dac_bits: the number of bits")
        self.cells, self.view, self.converters, self.config = cells, view, converters, read
        self.ledger = ledger
        self.reads = 0
        self.norm_reads = 0
        self.ranging_reads = 0
        self.born = (seed, name)
        purposes = ("read", "norms", "devices", "ranging")
        self.keys = {purpose: key(seed, name, purpose) for purpose in purposes}
        self._once = once

    def assume_inputs(self, differences: Floats) -> None:
        """Set the ADCs' ranges for inputs spread evenly over the DAC's range, from programmed targets."""
        if self.converters.planes == 2:
            self.converters.assume([plane.current for plane in self.view.planes])
        else:
            self.converters.assume([differences])

    def calibrate(self, x: Floats, percentile: float | None, margin: float | None) -> float:
        """Set each tile's ADC to `margin` times a percentile of the currents that `x` causes; the largest range."""
        percentile = self.config.adc_percentile if percentile is None else percentile
        margin = self.config.adc_margin if margin is None else margin
        calibrate(self, x, percentile, margin)
        return float(self.converters.range_uS.max())

    def cell_converter(self) -> tuple[float, float]:
        """Return (step, range) of the ADC switched to the window of a single pair, for row reads."""
        codes = positive_codes(self.config.adc_bits)
        return (self.cells.span_uS / codes if codes else 0.0), self.cells.span_uS

    def device_converter(self) -> tuple[float, float]:
        """Return (step, range) of the ADC switched to the range of a single device."""
        codes = positive_codes(self.config.adc_bits)
        high_uS = self.cells.window_uS[1]
        return (high_uS / codes if codes else 0.0), high_uS

    def forward(self, x: Floats) -> Floats:
        """Multiply (n, rows) by the stored weights with every effect of the read path."""
        out = np.empty((x.shape[0], self.cells.shape[1]), self.cells.dtype)
        assert self.view.planes  # looked at once, before threads share the blocks

        def read(block: tuple[int, int]) -> Counts:
            some = slice(*block)
            return self._read_block(x[some], self.reads + block[0], out[some], over_columns)

        samples = blocks(x.shape[0], SAMPLES)
        wide = len(samples) == 1 or len(self._columns) > 1
        over_samples, over_columns = (_in_turn, share) if wide else (share, _in_turn)
        with single_threaded_blas():
            for counts in over_samples(read, samples):
                self.ledger.adc_clipped += counts.adc_clipped
                self.ledger.dac_clipped += counts.dac_clipped
                self.ledger.saturated += counts.saturated
                self.ledger.read_uS += counts.read_uS
        self.reads += x.shape[0]
        self._count_vectors(x.shape[0])
        self._warn_of_ends()
        return out

    def _warn_of_ends(self) -> None:
        """Warn where more than a few currents met the end of a range, of integrators or of converters."""
        ledger = self.ledger
        if ledger.clipped_share > CLIPPED_SHARE:
            self._once.say(
                ClippingWarning,
                f"{100 * ledger.clipped_share:.0f} % of ADC conversions were clipped at {self.converters.range_uS.max():.3g} uS",
                "call calibrate(x) with typical inputs or set ReadPath.adc_range_uS",
                stacklevel=5,
            )
        if ledger.saturated > CLIPPED_SHARE * ledger.conversions:
            self._once.say(
                SaturationWarning,
                f"{100 * ledger.saturated / ledger.conversions:.0f} % of integrators saturated at {self.config.saturation_uS:.3g} uS",
                "raise ReadPath.saturation_uS, or let fewer rows or smaller inputs share an integrator (tiles, input_range)",
                stacklevel=5,
            )

    @property
    def _conversions(self) -> int:
        """Conversions in one read."""
        return self.converters.in_a_row * len(self.converters.down) * self._phases

    @property
    def _phases(self) -> int:
        bits = self.config.dac_bits
        return bits - 1 if bits and self.config.encoding == "bit-serial" else 1

    def _convert_inputs(self, x: Floats, over: Any) -> tuple[Floats, Floats, int]:
        """Return the DAC's outputs (n, rows) in [-1, 1], each sample's full scale, and how many were clipped; `over` as below."""
        codes = positive_codes(self.config.dac_bits)
        fixed = 0.0 if self.config.input_range == "vector" else self.config.input_range
        real = self.cells.real
        volts, scale = np.empty_like(x), np.empty(len(x), x.dtype)

        def quantise(block: tuple[int, int]) -> int:
            some = slice(*block)
            clipped: int = quantise_inputs(x[some], scale[some], real(codes), real(fixed), volts[some])
            return clipped

        return volts, scale, sum(over(quantise, even_blocks(len(x), max(1, CONVERTED // x.shape[1]))))

    def _filled(self, part: Part, of: Callable[[Part, slice], Floats]) -> Floats:
        """What `of` gives for one part and each block of columns, together: (n, cols) in uS."""
        samples = part.inside.stop - part.inside.start
        currents = np.empty((samples, self.cells.shape[1]), self.cells.dtype)

        def fill(block: tuple[int, int]) -> None:
            currents[:, slice(*block)] = of(part, slice(*block))

        with single_threaded_blas():
            share(fill, self._columns)
        return currents

    def _phases_of(self, volts: Floats) -> Iterator[tuple[Floats, float]]:
        """Yield what is applied to the word lines one after the other, and what each is worth."""
        if self.config.encoding != "bit-serial":
            yield volts, 1.0
            return
        levels = positive_codes(self.config.dac_bits)
        for place in range(self._phases):
            bits = np.empty_like(volts)
            bits_of_inputs(volts, self.cells.real(levels), place, bits)
            yield bits, 2.0**place / levels

    def _parts(self, volts: Floats, first_read: int) -> list[Part]:
        """All that is converted for these inputs (n, rows), in the order in which it is summed."""
        converters = self.converters
        down = converters.down if converters.apart else [slice(0, self.cells.shape[0])]
        rows = min(tile.stop - tile.start for tile in down)
        cells = rows * min(right - left for left, right in self._columns)
        parts: list[Part] = []
        for applied, worth in self._phases_of(volts):
            drive, inside = placed(applied, first_read, cells)
            power = np.abs(drive) if self.config.encoding == "pulse-width" else drive * drive
            for k, tile in enumerate(down):
                for plane, whole in enumerate(self.view.planes):
                    part = Part(
                        drive[:, tile], power[:, tile], inside, worth * whole.sign, whole.on(tile), plane, k, tile,
                        len(parts),
                    )  # fmt: skip
                    parts.append(part)
        return parts

    @property
    def _columns(self) -> list[tuple[int, int]]:
        """The blocks of columns that threads share."""
        return even_blocks(self.cells.shape[1], COLUMNS)

    def _current(self, part: Part, columns: slice) -> Floats:
        """Return the bare currents (n, columns), in uS of normalised input."""
        current = scratch("current", len(part.drive), columns.stop - columns.start, part.drive.dtype)
        np.matmul(part.drive, part.cells.current[:, columns], out=current)
        return current[part.inside]

    def _variance(self, part: Part, columns: slice) -> Floats:
        """Return the variance (n, columns) of read noise and electronic noise, or (0, 0)."""
        config, cells = self.config, part.cells
        electronic = config.shot_noise or config.thermal_noise_K
        if not (cells.variance.size or electronic):
            return cells.variance
        variance = scratch("variance", len(part.drive), columns.stop - columns.start, part.drive.dtype)
        if cells.variance.size:
            np.matmul(part.power, cells.variance[:, columns], out=variance)
        else:
            variance[:] = 0
        if config.shot_noise:
            conducting = np.abs(part.drive) @ cells.total[:, columns]
            variance += self.cells.real(shot_variance_per_uS(config)) * conducting
        if config.thermal_noise_K:
            conductance = cells.total[:, columns].sum(axis=0, dtype=np.float64)
            variance += thermal_variance(conductance, config).astype(variance.dtype)
        return variance[part.inside]

    def _read_block(self, x: Floats, first_read: int, out: Floats, over: Any) -> Counts:
        """Read at most `SAMPLES` inputs; `over` takes the blocks of columns, shared among threads or in turn."""
        converters, real = self.converters, self.cells.real
        volts, scale, dac_clipped = self._convert_inputs(x, over)
        parts = self._parts(volts, first_read)
        weight_per_uS = (1.0 / self.cells.uS_per_weight).astype(x.dtype)

        def read(block: tuple[int, int]) -> tuple[int, int]:
            columns, clipped, saturated = slice(*block), 0, 0
            for part in parts:
                current, at_end = self._sensed(part, columns, first_read, "read")
                saturated += at_end
                back = scale if part.worth == 1.0 else scale * real(part.worth)
                clipped += convert(
                    current, converters.lsb_uS(part.plane, part.k)[columns], real(converters.codes), back,
                    weight_per_uS, columns.start, part.lane == 0, out,
                )  # fmt: skip
            return clipped, saturated

        clipped, saturated = map(sum, zip(*over(read, self._columns), strict=True))
        return Counts(clipped, dac_clipped, saturated, self._conducted(parts))

    def _conducted(self, parts: list[Part]) -> float:
        """Return the conductance in uS that was read at full scale."""
        row_sum = self.view.grid.row_sum
        return sum(
            float(part.power.sum(axis=0, dtype=np.float64) @ row_sum[part.rows])
            for part in parts
            if part.plane == 0
        )

    def _sensed(self, part: Part, columns: slice, first_read: int, stream: str) -> tuple[Floats, int]:
        """Return the currents (n, columns) as they come to the converters, noise and errors with them, and how many saturated."""
        current, saturated = self._current(part, columns), 0
        variance = self._variance(part, columns)
        if variance.size:
            number = self.converters.number[part.plane, columns]
            add_noise(current, variance, first_read, number, part.lane, self.keys[stream])
        if self.converters.distort:
            saturated = self._distort(part, current, columns)
        return current, saturated

    def _distort(self, part: Part, current: Floats, columns: slice) -> int:
        """Let the periphery add its errors to the currents, in place; returns how many integrators saturated."""
        converters, real, where = self.converters, self.cells.real, (part.plane, part.k)
        leak = np.zeros(current.shape[1], current.dtype)
        if self.config.amplifier_offset_V:
            leak = converters.leak_uS(*where, self.view.line_sums_uS(part.rows))[columns]
        saturated: int = distort(
            current, real(converters.settled), real(self.config.saturation_uS or 0.0), leak,
            converters.gain[where][columns].astype(current.dtype), converters.shift_uS(*where)[columns],
        )  # fmt: skip
        return saturated

    def _count_vectors(self, vectors: int) -> None:
        """Enter so many input vectors into the ledger: each tile has converters of its own."""
        (rows, cols), ledger = self.cells.shape, self.ledger
        conversions = self._conversions
        ledger.reads += vectors
        ledger.phases += vectors * self._phases
        ledger.conversions += vectors * conversions
        ledger.dac_conversions += vectors * rows * len(self.converters.across)
        ledger.read_line_cells += vectors * self._phases * rows * 2 * cols
        ledger.read_sums += vectors * (conversions - cols)

    def read_arm(self, arm: int, event: int) -> Floats:
        """Read the plus (0) or minus device (1) of each pair, row by row, with noise and the ADC over its range; (rows, cols), uS."""
        cells = self.cells
        lsb_uS, range_uS = self.device_converter()
        look = Look(True, cells.real(lsb_uS), cells.real(range_uS), cells.real(0))
        found = np.empty(cells.shape, cells.dtype)
        read_devices(
            found.reshape(-1), arm, look, cells.state, cells.params, cells.now_s, event, self.keys["devices"],
            cells.read, cells.kernels.read_sigma,
        )  # fmt: skip
        self.count_row_reads(cells.shape[1])
        return found

    def count_row_reads(self, columns: int) -> None:
        """Enter one read of every row, one at a time and converted in so many columns, into the ledger."""
        rows, cols = self.cells.shape
        self.ledger.rows_read_back += rows
        self.ledger.readback_uS += float(self.view.grid.row_sum.sum())
        self.ledger.readback_conversions += rows * columns
        self.ledger.readback_line_cells += rows * 2 * cols

    def count_pair_reads(self, verified: Verified, reads: int) -> None:
        """Enter the reads before and after verified flushes into the ledger: a row's flushed pairs are read together."""
        self.ledger.pairs_verified += verified.pairs
        self.ledger.readback_uS += reads * verified.uS
        self.ledger.readback_conversions += 2 * reads * verified.pairs
        self.ledger.readback_line_cells += 2 * reads * verified.rows * 2 * self.cells.shape[1]

    def column_norms(self) -> Floats:
        """Read every row once and return the norm of each column in weight units."""
        grid = self.view.grid
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
