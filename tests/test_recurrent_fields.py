"""Local receptive fields with top-down effects: connectivity and learning against masked full matrices in numpy, bits, machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from capability_helpers import experiment, states, timeless, together, weights
from helpers import PCM
from scipy.special import expit
from test_local_fields import SEEN, batch, ideal_fields, start
from test_recurrent import NO_DAC, SHORT, directed
from test_torch_forward_forward import agree

from neurosim import (
    Crossbar,
    Dense,
    ForwardForwardArm,
    ForwardForwardExperiment,
    ForwardForwardStack,
    IdealArray,
    rules,
    sweep,
)
from neurosim.core.errors import CheckpointError, InputError
from neurosim.network.local_fields import LocalFields, driven_from_above, locations, receptive_fields
from neurosim.network.online import learn_each
from neurosim.report.forward_forward import forward_forward_markdown
from neurosim.study.forward_forward_build import build_stack
from neurosim.study.run import study

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")

FIELDS = "local fields"
CLASSES, NEURONS = 4, (3, 5, 4)
NET: dict[str, Any] = {
    "widths": (3, 5, 4), "fields": ((2, 2), (2, 1), (2, 1)), "recurrent": {}, "dataset": "digits",
}  # fmt: skip
IMAGE = (8, 6, 2)
PLACES = ((4, 3), (3, 2), (2, 1))
RULE = {"learning_rate": 0.02, "peer": 0.0, "decay": 0.0, "rate_updates": None}


def contained(place: tuple[int, int], above: tuple[int, int]) -> bool:
    """Whether a location lies in the field, two by two and one apart, of a location above."""
    return all(first <= own < first + 2 for own, first in zip(place, above, strict=True))


def masks() -> list[np.ndarray]:
    """Which weights of each full matrix exist, written out place by place: rows from below, from above, biases."""
    sizes = [np.prod(IMAGE), *(np.prod(place) * n for place, n in zip(PLACES, NEURONS, strict=True)), CLASSES]
    found = []
    for layer, (down, across) in enumerate(PLACES):
        below, cols, above = (int(size) for size in sizes[layer : layer + 3])
        mask = np.zeros((below + above + 1, cols), bool)
        mask[-1] = True
        for number in range(down * across):
            own = slice(number * NEURONS[layer], (number + 1) * NEURONS[layer])
            y, x = divmod(number, across)
            seen = np.zeros(IMAGE if layer == 0 else (*PLACES[layer - 1], NEURONS[layer - 1]), bool)
            top, left = (2 * y, 2 * x) if layer == 0 else (y, x)
            seen[top : top + 2, left : left + 2] = True
            mask[:below, own] = seen.ravel()[:, None]
            if layer == 2:
                mask[below:-1, own] = True
                continue
            higher = np.zeros((*PLACES[layer + 1], NEURONS[layer + 1]), bool)
            for place in np.ndindex(*PLACES[layer + 1]):
                if contained((y, x), place):
                    higher[place] = True
            mask[below:-1, own] = higher.ravel()[:, None]
        found.append(mask)
    return found


def net(**rule: Any) -> Any:
    """The stack as a study builds it, in double precision."""
    spec = ForwardForwardExperiment(**NET)
    arm = ForwardForwardArm(name="a", momentum=0.0, precision="float64", settings={**RULE, **rule})
    return build_stack(spec, arm, IMAGE, 10, 0, classes=CLASSES)


def by_hand(
    ws: list[np.ndarray], masked: list[np.ndarray], x: np.ndarray, iterations: int, phase: Any, sign: int = 1
) -> list[list[np.ndarray]]:
    """Section 3.4 in plain numpy with full matrices, masked after each update as section 4 has it."""
    pixels = int(np.prod(IMAGE))
    image, label, one = directed(x[:, :pixels]), directed(x[:, pixels:]), np.ones((len(x), 1))
    sizes = [w.shape[1] for w in ws]
    below, now = image, []
    for w, above in zip(ws, (*sizes[1:], CLASSES), strict=True):
        now.append(np.maximum(np.hstack([below, np.zeros((len(x), above)), one]) @ w, 0))
        below = directed(now[-1])
    course = [now]
    for _ in range(iterations):
        shown, now = [image, *map(directed, course[-1]), label], []
        for k, w in enumerate(ws):
            inputs = np.hstack([shown[k], shown[k + 2], one])
            y = 0.3 * course[-1][k] + 0.7 * np.maximum(inputs @ w, 0)
            now.append(y)
            if phase is not None:
                signal = (phase > 0) - expit(sign * ((y * y).sum(axis=1) - y.shape[1]))
                of_phase = np.where(phase > 0, (phase > 0).sum(), (phase < 0).sum())
                w += masked[k] * (inputs.T @ ((0.02 * sign * signal / of_phase)[:, None] * y))
        course.append(now)
    return course


def samples(count: int, seed: int) -> np.ndarray:
    draws = np.random.default_rng(seed)
    images = draws.random((count, int(np.prod(IMAGE))))
    return np.hstack([images, np.eye(CLASSES)[draws.integers(0, CLASSES, count)]])


def test_who_drives_whom() -> None:
    stack, wanted = net(), masks()
    for layer, mask in zip(stack.layers, wanted, strict=True):
        assert layer.array.shape == mask.shape
        exist = np.zeros(mask.shape, bool)
        for rows, cols in zip(layer.array.rows, layer.array.cols, strict=True):
            exist[rows, cols] = True
        np.testing.assert_array_equal(exist, mask)
    assert [sorted({len(rows) for rows in layer.array.rows}) for layer in stack.layers] == [
        [8 + 5 * n + 1 for n in (1, 2, 4)],
        [12 + 4 * n + 1 for n in (1, 2)],
        [20 + 4 + 1],
    ]
    fields = receptive_fields((3, 2, 5), 2, 1)
    own = driven_from_above(fields, 5, 4)
    assert [each.tolist() for each in own[:3]] == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize("goodness", ["squares", "minus-squares"])
def test_layers_are_full_ones_whose_other_weights_are_masked(goodness: str) -> None:
    """Goodness of each label and what layers learn in eight iterations, two mini-batches, to 1e-9."""
    stack, masked = net(goodness=goodness), masks()
    ws = [layer.array.weights() for layer in stack.layers]
    sign = 1 if goodness == "squares" else -1
    for w, mask in zip(ws, masked, strict=True):
        assert (w[:-1][mask[:-1]] != 0).all()
        assert not w[~mask].any()
    for k in range(2):
        positive, negative, before = samples(6, k), samples(3, 10 + k), [w.copy() for w in ws]
        phase = np.repeat([1.0, -1.0], [6, 3])
        course = by_hand(ws, masked, np.vstack([positive, negative]), 8, phase, sign)
        answers = stack.learn(positive, negative)
        for layer, w, was in zip(stack.layers, ws, before, strict=True):
            np.testing.assert_allclose(layer.array.weights(), w, rtol=0, atol=1e-9)
            assert np.abs(w - was).max() > 1e-3
        for state, y in zip(answers.states, course[-1], strict=True):
            np.testing.assert_allclose(state, directed(y), rtol=1e-7, atol=1e-9)
    images, wanted = samples(5, 3)[:, : int(np.prod(IMAGE))], []
    for label in range(CLASSES):
        course = by_hand(ws, masked, np.hstack([images, np.eye(CLASSES)[[label] * 5]]), 5, None)
        wanted.append(sum(sign * (y * y).sum(axis=1) for now in course[3:6] for y in now[1:]))
    found = stack.goodness_of_labels(images, CLASSES)
    np.testing.assert_allclose(found, np.transpose(wanted), rtol=1e-9)
    assert np.ptp(found, axis=1).min() > 1e-3, "the label has a part in it"


def test_start_weights_have_the_variance_of_their_own_location() -> None:
    spec = ForwardForwardExperiment(**{**NET, "widths": (40, 30, 20)})
    stack = build_stack(spec, ForwardForwardArm(name="a"), (16, 16, 2), 10, 0)
    seen = set()
    for array in locations(stack.layers[0].array):
        rows = array.shape[0] - 1
        seen.add(rows)
        own = array.weights()[:-1]
        assert own.std() * rows**0.5 == pytest.approx(1, abs=5 / np.sqrt(2 * own.size))
    assert seen == {8 + 30, 8 + 60, 8 + 120}


# Locations with different numbers of rows


def ragged(device: Any = None, seed: int = 0) -> LocalFields:
    """Six locations that see 32, 31 ... inputs."""
    seen = [own[: 32 - number] for number, own in enumerate(SEEN)]
    arrays: list[Any] = [
        IdealArray((33 - number, 3), "float64") if device is None else Crossbar((33 - number, 3), device, seed=seed, name=f"location {number}")
        for number in range(6)
    ]  # fmt: skip
    array = LocalFields(seen, arrays, 97)
    for own, rows, cols in zip(array.locations, array.rows, array.cols, strict=True):
        own.program(start()[rows, cols], w_max=own.w_max)
    return array


def test_a_sequence_of_equal_fields_is_what_the_matrix_of_them_is() -> None:
    arrays = [IdealArray((33, 3), "float64") for _ in SEEN]
    one, other = ideal_fields(), LocalFields(list(SEEN), arrays, 97)
    other.program(start(), w_max=other.w_max)
    rule = rules.ForwardForward(learning_rate=0.02)
    for array in (one, other):
        Dense(array, rule).learn(batch(0), np.repeat([1.0, -1.0], 4))
    np.testing.assert_array_equal(one.weights(), other.weights())


@pytest.mark.parametrize("device", [None, PCM])
def test_each_location_is_an_array_of_its_own_rows(device: Any) -> None:
    array, alone = ragged(device), ragged(device).locations
    x = batch(0) if device is None else batch(0).astype(np.float32)
    post = np.random.default_rng(1).normal(0, 0.05, (8, 18)).astype(x.dtype)
    if device is not None:
        array.calibrate(x)
    found = array.forward(x)
    array.update(x, post)
    for number, own in enumerate(alone):
        inputs = np.ascontiguousarray(x[:, [*SEEN[number][: 32 - number], 96]])
        cols = slice(3 * number, 3 * number + 3)
        if device is not None:
            own.calibrate(inputs)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(found[:, cols], own.forward(inputs))
        own.update(inputs, np.ascontiguousarray(post[:, cols]))
        np.testing.assert_array_equal(array.locations[number].weights(), own.weights())
    fresh = ragged(device)
    fresh.restore(array.snapshot())
    np.testing.assert_array_equal(fresh.weights(), array.weights())
    with pytest.raises(CheckpointError):
        ideal_fields().restore(ragged().snapshot())


def test_updates_of_single_samples_are_those_of_the_layer() -> None:
    rule = rules.ForwardForward(learning_rate=0.005)
    fast, slow = (Dense(ragged(), rule) for _ in range(2))
    x, phase = batch(3, 250), np.tile([1.0, -1.0], 125)
    learn_each(fast, x, phase)
    for k in range(250):
        slow.learn(x[k : k + 1], phase[k : k + 1])
    np.testing.assert_allclose(fast.array.weights(), slow.array.weights(), rtol=1e-8, atol=1e-12)


def test_fields_that_see_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="one sees no input"):
        LocalFields([SEEN[0], SEEN[1][:0]], [IdealArray((33, 3)), IdealArray((1, 3))], 97)
    with pytest.raises(InputError, match="location 1: the array has 33 rows, its field 31 inputs and a bias"):
        LocalFields([SEEN[0], SEEN[1][:31]], [IdealArray((33, 3))] * 2, 97)
    stack = [Dense(ragged(), rules.ForwardForward(jump=0.3))]
    with pytest.raises(Exception, match="jump needs full connectivity"):
        ForwardForwardStack(stack)


# Studies


def begun(arm: dict[str, Any], **others: Any) -> Any:
    """The training of an arm, not begun."""
    spec = experiment(FIELDS, arm, **{"recurrent": SHORT, **others})
    spec.check()
    (chosen,) = (one for one in spec.arms() if one.name == "a")
    return spec.training(chosen, 0, spec.data())


@pytest.mark.parametrize("arm", [{}, {"device": None}], ids=["PCM", "ideal"])
def test_an_interruption_changes_no_bit(arm: dict[str, Any], tmp_path: Path) -> None:
    whole, killed, resumed = (begun(arm) for _ in range(3))

    def save() -> None:
        if killed.steps == 2:
            killed.save(tmp_path / "c.npz")

    whole.run()
    killed.run(save=save)
    resumed.resume(tmp_path / "c.npz")
    assert resumed.steps == 2
    resumed.run()
    assert states([resumed]) == states([killed]) == states([whole])
    assert timeless(resumed.result()) == timeless(whole.result())


@pytest.mark.parametrize("arm", [NO_DAC, {"device": None}], ids=["PCM", "ideal"])
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


def test_it_goes_with_every_option_at_once() -> None:
    """What docs/capabilities.md says of it: whatever local fields take."""
    found = begun(together(FIELDS))
    found.run()
    assert sorted({array.shape[0] for array in locations(found.layers[0].array)}) == [20, 23, 29]
    result = found.result()
    assert 0 <= result["accuracy"] <= 1
    assert all("wires" in layer for layer in result["layers"])


def test_a_study_a_report_and_a_sweep_take_it(tmp_path: Path) -> None:
    beside = ({"name": "ideal"}, {"name": "plain", "recurrent": {"top_down": False}})
    results = study(experiment(FIELDS, {}, beside, recurrent=SHORT), tmp_path / "study")
    page = forward_forward_markdown("digits", results)
    assert "| a | 1 | 9 of 20 to 29 x 4 |" in page
    assert "|  | 2 | 4 of 27 x 3 |" in page
    assert "| plain | 1 | 9 of 17 x 4 |" in page
    (layer, last), (events, _) = results["runs"][0]["layers"], results["runs"][0]["events"]
    assert (
        layer["synapses"] == (4 * 20 + 4 * 23 + 29) * 4 == events["arrays"] * events["rows"] * events["cols"]
    )
    assert last["synapses"] == 4 * 27 * 3
    assert [held["rows"] for held in results["holding"]["a"]] == [28, 26]
    axis = ["experiment.recurrent.damping=0.0,0.5"]
    found = sweep(experiment(FIELDS, {}, recurrent=SHORT), tmp_path / "sweep", axis)["rows"]
    assert not [row for row in found if "error" in row]
    assert {row["experiment.recurrent.damping"] for row in found} == {0.0, 0.5}


def test_it_learns_digits() -> None:
    """The label, which no image carries, reaches every location."""
    settings = {"dataset": "digits", "train_images": 600, "test_images": 200, "widths": (12, 16), "fields": ((4, 2), (2, 1)), "epochs": 6, "batch": 20}  # fmt: skip
    accuracies = {}
    for learns in (True, False):
        found = begun(
            {"device": None, "mode": None, "learns": learns, "settings": {}}, **settings, recurrent={}
        )
        found.run()
        accuracies[learns] = found.result()["readouts"]
    assert accuracies[True]["goodness"] > 0.7
    assert accuracies[False]["goodness"] < 0.3
