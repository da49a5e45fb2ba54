"""Where a figure of joules is quoted, the sentence says what stands around the devices, or whose figure it is."""

import re
from pathlib import Path

import pytest
from report_helpers import results as some_results

from neurosim.energy import Bill, Line
from neurosim.report import captions, text, weights, words
from neurosim.report.results import Results

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if "/_" not in page.as_posix()),
    *sorted((ROOT / "results").glob("*.md")),
]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))

FIGURE = re.compile(r"\d\s?[afpnµmkM]?J\b")
SAID = re.compile(r"periphery|lower bound|prices?\b|converters?\b", re.IGNORECASE)
"""One of these is in every sentence with joules; that they are of devices is not enough."""
SOURCE = re.compile(r"\bet al\.|\(\d{4}\)|\b[A-Z][a-z]+ \d{4}\b")
"""Or it is a figure of the literature, with its source."""


def sentences(page: str) -> list[str]:
    """Sentences of a page's prose, without code and tables."""
    prose = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    lines = ["" if line.lstrip().startswith("|") else line for line in prose.splitlines()]
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*[*-] )", "\n".join(lines))
    return [
        sentence
        for paragraph in paragraphs
        for sentence in re.split(r"(?<=[.!?*:])\s+(?=[A-Z*`])(?<!al\. )", " ".join(paragraph.split()))
    ]


def markdown_of(notebook: str) -> str:
    """The cells of a notebook's source that are prose."""
    cells = re.split(r"^# %%", notebook, flags=re.MULTILINE)
    return "\n\n".join(
        re.sub(r"^# ?", "", cell.partition("\n")[2], flags=re.MULTILINE)
        for cell in cells
        if cell.startswith(" [markdown]")
    )


def alone(page: str) -> list[str]:
    """Sentences with joules that say neither what stands around the devices nor whose figure it is."""
    return [
        sentence
        for sentence in sentences(page)
        if FIGURE.search(sentence) and not SAID.search(sentence) and not SOURCE.search(sentence)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_quotes_joules_of_devices_alone(page: Path) -> None:
    assert alone(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda page: page.stem)
def test_no_notebook_quotes_joules_of_devices_alone(notebook: Path) -> None:
    assert alone(markdown_of(notebook.read_text(encoding="utf-8"))) == []


def test_the_rule_finds_what_it_is_for() -> None:
    assert alone("It finds 95 %. The pair takes 15 fJ an update.\n\n| 15 fJ |\n\n```\n15 fJ\n```\n") == [
        "The pair takes 15 fJ an update."
    ]
    assert alone("* 2.5 pJ\n* 12 pJ with periphery\n") == ["* 2.5 pJ"]
    assert not alone("Chips take 0.19 pJ (Le Gallo et al. 2023). It takes 12 pJ at these prices.")


def test_no_page_ranks_devices_by_the_joules_that_cards_assume() -> None:
    """An order of devices stands as an input, or not at all."""
    order = re.compile(r"ECRAM\s*<|<\s*PCM|ECRAM (takes |costs )?(less|the least)\b")
    for page in [*PAGES, *NOTEBOOKS]:
        for sentence in sentences(page.read_text(encoding="utf-8")):
            if order.search(sentence):
                assert "input" in sentence, (page.name, sentence)


def test_what_reports_write_says_unit_periphery_and_what_is_assumed() -> None:
    found = Results.model_validate(some_results(["PCM"]))
    bill = Bill((Line(1, "update", "device", "pulses up", 2, 3e-12, 1e-12, 4e-12, "assumed", "s"),), "mine")
    learnt = next(said for _, said in words.findings(found) if "update" in said)
    for said in (learnt.rpartition("learning.")[2], captions.energy(found), text.JOULES_OF_AN_UPDATE):
        assert "mini-batch" in said
        assert "synapse" in said
        assert "periphery" in said
        assert "assume" in said
    assert not alone(learnt)
    assert not alone(bill.sentence())
    assert "assumed" in bill.sentence()
    assert "lower bound" in weights.JOULES
    assert "assume" in weights.JOULES
