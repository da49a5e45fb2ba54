"""What studies keep and what they look at: kept runs know their code and are checked, looking changes no bit."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from own_law_helpers import write_own_law

from neurosim import (
    Crossbar,
    DeepArm,
    DeepExperiment,
    DenseExperiment,
    ForwardForwardArm,
    ForwardForwardExperiment,
    Wires,
)
from neurosim.core.errors import CheckpointError
from neurosim.data import load as load_images
from neurosim.study import dense as study
from neurosim.study.code import own_code
from neurosim.study.compare import compare
from neurosim.study.deep import DeepTraining
from neurosim.study.dense import DenseTraining
from neurosim.study.evaluate import looking
from neurosim.study.forward_forward import ForwardForwardTraining
from neurosim.study.mortal import ChipTraining
from neurosim.study.run import run_with_checkpoints
from neurosim.study.store import UncheckedWarning, digest, read_kept, write_kept
from neurosim.study.swept import sweep
from neurosim.study.validate import train_once

PCM = "pcm-nandakumar-2018"
TINY: dict[str, Any] = {
    "dataset": "digits", "neurons": 10, "train_images": 120, "test_images": 40, "readout_epochs": 1,
    "curve_points": 0, "mode": "mixed",
}  # fmt: skip
CASES: list[dict[str, Any]] = [
    {},
    {"wires": {"r_word_ohm": 20.0, "r_bit_ohm": 20.0, "every": 5}},
    {"faults": {"dead_columns": 0.1, "spare_columns": 2, "placement": "aware"}},
    {"backend": "torch"},
    {"mode": "online"},
]


@pytest.fixture
def own_card(tmp_path: Path) -> Path:
    return write_own_law(tmp_path)


def edit_law(card: Path) -> None:
    law = card.with_name("knee.py")
    edited = law.read_text(encoding="utf-8").replace("np.float32(1) -", "np.float32(0.3) -")
    assert edited != law.read_text(encoding="utf-8")
    law.write_text(edited, encoding="utf-8")


class TestLookingChangesNoBit:
    @pytest.mark.parametrize("changes", CASES, ids=str)
    def test_whatever_curve_a_layer_is_asked_for(self, changes: dict[str, Any]) -> None:
        found = []
        for points in (0, 1, 5):
            spec = DenseExperiment.parse({**TINY, "device": [PCM], **changes, "curve_points": points}, "test")
            training = DenseTraining(spec, spec.device_arms()[0], 0, spec.data())
            training.run()
            assert bool(training.curve) == bool(points)
            learnt, result = digest(training.layer.snapshot()), training.result()
            scores = [result[name] for name in ("accuracy", "accuracy_triangle", "vote", "energy", "correct")]
            found.append((learnt, scores, result.get("wires")))
        assert found[0] == found[1] == found[2]

    @pytest.mark.parametrize("images", [1, 7, 100])
    @pytest.mark.parametrize("kind", [ForwardForwardTraining, ChipTraining])
    def test_on_however_many_images_forward_forward_is_followed(self, kind: Any, images: int) -> None:
        """Against one that never looks at all."""
        arm = ForwardForwardArm(name="cell", device=PCM, mode="mixed")
        spec = ForwardForwardExperiment(
            dataset="digits", train_images=120, test_images=40, widths=(16, 12), epochs=2, batch=20,
            curve_images=images, arm=(arm,),
        )  # fmt: skip
        data = load_images("digits").subset(120, 40)

        class Blind(kind):  # type: ignore[misc]
            def _point(self) -> dict[str, Any]:
                return {}

        seeing, blind = kind(spec, arm, 0, data), Blind(spec, arm, 0, data)
        seeing.run()
        blind.run()
        assert digest(seeing.snapshot()) == digest(blind.snapshot())
        assert "softmax" in seeing.curve[-1]

    def test_whichever_heads_a_deep_network_gets(self) -> None:
        arm = DeepArm(name="cell", device=PCM, rule="softhebb", mode="mixed")
        data = load_images("digits").subset(120, 40)
        found = []
        for heads in (None, (1,)):
            spec = DeepExperiment(
                dataset="digits", train_images=120, test_images=40, width=1.0, depth=2, head_epochs=1,
                heads=heads, arm=(arm,), batch=20,
            )  # fmt: skip
            training = DeepTraining(spec, arm, 0, data)
            training.run(lambda done, total: None)
            learnt = digest(training.snapshot())
            found.append((learnt, training.result()["heads"][0]))
        assert found[0] == found[1]

    def test_pictures_a_report_and_checkpoints_of_a_run(self, tmp_path: Path) -> None:
        spec = DenseExperiment.parse({**TINY, "device": [PCM], "curve_points": 2}, "test")
        bare = run_with_checkpoints(spec, None, _made(tmp_path / "a"))
        told = run_with_checkpoints(spec, None, _made(tmp_path / "b"), 0.0, lambda *_: None)
        drawn = compare(spec, tmp_path / "c", lambda *_: None)["runs"][1]
        assert bare["weights_sha256"] == told["weights_sha256"]
        for name in ("accuracy", "vote", "correct", "energy", "curve", "norm_mean"):
            assert bare[name] == told[name] == drawn[name], name

    def test_an_array_that_was_looked_at_reads_on_with_the_same_noise(self) -> None:
        x = np.random.default_rng(0).random((5, 12), np.float32)
        seen, unseen = (
            Crossbar((12, 6), PCM, seed=3, wires=Wires(r_word_ohm=10.0, r_bit_ohm=10.0)) for _ in range(2)
        )
        for array in (seen, unseen):
            array.program(np.full((12, 6), 0.1), w_max=1.0)
        with looking(seen):
            looked = seen.forward(x)
            seen.forward(np.tile(x, (9, 1)))
        assert seen.ledger == unseen.ledger
        np.testing.assert_array_equal(seen.forward(x), unseen.forward(x))
        assert not np.array_equal(looked, unseen.forward(x)), "reads are noisy"


class TestOwnCodeIsPartOfARun:
    def test_an_edited_law_is_trained_again(self, own_card: Path, tmp_path: Path) -> None:
        spec = DenseExperiment.parse({**TINY, "device": [str(own_card)]}, "test")
        first = compare(spec, tmp_path / "out")
        again = compare(spec, tmp_path / "out")
        assert again["runs"] == first["runs"], "what is kept is not computed again"
        edit_law(own_card)
        edited, fresh = compare(spec, tmp_path / "out"), compare(spec, tmp_path / "fresh")
        for name in ("accuracy", "vote", "untrained", "norm_mean", "energy"):
            assert edited["runs"][1][name] == fresh["runs"][1][name], name
        assert edited["runs"][1]["norm_mean"] != first["runs"][1]["norm_mean"]
        assert edited["runs"][0] == first["runs"][0], "ideal arithmetic knows nothing of it"

    def test_in_every_study_that_keeps_runs(self, own_card: Path) -> None:
        data, card = load_images("digits").subset(120, 40), str(own_card)
        dense = DenseExperiment.parse({**TINY, "device": [card]}, "test")
        deep_arm = DeepArm(name="a", device=card, rule="softhebb")
        deep = DeepExperiment(dataset="digits", width=1.0, depth=1, arm=(deep_arm,))
        ff_arm = ForwardForwardArm(name="a", device=card)
        ff = ForwardForwardExperiment(dataset="digits", widths=(8,), arm=(ff_arm,))

        def identities() -> list[str]:
            return [
                DenseTraining(dense, dense.device_arms()[0], 0, data).identity,
                DeepTraining(deep, deep_arm, 0, data).identity,
                ForwardForwardTraining(ff, ff_arm, 0, data).identity,
                ChipTraining(ff, ff_arm, 0, data).identity,
            ]

        before = identities()
        assert identities() == before
        edit_law(own_card)
        assert not set(before) & set(identities())

    def test_wires_and_validate_train_again_too(self, own_card: Path, tmp_path: Path) -> None:
        spec = DenseExperiment.parse({**TINY, "device": [str(own_card)]}, "test")
        for _ in range(2):
            sweep(spec, tmp_path / "wires", ["wires.ohm=0@learning", "wires.ohm=5@reading"])
            _made(tmp_path / "validate" / "runs")
            train_once(spec, spec.device_arms()[0], 0, tmp_path / "validate")
            edit_law(own_card) if _ == 0 else None
        assert len(list((tmp_path / "validate" / "runs").iterdir())) == 2
        again = sweep(spec, tmp_path / "wires", ["wires.ohm=0@learning", "wires.ohm=5@reading"])
        own = [row["block"] for row in again["rows"]]
        kept = {path.stem for path in (tmp_path / "wires" / "blocks").iterdir()}
        assert len(kept) == 3, "ideal arithmetic once, the device with each law"
        assert set(own) < kept

    def test_validate_asks_again_where_it_evaluates_otherwise(self, tmp_path: Path) -> None:
        spec = DenseExperiment.parse({**TINY, "device": [PCM]}, "test")
        _made(tmp_path / "runs")
        whole, fewer, known = (
            train_once(each, each.device_arms()[0], 0, tmp_path)
            for each in (spec, spec.changed(test_images=20), spec)
        )
        assert (whole["test_size"], fewer["test_size"]) == (spec.test_images, 20)
        assert known == whole
        longer = spec.changed(readout_epochs=5)
        train_once(longer, longer.device_arms()[0], 0, tmp_path)
        assert len(list((tmp_path / "runs").iterdir())) == 3

    def test_code_is_that_of_the_user_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A rule in a package of the user's counts with what it imports beside it; neurosim's do not."""
        spec = DenseExperiment.parse({**TINY, "device": [PCM]}, "test")
        assert own_code(spec.build_rule(), None) == []
        (tmp_path / "my_rules.py").write_text(
            "import numpy\nfrom my_numbers import RATE\nfrom neurosim.rules.softhebb import SoftHebb\n"
            "class Mine(SoftHebb):\n    name = 'mine'\n"
        )
        (tmp_path / "my_numbers.py").write_text("RATE = 1.0\n")
        monkeypatch.syspath_prepend(tmp_path)
        import my_rules

        assert len(own_code(my_rules.Mine)) == 1, "a number has no module of its own"
        (tmp_path / "my_rules.py").write_text("RATE = 3.0\n")
        assert own_code(my_rules.Mine) != []


