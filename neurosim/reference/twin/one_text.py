"""The torch twin of a law from its own text: the share of a step, written for one cell, read as array operations.

For laws that bring no twin, so that they run on a GPU. The built-in laws do not use it: their twins are written once
more, so that an error in one text shows.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.core.errors import CapabilityError
from neurosim.core.protocols import Device
from neurosim.devices.bipolar import SHARES, BipolarState, construct
from neurosim.reference.twin.bipolar import SteppedTwin
from neurosim.reference.twin.law import State

ELEMENTWISE = ("exp", "expm1", "log", "log1p", "sqrt", "tanh", "sin", "cos", "fabs", "sign", "floor", "ceil")
"""Functions of numpy or math with one argument that torch has under the same name, or nearly."""
TORCH_NAMES = {"fabs": "abs"}
PLAIN = (ast.If, ast.For, ast.While, ast.Try, ast.With)
"""Statements that ask one cell at a time."""


class CannotServe(Exception):
    """Why a text cannot be read as array operations."""


class _Elementwise(ast.NodeTransformer):
    """Turn ``a if test else b``, ``max`` and ``min`` into functions of arrays."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return _call("_where", node.test, node.body, node.orelse)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        joined, *others = node.values
        kind = ast.BitAnd if isinstance(node.op, ast.And) else ast.BitOr
        for other in others:
            joined = ast.BinOp(joined, kind(), other)
        return joined

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in ("max", "min"):
            return _call(f"_{node.func.id}", *node.args)
        return node


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


class Arrays:
    """What stands for numpy and math in the text of a law: the same names, on tensors of one type."""

    def __init__(self, dtype: torch.dtype):
        self._dtype = dtype
        for name in ELEMENTWISE:
            setattr(self, name, self._of_tensors(getattr(torch, TORCH_NAMES.get(name, name))))
        self.abs = self.absolute = abs
        self.pi, self.e = math.pi, math.e
        self.power = self.pow = lambda base, exponent: base**exponent
        self.float32 = lambda value: value if isinstance(value, Tensor) else float(np.float32(value))

    def _of_tensors(self, function: Any) -> Any:
        return lambda value: function(self.tensor(value))

    def tensor(self, value: Any) -> Tensor:
        """Return a number as a tensor of this type; a tensor as it is."""
        return value if isinstance(value, Tensor) else torch.tensor(value, dtype=self._dtype)

    def where(self, test: Any, one: Any, other: Any) -> Any:
        """Choose by a condition, which is one number or one a cell."""
        if not isinstance(test, Tensor):
            return one if test else other
        return torch.where(test, self.tensor(one), self.tensor(other))

    def maximum(self, one: Any, other: Any) -> Tensor:
        """Return the larger of two."""
        return torch.maximum(self.tensor(one), self.tensor(other))

    def minimum(self, one: Any, other: Any) -> Tensor:
        """Return the smaller of two."""
        return torch.minimum(self.tensor(one), self.tensor(other))


def _array_function(function: Any, arrays: Arrays) -> Any:
    """Return the function, compiled by numba or not, on tensors; raises `CannotServe` for what cannot be one."""
    python: FunctionType = getattr(function, "py_func", function)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(python)))
    except (OSError, SyntaxError):
        raise CannotServe("its source is not at hand") from None
    (definition,) = tree.body
    if not isinstance(definition, ast.FunctionDef):
        raise CannotServe("it is no plain function (def)")
    for node in ast.walk(definition):
        if isinstance(node, PLAIN):
            line = python.__code__.co_firstlineno + node.lineno - 1
            word = type(node).__name__.lower()
            raise CannotServe(
                f"line {line} has '{word}', which asks one cell at a time (write 'a if b else c')"
            )
    if python.__code__.co_freevars:
        raise CannotServe(f"it uses {', '.join(python.__code__.co_freevars)} of a function around it")
    definition.decorator_list = []
    definition.returns = None
    for argument in definition.args.args:
        argument.annotation = None
    whole = ast.fix_missing_locations(_Elementwise().visit(tree))
    known: dict[str, Any] = {"_where": arrays.where, "_max": arrays.maximum, "_min": arrays.minimum}
    for name in python.__code__.co_names:
        if name in python.__globals__:
            known[name] = _translated(name, python.__globals__[name], arrays)
    # the law's own text, which has been run already when its card was loaded
    exec(compile(whole, python.__code__.co_filename, "exec"), known)  # noqa: S102
    return known[definition.name]


def _translated(name: str, value: Any, arrays: Arrays) -> Any:
    if isinstance(value, ModuleType):
        if value.__name__ not in ("numpy", "math"):
            raise CannotServe(f"it uses the module '{value.__name__}'")
        return arrays
    if isinstance(value, np.generic):
        return float(value)
    if isinstance(value, bool | int | float):
        return value
    if callable(value):
        return _array_function(value, arrays)
    raise CannotServe(f"it uses '{name}', which is neither a number nor a function")


def twin_of(device: Device) -> type[SteppedTwin]:
    """Return a twin made of the text of a device's own law.

    Raises
    ------
    CapabilityError
        If the law is not given by the share of its step alone, or its text asks one cell at a time.
    """
    own: Any = getattr(device, "own_kernels", None)
    share = SHARES.get(own.pulse) if own is not None and own.construct is construct else None
    remedy = (
        "write a torch twin (neurosim.reference.twin.law) and return it from the law's classmethod `twin`, or register "
        "it under the entry points neurosim.law_twins; or use the numba backend"
    )
    if share is None:
        raise CapabilityError(f"law '{device.law}' of {device.name} has no torch twin; {remedy}")
    try:
        _array_function(share, Arrays(torch.float32))
    except CannotServe as error:
        raise CapabilityError(
            f"law '{device.law}' of {device.name} has no torch twin, and its share cannot serve as one: {error}; {remedy}"
        ) from None

    class OneText(SteppedTwin):
        """The share as the law has it."""

        def __init__(self, *given: Any):
            super().__init__(*given)
            self._share = _array_function(share, Arrays(self.dtype))
            two = torch.ones(2, dtype=self.dtype, device=self.params.step.device)
            state = dict(zip(BipolarState._fields, (two, two, 3 * two, 0 * two, two, two), strict=True))
            try:
                tried = self.share(two, two > 0, two, two, state)
                reason = "" if tried.shape == two.shape else f"it gives {tuple(tried.shape)} for two cells"
            except (
                RuntimeError,
                TypeError,
                ValueError,
                LookupError,
                AttributeError,
                NameError,
                ArithmeticError,
            ) as error:
                reason = str(error).splitlines()[0]
            if reason:
                raise CapabilityError(
                    f"law '{device.law}' of {device.name} has no torch twin, and its share cannot serve as one: {reason}; {remedy}"
                )

        def share(self, g: Tensor, up: Tensor, sign: Tensor, xi: Any, state: State) -> Tensor:
            """By the law's own text, for all cells."""
            found: Tensor = self._share(..., g, sign, xi, SimpleNamespace(**state), self.params)
            return found

    return OneText
