"""Mortal chips: neurons nobody knows, chips that differ in one kind of draw, copies, learning on, the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import killed_and_resumed
from typer.testing import CliRunner

import neurosim.data
from neurosim import (
    Crossbar,
    Dense,
    Draws,
    Faults,
    ForwardForwardArm,
    ForwardForwardStack,
    IdealArray,
    MortalExperiment,
    Neurons,
    ReadPath,
)
from neurosim.cli import app
from neurosim.core.errors import CheckpointError, ConfigError
from neurosim.devices import load
from neurosim.network.neurons import Transfer
from neurosim.network.online import learn_each
from neurosim.report.mortal import mortal_markdown
from neurosim.rules import ForwardForward
from neurosim.study.forward_forward_build import build_stack
from neurosim.study.mortal import ChipTraining, images_until, mortal
from neurosim.study.mortal_spec import chip_seed, draws_of

F = np.float32
NEURONS = Neurons(power_spread=0.2, gain_spread=0.2, saturation=8.0)
IDEAL = ForwardForwardArm(name="ideal", neurons=NEURONS)
CHIP = ForwardForwardArm(
    name="chip",
    device="rram-hfo2-om-2022",
    parameters={"p_stuck_between": 0.1},
    read={"dac_bits": 8, "adc_bits": 8, "adc_gain_spread": 0.1},
    write={"decay_mode": "gain"},
    neurons=NEURONS,
)
SHAPE = 12, 8


def experiment(*arms: ForwardForwardArm, **changes: Any) -> MortalExperiment:
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 120, "test_images": 40, "widths": (24, 16), "epochs": 2, "batch": 20,
        "curve_images": 20, "chips": 1, "arm": arms or (IDEAL,), **changes,
    }  # fmt: skip
    return MortalExperiment(**settings)


def training(spec: MortalExperiment, seed: int = 0, **chip: Any) -> ChipTraining:
    data = neurosim.data.load("digits").subset(120, 40)
    return ChipTraining(spec.for_epochs(spec.epochs), spec.arm[0], seed, data, **chip)


# Neurons


def test_the_transfer_is_the_stated_function_of_each_neuron():
    powers, gains = np.array([0.8, 1.0, 1.3]), np.array([1.2, 0.5, 1.0])
    u = np.random.default_rng(0).normal(0, 4, (50, 3))
    found = Transfer(powers, gains, 8.0)(u)
    np.testing.assert_allclose(found, 8 * np.tanh(gains * np.sign(u) * np.abs(u) ** powers / 8), rtol=1e-12)
    order = np.argsort(u, axis=0)
    assert (np.diff(np.take_along_axis(found, order, 0), axis=0) > 0).all(), "it grows with the current"
    np.testing.assert_allclose(Transfer(powers * 0 + 1, gains * 0 + 1)(u), u)
    assert Transfer(powers, gains)(u.astype(F)).dtype == F


def test_neurons_are_those_of_their_seed_and_spread_as_stated():
    one, same, other = (NEURONS.draw(5000, seed, "layer 0") for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.powers, same.powers)
    np.testing.assert_array_equal(one.gains, same.gains)
    assert not np.isclose(one.powers, other.powers).any()
    assert not np.isclose(one.powers, NEURONS.draw(5000, 1, "layer 1").powers).any()
    for values in (np.log(one.powers), np.log(one.gains)):
        assert abs(values.mean()) < 5 * 0.2 / np.sqrt(5000)
        assert abs(values.std() / 0.2 - 1) < 5 / np.sqrt(2 * 5000)
    assert abs(np.corrcoef(one.powers, one.gains)[0, 1]) < 5 / np.sqrt(5000)


class Spy(ForwardForward):
    """Keeps the currents that the rule is shown."""

    def __call__(self, x: Any, u: Any, state: Any, phase: Any) -> Any:
        SEEN.append(u.copy())
        return super().__call__(x, u, state, phase)


SEEN: list[np.ndarray] = []


@pytest.mark.parametrize("device", [None, "ideal"])
def test_rule_next_layer_and_readouts_see_what_neurons_pass_on(device: str | None):
    """In learning and in reading alike, on ideal arithmetic and on devices; the array itself reads as ever."""
    SEEN.clear()
    x = np.random.default_rng(0).random((6, SHAPE[0] - 1), F)
    layers = []
    for number, shape in enumerate((SHAPE, (SHAPE[1] + 1, 5))):
        array: Any = IdealArray(shape) if device is None else Crossbar(shape, device)
        array.program(np.random.default_rng(number).normal(0, 0.5, shape), w_max=array.w_max)
        layers.append(Dense(array, Spy(), neurons=NEURONS.draw(shape[1], 0, f"layer {number}")))
    stack = ForwardForwardStack(layers)
    rule, inputs, bare = stack.rules[0], stack.rules[0].normalised(x)[0], []
    for layer in layers:
        bare.append(layer.array.forward(np.concatenate([inputs, np.ones((6, 1), F)], axis=1)))
        inputs = rule.normalised(layer.neurons(bare[-1]))[0]
    for answers in (stack.forward(x), stack.learn(x[:3], x[3:])):
        for number, layer in enumerate(layers):
            wanted = layer.neurons(bare[number])
            np.testing.assert_allclose(answers.states[number], rule.normalised(wanted)[0], rtol=1e-5)
            np.testing.assert_allclose(answers.goodness[:, number], rule.activity(wanted)[1], rtol=1e-5)
    for shown, layer, own in zip(SEEN, layers, bare, strict=True):
        np.testing.assert_allclose(shown, layer.neurons(own), rtol=1e-5)
        assert not np.allclose(shown, own, rtol=0.01)


def test_an_update_a_sample_sees_the_same_neurons():
    def layer() -> Dense:
        array = IdealArray(SHAPE, "float64")
        array.program(np.random.default_rng(0).normal(0, 0.4, SHAPE), w_max=array.w_max)
        return Dense(array, ForwardForward(learning_rate=0.05), neurons=NEURONS.draw(SHAPE[1], 0, "layer"))

    x, phase = np.random.default_rng(1).random((30, SHAPE[0])), np.tile([1.0, -1.0], 15)
    quick, slow = layer(), layer()
    found = learn_each(quick, x, phase)
    each = np.concatenate([slow.learn(x[k : k + 1], phase[k : k + 1]) for k in range(30)])
    np.testing.assert_allclose(found, each, rtol=1e-8)
    np.testing.assert_allclose(quick.array.weights(), slow.array.weights(), rtol=1e-8)


# What a chip is born with


def born(draws: Draws | None, seed: int = 0, **faults: Any) -> Crossbar:
    device = load(CHIP.device or "").with_parameters(**CHIP.parameters)
    return Crossbar(
        (40, 30), device, seed=seed, draws=draws, read=ReadPath(adc_gain_spread=0.1, read_noise=None),
        faults=Faults(**faults) if faults else None,
    )  # fmt: skip


def parts(array: Crossbar) -> dict[str, np.ndarray]:
    """Of an array, what each kind of draw made: limits of devices, stuck cells, gains."""
    state = array._cells.snapshot()
    return {
        "devices": state["state.upper"],
        "faults": state["state.fault"],
        "converters": array._reader.converters.gain,
    }


@pytest.mark.parametrize("kind", ["none", "devices", "faults", "converters", "all"])
def test_a_chip_has_one_kind_of_draw_of_another_and_all_others_of_its_own(kind: Any):
    own, other = parts(born(None, 1)), parts(born(None, 2))
    found = parts(born(draws_of(kind, 1, 2), 3))
    for name, values in found.items():
        changed = kind in (name, "all")
        np.testing.assert_array_equal(values, (other if changed else own)[name], err_msg=name)
        assert not np.array_equal(own[name], other[name])


def test_stuck_cells_of_another_chip_are_where_it_has_them_and_its_sound_cells_are_written():
    own, other, mixed = born(None, 1), born(None, 2), born(draws_of("faults", 1, 2), 3)
    stuck = other._cells.stuck
    assert 0.05 < stuck.mean() < 0.15
    weights = np.random.default_rng(0).normal(0, 0.3, (40, 30))
    before = other.conductance_uS()
    for array in (own, mixed):
        array.program(weights, w_max=array.w_max)
    np.testing.assert_array_equal(mixed.conductance_uS()[stuck], before[stuck])
    sound = ~stuck & ~own._cells.stuck
    apart = np.abs(mixed.conductance_uS() - own.conductance_uS())[sound]
    assert np.median(apart) < 0.2 * (90 - 10), "else programmed alike, but for the noise of another seed"


def test_broken_lines_belong_to_the_faults():
    lines = {"broken_word_lines": 0.2, "dead_columns": 0.2}
    own, other = born(None, 1, **lines), born(None, 2, **lines)
    same, moved = (born(draws_of(kind, 1, 2), 3, **lines) for kind in ("devices", "faults"))
    np.testing.assert_array_equal(same._cells.connected, own._cells.connected)
    np.testing.assert_array_equal(moved._cells.connected, other._cells.connected)
    assert moved._placement is not None
    np.testing.assert_array_equal(moved._placement.dead, other._placement.dead)  # type: ignore[union-attr]


def test_the_stack_of_a_chip_takes_neurons_and_arrays_of_its_draws():
    spec = experiment(CHIP)
    build = spec.for_epochs(1)
    for kind in ("neurons", "devices"):
        found = build_stack(build, CHIP, (8, 8, 1), 10, 3, draws_of(kind, 1, 2))  # type: ignore[arg-type]
        wanted = {seed: build_stack(build, CHIP, (8, 8, 1), 10, seed) for seed in (1, 2)}
        for number, layer in enumerate(found.layers):
            seed = 2 if kind == "neurons" else 1
            assert layer.neurons is not None
            np.testing.assert_array_equal(layer.neurons.powers, wanted[seed].layers[number].neurons.powers)


# Copies


def test_a_copy_on_the_same_chip_keeps_its_accuracy_exactly_in_ideal_arithmetic():
    first = training(experiment(epochs=4))
    first.run()
    learnt, result = first.learnt(), first.result()
    same, other = (
        training(experiment(), 5, copied=learnt, draws=draws_of(kind, 0, 5)) for kind in ("none", "neurons")
    )
    for one, weights in zip(same.stack.layers, learnt.weights, strict=True):
        np.testing.assert_array_equal(one.array.weights(), weights)
    images = first.data.inputs(first.test.images)
    states = [chip.stack.neutral_states(images, 10) for chip in (first, same, other)]
    np.testing.assert_allclose(states[0], states[1], atol=1e-5)
    assert not np.allclose(states[0], states[2], atol=0.1)
    same.run()
    assert same.before == {**result["readouts"], "correct": result["correct"]}


def test_a_copy_on_devices_is_what_programming_makes_of_the_weights():
    plain = CHIP.changed(device="ideal", parameters={}, name="plain")
    first = training(experiment(plain))
    first.run()
    copy = training(experiment(plain), 5, copied=first.learnt(), draws=draws_of("none", 0, 5))
    for layer, weights in zip(copy.stack.layers, first.learnt().weights, strict=True):
        most = layer.array.write.w_max  # type: ignore[attr-defined]
        np.testing.assert_allclose(layer.array.weights(), np.clip(weights, -most, most), atol=1e-5 * most)
    np.testing.assert_array_equal(copy.head.snapshot()["weights"], first.head.snapshot()["weights"])
    noisy = training(experiment(CHIP))
    noisy.run()
    learnt = noisy.learnt()
    copies = [
        training(experiment(CHIP), 5, copied=learnt, draws=draws_of(kind, 0, 5)) for kind in ("none", "all")
    ]
    errors = [
        float(np.mean([np.abs(layer.array.weights() - w).mean()
                       for layer, w in zip(copy.stack.layers, learnt.weights, strict=True)]))
        for copy in copies
    ]  # fmt: skip
    assert errors[0] < 0.7 * errors[1], (
        "stuck cells and bounds of the own chip are where it learnt around them"
    )


def test_a_copy_does_not_touch_what_is_copied_and_learns_on():
    first = training(experiment())
    first.run()
    learnt = first.learnt()
    kept = [weights.copy() for weights in learnt.weights]
    head = learnt.head["weights"].copy()
    copy = training(experiment(), 5, copied=learnt, draws=draws_of("neurons", 0, 5))
    copy.run()
    for weights, before, layer in zip(learnt.weights, kept, copy.stack.layers, strict=True):
        np.testing.assert_array_equal(weights, before)
        assert not np.array_equal(layer.array.weights(), before)
    np.testing.assert_array_equal(learnt.head["weights"], head)
    assert copy.curve[0]["images"] == 0
    assert [point["images"] for point in copy.curve][-1] == copy.total * 20


def test_no_image_reported_on_or_followed_is_learnt():
    for hold_out in (False, True):
        found = training(experiment(hold_out=hold_out))
        data = found.data
        learnt = {image.tobytes() for image in found.fit.images}
        np.testing.assert_array_equal(found.followed.images, data.x_validation[:20])
        np.testing.assert_array_equal(found.test.images, data.x_validation if hold_out else data.x_test)
        assert not learnt & {image.tobytes() for image in found.followed.images}


@pytest.mark.parametrize("arm", [IDEAL, CHIP], ids=lambda arm: arm.name)
def test_learning_on_that_was_killed_ends_in_the_same_bits(arm: ForwardForwardArm, tmp_path: Path):
    first = training(experiment(arm))
    first.run()
    chip: dict[str, Any] = {"copied": first.learnt(), "draws": draws_of("all", 0, 5)}
    whole, again = killed_and_resumed(lambda: training(experiment(arm), 5, **chip), tmp_path, at=4)
    assert again.curve == whole.curve
    assert again.before == whole.before is not None
    for other in ({"draws": draws_of("none", 0, 5)}, {"copied": None}):
        with pytest.raises(CheckpointError, match="another experiment"):
            training(experiment(arm), 5, **{**chip, **other}).resume(tmp_path / "c.npz")
    changed = arm.changed(neurons={"power_spread": 0.3})
    assert training(experiment(changed)).identity != training(experiment(arm)).identity


# The study


def test_a_study_goes_on_where_it_was_and_says_what_each_difference_cost(tmp_path: Path):
    spec = experiment(IDEAL, CHIP, chips=2)
    results = mortal(spec, tmp_path)
    kinds = {
        arm.name: [e["kind"] for e in results["summary"] if e["arm"] == arm.name][::2] for arm in spec.arm
    }
    assert kinds == {
        "ideal": ["none", "neurons"],
        "chip": ["none", "devices", "faults", "converters", "neurons", "all"],
    }
    same = [e for e in results["summary"] if (e["arm"], e["kind"]) == ("ideal", "none")]
    for entry in same:
        assert entry["copied_mean"] == entry["original_mean"]
        assert len(entry["relearnt_images"]) == len(entry["scratch_images"]) == 2
    ways = [(run["kind"], run["way"], run["chip"]) for run in results["runs"] if run["arm"] == "ideal"]
    assert ways == [
        (kind, way, chip)
        for chip in (1, 2)
        for kind, way in (("none", "copied"), ("neurons", "copied"), ("all", "scratch"))
    ]
    said: list[str] = []
    again = mortal(spec, tmp_path, said.append)
    assert again["summary"] == results["summary"]
    assert not [line for line in said if "mini-batches" in line], "nothing is trained twice"
    for file in tmp_path.glob("runs/*.json"):
        file.unlink()
    assert mortal(spec, tmp_path)["summary"] == results["summary"], "from checkpoints alone, the same"
    page = mortal_markdown("digits", results)
    assert "## chip, softmax" in page
    assert "| other stuck cells | 2 |" in page
    assert "digits-mortal.svg" in page
    assert "digits-recovery.svg" in page


def test_more_chips_do_not_train_the_first_ones_again(tmp_path: Path):
    few = mortal(experiment(), tmp_path)
    more = mortal(experiment(chips=2), tmp_path)
    assert more["originals"] == few["originals"]
    assert more["runs"][: len(few["runs"])] == few["runs"]
    assert chip_seed(0, 1) != chip_seed(0, 2) != chip_seed(1, 1)


def test_recovery_is_counted_in_images_and_lasts():
    scores = ((0, 0.5), (50, 0.7), (100, 0.5), (150, 0.6), (200, 0.6))
    curve = [{"images": n, "softmax": score} for n, score in scores]
    assert images_until(curve, "softmax", 0.6) == 150, "what is lost again does not count"
    assert images_until(curve, "softmax", 0.5) == 0
    assert images_until(curve, "softmax", 0.7) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"supervised": False}, "supervised"),
        ({"kinds": ["device"]}, "kinds"),
        ({"kinds": []}, "kinds: give at least one"),
        ({"chips": 0}, "chips"),
        ({"arm": [{"name": "a"}], "kinds": ["all"]}, "no two of its chips differ"),
        ({"arm": [{"name": "a", "learns": False}]}, "only what was learnt can be copied"),
        ({"arm": [{"name": "a", "neurons": {"power_spred": 0.1}}]}, "power_spred"),
        ({"arm": [{"name": "a", "neurons": {"saturation": 0}}]}, "saturation"),
        ({"relearn_epoch": 3}, "did you mean 'relearn_epochs'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(changes: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        MortalExperiment.parse(changes, "experiment")


def test_the_command_writes_results_and_figures(tmp_path: Path):
    file = tmp_path / "e.toml"
    file.write_text(
        'dataset = "digits"\ntrain_images = 80\ntest_images = 30\nwidths = [16, 12]\nepochs = 1\nbatch = 20\n'
        'chips = 1\n[[arm]]\nname = "ideal"\nneurons = { power_spread = 0.2 }\n',
        encoding="utf-8",
    )
    out, copy = tmp_path / "o", tmp_path / "j.json"
    done = CliRunner().invoke(
        app, ["mortal", str(file), "--out", str(out), "--seed", "3", "--json", str(copy)]
    )
    assert done.exit_code == 0, done.output
    kept = json.loads(copy.read_text(encoding="utf-8"))
    assert kept == json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert kept["runs"][0]["seed"] == 3
    for figure in ("mortal", "recovery"):
        assert "<svg" in (out / f"{figure}.svg").read_text(encoding="utf-8")
