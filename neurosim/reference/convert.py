"""Whole trained models on devices: `convert`, and the `CrossbarModel` that it returns."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn, no_grad

from neurosim.core.config import ReadPath, WritePath
from neurosim.core.errors import CapabilityError
from neurosim.core.protocols import Device
from neurosim.crossbar.ledger import Ledger
from neurosim.reference.modules import CrossbarConv2d, CrossbarLayer, CrossbarLinear


class CrossbarModel(nn.Module):
    """A copy of a model whose linear and convolutional layers stand on devices; made by `convert`.

    Attributes
    ----------
    model : Module
        The copy.
    layers : dict of str to CrossbarLayer
        Its layers on devices, by qualified name.
    instances : int or None
        Number of instances; None if `seed` was a single number.
    """

    def __init__(self, model: nn.Module, layers: dict[str, CrossbarLayer], instances: int | None):
        super().__init__()
        self.model, self.layers, self.instances = model, layers, instances

    @no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Run (batch, ...) on every instance: (instances, batch, ...), without that axis for a single seed."""
        y: Tensor = self.model(x.repeat(self.instances or 1, *[1] * (x.ndim - 1)))
        return y if self.instances is None else y.reshape(self.instances, -1, *y.shape[1:])

    def calibrate(self, x: Tensor) -> None:
        """Calibrate every layer on what reaches it when the model sees `x`: `CrossbarLayer.calibrate`."""

        def calibrate(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(layer, CrossbarLayer)
            layer.calibrate(inputs[0])

        hooks = [layer.register_forward_pre_hook(calibrate) for layer in self.layers.values()]
        try:
            self(x)
        finally:
            for hook in hooks:
                hook.remove()

    def advance(self, seconds: float) -> None:
        """Let time pass on every array."""
        for layer in self.layers.values():
            layer.advance(seconds)

    def compensate(self) -> dict[str, Tensor]:
        """Compensate drift in every layer by one number of its own; returns them, (instances,) each."""
        return {name: layer.compensate() for name, layer in self.layers.items()}

    def stop_compensation(self) -> None:
        """Multiply outputs by 1 again."""
        for layer in self.layers.values():
            layer.stop_compensation()

    @property
    def ledgers(self) -> list[Ledger]:
        """Counts and joules of every instance, summed over its layers."""
        found = zip(*(layer.array.ledgers for layer in self.layers.values()), strict=True)
        return [
            Ledger(**{f.name: sum(getattr(one, f.name) for one in layers) for f in fields(Ledger)})
            for layers in found
        ]


def convert(
    model: nn.Module,
    device: str | Path | Device,
    seed: int | Sequence[int] = 0,
    read: ReadPath | None = None,
    write: WritePath | None = None,
    **options: Any,
) -> CrossbarModel:
    """Return a copy of a trained model with every `nn.Linear` and `nn.Conv2d` on an array of its own.

    Parameters
    ----------
    model : Module
        Left as it is.
    device, seed, read, write
        As `CrossbarLayer`.
    **options
        Further arguments of `CrossbarLayer`.

    Raises
    ------
    CapabilityError
        If the model has no such layer, or a grouped convolution.

    Notes
    -----
    All else stays in digital arithmetic; a warning names the modules among it that hold matrices of weights.

    Examples
    --------
    >>> import torch
    >>> from neurosim.reference.convert import convert
    >>> trained = torch.nn.Sequential(torch.nn.Linear(8, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    >>> model = convert(trained, "pcm-nandakumar-2018", seed=range(3))
    >>> x = torch.ones(4, 8)
    >>> model.calibrate(x)
    >>> model.advance(3600.0)
    >>> gains = model.compensate()
    >>> model(x).shape
    torch.Size([3, 4, 2])
    """
    holder = nn.ModuleList([copy.deepcopy(model).eval().requires_grad_(False)])
    layers: dict[str, CrossbarLayer] = {}
    done: dict[int, CrossbarLayer] = {}
    for path, module in list(holder.named_modules(remove_duplicate=False)):
        name = path.partition(".")[2] or "model"
        if type(module) not in (nn.Linear, nn.Conv2d):
            continue
        if id(module) not in done:
            build: Any = CrossbarLinear.from_linear if type(module) is nn.Linear else CrossbarConv2d.from_conv
            done[id(module)] = layers[name] = build(
                module, device, seed=seed, read=read, write=write, name=name, **options
            )
        parent, _, own = path.rpartition(".")
        setattr(holder.get_submodule(parent), own, done[id(module)])
    if not layers:
        raise CapabilityError(f"{type(model).__name__}: no nn.Linear or nn.Conv2d to put on devices")
    digital = [
        f"{name} ({type(module).__name__})"
        for name, module in holder[0].named_modules()
        if any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))
    ]
    if digital:
        warnings.warn(f"weights that stay in digital arithmetic: {', '.join(digital)}", stacklevel=2)
    single = isinstance(seed, int | np.integer)
    return CrossbarModel(holder[0], layers, None if single else next(iter(layers.values())).instances)
