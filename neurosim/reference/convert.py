"""Whole trained models on devices: `convert`, and the `CrossbarModel` that it returns."""

from __future__ import annotations

import functools
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from neurosim.core.cautions import ConvertedWarning
from neurosim.core.config import ReadPath, WritePath
from neurosim.core.errors import CapabilityError, InputError
from neurosim.core.protocols import Device
from neurosim.crossbar.ledger import Ledger
from neurosim.reference.batchnorm import Folded, fold
from neurosim.reference.computed_weights import copied, settle
from neurosim.reference.doors import one_warning
from neurosim.reference.instances import EachAlone, on_every, prepare
from neurosim.reference.layer import CrossbarLayer
from neurosim.reference.modules import on_devices
from neurosim.reference.selection import (
    Digital,
    digital_parts,
    each_settings,
    excluded,
    goes_on_devices,
    holds_matrices,
    shared_weights,
)


class CrossbarModel(nn.Module):
    """A copy of a model whose linear and convolutional layers stand on devices; made by `convert`.

    Attributes
    ----------
    model : Module
        The copy.
    layers : dict of str to CrossbarLayer
        Its layers on devices, by qualified name; of a grouped convolution one a group, ``"name.0"``, ``"name.1"``, ...
    digital : dict of str to Digital
        Modules that stay in digital arithmetic, by qualified name: what they are, and how many parameters they have.
    folded : dict of str to str
        BatchNorm modules that were folded, and the layer into whose weights.
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
    def digital(self) -> dict[str, Digital]:
        """What stays in digital arithmetic: (kind, parameters) of each module that holds more than other modules.

        Not in it is what no module stands for: operations in the model's own `forward`, and the biases and gains of
        layers on devices.
        """
        return digital_parts(self.model)

    @property
    def folded(self) -> dict[str, str]:
        """BatchNorm modules that were folded into the weights of a layer on devices, and that layer's name."""
        return {one.name: one.into for one in self.model.modules() if isinstance(one, Folded)}

    def extra_repr(self) -> str:
        """In short: what stands on devices, and what stays digital."""
        weights = sum(math.prod(layer.array.shape) for layer in self.layers.values())
        zeros = sum(layer.zeros for layer in self.layers.values())
        digital = [f"{name} ({kind}, {count:,} parameters)" if count else f"{name} ({kind})"
                   for name, (kind, count) in self.digital.items()]  # fmt: skip
        folded = [f"{name} into {into}" for name, into in self.folded.items()]
        said = [
            f"on devices: {weights:,} weights on {len(self.layers)} arrays, {zeros:,} of them exactly zero",
            f"digital: {', '.join(digital) or 'no module'}",
        ]
        return "\n".join([*said, *([f"folded: {', '.join(folded)}"] if folded else [])])

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
    exclude: str | type | Iterable[str | type] = (),
    per_layer: Mapping[str, Mapping[str, Any]] | None = None,
    fuse_batchnorm: bool = False,
    **options: Any,
) -> CrossbarModel:
    """Return a copy of a trained model with every `nn.Linear`, `nn.Conv1d` and `nn.Conv2d` on an array of its own.

    Parameters
    ----------
    model : Module
        Left as it is; the copy is in evaluation mode. Of pruned and parametrized layers the effective weights are taken.
    device, seed, read, write
        As `CrossbarLayer`.
    exclude : names, patterns or types of modules
        What stays in digital arithmetic, with all that is in it: ``"stem"``, ``"*.depthwise"``, ``nn.Conv1d``. In patterns
        (`fnmatch`) the star stands for dots too.
    per_layer : dict of str to dict
        Settings of some layers, by name or pattern: ``device``, ``read``, ``write``, ``periphery``, ``percentile``. A dict of
        ``read``, ``write`` or ``periphery`` changes only what it names; later patterns go over earlier ones.
    fuse_batchnorm : bool
        Fold each BatchNorm that directly follows a layer on devices, with its running statistics, into its weights before
        they are programmed; a warning names those that stay digital, and why.
    **options
        ``periphery``, ``percentile`` and ``torch_device`` of `CrossbarLayer`.

    Raises
    ------
    CapabilityError
        If nothing is left for devices, a hook computes a weight, or `torch.fx` cannot follow a model whose BatchNorm is
        to be folded.
    UnknownNameError
        If a name or pattern means nothing in the model, with the nearest name; or if there is no such setting.
    InputError
        If weights are not finite real numbers, or the model stands on devices already.
    ConfigError
        If a setting is out of range.

    Notes
    -----
    A grouped or depthwise convolution stands on one array a group (`CrossbarGroups`). All else stays in digital
    arithmetic: `CrossbarModel.digital` lists it, and a warning names what of it holds matrices of weights. Others name
    weights that several modules share (on devices each is written to an array of its own) and weights that are exactly
    zero.

    Subclasses of these layers, such as the projections of torch's attention, stay digital. Where other code reads the
    weight of a layer on devices, a `CapabilityError` names the layer and this function's `exclude`.

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
    >>> convert(trained, "pcm-nandakumar-2018", exclude=["2"]).digital
    {'1': Digital(kind='ReLU', parameters=0), '2': Digital(kind='Linear', parameters=12)}
    """
    if any(isinstance(module, CrossbarLayer) for module in model.modules()):
        raise InputError(f"{type(model).__name__}: it stands on devices already; convert the trained model")
    kept = excluded(model, exclude)
    shared = shared_weights(model, kept)
    holder = nn.ModuleList([copied(model)])
    chosen = {
        name or "model": module
        for name, module in holder[0].named_modules(remove_duplicate=False)
        if goes_on_devices(name, module, kept)
    }
    if not chosen:
        raise CapabilityError(
            f"{type(model).__name__}: no nn.Linear, nn.Conv1d or nn.Conv2d to put on devices"
        )
    settings = each_settings(chosen, {"device": device, "read": read, "write": write, **options}, per_layer)
    for name, module in chosen.items():
        settle(name, module)
    hooked = [name for name, module in chosen.items() if module._forward_hooks or module._forward_pre_hooks]
    unfolded = fold(holder[0], chosen, kept) if fuse_batchnorm else []
    layers: dict[str, CrossbarLayer] = {}
    done: dict[int, nn.Module] = {}
    zeros: list[str] = []
    for path, module in list(holder.named_modules(remove_duplicate=False)):
        name = path.partition(".")[2] or "model"
        prepare(module)
        if id(module) not in settings:
            continue
        if id(module) not in done:
            made = done[id(module)] = on_devices(module, name=name, seed=seed, **settings[id(module)])
            own = [part for part in made.modules() if isinstance(part, CrossbarLayer)]
            layers |= {part.name: part for part in own}
            if nothing := sum(part.zeros for part in own):
                zeros.append(f"{name} {nothing:,} of {sum(math.prod(part.array.shape) for part in own):,}")
        parent, _, last = path.rpartition(".")
        setattr(holder.get_submodule(parent), last, done[id(module)])
    _warn(
        digital=holds_matrices(holder[0]), shared=shared, hooked=hooked, unfolded=unfolded, zeros=zeros
    )  # fmt: skip
    one = next(iter(layers.values()))
    single = np.ndim(seed) == 0
    return CrossbarModel(holder[0].to(one.array.on), layers, None if single else one.instances)


SAID = {
    "digital": "weights that stay in digital arithmetic: {}",
    "shared": "weights that modules share: {}. Each layer on devices has an array of its own, with errors of its own; "
    "nothing ties it to the others",
    "hooked": "hooks of layers that go onto devices are left behind: {}",
    "unfolded": "fuse_batchnorm: {}",
    "zeros": "weights that are exactly zero: {}. Each is programmed as a pair of equal conductances, with the errors and "
    "the noise of both; nothing is left out",
}
"""What a user may not expect of what was converted."""


def _warn(**about: list[str]) -> None:
    """Say what there is of it, one warning a kind."""
    for kind, names in about.items():
        if names:
            warnings.warn(SAID[kind].format("; ".join(names)), ConvertedWarning, stacklevel=3)
