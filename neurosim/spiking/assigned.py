"""Classes of spiking neurons: each stands for the class to which it spikes most, and the class answers that spikes most."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.errors import InputError


class AssignedNeurons:
    """Labels of neurons (Diehl & Cook 2015): of the class of highest mean response; the answer is the class whose neurons spike most in the mean.

    Parameters
    ----------
    counts : (n, neurons) array_like of int
        Spikes of each neuron for labelled samples.
    labels : (n,) array_like of int
        Their classes; never of samples that are reported on.
    classes : int

    Attributes
    ----------
    classes : (neurons,) array
        Class of each neuron; -1 where it never spiked.
    used : int
        Neurons that spiked.
    """

    def __init__(self, counts: ArrayLike, labels: ArrayLike, classes: int):
        counts, labels = np.asarray(counts, np.float64), np.asarray(labels)
        if counts.ndim != 2 or labels.shape != (len(counts),):
            raise InputError(
                f"counts {counts.shape} and labels {labels.shape}: expected (n, neurons) and (n,)"
            )
        sums = np.zeros((classes, counts.shape[1]))
        np.add.at(sums, labels, counts)
        means = sums / np.maximum(np.bincount(labels, minlength=classes), 1)[:, None]
        spiked = counts.any(axis=0)
        self.classes = np.where(spiked, means.argmax(axis=0), -1)
        self.used = int(spiked.sum())
        belongs = self.classes[:, None] == np.arange(classes)
        self._share = belongs / np.maximum(belongs.sum(axis=0), 1)
        self._common = int(np.bincount(labels, minlength=classes).argmax())

    def predict(self, counts: ArrayLike) -> NDArray[np.int64]:
        """Return the class of each sample from its spikes (n, neurons); without any spike the commonest."""
        votes = np.asarray(counts, np.float64) @ self._share
        found: NDArray[np.int64] = np.where(votes.any(axis=1), votes.argmax(axis=1), self._common)
        return found
