"""Positive and negative data of Forward-Forward: labels on images, wrong labels, hybrids, shifted images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import InputError
from neurosim.core.protocols import Floats
from neurosim.network.arrays import beside, library

Labels = NDArray[np.int64]
Draws = np.random.Generator
Shape = tuple[int, int, int]


def overlay(images: Floats, marks: Floats) -> Floats:
    """Return images (..., n, rows) whose first pixels are marks: (classes,), the same for all, or (..., n, classes).

    Whatever stood in these pixels is gone, a label as well. Images, here and of labels below, may be tensors.

    Raises
    ------
    InputError
        If images have fewer pixels than there are classes.
    """
    classes = marks.shape[-1]
    if images.shape[-1] < classes:
        raise InputError(
            f"images of {images.shape[-1]} pixels: {classes} labels need as many; take larger images"
        )
    out: Floats = library(images).empty_like(images)
    out[..., :classes], out[..., classes:] = marks, images[..., classes:]
    return out


def with_labels(images: Floats, labels: Labels, classes: int) -> Floats:
    """Return images (n, rows) with their labels (n,) as one of `classes` first pixels at full scale."""
    one_each = beside(images, np.eye(classes, dtype=np.float32))
    return overlay(images, one_each[beside(images, labels)])


def with_neutral_label(images: Floats, classes: int) -> Floats:
    """Return images (n, rows) whose label is spread evenly: each of the first pixels at 1 / classes."""
    return overlay(images, beside(images, np.full(classes, 1 / classes)))


def wrong_labels(scores: Floats, labels: Labels, count: int, draws: Draws) -> Labels:
    """Draw wrong labels (count, n) with the probabilities ``softmax(scores)`` without the true class.

    Hard negatives follow the scores (n, classes) of a classifier; equal scores draw evenly. The labels of one sample
    differ from each other. Of scores that are tensors nothing is fetched: the labels are tensors beside them.

    Raises
    ------
    InputError
        If there are not so many wrong classes.
    """
    classes = scores.shape[1]
    if not 1 <= count < classes:
        raise InputError(f"negatives = {count}: must be from 1 to {classes - 1}, for {classes} classes")
    # the largest of scores with Gumbel noise are draws from their softmax without replacement
    noisy = scores + beside(scores, draws.gumbel(size=tuple(scores.shape)))
    noisy[beside(scores, np.arange(len(labels))), beside(scores, labels)] = -np.inf
    found: Labels = (-noisy).argsort(1)[:, :count].T
    return found


def masks(count: int, shape: tuple[int, int], blurs: int, draws: Draws) -> NDArray[np.bool_]:
    """Draw masks (count, height, width) of large areas: random bits, blurred by [1/4 1/2 1/4] both ways, cut at 1/2."""
    bits = draws.integers(0, 2, (count, *shape)).astype(np.float32)
    for _ in range(blurs):
        for axis in (1, 2):
            width = [(1, 1) if place == axis else (0, 0) for place in range(3)]
            edged = np.pad(bits, width, mode="edge")
            size = bits.shape[axis]
            left, right = (edged.take(range(start, start + size), axis) for start in (0, 2))
            bits = (bits * np.float32(0.5) + (left + right) * np.float32(0.25)).astype(np.float32)
    found: NDArray[np.bool_] = bits > 0.5
    return found


def hybrids(images: Floats, image_shape: Shape, blurs: int, draws: Draws) -> Floats:
    """Return images (n, rows) of which each is part itself, part another of them: locally right, globally wrong.

    Raises
    ------
    InputError
        If there is one image only.
    """
    if len(images) < 2:
        raise InputError(f"hybrids of {len(images)} image: need at least 2 in a mini-batch")
    height, width, channels = image_shape
    mask = masks(len(images), (height, width), blurs, draws).repeat(channels, axis=2).reshape(len(images), -1)
    others = np.roll(images, int(draws.integers(1, len(images))), axis=0)
    found: Floats = np.where(mask, images, others)
    return found


def mixtures(images: Floats, draws: Draws) -> Floats:
    """Return images (n, rows) halfway between each and another of them: the pairs of unlike ones of self-contrast.

    Two neurons' worth of weights that see both images of a pair alike see their sum, so that a pair of the same image twice is,
    but for a factor, the image itself.

    Raises
    ------
    InputError
        If there is one image only.

    References
    ----------
    Chen et al., Nat. Commun. 16 (2025), s41467-025-61037-0: self-contrastive Forward-Forward.
    """
    if len(images) < 2:
        raise InputError(f"mixtures of {len(images)} image: need at least 2 in a mini-batch")
    others = np.roll(images, int(draws.integers(1, len(images))), axis=0)
    found: Floats = (images + others) * images.dtype.type(0.5)
    return found


def jittered(images: Floats, image_shape: Shape, most: int, draws: Draws) -> Floats:
    """Return images (n, rows), each shifted by up to `most` pixels both ways; what comes in from outside is zero."""
    height, width, channels = image_shape
    down, right = draws.integers(0, 2 * most + 1, (2, len(images), 1, 1))
    edged = np.zeros((len(images), height + 2 * most, width + 2 * most, channels), images.dtype)
    edged[:, most : most + height, most : most + width] = images.reshape(-1, *image_shape)
    lines, places = down + np.arange(height)[:, None], right + np.arange(width)
    shifted: Floats = edged[np.arange(len(images))[:, None, None], lines, places]
    return shifted.reshape(len(images), -1)
