"""`neurosim report`: page, figures and tables of a study again, from the results in its folder or a file of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosim.cli.studies import RESULTS, SWEPT, show
from neurosim.cli.terminal import say

EARLIER = {"deep.json": "deep", "ff.json": "forward-forward", "mortal.json": "mortal"}
"""Files of results of networks by earlier versions, and the kind of each."""
SWEPT_BEFORE = ("vary.json", "wires.json")
"""Files of what are sweeps today, by earlier versions."""


def report_command(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR|RESULTS.json",
            help="An --out folder of a study, or kept results: their page (.md) and figures are drawn beside them.",
        ),
    ],
) -> None:
    """Write the report of studies of any kind again, from the results in a folder or a file of them."""
    for place in places:
        if place.is_file():
            _write_kept(place)
            continue
        found = _results_of(place)
        if found is None or found.get("kind") in (None, "dense"):
            write_comparison(place)
        else:
            show(found, place)


def _write_kept(file: Path) -> None:
    """Draw the page of kept results beside them, and say where it is."""
    from neurosim.report.kept_pages import write_kept_page

    page = write_kept_page(file)
    say(f"{file}: results of this form have no drawn page" if page is None else f"report: {page}")


def _results_of(folder: Path) -> dict[str, Any] | None:
    """Return the results in a folder that say what kind they are, those of earlier versions by their file."""
    from neurosim.report.earlier import from_earlier

    beside = [name for name in SWEPT_BEFORE if (folder / name).exists()]
    for name in (RESULTS, SWEPT, *beside):
        if (folder / name).exists():
            for other in beside if name in (RESULTS, SWEPT) else ():
                say(
                    f"{folder / other} is of an earlier version; for its report, move it into a folder of its own"
                )
            found = _read(folder / name)
            return from_earlier(found) or found
    for name, kind in EARLIER.items():
        if (folder / name).exists():
            found = _read(folder / name)
            tested = next((run.get("test_size") for run in found.get("runs", [])), None)
            return {**found, "kind": kind, "data": {"test_images": tested, **found.get("data", {})}}
    return None


def _read(file: Path) -> dict[str, Any]:
    from neurosim.study.store import read_json

    found = read_json(file)
    return found if isinstance(found, dict) else {}


def write_comparison(folder: Path) -> None:
    """Write the page of what is compared in a folder, and say where it is."""
    from neurosim.report.html import write_report

    say(f"report: {write_report(folder)}")
