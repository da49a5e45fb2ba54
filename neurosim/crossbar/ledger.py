"""What was done to an array: events counted while it runs, and joules made of them afterwards at its own prices.

Events are exact whatever was read or resumed in between. Prices of other peripheries are put on the same counts by
`neurosim.energy`; `Ledger` itself prices them by the array's `Periphery`, a lower bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from neurosim.core.config import Periphery, ReadPath
from neurosim.core.protocols import Device

JOULES = (
    "write_J", "refresh_J", "readback_J", "program_J", "read_J", "write_periphery_J", "read_periphery_J",
    "calibration_J", "calibration_periphery_J",
)  # fmt: skip
"""What a ledger comes to at the array's own rates."""
ADDED = (
    "program_comparisons", "ranging_reads", "ranging_conversions", "ranging_dac_conversions", "ranging_line_cells",
    "ranging_uS", "point_searches", "spikes", "saturated",
)  # fmt: skip
"""Last totals of a ledger, of what earlier versions did not do: where a file does not keep them, they are zero."""
PULSES_J = ("up_J", "down_J", "refresh_J", "program_pulses_J")
"""Totals that are joules of device pulses, as the law has them."""


class Rates(NamedTuple):
    """Joules of one event of an array, by its read path, its device and its periphery; NaN where nobody knows them."""

    read_uS: float = 0.0
    """Of each uS that a read at full scale runs through, V^2 t."""
    lost_uS: float = 0.0
    """Of each uS that a pulse without effect falls on, V^2 t of the card's pulse,"""
    half_uS: float = 0.0
    """and of half its voltage."""
    adc: float = 0.0
    dac: float = 0.0
    read_line_cell: float = 0.0
    """Of each cell along a line that is charged to the read voltage,"""
    pulse_line_cell: float = 0.0
    """and to that of a pulse."""
    mac: float = 0.0
    memory: float = 0.0
    pulses_unknown: bool = False
    """Whether the card does not give what the joules of a pulse follow from (`Device.pulse_unknown`)."""

    @classmethod
    def of(cls, periphery: Periphery, read: ReadPath, device: Device) -> Self:
        """Return the rates of an array with this periphery, read path and device."""
        voltage_V, time_s = device.pulse_voltage_V, device.pulse_time_s
        full = math.nan if voltage_V is None or time_s is None else voltage_V**2 * time_s * 1e-6
        return cls(
            read_uS=read.read_voltage_V**2 * read.integration_time_s * 1e-6,
            lost_uS=full,
            half_uS=full / 4,
            adc=periphery.adc_J(read.adc_bits),
            dac=periphery.dac_J(read.dac_bits),
            read_line_cell=periphery.line_J(1, read.read_voltage_V),
            pulse_line_cell=periphery.line_J(1, voltage_V) if voltage_V is not None else math.nan,
            mac=periphery.mac_pJ * 1e-12,
            memory=periphery.memory_access_pJ * 1e-12,
            pulses_unknown=bool(device.pulse_unknown),
        )


def _joules(count: float, each: float) -> float:
    """Joules of so many events; of none 0, whatever one would take."""
    return count * each if count else 0.0


