"""The page of every kind of study: what stands on it, and that it fits a screen, a phone and paper."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from weights_helpers import MODELS

from neurosim import (
    Arm,
    DeepArm,
    DeepExperiment,
    DenseExperiment,
    Experiment,
    ForwardForwardArm,
    ForwardForwardExperiment,
    MortalExperiment,
    Soft,
    SpikesArm,
    SpikesExperiment,
    WeightsExperiment,
)
from neurosim.core.errors import DataError
from neurosim.energy.bill import joules_text
from neurosim.report import words
from neurosim.report.glossary import WORDS
from neurosim.report.page import KINDS, as_text, write_page
from neurosim.report.results import Results
from neurosim.report.sweep import sweep_table
from neurosim.study.compare import compare
from neurosim.study.ideals import assumed, ideals
from neurosim.study.priced import ON_A_PAGE, priced
from neurosim.study.run import study
from neurosim.study.store import write_json
from neurosim.study.swept import sweep

PCM, RRAM = "pcm-nandakumar-2018", "rram-hfo2-gong-2018"
SMALL: dict[str, Any] = {"dataset": "digits", "train_images": 120, "test_images": 40}
DENSE = DenseExperiment(**SMALL, neurons=10, readout_epochs=1, device=(PCM, RRAM), seeds=2)
CELL = ForwardForwardArm(name="cell <b>", device=PCM)
EXPERIMENTS: dict[str, Experiment] = {
    "deep": DeepExperiment(
        **SMALL, batch=20, width=1.0, depth=2, head_epochs=1,
        arm=(DeepArm(name="ideal"), DeepArm(name="cell <b>", device=PCM, rule="softhebb", mode="mixed")),
    ),
    "forward-forward": ForwardForwardExperiment(
        **SMALL, batch=20, widths=(12, 8), epochs=2, arm=(ForwardForwardArm(name="ideal"), CELL)
    ),
    "mortal": MortalExperiment(**SMALL, batch=20, widths=(12, 8), epochs=1, chips=1, arm=(CELL,)),
    "spikes": SpikesExperiment(
        **SMALL, batch=20, neurons=12, shown_s=0.1, curve_images=40, readout_epochs=1,
        arm=(SpikesArm(name="ideal"), SpikesArm(name="cell <b>", device=PCM, inhibition=Soft())),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Folder and results of each kind, with its page."""
    made: dict[str, tuple[Path, dict[str, Any]]] = {}
    model = MODELS["convolution"](tmp_path_factory.mktemp("model"))
    own = WeightsExperiment(
        **model, test_images=40, seeds=2, device=(RRAM,), arm=(Arm(name="cell <b>", device=PCM),)
    )
    for kind, spec in {**EXPERIMENTS, "weights": own}.items():
        out = tmp_path_factory.mktemp(kind)
        made[kind] = out, study(spec, out)
    out = tmp_path_factory.mktemp("sweep")
    made["sweep"] = out, sweep(DENSE, out, ["read_noise=0,0.1", "adc_bits=4,none", "age_s=1,1e7"])
    for folder, results in made.values():
        write_page(folder, json.loads(json.dumps(results)))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_was_found_and_what_was_taken_as_ideal(
    kind: str, found: dict[str, tuple[Path, dict[str, Any]]]
) -> None:
    folder, results = found[kind]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert results["kind"] == kind
    for one in results["ideals"]:
        assert one["ideal"].replace("'", "&#39;") in page
    assert all(one["number"] in page for one in results["assumed"])
    assert "data:image/svg+xml," in page
    assert "test set of digits of scikit-learn" in page
    assert "Made again by" in page
    assert "cell <b>" not in page, "names are text, not markup"
    if kind != "sweep":
        assert "cell &lt;b&gt;" in page


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"weights"}))
def test_the_verdict_or_what_it_needs_stands_first(
    kind: str, found: dict[str, tuple[Path, dict[str, Any]]]
) -> None:
    folder, _ = found[kind]
    page = (folder / "report.html").read_text(encoding="utf-8").replace("\u00a0", " ")
    first = page.split('<ul id="findings">')[1].split("</li>")[0]
    asked = "As good as the chip that learnt" if kind == "mortal" else "As good as ideal arithmetic"
    if kind in ("mortal", "sweep"):
        assert asked in first
        assert "undecided" in first or "no" in first
    else:
        assert "No verdict: the control of" in first
        assert "the same arm with learns = false" in first
    assert page.index('id="findings"') < page.index("<figure>")


