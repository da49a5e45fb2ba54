"""The devices of one array: pairs of conductances, their clock, and what a read sees of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.config import WritePath
from neurosim.core.errors import CapabilityError, CheckpointError
from neurosim.core.hardware import Draws
from neurosim.core.protocols import Device, Floats, Precision, State
from neurosim.core.seeds import Key, key
from neurosim.kernels.cells import ALL, age_cells, construct_cells, drift_cells, flat
from neurosim.kernels.jit import share
from neurosim.kernels.products import blocks
from neurosim.kernels.update import Grid, refresh_grid

BLOCK_PAIRS = 1 << 16
"""Pairs of one block of work: fixed, so that results do not depend on the number of threads."""
GAIN_BITS, FADED_BITS = 60, 20
"""Halvings of the unit gain at which the gain behind a column's converter ends, and from which on its weights are said to be gone."""
MANY, TALLER = 32, 6
"""Beyond so many blocks, a product takes so many of them at once: BLAS packs its other factor each time."""


def struck_uS(device: Device) -> float:
    """Return the conductance through which a pulse would take the energy of a gate's, where that is given; else 0, its own.

    Pulses that take no effect, and halves of pulses, are priced by what they fall on. No write current passes the channel of a
    device with a gate: a pulse takes at most what charges the gate, in proportion to its voltage squared.
    """
    energy_J = getattr(device, "gate_energy_J", None)
    voltage_V, time_s = device.pulse_voltage_V, device.pulse_time_s
    return energy_J / (voltage_V**2 * time_s * 1e-6) if energy_J and voltage_V and time_s else 0.0


