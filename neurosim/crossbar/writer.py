"""The update path: (pre, post, decay) become pulses on the devices, in place, in one of three modes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.cautions import GainWarning, Once
from neurosim.core.config import WritePath
from neurosim.core.protocols import Floats, UpdateMode
from neurosim.core.seeds import key
from neurosim.crossbar.cells import FADED_BITS, PairCells
from neurosim.crossbar.changes import StoredChanges, fills, memory_work
from neurosim.crossbar.ledger import Ledger
from neurosim.crossbar.programme import PulseProgramme, Step
from neurosim.crossbar.reach import Reach
from neurosim.crossbar.reader import Reader
from neurosim.crossbar.refresher import Refresher
from neurosim.crossbar.write_limits import drive, enough_pulses, refuse_device, refuse_in_mode, warn_of_cut
from neurosim.kernels.counts import ONE_SIDED, PUSH_PULL, RESET_ONLY, Factor, factor
from neurosim.kernels.groups import group_pulses
from neurosim.kernels.jit import scratch, share
from neurosim.kernels.products import single_threaded_blas
from neurosim.kernels.pulsed import Sums, give_rows
from neurosim.kernels.trains import line_trains, train_rows
from neurosim.kernels.update import Verified, Verifier, sweep_rows

Columns = NDArray[np.int64]
Peaks = NDArray[np.int32]

MOST_AT_ONCE = np.float32(0.5)
"""Largest share of its weights that the gain of a column takes in one update; the rest waits."""

MOST_OWED = np.float32(1)
"""Largest share of its weights by which a column is to grow that depression pulses, which cannot, take off later decay."""

SWOLLEN = 0.375
"""Largest rms of a column's pair differences, as a share of the window, where gains take the decay."""

HELD_FLUSHES = 8
"""Flushes that an accumulator holds at most where they are verified."""

_NO_COLUMNS = np.empty(0, np.int64)
_PURPOSES = ("round", "pulse", "readback", "rows", "cols", "depress", "verify")


def products(pre: Factor, post: Factor) -> int:
    """Return how many products of the sum over the batch are not zero: these are formed digitally."""
    return int(pre.of_sample @ post.of_sample)


def touched(pre: Factor, post: Factor, due: Columns, rows: int) -> int:
    """Return how many accumulators a sweep reads and writes: those of changes that are not zero, and of columns that decay."""
    answers = post.used.copy()
    answers[due] = False
    return int(np.count_nonzero(pre.used)) * int(np.count_nonzero(answers)) + rows * len(due)


