"""`TorchCrossbar`: the crossbar in torch, one or many instances, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.core.cautions import Once
from neurosim.core.checks import extents, matrix, numbers, precision_of, refuse_overflow, vector, whole
from neurosim.core.config import Periphery, ReadPath, WritePath
from neurosim.core.errors import CapabilityError, CheckpointError, InputError
from neurosim.core.hardware import Draws
from neurosim.core.protocols import Device, Precision, State, UpdateMode, Work
from neurosim.crossbar.cells import GAIN_BITS
from neurosim.crossbar.changes import stored_changes
from neurosim.crossbar.device import as_read, device_of, warn_if_carried, warn_if_still
from neurosim.crossbar.ledger import Ledger, Rates
from neurosim.crossbar.programme import PulseProgramme
from neurosim.crossbar.window import warn_of_growth
from neurosim.crossbar.write_limits import refuse_in_mode
from neurosim.reference.twin.cells import TwinCells
from neurosim.reference.twin.compiled import Passes
from neurosim.reference.twin.followed import refuse_what_is_not_followed
from neurosim.reference.twin.reader import TwinReader
from neurosim.reference.twin.tally import Tally
from neurosim.reference.twin.tensors import real_tensor
from neurosim.reference.twin.writer import TwinWriter


def on_device(name: str | torch.device) -> torch.device:
    """Return the torch device of that name; raises `CapabilityError` where there is no GPU."""
    if isinstance(name, torch.device):
        return name
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise CapabilityError(f"torch device '{name}': this torch sees no GPU; use 'cpu'")
    try:
        return torch.device(name)
    except RuntimeError:
        raise InputError(f"torch device '{name}': expected 'cpu', 'cuda' or 'cuda:N'") from None


MOST_UNROLLED = 16
"""Largest `WritePath.pulse_limit`, or number of slots of pulse trains, with which updates are compiled."""
MOST_SAMPLES = 256
"""Samples of a read up to which it is compiled: beyond, the product itself takes the time."""


class TorchCrossbar:
    """The array of `Crossbar`, computed by torch: an independent second machine.

    Parameters
    ----------
    shape : (int, int)
        Word lines and signed columns.
    device : str, path or Device
        Card name, card file or device.
    seed : int or sequence of int
        One instance for each seed; the instance of seed s is `Crossbar(..., seed=s)`, draw for draw.
    read, write, periphery, draws, name, precision
        As `Crossbar`; this machine has no converters to be born.
    torch_device : str
        "cpu" or "cuda".

    Attributes
    ----------
    instances : int or None
        Number of independent arrays that run as one batch; None for a single one, without that axis.

    Notes
    -----
    Arguments may be tensors, or anything numpy reads; without an axis of instances they serve all of them.
    Results are tensors with an axis of instances in front, which `seed` as a single number leaves out.
    Tensors are not searched for NaN, which would make a GPU wait for the host; nothing else does either,
    except `pulse_limit` left at None: then each update fetches one number, the largest pulse count.

    Memory per instance, with P = rows x cols pairs in single precision: state 48 P bytes (soft bounds) or
    26 P (phase change), grid 4 P or, with read noise, 8 P, cell numbers 16 P (shared by all instances),
    accumulator 4 P (`mixed`). A step adds temporary integers of the random numbers: on a GPU about ten
    int64 per cell, 160 P bytes; on a CPU only for the cells that change.
    """

    ideal = False

    def scale_columns(self, factors: Tensor) -> None:
        """Multiply the weights of each column by a factor (cols,) or (instances, cols)."""
        least, most = self._cells.span_uS / 2.0**GAIN_BITS, self._cells.span_uS * 2.0**GAIN_BITS
        self._cells.uS_per_weight = (self._cells.uS_per_weight / factors.double()).clamp(least, most)

    def __init__(
        self,
        shape: tuple[int, int],
        device: str | Path | Device,
        *,
        seed: int | Sequence[int] = 0,
        read: ReadPath | dict[str, Any] | None = None,
        write: WritePath | dict[str, Any] | None = None,
        periphery: Periphery | dict[str, Any] | None = None,
        wires: None = None,
        tiles: None = None,
        faults: None = None,
        draws: Draws | dict[str, Any] | None = None,
        name: str = "array",
        precision: Precision = "float32",
        torch_device: str | torch.device = "cpu",
        compiled: bool | None = None,
    ):
        self.shape, self.precision = extents(shape), precision_of(precision)
        self.single = np.ndim(seed) == 0
        given: Any = (seed,) if self.single else seed
        self._seeds = tuple(whole("seed", each) for each in given)
        if not self._seeds:
            raise InputError("seed: expected at least one")
        self.count = len(self._seeds)
        self.instances = None if self.single else self.count
        self.read = ReadPath.of(read, "read") or ReadPath()
        self.write = WritePath.of(write, "write") or WritePath()
        self.periphery = Periphery.of(periphery, "periphery") or Periphery()
        self.gains_hold_norms = self.write.decay_mode == "gain"
        self.wires = None
        refuse_what_is_not_followed(self.read, self.write, {"wires": wires, "tiles": tiles, "faults": faults})
        self.name, self.on = name, on_device(torch_device)
        self.device = as_read(device_of(device), self.read)
        self.compiled = self.on.type == "cuda" if compiled is None else compiled
        self.draws = Draws.of(draws, "draws") or Draws()
        self._once, self._fitted = Once(), False
        warn_if_carried(self.device, self._once)
        self._build()

    def _build(self) -> None:
        """Make the devices and all that stands around them, from the settings."""
        rates = Rates.of(self.periphery, self.read, self.device)
        self._tally = Tally(self.count, rates, self.on)
        self._cells = TwinCells(
            self.shape, self.device, self._seeds, self.name, self.write, self.precision, self.on,
            sparse=self.on.type == "cpu" and not self.compiled, draws=self.draws,
        )  # fmt: skip
        if self._cells.reference:
            self._tally.add("program_pulses_J", self._cells.program_references())
            self._tally.add("programmed_cells", self._cells.cells // 2)
        self._reader = TwinReader(self._cells, self.read, self._tally)
        self._writer = TwinWriter(self._cells, self._reader, self.write, self._tally, self._once)
        cells, reader, writer = self._cells, self._reader, self._writer
        self._passes = Passes(
            (cells, reader, writer, self._tally),
            ((cells, "now_s"), (cells, "ages"), (cells, "programs"), (reader, "reads"), (reader, "norm_reads"), (writer, "updates")),
            self._close,
            self.on,
        ) if self.compiled else None  # fmt: skip

    def _close(self) -> None:
        """Leave nothing to be made on demand."""
        self._tally.settle()
        _ = self._cells.grid

    def _pass(self, what: str, act: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        return self._passes.run(what, act, *inputs) if self._passes else act(*inputs)

    def anew(self, **write: Any) -> TorchCrossbar:
        """Return an array of the same settings as it was made, but for some of `WritePath`; says nothing twice."""
        other = copy(self)
        other.write, other._once, other._fitted = self.write.changed(**write), Once(self._once), False
        other._build()
        return other

    def _tensor(self, name: str, value: Any, lines: int) -> Tensor:
        """Return samples (batch, lines) or (instances, batch, lines) as a tensor of this array."""
        if not isinstance(value, Tensor):
            values = numbers(name, value)
            if values.ndim == 3:
                flat = matrix(name, values.reshape(-1, values.shape[-1]), None, lines, self.precision)
                value = torch.from_numpy(flat.reshape(values.shape))
            else:
                value = torch.from_numpy(matrix(name, values, None, lines, self.precision))
        fits = value.ndim == 2 or (value.ndim == 3 and value.shape[0] == self.count)
        if not fits or value.shape[-1] != lines:
            raise InputError(
                f"{name}: expected shape (any x {lines}) or ({self.count} x any x {lines}), "
                f"got {tuple(value.shape)}"
            )
        samples: Tensor = real_tensor(name, value).to(self.on, self._cells.dtype)
        return samples

    def _out(self, values: Tensor) -> Tensor:
        return values[0] if self.single else values

    @property
    def w_max(self) -> float | None:
        """Weight of a full difference for weights that learn: `WritePath.w_max`, or 1; None where `scale` chooses it."""
        return (self.write.w_max or 1.0) if self.write.scale in ("auto", "fixed") else None

    def program(self, weights: Any, w_max: float | None = None) -> None:
        """Program every pair to signed weights (rows, cols) or (instances, rows, cols), closed loop.

        `w_max` is the weight of a full difference, for weights that go on learning; None: as `WritePath.scale` says.
        Weights beyond the window are counted in the ledger; nothing waits to warn of them.
        """
        wanted = self._tensor("weights", weights, self.shape[1])
        if wanted.shape[-2] != self.shape[0]:
            raise InputError(f"weights: expected {self.shape[0]} rows, got {wanted.shape[-2]}")
        unstated = self.write.scale == "auto" and not (w_max or self.write.w_max)
        self._fitted = unstated and bool(wanted.any())

        def write(wanted: Tensor) -> Tensor:
            differences, energy, clipped = self._cells.program(wanted, w_max)
            self._tally.add("weights_clipped", clipped)
            self._tally.add("program_pulses_J", energy)
            self._tally.add("programmed_cells", self._cells.cells // (2 if self._cells.reference else 1))
            self._reader.assume_inputs(differences)
            return clipped

        self._pass(f"program to {w_max}", write, wanted.reshape(-1, *self.shape))

    def forward(self, x: Any) -> Tensor:
        """Read: multiply (batch, rows) by the stored weights; (instances, batch, cols)."""
        read, samples = self._reader.forward, self._tensor("x", x, self.shape[0])
        if samples.shape[-2] > MOST_SAMPLES:
            return self._out(read(samples))
        return self._out(self._pass("forward", read, samples))

    def calibrate(self, x: Any, percentile: float | None = None, margin: float | None = None) -> Tensor:
        """Set the ADC's range from the currents of typical inputs; returns it, uS of summed difference."""
        return self._out(self._reader.calibrate(self._tensor("x", x, self.shape[0]), percentile, margin))

    def update(self, pre: Any, post: Any, decay: Any = None, mode: UpdateMode = "accumulate") -> Tensor:
        """Change the conductances in place as `Crossbar.update`; returns the pulses given.

        Parameters
        ----------
        pre : (batch, rows) or (instances, batch, rows)
        post : (batch, cols) or (instances, batch, cols)
        decay : (cols,) or (instances, cols), optional
        mode : {"accumulate", "mixed", "online"}
        """
        if mode not in ("accumulate", "mixed", "online"):
            raise InputError(f"mode = '{mode}': must be one of accumulate, mixed, online")
        if self._fitted:
            self._fitted = False
            warn_of_growth()
        pre = self._tensor("pre", pre, self.shape[0])
        post = self._tensor("post", post, self.shape[1])
        if self._cells.sparse and pre.numel() and post.numel():
            refuse_overflow(float(pre.abs().max()), float(post.abs().max()), pre.shape[-2])
        if pre.shape[-2] != post.shape[-2]:
            raise InputError(f"post: expected {pre.shape[-2]} samples as in pre, got {post.shape[-2]}")
        if decay is not None:
            if not isinstance(decay, Tensor):
                values = numbers("decay", decay)
                flat = vector("decay", values.reshape(-1), None, self.precision)
                decay = torch.from_numpy(flat.reshape(values.shape))
            if decay.shape[-1:] != self.shape[1:] or decay.ndim > 2:
                raise InputError(f"decay: expected shape ({self.shape[1]}), got {tuple(decay.shape)}")
            decay = decay.to(self.on, self._cells.dtype).reshape(-1, self.shape[1])
        post = post.expand(self.count, *post.shape[-2:])
        refuse_in_mode(mode, self.write)
        writer, event = self._writer, self._writer.updates + 1
        writer.prepare(mode)

        def learn(pre: Tensor, post: Tensor, decay: Tensor | None = None) -> Tensor:
            return writer.update(pre, post, decay, mode)

        if self._passes is None or writer.recorder or not self._unrolled(mode):
            given = learn(pre, post, decay)
        elif mode == "online":
            given = self._sample_by_sample(self._passes, pre, post, decay)
        else:
            phase = ", asleep" if writer.asleep else ""
            given = self._passes.run(
                f"update {mode}{phase}", learn, pre, post, *([] if decay is None else [decay])
            )
        self._refresh(event)
        return self._out(given)

    def _refresh(self, event: int) -> None:
        """Bring saturated pairs back, where it is time to after the update that began with this event."""
        refresher, recorder = self._writer.refresher, self._writer.recorder
        if refresher is None or not refresher.due(self._writer.times):
            return
        if self._passes and refresher.most_pulses <= MOST_UNROLLED:
            self._passes.run("refresh", refresher.look, torch.tensor(event, device=self.on))
        else:
            refresher.look(event)
        if recorder:
            recorder[0].look(event, self.now_s)

    def _unrolled(self, mode: UpdateMode) -> bool:
        """Whether the pulses of an update are few enough for each to have its own place in a compiled pass."""
        limit = self.write.pulse_train_slots if mode == "online" else self.write.pulse_limit
        return limit is not None and limit <= MOST_UNROLLED

    def _sample_by_sample(self, passes: Passes, pre: Tensor, post: Tensor, decay: Tensor | None) -> Tensor:
        """Do an update by pulse trains in compiled passes, one a sample; returns the pulses (instances,)."""
        writer, samples, decayed = self._writer, pre.shape[-2], decay is not None

        def forget(decay: Tensor) -> Tensor:
            writer.forget(decay)
            return decay

        before = self._tally.total("pulses").clone()
        if decay is not None:
            passes.run("decay", forget, decay)
        for k in range(samples):
            passes.run("sample", writer.train, pre[..., k : k + 1, :], post[..., k : k + 1, :])
        return passes.run(f"end {samples} {decayed}", lambda: writer.end(samples, decayed)) - before

    def column_norms(self) -> Tensor:
        """Return the norm of each column in weight units, by one counted, noisy read of every row."""
        norms = self._pass("norms", self._reader.column_norms)
        if self.gains_hold_norms:
            self._writer.halve_swollen(norms)
        return self._out(norms)

    def advance(self, seconds: float) -> None:
        """Let time pass: devices drift, relax and fluctuate, each from its own last write on."""
        if not (np.isfinite(seconds) and seconds >= 0):
            raise InputError(f"seconds = {seconds}: must be finite and at least 0")
        if seconds > 0 and self.read.drift:
            warn_if_still(self.device, self._once)
            if self._writer.recorder:
                self._writer.recorder[0].wait(float(seconds), self.now_s)
            self._cells.now_s += float(seconds)
            past = torch.tensor(float(seconds), dtype=torch.float64, device=self.on)
            self._pass("advance", self._cells.age, past)

    @contextmanager
    def record(self, instance: int = 0) -> Iterator[PulseProgramme]:
        """Context in which the pulses of one instance are written down, as `Crossbar.record` does.

        A `Crossbar` that was made and programmed alike gives them again (`Crossbar.replay`); this backend does not.
        """
        if not 0 <= instance < self.count:
            raise InputError(f"record: instance = {instance}, and there are {self.count}, from 0 on")
        programme = PulseProgramme((self.shape[0], 2 * self.shape[1]), *self.device.pulse_shapes)
        self._writer.recorder = programme, instance
        try:
            yield programme
        finally:
            self._writer.recorder = None

    @property
    def baseline(self) -> float | None:
        """What is kept of the stored average of negative phases (`WritePath.baseline`); None: there is none."""
        return self.write.baseline

    @property
    def asleep(self) -> bool:
        """Whether the next update is that of a negative phase; said before it by who knows (`Dense`)."""
        return self._writer.asleep

    @asleep.setter
    def asleep(self, asleep: bool) -> None:
        self._writer.asleep = asleep

    @property
    def now_s(self) -> float:
        """Simulated time."""
        return self._cells.now_s

    def conductance_uS(self) -> Tensor:
        """Return the conductances (instances, rows, 2 cols) now."""
        return self._out(self._cells.conductance_uS().reshape(-1, self.shape[0], 2 * self.shape[1]))

    @property
    def worn(self) -> np.ndarray:
        """Pulses (instances, rows, 2 cols) that updates and refreshes have given each device."""
        worn = self._cells.worn.reshape(-1, self.shape[0], 2 * self.shape[1]).cpu().numpy().astype(np.uint32)
        found: np.ndarray = worn[0] if self.single else worn
        return found

    def count_work(self, work: Work) -> None:
        """Enter into the ledgers what a rule asked for beside the arrays in one update."""
        self._tally.add("norm_macs", work.norms)
        self._tally.add("rule_macs", work.answers)

    def weights(self) -> Tensor:
        """Return the stored weights (instances, rows, cols), for inspection and plots only."""
        scale = self._cells.uS_per_weight.unsqueeze(1).to(self._cells.dtype)
        return self._out(self._cells.grid.difference / scale)

    @property
    def ledgers(self) -> list[Ledger]:
        """Counts and joules of every instance."""
        self._fetched()
        return [self._tally.ledger(k) for k in range(self.count)]

    @property
    def ledger(self) -> Ledger:
        """Counts and joules of the first instance."""
        self._fetched()
        return self._tally.ledger(0)

    def _fetched(self) -> None:
        """On a GPU, say now what an update would have had to wait for."""
        if not self._cells.sparse:
            self._writer.warn_of_cut()

    def rewind(self, ledger: Ledger) -> None:
        """Set the ledger of every instance back to earlier totals."""
        for k in range(self.count):
            self._tally.restore(k, ledger.to_array())

    @property
    def seconds_compiling(self) -> float:
        """Seconds spent so far on tracing and compiling passes."""
        return self._passes.seconds if self._passes else 0.0

    @property
    def state_bytes(self) -> int:
        """Memory of the device state of all instances, with the counts of each device's pulses."""
        return sum(values.nbytes for values in self._cells.state.values()) + self._cells.worn.nbytes

    def snapshot(self, instance: int = 0) -> State:
        """Return one instance in the form of `Crossbar.snapshot`: either machine restores it."""
        reader, writer = self._reader, self._writer
        counters = [reader.reads, reader.norm_reads, writer.updates]
        accumulator = np.empty((0, 0), self.precision)
        if writer.accumulator is not None:
            accumulator = writer.accumulator[instance].cpu().numpy().copy()
        return {
            **self._cells.snapshot(instance),
            "ledger": self._tally.to_array(instance),
            "counters": np.array(counters, np.int64),
            "fitted": np.array([self._fitted]),
            "adc_range_uS": reader.adc_range_uS[instance : instance + 1].cpu().numpy().copy(),
            "pending_decay": writer.pending_decay[instance].cpu().numpy().copy(),
            "accumulator": accumulator,
            **{
                name: getattr(writer, name)[instance].cpu().numpy().copy()
                for name in stored_changes(self.write)
            },
        }

    def restore(self, snapshot: State, instance: int | None = None) -> None:
        """Go back to a snapshot of this array or of `Crossbar`; without `instance` every instance does.

        Raises
        ------
        CheckpointError
            If an array is missing or has another shape or precision.
        """
        reader, writer = self._reader, self._writer
        chosen = range(self.count) if instance is None else (instance,)
        if "zero_uS" in snapshot:
            raise CheckpointError(
                "checkpoint of references at symmetric points (zero_uS): not in the torch backend; use numba"
            )
        try:
            for k in chosen:
                self._cells.restore(k, snapshot)
                reader.adc_range_uS[k] = float(snapshot["adc_range_uS"][0])
                writer.pending_decay[k] = self._kept(snapshot["pending_decay"])
                accumulator = self._kept(snapshot["accumulator"])
                if accumulator.numel():
                    if writer.accumulator is None:
                        writer.accumulator = accumulator.new_zeros(self.count, *self.shape)
                    writer.accumulator[k] = accumulator
                elif writer.accumulator is not None:
                    writer.accumulator[k] = 0
                for name in stored_changes(self.write):
                    getattr(writer, name)[k] = self._kept(snapshot[name])
                self._tally.restore(k, Ledger.from_array(snapshot["ledger"]).to_array())
            reader.reads, reader.norm_reads, writer.updates = map(int, snapshot["counters"])
            self._fitted = bool(snapshot["fitted"][0])
            writer.times = int(Ledger.from_array(snapshot["ledger"]).updates)
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"checkpoint does not fit this array: {error}") from None

    def _kept(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.on, self._cells.dtype)
