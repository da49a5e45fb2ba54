"""Parallel lines followed one by one: what share of a voltage at their terminals arrives at each node."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import Scalar, jit


@jit
def line_shares(
    first: int, last: int, g_uS: Any, segment: Scalar, terminal: Scalar, both_ends: bool, out: Any
) -> None:
    """Fill columns [first, last) of `out` (nodes, lines) with the share that arrives at each node of each line.

    Each column is a line; its terminal lies behind the last node, and with `both_ends` another before the first,
    at the same voltage. Resistances in megohms; every node has its conductance to 0 V. What lies beyond a node,
    seen from it, is a conductance and a current (Norton), and a resistance r before a conductance y passes
    1 / (1 + r y) of either.
    """
    nodes, lines = g_uS.shape[0], last - first
    beyond, voltage = np.zeros(lines), np.ones(lines)
    current, pushed = np.zeros(lines), np.zeros((nodes, lines) if both_ends else (0, lines))
    if both_ends and terminal > 0.0:
        beyond[:] = 1.0 / terminal
        current[:] = 1.0 / terminal
    for i in range(nodes):
        for j in range(lines):
            conductance = beyond[j] + g_uS[i, first + j]
            out[i, first + j] = conductance
            passed = 1.0 / (1.0 + segment * conductance)
            beyond[j] = conductance * passed
            if both_ends:
                pushed[i, j] = current[j]
                current[j] *= passed
    for i in range(nodes - 1, -1, -1):
        before = segment if i < nodes - 1 else terminal
        for j in range(lines):
            v = voltage[j]
            if both_ends:
                v += before * pushed[i, j]
            voltage[j] = v / (1.0 + before * out[i, first + j])
            out[i, first + j] = voltage[j]
