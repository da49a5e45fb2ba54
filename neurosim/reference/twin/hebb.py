"""Torch twins of `neurosim.rules.hebb`."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.core.protocols import LocalUpdate
from neurosim.reference.twin.local import LocalTwin, TensorState, update


class HebbTwin(LocalTwin):
    """Plain Hebb, y = u."""

    def _response(self, u: Tensor) -> Tensor:
        return u

    def _decay(self, post: Tensor, u: Tensor) -> Tensor | None:
        return None


class HebbDecayTwin(HebbTwin):
    """y (x - w)."""

    def _decay(self, post: Tensor, u: Tensor) -> Tensor | None:
        return post.sum(dim=-2)


class OjaTwin(HebbTwin):
    """y (x - y w)."""

    def _decay(self, post: Tensor, u: Tensor) -> Tensor | None:
        return (post * u).sum(dim=-2)


class SangerTwin(HebbTwin):
    """Oja's rule with what the columns before have learnt taken away; ideal arithmetic only."""

    def __call__(self, x: Tensor, u: Tensor, state: TensorState) -> LocalUpdate:
        """Return the update with its decay between columns."""
        post = u * (self._rate(state) / x.shape[-2])
        self._count(state)
        return update(x, post, torch.triu(u.transpose(-1, -2) @ post))
