"""No weight transport, by construction: no rule reaches a weight, and no array can be read backwards."""

from __future__ import annotations

import ast
import inspect
import threading
import typing
from typing import Any

import helpers
import numpy as np
import pytest
from helpers import HFO2, IDEAL, MODES, PCM, ROOT, small_weights
from pydantic import Field

from neurosim import LIF, Crossbar, Dense, IdealArray, LocalUpdate, SpikingLayer, given_trains
from neurosim.core import registry
from neurosim.core.protocols import Array, PhasedRule, Rule, needs_phase
from neurosim.kernels import jit
from neurosim.rules import SoftHebb, SpikeRule, Spikes

ROWS, COLS, BATCH = 9, 6, 4
F = np.float32


def arrays_within(thing: Any, seen: dict[int, Any] | None = None) -> list[np.ndarray]:
    """Every ndarray in the object graph of `thing`: attributes, containers, views' bases, thread locals."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return []
    seen[id(thing)] = thing
    if isinstance(thing, np.ndarray):
        return [thing, *(arrays_within(thing.base, seen) if thing.base is not None else [])]
    if isinstance(thing, dict):
        parts = [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        parts = list(thing)
    elif isinstance(thing, threading.local):
        parts = list(thing.__dict__.values())
    elif type(thing).__module__.startswith("neurosim.") and not callable(thing):
        parts = list(vars(thing).values())
    else:
        parts = []
    return [array for part in parts for array in arrays_within(part, seen)]


class Spy:
    """A rule that keeps whatever it is handed and looks around in it."""

    name, ideal_only = "spy", False

    def __init__(self, tamper: bool = False):
        self.handed: list[Any] = []
        self.own: dict[str, np.ndarray] = {}
        self.tamper = tamper

    def state(self, rows: int, cols: int) -> dict[str, np.ndarray]:
        self.handed += [rows, cols]
        self.own = {"row": np.zeros(rows, F), "col": np.zeros(cols, F)}
        return self.own

    def observe_norms(self, norms: Any, state: Any) -> None:
        self.handed.append(norms)
        assert state is self.own
        if self.tamper:
            norms[:] = 1e9

    def __call__(self, x: Any, u: Any, state: Any) -> LocalUpdate:
        self.handed += [x, u]
        assert state is self.own
        if self.tamper:
            u[:] = 1e9
        return LocalUpdate(x, np.full((len(x), COLS), 0.01, F), np.full(COLS, 0.1, F))


def learned(array: Any, rule: Spy, mode: str = "accumulate") -> Dense:
    array.program(small_weights(ROWS, COLS), w_max=array.w_max)
    layer = Dense(array, rule, mode, norm_every=1)
    for step in range(3):
        layer.learn(np.random.default_rng(step).random((BATCH, ROWS), F))
    return layer


def arrays_under_test() -> list[Any]:
    return [
        *(Crossbar((ROWS, COLS), name, seed=1) for name in (IDEAL, PCM, HFO2)),
        IdealArray((ROWS, COLS)),
        IdealArray((ROWS, COLS), "float64"),
    ]


def test_the_walk_finds_what_an_array_remembers():
    array = Crossbar((ROWS, COLS), PCM)
    learned(array, Spy(), "mixed")
    found = {id(one) for one in arrays_within(array)}
    cells = array._cells
    arrays = [part for part in cells.grid if isinstance(part, np.ndarray)]
    for hidden in (*cells.state, *arrays, array._writer.accumulator):
        assert id(hidden) in found


@pytest.mark.parametrize("mode", MODES)
def test_what_a_rule_is_handed_shares_no_memory_with_the_array(mode, monkeypatch):
    """Nor with the scratch memory of kernels, where currents and changes of weights pass."""
    monkeypatch.setattr(jit, "_threads", 1)
    for array in arrays_under_test():
        spy = Spy()
        learned(array, spy, mode)
        kept = arrays_within(array) + arrays_within(jit._local)
        assert len(kept) >= (1 if array.ideal else 5)
        handed = arrays_within([spy.handed, spy.own])
        assert len(handed) >= 11
        for given in handed:
            assert not any(np.shares_memory(given, hidden) for hidden in kept)


class SpikeSpy(SpikeRule):
    """A spike rule that keeps whatever it is handed."""

    name = "spike-spy"
    needs_norms = True
    handed: list[Any] = Field(default_factory=list)

    def observe_norms(self, norms: Any, state: Any) -> None:
        self.handed.append(norms)

    def __call__(self, seen: Spikes, state: Any) -> LocalUpdate:
        self.handed.extend([*seen, state])
        return LocalUpdate(seen.trace[None], 0.01 * seen.spiked[None], np.full(COLS, 0.1))


def test_a_spike_rule_is_handed_nothing_of_the_array_either():
    for array in arrays_under_test():
        array.program(np.abs(small_weights(ROWS, COLS)), w_max=array.w_max)
        spy = SpikeSpy(handed=[])
        layer = SpikingLayer(array, spy, LIF(gain_mV=1000.0))
        before = array.weights()
        layer.present(given_trains(np.ones((30, ROWS), bool)))
        kept, handed = arrays_within(array), arrays_within(spy.handed)
        assert len(handed) >= 10
        assert not np.array_equal(array.weights(), before)
        for given in handed:
            assert not any(np.shares_memory(given, hidden) for hidden in kept)
            assert given.shape in {(ROWS,), (COLS,)}


def test_a_rule_sees_plain_arrays_of_inputs_currents_and_norms_only():
    for array in arrays_under_test():
        spy = Spy()
        learned(array, spy)
        rows, cols, *rest = spy.handed
        assert (rows, cols) == (ROWS, COLS)
        assert [given.shape for given in rest] == [(COLS,), (BATCH, ROWS), (BATCH, COLS)] * 3
        for given in rest:
            assert type(given) is np.ndarray
            assert given.dtype == array.precision
            assert given.base is None or given.flags.owndata


@pytest.mark.parametrize("mode", MODES)
def test_writing_into_what_it_was_handed_gives_a_rule_no_power(mode):
    for honest, tampering in zip(arrays_under_test(), arrays_under_test(), strict=True):
        learned(honest, Spy(), mode)
        learned(tampering, Spy(tamper=True), mode)
        a, b = honest.snapshot(), tampering.snapshot()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_weights_and_conductances_shown_for_inspection_are_copies():
    for array in arrays_under_test():
        learned(array, Spy())
        before = {name: value.copy() for name, value in array.snapshot().items()}
        shown = [array.weights(), array.column_norms(), *array.snapshot().values()]
        if not array.ideal:
            shown.append(array.conductance_uS())
        for copy in shown:
            assert not any(np.shares_memory(copy, hidden) for hidden in arrays_within(array))
            copy.fill(7)
        after = array.snapshot()
        changed = {name for name in before if not np.array_equal(before[name], after[name])}
        assert changed <= {"ledger", "counters"}


def public_methods(thing: Any) -> dict[str, Any]:
    found = {name: getattr(thing, name) for name in dir(thing) if not name.startswith("_")}
    return {name: value for name, value in found.items() if callable(value)}


@pytest.mark.parametrize("index", range(4))
def test_no_public_method_takes_columns_and_returns_rows(index):
    """There is no transposed read: every method given (batch, cols) refuses, or returns something else."""
    array = arrays_under_test()[index]
    array.program(small_weights(ROWS, COLS), w_max=array.w_max)
    backward = np.ones((BATCH, COLS), F)
    assert {"forward", "update", "program"} <= set(public_methods(array))
    for name, method in public_methods(array).items():
        for arguments in ((backward,), (backward, backward), (backward[0],), (backward.T,)):
            try:
                result = method(*arguments)
            except (TypeError, ValueError, LookupError, AttributeError):
                continue
            for given in arrays_within(result):
                assert given.shape not in {(BATCH, ROWS), (ROWS, BATCH), (ROWS,)}, name
    assert not any("transpose" in name or "backward" in name for name in public_methods(array))
    assert not hasattr(array, "T")


def test_the_only_public_arrays_of_weights_are_those_for_inspection():
    array = Crossbar((ROWS, COLS), IDEAL)
    array.program(small_weights(ROWS, COLS), w_max=array.w_max)
    shown = set()
    for name, method in public_methods(array).items():
        if name in ("restore", "snapshot"):
            continue
        try:
            result = method()
        except TypeError:
            continue
        if any(given.size >= ROWS * COLS for given in arrays_within(result)):
            shown.add(name)
    forward = {
        "spike_lines"
    }  # what a spike on a word line gives each column: the event loop adds it, no rule is handed it
    assert shown == {"weights", "conductance_uS"} | forward
    counted = {"worn"}  # pulses of each device, whichever way they went: no weight is in them
    attributes = {
        name: getattr(array, name) for name in dir(array) if not name.startswith("_") and name not in counted
    }
    plain = {name: value for name, value in attributes.items() if not callable(value)}
    assert arrays_within(plain) == []


@pytest.mark.parametrize("name", registry.names("rule"))
def test_a_rules_methods_have_no_place_for_an_array_of_devices(name):
    rule = registry.find("rule", name)
    allowed = {
        "__call__": ["x", "u", "state", "phase"] if needs_phase(rule) else ["x", "u", "state"],
        "observe_norms": ["norms", "state"],
        "state": ["rows", "cols"],
    }
    for one in (PhasedRule if needs_phase(rule) else Rule, rule):
        for method, parameters in allowed.items():
            signature = inspect.signature(getattr(one, method))
            assert list(signature.parameters)[1:] == parameters
            hints = typing.get_type_hints(getattr(one, method))
            for parameter in parameters:
                text = str(hints[parameter])
                assert not any(
                    word in text for word in ("Array[", "protocols.Array", "Device", "Crossbar")
                ), text
    assert "weights" in dir(Array), "arrays show weights, for inspection ..."
    assert "weights" not in dir(Rule), "... but no rule has them"


def test_the_protocol_of_a_rule_and_its_update_name_no_weight():
    assert set(LocalUpdate._fields) == {"pre", "post", "decay", "rate"}
    public = {name for name in vars(Rule) if not name.startswith("_")} | set(Rule.__annotations__)
    assert public == {"state", "observe_norms", "name", "ideal_only"}
    phased = {name for name in vars(PhasedRule) if not name.startswith("_")} | set(PhasedRule.__annotations__)
    assert phased == public | {"needs_phase"}


def imported(file: Any) -> set[str]:
    """Full names of every module that a source file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", sorted((ROOT / "rules").glob("*.py")), ids=lambda file: file.name)
def test_rules_import_neither_crossbar_nor_devices(file):
    allowed = ("neurosim.core.", "neurosim.kernels.", "neurosim.rules.")
    for name in imported(file):
        if name == "neurosim" or name.startswith("neurosim."):
            assert name.startswith(allowed), f"{file.name} imports {name}"
        assert not name.startswith(("importlib", "gc", "inspect", "sys", "ctypes")), (
            f"{file.name} imports {name}"
        )


def test_a_rule_keeps_nothing_of_what_it_was_handed():
    """SoftHebb's state is its own: no view of inputs, currents or norms stays behind in it."""
    array = Crossbar((ROWS, COLS), PCM)
    array.program(small_weights(ROWS, COLS), w_max=array.w_max)
    layer = Dense(array, SoftHebb(), norm_every=1)
    x = np.random.default_rng(0).random((BATCH, ROWS), F)
    u = layer.learn(x)
    for own in layer.state.values():
        assert not any(np.shares_memory(own, other) for other in (x, u, *arrays_within(array)))
    assert helpers.ROOT.is_dir()
