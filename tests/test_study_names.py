"""Names: ideal arithmetic keeps its own, and what no file or terminal takes is refused; options before any work."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from report_helpers import results as made_up
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from neurosim import DeepExperiment, DenseExperiment, ForwardForwardExperiment, WeightsExperiment, cli
from neurosim.cli import app, progress
from neurosim.cli.terminal import PlainConsole
from neurosim.core.errors import ConfigError, NeurosimError, OutputError
from neurosim.core.plain import printable
from neurosim.report.html import write_report
from neurosim.report.table import mcnemar_table, summary_table
from neurosim.study.arm import LONGEST_NAME
from neurosim.study.compare import compare
from neurosim.study.effects import with_effects
from neurosim.study.run import pick_arm
from neurosim.study.swept import sweep
from neurosim.study.training import Training

PCM = "pcm-nandakumar-2018"
TINY: dict[str, Any] = {
    "dataset": "digits", "neurons": 10, "train_images": 120, "test_images": 40, "readout_epochs": 1,
    "curve_points": 1,
}  # fmt: skip
FORBIDDEN = {
    "x" * 240: "at most 180 bytes",
    "ü" * 100: "at most 180 bytes",
    "a\0b": "printable",
    "\x1b[31mred\x1b]0;title\x07": "printable",
    "two\nlines": "printable",
    "\u202eturned round": "printable",
    "\x9b31m": "printable",
    "a/b": "leave out /",
    "..\\b": "leave out /",
    "   ": "blank",
}
TERMINAL = {"\n"}


def raw(text: str) -> list[str]:
    """What would move the cursor of a terminal."""
    return [letter for letter in text if unicodedata.category(letter) == "Cc" and letter not in TERMINAL]


def toml(file: Path, arms: list[dict[str, Any]], **values: Any) -> Path:
    """Write an experiment; JSON strings are TOML strings."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**TINY, **values}.items()]
    for arm in arms:
        lines += ["[[arm]]", *(f"{name} = {json.dumps(value)}" for name, value in arm.items())]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


class TestIdealArithmeticKeepsItsName:
    @pytest.fixture(scope="class")
    def found(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
        out = tmp_path_factory.mktemp("both")
        found = compare(DenseExperiment.parse({**TINY, "device": ["ideal", PCM]}, "test"), out)
        (out / "results.json").write_text(json.dumps(found))
        return out, found

    def test_two_rows_and_the_right_gap(self, found: tuple[Path, dict[str, Any]]) -> None:
        _, both = found
        alone = compare(DenseExperiment.parse({**TINY, "device": [PCM]}, "test"))
        assert [run["arm"] for run in both["runs"]] == ["ideal", "ideal device", PCM]
        assert both["runs"][0]["energy"] is None
        assert both["runs"][1]["energy"]["updates"] > 0
        rows = {entry["arm"]: entry for entry in both["summary"]}
        pcm = alone["summary"][1]
        assert [entry["seeds"] for entry in both["summary"]] == [1, 1, 1]
        for name in ("gap_to_ideal_mean", "vote_gap_to_ideal_mean", "mcnemar", "accuracy_learning_kept"):
            assert rows[PCM][name] == pcm[name]
        assert rows["ideal"]["gap_to_ideal_mean"] == 0
        assert rows["ideal device"]["gap_to_ideal_mean"] == (
            both["runs"][0]["accuracy"] - both["runs"][1]["accuracy"]
        )
        assert "mcnemar" in rows["ideal device"]
        assert "mcnemar" not in rows["ideal"]
        assert [arm["name"] for arm in both["config"]["arms"]] == ["ideal device", PCM]

    def test_in_tables_report_and_pictures(self, found: tuple[Path, dict[str, Any]]) -> None:
        out, both = found
        shown = io.StringIO()
        console = PlainConsole(file=shown, width=200)
        console.print(summary_table(both), mcnemar_table(both))
        assert shown.getvalue().count("ideal device") == 2
        page = write_report(out).read_text(encoding="utf-8")
        assert page.count("ideal device") > 4
        assert {path.name for path in out.glob("pictures-*")} == {
            "pictures-ideal.npz", "pictures-ideal device.npz", f"pictures-{PCM}.npz",
        }  # fmt: skip

    def test_a_card_of_that_name_is_an_arm_on_devices(self) -> None:
        spec = DenseExperiment.parse({**TINY, "device": ["ideal"]}, "test")
        assert [arm.name for arm in spec.device_arms()] == ["ideal device"]
        assert pick_arm(spec, "ideal").device is None
        assert pick_arm(spec, "ideal device").device == "ideal"
        assert [arm.name for arm in with_effects(spec, "only", "nothing").device_arms()] == ["ideal device"]

    def test_two_that_would_be_called_alike_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="two arms are called 'ideal device'"):
            DenseExperiment.parse(
                {"device": ["ideal"], "arm": [{"name": "ideal device", "device": PCM}]}, "test"
            )

    @pytest.mark.parametrize("name", ["ideal", "Ideal", " ideal "])
    @pytest.mark.parametrize("kind", [DenseExperiment, DeepExperiment, ForwardForwardExperiment])
    def test_an_arm_on_devices_that_is_called_so_is_refused_in_words(self, kind: Any, name: str) -> None:
        with pytest.raises(ConfigError, match="ideal arithmetic is called so; call it 'ideal device', say"):
            kind.parse({"arm": [{"name": name, "device": PCM, **_rule(kind)}]}, "test")

    @pytest.mark.parametrize("kind", [DeepExperiment, ForwardForwardExperiment])
    def test_networks_list_ideal_arithmetic_themselves(self, kind: Any) -> None:
        assert kind.parse({"arm": [{"name": "ideal"}]}, "test").arm[0].name == "ideal"
        assert [arm.name for arm in kind().listed] == ["ideal"]

    def test_of_weights_and_of_levels(self, tmp_path: Path) -> None:
        own = WeightsExperiment(weights="w", device=("ideal", PCM))
        assert [arm.name for arm in own.listed] == ["ideal", "ideal device", PCM]
        spec = DenseExperiment.parse({**TINY, "device": ["ideal"]}, "test")
        points = sweep(spec, tmp_path, ["read_noise=0"])["points"]
        assert [point["arm"] for point in points] == ["ideal", "ideal device"]


