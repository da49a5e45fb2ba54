"""STL-10: the authors' binary version (Coates, Lee, Ng, 2011), with its images without labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import DataError
from neurosim.data.dataset import Labelled, Parts
from neurosim.data.locate import places
from neurosim.data.on_disk import OnDisk

IMAGE_SHAPE = (96, 96, 3)
CLASSES = 10
RECORD = 96 * 96 * 3
FOLDER = "stl10_binary"
FILES = {"train": ("train_X.bin", "train_y.bin"), "test": ("test_X.bin", "test_y.bin")}
UNLABELLED = "unlabeled_X.bin"
REMEDY = f"unpack the archive {FOLDER}.tar.gz of the data set's authors; {UNLABELLED} may be left out"


def read_folder(folder: Path) -> Parts | None:
    """Return the parts of STL-10 in `folder`, or None if it is not there; the images stay on disk.

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    for place in places("stl10", folder):
        if any((place / file).is_file() for pair in FILES.values() for file in pair):
            unlabelled = place / UNLABELLED
            return Parts(
                _labelled(place, "train"),
                _labelled(place, "test"),
                unlabelled=_images(unlabelled) if unlabelled.is_file() else None,
            )
    return None


def _labelled(place: Path, part: str) -> Labelled:
    paths = [place / file for file in FILES[part]]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: is missing beside the other files of STL-10; {REMEDY}")
    images, source = _images(paths[0]), paths[1]
    try:
        labels = np.fromfile(source, np.uint8)
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error}); {REMEDY}") from None
    if len(labels) != len(images):
        raise DataError(
            f"{source}: {len(labels)} labels for {len(images)} images in {paths[0].name}; {REMEDY}"
        )
    if labels.min() < 1 or labels.max() > CLASSES:
        raise DataError(
            f"{source}: labels run from {labels.min()} to {labels.max()}, expected 1 to {CLASSES}; {REMEDY}"
        )
    return Labelled(images, labels.astype(np.int64) - 1)


def _images(path: Path) -> Any:
    """Images of a file, mapped into memory: what is not used costs none."""
    try:
        size = path.stat().st_size
        if not size or size % RECORD:
            raise DataError(f"{path}: truncated: {size} bytes are not whole images of {RECORD}; {REMEDY}")
        records = np.memmap(path, np.uint8, mode="r", shape=(size // RECORD, RECORD))
    except DataError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {REMEDY}") from None
    return OnDisk(partial(_upright, records), RECORD, len(records))


def _upright(records: NDArray[np.uint8], chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Images as (height, width, channel), from files that hold (channel, column, row)."""
    height, width, channels = IMAGE_SHAPE
    planes = records[chosen].reshape(-1, channels, width, height)
    return np.ascontiguousarray(planes.transpose(0, 3, 2, 1)).reshape(-1, RECORD)
