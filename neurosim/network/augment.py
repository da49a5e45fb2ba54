"""Images moved and mirrored at random: from an image padded by reflection a window of its size is cut, and half of them flipped."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from neurosim.core.errors import InputError
from neurosim.core.frozen import Frozen
from neurosim.core.seeds import generator


class Moves(NamedTuple):
    """From which pixels those of each image are taken."""

    rows: NDArray[np.int64]
    """(n, height)"""
    columns: NDArray[np.int64]
    """(n, width)"""

    def of(self, images: Any, first: int = 0) -> Any:
        """Return images (m, height, width, channels), an array or a tensor, moved as those from `first` on are."""
        some = slice(first, first + len(images))
        each = np.arange(len(images))[:, None, None]
        return images[each, self.rows[some, :, None], self.columns[some, None, :]]


class Augment(Frozen):
    """Crops and flips of training images; images that are reported on stay as they are.

    Heads learn from each image and `copies` of such versions of it, a version in each epoch in turn; nets that are trained end to end
    (backpropagation, fine-tuning) see every image moved anew each time.
    """

    flip: bool = False
    """Mirror half of the images, left and right."""
    crop: int = Field(0, ge=0)
    """Pixels of reflected padding, from which a window of the image's size is cut at random."""
    copies: int = Field(1, ge=1)
    """Versions of each image that heads learn from, beside the image itself; the features of all are held at a time."""
    layers: bool = False
    """Layers learn from moved images as well, drawn anew in each mini-batch."""

    @property
    def moves_some(self) -> bool:
        """Whether any image is moved; without flips and crops all is as without this table, as a level of a sweep may want it."""
        return self.flip or self.crop > 0

    @property
    def drawn(self) -> dict[str, Any]:
        """What decides the images that a net sees which is trained on moved ones."""
        return {"flip": self.flip, "crop": self.crop}

    def refuse_shape(self, shape: tuple[int, int, int]) -> None:
        """Raise `InputError` for images that have not enough pixels to be moved so."""
        height, width, _ = shape
        if self.crop >= min(height, width) or (self.flip and width == 1):
            raise InputError(
                f"augment: samples of {height} x {width} pixels cannot be "
                f"{'padded by ' + str(self.crop) + ' reflected pixels' if self.crop else 'flipped'}; take "
                f"{'a smaller crop' if min(height, width) > 1 else 'images'}, or leave it out"
            )

    def moves(self, images: int, shape: tuple[int, int, int], seed: int, *path: str | int) -> Moves:
        """Draw how so many images of a shape (height, width, channels) are moved; same seed and path, same moves.

        Settings that differ in `crop` alone flip the same images.
        """
        draws = generator(seed, "augment", *path)
        flipped = draws.random(images) < 0.5
        corners = draws.integers(-self.crop, self.crop + 1, (2, images, 1))
        rows, columns = (_reflected(corners[k] + np.arange(shape[k]), shape[k]) for k in (0, 1))
        if self.flip:
            columns[flipped] = columns[flipped, ::-1]
        return Moves(rows, columns)


def _reflected(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Places beyond the edges of so many pixels, reflected at the outermost."""
    found: NDArray[np.int64] = size - 1 - np.abs(size - 1 - np.abs(places))
    return found
