"""One loop for all that learns: order, steps, the clock, looks, checkpoints; killed and resumed, it ends in the same bits."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import CheckpointError, ConfigError
from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Dataset, Labelled
from neurosim.network.local_fields import locations
from neurosim.network.readout import LinearReadout, Readout
from neurosim.study.evaluate import Answers, looking, on_devices
from neurosim.study.events import layer_events
from neurosim.study.identity import content, identity_of
from neurosim.study.store import read_arrays, text_array, write_arrays

Report = Callable[[str, int, int, int], None]
"""Called with (arm, seed, mini-batches done, mini-batches in all)."""
Seed = int | Sequence[int]
DRAWN = "drawn."
"""Before the names, in a checkpoint, of what is drawn."""


class Training:
    """What one arm learns with one seed, on its way through the images; `save` and `resume` lose no bit.

    A kind of study says what learns, what one step is, and what comes of it: it sets `layers` and defines `step`,
    `evaluated`, `snapshot` and `restore`, and may define `looks` and `look`.

    Parameters
    ----------
    experiment : Experiment
    arm : Arm
        Its settings are filled in with those of the experiment.
    seed : int or sequence of int
        Several: instances that learn as one batch (`study.together`), each with its own chip, images and order; they are asked
        for nothing, only learn.
    data : Dataset

    Attributes
    ----------
    seed, instances : int, tuple of int
        The seed, or the first of several; these, and none where there is one.
    steps, total : int
        Mini-batches learnt, and those of the whole training.
    fit, test : Labelled
        Images learnt, and those reported on.
    curve : list
        What `look` saw.
    seconds : float
        Of computing, looks not counted.
    """

    keeps_learnt = False
    """Whether what was learnt stays in the folder: another evaluation does not train it again."""
    watched = True
    """Whether it is asked for classes before and while it learns, where its kind does that; no bit depends on it."""
    takes_tensors = False
    """Whether a step learns from tensors as from arrays, so that images may lie beside the arrays."""
    asked_together = False
    """Whether the chips of a batch are evaluated in one pass (`evaluated_each`), and not each by itself."""
    goes_on = True
    """Whether it may learn further images after its end: no rate of learning has come to zero there."""

    def __init__(self, experiment: Any, arm: Any, seed: Seed, data: Dataset):
        self.instances = () if isinstance(seed, int) else tuple(seed)
        self.seed = seed if isinstance(seed, int) else seed[0]
        self.experiment, self.data = experiment, data
        self.arm = arm.settled(experiment)
        self.fit, self.test = self.parts()
        self.steps, self.seconds = 0, 0.0
        self.epochs_before = 0
        """Epochs of what it learnt before it went on (`go_on`)."""
        self.curve: list[Any] = []
        self.counted: list[list[dict[str, float]]] = []
        """What the arrays of each layer had counted at each look of the curve."""
        self.drawn: State = {}
        """What is drawn of the way in the report: kept in checkpoints, and no part of what learns."""
        self.layers: list[Any] = []
        """Layers whose arrays and rules learn."""
        self.beside: Any = None
        """Inputs of all images that are learnt, where they lie beside the arrays (`study.together`)."""
        self.answers: dict[str, Answers] | None = None
        """Class of each image reported on by each score, once it was evaluated; None: its kind does not keep them."""

    def parts(self) -> tuple[Labelled, Labelled]:
        """Return the images that are learnt and those that are reported on."""
        found: tuple[Labelled, Labelled] = self.experiment.splits(self.data)
        return found

    def another(self, seed: Seed) -> Any:
        """Return the same training with another seed, or with several as instances of one batch, not yet begun."""
        return type(self)(self.experiment, self.arm, seed, self.data)

    @property
    def numbers(self) -> dict[int, int]:
        """Number of each seed that may learn in a batch with this one, by which a batch and a place in it are found."""
        first, count = self.experiment.first_seed, self.arm.seeds or self.experiment.seeds
        found = {seed: seed for seed in range(first, first + count)}
        return found if self.seed in found else {self.seed: self.seed}

    @property
    def name(self) -> str:
        """Name of the arm."""
        found: str = self.arm.name
        return found

    @property
    def images(self) -> Any:
        """What is learnt, one row an image."""
        return self.fit.images

    @property
    def batch(self) -> int:
        """Images of a mini-batch."""
        found: int = self.experiment.batch
        return found

    @property
    def batches(self) -> int:
        """Mini-batches of an epoch; what is left over is left out. Raises `ConfigError` where there is not even one."""
        if len(self.images) < self.batch:
            raise ConfigError(
                f"batch = {self.batch}: {len(self.images)} images to learn from make no mini-batch; give more, or a "
                "smaller batch"
            )
        return len(self.images) // self.batch

    @property
    def total(self) -> int:
        """Mini-batches of the whole training."""
        found: int = self.experiment.epochs * self.batches
        return found

    @property
    def images_shown(self) -> int:
        """Images shown while it learnt so far, each as often as it was; in layers that learn one after the other once for each."""
        return self.steps * self.batch

    @property
    def updates_a_step(self) -> int:
        """Updates of the arrays that one mini-batch is: so often its seconds pass."""
        return 1

    def prepare(self) -> None:
        """Set what the first mini-batch needs."""

    def begin(self) -> None:
        """Look at it before the first mini-batch."""

    def step(self, chosen: NDArray[np.int64]) -> None:
        """Learn one mini-batch, given by its places among `images`."""
        raise NotImplementedError

    @cached_property
    def marks(self) -> set[int]:
        """Mini-batches after which an experiment with `curve_points` is looked at, spread evenly from the first to the last."""
        points = self.experiment.curve_points
        return {round(self.total * k / points) for k in range(points + 1)} if points else set()

    @property
    def looks(self) -> bool:
        """Whether it is looked at where it stands."""
        return False

    def look(self) -> Any:
        """Return what goes into `curve`; leaves no trace in what learns."""
        raise NotImplementedError

    def evaluated(self) -> dict[str, Any]:
        """Evaluate what was learnt and return one entry of the results' ``runs``, but for what `result` adds."""
        raise NotImplementedError

    def result(self) -> dict[str, Any]:
        """Evaluate what was learnt, through exactly solved wires, and return one entry of the results' ``runs``.

        How the wires of an array were solved stands beside what else is said of its layer.
        """
        wired = self.solve_wires()
        found = self.evaluated()
        entries = found.get("layers", [found])
        for k, array in wired.items():
            entries[k]["wires"] = array.wires_report
        return found

    def solve_wires(self) -> dict[int, Any]:
        """Let the next read solve all wires exactly; return the arrays that have any by the place of their layer."""
        arrays = enumerate(on_devices(layer.array) for layer in self.layers)
        wired = {k: array for k, array in arrays if array is not None and array.wires is not None}
        for array in wired.values():
            array.solve_wires()
        return wired

    def represented(self, images: Any) -> Floats:
        """Return what the readout of the first accuracy sees of images, as the data set has them: (n, features)."""
        raise NotImplementedError

    def readout(self, features: Floats, labels: Answers, classes: int) -> Readout | None:
        """Return the readout of the first accuracy, trained on features (n, features); None where the layers have one."""
        raise NotImplementedError

    def readout_of(self, weight: NDArray[Any], bias: NDArray[Any]) -> Readout:
        """Return such a readout from what was kept of it."""
        import torch

        found = LinearReadout(weight.shape[1], len(weight), self.seed)
        found.weight, found.bias = torch.from_numpy(weight), torch.from_numpy(bias)
        return found

    @property
    def taught(self) -> bool:
        """Whether labels decide what is learnt."""
        return False

    def classified(self, images: Any, readout: Readout | None) -> Answers:
        """Return the class of each image by the readout of the first accuracy."""
        if readout is None:
            raise NotImplementedError
        return readout.predict(self.represented(images))

    def snapshot(self) -> State:
        """Return everything that learns, as named arrays; kinds that learn several seeds as one take the place of one of them."""
        raise NotImplementedError

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        raise NotImplementedError

    @property
    def rules(self) -> list[Any]:
        """The rule of each layer as it is written, whichever machine computes it."""
        return [layer.stated for layer in self.layers]

    @property
    def own(self) -> dict[str, Any]:
        """What decides the bits beside experiment, arm, images, rules and seed."""
        return {}

    @cached_property
    def digest_of_images(self) -> str:
        """Digest of the images that are learnt, which identities name."""
        return content(self.data, self.fit, self.images)

    @property
    def identity(self) -> str:
        """What a checkpoint must agree with: everything that decides the trained bits, defaults included."""
        return identity_of(self)

    @property
    def evaluation(self) -> str:
        """What decides a result beyond the training."""
        return json.dumps(
            [self.name, self.experiment.evaluating(), content(self.data, self.test)], sort_keys=True
        )

    def taken(self, chosen: NDArray[np.int64]) -> Any:
        """Return the inputs (..., rows) of images that are learnt, by their places."""
        if self.beside is not None:
            return self.beside[chosen]
        return self.data.inputs(self.images[chosen.reshape(-1)]).reshape(*chosen.shape, -1)

    def run(self, progress: Callable[[int, int], None] | None = None, save: Any = None) -> None:
        """Train to the end from wherever it stands; `save` is called after every mini-batch.

        One that has not begun learns together with other seeds, where its arm says so.
        """
        if (self.arm.together or 1) > 1 and not (self.steps or self.epochs_before):
            from neurosim.study.together import learnt_with

            learnt_with(self, progress)
            if save:
                save()
            return
        if not self.steps:
            self.prepare()
        if not self.steps and self.watched:
            self.begin()
            if not self.curve and self.looks:
                self.keep_look()
        order, epoch = np.empty(0, np.int64), -1
        while self.steps < self.total:
            started = time.perf_counter()
            now, batch = divmod(self.steps, self.batches)
            if now != epoch:
                epoch = now
                order = generator(self.seed, "order", self.epochs_before + epoch).permutation(
                    len(self.images)
                )
            self.learn(order[batch * self.batch : (batch + 1) * self.batch])
            self.seconds += time.perf_counter() - started
            if self.watched and self.looks:
                self.keep_look()
            if progress:
                progress(self.steps, self.total)
            if save:
                save()

    def learn(self, chosen: NDArray[np.int64]) -> None:
        """Learn one mini-batch, given by its places among `images`, and let its time pass."""
        self.step(chosen)
        self._let_time_pass()
        self.steps += 1

    def keep_look(self) -> None:
        """Look, and keep what was seen and counted."""
        self.counted.append([layer["counts"] for layer in self.events()])
        self.curve.append(self.look())

    def _let_time_pass(self) -> None:
        if self.arm.device is not None and self.arm.seconds_per_update:
            for layer in self.layers:
                layer.array.advance(self.arm.seconds_per_update * self.updates_a_step)

    def go_on(self) -> None:
        """Stand at the beginning of as many images again, in another order; rates that fall with updates begin anew."""
        self.epochs_before += self.total // self.batches
        self.steps, self.curve, self.counted = 0, [], []
        for layer in self.layers:
            if "updates" in layer.state:
                layer.state["updates"][...] = 0

    def course(self) -> list[tuple[float, float]]:
        """Return images learnt and accuracy at each look, as it was followed; empty where nothing is."""
        return []

    def notes(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside arrays."""
        return {"steps": self.steps, "seconds": self.seconds, "curve": self.curve, "counted": self.counted}

    def take_notes(self, notes: dict[str, Any]) -> None:
        """Go back to notes of a checkpoint."""
        self.steps, self.seconds = notes["steps"], notes["seconds"]
        self.curve, self.counted = notes["curve"], notes["counted"]

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        notes = {"identity": self.identity, **self.notes()}
        drawn = {f"{DRAWN}{name}": values for name, values in self.drawn.items()}
        write_arrays(path, {**self.snapshot(), **drawn, "notes": text_array(json.dumps(notes))})

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; raises `CheckpointError` if it is damaged or belongs to another experiment."""
        saved = read_arrays(path)
        try:
            notes = json.loads(saved.pop("notes").tobytes())
            whose = notes["identity"]
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); delete it to start again") from None
        if whose != self.identity:
            raise CheckpointError(
                f"{path} belongs to another experiment (settings, seed or data differ); "
                "choose another --out or delete it"
            )
        drawn = {name.removeprefix(DRAWN): saved.pop(name) for name in list(saved) if name.startswith(DRAWN)}
        self.restore(saved)
        self.take_notes(notes)
        self.drawn = drawn

    def events(self) -> list[dict[str, Any]]:
        """Return what the arrays of each layer counted so far (`study.events.layer_events`)."""
        return layer_events(layer.array for layer in self.layers)

    def along(self) -> list[dict[str, Any]]:
        """Return ``images``, ``accuracy`` and ``counts`` at each look, where devices are followed: of each layer's arrays, but for zeros."""
        course = self.course()
        if len(course) != len(self.counted):  # a kind of study that follows itself in another way
            return []
        return [
            {
                "images": images,
                "accuracy": accuracy,
                "counts": [{name: count for name, count in layer.items() if count} for layer in counts],
            }
            for (images, accuracy), counts in zip(course, self.counted, strict=True)
            if counts
        ]

    def counts(self) -> dict[str, float | None]:
        """Return everything that the arrays' ledgers counted so far, by name, all layers together; empty without devices.

        Joules that nobody knows, as the card does not give the pulse, are None.
        """
        found: dict[str, float] = {}
        for layer in self.layers:
            for array in locations(layer.array):
                devices = on_devices(array)
                ledger = {} if devices is None else devices.ledger.counts() | devices.ledger.joules()
                for name, value in ledger.items():
                    found[name] = found.get(name, 0) + value
        return {name: None if math.isnan(value) else value for name, value in found.items()}

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Context in which it can be asked without a trace in what learns."""
        with ExitStack() as open_eyes:
            for layer in self.layers:
                open_eyes.enter_context(looking(layer.array))
            yield

    def calibrate(self) -> None:
        """Set the converters of the arrays by training images."""

    def take_over(self, learnt: Training) -> None:
        """Take what another training has learnt, its devices as they are now; read them as this one does, calibrated anew.

        Raises
        ------
        ConfigError
            If its devices have a state that these have not, or the other way round.
        """
        own, theirs = self.snapshot(), learnt.snapshot()
        foreign = {name for name in own.keys() ^ theirs.keys() if not _of_reading(name)}
        if foreign:
            raise ConfigError(
                f"what was learnt cannot be read so: {', '.join(sorted(foreign)[:3])} is there on one side alone; let the "
                "level hold while it learns as well (when = 'both')"
            )
        kept = {name: values for name, values in theirs.items() if not _of_reading(name)}
        self.restore({**kept, **{name: values for name, values in own.items() if _of_reading(name)}})
        self.take_notes(learnt.notes())
        self.calibrate()

    def keep_beside(self, out: Path) -> None:
        """Write what a report shows beside the results, once the run is finished."""


def _of_reading(name: str) -> bool:
    """Whether an array of a snapshot says how devices are read, and not what they are."""
    return not {"adc_range_uS", "adc_trim_lsb", "ranging", "wires"}.isdisjoint(name.split("."))
