"""Tolerated levels, ranked effects, yields and tables from runs: worked examples, closed forms, false alarms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import check_count
from numpy.typing import NDArray
from scipy import stats
from statistics_helpers import drawn, exactly

from neurosim.core.errors import InputError, UnknownNameError
from neurosim.study.statistics import (
    Chips,
    chip_yield,
    chips_of,
    decision,
    holm,
    mean_gap,
    paired,
    ranking,
    tolerance,
)
from neurosim.study.store import pack_bits


class TestTolerance:
    LEVELS = (0.0, 0.1, 0.2, 0.4)

    def of(self, *rights: list[int]):  # type: ignore[no-untyped-def]
        return tolerance(self.LEVELS, [exactly(each, 10_000) for each in rights])

    def test_in_between(self) -> None:
        found = self.of([9000, 9010, 9005], [8990, 9005, 9000], [8890, 8945, 8925], [8000, 8010, 7990])
        assert (found.level, found.low, found.high, found.enough) == (0.2, 0.1, 0.4, True)
        assert found.verdict == "0.2 (95 %: at least 0.1, below 0.4)."

    def test_at_least_the_last_level_tried(self) -> None:
        found = self.of([9000, 9010, 9005], [9000, 9010, 9001], [9000, 9011, 9002], [9002, 9008, 9003])
        assert (found.level, found.low, found.high) == (0.4, 0.4, None)
        assert found.verdict == "At least 0.4, the last level tried."

    def test_none_of_the_levels(self) -> None:
        found = self.of([9000, 9010, 9005], [8000, 8010, 8003], [7000, 7011, 7002], [6002, 6008, 6003])
        assert (found.level, found.low, found.high) == (0.0, 0.0, 0.1)
        assert found.verdict == "None of the levels tried: below 0.1."

    def test_open_above(self) -> None:
        found = self.of([9000, 9010, 9005], [9000, 9010, 9001], [8700, 9300, 8990], [8500, 9300, 8900])
        assert (found.low, found.high, found.enough) == (0.1, None, True)
        assert "these chips cannot tell" in found.verdict

    def test_not_enough_chips(self) -> None:
        wild = [[9500, 9000, 8500], [8500, 9500, 9000], [9000, 8500, 9500], [9500, 8400, 9000]]
        found = self.of(*wild)
        assert (found.low, found.high, found.enough) == (0.0, None, False)
        assert found.verdict.startswith("Not enough chips to say")
        alone = self.of([9000], [8990], [8500], [5000])
        assert (alone.level, alone.low, alone.high, alone.enough) == (0.1, None, None, False)
        assert "one tells nothing" in alone.verdict

    def test_a_level_is_kept_only_if_all_before_it_are(self) -> None:
        found = self.of([9000, 9010, 9005], [8000, 9900, 9000], [9000, 9010, 9001], [8000, 8010, 7990])
        assert (found.low, found.high) == (0.0, 0.4)

    def test_axis_may_fall(self) -> None:
        levels = (8.0, 6.0, 4.0, 2.0)
        rights = ([9000, 9010, 9005], [8990, 9005, 9000], [8890, 8945, 8925], [8000, 8010, 7990])
        found = tolerance(levels, [exactly(each, 10_000) for each in rights])
        assert (found.level, found.low, found.high) == (4.0, 6.0, 2.0)

    def test_share_of_the_learning(self) -> None:
        """Accuracy falls by 1 %, what was learnt by 20 %: 0.99 of the accuracy, not 0.9 of the learning."""
        trained = [exactly(each, 10_000) for each in ([9000, 9010, 9005], [8930, 8940, 8933])]
        before = [exactly([8650, 8660, 8655], 10_000)] * 2
        assert tolerance([0, 1], trained).low == 1
        found = tolerance([0, 1], trained, 0.9, before)
        assert (found.level, found.high) == (0, 1)


class TestRanking:
    def test_holm(self) -> None:
        """Textbook: the smallest times their number, and so on, never falling."""
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
        assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])

    def test_effects_told_apart(self) -> None:
        bare, adc, noise, wires = drawn(8, [0.95, 0.80, 0.93, 0.949], 0.005, 5, 2000)
        found = ranking(bare, {"wires": wires, "noise": noise, "ADC": adc})
        assert [cost.effect for cost in found.costs] == ["ADC", "noise", "wires"]
        assert [cost.told_apart for cost in found.costs] == [True, True, False]
        assert found.enough
        assert found.verdict == "ADC costs most, more than every other. Told apart from zero: ADC, noise."
        assert found.costs[0].lost.value == pytest.approx(bare.accuracies.mean() - adc.accuracies.mean())

    def test_noise_is_not_ranked(self) -> None:
        bare, *rest = drawn(9, [0.8] * 5, 0.1, 3, 360)
        found = ranking(bare, dict(zip("abcd", rest, strict=True)))
        assert not found.enough
        assert found.verdict == "Not enough chips to rank. None is told apart from zero."

    def test_one_chip_ranks_nothing(self) -> None:
        found = ranking(exactly([900], 1000), {"a": exactly([500], 1000), "b": exactly([100], 1000)})
        assert not found.enough
        assert not any(cost.told_apart for cost in found.costs)
        assert "one tells nothing of others" in found.verdict

    def test_false_orders_are_rare(self) -> None:
        """Five equal effects: at least one pair told apart in 5 % of all studies at most."""
        wrong = sum(
            ranking(bare, dict(zip("abcde", rest, strict=True))).enough
            for bare, *rest in (drawn(k, [0.9] * 6, 0.02, 4, 200) for k in range(80))
        )
        assert wrong <= 0.05 * 80 + 3 * math.sqrt(0.05 * 0.95 * 80)


class TestYield:
    @pytest.mark.parametrize("chips", [1, 10, 40])
    def test_all_or_none_in_closed_form(self, chips: int) -> None:
        """Clopper and Pearson: 0.025 ** (1 / n) if all reach it, 1 - 0.025 ** (1 / n) if none does."""
        arm = exactly([900] * chips, 1000)
        good, bad = chip_yield(arm, 0.8), chip_yield(arm, 0.95)
        assert (good.share, good.high, bad.share, bad.low) == (1, 1, 0, 0)
        assert good.low == pytest.approx(0.025 ** (1 / chips))
        assert bad.high == pytest.approx(1 - 0.025 ** (1 / chips))

    def test_chips_near_the_threshold_are_counted(self) -> None:
        found = chip_yield(exactly([900, 955, 945, 990], 1000), 0.95)
        assert (found.share, found.unsure) == (0.5, 2)
        assert "500 reach 95 %" in found.verdict
        assert "2 of them too near" in found.verdict

    def test_interval_holds_the_share(self) -> None:
        draws = np.random.default_rng(10)
        held = 0
        for good in draws.binomial(20, 0.8, 300):
            found = chip_yield(Chips(np.where(np.arange(20) < good, 0.9, 0.1), 100), 0.5)
            held += found.low <= 0.8 <= found.high
        exact = sum(
            float(stats.binom.pmf(k, 20, 0.8))
            for k in range(21)
            if stats.binom.sf(k - 1, 20, 0.8) > 0.025 and stats.binom.cdf(k, 20, 0.8) > 0.025
        )
        check_count(held, 300, exact)


def run(seed: int, right: NDArray[np.bool_], **more: object) -> dict:
    """A run of `compare` with one score."""
    share = float(right.mean())
    return {
        "arm": "x", "seed": seed, "accuracy": share, "test_size": len(right), "correct": {"accuracy": pack_bits(right)},
        "untrained": {"accuracy": 0.3}, **more,
    }  # fmt: skip


class TestRuns:
    RIGHT = np.random.default_rng(11).random((3, 77)) < 0.8

    def test_every_kind_of_run(self) -> None:
        bits = [pack_bits(row) for row in self.RIGHT]
        shares = self.RIGHT.mean(axis=1).tolist()
        plain = [run(seed, row) for seed, row in enumerate(self.RIGHT)]
        deep = [
            {
                "seed": k,
                "accuracy": 0.5,
                "test_size": 77,
                "heads": [{"depth": 2, "accuracy": s, "correct": b}],
            }
            for k, (s, b) in enumerate(zip(shares, bits, strict=True))
        ]
        layers = [
            {
                "seed": k,
                "accuracy": 0.5,
                "test_size": 77,
                "readouts": {"goodness": s},
                "correct": {"goodness": b},
            }
            for k, (s, b) in enumerate(zip(shares, bits, strict=True))
        ]
        for runs, score in ((plain, "accuracy"), (deep, 2), (layers, "goodness")):
            found = chips_of(runs, score)
            assert found.correct is not None
            assert np.array_equal(found.correct, self.RIGHT)
            assert found.accuracies.tolist() == shares
        before = chips_of(plain, "accuracy", untrained=True)
        assert before.correct is None
        assert before.accuracies.tolist() == [0.3] * 3
        bare = [{key: value for key, value in one.items() if key != "correct"} for one in plain]
        assert chips_of(bare, "accuracy").correct is None
        with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
            chips_of(plain, "acuracy")
        with pytest.raises(UnknownNameError, match="depth '3'"):
            chips_of(deep, 3)
        with pytest.raises(InputError, match=r"\[76, 77\] images"):
            chips_of([run(0, self.RIGHT[0]), run(1, self.RIGHT[1, :76])], "accuracy")

    def test_runs_are_paired_by_seed(self) -> None:
        first = [run(seed, self.RIGHT[0]) for seed in (3, 1, 2)]
        second = [run(seed, self.RIGHT[1]) for seed in (2, 3, 5)]
        assert [[one["seed"] for one in runs] for runs in paired(first, second)] == [[3, 2], [3, 2]]
        assert paired(first, []) == [[], []]

    def test_decision_of_a_summary(self) -> None:
        ideal = [run(seed, row) for seed, row in enumerate(self.RIGHT)]
        device = [run(seed, row & (np.arange(77) > 10)) for seed, row in enumerate(self.RIGHT)]
        found = decision("accuracy", device, ideal)
        gap = mean_gap(chips_of(ideal, "accuracy"), chips_of(device, "accuracy"))
        assert found["gap_interval"] == (gap.low, gap.high)
        assert found["gap_p"] == gap.p_value
        assert found["verdict"]["answer"] in ("yes", "less", "no", "undecided")
        assert found["accuracy_learning_kept_interval"] is not None
        alone = decision("accuracy", ideal, [])
        assert alone["accuracy_interval"] is not None
        assert {name for name, value in alone.items() if value is None} == found.keys() - {
            "accuracy_interval"
        }
