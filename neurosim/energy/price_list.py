"""Price lists: files that say what one event of each kind costs, with range, unit, node, source and mark."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from neurosim.core import registry
from neurosim.core.config import Periphery
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.core.frozen import Frozen
from neurosim.energy.marks import Mark, worst

FOLDER = Path(__file__).with_name("prices")


class Component(NamedTuple):
    """What a price list may price."""

    units: tuple[str, ...]
    what: str


COMPONENTS = {
    "adc": Component(("J",), "a conversion of an ADC"),
    "comparator": Component(("J",), "a comparison of a verifying read with its target"),
    "dac": Component(("J",), "a conversion of an input's DAC"),
    "row_dac": Component(("J",), "a word line driven for a row read"),
    "line": Component(("F", "J"), "a cell along a line that is charged: C V^2, or joules at the gates' own supply"),
    "train": Component(("J",), "a slot of a pulse train on a line"),
    "mac": Component(("J",), "a multiply and add of the update, formed digitally"),
    "add": Component(("J",), "an addition of two tiles' or bits' codes"),
    "memory": Component(("J",), "a 32-bit access of the memory of accumulators"),
    "neuron": Component(("J",), "the activation of an output"),
    "control": Component(("1",), "clock, control and leakage"),
    "phase_time": Component(("s",), "one integration with its conversions; without it, the setting's integration time and `adc_time`"),
    "adc_time": Component(("s",), "one conversion"),
    "columns_per_adc": Component(("1",), "columns that take turns at one converter"),
    "mac_time": Component(("s",), "a multiply and add of one array's digital unit, all its lanes together"),
    "memory_time": Component(("s",), "a memory access, the same"),
}  # fmt: skip
"""By name; "control" is a share of periphery and digital joules. What a list leaves out is not priced, and a bill says so."""

Factor = Literal["1", "bits", "2^bits", "4^bits"]


class Price(Frozen):
    """One price, or one term of a price that is a sum."""

    value: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)
    unit: str
    times: Factor = "1"
    """Of a converter's width."""
    bits: int | None = Field(None, ge=1)
    """Holds at this width only."""
    up_to_bytes: int | None = Field(None, ge=1)
    """Holds for memories of at most this size; a term without it for any larger one."""
    node: str = ""
    source: str = Field(min_length=1)
    mark: Mark

    @model_validator(mode="after")
    def _value_within_range(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"value {self.value:g} is not between low {self.low:g} and high {self.high:g}")
        return self

    def scale(self, bits: int) -> float:
        """Return what the price is multiplied by at this width."""
        return {"1": 1.0, "bits": float(bits), "2^bits": 2.0**bits, "4^bits": 4.0**bits}[self.times]


class Pulse(Frozen):
    """Another pulse than the card's: a voltage and width, or fixed joules."""

    voltage_V: float | None = Field(None, gt=0)
    width_s: float | None = Field(None, gt=0)
    joules: float | None = Field(None, ge=0)
    low: float | None = Field(None, ge=0)
    """Range of `joules`."""
    high: float | None = Field(None, ge=0)
    source: str = Field(min_length=1)
    mark: Mark

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        shaped = (self.voltage_V is not None, self.width_s is not None)
        if (self.joules is not None and any(shaped)) or (self.joules is None and not all(shaped)):
            raise ValueError("give voltage_V and width_s, or joules")
        if self.joules is None and (self.low is not None or self.high is not None):
            raise ValueError("low and high are the range of joules")
        if self.joules is not None and not (
            (self.low is None or self.low <= self.joules) and (self.high is None or self.joules <= self.high)
        ):
            raise ValueError("joules is not between low and high")
        return self


class Unit(NamedTuple):
    """What one event costs."""

    value: float
    low: float
    high: float
    unit: str
    mark: Mark
    source: str


