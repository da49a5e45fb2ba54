"""What one file of measurements holds: a tidy table, and what was understood of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from neurosim.devices.measurements.settings import Setting

ONE_DEVICE = "device"
"""Name of the device of a file that names none."""


@dataclass(frozen=True)
class Measured:
    """What one file holds, as a tidy table."""

    kind: str
    """`pulses`, `drift`, `reads` or `programming`."""
    table: pd.DataFrame
    """Always `line`, the line in the file. Pulses: `device`, `ramp`, `pulse`, `polarity` (+1 SET, -1 RESET, 0 none),
    `conductance_uS`, and `pulse_V`, `pulse_s` where columns tell amplitude and width. Drift and repeated reads: `device`, `time_s`,
    `conductance_uS`, and `temperature_K` where it is told. Programming: `target_uS`, `achieved_uS`.
    NaN is a read that is missing."""
    source: Path
    said: tuple[str, str, str]
    """How the file was read; what its columns mean; what it holds."""
    ramps: bool = False
    """One column a ramp: other such files go on with the same devices."""
    unit_assumed: bool = False
    """Columns without names or units of conductance were taken for siemens."""
    left_out: str = ""
    """Missing values and repeated rows, in words."""
    headers: tuple[str, ...] = ()
    """Of those that the user gave, the ones that the file has."""
    limits_uS: tuple[float, ...] = ()
    """Where reads in compliance stand: the conductance is beyond."""
    settings: tuple[Setting, ...] = ()
    """Voltage and width of pulses that no column tells, but a line beside the data; of SET or RESET where a file of ramps
    holds one of them."""
    headers_of_pulses: Mapping[str, str] = field(default_factory=dict)
    """Headers of the columns of `pulse_V` and `pulse_s`."""
    volts_assumed: bool = False
    """The column of `pulse_V` names no unit."""