class TestUntrainedScores:
    def test_arms_that_start_alike_share_them_and_others_do_not(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arms: list[dict[str, Any]] = [
            {"name": "one", "device": PCM},
            {"name": "the same", "device": PCM, "mode": "accumulate"},
            {"name": "other read noise", "device": PCM, "read": {"read_noise": 0.2}},
            {"name": "open", "device": PCM, "write": {"programming": {"mode": "open"}}},
            {"name": "separate", "device": PCM, "write": {"pair": "separate"}},
            {"name": "wide", "device": PCM, "window": 3.0},
        ]
        spec = DenseExperiment.parse({**TINY, "arm": arms}, "test")
        monkeypatch.setattr(study, "_untrained", {})
        together = compare(spec, ideal=False)["runs"]
        assert len(study._untrained) == len(arms) - 1
        for arm, run in zip(spec.device_arms(), together, strict=True):
            monkeypatch.setattr(study, "_untrained", {})
            alone = spec.run(arm, 0, spec.data(), None, None)
            for name in ("untrained", "accuracy", "vote", "norm_mean", "energy"):
                assert run[name] == alone[name], (arm.name, name)

    def test_of_two_versions_of_a_law(self, own_card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = DenseExperiment.parse({**TINY, "device": [str(own_card)]}, "test")
        monkeypatch.setattr(study, "_untrained", {})
        compare(spec, ideal=False)
        edit_law(own_card)
        compare(spec, ideal=False)
        assert len(study._untrained) == 2

    @pytest.mark.parametrize("changes", [CASES[1]], ids=["wires"])
    def test_known_or_not_they_change_no_bit(
        self, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With wires, what an array remembers of its last look differed."""
        spec = DenseExperiment.parse({**TINY, "device": [PCM], **changes}, "test")
        monkeypatch.setattr(study, "_untrained", {})
        found = []
        for _ in range(2):
            training = DenseTraining(spec, spec.device_arms()[0], 0, spec.data())
            study.untrained_scores(training)
            training.run()
            found.append(digest(training.layer.snapshot()))
        assert found[0] == found[1]


class TestKeptResults:
    SPEC = DenseExperiment.parse({**TINY, "device": [PCM]}, "test")

    @pytest.fixture
    def kept(self, tmp_path: Path) -> Path:
        compare(self.SPEC, tmp_path)
        return min((tmp_path / "runs").iterdir())

    @pytest.mark.parametrize(
        "damage",
        [
            lambda text: re.sub(r'"accuracy": [0-9.]+', '"accuracy": 0.99', text),
            lambda text: re.sub(r'"seed": 0', '"seed": 1', text),
            lambda text: "null",
            lambda text: "[]",
            lambda text: "{}",
            lambda text: text[: len(text) // 2],
            lambda text: "[" * 100_000,
            lambda text: "",
            lambda text: json.dumps({**json.loads(text), "accuracy": None}),
        ],
    )
    def test_a_damaged_one_is_named_with_the_remedy(self, kept: Path, damage: Any) -> None:
        kept.write_text(damage(kept.read_text()))
        with pytest.raises(CheckpointError, match=f"{kept.name} is damaged .*delete it: .*computed again"):
            compare(self.SPEC, kept.parent.parent)
        kept.unlink()
        compare(self.SPEC, kept.parent.parent)

    def test_one_in_the_place_of_another(self, kept: Path) -> None:
        other = sorted(kept.parent.iterdir())[1]
        kept.write_bytes(other.read_bytes())
        with pytest.raises(CheckpointError, match="checksum"):
            compare(self.SPEC, kept.parent.parent)

    def test_one_without_a_checksum_is_believed_and_that_is_said_once(self, kept: Path) -> None:
        found = compare(self.SPEC, kept.parent.parent)
        for file in kept.parent.iterdir():
            values = json.loads(file.read_text())
            del values["sha256"]
            file.write_text(json.dumps(values))
        with pytest.warns(UncheckedWarning, match="without a checksum") as said:
            assert compare(self.SPEC, kept.parent.parent)["runs"] == found["runs"]
        assert len(said) == 1
        kept.write_text(json.dumps({**json.loads(kept.read_text()), "accuracy": 7}))
        with pytest.raises(CheckpointError, match="no share of images"):
            compare(self.SPEC, kept.parent.parent)

    def test_results_hold_no_checksum_of_runs(self, kept: Path) -> None:
        assert all("sha256" not in run for run in compare(self.SPEC, kept.parent.parent)["runs"])

    def test_values_come_back_as_they_were(self, tmp_path: Path) -> None:
        values = {"a": 0.1, "b": [1, None, "ü"], "c": {"d": 1e-300}}
        write_kept(tmp_path / "k.json", values)
        assert read_kept(tmp_path / "k.json", "a") == values
        with pytest.raises(CheckpointError, match="no 'z'"):
            read_kept(tmp_path / "k.json", "z")

    def test_those_in_docs_stay_readable(self) -> None:
        files = sorted((ROOT / "results").glob("*/runs/*.json"))
        assert len(files) > 10
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncheckedWarning)
            for file in files:
                read_kept(file)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
