"""Spoilt images: noise and attacks on deep networks, in ideal arithmetic, on devices, and with backpropagation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import FINE
from test_deep_backprop import ARM

import neurosim.data
from neurosim import DeepArm, DeepExperiment
from neurosim.core.errors import ConfigError, InputError
from neurosim.reference.attacks import attacked
from neurosim.reference.ideal_copy import IdealCopy
from neurosim.report.deep import deep_markdown
from neurosim.report.page import KINDS
from neurosim.study.deep import DeepTraining, deep
from neurosim.study.robustness import SPOILT, refuse_other_scales
from neurosim.study.store import unpack_bits

ASKED = {"noise": (0.0, 0.5), "fgsm": (0.1,), "pgd": (0.0, 0.1), "steps": 5, "images": 40}
LOCAL = DeepArm(name="ideal")
ON_DEVICES = DeepArm(
    name="devices", device=FINE, rule="softhebb", settings={"adaptive_gain": True}, mode="mixed",
    write={"decay_mode": "gain"},
)  # fmt: skip


def experiment(*arms: DeepArm, **changes: Any) -> DeepExperiment:
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 240, "test_images": 60, "width": 0.25, "depth": 2, "head_epochs": 5,
        "head_batch": 20, "arm": arms, "robustness": ASKED, **changes,
    }  # fmt: skip
    return DeepExperiment(**settings)


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return deep(experiment(LOCAL, ON_DEVICES, ARM))


def rows(results: dict[str, Any], arm: str) -> dict[tuple[str, float], dict[str, Any]]:
    (run,) = [run for run in results["runs"] if run["arm"] == arm]
    return {(row["spoilt"], row["level"]): row for row in run["robustness"]}


@pytest.mark.parametrize("arm", ["ideal", "backpropagation"])
def test_level_zero_spoils_nothing(results, arm):
    found = rows(results, arm)
    (run,) = [run for run in results["runs"] if run["arm"] == arm]
    right = unpack_bits(run["heads"][-1]["correct"], run["test_size"])[: ASKED["images"]]
    for way in (("none", 0.0), ("noise", 0.0), ("pgd", 0.0)):
        np.testing.assert_array_equal(unpack_bits(found[way]["correct"], ASKED["images"]), right)
        assert found[way]["accuracy"] == right.mean()


@pytest.mark.parametrize("arm", ["ideal", "devices", "backpropagation"])
def test_what_is_spoilt_is_answered_worse(results, arm):
    found = rows(results, arm)
    clean = found["none", 0.0]["accuracy"]
    assert clean > 0.3
    for way in (("noise", 0.5), ("fgsm", 0.1), ("pgd", 0.1)):
        assert found[way]["accuracy"] < clean, way
    assert found["pgd", 0.1]["copy_accuracy"] <= found["fgsm", 0.1]["copy_accuracy"]


def test_in_ideal_arithmetic_the_copy_is_the_network(results):
    for arm in ("ideal", "backpropagation"):
        for row in rows(results, arm).values():
            if "copy_accuracy" in row:
                assert row["copy_accuracy"] == pytest.approx(row["accuracy"], abs=1 / 40)


def test_the_copy_has_the_scores_of_the_layers():
    spec = experiment(LOCAL)
    training = DeepTraining(spec, LOCAL, 0, spec.data())
    training.run()
    images = training._images(training.test.images[:8])
    features = training.represented(training.test.images[:8])
    head = training.readout(training.represented(training.fit.images), training.fit.labels, 10)
    expected = torch.from_numpy(features).float() @ head.weight.T + head.bias
    found = IdealCopy(training.stack.layers, head).scores(torch.from_numpy(images))
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)


def test_an_attack_stays_in_its_box_and_follows_the_slope():
    """Of a linear net the best change is known: every pixel by the level, along the sign of its weight."""
    weights = torch.tensor(np.random.default_rng(0).normal(size=(12, 2)), dtype=torch.float32)

    class Linear:
        def scores(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1) @ weights

    images = np.full((3, 2, 2, 3), 0.5, np.float32)
    images[1] = 0.98
    labels = np.array([0, 1, 0])
    for steps, start in ((1, None), (10, np.ones_like(images))):
        found = attacked(Linear(), images, labels, 0.05, steps, start)
        towards = np.sign((weights[:, 1] - weights[:, 0]).numpy()).reshape(2, 2, 3)
        way = np.where(labels == 0, 1, -1).reshape(3, 1, 1, 1) * towards
        np.testing.assert_allclose(found, np.clip(images + 0.05 * way, 0, 1), atol=1e-6)


def test_a_net_that_is_sure_is_no_safer():
    """Scores a thousand times as large leave the cross-entropy without a slope: the attack must not depend on it."""
    spec = experiment(LOCAL)
    training = DeepTraining(spec, LOCAL, 0, spec.data())
    training.run()
    head = training.readout(training.represented(training.fit.images), training.fit.labels, 10)
    images, labels = training._images(training.test.images), training.test.labels
    plain = attacked(IdealCopy(training.stack.layers, head), images, labels, 0.1)
    assert np.mean(np.abs(plain - images).reshape(len(images), -1).max(axis=1) > 0.09) == 1
    head.weight, head.bias = 1e3 * head.weight, 1e3 * head.bias
    np.testing.assert_array_equal(
        attacked(IdealCopy(training.stack.layers, head), images, labels, 0.1), plain
    )


def test_asking_changes_nothing_else(results):
    """Accuracy, counts and names of runs are those of the study without spoilt images."""
    plain = deep(experiment(LOCAL, ON_DEVICES, ARM, robustness=None))
    assert "robustness" not in plain
    for without, run in zip(plain["runs"], results["runs"], strict=True):
        for name in ("accuracy", "heads", "layers", "counts", "events"):
            kept = [{k: v for k, v in part.items() if k != "seconds"} if isinstance(part, dict) else part for part in run[name]] if isinstance(run[name], list) else run[name]  # fmt: skip
            assert kept == without[name], name
    data = neurosim.data.load("digits").subset(240, 60)
    for arm in (LOCAL, ON_DEVICES):
        asked, still = (experiment(arm, robustness=each).training(arm, 0, data) for each in (ASKED, None))
        assert asked.identity == still.identity
        assert asked.evaluation != still.evaluation


def test_a_finished_run_is_asked_again_without_training(tmp_path):
    spec = experiment(LOCAL, ARM, robustness=None)
    deep(spec, tmp_path)
    reported: list[Any] = []
    found = deep(experiment(LOCAL, ARM), tmp_path, lambda *what: reported.append(what))
    assert all("robustness" in run for run in found["runs"])
    assert [what for what in reported if what[2] < what[3]] == []


def test_figure_and_tables_say_it(results):
    text = deep_markdown("spoilt", results)
    assert "spoilt-robustness.svg" in text
    for name in SPOILT.values():
        assert name in text
    shown = KINDS["deep"]
    assert shown.figures(results)["robustness"].figure is not None
    assert [entry["arm"] for entry in results["robustness"]][:1] == ["ideal"]
    assert all(entry["accuracy_interval"] for entry in results["robustness"])


@pytest.mark.parametrize(
    ("given", "said"),
    [({"noise": [2.0]}, "from 0 to 1"), ({"fgsm": [-0.1]}, "from 0 to 1"), ({"steps": 3}, "at least one of")],
)
def test_levels_that_make_no_sense_are_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        DeepExperiment.parse({"dataset": "digits", "robustness": given}, "robustness.toml")


def test_pixels_of_another_scale_are_refused():
    refuse_other_scales(np.array([[0.0, 1.0]], np.float32))
    for wrong in ([-0.1, 1.0], [0.0, 1.1], [np.nan, 0.5]):
        with pytest.raises(InputError, match="levels are of pixels from 0 to 1"):
            refuse_other_scales(np.array([wrong], np.float32))


def test_the_torch_backend_is_asked_alike():
    """The copy, the head and the images are the same; reads in torch differ in last bits alone."""
    found = [deep(experiment(arm, robustness=ASKED)) for arm in (LOCAL, LOCAL.changed(backend="torch"))]
    ours, theirs = (
        {(r["spoilt"], r["level"]): r["accuracy"] for r in one["runs"][0]["robustness"]} for one in found
    )
    assert ours.keys() == theirs.keys()
    assert max(abs(ours[way] - theirs[way]) for way in ours) <= 2 / ASKED["images"]


def test_an_attack_needs_a_slope():
    with pytest.raises(ConfigError, match="slope"):
        DeepExperiment.parse(
            {
                "dataset": "digits", "robustness": {"fgsm": [0.1]},
                "arm": [{"name": "ideal", "neurons": {"saturation": 2.0}}],
            },
            "robustness.toml",
        )  # fmt: skip
