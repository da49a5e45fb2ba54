"""Python files of a user's own as modules that are named by their content, so that an edited file is another module."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import sys
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from neurosim.core.compiled_folder import cache_folder, cannot_keep

_OURS = "neurosim"
_OWN = f"{_OURS}_own_"
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
            cannot_keep(error)
    return name


@cache
def version_of(module: str) -> str:
    """Return what tells versions of a module's source apart; nothing for those whose name, or folder of kernels, does.

    A module without a file, such as what is typed in a notebook, has another version in every process.
    """
    if module.partition(".")[0] == _OURS or module.startswith(_OWN):
        return ""
    try:
        source = Path(str(getattr(sys.modules[module], "__file__", None))).read_bytes()
    except (KeyError, OSError):
        return f" {secrets.token_hex(8)}"
    return f" {hashlib.sha256(source).hexdigest()[:16]}"


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
