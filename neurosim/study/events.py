"""What each layer's arrays counted, with what of them a price needs to know: kept in results, priced afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from neurosim.core.protocols import Array
from neurosim.network.local_fields import locations
from neurosim.study.evaluate import on_devices


def layer_events(arrays: Iterable[Array]) -> list[dict[str, Any]]:
    """Return the events of each layer so far.

    Parameters
    ----------
    arrays : iterable of Array
        Of each layer; those in ideal arithmetic are left out.

    Returns
    -------
    found : list of dict
        ``layer`` (from 1), ``arrays`` (how many side by side) of ``rows`` x ``cols``, the ``device`` and its ``pulse_up``
        and ``pulse_down`` (V, s), ``read_voltage_V``, ``integration_time_s``, ``adc_bits``, ``dac_bits``, ``encoding``,
        ``pulse_train_slots``, and ``counts``, the totals of their ledgers by name, all arrays together.
    """
    found = []
    for number, array in enumerate(arrays, 1):
        held = [devices for each in locations(array) if (devices := on_devices(each)) is not None]
        if not held:
            continue
        one = held[0]
        totals = [devices.ledger.counts() for devices in held]
        up, down = one.device.pulse_shapes
        found.append(
            {
                "layer": number,
                "arrays": len(held),
                "rows": one.shape[0],
                "cols": one.shape[1],
                "device": one.device.name,
                "pulse_up": list(up),
                "pulse_down": list(down),
                "read_voltage_V": one.read.read_voltage_V,
                "integration_time_s": one.read.integration_time_s,
                "adc_bits": one.read.adc_bits,
                "dac_bits": one.read.dac_bits,
                "encoding": one.read.encoding,
                "pulse_train_slots": one.write.pulse_train_slots,
                "counts": {name: sum(each[name] for each in totals) for name in totals[0]},
            }
        )
    return found
