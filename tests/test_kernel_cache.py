"""The folder of compiled kernels is the user's alone, and whatever is wrong with it costs time, never the run."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

import neurosim
from neurosim.core import compiled_folder, own_modules
from neurosim.core.compiled_folder import COMPILED
from neurosim.kernels import jit

ROOT = Path(__file__).resolve().parents[1]
HERE = pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders of this system have no owner")
PROGRAM = "import neurosim as ns; a = ns.Crossbar((4, 2), 'ideal'); print(a.forward([[1.0] * 4]).shape)"
COUNTED = (
    PROGRAM
    + "\nfrom neurosim.kernels import cells\nprint(sum(cells.construct_cells.stats.cache_misses.values()))"
)


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A cache and a temporary folder of the test's own; no warning has been said."""
    cache, temporary = tmp_path / "cache", tmp_path / "temporary"
    temporary.mkdir(mode=0o700)
    monkeypatch.setenv("NEUROSIM_CACHE", str(cache))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(temporary))
    monkeypatch.setattr(compiled_folder, "_said", set())
    compiled_folder.cache_folder.cache_clear()
    yield tmp_path
    compiled_folder.cache_folder.cache_clear()


def kept(fresh) -> Path:
    compiled_folder.cache_folder.cache_clear()
    folder = compiled_folder.cache_folder()
    assert folder is not None
    return Path(folder)


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def foreign(monkeypatch, folder: Path) -> None:
    """Let one folder seem to be another user's."""
    found = Path.lstat

    def lstat(self):
        at = found(self)
        if self != folder:
            return at
        return os.stat_result([*at[:4], os.getuid() + 1, *at[5:10]])

    monkeypatch.setattr(Path, "lstat", lstat)


