"""What a study of weights trained elsewhere is: their file, the arms they are programmed onto, and when they are read."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from neurosim.core.errors import CapabilityError, ConfigError, DataError
from neurosim.data.dataset import Dataset
from neurosim.study.arm import IDEAL, Arm, Backend
from neurosim.study.experiment import Experiment

if TYPE_CHECKING:
    from neurosim.study.weights import WeightsTraining

WITHOUT_MEANING = {
    "mode": "nothing learns from weights trained elsewhere",
    "window": "percentile, or write.w_max, says which weight is a full difference",
    "seconds_per_update": "nothing is updated; times_s says when the weights are read",
    "train_images": "nothing learns from weights trained elsewhere; calibration_images set the converters",
    "neurons": "the activations of a trained model are its own, in its layer map",
    "backend": "own weights are read by the torch backend alone",
    "precision": "devices under own weights compute in single precision alone",
}
"""Settings of experiments and arms that say nothing where nothing learns, and why."""


class WeightsExperiment(Experiment):
    """Weights trained elsewhere, as trained and programmed onto devices that age; a seed is an instance of the devices."""

    kind: ClassVar[str] = "weights"
    learns: ClassVar[bool] = False
    learns_together: ClassVar[bool] = True
    aside: ClassVar[frozenset[str]] = frozenset({"times_s", "calibration_images"})

    weights: str
    """A `.safetensors` file, or a state dict of torch."""
    layers: str | None = None
    """The layer map; None reads the file as a plain chain of fully connected layers with ReLU between."""
    seeds: int = Field(10, ge=1)
    times_s: tuple[float, ...] = (1.0, 3600.0, 86400.0, 31_536_000.0)
    """Times since programming at which the images are read; they are also read as programmed."""
    percentile: float = Field(100.0, gt=0, le=100)
    """Percentile of a layer's magnitudes that becomes its w_max; larger weights are clipped."""
    calibration_images: int = Field(200, ge=1)
    """Training images that set the ADCs' ranges and are the fixed inputs of drift compensation."""
    backend: Backend = "torch"
    arm: tuple[Arm, ...] = ()

    @field_validator("times_s", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_a_meaning(self) -> Self:
        plain = {name: field.default for name, field in type(self).model_fields.items()}
        for place, given in (("", self), *((f"arm '{arm.name}', ", arm) for arm in self.arm)):
            for name, reason in WITHOUT_MEANING.items():
                if getattr(given, name, None) not in (None, plain.get(name)):
                    raise ValueError(f"{place}{name}: {reason}; leave it out")
        for arm in self.arm:
            if arm.device is None:
                raise ValueError(f"arm '{arm.name}': device is missing; ideal arithmetic is compared anyway")
        if list(self.times_s) != sorted({time for time in self.times_s if time > 0}):
            raise ValueError(f"times_s = {list(self.times_s)}: must be above 0 and rise")
        return self

    @property
    def implied(self) -> list[Any]:
        """The weights as trained, in ideal arithmetic, with which devices are always compared."""
        return [Arm(name=IDEAL)]

    def at_one_age(self) -> Self:
        """Return the same without times of its own."""
        return self.changed(times_s=())

    def check(self) -> None:
        """Refuse before any work what would fail later: devices, settings, weights, their map, and what does not fit."""
        from neurosim.study.weights import refuse_misfits

        arms = self.device_arms()
        if not arms:
            raise ConfigError("device: name at least one card to program the weights onto")
        try:
            super().check()
        except CapabilityError as error:
            if "numba" not in str(error):
                raise
            what = str(error).partition(";")[0]
            raise CapabilityError(f"{what}, which alone reads own weights; leave it out") from None
        for arm in arms:
            write = arm.write_path()
            if self.percentile != 100 and (write.w_max or write.scale != "auto"):
                raise ConfigError(
                    f"percentile = {self.percentile}: write says which weight is a full difference; give one of both"
                )
        refuse_misfits(self)

    def said(self) -> list[str]:
        """Return in which order and with which activation weights without a map were read, and what was left out."""
        from neurosim.study.weights import refuse_misfits

        return refuse_misfits(self)

    def deciding(self) -> dict[str, Any]:
        """Return what decides the bits beside the arm; of the weights and their map what is in the files."""
        layers = None if self.layers is None else content_digest("layer map", self.layers)
        return {
            **super().deciding(),
            "weights": content_digest("weights", self.weights),
            "layers": layers,
        }

    def training(self, arm: Any, seed: int, data: Dataset) -> WeightsTraining:
        """Return what programs the weights onto one arm with one seed, not yet begun."""
        from neurosim.study.weights import WeightsTraining

        return WeightsTraining(self, arm, seed, data)

    def holding(self, data: Dataset) -> dict[str, Any]:
        """Refused: what devices make of changes of weights says nothing where nothing learns."""
        raise ConfigError("holding: nothing learns from weights trained elsewhere; leave it out")

    def beforehand(self, data: Dataset) -> dict[str, Any]:
        """Return what was read from the files; refuses what an arm cannot have."""
        from neurosim.study.weights import about_model

        return {**super().beforehand(data), "model": about_model(self, data)}

    def scores(self, result: Any) -> dict[str, float]:
        """Return the accuracy as first read, and those after each time, without and with compensation of drift."""
        first, *later = result["points"]
        found = {"accuracy": first["accuracy"]}
        for point in later:
            name = "compensated" if point["compensated"] else "accuracy"
            after = "" if point["time_s"] == first["time_s"] else f"_{point['time_s']:g}s"
            found[name + after] = point["accuracy"]
        return found

    def summarise(self, runs: list[Any]) -> dict[str, Any]:
        """Return the runs, and for each arm what they come to as programmed and at each time."""
        from neurosim.study.weights import summarise

        return {"runs": runs, "summary": summarise(runs)}

    def about_data(self, data: Dataset) -> dict[str, Any]:
        """Return what the results say of the images, none of which are learnt."""
        found = super().about_data(data)
        del found["train_images"]
        return {**found, "calibration_images": self.calibration_images}


def content_digest(what: str, path: str) -> str:
    """Return the SHA-256 of a file's content; raises `DataError` if it cannot be read."""
    try:
        found = Path(path).stat()
        return _digest(path, found.st_mtime_ns, found.st_size)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise DataError(f"{what} {path}: {reason}") from None


@lru_cache(maxsize=64)
def _digest(path: str, changed_ns: int, size: int) -> str:
    """Of a file as it was at that time: a sweep asks for it again and again."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
