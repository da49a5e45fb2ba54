"""Weights trained elsewhere, programmed onto devices: accuracy as programmed and as the devices age."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

import neurosim.data
from neurosim.core.errors import CapabilityError, ConfigError
from neurosim.data.dataset import Dataset
from neurosim.devices.card import load
from neurosim.kernels.jit import share
from neurosim.network.readout import single_threaded_torch
from neurosim.study.arm import Arm, Arrays, Backend, device_name, fit_for_files
from neurosim.study.code import own_code
from neurosim.study.doors import CardName, DataName, called
from neurosim.study.run import card_of
from neurosim.study.statistics import bootstrap, interval, wilson
from neurosim.study.store import versions
from neurosim.study.training import Report

if TYPE_CHECKING:
    from torch import Tensor

    from neurosim.reference.chain import Chain
    from neurosim.reference.convert import CrossbarModel

STACKED = 4000
"""Images times instances that pass through a model at once."""
WITHOUT_MEANING = {
    "mode": "nothing learns from weights trained elsewhere; leave it out",
    "window": "percentile, or write.w_max, says which weight is a full difference; leave it out",
    "seconds_per_update": "nothing is updated; times_s says when the weights are read",
}
"""Settings of arrays that mean nothing where nothing learns, and why."""


class Transfer(Arrays):
    """What is put onto which devices, and when it is read; of the settings of arrays, those with a meaning here."""

    weights: str
    """A `.safetensors` file, or a state dict of torch."""
    layers: str | None = None
    """The layer map; None reads the file as a plain chain of fully connected layers with ReLU between."""
    dataset: DataName = "digits"
    test_images: int | None = Field(None, ge=10)
    device: tuple[CardName, ...] = ()
    """Card names or files."""
    instances: int = Field(10, ge=1)
    """Draws of devices, all of which run as one batch."""
    first_seed: int = 0
    times_s: tuple[float, ...] = (1.0, 3600.0, 86400.0, 31_536_000.0)
    """Times since programming at which the test set is read; it is also read as programmed."""
    percentile: float = Field(100.0, gt=0, le=100)
    """Percentile of a layer's magnitudes that becomes its w_max; larger weights are clipped."""
    calibration_images: int = Field(200, ge=1)
    """Training images that set the ADCs' ranges and are the fixed inputs of drift compensation."""
    backend: Backend = "torch"

    @field_validator("times_s", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for name in sorted(self.model_fields_set & set(WITHOUT_MEANING)):
            raise ValueError(f"{name}: {WITHOUT_MEANING[name]}")
        if self.backend != "torch":
            raise ValueError("backend: own weights are read by the torch backend alone; leave it out")
        if self.precision != "float32":
            raise ValueError(
                "precision: devices under own weights compute in single precision alone; leave it out"
            )
        if self.percentile != 100 and (self.write.w_max or self.write.scale != "auto"):
            raise ValueError(
                f"percentile = {self.percentile}: write says which weight is a full difference; give one of both"
            )
        if not self.device:
            raise ValueError("device: name at least one card to program the weights onto")
        if list(self.times_s) != sorted({time for time in self.times_s if time > 0}):
            raise ValueError(f"times_s = {list(self.times_s)}: must be above 0 and rise")
        if len(self.arms) < len(self.device):
            raise ValueError("two devices have one name; give their cards different file names")
        for name in self.arms:
            fit_for_files(name)
        return self

    @property
    def arms(self) -> dict[str, str]:
        """Devices by the name of their arm."""
        return {device_name(called(device)): device for device in self.device}

    def settled(self) -> list[Arm]:
        """Return the arms with every setting filled in; raises for unknown device cards."""
        return [Arm(name=name, device=card).settled(self) for name, card in self.arms.items()]

    @property
    def seeds(self) -> list[int]:
        """The seed of each instance."""
        return list(range(self.first_seed, self.first_seed + self.instances))


def prepare(spec: Transfer) -> tuple[Dataset, Chain]:
    """Load data and weights, and refuse before any work what would fail later.

    Raises
    ------
    NeurosimError
        If a device, the data set, the weights or their layer map is wrong, or they do not fit.
    """
    from neurosim.reference.chain import Chain

    for arm in spec.settled():
        try:
            arm.array((4, 2), "layer", 0, 1.0)
        except CapabilityError as error:
            what = str(error).partition(";")[0]
            raise CapabilityError(f"{what}, which alone reads own weights; leave it out") from None
    for name in spec.parameters:
        if not any(name in arm.parameters for arm in spec.settled()):
            load(spec.device[0]).with_parameters(**{name: None})
    data = neurosim.data.load(spec.dataset).subset(test=spec.test_images)
    layers = Path(spec.layers) if spec.layers else None
    try:
        return data, Chain(Path(spec.weights), layers, _torch_shape(data), data.classes)
    except ConfigError as error:
        raise ConfigError(f"{error} (data set '{spec.dataset}')") from None


def _torch_shape(data: Dataset) -> tuple[int, ...]:
    """Shape of a sample as torch lays it out: channels, height and width of images; vectors as they are."""
    return data.shape[-1:] + data.shape[:-1]


def _pictures(data: Dataset, images: np.ndarray) -> Tensor:
    """Samples (n, rows) in [0, 1] as torch lays them out: (n, channels, height, width), or vectors as they are."""
    import torch

    found = torch.from_numpy(data.inputs(images)).reshape(-1, *data.shape)
    return found.movedim(-1, 1)


def accuracies(model: Callable[[Tensor], Tensor], data: Dataset, size: int) -> list[float]:
    """Accuracy on the test set of each instance of a model, read `size` images at a time."""
    import torch

    right: Any = 0
    for first in range(0, len(data.y_test), size):
        answers = model(_pictures(data, data.x_test[first : first + size])).argmax(dim=-1)
        right = right + (answers.cpu() == torch.from_numpy(data.y_test[first : first + size])).sum(dim=-1)
    found: list[float] = (right.double() / len(data.y_test)).reshape(-1).tolist()
    return found


class _Arm:
    """One device: all its instances, read again and again while they age."""

    def __init__(self, spec: Transfer, arm: Arm, data: Dataset, chain: Chain):
        from neurosim.reference.convert import convert

        self.spec, self.name, self.data = spec, arm.name, data
        device = arm.law()
        self.times_s = spec.times_s if device.drifts else ()
        self.drifts = device.drifts
        self.model: CrossbarModel = convert(
            chain.model, device, spec.seeds, arm.read_path(), arm.write_path(), percentile=spec.percentile,
            periphery=spec.periphery, torch_device=spec.torch_device, **arm.hardware(),
        )  # fmt: skip
        self.points: list[dict[str, Any]] = []

    def run(self, report: Report | None) -> list[dict[str, Any]]:
        """Evaluate as programmed and at each time without and with compensation; one entry an instance."""
        total = 1 + 2 * len(self.times_s)
        typical = self.data.training(hold_out=False).images[: self.spec.calibration_images]
        self.model.calibrate(_pictures(self.data, typical))
        self._point(0.0, False)
        energy = self._energy()
        for place, time_s in enumerate(self.times_s):
            self.model.advance(time_s - (self.times_s[place - 1] if place else 0.0))
            self.model.stop_compensation()
            self._point(time_s, False)
            gains = [gain.tolist() for gain in self.model.compensate().values()]
            self._point(time_s, True, gains)
            if report:
                report(self.name, self.spec.first_seed, len(self.points), total)
        shares = self._clipped()
        return [
            {
                "arm": self.name,
                "seed": seed,
                "drifts": self.drifts,
                "test_size": len(self.data.y_test),
                "points": [
                    {
                        "time_s": point["time_s"],
                        "compensated": point["compensated"],
                        "accuracy": point["accuracy"][k],
                        "gain": [gain[k] for gain in point["gain"]],
                    }
                    for point in self.points
                ],
                "adc_clipped_share": shares[k],
                "energy": energy[k],
            }
            for k, seed in enumerate(self.spec.seeds)
        ]

    def _point(self, time_s: float, compensated: bool, gain: Sequence[list[float]] = ()) -> None:
        found = accuracies(self.model, self.data, max(1, STACKED // self.spec.instances))
        self.points.append({"time_s": time_s, "compensated": compensated, "accuracy": found, "gain": gain})

    def _energy(self) -> list[dict[str, float]]:
        """Joules of programming, and of the first pass over the test set for each image."""
        images = len(self.data.y_test) + 2 * self.spec.calibration_images
        return [
            {
                "program_J": ledger.program_J,
                "read_J_per_image": ledger.read_J / images,
                "read_periphery_J_per_image": ledger.read_periphery_J / images,
            }
            for ledger in self.model.ledgers
        ]

    def _clipped(self) -> list[float]:
        """Share of ADC conversions of each instance that met the end of the range."""
        ledgers = [(layer.array.shape[1], layer.array.ledgers) for layer in self.model.layers.values()]
        return [
            sum(found[k].adc_clipped for _, found in ledgers)
            / sum(found[k].reads * cols for cols, found in ledgers)
            for k in range(self.spec.instances)
        ]


def transfer(spec: Transfer, report: Report | None = None) -> dict[str, Any]:
    """Program the weights onto every device and return accuracies against time.

    Parameters
    ----------
    spec : Transfer
    report : callable, optional
        Progress, called with (arm, first seed, done, total).

    Returns
    -------
    results : dict
        What is written to `weights.json`: `ideal`, `runs` (one an arm and instance), `summary` (one an
        arm), `model`, `data`, `config`, `devices` (the card of each arm), `versions`. Accuracies are fractions of one; `time_s` 0 means as
        programmed, which is when a card's law defines the conductance (PCM: its reading time).

    Raises
    ------
    NeurosimError
        If something is wrong with the weights, map, data or devices; nothing has been computed then.
    """
    data, chain = prepare(spec)
    arms = spec.settled()

    def run(arm: Arm) -> list[dict[str, Any]]:
        with single_threaded_torch():
            return _Arm(spec, arm, data, chain).run(report)

    with single_threaded_torch():
        ideal = accuracies(chain.model, data, STACKED)[0]
        runs = [entry for found in share(run, arms) for entry in found]
    return {
        "ideal": {"accuracy": ideal, "accuracy_ci95": wilson(ideal, len(data.y_test))},
        "runs": runs,
        "summary": [_summary([run for run in runs if run["arm"] == arm], ideal) for arm in spec.arms],
        "model": {
            "layers": chain.text,
            "assumed": spec.layers is None,
            "unused_tensors": chain.unused,
            "sha256": hashlib.sha256(Path(spec.weights).read_bytes()).hexdigest(),
        },
        "data": {
            "note": data.note,
            "test_images": len(data.y_test),
            "reported_on": "test set",
        },
        "config": spec.model_dump(mode="json", exclude=set(WITHOUT_MEANING)),
        "devices": {arm.name: card_of(arm) for arm in arms},
        **({"code": code} if (code := own_code(*(arm.law() for arm in arms))) else {}),
        "versions": versions(),
    }


def _summary(runs: list[dict[str, Any]], ideal: float) -> dict[str, Any]:
    """One arm, means over instances; intervals as in `neurosim.study.compare.summarise`."""
    points = []
    for place, first in enumerate(runs[0]["points"]):
        values = [run["points"][place]["accuracy"] for run in runs]
        gaps = [ideal - value for value in values]
        points.append(
            {
                "time_s": first["time_s"],
                "compensated": first["compensated"],
                "accuracy_mean": float(np.mean(values)),
                "accuracy_ci95": bootstrap(values) or wilson(values[0], runs[0]["test_size"]),
                "accuracy_student95": interval(values),
                "gap_to_ideal_mean": float(np.mean(gaps)),
                "gap_ci95": bootstrap(gaps),
                "gap_student95": interval(gaps),
            }
        )
    return {
        "arm": runs[0]["arm"],
        "instances": len(runs),
        "drifts": runs[0]["drifts"],
        "points": points,
        "adc_clipped_share": float(np.mean([run["adc_clipped_share"] for run in runs])),
        "energy": {name: float(np.mean([run["energy"][name] for run in runs])) for name in runs[0]["energy"]},
    }
