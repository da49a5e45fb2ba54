"""Folders of images, one folder a class: ImageNet and its small subset Imagenette, and those of one's own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import DataError
from neurosim.data.dataset import Labelled, Parts, Shape
from neurosim.data.locate import named_places
from neurosim.data.on_disk import OnDisk
from neurosim.data.own_arrays import Found
from neurosim.data.resize import middle
from neurosim.kernels.jit import share

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SHAPE = (160, 160, 3)
PARTS = ("train", "val")
ENDINGS = (".jpeg", ".jpg", ".png")
REMEDY = "it needs a folder a class with its JPEG files in train and the same folders in val"
OWN_ENDINGS = (*ENDINGS, ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
OWN_FORMS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
TRAINING, TESTING = ("train", "training"), ("test", "testing", "val", "valid", "validation")
IN_MEMORY = 1 << 30
"""Bytes of pixels up to which own images are decoded once and for all."""
GREY, DEEP = {"1", "L", "LA", "La"}, {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
WIDE_CODES = (";16B", ";16L", ";16N")
"""How Pillow names 16 bits a channel in files that it would read at 8 without a word."""
ORIENTATION = 0x0112
"""Number of the tag that says how a camera was held."""


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
    files_of = _Files(
        part, files, IMAGE_SHAPE, ("JPEG", "PNG")
    )  # a few of ImageNet are PNG in spite of their names
    return Labelled(files_of.on_disk(), np.repeat(np.arange(len(classes)), counts))


def read_classes(folder: Path, size: tuple[int, ...] | None) -> Found:
    """Return the images of a folder of one's own, and the names of their folders as labels.

    Either it has a folder for each class, or folders ``train`` and ``test`` (or ``val``) that have. Classes and images
    come in the order of their names; up to `IN_MEMORY` bytes of pixels are kept in memory.

    Parameters
    ----------
    folder : Path
    size : (int, int) or (int, int, int), optional
        Height and width that images of other sizes get: they are scaled to cover it, and the middle is taken.

    Raises
    ------
    DataError
        If there are no classes or no images, a file is damaged, images have more than 8 bits, or they differ in size
        and none is asked for.
    """
    inner = {entry.name.lower(): Path(entry.path) for entry in _folders(folder)}
    train = next((inner[name] for name in TRAINING if name in inner), None)
    test = next((inner[name] for name in TESTING if name in inner), None) if train else None
    parts = {"train": train or folder, **({"test": test} if test else {})}
    notes = [f"test set from folder {test.name}"] if test else []
    if train and (idle := sorted(path.name for path in inner.values() if path not in (train, test))):
        notes.append(f"not used: {', '.join(idle)}")
    listed = {part: _own_files(place) for part, place in parts.items()}
    passed_over = sum(found.passed_over for found in listed.values())
    if passed_over:
        notes.append(f"{passed_over:,} files that are no images passed over")
    heads = [head for part, found in listed.items() for head in _heads(parts[part], found.files)]
    shape = _common_shape(folder, heads, size)
    notes += _changes(heads, shape)

    def images(part: str) -> Any:
        files = _Files(parts[part], [os.fsencode(name) for name in listed[part].files], shape, OWN_FORMS)
        stored = files.on_disk()
        return stored if stored.rows * len(heads) > IN_MEMORY else np.asarray(stored)

    found = {part: (images(part), np.array(listed[part].classes)) for part in parts}
    return Found(found["train"], found.get("test"), notes, shape)


class _Listed(NamedTuple):
    """Image files below a folder, the class of each, and how many files are none."""

    files: list[str]
    classes: list[str]
    passed_over: int


class _Head(NamedTuple):
    """What stands at the beginning of an image file."""

    file: str
    height: int
    width: int
    mode: str
    is_deep: bool
    has_alpha: bool
    is_turned: bool


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return [
            entry
            for entry in os.scandir(folder)
            if entry.is_dir() and not entry.name.startswith(".") and entry.name != "__MACOSX"
        ]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from None


def _own_files(part: Path) -> _Listed:
    files: list[str] = []
    classes: list[str] = []
    passed_over = 0
    for name in sorted(entry.name for entry in _folders(part)):
        inner = _folders(part / name)
        if inner:
            raise DataError(
                f"{part / name}: holds a folder, {inner[0].name}; images lie in the folder of their class itself"
            )
        own = [entry.name for entry in os.scandir(part / name) if not entry.name.startswith(".")]
        fitting = sorted(file for file in own if file.lower().endswith(OWN_ENDINGS))
        if not fitting:
            raise DataError(f"{part / name}: holds no images ({', '.join(OWN_ENDINGS)})")
        files += [os.path.join(name, file) for file in fitting]
        classes += [name] * len(fitting)
        passed_over += len(own) - len(fitting)
    if not files:
        raise DataError(
            f"{part}: it takes a folder for each class with its images, or folders train and test that have them"
        )
    return _Listed(files, classes, passed_over)


def _heads(part: Path, files: list[str]) -> list[_Head]:
    from PIL import Image

    def one(file: str) -> _Head:
        try:
            with Image.open(part / file, formats=OWN_FORMS) as image:
                if getattr(image, "n_frames", 1) > 1:
                    raise DataError(f"{part / file}: holds several images; write each into a file of its own")
                width, height = image.size
                is_deep = image.mode in DEEP or any(code in str(image.tile) for code in WIDE_CODES)
                has_alpha = image.mode.lower().endswith("a") or "transparency" in image.info
                is_turned = image.getexif().get(ORIENTATION, 1) != 1
                return _Head(file, height, width, image.mode, is_deep, has_alpha, is_turned)
        except DataError:
            raise
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(
                f"{part / file}: damaged image ({error}); write it again or take it away"
            ) from None

    return share(one, files)


def _common_shape(folder: Path, heads: list[_Head], size: tuple[int, ...] | None) -> Shape:
    """Return the shape that all images have, or are to get."""
    deep = next((head for head in heads if head.is_deep), None)
    if deep:
        raise DataError(
            f"{folder}: {deep.file} has more than 8 bits a pixel; give an .npz archive of such images, with scale"
        )
    channels = 1 if all(head.mode in GREY for head in heads) else 3
    if size is not None:
        if len(size) == 3 and size[2] != channels:
            raise DataError(
                f"{folder}: its images have {channels} channels; size = {list(size)} asks for {size[2]}"
            )
        return size[0], size[1], channels
    sizes = Counter((head.height, head.width) for head in heads)
    if len(sizes) > 1:
        (most, _), (other, _) = sizes.most_common(2)
        some = {
            size: next(head.file for head in heads if (head.height, head.width) == size)
            for size in (most, other)
        }
        shown = " and ".join(f"{high} x {wide} ({some[high, wide]})" for high, wide in (most, other))
        raise DataError(
            f"{folder}: images differ in size: {shown}, {len(sizes)} sizes in all; nothing is resized unasked: write "
            f"'{folder}?size={min(most)}', or in an experiment dataset = {{ path = \"{folder}\", size = {min(most)} }}"
        )
    return (*next(iter(sizes)), channels)


def _changes(heads: list[_Head], shape: Shape) -> list[str]:
    """Say what is done to images, and to how many."""
    resized = [head for head in heads if (head.height, head.width) != shape[:2]]
    smaller = sum(head.height < shape[0] or head.width < shape[1] for head in resized)
    grey = sum(head.mode in GREY for head in heads) if shape[2] == 3 else 0
    counts = {
        f"images resized, scaled to cover {shape[0]} x {shape[1]}, the middle taken"
        + (f" ({smaller:,} of them enlarged)" if smaller else ""): len(resized),
        "grey images turned into three channels": grey,
        "images whose alpha channel was dropped": sum(head.has_alpha for head in heads),
        "CMYK images turned into RGB": sum(head.mode == "CMYK" for head in heads),
        "images left as they lie, though a tag says that the camera was turned": sum(
            head.is_turned for head in heads
        ),
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count]


class _Files:
    """Image files below one folder; a million names in one array of bytes."""

    def __init__(self, folder: Path, files: list[bytes], shape: Shape, forms: tuple[str, ...]):
        self.folder, self.files, self.shape, self.forms = folder, np.array(files), shape, forms

    def on_disk(self) -> Any:
        """Return the images as an array that reads them when they are used."""
        height, width, channels = self.shape
        return OnDisk(self.read, height * width * channels, len(self.files), self.contents)

    def read(self, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return images, decoded and cut to size, (n, rows)."""
        out = np.empty((len(chosen), *self.shape), np.uint8)

        def one(place: int) -> None:
            out[place] = self._decoded(self._path(chosen[place])).reshape(self.shape)

        share(one, range(len(chosen)))
        return out.reshape(len(chosen), -1)

    def contents(self, chosen: NDArray[np.int64]) -> Iterator[bytes]:
        """Yield what stands for images in a digest: their files."""
        for number in chosen:
            try:
                content = self._path(number).read_bytes()
            except OSError as error:
                raise DataError(f"{self._path(number)}: cannot be read ({error.strerror or error})") from None
            yield len(content).to_bytes(8, "big") + content

    def _path(self, number: Any) -> Path:
        return self.folder / os.fsdecode(self.files[number])

    def _decoded(self, path: Path) -> NDArray[np.uint8]:
        from PIL import Image

        try:
            with Image.open(path, formats=self.forms) as image:
                return np.asarray(_fitted(image, self.shape))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{path}: damaged image ({error}); fetch it again or take it away") from None


def _fitted(image: Image, shape: Shape) -> Image:
    """Scale to cover the shape and take the middle; large JPEG files are decoded at a fraction of their size."""
    from PIL import Image as images

    mode, size = "RGB" if shape[2] == 3 else "L", (shape[1], shape[0])
    image.draft(mode, size)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    converted = image.convert(mode)
    if converted.size == size:
        return converted
    box = middle((image.size[1], image.size[0]), shape[:2])
    return converted.resize(size, images.Resampling.BILINEAR, box=box)
