"""Images as points: neighbours counted by hand, what is kept of the first seed, the figure, and umap-learn that is not there."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from test_robustness import LOCAL, experiment

from neurosim.core.errors import CapabilityError
from neurosim.report.embedded import embedded_images
from neurosim.report.page import figures_of
from neurosim.study import embedded as module
from neurosim.study.deep import DeepTraining, deep
from neurosim.study.embedded import embedded, same_class
from neurosim.study.store import read_arrays

UMAP = pytest.mark.skipif(importlib.util.find_spec("umap") is None, reason="umap-learn is not installed")


def test_neighbours_of_the_same_class_are_counted_as_by_hand():
    draws = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 30)
    features = draws.normal(size=(90, 5)) + 1.5 * labels[:, None]
    apart = np.linalg.norm(features[:, None] - features, axis=2)
    near = np.argsort(apart, axis=1)[:, 1 : module.NEIGHBOURS + 1]  # the image itself is the first of them
    assert same_class(features, labels) == pytest.approx((labels[near] == labels[:, None]).mean())
    assert same_class(10.0 * labels[:, None], labels) == 1.0


def test_without_umap_it_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CapabilityError, match=r"pip install 'neurosim-crossbar\[embed\]'"):
        experiment(LOCAL, robustness=None, embedded=20).check()
    experiment(LOCAL, robustness=None).check()


def test_a_row_for_each_arm_and_a_panel_for_each_depth():
    draws = np.random.default_rng(0)
    held: dict[str, Any] = {
        arm: {
            "embedded.labels": np.arange(40) % 10,
            **{f"embedded.{depth}": draws.normal(size=(40, 2)) for depth in range(3)},
            **{f"same_class.{depth}": np.array([0.1 * (1 + depth)]) for depth in range(3)},
        }
        for arm in ("ideal", "PCM")
    }
    figure = embedded_images({}, {**held, "without": {}})
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert (
        titles
        == ["pixels: 10 % of its class", "depth 1: 20 % of its class", "depth 2: 30 % of its class"] * 2
    )
    assert embedded_images({}, {"without": {}}) is None


@UMAP
@pytest.mark.slow
def test_images_of_a_class_lie_together_and_the_same_seed_draws_the_same_picture():
    draws = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    features = {0: draws.normal(size=(120, 8)), 1: draws.normal(size=(120, 8)) + 6.0 * labels[:, None]}
    found, again = (embedded(features, labels, 3) for _ in range(2))
    for name, values in found.items():
        np.testing.assert_array_equal(again[name], values)
    assert same_class(found["embedded.1"], labels) > 0.95
    assert same_class(found["embedded.0"], labels) < 0.6
    assert found["same_class.1"] == 1.0


@UMAP
@pytest.mark.slow
def test_a_study_keeps_them_of_its_first_seed_and_learns_the_same_bits(tmp_path):
    plain = DeepTraining(spec := experiment(LOCAL, robustness=None), LOCAL, 0, spec.data())
    plain.run()
    shown = experiment(LOCAL, robustness=None, embedded=30, seeds=2)
    results = deep(shown, tmp_path)
    kept = read_arrays(next(tmp_path.glob("pictures-*.npz")))
    depths = range(len(plain.stack.layers) + 1)
    assert {f"embedded.{depth}" for depth in depths} <= kept.keys()
    assert kept["embedded.1"].shape == (30, 2)
    np.testing.assert_array_equal(kept["embedded.labels"], plain.test.labels[:30])
    (first,) = (run for run in results["runs"] if run["arm"] == LOCAL.name and run["seed"] == 0)
    assert first["accuracy"] == plain.result()["accuracy"]
    assert figures_of(results, tmp_path)["embedded"].figure is not None
