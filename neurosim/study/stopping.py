"""Ctrl-C and SIGTERM: what learns finishes its mini-batch and writes its checkpoint before the program ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from neurosim.core.errors import Stopped

SHOW_CURSOR = "\x1b[?25h"
"""A terminal hides its cursor under a bar of progress."""

_signal = 0
"""The signal that asked for the end, or 0."""
_learning = 0
"""Trainings under way, which look for themselves whether the end was asked for."""
_elsewhere: list[Callable[[], bool]] = []
"""Further places to look, such as an event that another process sets."""


def asked() -> bool:
    """Return whether somebody asked for the end."""
    return bool(_signal) or any(look() for look in _elsewhere)


def exit_code() -> int:
    """Return the exit code of a program that was asked to end: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (_signal or signal.SIGINT)


def look_at(event: Any) -> None:
    """Count an event that is set, of another process, as asked for the end."""
    _elsewhere.append(event.is_set)


@contextmanager
def learning() -> Iterator[None]:
    """Let what is within look at `asked` after each mini-batch instead of being interrupted; raises `Stopped` at its end."""
    global _learning
    _learning += 1
    try:
        yield
    finally:
        _learning -= 1
    if asked():
        raise Stopped


@contextmanager
def on_signals() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM ask for the end, and the second end at once.

    Outside `learning` the first raises `Stopped` where it meets the main thread.
    """
    global _signal
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _met) for number in (signal.SIGINT, signal.SIGTERM)}
    _signal = 0
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ask_only() -> None:
    """Let signals ask for the end and never interrupt: in a worker, whose parent decides what follows."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


def _note(number: int, frame: FrameType | None) -> None:
    global _signal
    _signal = number


def _met(number: int, frame: FrameType | None) -> None:
    global _signal
    if _signal:
        if sys.stderr.isatty():
            sys.stderr.write(SHOW_CURSOR)
            sys.stderr.flush()
        os._exit(128 + number)
    _signal = number
    if not _learning:
        raise Stopped
