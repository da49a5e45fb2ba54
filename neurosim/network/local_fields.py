"""Local receptive fields without shared weights: a layer of small arrays, each of which sees a field of the image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.checks import matrix, vector
from neurosim.core.errors import CheckpointError, InputError
from neurosim.core.hardware import Wires
from neurosim.core.protocols import Array, DeviceArray, Floats, State, UpdateMode, Work
from neurosim.crossbar.ledger import Ledger
from neurosim.network.arrays import beside, columns, empty, library, to_numpy

Indices = NDArray[np.int64]
Shape = tuple[int, int, int]
OF_THE_LAYER = {"updates", "reads"}
"""Counts that all arrays of a layer share: a sample is read by all of them at once."""


def grid(image_shape: Shape, size: int, stride: int) -> tuple[int, int]:
    """Return how many locations, down and across, have a receptive field in an image (height, width, channels).

    Raises
    ------
    InputError
        If the fields leave pixels at the edge unseen, or are larger than the image.
    """
    for extent in image_shape[:2]:
        if extent < size or (extent - size) % stride:
            raise InputError(
                f"receptive fields of {size} x {size}, {stride} apart, do not cover {image_shape[0]} x "
                f"{image_shape[1]} locations evenly: size + n * stride must be {extent} for some n; "
                "choose other fields"
            )
    return (image_shape[0] - size) // stride + 1, (image_shape[1] - size) // stride + 1


def receptive_fields(image_shape: Shape, size: int, stride: int) -> Indices:
    """Return the inputs (locations, size * size * channels) of flat images that each location sees, row by row.

    A field has all channels of its pixels.

    Parameters
    ----------
    image_shape : (int, int, int)
        Height, width and channels.
    size, stride : int
        Of a field, and from one to the next, in pixels.
    """
    down, across = grid(image_shape, size, stride)
    places = np.arange(int(np.prod(image_shape)), dtype=np.int64).reshape(image_shape)
    return np.stack(
        [
            places[stride * y : stride * y + size, stride * x : stride * x + size].ravel()
            for y in range(down)
            for x in range(across)
        ]
    )


def driven_from_above(fields: Indices, neurons: int, above: int) -> list[Indices]:
    """Return for each location of a layer the columns of the layer above at those locations whose field contains it.

    Parameters
    ----------
    fields : (locations above, inputs) int array
        Columns of this layer that each location above sees, as `receptive_fields` returns them for images of its neurons.
    neurons, above : int
        Of a location of this layer, and of one above; a location's columns lie together.

    Returns
    -------
    columns : list of int array
        In order; empty for a location that none above sees.
    """
    contains = [np.unique(field // neurons) for field in fields]
    places = 1 + max(int(own[-1]) for own in contains)
    found = []
    for place in range(places):
        by = [number for number, own in enumerate(contains) if place in own]
        found.append((np.array(by, np.int64)[:, None] * above + np.arange(above)).ravel())
    return found


def locations(array: Array) -> tuple[Array, ...]:
    """Return the arrays of which one is made: those of `LocalFields`, or itself."""
    return array.locations if isinstance(array, LocalFields) else (array,)


def _one_after_another(sizes: Iterable[int]) -> list[slice]:
    """Return the places of parts of these sizes."""
    ends = np.cumsum([0, *sizes]).tolist()
    return [slice(first, last) for first, last in pairwise(ends)]


@dataclass
class LayerLedger(Ledger):
    """Totals of the arrays of a layer together; updates and reads are counted once for all of them."""

    each: tuple[Ledger, ...] = ()

    @classmethod
    def of(cls, each: Sequence[Ledger]) -> LayerLedger:
        """Sum ledgers, of which copies are kept in `each`."""
        totals = {
            name: getattr(each[0], name) if name in OF_THE_LAYER else sum(getattr(one, name) for one in each)
            for name in cls.names()
        }
        return cls(**totals, rates=each[0].rates, each=tuple(replace(one) for one in each))


class LocalFields:
    """Arrays side by side that are one layer: each has a field of the inputs, columns of its own, and its bias' row.

    To a rule they are one array, most of whose weights do not exist: it sees the inputs and all columns of the layer,
    so what it makes of a whole layer (goodness, mean activity) is that of all locations together. Arrays of torch take
    and give tensors.

    Parameters
    ----------
    seen : (locations, inputs) int array, or a sequence of int arrays (inputs of one,)
        Inputs that each location sees, as `receptive_fields` returns them; locations may see different numbers of them.
    arrays : sequence of Array
        One a location, with one row more than it sees inputs: the biases.
    rows : int
        Inputs of the layer, and the last one, which drives the biases of all locations.

    Raises
    ------
    InputError
        If arrays do not fit their fields, or each other.
    """

    def __init__(self, seen: Indices | Sequence[Indices], arrays: Sequence[Array], rows: int):
        if not len(arrays) or len(arrays) != len(seen):
            raise InputError(f"{len(arrays)} arrays for {len(seen)} receptive fields: give one for each")
        if not all(len(own) for own in seen):
            raise InputError("receptive fields: one sees no input; give each location at least one")
        first, last = min(int(own.min()) for own in seen), max(int(own.max()) for own in seen)
        if first < 0 or last >= rows - 1:
            raise InputError(f"receptive fields reach from input {first} to {last}: there are {rows - 1}")
        for number, (array, own) in enumerate(zip(arrays, seen, strict=True)):
            if array.shape[0] != len(own) + 1:
                raise InputError(
                    f"location {number}: the array has {array.shape[0]} rows, its field {len(own)} inputs and a bias"
                )
        if len({(array.ideal, array.precision) for array in arrays}) > 1:
            raise InputError(
                "arrays: expected one precision, and ideal arithmetic or devices in all locations"
            )
        self.locations = tuple(arrays)
        self._every: Indices = np.concatenate([np.append(own, rows - 1) for own in seen])
        self._own = _one_after_another(array.shape[0] for array in arrays)
        self.rows = self._places(self._every)
        """The inputs of the layer on the rows of each array."""
        self.cols = _one_after_another(array.shape[1] for array in arrays)
        """Columns of the layer that each array has."""
        self.shape = (rows, self.cols[-1].stop)
        self.precision, self.ideal = arrays[0].precision, arrays[0].ideal
        self.gains_hold_norms = arrays[0].gains_hold_norms
        self.momentum = getattr(arrays[0], "momentum", None)
        """Of the filter, in ideal arithmetic."""
        self.baseline: float | None = getattr(arrays[0], "baseline", None)
        """What is kept of the stored average of negative phases, in ideal arithmetic and on devices."""
        self.on = getattr(arrays[0], "on", None)
        """Torch device of its arrays; None: they are numpy's."""
        self.instances = getattr(arrays[0], "instances", None)
        """How many layers these arrays are, side by side in torch; None: one, without an axis of instances."""

    def _samples(self, name: str, values: Any, lines: int) -> Any:
        """Samples (batch, lines) as arrays of numpy take them, checked; those of torch check tensors themselves."""
        return values if self.on is not None else matrix(name, values, None, lines, self.precision)

    def _places(self, values: Any) -> list[Any]:
        """Inputs on the rows of each array, as indices beside values."""
        every = beside(values, self._every)
        return [every[own] for own in self._own]

    def _each(self) -> Iterator[tuple[Array, Indices, slice]]:
        return zip(self.locations, self.rows, self.cols, strict=True)

    @property
    def w_max(self) -> float | None:
        """Weight of a full difference of its arrays, where they have one."""
        return self.locations[0].w_max

    def program(self, weights: ArrayLike, w_max: float | None = None) -> None:
        """Write signed weights (rows, cols); those that no location has are left out."""
        given = matrix("weights", weights, *self.shape, self.precision)
        for array, rows, cols in self._each():
            array.program(given[rows, cols], w_max)

    def forward(self, x: ArrayLike) -> Floats:
        """Return the currents (batch, cols) of all locations for inputs (batch, rows)."""
        inputs = self._samples("x", x, self.shape[0])
        places = self._places(inputs)
        found: Floats = empty(inputs, *inputs.shape[:-1], self.shape[1])
        for array, rows, cols in zip(self.locations, places, self.cols, strict=True):
            found[..., cols] = array.forward(columns(inputs, rows))
        return found

    def update(
        self,
        pre: ArrayLike,
        post: ArrayLike,
        decay: ArrayLike | None = None,
        mode: UpdateMode = "accumulate",
    ) -> int:
        """Apply ``dw_ij = sum_b pre_bi post_bj - decay_j w_ij`` where there are weights; return the pulses given."""
        before = self._samples("pre", pre, self.shape[0])
        behind = self._samples("post", post, self.shape[1])
        lost: Any = decay
        if decay is not None and self.on is None:
            lost = vector("decay", decay, self.shape[1], self.precision)
        places = self._places(before)
        pulses = 0
        for array, rows, cols in zip(self.locations, places, self.cols, strict=True):
            own = None if lost is None else lost[..., cols]
            pulses += array.update(columns(before, rows), behind[..., cols], own, mode)
        return pulses

    @property
    def asleep(self) -> bool:
        """Whether the next update is that of a negative phase, in all locations."""
        return bool(getattr(self.locations[0], "asleep", False))

    @asleep.setter
    def asleep(self, asleep: bool) -> None:
        for array in self.locations:
            setattr(array, "asleep", asleep)  # noqa: B010 - arrays of others need not have it

    def column_norms(self) -> Floats:
        """Return the Euclidean norm (cols,) of each column, as a counted read."""
        each = [array.column_norms() for array in self.locations]
        norms: Floats = library(each[0]).concatenate(each, -1)
        return norms

    def scale_columns(self, factors: Floats) -> None:
        """Multiply the weights of each column (cols,) by a factor."""
        for array, _, cols in self._each():
            array.scale_columns(factors[..., cols])

    def advance(self, seconds: float) -> None:
        """Let simulated time pass in all locations."""
        for array in self.locations:
            array.advance(seconds)

    def calibrate(self, x: Floats) -> None:
        """Set the converters of each location by typical inputs (batch, rows)."""
        for array, rows in zip(self.locations, self._places(x), strict=True):
            cast(DeviceArray, array).calibrate(columns(x, rows))

    @property
    def wires(self) -> Wires | None:
        """Resistance of the lines of its arrays, or None."""
        found: Wires | None = cast(DeviceArray, self.locations[0]).wires
        return found

    def solve_wires(self) -> None:
        """Solve the wires of all locations exactly at the next read."""
        for array in self.locations:
            cast(DeviceArray, array).solve_wires()

    @property
    def wires_report(self) -> dict[str, Any]:
        """How the wires of all locations were solved together: exact solutions of all, the largest errors of any."""
        each = [cast(DeviceArray, array).wires_report for array in self.locations]
        methods = {report["method"] for report in each}
        found = {name: max(report[name] for report in each) for name in each[0] if name != "method"}
        if "solutions" in found:
            found["solutions"] = sum(report["solutions"] for report in each)
        return {"method": methods.pop() if len(methods) == 1 else "mixed", **found}

    def weights(self) -> Floats:
        """Return a copy of the weights (rows, cols), for inspection; zero where there is none."""
        found: Floats = np.zeros(self.shape, self.precision)
        for array, rows, cols in self._each():
            found[rows, cols] = to_numpy(array.weights())
        return found

    @property
    def ledger(self) -> LayerLedger:
        """Counts and joules of all locations so far."""
        return LayerLedger.of([cast(DeviceArray, array).ledger for array in self.locations])

    @property
    def worn(self) -> NDArray[np.uint32]:
        """Pulses (1, devices) that updates and refreshes have given each device, all locations one after the other."""
        every = [cast(DeviceArray, array).worn.reshape(1, -1) for array in self.locations]
        return np.concatenate(every, axis=1)

    def count_work(self, work: Work) -> None:
        """Enter what a rule asked for beside the arrays: with the first location, for all of them."""
        cast(DeviceArray, self.locations[0]).count_work(work)

    def rewind(self, ledger: LayerLedger) -> None:
        """Set the ledgers of all locations back to earlier totals."""
        for array, own in zip(self.locations, ledger.each, strict=True):
            cast(DeviceArray, array).rewind(own)

    def snapshot(self, *instance: int) -> State:
        """Return everything needed to go on later with the same bits, as named arrays; of one instance, where there are several."""
        arrays: Any = self.locations
        return {
            f"{number}.{name}": values
            for number, array in enumerate(arrays)
            for name, values in array.snapshot(*instance).items()
        }

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        if {name.split(".")[0] for name in saved} != {str(number) for number in range(len(self.locations))}:
            raise CheckpointError(f"checkpoint does not fit these {len(self.locations)} locations")
        for number, array in enumerate(self.locations):
            prefix = f"{number}."
            array.restore(
                {name.removeprefix(prefix): v for name, v in saved.items() if name.startswith(prefix)}
            )
