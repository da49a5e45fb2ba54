"""Convolutions that learn: against the published rule written out in torch, and against themselves resumed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from neurosim import Convolution, Crossbar, IdealArray, Pool, Stack, set_threads
from neurosim.core.errors import CheckpointError, ConfigError, InputError
from neurosim.kernels.jit import threads
from neurosim.network import convolution
from neurosim.network.images import ChannelNorm, activate
from neurosim.rules import SoftHebb, SoftHebbPaper

F = np.float32
SPECS = (
    (12, 5, 2, 1.0, 0.08, 0.7, Pool("max", 4, 2, 1)),
    (24, 3, 1, 0.65, 0.005, 1.4, Pool("mean", 2, 2, 0)),
)


def images(n: int = 4, size: int = 12, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, size, size, channels), F)


def made(array=IdealArray, rule=SoftHebbPaper, size: int = 12, **options) -> Stack:
    shape, layers = (size, size, 3), []
    for number, (neurons, kernel, pad, inverse, rate, power, pool) in enumerate(SPECS):
        rows = kernel * kernel * shape[2]
        cells = array((rows, neurons))
        draws = np.random.default_rng(number).normal(0, 1, (rows, neurons))
        cells.program(draws * (25 if array is IdealArray else 2.5) / np.sqrt(rows), w_max=cells.w_max)
        local = rule(inverse_temperature=inverse, learning_rate=rate, rate_power=0.5, anti_hebbian=True)
        layers.append(
            Convolution(
                cells,
                local,
                shape,
                kernel=kernel,
                pad=pad,
                power=power,
                pool=pool,
                norm_every=1 if rule is SoftHebbPaper else 5,
                **options,
            )
        )
        shape = layers[-1].out_shape
    return Stack(layers)


class Published:
    """One layer as the authors' code runs it, in double precision (facts, section 1), channels first."""

    def __init__(self, layer: Convolution, spec):
        _, self.kernel, self.pad, self.inverse, self.eta, self.power, self.pool = spec
        channels = layer.image_shape[2]
        w = torch.from_numpy(layer.array.weights()).double().T
        self.w = w.reshape(-1, self.kernel, self.kernel, channels).permute(0, 3, 1, 2).contiguous()
        self.mean, self.variance = torch.zeros(channels).double(), torch.ones(channels).double()

    def step(self, x, learn=True):
        x = functional.batch_norm(x, self.mean, self.variance, training=learn, momentum=0.1, eps=1e-5)
        x = functional.pad(x, (self.pad,) * 4, mode="reflect")
        u = functional.conv2d(x, self.w)
        if learn:
            y = torch.softmax(self.inverse * u, dim=1)
            sign = torch.full_like(y, -1.0).scatter_(1, u.argmax(dim=1, keepdim=True), 1.0)
            y = y * sign
            columns = functional.unfold(x, self.kernel)
            hebbian = torch.einsum("bkp,bnp->kn", y.flatten(2), columns).view_as(self.w)
            change = hebbian - (y * u).sum(dim=(0, 2, 3)).view(-1, 1, 1, 1) * self.w
            change /= change.abs().max() + 1e-30
            norm = self.w.flatten(1).norm(dim=1)
            rate = self.eta * ((norm - 1).abs() + 1e-10) ** 0.5
            self.w += rate.view(-1, 1, 1, 1) * change
        a = torch.relu(u - u.mean(dim=1, keepdim=True)) ** self.power
        pool = functional.max_pool2d if self.pool.kind == "max" else functional.avg_pool2d
        return pool(a, self.pool.kernel, self.pool.stride, self.pool.pad)

    @property
    def weights(self):
        return self.w.permute(0, 2, 3, 1).flatten(1).T.numpy()


def test_layers_learn_as_the_published_rule_written_out():
    """Journe et al., arXiv 2209.11883, as their code runs it: five mini-batches, all layers at once, then a read."""
    stack = made()
    published = [Published(layer, spec) for layer, spec in zip(stack.layers, SPECS, strict=True)]
    for step in range(5):
        x = images(seed=step)
        found = stack.learn(x)
        wanted = torch.from_numpy(x).double().permute(0, 3, 1, 2)
        for layer in published:
            wanted = layer.step(wanted)
        np.testing.assert_allclose(found, wanted.permute(0, 2, 3, 1), rtol=2e-3, atol=2e-4)
    for layer, reference in zip(stack.layers, published, strict=True):
        np.testing.assert_allclose(layer.array.weights(), reference.weights, rtol=1e-3, atol=2e-4)
    x = images(seed=9)
    wanted = torch.from_numpy(x).double().permute(0, 3, 1, 2)
    for layer in published:
        wanted = layer.step(wanted, learn=False)
    np.testing.assert_allclose(stack.forward(x), wanted.permute(0, 2, 3, 1), rtol=2e-3, atol=2e-4)


