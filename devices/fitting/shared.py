"""What several files of the same devices say together: who is who, and what is counted in one of them alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from neurosim.devices.fitting.population import Estimate, Values
from neurosim.devices.fitting.tables import Drift, Pulses, Reads, Table
from neurosim.devices.measurements import ONE_DEVICE

_NAMED = 6
_BESIDE = 0.1
"""A state lies outside what pulses did by more than this share of the device's range."""


def same_devices(pulses: Pulses | None, tables: Sequence[Table]) -> Iterator[str]:
    """Say which devices of other files were pulsed, by their names, what each file decides, and which cannot be the same."""
    if pulses is None:
        return
    pulsed = {trace.device: trace.conductance_uS for trace in pulses.traces}
    for table in tables:
        if not isinstance(table, Drift | Reads):
            continue
        states = table.devices if isinstance(table, Drift) else table.states
        names = list(dict.fromkeys(name for name, _, _ in states))
        both = [name for name in names if name in pulsed and name != ONE_DEVICE]
        decides = "drift" if isinstance(table, Drift) else "noise of reads"
        if not both:
            yield (
                f"{table.source}: none of its devices is among those of {pulses.source} by name; {decides} is that of "
                "its own devices, all else that of the pulsed ones."
            )
            continue
        yield (
            f"{table.source}: {len(both)} of its {len(names)} devices are among the {len(pulsed)} of {pulses.source} "
            f"({', '.join(both[:_NAMED])}{', ...' if len(both) > _NAMED else ''}). Window, steps and their noise are of "
            f"{pulses.source}, {decides} is of {table.source}."
        )
        outside = [name for name, _, g in states if name in both and _beside(g, pulsed[name])]
        if outside:
            yield (
                f"{table.source}: devices that stand where pulses never brought them in {pulses.source}: "
                f"{', '.join(list(dict.fromkeys(outside))[:_NAMED])}; check units, read voltages and names."
            )


def _beside(state: Values, pulsed: Values) -> bool:
    margin = _BESIDE * float(np.ptp(pulsed))
    return not pulsed.min() - margin <= float(np.median(state)) <= pulsed.max() + margin


def apart(noise: Estimate, reads: float) -> Estimate | None:
    """Return what is left of a noise when that of reads, which it contains, is taken off; None where nothing is.

    The interval grows: it ends at zero where reads may explain all.
    """
    left = [max(end**2 - reads**2, 0.0) ** 0.5 for end in (noise.value, noise.low, noise.high)]
    return Estimate(*left) if left[0] > 0 else None
