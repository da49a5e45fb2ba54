"""Black boxes between the layers of Forward-Forward: against plain numpy, draws by the pass, machines, studies, refusals."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from capability_helpers import experiment, states, timeless, together, weights
from helpers import PCM
from scipy.special import expit
from sklearn.datasets import load_digits
from test_torch_forward_forward import agree

from neurosim import (
    BlackBox,
    Crossbar,
    Dense,
    ForwardForwardExperiment,
    ForwardForwardStack,
    IdealArray,
    Learner,
    rules,
    sweep,
)
from neurosim.core.errors import CheckpointError, ConfigError, InputError
from neurosim.kernels import jit
from neurosim.study.run import study

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")

FF = "Forward-Forward"
WIDTHS = (30, 20, 15)
PLAIN = rules.ForwardForward(learning_rate=0.2, peer=0.0, decay=0.0)
MIXED = BlackBox(mixing=True, power=1.5)
WHOLE: dict[str, Any] = {"mixing": True, "power": 1.5, "noise": 0.3, "dropped": 0.1}


def started() -> list[np.ndarray]:
    draws = np.random.default_rng(0)
    return [draws.normal(0, 1.2 / rows**0.5, (rows + 1, cols)) for rows, cols in pairwise(WIDTHS)]


def net(how: BlackBox | None = None, rule: Any = PLAIN) -> ForwardForwardStack:
    layers = []
    for start in started():
        array = IdealArray(start.shape, "float64")
        array.program(start)
        layers.append(Dense(array, rule))
    boxes = [] if how is None else [how.draw(WIDTHS[1], 5, "layer 0")]
    return ForwardForwardStack(layers, boxes)


def samples(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((count, WIDTHS[0]))


def directed(y: np.ndarray, squares: bool = True) -> np.ndarray:
    y = np.maximum(y, 0)
    return y / ((np.sqrt((y * y).mean(axis=1)) if squares else y.mean(axis=1))[:, None] + 1e-8)


# The box


def test_the_mixture_is_orthogonal_drawn_of_the_seed_and_its_magnitude_is_passed_on() -> None:
    box = BlackBox(mixing=True).draw(40, 3, "layer 0")
    assert box.mixture is not None
    np.testing.assert_allclose(box.mixture.T @ box.mixture, np.eye(40), atol=1e-12)
    assert np.abs(box.mixture).max() < 0.9  # no permutation
    y = np.random.default_rng(0).random((7, 40))
    np.testing.assert_allclose(box(y, 0), np.abs(y @ box.mixture), rtol=1e-12)
    np.testing.assert_allclose(np.square(box(y, 0)).sum(axis=1), np.square(y).sum(axis=1))
    again, other, behind = (
        BlackBox(mixing=True).draw(40, seed, name).mixture
        for seed, name in ((3, "layer 0"), (4, "layer 0"), (3, "layer 1"))
    )
    np.testing.assert_array_equal(again, box.mixture)
    for one in (other, behind):
        assert np.abs(np.asarray(one) - box.mixture).max() > 0.1
    born = BlackBox(mixing=True).draw(40, 4, "layer 0", born=3)
    np.testing.assert_array_equal(born.mixture, box.mixture)


def test_noise_and_losses_are_drawn_anew_at_every_pass_by_its_number() -> None:
    """Moments of 200,000 draws against those asked for, within 1 %."""
    box = BlackBox(noise=0.25, dropped=0.125, power=2.0).draw(100, 3, "layer 0")
    y = np.random.default_rng(0).random((2000, 100)) + 0.5
    out = box(y, 10)
    lost, xi = out == 0, (out / y**2 - 1) / 0.25
    assert lost.mean() == pytest.approx(0.125, abs=0.005)
    assert lost.all(axis=0).sum() == lost.all(axis=1).sum() == 0
    assert xi[~lost].mean() == pytest.approx(0, abs=0.01)
    assert xi[~lost].std() == pytest.approx(1, abs=0.01)
    assert np.unique(np.round(xi[~lost], 9)).size > 0.9 * xi[~lost].size  # no normal twice
    np.testing.assert_array_equal(box(y[700:900], 710), out[700:900])
    assert (box(y, 11) != out).mean() > 0.9
    other = BlackBox(noise=0.25, dropped=0.125, power=2.0).draw(100, 4, "layer 0")
    assert (other(y, 10) != out).mean() > 0.9


@pytest.mark.parametrize("squares", [True, False])
def test_layers_learn_behind_it_as_plain_numpy_does(squares: bool) -> None:
    """The layer above is driven by the normalised box; goodness, states and updates of the layer below are its own."""
    stack = net(MIXED, PLAIN.changed(goodness="squares" if squares else "sum"))
    positive, negative = samples(6), samples(3, 2)
    x, ws = np.vstack([positive, negative]), started()
    phase = np.repeat([1.0, -1.0], [6, 3])
    q = MIXED.draw(WIDTHS[1], 5, "layer 0").mixture
    goodness, states_, inputs = [], [], np.hstack([directed(x, squares), np.ones((9, 1))])
    for w in ws:
        y = np.maximum(inputs @ w, 0)
        goodness.append((y * y if squares else y).sum(axis=1))
        signal = (phase > 0) - expit(goodness[-1] - y.shape[1])
        post = (0.2 * signal / np.where(phase > 0, 6, 3))[:, None] * (y if squares else (y > 0))
        w += inputs.T @ post
        states_.append(directed(y, squares))
        came = np.abs(states_[-1] @ q) ** 1.5 if len(states_) == 1 else states_[-1]
        inputs = np.hstack([directed(came, squares), np.ones((9, 1))])
    answers = stack.learn(positive, negative)
    np.testing.assert_allclose(answers.goodness, np.transpose(goodness), rtol=1e-10)
    for found, wanted in zip(answers.states, states_, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-10)
    for one, wanted, before in zip(stack.layers, ws, started(), strict=True):
        np.testing.assert_allclose(one.array.weights(), wanted, rtol=0, atol=1e-9)
        assert np.abs(wanted - before).max() > 1e-3
    assert stack.passed == 9


def test_what_is_below_a_box_learns_as_if_there_were_none() -> None:
    """Hinton, arXiv 2212.13345, section 7: nothing comes back through a box; the same bits."""
    plain, boxed = net(), net(BlackBox(**WHOLE))
    for k in range(3):
        for one in (plain, boxed):
            one.learn(samples(6, k), samples(6, k + 10))
    first, second = zip(
        *([each.array.weights() for each in one.layers] for one in (plain, boxed)), strict=True
    )
    np.testing.assert_array_equal(*first)
    assert np.abs(second[0] - second[1]).max() > 1e-3


def test_looking_leaves_no_trace_and_a_snapshot_goes_on_with_the_same_draws() -> None:
    stack = net(BlackBox(**WHOLE))
    stack.forward(samples(5))
    kept = stack.snapshot()
    with stack.looking():
        first = stack.forward(samples(4)).goodness
    np.testing.assert_array_equal(stack.forward(samples(4)).goodness, first)
    assert (stack.forward(samples(4)).goodness[:, 1] != first[:, 1]).all()
    other = net(BlackBox(**WHOLE))
    other.restore(kept)
    np.testing.assert_array_equal(other.forward(samples(4)).goodness, first)
    copy = other.of_layers(net().layers)
    assert copy.passed == other.passed == 9
    with pytest.raises(CheckpointError, match="without black boxes"):
        other.restore(net().snapshot())
    assert "passed" not in net().snapshot()


def test_devices_count_the_normalisation_behind_it() -> None:
    counts = []
    for boxes in ([], [MIXED.draw(WIDTHS[1], 0, "layer 0")]):
        arrays = [Crossbar(start.shape, PCM, seed=k) for k, start in enumerate(started())]
        for array, start in zip(arrays, started(), strict=True):
            array.program(start)
        stack = ForwardForwardStack([Dense(array, PLAIN) for array in arrays], boxes)
        x = samples(10).astype(np.float32)
        stack.forward(x)
        stack.learn(x, x[:4])
        counts.append([array.ledger.rule_macs for array in arrays])
    assert counts[1] == [counts[0][0], counts[0][1] + 2 * 14 * WIDTHS[1]]


def test_what_does_not_fit_is_refused() -> None:
    layers = net().layers
    box = MIXED.draw(WIDTHS[1], 0, "layer 0")
    with pytest.raises(InputError, match="2 black boxes and 2 layers: give one for each layer but the last"):
        ForwardForwardStack(layers, [box, box])
    with pytest.raises(InputError, match="drawn for 19 neurons and 1 instances, the layer has 20 and 1"):
        ForwardForwardStack(layers, [MIXED.draw(19, 0, "layer 0")])
    with pytest.raises(InputError, match="20 neurons and 2 instances, the layer has 20 and 1"):
        ForwardForwardStack(layers, [MIXED.draw(20, [0, 1], "layer 0")])
    for settings, words in (
        ({"recurrent": {}, "black_box": {"noise": 0.1}}, "leave out black_box, or recurrent"),
        ({"widths": [20], "black_box": {"noise": 0.1}}, "stands between layers, and there is one"),
        ({"black_box": {"noise": -0.1}}, "black_box.noise"),
        ({"arm": [{"name": "a", "black_box": {"nois": 0.1}}]}, "arm a, black_box"),
        ({"black_box": {"dropped": 1.0}}, "dropped"),
        ({"black_box": {"power": 0.0}}, "power"),
    ):
        with pytest.raises(ConfigError, match=words):
            ForwardForwardExperiment.parse(settings, "test")


# Studies


def begun(arm: dict[str, Any], kind: str = FF, **others: Any) -> Any:
    """The training of an arm, not begun."""
    spec = experiment(kind, arm, **{"black_box": WHOLE, **others})
    spec.check()
    (chosen,) = (one for one in spec.arms() if one.name == "a")
    return spec.training(chosen, 0, spec.data())


def test_what_is_not_used_leaves_no_trace_and_what_is_used_does() -> None:
    plain, table = (experiment(FF, {}, **more) for more in ({}, {"black_box": {"noise": 0.1}}))
    assert "black_box" not in plain.deciding()
    assert "black_box" not in plain.arms()[0].deciding()
    assert plain.box_of(plain.arms()[0]) is None
    assert table.deciding()["black_box"]["noise"] == 0.1
    own = experiment(FF, {"black_box": {"power": 2.0}}, black_box={"noise": 0.1})
    assert own.box_of(own.arms()[0]) == BlackBox(noise=0.1, power=2.0)
    off = experiment(FF, {"black_box": {"noise": 0.0}}, black_box={"noise": 0.1})
    assert off.box_of(off.arms()[0]) is None
    assert json.loads(begun({}).identity)["experiment"]["black_box"] == WHOLE


@pytest.mark.parametrize("arm", [{}, {"device": None}], ids=["PCM", "ideal"])
def test_the_bits_depend_on_no_thread_no_look_and_no_interruption(
    arm: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = {"widths": (300, 200), "epochs": 2}
    whole, killed, resumed, unseen = (begun(arm, **wide) for _ in range(4))

    def save() -> None:
        if killed.steps == 7:
            killed.save(tmp_path / "c.npz")

    whole.run()
    unseen.watched = False
    unseen.run()
    monkeypatch.setattr(jit, "_threads", 1)
    killed.run(save=save)
    resumed.resume(tmp_path / "c.npz")
    assert resumed.steps == 7
    resumed.run()
    assert states([resumed]) == states([killed]) == states([whole])
    assert timeless(resumed.result()) == timeless(whole.result())
    assert (
        unseen.stack.passed == resumed.stack.passed - len(whole.test.labels) * 11
    )  # the answers just asked for
    for one, other in zip(weights([unseen]), weights([whole]), strict=True):
        np.testing.assert_array_equal(one, other)


NO_DAC: dict[str, Any] = {"read": {"dac_bits": None}}
"""Activities of few codes of an ADC fall upon edges of a DAC's codes, where machines round apart."""


