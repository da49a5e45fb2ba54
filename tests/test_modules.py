"""Trained torch layers on devices: equal to torch's on a perfect device, noisy and aging as the card says."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import neurosim as ns
from neurosim import convert
from neurosim.core.errors import CapabilityError, ConfigError, InputError, NeurosimError
from neurosim.reference import layer as layers
from neurosim.reference.modules import CrossbarConv1d, CrossbarConv2d, CrossbarGroups, CrossbarLinear

PCM = "pcm-nandakumar-2018"
QUIET = ns.ReadPath(read_noise=None)
EIGHT_BITS = ns.ReadPath(dac_bits=8, adc_bits=8)
YEAR_S = 31_536_000.0


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def noiseless_pcm() -> object:
    return ns.devices.load(PCM).with_parameters(program_c0=0.0, program_c1=0.0, program_c2=0.0)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 10)
    )  # fmt: skip


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(6, 16), (6, 3, 16)])
def test_linear_on_a_perfect_device_is_torchs(bias: bool, shape: tuple[int, ...]) -> None:
    layer, x = nn.Linear(16, 5, bias=bias), torch.randn(shape)
    found = CrossbarLinear.from_linear(layer, "ideal", seed=[0, 1])(x)
    torch.testing.assert_close(found, layer(x), atol=1e-5, rtol=0)
    assert not found.requires_grad


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (3, {}),
        ((3, 4), {"stride": 2, "padding": 1}),
        (3, {"padding": (2, 0), "stride": (1, 3), "padding_mode": "reflect"}),
        ((3, 2), {"padding": "same", "dilation": (1, 3)}),
        (1, {"padding": "valid", "bias": False}),
    ],
)
def test_convolution_on_a_perfect_device_is_torchs(kernel: object, options: dict) -> None:
    layer, x = nn.Conv2d(3, 5, kernel, **options), torch.randn(4, 3, 9, 11)
    found = CrossbarConv2d.from_conv(layer, "ideal", seed=[0, 1])(x)
    torch.testing.assert_close(found, layer(x), atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (3, {}),
        (4, {"stride": 3, "padding": 2, "padding_mode": "circular"}),
        (3, {"padding": "same", "dilation": 2, "bias": False}),
        (1, {"padding": "valid"}),
    ],
)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolution_along_one_axis_on_a_perfect_device_is_torchs(
    groups: int, kernel: int, options: dict
) -> None:
    layer, x = nn.Conv1d(4, 8, kernel, groups=groups, **options), torch.randn(6, 4, 11)
    for seed in (0, [0, 1]):
        found = convert(layer, "ideal", seed)(x)
        torch.testing.assert_close(found, layer(x).expand_as(found).detach(), atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    ("outputs", "groups", "options"),
    [
        (4, 4, {"padding": 1}),
        (8, 4, {"stride": (1, 2), "padding": (0, 1), "padding_mode": "replicate"}),
        (6, 2, {"padding": "same", "dilation": 2, "bias": False}),
    ],
)
def test_groups_on_a_perfect_device_are_torchs(outputs: int, groups: int, options: dict) -> None:
    layer, x = nn.Conv2d(4, outputs, 3, groups=groups, **options), torch.randn(3, 4, 7, 8)
    for seed in (0, [0, 1]):
        model = convert(layer, "ideal", seed)
        torch.testing.assert_close(model(x), layer(x).expand_as(model(x)).detach(), atol=1e-5, rtol=0)
    assert {one.array.shape for one in model.layers.values()} == {(4 // groups * 9, outputs // groups)}
    assert list(model.layers) == [f"model.{g}" for g in range(groups)]


def test_a_group_is_a_convolution_of_its_own_channels_on_an_array_of_its_own() -> None:
    """Group g is, draw for draw, the convolution of its channels that is called NAME.g."""
    layer, x = nn.Conv2d(4, 6, 3, groups=2), torch.rand(5, 4, 6, 6)
    layer.weight.data[3:] *= 10
    model = convert(nn.Sequential(layer), PCM, [0, 1], EIGHT_BITS)
    model.calibrate(x)
    model.advance(1e5)
    gains = model.compensate()
    found, parts = model(x), []
    for g in (0, 1):
        channels, outputs = slice(2 * g, 2 * g + 2), slice(3 * g, 3 * g + 3)
        alone = CrossbarConv2d(
            layer.weight[outputs], layer.bias[outputs], PCM, seed=[0, 1], read=EIGHT_BITS, name=f"0.{g}"
        )
        blocks = x[:, channels].repeat(2, 1, 1, 1)
        alone.calibrate(blocks)
        alone(blocks)
        alone.advance(1e5)
        assert torch.equal(alone.compensate(), gains[f"0.{g}"])
        parts.append(alone(blocks).reshape(2, 5, 3, 4, 4))
        assert model.layers[f"0.{g}"].array.write.w_max == float(layer.weight[outputs].detach().abs().max())
    torch.testing.assert_close(found, torch.cat(parts, dim=2), atol=1e-6, rtol=1e-6)
    pairs = model.ledgers[0].programmed_cells / 2
    assert pairs == layer.weight.numel(), "no cell is programmed that is no weight"


def test_a_model_on_a_perfect_device_is_torchs_and_the_model_stays_as_it_was() -> None:
    model, x = network(), torch.rand(7, 1, 8, 8)
    before = copy.deepcopy(model.state_dict())
    one, many = convert(model, "ideal"), convert(model, "ideal", seed=range(3))
    torch.testing.assert_close(one(x), model(x), atol=1e-5, rtol=0)
    torch.testing.assert_close(many(x), model(x).expand(3, 7, 10), atol=1e-5, rtol=0)
    assert list(one.layers) == ["0", "4", "6"]
    assert type(model[0]) is nn.Conv2d
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_stand_within_the_programming_error_of_the_card() -> None:
    """Joshi's polynomial: sigma = (c0 + c1 g + c2 g^2) G_max / 25 uS around the target, g = G / G_max."""
    card = ns.devices.load(PCM)
    layer = CrossbarLinear(torch.full((40, 50), 0.5), None, card, seed=[3], write=ns.WritePath(w_max=1.0))
    target = card.g_rest_uS + 0.5 * (card.g_max_uS - card.g_min_uS)
    g = target / card.g_max_uS
    sigma = (card.program_c0 + g * (card.program_c1 + g * card.program_c2)) * card.g_max_uS / 25.0
    z = (layer.array.conductance_uS()[0, :, 0::2] - target) / sigma
    assert abs(float(z.mean())) < 5 / 2000**0.5
    assert abs(float(z.std()) - 1) < 5 / 4000**0.5


