"""The report: its sentences and tables, and one HTML file that needs nothing else."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from report_helpers import (
    IMAGES,
    NOTE,
    ODD,
    cells,
    check_page,
    data,
    folder_with,
    older,
    printed,
    results,
)
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.core.errors import DataError, NeurosimError
from neurosim.report import text, words
from neurosim.report.earlier import from_earlier
from neurosim.report.html import write_report
from neurosim.report.kept_pages import DRAWN_BY, write_kept_page
from neurosim.report.results import Results, read_results
from neurosim.report.sweep import scores_table, sweep_table
from neurosim.report.table import mcnemar_table, summary_table
from neurosim.report.verdict import answer_of, p_value
from neurosim.study.statistics import mcnemar
from neurosim.study.store import unpack_bits


def test_report_agrees_with_its_numbers(tmp_path: Path) -> None:
    found = results(["PCM mixed", ODD])
    html = check_page(write_report(folder_with(tmp_path / "out", found, drawn=False)))
    rows = cells(html, "summary")
    for arm in found["summary"]:
        row = rows[arm["arm"]]
        assert row[0] == text.spread(arm["accuracy_mean"], arm["accuracy_interval"])
        assert row[2] == f"{100 * arm['untrained_accuracy_mean']:.1f}"
        assert row[3] == text.spread(arm["vote_mean"], arm["vote_interval"])
        if arm["arm"] == "ideal":
            assert set(row[5:]) == {"–"}
            continue
        assert row[1] == text.spread(arm["gap_to_ideal_mean"], arm["gap_interval"])
        assert row[5] == f"{100 * arm['accuracy_learning_kept']:.0f} / {100 * arm['vote_learning_kept']:.0f}"
        cost = arm["energy"]
        assert row[6] == text.si(cost["update_J_per_synapse"], "J")
        assert row[7] == text.si(
            cost["update_J_per_synapse_with_periphery"] - cost["update_J_per_synapse"], "J"
        )
        assert row[8] == f"{cost['pulses'] / (3600 * cost['updates']):.3f}"
    assert rows["raw pixels"][0].startswith("90.1 (88.0")
    assert "a &lt;b&gt;&amp;&#34;$x$&#34; arm" in html
    assert "<b>&amp;" not in html
    for said in (f"validation split of {NOTE}", "lower bound", "softhebb", "numpy 2.3.5", "by calibration"):
        assert said in html


def test_headline_says_what_the_numbers_say() -> None:
    found = Results.of(results(["PCM mixed"]))
    pcm, ideal = found.device_arms[0], found.ideal
    assert ideal is not None
    ((name, sentence),) = words.findings(found)
    assert name == "PCM mixed"
    assert sentence.startswith(
        f"As good as ideal arithmetic: {pcm.verdict.answer}. {100 * pcm.accuracy_mean:.1f} % ("
    )  # type: ignore[union-attr]
    low, high = pcm.gap_interval or (0, 0)
    gap = f"a gap of {100 * pcm.gap_to_ideal_mean:.1f} points ({text.percent(low)} to {text.percent(high)})"
    assert f"{gap} to ideal arithmetic, {p_value(pcm.gap_p or 0)}" in sentence
    low, high = pcm.accuracy_learning_kept_interval or (0, 0)
    kept = (
        f"{text.percent(pcm.accuracy_learning_kept, 0)} % ({text.percent(low, 0)} to {text.percent(high, 0)})"
    )
    assert f"{kept} of the learning kept" in sentence
    assert f"By vote it keeps {100 * (pcm.vote_learning_kept or 0):.0f} % of the learning" in sentence
    assert pcm.energy is not None
    device, whole = pcm.energy.update_J_per_synapse, pcm.energy.update_J_per_synapse_with_periphery
    assert f"at least {text.si(whole, 'J')} per synapse with the array's own periphery" in sentence
    assert f"{text.si(device, 'J')} of it in the devices" in sentence
    assert f"validation split of {NOTE}" in words.lead(found)


CASES = {
    "ideal only": (results([], 2), True),
    "twelve arms in colour": (results([f"arm {k} <i>" for k in range(12)], 1, (32, 32, 3)), True),
    "no pictures": (results(["PCM"]), False),
}


@pytest.mark.parametrize("case", CASES)
def test_report_of(case: str, tmp_path: Path) -> None:
    found, drawn = CASES[case]
    path = write_report(folder_with(tmp_path, found, drawn))
    assert path == tmp_path / "report.html"
    html = check_page(path)
    for entry in found["summary"]:
        assert entry["arm"] in unescape(html)
    assert f"validation split of {NOTE}" in html
    assert ("is missing or damaged" in html) == (not drawn)
    assert not list(tmp_path.glob(".*part"))


def test_one_seed_and_damaged_pictures(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, results(["PCM"], 1), drawn=False)
    (folder / "pictures-PCM.npz").write_bytes(b"PK\x03\x04 not an archive")
    html = check_page(write_report(folder))
    assert re.fullmatch(r"[−\d.]+ ± [\d.]+", cells(html, "summary")["PCM"][1])
    assert "for this very chip; nothing is known about other chips" in html
    assert "One seed" in html
    assert "95 % intervals for new images, from 1 chip" in html
    assert "PCM: the file is missing or damaged" in html


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"runs": NaN}', '{"runs": [], "summary": 3}'])
def test_missing_or_damaged_results(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(DataError) as caught:
        write_report(tmp_path)
    assert isinstance(caught.value, NeurosimError)
    message = str(caught.value)
    assert "neurosim compare EXPERIMENT.toml --out" in message
    assert "results.json" in message
    assert "\n" not in message
    assert not (tmp_path / "report.html").exists()


def test_tables_of_the_terminal(tmp_path: Path) -> None:
    found = results(["PCM mixed", "[red]odd[/red]"])
    shown = printed(summary_table(found))
    for arm in found["summary"]:
        assert arm["arm"] in shown
        assert text.spread(arm["accuracy_mean"], arm["accuracy_interval"]) in shown
    assert text.si(found["summary"][1]["energy"]["update_J_per_synapse"], "J") in shown
    assert "raw pixels" in shown
    assert NOTE in shown


def test_results_read_back(tmp_path: Path) -> None:
    found = results(["PCM"], 1)
    loaded = read_results(folder_with(tmp_path, found, drawn=False))
    assert loaded is not None
    assert loaded.device_arms[0].accuracy_mean == found["summary"][1]["accuracy_mean"]
    assert loaded.device_arms[0].gap_interval == tuple(found["summary"][1]["gap_interval"])


def counts(found: dict[str, Any], arm: str, score: str) -> list[dict[str, Any]]:
    """McNemar's tests of an arm, from the bits of its runs."""
    bits = {(run["arm"], run["seed"]): unpack_bits(run["correct"][score], IMAGES) for run in found["runs"]}
    return [mcnemar(bits["ideal", seed], bits[arm, seed]) for name, seed in bits if name == arm]


