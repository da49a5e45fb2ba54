"""The report: numbers in words, tables, figures, and one HTML file that needs nothing else."""

from __future__ import annotations

import io
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from neurosim.core.errors import DataError, NeurosimError
from neurosim.report import pictures, plots, style, text, words
from neurosim.report.html import write_report
from neurosim.report.results import Results, Vary, read_results
from neurosim.report.settings import settings_of
from neurosim.report.table import summary_table, vary_table
from neurosim.report.tolerance import tolerance_curves
from neurosim.study.compare import summarise
from neurosim.study.store import write_arrays

NOTE = "CIFAR-10 (JPEG q75)"
SHAPE = (6, 6, 1)
ODD = 'a <b>&"$x$" arm'
LIMIT_BYTES = 3_000_000


def energy(factor: float) -> dict[str, float]:
    """An energy entry whose parts add up, for 3600 synapses and 100 updates."""
    write, refresh, readback, periphery = 2e-9 * factor, 1e-9, 3e-9 * factor, 8e-7
    update = write + refresh + readback
    return {
        "update_J": update,
        "update_J_per_synapse": update / 360_000,
        "update_J_per_pulse": update / 9000,
        "update_J_per_synapse_with_periphery": (update + periphery) / 360_000,
        "write_J": write,
        "refresh_J": refresh,
        "readback_J": readback,
        "pulses": 9000,
        "updates": 100,
        "refreshed_pairs": 7,
        "rows_read_back": 12,
    }


def run(arm: str, place: int, seed: int) -> dict[str, Any]:
    """One entry of the results' `runs`; later arms are worse and the seeds differ."""
    draws = np.random.default_rng(100 * place + seed)
    accuracy = 0.93 - 0.013 * place + 0.01 * draws.random()
    vote = 0.85 - 0.04 * place + 0.03 * draws.random()
    curve = [[100 * k, 0.2 + (vote - 0.2) * (1 - np.exp(-k / 3))] for k in range(11)]
    found = {
        "arm": arm,
        "seed": seed,
        "accuracy": accuracy,
        "accuracy_triangle": accuracy + 0.02,
        "vote": vote,
        "neurons_used": 90,
        "test_size": 500,
        "untrained": {"accuracy": 0.71, "accuracy_triangle": 0.72, "vote": 0.21},
        "seconds": 1.5,
        "curve": curve,
        "norm_mean": 1.01,
        "norm_tracking_error": 0.02,
    }
    return found if arm == "ideal" else {**found, "energy": energy(1 + place), "adc_clipped_share": 1e-6}


def results(arms: list[str], seeds: int = 3, shape: tuple[int, int, int] = SHAPE) -> dict[str, Any]:
    """Results in the form that `compare` returns."""
    names = ["ideal", *arms]
    runs = [run(arm, place, seed) for seed in range(seeds) for place, arm in enumerate(names)]
    settings = {"dac_bits": 8, "adc_bits": None, "read_noise": "card", "adc_range_uS": None, "drift": True}
    return {
        "runs": runs,
        "summary": summarise(runs),
        "baselines": [{"name": "raw pixels", "accuracy": 0.9012, "accuracy_ci95": [0.88, 0.92]}],
        "data": data(shape),
        "config": {
            "rule": "softhebb",
            "neurons": 100,
            "batch": 8,
            "first_seed": 0,
            "write": {"w_max": 1.0, "refresh_every": None},
            "periphery": {"name": "zigzag-0.9V + horowitz-45nm, lower bound"},
            "arms": [
                {"name": arm, "device": f"card-{k}", "mode": "mixed", "read": settings, "write": {}}
                for k, arm in enumerate(arms)
            ],
        },
        "versions": {"neurosim": "0.1.0", "numpy": "2.3.5"},
    }


def data(shape: tuple[int, int, int] = SHAPE) -> dict[str, Any]:
    """The entry `data` of results."""
    return {
        "note": NOTE,
        "image_shape": shape,
        "train_images": 1000,
        "test_images": 500,
        "reported_on": "validation split",
    }


