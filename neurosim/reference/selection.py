"""Which modules of a trained model go onto devices, with which settings; the others stay in digital arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from neurosim.core.config import Periphery, ReadPath, WritePath
from neurosim.core.errors import CapabilityError, InputError, UnknownNameError
from neurosim.core.frozen import Frozen, merged
from neurosim.reference.batchnorm import Folded
from neurosim.reference.computed_weights import kind_of
from neurosim.reference.layer import CrossbarLayer
from neurosim.reference.modules import CrossbarGroups

LAYERS: tuple[type[nn.Module], ...] = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Layers that go onto devices; their subclasses do not, as they may do more."""
PATHS: dict[str, type[Frozen]] = {"read": ReadPath, "write": WritePath, "periphery": Periphery}
OF_A_LAYER = ("device", *PATHS, "percentile")
"""Settings that a layer may have of its own."""
OF_A_MODEL = ("seed", "torch_device", "exclude", "per_layer", "fuse_batchnorm")
"""Settings that a model has once."""


class Digital(NamedTuple):
    """A module that stays in digital arithmetic."""

    kind: str
    parameters: int


def excluded(model: nn.Module, exclude: str | type | Iterable[str | type]) -> set[str]:
    """Return the names of the modules that names, patterns and types mean, with all that is in them.

    Raises
    ------
    UnknownNameError
        If one of them means no module.
    InputError
        If one is neither text nor a type.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    found: set[str] = set()
    for what in [exclude] if isinstance(exclude, str | type) else exclude:
        if isinstance(what, str):
            found |= meant("module", what, [name for name in modules if name])
        elif isinstance(what, type):
            own = [name for name, module in modules.items() if isinstance(module, what)]
            if not own:
                raise UnknownNameError(
                    "type of module", what.__name__, {kind_of(module).__name__ for module in modules.values()}
                )
            found |= set(_within(own, modules))
        else:
            raise InputError(f"exclude: expected names, patterns or types of modules, got {what!r}")
    same = {id(modules[name]) for name in found}
    return set(_within([name for name, module in modules.items() if id(module) in same], modules))


def meant(kind: str, pattern: str, names: Iterable[str]) -> set[str]:
    """Return the names that a name or pattern (`fnmatch`: * stands for anything, dots too) means, and what is within.

    Raises
    ------
    UnknownNameError
        If it means none; with the nearest name.
    """
    known = list(names)
    outer = {".".join(name.split(".")[:depth]) for name in known for depth in range(1, name.count(".") + 2)}
    found = set(_within([name for name in outer if name == pattern or fnmatchcase(name, pattern)], known))
    if not found:
        raise UnknownNameError(kind, pattern, known)
    return found


def _within(outer: Iterable[str], names: Iterable[str]) -> list[str]:
    heads = set(outer)
    return [
        name
        for name in names
        if any(".".join(name.split(".")[:depth]) in heads for depth in range(name.count(".") + 2))
    ]


def goes_on_devices(name: str, module: nn.Module, kept: set[str]) -> bool:
    """Whether a module of that name is a layer that goes onto devices, and none that was excluded."""
    return kind_of(module) in LAYERS and name not in kept


def each_settings(
    layers: Mapping[str, nn.Module],
    common: Mapping[str, Any],
    per_layer: Mapping[str, Mapping[str, Any]] | None,
) -> dict[int, dict[str, Any]]:
    """Return the settings of every layer by the id of its module: the common ones, changed by the patterns that mean it.

    Parameters
    ----------
    layers : dict of str to Module
        What goes onto devices, under all its names.
    common : dict
        Arguments of `CrossbarLayer`.
    per_layer : dict of str to dict
        Patterns and what they change; of several that mean a layer the later ones go over the earlier.

    Raises
    ------
    UnknownNameError
        If a pattern means no layer on devices, or a setting is unknown.
    CapabilityError
        If a setting is not in the torch backend.
    ConfigError
        If a value is out of range.
    """
    refuse_unknown(common, (*OF_A_LAYER, *OF_A_MODEL))
    found = {id(module): dict(common) for module in layers.values()}
    for pattern, changes in (per_layer or {}).items():
        names = meant("layer on devices", pattern, layers)
        if not isinstance(changes, Mapping):
            raise InputError(f"per_layer, '{pattern}': expected a dict of settings, got {changes!r}")
        refuse_unknown(changes, OF_A_LAYER, f" of per_layer, '{pattern}'")
        for key in {id(layers[name]) for name in names}:
            for setting, value in changes.items():
                found[key][setting] = _over(setting, found[key].get(setting), value, pattern)
    return found


def refuse_unknown(given: Iterable[str], known: Iterable[str], where: str = "") -> None:
    """Refuse settings that nothing takes; raises as `each_settings`."""
    for name in given:
        if name in ("wires", "tiles", "faults"):
            raise CapabilityError(
                f"{name}{where}: not in the torch backend, which alone reads trained models"
            )
        if name not in known:
            raise UnknownNameError("setting", name, known, where)


def _over(setting: str, before: Any, value: Any, pattern: str) -> Any:
    """A setting changed; of paths number by number where a dict is given."""
    if setting not in PATHS or not isinstance(value, dict):
        return value
    kind = PATHS[setting]
    base = kind.of(before, setting) or kind()
    return kind.parse(
        merged(base.model_dump(exclude_unset=True), value), f"per_layer, '{pattern}', {setting}"
    )


def shared_weights(model: nn.Module, kept: set[str]) -> list[str]:
    """Name the modules that share weights, where one of them goes onto devices."""
    places: dict[tuple[int, int], list[tuple[str, bool]]] = {}
    for name, module in model.named_modules():
        for own, held in module.named_parameters(recurse=False):
            if held.ndim > 1 and held.numel():
                full = f"{name}.{own}" if name else own
                key = held.data_ptr(), held.numel()
                places.setdefault(key, []).append((full, goes_on_devices(name, module, kept)))
    return [
        ", ".join(name for name, _ in found)
        for found in places.values()
        if len(found) > 1 and any(on_devices for _, on_devices in found)
    ]


def holds_matrices(model: nn.Module) -> list[str]:
    """Return name and kind of the modules of a converted model that hold matrices of weights in digital arithmetic."""
    return [
        f"{name} ({part.kind})"
        for name, part in digital_parts(model).items()
        if any(held.ndim > 1 for held in _parameters(model.get_submodule(name)))
    ]


def digital_parts(model: nn.Module) -> dict[str, Digital]:
    """Return what stays in digital arithmetic in a converted model, by name; modules that only hold others are left out."""
    found = {}
    for name, module in model.named_modules():
        own = _parameters(module) or list(module.buffers(recurse=False))
        holder = not own and next(module.children(), None) is not None
        of_another = (
            isinstance(module, CrossbarLayer | CrossbarGroups | Folded) or ".parametrizations" in name
        )
        if not (holder or of_another):
            found[name] = Digital(kind_of(module).__name__, sum(held.numel() for held in _parameters(module)))
    return found


def _parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of the module itself; of a parametrized one, all that its weights are computed from."""
    return list(module.parameters(recurse=is_parametrized(module)))
