"""Requirements: sizes of what a device has as axes, and sweeps of them read backwards into what would be enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import FINE, HFO2, PCM, every_card
from test_names_of_sweeps import asked, file, refused
from test_sweep import DENSE, FF, SMALL, TINY

import neurosim as ns
from neurosim import Axis, DenseExperiment, NeurosimError, Sweep
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.report.requirements import amount_words, enough_words, requirement_chart
from neurosim.report.style import to_svg
from neurosim.study.blocks import Store
from neurosim.study.compare import compare
from neurosim.study.effects import with_effects
from neurosim.study.fields import full_name, with_setting
from neurosim.study.requirements import (
    ABSENT,
    ENOUGH,
    LACKING,
    NO_NUMBER,
    OTHERS,
    UNDECIDED,
    at_once,
    axes_around,
    backwards,
    read_backwards,
    requirements,
)
from neurosim.study.sizes import sizes_of, slug
from neurosim.study.store import pack_bits
from neurosim.study.sweep import Enough, Plan, deciding
from neurosim.study.swept import collect, planned, sweep

ECRAM, LABEL, FADING = "ecram-li-tang-2018", "rram-taox-hfox-wu-2018", "ecram-ysz-wox-chen-2023"
COARSE = DENSE.changed(device=(HFO2,), seeds=2)


def on(*devices: str, **changes: Any) -> DenseExperiment:
    return DENSE.changed(device=devices, **changes)


def identity(experiment: Any) -> list[Any]:
    """Everything that decides the bits of the arms on devices."""
    return [deciding(experiment, arm) for arm in experiment.device_arms()]


class TestSizes:
    @pytest.mark.parametrize(
        ("device", "size", "expected"),
        [
            (HFO2, "step", {"step": 2 * 0.0949}),
            (HFO2, "write_noise", {"write_noise": 2 * 1.4113}),
            (HFO2, "device_spread_of_window", {"state_max_spread": 2 * 0.3499, "state_min_spread": 2 * 0.5695}),
            (HFO2, "stuck_cells", {"corrupt_share": 2 * 0.1348, "corrupt_range": 0.01}),
            (ECRAM, "non_linearity", {"slope_up": 2 * 0.1153, "slope_down": 2 * 0.5085}),
            (LABEL, "step", {"pulses_up": 128 / 2, "pulses_down": 128 / 2}),
            (PCM, "step", {"mean_slope": -0.168, "mean_offset_uS": 1.76, "mean_first_uS": 2.8, "nominal_set_step_uS": 1.5}),
            (PCM, "read_noise", {"read_noise_relative": 0.06, "read_noise_floor_uS": 0.26}),
        ],
    )  # fmt: skip
    def test_twice_as_much_is_in_the_numbers_of_the_card(
        self, device: str, size: str, expected: dict[str, float]
    ) -> None:
        """Expected: the card's numbers, read off its file."""
        before = on(device).device_arms()[0].law()
        after = with_setting(on(device), f"times.{size}", 2).device_arms()[0].law()
        changed = {name for name, value in after.model_dump().items() if value != before.model_dump()[name]}
        assert changed == {name for name in expected if name != "corrupt_range"}
        assert {name: getattr(after, name) for name in expected} == pytest.approx(expected)

    @pytest.mark.parametrize("device", [HFO2, PCM, ECRAM, FADING])
    def test_none_is_without_the_effect_and_once_is_as_given(self, device: str) -> None:
        spec = on(device)
        for name in sizes_of(spec.device_arms()[0]):
            assert identity(with_setting(spec, f"times.{slug(name)}", 1)) == identity(spec)
            if name not in ("step", "asymmetry", "non-linearity"):
                gone = with_setting(spec, f"times.{slug(name)}", 0)
                assert identity(gone) == identity(with_effects(spec, "without", name))

    @pytest.mark.parametrize("device", every_card())
    def test_every_card_half_of_each(self, device: str) -> None:
        spec = on(device)
        for name, own in sizes_of(spec.device_arms()[0]).items():
            half = sizes_of(with_setting(spec, f"times.{slug(name)}", 0.5).device_arms()[0])[name]
            for path, value in own.items():
                assert half[path] in (pytest.approx(value / 2), pytest.approx(value * 2)), (name, path)

    def test_endurance_and_retention_are_divided(self) -> None:
        spec = on(HFO2, parameters={"endurance_pulses": 1000.0, "endurance_spread": 0.5})
        law = with_setting(spec, "times.endurance", 4).device_arms()[0].law()
        assert (law.endurance_pulses, law.endurance_spread) == (250.0, 0.5)

    def test_read_noise_of_the_read_path_is_a_size_too(self) -> None:
        spec = on(HFO2, read={"read_noise": 0.02})
        assert with_setting(spec, "times.read_noise", 3).device_arms()[
            0
        ].read_path().read_noise == pytest.approx(0.06)

    def test_a_level_is_trained_as_the_number_itself(self, tmp_path: Path) -> None:
        found = sweep(on(HFO2), tmp_path, ["times.write_noise=1,2"])
        for factor in (1, 2):
            same = compare(on(HFO2, parameters={"write_noise": 1.4113 * factor}))["runs"][1]
            (row,) = (
                row for row in found["rows"] if row["arm"] == HFO2 and row["times.write_noise"] == factor
            )
            assert (row["accuracy"], row["vote"], row["counts"]) == (
                same["accuracy"],
                same["vote"],
                same["counts"],
            )

    def test_arms_without_it_stay_and_each_device_has_its_own(self) -> None:
        twice = with_setting(on(HFO2, PCM, FINE), "times.write_noise", 2)
        noise = [getattr(arm.law(), "write_noise", None) for arm in twice.device_arms()]
        assert noise == [pytest.approx(2 * 1.4113), None, pytest.approx(112.0)]

    def test_short_names_are_those_of_the_settings_as_before(self) -> None:
        assert full_name(on(HFO2), "write_noise") == "parameters.write_noise"
        assert full_name(on(PCM), "read_noise") == "read.read_noise"

    def test_what_cannot_be_is_refused(self) -> None:
        with pytest.raises(UnknownNameError, match=r"times\.write_nose"):
            planned(on(HFO2), ["times.write_nose=1,2"])
        for level, said in (("-1", "from 0 up"), ("8", "corrupt_share")):
            with pytest.raises(ConfigError, match=said):
                planned(on(HFO2), [f"times.stuck_cells={level}"])
        with pytest.raises(ConfigError, match="without a step learn nothing"):
            planned(on(HFO2), ["times.step=0,1"])
        own = FF.changed(
            arm=(
                {"name": "ideal"},
                {"name": "cell", "device": HFO2, "layer": ({}, {"parameters": {"step": 0.1}})},
            )
        )
        with pytest.raises(ConfigError, match="layer 2 of arm cell has its own"):
            planned(own, ["times.step=1,2"])


