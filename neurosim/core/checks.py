"""Refuse wrong shapes, NaN and infinity at the door, in words that name the remedy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.errors import InputError


def matrix(
    name: str, value: ArrayLike, rows: int | None = None, cols: int | None = None
) -> NDArray[np.float32]:
    """Return `value` as a finite, contiguous float32 array of shape (rows, cols).

    Parameters
    ----------
    name : str
        What the array is called in the error message.
    value : array_like
        Anything numpy turns into a two-dimensional array of numbers.
    rows, cols : int, optional
        Required extents; None accepts any.

    Raises
    ------
    InputError
        If the shape differs or an element is NaN, infinite or not a number.
    """
    return _finite(name, value, (rows, cols))


def vector(name: str, value: ArrayLike, size: int | None = None) -> NDArray[np.float32]:
    """Return `value` as a finite, contiguous float32 array of shape (size,); raises `InputError`."""
    return _finite(name, value, (size,))


def _finite(name: str, value: ArrayLike, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    try:
        array = np.ascontiguousarray(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers, got {type(value).__name__} ({error})") from None
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if extent is None else str(extent) for extent in shape)
        raise InputError(f"{name}: expected shape ({wanted}), got {array.shape}")
    if not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise InputError(f"{name}: {bad} of {array.size} elements are NaN or infinite; clean them first")
    return array
