"""MNIST and Fashion-MNIST: the original idx files (LeCun, Cortes, Burges, 1998), plain or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import DataError
from neurosim.data.dataset import Labelled, Shape, labelled
from neurosim.data.locate import idx_places

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
UNSIGNED_BYTE = 0x08


def read_folder(
    name: str, folder: Path, image_shape: Shape, classes: int
) -> tuple[Labelled, Labelled] | None:
    """Return the training and the test set of the idx files in `folder`, or None if it holds none.

    Raises
    ------
    DataError
        If a file is damaged, or some of the four files are there and others are not.
    """
    for place in idx_places(name, folder):
        if any(_find(place, file) for pair in FILES.values() for file in pair):
            return (
                _read_pair(place, FILES["train"], image_shape, classes),
                _read_pair(place, FILES["test"], image_shape, classes),
            )
    return None


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the unsigned bytes of an idx file, plain or gzipped (.gz).

    Parameters
    ----------
    path : Path
        The file.
    dimensions : int
        3 for images, 1 for labels.

    Raises
    ------
    DataError
        If the file cannot be read, has another magic number, or another length than its header says.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged or unreadable ({error}); fetch it again") from None
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{path}: truncated: {len(content)} bytes, shorter than its header of {header}")
    magic, *shape = struct.unpack(f">{1 + dimensions}I", content[:header])
    wanted = UNSIGNED_BYTE << 8 | dimensions
    if magic != wanted:
        raise DataError(
            f"{path}: wrong magic number {magic}, expected {wanted}; not the idx file it is named"
        )
    size = math.prod(shape)
    if len(content) - header != size:
        state = "truncated" if len(content) - header < size else "too long"
        extents = " x ".join(map(str, shape))
        raise DataError(f"{path}: {state}: header says {extents} bytes, file holds {len(content) - header}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _find(place: Path, file: str) -> Path | None:
    return next((path for path in (place / file, place / f"{file}.gz") if path.is_file()), None)


def _read_pair(place: Path, files: tuple[str, str], image_shape: Shape, classes: int) -> Labelled:
    images, labels = (_find(place, file) for file in files)
    if images is None or labels is None:
        missing = files[0] if images is None else files[1]
        raise DataError(f"{place}: {missing}[.gz] is missing beside the other idx files; fetch it again")
    return labelled(
        read_idx(images, 3), read_idx(labels, 1), image_shape, classes, f"{images} with {labels.name}"
    )
