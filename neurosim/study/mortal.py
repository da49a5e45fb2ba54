"""A network learns on one chip, is copied to others, and goes on learning there: what the copy loses, what comes back."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.hardware import Draws
from neurosim.core.protocols import Floats, State
from neurosim.data.dataset import Dataset, Labelled
from neurosim.network.arrays import to_numpy
from neurosim.network.dense import Dense
from neurosim.reference.ideal import IdealArray
from neurosim.study.distilled import TAUGHT, Lesson, Said, Way, agreement, lessons, teaching
from neurosim.study.evaluate import looking, on_devices
from neurosim.study.forward_forward import ForwardForwardTraining
from neurosim.study.forward_forward_spec import ForwardForwardArm, ForwardForwardExperiment
from neurosim.study.kept_runs import checkpoint_of, finished
from neurosim.study.mortal_spec import Kind, MortalExperiment, chip_seed, draws_of
from neurosim.study.run import study
from neurosim.study.statistics import Chips, by_seed, compared, mean_accuracy
from neurosim.study.store import pack_bits, text_digest
from neurosim.study.training import Report, Seed

LOOKS = frozenset(step << k for k in range(30) for step in (2, 3)) | {1}
"""Mini-batches after which the accuracy is followed, beside the ends of epochs: 1, 2, 3, 4, 6, 8, 12 ..."""
ONE_SEED = "One network that learnt tells nothing of others: take three seeds or more."


class Learnt(NamedTuple):
    """What is read out of the chip that learnt, to be copied."""

    identity: str
    """Of its training."""
    weights: list[Floats]
    """Of each layer, as `weights()` gives them: read without noise, which no chip could."""
    head: State


class ChipTraining(ForwardForwardTraining):
    """A network that learns at a chip: from start weights, or from what was copied.

    Validation images are never learnt: the accuracy is followed on them, from before the first mini-batch on.

    Parameters
    ----------
    experiment, arm, seed, data
        As of `ForwardForwardTraining`.
    draws : Draws
        What the chip is born with.
    copied : Learnt, optional
        What is programmed onto it before it learns; its digital head gets the head.
    chips : dict, optional
        Number of each chip, by its seed, that what was copied goes to as well; they may learn as one batch.
    lesson : Lesson, optional
        What it learns from, where these are not all images with their labels.
    """

    asked = False
    """Whether its answers to the images reported on are kept, and what it says of those that are learnt."""
    said: Said | None = None
    """What it said of them, once it was asked."""

    def __init__(
        self,
        experiment: ForwardForwardExperiment,
        arm: ForwardForwardArm,
        seed: Seed,
        data: Dataset,
        draws: Draws | None = None,
        copied: Learnt | None = None,
        chips: dict[int, int] | None = None,
        lesson: Lesson | None = None,
    ):
        self.chip, self.copied, self.chips, self.lesson = draws or Draws(), copied, chips, lesson
        self.before: dict[str, Any] | None = None
        """Accuracies before it learns here, of what was copied or of start weights, on the images reported on; and
        which of these were right, packed, as ``correct``."""
        super().__init__(experiment, arm, seed, data)
        if copied is not None:
            head = self.head.snapshot()
            weights = np.broadcast_to(copied.head["weights"], head["weights"].shape).copy()
            self.head.restore({**head, "weights": weights})

    def another(self, seed: Seed) -> Any:
        """Return the same training at another chip, or at several: they have of their own what this chip has of its own."""
        own = {name: None for name, of in self.chip if of == self.seed}
        draws = self.chip.model_copy(update=own)
        if isinstance(seed, int):
            draws = draws.model_copy(update=dict.fromkeys(own, seed))
        return ChipTraining(
            self.experiment, self.arm, seed, self.data, draws, self.copied, self.chips, self.lesson
        )

    @property
    def numbers(self) -> dict[int, int]:
        """Number of each chip that may learn in a batch with this one."""
        return super().numbers if self.chips is None else self.chips

    @property
    def holds_out(self) -> bool:
        """Validation images are left out, whatever is reported on."""
        return True

    def parts(self) -> tuple[Labelled, Labelled]:
        """Return the images that are learnt, with the labels that it sees, and those that are reported on."""
        fit, test = super().parts()
        return (fit if self.lesson is None else self.lesson.fit), test

    def _said_of(self, chosen: NDArray[np.int64]) -> tuple[Any, Floats | None]:
        """Return what another chip says of some images, where one does."""
        lesson = self.lesson
        if lesson is None or lesson.told is None or lesson.targets is None:
            return super()._said_of(chosen)
        return lesson.targets[chosen], lesson.told[chosen]

    @property
    def _born_with(self) -> tuple[Any, Any]:
        return self.chip, None if self.copied is None else self.copied.weights

    @property
    def own(self) -> dict[str, Any]:
        """What decides the bits beside the training: the chip, and what was copied to it."""
        source = None if self.copied is None else text_digest(self.copied.identity)
        found = {"chip": self.chip.model_dump(mode="json"), "copied from": source}
        return found if self.lesson is None else {**found, "lesson": self.lesson.digest}

    @property
    def evaluation(self) -> str:
        """What decides a result beyond the training."""
        return f"{super().evaluation} with answers" if self.asked else super().evaluation

    def prepare(self) -> None:
        """Set the converters."""
        self.calibrate()

    def begin(self) -> None:
        """Look at what it is before the first mini-batch."""
        if not self.curve:
            right = self._right(self.test)
            scores: dict[str, Any] = {name: float(some.mean()) for name, some in right.items()}
            self.before = scores | {"correct": {name: pack_bits(some) for name, some in right.items()}}

    @property
    def looks(self) -> bool:
        """Whether the accuracy is followed where it stands: more often at the beginning."""
        return super().looks or self.steps == 0 or self.steps in LOOKS

    def look(self) -> dict[str, Any]:
        """Return how far it has come, and after how many images."""
        return {**super().look(), "images": self.steps * self.batch}

    def learnt(self) -> Learnt:
        """Return what can be copied."""
        weights = [to_numpy(layer.array.weights()) for layer in self.stack.layers]
        return Learnt(self.identity, weights, self.head.snapshot())

    def ask(self) -> Said:
        """Ask it once for all images that are learnt, and count that; it is left as it was."""
        with ExitStack() as open_eyes:
            for layer in self.stack.layers:
                open_eyes.enter_context(looking(layer.array))
            before = self.counts()
            self.solve_wires()
            self.calibrate()
            scores = to_numpy(self.head.scores(self._features(self.fit.images)))
            after = self.counts()
        cost = {name: None if value is None else value - (before[name] or 0) for name, value in after.items()}
        return Said(scores, cost)

    def result(self) -> dict[str, Any]:
        """Evaluate what was learnt; where it is asked, as it stood before that."""
        if self.asked:
            self.said = self.ask()
        return super().result()

    def on_ideal(self) -> dict[str, float]:
        """Return the accuracy of the weights in ideal arithmetic, without unknown neurons."""
        own, layers = self.stack, []
        for layer in own.layers:
            array: Any = IdealArray(layer.array.shape, precision=layer.array.precision)
            array.program(to_numpy(layer.array.weights()))
            layers.append(Dense(array, layer.stated))
        self.stack = own.of_layers(layers)
        scores = self._scores(self.test)
        self.stack = own
        return scores

    def evaluated(self) -> dict[str, Any]:
        """Ask for the classes of the images reported on, before and after learning here."""
        self.calibrate()
        found = super().evaluated()
        first = self.copied is None and self.chip == Draws()
        if self.asked and self.answers is not None:
            found["answers"] = {name: self.answers[name].tolist() for name in self.experiment.readouts}
        return {
            **found,
            "before" if self.copied is not None else "untrained": self.before,
            "clipped": self._clipped(),
            "on_ideal": self.on_ideal() if first else None,
        }

    def _clipped(self) -> float | None:
        """Share of the copied weights that lie beyond the window of the chip; None where nothing was copied."""
        if self.copied is None:
            return None
        arrays = [on_devices(layer.array) for layer in self.stack.layers]
        beyond = [
            0 if array is None else int(np.count_nonzero(np.abs(weights) > (array.w_max or np.inf)))
            for array, weights in zip(arrays, self.copied.weights, strict=True)
        ]
        return sum(beyond) / sum(weights.size for weights in self.copied.weights)

    def notes(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside arrays."""
        return {**super().notes(), "before": self.before}

    def take_notes(self, notes: dict[str, Any]) -> None:
        """Go back to notes of a checkpoint."""
        super().take_notes(notes)
        self.before = notes.get("before")


