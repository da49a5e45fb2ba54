"""What `convert` puts onto devices of a net of one's own: choices by name, what stays digital, pruned and residual nets."""

from __future__ import annotations

import copy
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from helpers import ROOT
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch_helpers import EIGHT_BITS, PCM, QUIET, RRAM, Residual, residual

import neurosim as ns
from benchmarks import residual_cnn
from neurosim import convert
from neurosim.core.errors import CapabilityError, CheckpointError, ConfigError, InputError, NeurosimError
from neurosim.network.readout import single_threaded_torch
from neurosim.report.text import made_with

ALL = ["stem", "block.depthwise", "block.pointwise", "along", "head"]
"""Layers of `Residual` that can go onto devices."""


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    torch.manual_seed(0)
    with single_threaded_torch():
        yield


def on_devices(model: Any) -> list[str]:
    """Names of the trained layers that stand on devices, groups as one."""
    return list(dict.fromkeys(re.sub(r"(depthwise|along)\.\d+$", r"\1", name) for name in model.layers))


class TestExclude:
    @pytest.mark.filterwarnings("ignore:weights that stay in digital")
    @pytest.mark.parametrize(
        ("exclude", "left"),
        [
            ((), []),
            ("head", ["head"]),
            (["stem", "head"], ["stem", "head"]),
            ("block", ["block.depthwise", "block.pointwise"]),
            ("*.depthwise", ["block.depthwise"]),
            (["*wise"], ["block.depthwise", "block.pointwise"]),
            ("bl*", ["block.depthwise", "block.pointwise"]),
            (nn.Conv1d, ["along"]),
            ([nn.Linear, "stem"], ["stem", "head"]),
            (nn.Conv2d, ["stem", "block.depthwise", "block.pointwise"]),
        ],
    )
    def test_names_patterns_and_types_stay_digital(self, exclude: Any, left: list[str]) -> None:
        trained, x = residual(), torch.rand(2, 1, 8, 8)
        model = convert(trained, "ideal", exclude=exclude)
        assert on_devices(model) == [name for name in ALL if name not in left]
        assert [name for name in model.digital if name in ALL] == left
        torch.testing.assert_close(model(x), trained(x).detach(), atol=1e-5, rtol=0)

    @pytest.mark.parametrize(
        ("exclude", "words"),
        [
            ("haed", "unknown module 'haed'; did you mean 'head'"),
            ("*.depthwize", r"unknown module '\*\.depthwize'; did you mean 'block\.depthwise'"),
            (["stem", "stem.*"], r"unknown module 'stem\.\*'"),
            (nn.LSTM, "unknown type of module 'LSTM'"),
            ([3], "names, patterns or types of modules, got 3"),
            (nn.Module, "no nn.Linear, nn.Conv1d or nn.Conv2d"),
        ],
    )
    def test_what_means_nothing_is_refused_with_the_nearest_name(self, exclude: Any, words: str) -> None:
        with pytest.raises(NeurosimError, match=words):
            convert(residual(), PCM, exclude=exclude)

    def test_what_was_called_digital_is_now_called_exclude(self) -> None:
        with pytest.raises(NeurosimError, match="unknown setting 'digital'; did you mean 'exclude'"):
            convert(residual(), PCM, digital=["head"])
        with pytest.raises(CapabilityError, match="wires: not in the torch backend"):
            convert(residual(), PCM, wires={})


