"""Whole trained models on devices: `convert`, and the `CrossbarModel` that it returns."""

from __future__ import annotations

import copy
import functools
import operator
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from neurosim.core.config import ReadPath, WritePath
from neurosim.core.errors import CapabilityError, InputError, UnknownNameError
from neurosim.core.protocols import Device
from neurosim.crossbar.ledger import Ledger
from neurosim.reference.doors import one_warning
from neurosim.reference.instances import EachAlone, on_every, prepare
from neurosim.reference.layer import CrossbarLayer
from neurosim.reference.modules import CrossbarConv2d, CrossbarLinear


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

    Notes
    -----
    Several instances run in one pass over an axis that torch's `vmap` keeps apart from all others: whatever stands
    between the layers, instance k answers as the model converted with the k-th seed alone. A model that `vmap`
    cannot follow is refused.

    `state_dict` holds tensors alone; `load_state_dict` takes the devices back, with their clock, ledgers, ranges and
    gains, and raises `CheckpointError`, before anything has changed, for a checkpoint of another card, other
    settings or other seeds. `copy.deepcopy` and pickling make a second chip in the same state.

    `half()`, `bfloat16()`, `double()` and `to(dtype)` change the digital modules; devices and converters stay in
    single precision.
    """

    def __init__(self, model: nn.Module, layers: dict[str, CrossbarLayer], instances: int | None):
        super().__init__()
        self.model, self.layers, self.instances = model, layers, instances
        for layer in layers.values():
            layer.of_model = layer.instances > 1
        self.train(model.training)

    @torch.no_grad()
    def forward(self, x: Tensor, *more: Any, **named: Any) -> Any:
        """Run (batch, ...) on every instance: (instances, batch, ...), without that axis for a single seed.

        Parameters
        ----------
        x : (batch, ...) tensor
            Further arguments go to the model as they are. Inputs of another floating-point type than the digital
            modules are converted to theirs, and the answers back.

        Raises
        ------
        InputError
            If `x` or what reaches a layer on devices has the wrong shape, or holds NaN, infinity or no real numbers.
        CapabilityError
            If several instances cannot run in one pass, or the model reads the weights of a layer on devices.
        """
        if not isinstance(x, Tensor):
            raise InputError(f"x: expected a tensor, got {type(x).__name__}")
        kinds, places = self._digital()
        place = places.pop() if len(places) == 1 else x.device
        kind = kinds.pop() if len(kinds) == 1 and x.is_floating_point() else None

        def fitted(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return value.to(place, kind if value.is_floating_point() else None)

        given, also = pytree.tree_map(fitted, ((x, *more), named))
        if self.instances is None:
            y = self.model(*given, **also)
        else:
            told = [part for part in self.model.modules() if isinstance(part, CrossbarLayer | EachAlone)]
            y = on_every(self.instances, told, lambda: self.model(*given, **also))
        if kind in (None, x.dtype):
            return y
        return pytree.tree_map(
            lambda value: value.to(x.dtype) if isinstance(value, Tensor) and value.dtype == kind else value, y
        )

    def _digital(self) -> tuple[set[torch.dtype], set[torch.device]]:
        """Types and places of the tensors of the digital modules."""
        held = [
            tensor
            for module in self.model.modules()
            if not isinstance(module, CrossbarLayer)
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False))
        ]
        return {tensor.dtype for tensor in held if tensor.is_floating_point()}, {
            tensor.device for tensor in held
        }

    def calibrate(self, x: Tensor, *more: Any, **named: Any) -> None:
        """Calibrate every layer on what reaches it when the model sees `x`: `CrossbarLayer.calibrate`.

        Raises
        ------
        InputError, CapabilityError
            As `forward`.
        """
        for layer in self.layers.values():
            layer.calibrating = True
        try:
            self(x, *more, **named)
        finally:
            for layer in self.layers.values():
                layer.calibrating = False

    def advance(self, seconds: float) -> None:
        """Let time pass on every array; one warning for all of them if their card has no law of time."""
        one_warning([layer.array for layer in self.layers.values()], seconds)

    def compensate(self) -> dict[str, Tensor]:
        """Compensate drift in every layer by one number of its own; returns them, (instances,) each.

        Raises
        ------
        InputError
            If `calibrate` was not called.
        """
        return {name: layer.compensate() for name, layer in self.layers.items()}

    def stop_compensation(self) -> None:
        """Multiply outputs by 1 again."""
        for layer in self.layers.values():
            layer.stop_compensation()

    @property
    def ledgers(self) -> list[Ledger]:
        """Counts and joules of every instance, summed over its layers."""
        found = zip(*(layer.array.ledgers for layer in self.layers.values()), strict=True)
        return [functools.reduce(operator.add, layers) for layers in found]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name, module in self.named_modules():
            if isinstance(module, CrossbarLayer):
                module.refuse_another(state_dict, f"{prefix}{name}.")
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> CrossbarModel:
        for layer in self.layers.values():
            layer._apply(fn)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def convert(
    model: nn.Module,
    device: str | Path | Device,
    seed: int | Sequence[int] = 0,
    read: ReadPath | dict[str, Any] | None = None,
    write: WritePath | dict[str, Any] | None = None,
    *,
    digital: Iterable[str] = (),
    **options: Any,
) -> CrossbarModel:
    """Return a copy of a trained model with every `nn.Linear` and `nn.Conv2d` on an array of its own.

    Parameters
    ----------
    model : Module
        Left as it is.
    device, seed, read, write
        As `CrossbarLayer`.
    digital : iterable of str
        Names of modules that stay in digital arithmetic, with all that is in them.
    **options
        Further arguments of `CrossbarLayer`.

    Raises
    ------
    CapabilityError
        If the model has no such layer, a grouped convolution, or a layer whose weight is computed from others.
    UnknownNameError
        If it has no module of a name in `digital`.
    InputError
        If weights are not finite real numbers, or the model stands on devices already.

    Notes
    -----
    All else stays in digital arithmetic; a warning names the modules among it that hold matrices of weights. Another
    one names weights that several modules share: on devices each is written to an array of its own.

    Subclasses of the two kinds of layers, such as the projections of torch's attention, stay digital. Where other
    code reads the weight of a layer on devices, a `CapabilityError` names the layer and this function's `digital`.

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
    if any(isinstance(module, CrossbarLayer) for module in model.modules()):
        raise InputError(f"{type(model).__name__}: it stands on devices already; convert the trained model")
    kept = _named(model, digital)
    shared, hooked = _shared_weights(model, kept), _hooked(model, kept)
    holder = nn.ModuleList([copy.deepcopy(model).eval().requires_grad_(False)])
    layers: dict[str, CrossbarLayer] = {}
    done: dict[int, CrossbarLayer] = {}
    for path, module in list(holder.named_modules(remove_duplicate=False)):
        name = path.partition(".")[2]
        prepare(module)
        if not _goes_on_devices(name, module, kept):
            continue
        if id(module) not in done:
            name = name or "model"
            build: Any = CrossbarLinear.from_linear if type(module) is nn.Linear else CrossbarConv2d.from_conv
            done[id(module)] = layers[name] = build(
                module, device, seed=seed, read=read, write=write, name=name, **options
            )
        parent, _, own = path.rpartition(".")
        setattr(holder.get_submodule(parent), own, done[id(module)])
    if not layers:
        raise CapabilityError(f"{type(model).__name__}: no nn.Linear or nn.Conv2d to put on devices")
    left = [
        f"{name} ({type(module).__name__})"
        for name, module in holder[0].named_modules()
        if any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))
    ]
    if left:
        warnings.warn(f"weights that stay in digital arithmetic: {', '.join(left)}", stacklevel=2)
    if shared:
        warnings.warn(
            f"weights that modules share: {'; '.join(shared)}. Each layer on devices has an array of its own, with "
            "errors of its own; nothing ties it to the others",
            stacklevel=2,
        )
    if hooked:
        warnings.warn(
            f"hooks of layers that go onto devices are left behind: {', '.join(hooked)}", stacklevel=2
        )
    one = next(iter(layers.values()))
    single = np.ndim(seed) == 0
    return CrossbarModel(holder[0].to(one.array.on), layers, None if single else one.instances)


