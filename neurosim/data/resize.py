"""Images of another size: scaled to cover it, and the middle taken."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.kernels.jit import share

Box = tuple[int, int, int, int]


def middle(size: tuple[int, int], wanted: tuple[int, int]) -> Box:
    """Return the middle part (left, top, right, bottom) of an image (height, width) with the proportions of another."""
    (height, width), (high, wide) = size, wanted
    if width * high > height * wide:
        across, down = max(1, height * wide // high), height
    else:
        across, down = width, max(1, width * high // wide)
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def resized(images: NDArray[Any], wanted: tuple[int, int]) -> NDArray[Any]:
    """Return images (n, height, width, channels) of another height and width, bilinear, smoothed where they shrink.

    Bytes stay bytes; other values become float32.
    """
    from PIL import Image

    size = (images.shape[1], images.shape[2])
    box = middle(size, wanted)
    kind = np.uint8 if images.dtype == np.uint8 else np.float32
    out = np.empty((len(images), *wanted, images.shape[3]), kind)

    def one(place: int) -> None:
        for channel in range(images.shape[3]):
            plane = Image.fromarray(np.ascontiguousarray(images[place, :, :, channel], kind))
            out[place, :, :, channel] = np.asarray(
                plane.resize(wanted[::-1], Image.Resampling.BILINEAR, box=box)
            )

    share(one, range(len(images)))
    return out
