"""Ideal arithmetic: the same layer with no device anywhere, to compare every crossbar with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.checks import extents, matrix, precision_of, share_or_none, vector
from neurosim.core.errors import CheckpointError
from neurosim.core.protocols import Floats, LocalUpdate, Precision, State, UpdateMode
from neurosim.kernels.change import add_scaled, forget, largest
from neurosim.kernels.jit import share
from neurosim.kernels.products import (
    add_product,
    matmul,
    product_of_updates,
    single_threaded_blas,
    updated_columns,
)
from neurosim.kernels.rows import squared_lengths
from neurosim.kernels.spikes import Lines

FAR_GAIN = 256.0
"""Gains that differ from one by this factor are brought back to one."""


class IdealArray:
    """Weights in floating point that take the same local updates as a `Crossbar`.

    Each column lies in one piece, and has a gain that takes its decay: forgetting then needs no pass over the weights.

    Parameters
    ----------
    shape : (int, int)
        Inputs and outputs.
    precision : {"float32", "float64"}
        Of weights and products; their bits do not depend on threads.
    momentum : float, optional
        Filter changes, but not decay, as `WritePath.momentum` does: one more array of the size of the weights.
    baseline : float, optional
        Store the average of negative phases and add it in positive ones, as `WritePath.baseline` does: another such array.

    Raises
    ------
    InputError
        If `shape` is not two whole numbers, `precision` neither of the two, or `momentum` or `baseline` does not lie between
        0 and 1.
    """

    ideal = True
    gains_hold_norms = False
    w_max: float | None = None

    def __init__(
        self,
        shape: tuple[int, int],
        precision: Precision = "float32",
        momentum: float | None = None,
        baseline: float | None = None,
    ):
        share_or_none("momentum", momentum, "no filter")
        share_or_none("baseline", baseline, "no stored average")
        self.shape = extents(shape)
        self.precision, self.momentum, self.baseline = precision_of(precision), momentum, baseline
        self.asleep = False
        """Whether the next update is that of a negative phase; said before it by who knows (`Dense`)."""
        self._columns: Floats = np.zeros(self.shape[::-1], precision)
        self._gains = np.ones(self.shape[1])
        self._stored: dict[str, Floats] = {
            name: np.zeros_like(self._columns)
            for name, wanted in (("velocity", momentum), ("baseline", baseline))
            if wanted
        }
        self._reads = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape[0]} x {self.shape[1]}, {self.precision})"

    def program(self, weights: ArrayLike, w_max: float | None = None) -> None:
        """Set the weights (rows, cols); they have no window."""
        self._columns.T[...] = matrix("weights", weights, *self.shape, self.precision)
        self._gains[...] = 1

    def forward(self, x: ArrayLike) -> Floats:
        """Return x (batch, rows) @ weights."""
        x = matrix("x", x, None, self.shape[0], self.precision)
        gains = self._gains.astype(self.precision) if self._faded else None
        product = matmul(x, self._columns.T, self._reads, gains)
        self._reads += x.shape[0]
        return product

    def spike_lines(self) -> Lines:
        """Return what a spike on each row gives each column, for spiking neurons; updates may change it in place."""
        return Lines(self._columns.T, self._columns[:0, :0], 1 / self._gains)

    def count_spikes(self, spikes: NDArray[np.int64], steps: int) -> None:
        """Ideal arithmetic has no ledger."""

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
        if decay is not None:
            self._gains *= 1 - vector("decay", decay, self.shape[1], "float64")
            size = np.abs(self._gains)
            if size.min() < 1 / FAR_GAIN or size.max() > FAR_GAIN:
                self._settle()
        scale = (1 / self._gains).astype(self.precision)
        faded, awake = self._faded, bool(self.baseline) and not self.asleep
        taken = np.full(self.shape[1], 1 - (self.momentum or 0), self.precision)

        def learn(block: tuple[int, int]) -> None:
            some = slice(*block)
            columns = self._columns[some]
            if self.momentum:
                filtered = self._stored["velocity"][some]
                filtered *= self.momentum
                add_product(post[:, some], pre, filtered, 1 - self.momentum)
                if awake:
                    add_scaled(self._stored["baseline"][some], taken[some], filtered)
                add_scaled(filtered, scale[some], columns)
            else:
                add_product(post[:, some] * scale[some] if faded else post[:, some], pre, columns)
                if awake:
                    add_scaled(self._stored["baseline"][some], scale[some], columns)
            if self.baseline and self.asleep:
                average = self._stored["baseline"][some]
                average *= self.baseline
                add_product(post[:, some], pre, average, 1 - self.baseline)

        with single_threaded_blas():
            share(learn, self._blocks)
        return 0

    def forward_lebesgue(self, x: ArrayLike, p: float) -> Floats:
        """Return ``x @ (sign(w) |w|**(p - 1))`` (batch, cols), which no array of devices reads."""
        x = matrix("x", x, None, self.shape[0], self.precision)
        weights = self.weights()
        return matmul(x, np.sign(weights) * np.abs(weights) ** (p - 1))

    def _settle(self) -> None:
        """Bring all gains to one; the weights stay what they are."""
        if self._faded:
            self._columns *= self._gains.astype(self.precision)[:, None]
            self._gains[...] = 1

    @property
    def _faded(self) -> bool:
        """Whether a column has lost or gained by decay since gains were one."""
        return bool((self._gains != 1).any())

    def apply(self, change: LocalUpdate) -> None:
        """Apply a change of a rule that needs more than a wire carries.

        Its decay may be a matrix (cols, cols), ``w += pre' post - w decay``. If it has a rate, the part before the
        rate is divided by its largest magnitude over the layer.
        """
        self._settle()
        wanted = self._change(change.pre, change.post, change.decay)
        divisor = self._columns.dtype.type(1)
        if change.rate is not None:
            rate = vector("rate", change.rate, self.shape[1], self.precision)
            found = share(lambda some: largest(wanted[slice(*some)], rate[slice(*some)]), self._blocks)
            divisor = max(found) + divisor * 1e-30
        scale = np.full(self.shape[1], 1 / divisor, self.precision)
        share(
            lambda some: add_scaled(wanted[slice(*some)], scale[slice(*some)], self._columns[slice(*some)]),
            self._blocks,
        )

    @property
    def _blocks(self) -> list[tuple[int, int]]:
        """Blocks of columns that threads share."""
        return updated_columns(self.shape[1])

    def _change(self, pre: ArrayLike, post: ArrayLike, decay: ArrayLike | None) -> Floats:
        """Return the change of each column (cols, rows)."""
        pre = matrix("pre", pre, None, self.shape[0], self.precision)
        post = matrix("post", post, pre.shape[0], self.shape[1], self.precision)
        change = product_of_updates(post, pre)
        if decay is None:
            return change
        if np.ndim(decay) == 2:
            between = matrix("decay", decay, self.shape[1], self.shape[1], self.precision)
            change -= matmul(np.ascontiguousarray(between.T), self._columns)
        else:
            each = vector("decay", decay, self.shape[1], self.precision)
            share(
                lambda some: forget(change[slice(*some)], each[slice(*some)], self._columns[slice(*some)]),
                self._blocks,
            )
        return change

    def column_norms(self) -> Floats:
        """Return the exact norm of each column."""
        squares = np.empty(self.shape[1], self.precision)
        share(lambda some: squared_lengths(self._columns[slice(*some)], squares[slice(*some)]), self._blocks)
        norms: Floats = np.sqrt(squares) * np.abs(self._gains).astype(self.precision)
        return norms

    def scale_columns(self, factors: ArrayLike) -> None:
        """Multiply the weights of each column by a factor."""
        self._columns *= vector("factors", factors, self.shape[1], self.precision)[:, None]

    def advance(self, seconds: float) -> None:
        """Nothing ages."""

    def weights(self) -> Floats:
        """Return a copy of the weights, for inspection and plots."""
        weights: Floats = self._columns * self._gains.astype(self.precision)[:, None]
        return weights.T.copy()

    def snapshot(self) -> State:
        """Return a copy of the weights before their gains, these, the number of reads and what is stored of changes as named arrays."""
        return {
            "weights": self._columns.T.copy(),
            "gains": self._gains.copy(),
            "reads": np.array([self._reads], np.int64),
            **{name: values.T.copy() for name, values in self._stored.items()},
        }

    def restore(self, snapshot: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        found = snapshot.get("weights")
        if found is None or found.shape != self.shape or "reads" not in snapshot:
            raise CheckpointError("checkpoint does not fit this array: weights")
        gains = snapshot.get("gains", np.ones(self.shape[1]))
        if gains.shape != self._gains.shape:
            raise CheckpointError("checkpoint does not fit this array: gains")
        for name, own in self._stored.items():
            if name not in snapshot or snapshot[name].shape != self.shape:
                raise CheckpointError(f"checkpoint does not fit this array: {name}")
            own.T[...] = snapshot[name]
        self._columns.T[...], self._gains[...] = found, gains
        self._reads = int(snapshot["reads"][0])
