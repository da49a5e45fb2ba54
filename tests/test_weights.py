"""Trained weights from a file onto devices: files, layer maps, the study, the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from test_golden_bits import machine
from torch import nn
from weights_helpers import MODELS, convolution, perceptron

import neurosim as ns
import neurosim.data
from neurosim import WeightsExperiment, cli
from neurosim.cli.progress import COMPILING
from neurosim.core.errors import ConfigError, DataError, NeurosimError, Stopped
from neurosim.data import Dataset
from neurosim.network.readout import single_threaded_torch
from neurosim.reference.chain import Chain
from neurosim.report.page import as_text, write_page
from neurosim.report.weights import against_table, aged_table, aging_curves, duration
from neurosim.study import stopping, weights
from neurosim.study.run import study
from neurosim.study.store import unpack_bits
from neurosim.study.weights import WeightsTraining, right_of

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
    spec = WeightsExperiment(weights=str(trained), device=(PCM, COARSE), seeds=3, times_s=(1.0, 3e7))
    return study(spec)


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


def timeless(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in run.items() if name != "seconds"} for run in runs]


def trained_accuracy(results: dict[str, Any]) -> float:
    """Accuracy in ideal arithmetic, of all seeds alike."""
    (accuracy,) = {run["accuracy"] for run in results["runs"] if run["arm"] == "ideal"}
    return float(accuracy)


@pytest.mark.parametrize("model", MODELS)
def test_numbers_are_those_of_the_first_version(model: str, tmp_path: Path) -> None:
    """Recorded when all instances of an arm ran as one batch; one by one they are the same to the bit."""
    golden = json.loads((Path(__file__).parent / "golden_weights.json").read_text())
    here = {**machine(), "torch": torch.__version__} == golden["machine"]
    off = 1e-9 if here else 2.5 / 297
    spec = WeightsExperiment(
        **MODELS[model](tmp_path), device=(PCM, COARSE, "pcm-joshi-2020"), seeds=3, times_s=(1.0, 3e7)
    )
    found = study(spec)
    assert trained_accuracy(found) == pytest.approx(golden[model]["ideal"], abs=off)
    runs = {(run["arm"], run["seed"]): run for run in found["runs"]}
    for kept in golden[model]["runs"]:
        run = runs[kept["arm"], kept["seed"]]
        for point, was in zip(run["points"], kept["points"], strict=True):
            assert (point["time_s"], point["compensated"]) == (was["time_s"], was["compensated"])
            assert point["accuracy"] == pytest.approx(was["accuracy"], abs=off)
            assert point["gain"] == pytest.approx(was["gain"], rel=1e-12 if here else 0.01)
        assert run["energy"] == pytest.approx(kept["energy"], rel=1e-12 if here else 1e-3)
        assert run["adc_clipped_share"] == pytest.approx(
            kept["adc_clipped_share"], abs=1e-12 if here else 1e-4
        )


def test_accuracies_of_devices_lie_below_ideal_and_age(results: dict[str, Any]) -> None:
    ideal = trained_accuracy(results)
    assert ideal > 0.93
    exact, pcm, coarse = results["summary"]
    assert exact["accuracy_mean"] == pytest.approx(ideal)
    assert [(p["time_s"], p["compensated"]) for p in pcm["points"]] == [
        (0.0, False), (1.0, False), (1.0, True), (3e7, False), (3e7, True),
    ]  # fmt: skip
    assert not coarse["drifts"]
    assert len(coarse["points"]) == 1
    for arm in (pcm, coarse):
        runs = [run for run in results["runs"] if run["arm"] == arm["arm"]]
        assert len({run["points"][0]["accuracy"] for run in runs}) > 1
        for place, point in enumerate(arm["points"]):
            mean = sum(run["points"][place]["accuracy"] for run in runs) / 3
            assert point["accuracy_mean"] == pytest.approx(mean)
            assert point["gap_to_ideal_mean"] == pytest.approx(ideal - mean)
            for kind in ("gap_interval",):
                low, high = point[kind]
                assert low <= ideal - mean <= high
    assert coarse["points"][0]["accuracy_mean"] < ideal
    gains = [
        gain
        for run in results["runs"]
        for p in run["points"]
        if p["time_s"] == 3e7 and p["compensated"]
        for gain in p["gain"]
    ]
    assert len(gains) == 3 * 2
    assert all(abs(gain * (3e7 / 38.6) ** -0.04 - 1) < 0.05 for gain in gains)


def test_what_is_kept_is_beyond_the_most_frequent_class(results: dict[str, Any]) -> None:
    data = neurosim.data.load("digits")
    most = np.bincount(data.training(hold_out=False).labels).argmax()
    guessed = float((data.y_test == most).mean())
    assert {run["untrained"]["accuracy"] for run in results["runs"]} == {guessed}
    exact, *arms = results["summary"]
    for arm in arms:
        kept = (arm["accuracy_mean"] - guessed) / (exact["accuracy_mean"] - guessed)
        assert arm["accuracy_learning_kept"] == pytest.approx(kept)
        assert arm["verdict"]["answer"] in ("yes", "less", "no", "undecided")
        low, high = arm["accuracy_learning_kept_interval"]
        assert low <= kept <= high


def test_chips_are_compared_image_by_image(results: dict[str, Any]) -> None:
    """McNemar's counts are those of the images that one alone has right."""
    images = results["data"]["test_images"]
    runs = {(run["arm"], run["seed"]): run for run in results["runs"]}
    (pcm,) = (entry for entry in results["summary"] if entry["arm"] == PCM)
    for place, point in enumerate(pcm["points"]):
        for test in point["mcnemar"]["accuracy"]:
            exact, own = (
                unpack_bits(runs[arm, test["seed"]]["points"][k]["correct"], images)
                for arm, k in (("ideal", 0), (PCM, place))
            )
            assert test["ideal_only"] == np.count_nonzero(exact & ~own)
            assert test["device_only"] == np.count_nonzero(own & ~exact)


