"""What a device, a rule and an array promise one another. Frozen: later capabilities build on these shapes.

A rule turns what is on its own wires (inputs ``x``, column currents ``u``, its row and column state) into
``pre``, ``post`` and ``decay``; an array turns those into pulses; a device says what a pulse does. Nothing
in the other direction: no protocol hands a weight to a rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

# real arrays in the precision of their crossbar: float32 unless float64 was asked for
Floats = NDArray[np.floating[Any]]
Precision = Literal["float32", "float64"]
State = dict[str, NDArray[Any]]
UpdateMode = Literal["accumulate", "mixed", "online"]
DecayMode = Literal["readback", "gain", "device", "exact"]
Polarity = Literal["bipolar", "set_only"]
Mapping = Literal["pair", "reference", "offset"]
# voltage (V) and width (s) of a pulse, None where the card does not give them
PulseShape = tuple[float | None, float | None]


class LocalUpdate(NamedTuple):
    """One local weight change, ``dw_ij = sum_b pre_bi post_bj - decay_j w_ij``.

    Attributes
    ----------
    pre : (terms * batch, rows) float32 array
        What drives the word lines. A rule with two terms (STDP) stacks them along the first axis.
    post : (terms * batch, cols) float32 array
        What the column neurons make of their currents and state; the learning rate is inside.
    decay : (cols,) or (cols, cols) float32 array or None
        Share of its own weight that each column loses (negative: gains). A matrix, ``dw_ij = ... - sum_k w_ik
        decay_kj``, takes from a column what others hold: no wire carries it, so only rules that exist in ideal
        arithmetic alone (`Rule.ideal_only`) may return one.
    rate : (cols,) float32 array or None
        The learning rate contained in `post` and `decay`, for the same rules: they normalise the change over the
        whole layer.
    """

    pre: Floats
    post: Floats
    decay: Floats | None = None
    rate: Floats | None = None


@runtime_checkable
class Rule(Protocol):
    """A local learning rule. It owns state per row and per column, and never sees a weight."""

    name: str
    ideal_only: bool

    def state(self, rows: int, cols: int) -> State:
        """Return fresh state: named arrays whose last axis has `rows` or `cols` elements."""
        ...

    def __call__(self, x: Floats, u: Floats, state: State) -> LocalUpdate:
        """Map inputs (batch, rows) and column currents (batch, cols), in weight units, to an update.

        May change `state` in place.
        """
        ...

    def observe_norms(self, norms: Floats, state: State) -> None:
        """Take in column norms (cols,) that the array has measured with `column_norms`."""
        ...


class Work(NamedTuple):
    """Multiply-adds beside the array that a rule asks for in one update: digital work that a ledger counts."""

    norms: int = 0
    """Of following the norms of the columns."""
    answers: int = 0
    """Of what else its neurons make of their currents; functions of one number (exp, relu) not included."""


@runtime_checkable
class LebesgueRule(Rule, Protocol):
    """A rule of ideal arithmetic alone whose neurons need other currents than a read gives."""

    lebesgue_p: float
    """Currents are ``sum_i x_i sign(w_ij) |w_ij|**(p - 1)``; 2: those of a read."""


@runtime_checkable
class PhasedRule(Protocol):
    """A local rule that needs one scalar a sample from outside its wires: the phase, 1 for positive, -1 for negative
    data. Broadcast to the whole layer, it is a third factor."""

    name: str
    ideal_only: bool
    needs_phase: ClassVar[bool]

    def state(self, rows: int, cols: int) -> State:
        """Return fresh state, as any `Rule` does."""
        ...

    def __call__(self, x: Floats, u: Floats, state: State, phase: Floats) -> LocalUpdate:
        """Map inputs (batch, rows), currents (batch, cols) and phases (batch,) to an update of both phases."""
        ...

    def observe_norms(self, norms: Floats, state: State) -> None:
        """Take in column norms (cols,), as any `Rule` does."""
        ...


def needs_phase(rule: Any) -> bool:
    """Return whether a rule, or its class, is a `PhasedRule`: it says so in `needs_phase`."""
    return bool(getattr(rule, "needs_phase", False))


class DeviceKernels(NamedTuple):
    """The numba functions of a device law; each acts on one cell of flat state arrays, in place.

    ``state`` is a named tuple of arrays whose field `conductance` is the undrifted conductance in uS;
    ``params`` is a named tuple of real numbers in the array's precision; ``key`` is a Philox key; energies are
    in joule.
    """

    construct: Callable[..., Any]
    """(cell, state, params, key): draw device-to-device parameters and the initial conductance."""
    program: Callable[..., Any]
    """(cell, target_uS, state, params, now_s, event, key) -> energy: closed loop."""
    pulse: Callable[..., Any]
    """(cell, count, state, params, now_s, event, key) -> energy: abs(count) SET (+) or RESET (-) pulses."""
    reset: Callable[..., Any]
    """(cell, state, params, now_s, event, key) -> energy: full RESET."""
    drifted: Callable[..., Any]
    """(cell, state, params, now_s) -> conductance in uS at the time now_s."""
    read_sigma: Callable[..., Any]
    """(conductance_uS, params) -> standard deviation in uS of white read noise, one read."""
    stored: Callable[..., Any] | None = None
    """(cell, state, params, now_s) -> conductance in uS as its state means it; None: the state's `conductance`.
    A shorter way to what `drifted` gives for a cell just written, where `Device.reads_as_stored`."""
    age: Callable[..., Any] | None = None
    """(cell, state, seconds, event, key): let time pass for noise that switches by itself; None: there is none."""
    shift: Callable[..., Any] | None = None
    """(cell, by_uS, state, low_uS, high_uS) -> persistent conductance in uS, moved by that much within its
    bounds (by 0: left as it is); None: it is the state's `conductance`, within low_uS and high_uS."""
    pulses: Callable[..., Any] | None = None
    """(size, group, state, params, now_s, event, key): the pulses of the first devices of a `kernels.groups.Group`, to the
    same bits as `pulse` gives them; None: `pulse`, device by device."""


