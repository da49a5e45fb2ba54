"""All that an arm says of its arrays, said once for every kind of study, and the arrays that it makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from neurosim.core.config import Periphery, ReadPath, WritePath
from neurosim.core.frozen import Frozen, merged
from neurosim.core.hardware import Draws, Faults, Tiles, Wires
from neurosim.core.protocols import Precision, UpdateMode
from neurosim.devices.card import load
from neurosim.devices.law import Law
from neurosim.network.dense import Dense
from neurosim.network.neurons import Neurons, Transfer
from neurosim.study.doors import CardName

IDEAL = "ideal"
"""Name of an arm in ideal arithmetic, which no arm on devices may have."""
ON_DEVICE = "ideal device"
"""Name of an arm on devices that would be called as ideal arithmetic is, such as that of the card "ideal"."""
LONGEST_NAME = 180
"""Bytes of an arm's name, which is a part of the names of files."""
LONGEST_REPR = 120
"""Characters of the settings of an arm on one line."""
OF_DEVICES = ("parameters", "read", "write", "wires", "tiles", "faults", "periphery")
"""Settings of an arm that mean nothing in ideal arithmetic."""
ADDED_NUMBERS = ("p_stuck_measured", "stuck_measured_uS", "bias_uS")
"""Numbers of laws that were added since `BITS` grew last: where a device has none, kept runs are what they were."""
EIGHT_BITS = {"dac_bits": 8, "adc_bits": 8}
"""Converters of a study, unless it says others."""

Backend = Literal["numba", "torch"]
Positive = Annotated[float, Field(gt=0)]


def fit_for_files(name: str) -> str:
    """Return the name of an arm; raises `ValueError` for one that no file or terminal takes as it is."""
    if not name.isprintable():
        raise ValueError(
            "the name of an arm may hold printable characters only: no control characters, no line ends"
        )
    if "/" in name or "\\" in name:
        raise ValueError("the name of an arm is a part of file names: leave out / and \\")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"the name of an arm is a part of file names: at most {LONGEST_NAME} bytes, this has {len(name.encode())}"
        )
    if name and not name.strip():
        raise ValueError("the name of an arm may not be blank")
    return name


ArmName = Annotated[str, AfterValidator(fit_for_files)]
"""Checked before any work: it becomes a part of file names, tables and figures."""


def _as_changes(value: Any) -> Any:
    """Settings given as a model count as changes: what was set in it."""
    return value.model_dump(exclude_unset=True) if isinstance(value, Frozen) else value


Changes = Annotated[dict[str, Any], BeforeValidator(_as_changes)]
"""Settings of an arm that are not the experiment's."""


def device_name(name: str) -> str:
    """Return the name of an arm on devices: its own, unless ideal arithmetic has that."""
    return ON_DEVICE if name.strip().casefold() == IDEAL else name


class Arrays(Frozen):
    """What an experiment says of the arrays of all its arms; each may change it for its own."""

    mode: UpdateMode = "accumulate"
    window: Positive | tuple[Positive, ...] = 1.0
    """Largest storable weight, in a unit that the kind of experiment states (unless write.w_max is given); of all layers
    or of each."""
    parameters: dict[str, float | None] = Field(default_factory=dict)
    """Device parameters changed in every arm whose law has them."""
    read: ReadPath = ReadPath(**EIGHT_BITS)
    write: WritePath = WritePath()
    wires: Wires | None = None
    tiles: Tiles | None = None
    faults: Faults | None = None
    """Broken lines and dead columns; stuck cells are `parameters` of the device (`p_stuck_between` ...)."""
    periphery: Periphery = Periphery()
    backend: Backend = "numba"
    """Which machine computes; both agree draw for draw (see `neurosim validate`)."""
    precision: Precision = "float32"
    torch_device: str = "cpu"
    """Where the torch backend computes: cpu, cuda, cuda:1, ..."""
    together: int = Field(1, ge=1)
    """Seeds that the torch backend lets learn as one batch of instances, in every arm on devices of kinds that can."""
    seconds_per_update: float = Field(0.0, ge=0)
    """Time that passes after each update; where it is not zero, devices drift while they learn."""

    @field_validator("read", mode="before")
    @classmethod
    def _eight_bits_unless_said(cls, value: Any) -> Any:
        return {**EIGHT_BITS, **value} if isinstance(value, dict) else value


