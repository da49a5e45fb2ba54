"""Sphinx configuration: no network, no notebook executed; cards become tables and figures when built."""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.writers.html5 import HTML5Translator

import neurosim
from neurosim.devices.card import CARDS, Card, read
from neurosim.report.device_sheet import device_sheet
from neurosim.report.device_table import on_off_words, states_words, value_words, window_words
from neurosim.report.style import to_svg

HERE = Path(__file__).resolve().parent
SHEET_DEVICES = 300
"""Devices behind the figures of the gallery: fewer than `neurosim devices plot` takes, to build fast."""
LINKED = re.compile(r"\]\(([^)/#\s]+)\)")
"""A link or figure of a page that lies beside it."""

project = "neurosim"
author = "The neurosim authors"
version = release = neurosim.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build", "_generated/cards.md", "README.md"]
default_role = "code"
nitpicky = False

html_theme = "furo"
html_title = f"neurosim {release}"
html_copy_source = False
html_show_copyright = False
html_static_path = ["style"]
html_css_files = ["wide.css"]
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
autodoc_type_aliases = {
    name: name
    for name in (
        "ArrayLike",
        "DTypeLike",
        "Features",
        "Floats",
        "Images",
        "Labels",
        "Report",
        "State",
        "Winners",
    )
}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
python_use_unqualified_type_names = True


def copy_beside(_: Sphinx) -> None:
    """Copy what lies beside this folder to where Sphinx finds it: executed notebooks, pages of results and what these link."""
    notebooks, results = HERE.parent / "notebooks", HERE.parent / "results"
    _mirror(notebooks, {file.name for file in notebooks.glob("*.ipynb")}, HERE / "_notebooks")
    pages = sorted(results.glob("*.md"))
    linked = {name for page in pages for name in LINKED.findall(page.read_text(encoding="utf-8"))}
    kept = {name for name in linked if (results / name).is_file()}
    _mirror(results, kept | {page.name for page in pages}, HERE / "_results")


def _mirror(source: Path, names: set[str], target: Path) -> None:
    """Copy files of a folder, and remove what else there is in the copy."""
    target.mkdir(exist_ok=True)
    for name in sorted(names):
        shutil.copyfile(source / name, target / name)
    for stale in (file for file in target.iterdir() if file.name not in names):
        stale.unlink()


def follow_links(_: Sphinx, page: str, text: list[str]) -> None:
    """Lead relative links between docs/ and results/, which hold in the repository, to where the copies lie."""
    if page.startswith(("_results/", "_notebooks/")):
        text[0] = text[0].replace("](../docs/", "](../").replace("](../results/", "](../_results/")
    else:
        text[0] = re.sub(r"\]\(((?:\.\./)*)\.\./results/", r"](\1_results/", text[0])


def write_device_pages(_: Sphinx) -> None:
    """Write one table of all shipped cards, and a page of each with its figure and numbers, from the cards themselves."""
    shipped = sorted(map(read, CARDS.glob("*.toml")), key=lambda card: (card.law == "ideal", card.name))
    folder = HERE / "_generated" / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    for card in shipped:
        (folder / f"{card.name}.svg").write_bytes(to_svg(device_sheet(card, n_devices=SHEET_DEVICES)))
        _write_if_new(folder / f"{card.name}.md", _page_of(card))
    for stale in (file for file in folder.iterdir() if file.stem not in {card.name for card in shipped}):
        stale.unlink()
    _write_if_new(HERE / "_generated" / "cards.md", _table_of(shipped))