class TestPerLayer:
    def test_settings_of_one_layer_are_those_of_a_model_with_that_layer_alone(self) -> None:
        """Each layer is, draw for draw, that of a model in which all layers have its settings."""
        trained, x = residual(), torch.rand(2, 1, 8, 8)
        own = {
            "head": {"read": {"adc_bits": 4}},
            "*wise": {"device": RRAM},
            "stem": {"percentile": 95, "write": {"mapping": "reference"}},
        }
        model = convert(trained, PCM, read=EIGHT_BITS, per_layer=own)
        alike: dict[str, dict[str, Any]] = {
            "head": {"device": PCM, "read": EIGHT_BITS.changed(adc_bits=4)},
            "block.pointwise": {"device": RRAM, "read": EIGHT_BITS},
            "block.depthwise.2": {"device": RRAM, "read": EIGHT_BITS},
            "stem": {
                "device": PCM,
                "read": EIGHT_BITS,
                "percentile": 95,
                "write": ns.WritePath(mapping="reference"),
            },
            "along.0": {"device": PCM, "read": EIGHT_BITS},
        }
        for name, settings in alike.items():
            array, same = model.layers[name].array, convert(trained, **settings).layers[name].array
            assert array.device == same.device
            assert (array.read, array.write) == (same.read, same.write)
            assert torch.equal(array.conductance_uS(), same.conductance_uS())
        model.calibrate(x)
        assert model(x).shape == (2, 10)

    def test_later_patterns_go_over_earlier_ones_and_paths_replace(self) -> None:
        own = {
            "*": {"read": {"adc_bits": 6}},
            "head": {"read": {"dac_bits": 5}},
            "stem": {"read": QUIET},
        }
        layers = convert(residual(), PCM, read={"adc_bits": 8, "dac_bits": 8}, per_layer=own).layers
        assert [(layers[name].array.read.adc_bits, layers[name].array.read.dac_bits) for name in
                ("block.pointwise", "head", "stem")] == [(6, 8), (6, 5), (None, None)]  # fmt: skip

    @pytest.mark.parametrize(
        ("own", "words"),
        [
            ({"haed": {}}, "unknown layer on devices 'haed'; did you mean 'head'"),
            ({"norm": {"percentile": 99}}, "unknown layer on devices 'norm'"),
            ({"head": {"percentil": 99}}, "'percentil' of per_layer, 'head'; did you mean 'percentile'"),
            ({"head": {"wires": {}}}, "wires of per_layer, 'head': not in the torch backend"),
            ({"head": {"seed": 3}}, "unknown setting 'seed' of per_layer, 'head'"),
            ({"head": {"read": {"adc_bit": 3}}}, "per_layer, 'head', read: .*did you mean 'adc_bits'"),
            ({"head": {"read": {"adc_bits": 99}}}, "per_layer, 'head', read: adc_bits = 99"),
            ({"head": {"percentile": 99, "write": {"w_max": 1.0}}}, "layer 'head', percentile = 99"),
            ({"head": 3}, "per_layer, 'head': expected a dict of settings, got 3"),
        ],
    )
    def test_what_cannot_be_is_refused(self, own: Any, words: str) -> None:
        with pytest.raises(NeurosimError, match=words):
            convert(residual(), PCM, per_layer=own)

    def test_a_layer_that_is_excluded_has_no_settings(self) -> None:
        with pytest.raises(NeurosimError, match="unknown layer on devices 'head'"):
            convert(residual(), PCM, exclude="head", per_layer={"head": {"percentile": 99}})


class TestWhatStaysDigital:
    def test_is_listed_by_name_with_its_parameters(self) -> None:
        with pytest.warns(UserWarning, match=r"stay in digital arithmetic: stem \(Conv2d\)"):
            model = convert(residual(), "ideal", exclude="stem")
        assert model.digital["stem"] == ("Conv2d", 4 * 9)
        assert model.digital["norm"] == ("BatchNorm2d", 8)
        assert model.digital["act"] == ("ReLU", 0)
        assert not {"head", "block", "block.depthwise"} & model.digital.keys()
        every = sum(value.numel() for value in residual().parameters())
        held = sum(value.parameters for value in model.digital.values())
        bias = sum(one.bias.numel() for one in model.layers.values() if one.bias is not None)
        assert (
            held + sum(one.array.shape[0] * one.array.shape[1] for one in model.layers.values()) + bias
            == every
        )

    @pytest.mark.filterwarnings("ignore:weights that stay in digital", "ignore:fuse_batchnorm")
    def test_stands_in_the_summary(self) -> None:
        model = convert(residual(), "ideal", exclude="stem", fuse_batchnorm=True)
        shown = repr(model)
        weights = sum(one.array.shape[0] * one.array.shape[1] for one in model.layers.values())
        assert f"on devices: {weights} weights on {len(model.layers)} arrays, 0 of them exactly zero" in shown
        assert "digital: stem (Conv2d, 36 parameters), norm (BatchNorm2d, 8 parameters), act (ReLU)" in shown
        assert "folded: block.norm1 into block.depthwise, block.norm2 into block.pointwise" in shown


