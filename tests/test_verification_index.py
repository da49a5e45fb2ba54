"""The page of published numbers names tests that exist, and each of them names its source."""

from __future__ import annotations

import ast
import json
import re

import pytest
from helpers import ROOT

PAGES = ("verification", "verification_cards")
PAGE = "".join((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in PAGES)
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)))
ROWS = [
    line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| check", "| fact"))
]


def docstrings(file: str) -> dict[str, str | None]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return {
        node.name: ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_every_test_named_exists_and_says_what_it_is_held_against(file, test):
    found = docstrings(file)
    assert test in found
    assert found[test], f"{file}::{test} has no docstring to name its source"


def test_every_row_names_a_test_or_why_there_is_none():
    assert len(ROWS) >= 17 + 12
    for row in ROWS:
        assert row.count("|") == 6, row
        assert re.search(r"`test_\w+\.py::test_\w+`|no test: \w+", row.split("|")[5]), row
    assert not re.search(r"/(work|home|tmp|root)/", PAGE)


def test_the_pages_are_linked():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert all(f"\n{name}\n" in index for name in PAGES)


@pytest.mark.parametrize(
    "mutation", json.loads((ROOT / "benchmarks/mutations.json").read_text()), ids=lambda one: one["name"]
)
def test_every_error_that_is_listed_can_still_be_planted(mutation):
    assert (ROOT / mutation["file"]).read_text(encoding="utf-8").count(mutation["old"]) == 1
    assert mutation["new"] != mutation["old"]
    assert all((ROOT / test.partition("::")[0]).exists() for test in mutation["tests"])


def test_the_page_counts_planted_errors_as_their_own_page_does():
    counted = (ROOT / "results/mutations.md").read_text(encoding="utf-8")
    caught, planted = re.search(r"(\d+) of (\d+) are caught", counted).groups()
    seen = re.search(r"^(\d+) of them are seen", counted, re.MULTILINE)[1]
    words = " ".join(PAGE.split())
    assert f"{planted} such errors are planted" in words
    assert f"{caught} are caught by a test, {seen} by `neurosim validate` too" in words
