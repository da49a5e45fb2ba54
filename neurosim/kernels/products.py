"""Matrix products whose bits do not depend on threads or chunks, and the one that adds to its result in place."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numba.extending import get_cython_function_address
from threadpoolctl import ThreadpoolController

from neurosim.core.protocols import Floats
from neurosim.kernels.jit import Scalar, scratch, share

PERIOD = 12
"""A sample's bits depend on its place in the block modulo this, on some processors (OpenBLAS, AVX2)."""
SAMPLES = 240
"""Samples of one block, a multiple of the period; padded with zeros before and behind."""
TALL = SAMPLES + PERIOD
"""Height of every block against few cells; against many, its bits do not depend on its height."""
LARGE = 1 << 17
COLUMNS = 1024
"""Columns of one block."""
UPDATED_COLUMNS = 1024
"""Columns of one block of a product of updates, at most: BLAS packs the other factor anew for each."""
FEW = UPDATED_COLUMNS // 4
"""So many columns are one block."""


@cache
def _controller() -> ThreadpoolController:
    _gemm("float32")  # its library must be loaded before all are looked for
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


def matmul(a: Floats, b: Floats, first: int = 0, gains: Floats | None = None) -> Floats:
    """Return a (n, rows) @ b (rows, cols), identical for any number of threads and any split of n.

    `first` is the number of a's first row among all rows, where a is one part of a split; `gains` (cols,) multiply
    the columns of the result.
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
        if gains is None:
            out[top:bottom, left:right] = product[inside]
        else:
            np.multiply(product[inside], gains[left:right], out=out[top:bottom, left:right])

    with single_threaded_blas():
        share(multiply, work)
    return out


def updated_columns(cols: int) -> list[tuple[int, int]]:
    """Blocks of columns that threads share where ideal arithmetic changes weights: an even number, so that two end together."""
    return [(0, cols)] if cols <= FEW else blocks(cols, -(-cols // (2 * -(-cols // (2 * UPDATED_COLUMNS)))))


def product_of_updates(post: Floats, pre: Floats) -> Floats:
    """Return post' pre (cols, rows) for post (n, cols) and pre (n, rows), identical for any number of threads."""
    out = np.empty((post.shape[1], pre.shape[1]), pre.dtype)

    def multiply(block: tuple[int, int]) -> None:
        first, last = block
        np.matmul(post[:, first:last].T, pre, out=out[first:last])

    with single_threaded_blas():
        share(multiply, updated_columns(post.shape[1]))
    return out


def small_product(a: Floats, b: Floats) -> Floats:
    """Return a @ b on one BLAS thread: the same bits for any number of threads, not for any split."""
    with single_threaded_blas():
        product: Floats = a @ b
    return product


_NUMBER, _PLACE = ctypes.POINTER(ctypes.c_int), ctypes.c_void_p
_GEMM = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_char_p, _NUMBER, _NUMBER, _NUMBER, _PLACE, _PLACE, _NUMBER, _PLACE, _NUMBER,
    _PLACE, _PLACE, _NUMBER,
)  # fmt: skip


@cache
def _gemm(dtype: str) -> Any:
    """Product of BLAS itself: scipy's own wrapper of it keeps Python's lock, so that no two threads multiply at once."""
    name = {"float32": "sgemm", "float64": "dgemm"}[dtype]
    return _GEMM(get_cython_function_address("scipy.linalg.cython_blas", name))


def add_product(a: Floats, b: Floats, out: Floats, gain: Scalar = 1.0) -> None:
    """Add ``gain a' b`` to `out` (rows, cols) in place, in one pass over it, on this thread.

    For a (n, rows), b (n, cols), each with its last axis contiguous; BLAS takes the transposed problem, whose columns
    are our rows. Call inside `single_threaded_blas`. What is to be left of `out`, take before: BLAS would do it as
    well, in a slower pass.
    """
    size, kind = out.itemsize, out.dtype
    samples, rows, cols = a.shape[0], a.shape[1], b.shape[1]
    numbers = [ctypes.c_int(value) for value in (cols, rows, samples)]
    steps = [ctypes.c_int(max(1, each.shape[1], each.strides[0] // size)) for each in (b, a, out)]
    factors = np.array([gain, 1], kind)
    _gemm(kind.name)(
        b"N", b"T", *numbers, factors[:1].ctypes.data, b.ctypes.data, steps[0], a.ctypes.data, steps[1],
        factors[1:].ctypes.data, out.ctypes.data, steps[2],
    )  # fmt: skip
