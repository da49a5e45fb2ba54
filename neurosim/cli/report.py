"""`neurosim report`: page, figures and tables of a study again, from the results in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosim.cli.studies import RESULTS, show
from neurosim.cli.terminal import say

EARLIER = {"deep.json": "deep", "ff.json": "forward-forward", "mortal.json": "mortal"}
"""Files of results of networks by earlier versions, and the kind of each."""
SWEEP = "sweep.json"


def report_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An --out folder of a study.")],
) -> None:
    """Write the report of a study of any kind again, from the results in its folder."""
    from neurosim.report.page import KINDS

    found = _results_of(folder)
    if found is None or found.get("kind") not in KINDS:
        write_comparison(folder)
        return
    show(found, folder)


def _results_of(folder: Path) -> dict[str, Any] | None:
    """Return the results in a folder that say what kind they are, those of earlier versions by their file."""
    for name in (RESULTS, SWEEP):
        if (folder / name).exists():
            return _read(folder / name)
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
