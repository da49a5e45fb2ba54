"""What somebody who has never seen `neurosim assess` needs: what would settle it, cautions once, the verdict first, a budget that holds."""

from __future__ import annotations

import json
import math
import re
import time
from typing import Any

import numpy as np
import pytest
from assess_helpers import of_tiny_nets
from helpers import PCM
from typer.testing import CliRunner

import neurosim as ns
from neurosim.cli.app import app
from neurosim.core.cautions import StillWarning
from neurosim.report import assessment
from neurosim.report.settling import rounded, settles
from neurosim.study import assess as module
from neurosim.study import assess_budget
from neurosim.study.assess import RULES, assess
from neurosim.study.assess_budget import Budget, said_beforehand
from neurosim.study.statistics import Chips
from neurosim.study.statistics.learning import Learning
from neurosim.study.statistics.settling import settling

SMALL: dict[str, dict[str, Any]] = {
    "softhebb": {"train_images": 200, "neurons": 12, "epochs": 1, "readout_epochs": 5},
    "forward-forward": {"train_images": 200, "widths": [12, 10], "epochs": 2},
}


@pytest.fixture
def small(monkeypatch):
    """The same questions of tiny nets, with two ways to write each."""
    of_tiny_nets(monkeypatch, SMALL)


def drawn(device: float, chips: int, images: int, ideal: float = 0.9, seed: int = 0) -> Learning:
    """Chips that are right on images by chance alone, paired with ideal arithmetic; 0.1 before learning."""
    draws = np.random.default_rng(seed)
    return Learning(
        *(Chips.of_table(draws.random((chips, images)) < mean) for mean in (device, 0.1, ideal, 0.1))
    )


