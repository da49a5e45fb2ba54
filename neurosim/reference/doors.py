"""What the layers on devices let in: real, finite tensors, where the array is; and one warning a model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from threading import Lock

import torch
from torch import Tensor

from neurosim.core.checks import vector
from neurosim.core.errors import CapabilityError, InputError
from neurosim.crossbar.device import stands_still
from neurosim.reference.twin.crossbar import TorchCrossbar

REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class NoAttributeError(CapabilityError, AttributeError):
    """A layer on devices lacks something that torch's layer has; `hasattr` says so too."""


def has_no_weight(name: str, stored: str) -> NoAttributeError:
    """Return the error of who reads the weight of the layer `name`; `stored` shows what is there instead."""
    return NoAttributeError(
        f"layer '{name}' stands on devices and has no weight to read: they answer inputs, through their noise and "
        f"converters. Keep it in digital arithmetic, convert(..., exclude=['{name}']), or change the code that reads "
        f"layer.weight ({stored} shows what is stored)"
    )


def refuse_unless_finite(name: str, value: Tensor) -> None:
    """Raise `InputError`, in the words of numpy's door, if an element is NaN or, in single precision, infinite."""
    single = value.float()
    if not torch.isfinite(single.sum()) and not torch.isfinite(single).all():
        vector(name, value.double().cpu().numpy().reshape(-1))


def real(name: str, value: Tensor) -> Tensor:
    """Return a tensor as it is; whole numbers are real ones, as numpy's door takes them.

    Raises
    ------
    InputError
        If it is no tensor, its type not real (complex, quantised, eight bits of floating point), or it is sparse
        or without data.
    """
    if not isinstance(value, Tensor):
        raise InputError(f"{name}: expected a tensor, got {type(value).__name__}")
    whole = not value.is_floating_point() and not value.is_complex() and not value.is_quantized
    if not whole and value.dtype not in REAL:
        raise InputError(
            f"{name}: expected real numbers (float16, bfloat16, float32 or float64), got {value.dtype}"
        )
    if value.layout != torch.strided or value.is_meta:
        kind = "no data (device 'meta')" if value.is_meta else str(value.layout)
        raise InputError(f"{name}: expected a dense tensor, got {kind}")
    return value


def finite(name: str, value: Tensor) -> Tensor:
    """Return a tensor of real numbers in single precision.

    Raises
    ------
    InputError
        As `real`; and if an element is NaN or, in single precision, infinite.
    """
    refuse_unless_finite(name, real(name, value))
    return value.float()


def refuse_another_place(name: str, held: Tensor, change: Callable[[Tensor], Tensor]) -> None:
    """Raise `CapabilityError` if `change`, as torch's `Module._apply` has it, moves the array or is no real type."""
    after = change(torch.empty_like(held))
    if after.device != held.device:
        raise CapabilityError(
            f"layer '{name}' stands on {held.device} and cannot move to {after.device}: "
            "convert(..., torch_device=...) says where"
        )
    if after.dtype not in REAL:
        raise CapabilityError(f"layer '{name}': the modules around devices cannot compute in {after.dtype}")


CATCHING = Lock()
"""Held while warnings are caught, which Python does for all threads at once."""


def one_warning(arrays: Sequence[TorchCrossbar], seconds: float) -> None:
    """Let time pass on every array; one warning for all whose cards have no law of time, not one each."""
    if seconds == 0 or not any(array.read.drift and stands_still(array.device) for array in arrays):
        for array in arrays:
            array.advance(seconds)
        return
    with CATCHING, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for array in arrays:
            array.advance(seconds)
    for message, category in {str(warning.message): warning.category for warning in caught}.items():
        warnings.warn(message, category, stacklevel=3)