def mortal(
    experiment: MortalExperiment, out: Path | None = None, report: Report | None = None, workers: int = 1
) -> dict[str, Any]:
    """Let every arm learn on a chip, copy what it learnt to others, and let it go on learning there.

    Parameters
    ----------
    experiment, out, report, workers
        As of `neurosim.study.run.study`.

    Returns
    -------
    results : dict
        ``originals`` and ``runs`` at other chips, with their curves; ``summary``, an entry for each arm, kind and
        readout with the accuracy on the original, copied, relearnt and from scratch, and what recovery took.
    """
    return study(experiment, out, report, workers)


def original_and_copies(
    experiment: MortalExperiment,
    arm: ForwardForwardArm,
    seed: int,
    data: Dataset,
    out: Path | None,
    report: Report | None,
) -> dict[str, Any]:
    """Return the ``original`` of one arm and seed, and its runs at other chips as ``copies``."""
    first: Any = experiment.training(arm, seed, data)
    first.asked = experiment.distilled is not None
    original = finished(first, out, report)
    if first.steps < first.total and out is not None:
        first.resume(checkpoint_of(first, out))
    copies = _at_other_chips(experiment, arm, seed, data, first.learnt(), out, report)
    if experiment.distilled is None:
        return {"original": original, "copies": copies}
    said = first.said or first.ask()
    copies += _said_of(
        experiment, arm, seed, data, lessons(experiment.distilled, first.fit, said, seed), out, report
    )
    answers = original.pop("answers")
    for run in copies:
        if run["way"] in TAUGHT:
            others = run.pop("answers")
            run["agreement"] = {
                name: agreement(np.array(own), np.array(others[name]), first.test.labels)
                for name, own in answers.items()
            }
    return {"original": {**original, "teacher": teaching(said, first.fit)}, "copies": copies}


