"""Images that stay in their files until a mini-batch of them is used, for data sets larger than the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Read = Callable[[NDArray[np.int64]], NDArray[np.uint8]]
Contents = Callable[[NDArray[np.int64]], Iterator[bytes]]
CHUNK = 1000
"""Images that are read at a time to know their content."""


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
    contents : callable, optional
        Yields what stands for the pixels of some numbers in a digest, such as the bytes of their files, where decoding
        all of them would take too long; default: the pixels.
    """

    dtype = np.dtype(np.uint8)
    ndim = 2

    def __init__(
        self, read: Read, rows: int, chosen: int | NDArray[np.int64], contents: Contents | None = None
    ):
        self.read, self.rows, self._contents = read, rows, contents
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
        return OnDisk(self.read, self.rows, chosen, self._contents)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read what is selected; raises `DataError` if a file is damaged, ValueError if no copy may be made."""
        if copy is False:
            raise ValueError("images on disk cannot become an array without a copy")
        return np.asarray(self.read(self.chosen), dtype=dtype)

    def contents(self) -> Iterator[bytes]:
        """Yield what stands for the pixels in a digest, in the order of the images."""
        if self._contents is not None:
            yield from self._contents(self.chosen)
            return
        for first in range(0, len(self), CHUNK):
            yield self.read(self.chosen[first : first + CHUNK]).tobytes()


def contents(values: Any) -> Iterator[Any]:
    """Yield what stands for an array in a digest: its bytes, or what images on disk give instead (`OnDisk.contents`)."""
    if isinstance(values, OnDisk):
        yield from values.contents()
    else:
        yield np.ascontiguousarray(values)


def joined(one: Any, other: Any) -> Any:
    """Return images one behind the other: on disk still, if both are images of the same files."""
    if isinstance(one, OnDisk) and isinstance(other, OnDisk) and one.read == other.read:
        return OnDisk(one.read, one.rows, np.concatenate([one.chosen, other.chosen]), one._contents)
    return np.concatenate([one, other])
