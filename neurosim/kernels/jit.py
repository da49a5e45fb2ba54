"""The one place that owns numba's options, the kernel cache and the number of threads.

numba's cache looks only at the file of the outermost function: a device law edited in another file would
silently keep its old machine code. So the cache lies in a folder named by a hash of every source that can
be compiled into a kernel (`neurosim.core.compiled_folder`): neurosim's own and those of registered third-party laws.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import caching, registry, sigutils
from numba.core.compiler_lock import global_compiler_lock
from numpy.typing import DTypeLike, NDArray

from neurosim.core.checks import whole
from neurosim.core.compiled_folder import cache_folder, cannot_keep
from neurosim.core.errors import ConfigError
from neurosim.core.own_modules import version_of

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")
Item = TypeVar("Item")
Scalar = float | np.floating[Any]
ZERO: Any = np.int64(0)
"""Not the literal, for which numba compiles a copy of its own of whatever takes it;"""
ONE: Any = np.int64(1)
"""and not the literal 1."""


_numbas: Any = caching
_registry: Any = registry
_signatures: Any = sigutils


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
        self.within = False
        self.enable()

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return *super()._index_key(sig, codegen), self.within

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 (a module that is gone, code that this LLVM does not read)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001 (a full or read-only disk, or what numba cannot write down)
            cannot_keep(error)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


class _Kernel(_registry.CPUDispatcher):  # type: ignore[misc]
    """Numba's compiled function, which has an entry for Python only for what Python calls.

    Numba gives every function two entries, which take all arrays of all tuples apart. Nearly all functions here are called by
    kernels alone: without entries they compile in about half the time.
    """

    within = False
    """Whether a kernel is being compiled that calls it."""
    _cache: Any
    _compiler: Any

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Compile for a kernel that calls it with these types."""
        with global_compiler_lock:
            before, self.within = self.within, True
            try:
                return super().get_call_template(args, kws)
            finally:
                self.within = before

    def compile(self, sig: Any) -> Any:
        """Compile, or read from the cache, for a kernel or for Python."""
        with global_compiler_lock:
            within = self.within
            types = tuple(_signatures.normalize_signature(sig)[0])
            if not within and types in self._without_entry():
                self._without_entry().remove(types)
                del self.overloads[types]
            self._cache.within = within
            self._compiler._customize_flags = _for_kernels if within else _for_python
            return super().compile(sig)

    def add_overload(self, cres: Any) -> None:
        """Keep what was compiled; what has no entry is kept from Python."""
        if self.within:
            types = tuple(cres.signature.args)
            self._without_entry().add(types)
            self.overloads[types] = cres
        else:
            super().add_overload(cres)

    def _without_entry(self) -> set[Any]:
        """Types of arguments for which it has none."""
        found: set[Any] = self.__dict__.setdefault("_bare", set())
        return found


def _for_python(flags: Any) -> Any:
    flags.no_cfunc_wrapper = True  # an entry for C, which nobody here has use for
    return flags


def _for_kernels(flags: Any) -> Any:
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    return flags


def jit(function: Function, inline: bool = False, allocates: bool = True) -> Function:
    """Compile a kernel: no Python objects, lock released, IEEE arithmetic kept, cached by source hash.

    The fixed identity lets numba recognise, in a later process, a kernel that was given this function as an
    argument; by default each process invents a new one and such kernels never come from the cache. It holds the
    version of a source that the folder's name does not know.
    """
    options: dict[str, Any] = {"forceinline": inline, "_nrt": allocates and not inline}
    compiled: Any = numba.njit(nogil=True, error_model="numpy", **options)(function)
    if hasattr(compiled, "_set_uuid"):
        compiled.__class__ = _Kernel
        compiled._set_uuid(f"{function.__module__}.{function.__qualname__}{version_of(function.__module__)}")
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


def apart(function: Function) -> Function:
    """Compile a function to code of its own, which kernels of many cells call; it must not allocate (see `inlined`)."""
    return jit(function, allocates=False)


def inlined_as(function: Function, name: str) -> Function:
    """As `inlined`, for a function made by another: under a name of its own, so that no two are taken for one."""
    function.__qualname__ = name
    return inlined(function)


def origin(function: Callable[..., Any]) -> str:
    """Name of a function among compiled kernels, which tells versions of a user's source apart."""
    return f"{function.__module__}{version_of(function.__module__)}.{function.__qualname__}"


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