class Arm(Frozen):
    """One of the ways that an experiment compares, in ideal arithmetic or on devices.

    What is left out is the experiment's; `Experiment.settled` fills it in.
    """

    name: ArmName = ""
    seeds: int | None = Field(None, ge=1)
    """Runs of this arm, where it has not as many as the experiment."""
    device: CardName | None = None
    """Card name or file, or a device itself; None is ideal arithmetic."""
    mode: UpdateMode | None = None
    window: Positive | tuple[Positive, ...] | None = None
    parameters: dict[str, float | None] = Field(default_factory=dict)
    read: Changes = Field(default_factory=dict)
    write: Changes = Field(default_factory=dict)
    wires: Changes | None = Field(default_factory=dict)
    """Changes to the experiment's; None takes them away, as with tiles and faults."""
    tiles: Changes | None = Field(default_factory=dict)
    faults: Changes | None = Field(default_factory=dict)
    periphery: Changes = Field(default_factory=dict)
    neurons: Neurons | None = None
    """Unknown transfer of each neuron, in ideal arithmetic as well; None: currents pass as they are."""
    backend: Backend | None = None
    precision: Precision | None = None
    torch_device: str | None = None
    together: int | None = Field(None, ge=1)
    seconds_per_update: float | None = Field(None, ge=0)

    def __repr__(self) -> str:
        given = [name for name in self.model_fields_set if name not in ("name", "device")]
        told = ", ".join(f"{name} = {getattr(self, name)}" for name in sorted(given))
        told = told if len(told) <= LONGEST_REPR else f"{told[:LONGEST_REPR]}…"
        return f"<{type(self).__name__} {self.name!r} on {self.device or 'ideal arithmetic'}{': ' if told else ''}{told}>"

    __str__ = __repr__

    @model_validator(mode="after")
    def _ideal_arithmetic_has_no_devices(self) -> Self:
        given = [name for name in OF_DEVICES if self.device is None and getattr(self, name)]
        if self.device is None and (self.together or 1) > 1:
            raise ValueError(
                f"arm '{self.name}', together = {self.together}: seeds learn as one batch on devices alone; leave it out, or give "
                "the arm a device, of the card 'ideal' if need be"
            )
        if given:
            raise ValueError(
                f"arm '{self.name}' is in ideal arithmetic, which has no {' and no '.join(given)}; give it a device, "
                "of the card 'ideal' if need be, or leave that out"
            )
        return self

    def settled(self, shared: Arrays) -> Any:
        """Return the same arm with every setting of its arrays filled in; one that has them stays as it is.

        In ideal arithmetic nothing is filled in that only devices have.
        """
        filled = self.changed(
            **{
                name: getattr(shared, name) if getattr(self, name) is None else getattr(self, name)
                for name in ("mode", "window", "backend", "precision", "torch_device", "seconds_per_update")
            }
        )
        if self.device is None:
            return filled
        return filled.changed(
            together=shared.together if self.together is None else self.together,
            parameters={**self.known(shared.parameters), **self.parameters},
            read=merged(shared.read.model_dump(), self.read),
            write=merged(shared.write.model_dump(exclude_unset=True), self.write),
            wires=_both(shared.wires, self.wires),
            tiles=_both(shared.tiles, self.tiles),
            faults=_both(shared.faults, self.faults),
            periphery={**shared.periphery.model_dump(exclude_unset=True), **self.periphery},
        )

    def known(self, parameters: dict[str, float | None]) -> dict[str, float | None]:
        """Return those of an experiment's device parameters that this arm's device has."""
        if not parameters or self.device is None:
            return {}
        known = type(load(self.device)).model_fields
        return {name: value for name, value in parameters.items() if name in known}

    def parts(self) -> dict[str, Arm]:
        """Return the arm by its name, and whatever of it has other arrays by names of their own."""
        return {self.name: self}

    def law(self) -> Law:
        """Return the law of the devices, parameters changed; raises for unknown cards and parameters."""
        return load(self.device or IDEAL).with_parameters(**self.parameters)

    def read_path(self) -> ReadPath:
        """Return how arrays of devices are read; raises `ConfigError`."""
        return ReadPath.parse({**EIGHT_BITS, **self.read}, f"arm {self.name}, read")

    def write_path(self, **unless_given: Any) -> WritePath:
        """Return how arrays of devices are written, with some settings where the arm gives none; raises `ConfigError`."""
        return WritePath.parse({**unless_given, **self.write}, f"arm {self.name}, write")

    def hardware(self) -> dict[str, Any]:
        """Return the arm's wires, tiles and faults by name, where it has them; raises `ConfigError`."""
        kinds: dict[str, type[Frozen]] = {"wires": Wires, "tiles": Tiles, "faults": Faults}
        return {
            part: kind.parse(given, f"arm {self.name}, {part}")
            for part, kind in kinds.items()
            if (given := getattr(self, part))
        }

    def deciding(self) -> dict[str, Any]:
        """Return, of a settled arm, everything that decides the bits of its runs: every setting, every number of its law."""
        alone = {"together"} if (self.together or 1) == 1 else set()
        own = self.model_dump(mode="json", exclude={"name", "seeds", "device"} | alone)
        if self.device is None:
            for name in OF_DEVICES:
                own.pop(name)
            return own
        paths = {"read": self.read_path(), "write": self.write_path(), **self.hardware()}
        paths["periphery"] = Periphery.parse(self.periphery, f"arm {self.name}, periphery")
        own |= {name: model.model_dump(mode="json") for name, model in paths.items()}
        if own["write"]["baseline"] is None:
            del own["write"]["baseline"]
        law = self.law()
        numbers = law.model_dump(mode="json")
        for name in ADDED_NUMBERS:
            if numbers.get(name) is None:
                numbers.pop(name, None)
        return {**own, "law": [f"{type(law).__module__}:{type(law).__qualname__}", numbers]}

    def of_layer(self, name: str, number: int) -> Any:
        """Return what one layer, the first of them number 0, has of a setting that may be given for each."""
        value = getattr(self, name)
        return value[number] if isinstance(value, tuple) else value

    def array(
        self,
        shape: tuple[int, int],
        name: str,
        seed: int | Sequence[int],
        w_max: float,
        stored: dict[str, float] | None = None,
        draws: Draws | None = None,
        devices: bool = False,
    ) -> Any:
        """Return an array of this arm, not yet programmed.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns.
        name : str
            Of the array: same seed and name, same draws.
        seed : int or sequence of int
            Several: one instance each, of the torch backend.
        w_max : float
            Weight of a full difference, unless the arm says it.
        stored : dict, optional
            What is stored of changes beside the array (``momentum``, ``baseline``), unless the arm says it.
        draws : Draws, optional
            Seeds of what the chip is born with, where they are not its own.
        devices : bool
            An array of devices, of the card "ideal" where the arm has none.
        """
        on: dict[str, Any] = {"precision": self.precision or "float32"}
        if self.backend == "torch":
            from neurosim.reference.twin.crossbar import on_device

            on["torch_device"] = on_device(self.torch_device or "cpu")
        if self.device is None and not devices:
            return self._ideal()(shape, **on, **(stored or {}))
        born = {} if draws is None else {"draws": draws}
        return self._crossbar()(
            shape, self.law(), seed=seed, name=name, read=self.read_path(),
            write=self.write_path(w_max=w_max, **(stored or {})),
            periphery=Periphery.parse(self.periphery, f"arm {self.name}, periphery"),
            **self.hardware(), **born, **on,
        )  # fmt: skip

    def dense(self, array: Any, rule: Any, norm_every: int = 100, neurons: Transfer | None = None) -> Dense:
        """Return a layer of an array of this arm that learns by a rule, on the machine that computes the array."""
        layer: Any = Dense
        if self.backend == "torch":
            from neurosim.reference.twin.dense import TorchDense

            layer = TorchDense
        found: Dense = layer(array, rule, self.mode or "accumulate", norm_every, neurons)
        return found

    def _crossbar(self) -> Any:
        if self.backend == "torch":
            from neurosim.reference.twin.crossbar import TorchCrossbar

            return TorchCrossbar
        from neurosim.crossbar.array import Crossbar

        return Crossbar

    def _ideal(self) -> Any:
        if self.backend == "torch":
            from neurosim.reference.twin.arithmetic import TorchIdeal

            return TorchIdeal
        from neurosim.reference.ideal import IdealArray

        return IdealArray


def _both(shared: Frozen | None, changes: dict[str, Any] | None) -> dict[str, Any] | None:
    """Settings of an arm: the experiment's with its own changes; None where there are none at all."""
    if changes is None:
        return None
    both = {**(shared.model_dump(exclude_unset=True) if shared else {}), **changes}
    return both if both or shared else None
