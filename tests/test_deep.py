"""Deep networks: presets, arms, heads, and trainings that go on after they were killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import killed_and_resumed
from typer.testing import CliRunner

import neurosim.data
from neurosim import DeepArm, DeepExperiment, rules
from neurosim.cli import app
from neurosim.core import registry
from neurosim.core.errors import CheckpointError, ConfigError, UnknownNameError
from neurosim.core.seeds import generator
from neurosim.network.readout import LinearReadout, _bytes, _some, halvings
from neurosim.report.deep import deep_markdown
from neurosim.study.deep import DeepTraining, deep
from neurosim.study.deep_build import build_stack, holding, start_weights

PCM = DeepArm(
    name="PCM",
    device="pcm-nandakumar-2018",
    rule="softhebb",
    learning_rate=(0.1, 0.1),
    start_radius=2.5,
    statistics="running",
)


def experiment(*arms: DeepArm, **changes: Any) -> DeepExperiment:
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 80, "test_images": 30, "width": 0.25, "depth": 2, "head_epochs": 2,
        "arm": arms or (DeepArm(name="ideal"),), **changes,
    }  # fmt: skip
    return DeepExperiment(**settings)


def training(spec: DeepExperiment, arm: DeepArm) -> DeepTraining:
    return DeepTraining(spec, arm, 0, neurosim.data.load("digits").subset(80, 30))


def test_the_preset_is_that_of_table_4():
    """arXiv 2209.11883, table 4: 96, 384 and 1536 kernels at width factor four."""
    layers = DeepExperiment().layers
    assert [layer.neurons for layer in layers] == [96, 384, 1536]
    assert [layer.inverse_temperature for layer in layers] == [1.0, 0.65, 0.25]
    assert [layer.power for layer in layers] == [0.7, 1.4, 1.0]
    assert [layer.neurons for layer in DeepExperiment(width=1).layers] == [96, 96, 96]


def test_imagenette_takes_another_preset_for_each_depth():
    """facts/softhebb.md section 2: those of CIFAR up to three layers, of STL for four, of ImageNet for five."""
    nets = [DeepExperiment(preset="imagenette", depth=depth).layers for depth in (1, 2, 3, 4, 5)]
    presets = ("cifar", "cifar", "cifar", "stl", "imagenet")
    for depth, (found, preset) in enumerate(zip(nets, presets, strict=True), 1):
        assert found == DeepExperiment(preset=preset, depth=depth).layers
    assert DeepExperiment(preset="imagenette").layers == nets[-1]


@pytest.mark.parametrize(
    ("preset", "size", "left"),
    [("cifar", 8, 1), ("cifar", 28, 3), ("cifar", 32, 4), ("cifar", 96, 12), ("stl", 96, 6), ("stl", 32, 2),
     ("imagenette", 160, 5), ("imagenet", 64, 2)],
)  # fmt: skip
def test_any_preset_takes_images_of_any_size(preset: str, size: int, left: int):
    spec = DeepExperiment(preset=preset, width=0.25, arm=(DeepArm(name="random", learns=False),))
    stack = build_stack(spec, spec.arm[0], (size, size, 1), 0)
    assert stack.layers[-1].out_shape == (left, left, spec.layers[-1].neurons)


def test_start_weights_have_the_norm_asked_for():
    layer = DeepExperiment().layers[2]
    weights = start_weights(layer, 25.0, 3456, 2, 0)
    assert abs(np.linalg.norm(weights, axis=0).mean() - 25) < 0.1
    np.testing.assert_allclose(start_weights(layer, 2.5, 3456, 2, 0) * 10, weights, rtol=1e-5)


def test_an_arm_may_have_a_schedule_of_its_own():
    arm = DeepArm(name="ideal")
    one = training(experiment(arm, schedule="greedy"), arm)
    other = training(experiment(arm), arm.changed(schedule="greedy"))
    for each in (one, other):
        each.run()
    assert one.total == other.total == 2 * training(experiment(arm), arm).total
    for a, b in zip(one.stack.layers, other.stack.layers, strict=True):
        np.testing.assert_array_equal(a.array.weights(), b.array.weights())


@pytest.mark.parametrize("schedule", ["all", "greedy"])
@pytest.mark.parametrize("arm", [DeepArm(name="ideal"), PCM], ids=lambda arm: arm.name)
def test_a_killed_training_ends_in_the_same_bits(arm: DeepArm, schedule: str, tmp_path: Path):
    spec = experiment(arm, schedule=schedule)
    whole, second = killed_and_resumed(lambda: training(spec, arm), tmp_path)
    assert second.steps == whole.steps == (8 if schedule == "all" else 16) * (len(whole.fit.images) // 80)
    for one, other in zip(whole.stack.layers, second.stack.layers, strict=True):
        np.testing.assert_array_equal(one.array.weights(), other.array.weights())
    images = whole.fit.images[:20]
    np.testing.assert_array_equal(whole.features(images, [2])[2], second.features(images, [1, 2])[2])
    with pytest.raises(CheckpointError, match="another experiment"):
        training(spec.changed(batch=20), arm).resume(tmp_path / "c.npz")


def test_every_arm_gets_a_head_on_every_depth_and_is_not_run_twice(tmp_path: Path):
    hard = DeepArm(name="hard", hard=True)
    spec = experiment(DeepArm(name="ideal"), DeepArm(name="random", learns=False), hard, PCM, seeds=2)
    results = deep(spec, tmp_path)
    assert [(entry["arm"], entry["depth"]) for entry in results["summary"]] == [
        (arm.name, depth) for arm in spec.arm for depth in (1, 2)
    ]
    assert all(0 <= entry["accuracy_mean"] <= 1 for entry in results["summary"])
    assert all(run["layers"][0]["energy"]["pulses"] > 0 for run in results["runs"] if run["arm"] == "PCM")
    said: list[tuple[Any, ...]] = []
    assert deep(spec, tmp_path, lambda *told: said.append(told))["summary"] == results["summary"]
    other = deep(spec.changed(head_epochs=1, heads=(2,)), tmp_path, lambda *told: said.append(told))
    assert [entry["depth"] for entry in other["summary"]] == [2] * len(spec.arm)
    assert not said, "other heads need no other training"


def test_random_weights_stay_and_their_normalisation_is_calibrated():
    arm = DeepArm(name="random", learns=False)
    found = training(experiment(arm), arm)
    before = [layer.array.weights() for layer in found.stack.layers]
    found.run()
    for weights, layer in zip(before, found.stack.layers, strict=True):
        np.testing.assert_array_equal(weights, layer.array.weights())
        assert layer.norm.seen == found.total


def test_controls_are_read_with_converters_that_are_set_as_those_of_what_learns():
    """By hand: of each layer a multiple of a quantile of the currents, the layer before read so as well."""
    arm = PCM.changed(name="still", learns=False, read={"adc_bits": 4, "dac_bits": None})
    found = training(experiment(arm, train_images=None), arm)
    unset = [layer.array.snapshot()["adc_range_uS"] for layer in found.stack.layers]
    images = found._shaped(
        found.taken(generator(0, "order", 0).permutation(len(found.images))[: found.batch])
    )
    found.run()
    for default, layer in zip(unset, found.stack.layers, strict=True):
        assert (layer.array.snapshot()["adc_range_uS"] != default).all()
    other = training(experiment(arm), arm)
    for layer in other.stack.layers:
        images = layer.calibrate(images)
    for one, by_hand in zip(found.stack.layers, other.stack.layers, strict=True):
        np.testing.assert_array_equal(*(each.array.snapshot()["adc_range_uS"] for each in (one, by_hand)))


def test_the_headline_is_that_of_the_deepest_head_in_whatever_order_heads_are_asked_for():
    assert experiment(heads=(2, 1)).depths == experiment(heads=(1, 2, 2)).depths == (1, 2)
    assert experiment().depths == (1, 2)


def test_hard_competition_has_one_winner():
    arm = DeepArm(name="hard", hard=True)
    rule = training(experiment(arm), arm).stack.layers[0].dense.rule
    u = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    change = rule(np.ones((50, 3), np.float32), u, {"norm_squared": np.full(7, 4.0, np.float32)})
    assert ((change.post != 0).sum(axis=1) == 1).all()
    np.testing.assert_array_equal(change.post.argmax(axis=1), u.argmax(axis=1))


def test_an_arm_takes_any_rule_with_its_settings_and_the_layers_where_they_are_not_given():
    layers = DeepExperiment().layers
    hebb = DeepArm(name="a", rule="krotov-hopfield", settings={"rank": 3, "learning_rate": 0.2})
    rule = hebb.build_rule(layers[1], 1)
    assert rule == rules.KrotovHopfield(rank=3, learning_rate=0.2, rate_power=0.5)
    biased = DeepArm(name="a", settings={"bias": True, "bias_rate": 0.1, "rate_power": 0.75})
    wanted = {"bias": True, "bias_rate": 0.1, "rate_power": 0.75, "anti_hebbian": True}
    rule = biased.build_rule(layers[1], 1)
    assert rule == rules.SoftHebbPaper(inverse_temperature=0.65, learning_rate=0.005, **wanted)
    rates = DeepArm(name="a", rule="oja", learning_rate=(0.3, 0.2, 0.1), settings={"rate_updates": 70})
    assert rates.build_rule(layers[2], 2) == rules.Oja(learning_rate=0.1, rate_power=0.5, rate_updates=70)


@pytest.mark.parametrize("name", [n for n in registry.names("rule") if n != "forward-forward"])
def test_every_rule_learns_a_stack_and_goes_on_with_the_same_bits(name: str):
    arm = DeepArm(
        name="a", rule=name, start_radius=1.0, learning_rate=(1e-3, 1e-3), settings={"rate_updates": 50}
    )
    spec = experiment(arm, train_images=40, width=0.1)
    once, again = training(spec, arm), training(spec, arm)
    images = [once._images(once.fit.images[k : k + 5]) for k in (0, 5, 10)]
    before = once.stack.layers[1].array.weights()
    once.stack.learn(images[0])
    again.stack.restore(once.stack.snapshot())
    for some in images[1:]:
        np.testing.assert_array_equal(once.stack.learn(some), again.stack.learn(some))
    after = once.stack.layers[1].array.weights()
    assert np.isfinite(after).all()
    assert (after != before).any()
    assert once.stack.layers[0].dense.norm_every == (1 if once.stack.layers[0].dense.rule.ideal_only else 100)


def test_an_arm_may_change_the_activation():
    spec = experiment(DeepArm(name="tanh", activation="tanh"), DeepArm(name="triangle"))
    found = [training(spec, arm).stack.layers[0].activation for arm in spec.arm]
    assert found == ["tanh", "triangle"]


def test_the_identity_holds_every_setting_that_decides_a_bit_given_or_not():
    arm = DeepArm(name="ideal", hard=True, learning_rate=(0.1, 0.1))
    noted = json.loads(training(experiment(arm), arm).identity)
    assert noted["arm"]["hard"] is True
    assert noted["arm"]["statistics"] == "batch", "defaults decide bits as well"
    assert noted["experiment"]["layers"][0]["activation"] == "triangle"
    for same in (arm.changed(name="b"), arm.changed(mode="accumulate"), arm.changed(window=4.0)):
        assert training(experiment(same), same).identity == json.dumps(noted, sort_keys=True)
    for other in (
        arm.changed(hard=False),
        arm.changed(statistics="running"),
        arm.changed(learning_rate=(0.1, 0.2)),
    ):
        assert training(experiment(other), other).identity != json.dumps(noted, sort_keys=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arm": [{"name": "a", "settings": {"bais": True}}]}, "did you mean 'bias'"),
        ({"arm": [{"name": "a", "rule": "oja", "settings": {"rate_updates": 0}}]}, "rate_updates = 0"),
        ({"arm": [{"name": "a", "rule": "oja", "hard": True}]}, "no temperature"),
        ({"arm": [{"name": "a", "rule": "krotov-hopfield", "settings": {"rank": 99}}]}, "rank = 99"),
        (
            {"arm": [{"name": "a", "learning_rate": [1, 1, 1], "settings": {"learning_rate": 1}}]},
            "given twice",
        ),
        ({"arm": [{"name": "a", "rule": "sanger", "device": "ideal"}]}, "take 'softhebb'"),
        ({"arm": [{"name": "a", "rule": "forward-forward"}]}, "train it with `neurosim ff`"),
        ({"arm": [{"name": "a", "activation": "sigmoid"}]}, "activation"),
        ({"preset": "cifar11"}, "must be one of"),
        ({"depth": 4}, "'cifar' has 3 layers"),
        ({"preset": "imagenette", "depth": 6}, "has 5 layers"),
        ({"arm": [{"name": "a"}, {"name": "a"}]}, "two arms"),
        ({"arm": [{"name": "a", "learning_rate": [0.1]}]}, "need 3"),
        ({"heads": [4]}, "from 1 to 3"),
        ({"arm": [{"name": "a", "device": "ideal"}]}, "fixed gain|take 'softhebb'"),
        ({"widht": 2}, "width"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(changes: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        DeepExperiment.parse(changes, "experiment")


def test_an_unknown_rule_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'softhebb'"):
        DeepExperiment.parse({"arm": [{"name": "a", "rule": "softheb"}]}, "experiment")


def test_the_rate_is_halved_as_in_the_published_code():
    """facts/softhebb.md section 1: from 50 epochs on at 20, 35, 50, 60, 70, 80, 90 %, from 20 at 50 and 75 %."""
    assert sorted(halvings(100)) == [20, 35, 50, 60, 70, 80, 90]
    assert sorted(halvings(20)) == [10, 15]
    assert not halvings(10)


def test_a_head_learns_with_dropout_the_same_every_time():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 30)).astype(np.float16)
    y = (x[:, 0] > 0).astype(np.int64)
    heads = [LinearReadout(30, 2) for _ in range(2)]
    for head in heads:
        head.fit(x, y, epochs=40, batch=20, dropout=0.5, halve=True)
        assert head.accuracy(x, y) > 0.9
    assert (heads[0].weight == heads[1].weight).all()


@pytest.mark.parametrize("shape", [(5, 16), (3, 20)])
def test_what_is_left_out_follows_the_bytes_of_the_generator(shape: tuple[int, int]):
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(2):
        assert _bytes(shape, one).tobytes() == other.bytes(shape[0] * shape[1])


def test_rows_in_half_precision_are_taken_as_numpy_takes_them():
    x = np.random.default_rng(0).normal(size=(5, 1000)).astype(np.float16)
    x[0, :5] = [0, 1e-7, 6e-8, -1e-6, 65504]
    chosen = np.array([0, 3])
    for share in (0.0, 0.25):
        some, same = (
            _some(rows, chosen, share, np.random.default_rng(1)) for rows in (x, x.astype(np.float32))
        )
        np.testing.assert_array_equal(some, same)
        assert abs((some == 0).mean() - share) < 5 * (0.25 / some.size) ** 0.5 + 1e-3


def test_the_command_shows_depths_and_writes_json(tmp_path: Path):
    file = tmp_path / "e.toml"
    file.write_text(
        'dataset = "digits"\ntrain_images = 80\ntest_images = 30\nwidth = 0.25\ndepth = 2\nhead_epochs = 1\n',
        encoding="utf-8",
    )
    done = CliRunner().invoke(
        app, ["deep", str(file), "--out", str(tmp_path / "o"), "--json", str(tmp_path / "j.json")]
    )
    assert done.exit_code == 0, done.output
    assert "depth 2" in done.output
    kept = json.loads((tmp_path / "j.json").read_text(encoding="utf-8"))
    assert kept["summary"] == json.loads((tmp_path / "o/results.json").read_text(encoding="utf-8"))["summary"]
    assert kept["data"]["note"] in done.output


def test_what_devices_hold_is_known_before_training():
    """facts: one SET pulse of 0.75 of 11.9 uS is a quarter of the rms if four of them fill the window."""
    spec = experiment(PCM, DeepArm(name="ECRAM", device="ecram-li-tang-2018", rule="softhebb"))
    pcm, ecram = (holding(spec, arm, (28, 28, 1)) for arm in spec.arm)
    assert [layer["rows"] for layer in pcm] == [layer["rows"] for layer in ecram]
    for layer in pcm:
        assert layer["window"] == pytest.approx(4.0, rel=1e-5)
        assert layer["step"] == pytest.approx(4 * 0.75 / 11.9, rel=1e-5)
    assert ecram[0]["step"] == pytest.approx(4 * 2 * 0.02 / 20, rel=1e-3), (
        "both devices of a pair take a pulse"
    )
    assert ecram[0]["followed"] > 2 * pcm[0]["followed"]
    assert ecram[0]["spread"] < pcm[0]["spread"]
    assert ecram[0]["programmed"] < 0.01 < pcm[0]["programmed"]


def test_arms_may_be_run_one_by_one_and_are_collected(tmp_path: Path):
    file = tmp_path / "e.toml"
    file.write_text(
        'dataset = "digits"\ntrain_images = 80\ntest_images = 30\nwidth = 0.25\ndepth = 2\nhead_epochs = 1\n'
        '[[arm]]\nname = "ideal"\n[[arm]]\nname = "random"\nlearns = false\n',
        encoding="utf-8",
    )
    for arm in ("ideal", "random"):
        done = CliRunner().invoke(app, ["deep", str(file), "--out", str(tmp_path / "o"), "--arm", arm])
        assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["deep", str(file), "--out", str(tmp_path / "o")])
    assert "mini-batches" not in done.output
    kept = json.loads((tmp_path / "o/results.json").read_text(encoding="utf-8"))
    assert {entry["arm"] for entry in kept["summary"]} == {"ideal", "random"}
    assert (tmp_path / "o/depth.svg").stat().st_size > 1000
    page = deep_markdown("digits", kept)
    assert page.count("| ideal |") == 2
    assert page.count("|  | 2 |") == 2
    wrong = CliRunner().invoke(app, ["deep", str(file), "--out", str(tmp_path / "o"), "--arm", "idel"])
    assert wrong.exit_code != 0
    assert "ideal" in str(wrong.output) + str(wrong.exception)
