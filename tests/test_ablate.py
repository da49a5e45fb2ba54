"""The noise budget: which arms are run, what differs between them, and what the points are of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import HFO2, IDEAL, PCM
from own_law_helpers import write_own_law
from report_helpers import cells, check_page, results
from test_cli import QUICK, neurosim, refused

from neurosim.core.config import Programming, ReadPath, Refresh, WritePath
from neurosim.core.errors import ConfigError
from neurosim.core.hardware import Faults, Wires
from neurosim.devices.card import cards, load
from neurosim.report import style
from neurosim.report.budget import budget_bars
from neurosim.report.results import Results
from neurosim.study.ablate import BARE, CAUSES, WAITING, ablate, ablation, budget, causes_on, parts_of
from neurosim.study.dense_spec import DenseExperiment

PERFECT = {"read": {"dac_bits": None, "adc_bits": None}, "write": {"decay_mode": "exact"}}


def names(experiment: DenseExperiment) -> list[str]:
    return [arm.name for arm in experiment.device_arms()]


def test_arms_are_bare_then_what_is_on_alone_then_all() -> None:
    arm = {"name": "cell", "device": HFO2, "parameters": {"write_noise": None, "corrupt_share": 0.0}}
    found = ablation(DenseExperiment(arm=(arm,), read={"shot_noise": True, "adc_bits": None}))
    alone = (
        "pulse-to-pulse noise", "programming error", "device spread of steps", "device spread of window",
        "DAC", "shot noise", "weight decay",
    )  # fmt: skip
    assert names(found) == [*(f"cell · {what}" for what in (BARE, *alone)), "cell"]


def test_a_device_without_effects_has_a_bare_arm_only() -> None:
    found = ablation(DenseExperiment(arm=({"name": "perfect", "device": IDEAL, **PERFECT},)))
    assert names(found) == ["perfect · bare", "perfect"]


@pytest.mark.parametrize("device", sorted(cards()))
def test_arms_differ_in_their_own_settings_alone(device: str) -> None:
    wires, faults = {"r_word_ohm": 1.0}, {"dead_columns": 0.01, "spare_columns": 2, "placement": "aware"}
    arm = {"name": "cell", "device": device, "wires": wires, "faults": faults}
    experiment = DenseExperiment(arm=(arm,), tiles={"word_lines": 64})
    (given,) = experiment.device_arms()
    causes, parts = causes_on(given), parts_of(given)
    assert {"DAC", "ADC", "wires", "dead columns", "weight decay"} <= set(causes)
    assert causes_on(parts[BARE]) == {}
    for cause in causes:
        assert causes_on(parts[cause]) == {cause: causes[cause]}
    split = ablation(experiment).device_arms()
    assert split[-1] == given
    assert {json.dumps(part.tiles) for part in split} == {json.dumps(given.tiles)}
    assert all((part.faults or {})["spare_columns"] == 2 for part in split)
    for part in split:
        load(part.device).with_parameters(**part.parameters)


def test_the_bare_device_has_no_noise_but_keeps_its_law() -> None:
    (given,) = DenseExperiment(device=(HFO2,)).device_arms()
    bare = load(HFO2).with_parameters(**parts_of(given)[BARE].parameters)
    assert bare == load(HFO2).without_noise()


def test_read_noise_is_the_cards_or_a_share_but_one_cause() -> None:
    def on(**read: Any) -> dict[str, Any]:
        return causes_on(DenseExperiment(device=(PCM,), read=read).device_arms()[0]).get("read noise", {})

    assert on()
    assert set(on()) <= {"parameters.read_noise_relative", "parameters.read_noise_floor_uS"}
    assert on(read_noise=0.02) == {"read.read_noise": None}
    assert on(read_noise=None) == {}


def test_every_noise_of_a_built_in_law_belongs_to_a_cause() -> None:
    listed = {*WAITING, *(path for settings in CAUSES.values() for path in settings)}
    for name in cards():
        for parameter, field in type(load(name)).model_fields.items():
            extra = field.json_schema_extra
            noisy = isinstance(extra, dict) and extra["noise"]
            assert not noisy or f"parameters.{parameter}" in listed, parameter


def test_every_setting_of_the_table_exists() -> None:
    models = {
        "read": ReadPath,
        "write": WritePath,
        "write.refresh": Refresh,
        "write.programming": Programming,
    }
    models |= {"wires": Wires, "faults": Faults}
    known = {f"{place}.{name}" for place, model in models.items() for name in model.model_fields}
    known |= {f"parameters.{name}" for card in cards() for name in type(load(card)).model_fields}
    assert {path for settings in (WAITING, *CAUSES.values()) for path in settings} <= known


def test_noise_of_an_own_law_is_a_cause_of_its_own_name(tmp_path: Path) -> None:
    card = write_own_law(tmp_path)
    law = card.with_name("knee.py")
    line = '    knee: float = quantity("1", ge=0, lt=1)\n'
    own = '    wobble_rate: float | None = quantity("1", None, noise=True)\n'
    assert line in law.read_text(encoding="utf-8")
    law.write_text(law.read_text(encoding="utf-8").replace(line, line + own), encoding="utf-8")
    arm = {"name": "mine", "device": str(card), "parameters": {"wobble_rate": 0.1}}
    (given,) = DenseExperiment(arm=(arm,)).device_arms()
    assert causes_on(given)["wobble rate"] == {"parameters.wobble_rate": None}


def test_an_ablation_needs_devices_and_names_that_differ() -> None:
    with pytest.raises(ConfigError, match="--ablate needs at least one --device"):
        ablation(DenseExperiment())
    parts = ablation(DenseExperiment(device=("ideal",))).device_arms()
    assert all(part.name.startswith("ideal device") for part in parts), "ideal arithmetic keeps its name"


def made_up(seeds: int = 3) -> tuple[dict[str, Any], DenseExperiment]:
    experiment = DenseExperiment(arm=({"name": "cell", "device": IDEAL},))
    arms = names(ablation(experiment))
    found = results(arms, seeds)
    found["ablation"] = [budget(arm, found["runs"]) for arm in experiment.device_arms()]
    return found, experiment


def test_the_budget_adds_up() -> None:
    found, _ = made_up()
    score = {(run["arm"], run["seed"]): run for run in found["runs"]}
    causes = {cause["cause"]: cause for cause in found["ablation"][0]["causes"]}
    assert list(causes) == [BARE, "DAC", "ADC", "weight decay", "interaction", "all"]
    for name in ("accuracy", "vote"):

        def of(arm: str, name: str = name) -> np.ndarray:
            return np.array([score[arm, seed][name] for seed in range(3)])

        bare = of("cell · bare")
        np.testing.assert_allclose(causes[BARE][f"{name}_lost"], of("ideal") - bare)
        np.testing.assert_allclose(causes["ADC"][f"{name}_lost"], bare - of("cell · ADC"))
        np.testing.assert_allclose(causes["all"][f"{name}_lost"], of("ideal") - of("cell"))
        parts = [causes[cause][f"{name}_lost"] for cause in causes if cause != "all"]
        np.testing.assert_allclose(np.sum(parts, axis=0), causes["all"][f"{name}_lost"])
        for cause in causes.values():
            assert cause[f"{name}_lost_mean"] == pytest.approx(np.mean(cause[f"{name}_lost"]))
            low, high = cause[f"{name}_lost_student95"]
            assert low <= cause[f"{name}_lost_mean"] <= high
    assert causes["ADC"]["settings"] == {"read.adc_bits": 8}


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_figure_names_every_cause_and_its_unit(seeds: int) -> None:
    found, _ = made_up(seeds)
    figure, same = budget_bars(Results.of(found)), budget_bars(Results.of(found))
    assert figure is not None
    assert same is not None
    assert figure.axes[0].get_yticklabels()[0].get_text() == "bare device"
    assert all(re.search(r"\(.+\)", axes.get_xlabel()) for axes in figure.axes)
    assert style.to_svg(figure) == style.to_svg(same)
    assert budget_bars(Results.of(results(["PCM"]))) is None


def test_arms_of_a_budget_stay_out_of_the_other_tables() -> None:
    found, _ = made_up()
    assert [arm.arm for arm in Results.of(found).as_given.summary] == ["ideal", "cell"]


def test_a_killed_ablation_goes_on_and_settings_are_checked_first(tmp_path: Path) -> None:
    small = {"neurons": 10, "train_images": 60, "test_images": 20, "curve_points": 0, "readout_epochs": 1}
    experiment = DenseExperiment(arm=({"name": "perfect", "device": IDEAL},), **small)
    ablation(experiment).check()
    first = ablate(experiment, tmp_path)
    kept = sorted((tmp_path / "runs").iterdir())
    assert len(kept) == 6
    kept[0].unlink()
    again = ablate(experiment, tmp_path)
    assert again["ablation"] == first["ablation"]


def test_the_command_writes_figure_and_json(tmp_path: Path) -> None:
    found = neurosim(
        "compare", "--device", PCM, "--ablate", "--out", "out", "--json", "copy.json", *QUICK, cwd=tmp_path
    )
    assert found.returncode == 0, found.stderr
    assert "Points of accuracy lost" in found.stdout
    assert "pulse-to-pulse noise" in found.stdout
    kept = json.loads((tmp_path / "out" / "results.json").read_text())
    assert kept == json.loads((tmp_path / "copy.json").read_text())
    (one,) = kept["ablation"]
    assert one["arm"] == PCM
    assert {run["arm"] for run in kept["runs"]} == {"ideal", *(c["arm"] for c in one["causes"] if c["arm"])}
    page = check_page(tmp_path / "out" / "report.html")
    assert "<h2>Noise budget</h2>" in page
    assert f"{PCM} · read noise" not in page.split("Configuration and versions")[0]
    assert len(cells(page, "budget")) == len(one["causes"]) + 1


def test_ablate_with_nothing_to_ablate_is_refused(tmp_path: Path) -> None:
    refused(neurosim("compare", "--ablate", cwd=tmp_path), "--ablate", "--device")
    both = neurosim("compare", "--device", PCM, "--ablate", "--vary", "read_noise=0,1", cwd=tmp_path)
    refused(both, "--ablate", "--vary")
