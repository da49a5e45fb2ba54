"""`Crossbar`: an array of device pairs that multiplies, learns in place and ages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.cautions import Once
from neurosim.core.checks import extents, matrix, precision_of, refuse_overflow, vector, whole
from neurosim.core.config import Periphery, ReadPath, WritePath
from neurosim.core.errors import InputError
from neurosim.core.hardware import Draws, Faults, Tiles, Wires
from neurosim.core.protocols import Device, Floats, Precision, State, UpdateMode, Work
from neurosim.crossbar.cells import PairCells
from neurosim.crossbar.checkpoint import saved, take_back
from neurosim.crossbar.converters import Converters
from neurosim.crossbar.device import as_read, device_of, warn_if_carried, warn_if_still
from neurosim.crossbar.faults import Placement, draw_faults
from neurosim.crossbar.ledger import Ledger, Rates
from neurosim.crossbar.measured import measured_uS, say_what_stands_elsewhere, take
from neurosim.crossbar.programme import PulseProgramme, recorded, replayed
from neurosim.crossbar.programmer import Programmer
from neurosim.crossbar.reach import Reach
from neurosim.crossbar.reader import Reader
from neurosim.crossbar.spiked import count_spikes, lines_of, refuse_converters
from neurosim.crossbar.symmetry import SymmetricPoints, find, follow, refuse
from neurosim.crossbar.tiles import tile_grid
from neurosim.crossbar.view import View
from neurosim.crossbar.window import warn_of_growth
from neurosim.crossbar.wired import Wired, physical_arrays
from neurosim.crossbar.writer import Writer
from neurosim.kernels.cells import flat
from neurosim.kernels.spikes import Lines

_MODES = ("accumulate", "mixed", "online")
_Given = dict[str, Any]
"""Fields of one of the models by name, as `Model.parse` takes them."""


def _refuse_no_window(w_max: float | None) -> None:
    if w_max is not None and not (np.isfinite(w_max) and w_max > 0):
        raise InputError(f"w_max = {w_max}: must be finite and above 0")


class Crossbar:
    """A crossbar of differential device pairs, ``w = (G+ - G-) w_max / (G_max - G_min)``.

    With ``WritePath(mapping="reference")`` the minus devices are fixed references instead.

    Parameters
    ----------
    shape : (int, int)
        Word lines (inputs) and signed columns (outputs); the physical array has two bit lines a column.
    device : str, path or Device
        Card name, card file or device.
    seed : int
        Same seed, same bits, whatever the number of threads or the chunking of reads.
    read, write, periphery : ReadPath, WritePath, Periphery or dict
        Configuration of the read path, the update path and the energy model of the periphery; a dict holds fields.
    wires, tiles, faults : Wires, Tiles, Faults or dict
        Resistance of the lines, the largest physical array, and what is broken; None is none.
    draws : Draws or dict
        Seeds of what the array is born with, where they are not `seed`.
    name : str
        Tells the random numbers of several arrays with one seed apart.
    precision : {"float32", "float64"}
        Of state and arithmetic; float64 serves cross-validation, the random numbers stay the same.

    Attributes
    ----------
    ledger : Ledger
        Counts and joules so far.

    Raises
    ------
    InputError
        If shape, seed, device or precision are none.
    ConfigError
        If a setting is unknown or out of range.
    CapabilityError
        If a setting asks for what the device cannot do.

    Notes
    -----
    There is no transposed read, and no method hands a weight to a learning rule: `weights` exists for
    inspection and plots. Drift, relaxation and 1/f noise see a device at its age since its last write, or at the
    reading delay if it is younger: on PCM the time at which the card states conductances, unless
    `ReadPath.reading_delay_s` says else. So the first `advance`, however short, makes no jump.

    Examples
    --------
    >>> import numpy as np, neurosim as ns
    >>> array = ns.Crossbar((4, 2), "ideal")
    >>> array.program(np.full((4, 2), 0.5))
    >>> array.forward(np.ones((1, 4))).round(4)
    array([[2., 2.]], dtype=float32)
    """

    ideal = False

    def __init__(
        self,
        shape: tuple[int, int],
        device: str | Path | Device,
        *,
        seed: int = 0,
        read: ReadPath | _Given | None = None,
        write: WritePath | _Given | None = None,
        periphery: Periphery | _Given | None = None,
        wires: Wires | _Given | None = None,
        tiles: Tiles | _Given | None = None,
        faults: Faults | _Given | None = None,
        draws: Draws | _Given | None = None,
        name: str = "array",
        precision: Precision = "float32",
    ):
        self.shape, seed = extents(shape), whole("seed", seed)
        self.read = ReadPath.of(read, "read") or ReadPath()
        self.write = WritePath.of(write, "write") or WritePath()
        self.periphery = Periphery.of(periphery, "periphery") or Periphery()
        self.wires, self.tiles = Wires.of(wires, "wires"), Tiles.of(tiles, "tiles")
        self.faults, self.draws = Faults.of(faults, "faults"), Draws.of(draws, "draws") or Draws()
        self.gains_hold_norms = self.write.decay_mode == "gain"
        self.precision, self.seed, self.name = precision_of(precision), seed, name
        self.device = as_read(device_of(device), self.read)
        self._once, self._fitted = Once(), False
        warn_if_carried(self.device, self._once)
        self._build()

    def __repr__(self) -> str:
        device = getattr(self.device, "name", "") or type(self.device).__name__
        return f"{type(self).__name__}({self.shape[0]} x {self.shape[1]} of {device!r}, seed {self.seed}, at {self.now_s:g} s)"

    def _build(self) -> None:
        """Make the devices and all that stands around them, from the settings."""
        tiles, faults, wires, seed, name = self.tiles, self.faults, self.wires, self.seed, self.name
        self.ledger = Ledger(rates=Rates.of(self.periphery, self.read, self.device))
        built = (self.shape[0], self.shape[1] + (faults.spare_columns if faults else 0))
        down, across = tile_grid(built, tiles, self.write)
        arrays = physical_arrays(built, tiles, self.write)
        shared = across if self.write.mapping == "offset" else None
        self._cells = PairCells(
            built, self.device, seed, name, self.write, self.precision, shared, self.draws
        )
        self._placement: Placement | None = None
        if faults is not None:
            broken = draw_faults(faults, arrays, built, self.draws.seed_of("faults", seed), name)
            connected = self._cells.as_shared(broken.connected)
            self._cells.connected = None if connected.all() else connected
            self._placement = Placement(self._cells, self.shape[1], faults, broken.dead)
        self._wired = None if wires is None or wires.perfect else Wired(wires, arrays)
        view = View(self._cells, self.read, self._wired)
        born = self.draws.seed_of("converters", seed)
        converters = Converters(self._cells, self.read, down, across, born, name)
        self._reader = Reader(self._cells, view, converters, self.read, self.ledger, seed, name, self._once)
        self._programmer = Programmer(
            self._cells, self.write, self.read, self.ledger, seed, name, down, born, self._once
        )
        reach = Reach(self._cells, self.write, wires, arrays, self.ledger, seed, name)
        self._writer = Writer(
            self._cells, self._reader, self.write, self.ledger, reach, seed, name, self._once
        )
        if self.write.tracking:
            refuse(self)

    def program(self, weights: ArrayLike, w_max: float | None = None) -> None:
        """Program every pair as `WritePath.programming` says, and set the ADC's range for evenly spread inputs.

        Weights beyond the window are clipped, counted (`ledger.weights_clipped`) and warned of, as is a window that
        stays nearly unused.

        Parameters
        ----------
        weights : (rows, cols) array_like
            Signed weights.
        w_max : float, optional
            Weight of a full difference, for weights that go on learning from here, whatever `WritePath` says. None:
            what `WritePath.scale` says, by default `WritePath.w_max` or else the largest magnitude.

        Raises
        ------
        InputError
            If the shape is wrong, an element is not finite, or `w_max` not above zero.
        """
        wanted = matrix("weights", weights, *self.shape, self.precision)
        _refuse_no_window(w_max)
        if self._placement is not None:
            self._placement.assign(wanted)
        if self.write.tracking:
            find(self, self.write.tracking.pairs)
        self._fitted = self.write.scale == "auto" and not (w_max or self.write.w_max) and bool(wanted.any())
        differences = self._programmer.program(self._scatter(wanted), w_max)
        self._reader.assume_inputs(differences)

    def take_conductances(
        self,
        conductance_uS: ArrayLike | str | Path,
        minus_uS: ArrayLike | str | Path | None = None,
        *,
        missing_uS: float | None = None,
        w_max: float | None = None,
    ) -> int:
        """Let the devices stand where an array elsewhere was measured, as if read now; nothing is programmed or counted.

        Each stands there within its own bounds, as old as one just written, and learns on from there. The rest is counted
        and warned of: beyond a device's bounds, held by a fault, or between the states of a binary device. The ADC's range
        is set as by `program`.

        Parameters
        ----------
        conductance_uS : (rows, 2 cols) or (rows, cols) array_like, .npy or .csv file
            As `conductance_uS()` returns them, plus and minus device of each pair side by side; with `minus_uS` the plus
            devices. A .csv has one word line a line and no header.
        minus_uS : (rows, cols) array_like, .npy or .csv file, optional
        missing_uS : float, optional
            Where devices stand that were not measured (NaN); None refuses them.
        w_max : float, optional
            Weight of a full difference. None leaves it as it is.

        Returns
        -------
        elsewhere : int
            Devices that stand elsewhere than measured.

        Raises
        ------
        InputError
            If a shape is wrong, an element NaN or infinite, or `w_max` not above zero.
        DataError
            If a file cannot be read as numbers.
        """
        _refuse_no_window(w_max)
        cells = self._cells
        lines = (cells.shape[0], 2 * cells.shape[1])
        wanted = measured_uS(lines, conductance_uS, minus_uS, missing_uS, cells.connected)
        off = take(cells, wanted, self._programmer.keys["program"])
        if w_max is not None:
            cells.fit_scale(cells.grid.difference, w_max)
        self._fitted = False
        self._reader.assume_inputs(cells.grid.difference)
        return say_what_stands_elsewhere(off, wanted, cells.window_uS, self._once)

    def find_symmetric_points(self, pairs: int = 2000) -> SymmetricPoints:
        """Find where up and down pulses balance on each learning device, and make it the zero of its weight.

        Zero shifting (Kim et al., arXiv 1907.10228): every device is given so many pulses up and down in turn, which draw
        it to its symmetric point; it is read after the last pulse up and the last down, and its reference is programmed to
        the mean of both. Pulses, reads and the references' programming are counted; weights end near zero, and `program`
        counts from the new references. Bipolar devices with ``WritePath(mapping="reference")``, without wires or faults.

        Parameters
        ----------
        pairs : int
            Pulses up, and as many down. A device comes e times nearer in about as many pairs as its steps shrink by, up
            and down together, over one step at that point.

        Returns
        -------
        points : SymmetricPoints
            ``read_uS`` (rows, cols), to which the references were programmed, and ``error_uS``, what they are off from
            where the devices stood.

        Raises
        ------
        InputError
            If `pairs` is no whole number of at least 1.
        CapabilityError
            If there is no symmetric point, no reference to hold it, or lines or a pulse programme between.
        """
        return find(self, whole("pairs", pairs, 1))

    def forward(self, x: ArrayLike) -> Floats:
        """Read: multiply inputs by the stored weights through the whole read path.

        Parameters
        ----------
        x : (batch, rows) array_like
            Inputs of any scale.

        Returns
        -------
        y : (batch, cols) array
            In weight units times input units.

        Raises
        ------
        InputError
            If the shape is wrong or an element is not finite.
        """
        return self._gather(self._reader.forward(self._samples("x", x, self.shape[0])))

    def spike_lines(self) -> Lines:
        """Return what a spike on each word line gives each column, for neurons that integrate currents (`neurosim.spiking`).

        Of conductances as they are now; updates may change it in place.

        Raises
        ------
        CapabilityError
            If the read path has converters or integrators.
        """
        refuse_converters(self.read)
        return lines_of(self)

    def count_spikes(self, spikes: NDArray[np.int64], steps: int) -> None:
        """Enter spikes (rows,) of so many time steps into the ledger: read pulses of full height, without conversions."""
        count_spikes(self, spikes, steps)

    def calibrate(self, x: ArrayLike, percentile: float | None = None, margin: float | None = None) -> float:
        """Set the ADC's range to `margin` times a percentile of the currents of typical inputs.

        By exact currents and for nothing, or with `ReadPath.calibration` by counted, noisy reads in the converters' own codes.

        Parameters
        ----------
        x : (batch, rows) array
        percentile, margin : float, optional
            Instead of `ReadPath.adc_percentile` and `ReadPath.adc_margin`.

        Returns
        -------
        range_uS : float
            Full scale in uS of summed pair difference.
        """
        return self._reader.calibrate(self._samples("x", x, self.shape[0]), percentile, margin)

    @property
    def baseline(self) -> float | None:
        """What is kept of the stored average of negative phases (`WritePath.baseline`); None: there is none."""
        return self.write.baseline

    @property
    def asleep(self) -> bool:
        """Whether the next update is that of a negative phase; said before it by who knows (`Dense`)."""
        return self._writer.stored.asleep

    @asleep.setter
    def asleep(self, asleep: bool) -> None:
        self._writer.stored.asleep = asleep

    def update(
        self,
        pre: ArrayLike,
        post: ArrayLike,
        decay: ArrayLike | None = None,
        mode: UpdateMode = "accumulate",
    ) -> int:
        """Change the conductances in place by ``dw_ij = sum_b pre_bi post_bj - decay_j w_ij``.

        Parameters
        ----------
        pre : (batch, rows) array_like
            What drives the word lines.
        post : (batch, cols) array_like
            What the columns answer, learning rate included.
        decay : (cols,) array_like, optional
            Share of its weights that each column loses, applied as `WritePath.decay_mode` says.
        mode : {"accumulate", "mixed", "online"}
            Mini-batch sum and one sweep of stochastically rounded pulses; the same into a digital
            accumulator whose whole part is pulsed; or sample by sample by coincidence of pulse trains.

        Returns
        -------
        pulses : int
            Pulses given, decay included, refresh and searches of symmetric points not.

        Raises
        ------
        InputError
            If a shape is wrong, an element is not finite or the mode unknown.
        """
        if mode not in _MODES:
            raise InputError(f"mode = '{mode}': must be one of {', '.join(_MODES)}")
        if self._fitted:
            self._fitted = False
            warn_of_growth()
        pre = self._samples("pre", pre, self.shape[0])
        post = matrix("post", post, pre.shape[0], self.shape[1], self.precision)
        refuse_overflow(float(np.abs(pre).max(initial=0)), float(np.abs(post).max(initial=0)), len(pre))
        share_lost = None if decay is None else vector("decay", decay, self.shape[1], self.precision)
        if share_lost is not None:
            share_lost = self._scatter(share_lost)
        pulses = self._writer.update(pre, self._scatter(post), share_lost, mode)
        tracking = self.write.tracking
        if tracking and tracking.every and self.ledger.updates % tracking.every == 0:
            follow(self, tracking)
        return pulses

    def _scatter(self, values: Floats) -> Floats:
        return values if self._placement is None else self._placement.scatter(values)

    def _gather(self, values: Floats) -> Floats:
        return values if self._placement is None else self._placement.gather(values)

    def _samples(self, name: str, value: ArrayLike, lines: int) -> Floats:
        return matrix(name, value, None, lines, self.precision)

    def solve_wires(self) -> None:
        """Solve the wires exactly at the next read, where they are only followed while the array learns."""
        if self._wired is not None:
            self._wired.solve_next()
            self._cells.changes += 1

    @property
    def wires_report(self) -> dict[str, float | int | str]:
        """How the wires were solved, and how far off that was: shares of the largest current."""
        return {"method": "perfect"} if self._wired is None else self._wired.report()

    def rewired(self, wires: Wires | _Given | None, tiles: Tiles | _Given | None = None) -> Crossbar:
        """Return an array of the same devices as they are now, with other wires and tiles; calibrate it anew."""
        other = copy(self)
        other.wires, other.tiles = Wires.of(wires, "wires"), Tiles.of(tiles, "tiles")
        other._once = Once(self._once)
        other._build()
        other.rewind(Ledger())  # what building it took was not done again
        other._cells.restore(self._cells.snapshot())
        if self._placement is not None and other._placement is not None:
            other._placement.place(self._placement.columns.copy())
        return other

    def column_norms(self) -> Floats:
        """Return the norm (cols,) of each column in weight units, by one counted, noisy read of every row.

        Where gains take the decay, columns that outgrew their window are halved on this occasion.
        """
        norms = self._reader.column_norms()
        if self.gains_hold_norms:
            self._writer.halve_swollen(norms)
        return self._gather(norms)

    def scale_columns(self, factors: ArrayLike) -> None:
        """Multiply the weights of each column by a factor (cols,), in the gain behind its converter."""
        given = vector("factors", factors, self.shape[1], "float64")
        if (given <= 0).any():
            raise InputError(f"factors: the gain of a column stays positive, got {given.min():g}")
        self._cells.uS_per_weight /= 1 + self._scatter(given - 1)
        self._cells.bound_gains()

    def advance(self, seconds: float) -> None:
        """Let time pass: devices drift, relax and fluctuate, each from its own last write on.

        Warns once where the card says nothing of time.

        Raises
        ------
        InputError
            If `seconds` is negative or not finite.
        """
        if not (np.isfinite(seconds) and seconds >= 0):
            raise InputError(f"seconds = {seconds}: must be finite and at least 0")
        if seconds > 0 and self.read.drift:
            warn_if_still(self.device, self._once)
            if self._writer.recorder is not None:
                self._writer.recorder.wait(float(seconds), self.now_s)
            self._cells.advance(float(seconds))

    def record(self) -> AbstractContextManager[PulseProgramme]:
        """Context in which all pulses of updates, looks of refresh and time that passes are written down.

        Its value is a `PulseProgramme`, a table of up to a million lines (event, time, tile, word line, bit line, polarity,
        count, voltage, width), which `replay` gives to another array that was made and programmed alike.

        Raises
        ------
        CapabilityError
            If pulses weaken along wires or disturb half-selected devices: what these do is no pulse of the programme.
        """
        return recorded(self)

    def replay(self, programme: PulseProgramme) -> None:
        """Give the devices the pulses of a programme, with the random numbers of this array's seed and the events' own.

        An array that was made and programmed as the recorded one was ends in the same bits. Accumulators and gains of
        columns are no part of it, nor what updates cost beside their pulses.

        Raises
        ------
        InputError
            If the programme is of an array of another size, or looks for saturated pairs that nobody refreshes here.
        """
        replayed(self, programme)

    def expose(self, **conditions: float) -> None:
        """Change what is around the devices from now on: ``expose(temperature_K=350)``, ``expose(optical_gate=0.2)``.

        Raises
        ------
        UnknownNameError
            If the device has no such parameter.
        CapabilityError
            If that effect was off when the array was built.
        """
        changed = self.device.with_parameters(**conditions)
        self._cells.expose(changed)
        self.device = changed

    @property
    def w_max(self) -> float | None:
        """Weight of a full difference for weights that learn: `WritePath.w_max`, or 1; None where `scale` chooses it."""
        return (self.write.w_max or 1.0) if self.write.scale in ("auto", "fixed") else None

    @property
    def _weakens(self) -> bool:
        return self._writer.reach.weakens

    @property
    def now_s(self) -> float:
        """Simulated time."""
        return self._cells.now_s

    def conductance_uS(self) -> Floats:
        """Return the conductances (rows, 2 cols) now, plus and minus device of each pair side by side.

        Of all devices that are built: with `Faults`, spare columns and devices that no line reaches included.
        """
        return self._cells.conductance_uS()

    @property
    def worn(self) -> NDArray[np.uint32]:
        """Pulses (rows, 2 cols) that updates and refreshes have given each device; programming the start is not among them."""
        return self._cells.worn.transpose(1, 2, 0).reshape(self._cells.shape[0], -1)

    def count_work(self, work: Work) -> None:
        """Enter into the ledger what a rule asked for beside the array in one update."""
        self.ledger.norm_macs += work.norms
        self.ledger.rule_macs += work.answers

    def weights(self) -> Floats:
        """Return the stored weights (rows, cols), for inspection and plots only."""
        scale = self._cells.uS_per_weight.astype(self._cells.dtype)
        difference = self._cells.grid.difference
        if self._cells.connected is not None:
            connected = self._cells.connected_uS()
            difference = connected[:, 0::2] - connected[:, 1::2]
        return np.ascontiguousarray(self._gather(difference / scale))

    @property
    def weight_per_pulse(self) -> float:
        """Nominal change of a weight by one pulse to each device that an update pulses: what updates are counted in."""
        return float(1 / (self._writer.pulses_per_uS * np.mean(self._cells.uS_per_weight)))

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Context in which reads leave no trace: afterwards counters, ledger, ranges and wires are as they were before."""
        reader, view, wired = self._reader, self._reader.view, self._wired
        counted = reader.reads, reader.norm_reads, reader.ranging_reads
        converters, ledger = reader.converters, replace(self.ledger)
        ranges_uS, trims = converters.range_uS.copy(), converters.trim_lsb.copy()
        followed = None if wired is None else (wired.snapshot(), dict(view.__dict__))
        try:
            yield
        finally:
            reader.reads, reader.norm_reads, reader.ranging_reads = counted
            converters.range_uS[:], converters.trim_lsb[:] = ranges_uS, trims
            self.rewind(ledger)
            if wired is not None and followed is not None:
                wired.restore(followed[0])
                view.__dict__.update(followed[1])

    def rewind(self, ledger: Ledger) -> None:
        """Set the ledger back to earlier totals: what was done since then was looking, not learning."""
        self.ledger.take(ledger)

    @property
    def state_bytes(self) -> int:
        """Memory of the device state, with the counts of each device's pulses."""
        every = [*flat(self._cells.state).values(), self._cells.worn]
        return sum(values.nbytes for values in every)

    def snapshot(self) -> State:
        """Return everything needed to go on later with the same bits, as named arrays."""
        return saved(self)

    def restore(self, snapshot: State) -> None:
        """Go back to a snapshot of an array with the same configuration and seed.

        Raises
        ------
        CheckpointError
            If an array is missing or has another shape.
        """
        take_back(self, snapshot)
