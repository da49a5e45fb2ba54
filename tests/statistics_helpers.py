"""What the tests of statistics for a decision share: chips drawn by chance, and chips made to measure."""

from __future__ import annotations

import numpy as np

from benchmarks.decision_coverage import rates, tables
from neurosim.study.statistics import Chips


def drawn(seed: int, means: list[float], spread: float, chips: int, images: int) -> list[Chips]:
    """Arms with these mean accuracies, tested on the same images."""
    draws = np.random.default_rng(seed)
    found = tables(draws, [rates(draws, mean, spread, chips) for mean in means], images)
    return [Chips.of_table(table) for table in found]


def exactly(rights: list[int], images: int, shift: int = 0) -> Chips:
    """Chips that get so many images right: the first ones, or those after a shift."""
    return Chips.of_table(
        np.array([np.roll(np.arange(images) < right, shift * k) for k, right in enumerate(rights)])
    )
