"""Train networks by Forward-Forward, resume them at any mini-batch, and ask them for classes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import neurosim.data
from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Dataset, Labelled
from neurosim.devices.card import load
from neurosim.network.dense import Dense
from neurosim.network.forward_forward import Answers, ForwardForwardStack, SoftmaxHead
from neurosim.network.local_fields import locations
from neurosim.network.negatives import (
    Labels,
    hybrids,
    jittered,
    with_labels,
    with_neutral_label,
    wrong_labels,
)
from neurosim.network.readout import LinearReadout
from neurosim.study.build import on_devices
from neurosim.study.code import own_code
from neurosim.study.evaluate import looking
from neurosim.study.forward_forward_build import build_stack, holding
from neurosim.study.forward_forward_spec import HELD, ForwardForwardArm, ForwardForwardExperiment
from neurosim.study.resumable import Report, Resumable, finished
from neurosim.study.statistics import of_runs
from neurosim.study.store import open_folder, pack_bits, versions

CHUNK = 1000
READOUT_FIELDS = {"readout_epochs"}


class ForwardForwardTraining(Resumable):
    """One arm with one seed on its way through the images."""

    def __init__(
        self, experiment: ForwardForwardExperiment, arm: ForwardForwardArm, seed: int, data: Dataset
    ):
        self.experiment, self.arm, self.seed, self.data = experiment, arm, seed, data
        self.name = arm.name
        self.samples = experiment.samples_of(arm)
        self.fit = data.training(hold_out=self.holds_out)
        held = Labelled(data.x_validation, data.y_validation)
        self.test = held if experiment.hold_out else Labelled(data.x_test, data.y_test)
        followed = held if self.holds_out else self.fit
        some = slice(experiment.curve_images)
        self.followed = Labelled(followed.images[some], followed.labels[some])
        self.batches = len(self.fit.images) // experiment.batch
        self.stack = self._build()
        features = sum(layer.array.shape[1] for layer in self.stack.layers[self.stack.read_layers])
        self.head = SoftmaxHead(features, data.classes)
        self.curve: list[dict[str, Any]] = []

    @property
    def holds_out(self) -> bool:
        """Whether the validation images are left out of what is learnt, and followed."""
        return self.experiment.hold_out

    def _build(self) -> ForwardForwardStack:
        return build_stack(self.experiment, self.arm, self.data.image_shape, self._updates, self.seed)

    @property
    def _updates(self) -> int:
        """Updates that the layers take in the whole training."""
        return self.total * (2 * self.experiment.batch if self.experiment.online else 1)

    @property
    def identity(self) -> str:
        """What a checkpoint must agree with: everything that determines the trained bits."""
        aside = {"seeds", "first_seed", "arm", *READOUT_FIELDS}
        settings = self.experiment.model_dump(mode="json", exclude=aside, exclude_defaults=True)
        law = None if self.arm.device is None else load(self.arm.device)
        device = None if law is None else law.model_dump(mode="json")
        data = [self.data.note, len(self.fit.images)]
        layers, code = list(self.experiment.layers), own_code(law)
        return json.dumps(
            [settings, layers, self.arm.own, device, self.seed, data, versions(), *code], sort_keys=True
        )

    @property
    def evaluation(self) -> str:
        """What determines a result beyond the training: its name and the linear readout."""
        return json.dumps([self.arm.name, self.experiment.model_dump(mode="json", include=READOUT_FIELDS)])

    @property
    def total(self) -> int:
        """Mini-batches of the whole training."""
        return self.experiment.epochs * self.batches

    def run(self, progress: Callable[[int, int], None] | None = None, save: Any = None) -> None:
        """Train to the end from wherever it stands; `save` is called after every mini-batch."""
        order, epoch = np.empty(0, np.int64), -1
        while self.steps < self.total:
            started = time.perf_counter()
            now, batch = divmod(self.steps, self.batches)
            if now != epoch:
                epoch = now
                order = generator(self.seed, "order", epoch).permutation(len(self.fit.images))
            size = self.experiment.batch
            chosen = order[batch * size : (batch + 1) * size]
            self._step(self.data.inputs(self.fit.images[chosen]), self.fit.labels[chosen])
            self.steps += 1
            self.seconds += time.perf_counter() - started
            if self._looks:
                self.curve.append(self._point())
            if progress:
                progress(self.steps, self.total)
            if save:
                save()

    @property
    def _looks(self) -> bool:
        """Whether the accuracy is followed at this mini-batch."""
        return self.steps % self.batches == 0

    def _draws(self, purpose: str) -> np.random.Generator:
        """Random numbers of this mini-batch: nothing to keep in a checkpoint."""
        return generator(self.seed, purpose, self.steps)

    def _step(self, images: Floats, labels: Labels) -> None:
        spec, classes = self.experiment, self.data.classes
        made = self.samples
        if made.jitter:
            images = jittered(images, self.data.image_shape, made.jitter, self._draws("jitter"))
        if spec.supervised:
            positive = with_labels(images, labels, classes)
            neutral = with_neutral_label(images, classes)
            scores = self.head.learn(self.stack.features(self.stack.forward(neutral)), labels, self._gain)
            hard = scores if made.negatives == "hard" else np.zeros_like(scores)
            wrong = wrong_labels(hard, labels, made.negatives_per_sample, self._draws("negatives"))
            negative = np.concatenate([with_labels(images, some, classes) for some in wrong])
        else:
            positive, draws = images, self._draws("hybrids")
            several = [
                hybrids(images, self.data.image_shape, spec.blurs, draws)
                for _ in range(made.negatives_per_sample)
            ]
            negative = np.concatenate(several)
        if self.arm.device is not None and self.steps % spec.calibrate_every == 0:
            self.stack.calibrate(positive)
        states = self.stack.features(self._answers(positive, negative))
        if not spec.supervised:
            of_positive = states[::2] if spec.online and self.arm.learns else states[: len(images)]
            self.head.learn(of_positive, labels, self._gain)

    def _answers(self, positive: Floats, negative: Floats) -> Answers:
        """Let the layers learn, if they do, and return what they made of the samples before."""
        if not self.arm.learns:
            return self.stack.forward(positive)
        learn = self.stack.learn_apart if self.arm.phases == "apart" else self.stack.learn
        if self.experiment.online:
            learn = self.stack.learn_online
        answers = learn(positive, negative)
        if self.arm.seconds_per_update:
            self.stack.advance(self.arm.seconds_per_update)
        return answers

    @property
    def _gain(self) -> float:
        """What is left of the rate of the head, as of those of the layers."""
        return min(1.0, (1 - self.steps / self.total) / (1 - HELD))

    def _scores(self, some: Labelled) -> dict[str, float]:
        """Accuracies on some images, without a trace in what learns."""
        with ExitStack() as open_eyes:
            for layer in self.stack.layers:
                open_eyes.enter_context(looking(layer.array))
            found = self._predictions(some.images)
        return {name: float((classes == some.labels).mean()) for name, classes in found.items()}

    def _point(self) -> dict[str, Any]:
        """How far it has come after an epoch: accuracies, and since the last epoch quiet samples and pulses a layer."""
        scores = self._scores(self.followed)
        done = [point["counts"] for point in self.curve[-1:]] or [[[0, 0, 0]] * len(self.stack.layers)]
        pulses = [
            0 if (a := on_devices(each.array)) is None else a.ledger.pulses for each in self.stack.layers
        ]
        counts = np.column_stack([self.stack.quiet, pulses])
        quiet, samples, pulses = (counts - np.array(done[0])).T.tolist()
        return {
            "epoch": self.steps // self.batches,
            **scores,
            "quiet": [some / max(1, all_) for some, all_ in zip(quiet, samples, strict=True)],
            "pulses": pulses,
            "counts": counts.tolist(),
        }

    def _in_parts(self, images: Any, ask: Callable[[Floats], Any]) -> Any:
        """Ask about images a thousand at a time."""
        starts = range(0, len(images), CHUNK)
        return np.concatenate([ask(self.data.inputs(images[k : k + CHUNK])) for k in starts])

    def _features(self, images: Any) -> Floats:
        """States of all layers but the first: of images with a neutral label, or as they are (unsupervised)."""
        classes = self.data.classes
        if self.experiment.supervised:
            found: Floats = self._in_parts(images, lambda x: self.stack.neutral_states(x, classes))
        else:
            found = self._in_parts(images, lambda x: self.stack.features(self.stack.forward(x)))
        return found

    def _predictions(self, images: Any) -> dict[str, Labels]:
        """Classes by every readout that needs no training of its own."""
        classes = self.data.classes
        found = {"softmax": self.head.predict(self._features(images))}
        if self.experiment.supervised:
            labelled = self._in_parts(images, lambda x: self.stack.goodness_of_labels(x, classes))
            found["goodness"] = labelled.argmax(axis=1)
        return found

    def result(self, report: Report | None = None) -> dict[str, Any]:
        """Ask for the classes of the images reported on and return one entry of the results' `runs`."""
        layers = [self._layer(layer) for layer in self.stack.layers]
        found = self._predictions(self.test.images)
        if not self.experiment.supervised:
            fit = self._features(self.fit.images)
            readout = LinearReadout(fit.shape[1], self.data.classes, self.seed)
            readout.fit(fit, self.fit.labels, self.experiment.readout_epochs)
            found["linear"] = readout.predict(self._features(self.test.images))
        right = {name: found[name] == self.test.labels for name in self.experiment.readouts}
        scores = {name: float(some.mean()) for name, some in right.items()}
        if report:
            told = ", ".join(f"{name} {score:.4f}" for name, score in scores.items())
            report(f"{self.arm.name}, seed {self.seed}: {told}")
        return {
            "arm": self.arm.name,
            "seed": self.seed,
            "accuracy": scores[self.experiment.readouts[0]],
            "readouts": scores,
            "test_size": len(self.test.labels),
            "correct": {name: pack_bits(some) for name, some in right.items()},
            "curve": self.curve,
            "layers": layers,
            "seconds": self.seconds,
        }

    def _layer(self, layer: Dense) -> dict[str, Any]:
        arrays = locations(layer.array)
        weights = np.stack([array.weights() for array in arrays])
        found: dict[str, Any] = {
            "rows": weights.shape[1],
            "neurons": weights.shape[2],
            "weight_rms": float(np.sqrt(np.mean(np.square(weights[:, :-1])))),
            "bias_rms": float(np.sqrt(np.mean(np.square(weights[:, -1])))),
        }
        if len(arrays) > 1:
            found["locations"] = len(arrays)
        devices = on_devices(layer.array)
        if devices is not None:
            found["energy"] = devices.ledger.energy(weights.size)
            found["adc_clipped_share"] = devices.ledger.clipped_share
        return found

    def snapshot(self) -> State:
        """Return layers and head, as named arrays."""
        parts = {"stack": self.stack.snapshot(), "head": self.head.snapshot()}
        return {f"{part}.{name}": values for part, own in parts.items() for name, values in own.items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        for part, own in (("stack.", self.stack), ("head.", self.head)):
            own.restore({name.removeprefix(part): v for name, v in saved.items() if name.startswith(part)})

    def notes(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside arrays."""
        return {**super().notes(), "curve": self.curve}

    def take_notes(self, notes: dict[str, Any]) -> None:
        """Go back to notes of a checkpoint."""
        super().take_notes(notes)
        self.curve = notes["curve"]


def forward_forward(
    experiment: ForwardForwardExperiment, out: Path, report: Report | None = None
) -> dict[str, Any]:
    """Train every arm with every seed and summarise the accuracy of each readout.

    Parameters
    ----------
    experiment : ForwardForwardExperiment
    out : Path
        Folder of checkpoints and finished runs: a study that was killed goes on where it was.
    report : callable, optional
        Called with a line of text now and then.

    Returns
    -------
    results : dict
        ``runs``; ``summary`` with ``arm``, ``readout`` and ``accuracy_mean`` with its interval; ``holding``, what each
        arm's devices make of the weights of each layer, known before training.
    """
    data = neurosim.data.load(experiment.dataset).subset(experiment.train_images, experiment.test_images)
    open_folder(out / "runs")
    beforehand = _holding(
        experiment, data
    )  # also refuses, before any training, a device that an arm cannot have
    runs = [
        finished(ForwardForwardTraining(experiment, arm, seed, data), out, report)
        for seed, arm in experiment.planned
    ]
    fit = len(data.training(experiment.hold_out).labels)
    where = "validation split" if experiment.hold_out else "test set"
    followed = "validation split" if experiment.hold_out else "training images"
    return {
        "runs": runs,
        "summary": _summary(experiment, runs),
        **beforehand,
        "data": {"note": data.note, "reported_on": where, "followed_on": followed, "train_images": fit},
        "config": experiment.model_dump(mode="json"),
        "versions": versions(),
    }


def in_advance(experiment: ForwardForwardExperiment) -> dict[str, Any]:
    """Return the ``holding`` of `forward_forward` alone, without training anything."""
    return _holding(experiment, neurosim.data.load(experiment.dataset))


def _holding(experiment: ForwardForwardExperiment, data: Dataset) -> dict[str, Any]:
    on_devices = (arm for arm in experiment.arm if arm.device is not None)
    return {"holding": {arm.name: holding(experiment, arm, data.image_shape) for arm in on_devices}}


def _summary(experiment: ForwardForwardExperiment, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for arm in experiment.arm:
        own = [run for run in runs if run["arm"] == arm.name]
        for readout in experiment.readouts:
            scores = [float(run["readouts"][readout]) for run in own]
            mean = float(np.mean(scores))
            around = of_runs(scores, own[0]["test_size"])
            found.append(
                {"arm": arm.name, "readout": readout, "seeds": len(own), "accuracy_mean": mean, "accuracy_ci95": around}
            )  # fmt: skip
    return found