@pytest.mark.parametrize(
    ("kind", "arm", "more"),
    [
        (FF, {}, {}),
        (FF, {"device": None}, {}),
        (FF, {"device": None, "momentum": 0.0}, {"online": True, "train_images": 40}),
        (FF, {"phases": "apart"}, {}),
        (FF, {}, {"supervised": False}),
        ("local fields", NO_DAC, {}),
    ],
    ids=["PCM", "ideal", "sample by sample", "apart", "no labels", "local fields"],
)
def test_torch_learns_the_same(kind: str, arm: dict[str, Any], more: dict[str, Any]) -> None:
    ours, theirs = (
        begun({**arm, "precision": "float64", **on}, kind, **more) for on in ({}, {"backend": "torch"})
    )
    for one in (ours, theirs):
        one.run()
    agree(ours, theirs)


def test_a_batch_of_chips_has_a_box_each() -> None:
    arm = {"backend": "torch", "precision": "float64"}
    spec = experiment(FF, {**arm, "together": 3}, black_box=WHOLE, seeds=3)
    (chosen,) = spec.device_arms()
    trainings = [spec.training(chosen, seed, spec.data()) for seed in range(3)]
    for seed, beside in enumerate(trainings):
        beside.run()
        alone = experiment(FF, arm, black_box=WHOLE).training(
            chosen.changed(together=None), seed, spec.data()
        )
        alone.run()
        for one, other in zip(weights([alone]), weights([beside]), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)
        assert beside.stack.passed == alone.stack.passed
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(*(one.stack._given[0].mixture for one in trainings[:2]), atol=0.1)


