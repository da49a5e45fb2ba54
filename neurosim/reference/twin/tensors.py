"""What the torch machine is handed becomes a tensor of real numbers, or is refused."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurosim.core.checks import numbers
from neurosim.core.errors import InputError


def real_tensor(name: str, value: Any) -> Tensor:
    """Return a tensor, or whatever numpy reads, as a tensor of its own type; raises `InputError` for complex numbers."""
    given = value if isinstance(value, Tensor) else torch.as_tensor(numbers(name, value))
    if given.is_complex():
        raise InputError(f"{name}: expected real numbers, got complex ones; give their .real")
    return given