def test_one_layer_learns_greedily_and_others_stay():
    stack = made()
    before = [layer.array.weights() for layer in stack.layers]
    features = stack.learn(images(), layer=1)
    assert features.shape == (4, *stack.layers[1].out_shape)
    np.testing.assert_array_equal(before[0], stack.layers[0].array.weights())
    assert not np.array_equal(before[1], stack.layers[1].array.weights())
    assert stack.layers[0].norm.seen == 0


@pytest.mark.parametrize("kind", ["max", "mean", "none"])
def test_triangle_power_and_pooling_are_those_of_torch(kind):
    """relu(u - mean)^p before pooling, as the code has it."""
    u = np.random.default_rng(0).normal(size=(2, 9, 7, 5)).astype(F)
    pool = Pool() if kind == "none" else Pool(kind, 4, 2, 1)
    t = torch.from_numpy(u).permute(0, 3, 1, 2)
    wanted = torch.relu(t - t.mean(dim=1, keepdim=True)) ** 1.4
    if kind != "none":
        pooling = functional.max_pool2d if kind == "max" else functional.avg_pool2d
        wanted = pooling(wanted, 4, 2, 1)
    np.testing.assert_allclose(
        activate(u.copy(), 1.4, pool), wanted.permute(0, 2, 3, 1), rtol=1e-5, atol=1e-6
    )


def activated(u: np.ndarray, power: float, activation: str) -> np.ndarray:
    """Each activation as written in numpy, in double precision."""
    u = u.astype(np.float64)
    exponentials = np.exp(power * (u - u.max(axis=3, keepdims=True)))
    return {
        "triangle": np.maximum(u - u.mean(axis=3, keepdims=True), 0) ** power,
        "repu": np.maximum(u, 0) ** power,
        "relu": np.maximum(u, 0),
        "tanh": np.tanh(u),
        "softmax": exponentials / exponentials.sum(axis=3, keepdims=True),
    }[activation]


def pooled(image: np.ndarray, pool: Pool) -> np.ndarray:
    """Windows of a padded image: the largest of its own pixels, or the mean with zeros around."""
    out = np.empty((image.shape[0], pool.size(image.shape[1]), pool.size(image.shape[2]), image.shape[3]))
    around = ((0, 0), (pool.pad, pool.pad), (pool.pad, pool.pad), (0, 0))
    padded = np.pad(image, around, constant_values=0.0 if pool.kind == "mean" else -np.inf)
    for row in range(out.shape[1]):
        for col in range(out.shape[2]):
            y, x = row * pool.stride, col * pool.stride
            window = padded[:, y : y + pool.kernel, x : x + pool.kernel]
            out[:, row, col] = (np.mean if pool.kind == "mean" else np.max)(window, axis=(1, 2))
    return out


@pytest.mark.parametrize("activation", ["triangle", "repu", "relu", "tanh", "softmax"])
@pytest.mark.parametrize(
    "pool", [Pool(), Pool("max", 4, 2, 1), Pool("mean", 4, 2, 1), Pool("max", 3, 3, 2)], ids=str
)
@pytest.mark.parametrize("shift", [0.0, -4.0])
def test_activations_and_pooling_are_those_of_numpy(activation, pool, shift):
    """Currents that are nowhere positive too: tanh is then negative, and so is the largest of a window."""
    u = (np.random.default_rng(0).normal(size=(2, 9, 7, 5)) + shift).astype(F)
    wanted = pooled(activated(u, 1.4, activation), pool)
    found = activate(u.copy(), 1.4, pool, activation)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    if activation == "tanh" and shift and pool.kind == "max":
        assert found.max() < 0


def test_large_currents_do_not_overflow_the_softmax_of_an_image():
    u = np.full((1, 2, 2, 3), -1e4, F)
    u[0, 0, 0, 1] = 1e4
    found = activate(u, 2.0, Pool(), "softmax")
    np.testing.assert_array_equal(found[0, 0, 0], [0, 1, 0])
    np.testing.assert_allclose(found[0, 1, 1], 1 / 3, rtol=1e-6)