def _write_if_new(target: Path, lines: list[str]) -> None:
    text = "\n".join(lines)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def _table_of(shipped: list[Card]) -> list[str]:
    lines = [
        "| card | technology | law | window | rest | nominal step | states | on/off |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for card in shipped:
        device = card.device()
        step = f"{device.g_rest_uS:.4g} µS | {device.nominal_step_uS:.3g} µS"
        numbers = f"{window_words(device)} | {step} | {states_words(device)} | {on_off_words(device)}"
        link = f"[{card.name}](_generated/gallery/{card.name}.md)"
        lines.append(f"| {link} | {card.technology} | `{card.law}` | {numbers} |")
    return lines


def _page_of(card: Card) -> list[str]:
    rows = [
        f"| `{name}` | {value_words(number.value)} | {number.unit} | {number.source} |"
        for name, number in card.parameters.items()
    ]
    return [
        f"# {card.name}",
        "",
        f"{card.summary}. {card.citation}.",
        "",
        *(f"* {note}" for note in card.remarks),
        "",
        f"![{card.name}: what pulses, programming, time and reads do]({card.name}.svg)",
        "",
        "| parameter | value | unit | source |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _is_model(what: str, found: Any) -> bool:
    return what == "class" and inspect.isclass(found) and issubclass(found, BaseModel)


def shorten_signature(
    _: Sphinx, what: str, name: str, found: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Leave the fields of a configuration model to the table below its docstring; keep names of types."""
    if _is_model(what, found):
        return "(**fields)", None
    short = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")
    return tuple(text and short.sub(r"\1", text) for text in (signature, returns))


def skip_fields(app: Sphinx, what: str, name: str, found: Any, skip: bool, __: Any) -> bool | None:
    """Leave out fields that stand in a table, and the numbered fields of named tuples."""
    module, owner = (app.env.temp_data.get(f"autodoc:{kind}") for kind in ("module", "class"))
    if what == "class" and module and owner:
        model = getattr(sys.modules[module], owner)
        if _is_model(what, model) and name in model.model_fields:
            return True
        documented = ModuleAnalyzer.for_module(module).find_attr_docs()
        if "Alias for field number" in (getattr(found, "__doc__", None) or ""):
            return (owner, name) not in documented
    return None


def add_fields(_: Sphinx, what: str, name: str, found: Any, __: Any, lines: list[str]) -> None:
    """List the fields of a configuration model: default, limits, unit and meaning."""
    if not _is_model(what, found) or not found.model_fields:
        return
    lines += ["", ".. list-table::", "   :header-rows: 1", "", "   * - field", "     - default"]
    lines += ["     - unit", "     - allowed", "     - meaning"]
    for field, info in found.model_fields.items():
        default = "required" if info.default is PydanticUndefined else f"``{info.default!r}``"
        if info.default_factory is not None or isinstance(info.default, BaseModel):
            default = "see there" if isinstance(info.default, BaseModel) else "empty"
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        limits = [
            f"{sign} {getattr(limit, key):g}"
            for limit in info.metadata
            for key, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
            if getattr(limit, key, None) is not None
        ]
        meaning = " ".join(_meaning(found, field)).strip()
        cells = [f"``{field}``", default, str(extra.get("unit", "")), ", ".join(limits), meaning]
        lines += [f"   {'*' if k == 0 else ' '} - {cell}".rstrip() for k, cell in enumerate(cells)]
    lines.append("")


def _meaning(model: type[BaseModel], field: str) -> list[str]:
    """Return the string below the field in the class, or in the base class, that declares it."""
    for owner in model.__mro__:
        if field in inspect.get_annotations(owner):
            return (
                ModuleAnalyzer.for_module(owner.__module__).find_attr_docs().get((owner.__name__, field), [])
            )
    return []


def formula_in_line(page: HTML5Translator, node: nodes.math) -> None:
    """Write a formula as MathML, which browsers set by themselves: pages need no network."""
    page.body.append(convert(node.astext()))
    raise nodes.SkipNode


def formula_by_itself(page: HTML5Translator, node: nodes.math_block) -> None:
    """The same on a line of its own."""
    page.body.append(convert(node.astext(), display="block"))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Prepare what is generated before the pages are read."""
    app.add_html_math_renderer("mathml", (formula_in_line, None), (formula_by_itself, None))
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-docstring", add_fields, priority=900)
    app.connect("builder-inited", copy_beside)
    app.connect("builder-inited", write_device_pages)
    app.connect("source-read", follow_links)
