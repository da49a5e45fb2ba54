"""What a user reads uses public names: docs, notebooks and README, but for a short list of what is inside by nature."""

from __future__ import annotations

import ast
import importlib
import re

import numpy as np
import pytest
from helpers import PCM, ROOT

import neurosim as ns
from neurosim import _HOMES, _MODULES
from neurosim.devices import cards

INSIDE = re.compile(r"^\s*(?:from (neurosim\.[\w.]+) import (.+)|import (neurosim\.[\w.]+))", re.MULTILINE)
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
    *sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py")),
    *sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")),
]
ALLOWED = {
    "your_own_device.md": {"neurosim.devices", "neurosim.devices.bipolar", "neurosim.kernels.jit", "neurosim.kernels.random",
                   "neurosim.core.protocols", "neurosim.reference.twin.bipolar"},
    "energy.md": {"neurosim.energy.digital", "neurosim.energy.published", "neurosim.energy.stacks"},
    "spiking_brian2.md": {"neurosim.spiking", "neurosim.spiking.synapses"},
    "02_ideal_against_crossbar": {"neurosim.reference.agreement"},
    "03_your_own_device": {"neurosim.report.fit_sheet", "neurosim.report.style"},
    "04_wires_and_converters": {"neurosim.core.hardware"},
    "05_deep_softhebb": {"neurosim.rules.softhebb", "neurosim.study.deep_build"},
    "06_forward_forward_and_mortal_chips": {"neurosim.study.forward_forward_build"},
    "10_a_device_a_rule_a_layer_of_your_own": {"neurosim.devices.bipolar", "neurosim.kernels.jit"},
    "12_which_energies_compare": {"neurosim.energy.digital", "neurosim.energy.stacks"},
}  # fmt: skip
"""Laws are written in the language of the kernels, spikes have a bridge of their own, chips and digital twins a module each, and some notebooks look inside."""


def inner_modules(text: str) -> set[str]:
    return {module or other for module, _, other in INSIDE.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_import_public_names(page):
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        text = re.sub(r'^\s*"(.*?)(?:\\n)?",?$', r"\1", text, flags=re.MULTILINE)
    allowed = ALLOWED.get(page.name, set()) | ALLOWED.get(page.stem, set())
    assert inner_modules(text) <= allowed, "use names of neurosim itself, or say here why not"


def public_home(module: str, name: str) -> str | None:
    """Where the public surface has what a module calls by this name; None: nowhere, or this is the place."""
    here = getattr(importlib.import_module(module), name, None)
    if here is None or module in _MODULES.values():
        return None
    if name in _HOMES and getattr(ns, name) is here:
        return "neurosim"
    homes = [
        home for home in _MODULES.values() if name in getattr(importlib.import_module(home), "__all__", ())
    ]
    return next((home for home in homes if getattr(importlib.import_module(home), name) is here), None)


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_what_is_public_is_imported_from_the_public_surface(folder):
    """Tests of an inner function import it from its file; classes and functions for users come from neurosim."""
    inside = [
        f"{file.name}: from {node.module} import {name.name}: use {home}"
        for file in sorted((ROOT / folder).glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("neurosim.")
        for name in node.names
        if (home := public_home(node.module, name.name))
    ]
    assert inside == []
    assert public_home("neurosim.crossbar.array", "Crossbar") == "neurosim"
    assert public_home("neurosim.devices.card", "load") == "neurosim.devices"
    assert public_home("neurosim.crossbar.writer", "Writer") is None


def test_the_search_finds_inner_modules():
    assert inner_modules("x\nfrom neurosim.study.deep import deep\n    import neurosim.data as d\n") == {
        "neurosim.study.deep",
        "neurosim.data",
    }
    assert not inner_modules("import neurosim as ns\nfrom neurosim import devices")


def test_names_of_ns_in_pages_exist():
    used = {
        name
        for page in PAGES
        if page.suffix != ".ipynb"
        for name in re.findall(r"(?<![\w.])ns\.([A-Za-z_]\w*)", page.read_text(encoding="utf-8"))
    }
    assert {"Crossbar", "compare", "Learner"} <= used
    assert not used - set(ns.__all__)


def test_pages_name_stuck_cells_as_laws_do():
    known = set().union(*(type(ns.devices.load(name)).model_fields for name in cards()))
    for page in (ROOT / "docs").glob("*.md"):
        named = set(re.findall(r"`(p_stuck_\w+)`", page.read_text(encoding="utf-8")))
        assert named <= known, page.name


def test_notebooks_have_the_cells_of_their_sources():
    jupytext = pytest.importorskip("jupytext")
    for source in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py")):
        executed = jupytext.read(source.with_suffix(".ipynb"))
        assert [cell.source for cell in jupytext.read(source).cells] == [
            cell.source for cell in executed.cells
        ]


def test_public_objects_are_told_in_one_short_line():
    many = ns.DenseExperiment(device=tuple(cards()))
    arm = ns.DeepArm(name="x", device=PCM, rule="softhebb", write={"decay_mode": "gain", "flush_pulses": 4})
    shown = [
        ns.Crossbar((4, 2), PCM), ns.IdealArray((4, 2)), ns.data.load("digits"), many, arm, ns.ReadPath(),
        ns.Learner(many), ns.Results(kind="dense"),
    ]  # fmt: skip
    for thing in shown[:5] + shown[6:]:
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 260
        assert type(thing).__name__ in repr(thing)
    assert PCM in repr(shown[0])
    assert "4 x 2" in repr(shown[1])
    assert "digits" in repr(shown[2])
    assert "more" in repr(many)
    assert PCM in repr(arm)
    assert "decay_mode" in repr(arm)


def test_the_snippets_of_the_page_on_learners_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "learner.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)  # noqa: S102 (our own page)
    assert capsys.readouterr().out.startswith("Learner(dense experiment")
    assert 0 <= names["young"] <= 1
    assert np.isfinite(names["young"])
    assert (tmp_path / "out" / "mine" / "results.json").is_file()
