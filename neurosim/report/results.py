"""What the report reads, checked at the door: `results.json` and the pictures beside it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from neurosim.core.errors import CheckpointError, DataError
from neurosim.core.protocols import State
from neurosim.study.arm import IDEAL
from neurosim.study.store import read_arrays

RESULTS = "results.json"
COMMANDS = {
    RESULTS: "neurosim compare EXPERIMENT.toml --out {folder}",
}
"""The command that makes each file, for the error messages."""
Interval = tuple[float, float]


class Part(BaseModel):
    """Base of the models below: further keys are ignored, NaN and infinity refused."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Energy(Part):
    """Joules of one arm, means over seeds; names as in `neurosim.crossbar.ledger.Ledger.energy`."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=True)

    update_J: float
    """NaN, as what else contains pulses, where nobody knows: the card does not give the pulse."""
    update_J_per_synapse: float
    update_J_per_synapse_with_periphery: float
    update_J_per_pulse: float = 0.0
    update_pulses_per_synapse: float | None = None
    """None of results of earlier versions."""
    write_J: float = 0.0
    refresh_J: float = 0.0
    readback_J: float = 0.0
    refreshed_pairs: float = 0.0
    rows_read_back: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _unknown_is_nan(cls, values: Any) -> Any:
        known = isinstance(values, dict)
        return (
            {name: math.nan if value is None else value for name, value in values.items()}
            if known
            else values
        )

    @property
    def known(self) -> bool:
        """Whether joules of updates are known."""
        return not math.isnan(self.update_J)

    @property
    def periphery_per_synapse(self) -> float:
        """Periphery's part of one update of one synapse (J), a lower bound."""
        return self.update_J_per_synapse_with_periphery - self.update_J_per_synapse

    @property
    def pulses_per_synapse(self) -> float:
        """Pulses that one update gives to one synapse."""
        if self.update_pulses_per_synapse is not None:
            return self.update_pulses_per_synapse
        return self.update_J_per_synapse / self.update_J_per_pulse if self.update_J_per_pulse else 0.0

    def per_synapse(self, part: str) -> float:
        """Return the part "write", "refresh" or "readback" of one update of one synapse (J)."""
        whole: float = getattr(self, f"{part}_J")
        return whole / self.update_J * self.update_J_per_synapse if self.update_J else 0.0


class Untrained(Part):
    """Scores before learning."""

    accuracy: float
    vote: float


class Run(Part):
    """One arm with one seed."""

    arm: str
    seed: int
    curve: tuple[tuple[float, float], ...] = ()
    neurons_used: float | None = None
    norm_mean: float | None = None
    norm_tracking_error: float | None = None
    adc_clipped_share: float | None = None
    aged: dict[str, Any] | None = None
    """What came after it was left alone (`neurosim.study.aged`)."""
    events: tuple[dict[str, Any], ...] = ()
    """What the arrays of each layer counted (`neurosim.study.events`),"""
    along: tuple[dict[str, Any], ...] = ()
    """and had counted at each look of the curve."""
    samples: int | None = None
    """Images shown while it learnt; None of results of earlier versions."""


class McNemar(Part):
    """McNemar's test of a device against ideal arithmetic with one seed."""

    seed: int
    ideal_only: int
    device_only: int
    p_value: float


class Verdict(Part):
    """Whether an arm does what ideal arithmetic does (`neurosim.study.statistics.Verdict`)."""

    answer: Literal["yes", "less", "no", "undecided"]
    seen: str
    decides: str = ""
    more_chips: int | None = None


def _interval(name: str, default: Any = None) -> Any:
    """A field for the interval of a mean, which in results of earlier versions is called ``_ci95``."""
    return Field(default, validation_alias=AliasChoices(f"{name}_interval", f"{name}_ci95"))


def _of_an_earlier_version(values: Any) -> Any:
    """Say of an entry whose intervals are not for new chips and new images what they are."""
    if not isinstance(values, dict) or "accuracy_interval" in values:
        return values
    return {**values, "earlier": "bootstrap" if values.get("accuracy_student95") else "Student"}


