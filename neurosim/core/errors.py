"""One root for every error a user can meet; each also inherits the builtin it refines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NeurosimError(Exception):
    """Root of all errors raised on purpose; the command line prints them as one line, exit code 2."""


class InputError(NeurosimError, ValueError):
    """An array or argument has the wrong shape, type or values."""


class ConfigError(NeurosimError, ValueError):
    """A configuration file, option or device card is wrong."""


_ELSEWHERE = {"rows": "word_lines", "cols": "bit_lines", "columns": "bit_lines", "digital": "exclude"}
"""What other programs, or this one before, call a thing that has another name here."""


MANY_NAMES, NEAREST = 150, 12
"""From so many names on, so many that are nearest to what was written are told instead of all."""


class UnknownNameError(NeurosimError, LookupError):
    """A device, rule, data set or parameter of that name does not exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = ""):
        known = sorted(set(known))
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        near = near or [meant for meant in known if meant == _ELSEWHERE.get(name)]
        hint = f"; did you mean '{near[0]}'?" if near else ""
        told = f"known: {', '.join(known)}"
        if len(known) > MANY_NAMES:
            nearest = sorted(difflib.get_close_matches(name, known, n=NEAREST, cutoff=0.3))
            told = (
                f"{len(known)} are known, the nearest of which are: {', '.join(nearest or known[:NEAREST])}"
            )
        super().__init__(f"unknown {kind} '{name}'{where}{hint} ({told})")


class DataError(NeurosimError, OSError):
    """A data set is missing or damaged; the message says what was looked for, where, and the remedy."""


class OutputError(NeurosimError, OSError):
    """Results cannot be written."""


class InUseError(NeurosimError, OSError):
    """Another process writes the same results."""


class Stopped(NeurosimError):
    """Somebody asked for the end, by Ctrl-C or a signal; the message says what is kept."""


class LostWorkerError(NeurosimError):
    """A process or machine that was at work is gone; what is finished is kept."""


class CheckpointError(NeurosimError, ValueError):
    """A checkpoint is damaged or belongs to another experiment."""


class CapabilityError(NeurosimError, TypeError):
    """A device, rule or array cannot do what was asked (for example, gradual depression on PCM)."""
