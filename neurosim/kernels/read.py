"""The converters and the noise of a read, and matrix products whose bits do not depend on threads or chunks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from neurosim.core.protocols import Floats
from neurosim.kernels.jit import Scalar, jit, scratch, share
from neurosim.kernels.random import normal, philox

PERIOD = 12
"""A sample's bits depend on its place in the block modulo this, on some processors (OpenBLAS, AVX2)."""
SAMPLES = 240
"""Samples of one block, a multiple of the period; padded with zeros before and behind."""
TALL = SAMPLES + PERIOD
"""Height of every block against few cells; against many, its bits do not depend on its height."""
LARGE = 1 << 17
COLUMNS = 1024
"""Columns of one block."""
UPDATED_ROWS = 432
"""Rows of one block of a product of updates."""

_ZERO = np.float32(0.0)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS to one thread, so that the blocks shared among our threads fix the order of every sum."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


def blocks(count: int, size: int) -> list[tuple[int, int]]:
    """Split range(count) into blocks (first, last) of at most `size`."""
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def even_blocks(count: int, most: int) -> list[tuple[int, int]]:
    """Split range(count) into the fewest blocks of at most `most`, as even as can be."""
    return blocks(count, -(-count // max(1, -(-count // most))))


def placed(samples: Floats, first: int, cells: int) -> tuple[Floats, slice]:
    """Place samples (n, rows) in a block of zeros as their count since the first read demands.

    Parameters
    ----------
    samples : (n, rows) array
        At most `SAMPLES` of them.
    first : int
        Number of the first sample among all reads; it decides the place, so that chunking does not.
    cells : int
        Size of the block of cells that they will be multiplied by.

    Returns
    -------
    block : (height, rows) array
    inside : slice
        Where the samples lie in it.
    """
    lead = first % PERIOD
    inside = slice(lead, lead + samples.shape[0])
    height = -(-inside.stop // PERIOD) * PERIOD if cells >= LARGE else TALL
    if height == samples.shape[0]:
        return samples, inside
    block = np.zeros((height, samples.shape[1]), samples.dtype)
    block[inside] = samples
    return block, inside


def matmul(a: Floats, b: Floats, first: int = 0) -> Floats:
    """Return a (n, rows) @ b (rows, cols), identical for any number of threads and any split of n.

    `first` is the number of a's first row among all rows, where a is one part of a split.
    """
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    columns = even_blocks(b.shape[1], COLUMNS)
    work = [(rows, cols) for rows in blocks(a.shape[0], SAMPLES) for cols in columns]
    cells = a.shape[1] * min(right - left for left, right in columns)

    def multiply(block: tuple[tuple[int, int], tuple[int, int]]) -> None:
        (top, bottom), (left, right) = block
        tall, inside = placed(a[top:bottom], first + top, cells)
        product = scratch("product", len(tall), right - left, a.dtype)
        np.matmul(tall, b[:, left:right], out=product)
        out[top:bottom, left:right] = product[inside]

    with single_threaded_blas():
        share(multiply, work)
    return out


def updated_rows(rows: int) -> list[tuple[int, int]]:
    """Blocks of rows that threads share where ideal arithmetic changes weights."""
    return even_blocks(rows, UPDATED_ROWS)


def product_of_updates(pre: Floats, post: Floats) -> Floats:
    """Return pre' post (rows, cols) for pre (n, rows) and post (n, cols), identical for any number of threads."""
    out = np.empty((pre.shape[1], post.shape[1]), pre.dtype)

    def multiply(block: tuple[int, int]) -> None:
        first, last = block
        np.matmul(pre[:, first:last].T, post, out=out[first:last])

    with single_threaded_blas():
        share(multiply, updated_rows(pre.shape[1]))
    return out


def small_product(a: Floats, b: Floats) -> Floats:
    """Return a @ b on one BLAS thread: the same bits for any number of threads, not for any split."""
    with single_threaded_blas():
        product: Floats = a @ b
    return product


@jit
def quantise_inputs(x: Any, scale: Any, levels: Scalar, fixed_range: Scalar, out: Any) -> int:
    """Scale each input vector to [-1, 1], clip and round it to DAC codes; returns how many were clipped.

    `scale` (n,) receives the full scale of each vector: its largest magnitude, or `fixed_range` if that is
    positive. `levels` is the number of positive codes, 0 for a perfect DAC.
    """
    clipped = 0
    one = np.float32(1.0)
    for n in range(x.shape[0]):
        full = fixed_range
        if fixed_range <= _ZERO:
            full = _ZERO
            for i in range(x.shape[1]):
                full = max(full, abs(x[n, i]))
            if full == _ZERO:
                full = one
        scale[n] = full
        for i in range(x.shape[1]):
            v = x[n, i] / full
            if abs(v) > one:
                clipped += 1
                v = min(max(v, -one), one)
            if levels > _ZERO:
                v = np.rint(v * levels) / levels
            out[n, i] = v
    return clipped


@jit
def bits_of_inputs(volts: Any, levels: Scalar, place: int, out: Any) -> None:
    """Fill `out` with one binary place of the codes behind `volts` (n, rows): -1, 0 or 1."""
    for n in range(volts.shape[0]):
        for i in range(volts.shape[1]):
            code = np.int32(np.rint(volts[n, i] * levels))
            bit = (abs(code) >> place) & 1
            out[n, i] = bit if code > 0 else -bit


@jit
def add_noise(current: Any, variance: Any, first_read: int, number: Any, lane: int, key: Any) -> None:
    """Add to currents (n, cols), in uS of normalised input, one normal each of the given variance.

    Drawn by the number of the read, of the converter (`number`, (cols,)), and of the conversion among those of one
    read (`lane`).
    """
    for n in range(current.shape[0]):
        for j in range(current.shape[1]):
            z = normal(philox(number[j], first_read + n, lane, key)[0])
            current[n, j] += np.sqrt(max(variance[n, j], _ZERO)) * z


@jit
def distort(
    current: Any, settled: Scalar, saturation_uS: Scalar, leak_uS: Any, gain: Any, shift_uS: Any
) -> int:
    """Let currents settle and leak, saturate the integrator (0: never), then apply gain and offset, in place.

    Returns how many integrators saturated.
    """
    saturated = 0
    for n in range(current.shape[0]):
        for j in range(current.shape[1]):
            v = (current[n, j] + leak_uS[j]) * settled
            if saturation_uS > _ZERO and abs(v) > saturation_uS:
                saturated += 1
                v = min(max(v, -saturation_uS), saturation_uS)
            current[n, j] = v + gain[j] * v + shift_uS[j]
    return saturated


@jit
def convert(
    current: Any,
    lsb_uS: Any,
    codes: Scalar,
    scale: Any,
    weight_per_uS: Any,
    first_col: int,
    fresh: bool,
    out: Any,
) -> int:
    """Convert currents (n, cols) to codes and add them, in weight units, to columns of `out` (n, all cols).

    `lsb_uS` (cols,) is each column's step; `codes` 0 is a perfect ADC. `scale` (n,) brings the input's range
    back, `weight_per_uS` (all cols,) is the digital scale. `fresh` overwrites `out`. Returns the number of
    conversions clipped at +-codes.
    """
    clipped = 0
    for n in range(current.shape[0]):
        for j in range(current.shape[1]):
            value = current[n, j]
            if codes > _ZERO:
                code = np.rint(value / lsb_uS[j])
                clipped += abs(code) > codes
                value = min(max(code, -codes), codes) * lsb_uS[j]
            value *= scale[n] * weight_per_uS[first_col + j]
            out[n, first_col + j] = value if fresh else out[n, first_col + j] + value
    return clipped