class ArmSummary(Part):
    """One arm, means over seeds with 95 % intervals for new chips and new images."""

    arm: str
    seeds: int
    accuracy_mean: float
    accuracy_interval: Interval = _interval("accuracy", ...)
    untrained_accuracy_mean: float
    gap_to_ideal_mean: float
    gap_interval: Interval | None = _interval("gap")
    gap_p: float | None = None
    verdict: Verdict | None = None
    yield_: dict[str, Any] | None = Field(None, validation_alias="yield", serialization_alias="yield")
    """How many chips are at most a point below ideal arithmetic (`neurosim.study.statistics.Yield`)."""
    accuracy_learning_kept: float | None
    accuracy_learning_kept_interval: Interval | None = None
    vote_mean: float
    vote_interval: Interval = _interval("vote", ...)
    untrained_vote_mean: float
    vote_gap_to_ideal_mean: float
    vote_gap_interval: Interval | None = _interval("vote_gap")
    vote_learning_kept: float | None
    vote_learning_kept_interval: Interval | None = None
    vote_verdict: Verdict | None = None
    accuracy_triangle_mean: float | None = None
    accuracy_triangle_interval: Interval | None = _interval("accuracy_triangle")
    mcnemar: dict[str, tuple[McNemar, ...]] = {}
    """Tests by score; empty in results that did not keep which images were right."""
    energy: Energy | None = None
    seconds_mean: float | None = None
    earlier: str = ""
    """Of results of an earlier version, what the intervals over seeds are: "bootstrap" or "Student"."""

    _say_so = model_validator(mode="before")(_of_an_earlier_version)

    @property
    def is_ideal(self) -> bool:
        """Whether this is the arm in ideal arithmetic."""
        return self.arm == IDEAL


class Baseline(Part):
    """A classifier that needs no layer."""

    name: str
    accuracy: float
    accuracy_ci95: Interval | None = None


class Data(Part):
    """What the accuracies are of."""

    note: str
    image_shape: tuple[int, ...]
    """Height, width and channels; of vectors that are no images their length alone."""
    train_images: int
    test_images: int
    reported_on: str

    @property
    def where(self) -> str:
        """Words that go with every accuracy, such as "test set of CIFAR-10 (JPEG q75)"."""
        return f"{self.reported_on} of {self.note}"


class Study(Part):
    """What results of comparisons and of own weights have."""

    data: Data
    config: dict[str, Any]
    versions: dict[str, str]
    chosen_on: tuple[dict[str, Any], ...] = ()
    """Kept results on validation images by which the settings were chosen (`neurosim.study.selection`)."""
    ideals: tuple[dict[str, Any], ...] = ()
    """What the arms on devices take as ideal (`neurosim.study.ideals`); none in results of earlier versions."""
    assumed: tuple[dict[str, Any], ...] = ()
    changed: dict[str, Any] = {}
    devices: dict[str, Any] = {}
    baselines: tuple[Baseline, ...] = ()

    @classmethod
    def of(cls, values: Self | dict[str, Any]) -> Self:
        """Return plain results as a checked model; a model passes through."""
        return values if isinstance(values, cls) else cls.model_validate(values)


class Results(Study):
    """What `neurosim.study.compare.compare` returns."""

    runs: tuple[Run, ...]
    summary: tuple[ArmSummary, ...]
    aged: tuple[dict[str, Any], ...] = ()
    """Of each arm that was left alone, its accuracy then (`neurosim.study.aged.summarise`)."""

    @property
    def ideal(self) -> ArmSummary | None:
        """The arm in ideal arithmetic."""
        return next((arm for arm in self.summary if arm.is_ideal), None)

    @property
    def device_arms(self) -> list[ArmSummary]:
        """All arms but the ideal one."""
        return [arm for arm in self.summary if not arm.is_ideal]

    @property
    def tested_arms(self) -> list[ArmSummary]:
        """Device arms that were compared with ideal arithmetic image by image."""
        return [arm for arm in self.device_arms if arm.mcnemar]

    @property
    def seeds(self) -> int:
        """Largest number of seeds of an arm."""
        return max((arm.seeds for arm in self.summary), default=0)

    @property
    def earlier(self) -> str:
        """What the intervals of results of an earlier version are."""
        return max((arm.earlier for arm in self.summary), default="")


Model = TypeVar("Model", bound=Part)


def read_results(folder: Path) -> Results | None:
    """Read `results.json`, or return None if there is none; raises `DataError` if it is damaged."""
    return read_study(folder, RESULTS, Results)


def nothing_in(folder: Path) -> DataError:
    """Return the error for a folder without results."""
    return DataError(f"{folder}: no {RESULTS} there; make it with: {_command(folder, RESULTS)}")


def read_study(folder: Path, name: str, model: type[Model]) -> Model | None:
    """Read one of the files of `COMMANDS`, or return None if there is none; raises `DataError`."""
    path = folder / name
    try:
        return model.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        fault = error.errors()[0]
        reason = f"{'.'.join(map(str, fault['loc'])) or 'contents'}: {fault['msg']}"
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
    raise DataError(f"{path} is damaged ({reason}); make it again with: {_command(folder, name)}")


def _command(folder: Path, name: str) -> str:
    return COMMANDS[name].format(folder=folder)


def read_pictures(folder: Path, arms: list[str]) -> dict[str, State]:
    """Return the pictures of those arms that have a sound file."""
    found = {}
    for arm in arms:
        path = folder / f"pictures-{arm}.npz"
        try:
            if path.is_file():
                found[arm] = read_arrays(path)
        except (CheckpointError, OSError):
            continue
    return found