def test_words_of_a_report_are_those_of_the_glossary(found: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    glossary = (Path(__file__).parents[1] / "docs" / "glossary.md").read_text(encoding="utf-8")
    for word, meaning in WORDS.items():
        assert f"| **{word}** | {meaning} |" in glossary
    for out, results in found.values():
        page = write_page(out, results).read_text(encoding="utf-8")
        assert page.count('<details id="words">') == 1
        assert "<b>learning kept</b>: (device − its control)" in page


def test_tables_of_the_page_are_those_of_the_terminal(found: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    _, results = found["sweep"]
    sheet = as_text(sweep_table(results))
    assert sheet.headings[0] == "read noise (share of G_max)"
    assert len(sheet.rows) == 1 + 2 * 8, "ideal arithmetic stands there once"
    assert all(len(row) == len(sheet.headings) for row in sheet.rows)


def test_damaged_results_say_how_to_make_them_again(
    found: dict[str, tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    _, results = found["deep"]
    with pytest.raises(DataError, match="make them again with: neurosim deep"):
        write_page(tmp_path, {**results, "summary": [{"arm": "ideal"}]})


class TestIdeals:
    def told(self, **settings: Any) -> str:
        return " ".join(one["ideal"] for one in ideals(DENSE.changed(device=(PCM,), **settings)))

    def test_each_goes_when_it_is_no_longer_ideal(self) -> None:
        for word, settings in {
            "clock stands still": {"seconds_per_update": 1.0},
            "exact outer product": {"mode": "online"},
            "Wires are perfect, in reading": {"wires": {"r_word_ohm": 1.0}},
            "no tiles": {"tiles": {"word_lines": 64}},
            "Every line and every device works": {"parameters": {"p_stuck_gmin": 0.01}},
            "offset nor gain": {"read": {"adc_gain_spread": 0.01}},
            "shot noise": {"read": {"shot_noise": True}},
            "calibrated for nothing": {"calibrate_every": None},
            "exact conductances": {"write": {"refresh": {"look": "read"}}},
            "published statistics": {"write": {"programming": {"mode": "closed"}}},
        }.items():
            assert word in self.told(), word
            assert word not in self.told(**settings), word

    def test_converters_that_find_their_ranges_themselves_are_not_calibrated_for_nothing(self) -> None:
        assert "calibrated for nothing" not in self.told(read={"calibration": {"samples": 8}})

    def test_others_come_when_they_are_chosen(self) -> None:
        for word, settings in {
            "an oracle": {"write": {"decay_mode": "exact"}},
            "Reads have no noise": {"read": {"read_noise": None}},
            "inputs and currents are perfect": {"read": {"dac_bits": None, "adc_bits": None}},
            "Time does not pass": {"read": {"drift": False}},
        }.items():
            assert word not in self.told(), word
            assert word in self.told(**settings), word

    def test_silence_of_a_card_is_no_stability(self) -> None:
        found = {one["ideal"]: one["arms"] for one in ideals(DENSE)}
        assert found[
            f"No retention data on the card {RRAM}: its conductances stand still, whatever the time."
        ] == [RRAM]

    def test_assumed_numbers_have_their_source_and_go_when_they_are_given(self) -> None:
        spec = DENSE.changed(device=(PCM,))
        by_name = {one["number"]: one for one in assumed(spec)}
        assert "assumption" in by_name["set_voltage_V"]["source"]
        assert "from memory" in by_name["set_time_s"]["source"]
        assert "set_voltage_V" not in {
            one["number"] for one in assumed(spec.changed(parameters={"set_voltage_V": 1.2}))
        }

    def test_the_report_of_a_comparison_has_them(self, tmp_path: Path) -> None:
        from neurosim.report.html import write_report

        write_json(tmp_path / "results.json", compare(DENSE, tmp_path))
        page = write_report(tmp_path).read_text(encoding="utf-8")
        assert 'id="ideals"' in page
        assert 'id="assumed"' in page
        assert 'id="changed"' in page


MEASURE = """<script>
const texts = [...document.querySelectorAll("body *")].filter(e => e.children.length == 0 && e.textContent.trim());
const held = e => { for (; e; e = e.parentElement) if (getComputedStyle(e).overflowX == "auto") return true; return false; };
const wide = texts.filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !held(e)).map(e => e.textContent.slice(0, 40));
document.body.setAttribute("data-found", JSON.stringify({
  scroll: document.documentElement.scrollWidth - innerWidth,
  smallest: Math.min(...texts.map(e => parseFloat(getComputedStyle(e).fontSize))),
  wide: wide,
  images: [...document.images].map(e => e.getBoundingClientRect().width / e.naturalWidth),
}));
</script>"""
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def browse(browser: Path, *words: str) -> str:
    """Run the browser without a window and return what it prints."""
    always = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={browser}",
    ]  # fmt: skip
    return subprocess.run([*always, *words], capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_a_screen_and_a_phone(
    kind: str, width: int, found: dict[str, tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    """No overflow but in what scrolls, no text below 9 px, that of figures included."""
    page = (found[kind][0] / "report.html").read_text(encoding="utf-8")
    copy = tmp_path / "page.html"
    copy.write_text(page.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    dom = browse(tmp_path / "browser", f"--window-size={width},2000", "--dump-dom", copy.as_uri())
    measured = json.loads(re.search(r'data-found="([^"]*)"', dom).group(1).replace("&quot;", '"'))  # type: ignore[union-attr]
    assert measured["wide"] == []
    assert measured["scroll"] <= 0
    assert measured["smallest"] >= 9
    sizes = [
        float(size) * 100 * 4 / 3 * scale  # glyphs of matplotlib are drawn for 100 points; a point is 4/3 px
        for svg, scale in zip(
            re.findall(r'src="data:image/svg\+xml,([^"]*)"', page), measured["images"], strict=True
        )
        for size in re.findall(r"scale\(([\d.]+) -", unquote(svg))
    ]
    assert sizes
    assert min(sizes) >= 9


MARGIN_MM = 8
"""Of a printed page, in which nothing may stand: the page's own is 11."""
SMALLEST_PX = 9


@pytest.mark.skipif(
    BROWSER is None or shutil.which("pdftoppm") is None, reason="no chromium, or no pdftoppm, here"
)
@pytest.mark.parametrize("kind", KINDS)
def test_it_prints_without_anything_cut(
    kind: str, found: dict[str, tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    """Margins of every page are white, words lie within them, and none is below 9 px."""
    page, pdf = found[kind][0] / "report.html", tmp_path / "page.pdf"
    browse(tmp_path / "browser", f"--print-to-pdf={pdf}", "--no-pdf-header-footer", page.as_uri())
    subprocess.run(["pdftoppm", "-r", "50", "-gray", str(pdf), str(tmp_path / "p")], check=True)
    sheets = sorted(tmp_path.glob("p-*.pgm"))
    assert sheets
    for sheet in sheets:
        grey = np.asarray(Image.open(sheet))
        edge = round(MARGIN_MM / 25.4 * 50)
        assert grey.shape[1] > grey.shape[0], "lying paper"
        for side in (grey[:edge], grey[-edge:], grey[:, :edge], grey[:, -edge:]):
            assert side.min() == 255, f"{sheet.name}: something reaches into the margin"
    words = subprocess.run(
        ["pdftotext", "-bbox-layout", str(pdf), "-"], capture_output=True, text=True, check=True
    ).stdout
    heights = [
        float(high) - float(low)
        for low, high in re.findall(r'<word xMin="[^"]*" yMin="([^"]*)" xMax="[^"]*" yMax="([^"]*)">', words)
    ]
    assert heights
    assert min(heights) >= 0.75 * SMALLEST_PX, (
        "a px is 0.75 points; a word's box is no lower than its letters"
    )


def test_a_finding_has_the_joules_of_a_sample_that_energy_has_and_the_verdict_by_vote(tmp_path: Path) -> None:
    spec = DenseExperiment(
        dataset="digits", train_images=300, neurons=20, readout_epochs=1, device=(PCM,), seeds=3
    )
    found = Results.of(compare(spec))
    (each,) = priced(found.model_dump(), [ON_A_PAGE])
    per = each.bill.per(each.samples)
    (finding,) = (said for arm, said in words.findings(found) if arm == PCM)
    costs = finding.partition("Learning costs ")[2]
    assert costs.startswith(f"{joules_text(per['sample'])} a sample (")
    assert "periphery included" in costs
    assert f"{joules_text(per['synapse_and_sample'])} for each synapse" in costs
    assert "at least" not in costs
    (arm,) = found.device_arms
    assert arm.vote_verdict is not None
    assert "By vote" in finding
    assert ("as good as ideal arithmetic" in finding.partition("By vote")[2]) == (
        arm.vote_learning_kept_interval is not None
    )
