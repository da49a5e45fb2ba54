"""`neurosim report`: pages, figures and tables of a study again, from the results in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosim.cli.studies import NETWORKS, RESULTS, show
from neurosim.cli.terminal import say
from neurosim.core.errors import ConfigError

EARLIER = {"deep.json": "deep", "ff.json": "ff", "mortal.json": "mortal"}
"""Files of results of networks by earlier versions, and the command of each."""


def report_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An --out folder of a study.")],
) -> None:
    """Write the report or the figures of a study again; a comparison has a self-contained HTML page."""
    found = network_in(folder)
    if found is None:
        write_pages(folder)
        return
    file, name = found
    try:
        pages = NETWORKS[name].pages(_read(file))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ConfigError(
            f"{file}: not results as this version writes them ({type(error).__name__}: {error}); make them again "
            f"with: neurosim {name} EXPERIMENT.toml --out {folder}"
        ) from None
    show(pages, folder)
    for title in (title for title, figure in pages.figures.items() if figure is not None):
        say(f"figure: {folder / title}.svg")


def network_in(folder: Path) -> tuple[Path, str] | None:
    """Return the results of networks in a folder and the command they are of; None where there are none."""
    commands = {network.kind: name for name, network in NETWORKS.items()}
    if (folder / RESULTS).exists():
        kind = _read(folder / RESULTS).get("kind")
        return (folder / RESULTS, commands[kind]) if kind in commands else None
    return next(((folder / file, name) for file, name in EARLIER.items() if (folder / file).exists()), None)


def _read(file: Path) -> dict[str, Any]:
    from neurosim.study.store import read_json

    found = read_json(file)
    return found if isinstance(found, dict) else {}


def write_pages(folder: Path) -> None:
    """Write the pages of what is compared in a folder, and say where they are."""
    from neurosim.report.transfer import write_reports

    for page in write_reports(folder):
        say(f"report: {page}")
