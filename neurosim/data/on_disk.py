"""Images that stay in their files until a mini-batch of them is used, for data sets larger than the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Read = Callable[[NDArray[np.int64]], NDArray[np.uint8]]


class OnDisk:
    """Stands where an array of uint8 images of shape (n, rows) does.

    Indexing by a slice, a mask or numbers selects and reads nothing; turned into an array (`numpy.asarray`, arithmetic
    of numpy, `Dataset.inputs`), it reads what is selected.

    Parameters
    ----------
    read : callable
        Returns the images of some numbers, (n, rows) of uint8.
    rows : int
        Pixels times channels of an image.
    chosen : int or (n,) array of int64
        How many images there are, or the numbers of those meant.
    """

    dtype = np.dtype(np.uint8)
    ndim = 2

    def __init__(self, read: Read, rows: int, chosen: int | NDArray[np.int64]):
        self.read, self.rows = read, rows
        self.chosen = np.arange(chosen) if isinstance(chosen, int) else chosen

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def shape(self) -> tuple[int, int]:
        """Images and rows."""
        return len(self.chosen), self.rows

    def __getitem__(self, which: Any) -> Any:
        """Select images, or read the one whose number is given."""
        chosen = self.chosen[which]
        if np.ndim(chosen) == 0:
            return self.read(np.array([chosen]))[0]
        return OnDisk(self.read, self.rows, chosen)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read what is selected; raises `DataError` if a file is damaged, ValueError if no copy may be made."""
        if copy is False:
            raise ValueError("images on disk cannot become an array without a copy")
        return np.asarray(self.read(self.chosen), dtype=dtype)


def joined(one: Any, other: Any) -> Any:
    """Return images one behind the other: on disk still, if both are images of the same files."""
    if isinstance(one, OnDisk) and isinstance(other, OnDisk) and one.read == other.read:
        return OnDisk(one.read, one.rows, np.concatenate([one.chosen, other.chosen]))
    return np.concatenate([one, other])
