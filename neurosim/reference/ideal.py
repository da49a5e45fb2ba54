"""Ideal arithmetic: the same layer with no device anywhere, to compare every crossbar with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from neurosim.core.checks import matrix, vector
from neurosim.core.errors import CheckpointError, InputError
from neurosim.core.protocols import Floats, LocalUpdate, State, UpdateMode
from neurosim.kernels.read import matmul


class IdealArray:
    """Weights in floating point that take the same local updates as a `Crossbar`.

    Parameters
    ----------
    shape : (int, int)
        Inputs and outputs.
    dtype : float32 or float64
        Precision of weights and products; float32 products have bits that do not depend on threads.
    """

    ideal = True

    def __init__(self, shape: tuple[int, int], dtype: DTypeLike = np.float32):
        self.shape = (int(shape[0]), int(shape[1]))
        self._weights: NDArray[np.floating] = np.zeros(self.shape, dtype)
        self._reads = 0

    def _product(
        self, a: NDArray[np.floating], b: NDArray[np.floating], first: int = 0
    ) -> NDArray[np.floating]:
        if self._weights.dtype == np.float32:
            return matmul(np.ascontiguousarray(a, np.float32), np.ascontiguousarray(b, np.float32), first)
        return a.astype(np.float64) @ b.astype(np.float64)

    def program(self, weights: ArrayLike) -> None:
        """Set the weights (rows, cols)."""
        self._weights[...] = matrix("weights", weights, *self.shape)

    def forward(self, x: ArrayLike) -> Floats:
        """Return x (batch, rows) @ weights."""
        x = matrix("x", x, None, self.shape[0])
        product = self._product(x, self._weights, self._reads)
        self._reads += x.shape[0]
        return product.astype(self._weights.dtype, copy=False)

    def update(
        self,
        pre: ArrayLike,
        post: ArrayLike,
        decay: ArrayLike | None = None,
        mode: UpdateMode = "accumulate",
    ) -> int:
        """Apply ``w += pre' post - decay w`` exactly, whatever the mode; gives no pulses."""
        self._weights += self._change(pre, post, decay)
        return 0

    def update_normalised(self, change: LocalUpdate) -> None:
        """Apply a change whose part before the rate is divided by its largest magnitude over the layer."""
        wanted = self._change(change.pre, change.post, change.decay)
        if change.rate is None:
            raise InputError("rate: a change is normalised before its rate, which is missing")
        wanted /= np.abs(wanted / change.rate).max() + 1e-30
        self._weights += wanted

    def _change(self, pre: ArrayLike, post: ArrayLike, decay: ArrayLike | None) -> NDArray[np.floating]:
        pre = matrix("pre", pre, None, self.shape[0])
        post = matrix("post", post, pre.shape[0], self.shape[1])
        change = self._product(pre.T, post)
        if decay is not None:
            change -= vector("decay", decay, self.shape[1]) * self._weights
        return change

    def column_norms(self) -> Floats:
        """Return the exact norm of each column."""
        norms: Floats = np.linalg.norm(self._weights, axis=0).astype(np.float32)
        return norms

    def advance(self, seconds: float) -> None:
        """Nothing ages."""

    def weights(self) -> Floats:
        """Return a copy of the weights, for inspection and plots."""
        return self._weights.astype(np.float32)

    def snapshot(self) -> State:
        """Return a copy of the weights and the number of reads as named arrays."""
        return {"weights": self._weights.copy(), "reads": np.array([self._reads], np.int64)}

    def restore(self, snapshot: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        found = snapshot.get("weights")
        if found is None or found.shape != self.shape or "reads" not in snapshot:
            raise CheckpointError("checkpoint does not fit this array: weights")
        self._weights[...] = found
        self._reads = int(snapshot["reads"][0])
