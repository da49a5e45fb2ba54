"""A bill: what events come to, line by line, with range and mark, and how much of it is assumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from neurosim.core.errors import ConfigError
from neurosim.energy.marks import WEAK, Mark

Kind = Literal["device", "periphery", "digital"]
Phase = Literal["forward", "update", "readback", "refresh", "programming", "calibration", "neurons"]
KINDS: tuple[Kind, ...] = ("device", "periphery", "digital")

NOT_COUNTED = (
    "buffers and communication between arrays",
    "lines and drivers of program-and-verify",
    "reading the data",
)
"""What no count holds, so that no price finds it; `PriceList` says what it leaves unpriced."""


class AssumedError(ConfigError):
    """A bill was to be strict and rests on assumptions."""


@dataclass(frozen=True)
class Line:
    """What one kind of event of one layer comes to."""

    layer: int
    phase: Phase
    kind: Kind
    what: str
    count: float
    """Events; of cells that conduct uS, of charged lines cells."""
    joules: float
    low: float
    high: float
    mark: Mark
    source: str
    ranged: bool = True
    """Whether a range is known: of a card's numbers it is not."""


def joules_text(joules: float | None) -> str:
    """Return joules with a prefix, ``12.3 pJ``; None, which nobody knows, is ``no price``."""
    if joules is None:
        return "no price"
    for scale, prefix in ((1, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f")):
        if abs(joules) >= scale:
            return f"{joules / scale:.3g} {prefix}J"
    return f"{joules / 1e-18:.3g} aJ" if joules else "0 J"


@dataclass(frozen=True)
class Bill:
    """Lines of a bill, of any number of layers, workers or parts of a training; bills add up."""

    lines: tuple[Line, ...] = ()
    prices: str = ""
    """Name of the price list."""
    not_priced: tuple[str, ...] = ()
    """Events that happened and have no price."""
    notes: tuple[str, ...] = ()
    layers: tuple[tuple[int, int], ...] = ()
    """Number of each layer, and its synapses."""
    pulses: int = 0
    """That took effect."""
    absent: tuple[str, ...] = ()
    """Of `not_priced`, pulses whose joules nobody knows, as their card does not give the pulse: with them joules compare no two arms."""
    not_counted: tuple[str, ...] = field(default=NOT_COUNTED, repr=False)

    def __add__(self, other: Bill) -> Bill:
        """Return the bill of both, be they of other layers or parts of what the same layers did."""
        return Bill(
            self.lines + other.lines,
            _both(self.prices, other.prices),
            tuple(dict.fromkeys(self.not_priced + other.not_priced)),
            tuple(dict.fromkeys(self.notes + other.notes)),
            tuple({**dict(self.layers), **dict(other.layers)}.items()),
            self.pulses + other.pulses,
            tuple(dict.fromkeys(self.absent + other.absent)),
            tuple(dict.fromkeys(self.not_counted + other.not_counted)),
        )

    def total(self, chosen: Callable[[Line], bool] = lambda line: True) -> tuple[float, float, float]:
        """Return (joules, low, high) of chosen lines, all lows and all highs together."""
        kept = [line for line in self.lines if chosen(line)]
        joules, low, high = (sum(getattr(line, end) for line in kept) for end in ("joules", "low", "high"))
        return float(joules), float(low), float(high)

    @property
    def synapses(self) -> int:
        """Of all layers."""
        return sum(synapses for _, synapses in self.layers)

    @property
    def joules(self) -> float:
        """All of it."""
        return self.total()[0]

    @property
    def device_J(self) -> float:
        """Of the cells alone: never a figure to quote without the rest."""
        return self.total(lambda line: line.kind == "device")[0]

    @property
    def periphery_J(self) -> float:
        """Of converters and lines."""
        return self.total(lambda line: line.kind == "periphery")[0]

    @property
    def digital_J(self) -> float:
        """Of arithmetic and memory beside the arrays."""
        return self.total(lambda line: line.kind == "digital")[0]

    @property
    def assumed_share(self) -> float:
        """Share of the joules whose price or pulse is assumed, from memory or unstated."""
        weak = self.total(lambda line: line.mark in WEAK)[0]
        return weak / self.joules if self.joules else 0.0

    @property
    def unranged_share(self) -> float:
        """Share of the joules for which nobody states a range: these count with their value in low and high."""
        bare = self.total(lambda line: not line.ranged)[0]
        return bare / self.joules if self.joules else 0.0

    def where(self, *by: str) -> dict[tuple[Any, ...], tuple[float, float, float]]:
        """Return (joules, low, high) by some fields of lines, such as ``"phase", "kind"``, the largest first."""
        groups = dict.fromkeys(tuple(getattr(line, name) for name in by) for line in self.lines)
        found = {
            key: self.total(lambda line, key=key: tuple(getattr(line, name) for name in by) == key)  # type: ignore[misc]
            for key in groups
        }
        return dict(sorted(found.items(), key=lambda pair: -pair[1][0]))

    def learnt(self) -> Bill:
        """Return it without programming the start and setting the converters, which no sample pays for."""
        once = ("programming", "calibration")
        return replace(self, lines=tuple(line for line in self.lines if line.phase not in once))

    def strictly(self) -> Bill:
        """Return it, or raise `AssumedError` where joules rest on weak numbers (`WEAK`), or pulses have none."""
        if self.absent:
            raise AssumedError(f"no joules are known of {'; '.join(self.absent)}; or leave strict out")
        weak = {
            f"{line.what} ({line.mark}: {line.source})"
            for line in self.lines
            if line.mark in WEAK and line.joules > 0
        }
        if weak:
            raise AssumedError(
                f"{100 * self.assumed_share:.0f} % of the joules rest on numbers that are assumed, from memory or "
                f"unstated: {'; '.join(sorted(weak))}; give a price list or a card with sources, or leave strict out"
            )
        return self

    def per(self, samples: int | None = None, updates: int | None = None) -> dict[str, float]:
        """Return joules in units that can be compared, periphery and digital work included.

        Parameters
        ----------
        samples : int, optional
            Samples that were learnt from, epochs times images; without it none is stated for a sample.
        updates : int, optional
            Mini-batches.

        Returns
        -------
        found : dict
            ``training``; ``effective_pulse`` (all that learning costs, forward reads left out, for each pulse that took
            effect; not there where pulses have no price); and with `samples`: ``sample``, ``synapse_and_sample``, ``inference`` (forward reads and neurons of a
            sample).
        """
        learning = self.total(lambda line: line.phase in ("update", "readback", "refresh"))[0]
        inference = self.total(lambda line: line.phase in ("forward", "neurons"))[0]
        found = {"training": self.joules}
        if self.pulses and not self.absent:
            found["effective_pulse"] = learning / self.pulses
        if samples:
            trained = self.learnt().joules
            found["sample"] = trained / samples
            found["inference"] = inference / samples
            if self.synapses:
                found["synapse_and_sample"] = trained / samples / self.synapses
        if updates:
            found["update"] = learning / updates
        return found

    def sentence(self, samples: int | None = None, of: str = "the training") -> str:
        """Return one sentence that may be quoted: with periphery, range, and the share that is assumed."""
        each = samples or 1
        bill = self.learnt() if samples else self
        total, low, high = (end / each for end in bill.total())
        what = f"a sample of {of}" if samples else of
        devices = "devices, without their pulses," if bill.absent else "devices"
        said = (
            f"{joules_text(total)} for {what} ({joules_text(low)} to {joules_text(high)}; prices {self.prices}), of which "
            f"{devices} {joules_text(bill.device_J / each)}, periphery {joules_text(bill.periphery_J / each)}, digital "
            f"{joules_text(bill.digital_J / each)}; {100 * bill.assumed_share:.0f} % of it rests on assumed, remembered or "
            "unstated numbers"
        )
        if bill.unranged_share >= 0.005:
            said += f", and for {100 * bill.unranged_share:.0f} % no range is stated"
        if self.not_priced:
            several = len(self.not_priced) > 1
            said += f"; a lower bound, as {len(self.not_priced) if several else 'one'} kind"
            said += "s of events have no price there" if several else " of event has no price there"
        if self.absent:
            said += f"; no joules are known of {'; '.join(self.absent)}"
        return said + "."

    def as_dict(self, samples: int | None = None) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        total, low, high = self.total()
        return {
            "prices": self.prices,
            "joules": total,
            "low": low,
            "high": high,
            "device_J": self.device_J,
            "periphery_J": self.periphery_J,
            "digital_J": self.digital_J,
            "assumed_share": self.assumed_share,
            "unranged_share": self.unranged_share,
            "per": self.per(samples),
            "synapses": self.synapses,
            "pulses": self.pulses,
            "not_priced": list(self.not_priced),
            "not_counted": list(self.not_counted),
            "notes": list(self.notes),
            "sentence": self.sentence(samples),
            "lines": [asdict(line) for line in self.lines],
        }


def _both(one: str, other: str) -> str:
    return one if one == other or not other else other if not one else f"{one}, {other}"
