"""The pulse programme of an array: every pulse that learning gave its devices, as a table, to be given again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import CapabilityError, DataError, InputError
from neurosim.core.protocols import PulseShape
from neurosim.crossbar.wired import physical_arrays

if TYPE_CHECKING:
    from pandas import DataFrame

MOST = 1_000_000
"""Lines of a programme that are kept."""
STREAMS = ("pulse", "depress")
"""Which random numbers pulses have: those of changes, or those of depression pulses that stand for decay."""
LOOK, WAIT = "look", "wait"
"""Lines that are no pulse: the refresh controller looks at all pairs; time passes."""
COLUMNS = (
    "step", "kind", "event", "time_s", "tile", "word_line", "bit_line", "polarity", "count", "voltage_V", "width_s",
)  # fmt: skip


class Step(NamedTuple):
    """What was done at once: pulses of one update, a look, or a while."""

    kind: str
    event: int
    time_s: float
    places: NDArray[np.int64]
    """(n, 2) word line and bit line of each device that was pulsed,"""
    counts: NDArray[np.int32]
    """(n,) and its pulses, up (+) or down (-)."""
    seconds: float = 0.0
    """That passed."""


class PulseProgramme:
    """The pulses that an array was given, in their order (`Crossbar.record`, `Crossbar.replay`).

    Parameters
    ----------
    shape : (int, int)
        Word lines and bit lines of the array, spare columns included.
    pulse_up, pulse_down : (float or None, float or None)
        Voltage (V) and width (s) of the card's pulses; None, an empty column, where it does not give them.
    tile_of : (int, int) array, optional
        Number of the tile in which each device of `shape` stands; default one tile.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        pulse_up: PulseShape,
        pulse_down: PulseShape,
        tile_of: NDArray[np.int64] | None = None,
    ):
        self.shape, self.pulse_up, self.pulse_down = shape, pulse_up, pulse_down
        self.tile_of = np.zeros(shape, np.int64) if tile_of is None else tile_of
        self.steps: list[Step] = []
        self._lines = 0

    def __len__(self) -> int:
        return self._lines

    def __repr__(self) -> str:
        pulses = sum(int(np.abs(step.counts).sum()) for step in self.steps)
        return f"<PulseProgramme of {pulses:,} pulses in {len(self):,} lines; .to_pandas(), .save(FILE), array.replay(it)>"

    def take(self, kind: str, event: int, time_s: float, given: NDArray[np.int32]) -> None:
        """Append the pulses (rows, bit lines), SET (+) or RESET (-), of one event, and set them to zero for the next."""
        places = np.argwhere(given)
        if len(places):
            counts = given[places[:, 0], places[:, 1]].copy()
            given[...] = 0
            self._append(Step(kind, event, time_s, places, counts))

    def look(self, event: int, time_s: float) -> None:
        """Append a look of the refresh controller, which brings saturated pairs back."""
        self._append(Step(LOOK, event, time_s, np.empty((0, 2), np.int64), np.empty(0, np.int32)))

    def wait(self, seconds: float, time_s: float) -> None:
        """Append time that passes."""
        self._append(Step(WAIT, 0, time_s, np.empty((0, 2), np.int64), np.empty(0, np.int32), seconds))

    def _append(self, step: Step) -> None:
        self._lines += max(1, len(step.counts))
        if self._lines > MOST:
            raise CapabilityError(
                f"a pulse programme has at most {MOST:,} lines: record fewer updates at a time, each in a programme of its own"
            )
        self.steps.append(step)

    def to_pandas(self) -> DataFrame:
        """Return one line a device and event: `COLUMNS`; of looks and waits the columns of a pulse are empty (waits have their seconds as width)."""
        import pandas

        frames = [pandas.DataFrame(self._table(k, step)) for k, step in enumerate(self.steps)]
        empty = pandas.DataFrame({name: [] for name in COLUMNS})
        return pandas.concat(frames, ignore_index=True)[list(COLUMNS)] if frames else empty

    def _table(self, number: int, step: Step) -> dict[str, Any]:
        once: dict[str, list[Any]] = {
            "step": [number], "kind": [step.kind], "event": [step.event], "time_s": [step.time_s],
        }  # fmt: skip
        if step.kind in (LOOK, WAIT):
            rest = {name: [np.nan] for name in COLUMNS[4:]}
            return {**once, **rest, "width_s": [step.seconds if step.kind == WAIT else np.nan]}
        rows, lines = step.places.T
        up = step.counts > 0
        voltage_V, width_s = (
            [np.nan if end is None else end for end in ends]
            for ends in zip(self.pulse_up, self.pulse_down, strict=True)
        )
        return {
            **{name: value * len(rows) for name, value in once.items()},
            "tile": self.tile_of[rows, lines],
            "word_line": rows,
            "bit_line": lines,
            "polarity": np.where(up, 1, -1),
            "count": np.abs(step.counts),
            "voltage_V": np.where(up, *voltage_V),
            "width_s": np.where(up, *width_s),
        }

    def save(self, path: Path | str) -> Path:
        """Write the programme as CSV or Parquet and return the path.

        Raises
        ------
        InputError
            If the name ends in neither .csv nor .parquet.
        """
        path = Path(path)
        if path.suffix not in (".csv", ".parquet"):
            raise InputError(f"{path}: a pulse programme is written as .csv or .parquet")
        frame = self.to_pandas()
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
        return path

    @classmethod
    def read(cls, path: Path | str, shape: tuple[int, int]) -> Self:
        """Read what `save` wrote, or another program made.

        Parameters
        ----------
        path : Path or str
        shape : (int, int)
            Word lines and bit lines of the array.

        Raises
        ------
        DataError
            If a column is missing, a device lies outside the array, or a count is no whole number of at least one.
        """
        import pandas

        path = Path(path)
        frame = pandas.read_csv(path) if path.suffix == ".csv" else pandas.read_parquet(path)
        missing = [
            name for name in COLUMNS if name not in frame and name not in ("tile", "voltage_V", "time_s")
        ]
        if missing:
            raise DataError(
                f"{path}: no column {', '.join(missing)}; a pulse programme has {', '.join(COLUMNS)}"
            )
        found = cls(shape, (None, None), (None, None))
        for number, part in frame.groupby("step", sort=True):
            found._append(cls._step(path, shape, number, part))
        return found

    @staticmethod
    def _step(path: Path, shape: tuple[int, int], number: Any, part: DataFrame) -> Step:
        kind, event = str(part["kind"].iloc[0]), int(part["event"].iloc[0])
        time_s = float(part["time_s"].iloc[0]) if "time_s" in part else 0.0
        none = np.empty((0, 2), np.int64), np.empty(0, np.int32)
        if kind == LOOK:
            return Step(LOOK, event, time_s, *none)
        if kind == WAIT:
            return Step(WAIT, event, time_s, *none, float(part["width_s"].iloc[0]))
        if kind not in STREAMS:
            raise DataError(
                f"{path}, step {number}: kind '{kind}' is none of {', '.join((*STREAMS, LOOK, WAIT))}"
            )
        places = part[["word_line", "bit_line"]].to_numpy()
        counts, ways = part["count"].to_numpy(), part["polarity"].to_numpy()
        inside = (places >= 0).all() and (places < np.array(shape)).all() and (places == places.round()).all()
        if not inside:
            raise DataError(
                f"{path}, step {number}: a device lies outside {shape[0]} word lines x {shape[1]} bit lines"
            )
        if not ((counts >= 1) & (counts == np.round(counts))).all() or not np.isin(ways, (1, -1)).all():
            raise DataError(f"{path}, step {number}: count must be whole and at least 1, polarity 1 or -1")
        return Step(kind, event, time_s, places.astype(np.int64), (counts * ways).astype(np.int32))

    def wanted(self, step: Step) -> NDArray[np.int32]:
        """Return the pulses (rows, bit lines) of a step."""
        wanted = np.zeros(self.shape, np.int32)
        wanted[step.places[:, 0], step.places[:, 1]] = step.counts
        return wanted

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)


