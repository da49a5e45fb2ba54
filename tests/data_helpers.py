"""What the tests of data sets share: small content, its files, and what is expected of a load."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from neurosim import data
from neurosim.core.errors import DataError

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def arrays(shape=(28, 28), train=12, test=5, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (train, *shape), dtype=np.uint8),
        "y_train": rng.integers(0, 10, train, dtype=np.uint8),
        "x_test": rng.integers(0, 256, (test, *shape), dtype=np.uint8),
        "y_test": rng.integers(0, 10, test, dtype=np.uint8),
    }


def idx_bytes(array):
    return struct.pack(f">{1 + array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


def write_idx(place, content, gz=False):
    place.mkdir(parents=True, exist_ok=True)
    for file, array in zip(IDX_FILES, content.values(), strict=True):
        raw = idx_bytes(array)
        (place / f"{file}{'.gz' if gz else ''}").write_bytes(gzip.compress(raw) if gz else raw)


def original_order(dataset):
    """The training images and labels in the order of their file."""
    images, labels = dataset.training(hold_out=False)
    undo = np.argsort(data.permutation(dataset.name, len(labels)))
    return images[undo], labels[undo]


def assert_holds(dataset, content):
    images, labels = original_order(dataset)
    np.testing.assert_array_equal(images, content["x_train"].reshape(len(images), -1))
    np.testing.assert_array_equal(labels, content["y_train"])
    np.testing.assert_array_equal(dataset.x_test, content["x_test"].reshape(len(dataset.x_test), -1))
    np.testing.assert_array_equal(dataset.y_test, content["y_test"])
    assert dataset.x_train.dtype == dataset.x_test.dtype == np.uint8
    assert dataset.y_train.dtype == dataset.y_test.dtype == np.int64
    assert dataset.x_test.flags.writeable


def rows_of(*parts):
    return [row.tobytes() for part in parts for row in part]


def refusal(name):
    with pytest.raises(DataError) as caught:
        data.load(name)
    message = str(caught.value)
    assert "\n" not in message
    return message
