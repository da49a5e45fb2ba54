"""Trained weights from a file onto devices: files, layer maps, the study, the command line."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import nn

import neurosim.data
from neurosim import cli
from neurosim.core.errors import ConfigError, DataError, NeurosimError
from neurosim.data import Dataset
from neurosim.network.readout import single_threaded_torch
from neurosim.reference.chain import Chain
from neurosim.report.results import nothing_in
from neurosim.report.transfer import Aged, aged_table, aging_curves, duration, write_reports
from neurosim.study.transfer import Transfer, transfer

PCM, COARSE = "pcm-nandakumar-2018", "rram-hfo2-om-2022"
SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small perceptron, trained by backpropagation on digits."""
    torch.manual_seed(0)
    data = neurosim.data.load("digits")
    fit = data.training(hold_out=False)
    x, y = torch.from_numpy(data.inputs(fit.images)), torch.from_numpy(fit.labels)
    model = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    with single_threaded_torch():
        for _ in range(300):
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            with torch.no_grad():
                for value in model.parameters():
                    value -= 0.7 * value.grad
    path = tmp_path_factory.mktemp("weights") / "digits.safetensors"
    save_file(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def results(trained: Path) -> dict[str, Any]:
    spec = Transfer(weights=str(trained), device=(PCM, COARSE), instances=3, times_s=(1.0, 3e7))
    return transfer(spec)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["neurosim", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def saved(folder: Path, **tensors: torch.Tensor) -> Path:
    path = folder / "w.safetensors"
    save_file({name.replace("_", "."): value for name, value in tensors.items()}, path)
    return path


def mapped(folder: Path, *layers: str) -> Path:
    path = folder / "map.toml"
    path.write_text("\n".join(f"[[layer]]\n{layer}" for layer in layers))
    return path


def linear(inputs: int, outputs: int) -> torch.Tensor:
    return torch.linspace(-1, 1, inputs * outputs).reshape(outputs, inputs)


def test_a_plain_chain_is_read_in_the_order_of_numbers(tmp_path: Path) -> None:
    """A safetensors file sorts names as text, "10" before "2"."""
    torch.manual_seed(0)
    sizes = [64, 12, 12, 10]
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))
    state = {f"{place}.{kind}": value for place, layer in zip((2, 9, 10), model, strict=True)
             for kind, value in layer.state_dict().items()}  # fmt: skip
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    x = torch.rand(5, *SHAPE)
    wanted = model[2](torch.relu(model[1](torch.relu(model[0](x.flatten(1))))))
    for name in ("w.safetensors", "w.pt"):
        chain = Chain(tmp_path / name, None, SHAPE, 10)
        torch.testing.assert_close(chain.model(x), wanted)
        assert [line.split()[0] for line in chain.text] == ["linear", "relu", "linear", "relu", "linear"]


