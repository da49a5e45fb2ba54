"""Distillation between chips: what a new chip is taught, what the control sees, agreement, counted questions, the study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_mortal import CHIP, IDEAL, experiment

import neurosim.data
from neurosim import Distilled, ForwardForwardArm, MortalExperiment, Together, load_results, sweep
from neurosim.core.errors import CheckpointError, ConfigError
from neurosim.core.seeds import generator
from neurosim.data import Labelled
from neurosim.network.forward_forward import SoftmaxHead
from neurosim.report.mortal import mortal_markdown
from neurosim.report.page import write_page
from neurosim.study.distilled import Said, agreement, joules_of, lessons, seen_labels
from neurosim.study.forward_forward_build import build_stack
from neurosim.study.mortal import ChipTraining, mortal
from neurosim.study.store import write_json
from neurosim.study.together import _waiting

DRAWS = np.random.default_rng(0)
TAUGHT = {"distilled": Distilled(labels=20, temperature=2.0)}
PRECISE = {"precision": "float64"}


def said(images: int, classes: int = 10) -> Said:
    return Said(np.random.default_rng(1).normal(0, 3, (images, classes)).astype(np.float32), {})


def training(
    arm: ForwardForwardArm, way: Any = "distilled", how: Distilled | None = None, **changes: Any
) -> ChipTraining:
    """A chip that is taught by scores drawn at random, not yet begun."""
    spec = experiment(arm, **changes)
    data = neurosim.data.load("digits").subset(120, 40)
    found = lessons(how or TAUGHT["distilled"], data.training(), said(len(data.y_train)), 0)
    return ChipTraining(spec.for_epochs(spec.epochs), spec.arms()[0], 5, data, lesson=found[way])


# What a new chip is given


def test_a_head_follows_probabilities_as_it_does_labels() -> None:
    x, wanted = DRAWS.normal(0, 1, (30, 7)), DRAWS.dirichlet(np.ones(4), 30)
    head = SoftmaxHead(7, 4, placed=lambda values: np.asarray(values, np.float64))
    weights, velocity = np.zeros((7, 4)), np.zeros((7, 4))
    for gain in (1.0, 0.5, 0.25):
        found = head.learn(x, wanted, gain)
        scores = x @ weights
        np.testing.assert_allclose(found, scores, atol=1e-9)
        p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        velocity = 0.9 * velocity + 0.1 * x.T @ (wanted - p) / 30
        weights = weights + gain * 0.1 * (velocity - 0.003 * weights)
    np.testing.assert_allclose(head.snapshot()["weights"], weights, atol=1e-9)
    labels = DRAWS.integers(0, 4, 30)
    hard, soft = SoftmaxHead(7, 4), SoftmaxHead(7, 4)
    for _ in range(3):
        hard.learn(x.astype(np.float32), labels)
        soft.learn(x.astype(np.float32), np.eye(4, dtype=np.float32)[labels])
    np.testing.assert_array_equal(hard.snapshot()["weights"], soft.snapshot()["weights"])


def test_labels_that_are_seen_are_of_all_classes_alike_and_grow() -> None:
    labels = DRAWS.permutation(np.repeat(np.arange(5), [40, 40, 40, 40, 3]))
    few, more = seen_labels(labels, 12, 0), seen_labels(labels, 40, 0)
    assert set(np.bincount(labels[few])) == {2, 3}
    assert np.bincount(labels[more]).tolist() == [10, 9, 9, 9, 3] or max(np.bincount(labels[more])[:4]) == 10
    np.testing.assert_array_equal(more[:12], few)
    assert len(set(more)) == 40
    assert set(few) != set(seen_labels(labels, 12, 1))


def test_no_other_label_has_a_part_in_what_is_taught() -> None:
    labels = DRAWS.integers(0, 10, 90)
    fit, answers, how = (
        Labelled(DRAWS.random((90, 8)), labels),
        said(90),
        Distilled(labels=20, temperature=2.0),
    )
    found = lessons(how, fit, answers, 3)
    seen = seen_labels(labels, 20, 3)
    hidden = np.setdiff1d(np.arange(90), seen)
    taught = found["distilled"]
    assert taught.told is not None
    assert taught.targets is not None
    p = np.exp(answers.scores / 2) / np.exp(answers.scores / 2).sum(1, keepdims=True)
    np.testing.assert_allclose(taught.targets[hidden], p[hidden], atol=1e-6)
    np.testing.assert_array_equal(taught.targets[seen], np.eye(10)[labels[seen]])
    np.testing.assert_allclose(taught.told, answers.scores / 2)
    np.testing.assert_array_equal(taught.fit.labels[hidden], answers.scores.argmax(1)[hidden])
    np.testing.assert_array_equal(taught.fit.labels[seen], labels[seen])
    few = found["few"]
    assert few.told is few.targets is None
    own = {(image.tobytes(), label) for image, label in zip(fit.images[seen], labels[seen], strict=True)}
    assert {(image.tobytes(), label) for image, label in zip(*few.fit, strict=True)} == own
    assert len(few.fit.labels) == 90


@pytest.mark.parametrize("negatives", ["hard", "uniform"])
def test_a_taught_chip_is_the_stack_driven_by_hand(negatives: Any) -> None:
    """Its labels, wrong labels and targets written out here; the head in double precision, the layers by their own rule."""
    arm = IDEAL.changed(**PRECISE)
    found = training(arm, negatives=negatives, negatives_per_sample=2)
    found.run()
    lesson: Any = found.lesson
    spec, data = found.experiment, found.data
    stack = build_stack(spec, found.arm, data.image_shape, found.total, 5, found.chip)
    images, batches = data.inputs(lesson.fit.images), len(lesson.fit.labels) // 20
    weights, velocity = np.zeros((16, 10)), np.zeros((16, 10))
    for step in range(spec.epochs * batches):
        epoch, place = divmod(step, batches)
        some = generator(5, "order", epoch).permutation(len(images))[20 * place : 20 * (place + 1)]

        def marked(marks: Any, chosen: Any = some) -> Any:
            samples = images[chosen].copy()
            samples[:, :10] = marks
            return samples

        states = stack.forward(marked(0.1)).states[1]
        scores = states @ weights
        p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        velocity += 0.1 * (states.T @ (lesson.targets[some] - p) / 20 - velocity)
        gain = min(1.0, 2 * (1 - step / (spec.epochs * batches)))
        weights += gain * 0.1 * (velocity - 0.003 * weights)
        right = lesson.fit.labels[some]
        noisy = (lesson.told[some] if negatives == "hard" else 0) + generator(5, "negatives", step).gumbel(
            size=(20, 10)
        )
        noisy[np.arange(20), right] = -np.inf
        wrong = np.argsort(-noisy, axis=1)[:, :2]
        assert not (wrong == right[:, None]).any()
        stack.learn(
            marked(np.eye(10)[right]), np.concatenate([marked(np.eye(10)[wrong[:, k]]) for k in (0, 1)])
        )
    for ours, theirs in zip(stack.layers, found.stack.layers, strict=True):
        np.testing.assert_allclose(theirs.array.weights(), ours.array.weights(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.head.snapshot()["weights"], weights, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{"recurrent": {"iterations": 2, "read_from": 1, "read_to": 2}}, {"online": True}, {"jitter": 1}],
    ids=lambda changes: next(iter(changes)),
)
def test_it_goes_with_iterations_single_samples_and_shifted_images(changes: dict[str, Any]) -> None:
    chips = [
        training(IDEAL, epochs=1, how=how, **changes) for how in (None, Distilled(labels=20, temperature=0.1))
    ]
    for chip in chips:
        chip.run()
        assert chip.ask().scores.shape == (100, 10)
    one, other = (chip.stack.layers[1].array.weights() for chip in chips)
    assert np.abs(one - other).max() > 0


def test_the_control_learns_few_labels_and_as_much_of_them() -> None:
    few, taught = training(IDEAL, "few"), training(IDEAL)
    assert few.total == taught.total
    for one in (few, taught):
        one.run()
    assert len({image.tobytes() for image in few.fit.images}) == 20
    assert [point["images"] for point in few.curve] == [point["images"] for point in taught.curve]
    held = {image.tobytes() for image in (*few.data.x_validation, *few.data.x_test)}
    assert not held & {image.tobytes() for image in (*few.fit.images, *taught.fit.images)}


@pytest.mark.parametrize("arm", [IDEAL, CHIP], ids=lambda arm: arm.name)
def test_a_taught_chip_that_was_killed_ends_in_the_same_bits(arm: ForwardForwardArm, tmp_path: Path) -> None:
    whole, killed, again = (training(arm) for _ in range(3))
    whole.run()

    class Killed(Exception):
        pass

    def kill() -> None:
        if killed.steps == 4:
            killed.save(tmp_path / "c.npz")
            raise Killed

    with pytest.raises(Killed):
        killed.run(save=kill)
    again.resume(tmp_path / "c.npz")
    again.run()
    for name, values in whole.snapshot().items():
        np.testing.assert_array_equal(values, again.snapshot()[name], err_msg=name)
    for other in (
        training(arm, how=Distilled(labels=20)),
        training(arm, how=Distilled(labels=21, temperature=2.0)),
        training(arm, "few"),
    ):
        with pytest.raises(CheckpointError, match="another experiment"):
            other.resume(tmp_path / "c.npz")


# Agreement and costs


def test_chance_is_what_answers_to_other_images_of_the_class_would_agree() -> None:
    first, labels = np.array([0, 1, 1, 2, 0, 2]), np.array([0, 0, 0, 1, 1, 2])
    other = np.array([1, 1, 0, 2, 2, 2])
    found = agreement(first, other, labels)
    assert found["same"] == 3 / 6
    assert found["wrong"] == 4, "images 1, 2, 3 and 4"
    assert found["same_wrong"] == 2 / 4
    assert found["same_wrong_by_chance"] == pytest.approx((2 / 3 + 2 / 3 + 1 + 0) / 4)
    assert found["same_by_chance"] == pytest.approx((1 / 3 + 2 / 3 + 2 / 3 + 1 + 0 + 1) / 6)
    own = np.random.default_rng(0)
    labels, first, other = own.integers(0, 3, 400), own.integers(0, 3, 400), own.integers(0, 3, 400)
    shuffled = []
    for _ in range(300):
        mixed = other.copy()
        for label in range(3):
            mixed[labels == label] = own.permutation(other[labels == label])
        shuffled.append(np.mean((mixed == first)[first != labels]))
    assert agreement(first, other, labels)["same_wrong_by_chance"] == pytest.approx(
        np.mean(shuffled), abs=0.005
    )
    assert agreement(labels, other, labels)["same_wrong"] is None


def test_the_first_chip_is_asked_once_by_counted_reads_and_left_as_it_was() -> None:
    spec = experiment(CHIP)
    first = ChipTraining(spec.for_epochs(2), spec.arms()[0], 0, neurosim.data.load("digits").subset(120, 40))
    first.run()
    before, counted = first.snapshot(), first.counts()
    found = first.ask()
    assert first.counts() == counted
    for name, values in first.snapshot().items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)
    again = first.ask()
    np.testing.assert_array_equal(again.scores, found.scores)
    cost = {name: value for name, value in found.cost.items() if value}
    assert cost["conversions"] > 0
    assert cost["read_J"] > 0
    assert not {"pulses", "updates", "write_J", "program_J"} & cost.keys()
    setting = first.snapshot()
    first.calibrate()
    of_setting: Any = first.counts()["reads"]
    images = len(first.fit.labels)
    assert cost["reads"] - (of_setting - counted["reads"]) == 2 * images, "of each image one in each layer"
    first.restore(setting)
    total = joules_of(found.cost)
    assert total is not None
    assert 0 < total < joules_of(counted)  # type: ignore[operator]
    assert joules_of({}) is None


# The study


def names(folder: Path, kind: str) -> set[str]:
    return {file.name for file in folder.glob(f"runs/*.{kind}")}


def test_a_study_hands_on_answers_beside_weights(tmp_path: Path) -> None:
    bare = experiment(IDEAL, CHIP, kinds=("none", "all"), chips=2)
    plain = mortal(bare, tmp_path)
    kept = names(tmp_path, "npz")
    spec = bare.changed(**TAUGHT)
    results = mortal(spec, tmp_path)
    assert names(tmp_path, "npz") > kept
    assert len(names(tmp_path, "npz") - kept) == 2 * 2 * 2, "new ways alone learn: two chips of two makes"
    assert results["summary"] == plain["summary"]
    assert "distilled" not in plain
    others = [run for run in results["runs"] if run["way"] in ("copied", "scratch")]
    drop = {"agreement", "seconds"}
    for one, other in zip(others, plain["runs"], strict=True):
        assert {n: v for n, v in one.items() if n not in drop} == {
            n: v for n, v in other.items() if n not in drop
        }
    entries = results["distilled"]
    assert [(entry["arm"], entry["readout"]) for entry in entries] == [
        (arm, readout) for arm in ("ideal", "chip") for readout in ("goodness", "softmax")
    ]
    ways = {run["way"] for run in results["runs"]}
    assert ways == {"copied", "scratch", "distilled", "few"}
    for entry in entries:
        own = [run for run in results["runs"] if run["arm"] == entry["arm"]]
        for way in ("distilled", "few", "scratch"):
            scores = [run["readouts"][entry["readout"]] for run in own if run["way"] == way]
            assert entry[f"{way}_mean"] == pytest.approx(np.mean(scores))
            low, high = entry[f"{way}_interval"]
            assert low <= entry[f"{way}_mean"] <= high
        beyond = entry["same_wrong_beyond_scratch"]["distilled"]
        shares = [entry["agreement"][way]["same_wrong"] for way in ("distilled", "scratch")]
        assert beyond["mean"] == pytest.approx(shares[0] - shares[1])
        assert beyond["interval"] is None, "one seed"
        assert entry["verdict"]["answer"] in ("yes", "less", "no", "undecided")
        on_chip = entry["arm"] == "chip"
        assert all((value is not None) == on_chip for value in entry["joules"].values())
    teacher = results["originals"][1]["teacher"]
    assert teacher["images"] == 100
    assert 0 <= teacher["right"] <= 1
    starts = {(run["chip"], run["way"]): run["untrained"] for run in results["runs"] if run["arm"] == "chip" and run["way"] != "copied"}  # fmt: skip
    assert starts[1, "distilled"] == starts[1, "few"] == starts[1, "scratch"] != starts[2, "few"], (
        "the same chips with the same start weights"
    )
    assert mortal(spec, tmp_path)["distilled"] == entries, "from kept runs"
    for file in tmp_path.glob("runs/*.json"):
        file.unlink()
    assert mortal(spec, tmp_path)["distilled"] == entries, "from checkpoints alone"
    assert mortal(spec)["distilled"] == entries, "without a folder"
    write_json(tmp_path / "results.json", results)
    loaded = load_results(tmp_path)
    assert list(loaded.plot()) == ["mortal", "recovery", "distilled"]
    assert any("taught by the first" in arm for arm, _ in loaded.findings())
    write_page(tmp_path, dict(loaded))
    assert "What is handed on as answers" in (tmp_path / "report.html").read_text(encoding="utf-8")
    page = mortal_markdown("digits", dict(loaded))
    assert "digits-distilled.svg" in page
    assert "| chip | softmax | taught by the first chip |" in page
    assert "digits-distilled.svg" not in mortal_markdown("digits", plain)


@pytest.mark.parametrize("together", [pytest.param(None, marks=pytest.mark.slow), 2])
def test_taught_chips_on_torch_are_those_of_numba(
    together: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, learn = [], Together.run
    _waiting.clear()  # what other tests began as a batch and did not ask for
    monkeypatch.setattr(Together, "run", lambda self, *rest: (began.append(self.seeds), learn(self, *rest)))
    settings: dict[str, Any] = {
        "device": "ecram-li-tang-2018", **PRECISE, "parameters": {"p_stuck_between": 0.1}, "name": "a",
        "settings": {"learning_rate": 0.5},
    }  # fmt: skip
    changes: dict[str, Any] = {"kinds": ("all",), "chips": 2, "epochs": 1, "train_images": 60, **TAUGHT}
    torch = ForwardForwardArm(
        **settings, backend="torch", **({} if together is None else {"together": together})
    )
    found = mortal(experiment(torch, **changes))
    assert not _waiting
    assert [len(seeds) for seeds in began] == ([] if together is None else [1, 2, 2, 2, 2])
    numba = mortal(experiment(ForwardForwardArm(**settings), **changes))
    for one, other in zip(found["runs"], numba["runs"], strict=True):
        assert (one["way"], one["chip"]) == (other["way"], other["chip"])
        assert one["counts"]["reads"] == other["counts"]["reads"]
        assert one["counts"]["pulses"] == pytest.approx(other["counts"]["pulses"], rel=1e-3)
        for readout, accuracy in one["readouts"].items():
            assert accuracy == pytest.approx(other["readouts"][readout], abs=0.026), (
                "one image of 40 on an edge"
            )
    cost, theirs = (results["originals"][0]["teacher"]["counts"] for results in (found, numba))
    assert cost["reads"] == theirs["reads"]
    assert cost["read_J"] == pytest.approx(theirs["read_J"], rel=1e-6)


def test_a_sweep_takes_the_number_of_labels(tmp_path: Path) -> None:
    spec = experiment(IDEAL, kinds=("neurons",), epochs=1, distilled=Distilled(labels=20))
    found = sweep(spec, tmp_path, ["experiment.distilled.labels=10,40"])
    scores = {"accuracy", "copied", "relearnt", "scratch", "distilled", "few"}
    assert all(scores <= row.keys() for row in found["rows"])
    assert len(found["rows"]) == 2
    assert {"sweep-distilled", "sweep-few"} <= found.plot().keys()
    learnt = list(tmp_path.rglob("*.npz"))
    assert len(learnt) == 3 + 2 * 2, "of both levels one original, one copy and one from scratch"


def test_what_is_not_given_decides_nothing() -> None:
    bare, spec = experiment(), experiment(**TAUGHT)
    assert "distilled" not in bare.deciding()
    assert spec.deciding()["distilled"] == {"labels": 20, "epochs": None, "temperature": 2.0}
    data = neurosim.data.load("digits").subset(120, 40)
    one, other = (each.training(each.arms()[0], 0, data) for each in (bare, spec))
    assert one.identity == other.identity


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distilled": {"labels": 0}}, "labels"),
        ({"distilled": {"temperature": 0}}, "temperature"),
        ({"distilled": {"epochs": 0}}, "epochs"),
        ({"distilled": {"label": 3}}, "did you mean 'labels'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        MortalExperiment.parse(
            {"arm": [{"name": "a", "neurons": {"power_spread": 0.1}}], **changes}, "experiment"
        )


def test_more_labels_than_images_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"distilled.labels = 101: only 100 images are learnt; give at most"
    ):
        mortal(experiment(distilled=Distilled(labels=101)), tmp_path)
    assert not names(tmp_path, "npz")
