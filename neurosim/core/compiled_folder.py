"""The folder of compiled kernels and of users' sources, named by what can be compiled; nobody else may write to it."""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import os
import shutil
import stat
import tempfile
import warnings
from contextlib import suppress
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

COMPILED = ("kernels", "devices", "devices/fitting")
"""Folders whose code is compiled; a change anywhere else leaves compiled kernels as they are."""


def _compiled_sources() -> list[Path]:
    package = Path(__file__).resolve().parents[1]
    folders = (package / name for name in COMPILED)
    files = [file for folder in folders for file in sorted(folder.glob("*.py"))]
    for entry in entry_points(group="neurosim.laws"):
        if not entry.module.startswith("neurosim."):
            files.extend(_sources_of(entry.module))
    return files


def _sources_of(module: str) -> list[Path]:
    """File of a module, found without importing anything of its package (which may import us); or none."""
    top, *below = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        found = [Path(spec.origin)] if spec.origin else []
    else:
        stems = [Path(folder, *below) for folder in spec.submodule_search_locations]
        found = [file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py")]
    return [file for file in found if file.is_file()]


@cache
def cache_folder() -> str | None:
    """Return the folder of compiled kernels, which no other user may write to; None keeps none.

    It lies below `NEUROSIM_CACHE` or the user's cache; where that cannot be written or is not trusted, in a
    temporary folder of the user; where another holds that one's name, in one that this process and its children
    have to themselves. The files in it are pickles, and loading a pickle runs whatever code is in it.
    """
    digest = hashlib.sha256()
    for file in _compiled_sources():
        digest.update(f"{file.name} {file.stat().st_size} ".encode())
        digest.update(file.read_bytes())
    name = digest.hexdigest()[:16]
    for place in (_users_cache, _temporary, _fresh):
        try:
            return str(place(name))
        except _Distrusted as fault:
            say_once("untrusted", f"compiled kernels are not kept there: {fault}")
        except OSError:
            continue
    return None


def _users_cache(name: str) -> Path:
    given = os.environ.get("NEUROSIM_CACHE")
    if given:
        return _private(Path(os.path.expanduser(given)), "kernels", name)
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = home if os.path.isabs(home) else os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        raise FileNotFoundError("this user has no home")
    return _private(Path(base, "neurosim"), "kernels", name, ours=True)


def _temporary(name: str) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "kernels"
    return _private(Path(tempfile.gettempdir()), f"neurosim-{user}", name)


def _fresh(name: str) -> Path:
    """Make a folder of a name that no one can know; children find it as `NEUROSIM_CACHE`."""
    _private(Path(tempfile.gettempdir()))
    base = tempfile.mkdtemp(prefix="neurosim-")
    maker = os.getpid()

    def remove() -> None:
        if os.getpid() == maker:
            shutil.rmtree(base, ignore_errors=True)

    atexit.register(remove)
    os.environ["NEUROSIM_CACHE"] = base
    return _private(Path(base), "kernels", name)


class _Distrusted(Exception):
    """Another user could have put something into the folder."""


def _private(base: Path, *below: str, ours: bool = False) -> Path:
    """Make folders below `base` that only this user may enter, and return the last.

    Parameters
    ----------
    base : Path
        May be a link and, as folders for temporary files are, open to others where they cannot rename what
        is not theirs.
    below : str
        Folders made in it, each in the one before. In the last one nobody else may ever have written.
    ours : bool
        No one has business in `base` but us: others lose the permission to write that an umask gave them.

    Raises
    ------
    _Distrusted
        If a folder belongs to another user, others may write to it, or it is a link; or if anyone may write to one
        above, and so put another in its place.
    OSError
        If a folder cannot be made or written to.
    """
    for above in reversed(base.parents):  # mkdir(parents=True) would give them what the umask leaves
        if not above.exists():
            above.mkdir(0o700, exist_ok=True)
    base.mkdir(0o700, exist_ok=True)
    folder = base.resolve()
    if ours:
        _tighten(folder)
    _check_above(folder)
    _check_owner(folder, shared=True)
    for depth, name in enumerate(below, 1):
        folder = folder / name
        with suppress(FileExistsError):
            folder.mkdir(0o700)
        if depth < len(below):
            _tighten(folder)
        _check_owner(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(folder)
    return folder


def _check_owner(folder: Path, shared: bool = False) -> None:
    """Raise `_Distrusted` unless the folder is this user's, or, as the place `shared` with others, the system's."""
    if not hasattr(os, "getuid"):  # Windows: folders of a user's profile are his
        return
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _Distrusted(f"{folder} is a link or a file, no folder of this user; remove it")
    if found.st_uid != os.getuid() and not (shared and found.st_uid == 0):
        raise _Distrusted(
            f"{folder} belongs to another user (number {found.st_uid}); let NEUROSIM_CACHE name a folder of your own"
        )
    open_to_others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if open_to_others and not (shared and found.st_mode & stat.S_ISVTX):
        raise _Distrusted(
            f"others may write to {folder}; remove it, or let NEUROSIM_CACHE name a folder of your own alone"
        )


def _check_above(folder: Path) -> None:
    """Raise `_Distrusted` if anyone may rename a folder on the way to this one; groups may, as on disks of laboratories."""
    for above in folder.parents if hasattr(os, "getuid") else ():
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise _Distrusted(
                f"anyone may write to {above} and put another folder in the place of {folder}; take that permission "
                "away (chmod o-w), or let NEUROSIM_CACHE name a folder elsewhere"
            )


def _tighten(folder: Path) -> None:
    """Take the permission to write from others, where the folder is this user's."""
    found = folder.lstat()
    if hasattr(os, "getuid") and stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
        others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if others:
            folder.chmod(stat.S_IMODE(found.st_mode) & ~others)


_said: set[str] = set()


def say_once(kind: str, text: str) -> None:
    """Warn once in a process of what is wrong with that folder."""
    if kind not in _said:
        _said.add(kind)
        warnings.warn_explicit(text, UserWarning, "neurosim", 0)


def cannot_keep(error: Exception) -> None:
    """Say once that what is compiled is lost when the process ends."""
    say_once("unkept", f"compiled kernels cannot be kept, the next start compiles them anew: {error}")
