"""What nets trained with labels in torch share: a linear head, Adam on the cross-entropy, classes, and snapshots.

Imports torch: import it where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurosim.core.errors import CheckpointError
from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.network.readout import Labels
from neurosim.reference.feedback import Feedback, drawn, scored, sent


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch work on so many threads: the last bits of its sums depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Taught:
    """Layers below a linear head whose weights start at zero, trained by Adam on the cross-entropy.

    What its layers are says a class below this one: it fills `kernels`, `statistics` and `fixed`, calls `_headed`, and defines
    `_answers`.

    Parameters
    ----------
    seed : int
        Of the dropout, which depends on nothing but the seed and the number of the mini-batch, and of fixed feedback.
    dropout : float
        Share of features left out of each sample while it learns.
    feedback : {"transposed", "random", "direct", "targets"}
        How the error comes back (`neurosim.reference.feedback`).

    Attributes
    ----------
    steps : int
        Mini-batches learnt.
    kernels : list of Tensor
        What the layers learn.
    statistics : list of (Tensor, Tensor)
        Running means and variances, where layers have any.
    fixed : list of Tensor
        Feedback of each layer.
    """

    def __init__(self, seed: int, dropout: float, feedback: Feedback):
        self.seed, self.dropout, self.feedback = seed, dropout, feedback
        self.fixed, self.kernels = list[Tensor](), list[Tensor]()
        self.statistics: list[tuple[Tensor, Tensor]] = []
        self.steps = 0

    def _headed(self, features: int, classes: int, learning_rate: float) -> None:
        """Put the head on so many features, and Adam beside all that learns."""
        random = self.feedback == "random"
        self.head_fixed = drawn(self.seed, 0, (classes, features), features) if random else None
        self.weight = torch.zeros(classes, features).requires_grad_()
        self.bias = torch.zeros(classes).requires_grad_()
        self.adam = torch.optim.Adam(self._parameters, lr=learning_rate, fused=True)

    @property
    def _parameters(self) -> list[Tensor]:
        return [*self.kernels, self.weight, self.bias]

    def _answers(self, images: Floats | Tensor, learns: bool, apart: list[Tensor] | None = None) -> Tensor:
        """Return the features (n, features) of images.

        With a list, which takes the answers (n, channels, height, width) of each layer, no error comes from a layer to the
        one before.
        """
        raise NotImplementedError

    def learn(self, images: Floats, labels: Labels, rate: float | None = None) -> tuple[float, int]:
        """Learn from one mini-batch; return its mean cross-entropy and how many it classified right, dropout included.

        Parameters
        ----------
        images : array
            As the layers take them.
        labels : (n,) array of int64
        rate : float, optional
            Learning rate of Adam from now on.
        """
        if rate is not None:
            self.adam.param_groups[0]["lr"] = rate
        apart = self.feedback in ("direct", "targets")
        with torch.enable_grad():
            answers = list[Tensor]()
            features = self._answers(images, learns=True, apart=answers if apart else None)
            features = features.detach() if apart else features
            if self.dropout:
                draws = generator(self.seed, "dropout", self.steps).random(features.shape, np.float32)
                features = features * torch.from_numpy(draws >= self.dropout) / (1 - self.dropout)
            scores = scored(features, self.weight, self.bias, self.head_fixed)
            wanted = torch.from_numpy(labels)
            loss = functional.cross_entropy(scores, wanted)
            self.adam.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            if apart:
                asked = functional.one_hot(wanted, scores.shape[1]).float()
                error = -asked if self.feedback == "targets" else scores.detach().softmax(1) - asked
                sent(answers, self.fixed, error / len(labels))
        self.adam.step()
        self.steps += 1
        return float(loss.detach()), int((scores.detach().argmax(dim=1) == wanted).sum())

    def features(self, images: Floats) -> Floats:
        """Return what the head sees of images, (n, features), by running statistics."""
        with torch.no_grad():
            found: Floats = self._answers(images, learns=False).numpy()
        return found

    def predict(self, images: Floats) -> Labels:
        """Return the class of each image."""
        with torch.no_grad():
            found: Labels = self.scores(images).argmax(dim=1).numpy()
        return found

    def scores(self, images: Floats | Tensor) -> Tensor:
        """Return the scores (n, classes) of images, by running statistics."""
        return torch.addmm(self.bias, self._answers(images, learns=False), self.weight.T)

    def snapshot(self, adam: bool = True) -> State:
        """Return weights, statistics and Adam's moments as named arrays; a net that learns no more needs none of these."""
        found: State = {"steps": np.array([self.steps], np.int64)}
        for number, (mean, variance) in enumerate(self.statistics):
            found[f"mean.{number}"], found[f"variance.{number}"] = mean.numpy(), variance.numpy()
        for number, values in enumerate(self._parameters):
            found[f"weights.{number}"] = values.detach().numpy()
            for name, moment in self.adam.state.get(values, {}).items() if adam else ():
                found[f"adam.{number}.{name}"] = moment.numpy()
        return {name: values.copy() for name, values in found.items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        moments: dict[int, dict[str, Tensor]] = {}
        try:
            for number, (mean, variance) in enumerate(self.statistics):
                _fill(mean, saved[f"mean.{number}"])
                _fill(variance, saved[f"variance.{number}"])
            for number, values in enumerate(self._parameters):
                _fill(values, saved[f"weights.{number}"])
            for name in (name for name in saved if name.startswith("adam.")):
                _, place, moment = name.split(".")
                like = torch.empty(()) if moment == "step" else self._parameters[int(place)]
                state = moments.setdefault(int(place), {})
                state[moment] = _fill(torch.empty_like(like, requires_grad=False), saved[name])
            self.steps = int(saved["steps"][0])
        except (KeyError, IndexError, ValueError) as error:
            raise CheckpointError(f"checkpoint does not fit this net: {error}") from None
        self.adam.state.clear()
        for number, state in moments.items():
            self.adam.state[self._parameters[number]] = state


def _fill(tensor: Tensor, values: NDArray[Any]) -> Tensor:
    """Give a tensor saved values and return it; its layout in memory stays."""
    if tuple(tensor.shape) != values.shape:
        raise ValueError(f"values of shape {values.shape}, expected {tuple(tensor.shape)}")
    with torch.no_grad():
        return tensor.copy_(torch.from_numpy(values))
