"""`--vary`, `--holding`, `neurosim wires`: names of sweeps, with the numbers of a comparison at each level."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import IDEAL
from test_sweep import DENSE, FF, KINDS, PCM, SMALL, TINY
from typer.testing import CliRunner

from neurosim import (
    Crossbar,
    DeepExperiment,
    DenseExperiment,
    ForwardForwardExperiment,
    SpikesExperiment,
    Tiles,
    Wires,
    to_pandas,
)
from neurosim.cli import app
from neurosim.core.errors import ConfigError
from neurosim.report.holding import held_curves
from neurosim.report.page import KINDS as PAGES
from neurosim.report.rewired import rewired_curves
from neurosim.report.style import to_svg
from neurosim.study.compare import compare
from neurosim.study.dense import DenseTraining
from neurosim.study.evaluate import evaluate
from neurosim.study.fields import with_setting
from neurosim.study.swept import planned, sweep

READ_ELSEWHERE = ["wires.ohm=0,20@learning", "tiles.lines=64@learning", "wires.ohm=0,20@reading", "tiles.lines=32,64@reading"]  # fmt: skip


def file(folder: Path, name: str, **settings: Any) -> str:
    path = folder / name
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def asked(*words: str) -> Any:
    found = CliRunner().invoke(app, list(words))
    assert found.exit_code == 0, (found.output, found.exception)
    return found


def refused(*words: str) -> str:
    found = CliRunner().invoke(app, list(words))
    assert isinstance(found.exception, ConfigError), (found.output, found.exception)
    return str(found.exception)


@pytest.mark.parametrize(
    ("kind", "name", "value", "own", "said"),
    [
        (DenseExperiment, "rule_options.learning_rate", 0.1, {"settings": {"learning_rate": 0.2}}, "settings.learning_rate"),
        (ForwardForwardExperiment, "experiment.jitter", 2, {"samples": {"jitter": 1}}, "samples.jitter"),
        (DeepExperiment, "experiment.schedule", "all", {"schedule": "greedy", "rule": "softhebb"}, "schedule"),
        (SpikesExperiment, "experiment.update_every_s", 0.1, {"update_every_s": 0.2}, "update_every_s"),
        (SpikesExperiment, "rule_options.up", 0.1, {"settings": {"up": 0.2}}, "settings.up"),
    ],
)  # fmt: skip
def test_a_level_that_an_arm_of_its_own_would_miss_is_refused(
    kind: Any, name: str, value: Any, own: dict[str, Any], said: str
) -> None:
    spec = kind.parse({"dataset": "digits", "arm": [{"name": "chip", "device": PCM, **own}]}, "test")
    short = name.removeprefix("experiment.")
    with pytest.raises(ConfigError, match=f"^{short}: arm chip has its own {said}; leave it out there"):
        with_setting(spec, name, value)
    ((key, had),) = [(key, had) for key, had in own.items() if key != "rule"]
    other = {key: {"rate_updates": 5} if key == "settings" else {"negatives": "uniform"}}
    without = {**own, **other} if isinstance(had, dict) else {k: v for k, v in own.items() if k != key}
    spec = kind.parse({"dataset": "digits", "arm": [{"name": "chip", "device": PCM, **without}]}, "test")
    place, _, inner = short.partition(".")
    changed = getattr(with_setting(spec, name, value), place)
    assert (changed[inner] if inner else changed) == value


class TestVary:
    def test_is_the_sweep_of_one_axis_with_the_numbers_of_a_comparison(self, tmp_path: Path) -> None:
        spec = file(tmp_path, "e.toml", **{**TINY, "seeds": 2})
        out = tmp_path / "o"
        said = asked(
            "compare",
            spec,
            "--vary",
            "read_noise=0,.5",
            "--out",
            str(out),
            "--json",
            str(tmp_path / "j.json"),
        )
        found = json.loads((out / "sweep.json").read_text())
        assert found == json.loads((tmp_path / "j.json").read_text())
        assert found["axes"] == [
            {"field": "read.read_noise", "levels": [0, 0.5], "unit": "share of G_max", "when": "both"}
        ]
        for point in found["points"]:
            level = point["read.read_noise"]
            same = compare(DENSE.changed(seeds=2, read={"read_noise": level or None}))
            (entry,) = (one for one in same["summary"] if one["arm"] == point["arm"])
            for score in ("accuracy", "vote"):
                assert point[f"{score}_mean"] == entry[f"{score}_mean"]
        (tolerated,) = found["tolerances"]
        assert tolerated["verdict"] in " ".join(said.output.split())
        assert "read noise (share of G_max)" in said.output
        assert {"sweep.svg", "sweep-vote.svg", "report.html", "blocks"} <= {
            path.name for path in out.iterdir()
        }
        kept = {path: path.stat().st_mtime_ns for path in (out / "blocks").iterdir()}
        assert len(kept) == 6, "ideal arithmetic once a seed, the device at each level"
        asked("compare", spec, "--vary", "read_noise=0,.5", "--out", str(out))
        assert {path: path.stat().st_mtime_ns for path in kept} == kept, "nothing is computed again"
        asked("sweep", spec, "--axis", "read_noise=0,.5", "--out", str(out))
        assert {path: path.stat().st_mtime_ns for path in kept} == kept, (
            "nor by the sweep that it is a name of"
        )

    def test_goes_on_in_a_folder_of_an_earlier_version(self, tmp_path: Path) -> None:
        """Finished runs are those of a comparison, then as now."""
        for level in (0.0, 0.5):
            compare(DENSE.changed(read={"read_noise": level or None}), tmp_path)
        kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*.json")}
        sweep(DENSE, tmp_path, ["read_noise=0,0.5"])
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*.json")} == kept

    def test_a_parameter_of_the_law_that_an_arm_has_not_leaves_it_as_it_is(self) -> None:
        spec = DENSE.changed(device=("rram-hfo2-gong-2018", PCM))
        quiet = with_setting(spec, "parameters.write_noise", 0.0)
        assert [arm.parameters for arm in quiet.device_arms()] == [{"write_noise": 0.0}, {}]

    def test_a_number_of_a_model_within_the_write_path(self) -> None:
        arm = {"device": PCM, "write": {"w_max": 2}}
        spec = DENSE.changed(device=(), write={"refresh": {"high": 0.6}}, arm=(arm,))
        changed = with_setting(spec, "write.refresh.every", 7)
        path = changed.device_arms()[0].write_path()
        assert (path.refresh.every, path.refresh.high, path.w_max) == (7, 0.6, 2)

    def test_needs_a_device_and_a_folder_without_other_results(self, tmp_path: Path) -> None:
        bare = file(tmp_path, "b.toml", **{**TINY, "device": ()})
        assert "--vary needs at least one --device" in refused("compare", bare, "--vary", "read_noise=0,0.1")
        spec, out = file(tmp_path, "e.toml", **TINY), ["--out", str(tmp_path / "o")]
        asked("compare", spec, *out)
        assert "choose another folder" in refused("compare", spec, "--vary", "read_noise=0,0.1", *out)
        asked("compare", spec, "--vary", "read_noise=0,0.1", "--out", str(tmp_path / "v"))
        assert "(kind 'sweep'); choose another folder" in refused(
            "compare", spec, "--out", str(tmp_path / "v")
        )

    def test_networks_have_it_too(self, tmp_path: Path) -> None:
        spec = file(tmp_path, "ff.toml", **SMALL, widths=[12, 8], epochs=1, device=[PCM])
        asked("ff", spec, "--vary", "adc_bits=4,8", "--out", str(tmp_path / "o"))
        found = json.loads((tmp_path / "o" / "sweep.json").read_text())
        assert found["of"] == "forward-forward"
        assert {point["read.adc_bits"] for point in found["points"]} == {4, 8}


class TestWires:
    @pytest.fixture(scope="class")
    def found(self, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
        return sweep(DENSE, tmp_path_factory.mktemp("wires"), READ_ELSEWHERE)

    def test_every_trained_point_is_read_at_every_other(self, found: dict[str, Any]) -> None:
        columns = [axis["field"] for axis in found["axes"]]
        assert columns == [
            "wires.ohm@learning",
            "tiles.lines@learning",
            "wires.ohm@reading",
            "tiles.lines@reading",
        ]
        own = [row for row in found["rows"] if row["arm"] == PCM]
        places = {tuple(row[column] for column in columns) for row in own}
        assert places == {(t, 64, o, n) for t in (0, 20) for o in (0, 20) for n in (32, 64)}
        assert len({row["block"] for row in own}) == 2, "learnt at each resistance once"
        assert {"wires.ohm@learning", "wires.ohm@reading"} <= set(to_pandas(found).columns)

    def test_where_it_is_read_as_it_learnt_it_is_what_a_comparison_learnt_calibrated_anew(
        self, found: dict[str, Any]
    ) -> None:
        for ohm in (0.0, 20.0):
            same = DENSE.changed(
                wires={"r_word_ohm": ohm, "r_bit_ohm": ohm}, tiles={"word_lines": 64, "bit_lines": 64}
            )
            training = DenseTraining(same, same.device_arms()[0], 0, same.data())
            training.run()
            training.calibrate()
            cell = training.result()
            (row,) = (
                row for row in found["rows"] if row["arm"] == PCM and row["tiles.lines@reading"] == 64
                and row["wires.ohm@learning"] == row["wires.ohm@reading"] == ohm
            )  # fmt: skip
            assert (row["accuracy"], row["vote"]) == (cell["accuracy"], cell["vote"])

    def test_elsewhere_it_is_the_array_rewired(self, tmp_path: Path) -> None:
        """To the bit, with reads that have no noise: what each read draws goes by its number."""
        quiet = DENSE.changed(read={"read_noise": None})
        found = sweep(quiet, tmp_path, READ_ELSEWHERE)
        learning = with_setting(with_setting(quiet, "wires.ohm", 20), "tiles.lines", 64)
        training = DenseTraining(learning, learning.device_arms()[0], 0, learning.data())
        training.run()
        for ohm, lines in ((0.0, 32), (0.0, 64), (20.0, 32)):
            array: Any = training.layer.array
            read = array.rewired(
                Wires(r_word_ohm=ohm, r_bit_ohm=ohm), Tiles(word_lines=lines, bit_lines=lines)
            )
            read.calibrate(training.data.inputs(training.fit.images[:1000]))
            read.solve_wires()
            scores, _ = evaluate(read, training.data, training.fit, training.test, 1, 0)
            (row,) = (
                row for row in found["rows"] if row["arm"] == PCM and row["wires.ohm@learning"] == 20
                and (row["wires.ohm@reading"], row["tiles.lines@reading"]) == (ohm, lines)
            )  # fmt: skip
            assert (row["accuracy"], row["vote"]) == (scores["accuracy"], scores["vote"])

    def test_its_figure(self, found: dict[str, Any]) -> None:
        assert list(PAGES["sweep"].figures(found)) == ["wires-accuracy", "wires-vote"]
        figure = rewired_curves(found, "vote")
        assert [axes.get_title(loc="left") for axes in figure.axes] == [
            f"{PCM}, learnt at 0 Ω", f"{PCM}, learnt at 20 Ω",
        ]  # fmt: skip
        assert b"<svg" in to_svg(figure)

    @pytest.mark.parametrize("kind", ["dense", "forward-forward", "deep"])
    def test_the_command_is_of_every_kind_that_is_one_training(self, kind: str, tmp_path: Path) -> None:
        settings = {
            "dense": TINY,
            "deep": {**SMALL, "width": 1.0, "depth": 1, "head_epochs": 1},
            "forward-forward": {**SMALL, "widths": [12, 8], "epochs": 1, "device": [PCM]},
        }[kind]
        spec = file(tmp_path, "e.toml", kind=kind, **settings)
        if kind == "deep":
            with open(spec, "a", encoding="utf-8") as stream:
                stream.write(f'\n[[arm]]\nname = "cell"\ndevice = "{PCM}"\nrule = "softhebb"\n')
        out = tmp_path / "out"
        options = [
            "--ohm",
            "0,5",
            "--tile",
            "64",
            "--train-ohm",
            "0",
            "--train-tile",
            "64",
            "--out",
            str(out),
        ]
        asked("wires", spec, *options)
        found = json.loads((out / "sweep.json").read_text())
        assert found["of"] == kind
        own = [point for point in found["points"] if point["arm"] != "ideal"]
        assert [point["wires.ohm@reading"] for point in own] == [0, 5]
        assert (out / "wires-accuracy.svg").stat().st_size > 1000
        asked("report", str(out))

    def test_what_cannot_be_is_refused(self, tmp_path: Path) -> None:
        bare = file(tmp_path, "b.toml", **{**TINY, "device": ()})
        assert "wires: needs at least one --device" in refused("wires", bare, "--out", str(tmp_path / "o"))
        mortal = file(tmp_path, "m.toml", kind="mortal", **SMALL, widths=[8], chips=1, device=[PCM])
        assert "many trainings" in refused("wires", mortal, "--out", str(tmp_path / "o"))
        with pytest.raises(
            ConfigError, match="given twice; two of one setting go together as @learning and @reading"
        ):
            planned(DENSE, ["read_noise=0,1@reading", "read_noise=0,1"])
        with pytest.raises(ConfigError, match="given twice"):
            planned(DENSE, ["read_noise=0,1@reading", "read_noise=2@reading"])

    def test_a_rewired_array_has_the_same_devices_behind_other_wires(self) -> None:
        array = Crossbar((20, 6), IDEAL)
        array.program(np.random.default_rng(0).uniform(-1, 1, (20, 6)), w_max=array.w_max)
        x = np.ones((1, 20), np.float32)
        worse = array.rewired(Wires(r_word_ohm=50.0, r_bit_ohm=50.0), Tiles(word_lines=10))
        np.testing.assert_array_equal(worse.conductance_uS(), array.conductance_uS())
        assert not np.allclose(worse.forward(x), array.forward(x), rtol=0.05)
        np.testing.assert_array_equal(
            worse.rewired(None).forward(x), Crossbar.forward(array.rewired(None), x)
        )


class TestHolding:
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_what_the_experiment_holds_at_each_level(self, kind: str, tmp_path: Path) -> None:
        spec = KINDS[kind]
        found = sweep(spec, tmp_path, ["window=1,3"], measure="holding")
        assert not list((tmp_path / "runs").iterdir()), "nothing is trained"
        assert found["measure"] == "holding"
        for level in (1, 3):
            for arm, layers in with_setting(spec, "window", level).holding(spec.data()).items():
                own = [row for row in found["rows"] if (row["window"], row["arm"]) == (level, arm)]
                assert [row["layer"] for row in own] == [layer["layer"] for layer in layers]
                for row, layer in zip(own, layers, strict=True):
                    assert {name: row[f"held_{name}"] for name in layer if name != "layer"} == {
                        name: value for name, value in layer.items() if name != "layer"
                    }
        assert found["rows"][0]["held_window"] < found["rows"][-1]["held_window"]
        assert b"<svg" in to_svg(held_curves(found))
        kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "blocks").iterdir()}
        sweep(spec, tmp_path, ["window=1,3"], measure="holding")
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "blocks").iterdir()} == kept

    def test_blocks_of_both_measures_lie_side_by_side(self, tmp_path: Path) -> None:
        sweep(FF, tmp_path, ["window=1"], measure="holding")
        assert sweep(FF, tmp_path, ["window=1"])["blocks"] == {"all": 2, "done": 2, "failed": 0, "missing": 0}

    def test_of_the_commands(self, tmp_path: Path) -> None:
        spec = file(tmp_path, "e.toml", **TINY)
        for words in (
            ("sweep", spec, "--axis", "window=1,3", "--holding"), ("compare", spec, "--vary", "window=1,3", "--holding"),
        ):  # fmt: skip
            out = tmp_path / words[0]
            said = asked(*words, "--out", str(out))
            assert "accumulated spread" in " ".join(said.output.split())
            assert len(json.loads((out / "sweep.json").read_text())["points"]) == 2
            assert (out / "holding.svg").exists()
            asked("report", str(out))

    @pytest.mark.parametrize("axis", ["age_s=0,1e6", "read_noise=0,0.1@reading"])
    def test_what_is_read_later_means_nothing(self, axis: str) -> None:
        with pytest.raises(ConfigError, match="before anything is learnt or read"):
            planned(DENSE, [axis], "holding")
