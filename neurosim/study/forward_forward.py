"""Networks that learn by Forward-Forward, and are asked for classes by goodness, by a head, by a linear readout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Dataset, Labelled
from neurosim.network.arrays import library, one_of, to_numpy
from neurosim.network.dense import Dense
from neurosim.network.forward_forward import Answers, ForwardForwardStack, SoftmaxHead
from neurosim.network.local_fields import locations
from neurosim.network.negatives import (
    Labels,
    hybrids,
    jittered,
    mixtures,
    wrong_labels,
)
from neurosim.network.readout import LinearReadout, Readout
from neurosim.study.controls import decided
from neurosim.study.evaluate import linear_readout, on_devices
from neurosim.study.forward_forward_build import build_stack
from neurosim.study.forward_forward_spec import HELD, ForwardForwardArm, ForwardForwardExperiment
from neurosim.study.run import study
from neurosim.study.store import pack_bits
from neurosim.study.training import Report, Seed, Training

CHUNK = 1000


class Awake(NamedTuple):
    """A mini-batch whose positive samples were learnt, and whose negatives wait for the sleep."""

    step: int
    """Its number, which decides its random numbers."""
    chosen: NDArray[np.int64]
    """(..., images): places among the images that are learnt."""
    wrong: Any
    """(..., negatives, images): labels of its negatives; None where they have none."""


class ForwardForwardTraining(Training):
    """One arm with one seed on its way through the images."""

    experiment: ForwardForwardExperiment
    arm: ForwardForwardArm
    keeps_learnt = True
    goes_on = False

    def __init__(
        self, experiment: ForwardForwardExperiment, arm: ForwardForwardArm, seed: Seed, data: Dataset
    ):
        super().__init__(experiment, arm, seed, data)
        self.samples = experiment.samples_of(arm)
        recurrent = experiment.recurrent_of(arm)
        self.iterations = 1 if recurrent is None else recurrent.iterations
        """Of the network in which its layers learn, each an update."""
        self.followed = experiment.followed(data, self.fit, self.holds_out)
        self.answers = {}
        self.waiting: list[Awake] = []
        """Mini-batches since the last sleep, where the phases are far apart."""
        self.stack = self._build()
        self.layers = self.stack.layers
        features = sum(layer.array.shape[1] for layer in self.stack.layers[self.stack.read_layers])
        heads = len(self.instances) or None
        self.head = SoftmaxHead(features, data.classes, placed=self.layers[0].placed, instances=heads)

    @property
    def holds_out(self) -> bool:
        """Whether the validation images are left out of what is learnt, and followed."""
        found: bool = self.experiment.hold_out
        return found

    def parts(self) -> tuple[Labelled, Labelled]:
        """Return the images that are learnt and those that are reported on."""
        return self.data.training(hold_out=self.holds_out), super().parts()[1]

    @property
    def _born_with(self) -> tuple[Any, Any]:
        """Seeds of what a chip is born with and start weights, where they are not its own (`build_stack`)."""
        return None, None

    def _build(self) -> ForwardForwardStack:
        born, (draws, weights) = self.instances or self.seed, self._born_with
        return build_stack(
            self.experiment,
            self.arm,
            self.data.image_shape,
            self._updates,
            born,
            draws,
            weights,
            self.data.classes,
        )

    @property
    def updates_a_step(self) -> int:
        """Updates of the arrays that one mini-batch is: one, one for each phase, or one for each sample, in each iteration.

        Where phases are stretches of mini-batches, those of one phase: the sleep lets its own time pass.
        """
        if not self.arm.learns:
            return 0
        together = 2 if self.arm.phases == "apart" and self.arm.apart == 1 else 1
        return self.iterations * (2 * self.batch if self.experiment.online else together)

    @property
    def _updates(self) -> int:
        """Updates that the layers take in the whole training."""
        return self.total * self.iterations * (2 * self.batch if self.experiment.online else 1)

    def step(self, chosen: NDArray[np.int64]) -> None:
        """Make samples of one mini-batch; layers and head learn from them.

        Negatives far apart in time are of the same images with the same wrong labels, which the head drew while it was
        awake; a sleep ends each stretch, and the training.
        """
        self._step(chosen)
        if len(self.waiting) == self.arm.apart or (self.waiting and self.steps + 1 == self.total):
            self._sleep()

    def calibrate(self) -> None:
        """Set the converters by training images, with their labels where these are learnt."""
        images = self.data.inputs(self.fit.images[:CHUNK])
        if self.experiment.supervised:
            images = self.stack.labelled(images, self.fit.labels[:CHUNK], self.data.classes)
        if self.instances:
            images = np.stack([images] * len(self.instances))
        self.stack.calibrate(images)

    @property
    def looks(self) -> bool:
        """Whether the accuracy is followed where it stands: at the end of each epoch."""
        return self.steps > 0 and self.steps % self.batches == 0

    def _drawn(self, purpose: str, step: int, make: Callable[..., Any], *of: Any) -> Any:
        """Return what `make` draws of values, an instance after the other; there is nothing to keep in a checkpoint."""
        if not self.instances:
            return make(*of, generator(self.seed, purpose, step))
        each = [
            make(*(values[k] for values in of), generator(seed, purpose, step))
            for k, seed in enumerate(self.instances)
        ]
        return library(each[0]).stack(each)

    def _shown(self, chosen: NDArray[np.int64], step: int) -> Floats:
        """Return images that are learnt as a step shows them: shifted, and where the layers compute if they carry labels."""
        images, shape, most = self.taken(chosen), self.data.image_shape, self.samples.jitter
        if most:
            images = self._drawn("jitter", step, lambda x, draws: jittered(x, shape, most, draws), images)
        shown: Floats = self.layers[0].placed(images) if self.experiment.supervised else images
        return shown

    def _negatives(self, images: Floats, wrong: Any, step: int) -> Floats:
        """Return the negative samples of images that a step shows: with wrong labels, or made of two where there are none."""
        if wrong is None:
            found: Floats = self._drawn("hybrids", step, self._unlike, images)
            return found
        several = [
            self.stack.labelled(images, wrong[..., k, :], self.data.classes) for k in range(wrong.shape[-2])
        ]
        negative: Floats = library(images).concatenate(several, -2)
        return negative

    def _sleep(self) -> None:
        """Learn the negatives of all mini-batches that wait, in their order, an update each; time passes between them."""
        for waited in self.waiting:
            if self.arm.apart > 1:
                self._let_time_pass()
            images = self._shown(waited.chosen, waited.step)
            self.stack.learn_phase(self._negatives(images, waited.wrong, waited.step), asleep=True)
        self.waiting = []

    def _said_of(self, chosen: NDArray[np.int64]) -> tuple[Any, Floats | None]:
        """Return what the head learns of some images, labels or what another says of them (n, classes), and scores from which
        negatives are drawn where the head's own are not."""
        return self.fit.labels[chosen], None

    def _step(self, chosen: NDArray[np.int64]) -> None:
        spec, classes, made = self.experiment, self.data.classes, self.samples
        images, labels = self._shown(chosen, self.steps), self.fit.labels[chosen]
        wrong = None
        if spec.supervised:
            positive = self.stack.labelled(images, labels, classes)
            wanted, told = self._said_of(chosen)
            scores = self.head.learn(self.stack.neutral_states(images, classes), wanted, self._gain)
            scores = scores if told is None else told
            hard = scores if made.negatives == "hard" else library(scores).zeros_like(scores)
            wrong = self._drawn(
                "negatives",
                self.steps,
                lambda scores, right, draws: wrong_labels(scores, right, made.negatives_per_sample, draws),
                hard,
                labels,
            )
        else:
            positive = images
        if self.arm.device is not None and self.steps % spec.calibrate_every == 0:
            self.stack.calibrate(positive)
        if self.arm.learns and self.arm.phases == "apart":
            answers = self.stack.learn_phase(positive, asleep=False)
            self.waiting.append(Awake(self.steps, chosen, wrong))
        else:
            answers = self._answers(positive, self._negatives(images, wrong, self.steps))
        states = self.stack.features(answers)
        if not spec.supervised:
            in_turn = spec.online and self.arm.learns
            own = slice(None, None, 2) if in_turn else slice(images.shape[-2])
            of_positive = states[..., own, :]
            self.head.learn(of_positive, labels, self._gain)

    def _unlike(self, images: Floats, draws: np.random.Generator) -> Floats:
        """Return the negative samples of images without labels."""
        spec, mixed = self.experiment, self.samples.contrast == "mixtures"
        return np.concatenate(
            [
                mixtures(images, draws)
                if mixed
                else hybrids(images, self.data.image_shape, spec.blurs, draws)
                for _ in range(self.samples.negatives_per_sample)
            ]
        )

    def _answers(self, positive: Floats, negative: Floats) -> Answers:
        """Let the layers learn, if they do, and return what they made of the samples before."""
        if not self.arm.learns:
            return self.stack.forward(positive)
        learn = self.stack.learn_online if self.experiment.online else self.stack.learn
        return learn(positive, negative)

    @property
    def _gain(self) -> float:
        """What is left of the rate of the head, as of those of the layers."""
        return min(1.0, (1 - self.steps / self.total) / (1 - HELD))

    def _right(self, some: Labelled) -> dict[str, NDArray[np.bool_]]:
        """Which of some images each readout gets right, without a trace in what learns."""
        with self.looking():
            found = self._predictions(some.images)
        return {name: classes == some.labels for name, classes in found.items()}

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Context in which it can be asked without a trace in what learns."""
        with super().looking(), self.stack.looking():
            yield

    def _scores(self, some: Labelled) -> dict[str, float]:
        """Accuracies on some images, without a trace in what learns."""
        return {name: float(right.mean()) for name, right in self._right(some).items()}

    def look(self) -> dict[str, Any]:
        """Return how far it has come after an epoch: accuracies, and since the last epoch quiet samples and pulses a layer."""
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

    def course(self) -> list[tuple[float, float]]:
        """Return images learnt and accuracy of the first readout that is followed, at each look."""
        readout = (
            next((name for name in (*self.experiment.readouts, "softmax") if name in self.curve[0]), "")
            if self.curve
            else ""
        )
        return [(point["epoch"] * self.batches * self.batch, point[readout]) for point in self.curve]

    def _in_parts(self, images: Any, ask: Callable[[Floats], Any]) -> Any:
        """Ask about images a thousand at a time."""
        starts = range(0, len(images), CHUNK)
        return np.concatenate([to_numpy(ask(self.data.inputs(images[k : k + CHUNK]))) for k in starts])

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
        found = {"softmax": self.head.predict(self._features(images))}
        if self.taught:
            found["goodness"] = self._by_goodness(images)
        return found

    @property
    def taught(self) -> bool:
        """Whether labels decide what is learnt: where they are on the images."""
        found: bool = self.experiment.supervised
        return found

    def represented(self, images: Any) -> Floats:
        """Return the states (n, features) of all layers but the first, without a label."""
        return self._features(images)

    def readout(self, features: Floats, labels: Labels, classes: int) -> LinearReadout | None:
        """Return the linear readout of the unsupervised variant; with labels on the images goodness tells classes."""
        return (
            None
            if self.taught
            else linear_readout(features, labels, classes, self.experiment.readout_epochs, self.seed)
        )

    def classified(self, images: Any, readout: Readout | None) -> Labels:
        """Return the class of each image: that of the largest goodness, or by the linear readout."""
        return self._by_goodness(images) if readout is None else super().classified(images, readout)

    def _by_goodness(self, images: Any) -> Labels:
        classes = self.data.classes
        found: Labels = self._in_parts(images, lambda x: self.stack.goodness_of_labels(x, classes)).argmax(
            axis=1
        )
        return found

    def evaluated(self) -> dict[str, Any]:
        """Ask for the classes of the images reported on and return one entry of the results' `runs`."""
        layers = [self._layer(layer) for layer in self.stack.layers]
        if any("fewest_rows" in layer for layer in layers):
            for layer, own in zip(layers, self.stack.layers, strict=True):
                layer["synapses"] = _synapses(own)
        found = self._predictions(self.test.images)
        readout = (
            None
            if self.taught
            else self.readout(self._features(self.fit.images), self.fit.labels, self.data.classes)
        )
        if readout is not None:
            found["linear"] = readout.predict(self._features(self.test.images))
        self.answers = found
        right = {name: found[name] == self.test.labels for name in self.experiment.readouts}
        scores = {name: float(some.mean()) for name, some in right.items()}
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
        each = [to_numpy(array.weights()) for array in arrays]
        rows = [len(weights) for weights in each]
        found: dict[str, Any] = {
            "rows": max(rows),
            "neurons": each[0].shape[1],
            "weight_rms": _rms([weights[:-1] for weights in each]),
            "bias_rms": _rms([weights[-1] for weights in each]),
        }
        if len(arrays) > 1:
            found["locations"] = len(arrays)
        if min(rows) < max(rows):
            found["fewest_rows"] = min(rows)
        devices = on_devices(layer.array)
        if devices is not None:
            found["energy"] = devices.ledger.energy(_synapses(layer))
            found["adc_clipped_share"] = devices.ledger.clipped_share
        return found

    def snapshot(self, *instance: int) -> State:
        """Return layers and head, as named arrays; of one instance, where there are several."""
        parts = {"stack": self.stack.snapshot(*instance), "head": self.head.snapshot(*instance)}
        if self.waiting:
            parts["waiting"] = self._kept_waiting(*instance)
        return {f"{part}.{name}": values for part, own in parts.items() for name, values in own.items()}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        for part, own in (("stack.", self.stack), ("head.", self.head)):
            own.restore({name.removeprefix(part): v for name, v in saved.items() if name.startswith(part)})
        steps = saved.get("waiting.steps", np.empty(0, np.int64))
        wrong = saved.get("waiting.wrong", [None] * len(steps))
        self.waiting = [
            Awake(int(step), saved["waiting.chosen"][k], wrong[k]) for k, step in enumerate(steps)
        ]

    def _kept_waiting(self, *instance: int) -> State:
        """What waits for the sleep, by index: (mini-batches,), (mini-batches, images), (mini-batches, negatives, images)."""
        kept = {
            "steps": np.array([waited.step for waited in self.waiting], np.int64),
            "chosen": np.stack([one_of(waited.chosen, *instance) for waited in self.waiting]),
        }
        if self.waiting[0].wrong is not None:
            kept["wrong"] = np.stack([to_numpy(one_of(waited.wrong, *instance)) for waited in self.waiting])
        return kept


