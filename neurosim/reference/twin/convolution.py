"""A convolution on torch arrays: patches, statistics, competition, activation and pooling stay on their device."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch

from neurosim.core.errors import CapabilityError
from neurosim.core.protocols import Rule
from neurosim.network.convolution import Convolution
from neurosim.network.dense import Dense
from neurosim.network.images import Statistics
from neurosim.reference.twin.arithmetic import TorchIdeal
from neurosim.reference.twin.crossbar import TorchCrossbar
from neurosim.reference.twin.dense import TorchDense
from neurosim.reference.twin.images import TorchChannelNorm, activate, cut
from neurosim.reference.twin.tensors import real_tensor


class TorchConvolution(Convolution):
    """`Convolution` on a `TorchCrossbar` or `TorchIdeal`, for all their instances at once; images and answers are tensors.

    Parameters
    ----------
    array, rule, image_shape, **settings
        As `Convolution`; images may be whatever numpy reads. Those of an array with instances are (instances, n, height,
        width, channels): each instance sees its own, and normalises them by their own statistics.

    Raises
    ------
    CapabilityError
        If the rule has no twin, or `pass_on` is given (a function of numpy arrays, for which the device would wait).
    """

    dense_kind: ClassVar[type[Dense]] = TorchDense

    def __init__(
        self,
        array: TorchCrossbar | TorchIdeal,
        rule: Rule,
        image_shape: tuple[int, int, int],
        **settings: Any,
    ):
        if settings.get("pass_on") is not None:
            raise CapabilityError(
                "pass_on: a function of numpy arrays, which the torch backend would have to wait for; use numba, or an "
                "activation and a pool that exist"
            )
        tensors: Any = array
        self.instances = () if array.instances is None else (array.instances,)
        super().__init__(tensors, rule, image_shape, **settings)

    def _norm(self, channels: int, statistics: Statistics) -> TorchChannelNorm:
        return TorchChannelNorm(channels, statistics, self._on, self.instances)

    def _inputs(self, images: Any) -> Any:
        return real_tensor("images", images).to(self._on, self._dtype)

    def _empty(self, *shape: int) -> Any:
        return torch.empty(shape, dtype=self._dtype, device=self._on)

    def _cut(self, normalised: Any, kernel: int, first: int, last: int) -> Any:
        return cut(normalised, kernel, self.pad, first, last)

    def _activate(self, currents: Any) -> Any:
        return activate(currents, self.power, self.pool, self.activation)

    @property
    def _row_bytes(self) -> int:
        return super()._row_bytes * math.prod(self.instances)

    @property
    def _on(self) -> torch.device:
        array: Any = self.array
        on: torch.device = array.on
        return on

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.array.precision)
        return dtype
