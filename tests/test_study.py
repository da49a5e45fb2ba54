"""Studies: paired arms, JSON, noise tolerance, checkpoints that lose no bit, and files written whole."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from neurosim import DenseExperiment
from neurosim.core.errors import CheckpointError, ConfigError, OutputError, UnknownNameError
from neurosim.study.compare import compare, summarise
from neurosim.study.dense import DenseTraining, start_weights
from neurosim.study.run import run_with_checkpoints
from neurosim.study.statistics import wilson
from neurosim.study.store import open_folder, read_arrays, unpack_bits, whole_file, write_arrays

PCM, FINE, COARSE = "pcm-nandakumar-2018", "rram-hfo2-gong-2018", "rram-hfo2-om-2022"
SMALL = {
    "dataset": "digits",
    "neurons": 40,
    "epochs": 4,
    "seeds": 2,
    "curve_points": 2,
    "readout_epochs": 3,
    "rule_options": {"learning_rate": 0.2},
}


@pytest.fixture(scope="module")
def results() -> dict:
    arms = (
        {"name": "PCM", "device": PCM, "mode": "mixed"},
        {"name": "ideal device", "device": "ideal", "write": {"decay_mode": "exact", "w_max": 2.0}},
    )
    return compare(DenseExperiment(**SMALL, arm=arms, read={"dac_bits": None, "adc_bits": None}))


def summary_of(results: dict, arm: str) -> dict:
    return next(entry for entry in results["summary"] if entry["arm"] == arm)


def test_compare_has_the_documented_json(results: dict) -> None:
    assert json.loads(json.dumps(results, allow_nan=False)) is not None
    for run in results["runs"]:
        assert {"arm", "seed", "accuracy", "test_size", "seconds"} <= run.keys()
        assert 0 <= run["accuracy"] <= 1
        assert run["test_size"] == 297
    keys = {"update_J", "update_J_per_synapse", "read_J", "periphery_J", "pulses", "updates"}
    device_run = next(run for run in results["runs"] if run["arm"] == "PCM")
    assert keys <= device_run["energy"].keys()
    for entry in results["summary"]:
        assert {"accuracy_mean", "accuracy_interval", "gap_to_ideal_mean", "gap_interval"} <= entry.keys()
        low, high = entry["accuracy_interval"]
        assert low <= entry["accuracy_mean"] <= high
    assert {"config", "versions"} <= results.keys()
    assert re.fullmatch("[0-9a-f]{12}", results["versions"]["source"])


def test_ideal_arithmetic_learns(results: dict) -> None:
    ideal = summary_of(results, "ideal")
    assert ideal["vote_mean"] > ideal["untrained_vote_mean"] + 0.25
    assert ideal["gap_to_ideal_mean"] == 0
    assert ideal["vote_learning_kept"] == pytest.approx(1)


def test_ideal_device_follows_ideal_arithmetic(results: dict) -> None:
    """Paired arms: same start weights and data order, so a perfect device differs by rounding alone."""
    perfect, ideal = summary_of(results, "ideal device"), summary_of(results, "ideal")
    assert abs(perfect["vote_mean"] - ideal["vote_mean"]) < 0.01
    assert abs(perfect["accuracy_mean"] - ideal["accuracy_mean"]) < 0.01


def test_share_of_learning_kept_is_its_definition(results: dict) -> None:
    def gain(arm: str) -> float:
        runs = [run for run in results["runs"] if run["arm"] == arm]
        return float(np.mean([run["vote"] - run["untrained"]["vote"] for run in runs]))

    assert summary_of(results, "PCM")["vote_learning_kept"] == pytest.approx(gain("PCM") / gain("ideal"))


def correct(run: dict, score: str) -> np.ndarray:
    """Which test images a run classified correctly."""
    return unpack_bits(run["correct"][score], run["test_size"])


def test_accuracy_is_the_share_of_images_kept_as_correct(results: dict) -> None:
    for run in results["runs"]:
        for score in ("accuracy", "vote"):
            assert correct(run, score).mean() == run[score]
            assert correct({**run, **run["untrained"]}, score).mean() == run["untrained"][score]


def test_mcnemar_counts_the_images_that_one_alone_gets_right(results: dict) -> None:
    runs = {(run["arm"], run["seed"]): run for run in results["runs"]}
    assert "mcnemar" not in summary_of(results, "ideal")
    for score in ("accuracy", "vote"):
        tests = summary_of(results, "PCM")["mcnemar"][score]
        assert [test["seed"] for test in tests] == [0, 1]
        for test in tests:
            ideal, device = (correct(runs[arm, test["seed"]], score) for arm in ("ideal", "PCM"))
            assert test["ideal_only"] + test["device_only"] == (ideal != device).sum()
            assert test["ideal_only"] - test["device_only"] == ideal.sum() - device.sum()
    assert sum(test["ideal_only"] for test in summary_of(results, "PCM")["mcnemar"]["vote"]) > 0


def test_interval_of_one_chip_is_that_of_its_images(results: dict) -> None:
    runs = [run for run in results["runs"] if run["seed"] == 0]
    alone = summarise(runs)[1]
    assert alone["vote_interval"] == pytest.approx(wilson(runs[1]["vote"], 297), abs=1e-4)
    assert alone["verdict"]["answer"] == "undecided"
    assert "One chip" in alone["verdict"]["decides"]


def test_runs_kept_without_their_images_are_summarised_all_the_same(results: dict) -> None:
    runs = [{key: value for key, value in run.items() if key != "correct"} for run in results["runs"]]
    of_images = ("_interval", "gap_p", "verdict")  # they are estimated from the images where these were kept
    for entry, whole in zip(summarise(runs), results["summary"], strict=True):
        assert entry.keys() == whole.keys() - {"mcnemar"}
        for key in entry:
            assert key.endswith(of_images) or entry[key] == whole[key]
        for score in ("accuracy", "vote"):
            low, high = entry[f"{score}_interval"]
            assert low < entry[f"{score}_mean"] < high


@pytest.mark.slow  # of small studies of each kind, test_capabilities asks the same
def test_results_do_not_depend_on_workers() -> None:
    spec = DenseExperiment(**{**SMALL, "epochs": 1}, device=(COARSE,))

    def numbers(found: dict) -> list:
        return [(r["arm"], r["seed"], r["accuracy"], r["vote"], r.get("energy")) for r in found["runs"]]

    assert numbers(compare(spec)) == numbers(compare(spec, workers=2))


def test_hold_out_never_touches_the_test_set() -> None:
    training = DenseTraining(
        DenseExperiment(**{**SMALL, "hold_out": True}), None, 0, DenseExperiment(**SMALL).data()
    )
    assert training.test.images is training.data.x_validation
    assert len(training.fit.labels) + len(training.test.labels) == 1500


def test_start_weights_have_the_radius() -> None:
    weights = start_weights(DenseExperiment(**{**SMALL, "neurons": 500}), 784, 3)
    assert weights.min() >= 0
    assert np.linalg.norm(weights, axis=0).mean() == pytest.approx(2.5, rel=0.01)


class TestBadExperiments:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"device": ("pcm-nandakumar-2081",)}, "did you mean 'pcm-nandakumar-2018'"),
            ({"rule": "softheb"}, "did you mean 'softhebb'"),
            ({"arm": ({"device": PCM, "parameters": {"drift_exponen": 0}},)}, "drift_exponent"),
            ({"arm": ({"device": PCM, "read": {"adc_bit": 4}},)}, "adc_bit"),
            ({"arm": ({"device": PCM, "write": {"decay_mode": "device"}},)}, "has none"),
            ({"rule_options": {"temperature": 1}}, "temperature"),
            ({"rule": "softhebb-paper", "device": (PCM,)}, "ideal arithmetic only"),
            ({"parameters": {"nonsense": 1.0}, "device": (PCM,)}, "nonsense"),
        ],
    )
    def test_is_refused_before_any_work(self, changes: dict, message: str) -> None:
        with pytest.raises((ConfigError, UnknownNameError, TypeError), match=message):
            DenseExperiment(**{**SMALL, **changes}).check()

    def test_unknown_key_in_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "experiment.toml"
        file.write_text("neuron = 3\n")
        with pytest.raises(ConfigError, match=r"experiment\.toml.*did you mean 'neurons'"):
            DenseExperiment.from_toml(file)

    def test_two_arms_of_one_name(self) -> None:
        with pytest.raises(ConfigError, match="two arms"):
            DenseExperiment.parse({**SMALL, "device": (PCM, PCM)}, "here")


class TestRun:
    SPEC = DenseExperiment(**{**SMALL, "arm": ({"name": "PCM", "device": PCM, "mode": "mixed"},)})

    class Killed(Exception):
        pass

    @pytest.mark.parametrize(
        "arm",
        [
            {"name": "a", "device": PCM, "mode": "mixed"},
            {"name": "a", "device": COARSE, "mode": "online"},
            {"name": "a", "device": FINE, "write": {"decay_mode": "device"}},
        ],
    )
    def test_killed_and_started_again_ends_in_the_same_bits(self, tmp_path: Path, arm: dict) -> None:
        spec = DenseExperiment(**{**SMALL, "arm": (arm,)})
        straight, broken = tmp_path / "straight", tmp_path / "broken"
        straight.mkdir(), broken.mkdir()
        undisturbed = run_with_checkpoints(spec, None, straight)

        def kill(_arm: str, _seed: int, done: int, _total: int) -> None:
            if done == 77:
                raise self.Killed

        with pytest.raises(self.Killed):
            run_with_checkpoints(spec, None, broken, checkpoint_s=0.0, report=kill)
        resumed = run_with_checkpoints(spec, None, broken)
        for key in ("weights_sha256", "accuracy", "vote", "curve", "energy", "norm_tracking_error"):
            assert resumed[key] == undisturbed[key], key

    def test_checkpoint_of_another_experiment_is_refused(self, tmp_path: Path) -> None:
        run_with_checkpoints(self.SPEC, None, tmp_path)
        with pytest.raises(CheckpointError, match="another experiment"):
            run_with_checkpoints(self.SPEC.changed(neurons=41), None, tmp_path)

    def test_damaged_checkpoint_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "checkpoint.npz"
        write_arrays(path, {"a": np.arange(1000)})
        whole = path.read_bytes()
        for damage in (whole[: len(whole) // 2], whole[:400] + b"\xff" + whole[401:], b""):
            path.write_bytes(damage)
            with pytest.raises(CheckpointError, match="damaged"):
                run_with_checkpoints(self.SPEC, None, tmp_path)

    def test_unknown_arm(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'PCM'"):
            run_with_checkpoints(self.SPEC, "PC", tmp_path)


class TestFiles:
    def test_failed_write_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "results.json"
        path.write_text("old")

        def fill_the_disk() -> None:
            with whole_file(path) as stream:
                stream.write(b"half")
                raise OSError(28, "No space left on device")

        with pytest.raises(OutputError, match="cannot write"):
            fill_the_disk()
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["results.json"]

    def test_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="--out"):
            open_folder(tmp_path / "file" / "inside")

    def test_arrays_round_trip(self, tmp_path: Path) -> None:
        arrays = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "y": np.array([], np.int64)}
        write_arrays(tmp_path / "a.npz", arrays)
        found = read_arrays(tmp_path / "a.npz")
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
