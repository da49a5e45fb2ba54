"""Which device can hold which layer: window, pulse step and accumulated spread against the weights of a layer.

Known before any training: a sample of cells is asked for random changes, and what it makes of them is compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.core.seeds import generator
from neurosim.study.deep_build import device_array
from neurosim.study.deep_spec import DeepArm, DeepExperiment, of_layer

SAMPLE = 48, 48
UPDATES = 200
SHARE = 0.1
"""Standard deviation of one change asked for, in rms of the weights: all of them walk 1.4 rms."""


def holding(experiment: DeepExperiment, arm: DeepArm, channels: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return one entry a layer of how an arm's devices hold and follow weights of the start radius.

    Parameters
    ----------
    experiment : DeepExperiment
    arm : DeepArm
        One with a device.
    channels : int
        Of the images.
    seed : int

    Returns
    -------
    layers : list of dict
        In units of the rms of a layer's start weights: ``window``, the largest storable weight; ``step``, the
        nominal change of a weight by one pulse; ``programmed``, the rms error of writing the start weights;
        ``spread``, the rms of what is off after `UPDATES` changes beside the share ``followed`` of them;
        ``pulses`` a weight for these.
    """
    found = []
    for number, layer in enumerate(experiment.layers):
        rows = layer.kernel**2 * channels
        channels = layer.neurons
        array = device_array(arm, number, layer, rows, SAMPLE, seed)
        rms = of_layer(arm.start_radius or layer.start_radius, number) / np.sqrt(rows)
        draws = generator(seed, "holding", f"layer {number}")
        start = (rms * draws.standard_normal(SAMPLE)).astype(np.float32)
        array.program(start)
        written = array.weights()
        asked, ones = np.zeros(SAMPLE, np.float32), np.eye(SAMPLE[0], dtype=np.float32)
        for _ in range(UPDATES):
            change = (SHARE * rms * draws.standard_normal(SAMPLE)).astype(np.float32)
            array.update(ones, change, mode=arm.mode)
            asked += change
        moved = array.weights() - written
        followed = float((moved * asked).sum() / np.square(asked).sum())
        found.append(
            {
                "layer": number + 1,
                "rows": rows,
                "window": float(array.write.w_max / rms),
                "step": float(array.weight_per_pulse / rms),
                "programmed": float(np.sqrt(np.square(written - start).mean()) / rms),
                "followed": followed,
                "spread": float(np.sqrt(np.square(moved - followed * asked).mean()) / rms),
                "pulses": array.ledger.pulses / start.size,
            }
        )
    return found
