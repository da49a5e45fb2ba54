"""Do numba and torch agree? Every operation of the physical chain from a common state, on any device and rule.

Two results agree where their difference is at most a bound relative to the larger of both and of the root
mean square of all results (a weight is a difference of conductances: its own size says nothing). One in
10,000 may differ, for a clip or a rounding at its edge may fall either way when sums differ in their last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.config import ReadPath, WritePath
from neurosim.core.errors import ConfigError
from neurosim.core.protocols import Device, Floats, Precision, Rule, needs_phase
from neurosim.core.seeds import generator
from neurosim.crossbar.array import Crossbar
from neurosim.network.dense import Dense
from neurosim.reference.ideal import IdealArray
from neurosim.reference.twin.arithmetic import TorchIdeal
from neurosim.reference.twin.crossbar import TorchCrossbar, on_device
from neurosim.reference.twin.dense import TorchDense

BOUNDS: dict[Precision, float] = {"float32": 1e-5, "float64": 1e-12}
"""Largest relative difference of one result."""
TOTALS_BOUND = 1e-9
"""Largest relative difference of a total of the ledger: many thousand terms, added in another order."""
DIFFERING_SHARE = 1e-4
"""Largest share of results that may differ by more: a code of a converter or a count of pulses on an edge falls to either
side by rounding alone. Which do depends on the processor; up to 3 of 50,000 were seen."""
SHAPE = (196, 128)
BATCH = 16

VARIANTS: tuple[dict[str, Any], ...] = (
    {}, {"rate_power": 0.5}, {"rate_updates": 3}, {"anti_hebbian": True}, {"adaptive_gain": True}, {"bias": True},
    {"centres": True}, {"rate_updates": 3, "rate_held": 0.4}, {"temperature": 40.0},
    {"goodness": "minus-squares", "temperature": 40.0}, {"goodness": "sum"}, {"goodness": "minus-sum"},
)  # fmt: skip
"""Settings with which every rule that has them is compared."""

Results = dict[str, NDArray[Any]]


class Line(NamedTuple):
    """One line of the table."""

    operation: str
    on: str
    """Device or rule."""
    precision: Precision
    noise: bool
    absolute: float
    """Largest absolute difference of any result, in its own unit; totals of the ledger apart."""
    relative: float
    """Largest relative difference of any result, totals of the ledger apart."""
    differing: float
    """Share of results beyond the bound."""
    bound: float
    holds: bool


COMPILED_LIMIT = 4
"""Pulses of an update a device, where what is compiled is compared."""


class Task(NamedTuple):
    """What an operation is given: inputs (batch, rows), post factors (batch, cols) and decay (cols,)."""

    x: Floats
    pre: Floats
    post: Floats
    decay: Floats


class Operation(NamedTuple):
    """One operation and the write path it is tried with."""

    do: Callable[[Any, Task], Any]
    write: dict[str, Any] = {}  # noqa: RUF012
    """Settings of `WritePath`."""
    needs: Callable[[Device], bool] = lambda device: True


def _updates(mode: str) -> Callable[[Any, Task], Any]:
    return lambda array, task: array.update(task.pre, task.post, None, mode)


def _mixed(updates: int) -> Callable[[Any, Task], Any]:
    """Updates that, where there are several, sum to pulses given at once."""

    def do(array: Any, task: Task) -> None:
        for _ in range(updates):
            array.update(task.pre, task.post, None, "mixed")

    return do


def _filtered(array: Any, task: Task) -> None:
    """Two updates, the second with what the first has left in the filter."""
    for _ in range(2):
        array.update(task.pre, task.post, None, "accumulate")


def _decays(array: Any, task: Task) -> Any:
    return array.update(task.pre, task.post, task.decay, "accumulate")


def _drifts(array: Any, task: Task) -> Any:
    array.advance(3600.0)
    return array.forward(task.x)


def _waits(array: Any, task: Task) -> Any:
    """A moment, within the reading delay of every card that has one."""
    array.advance(1e-3)
    return array.forward(task.x)


def _learns_late(mode: str) -> Callable[[Any, Task], Any]:
    """An update on devices that a day has changed, and what they are another hour later."""

    def do(array: Any, task: Task) -> Any:
        array.advance(86_400.0)
        array.update(task.pre, task.post, None, mode)
        array.advance(3600.0)
        return array.forward(task.x)

    return do


def _programs(array: Any, task: Task) -> None:
    array.program(0.9 * start_weights(1), w_max=1.0)


OPERATIONS: dict[str, Operation] = {
    "construct": Operation(lambda array, task: None),
    "program": Operation(_programs),
    "forward": Operation(lambda array, task: array.forward(task.x)),
    "drift, forward": Operation(_drifts),
    "a moment, forward": Operation(_waits),
    "calibrate": Operation(lambda array, task: array.calibrate(task.x, 99.0)),
    "column norms": Operation(lambda array, task: array.column_norms()),
    "update, accumulate": Operation(_updates("accumulate")),
    "update, mixed": Operation(_updates("mixed")),
    "update, online": Operation(_updates("online")),
    "a day, update": Operation(_learns_late("accumulate")),
    "a day, update online": Operation(_learns_late("online")),
    "decay, readback": Operation(_decays),
    "update, mixed in bursts": Operation(_mixed(12), {"flush_pulses": 3}),
    "update, accumulate in bursts": Operation(_updates("accumulate"), {"flush_pulses": 2}),
    "update, mixed and verified": Operation(_mixed(12), {"flush_pulses": 3, "verify_reads": 2}),
    "update, mixed, prompt and verified": Operation(_mixed(3), {"prompt": True, "verify_reads": 1}),
    "update, filtered": Operation(_filtered, {"momentum": 0.5}),
    "update, SET only": Operation(
        _updates("accumulate"), {"pulses": "set"}, lambda device: device.polarity == "bipolar"
    ),
    "update, RESET only": Operation(_updates("mixed"), {"pulses": "reset"}, lambda device: device.steps_down),
    "decay, gain": Operation(_decays, {"decay_mode": "gain"}),
    "column norms, swollen": Operation(
        lambda array, task: array.column_norms(), {"decay_mode": "gain", "w_max": 0.2}
    ),
    "decay, exact": Operation(_decays, {"decay_mode": "exact"}),
    "decay, device": Operation(
        _decays, {"decay_mode": "device"}, lambda device: device.depression_share is not None
    ),
    "refresh": Operation(
        _updates("accumulate"),
        {"refresh": {"every": 1, "high": 0.1, "low": 0.0}},
        lambda device: device.polarity == "set_only",
    ),
    "refresh, by reads and pulses": Operation(
        _updates("accumulate"),
        {"refresh": {"every": 1, "high": 0.1, "low": 0.0, "rewrite": "pulses", "look": "read"}},
        lambda device: device.polarity == "set_only" and not device.closed_loop,
    ),
    "reference, accumulate": Operation(_updates("accumulate"), {"mapping": "reference"}),
    "reference, mixed": Operation(_updates("mixed"), {"mapping": "reference"}),
    "reference, online": Operation(_updates("online"), {"mapping": "reference"}),
}


def start_weights(seed: int) -> Floats:
    """Weights spread over a third of the window."""
    return generator(seed, "agreement weights").uniform(-0.1, 0.3, SHAPE)


def task(device: Device, seed: int, precision: Precision) -> Task:
    """Inputs and an update of about one pulse a pair."""
    rng = generator(seed, "agreement task")
    rows, cols = SHAPE
    x = rng.random((BATCH, rows)) * (rng.random((BATCH, rows)) < 0.4)
    step = device.nominal_step_uS / (device.g_max_uS - device.g_min_uS)
    post = 0.6 * step * rng.standard_normal((BATCH, cols))
    return Task(*(values.astype(precision) for values in (x, x, post, rng.uniform(0, 0.1, cols))))


def compare_operations(
    device: Device,
    precision: Precision,
    noise: bool,
    seed: int = 0,
    torch_device: str = "cpu",
    operations: Collection[str] = OPERATIONS.keys(),
    compiled: bool = False,
) -> Iterator[Line]:
    """Try every operation that the device can do on both machines, or those that are named.

    Parameters
    ----------
    device : Device
    precision : {"float32", "float64"}
    noise : bool
        Keep the device's random effects; then both machines draw the same numbers.
    seed : int
    torch_device : str
    operations : collection of str
    compiled : bool
        Let torch compile its passes; updates then give at most `COMPILED_LIMIT` pulses a device, on both machines.
    """
    law = device if noise else device.without_noise()  # type: ignore[attr-defined]
    given = task(law, seed, precision)
    read = ReadPath(dac_bits=8, adc_bits=8, read_noise="card" if noise else None)
    for name, operation in OPERATIONS.items():
        if name not in operations or not operation.needs(law):
            continue
        limited = compiled and "online" not in name  # pulse trains are limited by their slots
        write = WritePath(**operation.write, **({"pulse_limit": COMPILED_LIMIT} if limited else {}))
        settings: Any = {"seed": seed, "read": read, "write": write, "precision": precision}
        one = Crossbar(SHAPE, law, **settings)
        other = TorchCrossbar(SHAPE, law, **settings, torch_device=torch_device, compiled=compiled)
        if name != "construct":
            one.program(start_weights(seed), w_max=1.0)
            one.calibrate(given.x)
            other.restore(one.snapshot())
        found = [
            _results(array, operation.do(array, given), given.x if precision == "float64" else None)
            for array in (one, other)
        ]
        yield difference(name, device.name, precision, noise, *found)


def _results(array: Any, returned: Any, x: Floats | None) -> Results:
    """State, what was returned, and what is read then: the weights; in double precision, where no code lies on an
    edge by rounding alone, the answers to inputs (batch, rows) too."""
    results = {f"state {name}": values for name, values in array.snapshot().items()}
    results["weights"] = as_numpy(array.weights())
    if x is not None:
        results["read"] = as_numpy(array.forward(x))
    if returned is not None:
        results["returned"] = as_numpy(returned)
    return results


def as_numpy(values: Any) -> NDArray[Any]:
    """Return a result of either machine as numpy."""
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


def difference(
    operation: str, on: str, precision: Precision, noise: bool, one: Results, other: Results
) -> Line:
    """Compare two machines' results, name by name."""
    bound = BOUNDS[precision]
    absolute = relative = 0.0
    differing, count = 0, 0
    for name, values in one.items():
        a, b = np.atleast_1d(values).astype(np.float64), np.atleast_1d(other[name]).astype(np.float64)
        if a.shape != b.shape:
            raise AssertionError(f"{operation} on {on}: {name} has shape {a.shape} and {b.shape}")
        if a.size == 0:
            continue
        gap = np.abs(a - b)
        totals = name == "state ledger"
        scale = 0.0 if totals else float(np.sqrt(np.square(a).mean()))
        size = np.maximum(np.maximum(np.abs(a), np.abs(b)), max(scale, 1e-300))
        if not totals:
            absolute = max(absolute, float(gap.max()))
            relative = max(relative, float((gap / size).max()))
        differing += int((gap > (max(bound, TOTALS_BOUND) if totals else bound) * size).sum())
        count = max(count, a.size)
    share = differing / max(1, count)
    return Line(
        operation, on, precision, noise, absolute, relative, share, bound, bool(share <= DIFFERING_SHARE)
    )