def _chips(experiment: MortalExperiment, seed: int) -> dict[int, int]:
    """Place of each other chip that the network with a seed goes to, by the chip's seed."""
    return {chip_seed(seed, number): number - 1 for number in range(1, experiment.chips + 1)}


def _at_other_chips(
    experiment: MortalExperiment,
    arm: ForwardForwardArm,
    seed: int,
    data: Dataset,
    learnt: Learnt,
    out: Path | None,
    report: Report | None,
) -> list[dict[str, Any]]:
    """Runs at the other chips of one arm and seed: from the copied weights for each kind, and from scratch.

    What learns from scratch knows nothing of the first chip, whichever draws they share: it is run once for each
    chip, with all draws its own.
    """
    again = experiment.for_epochs(experiment.relearn_epochs)
    ways: list[tuple[Kind, Learnt | None]] = [(kind, learnt) for kind in experiment.kinds_of(arm)]
    ways.append(("all", None))
    chips, runs = _chips(experiment, seed), []
    for number, other in enumerate(chips, start=1):
        for kind, copied in ways:
            way: Way = "scratch" if copied is None else "copied"
            learner = arm if copied is None else experiment.learning_on(arm)
            training = ChipTraining(again, learner, other, data, draws_of(kind, seed, other), copied, chips)
            training.asked = copied is None and experiment.distilled is not None
            run = finished(training, out, report)
            runs.append({**run, "seed": seed, "chip": number, "kind": kind, "way": way})
    return runs


