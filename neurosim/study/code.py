"""What code of a user's own decides the bits of a run: laws, rules, layers and kinds of study beside neurosim's."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from neurosim.study.typed_code import is_typed, typed_digest

OURS = "neurosim"
INSTALLED = {"site-packages", "dist-packages"}


def own_code(*things: Any) -> list[str]:
    """Return the digests of the sources behind some objects' classes that are not neurosim's; none for what is built in.

    Modules that these use count as well, unless they were installed as a part of another package.

    Parameters
    ----------
    things : objects or classes
        A law, a rule.
    """
    found: dict[str, ModuleType] = {}
    typed: set[str] = set()
    for thing in things:
        kind = thing if isinstance(thing, type) else type(thing)
        for base in kind.__mro__:
            _gather(base.__module__, _top(kind.__module__), found)
            if is_typed(base):
                typed.add(typed_digest(base))
    return sorted([*typed, *(_digest(module) for module in found.values())])


def _gather(name: str, root: str, found: dict[str, ModuleType]) -> None:
    """Add a module and those it uses to `found`, where they are the user's own."""
    module = sys.modules.get(name)
    if module is None or name in found or not _is_own(module, root):
        return
    found[name] = module
    for used in _used(module):
        _gather(used, root, found)


def _used(module: ModuleType) -> Iterator[str]:
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str):
            yield name


def _is_own(module: ModuleType, root: str) -> bool:
    top, file = _top(module.__name__), getattr(module, "__file__", None)
    if top == OURS or top in sys.stdlib_module_names or file is None:
        return False
    return top == root or not INSTALLED & set(Path(file).parts)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _digest(module: ModuleType) -> str:
    """Of its source as it was imported: a law from a file is a module that is named by its content."""
    if module.__name__.startswith(f"{OURS}_own_"):
        return module.__name__
    try:
        return hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
    except OSError:
        return module.__name__
