"""Neurons whose transfer nobody knows: what each makes of its own current before anyone sees it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from neurosim.core.frozen import Frozen
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator


class Neurons(Frozen):
    """How far the neurons of a chip are from linear and from each other.

    Neuron j passes ``f_j(u) = S tanh(a_j sign(u) |u|^p_j / S)`` on, with ``p_j = exp(power_spread xi_j)`` and
    ``a_j = exp(gain_spread zeta_j)`` of two normals drawn once. It grows with u and leaves the sign as it is. Currents
    are in units of weight times input, in which 1 is the threshold of a neuron's goodness.
    """

    power_spread: float | None = Field(None, ge=0)
    """Standard deviation of ln p_j; None: p_j = 1."""
    gain_spread: float | None = Field(None, ge=0)
    """Standard deviation of ln a_j; None: a_j = 1."""
    saturation: float | None = Field(None, gt=0)
    """The end S that the output nears smoothly; None: there is none."""

    @property
    def differ(self) -> bool:
        """Whether another seed makes other neurons."""
        return bool(self.power_spread or self.gain_spread)

    def draw(self, count: int, seed: int | Sequence[int], name: str) -> Transfer:
        """Return the transfer of `count` neurons; same seed and name, same neurons. Several seeds are instances."""
        if not isinstance(seed, int):
            each = [self.draw(count, one, name) for one in seed]
            powers, gains = (
                np.stack(values)[:, None] for values in zip(*((t.powers, t.gains) for t in each), strict=True)
            )
            return Transfer(powers, gains, self.saturation)
        normals = generator(seed, name, "neurons").standard_normal((2, count))
        powers = np.exp((self.power_spread or 0.0) * normals[0])
        gains = np.exp((self.gain_spread or 0.0) * normals[1])
        return Transfer(powers, gains, self.saturation)


class Transfer:
    """The transfer of each neuron of a layer.

    Parameters
    ----------
    powers, gains : (cols,) or (instances, 1, cols) array
        p_j and a_j of `Neurons`.
    saturation : float, optional
        S of `Neurons`.
    """

    def __init__(self, powers: Floats, gains: Floats, saturation: float | None = None):
        self.powers, self.gains, self.saturation = powers, gains, saturation

    def __call__(self, u: Floats) -> Floats:
        """Return what the neurons pass on of currents (batch, cols), in the precision of these."""
        powers, gains = (values.astype(u.dtype) for values in (self.powers, self.gains))
        passed: Floats = np.abs(u)
        np.power(passed, powers, out=passed)
        passed *= gains
        if self.saturation is not None:
            most = u.dtype.type(self.saturation)
            passed /= most
            np.tanh(passed, out=passed)
            passed *= most
        return np.copysign(passed, u, out=passed)
