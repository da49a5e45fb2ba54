"""CIFAR-10 and CIFAR-100: the original binary versions (Krizhevsky, 2009), and CIFAR-10 as a container of JPEG files."""

from __future__ import annotations

import gzip
import io
import itertools
import logging
import tarfile
import zlib
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import DataError
from neurosim.data.archive import Arrays, cached, read_npz, sha256
from neurosim.data.dataset import Images, Labelled, Parts, labelled
from neurosim.data.locate import cache_folder, folders, places

IMAGE_SHAPE = (32, 32, 3)
PIXELS = 32 * 32 * 3


class Version(NamedTuple):
    """What the files of one of the two are called, and what a record of theirs holds."""

    name: str
    folder: str
    batches: dict[str, tuple[str, ...]]
    """Files of the training and test set."""
    classes: int
    labels: int = 1
    """Bytes before the pixels, of which the last is the class: CIFAR-100 has that of the superclass before it."""

    @property
    def archive(self) -> str:
        """Name of the archive that holds the folder."""
        return f"{self.folder.removesuffix('-batches-bin').removesuffix('-binary')}-binary.tar.gz"

    @property
    def pickled(self) -> tuple[str, str]:
        """Folder and archive of the Python version."""
        root = self.archive.removesuffix("-binary.tar.gz")
        return (f"{root}-batches-py" if self.labels == 1 else f"{root}-python"), f"{root}-python.tar.gz"


CIFAR10 = Version(
    "cifar10",
    "cifar-10-batches-bin",
    {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
    10,
)
CIFAR100 = Version(
    "cifar100", "cifar-100-binary", {"train": ("train.bin",), "test": ("test.bin",)}, 100, labels=2
)
JPEG_CONTAINER = "cifar10_jpeg.npz"
DECODED_KEYS = ("x_train", "y_train", "x_test", "y_test")

log = logging.getLogger(__name__)


def read_binary(version: Version, folder: Path) -> Parts | None:
    """Return what the original binary version in `folder` holds, or None if it is not there.

    Raises
    ------
    DataError
        If a batch file is missing or damaged.
    """
    for place in places(version.name, folder):
        for source, batches in ((place / version.folder, _unpacked), (place / version.archive, _archived)):
            if source.exists():
                content = batches(version, source)
                train, test = (_records(version, source, content, part) for part in ("train", "test"))
                return Parts(train, test, classes=version.classes)
    return None


def read_jpeg(folder: Path) -> tuple[Labelled, Labelled] | None:
    """Return training and test set of a JPEG container in `folder`, or None if it is not there.

    The container is an npz archive with, for "train" and "test", `jpeg_*` (uint8 stream of JPEG files),
    `offset_*` (image i is bytes offset[i] to offset[i + 1]) and `y_*` (labels).  The decoded images are
    kept in the user's cache folder under the checksum of the container.

    Raises
    ------
    DataError
        If the container or an image in it is damaged.
    """
    for place in places("cifar10", folder):
        path = place / JPEG_CONTAINER
        if path.is_file():
            decoded = cache_folder() / f"cifar10-decoded-{sha256(path)[:16]}.npz"
            arrays = cached(decoded, DECODED_KEYS, partial(_decode, path))
            train, test = (
                labelled(
                    arrays[f"x_{part}"], arrays[f"y_{part}"], IMAGE_SHAPE, CIFAR10.classes, f"{path}: {part}"
                )
                for part in ("train", "test")
            )
            return train, test
    return None


def refuse_pickles(version: Version) -> None:
    """Raise `DataError` if a searched folder holds the Python version, whose batches are pickles."""
    for folder in folders(version.name):
        for path in (place / name for place in places(version.name, folder) for name in version.pickled):
            if path.exists():
                raise DataError(
                    f"{path}: this version of CIFAR-{version.classes} is stored as Python pickles, which can run code "
                    f"and are not loaded; get the binary version {version.archive} instead, for example with "
                    f"neurosim.data.download('{version.name}')"
                )


def _files(version: Version) -> set[str]:
    return {name for names in version.batches.values() for name in names}


def _unpacked(version: Version, folder: Path) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in _files(version) if (folder / name).is_file()}
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error})") from None


def _archived(version: Version, path: Path) -> dict[str, bytes]:
    wanted, content = _files(version), {}
    try:
        with gzip.open(path) as unzipped:
            with tarfile.open(fileobj=unzipped, mode="r|") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    file = archive.extractfile(member) if name in wanted else None
                    if file is not None:
                        content[name] = file.read()
            while unzipped.read(1 << 20):  # gzip compares its checksum at the very end only
                pass
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path}: damaged archive ({error}); fetch it again") from None
    return content


def _records(version: Version, source: Path, content: dict[str, bytes], part: str) -> Labelled:
    batches, record = [], version.labels + PIXELS
    for name in version.batches[part]:
        if name not in content:
            raise DataError(f"{source}: {name} is missing; fetch it again")
        if not content[name] or len(content[name]) % record:
            raise DataError(
                f"{source}: {name} is truncated: {len(content[name])} bytes are not whole records of {record}"
            )
        batches.append(np.frombuffer(content[name], np.uint8).reshape(-1, record))
    records = np.concatenate(batches)
    planes = records[:, version.labels :].reshape(-1, 3, 32, 32)
    classes = records[:, version.labels - 1]
    return labelled(planes.transpose(0, 2, 3, 1), classes, IMAGE_SHAPE, version.classes, f"{source}: {part}")


def _decode(path: Path) -> Arrays:
    log.info("decoding %s (about 20 s for all of CIFAR-10)", path)
    decoded: Arrays = {}
    for part in ("train", "test"):
        keys = (f"jpeg_{part}", f"offset_{part}", f"y_{part}")
        stream, offset, labels = read_npz(path, keys).values()
        if stream.dtype != np.uint8 or stream.ndim != 1 or offset.dtype.kind not in "iu" or offset.ndim != 1:
            raise DataError(f"{path}: jpeg_{part} must be a uint8 stream, offset_{part} a row of integers")
        edges = offset.astype(np.int64)
        if len(edges) != len(labels) + 1:
            raise DataError(f"{path}: offset_{part} bounds {len(edges) - 1} images, y_{part} {len(labels)}")
        if edges[0] != 0 or edges[-1] != len(stream) or (np.diff(edges) <= 0).any():
            raise DataError(f"{path}: offset_{part} does not divide the {len(stream)} bytes of jpeg_{part}")
        decoded[f"x_{part}"] = _decode_stream(stream, edges, f"{path}: jpeg_{part}")
        decoded[f"y_{part}"] = labels
    return decoded


def _decode_stream(stream: Images, edges: NDArray[np.int64], source: str) -> Images:
    from PIL import Image

    height, width, _ = IMAGE_SHAPE
    images = np.empty((len(edges) - 1, *IMAGE_SHAPE), np.uint8)
    for i, (start, stop) in enumerate(itertools.pairwise(edges)):
        try:
            with Image.open(io.BytesIO(stream[start:stop].tobytes()), formats=["JPEG"]) as image:
                if image.size != (width, height):
                    raise ValueError(f"{image.size} pixels, expected {(width, height)}")
                images[i] = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{source}: image {i} is damaged ({error})") from None
    return images
