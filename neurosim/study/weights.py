"""Weights trained elsewhere, programmed onto devices: which images they have right as programmed and as the devices age."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.config import Periphery
from neurosim.core.errors import ConfigError, Stopped
from neurosim.core.protocols import State
from neurosim.data.dataset import Dataset
from neurosim.network.readout import single_threaded_torch
from neurosim.study import stopping
from neurosim.study.arm import IDEAL
from neurosim.study.compare import summary_of
from neurosim.study.store import pack_bits
from neurosim.study.sweep import data_key
from neurosim.study.training import Training
from neurosim.study.weights_spec import WeightsExperiment, content_digest

if TYPE_CHECKING:
    from torch import Tensor

    from neurosim.crossbar.ledger import Ledger
    from neurosim.reference.chain import Chain
    from neurosim.reference.convert import CrossbarModel

CHUNK = 4000
"""Images that pass through a model at once, of all its instances."""
Points = list[dict[str, Any]]
# What is read, or said, of each chip; a docstring would have it among the reference.
OF_AN_ARM = {"arm", "seeds", "energy", "seconds_mean"}
"""What a summary says of an arm once, and not at each time."""


class WeightsTraining(Training):
    """The weights on the devices of one arm with one seed: programming is the only step, nothing learns after it.

    Parameters
    ----------
    experiment, arm, seed, data
        As of `Training`.

    Attributes
    ----------
    chain : Chain
        The model as it was trained.
    model : CrossbarModel or None
        The same on devices, once it is programmed; never in ideal arithmetic.
    answered : dict or None
        What a batch of chips has read of this one (`evaluated_each`), and of which evaluation it is.
    """

    experiment: WeightsExperiment
    asked_together = True

    def __init__(self, experiment: WeightsExperiment, arm: Any, seed: int, data: Dataset):
        super().__init__(experiment, arm, seed, data)
        self.chain = chain_of(experiment, data)
        self.model: CrossbarModel | None = None
        self.calibrated = False
        self.answered: dict[str, Any] | None = None

    @property
    def batch(self) -> int:
        """All images at once, of which none is learnt."""
        return len(self.images)

    @property
    def total(self) -> int:
        """The one step, which programs."""
        return 1

    @property
    def rules(self) -> list[Any]:
        """None: nothing learns."""
        return []

    def step(self, chosen: NDArray[np.int64]) -> None:
        """Program the weights."""
        self._programmed()

    def _programmed(self) -> CrossbarModel | None:
        """The model on devices, programmed if it is not; None in ideal arithmetic."""
        from neurosim.reference.convert import convert

        arm = self.arm
        if self.model is None and arm.device is not None:
            with single_threaded_torch():
                self.model = convert(
                    self.chain.model, arm.law(), self.instances or self.seed, arm.read_path(), arm.write_path(),
                    percentile=self.experiment.percentile,
                    periphery=Periphery.parse(arm.periphery, f"arm {arm.name}, periphery"),
                    torch_device=arm.torch_device, exclude=self.chain.digital,
                )  # fmt: skip
            self.layers = list(self.model.layers.values())
        return self.model

    def calibrate(self) -> None:
        """Set the ADCs' ranges, and the reference of drift compensation, by training images."""
        self.answered = None
        model = self._programmed()
        if model is not None:
            with single_threaded_torch():
                model.calibrate(pictures(self.data, self._typical))
        self.calibrated = True

    @property
    def _typical(self) -> Any:
        return self.images[: self.experiment.calibration_images]

    def evaluated(self) -> dict[str, Any]:
        """Read the images as programmed, and after each time without and with compensation of drift.

        Of devices that have aged before, such as those that a sweep reads at an age, at that age instead.
        """
        if self.answered and self.answered["evaluation"] == self.evaluation:
            found: dict[str, Any] = self.answered["result"]
            return found
        return self.evaluated_each()[0]

    def evaluated_each(self) -> list[dict[str, Any]]:
        """Return the same of every chip, all of them read in one pass."""
        started = time.perf_counter()
        model = self._programmed()
        if not self.calibrated:
            self.calibrate()
        with single_threaded_torch():
            rounds, further = self._read(model)
        seeds = self.instances or (self.seed,)
        seconds = (self.seconds + time.perf_counter() - started) / len(seeds)
        guessed = _scored(self.test.labels == np.bincount(self.fit.labels).argmax())
        return [
            {
                "arm": self.name,
                "seed": seed,
                "accuracy": points[0]["accuracy"],
                "correct": {"accuracy": points[0]["correct"]},
                "untrained": guessed,
                "points": list(points),
                **own,
                "test_size": len(self.test.labels),
                "seconds": seconds,
            }
            for seed, own, points in zip(seeds, further, zip(*rounds, strict=True), strict=True)
        ]

    def _read(self, model: CrossbarModel | None) -> tuple[list[Points], Points]:
        """What every chip reads at each time, and what the run of each says beside."""
        if model is None:
            return [self._points(0.0, False)], [{} for _ in self.instances or (self.seed,)]
        now, drifts = self.layers[0].array.now_s, self.layers[0].array.device.drifts
        rounds = [self._points(now, False)]
        joules = [self._energy(ledger) for ledger in model.ledgers]
        if now and drifts:
            rounds.append(self._compensated(model, now))
        for time_s in self.experiment.times_s if drifts else ():
            model.advance(time_s - now)
            now = time_s
            model.stop_compensation()
            rounds += [self._points(now, False), self._compensated(model, now)]
        return rounds, [
            {"drifts": drifts, "adc_clipped_share": ledger.clipped_share, "energy": energy}
            for ledger, energy in zip(model.ledgers, joules, strict=True)
        ]

    def _compensated(self, model: CrossbarModel, time_s: float) -> Points:
        gains = np.array([gain.tolist() for gain in model.compensate().values()])
        return self._points(time_s, True, gains.T.tolist())

    def _points(self, time_s: float, compensated: bool, gains: Sequence[list[float]] = ()) -> Points:
        """Which of the images each chip has right now; raises `Stopped` if somebody asked for the end."""
        if stopping.asked():
            raise Stopped
        chips = len(self.instances or (self.seed,))
        right = right_of(self.model or self.chain.model, self.data, self.test.images, self.test.labels, chips)
        return [
            {"time_s": time_s, "compensated": compensated, "gain": gain, **_right(own)}
            for own, gain in zip(
                np.broadcast_to(right, (chips, right.shape[-1])),
                gains or [[] for _ in range(chips)],
                strict=True,
            )
        ]

    def _energy(self, ledger: Ledger) -> dict[str, float | None]:
        """Joules of programming, and for each image of what has been read so far: for calibration twice, and once."""
        images = len(self.test.labels) + 2 * len(self._typical)
        return {
            "program_J": None if math.isnan(ledger.program_J) else ledger.program_J,
            "read_J_per_image": ledger.read_J / images,
            "read_periphery_J_per_image": ledger.read_periphery_J / images,
        }

    def snapshot(self, instance: int = 0) -> State:
        """Return the devices of every layer of one chip, as named arrays; nothing in ideal arithmetic."""
        model = self._programmed()
        return {
            f"{name}.{key}": values
            for name, layer in (model.layers.items() if model else ())
            for key, values in layer.array.snapshot(instance).items()
        }

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        self.answered = None
        model = self._programmed()
        for name, layer in model.layers.items() if model else ():
            place = f"{name}."
            layer.array.restore(
                {key.removeprefix(place): values for key, values in saved.items() if key.startswith(place)}
            )

    def notes(self) -> dict[str, Any]:
        """As of every training, with what a batch has read of this chip."""
        return {**super().notes(), **({"answered": self.answered} if self.answered else {})}

    def take_notes(self, notes: dict[str, Any]) -> None:
        """Go back to notes of a checkpoint, or of a batch."""
        super().take_notes(notes)
        self.answered = notes.get("answered")


