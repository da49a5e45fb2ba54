"""Seeds of an arm that learn as one batch of instances: each its own chip, its own images in its own order.

A batch has as many instances as `Arm.together` says; one that is not full is filled up. Products of stacked matrices
have their bits by the number of matrices, their shape, and on some machines their place among them. A seed therefore has a place
of its own, and a chip's bits do not depend on who else learns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurosim.core.errors import InputError, Stopped
from neurosim.core.protocols import State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Labelled
from neurosim.study import stopping
from neurosim.study.training import Training

ASKED = 250
"""Images that all chips are asked at once."""
Make = Callable[[int], Training]
Learnt = tuple[State, dict[str, Any]]
"""A snapshot, and the notes of a training."""


class Together:
    """Trainings that learn as one.

    Parameters
    ----------
    make : callable
        Returns the training of a seed, not yet begun.
    seeds : sequence of int
        At most as many as the arm's `together`, each with another place in the batch: its number (`Training.numbers`, the
        seed itself where seeds are those of an arm) modulo `together`.

    Attributes
    ----------
    whole : Training
        The same training with all seeds: its arrays have an instance for each.
    places : dict
        Instance of each seed.

    Raises
    ------
    InputError
        If two seeds have the same place.
    """

    def __init__(self, make: Make, seeds: list[int]):
        self.make, self.seeds = make, seeds
        first = make(seeds[0])
        together = first.arm.together or 1
        self.places = {seed: first.numbers.get(seed, seed) % together for seed in seeds}
        if len(set(self.places.values())) < len(seeds):
            raise InputError(
                f"seeds {seeds}: two have the same place in a batch of {together}, their number modulo {together}"
            )
        at = {place: seed for seed, place in self.places.items()}
        filled = [at.get(place, seeds[-1]) for place in range(together)]
        self.whole: Any = first.another(filled)
        if first.takes_tensors:
            self.whole.beside = self._on_device(first.images)
        self.seconds = 0.0
        self.notes: list[dict[str, Any]] = []

    @property
    def steps(self) -> int:
        """Mini-batches learnt."""
        return int(self.whole.steps)

    @property
    def arrays(self) -> list[Any]:
        """The array of each layer, with an instance for each seed."""
        return [layer.array for layer in self.whole.layers]

    def run(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Learn to the end; raises `Stopped` if somebody asks for it, and then begins anew the next time."""
        whole, watched = self.whole, self.make(self.seeds[0]).watched
        whole.prepare()
        if watched:
            self.notes = [self._begun(seed) for seed in self.seeds]
        orders, epoch = np.empty((0, 0), np.int64), -1
        while whole.steps < whole.total:
            started = time.perf_counter()
            now, batch = divmod(whole.steps, whole.batches)
            if now != epoch:
                epoch, images = now, len(whole.images)
                orders = np.stack(
                    [generator(seed, "order", epoch).permutation(images) for seed in whole.instances]
                )
            whole.learn(orders[:, batch * whole.batch : (batch + 1) * whole.batch])
            self.seconds += time.perf_counter() - started
            if watched:
                self._look()
            if progress:
                progress(whole.steps, whole.total)
            if stopping.asked():
                raise Stopped(f"stopped: {whole.name}, a batch of {len(self.seeds)} seeds, begins anew")

    def _on_device(self, images: Any) -> torch.Tensor:
        return torch.from_numpy(self.whole.data.inputs(images)).to(self.arrays[0].on)

    def votes(self, fit: Labelled, test: Labelled) -> NDArray[np.float64]:
        """Return the accuracy of each seed's vote on `test`, classes assigned on `fit`, as `Vote` does; all chips at once.

        Of studies of one layer.
        """
        layer, array, classes = self.whole.layers[0], self.arrays[0], self.whole.data.classes
        counts = torch.zeros(array.count, array.shape[1], classes, device=array.on)
        for images, labels in _parts(fit):
            won = layer.passed(array.forward(self._on_device(images))).argmax(dim=-1)
            which = won * classes + torch.from_numpy(labels).to(won.device)
            counts.flatten(1).scatter_add_(1, which, torch.ones_like(which, dtype=counts.dtype))
        label = (counts * classes - torch.arange(classes, device=counts.device)).argmax(
            dim=2
        )  # the first of equals
        right = torch.zeros(array.count, device=array.on)
        for images, labels in _parts(test):
            given = label.gather(1, layer.passed(array.forward(self._on_device(images))).argmax(dim=-1))
            right += (given == torch.from_numpy(labels).to(given.device)).sum(dim=1)
        accuracies: NDArray[np.float64] = (right.double() / len(test.labels)).cpu().numpy()
        return accuracies[list(self.places.values())]

    def _begun(self, seed: int) -> dict[str, Any]:
        training = self.make(seed)
        training.prepare()
        training.begin()
        if training.looks:
            training.keep_look()
        return training.notes()

    def _look(self) -> None:
        """Look at every chip, if it is time to."""
        first = self.make(self.seeds[0])
        first.steps = self.whole.steps
        if first.looks:
            for k, seed in enumerate(self.seeds):
                training = self.make(seed)
                self.hand_over(training)
                training.keep_look()
                self.notes[k] = training.notes()

    def hand_over(self, training: Training) -> None:
        """Let the training of one of the seeds stand where this batch does."""
        _stand(training, self.of(training.seed))

    def of(self, seed: int) -> Learnt:
        """Return what the chip of a seed has learnt so far, and the notes of its training."""
        k = self.seeds.index(seed)
        notes = self.notes[k] if self.notes else {"curve": [], "counted": [], "untrained": {}}
        done = {"steps": self.whole.steps, "seconds": self.seconds / len(self.seeds)}
        return self.whole.snapshot(self.places[seed]), {**notes, **done}

    def answered(self) -> dict[int, dict[str, Any]]:
        """Return what each chip is asked at the end, where its kind asks all of them in one pass; empty otherwise."""
        if not self.whole.asked_together:
            return {}
        self.whole.seconds = self.seconds
        results = self.whole.evaluated_each()
        return {
            seed: {"evaluation": self.whole.evaluation, "result": results[k]}
            for seed, k in self.places.items()
        }