def start(cache: Path, program: str = PROGRAM, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NEUROSIM_CACHE": str(cache), **environment}
    return subprocess.run(
        [sys.executable, "-c", program], check=False, env=env, capture_output=True, text=True, timeout=300
    )


# Whose folder it is


def test_folders_are_made_for_this_user_alone_whatever_the_umask(fresh):
    before = os.umask(0)
    try:
        folder = kept(fresh)
        name = own_modules.own_module(b"one = 1\n")
    finally:
        os.umask(before)
    assert folder.parent.parent == fresh / "cache"
    assert {mode(each) for each in (folder, folder.parent, folder.parent.parent, folder / "own")} == {0o700}
    assert (folder / "own" / f"{name}.py").is_file()


@HERE
@pytest.mark.parametrize(
    ("fault", "above"),
    [
        ("writable", 0),
        ("foreign", 0),
        ("link", 0),
        ("foreign", 1),
        ("link", 1),
        ("writable", 2),
        ("foreign", 2),
    ],
)
def test_a_folder_in_which_others_may_have_written_is_not_used(fresh, monkeypatch, fault, above):
    last = kept(fresh)
    folder = [last, *last.parents][above]
    if fault == "writable":
        folder.chmod(0o770)
    elif fault == "foreign":
        foreign(monkeypatch, folder)
    else:
        folder.rename(fresh / "moved")
        folder.symlink_to(fresh / "moved")
    with pytest.warns(UserWarning, match=r"compiled kernels are not kept there: .*; .*") as said:
        found = kept(fresh)
    assert len(said) == 1
    assert "\n" not in str(said[0].message)
    assert found.parent.parent == fresh / "temporary"
    assert mode(found) == mode(found.parent) == 0o700


@HERE
@pytest.mark.parametrize("depth", [1, 2])
def test_a_folder_that_anyone_may_replace_from_above_is_not_used(fresh, monkeypatch, depth):
    """Its own mode protects nothing where a parent lets anyone rename it; with the sticky bit nobody can."""
    above = fresh / "open"
    cache = above.joinpath("between", "cache") if depth == 2 else above / "cache"
    monkeypatch.setenv("NEUROSIM_CACHE", str(cache))
    assert kept(fresh).parent.parent == cache
    above.chmod(0o775)  # of a group, as disks of laboratories are
    assert kept(fresh).parent.parent == cache
    above.chmod(0o777)
    with pytest.warns(UserWarning, match=rf"not kept there: anyone may write to {above}") as said:
        found = [kept(fresh) for _ in range(2)]
    assert len(said) == 1
    assert {each.parent.parent for each in found} == {fresh / "temporary"}
    above.chmod(0o1777)
    assert kept(fresh).parent.parent == cache


@HERE
def test_folders_above_the_cache_are_made_for_this_user_alone(fresh, monkeypatch):
    monkeypatch.setenv("NEUROSIM_CACHE", str(fresh / "new" / "cache"))
    before = os.umask(0)
    try:
        folder = kept(fresh)
    finally:
        os.umask(before)
    assert folder.is_relative_to(fresh / "new")
    assert mode(fresh / "new") == 0o700


@HERE
def test_a_cache_may_be_a_link_and_a_folder_within_is_closed_again(fresh):
    last = kept(fresh)
    (fresh / "cache").rename(fresh / "moved")
    (fresh / "cache").symlink_to(fresh / "moved")
    (fresh / "moved" / "kernels").chmod(0o775)  # what is below is checked for itself
    found = kept(fresh)
    assert found == fresh / "moved" / "kernels" / last.name
    assert mode(found.parent) == 0o755


@HERE
def test_the_users_own_cache_loses_the_permissions_of_a_wide_umask(fresh, monkeypatch):
    """A umask of 002 is the default of many systems; it must not cost the cache."""
    monkeypatch.delenv("NEUROSIM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh / "home"))
    (fresh / "home" / "neurosim").mkdir(parents=True)
    (fresh / "home" / "neurosim").chmod(0o775)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = kept(fresh)
    assert folder.parent.parent == fresh / "home" / "neurosim"
    assert mode(folder.parent.parent) == 0o755


@HERE
@pytest.mark.parametrize("fault", ["link", "foreign", "file", "writable"])
def test_a_planted_temporary_folder_is_passed_by(fresh, monkeypatch, fault):
    (fresh / "cache").write_text("in the way")
    ordinary = kept(fresh)
    assert ordinary.parent.parent == fresh / "temporary"
    planted = ordinary.parent
    if fault == "foreign":
        foreign(monkeypatch, planted)
    elif fault == "writable":
        ordinary.chmod(0o777)
    else:
        planted.rename(fresh / "elsewhere")
        if fault == "link":
            planted.symlink_to(fresh / "elsewhere")
        else:
            planted.write_text("in the way")
    made = []
    monkeypatch.setattr(compiled_folder.atexit, "register", made.append)
    with pytest.warns(UserWarning, match="not kept there"):
        found = kept(fresh)
    assert found.is_relative_to(fresh / "temporary")
    assert not found.is_relative_to(planted)
    assert mode(found) == mode(found.parent.parent) == 0o700
    assert kept(fresh) == found, "a child must find the folder of its parent"
    made[0]()
    assert not found.parent.parent.exists()


@HERE
def test_temporary_files_that_anyone_may_rename_keep_nothing(fresh):
    (fresh / "cache").write_text("in the way")
    (fresh / "temporary").chmod(0o777)
    compiled_folder.cache_folder.cache_clear()
    with pytest.warns(UserWarning, match="others may write"):
        found = compiled_folder.cache_folder()
    assert found is None
    (fresh / "temporary").chmod(0o1777)
    assert kept(fresh).parent.parent == fresh / "temporary"


def test_without_any_folder_kernels_and_laws_still_work(fresh, monkeypatch):
    def refuse(*folders, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(compiled_folder, "_private", refuse)
    assert compiled_folder.cache_folder() is None
    name = own_modules.own_module(b"two = 2\n")
    assert __import__(name).two == 2

    def doubled(x):
        return 2 * x

    assert jit.jit(doubled)(3) == 6


def test_a_cache_is_never_in_the_working_folder(fresh, monkeypatch):
    monkeypatch.setenv("NEUROSIM_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # a user number without a home
    monkeypatch.chdir(fresh)
    assert kept(fresh).is_relative_to(fresh / "temporary")
    assert sorted(os.listdir(fresh)) == ["temporary"]


# A user's law beside the kernels


def forget(name: str) -> None:
    """As in another process."""
    sys.modules.pop(name, None)
    own_modules._own_sources.pop(name, None)


def test_a_law_is_read_back_only_if_it_is_what_its_name_says(fresh):
    source = b"who = 'the user'\n"
    name = own_modules.own_module(source)
    file = kept(fresh) / "own" / f"{name}.py"
    assert file.read_bytes() == source
    forget(name)
    assert __import__(name).who == "the user"
    forget(name)
    file.write_bytes(b"who = 'someone'\n")
    with pytest.raises(ImportError, match="its content is not what its name says"):
        __import__(name)
    assert own_modules.own_module(source) == name
    assert file.read_bytes() == source
    assert __import__(name).who == "the user"
    forget(name)


def test_a_law_leaves_and_believes_no_bytecode(fresh):
    source = b"who = 'the user'\n"
    name = own_modules.own_module(source)
    __import__(name)
    folder = kept(fresh) / "own"
    assert os.listdir(folder) == [f"{name}.py"]
    forget(name)


def test_a_law_that_cannot_be_kept_still_runs(fresh, monkeypatch):
    kept(fresh)

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match="cannot be kept"):
        name = own_modules.own_module(b"three = 3\n")
    assert __import__(name).three == 3
    forget(name)


# Compiled code


def test_a_second_start_compiles_nothing_and_nothing_lies_beside_the_sources(tmp_path):
    for misses in ("1", "0"):
        done = start(
            tmp_path, COUNTED, PYTHONWARNINGS="error", NUMBA_CACHE_LOCATOR_CLASSES="InTreeCacheLocator"
        )
        assert done.stdout.split()[-1] == misses, done.stderr
    assert list(tmp_path.rglob("*.nbi"))
    beside = [*ROOT.rglob("*.nbi"), *ROOT.rglob("*.nbc")]
    assert beside == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("damage", ["cut", "zeros", "one bit"])
def test_damaged_files_are_compiled_anew_and_mended(tmp_path, what, damage):
    assert start(tmp_path).returncode == 0
    files = list(tmp_path.rglob(what))
    assert files
    for file in files:
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 4
        damaged = {"cut": whole[: len(whole) // 2], "zeros": bytes(len(whole)), "one bit": bytes(flipped)}
        file.write_bytes(damaged[damage])
    for misses in ("1", "0"):
        done = start(tmp_path, COUNTED, PYTHONWARNINGS="error")
        assert done.returncode == 0, done.stderr
        if (what, damage) != ("*.nbi", "one bit"):  # that bit may lie where it does no harm
            assert done.stdout.split()[-1] == misses


FULL = """
import errno, os
from numba.core import caching
from contextlib import contextmanager

@contextmanager
def full(self, path):
    raise OSError(errno.{name}, os.strerror(errno.{name}))
    yield

caching.IndexDataCacheFile._open_for_write = full
"""


@pytest.mark.parametrize("name", ["ENOSPC", "EACCES"])
def test_a_disk_that_takes_nothing_costs_one_warning(tmp_path, name):
    done = start(tmp_path, FULL.format(name=name) + COUNTED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["(1,", "2)", "1"]
    assert done.stderr.count("\n") == done.stderr.count("cannot be kept") == 1
    assert os.strerror(getattr(errno, name)) in done.stderr
    assert not [*tmp_path.rglob("*.nb?"), *ROOT.rglob("*.nbi")]


def mounted(folder: Path, options: str) -> bool:
    return (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
        == 0
    )


@pytest.mark.parametrize("options", ["size=64k,mode=700", "ro,mode=700"])
def test_a_real_full_or_read_only_disk(tmp_path, options):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not sys.platform.startswith("linux") or not mounted(disk, options):
        pytest.skip("needs the right to mount a file system")
    try:
        if "size" in options:
            (disk / "filler").write_bytes(bytes(40 << 10))
        temporary = tmp_path / "temporary"
        temporary.mkdir(mode=0o700)
        done = start(disk, TMPDIR=str(temporary))
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["(1,", "2)"]
        assert done.stderr.count("cannot be kept") == ("size" in options)
        assert bool(list(temporary.rglob("*.nbi"))) == ("ro" in options.split(",")[0])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_two_processes_that_compile_at_once_never_load_each_others_code(fresh):
    """Numba numbers data files from what it found in the index: both would write number 1."""
    folder = fresh / "files"
    folder.mkdir()
    one, other = (jit._Files(str(folder), "kernel", "stamp") for _ in range(2))
    seen = other._load_index()
    one.save("float32", "code for float32")
    other._load_index = lambda: seen
    other.save("float64", "code for float64")
    late = jit._Files(str(folder), "kernel", "stamp")
    assert late.load("float64") == "code for float64"
    assert late.load("float32") in (None, "code for float32")


def test_a_function_without_a_file_is_compiled_and_not_kept(fresh):
    def thrice(x):
        return 3 * x

    typed = type(thrice)(thrice.__code__.replace(co_filename="<stdin>"), {"__name__": "typed"}, "thrice")
    assert jit.jit(typed)(2) == 6
    assert list(kept(fresh).rglob("*.nb?")) == []


@pytest.mark.parametrize("compiled", [jit.jit, jit.inlined, jit.apart])
def test_a_kernel_has_an_entry_for_python_once_python_calls_it(fresh, compiled):
    """Without one a call from Python would end the process."""

    def thrice(x):
        return 3 * x

    def one_more(x):
        return inner(x) + 1

    inner = compiled(thrice)
    outer = jit.jit(one_more)
    assert outer(2) == 7
    assert [len(kernel._without_entry()) for kernel in (inner, outer)] == [1, 0]
    assert (inner(2), outer(3), inner(2.0)) == (6, 10, 6.0)
    assert (inner._without_entry(), len(inner.overloads)) == (set(), 2)
    again = jit.jit(one_more)  # inner has an entry: it serves both
    assert (again(4), len(inner.overloads)) == (13, 2)


def test_both_forms_of_a_kernel_are_kept(tmp_path):
    """What was kept for kernels is never given to Python, nor compiled again for either."""
    program = (
        "import numpy as np\nfrom neurosim.kernels import random\nfrom neurosim.kernels.jit import jit\n"
        "def first(cell, event, number, key):\n    return random.philox(cell, event, number, key)[0]\n"
        "found = FUNCTION(3, 1, 2, np.array([1, 2], np.uint64))\n"
        "print(int(found), sum(random.philox.stats.cache_misses.values()))"
    )
    said = []
    for function in ("jit(first)", "first", "jit(first)", "first"):
        done = start(tmp_path, program.replace("FUNCTION", function))
        said.append(done.stdout.split())
        assert done.returncode == 0, done.stderr
    assert len({word for word, _ in said}) == 1
    assert [int(missed) for _, missed in said] == [1, 1, 0, 0]


def test_nothing_is_compiled_outside_the_folders_that_name_the_cache() -> None:
    package = Path(neurosim.__file__).parent
    inside = {(package / name).resolve() for name in COMPILED}
    compiling = re.compile(
        r"from neurosim\.kernels\.jit import [^\n]*\b(jit|inlined|inlined_as|apart|Scalar)\b|^(import|from) numba\b",
        re.MULTILINE,
    )
    folders = [
        package,
        *(path for path in package.rglob("*") if path.is_dir()),
        package / "devices",
        package / "rules",
    ]
    outside = [
        str(file)
        for folder in {folder.resolve() for folder in folders} - inside
        for file in folder.glob("*.py")
        if re.search(
            compiling,
            re.sub(r'""".*?"""|#[^\n]*|"[^"]*"', "", file.read_text(encoding="utf-8"), flags=re.DOTALL),
        )
    ]
    assert outside == []
