"""A layer of one's own, whose few strongest neurons pass on at each position, and a stack with it."""

import numpy as np

from neurosim import Layer


class Sparse(Layer):
    """What is not among the strongest is zero; activation and pooling of the layer follow."""

    winners: int = 4

    def pass_on(self, currents):
        least = np.partition(currents, -self.winners)[..., [-self.winners]]
        return super().pass_on(np.where(currents < least, 0, currents))


stack = [
    Sparse(
        neurons=16, kernel=5, pad=2, learning_rate=0.08, inverse_temperature=1.0,
        activation="relu", pool="max", pool_kernel=4, pool_stride=2, pool_pad=1,
    ),
    Layer(neurons=64, kernel="all", learning_rate=0.02, inverse_temperature=0.5),
]  # fmt: skip
