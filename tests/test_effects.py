"""Effects as levels of an axis: which there are, what differs between arms, and what the points of a noise budget are of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import HFO2, IDEAL, PCM, every_card
from own_law_helpers import write_own_law
from report_helpers import printed
from test_cli import QUICK, neurosim, refused
from test_sweep import DENSE, KINDS

from neurosim import DenseExperiment, Experiment, Faults, Programming, ReadPath, Refresh, Wires, WritePath
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.devices import cards, load
from neurosim.report import style
from neurosim.report.budget import budget_bars, budget_table, verdicts
from neurosim.study.budgets import budgets
from neurosim.study.compare import compare
from neurosim.study.effects import CAUSES, EVERYTHING, NOTHING, WAYS, causes_on, with_effects
from neurosim.study.statistics import Chips, ranking
from neurosim.study.sweep import Plan
from neurosim.study.swept import planned, sweep

PERFECT = {"read": {"dac_bits": None, "adc_bits": None}, "write": {"decay_mode": "exact"}}


def levels(experiment: Experiment, axis: str = "only=each") -> tuple[Any, ...]:
    """The levels that an axis of effects has."""
    (found,) = planned(experiment, [axis]).axes
    return found.all_levels


def parts(experiment: Experiment, way: str = "only") -> dict[str, Any]:
    """The only device arm at each level."""
    found = {}
    for level in levels(experiment, f"{way}=each"):
        (found[level],) = with_effects(experiment, way, level).device_arms()
    return found


def test_levels_are_nothing_then_what_is_on_then_everything() -> None:
    arm = {"name": "cell", "device": HFO2, "parameters": {"write_noise": None, "corrupt_share": 0.0}}
    found = levels(DenseExperiment(arm=(arm,), read={"shot_noise": True, "adc_bits": None}))
    alone = (
        "pulse-to-pulse noise", "programming error", "device spread of steps", "device spread of window",
        "DAC", "shot noise", "weight decay",
    )  # fmt: skip
    assert found == (NOTHING, *alone, EVERYTHING)


def test_levels_are_those_of_all_arms_and_of_all_other_levels() -> None:
    experiment = DenseExperiment(device=(PCM, HFO2), read={"read_noise": None})
    assert {"programming error", "stuck cells"} <= set(levels(experiment))
    assert "read noise" not in levels(experiment)
    crossed = planned(experiment, ["without=each", "read_noise=0,0.1"])
    assert "read noise" in crossed.axes[0].all_levels


def test_drift_is_an_effect_where_an_age_is_crossed_with_effects() -> None:
    experiment = DenseExperiment(device=(PCM,))
    assert "drift" not in levels(experiment)
    crossed = planned(experiment, ["only=each", "age_s=0,1e6"])
    assert "drift" in crossed.axes[0].all_levels
    exponents = {
        point.levels["only"]: point.learning.device_arms()[0].law().drift_exponent
        for point in crossed.points
        if point.age_s
    }
    given = load(PCM).drift_exponent
    assert given
    assert (exponents["nothing"], exponents["drift"], exponents["everything"]) == (None, given, given)
    assert exponents["read noise"] is None
    alone = planned(experiment, ["only=each", "age_s=0,1e6"], one_at_a_time=True)
    assert "drift" not in alone.axes[0].all_levels
    still = experiment.changed(read={"drift": False})
    assert "drift" not in planned(still, ["only=each", "age_s=0,1e6"]).axes[0].all_levels


@pytest.mark.parametrize("written", ["read_noise", "Read noise", "read noise"])
def test_an_effect_may_be_written_with_underscores(written: str) -> None:
    assert levels(DENSE, f"without=nothing,{written}") == (NOTHING, "read noise")


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown effect 'read niose'.* did you mean 'read noise'"):
        planned(DENSE, ["without=read niose"])
    with pytest.raises(UnknownNameError, match="'wires', or it is off in every arm"):
        planned(DENSE, ["without=wires"])
    with pytest.raises(ConfigError, match="no arm has an effect to take away"):
        planned(DENSE.changed(device=()), ["only=each"])


@pytest.mark.parametrize("device", every_card())
def test_arms_differ_in_their_own_settings_alone(device: str) -> None:
    wires, faults = {"r_word_ohm": 1.0}, {"dead_columns": 0.01, "spare_columns": 2, "placement": "aware"}
    arm = {"name": "cell", "device": device, "wires": wires, "faults": faults}
    experiment = DenseExperiment(arm=(arm,), tiles={"word_lines": 64})
    (given,) = experiment.device_arms()
    causes = causes_on(given)
    assert {"DAC", "ADC", "wires", "dead columns", "weight decay"} <= set(causes)
    alone, others = parts(experiment, "only"), parts(experiment, "without")
    assert causes_on(alone[NOTHING]) == causes_on(others[EVERYTHING]) == {}
    assert alone[EVERYTHING].deciding() == others[NOTHING].deciding() == given.deciding()
    for cause in causes:
        assert causes_on(alone[cause]) == {cause: causes[cause]}
        assert causes_on(others[cause]) == {name: off for name, off in causes.items() if name != cause}
    for part in (*alone.values(), *others.values()):
        assert json.dumps(part.tiles) == json.dumps(given.tiles)
        assert (part.faults or {})["spare_columns"] == 2
        load(part.device).with_parameters(**part.parameters)


@pytest.mark.parametrize("device", every_card())
def test_drift_is_an_effect_where_the_clock_runs_or_a_read_waits(device: str) -> None:
    drifts = load(device).drifts
    for settings in ({"seconds_per_update": 1.0}, {"read": {"reading_delay_s": 3600.0}}):
        experiment = DenseExperiment(device=(device,), **settings)
        (given,) = experiment.device_arms()
        found = causes_on(given).get("drift", {})
        assert bool(found) <= drifts
        (bare,) = with_effects(experiment, "only", NOTHING).device_arms()
        assert causes_on(bare) == {}
        assert not found or bare.law().model_dump() != load(device).without_noise().model_dump()
    (still,) = DenseExperiment(device=(device,)).device_arms()
    (stopped,) = DenseExperiment(
        device=(device,), seconds_per_update=1.0, read={"drift": False}
    ).device_arms()
    assert "drift" not in {**causes_on(still), **causes_on(stopped)}


def test_the_bare_device_has_no_noise_but_keeps_its_law() -> None:
    bare = parts(DenseExperiment(device=(HFO2,)))[NOTHING]
    assert load(HFO2).with_parameters(**bare.parameters) == load(HFO2).without_noise()


def test_read_noise_is_the_cards_or_a_share_but_one_cause() -> None:
    def on(**read: Any) -> dict[str, Any]:
        return causes_on(DenseExperiment(device=(PCM,), read=read).device_arms()[0]).get("read noise", {})

    assert on()
    assert set(on()) <= {"parameters.read_noise_relative", "parameters.read_noise_floor_uS"}
    assert on(read_noise=0.02) == {"read.read_noise": None}
    assert on(read_noise=None) == {}


def test_every_noise_of_a_built_in_law_belongs_to_a_cause() -> None:
    listed = {path for settings in CAUSES.values() for path in settings}
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
    assert {path for settings in CAUSES.values() for path in settings} <= known


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


class TestEveryKind:
    @pytest.mark.parametrize(
        ("kind", "way"),
        [
            pytest.param(kind, way, marks=() if kind == "dense" or way == WAYS[0] else pytest.mark.slow)
            for kind in KINDS
            for way in WAYS
        ],
    )
    def test_a_level_is_the_experiment_with_that_arm(self, kind: str, way: str, tmp_path: Path) -> None:
        """To the bit, seed by seed, with what is learnt outside of any sweep."""
        spec = KINDS[kind]
        found = sweep(spec, tmp_path, [f"{way}=nothing,read_noise,everything"])
        assert found["blocks"]["done"] == found["blocks"]["all"]
        (arm,) = spec.device_arms()
        for level in (NOTHING, "read noise", EVERYTHING):
            changed = with_effects(spec, way, level)
            (own,) = changed.device_arms()
            result = changed.run(own, 0, changed.data(), None, None)
            (row,) = (r for r in found["rows"] if r[way] == level and r["arm"] == arm.name)
            assert {name: row[name] for name in changed.scores(result)} == changed.scores(result)
        (budget,) = found["budgets"]
        assert budget["arm"] == arm.name
        assert budget["ideal"] == (kind != "mortal")
        assert "read noise" in [cause["cause"] for cause in budget["causes"]]
        assert "Not enough chips" in budget["verdict"]

    def test_ideal_arithmetic_is_learnt_once_and_arms_without_an_effect_as_well(self, tmp_path: Path) -> None:
        spec = DENSE.changed(
            device=(), arm=({"name": "perfect", "device": IDEAL, **PERFECT}, {"device": PCM})
        )
        found = sweep(spec, tmp_path, ["only=nothing,read noise,everything"])
        assert found["blocks"]["all"] == 1 + 1 + 3
        assert [budget["arm"] for budget in found["budgets"]] == ["perfect", PCM]
        perfect = found["budgets"][0]["causes"]
        assert [cause["cause"] for cause in perfect] == ["bare", "all"]
        assert perfect[0]["accuracy_lost"] == perfect[1]["accuracy_lost"]


def made_up(way: str, seeds: int = 3, ideal: bool = True) -> tuple[list[dict[str, Any]], Plan]:
    """Rows with answers at random of a sweep over the effects of one arm, and its plan."""
    experiment = DenseExperiment(arm=({"name": "cell", "device": IDEAL},), seeds=seeds)
    plan = planned(experiment, [f"{way}=each"])
    draws = np.random.default_rng(1)
    arms = ("ideal", "cell") if ideal else ("cell",)
    rows = []
    for level in plan.axes[0].all_levels:
        for arm in arms:
            for seed in range(seeds):
                table = draws.random(200) < 0.8 if arm == "cell" else np.arange(200) < 190
                rows.append(
                    {way: level, "arm": arm, "seed": seed, "accuracy": float(table.mean()), "vote": float(table[:100].mean()),
                     "test_size": 200, "correct": packed(table)}
                )  # fmt: skip
    return rows, plan


def packed(table: Any) -> str:
    from neurosim.study.store import pack_bits

    return pack_bits(table)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ideal", [True, False])
def test_the_budget_adds_up(way: str, ideal: bool) -> None:
    rows, plan = made_up(way, ideal=ideal)
    (budget,) = budgets(rows, plan, ("accuracy", "vote"))
    score = {(row["arm"], row[way], row["seed"]): row for row in rows}
    causes = {cause["cause"]: cause for cause in budget["causes"]}
    bare_first = ["bare"] if ideal else []
    assert list(causes) == [*bare_first, "DAC", "ADC", "weight decay", "interaction", "all"]
    without_any, given = (NOTHING, EVERYTHING) if way == "only" else (EVERYTHING, NOTHING)
    for name in ("accuracy", "vote"):

        def of(level: str, arm: str = "cell", name: str = name) -> np.ndarray:
            return np.array([score[arm, level, seed][name] for seed in range(3)])

        best = of(NOTHING, "ideal") if ideal else of(without_any)
        if ideal:
            np.testing.assert_allclose(causes["bare"][f"{name}_lost"], best - of(without_any))
        cost = of(NOTHING) - of("ADC") if way == "only" else of("ADC") - of(NOTHING)
        np.testing.assert_allclose(causes["ADC"][f"{name}_lost"], cost)
        np.testing.assert_allclose(causes["all"][f"{name}_lost"], best - of(given))
        parts = [causes[cause][f"{name}_lost"] for cause in causes if cause != "all"]
        np.testing.assert_allclose(np.sum(parts, axis=0), causes["all"][f"{name}_lost"], atol=1e-12)
        for cause in causes.values():
            assert cause[f"{name}_lost_mean"] == pytest.approx(np.mean(cause[f"{name}_lost"]))
            low, high = cause[f"{name}_lost_interval"]
            assert low <= cause[f"{name}_lost_mean"] <= high
    assert causes["ADC"]["settings"] == {"read.adc_bits": 8}


@pytest.mark.parametrize("way", WAYS)
def test_the_ranking_is_that_of_chips_and_images(way: str) -> None:
    rows, plan = made_up(way)
    (budget,) = budgets(rows, plan, ("accuracy",))

    def chips(level: str) -> Chips:
        from neurosim.study.store import unpack_bits

        own = [row for row in rows if row[way] == level and row["arm"] == "cell"]
        return Chips.of_table([unpack_bits(row["correct"], 200) for row in own])

    alone = {name: chips(name) for name in ("DAC", "ADC", "weight decay")}
    ranked = ranking(chips(NOTHING), alone, taken_away=way == "without")
    assert budget["verdict"] == ranked.verdict
    costs = {cost.effect: cost for cost in ranked.costs}
    for cause in budget["causes"]:
        if cause["kind"] == "alone":
            cost = costs[cause["cause"]]
            assert cause["p"] == cost.adjusted_p
            assert cause["accuracy_lost_interval"] == pytest.approx((cost.lost.low, cost.lost.high))
    if way == "without":
        turned = ranking(chips(NOTHING), alone)
        assert {c.effect: c.lost.value for c in turned.costs} == {
            name: -cost.lost.value for name, cost in costs.items()
        }
        assert {c.effect: c.adjusted_p for c in turned.costs} == {n: c.adjusted_p for n, c in costs.items()}


def test_one_chip_ranks_nothing_and_has_no_interval() -> None:
    (budget,) = budgets(*made_up("only", seeds=1), ("accuracy",))
    assert budget["verdict"].startswith("Not enough chips to rank")
    assert {cause["accuracy_lost_interval"] for cause in budget["causes"]} == {None}


def test_seeds_that_failed_somewhere_are_left_out() -> None:
    rows, plan = made_up("only")
    lost = [row for row in rows if (row["only"], row["arm"], row["seed"]) == ("ADC", "cell", 1)]
    lost[0].pop("accuracy")
    lost[0]["error"] = "MemoryError: no"
    (budget,) = budgets(rows, plan, ("accuracy",))
    assert budget["chips"] == 2
    assert all(len(cause["accuracy_lost"]) == 2 for cause in budget["causes"])


def shown(rows: list[dict[str, Any]], plan: Plan) -> dict[str, Any]:
    return {
        "axes": [{"field": "only", "levels": [], "unit": "", "when": "both"}],
        "budgets": budgets(rows, plan, ("accuracy", "vote")),
        "data": {"note": "digits", "reported_on": "test set"},
    }


@pytest.mark.parametrize("seeds", [1, 3])
def test_figure_and_table_name_every_cause_and_its_unit(seeds: int) -> None:
    found = shown(*made_up("only", seeds))
    figure, same = budget_bars(found), budget_bars(found)
    assert figure is not None
    assert same is not None
    assert figure.axes[0].get_yticklabels()[0].get_text() == "bare device"
    assert all(re.search(r"\(.+\)", axes.get_xlabel()) for axes in figure.axes)
    assert style.to_svg(figure) == style.to_svg(same)
    text = printed(budget_table(found))
    for cause in ("bare device", "DAC", "ADC", "weight decay", "interaction", "all together", "adc_bits = 8"):
        assert cause in text
    assert verdicts(found)[0][1].split(". ")[-1] in " ".join(text.split())
    assert budget_bars({"budgets": []}) is None
    assert budget_table({"budgets": []}) is None


class TestTheCommand:
    @pytest.mark.slow
    def test_writes_figure_page_and_json(self, tmp_path: Path) -> None:
        found = neurosim(
            "compare",
            "--device",
            PCM,
            "--ablate",
            "--out",
            "out",
            "--json",
            "copy.json",
            *QUICK,
            cwd=tmp_path,
        )
        assert found.returncode == 0, found.stderr
        assert "Points of accuracy lost" in found.stdout
        assert "pulse-to-pulse noise" in found.stdout
        kept = json.loads((tmp_path / "out" / "sweep.json").read_text())
        assert kept == json.loads((tmp_path / "copy.json").read_text())
        (one,) = kept["budgets"]
        assert one["arm"] == PCM
        page = (tmp_path / "out" / "report.html").read_text()
        assert "<h2>Noise budget</h2>" in page
        assert "Not enough chips to rank" in page
        assert (tmp_path / "out" / "budget.svg").stat().st_size > 1000
        again = neurosim("report", "out", cwd=tmp_path)
        assert again.returncode == 0, again.stderr

    def test_with_nothing_to_ablate_is_refused(self, tmp_path: Path) -> None:
        refused(neurosim("compare", "--ablate", cwd=tmp_path), "--ablate", "--device")
        both = neurosim("compare", "--device", PCM, "--ablate", "--vary", "read_noise=0,1", cwd=tmp_path)
        refused(both, "--ablate", "--vary", "--axis only=each --axis read_noise=0,1")


def test_bare_and_given_are_those_of_a_comparison(tmp_path: Path) -> None:
    """The ends of a budget, against ideal arithmetic, are gaps that a comparison has too."""
    found = sweep(DENSE, tmp_path, ["only=nothing,everything"])
    (budget,) = found["budgets"]
    bare, whole = budget["causes"]
    for entry, spec in ((whole, DENSE), (bare, with_effects(DENSE, "only", NOTHING))):
        ideal, cell = compare(spec)["runs"]
        for score in ("accuracy", "vote"):
            assert entry[f"{score}_lost"] == [ideal[score] - cell[score]]
