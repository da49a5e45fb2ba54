"""The read path in torch, in the order of `neurosim.crossbar.reader`."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.core.config import ReadPath
from neurosim.reference.twin.cells import TwinCells
from neurosim.reference.twin.draws import words
from neurosim.reference.twin.tally import Tally


def positive_codes(bits: int | None) -> int:
    """Number of positive codes of a signed converter; 0 for a perfect one."""
    return 2 ** (bits - 1) - 1 if bits else 0


class TwinReader:
    """Forward reads, and the row reads that updates ask for."""

    def __init__(self, cells: TwinCells, read: ReadPath, tally: Tally):
        self.cells, self.config, self.tally = cells, read, tally
        self.reads = self.norm_reads = 0
        given = read.adc_range_uS or cells.span_uS * cells.shape[0] ** 0.5
        self.adc_range_uS = torch.full((cells.instances,), given, dtype=torch.float64, device=cells.on)

    def assume_inputs(self, differences: Tensor) -> None:
        """Set the ADC's range for inputs spread evenly over the DAC's range, from programmed targets."""
        if self.config.adc_range_uS is None:
            mean = 0.5 * differences.sum(dim=1).abs()
            spread = torch.sqrt(torch.square(differences).sum(dim=1) / 3)
            widest = (mean + 4 * spread).amax(dim=1).double()
            self.adc_range_uS = torch.clamp(widest, min=1e-3 * self.cells.span_uS).repeat(
                self.cells.instances // widest.numel()
            )

    def calibrate(self, x: Tensor, percentile: float | None, margin: float | None) -> Tensor:
        """Set the ADC's range to `margin` times a percentile of the bare currents of `x`."""
        percentile = self.config.adc_percentile if percentile is None else percentile
        margin = self.config.adc_margin if margin is None else margin
        if self.config.adc_range_uS is None:
            self.tally.add("calibration_reads", x.shape[-2])
        volts, _, _ = self._volts(x)
        currents = (volts @ self.cells.grid.difference).abs().reshape(self.cells.instances, -1)
        place = (currents.shape[1] - 1) * percentile / 100
        below = int(place)
        if percentile == 100:
            found = currents.amax(dim=1)
        else:
            ordered = currents.sort(dim=1).values
            found = ordered[:, below] + (ordered[:, below + 1] - ordered[:, below]) * (place - below)
        wanted = margin * found.double()
        self.adc_range_uS = torch.where(wanted > 0, wanted, self.adc_range_uS)
        return self.adc_range_uS

    def _volts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale to [-1, 1], clip, round to DAC codes; volts, full scale (..., 1) and how many clipped."""
        if self.config.input_range == "vector":
            full = x.abs().amax(dim=-1, keepdim=True)
            full = torch.where(full == 0, torch.ones_like(full), full)
        else:
            full = torch.full_like(x[..., :1], float(self.config.input_range))
        v = x / full
        clipped = (v.abs() > 1).sum(dim=(-2, -1))
        v = v.clamp(-1, 1)
        codes = positive_codes(self.config.dac_bits)
        return (torch.round(v * codes) / codes if codes else v), full, clipped

    def forward(self, x: Tensor) -> Tensor:
        """Multiply (batch, rows) or (instances, batch, rows) by the weights: (instances, batch, cols)."""
        cells = self.cells
        grid = cells.grid
        volts, full, dac_clipped = self._volts(x)
        current = volts @ grid.difference
        power = volts * volts
        if grid.variance is not None:
            variance = power @ grid.variance
            event = self.reads + torch.arange(x.shape[-2], device=cells.on).reshape(-1, 1)
            column = torch.arange(cells.shape[1], device=cells.on)
            drawn = words(column, event, 0, cells.key("read").spread(2))[0]
            current = current + torch.sqrt(torch.clamp(variance, min=0)) * cells.law.normal(drawn)
        adc_clipped = torch.zeros((), dtype=torch.int64, device=cells.on)
        codes = positive_codes(self.config.adc_bits)
        if codes:
            full_scale = self.adc_range_uS.reshape(-1, 1, 1)
            step, most = (full_scale / codes).to(cells.dtype), full_scale.to(cells.dtype)
            most = torch.round(most / step)
            code = torch.round(current / step)
            adc_clipped = (code.abs() > most).sum(dim=(-2, -1))
            current = torch.minimum(torch.maximum(code, -most), most) * step
        self._count(x.shape[-2], power, dac_clipped, adc_clipped)
        per_weight = (1.0 / cells.uS_per_weight).to(cells.dtype).unsqueeze(1)
        return current * (full * per_weight)

    def _count(self, samples: int, power: Tensor, dac_clipped: Tensor, adc_clipped: Tensor) -> None:
        self.reads += samples
        self.tally.add("reads", samples)
        self.tally.add("conversions", samples * self.cells.shape[1])
        self.tally.add("dac_clipped", dac_clipped)
        self.tally.add("adc_clipped", adc_clipped)
        rows, cols = self.cells.shape
        self.tally.add("phases", samples)
        self.tally.add("dac_conversions", samples * rows)
        self.tally.add("read_line_cells", samples * rows * 2 * cols)
        drive = power.sum(dim=-2, dtype=torch.float64)
        self.tally.add("read_uS", (drive * self.cells.grid.row_sum).sum(dim=-1))

    def count_row_reads(self, columns: Tensor) -> None:
        """Enter one read of every row, converted in so many columns (instances,); none where that is 0."""
        rows, cols = self.cells.shape
        looked = (columns > 0).double()
        self.tally.add("rows_read_back", rows * looked)
        self.tally.add("readback_uS", looked * self.cells.grid.row_sum.sum(dim=-1))
        self.tally.add("readback_conversions", rows * columns)
        self.tally.add("readback_line_cells", rows * 2 * cols * looked)

    def count_pair_reads(
        self, pairs: Tensor, rows: Tensor, conducting_uS: Tensor, reads: int, after: int
    ) -> None:
        """Enter reads of so many pairs (instances,) on so many rows, before (0) or after (1) pulses."""
        self.tally.add("pairs_verified", pairs * after)
        self.tally.add("readback_uS", reads * conducting_uS)
        self.tally.add("readback_conversions", reads * pairs)
        self.tally.add("readback_line_cells", reads * rows * 2 * self.cells.shape[1])

    def read_pairs(self, purpose: str, event: int, pairs: Tensor | None, draw: int = 0) -> Tensor:
        """One noisy, quantised read of pair differences, uS.

        Parameters
        ----------
        purpose, event : str, int
            Stream and event of the noise.
        pairs : (n,) int64 tensor or None
            Numbers ``instance * rows * cols + row * cols + col``; None reads all: (instances, rows, cols).
        draw : int
            Number of the read in its event.
        """
        cells, grid = self.cells, self.cells.grid
        rows, cols = cells.shape
        seen = grid.difference if pairs is None else grid.difference.reshape(-1)[pairs]
        if grid.variance is not None:
            variance = grid.variance if pairs is None else grid.variance.reshape(-1)[pairs]
            if pairs is None:
                number = torch.arange(rows * cols, device=cells.on).reshape(rows, cols)
                key = cells.key(purpose).spread(2)
            else:
                number = pairs % (rows * cols)
                key = cells.key(purpose).of(pairs // (rows * cols))
            drawn = words(number, event, draw, key)[0]
            seen = seen + torch.sqrt(variance) * cells.law.normal(drawn)
        codes = positive_codes(self.config.adc_bits)
        if codes:
            step, most = (
                torch.tensor(value, dtype=cells.dtype, device=cells.on)
                for value in (cells.span_uS / codes, cells.span_uS)
            )
            seen = torch.minimum(torch.maximum(torch.round(seen / step) * step, -most), most)
        return seen

    def read_devices(self, purpose: str, event: int, conductance: Tensor) -> Tensor:
        """One noisy, quantised read of every single device (instances, cells), uS."""
        cells = self.cells
        drawn = words(cells.numbers, event, 0, cells.key(purpose).spread(1))[0]
        seen = conductance + cells.law.read_sigma(conductance) * cells.law.normal(drawn)
        codes = positive_codes(self.config.adc_bits)
        if codes:
            g_max_uS = cells.window_uS[1]
            step, most = (
                torch.tensor(value, dtype=cells.dtype, device=cells.on)
                for value in (g_max_uS / codes, g_max_uS)
            )
            seen = torch.minimum(torch.clamp(torch.round(seen / step) * step, min=0), most)
        return seen

    def column_norms(self) -> Tensor:
        """Read every row once: the norm of each column (instances, cols) in weight units."""
        self.norm_reads += 1
        seen = self.read_pairs("norms", self.norm_reads, None).double()
        every = torch.full((self.cells.instances,), float(self.cells.shape[1]), dtype=torch.float64)
        every = every.to(self.cells.on)
        self.count_row_reads(every)
        return (torch.sqrt(torch.square(seen).sum(dim=1)) / self.cells.uS_per_weight).to(self.cells.dtype)
