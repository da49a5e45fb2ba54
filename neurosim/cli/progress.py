"""How far each run is: bars on a terminal, now and then a line in a file or pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from neurosim.cli.terminal import PlainConsole, complain

if TYPE_CHECKING:
    from neurosim.study.training import Report

LINE_EVERY_S = 30.0
"""Seconds between two lines about one run, where there is no terminal."""


COMPILING = "compiling kernels, which later runs find compiled: a minute or two"


@contextmanager
def progress() -> Iterator[Report]:
    """Show progress on standard error, and say so when kernels are compiled first; gives the `Report` to call."""
    from neurosim.kernels.compiling import told_once

    errors = PlainConsole(stderr=True)
    shown = _bars(errors) if errors.is_terminal else _lines()
    with shown as report, told_once(lambda: errors.print(COMPILING, soft_wrap=True)):
        yield report


@contextmanager
def parts() -> Iterator[Callable[[str, int], Report]]:
    """Show the progress of a command of several parts: one bar a part with all its runs, or a line a part in a file or pipe.

    Gives what returns the `Report` of a part, from its title and the number of its runs.
    """
    with progress() as report:
        ended: list[Callable[[], None]] = []

        def end() -> None:
            while ended:
                ended.pop()()

        def tell(title: str, runs: int) -> Report:
            end()
            done_of: dict[tuple[str, int], float] = {}
            line = f"{title} ({runs} runs)" if runs > 1 else title
            told = [0]

            def of_part(arm: str, seed: int, done: int, total: int) -> None:
                done_of[arm, seed] = done / total
                far = (
                    THOUSANDTHS
                    if sum(done_of.values()) >= runs
                    else int(THOUSANDTHS * sum(done_of.values()) / runs)
                )
                if far > told[0]:
                    told[0] = far
                    show_part(report, line, far)

            ended.append(lambda: show_part(report, line, THOUSANDTHS) if 0 < told[0] < THOUSANDTHS else None)
            return of_part

        yield tell
        end()


THOUSANDTHS = 1000


def show_part(report: Report, line: str, done: int) -> None:
    """Show how far a part is; it has no seed of its own."""
    report(line, WHOLE, done, THOUSANDTHS)


WHOLE = -1
"""In place of a seed: progress of something that is not the run of one."""

COUNTED = -2
"""Likewise, of things of which it is said how many are done: "3 of 10 blocks"."""


def _named(arm: str, seed: int, done: int, total: int) -> str:
    if seed == COUNTED:
        return f"{done} of {total} {arm}"
    return arm if seed == WHOLE else f"{arm}, seed {seed}"


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
            name = escape(_named(arm, seed, done, total))
            if (arm, seed) not in tasks:
                tasks[arm, seed] = bars.add_task(name, total=total, completed=done)
            bars.update(tasks[arm, seed], description=name, completed=done, total=total, visible=done < total)

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
        line = _named(arm, seed, done, total)
        if seed != COUNTED:
            line += f": {100 * done // total} %" if seed == WHOLE else f": {done} of {total}"
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
