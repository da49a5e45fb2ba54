"""How long studies will take on this machine, from a few measured steps and one evaluation, before anything is learnt."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.core.cautions import Caution
from neurosim.core.seeds import generator
from neurosim.data.dataset import Dataset
from neurosim.study.experiment import Experiment
from neurosim.study.kept_runs import is_finished

STEPS = 3
"""Mini-batches that are timed, after a first one that may compile."""
START_S = 5.0
"""In which processes of a pool load what they need; of two on two cores."""


class RunTimes:
    """Seconds of runs, measured once for each way that an array is written, whatever the card and which images are held out.

    Parameters
    ----------
    workers : int
        Processes that share the runs.
    """

    def __init__(self, workers: int = 1):
        self.workers = min(workers, os.cpu_count() or 1)
        self._known: dict[str, tuple[float, int]] = {}
        self._asked: dict[tuple[str, bool], tuple[float, float]] = {}

    def of_run(self, experiment: Experiment, arm: Any, data: Dataset) -> float:
        """Return the seconds of one run of an arm: looking at it before, learning, evaluating, and what comes after a year.

        Nothing that was measured is kept, and nobody is warned by it: the run itself says the same again.
        """
        what = type(experiment).__name__, arm.device is not None
        how = f"{what} {arm.model_dump_json(exclude={'name', 'device', 'learns', 'seeds'})}"
        if how not in self._known or what not in self._asked:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Caution)
                self._measure(experiment.training(arm, experiment.first_seed, data), how, what)
        seconds, total = self._known[how]
        before, after = self._asked[what]
        learning = before + total * seconds
        aged = experiment.then_aged_s is not None
        return (2 * learning + 3 * after) if aged else learning + after

    def _measure(self, training: Any, how: str, what: tuple[str, bool]) -> None:
        """Time mini-batches of a training, and if need be what is asked of it before and after; the first also compiles."""
        training.prepare()
        order = generator(training.seed, "order", 0).permutation(len(training.images))
        seconds = []
        for k in range(min(1 + STEPS, training.total)):
            first = k % training.batches * training.batch
            chosen = order[first : first + training.batch]
            seconds.append(_timed(partial(training.learn, chosen)))
        self._known[how] = float(np.median(seconds[1:] or seconds or [0.0])), training.total
        if what not in self._asked:
            if not any(kind == what[0] for kind, _ in self._asked):
                training.result()  # loads and compiles what the next one has at hand
            before = _timed(training.begin) if training.watched else 0.0
            self._asked[what] = before, _timed(training.result)

    def of_study(self, experiment: Experiment, data: Dataset, out: Path | None = None) -> float:
        """Return the seconds of the runs of a study that are not finished in its folder."""
        folder = out if out is not None and (out / "runs").is_dir() else None
        left: dict[str, int] = {}
        for seed, arm in experiment.planned():
            if folder is None or not is_finished(experiment.training(arm, seed, data), folder):
                left[arm.name] = left.get(arm.name, 0) + 1
        runs = [
            left[arm.name] * self.of_run(experiment, arm, data)
            for arm in experiment.arms()
            if arm.name in left
        ]
        return self.shared(sum(runs))

    def shared(self, seconds: float) -> float:
        """Return the seconds of runs that workers share, with those in which the workers start."""
        return seconds / self.workers + (START_S if seconds and self.workers > 1 else 0.0)


def _timed(what: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


def minutes_words(seconds: float) -> str:
    """Return a time as one says it beforehand: "20 seconds", "1.4 minutes"."""
    if seconds < 60:
        whole = max(1, round(seconds))
        return f"{whole} second{'' if whole == 1 else 's'}"
    return f"{seconds / 60:.1f} minutes"


def listed(parts: Sequence[tuple[str, float]]) -> str:
    """Return parts with their times: "whether rules learn 1.4 minutes, which effects cost most 40 seconds"."""
    return ", ".join(f"{name} {minutes_words(seconds)}" for name, seconds in parts)
