"""What drives a neuron most: the ascent against what is known, windows against the slope, patches against the layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_robustness import LOCAL, ON_DEVICES, experiment

from neurosim.reference.ideal_copy import IdealCopy
from neurosim.reference.preferred import best_patches, preferred, seen_by
from neurosim.report.kept_pages import write_kept_page
from neurosim.report.page import figures_of
from neurosim.study.deep import DeepTraining, deep
from neurosim.study.store import read_arrays, write_json

NEURONS = 6


@pytest.fixture(scope="module")
def training() -> DeepTraining:
    found = DeepTraining(spec := experiment(LOCAL, robustness=None), LOCAL, 0, spec.data())
    found.run()
    return found


def test_a_neuron_sees_what_its_slope_reaches(training):
    layers = training.stack.layers
    net = IdealCopy(layers)
    x = torch.rand(20, *layers[0].image_shape, requires_grad=True)
    for depth in (1, 2):
        for row, column in ((None, None), (0, 0), (layers[depth - 1].size[0] - 1, 1)):
            middle = [side // 2 for side in layers[depth - 1].size]
            at = [
                place if given is None else given for place, given in zip(middle, (row, column), strict=True)
            ]
            (slope,) = torch.autograd.grad(net.currents(x, depth)[:, at[0], at[1]].sum(), x)
            window = seen_by(layers, depth, row, column)
            reached = (slope != 0).any(dim=3).any(dim=0)
            rows, columns = reached.any(dim=1).nonzero().ravel(), reached.any(dim=0).nonzero().ravel()
            assert (int(rows[0]), int(columns[0])) == (window.top, window.left)
            assert (len(rows), len(columns)) == (window.height, window.width)


def test_the_first_layer_prefers_its_weights(training):
    layer = training.stack.layers[0]
    weights = layer.array.weights()[:, :NEURONS].T
    found = preferred(IdealCopy(training.stack.layers), 1, NEURONS)
    assert found.shape == (NEURONS, layer.kernel, layer.kernel, layer.image_shape[2])
    for image, own in zip(found.reshape(NEURONS, -1), weights, strict=True):
        assert image @ own / np.linalg.norm(image) / np.linalg.norm(own) > 0.999
        assert np.sqrt(np.mean(np.square(image))) == pytest.approx(1, rel=1e-4)


def test_deeper_neurons_are_driven_more_than_by_any_image_of_that_contrast(training):
    net, layers = IdealCopy(training.stack.layers), training.stack.layers
    found, window = preferred(net, 2, NEURONS), seen_by(layers, 2)
    rng = np.random.default_rng(0)
    middle = [side // 2 for side in layers[1].size]

    def driven(images: np.ndarray) -> np.ndarray:
        """By images of a root mean square of one within what is seen."""
        whole = np.zeros((len(images), *layers[0].image_shape), np.float32)
        window.of(whole)[...] = images
        whole = torch.from_numpy(whole) / net.gains[0] + net.means[0]
        return net.currents(whole, 2)[:, middle[0], middle[1], :NEURONS].numpy()

    others = rng.normal(size=(500, *found.shape[1:])).astype(np.float32)
    real = window.of(training._images(training.fit.images[:200]) - net.means[0].numpy())
    others = np.concatenate([others, real])
    others /= np.sqrt(np.square(others).mean(axis=(1, 2, 3), keepdims=True)) + 1e-9
    assert (np.diag(driven(found)) > driven(others).max(axis=0)).all()


def test_best_patches_are_those_of_the_layers(training):
    layers, images = training.stack.layers, training._images(training.test.images)
    best = best_patches(IdealCopy(layers), 1, NEURONS, images, most=3)
    currents = (
        layers[0]._currents(layers[0].norm.forward(images)).reshape(len(images), -1, layers[0].array.shape[1])
    )
    largest = np.sort(currents.max(axis=1), axis=0)[::-1][:3, :NEURONS].T
    np.testing.assert_allclose(best.currents, largest, rtol=1e-3, atol=1e-3)
    layer = layers[0]
    for neuron, place in np.ndindex(best.images.shape):
        image, patch = images[best.images[neuron, place]], best.patches[neuron, place]
        spot = currents[best.images[neuron, place], :, neuron].argmax()
        row, column = divmod(int(spot), layer.size[1])
        padded = np.pad(image, ((layer.pad,) * 2, (layer.pad,) * 2, (0, 0)))
        expected = padded[row : row + layer.kernel, column : column + layer.kernel]
        np.testing.assert_array_equal(patch, expected)


def test_a_report_and_a_kept_page_show_them(tmp_path):
    folder = tmp_path / "kept"
    results = deep(experiment(LOCAL, ON_DEVICES, robustness=None, preferred=NEURONS), folder)
    write_json(tmp_path / "kept.json", results)
    page = write_kept_page(tmp_path / "kept.json")
    assert page is not None
    assert (
        "](kept-preferred.svg)"
        in page.read_text(encoding="utf-8").partition("## What drives a neuron most")[2]
    )
    assert "<svg" in (tmp_path / "kept-preferred.svg").read_text(encoding="utf-8")
    for arm in ("ideal", "devices"):
        held = read_arrays(folder / f"pictures-{arm}.npz")
        assert set(held) == {
            f"{what}.{depth}" for what in ("preferred", "patches", "driven") for depth in (1, 2)
        }
    assert figures_of(results, folder)["preferred"].figure is not None
    assert figures_of(results)["preferred"].figure is None
