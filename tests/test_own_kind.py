"""A kind of study of one's own, from a file: the one of docs/extending.md runs, sweeps, goes on and is shown as ours do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from typer.testing import CliRunner

from neurosim import load_experiment
from neurosim.cli import app
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.study.kept_runs import learn
from neurosim.study.kinds import kind_of
from neurosim.study.run import study
from neurosim.study.store import digest
from neurosim.study.swept import sweep

SOURCE = (ROOT / "docs" / "examples" / "forgetting.py").read_text(encoding="utf-8")
PCM = "pcm-nandakumar-2018"
SMALL = (
    'kind = "forgetting.py:Forgetting"\ndataset = "digits"\ntrain_images = 240\ntest_images = 60\nneurons = 20\n'
    f'window = 1.3\nmode = "mixed"\ndevice = ["{PCM}"]\n'
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the kind of study and an experiment of it."""
    (tmp_path / "forgetting.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "e.toml").write_text(SMALL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(*words: str) -> str:
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, (found.output, found.exception)
    return found.output


def test_it_is_one_file_of_at_most_150_lines() -> None:
    assert len(SOURCE.splitlines()) <= 150


def test_by_the_command_line_with_its_page(folder: Path) -> None:
    said = called("study", "e.toml", "--out", "o", "--seeds", "2", "--workers", "2")
    assert "first classes, before" in said
    results = json.loads(Path("o/results.json").read_text())
    assert [run["arm"] for run in results["runs"]] == ["ideal", PCM] * 2
    assert [entry["score"] for entry in results["summary"][:3]] == [
        "accuracy", "first classes", "first classes, before",
    ]  # fmt: skip
    assert results["runs"][0]["accuracy"] > 0.5
    assert results["runs"][1]["counts"]["pulses"] > 0
    assert any("clock stands still" in one["ideal"] for one in results["ideals"])
    page = Path("o/report.html").read_text()
    assert "Forgetting: ideal" in page
    assert "first classes, before" in page
    Path("o/report.html").unlink()
    called("report", "o")
    assert Path("o/report.html").exists()
    called("run", "e.toml", "--out", "r")
    again = called("run", "e.toml", "--kind", "forgetting.py:Forgetting", "--out", "r2")
    weights = json.loads(Path("r/result.json").read_text())["weights_sha256"]
    assert weights[:12] in again


def test_it_is_swept_with_statistics(folder: Path) -> None:
    spec = load_experiment("e.toml").changed(seeds=2)
    found = sweep(spec, folder / "o", ["read_noise=0,0.5", "experiment.first=3,5"])
    assert found["blocks"]["failed"] == found["blocks"]["missing"] == 0
    assert found["of"] == "forgetting"
    first = found["points"][0]
    assert {"accuracy_mean", "first classes_mean", "accuracy_interval"} <= first.keys()
    assert {axis["field"] for axis in found["axes"]} == {"read.read_noise", "experiment.first"}
    assert found["tolerances"]
    called("sweep", "e.toml", "--axis", "read_noise=0,0.5", "--out", "s")
    assert Path("s/report.html").exists()


def test_killed_it_goes_on_to_the_same_bits(folder: Path) -> None:
    spec = load_experiment("e.toml")
    (arm,), data = spec.device_arms(), spec.data()
    whole, half = (spec.training(arm, 0, data) for _ in range(2))
    whole.run()

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if 3 * done > 2 * total:
            half.save(folder / "c.npz")
            raise Killed

    with pytest.raises(Killed):
        half.run(kill)
    rest = spec.training(arm, 0, data)
    learn(rest, folder / "c.npz", 1e9)
    assert digest(rest.snapshot()) == digest(whole.snapshot())
    assert {**rest.result(), "seconds": 0} == {**whole.result(), "seconds": 0}


def test_its_code_is_part_of_the_identity(folder: Path) -> None:
    def identity() -> tuple[str, str]:
        spec = load_experiment("e.toml")
        from neurosim.study.blocks import Store
        from neurosim.study.swept import planned

        block = next(iter(Store(planned(spec, ["read_noise=0"]), folder / "o").blocks))
        return spec.training(spec.arms()[0], 0, spec.data()).identity, block

    before = identity()
    assert identity() == before
    (folder / "forgetting.py").write_text(SOURCE.replace("% len(images)", "// 2 % len(images)"))
    edited = identity()
    assert edited[0] != before[0]
    assert edited[1] != before[1]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("    def training(", "    def trainnig(", "it has no training"),
        ('"forgetting"\n', '"deep"\n', "is the name of another one"),
        ("class Forgetting(Experiment)", "class Forgetting(Labelled)", "derive its class from"),
    ],
)
def test_what_is_no_kind_is_refused(old: str, new: str, reason: str, folder: Path) -> None:
    (folder / "forgetting.py").write_text(SOURCE.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=reason):
        kind_of("forgetting.py:Forgetting")


def test_wrong_names_say_what_there_is(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'Forgetting'"):
        kind_of("forgetting.py:Forgeting")
    with pytest.raises(UnknownNameError, match="did you mean 'dense'"):
        kind_of("dens")
    for kind, reason in (("deep", "this command is for 'deep'"), ("mortal", "this command is for 'mortal'")):
        with pytest.raises(ConfigError, match=reason):
            load_experiment("e.toml", kind)


def test_settings_are_checked_before_any_work(folder: Path) -> None:
    for line, reason in (("neuron = 3", "neurons"), ('rule = "softheb"', "softhebb"), ("first = 0", "first")):
        (folder / "e.toml").write_text(f"{line}\n{SMALL}", encoding="utf-8")
        found: Any = CliRunner().invoke(app, ["study", "e.toml", "--out", "o"])
        assert isinstance(found.exception, (ConfigError, UnknownNameError))
        assert reason in str(found.exception)
        assert not Path("o").exists()
    (folder / "e.toml").write_text(SMALL, encoding="utf-8")
    with pytest.raises(ConfigError, match="do not say what devices make"):
        load_experiment("e.toml").holding(load_experiment("e.toml").data())
    assert study(load_experiment("e.toml"))["summary"]


def test_its_file_may_lie_beside_the_experiment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_experiment(folder / "e.toml").kind == "forgetting"
    with pytest.raises(ConfigError, match="No such file"):
        kind_of("forgetting.py:Forgetting")
