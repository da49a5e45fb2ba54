"""Ask the processor for memory before it is needed: sparse pulses would otherwise wait for every cell."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from neurosim.kernels.jit import inlined

_WRITE, _KEEP, _DATA = 1, 3, 1
_tools: Any = cgutils
_settings: Any = numba.config


@intrinsic
def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        held = context.make_array(array_type)(context, builder, arguments[0])
        place = _tools.get_item_pointer(context, builder, array_type, held, [arguments[1]], wraparound=False)
        byte = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        call = _tools.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        options = [ir.Constant(number, value) for value in (_WRITE, _KEEP, _DATA)]
        builder.call(call, [builder.bitcast(place, byte), *options])
        return context.get_dummy_value()

    return types.void(array, index), emit


_ask: Any = _prefetch


@inlined
def _fetch(array: Any, index: int) -> None:
    _ask(array, index)


def _nothing(array: Any, index: int) -> None:
    return


prefetch = _nothing if _settings.DISABLE_JIT else _fetch
