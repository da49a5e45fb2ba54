"""What a convolution does around its array: patches for the word lines, then activation and pooling.

Images are (n, height, width, channels), so that a patch is a few contiguous runs, and what an array answers to all
patches is the next image without moving anything. Image by image is the unit of work that threads share.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import Scalar, inlined, jit
from neurosim.kernels.rows import total

_ZERO = np.float32(0.0)


@inlined
def reflected(place: int, size: int) -> int:
    """Place within [0, size) of one beyond its ends, mirrored at the outermost pixels."""
    if place < 0:
        place = -place
    if place >= size:
        place = 2 * (size - 1) - place
    return place


@jit
def take_patches(image: Any, kernel: int, pad: int, first: int, last: int, out: Any) -> None:
    """Fill `out` with the patches of one image (height, width, channels) at output rows [first, last).

    The image is padded by reflection; `out` is ((last - first) * out_width, kernel * kernel * channels), patches in
    the order (row, column, channel).
    """
    height, width, channels = image.shape
    across = width + 2 * pad - kernel + 1
    for row in range(first, last):
        for col in range(across):
            patch = out[(row - first) * across + col]
            at = 0
            for i in range(kernel):
                y = reflected(row + i - pad, height)
                for j in range(kernel):
                    x = reflected(col + j - pad, width)
                    for c in range(channels):
                        patch[at + c] = image[y, x, c]
                    at += channels


@jit
def subtract_mean(currents: Any) -> None:
    """Make currents (n, cols) relu(u - mean of their row), in place: Triangle (Coates et al. 2011) of power one."""
    share = currents.dtype.type(1) / currents.dtype.type(currents.shape[1])
    for row in currents:
        mean = total(row) * share
        for j in range(row.size):
            row[j] = max(row[j] - mean, _ZERO)


@jit
def rectify(currents: Any) -> None:
    """Make currents (n, cols) relu(u), in place."""
    for n in range(currents.shape[0]):
        for j in range(currents.shape[1]):
            currents[n, j] = max(currents[n, j], _ZERO)


@jit
def soften(currents: Any, gain: Scalar, exp: Any) -> None:
    """Make currents (n, cols) the softmax of gain times their row, in place; `exp` is the exponential of the precision."""
    for row in currents:
        largest = row[0]
        for j in range(row.size):
            largest = max(largest, row[j])
        for j in range(row.size):
            row[j] = exp(gain * (row[j] - largest))
        scale = np.float32(1.0) / total(row)
        for j in range(row.size):
            row[j] *= scale


@jit
def saturate(currents: Any) -> None:
    """Make currents (n, cols) tanh(u), in place."""
    for n in range(currents.shape[0]):
        for j in range(currents.shape[1]):
            currents[n, j] = np.tanh(currents[n, j])


@jit
def pool_max(image: Any, kernel: int, stride: int, pad: int, out: Any) -> None:
    """Fill `out` (height, width, channels) with the largest of each window of an image; padding never is.

    The largest of the columns of a window first, then the largest of these, which windows side by side share.
    """
    height, width, channels = image.shape
    line = np.empty((width, channels), image.dtype)
    for row in range(out.shape[0]):
        top, bottom = max(row * stride - pad, 0), min(row * stride - pad + kernel, height)
        for x in range(width):
            for c in range(channels):
                line[x, c] = image[top, x, c]
            for y in range(top + 1, bottom):
                for c in range(channels):
                    line[x, c] = max(line[x, c], image[y, x, c])
        for col in range(out.shape[1]):
            left, right = max(col * stride - pad, 0), min(col * stride - pad + kernel, width)
            for c in range(channels):
                out[row, col, c] = line[left, c]
            for x in range(left + 1, right):
                for c in range(channels):
                    out[row, col, c] = max(out[row, col, c], line[x, c])


@jit
def pool_mean(image: Any, kernel: int, stride: int, pad: int, power: Scalar, out: Any) -> None:
    """Fill `out` with the mean of each window of an image raised to `power`; padding counts as zeros."""
    height, width, channels = image.shape
    share = image.dtype.type(1) / image.dtype.type(kernel * kernel)
    for row in range(out.shape[0]):
        for col in range(out.shape[1]):
            pooled = out[row, col]
            for c in range(channels):
                pooled[c] = _ZERO
            for y in range(max(row * stride - pad, 0), min(row * stride - pad + kernel, height)):
                for x in range(max(col * stride - pad, 0), min(col * stride - pad + kernel, width)):
                    if power == np.float32(1.0):
                        for c in range(channels):
                            pooled[c] += image[y, x, c]
                    else:
                        for c in range(channels):
                            pooled[c] += image[y, x, c] ** power
            for c in range(channels):
                pooled[c] *= share


@jit
def channel_sums(image: Any, sums: Any, squares: Any) -> None:
    """Add up an image's channels and their squares, in double precision."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            for c in range(image.shape[2]):
                value = np.float64(image[y, x, c])
                sums[c] += value
                squares[c] += value * value


@jit
def normalise(image: Any, offset: Any, gain: Any, out: Any) -> None:
    """Fill `out` with (image - offset) * gain, channel by channel."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            for c in range(image.shape[2]):
                out[y, x, c] = (image[y, x, c] - offset[c]) * gain[c]
