"""The 8 x 8 digits that come with scikit-learn (Alpaydin, Kaynak, 1998), split once and for all."""

from __future__ import annotations

import numpy as np

from neurosim.data.dataset import Labelled, labelled, split_by_class

IMAGE_SHAPE = (8, 8, 1)
CLASSES = 10
TEST = 297


def read_bundled() -> tuple[Labelled, Labelled]:
    """Return 1,500 training and 297 test images, each class shared out in the same proportion.

    The data set has no official test set (`split_by_class`).
    """
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images, labels = labelled(
        bundled.data.astype(np.uint8), bundled.target, IMAGE_SHAPE, CLASSES, "digits of scikit-learn"
    )
    train, test = split_by_class(labels, TEST, "digits split")
    return Labelled(images[train], labels[train]), Labelled(images[test], labels[test])
