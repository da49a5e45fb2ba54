"""Refresh of saturated pairs in torch, as in `neurosim.crossbar.refresher`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurosim.core.config import Refresh
from neurosim.crossbar.nominal import nominal_curve, pulse_by_pulse
from neurosim.crossbar.refresher import refuse_to_count_from_the_top, saturated
from neurosim.reference.twin.cells import TwinCells
from neurosim.reference.twin.reader import TwinReader
from neurosim.reference.twin.tally import Tally


class TwinRefresher:
    """The refresh policy of all instances."""

    def __init__(self, cells: TwinCells, reader: TwinReader, refresh: Refresh, tally: Tally):
        self.cells, self.reader, self.config, self.tally = cells, reader, refresh, tally
        refuse_to_count_from_the_top(refresh, cells.direction)
        self.saturated = saturated(refresh, cells.device, cells.window_uS, cells.direction)
        if refresh.rewrite == "pulses":
            pulse_by_pulse(cells.device, "refresh.rewrite = 'pulses'", "'verify'")
            curve = nominal_curve(cells.device)
            self.most = int(curve.pulses[-1])
            self.curve_uS, self.curve_pulses = (torch.from_numpy(part).to(cells.on) for part in curve)

    @property
    def most_pulses(self) -> int:
        """Pulses by which a device is written again, at most: one beside its write where that is verified."""
        return self.most if self.config.rewrite == "pulses" else 1

    def due(self, updates: int) -> bool:
        """Whether it is time to look at all pairs after so many updates."""
        return updates % self.config.every == 0

    def look(self, event: Any) -> Tensor:
        """Look at all pairs and refresh the saturated; returns how many (instances,) they were.

        `event` is that of the first draw of the update before, a number or a tensor.
        """
        cells, config, tally = self.cells, self.config, self.tally
        rows, cols = cells.shape
        read = config.look == "read"
        seen = cells.conductance_uS()
        tally.add("refresh_looks", 1)
        tally.add("refresh_reads", 2 * rows * cols)
        conversions = torch.full((cells.instances,), float(cols), dtype=torch.float64, device=cells.on)
        self.reader.count_row_reads(2 * conversions if read else conversions)
        if read:
            seen = self.reader.read_devices("look", 2 * event, seen)
        seen = cells.direction * seen.reshape(cells.instances, -1, 2)
        size, limits = (seen[..., 0] - seen[..., 1]).abs(), self.saturated
        tired = (seen.amax(dim=-1) > limits.high_uS) & (seen.amin(dim=-1) > limits.low_uS)
        tired = tired & (size < limits.most_difference_uS)
        plus_larger = seen[..., 0] > seen[..., 1]
        target = torch.stack([plus_larger, ~plus_larger], dim=-1) & tired.unsqueeze(-1)
        both = tired.unsqueeze(-1).expand(-1, -1, 2).reshape(cells.instances, -1)
        target = target.reshape(cells.instances, -1)
        energy = self._bring_back(both, target, 2 * event)
        other = cells.conductance_uS().reshape(cells.instances, -1, 2).flip(-1)
        start = torch.full_like(other, cells.start_uS) if read else other
        wanted = (start + cells.direction * size.unsqueeze(-1)).clamp(min=0).reshape(cells.instances, -1)
        rises = cells.direction > 0
        pairs = tired.sum(dim=1).double()
        if config.rewrite == "pulses":
            counts = torch.where(target, self._pulses_to(wanted), 0)
            cells.worn += counts + both.long()
            energy = energy + cells.pulse("refresh", 2 * event + 1, counts, self.most).sum(dim=1)
            pulses = counts.sum(dim=1).double()
        else:
            energy = energy + cells.act(
                "refresh", 2 * event + 1, target, wanted,
                lambda state, draw, aim: cells.law.program(state, aim, cells.now_s, draw),
            )  # fmt: skip
            mean = getattr(cells.device, "program_pulses", 0.0)
            pulses = torch.round(pairs * mean * (1 if rises else 2))
            writes = max(1, round(mean))
            cells.worn += writes * target.long() + (
                both.long() if rises else writes * (both & ~target).long()
            )
        tally.add("refresh_J", energy)
        tally.add("refreshed_pairs", pairs)
        tally.add("refresh_resets", 2 * pairs if rises else 0 * pairs)
        tally.add("refresh_pulses", pulses)
        return pairs

    def _bring_back(self, both: Tensor, target: Tensor, event: Any) -> Tensor:
        """RESET both devices; where pulses go down, write the other one to the top. Returns the energy."""
        cells = self.cells
        if cells.direction > 0:
            return cells.act(
                "refresh", event, both, both, lambda state, draw, _: cells.law.reset(state, cells.now_s, draw)
            )
        top = torch.full(both.shape, cells.start_uS, dtype=cells.dtype, device=cells.on)
        return cells.act(
            "refresh", event, both & ~target, top,
            lambda state, draw, aim: cells.law.program(state, aim, cells.now_s, draw),
        )  # fmt: skip

    def _pulses_to(self, target_uS: Tensor) -> Tensor:
        """Pulses from RESET by the nominal curve, between its points by line, to the nearest."""
        curve, pulses = self.curve_uS, self.curve_pulses
        aim = torch.minimum(torch.maximum(target_uS.double(), curve[0]), curve[-1])
        above = torch.searchsorted(curve, aim, right=True).clamp(1, curve.numel() - 1)
        low, high = curve[above - 1], curve[above]
        share = (aim - low) / (high - low)
        counted = pulses[above - 1] + share * (pulses[above] - pulses[above - 1])
        return torch.round(counted).to(torch.int32)