IMAGES = 2000


def row(arm: str, seed: int, right: float, **levels: float) -> dict[str, Any]:
    """A row of a sweep in which the first images, up to this share, are right; one image more or less a chip."""
    bits = np.arange(IMAGES) < round(right * IMAGES) + seed - 1
    known = {"accuracy": float(bits.mean()), "test_size": IMAGES, "correct": pack_bits(bits)}
    return {**levels, "arm": arm, "seed": seed, **known}


def found_of(
    curve: dict[float, float],
    field: str = "times.write_noise",
    ideal: float = 0.9,
    chips: int = 3,
    **enough: Any,
) -> dict[str, Any]:
    """What is read of a coarse RRAM whose accuracy at each level of one axis is known."""
    levels = tuple(curve)
    axes = tuple(
        {
            axis.field: axis
            for axis in (Axis(field="times.step", levels=(1.0,)), Axis(field=field, levels=levels))
        }.values()
    )
    plan = Plan(Sweep(axis=axes, plan="one at a time", enough=Enough(**enough)), on(HFO2, seeds=chips))
    rows = [row("ideal", seed, ideal, **{"times.step": 1.0}) for seed in range(chips)]
    rows += [
        row(HFO2, seed, curve.get(1.0, curve.get(0.0, 0.9)), **{"times.step": 1.0}) for seed in range(chips)
    ]
    rows += [
        row(HFO2, seed, right, **{field: level}) for level, right in curve.items() for seed in range(chips)
    ]
    (found,) = read_backwards(rows, plan)
    (line,) = (line for line in found["lines"] if line["field"] == field)
    return {**found, "line": line, "plan": plan}


def words(line: dict[str, Any]) -> str:
    """What is said of a line that three chips made."""
    return enough_words(line, 3).replace("\N{NO-BREAK SPACE}", " ")


