"""Means and 95 % intervals of few seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def wilson(accuracy: float, count: int) -> tuple[float, float]:
    """95 % Wilson interval of a share seen on `count` samples."""
    z = float(stats.norm.ppf(0.975))
    middle = (accuracy + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(accuracy * (1 - accuracy) / count + z * z / (4 * count**2)) / (1 + z * z / count)
    return float(middle - half), float(middle + half)


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % Student interval of the mean; None for a single value."""
    if len(values) < 2:
        return None
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)
