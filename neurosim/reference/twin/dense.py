"""One fully connected layer on torch arrays: the rule runs on tensors too, so nothing leaves the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurosim.core import registry
from neurosim.core.errors import CapabilityError, UnknownNameError
from neurosim.core.protocols import Rule, UpdateMode
from neurosim.network.black_box import Box
from neurosim.network.dense import Dense
from neurosim.network.neurons import Transfer
from neurosim.reference.twin.arithmetic import TorchIdeal
from neurosim.reference.twin.black_box import TorchBox
from neurosim.reference.twin.crossbar import TorchCrossbar
from neurosim.reference.twin.tensors import real_tensor


def rule_twin(rule: Rule, array: TorchCrossbar | TorchIdeal) -> Any:
    """Return the torch twin of a rule for that array.

    Raises
    ------
    CapabilityError
        If none is registered under the rule's name.
    ConfigError
        If the rule has the name of another one, which is registered.
    """
    registry.refuse_shadow("rule", type(rule), rule.name)
    try:
        found = registry.find("rule twin", rule.name)
    except UnknownNameError:
        raise CapabilityError(
            f"rule '{rule.name}' has no torch twin; write one (neurosim.reference.twin.hebb shows how) and "
            "register it under the entry points neurosim.rule_twins"
        ) from None
    return found(rule, array.precision, array.on, array.instances)


class TorchDense(Dense):
    """`Dense` on a `TorchCrossbar` or `TorchIdeal`, for all their instances at once."""

    def __init__(
        self,
        array: TorchCrossbar | TorchIdeal,
        rule: Rule,
        mode: UpdateMode = "accumulate",
        norm_every: int = 100,
        neurons: Transfer | None = None,
    ):
        tensors: Any = array
        super().__init__(tensors, rule_twin(rule, array), mode, norm_every, neurons)
        self.stated = rule
        self.on, self.dtype = array.on, getattr(torch, array.precision)
        drawn = () if neurons is None else (neurons.powers, neurons.gains)
        self._drawn = [torch.from_numpy(values).to(self.on, self.dtype) for values in drawn]

    def passed(self, u: Any) -> Any:
        """Return what the neurons pass on of currents (..., batch, cols): `Transfer`, in torch's operations."""
        if self.neurons is None:
            return u
        powers, gains = self._drawn
        size, most = gains * u.abs() ** powers, self.neurons.saturation
        return torch.copysign(size if most is None else most * torch.tanh(size / most), u)

    def boxed(self, box: Box) -> TorchBox:
        """Return a black box behind this layer as one of tensors."""
        return TorchBox(box, self.on, self.dtype)

    def placed(self, values: Any) -> Tensor:
        """Return an array (of images, labels ...) as a tensor where the layer computes, of its own type."""
        return torch.as_tensor(values).to(self.on, non_blocking=True)

    def _inputs(self, x: Any) -> Any:
        return real_tensor("x", x).to(self.on, self.dtype, non_blocking=True)

    def _kept(self, values: Tensor) -> NDArray[Any]:
        return np.array(values.cpu().numpy())

    def _put(self, name: str, values: NDArray[Any]) -> None:
        state: dict[str, Any] = self.state
        state[name] = torch.from_numpy(values.copy()).to(self.on)
