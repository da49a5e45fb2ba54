"""The one place that owns numba's options, the kernel cache and the number of threads.

numba's cache looks only at the file of the outermost function: a device law edited in another file would
silently keep its old machine code. So the cache lies in a folder named by a hash of every source that can
be compiled into a kernel: neurosim's own and those of registered third-party laws.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import inspect
import os
import pickle
import shutil
import stat
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import caching
from numpy.typing import DTypeLike, NDArray

from neurosim.core.checks import whole
from neurosim.core.errors import ConfigError

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")
Item = TypeVar("Item")
Scalar = float | np.floating[Any]


def _compiled_sources() -> list[Path]:
    package = Path(__file__).resolve().parents[1]
    names = ("kernels", "devices", "devices/fitting", "rules", "crossbar")
    folders = (package / name for name in names)
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
            _say_once("untrusted", f"compiled kernels are not kept there: {fault}")
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
        If a folder belongs to another user, others may write to it, or it is a link.
    OSError
        If a folder cannot be made or written to.
    """
    base.mkdir(0o700, parents=True, exist_ok=True)
    folder = base.resolve()
    if ours:
        _tighten(folder)
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


def _tighten(folder: Path) -> None:
    """Take the permission to write from others, where the folder is this user's."""
    found = folder.lstat()
    if hasattr(os, "getuid") and stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
        others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if others:
            folder.chmod(stat.S_IMODE(found.st_mode) & ~others)


_said: set[str] = set()


def _say_once(kind: str, text: str) -> None:
    if kind not in _said:
        _said.add(kind)
        warnings.warn_explicit(text, UserWarning, "neurosim", 0)


_OWN = "neurosim_own_"
_own_sources: dict[str, bytes] = {}


def _own_name(source: bytes) -> str:
    return f"{_OWN}{hashlib.sha256(source).hexdigest()[:32]}"


def own_module(source: bytes) -> str:
    """Keep a user's source beside the compiled kernels; returns the name of the module that it now is.

    Compiled kernels name the types in it: later processes must find them, whether or not they use that law.
    The name follows the content, so a changed source is another module and never meets stale kernels.
    """
    name = _own_name(source)
    _own_sources[name] = source
    folder = cache_folder()
    if folder is not None:
        file = Path(folder, "own", f"{name}.py")
        try:
            file.parent.mkdir(0o700, exist_ok=True)
            if not file.is_file() or file.read_bytes() != source:
                part = file.with_suffix(f".{os.getpid()}")
                try:
                    part.write_bytes(source)
                    part.replace(file)
                finally:
                    part.unlink(missing_ok=True)
        except OSError as error:
            _cannot_keep(error)
    return name


class _OwnLoader(SourceFileLoader):
    """Runs a user's source only if it is what its name says, and leaves no bytecode beside it."""

    def get_data(self, path: str) -> bytes:
        source = _own_sources.get(self.name)
        if source is None:
            source = Path(path).read_bytes()
            if _own_name(source) != self.name:
                raise ImportError(f"{path}: its content is not what its name says", name=self.name)
        return source

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


class _OwnFinder(MetaPathFinder):
    """Finds the modules that `own_module` named, in this process or in another one before."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not fullname.startswith(_OWN):
            return None
        file = os.path.join(cache_folder() or "", "own", f"{fullname}.py")
        if fullname not in _own_sources and not os.path.isfile(file):
            return None
        return importlib.util.spec_from_file_location(fullname, file, loader=_OwnLoader(fullname, file))


sys.meta_path.insert(0, _OwnFinder())


def _cannot_keep(error: Exception) -> None:
    _say_once("unkept", f"compiled kernels cannot be kept, the next start compiles them anew: {error}")


_numbas: Any = caching


class _Locator(_numbas.UserProvidedCacheLocator):  # type: ignore[misc]
    """Below `cache_folder` and nowhere else: numba's next choice would be `__pycache__` beside the source."""

    def __init__(self, function: Callable[..., Any], file: str, folder: str):
        self._py_file = file
        self._lineno = function.__code__.co_firstlineno
        self._cache_path = os.path.join(folder, self.get_suitable_cache_subpath(file))

    def ensure_cache_path(self) -> None:
        os.makedirs(self._cache_path, 0o700, exist_ok=True)


class _Results(_numbas.CompileResultCacheImpl):  # type: ignore[misc]
    """Numba's way of writing down what it compiled."""

    def __init__(self, function: Callable[..., Any], locator: _Locator):
        self._lineno = function.__code__.co_firstlineno
        self._locator = locator
        module = Path(inspect.getfile(function)).stem
        self._filename_base = self.get_filename_base(
            f"{module}.{function.__qualname__}", getattr(sys, "abiflags", "")
        )