class TestReadBackwards:
    """Accuracies are made up, so that what is enough is known."""

    def test_what_it_has_is_enough_and_may_be_twice_as_much(self) -> None:
        found = found_of({0.0: 0.9, 0.5: 0.9, 1.0: 0.9, 2.0: 0.9, 4.0: 0.85, 8.0: 0.5})
        line = found["line"]
        assert (found["answer"], found["kept"]) == ("keeps", pytest.approx(1.0))
        assert (line["verdict"], line["margin"], line["around"], line["looked"]) == (ENOUGH, 2.0, 1.0, False)
        assert line["up"] == {"level": 2.0, "shown": 2.0, "lost": 4.0}
        assert line["down"] == {"level": 0.0, "shown": 0.0, "lost": None}
        assert [each["answer"] for each in line["levels"]] == ["keeps"] * 4 + ["loses"] * 2
        assert words(line) == "up to 2.82 (× 2) [shown up to × 2; lost from × 4]"
        assert (line["has"][0]["value"], line["has"][0]["mark"]) == (1.4113, "published")
        assert "aihwkit" in line["has"][0]["source"]

    def test_less_of_it_alone_would_be_enough(self) -> None:
        line = found_of({0.0: 0.9, 0.5: 0.9, 1.0: 0.8, 2.0: 0.7})["line"]
        assert (line["verdict"], line["margin"], line["around"], line["looked"]) == (LACKING, 0.5, 0.5, True)
        assert (line["up"]["level"], line["up"]["lost"], line["down"]["shown"]) == (0.5, 1.0, 0.0)

    def test_whether_a_level_is_shown_to_be_enough_stands_beside_it(self) -> None:
        """The mean at none is a thousandth above the bar, which is less than three chips can tell."""
        line = found_of({0.0: 0.892, 1.0: 0.8})["line"]
        assert [each["answer"] for each in line["levels"]] == ["unclear", "loses"]
        assert (line["verdict"], line["up"]["level"], line["up"]["shown"]) == (LACKING, 0.0, None)
        assert words(line) == "only without it [not shown; lost from × 1]"

    def test_what_no_level_is_shown_to_lose_is_not_ruled_out(self) -> None:
        line = found_of({0.0: 0.89, 1.0: 0.8})["line"]
        assert [each["answer"] for each in line["levels"]] == ["unclear", "loses"]
        assert (line["verdict"], line["around"]) == (UNDECIDED, None)

    def test_something_else_is_in_the_way(self) -> None:
        found = found_of({0.0: 0.82, 0.5: 0.81, 1.0: 0.8})
        assert (found["line"]["verdict"], found["line"]["margin"]) == (OTHERS, None)
        assert words(found["line"]) == "none of the levels tried; best: 91.1 % at none"
        assert at_once(found, found["plan"]) is None, "nothing can be put together"

    def test_neither_too_fine_nor_too_coarse(self) -> None:
        line = found_of({0.125: 0.6, 0.5: 0.9, 1.0: 0.9, 2.0: 0.9, 4.0: 0.7}, "times.step")["line"]
        assert (line["down"], line["up"]) == (
            {"level": 0.5, "shown": 0.5, "lost": 0.125}, {"level": 2.0, "shown": 2.0, "lost": 4.0},
        )  # fmt: skip
        assert line["states"] == pytest.approx(2 / 0.0949)
        assert amount_words(line, 2.0).startswith("11 states")
        assert words(line).startswith("42 states (× 0.5) to 11 states (× 2) [shown from × 0.5 to × 2")

    def test_more_of_it_helps(self) -> None:
        line = found_of({0.0: 0.7, 1.0: 0.9, 2.0: 0.9})["line"]
        assert (line["verdict"], line["down"]["level"], line["down"]["lost"]) == (ENOUGH, 1.0, 0.0)
        assert "lost down from none" in words(line)

    def test_one_chip_decides_nothing(self) -> None:
        found = found_of({0.0: 0.9, 1.0: 0.9, 2.0: 0.5}, chips=1)
        assert (found["answer"], found["line"]["verdict"]) == ("unclear", UNDECIDED)
        assert found["line"]["up"] == {"level": 1.0, "shown": None, "lost": None}
        assert "[" not in enough_words(found["line"], 1)

    def test_what_the_device_has_none_of_has_no_verdict(self) -> None:
        line = found_of({0.01: 0.9, 0.1: 0.5}, "read.read_noise")["line"]
        assert (line["verdict"], line["margin"], line["has"]) == (NO_NUMBER, None, [])
        assert [each["level"] for each in line["levels"]] == [0.0, 0.01, 0.1], "none is the device as given"
        assert line["up"] == {"level": 0.01, "shown": 0.01, "lost": 0.1}

    def test_against_the_device_or_another_share(self) -> None:
        curve = {0.0: 0.8, 1.0: 0.8, 2.0: 0.799, 4.0: 0.7}
        assert found_of(curve)["line"]["verdict"] == OTHERS
        own = found_of(curve, against="device")
        assert (own["kept"], own["line"]["up"]["level"]) == (pytest.approx(1.0), 2.0)
        assert found_of(curve, share=0.85)["line"]["up"]["level"] == 2.0

    def test_of_an_accuracy_of_nothing_there_is_no_share(self) -> None:
        with pytest.raises(ConfigError, match=r"the accuracy to be kept is 0 %.*; let it learn longer"):
            found_of({0.0: 0.0, 1.0: 0.0, 2.0: 0.0}, ideal=0.0, chips=1)

    def test_levels_without_all_seeds_are_left_out(self) -> None:
        curve = {0.0: 0.9, 1.0: 0.9, 2.0: 0.9}
        found = found_of(curve)
        plan = found["plan"]
        rows = [row(arm, seed, 0.9, **{"times.step": 1.0}) for arm in ("ideal", HFO2) for seed in range(3)]
        rows += [row(HFO2, seed, 0.9, **{"times.write_noise": 2.0}) for seed in range(2)]
        rows.append({"arm": HFO2, "seed": 2, "times.write_noise": 2.0, "error": "no memory"})
        (one,) = read_backwards(rows, plan)
        (line,) = (line for line in one["lines"] if line["field"] == "times.write_noise")
        assert [each["level"] for each in line["levels"]] == [1.0]
        assert read_backwards([], plan) == []