def vary(arms: list[str], levels: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.2)) -> dict[str, Any]:
    """A noise-tolerance study; the second arm tolerates nothing, the third everything."""
    ideal = {"arm": "ideal", "points": [point(0.0, 0.93)], "undisturbed_accuracy": 0.93}
    studied = []
    for place, arm in enumerate(arms):
        points = [point(level, 0.92 - 0.01 * place - (1 + place % 3) * level) for level in levels]
        tolerated = (levels[1], None, levels[-1])[place % 3]
        studied.append(
            {
                "arm": arm,
                "points": points,
                "undisturbed_accuracy": points[0]["accuracy_mean"],
                "tolerated_level": tolerated,
            }
        )
    shared = {key: value for key, value in results(arms).items() if key not in ("runs", "summary")}
    return {
        **shared,
        "parameter": "read_noise",
        "unit": "share of G_max",
        "levels": list(levels),
        "arms": [ideal, *studied],
    }


def point(level: float, accuracy: float) -> dict[str, Any]:
    """One point of a noise-tolerance study."""
    return {
        "level": level,
        "accuracy_mean": accuracy,
        "accuracy_ci95": [accuracy - 0.02, accuracy + 0.02],
        "vote_mean": accuracy - 0.1,
        "vote_ci95": [accuracy - 0.15, accuracy - 0.05],
    }


def held(arm: str, shape: tuple[int, int, int] = SHAPE, shown: int = 40) -> dict[str, np.ndarray]:
    """Pictures of an arm: noise before, a gradient with noise after."""
    draws = np.random.default_rng(len(arm))
    rows = int(np.prod(shape))
    before = draws.random((rows, shown), np.float32)
    found = {"before.weights": before, "after.weights": np.linspace(-1, 1, rows)[:, None] * before}
    if arm != "ideal":
        for moment, mean in (("before", 10), ("after", 20)):
            counts, edges = np.histogram(draws.normal(mean, 4, 5000), np.linspace(0, 40, 81))
            found |= {f"{moment}.histogram": counts, f"{moment}.edges_uS": edges}
    return found


def folder_with(
    folder: Path, found: dict[str, Any] | None, varied: dict[str, Any] | None = None, drawn: bool = True
) -> Path:
    """Write results into a folder as the studies do."""
    folder.mkdir(parents=True, exist_ok=True)
    if varied:
        (folder / "vary.json").write_text(json.dumps(varied))
    if found:
        (folder / "results.json").write_text(json.dumps(found))
    for arm in [entry["arm"] for entry in found["summary"]] if found and drawn else []:
        write_arrays(folder / f"pictures-{arm}.npz", held(arm, tuple(found["data"]["image_shape"])))
    return folder


