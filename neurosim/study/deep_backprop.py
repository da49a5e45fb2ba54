"""The baseline with labels: the layers of a deep network trained end to end, a net for each depth, resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import CheckpointError
from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Dataset, Labelled
from neurosim.network.images import Pool
from neurosim.network.readout import halvings
from neurosim.study.deep import CHUNK
from neurosim.study.deep_build import start_weights
from neurosim.study.deep_spec import Backpropagation, DeepArm, DeepExperiment
from neurosim.study.resumable import SAVE_EVERY_S, Report
from neurosim.study.store import (
    pack_bits,
    read_arrays,
    read_kept,
    text_array,
    text_digest,
    versions,
    write_arrays,
    write_kept,
)

RADIUS = 2.0**0.5
"""Norm of the start weights that keeps the size of currents behind ReLU (He et al. 2015, arXiv 1502.01852)."""
SHAPE_FIELDS = {"neurons", "kernel", "pad", "pool", "pool_kernel", "pool_stride", "pool_pad"}
TRAIN_TESTED = 5000
"""Training images that tell the accuracy on these, as for the heads of the other arms."""


class EndToEndTraining:
    """One net of the first `depth` layers on its way through the images; `save` and `resume` lose no bit.

    Parameters
    ----------
    experiment : DeepExperiment
        Its layers, its mini-batch and dropout of heads; what it says of local rules is of no account.
    arm : DeepArm
        With `backpropagation`.
    depth : int
    seed : int
        Of the start weights (those of the other arms but for their norm), the order of images, and the dropout.
    data : Dataset

    Attributes
    ----------
    steps, total : int
        Mini-batches learnt, and those of the whole training. What is left over of an epoch is left out of it.
    curve : dict
        Mean loss and accuracy of each epoch, on the images as they were learnt, dropout included.
    """

    def __init__(self, experiment: DeepExperiment, arm: DeepArm, depth: int, seed: int, data: Dataset):
        from neurosim.reference.backprop import Block, EndToEnd

        self.experiment, self.arm, self.depth, self.seed, self.data = experiment, arm, depth, seed, data
        self.settings = arm.backpropagation or Backpropagation()
        self.fit = data.training(hold_out=experiment.hold_out)
        held = Labelled(data.x_validation, data.y_validation)
        self.test = held if experiment.hold_out else Labelled(data.x_test, data.y_test)
        blocks, channels = [], data.image_shape[2]
        for number, layer in enumerate(experiment.layers[:depth]):
            weights = start_weights(layer, RADIUS, layer.kernel**2 * channels, number, seed)
            pool = Pool(layer.pool, layer.pool_kernel, layer.pool_stride, layer.pool_pad)
            blocks.append(Block(weights, layer.kernel, layer.pad, pool))
            channels = layer.neurons
        self.net = EndToEnd(
            blocks, data.image_shape, data.classes, seed=seed, dropout=experiment.dropout,
            learning_rate=self.settings.learning_rate,
        )  # fmt: skip
        self.batch = min(experiment.head_batch, len(self.fit.labels))
        self.batches = len(self.fit.labels) // self.batch
        self.total = self.settings.epochs * self.batches
        self.curve: dict[str, list[float]] = {"loss": [], "accuracy": []}
        self.running, self.seconds = [0.0, 0.0], 0.0

    @property
    def steps(self) -> int:
        """Mini-batches learnt."""
        return self.net.steps

    @property
    def identity(self) -> str:
        """What a checkpoint must agree with: everything that determines the trained bits and the accuracy."""
        spec = self.experiment
        shapes = [layer.model_dump(mode="json", include=SHAPE_FIELDS) for layer in spec.layers[: self.depth]]
        settings = self.settings.model_dump(mode="json", exclude_defaults=True)
        data = [spec.dataset, self.data.note, spec.train_images, spec.test_images, spec.hold_out]
        rest = ["backpropagation", self.seed, spec.head_batch, spec.dropout, versions()]
        return json.dumps([shapes, settings, data, rest], sort_keys=True)

    def run(self, save: Callable[[], None] | None = None) -> None:
        """Train to the end from wherever it stands; `save` is called after every mini-batch."""
        from neurosim.reference.backprop import torch_threads

        order, epoch = np.empty(0, np.int64), -1
        with torch_threads(self.settings.threads):
            while self.steps < self.total:
                started = time.perf_counter()
                now, batch = divmod(self.steps, self.batches)
                if now != epoch:
                    epoch = now
                    order = generator(self.seed, "order", epoch).permutation(len(self.fit.labels))
                self._step(order[batch * self.batch : (batch + 1) * self.batch], self._rate(epoch))
                if batch + 1 == self.batches:
                    self._close_epoch()
                self.seconds += time.perf_counter() - started
                if save:
                    save()

    def _step(self, chosen: NDArray[np.int64], rate: float) -> None:
        loss, right = self.net.learn(self._images(self.fit.images[chosen]), self.fit.labels[chosen], rate)
        self.running[0] += loss / self.batches
        self.running[1] += right / (self.batches * self.batch)

    def _close_epoch(self) -> None:
        for values, value in zip(self.curve.values(), self.running, strict=True):
            values.append(round(value, 6))
        self.running = [0.0, 0.0]

    def _rate(self, epoch: int) -> float:
        halved = sum(epoch >= first for first in halvings(self.settings.epochs))
        return self.settings.learning_rate * 0.5**halved

    def _images(self, flat: Any) -> Floats:
        found: Floats = self.data.inputs(flat).reshape(-1, *self.data.image_shape)
        return found

    def right(self, part: Labelled) -> NDArray[np.bool_]:
        """Return which images are classified right."""
        from neurosim.reference.backprop import torch_threads

        with torch_threads(self.settings.threads):
            answers = [
                self.net.predict(self._images(part.images[first : first + CHUNK]))
                for first in range(0, len(part.labels), CHUNK)
            ]
        found: NDArray[np.bool_] = np.concatenate(answers) == part.labels
        return found

    def result(self) -> dict[str, Any]:
        """Return what becomes an entry of a run's `heads`, and beside it the seconds and the net's layers."""
        right = self.right(self.test)
        fit = self.right(Labelled(self.fit.images[:TRAIN_TESTED], self.fit.labels[:TRAIN_TESTED]))
        head = {
            "depth": self.depth,
            "accuracy": float(right.mean()),
            "train_accuracy": float(fit.mean()),
            "correct": pack_bits(right),
            "curve": self.curve,
        }
        layers = [
            {
                "rows": len(weights),
                "neurons": weights.shape[1],
                "norm_mean": float(np.linalg.norm(weights, axis=0).mean()),
                "weight_rms": float(np.sqrt(np.mean(np.square(weights)))),
            }
            for weights in self.net.kernel_weights()
        ]
        return {"head": head, "layers": layers, "seconds": self.seconds, "test_size": len(right)}

    def save(self, path: Path) -> None:
        """Write a checkpoint; a finished one leaves out what only further training needs."""
        notes = {
            "identity": self.identity, "curve": self.curve, "running": self.running, "seconds": self.seconds,
        }  # fmt: skip
        saved: State = self.net.snapshot(adam=self.steps < self.total)
        write_arrays(path, {**saved, "notes": text_array(json.dumps(notes))})

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; raises `CheckpointError` if it is damaged or belongs to another experiment."""
        saved = read_arrays(path)
        try:
            notes = json.loads(saved.pop("notes").tobytes())
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); delete it to start again") from None
        if notes["identity"] != self.identity:
            raise CheckpointError(f"{path} belongs to another experiment; choose another --out or delete it")
        self.net.restore(saved)
        self.curve, self.running, self.seconds = notes["curve"], notes["running"], notes["seconds"]


