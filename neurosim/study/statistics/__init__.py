"""Statistics for a decision: from few simulated chips and many test images to all chips and all images."""

from neurosim.study.statistics.crossed import Chips, Crossed, Estimate, mean_accuracy, mean_gap
from neurosim.study.statistics.from_runs import (
    by_seed,
    chips_of,
    chips_of_rows,
    compared,
    decision,
    paired,
    stays_within,
)
from neurosim.study.statistics.learning import Kept, Verdict, learning_kept, verdict
from neurosim.study.statistics.ranked_effects import Ranking, holm, ranking
from neurosim.study.statistics.seeds import interval, mcnemar, wilson
from neurosim.study.statistics.tolerated_level import Tolerance, tolerance
from neurosim.study.statistics.yields import Yield, chip_yield

__all__ = [
    "Chips",
    "Crossed",
    "Estimate",
    "Kept",
    "Ranking",
    "Tolerance",
    "Verdict",
    "Yield",
    "by_seed",
    "chip_yield",
    "chips_of",
    "chips_of_rows",
    "compared",
    "decision",
    "holm",
    "interval",
    "learning_kept",
    "mcnemar",
    "mean_accuracy",
    "mean_gap",
    "paired",
    "ranking",
    "stays_within",
    "tolerance",
    "verdict",
    "wilson",
]
