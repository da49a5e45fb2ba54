"""brian2's synapses on neurosim's devices: brian2 decides who is pulsed, the device law what a pulse does.

The conductances lie in brian2's memory and are read and written there by both; no step copies them. The law
is the same compiled kernel as everywhere, called from a network operation, so it is not written again as
equations. Runtime mode only: standalone code cannot call Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.errors import CapabilityError, InputError
from neurosim.spiking.loop import TraceRule, spike_trains
from neurosim.spiking.synapses import DeviceSynapses

_MODEL = """
dpre_trace/dt = -pre_trace / tau : 1 (event-driven)
conductance_uS : 1
wanted : integer
"""


def brian2() -> Any:
    """Import brian2; raises `CapabilityError` where it is missing or does not fit the installed numpy."""
    try:
        import brian2
    except (ImportError, AttributeError) as error:  # 2.9 looks for what numpy 2.4 removed
        raise CapabilityError(
            f"brian2 cannot be imported ({error}): pip install 'neurosim-crossbar[spiking]'"
        ) from None
    return brian2


@contextmanager
def without_compiler() -> Iterator[None]:
    """Let brian2 run in numpy, without a C++ compiler, and give the user's preference back."""
    b2 = brian2()
    target = b2.prefs.codegen.target
    b2.prefs.codegen.target = "numpy"
    try:
        yield
    finally:
        b2.prefs.codegen.target = target


def operation_with_state(
    function: Callable[..., None],
    snapshot: Callable[[], dict[str, Any]],
    restore: Callable[[dict[str, Any]], None],
    before_run: Callable[[], None] | None = None,
    **where: Any,
) -> Any:
    """Return a network operation whose state brian2's `store` and `restore` keep with that of its network.

    Parameters
    ----------
    function : callable
        Called each time step, as of `brian2.NetworkOperation`.
    snapshot, restore : callable
        What is to be kept, by name, and how it is taken back.
    before_run : callable, optional
        Called before each run of the network.
    **where
        `when`, `clock` and so on, as of `brian2.NetworkOperation`.

    Raises
    ------
    CapabilityError
        If brian2 is missing or keeps the state of its objects in another way.
    """
    b2 = brian2()
    if not (hasattr(b2.NeuronGroup, "_full_state") and hasattr(b2.NeuronGroup, "_restore_from_full_state")):
        raise CapabilityError(
            "this brian2 stores the state of its objects in a way that devices cannot follow"
        )

    class Operation(b2.NetworkOperation):  # type: ignore[misc, name-defined]
        def _full_state(self) -> dict[str, Any]:
            return snapshot()

        def _restore_from_full_state(self, state: dict[str, Any]) -> None:
            restore(state)

        def before_run(self, run_namespace: Any) -> None:
            super().before_run(run_namespace)
            if before_run is not None:
                before_run()

    return Operation(function, **where)


def connect(devices: DeviceSynapses, source: Any, target: Any, rule: TraceRule) -> tuple[Any, Any]:
    """Connect two brian2 groups, all to all, by these devices.

    Parameters
    ----------
    devices : DeviceSynapses
        Its conductances move into the memory of the brian2 variable `conductance_uS`.
    source, target : brian2 groups
        As many neurons as `devices` has inputs and neurons, on one clock.
    rule : TraceRule
        Which pulses a spike gives.

    Returns
    -------
    synapses : brian2.Synapses
        Its variables are `pre_trace`, `conductance_uS` and `wanted`, the pulses asked for in this time step.
        Do not call its `connect` again: brian2 would move its memory.
    operation : brian2.NetworkOperation
        Gives those pulses after the synapses of each time step; put it into the network beside them. By it brian2's
        `store` and `restore` cover all of the devices' state.

    Raises
    ------
    CapabilityError
        If brian2 is missing, or orders or stores its synapses in another way than devices are.
    InputError
        If the groups have clocks of their own.
    """
    b2 = brian2()
    if source.clock is not target.clock:
        raise InputError("source and target have different clocks: give both groups clock=")
    synapses = b2.Synapses(
        source,
        target,
        _MODEL,
        on_pre="pre_trace += 1",
        on_post="wanted = 2 * int(pre_trace > threshold) - 1",
        namespace={"tau": rule.tau_s * b2.second, "threshold": rule.threshold},
        dtype={"conductance_uS": devices.state.conductance.dtype, "wanted": np.dtype(np.int32)},
        clock=source.clock,
    )
    synapses.connect()
    devices.move_conductance(_memory(synapses, "conductance_uS", devices))
    wanted = _memory(synapses, "wanted", devices).reshape(devices.shape)
    start_s = devices.now_s

    def pulse(t: Any) -> None:
        if wanted.any():
            devices.now_s = start_s + float(t / b2.second)
            devices.pulse(wanted)
            wanted[:] = 0

    return synapses, operation_with_state(
        pulse, devices.snapshot, devices.restore, when="after_synapses", clock=source.clock
    )


def _memory(synapses: Any, name: str, devices: DeviceSynapses) -> NDArray[Any]:
    """The array behind a synaptic variable, input by input as devices are."""
    memory: NDArray[Any] = synapses.variables[name].get_value()
    source, target = np.indices(devices.shape).reshape(2, -1)
    pairs = [synapses.variables[f"_synaptic_{end}"].get_value() for end in ("pre", "post")]
    fits = np.array_equal(pairs, [source, target]) and memory.shape == source.shape
    if not (fits and np.shares_memory(memory, synapses.variables[name].get_value())):
        raise CapabilityError(f"brian2 does not store '{name}' input by input in one array")
    return memory


def learn(
    synapses: DeviceSynapses,
    pre: ArrayLike,
    post: ArrayLike,
    rule: TraceRule | None = None,
    dt_s: float = 0.5e-3,
) -> None:
    """Do what `loop.learn` does, with the spikes, traces, decisions and clock in brian2.

    Parameters
    ----------
    synapses : DeviceSynapses
        Its clock moves on by the length of the trains, its conductances into brian2's memory.
    pre, post : (steps, inputs) and (steps, neurons) array_like of bool
        Who spikes in which time step.
    rule : TraceRule, optional
        Which pulses a spike gives.
    dt_s : float
        Length of a time step.

    Raises
    ------
    CapabilityError
        If brian2 is missing or stores its synapses in another way.
    InputError
        If a shape does not fit.
    """
    b2 = brian2()
    trains = spike_trains(synapses, pre, post)
    steps = len(trains[0])
    start_s = synapses.now_s
    clock = b2.Clock(dt_s * b2.second)
    groups = []
    for train in trains:
        step, line = np.nonzero(train)
        groups.append(b2.SpikeGeneratorGroup(train.shape[1], line, step * dt_s * b2.second, clock=clock))
    with without_compiler():
        network = b2.Network(*groups, *connect(synapses, groups[0], groups[1], rule or TraceRule()))
        network.run(steps * dt_s * b2.second)
    synapses.now_s = start_s + steps * dt_s
