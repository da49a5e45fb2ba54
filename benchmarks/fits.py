"""Fitting a law to measured pulses, in passes of the filter over the data."""

from __future__ import annotations

import numpy as np

from benchmarks.coverage import studies
from benchmarks.timing import Figure, figure, once
from neurosim.devices.fitting.bipolar import soft_bounds, soft_move
from neurosim.devices.fitting.filtering import innovations


def figures() -> list[Figure]:
    """Every figure of this module."""
    study = studies()["soft-bounds"]
    assert study.pulses is not None
    pulses = study.pulses(0)
    own, shared = np.log([3.0, 3.0, 40.0, 40.0]), np.log([0.3, 1.0])

    def one_pass() -> None:
        for trace in pulses.traces:
            out = np.empty((2, trace.sign.size))
            innovations(own, shared, 50.0, trace.conductance_uS, trace.sign, soft_move, out)

    mine, other = once(lambda: soft_bounds(pulses), rounds=3), once(one_pass)
    name = f"fit of soft-bounds, {len(pulses.traces)} devices, {pulses.count} pulses"
    return [figure(name, mine / other, "x one pass of the filter", None, contender_s=mine, reference_s=other)]
