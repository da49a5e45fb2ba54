"""The update path in torch, in the order of `neurosim.crossbar.writer`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.core.cautions import Once
from neurosim.core.config import WritePath
from neurosim.core.errors import CapabilityError
from neurosim.core.protocols import UpdateMode
from neurosim.crossbar.cells import GAIN_BITS
from neurosim.crossbar.changes import fills, memory_work
from neurosim.crossbar.programme import PulseProgramme
from neurosim.crossbar.write_limits import drive, enough_pulses, warn_of_cut
from neurosim.crossbar.writer import HELD_FLUSHES, MOST_AT_ONCE, MOST_OWED, SWOLLEN
from neurosim.kernels.counts import ONE_SIDED, PUSH_PULL, RESET_AGAINST_REFERENCE, RESET_ONLY
from neurosim.reference.twin.cells import TwinCells
from neurosim.reference.twin.draws import uniform, words
from neurosim.reference.twin.reader import TwinReader
from neurosim.reference.twin.refresher import TwinRefresher
from neurosim.reference.twin.tally import Tally

_NEVER = 2.0**-25
"""A change of fewer pulses than this cannot be rounded up by a 24-bit uniform."""
_RAREST = 2.0**-24


class TwinWriter:
    """Updates of all instances at once."""

    def __init__(
        self,
        cells: TwinCells,
        reader: TwinReader,
        write: WritePath,
        tally: Tally,
        once: Once,
    ):
        self._once = once
        self.cells, self.reader, self.config = cells, reader, write
        self.tally = tally
        device = cells.device
        if write.decay_mode == "device" and device.depression_share is None:
            raise CapabilityError(
                f"decay_mode 'device': {device.name} (law '{device.law}') cannot; use 'readback'"
            )
        if write.decay_mode == "device" and cells.reference:
            raise CapabilityError("decay_mode 'device' cannot go with mapping 'reference'; use 'readback'")
        self.drive = drive(device, write)
        self.one_reset = self.drive == RESET_AGAINST_REFERENCE
        self.pulses_per_uS = 1.0 / (device.read_step_uS * (2 if self.drive == PUSH_PULL else 1))
        self.refresher: TwinRefresher | None = None
        if write.refresh and self.drive in (ONE_SIDED, RESET_ONLY):
            self.refresher = TwinRefresher(cells, reader, write.refresh, tally)
        self.enough = enough_pulses(device, write)
        self.limit = write.pulse_limit
        """Most pulses that any device is given at once; None: the most are found by a look."""
        self.most = min(write.pulse_limit or self.enough, self.enough)
        self.updates = self.times = 0
        self.recorder: tuple[PulseProgramme, int] | None = None
        """Where the pulses of one instance are written down."""
        self.pending_decay = torch.zeros(cells.instances, cells.shape[1], dtype=cells.dtype, device=cells.on)
        self.accumulator: Tensor | None = None
        self.asleep = False
        """Whether the next change is that of a negative phase."""
        self.velocity, self.baseline = (
            torch.zeros(
                (cells.instances, *(cells.shape if wanted else (0, 0))), dtype=cells.dtype, device=cells.on
            )
            for wanted in (write.momentum, write.baseline)
        )

    def prepare(self, mode: UpdateMode) -> None:
        """Make what updates of that mode keep."""
        if mode == "mixed" and self.accumulator is None:
            cells = self.cells
            self.accumulator = torch.zeros(cells.instances, *cells.shape, dtype=cells.dtype, device=cells.on)

    def update(self, pre: Tensor, post: Tensor, decay: Tensor | None, mode: UpdateMode) -> Tensor:
        """Apply one local update; returns the pulses (instances,)."""
        before = self.tally.total("pulses").clone()
        if decay is not None:
            self.forget(decay)
        if mode == "online":
            self.train(pre, post)
            self.end(pre.shape[-2], decay is not None)
        else:
            event, due = self.updates + 1, self._due(decay is not None)
            self._sweep(pre, post, due, event, accumulate=mode == "mixed")
            self._done(due, event, event)
        return self.tally.total("pulses") - before

    def forget(self, decay: Tensor) -> None:
        """Add a decay of columns (instances or 1, cols) to what waits; gains behind converters take it at once.

        The read of the columns that are due is counted.
        """
        self.pending_decay = self.pending_decay + decay
        if self.config.decay_mode == "gain":
            self._lower_gains()
        if self.config.decay_mode == "readback":
            self.reader.count_row_reads(self._due(True).sum(dim=1).double())

    def train(self, pre: Tensor, post: Tensor) -> Tensor:
        """Give the coincidences of pulse trains for samples (instances, samples, lines); returns all pulses so far."""
        self._trains(pre, post, self.updates + 1)
        self.updates = self.updates + pre.shape[-2]
        return self.tally.total("pulses")

    def end(self, samples: int, decayed: bool) -> Tensor:
        """End an update by pulse trains of so many samples: its decay; returns all pulses so far."""
        event, due = self.updates + 1, self._due(decayed)
        self._sweep(None, None, due, event, accumulate=False)
        self._done(due, event, event - samples)
        return self.tally.total("pulses")

    def _done(self, due: Tensor, event: Any, first_event: Any) -> None:
        """Note the end of an update at an event, which began with the first."""
        self.updates = event
        self.times += 1
        self.tally.add("updates", 1)
        self.pending_decay = torch.where(due, 0.0, self.pending_decay).to(self.cells.dtype)
        if self.config.decay_mode == "device":
            self._depress(first_event)

    def _lower_gains(self) -> None:
        """Shrink the weights of the columns by the gain behind their converters."""
        taken = self.pending_decay.clamp(max=float(MOST_AT_ONCE))
        unit = self.cells.span_uS
        lowered = self.cells.uS_per_weight / (1 - taken)
        self.cells.uS_per_weight = lowered.clamp(unit / 2.0**GAIN_BITS, unit * 2.0**GAIN_BITS)
        self.pending_decay = self.pending_decay - taken
        self.tally.add("macs", (taken != 0).sum(dim=1).double())

    def halve_swollen(self, norms: Tensor) -> None:
        """Half the conductance and twice the gain for columns (instances, cols) that outgrew their window."""
        cells = self.cells
        self.updates += 1
        size_uS = norms * cells.uS_per_weight / cells.shape[0] ** 0.5
        due = size_uS > SWOLLEN * cells.span_uS
        if cells.sparse and not bool(due.any()):
            return
        cells.uS_per_weight = torch.where(due, cells.uS_per_weight / 2, cells.uS_per_weight)
        if self.accumulator is not None:
            self.accumulator = torch.where(due.unsqueeze(1), self.accumulator / 2, self.accumulator)
        kept = self.pending_decay, self.limit, self.most
        self.pending_decay, self.limit, self.most = torch.full_like(kept[0], 0.5), None, self.enough
        self.reader.count_row_reads(due.sum(dim=1).double())
        self._sweep(None, None, due, self.updates, accumulate=self.accumulator is not None)
        self.pending_decay, self.limit, self.most = kept

    def _due(self, decayed: bool) -> Tensor:
        """Mask (instances, cols) of the columns whose decay is applied now, by an update that had one."""
        if not decayed or self.config.decay_mode in ("device", "gain"):
            return torch.zeros_like(self.pending_decay, dtype=torch.bool)
        if self.config.decay_mode == "exact":
            return self.pending_decay != 0
        return self.pending_decay.abs() >= self.config.decay_threshold

    def _change(
        self, pre: Tensor | None, post: Tensor | None, due: Tensor, event: int
    ) -> tuple[Tensor, Tensor]:
        """Wanted change in pulses (instances, rows, cols) and which rows take part (instances, rows, 1)."""
        cells = self.cells
        rows, cols = cells.shape
        if pre is None or post is None:
            change = torch.zeros(cells.instances, rows, cols, dtype=cells.dtype, device=cells.on)
        else:
            change = pre.transpose(-1, -2) @ post
            if self.config.baseline and self.asleep:
                self.baseline = self._moved(self.baseline, self.config.baseline, change)
            elif self.config.baseline:
                change = change + self.baseline
            if self.config.momentum:
                self.velocity = change = self._moved(self.velocity, self.config.momentum, change)
            change = change * (cells.uS_per_weight * self.pulses_per_uS).to(cells.dtype).unsqueeze(1)
            change = change.expand(cells.instances, rows, cols)
        swept = (change != 0).any(dim=2, keepdim=True) | due.any(dim=1).reshape(-1, 1, 1)
        if cells.sparse and not bool(due.any()):
            return change, swept
        if self.config.decay_mode == "exact":
            seen = cells.grid.difference
        elif cells.sparse:
            places = due.unsqueeze(1).expand(-1, rows, -1).reshape(-1).nonzero().squeeze(1)
            seen = torch.zeros_like(cells.grid.difference)
            seen.view(-1)[places] = self.reader.read_pairs("readback", event, places)
        else:
            seen = self.reader.read_pairs("readback", event, None)
        lost = self.pending_decay.unsqueeze(1) * seen * self.pulses_per_uS
        return torch.where(due.unsqueeze(1), change - lost, change), swept

    def _moved(self, stored: Tensor, keep: float, change: Tensor) -> Tensor:
        """Return what is stored of changes, moved towards one."""
        old = torch.tensor(keep, dtype=self.cells.dtype, device=self.cells.on)
        return old * stored + (1 - old) * change

    def _sweep(
        self, pre: Tensor | None, post: Tensor | None, due: Tensor, event: int, accumulate: bool
    ) -> None:
        cells = self.cells
        change, swept = self._change(pre, post, due, event)
        if accumulate:
            self._flush(change, swept, event)
        else:
            self._give("pulse", event, self._rounded(change, event), self.limit)
        rows, cols = cells.shape
        if pre is not None and post is not None:
            formed = (pre != 0).sum(dim=-1).double() * (post != 0).sum(dim=-1).double()
            self.tally.add("macs", formed.sum(dim=-1))
            macs, accesses = memory_work(self.config, self.asleep)
            self.tally.add("macs", macs * rows * cols)
            self.tally.add("memory_accesses", accesses * rows * cols)
        if accumulate:
            decaying = due.sum(dim=-1).double()
            met = rows * decaying
            if pre is not None and fills(self.config, self.asleep):
                met = torch.full_like(met, rows * cols)
            elif pre is not None and post is not None:
                answers = (post != 0).any(dim=-2) & ~due
                met = met + (pre != 0).any(dim=-2).sum(dim=-1).double() * answers.sum(dim=-1).double()
            self.tally.add("memory_accesses", 2 * met)

    def _cut(self, excess: Tensor) -> None:
        """Enter pulses (instances, rows, cols) that are asked for and not given, where above zero."""
        cut = excess.clamp(min=0).sum(dim=(1, 2))
        self.tally.add("pulses_cut", cut)
        if self.cells.sparse:
            self.warn_of_cut(cut)

    def warn_of_cut(self, cut: Tensor | None = None) -> None:
        """Say once that pulses were cut: by an update, or so far. On a GPU the host waits for the number."""
        pulses = float((self.tally.total("pulses_cut") if cut is None else cut).sum())
        if pulses > 0:
            warn_of_cut(self._once, pulses, self.most, self.config)

    def _rounded(self, change: Tensor, event: int) -> Tensor:
        """Round at random so that the mean count equals the change: (instances, rows, cols, 2) counts."""
        cells = self.cells
        pairs = cells.shape[0] * cells.shape[1]
        if cells.sparse:
            places = (change.reshape(-1).abs() >= _NEVER).nonzero().squeeze(1)
            wanted, number = change.reshape(-1)[places], places % pairs
            key = cells.key("round").of(places // pairs)
        else:
            wanted = change.reshape(-1, pairs)
            number, key = torch.arange(pairs, device=cells.on), cells.key("round").spread(1)
        a, b, _, _ = words(number, event, 0, key)
        self._cut(change.double().abs() - self.most)
        several = self.config.flush_pulses
        size = wanted.abs().clamp(max=self.most) / several
        first, second = (several * (size + uniform(word).to(size.dtype)).to(torch.int32) for word in (a, b))
        shared = self._share_out(wanted > 0, first, second).to(torch.int32)
        if not cells.sparse:
            return shared.reshape(*change.shape, 2)
        counts = torch.zeros(*change.shape, 2, dtype=torch.int32, device=cells.on)
        counts.view(-1, 2)[places] = shared
        return counts

    def _flush(self, change: Tensor, swept: Tensor, event: int) -> None:
        """Give what the accumulator has gathered, and put back what pulses missed where that is verified."""
        whole = self._whole(change, swept, event)
        size = whole.abs().to(torch.int32)
        counts = self._share_out(whole > 0, size, size)
        if not self.config.verify_reads:
            self._give("pulse", event, counts, self.limit)
            return
        flushed = (counts != 0).any(dim=-1)
        before = self._look_at(flushed, event, 0)
        self._give("pulse", event, counts, self.limit)
        given = self._look_at(flushed, event, 1) - before
        most = HELD_FLUSHES * self.config.flush_pulses
        assert self.accumulator is not None
        held = (self.accumulator + whole - given * self.pulses_per_uS).clamp(-most, most)
        self.accumulator = torch.where(flushed, held, self.accumulator)

    def _look_at(self, flushed: Tensor, event: int, after: int) -> Tensor:
        """Read pair differences (instances, rows, cols), averaged, and enter the reads of the flushed ones."""
        cells, reads = self.cells, self.config.verify_reads
        seen = sum(self.reader.read_pairs("verify", event, None, 2 * k + after) for k in range(reads)) / reads
        each = cells.conductance_uS().reshape(*flushed.shape, 2).sum(dim=-1, dtype=torch.float64)
        pairs, rows = flushed.sum(dim=(1, 2)).double(), flushed.any(dim=2).sum(dim=1).double()
        self.reader.count_pair_reads(
            pairs, rows, torch.where(flushed, each, 0.0).sum(dim=(1, 2)), reads, after
        )
        return torch.as_tensor(seen)

    def _whole(self, change: Tensor, swept: Tensor, event: int) -> Tensor:
        """Add to the digital accumulator and take out whole pulses, once it holds enough (Nandakumar 2020)."""
        assert self.accumulator is not None
        flush, total = self.config.flush_pulses, self.accumulator + change
        held, now = total, torch.zeros_like(total)
        if self.config.prompt:
            number = torch.arange(change[0].numel(), device=change.device)
            drawn = uniform(words(number, event, 0, self.cells.key("round").spread(1))[0]).to(change.dtype)
            size = flush * torch.trunc(change.abs() / flush + drawn.reshape(-1, *change.shape[1:]))
            held, now = self.accumulator, torch.where(change > 0, size, -size)
        now = now + torch.where(held.abs() >= flush, torch.trunc(held), 0.0)
        whole = now.clamp(-self.most, self.most)
        left = total - whole
        self._cut(torch.where(swept, left.double().abs() - self.enough, 0.0))
        left = left.clamp(-self.enough, self.enough)
        self.accumulator = torch.where(swept, left, self.accumulator)
        return torch.where(swept, whole, 0.0).to(change.dtype)

    def _share_out(self, up: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Put the pulses of changes up or down on the devices of the pairs: (..., 2) counts."""
        drive = self.drive
        second = second if drive.minus_up else first

        def most(size: Tensor, limit: np.int32) -> Tensor:
            return size.clamp(max=int(limit))

        plus = torch.where(up, most(first, drive.plus_up), -most(first, drive.plus_down))
        minus = torch.where(up, -most(second, drive.minus_up), most(second, drive.minus_down))
        return torch.stack([plus, minus], dim=-1)

    def _give(
        self, purpose: str, event: int, counts: Tensor, limit: int | None, in_turn: bool = True
    ) -> None:
        """Give counts (instances, rows, cols, 2) of at most `limit` pulses and enter them; lines take turns or do not."""
        cells = self.cells
        flat = counts.reshape(cells.instances, cells.cells)
        if self.recorder:
            programme, instance = self.recorder
            given = flat[instance].reshape(cells.shape[0], -1).to("cpu", torch.int32, copy=True)
            programme.take(purpose, event, cells.now_s, given.numpy())
        if self.one_reset:
            energy = cells.pulse(purpose, event, flat.clamp(min=0), limit)
            energy[:, 1] += cells.act(
                purpose, event, flat < 0, flat,
                lambda state, draw, once: cells.law.pulse(state, once, -1, cells.now_s, draw),
            )  # fmt: skip
        else:
            energy = cells.pulse(purpose, event, flat, limit)
        self._enter(flat, energy, in_turn)

    def _enter(self, counts: Tensor, energy: Tensor, in_turn: bool) -> None:
        (rows, cols), given = self.cells.shape, counts.abs()
        self.cells.worn += given
        pulses = given.sum(dim=1, dtype=torch.float64)
        slots = given.reshape(len(given), rows, -1).amax(dim=2)
        self.tally.add("up_J", energy[:, 0])
        self.tally.add("down_J", energy[:, 1])
        self.tally.add("pulses", pulses)
        self.tally.add("downs", counts.clamp(max=0).abs().sum(dim=1, dtype=torch.float64))
        self.tally.add("pulsed_cells", (counts != 0).sum(dim=1).double())
        self.tally.add("pulsed_rows", (slots > 0).sum(dim=1).double())
        if in_turn:
            of_columns = given.reshape(len(given), rows, cols, 2).amax(dim=(1, 3))
            self.tally.add("row_slots", slots.sum(dim=1, dtype=torch.float64))
            self.tally.add("column_slots", of_columns.sum(dim=1, dtype=torch.float64))
        self.tally.add("pulse_line_cells", pulses * rows)

    def _trains(self, pre: Tensor, post: Tensor, first_event: int) -> None:
        """Sample after sample, the coincidences of pulse trains on word and bit lines."""
        cells = self.cells
        slots = self.config.pulse_train_slots
        rate = post * (cells.uS_per_weight * self.pulses_per_uS).to(cells.dtype).unsqueeze(1)
        row_peak = pre.abs().amax(dim=-1, keepdim=True)
        row_peak = torch.where(row_peak == 0, torch.ones_like(row_peak), row_peak)
        highest = row_peak * rate.abs().amax(dim=-1, keepdim=True)
        row_share = torch.sqrt(highest / slots).clamp(1e-3, 1)
        row_drive = (pre * (row_share / row_peak)).expand(cells.instances, *pre.shape[-2:])
        col_drive = rate * (row_peak / (row_share * slots))
        row_high = self._line_trains("rows", row_drive, first_event)
        col_high = self._line_trains("cols", col_drive, first_event)
        self.tally.add("trains", pre.shape[-2])
        self.tally.add("trains_clipped", (col_drive.abs() > 1).sum(dim=(1, 2)))
        for sample in range(pre.shape[-2]):
            met = (row_high[:, sample].to(cells.dtype) @ col_high[:, sample].to(cells.dtype).mT).to(
                torch.int32
            )
            up = (row_drive[:, sample, :, None] > 0) == (col_drive[:, sample, None, :] > 0)
            self._give("pulse", first_event + sample, self._share_out(up, met, met), slots, in_turn=False)

    def _line_trains(self, purpose: str, drive: Tensor, first_event: int) -> Tensor:
        """Draw trains of lines (instances, samples, lines): bool (instances, samples, lines, slots)."""
        slots = self.config.pulse_train_slots
        samples, lines = drive.shape[1:]
        line = torch.arange(lines, device=drive.device)
        event = first_event + torch.arange(samples, device=drive.device).reshape(-1, 1)
        key = self.cells.key(purpose).spread(2)
        drawn = [word for group in range(-(-slots // 4)) for word in words(line, event, group, key)]
        levels = uniform(torch.stack([word.expand(drive.shape) for word in drawn], dim=-1)[..., :slots])
        probability = drive.abs().unsqueeze(-1)
        return (levels < probability) & (probability >= _RAREST)

    def _depress(self, event: int) -> None:
        """Give both devices of a pair the depression pulses that its column's decay is worth."""
        cells = self.cells
        share_of_one = cells.device.depression_share
        if share_of_one is None:
            return
        rows, cols = cells.shape
        unit = torch.tensor(share_of_one, dtype=cells.dtype, device=cells.on)
        wanted = torch.clamp(self.pending_decay, min=0) / unit
        counts = wanted.clamp(max=self.most).to(torch.int32)
        left = self.pending_decay.double() - counts.double() * unit.double()
        self.pending_decay = left.to(cells.dtype).clamp(min=-float(MOST_OWED))
        column_counts = counts.reshape(-1, 1, cols, 1).expand(-1, rows, cols, 2)
        self._give("depress", event, -column_counts, self.limit)
