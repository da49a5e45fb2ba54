"""Every number that the front pages quote is carried by a kept result."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
from helpers import ROOT

KEPT = ROOT / "results"
CLAIMS = tomllib.loads((KEPT / "claims.toml").read_text(encoding="utf-8"))["claim"]


def entry(claim: dict[str, Any]) -> dict[str, Any]:
    summary = json.loads((KEPT / claim["file"]).read_text(encoding="utf-8"))["summary"]
    (found,) = [
        one for one in summary if all(one.get(name) == value for name, value in claim["where"].items())
    ]
    return dict(found)


@pytest.mark.parametrize(
    "claim",
    CLAIMS,
    ids=lambda claim: f"{claim['page']}: {claim['shown']} {' '.join(map(str, claim['where'].values()))}",
)
def test_a_number_that_is_quoted_is_the_one_that_was_kept(claim: dict[str, Any]) -> None:
    lines = (ROOT / claim["page"]).read_text(encoding="utf-8").splitlines()
    (line,) = [one for one in lines if claim["line"] in one]
    assert re.search(rf"(?<![\d.]){re.escape(claim['shown'])}(?![\d]|\.\d)", line), line
    places = len(claim["shown"].partition(".")[2])
    assert abs(100 * entry(claim)[claim["field"]] - float(claim["shown"])) <= 0.5 * 10**-places + 1e-9


def test_every_accuracy_of_the_front_page_is_claimed() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("## What has been found with it")[1].split("![")[0]
    for line in table.splitlines():
        own = {claim["shown"] for claim in CLAIMS if claim["page"] == "README.md" and claim["line"] in line}
        assert set(re.findall(r"\d+\.\d", line)) <= own, line
