"""Weights from a file without a layer map: what is assumed stands on the terminal; what is no chain is sent to `ns.convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune
from torch_helpers import PCM, residual
from typer.testing import CliRunner

from neurosim import WeightsExperiment
from neurosim.cli.app import app
from neurosim.core.errors import ConfigError, NeurosimError
from neurosim.reference.chain import Chain
from neurosim.study.run import study

SHAPE = (1, 8, 8)
QUICK = ["--device", PCM, "--dataset", "digits"]


class Square(nn.Module):
    """Three layers that fit in any order, registered in another one than they are called in."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc3, self.fc2, self.out = (nn.Linear(64, size) for size in (64, 64, 64, 10))


@pytest.fixture
def square(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(Square().state_dict(), tmp_path / "square.pt")
    return tmp_path / "square.pt"


def said(*arguments: Any) -> str:
    """What a command prints on standard output, if it succeeds."""
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code == 0, found.output
    return " ".join(found.stdout.split())


def refusal(*arguments: Any) -> str:
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(found.exception, NeurosimError), found.output
    return str(found.exception)


ASSUMED = (
    "weights square.pt: no layer map, so it is assumed: a plain chain fc1 - fc3 - fc2 - out (as in the file), ReLU between, "
    "no skip connections; for another order or activation give a map (--layers)"
)


def test_order_and_activation_that_are_assumed_stand_on_the_terminal(square: Path, tmp_path: Path) -> None:
    """A user had 10 % instead of 91, for the layers were registered in another order; the terminal did not say so."""
    shown = said("compare", "--weights", square, *QUICK, "--seeds", 1, "--times", 1, "--out", tmp_path / "a")
    assert shown.startswith(ASSUMED)
    assert shown.count("no layer map, so") == 1
    spec = tmp_path / "spec.toml"
    spec.write_text(
        f'kind = "weights"\nweights = "{square}"\ndevice = ["{PCM}"]\nseeds = 1\ntimes_s = [1]\ntest_images = 20\n'
    )
    assert said("run", spec, "--out", tmp_path / "b").startswith(ASSUMED)
    swept = said("sweep", spec, "--axis", "read_noise=0,0.1", "--out", tmp_path / "c")
    assert swept.count(ASSUMED) == 1


def test_with_a_map_nothing_is_assumed_and_weights_left_out_are_named(square: Path, tmp_path: Path) -> None:
    layers = tmp_path / "map.toml"
    layers.write_text(
        "\n".join(f'[[layer]]\nkind = "linear"\nweight = "{name}.weight"' for name in ("fc1", "fc2", "out"))
    )
    spec = WeightsExperiment(weights=str(square), layers=str(layers), device=(PCM,), seeds=1)
    assert spec.said() == ["weights square.pt: no layer of the map uses fc3.weight"]
    given = ["--weights", square, "--layers", layers, *QUICK, "--seeds", 1, "--times", 1]
    shown = said("compare", *given, "--out", tmp_path / "a")
    assert "assumed: a plain chain" not in shown
    assert "no layer of the map uses fc3.weight" in shown


def test_a_safetensors_file_has_the_order_of_the_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(Square().state_dict(), tmp_path / "square.safetensors")
    (line,) = Chain(tmp_path / "square.safetensors", None, SHAPE, 10).said
    assert "a plain chain fc1 - fc2 - fc3 - out (by the numbers in the names)" in line


def resnet_names() -> dict[str, torch.Tensor]:
    """As torchvision names them: convolutions, norms, a projection of the skip connection."""
    names = ("conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.0.downsample.0")
    return {f"{name}.weight": torch.ones(4, 4, 3, 3) for name in names} | {"fc.weight": torch.ones(10, 4)}


def linear_names(*names: str) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": torch.ones(64 if name != "out" else 10, 64) for name in (*names, "out")}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (resnet_names(), r"net\.pt: 'layer1\.0\.downsample\.0\.weight' sounds like a net with skip connections"),
        (residual().state_dict(), r"'block\.depthwise\.weight' sounds like a net with skip connections"),
        (linear_names("0.fc", "0.skip"), r"'0\.skip\.weight' sounds like"),
        (linear_names("res1", "res2"), r"'res1\.weight' sounds like"),
        (linear_names("resblock.0"), r"'resblock\.0\.weight' sounds like"),
        ({"a.weight": torch.ones(4, 1, 3, 3)}, "if it is a chain, say how .*--layers; if it is a net with skip"),
        ({"fc.weight": torch.ones(10, 32)}, "takes 32 values, but what comes is .*; if it is a net with skip"),
    ],
)  # fmt: skip
def test_what_is_no_chain_is_sent_to_convert(
    tensors: dict[str, torch.Tensor], words: str, tmp_path: Path
) -> None:
    file = tmp_path / "net.pt"
    torch.save(tensors, file)
    with pytest.raises(ConfigError, match=words) as error:
        Chain(file, None, SHAPE, 10)
    assert "ns.convert(model, device), see docs/your_model.md" in str(error.value)
    shown = refusal("compare", "--weights", file, *QUICK, "--out", tmp_path / "out")
    assert shown.startswith(str(error.value))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["address", "press.0", "description", "restart", "0", "fresh_1", "blocking"])
