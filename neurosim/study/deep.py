"""Train deep networks layer by layer or all at once, resume them at any mini-batch, and put heads on every depth."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import neurosim.data
from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Dataset, Labelled
from neurosim.devices.card import load
from neurosim.kernels.jit import share
from neurosim.network.convolution import Convolution
from neurosim.network.readout import LinearReadout
from neurosim.study.build import on_devices
from neurosim.study.code import own_code
from neurosim.study.deep_build import build_stack, holding
from neurosim.study.deep_spec import DeepArm, DeepExperiment
from neurosim.study.resumable import Report, Resumable, finished
from neurosim.study.statistics import of_runs
from neurosim.study.store import open_folder, pack_bits, versions

NORM_BATCHES = 500
"""Mini-batches that calibrate the normalisation of random weights."""
CHUNK = 250
HEAD_FIELDS = {"heads", "head_epochs", "head_batch", "dropout"}


class DeepTraining(Resumable):
    """One arm with one seed on its way through the images; `save` and `resume` lose no bit."""

    def __init__(self, experiment: DeepExperiment, arm: DeepArm, seed: int, data: Dataset):
        self.experiment, self.arm, self.seed, self.data = experiment, arm, seed, data
        self.name = arm.name
        self.fit = data.training(hold_out=experiment.hold_out)
        held = (data.x_validation, data.y_validation)
        self.test = Labelled(*held) if experiment.hold_out else Labelled(data.x_test, data.y_test)
        self.stack = build_stack(experiment, arm, data.image_shape, seed)
        self.images = self.fit.images if data.x_unlabelled is None else data.x_unlabelled
        self.batches = len(self.images) // experiment.batch

    @property
    def identity(self) -> str:
        """What a checkpoint must agree with: everything that determines the trained bits, heads aside."""
        aside = {"seeds", "first_seed", "arm", *HEAD_FIELDS}
        settings = self.experiment.model_dump(mode="json", exclude=aside, exclude_defaults=True)
        layers = [layer.model_dump(mode="json", exclude_defaults=True) for layer in self.experiment.layers]
        law = None if self.arm.device is None else load(self.arm.device)
        device = None if law is None else law.model_dump(mode="json")
        data = [self.data.note, len(self.fit.images)]
        code = own_code(law, *(layer.dense.rule for layer in self.stack.layers))
        return json.dumps(
            [settings, layers, self.arm.own, device, self.seed, data, versions(), *code], sort_keys=True
        )

    @property
    def evaluation(self) -> str:
        """What determines a result beyond the training: its name and the heads."""
        return json.dumps(
            [self.arm.name, self.experiment.model_dump(mode="json", include=HEAD_FIELDS)], sort_keys=True
        )

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

    def run(self, progress: Callable[[int, int], None] | None = None, save: Any = None) -> None:
        """Train to the end from wherever it stands; `save` is called after every mini-batch."""
        order, epoch = np.empty(0, np.int64), -1
        while self.steps < self.total:
            started = time.perf_counter()
            now, batch = divmod(self.steps, self.batches)
            if now != epoch:
                epoch = now
                order = generator(self.seed, "order", epoch).permutation(len(self.images))
            size = self.experiment.batch
            chosen = order[batch * size : (batch + 1) * size]
            self._step(self._images(self.images[chosen]))
            self.steps += 1
            self.seconds += time.perf_counter() - started
            if progress:
                progress(self.steps, self.total)
            if save:
                save()

    def _step(self, images: Floats) -> None:
        if not self.arm.learns:
            for layer in self.stack.layers:
                images = layer.observe(images)
            return
        if self.arm.device is not None and self.steps % self.experiment.calibrate_every == 0:
            x = images
            for layer in self.stack.layers:
                x = layer.calibrate(x)
        passes = self.experiment.epochs * self.batches
        self.stack.learn(images, self.steps // passes if self.greedy else None)

    def _images(self, flat: Any) -> Floats:
        found: Floats = self.data.inputs(flat).reshape(-1, *self.data.image_shape)
        return found

    def features(self, images: Any, depths: Sequence[int]) -> dict[int, Any]:
        """Return what each depth answers to images, (n, features) in half precision, in one pass."""
        found: dict[int, Any] = {}
        for first in range(0, len(images), CHUNK):
            x = self._images(images[first : first + CHUNK])
            for depth, layer in enumerate(self.stack.layers[: max(depths)], 1):
                x = layer.forward(x)
                if depth in depths:
                    flat = x.reshape(len(x), -1)
                    kept = found.setdefault(depth, np.empty((len(images), flat.shape[1]), np.float16))
                    kept[first : first + CHUNK] = flat
        return found

    def result(self, report: Report | None = None) -> dict[str, Any]:
        """Put a head on every depth and return one entry of the results' `runs`."""
        layers = [self._layer(layer) for layer in self.stack.layers]
        depths = self.experiment.depths
        fit, test = (self.features(part.images, depths) for part in (self.fit, self.test))
        heads = share(lambda depth: self._head(depth, fit[depth], test[depth]), depths)
        if report:
            for head in heads:
                report(f"{self.arm.name}, seed {self.seed}, depth {head['depth']}: {head['accuracy']:.4f}")
        return {
            "arm": self.arm.name,
            "seed": self.seed,
            "accuracy": heads[-1]["accuracy"],
            "test_size": len(self.test.labels),
            "heads": heads,
            "layers": layers,
            "seconds": self.seconds,
        }

    def _head(self, depth: int, fit: Any, test: Any) -> dict[str, Any]:
        """Train a linear classifier on what one depth answers and try it."""
        spec = self.experiment
        head = LinearReadout(fit.shape[1], self.data.classes, self.seed)
        head.fit(fit, self.fit.labels, spec.head_epochs, spec.head_batch, spec.dropout, halve=True)
        right = head.predict(test) == self.test.labels
        return {
            "depth": depth,
            "accuracy": float(right.mean()),
            "train_accuracy": head.accuracy(fit[:5000], self.fit.labels[:5000]),
            "correct": pack_bits(right),
        }

    def _layer(self, layer: Convolution) -> dict[str, Any]:
        weights = layer.array.weights()
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

    def snapshot(self) -> State:
        """Return the layers, as named arrays."""
        return {f"stack.{name}": values for name, values in self.stack.snapshot().items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        self.stack.restore({name.removeprefix("stack."): values for name, values in saved.items()})


def run_arm(
    experiment: DeepExperiment, arm: DeepArm, seed: int, data: Dataset, out: Path, report: Report | None
) -> dict[str, Any]:
    """Train and evaluate one arm with one seed; what is finished in `out` is not computed again.

    The trained network stays there too: other heads do not train it again.
    """
    if arm.backpropagation is not None:
        from neurosim.study.deep_backprop import run_end_to_end

        return run_end_to_end(experiment, arm, seed, data, out, report)
    return finished(DeepTraining(experiment, arm, seed, data), out, report)


def deep(experiment: DeepExperiment, out: Path, report: Report | None = None) -> dict[str, Any]:
    """Train every arm with every seed and summarise the accuracy at each depth.

    Parameters
    ----------
    experiment : DeepExperiment
    out : Path
        Folder of checkpoints and finished runs: a study that was killed goes on where it was.
    report : callable, optional
        Called with a line of text now and then.

    Returns
    -------
    results : dict
        ``runs``; ``summary`` with ``arm``, ``depth`` and ``accuracy_mean`` with its interval; ``holding``, what each
        arm's devices make of the weights of each layer, known before training (`study.holding`).
    """
    data = neurosim.data.load(experiment.dataset).subset(experiment.train_images, experiment.test_images)
    open_folder(out / "runs")
    beforehand = _holding(
        experiment, data
    )  # also refuses, before any training, a device that an arm cannot have
    runs = [run_arm(experiment, arm, seed, data, out, report) for seed, arm in experiment.planned]
    where = "validation split" if experiment.hold_out else "test set"
    return {
        "runs": runs,
        "summary": _summary(experiment, runs),
        **beforehand,
        "data": {"note": data.note, "reported_on": where, "train_images": len(data.training(experiment.hold_out).labels)},
        "config": experiment.model_dump(mode="json"),
        "versions": versions(),
    }  # fmt: skip


def in_advance(experiment: DeepExperiment) -> dict[str, Any]:
    """Return the ``holding`` of `deep` alone, without training anything."""
    return _holding(experiment, neurosim.data.load(experiment.dataset))


def _holding(experiment: DeepExperiment, data: Dataset) -> dict[str, Any]:
    on_devices = (arm for arm in experiment.arm if arm.device is not None)
    return {"holding": {arm.name: holding(experiment, arm, data.image_shape[2]) for arm in on_devices}}


def _summary(experiment: DeepExperiment, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for arm in experiment.arm:
        own = [run for run in runs if run["arm"] == arm.name]
        for place, depth in enumerate(experiment.depths):
            scores = [float(run["heads"][place]["accuracy"]) for run in own]
            mean = float(np.mean(scores))
            around = of_runs(scores, own[0]["test_size"])
            found.append(
                {"arm": arm.name, "depth": depth, "seeds": len(own), "accuracy_mean": mean, "accuracy_ci95": around}
            )  # fmt: skip
    return found
