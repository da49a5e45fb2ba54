"""Refresh of saturated pairs: when, which, how they are written anew, and what that costs."""

from __future__ import annotations

import numpy as np

from neurosim.core.config import Refresh
from neurosim.core.errors import CapabilityError
from neurosim.core.protocols import Device
from neurosim.core.seeds import key
from neurosim.crossbar.cells import PairCells
from neurosim.crossbar.ledger import Ledger
from neurosim.crossbar.nominal import nominal_curve, pulse_by_pulse
from neurosim.crossbar.reader import Reader
from neurosim.kernels.jit import share
from neurosim.kernels.programming import NO_CURVE
from neurosim.kernels.refresh import Look, Refreshed, Saturated, refresh_pairs


def refuse_to_count_from_the_top(refresh: Refresh, direction: int) -> None:
    """Raise `CapabilityError` where pulses of a rewriting would have to be counted downwards."""
    if refresh.rewrite == "pulses" and direction < 0:
        raise CapabilityError(
            "refresh.rewrite = 'pulses' counts SET pulses after a RESET; with write.pulses = 'reset' devices start "
            "from the top of their window: use 'verify'"
        )


def saturated(refresh: Refresh, device: Device, window_uS: tuple[float, float], direction: int) -> Saturated:
    """Return the limits of saturated pairs in uS, as shares of G_max, on bipolar cards of the window.

    Where pulses go down, they count from its upper end, times -1.
    """
    low_uS, high_uS = window_uS
    bottom_uS = 0.0 if device.polarity == "set_only" else low_uS
    span_uS = high_uS - bottom_uS
    start_uS = bottom_uS if direction > 0 else -high_uS
    most = float("inf") if refresh.most_difference is None else refresh.most_difference * span_uS
    return Saturated(start_uS + refresh.high * span_uS, start_uS + refresh.low * span_uS, most)


class Refresher:
    """The refresh policy of one array of pairs that are pulsed in one direction only."""

    def __init__(
        self, cells: PairCells, reader: Reader, refresh: Refresh, ledger: Ledger, seed: int, name: str
    ):
        self.cells, self.reader, self.config, self.ledger = cells, reader, refresh, ledger
        self.saturated = saturated(refresh, cells.device, cells.window_uS, cells.direction)
        self.curve = NO_CURVE
        self.rises = cells.direction > 0
        refuse_to_count_from_the_top(refresh, cells.direction)
        if refresh.rewrite == "pulses":
            pulse_by_pulse(cells.device, "refresh.rewrite = 'pulses'", "'verify'")
            self.curve = nominal_curve(cells.device)
        self.keys = (key(seed, name, "refresh"), key(seed, name, "look"))

    def after(self, updates: int, event: int) -> bool:
        """Look at all pairs if it is time to after so many updates, and refresh the saturated; whether it was."""
        due = updates % self.config.every == 0
        if due:
            self.look(event)
        return due

    def look(self, event: int) -> None:
        """Look at all pairs now, and refresh the saturated."""
        cells, ledger = self.cells, self.ledger
        grid, kernels, real = cells.grid, cells.kernels, cells.real
        lsb_uS, range_uS = self.reader.device_converter()
        noisy = self.config.look == "read"
        mean = getattr(cells.device, "program_pulses", 0.0)
        look = Look(
            noisy, real(lsb_uS), real(range_uS), real(cells.start_uS), np.float32(cells.direction),
            np.uint32(max(1, round(mean))),
        )  # fmt: skip

        def refresh(block: tuple[int, int]) -> Refreshed:
            sums: Refreshed = refresh_pairs(
                *block, self.saturated, look, self.curve, grid, cells.state, cells.params, cells.now_s,
                2 * event, self.keys, kernels.reset, kernels.program, kernels.pulse, cells.read,
                kernels.read_sigma,
            )  # fmt: skip
            return sums

        rows, cols = cells.shape
        ledger.refresh_looks += 1
        ledger.refresh_reads += 2 * rows * cols
        self.reader.count_row_reads(2 * cols if noisy else cols)
        parts = share(refresh, cells.row_blocks())
        for sums in parts:
            ledger.refresh_J += sums.energy_J
            ledger.refreshed_pairs += sums.pairs
            ledger.refresh_resets += 2 * sums.pairs if self.rises else 0
            ledger.refresh_pulses += sums.pulses
        if self.config.rewrite == "verify":
            written = 1 if self.rises else 2
            ledger.refresh_pulses += round(mean * written * sum(sums.pairs for sums in parts))
