"""Sweeps: points are experiments, readings are those of the array, and the rows do not depend on who computes them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosim import (
    Axis,
    DeepArm,
    DeepExperiment,
    DenseExperiment,
    Experiment,
    ForwardForwardArm,
    ForwardForwardExperiment,
    MortalExperiment,
    ReadPath,
    Sweep,
    Wires,
    to_pandas,
)
from neurosim.cli import app
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.report.sweep import scores_table
from neurosim.study import blocks
from neurosim.study.blocks import Store, carry_out
from neurosim.study.compare import compare
from neurosim.study.deep_spec import Backpropagation
from neurosim.study.dense import DenseTraining
from neurosim.study.evaluate import evaluate
from neurosim.study.fields import full_name, with_setting
from neurosim.study.statistics import Chips, stays_within
from neurosim.study.store import digest, pack_bits
from neurosim.study.sweep import Plan
from neurosim.study.swept import collect, planned, sweep, tolerances, yields

PCM, RRAM = "pcm-nandakumar-2018", "rram-hfo2-gong-2018"
TINY: dict[str, Any] = {
    "dataset": "digits", "neurons": 10, "train_images": 120, "test_images": 40, "readout_epochs": 1,
    "curve_points": 0, "mode": "mixed", "device": (PCM,),
}  # fmt: skip
DENSE = DenseExperiment(**TINY)
SMALL: dict[str, Any] = {"dataset": "digits", "train_images": 120, "test_images": 40, "batch": 20}
DEEP = DeepExperiment(
    **SMALL, width=1.0, depth=1, head_epochs=1,
    arm=(DeepArm(name="ideal"), DeepArm(name="cell", device=PCM, rule="softhebb")),
)  # fmt: skip
FF = ForwardForwardExperiment(
    **SMALL, widths=(12, 8), epochs=1, curve_images=10,
    arm=(ForwardForwardArm(name="ideal"), ForwardForwardArm(name="cell", device=PCM)),
)  # fmt: skip
MORTAL = MortalExperiment(
    **SMALL, widths=(12, 8), epochs=1, chips=1, curve_images=10, kinds=("devices",),
    arm=(ForwardForwardArm(name="cell", device=PCM),),
)  # fmt: skip
KINDS: dict[str, Experiment] = {"dense": DENSE, "deep": DEEP, "forward-forward": FF, "mortal": MORTAL}


def table(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows without what depends on the machine."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in results["rows"]]


def rows_of(results: dict[str, Any], arm: str) -> list[dict[str, Any]]:
    return [row for row in results["rows"] if row["arm"] == arm]


class TestPointsAreExperiments:
    def test_a_level_is_the_setting_of_the_experiment(self, tmp_path: Path) -> None:
        found = sweep(DENSE, tmp_path, ["read_noise=0,0.2", "epochs=1,2"])
        assert [axis["field"] for axis in found["axes"]] == ["read.read_noise", "experiment.epochs"]
        for noise in (0.0, 0.2):
            for epochs in (1, 2):
                same = DENSE.changed(epochs=epochs, read={"read_noise": noise or None})
                ideal, cell = compare(same)["runs"]
                for arm, run in (("ideal", ideal), (PCM, cell)):
                    (row,) = (
                        row for row in rows_of(found, arm)
                        if (row["read.read_noise"], row["experiment.epochs"]) == (noise, epochs)
                    )  # fmt: skip
                    assert (row["accuracy"], row["vote"]) == (run["accuracy"], run["vote"])
                    assert row["counts"] == run["counts"]

    @pytest.mark.parametrize("kind", KINDS)
    def test_of_every_kind_of_study(self, kind: str, tmp_path: Path) -> None:
        spec = KINDS[kind]
        found = sweep(spec, tmp_path, ["seconds_per_update=0,1e7", "read_noise=0,0.3"])
        assert found["of"] == kind
        assert not [row for row in found["rows"] if "error" in row]
        arm = spec.device_arms()[0].name
        scores = {json.dumps({**row, "counts": 0, "block": 0, "seconds": 0}) for row in rows_of(found, arm)}
        assert len(scores) == 4
        joules = {row["counts"]["write_J"] for row in rows_of(found, arm)}
        assert len(joules) == 4, "every level changes what is learnt"

    def test_ideal_arithmetic_is_learnt_once(self, tmp_path: Path) -> None:
        store = Store(planned(DENSE, ["read_noise=0,0.1,0.2"]), tmp_path)
        assert sum(block.arm == "ideal" for block in store.blocks.values()) == 1
        assert len(store.blocks) == 4

    def test_one_at_a_time(self) -> None:
        what = Sweep(
            axis=(Axis.from_text("read_noise=0,0.1"), Axis.from_text("adc_bits=4,6,none")),
            plan="one at a time",
        )
        assert [point.levels for point in Plan(what, DENSE).points] == [
            {"read.read_noise": 0}, {"read.read_noise": 0.1},
            {"read.adc_bits": 4}, {"read.adc_bits": 6}, {"read.adc_bits": None},
        ]  # fmt: skip

    def test_devices_are_arms(self) -> None:
        plan = planned(DENSE.changed(device=()), [f"device={PCM},{RRAM}", "read_noise=0,0.1"])
        assert [arm.name for arm in plan.experiment.device_arms()] == [PCM, RRAM]
        named = DENSE.changed(
            device=(), arm=({"name": "a", "device": PCM}, {"name": "b", "device": PCM, "window": 2})
        )
        arms = planned(named, [f"device={PCM},{RRAM}"]).experiment.device_arms()
        assert [(arm.name, arm.device, arm.window) for arm in arms] == [
            (f"a, {PCM}", PCM, 1.3), (f"a, {RRAM}", RRAM, 1.3), (f"b, {PCM}", PCM, 2.0), (f"b, {RRAM}", RRAM, 2.0),
        ]  # fmt: skip


class TestReadingAlone:
    def test_one_training_is_read_as_the_array_reads_with_other_wires_and_noise(self, tmp_path: Path) -> None:
        found = sweep(DENSE, tmp_path, ["wires.ohm=0,30@reading", "read_noise=0,0.3@reading"])
        assert len({row["block"] for row in rows_of(found, PCM)}) == 1
        training = DenseTraining(DENSE, DENSE.device_arms()[0], 0, DENSE.data())
        training.run()
        x = training.data.inputs(training.fit.images[:1000])
        for ohm in (0.0, 30.0):
            for noise in (0.0, 0.3):
                learnt = training.layer.array
                read = ReadPath(dac_bits=8, adc_bits=8, read_noise=noise or None)
                by_hand = type(learnt)(
                    learnt.shape, learnt.device, seed=0, name="layer 0", read=read, write=learnt.write,
                    wires=Wires(r_word_ohm=ohm, r_bit_ohm=ohm) if ohm else None,
                )  # fmt: skip
                by_hand._cells.restore(learnt._cells.snapshot())
                by_hand._reader.reads, by_hand._reader.norm_reads = (
                    learnt._reader.reads,
                    learnt._reader.norm_reads,
                )
                by_hand.calibrate(x)
                if ohm:
                    by_hand.solve_wires()
                scores, _ = evaluate(by_hand, training.data, training.fit, training.test, 1, 0)
                (row,) = (
                    row for row in rows_of(found, PCM)
                    if (row["wires.ohm"], row["read.read_noise"]) == (ohm, noise)
                )  # fmt: skip
                assert {name: row[name] for name in ("accuracy", "vote")} == {
                    name: scores[name] for name in ("accuracy", "vote")
                }

    def test_all_levels_of_an_axis_are_calibrated_anew_and_untrained_arrays_are_read_alike(
        self, tmp_path: Path
    ) -> None:
        """Also the level that it learnt with; of an axis of both beside it nothing changes."""
        spec = DENSE.changed(read={"read_noise": None, "adc_bits": 4})
        axes = ["adc_bits=4,3@reading", "age_s=0,1e7", "batch=32,16"]
        found = sweep(spec, tmp_path, axes, one_at_a_time=True)
        assert len({row["block"] for row in rows_of(found, PCM)}) == 2
        data, arm = spec.data(), spec.device_arms()[0]
        for field, level, age in (("read.adc_bits", 4, 0), ("read.adc_bits", 3, 0), ("age_s", 1e7, 1e7)):
            scores = []
            for learns in (True, False):
                array: Any = DenseTraining(spec, arm, 0, data)
                if learns:
                    array.run()
                if level == 3:
                    other = spec.changed(read={"read_noise": None, "adc_bits": 3})
                    reader = DenseTraining(other, other.device_arms()[0], 0, data)
                    reader.layer.array._cells.restore(array.layer.array._cells.snapshot())
                    reader.layer.array._reader.reads = array.layer.array._reader.reads
                    array = reader
                array.calibrate()
                array.layer.array.advance(age)
                found_scores, _ = evaluate(array.read, data, array.fit, array.test, 1, 0)
                scores.append(found_scores["accuracy"])
            (row,) = (row for row in rows_of(found, PCM) if row.get(field) == level)
            assert [row["accuracy"], row["untrained"]] == scores, (field, level)
        (row,) = (row for row in rows_of(found, PCM) if row.get("experiment.batch") == 32)
        run = compare(spec)["runs"][1]
        assert (row["accuracy"], row["untrained"]) == (run["accuracy"], run["untrained"]["accuracy"])
        assert not list((tmp_path / "runs").glob("*.npz")), "no checkpoint is left"

    def test_a_block_that_is_read_in_both_ways_learns_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        learnt: list[str] = []
        step = DenseTraining.step

        def counted(self: DenseTraining, chosen: Any) -> None:
            learnt.append(self.name)
            step(self, chosen)

        monkeypatch.setattr(DenseTraining, "step", counted)
        sweep(DENSE, tmp_path, ["age_s=1,1e7", "adc_bits=8"], one_at_a_time=True)
        assert learnt.count(PCM) == -(-120 // DENSE.batch)

    @pytest.mark.parametrize("kind", ["dense", "deep", "forward-forward"])
    def test_age_is_that_of_the_devices(self, kind: str, tmp_path: Path) -> None:
        spec = KINDS[kind]
        found = sweep(spec, tmp_path, ["age_s=0,1,3e8"])
        arm = spec.device_arms()[0]
        assert len({row["block"] for row in rows_of(found, arm.name)}) == 1
        training = spec.training(arm, 0, spec.data())
        training.run()
        training.calibrate()
        for layer in training.layers:
            layer.array.advance(3e8)
        assert rows_of(found, arm.name)[2]["accuracy"] == training.result()["accuracy"]
        assert len({row["accuracy"] for row in rows_of(found, "ideal")}) == 1

    def test_learning_alone_is_read_without_it(self, tmp_path: Path) -> None:
        found = sweep(DENSE, tmp_path, ["read_noise=0.3@learning"])
        noisy = with_setting(DENSE, "read.read_noise", 0.3)
        training = DenseTraining(noisy, noisy.device_arms()[0], 0, DENSE.data())
        training.run()
        quiet = DenseTraining(DENSE, DENSE.device_arms()[0], 0, DENSE.data())
        quiet.take_over(training)
        assert digest({"w": quiet.layer.array.weights()}) == digest({"w": training.layer.array.weights()})
        assert rows_of(found, PCM)[0]["accuracy"] == quiet.result()["accuracy"]

    @pytest.mark.parametrize(
        "axis", ["age_s=0,1e6", "wires.r_word_ohm=0,9@reading", "read_noise=0,0.1@learning"]
    )
    def test_what_is_many_trainings_is_read_where_it_learns(self, axis: str) -> None:
        with pytest.raises(ConfigError, match=r"many trainings, .* use when = 'both', and no age_s"):
            planned(MORTAL, [axis])

    def test_networks_in_ideal_arithmetic_do_not_age(self, tmp_path: Path) -> None:
        """Nor do those trained with labels, a net for each depth, which no one training stands for."""
        labels = DeepArm(name="labels", backpropagation=Backpropagation(epochs=1))
        found = sweep(DEEP.with_arms([labels, *DEEP.listed]), tmp_path, ["age_s=0,1e6"])
        assert found["blocks"]["done"] == found["blocks"]["all"]
        for arm in ("labels", "ideal"):
            first, second = (row["accuracy"] for row in found["rows"] if row["arm"] == arm)
            assert first == second

    def test_what_devices_are_cannot_change_in_between(self) -> None:
        with pytest.raises(ConfigError, match="use 'both' or 'learning'"):
            planned(DENSE, ["window=1,2@reading"])
        with pytest.raises(ConfigError, match="belongs to reading"):
            planned(DENSE, ["age_s=1,2@learning"])


class TestNames:
    @pytest.mark.parametrize(
        ("short", "full"),
        [
            ("read_noise", "read.read_noise"), ("adc_bits", "read.adc_bits"), ("window", "window"),
            ("decay_mode", "write.decay_mode"), ("refresh.every", "write.refresh.every"),
            ("r_word_ohm", "wires.r_word_ohm"), ("dead_columns", "faults.dead_columns"),
            ("batch", "experiment.batch"), ("flicker", "parameters.flicker"),
            ("rule_options.learning_rate", "rule_options.learning_rate"),
        ],
    )  # fmt: skip
    def test_short_names_are_found(self, short: str, full: str) -> None:
        assert full_name(DENSE, short) == full

    def test_unknown_names_say_what_to_write(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'read_noise'"):
            full_name(DENSE, "read_niose")
        with pytest.raises(UnknownNameError, match=r"unknown setting .refresh\.evry."):
            full_name(DENSE, "refresh.evry")

    def test_settings_of_rules_and_arms(self) -> None:
        faster = with_setting(DENSE, "rule_options.learning_rate", 0.3)
        assert faster.build_rule().learning_rate == 0.3  # type: ignore[attr-defined]
        deep = with_setting(DEEP, "settings.inverse_temperature", 3.0)
        assert [arm.settings for arm in deep.arm] == [{"inverse_temperature": 3.0}] * 2
        spread = with_setting(FF, "neurons.power_spread", 0.2)
        assert all(arm.neurons.power_spread == 0.2 for arm in spread.arms())

    @pytest.mark.parametrize(
        ("axis", "reason"),
        [
            ("read_noise", "expected FIELD"), ("read_noise=0:1", "read_noise"), ("read_noise=0:x:3", "with numbers"),
            ("read_noise=log:0:1:3", "above 0"), ("read_noise=0,0", "each level once"), ("adc_bits=4,6.5", "adc_bits"),
            ("read_noise=-1,0", "read_noise"), ("read_noise=0,1@never", "when"), ("age_s=-1", "at least 0"),
            ("mode=accumulate,sometimes", "mode"), ("device=nothing", "unknown device card"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_refused_before_any_work(
        self, axis: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blocks, "work", lambda *_: pytest.fail("it works"))
        with pytest.raises((ConfigError, UnknownNameError), match=reason):
            sweep(DENSE, tmp_path / "o", [axis])
        assert not (tmp_path / "o").exists()

    def test_levels_as_they_are_written(self) -> None:
        assert Axis.from_text("a=0:1:5").all_levels == (0.0, 0.25, 0.5, 0.75, 1.0)
        assert Axis.from_text("a=log:1:100:3").all_levels == (1.0, 10.0, 100.0)
        assert Axis.from_text("a=none,4,true,mixed").all_levels == (None, 4, True, "mixed")
        assert Axis.from_text("a=1,2@reading").when == "reading"

    @pytest.mark.parametrize(
        ("text", "said"),
        [("a=0:0.1:5.7", "the count a whole one"), ("a=0:0.1:5:7", "the count a whole one"), ("a=log:1:2", "with numbers")],
    )  # fmt: skip
    def test_a_count_of_levels_is_a_whole_number(self, text: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            Axis.from_text(text)

    @pytest.mark.parametrize("levels", [0.5, "abc", 3])
    def test_levels_are_a_list(self, levels: Any) -> None:
        with pytest.raises(ConfigError, match="give a list, such as levels ="):
            Axis.parse({"field": "read_noise", "levels": levels}, "sweep")


AXES = ["read_noise=0,0.1,0.3", "adc_bits=4,8"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return table(sweep(DENSE, tmp_path_factory.mktemp("whole"), AXES))


class TestWhoeverCarriesThemOut:
    def test_two_processes(self, undisturbed: list[dict[str, Any]], tmp_path: Path) -> None:
        assert table(sweep(DENSE, tmp_path, AXES, workers=2)) == undisturbed

    def test_shards_in_any_order(self, undisturbed: list[dict[str, Any]], tmp_path: Path) -> None:
        for number in (3, 1, 2):
            found = sweep(DENSE, tmp_path, AXES, shard=(number, 3))
            assert (found["blocks"]["missing"] == 0) == (number == 2)
        assert table(found) == undisturbed

    @pytest.mark.slow
    def test_loky_and_any_executor(self, undisturbed: list[dict[str, Any]], tmp_path: Path) -> None:
        loky = pytest.importorskip("loky")
        executor = loky.get_reusable_executor(max_workers=2, timeout=60)
        assert table(sweep(DENSE, tmp_path / "l", AXES, executor=executor)) == undisturbed
        executor.shutdown()
        with ThreadPoolExecutor(1) as threads:
            assert table(sweep(DENSE, tmp_path / "t", AXES, executor=threads)) == undisturbed

    @pytest.mark.slow
    def test_two_workers_of_dask(self, undisturbed: list[dict[str, Any]], tmp_path: Path) -> None:
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            found = sweep(DENSE, tmp_path, AXES, executor=client.get_executor(pure=False))
        assert table(found) == undisturbed


class TestNothingIsLost:
    def test_killed_it_goes_on_to_the_same_table(
        self, undisturbed: list[dict[str, Any]], tmp_path: Path
    ) -> None:
        file, out = tmp_path / "e.toml", tmp_path / "o"
        file.write_text(
            "\n".join(f"{name} = {json.dumps(value)}" for name, value in TINY.items()), encoding="utf-8"
        )
        words = ["sweep", str(file), "--out", str(out), *(word for axis in AXES for word in ("--axis", axis))]
        started = subprocess.Popen(
            [sys.executable, "-c", "from neurosim.cli import main; main()", *words],
            env={**os.environ, "PYTHONWARNINGS": "ignore"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        folder, patience = out / "blocks", time.monotonic() + 120
        while len(list(folder.glob("*.json"))) < 2 and started.poll() is None and time.monotonic() < patience:
            time.sleep(0.02)
        started.send_signal(signal.SIGKILL)
        started.wait()
        before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json")}
        assert 2 <= len(before) < 7
        again = CliRunner().invoke(app, words)
        assert again.exit_code == 0, again.output
        assert table(json.loads((out / "sweep.json").read_text())) == undisturbed
        assert {name: (folder / name).stat().st_mtime_ns for name in before} == before, (
            "none was computed again"
        )
        assert (out / "sweep.svg").stat().st_size > 1000

    def test_a_block_that_fails_is_a_row_and_may_be_tried_again(
        self, undisturbed: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = DenseExperiment.run

        def fails(self: Any, arm: Any, *rest: Any) -> Any:
            if arm.read_path().read_noise == 0.1:
                raise MemoryError("no memory left")
            return run(self, arm, *rest)

        monkeypatch.setattr(DenseExperiment, "run", fails)
        found = sweep(DENSE, tmp_path, AXES)
        assert found["blocks"] == {"all": 7, "done": 5, "failed": 2, "missing": 0}
        errors = [row for row in found["rows"] if "error" in row]
        assert {row["error"] for row in errors} == {"MemoryError: no memory left"}
        assert {row["read.read_noise"] for row in errors} == {0.1}
        monkeypatch.setattr(DenseExperiment, "run", run)
        assert sweep(DENSE, tmp_path, AXES)["blocks"]["failed"] == 2, "not tried again unless asked for"
        assert table(sweep(DENSE, tmp_path, AXES, retry_failed=True)) == undisturbed
        assert not list((tmp_path / "blocks").glob("*.failed.json"))

    def test_a_damaged_block_is_named(self, tmp_path: Path) -> None:
        store = Store(planned(DENSE, ["read_noise=0"]), tmp_path)
        carry_out(store)
        path = store.path(next(iter(store.blocks)))
        path.write_text(path.read_text().replace('"accuracy": 0', '"accuracy": 1'))
        with pytest.raises(Exception, match=f"{path.name} is damaged .*checksum"):
            collect(store)

    def test_a_dry_run_does_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "e.toml"
        file.write_text(
            "\n".join(f"{name} = {json.dumps(value)}" for name, value in TINY.items()), encoding="utf-8"
        )
        words = ["sweep", str(file), "--out", str(tmp_path / "o"), "--axis", "read_noise=0,0.1", "--dry-run"]
        said = CliRunner().invoke(app, words)
        assert "2 points, 3 blocks, 3 to do" in said.output
        assert not (tmp_path / "o").exists()

    def test_a_file_of_a_sweep_and_collect(self, undisturbed: list[dict[str, Any]], tmp_path: Path) -> None:
        (tmp_path / "e.toml").write_text(
            "\n".join(f"{name} = {json.dumps(value)}" for name, value in TINY.items()), encoding="utf-8"
        )
        file = tmp_path / "sweep.toml"
        file.write_text(
            'experiment = "e.toml"\n[[axis]]\nfield = "read_noise"\nlevels = [0, 0.1, 0.3]\n'
            '[[axis]]\nfield = "adc_bits"\nlevels = [4, 8]\n',
            encoding="utf-8",
        )
        out = ["--out", str(tmp_path / "o")]
        early = CliRunner().invoke(app, ["collect", str(file), *out])
        assert early.exit_code == 1
        assert "7 missing" in early.output
        for shard in ("1/2", "2/2"):
            assert CliRunner().invoke(app, ["sweep", str(file), *out, "--shard", shard]).exit_code == 0
        assert CliRunner().invoke(app, ["collect", str(file), *out]).exit_code == 0
        assert table(json.loads((tmp_path / "o" / "sweep.json").read_text())) == undisturbed

    def test_rows_become_a_frame(self, tmp_path: Path) -> None:
        frame = to_pandas(sweep(DENSE, tmp_path, ["read_noise=0,0.1"]))
        assert len(frame) == 4
        assert {"read.read_noise", "arm", "seed", "accuracy", "pulses", "write_J"} <= set(frame.columns)


def test_an_axis_that_an_arm_has_nothing_of_does_not_apply(tmp_path):
    """Phase change has no write noise: no level of it changes anything, and none is tolerated."""
    spec = DenseExperiment(
        dataset="digits", train_images=100, test_images=40, neurons=8, seeds=2, readout_epochs=1, curve_points=0,
        device=("pcm-nandakumar-2018", "rram-hfo2-om-2022"),
    )  # fmt: skip
    results = sweep(spec, tmp_path, ["times.write_noise=1,100"])
    of = {found["arm"]: found for found in results["tolerances"]}
    assert of["pcm-nandakumar-2018"]["verdict"].startswith("Does not apply")
    assert of["pcm-nandakumar-2018"]["level"] is None
    assert not of["rram-hfo2-om-2022"]["verdict"].startswith("Does not apply")


def test_one_axis_at_a_time_is_asked_for_in_python_as_in_a_file():
    spec = DenseExperiment(dataset="digits", train_images=100, neurons=8, device=("pcm-nandakumar-2018",))
    axes = ["read_noise=0,0.1", "adc_bits=4,8"]
    grid, alone = (planned(spec, axes, one_at_a_time=one) for one in (False, True))
    assert [len(plan.points) for plan in (grid, alone)] == [4, 4]
    assert all(len(point.levels) == 2 for point in grid.points)
    assert all(len(point.levels) == 1 for point in alone.points)


def test_of_bits_the_least_that_is_enough_is_told_whatever_their_order():
    draws, shares = np.random.default_rng(0), {4: 0.5, 6: 0.9, 8: 0.9}
    rows = [
        {"arm": "PCM", "seed": seed, "read.adc_bits": bits, "test_size": 400, "accuracy": float(right.mean()), "correct": pack_bits(right)}
        for seed in range(5)
        for bits, share in shares.items()
        for right in [draws.permutation(400) < share * 400]
    ]  # fmt: skip
    for levels in ((4, 6, 8), (8, 6, 4)):
        (found,) = tolerances(rows, {"read.adc_bits": Axis(field="read.adc_bits", levels=levels)})
        assert found["level"] == 6
        assert "is enough" in found["verdict"]
        assert "4 is not" in found["verdict"]


def test_of_noise_the_most_that_is_tolerated_is_told_where_the_first_level_is_without() -> None:
    shares = {None: 0.9, 0.1: 0.9, 0.3: 0.5}
    rows = [
        {"arm": "PCM", "seed": seed, "read.read_noise": noise, "test_size": 400, "accuracy": float(right.mean()), "correct": pack_bits(right)}
        for seed in range(5)
        for noise, share in shares.items()
        for right in [np.random.default_rng(seed).permutation(400) < share * 400]
    ]  # fmt: skip
    axis = Axis(field="read.read_noise", levels=(None, 0.1, 0.3))
    (found,) = tolerances(rows, {"read.read_noise": axis})
    assert found["verdict"] == "0.1 (95 %: at least 0.1, below 0.3)."
    nothing = [{**row, "accuracy": 0.9 * (row["read.read_noise"] is None), "correct": None} for row in rows]
    (found,) = tolerances(nothing, {"read.read_noise": axis})
    assert found["verdict"] == "None of the levels tried: below 0.1."


def test_a_chip_at_the_threshold_itself_is_good() -> None:
    """99 % of 0.8675 is 0.858825: 0.8585 falls below it, which 0.859 and 0.858 would not tell of 0.8588."""
    rows = [
        {"arm": "PCM", "seed": seed, "age_s": age, "test_size": 10_000, "accuracy": accuracy}
        for age, each in ((0.0, [0.8675] * 3), (1e7, [0.8588, 0.8589, 0.9]))
        for seed, accuracy in enumerate(each)
    ]
    (found,) = yields(rows, ["age_s"])
    assert found["threshold"] == pytest.approx(0.858825, abs=1e-12)
    assert found["share"] == pytest.approx(2 / 3)
    assert "reach 85.88 %" in found["verdict"]
    exact = Chips(np.array([0.9046, 0.9044]), 1000)
    assert stays_within(exact, Chips(np.array([0.9145]), 1000)).share == 0.5


def test_shares_of_norms_are_no_scores(tmp_path: Path) -> None:
    found = sweep(DEEP, tmp_path, ["settings.learning_rate=0.01,0.1"])
    assert list(found["rows"][0]["beside"]) == ["norm 1, layer 1"]
    for point in found["points"]:
        assert 0 <= point["norm 1, layer 1_mean"] <= 1
        assert "norm 1, layer 1_interval" not in point
        assert "depth 1_interval" in point
    assert "norm 1, layer 1" in to_pandas(found).columns
    old = {**found["points"][0], "norm 1, layer 1_interval": (0.2, 0.4), "norm 1, layer 1_mean": 0.3}
    (cells,) = ([*column.cells] for column in scores_table({**found, "points": [old]}).columns[-1:])
    assert cells == ["30.0"]