def _rule(kind: Any) -> dict[str, str]:
    return {"rule": "softhebb"} if kind is DeepExperiment else {}


class TestNamesOfArms:
    @pytest.mark.parametrize(("name", "reason"), FORBIDDEN.items(), ids=range(len(FORBIDDEN)))
    @pytest.mark.parametrize("kind", [DenseExperiment, DeepExperiment, ForwardForwardExperiment])
    def test_what_no_file_or_terminal_takes_is_refused(self, kind: Any, name: str, reason: str) -> None:
        with pytest.raises(ConfigError, match=reason) as refused:
            kind.parse({"arm": [{"name": name, "device": PCM, **_rule(kind)}]}, "test")
        assert not raw(printable(str(refused.value)))
        assert len(str(refused.value)) < 300

    @pytest.mark.parametrize("name", ["PCM, 2 µs [fast] $x$", "相変化メモリ", "x" * LONGEST_NAME, "a · b"])
    def test_other_names_are_welcome(self, name: str, tmp_path: Path) -> None:
        spec = DenseExperiment.parse({**TINY, "arm": [{"name": name, "device": PCM}]}, "test")
        found = compare(spec, tmp_path)
        assert (tmp_path / f"pictures-{name}.npz").is_file()
        (tmp_path / "results.json").write_text(json.dumps(found))
        write_report(tmp_path)

    def test_the_name_of_a_card_file_counts_too(self) -> None:
        with pytest.raises(ConfigError, match="at most"):
            DenseExperiment.parse({"device": [f"{'y' * 200}.toml"]}, "test")
        with pytest.raises(ConfigError, match="at most"):
            WeightsExperiment(weights="w", device=(f"{'y' * 200}.toml",))

    @pytest.mark.parametrize("kind", [DenseExperiment, DeepExperiment, ForwardForwardExperiment])
    def test_no_card_has_a_nul(self, kind: Any) -> None:
        with pytest.raises(ConfigError, match="NUL"):
            kind.parse({"arm": [{"name": "a", "device": "a\0.toml", **_rule(kind)}]}, "test")

    @pytest.mark.parametrize("name", ["x" * 240, "a\0b", "\x1b[31mred"])
    def test_before_training(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Training, "run", lambda *_: pytest.fail("it trains"))
        file = toml(tmp_path / "e.toml", [{"name": name, "device": PCM}])
        found = CliRunner().invoke(app, ["compare", str(file), "--out", str(tmp_path / "o")])
        assert isinstance(found.exception, ConfigError)
        assert not (tmp_path / "o").exists()


