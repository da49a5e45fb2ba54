"""What an experiment is: data, rule, layer, and the arms to compare; unknown keys are errors."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from neurosim.core import registry
from neurosim.core.config import Frozen, Periphery, ReadPath, WritePath, merged
from neurosim.core.errors import ConfigError
from neurosim.core.hardware import Faults, Tiles, Wires
from neurosim.core.protocols import Precision, Rule, UpdateMode, needs_phase
from neurosim.devices.card import load
from neurosim.study.arms import IDEAL, ON_DEVICE, ArmName, CardName, one_reading_delay

__all__ = ["EIGHT_BITS", "IDEAL", "Arm", "Experiment", "device_name", "phaseless"]

EIGHT_BITS = {"dac_bits": 8, "adc_bits": 8}


class Arm(Frozen):
    """One device under one way of updating. What is left out is taken from the experiment."""

    name: ArmName = ""
    device: CardName
    mode: UpdateMode | None = None
    window: float | None = Field(None, gt=0)
    parameters: dict[str, float | None] = Field(default_factory=dict)
    read: dict[str, Any] = Field(default_factory=dict)
    write: dict[str, Any] = Field(default_factory=dict)
    wires: dict[str, Any] | None = Field(default_factory=dict)
    """Changes to the experiment's; None takes them away, as with tiles and faults."""
    tiles: dict[str, Any] | None = Field(default_factory=dict)
    faults: dict[str, Any] | None = Field(default_factory=dict)


class Experiment(Frozen):
    """A comparison of one layer in ideal arithmetic with the same layer on devices."""

    dataset: str = "digits"
    train_images: int | None = Field(None, ge=12)
    """Images to train on (a fixed random subset); None is all."""
    test_images: int | None = Field(None, ge=10)
    hold_out: bool = False
    """Train without the validation split and report accuracy on it: for tuning, so the test set stays unseen."""
    rule: str = "softhebb"
    rule_options: dict[str, Any] = Field(default_factory=dict)
    neurons: int = Field(100, ge=2)
    epochs: int = Field(1, ge=1)
    batch: int = Field(32, ge=1)
    start_radius: float = Field(2.5, gt=0)
    """Norm of the start weights, which are uniform from zero."""
    norm_every: int = Field(100, ge=1)
    """Updates between measurements of the column norms."""
    calibrate_every: int | None = Field(100, ge=1)
    """Updates between calibrations of the ADC's range on the present mini-batch."""
    curve_points: int = Field(10, ge=0)
    readout_epochs: int = Field(10, ge=1)
    seeds: int = Field(1, ge=1)
    first_seed: int = 0
    device: tuple[CardName, ...] = ()
    """Devices of arms that differ in nothing else."""
    arm: tuple[Arm, ...] = ()
    mode: UpdateMode = "accumulate"
    window: float = Field(1.3, gt=0)
    """Largest storable weight, in multiples of the largest start weight (unless write.w_max is given)."""
    parameters: dict[str, float | None] = Field(default_factory=dict)
    """Device parameters changed in every arm that has them."""
    backend: Literal["numba", "torch"] = "numba"
    """Which machine computes; both agree draw for draw (see `neurosim validate`)."""
    precision: Precision = "float32"
    torch_device: str = "cpu"
    """Where the torch backend computes: cpu, cuda, cuda:1, ..."""
    read: ReadPath = ReadPath(**EIGHT_BITS)
    write: WritePath = WritePath()
    wires: Wires | None = None
    tiles: Tiles | None = None
    faults: Faults | None = None
    periphery: Periphery = Periphery()

    @field_validator("read", mode="before")
    @classmethod
    def _eight_bits_unless_said(cls, value: Any) -> Any:
        return {**EIGHT_BITS, **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _arms_differ(self) -> Self:
        names = [arm.name for arm in self._named()]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"two arms are called '{doubled.pop()}'; give each arm a name of its own")
        shared = {"reading_delay_s": self.read.reading_delay_s}
        one_reading_delay({arm.name: {**shared, **arm.read} for arm in self._named()})
        return self

    @classmethod
    def from_toml(cls, path: Path) -> Experiment:
        """Read an experiment file; raises `ConfigError` naming the file, the key and what is wrong."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"experiment {path}: {error}") from None
        return cls.parse(values, f"experiment {path.name}")

    def _named(self) -> list[Arm]:
        listed = [Arm(device=name) for name in self.device] + list(self.arm)
        return [arm.changed(name=device_name(arm.name or Path(arm.device).stem)) for arm in listed]

    @property
    def renamed(self) -> list[str]:
        """Names given to arms on devices that are kept for ideal arithmetic."""
        return [arm.name for arm in self.arm if arm.name and device_name(arm.name) != arm.name]

    def arms(self) -> list[Arm]:
        """Return the device arms with every setting filled in; raises for unknown device cards."""
        return [
            arm.changed(
                mode=arm.mode or self.mode,
                window=arm.window or self.window,
                parameters={**self._shared_parameters(arm), **arm.parameters},
                read={**self.read.model_dump(), **arm.read},
                write=merged(self.write.model_dump(exclude_unset=True), arm.write),
                wires=_changed(self.wires, arm.wires),
                tiles=_changed(self.tiles, arm.tiles),
                faults=_changed(self.faults, arm.faults),
            )
            for arm in self._named()
        ]

    def _shared_parameters(self, arm: Arm) -> dict[str, float | None]:
        """The experiment's device parameters that this arm's device has."""
        if not self.parameters:
            return {}
        known = type(load(arm.device)).model_fields
        return {name: value for name, value in self.parameters.items() if name in known}

    def build_rule(self) -> Rule:
        """Return the learning rule; raises `UnknownNameError` or `ConfigError`."""
        rule: Rule = phaseless(self.rule).parse(self.rule_options, f"rule {self.rule}")
        return rule

    @property
    def seed_list(self) -> list[int]:
        """The seeds, one run of every arm each."""
        return list(range(self.first_seed, self.first_seed + self.seeds))


def device_name(name: str) -> str:
    """Return the name of an arm on devices: its own, unless ideal arithmetic has that."""
    return ON_DEVICE if name.strip().casefold() == IDEAL else name


def phaseless(name: str) -> Any:
    """Return a registered rule that learns without phases; raises `UnknownNameError` or `ConfigError`."""
    kind = registry.find("rule", name)
    if needs_phase(kind):
        raise ConfigError(
            f"rule '{name}' learns from positive and negative data: train it with `neurosim ff`"
        )
    return kind


def _changed(shared: Frozen | None, changes: dict[str, Any] | None) -> dict[str, Any] | None:
    """Settings of an arm: the experiment's with its own changes; None where there are none at all."""
    if changes is None:
        return None
    both = {**(shared.model_dump(exclude_unset=True) if shared else {}), **changes}
    return both if both or shared else None