def test_names_that_only_look_like_it_are_read_as_a_chain(name: str, tmp_path: Path) -> None:
    torch.save(linear_names(name), tmp_path / "net.pt")
    assert len(Chain(tmp_path / "net.pt", None, SHAPE, 10).text) == 3


def test_a_map_is_believed_and_its_misfit_sent_to_convert_where_names_sound_like_branches(
    tmp_path: Path,
) -> None:
    torch.save(linear_names("0.fc", "0.skip"), tmp_path / "net.pt")
    layers = tmp_path / "map.toml"
    chain = ["0.fc", "0.skip", "out"]
    layers.write_text("\n".join(f'[[layer]]\nkind = "linear"\nweight = "{name}.weight"' for name in chain))
    assert Chain(tmp_path / "net.pt", layers, SHAPE, 10).said == []
    layers.write_text('[[layer]]\nkind = "linear"\nweight = "0.fc.weight"')
    with pytest.raises(
        ConfigError, match=r"10 classes need 10 outputs.*'0\.skip\.weight' sounds like.*ns\.convert"
    ):
        Chain(tmp_path / "net.pt", layers, SHAPE, 10)


def test_a_state_dict_of_a_pruned_model_is_read_with_its_masks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    prune.l1_unstructured(model[1], "weight", amount=0.8)
    torch.save(model.state_dict(), tmp_path / "pruned.pt")
    assert "1.weight_orig" in model.state_dict()
    chain, x = Chain(tmp_path / "pruned.pt", None, SHAPE, 10), torch.rand(4, *SHAPE)
    torch.testing.assert_close(chain.model(x), model(x).detach())
    assert chain.unused == []
    assert "a plain chain 1 - 3 " in chain.said[0]


def test_a_map_takes_convolutions_in_groups(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4, stride=2), nn.Flatten(), nn.Linear(16, 10)
    )
    torch.save(model.state_dict(), tmp_path / "w.pt")
    layers = tmp_path / "map.toml"
    layers.write_text(
        '[[layer]]\nkind = "conv2d"\nweight = "0.weight"\nbias = "0.bias"\n[[layer]]\nkind = "relu"\n'
        '[[layer]]\nkind = "conv2d"\nweight = "2.weight"\nbias = "2.bias"\ngroups = 4\nstride = 2\n'
        '[[layer]]\nkind = "flatten"\n[[layer]]\nkind = "linear"\nweight = "4.weight"\nbias = "4.bias"\n'
    )
    x = torch.rand(3, *SHAPE)
    torch.testing.assert_close(Chain(tmp_path / "w.pt", layers, SHAPE, 10).model(x), model(x).detach())
    quiet = {"adc_bits": None, "dac_bits": None, "read_noise": None}
    given = {"weights": str(tmp_path / "w.pt"), "layers": str(layers), "seeds": 1, "test_images": 60}
    found = study(WeightsExperiment(device=("ideal",), read=quiet, **given), tmp_path / "out")
    exact, perfect = found["runs"]
    assert perfect["points"] == exact["points"]
    assert perfect["counts"]["programmed_cells"] == 2 * (36 + 36 + 160), "every group is counted"


def test_a_map_keeps_layers_off_the_devices(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Linear(16, 10))
    torch.save(model.state_dict(), tmp_path / "w.pt")
    layers, given = tmp_path / "map.toml", {"weights": str(tmp_path / "w.pt"), "seeds": 1, "test_images": 20}

    def counts(*digital: str) -> Any:
        layers.write_text(
            "\n".join(
                f'[[layer]]\nkind = "linear"\nweight = "{name}.weight"\nbias = "{name}.bias"\n'
                f"digital = {str(name in digital).lower()}"
                for name in ("1", "2")
            )
        )
        spec = WeightsExperiment(layers=str(layers), device=(PCM,), **given)
        return study(spec)["runs"][1]["counts"]["programmed_cells"]

    with pytest.warns(UserWarning, match=r"digital arithmetic: 1 \(Linear\)"):
        assert counts("1") == 2 * 16 * 10
    assert counts() == 2 * (64 * 16 + 16 * 10)
    with pytest.raises(ConfigError, match="no linear or convolutional layer is left for devices"):
        counts("1", "2")
