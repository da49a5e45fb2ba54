"""Programming: signed weights become target conductances, and those are written in one of three ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.core.cautions import Once
from neurosim.core.config import ReadPath, WritePath
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator, key
from neurosim.crossbar.cells import PairCells
from neurosim.crossbar.ledger import Ledger
from neurosim.crossbar.nominal import nominal_curve, pulse_by_pulse
from neurosim.crossbar.window import Window
from neurosim.kernels.cells import program_cells
from neurosim.kernels.jit import share
from neurosim.kernels.programming import NO_CURVE, Target, Written, write_open, write_verify

_PURPOSES = ("program", "programming pulse", "verify")


class Programmer:
    """Writes conductances of one array and enters pulses, reads, joules and time into the ledger.

    `down` are the rows of each row of tiles, `born` the seed of comparators' offsets.
    """

    def __init__(
        self,
        cells: PairCells,
        write: WritePath,
        read: ReadPath,
        ledger: Ledger,
        seed: int,
        name: str,
        down: list[slice],
        born: int,
        once: Once,
    ):
        self.cells, self.config, self.read, self.ledger = cells, write.programming, read, ledger
        device, config = cells.device, self.config
        self.curve = NO_CURVE
        self.window = Window(write.scale, ledger, once)
        if config.mode != "statistics":
            pulse_by_pulse(device, f"programming.mode = '{config.mode}'", "'statistics'")
        if config.mode == "open":
            self.curve = nominal_curve(device)
        self.target = Target(
            cells.real(config.tolerance * (cells.window_uS[1] - cells.window_uS[0])),
            config.pulse_budget,
            device.steps_down,
            cells.real(1 / np.sqrt(config.verify_reads)),
            config.verify == "compare",
            cells.real(config.comparator_noise_uS),
        )
        self.offset_uS: Floats | None = None
        """(rows, cols, 2) offset of the comparator of each device's bit line; None: they have none."""
        if config.comparator_offset_uS:
            lines = generator(born, name, "comparators").standard_normal((len(down), cells.shape[1], 2))
            lines = (config.comparator_offset_uS * lines).astype(cells.dtype)
            self.offset_uS = np.repeat(lines, [rows.stop - rows.start for rows in down], axis=0)
        self.keys = {purpose: key(seed, name, purpose) for purpose in _PURPOSES}
        if cells.shared:
            self._write_shared(cells.shared)
        elif cells.reference:
            self._write(np.full((*cells.shape, 1), cells.middle_uS, cells.dtype), arm=1)

    def program(self, weights: Floats, w_max: float | None) -> Floats:
        """Write signed weights; returns the differences (rows, cols) aimed at, uS."""
        cells = self.cells
        cells.fit_scale(weights, w_max)
        used = np.abs(weights) * (cells.uS_per_weight / cells.span_uS)
        self.window.look(used[:, cells.in_use], learns=w_max is not None)
        targets = cells.targets(weights)
        cells.programs += 1
        self._write(targets, arm=0)
        opposite = cells.zero_uS if cells.reference else targets[..., 1]
        differences: Floats = targets[..., 0] - opposite
        return differences

    def set_references(self, wanted_uS: Floats) -> None:
        """Write the reference (rows, cols) of each learning device, from which its weight counts from then on."""
        cells = self.cells
        cells.programs += 1
        cells.zero_uS = wanted_uS
        self._write(wanted_uS[..., None], arm=1)

    def write_again(self, wanted_uS: Floats) -> int:
        """Write the learning devices (rows, cols) of fixed references; returns how many would lie beyond the window."""
        cells = self.cells
        cells.programs += 1
        within = np.clip(wanted_uS, *cells.window_uS)
        clipped = int(np.count_nonzero(within != wanted_uS))
        self.ledger.weights_clipped += clipped
        self._write(within[..., None], arm=0)
        return clipped

    def _write_shared(self, shared: list[slice]) -> None:
        """Write the one reference that columns share in each row."""
        cells = self.cells
        rows, cols = cells.shape
        targets = np.full((len(shared), rows), cells.middle_uS, cells.dtype)
        if self.offset_uS is not None:
            targets -= self.offset_uS[:, [columns.start for columns in shared], 1].T
        lines = [(2 * columns.start + 1, 2 * cols) for columns in shared]
        parts = [self._way(*line, wanted) for line, wanted in zip(lines, targets, strict=True)]
        cells.copy_shared()
        cells.forget_grid()
        seconds = self._count(cells.count_reached([2 * columns.start + 1 for columns in shared]), parts)
        if seconds:
            self._take_time(np.stack(seconds, axis=1))

    def _write(self, targets: Floats, arm: int) -> None:
        """Write targets (rows, cols, arms) to the devices from `arm` on: both of each pair, or one."""
        cells = self.cells
        arms = targets.shape[2]
        if self.offset_uS is not None:  # a comparator takes a conductance for that much more
            targets = targets - self.offset_uS[..., arm : arm + arms]

        def write(block: tuple[int, int]) -> tuple[float, Written | None]:
            first = 2 * block[0] * cells.shape[1] + arm
            return self._way(first, 3 - arms, targets[block[0] : block[1]].reshape(-1))

        parts = share(write, cells.row_blocks())
        cells.forget_grid()
        for seconds in self._count(cells.count_reached(slice(arm, None, 3 - arms)), parts):
            self._take_time(seconds.reshape(-1, arms * cells.shape[1]))

    def _way(self, first: int, stride: int, targets: Floats) -> tuple[float, Written | None]:
        ways = {"statistics": self._by_statistics, "open": self._open, "closed": self._closed}
        return ways[self.config.mode](first, stride, targets)

    def _count(self, devices: int, parts: list[tuple[float, Written | None]]) -> list[Floats]:
        """Enter what was done; returns the seconds of each device of each part that was written pulse by pulse."""
        self.ledger.programmed_cells += devices
        self.ledger.program_pulses_J += sum(energy for energy, _ in parts)
        return [self._enter(written) for _, written in parts if written is not None]

    def _take_time(self, seconds: Floats) -> None:
        """Enter the time of word lines that are written one after another, the devices (lines, devices) of each side by side."""
        self.ledger.program_time_s += float(seconds.max(axis=1).sum())

    def _by_statistics(self, first: int, stride: int, targets: Floats) -> tuple[float, None]:
        cells = self.cells
        energy: float = program_cells(
            first, targets, cells.state, cells.params, cells.now_s, cells.programs,
            self.keys["program"], cells.kernels.program, stride, cells.reached,
        )  # fmt: skip
        return energy, None

    def _open(self, first: int, stride: int, targets: Floats) -> tuple[float, Written]:
        cells = self.cells
        written = Written.empty(targets.size)
        write_open(
            first, stride, targets, self.curve, cells.state, cells.params, cells.now_s, self._first_event,
            self.keys["programming pulse"], written, cells.kernels.reset, cells.kernels.pulse,
            cells.reached,
        )  # fmt: skip
        return float(written.energy_J.sum()), written

    def _closed(self, first: int, stride: int, targets: Floats) -> tuple[float, Written]:
        cells = self.cells
        written = Written.empty(targets.size)
        kernels: Any = cells.kernels
        write_verify(
            first, stride, targets, self.target, cells.state, cells.params, cells.now_s, self._first_event,
            (self.keys["programming pulse"], self.keys["verify"]), written, kernels.reset, kernels.pulse,
            cells.read, kernels.read_sigma, cells.reached,
        )  # fmt: skip
        return float(written.energy_J.sum()), written

    @property
    def _first_event(self) -> int:
        """Each programming has 2^32 events of its own, one a pulse."""
        return self.cells.programs << 32

    def _enter(self, written: Written) -> Floats:
        """Enter the counts of some devices; returns the seconds that each takes."""
        ledger, verified = self.ledger, self.config.mode == "closed"
        pulses = written.pulses + written.resets
        looks = pulses + 1 if verified else np.zeros_like(pulses)
        reads = self.config.verify_reads * looks
        ledger.program_pulses += int(written.pulses.sum(dtype=np.int64))
        ledger.program_resets += int(written.resets.sum(dtype=np.int64))
        if self.target.compare:
            ledger.program_comparisons += int(reads.sum(dtype=np.int64))
        else:
            ledger.program_reads += int(reads.sum(dtype=np.int64))
        ledger.program_uS += self.config.verify_reads * float(written.seen_uS.sum())
        ledger.program_failed += int(written.converged.size - np.count_nonzero(written.converged))
        seconds: Floats = (
            pulses * (self.cells.device.pulse_time_s or 0.0) + reads * self.read.integration_time_s
        )
        return seconds