def _synapses(layer: Dense) -> int:
    """Weights that the arrays of a layer have."""
    return sum(array.shape[0] * array.shape[1] for array in locations(layer.array))


def _rms(parts: list[Floats]) -> float:
    """Root mean square of all numbers of some arrays."""
    return float(np.sqrt(np.mean(np.square(np.concatenate([part.ravel() for part in parts])))))


def forward_forward(
    experiment: ForwardForwardExperiment,
    out: Path | None = None,
    report: Report | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Train every arm with every seed and summarise the accuracy of each readout.

    Parameters
    ----------
    experiment, out, report, workers
        As of `neurosim.study.run.study`.

    Returns
    -------
    results : dict
        ``runs``; ``summary`` with ``arm``, ``readout``, and what `neurosim.study.controls.decided` has; ``holding``, what each
        arm's devices make of the weights of each layer, known before training.
    """
    return study(experiment, out, report, workers)


def summarise(experiment: ForwardForwardExperiment, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry for each arm and readout: accuracy, and beside ideal arithmetic gap and verdict (`controls.decided`)."""
    found = []
    for arm in experiment.listed:
        seeds = sum(run["arm"] == arm.name for run in runs)
        for readout in experiment.readouts_of(arm):
            said = decided(experiment, runs, arm.name, readout)
            found.append({"arm": arm.name, "readout": readout, "seeds": seeds, **said})
    return found
