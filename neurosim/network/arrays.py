"""Arrays of numpy or tensors of torch: what code that takes either asks for, so that it is written once.

What goes to a GPU is copied from pageable memory, which is read before the call returns: no copy waits for what runs there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def library(values: Any) -> Any:
    """Return the module whose functions take these values: numpy, or torch."""
    if isinstance(values, np.ndarray):
        return np
    import torch

    return torch


def beside(values: Any, given: Any) -> Any:
    """Return what is given, numbers or indices, as values are: an array, or a tensor where theirs lie."""
    if isinstance(values, np.ndarray):
        return np.asarray(given)
    return library(values).as_tensor(given).to(values.device, non_blocking=True)


def alike(values: Any, numbers: Any) -> Any:
    """Return numbers beside values, and of their type."""
    if isinstance(values, np.ndarray):
        return np.asarray(numbers, values.dtype)
    return library(values).as_tensor(numbers).to(values.device, values.dtype, non_blocking=True)


def empty(values: Any, *shape: int) -> Any:
    """Return room for numbers of the type of values, where theirs lie."""
    return np.empty(shape, values.dtype) if isinstance(values, np.ndarray) else values.new_empty(shape)


def columns(values: Any, places: Any) -> Any:
    """Return columns (..., n, len(places)) of values (..., n, cols); places are as values are (`beside`)."""
    return values.take(places, axis=-1) if isinstance(values, np.ndarray) else values.index_select(-1, places)


def one_of(values: Any, *instance: int) -> Any:
    """Return values, or those of one instance, whose axis is their first."""
    return values[instance] if instance else values


def to_numpy(values: Any) -> NDArray[Any]:
    """Return values as numpy, wherever they were computed."""
    found: NDArray[Any] = values if isinstance(values, np.ndarray) else values.cpu().numpy()
    return found
