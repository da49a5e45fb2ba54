"""Torch twins of `neurosim.rules.winner`."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.reference.twin.local import LocalTwin


def chosen(places: Tensor, u: Tensor) -> Tensor:
    """One where a sample's column is the chosen one, zero elsewhere (..., batch, cols)."""
    return torch.nn.functional.one_hot(places, u.shape[-1]).to(u.dtype)


class HardWtaTwin(LocalTwin):
    """The winner takes all."""

    def _response(self, u: Tensor) -> Tensor:
        return chosen(u.argmax(dim=-1), u)

    def _decay(self, post: Tensor, u: Tensor) -> Tensor | None:
        return (post if self.options.centres else post * u).sum(dim=-2)


class KrotovHopfieldTwin(LocalTwin):
    """A winner, and one neuron that is pushed away."""

    def _response(self, u: Tensor) -> Tensor:
        order = u.argsort(dim=-1, descending=True, stable=True)
        pushed: Tensor = self.options.delta * chosen(order[..., self.options.rank - 1], u)
        return chosen(order[..., 0], u) - pushed
