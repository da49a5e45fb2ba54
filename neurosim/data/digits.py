"""The 8 x 8 digits that come with scikit-learn (Alpaydin, Kaynak, 1998), split once and for all."""

from __future__ import annotations

import numpy as np

from neurosim.data.dataset import Labelled, labelled, permutation

IMAGE_SHAPE = (8, 8, 1)
CLASSES = 10
TEST = 297


def read_bundled() -> tuple[Labelled, Labelled]:
    """Return 1,500 training and 297 test images, each class shared out in the same proportion.

    The data set has no official test set.  Every image gets its place in the shuffled queue of its class,
    counted from 0 to 1; the test set is the 297 images that stand nearest to the front.
    """
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images, labels = labelled(
        bundled.data.astype(np.uint8), bundled.target, IMAGE_SHAPE, CLASSES, "digits of scikit-learn"
    )
    order = permutation("digits split", len(labels))
    place = np.empty(len(order))
    for digit in range(CLASSES):
        queue = order[labels[order] == digit]
        place[queue] = (np.arange(len(queue)) + 0.5) / len(queue)
    test, train = np.split(np.argsort(place, kind="stable"), [TEST])
    return Labelled(images[train], labels[train]), Labelled(images[test], labels[test])