class TestNothingRawReachesTheTerminal:
    NASTY = "\x1b[31mred\x1b]0;title\x07 \x9b1m [bold]b[/] [/x] :smile:\r"

    def test_in_text_and_cells_with_or_without_markup(self) -> None:
        shown = io.StringIO()
        console = PlainConsole(file=shown, width=300)
        table = Table("a", self.NASTY, title=self.NASTY, caption=self.NASTY)
        table.add_row(self.NASTY, Text(self.NASTY))
        console.print(self.NASTY, table, Text(self.NASTY))
        assert not raw(shown.getvalue())
        assert shown.getvalue().count("[bold]b[/] [/x] :smile:") >= 4
        assert "\\x1b[31mred" in shown.getvalue()

    def test_colours_are_still_ours(self) -> None:
        shown = io.StringIO()
        PlainConsole(file=shown, force_terminal=True, color_system="standard").print(Text("x\x1b[2J", "bold"))
        assert "\x1b[1mx\\x1b[2J" in shown.getvalue()

    def test_of_a_card(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text = (Path(cli.__file__).parents[1] / "devices" / "cards" / "ideal.toml").read_text(
            encoding="utf-8"
        )
        lines = [line for line in text.splitlines() if not line.startswith(("name", "summary", "citation"))]
        words = [f"{key} = {json.dumps(self.NASTY)}" for key in ("name", "summary", "citation")]
        (tmp_path / "nasty.toml").write_text("\n".join([*words, *lines]), encoding="utf-8")
        found = CliRunner().invoke(app, ["devices", "show", str(tmp_path / "nasty.toml")])
        assert found.exit_code == 0, found.output
        assert "\\x1b[31mred" in found.output
        assert not raw(found.output)

    def test_of_an_error(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr("sys.argv", ["neurosim", "compare", f"{self.NASTY}.toml"])
        with pytest.raises(SystemExit):
            cli.main()
        said = capsys.readouterr().err
        assert said.startswith("neurosim: ")
        assert not raw(said)

    def test_progress_takes_names_as_they_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shown = io.StringIO()
        monkeypatch.setattr(
            progress, "PlainConsole", lambda **_: PlainConsole(file=shown, force_terminal=True, width=100)
        )
        with progress.progress() as report:
            report("a [/b] [red]", 0, 1, 2)
        assert "a [/b] [red], seed 0" in shown.getvalue()

    def test_results_of_elsewhere(self) -> None:
        shown = io.StringIO()
        found = made_up([self.NASTY], 1)
        PlainConsole(file=shown, width=400).print(summary_table(found), mcnemar_table(found))
        assert not raw(shown.getvalue())
        assert isinstance(PlainConsole(), Console)


class TestOptionsAreCheckedBeforeAnyWork:
    @pytest.fixture
    def experiment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An experiment that fails the test as soon as anything is trained, fitted or tried."""

        def work(*_: Any, **__: Any) -> None:
            pytest.fail("work was done before the option was checked")

        for place in (
            "neurosim.study.training.Training.run", "neurosim.study.dense.untrained_scores",
            "neurosim.study.validate.compare_operations",
            "neurosim.devices.fitting.fit", "neurosim.devices.contract.check",
        ):  # fmt: skip
            monkeypatch.setattr(place, work)
        (tmp_path / "file").write_text("")
        (tmp_path / "folder").mkdir()
        monkeypatch.chdir(tmp_path)
        return toml(tmp_path / "e.toml", [{"name": "a", "device": PCM}])

    def refused(self, *words: str) -> str:
        found = CliRunner().invoke(app, words)
        assert isinstance(found.exception, NeurosimError), (found.output, found.exception)
        return str(found.exception)

    @pytest.mark.parametrize(
        ("option", "value", "reason"),
        [
            ("--ohm", "0,nan", "finite"), ("--ohm", "inf", "finite"), ("--ohm", "-1", "negative"),
            ("--ohm", "1,1", "once"), ("--ohm", "", "numbers"), ("--tile", "64,1.9", "whole numbers from 2"),
            ("--tile", "inf", "finite"), ("--tile", "nan", "finite"), ("--tile", "1", "whole numbers from 2"),
            ("--tile", "0", "whole numbers"), ("--train-ohm", "nan", "finite"),
            ("--train-ohm", "0,1e400", "finite"), ("--json", "folder", "--json"),
            ("--json", "none/x.json", "--json"), ("--out", "file", "--out"),
        ],
    )  # fmt: skip
    def test_of_wires(self, experiment: Path, option: str, value: str, reason: str) -> None:
        said = self.refused("wires", str(experiment), "--out", "o", option, value)
        assert reason in said
        assert "\n" not in said

    @pytest.mark.parametrize(
        "words",
        [
            ("compare", "e.toml"), ("compare", "e.toml", "--ablate"), ("run", "e.toml"),
            ("compare", "e.toml", "--vary", "read_noise=0,0.1"), ("deep", "deep.toml"), ("ff", "ff.toml"),
            ("mortal", "mortal.toml"), ("validate", "--training", "e.toml"),
        ],
        ids=" ".join,
    )  # fmt: skip
    @pytest.mark.parametrize("option", [("--json", "folder"), ("--json", "none/x"), ("--out", "file")])
    def test_of_every_study(self, experiment: Path, words: tuple[str, ...], option: tuple[str, str]) -> None:
        small = 'dataset = "digits"\ntrain_images = 60\ntest_images = 30\n'
        cell = f'[[arm]]\nname = "a"\ndevice = "{PCM}"\nmode = "mixed"\n'
        Path("deep.toml").write_text(f'{small}width = 1.0\ndepth = 1\n{cell}rule = "softhebb"\n')
        Path("ff.toml").write_text(f"{small}widths = [8]\n{cell}")
        Path("mortal.toml").write_text(f"{small}widths = [8]\n{cell}")
        given = {"--out": "o", **dict([option])}
        said = self.refused(*words, *(word for pair in given.items() for word in pair))
        assert said.startswith(f"{option[0]} {option[1]}")

    def test_of_commands_about_devices(self, experiment: Path) -> None:
        Path("d.csv").write_text("pulse,conductance\n")
        for words in (
            ("fit", "d.csv", "--json", "folder"), ("fit", "d.csv", "--out", "none/card.toml"),
            ("devices", "check", PCM, "--json", "folder"), ("devices", "list", "--json", "none/x"),
            ("devices", "show", PCM, "--json", "folder"), ("devices", "plot", PCM, "--out", "none/x.svg"),
        ):  # fmt: skip
            assert "cannot write there" in self.refused(*words)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("read_noise=0,nan", "finite"), ("adc_bits=8,6.5", "adc_bits"), ("adc_bits=8,1", "adc_bits"),
            ("window=1.3,0", "window"), ("read_noise=0,-1", "read_noise"), ("read_noise=inf", "finite"),
        ],
    )  # fmt: skip
    def test_every_level(self, experiment: Path, text: str, reason: str) -> None:
        assert reason in self.refused("compare", "e.toml", "--out", "o", "--vary", text)
        assert not Path("o").exists()

    @pytest.mark.parametrize("value", ["nan", "-1", "inf"])
    def test_seconds_between_checkpoints(self, experiment: Path, value: str) -> None:
        assert "checkpoint" in self.refused("run", "e.toml", "--out", "o", "--checkpoint-s", value)

    def test_an_arm_that_is_not_there_and_a_device_of_a_later_arm(self, experiment: Path) -> None:
        self.refused("run", "e.toml", "--out", "o", "--arm", "b")
        assert not Path("o").exists()
        small = 'dataset = "digits"\ntrain_images = 60\ntest_images = 30\n'
        for command, more in (("deep", "width = 1.0\ndepth = 1\n"), ("ff", "widths = [8]\n")):
            rule = 'rule = "softhebb"\n' if command == "deep" else ""
            later = f'[[arm]]\nname = "b"\ndevice = "nonsense"\n{rule}'
            Path("n.toml").write_text(f'{small}{more}[[arm]]\nname = "ideal"\n{later}')
            assert "unknown device card 'nonsense'" in self.refused(command, "n.toml", "--out", "o")

    def test_a_file_that_could_be_written_is_left_as_it_was(self, experiment: Path) -> None:
        from neurosim.study.store import expect_file

        Path("kept.json").write_text("old")
        before = sorted(Path().iterdir())
        expect_file(Path("kept.json"), "--json")
        expect_file(Path("new.json"), "--json")
        assert sorted(Path().iterdir()) == before
        assert Path("kept.json").read_text() == "old"
        for name in ("a\0b", "x" * 300):
            with pytest.raises(OutputError, match="--json"):
                expect_file(Path(name), "--json")
