"""Voltage and width of the card's own pulse: given by the user, told by columns of the data, or by settings beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurosim.devices.fitting.card_maker import CardMaker
from neurosim.devices.fitting.tables import ALIKE, Pulses, levels

_UP = ("write", "set")
"""What laws call a pulse up; one down is `reset`."""
_WORDS = {1: "SET", -1: "RESET"}
_LARGEST_V = 20.0
"""Amplitudes without a unit beyond may be in another."""


@dataclass(frozen=True)
class _Of:
    """Voltage, or width."""

    end: str
    """Of a law's parameter."""
    word: str
    unit: str
    option: str
    column: str
    trace: str
    quantity: str


_VOLTAGE = _Of("voltage_V", "amplitude", "V", "--write-voltage", "pulse_V", "volts", "pulse_voltage")
_WIDTH = _Of("time_s", "width", "s", "--write-time", "pulse_s", "seconds", "pulse_width")


@dataclass(frozen=True)
class _Told:
    """What the data tell of pulses of one polarity."""

    value: float
    source: str


def width_beside(pulses: Pulses) -> float | None:
    """Return the width of all pulses that stands beside the data, where no column tells it."""
    told, _ = _beside(pulses, _WIDTH)
    values = {one.value for one in told.values()}
    return values.pop() if len(values) == 1 and set(told) == {1, -1} else None


def put_write_pulse(
    maker: CardMaker, pulses: Pulses | None, voltage_V: float | None, time_s: float | None
) -> None:
    """Put voltage and width of a pulse on a card, what the user gave before what the data tell, and say what is not put."""
    for of, given in ((_VOLTAGE, voltage_V), (_WIDTH, time_s)):
        up = next((f"{word}_{of.end}" for word in _UP if f"{word}_{of.end}" in maker.units), None)
        if up is None:
            continue
        told, why = ({}, "") if pulses is None else _told(pulses, of)
        if given is not None:
            maker.put(up, given, f"given with {of.option}")
            if any(not _alike(one.value, given) for one in told.values()):
                maker.notes.append(f"{of.option} {given:g} is on the card, and not {_said(told, of)}.")
            continue
        fitted = up in maker.given and pulses is not None and _by_column(pulses, of)
        if fitted or pulses is None:
            continue
        if 1 in told:
            maker.put(up, told[1].value, told[1].source)
            down = f"reset_{of.end}"
            other = -1 in told and (up.startswith("set") or not _alike(told[-1].value, told[1].value))
            if down in maker.units and (other or (down in maker.given and -1 in told)):
                maker.put(down, told[-1].value, told[-1].source)
        elif -1 in told and not why:
            why = f"{_said(told, of)}, and nothing tells that of SET"
        if why:
            none = "that of SET counts for all pulses" if 1 in told else "none is on the card"
            remedy = (
                f"write reset_{of.end} on the card" if 1 in told else f"{of.option} gives that of a pulse up"
            )
            maker.notes.append(f"Pulse {of.word}: {why}: {none}; {remedy}.")


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= ALIKE * max(one, other)


def _said(told: dict[int, _Told], of: _Of) -> str:
    """Return what the data tell, in words."""
    return " and ".join(
        f"{one.value:g} {of.unit} of {_WORDS[sign]} ({one.source})"
        for sign, one in sorted(told.items())[::-1]
    )


def _by_column(pulses: Pulses, of: _Of) -> bool:
    return any(getattr(trace, of.trace) is not None for trace in pulses.traces)


def _told(pulses: Pulses, of: _Of) -> tuple[dict[int, _Told], str]:
    """Return what the data tell of pulses of each polarity, and in words why not of both."""
    if not _by_column(pulses, of):
        return _beside(pulses, of)
    source = f'column "{pulses.headers_of_pulses.get(of.column, "")}" of {pulses.source}'
    told: dict[int, _Told] = {}
    why = ""
    for sign, word in _WORDS.items():
        seen = [getattr(trace, of.trace)[trace.sign == sign] for trace in pulses.traces]
        found = np.concatenate(seen)
        found = found[np.isfinite(found) & (found > 0)]
        kinds = levels(found)
        if kinds.size == 1:
            told[sign] = _Told(float(np.median(found)), source)
        elif kinds.size:
            why = why or (f"{word} pulses have several, {kinds[0]:g} to {kinds[-1]:g} {of.unit} ({source})")
    values = {one.value for one in told.values()}
    if of is _VOLTAGE and pulses.volts_assumed and (values == {1.0} or max(values, default=0) > _LARGEST_V):
        return {}, f"{source} names no unit and holds {', '.join(f'{value:g}' for value in sorted(values))}"
    return told, why


def _beside(pulses: Pulses, of: _Of) -> tuple[dict[int, _Told], str]:
    """Return the settings beside the data; none of a polarity of which they say several."""
    told: dict[int, _Told] = {}
    why = ""
    for file, one in pulses.settings:
        if one.quantity != of.quantity:
            continue
        for sign in (one.sign,) if one.sign else (1, -1):
            found = _Told(one.value, f"read from line {one.line} of {file}")
            if sign in told and not _alike(told[sign].value, one.value):
                why = f"{_said({sign: told[sign]}, of)} and {_said({sign: found}, of)}"
            told.setdefault(sign, found)
    return ({}, why) if why else (told, "")