class PriceList(Frozen):
    """Prices of a periphery; what a list leaves out is not priced."""

    name: str
    summary: str
    notes: tuple[str, ...] = ()
    default_bits: int = Field(8, ge=1, le=16)
    """Width at which a converter that is left perfect is priced."""
    pulse_up: Pulse | None = None
    pulse_down: Pulse | None = None
    prices: dict[str, tuple[Price, ...]]

    def __repr__(self) -> str:
        return f"<PriceList {self.name!r} of {', '.join(self.prices)}: {self.summary}>"

    __str__ = __repr__

    @field_validator("prices")
    @classmethod
    def _known(cls, prices: dict[str, tuple[Price, ...]]) -> dict[str, tuple[Price, ...]]:
        for name, terms in prices.items():
            if name not in COMPONENTS:
                raise ValueError(str(UnknownNameError("component", name, COMPONENTS)))
            if not terms:
                raise ValueError(f"{name} has no price; leave it out to leave it unpriced")
            wrong = [term.unit for term in terms if term.unit not in COMPONENTS[name].units]
            if wrong:
                raise ValueError(f"{name}.unit = '{wrong[0]}', must be {' or '.join(COMPONENTS[name].units)}")
            if len({term.unit for term in terms}) > 1:
                raise ValueError(f"{name} mixes units; terms of one sum have one unit")
        return prices

    def cost_of(self, component: str, bits: int | None = None, size_bytes: float = 0.0) -> Unit | None:
        """Return what one event costs; None where this list has no price for it.

        Parameters
        ----------
        component : str
            One of `COMPONENTS`.
        bits : int, optional
            Width of the converter; default `default_bits`.
        size_bytes : float
            Size of the memory.
        """
        if component not in COMPONENTS:
            raise UnknownNameError("component", component, COMPONENTS)
        width = bits or self.default_bits
        terms = _that_hold(self.prices.get(component, ()), width, size_bytes)
        if not terms:
            return None
        scales = [term.scale(width) for term in terms]
        value, low, high = (
            sum(getattr(term, end) * scale for term, scale in zip(terms, scales, strict=True))
            for end in ("value", "low", "high")
        )
        sources = "; ".join(dict.fromkeys(term.source for term in terms))
        return Unit(value, low, high, terms[0].unit, worst(term.mark for term in terms), sources)

    @classmethod
    def of_periphery(cls, periphery: Periphery) -> Self:
        """Return the prices of an array's own `Periphery`, which `Ledger` uses; its ranges are unknown."""
        squared = periphery.supply_V**2
        terms: dict[str, list[tuple[float, str, Factor]]] = {
            "adc": [
                (periphery.adc_k1_fF * 1e-15 * squared, "J", "bits"),
                (periphery.adc_k2_fF * 1e-15 * squared, "J", "4^bits"),
            ],
            "dac": [(periphery.dac_fF_per_bit * 1e-15 * squared, "J", "bits")],
            "line": [(periphery.line_fF_per_cell * 1e-15, "F", "1")],
            "mac": [(periphery.mac_pJ * 1e-12, "J", "1")],
            "add": [(periphery.mac_pJ * 1e-12, "J", "1")],
            "memory": [(periphery.memory_access_pJ * 1e-12, "J", "1")],
        }
        return cls(
            name=periphery.name,
            summary="The array's own Periphery",
            default_bits=periphery.default_bits,
            prices={
                name: tuple(
                    Price(
                        value=value, low=value, high=value, unit=unit, times=times,
                        source=periphery.name, mark="published model" if periphery == Periphery() else "unstated",
                    )
                    for value, unit, times in each
                )
                for name, each in terms.items()
            },
        )  # fmt: skip


def _that_hold(terms: tuple[Price, ...], bits: int, size_bytes: float) -> list[Price]:
    """Terms for this width and size; none where rows of other widths are all there is."""
    fits = [term for term in terms if term.bits in (None, bits)]
    if any(term.bits for term in terms) and not any(term.bits for term in fits):
        return []
    sized = sorted(term.up_to_bytes for term in fits if term.up_to_bytes and term.up_to_bytes >= size_bytes)
    if any(term.up_to_bytes for term in terms):
        return [term for term in fits if term.up_to_bytes == (sized[0] if sized else None)]
    return fits


def built_in() -> dict[str, Path]:
    """Return the file of every built-in price list by name."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}


def price_list(given: str | Path | PriceList | Periphery) -> PriceList:
    """Return a price list.

    Parameters
    ----------
    given : str, Path, PriceList or Periphery
        The name of a built-in list, the path of a file (``.toml``), ``"my.py:prices"`` or ``"package.module:prices"``,
        a list itself, or the periphery of an array.

    Raises
    ------
    UnknownNameError
        If there is no list of that name; the message has the nearest match.
    ConfigError
        If a file cannot be read, or has an unknown component, a wrong unit or a value outside its range.
    InputError
        If it is none of these.
    """
    if isinstance(given, Periphery):
        return PriceList.of_periphery(given)
    found: PriceList = registry.resolve("price list", given, _no_list, _named)
    return found


def _no_list(thing: Any) -> str | None:
    return None if isinstance(thing, PriceList) else "expected a name, a file or neurosim.energy.PriceList"


def _named(name: str) -> PriceList:
    known = built_in()
    path = known.get(name, Path(name))
    if path.suffix != ".toml":
        raise UnknownNameError("price list", name, known)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"price list {path}: {error}") from None
    return PriceList.parse(values, f"price list {path.name}")
