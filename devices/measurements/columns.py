"""From headers to quantities: what a column is called, and in which unit it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neurosim.core.errors import DataError, InputError
from neurosim.devices.measurements.reading import Sheet

UNITS: dict[str, dict[str, float]] = {
    "conductance": {"S": 1e6, "mS": 1e3, "uS": 1.0, "nS": 1e-3, "pS": 1e-6},
    "resistance": {"ohm": 1.0, "mohm": 1e-3, "kohm": 1e3, "Mohm": 1e6, "Gohm": 1e9},
    "current": {"A": 1.0, "mA": 1e-3, "uA": 1e-6, "nA": 1e-9, "pA": 1e-12},
    "voltage": {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "kV": 1e3},
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0, "d": 86400.0},
    "temperature": {"K": 1.0, "degC": 1.0},
}
"""Units of each dimension, and what makes of them uS, ohm, A, V and s; to degrees Celsius `ZERO_K` is added."""
ZERO_K = 273.15
LARGEST_READ_V = 20.0
"""A read voltage beyond is taken for a wrong unit."""
_SPELT = {
    "siemens": "S", "mho": "S", "1/ohm": "S", "1/kohm": "mS", "ohms": "ohm", "kohms": "kohm", "amp": "A", "amps": "A", "ampere": "A",
    "amperes": "A", "amp dc": "A", "volt": "V", "volts": "V", "volt dc": "V", "sec": "s", "second": "s",
    "seconds": "s", "secs": "s", "minute": "min", "minutes": "min", "mins": "min", "hour": "h", "hours": "h", "hr": "h",
    "hrs": "h", "day": "d", "days": "d", "kelvin": "K", "°c": "degC", "c": "degC", "celsius": "degC", "deg c": "degC",
}  # fmt: skip
_COUNT = r"( (id|name|no|nr|num|number|index|idx|count))?"
_NAMES = {
    "device": rf"(device|dut|cell|memristor|synapse){_COUNT}",
    "word_line": r"word ?line|wl",
    "bit_line": r"bit ?line|bl",
    "cycle": rf"(cycle|loop|repetition|repeat|ramp|train|run){_COUNT}",
    "pulse": rf"pulses?{_COUNT}|(n|no|num|number)( of)? ?pulses?|pulse(num|no|idx|index|number|count)",
    "polarity": r"(pulse )?(polarity|direction|type|sign)|pol|operation|set reset",
    "pulse_voltage": r"v ?(pulse|write|prog|program|pgm)|(pulse|write|prog|program|programming) ?"
    r"(v|volt|voltage|amplitude|height)|amplitude",
    "pulse_width": r"(pulse |write |prog |program |programming )?(width|duration|length)|(pulse|write|prog|program) ?(time|t)|"
    r"t ?(pulse|write|prog|program|pgm)|pw",
    "read_voltage": r"v ?(read|meas)|(read|reading|meas|sense) ?(v|volt|voltage)",
    "current": r"i|i ?(read|meas|d|ds)|(read|meas|measured|drain) ?(i|current)|current|curr|ids",
    "conductance": r"g|g ?(read|meas|ds)|((read|measured|channel|device|dut) )?conductance|cond",
    "resistance": r"r|r ?(read|meas)|((read|measured|device|dut) )?resistance|res",
    "target": r"((g|conductance|state) )?(target|goal|desired)( (g|conductance|state))?",
    "achieved": r"((g|conductance|state) )?(achieved|reached|programmed|actual|obtained)( (g|conductance|state))?",
    "compliance": r"((in|current|voltage|source|read|smu|meas|measure|measurement|i|v) ?)?(compliance|limit|status|stat)"
    r"( ?(flag|reached|status|code|hit))?",
    "temperature": r"((chip|stage|chuck|sample|device|bake|baking|ambient|set) ?)?temp(erature)?",
    "time": r"t|time|elapsed|((relative|elapsed|delay|retention|wait) )time|time (since|after) .*",
}
"""What each quantity may be called, without unit, in lower case and with blanks between words."""
_DIMENSION = {
    "pulse_voltage": "voltage", "pulse_width": "time", "read_voltage": "voltage", "target": "conductance", "achieved": "conductance",
    "current": "current", "conductance": "conductance", "resistance": "resistance", "time": "time",
    "temperature": "temperature",
}  # fmt: skip
QUANTITIES = tuple(_NAMES)
VALUES = ("conductance", "resistance", "current")
"""What a read may be given as, the first of these if there are several."""
UP_WORDS, DOWN_WORDS = "set|up|potentiation|ltp", "reset|down|depression|ltd"
"""What a name of a ramp, or of its file, says of its polarity."""
_LOGARITHM = re.compile(r"(log|lg|ln)[\s_(\[1]", re.IGNORECASE)
_NOT_A_DEVICE = re.compile(
    r"(?<![a-z])(before|after|initial|final|std|sd|sigma|err|error|avg|average|mean|min|max|lrs|hrs|on|off|delta|dg|"
    r"compliance|limit|range|leak|leakage|source|gate|write|offset|noise|bias|icc)(?![a-z])"
)


@dataclass(frozen=True)
class Column:
    """One column as it was understood."""

    place: int
    header: str
    quantity: str
    unit: str | None
    """None where the header names none."""
    minus: bool = False
    """The user has the sign turned."""

    @property
    def factor(self) -> float:
        """What makes of the column's unit uS, ohm, A, V or s; 1 without a unit."""
        return 1.0 if self.unit is None else UNITS[_DIMENSION[self.quantity]][self.unit]


