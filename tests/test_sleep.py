"""Positive and negative phases far apart in time, with the negative phase's average as a baseline, against plain numpy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from capability_helpers import BATCH, experiment, states, timeless, together, weights
from helpers import FINE, IDEAL, PCM
from scipy.special import expit
from test_torch_forward_forward import agree, both

from neurosim import (
    Convolution,
    Crossbar,
    Dense,
    ForwardForwardArm,
    ForwardForwardExperiment,
    ForwardForwardStack,
    IdealArray,
    TorchCrossbar,
    WritePath,
    rules,
    sweep,
)
from neurosim.core.errors import CapabilityError, CheckpointError, ConfigError, InputError
from neurosim.reference.twin import compiled
from neurosim.reference.twin.arithmetic import TorchIdeal
from neurosim.study.run import study

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")

FF, FIELDS = "Forward-Forward", "local fields"
ROWS, COLS = 7, 5
SLEEP: dict[str, Any] = {"phases": "apart", "apart": 4}
"""Of six mini-batches: a stretch of four, and one of the two that are left."""
STORED = [(m, b) for m in (0.0, 0.8) for b in (0.0, 0.7)]
ORDER = [False] * 4 + [True] * 4 + [False] * 2 + [True] * 2
"""Whether each update of the training is of a sleep."""


def begun(arm: dict[str, Any], **others: Any) -> Any:
    """The training of an arm, not begun."""
    spec = experiment(FF, arm, **others)
    spec.check()
    (chosen,) = (one for one in spec.arms() if one.name == "a")
    return spec.training(chosen, 0, spec.data())


def watched(training: Any) -> list[tuple[np.ndarray, bool]]:
    """Let a training learn to its end; return the samples of each update, and whether it was asleep."""
    seen: list[tuple[np.ndarray, bool]] = []
    learn = training.stack.learn_phase

    def learn_phase(samples: Any, asleep: bool) -> Any:
        seen.append((np.array(samples, np.float64), asleep))
        return learn(samples, asleep)

    training.stack.learn_phase = learn_phase
    training.run()
    return seen


def directed(y: np.ndarray) -> np.ndarray:
    return y / (np.sqrt((y * y).mean(axis=1))[:, None] + 1e-8)


def stored_by_hand(change: np.ndarray, kept: dict[str, Any], asleep: bool, m: float, b: float) -> np.ndarray:
    """What is written of a change: B moves asleep and is added awake, then V = m V + (1 - m) change (footnote 15)."""
    if asleep:
        kept["B"] = b * kept.get("B", 0) + (1 - b) * change
    elif b:
        change = change + kept.get("B", 0)
    if m:
        change = kept["V"] = m * kept.get("V", 0) + (1 - m) * change
    return change


@pytest.mark.parametrize(("momentum", "baseline"), STORED)
def test_a_training_is_that_of_plain_numpy(momentum: float, baseline: float) -> None:
    """Section 5 of arXiv 2212.13345: equation 1 phase by phase, rates that fall, decay past what is stored; to 1e-9."""
    rate, decay = 0.05, 0.02
    settings = {"learning_rate": rate, "peer": 0.0, "decay": decay}
    arm = {**SLEEP, "device": None, "precision": "float64", "momentum": momentum, "baseline": baseline}
    training = begun({**arm, "settings": settings})
    ws = [layer.array.weights() for layer in training.layers]
    start = [w.copy() for w in ws]
    seen = watched(training)
    assert [asleep for _, asleep in seen] == ORDER
    kept: list[dict[str, Any]] = [{} for _ in ws]
    for update, (samples, asleep) in enumerate(seen):
        x = directed(samples)
        now = rate * min(1.0, 2 * (1 - update / len(seen)))
        for w, stored in zip(ws, kept, strict=True):
            x = np.hstack([x, np.ones((len(x), 1))])
            y = np.maximum(x @ w, 0)
            signal = (0.0 if asleep else 1.0) - expit((y * y).sum(axis=1) - y.shape[1])
            change = now / len(x) * x.T @ (signal[:, None] * y)
            w *= 1 - now * decay
            w += stored_by_hand(change, stored, asleep, momentum, baseline)
            x = directed(y)
    for layer, w, before in zip(training.layers, ws, start, strict=True):
        np.testing.assert_allclose(layer.array.weights(), w, rtol=0, atol=1e-9)
        assert np.abs(w - before).max() > 1e-3


def test_a_sleep_learns_the_images_of_its_stretch_with_the_labels_the_head_drew_awake() -> None:
    """The same wrong labels as without a sleep while nothing but the head decides them, and the same shifted images."""
    jittered = {"samples": {"jitter": 1, "negatives_per_sample": 2}}
    training = begun({**SLEEP, **jittered, "device": None})
    seen = watched(training)
    awake = [x for x, asleep in seen if not asleep]
    sleep = [x for x, asleep in seen if asleep]
    for positive, negative in zip(awake, sleep, strict=True):
        assert len(positive) == BATCH
        assert len(negative) == 2 * BATCH
        for half in np.split(negative, 2):
            np.testing.assert_array_equal(half[:, 10:], positive[:, 10:])
            labels = half[:, :10].argmax(axis=1)
            assert (labels != positive[:, :10].argmax(axis=1)).all()
    assert len({x[:, 10:].tobytes() for x in awake}) == len(awake)
    mixed = watched(begun({**SLEEP, "device": None}, supervised=False))
    assert [asleep for _, asleep in mixed] == ORDER
    again = watched(begun({"phases": "apart", "device": None}, supervised=False))
    for (one, _), (other, _) in zip(  # hybrids need no weights: the same in whatever order
        [each for each in mixed if each[1]], [each for each in again if each[1]], strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_stretches_of_one_are_two_updates_of_each_mini_batch() -> None:
    """What phases = "apart" was before there were stretches: `learn_apart`, mini-batch by mini-batch."""
    training = begun({"phases": "apart", "baseline": 0.5, "device": None})
    other = begun({"phases": "apart", "baseline": 0.5, "device": None})
    seen = watched(training)
    assert [asleep for _, asleep in seen] == [False, True] * 6
    for (positive, _), (negative, _) in zip(seen[::2], seen[1::2], strict=True):
        other.stack.learn_apart(positive.astype(np.float32), negative.astype(np.float32))
    for one, two in zip(weights([training]), weights([other]), strict=True):
        np.testing.assert_array_equal(one, two)


def changes(count: int = 8) -> list[tuple[np.ndarray, np.ndarray, bool]]:
    draws = np.random.default_rng(5)
    return [
        (draws.random((3, ROWS)), draws.normal(0, 4e-3, (3, COLS)), k // 2 % 2 == 1) for k in range(count)
    ]


@pytest.mark.parametrize("machine", [Crossbar, TorchCrossbar])
@pytest.mark.parametrize(("momentum", "baseline"), STORED[1:])
def test_devices_are_given_what_plain_numpy_says(machine: Any, momentum: float, baseline: float) -> None:
    """With linear steps, weights and what waits for a whole pulse are the sum of all changes, to 1e-9."""
    write = WritePath(momentum=momentum or None, baseline=baseline or None)
    array = machine((ROWS, COLS), IDEAL, seed=3, write=write, precision="float64")
    array.program(np.zeros((ROWS, COLS)), w_max=1.0)
    wanted, kept = np.zeros((ROWS, COLS)), {}
    for pre, post, asleep in changes():
        array.asleep = asleep
        array.update(pre, post, mode="mixed")
        wanted += stored_by_hand(pre.T @ post, kept, asleep, momentum, baseline)
        saved = array.snapshot()
        for name, value in (("velocity", kept.get("V")), ("baseline", kept.get("B", 0.0))):
            if name in saved:
                np.testing.assert_allclose(saved[name], np.broadcast_to(value, (ROWS, COLS)), atol=1e-15)
    assert {"velocity", "baseline"} & saved.keys() == {
        name for name, share in (("velocity", momentum), ("baseline", baseline)) if share
    }
    pulse = Crossbar((ROWS, COLS), IDEAL, precision="float64")
    pulse.program(np.zeros((ROWS, COLS)), w_max=1.0)
    held = np.asarray(array.weights()) + saved["accumulator"] * pulse.weight_per_pulse
    np.testing.assert_allclose(held, wanted, rtol=0, atol=1e-9)
    assert array.ledger.pulses > 20


@pytest.mark.parametrize("machine", [Crossbar, TorchCrossbar])
@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
def test_events_are_those_of_a_hand_count(machine: Any, mode: Any) -> None:
    """Of each synapse: the filter read and written, B read and written asleep and read awake; a multiply-add each."""
    pre, post = np.zeros((2, ROWS)), np.zeros((2, COLS))
    pre[0, 1] = pre[1, 4] = post[0, 0] = post[1, 2] = 1e-9
    synapses, formed, waits = ROWS * COLS, 1 + 1, mode == "mixed"
    for momentum, baseline in STORED:
        write = WritePath(momentum=momentum or None, baseline=baseline or None)
        array = machine((ROWS, COLS), IDEAL, write=write)
        for asleep in (False, True):
            before = array.ledger.macs, array.ledger.memory_accesses
            array.asleep = asleep
            array.update(pre, post, mode=mode)
            stores = (2 if momentum else 0) + (0 if not baseline else 2 if asleep else 1)
            dense = momentum or (baseline and not asleep)
            accumulators = 2 * (synapses if dense else 2 * 2) if waits else 0
            macs = array.ledger.macs - before[0]
            accesses = array.ledger.memory_accesses - before[1]
            assert macs == formed + synapses * (bool(momentum) + bool(baseline)), (momentum, baseline, asleep)
            assert accesses == synapses * stores + accumulators, (momentum, baseline, asleep)


def test_joules_of_the_store_are_those_of_its_accesses() -> None:
    joules = []
    for baseline in (None, 0.9):
        array = Crossbar((ROWS, COLS), IDEAL, write=WritePath(baseline=baseline))
        for array.asleep in (True, False):
            array.update(np.ones((1, ROWS)), np.full((1, COLS), 1e-9))
        joules.append(array.ledger.write_periphery_J)
    chip = array.periphery
    wanted = ROWS * COLS * (3 * chip.memory_access_pJ + 2 * chip.mac_pJ) * 1e-12
    assert joules[1] - joules[0] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("at", [2, 5, 4])
@pytest.mark.parametrize("arm", [{}, {"device": None}, {"mode": "accumulate"}], ids=str)
def test_it_goes_on_from_the_middle_of_a_stretch_to_the_same_bits(
    arm: dict[str, Any], at: int, tmp_path: Path
) -> None:
    """Four mini-batches awake, their sleep, and two more: kept after two, after four with their sleep, and after five."""
    arm = {**SLEEP, "baseline": 0.8, "samples": {"jitter": 1}, **arm}
    whole, killed, resumed = (begun(arm) for _ in range(3))

    def save() -> None:
        if killed.steps == at:
            assert len(killed.waiting) == at % 4
            killed.save(tmp_path / "c.npz")

    whole.run()
    killed.run(save=save)
    resumed.resume(tmp_path / "c.npz")
    assert (resumed.steps, len(resumed.waiting)) == (at, at % 4)
    resumed.run()
    assert not resumed.waiting
    assert states([resumed]) == states([killed]) == states([whole])
    assert timeless(resumed.result()) == timeless(whole.result())


def test_rates_and_the_clock_follow_every_update() -> None:
    training = begun({**SLEEP, "seconds_per_update": 10.0})
    array = training.layers[0].array
    at: list[float] = []
    update = array.update

    def timed(*given: Any) -> int:
        at.append(array.now_s)
        found: int = update(*given)
        return found

    array.update = timed
    training.run()
    np.testing.assert_allclose(at, 10.0 * np.arange(12))
    assert array.now_s == pytest.approx(120.0)
    assert training.layers[0].stated.rate_updates == int(training.layers[0].state["updates"][0]) == 12
    looping = begun({**SLEEP, "seconds_per_update": 10.0}, recurrent={"iterations": 3, "read_to": 3})
    looping.run()
    assert looping.layers[0].array.now_s == pytest.approx(360.0)
    assert looping.layers[0].array.ledger.updates == 36


# The twin

STRETCHES: dict[str, dict[str, Any]] = {
    "mixed": {"baseline": 0.8},
    "accumulate": {"baseline": 0.8, "mode": "accumulate", "write": {"decay_mode": "gain"}},
    "unfiltered": {"baseline": 0.8, "momentum": 0.0},
    "ideal": {"baseline": 0.8, "device": None},
    "without a baseline": {"samples": {"negatives_per_sample": 2, "jitter": 1}},
}


@pytest.mark.parametrize("name", STRETCHES)
def test_torch_learns_the_same(name: str) -> None:
    agree(*both(FF, {**SLEEP, **STRETCHES[name], "precision": "float64"}))


@pytest.mark.parametrize("arm", [{}, {"device": None}], ids=str)
def test_so_do_local_fields_without_labels(arm: dict[str, Any]) -> None:
    agree(*both(FIELDS, {**SLEEP, "baseline": 0.8, "precision": "float64", **arm}, supervised=False))


def test_so_does_a_batch_of_chips_and_each_goes_on_alone() -> None:
    arm = {**SLEEP, "baseline": 0.8, "precision": "float64", "backend": "torch"}
    alone, beside = begun(arm), begun({**arm, "together": 3}, seeds=3)
    for one in (alone, beside):
        one.run()
    for one, other in zip(weights([alone]), weights([beside]), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)
    assert beside.counts() == pytest.approx(alone.counts(), rel=1e-9)
    batch = beside.another([0, 1, 2])
    orders = np.arange(180).reshape(3, 60) % 60
    for k in range(2):
        batch.learn(orders[:, k * BATCH : (k + 1) * BATCH])
    one = beside.another(1)
    one.restore(batch.snapshot(1))
    np.testing.assert_array_equal([waited.chosen for waited in one.waiting], orders[1, :20].reshape(2, 10))
    assert [waited.wrong.shape for waited in one.waiting] == [(1, BATCH)] * 2


def test_compiled_passes_tell_the_phases_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_compiled", lambda graph, arguments: graph)
    found = []
    for compile_it in (False, True):
        write = WritePath(baseline=0.7, momentum=0.5, pulse_limit=3)
        array = TorchCrossbar((ROWS, COLS), FINE, seed=[1, 2], write=write, compiled=compile_it)
        array.program(np.zeros((ROWS, COLS)), w_max=1.0)
        for pre, post, array.asleep in changes():
            array.update(pre.astype(np.float32), post.astype(np.float32), mode="mixed")
        found.append([torch.from_numpy(array.snapshot(1)[name]) for name in ("baseline", "velocity")])
        found[-1].append(array.conductance_uS())
    for eager, fast in zip(*found, strict=True):
        torch.testing.assert_close(eager, fast, rtol=1e-5, atol=1e-8)


# What does not go together, and what leaves no trace


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ({"apart": 3}, "apart = 3: positive and negative samples are one update; set phases = 'apart'"),
        ({"baseline": 0.9}, r"baseline = 0\.9: positive and negative samples are one update"),
        ({"write": {"baseline": 0.9}}, r"baseline = 0\.9: positive and negative samples are one update"),
        ({**SLEEP, "baseline": 1.0}, "baseline"),
        ({"phases": "apart", "apart": 0}, "apart"),
        (
            {**SLEEP, "baseline": 0.9, "mode": "online", "momentum": 0.0},
            "mode 'online' sums nothing that could be stored; set baseline = 0",
        ),
    ],
    ids=str,
)
def test_what_has_no_meaning_is_refused_before_any_work(arm: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ForwardForwardExperiment.parse({"arm": [{"name": "a", "device": PCM, **arm}]}, "test")


def test_arrays_refuse_what_they_cannot_store() -> None:
    write = WritePath(baseline=0.5)
    array = Crossbar((ROWS, COLS), IDEAL, write=write)
    with pytest.raises(CapabilityError, match=r"write\.baseline follows the sweeps"):
        array.update(np.ones((1, ROWS)), np.ones((1, COLS)), mode="online")
    ff = rules.ForwardForward()
    with pytest.raises(CapabilityError, match="baseline: an average of negative phases needs an update for"):
        Dense(array, ff).learn(np.ones((2, ROWS)), np.array([1.0, -1.0]))
    for stores in (array, IdealArray((ROWS, COLS), baseline=0.5)):
        with pytest.raises(CapabilityError, match="'oja' has no phases, and a stored average"):
            Dense(stores, rules.Oja())
    with pytest.raises(CapabilityError, match="has no phases"):
        Convolution(Crossbar((9, 4), IDEAL, write=write), rules.Oja(), (5, 5, 1), kernel=3)
    with pytest.raises(CapabilityError, match="'softhebb' has no phases"):
        experiment("dense", {"write": {"baseline": 0.5}}).check()
    for made in (IdealArray, TorchIdeal):
        with pytest.raises(InputError, match=r"baseline = 1\.5: must lie between 0 and 1"):
            made((ROWS, COLS), baseline=1.5)
        with pytest.raises(CheckpointError, match="baseline"):
            made((ROWS, COLS), baseline=0.5).restore(made((ROWS, COLS)).snapshot())
    for machine in (Crossbar, TorchCrossbar):
        with pytest.raises(CheckpointError, match="baseline"):
            machine((ROWS, COLS), IDEAL, write=write).restore(Crossbar((ROWS, COLS), IDEAL).snapshot())


def test_single_samples_of_ideal_arithmetic_are_averaged_one_by_one() -> None:
    """`learn_online`, which reads blocks where nothing is stored, learns each sample as a phase of its own."""
    draws = np.random.default_rng(0)
    start = [draws.normal(0, 0.4, shape) for shape in ((ROWS + 1, COLS), (COLS + 1, COLS))]
    stacks = []
    for _ in range(2):
        arrays = [IdealArray(w.shape, "float64", baseline=0.6) for w in start]
        for array, w in zip(arrays, start, strict=True):
            array.program(w)
        rule = rules.ForwardForward(learning_rate=0.05)
        stacks.append(ForwardForwardStack([Dense(array, rule) for array in arrays]))
    positive, negative = draws.random((2, 4, ROWS))
    stacks[0].learn_online(positive, negative)
    for one, other in zip(positive, negative, strict=True):
        stacks[1].learn_apart(one[None], other[None])
    found = [[layer.array.snapshot()["baseline"] for layer in stack.layers] for stack in stacks]
    for one, other in pairwise(found):
        np.testing.assert_allclose(one[0], other[0], rtol=1e-9, atol=1e-15)
    assert np.abs(found[0][0]).max() > 0


def test_what_is_not_used_leaves_no_trace_and_what_is_used_does() -> None:
    plain, used = ForwardForwardArm(name="a", device=PCM), ForwardForwardArm(name="a", **SLEEP, baseline=0.9)
    assert not {"apart", "baseline"} & plain.deciding().keys()
    assert "baseline" not in plain.deciding()["write"]
    assert (used.deciding()["apart"], used.deciding()["baseline"]) == (4, 0.9)
    written = {"write": {"baseline": 0.9}}
    assert ForwardForwardArm(device=PCM, **SLEEP, **written).deciding()["write"]["baseline"] == 0.9
    assert ForwardForwardArm(device=PCM, **SLEEP, **written).filtered().baseline == 0.9


def test_a_study_a_sweep_and_mortal_chips_take_it(tmp_path: Path) -> None:
    beside = ({"name": "ideal", **SLEEP}, {"name": "apart", "phases": "apart", "baseline": 0.9})
    study(experiment(FF, {**SLEEP, "baseline": 0.9}, beside), tmp_path / "study")
    axes = ["apart=1,4", "arm.baseline=0.0,0.9"]
    found = sweep(experiment(FF, {"phases": "apart"}), tmp_path / "sweep", axes)["rows"]
    assert not [row for row in found if "error" in row]
    assert len({(row["arm.apart"], row["arm.baseline"]) for row in found}) == 4
    layered = {**SLEEP, "layer": [{}, {"baseline": 0.5}]}
    training = begun(layered)
    training.run()
    assert ["baseline" in layer.array.snapshot() for layer in training.layers] == [False, True]
    copies = study(experiment("mortal", {**SLEEP, "baseline": 0.9}))
    assert {run["way"] for run in copies["runs"]} == {"copied", "scratch"}


def test_it_goes_with_every_option_at_once() -> None:
    with_it, without = (begun({**together(FF), **arm}) for arm in ({**SLEEP, "baseline": 0.5}, {}))
    for one in (with_it, without):
        one.run()
    assert states([with_it]) != states([without])
    assert with_it.layers[0].array.ledger.updates == 12