def test_mcnemar_in_page_and_terminal(tmp_path: Path) -> None:
    found = results(["PCM", "RRAM", ODD], 3)
    rows = cells(check_page(write_report(folder_with(tmp_path, found, drawn=False))), "mcnemar")
    shown = printed(mcnemar_table(found))
    assert list(rows) == ["PCM", "RRAM", ODD]
    for arm, row in rows.items():
        for cell, score in zip(row, ("accuracy", "vote"), strict=True):
            tests = counts(found, arm, score)
            ideal_only, device_only = (sum(t[key] for t in tests) for key in ("ideal_only", "device_only"))
            sure = sum(t["p_value"] < 0.05 for t in tests)
            assert cell == f"{ideal_only} : {device_only}, p < 0.05 in {sure} of 3 seeds"
            assert cell in shown


def test_mcnemar_of_one_seed_has_its_p_value() -> None:
    found = results(["PCM"], 1)
    test = {"seed": 0, "ideal_only": 112, "device_only": 31, "p_value": 6e-12}
    found["summary"][1]["mcnemar"] = {"accuracy": [test], "vote": [{**test, "p_value": 0.0341}]}
    arm = Results.of(found).device_arms[0]
    assert words.mcnemar(arm, "accuracy") == "112 : 31, p < 0.001"
    assert words.mcnemar(arm, "vote") == "112 : 31, p = 0.034"


def test_there_is_one_kind_of_interval_and_it_is_named(tmp_path: Path) -> None:
    found = results(["PCM"], 3)
    page = unescape(check_page(write_report(folder_with(tmp_path, found, drawn=False))))
    named = "95 % intervals for new chips and new images, from 3 chips"
    assert named in page
    assert named in printed(summary_table(found))
    assert not re.search("[Bb]ootstrap|Student", page)


def test_verdict_stands_first_and_says_what_would_decide(tmp_path: Path) -> None:
    found = results(["PCM"], 3)
    said = {
        "answer": "undecided",
        "seen": "x.",
        "decides": "About 4 more chips would decide.",
        "more_chips": 4,
    }
    found["summary"][1] |= {"verdict": said}
    finding = words.findings(Results.of(found))[0][1]
    assert finding.startswith("As good as ideal arithmetic: undecided.")
    assert "About 4 more chips would decide." in finding
    page = check_page(write_report(folder_with(tmp_path, found, drawn=False)))
    assert page.index("As good as ideal arithmetic") < page.index("In ideal arithmetic the layer reaches")
    found["summary"][1] |= {"verdict": None}
    assert "As good as ideal" not in words.findings(Results.of(found))[0][1]


