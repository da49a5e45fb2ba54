"""The contract of every device: what arrays, rules and reports rely on, tried on a device of any law."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import InputError
from neurosim.core.seeds import key
from neurosim.devices.card import load
from neurosim.devices.law import Law
from neurosim.kernels.cells import ALL, construct_cells, drift_cells, flat, program_cells, pulse_counted

CELLS = 500
_DECADE_S = 10.0


class Clause(NamedTuple):
    """One clause of the contract, and whether the device keeps it."""

    clause: str
    holds: bool
    found: str
    """What was seen, with numbers."""


class _Devices:
    """Some fresh devices with their clock."""

    def __init__(self, law: Law, seed: int):
        self.law, self.kernels, self.params = law, law.kernels, law.params()
        self.keys = {name: key(seed, "contract", name) for name in ("construct", "pulse", "program")}
        self.state = law.allocate(CELLS)
        self.event = 0
        construct_cells(0, CELLS, self.state, self.params, self.keys["construct"], self.kernels.construct)

    def pulse(self, counts: NDArray[np.int32]) -> float:
        """Give each device its pulses; returns the energy."""
        self.event += 1
        return float(
            pulse_counted(
                counts, self.state, self.params, 0.0, self.event, self.keys["pulse"], self.kernels.pulse
            )
        )

    def program(self, target_uS: float) -> float:
        """Program all devices to one target; returns the energy."""
        self.event += 1
        wanted = np.full(CELLS, target_uS, np.float32)
        return float(
            program_cells(
                0,
                wanted,
                self.state,
                self.params,
                0.0,
                self.event,
                self.keys["program"],
                self.kernels.program,
                1,
                ALL,
            )
        )

    def seen(self, now_s: float | None = None) -> NDArray[np.float32]:
        """Conductances of devices just written, or at a time."""
        out = np.empty(CELLS, np.float32)
        kernel = self.law.reading() if now_s is None else self.kernels.drifted
        drift_cells(out, self.state, self.params, now_s or 0.0, kernel)
        return out

    def copy(self) -> dict[str, NDArray[Any]]:
        """The state's arrays by name."""
        return {name: values.copy() for name, values in flat(self.state).items()}


def check(device: str | Path | Law, pulses: int = 1_000_000, seed: int = 0) -> list[Clause]:
    """Try every clause of the contract on a device.

    Parameters
    ----------
    device : str, path or device
        Card name, card file or device.
    pulses : int
        Random pulses up and down in all, shared by 500 devices.
    seed : int
        Same seed, same findings.

    Returns
    -------
    clauses : list of Clause
        In the order tried; a device keeps the contract if all hold.

    Raises
    ------
    InputError
        If `pulses` is below 10,000.
    """
    if pulses < 10_000:
        raise InputError(f"pulses = {pulses}: at least 10000")
    law = load(device)
    return [clause for part in _PARTS for clause in part(law, pulses, seed)]


def _random_walk(law: Law, pulses: int, seed: int) -> Iterator[Clause]:
    walkers, again = _Devices(law, seed), _Devices(law, seed)
    where = {name: values.ctypes.data for name, values in flat(walkers.state).items()}
    rng = np.random.default_rng(seed)
    given, least = 0, np.inf
    while given < pulses:
        counts = rng.integers(-8, 9, CELLS).astype(np.int32)
        given += int(np.abs(counts).sum())
        least = min(least, walkers.pulse(counts))
        again.pulse(counts)
    arrays = flat(walkers.state)
    broken = [name for name, values in arrays.items() if not np.isfinite(values.astype(np.float64)).all()]
    yield Clause(f"no NaN after {given:,} pulses", not broken, ", ".join(broken) or "all numbers finite")
    low, high = _bounds(law, arrays)
    held = arrays.get("persistent", arrays["conductance"]).astype(np.float64)
    slack = 1e-4 * law.cell_window_uS[1]
    outside = int(((held < low - slack) | (held > high + slack)).sum())
    yield Clause("conductances stay within their bounds", outside == 0, f"{outside} of {CELLS} outside")
    yield Clause("no energy is negative", bool(least >= 0), f"least of one update {_joules(law, least)}")
    moved = [name for name, values in arrays.items() if values.ctypes.data != where[name]]
    yield Clause("the state changes in place", not moved, ", ".join(moved) or "same memory throughout")
    other = flat(again.state)
    differing = [name for name in arrays if not np.array_equal(arrays[name], other[name])]
    yield Clause("same seed, same bits", not differing, ", ".join(differing) or "every array equal")


