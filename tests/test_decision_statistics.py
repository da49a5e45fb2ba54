"""From few chips and many images to all of them: against plain formulas, closed forms and simulated studies."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statistics_helpers import drawn, exactly

from benchmarks.decision_coverage import cell, kept_cell, level_cell
from neurosim.core.errors import InputError
from neurosim.study.statistics import (
    Chips,
    Crossed,
    learning_kept,
    mcnemar,
    mean_accuracy,
    mean_gap,
    ranking,
    tolerance,
    verdict,
    wilson,
)
from neurosim.study.statistics.crossed import Contrast
from neurosim.study.statistics.learning import Learning

Z = float(stats.norm.ppf(0.975))


def mean_squares(x: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean squares of rows, columns and the rest of a two-way table, term by term."""
    n, count = x.shape
    rows, columns, mean = x.mean(axis=1), x.mean(axis=0), x.mean()
    rest = x - rows[:, None] - columns[None, :] + mean
    return (
        count * float(((rows - mean) ** 2).sum()) / (n - 1),
        n * float(((columns - mean) ** 2).sum()) / (count - 1),
        float((rest**2).sum()) / ((n - 1) * (count - 1)),
    )


class TestCrossed:
    @pytest.mark.parametrize("weights", [[1, 0, 0], [1, -1, 0], [1, -0.5, -0.5]])
    def test_parts_are_those_of_the_two_way_table(self, weights: list[float]) -> None:
        arms = drawn(1, [0.8, 0.7, 0.75], 0.15, 4, 300)
        found = Crossed(arms).contrast(weights)
        x = sum(w * arm.correct for w, arm in zip(weights, arms, strict=True) if arm.correct is not None)
        rows, columns, rest = mean_squares(x)
        assert min(rows, columns) > rest  # else the parts would be cut at zero
        assert found.value == pytest.approx(x.mean())
        assert found.spread == pytest.approx(rows / 300)
        image = (columns - rest) / 4 + (
            found.value - found.middle
        ) ** 2 / 300  # half an image more at each end
        assert found.shared == pytest.approx(image / (image + rest))
        assert found.total == pytest.approx(x.var(), rel=0.04)

    def test_variance_of_the_mean_is_that_of_anova(self) -> None:
        """(MS chips + MS images - MS rest) / (n N), where the mean squares are far from the bounds."""
        (arm,) = drawn(2, [0.6], 0.05, 6, 4000)
        found = Crossed([arm]).contrast([1])
        rows, columns, rest = mean_squares(np.asarray(arm.correct, float))
        of_images, of_rest, of_chips = found.variances()
        assert of_images + of_chips == pytest.approx((rows + columns - rest) / (6 * 4000), rel=0.01)
        assert of_rest == pytest.approx(rest / (6 * 4000), rel=0.01)

    @pytest.mark.parametrize("right", [0, 3, 50, 99, 100])
    def test_one_chip_has_wilsons_interval_and_says_so(self, right: int) -> None:
        found = mean_accuracy(exactly([right], 100))
        assert (found.low, found.high) == pytest.approx(wilson(right / 100, 100))
        assert not found.chips_known

    @pytest.mark.parametrize("chips", [1, 2, 5])
    def test_chips_that_are_always_right_have_the_interval_of_one(self, chips: int) -> None:
        found = mean_accuracy(exactly([100] * chips, 100))
        assert (found.low, found.high) == pytest.approx(wilson(1.0, 100))

    def test_arms_without_a_difference_are_not_taken_for_certainty(self) -> None:
        """Half an image more for each side (Agresti and Min): half a width of about 1.96 / (N + 1/2)."""
        arm = exactly([80, 70, 90], 100)
        found = mean_gap(arm, arm)
        assert found.low == pytest.approx(-found.high)
        assert found.high == pytest.approx(Z / 100.5, rel=0.03)
        assert found.p_value == 1.0

    @pytest.mark.parametrize("chips", [1, 2, 3, 8])
    @pytest.mark.parametrize("weights", [[1, 0], [1, -1]])
    def test_p_is_five_per_cent_at_both_ends_and_ends_keep_the_bounds(
        self, chips: int, weights: list[float]
    ) -> None:
        for seed, mean in enumerate((0.03, 0.5, 0.97)):
            found = Crossed(drawn(seed, [mean, 0.5], 0.02, chips, 50)).contrast(weights)
            low, high = found.interval()
            assert min(0.0, weights[1]) <= low <= found.value <= high <= 1
            for end in {low, high} - {found.value}:
                assert found.p_value(end) == pytest.approx(0.05, abs=1e-6)
            assert found.p_value(found.value) == 1.0

    @pytest.mark.parametrize("chips", [2, 3, 5, 10, 20])
    @pytest.mark.parametrize("level", [0.05, 0.001])
    def test_covers_whatever_belongs_to_chips_and_images(self, chips: int, level: float) -> None:
        """The variance of the chips is seen as a chi-square with n - 1 degrees of freedom, those of the images are
        known: the probability of a p value below the level is an integral over it. It is the level where chips are
        all, and never more; where chips add nothing to their images it is a quarter of it with three chips."""
        logs, step = np.linspace(-14, math.log(stats.chi.isf(1e-12, chips - 1)), 400, retstep=True)
        root = np.exp(logs)
        seen, weight = root**2 / (chips - 1), stats.chi.pdf(root, chips - 1) * root * step
        single, images = 1e-6, 10**9

        def wrong(shared: float, more: float) -> float:
            rest = (1 - shared) * single
            spread = rest + more * single
            parts = (
                Contrast(0, 0, 1, single * images, shared, spread * each, chips, images, True)
                for each in seen
            )
            reach = np.array([part.reach(level) for part in parts])
            true = shared * single + spread / chips
            return float(weight @ (2 * stats.norm.sf(np.sqrt(reach / true)))) / level

        for shared in (0.0, 0.3, 0.9):
            for more in (0.0, 0.5, 3.0, 30.0):
                assert wrong(shared, more) <= 1.005
        assert wrong(0.0, 1e5) == pytest.approx(1.0, abs=0.02)
        if level == 0.05:
            assert wrong(0.0, 0.0) >= {2: 0.14, 3: 0.24, 5: 0.4, 10: 0.55, 20: 0.65}[chips]

    def test_chips_that_agree_by_chance_know_no_more_of_the_images(self) -> None:
        """Two chips with 80 of 100 each, not the same ones: the normal interval of what the images alone leave open."""
        found = Crossed([exactly([80, 80], 100, shift=37)]).contrast([1])
        of_images, of_rest, of_chips = found.variances()
        assert of_rest > 0
        assert of_chips == 0
        assert found.reach() == pytest.approx(Z**2 * (of_images + of_rest))

    def test_means_alone_take_the_images_part_as_large_as_it_can_be(self) -> None:
        """Independent arms, each wrong on the same images in every chip: variance p (1 - p) / N each."""
        shares = np.array([0.9, 0.8, 0.85])
        found = Crossed([Chips(shares, 400), Chips(shares - 0.1, 400)]).contrast([1, -1])
        assert not found.images_known
        of_images, of_rest, of_chips = found.variances()
        assert of_images == pytest.approx((0.85 * 0.15 + 0.75 * 0.25) / 400, rel=0.02)
        assert (of_rest, of_chips) == (0, pytest.approx(0, abs=1e-12))
        for seed in range(5):
            arms = drawn(seed, [0.9, 0.85], 0.02, 3, 360)
            bare = [Chips(arm.accuracies, arm.images) for arm in arms]
            assert mean_gap(*bare).value == pytest.approx(mean_gap(*arms).value)
            known, bound = (Crossed(some).contrast([1, -1]).variances()[0] for some in (arms, bare))
            assert known < bound

    def test_same_table_same_bits_whatever_the_order_of_chips(self) -> None:
        arms = drawn(3, [0.9, 0.8], 0.02, 4, 200)
        turned = [Chips.of_table(arm.correct[::-1]) for arm in arms if arm.correct is not None]
        assert mean_gap(*arms) == mean_gap(*arms)
        assert mean_gap(*turned).low == pytest.approx(mean_gap(*arms).low, rel=1e-12)

    def test_two_chips_that_split_118_to_21_say_little_of_others(self) -> None:
        """McNemar's test of these chips is sure, and the gap of all chips is not."""
        ideal, device = exactly([9500, 9500], 10_000), exactly([9598, 9306], 10_000)
        assert ideal.correct is not None
        assert device.correct is not None
        assert mcnemar(ideal.correct[1], device.correct[1])["p_value"] < 1e-9
        found = mean_gap(ideal, device)
        assert found.p_value is not None
        assert found.p_value > 0.5

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda: Chips(np.array([]), 10), "one chip"),
            (lambda: Chips(np.array([1.2]), 10), "from 0 to 1"),
            (lambda: Chips(np.array([0.5]), 0), "one image"),
            (lambda: Chips(np.array([0.5]), 10, np.ones((1, 9), bool)), "10 images"),
            (lambda: Chips.of_table([[0, 1]]), "boolean"),
            (
                lambda: Crossed([exactly([1], 2), exactly([1, 1], 2)]),
                "1 chips with 2 images, 2 chips with 2 images",
            ),
            (lambda: Crossed([]), "none"),
            (lambda: Crossed([exactly([1], 2)]).contrast([0]), "not all zero"),
            (lambda: Crossed([exactly([1], 2)]).contrast([1, 1]), "1 numbers"),
            (lambda: tolerance([0.0], [exactly([1], 2)]), "two or more"),
            (lambda: ranking(exactly([1], 2), {}), "at least one"),
        ],
    )
    def test_wrong_input_is_refused(self, make, said: str) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(InputError, match=said):
            make()


