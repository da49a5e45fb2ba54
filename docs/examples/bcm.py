"""The rule of Bienenstock, Cooper and Munro: what moves a neuron more than usual is strengthened."""

from typing import ClassVar

import numpy as np

from neurosim.core.config import Frozen
from neurosim.core.protocols import LocalUpdate


class Bcm(Frozen):
    name: ClassVar[str] = "bcm"
    ideal_only: ClassVar[bool] = False
    learning_rate: float = 0.001
    memory: float = 0.99

    def state(self, rows, cols):
        return {"theta": np.zeros(cols, np.float32)}

    def observe_norms(self, norms, state):
        pass

    def __call__(self, x, u, state):
        y, theta = np.maximum(u, 0), state["theta"]
        square = np.square(y).mean(axis=0)
        theta += (1 - self.memory * (theta > 0)) * (square - theta)
        return LocalUpdate(x, y * (y - theta) * (self.learning_rate / len(x)))