def run_end_to_end(
    experiment: DeepExperiment, arm: DeepArm, seed: int, data: Dataset, out: Path, report: Report | None
) -> dict[str, Any]:
    """Train a net for every depth that gets a head and return one entry of the results' `runs`.

    What is finished in `out` is not computed again, whatever other depths or arms are asked for.
    """
    nets = [_net(experiment, arm, depth, seed, data, out, report) for depth in experiment.depths]
    settings = arm.backpropagation or Backpropagation()
    return {
        "arm": arm.name,
        "seed": seed,
        "accuracy": nets[-1]["head"]["accuracy"],
        "test_size": nets[-1]["test_size"],
        "heads": [net["head"] for net in nets],
        "layers": nets[-1]["layers"],
        "seconds": sum(net["seconds"] for net in nets),
        "backpropagation": settings.model_dump(mode="json")
        | {"batch": experiment.head_batch, "dropout": experiment.dropout},
    }


def _net(
    experiment: DeepExperiment, arm: DeepArm, depth: int, seed: int, data: Dataset, out: Path, report: Report | None
) -> dict[str, Any]:  # fmt: skip
    training = EndToEndTraining(experiment, arm, depth, seed, data)
    name = text_digest(training.identity)
    checkpoint, kept = out / "runs" / f"{name}.npz", out / "runs" / f"{name}.json"
    if kept.exists():
        return read_kept(kept, "head", "layers", "seconds", "test_size")
    if checkpoint.exists():
        training.resume(checkpoint)
    last, where = time.monotonic(), f"{arm.name}, seed {seed}, depth {depth}"

    def save() -> None:
        nonlocal last
        epochs, within = divmod(training.steps, training.batches)
        if not within and report:
            report(
                f"{where}: {epochs} of {training.settings.epochs} epochs, loss {training.curve['loss'][-1]:.4f}"
            )
        if time.monotonic() - last > SAVE_EVERY_S or training.steps == training.total:
            training.save(checkpoint)
            last = time.monotonic()

    training.run(save)
    result = training.result()
    write_kept(kept, result)
    if report:
        report(f"{where}: {result['head']['accuracy']:.4f}")
    return result