class TestWhatWouldSettleIt:
    def test_so_many_chips_and_so_many_images_do(self) -> None:
        """The number that is named settles it when chips are drawn anew, a tenth of it does not."""
        learning = drawn(0.9, 6, 400, seed=3)
        assert learning.verdict().answer == "undecided"
        found = settling(learning)
        assert found is not None
        assert found.answer == "yes"
        assert found.images is not None
        answers = {
            share: [
                drawn(0.9, 6, round(share * found.images), seed=seed).verdict().answer for seed in range(8)
            ]
            for share in (0.1, 3.0)
        }
        assert answers[3.0].count("yes") >= 6
        assert answers[0.1].count("yes") <= 2

    def test_of_a_device_that_learns_less_well_it_says_what_would_show_it(self) -> None:
        """A gap of 4 points of 80 that were learnt: it learns, and not as well, which more images show."""
        learning = drawn(0.86, 6, 300, seed=2)
        found = settling(learning)
        assert found is not None
        assert (found.answer, found.images) == ("less", 680)
        said = settles(learning, 300, "digits")
        assert "it would be: no, but it learns." in said
        assert "about 680 test images in place of 300 (--dataset" in said
        assert "digits has 300" in said
        assert "(--test-images 680)" in settles(learning, 680)
        assert drawn(0.86, 6, 1000, seed=2).verdict().answer == "less"
        assert settles(drawn(0.86, 6, 20_000)) == ""

    @pytest.mark.parametrize(
        ("device", "chips", "images", "seed", "answer"),
        [(0.4, 3, 100, 2, "no"), (0.48, 3, 60, 2, "no"), (0.86, 6, 300, 2, "less"), (0.9, 6, 400, 3, "yes")],
    )
    def test_so_many_chips_give_the_answer_that_is_named(
        self, device: float, chips: int, images: int, seed: int, answer: str
    ) -> None:
        """Not the one that comes first: a device below half of the learning is shown early to learn less well."""
        learning = drawn(device, chips, images, seed=seed)
        found = settling(learning)
        assert found is not None
        assert found.answer == answer
        if found.chips is not None:
            assert learning.answer(found.chips) == answer
            assert learning.answer(found.chips - 1) != answer
        else:
            assert answer == "less"

    def test_few_chips_of_ideal_arithmetic_that_does_learn_are_not_called_no_learning(self) -> None:
        """From 70 to 90 %, with three chips that differ much before they learn: more seeds tell, not longer learning."""
        draws = np.random.default_rng(1)
        before = Chips.of_table(draws.random((3, 200)) < np.array([[0.55], [0.70], [0.86]]))
        after = Chips.of_table(draws.random((3, 200)) < 0.9)
        learning = Learning(after, before, after, before)
        found, said = learning.verdict(), settles(learning)
        assert found.answer == "undecided"
        assert "is not told apart from nothing" in found.seen
        assert f"About {found.more_chips} more chips would tell it apart" in found.decides
        assert f"(--seeds {3 + (found.more_chips or 0)})" in said
        assert "does not learn" not in said + found.seen

    def test_where_neither_alone_is_enough_both_are(self) -> None:
        learning = drawn(0.9, 6, 400, seed=2)
        found = settling(learning)
        assert found is not None
        assert (found.chips, found.images) == (None, None)
        said = settles(learning, 400)
        if found.both is None:
            assert "Not even 100 times as many" in said
        else:
            assert f"--seeds {rounded(found.both[0])}" in said

    def test_the_width_and_the_distance_are_said_and_computed(self) -> None:
        learning = drawn(0.9, 6, 400, seed=3)
        found = settling(learning)
        assert found is not None
        bar = {each.name: each for each in found.bars}["gap"]
        _, high = learning.gap.interval()
        assert bar.away == pytest.approx(0.01 - learning.gap.value)
        assert bar.reaches == pytest.approx(high - learning.gap.value)
        said = settles(learning)
        assert f"{100 * bar.away:.1f} points away from the limit of 1" in said
        assert f"its 95 % interval extends {100 * bar.reaches:.1f} points in that direction" in said
        assert f"--seeds {found.chips}" in said  # 14: two digits

    def test_what_is_decided_needs_nothing_and_one_chip_others(self) -> None:
        assert settles(drawn(0.3, 8, 2000)) == ""
        assert "One chip" in settles(drawn(0.9, 1, 400))
        assert "does not learn here" in settles(drawn(0.1, 4, 100, ideal=0.1))


def test_the_page_says_what_would_settle_it_and_has_the_verdict_once(small, tmp_path) -> None:
    images = {"dataset": "digits", "train_images": 160, "test_images": 40}
    found = assess(PCM, tmp_path, seeds=2, minutes=1e-9, images=images)
    spec = ns.DenseExperiment.from_toml(tmp_path / "softhebb.toml")
    assert (spec.train_images, spec.test_images) == (160, 40)
    page = assessment.write_assessment(tmp_path, found).read_text(encoding="utf-8")
    page = re.sub(r"</?code[^>]*>", "", page)
    title, _ = assessment.headline(found)
    body = page.partition("<body>")[2]
    assert body.count("Learns on") == body.count(title) == 1
    if title.endswith("undecided"):
        assert assessment.to_settle(found)
    for name, said in assessment.to_settle(found):
        assert f"{name}</b>: {said}".replace(" ", "").replace("\xa0", "") in page.replace(" ", "").replace(
            "\xa0", ""
        )
        assert "297" in said or "--seeds" in said or "learn" in said