class TestSimulatedStudies:
    """Populations of chips and images whose means are known; the bounds are those of the docs, with room for chance."""

    @pytest.mark.parametrize(
        ("chips", "images", "mean", "spread"),
        [(3, 360, 0.9, 0.02), (5, 100, 0.9, 0.02), (10, 360, 0.5, 0.05)],
    )
    def test_intervals_hold_the_truth(self, chips: int, images: int, mean: float, spread: float) -> None:
        found = cell(chips, images, mean, spread, 400, 0)
        for what in ("accuracy", "gap"):
            assert 0.92 <= found[what]["crossed"]["covered"] / 400 <= 0.99, what

    def test_students_interval_over_seeds_misses_new_images(self) -> None:
        """What the crossed interval is for: with 20 equal chips and 100 images the seeds say nothing of the images."""
        found = cell(20, 100, 0.9, 0.0, 200, 0)["accuracy"]
        assert found["crossed"]["covered"] >= 180
        assert found["student over seeds"]["covered"] < 120

    def test_learning_kept(self) -> None:
        found = kept_cell(5, 360, 0.9, 0.02, 150)
        assert found["all tables"] / 150 >= 0.9
        assert found["untrained means alone"] / 150 >= 0.93
        assert found["no"] == 0

    def test_tolerated_level(self) -> None:
        found = level_cell(5, 360, 0.005, 300)
        assert found["low_wrong"] <= 0.025 * 300 + 3 * math.sqrt(0.025 * 300)
        assert found["high_wrong"] <= 0.025 * 300 + 3 * math.sqrt(0.025 * 300)
        assert found["enough"] > 250


