"""The counter-based random numbers of `neurosim.kernels.random`, bit for bit, in torch's integer operations."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from neurosim.core.seeds import key as philox_key
from neurosim.kernels.random import NORMAL_TABLE, ROUNDS

Words = tuple[Tensor, Tensor, Tensor, Tensor]

_M0, _M1, _W0, _W1, _LOW = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85, 0xFFFFFFFF


class Key:
    """Philox keys of one stream of several instances."""

    def __init__(self, seeds: tuple[int, ...], device: torch.device, *path: str):
        words = [[int(word) for word in philox_key(seed, *path)] for seed in seeds]
        self.words = torch.tensor(words, dtype=torch.int64, device=device)

    def of(self, instance: Tensor) -> tuple[Tensor, Tensor]:
        """Return the key words of the given instances, one for each element."""
        return self.words[:, 0][instance], self.words[:, 1][instance]

    def spread(self, dims: int) -> tuple[Tensor, Tensor]:
        """Return the key words with `dims` axes of length one behind the instances' axis."""
        shape = (-1, *[1] * dims)
        return self.words[:, 0].reshape(shape), self.words[:, 1].reshape(shape)


def words(cell: Tensor, event: Any, draw: Any, key: tuple[Any, Any]) -> Words:
    """Four 32-bit words (as int64) of Philox4x32-7; `event`, `draw` and key are ints or tensors, all broadcast.

    Axes along which nothing varies yet stay short in the first rounds.
    """
    c0: Any = cell
    c1: Any = event & _LOW
    c2: Any = draw
    c3: Any = event >> 32
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c2 = ((p1 >> 32) & _LOW) ^ c1 ^ k0, ((p0 >> 32) & _LOW) ^ c3 ^ k1
        c1, c3 = p1 & _LOW, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


def uniform(word: Tensor) -> Tensor:
    """Uniform float32 in [0, 1) from the high 24 bits of a word."""
    return (word >> 8).float() * 2.0**-24


@cache
def _table(device: torch.device) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(NORMAL_TABLE.T.copy()).to(device))


def normal(word: Tensor) -> Tensor:
    """Standard normal float32 from all 32 bits of a word."""
    bits = (word | 1).float().view(torch.int32)
    piece = (bits >> 20) - 1016
    t = (bits & 0xFFFFF).float() * 2.0**-20
    c0, c1, c2, c3 = (power[piece] for power in _table(word.device))
    z = ((c3 * t + c2) * t + c1) * t + c0
    return torch.where((word & 1).bool(), z, -z)