def test_options_of_images_are_those_of_other_commands_with_their_defaults(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    said = " ".join(
        re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", " ", CliRunner().invoke(app, ["assess", "--help"]).output).split()
    )
    for option, default in {
        "--dataset": "digits", "--seeds": "5", "--train-images": "(all)", "--test-images": "(all)", "--minutes": "10.0",
    }.items():  # fmt: skip
        after = said.partition(f"{option} ")[2].partition(" --")[0]
        assert f"[default: {default}]" in after, option


@pytest.mark.filterwarnings("always::neurosim.core.cautions.Caution")
def test_cautions_stand_on_the_page_also_when_nothing_is_left_to_do(small, tmp_path) -> None:
    card = "rram-hfo2-om-2022"  # no law of time: a year alone is warned of
    with pytest.warns(StillWarning):
        assess(card, tmp_path, seeds=2, minutes=1e-9)
    again = assess(card, tmp_path, seeds=2, minutes=1e-9)
    page = assessment.write_assessment(tmp_path, again).read_text(encoding="utf-8")
    listed = page.partition('id="cautions"')[2].partition("</ul>")[0]
    assert listed.count("<b>StillWarning</b>") == 1
    assert "device, seeds 0, 1" in listed


def test_the_verdict_is_first_of_what_is_printed_and_progress_is_short(small, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["assess", PCM, "--out", "o", "--seeds", "2", "--minutes", "0.1"])
    assert done.exit_code == 0, done.output
    said = [line for line in done.stdout.splitlines() if line.strip()]
    verdict = next(k for k, line in enumerate(said) if line.startswith("Learns on"))
    assert verdict <= 3
    assert done.stdout.count("Learns on") == 1
    progress = [line for line in done.stderr.splitlines() if " runs)" in line]
    assert len(progress) == 4  # a line for each study, not for each run
    assert json.loads((tmp_path / "o" / "assess.json").read_text())["dataset"] == "digits"


class TestBudget:
    def test_what_cannot_hold_is_said_beforehand_with_the_least(self, small, tmp_path) -> None:
        said: list[str] = []
        assess(PCM, tmp_path, seeds=3, minutes=0.1, say=said.append)
        (line,) = said
        assert "--minutes 0.1 cannot hold" in line
        assert re.search(r"--minutes \d[\d.]* at least", line)
        assert "with --seeds 2 it takes" in line
        again: list[str] = []
        assess(PCM, tmp_path, seeds=3, minutes=100.0, say=again.append)
        assert "cannot hold" not in again[0]
        assert "whether rules learn" not in again[0]  # finished: it takes nothing
        assert "which effects cost most" in again[0]

    def test_the_least_is_the_estimate_with_what_is_spent_and_the_pages(self) -> None:
        budget = Budget(1.0, time.monotonic() - 30)
        seconds = {"learning": 90.0, "effects": 20.0, "requirements": 0.0}
        said = said_beforehand(budget, seconds, 5, 30.0, drawn=True)
        least = math.ceil((30 + 90 + assess_budget.PAGE_S) / 6) / 10
        assert f"--minutes {least:g} at least" in said
        assert "with --seeds 2 --draws 0 it takes" in said
        assert "cannot hold" not in said_beforehand(Budget(10.0, time.monotonic()), seconds, 5, None)

    def test_a_part_is_stopped_when_it_is_over_and_goes_on_later(self, small, tmp_path, monkeypatch) -> None:
        """However wrong the estimate was: here it says that nothing takes any time."""
        monkeypatch.setattr(Budget, "fits", lambda self, seconds: True)
        found = assess(PCM, tmp_path, seeds=2, minutes=1e-9)
        assert "stopped when --minutes" in found.parts["effects"].left_out
        blocks = len(list((tmp_path / "effects" / "blocks").glob("*.json")))
        assert blocks == 1
        monkeypatch.undo()

    def test_an_estimate_is_not_far_off(self, small, tmp_path) -> None:
        """Within a factor of five on a machine that does other things meanwhile; compiled beforehand."""
        times = module.RunTimes()
        spec = module._experiment(RULES["softhebb"], PCM, (), {}, 2).changed(epochs=5)
        assess(PCM, tmp_path / "warm", seeds=2, minutes=1e-9)
        expected = times.of_study(spec, spec.data())
        begun = time.perf_counter()
        module.study(spec, None)
        assert 0.2 < (time.perf_counter() - begun) / expected < 5
