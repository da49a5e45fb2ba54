"""What any kind of study says of its runs: each arm's scores, means over seeds with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosim.study.experiment import Experiment
from neurosim.study.statistics import Chips, mean_accuracy


def summary_of(experiment: Experiment, runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry for each arm and score, the headline first.

    Parameters
    ----------
    experiment : Experiment
    runs : sequence of dict
        Of `Experiment.run`; ``test_sizes`` says of how many images a score is that is not of all ``test_size``.
    """
    found = []
    for arm in experiment.listed:
        own = [run for run in runs if run["arm"] == arm.name]
        scores = [experiment.scores(run) for run in own]
        for score in scores[0] if scores else ():
            values = [each[score] for each in scores]
            images = own[0].get("test_sizes", {}).get(score, own[0]["test_size"])
            mean = mean_accuracy(Chips(np.array(values), images))
            found.append(
                {"arm": arm.name, "score": score, "seeds": len(own), "accuracy_mean": mean.value,
                 "accuracy_interval": (mean.low, mean.high)}
            )  # fmt: skip
    return found
