"""What nobody knows between two layers: a fixed mixture, a nonlinearity, noise, losses; Forward-Forward learns on through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from neurosim.core.frozen import Frozen
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator, key
from neurosim.kernels.black_box import disturb
from neurosim.kernels.jit import share
from neurosim.kernels.products import matmul, single_threaded_blas
from neurosim.rules.columns import parts


class BlackBox(Frozen):
    """What becomes of the direction of a layer's activity on its way to the next layer (Hinton, arXiv 2212.13345, section 7).

    Neuron j passes ``|sum_i q_ij y_i|^power (1 + noise xi)`` on, or nothing where it is lost. The next layer normalises what
    it gets, and an answer below zero, which large noise makes, is none. Goodness, rule and head of the layer before see its
    own activity y. No derivative of any of it exists for a layer to use.
    """

    mixing: bool = False
    """A fixed random orthogonal mixture q of all neurons of the layer, drawn once of a chip's seed, of which the magnitude is
    passed on, as detectors of intensity would; False: each neuron by itself."""
    power: float = Field(1.0, gt=0)
    """Exponent of the magnitudes: 2 for intensities."""
    noise: float = Field(0.0, ge=0)
    """Standard deviation of each answer as a share of it; the normals xi are drawn anew at every pass of every sample."""
    dropped: float = Field(0.0, ge=0, lt=1)
    """Share of the neurons that are lost, others at every pass of every sample."""

    @property
    def empty(self) -> bool:
        """Whether everything comes out as it went in."""
        return self == BlackBox()

    def draw(
        self, count: int, seed: int | Sequence[int], name: str, born: int | Sequence[int] | None = None
    ) -> Box:
        """Return the box behind a layer of `count` neurons; same seed and name, same box. Several seeds are instances.

        Parameters
        ----------
        count : int
        seed : int or sequence of int
            Of noise and losses.
        name : str
            Of the layer before it.
        born : int or sequence of int, optional
            Of the mixture, where it is not that of the chip's own seed.
        """
        born = seed if born is None else born
        if not self.mixing:
            return Box(self, None, seed, name, count)
        if isinstance(born, int):
            return Box(self, mixture(count, born, name), seed, name, count)
        return Box(self, np.stack([mixture(count, one, name) for one in born]), seed, name, count)


def mixture(count: int, seed: int, name: str) -> Floats:
    """Return a random orthogonal matrix (count, count), uniform among all of them."""
    normals = generator(seed, name, "black box").standard_normal((count, count))
    with single_threaded_blas():
        q, r = np.linalg.qr(normals)
    found: Floats = q * np.sign(np.diagonal(r))
    return found


class Box:
    """The black box behind one layer. What it does by chance it does by the number of the pass: it keeps nothing itself.

    Parameters
    ----------
    how : BlackBox
    mixture : (cols, cols) or (instances, cols, cols) array, optional
        q of `BlackBox`.
    seed : int or sequence of int
        Of noise and losses.
    name : str
    count : int
        Neurons of the layer.
    """

    def __init__(
        self, how: BlackBox, mixture: Floats | None, seed: int | Sequence[int], name: str, count: int
    ):
        self.how, self.mixture, self.name, self.count = how, mixture, name, count
        self.seeds = (seed,) if isinstance(seed, int) else tuple(seed)
        self.instances = None if isinstance(seed, int) else len(self.seeds)
        self._key = key(self.seeds[0], name, "black box, passes")

    def __call__(self, y: Floats, first: int) -> Floats:
        """Return what comes out for directions (n, cols); `first` is the number of the first sample among all passes."""
        how = self.how
        found: Floats = np.array(y, order="C")
        if self.mixture is not None:
            found = matmul(found, self.mixture.astype(y.dtype), first)
            np.abs(found, out=found)
        if how.power != 1:
            np.power(found, y.dtype.type(how.power), out=found)
        if not (how.noise or how.dropped):
            return found

        def spoil(block: tuple[int, int]) -> None:
            start, stop = block
            noise, dropped = y.dtype.type(how.noise), np.float32(how.dropped)
            disturb(found[start:stop], noise, dropped, first + start, self._key)

        share(spoil, parts(*found.shape))
        return found
