"""Parameters of the effects that can surround any law; `neurosim.devices.around` is what they do.

Each is off (None) unless a card or a user switches it on, alone or with others.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import model_validator

from neurosim.core.frozen import Frozen
from neurosim.core.protocols import Precision
from neurosim.devices.around import AroundState
from neurosim.devices.parameters import Table, quantity

FLICKER_ALONE_S = 1.0
"""Reading delay of a device of which nothing but 1/f noise depends on age: no source states one."""
_TABLES = (
    "drift_table_share", "drift_table_exponent", "drift_table_sigma", "flicker_table_share", "flicker_table",
    "stuck_measured_uS",
)  # fmt: skip


class Effects(Frozen):
    """What may be around any law: spread, noise of writing, faults, wear, drift, short-term change, reading."""

    if TYPE_CHECKING:
        g_max_uS: float

    # from device to device, and from pulse to pulse, beside what the law itself has of them
    added_step_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of the logarithm of all steps of a device."""
    added_conductance_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Device-to-device standard deviation of the logarithm of a factor on the conductance."""
    added_cycle_to_cycle: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of one pulse, in nominal steps."""
    added_write_noise: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of the seen around the persistent conductance, in nominal steps, anew at each write."""

    # faults and wear
    p_stuck_gmin: float | None = quantity("1", None, noise=True, ge=0, le=1)
    """Share of cells stuck at g_min from the start; pulses cost energy and change nothing."""
    p_stuck_gmax: float | None = quantity("1", None, noise=True, ge=0, le=1)
    p_stuck_between: float | None = quantity("1", None, noise=True, ge=0, le=1)
    """Share of cells stuck anywhere in the window (corrupt cells)."""
    p_stuck_measured: float | None = quantity("1", None, noise=True, ge=0, le=1)
    """Share of cells stuck where devices were found stuck: each at one of the next, drawn evenly."""
    stuck_measured_uS: Table | None = quantity("uS", None)
    """Conductances of devices that do not answer to pulses, in the window or outside it."""
    endurance_pulses: float | None = quantity("1", None, gt=0)
    """Median number of pulses after which a cell stays where it is."""
    endurance_spread: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of the logarithm of that number, from cell to cell."""

    # telegraph and 1/f noise
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
    """1/f noise: sigma / G = Q sqrt(ln((t + t_r) / 2 t_r)), Q = flicker (G_written / g_max)**-power, t since the
    last write. Between two ages it is correlated by their ratio: 0.25 to 0.35 a decade apart, 0 from two decades on."""
    flicker_power: float = quantity("1", 0.65, ge=0)
    flicker_most: float = quantity("1", 0.2, gt=0)
    """Upper end of flicker (G_written / g_max)**-power."""
    flicker_table_share: Table | None = quantity("1", None)
    """Written conductances, as growing shares of g_max, at which the next table gives Q instead of the power law."""
    flicker_table: Table | None = quantity("1", None, noise=True)
    """Q there; in between linear, beyond the ends constant."""
    flicker_read_s: float = quantity("s", 250e-9, gt=0)
    """Duration of a read, t_r."""

    # drift, relaxation, retention: long after a write
    drift_table_share: Table | None = quantity("1", None)
    """Conductances, as growing shares of g_max, at which the next two tables give the exponent of drift."""
    drift_table_exponent: Table | None = quantity("1", None)
    """Mean of nu in G(t) = G (t / t_0)**-nu; in between linear, beyond the ends constant; below zero, G grows."""
    drift_table_sigma: Table | None = quantity("1", None, noise=True)
    """Standard deviation of nu; one draw a write, nu = abs(mean + sigma xi), or with its sign where some mean is negative."""
    drift_table_start_s: float = quantity("s", 20.0, gt=0)
    """The reading time t_0 that the written conductance means."""
    relaxation_mean_uS: float | None = quantity("uS", None)
    """Mean change for each e-fold of time since the last write, from `relaxation_start_s` on."""
    relaxation_sigma_uS: float | None = quantity("uS", None, noise=True, ge=0)
    """Standard deviation at the start, beside the programming error; one draw a write."""
    relaxation_sigma_slope_uS: float | None = quantity("uS", None, noise=True, ge=0)
    """Growth of that standard deviation for each e-fold of time."""
    relaxation_start_s: float = quantity("s", 1.0, gt=0)
    retention_s: float | None = quantity("s", None, gt=0)
    """Time constant with which a conductance falls back to that of a pair at rest."""
    retention_activation_eV: float | None = quantity("eV", None, ge=0)
    """Activation energy of that loss: heat shortens `retention_s`, which holds at `reference_K`."""

    # short-term change: part of what a pulse did fades within a time constant
    volatile_share: float | None = quantity("1", None, ge=0, lt=1)
    """Share of each pulse's change that fades (ECRAM), from the pulse on: a reading delay does not shorten it."""
    gate_step: float | None = quantity("1", None, ge=0)
    """Each pulse adds (+) or takes (-) this much to a factor 1 + m on the conductance, which fades."""
    gate_noise: float | None = quantity("1", None, noise=True, ge=0)
    """Standard deviation of that step, relative."""
    gate_most: float = quantity("1", 1.0, gt=0, le=1)
    """Largest magnitude of m."""
    fading_s: float = quantity("s", 1.0, gt=0)
    """Time constant of both."""
    optical_gate: float | None = quantity("1", None, ge=0, le=1)
    """Light on the cells: the chance that an electrical pulse takes effect (third factor); one that takes none is counted, at no
    joules. None: no gate."""

    # temperature of reads
    temperature_K: float | None = quantity("K", None, gt=0)
    """Temperature of reads; None is that at which the card was measured."""
    reference_K: float = quantity("K", 300.0, gt=0)
    activation_low_eV: float = quantity("eV", 0.2, ge=0)
    """Activation energy of a conductance near zero (falls linearly to the next at g_max); an assumption."""
    activation_high_eV: float = quantity("eV", 0.02, ge=0)

    @model_validator(mode="after")
    def _stuck_cells_are_somewhere(self) -> Self:
        if self.p_stuck_measured and not self.stuck_measured_uS:
            raise ValueError(
                "p_stuck_measured: give stuck_measured_uS, the conductances of stuck devices, with it"
            )
        if self.stuck_measured_uS and min(self.stuck_measured_uS) < 0:
            raise ValueError("stuck_measured_uS: conductances, none negative")
        return self

    @model_validator(mode="after")
    def _drift_table_is_whole(self) -> Self:
        share, mean, sigma = self.drift_table_share, self.drift_table_exponent, self.drift_table_sigma
        if share is None and mean is None and sigma is None:
            return self
        if share is None or mean is None or len(share) != len(mean) or len(share) < 2:
            raise ValueError(
                "drift_table_share and drift_table_exponent: both needed, equally many, at least two"
            )
        if any(b <= a for a, b in pairwise(share)):
            raise ValueError("drift_table_share: must grow")
        if sigma is not None and (len(sigma) != len(share) or min(sigma) < 0):
            raise ValueError("drift_table_sigma: one for each of drift_table_share, none negative")
        return self

    @model_validator(mode="after")
    def _flicker_table_is_whole(self) -> Self:
        share, levels = self.flicker_table_share, self.flicker_table
        if levels is None:
            if share is not None and self.flicker is not None:
                raise ValueError(
                    "flicker_table_share: belongs to flicker_table, and flicker is the power law: leave one of the two out"
                )
            return self
        if share is None or len(share) != len(levels) or len(share) < 2:
            raise ValueError("flicker_table and flicker_table_share: both needed, equally many, at least two")
        if any(b <= a for a, b in pairwise(share)) or min(levels) < 0:
            raise ValueError("flicker_table_share: must grow; flicker_table: none negative")
        if self.flicker is not None:
            raise ValueError("flicker and flicker_table: give the power law or the table, not both")
        return self

    @property
    def when_off(self) -> dict[str, float | Table]:
        """What the kernels take for a parameter that is None, where that is not zero."""
        tables: dict[str, float | Table] = dict.fromkeys(_TABLES, ())
        return {"temperature_K": self.reference_K, "optical_gate": 1.0, **tables}

    @property
    def drift_one_way(self) -> float:
        """One where conductances only fall by the drift table, zero where some mean exponent is negative."""
        return float(min(self.drift_table_exponent or (0.0,)) >= 0)

    @property
    def _relaxes(self) -> bool:
        """Whether a written state moves along the logarithm of time."""
        return bool(self.relaxation_mean_uS or self.relaxation_sigma_uS or self.relaxation_sigma_slope_uS)

    @property
    def flickers(self) -> bool:
        """Whether there is 1/f noise."""
        return bool(self.flicker or self.flicker_table)

    @property
    def effects_delay_s(self) -> float:
        """Latest age at which an effect around the law begins to be stated; 0 where none depends on age."""
        starts = (
            (self.drift_table_start_s, self.drift_table_share),
            (self.relaxation_start_s, self._relaxes),
            (max(self.flicker_read_s, FLICKER_ALONE_S), self.flickers),
        )
        return max((start for start, on in starts if on), default=0.0)

    def settled_mean_uS(self, conductance_uS: float, age_s: float) -> float:
        """Return what drift by table and relaxation make of a conductance at an age, in the mean, uS."""
        g = conductance_uS
        if self.drift_table_share and self.drift_table_exponent and age_s != self.drift_table_start_s:
            share = g / self.g_max_uS
            nu = float(np.interp(share, self.drift_table_share, self.drift_table_exponent))
            g *= (age_s / self.drift_table_start_s) ** -nu
        if self._relaxes and age_s != self.relaxation_start_s:
            g += (self.relaxation_mean_uS or 0.0) * float(np.log(age_s / self.relaxation_start_s))
        return max(g, 0.0)

    @property
    def switches(self) -> bool:
        """Whether there is telegraph noise."""
        return bool(self.telegraph_share)

    @property
    def fades(self) -> bool:
        """Whether part of what a pulse does fades."""
        return bool(self.volatile_share or self.gate_step)

    @property
    def _tells_time(self) -> bool:
        """Whether the time of the last write matters."""
        settles = self._relaxes or self.flickers
        return settles or self.fades or bool(self.drift_table_share or self.retention_s)

    @property
    def is_surrounded(self) -> bool:
        """Whether any effect is on."""
        stuck = (self.p_stuck_gmin, self.p_stuck_gmax, self.p_stuck_between, self.p_stuck_measured)
        added = (
            self.added_step_spread,
            self.added_conductance_spread,
            self.added_cycle_to_cycle,
            self.added_write_noise,
        )
        lasting = self._tells_time or bool(self.endurance_pulses)
        outside = self.temperature_K is not None or self.optical_gate is not None
        return any(stuck) or bool(self.telegraph_share) or any(added) or lasting or outside

    @property
    def ages(self) -> bool:
        """Whether an effect changes the conductance with time alone."""
        return self._tells_time

    def surround(self, own: Any, cells: int, precision: Precision) -> AroundState:
        """Return the state of the effects around that of a law; arrays of effects that are off are empty."""

        def numbers(used: object, kind: Any = precision) -> Any:
            return np.zeros(cells if used else 0, kind)

        return AroundState(
            conductance=own.conductance,
            law=own,
            fault=np.zeros(cells, np.uint8),
            pulses=numbers(self.endurance_pulses, np.int32),
            lifetime=numbers(self.endurance_pulses),
            written_at_s=numbers(self._tells_time, np.float64),
            relaxing=numbers(self._relaxes),
            flicker_level=numbers(self.flickers),
            flicker_path=numbers(self.flickers, np.int64),
            telegraph=numbers(self.telegraph_share),
            switching_s=numbers(self.telegraph_share),
            gain=numbers(self.added_step_spread),
            scale=numbers(self.added_conductance_spread),
            offset_uS=numbers(self.added_write_noise),
            falling=numbers(self.drift_table_share),
            volatile_uS=numbers(self.volatile_share),
            gating=numbers(self.gate_step),
        )
