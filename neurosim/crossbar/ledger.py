"""What was done to an array and what it cost: counts and joules, device and periphery apart."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass
class Ledger:
    """Running totals of one array. Periphery and digital figures are lower bounds (see `Periphery`).

    Energies of the devices: `write_J` learning pulses, `refresh_J` RESET and rewriting of saturated pairs,
    `readback_J` reads that decay, column norms and verified flushes (`pairs_verified`) ask for, `program_J` programming, `read_J` forward reads.
    Refresh counts looks at all pairs, reads of single devices, RESETs and SET pulses (those of the law's
    program-and-verify by their mean). Programming pulse by pulse counts pulses, RESETs, verifying reads,
    devices that did not converge, and the time it took; by statistics it counts devices and joules only.
    With weakened pulses `pulses_lost` are those of `pulses` that took no effect, charged V^2 G t each; with
    half-selected devices `disturbs` are the steps that half voltages caused.
    `pulses_cut` are pulses of change that no device was given because an update asked for too many at once,
    `weights_clipped` programmed weights beyond the window.
    Periphery: `write_periphery_J` lines, converters and digital sums of updates, `read_periphery_J` those
    of forward reads.
    """

    reads: int = 0
    conversions: int = 0
    updates: int = 0
    pulses: int = 0
    pulsed_cells: int = 0
    refreshed_pairs: int = 0
    refresh_looks: int = 0
    refresh_reads: int = 0
    refresh_resets: int = 0
    refresh_pulses: int = 0
    rows_read_back: int = 0
    programmed_cells: int = 0
    program_pulses: int = 0
    program_resets: int = 0
    program_reads: int = 0
    program_failed: int = 0
    dac_clipped: int = 0
    adc_clipped: int = 0
    trains_clipped: int = 0
    pulses_lost: int = 0
    disturbs: int = 0
    write_J: float = 0.0
    refresh_J: float = 0.0
    readback_J: float = 0.0
    program_J: float = 0.0
    program_time_s: float = 0.0
    read_J: float = 0.0
    write_periphery_J: float = 0.0
    read_periphery_J: float = 0.0
    pairs_verified: int = 0
    pulses_cut: float = 0.0
    weights_clipped: int = 0

    @property
    def clipped_share(self) -> float:
        """Share of the ADCs' conversions that met the end of their range."""
        return self.adc_clipped / max(1, self.conversions)

    @property
    def update_J(self) -> float:
        """Device energy of learning: pulses, refreshes and reads that serve updates."""
        return self.write_J + self.refresh_J + self.readback_J

    def energy(self, synapses: int) -> dict[str, float | int]:
        """Return the energy entry of `compare`'s JSON for an array of so many synapses."""
        per_synapse = self.update_J / (synapses * self.updates) if self.updates else 0.0
        with_periphery = self.update_J + self.write_periphery_J
        return {
            "update_J": self.update_J,
            "update_J_per_synapse": per_synapse,
            "update_J_per_pulse": self.update_J / self.pulses if self.pulses else 0.0,
            "update_J_per_synapse_with_periphery": (
                with_periphery / (synapses * self.updates) if self.updates else 0.0
            ),
            "read_J": self.read_J,
            "periphery_J": self.write_periphery_J + self.read_periphery_J,
            "update_periphery_J": self.write_periphery_J,
            "read_periphery_J": self.read_periphery_J,
            "write_J": self.write_J,
            "refresh_J": self.refresh_J,
            "readback_J": self.readback_J,
            "program_J": self.program_J,
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

    def to_array(self) -> NDArray[np.float64]:
        """Return the totals as numbers, for a snapshot."""
        return np.array([getattr(self, field.name) for field in fields(self)], np.float64)

    @classmethod
    def from_array(cls, values: NDArray[np.float64]) -> Ledger:
        """Rebuild a ledger from `to_array`; totals that an older one did not have are zero."""
        ledger = cls()
        for field, value in zip(fields(cls), values, strict=False):
            setattr(ledger, field.name, int(value) if isinstance(field.default, int) else float(value))
        return ledger
