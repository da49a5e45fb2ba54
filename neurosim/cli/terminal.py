"""What reaches the terminal: tables, lines and warnings, with nothing in names or notes that moves the cursor."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from neurosim.core.cautions import gathered
from neurosim.core.plain import printable


class PlainConsole(Console):
    """A console that takes text as it is: no markup in it, and what cannot be printed written as its escape."""

    def __init__(self, **settings: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, with the escapes of what cannot be printed in place of it."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


_aside = False
"""Whether tables and lines go to standard error, for standard output has the JSON."""


def standard() -> TextIO:
    """Return where tables and lines go."""
    return sys.stderr if _aside else sys.stdout


def console() -> Console:
    """Return where tables go: as wide as the terminal, or a fixed width in a file or pipe."""
    return PlainConsole(file=standard(), width=None if standard().isatty() else 160)


def say(line: str) -> None:
    """Print a line at once."""
    print(printable(line), file=standard(), flush=True)


def complain(line: str) -> None:
    """Print one line on standard error."""
    print(printable(line.replace("\n", " ")), file=sys.stderr)


def json_goes_to(json_file: Path | None) -> Path | None:
    """Take the value of `--json` as it is read: "-" is standard output, and from then on all else goes beside it."""
    global _aside
    _aside = str(json_file) == "-"
    return json_file


def expect_json(json_file: Path | None) -> None:
    """Refuse before any work a file for `--json` that cannot be written."""
    from neurosim.study.store import expect_file

    if json_file is not None and str(json_file) != "-":
        expect_file(json_file, "--json")


@contextmanager
def cautions_at_the_end() -> Iterator[None]:
    """Say in the end, once each, of what neurosim warned in the block: how often, where, and what a command can do about it.

    However the block ends.
    """
    with gathered(alone=True) as found:
        try:
            yield
        finally:
            for said in found.said.values():
                complain(f"neurosim: {said.kind}, {said.sentence}")
