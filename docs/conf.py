"""Sphinx configuration: no network, nothing executed; device tables and notebooks are copied in when built."""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.application import Sphinx

import neurosim
from neurosim.devices.card import CARDS, Card, read

HERE = Path(__file__).resolve().parent

project = "neurosim"
author = "The neurosim authors"
version = release = neurosim.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build", "_generated", "README.md"]
default_role = "code"
nitpicky = False

html_theme = "furo"
html_title = f"neurosim {release}"
html_copy_source = False

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
python_use_unqualified_type_names = True


def copy_notebooks(_: Sphinx) -> None:
    """Copy the committed, executed notebooks to where Sphinx finds them."""
    target = HERE / "_notebooks"
    target.mkdir(exist_ok=True)
    kept = {source.name for source in sorted((HERE.parent / "notebooks").glob("*.ipynb"))}
    for name in kept:
        shutil.copyfile(HERE.parent / "notebooks" / name, target / name)
    for stale in (file for file in target.glob("*.ipynb") if file.name not in kept):
        stale.unlink()


def write_device_tables(_: Sphinx) -> None:
    """Write one table of all shipped cards and one of the numbers of each, from the cards themselves."""
    shipped = [read(file) for file in sorted(CARDS.glob("*.toml"))]
    lines = ["| card | technology | law | window | rest | nominal step |", "|---|---|---|---|---|---|"]
    for card in shipped:
        device = card.device()
        window = f"{device.g_min_uS:g} to {device.g_max_uS:g} µS"
        numbers = f"{window} | {device.g_rest_uS:g} µS | {device.nominal_step_uS:.3g} µS"
        lines.append(f"| `{card.name}` | {card.technology} | `{card.law}` | {numbers} |")
    text = "\n".join([*lines, "", *(line for card in shipped for line in _numbers_of(card))])
    folder = HERE / "_generated"
    folder.mkdir(exist_ok=True)
    target = folder / "cards.md"
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def _numbers_of(card: Card) -> list[str]:
    rows = [
        f"| `{name}` | {number.value:.6g} | {number.unit} | {number.source} |"
        for name, number in card.parameters.items()
    ]
    return [
        f"### {card.name}",
        "",
        f"{card.summary}. {card.citation}.",
        "",
        *(f"* {note}" for note in card.notes),
        "",
        "| parameter | value | unit | source |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def setup(app: Sphinx) -> None:
    """Prepare what is generated before the pages are read."""
    app.connect("builder-inited", copy_notebooks)
    app.connect("builder-inited", write_device_tables)
