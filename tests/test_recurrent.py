"""Forward-Forward with top-down effects against plain numpy; studies of it: bits, machines, refusals, what it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from capability_helpers import experiment, states, timeless, together, weights
from helpers import PCM
from scipy.special import expit
from test_torch_forward_forward import agree

from neurosim import (
    Crossbar,
    Dense,
    ForwardForwardExperiment,
    ForwardForwardStack,
    IdealArray,
    Recurrent,
    RecurrentStack,
    rules,
    sweep,
)
from neurosim.core.errors import CapabilityError, ConfigError, InputError
from neurosim.kernels import jit
from neurosim.study.run import study

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")

FF = "Forward-Forward"
CLASSES, WIDTHS = 4, (30, 20, 15)
PLAIN = rules.ForwardForward(learning_rate=0.02, peer=0.0, decay=0.0)
SHORT: dict[str, Any] = {"iterations": 3, "read_from": 2, "read_to": 3}


def started(top_down: bool, seed: int = 0) -> list[np.ndarray]:
    """Start weights, the rows from below first, then those from above, the biases last."""
    found, draws = [], np.random.default_rng(seed)
    for below, cols, above in zip(WIDTHS, WIDTHS[1:], (*WIDTHS[2:], CLASSES), strict=False):
        rows = below + (above if top_down else 0)
        found.append(draws.normal(0, 1.2 / rows**0.5, (rows + 1, cols)))
    return found


def layers(top_down: bool = True, rule: Any = PLAIN) -> list[Dense]:
    found = []
    for start in started(top_down):
        array = IdealArray(start.shape, "float64")
        array.program(start, w_max=array.w_max)
        found.append(Dense(array, rule))
    return found


def net(rule: Any = PLAIN, **how: Any) -> RecurrentStack:
    settings = Recurrent(**how)
    return RecurrentStack(layers(settings.top_down, rule), settings, CLASSES)


def samples(count: int, seed: int = 1) -> np.ndarray:
    """Images and, beside them, the labels that stand above the last layer."""
    draws = np.random.default_rng(seed)
    return np.hstack([draws.random((count, WIDTHS[0])), np.eye(CLASSES)[draws.integers(0, CLASSES, count)]])


def directed(y: np.ndarray, squares: bool = True) -> np.ndarray:
    return y / ((np.sqrt((y * y).mean(axis=1)) if squares else y.mean(axis=1))[:, None] + 1e-8)


def by_hand(
    ws: list[np.ndarray],
    x: np.ndarray,
    iterations: int,
    phase: np.ndarray | None = None,
    squares: bool = True,
) -> list[list[np.ndarray]]:
    """Section 3.4 in plain numpy: activities of each layer, of the bottom-up pass and of each iteration; weights learn in place."""
    image, label = directed(x[:, : WIDTHS[0]], squares), directed(x[:, WIDTHS[0] :], squares)
    one, below, now = np.ones((len(x), 1)), image, []
    for k, w in enumerate(ws):
        nothing = np.zeros((len(x), (*WIDTHS[2:], CLASSES)[k]))
        now.append(np.maximum(np.hstack([below, nothing, one]) @ w, 0))
        below = directed(now[-1], squares)
    course = [now]
    for _ in range(iterations):
        shown = [image, *(directed(y, squares) for y in course[-1]), label]
        now = []
        for k, w in enumerate(ws):
            inputs = np.hstack([shown[k], shown[k + 2], one])
            y = 0.3 * course[-1][k] + 0.7 * np.maximum(inputs @ w, 0)
            now.append(y)
            if phase is not None:
                signal = (phase > 0) - expit((y * y if squares else y).sum(axis=1) - y.shape[1])
                of_phase = np.where(phase > 0, (phase > 0).sum(), (phase < 0).sum())
                w += inputs.T @ ((0.02 * signal / of_phase)[:, None] * (y if squares else (y > 0)))
        course.append(now)
    return course


@pytest.mark.parametrize("squares", [True, False])
def test_each_iteration_is_that_of_plain_numpy(squares: bool) -> None:
    """Hinton, arXiv 2212.13345, section 3.4: states of each iteration, and the goodness summed over the third to the fifth."""
    rule = PLAIN.changed(goodness="squares" if squares else "sum")
    x, ws = samples(7), started(True)
    course = by_hand(ws, x, 8, squares=squares)
    goodness = [[(y * y if squares else y).sum(axis=1) for y in now] for now in course]
    for last in range(1, 9):
        found = net(rule, read_from=last, read_to=last).forward(x)
        np.testing.assert_allclose(found.goodness, np.transpose(goodness[last]), rtol=1e-12)
        for state, y in zip(found.states, course[last], strict=True):
            np.testing.assert_allclose(state, directed(y, squares), rtol=1e-10, atol=1e-12)
    summed = net(rule).forward(x).goodness
    np.testing.assert_allclose(summed, np.transpose(np.sum(goodness[3:6], axis=0)), rtol=1e-12)


@pytest.mark.parametrize("squares", [True, False])
def test_layers_learn_in_every_iteration_as_plain_numpy_does(squares: bool) -> None:
    """Section 3.4 with equation 1: eight updates of each layer from a mini-batch, in ideal arithmetic."""
    found = net(PLAIN.changed(goodness="squares" if squares else "sum"))
    positive, negative, ws = samples(6), samples(3, 2), started(True)
    course = by_hand(ws, np.vstack([positive, negative]), 8, np.repeat([1.0, -1.0], [6, 3]), squares=squares)
    answers = found.learn(positive, negative)
    for layer, wanted, before in zip(found.layers, ws, started(True), strict=True):
        assert layer.steps == 8
        np.testing.assert_allclose(layer.array.weights(), wanted, rtol=0, atol=1e-9)
        assert np.abs(wanted - before).max() > 1e-3
    for state, y in zip(answers.states, course[-1], strict=True):
        np.testing.assert_allclose(state, directed(y, squares), rtol=1e-7, atol=1e-9)


def test_goodness_of_labels_and_states_without_one() -> None:
    x, ws, found = samples(5), started(True), net()
    images = x[:, : WIDTHS[0]]
    wanted = []
    for label in range(CLASSES):
        course = by_hand(ws, np.hstack([images, np.eye(CLASSES)[[label] * 5]]), 5)
        wanted.append(sum((now[1] ** 2).sum(axis=1) for now in course[3:6]))
    np.testing.assert_allclose(found.goodness_of_labels(images, CLASSES), np.transpose(wanted), rtol=1e-12)
    (first, *_) = by_hand(ws, x, 0)
    np.testing.assert_allclose(found.neutral_states(images, CLASSES), directed(first[1]), rtol=1e-10)


def test_one_undamped_iteration_without_top_down_input_is_the_plain_stack() -> None:
    """Section 3.3 is what section 3.4 comes to without what is new in it: the same bits."""
    one = net(iterations=1, damping=0.0, read_from=1, read_to=1, top_down=False)
    plain = ForwardForwardStack(layers(top_down=False))
    positive, negative = (samples(6, seed)[:, : WIDTHS[0]] for seed in (1, 2))
    for _ in range(2):
        ours, theirs = one.learn(positive, negative), plain.learn(positive, negative)
        np.testing.assert_array_equal(ours.goodness, theirs.goodness)
    for a, b in zip(one.layers, plain.layers, strict=True):
        np.testing.assert_array_equal(a.array.weights(), b.array.weights())
    images, classes = positive, CLASSES
    np.testing.assert_array_equal(
        one.goodness_of_labels(images, classes), plain.goodness_of_labels(images, classes)
    )
    np.testing.assert_array_equal(one.neutral_states(images, classes), plain.neutral_states(images, classes))


def test_devices_count_every_iteration() -> None:
    arrays = [Crossbar(start.shape, PCM, seed=k) for k, start in enumerate(started(True))]
    stack = RecurrentStack([Dense(array, PLAIN) for array in arrays], Recurrent(), CLASSES)
    x = samples(10).astype(np.float32)
    stack.forward(x)
    assert [array.ledger.reads for array in arrays] == [10 * (1 + 5)] * 2
    stack.learn(x, x[:4])
    assert [array.ledger.reads for array in arrays] == [10 * (1 + 5) + 14 * (1 + 8)] * 2
    assert [array.ledger.updates for array in arrays] == [8, 8]
    for array in arrays:
        assert array.ledger.rule_macs == 8 * 14 * array.shape[1] * (4 + 2)
    before = [array.ledger.reads for array in arrays]
    stack.neutral_states(x[:, : WIDTHS[0]], CLASSES)
    assert [array.ledger.reads - b for array, b in zip(arrays, before, strict=True)] == [10, 10]


def test_what_does_not_fit_is_refused() -> None:
    narrow = [Dense(IdealArray(shape), PLAIN) for shape in ((30 + 15 + 1, 20), (16 + 4 + 1, 15))]
    with pytest.raises(
        InputError, match="layer 1 has 20 outputs, layer 2 takes 16, 4 from above, and a bias"
    ):
        RecurrentStack(narrow, Recurrent(), CLASSES)
    with pytest.raises(InputError, match="layer 1 has 5 rows: 4 are driven from above"):
        RecurrentStack([Dense(IdealArray((5, 20)), PLAIN)], Recurrent(), CLASSES)
    with pytest.raises(InputError, match=r"takes \(n, 34\)"):
        net().forward(samples(3)[:, : WIDTHS[0]])
    with pytest.raises(InputError, match="classes = 5: above the last layer there is room for 4"):
        net().goodness_of_labels(samples(3)[:, : WIDTHS[0]], 5)
    with pytest.raises(CapabilityError, match="leave out jump, or recurrent"):
        net(PLAIN.changed(jump=0.3))
    with pytest.raises(CapabilityError, match="leave out recurrent"):
        net().learn_online(samples(3), samples(3))
    with pytest.raises(ConfigError, match="read_to = 5: must be in this order, and at most iterations = 4"):
        Recurrent(iterations=4)
    for settings, words in (
        ({"online": True}, "leave out online, or recurrent"),
        ({"supervised": False}, "a label stands above the last layer"),
    ):
        with pytest.raises(ConfigError, match=f"recurrent: .*{words}"):
            ForwardForwardExperiment.parse({"recurrent": {}, **settings}, "test")
    with pytest.raises(ConfigError, match="damping"):
        ForwardForwardExperiment.parse({"arm": [{"name": "a", "recurrent": {"dampng": 0.1}}]}, "test")


# Studies


def begun(arm: dict[str, Any], **others: Any) -> Any:
    """The training of an arm, not begun."""
    spec = experiment(FF, arm, **{"recurrent": SHORT, **others})
    spec.check()
    (chosen,) = (one for one in spec.arms() if one.name == "a")
    return spec.training(chosen, 0, spec.data())


def test_what_is_not_used_leaves_no_trace_and_what_is_used_does() -> None:
    plain, table = (experiment(FF, {}, **more) for more in ({}, {"recurrent": SHORT}))
    assert "recurrent" not in plain.deciding()
    assert "recurrent" not in plain.arms()[0].deciding()
    assert table.deciding()["recurrent"]["iterations"] == 3
    own = experiment(FF, {"recurrent": {"damping": 0.5}}, recurrent=SHORT)
    assert own.recurrent_of(own.arms()[0]) == Recurrent(**SHORT, damping=0.5)
    assert experiment(FF, {"recurrent": {}}).recurrent_of(own.arms()[0].changed(recurrent={})) == Recurrent()


def test_rates_fall_over_all_iterations_and_so_the_clock_runs() -> None:
    found = begun({"seconds_per_update": 10.0, "phases": "apart"})
    found.run()
    assert [int(layer.state["updates"][0]) for layer in found.layers] == [2 * 3 * found.total] * 2
    assert found.layers[0].stated.rate_updates == 2 * 3 * found.total
    assert found.layers[0].array.ledger.updates == 2 * 3 * found.total
    assert found.layers[0].array.now_s == pytest.approx(10.0 * 2 * 3 * found.total)


@pytest.mark.parametrize("arm", [{}, {"device": None}], ids=["PCM", "ideal"])
def test_the_bits_depend_on_no_thread_and_no_interruption(
    arm: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = {"widths": (300, 200)}
    whole, killed, resumed = (begun(arm, **wide) for _ in range(3))

    def save() -> None:
        if killed.steps == 2:
            killed.save(tmp_path / "c.npz")

    whole.run()
    monkeypatch.setattr(jit, "_threads", 1)
    killed.run(save=save)
    resumed.resume(tmp_path / "c.npz")
    assert resumed.steps == 2
    resumed.run()
    assert states([resumed]) == states([killed]) == states([whole])
    assert timeless(resumed.result()) == timeless(whole.result())


NO_DAC: dict[str, Any] = {"read": {"dac_bits": None}}
"""Activities of few codes of an ADC, divided by each other, fall upon edges of a DAC's codes, where machines round apart."""