def test_a_study_a_sweep_and_mortal_chips_take_it(tmp_path: Path) -> None:
    arms = (
        {"name": "ideal"},
        {"name": "none", "black_box": {"mixing": False, "power": 1.0, "noise": 0.0, "dropped": 0.0}},
    )
    results = study(experiment(FF, {}, arms, black_box=WHOLE), tmp_path / "study")
    assert {run["arm"] for run in results["runs"]} == {"a", "ideal", "none"}
    axis = ["experiment.black_box.noise=0.0,0.5"]
    found = sweep(experiment(FF, {}, black_box=WHOLE), tmp_path / "sweep", axis)["rows"]
    assert {row["experiment.black_box.noise"] for row in found} == {0.0, 0.5}
    assert not [row for row in found if "error" in row]
    copies = study(experiment("mortal", {"device": None}, kinds=("neurons",), black_box=WHOLE))
    assert copies["originals"][0]["on_ideal"].keys() == {"goodness", "softmax"}
    assert {(run["kind"], run["way"]) for run in copies["runs"]} == {
        ("neurons", "copied"),
        ("all", "scratch"),
    }
    with pytest.raises(ConfigError, match=r"neurons\.power_spread or black_box\.mixing"):
        experiment("mortal", {"device": None}, kinds=("neurons",), black_box={"noise": 0.1})


