"""The one place that owns numba's options, the kernel cache and the number of threads.

numba's cache looks only at the file of the outermost function: a device law edited in another file would
silently keep its old machine code. So the cache lies in a folder named by a hash of every source that can
be compiled into a kernel: neurosim's own and those of registered third-party laws.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

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
def cache_folder() -> str:
    """Folder of compiled kernels: below `NEUROSIM_CACHE` or the user's cache, or a temporary folder."""
    digest = hashlib.sha256()
    for file in _compiled_sources():
        digest.update(f"{file.name} {file.stat().st_size} ".encode())
        digest.update(file.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    base = Path(os.environ.get("NEUROSIM_CACHE", os.path.join(home, "neurosim")))
    folder = base / "kernels" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(folder)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"neurosim-kernels-{digest.hexdigest()[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
    own = folder / "own"
    own.mkdir(exist_ok=True)
    sys.path.append(str(own))
    return str(folder)


def own_module(source: bytes) -> str:
    """Keep a user's source beside the compiled kernels; returns the name of the module that it now is.

    Compiled kernels name the types in it: later processes must find them, whether or not they use that law.
    The name follows the content, so a changed source is another module and never meets stale kernels.
    """
    name = f"neurosim_own_{hashlib.sha256(source).hexdigest()[:16]}"
    file = Path(cache_folder(), "own", f"{name}.py")
    if not file.is_file():
        part = file.with_suffix(f".{os.getpid()}")
        part.write_bytes(source)
        part.replace(file)
    importlib.invalidate_caches()
    return name


def jit(function: Function, inline: bool = False) -> Function:
    """Compile a kernel: no Python objects, lock released, IEEE arithmetic kept, cached by source hash.

    The fixed identity lets numba recognise, in a later process, a kernel that was given this function as an
    argument; by default each process invents a new one and such kernels never come from the cache.
    """
    settings: Any = numba.config
    previous = settings.CACHE_DIR
    settings.CACHE_DIR = cache_folder()
    try:
        options: dict[str, Any] = {"forceinline": inline, "_nrt": not inline}
        compiled: Any = numba.njit(nogil=True, cache=True, error_model="numpy", **options)(function)
    finally:
        settings.CACHE_DIR = previous
    if hasattr(compiled, "_set_uuid"):
        compiled._set_uuid(f"{function.__module__}.{function.__qualname__}")
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


_threads = max(1, int(os.environ.get("NEUROSIM_THREADS", os.cpu_count() or 1)))


def set_threads(count: int) -> None:
    """Set the number of threads that share the blocks of a kernel; results do not depend on it."""
    global _threads
    _threads = max(1, int(count))


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
