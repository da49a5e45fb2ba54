"""Running totals of several instances, kept where the tensors are, so that counting makes nobody wait."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.crossbar.ledger import Ledger, Rates


class Tally:
    """The totals of `Ledger`: `sums` (names, instances) in float64, and what has not been added to them yet."""

    def __init__(self, instances: int, rates: Rates, on: torch.device):
        self.rates, self.names = rates, Ledger.names()
        self.sums = torch.zeros(len(self.names), instances, dtype=torch.float64, device=on)
        self.waiting: dict[str, Tensor] = {}

    def add(self, name: str, amount: Any) -> None:
        """Add a number, or one a instance."""
        before = self.waiting.get(name)
        self.waiting[name] = (torch.zeros_like(self.sums[0]) if before is None else before) + amount

    def settle(self) -> None:
        """Add up what waits."""
        if self.waiting:
            none = torch.zeros_like(self.sums[0])
            self.sums = self.sums + torch.stack([self.waiting.get(name, none) for name in self.names])
            self.waiting = {}

    def total(self, name: str) -> Tensor:
        """Return one total (instances,)."""
        self.settle()
        return self.sums[self.names.index(name)]

    def ledger(self, instance: int) -> Ledger:
        """Return the totals of one instance."""
        ledger = Ledger(rates=self.rates)
        ledger.take(Ledger.from_array(self.to_array(instance)))
        return ledger

    def to_array(self, instance: int) -> np.ndarray:
        """Return the totals of one instance in the order of `Ledger.to_array`."""
        self.settle()
        found: np.ndarray = self.sums[:, instance].cpu().numpy().copy()
        return found

    def restore(self, instance: int, saved: np.ndarray) -> None:
        """Take back the totals of one instance."""
        self.settle()
        self.sums[:, instance] = torch.from_numpy(np.asarray(saved, np.float64)).to(self.sums.device)
