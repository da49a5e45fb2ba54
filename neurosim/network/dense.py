"""One fully connected layer: an array, a local rule and the state of its neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import CapabilityError, CheckpointError, InputError
from neurosim.core.protocols import (
    Array,
    DeviceArray,
    Floats,
    IdealArithmetic,
    LebesgueRule,
    LocalUpdate,
    PhasedRule,
    Precision,
    Rule,
    State,
    UpdateMode,
    Work,
    needs_phase,
)
from neurosim.network.arrays import one_of
from neurosim.network.black_box import Box
from neurosim.network.neurons import Transfer

SMALLEST_NORM = 1e-6


class Dense:
    """A layer that learns in place.

    Parameters
    ----------
    array : Array
        A crossbar, or ideal arithmetic.
    rule : Rule or PhasedRule
        Sees inputs, column currents and its own state, a phase if it needs one; never the array.
    mode : {"accumulate", "mixed", "online"}
        How updates become pulses.
    norm_every : int
        Updates between measurements of the column norms; a rule whose `needs_norms` is False has none.
    neurons : Transfer, optional
        What each neuron makes of its current before anyone sees it; the rule takes that for the current.

    Raises
    ------
    CapabilityError
        If the rule exists in ideal arithmetic only and the array is not ideal.
    """

    def __init__(
        self,
        array: Array,
        rule: Rule | PhasedRule,
        mode: UpdateMode = "accumulate",
        norm_every: int = 100,
        neurons: Transfer | None = None,
    ):
        if rule.ideal_only and not array.ideal:
            raise CapabilityError(
                f"rule '{rule.name}' needs more than a wire carries and exists in ideal arithmetic only"
            )
        self._averages = bool(getattr(array, "baseline", None))
        if self._averages and not needs_phase(rule):
            raise CapabilityError(
                f"rule '{rule.name}' has no phases, and a stored average of negative ones stays empty: leave out baseline"
            )
        self.array, self.rule, self.mode, self.norm_every = array, rule, mode, norm_every
        self.neurons = neurons
        self.stated = rule
        """The rule as it was given, where `rule` is its twin."""
        self.state = _in_precision(rule.state(*array.shape), array.precision)
        self.steps = 0
        self.norm_errors: list[Any] = []
        """Mean relative error of the tracked norms at each measurement; numbers, or tensors not fetched yet."""

    def forward(self, x: Floats) -> Floats:
        """Read inputs (batch, rows) and return what the neurons pass on of their currents (batch, cols)."""
        return self.passed(self.array.forward(x))

    def passed(self, u: Floats) -> Floats:
        """Return what the neurons pass on of currents (batch, cols): these themselves, unless they have a transfer."""
        return u if self.neurons is None else self.neurons(u)

    def learn(
        self,
        x: Floats,
        phase: Floats | None = None,
        settle: Callable[[Floats], Floats] | None = None,
    ) -> Floats:
        """Read one mini-batch (batch, rows), update the array in place, return the currents (batch, cols).

        Parameters
        ----------
        x : (batch, rows) array
        phase : (batch,) array, optional
            1 for positive and -1 for negative samples, for rules that need it: both are one update.
        settle : callable, optional
            What neurons with a memory make of what they pass on (batch, cols); the rule takes that for the currents, and it is
            returned.

        Raises
        ------
        CapabilityError
            If the rule needs phases and gets none, or gets them and takes none; or gets both in one update of an array that
            stores the average of negative phases.
        InputError
            If a phase is not 1 or -1, or their number is not that of the samples.
        """
        factor = self._phase(phase, x.shape[-2])
        if self.steps % self.norm_every == 0 and getattr(self.rule, "needs_norms", True):
            self._measure_norms()
        x = self._inputs(x)
        u = self.forward(x)
        if settle is not None:
            u = settle(u)
        if self.rule.ideal_only:
            ideal = cast(IdealArithmetic, self.array)
            ideal.apply(self._change(x, self._currents(ideal, x, u), factor))
        else:
            change = self._change(x, u, factor)
            self._count_work(x.shape[-2])
            self.array.update(change.pre, change.post, change.decay, self.mode)
        self.steps += 1
        return u

    def _count_work(self, samples: int) -> None:
        """Enter into the ledger of devices what the rule asks for beside them; of a rule that does not say, its answers."""
        if not self.array.ideal:
            state = getattr(self.stated, "work", None)
            rows, cols = self.array.shape
            work = Work(answers=2 * samples * cols) if state is None else state(samples, rows, cols)
            cast(DeviceArray, self.array).count_work(work)

    def _measure_norms(self) -> None:
        """Let the rule see the norms of its columns; or, where gains hold norms, set the gains by those it follows."""
        norms = self.array.column_norms()
        followed = self.state["norm_squared"] ** 0.5 if "norm_squared" in self.state else None
        self.rule.observe_norms(norms, self.state)
        if self.steps and "tracking_error" in self.state:
            self.norm_errors.append(abs(self.state["tracking_error"]).mean(-1))
        if self.steps and followed is not None and self.array.gains_hold_norms:
            least = followed.clip(SMALLEST_NORM)  # a column that is followed down to nothing keeps a gain
            self.array.scale_columns(least / (norms + SMALLEST_NORM))
            self.state["norm_squared"][...] = followed**2

    def _change(self, x: Floats, u: Floats, phase: Floats | None) -> LocalUpdate:
        """What the rule makes of inputs and currents."""
        if phase is None:
            return cast(Rule, self.rule)(x, u, self.state)
        return cast(PhasedRule, self.rule)(x, u, self.state, phase)

    def _phase(self, phase: Floats | None, samples: int) -> Floats | None:
        if needs_phase(self.rule) != (phase is not None):
            ask = "needs the phase of each sample: give" if phase is None else "takes no phase: leave out"
            raise CapabilityError(f"rule '{self.rule.name}' {ask} phase, 1 for positive, -1 for negative")
        if phase is None:
            return None
        found = np.asarray(phase)
        wanted = f"phase: expected {samples} numbers that are 1 (positive) or -1 (negative), one a sample"
        if found.shape != (samples,):
            raise InputError(f"{wanted}, got shape {found.shape}")
        right = np.abs(found) == 1
        if not right.all():
            raise InputError(f"{wanted}, got {found[~right][0]}")
        if self._averages:
            self._tell(found)
        return self._inputs(found)

    def _tell(self, phase: NDArray[Any]) -> None:
        """Tell an array that stores the average of negative phases which one the update is of."""
        asleep = bool((phase < 0).any())
        if asleep and (phase > 0).any():
            raise CapabilityError(
                "baseline: an average of negative phases needs an update for each phase; learn positive and negative "
                "samples one after the other (phases = 'apart', `learn_apart`), or leave out baseline"
            )
        stores: Any = self.array
        stores.asleep = asleep

    def _currents(self, ideal: IdealArithmetic, x: Floats, u: Floats) -> Floats:
        """What a rule of ideal arithmetic alone sees: what was read, unless it asks for other powers of weights."""
        if isinstance(self.rule, LebesgueRule) and self.rule.lebesgue_p != 2:
            return self.passed(ideal.forward_lebesgue(x, self.rule.lebesgue_p))
        return u

    def boxed(self, box: Box) -> Any:
        """Return a black box behind this layer as what computes where the layer does."""
        return box

    def placed(self, values: Any) -> Any:
        """Return an array (of images, labels ...) where the layer computes: as it is, or as a tensor of torch there."""
        return values

    def _inputs(self, x: Floats) -> Floats:
        return x.astype(self.array.precision, copy=False)

    def _kept(self, values: Any) -> NDArray[Any]:
        return np.array(values)

    def _put(self, name: str, values: NDArray[Any]) -> None:
        self.state[name][...] = values

    def snapshot(self, *instance: int) -> State:
        """Return everything needed to go on later with the same bits, as named arrays; of one instance, where there are several."""
        array: Any = self.array
        saved = {f"array.{name}": values for name, values in array.snapshot(*instance).items()}
        saved |= {
            f"rule.{name}": self._kept(one_of(values, *instance)) for name, values in self.state.items()
        }
        saved["steps"] = np.array([self.steps], np.int64)
        errors = [float(one_of(error, *instance)) for error in self.norm_errors]
        saved["norm_errors"] = np.array(errors, np.float64)
        return saved

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        found = _below(saved, "rule.")
        for name in sorted({*found, *self.state}):
            if name not in found or name not in self.state or found[name].shape != self.state[name].shape:
                raise CheckpointError(f"checkpoint does not fit this rule: {name}")
        for name in ("steps", "norm_errors"):
            if name not in saved:
                raise CheckpointError(f"checkpoint does not fit this layer: {name}")
        self.array.restore(_below(saved, "array."))
        for name, values in found.items():
            self._put(name, values)
        self.steps = int(saved["steps"][0])
        self.norm_errors = [float(value) for value in saved["norm_errors"]]


def _in_precision(state: State, precision: Precision) -> State:
    """Bring the rule's real numbers to the precision of its array; tensors have it already."""
    for name, values in state.items():
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            state[name] = values.astype(precision, copy=False)
    return state


def _below(saved: State, prefix: str) -> State:
    return {name.removeprefix(prefix): values for name, values in saved.items() if name.startswith(prefix)}