def test_a_learner_gives_the_same_answer_twice() -> None:
    images, y = load_digits().images, load_digits().target
    chip = Learner(begun({}).experiment, scale=16).fit(images[:100], y[:100])
    answers = [chip.predict(images[100:200]) for _ in range(2)]
    np.testing.assert_array_equal(*answers)


def test_it_goes_with_every_option_of_arrays_at_once() -> None:
    with_it, without = (begun(together(FF), black_box=how) for how in (WHOLE, None))
    for one in (with_it, without):
        one.run()
    below, above = zip(*(weights([one]) for one in (with_it, without)), strict=True)
    assert (above[0] != above[1]).any()
    result = with_it.result()
    assert 0 <= result["accuracy"] <= 1
    assert len(below) == 2


def test_it_learns_digits_through_one() -> None:
    settings = {
        "dataset": "digits",
        "train_images": 600,
        "test_images": 200,
        "widths": (60, 40),
        "epochs": 20,
        "batch": 20,
    }
    arms = [{"name": "learnt"}, {"name": "untrained", "learns": False}]
    box = {"mixing": True, "noise": 0.2}
    spec = ForwardForwardExperiment.parse({**settings, "black_box": box, "arm": arms}, "test")
    found = {run["arm"]: run["readouts"] for run in study(spec)["runs"]}
    assert found["learnt"]["goodness"] > found["untrained"]["goodness"] + 0.2
    assert found["learnt"]["softmax"] > found["untrained"]["softmax"] + 0.1