def _joules(law: Law, joules: float) -> str:
    return (
        f"no price: the card does not give {', '.join(law.pulse_unknown)}"
        if law.pulse_unknown
        else f"{joules:.3g} J"
    )


def _bounds(law: Law, arrays: dict[str, NDArray[Any]]) -> tuple[Any, Any]:
    """Bounds of each device where it has its own, else those of the law."""
    if "lower" in arrays and "upper" in arrays:
        return arrays["lower"].astype(np.float64), arrays["upper"].astype(np.float64)
    low, high = law.bounds_uS
    return law.devices_per_cell * low, law.devices_per_cell * high


def _one_cell_at_a_time(law: Law, pulses: int, seed: int) -> Iterator[Clause]:
    devices = _Devices(law, seed)
    before = devices.copy()
    counts = np.zeros(CELLS, np.int32)
    counts[::3] = 1
    devices.pulse(counts)
    untouched = counts == 0
    after = devices.copy()
    strayed = [
        name for name, values in after.items()
        if values.size == CELLS and not np.array_equal(values[untouched], before[name][untouched])
    ]  # fmt: skip
    yield Clause(
        "a pulse touches its own cell only", not strayed, ", ".join(strayed) or "neighbours as before"
    )


def _directions(law: Law, pulses: int, seed: int) -> Iterator[Clause]:
    devices = _Devices(law, seed)
    for sign, start, words in ((1, law.cell_window_uS[0], "up"), (-1, law.cell_window_uS[1], "down")):
        devices.program(start)
        before = devices.seen().astype(np.float64)
        for _ in range(5):
            devices.pulse(np.full(CELLS, sign, np.int32))
        mean = float((devices.seen() - before).mean())
        yield Clause(f"pulses {words} move the mean {words}", sign * mean > 0, f"{mean:+.3g} uS after five")


def _programming(law: Law, pulses: int, seed: int) -> Iterator[Clause]:
    devices = _Devices(law, seed)
    low, high = law.cell_window_uS
    energy = min(devices.program(target) for target in (low, (low + high) / 2, high))
    yield Clause("programming costs energy or nothing", energy >= 0, _joules(law, energy))
    means = []
    for target in (low, high):
        devices.program(target)
        means.append(float(devices.seen().mean()))
    yield Clause(
        "programming finds both ends of the window",
        means[0] < means[1],
        f"{means[0]:.4g} and {means[1]:.4g} uS",
    )


def _time(law: Law, pulses: int, seed: int) -> Iterator[Clause]:
    devices = _Devices(law, seed)
    devices.program(sum(law.cell_window_uS) / 2)
    state = devices.copy()
    times = [_DECADE_S**k for k in range(8)]
    path = np.array([devices.seen(now_s) for now_s in times])
    fine = bool(np.isfinite(path).all() and (path >= 0).all())
    yield Clause("conductances stay real for four months", fine, f"{path[-1].mean():.4g} uS in the mean")
    again = np.array([devices.seen(now_s) for now_s in times])
    same = np.array_equal(path, again) and all(np.array_equal(state[k], v) for k, v in devices.copy().items())
    yield Clause("looking changes nothing", same, "asked twice")
    if not law.drifts:
        still = np.array_equal(path[0], path[-1])
        yield Clause("a device that does not drift stands still", still, "1 s and 4 months")


_PARTS: tuple[Callable[[Law, int, int], Iterator[Clause]], ...] = (
    _random_walk,
    _one_cell_at_a_time,
    _directions,
    _programming,
    _time,
)
