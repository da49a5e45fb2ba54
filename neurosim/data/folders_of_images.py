"""ImageNet and its small subset Imagenette: JPEG files in one folder a class, decoded when they are used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import DataError
from neurosim.data.dataset import Labelled, Parts
from neurosim.data.locate import named_places
from neurosim.data.on_disk import OnDisk
from neurosim.kernels.jit import share

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SHAPE = (160, 160, 3)
PARTS = ("train", "val")
ENDINGS = (".jpeg", ".jpg", ".png")
REMEDY = "it needs a folder a class with its JPEG files in train and the same folders in val"


def read_folder(name: str, folder: Path) -> Parts | None:
    """Return the training images and, for the test, the validation images of data set `name`, or None.

    They are looked for as train/<class>/*.JPEG and val/<class>/*.JPEG in the sub-folders of `folder` that are named
    after the data set, or in itself if it is. Classes are numbered in the order of their folders' names, images in
    that of theirs.

    Raises
    ------
    DataError
        If a part is missing, a class is empty, or the parts have other classes.
    """
    for place in named_places(name, folder):
        if any((place / part).is_dir() for part in PARTS):
            classes = [_classes(place / part) for part in PARTS]
            odd = sorted(set(classes[0]) ^ set(classes[1]))
            if odd:
                raise DataError(
                    f"{place}: class {odd[0]} is in one of train and val only ({len(odd)} such classes); {REMEDY}"
                )
            train, test = (_labelled(place / part, classes[0]) for part in PARTS)
            return Parts(train, test, classes=len(classes[0]))
    return None


def _classes(part: Path) -> list[str]:
    try:
        found = sorted(entry.name for entry in os.scandir(part) if entry.is_dir())
    except OSError as error:
        raise DataError(f"{part}: cannot be read ({error.strerror or error}); {REMEDY}") from None
    if not found:
        raise DataError(f"{part}: holds no folders; {REMEDY}")
    return found


def _labelled(part: Path, classes: list[str]) -> Labelled:
    files: list[bytes] = []
    counts = []
    for name in classes:
        try:
            own = [entry.name for entry in os.scandir(part / name) if entry.name.lower().endswith(ENDINGS)]
        except OSError as error:
            raise DataError(f"{part / name}: cannot be read ({error.strerror or error}); {REMEDY}") from None
        if not own:
            raise DataError(f"{part / name}: holds no images ({', '.join(ENDINGS)}); {REMEDY}")
        files += [os.fsencode(os.path.join(name, file)) for file in sorted(own)]
        counts.append(len(own))
    height, width, channels = IMAGE_SHAPE
    images: Any = OnDisk(_Files(part, files).read, height * width * channels, len(files))
    return Labelled(images, np.repeat(np.arange(len(classes)), counts))


class _Files:
    """Image files below one folder; a million names in one array of bytes."""

    def __init__(self, folder: Path, files: list[bytes]):
        self.folder, self.files = folder, np.array(files)

    def read(self, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return images, decoded and cut to size, (n, rows)."""
        out = np.empty((len(chosen), *IMAGE_SHAPE), np.uint8)

        def one(place: int) -> None:
            out[place] = _decoded(self.folder / os.fsdecode(self.files[chosen[place]]))

        share(one, range(len(chosen)))
        return out.reshape(len(chosen), -1)


def _decoded(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        # A few files of ImageNet are PNG in spite of their names.
        with Image.open(path, formats=["JPEG", "PNG"]) as image:
            return np.asarray(_square(image, IMAGE_SHAPE[0]))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: damaged image ({error}); fetch it again or take it away") from None


def _square(image: Image, size: int) -> Image:
    """Scale the short side to `size` and take the middle; large JPEG files are decoded at a fraction of their size."""
    from PIL import Image as images

    image.draft("RGB", (size, size))
    side = min(image.size)
    left, top = ((extent - side) // 2 for extent in image.size)
    box = (left, top, left + side, top + side)
    return image.convert("RGB").resize((size, size), images.Resampling.BILINEAR, box=box)
