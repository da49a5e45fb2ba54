"""What is installed is what is on disk, imports are light and guarded, and kernels are never stale."""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import helpers
import numpy as np
import pytest
from helpers import ROOT

import neurosim
from neurosim import devices
from neurosim.core import compiled_folder
from neurosim.kernels import jit

TESTS = Path(__file__).parent


def run(program: str, folder: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def listed_packages() -> list[str]:
    return setup_cfg()["options"]["packages"].split()


def packages_on_disk() -> set[str]:
    """Every folder with an __init__.py below neurosim/, through the two symlinks."""
    found = set()
    for folder, below, files in os.walk(ROOT / "neurosim", followlinks=True):
        below[:] = [name for name in below if name != "__pycache__"]
        if "__init__.py" in files:
            found.add(".".join(Path(folder).relative_to(ROOT).parts))
    return found


def test_the_packages_listed_are_the_folders_on_disk():
    assert set(listed_packages()) == packages_on_disk()
    assert len(set(listed_packages())) == len(listed_packages())


def test_pages_name_every_package_and_extras_by_the_name_that_pip_knows():
    name = setup_cfg()["metadata"]["name"]
    extras = set(setup_cfg()["options.extras_require"])
    files = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    files += [file for file in (ROOT / "neurosim").rglob("*.py") if file.is_file()]
    asked = [
        (file.name, *found)
        for file in files
        for found in re.findall(r"pip install '([\w-]+)\[(\w+)\]'", file.read_text(encoding="utf-8"))
    ]
    assert asked
    assert {(package, extra in extras) for _, package, extra in asked} == {(name, True)}, asked
    top = {package.split(".")[1] for package in listed_packages() if package.count(".") == 1}
    extending = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    arrows = next(line for line in extending.splitlines() if line.startswith("    core ←"))
    assert set(re.findall(r"\w+", arrows)) == top
    assert all(f"`{package}/`" in extending for package in top)


@pytest.mark.parametrize("name", ["devices", "rules"])
def test_top_level_folders_are_linked_into_the_package_by_relative_symlinks(name):
    link = ROOT / "neurosim" / name
    assert link.is_symlink()
    target = os.readlink(link)
    assert target == f"../{name}"
    assert not os.path.isabs(target)
    assert link.resolve() == (ROOT / name).resolve()
    mapped = dict(line.split(" = ") for line in setup_cfg()["options"]["package_dir"].strip().splitlines())
    assert mapped[f"neurosim.{name}"] == name


@pytest.mark.parametrize("name", ["devices", "rules"])
def test_importing_a_top_level_folder_by_its_bare_name_is_refused_with_the_right_name(name):
    done = run(f"import {name}")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError")
    assert f"neurosim.{name}" in last
    assert run(f"import neurosim.{name}").returncode == 0


def test_data_files_of_the_packages_are_declared():
    declared = {key: value.split() for key, value in setup_cfg()["options.package_data"].items()}
    for package, patterns in declared.items():
        folder = ROOT / package.replace(".", "/")
        for pattern in patterns:
            if package != "neurosim.report":
                assert list(folder.glob(pattern)), f"{package}: {pattern}"
    on_disk = {file.suffix for file in (ROOT / "devices").rglob("*") if file.is_file()} - {
        ".py",
        ".pyc",
        ".md",
    }
    assert on_disk == {".toml"}


def test_importing_neurosim_imports_nothing_heavy():
    heavy = ["torch", "matplotlib", "numba", "scipy", "sklearn", "brian2", "pydantic", "numpy"]
    done = run(f"import sys, neurosim; print([name for name in {heavy} if name in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_a_crossbar_imports_neither_torch_nor_matplotlib():
    done = run(
        "import sys, neurosim as ns; ns.Crossbar, ns.devices.load('ideal'), ns.rules, ns.network;"
        "print([name for name in ('torch', 'matplotlib', 'brian2', 'sklearn') if name in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    "layer", ["core.errors", "core.config", "core.protocols", "core.registry", "core.seeds"]
)
def test_the_core_imports_no_numba(layer):
    done = run(f"import sys, neurosim.{layer}; print('numba' in sys.modules)")
    assert done.stdout.strip() == "False", done.stdout + done.stderr


def test_public_names_are_there_and_unknown_ones_are_not():
    for name in neurosim.__all__:
        if name not in ("report", "study"):
            assert getattr(neurosim, name) is not None
    assert dir(neurosim) == sorted(neurosim.__all__)
    assert set(neurosim.__all__) == {*neurosim._HOMES, *neurosim._MODULES, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'Crossbars'"):
        _ = neurosim.Crossbars
    assert neurosim.__version__ == setup_cfg()["metadata"]["version"]


def test_the_environments_packages_import_together():
    """brian2 2.9 breaks on numpy 2.4, and an open torch range takes a CUDA build: import all of them at once."""
    if importlib.util.find_spec("brian2") is None:
        pytest.skip("extra 'spiking' is not installed")
    done = run(
        "import numpy, numba, torch, brian2 as b2, neurosim\n"
        "print(b2.__version__, numpy.__version__, numba.__version__, torch.__version__)\n"
        "print((b2.Quantity(3, dim=b2.second.dim) / b2.second), torch.zeros(2).numpy().sum())\n"
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) >= 6


def test_kernels_without_compilation_give_the_same_numbers():
    """NUMBA_DISABLE_JIT=1: the plain Python of every layer of kernels, against the compiled code."""
    program = "import json, helpers; print(json.dumps(helpers.digest()))"
    done = run(program, TESTS, NUMBA_DISABLE_JIT="1", PYTHONWARNINGS="error::RuntimeWarning")
    assert done.returncode == 0, done.stderr
    plain, compiled = json.loads(done.stdout), helpers.digest()
    assert plain.keys() == compiled.keys()
    for name, values in compiled.items():
        np.testing.assert_allclose(plain[name], values, rtol=1e-6, atol=1e-6, err_msg=name)
    for exact in ("words", "uniform", "normal"):
        assert plain[exact] == compiled[exact]


# The kernel cache


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A copy of the compiled sources, and a cache folder of its own."""
    copies = []
    for index, file in enumerate(compiled_folder._compiled_sources()):
        copies.append(tmp_path / f"{index} {file.name}")
        copies[-1].write_bytes(file.read_bytes())
    monkeypatch.setattr(compiled_folder, "_compiled_sources", lambda: copies)
    monkeypatch.setenv("NEUROSIM_CACHE", str(tmp_path / "cache"))
    yield copies
    compiled_folder.cache_folder.cache_clear()


def folder_now() -> str:
    compiled_folder.cache_folder.cache_clear()
    return compiled_folder.cache_folder()


def test_the_kernel_cache_moves_when_any_kernel_source_changes(sources, tmp_path):
    first = folder_now()
    assert first == folder_now()
    assert Path(first).is_dir()
    assert Path(first).is_relative_to(tmp_path / "cache")
    seen = {first}
    for file in sources:
        text = file.read_text(encoding="utf-8")
        file.write_text(text + "# one more line\n", encoding="utf-8")
        seen.add(folder_now())
        file.write_text(text, encoding="utf-8")
    assert len(seen) == len(sources) + 1
    assert folder_now() == first


def test_the_cache_covers_every_source_that_holds_a_kernel():
    hashed = {file.resolve() for file in compiled_folder._compiled_sources()}
    for file in [
        *(ROOT / "neurosim").rglob("*.py"),
        *(ROOT / "devices").glob("*.py"),
        *(ROOT / "rules").glob("*.py"),
    ]:
        if "@jit" in file.read_text(encoding="utf-8"):
            assert file.resolve() in hashed, file


def test_a_cache_that_cannot_be_written_falls_back_to_a_temporary_folder(sources, tmp_path, monkeypatch):
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    monkeypatch.setenv("NEUROSIM_CACHE", str(blocked))
    monkeypatch.setattr(compiled_folder.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    folder = Path(folder_now())
    assert folder.is_relative_to(tmp_path / "temporary")
    assert folder.is_dir()


def test_sources_of_third_party_laws_are_found_without_importing_their_package(tmp_path, monkeypatch):
    package = tmp_path / "acme_laws"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "law.py").write_text("")
    (tmp_path / "acme_single.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert compiled_folder._sources_of("acme_laws.law") == [package / "law.py"]
    assert compiled_folder._sources_of("acme_laws") == [package / "__init__.py"]
    assert compiled_folder._sources_of("acme_single") == [tmp_path / "acme_single.py"]
    assert compiled_folder._sources_of("acme_laws.missing") == []
    assert compiled_folder._sources_of("acme_missing.law") == []
    assert "acme_laws" not in sys.modules


def test_threads_can_be_set_and_never_fall_below_one():
    before = jit.threads()
    try:
        for wanted, got in ((3, 3), (0, 1), (-2, 1)):
            neurosim.set_threads(wanted)
            assert jit.threads() == got
        neurosim.set_threads(3)
        assert jit.share(lambda item: item * item, range(50)) == [item * item for item in range(50)]
        with pytest.raises(ZeroDivisionError):
            jit.share(lambda item: 1 / item, [1, 0, 2])
    finally:
        neurosim.set_threads(before)


def test_a_wheel_holds_everything_and_works_from_another_folder(tmp_path):
    """Built of a copy, unpacked beside nothing of the checkout: cards, prices, templates, files to begin with, entry points."""
    source, wheels, home = tmp_path / "source", tmp_path / "wheels", tmp_path / "home"
    source.mkdir()
    home.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("neurosim", "devices", "rules"):
        shutil.copytree(
            ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    built = run(
        f"from setuptools import build_meta; print(build_meta.build_wheel({str(wheels)!r})); "
        f"print(build_meta.build_sdist({str(wheels)!r}))",
        source,
    )
    assert built.returncode == 0, built.stderr
    (wheel,), (sdist,) = wheels.glob("*.whl"), wheels.glob("*.tar.gz")
    held = set(zipfile.ZipFile(wheel).namelist())
    suffixes = {".py", ".toml", ".typed", ".html", ".css", ".j2", ".mplstyle"}
    on_disk = {
        str(Path(folder).relative_to(ROOT) / name)
        for folder, _, names in os.walk(ROOT / "neurosim", followlinks=True)
        for name in names
        if Path(name).suffix in suffixes
    }
    assert on_disk - held == set()
    assert not [name for name in held if name.startswith(("tests", "benchmarks"))]
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "devices/cards/pcm-nandakumar-2018.toml",
        "neurosim/cli/experiments/deep.toml",
        "rules/hebb.py",
    } <= inside
    place = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(place)
    asked = run(
        f"import sys; sys.path.insert(0, {str(place)!r}); sys.argv = ['neurosim', 'init', 'compare']; import neurosim as ns;"
        f"assert ns.__file__.startswith({str(place)!r}), ns.__file__;"
        "print(ns.devices.load('pcm-nandakumar-2018').law, len(ns.devices.cards()));"
        "import neurosim.cli; neurosim.cli.main()",
        home,
    )
    assert asked.stdout.startswith(f"pcm-accumulative {len(devices.cards())}"), asked.stderr
    assert (home / "compare.toml").is_file()


def test_links_of_the_readme_lead_to_files_that_are_kept_beside_it():
    """A forge and a copy of the repository follow them; no address of a home is known that a package index could follow."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert [link for link in links if link.endswith(".svg")], "the figure"
