"""Conductances measured elsewhere, as the state of an array: read, laid out as its devices are, and taken by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.cautions import Once, WindowWarning
from neurosim.core.checks import numbers
from neurosim.core.errors import DataError, InputError
from neurosim.core.seeds import Key
from neurosim.crossbar.cells import PairCells
from neurosim.kernels.cells import program_cells

Measured = NDArray[np.float64]

DRAWS, STEPS = 16, 20
"""Programming errors that a device is tried with at most, and corrections of what is asked for under each."""
REACHED = 1e-6
"""A device stands where it was measured to this share of the window's upper end, ..."""
ELSEWHERE = 1e-5
"""... and elsewhere from this on; in between is rounding."""


def measured_uS(
    lines: tuple[int, int],
    conductance_uS: ArrayLike | str | Path,
    minus_uS: ArrayLike | str | Path | None,
    missing_uS: float | None,
    needed: NDArray[np.bool_] | None = None,
) -> Measured:
    """Return measured conductances (rows, 2 cols) in uS, plus and minus device of each pair side by side.

    `needed` says which devices must have one (None: all); see `Crossbar.take_conductances`.
    """
    rows, wide = lines
    if minus_uS is None:
        found = _matrix("conductance_uS", conductance_uS, lines, "plus and minus device side by side")
    else:
        found = np.empty(lines)
        for arm, (name, given) in enumerate((("conductance_uS", conductance_uS), ("minus_uS", minus_uS))):
            found[:, arm::2] = _matrix(name, given, (rows, wide // 2), "devices of one side")
    missing = np.isnan(found) if needed is None else np.isnan(found) & needed
    if missing.any() and missing_uS is None:
        raise InputError(
            f"conductance_uS: {np.count_nonzero(missing)} of {found.size} devices are NaN, not measured; "
            "missing_uS=... says where these stand"
        )
    found[missing] = missing_uS
    if np.isinf(found).any():
        raise InputError("conductance_uS: an element is infinite, or missing_uS is")
    return found


def _matrix(name: str, given: ArrayLike | str | Path, shape: tuple[int, int], what: str) -> Measured:
    source = name
    if isinstance(given, str | Path):
        source, given = f"{name} ({given})", _read(Path(given))
    found = numbers(source, given)
    if found.shape != shape:
        raise InputError(
            f"{source}: expected shape {shape} ({what}, one word line a row), got {tuple(found.shape)}"
        )
    return found.astype(np.float64)


def _read(path: Path) -> NDArray[Any]:
    """Return the numbers of a .npy file, or of a .csv file without a header."""
    import pandas

    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if path.suffix == ".csv":
            return np.asarray(pandas.read_csv(path, header=None, dtype=np.float64))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: {error}; expected conductances in uS, of a .csv one word line a line and no header"
        ) from None
    raise DataError(f"{path}: expected .npy or .csv, conductances in uS")


def take(cells: PairCells, wanted_uS: Measured, key: Key) -> Measured:
    """Put the devices where they were measured, and return how far off (rows, 2 cols) each stands, in uS.

    The law's own programming writes them, so that their ages and lasting noise begin as after a write. Its error is a
    number of the draw: what is asked for is corrected until a read finds what was measured, under another draw where the
    law cuts what it is asked for. Devices that no line reaches stay as they are. Weights count from fixed references as they
    stand then.
    """
    wanted = wanted_uS.reshape(-1).astype(cells.dtype)
    near_uS = REACHED * cells.window_uS[1]
    left = cells.reached.copy() if cells.reached.size else np.ones(wanted.size, np.bool_)
    off = np.zeros_like(wanted)
    for _ in range(DRAWS):
        cells.programs += 1
        asked = wanted.copy()
        for _ in range(STEPS):
            program_cells(
                0, asked, cells.state, cells.params, cells.now_s, cells.programs, key, cells.kernels.program,
                1, left,
            )  # fmt: skip
            np.subtract(wanted, cells.conductance_uS().reshape(-1), out=off, where=left)
            asked[left] += off[left]
            left &= np.abs(off) > near_uS
            if not left.any():
                break
        if not left.any():
            break
    cells.copy_shared()
    cells.forget_grid()
    stand_uS = cells.conductance_uS()
    if cells.reference:
        references = stand_uS[:, 1::2]
        unknown = np.isnan(wanted[1::2].reshape(references.shape))
        cells.zero_uS = np.where(unknown, cells.real(cells.middle_uS), references)
    found = wanted_uS - stand_uS
    return found if cells.connected is None else np.where(cells.connected, found, 0.0)


def say_what_stands_elsewhere(
    off_uS: Measured, wanted_uS: Measured, window: tuple[float, float], once: Once
) -> int:
    """Return how many devices could not take what was measured, and warn of them."""
    largest = np.abs(off_uS)
    elsewhere = int(np.count_nonzero(largest > ELSEWHERE * window[1]))
    if elsewhere:
        once.say(
            WindowWarning,
            f"{elsewhere} of {off_uS.size} devices stand elsewhere than measured, the furthest by {largest.max():.3g} "
            f"uS: their own bounds end before, or a fault holds them; measured were {np.nanmin(wanted_uS):.3g} to "
            f"{np.nanmax(wanted_uS):.3g} uS, the card's window is {window[0]:.3g} to {window[1]:.3g} uS",
            stacklevel=3,
        )
    return elsewhere
