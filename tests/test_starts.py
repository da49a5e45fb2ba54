"""Start weights of every kind: their law, their norm, and windows of devices that follow them; what is learnt from each differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurosim.data
from neurosim import DeepArm, DeepExperiment, DenseExperiment
from neurosim.core.errors import ConfigError
from neurosim.core.seeds import generator
from neurosim.study.deep import DeepTraining
from neurosim.study.deep_build import array_of, build_stack, radius_of, start_weights
from neurosim.study.dense import DenseTraining, highest_start_weight

RADIUS, NEURONS = 5.0, 40
STARTS = ("normal", "normal-paper", "positive", "negative")
ECRAM: dict[str, Any] = {"name": "ECRAM", "device": "ecram-li-tang-2018", "rule": "softhebb"}


def expected(start: str, rows: int, seed: int, *path: str) -> np.ndarray:
    """The weights as the paper's section A.1.2 writes them, from the same stream of random numbers."""
    draws = generator(seed, "start weights", *path)
    if start in ("positive", "negative"):
        uniform = draws.random((rows, NEURONS), np.float32).astype(float) * np.sqrt(3 * RADIUS**2 / rows)
        return uniform if start == "positive" else -uniform
    sigma = RADIUS * (np.sqrt(np.pi / (2 * rows)) if start == "normal-paper" else 1 / np.sqrt(rows))
    return sigma * draws.standard_normal((rows, NEURONS))


def experiment(arm: dict[str, Any] | None = None, **changes: Any) -> DeepExperiment:
    layer = {
        "neurons": NEURONS,
        "kernel": 5,
        "learning_rate": 0.1,
        "inverse_temperature": 1.0,
        "start_radius": RADIUS,
    }
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 60, "test_images": 30, "batch": 10, "head_epochs": 1,
        "layer": [{**layer, **changes}], "arm": (DeepArm(**{"name": "ideal", **(arm or {})}),),
    }  # fmt: skip
    return DeepExperiment(**settings)


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("where", ["layer", "arm"])
def test_layers_start_as_the_paper_writes_it(start: str, where: str, backend: str):
    spec = experiment({"start": start, "backend": backend} if where == "arm" else {"backend": backend})
    spec = spec if where == "arm" else experiment({"backend": backend}, start=start)
    weights = np.asarray(build_stack(spec, spec.arm[0], (8, 8, 1), 3).layers[0].array.weights())
    np.testing.assert_allclose(weights, expected(start, 25, 3, "layer 0"), rtol=1e-6)
    rms = RADIUS / 5 * (np.sqrt(np.pi / 2) if start == "normal-paper" else 1)
    assert np.sqrt(np.mean(weights**2)) == pytest.approx(rms, rel=0.06)
    assert {"positive": weights.min() >= 0, "negative": weights.max() <= 0}.get(
        start, weights.min() < 0 < weights.max()
    )


def test_several_seeds_start_each_as_it_would_alone():
    both = start_weights(experiment().layers[0], RADIUS, 25, 0, (3, 4), "positive")
    for k, seed in enumerate((3, 4)):
        np.testing.assert_allclose(both[k], expected("positive", 25, seed, "layer 0"), rtol=1e-6)


@pytest.mark.parametrize("start", STARTS)
def test_windows_are_in_units_of_what_is_drawn(start: str):
    spec = experiment({**ECRAM, "start": start}, start_radius=RADIUS)
    arm, layer = spec.arms()[0], spec.layers[0]
    rms = RADIUS / 5 * (1.2533141373155 if start == "normal-paper" else 1.0)
    assert radius_of(arm, layer, 0) == pytest.approx(5 * rms)
    assert array_of(arm, 0, layer, 25, (25, NEURONS), 0).w_max == pytest.approx(spec.window * rms)
    weights = build_stack(spec, arm, (8, 8, 1), 0).layers[0].array.weights()
    wanted = expected(start, 25, 0, "layer 0")
    assert np.corrcoef(weights.ravel(), wanted.ravel())[0, 1] > 0.98, "devices hold what was drawn"


def test_each_layer_may_start_in_its_own_way():
    arm = DeepArm(name="ideal", start=("positive", "normal"))
    spec = DeepExperiment(dataset="digits", width=0.25, depth=2, arm=(arm,))
    first, second = (layer.array.weights() for layer in build_stack(spec, arm, (8, 8, 1), 0).layers)
    assert first.min() >= 0 > second.min()
    table = DeepArm(name="ideal", layer=({"start": "positive"}, {}))
    np.testing.assert_array_equal(build_stack(spec, table, (8, 8, 1), 0).layers[0].array.weights(), first)
    with pytest.raises(ConfigError, match="2 layers need 2 values of start"):
        spec.with_arms([arm]).changed(arm=[arm.changed(start=("positive",))])


def test_what_is_learnt_and_its_name_follow_the_start():
    data = neurosim.data.load("digits").subset(60, 30)
    found, names = [], set()
    for start in (None, *STARTS[1:]):
        training = DeepTraining(
            experiment({"start": start} if start else None), DeepArm(name="ideal", start=start), 0, data
        )
        training.run()
        found.append(training.stack.layers[0].array.weights())
        names.add(training.identity)
    assert len(names) == 4
    assert all(np.abs(a - b).max() > 0.01 for k, a in enumerate(found) for b in found[:k])
    assert '"start"' not in DeepTraining(experiment(), DeepArm(name="ideal"), 0, data).identity


@pytest.mark.parametrize("start", STARTS)
def test_one_layer_starts_in_the_same_ways(start: str):
    """In `compare` the default is "positive", as the authors' code has it where inputs are not normalised."""
    spec = DenseExperiment(
        dataset="digits", train_images=60, neurons=NEURONS, start_radius=RADIUS, start=start
    )
    data = spec.data()
    weights = DenseTraining(spec, None, 2, data).layer.array.weights()
    np.testing.assert_allclose(weights, expected(start, 64, 2), rtol=1e-6)
    rms = RADIUS / 8 * (1.2533141373155 if start == "normal-paper" else 1.0)
    assert highest_start_weight(spec, 64) == pytest.approx(np.sqrt(3) * rms)
    assert ("start" in spec.deciding()) == (start != "positive")
