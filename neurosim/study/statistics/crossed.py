"""What chips and test images add to the error of a mean accuracy, a gap, or any sum of accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from neurosim.core.errors import InputError

SURE = 0.95
"""Probability of every interval of this package."""
_NOTHING = 1e-12
"""Variances below are rounding."""
_LEAST = -100.0
"""p values below ten to this are zero."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Chips:
    """One arm: several chips that classified the same test images.

    Parameters
    ----------
    accuracies : (chips,) array of float
        Share of the images that each chip got right.
    images : int
        Number of test images.
    correct : (chips, images) array of bool or float, or None
        Which images each chip got right, or the share of several chips that did where chance draws these together; None
        where only the accuracies were kept.

    Raises
    ------
    InputError
        If there is no chip or no image, an accuracy is no share, or the table has another shape.
    """

    accuracies: Floats
    images: int
    correct: NDArray[np.bool_] | Floats | None = None

    def __post_init__(self) -> None:
        shares = np.asarray(self.accuracies, float)
        object.__setattr__(self, "accuracies", shares)
        if shares.ndim != 1 or not shares.size or self.images < 1:
            raise InputError("accuracies: give one number for each chip, of one chip and one image or more")
        if not ((shares >= 0) & (shares <= 1)).all():
            raise InputError("accuracies: give shares of the test images, from 0 to 1")
        if self.correct is not None and self.correct.shape != (shares.size, self.images):
            raise InputError(f"correct: must be a table of {shares.size} chips and {self.images} images")

    @classmethod
    def of_table(cls, correct: ArrayLike) -> Chips:
        """Return an arm from its table (chips, images) of right answers."""
        table = np.asarray(correct)
        if table.ndim != 2 or table.dtype != np.bool_ or not table.size:
            raise InputError(
                "correct: give a boolean table with a row for each chip, a column for each image"
            )
        return cls(table.mean(axis=1), table.shape[1], table)

    @property
    def count(self) -> int:
        """Number of chips."""
        return len(self.accuracies)


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval for new chips and new images.

    Parameters
    ----------
    value, low, high : float
        Shares of one.
    p_value : float or None
        Two-sided probability of a value at least as far from the one asked about, if that were true; None where
        none was asked about.
    chips, images : int
        How many there were.
    chips_known : bool
        False of a single chip: the interval then is that of new images for this very chip, and says nothing of
        other chips.
    images_known : bool
        False where the table of right answers was not kept: the images' part of the error then is an upper bound.
    chips_share : float
        Share of the squared error that only more chips make smaller.
    """

    value: float
    low: float
    high: float
    p_value: float | None
    chips: int
    images: int
    chips_known: bool
    images_known: bool
    chips_share: float


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of mean accuracies, and the parts of its error.

    Made by `Crossed.contrast`. With weights (1,) it is a mean accuracy, with (1, -1) a gap.

    Parameters
    ----------
    value : float
        The sum.
    middle : float
        Middle of the range that the sum can have.
    square : float
        Mean of the squared distance of single answers from the middle.
    total : float
        Variance of single answers, over chips and images.
    shared : float
        Share of it that all chips have in common on an image, 0 to 1.
    spread : float
        Variance from chip to chip of its sum over the images; 0 of a single chip.
    chips, images : int
        How many there were.
    images_known : bool
        Whether the tables of all arms were kept.
    """

    value: float
    middle: float
    square: float
    total: float
    shared: float
    spread: float
    chips: int
    images: int
    images_known: bool

    def variances(self, chips: int | None = None) -> tuple[float, float, float]:
        """Return three parts of the variance of the value, with so many chips.

        Returns
        -------
        of_images : float
            What all chips share; known from the images.
        of_rest : float
            Chance of the images that each chip has for itself; known from the images too.
        of_chips : float
            All that differs from chip to chip, this chance included; known from the few chips.
        """
        n = chips or self.chips
        single = self.total / self.images
        return self.shared * single, (1 - self.shared) * single / n, self.spread / n

    def reach(self, p_value: float = 1 - SURE, chips: int | None = None) -> float:
        """Return the square of the distance that has this p value, with so many chips.

        Notes
        -----
        What the images decide has the normal quantile, what differs from chip to chip Student's with n - 1 degrees
        of freedom (G. W. Snedecor's and W. G. Cochran's way with two variances of different certainty, squares
        added as by W. G. Howe), but never less than the images alone have for these very chips: two chips that happen
        to agree know no more of other images than one.
        """
        of_images, of_rest, of_chips = self.variances(chips)
        normal = ndtri(p_value / 2) ** 2
        if self.chips == 1:
            return float(normal * (of_images + of_rest))
        student = stdtrit((chips or self.chips) - 1, p_value / 2) ** 2
        return float(normal * of_images + max(normal * of_rest, student * of_chips))

    def ends(self, reach: float) -> tuple[float, float]:
        """Return the ends of the interval that reaches so far, bent to keep the bounds.

        Notes
        -----
        Wilson's score interval, with as many images as would have this reach if they were all there is. Of one chip
        and one arm it is Wilson's own.
        """
        k, seen = reach / self.total, self.value - self.middle
        half = np.sqrt(max(0.0, k * self.square * (1 + k) - k * seen**2))
        return float(self.middle + (seen - half) / (1 + k)), float(self.middle + (seen + half) / (1 + k))

    def interval(self, chips: int | None = None) -> tuple[float, float]:
        """Return the 95 % interval, or the one to be expected of so many chips with the same value and variances."""
        return self.ends(self.reach(chips=chips))

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p value of a true value; it is 0.05 at the ends of `interval`."""
        room = self.square - (null - self.middle) ** 2
        if room <= 0 or self.value == null:
            return float(self.value == null)
        distance = (self.value - null) ** 2 * self.total / room

        def beyond(exponent: float) -> float:
            return self.reach(10**exponent) - distance

        if beyond(_LEAST) <= 0:
            return 0.0
        return float(10 ** brentq(beyond, _LEAST, 0.0))

    def estimate(self, null: float | None = None) -> Estimate:
        """Return value, interval and p value of the null."""
        of_images, of_rest, of_chips = self.variances()
        of_chips = max(of_rest, of_chips)
        return Estimate(
            self.value,
            *self.interval(),
            p_value=None if null is None else self.p_value(null),
            chips=self.chips,
            images=self.images,
            chips_known=self.chips > 1,
            images_known=self.images_known,
            chips_share=of_chips / (of_images + of_chips),
        )


class Crossed:
    """Several arms with the same chips (row by row) and the same images.

    Parameters
    ----------
    arms : sequence of Chips
        In every arm the k-th chip has the same seed, and the images are the same in the same order.

    Raises
    ------
    InputError
        If the numbers of chips or images differ.

    Notes
    -----
    Whether chip i is right on image j is the mean, plus what is peculiar to the chip, plus what is peculiar to the
    image, plus a rest; the variances of the three are estimated from the mean squares of the two-way table (the
    covariances of several arms from mean products). For n chips and N images the mean has the variance
    chips / n + images / N + rest / (n N). Negative estimates count as zero. So that a table without any wrong answer, or two arms without
    any difference, are not taken for certainty, the variance of single answers is that with half an image more at
    each end of the range, which all chips get right or wrong (as Agresti and Min have it for pairs).

    Where an arm's table was not kept, its images' part is taken as large as it can be: all chips wrong on the same
    images, and different arms on images that have nothing to do with each other.

    References
    ----------
    S. R. Searle, G. Casella and C. E. McCulloch, Variance Components, Wiley 1992, chapter 4;
    E. B. Wilson, J. Am. Stat. Assoc. 22 (1927)
    209-212; E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998) 193-201 (effective number of samples);
    A. Agresti and Y. Min, Stat. Med. 24 (2005) 729-740.
    """

    def __init__(self, arms: Sequence[Chips]):
        sizes = {(arm.count, arm.images) for arm in arms}
        if len(sizes) != 1:
            said = ", ".join(f"{chips} chips with {images} images" for chips, images in sorted(sizes))
            raise InputError(
                f"arms: all need the same chips and the same test images (there are {said or 'none'})"
            )
        self.chips, self.images = sizes.pop()
        rates = np.array([arm.accuracies for arm in arms])
        self.mean = rates.mean(axis=1)
        self.moment = np.outer(self.mean, self.mean)
        np.fill_diagonal(self.moment, self.mean)
        self.residual = np.zeros_like(self.moment)
        self.between = np.cov(rates).reshape(self.moment.shape) if self.chips > 1 else self.residual
        known = [k for k, arm in enumerate(arms) if arm.correct is not None]
        self.known = len(known) == len(arms)
        place = np.ix_(known, known)
        tables = [arm.correct for arm in arms if arm.correct is not None]
        self.moment[place] = sum(_products(*rows) for rows in zip(*tables, strict=True)) / self.chips
        self.effect = self.moment - np.outer(self.mean, self.mean)
        if tables and self.chips > 1 and self.images > 1:
            columns = np.array([table.mean(axis=0) for table in tables])
            self.residual[place] = self._rest(self.moment[place], rates[known], columns)
            self.effect[place] = np.cov(columns).reshape(self.effect[place].shape)
            self.effect[place] -= self.residual[place] / self.chips

    def _rest(self, moment: Floats, rates: Floats, columns: Floats) -> Floats:
        """Mean products of what is left of a two-way table without its rows and columns."""
        n, count = self.chips, self.images
        grand = rates.mean(axis=1)
        left = moment + np.outer(grand, grand) - rates @ rates.T / n - columns @ columns.T / count
        found: Floats = left * n * count / ((n - 1) * (count - 1))
        return found

    def contrast(self, weights: ArrayLike) -> Contrast:
        """Return the sum of the mean accuracies with these weights, one an arm."""
        w = np.asarray(weights, float)
        if w.shape != self.mean.shape or not np.abs(w).max() > 0:
            raise InputError(f"weights: give {len(self.mean)} numbers that are not all zero")
        value, middle = float(w @ self.mean), float(w.sum() / 2)
        one = float(min(np.abs(w).sum() / 2, np.abs(w).max()))  # an image that one arm alone gets right
        spread = float(w @ self.moment @ w) - value**2
        seen, more = value - middle, self.images / (self.images + 1)  # half an image at each end of the range
        square = (spread + seen**2) * more + one**2 / (self.images + 1)
        effect, rest = (_positive(float(w @ part @ w)) for part in (self.effect, self.residual))
        effect += seen**2 / self.images  # the one at the far end is wrong in all chips
        return Contrast(
            value,
            middle,
            square,
            total=square - (seen * more) ** 2,
            shared=effect / (effect + rest) if effect + rest else 1.0,
            spread=_positive(float(w @ self.between @ w)),
            chips=self.chips,
            images=self.images,
            images_known=self.known,
        )


def _products(*rows: NDArray[np.bool_] | Floats) -> Floats:
    """Mean products of the answers of several arms on one chip."""
    answers = np.array(rows, float)
    found: Floats = answers @ answers.T / answers.shape[1]
    return found


def _positive(variance: float) -> float:
    return variance if variance > _NOTHING else 0.0


def mean_accuracy(arm: Chips, against: float | None = None) -> Estimate:
    """Mean accuracy of an arm on new chips and new images.

    Parameters
    ----------
    arm : Chips
    against : float, optional
        A true accuracy to test, for example that of guessing.

    Returns
    -------
    estimate : Estimate
        Within 0 and 1; of one chip the interval is Wilson's, and `chips_known` is False.
    """
    return Crossed([arm]).contrast([1]).estimate(against)


def mean_gap(ideal: Chips, device: Chips) -> Estimate:
    """By how much the device is below ideal arithmetic, on new chips and new images.

    Parameters
    ----------
    ideal, device : Chips
        Paired: the k-th chip of both has the same seed.

    Returns
    -------
    estimate : Estimate
        Ideal minus device, within -1 and 1, with the p value of no difference at all.
    """
    return Crossed([ideal, device]).contrast([1, -1]).estimate(0.0)