def test_drift_is_the_power_law_and_compensation_undoes_it() -> None:
    x = torch.rand(20, 32)
    model = convert(nn.Linear(32, 6, bias=False), noiseless_pcm(), [0, 1], QUIET)
    model.calibrate(x)
    before = model(x)
    model.advance(YEAR_S)
    factor = (YEAR_S / 38.6) ** -0.04
    torch.testing.assert_close(model(x), before * factor, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        model.compensate()["model"], torch.full((2,), 1 / factor).double(), rtol=1e-5, atol=0
    )
    torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-5)
    model.stop_compensation()
    torch.testing.assert_close(model(x), before * factor, rtol=1e-4, atol=1e-5)


def test_what_compensation_leaves_is_the_spread_of_exponents() -> None:
    """Joshi et al. 2020 as fitted in aihwkit: sigma_nu ln(t / t0) after a day, 11.9 % at g = 0.2, within 3 %."""
    law = ns.devices.load("pcm-joshi-2020").with_parameters(flicker=None, error_uS=None)
    weight = torch.full((120, 120), 0.2)
    layer = CrossbarLinear(weight, None, law, read=QUIET, write=ns.WritePath(w_max=1.0))
    layer.calibrate(torch.ones(1, 120))
    layer.advance(86_400.0)
    layer.compensate()
    left = layer(torch.eye(120)).double() / 0.2
    assert float(left.mean()) == pytest.approx(1, abs=1e-5)
    assert float(left.std()) == pytest.approx(0.119, rel=0.03)


def test_bias_is_digital_and_not_scaled_by_compensation() -> None:
    layer = CrossbarLinear.from_linear(nn.Linear(32, 6), noiseless_pcm(), read=QUIET)
    x = torch.rand(20, 32)
    layer.calibrate(x)
    before = layer(x)
    layer.advance(YEAR_S)
    assert float((layer(x) - before).abs().max()) > 0.05
    layer.compensate()
    torch.testing.assert_close(layer(x), before, rtol=1e-4, atol=1e-5)


def test_instances_differ_and_seeds_fix_the_bits() -> None:
    model, x = network(), torch.rand(7, 1, 8, 8)

    def read(seed: object) -> torch.Tensor:
        found = convert(model, PCM, seed, EIGHT_BITS)
        found.calibrate(x)
        found.advance(60.0)
        found.compensate()
        return found(x)

    both = read([5, 6])
    assert torch.equal(both, read([5, 6]))
    assert float((both[0] - both[1]).abs().max()) > 1e-3
    torch.testing.assert_close(both[1], read(6), rtol=0, atol=1e-4)


def test_layers_of_one_seed_have_errors_of_their_own() -> None:
    first = nn.Linear(20, 20)
    model = convert(nn.Sequential(first, copy.deepcopy(first)), PCM)
    errors = [layer.array.weights() - first.weight.detach().T for layer in model.layers.values()]
    correlation = torch.corrcoef(torch.stack([error.flatten() for error in errors]))[0, 1]
    assert abs(float(correlation)) < 5 / 400**0.5