@pytest.mark.parametrize("arm", [{}, {"device": None}, {"recurrent": {"top_down": False}, **NO_DAC}], ids=str)
def test_torch_learns_the_same_alone_and_in_a_batch(arm: dict[str, Any]) -> None:
    double = {**arm, "precision": "float64"}
    ours, theirs = begun(double), begun({**double, "backend": "torch"})
    for one in (ours, theirs):
        one.run()
    if "device" not in arm:
        beside = begun({**double, "backend": "torch", "together": 3}, seeds=3)
        beside.run()
        for one, other in zip(weights([theirs]), weights([beside]), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)
        assert beside.counts() == pytest.approx(theirs.counts(), rel=1e-9)
    agree(ours, theirs)


def test_a_study_a_sweep_and_mortal_chips_take_it(tmp_path: Path) -> None:
    spec = experiment(
        FF, {}, ({"name": "ideal"}, {"name": "plain", "recurrent": {"top_down": False}}), recurrent=SHORT
    )
    results = study(spec, tmp_path / "study")
    rows = {run["arm"]: [layer["rows"] for layer in run["layers"]] for run in results["runs"]}
    assert rows == {"a": [64 + 6 + 1, 10 + 10 + 1], "ideal": [64 + 6 + 1, 10 + 10 + 1], "plain": [65, 11]}
    assert [held["rows"] for held in results["holding"]["a"]] == [70, 20]
    axis = ["experiment.recurrent.damping=0.0,0.5"]
    found = sweep(experiment(FF, {}, recurrent=SHORT), tmp_path / "sweep", axis)["rows"]
    assert {row["experiment.recurrent.damping"] for row in found} == {0.0, 0.5}
    assert not [row for row in found if "error" in row]
    own = experiment(FF, {"recurrent": {"damping": 0.1}}, recurrent=SHORT)
    with pytest.raises(ConfigError, match="has its own recurrent"):
        sweep(own, tmp_path / "own", axis)
    copies = study(experiment("mortal", {}, recurrent=SHORT))
    assert copies["originals"][0]["on_ideal"].keys() == {"goodness", "softmax"}
    assert {run["way"] for run in copies["runs"]} == {"copied", "scratch"}