def _said_of(
    experiment: MortalExperiment,
    arm: ForwardForwardArm,
    seed: int,
    data: Dataset,
    lessons: dict[Way, Lesson],
    out: Path | None,
    report: Report | None,
) -> list[dict[str, Any]]:
    """Runs at the same other chips, all draws their own, that learn from each lesson."""
    assert experiment.distilled is not None
    again = experiment.for_epochs(experiment.distilled.epochs or experiment.relearn_epochs)
    chips, runs = _chips(experiment, seed), []
    for number, other in enumerate(chips, start=1):
        for way, lesson in lessons.items():
            draws = draws_of("all", seed, other)
            training = ChipTraining(again, arm, other, data, draws, None, chips, lesson)
            training.asked = True
            run = finished(training, out, report)
            runs.append({**run, "seed": seed, "chip": number, "kind": "all", "way": way})
    return runs


def images_until(curve: list[dict[str, Any]], readout: str, wanted: float) -> int | None:
    """Return after how many images a readout reached an accuracy for good; None: at the end it was below."""
    below = [place for place, point in enumerate(curve) if point[readout] < wanted]
    first = below[-1] + 1 if below else 0
    return int(curve[first]["images"]) if first < len(curve) else None


def summarise(
    experiment: MortalExperiment, originals: list[dict[str, Any]], runs: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return one entry for each arm, kind of chip and readout."""
    found = []
    for arm in experiment.listed:
        first = {run["seed"]: run for run in originals if run["arm"] == arm.name}
        own = [run for run in runs if run["arm"] == arm.name]
        scratch = [run for run in own if run["way"] == "scratch"]
        for kind in experiment.kinds_of(arm):
            copies = [run for run in own if run["way"] == "copied" and run["kind"] == kind]
            for readout in experiment.readouts:
                wanted = {
                    seed: run["curve"][-1][readout] - experiment.recovered_within
                    for seed, run in first.items()
                }
                entry = {"arm": arm.name, "kind": kind, "readout": readout, "chips": len(copies)}
                for name, some, place in (
                    ("original", list(first.values()), ""),
                    ("on_ideal", list(first.values()), "on_ideal"),
                    ("copied", copies, "before"),
                    ("relearnt", copies, ""),
                    ("scratch", scratch, ""),
                ):
                    entry |= _mean(name, by_seed(some, readout, place))
                for name, some in (("relearnt", copies), ("scratch", scratch)):
                    entry[f"{name}_images"] = [
                        images_until(run["curve"], readout, wanted[run["seed"]]) for run in some
                    ]
                entry |= as_good_as_the_original(list(first.values()), copies, scratch, readout)
                found.append(entry)
    return found


def _mean(name: str, chips: Chips) -> dict[str, Any]:
    found = mean_accuracy(chips)
    return {f"{name}_mean": found.value, f"{name}_interval": (found.low, found.high)}


def as_good_as_the_original(
    originals: list[dict[str, Any]], copies: list[dict[str, Any]], scratch: list[dict[str, Any]], readout: str
) -> dict[str, Any]:
    """What `compared` says of copies that have learnt on, the chip that learnt in the place of ideal arithmetic.

    A seed is a row of the statistics: copies of one original share what it learnt. Of runs of earlier versions, which
    were not asked before they learnt, there is no verdict.
    """
    seeds = {run["seed"] for run in copies} & {run["seed"] for run in originals}
    first, again, bare = (
        [run for run in some if run["seed"] in seeds] for some in (originals, copies, scratch)
    )
    original, relearnt = by_seed(first, readout), by_seed(again, readout)
    learning = None
    if all(run.get("untrained") for run in (*first, *bare)):
        learning = [
            relearnt,
            by_seed(bare, readout, "untrained"),
            original,
            by_seed(first, readout, "untrained"),
        ]
    found = compared(relearnt, (relearnt, original), learning)
    if found["verdict"] is not None and len(seeds) == 1 and found["verdict"]["answer"] == "undecided":
        found["verdict"]["decides"] = ONE_SEED
    found["missing"] = "" if learning else "runs of an earlier version were not asked before they learnt"
    return {name: value for name, value in found.items() if name != "accuracy_interval"}