@runtime_checkable
class Device(Protocol):
    """A device law with its parameters: what really happens to a conductance."""

    law: ClassVar[str]
    polarity: ClassVar[Polarity]
    closed_loop: ClassVar[bool]
    """Whether a pulse of the law is itself a program-and-verify: of what its `drifted` finds now, and `count` steps."""

    @property
    def kernels(self) -> DeviceKernels:
        """The numba functions of one cell."""
        ...

    @property
    def name(self) -> str:
        """Name of the card."""
        ...

    @property
    def g_min_uS(self) -> float:
        """Lower end of the nominal window."""
        ...

    @property
    def g_max_uS(self) -> float:
        """Upper end of the nominal window."""
        ...

    @property
    def cell_window_uS(self) -> tuple[float, float]:
        """Lower and upper end of the window of one cell of an array, as read: all its devices together."""
        ...

    @property
    def cell_rest_uS(self) -> float:
        """Conductance of both cells of a pair that stores zero, as read."""
        ...

    @property
    def steps_down(self) -> bool:
        """Whether a negative pulse moves the conductance by a step; else it is an abrupt RESET."""
        ...

    @property
    def pulse_voltage_V(self) -> float | None:
        """Voltage to which a line is charged for one pulse; None where the card does not give it."""
        ...

    @property
    def pulse_time_s(self) -> float | None:
        """Duration of one pulse; None where the card does not give it, 0 where the law does not know it."""
        ...

    @property
    def pulse_shapes(self) -> tuple[PulseShape, PulseShape]:
        """Voltage (V) and width (s) of a pulse up, and of one down."""
        ...

    @property
    def pulse_unknown(self) -> tuple[str, ...]:
        """Parameters that the card does not give and without which a pulse has no joules; empty if it has."""
        ...

    @property
    def drifts(self) -> bool:
        """Whether the conductance changes with time alone."""
        ...

    @property
    def switches(self) -> bool:
        """Whether it switches between conductances by itself as time passes."""
        ...

    @property
    def fades(self) -> bool:
        """Whether part of what a pulse does fades."""
        ...

    @property
    def has_read_noise(self) -> bool:
        """Whether a read adds white noise."""
        ...

    @property
    def nominal_step_uS(self) -> float:
        """Mean change of one pulse as the controller believes it, from the card, in the mid window."""
        ...

    @property
    def read_step_uS(self) -> float:
        """Mean change of one pulse in the mid window, uS, as a read after the reading delay finds it."""
        ...

    @property
    def delay_s(self) -> float:
        """Age at which a cell just written is read."""
        ...

    @property
    def own_delay_s(self) -> float:
        """Age at which the card states the conductance of a cell just written; 0 where age does not matter."""
        ...

    @property
    def reads_as_stored(self) -> bool:
        """Whether a read of a cell just written finds the conductance of its state."""
        ...

    def reading(self, now_s: float = 0.0) -> Callable[..., Any]:
        """The kernel that reads a conductance at its age: `drifted`, or `stored` where that comes to the same."""
        ...

    def mean_read_uS(self, conductance_uS: float) -> float:
        """What a read after the reading delay finds of a written conductance, in the mean."""
        ...

    @property
    def depression_share(self) -> float | None:
        """Nominal share of (G - G_min) that one depression pulse removes; None if the device has none."""
        ...

    def allocate(self, cells: int, precision: Precision = "float32") -> Any:
        """Return zeroed state for `cells` devices: a named tuple of one-dimensional arrays."""
        ...

    def params(self, precision: Precision = "float32") -> Any:
        """Return the parameters as a named tuple of real numbers for the kernels."""
        ...

    @classmethod
    def twin(cls) -> Any:
        """Return the class of its torch twin."""
        ...

    def with_parameters(self, **changes: float | None) -> Self:
        """Return a copy with some parameters changed; unknown names raise `UnknownNameError`."""
        ...


