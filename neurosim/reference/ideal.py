"""Ideal arithmetic: the same layer with no device anywhere, to compare every crossbar with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neurosim.core.checks import matrix, vector
from neurosim.core.errors import CheckpointError, InputError
from neurosim.core.protocols import Floats, LocalUpdate, Precision, State, UpdateMode
from neurosim.kernels.change import add_share, forget, forget_and_add, largest
from neurosim.kernels.jit import share
from neurosim.kernels.products import (
    add_product,
    matmul,
    product_of_updates,
    single_threaded_blas,
    updated_rows,
)


class IdealArray:
    """Weights in floating point that take the same local updates as a `Crossbar`.

    Parameters
    ----------
    shape : (int, int)
        Inputs and outputs.
    precision : {"float32", "float64"}
        Of weights and products; their bits do not depend on threads.
    momentum : float, optional
        Filter changes, but not decay, as `WritePath.momentum` does: one more array of the size of the weights.

    Raises
    ------
    InputError
        If `momentum` does not lie between 0 and 1.
    """

    ideal = True
    gains_hold_norms = False

    def __init__(
        self, shape: tuple[int, int], precision: Precision = "float32", momentum: float | None = None
    ):
        if momentum is not None and not 0 < momentum < 1:
            raise InputError(f"momentum = {momentum}: must lie between 0 and 1; None for no filter")
        self.shape = (int(shape[0]), int(shape[1]))
        self.precision, self.momentum = precision, momentum
        self._velocity: Floats = np.zeros(self.shape if momentum else (0, 0), precision)
        self._weights: Floats = np.zeros(self.shape, precision)
        self._reads = 0

    def program(self, weights: ArrayLike) -> None:
        """Set the weights (rows, cols)."""
        self._weights[...] = matrix("weights", weights, *self.shape, self.precision)

    def forward(self, x: ArrayLike) -> Floats:
        """Return x (batch, rows) @ weights."""
        x = matrix("x", x, None, self.shape[0], self.precision)
        product = matmul(x, self._weights, self._reads)
        self._reads += x.shape[0]
        return product

    def update(
        self,
        pre: ArrayLike,
        post: ArrayLike,
        decay: ArrayLike | None = None,
        mode: UpdateMode = "accumulate",
    ) -> int:
        """Apply ``w += pre' post - decay w`` exactly, whatever the mode; gives no pulses."""
        pre = matrix("pre", pre, None, self.shape[0], self.precision)
        post = matrix("post", post, pre.shape[0], self.shape[1], self.precision)
        lost: Floats = np.empty(0, self.precision)
        if decay is not None:
            lost = vector("decay", decay, self.shape[1], self.precision)
        keep = 1 - lost

        def learn(block: tuple[int, int]) -> None:
            some = slice(*block)
            weights = self._weights[some]
            if self.momentum:
                filtered = self._velocity[some]
                filtered *= self.momentum
                add_product(pre[:, some], post, filtered, 1 - self.momentum)
                forget_and_add(lost, filtered, weights)
                return
            if keep.size:
                weights *= keep
            add_product(pre[:, some], post, weights)

        with single_threaded_blas():
            share(learn, updated_rows(self.shape[0]))
        return 0

    def forward_lebesgue(self, x: ArrayLike, p: float) -> Floats:
        """Return ``x @ (sign(w) |w|**(p - 1))`` (batch, cols), which no array of devices reads."""
        x = matrix("x", x, None, self.shape[0], self.precision)
        return matmul(x, np.sign(self._weights) * np.abs(self._weights) ** (p - 1))

    def apply(self, change: LocalUpdate) -> None:
        """Apply a change of a rule that needs more than a wire carries.

        Its decay may be a matrix (cols, cols), ``w += pre' post - w decay``. If it has a rate, the part before the
        rate is divided by its largest magnitude over the layer.
        """
        wanted = self._change(change.pre, change.post, change.decay)
        blocks, divisor = updated_rows(self.shape[0]), self._weights.dtype.type(1)
        if change.rate is not None:
            rate = vector("rate", change.rate, self.shape[1], self.precision)
            divisor = max(share(lambda rows: largest(wanted[slice(*rows)], rate), blocks)) + divisor * 1e-30
        share(lambda rows: add_share(wanted[slice(*rows)], divisor, self._weights[slice(*rows)]), blocks)

    def _change(self, pre: ArrayLike, post: ArrayLike, decay: ArrayLike | None) -> Floats:
        pre = matrix("pre", pre, None, self.shape[0], self.precision)
        post = matrix("post", post, pre.shape[0], self.shape[1], self.precision)
        change = product_of_updates(pre, post)
        if decay is None:
            return change
        if np.ndim(decay) == 2:
            between = matrix("decay", decay, self.shape[1], self.shape[1], self.precision)
            change -= matmul(self._weights, between)
        else:
            each = vector("decay", decay, self.shape[1], self.precision)
            share(
                lambda rows: forget(change[slice(*rows)], each, self._weights[slice(*rows)]),
                updated_rows(self.shape[0]),
            )
        return change

    def column_norms(self) -> Floats:
        """Return the exact norm of each column."""
        squares = share(
            lambda rows: np.einsum("ij,ij->j", self._weights[slice(*rows)], self._weights[slice(*rows)]),
            updated_rows(self.shape[0]),
        )
        norms: Floats = np.sqrt(np.sum(squares, axis=0, dtype=np.float64)).astype(self.precision)
        return norms

    def scale_columns(self, factors: ArrayLike) -> None:
        """Multiply the weights of each column by a factor."""
        self._weights *= vector("factors", factors, self.shape[1], self.precision)

    def advance(self, seconds: float) -> None:
        """Nothing ages."""

    def weights(self) -> Floats:
        """Return a copy of the weights, for inspection and plots."""
        return self._weights.copy()

    def snapshot(self) -> State:
        """Return a copy of the weights, the number of reads and what is filtered as named arrays."""
        filtered = {"velocity": self._velocity.copy()} if self.momentum else {}
        return {"weights": self._weights.copy(), "reads": np.array([self._reads], np.int64), **filtered}

    def restore(self, snapshot: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        found = snapshot.get("weights")
        if found is None or found.shape != self.shape or "reads" not in snapshot:
            raise CheckpointError("checkpoint does not fit this array: weights")
        if self.momentum:
            velocity = snapshot.get("velocity")
            if velocity is None or velocity.shape != self.shape:
                raise CheckpointError("checkpoint does not fit this array: velocity")
            self._velocity[...] = velocity
        self._weights[...] = found
        self._reads = int(snapshot["reads"][0])