def _goes_on_devices(name: str, module: nn.Module, kept: set[str]) -> bool:
    return type(module) in (nn.Linear, nn.Conv2d) and name not in kept


def _named(model: nn.Module, digital: Iterable[str]) -> set[str]:
    """Names of the modules that stay digital, with those within them."""
    known = [name for name, _ in model.named_modules(remove_duplicate=False)]
    wanted = [digital] if isinstance(digital, str) else list(digital)
    for name in wanted:
        if name not in known or not name:
            raise UnknownNameError("module", name, [name for name in known if name])
    same = {id(model.get_submodule(name)) for name in wanted}
    wanted += [name for name, module in model.named_modules(remove_duplicate=False) if id(module) in same]
    return {name for name in known if any(name == kept or name.startswith(f"{kept}.") for kept in wanted)}


def _hooked(model: nn.Module, kept: set[str]) -> list[str]:
    """Name the layers for devices that have hooks; refuse weights that a hook computes before each use."""
    found = []
    for name, module in model.named_modules():
        if _goes_on_devices(name, module, kept):
            if "weight" not in dict(module.named_parameters(recurse=False)):
                raise CapabilityError(
                    f"layer '{name}': its weight is no parameter but computed (weight_norm, spectral_norm, pruning); "
                    "make it one first, for example with torch.nn.utils.remove_weight_norm"
                )
            if module._forward_hooks or module._forward_pre_hooks:
                found.append(name)
    return found


def _shared_weights(model: nn.Module, kept: set[str]) -> list[str]:
    """Name the modules that share weights, where one of them goes onto devices."""
    places: dict[tuple[int, int], list[tuple[str, bool]]] = {}
    for name, module in model.named_modules():
        for own, held in module.named_parameters(recurse=False):
            if held.ndim > 1 and held.numel():
                full = f"{name}.{own}" if name else own
                key = held.data_ptr(), held.numel()
                places.setdefault(key, []).append((full, _goes_on_devices(name, module, kept)))
    return [
        ", ".join(name for name, _ in found)
        for found in places.values()
        if len(found) > 1 and any(on_devices for _, on_devices in found)
    ]
