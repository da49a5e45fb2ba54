"""Which device can hold which layer: window, pulse step and accumulated spread against the weights of a layer.

Known before any training: a sample of cells is asked for random changes, and what it makes of them is compared.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from neurosim.core.cautions import WindowWarning
from neurosim.core.protocols import UpdateMode
from neurosim.core.seeds import generator
from neurosim.crossbar.array import Crossbar

SAMPLE = 48, 48
UPDATES = 200
SHARE = 0.1
"""Standard deviation of one change asked for, in rms of the weights: all of them walk 1.4 rms."""


def held(array: Crossbar, rms: float, mode: UpdateMode, layer: int, rows: int, seed: int) -> dict[str, Any]:
    """Return how an array of `SAMPLE` cells, as a layer has them, holds and follows its start weights.

    Parameters
    ----------
    array : Crossbar
    rms : float
        Of the layer's start weights.
    mode : {"accumulate", "mixed", "online"}
    layer, rows : int
        The layer's number, from 1, and its inputs: for the result.
    seed : int

    Returns
    -------
    found : dict
        In units of the rms: ``window``, the largest storable weight; ``step``, the nominal change of a weight by one
        pulse; ``programmed``, the rms error of writing the start weights; ``spread``, the rms of what is off after
        `UPDATES` changes beside the share ``followed`` of them; ``pulses`` a weight for these.
    """
    draws = generator(seed, "holding", f"layer {layer - 1}")
    start = (rms * draws.standard_normal(SAMPLE)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", WindowWarning
        )  # of a sample of normal weights; the result has its window
        array.program(start, w_max=array.w_max)
    written = array.weights()
    asked, ones = np.zeros(SAMPLE, np.float32), np.eye(SAMPLE[0], dtype=np.float32)
    for _ in range(UPDATES):
        change = (SHARE * rms * draws.standard_normal(SAMPLE)).astype(np.float32)
        array.update(ones, change, mode=mode)
        asked += change
    moved = array.weights() - written
    followed = float((moved * asked).sum() / np.square(asked).sum())
    return {
        "layer": layer,
        "rows": rows,
        "window": float((array.w_max or 1.0) / rms),
        "step": float(array.weight_per_pulse / rms),
        "programmed": float(np.sqrt(np.square(written - start).mean()) / rms),
        "followed": followed,
        "spread": float(np.sqrt(np.square(moved - followed * asked).mean()) / rms),
        "pulses": array.ledger.pulses / start.size,
    }