class Links(HTMLParser):
    """Collects what a page would load, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the addresses of a tag and remember it as open."""
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag, which must be the last one opened."""
        assert self.open.pop() == tag


def check_page(path: Path) -> str:
    """Assert that a report stands alone and is small; return its text without the pictures."""
    html = path.read_text(encoding="utf-8")
    links = Links()
    links.feed(html)
    assert not links.open
    assert all(address.startswith("data:image/") for address in links.addresses)
    assert path.stat().st_size < LIMIT_BYTES
    without = re.sub(r'src="data:[^"]*"', "", html)
    assert not re.search(
        r"https?://|file:|url\(|@import|<script|<link|" + re.escape(str(path.parent)), without
    )
    return without


def cells(html: str, table: str) -> dict[str, list[str]]:
    """Rows of one table as text, by their first cell."""
    body = html.split(f'id="{table}"')[1].split("<tbody>")[1].split("</tbody>")[0]
    rows = [
        [
            unescape(re.sub(r"<small>.*?</small>|<[^>]+>", "", cell))
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
        ]
        for row in body.split("</tr>")
    ]
    return {row[0]: row[1:] for row in rows if row}


def printed(table: Any) -> str:
    """A rich table as plain text."""
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.2e-12, "1.20 pJ"),
        (0.0, "0 J"),
        (999.96e-15, "1.00 pJ"),
        (-3.456e-6, "−3.46 µJ"),
        (123.4, "123 J"),
        (8.36e-14, "83.6 fJ"),
        (1e-30, "0.00 yJ"),
    ],
)
def test_unit_prefix(value: float, said: str) -> None:
    assert text.si(value, "J") == said


def test_numbers_as_text() -> None:
    assert text.percent(-1e-17) == "0.0"
    assert text.spread(0.5, (0.45, 0.55)) == "50.0 ± 5.0"
    assert text.spread(0.98, (0.95, 0.99)) == "98.0 (95.0–99.0)"
    assert text.significant(0.00391) == "0.0039"
    assert text.significant(0.02, 3) == "0.02"
    assert len(text.one_line("long " * 30)) <= 34


def test_report_agrees_with_its_numbers(tmp_path: Path) -> None:
    found = results(["PCM mixed", ODD])
    html = check_page(write_report(folder_with(tmp_path / "out", found, drawn=False)))
    rows = cells(html, "summary")
    for arm in found["summary"]:
        row = rows[arm["arm"]]
        half = (arm["accuracy_ci95"][1] - arm["accuracy_ci95"][0]) / 2
        assert row[0] == f"{100 * arm['accuracy_mean']:.1f} ± {100 * half:.1f}"
        assert row[2] == f"{100 * arm['untrained_accuracy_mean']:.1f}"
        assert row[3].startswith(f"{100 * arm['vote_mean']:.1f} ± ")
        if arm["arm"] == "ideal":
            assert set(row[5:]) == {"–"}
            continue
        assert row[1].startswith(f"{100 * arm['gap_to_ideal_mean']:.1f} ± ")
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
    assert f"{100 * pcm.accuracy_mean:.1f} % against {100 * ideal.accuracy_mean:.1f} % ideal" in sentence
    assert f"gap {100 * pcm.gap_to_ideal_mean:.1f} points" in sentence
    assert f"{100 * (pcm.vote_learning_kept or 0):.0f} % of the learning by vote" in sentence
    assert f"{text.si(pcm.energy.update_J_per_synapse, 'J')} per synapse" in sentence  # type: ignore[union-attr]
    assert f"validation split of {NOTE}" in words.lead(found)


CASES = {
    "ideal only": (results([], 2), None, True),
    "twelve arms in colour": (results([f"arm {k} <i>" for k in range(12)], 1, (32, 32, 3)), None, True),
    "no pictures": (results(["PCM"]), vary(["PCM"]), False),
    "vary only": (None, vary(["PCM", ODD, "RRAM"]), False),
}


@pytest.mark.parametrize("case", CASES)
def test_report_of(case: str, tmp_path: Path) -> None:
    found, varied, drawn = CASES[case]
    path = write_report(folder_with(tmp_path, found, varied, drawn))
    assert path == tmp_path / "report.html"
    html = check_page(path)
    for study, entries in ((found, "summary"), (varied, "arms")):
        for entry in study[entries] if study else []:
            assert entry["arm"] in unescape(html)
    assert f"validation split of {NOTE}" in html
    assert ("is missing or damaged" in html) == (found is not None and not drawn)
    assert not list(tmp_path.glob(".*part"))


def test_one_seed_and_damaged_pictures(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, results(["PCM"], 1), drawn=False)
    (folder / "pictures-PCM.npz").write_bytes(b"PK\x03\x04 not an archive")
    html = check_page(write_report(folder))
    assert re.fullmatch(r"[\d.]+", cells(html, "summary")["PCM"][1])
    assert "One seed" in html
    assert "PCM: the file is missing or damaged" in html


def test_figures_are_the_same_every_time() -> None:
    found = Results.of(results(["PCM"], 1))
    first, second = (style.to_svg(plots.energy_bars(found)) for _ in range(2))  # type: ignore[arg-type]
    assert first == second


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


def test_a_vary_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "vary.json").write_text("{")
    with pytest.raises(DataError, match=r"vary\.json is damaged"):
        write_report(tmp_path)


def figures() -> dict[str, Figure | None]:
    """Every kind of figure."""
    few, many = Results.of(results(["PCM", ODD])), Results.of(results([f"arm {k}" for k in range(7)]))
    both = {arm: held(arm) for arm in ("ideal", "PCM")}
    return {
        "accuracy": plots.accuracy_bars(few),
        "gap": plots.gap_points(few),
        "curves": plots.learning_curves(few),
        "many curves": plots.learning_curves(many),
        "energy": plots.energy_bars(few),
        "fields": pictures.receptive_fields("PCM", both["PCM"], SHAPE),
        "colour fields": pictures.receptive_fields("PCM", held("PCM", (5, 5, 3)), (5, 5, 3)),
        "histograms": pictures.conductance_histograms(both, ["ideal", "PCM"]),
        "tolerance": tolerance_curves(Vary.of(vary(["PCM", ODD]))),
        "wide tolerance": tolerance_curves(Vary.of(vary(["PCM"], (0.0, 1e-4, 1e-3, 0.1)))),
    }


def test_every_axis_names_its_unit() -> None:
    for name, figure in figures().items():
        assert isinstance(figure, Figure), name
        own = [a.get_xlabel() for a in figure.axes] + [a.get_ylabel() for a in figure.axes]
        labels = [said for said in (*own, figure.get_supxlabel(), figure.get_supylabel()) if said]
        assert labels, name
        assert all(re.search(r"\(.+\)", said) or "%" in said for said in labels), (name, labels)
        assert figure.get_suptitle(), name
        assert style.to_svg(figure).startswith(b"<?xml"), name


def test_figures_without_data_are_none() -> None:
    ideal = Results.of(results([]))
    assert plots.gap_points(ideal) is None
    assert plots.energy_bars(ideal) is None
    assert pictures.conductance_histograms({"ideal": held("ideal")}, ["ideal"]) is None
    assert pictures.receptive_fields("PCM", held("PCM"), (5, 5, 1)) is None
    assert pictures.receptive_fields("PCM", {}, SHAPE) is None


def test_pixels_of_a_field_stand_where_they_stand_in_the_image() -> None:
    weights = np.arange(24.0).reshape(12, 2)
    fields = pictures.as_images(weights, (2, 2, 3))
    assert fields is not None
    assert fields.shape == (2, 2, 2, 3)
    assert fields[1, 1, 0].tolist() == weights[6:9, 1].tolist()
    grid = pictures.mosaic(np.ones((5, 2, 2)), np.nan)
    assert grid.shape == (5, 8)
    assert np.isnan(grid[2]).all()


def test_settings_said_once_where_alike() -> None:
    config = results(["A", "B"])["config"]
    config["arms"][1]["read"] = {**config["arms"][1]["read"], "dac_bits": 4}
    found = settings_of(config)
    assert found.common["read.adc_bits"] == "off"
    assert found.common["read.drift"] == "on"
    assert found.common["write.refresh_every"] == "never"
    assert "write.w_max" not in found.common
    assert found.columns == ["device", "read.dac_bits"]
    assert found.rows == [("A", ["card-0", "8"]), ("B", ["card-1", "4"])]


def test_tables_of_the_terminal(tmp_path: Path) -> None:
    found = results(["PCM mixed", "[red]odd[/red]"])
    shown = printed(summary_table(found))
    for arm in found["summary"]:
        assert arm["arm"] in shown
        assert f"{100 * arm['accuracy_mean']:.1f} ± " in shown
    assert text.si(found["summary"][1]["energy"]["update_J_per_synapse"], "J") in shown
    assert "raw pixels" in shown
    assert NOTE in shown
    shown = printed(vary_table(vary(["PCM", "B", "C"])))
    assert "read noise (share of G_max)" in shown
    assert "0.02" in shown
    assert "none" in shown
    assert "≥ 0.2" in shown


def test_results_read_back(tmp_path: Path) -> None:
    found = results(["PCM"], 1)
    loaded = read_results(folder_with(tmp_path, found, drawn=False))
    assert loaded is not None
    assert loaded.device_arms[0].accuracy_mean == found["summary"][1]["accuracy_mean"]
    assert loaded.device_arms[0].gap_ci95 is None