@runtime_checkable
class Array(Protocol):
    """Anything that learns in place: a crossbar, ideal arithmetic, a torch twin. No transposed read."""

    shape: tuple[int, int]
    precision: Precision
    """Of its state and arithmetic."""
    ideal: bool
    """Whether it is ideal arithmetic, which alone can carry rules that need more than a wire."""

    gains_hold_norms: bool
    """Whether digital gains take the decay of its columns: measured norms then correct the gains, not the rule."""

    @property
    def w_max(self) -> float | None:
        """Weight of a full difference of its pairs (`WritePath.w_max`); None where weights have no window."""
        ...

    def program(self, weights: Floats, w_max: float | None = None) -> None:
        """Write signed weights (rows, cols); `w_max` is the weight of a full difference, where a pair has one."""
        ...

    def forward(self, x: Floats) -> Floats:
        """Multiply inputs (batch, rows) by the stored weights; returns (batch, cols), weight units."""
        ...

    def update(
        self, pre: Floats, post: Floats, decay: Floats | None = None, mode: UpdateMode = "accumulate"
    ) -> int:
        """Apply ``dw_ij = sum_b pre_bi post_bj - decay_j w_ij`` in place; return the pulses given."""
        ...

    def column_norms(self) -> Floats:
        """Return the Euclidean norm (cols,) of each column, as a counted read."""
        ...

    def scale_columns(self, factors: Floats) -> None:
        """Multiply the weights of each column (cols,) by a factor, in the gain behind its converter."""
        ...

    def advance(self, seconds: float) -> None:
        """Let simulated time pass."""
        ...

    def weights(self) -> Floats:
        """Return a copy of the stored weights, for inspection and plots; no rule is handed it."""
        ...

    def snapshot(self) -> State:
        """Return everything needed to go on later with the same bits."""
        ...

    def restore(self, snapshot: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        ...


class DeviceArray(Array, Protocol):
    """An array of devices: it has a read path to calibrate, a ledger, and conductances to look at."""

    device: Device
    read: Any
    write: Any
    wires: Any
    """Resistance of its lines, or None."""

    def solve_wires(self) -> None:
        """Solve the wires exactly at the next read."""
        ...

    @property
    def wires_report(self) -> dict[str, Any]:
        """How the wires were solved, and how far off that was."""
        ...

    @property
    def ledger(self) -> Any:
        """Counts and joules so far."""
        ...

    def rewind(self, ledger: Any) -> None:
        """Set the ledger back to earlier totals."""
        ...

    def calibrate(self, x: Floats) -> Any:
        """Set the ADC's range by typical inputs (batch, rows)."""
        ...

    def conductance_uS(self) -> Floats:
        """Return the conductances (rows, 2 cols)."""
        ...

    @property
    def worn(self) -> NDArray[np.uint32]:
        """Pulses (rows, 2 cols) that updates and refreshes have given each device."""
        ...

    def count_work(self, work: Work) -> None:
        """Enter what a rule asked for beside the array in one update."""
        ...


class IdealArithmetic(Array, Protocol):
    """An array without devices, which gives rules what no wire carries (`Rule.ideal_only`)."""

    def forward_lebesgue(self, x: Floats, p: float) -> Floats:
        """Return the currents (batch, cols) of weights ``sign(w) |w|**(p - 1)``."""
        ...

    def apply(self, change: LocalUpdate) -> None:
        """Apply a change with a decay between columns, or divided before its rate by its largest magnitude."""
        ...