def unit_of(text: str, dimension: str | None = None) -> tuple[str, str] | None:
    """Return dimension and unit that a text means; `dimension` helps where upper and lower case are mixed."""
    plain = re.sub(r"[µμ]", "u", text.strip())
    plain = re.sub(r"[ΩΩ]|[Oo][Hh][Mm]", "ohm", plain)
    plain = _SPELT.get(plain.lower(), plain)
    if plain.startswith("Kohm"):
        plain = plain.replace("K", "k", 1)
    found = [(kind, plain) for kind, units in UNITS.items() if plain in units]
    if dimension is not None and not any(kind == dimension for kind, _ in found):
        found += [(dimension, unit) for unit in UNITS[dimension] if unit.lower() == plain.lower()]
    fitting = [one for one in found if dimension in (None, one[0])] or found
    return fitting[0] if fitting else None


def quantity_of(name: str) -> str | None:
    """Return the quantity that a name without unit means; of a read, beside the word of its ramp."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.strip())
    words = " ".join(re.sub(r"[^0-9a-z]+", " ", words.lower()).split())
    ramp = re.sub(rf"(?<![a-z])({UP_WORDS}|{DOWN_WORDS})(?![a-z])", "", words).strip()
    named = [
        key
        for key, pattern in _NAMES.items()
        if re.fullmatch(pattern, words) or (key in VALUES and re.fullmatch(pattern, ramp))
    ]
    return named[0] if named else None


def split_header(header: str) -> tuple[str, str | None, str | None]:
    """Return name, quantity and unit of a header; None where it says none.

    Understood are `name (unit)`, `name [unit]`, `name / unit`, `name_unit`, `name, unit` and `name unit`.
    """
    header = header.strip()
    bracket = re.fullmatch(r"(.*?)[\s_]*[(\[{]([^()\[\]{}]*)[)\]}]", header)
    if bracket and bracket[1]:
        quantity = quantity_of(bracket[1])
        found = unit_of(bracket[2], _DIMENSION.get(quantity or ""))
        if found:
            return bracket[1], quantity, found[1]
    apart = re.fullmatch(r"(.*[^\s/])\s*/\s*(\S+)", header)
    for tried in (
        apart,
        re.fullmatch(r"(.+?)(?:_|,?\s+)([^\s_]+)", header),
        re.fullmatch(r"(.+)_([^_]+)", header),
    ):
        if not tried:
            continue
        quantity = quantity_of(tried[1])
        dimension = _DIMENSION.get(quantity or "")
        found = unit_of(tried[2], dimension)
        if found and (
            found[0] == dimension or (quantity is None and len(found[1]) > 1 and found[0] in VALUES)
        ):
            return tried[1], quantity, found[1]
    return header, quantity_of(header), None


def device_of(header: str) -> str:
    """Return a header without its unit: the name of the device that a column is of."""
    return split_header(header)[0].strip()


def is_known(header: str) -> bool:
    """Whether a header names a quantity or has the unit of a read."""
    _, quantity, unit = split_header(header)
    return quantity is not None or (unit is not None and dimension_of(unit) in VALUES)


def dimension_of(unit: str) -> str:
    """Return the dimension of a unit."""
    return next(kind for kind, units in UNITS.items() if unit in units)


def is_unit(text: str) -> bool:
    """Whether a cell is a unit of any kind."""
    return unit_of(text) is not None or text.lower() in ("1", "a.u.", "k", "°c", "hz", "w", "j")


def is_logarithm(header: str) -> bool:
    """Whether a header names the logarithm of something."""
    return _LOGARITHM.match(header.strip()) is not None


def may_be_device(name: str) -> bool:
    """Whether a column of reads may be named after a device: not after a statistic, a state or a setting."""
    return _NOT_A_DEVICE.search(name.lower()) is None


def understand(
    sheet: Sheet, told: Mapping[str, Sequence[str]], elsewhere: bool = False
) -> tuple[list[Column], list[Column]]:
    """Return the columns that name a quantity, and those that have the unit of a read but another name.

    Parameters
    ----------
    sheet : Sheet
        A file's cells.
    told : mapping of str to sequence of str
        Headers of a quantity, or of a quantity with its unit (`conductance_uS`), that the user gave.
    elsewhere : bool
        They may be those of another file.

    Raises
    ------
    DataError
        If a header that the user gave is not there, or there twice.
    """
    named: list[Column] = []
    other: list[Column] = []
    taken: set[int] = set()
    for key, headers in told.items():
        quantity, unit = asked(key)
        for header in headers:
            place, minus = find(sheet, header)
            if place is None and elsewhere:
                continue
            if place is None:
                raise DataError(
                    f"{sheet.file}: --column {key}: no column '{header}'; found {', '.join(sheet.names)}"
                )
            taken.add(place)
            named.append(
                Column(place, sheet.header(place), quantity, unit or _unit(sheet, place, quantity), minus)
            )
    mapped = {column.quantity for column in named}
    if mapped & set(VALUES):
        mapped |= set(VALUES)
    for place in range(sheet.cells.shape[1]):
        header = sheet.header(place)
        if place in taken or not sheet.names or not header or is_logarithm(header):
            continue
        name, meant, _ = split_header(header)
        found = _unit(sheet, place, meant)
        if meant is not None and meant not in mapped:
            named.append(Column(place, header, meant, found))
        elif meant is None and found is not None and dimension_of(found) in VALUES and may_be_device(name):
            other.append(Column(place, header, dimension_of(found), found))
    return named, [column for column in other if column.quantity not in mapped]


def _unit(sheet: Sheet, place: int, quantity: str | None) -> str | None:
    """Return the unit of a column, of its header or of the row below; None if none fits the quantity."""
    dimension = _DIMENSION.get(quantity or "")
    header = sheet.header(place)
    unit = split_header(header)[2] if sheet.names else None
    bracket = re.search(r"[(\[{]([^()\[\]{}]*)[)\]}]\s*$", header) if sheet.names else None
    for text in (bracket[1] if bracket else "", sheet.units[place] if sheet.units else ""):
        found = unit_of(text, dimension) if unit is None and text else None
        unit = found[1] if found else unit
    if quantity is not None and (dimension is None or (unit is not None and unit not in UNITS[dimension])):
        return None
    return unit


def asked(key: str) -> tuple[str, str | None]:
    """Return quantity and unit of what the user calls a column; raises `InputError` for other names."""
    if key in QUANTITIES:
        return key, None
    quantity, _, text = key.rpartition("_")
    dimension = _DIMENSION.get(quantity)
    found = unit_of(text, dimension) if dimension else None
    if found is None or found[0] != dimension:
        raise InputError(
            f"--column {key}: no such quantity; known are {', '.join(QUANTITIES)}, with a unit behind them if the "
            "header has none (conductance_uS)"
        )
    return quantity, found[1]


def find(sheet: Sheet, header: str) -> tuple[int | None, bool]:
    """Return the place of a header (or of a column's number) and whether a minus stands before it."""
    wanted = header.strip()
    for text, minus in ((wanted, False), (wanted.removeprefix("-").strip(), wanted.startswith("-"))):
        lower = [name.lower() for name in sheet.names]
        if lower.count(text.lower()) > 1:
            raise DataError(
                f"{sheet.file}: two columns are named '{text}'; give the number of the one that counts, "
                f"{lower.index(text.lower()) + 1} for the first"
            )
        if text.lower() in lower:
            return lower.index(text.lower()), minus
        number = text.removeprefix("column ")
        if number.isdigit() and 1 <= int(number) <= sheet.cells.shape[1]:
            return int(number) - 1, minus
    return None, False
