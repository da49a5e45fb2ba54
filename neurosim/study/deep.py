"""Deep networks learnt layer by layer or all at once, with a linear head on every depth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats, State
from neurosim.data.dataset import Dataset
from neurosim.kernels.jit import share
from neurosim.network.arrays import to_numpy
from neurosim.network.augment import Moves
from neurosim.network.convolution import Convolution
from neurosim.network.readout import LinearReadout, single_threaded_torch
from neurosim.study.controls import decided
from neurosim.study.deep_build import build_stack
from neurosim.study.deep_spec import ALL_DEPTHS, DeepArm, DeepExperiment
from neurosim.study.embedded import PIXELS, embedded
from neurosim.study.evaluate import Answers, on_devices
from neurosim.study.fine_tuning import fine_tuned
from neurosim.study.robustness import spoilt_of
from neurosim.study.run import study
from neurosim.study.store import pack_bits, write_arrays
from neurosim.study.training import Report, Seed, Training

NORM_BATCHES = 500
"""Mini-batches that calibrate the normalisation of random weights."""
CHUNK = 250
PATCHED = 1000
"""Reported-on images among whose patches those are looked for that drive a neuron most."""


class DeepTraining(Training):
    """Convolutions one behind the other on their way through the images."""

    experiment: DeepExperiment
    arm: DeepArm
    keeps_learnt = True
    takes_tensors = True

    def __init__(self, experiment: DeepExperiment, arm: DeepArm, seed: Seed, data: Dataset):
        super().__init__(experiment, arm, seed, data)
        self.image_shape = experiment.image_shape(data)
        self.stack = build_stack(experiment, self.arm, self.image_shape, seed)
        self.layers = [layer.dense for layer in self.stack.layers]

    @property
    def images(self) -> Any:
        """What is learnt: unlabelled images, where the data set has them."""
        return self.fit.images if self.data.x_unlabelled is None else self.data.x_unlabelled

    @property
    def evaluation(self) -> str:
        """What decides a result beyond the training."""
        shown, found = self.experiment.shown, super().evaluation
        return json.dumps([found, shown]) if shown else found

    @property
    def greedy(self) -> bool:
        """Whether one layer learns after the other, each in passes of its own."""
        return (self.arm.schedule or self.experiment.schedule) == "greedy"

    @property
    def total(self) -> int:
        """Mini-batches of the whole training."""
        if not self.arm.learns:
            return min(NORM_BATCHES, self.batches)
        passes = len(self.stack.layers) if self.greedy else 1
        return passes * self.experiment.epochs * self.batches

    @property
    def updates_a_step(self) -> int:
        """Updates of the arrays that one mini-batch is: none where nothing learns."""
        return 1 if self.arm.learns else 0

    def step(self, chosen: NDArray[np.int64]) -> None:
        """Learn one mini-batch, or take its statistics in where nothing learns."""
        images = self._moved(self._shaped(self.taken(chosen)))
        if self.steps % self.experiment.calibrate_every == 0:
            self._calibrate(images)
        if not self.arm.learns:
            for layer in self.stack.layers:
                images = layer.observe(images)
            return
        passes = self.experiment.epochs * self.batches
        self.stack.learn(images, self.steps // passes if self.greedy else None)

    def _moved(self, images: Any) -> Any:
        """Images of a mini-batch as layers learn from them, those of each instance by draws of its own."""
        augment = self.experiment.moved
        if augment is None or not augment.layers:
            return images
        count, place = images.shape[-4], ("layers", self.epochs_before, self.steps)
        each = [
            augment.moves(count, self.image_shape, seed, *place) for seed in self.instances or (self.seed,)
        ]
        moves = Moves(*(np.concatenate(parts) for parts in zip(*each, strict=True)))
        return moves.of(images.reshape(-1, *self.image_shape)).reshape(images.shape)

    def calibrate(self) -> None:
        """Set the converters by training images, each layer by what the one before makes of them."""
        self._calibrate(self._images(self.fit.images[:CHUNK]))

    def _calibrate(self, images: Floats) -> None:
        if self.arm.device is not None:
            for layer in self.stack.layers:
                images = layer.calibrate(images)

    def _images(self, flat: Any) -> Floats:
        return self._shaped(self.data.inputs(flat))

    def _shaped(self, inputs: Any) -> Floats:
        found: Floats = inputs.reshape(*inputs.shape[:-1], *self.image_shape)
        return found

    def features(self, images: Any, depths: Sequence[int], copies: int = 0) -> dict[int, Any]:
        """Return what each depth answers to images, (n, features) in half precision, in one pass.

        With copies, (n * (1 + copies), features): behind what it answers to all images what it does to these as `augment` moves them.
        """
        found: dict[int, Any] = {}
        for version, first in product(range(1 + copies), range(0, len(images), CHUNK)):
            some = self._version(self._images(images[first : first + CHUNK]), version, first, len(images))
            for depth, flat in self._answers(some, max(depths)):
                if depth in depths:
                    size = len(images) * (1 + copies), flat.shape[1]
                    kept = found.setdefault(depth, np.empty(size, np.float16))
                    place = version * len(images) + first
                    kept[place : place + len(flat)] = flat
        return found

    def _version(self, images: Floats, version: int, first: int, count: int) -> Floats:
        """Images from the place `first` of so many on as heads see them, the images themselves being version 0."""
        augment = self.experiment.moved
        if augment is None or not version:
            return images
        moved: Floats = augment.moves(count, self.image_shape, self.seed, "heads", version).of(images, first)
        return moved

    def _answers(self, images: Floats, depth: int) -> Iterator[tuple[int, Floats]]:
        """Yield each depth up to one, the first being 1, and what it answers, (n, features)."""
        x = images
        for number, layer in enumerate(self.stack.layers[:depth], 1):
            x = layer.forward(x)
            yield number, to_numpy(x.reshape(len(x), -1))

    def represented(self, images: Any) -> Floats:
        """Return what the last depth with a head answers to images, (n, features) in half precision."""
        depth = self.experiment.depths[-1]
        found: Floats = self.features(images, [depth])[depth]
        return found

    def readout(self, features: Floats, labels: Answers, classes: int) -> LinearReadout:
        """Return a head trained on features (n, features), or (versions * n, features)."""
        spec = self.experiment
        head, versions = LinearReadout(features.shape[1], classes, self.seed), len(features) // len(labels)
        head.fit(features, labels, spec.head_epochs, spec.head_batch, spec.dropout, True, versions)
        return head

    def evaluated(self) -> dict[str, Any]:
        """Put a head on every depth and return one entry of the results' `runs`."""
        layers = [self._layer(layer) for layer in self.stack.layers]
        spec, depths = self.experiment, self.experiment.depths
        copies = 0 if spec.moved is None else spec.moved.copies
        fit: dict[Any, Any] = {**self.features(self.fit.images, depths, copies)}
        test: dict[Any, Any] = {**self.features(self.test.images, depths)}
        if spec.head_of_all:
            fit[ALL_DEPTHS], test[ALL_DEPTHS] = (
                np.concatenate([part[depth] for depth in depths], axis=1) for part in (fit, test)
            )
        asked: list[Any] = [*depths, *([ALL_DEPTHS] if spec.head_of_all else [])]
        trained = share(lambda depth: self.readout(fit[depth], self.fit.labels, self.data.classes), asked)
        heads = [
            self._head(depth, head, fit[depth], test[depth])
            for depth, head in zip(asked, trained, strict=True)
        ]
        last, heads, others = trained[len(depths) - 1], heads[: len(depths)], heads[len(depths) :]
        if spec.fine_tuning is not None:
            others.append(fine_tuned(self, last, depths[-1]))
        return {
            **self._robust(last),
            "arm": self.arm.name,
            "seed": self.seed,
            "accuracy": heads[-1]["accuracy"],
            "test_size": len(self.test.labels),
            "heads": heads,
            **({"heads_beside": others} if others else {}),
            "layers": layers,
            "seconds": self.seconds,
        }

    def _robust(self, head: LinearReadout) -> dict[str, Any]:
        """Ask the last depth that has a head for spoilt images, where the experiment says so."""
        settings, depth = self.experiment.robustness, self.experiment.depths[-1]
        if settings is None:
            return {}
        from neurosim.reference.ideal_copy import IdealCopy

        def ask(images: Floats) -> Answers:
            (*_, (_, answered)) = self._answers(images, depth)
            return head.predict(answered.astype(np.float16))

        layers = self.stack.layers[:depth]
        net = IdealCopy(layers, head) if settings.attacks else None
        with single_threaded_torch():
            return spoilt_of(self, ask, net, [layer.array for layer in layers])

    def _head(self, depth: int | str, head: LinearReadout, fit: Any, test: Any) -> dict[str, Any]:
        """Try a linear classifier of what one depth answers, or all of them."""
        right, labels = head.predict(test) == self.test.labels, self.fit.labels[:5000]
        return {
            "depth": depth,
            "accuracy": float(right.mean()),
            "train_accuracy": head.accuracy(fit[: len(labels)], labels),
            "correct": pack_bits(right),
        }

    def _layer(self, layer: Convolution) -> dict[str, Any]:
        weights = to_numpy(layer.array.weights())
        norms = np.linalg.norm(weights, axis=0)
        found: dict[str, Any] = {
            "rows": layer.array.shape[0],
            "neurons": layer.array.shape[1],
            "norm_mean": float(norms.mean()),
            "norm_near_one": float((np.abs(norms - 1) < 0.05).mean()),
            "weight_rms": float(np.sqrt(np.mean(np.square(weights)))),
            "norm_tracking_error": float(layer.dense.norm_errors[-1]) if layer.dense.norm_errors else None,
        }
        devices = on_devices(layer.array)
        if devices is not None:
            found["energy"] = devices.ledger.energy(weights.size)
            found["adc_clipped_share"] = devices.ledger.clipped_share
        return found

    def keep_beside(self, out: Path) -> None:
        """Write what drives neurons most, and images as points, of the first seed, where the experiment asks for it."""
        spec = self.experiment
        if self.seed != spec.first_seed:
            return
        kept: State = {}
        if spec.preferred:
            kept |= self._preferred(spec.preferred)
        if spec.embedded:
            images = self.test.images[: spec.embedded]
            pixels = {PIXELS: self.data.inputs(images)}
            depths = range(1, len(self.stack.layers) + 1)
            kept |= embedded(
                pixels | self.features(images, depths), self.test.labels[: spec.embedded], self.seed
            )
        if kept:
            write_arrays(out / f"pictures-{self.name}.npz", kept)

    def _preferred(self, neurons: int) -> State:
        """What drives the first neurons of each depth most."""
        from neurosim.reference.ideal_copy import IdealCopy
        from neurosim.reference.preferred import best_patches, preferred

        net, images = IdealCopy(self.stack.layers), self._images(self.test.images[:PATCHED])
        kept: State = {}
        with single_threaded_torch():
            for depth in range(1, len(self.stack.layers) + 1):
                kept[f"preferred.{depth}"] = preferred(net, depth, neurons, self.seed)
                best = best_patches(net, depth, neurons, images)
                kept[f"patches.{depth}"], kept[f"driven.{depth}"] = best.patches, best.currents
        return kept

    def snapshot(self, *instance: int) -> State:
        """Return the layers, as named arrays; of one instance, where there are several."""
        return {f"stack.{name}": values for name, values in self.stack.snapshot(*instance).items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        self.stack.restore({name.removeprefix("stack."): values for name, values in saved.items()})


def deep(
    experiment: DeepExperiment, out: Path | None = None, report: Report | None = None, workers: int = 1
) -> dict[str, Any]:
    """Train every arm with every seed and summarise the accuracy at each depth.

    Parameters
    ----------
    experiment, out, report, workers
        As of `neurosim.study.run.study`.

    Returns
    -------
    results : dict
        ``runs``; ``summary`` with ``arm``, ``depth``, and what `neurosim.study.controls.decided` has; ``holding``, what each
        arm's devices make of the weights of each layer, known before training (`study.holding`).
    """
    return study(experiment, out, report, workers)


def summarise(experiment: DeepExperiment, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry for each arm and depth, all depths together, and fine-tuned, where asked: accuracy, and beside ideal arithmetic gap and verdict (`controls.decided`)."""
    found = []
    for arm in experiment.listed:
        seeds = sum(run["arm"] == arm.name for run in runs)
        own = next((run for run in runs if run["arm"] == arm.name), {})
        for depth in (*experiment.depths, *(head["depth"] for head in own.get("heads_beside", ()))):
            said = decided(experiment, runs, arm.name, depth)
            found.append({"arm": arm.name, "depth": depth, "seeds": seeds, **said})
    return found
