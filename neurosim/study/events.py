"""What each layer's arrays counted, with what of them a price needs to know: kept in results, priced afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Array, DeviceArray
from neurosim.network.local_fields import locations
from neurosim.study.evaluate import on_devices

WEAR = (0, 0.01, 0.05, *(k / 10 for k in range(1, 10)), 0.95, 0.99, 0.999, 1)
"""Shares of the devices for which results say how many pulses these had at most."""


def pulsed_devices(array: DeviceArray) -> NDArray[np.uint32]:
    """Return the pulses of each device that learns, (n,): both of a pair, or the one beside a fixed reference."""
    worn = np.asarray(array.worn)
    learning = worn if array.write.mapping == "pair" else worn[..., 0::2]
    found: NDArray[np.uint32] = learning.reshape(-1)
    return found


def averages(of: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Return means of numbers by name; None of joules that nobody knows."""
    known = {name: [each[name] for each in of] for name in of[0]}
    return {
        name: None if None in values else float(np.mean(np.array(values, np.float64)))
        for name, values in known.items()
    }


def _mean(counts: list[int]) -> float:
    """The mean of counts, a whole number where they are alike."""
    return counts[0] if len(set(counts)) == 1 else sum(counts) / len(counts)


def layer_events(arrays: Iterable[Array]) -> list[dict[str, Any]]:
    """Return the events of each layer so far.

    Parameters
    ----------
    arrays : iterable of Array
        Of each layer; those in ideal arithmetic are left out.

    Returns
    -------
    found : list of dict
        ``layer`` (from 1), ``arrays`` (how many side by side) of ``rows`` x ``cols`` (their mean, where rows differ), the ``device`` and its ``pulse_up``
        and ``pulse_down`` (V, s; None where the card does not give them), ``pulse_unknown`` (the parameters without which its
        pulses have no joules), ``read_voltage_V``, ``integration_time_s``, ``adc_bits``, ``dac_bits``, ``encoding``,
        ``pulse_train_slots``, ``devices`` (that learn), ``wear`` (for each share in `WEAR` the pulses that this share of them
        had at most), and ``counts``, the totals of their ledgers by name, all arrays together.
    """
    found = []
    for number, array in enumerate(arrays, 1):
        held = [devices for each in locations(array) if (devices := on_devices(each)) is not None]
        if not held:
            continue
        one = held[0]
        totals = [devices.ledger.counts() for devices in held]
        worn = np.concatenate([pulsed_devices(devices) for devices in held])
        up, down = one.device.pulse_shapes
        found.append(
            {
                "layer": number,
                "arrays": len(held),
                "rows": _mean([devices.shape[0] for devices in held]),
                "cols": one.shape[1],
                "device": one.device.name,
                "pulse_up": list(up),
                "pulse_down": list(down),
                "pulse_unknown": list(one.device.pulse_unknown),
                "read_voltage_V": one.read.read_voltage_V,
                "integration_time_s": one.read.integration_time_s,
                "adc_bits": one.read.adc_bits,
                "dac_bits": one.read.dac_bits,
                "encoding": one.read.encoding,
                "pulse_train_slots": one.write.pulse_train_slots,
                "devices": worn.size,
                "wear": [
                    [share, float(pulses)]
                    for share, pulses in zip(WEAR, np.quantile(worn, WEAR), strict=True)
                ],
                "counts": {name: sum(each[name] for each in totals) for name in totals[0]},
            }
        )
    return found
