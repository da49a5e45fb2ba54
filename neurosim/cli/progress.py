"""How far each run is: bars on a terminal, now and then a line in a file or pipe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from neurosim.cli.terminal import PlainConsole, complain

if TYPE_CHECKING:
    from neurosim.study.training import Report

LINE_EVERY_S = 30.0
"""Seconds between two lines about one run, where there is no terminal."""


def progress() -> AbstractContextManager[Report]:
    """Return a context that shows progress on standard error, and gives the `Report` to call."""
    errors = PlainConsole(stderr=True)
    return _bars(errors) if errors.is_terminal else _lines()


@contextmanager
def _bars(console: PlainConsole) -> Iterator[Report]:
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[tuple[str, int], Any] = {}

        def report(arm: str, seed: int, done: int, total: int) -> None:
            if (arm, seed) not in tasks:
                name = escape(f"{arm}, seed {seed}")
                tasks[arm, seed] = bars.add_task(name, total=total, completed=done)
            bars.update(tasks[arm, seed], completed=done, total=total, visible=done < total)

        yield report


@contextmanager
def _lines() -> Iterator[Report]:
    begun: dict[tuple[str, int], tuple[float, int]] = {}
    told: dict[tuple[str, int], float] = {}

    def report(arm: str, seed: int, done: int, total: int) -> None:
        key, now = (arm, seed), time.monotonic()
        start, first = begun.setdefault(key, (now, done))
        if done < total and now - told.setdefault(key, now) < LINE_EVERY_S:
            return
        told[key] = now
        line = f"{arm}, seed {seed}: {done} of {total}"
        if done >= total:
            complain(f"{line}, after {_clock(now - start)}")
            del begun[key], told[key]
        else:
            left = (total - done) * (now - start) / max(1, done - first)
            complain(f"{line}, {_clock(left)} left")

    yield report


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))