class TestPruned:
    @pytest.mark.parametrize("seed", [0, [0, 1]])
    @pytest.mark.parametrize("done", [False, True])
    def test_effective_weights_go_onto_devices_and_zeros_are_told(self, done: bool, seed: Any) -> None:
        model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
        prune.l1_unstructured(model[0], "weight", amount=40)
        prune.random_unstructured(model[0], "weight", amount=8)
        prune.l1_unstructured(model[2], "bias", amount=2)
        if done:
            prune.remove(model[0], "weight")
        x = torch.rand(5, 12)
        names = set(model.state_dict())
        with pytest.warns(UserWarning, match=r"exactly zero: 0 48 of 96\. Each .* equal conductances"):
            found = convert(model, "ideal", seed)
        torch.testing.assert_close(found(x), model(x).detach().expand_as(found(x)), atol=1e-5, rtol=0)
        assert [layer.zeros for layer in found.layers.values()] == [48, 0]
        assert "48 of them exactly zero" in repr(found)
        assert set(model.state_dict()) == names, "the trained model stays as it was"
        device = found.layers["0"].array
        pairs = device.conductance_uS().reshape(-1, 12, 8, 2)[0]
        zero = (model[0].weight == 0).T
        assert torch.equal(pairs[..., 0][zero], pairs[..., 1][zero])
        assert not torch.equal(pairs[..., 0][~zero], pairs[..., 1][~zero])
        assert found.ledgers[0].programmed_cells == 2 * (96 + 24), "zeros are programmed as all others"

    @pytest.mark.filterwarnings("ignore:weights that")
    def test_a_pruned_layer_that_stays_digital_is_masked_too(self) -> None:
        model, x = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3)), torch.rand(3, 6)
        prune.random_unstructured(model[0], "weight", amount=5)
        found = convert(model, "ideal", [0, 1], exclude="0")
        torch.testing.assert_close(found(x), model(x).detach().expand(2, 3, 3), atol=1e-5, rtol=0)
        assert found.digital == {"0": ("Linear", 28)}

    def test_the_mask_counts_not_what_was_computed_before(self) -> None:
        """After an optimiser's step the weight of a pruned layer is old until it is called again."""
        layer, x = nn.Linear(6, 4), torch.rand(3, 6)
        prune.random_unstructured(layer, "weight", amount=5)
        layer.weight_orig.data += 1
        with pytest.warns(UserWarning, match="exactly zero: model 5 of 24"):
            found = convert(layer, "ideal")(x)
        torch.testing.assert_close(found, layer(x).detach(), atol=1e-5, rtol=0)

    def test_parametrized_weights_are_those_that_it_has(self) -> None:
        class Symmetric(nn.Module):
            def forward(self, w: torch.Tensor) -> torch.Tensor:
                return w.triu() + w.triu(1).T

        model = nn.Sequential(
            parametrizations.weight_norm(nn.Conv2d(1, 3, 3)), nn.Flatten(), parametrizations.orthogonal(nn.Linear(12, 5)),
            parametrizations.spectral_norm(nn.Linear(5, 4)), nn.Linear(4, 4),
        )  # fmt: skip
        parametrize.register_parametrization(model[4], "weight", Symmetric())
        model.eval()
        x = torch.rand(2, 1, 4, 4)
        found = convert(model, "ideal", [0, 1])
        assert list(found.layers) == ["0", "2", "3", "4"]
        torch.testing.assert_close(found(x), model(x).detach().expand(2, 2, 4), atol=1e-5, rtol=0)
        assert parametrize.is_parametrized(model[0])
        with pytest.warns(UserWarning, match=r"digital arithmetic: 0 \(Conv2d\)"):
            kept = convert(model, "ideal", exclude=nn.Conv2d)
        assert kept.digital["0"] == ("Conv2d", 3 + 27 + 3)
        torch.testing.assert_close(kept(x), model(x).detach(), atol=1e-5, rtol=0)

    def test_a_pruned_convolution_in_groups(self) -> None:
        layer, x = nn.Conv2d(4, 4, 3, groups=4), torch.rand(2, 4, 5, 5)
        prune.l1_unstructured(layer, "weight", amount=0.5)
        with pytest.warns(UserWarning, match="exactly zero: model 18 of 36"):
            model = convert(layer, "ideal")
        torch.testing.assert_close(model(x), layer(x).detach(), atol=1e-5, rtol=0)


OPTIONS: list[dict[str, Any]] = [{}, {"exclude": ["stem", "head"]}, {"exclude": "*.depthwise"}]


