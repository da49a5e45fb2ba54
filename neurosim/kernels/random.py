"""Counter-based random numbers: Philox4x32-7 words, uniforms and normals, identical on every backend.

A draw is a pure function of (key, event, cell, draw): no generator state, so neither threads nor chunks nor
the order of calls can change a bit. Philox is from Salmon et al., SC'11 (7 rounds pass BigCrush).
Normals come from the integer bits by a tabulated cubic of the inverse normal distribution, eight pieces to
each octave of probability: only a conversion, multiplications and additions, which round alike everywhere.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.kernels.jit import inlined, jit

ROUNDS = 7
_OCTAVES = 33
_PIECES = 8

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_EIGHT = np.uint64(8)
_ODD = np.uint32(1)
_PLACES, _PLACE, _BELOW = np.int32(20), np.int32(0xFFFFF), np.int32(1016)
_TWO, _FULL = np.float32(2.0), np.float32(1.0)
_MIRROR = np.array([-1.0, 1.0], np.float32)


def inverse_normal_table() -> NDArray[np.float32]:
    """Cubic coefficients of the inverse normal, shape (pieces, 4) float32, lowest power first.

    Piece ``8 * e + s`` covers probabilities ``2**(e - 33) * [1 + s/8, 1 + (s + 1)/8)``; the argument of the
    cubic runs from 0 to 1 inside it. Chebyshev interpolation of ``statistics.NormalDist().inv_cdf``.
    """
    nodes = (1 - np.cos((2 * np.arange(4) + 1) * np.pi / 8)) / 2
    vandermonde = np.vander(nodes, 4, increasing=True)
    inverse = NormalDist().inv_cdf
    table = np.zeros((_OCTAVES * _PIECES, 4), np.float32)
    for octave in range(_OCTAVES):
        for piece in range(_PIECES):
            probability = 2.0 ** (octave - _OCTAVES) * (1 + (piece + nodes) / _PIECES)
            values = [inverse(min(p, 0.5)) for p in probability]
            table[octave * _PIECES + piece] = np.linalg.solve(vandermonde, values)
    table[-_PIECES:] = 0.0
    return table


NORMAL_TABLE = inverse_normal_table()


@inlined
def philox(cell: Any, event: Any, draw: Any, key: Any) -> Any:
    """Four 32-bit words (as uint64) of Philox4x32-7 for one (key, event, cell, draw).

    Between the rounds the upper halves are left as they come: only products would mind, and they mask their factors.
    """
    c0 = np.uint64(cell)
    c1 = np.uint64(event) & _LOW
    c2 = np.uint64(draw)
    c3 = np.uint64(event) >> _SHIFT
    k0 = key[0]
    k1 = key[1]
    for _ in range(ROUNDS):
        p0 = _M0 * (c0 & _LOW)
        p1 = _M1 * (c2 & _LOW)
        c0 = (p1 >> _SHIFT) ^ c1 ^ k0
        c2 = (p0 >> _SHIFT) ^ c3 ^ k1
        c1 = p1
        c3 = p0
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0 & _LOW, c1 & _LOW, c2 & _LOW, c3 & _LOW


@inlined
def uniform(word: Any) -> Any:
    """Uniform float32 in [0, 1) from the high 24 bits of a word."""
    return np.float32(word >> _EIGHT) * np.float32(5.9604645e-08)


@jit
def fill_two_uniforms(one: Any, other: Any, first: int, event: int, key: Any) -> None:
    """Fill two flat float32 arrays with the first two uniforms of each cell from `first` on, several cells at a time."""
    words = (key[0], key[1])
    for k in range(one.size):
        a, b, _, _ = philox(np.uint64(first) + np.uint64(k), event, 0, words)
        one[k] = uniform(a)
        other[k] = uniform(b)


@jit
def fill_words(out: Any, cells: Any, event: int, draw: int, key: Any) -> None:
    """Fill a flat uint32 array with the first word of each of `cells`, several cells at a time."""
    words = (key[0], key[1])
    for k in range(out.size):
        out[k] = np.uint32(philox(cells[k], event, draw, words)[0])


@inlined
def _place(word: Any) -> Any:
    """The piece of the table that a word falls into, and the place in it from 0 to 1."""
    scaled = np.float32(np.uint32(word) | _ODD)
    bits = scaled.view(np.int32)
    return np.uint32((bits >> _PLACES) - _BELOW), np.float32(bits & _PLACE) * np.float32(9.5367431640625e-07)


@inlined
def _quantile(piece: Any, t: Any) -> Any:
    """The normal there, for words that end in a one: of others it is mirrored.

    By a factor: a branch on the last bit of a word would be taken at random.
    """
    c = NORMAL_TABLE
    return ((c[piece, 3] * t + c[piece, 2]) * t + c[piece, 1]) * t + c[piece, 0]


@inlined
def normal(word: Any) -> Any:
    """Standard normal float32 from all 32 bits of a word; the largest magnitude is about 6.3."""
    piece, t = _place(word)
    return _quantile(piece, t) * _MIRROR[np.uint32(word) & _ODD]


@inlined
def fill_normals(size: int, words: Any, out: Any) -> None:
    """Put the normals of the first `size` of some words (flat uint32) into a flat float32 array, several at a time.

    In two passes: one that computes only, and one that looks up. The words are used up.
    """
    for k in range(size):
        word = words[k]
        piece, t = _place(word)
        words[k] = (piece << _ODD) | (word & _ODD)
        out[k] = t
    for k in range(size):
        packed = words[k]
        out[k] = _quantile(packed >> _ODD, out[k]) * (np.float32(np.int32(packed & _ODD)) * _TWO - _FULL)


@jit
def fill_uniform(out: Any, event: int, key: Any) -> None:
    """Fill a flat float32 array with uniforms, one per cell."""
    for cell in range(out.size):
        out[cell] = uniform(philox(cell, event, 0, key)[0])


@jit
def fill_normal(out: Any, event: int, key: Any) -> None:
    """Fill a flat float32 array with standard normals, one per cell."""
    for cell in range(out.size):
        out[cell] = normal(philox(cell, event, 0, key)[0])


@jit
def normals_of(words: Any, out: Any) -> None:
    """Fill a flat float32 array with the normals of given words."""
    for k in range(out.size):
        out[k] = normal(words[k])
