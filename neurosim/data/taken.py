"""How samples of one's own became the rows of a data set: what comes later is taken the same way, or refused."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.cautions import Caution
from neurosim.core.errors import DataError
from neurosim.data.on_disk import OnDisk

PIXEL = 255
"""Full scale of bytes."""


class ScaleWarning(Caution):
    """Values use a small part of the scale that they were taken on, or lie beyond it."""


@dataclass(frozen=True, eq=False)
class Scale:
    """What becomes of values: bytes with their full scale, or float32 from 0 to 1.

    Attributes
    ----------
    value : float
        What becomes 1.
    whole : bool
        Rows are bytes as they are; `value` is their full scale.
    low, high : (features,) arrays, optional
        Smallest and largest training value of each feature, which become 0 and 1.
    """

    value: float = 1.0
    whole: bool = False
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None

    @property
    def full_scale(self) -> int:
        """What becomes 1 of what `rows` returns."""
        return int(self.value) if self.whole else 1

    def rows(self, x: Any) -> Any:
        """Return samples (n, rows) as a data set holds them; what lies on disk stays there."""
        if isinstance(x, OnDisk):
            return x
        if self.low is not None and self.high is not None:
            still = self.low == self.high
            span = np.where(still, 1.0, self.high - self.low)
            return np.where(still, 0.0, np.clip((x - self.low) / span, 0, 1)).astype(np.float32)
        return x.astype(np.uint8) if self.whole else (x / self.value).astype(np.float32)

    def beyond(self, x: Any) -> int:
        """Return how many values lie beyond those of the training set, feature by feature, and are clipped."""
        return 0 if self.low is None else int(((x < self.low) | (x > self.high)).sum())


@dataclass(frozen=True, eq=False)
class Taken:
    """What was made of samples on their way into a data set.

    Attributes
    ----------
    sample : tuple of int
        Shape of a sample as it came: (height, width[, channels]) or (numbers,).
    size : (int, int), optional
        Height and width to which images are scaled.
    scale : Scale
    """

    sample: tuple[int, ...]
    size: tuple[int, int] | None
    scale: Scale

    def rows(self, x: NDArray[Any]) -> Any:
        """Return further samples as rows; values beyond those of the training set are clipped and warned of.

        Raises
        ------
        DataError
            If they have another shape, or values that the training set's scale has no place for.
        """
        if x.shape[1:] != self.sample:
            here, there = (" x ".join(map(str, shape)) for shape in (x.shape[1:], self.sample))
            raise DataError(
                f"samples of {here}: those learnt were of {there}, and nothing is resized unasked"
            )
        if self.size is not None and len(self.sample) > 1:
            from neurosim.data.resize import resized

            x = resized(x.reshape(*x.shape[:3], -1), self.size)
        x = x.reshape(len(x), -1)
        if self.scale.low is None and len(x):
            low, high = float(x.min()), float(x.max())
            if low < 0 or high > self.scale.value:
                raise DataError(
                    f"values from {low:g} to {high:g}: those learnt were taken on a scale of 0 to {self.scale.value:g}"
                )
            if self.scale.whole and x.dtype.kind == "f" and not bool((x == np.round(x)).all()):
                raise DataError(
                    f"values that are no whole numbers: those learnt were, from 0 to {self.scale.value:g}"
                )
        if beyond := self.scale.beyond(x):
            warnings.warn(
                f"{beyond:,} of {x.size:,} values lie beyond those of their feature in the training set and are clipped",
                ScaleWarning,
                stacklevel=3,
            )
        return self.scale.rows(x)
