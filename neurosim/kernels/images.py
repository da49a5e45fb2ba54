"""What a convolution does around its array: patches for the word lines, then activation and pooling.

Images are (n, height, width, channels), so that a patch is a few contiguous runs, and what an array answers to all
patches is the next image without moving anything. Image by image is the unit of work that threads share.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import Scalar, inlined, jit

_ZERO = np.float32(0.0)
_LOWEST = np.float32(-np.inf)


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
    cols = currents.shape[1]
    for n in range(currents.shape[0]):
        total = _ZERO
        for j in range(cols):
            total += currents[n, j]
        mean = total / np.float32(cols)
        for j in range(cols):
            currents[n, j] = max(currents[n, j] - mean, _ZERO)


@jit
def rectify(currents: Any) -> None:
    """Make currents (n, cols) relu(u), in place."""
    for n in range(currents.shape[0]):
        for j in range(currents.shape[1]):
            currents[n, j] = max(currents[n, j], _ZERO)


@jit
def soften(currents: Any, gain: Scalar) -> None:
    """Make currents (n, cols) the softmax of gain times their row, in place."""
    cols = currents.shape[1]
    for n in range(currents.shape[0]):
        largest = currents[n, 0]
        for j in range(1, cols):
            largest = max(largest, currents[n, j])
        total = _ZERO
        for j in range(cols):
            currents[n, j] = np.exp(gain * (currents[n, j] - largest))
            total += currents[n, j]
        for j in range(cols):
            currents[n, j] /= total


@jit
def saturate(currents: Any) -> None:
    """Make currents (n, cols) tanh(u), in place."""
    for n in range(currents.shape[0]):
        for j in range(currents.shape[1]):
            currents[n, j] = np.tanh(currents[n, j])


@jit
def pool_max(image: Any, kernel: int, stride: int, pad: int, out: Any) -> None:
    """Fill `out` (height, width, channels) with the largest of each window of an image; padding never is."""
    height, width, channels = image.shape
    for row in range(out.shape[0]):
        for col in range(out.shape[1]):
            pooled = out[row, col]
            for c in range(channels):
                pooled[c] = _LOWEST
            for y in range(max(row * stride - pad, 0), min(row * stride - pad + kernel, height)):
                for x in range(max(col * stride - pad, 0), min(col * stride - pad + kernel, width)):
                    for c in range(channels):
                        pooled[c] = max(pooled[c], image[y, x, c])


@jit
def pool_mean(image: Any, kernel: int, stride: int, pad: int, power: Scalar, out: Any) -> None:
    """Fill `out` with the mean of each window of an image raised to `power`; padding counts as zeros."""
    height, width, channels = image.shape
    share = np.float32(1.0) / np.float32(kernel * kernel)
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
