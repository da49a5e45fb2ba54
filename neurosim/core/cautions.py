"""What a user is warned of: numbers that come out, but mean less than they seem to."""

from __future__ import annotations

import warnings


class Caution(UserWarning):
    """Root of all warnings that neurosim gives on purpose."""


class ClippingWarning(Caution):
    """More than one conversion in a hundred met the end of the ADC's range."""


class StillWarning(Caution):
    """Time passes on a card that says nothing of time."""


class ExtrapolationWarning(Caution):
    """Conductances are read at another age than that at which the card states them."""


class WindowWarning(Caution):
    """Programmed weights, or measured conductances, do not fit the window: some are clipped, or most of it stays unused."""


class GainWarning(Caution):
    """The digital gain of a column has come to its end."""


class PulsesCutWarning(Caution):
    """An update asked for more pulses than any device has use for."""


class ImplausibleWarning(Caution):
    """A setting is possible, but so far from what any device has that another was probably meant."""


class ConvertedWarning(Caution):
    """Something of a trained model does not go onto devices as one may think: it stays digital, comes apart, is zero."""


class Once:
    """What has been said of one array: each kind of caution is said once, whatever others have said at that place."""

    def __init__(self, before: Once | None = None):
        self._said: set[type[Caution]] = set() if before is None else set(before._said)

    def say(self, kind: type[Caution], words: str, stacklevel: int = 1) -> None:
        """Warn, unless that kind has been said; `stacklevel` counts from the caller, as `warnings.warn` does."""
        if kind not in self._said:
            self._said.add(kind)
            warnings.warn(words, kind, stacklevel + 1)
