"""Folders of results and options of settings: nothing of another experiment is lost, cautions stay, settings have names."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import HFO2, PCM

from neurosim import DenseExperiment, cli
from neurosim.study.same import difference, said_of

TINY = {"dataset": "digits", "train_images": 60, "test_images": 20, "neurons": 8, "readout_epochs": 1}
FILE = "\n".join(f"{name} = {json.dumps(value)}" for name, value in TINY.items()) + f'\ndevice = ["{PCM}"]\n'
NARROW = "--set adc_bits=6 --set adc_range_uS=0.01"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A command carried out in a folder of its own; returns its exit code and both streams."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "warnoptions", [])
    Path("e.toml").write_text(FILE, encoding="utf-8")

    def carried_out(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["neurosim", *shlex.split(line)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), *capsys.readouterr()

    return carried_out


class TestNothingIsLostInSilence:
    def test_of_a_study(self, run: Any) -> None:
        assert run("compare e.toml --out o")[0] == 0
        kept = Path("o/results.json").read_text(encoding="utf-8")
        for other, what in (
            ("--epochs 2", "epochs = 1"),
            (f"--device {HFO2}", f"arm {PCM}"),
            (NARROW, f"arm {PCM}, read = adc_bits"),
            ("--vary read_noise=0,0.1", "kind 'dense'"),
        ):
            code, _, said = run(f"compare e.toml --out o {other}")
            assert code == 2
            assert what in said
            assert "choose another folder, or --overwrite" in said
            assert Path("o/results.json").read_text(encoding="utf-8") == kept
        assert run("compare e.toml --out o --epochs 2 --overwrite")[0] == 0
        assert json.loads(Path("o/results.json").read_text(encoding="utf-8"))["config"]["epochs"] == 2

    def test_the_same_goes_on_with_more_seeds_and_arms(self, run: Any) -> None:
        for further in ("", "--seeds 2", "", f"--device {PCM} --device {HFO2}", f"--arm {PCM}"):
            assert run(f"compare e.toml --out o {further}")[0] == 0, further

    def test_of_a_sweep(self, run: Any) -> None:
        assert run("sweep e.toml --out o --axis read_noise=0,0.1")[0] == 0
        code, _, said = run("sweep e.toml --out o --axis dac_bits=4,8")
        assert (code, "axes read.read_noise" in said) == (2, True)
        assert run("sweep e.toml --out o --axis read_noise=0,0.1,0.2")[0] == 0
        assert run("sweep e.toml --out o --axis dac_bits=4,8 --overwrite")[0] == 0

    def test_of_a_card(self, run: Any) -> None:
        """Refused before the data are read, which are not there."""
        Path("card.toml").write_text("mine", encoding="utf-8")
        Path("data.csv").write_text("", encoding="utf-8")
        code, _, said = run("fit data.csv --out card.toml")
        assert (code, said.count("\n")) == (2, 1)
        assert "card.toml is there already; give another --out, or --overwrite" in said
        assert Path("card.toml").read_text(encoding="utf-8") == "mine"
        assert "is there already" not in run("fit data.csv --out card.toml --overwrite")[2]
        Path("new.svg").write_text("mine", encoding="utf-8")
        assert "new.svg is there already" in run("fit data.csv --out new.toml")[2]

    def test_of_an_assessment(self, run: Any) -> None:
        Path("a").mkdir()
        Path("a/assess.json").write_text(json.dumps({"card": PCM, "dataset": "digits"}), encoding="utf-8")
        said = f"is of another card or other images ({PCM}, dataset = digits)"
        for other in (HFO2, f"{PCM} --train-images 60", f"{PCM} --test-images 20"):
            assert said in run(f"assess {other} --out a")[2], other
        Path("a/softhebb.toml").write_text("mine", encoding="utf-8")
        assert "a/softhebb.toml is not as it was written here" in run(f"assess {PCM} --out a")[2]
        assert Path("a/softhebb.toml").read_text(encoding="utf-8") == "mine"

    @pytest.mark.parametrize(
        "command", ["compare e.toml --vary read_noise=0", "wires e.toml --ohm 1 --tile 8"]
    )
    def test_blocks_that_failed_are_tried_again_by_the_option_that_is_said(
        self, command: str, run: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if command.startswith("wires"):
            command += " --train-ohm 1 --train-tile 8"

        def fails(*_: Any) -> Any:
            raise MemoryError("no memory left")

        with monkeypatch.context() as patched:
            patched.setattr(DenseExperiment, "run", fails)
            said = " ".join(run(f"{command} --out o")[1].split())
        assert "the same command goes on (with --retry-failed it tries failed ones again)" in said
        assert "failed" in run(f"{command} --out o")[1]
        assert "failed" not in run(f"{command} --out o --retry-failed")[1]
        assert "give --vary or --ablate with it" in run("compare e.toml --out p --retry-failed")[2]

    def test_what_tells_experiments_apart(self) -> None:
        spec = DenseExperiment.parse({**TINY, "device": [PCM]}, "test")
        now = json.loads(json.dumps(said_of(spec)))
        assert not difference(now, said_of(spec.changed(seeds=3, then_aged_s=1.0)))
        assert difference(now, said_of(spec.changed(device=()))) == ""
        assert difference(now, said_of(spec.changed(device=())), some_arms=False) == f"arm {PCM}"
        del now["config"]["epochs"]
        assert not difference(now, said_of(spec.changed(epochs=3))), "of a version without that setting"


class TestCautionsStayWithTheResults:
    """The page says them again when nothing is computed again."""

    @pytest.mark.parametrize(
        "command", [f"compare e.toml {NARROW} --out o", "sweep e.toml --out o --axis adc_range_uS=0.01,0.02"]
    )
    def test_on_the_page(self, command: str, run: Any) -> None:
        Path("e.toml").write_text(FILE + "[read]\nadc_bits = 6\n", encoding="utf-8")
        assert "ClippingWarning" in run(command)[2]
        page = Path("o/report.html").read_text(encoding="utf-8")
        assert f"ClippingWarning</b>, once ({PCM}, seed 0)" in page or "times (" in page
        assert page.count("<b>ClippingWarning</b>") == 1
        assert "ClippingWarning" not in run(command)[2], "nothing is computed again"
        Path("o/report.html").unlink()
        run("report o")
        assert Path("o/report.html").read_text(encoding="utf-8") == page

    def test_also_where_another_evaluation_trains_nothing_anew(self, run: Any) -> None:
        run(f"compare e.toml {NARROW} --out o")
        run(f"compare e.toml {NARROW} --out o --set readout_epochs=2 --overwrite")
        assert 'id="cautions"' in Path("o/report.html").read_text(encoding="utf-8")

    def test_not_on_that_of_another_experiment(self, run: Any) -> None:
        run(f"compare e.toml {NARROW} --out o")
        run("compare e.toml --out o --overwrite")
        assert 'id="cautions"' not in Path("o/report.html").read_text(encoding="utf-8")


class TestSettingsByName:
    def test_set_changes_any_setting(self, run: Any) -> None:
        given = "--set adc_bits=4 --set batch=16 --set rule_options.learning_rate=0.1 --set backend=torch"
        assert run(f"compare e.toml {given} --out o")[0] == 0
        config = json.loads(Path("o/results.json").read_text(encoding="utf-8"))["config"]
        assert (config["batch"], config["rule_options"]) == (16, {"learning_rate": 0.1})
        assert config["arms"][0]["read"]["adc_bits"] == 4
        assert config["arms"][0]["backend"] == "torch"

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("adc_bits", "--set adc_bits: expected"),
            ("adc_bits=4,5", "--vary or neurosim sweep"),
            ("adc_bits=99", "16"),
            ("adcbits=4", "did you mean 'adc_bits'"),
        ],
    )
    def test_what_is_none_is_refused(self, given: str, said: str, run: Any) -> None:
        code, _, found = run(f"compare e.toml --out o --set {given}")
        assert code == 2
        assert said in found
        assert not Path("o").exists()

    def test_of_devices_where_there_are_none(self, run: Any) -> None:
        assert "no arm is on devices" in run("compare --set adc_bits=4")[2]

    @pytest.mark.parametrize(
        ("command", "option", "meant"),
        [
            ("compare", "--noise", "--set read_noise=0.02"),
            ("compare", "--device-noise", "--set parameters.added_write_noise=0.1"),
            ("compare", "--bits", "--set adc_bits=6"),
            ("compare", "--adc", "--set adc_bits=6"),
            ("compare", "--adc-bits", "--set read.adc_bits=VALUE"),
            ("compare", "--lr", "--set rule_options.learning_rate=0.1"),
            ("compare", "--gpu", "--set backend=torch --set torch_device=cuda"),
            ("compare", "--test-images", "--set test_images=VALUE"),
            ("mortal", "--learning-rate", "--set settings.learning_rate=0.1"),
            ("deep", "--epochs", "--set epochs=VALUE"),
            ("sweep", "--adc-bits", "--axis read.adc_bits=VALUE"),
            ("compare", "--sed", "--seed, --seeds"),
        ],
    )
    def test_an_option_that_is_none_says_what_to_write(
        self, command: str, option: str, meant: str, run: Any
    ) -> None:
        code, _, said = run(f"{command} e.toml {option} 4")
        assert (code, said.count("\n")) == (2, 1)
        assert meant in said