def test_a_perfect_device_keeps_ideal_accuracy_and_costs_nothing(trained: Path) -> None:
    quiet = {"adc_bits": None, "dac_bits": None}
    found = study(WeightsExperiment(weights=str(trained), device=("ideal",), seeds=2, read=quiet))
    exact, perfect, *_ = found["runs"]
    assert perfect["points"] == exact["points"]
    assert [(p["time_s"], p["gain"]) for p in perfect["points"]] == [(0.0, [])]
    assert found["summary"][1]["energy"]["program_J"] == 0


def test_an_instance_does_not_depend_on_the_company(trained: Path, results: dict[str, Any]) -> None:
    """One arm and one seed alone give the same numbers, to the bit, and what is counted is that of programming."""
    spec = WeightsExperiment(weights=str(trained), device=(PCM,), seeds=1, first_seed=1, times_s=(1.0, 3e7))
    (_, run) = timeless(study(spec)["runs"])
    (same,) = (one for one in timeless(results["runs"]) if (one["arm"], one["seed"]) == (PCM, 1))
    assert run == same
    assert run["counts"]["programmed_cells"] == 2 * (64 * 24 + 24 * 10)
    assert run["counts"]["program_J"] == run["energy"]["program_J"] > 0
    assert run["counts"]["reads"] == 0


def test_arms_have_settings_of_their_own(trained: Path) -> None:
    """An arm with a table of its own is that experiment with its settings, whatever stands beside it."""
    own = {"name": "coarse", "device": PCM, "read": {"adc_bits": 4}, "write": {"mapping": "reference"},
           "parameters": {"p_stuck_between": 0.1}, "seeds": 1}  # fmt: skip
    plain = {"weights": str(trained), "times_s": (3600.0,), "test_images": 100, "seeds": 2}
    found = study(WeightsExperiment.parse({**plain, "device": (PCM,), "arm": (own,)}, "test"))
    assert [(run["arm"], run["seed"]) for run in found["runs"]] == [
        ("ideal", 0), (PCM, 0), ("coarse", 0), ("ideal", 1), (PCM, 1),
    ]  # fmt: skip
    shared = {name: own[name] for name in ("read", "write", "parameters")}
    alone = study(WeightsExperiment.parse({**plain, **shared, "device": (PCM,)}, "test"))
    first = ("points", "energy", "counts")
    assert [found["runs"][2][name] for name in first] == [alone["runs"][1][name] for name in first]
    assert found["runs"][1]["points"] != found["runs"][2]["points"]


