"""Base of every device law: its parameters with units, and the numba functions that act on one cell."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from neurosim.core import registry
from neurosim.core.errors import CapabilityError, UnknownNameError
from neurosim.core.own_modules import version_of
from neurosim.core.protocols import DeviceKernels, Polarity, Precision, PulseShape
from neurosim.devices.around import AroundParams, surrounded
from neurosim.devices.effects import Effects
from neurosim.devices.parameters import quantity
from neurosim.devices.several import SeveralParams, SeveralState, several
from neurosim.kernels.cells import stored
from neurosim.kernels.jit import inlined


@inlined
def read_sigma(conductance_uS: Any, params: Any) -> Any:
    """Standard deviation of one read, uS: a share of the conductance and a floor."""
    return params.read_noise_relative * conductance_uS + params.read_noise_floor_uS


@inlined
def silent(conductance_uS: Any, params: Any) -> Any:
    """No read noise, whatever the law."""
    return np.float32(0.0) * conductance_uS


_READ_NOISE = ("read_noise_relative", "read_noise_floor_uS")


class Law(Effects):
    """A device law with its parameters. Subclass it and register the class under `neurosim.laws`.

    A subclass names its `own_kernels`, the named tuple `params_type` that they read (fields are parameters of
    the law or properties), and the named tuple `state_type` with `state_dtypes`; the state's first field is
    `conductance`, the undrifted conductance in uS.
    """

    law: ClassVar[str]
    polarity: ClassVar[Polarity]
    closed_loop: ClassVar[bool] = False
    """Whether a pulse of the law is itself a program-and-verify: of what its `drifted` finds now, and `count` steps."""
    own_kernels: ClassVar[DeviceKernels]
    params_type: ClassVar[Any]
    state_type: ClassVar[Any]
    state_dtypes: ClassVar[tuple[type, ...]]

    name: str
    g_min_uS: float = quantity("uS", ge=0)
    g_max_uS: float = quantity("uS", gt=0)
    read_noise_relative: float | None = quantity("1", None, noise=True, ge=0)
    read_noise_floor_uS: float | None = quantity("uS", None, noise=True, ge=0)

    read_noise_share: float | None = quantity("1", None, ge=0)
    """White noise of every read as a share of g_max, instead of all that the law has of it; 0: there is none."""
    reading_delay_s: float | None = quantity("s", None, gt=0)
    """Age of a cell just written at which reads see its drift, relaxation and 1/f noise; None: that at which the
    law states them. Retention and what fades see the true age."""

    devices_per_cell: float = quantity("1", 1.0, ge=1)
    """Devices whose conductances one cell of an array sums; an update pulses one of them."""
    selection_step: float = quantity("1", 1.0, ge=1)
    """Step of the counter that says which, for all cells; without common divisor with `devices_per_cell`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {self.g_min_uS:g} to {self.g_max_uS:g} uS>"

    __str__ = __repr__

    @model_validator(mode="after")
    def _every_device_has_its_turn(self) -> Self:
        count, step = self.devices_per_cell, self.selection_step
        if count != int(count) or step != int(step) or (count > 1 and math.gcd(int(count), int(step)) > 1):
            raise ValueError(
                f"devices_per_cell = {count:g} and selection_step = {step:g}: must be whole, without common divisor"
            )
        return self

    @model_validator(mode="after")
    def _window_is_open(self) -> Self:
        if self.g_max_uS <= self.g_min_uS:
            raise ValueError(f"g_max_uS = {self.g_max_uS}: must exceed g_min_uS = {self.g_min_uS}")
        return self

    @model_validator(mode="after")
    def _something_is_left_to_read(self) -> Self:
        low_uS, high_uS = (self.mean_read_uS(g) for g in (self.g_min_uS, self.g_max_uS))
        if not high_uS > low_uS:
            raise ValueError(
                f"reading_delay_s: {self.delay_s:g} s after a write drift and relaxation have closed the window "
                f"({low_uS:.3g} to {high_uS:.3g} uS); check relaxation_mean_uS and the exponents of drift"
            )
        return self

    @property
    def g_rest_uS(self) -> float:
        """Conductance of both devices of a pair that stores zero."""
        return self.g_min_uS

    @property
    def cell_window_uS(self) -> tuple[float, float]:
        """Lower and upper end of the window of one cell of an array, as read: all its devices together."""
        low, high = (self.devices_per_cell * self.mean_read_uS(g) for g in (self.g_min_uS, self.g_max_uS))
        return low, high

    @property
    def cell_rest_uS(self) -> float:
        """Conductance of both cells of a pair that stores zero, as read."""
        return self.devices_per_cell * self.mean_read_uS(self.g_rest_uS)

    @property
    def read_step_uS(self) -> float:
        """Mean change of one pulse as the controller believes it, and as a read finds it."""
        low_uS, high_uS = (self.mean_read_uS(g) for g in (self.g_min_uS, self.g_max_uS))
        return self.nominal_step_uS * (high_uS - low_uS) / (self.g_max_uS - self.g_min_uS)

    @property
    def law_delay_s(self) -> float:
        """Age at which the law itself means the conductance of its state; 0 where it does not depend on age."""
        return 0.0

    @property
    def own_delay_s(self) -> float:
        """Age at which the device states a conductance just written: the latest of its law and the effects around it."""
        return max(self.law_delay_s if self.own_drift else 0.0, self.effects_delay_s)

    @property
    def delay_s(self) -> float:
        """Age at which a cell just written is read."""
        return self.own_delay_s if self.reading_delay_s is None else self.reading_delay_s

    @property
    def reads_as_stored(self) -> bool:
        """Whether a read of a cell just written finds the conductance of its state."""
        powers = [self.law_delay_s] if self.own_drift else []
        powers += [self.drift_table_start_s] if self.drift_table_share else []
        return not (self._relaxes or self.flickers) and all(start == self.delay_s for start in powers)

    def law_mean_read_uS(self, conductance_uS: float) -> float:
        """What the law's own drift makes of a written conductance until it is read, in the mean."""
        return conductance_uS

    def mean_read_uS(self, conductance_uS: float) -> float:
        """Return what a read after the reading delay finds of a written conductance, in the mean, uS."""
        if self.delay_s == self.own_delay_s and self.reads_as_stored:
            return conductance_uS
        return self.settled_mean_uS(self.law_mean_read_uS(conductance_uS), self.delay_s)

    @property
    def bounds_uS(self) -> tuple[float, float]:
        """Conductances that no pulse or programming leaves, where devices have no bounds of their own."""
        return self.g_min_uS, self.g_max_uS

    @property
    def nominal_step_uS(self) -> float:
        """Mean change of one pulse as the controller believes it."""
        raise TypeError(f"{type(self).__name__} must define nominal_step_uS")

    @property
    def depression_share(self) -> float | None:
        """Share of (G - G_min) that one depression pulse removes; None if depression is not gradual."""
        return None

    @property
    def steps_down(self) -> bool:
        """Whether a negative pulse moves the conductance by a step; else it is an abrupt RESET."""
        return self.polarity == "bipolar"

    @property
    def pulse_voltage_V(self) -> float | None:
        """Voltage to which a line is charged for one pulse; None where the card does not give it."""
        return 0.0

    @property
    def pulse_time_s(self) -> float | None:
        """Duration of one pulse; None where the card does not give it, 0 where the law does not know it."""
        return 0.0

    @property
    def pulse_shapes(self) -> tuple[PulseShape, PulseShape]:
        """Voltage (V) and width (s) of a pulse up, and of one down."""
        one = self.pulse_voltage_V, self.pulse_time_s
        return one, one

    @property
    def pulse_unknown(self) -> tuple[str, ...]:
        """Parameters that the card does not give and without which a pulse has no joules.

        Empty if it has. Kernels then return 0, which nobody takes for joules: ledgers and bills say that there are none.
        """
        return ()

    def absent(self, *names: str) -> tuple[str, ...]:
        """Return those of some parameters that the card does not give."""
        return tuple(name for name in names if getattr(self, name) is None)

    @property
    def own_drift(self) -> bool:
        """Whether the law itself changes the conductance with time alone."""
        return False

    @property
    def drifts(self) -> bool:
        """Whether the conductance changes with time alone."""
        return self.own_drift or self.ages

    @property
    def kernels(self) -> DeviceKernels:
        """The numba functions of one cell: the law's own, within the effects around it, of all its devices."""
        one, name = self._told(self.own_kernels), self._compiled_name
        if one.read_sigma is not self.own_kernels.read_sigma:
            name = f"{name}, {one.read_sigma.__qualname__}"
        if self.is_surrounded:
            one = surrounded(one, name, self.polarity, self.closed_loop)
            name = f"surrounded {name}"
        return several(one, name) if self.devices_per_cell > 1 else one

    def reading(self, now_s: float = 0.0) -> Any:
        """Return the kernel that reads a conductance at its age, devices written at time zero.

        As stored, which is shorter, where that comes to the same.
        """
        kernels = self.kernels
        if self.drifts and (now_s > 0 or not self.reads_as_stored):
            return kernels.drifted
        return kernels.stored or stored

    @property
    def _compiled_name(self) -> str:
        """Name of the law among compiled kernels; one of a user's own says where it is from, and its version."""
        module = type(self).__module__
        return self.law if module.startswith("neurosim.") else f"{self.law} of {module}{version_of(module)}"

    def _told(self, kernels: DeviceKernels) -> DeviceKernels:
        """Put the read noise that `read_noise_share` asks for in place of a law's own, whatever that is."""
        if self.read_noise_share is None or kernels.read_sigma is read_sigma:
            return kernels
        if self.read_noise_share == 0:
            return kernels._replace(read_sigma=silent)
        if not set(_READ_NOISE) <= set(self.params_type._fields):
            raise CapabilityError(
                f"{self.name}: law '{self.law}' has read noise of its own and no {' or '.join(_READ_NOISE)} among "
                "the fields of its params_type; add both, or switch its noise off (read_noise None)"
            )
        return kernels._replace(read_sigma=read_sigma)

    @property
    def own_read_noise(self) -> bool:
        """Whether a read by the law itself adds white noise: by what its kernel does, where it has one of its own."""
        sigma = self.own_kernels.read_sigma
        if sigma is read_sigma:
            return bool(self.read_noise_relative or self.read_noise_floor_uS)
        params = self.params_type(*(self._number(field, "float32") for field in self.params_type._fields))
        places = np.linspace(self.g_min_uS, self.g_max_uS, 5, dtype=np.float32)
        return any(float(sigma(g, params)) > 0 for g in places)

    @property
    def has_read_noise(self) -> bool:
        """Whether a read adds white noise."""
        return self.own_read_noise if self.read_noise_share is None else self.read_noise_share > 0

    def allocate(self, cells: int, precision: Precision = "float32") -> Any:
        """Return zeroed state for `cells` cells: the law's own, within that of the effects around it."""
        devices = cells * int(self.devices_per_cell)
        state = self.own_state(devices, precision)
        if self.is_surrounded:
            state = self.surround(state, devices, precision)
        return SeveralState(np.zeros(cells, precision), state) if self.devices_per_cell > 1 else state

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
        params = self.params_type(*(self._number(field, precision) for field in self.params_type._fields))
        if self.is_surrounded:
            around = (self._number(field, precision) for field in AroundParams._fields[1:])
            params = AroundParams(params, *around)
        if self.devices_per_cell > 1:
            counts = (self._number(field, precision) for field in SeveralParams._fields[1:])
            params = SeveralParams(params, *counts)
        return params

    def _number(self, field: str, precision: Precision) -> Any:
        """Return a parameter as the kernels take it: a real number or, of a table, an array of them."""
        value = getattr(self, field)
        if self.read_noise_share is not None and field in _READ_NOISE:
            value = self.read_noise_share * self.g_max_uS if field == "read_noise_floor_uS" else 0.0
        if value is None:
            value = self.when_off.get(field, 0.0)
        return np.array(value, precision) if isinstance(value, tuple) else np.dtype(precision).type(value)

    @classmethod
    def twin(cls) -> Any:
        """Return the class of its torch twin: the one registered under `neurosim.law_twins` by the law's name.

        A law that is not registered, because it comes from a file, overrides this.
        """
        registry.refuse_shadow("device law", cls, cls.law)
        return registry.find("law twin", cls.law)

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
