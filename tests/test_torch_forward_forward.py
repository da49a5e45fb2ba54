"""Forward-Forward on the torch backend: the same trainings as on numba, checkpoints of either, nothing fetched in a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from capability_helpers import OPTIONS, experiment, states, timeless, weights
from helpers import slow_unless

from neurosim import Dense, IdealArray, TorchDense, rules, sweep
from neurosim.core.errors import CheckpointError, InputError
from neurosim.network.forward_forward import SoftmaxHead
from neurosim.network.negatives import wrong_labels
from neurosim.network.online import learn_each
from neurosim.reference.agreement import DIFFERING_SHARE, difference
from neurosim.reference.twin.arithmetic import TorchIdeal
from neurosim.study.run import study
from neurosim.study.store import unpack_bits

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")

FF, FIELDS = "Forward-Forward", "local fields"
ON_TORCH = {"backend": "torch"}
IDEAL: dict[str, Any] = {"device": None}
JUMP: dict[str, Any] = {"momentum": 0.0, "settings": {"jump": 0.3}}
ARMS: dict[str, dict[str, Any]] = {
    "PCM": {},
    "ideal": IDEAL,
    "ideal, unfiltered": {**IDEAL, "momentum": 0.0},
    "accumulate": {"mode": "accumulate", "write": {"decay_mode": "gain"}},
    "apart": {"phases": "apart"},
    "neurons": OPTIONS["neurons"],
    "many negatives": {"samples": {"negatives": "uniform", "negatives_per_sample": 3, "jitter": 1}},
    "random": {"learns": False},
}


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def begun(kind: str, arm: dict[str, Any], **others: Any) -> Any:
    """The training of an arm, not begun."""
    spec = experiment(kind, arm, **others)
    spec.check()
    (chosen,) = (one for one in spec.arms() if one.name == "a")
    return spec.training(chosen, 0, spec.data())


def both(kind: str, arm: dict[str, Any], **others: Any) -> list[Any]:
    """Finished trainings of an arm by numba and by torch."""
    found = [begun(kind, {**arm, **machine}, **others) for machine in ({}, ON_TORCH)]
    for training in found:
        training.run()
    return found


def agree(numba: Any, other: Any) -> None:
    """Weights by the bounds of `neurosim validate`, which a training in double precision keeps; counts exactly."""
    precision = numba.layers[0].array.precision
    given = [{f"layer {k}": w for k, w in enumerate(weights([one]))} for one in (numba, other)]
    line = difference("training", "a", precision, True, *given)
    assert line.differing <= DIFFERING_SHARE, line
    np.testing.assert_array_equal(numba.stack.quiet, other.stack.quiet)
    assert numba.counts().keys() == other.counts().keys()
    for name, count in numba.counts().items():
        assert other.counts()[name] == pytest.approx(count, rel=1e-9), name
    heads = [one.head.snapshot()["weights"] for one in (numba, other)]
    np.testing.assert_allclose(*heads, rtol=0, atol=1e-5 * np.abs(heads[0]).max())
    found = [one.result() for one in (numba, other)]
    assert found[0]["correct"] == found[1]["correct"]
    assert found[0]["readouts"] == found[1]["readouts"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [*((FF, name) for name in ARMS), (FIELDS, "PCM"), (FIELDS, "ideal"), (FIELDS, "neurons")],
)
def test_a_training_in_double_precision_agrees_with_numba(kind: str, name: str) -> None:
    agree(*both(kind, {**ARMS[name], "precision": "float64"}))


@pytest.mark.parametrize("kind", [FF, FIELDS])
def test_so_do_devices_in_single_precision(kind: str) -> None:
    """Pulses are whole numbers, which rounding alone does not change."""
    agree(*both(kind, {}))
    agree(*both(kind, {"samples": {"negatives": "uniform"}}, supervised=False))


@pytest.mark.parametrize("arm", [{**IDEAL, "momentum": 0.0}, JUMP, {**JUMP, **IDEAL}])
def test_so_do_updates_of_single_samples(arm: dict[str, Any]) -> None:
    agree(*both(FF, {**arm, "precision": "float64"}, online=True, train_images=40))


def test_samples_one_by_one_may_be_handed_as_numpy() -> None:
    tensors: Any = TorchIdeal((9, 5), "float64")
    layers: list[Any] = [
        Dense(IdealArray((9, 5), "float64"), rules.SoftHebb()),
        TorchDense(tensors, rules.SoftHebb()),
    ]
    x, start = np.random.default_rng(1).random((4, 9)), np.random.default_rng(0).random((9, 5))
    for layer in layers:
        layer.array.program(start)
    found = [np.asarray(learn_each(layer, x)) for layer in layers]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
    assert np.abs(found[0] - x @ start).max() > 1e-4


def test_a_jump_lands_as_with_numba() -> None:
    rule = rules.ForwardForward(jump=0.3, rate_updates=4)
    draws = np.random.default_rng(0)
    tensors: Any = TorchIdeal((9, 5), "float64")
    layers: list[Any] = [Dense(IdealArray((9, 5), "float64"), rule), TorchDense(tensors, rule)]
    start = draws.normal(0.1, 0.3, (9, 5))
    for layer in layers:
        layer.array.program(start)
    for phase in (1.0, -1.0, 1.0):
        x = draws.random((1, 9))
        for layer in layers:
            layer.learn(x, np.array([phase]))
    moved, other = layers[0].array.weights(), layers[1].array.weights().numpy()
    assert np.abs(moved - start).max() > 0.01
    np.testing.assert_allclose(other, moved, rtol=1e-12)


@pytest.mark.parametrize("kind", [FF, FIELDS])
def test_killed_and_resumed_it_ends_in_the_same_bits(kind: str, tmp_path: Path) -> None:
    whole, killed, resumed = (begun(kind, ON_TORCH) for _ in range(3))

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


@pytest.mark.parametrize("kind", [FF, FIELDS])
@pytest.mark.parametrize("arm", [{}, IDEAL], ids=["PCM", "ideal"])
def test_either_machine_goes_on_from_a_checkpoint_of_the_other(kind: str, arm: dict[str, Any]) -> None:
    double = {**arm, "precision": "float64"}
    for first, second in (({}, ON_TORCH), (ON_TORCH, {})):
        here, there = begun(kind, {**double, **first}), begun(kind, {**double, **second})

        def hand_over(here: Any = here, there: Any = there) -> None:
            if here.steps == 3:
                there.restore(here.snapshot())
                there.take_notes(here.notes())

        here.run(save=hand_over)
        assert there.steps == 3
        there.run()
        agree(here, there)


@pytest.mark.slow
def test_a_study_a_sweep_and_its_workers_take_it(tmp_path: Path) -> None:
    spec = experiment(FF, ON_TORCH, ({"name": "ideal"},), backend="torch")
    results = study(spec, tmp_path / "study")
    assert [run["arm"] for run in results["runs"]] == ["a", "ideal"]
    assert results["holding"]["a"] == study(experiment(FF))["holding"]["a"]
    assert timeless(study(spec, workers=2)) == timeless(study(spec))
    rows = sweep(experiment(FF), tmp_path / "sweep", ["backend=numba,torch"])["rows"]
    assert not [row for row in rows if "error" in row]
    assert {row["backend"] for row in rows} == {"numba", "torch"}
    assert len({row["accuracy"] for row in rows}) == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [*((FF, name) for name in ("PCM", "ideal", "accumulate", "apart", "neurons")), (FIELDS, "ideal")],
)
def test_no_step_asks_the_device_for_a_number(kind: str, name: str) -> None:
    """On the meta device there are no numbers: whatever would wait for one fails."""
    arm = {**ARMS[name], **ON_TORCH, "torch_device": "meta"}
    if "device" not in arm:
        arm["write"] = {**arm.get("write", {}), "pulse_limit": 4}
    training = begun(kind, arm, calibrate_every=1000)
    training.steps = 1
    for _ in range(2):
        training.step(np.arange(10))
    assert training.head.scores(torch.ones(3, training.head._weights.shape[0])).device.type == "meta"
    with pytest.raises(Exception, match="meta"):
        training.result()


def test_labels_drawn_from_tensors_are_those_of_arrays() -> None:
    scores, labels = np.random.default_rng(0).normal(0, 3, (50, 10)).astype(np.float32), np.arange(50) % 10
    wanted = wrong_labels(scores, labels, 4, np.random.default_rng(1))
    tensors: Any = torch.from_numpy(scores)
    found = wrong_labels(tensors, labels, 4, np.random.default_rng(1))
    assert torch.equal(torch.from_numpy(wanted), torch.as_tensor(found))


def test_a_head_of_tensors_refuses_what_does_not_fit() -> None:
    head = SoftmaxHead(6, 3, placed=torch.from_numpy)
    with pytest.raises(CheckpointError, match="does not fit this head: weights"):
        head.restore(SoftmaxHead(6, 4).snapshot())


def test_filters_of_ideal_arithmetic_are_kept_and_refused_alike() -> None:
    with pytest.raises(InputError, match=r"momentum = 1\.0"):
        TorchIdeal((4, 3), momentum=1.0)
    with pytest.raises(CheckpointError, match="velocity"):
        TorchIdeal((4, 3), momentum=0.5).restore(TorchIdeal((4, 3)).snapshot())


ALIKE = {"each": {"parameters": {"p_stuck_between": 0.1}}, "neurons": {**IDEAL, **OPTIONS["neurons"]}}
"""Chips that differ in devices and stuck cells, and in neurons alone."""


@pytest.mark.parametrize(
    ("arm", "kinds"), [slow_unless(False, "each", ("devices", "faults")), ("neurons", ("neurons",))]
)
def test_mortal_chips_are_those_of_numba(arm: str, kinds: tuple[str, ...]) -> None:
    spec = experiment("mortal", {**ALIKE[arm], **ON_TORCH, "precision": "float64"}, kinds=kinds)
    spec.check()
    found = study(spec)
    again = study(spec.changed(arm=tuple(arm.changed(backend="numba") for arm in spec.arm)))
    assert [run["kind"] for run in found["runs"]] == [run["kind"] for run in again["runs"]]
    for one, other in zip(
        found["originals"] + found["runs"], again["originals"] + again["runs"], strict=True
    ):
        for readout, kept in one["correct"].items():
            ours, theirs = (unpack_bits(each, 20) for each in (kept, other["correct"][readout]))
            assert np.sum(ours != theirs) <= 1, "one answer on an edge, where processors round apart"


def test_neurons_of_one_layer_are_those_of_numba() -> None:
    """SoftHebb, whose layer had none on torch before."""
    found = []
    for machine in ({}, ON_TORCH):
        spec = experiment("dense", {**OPTIONS["neurons"], **machine})
        spec.check()
        training = spec.training(spec.device_arms()[0], 0, spec.data())
        training.run()
        found.append((weights([training])[0], training.result()["accuracy"]))
    np.testing.assert_allclose(found[1][0], found[0][0], atol=1e-5)
    assert found[0][1] == found[1][1]