@contextmanager
def recorded(array: Any) -> Iterator[PulseProgramme]:
    """Context in which an array writes down its pulses (`Crossbar.record`)."""
    if array.write.half_select or array._weakens:
        raise CapabilityError(
            "record: pulses that weaken along wires, or disturb half-selected devices, are more than a programme says; "
            "leave pulse_sensitivity_V and half_select out"
        )
    if array.write.tracking and array.write.tracking.every:
        raise CapabilityError(
            "record: searches of symmetric points while it learns program references, which no pulse programme holds; leave "
            "write.tracking.every out"
        )
    cells, writer = array._cells, array._writer
    shape = (cells.shape[0], 2 * cells.shape[1])
    numbers = np.zeros(shape, np.int64)
    for number, (rows, lines) in enumerate(physical_arrays(cells.shape, array.tiles, array.write)):
        numbers[rows, lines] = number
    up, down = array.device.pulse_shapes
    programme = PulseProgramme(shape, up, down, numbers)
    cells.given, writer.recorder = np.zeros(shape, np.int32), programme
    try:
        yield programme
    finally:
        cells.given, writer.recorder = np.empty((0, 0), np.int32), None


def replayed(array: Any, programme: PulseProgramme) -> None:
    """Give an array the pulses of a programme (`Crossbar.replay`)."""
    shape, writer = (array._cells.shape[0], 2 * array._cells.shape[1]), array._writer
    if programme.shape != shape:
        raise InputError(
            f"replay: the programme is for {programme.shape[0]} word lines x {programme.shape[1]} bit lines, this array has "
            f"{shape[0]} x {shape[1]}"
        )
    for step in programme:
        if step.kind == WAIT:
            array.advance(step.seconds)
        elif step.kind != LOOK:
            writer.replay(programme, step)
        elif writer.refresher is None:
            raise InputError(
                "replay: the programme refreshes saturated pairs, this array does not (WritePath.refresh)"
            )
        else:
            writer.refresher.look(step.event)