def test_it_goes_with_every_option_at_once() -> None:
    """What docs/capabilities.md says of it: whatever Forward-Forward takes."""
    with_it, without = (begun(together(FF), recurrent=how) for how in (SHORT, None))
    for one in (with_it, without):
        one.run()
    assert [array.shape[0] for array in (layer.array for layer in with_it.layers)] == [71, 21]
    assert with_it.layers[0].array.ledger.updates == 3 * without.layers[0].array.ledger.updates > 0
    result = with_it.result()
    assert 0 <= result["accuracy"] <= 1
    assert all("wires" in layer for layer in result["layers"])


def test_it_learns_digits() -> None:
    """Without labels in the image every label has the same goodness until layers learn what stands above them."""
    settings = {
        "dataset": "digits",
        "train_images": 600,
        "test_images": 200,
        "widths": (60, 40),
        "epochs": 6,
        "batch": 20,
    }
    arms = [{"name": "ideal"}, {"name": "untrained", "learns": False}]
    spec = ForwardForwardExperiment.parse({**settings, "recurrent": {}, "arm": arms}, "test")
    found = {run["arm"]: run["readouts"] for run in study(spec)["runs"]}
    assert found["ideal"]["goodness"] > 0.8
    assert found["ideal"]["softmax"] > found["untrained"]["softmax"]
    assert found["untrained"]["goodness"] < 0.25
