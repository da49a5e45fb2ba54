"""When numba begins to compile what no earlier process left compiled: heard here, and of other processes passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import event

_events: Any = event  # untyped
BEGINS = "numba:compile"


class _First(_events.Listener):  # type: ignore[misc]
    def __init__(self, tell: Callable[[], None]):
        self.tell, self.told = tell, False

    def on_start(self, _: Any) -> None:
        if not self.told:
            self.told = True
            self.tell()

    def on_end(self, _: Any) -> None:
        pass


@contextmanager
def told_once(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` when numba begins to compile, here or in a worker (`elsewhere`); at most once."""
    with _events.install_listener(BEGINS, _First(tell)):
        yield


def tell_once(tell: Callable[[], None]) -> None:
    """Call `tell` when numba begins to compile, at most once, for as long as this process lives."""
    _events.register(BEGINS, _First(tell))


def elsewhere() -> None:
    """Let whoever listens here know that a worker of this process compiles."""
    _events.start_event(BEGINS)
