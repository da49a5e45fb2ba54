"""What a newcomer begins with: experiment files that run as they are, and what the machine has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import neurosim as ns
from neurosim.cli import app
from neurosim.cli.begin import EXAMPLES, examples
from neurosim.core.errors import InputError, UnknownNameError

EXPERIMENTS = [name for name in examples() if name != "sweep"]


def asked(*words: str) -> str:
    found = CliRunner().invoke(app, words, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_every_kind_of_network_has_one() -> None:
    assert examples() == ["compare", "deep", "ff", "mortal", "spikes", "sweep"]


@pytest.mark.parametrize("command", EXPERIMENTS)
def test_a_file_to_begin_with_is_an_experiment_that_can_be_carried_out(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = asked("init", command)
    path = tmp_path / f"{command}.toml"
    assert said == f"{command}.toml; run it: neurosim {command} {command}.toml --out out/{command}\n"
    kinds = {"compare": "dense", "ff": "forward-forward"}
    spec = ns.load_experiment(path, kinds.get(command, command))
    spec.check()
    assert spec.dataset == "digits", "bundled"
    assert spec.device_arms()
    assert f"#   neurosim {command} {command}.toml" in path.read_text(encoding="utf-8")


def test_so_is_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    said = asked("init", "sweep", str(path))
    assert f"neurosim sweep {path} --out out/mine" in said
    assert f"#   neurosim sweep {path} --out" in path.read_text(encoding="utf-8")
    assert "8 points" in asked("sweep", str(path), "--dry-run", "--out", str(tmp_path / "out"))


def test_nothing_is_overwritten_and_names_are_those_of_commands(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is there already"):
        CliRunner().invoke(app, ["init", "deep", str(path)], catch_exceptions=False)
    assert path.read_text(encoding="utf-8") == "mine"
    with pytest.raises(UnknownNameError, match="compare, deep, ff"):
        CliRunner().invoke(app, ["init", "dense"], catch_exceptions=False)
    with pytest.raises(InputError, match="cannot be written"):
        CliRunner().invoke(app, ["init", "deep", str(tmp_path / "absent" / "x.toml")], catch_exceptions=False)


def test_examples_are_explained() -> None:
    for name in examples():
        lines = (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("# ")
        assert sum("#" in line for line in lines) >= 3, name


def test_info_says_what_the_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist.npz").write_bytes(b"an archive")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    said = asked("info")
    for name in ("neurosim", "numba", "torch", "processors", "BLAS", "GPU", "compiled kernels"):
        assert re.search(rf"^{name} +\S", said, re.MULTILINE), name
    assert "mnist.npz" in said
    assert str(tmp_path) in said.replace("\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("command", examples())
def test_it_runs_as_it_is(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked("init", command)
    asked(command, f"{command}.toml", "--out", "out")
    assert (tmp_path / "out" / "report.html").is_file()
