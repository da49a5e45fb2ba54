"""Torch twin of `neurosim.network.black_box`: the same mixtures, the same draws."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.network.black_box import Box
from neurosim.reference.twin.draws import Key, normal, uniform, words


class TorchBox:
    """The black box behind one layer, for all its instances at once."""

    def __init__(self, box: Box, on: torch.device, dtype: torch.dtype):
        self.how = box.how
        self._mixture = None if box.mixture is None else torch.from_numpy(box.mixture).to(on, dtype)
        lines = 1 if box.instances is None else 2
        self._key = Key(box.seeds, on, box.name, "black box, passes").spread(lines)

    def __call__(self, y: Tensor, first: int) -> Tensor:
        """Return what comes out for directions (..., n, cols); `first` is the number of the first sample among all passes."""
        how = self.how
        found = y if self._mixture is None else (y @ self._mixture).abs()
        if how.power != 1:
            found = found**how.power
        if not (how.noise or how.dropped):
            return found
        samples, cols = (torch.arange(size, device=y.device) for size in y.shape[-2:])
        a, b, _, _ = words(cols, (first + samples).unsqueeze(-1), 0, self._key)
        found = found * (1 + how.noise * normal(a).to(y.dtype))
        return torch.where(uniform(b) < how.dropped, 0.0, found)