def variants(kind: Any) -> dict[str, Rule]:
    """Return a rule as it comes and with each of `VARIANTS` that it has and does not refuse, by names for the table."""
    found: dict[str, Rule] = {}
    for settings in VARIANTS:
        if settings.keys() <= kind.model_fields.keys():
            with suppress(ConfigError):
                found[", ".join([kind.name, *_told(settings)])] = kind.parse(settings, f"rule {kind.name}")
    return found


def _told(settings: dict[str, Any]) -> list[str]:
    """Names of settings, with what they are set to where that is a word."""
    return [f"{name} {value}" if isinstance(value, str) else name for name, value in settings.items()]


def compare_rule(rule: Rule, precision: Precision, seed: int = 0, name: str | None = None) -> Line:
    """Give a rule and its twin the same inputs, currents and norms (phases, if it needs them), twice: updates and state must agree."""
    rows, cols = SHAPE
    rng = generator(seed, "agreement rule")
    norms = rng.uniform(0.5, 2.5, cols).astype(precision)
    tensors: Any = TorchIdeal(SHAPE, precision)
    layers: list[Any] = [Dense(IdealArray(SHAPE, precision), rule), TorchDense(tensors, rule)]
    found: list[Results] = [{}, {}]
    phase = np.where(np.arange(BATCH) % 3, 1, -1).astype(precision)
    for call in range(2):
        x, u = rng.random((BATCH, rows)).astype(precision), rng.random((BATCH, cols)).astype(precision)
        for layer, results in zip(layers, found, strict=True):
            if call == 0:
                layer.rule.observe_norms(_given(norms, layer), layer.state)
            given = [_given(values, layer) for values in ((x, u, phase) if needs_phase(rule) else (x, u))]
            change = layer.rule(*given[:2], layer.state, *given[2:])
            parts = {**change._asdict(), **layer.state}
            results |= {
                f"{name} {call}": as_numpy(values).copy()
                for name, values in parts.items()
                if values is not None
            }
    return difference("rule", name or rule.name, precision, False, *found)


