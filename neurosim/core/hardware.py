"""What an array is built of beside its devices: wires, tiles, faults, and which draws it is born with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from neurosim.core.errors import InputError
from neurosim.core.frozen import Frozen

NODES: dict[int, tuple[float, float, float]] = {
    130: (200.0, 2.42e-8, 2.10),
    90: (200.0, 2.42e-8, 2.10),
    65: (100.0, 2.73e-8, 2.30),
    45: (50.0, 3.91e-8, 2.34),
    32: (40.0, 4.03e-8, 1.90),
    22: (32.0, 4.51e-8, 1.90),
    14: (22.0, 5.41e-8, 2.00),
    10: (22.0, 5.41e-8, 2.00),
    7: (14.0, 7.43e-8, 2.10),
}
"""Technology node (nm): width of a wire (nm), resistivity (ohm m), height over width (DNN+NeuroSim V2.1)."""
RESISTIVITY_PER_K = 0.00451
"""Relative growth of the resistivity with each kelvin above 300 K (the same source)."""


def segment_ohm(node_nm: int, pitch_F: float = 4.0, temperature_K: float = 300.0) -> float:
    """Return the resistance of a wire from one cell to the next, ``rho L / (W^2 AR)`` with ``L = pitch_F W``.

    Parameters
    ----------
    node_nm : int
        Technology node: 130, 90, 65, 45, 32, 22, 14, 10 or 7.
    pitch_F : float
        Distance of two cells in wire widths; 4 for cells with a transistor, 2 for a dense array.
    temperature_K : float

    Raises
    ------
    InputError
        If the node is unknown.
    """
    if node_nm not in NODES:
        raise InputError(f"node_nm = {node_nm}: must be one of {', '.join(map(str, NODES))}")
    width_nm, resistivity, aspect = NODES[node_nm]
    warmth = 1 + RESISTIVITY_PER_K * (temperature_K - 300.0)
    return resistivity * warmth * pitch_F / (width_nm * 1e-9 * aspect)


class Wires(Frozen):
    """Resistance of word and bit lines, in reading and, if asked for, in writing (`neurosim.crossbar.wires`)."""

    r_word_ohm: float = Field(0.0, ge=0)
    """One segment of a word line, from cell to cell; 0 is a perfect line."""
    r_bit_ohm: float = Field(0.0, ge=0)
    r_driver_ohm: float = Field(0.0, ge=0)
    """Each word line's driver, in series with its first segment."""
    r_sense_ohm: float = Field(0.0, ge=0)
    """Each bit line's sense amplifier, in series with its last segment."""
    drive: Literal["single", "double"] = "single"
    """Word lines driven at the left end, or at both."""
    sense: Literal["single", "double"] = "single"
    """Bit lines sensed at the bottom, or at both ends with the currents added."""
    method: Literal["auto", "exact", "first-order"] = "auto"
    """How the effective conductances are found: by the exact circuit, refreshed now and then while the array
    learns; from each line on its own; or that only where its estimated error is below `most_error`."""
    every: int = Field(500, ge=1)
    """Most updates between two exact solutions; between them the change is followed line by line ..."""
    moved: float = Field(0.1, gt=0)
    """... unless conductances have moved by this share (of the tile's summed conductance)."""
    most_error: float = Field(0.003, gt=0)
    """Largest estimated error that "auto" takes the first order for, as a share of the largest current."""

    @classmethod
    def at_node(
        cls, node_nm: int, pitch_F: float = 4.0, temperature_K: float = 300.0, **others: float
    ) -> Wires:
        """Return the wires of a technology node; other settings by name."""
        ohm = segment_ohm(node_nm, pitch_F, temperature_K)
        return cls.parse({"r_word_ohm": ohm, "r_bit_ohm": ohm, **others}, "Wires.at_node")

    @property
    def perfect(self) -> bool:
        """Whether no resistance is left."""
        return not (self.r_word_ohm or self.r_bit_ohm or self.r_driver_ohm or self.r_sense_ohm)


class Tiles(Frozen):
    """Largest physical array; a layer that exceeds it is spread over several, and partial sums added digitally."""

    word_lines: int | None = Field(None, ge=1)
    bit_lines: int | None = Field(None, ge=2)
    """Bit lines of devices: a signed column of an interleaved pair takes two."""


class Faults(Frozen):
    """Broken lines and dead columns, drawn once for each array; stuck cells are the device's (`p_stuck_gmin` ...)."""

    broken_word_lines: float | None = Field(None, ge=0, le=1)
    """Share of word lines of a tile that are broken somewhere: cells beyond the break are reached by nothing."""
    broken_bit_lines: float | None = Field(None, ge=0, le=1)
    dead_columns: float | None = Field(None, ge=0, le=1)
    """Share of signed columns whose sense amplifier gives nothing."""
    spare_columns: int = Field(0, ge=0)
    """Columns built beyond those the layer needs."""
    placement: Literal["plain", "aware"] = "plain"
    """Logical columns in their order, or where the test of the array found the fewest faults; `program` then
    chooses for each column the place that spoils its weights least."""

    @model_validator(mode="after")
    def _spares_need_a_choice(self) -> Faults:
        if self.spare_columns and self.placement == "plain":
            raise ValueError("spare_columns are only used with placement = 'aware'")
        return self


class Draws(Frozen):
    """Seeds of what a chip is born with, where they are not its own: chips that differ in one kind of draw alone.

    The noise of pulses, programming and reads keeps the seed of the array.
    """

    devices: int | None = None
    """What differs from device to device, of the law and of the effects around it; stuck cells apart."""
    faults: int | None = None
    """Stuck cells, broken lines and dead columns."""
    converters: int | None = None
    """Gains and offsets of converters and sense amplifiers."""
    neurons: int | None = None
    """Transfers of the neurons behind the columns, and the mixtures of black boxes behind them: a layer's, no array has them."""

    def seed_of(self, kind: str, own: int) -> int:
        """Return the seed of one kind of draw; `own` is that of the chip."""
        found = getattr(self, kind)
        return own if found is None else int(found)
