"""Crops and flips: drawn by seed, against numpy's own padding; what heads, layers and nets with labels see of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neurosim.data
from neurosim import DeepArm, DeepExperiment
from neurosim.core.cautions import FlipWarning
from neurosim.core.errors import ConfigError, InputError
from neurosim.core.seeds import generator
from neurosim.kernels import jit
from neurosim.network import readout
from neurosim.network.augment import Augment
from neurosim.network.readout import LinearReadout
from neurosim.study.deep import CHUNK, DeepTraining, deep
from neurosim.study.end_to_end import EndToEndTraining

IDEAL = DeepArm(name="ideal")
LABELS = DeepArm(name="labels", backpropagation={"epochs": 2})


def by_hand(images: np.ndarray, augment: Augment, seed: int, *path: str | int) -> np.ndarray:
    """Pad, cut and flip image by image."""
    draws, crop = generator(seed, "augment", *path), augment.crop
    flipped = draws.random(len(images)) < 0.5
    corners = draws.integers(-crop, crop + 1, (2, len(images), 1))[..., 0] + crop
    found = np.empty_like(images)
    for k, image in enumerate(images):
        padded = np.pad(image, ((crop, crop), (crop, crop), (0, 0)), mode="reflect")
        top, left = corners[:, k]
        cut = padded[top : top + image.shape[0], left : left + image.shape[1]]
        found[k] = cut[:, ::-1] if flipped[k] and augment.flip else cut
    return found


@pytest.mark.parametrize("settings", [{"flip": True}, {"crop": 3}, {"crop": 4, "flip": True}])
@pytest.mark.parametrize("shape", [(8, 8, 1), (6, 9, 3)])
def test_images_are_padded_by_reflection_cut_and_flipped(
    settings: dict[str, Any], shape: tuple[int, int, int]
):
    augment, images = Augment(**settings), np.random.default_rng(0).random((40, *shape), np.float32)
    moves, wanted = augment.moves(40, shape, 5, "x", 2), by_hand(images, augment, 5, "x", 2)
    np.testing.assert_array_equal(moves.of(images), wanted)
    np.testing.assert_array_equal(moves.of(images[7:19], 7), wanted[7:19])
    np.testing.assert_array_equal(moves.of(torch.from_numpy(images)).numpy(), wanted)
    assert np.abs(wanted - images).max() > 0.1
    assert not np.array_equal(augment.moves(40, shape, 6, "x", 2).of(images), wanted)


def test_what_cannot_be_moved_is_refused():
    with pytest.raises(ConfigError, match="crop"):
        Augment(crop=-1)
    Augment(crop=7).refuse_shape((8, 8, 1))
    for settings, shape in (
        ({"crop": 8}, (8, 9, 1)),
        ({"flip": True}, (1, 1, 30)),
        ({"crop": 1}, (1, 1, 30)),
    ):
        with pytest.raises(InputError, match="augment"):
            Augment(**settings).refuse_shape(shape)
    with pytest.raises(InputError, match="augment"):
        deep(experiment(augment={"crop": 8}))


def experiment(arm: DeepArm = IDEAL, **changes: Any) -> DeepExperiment:
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 300, "test_images": 40, "width": 0.25, "depth": 2, "head_epochs": 2,
        "head_batch": 20, "arm": (arm,), **changes,
    }  # fmt: skip
    return DeepExperiment(**settings)


def training(spec: DeepExperiment, seed: int = 0) -> DeepTraining:
    return DeepTraining(spec, spec.arm[0], seed, neurosim.data.load("digits").subset(300, 40))


def test_without_flips_and_crops_all_is_as_without_the_table():
    plain, still = experiment(), experiment(augment={"layers": True, "copies": 3})
    assert any("images stay as they are" in line for line in still.said())
    assert not experiment(augment={"crop": 1}).said()
    one, other = training(plain), training(still)
    assert (one.identity, one.evaluation) == (other.identity, other.evaluation)
    for each in (one, other):
        each.run()
    assert one.result()["heads"] == other.result()["heads"]


def test_a_flipped_digit_is_warned_of(recwarn: pytest.WarningsRecorder):
    data = neurosim.data.load("digits").subset(300, 40)
    experiment(augment={"crop": 1}).beforehand(data)
    assert not [one for one in recwarn if one.category is FlipWarning]
    with pytest.warns(FlipWarning, match="keeps its label"):
        experiment(augment={"flip": True}).beforehand(data)


def test_heads_see_each_image_and_its_versions():
    augment = {"crop": 2, "copies": 2}
    learnt = training(experiment(augment=augment))
    learnt.run()
    images = learnt.fit.images
    assert len(images) % CHUNK > 0
    found = learnt.features(images, (1, 2), copies=2)
    shaped = learnt._images(images)
    for version in range(3):
        seen = by_hand(shaped, Augment(**augment), 0, "heads", version) if version else shaped
        own = slice(version * len(images), (version + 1) * len(images))
        for depth in (1, 2):
            wanted = learnt.stack.forward(seen, depth).reshape(len(images), -1).astype(np.float16)
            np.testing.assert_array_equal(found[depth][own], wanted)
    plain = learnt.features(images, (2,))[2]
    np.testing.assert_array_equal(found[2][: len(images)], plain)
    head = LinearReadout(found[2].shape[1], 10, 0)
    head.fit(found[2], learnt.fit.labels, 2, 20, 0.5, True, 3)
    result = learnt.result()
    test = learnt.features(learnt.test.images, (2,))[2]
    assert result["heads"][1]["accuracy"] == head.accuracy(test, learnt.test.labels), (
        "the test set is not moved"
    )
    assert result["heads"][1]["train_accuracy"] == head.accuracy(plain, learnt.fit.labels)


def test_a_head_takes_versions_in_turn(monkeypatch: pytest.MonkeyPatch):
    seen: list[np.ndarray] = []
    original = readout._some

    def spy(features: Any, chosen: np.ndarray, *rest: Any) -> Any:
        seen.append(chosen.copy())
        return original(features, chosen, *rest)

    monkeypatch.setattr(readout, "_some", spy)
    features = np.random.default_rng(0).random((60, 5), np.float32)
    labels = np.arange(20) % 3
    head, one = LinearReadout(5, 3, 1), LinearReadout(5, 3, 1)
    head.fit(features, labels, epochs=6, batch=8, versions=3)
    epochs = np.concatenate(seen).reshape(6, 20)
    images, versions = epochs % 20, epochs // 20
    assert all(sorted(epoch) == list(range(20)) for epoch in images)
    turns = np.empty((6, 20), int)
    for k in range(6):
        turns[k, images[k]] = versions[k]
    assert all(sorted(turns[:3, k]) == [0, 1, 2] and (turns[3:, k] == turns[:3, k]).all() for k in range(20))
    assert len(set(turns[0])) == 3
    head.fit(np.tile(features[:20], (3, 1)), labels, epochs=2, batch=8, versions=3)
    fresh = LinearReadout(5, 3, 1)
    fresh.fit(np.tile(features[:20], (3, 1)), labels, epochs=2, batch=8, versions=3)
    one.fit(features[:20], labels, epochs=2, batch=8)
    np.testing.assert_array_equal(fresh.weight, one.weight)


def test_layers_learn_from_moved_images_if_asked():
    augment = {"crop": 2, "flip": True, "layers": True}
    plain, heads, both = (
        training(experiment(augment=given)) for given in (None, {**augment, "layers": False}, augment)
    )
    seen: list[np.ndarray] = []
    learn = both.stack.learn
    both.stack.learn = lambda images, layer=None: (seen.append(images.copy()), learn(images, layer))[1]  # type: ignore[method-assign]
    order = generator(0, "order", 0).permutation(len(both.images))
    for each in (plain, heads, both):
        each.run()
    assert plain.identity == heads.identity != both.identity
    assert training(experiment(augment={**augment, "copies": 3})).identity == both.identity
    weights = [each.stack.layers[0].array.weights() for each in (plain, heads, both)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 0.01
    for step in (0, 3):
        images = both._images(both.images[order[step * 10 : step * 10 + 10]])
        np.testing.assert_array_equal(seen[step], by_hand(images, Augment(**augment), 0, "layers", 0, step))


def test_threads_change_no_bit():
    spec, found = experiment(augment={"crop": 2, "flip": True, "layers": True}), []
    before = jit.threads()
    for threads in (1, 3):
        jit.set_threads(threads)
        try:
            learnt = training(spec)
            learnt.run()
            found.append((learnt.stack.layers[1].array.weights(), learnt.result()["heads"]))
        finally:
            jit.set_threads(before)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_nets_with_labels_see_every_image_moved_anew(tmp_path: Path):
    spec = experiment(LABELS, augment={"crop": 2, "flip": True})
    data = neurosim.data.load("digits").subset(300, 40)
    first, plain = (EndToEndTraining(each, LABELS, 0, data, 1) for each in (spec, experiment(LABELS)))
    seen: list[np.ndarray] = []
    learn = first.net.learn
    first.net.learn = lambda images, *rest: (seen.append(images.copy()), learn(images, *rest))[1]  # type: ignore[method-assign]
    first.run()
    order = generator(0, "order", 1).permutation(len(first.fit.labels))
    images = first._images(first.fit.images[order[:20]])
    step = first.batches
    np.testing.assert_array_equal(
        seen[step], by_hand(images, Augment(crop=2, flip=True), 0, "end to end", step)
    )
    assert first.identity != plain.identity
    assert '"flip"' not in plain.identity
    assert (
        spec.changed(augment={"crop": 2, "flip": True, "layers": True, "copies": 5}).augment.drawn
        == spec.augment.drawn
    )
    half = EndToEndTraining(spec, LABELS, 0, data, 1)

    class Killed(Exception):
        pass

    def kill() -> None:
        if half.steps == step + 2:
            half.save(tmp_path / "c.npz")
            raise Killed

    with pytest.raises(Killed):
        half.run(save=kill)
    second = EndToEndTraining(spec, LABELS, 0, data, 1)
    second.resume(tmp_path / "c.npz")
    second.run()
    for name, values in first.net.snapshot().items():
        np.testing.assert_array_equal(second.net.snapshot()[name], values, err_msg=name)
