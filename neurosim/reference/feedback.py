"""How an error comes back to the layers of a net without the transposed weights: fixed random feedback, layer by layer or direct.

Feedback alignment (Lillicrap et al. 2016, arXiv 1411.0247) sends it through fixed random kernels in the place of the
transposed ones, direct feedback alignment (Nokland 2016, arXiv 1609.01596) from the scores to each layer at once, and
direct random target projection (Frenkel et al. 2021, arXiv 1909.01311) sends the labels instead of the error, so that a
layer need not wait for the answer. Imports torch: import it where it is used.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional, grad

from neurosim.core.seeds import generator

_of: Any = grad
Feedback = Literal["transposed", "random", "direct", "targets"]


def drawn(seed: int, number: int, shape: tuple[int, ...], size: int) -> Tensor:
    """Return fixed feedback of one layer: normal draws that keep the size of what passes through."""
    draws = generator(seed, "feedback", number).standard_normal(shape) / np.sqrt(size)
    return torch.from_numpy(draws.astype(np.float32))


class _Convolved(torch.autograd.Function):
    """A convolution through which the error goes back by other kernels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Tensor, fixed: Tensor) -> Tensor:
        ctx.save_for_backward(x, fixed)
        return functional.conv2d(x, kernels)

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, fixed = ctx.saved_tensors
        (error,) = errors
        back = _of.conv2d_input(x.shape, fixed, error) if ctx.needs_input_grad[0] else None
        return back, _of.conv2d_weight(x, fixed.shape, error), None


_apply: Any = _Convolved.apply


def convolved(x: Tensor, kernels: Tensor, fixed: Tensor | None) -> Tensor:
    """Convolve; the error goes back through `fixed` kernels, where there are any."""
    if fixed is None:
        return functional.conv2d(x, kernels)
    found: Tensor = _apply(x, kernels, fixed)
    return found


def scored(features: Tensor, weight: Tensor, bias: Tensor, fixed: Tensor | None) -> Tensor:
    """Return the head's scores; the error goes back through `fixed` weights (classes, features), where there are any."""
    if fixed is None:
        return torch.addmm(bias, features, weight.T)
    found: Tensor = _apply(features[:, :, None, None], weight[:, :, None, None], fixed[:, :, None, None])
    return found.flatten(1) + bias


class _Multiplied(torch.autograd.Function):
    """Products of matrices through which the error goes back by other matrices."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, fixed: Tensor) -> Tensor:
        ctx.save_for_backward(x, fixed)
        return torch.bmm(x, weights)

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, fixed = ctx.saved_tensors
        (error,) = errors
        back = torch.bmm(error, fixed.mT) if ctx.needs_input_grad[0] else None
        return back, torch.bmm(x.mT, error), None


def multiplied(x: Tensor, weights: Tensor, fixed: Tensor | None) -> Tensor:
    """Multiply inputs (fields, n, rows) by weights (fields, rows, columns); the error goes back through `fixed` ones, where there are any."""
    if fixed is None:
        return torch.bmm(x, weights)
    of_any: Any = _Multiplied.apply
    found: Tensor = of_any(x, weights, fixed)
    return found


def sent(answers: list[Tensor], fixed: list[Tensor], signal: Tensor) -> None:
    """Give each layer's answers (n, channels, height, width) the error that its fixed feedback makes of `signal` (n, classes)."""
    for answer, back in zip(answers, fixed, strict=True):
        shape = answer.permute(0, 2, 3, 1).shape
        torch.autograd.backward(answer, (signal @ back).reshape(shape).permute(0, 3, 1, 2))
