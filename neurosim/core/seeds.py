"""Keys of the counter-based random numbers: every purpose of every array has its own stream."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from neurosim.core.checks import whole

Key = NDArray[np.uint64]


def key(seed: int, *path: str | int) -> Key:
    """Return the Philox key of one stream, two 32-bit words as a (2,) uint64 array.

    Parameters
    ----------
    seed : int
        The user's seed.
    path : str or int
        What the stream is for, for example ``("layer", 0, "read")``; another path, another stream.

    Raises
    ------
    InputError
        If the seed is no whole number.
    """
    text = "/".join([str(whole("seed", seed)), *map(str, path)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return np.frombuffer(digest, dtype="<u4").astype(np.uint64)


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """Return a numpy generator for work outside kernels (shuffles, initial weights), keyed like `key`."""
    return np.random.Generator(np.random.PCG64([int(word) for word in key(seed, *path)]))
