"""Refuse wrong shapes, NaN and infinity at the door, in words that name the remedy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neurosim.core.errors import InputError
from neurosim.core.protocols import Floats, Precision


def matrix(
    name: str,
    value: ArrayLike,
    rows: int | None = None,
    cols: int | None = None,
    precision: Precision = "float32",
) -> Floats:
    """Return `value` as a finite, contiguous array of real numbers of shape (rows, cols).

    Parameters
    ----------
    name : str
        What the array is called in the error message.
    value : array_like
        Anything numpy turns into a two-dimensional array of numbers.
    rows, cols : int, optional
        Required extents; None accepts any.
    precision : {"float32", "float64"}

    Raises
    ------
    InputError
        If the shape differs or an element is NaN, infinite or not a number.
    """
    return _finite(name, value, (rows, cols), precision)


def vector(name: str, value: ArrayLike, size: int | None = None, precision: Precision = "float32") -> Floats:
    """Return `value` as a finite, contiguous array of shape (size,); raises `InputError`."""
    return _finite(name, value, (size,), precision)


def _finite(name: str, value: ArrayLike, shape: tuple[int | None, ...], precision: Precision) -> Floats:
    try:
        array: Floats = np.ascontiguousarray(value, dtype=precision)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers, got {type(value).__name__} ({error})") from None
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if extent is None else str(extent) for extent in shape)
        raise InputError(f"{name}: expected shape ({wanted}), got {array.shape}")
    with np.errstate(invalid="ignore", over="ignore"):
        surely_finite = np.isfinite(array.sum())
    if not surely_finite and not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise InputError(f"{name}: {bad} of {array.size} elements are NaN or infinite; clean them first")
    return array
