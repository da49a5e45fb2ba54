"""Passes of a torch array compiled once a shape: the text that runs eagerly, traced, with the state changed in place.

Nothing is written twice. A pass is run once on tensors without values, which records its operations; what the array
holds goes in as buffers and is written back into the same buffers, and counters and the clock are tensors, so that the
next pass needs no new trace and, on a GPU, a CUDA graph replays it. A pass that would have to look at a number on the
host cannot be traced: torch refuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from neurosim.core.errors import CapabilityError

Act = Callable[..., Tensor]
Number = tuple[Any, str]
"""An owner and the name of its attribute."""
_ATEN = torch.ops.aten
_OPTIONS: dict[str, Any] = {"max_pointwise_cat_inputs": 64}
_WARMING = 2
"""Runs on a GPU before its graph is captured: kernels are loaded and their forms chosen by then."""


class Place(NamedTuple):
    """Where an array keeps a tensor: an attribute, or an entry of one that is a dict or a named tuple."""

    owner: Any
    name: str
    entry: str | None = None

    def get(self) -> Tensor:
        """Return the tensor."""
        held = getattr(self.owner, self.name)
        if self.entry is None:
            found = held
        else:
            found = held[self.entry] if isinstance(held, dict) else getattr(held, self.entry)
        tensor: Tensor = found
        return tensor

    def put(self, tensor: Tensor) -> None:
        """Set it."""
        held = getattr(self.owner, self.name)
        if self.entry is None:
            setattr(self.owner, self.name, tensor)
        elif isinstance(held, dict):
            held[self.entry] = tensor
        else:
            setattr(self.owner, self.name, held._replace(**{self.entry: tensor}))


class Made(NamedTuple):
    """A compiled pass, with the tensors that its text holds."""

    run: Callable[..., Tensor]
    places: list[Place]
    constants: list[Tensor]
    steps: dict[Number, int | float]
    """By how much it moves each number on the host."""


def _places(owners: Sequence[Any]) -> list[Place]:
    """Find every tensor that the owners hold themselves."""
    found = []
    for owner in owners:
        for name, held in vars(owner).items():
            if isinstance(held, Tensor):
                found.append(Place(owner, name))
                continue
            entries = held if isinstance(held, dict) else held._asdict() if hasattr(held, "_asdict") else {}
            found += [Place(owner, name, key) for key, value in entries.items() if isinstance(value, Tensor)]
    return found


class Passes:
    """The compiled passes of one array.

    Parameters
    ----------
    owners : sequence of objects
        The parts of the array: every tensor in their attributes, or in a dict or a named tuple there, is state.
    counters : sequence of (owner, name)
        Numbers that results depend on, and that are tensors within a pass: whole ones, and the clock, a float.
    close : callable
        Called before and after a pass: leaves nothing that is made only on demand.
    on : torch.device
    """

    def __init__(
        self, owners: Sequence[Any], counters: Sequence[Number], close: Callable[[], None], on: torch.device
    ):
        self.owners, self.counters, self.close, self.on = owners, counters, close, on
        self.seconds = 0.0
        """Spent on tracing and compiling so far."""
        self._made: dict[Any, Made] = {}
        self._replays: dict[Any, Replay] = {}
        self._pool: Any = torch.cuda.graph_pool_handle() if on.type == "cuda" else None
        """Memory that all replays share, as one ends before the next begins."""
        self._runs: dict[Any, int] = {}
        self._buffers: dict[Place, Tensor] = {}
        self._clock = [
            torch.zeros(
                (), dtype=torch.float64 if isinstance(getattr(*at), float) else torch.int64, device=on
            )
            for at in counters
        ]
        self._told: list[int | float] = []

    def run(self, what: str, act: Act, *inputs: Tensor) -> Tensor:
        """Do a pass and return its result; `what` names all beside the shapes that decides which operations it has."""
        with torch.no_grad():
            self.close()
            self._settle()
            key = what, tuple((tuple(x.shape), x.dtype) for x in inputs)
            if new := key not in self._made:
                started = time.perf_counter()
                self._made[key] = self._make(what, act, inputs)
            made = self._made[key]
            out = self._do(key, inputs)
            if new:
                counted = zip(self.counters, self._clock, self._counted(), strict=True)
                made.steps.update({at: tensor.item() - before for at, tensor, before in counted})
                self.seconds += time.perf_counter() - started
        for (owner, name), step in made.steps.items():
            setattr(owner, name, getattr(owner, name) + step)
        self._told = self._counted()
        return out

    def _counted(self) -> list[int | float]:
        return [getattr(owner, name) for owner, name in self.counters]

    def _settle(self) -> None:
        """Take over what has changed outside of passes: each tensor into its own buffer, counters onto the device."""
        for place in _places(self.owners):
            held, buffer = place.get(), self._buffers.get(place)
            if buffer is None:
                self._buffers[place] = buffer = torch.empty_like(held, memory_format=torch.contiguous_format)
            if held is not buffer:
                buffer.copy_(held)
                place.put(buffer)
        if self._counted() != self._told:
            for tensor, value in zip(self._clock, self._counted(), strict=True):
                tensor.fill_(value)
            self._told = self._counted()

    def _do(self, key: Any, inputs: Sequence[Tensor]) -> Tensor:
        made = self._made[key]
        state = [*(self._buffers[place] for place in made.places), *self._clock]
        if self.on.type != "cuda":
            return made.run(*state, *inputs, *made.constants)
        runs = self._runs[key] = self._runs.get(key, 0) + 1
        if runs <= _WARMING:
            return made.run(*state, *inputs, *made.constants)
        if key not in self._replays:
            self._replays[key] = Replay(made, state, inputs, self._pool)
        return self._replays[key](inputs)

    def _make(self, what: str, act: Act, inputs: Sequence[Tensor]) -> Made:
        """Trace and compile a pass."""
        places, steps = list(self._buffers), dict[Number, int | float]()
        example = [*self._buffers.values(), *self._clock, *inputs]

        def traced(*tensors: Tensor) -> Tensor:
            with _set_aside(self.owners):
                for place, tensor in zip(places, tensors, strict=False):
                    place.put(tensor)
                for (owner, name), tensor in zip(self.counters, tensors[len(places) :], strict=False):
                    setattr(owner, name, tensor)
                whole = _whole(self.owners)
                out = act(*tensors[len(places) + len(self.counters) :]).clone()
                self.close()
                if {at for at in _places(self.owners) if at[:2] not in self.counters} != set(places):
                    raise RuntimeError("a pass made or dropped a tensor of the array: make it before")
                steps.update({at: getattr(*at) - before for at, before in whole.items()})
                new = [place.get() for place in places] + [getattr(*at) for at in self.counters]
                _written_back(tensors, new)
            return out

        try:
            graph = make_fx(traced, tracing_mode="fake", _allow_non_fake_inputs=True)(*example)
        except (DataDependentOutputException, GuardOnDataDependentSymNode):
            raise CapabilityError(
                f"{what} cannot be compiled, for it looks at a number that only running gives; give compiled=False, "
                "or write the device's torch twin with torch.where instead of 'if'"
            ) from None
        constants = _lifted(graph)
        return Made(_compiled(graph, [*example, *constants]), places, constants, steps)


class Replay:
    """A pass on a GPU as a CUDA graph, with inputs of its own."""

    def __init__(self, made: Made, state: Sequence[Tensor], inputs: Sequence[Tensor], pool: Any):
        self.inputs = [x.clone(memory_format=torch.contiguous_format) for x in inputs]
        self.graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(self.graph, pool=pool):
            self.out = made.run(*state, *self.inputs, *made.constants)

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        """Copy the inputs in, replay, and return the result, which the next replay leaves alone."""
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        self.graph.replay()
        return self.out.clone()


@contextmanager
def _set_aside(owners: Sequence[Any]) -> Iterator[None]:
    """Let the attributes of the owners be changed, those in dicts too, and put them back."""
    kept = [dict(vars(owner)) for owner in owners]
    for owner, attributes in zip(owners, kept, strict=True):
        vars(owner).update({name: dict(held) for name, held in attributes.items() if isinstance(held, dict)})
    try:
        yield
    finally:
        for owner, attributes in zip(owners, kept, strict=True):
            vars(owner).clear()
            vars(owner).update(attributes)


def _whole(owners: Sequence[Any]) -> dict[Number, int]:
    """Return the attributes that are whole numbers."""
    return {
        (owner, name): held
        for owner in owners
        for name, held in vars(owner).items()
        if isinstance(held, int) and not isinstance(held, bool)
    }


def _written_back(old: Sequence[Tensor], new: Sequence[Tensor]) -> None:
    """Copy new tensors over the old ones in place; those that are views of another old one first apart."""
    apart = [
        one.clone() if one is not mine and any(_alias(one, other) for other in old) else one
        for mine, one in zip(old, new, strict=False)
    ]
    for mine, one in zip(old, apart, strict=False):
        if one is not mine:
            mine.copy_(one)


def _alias(one: Tensor, other: Tensor) -> bool:
    return bool(one.untyped_storage()._cdata == other.untyped_storage()._cdata)


def _lifted(graph: GraphModule) -> list[Tensor]:
    """Make arguments of the tensors that a traced pass holds, and return them in that order.

    Keys and the numbers of a law are among them, so that arrays of other seeds and cards share what is compiled.
    Numbers of cells, and what is made of constants alone, become such tensors too: computed within, a number of a cell
    would be 32 bits wide, and one from the host would make a GPU wait.
    """
    known: dict[Node, Tensor] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            known[node] = getattr(graph, node.target)
        elif node.op == "call_function" and (
            node.target is _ATEN.arange.default
            or (
                node.all_input_nodes
                and all(one in known and known[one].numel() == 1 for one in node.all_input_nodes)
            )
        ):
            args, named = torch.fx.node.map_arg((node.args, node.kwargs), lambda one: known[one])
            value = node.target(*args, **named)
            if isinstance(value, Tensor):
                known[node] = value
    last = [node for node in graph.graph.nodes if node.op == "placeholder"][-1]
    constants: list[Tensor] = []
    for node, value in known.items():
        if all(user in known for user in node.users):
            continue
        with graph.graph.inserting_after(last):
            last = graph.graph.placeholder(f"held_{len(constants)}")
        node.replace_all_uses_with(last, delete_user_cb=lambda user: user not in known)
        constants.append(value)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return constants


_COMPILED: dict[Any, Callable[..., Tensor]] = {}
"""What has been compiled, by its text and the kinds of its arguments."""


def _compiled(graph: GraphModule, arguments: Sequence[Tensor]) -> Callable[..., Tensor]:
    kinds = tuple((tuple(x.shape), x.stride(), x.dtype, str(x.device)) for x in arguments)
    key = graph.code, kinds
    if key not in _COMPILED:
        _COMPILED[key] = torch.compile(graph, fullgraph=True, dynamic=False, options=_OPTIONS)
    return _COMPILED[key]
