"""What a verdict is compared with, in studies of deep, Forward-Forward and mortal networks and in sweeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosim import DeepArm, DeepExperiment, DenseExperiment, ForwardForwardArm, ForwardForwardExperiment
from neurosim.report.page import KINDS
from neurosim.report.verdict import emphasised, verdict
from neurosim.study.controls import Beside, beside, decided
from neurosim.study.deep_spec import Backpropagation
from neurosim.study.statistics import Chips, by_seed, compared, mean_gap
from neurosim.study.store import pack_bits
from neurosim.study.swept import means

PCM, RRAM = "pcm-nandakumar-2018", "rram-hfo2-gong-2018"
SMALL: dict[str, Any] = {"dataset": "digits", "train_images": 120, "test_images": 40}
CELL: dict[str, Any] = {"device": PCM, "rule": "softhebb", "mode": "mixed"}
ARMS = (
    DeepArm(name="ideal"),
    DeepArm(name="same rule", rule="softhebb"),
    DeepArm(name="labels", backpropagation=Backpropagation()),
    DeepArm(name="random", learns=False),
    DeepArm(name="PCM", **CELL),
    DeepArm(name="PCM still", **CELL, learns=False),
    DeepArm(name="HfO2", device=RRAM, rule="softhebb"),
)


def deep(*names: str, **settings: Any) -> DeepExperiment:
    """A study of some of the arms."""
    return DeepExperiment(**SMALL, depth=1, arm=tuple(a for a in ARMS if a.name in names), **settings)


class TestBeside:
    def test_partner_learns_in_the_same_way_or_is_called_ideal_or_is_alone(self) -> None:
        assert beside(deep("ideal", "same rule", "labels", "PCM"), "PCM").ideal == "same rule"
        assert beside(deep("ideal", "labels", "PCM"), "PCM").ideal == "ideal"
        other = DeepArm(name="by another rule", rule="hard-wta")
        assert beside(deep("PCM").with_arms([other, ARMS[4]]), "PCM").ideal == "by another rule"
        two = beside(deep("PCM").with_arms([other, other.changed(name="b"), ARMS[4]]), "PCM")
        assert two == Beside(missing="no arm in ideal arithmetic learns beside it; call one 'ideal'")

    def test_controls_have_the_same_array_and_do_not_learn(self) -> None:
        found = beside(deep("ideal", "random", "PCM", "PCM still"), "PCM")
        assert found == Beside("ideal", "PCM still", "random", "")
        assert found.controls == ("PCM still", "random")
        noisy = DeepArm(name="PCM", **CELL, read={"read_noise": 0.1})
        arms = [arm for arm in ARMS if arm.name in ("ideal", "random", "PCM still")]
        said = beside(deep("PCM").with_arms([*arms, noisy]), "PCM").missing
        assert said == "the control of 'PCM' is missing: the same arm with learns = false"

    def test_a_control_has_the_same_array_in_every_layer(self) -> None:
        on_another = ({}, {"device": RRAM})
        learnt = DeepArm(name="PCM", **CELL, layer=on_another)
        still = DeepArm(name="PCM still", **CELL, learns=False)
        ideals = [arm for arm in ARMS if arm.name in ("ideal", "random")]

        def found(*arms: DeepArm) -> Beside:
            return beside(DeepExperiment(**SMALL, depth=2, arm=(*ideals, *arms)), "PCM")

        assert (
            found(learnt, still).missing
            == "the control of 'PCM' is missing: the same arm with learns = false"
        )
        assert found(learnt.changed(layer=()), still.changed(layer=on_another)).untrained is None
        assert found(learnt, still.changed(layer=on_another)).untrained == "PCM still"
        said_otherwise = ({"device": PCM}, {"device": RRAM, "read": {"adc_bits": 8}})
        assert found(learnt, still.changed(layer=said_otherwise)).untrained == "PCM still"

    def test_missing_controls_are_named(self) -> None:
        assert "control of 'PCM' and of 'ideal' is missing" in beside(deep("ideal", "PCM"), "PCM").missing
        assert beside(deep("ideal", "PCM"), "ideal") == Beside()
        assert beside(deep("ideal", "PCM", "PCM still"), "PCM still") == Beside()


def runs_of(share: dict[str, float], seeds: int = 4, images: int = 400) -> list[dict[str, Any]]:
    """Runs of deep networks with these mean accuracies."""
    found = []
    for place, (arm, mean) in enumerate(share.items()):
        for seed in range(seeds):
            right = np.random.default_rng([place, seed]).random(images) < mean
            head = {"depth": 1, "accuracy": float(right.mean()), "correct": pack_bits(right)}
            found.append({"arm": arm, "seed": seed, "test_size": images, "heads": [head]})
    return found


def test_verdict_is_of_the_four_arms() -> None:
    spec = deep("ideal", "random", "PCM", "PCM still", seeds=4)
    runs = runs_of({"ideal": 0.9, "random": 0.5, "PCM": 0.55, "PCM still": 0.5})
    found = decided(spec, runs, "PCM", 1)
    assert found["compared_with"] == ["ideal", "PCM still", "random"]
    assert found["verdict"]["answer"] == "no"
    means_ = {
        arm: np.mean([r["heads"][0]["accuracy"] for r in runs if r["arm"] == arm])
        for arm in ("ideal", "PCM", "random", "PCM still")
    }
    kept = (means_["PCM"] - means_["PCM still"]) / (means_["ideal"] - means_["random"])
    assert found["accuracy_learning_kept"] == pytest.approx(kept)
    assert found["gap_to_ideal_mean"] == pytest.approx(means_["ideal"] - means_["PCM"])
    assert found["yield"]["share"] == 0
    said = verdict(found)
    assert said.startswith("As good as ideal arithmetic: no.")
    assert "of the learning kept" in said
    without = decided(deep("ideal", "PCM", seeds=4), runs, "PCM", 1)
    assert without["verdict"] is None
    assert without["gap_interval"] == found["gap_interval"], "a gap needs no control"
    assert "No verdict: the control of 'PCM' and of 'ideal' is missing" in verdict(without)


def test_an_arm_that_was_not_carried_out_is_named() -> None:
    spec = deep("ideal", "random", "PCM", "PCM still")
    found = decided(spec, runs_of({"PCM": 0.5, "PCM still": 0.5}), "PCM", 1)
    assert found["missing"] == "'ideal' was not carried out"
    assert found["gap_interval"] is None


def test_forward_forward_has_controls_of_its_own() -> None:
    arms = [
        ForwardForwardArm(name="ideal"),
        ForwardForwardArm(name="a", device=PCM),
        ForwardForwardArm(name="still", device=PCM, learns=False),
        ForwardForwardArm(name="ideal still", learns=False),
    ]
    spec = ForwardForwardExperiment(**SMALL, widths=(8, 4), arm=arms)
    assert beside(spec, "a") == Beside("ideal", "still", "ideal still", "")


def test_chips_of_one_seed_are_one_row() -> None:
    right = np.random.default_rng(0).random((3, 2, 50)) < 0.7
    runs = [
        {"seed": seed, "chip": chip, "accuracy": float(right[seed, chip].mean()), "test_size": 50,
         "correct": {"accuracy": pack_bits(right[seed, chip])}}
        for seed in range(3) for chip in range(2)
    ]  # fmt: skip
    found = by_seed(runs, "accuracy")
    assert found.count == 3
    assert found.correct is not None
    assert np.array_equal(found.correct, right.mean(axis=1))
    assert found.accuracies == pytest.approx(right.mean(axis=(1, 2)))
    one = [run for run in runs if run["chip"] == 0]
    alone, table = by_seed(one, "accuracy"), Chips.of_table(right[:, 0])
    assert mean_gap(alone, found) == mean_gap(table, found), (
        "a table of one chip a seed is that of its answers"
    )
    assert compared(alone)["verdict"] is None


def test_points_of_a_sweep_have_verdicts() -> None:
    spec = DenseExperiment(**SMALL, device=(PCM,), seeds=3)
    rows = []
    for level in (0.0, 0.1):
        for place, (arm, before, after) in enumerate((("ideal", 0.2, 0.9), (PCM, 0.2, 0.9 - 6 * level))):
            for seed in range(3):
                draws = np.random.default_rng([place, seed])
                bits = [draws.random(2000) < share for share in (before, after)]
                rows.append({
                    "read.read_noise": level, "arm": arm, "seed": seed, "accuracy": float(bits[1].mean()), "vote": 0.5,
                    "untrained": float(bits[0].mean()), "untrained_correct": pack_bits(bits[0]), "test_size": 2000,
                    "seconds": 1.0, "correct": pack_bits(bits[1]), "counts": {},
                })  # fmt: skip
    points = means(rows, ["read.read_noise"], spec)
    assert [point["arm"] for point in points] == ["ideal", "ideal", PCM, PCM]
    assert points[0]["verdict"] is None
    assert points[2]["verdict"]["answer"] == "undecided"
    assert points[3]["verdict"]["answer"] == "no"
    assert points[3]["vote_mean"] == 0.5
    assert json.loads(json.dumps(points)) is not None
    results = {
        "points": points, "tolerances": [], "yields": [],
        "axes": [{"field": "read.read_noise", "unit": "", "levels": [0.0, 0.1], "when": "both"}],
    }  # fmt: skip
    first, _ = KINDS["sweep"].findings(results)[0]
    assert first == PCM, "the verdict stands before ideal arithmetic"


def test_a_page_has_text_and_no_markup() -> None:
    said = emphasised("As good as <i>it</i>: no. 5 % <b>.\nMore & more.")
    assert said == (
        "<b>As good as &lt;i&gt;it&lt;/i&gt;: no.</b> 5 % &lt;b&gt;."
        '<span class="more">More &amp; more.</span>'
    )
    assert emphasised("5 % & more.") == "5 % &amp; more."


def test_results_stay_lean(tmp_path: Path) -> None:
    """Flags of images are packed, eight to a byte, and those of a sweep's rows stay in its blocks."""
    from neurosim.study.compare import compare

    found = compare(DenseExperiment(**SMALL, neurons=6, readout_epochs=1, curve_points=0))
    (run,) = found["runs"]
    for kept in (run["correct"], run["untrained"]["correct"]):
        assert {len(text) for text in kept.values()} == {8}, "40 images are 5 bytes, 8 letters"