def test_a_convolution_answers_by_its_activation():
    array = IdealArray((27, 6))
    array.program(np.random.default_rng(0).normal(0, 0.3, (27, 6)), w_max=array.w_max)
    layer = Convolution(
        array, SoftHebb(), (12, 12, 3), kernel=3, pool=Pool("max", 2, 2, 0), activation="tanh"
    )
    u = array.forward(layer.patches(images())).reshape(4, 10, 10, 6)
    np.testing.assert_allclose(layer.forward(images()), pooled(np.tanh(u), layer.pool), atol=1e-4)


def test_statistics_run_as_those_of_torch():
    """torch.nn.BatchNorm2d without affine."""
    norm, reference = ChannelNorm(3), torch.nn.BatchNorm2d(3, affine=False)
    for step in range(4):
        x = images(seed=step) * 3 + 1
        wanted = reference(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        np.testing.assert_allclose(norm.learn(x), wanted, atol=1e-5)
    np.testing.assert_allclose(norm.mean, reference.running_mean, rtol=1e-5)
    np.testing.assert_allclose(norm.variance, reference.running_var, rtol=1e-5)


def test_a_fixed_gain_is_that_of_the_first_mini_batch():
    first, running = ChannelNorm(3, "first"), ChannelNorm(3, "running")
    for norm in (first, running):
        np.testing.assert_allclose(norm.learn(images()).mean(axis=(0, 1, 2)), 0, atol=1e-4)
    for norm in (first, running):
        norm.learn(images(seed=1) * 5)
    assert np.allclose(first.mean, images().mean(axis=(0, 1, 2)), atol=1e-5)
    assert (running.mean > 1.2 * first.mean).all()


def crossbar(shape):
    return Crossbar(shape, "pcm-nandakumar-2018", seed=1)


@pytest.mark.parametrize("array", [IdealArray, crossbar])
def test_a_stack_goes_on_after_a_snapshot_with_the_same_bits(array):
    def step(stack, number):
        return stack.learn(images(seed=number))

    once, again = made(array, SoftHebb), made(array, SoftHebb)
    for number in range(3):
        step(once, number)
    again.restore(once.snapshot())
    for number in range(3, 5):
        np.testing.assert_array_equal(step(once, number), step(again, number))
    np.testing.assert_array_equal(once.forward(images()), again.forward(images()))
    with pytest.raises(CheckpointError):
        once.restore({name: v for name, v in once.snapshot().items() if "norm" not in name})


@pytest.mark.parametrize("array", [IdealArray, crossbar])
def test_threads_and_chunks_change_no_bit(array, monkeypatch):
    found = []
    before = threads()
    try:
        for count, most in ((1, 1 << 26), (2, 1 << 26), (2, 40_000)):
            set_threads(count)
            monkeypatch.setattr(convolution, "PATCH_BYTES", most)
            stack = made(array, SoftHebb)
            learnt = stack.learn(images())
            found.append((learnt, stack.forward(images(7, seed=3))))
    finally:
        set_threads(before)
    for one in found[1:]:
        for left, right in zip(found[0], one, strict=True):
            np.testing.assert_array_equal(left, right)


def test_what_does_not_fit_is_refused_in_words():
    rule = SoftHebb()
    with pytest.raises(InputError, match="need 75"):
        Convolution(IdealArray((70, 4)), rule, (12, 12, 3), kernel=5)
    with pytest.raises(InputError, match="too small"):
        Convolution(IdealArray((75, 4)), rule, (2, 2, 3), kernel=5, pad=2)
    with pytest.raises(InputError, match="pool pad = 2: must be smaller"):
        Convolution(IdealArray((75, 4)), rule, (12, 12, 3), kernel=5, pool=Pool("max", 2, 2, 2))
    with pytest.raises(ConfigError, match="activation = 'sigmoid': must be one of triangle"):
        activate(np.zeros((1, 2, 2, 3), F), 1.0, Pool(), "sigmoid")
    layers = made().layers
    with pytest.raises(InputError, match="layer 2 takes"):
        Stack([layers[0], layers[0]])
    with pytest.raises(InputError, match="expected"):
        layers[0].forward(images(size=10))
