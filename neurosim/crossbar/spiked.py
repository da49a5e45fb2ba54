"""Arrays under spiking neurons: what a spike on each word line gives each column, and what it is counted as.

A spike is a read pulse of full height on its word line. The column's current flows into its neuron, which integrates: there
is no converter between. What `ReadPath` says of converters and integrators is refused, all else holds: conductances at
their age, read noise, wires, breaks and tiles, whose currents are summed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.config import ReadPath
from neurosim.core.errors import CapabilityError
from neurosim.kernels.spikes import Lines

if TYPE_CHECKING:
    from neurosim.crossbar.array import Crossbar

CONVERTED = (
    "dac_bits", "adc_bits", "adc_gain_spread", "adc_offset_lsb", "amplifier_offset_V", "thermal_noise_K", "shot_noise",
    "saturation_uS", "settling_time_s", "calibration",
)  # fmt: skip
"""Settings of converters and integrators, which spiking columns have not."""


def refuse_converters(read: ReadPath) -> None:
    """Raise `CapabilityError` where a read path has what spiking columns have not."""
    given = [name for name in CONVERTED if getattr(read, name)]
    if given or read.encoding != "amplitude":
        what = f"read.{given[0]}" if given else f"read.encoding = '{read.encoding}'"
        raise CapabilityError(
            f"{what}: a spiking column's current flows into its neuron, without converters or integrators between; leave it out"
        )


def lines_of(array: Crossbar) -> Lines:
    """Return what a spike on each word line gives each column now; updates change it in place, or it is to be asked for again."""
    view, gather = array._reader.view, array._gather
    planes = view.planes
    scale = array._cells.uS_per_weight[None]
    current, variance = planes[0].current, planes[0].variance
    if len(planes) == 2:
        current = current - planes[1].current
        variance = variance + planes[1].variance if variance.size else variance
    variance = gather(variance) if variance.size else np.empty((0, 0), current.dtype)
    scaled = gather(scale)[0].astype(np.float64)
    return Lines(
        gather(current), variance, np.where(scaled != 0, scaled, 1.0)
    )  # no line reaches a dead column


def count_spikes(array: Crossbar, spikes: NDArray[np.int64], steps: int) -> None:
    """Enter spikes into the ledger: how many came on each word line (rows,), and in how many time steps there were any."""
    ledger: Any = array.ledger
    total = int(spikes.sum())
    ledger.spikes += total
    ledger.reads += steps
    ledger.phases += steps
    ledger.read_line_cells += total * 2 * array._cells.shape[1]
    ledger.read_uS += float(spikes @ array._reader.view.grid.row_sum)
