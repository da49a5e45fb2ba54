"""What the commands for experiments with arms share: the table in advance, and where results go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.core.errors import ConfigError, UnknownNameError

DEVICE = '[[arm]]\nname = "ideal"\n\n[[arm]]\nname = "mine"\ndevice = "pcm-nandakumar-2018"\n'
EXPERIMENTS = {
    "deep": f'dataset = "digits"\nwidth = 0.25\ndepth = 2\n{DEVICE}rule = "softhebb"\n',
    "ff": f'dataset = "digits"\nwidths = [16, 12]\n{DEVICE}',
}


def asked(command: str, folder: Path, *options: str):
    file = folder / "e.toml"
    file.write_text(EXPERIMENTS[command], encoding="utf-8")
    return CliRunner().invoke(app, [command, str(file), *options])


@pytest.mark.parametrize("command", EXPERIMENTS)
def test_what_devices_hold_is_shown_without_training(command: str, tmp_path: Path):
    done = asked(command, tmp_path, "--holding", "--json", str(tmp_path / "j.json"))
    assert done.exit_code == 0, done.output
    assert "mine" in done.output
    assert "ideal" not in done.output
    layers = json.loads((tmp_path / "j.json").read_text(encoding="utf-8"))["holding"]["mine"]
    assert [layer["layer"] for layer in layers] == [1, 2]
    assert {file.name for file in tmp_path.iterdir()} == {"e.toml", "j.json"}


@pytest.mark.parametrize("command", EXPERIMENTS)
def test_what_cannot_be_done_is_said(command: str, tmp_path: Path):
    for options, kind, words in (
        ((), ConfigError, "--out: give a folder"),
        (("--holding", "--arm", "ideal"), ConfigError, "no arm of this experiment has a device"),
        (("--holding", "--arm", "mien"), UnknownNameError, "did you mean 'mine'"),
    ):
        done = asked(command, tmp_path, *options)
        assert isinstance(done.exception, kind), done.output
        assert words in str(done.exception)
