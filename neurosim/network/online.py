"""One update a sample at the speed of a mini-batch: exact where the array computes exactly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from neurosim.core.protocols import Array, Floats
from neurosim.kernels.products import add_product, single_threaded_blas, small_product
from neurosim.network.arrays import library
from neurosim.network.dense import Dense
from neurosim.network.local_fields import LocalFields

BLOCK = 240
"""Samples between two changes of the stored weights."""
PANEL = 32
"""Samples after which the currents of all later ones of the block take in what these have changed, by one product."""
SMALLEST = 0.5
"""What may be left of a column within a block: a sample that takes more ends it, and is applied by itself."""


def learn_each(layer: Dense, x: Floats, phase: Floats | None = None) -> Floats:
    """Let a layer learn from samples (n, rows) one after the other, an update each; return their currents (n, cols).

    In ideal arithmetic that stores no changes, samples are read in blocks from the weights at the block's start, and what
    those before have changed is added to their currents: with ``dw = x_m post_m - D_m w`` after sample m and
    P_k = prod_(m < k) (1 - D_m),

    ``u_k = P_k (x_k w + sum_(m < k) (x_k x_m) post_m / P_(m+1))``,

    which is what reading after every update would give, but for rounding: two matrix products a block instead of two
    passes over the weights a sample. With local receptive fields x_k x_m is that of each location. Other arrays, and
    those of torch, are read and changed sample by sample.

    Parameters
    ----------
    layer : Dense
    x : (n, rows) array
    phase : (n,) array, optional
        As `Dense.learn` takes it.
    """
    array, x = layer.array, layer._inputs(x)
    stores = getattr(array, "momentum", None) or getattr(array, "baseline", None)
    exact = array.ideal and not (layer.rule.ideal_only or stores)
    if not exact or not isinstance(x, np.ndarray):
        each = [
            layer.learn(x[..., k : k + 1, :], None if phase is None else phase[k : k + 1])
            for k in range(x.shape[-2])
        ]
        found: Floats = library(each[0]).concatenate(each, -2)
        return found
    factor = layer._phase(phase, len(x))
    out = np.empty((len(x), array.shape[1]), x.dtype)
    first = 0
    while first < len(x):
        some = slice(first, first + BLOCK)
        first += _learn_block(layer, x[some], None if factor is None else factor[some], out[some])
    return out


def _parts(array: Array) -> Iterable[tuple[Any, slice]]:
    """Rows and columns of each array of a layer."""
    if isinstance(array, LocalFields):
        return zip(array.rows, array.cols, strict=True)
    return [(slice(None), slice(None))]


def _learn_block(layer: Dense, x: Floats, phase: Floats | None, out: Floats) -> int:
    """Learn from the first samples of a block, fill their currents, return how many they were."""
    array = layer.array
    u = array.forward(x)
    parts = list(_parts(array))
    seen = [np.ascontiguousarray(x[:, rows]) for rows, _ in parts]
    overlaps = [small_product(some, np.ascontiguousarray(some.T)) for some in seen]
    changed = np.zeros_like(u)
    left: Floats = np.ones(u.shape[1], u.dtype)
    done, apart = 0, None
    with single_threaded_blas():
        while done < len(x):
            if layer.steps % layer.norm_every == 0 and getattr(layer.rule, "needs_norms", True):
                if done:
                    break
                layer.rule.observe_norms(array.column_norms(), layer.state)
            one, start = slice(done, done + 1), done - done % PANEL
            for overlap, (_, cols) in zip(overlaps, parts, strict=True):
                if done and done == start:
                    panel = slice(done - PANEL, done)
                    add_product(overlap[panel, done:], changed[panel, cols], u[done:, cols])
                recent = overlap[one, start:done] @ changed[start:done, cols]
                out[one, cols] = left[cols] * (u[one, cols] + recent)
            out[one] = layer.passed(out[one])
            sample = x[one]
            change = layer._change(sample, out[one].copy(), None if phase is None else phase[one])
            layer.steps += 1
            after = left if change.decay is None else left * (1 - change.decay)
            other = len(change.post) and change.pre is not sample and not np.array_equal(change.pre, sample)
            if after.min() < SMALLEST or other:
                apart = change
                break
            if len(change.post):
                changed[done] = change.post[0] / after
            left, done = after, done + 1
    array.update(x[:done], changed[:done] * left, 1 - left, layer.mode)
    if apart is None:
        return done
    array.update(apart.pre, apart.post, apart.decay, layer.mode)
    return done + 1
