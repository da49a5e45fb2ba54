"""What classes do that were typed at a prompt or in a notebook, where no file has their source."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

PLAIN = (bool, int, float, str, bytes, tuple, type(None))


def is_typed(kind: type) -> bool:
    """Return whether a class has no file of its own."""
    module = sys.modules.get(kind.__module__)
    return module is None or (kind.__module__ == "__main__" and getattr(module, "__file__", None) is None)


def typed_digest(kind: type) -> str:
    """Return a digest of a class: its methods, with the values and functions that they take from around, and its fields."""
    found = hashlib.sha256()
    for part in _of_class(kind):
        found.update(f"{len(part)} {part};".encode())
    return found.hexdigest()


def _of_class(kind: type) -> Iterator[str]:
    yield repr(sorted(getattr(kind, "model_fields", {}).items()))
    for name, value in sorted(vars(kind).items()):
        method = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(method, FunctionType):
            yield name
            yield from _of_function(method, set())
        elif isinstance(value, PLAIN) and not name.startswith("__"):
            yield f"{name} {value!r}"


def _of_function(function: FunctionType, seen: set[str]) -> Iterator[str]:
    yield repr(function.__defaults__)
    yield from _of_code(function.__code__, function.__globals__, seen)


def _of_code(code: CodeType, around: dict[str, Any], seen: set[str]) -> Iterator[str]:
    yield code.co_code.hex()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant, around, seen)
        else:
            yield repr(constant)
    for name in code.co_names:
        yield name
        value = around.get(name)
        if isinstance(value, PLAIN):
            yield repr(value)
        elif isinstance(value, FunctionType) and value.__module__ == "__main__" and name not in seen:
            seen.add(name)
            yield from _of_function(value, seen)