def test_verdicts_of_an_earlier_version_which_knew_no_less_follow_from_their_intervals(
    tmp_path: Path,
) -> None:
    found = results(["PCM"], 3)
    cannot = "More chips cannot decide while the share lies between the bounds."
    entry = found["summary"][1] | {
        "verdict": {"answer": "undecided", "seen": "x.", "decides": cannot, "more_chips": None},
        "accuracy_learning_kept": 0.7, "accuracy_learning_kept_interval": (0.6, 0.8), "gap_interval": (0.02, 0.04),
    }  # fmt: skip
    found["summary"][1] = entry
    finding = words.findings(Results.of(found))[0][1]
    assert finding.startswith("As good as ideal arithmetic: no, but it learns.")
    assert "cannot decide" not in finding
    assert answer_of({**entry, "accuracy_learning_kept_interval": (-0.1, 0.8)}) == "undecided"
    assert answer_of({**entry, "accuracy_learning_kept_interval": (0.6, 0.95)}) == "less"  # by the gap
    assert (
        answer_of({**entry, "accuracy_learning_kept_interval": (0.6, 0.95), "gap_interval": (0.0, 0.04)})
        == "undecided"
    )
    one = {**entry["verdict"], "decides": "One chip tells nothing of others: take three or more."}
    assert answer_of({**entry, "verdict": one}) == "undecided"


def test_older_results(tmp_path: Path) -> None:
    found = older(results(["PCM"], 3))
    page = check_page(write_report(folder_with(tmp_path, found, drawn=False)))
    assert "95 % Student intervals over 3 seeds" in page
    assert "bootstrap" not in page
    assert 'id="mcnemar"' not in page
    assert mcnemar_table(found) is None


