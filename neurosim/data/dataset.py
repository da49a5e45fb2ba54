"""A data set: images or vectors, in memory or on disk, int64 labels, and a validation split that never changes."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import DataError, InputError
from neurosim.data.on_disk import contents, joined
from neurosim.data.taken import Taken

Images = NDArray[Any]
"""Of shape (n, rows): uint8, or float32 from 0 to 1."""
Labels = NDArray[np.int64]
Shape = tuple[int, int, int]

ARRAYS = ("x_train", "y_train", "x_validation", "y_validation", "x_test", "y_test", "x_unlabelled")
"""What a data set holds, in the order of its digest."""
HELD_OUT = 6  # one image in six of the training set is held out for validation


class Labelled(NamedTuple):
    """Images of shape (n, rows), uint8 or float32, and their class numbers of shape (n,), int64."""

    images: Images
    labels: Labels


class Parts(NamedTuple):
    """What the files of a data set hold: training and test set, images without labels, and the number of classes."""

    train: Labelled
    test: Labelled
    unlabelled: Images | None = None
    classes: int = 10


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test images, or vectors, with their labels.

    Images stay uint8, one flattened image (height, width, channel order) per row; `inputs` turns a batch
    into float32 when it is used. What is no whole number from 0 to 255 is float32, from 0 to 1. Images of large data
    sets stay on disk until then (`OnDisk`). The training images come in a fixed random order, the test images in
    the order of their file.

    Attributes
    ----------
    name : str
        The name given to `neurosim.data.load`, or that of the file.
    note : str
        What the images are, to be stated beside every accuracy, for example "CIFAR-10 (JPEG q75)"; of one's own data
        also all that was assumed.
    shape : tuple of int
        (height, width, channels) of an image, or (rows,) of vectors that are none.
    classes : int
        Number of classes; labels run from 0 to classes - 1.
    full_scale : int
        Pixel value that becomes 1.0: 255 for images, 16 for digits, 1 for float32.
    x_train, x_validation, x_test : uint8 or float32 arrays of shape (n, rows)
    y_train, y_validation, y_test : int64 arrays of shape (n,)
    x_unlabelled : array of shape (n, rows), optional
        Images without labels, for rules that need none.
    order : str
        What its random orders follow; empty: its name.
    taken : Taken, optional
        How arrays of one's own became its rows.
    """

    name: str
    note: str
    shape: tuple[int, ...]
    classes: int
    full_scale: int
    x_train: Images
    y_train: Labels
    x_validation: Images
    y_validation: Labels
    x_test: Images
    y_test: Labels
    x_unlabelled: Images | None = None
    order: str = ""
    taken: Taken | None = None

    def __repr__(self) -> str:
        extents = " x ".join(map(str, self.shape))
        counts = f"{len(self.y_train) + len(self.y_validation):,} training and {len(self.y_test):,} test"
        return f"Dataset({self.name!r}: {counts} samples of {extents}, {self.classes} classes)"

    @classmethod
    def of(
        cls,
        x_train: Any,
        y_train: Any,
        x_test: Any = None,
        y_test: Any = None,
        *,
        name: str = "arrays",
        **options: Any,
    ) -> Dataset:
        """Return a data set of arrays.

        Parameters
        ----------
        x_train, x_test : array of shape (n, height, width), (n, height, width, channels) or (n, rows)
            Images, or vectors. Without a test set a part of the training set becomes it.
        y_train, y_test : array of shape (n,), or (n, classes) of one-hot rows
            Labels: numbers or text.
        name : str
            What it is called.
        **options
            `size`, `scale`, `test` and `seed`, fields of `neurosim.data.Reading`.

        Raises
        ------
        DataError
            If arrays do not fit each other, hold NaN, or cannot be taken for inputs from 0 to 1 without being told how.
        ConfigError
            If an option is unknown or out of range.
        """
        from neurosim.data.own_arrays import Found, Reading, data_set_of

        test = None if x_test is None and y_test is None else (x_test, y_test)
        return data_set_of(Found((x_train, y_train), test), Reading(**options), name)

    @classmethod
    def from_arrays(
        cls,
        name: str,
        note: str,
        shape: tuple[int, ...],
        classes: int,
        full_scale: int,
        train: Labelled,
        test: Labelled,
        unlabelled: Images | None = None,
        order: str = "",
    ) -> Dataset:
        """Shuffle the training set by `permutation(order or name, n)` and hold out its last sixth for validation."""
        if unlabelled is not None:
            unlabelled = unlabelled[permutation(f"{order or name} unlabelled", len(unlabelled))]
        shuffled = permutation(order or name, len(train.labels))
        kept, held = np.split(shuffled, [len(shuffled) - len(shuffled) // HELD_OUT])
        return cls(
            name,
            note,
            shape,
            classes,
            full_scale,
            x_train=train.images[kept],
            y_train=train.labels[kept],
            x_validation=train.images[held],
            y_validation=train.labels[held],
            x_test=test.images,
            y_test=test.labels,
            x_unlabelled=unlabelled,
            order=order,
        )

    @property
    def rows(self) -> int:
        """Pixels times channels of one image, or features of a vector: the word lines that it needs."""
        return math.prod(self.shape)

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels; raises `InputError` where these are vectors, not images."""
        if len(self.shape) != 3:
            raise InputError(
                f"data set '{self.name}' holds vectors of {self.rows} numbers, and images are needed here; give vectors "
                "to fully connected layers (neurosim compare), or say what images they are: size = [HEIGHT, WIDTH]"
            )
        height, width, channels = self.shape
        return height, width, channels

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that is learnt from and tested on: shape, scale, classes and every array, in their order.

        Names and the note are not in it. Of image files that stay on disk it is the files' bytes instead of pixels.
        """
        found = hashlib.sha256(f"{self.shape} {self.classes} {self.full_scale};".encode())
        for name in ARRAYS:
            values: Any = getattr(self, name)
            if values is None:
                continue
            found.update(f"{name} {values.dtype.str} {values.shape};".encode())
            for part in contents(values):
                found.update(part)
        return found.hexdigest()

    def inputs(self, images: Images) -> NDArray[np.float32]:
        """Return images of shape (n, rows), as the data set has them, as float32 in [0, 1].

        Raises
        ------
        InputError
            If `images` is not of the data set's type, or not of shape (n, rows).
        """
        if images.dtype != self.x_train.dtype or images.ndim != 2 or images.shape[1] != self.rows:
            raise InputError(
                f"images: expected {self.x_train.dtype} of shape (n, {self.rows}), got {images.dtype} of "
                f"{images.shape}; give rows of x_train, x_validation or x_test of '{self.name}'"
            )
        return np.divide(images, self.full_scale, dtype=np.float32)

    def rows_of(self, samples: Any) -> Images:
        """Return samples of one's own as rows like those of x_train: taken as these were, nothing resized unasked.

        Parameters
        ----------
        samples : (n, height, width[, channels]) or (n, rows) array
            Of a published data set: with its values, such as bytes from 0 to 255.

        Raises
        ------
        DataError
            If they have another shape, type or scale than the samples of the data set, or hold NaN.
        """
        from neurosim.data.own_arrays import checked_samples

        x = checked_samples(samples, "samples")
        if self.taken is not None:
            rows: Images = self.taken.rows(x)
            return rows
        accepted = {self.shape, (self.rows,), *({self.shape[:2]} if self.shape[2:] == (1,) else ())}
        if x.shape[1:] not in accepted or x.dtype != self.x_train.dtype:
            wanted = " x ".join(map(str, self.shape))
            raise DataError(
                f"samples: {x.dtype} of {x.shape[1:]}; those of '{self.name}' are {self.x_train.dtype} of {wanted}"
            )
        flat: Images = x.reshape(len(x), -1)
        return flat

    def training(self, hold_out: bool = True) -> Labelled:
        """Return the images and labels to learn from.

        Parameters
        ----------
        hold_out : bool
            True leaves the validation images out, for choosing parameters; False merges them in again,
            for the final training that is followed by the test.
        """
        if hold_out:
            return Labelled(self.x_train, self.y_train)
        return Labelled(
            joined(self.x_train, self.x_validation),
            np.concatenate([self.y_train, self.y_validation]),
        )

    def subset(self, train: int | None = None, test: int | None = None) -> Dataset:
        """Return a smaller data set for quick runs, the same in every call.

        A smaller subset lies inside a larger one, and training and validation images never change sides.

        Parameters
        ----------
        train : int, optional
            Size of the training set, validation included in the same proportion; None keeps all.  Of images
            without labels the same share stays.
        test : int, optional
            Size of the test set; None keeps all.

        Raises
        ------
        InputError
            If a size is below 1 or above what the data set holds.
        """
        total = len(self.y_train) + len(self.y_validation)
        train = _size("train", train, total)
        held = round(train * len(self.y_validation) / total)
        test = _size("test", test, len(self.y_test))
        unlabelled = 0 if self.x_unlabelled is None else -(-len(self.x_unlabelled) * train // total)
        chosen = permutation(f"{self.order or self.name} test", len(self.y_test))[:test]
        return replace(
            self,
            x_train=self.x_train[: train - held],
            y_train=self.y_train[: train - held],
            x_validation=self.x_validation[:held],
            y_validation=self.y_validation[:held],
            x_test=self.x_test[chosen],
            y_test=self.y_test[chosen],
            x_unlabelled=None if self.x_unlabelled is None else self.x_unlabelled[:unlabelled],
        )


def permutation(name: str, n: int) -> NDArray[np.int64]:
    """Return an order of 0 .. n - 1 that depends on nothing but `name` and `n`.

    It sorts the raw output of PCG64, which numpy keeps the same in all versions; it does not promise that
    for `Generator.permutation`.
    """
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")


def split_by_class(labels: Labels, test: int, order: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of training and of `test` test samples, each class shared out in the same proportion.

    Every sample gets its place in the shuffled queue of its class, counted from 0 to 1; the test set is those that
    stand nearest to the front.
    """
    shuffled = permutation(order, len(labels))
    place = np.empty(len(shuffled))
    for each in np.unique(labels):
        queue = shuffled[labels[shuffled] == each]
        place[queue] = (np.arange(len(queue)) + 0.5) / len(queue)
    tested, trained = np.split(np.argsort(place, kind="stable"), [test])
    return trained, tested


def labelled(
    images: NDArray[Any], labels: NDArray[Any], image_shape: Shape, classes: int, source: str
) -> Labelled:
    """Check images and labels read from `source` and return them flattened.

    Parameters
    ----------
    images : uint8 array of shape (n, height, width), (n, height, width, channels) or (n, rows)
    labels : integer array of shape (n,)
    image_shape : tuple of int
        (height, width, channels) that the images must have.
    classes : int
        Labels must lie in 0 .. classes - 1.
    source : str
        What to name in the error message.

    Raises
    ------
    DataError
        If shapes, types, counts or label values are wrong.
    """
    height, width, channels = image_shape
    accepted = {image_shape, (height * width * channels,)} | ({(height, width)} if channels == 1 else set())
    if images.dtype != np.uint8 or images.shape[1:] not in accepted:
        wanted = " x ".join(map(str, image_shape))
        raise DataError(f"{source}: expected uint8 images of {wanted}, got {images.dtype} {images.shape}")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{source}: expected a row of integer labels, got {labels.dtype} {labels.shape}")
    if len(images) != len(labels):
        raise DataError(f"{source}: {len(images)} images but {len(labels)} labels")
    if not len(labels):
        raise DataError(f"{source}: no images in it; give a file that has some, or download it again")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"{source}: labels run from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}"
        )
    flat = np.require(images, requirements=["C", "W"]).reshape(len(images), -1)
    return Labelled(flat, labels.astype(np.int64))


def _size(name: str, wanted: int | None, available: int) -> int:
    if wanted is None:
        return available
    if not 1 <= wanted <= available:
        raise InputError(
            f"{name} = {wanted}: there are {available} images; ask for 1 to {available}, or leave it out for all"
        )
    return wanted
