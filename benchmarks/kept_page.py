"""A study of ours that is run once and kept: its results as JSON, and its tables behind a mark in a page written by hand."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurosim.report.text import made_with
from neurosim.study.store import read_json, write_json, write_text

RESULTS = Path(__file__).parents[1] / "results"


def main(
    name: str, described: str | None, place: str, measured: Callable[[], Any], page: Callable[[Any], str]
) -> None:
    """Run, or write again what is kept: `name`.json and the part of `name`.md behind `place`, of results/ unless said."""
    module = name.replace("-", "_")
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=described)
    parser.add_argument("--json", type=Path, default=RESULTS / f"{name}.json")
    parser.add_argument("--page", type=Path, default=RESULTS / f"{name}.md")
    parser.add_argument(
        "--again", action="store_true", help="price and write what is kept again, run nothing"
    )
    given = parser.parse_args()
    result = read_json(given.json) if given.again else measured()
    if not given.again:
        write_json(given.json, result)
    written_behind(given.page, place, f"{page(result).rstrip()}\n\n{made_with(result)}")


def written_behind(page: Path, place: str, text: str) -> None:
    """Replace what stands behind a mark in a page."""
    before = page.read_text(encoding="utf-8").partition(place)[0].rstrip()
    write_text(page, f"{before}\n\n{place}\n\n{text}")