class PairCells:
    """Device state of (rows, cols) pairs, cell ``2 (row cols + col)`` plus and the next one minus.

    Interleaved as on the chip: one physical array of rows x 2 cols. The grid holds what a read needs and
    follows every write; after time has passed it is rebuilt when next asked for.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        device: Device,
        seed: int,
        name: str,
        write: WritePath,
        precision: Precision,
        shared: list[slice] | None = None,
        draws: Draws | None = None,
    ):
        self.shape = shape
        self.shared = shared
        """Columns that have one minus device in each row between them; here the others are its copies."""
        self.device = device
        self.precision = precision
        self.dtype = np.dtype(precision)
        self.real = self.dtype.type
        self.kernels = device.kernels
        self.params = device.params(precision)
        self.block_rows = max(1, BLOCK_PAIRS // shape[1])
        self.write = write
        self.reference = write.mapping != "pair"
        self.window_uS = low_uS, high_uS = device.cell_window_uS
        self.middle_uS = (low_uS + high_uS) / 2
        self.zero_uS: Floats = np.full((1, 1), self.middle_uS, self.dtype)
        """What fixed references were programmed to, of all devices (1, 1) or of each (rows, cols)."""
        self.span_uS = (high_uS - low_uS) / (2 if self.reference else 1)
        """Difference from the other device at the weight w_max."""
        self.uS_per_weight = np.full(shape[1], self.span_uS / (write.w_max or 1.0))
        """The digital scale of each column."""
        self.now_s = 0.0
        self.programs = self.ages = 0
        self.keys = {purpose: key(seed, name, purpose) for purpose in ("age", "disturb")}
        draws = draws or Draws()
        born, stuck = (key(draws.seed_of(kind, seed), name, "construct") for kind in ("devices", "faults"))
        rows, cols = shape
        self.state = device.allocate(2 * rows * cols, precision)
        self.connected: NDArray[np.bool_] | None = None
        """(rows, 2 cols) devices that their lines reach; None: all of them."""
        self.in_use: NDArray[np.int64] | slice = slice(None)
        """Columns that have a logical one; spare columns have not."""
        self.strength: Floats = np.empty((0, 0), np.float32)
        self.given = np.empty((0, 0), np.int32)
        self.struck_uS = struck_uS(device)
        self.fade = 0.0
        """What the grid has of the same names."""
        self._construct(self.state, born)
        if not np.array_equal(born, stuck):
            self._take_stuck_cells(stuck)
        noise_shape = (cols, rows) if device.has_read_noise else (0, 0)
        self.worn = np.zeros((2, rows, cols), np.uint32)
        """Of plus and minus devices, pulses that updates and refreshes have given each device; programming the start is not learning."""
        self._grid = Grid(
            np.empty((cols, rows), self.dtype),
            np.empty(noise_shape, self.dtype),
            np.empty(rows),
            worn=self.worn,
            struck_uS=self.struck_uS,
        )
        self._grid_time: float | None = None
        self.changes = 0
        """Grows with every write: what is made from the conductances is then made anew."""

    def row_blocks(self) -> list[tuple[int, int]]:
        """The blocks of rows that threads share."""
        return blocks(self.shape[0], self.block_rows)

    def product_blocks(self) -> list[tuple[int, int]]:
        """The blocks of rows where each begins with a matrix product: larger ones, as long as all threads have enough of them."""
        many = self.shape[0] > MANY * self.block_rows
        return blocks(self.shape[0], self.block_rows * (TALLER if many else 1))

    def _construct(self, state: Any, born: Key) -> None:
        wide = 2 * self.shape[1]

        def construct(block: tuple[int, int]) -> None:
            first, last = block[0] * wide, block[1] * wide
            construct_cells(first, last, state, self.params, born, self.kernels.construct)

        share(construct, self.row_blocks())

    def _take_stuck_cells(self, stuck: Key) -> None:
        """Have cells stuck that another key draws, where it draws them, instead of those of the own."""
        other = self.device.allocate(self.state.conductance.size, self.precision)
        self._construct(other, stuck)
        own, drawn = flat(self.state), flat(other)
        for each in ("", "each "):
            fault = drawn.get(f"{each}fault")
            if fault is not None and fault.size:
                own[f"{each}fault"][:] = fault
                np.copyto(own[f"{each}conductance"], drawn[f"{each}conductance"], where=fault != 0)

    @property
    def read(self) -> Any:
        """The kernel that reads a conductance now."""
        return self.device.reading(self.now_s)

    @property
    def grid(self) -> Grid:
        """What a read needs, at the present time."""
        if self._grid_time != self.now_s:
            share(self._refresh, self.row_blocks())
            self._grid_time = self.now_s
        if self._grid.strength is not self.strength or self._grid.given is not self.given:
            self._grid = self._grid._replace(strength=self.strength, given=self.given, fade=self.fade)
        return self._grid

    def _refresh(self, block: tuple[int, int]) -> None:
        refresh_grid(
            *block, self._grid, self.state, self.params, self.now_s, self.read, self.kernels.read_sigma
        )

    def expose(self, device: Device) -> None:
        """Go on under other conditions; raises `CapabilityError` where an effect would have to begin or end."""
        fields, wanted = flat(self.state), flat(device.allocate(self.state.conductance.size, self.precision))
        if device.kernels != self.kernels or any(fields[name].shape != wanted[name].shape for name in fields):
            raise CapabilityError(
                f"{device.name}: an effect can only change while it is on; build the array with "
                "temperature_K or optical_gate set, then expose it"
            )
        if device.has_read_noise and not self._grid.variance.size:
            raise CapabilityError(
                f"{device.name}: reads of this array have no noise, and it cannot begin while the array stands; build it with "
                "the smallest read_noise_relative or read_noise_floor_uS that it is to have, then expose it"
            )
        fixed = ("cell_window_uS", "cell_rest_uS", "read_step_uS", "delay_s")
        moved = [name for name in fixed if getattr(device, name) != getattr(self.device, name)]
        if moved:
            raise CapabilityError(
                f"{device.name}: {', '.join(moved)} of an array cannot change while it stands; build another with it"
            )
        self.device, self.params = device, device.params(self.precision)
        self.forget_grid()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds
        self.ages += 1
        age = self.kernels.age
        if age is None:
            return
        wide = 2 * self.shape[1]

        def grow_older(block: tuple[int, int]) -> None:
            first, last = block[0] * wide, block[1] * wide
            age_cells(first, last, self.state, seconds, self.ages, self.keys["age"], age)

        share(grow_older, self.row_blocks())
        self.copy_shared()

    def copy_shared(self) -> None:
        """Make the minus devices of columns that share one its copies again."""
        rows, cols = self.shape
        for values in flat(self.state).values() if self.shared else ():
            if values.size >= 2 * rows * cols:
                devices = values.reshape(rows, cols, 2, -1)
                for columns in self.shared or ():
                    devices[:, columns, 1] = devices[:, columns.start : columns.start + 1, 1]

    def as_shared(self, values: NDArray[Any]) -> NDArray[Any]:
        """Give the copies of a shared device, in values (rows, 2 cols), what that device has."""
        for columns in self.shared or ():
            first = 2 * columns.start + 1
            values[:, first : 2 * columns.stop : 2] = values[:, first : first + 1]
        return values

    def bound_gains(self) -> NDArray[np.int64]:
        """Keep the gains of columns within `GAIN_BITS` halvings and doublings; return the columns whose weights are gone."""
        unit = self.span_uS
        np.clip(self.uS_per_weight, unit / 2**GAIN_BITS, unit * 2**GAIN_BITS, out=self.uS_per_weight)
        return np.flatnonzero(self.uS_per_weight > unit * 2**FADED_BITS)

    def forget_grid(self) -> None:
        """Rebuild the grid before its next use."""
        self._grid_time = None
        self.changes += 1

    def fit_scale(self, weights: Floats, w_max: float | None = None) -> None:
        """Choose the weight of a full difference as `WritePath.scale` says; silent columns keep theirs."""
        stated = w_max or self.write.w_max
        if w_max or self.write.scale == "fixed" or (stated and self.write.scale == "auto"):
            self.uS_per_weight[:] = self.span_uS / (stated or 1.0)
            return
        percentile = self.write.scale_percentile if self.write.scale == "percentile" else 100.0
        axis = 0 if self.write.scale_by == "column" else None
        used = weights if axis == 0 else weights[:, self.in_use]
        largest = np.percentile(np.abs(used), percentile, axis=axis).astype(np.float64)
        found = self.span_uS / np.where(largest > 0, largest, np.inf)
        self.uS_per_weight[:] = np.where(found > 0, found, self.uS_per_weight)

    @property
    def one_sided(self) -> bool:
        """Whether a weight moves one device of its pair only."""
        if self.write.sides == "card":
            return self.device.polarity == "set_only" or self.write.pulses != "card"
        return self.write.sides == "one"

    @property
    def direction(self) -> int:
        """Where pulses take the devices of a pair that is pulsed in one direction only: 1 up, -1 down."""
        return -1 if self.write.pulses == "reset" else 1

    @property
    def start_uS(self) -> float:
        """Conductance from which they start: the end of the window that pulses lead away from."""
        if self.direction < 0:
            return self.window_uS[1]
        return self.device.cell_rest_uS if self.device.polarity == "set_only" else self.window_uS[0]

    @property
    def rest_uS(self) -> float:
        """Conductance of both devices of a pair at weight zero."""
        if self.one_sided:
            return self.start_uS
        return self.middle_uS if self.write.sides == "two" else self.device.cell_rest_uS

    def targets(self, weights: Floats) -> Floats:
        """Return the conductances (rows, cols, arms) that stand for signed weights: of each pair, or without the
        fixed references."""
        rest_uS = self.rest_uS
        difference = weights * self.uS_per_weight.astype(self.dtype)
        targets = np.empty((*self.shape, 1 if self.reference else 2), self.dtype)
        if self.reference:
            targets[..., 0] = self.zero_uS + difference
        elif self.one_sided:
            away = self.direction
            targets[..., 0] = rest_uS + away * np.maximum(away * difference, 0)
            targets[..., 1] = rest_uS + away * np.maximum(-away * difference, 0)
        else:
            targets[..., 0] = rest_uS + difference / 2
            targets[..., 1] = rest_uS - difference / 2
        return np.clip(targets, *self.window_uS, out=targets)

    def conductance_uS(self) -> Floats:
        """Return the conductances (rows, 2 cols) at the present time, plus and minus interleaved."""
        out = np.empty(self.state.conductance.size, self.dtype)
        drift_cells(out, self.state, self.params, self.now_s, self.read)
        return out.reshape(self.shape[0], 2 * self.shape[1])

    def connected_uS(self) -> Floats:
        """Return the conductances (rows, 2 cols) as lines see them: zero beyond a break."""
        own = self.conductance_uS()
        return own if self.connected is None else own * self.connected

    @property
    def reached(self) -> NDArray[np.bool_]:
        """Whether lines reach each cell; `ALL`, which is empty: all of them."""
        return ALL if self.connected is None else self.connected.reshape(-1)

    def count_reached(self, bit_lines: slice | list[int]) -> int:
        """How many devices of some bit lines their lines reach."""
        if self.connected is None:
            return self.shape[0] * len(np.arange(2 * self.shape[1])[bit_lines])
        return int(np.count_nonzero(self.connected[:, bit_lines]))

    @property
    def stuck(self) -> NDArray[np.bool_]:
        """Devices (rows, 2 cols) that no pulse moves, as a test of the array would find."""
        rows, cols = self.shape
        fault = flat(self.state).get("fault", np.zeros(0))
        found: NDArray[np.bool_] = (fault if fault.size else np.zeros(2 * rows * cols)) != 0
        return found.reshape(rows, 2 * cols)

    def pair_targets(self, weights: Floats) -> Floats:
        """Return the conductances (rows, cols, 2) that both devices of each pair should have."""
        targets = self.targets(weights)
        if targets.shape[2] == 2:
            return targets
        return np.concatenate([targets, np.broadcast_to(self.zero_uS[..., None], targets.shape)], axis=2)

    def __setstate__(self, copied: dict[str, Any]) -> None:
        """Take a copy over, with its state laid out in memory as one's own is: kernels are compiled by that."""
        self.__dict__.update(copied)
        given, self.state = self.state, self.device.allocate(self.state.conductance.size, self.precision)
        for name, values in flat(self.state).items():
            values[...] = flat(given)[name]

    def snapshot(self) -> State:
        """Return copies of the device state and of the clock."""
        saved = {f"state.{name}": values.copy() for name, values in flat(self.state).items()}
        saved["row_sum"] = self.grid.row_sum.copy()
        saved["uS_per_weight"] = self.uS_per_weight.copy()
        saved["worn"] = self.worn.copy()
        if (self.zero_uS != self.real(self.middle_uS)).any():
            saved["zero_uS"] = self.zero_uS.copy()
        saved["clock"] = np.array([self.now_s, self.programs, self.ages], np.float64)
        return saved

    def restore(self, saved: State) -> None:
        """Take back a snapshot; raises `CheckpointError` if an array is missing or has another shape."""
        arrays = {f"state.{name}": values for name, values in flat(self.state).items()} | {"worn": self.worn}
        for name, values in arrays.items():
            found = saved.get(name)
            if found is None or found.shape != values.shape or found.dtype != values.dtype:
                raise CheckpointError(f"checkpoint does not fit this array: {name}")
        for name, values in arrays.items():
            values[...] = saved[name]
        self.uS_per_weight[:] = saved["uS_per_weight"]
        self.zero_uS = saved.get("zero_uS", np.full((1, 1), self.middle_uS, self.dtype)).astype(self.dtype)
        self.now_s, self.programs, self.ages = float(saved["clock"][0]), *map(int, saved["clock"][1:])
        self.forget_grid()
        self.grid.row_sum[:] = saved["row_sum"]
