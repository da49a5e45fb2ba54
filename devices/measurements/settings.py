"""Settings of the instrument that stand beside the data: read voltage, and voltage and width of a pulse.

They are looked for in the lines that are no data: the block above the header, comments, and what stands below.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pandas as pd

from neurosim.devices.measurements.columns import (
    DOWN_WORDS,
    LARGEST_READ_V,
    UNITS,
    UP_WORDS,
    quantity_of,
    split_header,
    unit_of,
)

_DIMENSION = {"read_voltage": "voltage", "pulse_voltage": "voltage", "pulse_width": "time"}
_UNIT = {"voltage": "V", "time": "s"}
COLUMNS = {"pulse_voltage": "pulse_V", "pulse_width": "pulse_s"}
"""Of the tidy table, which hold the same of every pulse."""
OPTIONS = {
    "read_voltage": "--read-voltage",
    "pulse_voltage": "--write-voltage",
    "pulse_width": "--write-time",
}
"""With which the user says them."""
_BARE = {"width", "amplitude"}
"""Names that do not say of what."""
_NOTHING = {"duration", "length"}
"""Names of columns that mean something else above them."""
_VALUE = re.compile(r"([+\-±]?)\s*(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?\s*([a-zA-Zµμ]+)?")
_SECONDS = 1e-2
"""A width without a unit that is smaller, or written with an exponent, is in seconds."""
_ALIKE = 0.01
"""Values that differ by a smaller share are one."""
_LONGEST = 80
"""Names of settings have fewer characters."""
_SHOWN = 24
"""So many characters of what is not understood are shown."""


@dataclass(frozen=True)
class Setting:
    """One setting as it was understood."""

    quantity: str
    """`read_voltage`, `pulse_voltage` or `pulse_width`."""
    sign: int
    """Of which pulses: +1 SET, -1 RESET, 0 all."""
    value: float
    """In V or s; of a pulse, a magnitude."""
    line: int

    @property
    def words(self) -> str:
        """What it is, and where it stands."""
        of = {1: " of SET", -1: " of RESET", 0: ""}[self.sign]
        unit = _UNIT[_DIMENSION[self.quantity]]
        return f"{self.quantity.replace('_', ' ')}{of} {self.value:g} {unit} (line {self.line})"


@dataclass(frozen=True)
class _Raw:
    """Values behind one name."""

    quantity: str
    sign: int
    values: tuple[float, ...]
    """Signed, in V or s."""
    line: int
    sure: bool = True
    """The name says that it is of a pulse, not what a source is set to."""


def settings_of(aside: Sequence[tuple[int, str]]) -> tuple[list[Setting], list[str]]:
    """Return the settings in lines of a file, and in words what looks like one and is not clear, with the remedy."""
    raw: list[_Raw] = []
    doubts: list[str] = []
    lines = [(line, _tokens(text)) for line, text in aside]
    for (line, tokens), (_, below) in pairwise([*lines, (0, [])]):
        for place, token in enumerate(tokens):
            named = _named(token)
            if named is None:
                continue
            quantity, sign, unit, sure = named
            dimension = _DIMENSION[quantity]
            behind = tokens[place + 1 :]
            if not (behind and any(map(str.isdigit, behind[0]))) and len(below) == len(tokens) > 1:
                behind = below[place : place + 1]
            numbers = _values(behind, unit, dimension)
            where, remedy = f"{token} (line {line}", f"{OPTIONS[quantity]} gives it"
            if numbers is None:
                if behind and any(map(str.isdigit, behind[0])):
                    doubts.append(f"{where}: {behind[0][:_SHOWN]} is not understood, {remedy})")
            elif token.lower() in _BARE:
                doubts.append(f"{where}: it does not say of what, {remedy})")
            elif not numbers:
                doubts.append(f"{where}: it has no unit, {remedy})")
            else:
                raw.append(_Raw(quantity, sign, numbers, line, sure))
    found: list[Setting] = []
    for quantity in _DIMENSION:
        own = [one for one in raw if one.quantity == quantity]
        clear = _read_voltage(own) if quantity == "read_voltage" else _of_pulses(quantity, own)
        found += clear
        if own and not clear:
            values = ", ".join(f"{value:g}" for one in own for value in one.values)
            places = ", ".join(str(line) for line in dict.fromkeys(one.line for one in own))
            name, unit = quantity.replace("_", " "), _UNIT[_DIMENSION[quantity]]
            doubts.append(
                f"{name} {values} {unit} (line {places}: which counts is not clear, {OPTIONS[quantity]} gives it)"
            )
    return found, doubts


def sorted_out(
    settings: Sequence[Setting], read: str, table: pd.DataFrame
) -> tuple[list[Setting], list[str]]:
    """Return the settings that are used, and in words the others with the reason.

    Parameters
    ----------
    settings : sequence of Setting
        All of a file.
    read : str
        Why the read voltage is not used; empty where it is.
    table : DataFrame
        The file's data; columns of it come before settings.
    """
    used, not_used = [], []
    for one in settings:
        why = read if one.quantity == "read_voltage" else ""
        if one.quantity in COLUMNS and "polarity" not in table:
            why = "the file holds no pulses"
        elif COLUMNS.get(one.quantity) in table:
            why = "a column tells it"
        if why:
            not_used.append(f"{one.words[:-1]}: {why})")
        else:
            used.append(one)
    return used, not_used


def of_one_polarity(settings: Sequence[Setting], table: pd.DataFrame) -> tuple[Setting, ...]:
    """Return the settings of pulses: of SET, or of RESET, where the data hold pulses of one of them alone."""
    signs = set(table["polarity"]) - {0} if "polarity" in table else set()
    alone = int(signs.pop()) if len(signs) == 1 else 0
    of_pulses = [one for one in settings if one.quantity in COLUMNS]
    once = [one for one in of_pulses if [other.quantity for other in of_pulses].count(one.quantity) == 1]
    return tuple(replace(one, sign=alone) if alone and one in once else one for one in of_pulses)


def _read_voltage(raw: Sequence[_Raw]) -> list[Setting]:
    values = [value for one in raw for value in one.values]
    if not values or not _alike(values) or not 0 < abs(values[0]) <= LARGEST_READ_V:
        return []
    return [Setting("read_voltage", 0, values[0], raw[0].line)]


def _of_pulses(quantity: str, raw: Sequence[_Raw]) -> list[Setting]:
    """Return one setting of all pulses, or one of each polarity; none where several may be meant."""
    by_sign: dict[int, list[tuple[float, int]]] = {}
    for one in raw:
        for value in one.values:
            by_sign.setdefault(one.sign, []).append((value, one.line))
    plain = by_sign.get(0, [])
    if set(by_sign) == {0} and min(value for value, _ in plain) < 0:
        by_sign = {
            sign: [(value, line) for value, line in plain if sign * value > 0]
            for sign in (1, -1)
            if any(sign * value > 0 for value, _ in plain)
        }
    elif plain and len(by_sign) > 1:
        return []
    if not all(own and own[0][0] and _alike([value for value, _ in own]) for own in by_sign.values()):
        return []
    if len(by_sign) <= 1 and not all(one.sure for one in raw):
        return []
    return [Setting(quantity, sign, abs(own[0][0]), own[0][1]) for sign, own in by_sign.items()]


def _alike(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= _ALIKE * max(map(abs, values))


def _tokens(text: str) -> list[str]:
    """Return names and values of a line; a comma within a number is its decimal one if other marks stand between."""
    text = text.strip().strip("#%/* ").replace("−", "-").replace("+/-", "±").replace("+-", "±")
    text = re.sub(r"(?i)\bread(ing)?s? at (?=[+-]?[\d.,]+([eE][+-]?\d+)? ?m?V\b)", "read voltage ", text)
    commas = r",(?!\d)|(?<!\d)," if re.search(r"[=:;\t]", text) else ","
    parts: list[str] = []
    for part in re.split(rf"[=:]\s*[;,\t]|[=:;\t]|{commas}", text):
        short = part.strip()[:_LONGEST]
        found = re.fullmatch(r"(.*[A-Za-z_)\]][^\d]*?)\s+([+\-±]?\s*[\d.,]+.*)", short)
        name, value = found.groups() if found and _named(found[1]) else (part, "")
        parts += [name.strip().strip("\"'"), *([value.strip()] if value else [])]
    return parts


def _named(token: str) -> tuple[str, int, str | None, bool] | None:
    """Return quantity, polarity, unit, and whether a pulse is meant for sure; None where a token names no setting."""
    if not 0 < len(token) < _LONGEST or token.lower() in _NOTHING:
        return None
    name, quantity, unit = split_header(token)
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower().replace("_", " ")
    plain = re.sub(r"^v(?=(set|reset)$)", "v ", " ".join(plain.split()))
    up, down = (
        re.search(rf"(?<![a-z])({words})(?![a-z])", plain)
        for words in (f"{UP_WORDS}|positive|pos", f"{DOWN_WORDS}|negative|neg")
    )
    if quantity in _DIMENSION:
        return quantity, 0, unit, True
    if bool(up) == bool(down):
        return None
    found = up or down
    assert found is not None
    rest = " ".join((plain[: found.start()] + plain[found.end() :]).split())
    sure = rest not in ("v", "volt", "voltage")
    if not unit and sure:
        rest, _, unit = split_header(rest)
    quantity = quantity_of(rest) if sure else "pulse_voltage"
    if quantity not in ("pulse_voltage", "pulse_width") or rest in _NOTHING:
        return None
    return quantity, 1 if up else -1, unit, sure


def _values(behind: Sequence[str], unit: str | None, dimension: str) -> tuple[float, ...] | None:
    """Return the numbers behind a name in V or s; none without a unit where one is needed, None if they are no numbers."""
    found: list[tuple[float, str | None, bool]] = []
    for token in behind:
        alone = unit_of(token, dimension) if found else None
        if alone is not None and alone[0] == dimension:
            unit = unit or alone[1]
            break
        parts = [_VALUE.fullmatch(part.strip().strip("\"'")) for part in re.split(r"/|\band\b", token)]
        if not all(parts):
            break
        for part in parts:
            assert part is not None
            named = unit_of(part[4], dimension) if part[4] else None
            if part[4] and (named is None or named[0] != dimension):
                return None
            number = float(part[2].replace(",", ".") + (part[3] or ""))
            signs = {"±": (1, -1), "-": (-1,)}.get(part[1], (1,))
            found += [(sign * number, named[1] if named else None, bool(part[3])) for sign in signs]
    if not found:
        return None
    last = next((own for _, own, _ in reversed(found) if own), unit)
    numbers = []
    for number, own, exponent in found:
        used = own or last
        if used is None and dimension == "time" and not exponent and abs(number) >= _SECONDS:
            return ()
        numbers.append(number * (UNITS[dimension][used] if used else 1.0))
    return tuple(numbers)
