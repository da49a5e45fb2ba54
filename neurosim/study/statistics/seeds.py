"""Means and 95 % intervals of few seeds, and McNemar's test on the images that two networks classified."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
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


def mcnemar(ideal_correct: NDArray[np.bool_], device_correct: NDArray[np.bool_]) -> dict[str, Any]:
    """McNemar's exact test of two trained networks on the same images: of these very chips, not of others.

    Parameters
    ----------
    ideal_correct, device_correct : array of bool
        Whether each image was classified correctly, in the same order.

    Returns
    -------
    found : dict
        ``ideal_only`` and ``device_only``, the images that one alone classified correctly, and ``p_value``,
        the two-sided binomial probability of a split at least as uneven if both were equally likely.

    Notes
    -----
    Only the images are left to chance. That these two chips differ (118 : 21) does not say that other chips of the
    same kind would: of that `mean_gap` has an interval and a p value.

    References
    ----------
    Q. McNemar, Note on the sampling error of the difference between correlated proportions or percentages,
    Psychometrika 12 (1947) 153-157.
    """
    ideal_only = int(np.count_nonzero(ideal_correct & ~device_correct))
    device_only = int(np.count_nonzero(device_correct & ~ideal_correct))
    discordant = ideal_only + device_only
    p_value = float(stats.binomtest(ideal_only, discordant).pvalue) if discordant else 1.0
    return {"ideal_only": ideal_only, "device_only": device_only, "p_value": p_value}
