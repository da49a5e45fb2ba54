"""Ideal arithmetic in torch: `IdealArray` on CPU or GPU, for one or many instances."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.core.checks import extents, precision_of, share_or_none
from neurosim.core.errors import CheckpointError, InputError
from neurosim.core.protocols import LocalUpdate, Precision, State, UpdateMode
from neurosim.reference.twin.tensors import real_tensor


class TorchIdeal:
    """Weights in floating point that take the same local updates as a `TorchCrossbar`.

    Parameters
    ----------
    shape : (int, int)
    precision : {"float32", "float64"}
    torch_device : torch.device
    momentum : float, optional
        Filter changes, but not decay, as `IdealArray` does.
    baseline : float, optional
        Store the average of negative phases, as `IdealArray` does.
    """

    ideal = True
    gains_hold_norms = False
    instances = None
    w_max = None

    def __init__(
        self,
        shape: tuple[int, int],
        precision: Precision = "float32",
        torch_device: torch.device = torch.device("cpu"),  # noqa: B008
        momentum: float | None = None,
        baseline: float | None = None,
    ):
        share_or_none("momentum", momentum, "no filter")
        share_or_none("baseline", baseline, "no stored average")
        self.shape, self.precision, self.on = extents(shape), precision_of(precision), torch_device
        self.dtype = getattr(torch, precision)
        self.momentum, self.baseline, self.asleep = momentum, baseline, False
        self._weights = torch.zeros(self.shape, dtype=self.dtype, device=self.on)
        self._stored = {
            name: torch.zeros_like(self._weights)
            for name, wanted in (("velocity", momentum), ("baseline", baseline))
            if wanted
        }

    def _tensor(self, name: str, value: Any) -> Tensor:
        return real_tensor(name, value).to(self.on, self.dtype)

    def program(self, weights: Any, w_max: float | None = None) -> None:
        """Set the weights (rows, cols); they have no window."""
        wanted = self._tensor("weights", weights)
        if wanted.shape != self.shape:
            raise InputError(f"weights: expected shape {self.shape}, got {tuple(wanted.shape)}")
        self._weights = wanted.clone()

    def forward(self, x: Any) -> Tensor:
        """Return x (batch, rows) @ weights."""
        return self._tensor("x", x) @ self._weights

    def _grown(self, pre: Any, post: Any) -> Tensor:
        return self._tensor("pre", pre).T @ self._tensor("post", post)

    def _less(self, change: Tensor, decay: Any) -> Tensor:
        """A change, and what decay takes."""
        if decay is None:
            return change
        share = self._tensor("decay", decay)
        return change - (self._weights @ share if share.ndim == 2 else share * self._weights)

    def update(self, pre: Any, post: Any, decay: Any = None, mode: UpdateMode = "accumulate") -> int:
        """Apply ``w += pre' post - decay w`` exactly, whatever the mode; gives no pulses."""
        change = self._grown(pre, post)
        if self.baseline and self.asleep:
            self._stored["baseline"] = self._moved("baseline", self.baseline, change)
        elif self.baseline:
            change = change + self._stored["baseline"]
        if self.momentum:
            change = self._stored["velocity"] = self._moved("velocity", self.momentum, change)
        self._weights = self._weights + self._less(change, decay)
        return 0

    def _moved(self, name: str, keep: float, change: Tensor) -> Tensor:
        """Return what is stored, moved towards a change."""
        return keep * self._stored[name] + (1 - keep) * change

    def forward_lebesgue(self, x: Any, p: float) -> Tensor:
        """Return ``x @ (sign(w) |w|**(p - 1))`` (batch, cols)."""
        return self._tensor("x", x) @ (torch.sign(self._weights) * torch.abs(self._weights) ** (p - 1))

    def apply(self, change: LocalUpdate) -> None:
        """Apply a change of a rule that needs more than a wire carries: a decay between columns, a rate."""
        wanted = self._less(self._grown(change.pre, change.post), change.decay)
        if change.rate is not None:
            wanted = wanted / ((wanted / self._tensor("rate", change.rate)).abs().max() + 1e-30)
        self._weights = self._weights + wanted

    def column_norms(self) -> Tensor:
        """Return the exact norm of each column."""
        norms: Tensor = torch.linalg.vector_norm(self._weights, dim=0)
        return norms

    def advance(self, seconds: float) -> None:
        """Nothing ages."""

    def weights(self) -> Tensor:
        """Return a copy of the weights."""
        return self._weights.clone()

    def snapshot(self) -> State:
        """Return a copy of the weights as named arrays."""
        stored = {name: values.cpu().numpy().copy() for name, values in self._stored.items()}
        return {"weights": self._weights.cpu().numpy().copy(), "reads": np.zeros(1, np.int64), **stored}

    def restore(self, snapshot: State) -> None:
        """Go back to a snapshot of this class or of `IdealArray`."""
        found = snapshot.get("weights")
        if found is None or found.shape != self.shape:
            raise CheckpointError("checkpoint does not fit this array: weights")
        for name in self._stored:
            if name not in snapshot or snapshot[name].shape != self.shape:
                raise CheckpointError(f"checkpoint does not fit this array: {name}")
            self._stored[name] = self._tensor(name, snapshot[name]).clone()
        gains = snapshot.get("gains", np.ones(self.shape[1]))
        self._weights = self._tensor("weights", found * gains.astype(found.dtype)).clone()
