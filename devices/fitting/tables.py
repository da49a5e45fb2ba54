"""Measured data as the fitters take them: pulses, programming errors, drift, repeated reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurosim.devices.measurements import FEWEST_READS, Setting

Values = NDArray[np.float64]
FEWEST_PULSES = 10
"""For each device, of one polarity at least; of each polarity that a law needs."""
ALIKE = 0.01
"""Amplitudes and widths of pulses that differ by a smaller share are one."""
STEADY_K = 5.0
"""Temperatures of a device that differ by less are one."""


@dataclass(frozen=True)
class Trace:
    """Conductance of one device after each pulse."""

    device: str
    sign: NDArray[np.int8]
    """+1 or -1, and 0 where a run starts: nothing is known of what came before."""
    conductance_uS: Values
    missed: tuple[tuple[int, int], ...] = ()
    """(row, pulses) where reads before a row are missing: SET pulses since the read before, all in one train with it;
    negative, SET pulses since a RESET among them."""
    volts: Values | None = None
    """Amplitude of the pulse before each read, a magnitude; None: the data do not tell it."""
    seconds: Values | None = None
    """Width of that pulse."""


@dataclass(frozen=True)
class Pulses:
    """Traces of pulsed devices."""

    traces: tuple[Trace, ...]
    source: str
    ramps: bool = False
    """Read from files of one column a ramp."""
    unit_assumed: bool = False
    """Columns named no unit and were taken for siemens."""
    said: tuple[str, ...] = ()
    """What was understood of the files, three lines each."""
    left_out: str = ""
    """Missing values and repeated rows, in words."""
    notes: tuple[str, ...] = ()
    """What was left out of the reads and of the devices, and why, for the card."""
    limits_uS: tuple[float, ...] = ()
    """Where the file says that the instrument was in compliance."""
    stuck_uS: tuple[float, ...] = ()
    """Median conductances of devices that do not answer to pulses, which are not among the traces."""
    settings: tuple[tuple[str, Setting], ...] = ()
    """Voltage and width of pulses that stand beside the data, each with its file."""
    headers_of_pulses: Mapping[str, str] = field(default_factory=dict)
    """Headers of the columns of amplitude (`pulse_V`) and width (`pulse_s`)."""
    volts_assumed: bool = False
    """The amplitudes name no unit."""
    given: tuple[float | None, float | None] = (None, None)
    """Voltage and width of a pulse up that the user gave: the card's own, and of data that do not tell theirs."""

    def differing(self) -> str:
        """Say by what pulses of one polarity differ, empty where they are alike or nothing is told of them."""
        said = []
        for word, unit, of in (("amplitude", "V", "volts"), ("width", "s", "seconds")):
            known = [(t.sign, getattr(t, of)) for t in self.traces if getattr(t, of) is not None]
            if any(
                len(levels(np.concatenate([v[sign == one] for sign, v in known]))) > 1
                for one in (1, -1)
                if known
            ):
                all_of_them = np.concatenate([v[sign != 0] for sign, v in known])
                said.append(f"{word} ({np.nanmin(all_of_them):g} to {np.nanmax(all_of_them):g} {unit})")
        return " and ".join(said)

    @property
    def count(self) -> int:
        """Number of pulses whose effect was seen."""
        return int(sum(np.count_nonzero(trace.sign) for trace in self.traces))

    def fewest(self, sign: int) -> int:
        """Pulses of that polarity that the device with the fewest was given."""
        return min(int(np.count_nonzero(trace.sign == sign)) for trace in self.traces)


@dataclass(frozen=True)
class Programming:
    """Conductances that were asked for and those that were reached."""

    target_uS: Values
    achieved_uS: Values
    source: str
    said: tuple[str, ...] = ()
    """What was understood of the file, in three lines."""
    left_out: str = ""
    """Missing values and repeated rows, in words."""


@dataclass(frozen=True)
class Drift:
    """Conductance of each device at growing times since it was written."""

    devices: tuple[tuple[str, Values, Values], ...]
    """(name, times in s, conductances in uS) of each; a device has a record for each temperature."""
    source: str
    said: tuple[str, ...] = ()
    """What was understood of the file, in three lines."""
    left_out: str = ""
    """Missing values and repeated rows, in words."""
    temperature_K: tuple[float, ...] = ()
    """Of each record; empty where it is not told."""


@dataclass(frozen=True)
class Reads:
    """Repeated reads of states that nothing was done to."""

    states: tuple[tuple[str, Values, Values], ...]
    """(device, growing times in s, conductances in uS) of each; a device may have several states."""
    source: str
    aged: bool = False
    """Times count from the write, so that drift is a power of them; else a trend is a line."""
    said: tuple[str, ...] = ()
    """What was understood of the file, in three lines."""
    left_out: str = ""
    """Missing values and repeated rows, in words."""


Table = Pulses | Programming | Drift | Reads


def repeated(table: Drift) -> Reads | None:
    """Return the same as repeated reads, where they are enough for their noise."""
    enough = min(times.size for _, times, _ in table.devices) >= FEWEST_READS
    return Reads(table.devices, table.source, True) if enough else None


def levels(values: Values) -> Values:
    """Return the different ones of some amplitudes or widths, growing; what differs by less than a per cent is one."""
    found: list[float] = []
    for value in np.unique(values[np.isfinite(values)]):
        if not found or value > found[-1] * (1 + ALIKE):
            found.append(float(value))
    return np.array(found)


def moves(traces: Sequence[Trace], sign: int) -> Values:
    """Net change of conductance over each train of pulses of one polarity."""
    found = []
    for trace in traces:
        ends = np.flatnonzero(np.diff(np.concatenate([[0], trace.sign == sign, [0]]).astype(np.int8)))
        found += [trace.conductance_uS[b - 1] - trace.conductance_uS[a - 1] for a, b in ends.reshape(-1, 2)]
    return np.array(found)
