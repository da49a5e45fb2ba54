"""Classes of spiking neurons: each stands for the class to which it spikes most, and the class answers that spikes most."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.errors import InputError

LEAST = 1e-9
"""What the commonest class is ahead by, in spikes."""


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
    weight, bias : (classes, neurons) and (classes,) arrays
        The same as a linear readout of spike counts; of equal answers the commonest class is given.
    """

    classes: NDArray[np.int64]
    used: int
    weight: NDArray[Any]
    bias: NDArray[Any]

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
        self.weight = (belongs / np.maximum(belongs.sum(axis=0), 1)).T
        self.bias = np.zeros(classes)
        self.bias[np.bincount(labels, minlength=classes).argmax()] = LEAST

    @classmethod
    def of(cls, weight: NDArray[Any], bias: NDArray[Any]) -> Self:
        """Return the neurons whose readout this is."""
        found = cls.__new__(cls)
        found.weight, found.bias = weight, bias
        spiked = weight.any(axis=0)
        found.classes, found.used = np.where(spiked, weight.argmax(axis=0), -1), int(spiked.sum())
        return found

    def predict(self, counts: ArrayLike) -> NDArray[np.int64]:
        """Return the class of each sample from its spikes (n, neurons); without any spike the commonest."""
        found: NDArray[np.int64] = (np.asarray(counts, np.float64) @ self.weight.T + self.bias).argmax(axis=1)
        return found
