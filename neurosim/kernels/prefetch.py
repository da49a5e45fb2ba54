"""Ask the processor for memory before it is needed: sparse pulses would otherwise wait for every cell."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from neurosim.kernels.jit import inlined

_WRITE, _KEEP, _DATA = 1, 3, 1
_MOST_ARRAYS = 4
"""Asking for more of them costs more than it saves: twice the time of a sparse sweep of a law with six, against a fifth
less with four."""
_tools: Any = cgutils
_settings: Any = numba.config


@intrinsic
def _prefetch(typing_context: Any, state: Any, cell: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, fields = signature.args[0].types, signature.args[0].fields
        arrays = [place for place, kind in enumerate(kinds) if isinstance(kind, types.Array)]
        if len(kinds) > _MOST_ARRAYS:
            arrays = [fields.index("conductance")]
        byte = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        prefetching = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        call = _tools.get_or_insert_function(builder.module, prefetching, "llvm.prefetch.p0")
        options = [ir.Constant(number, value) for value in (_WRITE, _KEEP, _DATA)]
        for place in arrays:
            held = builder.extract_value(arguments[0], place)
            array = context.make_array(kinds[place])(context, builder, held)
            builder.call(call, [builder.bitcast(builder.gep(array.data, [arguments[1]]), byte), *options])
        return context.get_dummy_value()

    return types.void(state, cell), emit


_ask: Any = _prefetch


@inlined
def _fetch(state: Any, cell: int) -> None:
    _ask(state, cell)


def _nothing(state: Any, cell: int) -> None:
    return


prefetch = _nothing if _settings.DISABLE_JIT else _fetch
"""Ask for what a cell keeps in the arrays of a law's state; the conductance alone, where there are many."""