def kept(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


RESULTS = {file.stem: kept(file) for file in sorted((ROOT / "results").glob("*.json"))}
SWEPT = [name for name, found in RESULTS.items() if from_earlier(found)]
"""Studies of earlier versions that are sweeps today."""
PUBLISHED = [
    name
    for name, found in RESULTS.items()
    if "runs" in found
    and name not in SWEPT
    and found.get("kind", "dense") == "dense"
    and not {"heads", "negatives"} & set(found.get("config", {}))
]
"""Studies of one layer; those of several have tables of their own."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if k % 4 == 0 else pytest.mark.slow) for k, name in enumerate(PUBLISHED)],
)
def test_published_results_still_make_a_report(name: str, tmp_path: Path) -> None:
    values = RESULTS[name]
    (tmp_path / "results.json").write_text(json.dumps(values))
    page = check_page(write_report(tmp_path))
    assert values["data"]["note"] in unescape(page)


@pytest.mark.parametrize("name", SWEPT)
def test_folders_of_earlier_versions_make_the_report_of_a_sweep(name: str, tmp_path: Path) -> None:
    values = RESULTS[name]
    file = {"parameter": "vary.json", "ablation": "results.json", "trained_lines": "wires.json"}
    (tmp_path / next(file[key] for key in file if key in values)).write_text(json.dumps(values))
    said = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert said.exit_code == 0, said.output
    page = unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert values["data"]["note"] in page
    for arm in values.get("arms", values.get("ablation", ())):
        assert arm["arm"] in page
        if arm.get("tolerated_level") is not None:
            assert f"{arm['tolerated_level']:g} (of the means; no interval)." in page


def test_levels_of_an_earlier_version_keep_their_numbers() -> None:
    values = RESULTS["noise-tolerance"]
    found = from_earlier(values)
    assert found is not None
    assert sweep_table(found).row_count == 1 + len(values["levels"]) * (len(values["arms"]) - 1)
    own = {(p["arm"], p["read_noise"]): p["accuracy_mean"] for p in found["points"]}
    for arm in values["arms"]:
        for point in arm["points"]:
            assert own[arm["arm"], point["level"]] == point["accuracy_mean"]
    assert from_earlier(results(["PCM"])) is None


def test_a_sweep_shows_what_else_was_asked_at_each_point() -> None:
    found = json.loads((ROOT / "results/softhebb-settings.json").read_text())
    table = scores_table(found)
    assert table is not None
    assert [str(column.header) for column in table.columns][-3:] == ["arm", "depth 1", "norm 1, layer 1"]
    assert table.row_count == sum("accuracy_mean" in point for point in found["points"])
    sharp = next(
        p for p in found["points"] if p["arm"] == "ideal" and p.get("settings.inverse_temperature") == 100
    )
    depth, norm = ([*map(str, column.cells)] for column in table.columns[-2:])
    assert any(cell.startswith(f"{100 * sharp['depth 1_mean']:.1f} (") for cell in depth)
    assert f"{100 * sharp['norm 1, layer 1_mean']:.1f}" in norm, (
        "a share of neurons has no interval of images"
    )
    for point in found["points"]:
        for name in [name for name in point if name.startswith(("depth", "norm"))]:
            del point[name]
    assert scores_table(found) is None


def test_levels_of_ideal_arithmetic_are_shown_unless_all_that_is_shown_of_them_is_alike() -> None:
    points = [
        {
            "arm": "ideal",
            "rule.lr": lr,
            "seeds": 1,
            "accuracy_mean": 0.9,
            "vote_mean": vote,
            "seconds_mean": lr,
        }
        for lr, vote in ((1.0, 0.5), (2.0, 0.6))
    ]
    axis = {"field": "rule.lr", "unit": "", "levels": [1.0, 2.0], "when": "both"}
    found = {"points": points, "axes": [axis], "measure": "accuracy", "data": data()}
    for vote, rows in ((0.6, 2), (0.5, 1)):
        points[1]["vote_mean"] = vote
        tables = sweep_table(found), scores_table(found)
        assert [table.row_count for table in tables if table] == [rows, rows]


def test_a_kept_comparison_on_a_card_without_a_pulse_is_drawn(tmp_path: Path) -> None:
    found = results(["PCM"])
    for entry in (*found["runs"], *found["summary"]):
        for name in entry.get("energy", {}):
            if "_J" in name:
                entry["energy"][name] = None
        entry.get("energy", {})["update_pulses_per_synapse"] = 0.25
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(found))
    assert write_kept_page(file) == tmp_path / "mine.md"
    lines = (tmp_path / "mine.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith("| PCM"))
    assert row.endswith("| no price | no price | 0.25 |"), row


DRAWN = {
    "_swept": "mnist-noise-tolerance", "_varied": "noise-tolerance", "_rewired": "mnist-wires-pcm",
    "_budget": "noise-budget", "weights": "mnist-mlp", "deep": "mnist-deep", "mortal": "mortal-chips",
    "spikes": "spikes-mnist-300", "forward-forward": "ff-one-shot", "races": "speed-learning",
    "_compared": "digits-demo", "validation": "backends-2000", "coverage": "fit-coverage",
}  # fmt: skip
"""A kept file of each form that has a drawn page."""


def test_every_form_of_kept_results_is_drawn_in_a_test() -> None:
    def form(found: dict[str, Any]) -> str:
        return next(name for name in DRAWN_BY if name in found.keys() | found.get("config", {}).keys())

    assert {form(RESULTS[name]) for name in DRAWN.values()} == DRAWN_BY.keys()


@pytest.mark.parametrize("name", DRAWN.values(), ids=DRAWN)
def test_a_kept_page_is_drawn_from_its_results(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.json"
    shutil.copyfile(ROOT / "results" / file.name, file)
    said = CliRunner().invoke(app, ["report", str(file)])
    assert said.exit_code == 0, said.output
    page = file.with_suffix(".md").read_text(encoding="utf-8")
    assert page == (ROOT / "results" / f"{name}.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"!\[[^]]*\]\(([^)]+)\)", page))
    assert shown <= {figure.name for figure in tmp_path.glob("*.svg")}


def test_every_kept_page_says_by_which_code_libraries_and_seeds_it_was_made() -> None:
    said = text.made_with({"versions": {"neurosim": "1", "commit": "abc", "source": "s", "numpy": "2"},
                           "runs": [{"seed": seed} for seed in (3, 1, 2, 3)]})  # fmt: skip
    assert said == "Made with neurosim 1 at commit `abc`; numpy 2; seeds 1 to 3.\n"
    assert text.made_with({"runs": []}) == ""
    pages = 0
    for file in (ROOT / "results").glob("*.json"):
        kept, page = json.loads(file.read_text()), file.with_suffix(".md")
        if page.exists() and isinstance(kept, dict) and kept.get("versions"):
            pages += 1
            assert page.read_text(encoding="utf-8").endswith(text.made_with(kept)), page.name
    assert pages > 50


def test_files_without_a_page_are_named_and_those_after_them_drawn(tmp_path: Path) -> None:
    other, damaged = tmp_path / "other.json", tmp_path / "damaged.json"
    other.write_text("[1, 2]")
    shutil.copyfile(ROOT / "results/mnist-deep.json", tmp_path / "deep.json")
    said = CliRunner().invoke(app, ["report", str(other), str(tmp_path / "deep.json")])
    assert said.exit_code == 0, said.output
    assert not other.with_suffix(".md").exists()
    assert (tmp_path / "deep.md").exists()
    for wrong in ('{"modules": []}', '{"summary": []}', '{"summary": '):
        damaged.write_text(wrong)
        with pytest.raises(DataError, match=r"damaged\.json: damaged results"):
            write_kept_page(damaged)
