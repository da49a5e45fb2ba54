"""The doors of trained layers on devices: what goes in is checked, what cannot be right is refused in words."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch_helpers import EIGHT_BITS, PCM, QUIET, RRAM, network, other_model

import neurosim as ns
from neurosim import convert
from neurosim.core.errors import CapabilityError, InputError, NeurosimError, UnknownNameError
from neurosim.reference.modules import CrossbarConv2d, CrossbarLinear


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("seed", [0, [0, 1]])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("door", ["forward", "calibrate"])
def test_nan_is_refused_as_the_numpy_door_does(door: str, bad: float, seed: Any) -> None:
    model = convert(network(), PCM, seed, EIGHT_BITS)
    x = torch.rand(50, 20)
    model.calibrate(x)
    ranges = model.layers["0"].array.snapshot()["adc_range_uS"]
    x[7, 2], reads = bad, model.ledgers[0].reads
    array = ns.Crossbar((20, 6), PCM, read=EIGHT_BITS)
    words = "1 of 1000 elements are NaN or infinite"
    with pytest.raises(InputError, match=words):
        getattr(array, door)(x.numpy())
    with pytest.raises(InputError, match=words):
        getattr(model, door)(x)
    lone = CrossbarLinear.from_linear(nn.Linear(20, 6), PCM, read=EIGHT_BITS)
    with pytest.raises(InputError, match=words):
        getattr(lone, door)(x)
    assert np.array_equal(model.layers["0"].array.snapshot()["adc_range_uS"], ranges)
    assert model.ledgers[0].reads == reads
    convolution = CrossbarConv2d(torch.rand(2, 1, 3, 3), None, PCM)
    with pytest.raises(InputError, match="1 of 1000 elements"):
        getattr(convolution, door)(x.reshape(1, 1, 50, 20))


def test_nan_that_a_digital_module_makes_is_refused_at_the_next_layer() -> None:
    class Logarithm(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - 100).log()

    model = convert(nn.Sequential(nn.Linear(4, 3), Logarithm(), nn.Linear(3, 2)), "ideal")
    with pytest.raises(InputError, match="x of layer '2': 6 of 6 elements"):
        model(torch.rand(2, 4))


@pytest.mark.parametrize("door", ["__call__", "calibrate"])
@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.ones(2, 20, dtype=torch.complex64), "real numbers"),
        (torch.full((2, 20), 1e300, dtype=torch.float64), r"1e\+300|NaN or infinite"),
        (torch.ones(2, 20).to_sparse(), "dense"),
        (torch.ones(2, 20, device="meta"), "no data"),
        (np.ones((2, 20)), "expected a tensor, got ndarray"),
        ([[1.0] * 20], "expected a tensor, got list"),
    ],
)
def test_what_is_no_dense_real_tensor_is_refused(door: str, x: Any, said: str) -> None:
    for seed in (0, [0, 1]):
        with pytest.raises(InputError, match=said):
            getattr(convert(nn.Linear(20, 3), PCM, seed), door)(x)
    with pytest.raises(InputError, match=said):
        getattr(CrossbarLinear.from_linear(nn.Linear(20, 3), PCM), door)(x)


def test_whole_numbers_go_in_as_at_the_numpy_door() -> None:
    layer = nn.Linear(20, 3)
    x = torch.randint(-3, 4, (5, 20))
    found = convert(layer, "ideal")(x)
    torch.testing.assert_close(found, layer(x.float()).detach(), atol=1e-4, rtol=0)


def test_no_samples_and_senseless_ranges() -> None:
    for seed, shape in ((0, (0, 3)), ([0, 1], (2, 0, 3))):
        model = convert(nn.Linear(20, 3), PCM, seed, EIGHT_BITS)
        assert model(torch.ones(0, 20)).shape == shape
        with pytest.raises(InputError, match="no samples"):
            model.calibrate(torch.ones(0, 20))
    layer = CrossbarLinear.from_linear(nn.Linear(20, 3), PCM)
    assert layer(torch.ones(2, 0, 20)).shape == (2, 0, 3)
    for options in ({"percentile": 0.0}, {"percentile": 101.0}, {"margin": -1.0}, {"margin": float("nan")}):
        with pytest.raises(InputError, match=next(iter(options))):
            layer.calibrate(torch.ones(2, 20), **options)


def test_weights_and_biases_must_be_finite_and_real() -> None:
    with pytest.raises(InputError, match="the bias: 3 of 3"):
        CrossbarLinear(torch.ones(3, 2), torch.full((3,), float("nan")), PCM)
    with pytest.raises(InputError, match="model: the weights: expected real numbers"):
        convert(nn.Linear(2, 2, dtype=torch.complex64), PCM)
    with pytest.raises(InputError, match="no data"):
        convert(nn.Linear(2, 2, device="meta"), PCM)
    with pytest.raises(InputError, match="on devices already"):
        convert(convert(nn.Linear(2, 2), PCM), PCM)


@pytest.mark.filterwarnings("ignore:weights that stay in digital")
@pytest.mark.parametrize("seed", [0, [0, 1]])
def test_transformer_layers_run_with_attention_kept_digital(seed: Any) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    x, hidden = torch.rand(2, 3, 8), torch.tensor([[False, False, True], [False, False, False]])
    found = convert(model, "ideal", seed)
    assert list(found.layers) == [
        "layers.0.linear1",
        "layers.0.linear2",
        "layers.1.linear1",
        "layers.1.linear2",
    ]
    torch.testing.assert_close(found(x), model(x).detach().expand_as(found(x)), atol=1e-4, rtol=0)
    masked, wanted = found(x, src_key_padding_mask=hidden), model(x, src_key_padding_mask=hidden).detach()
    torch.testing.assert_close(
        masked[..., 1, :, :], wanted[1].expand_as(masked[..., 1, :, :]), atol=1e-4, rtol=0
    )
    assert torch.backends.mha.get_fastpath_enabled()
    whole = nn.Transformer(8, 2, 1, 1, 16, batch_first=True).eval()
    found, wanted = convert(whole, "ideal", seed)(x, 2 * x), whole(x, 2 * x).detach()
    torch.testing.assert_close(found, wanted.expand_as(found), atol=1e-4, rtol=0)
    with pytest.warns(UserWarning, match=r"layers\.0\.self_attn \(MultiheadAttention\)"):
        convert(model, "ideal")


class Reading(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({"a": nn.Linear(6, 4)})
        self.b = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(functional.linear(x, self.inner["a"].weight, self.inner["a"].bias))


@pytest.mark.parametrize("seed", [0, [0, 1]])
def test_reading_the_weight_of_a_layer_on_devices_is_refused_with_the_remedy(seed: Any) -> None:
    model, x = Reading(), torch.rand(3, 6)
    found = convert(model, "ideal", seed)
    with pytest.raises(CapabilityError, match=r"layer 'inner\.a' .* exclude=\['inner\.a'\]"):
        found(x)
    layer = found.layers["inner.a"]
    assert not hasattr(layer, "weight")
    assert (layer.in_features, layer.out_features) == (6, 4)
    with pytest.raises(AttributeError, match="no attribute 'weigth'"):
        _ = layer.weigth
    for name in ("inner.a", "inner"):
        with pytest.warns(UserWarning, match=r"inner\.a \(Linear\)"):
            kept = convert(model, "ideal", seed, exclude=[name])
        torch.testing.assert_close(kept(x), model(x).detach().expand_as(kept(x)), atol=1e-5, rtol=0)
        assert list(kept.layers) == ["b"]
    with pytest.raises(UnknownNameError, match=r"did you mean 'inner\.a'"):
        convert(model, "ideal", exclude=["inner.aa"])


@pytest.mark.filterwarnings("ignore:weights that stay in digital")
def test_tied_weights_are_named_for_they_come_apart() -> None:
    class Language(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(7, 5), nn.Linear(5, 7, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.embed(x))

    model, tokens = Language(), torch.randint(0, 7, (2, 4))
    with pytest.warns(UserWarning, match=r"modules share: embed\.weight, out\.weight\. Each layer"):
        found = convert(model, "ideal")
    torch.testing.assert_close(found(tokens), model(tokens).detach(), atol=1e-4, rtol=0)
    twins = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    twins[1].weight = twins[0].weight
    with pytest.warns(UserWarning, match=r"modules share: 0\.weight, 1\.weight"):
        found = convert(twins, PCM)
    assert not torch.equal(found.layers["0"].array.weights(), found.layers["1"].array.weights())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(nn.Sequential(twins[0], twins[0]), PCM)


def test_computed_weights_are_refused_and_hooks_left_behind_are_named() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.warns(UserWarning, match="left behind: 0$"):
        convert(model, "ideal")
    normed = nn.Linear(4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        normed = nn.utils.weight_norm(normed)
    with pytest.raises(CapabilityError, match="weight is no parameter but computed"):
        convert(normed, "ideal")


@pytest.mark.parametrize("seed", [0, [0, 1]])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_change_the_digital_part_only(kind: torch.dtype, seed: Any) -> None:
    x = torch.rand(4, 20)
    model = convert(network(), PCM, seed, QUIET)
    before = model(x)
    assert before.dtype == torch.float32
    assert model(x.to(kind)).dtype == kind
    model.to(kind)
    assert model.layers["0"].gain.dtype == model.layers["0"].bias.dtype == torch.float32
    assert model.model[2].weight.dtype == kind
    loose = {"atol": 3e-2, "rtol": 3e-2}
    same = model(x.to(kind))
    assert same.dtype == kind
    torch.testing.assert_close(same.float(), before, **loose)
    assert model(x).dtype == torch.float32
    torch.testing.assert_close(model(x), before, **loose)
    model.calibrate(x.to(kind))
    model.advance(1e5)
    model.compensate()
    lone = CrossbarLinear.from_linear(nn.Linear(20, 6), PCM, read=QUIET)
    assert lone(x.to(kind)).dtype == kind
    torch.testing.assert_close(lone.to(kind)(x.to(kind)).float(), lone(x), **loose)


def test_a_model_trained_in_half_precision_goes_onto_devices() -> None:
    model, x = network().half(), torch.rand(4, 20).half()
    torch.testing.assert_close(convert(model, "ideal")(x), model(x).detach(), atol=2e-2, rtol=2e-2)


@pytest.mark.filterwarnings("ignore:Complex modules")
def test_moving_devices_or_making_them_complex_is_refused_and_nothing_changes() -> None:
    model = other_model()
    for change in (lambda: model.to("meta"), lambda: model.to_empty(device="meta")):
        with pytest.raises(CapabilityError, match="cannot move to meta"):
            change()
    with pytest.raises(CapabilityError, match=r"cannot compute in torch\.complex64"):
        model.to(torch.complex64)
    assert model.model[2].weight.device.type == "cpu"
    assert model.model[2].weight.dtype == torch.float32
    if not torch.cuda.is_available():
        with pytest.raises((NeurosimError, RuntimeError, AssertionError)):
            model.cuda()


def test_one_warning_for_all_layers_of_a_card_without_a_law_of_time() -> None:
    model = convert(network(), RRAM, seed=range(3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.advance(3.15e7)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.advance(0.0)
        convert(network(), PCM).advance(1.0)
        convert(network(), RRAM, read=ns.ReadPath(drift=False)).advance(1.0)


def test_seeds_are_whole_numbers() -> None:
    for seed in (0.5, [0, 1.5], True, "0"):
        with pytest.raises(InputError, match="expected a whole number"):
            convert(nn.Linear(3, 2), PCM, seed)
