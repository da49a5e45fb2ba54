"""Base of every device law: its parameters with units, and the numba functions that act on one cell."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from neurosim.core.config import Frozen
from neurosim.core.errors import UnknownNameError
from neurosim.core.protocols import DeviceKernels, Polarity, Precision
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

    A subclass names its `kernels`, the named tuple `params_type` that they read (fields are parameters of
    the law or properties), and the named tuple `state_type` with `state_dtypes`; the state's first field is
    `conductance`, the undrifted conductance in uS.
    """

    law: ClassVar[str]
    polarity: ClassVar[Polarity]
    kernels: ClassVar[DeviceKernels]
    params_type: ClassVar[Any]
    state_type: ClassVar[Any]
    state_dtypes: ClassVar[tuple[type, ...]]

    name: str
    g_min_uS: float = quantity("uS", ge=0)
    g_max_uS: float = quantity("uS", gt=0)
    read_noise_relative: float | None = quantity("1", None, noise=True, ge=0)
    read_noise_floor_uS: float | None = quantity("uS", None, noise=True, ge=0)

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
    def drifts(self) -> bool:
        """Whether the conductance changes with time alone."""
        return False

    @property
    def has_read_noise(self) -> bool:
        """Whether a read adds white noise."""
        return bool(self.read_noise_relative or self.read_noise_floor_uS)

    def allocate(self, cells: int, precision: Precision = "float32") -> Any:
        """Return zeroed state arrays for `cells` devices; those declared float32 follow `precision`.

        Arrays of one type are interleaved in memory: a pulse touches all of a cell's numbers at once.
        """
        types = [np.dtype(precision) if kind is np.float32 else np.dtype(kind) for kind in self.state_dtypes]
        if len(set(types)) == 1:
            return self.state_type(*np.zeros((cells, len(types)), types[0]).T)
        return self.state_type(*(np.zeros(cells, kind) for kind in types))

    def params(self, precision: Precision = "float32") -> Any:
        """Return the parameters for the kernels in that precision; an effect that is off (None) becomes zero."""
        real = np.dtype(precision).type
        return self.params_type(*(real(getattr(self, field) or 0.0) for field in self.params_type._fields))

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
