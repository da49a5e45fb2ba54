"""Base of every device law: its parameters with units, and the numba functions that act on one cell."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from neurosim.core.config import Frozen
from neurosim.core.errors import UnknownNameError
from neurosim.core.protocols import DeviceKernels, Polarity, Precision
from neurosim.devices.around import AroundParams, AroundState, surrounded
from neurosim.kernels.jit import inlined


def quantity(unit: str, default: Any = ..., noise: bool = False, **bounds: Any) -> Any:
    """Declare a physical parameter of a law; a card must state the same unit ("1" for pure numbers).

    `noise` marks the size of a random effect: None, or zero where None is not allowed, switches it off.
    """
    return Field(default, json_schema_extra={"unit": unit, "noise": noise}, **bounds)


@inlined
def read_sigma(conductance_uS: Any, params: Any) -> Any:
    """Standard deviation of one read, uS: a share of the conductance and a floor."""
    return params.read_noise_relative * conductance_uS + params.read_noise_floor_uS


class Law(Frozen):
    """A device law with its parameters. Subclass it and register the class under `neurosim.laws`.

    A subclass names its `own_kernels`, the named tuple `params_type` that they read (fields are parameters of
    the law or properties), and the named tuple `state_type` with `state_dtypes`; the state's first field is
    `conductance`, the undrifted conductance in uS.
    """

    law: ClassVar[str]
    polarity: ClassVar[Polarity]
    own_kernels: ClassVar[DeviceKernels]
    params_type: ClassVar[Any]
    state_type: ClassVar[Any]
    state_dtypes: ClassVar[tuple[type, ...]]

    name: str
    g_min_uS: float = quantity("uS", ge=0)
    g_max_uS: float = quantity("uS", gt=0)
    read_noise_relative: float | None = quantity("1", None, noise=True, ge=0)
    read_noise_floor_uS: float | None = quantity("uS", None, noise=True, ge=0)
    p_stuck_gmin: float | None = quantity("1", None, noise=True, ge=0, le=1)
    """Share of cells stuck at g_min from the start; pulses cost energy and change nothing."""
    p_stuck_gmax: float | None = quantity("1", None, noise=True, ge=0, le=1)
    endurance_pulses: float | None = quantity("1", None, gt=0)
    """Median number of pulses after which a cell stays where it is."""
    endurance_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of the logarithm of that number, from cell to cell."""
    telegraph_share: float | None = quantity("1", None, noise=True, ge=0, le=1)
    """Share of cells that switch between two conductances by themselves (random telegraph noise)."""
    telegraph_amplitude: float = quantity("1", 0.02, ge=0)
    """Median distance of the two, relative to the conductance."""
    telegraph_spread: float = quantity("1", 0.5, ge=0)
    """Standard deviation of that distance's logarithm."""
    telegraph_fastest_s: float = quantity("s", 1e-6, gt=0)
    """Mean times between switches are spread evenly in logarithm from here ..."""
    telegraph_slowest_s: float = quantity("s", 1.0, gt=0)
    """... to here."""
    flicker: float | None = quantity("1", None, noise=True, ge=0)
    """1/f noise since the last write: sigma / G = flicker (G / g_max)**-power sqrt(ln((t + t_r) / 2 t_r))."""
    flicker_power: float = quantity("1", 0.65, ge=0)
    flicker_most: float = quantity("1", 0.2, gt=0)
    """Upper end of flicker (G / g_max)**-power."""
    flicker_read_s: float = quantity("s", 250e-9, gt=0)
    """Duration of a read, t_r."""
    relaxation_mean_uS: float | None = quantity("uS", None)
    """Mean change for each e-fold of time since the last write, from `relaxation_start_s` on."""
    relaxation_sigma_uS: float | None = quantity("uS", None, noise=True, ge=0)
    """Standard deviation s at the start, contained in the programming error; later sqrt(s(t)^2 - s^2) is added."""
    relaxation_sigma_slope_uS: float | None = quantity("uS", None, noise=True, ge=0)
    """Growth of s for each e-fold of time."""
    relaxation_start_s: float = quantity("s", 1.0, gt=0)
    temperature_K: float | None = quantity("K", None, gt=0)
    """Temperature of reads; None is that at which the card was measured."""
    reference_K: float = quantity("K", 300.0, gt=0)
    activation_low_eV: float = quantity("eV", 0.2, ge=0)
    """Activation energy of a conductance near zero (falls linearly to the next at g_max); an assumption."""
    activation_high_eV: float = quantity("eV", 0.02, ge=0)

    @model_validator(mode="after")
    def _window_is_open(self) -> Self:
        if self.g_max_uS <= self.g_min_uS:
            raise ValueError(f"g_max_uS = {self.g_max_uS}: must exceed g_min_uS = {self.g_min_uS}")
        return self

    @property
    def g_rest_uS(self) -> float:
        """Conductance of both devices of a pair that stores zero."""
        return self.g_min_uS

    @property
    def nominal_step_uS(self) -> float:
        """Mean change of one pulse as the controller believes it."""
        raise TypeError(f"{type(self).__name__} must define nominal_step_uS")

    @property
    def depression_share(self) -> float | None:
        """Share of (G - G_min) that one depression pulse removes; None if depression is not gradual."""
        return None

    @property
    def pulse_voltage_V(self) -> float:
        """Voltage to which a line is charged for one pulse."""
        return 0.0

    @property
    def own_drift(self) -> bool:
        """Whether the law itself changes the conductance with time alone."""
        return False

    @property
    def _settles(self) -> bool:
        return bool(self.flicker or self.relaxation_mean_uS or self.relaxation_sigma_slope_uS)

    @property
    def is_surrounded(self) -> bool:
        """Whether any effect of `neurosim.devices.around` is on."""
        shares = (self.p_stuck_gmin, self.p_stuck_gmax, self.telegraph_share)
        return any(shares) or self._settles or bool(self.endurance_pulses) or self.is_heated

    @property
    def is_heated(self) -> bool:
        """Whether reads happen at another temperature than the card was measured at."""
        return self.temperature_K not in (None, self.reference_K)

    @property
    def drifts(self) -> bool:
        """Whether the conductance changes with time alone."""
        return self.own_drift or self._settles

    @property
    def kernels(self) -> DeviceKernels:
        """The law's own numba functions, within the effects around it where any is on."""
        return surrounded(self.own_kernels, self.law) if self.is_surrounded else self.own_kernels

    @property
    def has_read_noise(self) -> bool:
        """Whether a read adds white noise."""
        return bool(self.read_noise_relative or self.read_noise_floor_uS)

    def allocate(self, cells: int, precision: Precision = "float32") -> Any:
        """Return zeroed state for `cells` devices: the law's own, within that of the effects around it."""
        own = self.own_state(cells, precision)
        if not self.is_surrounded:
            return own
        lasting, ends, flips = (
            cells if used else 1 for used in (self._settles, self.endurance_pulses, self.telegraph_share)
        )
        return AroundState(
            own.conductance,
            own,
            np.zeros(cells, np.uint8),
            np.zeros(ends, np.int32),
            np.zeros(ends, precision),
            np.zeros(lasting, np.float64),
            np.zeros(lasting, precision),
            np.zeros(lasting, precision),
            np.zeros(flips, precision),
            np.zeros(flips, precision),
        )

    def own_state(self, cells: int, precision: Precision = "float32") -> Any:
        """Return the law's own zeroed state arrays; those declared float32 follow `precision`.

        Arrays of one type are interleaved in memory: a pulse touches all of a cell's numbers at once.
        """
        types = [np.dtype(precision) if kind is np.float32 else np.dtype(kind) for kind in self.state_dtypes]
        if len(set(types)) == 1:
            return self.state_type(*np.zeros((cells, len(types)), types[0]).T)
        return self.state_type(*(np.zeros(cells, kind) for kind in types))

    def params(self, precision: Precision = "float32") -> Any:
        """Return the parameters for the kernels in that precision; an effect that is off (None) becomes zero."""
        real = np.dtype(precision).type
        own = self.params_type(*(real(getattr(self, field) or 0.0) for field in self.params_type._fields))
        if not self.is_surrounded:
            return own
        heat = {"temperature_K": self.temperature_K or self.reference_K}
        around = (heat.get(field, getattr(self, field, None)) for field in AroundParams._fields[1:])
        return AroundParams(own, *(real(value or 0.0) for value in around))

    def with_parameters(self, **changes: float | None) -> Self:
        """Return a copy with some parameters changed; raises `UnknownNameError` for unknown names."""
        known = set(type(self).model_fields) - {"name"}
        for field in changes:
            if field not in known:
                raise UnknownNameError(f"parameter of {self.name}", field, known)
        return self.changed(**changes)

    def without_noise(self) -> Self:
        """Return a copy with every random effect switched off: all devices alike, every pulse its mean."""
        off: dict[str, float | None] = {}
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra["noise"]:
                off[name] = None if field.default is None else 0.0
        return self.with_parameters(**off)

    @classmethod
    def units(cls) -> dict[str, str]:
        """Return the unit of every physical parameter."""
        return {
            name: str(field.json_schema_extra["unit"])
            for name, field in cls.model_fields.items()
            if isinstance(field.json_schema_extra, dict)
        }
