"""Train one arm with one seed, with checkpoints: killed and started again, it ends in the same bits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.core.errors import CheckpointError
from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.data.dataset import Dataset, Labelled
from neurosim.devices.card import load
from neurosim.study.build import build_layer, on_devices
from neurosim.study.code import own_code
from neurosim.study.evaluate import PAIRED, Answers, evaluate, to_numpy, vote_accuracy
from neurosim.study.spec import IDEAL, Arm, Experiment
from neurosim.study.store import pack_bits, read_arrays, text_array, versions, write_arrays

Progress = Callable[[int, int], None]

CURVE_IMAGES = 2000
CURVE_IMAGES_A_NEURON = 10
SHOWN_FIELDS = 100


def splits(experiment: Experiment, data: Dataset) -> tuple[Labelled, Labelled]:
    """Return (training, reporting) images: without and on the validation split, or all and the test set."""
    training = data.training(hold_out=experiment.hold_out)
    if experiment.hold_out:
        return training, Labelled(data.x_validation, data.y_validation)
    return training, Labelled(data.x_test, data.y_test)


class Training:
    """One layer on its way through the training images; `save` and `resume` lose no bit.

    Parameters
    ----------
    experiment : Experiment
    arm : Arm or None
        None trains in ideal arithmetic.
    seed : int
    data : Dataset
    """

    def __init__(self, experiment: Experiment, arm: Arm | None, seed: int, data: Dataset):
        self.experiment, self.arm, self.seed, self.data = experiment, arm, seed, data
        self.fit, self.test = splits(experiment, data)
        self.layer = build_layer(experiment, arm, data.rows, seed)
        self.batches = -(-len(self.fit.images) // experiment.batch)
        self.curve: list[list[float]] = []
        self.seconds = 0.0
        self.answers: dict[str, Answers] = {}

    @property
    def name(self) -> str:
        """Name of the arm."""
        return IDEAL if self.arm is None else self.arm.name

    @property
    def identity(self) -> str:
        """What a checkpoint must agree with: everything that determines the bits."""
        settings = self.experiment.model_dump(mode="json", exclude={"seeds", "first_seed", "arm", "device"})
        arm = None if self.arm is None else self.arm.model_dump(mode="json")
        law = None if self.arm is None else load(self.arm.device)
        device = None if law is None else law.model_dump(mode="json")
        data = [self.data.note, len(self.fit.images)]
        code = own_code(law, self.layer.rule)
        return json.dumps([settings, arm, device, self.seed, data, versions(), *code], sort_keys=True)

    def run(self, progress: Progress | None = None, save: Callable[[], None] | None = None) -> None:
        """Train to the end from wherever the layer stands; `save` is called after every mini-batch."""
        total = self.experiment.epochs * self.batches
        marks = self._curve_marks(total)
        if not self.curve and self.experiment.curve_points:
            self._add_to_curve()
        order, epoch = None, -1
        while self.layer.steps < total:
            started = time.perf_counter()
            now, batch = divmod(self.layer.steps, self.batches)
            if order is None or now != epoch:
                epoch = now
                order = generator(self.seed, "order", epoch).permutation(len(self.fit.images))
            size = self.experiment.batch
            self._step(self.data.inputs(self.fit.images[order[batch * size : (batch + 1) * size]]))
            self.seconds += time.perf_counter() - started
            if self.layer.steps in marks:
                self._add_to_curve()
            if progress:
                progress(self.layer.steps, total)
            if save:
                save()

    def _step(self, x: Floats) -> None:
        every = self.experiment.calibrate_every
        devices = on_devices(self.layer.array)
        if every and self.layer.steps % every == 0 and devices is not None:
            devices.calibrate(x)
        self.layer.learn(x)

    def _curve_marks(self, total: int) -> set[int]:
        points = self.experiment.curve_points
        return {round(total * k / points) for k in range(1, points + 1)} if points else set()

    def _add_to_curve(self) -> None:
        """Vote accuracy on a part of the training images, classes assigned on another part."""
        count = len(self.fit.images)
        assigning = min(CURVE_IMAGES_A_NEURON * self.experiment.neurons, count // 2)
        counting = min(assigning + CURVE_IMAGES, count)
        fit = Labelled(self.fit.images[:assigning], self.fit.labels[:assigning])
        seen = Labelled(self.fit.images[assigning:counting], self.fit.labels[assigning:counting])
        images = min(self.layer.steps * self.experiment.batch, self.experiment.epochs * len(self.fit.images))
        self.curve.append([images, vote_accuracy(self.layer.array, self.data, fit, seen)])

    def result(self, untrained: dict[str, float]) -> dict[str, Any]:
        """Evaluate the trained layer and return one entry of the results' `runs`."""
        array = self.layer.array
        devices = on_devices(array)
        if devices is not None and devices.wires is not None:
            devices.solve_wires()
        epochs = self.experiment.readout_epochs
        scores, self.answers = evaluate(array, self.data, self.fit, self.test, epochs, self.seed)
        rows, cols = array.shape
        found: dict[str, Any] = {
            "arm": self.name,
            "seed": self.seed,
            **scores,
            "correct": {score: pack_bits(self.answers[score] == self.test.labels) for score in PAIRED},
            "test_size": len(self.test.labels),
            "untrained": untrained,
            "seconds": self.seconds,
            "curve": self.curve,
            "energy": None,
            "norm_mean": float(np.linalg.norm(to_numpy(array.weights()), axis=0).mean()),
            "norm_tracking_error": float(self.layer.norm_errors[-1]) if self.layer.norm_errors else None,
        }
        if devices is not None:
            if devices.wires is not None:
                found["wires"] = devices.wires_report
            ledger = devices.ledger
            found["energy"] = ledger.energy(rows * cols)
            found["adc_clipped_share"] = ledger.clipped_share
        return found

    def pictures(self) -> dict[str, np.ndarray]:
        """Return weights (rows, shown) of the first neurons and the conductances, for the report."""
        array = self.layer.array
        shown: dict[str, np.ndarray] = {"weights": to_numpy(array.weights())[:, :SHOWN_FIELDS]}
        devices = on_devices(array)
        if devices is not None:
            conductance = to_numpy(devices.conductance_uS())
            edges = np.linspace(0, max(float(conductance.max()), devices.device.g_max_uS), 81)
            shown["histogram"] = np.histogram(conductance, edges)[0]
            shown["edges_uS"] = edges
        return shown

    def save(self, path: Path, untrained: dict[str, float]) -> None:
        """Write a checkpoint."""
        saved: State = {f"layer.{name}": values for name, values in self.layer.snapshot().items()}
        notes = {
            "identity": self.identity,
            "curve": self.curve,
            "seconds": self.seconds,
            "untrained": untrained,
        }
        write_arrays(path, {**saved, "notes": text_array(json.dumps(notes))})

    def resume(self, path: Path) -> dict[str, float]:
        """Go on from a checkpoint and return the untrained scores kept in it.

        Raises
        ------
        CheckpointError
            If it is damaged or belongs to another experiment.
        """
        saved = read_arrays(path)
        try:
            notes = json.loads(saved.pop("notes").tobytes())
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); delete it to start again") from None
        if notes["identity"] != self.identity:
            raise CheckpointError(
                f"{path} belongs to another experiment (settings, seed or data differ); "
                "choose another --out or delete it"
            )
        self.layer.restore({name.removeprefix("layer."): values for name, values in saved.items()})
        self.curve, self.seconds = notes["curve"], notes["seconds"]
        untrained: dict[str, float] = notes["untrained"]
        return untrained