@pytest.mark.filterwarnings("ignore:weights that stay in digital", "ignore:fuse_batchnorm")
@pytest.mark.parametrize("options", OPTIONS, ids=["all", "first and last", "depthwise"])
@pytest.mark.parametrize("folded", [False, True])
class TestResidual:
    def test_instance_k_is_the_model_of_seed_k(self, folded: bool, options: dict[str, Any]) -> None:
        trained, x = residual(), torch.rand(3, 1, 8, 8)

        def chip(seed: Any) -> Any:
            model = convert(trained, PCM, seed, EIGHT_BITS, fuse_batchnorm=folded, **options)
            model.calibrate(x)
            model.advance(86_400.0)
            model.compensate()
            return model

        both, alone = chip([0, 7]), chip(7)
        torch.testing.assert_close(both(x)[1], alone(x), atol=1e-4, rtol=1e-4)
        assert both.ledgers[1].reads == alone.ledgers[0].reads

    def test_state_dict_takes_the_devices_along(self, folded: bool, options: dict[str, Any]) -> None:
        x = torch.rand(3, 1, 8, 8)
        settings = {"seed": [0, 7], "read": EIGHT_BITS, "fuse_batchnorm": folded, **options}
        chip = convert(residual(), PCM, **settings)
        chip.calibrate(x)
        chip.advance(86_400.0)
        chip.compensate()
        torch.manual_seed(5)
        other = convert(residual(), PCM, **settings)
        assert str(other.load_state_dict(chip.state_dict())) == "<All keys matched successfully>"
        copied = copy.deepcopy(chip)
        assert torch.equal(chip(x), other(x))
        assert torch.equal(copied(x), chip(x)) is False, "noise goes on"
        assert torch.equal(copied(x), other(x))
        assert chip.ledgers == other.ledgers
        seed = convert(residual(), PCM, **{**settings, "seed": [0, 8]})
        with pytest.raises(CheckpointError, match="seeds"):
            seed.load_state_dict(chip.state_dict())


def test_what_a_residual_net_loses_comes_from_its_devices() -> None:
    """Without noise, programming error and converters it is torch's net; with them it is not, and time makes it worse."""
    trained, x = residual(), torch.rand(64, 1, 8, 8)
    wanted = trained(x).detach()
    law = ns.devices.load(PCM).with_parameters(program_c0=0.0, program_c1=0.0, program_c2=0.0)
    perfect = convert(trained, law, read=QUIET, fuse_batchnorm=True)
    torch.testing.assert_close(perfect(x), wanted, atol=1e-4, rtol=1e-4)
    chip = convert(trained, PCM, range(4), EIGHT_BITS, fuse_batchnorm=True)
    chip.calibrate(x)
    other_model = (chip(x) - wanted).square().mean()
    chip.advance(86_400.0 * 365)
    assert 0 < other_model < (chip(x) - wanted).square().mean()


def test_other_kinds_of_convolutions_are_named_as_digital() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(1, 2, 3), nn.Unflatten(1, (2, 1)), nn.Conv3d(2, 2, (1, 3, 3)), nn.Flatten(),
                          nn.Linear(32, 2))  # fmt: skip
    with pytest.warns(UserWarning, match=r"digital arithmetic: 0 \(ConvTranspose2d\); 2 \(Conv3d\)"):
        convert(model, "ideal")


def test_nothing_is_said_where_there_is_nothing_to_say() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(residual(), Residual)
        convert(residual(), PCM, fuse_batchnorm=True)
    with pytest.raises(InputError, match="stands on devices already"):
        convert(convert(residual(), PCM), PCM)
    with pytest.raises(ConfigError, match="adc_bits"):
        convert(residual(), PCM, read={"adc_bits": 99})


def test_the_page_of_the_residual_net_is_what_its_script_makes_of_its_numbers() -> None:
    """No figure of it is typed in; and the options are the three that it says."""
    folder = ROOT / "results"
    found = json.loads((folder / "residual-cnn.json").read_text())
    written = f"{residual_cnn.page(found).rstrip()}\n\n{made_with(found)}"
    assert written == (folder / "residual-cnn.md").read_text()
    assert list(found["options"]) == list(residual_cnn.OPTIONS)
    net = residual_cnn.Net()
    net.load_state_dict(load_file(folder / "residual-cnn.safetensors"))
    weights = {name: part.numel() for name, part in net.named_parameters() if part.ndim > 1}
    for name, exclude in residual_cnn.OPTIONS.items():
        option = found["options"][name]
        assert option["exclude"] == exclude
        digital = sum(count for part, (kind, count) in option["digital"].items() if kind == "Conv2d")
        bias = 10 if "head" in exclude else 0
        digital += sum(count for part, (kind, count) in option["digital"].items() if kind == "Linear") - bias
        assert option["weights"] == sum(weights.values()) - digital
        assert all(len(one["of_chips"]) == len(residual_cnn.CHIPS) >= 3 for one in option["reads"].values())
