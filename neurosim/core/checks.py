"""Refuse what is no finite real number, no whole number or of the wrong shape at the door, in words that name the remedy."""

from __future__ import annotations

import operator
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import ArrayLike

from neurosim.core.errors import InputError
from neurosim.core.protocols import Floats, Precision

_DIVERGED = "learning has diverged: the learning rate is too high"
_CAUSES = {
    "x": "clean the data; behind another layer, look at what that one gives",
    "weights": "the training that made them has diverged, or their file is damaged",
    "pre": f"clean the data; where they are clean, {_DIVERGED}",
    "post": _DIVERGED,
    "decay": _DIVERGED,
    "rate": _DIVERGED,
}
"""What is likely behind NaN and infinity, by the name of the argument."""


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
        Anything numpy turns into a two-dimensional array of numbers; spikes may be booleans.
    rows, cols : int, optional
        Required extents; None accepts any.
    precision : {"float32", "float64"}

    Raises
    ------
    InputError
        If the shape differs, or an element is not a real number, NaN, infinite or too large for the precision.
    """
    return _finite(name, value, (rows, cols), precision)


LARGEST_CHANGE = 1e30
"""Weights that one update may ask for; what devices are given of it ends at a few windows."""


def refuse_overflow(largest_pre: float, largest_post: float, samples: int) -> None:
    """Raise `InputError` for a change that single precision does not hold: it would pulse at random."""
    largest = largest_pre * largest_post * samples
    if not largest < LARGEST_CHANGE:
        raise InputError(
            f"pre and post: their products add up to as much as {largest:.3g} weights, which overflows; the "
            "learning rate is too high, or an earlier step has already run away"
        )


def vector(name: str, value: ArrayLike, size: int | None = None, precision: Precision = "float32") -> Floats:
    """Return `value` as a finite, contiguous array of shape (size,); raises `InputError`."""
    return _finite(name, value, (size,), precision)


def share_or_none(name: str, value: float | None, without: str) -> None:
    """Raise `InputError` unless `value` lies between 0 and 1 or is None, which means what `without` says."""
    if value is not None and not 0 < value < 1:
        raise InputError(f"{name} = {value}: must lie between 0 and 1; None for {without}")


def numbers(name: str, value: ArrayLike) -> np.ndarray[Any, Any]:
    """Return `value` as an array of real numbers or truth values, of whatever type and shape.

    Text is not read as numbers, and of complex numbers no part is dropped.

    Raises
    ------
    InputError
        If an element is something else, or masked.
    """
    if np.ma.is_masked(value):
        raise InputError(f"{name}: some elements are masked; fill them in first")
    try:
        given: np.ndarray[Any, Any] = np.asarray(value)
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # ragged lists; tensors with a gradient or on a GPU
        raise InputError(f"{name}: expected numbers, got {type(value).__name__} ({error})") from None
    if given.dtype.kind == "c":
        raise InputError(
            f"{name}: expected real numbers, got complex ones; give their .real, or both parts as two inputs"
        )
    if given.dtype.kind == "O":
        for each in given.flat:
            if not hasattr(each, "__float__") or isinstance(each, np.complexfloating):
                raise InputError(f"{name}: expected numbers, got {_shown(each)} among them")
    elif given.dtype.kind not in "biuf":
        raise InputError(f"{name}: expected numbers, got {type(value).__name__} of {given.dtype}")
    return given


def whole(name: str, value: Any, least: int | None = None) -> int:
    """Return `value` as an int; whole numbers of numpy and torch are welcome, 2.0 and True are not.

    Raises
    ------
    InputError
        If it is no whole number, or below `least`.
    """
    try:
        found = None if _is_truth(value) else operator.index(value)
    except TypeError:
        found = None
    if found is None:
        raise InputError(f"{name} = {_shown(value)}: expected a whole number")
    if least is not None and found < least:
        raise InputError(f"{name} = {found}: must be at least {least}")
    return found


def precision_of(value: Any) -> Precision:
    """Return the precision of state and arithmetic: "float32" or "float64", or numpy's types of these names.

    Raises
    ------
    InputError
        If it is anything else.
    """
    of_numpy = isinstance(value, type | np.dtype) and value in (np.float32, np.float64)
    name = np.dtype(value).name if of_numpy else value
    if not isinstance(name, str) or name not in get_args(Precision):
        raise InputError(f"precision = {_shown(value)}: must be one of {', '.join(get_args(Precision))}")
    return cast(Precision, name)


def extents(value: Any, name: str = "shape") -> tuple[int, int]:
    """Return `value` as (rows, cols), both at least 1; raises `InputError`."""
    try:
        rows, cols = value
    except (TypeError, ValueError):
        raise InputError(f"{name} = {_shown(value)}: expected (rows, cols)") from None
    try:
        return whole("rows", rows, 1), whole("cols", cols, 1)
    except InputError as error:
        raise InputError(
            f"{name} = {_shown(value)}: expected (rows, cols), both whole numbers from 1 up ({error})"
        ) from None


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")  # numpy's, torch's


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _finite(name: str, value: ArrayLike, shape: tuple[int | None, ...], precision: Precision) -> Floats:
    given = numbers(name, value)
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            array: Floats = np.ascontiguousarray(given, dtype=precision)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{name}: expected numbers, got {type(value).__name__} ({error})") from None
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if extent is None else str(extent) for extent in shape)
        raise InputError(f"{name}: expected shape ({wanted}), got {given.shape}")
    with np.errstate(invalid="ignore", over="ignore"):
        surely_finite = np.isfinite(array.sum())
    if not surely_finite and not np.isfinite(array).all():
        raise InputError(f"{name}: {_what_is_not_finite(name, given, array, precision)}")
    return array


def _what_is_not_finite(name: str, given: np.ndarray[Any, Any], array: Floats, precision: Precision) -> str:
    bad = array.size - int(np.isfinite(array).sum())
    wide = np.abs(given.astype(np.float64)) if given.dtype.kind == "O" else np.abs(given)
    ends = np.isfinite(wide) & ~np.isfinite(array)
    if bad > ends.sum():
        cause = _CAUSES.get(name, "look at where they come from")
        return f"{bad} of {array.size} elements are NaN or infinite; {cause}"
    most = np.finfo(array.dtype).max
    remedy = "scale them down" + (", or take precision='float64'" if precision == "float32" else "")
    return (
        f"{bad} of {array.size} elements are beyond what {precision} holds, {wide[ends].max():.3g} against "
        f"{most:.3g}; {remedy}"
    )
