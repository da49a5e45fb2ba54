"""Local receptive fields: what each location sees, that it learns as an array by itself, sums over locations, studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import PCM, killed_and_resumed

import neurosim.data
from neurosim import (
    Crossbar,
    Dense,
    ForwardForwardArm,
    ForwardForwardExperiment,
    ForwardForwardStack,
    IdealArray,
    WritePath,
    rules,
)
from neurosim.core.errors import CheckpointError, ConfigError, InputError
from neurosim.network.local_fields import LocalFields, grid, locations, receptive_fields
from neurosim.network.negatives import with_labels, with_neutral_label
from neurosim.report.forward_forward import forward_forward_markdown
from neurosim.study.evaluate import unmetered
from neurosim.study.forward_forward import ForwardForwardTraining, forward_forward
from neurosim.study.forward_forward_build import build_stack

IDEAL = ForwardForwardArm(name="ideal")
ON_PCM = ForwardForwardArm(name="PCM", device="pcm-nandakumar-2018", write={"decay_mode": "gain"})
SHAPE = (6, 8, 2)
SEEN = receptive_fields(SHAPE, 4, 2)  # 2 x 3 locations of 32 inputs
ROWS, COLS = 96 + 1, 6 * 3


def batch(seed: int, samples: int = 8, rows: int = 96) -> np.ndarray:
    return np.hstack([np.random.default_rng(seed).random((samples, rows)), np.ones((samples, 1))])


def start(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.05, 0.2, (ROWS, COLS))


def ideal_fields(**settings: Any) -> LocalFields:
    array = LocalFields(SEEN, [IdealArray((33, 3), "float64", **settings) for _ in SEEN], ROWS)
    array.program(start(), w_max=array.w_max)
    return array


def crossbar(device: Any, number: int, **write: Any) -> Crossbar:
    own = Crossbar((33, 3), device, seed=4, name=f"location {number}", write=WritePath(**write))
    own.program(np.random.default_rng(number).normal(0, 0.1, (33, 3)), w_max=own.w_max)
    return own


# What each location sees


@pytest.mark.parametrize(
    ("shape", "size", "stride", "places"),
    [((28, 28, 1), 10, 6, (4, 4)), ((4, 4, 128), 2, 1, (3, 3)), ((3, 3, 220), 2, 1, (2, 2)), (SHAPE, 4, 2, (2, 3))],
)  # fmt: skip
def test_fields_see_their_pixels_with_all_channels(shape, size, stride, places):
    """arXiv 2212.13345, section 3.2: 100, 512 and 880 inputs each."""
    height, width, channels = shape
    assert grid(shape, size, stride) == places
    found = receptive_fields(shape, size, stride)
    assert found.shape == (places[0] * places[1], size * size * channels)
    for number, inputs in enumerate(found):
        top, left = stride * (number // places[1]), stride * (number % places[1])
        wanted = [
            (row * width + column) * channels + channel
            for row in range(top, top + size)
            for column in range(left, left + size)
            for channel in range(channels)
        ]
        assert inputs.tolist() == wanted
    assert set(found.ravel()) == set(range(height * width * channels)), "no pixel is left unseen"


@pytest.mark.parametrize("image", [(32, 28, 1), (28, 32, 3), (8, 8, 1)])
def test_fields_that_do_not_cover_an_image_are_refused(image):
    with pytest.raises(InputError, match=r"fields of 10 x 10, 6 apart, do not cover .* choose other fields"):
        receptive_fields(image, 10, 6)


def test_the_preset_is_the_net_of_the_paper():
    stack = build_stack(ForwardForwardExperiment(preset="local"), IDEAL, (28, 28, 1), 10, 0)
    arrays = [locations(layer.array) for layer in stack.layers]
    assert [(len(some), some[0].shape) for some in arrays] == [
        (16, (101, 128)),
        (9, (513, 220)),
        (4, (881, 512)),
    ]
    assert [layer.array.shape[1] for layer in stack.layers] == [2048, 1980, 2048]
    first, second = (array.weights() for array in arrays[0][:2])
    assert abs(first[:-1].std() * 10 - 1) < 5 / np.sqrt(2 * first.size), "variance 1 / inputs of a field"
    assert not np.array_equal(first, second), "nothing is shared"


def test_a_pixel_moves_only_the_locations_that_see_it():
    array, x = ideal_fields(), batch(1, 1)
    for pixel in (0, 2 * 16 + 3 * 2 + 1, 95):
        other = x.copy()
        other[0, pixel] += 1
        moved = (array.forward(other) != array.forward(x)).reshape(len(SEEN), 3)
        assert (moved == (pixel == SEEN).any(axis=1)[:, None]).all()
        assert 0 < moved.any(axis=1).sum() < len(SEEN)


# How they learn


def test_the_layer_is_a_full_one_whose_other_weights_are_masked_after_each_update():
    """The way to get this connectivity that the paper gives in section 4; filter, peer term and decay included."""
    rule = rules.ForwardForward(learning_rate=0.02, peer=0.3, decay=0.1)
    mask = np.zeros((ROWS, COLS))
    for number, inputs in enumerate(SEEN):
        mask[inputs, 3 * number : 3 * number + 3] = 1
    mask[-1] = 1
    own, full = Dense(ideal_fields(momentum=0.5), rule), Dense(IdealArray((ROWS, COLS), "float64"), rule)
    full.array.program(start() * mask, w_max=full.array.w_max)
    velocity = np.zeros((ROWS, COLS))
    phase = np.repeat([1.0, -1.0], 4)
    for step in range(3):
        x, before = batch(step), full.array.weights()
        np.testing.assert_allclose(own.learn(x, phase), full.learn(x, phase), rtol=1e-10)
        velocity = 0.5 * velocity + 0.5 * mask * (full.array.weights() - before * (1 - 0.02 * 0.1))
        full.array.program(before * (1 - 0.02 * 0.1) + velocity, w_max=full.array.w_max)
        np.testing.assert_allclose(own.array.weights(), full.array.weights(), rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(own.state["mean_activity"], full.state["mean_activity"], rtol=1e-12)


@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
def test_each_location_learns_as_a_layer_by_itself_on_its_field(mode):
    """Bit for bit, under a rule that looks at each column alone."""
    rule = rules.Oja(learning_rate=0.9)
    layer = Dense(LocalFields(SEEN, [crossbar(PCM, k) for k in range(6)], ROWS), rule, mode, norm_every=2)
    alone = [Dense(crossbar(PCM, k), rule, mode, norm_every=2) for k in range(6)]
    for step in range(4):
        x = batch(step)
        u = layer.learn(x)
        for number, (each, inputs) in enumerate(zip(alone, SEEN, strict=True)):
            own = each.learn(np.hstack([x[:, inputs], x[:, -1:]]))
            np.testing.assert_array_equal(u[:, 3 * number : 3 * number + 3], own)
    for each, own in zip(alone, locations(layer.array), strict=True):
        np.testing.assert_array_equal(each.array.conductance_uS(), own.conductance_uS())  # type: ignore[attr-defined]
        assert own.ledger.pulses > 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("device", [None, PCM])
def test_one_location_that_sees_everything_is_a_dense_layer_bit_for_bit(device: Any):
    def array() -> Any:
        found: Any = IdealArray((97, 5)) if device is None else Crossbar((97, 5), device, seed=1)
        found.program(np.random.default_rng(0).normal(0, 0.1, (97, 5)), w_max=found.w_max)
        return found

    rule = rules.ForwardForward()
    one = ForwardForwardStack([Dense(LocalFields(np.arange(96)[None], [array()], 97), rule, "mixed")])
    other = ForwardForwardStack([Dense(array(), rule, "mixed")])
    x = batch(0)[:, :-1].astype(np.float32)
    for stack in (one, other):
        stack.calibrate(x)
        stack.learn(x[:4], x[4:])
        stack.learn_online(x[:4], x[4:])
    np.testing.assert_array_equal(one.forward(x).goodness, other.forward(x).goodness)
    np.testing.assert_array_equal(one.layers[0].array.weights(), other.layers[0].array.weights())


def test_an_update_a_sample_is_that_of_single_samples():
    rule = rules.ForwardForward(learning_rate=0.005)
    fast, slow = (ForwardForwardStack([Dense(ideal_fields(), rule)]) for _ in range(2))
    x = batch(3, 260)[:, :-1]
    answers = fast.learn_online(x[:130], x[130:])
    for k in range(130):
        one, other = slow.learn(x[k : k + 1], x[:0]), slow.learn(x[:0], x[130 + k : 131 + k])
        np.testing.assert_allclose(
            answers.goodness[2 * k : 2 * k + 2, 0], [one.goodness[0, 0], other.goodness[0, 0]], rtol=1e-8
        )
    np.testing.assert_allclose(
        fast.layers[0].array.weights(), slow.layers[0].array.weights(), rtol=1e-8, atol=1e-12
    )


# Sums over locations, snapshots, errors


def test_the_ledger_sums_locations_and_looking_leaves_it_alone():
    array = LocalFields(SEEN, [crossbar(PCM, k) for k in range(6)], ROWS)
    layer = Dense(array, rules.ForwardForward(learning_rate=0.1), "mixed")
    array.calibrate(batch(0))
    for step in range(3):
        layer.learn(batch(step), np.repeat([1.0, -1.0], 4))
    each = [own.ledger for own in array.locations]  # type: ignore[attr-defined]
    total = array.ledger
    assert total.pulses == sum(own.pulses for own in each) > 0
    assert total.write_J == pytest.approx(sum(own.write_J for own in each), rel=1e-12)
    assert total.conversions == sum(own.conversions for own in each)
    assert total.updates == each[0].updates == 3
    assert total.reads == each[0].reads
    per_synapse = total.energy(6 * 33 * 3)["update_J_per_synapse"]
    assert per_synapse == pytest.approx(np.mean([own.energy(99)["update_J_per_synapse"] for own in each]))
    before = [own.to_array() for own in each]
    with unmetered(array):
        array.forward(batch(9))
        assert array.ledger.reads == total.reads + 8
    for own, kept in zip(array.locations, before, strict=True):
        np.testing.assert_array_equal(own.ledger.to_array(), kept)  # type: ignore[attr-defined]


def test_time_passes_and_columns_scale_in_all_locations():
    array = LocalFields(SEEN, [crossbar(PCM, k, decay_mode="gain") for k in range(6)], ROWS)
    before = array.weights()
    array.advance(1e6)
    assert (np.abs(array.weights()).reshape(ROWS, 6, 3).sum(axis=(0, 2)) < 0.9 * np.abs(before).reshape(ROWS, 6, 3).sum(axis=(0, 2))).all()  # fmt: skip
    ideal = ideal_fields()
    np.testing.assert_allclose(ideal.column_norms(), np.linalg.norm(ideal.weights(), axis=0), rtol=1e-12)
    before = ideal.weights()
    ideal.scale_columns(np.arange(1.0, 19.0))
    np.testing.assert_allclose(ideal.weights(), before * np.arange(1, 19), rtol=1e-12)


def test_a_snapshot_of_other_locations_is_refused():
    saved = ideal_fields().snapshot()
    del saved["5.weights"]
    with pytest.raises(CheckpointError, match="does not fit these 6 locations"):
        ideal_fields().restore({name: v for name, v in saved.items() if not name.startswith("5.")})


@pytest.mark.parametrize(
    ("seen", "shapes", "rows", "words"),
    [
        (SEEN, [(33, 3)] * 5, ROWS, "5 arrays for 6 receptive fields"),
        (SEEN, [(33, 3)] * 6, 96, "reach from input 0 to 95: there are 95"),
        (SEEN, [(33, 3)] * 5 + [(32, 3)], ROWS, "location 5: the array has 32 rows, its field 32 inputs and a bias"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(seen, shapes, rows, words):
    with pytest.raises(InputError, match=words):
        LocalFields(seen, [IdealArray(shape) for shape in shapes], rows)


def test_locations_are_of_one_kind():
    arrays = [IdealArray((33, 3), "float64" if number else "float32") for number in range(6)]
    with pytest.raises(InputError, match="one precision"):
        LocalFields(SEEN, arrays, ROWS)


# Studies


def experiment(*arms: ForwardForwardArm, **changes: Any) -> ForwardForwardExperiment:
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 100, "test_images": 40, "preset": "local", "epochs": 2, "batch": 20,
        "fields": ((4, 2), (2, 1), (2, 1)), "widths": (6, 5, 7), "curve_images": 30, "readout_epochs": 2,
        "arm": arms or (IDEAL,), **changes,
    }  # fmt: skip
    return ForwardForwardExperiment(**settings)


def training(spec: ForwardForwardExperiment) -> ForwardForwardTraining:
    data = neurosim.data.load("digits").subset(spec.train_images, spec.test_images)
    return ForwardForwardTraining(spec, spec.arm[0], 0, data)


@pytest.mark.parametrize(("arm", "supervised"), [(IDEAL, True), (IDEAL, False), (ON_PCM, False)])
def test_a_killed_training_ends_in_the_same_bits(arm: ForwardForwardArm, supervised: bool, tmp_path: Path):
    spec = experiment(arm, supervised=supervised)
    whole, second = killed_and_resumed(lambda: training(spec), tmp_path)
    assert second.curve == whole.curve
    with pytest.raises(CheckpointError, match="another experiment"):
        training(spec.changed(fields=((4, 2), (3, 1), (1, 1)))).resume(tmp_path / "c.npz")


def test_labels_do_not_leak():
    found = training(experiment())
    found.run()
    test = found.data.inputs(found.test.images)
    for ask in (found.stack.goodness_of_labels, found.stack.neutral_states):
        wanted = ask(test, 10)
        for marked in (with_labels(test, found.test.labels, 10), with_neutral_label(test, 10)):
            np.testing.assert_array_equal(ask(marked, 10), wanted)
    honest, shuffled = (training(experiment(supervised=False)) for _ in range(2))
    shuffled.fit = shuffled.fit._replace(labels=(shuffled.fit.labels + 3) % 10)
    for each in (honest, shuffled):
        each.run()
    for one, other in zip(honest.stack.layers, shuffled.stack.layers, strict=True):
        np.testing.assert_array_equal(one.array.weights(), other.array.weights(), "no location saw a label")


def test_results_are_summed_over_locations(tmp_path: Path):
    results = forward_forward(experiment(IDEAL, ON_PCM, supervised=False), tmp_path)
    for run in results["runs"]:
        shapes = [(one["locations"], one["rows"], one["neurons"]) for one in run["layers"][:2]]
        assert shapes == [(9, 17, 6), (4, 25, 5)]
        assert "locations" not in run["layers"][2]
    curve, layers = results["runs"][1]["curve"], results["runs"][1]["layers"]
    for number, layer in enumerate(layers):
        assert layer["energy"]["pulses"] == sum(point["pulses"][number] for point in curve) > 0
        assert layer["energy"]["updates"] == 2 * 5
    page = forward_forward_markdown("digits", results)
    assert "| PCM | 1 | 9 of 17 x 6 |" in page
    assert "|  | 3 | 21 x 7 |" in page


def test_local_fields_learn_what_whole_images_look_like():
    """After learning, real images look better than halves of two; at the start they do not."""
    found = training(
        experiment(train_images=800, test_images=None, supervised=False, epochs=8, widths=(16, 20, 24))
    )
    x = found.data.inputs(found.test.images)
    halves = np.where(np.arange(64) % 8 < 4, x, np.roll(x, 1, axis=0))

    def better() -> np.ndarray:
        real, negative = (found.stack.forward(some).goodness for some in (x, halves))
        return (real > negative).mean(axis=0)

    before = better()
    found.run()
    assert (better() - before)[1:].mean() > 0.08, "5 standard deviations of a mean over 700 pairs"
    assert found.curve[-1]["softmax"] > 0.8


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="fields of 3 layers, widths of 2"):
        ForwardForwardExperiment.parse({"preset": "local", "widths": [5, 5]}, "experiment")
    with pytest.raises(ConfigError, match="fields"):
        ForwardForwardExperiment.parse({"widths": [5], "fields": [[4, 0]]}, "experiment")
    with pytest.raises(InputError, match="10 x 10, 6 apart, do not cover 8 x 8"):
        training(experiment(fields=None))