def test_a_map_builds_the_network_that_torch_has(tmp_path: Path) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    with torch.no_grad():
        for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            value.uniform_(0.5, 1.5)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=(1, 2), padding=1, bias=False), norm, nn.Tanh(), nn.AvgPool2d(2),
        nn.MaxPool2d(2, stride=1), nn.Flatten(), nn.Linear(12, 10),
    ).eval()  # fmt: skip
    torch.save(model.state_dict(), tmp_path / "w.pt")
    layers = mapped(
        tmp_path,
        'kind = "normalise"\nmean = [0.1]\nstd = [0.5]',
        'kind = "conv2d"\nweight = "0.weight"\nstride = [1, 2]\npadding = 1',
        'kind = "batchnorm"\nweight = "1.weight"\nbias = "1.bias"\nrunning_mean = "1.running_mean"\n'
        'running_var = "1.running_var"',
        'kind = "tanh"',
        'kind = "avgpool2d"\nsize = 2',
        'kind = "maxpool2d"\nsize = 2\nstride = 1',
        'kind = "flatten"',
        'kind = "linear"\nweight = "6.weight"\nbias = "6.bias"',
    )
    chain = Chain(tmp_path / "w.pt", layers, SHAPE, 10)
    x = torch.rand(5, *SHAPE)
    torch.testing.assert_close(chain.model(x), model((x - 0.1) / 0.5))
    assert chain.unused == ["1.num_batches_tracked"]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (['kind = "linaer"'], ["map.toml", "layer 1", "'linaer'", "did you mean 'linear'"]),
        (
            ['kind = "linear"\nwieght = "a.weight"'],
            ["layer 1 (linear)", "weight", "Field required", "'wieght'"],
        ),
        (
            ['kind = "linear"\nweight = "a.wieght"'],
            ["w.safetensors", "'a.wieght'", "did you mean 'a.weight'"],
        ),
        (['kind = "linear"\nweight = "a.bias"'], ["weight = 'a.bias'", "expected (any x any)", "(12,)"]),
        (
            ['kind = "linear"\nweight = "a.weight"', 'kind = "linear"\nweight = "c.weight"'],
            ["layer 2 (linear)", "'c.weight' takes 9 values", "layer 1 (linear), 12"],
        ),
        (['kind = "linear"\nweight = "c.weight"'], ["takes 9 values", "the images, 1 x 8 x 8"]),
        (['kind = "linear"\nweight = "a.weight"\nbias = "c.bias"'], ["bias = 'c.bias'", "(12)", "(10,)"]),
        (['kind = "linear"\nweight = "a.weight"'], ["10 classes need 10 outputs", "layer 1 (linear), 12"]),
        (
            ['kind = "relu"', 'kind = "linear"\nweight = "a.weight"'],
            ["layer 2 (linear)", "layer 1 (relu), 1 x 8 x 8", "a flatten between"],
        ),
        (['kind = "flatten"', 'kind = "maxpool2d"\nsize = 2'], ["layer 2 (maxpool2d)", "takes images", "64"]),
        (['kind = "maxpool2d"\nsize = 20'], ["layer 1 (maxpool2d)", "cannot take the images"]),
        (['kind = "normalise"\nmean = [0.0]\nstd = [0.0]'], ["layer 1 (normalise)", "std"]),
        (['kind = "normalise"\nmean = [0.0, 0.0]\nstd = [1.0, 1.0]'], ["2 channels expected, got 1"]),
        (["kind = "], ["layer map", "map.toml"]),
    ],
)
def test_a_wrong_map_is_refused_by_name(tmp_path: Path, layers: list[str], words: list[str]) -> None:
    weights = saved(
        tmp_path,
        a_weight=linear(64, 12),
        a_bias=torch.zeros(12),
        c_weight=linear(9, 10),
        c_bias=torch.zeros(10),
    )
    with pytest.raises(ConfigError) as error:
        Chain(weights, mapped(tmp_path, *layers), SHAPE, 10)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


class Opened:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise RuntimeError('a pickle was run')",)


@pytest.mark.parametrize(
    ("name", "held", "words"),
    [
        ("w.pt", Opened(), "state_dict"),
        ("w.pt", {"state_dict": {"a.weight": torch.ones(2, 2)}}, "'state_dict' is no tensor"),
        ("w.pt", [torch.ones(2)], "found list"),
        ("w.pt", {"a.conv": torch.ones(2, 2, 2, 2)}, "not a plain chain"),
        ("w.pt", {"a.weight": torch.full((10, 64), float("inf"))}, "NaN or infinity"),
        ("w.safetensors", b"not a safetensors file", "damaged"),
        ("w.safetensors", None, "no such file"),
    ],
)
def test_a_file_that_is_not_weights_is_refused(tmp_path: Path, name: str, held: Any, words: str) -> None:
    if isinstance(held, bytes):
        (tmp_path / name).write_bytes(held)
    elif held is not None:
        torch.save(held, tmp_path / name)
    with pytest.raises((DataError, ConfigError), match=words) as error:
        Chain(tmp_path / name, None, SHAPE, 10)
    assert "\n" not in str(error.value)