def test_blocks_of_reads_bound_memory_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise follows the number of a read, so the size of the blocks moves no draw."""
    layer, x = nn.Conv2d(2, 3, 3, padding=1), torch.rand(6, 2, 5, 5)
    whole = CrossbarConv2d.from_conv(layer, PCM, seed=[0, 1])(x)
    monkeypatch.setattr(layers, "BLOCK", 1)
    torch.testing.assert_close(
        CrossbarConv2d.from_conv(layer, PCM, seed=[0, 1])(x), whole, rtol=1e-5, atol=1e-5
    )


def test_reads_of_compensation_are_counted() -> None:
    model = convert(nn.Linear(8, 4), PCM, range(2), EIGHT_BITS)
    model.calibrate(torch.rand(5, 8))
    before = model.ledgers[1]
    model.compensate()
    after = model.ledgers[1]
    assert after.reads - before.reads == 5
    assert after.read_J > before.read_J
    assert after.read_periphery_J > before.read_periphery_J


def test_percentile_clips_outliers() -> None:
    weight = torch.full((4, 25), 0.1)
    weight[0, 0] = 5.0
    whole, clipped = (CrossbarLinear(weight, None, "ideal", percentile=p) for p in (100.0, 98.0))
    assert whole.array.write.w_max == 5.0
    assert clipped.array.write.w_max == pytest.approx(0.1)
    assert float(clipped(torch.eye(25))[0, 0]) == pytest.approx(0.1)


def test_a_shared_layer_stays_shared_and_its_array_is_one() -> None:
    shared = nn.Linear(6, 6)
    model = convert(nn.Sequential(shared, nn.ReLU(), shared), "ideal")
    assert model.model[0] is model.model[2]
    assert list(model.layers) == ["0"]


def test_what_cannot_go_onto_devices_is_refused_or_named() -> None:
    with pytest.raises(CapabilityError, match=r"no nn\.Linear, nn\.Conv1d or nn\.Conv2d"):
        convert(nn.Sequential(nn.ReLU()), PCM)
    with pytest.raises(CapabilityError, match=r"groups = 2.*CrossbarGroups\.from_conv"):
        CrossbarConv2d.from_conv(nn.Conv2d(4, 4, 3, groups=2), PCM)
    with pytest.warns(UserWarning, match=r"digital arithmetic: 0 \(Embedding\)"):
        convert(nn.Sequential(nn.Embedding(5, 6), nn.Linear(6, 2)), "ideal")


def test_wrong_samples_and_weights_are_refused() -> None:
    linear = CrossbarLinear(torch.ones(3, 4), None, "ideal", seed=[0, 1])
    with pytest.raises(InputError, match="multiple of 2 instances"):
        linear(torch.ones(3, 4))
    with pytest.raises(InputError, match=r"expected samples \(batch, ..., 4\)"):
        linear(torch.ones(2, 5))
    with pytest.raises(InputError, match="call calibrate"):
        linear.compensate()
    convolution = CrossbarConv2d(torch.ones(1, 2, 3, 3), None, "ideal")
    with pytest.raises(InputError, match="2, height, width"):
        convolution(torch.ones(1, 3, 5, 5))
    with pytest.raises(InputError, match="kernel"):
        convolution(torch.ones(1, 2, 2, 2))
    with pytest.raises(InputError, match=r"\(batch, 2, length\)"):
        CrossbarConv1d(torch.ones(1, 2, 3), None, "ideal")(torch.ones(1, 2, 5, 5))
    with pytest.raises(InputError, match=r"layer 'layer': expected \(batch, 4, ...\), 2 groups of channels"):
        CrossbarGroups.from_conv(nn.Conv2d(4, 4, 3, groups=2), "ideal")(torch.ones(1, 3, 5, 5))
    with pytest.raises(InputError, match=r"\(out_channels, in_channels, length\), got \(1, 2, 3, 3\)"):
        CrossbarConv1d(torch.ones(1, 2, 3, 3), None, "ideal")
    for options, words in (
        ({"padding_mode": "reflected"}, "did you mean 'reflect'"),
        ({"padding": "samee"}, "did you mean 'same'"),
        ({"padding": "same", "stride": 2}, "needs a stride of 1"),
    ):
        with pytest.raises(NeurosimError, match=words):
            CrossbarConv2d(torch.ones(1, 2, 3, 3), None, "ideal", **options)
    with pytest.raises(InputError, match="NaN"):
        CrossbarLinear(torch.full((2, 2), float("nan")), None, "ideal")
    with pytest.raises(InputError, match="percentile"):
        CrossbarLinear(torch.ones(2, 2), None, "ideal", percentile=0.0)
    with pytest.raises(ConfigError, match=r"percentile = 99: write says .* one of both"):
        CrossbarLinear(torch.ones(2, 2), None, "ideal", percentile=99, write={"w_max": 1.0})