def levels_around(experiment: Any) -> dict[str, Any]:
    return {axis.field: axis.all_levels for axis in axes_around(experiment)}


class TestTheNameOfASweep:
    @pytest.fixture(scope="class")
    def done(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
        out = tmp_path_factory.mktemp("requirements")
        return ns.requirements(COARSE, out, share=0.5, factors=(2,)), out

    def test_has_a_line_for_everything_that_the_device_has_or_lacks(self, done: tuple[Any, Path]) -> None:
        (found,) = done[0]["requirements"]
        had = ["step", "pulse-to-pulse noise", "write noise", "programming error", "device spread of steps",
               "device spread of window", "stuck cells"]  # fmt: skip
        assert [line["property"] for line in found["lines"]] == [*had, "asymmetry", "read noise"]
        assert found["left_out"] == ["retention (the source gives no retention data)"]
        assert done[0]["tolerances"] == []

    def test_the_device_as_given_is_learnt_once(self, done: tuple[Any, Path]) -> None:
        ones = {
            row["block"] for row in done[0]["rows"] if row["arm"] == HFO2 and row["seed"] == 0
            if any(name.startswith("times.") and value == 1 for name, value in row.items() if name != "block")
        }  # fmt: skip
        assert len(ones) == 1

    def test_all_at_once_is_that_comparison(self, done: tuple[Any, Path]) -> None:
        (found,) = done[0]["requirements"]
        changed: Any = COARSE
        for field, level in found["together"]["levels"].items():
            changed = with_setting(changed, field, level)
        same = [run["accuracy"] for run in compare(changed)["runs"] if run["arm"] == HFO2]
        assert found["together"]["accuracy_mean"] == pytest.approx(np.mean(same))
        ideal = np.mean(
            [row["accuracy"] for row in done[0]["rows"] if row["arm"] == "ideal" and "times.step" in row]
        )
        assert found["together"]["kept"] == pytest.approx(np.mean(same) / ideal)
        assert set(found["together"]["levels"]) == {line["field"] for line in found["lines"] if line["up"]}

    def test_stopped_it_goes_on_to_the_same_table(self, done: tuple[Any, Path], tmp_path: Path) -> None:
        finished: list[int] = []

        def stop(_: str, count: int, total: int) -> None:
            finished.append(count)
            if len(finished) == 5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            ns.requirements(COARSE, tmp_path, share=0.5, factors=(2,), told=stop)
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "blocks").iterdir()}
        again = ns.requirements(COARSE, tmp_path, share=0.5, factors=(2,))
        assert len(before) == 5
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert again["requirements"] == done[0]["requirements"]

    def test_it_is_shown(self, done: tuple[Any, Path]) -> None:
        results = done[0]
        (table,) = results.table()
        assert table.row_count == len(results["requirements"][0]["lines"]) + 1, "all at once is the last line"
        assert b"<svg" in to_svg(requirement_chart(results))
        ((arm, said),) = results.findings()
        assert (arm, said.startswith("As given: ")) == (HFO2, True)
        assert "All at once: each at the end of what is enough of it alone" in said
        assert list(results.plot()) == ["requirements"]
        assert ns.load_results(done[1])["requirements"] == json.loads(json.dumps(results["requirements"]))

    def test_the_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ns.DenseExperiment, "said", lambda spec: ["assumed of this net: a head"])
        spec, out = file(tmp_path, "e.toml", **{**TINY, "device": ()}), tmp_path / "o"
        words = ["requirements", spec, "--device", HFO2, "--factors", "1", "--keep", "0.9", "--out", str(out)]
        said = " ".join(asked(*words, "--json", str(tmp_path / "j.json")).output.split())
        assert "assumed of this net: a head" in said
        assert "What would be enough to keep 90 % of the accuracy of ideal arithmetic" in said
        assert {"sweep.json", "requirements.svg", "report.html"} <= {path.name for path in out.iterdir()}
        found = json.loads((tmp_path / "j.json").read_text())
        assert {line["property"] for line in found["requirements"][0]["lines"]} >= {"step", "write noise"}
        assert "step_spread_lognormal 0.7829" in (out / "report.html").read_text()
        kept = {path: path.stat().st_mtime_ns for path in (out / "blocks").iterdir()}
        asked(*words, "--against", "device")
        assert {path: path.stat().st_mtime_ns for path in kept} == kept, "another question of what is there"

    def test_the_same_as_the_file_of_a_sweep(self, done: tuple[Any, Path]) -> None:
        plan = backwards(COARSE, Enough(share=0.5), (2,))
        assert collect(Store(plan, done[1]))["requirements"] == done[0]["requirements"]
        written = Sweep.parse(plan.sweep.model_dump(), "sweep")
        assert set(Store(Plan(written, COARSE), done[1]).blocks) == set(Store(plan, done[1]).blocks)

    def test_levels_that_a_law_refuses_are_left_out(self) -> None:
        levels = levels_around(COARSE)
        assert levels["times.stuck_cells"] == (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
        assert levels["times.step"] == (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

    def test_what_is_there_is_not_added(self) -> None:
        alone = levels_around(on(PCM))
        assert "times.read_noise" in alone
        assert "read.read_noise" not in alone
        assert "parameters.asymmetry" not in alone, "its law has none"
        assert alone["age_s"][-1] == 31_536_000.0, "it drifts"
        both = levels_around(on(PCM, HFO2))
        assert {"times.read_noise", "read.read_noise"} <= set(both), "of the other device"
        assert {field for field, _ in ABSENT.values()} >= {"read.read_noise", "parameters.asymmetry"}

    @pytest.mark.slow
    def test_of_networks(self, tmp_path: Path) -> None:
        store = requirements(backwards(FF, factors=(2,)), tmp_path)
        (found,) = collect(store)["requirements"]
        assert (found["arm"], found["reference"]) == ("cell", "ideal")
        assert {line["property"] for line in found["lines"]} >= {"step", "pulse-to-pulse noise", "read noise"}
        assert all(len(line["levels"]) >= 2 for line in found["lines"])

    def test_what_cannot_be_is_refused(self, tmp_path: Path) -> None:
        bare, out = file(tmp_path, "b.toml", **{**TINY, "device": ()}), str(tmp_path / "o")
        assert "requirements: needs at least one --device" in refused("requirements", bare, "--out", out)
        alone = file(tmp_path, "ff.toml", kind="forward-forward", **SMALL, widths=[8], arm=[])
        (tmp_path / "ff.toml").write_text(
            (tmp_path / "ff.toml")
            .read_text()
            .replace("arm = []", f'[[arm]]\nname = "cell"\ndevice = "{PCM}"')
        )
        assert "no arm in ideal arithmetic learns beside it" in refused("requirements", alone, "--out", out)
        spec = file(tmp_path, "e.toml", **TINY)
        assert "--keep" in refused("requirements", spec, "--keep", "1.5", "--out", out)
        assert "--against" in refused("requirements", spec, "--against", "nothing", "--out", out)
        assert not (tmp_path / "o").exists()
        for wrong in ({"plan": "grid"}, {"axis": ({"field": "read_noise", "levels": [0, 0.1]},)}):
            what = {
                "axis": ({"field": "times.step", "levels": [1, 2]},),
                "plan": "one at a time",
                "enough": {},
                **wrong,
            }
            with pytest.raises(NeurosimError, match="one at a time around the device as given"):
                Plan(Sweep.parse(what, "sweep"), on(HFO2))