def _given(values: Floats, layer: Any) -> Any:
    return layer._inputs(values)


def divergence(
    device: Device,
    rule: Rule,
    mode: Any,
    batches: Floats,
    neurons: int,
    marks: tuple[int, ...],
    seed: int = 0,
    torch_device: str = "cpu",
) -> list[tuple[int, float]]:
    """Let both machines learn freely from one state; share of conductances that differ after k updates.

    Parameters
    ----------
    device, rule, mode
        What learns, by which rule, in which update mode.
    batches : (steps, batch, rows) array
    neurons : int
    marks : tuple of int
        After which numbers of updates to look.
    seed : int
    torch_device : str

    Returns
    -------
    points : list of (updates, share)
        Share of conductances whose relative difference exceeds 1e-5 (single precision).
    """
    rows = batches.shape[2]
    highest = 2.5 * np.sqrt(3 / rows)
    settings: Any = {
        "seed": seed,
        "read": ReadPath(dac_bits=8, adc_bits=8),
        "write": WritePath(w_max=1.3 * highest),
    }
    one = Crossbar((rows, neurons), device, **settings)
    one.program(highest * generator(seed, "start weights").random((rows, neurons)), w_max=one.w_max)
    one.calibrate(batches[0])
    other = TorchCrossbar((rows, neurons), device, **settings, torch_device=on_device(torch_device))
    other.restore(one.snapshot())
    layers = Dense(one, rule, mode), TorchDense(other, rule, mode)
    points = []
    for step, x in enumerate(batches, start=1):
        for layer in layers:
            layer.learn(x)
        if step in marks:
            a, b = one.conductance_uS(), as_numpy(other.conductance_uS())
            points.append((step, float((np.abs(a - b) > 1e-5 * np.maximum(np.abs(a), np.abs(b))).mean())))
    return points