class TestNothingLost:
    def spec(self, trained: Path, **given: Any) -> WeightsExperiment:
        small = {"test_images": 60, "calibration_images": 20, "seeds": 2, "times_s": (3600.0,)}
        return WeightsExperiment.parse({"weights": str(trained), "device": (PCM,), **small, **given}, "test")

    def test_what_is_finished_is_not_computed_again(
        self, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = study(self.spec(trained), tmp_path)
        monkeypatch.setattr(WeightsTraining, "evaluated", lambda self: pytest.fail("computed again"))
        again = study(self.spec(trained), tmp_path)
        assert again["runs"] == found["runs"]
        with pytest.raises(pytest.fail.Exception):
            study(self.spec(trained, seeds=3), tmp_path)

    @pytest.mark.parametrize(
        "change",
        [{"percentile": 99.0}, {"calibration_images": 30}, {"times_s": (60.0,)}, {"write": {"mapping": "reference"}},
         {"read": {"adc_bits": 5}}, {"parameters": {"p_stuck_between": 0.1}}, {"test_images": 61}, {"hold_out": True},
         {"first_seed": 7}],
        ids=lambda change: next(iter(change)),
    )  # fmt: skip
    def test_another_setting_is_another_run(
        self, change: dict[str, Any], trained: Path, tmp_path: Path
    ) -> None:
        study(self.spec(trained), tmp_path)
        kept = set((tmp_path / "runs").glob("*.json"))
        found = study(self.spec(trained, **change), tmp_path)
        assert timeless(found["runs"]) == timeless(study(self.spec(trained, **change))["runs"])
        assert len(set((tmp_path / "runs").glob("*.json")) - kept) >= 2

    def test_so_are_other_weights_under_the_same_name_and_another_map(self, tmp_path: Path) -> None:
        model = convolution(tmp_path)
        spec = self.spec(Path(model["weights"]), layers=model["layers"])
        first = study(spec, tmp_path)
        layers = Path(model["layers"])
        layers.write_text(layers.read_text().replace("relu", "tanh"))
        second = study(spec, tmp_path)
        assert second["runs"] != first["runs"]
        tensors = load_file(model["weights"])
        save_file({**tensors, "b": -tensors["b"]}, model["weights"])
        third = study(spec, tmp_path)
        assert third["runs"][0]["accuracy"] != second["runs"][0]["accuracy"]
        assert third["model"]["sha256"] != second["model"]["sha256"]
        (tmp_path / "elsewhere").mkdir()
        moved = Path(model["weights"]).rename(tmp_path / "elsewhere" / "w.safetensors")
        assert study(spec.changed(weights=str(moved)), tmp_path)["runs"] == third["runs"], (
            "kept, whatever its name"
        )

    @pytest.mark.slow
    def test_killed_it_goes_on_to_the_same_results(self, trained: Path, tmp_path: Path) -> None:
        spec = tmp_path / "spec.toml"
        spec.write_text(
            f'kind = "weights"\nweights = "{trained}"\ndevice = ["{PCM}"]\nseeds = 12\ntimes_s = [60, 3600, 86400]\n'
        )
        command = [sys.executable, "-m", "neurosim", "compare", str(spec), "--out", str(tmp_path / "out")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
            while len(list((tmp_path / "out" / "runs").glob("*.json"))) < 3 and killed.poll() is None:
                time.sleep(0.01)
            killed.kill()
        kept = {file.name for file in (tmp_path / "out" / "runs").glob("*.json")}
        assert 3 <= len(kept) < 24
        assert not (tmp_path / "out" / "results.json").exists()
        subprocess.run(command, check=True, capture_output=True)
        found = json.loads((tmp_path / "out" / "results.json").read_text())
        undisturbed = json.loads(json.dumps(study(WeightsExperiment.from_toml(spec))))
        assert timeless(found["runs"]) == timeless(undisturbed["runs"])

    def test_asked_to_end_it_stops_between_two_readings_and_keeps_what_is_whole(
        self, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        readings = iter(range(100))
        with monkeypatch.context() as asked:
            asked.setattr(stopping, "asked", lambda: False)
            asked.setattr(weights, "right_of", _stopping(readings, asked))
            with pytest.raises(Stopped, match="the same command goes on there"):
                study(self.spec(trained), tmp_path)
        assert next(readings) == 3, "ideal, as programmed, and no more"
        assert len(list((tmp_path / "runs").glob("*.json"))) == 1
        assert timeless(study(self.spec(trained), tmp_path)["runs"]) == timeless(
            study(self.spec(trained))["runs"]
        )

    def test_one_arm_by_itself_ends_in_the_same_bits(
        self, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spec = tmp_path / "spec.toml"
        spec.write_text(
            f'kind = "weights"\nweights = "{trained}"\ndevice = ["{PCM}"]\ntimes_s = [3600]\ntest_images = 60\n'
        )
        assert command(monkeypatch, "run", str(spec), "--out", str(tmp_path / "a")) == 0
        assert command(monkeypatch, "run", str(spec), "--out", str(tmp_path / "a"), "--seed", "0") == 0, (
            "from its checkpoint"
        )
        found = json.loads((tmp_path / "a" / "result.json").read_text())
        (wanted,) = (
            run
            for run in study(WeightsExperiment.from_toml(spec).changed(seeds=1))["runs"]
            if run["arm"] == PCM
        )
        assert found["points"] == json.loads(json.dumps(wanted["points"]))
        assert found["kind"] == "weights"


def _stopping(readings: Iterator[int], patch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What reads images, and asks for the end while it reads for the third time."""

    def read(*given: Any) -> Any:
        if next(readings) == 2:
            patch.setattr(stopping, "asked", lambda: True)
        return right_of(*given)

    return read


class TestSweeps:
    def spec(self, trained: Path, **given: Any) -> WeightsExperiment:
        small = {"test_images": 60, "calibration_images": 20, "seeds": 2, "times_s": (3600.0,)}
        return WeightsExperiment.parse({"weights": str(trained), "device": (PCM,), **small, **given}, "test")

    @pytest.mark.parametrize(
        ("axis", "change"),
        [
            ("read_noise=0,0.1", {"read": {"read_noise": 0.1}}),
            ("write.mapping=pair,reference", {"write": {"mapping": "reference"}}),
            ("p_stuck_between=0,0.1", {"parameters": {"p_stuck_between": 0.1}}),
            ("percentile=100,98", {"percentile": 98}),
        ],
    )
    def test_a_level_is_the_setting_of_the_experiment(
        self, axis: str, change: dict[str, Any], trained: Path, tmp_path: Path
    ) -> None:
        found = ns.sweep(self.spec(trained), tmp_path, [axis])
        same = study(self.spec(trained, **change))
        field = found["axes"][0]["field"]
        last = found["axes"][0]["levels"][-1]
        rows = [row for row in found["rows"] if row["arm"] == PCM and row[field] == last]
        runs = [run for run in same["runs"] if run["arm"] == PCM]
        assert len(rows) == 2
        for row, run in zip(rows, runs, strict=True):
            programmed, aged, compensated = (point["accuracy"] for point in run["points"])
            assert (row["accuracy"], row["accuracy_3600s"], row["compensated_3600s"]) == (
                programmed,
                aged,
                compensated,
            )
            assert row["counts"] == run["counts"]
        exact = [row for row in found["rows"] if row["arm"] == "ideal"]
        assert {row["accuracy"] for row in exact} == {trained_accuracy(same)}
        (point,) = (p for p in found["points"] if p["arm"] == PCM and p[field] == last)
        assert point["gap_interval"][0] <= point["gap_to_ideal_mean"] <= point["gap_interval"][1]

    def test_ages_are_those_of_the_clock(self, trained: Path, tmp_path: Path) -> None:
        """Without noise and converters what is read at an age is what a study reads at that time."""
        quiet = {"read_noise": None, "adc_bits": None, "dac_bits": None}
        spec = self.spec(trained, device=("pcm-joshi-2020",), read=quiet, times_s=(3600.0, 3e7))
        found = ns.sweep(spec, tmp_path, ["age_s=0,3600,3e7"])
        runs = [run for run in study(spec)["runs"] if run["arm"] != "ideal"]
        for run in runs:
            rows = [row for row in found["rows"] if row["arm"] == run["arm"] and row["seed"] == run["seed"]]
            programmed, hour, hour_compensated, year, year_compensated = (
                p["accuracy"] for p in run["points"]
            )
            assert [row["accuracy"] for row in rows] == [programmed, hour, year]
            assert [row.get("compensated") for row in rows] == [None, hour_compensated, year_compensated]
        assert len(list((tmp_path / "blocks").glob("*.json"))) == 4, "what is programmed is programmed once"

    def test_reading_alone_changes_no_device(self, trained: Path, tmp_path: Path) -> None:
        """Levels that hold when it is read alone read the devices of one programming; as it stands the level is the study's."""
        found = ns.sweep(self.spec(trained), tmp_path, ["adc_bits=4,8@reading"])
        runs = [run for run in study(self.spec(trained))["runs"] if run["arm"] == PCM]
        rows = [row for row in found["rows"] if row["arm"] == PCM]
        assert [row["accuracy"] for row in rows if row["read.adc_bits"] == 8] == [
            run["accuracy"] for run in runs
        ]
        for seed in (0, 1):
            (four,) = (row for row in rows if row["read.adc_bits"] == 4 and row["seed"] == seed)
            coarse = study(self.spec(trained, read={"adc_bits": 4}))["runs"]
            (same,) = (run for run in coarse if run["arm"] == PCM and run["seed"] == seed)
            assert four["accuracy"] == same["accuracy"], "programming does not look at the converter"

    def test_devices_and_files_are_axes_too(self, trained: Path, tmp_path: Path) -> None:
        other = perceptron(tmp_path)["weights"]
        plain = self.spec(trained, device=(), seeds=1)
        found = ns.sweep(
            plain, tmp_path / "out", [f"device={PCM},{COARSE}", f'weights="{trained}","{other}"']
        )
        assert not [row for row in found["rows"] if "error" in row]
        assert {row["arm"] for row in found["rows"]} == {"ideal", PCM, COARSE}
        assert len({row["accuracy"] for row in found["rows"] if row["arm"] == "ideal"}) == 2

    @pytest.mark.parametrize(
        "axis", ["mode=mixed,online", "epochs=1,2", "wires.ohm=1,2", "seconds_per_update=1,2"]
    )
    def test_what_means_nothing_is_refused_before_any_work(
        self, axis: str, trained: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(NeurosimError):
            ns.sweep(self.spec(trained), tmp_path / "out", [axis])
        assert not (tmp_path / "out").exists()

    def test_from_a_file(self, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = tmp_path / "own.toml"
        spec.write_text(
            f'kind = "weights"\nweights = "{trained}"\nseeds = 2\ntest_images = 40\n[[arm]]\ndevice = "{PCM}"\nname = "a"\n'
        )
        out = tmp_path / "out"
        assert command(monkeypatch, "sweep", str(spec), "--axis", "age_s=1,3e7", "--out", str(out)) == 0
        assert len(json.loads((out / "sweep.json").read_text())["rows"]) == 8
        assert "trained elsewhere" in " ".join((out / "report.html").read_text().split())


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
    plain: dict[str, Any] = {"weights": str(trained), "device": ("ideal",), "seeds": 1, "read": quiet}
    known = study(WeightsExperiment(**plain))
    for dataset in given:
        found = study(WeightsExperiment(**plain, dataset=dataset))
        assert [run["accuracy"] for run in found["runs"]] == [run["accuracy"] for run in known["runs"]], (
            dataset
        )
        json.dumps(found)
    code = command(monkeypatch, "compare", "--weights", str(trained), "--dataset", given[2], "--device", "ideal",
                   "--seeds", "1", "--out", "o")  # fmt: skip
    assert code == 0
    assert "test set from test.csv" in json.loads(Path("o/results.json").read_text())["data"]["note"]
    layers = mapped(tmp_path, 'kind = "conv2d"\nweight = "0.weight"')
    save_file({"0.weight": torch.ones(10, 1, 8, 8)}, tmp_path / "conv.safetensors")
    spec = WeightsExperiment(
        weights="conv.safetensors", layers=str(layers), dataset=vectors, device=("ideal",)
    )
    with pytest.raises(ConfigError, match="takes 1 channels of images, but what comes is the vectors, 64"):
        study(spec)


def test_table_figure_and_page(tmp_path: Path, results: dict[str, Any]) -> None:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(aged_table(results))
    shown = console.export_text()
    assert "no retention data" in " ".join(shown.split())
    assert f"{100 * trained_accuracy(results):.2f}" in shown
    lines = aging_curves(results).axes[0].get_lines()
    assert len(lines) == 4, "PCM without and with compensation, RRAM, ideal"
    assert lines[1].get_ydata()[-1] == pytest.approx(
        100 * results["summary"][1]["points"][-1]["accuracy_mean"]
    )
    rows = as_text(against_table(results)).rows
    assert [row[1] for row in rows] == ["programmed", "347 days", "347 days, compensated", "programmed"]
    page = write_page(tmp_path, json.loads(json.dumps(results))).read_text()
    assert "data:image/svg+xml" in page
    assert "plain chain" in page
    assert "nothing learns on the devices" in " ".join(page.split())
    with pytest.raises(DataError, match="--weights FILE"):
        write_page(tmp_path, {**results, "summary": []})


def test_durations_in_words() -> None:
    assert [duration(t) for t in (1e-3, 1.0, 90.0, 3600.0, 86400.0, 2_592_000.0, 31_536_000.0)] == [
        "0.001 s", "1 s", "1.5 min", "1 h", "1 day", "30 days", "1 year",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"times_s": (5.0, 1.0)}, "must be above 0 and rise"),
        ({"times_s": "1,x"}, "times_s.1 = 'x'"),
        ({"device": ("a/card.toml", "b/card.toml")}, "two arms are called 'card'"),
        ({"seeds": 0}, "seeds = 0"),
        (
            {"arm": ({"name": "a", "device": PCM, "mode": "mixed"},)},
            "arm 'a', mode: nothing learns .* leave it out",
        ),
        ({"arm": ({"name": "a"},)}, "arm 'a': device is missing"),
        ({"train_images": 100}, "train_images: nothing learns .* leave it out"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(NeurosimError, match=words):
        WeightsExperiment.parse({"weights": "w.pt", "device": (PCM,), **change}, "command line")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"device": ()}, "name at least one card"),
        ({"weights": "absent.pt"}, "weights absent.pt: no such file"),
        ({"layers": "absent.toml"}, "layer map absent.toml: no such file"),
        (
            {"arm": ({"name": "a", "device": PCM, "wires": {"r_word_ohm": 1.0}},)},
            "alone reads own weights; leave it out",
        ),
        ({"device": ("pcm-nandakumar",)}, "did you mean 'pcm-nandakumar-2018'"),
        ({"torch_device": "cuda:99"}, "torch device 'cuda:99'"),
    ],
)
def test_so_is_what_is_not_there_before_any_work(
    change: dict[str, Any], words: str, trained: Path, tmp_path: Path
) -> None:
    given = {"weights": str(trained), "device": (PCM,), **change}
    with pytest.raises(NeurosimError, match=words):
        study(WeightsExperiment.parse(given, "test"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_holding_is_for_what_learns(trained: Path) -> None:
    spec = WeightsExperiment(weights=str(trained), device=(PCM,))
    with pytest.raises(ConfigError, match="nothing learns"):
        spec.holding(spec.data())


def test_command_line_end_to_end(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, copy = tmp_path / "out", tmp_path / "copy.json"
    arguments = [
        "compare", "--weights", str(trained), "--dataset", "digits", "--device", PCM, "--seeds", "2",
        "--times", "1,3600", "--out", str(out), "--json", str(copy),
    ]  # fmt: skip
    assert command(monkeypatch, *arguments) == 0
    shown = capsys.readouterr()
    assert all("1 of 1" in line or line == COMPILING for line in shown.err.splitlines()), "progress alone"
    assert "report.html" in shown.out
    found = json.loads(copy.read_text())
    assert found == json.loads((out / "results.json").read_text())
    assert found["kind"] == "weights"
    assert found["config"]["times_s"] == [1.0, 3600.0]
    assert [(run["arm"], run["seed"]) for run in found["runs"]] == [
        ("ideal", 0),
        (PCM, 0),
        ("ideal", 1),
        (PCM, 1),
    ]
    assert {"neurosim", "torch"} <= found["versions"].keys()
    assert command(monkeypatch, "report", str(out)) == 0
    file = tmp_path / "own.toml"
    file.write_text(f'kind = "weights"\nweights = "absent.pt"\ndevice = ["{PCM}"]\nseeds = 2\n')
    arguments = [
        "compare",
        str(file),
        "--weights",
        str(trained),
        "--times",
        "1,3600",
        "--workers",
        "2",
        "--out",
    ]
    assert command(monkeypatch, *arguments, str(tmp_path / "again")) == 0
    again = json.loads((tmp_path / "again" / "results.json").read_text())
    assert timeless(again["runs"]) == timeless(found["runs"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--weights", "w.pt", "--ablate", "--rule", "softhebb"],
            ["--ablate, --rule", "--weights"],
        ),
        (["x.toml", "--weights", "w.pt"], ["x.toml"]),
        (["--weights", "w.pt", "--holding", "--device", PCM], ["--holding", "where nothing learns"]),
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