@dataclass
class Ledger:
    """Running totals of one array.

    Forward reads: ``reads`` input vectors in ``phases`` integrations (bit-serial inputs take several), conversions,
    cells along charged word lines, sums formed digitally between tiles, and ``read_uS``, the conductance read at full
    scale (squared inputs times conductance). ``spikes`` are read pulses of full height on single word lines, of neurons that
    integrate the currents: then ``reads`` are time steps with spikes, and nothing is converted. Of the conversions ``adc_clipped``
    met the end of the converter's range, ``saturated`` that of the integrator before it. ``calibration_reads`` are the input vectors by which converters were set for nothing;
    ``ranging`` are reads, conversions, DAC conversions, cells along word lines and conductance of a counted calibration.
    Updates: ``pulses`` (of which ``downs``) on ``pulsed_cells`` devices and ``pulsed_rows`` word lines; ``row_slots``
    are the pulses that follow one another if word lines are written one after the other, ``column_slots`` if columns are
    (both without pulse trains, which strike all cells at once), ``trains`` samples written in
    place by coincidence; ``up_J`` and ``down_J`` what the law says that they took, at the card's voltage and width. Where
    the card gives neither, what rests on them is NaN (no joules are known), and pulses are counted all the same.
    ``pulses_lost`` took no effect, ``disturbs`` are steps that half voltages caused, ``pulses_cut`` pulses that no
    device was given because an update asked for too many at once, ``weights_clipped`` programmed weights beyond the
    window. ``norm_macs`` follow the norms, ``rule_macs`` are what else the rule forms beside the array. Reads for decay, norms, refresh and verified flushes are ``readback``.
    Refresh counts looks at all pairs, reads of single devices, RESETs and SET pulses (those of the law's
    program-and-verify by their mean). Programming pulse by pulse counts pulses, RESETs, verifying reads, devices that
    did not converge, and time (that of the reads alone where the width of a pulse is not known); by statistics it
    counts devices and joules only. ``program_comparisons`` are verifying reads that a comparator answered, without a
    conversion; they are not among ``program_reads``. ``point_searches`` are searches of symmetric points, whose pulses, reads
    and programming are among the others.
    """

    reads: int = 0
    phases: int = 0
    conversions: int = 0
    dac_conversions: int = 0
    read_line_cells: int = 0
    read_sums: int = 0
    read_uS: float = 0.0
    calibration_reads: int = 0
    dac_clipped: int = 0
    adc_clipped: int = 0
    updates: int = 0
    pulses: int = 0
    downs: int = 0
    pulsed_cells: int = 0
    pulsed_rows: int = 0
    row_slots: int = 0
    column_slots: int = 0
    trains: int = 0
    trains_clipped: int = 0
    pulses_lost: int = 0
    pulses_cut: float = 0.0
    disturbs: int = 0
    lost_uS: float = 0.0
    half_uS: float = 0.0
    up_J: float = 0.0
    down_J: float = 0.0
    pulse_line_cells: int = 0
    macs: int = 0
    norm_macs: int = 0
    rule_macs: int = 0
    memory_accesses: int = 0
    rows_read_back: int = 0
    readback_conversions: int = 0
    readback_line_cells: int = 0
    readback_uS: float = 0.0
    pairs_verified: int = 0
    refreshed_pairs: int = 0
    refresh_looks: int = 0
    refresh_reads: int = 0
    refresh_resets: int = 0
    refresh_pulses: int = 0
    refresh_J: float = 0.0
    programmed_cells: int = 0
    program_pulses: int = 0
    program_resets: int = 0
    program_reads: int = 0
    program_failed: int = 0
    program_uS: float = 0.0
    program_pulses_J: float = 0.0
    program_time_s: float = 0.0
    weights_clipped: int = 0
    program_comparisons: int = 0
    ranging_reads: int = 0
    ranging_conversions: int = 0
    ranging_dac_conversions: int = 0
    ranging_line_cells: int = 0
    ranging_uS: float = 0.0
    point_searches: int = 0
    spikes: int = 0
    saturated: int = 0

    rates: Rates = field(default=Rates(), repr=False, compare=False)
    """Of the array; without them reads and periphery cost nothing."""

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all totals, in the order of `to_array`."""
        return [each.name for each in fields(Ledger) if each.name != "rates"]

    def __repr__(self) -> str:
        said = self.counts() | {name: self.pulses_J(name) for name in PULSES_J}
        return f"Ledger({', '.join(f'{name}={value!r}' for name, value in said.items())})"

    def counts(self) -> dict[str, float]:
        """Return all totals by name."""
        return {name: getattr(self, name) for name in self.names()}

    def joules(self) -> dict[str, float]:
        """Return what they come to at the array's own rates, by name, and what pulses took; NaN where nobody knows."""
        found = {name: getattr(self, name) for name in JOULES}
        return found | {name: self.pulses_J(name) for name in PULSES_J}

    def pulses_J(self, name: str) -> float:
        """Return one of `PULSES_J`; NaN where there were such pulses and nobody knows their joules."""
        given = {
            "up_J": self.pulses - self.downs,
            "down_J": self.downs,
            "refresh_J": self.refresh_pulses + self.refresh_resets,
            "program_pulses_J": self.programmed_cells,
        }
        joules: float = getattr(self, name)
        return math.nan if self.rates.pulses_unknown and given[name] else joules

    def __add__(self, other: Ledger) -> Ledger:
        """Return the totals of both, at the rates of the first."""
        both = {name: getattr(self, name) + getattr(other, name) for name in self.names()}
        unknown = self.rates.pulses_unknown or other.rates.pulses_unknown
        return Ledger(**both, rates=self.rates._replace(pulses_unknown=unknown))

    def take(self, other: Ledger) -> None:
        """Take the totals of another ledger, at one's own rates."""
        vars(self).update(other.counts())

    @property
    def clipped_share(self) -> float:
        """Share of the ADCs' conversions that met the end of their range."""
        return self.adc_clipped / max(1, self.conversions)

    @property
    def write_J(self) -> float:
        """Device energy of learning pulses, of those without effect and of half-selected devices too."""
        rates = self.rates
        pulses_J = self.pulses_J("up_J") + self.pulses_J("down_J")
        return pulses_J + _joules(self.lost_uS, rates.lost_uS) + _joules(self.half_uS, rates.half_uS)

    @property
    def readback_J(self) -> float:
        """Device energy of reads that decay, column norms and verified flushes ask for."""
        return self.readback_uS * self.rates.read_uS

    @property
    def read_J(self) -> float:
        """Device energy of forward reads."""
        return self.read_uS * self.rates.read_uS

    @property
    def program_J(self) -> float:
        """Device energy of programming: pulses and verifying reads."""
        return self.pulses_J("program_pulses_J") + self.program_uS * self.rates.read_uS

    @property
    def update_J(self) -> float:
        """Device energy of learning: pulses, refreshes and reads that serve updates."""
        return self.write_J + self.pulses_J("refresh_J") + self.readback_J

    @property
    def read_periphery_J(self) -> float:
        """Converters, lines and digital sums of forward reads: a lower bound (see `Periphery`)."""
        rates = self.rates
        return (
            self.dac_conversions * rates.dac
            + self.conversions * rates.adc
            + self.read_line_cells * rates.read_line_cell
            + self.read_sums * rates.mac
        )

    @property
    def calibration_J(self) -> float:
        """Device energy of reads that a counted calibration made."""
        return self.ranging_uS * self.rates.read_uS

    @property
    def calibration_periphery_J(self) -> float:
        """Converters and lines of these: a lower bound."""
        rates = self.rates
        return (
            self.ranging_dac_conversions * rates.dac
            + self.ranging_conversions * rates.adc
            + self.ranging_line_cells * rates.read_line_cell
        )

    @property
    def write_periphery_J(self) -> float:
        """Lines, converters and digital sums of updates: a lower bound."""
        rates = self.rates
        return (
            self.readback_conversions * rates.adc
            + self.readback_line_cells * rates.read_line_cell
            + _joules(self.pulse_line_cells, rates.pulse_line_cell)
            + (self.macs + self.norm_macs + self.rule_macs) * rates.mac
            + self.memory_accesses * rates.memory
        )

    def energy(self, synapses: int) -> dict[str, Any]:
        """Return the energy entry of `compare`'s JSON for an array of so many synapses; None stands for unknown joules."""
        with_periphery = self.update_J + self.write_periphery_J
        each = 1 / (synapses * self.updates) if self.updates else 0.0
        found = {
            "update_J": self.update_J,
            "update_J_per_synapse": self.update_J * each,
            "update_J_per_pulse": self.update_J / self.pulses if self.pulses else 0.0,
            "update_J_per_synapse_with_periphery": with_periphery * each,
            "update_pulses_per_synapse": self.pulses * each,
            "read_J": self.read_J,
            "periphery_J": self.write_periphery_J + self.read_periphery_J,
            "update_periphery_J": self.write_periphery_J,
            "read_periphery_J": self.read_periphery_J,
            "write_J": self.write_J,
            "refresh_J": self.pulses_J("refresh_J"),
            "readback_J": self.readback_J,
            "program_J": self.program_J,
            "calibration_J": self.calibration_J,
            "calibration_periphery_J": self.calibration_periphery_J,
            "pulses": self.pulses,
            "updates": self.updates,
            "reads": self.reads,
            "refreshed_pairs": self.refreshed_pairs,
            "refresh_reads": self.refresh_reads,
            "refresh_resets": self.refresh_resets,
            "refresh_pulses": self.refresh_pulses,
            "rows_read_back": self.rows_read_back,
            "pairs_verified": self.pairs_verified,
            "pulses_cut": self.pulses_cut,
            "weights_clipped": self.weights_clipped,
        }
        return {name: None if math.isnan(value) else value for name, value in found.items()}

    def to_array(self) -> NDArray[np.float64]:
        """Return the totals as numbers, for a snapshot."""
        return np.array([*self.counts().values()], np.float64)

    @classmethod
    def from_array(cls, values: NDArray[np.float64]) -> Self:
        """Rebuild a ledger from `to_array`; raises `ValueError` where an earlier version counted other events."""
        ledger, names = cls(), cls.names()
        if len(names) - len(ADDED) <= len(values):
            names = names[: len(values)]
        for name, value in zip(names, values, strict=True):
            setattr(ledger, name, int(value) if isinstance(getattr(ledger, name), int) else float(value))
        return ledger
