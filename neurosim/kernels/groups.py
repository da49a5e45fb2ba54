"""Pulses of a group of devices at once: what is drawn for them is drawn ahead, several devices to a vector."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import DeviceKernels, Floats
from neurosim.kernels.jit import apart, inlined, inlined_as, jit, origin
from neurosim.kernels.prefetch import prefetch
from neurosim.kernels.random import fill_normals, philox

GROUP = 256
"""Most devices of a group: what is kept of them between two passes stays close to the processor."""
AHEAD = 16
"""Cells between asking for a cell's memory and reading it."""
FEW = 16
"""Devices from which on passes over all of them are worth their preparations."""
_TOGETHER = 32
"""Passes go over multiples of so many: what compilers leave over of a loop is done one by one."""
_RANKS = 64
"""Devices are put in the order of their pulses up to so many."""
_SPARE = 2
"""Passes over all devices may offer each so many pulses, in the mean, that it is not to have."""


class Group(NamedTuple):
    """Devices that are to be pulsed, with their counts, and room for what passes over them leave to one another."""

    cells: NDArray[np.uint32]
    """(GROUP,) the cells; never negative, so that no kernel looks for an index from the end."""
    counts: NDArray[np.int32]
    """(GROUP,) pulses, SET (+) or RESET (-)."""
    places: NDArray[np.int32]
    """(GROUP,) where each stands in `pairs`."""
    pairs: NDArray[np.uint32]
    """(GROUP,) cells of the pairs that they belong to, plus and minus in turn."""
    before_uS: Floats
    """(GROUP,) what was read of each device before its pulses,"""
    after_uS: Floats
    """(GROUP,) and of each of `pairs` after them."""
    joules: NDArray[np.float64]
    """(GROUP,) energy of the pulses of each."""
    order: NDArray[np.int32]
    """(GROUP,) places of the devices with the most pulses first, as `rank` leaves them,"""
    ranked: NDArray[np.uint32]
    """(GROUP,) their cells in that order,"""
    sizes: NDArray[np.int32]
    """(GROUP,) their counts,"""
    spent_J: NDArray[np.float64]
    """(GROUP,) the energy of their pulses,"""
    left: NDArray[np.int32]
    """(65,) and how many of them have 0, 1, 2, ... pulses or more."""
    words: NDArray[np.uint32]
    """(4, GROUP) first words of all devices, second ones, and so on."""
    normals: Floats
    """(2, GROUP) of one word of each device, and of another."""
    numbers: Floats
    """(11, GROUP) room for what a law reads of their state, and makes of it."""


@jit
def new_group(like: Any) -> Any:
    """Return room for a group; its numbers are of the type of the array `like`."""
    return Group(
        np.zeros(GROUP, np.uint32), np.zeros(GROUP, np.int32), np.zeros(GROUP, np.int32), np.zeros(GROUP, np.uint32),
        np.zeros(GROUP, like.dtype), np.zeros(GROUP, like.dtype), np.zeros(GROUP),
        np.zeros(GROUP, np.int32), np.zeros(GROUP, np.uint32), np.zeros(GROUP, np.int32), np.zeros(GROUP),
        np.zeros(_RANKS + 1, np.int32),
        np.zeros((4, GROUP), np.uint32), np.zeros((2, GROUP), np.float32), np.zeros((11, GROUP), like.dtype),
    )  # fmt: skip


@apart
def read_listed(size: Any, cells: Any, out: Any, state: Any, params: Any, now_s: Any, read: Any) -> None:
    """Read the conductance of the first `size` of some cells into `out`, uS."""
    for k in range(size):
        if k + AHEAD < size:
            prefetch(state, int(cells[k + AHEAD]))
        out[k] = read(cells[k], state, params, now_s)


@inlined
def whole_vectors(size: int) -> Any:
    """That many devices and as many more, of which nothing is asked, as passes over all of them take anyway."""
    return (size + _TOGETHER - 1) // _TOGETHER * _TOGETHER


@inlined
def _pulses(size: int, counts: Any) -> Any:
    """The most pulses of any device, and those of all."""
    most, total = 0, 0
    for k in range(size):
        pulses = abs(counts[k])
        most = max(most, pulses)
        total += pulses
    return most, total


@inlined
def _as_listed(size: int, group: Any) -> None:
    for k in range(size):
        group.order[k] = k
    for k in range(size):
        group.ranked[k] = group.cells[k]
    for k in range(size):
        group.sizes[k] = group.counts[k]


@inlined
def rank(size: int, group: Any) -> Any:
    """Put the first `size` devices in the order of their pulses, those with the most first; return the most.

    They stay as they are listed where passes over all of them would give few devices more pulses than they have.
    """
    counts, left, above = group.counts, group.left, 0
    most, total = _pulses(size, counts)
    if most * size - total <= _SPARE * size:
        _as_listed(size, group)
        for n in range(min(most, _RANKS) + 1):
            left[n] = size
        return most
    for n in range(_RANKS + 1):
        left[n] = 0
    for k in range(size):
        left[min(abs(counts[k]), _RANKS)] += 1
    for n in range(_RANKS, -1, -1):
        here = left[n]
        left[n] = above  # the place of the first of them; of the next, when all have theirs
        above += here
    for k in range(size):
        n = min(abs(counts[k]), _RANKS)
        place = left[n]
        left[n] = place + 1
        group.order[place], group.ranked[place], group.sizes[place] = k, group.cells[k], counts[k]
    return most


@inlined
def still(given: int, group: Any) -> Any:
    """How many ranked devices, the first ones, may have more pulses than were given."""
    return group.left[min(given + 1, _RANKS)]


@inlined
def _fill_words(size: int, cells: Any, event: int, number: int, key: Any, words: Any) -> None:
    for k in range(size):
        a, b, c, d = philox(cells[k], event, number, key)
        words[k] = np.uint32(a)
        words[GROUP + k] = np.uint32(b)
        words[2 * GROUP + k] = np.uint32(c)
        words[3 * GROUP + k] = np.uint32(d)


@inlined
def draw(size: int, cells: Any, group: Any, event: int, number: int, key: Any) -> None:
    """Draw the four words of each of the first `size` of some cells, those of the draw of that number."""
    _fill_words(size, cells, event, number, (key[0], key[1]), group.words.reshape(4 * GROUP))


@inlined
def normals_of_word(size: int, group: Any, number: int, place: int) -> None:
    """Put the normals of the devices' word of that number (0 to 3), which is used up, in the first or second place."""
    fill_normals(size, group.words[number], group.normals[place])


@cache
def one_by_one(pulse: Any) -> Any:
    """Return the kernel that gives a group its pulses by `pulse`, device by device."""

    def pulses(size: int, group: Any, state: Any, params: Any, now_s: float, event: int, key: Any) -> None:
        for k in range(size):
            group.joules[k] = pulse(group.cells[k], group.counts[k], state, params, now_s, event, key)

    return inlined_as(pulses, f"{origin(pulse)}.one_by_one")


def group_pulses(kernels: DeviceKernels) -> Any:
    """Return what gives a group its pulses: the kernel of a law's own, or its `pulse` device by device."""
    return kernels.pulses or one_by_one(kernels.pulse)
