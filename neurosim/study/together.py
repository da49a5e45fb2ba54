"""Seeds of an arm that learn as one batch of instances: each its own chip, its own images in its own order.

A batch has as many instances as `Arm.together` says; one that is not full is filled up. Products of stacked matrices
have their bits by the number of matrices and their shape, so that a chip's bits do not depend on who else learns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurosim.core.errors import Stopped
from neurosim.core.protocols import State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Labelled
from neurosim.study import stopping

if TYPE_CHECKING:
    from neurosim.study.dense import DenseTraining

ASKED = 250
"""Images that all chips are asked at once."""
Make = Callable[[int], "DenseTraining"]
Learnt = tuple[State, dict[str, Any]]
"""A snapshot, and the notes of a training."""


class Together:
    """Trainings of one layer that learn as one.

    Parameters
    ----------
    make : callable
        Returns the training of a seed, not yet begun.
    seeds : sequence of int
        At most as many as the arm's `together`.
    """

    def __init__(self, make: Make, seeds: list[int]):
        from neurosim.study.dense import build_layer

        self.make, self.seeds = make, seeds
        first = make(seeds[0])
        together = first.arm.together or 1
        self.steps, self.total, self.batches, self.batch = 0, first.total, first.batches, first.batch
        self.experiment, self.arm, self.images = first.experiment, first.arm, len(first.images)
        self.filled = [*seeds, *[seeds[-1]] * (together - len(seeds))]
        self.data = first.data
        layer: Any = build_layer(self.experiment, self.arm, first.data.rows, self.filled)
        self.layer = layer
        self.inputs = self._on_device(first.fit.images)
        self.seconds = 0.0
        self.notes: list[dict[str, Any]] = []

    def run(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Learn to the end; raises `Stopped` if somebody asks for it, and then begins anew the next time."""
        watched = self.make(self.seeds[0]).watched
        if watched:
            self.notes = [self._begun(seed) for seed in self.seeds]
        orders, epoch = torch.empty(0), -1
        while self.steps < self.total:
            started = time.perf_counter()
            now, batch = divmod(self.steps, self.batches)
            if now != epoch:
                epoch = now
                draws = [generator(seed, "order", epoch).permutation(self.images) for seed in self.filled]
                orders = torch.from_numpy(np.stack(draws)).to(self.layer.on)
            self._step(self.inputs[orders[:, batch * self.batch : (batch + 1) * self.batch]])
            self.steps += 1
            self.seconds += time.perf_counter() - started
            if watched:
                self._look()
            if progress:
                progress(self.steps, self.total)
            if stopping.asked():
                raise Stopped(f"stopped: {self.arm.name}, a batch of {len(self.seeds)} seeds, begins anew")

    def _on_device(self, images: Any) -> torch.Tensor:
        return torch.from_numpy(self.data.inputs(images)).to(self.layer.on)

    def votes(self, fit: Labelled, test: Labelled) -> NDArray[np.float64]:
        """Return the accuracy of each seed's vote on `test`, classes assigned on `fit`, as `Vote` does; all chips at once."""
        array, classes = self.layer.array, self.data.classes
        counts = torch.zeros(array.count, array.shape[1], classes, device=self.layer.on)
        for images, labels in _parts(fit):
            won = array.forward(self._on_device(images)).argmax(dim=-1)
            which = won * classes + torch.from_numpy(labels).to(won.device)
            counts.flatten(1).scatter_add_(1, which, torch.ones_like(which, dtype=counts.dtype))
        label = (counts * classes - torch.arange(classes, device=counts.device)).argmax(
            dim=2
        )  # the first of equals
        right = torch.zeros(array.count, device=self.layer.on)
        for images, labels in _parts(test):
            given = label.gather(1, array.forward(self._on_device(images)).argmax(dim=-1))
            right += (given == torch.from_numpy(labels).to(given.device)).sum(dim=1)
        accuracies: NDArray[np.float64] = (right.double() / len(test.labels)).cpu().numpy()
        return accuracies[: len(self.seeds)]

    def _step(self, x: torch.Tensor) -> None:
        """Learn one mini-batch of every instance (instances, batch, rows)."""
        every = self.experiment.calibrate_every
        if every and self.layer.steps % every == 0:
            self.layer.array.calibrate(x)
        self.layer.learn(x)
        if self.arm.seconds_per_update:
            self.layer.array.advance(self.arm.seconds_per_update)

    def _begun(self, seed: int) -> dict[str, Any]:
        training = self.make(seed)
        training.begin()
        if training.looks:
            training.keep_look()
        return training.notes()

    def _look(self) -> None:
        """Look at every chip, if it is time to."""
        first = self.make(self.seeds[0])
        first.steps = self.steps
        if first.looks:
            for k, seed in enumerate(self.seeds):
                training = self.make(seed)
                self.hand_over(training)
                training.keep_look()
                self.notes[k] = training.notes()

    def hand_over(self, training: DenseTraining) -> None:
        """Let the training of one of the seeds stand where this batch does."""
        _stand(training, self.of(training.seed))

    def of(self, seed: int) -> Learnt:
        """Return what the chip of a seed has learnt so far, and the notes of its training."""
        k = self.seeds.index(seed)
        notes = self.notes[k] if self.notes else {"curve": [], "counted": [], "untrained": {}}
        return self._of(k), {**notes, "steps": self.steps, "seconds": self.seconds / len(self.seeds)}

    def _of(self, k: int) -> State:
        """Return the snapshot of one instance, as its training alone would write it."""
        layer = self.layer
        saved = {f"layer.array.{name}": values for name, values in layer.array.snapshot(k).items()}
        saved |= {
            f"layer.rule.{name}": values[k].cpu().numpy().copy() for name, values in layer.state.items()
        }
        saved["layer.steps"] = np.array([layer.steps], np.int64)
        errors = [float(error[k]) for error in layer.norm_errors]
        saved["layer.norm_errors"] = np.array(errors, np.float64)
        return saved


def _parts(labelled: Labelled) -> Iterator[tuple[Any, NDArray[np.int64]]]:
    """Yield images and labels, few enough at a time for the answers of all chips."""
    for k in range(0, len(labelled.labels), ASKED):
        yield labelled.images[k : k + ASKED], labelled.labels[k : k + ASKED]


def _stand(training: DenseTraining, learnt: Learnt) -> None:
    state, notes = learnt
    training.restore(state)
    training.take_notes(notes)


_waiting: dict[str, dict[int, Learnt]] = {}
"""What has been learnt in a batch by seeds that have not been asked for yet."""


def learnt_with(training: DenseTraining, progress: Callable[[int, int], None] | None = None) -> None:
    """Let a training learn to its end in its batch."""
    experiment, arm = training.experiment, training.arm
    together = arm.together or 1
    seeds = [experiment.first_seed + k for k in range(arm.seeds or experiment.seeds)]
    seeds = seeds if training.seed in seeds else [training.seed]
    place = seeds.index(training.seed) // together * together
    chosen = seeds[place : place + together]

    def make(seed: int) -> DenseTraining:
        found = type(training)(experiment, arm, seed, training.data)
        found.watched = training.watched
        return found

    first = training if training.seed == chosen[0] else make(chosen[0])
    key = f"{first.identity} {chosen} {training.watched}"
    if training.seed not in _waiting.get(key, {}):
        batch = Together(make, chosen)
        batch.run(progress)
        _waiting[key] = {seed: batch.of(seed) for seed in chosen}
    _stand(training, _waiting[key].pop(training.seed))
    if not _waiting[key]:
        del _waiting[key]