class Writer:
    """Updates of one array. Holds a block of change for each thread, the neurons' pending decay, once `mixed` has been
    used one digital accumulator per synapse, and with `WritePath.momentum` one filtered change, in weight units."""

    def __init__(
        self,
        cells: PairCells,
        reader: Reader,
        write: WritePath,
        ledger: Ledger,
        reach: Reach,
        seed: int,
        name: str,
        once: Once,
    ):
        self.reach, self._once = reach, once
        self.cells, self.reader, self.config = cells, reader, write
        self.ledger = ledger
        device = cells.device
        refuse_device(device, write, cells.reference, reader.view.plain)
        self.drive = drive(device, write)
        self.pulses_per_uS = 1.0 / (device.read_step_uS * (2 if self.drive == PUSH_PULL else 1))
        self.refresher: Refresher | None = None
        if write.refresh and self.drive in (ONE_SIDED, RESET_ONLY):
            self.refresher = Refresher(cells, reader, write.refresh, ledger, seed, name)
        self.several = int(getattr(device, "devices_per_cell", 1))
        """Devices of a cell: event e pulses number e (times a step) modulo so many of them."""
        self.keys = {purpose: key(seed, name, purpose) for purpose in _PURPOSES}
        self.sweep_keys = tuple(self.keys[p] for p in ("round", "pulse", "readback"))
        enough = enough_pulses(device, write)
        self.enough, self.most = enough, min(write.pulse_limit or enough, enough)
        held = cells.real(HELD_FLUSHES * write.flush_pulses)
        self.verifier = Verifier(
            write.prompt, np.int32(write.verify_reads), self.keys["verify"], held, cells.real(enough)
        )
        self.updates = 0
        """The last event, which numbers random numbers and says which device of a cell is pulsed. Each update is one, each
        sample of pulse trains; what else has events takes as many as there are devices a cell, so that no device is passed over."""
        self.recorder: PulseProgramme | None = None
        """Where pulses are written down."""
        self.pending_decay = np.zeros(cells.shape[1], cells.dtype)
        self.accumulator = self.no_accumulator = np.empty((0, 0), cells.dtype)
        self.stored = StoredChanges(cells.shape, write, cells.precision)

    def update(self, pre: Floats, post: Floats, decay: Floats | None, mode: UpdateMode) -> int:
        """Apply one local update and return the pulses given."""
        before = self.ledger.pulses
        event, turn = self.updates + 1, self.ledger.updates + 1
        refuse_in_mode(mode, self.config)
        self.reach.before(self.ledger.updates)
        if decay is not None:
            self.pending_decay += decay
            if self.config.decay_mode == "gain":
                self._lower_gains()
        due = _NO_COLUMNS if decay is None else self._due_columns()
        self.drive = self.drive._replace(
            up=np.int32(turn % self.config.potentiate_every == 0),
            down=np.int32(turn % self.config.depress_every == 0),
        )
        if mode == "online":
            self._trains(pre, post, event)
            if due.size:
                self._sweep(None, None, due, self._in_turn(event + len(pre), turn), accumulate=False)
            self.updates += len(pre) + self.several
        else:
            self._sweep(pre, post, due, event, accumulate=mode == "mixed")
            self.updates += 1
        self.ledger.updates += 1
        self.pending_decay[due] = 0
        self.reach.after(event)
        if self.config.decay_mode == "device":
            self._depress(self._in_turn(event, turn))
        if (
            self.refresher is not None
            and self.refresher.after(self.ledger.updates, event)
            and self.recorder is not None
        ):
            self.recorder.look(event, self.cells.now_s)
        self.cells.changes += 1
        return self.ledger.pulses - before

    def _in_turn(self, event: int, turn: int) -> int:
        """The first event from one on that pulses the device of a cell whose turn it is in an update of that number."""
        return event + (turn - event) % self.several

    def _lower_gains(self) -> None:
        """Shrink the columns' weights by the gain behind their converters; an accumulator shrinks with them."""
        taken = np.minimum(self.pending_decay, MOST_AT_ONCE)
        self.cells.uS_per_weight /= 1 - taken
        self.pending_decay -= taken
        faded = self.cells.bound_gains()
        if faded.size:
            self._once.say(
                GainWarning,
                f"the digital gain of {faded.size} columns (the first is {faded[0]}) has fallen below 2**-{FADED_BITS}: their weights "
                "are gone, as devices do not follow what the rule takes them for; lower flush_pulses or the learning rate, or measure "
                "norms more often (norm_every)",
                stacklevel=4,
            )
        self.ledger.macs += int(np.count_nonzero(taken))

    def halve_swollen(self, norms: Floats) -> None:
        """Bring columns back into their window whose gain fell while they grew: half the conductance, twice the gain.

        `norms` (cols,) have just been measured. The columns are read once more, row by row, and pulsed: whatever the turn of
        changes and the limit of an update, as the gain is doubled. Several devices of a cell give their parts one after another.
        """
        events = range(self.updates + 1, self.updates + 1 + self.several)
        self.updates += self.several
        size_uS = norms * self.cells.uS_per_weight / math.sqrt(self.cells.shape[0])
        due = np.flatnonzero(size_uS > SWOLLEN * self.cells.span_uS)
        if not due.size:
            return
        self.cells.uS_per_weight[due] /= 2
        if self.accumulator.size:
            self.accumulator[:, due] /= 2
        kept = self.pending_decay, self.most
        self.most, self.drive = self.enough, self.drive._replace(up=np.int32(1), down=np.int32(1))
        for done, event in enumerate(events):
            self.pending_decay = np.full_like(kept[0], 1 / (2 * self.several - done))
            self.reader.count_row_reads(due.size)
            self._sweep(None, None, due, event, accumulate=self.accumulator.size > 0)
        self.pending_decay, self.most = kept
        self.cells.changes += 1

    def _due_columns(self) -> Columns:
        """The columns whose decay is applied in this sweep; a read of them is counted."""
        if self.config.decay_mode in ("device", "gain"):
            return _NO_COLUMNS
        if self.config.decay_mode == "exact":
            return np.flatnonzero(self.pending_decay)
        due = np.flatnonzero(np.abs(self.pending_decay) >= self.config.decay_threshold)
        if due.size:
            self.reader.count_row_reads(due.size)
        return due

    def _kernels(self) -> tuple[Any, Any, Any]:
        return group_pulses(self.cells.kernels), self.cells.read, self.cells.kernels.read_sigma

    def _sweep(
        self,
        pre: Floats | None,
        post: Floats | None,
        due: Columns,
        event: int,
        accumulate: bool,
    ) -> None:
        grid, cells = self.cells.grid, self.cells
        exact = self.config.decay_mode == "exact"
        seen = self.reader.view.grid if due.size else grid
        if exact and cells.connected is None:
            seen = grid
        if accumulate and self.accumulator.size == 0:
            self.accumulator = np.zeros(cells.shape, cells.dtype)
        accumulator = self.accumulator if accumulate else self.no_accumulator
        step, cell_range = self.reader.cell_converter()
        real = cells.real
        pulses_per_weight = (cells.uS_per_weight * self.pulses_per_uS).astype(cells.dtype)
        if post is not None and not self.stored:
            post = post * pulses_per_weight  # else filtered first, in weights

        def sweep(block: tuple[int, int]) -> tuple[Sums, Verified, Peaks]:
            first, last = block
            peaks = np.zeros(cells.shape[1], np.int32)
            change = scratch("change", last - first, cells.shape[1], cells.dtype)
            if pre is None or post is None:
                change[:] = 0
            else:
                np.matmul(pre[:, first:last].T, post, out=change)
                if self.stored:
                    self.stored.take(first, change, pulses_per_weight)
            sums, verified = sweep_rows(
                first, change, self.pending_decay, due, exact, real(self.pulses_per_uS),
                real(self.config.flush_pulses), real(self.most), self.verifier, real(step), real(cell_range),
                self.drive, accumulator, peaks, seen, grid, cells.state, cells.params, cells.now_s, event,
                self.sweep_keys, *self._kernels(),
            )  # fmt: skip
            return sums, verified, peaks

        with single_threaded_blas():
            parts = share(sweep, cells.product_blocks())
        self._enter([sums for sums, _, _ in parts], [peaks for _, _, peaks in parts])
        self._record("pulse", event)
        if accumulate and self.config.verify_reads:
            for _, verified, _ in parts:
                self.reader.count_pair_reads(verified, self.config.verify_reads)
        self._count_arithmetic(pre, post, due, accumulate)

    def _count_arithmetic(
        self, pre: Floats | None, post: Floats | None, due: Columns, accumulate: bool
    ) -> None:
        """Enter the products that a sweep formed, and the accumulators and filtered changes that it read and wrote."""
        rows, cols = self.cells.shape
        accumulators = rows * len(due)
        if pre is not None and post is not None:
            factors = factor(pre), factor(post)
            self.ledger.macs += products(*factors)
            accumulators = touched(*factors, due, rows)
            macs, accesses = memory_work(self.config, self.stored.asleep)
            self.ledger.macs += macs * rows * cols
            self.ledger.memory_accesses += accesses * rows * cols
            if fills(self.config, self.stored.asleep):
                accumulators = rows * cols
        if accumulate:
            self.ledger.memory_accesses += 2 * accumulators

    def _trains(self, pre: Floats, post: Floats, first_event: int) -> None:
        grid, cells = self.cells.grid, self.cells
        rate = post * (cells.uS_per_weight * self.pulses_per_uS).astype(cells.dtype)
        slots = self.config.pulse_train_slots
        row_peak = np.abs(pre).max(axis=1, keepdims=True)
        row_peak[row_peak == 0] = 1
        highest = row_peak * np.abs(rate).max(axis=1, keepdims=True)
        row_share = np.clip(np.sqrt(highest / slots), 1e-3, 1).astype(cells.dtype)
        row_drive = pre * (row_share / row_peak)
        col_drive = rate * (row_peak / (row_share * cells.real(slots)))
        row_trains = np.empty(pre.shape, np.uint32)
        col_trains = np.empty(post.shape, np.uint32)
        line_trains(row_drive, slots, row_trains, first_event, self.keys["rows"])
        self.ledger.trains += len(pre)
        self.ledger.trains_clipped += line_trains(
            col_drive, slots, col_trains, first_event, self.keys["cols"]
        )

        # what is recorded is told apart by its sample
        for some in [slice(None)] if self.recorder is None else [slice(k, k + 1) for k in range(len(pre))]:
            event = first_event + (some.start or 0)

            def strike(block: tuple[int, int], some: slice = some, event: int = event) -> Sums:
                sums: Sums = train_rows(
                    *block, row_trains[some], row_drive[some], col_trains[some], col_drive[some], self.drive, grid,
                    cells.state, cells.params, cells.now_s, event, self.keys["pulse"], *self._kernels(),
                )  # fmt: skip
                return sums

            self._enter(share(strike, cells.row_blocks()), [])
            self._record("pulse", event)

    def _depress(self, event: int) -> None:
        cells = self.cells
        if cells.device.depression_share is None:
            return
        share_of_one = cells.real(cells.device.depression_share / self.several)
        wanted = np.maximum(self.pending_decay, 0) / share_of_one
        counts = np.minimum(wanted, self.most).astype(np.int32)
        self.pending_decay -= counts * share_of_one
        np.maximum(self.pending_decay, -MOST_OWED, out=self.pending_decay)
        if not counts.any():
            return
        reached = cells.strength.reshape(-1, len(counts), 2).any(axis=(0, 2)) if cells.strength.size else 1
        wanted = np.tile(np.repeat(-counts, 2), (cells.shape[0], 1))
        self._give(wanted, event, "depress", [(counts * reached).astype(np.int32)])
        self._record("depress", event)

    def _record(self, kind: str, event: int) -> None:
        if self.recorder is not None:
            self.recorder.take(kind, event, self.cells.now_s, self.cells.given)

    def replay(self, programme: PulseProgramme, step: Step) -> None:
        """Give the pulses of one step, with the random numbers that they had."""
        self._give(programme.wanted(step), step.event, step.kind, [])

    def strike_all(self, wanted: NDArray[np.int32]) -> None:
        """Give the devices pulses (rows, 2 cols) that no update asked for, word line by word line, as an event of their own.

        Of several devices a cell each is given as many, one after another.
        """
        peaks = np.abs(wanted).reshape(len(wanted), -1, 2).max(axis=(0, 2))
        for _ in range(self.several):
            self.updates += 1
            self.reach.before(self.ledger.updates)
            self._give(wanted, self.updates, "pulse", [peaks])
            self.reach.after(self.updates)

    def _give(self, wanted: NDArray[np.int32], event: int, kind: str, peaks: list[Peaks]) -> None:
        cells = self.cells
        grid = cells.grid

        def give(block: tuple[int, int]) -> Sums:
            sums: Sums = give_rows(
                *block, wanted, grid, cells.state, cells.params, cells.now_s, event, self.keys[kind],
                *self._kernels(),
            )  # fmt: skip
            return sums

        self._enter(share(give, cells.row_blocks()), peaks)
        cells.changes += 1

    def _cut(self, pulses: float) -> None:
        """Enter pulses that were asked for and not given; say it once, unless a limit was asked for."""
        self.ledger.pulses_cut += pulses
        if pulses > 0:
            warn_of_cut(self._once, pulses, self.most, self.config)

    def _enter(self, parts: list[Sums], peaks: list[Peaks]) -> None:
        """Add the sums of the blocks, in their order, to the ledger, with the lines that were charged.

        `peaks` are the most pulses of any device of each column, of each block of a sweep; none of pulse trains, in which
        lines do not take turns.
        """
        if peaks:
            self.ledger.column_slots += int(np.max(peaks, axis=0).sum(dtype=np.int64))
            self.ledger.row_slots += sum(sums.slots for sums in parts)
        self._cut(sum(sums.cut for sums in parts))
        rows, ledger = self.cells.shape[0], self.ledger
        for sums in parts:
            ledger.up_J += sums.up_J
            ledger.down_J += sums.down_J
            ledger.pulses += sums.pulses
            ledger.downs += sums.downs
            ledger.pulsed_cells += sums.pulsed_cells
            ledger.pulsed_rows += sums.rows
            ledger.pulses_lost += sums.lost
            ledger.lost_uS += sums.lost_uS
            ledger.pulse_line_cells += sums.pulses * rows