class TestLearning:
    def test_share_and_interval_are_fiellers(self) -> None:
        """Every share is refuted whose contrast is told apart from zero; the ends have p = 0.05."""
        device, bare_device, ideal, bare_ideal = drawn(4, [0.84, 0.3, 0.9, 0.3], 0.01, 4, 2000)
        found = learning_kept(device, bare_device, ideal, bare_ideal)
        gain = [float(arm.accuracies.mean()) for arm in (device, bare_device, ideal, bare_ideal)]
        assert found.share == pytest.approx((gain[0] - gain[1]) / (gain[2] - gain[3]))
        assert found.interval is not None
        learning = Learning(device, bare_device, ideal, bare_ideal)
        for end in found.interval:
            assert learning.beyond(end).p_value() == pytest.approx(0.05, abs=1e-4)
        about = math.sqrt(learning.beyond(found.share or 0).reach()) / (gain[2] - gain[3])
        assert found.interval[1] - found.interval[0] == pytest.approx(2 * about, rel=0.05)

    def test_no_share_where_ideal_arithmetic_learns_nothing(self) -> None:
        device, bare, ideal, also = drawn(5, [0.3, 0.3, 0.3, 0.3], 0.01, 3, 100)
        assert learning_kept(device, bare, ideal, also).interval is None
        seen = verdict(device, bare, ideal, also).seen
        assert "does not learn here" in seen or "not told apart from nothing" in seen

    def test_untrained_means_alone_are_said(self) -> None:
        device, bare, ideal, also = drawn(6, [0.88, 0.3, 0.9, 0.3], 0.01, 4, 500)
        whole = learning_kept(device, bare, ideal, also)
        alone = learning_kept(device, Chips(bare.accuracies, 500), ideal, Chips(also.accuracies, 500))
        assert whole.images_known
        assert not alone.images_known
        assert whole.interval is not None
        assert alone.interval is not None
        assert alone.interval[0] < whole.interval[0] < whole.interval[1] < alone.interval[1]


