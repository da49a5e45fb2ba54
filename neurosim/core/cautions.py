"""What a user is warned of: numbers that come out, but mean less than they seem to."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, TextIO


class Caution(UserWarning):
    """Root of all warnings that neurosim gives on purpose.

    Parameters
    ----------
    facts : str
        What was found.
    remedy : str
        What to do about it in Python.
    """

    in_files: ClassVar[str] = ""
    """What to do about it from the command line or in an experiment file, where that is another thing than in Python."""

    def __init__(self, facts: str = "", remedy: str = ""):
        super().__init__(facts, remedy)

    def __str__(self) -> str:
        return "; ".join(filter(None, self.args))

    @property
    def for_commands(self) -> str:
        """What a command says of it: the same facts, with a remedy for who has no Python at hand."""
        facts, remedy = self.args
        return "; ".join(filter(None, (facts, (self.in_files or remedy) if remedy else "")))


class ClippingWarning(Caution):
    """More than one conversion in a hundred met the end of the ADC's range."""

    in_files = "give the converters more range in the experiment file: a larger adc_margin under [read], or adc_range_uS in uS"


class SaturationWarning(ClippingWarning):
    """More than one current in a hundred met the end of its integrator, before any converter."""

    in_files = "in the experiment file, under [read], a larger saturation_uS or input_range, or shorter columns by [tiles]"


class StillWarning(Caution):
    """Time passes on a card that says nothing of time."""


class ExtrapolationWarning(Caution):
    """Conductances are read at another age than that at which the card states them."""


class WindowWarning(Caution):
    """Programmed weights, or measured conductances, do not fit the window: some are clipped, or most of it stays unused."""

    in_files = (
        "in the experiment file, a larger window (or w_max under [write]) gives weights that learn more room, and scale = 'auto' or 'percentile' or scale_by = 'column' "
        "under [write] fits the window to weights that are programmed"
    )


class GainWarning(Caution):
    """The digital gain of a column has come to its end."""


class PulsesCutWarning(Caution):
    """An update asked for more pulses than any device has use for."""


class ImplausibleWarning(Caution):
    """A setting is possible, but so far from what any device has that another was probably meant."""


class FlipWarning(Caution):
    """Mirror images of the samples may be of another class than the samples."""


class ConvertedWarning(Caution):
    """Something of a trained model does not go onto devices as one may think: it stays digital, comes apart, is zero."""


class Once:
    """What has been said of one array: each kind of caution is said once of each thing, whatever others have said at that place."""

    def __init__(self, before: Once | None = None):
        self._said: set[tuple[type[Caution], str]] = set() if before is None else set(before._said)

    def say(
        self, kind: type[Caution], facts: str, remedy: str = "", stacklevel: int = 1, about: str = ""
    ) -> None:
        """Warn, unless that kind has been said about that; `stacklevel` counts from the caller, as `warnings.warn` does."""
        if (kind, about) not in self._said:
            self._said.add((kind, about))
            warnings.warn(kind(facts, remedy), stacklevel=stacklevel + 1)


_place: ContextVar[tuple[str, ...]] = ContextVar("place", default=())


@contextmanager
def during(*places: str) -> Iterator[None]:
    """Let cautions in the block be of this place: a part of a command, an arm with its seed."""
    before = _place.get()
    token = _place.set((*before, *(place for place in places if place not in before)))
    try:
        yield
    finally:
        _place.reset(token)


def place() -> tuple[str, ...]:
    """Return where we are, as `during` says, the outermost first."""
    return _place.get()


@dataclass
class Said:
    """A caution that was given once or more, with numbers that may differ."""

    kind: str
    words: str
    """For who has a command line, with the numbers of the first."""
    places: dict[str, int] = field(default_factory=dict)
    """How often at each place."""

    @property
    def count(self) -> int:
        """How often it was given."""
        return sum(self.places.values())

    @property
    def where(self) -> str:
        """The places in short: an arm with its seeds, the first few of them by name."""
        seeds: dict[str, list[str]] = {}
        for each in self.places:
            name, _, seed = each.partition(", seed ")
            seeds.setdefault(name, []).extend([seed] if seed else [])
        named = [
            f"{name}, seed{'s' if len(own) > 1 else ''} {', '.join(own)}" if own else name
            for name, own in seeds.items()
            if name
        ]
        further = len(named) - MOST_PLACES
        return "; ".join(named[:MOST_PLACES]) + (f"; and {further} more" if further > 0 else "")

    @property
    def sentence(self) -> str:
        """How often, where, and what."""
        often = "once" if self.count == 1 else f"{self.count} times"
        of = " Numbers are those of the first." if self.count > 1 and re.search(r"\d", self.words) else ""
        end = "" if self.words.endswith(("?", ".")) else "."
        return f"{often}{f' ({self.where})' if self.where else ''}: {self.words}{end}{of}"


MOST_PLACES = 3
"""So many places of a caution are named."""


class Gathered:
    """Cautions of a whole command, each once with how often and where it was given.

    Attributes
    ----------
    said : dict
        `Said` by kind and words, whatever the numbers in them.
    """

    def __init__(self) -> None:
        self.said: dict[tuple[str, str], Said] = {}

    def add(self, caution: Caution) -> bool:
        """Count one, given where we are (`place`); return whether it is the first of its kind and words there."""
        key = type(caution).__name__, re.sub(r"[-+]?\d[\d.,]*(e[-+]?\d+)?", "#", str(caution))
        found = self.said.setdefault(key, Said(key[0], caution.for_commands))
        where = ": ".join(place())
        found.places[where] = found.places.get(where, 0) + 1
        return found.places[where] == 1

    def take(self, kept: Any) -> None:
        """Take those of an earlier time as well, as `kept` returned them; at one place the larger number counts."""
        for each in kept:
            key = each["kind"], each["key"]
            own = self.said.setdefault(key, Said(each["kind"], each["words"]))
            for where, count in each["places"].items():
                own.places[where] = max(count, own.places.get(where, 0))

    def kept(self) -> list[dict[str, Any]]:
        """Return them for a file."""
        return [
            {"kind": kind, "key": key, "words": said.words, "places": said.places}
            for (kind, key), said in self.said.items()
        ]


@contextmanager
def gathered(
    alone: bool = False, told: Callable[[Gathered], None] = lambda found: None
) -> Iterator[Gathered]:
    """Gather the cautions that are shown in the block.

    Parameters
    ----------
    alone : bool
        Show none of them, as whoever gathers says them in the end, and let each be counted however often it comes; else they go on
        to where they went before.
    told : callable, optional
        Called with what is gathered so far where a caution is the first of its kind and words at its place.
    """
    found = Gathered()
    with warnings.catch_warnings():
        shown = warnings.showwarning
        if alone and not sys.warnoptions:
            warnings.simplefilter("always", Caution)

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if isinstance(message, Caution) and found.add(message):
                told(found)
            if not (alone and isinstance(message, Caution)):
                shown(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield found