def test_accuracies_of_devices_lie_below_ideal_and_age(results: dict[str, Any]) -> None:
    ideal = results["ideal"]["accuracy"]
    assert ideal > 0.93
    pcm, coarse = results["summary"]
    assert [(p["time_s"], p["compensated"]) for p in pcm["points"]] == [
        (0.0, False), (1.0, False), (1.0, True), (3e7, False), (3e7, True),
    ]  # fmt: skip
    assert not coarse["drifts"]
    assert len(coarse["points"]) == 1
    for arm in results["summary"]:
        runs = [run for run in results["runs"] if run["arm"] == arm["arm"]]
        assert len({run["points"][0]["accuracy"] for run in runs}) > 1
        for place, point in enumerate(arm["points"]):
            mean = sum(run["points"][place]["accuracy"] for run in runs) / 3
            assert point["accuracy_mean"] == pytest.approx(mean)
            assert point["gap_to_ideal_mean"] == pytest.approx(ideal - mean)
            for kind in ("ci95", "student95"):
                low, high = point[f"gap_{kind}"]
                assert low <= ideal - mean <= high
    assert coarse["points"][0]["accuracy_mean"] < ideal
    gains = [
        gain for run in results["runs"] for p in run["points"] if p["time_s"] == 3e7 for gain in p["gain"]
    ]
    assert len(gains) == 3 * 2
    assert all(abs(gain * (3e7 / 38.6) ** -0.04 - 1) < 0.05 for gain in gains)


def test_a_perfect_device_keeps_ideal_accuracy_and_costs_nothing(trained: Path) -> None:
    found = transfer(Transfer(weights=str(trained), device=("ideal",), instances=2, read={"adc_bits": None, "dac_bits": None}))  # fmt: skip
    assert found["runs"][0]["points"] == [
        {"time_s": 0.0, "compensated": False, "accuracy": found["ideal"]["accuracy"], "gain": []}
    ]
    assert found["summary"][0]["energy"]["program_J"] == 0


def test_results_do_not_depend_on_the_company(trained: Path, results: dict[str, Any]) -> None:
    """An arm run alone gives the same numbers, to the bit: same seeds, one thread an arm."""
    spec = Transfer(weights=str(trained), device=(PCM,), instances=3, times_s=(1.0, 3e7))
    assert transfer(spec)["runs"] == [run for run in results["runs"] if run["arm"] == PCM]