def _right(right: NDArray[np.bool_]) -> dict[str, Any]:
    return {"accuracy": float(right.mean()), "correct": pack_bits(right)}


def _scored(right: NDArray[np.bool_]) -> dict[str, Any]:
    return {"accuracy": float(right.mean()), "correct": {"accuracy": pack_bits(right)}}


def pictures(data: Dataset, images: Any) -> Tensor:
    """Return samples (n, rows) in [0, 1] as torch lays them out: (n, channels, height, width), or vectors as they are."""
    import torch

    found = torch.from_numpy(data.inputs(images)).reshape(-1, *data.shape)
    return found.movedim(-1, 1)


def right_of(
    model: Any, data: Dataset, images: Any, labels: NDArray[np.int64], chips: int = 1
) -> NDArray[np.bool_]:
    """Return which images (n, rows) a model gives the class of their label: ([instances,] n)."""
    at_once = max(1, CHUNK // chips)
    answers = [
        model(pictures(data, images[first : first + at_once])).argmax(dim=-1).cpu().numpy()
        for first in range(0, len(labels), at_once)
    ]
    found: NDArray[np.bool_] = np.concatenate(answers, axis=-1) == labels
    return found


def chain_of(experiment: WeightsExperiment, data: Dataset) -> Chain:
    """Return the model as it was trained; one that was read before, of the same files, is not read again.

    Raises
    ------
    DataError, ConfigError
        If the weights or the layer map are wrong, or do not fit each other or the data set.
    """
    files = [experiment.weights, content_digest("weights", experiment.weights)]
    layers = experiment.layers
    files += [] if layers is None else [layers, content_digest("layer map", layers)]
    shape = data.shape[-1:] + data.shape[:-1]
    try:
        return _chain(tuple(files), shape, data.classes)
    except ConfigError as error:
        raise ConfigError(f"{error} (data set '{experiment.dataset}')") from None


@lru_cache(maxsize=2)
def _chain(files: tuple[str, ...], shape: tuple[int, ...], classes: int) -> Chain:
    """Of weights and their digest, and of a layer map and its digest where there is one."""
    from neurosim.reference.chain import Chain

    weights, _, *layers = files
    return Chain(Path(weights), Path(layers[0]) if layers else None, shape, classes)


_fitting: dict[str, list[str]] = {}
"""What is said of weights, layer maps and data sets that were seen to fit: a sweep asks of every point."""


def refuse_misfits(experiment: WeightsExperiment) -> list[str]:
    """Refuse weights that do not fit their layer map or the images; raises as `chain_of`. Returns what is to be said."""
    key = f"{experiment.deciding()} {data_key(experiment)}"
    if key not in _fitting:
        _fitting[key] = chain_of(experiment, experiment.data()).said
    return _fitting[key]


def about_model(experiment: WeightsExperiment, data: Dataset) -> dict[str, Any]:
    """Return what the results say of the model: its layers in words, what was not used, the digest of its file."""
    chain = chain_of(experiment, data)
    return {
        "layers": chain.text,
        "assumed": experiment.layers is None,
        "unused_tensors": chain.unused,
        "sha256": content_digest("weights", experiment.weights),
    }


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry an arm, as of `compare` for what is read first, and ``points`` with the same for each time."""
    ideal = {run["seed"]: run for run in runs if run["arm"] == IDEAL}
    found = []
    for arm in dict.fromkeys(run["arm"] for run in runs):
        own = [run for run in runs if run["arm"] == arm]
        at = [
            summary_of(arm, _as_read(own, place), ideal, ("accuracy",))
            for place in range(len(own[0]["points"]))
        ]
        points = [
            {
                "time_s": point["time_s"],
                "compensated": point["compensated"],
                **{name: value for name, value in entry.items() if name not in OF_AN_ARM},
            }
            for point, entry in zip(own[0]["points"], at, strict=True)
        ]
        entry = {**at[0], "points": points}
        if arm != IDEAL:
            entry["drifts"] = own[0]["drifts"]
            entry["adc_clipped_share"] = float(np.mean([run["adc_clipped_share"] for run in own]))
        found.append(entry)
    return found


def _as_read(runs: list[dict[str, Any]], place: int) -> list[dict[str, Any]]:
    """The runs with what they had right at one of their points."""
    return [
        {**run, "accuracy": point["accuracy"], "correct": {"accuracy": point["correct"]}}
        for run in runs
        for point in [run["points"][place]]
    ]