def _parts(labelled: Labelled) -> Iterator[tuple[Any, NDArray[np.int64]]]:
    """Yield images and labels, few enough at a time for the answers of all chips."""
    for k in range(0, len(labelled.labels), ASKED):
        yield labelled.images[k : k + ASKED], labelled.labels[k : k + ASKED]


def _stand(training: Training, learnt: Learnt) -> None:
    state, notes = learnt
    training.restore(state)
    training.take_notes(notes)


_waiting: dict[str, dict[int, Learnt]] = {}
"""What has been learnt in a batch by seeds that have not been asked for yet."""


def learnt_with(training: Training, progress: Callable[[int, int], None] | None = None) -> None:
    """Let a training learn to its end in its batch."""
    together, numbers = training.arm.together or 1, training.numbers
    number = numbers[training.seed]
    chosen = [seed for seed, other in numbers.items() if other // together == number // together]

    def make(seed: int) -> Training:
        found: Training = training.another(seed)
        found.watched = training.watched
        return found

    first = training if training.seed == chosen[0] else make(chosen[0])
    key = f"{first.identity} {chosen} {training.watched} {training.evaluation if training.asked_together else ''}"
    if training.seed not in _waiting.get(key, {}):
        batch = Together(make, chosen)
        batch.run(progress)
        learnt = {seed: batch.of(seed) for seed in chosen}
        for seed, answered in batch.answered().items():
            learnt[seed][1]["answered"] = answered
        _waiting[key] = learnt
    _stand(training, _waiting[key].pop(training.seed))
    if not _waiting[key]:
        del _waiting[key]