def test_own_data_by_every_door(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits again, as an archive of images, a table and an object of vectors: weights answer all alike."""
    digits = neurosim.data.load("digits")
    train, x_test = digits.training(hold_out=False), digits.x_test
    images = {"x_train": train.images.reshape(-1, 8, 8), "x_test": x_test.reshape(-1, 8, 8)}
    np.savez(tmp_path / "d.npz", **images, y_train=train.labels, y_test=digits.y_test)
    for name, x, y in (("train", train.images, train.labels), ("test", x_test, digits.y_test)):
        np.savetxt(
            tmp_path / f"{name}.csv",
            np.column_stack([x, y]),
            "%d",
            ",",
            header=f"{'p,' * 64}label",
            comments="",
        )
    vectors = Dataset.of(train.images, train.labels, x_test, digits.y_test, scale=16)
    monkeypatch.chdir(tmp_path)
    given = [
        "d.npz?scale=16", {"path": "train.csv", "test": "test.csv", "scale": 16}, "train.csv?scale=16&test=test.csv&size=8",
        vectors,
    ]  # fmt: skip
    quiet = {"adc_bits": None, "dac_bits": None, "read_noise": None}
    known = transfer(Transfer(weights=str(trained), device=("ideal",), instances=1, read=quiet))
    for dataset in given:
        found = transfer(
            Transfer(weights=str(trained), device=("ideal",), instances=1, read=quiet, dataset=dataset)
        )
        assert found["ideal"] == known["ideal"], dataset
        assert found["runs"][0]["points"][0]["accuracy"] == known["runs"][0]["points"][0]["accuracy"]
        json.dumps(found)
    code = command(monkeypatch, "compare", "--weights", str(trained), "--dataset", given[2], "--device", "ideal",
                   "--seeds", "1", "--out", "o")  # fmt: skip
    assert code == 0
    assert "test set from test.csv" in json.loads(Path("o/weights.json").read_text())["data"]["note"]
    layers = mapped(tmp_path, 'kind = "conv2d"\nweight = "0.weight"')
    save_file({"0.weight": torch.ones(10, 1, 8, 8)}, tmp_path / "conv.safetensors")
    spec = Transfer(weights="conv.safetensors", layers=str(layers), dataset=vectors, device=("ideal",))
    with pytest.raises(ConfigError, match="takes 1 channels of images, but what comes is the vectors, 64"):
        transfer(spec)


def test_table_figure_and_page(tmp_path: Path, results: dict[str, Any]) -> None:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(aged_table(results))
    shown = console.export_text()
    assert "no retention data" in " ".join(shown.split())
    assert f"{100 * results['ideal']['accuracy']:.2f}" in shown
    lines = aging_curves(results).axes[0].get_lines()
    assert len(lines) == 4, "PCM without and with compensation, RRAM, ideal"
    assert lines[1].get_ydata()[-1] == pytest.approx(
        100 * results["summary"][0]["points"][-1]["accuracy_mean"]
    )
    (tmp_path / "weights.json").write_text(json.dumps(results))
    assert write_reports(tmp_path) == [tmp_path / "weights.html"]
    page = (tmp_path / "weights.html").read_text()
    assert "data:image/svg+xml" in page
    assert "plain chain" in page
    (tmp_path / "weights.json").write_text("{}")
    with pytest.raises(DataError, match="--weights FILE"):
        write_reports(tmp_path)
    (tmp_path / "weights.json").unlink()
    with pytest.raises(DataError, match=str(nothing_in(tmp_path)).split(":")[0]):
        write_reports(tmp_path)
    assert Aged.model_validate(results).times_s == [1.0, 3e7]


def test_durations_in_words() -> None:
    assert [duration(t) for t in (1e-3, 1.0, 90.0, 3600.0, 86400.0, 2_592_000.0, 31_536_000.0)] == [
        "0.001 s", "1 s", "1.5 min", "1 h", "1 day", "30 day", "1 year",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"times_s": (5.0, 1.0)}, "must be above 0 and rise"),
        ({"times_s": "1,x"}, "times_s.1 = 'x'"),
        ({"device": ()}, "name at least one card"),
        ({"device": ("a/card.toml", "b/card.toml")}, "two devices have one name"),
        ({"instances": 0}, "instances = 0"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(NeurosimError, match=words):
        Transfer.parse({"weights": "w.pt", "device": (PCM,), **change}, "command line")


def test_command_line_end_to_end(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, copy = tmp_path / "out", tmp_path / "copy.json"
    code = command(
        monkeypatch, "compare", "--weights", str(trained), "--dataset", "digits", "--device", PCM, "--seeds", "2",
        "--times", "1,3600", "--out", str(out), "--json", str(copy),
    )  # fmt: skip
    shown = capsys.readouterr()
    assert code == 0
    assert all("seed 0: 5 of 5" in line for line in shown.err.splitlines()), "progress alone"
    assert "weights.html" in shown.out
    found = json.loads(copy.read_text())
    assert found == json.loads((out / "weights.json").read_text())
    assert found["config"]["times_s"] == [1.0, 3600.0]
    assert [run["seed"] for run in found["runs"]] == [0, 1]
    assert {"neurosim", "torch"} <= found["versions"].keys()
    assert command(monkeypatch, "report", str(out)) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--weights", "w.pt", "--vary", "read_noise=0", "--rule", "softhebb"],
            ["--rule, --vary", "--weights"],
        ),
        (["x.toml", "--weights", "w.pt"], ["EXPERIMENT.toml"]),
        (["--times", "1"], ["--times", "--weights FILE only"]),
        (["--weights", "w.pt", "--device", "pcm-nandakumar"], ["did you mean 'pcm-nandakumar-2018'"]),
        (["--weights", "absent.pt", "--device", PCM], ["absent.pt", "no such file"]),
    ],
)
def test_options_that_make_no_sense_are_one_clear_error(
    arguments: list[str],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(monkeypatch, "compare", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("neurosim: ")
    assert len(error.splitlines()) == 1
    for word in words:
        assert word in error