class TestVerdict:
    def of(self, device: float, chips: int, images: int = 10_000, spread: float = 0.003, ideal: float = 0.9):  # type: ignore[no-untyped-def]
        return verdict(*drawn(7, [device, 0.3, ideal, 0.3], spread, chips, images))

    def test_yes_and_no(self) -> None:
        assert self.of(0.9, 8).answer == "yes"
        assert self.of(0.5, 8).answer == "no"
        assert self.of(0.9, 8).more_chips is None

    def test_one_chip_decides_nothing(self) -> None:
        for device in (0.9, 0.4):
            found = self.of(device, 1)
            assert found.answer == "undecided"
            assert "One chip tells nothing of others" in found.decides

    def test_a_device_that_learns_and_is_shown_not_to_learn_as_well_is_less(self) -> None:
        """By the share of the learning, or by the gap alone; one that is not shown to learn is not, nor one as good."""
        for device in (0.72, 0.87):
            found = self.of(device, 8)
            assert (found.answer, found.decides, found.more_chips) == ("less", "", None)
        assert self.of(0.3, 8).answer == "no"
        assert self.of(0.62, 8, images=60, spread=0.25).answer == "undecided"

    def test_a_device_as_good_is_called_less_in_one_study_of_twenty_at_most(self) -> None:
        """At the corner of both bars: a gap of a point, and nine tenths of ten points kept."""
        answers = [verdict(*drawn(seed, [0.89, 0.8, 0.9, 0.8], 0.01, 4, 1000)).answer for seed in range(400)]
        assert answers.count("less") <= 400 * 0.05 + 2 * math.sqrt(400 * 0.05 * 0.95)
        assert answers.count("yes") <= 400 * 0.025 + 2 * math.sqrt(400 * 0.025 * 0.975)
        assert answers.count("no") == 0

    def test_about_so_many_more_chips_do_decide(self) -> None:
        """Gaps of 60, -40 and 40 images in 10,000: mean 0.2 points, spread 0.53, of so many chips +- t 0.53 / sqrt(n)."""
        ideal, before = exactly([9000, 9010, 9020], 10_000), exactly([3000] * 3, 10_000)
        device = exactly([8940, 9050, 8980], 10_000)
        found = verdict(device, before, ideal, before)
        assert found.answer == "undecided"
        assert found.more_chips is not None
        assert f"About {found.more_chips} more chips" in found.decides

        def high(chips: int) -> float:
            return 20 + float(stats.t.ppf(0.975, chips - 1)) * np.std([60, -40, 40], ddof=1) / math.sqrt(
                chips
            )

        assert high(3 + found.more_chips) < 100 < high(2 + found.more_chips)

    def test_where_only_images_can_help_it_is_said(self) -> None:
        """One image only ideal arithmetic gets right, one only the device, in all chips: 0 +- 1.96 sqrt(2) / 250."""
        ideal, before = exactly([225] * 4, 250), exactly([75] * 4, 250)
        assert ideal.correct is not None
        device = Chips.of_table(np.roll(ideal.correct, 1, axis=1))
        found = verdict(device, before, ideal, before)
        assert (found.answer, found.more_chips) == ("undecided", None)
        assert "take more test images" in found.decides


def test_more_chips_make_every_interval_narrower() -> None:
    arms = drawn(12, [0.9, 0.88], 0.02, 3, 1000)
    found = Crossed(arms).contrast([1, -1])
    widths = [high - low for low, high in (found.interval(chips) for chips in (3, 4, 6, 10, 100, 1000))]
    assert all(wide > narrow for wide, narrow in pairwise(widths))
    assert widths[0] == pytest.approx(np.diff(found.interval())[0])
