"""Weights that a layer starts with: normal, or uniform on one side of zero (arXiv 2209.11883, Eq. 3 and 4)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from neurosim.core.protocols import Floats

Start = Literal["normal", "normal-paper", "positive", "negative"]
"""How start weights are drawn, N the weights of a neuron and R the radius: normal with a standard deviation of R / sqrt(N), as the
authors' code has it, or of R sqrt(pi / 2 N), as the paper prints it; uniform from zero to sqrt(3 R^2 / N), or from minus that."""
PRINTED = float(np.sqrt(np.pi / 2))
"""By how much the paper's normal start weights are larger than those of its code."""


def start_norm(start: Start, radius: float) -> float:
    """Return the norm near which the start weights of a neuron are, `radius` for all but "normal-paper"."""
    return radius * PRINTED if start == "normal-paper" else radius


def highest_uniform(norm: float, rows: int) -> float:
    """Return how far uniform weights of a norm go from zero."""
    return float(norm * np.sqrt(3 / rows))


def drawn(start: Start, norm: float, shape: tuple[int, int], draws: np.random.Generator) -> Floats:
    """Return start weights (rows, neurons) of a norm (`start_norm`); their rms is the norm divided by the root of the rows."""
    if start in ("positive", "negative"):
        uniform: Floats = draws.random(shape, np.float32) * np.float32(highest_uniform(norm, shape[0]))
        return uniform if start == "positive" else -uniform
    normal: Floats = (draws.standard_normal(shape) * norm / np.sqrt(shape[0])).astype(np.float32)
    return normal
