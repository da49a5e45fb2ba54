"""Readouts: a linear classifier on features, and the winner's vote without any trained readout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.kernels.halves import take_rows

Labels = NDArray[np.int64]


class Readout(Protocol):
    """Gives a sample the class of the largest of ``features @ weight.T + bias``."""

    weight: Any
    """(classes, features)"""
    bias: Any
    """(classes,)"""

    def predict(self, features: Floats) -> Labels:
        """Return the class of each row of features."""
        ...


BETA = 5.0
CHUNK = 2000


def softmax_features(u: Floats) -> Floats:
    """softmax(5 u) sqrt(cols), the features of the fully connected preset; (n, cols)."""
    z: Floats = np.float32(BETA) * (u - u.max(axis=1, keepdims=True))
    np.exp(z, out=z)
    z *= np.float32(np.sqrt(u.shape[1])) / z.sum(axis=1, keepdims=True)
    return z


def triangle_features(u: Floats) -> Floats:
    """Triangle activation relu(u - mean over columns) (Coates et al. 2011), each vector scaled to rms one."""
    t: Floats = np.maximum(u - u.mean(axis=1, keepdims=True), 0)
    t /= np.sqrt(np.square(t).mean(axis=1, keepdims=True)) + np.float32(1e-8)
    return t


class Vote:
    """Each neuron stands for the class for which it wins most often; the winner's class is the answer."""

    def __init__(self, winners: NDArray[np.int64], labels: Labels, neurons: int, classes: int):
        counts = np.zeros((neurons, classes), np.int64)
        np.add.at(counts, (winners, labels), 1)
        self.classes = counts.argmax(axis=1)
        self.used = int((counts.sum(axis=1) > 0).sum())

    def predict(self, winners: NDArray[np.int64]) -> Labels:
        """Return the class that each winner stands for."""
        found: Labels = self.classes[winners]
        return found

    def accuracy(self, winners: NDArray[np.int64], labels: Labels) -> float:
        """Share of samples whose winner stands for their class."""
        return float((self.predict(winners) == labels).mean())


@contextmanager
def single_threaded_torch() -> Iterator[None]:
    """Keep torch to one thread in the calling thread, so that its sums do not depend on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def halvings(epochs: int) -> set[int]:
    """Epochs before which the learning rate is halved, as the published code of SoftHebb has it."""
    shares = (0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9) if epochs >= 50 else (0.5, 0.75) if epochs >= 20 else ()
    return {round(share * epochs) for share in shares}


def _bytes(shape: tuple[int, int], draws: np.random.Generator) -> NDArray[np.uint8]:
    """Random bytes, those of ``draws.bytes``: where rows are whole words without its detour over single numbers."""
    if shape[1] % 8:
        return np.frombuffer(draws.bytes(shape[0] * shape[1]), np.uint8).reshape(shape)
    words: NDArray[np.uint64] = draws.bit_generator.random_raw(shape[0] * shape[1] // 8)
    return words.astype("<u8", copy=False).view(np.uint8).reshape(shape)


def _some(features: Floats, chosen: NDArray[np.int64], dropout: float, draws: np.random.Generator) -> Floats:
    """Return chosen rows in single precision, a share `dropout` of their numbers zero and the others scaled up.

    A number is left out by a byte of its own, so that the share is kept to 1 / 256.
    """
    shape = len(chosen), features.shape[1]
    if not dropout:
        return features[chosen].astype(np.float32, copy=False)
    drawn = _bytes(shape, draws)
    threshold, gain = round(256 * dropout), np.float32(1 / (1 - dropout))
    if features.dtype != np.float16:
        kept = features[chosen].astype(np.float32, copy=False)
        some: Floats = kept * np.where(drawn >= threshold, gain, np.float32(0))
        return some
    out = np.empty(shape, np.float32)
    take_rows(features.view(np.uint16), chosen, drawn, threshold, gain, out.view(np.uint32), out)
    return out


class LinearReadout:
    """Softmax regression by torch: Adam 1e-3, one CPU thread, seeded; weights start at zero.

    The gradient of the cross-entropy, (p - onehot)' x / batch, is written out: it halves the time.
    """

    def __init__(self, features: int, classes: int, seed: int = 0):
        import torch

        self._torch = torch
        self.seed = seed
        self.weight = torch.zeros(classes, features)
        self.bias = torch.zeros(classes)

    def fit(
        self,
        features: Floats,
        labels: Labels,
        epochs: int = 10,
        batch: int = 64,
        dropout: float = 0.0,
        halve: bool = False,
        versions: int = 1,
    ) -> None:
        """Train on features (versions * n, features), in any precision, with integer labels (n,).

        Of `versions` of every sample, those of the first version of all samples first, a sample is seen by one in each epoch, in
        turn, beginning with one that is drawn.

        `dropout` is the share of features left out of each sample; `halve` halves the rate at the epochs of the code
        of SoftHebb (from 50 epochs on at 20, 35, 50, 60, 70, 80, 90 %, from 20 on at 50 and 75 %).
        """
        torch = self._torch
        y = torch.from_numpy(labels)
        order = torch.Generator().manual_seed(self.seed)
        left_out = generator(self.seed, "dropout")
        turns = generator(self.seed, "versions").integers(versions, size=len(labels)) if versions > 1 else 0
        adam = torch.optim.Adam([self.weight, self.bias], lr=1e-3, fused=True)
        with torch.no_grad(), single_threaded_torch():
            for epoch in range(epochs):
                if halve and epoch in halvings(epochs):
                    adam.param_groups[0]["lr"] /= 2
                places = np.arange(len(labels)) + len(labels) * ((turns + epoch) % versions)
                for chosen in torch.randperm(len(labels), generator=order).split(batch):
                    inputs = torch.from_numpy(_some(features, places[chosen.numpy()], dropout, left_out))
                    error = torch.addmm(self.bias, inputs, self.weight.T).softmax(dim=1)
                    error[torch.arange(len(chosen)), y[chosen]] -= 1
                    error /= len(chosen)
                    self.weight.grad, self.bias.grad = error.T @ inputs, error.sum(dim=0)
                    adam.step()

    def predict(self, features: Floats) -> Labels:
        """Return the class of each row of features."""
        torch = self._torch
        with torch.no_grad(), single_threaded_torch():
            parts = torch.from_numpy(features).split(CHUNK)
            scores = [part.float() @ self.weight.T + self.bias for part in parts]
        found: Labels = torch.cat(scores).argmax(dim=1).numpy()
        return found

    def accuracy(self, features: Floats, labels: Labels) -> float:
        """Share of rows classified correctly."""
        return float((self.predict(features) == labels).mean())
