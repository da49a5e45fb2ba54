"""What one file of measurements holds: a tidy table, and what was understood of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

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
