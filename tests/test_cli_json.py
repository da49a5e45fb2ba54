"""With `--json -` every command leaves standard output to the JSON; tables and lines go to standard error."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from assess_helpers import of_tiny_nets
from fit_helpers import RAMPS, soft, write_pulses
from helpers import PCM

from neurosim import cli, devices

IMAGES = 'dataset = "digits"\ntrain_images = 100\ntest_images = 40\n'
ARM = f'[[arm]]\nname = "pcm"\ndevice = "{PCM}"\nmode = "mixed"\n'
FILES = {
    "one": f'{IMAGES}neurons = 12\nreadout_epochs = 5\ndevice = ["{PCM}"]\nmode = "mixed"\n',
    "deep": f'{IMAGES}preset = "cifar"\nwidth = 0.05\ndepth = 1\nhead_epochs = 1\n{ARM}rule = "softhebb"\n',
    "ff": f"{IMAGES}widths = [8]\nepochs = 2\nbatch = 10\n{ARM}",
    "mortal": f"{IMAGES}widths = [8]\nepochs = 2\nbatch = 10\nrelearn_epochs = 1\nchips = 1\n{ARM}",
    "spikes": f"{IMAGES}neurons = 6\n{ARM}",
}
FILES["study"] = 'kind = "forward-forward"\n' + FILES["ff"]
COMMANDS = {
    "compare": ["one.toml --out c", "one.toml --vary read_noise=0,0.1 --out v", "one.toml --holding"],
    "deep": ["deep.toml --out d"],
    "ff": ["ff.toml --out f"],
    "mortal": ["mortal.toml --out m"],
    "spikes": ["spikes.toml --out s"],
    "study": ["study.toml --out f2"],
    "sweep": [
        "one.toml --axis read_noise=0,0.1 --out v",
        "one.toml --axis read_noise=0,0.1 --out w --dry-run",
    ],
    "collect": ["one.toml --axis read_noise=0,0.1 --out v"],
    "wires": ["one.toml --ohm 0,1 --tile 64 --train-ohm 0 --out o"],
    "requirements": ["one.toml --factors 1,2 --out r"],
    "run": ["one.toml --out u"],
    "energy": ["", "c", "one.toml"],
    "devices list": ["", "--plain"],
    "devices show": [PCM],
    "devices check": ["ideal"],
    "fit": ["mine.csv --model soft-bounds --resamples 0 --out card.toml"],
    "validate": ["--training one.toml --device ideal --dtype float32"],
    "assess": [f"{PCM} --minutes 0.1 --seeds 2 --out a"],
}
"""Commands in an order in which each finds what those before wrote, each with its arguments."""
TINY: dict[str, dict[str, Any]] = {
    "softhebb": {"train_images": 200, "test_images": 40, "neurons": 6, "epochs": 1, "readout_epochs": 1},
    "forward-forward": {"train_images": 200, "test_images": 40, "widths": [6, 6], "epochs": 2},
}


def with_json(group: Any, path: str = "") -> Iterator[str]:
    """Names of the commands that have the option."""
    for name, command in getattr(group, "commands", {}).items():
        yield from with_json(command, f"{path} {name}".strip())
    if any("--json" in option.opts for option in group.params):
        yield path


def test_every_command_with_the_option_is_tried() -> None:
    assert set(COMMANDS) == set(with_json(typer.main.get_command(cli.app)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("json")
    for name, text in FILES.items():
        (here / f"{name}.toml").write_text(text, encoding="utf-8")
    write_pulses(here / "mine.csv", devices.pulse_response(soft(), RAMPS, 6, seed=1), RAMPS)
    return here


@pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")
@pytest.mark.parametrize("command", COMMANDS)
def test_standard_output_is_json(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    of_tiny_nets(monkeypatch, TINY)
    for arguments in COMMANDS[command]:
        given = ["neurosim", *command.split(), *shlex.split(arguments), "--json", "-"]
        monkeypatch.setattr(sys, "argv", given)
        with pytest.raises(SystemExit) as end:
            cli.main()
        shown = capsys.readouterr()
        assert not end.value.code, shown.err
        assert json.loads(shown.out), given
        assert shown.err, "tables and lines"