class _Files(_numbas.IndexDataCacheFile):  # type: ignore[misc]
    """Numba's index, and data in files named by their content: what is damaged counts as not there.

    Numba numbers them, and of two processes that take the same number one would load the other's code.
    """

    def save(self, key: Any, data: Any) -> None:
        body = self._dump(data)
        name = self._named(body)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(body)
        self._save_index({**self._load_index(), key: name})

    def _load_index(self) -> dict[Any, str]:
        try:
            return dict(super()._load_index())
        except Exception:  # noqa: BLE001 (a damaged pickle raises whatever it likes)
            return {}

    def _load_data(self, name: str) -> Any:
        with open(self._data_path(name), "rb") as file:
            body = file.read()
        return pickle.loads(body) if self._named(body) == name else None

    def _named(self, body: bytes) -> str:
        return f"{self._index_name.removesuffix('.nbi')}.{hashlib.sha256(body).hexdigest()[:32]}.nbc"


class _Cache(_numbas.FunctionCache):  # type: ignore[misc]
    """Numba's cache, whose failures cost time and never the run."""

    def __init__(self, function: Callable[..., Any], folder: str):
        locator = _Locator(function, inspect.getfile(function), folder)
        self._name = repr(function)
        self._py_func = function
        self._impl = _Results(function, locator)
        self._cache_path = locator.get_cache_path()
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, locator.get_source_stamp())
        self.enable()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 (a module that is gone, code that this LLVM does not read)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001 (a full or read-only disk, or what numba cannot write down)
            _cannot_keep(error)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def jit(function: Function, inline: bool = False) -> Function:
    """Compile a kernel: no Python objects, lock released, IEEE arithmetic kept, cached by source hash.

    The fixed identity lets numba recognise, in a later process, a kernel that was given this function as an
    argument; by default each process invents a new one and such kernels never come from the cache.
    """
    options: dict[str, Any] = {"forceinline": inline, "_nrt": not inline}
    compiled: Any = numba.njit(nogil=True, error_model="numpy", **options)(function)
    if hasattr(compiled, "_set_uuid"):
        compiled._set_uuid(f"{function.__module__}.{function.__qualname__}")
        folder = cache_folder()
        if folder is not None:
            with suppress(OSError, TypeError):  # no file: a function typed at a prompt
                compiled._cache = _Cache(function, folder)
    return cast(Function, compiled)


def inlined(function: Function) -> Function:
    """Compile a function of one cell into every kernel that calls it; it must not allocate.

    Without numba's runtime no array is counted in and out: that costs two locked instructions for each use of
    each state array, and made a pulse three times as dear.
    """
    return jit(function, inline=True)


def inlined_as(function: Function, name: str) -> Function:
    """As `inlined`, for a function made by another: under a name of its own, so that no two are taken for one."""
    function.__qualname__ = name
    return inlined(function)


_local = threading.local()


def scratch(name: str, rows: int, cols: int, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return a (rows, cols) array of the calling thread, to be overwritten by its next user.

    Fresh memory for every block would be paid in page faults.
    """
    held: dict[str, NDArray[Any]] = _local.__dict__.setdefault("held", {})
    if name not in held or held[name].size < rows * cols or held[name].dtype != dtype:
        held[name] = np.empty(rows * cols, dtype)
    return held[name][: rows * cols].reshape(rows, cols)


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="neurosim")


def _asked_threads() -> int:
    asked = os.environ.get("NEUROSIM_THREADS") or os.cpu_count() or 1
    try:
        return max(1, int(asked))
    except ValueError:
        raise ConfigError(f"NEUROSIM_THREADS = '{asked}': expected a whole number") from None


_threads = _asked_threads()


def set_threads(count: int) -> None:
    """Set the number of threads that share the blocks of a kernel; results do not depend on it.

    Raises
    ------
    InputError
        If `count` is no whole number.
    """
    global _threads
    _threads = max(1, whole("count", count))


def threads() -> int:
    """Return the number of threads in use."""
    return _threads


def share(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call `work` on every item, spread over the threads, this one among them, and return the results in the items' order."""
    listed = list(items)
    found: list[Any] = [None] * len(listed)
    left = iter(range(len(listed)))  # threads take from it one at a time: Python's lock is held

    def take() -> None:
        for k in left:
            found[k] = work(listed[k])

    helpers = min(_threads, len(listed)) - 1
    asked = [_pool(_threads).submit(take) for _ in range(helpers)]
    try:
        take()
    finally:
        began = [helper for helper in asked if not helper.cancel()]
        wait(began)
    for helper in began:
        helper.result()
    return found
