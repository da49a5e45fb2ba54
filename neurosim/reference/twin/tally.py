"""Running totals of several instances, kept where the tensors are, so that counting makes nobody wait."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.crossbar.ledger import Ledger, Rates


class Tally:
    """The totals of `Ledger`, one float64 an instance."""

    def __init__(self, instances: int, rates: Rates, on: torch.device):
        self.rates = rates
        self.totals: dict[str, Tensor] = {
            name: torch.zeros(instances, dtype=torch.float64, device=on) for name in Ledger.names()
        }

    def add(self, name: str, amount: Any) -> None:
        """Add a number, or one a instance."""
        self.totals[name] = self.totals[name] + amount

    def ledger(self, instance: int) -> Ledger:
        """Return the totals of one instance."""
        ledger = Ledger(rates=self.rates)
        ledger.take(Ledger.from_array(self.to_array(instance)))
        return ledger

    def to_array(self, instance: int) -> np.ndarray:
        """Return the totals of one instance in the order of `Ledger.to_array`."""
        return np.array([float(total[instance]) for total in self.totals.values()])

    def restore(self, instance: int, saved: np.ndarray) -> None:
        """Take back the totals of one instance."""
        for total, value in zip(self.totals.values(), saved, strict=True):
            total[instance] = float(value)
